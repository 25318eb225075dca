// Calipers: two points on the sheet, and what lies between them in ms and mV.

import { announce, svg } from "./dom.js";

/** Pixels that a press must move to be a measurement. */
const LEAST = 4;

export class Calipers {
  #ends;
  #dragged;
  #handles = [];

  /** `viewport` tells where the pointer is, `changed` is told what was measured, or nothing. */
  constructor(viewport, changed) {
    Object.assign(this, { viewport, changed });
    const { root } = viewport;
    root.addEventListener("pointerdown", (event) => this.#press(event));
    root.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"]) root.addEventListener(type, () => this.#release());
  }

  /** Takes a new sheet, on which nothing is measured yet. */
  hold(sheet) {
    const same = this.sheet && ["width", "height", "gain", "speed"].every((name) => this.sheet[name] === sheet[name]);
    this.sheet = sheet;
    if (!same) this.#ends = undefined;
    this.#handles = [];
    this.#draw();
  }

  /** Puts calipers into the middle of what is seen, and the focus on their end. */
  place() {
    const { desk, scale } = this.viewport;
    const x = (desk.scrollLeft + desk.clientWidth / 2) / scale;
    const y = (desk.scrollTop + desk.clientHeight / 2) / scale;
    const half = this.sheet.speed / 5;
    this.#ends = [this.#inside({ x: x - half, y }), this.#inside({ x: x + half, y: y - this.sheet.gain })];
    this.#draw();
    this.#handles[1].focus({ preventScroll: true });
    announce(`Calipers: ${this.text()}. Arrow keys move an end, Tab changes the end, Escape removes the calipers.`);
  }

  remove() {
    this.#ends = undefined;
    this.#draw();
  }

  /** What lies between the ends: ms, mV, and beats per minute if the ends are a beat apart. */
  get measured() {
    if (!this.#ends) return undefined;
    const [a, b] = this.#ends;
    const ms = (Math.abs(b.x - a.x) / this.sheet.speed) * 1000;
    return { ms, mv: (a.y - b.y) / this.sheet.gain, rate: ms >= 200 ? 60000 / ms : undefined };
  }

  /** The measurement in words. */
  text() {
    const { ms, mv, rate } = this.measured;
    const perMinute = rate ? `, ${rate.toFixed(0)}/min` : "";
    return `${ms.toFixed(0)}\u202fms${perMinute}, ${mv < 0 ? "\u2212" : ""}${Math.abs(mv).toFixed(2)}\u202fmV`;
  }

  #inside({ x, y }) {
    const { width, height } = this.sheet;
    return { x: Math.max(0, Math.min(width, x)), y: Math.max(0, Math.min(height, y)) };
  }

  #press(event) {
    if (event.button !== 0 || !event.isPrimary || !this.sheet) return;
    const handle = this.#handles.indexOf(event.target.closest?.(".handle"));
    // A finger on the paper scrolls it; on a handle it measures.
    if (handle < 0 && event.pointerType === "touch") return;
    const start = this.viewport.point(event);
    this.#dragged = { handle, start, pixel: [event.clientX, event.clientY], moved: handle >= 0 };
    this.viewport.root.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const drag = this.#dragged;
    if (!drag) return;
    const [x, y] = drag.pixel;
    drag.moved ||= Math.hypot(event.clientX - x, event.clientY - y) >= LEAST;
    if (!drag.moved) return;
    const end = this.#inside(this.viewport.point(event));
    if (drag.handle < 0) {
      this.#ends = [drag.start, end];
      drag.handle = 1;
    } else {
      this.#ends[drag.handle] = end;
    }
    this.#draw();
  }

  #release() {
    // A click beside the calipers removes them.
    if (this.#dragged && !this.#dragged.moved) this.remove();
    else if (this.#dragged && this.#ends) announce(this.text());
    this.#dragged = undefined;
  }

  #key(event, at) {
    if (event.key === "Escape" || event.key === "Delete") {
      event.preventDefault();
      this.remove();
      this.viewport.desk.focus();
      return;
    }
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!direction) return;
    event.preventDefault();
    event.stopPropagation();
    // A fifth of a small square: 8 ms or 0.02 mV; with Shift a large square.
    const step = event.shiftKey ? 5 : 0.2;
    const { x, y } = this.#ends[at];
    this.#ends[at] = this.#inside({ x: x + step * direction[0], y: y + step * direction[1] });
    this.#draw();
    announce(this.text());
  }

  #draw() {
    const group = this.viewport.root.querySelector(".calipers");
    if (!group) return;
    group.toggleAttribute("hidden", !this.#ends);
    this.changed(this.#ends && this.text());
    if (!this.#ends) {
      this.#handles = [];
      return group.replaceChildren();
    }
    const [a, b] = this.#ends;
    if (this.#handles.length === 0) {
      this.#handles = [0, 1].map((at) => this.#handle(at));
      group.replaceChildren(svg("path", { class: "jaws" }), svg("path", { class: "span" }), svg("text", { class: "reading" }), ...this.#handles);
    }
    const [top, bottom] = [Math.min(a.y, b.y) - 9, Math.max(a.y, b.y) + 9];
    const [jaws, span, reading] = group.children;
    const text = this.text();
    const size = 13 / Math.min(this.viewport.scale, 6);
    reading.textContent = text;
    // A character is about half as wide as it is high.
    reading.setAttribute("x", Math.max(0, Math.min(a.x, b.x, this.sheet.width - 0.6 * size * text.length)));
    // Above the jaws; below them at the sheet's upper edge.
    reading.setAttribute("y", top > 8 ? top - 1.5 : bottom + 4.5);
    reading.setAttribute("font-size", size);
    jaws.setAttribute("d", `M${a.x} ${top}V${bottom}M${b.x} ${top}V${bottom}`);
    span.setAttribute("d", `M${a.x} ${a.y}H${b.x}M${b.x} ${a.y}V${b.y}`);
    this.#handles.forEach((handle, at) => {
      const { x, y } = this.#ends[at];
      handle.setAttribute("cx", x);
      handle.setAttribute("cy", y);
      handle.setAttribute("aria-valuemax", this.sheet.width);
      handle.setAttribute("aria-valuenow", x.toFixed(1));
      handle.setAttribute("aria-valuetext", this.text());
    });
  }

  #handle(at) {
    return svg("circle", {
      class: "handle",
      r: 1.6,
      tabindex: 0,
      role: "slider",
      "aria-label": at ? "End of the calipers" : "Beginning of the calipers",
      "aria-valuemin": 0,
      onkeydown: (event) => this.#key(event, at),
    });
  }
}
