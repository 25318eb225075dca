// The explanation of one class: how it is computed, its checks, and its strongest places.

import { button, html, svg } from "./dom.js";
import { strongest } from "./marks.js";
import { nameOf, percent, signed } from "./words.js";

/** The methods by the engine's names, and what their numbers are. */
const METHODS = {
  gradient: { name: "Gradient × input", about: "Sums over the band of sample × gradient, in logits.", unit: " logits" },
  occlusion: { name: "Occlusion", about: "The fall of the logit when the band of the lead is replaced by a straight line.", unit: " logits" },
  "grad-cam": { name: "Grad-CAM", about: "Which times the last convolution answers to. It cannot tell leads apart.", unit: "" },
};

/** Shows that an explanation is being computed. `stop` is none where it cannot be stopped. Returns what moves the bar. */
export function showProgress(place, name, stop) {
  const bar = html("progress", { max: 1, value: 0, "aria-label": "Computing the explanation" });
  place.replaceChildren(
    html("h2", {}, `Where ${name} comes from`),
    html("p", {}, "Computing thousands of variations of the record …"),
    html("p", { class: "row" }, bar, stop && button("Stop", stop)),
  );
  return (share) => {
    bar.value = share;
  };
}

/**
 * Shows an explanation. `acts` has `choose(method)`, `reveal(place)` and `remove()`.
 */
export function showExplanation(place, explanation, method, acts) {
  const name = explanation.class;
  const { about, unit } = METHODS[method.method];
  place.replaceChildren(
    html("div", { class: "row" }, html("h2", {}, `Where ${titled(name)} comes from`), button("Remove from the trace", acts.remove)),
    verdict(method),
    html("div", { class: "row" }, methods(method.method, acts.choose), legend(name)),
    html("p", { class: "fine" }, about, " An explanation is of the network, not of the patient."),
    html(
      "div",
      { class: "explained" },
      html("div", {}, html("h3", {}, "Checks"), checks(method)),
      html("div", {}, html("h3", {}, "Deletion curve"), curves(method.deletion)),
      html(
        "div",
        {},
        html("h3", {}, "Strongest places"),
        html("ol", { class: "places" }, strongest(explanation, method).map((it) => strong(it, name, unit, acts))),
        method.leads && leadTable(method.leads, name),
      ),
    ),
  );
}

function methods(chosen, choose) {
  const one = ([key, { name }]) => {
    const input = html("input", { type: "radio", name: "method", value: key, checked: key === chosen, onchange: () => choose(key) });
    return html("label", {}, input, html("span", {}, name));
  };
  return html("fieldset", { class: "segments" }, html("legend", {}, "Method"), Object.entries(METHODS).map(one));
}

/** Whether a map may be relied on: the sentence that the paper's banner shows as well. */
export function verdictOf({ passed, deletion, random_weights: random }) {
  if (passed) return "This map passed both checks.";
  const failed = [!deletion.passed && "deletion", !random.passed && "random weights"].filter(Boolean);
  return `Do not rely on this map: it failed the check by ${failed.join(" and by ")}.`;
}

function verdict(method) {
  return html("p", { class: method.passed ? "passed" : "failed", role: method.passed ? false : "alert" }, verdictOf(method));
}

function legend(name) {
  const steps = ["against-4", "against-3", "against-2", "against-1", "none", "for-1", "for-2", "for-3", "for-4"];
  const cell = (step, at) => svg("rect", { class: `mark ${step} ribbon`, x: at * 16, width: 16, height: 10 });
  const scale = svg("svg", { class: "scale-bar", viewBox: "0 0 144 10", role: "img", "aria-label": "Purple against, orange for" }, steps.map(cell));
  return html("p", { class: "legend" }, `against ${name}`, scale, `for ${name}`);
}

function checks({ deletion, random_weights: random }) {
  const correlation = Math.max(...random.stages.slice(-1).flatMap((it) => [Math.abs(it.rank_correlation), Math.abs(it.signed_rank_correlation)]));
  const line = (passed, title, text) =>
    html("li", { class: passed ? "check" : "check bad" }, html("strong", {}, `${title}: ${passed ? "passed" : "FAILED"}. `), text);
  return html(
    "ul",
    { class: "checks" },
    line(
      deletion.passed,
      "Deletion",
      `Replacing the marked parts first lowers the probability more than ${deletion.random_orders_beaten} of ${deletion.random_orders} random orders do. It must be all.`,
    ),
    line(
      random.passed,
      "Random weights",
      `Maps of networks with random weights correlate with this one by ${correlation.toFixed(2)}. It must be at most ${random.largest_rank_correlation ?? 0.7}.`,
    ),
  );
}

/** The probability while more and more is replaced: by the map, and at random. */
function curves({ probability_by_map: byMap, probability_at_random: atRandom }) {
  const top = Math.max(...byMap, ...atRandom, 0.01);
  const [width, height, left, upper] = [230, 72, 42, 6];
  const point = (values) => (value, at) => `${left + (width * at) / (values.length - 1)} ${upper + height * (1 - value / top)}`;
  const curve = (values, name) => svg("path", { class: name, d: `M${values.map(point(values)).join("L")}` });
  const text = (x, y, content, anchor, name) => svg("text", { x, y, "text-anchor": anchor, class: name }, content);
  const label = `Deletion curve: from ${percent(byMap[0])} to ${percent(byMap.at(-1))} by the map`;
  return svg(
    "svg",
    { class: "curves", viewBox: "0 0 280 112", role: "img", "aria-label": label },
    svg("path", { class: "axis", d: `M${left} ${upper}V${upper + height}H${left + width}` }),
    curve(atRandom, "at-random"),
    curve(byMap, "by-map"),
    text(left - 4, upper + 6, percent(top), "end"),
    text(left - 4, upper + height, "0", "end"),
    text(left + width, upper + height + 13, "share of the record replaced, 0 to 100\u202f%", "end"),
    svg("path", { class: "by-map", d: `M${left} ${upper + height + 25}h18` }),
    text(left + 22, upper + height + 28, "by the map", "start", "by-map"),
    svg("path", { class: "at-random", d: `M${left + 92} ${upper + height + 25}h18` }),
    text(left + 114, upper + height + 28, "at random", "start"),
  );
}

function strong({ lead, from, to, value }, name, unit, acts) {
  const where = `${lead ? `${lead}, ` : ""}${from.toFixed(2)}–${to.toFixed(2)}\u202fs`;
  const text = `${signed(value)}${unit} ${value < 0 ? "against" : "for"} ${name}`;
  return html("li", {}, button(where, () => acts.reveal({ lead, from, to }), { class: "link" }), ` ${text}`);
}

function leadTable(leads, name) {
  const row = ([lead, value]) => html("tr", {}, html("th", { scope: "row" }, lead), html("td", {}, signed(value)));
  return html(
    "details",
    { class: "numbers" },
    html("summary", {}, "Each lead as a whole"),
    html(
      "table",
      {},
      html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "Lead"), html("th", { scope: "col" }, `Logits for ${name}`))),
      html("tbody", {}, Object.entries(leads).map(row)),
    ),
  );
}

/** Returns the name of a class for a heading. */
export const titled = (name) => `${nameOf(name)} (${name})`;
