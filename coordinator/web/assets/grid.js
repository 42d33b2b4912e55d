// The grid of models and folds: a job a cell, told by colour and by sign, with
// its progress as a fill. Arrow keys move, Enter opens, and what a cell says in
// full is read out by screen readers and shown below the grid.
import {attr, el, keyed, text} from "./dom.js";
import {jobLink, loss, plural, progress, stateOf} from "./format.js";

// A job in one sentence.
export function describe(job) {
  const parts = [stateOf(job.state).word];
  if (job.reusedFrom) parts.push(`result of ${job.reusedFrom}`);
  if (job.state === "RUNNING") parts.push(`on ${job.worker}`);
  if (job.epochs > 0 && job.state !== "SUCCEEDED") {
    parts.push(`epoch ${job.epoch} of ${job.epochs}`);
  }
  if (job.logLoss !== undefined) parts.push(`log loss ${loss(job.logLoss)}`);
  if (job.attemptCount > 1) parts.push(plural(job.attemptCount, "attempt"));
  if (job.waitingReason) parts.push(job.waitingReason);
  if (job.error) parts.push(job.error);
  return parts.join(", ");
}

export class Grid {
  constructor() {
    this.head = el("tr", {role: "row"});
    this.body = el("tbody", {role: "rowgroup"});
    this.details = el("p", {class: "details quiet"});
    const grid = el("table", {class: "grid", role: "grid",
                              "aria-label": "Jobs by model and fold; arrow keys move, Enter opens"},
        el("thead", {role: "rowgroup"}, this.head), this.body);
    this.element = el("div", {},
        el("div", {class: "scroll"}, grid), this.details, this.legend());
    grid.addEventListener("keydown", (event) => this.move(event));
    for (const name of ["focusin", "mouseover"]) {
      grid.addEventListener(name, (event) => {
        const cell = event.target.closest("a.cell");
        if (cell) this.show(cell, name === "focusin");
      });
    }
    this.shown = "";
    this.hint();
  }

  legend() {
    return el("ul", {class: "legend", "aria-label": "What the signs mean"},
        ["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"].map((state) =>
            el("li", {}, el("span", {class: "cell", "data-state": state, "aria-hidden": "true"},
                stateOf(state).sign), ` ${stateOf(state).word}`)));
  }

  hint() {
    text(this.details, "Point at a job, or move with the arrow keys, to see what it does; Enter opens it.");
  }

  show(cell, focused) {
    if (focused) this.setStop(cell);
    this.shown = cell.dataset.job;
    text(this.details, cell.getAttribute("aria-label"));
  }

  // The one cell that Tab reaches.
  setStop(cell) {
    for (const other of this.body.querySelectorAll('a.cell[tabindex="0"]')) {
      if (other !== cell) other.tabIndex = -1;
    }
    cell.tabIndex = 0;
  }

  move(event) {
    const cell = event.target.closest("a.cell");
    if (!cell) return;
    const row = cell.closest("tr");
    const rows = [...this.body.rows];
    const column = cell.closest("td").cellIndex;
    const last = row.cells.length - 1;
    const y = rows.indexOf(row);
    const goal = {
      ArrowLeft: [y, Math.max(1, column - 1)],
      ArrowRight: [y, Math.min(last, column + 1)],
      ArrowUp: [Math.max(0, y - 1), column],
      ArrowDown: [Math.min(rows.length - 1, y + 1), column],
      Home: [event.ctrlKey ? 0 : y, 1],
      End: [event.ctrlKey ? rows.length - 1 : y, last],
    }[event.key];
    if (!goal) return;
    event.preventDefault();
    const next = rows[goal[0]].cells[goal[1]].querySelector("a.cell");
    if (next) next.focus();
  }

  // jobs: Map by name, in the sweep's order.
  update(jobs) {
    const models = new Map();
    let folds = 0;
    for (const job of jobs.values()) {
      if (!models.has(job.model)) models.set(job.model, new Map());
      models.get(job.model).set(job.fold, job);
      folds = Math.max(folds, job.fold + 1);
    }
    const columns = [...Array(folds).keys()];
    keyed(this.head, ["model", ...columns.map(String)], (name) => name,
        () => el("th", {scope: "col", role: "columnheader"}),
        (th, name) => text(th, name === "model" ? "Model" : `Fold ${name}`));
    keyed(this.body, [...models], ([model]) => model,
        ([model]) => el("tr", {role: "row"},
            el("th", {scope: "row", role: "rowheader", title: model}, model)),
        (row, [model, byFold]) => {
          while (row.cells.length < folds + 1) {
            row.append(el("td", {role: "gridcell"}));
          }
          for (const fold of columns) {
            this.updateCell(row.cells[fold + 1], byFold.get(fold));
          }
        });
    if (!this.body.querySelector('a.cell[tabindex="0"]')) {
      const first = this.body.querySelector("a.cell");
      if (first) first.tabIndex = 0;
    }
  }

  updateCell(td, job) {
    if (!job) return;
    let cell = td.firstElementChild;
    if (!cell) {
      cell = el("a", {class: "cell", tabindex: "-1", href: jobLink(job.name), "data-job": job.name},
          el("span", {class: "fill"}), el("span", {class: "sign", "aria-hidden": "true"}));
      td.append(cell);
    }
    const part = progress(job);
    attr(cell, "data-state", job.state);
    attr(cell, "aria-label", `${job.model}, fold ${job.fold}: ${describe(job)}`);
    text(cell.lastElementChild, job.state === "RUNNING"
        ? `▸ ${Math.floor(100 * part)}` : stateOf(job.state).sign);
    cell.firstElementChild.style.width =
        job.state === "RUNNING" ? `${Math.round(100 * part)}%` : "0";
    if (this.shown === job.name) text(this.details, cell.getAttribute("aria-label"));
  }
}
