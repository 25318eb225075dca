// The package in headless Chromium, whose WebGPU has an adapter in software, SwiftShader. CHROMIUM names the browser, and
// PLAYWRIGHT the folder of playwright-core.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join, normalize } from "node:path";
import { after, before, test } from "node:test";
import { difference, folder } from "./support.mjs";

const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
const playwright = process.env.PLAYWRIGHT ?? "playwright-core";
/** The largest difference of a logit from the float64 reference. */
const LARGEST = 1e-4;
const WITH_WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
  import init, * as ecgpu from "./ecgpu.js";
  await init();
  window.ecgpu = ecgpu;
</script>`;
/** Runs in a page before its scripts: collects the devices that are opened. */
function collectDevices() {
  window.devices = [];
  const { requestDevice } = globalThis.GPUAdapter?.prototype ?? {};
  if (!requestDevice) return;
  GPUAdapter.prototype.requestDevice = async function (...options) {
    const device = await requestDevice.apply(this, options);
    window.devices.push(device);
    return device;
  };
}

const missing = existsSync(chromium) ? undefined : `there is no ${chromium}`;
const skip = process.env.CI ? false : missing;
const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, "http://localhost").pathname);
  if (path === "/") return response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
  const file = join(folder, path);
  if (!existsSync(file)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" }).end(readFileSync(file));
});
const browsers = [];
after(() => {
  server.close();
  return Promise.all(browsers.map((browser) => browser.close()));
});
before(() => new Promise((listens) => server.listen(0, "127.0.0.1", listens)));

/** Opens the page in a browser of its own. `prepare` runs there before the package is loaded. */
async function open(options = WITH_WEBGPU, prepare = () => {}) {
  const launch = createRequire(import.meta.url)(playwright).chromium;
  const args = ["--headless=new", "--no-sandbox", ...options];
  const browser = await launch.launch({ executablePath: chromium, args });
  browsers.push(browser);
  const page = await browser.newPage();
  page.setDefaultTimeout(300_000);
  page.failures = [];
  page.on("pageerror", (error) => page.failures.push(error.message));
  await page.addInitScript(collectDevices);
  await page.addInitScript(prepare);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction("window.ecgpu");
  return page;
}

test("WebGPU gives the logits of the reference, for one record and for several at once", { skip }, async () => {
  const page = await open();
  const { prediction, several, reference, device, notes, used } = await page.evaluate(async () => {
    const classifier = await ecgpu.Classifier.open({ device: "webgpu" });
    const sample = ecgpu.synthesize();
    const prediction = await classifier.classify(sample, { embedding: true });
    const several = await Promise.all([1, 2, 3, 4].map(() => classifier.classify(sample)));
    const reference = await classifier.classifyReference(sample, { embedding: true });
    return { prediction, several, reference, device: classifier.device, notes: classifier.notes, used: devices.length };
  });
  assert.deepEqual([prediction.backend, prediction.precision, notes, used], ["webgpu", "f32", [], 1]);
  assert.match(device, /^WebGPU adapter \(google, swiftshader\)$/);
  assert.ok(difference(prediction.logits, reference.logits) <= LARGEST, `${prediction.logits} ${reference.logits}`);
  assert.ok(difference(prediction.embedding, reference.embedding) <= LARGEST);
  for (const { backend, logits } of several) assert.deepEqual([backend, logits], ["webgpu", prediction.logits]);
  assert.deepEqual(page.failures, []);
});

test("every stage agrees with the reference on WebGPU, in batches too", { skip }, async () => {
  const page = await open();
  const stages = await page.evaluate(async () => {
    const classifier = await ecgpu.Classifier.open({ device: "webgpu" });
    return classifier.verify();
  });
  assert.ok(stages.length >= 24 && stages.some(({ shape }) => shape[0] === 3), `${stages.length} stages`);
  for (const stage of stages) assert.ok(stage.passed && stage.nmse >= 0 && stage.nmse < 1e-9, JSON.stringify(stage));
});

test("a device that is destroyed in the middle loses nothing: WebAssembly answers, with a note", { skip }, async () => {
  const page = await open();
  const { first, midway, later, notes, device } = await page.evaluate(async () => {
    const classifier = await ecgpu.Classifier.open({ device: "webgpu" });
    const sample = ecgpu.synthesize();
    const first = await classifier.classify(sample);
    const running = [classifier.classify(sample), classifier.classify(sample)];
    sample.free();
    devices[0].destroy();
    const midway = await Promise.all(running);
    const later = await classifier.classify(ecgpu.synthesize());
    return { first, midway, later, notes: classifier.notes, device: classifier.device };
  });
  assert.equal(first.backend, "webgpu");
  for (const { backend, logits } of [...midway, later]) {
    assert.equal(backend, "cpu");
    assert.ok(difference(logits, first.logits) <= LARGEST);
  }
  assert.equal(notes.length, 1);
  assert.match(notes[0], /^WebGPU is no longer used: the GPU failed/);
  assert.match(device, /WebAssembly|wasm/);
  assert.deepEqual(page.failures, []);
});

test("without WebGPU, WebAssembly answers, with a note", { skip }, async () => {
  const without = () => Object.defineProperty(Navigator.prototype, "gpu", { value: undefined });
  const noAdapter = () => (GPU.prototype.requestAdapter = async () => null);
  const noDevice = () => (GPUAdapter.prototype.requestDevice = async () => Promise.reject(new Error("no device today")));
  for (const [prepare, note] of [[without, /has no WebGPU/], [noAdapter, /has no WebGPU/], [noDevice, /no device today/]]) {
    const page = await open(WITH_WEBGPU, prepare);
    const { prediction, notes } = await page.evaluate(async () => {
      const classifier = await ecgpu.Classifier.open({ device: "webgpu" });
      return { prediction: await classifier.classify(ecgpu.synthesize()), notes: classifier.notes };
    });
    assert.equal(prediction.backend, "cpu");
    assert.equal(notes.length, 1);
    assert.match(notes[0], note);
    assert.deepEqual(page.failures, []);
  }
});

test("auto answers in WebAssembly and leaves an adapter that computes on the CPU alone", { skip }, async () => {
  const page = await open();
  const { backends, opened, notes } = await page.evaluate(async () => {
    const classifier = await ecgpu.Classifier.open();
    const backends = [];
    for (let run = 0; run < 6; run++) {
      backends.push((await classifier.classify(ecgpu.synthesize())).backend);
      await new Promise((done) => setTimeout(done, 100));
    }
    return { backends, opened: devices.length, notes: classifier.notes };
  });
  assert.deepEqual([backends, opened, notes], [Array(6).fill("cpu"), 0, []]);
  assert.deepEqual(page.failures, []);
});

test("auto moves to a GPU that it measured to be faster, and back when that is lost", { skip }, async () => {
  // SwiftShader as a GPU until it is open: a GPU's shaders take it minutes to compile. It is faster by a clock that runs while
  // WebAssembly computes and hardly while the page waits.
  const page = await open(WITH_WEBGPU, () => {
    Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => window.devices.length > 0 });
  });
  const { first, moved, lost, later, notes } = await page.evaluate(async () => {
    let [now, waited] = [0, false];
    setInterval(() => (waited = true), 0);
    performance.now = () => {
      now += waited ? 1 : 1000;
      waited = false;
      return now;
    };
    const classifier = await ecgpu.Classifier.open();
    // A second, so that SwiftShader has less to compute.
    const sample = ecgpu.synthesize("norm", { durationS: 1 });
    const first = await classifier.classify(sample);
    let moved = first;
    for (let waits = 0; moved.backend === "cpu" && waits < 40; waits++) {
      // A measurement ends undisturbed meanwhile.
      await new Promise((done) => setTimeout(done, 3000));
      moved = await classifier.classify(sample);
    }
    devices[0]?.destroy();
    const lost = await classifier.classify(sample);
    const later = await classifier.classify(sample);
    return { first, moved, lost, later, notes: classifier.notes };
  });
  assert.deepEqual([first, moved, lost, later].map(({ backend }) => backend), ["cpu", "webgpu", "cpu", "cpu"]);
  for (const { logits } of [moved, lost, later]) assert.ok(difference(logits, first.logits) <= LARGEST);
  assert.equal(notes.length, 1);
  assert.match(notes[0], /^WebGPU is no longer used/);
  assert.deepEqual(page.failures, []);
});
