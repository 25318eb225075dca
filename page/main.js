// The page: what is open, which engine computes, and what is shown of it.

import { showComparison } from "./compare.js";
import { announce, byId, html, show } from "./dom.js";
import { takeFiles } from "./drop.js";
import { Engines, NAMES } from "./engines.js";
import { showExplanation, showProgress, titled, verdictOf } from "./explain.js";
import { SECONDS } from "./layout.js";
import { Problem, showProblem } from "./problem.js";
import { showResult } from "./result.js";
import { markSample, offerSamples } from "./sample.js";
import { Sheet } from "./sheet.js";
import { offerThemes } from "./theme.js";
import { clock, count, took } from "./words.js";

const engines = new Engines();
const sheet = new Sheet((from) => move(from));

/** What is open: the groups of files or a sample, the recordings of the open one, and the recording that is shown. */
const open = { groups: [], source: undefined, records: [], at: 0, from: 0 };
/** The turn of the user's last choice: answers to earlier ones come too late and are dropped. */
let turn = 0;
let prediction;
/** Explanations of the shown recording by class and method. */
let explanations = new Map();

const isSynthetic = (warnings) => warnings.some((text) => text.includes("synthetic signal"));

/** Opens `{ files, name, options }` or `{ sample }`, and shows its first recording. */
async function openSource(source) {
  const mine = ++turn;
  open.source = source;
  markSample(byId("samples"), source.sample);
  clear("Reading …");
  try {
    const records = await engines.current.open(source);
    if (mine !== turn) return;
    if (records.length === 0) throw new Problem({ kind: "recording", cause: "there is no recording in it", remedy: "open another file" });
    open.records = records;
    offerRecords();
    await select(0);
  } catch (error) {
    if (mine === turn) fail(error);
  }
}

/** Empties what is shown, and says what happens. */
function clear(text) {
  prediction = undefined;
  explanations = new Map();
  open.records = [];
  sheet.show();
  byId("record").textContent = open.source?.name ?? "ECG";
  byId("about").textContent = "";
  show(byId("record-choice"), false);
  removeExplanation();
  show(byId("comparison"), false);
  byId("result").replaceChildren(html("p", { class: "quiet" }, text));
}

/** Shows a problem; where the file lacks something, it is asked for and the file is read again. */
function fail(error) {
  const problem = Problem.of(error);
  const { source } = open;
  const again = (options) => {
    if (problem.option === "token") engines.server.token = options.token;
    const { token: _, ...rest } = options;
    openSource({ ...source, options: { ...source.options, ...rest } });
  };
  showProblem(byId("result"), problem, source?.options, source && again);
}

/** Shows a recording of the open files. */
async function select(at) {
  const mine = ++turn;
  const record = open.records[at];
  Object.assign(open, { at, from: 0 });
  explanations = new Map();
  prediction = undefined;
  removeExplanation();
  show(byId("comparison"), false);
  byId("record").textContent = record.name || "ECG";
  byId("about").textContent = `${record.samplingRateHz} Hz · ${clock(record.durationS)} · ${count(record.leads.length, "lead")}`;
  byId("result").replaceChildren(html("p", { class: "quiet" }, "Classifying …"));
  try {
    await showPart(0, mine);
    const answer = await engines.current.classify(at);
    if (mine !== turn) return;
    prediction = answer;
    showResult(byId("result"), prediction, (name) => explain(name));
    compareWith();
    byId("about").append(` · classified in ${took(prediction.took_ms)}`);
  } catch (error) {
    if (mine === turn) fail(error);
  }
}

async function showPart(from, mine = turn) {
  const record = open.records[open.at];
  const part = await engines.current.part(open.at, from, SECONDS);
  if (mine !== turn) return;
  open.from = from;
  const { samplingRateHz, durationS, warnings } = record;
  sheet.show({ ...part, samplingRateHz, durationS, from }, isSynthetic(warnings) && "synthetic, not a patient's ECG");
}

/** Moves the sheet along a long recording. */
async function move(from) {
  try {
    await showPart(from);
    if (explanations.shown) sheet.mark(...explanations.shown);
  } catch (error) {
    if (error.kind !== "stopped") fail(error);
  }
}

function offerRecords() {
  const { records } = open;
  show(byId("record-choice"), records.length > 1);
  byId("record-list").replaceChildren(...records.slice(0, 5000).map((it, at) => html("option", { value: at }, `${at + 1}: ${it.name}`)));
}

/** The number of the last explanation that was asked for: earlier ones are kept, but no longer shown. */
let asked = 0;

/** Explains a class by a method, and draws the explanation on the traces. */
async function explain(name, method = explanations.method ?? "gradient") {
  const [mine, number] = [turn, ++asked];
  explanations.method = method;
  const key = `${name}/${method}`;
  const place = byId("explanation");
  show(place, true);
  try {
    if (!explanations.has(key)) {
      const stop = engines.isPrivate ? () => engines.browser.stop() : undefined;
      const progress = showProgress(place, titled(name), stop);
      place.scrollIntoView({ block: "nearest" });
      const made = await engines.current.explain(open.at, { name, methods: [method] }, progress);
      if (mine !== turn) return;
      for (const it of made.methods) explanations.set(`${name}/${it.method}`, [made, it]);
    }
    if (number === asked) showMap(...explanations.get(key));
  } catch (error) {
    if (mine !== turn || number !== asked) return;
    removeExplanation();
    if (error.kind === "stopped") return announce("Stopped.");
    show(place, true);
    showProblem(place, Problem.of(error));
  }
}

