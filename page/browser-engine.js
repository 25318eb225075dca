// The engine in this browser: a worker, started anew when it is stopped.

import { Problem } from "./problem.js";

/** Computes in this browser. Nothing that it is given is sent anywhere. */
export class BrowserEngine {
  #worker;
  #waiting = new Map();
  #next = 0;
  /** What is open in the worker, to be opened again in a new one. */
  #opened;

  /**
   * Starts the engine for a device, `wasm` or `webgpu`.
   *
   * Throws a Problem if the engine is not there or does not run in this browser.
   */
  start(device) {
    this.device = device;
    return this.#ask("start", { device });
  }

  /** Reads files, or makes a synthetic recording. Returns the recordings without their samples. */
  async open(source) {
    // A file that stops the module is not given to the next worker.
    this.#opened = undefined;
    const recordings = await this.#open(source);
    this.#opened = source;
    return recordings;
  }

  #open({ files, options, sample }) {
    return sample ? this.#ask("synthesize", { condition: sample }) : this.#ask("open", { files, options });
  }

  part = (at, from, seconds) => this.#ask("part", { at, from, seconds });
  classify = (at, device = this.device) => this.#ask("classify", { at, device });
  reference = (at) => this.#ask("reference", { at });
  verify = (device = this.device) => this.#ask("verify", { device });

  explain(at, { name, methods }, progress) {
    return this.#ask("explain", { at, device: this.device, name, methods }, progress);
  }

  /** Stops what is computed now. What waits for it ends with a Problem of kind `stopped`. */
  stop() {
    this.#end(new Problem({ kind: "stopped", cause: "stopped", remedy: "start it again" }));
    // What was open is read again in a new worker, before the next task.
    const opened = this.#opened;
    this.#ask("start", { device: this.device }).catch(() => {});
    if (opened) this.open(opened).catch(() => {});
  }

  #end(problem) {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(problem);
    this.#waiting.clear();
  }

  #run() {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => this.#take(data));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#end(new Problem({ kind: "module", cause: "the engine stopped", remedy: "reload the page" }));
    });
    return worker;
  }

  #take({ id, done, error, progress }) {
    const task = this.#waiting.get(id);
    if (!task) return;
    if (progress !== undefined) return task.progress?.(progress);
    this.#waiting.delete(id);
    if (!error) return task.resolve(done);
    const stopped = error.kind === "module" && task.name !== "start";
    task.reject(new Problem(stopped ? { ...error, remedy: "the engine was started again: go on with another recording, or with the server" } : error));
    if (stopped) this.stop();
  }

  #ask(task, given, progress) {
    this.#worker ??= this.#run();
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, progress, name: task });
      this.#worker.postMessage({ id, task, given });
    });
  }
}
