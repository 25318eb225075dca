// What went wrong, with what can be done about it, and the fields by which a user does it.

import { button, html } from "./dom.js";
import { sentence } from "./words.js";

/** An error with cause and remedy. `option` names what a file lacks: `unit`, `samplingRateHz` or `leads`, or `token`. */
export class Problem extends Error {
  constructor({ kind, cause, remedy, option }) {
    super(`${cause}: ${remedy}`);
    Object.assign(this, { kind, cause, remedy, option });
  }

  /** Makes a problem of whatever was thrown. */
  static of(error) {
    return error instanceof Problem ? error : new Problem({ kind: "fault", cause: String(error.message ?? error), remedy: "reload the page" });
  }
}

const UNITS = ["mV", "uV", "nV", "V"];
const NAMES = { samplingRateHz: "Sampling rate in Hz", unit: "Unit of the numbers", leads: "Leads, in the file's order", token: "Token of the server" };

/**
 * Shows a problem in `place`. Where a file lacks something, fields ask for it, and `again` is called with the options: those
 * given before, and the new ones.
 */
export function showProblem(place, problem, options = {}, again) {
  const asks = problem.option && again;
  const content = [
    html("h2", {}, asks ? "One thing is missing" : "This cannot be read"),
    html("p", { class: "cause" }, sentence(problem.cause)),
    html("p", {}, sentence(problem.remedy.replace(/ \((option|the field) .*\)$/, ""))),
  ];
  if (problem.kind !== "recording" && problem.kind !== "file" && !asks) content[0].textContent = "This did not work";
  if (asks) content.push(form(problem.option, options, again));
  place.replaceChildren(html("div", { class: "problem", role: "alert" }, content));
  place.querySelector("input, select")?.focus();
}

function form(option, options, again) {
  const asked = option === "token" ? ["token"] : [...new Set([option, ...Object.keys(options)])];
  const fields = asked.map((name) => field(name, options[name]));
  const submit = (event) => {
    event.preventDefault();
    const given = { ...options };
    for (const name of asked) {
      const value = event.target.elements[name].value.trim();
      if (value === "") delete given[name];
      else given[name] = parsed(name, value);
    }
    again(given);
  };
  return html("form", { class: "asks", onsubmit: submit }, fields, button("Read again", undefined, { type: "submit", class: "primary" }));
}

function parsed(name, value) {
  if (name === "samplingRateHz") return Number(value);
  return name === "leads" ? value.split(/[\s,;]+/).filter(Boolean) : value;
}

function field(name, value) {
  const attributes = { id: `ask-${name}`, name, required: true, autocomplete: "off" };
  const options = () => UNITS.map((unit) => html("option", { value: unit, selected: unit === (value ?? "uV") }, unit.replace("u", "µ")));
  const input = {
    samplingRateHz: () => html("input", { ...attributes, type: "number", min: 1, step: "any", value: value ?? 500 }),
    unit: () => html("select", attributes, options()),
    leads: () => html("input", { ...attributes, value: (value ?? []).join(", "), placeholder: "I, II, V1, V2, V3, V4, V5, V6" }),
    token: () => html("input", { ...attributes, type: "password" }),
  }[name]();
  return html("label", { for: `ask-${name}` }, NAMES[name], input);
}
