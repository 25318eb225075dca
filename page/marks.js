// Draws an explanation on the traces, as a highlighter would: orange speaks for the class, purple against it.

import { svg } from "./dom.js";
import { SECONDS } from "./layout.js";
import { clipped, path } from "./paper.js";

/** Steps of colour on each side. */
const STEPS = 4;

/** Returns the class of a value's colour; none where it is nearer to 0 than half a step. */
function colour(value, scale) {
  const step = Math.min(STEPS, Math.round((STEPS * Math.abs(value)) / scale));
  return step > 0 ? `mark ${value > 0 ? "for" : "against"}-${step}` : undefined;
}

/** Returns the magnitude with the full colour: the 99th percentile, so that one sample does not make all others pale. */
function fullScale(values) {
  const sorted = values.map(Math.abs).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] || 1;
}

/** Joins neighbouring bands of one colour: `[{ name, from, to }]` in seconds of the recording. */
function runs(values, seconds, scale) {
  const found = [];
  values.forEach((value, at) => {
    const name = colour(value, scale);
    const last = found.at(-1);
    if (last && last.name === name && last.end === at) last.end = at + 1;
    else if (name) found.push({ name, at, end: at + 1 });
  });
  return found.map(({ name, at, end }) => ({ name, from: at * seconds, to: end * seconds }));
}

/**
 * Draws the attributions of a method into the sheet, or removes them where there are none. Along the lower edge runs the
 * ribbon of all leads together.
 */
export function drawMarks(root, sheet, part, explanation, method) {
  const group = root.querySelector(".marks");
  group.replaceChildren();
  if (!method || !part) return;
  const band = explanation.time_band_seconds;
  const shown = (run) => run.to > part.from && run.from < part.from + SECONDS;
  const local = ({ name, from, to }) => ({ name, from: from - part.from, to: to - part.from });
  if (method.lead_time_bands) {
    const scale = fullScale(Object.values(method.lead_time_bands).flat());
    for (const strip of sheet.strips) {
      const values = method.lead_time_bands[strip.lead] ?? [];
      const pieces = runs(values, band, scale).filter(shown).map(local);
      group.append(clipped(strip, sheet, pieces.map((run) => highlight(run, strip, sheet, part))));
    }
  }
  const { left, speed, height } = sheet;
  const scale = Math.max(...method.time_bands.map(Math.abs)) || 1;
  const cells = runs(method.time_bands, band, scale).filter(shown).map(local).map(({ name, from, to }) => {
    const [start, end] = [Math.max(0, from), Math.min(SECONDS, to)];
    return svg("rect", { class: `${name} ribbon`, x: left + start * speed, y: height - 8, width: (end - start) * speed, height: 2.5 });
  });
  group.append(svg("rect", { class: "ribbon ground", x: left, y: height - 8, width: SECONDS * speed, height: 2.5 }), ...cells);
  group.classList.toggle("failed", !method.passed);
}

function highlight({ name, from, to }, strip, sheet, part) {
  const [first, last] = [Math.max(from, strip.offset), Math.min(to, strip.offset + strip.length)];
  if (first >= last) return undefined;
  // Cut at the band's edges, which lie between samples at some sampling rates.
  const x = (time) => strip.left + (time - strip.offset) * sheet.speed;
  const [y, height] = [strip.baseline - sheet.reach, 2 * sheet.reach];
  const [left, width] = [x(first), x(last) - x(first)];
  return svg(
    "svg",
    { x: left, y, width, height, viewBox: `${left} ${y} ${width} ${height}` },
    svg("path", { class: name, d: path(strip, sheet, part, first, last) }),
  );
}

/** Returns the strongest bands: `[{ lead, from, to, value }]`, the largest magnitude first. */
export function strongest(explanation, method, count = 5) {
  const band = explanation.time_band_seconds;
  const rows = method.lead_time_bands ?? { "": method.time_bands };
  const all = Object.entries(rows).flatMap(([lead, values]) =>
    values.map((value, at) => ({ lead, value, from: at * band, to: (at + 1) * band })),
  );
  return all.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, count);
}
