// What the page knows of the farm, and the one event stream that keeps it so.
//
// The stream follows what the page looks at: setTopic() opens another. While
// the tab is hidden there is none (a browser grants six connections a host, so
// forgotten tabs must not hold them). EventSource reconnects by itself and says
// how far it was; a coordinator that was started anew has another `instance`,
// and then everything is forgotten ("reset") and read again. A stream that the
// coordinator refuses is asked for again, and "problem" says why it is not had.

// Lines of the log that the page keeps; `foldfarm logs JOB` prints all.
export const kMaxLines = 5000;
// Until a stream that was refused is asked for again.
const kRetryMs = 5000;

// Forgets what a lost attempt reported beyond its checkpoint: it is trained
// anew. Returns whether there was any. epochs: Map by number.
function forgetLost(job, epochs) {
  // A job that succeeded stands at its goal, however many epochs that took.
  if (job.state === "SUCCEEDED") return false;
  const lost = [...epochs.keys()].filter((epoch) => epoch > job.epoch);
  for (const epoch of lost) epochs.delete(epoch);
  return lost.length > 0;
}

export class FarmState extends EventTarget {
  constructor() {
    super();
    this.version = "";
    this.connected = false;
    this.sweeps = new Map();   // By id, as ListSweeps has them.
    this.workers = new Map();  // By name.
    this.clearTopic();
    this.topic = {sweep: "", job: "", models: []};
    this.instance = null;
    this.source = null;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) {
        this.close();
      } else if (!this.source) {
        this.open();
      }
    });
  }

  clearTopic() {
    this.problem = "";        // Why the coordinator refuses the stream.
    this.sweepLoaded = false;
    this.sweepId = "";        // Of the watched sweep; its topic may be a name.
    this.jobs = new Map();    // Of the watched sweep, by name, in its order.
    this.curves = new Map();  // By job: {attempt, points: Map(epoch -> loss)}.
    this.job = null;          // GetJobResponse of the watched job.
    this.metrics = new Map();  // Its epochs, by number: values.
    this.result = {};
    this.shortened = false;   // The last event took epochs back.
    this.log = [];            // Its newest lines, in order.
  }

  // topic: {sweep, job, models}. Only other models: what is known stays.
  setTopic(topic) {
    const same = topic.sweep === this.topic.sweep && topic.job === this.topic.job;
    if (!same) this.clearTopic();
    this.topic = topic;
    this.open();
  }

  close() {
    if (this.source) this.source.close();
    this.source = null;
  }

  open() {
    this.close();
    if (document.hidden) return;
    const query = new URLSearchParams();
    if (this.topic.sweep) query.set("sweep", this.topic.sweep);
    if (this.topic.job) query.set("job", this.topic.job);
    for (const model of this.topic.models) query.append("model", model);
    const source = new EventSource(`/api/v1/events?${query}`);
    this.source = source;
    const on = (name, handle) => source.addEventListener(name, (event) => {
      handle(JSON.parse(event.data));
      this.tell(name);
    });
    source.onopen = () => {
      this.setProblem("");
      this.connect(true);
    };
    source.onerror = () => {
      this.connect(false);
      // A status that is no stream ends an EventSource for good: a page too
      // many, or a sweep that is gone. Somebody may mend that.
      if (source.readyState === EventSource.CLOSED && this.source === source) {
        this.askWhy(source);
        setTimeout(() => this.source === source && this.open(), kRetryMs);
      }
    };
    on("hello", (hello) => {
      this.version = hello.version;
      if (this.instance && this.instance !== hello.instance) {
        this.sweeps.clear();
        this.workers.clear();
        this.clearTopic();
        this.instance = hello.instance;
        this.tell("reset");
        this.open();
        return;
      }
      this.instance = hello.instance;
    });
    on("sweeps", (message) => {
      for (const sweep of message.sweeps) this.sweeps.set(sweep.id, sweep);
    });
    on("workers", (message) => {
      for (const worker of message.workers) {
        this.workers.set(worker.name, worker);
      }
    });
    on("jobs", (message) => {
      this.sweeps.set(message.sweep.id, message.sweep);
      this.sweepId = message.sweep.id;
      this.shortened = false;
      this.changed = message.jobs.map((job) => {
        const before = this.jobs.get(job.name);
        this.jobs.set(job.name, job);
        const curve = this.curves.get(job.name);
        if (curve && forgetLost(job, curve.points)) this.shortened = true;
        return {job, before};
      });
      this.sweepLoaded = true;
    });
    on("curves", (message) => this.addCurves(message.curves));
    on("job", (message) => {
      this.job = message;
      this.shortened = forgetLost(message.job, this.metrics);
    });
    on("metrics", (message) => {
      for (const epoch of message.epochs) {
        this.metrics.set(epoch.epoch, epoch.values);
      }
      this.result = message.result;
    });
    on("log", (message) => {
      const last = this.log.length ? Number(this.log.at(-1).sequence) : 0;
      this.newLines = message.lines.filter(
          (line) => Number(line.sequence) > last);
      this.log.push(...this.newLines);
      this.log.splice(0, Math.max(0, this.log.length - kMaxLines));
    });
  }

  // An EventSource does not say what it was answered; a question does.
  async askWhy(source) {
    const {sweep, job} = this.topic;
    if (this.problem || !(sweep || job)) return;
    const parts = job ? ["jobs", ...job.split("/")] : ["sweeps", sweep];
    try {
      await ask(parts.map(encodeURIComponent).join("/"));
    } catch (error) {
      // Without a status nobody answered.
      if (error.status && this.source === source) this.setProblem(error.message);
    }
  }

  setProblem(problem) {
    if (this.problem === problem) return;
    this.problem = problem;
    this.tell("problem");
  }

  addCurves(curves) {
    for (const curve of curves) {
      let known = this.curves.get(curve.job);
      if (!known || known.attempt !== curve.attempt) {
        known = {attempt: curve.attempt, points: new Map()};
        this.curves.set(curve.job, known);
      }
      curve.epoch.forEach((epoch, i) => {
        known.points.set(epoch, curve.logLoss[i]);
      });
    }
  }

  connect(connected) {
    this.connected = connected;
    this.tell("connection");
  }

  tell(name) {
    this.dispatchEvent(new Event(name));
  }

  // The sweep that the page looks at, as far as it is known.
  watchedSweep() {
    return this.sweeps.get(this.sweepId || this.topic.sweep);
  }

  // Sweeps, newest first.
  sweepList() {
    return [...this.sweeps.values()].sort(
        (a, b) => Number(b.id.slice(1)) - Number(a.id.slice(1)));
  }

  workerList() {
    const order = {QUARANTINED: 0, ONLINE: 1, DRAINING: 2, OFFLINE: 3};
    return [...this.workers.values()].sort((a, b) =>
        (order[a.state] - order[b.state]) ||
        a.name.localeCompare(b.name, "en", {numeric: true}));
  }
}

// Asks the coordinator once. Throws an Error with its message and HTTP status;
// without a status when it does not answer.
export async function ask(path, options = {}) {
  const response = await fetch(`/api/v1/${path}`, options);
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  const message = body?.error?.message || `the coordinator answered ${response.status}`;
  throw Object.assign(new Error(message), {status: response.status});
}
