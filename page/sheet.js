// The sheet of paper with its tools: what is drawn, how large, and the calipers.

import { Calipers } from "./calipers.js";
import { byId, html, show } from "./dom.js";
import { ARRANGEMENTS, SECONDS } from "./layout.js";
import { drawMarks } from "./marks.js";
import { draw } from "./paper.js";
import { Viewport } from "./viewport.js";
import { clock } from "./words.js";

/** Pixels per millimetre at which the paper has its true size by CSS's definition of an inch. */
const TRUE = 96 / 25.4;

/** What stands where a measurement will: a finger scrolls the paper, so that it needs the calipers' button. */
const HINT = matchMedia("(pointer: coarse)").matches ? "" : "drag to measure";

/** What is printed: it fits on A4 in its true size. */
const PRINTED = { arrangement: "3x4", speed: 25, gain: 10 };

export class Sheet {
  #settings = { ...PRINTED };
  #content = {};
  #marks = [];

  /** `moved` is called with the time in seconds from which the sheet shall begin. */
  constructor(moved) {
    this.root = byId("paper");
    this.viewport = new Viewport(byId("desk"), this.root, (scale) => {
      byId("scale").value = `${Math.round((100 * scale) / TRUE)}\u202f%`;
    });
    this.calipers = new Calipers(this.viewport, (text) => {
      byId("measured").value = text ?? HINT;
      byId("measured").classList.toggle("active", Boolean(text));
    });
    this.#tools();
    this.#time(moved);
    this.#draw();
    addEventListener("beforeprint", () => this.#print(PRINTED));
    addEventListener("afterprint", () => this.#print(this.#settings));
  }

  /**
   * Draws a part of a recording, or empty paper. `part` is `{ leads, derived, samplingRateHz, from, durationS }`, `note` is a
   * remark in the corner.
   */
  show(part, note) {
    this.#content = { part, note };
    this.#marks = [];
    this.#draw();
    this.calipers.remove();
    const long = part && part.durationS > SECONDS;
    show(byId("time"), Boolean(long));
    if (!long) return;
    const { from, durationS } = part;
    const end = Math.min(durationS, from + SECONDS);
    byId("start").max = Math.max(0, Math.ceil(durationS - SECONDS));
    byId("start").value = from;
    byId("start").setAttribute("aria-valuetext", `${clock(from, durationS)} to ${clock(end, durationS)}`);
    byId("span").value = `${clock(from, durationS)} – ${clock(end, durationS)} of ${clock(durationS)}`;
  }

  /** Draws an explanation's method on the traces; nothing without one. */
  mark(explanation, method) {
    this.#marks = [explanation, method];
    drawMarks(this.root, this.sheet, this.#content.part, explanation, method);
  }

  /** Scrolls a place of a lead into view; `from` is in seconds after the beginning of the sheet. */
  reveal(lead, from) {
    const strips = this.sheet.strips.filter((it) => !lead || it.lead === lead);
    const within = strips.find((it) => from >= it.offset && from < it.offset + it.length);
    if (!within) return;
    const x = within.left + (from - within.offset) * this.sheet.speed;
    if (this.viewport.scale < 2 * TRUE) this.viewport.zoom((2 * TRUE) / this.viewport.scale);
    this.viewport.reveal({ x, y: within.baseline });
    byId("desk").focus({ preventScroll: true });
  }

  #draw(settings = this.#settings) {
    this.sheet = draw(this.root, { ...settings, ...this.#content });
    this.viewport.hold(this.sheet);
    this.calipers.hold(this.sheet);
    if (this.#marks.length) drawMarks(this.root, this.sheet, this.#content.part, ...this.#marks);
    const { part } = this.#content;
    this.root.setAttribute("aria-label", part ? `ECG, ${Object.keys(part.leads).length} leads, ${settings.speed} mm/s, ${settings.gain} mm/mV` : "Empty ECG paper");
  }

  #print(settings) {
    const same = Object.keys(PRINTED).every((name) => this.#settings[name] === PRINTED[name]);
    if (!same) this.#draw(settings);
  }

  #tools() {
    const { viewport } = this;
    byId("in").addEventListener("click", viewport.in);
    byId("out").addEventListener("click", viewport.out);
    byId("fit").addEventListener("click", () => viewport.fit());
    byId("calipers").addEventListener("click", () => this.calipers.place());
    byId("print").addEventListener("click", () => print());
    byId("desk").addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() === "c" && !event.ctrlKey && !event.metaKey) this.calipers.place();
    });
    const options = Object.entries(ARRANGEMENTS).map(([key, { name }]) => html("option", { value: key }, name));
    byId("arrangement").append(...options);
    for (const name of ["arrangement", "speed", "gain"]) {
      byId(name).addEventListener("change", ({ target: { value } }) => {
        this.#settings[name] = name === "arrangement" ? value : Number(value);
        this.#draw();
      });
    }
  }

  #time(moved) {
    const start = byId("start");
    const go = (seconds) => moved(Math.max(0, Math.min(Number(start.max), seconds)));
    start.addEventListener("input", () => go(Number(start.value)));
    byId("earlier").addEventListener("click", () => go(Number(start.value) - SECONDS));
    byId("later").addEventListener("click", () => go(Number(start.value) + SECONDS));
  }
}
