// Draws a sheet of ECG paper as SVG. A unit of the drawing is a millimetre of the paper.

import { svg } from "./dom.js";
import { median } from "./leads.js";
import { arrange } from "./layout.js";

/** Rounds to a thousandth of a millimetre: 0.04 pixels at the largest zoom. */
const digits = (number) => Math.round(number * 1000) / 1000;

/** Returns the path of parallel lines: `count` of them, a step apart, across a sheet. */
function lines(width, height, step) {
  let path = "";
  for (let x = 0; x <= width; x += step) path += `M${x} 0V${height}`;
  for (let y = 0; y <= height; y += step) path += `M0 ${y}H${width}`;
  return path;
}

/**
 * Draws a sheet into an `<svg>`.
 *
 * `part` has the samples of ten seconds: `{ leads, derived, samplingRateHz, from, durationS }`; without it the paper is empty.
 * `note` stands in the upper right corner. Returns the arrangement of the sheet, with the level of each lead in mV, which is
 * drawn on its baseline.
 */
export function draw(root, { arrangement, speed, gain, part, note }) {
  const rhythmLead = !part || part.leads.II ? "II" : (Object.keys(part.leads)[0] ?? "II");
  const sheet = arrange({ arrangement, speed, gain, rhythmLead });
  const { width, height } = sheet;
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  sheet.levels = part ? Object.fromEntries(Object.entries(part.leads).map(([name, samples]) => [name, median(samples)])) : {};
  root.replaceChildren(
    svg("rect", { class: "sheet", width, height }),
    svg("path", { class: "grid thin", d: lines(width, height, 1) }),
    svg("path", { class: "grid thick", d: lines(width, height, 5) }),
    svg("g", { class: "marks" }),
    svg("g", { class: "pulses" }, sheet.pulses.map((y) => pulse(y, sheet))),
    svg("g", { class: "traces" }, sheet.strips.map((strip) => trace(strip, sheet, part))),
    svg("g", { class: "names" }, sheet.strips.map((strip) => heading(strip, sheet, part))),
    svg("g", { class: "remarks" }, remarks(sheet, part, note)),
    svg("g", { class: "calipers" }),
  );
  return sheet;
}

/** The calibration pulse of a row: 1 mV for 0.2 s. */
function pulse(y, { gain, speed }) {
  const end = 5 + 0.2 * speed;
  return svg("path", { class: "trace", d: `M2 ${y}H5V${y - gain}H${end}V${y}H${Math.min(end + 3, 15)}` });
}

/**
 * Returns the path of a lead between two times of the sheet, in seconds after its beginning; empty where nothing was recorded.
 */
export function path(strip, sheet, part, from = strip.offset, to = strip.offset + strip.length) {
  const samples = part?.leads[strip.lead];
  if (!samples) return "";
  const rate = part.samplingRateHz;
  const level = sheet.levels[strip.lead];
  // One sample more on both sides, so that the line reaches the edges; what is beyond them is clipped.
  const first = Math.max(0, Math.floor(from * rate));
  const last = Math.min(samples.length - 1, Math.ceil(to * rate));
  const points = [];
  for (let at = first; at <= last; at += 1) {
    const x = digits(strip.left + (at / rate - strip.offset) * sheet.speed);
    const up = Math.max(-2 * sheet.reach, Math.min(2 * sheet.reach, (samples[at] - level) * sheet.gain));
    points.push(`${x} ${digits(strip.baseline - up)}`);
  }
  return points.length > 1 ? `M${points.join("L")}` : "";
}

/** Makes an inner `<svg>` that clips what it holds to the strip. */
export function clipped(strip, sheet, ...children) {
  const [x, y, width, height] = [strip.left, strip.baseline - sheet.reach, strip.width, 2 * sheet.reach];
  return svg("svg", { x, y, width, height, viewBox: `${x} ${y} ${width} ${height}` }, ...children);
}

function trace(strip, sheet, part) {
  return clipped(strip, sheet, svg("path", { class: "trace", "data-lead": strip.lead, d: path(strip, sheet, part) }));
}

/** The name of a strip's lead, and a line where a column begins. */
function heading(strip, sheet, part) {
  const y = strip.baseline - 11;
  const known = part?.leads[strip.lead];
  const mark = part?.derived.includes(strip.lead) ? "*" : "";
  const text = part && !known ? `${strip.lead} not recorded` : strip.lead + mark;
  const line = strip.offset > 0 && svg("path", { class: "separator", d: `M${strip.left} ${y - 3}v4M${strip.left} ${strip.baseline + 8}v4` });
  return svg("g", {}, line, svg("text", { class: part && !known ? "absent" : "lead", x: strip.left + 1.5, y }, text));
}

/** The scale, and what has to be known about the drawing. */
function remarks({ left, height, speed, gain, reach, strips, levels }, part, note) {
  const texts = [`${speed} mm/s   ${gain} mm/mV   unfiltered, DC offset removed`];
  if (part?.derived.length) texts.push(`* derived from I and II`);
  const cut = strips.filter(({ lead }) => part?.leads[lead]?.some((sample) => Math.abs(sample - levels[lead]) * gain > reach));
  if (cut.length) texts.push(`cut off at ${reach} mm: ${[...new Set(cut.map(({ lead }) => lead))].join(", ")}`);
  return [
    svg("text", { class: "scale", x: 2, y: height - 2 }, texts.join("   ")),
    note && svg("text", { class: "note", x: left + 1.5, y: 6 }, note),
  ].filter(Boolean);
}
