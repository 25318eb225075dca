// The engines side by side: logits, the largest difference, what computed and how long it took.

import { announce, button, html } from "./dom.js";
import { Problem } from "./problem.js";
import { nameOf, sentence, tiny, took } from "./words.js";

/** Says what computed the prediction. */
function computedBy({ device, precision, took_ms: ms }) {
  const row = (name, value) => [html("dt", {}, name), html("dd", {}, value)];
  return html("dl", {}, row("Device", device), row("Numbers", precision), row("Time", took(ms)));
}

/** Shows what computed, and the switch of the comparison. `acts` has `compare(withServer)`, `offersServer`, and `verify()` where it can be verified. */
export function showComparison(place, prediction, acts) {
  const results = html("div", { class: "comparison" });
  const server = html("input", { type: "checkbox", id: "with-server" });
  const choice = acts.offersServer && html("label", { class: "check-line" }, server, html("span", {}, "Ask the server too: sends the recording to it"));
  const toggle = button("Side by side", undefined, { role: "switch", "aria-checked": "false", class: "switch" });
  const compare = () => run(results, () => acts.compare(server.checked));
  toggle.addEventListener("click", () => {
    const on = toggle.getAttribute("aria-checked") === "false";
    toggle.setAttribute("aria-checked", String(on));
    if (on) compare();
    else results.replaceChildren();
  });
  server.addEventListener("change", () => toggle.getAttribute("aria-checked") === "true" && compare());
  const verified = html("div", { class: "verified" });
  const verify = acts.verify && button("Verify every stage", () => check(verified, acts.verify));
  place.replaceChildren(html("h2", {}, "How it was computed"), computedBy(prediction), toggle, choice || "", results, verify || "", verified);
}

async function run(place, compare) {
  place.replaceChildren(html("p", {}, "Computing …"));
  const columns = await compare();
  place.replaceChildren(sideBySide(columns));
  const differences = columns.map((it) => difference(it, columns.at(-1))).filter(Number.isFinite);
  announce(differences.length ? `Largest difference of a logit from the reference: ${tiny(Math.max(...differences))}.` : "There is no reference.");
}

/** Returns the largest difference of two columns' logits; NaN where one has none. */
function difference({ prediction: a }, { prediction: b }) {
  return a && b ? Math.max(...a.logits.map((logit, at) => Math.abs(logit - b.logits[at]))) : NaN;
}

/** Makes the table of columns `[{ name, prediction | problem }]`, the last of which is the reference. */
function sideBySide(columns) {
  const reference = columns.at(-1);
  const classes = Object.keys((columns.find((it) => it.prediction) ?? { prediction: { probabilities: {} } }).prediction.probabilities);
  const cell = ({ name, prediction }, at) =>
    html("td", {}, prediction ? html("data", { value: prediction.logits[at], "data-engine": name }, prediction.logits[at].toFixed(6).replace("-", "\u2212")) : "–");
  const foot = (title, of) => html("tr", {}, html("th", { scope: "row" }, title), columns.map((it) => html("td", {}, it.prediction ? of(it) : "–")));
  const problems = columns.filter((it) => it.problem).map((it) => html("p", { class: "quiet" }, `${it.name}: ${sentence(it.problem.message)}`));
  const table = html(
    "table",
    {},
    html("caption", {}, "Logits"),
    html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "Class"), columns.map((it) => html("th", { scope: "col" }, it.name)))),
    html("tbody", {}, classes.map((name, at) => html("tr", {}, html("th", { scope: "row" }, html("abbr", { title: nameOf(name) }, name)), columns.map((it) => cell(it, at))))),
    html(
      "tfoot",
      {},
      foot("Largest difference", (it) => (it === reference || !reference.prediction ? "–" : html("data", { value: difference(it, reference), class: "largest" }, tiny(difference(it, reference))))),
      foot("Time", (it) => took(it.prediction.took_ms)),
    ),
  );
  const devices = columns.filter((it) => it.prediction).map((it) => html("li", {}, `${it.name}: ${it.prediction.device}`));
  return html("div", {}, html("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Engines side by side" }, table), html("ul", { class: "fine" }, devices), problems);
}

async function check(place, verify) {
  place.replaceChildren(html("p", {}, "Comparing every stage of the network with float64 …"));
  try {
    const stages = await verify();
    const failed = stages.filter((it) => !it.passed);
    const worst = Math.max(...stages.map((it) => it.nmse));
    const text = failed.length
      ? `${failed.length} of ${stages.length} stages differ from the float64 reference: ${failed[0].name} first. Do not rely on this device.`
      : `All ${stages.length} stages agree with the float64 reference; largest normalised mean square error ${tiny(worst)}.`;
    place.replaceChildren(html("p", { class: failed.length ? "failed" : "passed", role: "status" }, text));
  } catch (error) {
    place.replaceChildren(html("p", { class: "failed", role: "alert" }, sentence(Problem.of(error).message)));
  }
}
