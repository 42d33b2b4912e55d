// Cancel and retry: the token that allows them, and asking before doing.
//
// The token is entered once and kept in this tab's sessionStorage. It goes out
// only as an Authorization header of the requests made here.
import {el, text} from "./dom.js";
import {ask} from "./farm_state.js";

const kKey = "foldfarm-token";
const byId = (id) => document.getElementById(id);

export const unlocked = () => sessionStorage.getItem(kKey) !== null;

function change(path, token = sessionStorage.getItem(kKey)) {
  return ask(path, {method: "POST", headers: {Authorization: `Bearer ${token}`}});
}

function showButton() {
  const button = byId("unlock");
  button.hidden = false;
  text(button, unlocked() ? "Lock changes" : "Unlock changes");
}

// `changed` is called when changes became possible or impossible.
export function setUpToken(changed) {
  const dialog = byId("token-dialog");
  const input = byId("token");
  const unlock = async () => {
    try {
      await change("session", input.value.trim());
    } catch (error) {
      text(byId("token-problem"), error.message);
      input.focus();
      return;
    }
    sessionStorage.setItem(kKey, input.value.trim());
    dialog.close();
    showButton();
    changed();
  };
  byId("unlock").addEventListener("click", () => {
    if (unlocked()) {
      sessionStorage.removeItem(kKey);
      showButton();
      changed();
      return;
    }
    input.value = "";
    text(byId("token-problem"), "");
    dialog.showModal();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") unlock();
  });
  byId("token-ok").addEventListener("click", unlock);
  byId("token-cancel").addEventListener("click", () => dialog.close());
  showButton();
}

// Whether the person says yes.
function confirmed(title, question, yes) {
  const dialog = byId("ask-dialog");
  text(byId("ask-title"), title);
  text(byId("ask-text"), question);
  text(byId("ask-yes"), yes);
  return new Promise((resolve) => {
    const done = (answer) => {
      dialog.onclose = null;
      dialog.close();
      resolve(answer);
    };
    byId("ask-yes").onclick = () => done(true);
    byId("ask-no").onclick = () => done(false);
    dialog.onclose = () => resolve(false);
    dialog.showModal();
    byId("ask-no").focus();
  });
}

// Buttons for a sweep or a job; `target` names it and may be set anew.
// `refresh({cancel, retry})` shows those that make sense now, where changes are
// allowed; before that there are none.
export function actionButtons(target, what) {
  const outcome = el("p", {role: "status", class: "quiet"});
  const act = async (verb, question) => {
    const target = buttons.target;
    if (!await confirmed(`${verb} ${target}?`, question, `${verb} ${what}`)) return;
    try {
      const answer = await change(
          `${verb.toLowerCase()}?target=${encodeURIComponent(target)}`);
      text(outcome, `${verb}: ${answer.jobs} ${answer.jobs === 1 ? "job" : "jobs"}.`);
    } catch (error) {
      text(outcome, `${verb} failed: ${error.message}`);
    }
  };
  const cancel = el("button", {type: "button", hidden: true, onclick: () => act("Cancel",
      "Attempts that run are stopped; a checkpoint is kept.")}, `Cancel ${what}`);
  const retry = el("button", {type: "button", hidden: true, onclick: () => act("Retry",
      "Failed and cancelled jobs become pending again.")}, `Retry ${what}`);
  const buttons = {
    target,
    element: el("div", {class: "actions"}, cancel, retry, outcome),
    refresh(possible) {
      cancel.hidden = !(unlocked() && possible.cancel);
      retry.hidden = !(unlocked() && possible.retry);
    },
  };
  return buttons;
}
