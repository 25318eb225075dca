// The synthetic samples.

import { button } from "./dom.js";

/** The conditions of the engine's synthetic ECGs, as buttons name and describe them. */
const SAMPLES = {
  norm: ["Normal", "NORM, normal ECG"],
  "mi-inferior": ["Inferior MI", "MI, inferior myocardial infarction"],
  "mi-anterior": ["Anterior MI", "MI, anterior myocardial infarction"],
  sttc: ["ST/T", "STTC, ST and T wave changes"],
  hyp: ["LVH", "HYP, left ventricular hypertrophy"],
  "cd-lbbb": ["LBBB", "CD, left bundle branch block"],
  "cd-rbbb": ["RBBB", "CD, right bundle branch block"],
};

/** Fills `place` with a button for each sample; `chosen` is called with the condition. */
export function offerSamples(place, chosen) {
  const make = ([condition, [name, description]]) =>
    button(name, () => chosen(condition), { class: "chip", "data-sample": condition, title: `Synthetic: ${description}` });
  place.append(...Object.entries(SAMPLES).map(make));
}

/** Marks the button of the open sample. */
export function markSample(place, condition) {
  for (const it of place.querySelectorAll("[data-sample]")) {
    it.setAttribute("aria-pressed", String(it.dataset.sample === condition));
  }
}
