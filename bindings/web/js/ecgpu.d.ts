/**
 * Loads the WebAssembly module. Everything else may be called once the promise is fulfilled. Further calls return the same
 * promise; after an error of kind `module` a call makes the module anew, and what was made before is gone.
 */
export default function init(options?: InitOptions): Promise<void>;

export interface InitOptions {
  /**
   * Where the module is: its address, a response or its bytes. Without it, `ecgpu_bg.wasm` is fetched from beside this
   * file.
   */
  module?: string | URL | Response | BufferSource | WebAssembly.Module | Promise<Response>;
}

/** Lists the formats that `read` reads, each with its extensions, such as `WFDB (.hea, .dat)`. */
export function formats(): string;

/**
 * Reads the recordings of files that belong together: one file, or a WFDB header and its signal files, in any order. The
 * format is recognised by the content.
 *
 * @throws {EcgpuError} The files are damaged, incomplete or of no known format.
 */
export function read(files: EcgFile | readonly EcgFile[], options?: ReadOptions): Recording[];

export interface EcgFile {
  /** The file's name, with its extension. */
  name: string;
  bytes: Uint8Array | ArrayBuffer;
}

/** What a file does not say, or says wrongly. What neither says is assumed, with a warning. */
export interface ReadOptions {
  /** In Hz. */
  samplingRateHz?: number;
  unit?: "mV" | "uV" | "µV" | "nV" | "V" | (string & {});
  /** The leads of a file that does not name them, in its order. */
  leads?: readonly string[];
}

/**
 * Makes a synthetic 12-lead ECG; equal seeds give equal ECGs.
 *
 * @throws {EcgpuError} The options make no sense.
 */
export function synthesize(condition?: Condition, options?: SynthesisOptions): Recording;

export type Condition = "norm" | "mi-inferior" | "mi-anterior" | "sttc" | "hyp" | "cd-lbbb" | "cd-rbbb";

export interface SynthesisOptions {
  /** A whole number; 1 if absent. */
  seed?: number;
  /** In Hz; 500 if absent. */
  samplingRateHz?: number;
  /** In seconds; 10 if absent. */
  durationS?: number;
}

/** One ECG, in the module's memory. `read` and `synthesize` make recordings. */
export class Recording {
  private constructor();
  /** The record's name. */
  readonly name: string;
  readonly samplingRateHz: number;
  readonly durationS: number;
  /** The names of the recorded leads, in the file's order. */
  readonly leads: string[];
  /** What is unusual about the file and the signal, one sentence each. */
  readonly warnings: string[];
  /**
   * The samples of a lead in mV; undefined if it was not recorded.
   *
   * @throws {EcgpuError} There is no lead of this name.
   */
  lead(name: string): Float32Array | undefined;
  /**
   * The twelve leads I, II, III, aVR, aVL, aVF and V1 to V6 in mV. Of the limb leads, I and II suffice: the others are
   * derived from them.
   *
   * @throws {EcgpuError} A lead is missing.
   */
  inOrder(): { name: string; samples: Float32Array }[];
  /** Frees the memory now, instead of when the object is collected. */
  free(): void;
  [Symbol.dispose](): void;
}

/** A network with its weights, ready to classify. */
export class Classifier {
  private constructor();
  /**
   * Loads weights and makes a classifier.
   *
   * @throws {EcgpuError} The weights cannot be loaded or are damaged, or there is no such device.
   */
  static open(options?: OpenOptions): Promise<Classifier>;
  /** What computed the last prediction, in words; before the first, what will. */
  readonly device: string;
  /** The name of the network. */
  readonly network: string;
  /** The sampling rate in Hz to which recordings are resampled. */
  readonly samplingRateHz: number;
  /** The names of the classes, in the order of the logits. */
  readonly classes: string[];
  /** The probability from which each class is a label. */
  readonly thresholds: Record<string, number>;
  /**
   * Remarks about the weights file, such as defaults that replace missing metadata, and why WebGPU is not used although it
   * was asked for, or no longer.
   */
  readonly notes: string[];
  /**
   * Classifies a recording.
   *
   * @throws {EcgpuError} A lead is missing, the recording is shorter than a second, or its sampling rate cannot be resampled.
   */
  classify(recording: Recording, options?: ClassifyOptions): Promise<Prediction>;
  /**
   * Classifies a recording with the float64 reference, in plain loops, for comparison.
   *
   * @throws {EcgpuError} As for `classify`.
   */
  classifyReference(recording: Recording, options?: { embedding?: boolean }): Promise<Prediction>;
  /** Compares every stage of the network with the float64 reference, on three shapes of random input. */
  verify(): Promise<StageReport[]>;
  /** Frees the memory now, instead of when the object is collected. */
  free(): void;
  [Symbol.dispose](): void;
}

