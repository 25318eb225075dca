// A browser, servers and files for the tests of the page. tests/on_browser.sh sets the variables:
//
// - FOLDER: where playwright-core and axe-core are installed, and where pictures go
// - ECGPU: the program `ecgpu`
// - BUNDLE: the npm package of bindings/web
// - CHROMIUM: the browser, if it is not Debian's
// - PYTHON, ECGPU_FORMATS: as in CONTRIBUTING.md

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
export const DATA = join(ROOT, "tests/data");
export const FOLDER = resolve(process.env.FOLDER ?? "target/browser");
const ECGPU = process.env.ECGPU ?? join(ROOT, "target/release/ecgpu");
const BUNDLE = process.env.BUNDLE ?? join(ROOT, "bindings/web/dist");
const load = createRequire(join(FOLDER, "package.json"));
const { chromium } = load("playwright-core");
export const AXE = load.resolve("axe-core/axe.min.js");
mkdirSync(join(FOLDER, "pictures"), { recursive: true });

/** Where a picture of the page goes. */
export const picture = (name) => join(FOLDER, "pictures", `${name}.png`);

/** The milliseconds after which something that is waited for does not come: a busy machine is slow. */
export const PATIENCE = Number(process.env.PATIENCE ?? 120000);

/** Starts a browser before the tests of a file and ends it after them. Returns what opens a page at an address. */
export function browser(switches = []) {
  let running;
  before(async () => {
    running = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", ...switches] });
  });
  after(() => running.close());
  return async (address, options = {}) => {
    const context = await running.newContext({ viewport: { width: 1440, height: 900 }, acceptDownloads: true, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    page.faults = [];
    page.on("pageerror", (error) => page.faults.push(error.message));
    page.on("console", (message) => /Content.Security.Policy/.test(message.text()) && page.faults.push(message.text()));
    await page.goto(address);
    return page;
  };
}

const KINDS = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".wasm": "application/wasm" };

/**
 * Serves the files of the page as any host of files does: with the bundle or without, and with the routes of another server
 * behind it or without. Returns the address.
 */
export async function host({ bundle = true, behind } = {}) {
  const server = createServer(async (asked, response) => {
    const { pathname } = new URL(asked.url, "http://host");
    if (behind && /^\/(api|healthz|samples)/.test(pathname)) {
      const options = { method: asked.method, headers: asked.headers };
      const passed = request(new URL(asked.url, behind), options, (answer) => answer.pipe(response.writeHead(answer.statusCode, answer.headers)));
      passed.on("error", () => response.writeHead(502).end());
      return asked.pipe(passed);
    }
    const engine = pathname.startsWith("/engine/");
    const path = engine ? join(BUNDLE, pathname.slice(8)) : join(ROOT, "page", pathname === "/" ? "index.html" : pathname);
    try {
      if (engine && !bundle) throw new Error("no bundle");
      const content = await readFile(path);
      response.writeHead(200, { "content-type": KINDS[extname(path)] ?? "application/octet-stream" }).end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((ready) => server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", ready));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}/`;
}

/** Starts `ecgpu serve` and returns its address when it is ready. ECGPU_ADDRESS names one that runs already. */
export async function served(...parameters) {
  if (process.env.ECGPU_ADDRESS && parameters.length === 0) return process.env.ECGPU_ADDRESS;
  const process_ = spawn(ECGPU, ["serve", "--listen", "127.0.0.1:0", "--device", "cpu", ...parameters], { stdio: ["ignore", "ignore", "pipe"] });
  after(() => process_.kill());
  let address;
  for await (const line of createInterface({ input: process_.stderr })) {
    address ??= /listening at (http\S+)/.exec(line)?.[1];
    if (/ready on/.test(line)) break;
  }
  process_.stderr.resume();
  return `${address}/`;
}

/** Returns what `ecgpu classify --json` says of the first recording of files. */
export function classified(files, ...options) {
  const main = files.find((file) => file.endsWith(".hea")) ?? files[0];
  const text = execFileSync(ECGPU, ["classify", "--json", "--device", "cpu", ...options, main], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return JSON.parse(text.split("\n")[0]);
}

/** Waits for the result on the page. */
export async function result(page) {
  await page.waitForSelector("#result .classes");
  return page;
}

/** Gives files to the page, as its button does, and waits for what it says of them: a result or a problem. */
export async function give(page, files) {
  await page.$eval("#result", (it) => [...it.children].forEach((child) => child.classList.add("of-before")));
  await page.setInputFiles("#files", files);
  await page.waitForSelector("#result > .classes:not(.of-before), #result > .problem:not(.of-before)");
}

/** Returns the logits on the page by class, with all their digits. */
export const logits = (page) => page.$$eval("[data-logit]", (all) => Object.fromEntries(all.map((it) => [it.dataset.logit, Number(it.value)])));

/** Returns the largest difference of the page's logits from those of a prediction. */
export async function difference(page, prediction) {
  const shown = await logits(page);
  const names = Object.keys(prediction.probabilities);
  return Math.max(...names.map((name, at) => Math.abs(shown[name] - prediction.logits[at])));
}

/** Returns the files of a folder whose names match. */
export function found(folder, pattern) {
  try {
    return readdirSync(folder).filter((name) => pattern.test(name)).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/** Lets a Python program of tests/formats write its files, and returns their folder; nothing without its packages. */
export function written(program) {
  const folder = join(FOLDER, "written", program);
  mkdirSync(folder, { recursive: true });
  try {
    execFileSync(process.env.PYTHON ?? "python3", [join(ROOT, "tests/formats", program), folder], { stdio: "ignore" });
    return folder;
  } catch (error) {
    if (process.env.CI) throw error;
    return undefined;
  }
}

export const text = (path) => readFileSync(path, "utf8");
