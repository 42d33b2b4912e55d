// A sweep: its grid, its learning curves, what failed, and its ensemble.
import {actionButtons} from "./actions.js";
import {LineChart, lineColour} from "./charts.js";
import {el, keyed, section, text} from "./dom.js";
import {EnsembleView} from "./ensemble_view.js";
import {clockTime, jobLink, loss, plural, shownState} from "./format.js";
import {Grid} from "./grid.js";
import {badge, progressBar, setBadge, summary, took} from "./overview.js";

// Models whose curves are drawn at a time: as many as there are colours.
const kMaxCurves = 8;
const kFirstCurves = 4;

export class SweepView {
  constructor(state, id, setModels) {
    this.state = state;
    this.id = id;
    this.setModels = setModels;
    this.models = null;  // Until the jobs are known.
    this.heading = el("h1", {}, id);
    this.badge = badge("PENDING");
    this.bar = progressBar();
    this.summary = el("p", {});
    this.note = el("p", {class: "quiet"});
    this.actions = actionButtons(id, "sweep");
    this.grid = new Grid();
    this.failures = el("ul", {class: "failures"});
    this.failed = section("What failed", "failed-title", this.failures);
    this.failed.hidden = true;
    this.ensemble = new EnsembleView(id);
    this.buildCurves();
    this.element = el("div", {},
        el("div", {class: "title"}, this.heading, this.badge), this.bar.element,
        this.summary, this.note, this.actions.element,
        el("div", {class: "columns"},
            section("Models × folds", "grid-title", this.grid.element),
            section("Learning curves", "curves-title", this.curves)),
        this.failed,
        section("Ensemble", "ensemble-title", this.ensemble.element));
    this.on = {
      jobs: () => this.updateJobs(),
      sweeps: () => this.updateHead(),
      curves: () => this.drawCurves(),
      tick: () => this.updateHead(),
    };
    this.loaded = false;
    this.updateHead();
  }

  title() {
    const sweep = this.state.watchedSweep();
    return sweep ? `${sweep.id} ${sweep.name}` : this.id;
  }

  trail() {
    return [{text: this.id}];
  }

  destroy() {
    this.chart.destroy();
    this.ensemble.destroy();
  }

  // Changes became possible or impossible.
  refresh() {
    this.updateHead();
  }

  updateHead() {
    const sweep = this.state.watchedSweep();
    if (!sweep) return;
    this.actions.target = sweep.id;
    text(this.heading, `${sweep.id} ${sweep.name}`);
    setBadge(this.badge, shownState(sweep));
    this.bar.set(sweep);
    text(this.summary, summary(sweep));
    text(this.note, [`dataset ${sweep.dataset}`, `submitted ${clockTime(sweep.createTime)}`,
      `${sweep.endTime ? "took" : "for"} ${took(sweep)}`, sweep.prediction && `predicts ${sweep.prediction}`,
      sweep.note].filter(Boolean).join(" · "));
    this.actions.refresh({cancel: sweep.pending + sweep.running > 0,
                          retry: sweep.failed + sweep.cancelled > 0});
  }

  updateJobs() {
    this.updateHead();
    this.grid.update(this.state.jobs);
    this.updateFailures();
    const names = [...new Set([...this.state.jobs.values()].map((job) => job.model))];
    if (this.models === null && names.length > 0) this.chooseFirst(names);
    this.listModels(names);
    if (this.state.shortened) this.drawCurves();
    // The ensemble has changed when a model may have become complete.
    const finished = (this.state.changed || []).some(({job, before}) =>
        job.state === "SUCCEEDED" && (!before || before.state !== "SUCCEEDED"));
    if (finished || !this.loaded) this.ensemble.load();
    this.loaded = true;
  }

  updateFailures() {
    const failed = [...this.state.jobs.values()].filter((job) =>
        job.error && (job.state === "FAILED" || job.state === "PENDING"));
    this.failed.hidden = failed.length === 0;
    keyed(this.failures, failed, (job) => job.name, (job) => el("li", {},
        badge(job.state), " ", el("a", {href: jobLink(job.name)}, job.name), " ", el("span")),
    (item, job) => {
      setBadge(item.querySelector(".badge"), job.state);
      text(item.lastElementChild, `${job.error}` + (job.state === "PENDING"
          ? ` (tries again${job.notBeforeTime ? ` at ${clockTime(job.notBeforeTime)}` : ""})` : ""));
    });
  }