export interface OpenOptions {
  /** A safetensors file: its bytes or its address. Without it, `weights.safetensors` is fetched from beside this file. */
  weights?: Uint8Array | ArrayBuffer | string | URL;
  /**
   * What computes; `auto` if absent. `webgpu` is the browser's GPU, and WebAssembly where there is none or it fails:
   * `Classifier.notes` then says why. `auto` is WebAssembly, and the GPU for recordings of a length for which it was measured
   * to be faster, in the background from the second of that length on. An adapter that computes on the CPU is left alone.
   */
  device?: "auto" | "wasm" | "webgpu";
}

export interface ClassifyOptions {
  /** Adds the embedding to the prediction. */
  embedding?: boolean;
  /**
   * Adds an explanation: of the most probable class with `true`, else of the class of this name. It takes thousands of
   * forward passes, so do it in a worker.
   */
  explain?: boolean | string | ExplainOptions;
  /** Called during an explanation with the forward passes so far and all of them. */
  onProgress?: (done: number, total: number) => void;
}

export interface ExplainOptions {
  /** The class; the most probable one if absent. */
  class?: string;
  /** The methods; all if absent. `gradient` and `grad-cam` take a tenth of the time of `occlusion`. */
  methods?: readonly Method[];
  /** The seed of the checks, a whole number; 1 if absent. */
  seed?: number;
}

export type Method = "gradient" | "occlusion" | "grad-cam";

/** What the network says about one recording. Not a diagnosis. */
export interface Prediction {
  /** The record's name. */
  record: string;
  sampling_rate_hz: number;
  duration_s: number;
  /** What computed. */
  device: string;
  /** `cpu`, `webgpu` or `reference`. */
  backend: string;
  /** How numbers were stored, such as `f32`. */
  precision: string;
  /** The raw outputs, in the order of `Classifier.classes`. */
  logits: number[];
  /** Each class's probability. Classes do not exclude each other, so the sum is not 1. */
  probabilities: Record<string, number>;
  /** The probability from which each class is a label. */
  thresholds: Record<string, number>;
  /** The classes whose probability reaches their threshold. */
  labels: string[];
  /** What is unusual about the recording, one sentence each. */
  warnings: string[];
  /** The features before the last layer, if asked for. */
  embedding?: number[];
  /** If asked for. */
  explanation?: Explanation;
  /** The time of the classification in milliseconds, without the explanation's. */
  took_ms: number;
}

/** Which parts of a recording the logit of a class depends on. An explanation is of the network, not of the patient. */
export interface Explanation {
  record: string;
  device: string;
  backend: string;
  network: string;
  seed: number;
  /** The explained class. */
  class: string;
  probability: number;
  logit: number;
  /** The length of a time band in seconds; the last may be shorter. */
  time_band_seconds: number;
  methods: Attribution[];
  warnings: string[];
}

/** The attributions of one method with their checks. Positive numbers speak for the class. */
export interface Attribution {
  method: Method;
  /** Whether both checks passed. Otherwise the attributions are not to be relied on. */
  passed: boolean;
  /** Of each lead as a whole; null with Grad-CAM. */
  leads: Record<string, number> | null;
  /** The same for every class. */
  leads_by_class: Record<string, Record<string, number>> | null;
  /** Of each time band of each lead; null with Grad-CAM. */
  lead_time_bands: Record<string, number[]> | null;
  /** Of each time band, all leads together. */
  time_bands: number[];
  /** Whether the attributions change when the network's weights become random, as they must. */
  random_weights: {
    passed: boolean;
    largest_rank_correlation: number;
    stages: {
      random_layers: number;
      random_networks: number;
      rank_correlation: number;
      signed_rank_correlation: number;
    }[];
  };
  /** Whether the probability falls faster when what is called important is replaced than when random parts are. */
  deletion: {
    passed: boolean;
    area: number;
    random_orders: number;
    random_orders_beaten: number;
    probability_by_map: number[];
    probability_at_random: number[];
  };
}

/** The comparison of one stage of the network with the float64 reference. */
export interface StageReport {
  /** The network's name and the shape of its input. */
  network: string;
  /** The stage's name. */
  name: string;
  /** The operation and its sizes. */
  operation: string;
  /** `[batch, channels, samples]` of the stage's output. */
  shape: [number, number, number];
  /** The normalised mean square error. */
  nmse: number;
  /** The largest absolute difference. */
  largestDifference: number;
  /** Whether the differences are within the bounds. */
  passed: boolean;
}

/** What this package throws. Its message is `cause: remedy`. */
export class EcgpuError extends Error {
  /**
   * `recording`, `file`, `usage`, `weights`, `shape` or `device`; or `module` if the module cannot be loaded, ran out of
   * memory or has a fault: `init` makes it anew.
   */
  readonly kind: string;
  /** What happened. */
  readonly cause: string;
  /** What can be done about it. */
  readonly remedy: string;
  /** The option of `read` that does it, if there is one. */
  readonly option?: "unit" | "samplingRateHz" | "leads";
}
