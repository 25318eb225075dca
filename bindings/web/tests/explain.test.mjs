import assert from "node:assert/strict";
import { before, test } from "node:test";
import { commandLine, inFolder, load, synthesized } from "./support.mjs";

const { default: init, Classifier, read, synthesize } = await load();
let classifier;
before(async () => {
  await init();
  classifier = await Classifier.open();
});

/**
 * Compares two values: numbers to 1e-4, everything else to be equal. Rank correlations may differ by 5e-3: where an attribution
 * is nearly 0, the last bits decide its rank.
 */
function close(ours, native, place) {
  if (typeof native === "number") {
    const largest = place.endsWith("rank_correlation") ? 5e-3 : 1e-4;
    assert.ok(Math.abs(ours - native) <= largest, `${place}: ${ours} instead of ${native}`);
  } else if (typeof native === "object" && native !== null) {
    assert.deepEqual(Object.keys(ours).sort(), Object.keys(native).sort(), place);
    for (const key of Object.keys(native)) close(ours[key], native[key], `${place}.${key}`);
  } else {
    assert.equal(ours, native, place);
  }
}

test("an explanation is that of the command line", async () => {
  await inFolder(async (folder) => {
    const files = synthesized(folder, "short.hea", ["--condition", "mi", "--seconds", "2.6"]);
    const [native] = commandLine(["explain", "--json", "--device", "cpu", "--class", "MI", "short.hea"], folder).objects;
    const prediction = await classifier.classify(read(files)[0], { explain: "mi" });
    const { explanation } = prediction;
    assert.equal(explanation.methods.length, 3);
    const { source, device, ...expected } = native;
    assert.deepEqual([source, explanation.device === device], ["short.hea", false]);
    delete explanation.device;
    close(explanation, expected, "explanation");
  });
});

test("the most probable class is explained, by the methods that are named", async () => {
  const { explanation } = await classifier.classify(synthesize("norm", { durationS: 2 }), { explain: { methods: ["gradient"], seed: 2 } });
  assert.deepEqual([explanation.class, explanation.seed], ["NORM", 2]);
  assert.deepEqual(explanation.methods.map(({ method }) => method), ["gradient"]);
  assert.equal(Object.keys(explanation.methods[0].lead_time_bands).length, 12);
});

test("progress grows to its end", async () => {
  const calls = [];
  await classifier.classify(synthesize("norm", { durationS: 2 }), { explain: true, onProgress: (...it) => calls.push(it) });
  assert.ok(calls.length > 10);
  const total = calls[0][1];
  calls.forEach(([done, of], at) => assert.ok(of === total && (at === 0 || done >= calls[at - 1][0])));
  assert.equal(calls.at(-1)[0], total);
});

test("what onProgress throws reaches the caller, and the module goes on", async () => {
  const short = synthesize("norm", { durationS: 2 });
  const onProgress = () => {
    throw new TypeError("on purpose");
  };
  await assert.rejects(classifier.classify(short, { explain: true, onProgress }), { name: "TypeError", message: "on purpose" });
  assert.equal((await classifier.classify(short)).record, "synthetic-norm-1");
});

test("an unknown class or method is refused with the known ones", async () => {
  const sample = synthesize();
  await assert.rejects(classifier.classify(sample, { explain: "XYZ" }), { kind: "usage", remedy: /NORM/ });
  await assert.rejects(classifier.classify(sample, { explain: { methods: ["guess"] } }), { kind: "usage", remedy: /grad-cam/ });
});
