// Line charts by Chart.js, in the page's colours, with dashes beside colours so
// that lines are told apart without them.
/* global Chart */
import {el} from "./dom.js";

// Okabe and Ito's palette for all kinds of sight, and how its hues look on
// white and on black.
const kLight = ["#0072b2", "#b34700", "#007a5a", "#a0457f", "#1f1f1f", "#7a6000", "#3b7ea8", "#8a3ffc"];
const kDark = ["#56b4e9", "#ff9d4d", "#2fcf9f", "#e39bc7", "#f0f0f0", "#f0e442", "#9fc5ff", "#c9a6ff"];
const kDashes = [[], [6, 3], [2, 2], [8, 3, 2, 3], [1, 4]];

const kMaxNamed = 4;

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const charts = new Set();

export function lineColour(index) {
  const palette = dark.matches ? kDark : kLight;
  return palette[index % palette.length];
}

export function lineDash(index) {
  return kDashes[index % kDashes.length];
}

function cssColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A chart of lines over numbers. `element` holds it.
export class LineChart {
  // xTitle, yTitle: of the axes. tooltip(dataset, point) -> text, if given.
  constructor(label, xTitle, yTitle, tooltip = null) {
    this.canvas = el("canvas", {role: "img", "aria-label": label});
    this.element = el("div", {class: "chart"}, this.canvas);
    this.chart = new Chart(this.canvas, {
      type: "line",
      data: {datasets: []},
      options: {
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        parsing: false,
        normalized: true,
        interaction: {mode: "nearest", axis: "xy", intersect: false},
        elements: {point: {radius: 0, hitRadius: 8}, line: {borderWidth: 1.6}},
        scales: {
          x: {type: "linear", title: {display: true, text: xTitle}, ticks: {precision: 0}},
          y: {type: "linear", title: {display: true, text: yTitle}},
        },
        plugins: {
          legend: {display: false, align: "start",
                   labels: {usePointStyle: true, pointStyle: "line"}},
          tooltip: tooltip ? {callbacks: {title: () => "", label: (context) =>
              tooltip(context.dataset, context.raw)}} : {},
        },
      },
    });
    charts.add(this);
    this.paint();
  }

  // lines: [{label, points: [{x, y}], colour: index, dash: index, dots}].
  set(lines, label = null) {
    if (label) this.canvas.setAttribute("aria-label", label);
    this.lines = lines;
    // A few lines are named in the picture; of many the page has a list.
    this.chart.options.plugins.legend.display =
        lines.length > 1 && lines.length <= kMaxNamed && new Set(lines.map((line) => line.colour)).size === lines.length;
    this.chart.data.datasets = lines.map((line) => ({
      label: line.label,
      data: line.points,
      borderColor: lineColour(line.colour),
      backgroundColor: lineColour(line.colour),
      borderDash: lineDash(line.dash || 0),
      pointRadius: line.dots || line.points.length === 1 ? 2.5 : 0,
    }));
    this.chart.update("none");
  }

  logarithmic(on) {
    this.chart.options.scales.y.type = on ? "logarithmic" : "linear";
    this.chart.update("none");
  }

  paint() {
    const ink = cssColour("--quiet");
    const line = cssColour("--line");
    this.chart.options.plugins.legend.labels.color = ink;
    for (const axis of Object.values(this.chart.options.scales)) {
      axis.grid = {color: line, borderColor: line};
      axis.ticks = {...axis.ticks, color: ink};
      axis.title = {...axis.title, color: ink};
    }
    if (this.lines) this.set(this.lines);
    this.chart.update("none");
  }

  destroy() {
    charts.delete(this);
    this.chart.destroy();
  }
}

dark.addEventListener("change", () => charts.forEach((chart) => chart.paint()));
