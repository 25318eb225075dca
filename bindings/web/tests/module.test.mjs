import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { folder, load } from "./support.mjs";

const { default: init, Classifier, EcgpuError, Recording, formats, read, synthesize } = await load();
const engine = await load("ecgpu_bg.js");

/** Calls a function with the address of a server that has the files of the package. */
async function served(work) {
  const server = createServer(({ url }, response) => {
    const file = join(folder, url);
    if (!existsSync(file)) return response.writeHead(404).end();
    const type = url.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
    response.writeHead(200, { "content-type": type }).end(readFileSync(file));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  try {
    await work(`http://127.0.0.1:${server.address().port}`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

// The tests of this file run one after the other: each begins with what the one before it leaves.

test("nothing works before the module is loaded, and the error says so", async () => {
  for (const call of [() => formats(), () => synthesize(), () => read([{ name: "a.csv", bytes: new Uint8Array(1) }])]) {
    assert.throws(call, { name: "EcgpuError", kind: "usage", remedy: /await init\(\) first/ });
  }
  await assert.rejects(Classifier.open(), { kind: "usage" });
});

test("a module that is none is refused, and the next one is loaded", async () => {
  await assert.rejects(init({ module: new Uint8Array(20) }), { name: "EcgpuError", kind: "module" });
  await assert.rejects(init({ module: new URL("file:///nowhere.wasm") }), { name: "EcgpuError", kind: "file" });
  await served(async (address) => {
    await assert.rejects(init({ module: `${address}/nowhere.wasm` }), { kind: "file", cause: /the server answered 404/ });
    await assert.rejects(init({ module: fetch(`${address}/nowhere.wasm`) }), { kind: "module" });
    await init({ module: new URL(`${address}/ecgpu_bg.wasm`) });
  });
  assert.match(formats(), /DICOM \(\.dcm/);
  await init();
});

test("weights come over HTTP, and an address without a file is an error", async () => {
  await served(async (address) => {
    await assert.rejects(Classifier.open({ weights: `${address}/nowhere` }), { kind: "file", cause: /the server answered 404/ });
    const classifier = await Classifier.open({ weights: `${address}/weights.safetensors` });
    assert.deepEqual([classifier.network, classifier.classes.length], ["542k", 5]);
    classifier.free();
  });
  const gone = "http://127.0.0.1:9/weights.safetensors";
  await assert.rejects(Classifier.open({ weights: gone }), { kind: "file", remedy: /check that the server has this file/ });
});

test("a freed object is refused", async () => {
  const recording = synthesize();
  const classifier = await Classifier.open({ weights: readFileSync(join(folder, "weights.safetensors")) });
  recording.free();
  recording.free();
  assert.throws(() => recording.name, { kind: "usage", cause: /a recording that was freed/ });
  await assert.rejects(classifier.classify(recording), { kind: "usage", cause: /a recording that was freed/ });
  classifier.free();
  assert.throws(() => classifier.device, { kind: "usage", cause: /a classifier that was freed/ });
});

test("memory does not grow over 200 classifications", async () => {
  const { memory } = await engine.default();
  const classifier = await Classifier.open();
  const table = `I,II,V1,V2,V3,V4,V5,V6\n${"0.1,0.2,0.1,0.2,0.3,0.2,0.1,0.0\n".repeat(1000)}`;
  const file = { name: "a.csv", bytes: new TextEncoder().encode(table) };
  const once = async () => {
    const [recording] = read(file, { samplingRateHz: 100, unit: "mV" });
    await classifier.classify(recording);
    recording.free();
    assert.throws(() => read({ ...file, bytes: file.bytes.subarray(0, 3) }), EcgpuError);
  };
  for (let run = 0; run < 5; run++) await once();
  const before = memory.buffer.byteLength;
  for (let run = 0; run < 200; run++) await once();
  assert.equal(memory.buffer.byteLength, before);
  classifier.free();
});

test("after a fault of the module everything says so, until init makes it anew", async () => {
  const [classifier, recording] = [await Classifier.open(), synthesize()];
  const expected = (await classifier.classify(recording)).logits;
  // An object beyond the end of the memory: WebAssembly traps, as after a panic.
  const broken = new Recording(engine.Recording.__wrap(0xfffffff0));
  assert.throws(() => broken.name, { name: "EcgpuError", kind: "module", remedy: /await init\(\) again/ });
  assert.throws(() => formats(), { kind: "module" });
  await assert.rejects(classifier.classify(recording), { kind: "module" });
  recording.free();
  await init();
  assert.throws(() => broken.name, { kind: "usage", cause: /before the module was made anew/ });
  await assert.rejects(classifier.classify(synthesize()), { kind: "usage", cause: /before the module was made anew/ });
  classifier.free();
  const again = await Classifier.open();
  assert.deepEqual((await again.classify(synthesize())).logits, expected);
});
