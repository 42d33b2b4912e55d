// The ensemble of a sweep's complete models: scores, growth, what resembles
// what. The figures are those of GetEnsemble, shown with as many digits as
// `foldfarm ensemble` shows.
import {LineChart} from "./charts.js";
import {el, table, text} from "./dom.js";
import {ask} from "./farm_state.js";
import {duration, loss, percent, plural} from "./format.js";

// After a model became complete others may follow at once.
const kGatherMs = 500;

const number = (value, more = {}) => el("td", {class: "number", ...more}, value);
const heading = (value) => el("th", {scope: "row"}, value);
const interval = (range) => range ? el("span", {class: "quiet small"},
    ` ${loss(range.low)}–${loss(range.high)}`) : null;

// A table whose body is made from rows of cells.
function plainTable(caption, headers, rows) {
  return table(caption, headers, el("tbody", {}, rows.map((cells) => el("tr", {}, cells))));
}

function fold(title, ...children) {
  return el("details", {}, el("summary", {}, title), ...children);
}

// From light to dark blue; `part` from 0 to 1.
function paint(cell, part) {
  const from = [239, 246, 252];
  const to = [8, 64, 129];
  const mix = from.map((channel, i) => Math.round(channel + part * (to[i] - channel)));
  cell.style.backgroundColor = `rgb(${mix.join(" ")})`;
  // Either keeps 4.5:1 up to here.
  cell.style.color = part > 0.69 ? "#fff" : "#000";
}

export class EnsembleView {
  constructor(sweep) {
    this.sweep = sweep;
    this.status = el("p", {class: "quiet", role: "status"}, "No model is complete on all folds yet.");
    this.body = el("div");
    this.more = el("button", {type: "button", hidden: true, onclick: () => this.load(true)},
        "Analyse in full");
    this.element = el("div", {}, this.status, this.body, this.more);
    this.full = false;
    this.charts = [];
    this.busy = false;
    this.again = false;
    this.timer = null;
  }

  destroy() {
    clearTimeout(this.timer);
    this.sweep = null;
    this.dropCharts();
  }

  dropCharts() {
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
  }

