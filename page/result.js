// The result of one recording: warnings first, then each class with its probability, threshold and words.

import { announce, button, html, svg } from "./dom.js";
import { count, likelihood, list, nameOf, percent, sentence } from "./words.js";

/** Shows what was predicted in `place`. `explain` is called with the class whose places are asked for. */
export function showResult(place, prediction, explain) {
  const classes = Object.keys(prediction.probabilities);
  place.replaceChildren(
    warnings(prediction.warnings),
    html("h2", {}, "Result"),
    html("p", { class: "verdict" }, verdict(prediction)),
    html("ul", { class: "classes" }, classes.map((name) => row(name, prediction, explain))),
    table(classes, prediction),
    html("p", { class: "fine" }, "Probabilities are calibrated on PTB-XL, on its fold 9. Classes do not exclude each other. ", save(prediction)),
  );
  announce(`${spoken(prediction)} ${count(prediction.warnings.length, "warning")}.`);
}

function warnings(all) {
  if (all.length === 0) return html("p", { class: "quiet" }, "No warnings about the file or the quality of the signal.");
  return html(
    "section",
    { class: "warnings", "aria-labelledby": "warnings-title" },
    html("h2", { id: "warnings-title" }, `Read first: ${count(all.length, "warning")}`),
    html("ul", {}, all.map((text) => html("li", {}, sentence(text)))),
  );
}

/** Which classes are given as labels. */
function verdict({ labels }) {
  if (labels.length === 0) return "No label: every probability is below its threshold.";
  const names = labels.flatMap((name, at) => [at > 0 && (at === labels.length - 1 ? " and " : ", "), html("strong", {}, nameOf(name))]);
  return html("span", {}, labels.length === 1 ? "Label: " : "Labels: ", names.filter(Boolean));
}

function spoken({ labels, probabilities }) {
  if (labels.length === 0) return "No label.";
  const say = (name) => `${nameOf(name)}, ${likelihood(probabilities[name])}, ${percent(probabilities[name])}`;
  return `${labels.length === 1 ? "Label" : "Labels"}: ${list(labels.map(say))}.`;
}

/** The words for a class: calibrated to its probability, and how that stands to the threshold. */
function inWords(probability, threshold) {
  const above = probability >= threshold;
  const stands = above ? `above its threshold of ${percent(threshold)}: a label` : `below its threshold of ${percent(threshold)}`;
  return `${sentence(likelihood(probability)).slice(0, -1)}; ${stands}`;
}

function row(name, { probabilities, thresholds, labels }, explain) {
  const [probability, threshold] = [probabilities[name], thresholds[name]];
  const labelled = labels.includes(name);
  return html(
    "li",
    { class: labelled ? "class labelled" : "class", "data-class": name },
    html("span", { class: "name" }, nameOf(name), " ", html("abbr", { title: nameOf(name) }, name)),
    html("data", { class: "probability", value: probability }, percent(probability)),
    bar(probability, threshold),
    html("span", { class: "words" }, inWords(probability, threshold)),
    button("Where?", () => explain(name), { class: "link", "aria-label": `Where in the record does ${nameOf(name)} come from?` }),
  );
}

/** A bar with a tick at the threshold. The text beside it and the table say the same. */
function bar(probability, threshold) {
  const at = 100 * threshold;
  return svg(
    "svg",
    { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", y: 2, width: 100, height: 6 }),
    svg("rect", { class: "filled", y: 2, width: 100 * probability, height: 6 }),
    svg("path", { class: "threshold", d: `M${at} 0V10` }),
  );
}

function table(classes, { logits, probabilities, thresholds, labels }) {
  const cells = (name, at) => [
    html("th", { scope: "row" }, nameOf(name)),
    html("td", {}, html("data", { value: logits[at], "data-logit": name }, logits[at].toFixed(3).replace("-", "\u2212"))),
    html("td", {}, percent(probabilities[name])),
    html("td", {}, percent(thresholds[name])),
    html("td", {}, labels.includes(name) ? "yes" : "no"),
  ];
  const heads = ["Class", "Logit", "Probability", "Threshold", "Label"];
  return html(
    "details",
    { class: "numbers" },
    html("summary", {}, "As a table, with logits"),
    html(
      "div",
      { class: "wide", tabindex: 0, role: "region", "aria-label": "Table of the classes" },
      html(
        "table",
        {},
        html("thead", {}, html("tr", {}, heads.map((head) => html("th", { scope: "col" }, head)))),
        html("tbody", {}, classes.map((name, at) => html("tr", {}, cells(name, at)))),
      ),
    ),
  );
}

/** A button that saves the prediction as JSON: the fields of `ecgpu classify --json`, and `took_ms`. */
function save(prediction) {
  const download = () => {
    const address = URL.createObjectURL(new Blob([JSON.stringify(prediction, null, 1)], { type: "application/json" }));
    html("a", { href: address, download: `${prediction.record || "ecg"}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };
  return button("Save as JSON", download, { class: "link" });
}
