import assert from "node:assert/strict";
import { before, test } from "node:test";
import { commandLine, difference, everyFormat, inFolder, load, partsOf } from "./support.mjs";

/** The largest difference of a logit. WebAssembly has no fused multiplication and addition, which moves the last bits. */
const LARGEST = 1e-5;

const { default: init, Classifier, EcgpuError, read, synthesize } = await load();
let classifier;
before(async () => {
  await init();
  classifier = await Classifier.open();
});

/** What JavaScript makes of files: the predictions, or the error. */
async function classified(files, options) {
  try {
    const recordings = read(files, options);
    return { objects: await Promise.all(recordings.map((recording) => classifier.classify(recording))) };
  } catch (error) {
    assert.ok(error instanceof EcgpuError, error.stack);
    return { error };
  }
}

test("a file of any format has the prediction or the error of the command line", async () => {
  await inFolder(async (folder) => {
    const names = everyFormat(folder);
    let predictions = 0;
    for (const name of names) {
      for (const [flags, options] of [
        [[], {}],
        [["--sampling-rate", "100", "--unit", "uV"], { samplingRateHz: 100, unit: "uV" }],
      ]) {
        const native = commandLine(["classify", "--json", "--device", "cpu", ...flags, name], folder);
        const ours = await classified(partsOf(folder, name), options);
        const shown = `${name} ${flags.join(" ")}: ${JSON.stringify(native).slice(0, 300)}, ${ours.error}`;
        if (native.errors.length > 0) {
          // The command line goes on after a file of an archive that cannot be read.
          assert.ok(ours.error && native.errors.some((error) => error.includes(ours.error.cause)), shown);
          continue;
        }
        assert.equal(ours.objects?.length, native.objects.length, shown);
        native.objects.forEach((expected, at) => {
          const object = ours.objects[at];
          assert.ok(difference(object.logits, expected.logits) <= LARGEST, shown);
          assert.deepEqual([object.record, object.labels, object.warnings], [expected.record, expected.labels, expected.warnings]);
          predictions += 1;
        });
      }
    }
    assert.ok(names.length >= 45 && predictions >= 20, `${predictions} predictions of ${names.length} files`);
  });
});

test("the built-in sample has the logits of the command line and of the reference", async () => {
  const [native] = commandLine(["classify", "--json", "--device", "cpu", "--embedding"]).objects;
  const sample = synthesize();
  const prediction = await classifier.classify(sample, { embedding: true });
  assert.ok(difference(prediction.logits, native.logits) <= LARGEST);
  assert.ok(prediction.embedding.length === 256 && difference(prediction.embedding, native.embedding) <= LARGEST);
  const reference = await classifier.classifyReference(sample);
  assert.equal(reference.backend, "reference");
  assert.ok(difference(prediction.logits, reference.logits) <= LARGEST);
});

test("a recording of 3000 s has the logits of the reference: no size exceeds 32 bits", async () => {
  const recording = synthesize("norm", { samplingRateHz: 100, durationS: 3000 });
  const [ours, reference] = [await classifier.classify(recording), await classifier.classifyReference(recording)];
  assert.ok(difference(ours.logits, reference.logits) <= LARGEST);
});

test("a prediction has its fields and only what was asked for", async () => {
  const prediction = await classifier.classify(synthesize("mi-anterior", { seed: 3, samplingRateHz: 250, durationS: 12 }));
  assert.deepEqual(Object.keys(prediction), [
    "record", "sampling_rate_hz", "duration_s", "device", "backend", "precision", "logits", "probabilities", "thresholds",
    "labels", "warnings", "took_ms",
  ]);
  const { record, sampling_rate_hz, duration_s, backend, precision, probabilities, thresholds, labels } = prediction;
  assert.deepEqual([record, sampling_rate_hz, duration_s], ["synthetic-mi-anterior-3", 250, 12]);
  assert.deepEqual([backend, precision], ["cpu", "f32"]);
  assert.match(prediction.device, /SIMD128/);
  assert.deepEqual(Object.keys(probabilities), classifier.classes);
  assert.deepEqual(thresholds, classifier.thresholds);
  assert.deepEqual(labels, classifier.classes.filter((name) => probabilities[name] >= thresholds[name]));
  assert.ok(prediction.warnings.some((warning) => warning.includes("synthetic")));
  assert.ok(prediction.took_ms > 0);
});

test("every stage agrees with the reference", async () => {
  const stages = await classifier.verify();
  assert.ok(stages.length >= 24, `${stages.length} stages`);
  for (const stage of stages) assert.ok(stage.passed && stage.nmse >= 0 && stage.nmse < 1e-9, JSON.stringify(stage));
});

test("a classifier says what it is", () => {
  assert.equal(classifier.network, "542k");
  assert.equal(classifier.samplingRateHz, 100);
  assert.deepEqual(classifier.classes, ["NORM", "MI", "STTC", "HYP", "CD"]);
  assert.deepEqual(classifier.notes, []);
});

test("a recording gives its samples in millivolts, and derives the limb leads", async () => {
  await inFolder((folder) => {
    everyFormat(folder);
    const [recording] = read(partsOf(folder, "permuted.hea"));
    assert.equal(recording.samplingRateHz, 100);
    assert.equal(recording.leads.length, 8 + Number(recording.leads.includes("III")) * 4);
    const twelve = recording.inOrder();
    assert.deepEqual(twelve.map(({ name }) => name), ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]);
    const [one, two, three] = twelve.map(({ samples }) => samples);
    assert.ok(three.every((value, at) => Math.abs(value - (two[at] - one[at])) < 2e-3));
    assert.deepEqual(recording.lead("ii"), two);
    assert.ok(Math.max(...two) > 0.1 && Math.max(...two) < 5, "millivolts");
    const [eight] = read({ name: "eight.csv", bytes: new TextEncoder().encode("I,II\n0.1,0.2\n0.2,0.4\n") }, { samplingRateHz: 100, unit: "mV" });
    assert.equal(eight.lead("V1"), undefined);
    assert.throws(() => eight.lead("V9"), EcgpuError);
    assert.throws(() => eight.inOrder(), { kind: "recording", cause: /lead V1 is missing/ });
  });
});
