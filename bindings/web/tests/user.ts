// A program as a user writes it, for the compiler of TypeScript: it is never run.

import init, { Classifier, EcgpuError, formats, read, synthesize } from "ecgpu";
import type { Attribution, EcgFile, Explanation, Prediction, Recording, StageReport } from "ecgpu";

async function main(files: File[]): Promise<void> {
  await init();
  await init({ module: new URL("https://example.org/ecgpu_bg.wasm") });
  await init({ module: fetch("/ecgpu_bg.wasm") });
  const parts: EcgFile[] = await Promise.all(files.map(async (file) => ({ name: file.name, bytes: await file.arrayBuffer() })));
  const recordings: Recording[] = read(parts, { samplingRateHz: 500, unit: "uV", leads: ["I", "II"] });
  const [first = synthesize("mi-anterior", { seed: 2, durationS: 10 })] = recordings;
  using classifier = await Classifier.open({ device: "wasm" });
  const prediction: Prediction = await classifier.classify(first, {
    embedding: true,
    explain: "MI",
    onProgress: (done: number, total: number) => console.log(done / total),
  });
  const probability: number | undefined = prediction.probabilities["MI"];
  const explanation: Explanation | undefined = prediction.explanation;
  const attribution: Attribution | undefined = explanation?.methods.find(({ method }) => method === "grad-cam");
  const leads: Record<string, number> | null | undefined = attribution?.leads;
  const stages: StageReport[] = await classifier.verify();
  const second: Float32Array | undefined = first.lead("II");
  const names: string[] = first.inOrder().map(({ name, samples }) => `${name} ${samples.length}`);
  console.log(formats(), probability, leads, stages.length, second?.length, names, first.warnings.join());
  try {
    read({ name: "a.npy", bytes: new Uint8Array() });
  } catch (error) {
    if (error instanceof EcgpuError) console.log(error.kind, error.cause, error.remedy, error.option);
  }
  // @ts-expect-error: recordings are made by `read` and `synthesize`.
  new (await import("ecgpu")).Recording();
  // @ts-expect-error: there is no such device.
  await Classifier.open({ device: "cpu" });
  // @ts-expect-error: a file needs a name.
  read({ bytes: new Uint8Array() });
}

void main([]);