function showMap(explanation, method) {
  explanations.shown = [explanation, method];
  sheet.mark(explanation, method);
  const reveal = async ({ lead, from }) => {
    const within = from >= open.from && from < open.from + SECONDS;
    if (!within) await move(Math.max(0, Math.floor(from - 2)));
    sheet.reveal(lead, from - open.from);
  };
  showExplanation(byId("explanation"), explanation, method, {
    choose: (key) => explain(explanation.class, key),
    reveal,
    remove: removeExplanation,
  });
  const banner = byId("banner");
  banner.textContent = `${method.passed ? `Marked: what the network answers to for ${titled(explanation.class)}.` : "Marked:"} ${verdictOf(method)}`;
  banner.classList.toggle("failed", !method.passed);
  show(banner, true);
  announce(verdictOf(method));
}

function removeExplanation() {
  delete explanations.shown;
  sheet.mark();
  show(byId("banner"), false);
  show(byId("explanation"), false);
}

/** Offers the comparison of the shown recording. */
function compareWith() {
  const place = byId("comparison");
  show(place, true);
  showComparison(place, prediction, {
    offersServer: engines.isPrivate && !engines.missing.server,
    verify: engines.isPrivate ? () => engines.browser.verify() : undefined,
    compare: columns,
  });
}

/** Computes the shown recording by every engine: one after the other, so that the times are comparable. */
async function columns(withServer) {
  const { at } = open;
  const done = [];
  const add = async (name, work) => {
    try {
      done.push({ name, prediction: await work() });
    } catch (error) {
      done.push({ name, problem: Problem.of(error) });
    }
  };
  if (engines.isPrivate) {
    for (const device of ["wasm", "webgpu"]) {
      if (!engines.missing[device]) await add(NAMES[device], () => engines.browser.classify(at, device));
    }
    // What cannot be opened now will not be later.
    const gpu = done.find(({ name, problem }) => name === NAMES.webgpu && problem?.kind === "device");
    if (gpu) {
      engines.missing.webgpu = gpu.problem.cause;
      offerEngines();
    }
  }
  if (!engines.isPrivate || withServer) await add(NAMES.server, () => (engines.isPrivate ? sent(at) : prediction));
  await add("float64 reference", () => reference(at));
  return done;
}

/** Sends the shown recording to the server. */
async function sent(at) {
  const { samplingRateHz, durationS } = open.records[at];
  const { leads, derived } = await engines.browser.part(at, 0, durationS);
  derived.forEach((name) => delete leads[name]);
  return engines.server.ask(leads, samplingRateHz);
}

/** The reference is computed in this browser, also where the server classifies. */
async function reference(at) {
  if (engines.isPrivate) return engines.browser.reference(at);
  const browser = await engines.local();
  await browser.open(open.source);
  return browser.reference(at);
}

function offerEngines() {
  const one = ([key, name]) => {
    const why = engines.missing[key];
    const input = html("input", { type: "radio", name: "engine", value: key, checked: key === engines.chosen, disabled: Boolean(why) });
    return html("label", { title: why ?? false, class: why ? "missing" : false }, input, html("span", {}, name, why && ": none", why && html("span", { class: "off-screen" }, ` (${why})`)));
  };
  const legend = byId("engine").firstElementChild;
  byId("engine").replaceChildren(legend, ...Object.entries(NAMES).map(one));
  const served = engines.missing.wasm ? ` In server mode, since ${engines.missing.wasm}.` : "";
  byId("privacy").textContent = engines.isPrivate
    ? "Computed in this browser: nothing is sent."
    : `Recordings are sent to ${location.host} and computed there.${served}`;
}

async function changeEngine({ target: { value } }) {
  let problem;
  try {
    await engines.choose(value);
  } catch (error) {
    problem = Problem.of(error);
  }
  offerEngines();
  byId("engine").querySelector(":checked")?.focus();
  if (problem) {
    show(byId("explanation"), true);
    return showProblem(byId("explanation"), problem);
  }
  if (open.source) openSource(open.source);
}

/** Opens groups of files: the first at once, the others from a list. */
function openGroups(groups) {
  open.groups = groups;
  show(byId("group-choice"), groups.length > 1);
  byId("group").replaceChildren(...groups.map(({ name }, at) => html("option", { value: at }, name)));
  openSource(groups[0]);
}

function openSample(sample) {
  show(byId("group-choice"), false);
  return openSource({ sample });
}

async function start() {
  offerThemes();
  offerSamples(byId("samples"), openSample);
  byId("group").addEventListener("change", ({ target }) => openSource(open.groups[target.value]));
  byId("record-list").addEventListener("change", ({ target }) => select(Number(target.value)));
  byId("engine").addEventListener("change", changeEngine);
  const parameters = new URLSearchParams(location.search);
  const begun = turn;
  try {
    await engines.start(parameters.get("engine"));
  } catch (error) {
    offerEngines();
    return fail(error);
  }
  takeFiles(openGroups);
  offerEngines();
  document.documentElement.dataset.ready = engines.chosen;
  if (turn !== begun) return;
  await openSample(parameters.get("sample") ?? "mi-anterior");
  // A server without samples still reads files.
  if (!engines.isPrivate && !prediction && !byId("ask-token")) clear("Open, drop or paste the files of an ECG.");
}

start();
