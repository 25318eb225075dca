// The surface of the package: loads the module, and turns what it returns and throws into objects, promises and errors.
// ecgpu.d.ts documents every name.

import * as engine from "./ecgpu_bg.js";

/** An error with what happened and what can be done about it. */
export class EcgpuError extends Error {
  constructor(kind, cause, remedy, option) {
    super(`${cause}: ${remedy}`, { cause });
    this.name = "EcgpuError";
    this.kind = kind;
    this.remedy = remedy;
    this.option = option ?? undefined;
  }
}

const usage = (cause, remedy) => new EcgpuError("usage", cause, remedy);

/** The promise of a loaded module; none before the first call of `init`. */
let loading;
/** Whether the module is loaded. */
let loaded = false;
/** The error that stopped the module. */
let stopped;
/** How often the module was made anew. */
let generation = 0;

export default function init({ module } = {}) {
  if (stopped) {
    // The compiled module is sound: only its memory is not.
    engine.__wbg_reset_state();
    generation += 1;
    stopped = undefined;
  }
  loading ??= load(module ?? new URL("./ecgpu_bg.wasm", import.meta.url)).catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(module) {
  const source = isAddress(module) ? await fetched(module) : module;
  try {
    await engine.default({ module_or_path: source });
  } catch (error) {
    const remedy = "give the ecgpu_bg.wasm of this version, and a browser whose WebAssembly has SIMD";
    throw new EcgpuError("module", `the module cannot be loaded (${error.message})`, remedy);
  }
  loaded = true;
}

const isAddress = (value) => typeof value === "string" || value instanceof URL;

/** Fetches a file. Node does not fetch files of its disk, so they are read there. */
async function fetched(address) {
  try {
    const url = new URL(address, globalThis.document?.baseURI ?? import.meta.url);
    const node = url.protocol === "file:" && globalThis.process?.getBuiltinModule?.("node:fs/promises");
    if (node) return await node.readFile(url);
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return response;
  } catch (error) {
    throw new EcgpuError("file", `${address} cannot be loaded (${error.message})`, "check that the server has this file");
  }
}

/** Calls into the module. */
function call(work) {
  if (stopped) throw stopped;
  if (!loaded) throw usage("the module is not loaded", "await init() first");
  try {
    return work();
  } catch (error) {
    throw translated(error);
  }
}

/** For each call that waits for the module: the function that rejects it. */
const waiting = new Set();

// What stops the module while it goes on with a promise reaches no caller, only the page or the worker.
globalThis.addEventListener?.("error", ({ error }) => {
  if (waiting.size > 0 && !stopped && error instanceof WebAssembly.RuntimeError && panicked()) translated(error);
});

/** Calls into the module and waits for the promise that it returns. */
async function answer(work) {
  const promise = call(work);
  let reject;
  const fault = new Promise((_, rejects) => waiting.add((reject = rejects)));
  try {
    return await Promise.race([promise, fault]);
  } catch (error) {
    throw translated(error);
  } finally {
    waiting.delete(reject);
  }
}

/** The exception for what the module threw. */
function translated(error) {
  if (typeof error === "string") {
    const { kind, cause, remedy, option } = JSON.parse(error);
    return new EcgpuError(kind, cause, remedy, option);
  }
  if (!(error instanceof WebAssembly.RuntimeError || error instanceof RangeError)) return error;
  const place = panicked();
  const cause = place ? `a fault of ecgpu at ${place}` : `WebAssembly ran out of memory, or ecgpu has a fault (${error.message})`;
  const remedy = "await init() again, make recordings and classifiers anew, and report what was done";
  stopped = new EcgpuError("module", cause, remedy);
  for (const reject of waiting) reject(stopped);
  return stopped;
}

function panicked() {
  try {
    return engine.panicked();
  } catch {
    return undefined;
  }
}

export const formats = () => call(() => engine.formats());

export function read(files, { samplingRateHz, unit, leads } = {}) {
  const list = Array.isArray(files) ? files : [files];
  const names = [];
  const contents = list.map((file) => {
    const { name, bytes } = file ?? {};
    const buffer = ArrayBuffer.isView(bytes) ? bytes.buffer : bytes;
    if (typeof name !== "string" || !(buffer instanceof ArrayBuffer || buffer instanceof SharedArrayBufferOrNone)) {
      throw usage("a file without a name or bytes", "give { name: string, bytes: Uint8Array or ArrayBuffer } for each file");
    }
    names.push(name);
    return ArrayBuffer.isView(bytes) ? new Uint8Array(buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(buffer);
  });
  const size = contents.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (size > LARGEST) throw usage(`files of ${size} bytes`, `give at most ${LARGEST}: the memory of WebAssembly is limited`);
  const rate = optional("samplingRateHz", samplingRateHz, "a number");
  const stated = optional("unit", unit, "a string");
  const named = optional("leads", leads, "an array of strings");
  return call(() => engine.read(names, contents, rate, stated, named)).map((it) => new Recording(it));
}

/** The largest sum of files: WebAssembly has 4 GiB, and a reader may need several times its file. */
const LARGEST = 512 * 1024 * 1024;
const SharedArrayBufferOrNone = globalThis.SharedArrayBuffer ?? ArrayBuffer;

/** The types of options, each with how a value is known to be of it. */
const TYPES = {
  "a number": (value) => typeof value === "number",
  "a whole number below 2³²": (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32,
  "a string": (value) => typeof value === "string",
  "an array of strings": (value) => Array.isArray(value) && value.every((it) => typeof it === "string"),
};

/** Checks the type of an option. */
function optional(name, value, type) {
  if (value === undefined || value === null) return undefined;
  if (!TYPES[type](value)) throw usage(`${name} is not ${type}`, `leave ${name} out, or correct it`);
  return value;
}

export function synthesize(condition = "norm", { seed = 1, samplingRateHz = 500, durationS = 10 } = {}) {
  if (typeof condition !== "string") throw usage("a condition that is not a string", "name one, such as norm");
  optional("seed", seed, "a whole number below 2³²");
  optional("samplingRateHz", samplingRateHz, "a number");
  optional("durationS", durationS, "a number");
  return new Recording(call(() => engine.synthesize(condition, seed, samplingRateHz, durationS)));
}

/** An object in the module. */
class Handle {
  #object;
  #noun;
  #generation = generation;

  constructor(object, noun) {
    this.#object = object;
    this.#noun = noun;
  }

  /** Calls `work` with the object, if it is still there. */
  use(work) {
    return call(() => work(this.object()));
  }

  /** Calls `work` with the object, and waits for the promise that it returns. */
  answer(work) {
    return answer(() => work(this.object()));
  }

  object() {
    if (!this.#object) throw usage(`a ${this.#noun} that was freed`, "make it anew");
    if (this.#generation !== generation) throw usage(`a ${this.#noun} from before the module was made anew`, "make it anew");
    return this.#object;
  }

  free() {
    // The objects of a module that has stopped are gone with it.
    if (!stopped && this.#generation === generation) this.#object?.free();
    this.#object = undefined;
  }
}

/** The handles of recordings, for the classifier. */
const handles = new WeakMap();

/** The object in the module that a recording stands for. */
function inModule(recording) {
  const handle = handles.get(recording);
  if (!handle) throw usage("something that is not a Recording", "give one that read or synthesize made");
  return handle.object();
}

export class Recording {
  #handle;

  /** Takes over a recording of the module: `read` and `synthesize` make recordings. */
  constructor(object) {
    if (!(object instanceof engine.Recording)) throw usage("a recording made by hand", "use read or synthesize");
    this.#handle = new Handle(object, "recording");
    handles.set(this, this.#handle);
  }

  get name() {
    return this.#handle.use((it) => it.name);
  }

  get samplingRateHz() {
    return this.#handle.use((it) => it.sampling_rate);
  }

  get durationS() {
    return this.#handle.use((it) => it.duration);
  }

  get leads() {
    return this.#handle.use((it) => it.leads);
  }

  get warnings() {
    return this.#handle.use((it) => it.warnings);
  }

  lead(name) {
    return this.#handle.use((it) => it.lead(String(name)));
  }

  inOrder() {
    const samples = (name) => this.#handle.use((it) => it.recorded_or_derived(name));
    return call(() => engine.standard_leads()).map((name) => ({ name, samples: samples(name) }));
  }

  free() {
    this.#handle.free();
  }
}

export class Classifier {
  #handle;
  /** For each length of recordings: whether they are classified on the GPU. */
  #onGpu;
  /** Why the GPU is not used. */
  #notes = [];

  /** Takes over a classifier of the module: `Classifier.open` makes classifiers. */
  constructor(object) {
    if (!(object instanceof engine.Classifier)) throw usage("a classifier made by hand", "use Classifier.open");
    this.#handle = new Handle(object, "classifier");
    this.#onGpu = () => false;
  }

  static async open({ weights = new URL("./weights.safetensors", import.meta.url), device = "auto" } = {}) {
    call(() => {});
    if (!["auto", "wasm", "webgpu"].includes(device)) throw usage(`device '${device}'`, "use auto, wasm or webgpu");
    const source = isAddress(weights) ? String(weights).split("/").pop() : "weights";
    const bytes = isAddress(weights) ? await contents(await fetched(weights)) : bytesOf(weights);
    const classifier = new Classifier(call(() => engine.Classifier.open(bytes, source)));
    if (device === "webgpu") await classifier.#openGpu();
    if (device === "auto") classifier.#measureGpu();
    return classifier;
  }

  /** Has the GPU compute everything. */
  async #openGpu() {
    try {
      await this.#handle.answer((it) => it.open_gpu());
      this.#onGpu = () => true;
    } catch (error) {
      if (error.kind !== "device") throw error;
      this.#notes.push(`WebGPU is not used: ${error.message}`);
    }
  }

  /** Has the GPU compute recordings of those lengths for which it is measured to be faster, once they come repeatedly. */
  #measureGpu() {
    if (!globalThis.navigator?.gpu) return;
    const verdicts = new Map();
    let [measuring, ruledOut] = [false, false];
    this.#onGpu = (recording) => {
      // As the network sees it: at its own sampling rate.
      const length = Math.round(recording.durationS * this.samplingRateHz);
      const verdict = verdicts.get(length);
      if (verdict === undefined) verdicts.set(length, "seen");
      if (verdict !== "seen" || measuring || ruledOut) return verdict === "faster";
      measuring = true;
      this.#handle
        .answer((it) => it.gpu_is_faster(inModule(recording), () => performance.now()))
        .then(
          (faster) => verdicts.set(length, faster ? "faster" : "slower"),
          // There is no GPU, or it fails: WebAssembly goes on.
          () => (ruledOut = true),
        )
        .finally(() => (measuring = false));
      return false;
    };
  }

  /** Classifies on the device of the recording's length, and returns JSON. */
  async #classify(recording, embedding) {
    const object = inModule(recording);
    if (!this.#onGpu(recording)) return this.#handle.use((it) => it.classify(object, embedding));
    const prediction = await this.#handle.answer((it) => it.classify_on_gpu(object, embedding));
    const fault = this.#handle.use((it) => it.gpu_fault());
    if (fault) {
      this.#onGpu = () => false;
      this.#notes.push(`WebGPU is no longer used: ${fault}`);
    }
    return prediction;
  }

  async classify(recording, { embedding = false, explain, onProgress } = {}) {
    const start = performance.now();
    const prediction = JSON.parse(await this.#classify(recording, Boolean(embedding)));
    prediction.took_ms = performance.now() - start;
    if (explain) prediction.explanation = this.#explain(recording, explain, onProgress);
    return prediction;
  }

  #explain(recording, asked, onProgress) {
    const object = typeof asked === "object" ? asked : { class: asked === true ? undefined : asked };
    const name = optional("the class to explain", object.class, "a string");
    const methods = optional("methods", object.methods, "an array of strings");
    const seed = optional("seed", object.seed, "a whole number below 2³²") ?? 1;
    // What the caller's function throws is thrown at the end: an exception must not pass through the module.
    let failure;
    const progress = (done, total) => {
      if (failure) return;
      try {
        onProgress?.(done, total);
      } catch (error) {
        failure = { error };
      }
    };
    const text = this.#handle.use((it) => it.explain(inModule(recording), name, methods, seed, onProgress && progress));
    if (failure) throw failure.error;
    return JSON.parse(text);
  }

  async classifyReference(recording, { embedding = false } = {}) {
    const start = performance.now();
    const prediction = JSON.parse(this.#handle.use((it) => it.classify_reference(inModule(recording), Boolean(embedding))));
    prediction.took_ms = performance.now() - start;
    return prediction;
  }

  async verify() {
    return JSON.parse(await this.#handle.answer((it) => it.verify()));
  }

  get device() {
    return this.#handle.use((it) => it.device);
  }

  get network() {
    return this.#handle.use((it) => it.network);
  }

  get samplingRateHz() {
    return this.#handle.use((it) => it.sampling_rate);
  }

  get classes() {
    return this.#handle.use((it) => it.classes);
  }

  get thresholds() {
    return this.#handle.use((it) => Object.fromEntries(it.classes.map((name, at) => [name, it.thresholds[at]])));
  }

  get notes() {
    return [...this.#handle.use((it) => it.notes), ...this.#notes];
  }

  free() {
    this.#handle.free();
  }
}

const contents = async (source) => (source instanceof Uint8Array ? source : new Uint8Array(await source.arrayBuffer()));

function bytesOf(weights) {
  if (weights instanceof ArrayBuffer) return new Uint8Array(weights);
  if (ArrayBuffer.isView(weights)) return new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength);
  throw usage("weights that are neither bytes nor an address", "give a Uint8Array, or the URL of a safetensors file");
}

if (Symbol.dispose) {
  for (const type of [Recording, Classifier]) type.prototype[Symbol.dispose] = type.prototype.free;
}
