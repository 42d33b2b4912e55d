// How the report looks; see report.h.
//
// Series colours are Okabe and Ito's, chosen to differ for every kind of colour
// vision; on dark screens lighter ones of the same hues. Paper is always light.
#include "absl/strings/str_cat.h"
#include "coordinator/cli/report.h"

namespace foldfarm {
namespace {

constexpr char kColours[] = R"css(
:root {
  --paper: #fff; --ink: #1b1f24; --quiet: #59636e; --rule: #d5dae0;
  --band: #f4f6f8; --link: #0969da; --good: #0a6b3d; --bad: #a4360b;
  --notice: #fff8e1; --notice-rule: #d9a400;
  --c0: #0072b2; --c1: #d55e00; --c2: #007a5a; --c3: #a8518a; --c4: #b07c00;
  --c5: #4b4b4b;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --ink: #e3e8ee; --quiet: #9aa5b1; --rule: #353d47;
    --band: #1d232a; --link: #6cb6ff; --good: #5fd39a; --bad: #ff9b73;
    --notice: #2d2711; --notice-rule: #b38b00;
    --c0: #56b4e9; --c1: #ff8f45; --c2: #3fcf9f; --c3: #e29bca; --c4: #e6b83d;
    --c5: #c3c9d0;
  }
}
)css";

constexpr char kPage[] = R"css(
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 72rem; padding: 1.5rem clamp(0.8rem, 3vw, 2rem);
  background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans",
        sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 {
  font-size: 1.25rem; margin: 2.6rem 0 0.8rem; padding-bottom: 0.3rem;
  border-bottom: 1px solid var(--rule);
}
h3 { font-size: 1rem; margin: 1.4rem 0 0.3rem; overflow-wrap: anywhere; }
p { margin: 0.4rem 0; max-width: 48rem; }
a { color: var(--link); }
header p { margin: 0.3rem 0 0.8rem; }
nav ul {
  list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: 0.2rem 1rem;
}
footer { margin-top: 3rem; border-top: 1px solid var(--rule); }
footer, .quiet { color: var(--quiet); font-size: 0.9rem; }
code, .code, pre {
  font-family: ui-monospace, SFMono-Regular, "DejaVu Sans Mono", Menlo,
               monospace;
  font-size: 0.8rem;
}
.code { overflow-wrap: anywhere; min-width: 17rem; }
pre {
  background: var(--band); border: 1px solid var(--rule); border-radius: 6px;
  padding: 0.7rem; white-space: pre-wrap; overflow-wrap: anywhere;
  line-height: 1.45;
}
.notice {
  background: var(--notice); border-left: 4px solid var(--notice-rule);
  padding: 0.5rem 0.9rem; margin: 0.8rem 0; max-width: none;
  overflow-wrap: anywhere;
}
.notice p { margin: 0; }
.notice ul { margin: 0.2rem 0; padding-left: 1.2rem; }
.state {
  border: 1px solid currentColor; border-radius: 999px; padding: 0 0.6em;
  margin-right: 0.3em;
}
.state.succeeded { color: var(--good); }
.state.failed { color: var(--bad); }
.state.running { color: var(--link); }
.tiles {
  display: grid; gap: 0.7rem; margin: 0.8rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 10rem), 1fr));
}
.tile { border: 1px solid var(--rule); border-radius: 8px; padding: 0.6rem 0.8rem; }
.tile dt { color: var(--quiet); font-size: 0.85rem; }
.tile dd { margin: 0; }
.tile b {
  display: block; font-size: 1.45rem; line-height: 1.25; font-weight: 600;
  font-variant-numeric: tabular-nums;
}
.tile span { color: var(--quiet); font-size: 0.8rem; overflow-wrap: anywhere; }
.columns {
  display: grid; gap: 0.5rem 2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
}
.columns > * { min-width: 0; }
details { margin: 0.8rem 0; }
summary { cursor: pointer; color: var(--link); }
)css";