  // Reads the ensemble again, soon; `full`: with what takes seconds.
  load(full = false) {
    this.full = this.full || full;
    if (full) text(this.status, "Analysing: intervals, weightings, selections.");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(), full ? 0 : kGatherMs);
  }

  async fetch() {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    try {
      const answer = await ask(`sweeps/${encodeURIComponent(this.sweep)}/ensemble` +
                               (this.full ? "?full=true" : ""));
      if (this.sweep !== null) this.show(answer);
    } catch (error) {
      text(this.status, `The ensemble cannot be had: ${error.message}`);
    }
    this.busy = false;
    if (this.again && this.sweep !== null) {
      this.again = false;
      this.load();
    }
  }

  show(answer) {
    const models = answer.models;
    const waiting = answer.incompleteModels.length;
    text(this.status, models.length === 0
        ? `No model is complete on all folds yet; ${plural(waiting, "model")} to come.`
        : `${plural(models.length, "model")}, scored on ${plural(answer.ensemble.samples, "out-of-fold sample")}` +
          (waiting ? `; ${plural(waiting, "model is", "models are")} not complete yet.` : "."));
    this.more.hidden = models.length === 0 || this.full;
    const open = new Set([...this.body.querySelectorAll("details[open] > summary")]
        .map((summary) => summary.textContent));
    this.dropCharts();
    this.body.replaceChildren();
    if (models.length > 0) {
      this.body.append(this.scores(answer), this.growth(answer),
          ...[this.heatMap(answer), this.labels(answer), this.instruments(answer),
            ...this.analysis(answer)].filter(Boolean));
    }
    if (waiting) this.body.append(this.incomplete(answer));
    for (const details of this.body.querySelectorAll("details")) {
      if (open.has(details.firstElementChild.textContent)) details.open = true;
    }
  }

  scores(answer) {
    const folds = Math.max(...answer.models.map((model) => model.foldLogLoss.length));
    const columns = [...Array(folds).keys()];
    const row = (name, scores, byFold, correlation, seconds, mark = null) =>
        el("tr", {class: mark}, heading(name),
            number([loss(scores.logLossShrink0002), interval(scores.logLossShrink0002Interval)]),
            number(percent(scores.accuracy)),
            number(scores.auc ? loss(scores.auc) : "—"),
            number(correlation === null ? "" : loss(correlation)),
            columns.map((i) => number(byFold[i] === undefined ? "" : loss(byFold[i]))),
            number(seconds === null ? "" : duration(seconds)));
    const all = answer.models.reduce((sum, model) => sum + model.seconds, 0);
    const body = el("tbody", {},
        row(`ensemble of ${answer.models.length}`, answer.ensemble, answer.foldLogLoss || [], null, all, "total"),
        answer.models.map((model) => row(
            model.labels.length ? `${model.model} (${model.labels.join(", ")})` : model.model,
            model.scores, model.foldLogLoss, model.correlation, model.seconds)),
        answer.prior ? row("prior", answer.prior, [], null, null, "quiet") : null);
    const wrap = table("Scores of the ensemble and its models", [
      {text: "Model"}, {text: "Log loss", number: true}, {text: "Accuracy", number: true},
      {text: "AUC", number: true}, {text: "Correlation", number: true},
      ...columns.map((i) => ({text: `Fold ${i}`, number: true})),
      {text: "Time", number: true}], body);
    wrap.id = "ensemble-table";
    return el("div", {}, wrap, el("p", {class: "quiet small"},
        "Log loss of probabilities shrunk by 0.002, best first; correlation with the ensemble's mean."));
  }

  // A chart of steps and the same as a table.
  steps(title, yTitle, series) {
    const chart = new LineChart(title, "models", yTitle,
        (line, point) => `${point.x}: ${point.name}, ${loss(point.y)}`);
    chart.set(series.map(({label, steps}, i) => ({label, colour: i, dash: i, dots: true,
      points: steps.map((step, k) => ({x: k + 1, y: step.logLoss, name: step.model}))})));
    this.charts.push(chart);
    return el("div", {class: "steps"}, chart.element, fold(`${title}: steps`, series.map(({label, steps}) =>
        plainTable(label, [{text: "Step", number: true}, {text: label}, {text: "Log loss", number: true}],
            steps.map((step, i) => [number(i + 1), heading(step.model), number(loss(step.logLoss))])))));
  }

  growth(answer) {
    const series = [{label: "Grown by the best next model", steps: answer.growth}];
    if (answer.growthWithReplacement?.length) {
      series.push({label: "A model may come again", steps: answer.growthWithReplacement});
    }
    return el("div", {}, el("h3", {}, "Growth"),
        this.steps("Growth of the ensemble", "log loss", series));
  }

  heatMap(answer) {
    const rows = answer.models;
    if (rows.some((model) => model.correlations?.length !== rows.length)) return null;
    const others = rows.flatMap((model, i) => model.correlations.filter((_, k) => k !== i)).map(Number);
    const low = Math.min(1, ...others);
    const high = Math.max(low + 1e-9, ...others);
    const body = el("tbody", {}, rows.map((model, i) => el("tr", {},
        el("th", {scope: "row"}, `${i + 1} ${model.model}`),
        model.correlations.map((value, k) => {
          const cell = number(i === k ? "1" : loss(value, 2).replace(/^0/, ""),
              {title: `${model.model} and ${rows[k].model}: ${loss(value)}`});
          paint(cell, i === k ? 1 : (Number(value) - low) / (high - low));
          return cell;
        }))));
    const wrap = table("Correlation of the models' predictions", [{text: "Model"},
      ...rows.map((_, i) => ({text: String(i + 1), number: true}))], body);
    wrap.classList.add("heat");
    wrap.id = "heat-map";
    return el("div", {}, el("h3", {}, "Correlation"), wrap, el("p", {class: "quiet small"},
        `From ${loss(low, 3)} (light) to ${loss(high, 3)} (dark); numbers name the models' rows.`));
  }

  labels(answer) {
    const scores = answer.labelScores?.length ? answer.labelScores
        : answer.labels.map((label, i) => ({label, logLoss: answer.labelLogLoss[i]}));
    if (scores.length === 0) return null;
    return fold("By label", plainTable("Scores by label", [
      {text: "Label"}, {text: "Log loss", number: true}, {text: "AUC", number: true},
      {text: "Average precision", number: true}, {text: "Positive", number: true}],
    scores.map((score) => [heading(score.label),
      number([loss(score.logLoss), interval(score.logLossInterval)]),
      number(loss(score.auc)), number(loss(score.averagePrecision)),
      number(score.samples ? `${score.positive} of ${score.samples}` : "—")])),
    answer.unpredictedLabels.length
        ? el("p", {class: "quiet"}, `No model predicts ${answer.unpredictedLabels.join(", ")}.`) : null);
  }

  instruments(answer) {
    if (!answer.instruments?.length) return null;
    return fold("By instrument", plainTable("Scores by instrument", [
      {text: "Instrument"}, {text: "Log loss", number: true}, {text: "Accuracy", number: true},
      {text: "Samples", number: true}],
    answer.instruments.map(({instrumentType, scores}) => [heading(instrumentType),
      number([loss(scores.logLossShrink0002), interval(scores.logLossShrink0002Interval)]),
      number(percent(scores.accuracy)), number(scores.samples)])));
  }

  // What GetEnsemble answers when asked in full.
  analysis(answer) {
    const parts = [];
    if (answer.elimination?.length) {
      parts.push(el("h3", {}, "Elimination"), this.steps("Elimination of models", "log loss",
          [{label: "Left out, one after another", steps: answer.elimination}]));
    }
    if (answer.weightings?.length) {
      parts.push(fold("Weightings", plainTable("Ways to weigh the models", [
        {text: "Weighting"}, {text: "Log loss, nested", number: true}, {text: "Gain", number: true},
        {text: "Log loss, fitted", number: true}],
      answer.weightings.map((each) => [heading(each.name), number(loss(each.nestedLogLoss)),
        number([loss(each.gain), interval(each.gainInterval)]), number(loss(each.logLoss))]))));
    }
    if (answer.shrink?.length) {
      parts.push(fold("Shrinking", plainTable("The shrink constant that fits best", [
        {text: "Samples"}, {text: "Constant", number: true}, {text: "Log loss", number: true},
        {text: "Log loss, nested", number: true}],
      answer.shrink.map((each) => [heading(each.instrumentType || "all"), number(loss(each.constant)),
        number(loss(each.logLoss)), number(loss(each.nestedLogLoss))]))));
    }
    if (answer.tta?.length) {
      const chart = new LineChart("Log loss by draws", "draws a sample", "log loss",
          (line, point) => `${point.x} draws: ${loss(point.y)}`);
      chart.set([{label: "ensemble", colour: 0, dots: true,
                  points: answer.tta.map((point) => ({x: point.draws, y: point.logLoss}))}]);
      this.charts.push(chart);
      parts.push(el("h3", {}, "Draws"), el("div", {class: "steps"}, chart.element));
    }
    return parts;
  }

  incomplete(answer) {
    const reasons = answer.incomplete?.length ? answer.incomplete
        : answer.incompleteModels.map((model) => ({model, reason: "not complete on all folds"}));
    return fold(`Not counted: ${plural(reasons.length, "model")}`, el("ul", {},
        reasons.map(({model, reason}) => el("li", {}, `${model}: ${reason}`))));
  }
}
