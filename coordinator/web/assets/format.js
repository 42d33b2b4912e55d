// Numbers and times as people read them. Figures have as many digits as the
// `foldfarm` command gives them, so that they look the same wherever they are.

export const kStates = {
  PENDING: {word: "pending", sign: "·"},
  RUNNING: {word: "running", sign: "▸"},
  SUCCEEDED: {word: "succeeded", sign: "✓"},
  FAILED: {word: "failed", sign: "✕"},
  CANCELLED: {word: "cancelled", sign: "–"},
  PAUSED: {word: "paused", sign: "="},
  LOST: {word: "lost", sign: "?"},
  PREEMPTED: {word: "preempted", sign: "↩"},
  ONLINE: {word: "online", sign: "✓"},
  DRAINING: {word: "draining", sign: "↓"},
  OFFLINE: {word: "offline", sign: "✕"},
  QUARANTINED: {word: "in quarantine", sign: "!"},
};

export function stateOf(name) {
  return kStates[name] || {word: String(name).toLowerCase(), sign: "?"};
}

// A sweep's or a job's state, or that it is paused.
export function shownState(of) {
  return of.paused ? "PAUSED" : of.state;
}

// 0.1234; a dash where there is no number. Proto3 JSON has "NaN" as text.
export function loss(value, digits = 4) {
  const number = value === null || value === undefined ? NaN : Number(value);
  return Number.isFinite(number) ? number.toFixed(digits) : "—";
}

export function percent(value) {
  const number = Number(value);
  return Number.isFinite(number) ? `${(100 * number).toFixed(1)} %` : "—";
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

// 4.2 s, 7m 19s, 1h 15m.
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "—";
  if (seconds < 10) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const two = (n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 2880) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  return `${Math.round(minutes / 1440)}d`;
}

// Of a Timestamp in proto3 JSON; NaN where there is none.
export function millis(time) {
  return time ? Date.parse(time) : NaN;
}

export function clockTime(time) {
  const at = millis(time);
  if (Number.isNaN(at)) return "—";
  const date = new Date(at);
  const today = new Date().toDateString() === date.toDateString();
  const clock = date.toLocaleTimeString("en-GB");
  if (today) return clock;
  const day = date.toLocaleDateString("en-GB", {day: "numeric", month: "short"});
  return `${day} ${clock.slice(0, 5)}`;
}

export function ago(time) {
  const at = millis(time);
  return Number.isNaN(at) ? "—" : `${duration(Math.max(0, (Date.now() - at) / 1000))} ago`;
}

export function bytes(count) {
  let value = Number(count);
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    ++unit;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit]}`;
}

export function done(sweep) {
  return sweep.succeeded + sweep.failed + sweep.cancelled;
}

export function total(sweep) {
  return done(sweep) + sweep.running + sweep.pending;
}

// "#/jobs/s3/130_gru/0" of "s3/130_gru/0".
export function jobLink(name) {
  return `#/jobs/${name.split("/").map(encodeURIComponent).join("/")}`;
}

export function sweepLink(id) {
  return `#/sweeps/${encodeURIComponent(id)}`;
}

// A part of a job's epochs, 0 to 1.
export function progress(job) {
  if (job.state === "SUCCEEDED") return 1;
  return job.epochs > 0 ? Math.min(1, job.epoch / job.epochs) : 0;
}
