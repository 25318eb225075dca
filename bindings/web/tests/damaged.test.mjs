import assert from "node:assert/strict";
import { before, test } from "node:test";
import { everyFormat, inFolder, load, partsOf } from "./support.mjs";

const { default: init, Classifier, EcgpuError, read, synthesize } = await load();
let classifier;
let sample;
before(async () => {
  await init();
  classifier = await Classifier.open();
  sample = (await classifier.classify(synthesize())).logits;
});

/** Checks that files are read, or refused with a cause and a remedy. Returns whether they were refused. */
function refused(files, options, place) {
  try {
    read(files, options).forEach((recording) => recording.free());
    return false;
  } catch (error) {
    assert.ok(error instanceof EcgpuError, `${place}: ${error.stack}`);
    assert.ok(error.cause && error.remedy && error.kind !== "module", `${place}: ${error.kind} ${error.message}`);
    return true;
  }
}

/** Checks that the module still classifies as it did before. */
const unharmed = async () => assert.deepEqual((await classifier.classify(synthesize())).logits, sample);

/** Random numbers below a bound: Lehmer's generator, so that a failure can be repeated. */
function randomNumbers(seed) {
  let state = seed;
  return (bound) => (state = (state * 48271) % 2147483647) % bound;
}

test("damaged files of every format are read or refused", async () => {
  await inFolder(async (folder) => {
    let count = 0;
    const random = randomNumbers(20260101);
    for (const name of everyFormat(folder)) {
      const [main, ...others] = partsOf(folder, name);
      const small = main.bytes.length < 100_000;
      const check = (bytes, how) => {
        count += Number(refused([{ name, bytes }, ...others], { samplingRateHz: 100, unit: "uV" }, `${name}, ${how}`));
      };
      for (let part = 0; part < 12; part++) check(main.bytes.subarray(0, (main.bytes.length * part) / 12), `cut at ${part}/12`);
      for (let round = 0; round < (small ? 40 : 4); round++) {
        const bytes = Uint8Array.from(main.bytes);
        const places = [0, 1, 2].map(() => random(round % 2 ? bytes.length : Math.min(bytes.length, 512)));
        for (const place of places) bytes[place] = [0, 255, bytes[place] ^ (1 << random(8)), 57][random(4)];
        check(bytes, `round ${round}, bytes ${places}`);
      }
    }
    assert.ok(count > 500, `${count} were refused, too few to say anything`);
  });
  await unharmed();
});

const text = (content) => new TextEncoder().encode(content);
const npy = (header) => text(`\x93NUMPY\x01\x00v\x00${header.padEnd(117)}\n`.replace("\x93", ""));

/** Files that ask for what there is not, each with its name. */
const HOSTILE = {
  "nothing at all": [],
  "an empty file": [{ name: "a.csv", bytes: text("") }],
  "a name without an extension": [{ name: "a", bytes: text("hello") }],
  "an empty name": [{ name: "", bytes: text("I,II\n1,2\n") }],
  "a signal file without its header": [{ name: "a.dat", bytes: new Uint8Array(1000) }],
  "a header without its signal file": [{ name: "a.hea", bytes: text("a 12 100 1000\n" + "a.dat 16 1000 16 0 0 0 0 I\n".repeat(12)) }],
  "a header of a billion leads": [{ name: "a.hea", bytes: text("a 1000000000 100 1000000000\na.dat 16\n") }],
  "a header that lists itself": [{ name: "a.hea", bytes: text("a/2 2 100 2000\na 1000\na 1000\n") }],
  "XML nested a hundred thousand times": [{ name: "a.xml", bytes: text("<AnnotatedECG>" + "<a>".repeat(100_000)) }],
  "XML with an attribute of a megabyte": [{ name: "a.xml", bytes: text(`<AnnotatedECG a="${"x".repeat(1 << 20)}"/>`) }],
  "an array of 2⁶⁰ numbers": [{ name: "a.npy", bytes: npy("{'descr': '<f4', 'fortran_order': False, 'shape': (12, 1152921504606846976), }") }],
  "a gzip of noise": [{ name: "a.csv.gz", bytes: Uint8Array.of(31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 255, 254, 253, 1, 2, 3) }],
  "a table of one column": [{ name: "a.csv", bytes: text("I\n".concat("1\n".repeat(1000))) }],
  "a table of not a number": [{ name: "a.csv", bytes: text("I,II\n" + "nan,inf\n".repeat(1000)) }],
  "a lead twice": [{ name: "a.csv", bytes: text("I,I\n" + "0.1,0.2\n".repeat(1000)) }],
  "a photograph": [{ name: "a.jpg", bytes: Uint8Array.of(255, 216, 255, 224, 0, 16, 74, 70, 73, 70) }],
};
for (const [what, files] of Object.entries(HOSTILE)) {
  test(`${what} is refused with a cause and a remedy`, async () => {
    assert.ok(refused(files, undefined, what), "it was read");
    await unharmed();
  });
}

