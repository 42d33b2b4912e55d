// The page: which view is shown (by what stands behind "#" in the address, so
// that links, reload and the back button work), and what is said about it.
import {setUpToken} from "./actions.js";
import {el, text} from "./dom.js";
import {FarmState} from "./farm_state.js";
import {JobView} from "./job_view.js";
import {Overview, summary} from "./overview.js";
import {SweepView} from "./sweep_view.js";

// Screen readers hear of progress at most so often.
const kAnnounceMs = 10000;
// Times that grow ("took") are shown anew.
const kTickMs = 5000;

const state = new FarmState();
const main = document.getElementById("main");
let view = null;

// {sweep, job} of "#/sweeps/s3" and "#/jobs/s3/130_gru/0"; null: not a place.
function placeOf(hash) {
  let parts;
  try {
    parts = hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  } catch {
    return null;
  }
  if (parts.length === 1 && parts[0] === "") return {sweep: "", job: ""};
  if (parts[0] === "sweeps" && parts.length === 2) return {sweep: parts[1], job: ""};
  if (parts[0] === "jobs" && parts.length === 4) return {sweep: "", job: parts.slice(1).join("/")};
  return null;
}

function makeView(place) {
  if (place.job) return new JobView(state, place.job);
  if (place.sweep) {
    return new SweepView(state, place.sweep, (models) =>
        state.setTopic({...state.topic, models}));
  }
  return new Overview(state);
}

function showTrail() {
  const trail = document.getElementById("trail");
  const steps = view.trail();
  trail.replaceChildren(el("li", {}, el("a", {href: "#/", "aria-current": steps.length ? null : "page"}, "foldfarm")),
      ...steps.map((step, i) => el("li", {}, step.href
          ? el("a", {href: step.href}, step.text)
          : el("span", {"aria-current": i === steps.length - 1 ? "page" : null}, step.text))));
}

// The view, or why there is nothing to show.
function showMain() {
  if (!state.problem) {
    main.replaceChildren(view.element);
    return;
  }
  main.replaceChildren(el("h1", {}, view.title()),
      el("p", {class: "problem", role: "alert"}, state.problem),
      el("p", {}, "The page looks again every few seconds. ", el("a", {href: "#/"}, "Back to the farm")));
}

function showConnection() {
  const status = document.getElementById("connection");
  text(status, state.connected ? "live"
      : state.problem ? "nothing to show; trying again" : "no connection; trying again");
  status.dataset.state = state.connected ? "live" : "lost";
}

function route(moved) {
  const place = placeOf(location.hash);
  if (view?.destroy) view.destroy();
  view = null;
  state.setTopic({sweep: "", job: "", ...place, models: []});
  if (!place) {
    main.replaceChildren(el("h1", {}, "Nothing is here"),
        el("p", {}, "There is no such place. ", el("a", {href: "#/"}, "Back to the farm")));
    return;
  }
  view = makeView(place);
  showMain();
  showTrail();
  document.title = view.title() === "foldfarm" ? "foldfarm" : `${view.title()} · foldfarm`;
  // A reader that moved begins at the top of what is new.
  if (moved) {
    main.focus({preventScroll: true});
    window.scrollTo(0, 0);
  }
}

for (const name of ["reset", "sweeps", "workers", "jobs", "curves", "job", "metrics", "log"]) {
  state.addEventListener(name, () => view?.on[name]?.());
}

let announced = 0;
state.addEventListener("jobs", () => {
  const sweep = state.watchedSweep();
  if (sweep) document.title = `${view.title()} · foldfarm`;
  const final = sweep && sweep.pending + sweep.running === 0;
  if (!sweep || (Date.now() - announced < kAnnounceMs && !final)) return;
  announced = Date.now();
  text(document.getElementById("announcer"), `${sweep.id}: ${summary(sweep)}`);
});

state.addEventListener("connection", showConnection);
state.addEventListener("problem", () => {
  showConnection();
  if (view) showMain();
});

state.addEventListener("hello", () =>
    text(document.getElementById("version"), `foldfarm ${state.version}`));

document.querySelector(".skip").addEventListener("click", (event) => {
  // The part behind "#" says where the page is; it stays.
  event.preventDefault();
  main.focus();
});

setInterval(() => view?.on.tick?.(), kTickMs);
window.addEventListener("hashchange", () => route(true));
setUpToken(() => view?.refresh?.());
// For tests: what the page has heard so far.
window.foldfarm = state;
route(false);
