// Numbers and classes in words.

const CLASSES = {
  NORM: "Normal ECG",
  MI: "Myocardial infarction",
  STTC: "ST/T change",
  HYP: "Hypertrophy",
  CD: "Conduction disturbance",
};

/** Returns the name of a class, or the class itself where it has none. */
export const nameOf = (name) => CLASSES[name] ?? name;

/**
 * The words for a probability, from the least probability that each is said of. The scale is that of the IPCC for calibrated
 * language (Mastrandrea et al. 2010, Guidance Note for Lead Authors on Consistent Treatment of Uncertainties, table 1).
 */
const SCALE = [
  [0.99, "virtually certain"],
  [0.9, "very likely"],
  [0.66, "likely"],
  [0.33, "about as likely as not"],
  [0.1, "unlikely"],
  [0.01, "very unlikely"],
  [0, "exceptionally unlikely"],
];

/** Returns the words for a probability. */
export const likelihood = (probability) => SCALE.find(([least]) => probability >= least)?.[1] ?? "not a number";

/** Returns a probability in percent, never rounded to 0 or 100. */
export function percent(probability) {
  if (probability > 0.9995) return "> 99.9\u202f%";
  if (probability < 0.0005) return "< 0.1\u202f%";
  return `${(100 * probability).toFixed(1)}\u202f%`;
}

/** Returns a time as seconds, minutes or hours: `7.5 s`, `2:05`, `1:00:05`. */
export function clock(seconds, total = seconds) {
  if (total < 60) return `${seconds.toFixed(1)}\u202fs`;
  const whole = Math.floor(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Returns a duration of a computation. */
export const took = (ms) => (ms < 10 ? `${ms.toFixed(1)}\u202fms` : ms < 1000 ? `${ms.toFixed(0)}\u202fms` : `${(ms / 1000).toFixed(1)}\u202fs`);

/** Returns a number with its sign, the minus as wide as the plus. */
export const signed = (number, digits = 2) => `${number < 0 ? "\u2212" : "+"}${Math.abs(number).toFixed(digits)}`;

/** Returns a small number in scientific notation: `2.4 × 10⁻⁶`; `0` for zero. */
export function tiny(number) {
  if (number === 0) return "0";
  const [mantissa, exponent] = number.toExponential(1).split("e");
  const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const raised = [...exponent.replace("+", "")].map((digit) => (digit === "-" ? "⁻" : digits[digit])).join("");
  return `${mantissa}\u202f×\u202f10${raised}`;
}

/** Joins words by commas and a last `and`. */
export function list(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** Returns a count with its noun. */
export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** Begins a sentence with a capital letter, unless with a file's name or a lead's, and ends it with a full stop. */
export function sentence(text) {
  const isWord = /^[a-z]+(\s|$)/.test(text);
  const first = isWord ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return /[.?!]$/.test(first) ? first : `${first}.`;
}
