// Runs the library in WebAssembly and compares it with the native CPU backend.
//
//     node tests/wasm.mjs MODULE.wasm NATIVE.json
//
// NATIVE.json is what `ecgpu classify --json --device cpu` prints for the built-in sample.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

// Of the largest logit. WebAssembly has no fused multiplication and addition, which moves the last bits.
const LARGEST_ERROR = 3e-6;
const RUNS = 20;

const [, , modulePath, nativePath] = process.argv;
if (!modulePath || !nativePath) {
  console.error("usage: node tests/wasm.mjs MODULE.wasm NATIVE.json");
  process.exit(2);
}
const bytes = readFileSync(modulePath);
const expected = JSON.parse(readFileSync(nativePath, "utf8")).logits;

const begin = performance.now();
const { instance } = await WebAssembly.instantiate(bytes, {});
const { memory, open, classify, check_limits, logits, logits_len, text, text_len } = instance.exports;
const said = () => new TextDecoder().decode(new Uint8Array(memory.buffer, text(), text_len()));
const check = (status) => {
  if (status !== 0) {
    console.error(`error: ${said()}`);
    process.exit(1);
  }
};

check(open());
const device = said();
check(classify());
const first = performance.now() - begin;
const ours = [...new Float32Array(memory.buffer, logits(), logits_len())];

const times = [];
for (let run = 0; run < RUNS; run++) {
  const start = performance.now();
  check(classify());
  times.push(performance.now() - start);
}

check(check_limits());

const largest = Math.max(...expected.map(Math.abs));
const error = Math.max(...expected.map((value, at) => Math.abs(value - ours[at]))) / largest;
const mib = (size) => `${(size / 2 ** 20).toFixed(2)} MiB`;
console.log(`device          ${device}`);
console.log(`module          ${mib(bytes.length)}, ${mib(gzipSync(bytes).length)} compressed, weights included`);
console.log(`first answer    ${first.toFixed(0)} ms after the start`);
console.log(`one record      ${Math.min(...times).toFixed(1)} ms, the best of ${RUNS}`);
console.log(`largest error   ${error.toExponential(1)} of the largest logit`);
if (ours.length !== expected.length || !(error <= LARGEST_ERROR)) {
  console.error(`error: logits ${ours} instead of ${expected}`);
  process.exit(1);
}