  buildCurves() {
    this.chart = new LineChart("Learning curves", "epoch", "validation log loss",
        (line, point) => `${line.label}, epoch ${point.x}: ${loss(point.y)}`);
    this.filter = el("input", {type: "search", id: "curve-filter", autocomplete: "off",
                               oninput: () => this.listModels()});
    this.choices = el("ul", {class: "choices", "aria-label": "Models to draw"});
    this.chosen = el("p", {class: "quiet", role: "status"});
    const log = el("input", {type: "checkbox", id: "curve-log",
                             onchange: () => this.chart.logarithmic(log.checked)});
    this.curves = el("div", {}, this.chart.element,
        el("div", {class: "picker"},
            el("p", {}, el("label", {for: "curve-filter"}, "Find models "), this.filter),
            el("p", {}, log, " ", el("label", {for: "curve-log"}, "logarithmic"))),
        this.chosen, this.choices);
  }

  // First those that run or are done: their curves exist.
  chooseFirst(names) {
    const begun = names.filter((name) => [...this.state.jobs.values()].some(
        (job) => job.model === name && job.epoch > 0));
    this.models = [...begun, ...names.filter((name) => !begun.includes(name))]
        .slice(0, kFirstCurves);
    this.setModels(this.models);
  }

  listModels(names = this.names) {
    if (!names || this.models === null) return;
    this.names = names;
    const wanted = this.filter.value.trim().toLowerCase();
    const shown = names.filter((name) => this.models.includes(name) ||
        name.toLowerCase().includes(wanted));
    text(this.chosen, `${this.models.length} of ${plural(names.length, "model")} drawn, at most ${kMaxCurves}; a line a fold, dashed by fold`);
    keyed(this.choices, shown, (name) => name, (name) => {
      const box = el("input", {type: "checkbox", onchange: () => this.toggle(name, box.checked)});
      return el("li", {}, el("label", {}, box, el("span", {class: "swatch"}), name));
    }, (item, name) => {
      const place = this.models.indexOf(name);
      const box = item.querySelector("input");
      box.checked = place >= 0;
      box.disabled = place < 0 && this.models.length >= kMaxCurves;
      item.querySelector(".swatch").style.backgroundColor =
          place >= 0 ? lineColour(this.colourOf(name)) : "transparent";
    });
  }

  // A model keeps its colour while it is drawn.
  colourOf(name) {
    this.colours = this.colours || new Map();
    for (const known of [...this.colours.keys()]) {
      if (!this.models.includes(known)) this.colours.delete(known);
    }
    if (!this.colours.has(name)) {
      const taken = new Set(this.colours.values());
      let free = 0;
      while (taken.has(free)) ++free;
      this.colours.set(name, free);
    }
    return this.colours.get(name);
  }

  toggle(name, on) {
    this.models = on ? [...this.models, name] : this.models.filter((model) => model !== name);
    this.listModels();
    this.setModels(this.models);
    this.drawCurves();
  }

  drawCurves() {
    if (this.models === null) return;
    const lines = [];
    for (const name of this.models) {
      for (const job of this.state.jobs.values()) {
        const curve = this.state.curves.get(job.name);
        if (job.model !== name || !curve) continue;
        const points = [...curve.points].filter(([epoch]) => epoch <= job.epoch || job.state !== "RUNNING")
            .sort((a, b) => a[0] - b[0]).map(([x, y]) => ({x, y: y === null ? NaN : y}));
        lines.push({label: job.name, points, colour: this.colourOf(name), dash: job.fold});
      }
    }
    const last = lines.map((line) => `${line.label} ${loss(line.points.at(-1)?.y)}`).join("; ");
    this.chart.set(lines, `Learning curves of ${plural(lines.length, "job")}. Newest log loss: ${last || "none yet"}`);
  }
}
