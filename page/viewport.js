// Zooms the sheet about a point. Panning is the browser's own scrolling, by wheel, touch, arrow keys and scroll bars.

/** CSS pixels per millimetre: the least at which a trace can be read, the largest, and the factor of a step. */
const [LEAST, LARGEST, STEP] = [2.2, 40, 1.25];

/** Millimetres of a sheet seen through a window that scrolls. */
export class Viewport {
  #fitted = true;

  /** `desk` scrolls, `root` is the `<svg>` in it, and `changed` is told the scale in CSS pixels per millimetre. */
  constructor(desk, root, changed) {
    Object.assign(this, { desk, root, changed, scale: 1 });
    new ResizeObserver(() => this.#fitted && this.fit()).observe(desk.parentElement);
    desk.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    desk.addEventListener("touchstart", (event) => this.#pinch(event), { passive: true });
    desk.addEventListener("touchmove", (event) => this.#pinch(event), { passive: false });
    desk.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Takes the size of a new sheet. */
  hold({ width, height }) {
    const changed = width !== this.width || height !== this.height;
    Object.assign(this, { width, height });
    if (changed) this.fit();
  }

  /** Shows the whole width, or as much of it as can be read. */
  fit() {
    this.#fitted = true;
    const { desk } = this;
    const room = desk.parentElement.clientWidth - (desk.offsetWidth - desk.clientWidth);
    // Five millimetres are a whole number of device pixels, so that every thick line is equally sharp.
    const pixels = 5 * devicePixelRatio;
    const scale = Math.floor((room / this.width) * pixels) / pixels;
    this.#set(Math.max(LEAST, Math.min(scale, LARGEST)));
    for (const side of ["width", "height"]) desk.parentElement.style.setProperty(`--sheet-${side}`, `${Math.ceil(this[side] * this.scale) + 2}px`);
  }

  /** Zooms by a factor about a point of the window; its middle if there is none. */
  zoom(factor, point) {
    const box = this.desk.getBoundingClientRect();
    const at = point ?? { x: box.left + this.desk.clientWidth / 2, y: box.top + this.desk.clientHeight / 2 };
    const [x, y] = [at.x - box.left, at.y - box.top];
    const [left, top] = [(this.desk.scrollLeft + x) / this.scale, (this.desk.scrollTop + y) / this.scale];
    this.#fitted = false;
    this.#set(Math.max(LEAST / 2, Math.min(LARGEST, this.scale * factor)));
    this.desk.scrollLeft = left * this.scale - x;
    this.desk.scrollTop = top * this.scale - y;
  }

  in = () => this.zoom(STEP);
  out = () => this.zoom(1 / STEP);

  /** Scrolls a point of the sheet, in millimetres, to the middle of the window. */
  reveal({ x, y }) {
    const { desk, scale } = this;
    desk.scrollTo({ left: x * scale - desk.clientWidth / 2, top: y * scale - desk.clientHeight / 2 });
  }

  /** Returns the point of the sheet, in millimetres, under a pointer. */
  point({ clientX, clientY }) {
    const box = this.root.getBoundingClientRect();
    return { x: (clientX - box.left) / this.scale, y: (clientY - box.top) / this.scale };
  }

  #set(scale) {
    this.scale = scale;
    this.root.style.width = `${this.width * scale}px`;
    this.root.style.height = `${this.height * scale}px`;
    this.root.classList.toggle("coarse", scale * devicePixelRatio < 3);
    this.desk.style.setProperty("--mm", `${scale}px`);
    this.changed(scale);
  }

  /** A pinch on a touch pad arrives as a wheel with the control key. A plain wheel scrolls. */
  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 10 : 300)), { x: event.clientX, y: event.clientY });
  }

  #pinch(event) {
    if (event.touches.length !== 2) return;
    const [a, b] = event.touches;
    const distance = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    if (event.type === "touchmove") {
      event.preventDefault();
      this.zoom(distance / this.distance, { x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2 });
    }
    this.distance = distance;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = { "+": this.in, "=": this.in, "-": this.out, 0: () => this.fit() }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}