constexpr char kTables[] = R"css(
.scroll { overflow-x: auto; margin: 0.8rem 0 1.2rem; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.88rem; }
caption {
  text-align: left; font-weight: 600; padding-bottom: 0.35rem; line-height: 1.35;
}
th, td {
  text-align: left; vertical-align: top; padding: 0.28rem 0.6rem;
  border-bottom: 1px solid var(--rule);
}
th:first-child { padding-left: 0.2rem; }
tbody th { font-weight: 500; }
thead th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead .n { white-space: normal; }
td small { display: block; color: var(--quiet); font-size: 0.78em; }
td.folds { white-space: normal; word-spacing: 0.25em; color: var(--quiet); }
tr.total { font-weight: 650; background: var(--band); }
tr.total th { font-weight: 650; }
tr.quiet, tr.quiet th { color: var(--quiet); font-size: inherit; }
tr.wrong { font-weight: 600; color: var(--bad); }
td.good { color: var(--good); }
td.bad { color: var(--bad); }
.compact th, .compact td { padding: 0.14rem 0.5rem; font-size: 0.82rem; }
.dense th, .dense td { padding: 0.1rem 0.3rem; font-size: 0.72rem; }
.facts tbody th { white-space: nowrap; color: var(--quiet); }
)css";

constexpr char kCharts[] = R"css(
figure { margin: 0.6rem 0; min-width: 0; }
figcaption { color: var(--quiet); font-size: 0.85rem; overflow-wrap: anywhere; }
.small figcaption { color: var(--ink); font-weight: 600; order: -1; }
.small { display: flex; flex-direction: column; }
svg { display: block; width: 100%; height: auto; max-width: 40rem; }
.heat { overflow-x: auto; }
.heat svg { min-width: 34rem; max-width: 52rem; }
.multiples {
  display: grid; gap: 0.9rem 1.4rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 18.5rem), 1fr));
}
.narrow {
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 14rem), 1fr));
}
svg text { fill: var(--ink); font: 12px system-ui, "DejaVu Sans", sans-serif; }
svg .tick, svg .name, svg .legend { fill: var(--quiet); }
svg .tick { font-size: 11.5px; }
svg .mark { font-size: 9.5px; }
svg .mark.light { fill: #fff; }
svg .mark.dark { fill: #1b1f24; }
.grid { stroke: var(--rule); stroke-width: 0.7; }
.axis { stroke: var(--quiet); stroke-width: 1; }
.reference { stroke: var(--quiet); stroke-width: 1.2; stroke-dasharray: 5 4; }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.line.bold { stroke-width: 2.4; }
.line.faint { stroke-width: 0.8; opacity: 0.5; }
.d1 { stroke-dasharray: 7 3; }
.d2 { stroke-dasharray: 2 3; }
.d3 { stroke-dasharray: 9 3 2 3; }
.d4 { stroke-dasharray: 4 2; }
.d5 { stroke-dasharray: 12 4; }
.faint { stroke-dasharray: none; }
.c0 { stroke: var(--c0); } .dot.c0 { fill: var(--c0); }
.c1 { stroke: var(--c1); } .dot.c1 { fill: var(--c1); }
.c2 { stroke: var(--c2); } .dot.c2 { fill: var(--c2); }
.c3 { stroke: var(--c3); } .dot.c3 { fill: var(--c3); }
.c4 { stroke: var(--c4); } .dot.c4 { fill: var(--c4); }
.c5 { stroke: var(--c5); } .dot.c5 { fill: var(--c5); }
.bar { fill: var(--c0); opacity: 0.35; }
.whisker { stroke: var(--c0); stroke-width: 1; opacity: 0.6; }
.empty { fill: var(--band); }
)css";

constexpr char kPrint[] = R"css(
@page { size: A4; margin: 14mm 13mm 16mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  nav, summary { display: none; }
  /* Folded tables are unfolded on paper. */
  details::details-content { content-visibility: visible; display: block; }
  h1 { font-size: 18pt; }
  h2 { margin-top: 0; }
  section { break-before: page; }
  section:first-of-type { break-before: auto; margin-top: 1rem; }
  h2, h3, caption { break-after: avoid; }
  tr, figure, .tile, .notice { break-inside: avoid; }
  .sample { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll, .heat { overflow: visible; }
  .columns { grid-template-columns: 1fr 1fr; gap: 0.3rem 1.2rem; }
  .multiples { grid-template-columns: 1fr 1fr 1fr; }
  .heat svg { min-width: 0; }
  table { font-size: 8pt; }
  th, td { padding: 0.12rem 0.35rem; }
  .compact th, .compact td { font-size: 7pt; padding: 0.08rem 0.25rem; }
  .dense th, .dense td { font-size: 5pt; padding: 0.05rem 0.1rem; }
  .dense thead th { writing-mode: vertical-rl; }
  .code { font-size: 6pt; min-width: 0; }
  pre { font-size: 7pt; }
  a { color: inherit; text-decoration: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)css";

}  // namespace

std::string ReportStyle() {
  return absl::StrCat(kColours, kPage, kTables, kCharts, kPrint);
}

}  // namespace foldfarm
