// Which engines there are, and the one that computes.

import { BrowserEngine } from "./browser-engine.js";
import { Problem } from "./problem.js";
import { ServerEngine } from "./server-engine.js";

/** The engines by name, as the switch shows them. */
export const NAMES = { wasm: "WebAssembly", webgpu: "WebGPU", server: "Server" };

/** Why WebGPU cannot compute here; nothing if it may. */
function withoutWebGpu() {
  if (!isSecureContext) return "WebGPU needs https, or this computer's own address";
  return navigator.gpu ? undefined : "this browser has no WebGPU";
}

export class Engines {
  browser = new BrowserEngine();
  server = new ServerEngine();
  /** Why an engine cannot be chosen, by its name. */
  missing = {};
  /** The name of the engine that computes. */
  chosen;

  /** The engine that computes. */
  get current() {
    return this.chosen === "server" ? this.server : this.browser;
  }

  /** Whether what is opened stays in this browser. */
  get isPrivate() {
    return this.chosen !== "server";
  }

  /**
   * Finds out what there is, and starts the wanted engine, or else the browser's, or else the server.
   *
   * Throws a Problem if there is none.
   */
  async start(wanted) {
    const noGpu = withoutWebGpu();
    if (noGpu) this.missing.webgpu = noGpu;
    const there = ServerEngine.isThere().then((is) => {
      if (!is) this.missing.server = "there is no server here: these files were deployed alone";
    });
    const first = NAMES[wanted] ? wanted : "wasm";
    for (const name of new Set([first, "wasm", "server"])) {
      if (name === "server") await there;
      try {
        await this.choose(name);
        await there;
        return;
      } catch (error) {
        this.missing[name] ??= error.cause ?? error.message;
      }
    }
    throw new Problem({
      kind: "module",
      cause: `no engine: ${this.missing.wasm}; ${this.missing.server}`,
      remedy: "open this page in a current browser, from a server that has the folder engine",
    });
  }

  /**
   * Changes to an engine.
   *
   * Throws a Problem if it does not start; the engine before then remains.
   */
  async choose(name) {
    if (this.missing[name]) throw new Problem({ kind: "device", cause: this.missing[name], remedy: "choose another engine" });
    if (name !== "server") await this.#startBrowser(name);
    this.chosen = name;
  }

  /**
   * Returns the browser's engine, started on WebAssembly if it was not yet.
   *
   * Throws a Problem if it does not start.
   */
  async local() {
    if (!this.browser.device) await this.#startBrowser("wasm");
    return this.browser;
  }

  async #startBrowser(device) {
    const before = this.browser.device;
    try {
      await this.browser.start(device);
    } catch (error) {
      this.browser.device = before;
      // A module that is not there cannot say why: the browser names its address, which tells a reader nothing.
      const isThere = error.kind !== "fault";
      if (isThere) this.missing[device] = error.cause;
      else this.missing.wasm = this.missing.webgpu = "the WebAssembly bundle is not on this server";
      throw new Problem({ kind: "device", cause: this.missing[device], remedy: isThere ? error.remedy : "use the server" });
    }
  }
}
