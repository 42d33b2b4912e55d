// A job: what it does now, its attempts and why they ended, its curve, its log
// as it grows, its files.
import {actionButtons} from "./actions.js";
import {LineChart} from "./charts.js";
import {el, keyed, section, table, text} from "./dom.js";
import {kMaxLines} from "./farm_state.js";
import {bytes, clockTime, duration, loss, millis, progress, shownState, sweepLink} from "./format.js";
import {describe} from "./grid.js";
import {badge, setBadge} from "./overview.js";

// Pixels from the end that still count as the end.
const kNearEnd = 40;

export class JobView {
  constructor(state, name) {
    this.state = state;
    this.name = name;
    this.badge = badge("PENDING");
    this.does = el("p");
    this.meter = el("progress", {max: "1", value: "0", "aria-label": "Epochs"});
    this.actions = actionButtons(name, "job");
    this.facts = el("dl", {class: "facts"});
    this.attempts = el("tbody");
    this.files = el("tbody");
    this.result = el("dl", {class: "facts"});
    this.resultBlock = section("Result", "result-title", this.result);
    this.filesTable = table("Files", [
      {text: "File"}, {text: "Is"}, {text: "Size", number: true}, {text: "SHA-256"}], this.files);
    this.filesBlock = section("Files", "files-title", this.filesTable);
    this.buildCurve();
    this.buildLog();
    const attempts = table("Attempts, newest first", [
      {text: "#", number: true}, {text: "State"}, {text: "Worker"}, {text: "Began"},
      {text: "Took", number: true}, {text: "From epoch", number: true}, {text: "Why it ended"}], this.attempts);
    attempts.classList.add("cards");
    this.element = el("div", {},
        el("div", {class: "title"}, el("h1", {}, name), this.badge),
        this.does, this.meter, this.actions.element, this.facts,
        section("Learning curve", "curve-title", this.curve),
        this.resultBlock,
        section("Attempts", "attempts-title", attempts),
        section("Log", "log-title", this.logBox),
        this.filesBlock);
    this.on = {
      job: () => {
        this.updateJob();
        if (this.state.shortened) this.drawCurve();
      },
      metrics: () => this.updateMetrics(),
      log: () => this.updateLog(),
      // All lines come once more.
      reset: () => this.lines.replaceChildren(),
      tick: () => this.updateJob(),
    };
    this.resultBlock.hidden = true;
    this.filesBlock.hidden = true;
    if (state.job) this.updateJob();
  }

  title() {
    return this.name;
  }

  trail() {
    const [sweep, model, fold] = this.name.split("/");
    return [{text: sweep, href: sweepLink(sweep)}, {text: `${model}/${fold}`}];
  }

  destroy() {
    this.chart.destroy();
  }

  refresh() {
    this.updateJob();
  }

  updateJob() {
    const known = this.state.job;
    if (!known) return;
    const job = known.job;
    setBadge(this.badge, shownState(job));
    text(this.does, describe(job));
    this.meter.value = progress(job);
    this.actions.refresh({cancel: job.state === "PENDING" || job.state === "RUNNING",
                          retry: job.state === "FAILED" || job.state === "CANCELLED"});
    const waits = millis(job.notBeforeTime) > Date.now();
    this.showFacts(this.facts, [
      ["Epoch", `${job.epoch} of ${job.epochs}`],
      ["Log loss", loss(job.logLoss)],
      ["Seconds an epoch", job.secondsPerEpoch > 0 ? job.secondsPerEpoch.toFixed(2) : "—"],
      ["Slots", job.slots], ["Failed", job.failedCount], ["Lost", job.lostCount],
      ["Checkpoint", known.checkpoint.length ? `epoch ${known.checkpointEpoch}` : "none"],
      waits ? ["Not before", clockTime(job.notBeforeTime)] : null,
      job.reusedFrom ? ["Result of", job.reusedFrom] : null,
    ].filter(Boolean));
    keyed(this.attempts, [...known.attempts].reverse(), (attempt) => String(attempt.token),
        () => el("tr", {}, el("th", {scope: "row", class: "number"}),
            el("td", {"data-label": "State"}, badge("RUNNING")),
            ...["Worker", "Began", "Took", "From epoch", "Why it ended"].map((label) =>
                el("td", {"data-label": label, class: ["Took", "From epoch"].includes(label) ? "number" : null}))),
        (row, attempt) => {
          text(row.cells[0], attempt.number);
          setBadge(row.querySelector(".badge"), attempt.state);
          text(row.cells[2], [attempt.worker, attempt.device].filter(Boolean).join(", "));
          text(row.cells[3], clockTime(attempt.startTime));
          const end = attempt.endTime ? millis(attempt.endTime) : Date.now();
          text(row.cells[4], duration((end - millis(attempt.startTime)) / 1000));
          text(row.cells[5], attempt.resumedEpoch || "start");
          this.showReason(row.cells[6], attempt);
        });
    this.showFiles(known);
  }

