// The first view: every sweep and how far it is, every worker and what it does.
import {attr, el, keyed, section, table, text} from "./dom.js";
import {ago, clockTime, done, duration, jobLink, millis, plural, shownState, stateOf, sweepLink, total} from "./format.js";

const kParts = ["succeeded", "failed", "cancelled", "running"];
const kJobsShown = 6;

// A bar of a sweep's jobs by state; update with set().
export function progressBar() {
  const parts = kParts.map((name) => el("span", {class: `part ${name}`}));
  const element = el("span", {class: "bar", role: "progressbar", "aria-valuemin": "0"}, parts);
  return {element, set(sweep) {
    const all = total(sweep) || 1;
    attr(element, "aria-valuemax", total(sweep));
    attr(element, "aria-valuenow", done(sweep));
    attr(element, "aria-label", `${done(sweep)} of ${total(sweep)} jobs done`);
    kParts.forEach((name, i) => {
      parts[i].style.width = `${100 * sweep[name] / all}%`;
    });
  }};
}

export function badge(state) {
  const element = el("span", {class: "badge"});
  setBadge(element, state);
  return element;
}

export function setBadge(element, state) {
  attr(element, "data-state", state);
  text(element, `${stateOf(state).sign} ${stateOf(state).word}`);
}

// "40 of 104 done, 2 failed, 5 running".
export function summary(sweep) {
  const parts = [`${done(sweep)} of ${plural(total(sweep), "job")} done`];
  for (const name of ["failed", "cancelled", "running"]) {
    if (sweep[name] > 0) parts.push(`${sweep[name]} ${name}`);
  }
  return parts.join(", ");
}

export function took(sweep) {
  const end = sweep.endTime ? millis(sweep.endTime) : Date.now();
  return duration((end - millis(sweep.createTime)) / 1000);
}

export class Overview {
  constructor(state) {
    this.state = state;
    this.sweeps = el("tbody");
    this.workers = el("tbody");
    this.capacity = el("p", {class: "quiet"});
    this.none = el("p", {class: "quiet"}, "No sweep yet. ",
        el("code", {}, "foldfarm submit SWEEP.yaml --dataset NAME"), " starts one.");
    this.sweepTable = table("Sweeps, newest first", [
      {text: "Sweep"}, {text: "State"}, {text: "Progress"}, {text: "Models × folds"},
      {text: "Dataset"}, {text: "Submitted"}, {text: "Took", number: true}], this.sweeps);
    this.workerTable = table("Workers", [
      {text: "Worker"}, {text: "State"}, {text: "Slots"}, {text: "Devices"}, {text: "Runs"}], this.workers);
    for (const each of [this.sweepTable, this.workerTable]) each.classList.add("cards");
    this.element = el("div", {}, el("h1", {}, "Farm"),
        section("Sweeps", "sweeps-title", this.none, this.sweepTable),
        section("Workers", "workers-title", this.capacity, this.workerTable));
    this.bars = new WeakMap();
    this.on = {
      sweeps: () => this.updateSweeps(),
      workers: () => this.updateWorkers(),
      tick: () => {
        this.updateSweeps();
        this.updateWorkers();
      },
    };
    this.updateSweeps();
    this.updateWorkers();
  }

  title() {
    return "foldfarm";
  }

  trail() {
    return [];
  }

  updateSweeps() {
    const list = this.state.sweepList();
    this.none.hidden = list.length > 0 || this.state.instance === null;
    this.sweepTable.hidden = list.length === 0;
    keyed(this.sweeps, list, (sweep) => sweep.id, (sweep) => {
      const bar = progressBar();
      const row = el("tr", {},
          el("th", {scope: "row"}, el("a", {href: sweepLink(sweep.id)}, `${sweep.id} ${sweep.name}`),
              el("span", {class: "note quiet"})),
          el("td", {"data-label": "State"}, badge(shownState(sweep))),
          el("td", {"data-label": "Progress", class: "wide"}, bar.element, el("span", {class: "under"})),
          el("td", {"data-label": "Models × folds"}),
          el("td", {"data-label": "Dataset"}),
          el("td", {"data-label": "Submitted"}),
          el("td", {class: "number", "data-label": "Took"}));
      this.bars.set(row, bar);
      return row;
    }, (row, sweep) => {
      text(row.querySelector(".note"), sweep.note || sweep.prediction || "");
      setBadge(row.querySelector(".badge"), shownState(sweep));
      this.bars.get(row).set(sweep);
      text(row.querySelector(".under"), summary(sweep));
      text(row.cells[3], `${sweep.models} × ${sweep.folds}`);
      text(row.cells[4], sweep.dataset);
      text(row.cells[5], clockTime(sweep.createTime));
      text(row.cells[6], took(sweep));
    });
  }

  updateWorkers() {
    const list = this.state.workerList();
    const here = list.filter((worker) => worker.state !== "OFFLINE");
    const sum = (field) => here.reduce((n, worker) => n + worker[field], 0);
    text(this.capacity, here.length === 0
        ? "No worker is online. foldfarm-worker --coordinator HOST:PORT starts one."
        : `${plural(here.length, "worker")}, ${sum("busySlots")} of ${plural(sum("slots"), "slot")} busy` +
          (list.length > here.length ? `; ${list.length - here.length} offline` : ""));
    this.workerTable.hidden = list.length === 0;
    keyed(this.workers, list, (worker) => worker.name, () => el("tr", {},
        el("th", {scope: "row"}),
        el("td", {"data-label": "State"}, badge("ONLINE")),
        el("td", {"data-label": "Slots"}, el("span", {class: "slots", "aria-hidden": "true"}), el("span", {class: "under"})),
        el("td", {"data-label": "Devices"}),
        el("td", {"data-label": "Runs", class: "jobs"})), (row, worker) => {
      text(row.cells[0], worker.name);
      setBadge(row.querySelector(".badge"), worker.state);
      const slots = row.querySelector(".slots");
      keyed(slots, [...Array(Math.min(worker.slots, 32)).keys()], String, () => el("i"),
          (slot, i) => attr(slot, "class", i < worker.busySlots ? "busy" : "free"));
      text(row.querySelector(".under"), worker.state === "OFFLINE"
          ? `last heard ${ago(worker.lastHeartbeatTime)}`
          : `${worker.busySlots} of ${worker.slots} busy`);
      text(row.cells[3], [...worker.devices, worker.allowExec ? "runs own programs" : ""]
          .filter(Boolean).join(", ") || "—");
      const shown = worker.jobs.slice(0, kJobsShown);
      const rest = worker.jobs.length - shown.length;
      keyed(row.cells[4], rest > 0 ? [...shown, `and ${rest} more`] : shown, (name) => name,
          (name) => name.includes("/") ? el("a", {href: jobLink(name)}, name) : el("span", {}, name),
          () => {});
    });
  }
}
