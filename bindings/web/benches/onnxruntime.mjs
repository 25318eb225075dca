// The package beside onnxruntime-web in headless Chromium: bytes, time to the first answer, time of one record of 12 × 1000.
//
//     npm install --prefix FOLDER onnxruntime-web playwright-core
//     node bindings/web/benches/onnxruntime.mjs FOLDER MODEL.onnx [ROUNDS]
//
// MODEL.onnx is network 542k. Each round opens a fresh browser for each, one after the other; files are compressed with gzip
// and come over loopback. Both compute on one thread. CHROMIUM names the browser, PACKAGE the folder of the package.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const [folder, model, rounds = 5] = process.argv.slice(2);
if (!model) {
  console.error("usage: node bindings/web/benches/onnxruntime.mjs FOLDER MODEL.onnx [ROUNDS]");
  process.exit(2);
}
const { chromium } = createRequire(resolve(folder, "x.js"))("playwright-core");
const ours = process.env.PACKAGE ?? fileURLToPath(new URL("../dist", import.meta.url));
const theirs = join(folder, "node_modules/onnxruntime-web/dist");

/** What runs in the page. Each returns a function that classifies one record. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>bench</title><script type="module">
const programs = {
  async ecgpu() {
    const { default: init, Classifier, synthesize } = await import("/ours/ecgpu.js");
    await init();
    const classifier = await Classifier.open({ device: "wasm" });
    const recording = synthesize("norm", { samplingRateHz: 100 });
    return async () => (await classifier.classify(recording)).logits;
  },
  async onnxruntime(bundle) {
    const ort = await import("/theirs/" + bundle);
    Object.assign(ort.env.wasm, { numThreads: 1, wasmPaths: "/theirs/" });
    const session = await ort.InferenceSession.create("/model.onnx", { executionProviders: ["wasm"] });
    const x = new Float32Array(12000).map((_, at) => Math.sin(at / 7));
    const [name] = session.inputNames;
    return async () => (await session.run({ [name]: new ort.Tensor("float32", x, [1, 12, 1000]) })).logits.getData();
  },
};
window.measure = async ([program, bundle]) => {
  const begin = performance.now();
  const run = await programs[program](bundle);
  await run();
  const first = performance.now() - begin;
  for (let at = 0; at < 30; at++) await run();
  const times = [];
  for (let at = 0; at < 150; at++) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return { first, times };
};
</script>`;
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

let sent = 0;
const compressed = new Map();
const server = createServer(({ url }, response) => {
  const path = new URL(url, "http://x").pathname;
  const [, where, name] = path.split("/");
  const file = { ours, theirs }[where] ? join({ ours, theirs }[where], name) : model;
  const body = () => (path === "/" ? PAGE : readFileSync(file));
  if (!compressed.has(path)) compressed.set(path, gzipSync(body(), { level: 9 }));
  if (path !== "/") sent += compressed.get(path).length;
  const type = path === "/" ? "text/html" : (TYPES[extname(path)] ?? "application/octet-stream");
  response.writeHead(200, { "content-type": type, "content-encoding": "gzip" }).end(compressed.get(path));
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

const CASES = [["ecgpu"], ["onnxruntime", "ort.wasm.min.mjs"], ["onnxruntime", "ort.webgpu.min.mjs"]];
const rows = CASES.map(() => []);
for (let round = 0; round < Number(rounds); round++) {
  for (const [at, program] of CASES.entries()) {
    const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
    const browser = await chromium.launch({ executablePath, args: ["--headless=new", "--no-sandbox"] });
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.waitForFunction("window.measure");
    sent = 0;
    const { first, times } = await page.evaluate((it) => window.measure(it), program);
    times.sort((a, b) => a - b);
    rows[at].push({ first, best: times[0], median: times[75], sent });
    await browser.close();
  }
}
server.close();
const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];
for (const [at, program] of CASES.entries()) {
  const [first, best, median] = ["first", "best", "median"].map((name) => middle(rows[at].map((row) => row[name])));
  const bytes = `${(rows[at][0].sent / 1e6).toFixed(2)} MB`;
  console.log(`${program.join(" ").padEnd(32)} ${bytes}, first answer ${first.toFixed(0)} ms, one record: best ${best.toFixed(2)} ms, median ${median.toFixed(2)} ms`);
}