  showReason(cell, attempt) {
    const how = attempt.signal ? `signal ${attempt.signal}`
        : attempt.exitStatus ? `exit status ${attempt.exitStatus}` : "";
    const reason = [attempt.error, how].filter(Boolean).join("; ") ||
        (attempt.state === "RUNNING" ? `lease until ${clockTime(attempt.leaseExpireTime)}` : "—");
    if (!cell.firstElementChild) cell.append(el("span"));
    text(cell.firstElementChild, reason);
    if (attempt.logTail.length && cell.children.length === 1) {
      cell.append(el("details", {}, el("summary", {}, "Last words"),
          el("pre", {class: "tail"}, attempt.logTail.join("\n"))));
    }
  }

  showFacts(list, facts) {
    keyed(list, facts, ([name]) => name, ([name]) => el("div", {}, el("dt", {}, name), el("dd")),
        (item, [, value]) => text(item.lastElementChild, value));
  }

  showFiles(known) {
    const files = [
      ...known.artifacts.map((file) => ({...file, is: "result"})),
      ...known.checkpoint.map((file) => ({...file, is: `checkpoint of epoch ${known.checkpointEpoch}`})),
      ...known.inputs.map((file) => ({...file, is: "input"})),
    ];
    this.filesBlock.hidden = files.length === 0;
    keyed(this.files, files, (file) => `${file.is}/${file.name}/${file.digest}`, (file) => el("tr", {},
        el("th", {scope: "row"}, file.name), el("td", {}, file.is),
        el("td", {class: "number"}, bytes(file.sizeBytes)),
        el("td", {}, el("code", {title: file.digest}, file.digest.slice(0, 12)))), () => {});
  }

  buildCurve() {
    this.chart = new LineChart("Learning curve", "epoch", "value",
        (line, point) => `${line.label}, epoch ${point.x}: ${loss(point.y)}`);
    this.choice = el("select", {id: "metric", onchange: () => this.drawCurve()});
    const log = el("input", {type: "checkbox", id: "job-log-axis",
                             onchange: () => this.chart.logarithmic(log.checked)});
    this.curve = el("div", {}, el("p", {}, el("label", {for: "metric"}, "Metric "), this.choice, " ",
        log, " ", el("label", {for: "job-log-axis"}, "logarithmic")), this.chart.element);
  }

  updateMetrics() {
    const names = new Set();
    for (const values of this.state.metrics.values()) Object.keys(values).forEach((name) => names.add(name));
    // Losses of training and of validation share a picture: so overfitting shows.
    const choices = names.has("train_loss") && names.has("log_loss") ? ["train_loss and log_loss"] : [];
    choices.push(...[...names].sort());
    keyed(this.choice, choices, (name) => name, (name) => el("option", {value: name}, name), () => {});
    if (!choices.includes(this.choice.value)) this.choice.value = choices[0];
    this.drawCurve();
    const result = Object.entries(this.state.result).sort();
    this.resultBlock.hidden = result.length === 0;
    this.showFacts(this.result, result.map(([name, value]) => [name, loss(value, 6)]));
  }

  drawCurve() {
    const names = this.choice.value.split(" and ");
    // Epochs that a lost attempt reported beyond its checkpoint are trained anew.
    const job = this.state.job?.job;
    const newest = job?.state === "RUNNING" ? job.epoch : Infinity;
    const epochs = [...this.state.metrics].filter(([epoch]) => epoch <= newest).sort((a, b) => a[0] - b[0]);
    const lines = names.map((name, i) => ({label: name, colour: i, dash: i, points: epochs
        .filter(([, values]) => values[name] !== undefined)
        .map(([x, values]) => ({x, y: Number(values[name])}))}));
    const last = lines.map((line) => `${line.label} ${loss(line.points.at(-1)?.y)}`).join(", ");
    this.chart.set(lines, `Learning curve of ${this.name}; after epoch ${epochs.at(-1)?.[0] ?? 0}: ${last}`);
  }

  buildLog() {
    this.lines = el("pre", {class: "log", tabindex: "0", role: "log", "aria-label": "Log of the job", "aria-live": "off"});
    this.follow = el("input", {type: "checkbox", id: "follow", onchange: () => this.toEnd()});
    this.follow.checked = true;
    this.skipped = el("p", {class: "quiet small"});
    this.lines.addEventListener("scroll", () => {
      const box = this.lines;
      this.follow.checked = box.scrollHeight - box.scrollTop - box.clientHeight < kNearEnd;
    });
    this.logBox = el("div", {}, el("p", {}, this.follow, " ", el("label", {for: "follow"}, "Follow the end")),
        this.skipped, this.lines);
  }

  toEnd() {
    if (this.follow.checked) this.lines.scrollTop = this.lines.scrollHeight;
  }

  updateLog() {
    const follow = this.follow.checked;
    this.lines.append(...this.state.newLines.map((line) =>
        el("span", {class: `line ${line.level}`}, `${clockTime(line.time)}  ${line.text}\n`)));
    while (this.lines.childElementCount > kMaxLines) this.lines.firstElementChild.remove();
    const first = Number(this.state.log[0]?.sequence || 1);
    text(this.skipped, first > 1
        ? `Begins with line ${first}; foldfarm logs ${this.name} prints all.` : "");
    if (follow) {
      this.follow.checked = true;
      this.toEnd();
    }
  }
}
