// The engine of the server that this page comes from. Recordings are sent to it.

import { complete } from "./leads.js";
import { Problem } from "./problem.js";

/** The fields of a request by the names that this page gives them. */
const FIELDS = { samplingRateHz: "sampling_rate_hz", unit: "unit", leads: "leads" };

/** Computes on the server. */
export class ServerEngine {
  /** The token that the server asks for, if it does. It is kept in this page's memory alone. */
  token;
  #predictions = [];

  /** Returns whether there is a server at this page's address, and not a host of files alone. */
  static async isThere() {
    try {
      const response = await fetch("healthz", { cache: "no-store" });
      return response.ok && !response.headers.get("content-type")?.includes("html");
    } catch {
      return false;
    }
  }

  /** Reads and classifies files on the server. Returns the recordings. */
  async open({ files, options = {}, sample }) {
    const form = new FormData();
    const sent = sample ? [await synthetic(sample)] : files;
    for (const file of sent) form.append("file", file, file.name);
    for (const [name, field] of Object.entries(FIELDS)) {
      if (options[name] !== undefined) form.append(field, String(options[name]));
    }
    form.append("signals", "true");
    this.#predictions = await this.#predict(form);
    return this.#predictions.map((it) => ({
      name: it.record,
      samplingRateHz: it.sampling_rate_hz,
      durationS: it.duration_s,
      leads: Object.keys(it.signals),
      warnings: it.warnings,
    }));
  }

  async part(at, from, seconds) {
    const { signals, sampling_rate_hz: rate } = this.#predictions[at];
    const [first, end] = [from, from + seconds].map((time) => Math.round(time * rate));
    const part = (samples) => Float32Array.from(samples.slice(first, end));
    return complete(Object.fromEntries(Object.entries(signals).map(([name, samples]) => [name, part(samples)])));
  }

  async classify(at) {
    const { signals: _, ...prediction } = this.#predictions[at];
    return prediction;
  }

  async explain(at, { name }) {
    return (await this.ask(this.#predictions[at].signals, this.#predictions[at].sampling_rate_hz, { explain: name })).explanation;
  }

  /** Classifies leads in mV on the server, sent as JSON. */
  async ask(leads, samplingRateHz, more = {}) {
    const names = Object.keys(leads);
    const inputs = [names.map((name) => Array.from(leads[name]))];
    const body = JSON.stringify({ inputs, sampling_rate_hz: samplingRateHz, unit: "mV", leads: names, ...more });
    return (await this.#predict(body, { "content-type": "application/json" }))[0];
  }

  async #predict(body, headers = {}) {
    const start = performance.now();
    if (this.token) headers.authorization = `Bearer ${this.token}`;
    const response = await answered(() => fetch("api/predict", { method: "POST", body, headers, cache: "no-store" }));
    const content = await answered(() => response.json());
    if (!response.ok) throw refused(response, content);
    const ms = performance.now() - start;
    return content.predictions.map((it) => ({ ...it, took_ms: it.took_ms ?? ms / content.predictions.length }));
  }
}

async function answered(work) {
  try {
    return await work();
  } catch {
    throw new Problem({ kind: "server", cause: "the server does not answer", remedy: "check that it runs, and try again" });
  }
}

/** Makes a problem of what the server says, with the option that it asks for, if any. */
function refused(response, content) {
  const { kind, cause = `the server answered ${response.status}`, remedy = "try again" } = content ?? {};
  const field = /the field (\w+)/.exec(remedy)?.[1];
  const option = Object.keys(FIELDS).find((name) => FIELDS[name] === field);
  return new Problem({ kind, cause, remedy, option: response.status === 401 ? "token" : option });
}

/** Fetches a synthetic recording as a file. */
async function synthetic(condition) {
  const response = await answered(() => fetch(`samples/${condition}.csv`));
  if (!response.ok) {
    throw new Problem({ kind: "server", cause: "this server has no synthetic samples", remedy: "open a file" });
  }
  return new File([await response.blob()], `synthetic-${condition}.csv`);
}