const table = { name: "a.csv", bytes: text("I,II\n" + "0.1,0.2\n".repeat(300)) };
/** Calls that make no sense, each with a part of the error. */
const NONSENSE = [
  ["files that are no files", () => read("a.csv"), /without a name or bytes/],
  ["bytes that are text", () => read([{ name: "a.csv", bytes: "I,II" }]), /without a name or bytes/],
  ["a file that is null", () => read([null]), /without a name or bytes/],
  ["a rate that is text", () => read(table, { samplingRateHz: "100" }), /samplingRateHz is not a number/],
  ["a rate of zero", () => read(table, { samplingRateHz: 0 }), /a sampling rate of 0 Hz/],
  ["a rate that is no number", () => read(table, { samplingRateHz: NaN }), /a sampling rate of NaN Hz/],
  ["an unknown unit", () => read(table, { unit: "mmHg" }), /unknown unit 'mmHg'/],
  ["leads that are no array", () => read(table, { leads: "I,II" }), /leads is not an array of strings/],
  ["an unknown lead", () => read(table, { leads: ["I", "V99"] }), /V99/],
  ["no lead", () => read(table, { leads: [] }), /an empty list of leads/],
  ["an unknown condition", () => synthesize("flu"), /no synthetic condition 'flu'/],
  ["a sample of no length", () => synthesize("norm", { durationS: 0 }), /0 seconds/],
  ["a sample of a year", () => synthesize("norm", { durationS: 3e7 }), /seconds/],
  ["a rate of infinity", () => synthesize("norm", { samplingRateHz: Infinity }), /Hz/],
  ["something else than a recording", () => classifier.classify({ name: "a" }), /not a Recording/],
  ["a recording of two leads", () => classifier.classify(read(table, { samplingRateHz: 100, unit: "mV" })[0]), /lead V1 is missing/],
  ["a recording that is too short", () => classifier.classify(synthesize("norm", { durationS: 0.5 })), /too short/],
  ["a recording that is too long to be explained", () => classifier.classify(synthesize("norm", { durationS: 200 }), { explain: true }), /200 s/],
  ["weights that are text", () => Classifier.open({ weights: 5 }), /neither bytes nor an address/],
  ["weights of nothing", () => Classifier.open({ weights: new Uint8Array() }), /not a readable safetensors file/],
  ["weights of noise", () => Classifier.open({ weights: new Uint8Array(5000).fill(7) }), /not a readable safetensors file/],
  ["weights that are not there", () => Classifier.open({ weights: new URL("file:///nowhere/weights.safetensors") }), /cannot be loaded/],
  ["an unknown device", () => Classifier.open({ device: "toaster" }), /device 'toaster'/],
];
test("a call that makes no sense is refused with a cause and a remedy", async () => {
  for (const [what, call, cause] of NONSENSE) {
    await assert.rejects(async () => call(), (error) => {
      assert.ok(error instanceof EcgpuError, `${what}: ${error.stack}`);
      assert.ok(error.kind && error.remedy && error.message === `${error.cause}: ${error.remedy}`, what);
      assert.match(error.cause, cause, what);
      return true;
    });
  }
  await unharmed();
});

test("the remedy names the option of read that follows it", () => {
  const whole = { name: "a.npy", bytes: text("I,II\n" + "1,2\n".repeat(300)) };
  assert.throws(() => read({ ...whole, name: "a.csv" }), ({ option, remedy }) => ["unit", "samplingRateHz"].includes(option) && remedy.includes(`option ${option}`));
});
