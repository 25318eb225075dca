// The engine in a worker: reads, classifies and explains, so that the page never waits.
//
// Every message is `{ id, task, given }`; the answer is `{ id, done }`, `{ id, error }`, or on the way `{ id, progress }`.

import { complete } from "./leads.js";

let engine;
/** Classifiers by device, made when they are first needed. */
const classifiers = new Map();
/** The recordings of the open files, and the samples of those that were drawn. */
let recordings = [];
let samples = new Map();

/** The weights, fetched once for all classifiers, so that nothing is asked of the server after the start. */
let weights;

async function fetched() {
  const response = await fetch(new URL("./engine/weights.safetensors", import.meta.url));
  if (!response.ok) throw new engine.EcgpuError("file", `the weights cannot be loaded (status ${response.status})`, "reload the page");
  return new Uint8Array(await response.arrayBuffer());
}

async function open(device) {
  weights ??= fetched().catch((error) => {
    weights = undefined;
    throw error;
  });
  return engine.Classifier.open({ device, weights: await weights });
}

async function classifier(device) {
  if (!classifiers.has(device)) {
    const opened = open(device);
    classifiers.set(device, opened);
    opened.catch(() => classifiers.delete(device));
  }
  return classifiers.get(device);
}

function replace(made) {
  recordings.forEach((it) => it.free());
  recordings = made;
  samples = new Map();
  return recordings.map((it) => ({
    name: it.name,
    samplingRateHz: it.samplingRateHz,
    durationS: it.durationS,
    leads: it.leads,
    warnings: it.warnings,
  }));
}

/** Returns the samples of every known lead of a recording. */
function allOf(at) {
  if (!samples.has(at)) {
    const recording = recordings[at];
    samples.clear();
    samples.set(at, complete(Object.fromEntries(recording.leads.map((name) => [name, recording.lead(name)]))));
  }
  return samples.get(at);
}

const tasks = {
  async start({ device }) {
    engine = await import("./engine/ecgpu.js");
    await engine.default();
    const { classes, thresholds, network } = await classifier(device);
    return { classes, thresholds, network, formats: engine.formats() };
  },
  async open({ files, options }) {
    const read = async (file) => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
    return replace(engine.read(await Promise.all(files.map(read)), options));
  },
  synthesize: ({ condition, options }) => replace([engine.synthesize(condition, options)]),
  /** The samples of a part of a recording, in mV. */
  part({ at, from, seconds }) {
    const { leads, derived } = allOf(at);
    const rate = recordings[at].samplingRateHz;
    const [first, end] = [from, from + seconds].map((time) => Math.round(time * rate));
    const part = Object.fromEntries(Object.entries(leads).map(([name, all]) => [name, all.slice(first, end)]));
    return { leads: part, derived };
  },
  async classify({ at, device }) {
    return (await classifier(device)).classify(recordings[at]);
  },
  async explain({ at, device, name, methods }, progress) {
    const explain = { class: name, methods };
    return (await (await classifier(device)).classify(recordings[at], { explain, onProgress: progress })).explanation;
  },
  async reference({ at }) {
    return (await classifier("wasm")).classifyReference(recordings[at]);
  },
  async verify({ device }) {
    return (await classifier(device)).verify();
  },
};

/** The parts of an error that the page shows. */
function described(error) {
  const { kind = "fault", cause = error.message ?? String(error), remedy = "reload the page", option } = error;
  return { kind, cause: String(cause), remedy, option };
}

/** The task before: tasks are done one after the other, in the order in which they came. */
let before = Promise.resolve();

addEventListener("message", ({ data }) => {
  before = before.then(() => perform(data));
});

async function perform({ id, task, given }) {
  let last = 0;
  const progress = (done, total) => {
    const now = performance.now();
    if (now - last < 60 && done < total) return;
    last = now;
    postMessage({ id, progress: done / total });
  };
  try {
    postMessage({ id, done: await tasks[task](given, progress) });
  } catch (error) {
    postMessage({ id, error: described(error) });
  }
}
