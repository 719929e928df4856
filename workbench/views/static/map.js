// Maps of points on canvas, the tab Map, and the inspector beside it.

// component(PointMap, props): a map that fills its element. Only points, colours, palette and label are needed.
//   points     Float32Array (2n): x, y of each point; NaN where it has no place
//   frame      [x0, y0, x1, y1] that "Fit" shows, see `frameOf`; maps that share a camera share it, too
//   colours    Uint8Array or Uint16Array (n): indices into palette, a list of CSS colours and variables ("--kept");
//              "ramp(--name)" stands for SCALE colours along the stops in a variable, see `onScale`
//   shapes     Uint8Array (n): indices into SHAPES, else circles. order: Uint32Array (n): the last one is on top
//   selected   Uint8Array (n) of flags: the other points are dimmed; null: no selection
//   name, tip  i => text: shown where there is room (zoomed in, few selected); shown beside the pointer and read out
//   labels     [{text, x, y}]: names of regions, the more important first
//   marks      [{i, text, colour, shape, hollow, strong}]: points that stand out, the more important first
//   lines      [{from, to, colour, dashed}] between points
//   camera     from newCamera(); maps that share it pan, zoom and hover together
//   head       pixels at the top that names leave free. label: text for screen readers
//   pick       i => ...: a point was clicked, or Enter pressed on it
//   select     flags => ...: Uint8Array (n) of what a lasso or box holds; null: a click on nothing, or Escape
// The picture follows from props, camera, size and theme alone.

const HOME = { x: 0, y: 0, zoom: 1 }; // x, y from the middle of the frame, in its longer sides
const newCamera = () => ({ ...HOME, hover: null, maps: new Set() });
const OUTLINES = {
  circle: "M-1 0A1 1 0 1 0 1 0A1 1 0 1 0-1 0Z", triangle: "M0-1.4 1.2.7-1.2.7Z",
  cross: "M-1.2-.7-.5 0-1.2.7-.7 1.2 0 .5.7 1.2 1.2.7.5 0 1.2-.7.7-1.2 0-.5-.7-1.2Z", square: "M-.9-.9H.9V.9H-.9Z",
  diamond: "M0-1.4 1.4 0 0 1.4-1.4 0Z", down: "M0 1.4 1.2-.7-1.2-.7Z",
  star: "M0-1.6.41-.57 1.52-.49.67.22.94 1.29 0 .7-.94 1.29-.67.22-1.52-.49-.41-.57Z",
  plus: "M-.4-1.3H.4V-.4H1.3V.4H.4V1.3H-.4V.4H-1.3V-.4H-.4Z", left: "M-1.4 0 .7-1.2.7 1.2Z",
};
const SHAPES = Object.keys(OUTLINES);
const SIGNS = Object.fromEntries(SHAPES.map((shape, k) => [shape, "●▲✖■◆▼★✚◀"[k]])); // the same in texts
const SCALE = 64;
const PANS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
const ZOOMS = { "+": 1.5, "=": 1.5, "-": 1 / 1.5 };

function outline(shape, x, y, r) {
  const path = new Path2D();
  path.addPath(new Path2D(OUTLINES[shape]), new DOMMatrix([r, 0, 0, r, x, y]));
  return path;
}

// [x0, y0, x1, y1] around the places in these arrays, but for one in 100 at each side.
function frameOf(...arrays) {
  const [[left, right], [bottom, top]] = [0, 1].map((axis) => {
    const there = arrays.flatMap((points) => Array.from(points.filter((v, i) => i % 2 === axis && !Number.isNaN(v))));
    const values = Float32Array.from(there.length ? there : [0, 1]).sort();
    const out = Math.floor(values.length / 100);
    return [values[out], values[values.length - 1 - out]];
  });
  return [left, bottom, right, top];
}

// Indices into a ramp for values from low to high; SCALE, the colour after it, for NaN.
function onScale(values, low, high) {
  const step = SCALE / (high - low || 1);
  const index = (v) => Math.max(0, Math.min(SCALE - 1, Math.floor((v - low) * step)));
  return Uint8Array.from(values, (v) => (Number.isNaN(v) ? SCALE : index(v)));
}

function ramp(stops) {
  const g = new OffscreenCanvas(SCALE, 1).getContext("2d");
  const gradient = g.createLinearGradient(0, 0, SCALE, 0);
  stops.split(",").forEach((stop, k, all) => gradient.addColorStop(k / (all.length - 1), stop.trim()));
  g.fillStyle = gradient;
  g.fillRect(0, 0, SCALE, 1);
  const { data } = g.getImageData(0, 0, SCALE, 1);
  return Array.from({ length: SCALE }, (_, k) => `rgb(${data.subarray(4 * k, 4 * k + 3).join()})`);
}

let scrolled = 0; // when the page was last scrolled
window.addEventListener("scroll", () => { scrolled = performance.now(); }, { capture: true, passive: true });

class PointMap {
  constructor(el, props) {
    Object.assign(this, { el, own: newCamera(), sprites: new Map(), mode: "pan", held: null, under: null, steps: [] });
    this.canvas = h("canvas", { tabindex: 0, role: "application", "aria-roledescription": "map",
      onpointerdown: (e) => this.press(e), onpointermove: (e) => this.drag(e), onpointerup: () => this.release(),
      onpointerleave: () => this.held || this.move({ hover: this.under = null }), onwheel: (e) => this.wheel(e),
      onkeydown: (e) => this.key(e), onblur: () => { this.steps = []; } });
    this.tip = h("div.map-tip", { "aria-hidden": "true", hidden: true });
    this.said = h("div.sr", { "aria-live": "polite" });
    this.tools = h("div");
    el.append(this.canvas, this.tip, this.tools, this.said);
    this.update(props);
    new ResizeObserver(() => this.update(this.props)).observe(el); // resized, shown again, put elsewhere
  }

  update(props) {
    const frame = props.frame ?? (this.props?.points === props.points ? this.frame : frameOf(props.points));
    const style = getComputedStyle(this.el);
    this.css = (name) => (name?.startsWith("--") ? style.getPropertyValue(name).trim() : name);
    const { points: { length }, selected = null, camera = this.own } = props;
    Object.assign(this, { props, frame, n: length / 2, selected, camera, font: style.fontFamily });
    camera.maps.forEach((map) => map.el.isConnected || camera.maps.delete(map));
    camera.maps.add(this);
    this.canvas.setAttribute("aria-label", `${props.label}. Arrows pan, + and - zoom, 0 fits, Enter goes to a word`);
    const mode = (id, text, key) => props.select && button(text, () => {
      this.mode = this.mode === id ? "pan" : id;
      this.update(this.props);
    }, { "aria-pressed": String(this.mode === id), title: `Select with a ${id} (or drag with ${key})` });
    patch(this.tools, h("div", { class: "map-tools", role: "group", "aria-label": "Map tools" },
      mode("lasso", "Lasso", "Shift"), mode("box", "Box", "Alt"),
      button("+", () => this.zoom(ZOOMS["+"]), { "aria-label": "Zoom in" }),
      button("−", () => this.zoom(ZOOMS["-"]), { "aria-label": "Zoom out" }), button("Fit", () => this.move(HOME))));
    this.later();
  }

  later() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      const { clientWidth: width, clientHeight: height } = this.el;
      Object.assign(this, { width, height, dpr: window.devicePixelRatio || 1, ground: this.css("--map") });
      if (width && height) this.paint(); // else hidden
    });
  }

  paint() {
    this.place();
    const { canvas, dpr, width, height, props: { marks = [], lines = [] }, camera: { hover }, held, px } = this;
    const size = { width: Math.round(width * dpr), height: Math.round(height * dpr) };
    if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
    const g = canvas.getContext("2d");
    this.paintPoints(g);
    g.setTransform(dpr, 0, 0, dpr, 0, 0);
    const stroke = (path, ink, lineWidth, globalAlpha = 1) => {
      Object.assign(g, { strokeStyle: this.css(ink), lineWidth, globalAlpha });
      g.stroke(path);
    };
    for (const { from, to, colour: ink, dashed } of lines) {
      const ends = [from, to].map((i) => px.subarray(2 * i, 2 * i + 2));
      g.setLineDash(dashed ? [3, 3] : []);
      if (!Number.isNaN(ends[0][0] + ends[1][0])) stroke(new Path2D(`M${ends.join("L")}`), ink, 1.4, 0.8);
    }
    g.setLineDash([]);
    const ring = { i: hover ?? -1, hollow: true, colour: "--ink", r: 7 };
    for (const { i, shape = "circle", colour: ink, hollow, strong, r = strong ? 5 : 4 } of [ring, ...marks].reverse()) {
      if (!(px[2 * i] > -9)) continue;
      const path = outline(shape, px[2 * i], px[2 * i + 1], r);
      stroke(path, this.ground, 4);
      g.fillStyle = this.css(ink);
      if (hollow) stroke(path, ink, 2);
      else g.fill(path);
    }
    this.paintNames(g);
    if (held?.moved && held.kind !== "pan") stroke(held.area(), "--accent", 2);
    this.showTip(this.under === hover ? hover : null);
  }

  // Compute the pixels of all points: x * scale + left, top - y * scale.
  place() {
    const { frame: [x0, y0, x1, y1], width, height, camera, n, props: { points, head = 0 } } = this;
    const span = Math.max(x1 - x0, y1 - y0) || 1;
    const fit = Math.min((width - 30) / (x1 - x0 || span), (height - head - 30) / (y1 - y0 || span));
    const scale = Math.max(fit, 1e-9) * camera.zoom;
    const [midX, midY] = [width / 2, (height + head) / 2];
    const left = midX - scale * ((x0 + x1) / 2 + camera.x * span);
    const top = midY + scale * ((y0 + y1) / 2 + camera.y * span);
    this.px = points.map((v, k) => (k % 2 ? top - v * scale : v * scale + left));
    this.at = { scale, left, top, span, midX, midY };
  }

  // Points are stamped into the pixels: without a graphics card this is ten times faster than calls of the canvas.
  paintPoints(g) {
    const { canvas, props: { colours, shapes, order, palette }, px, n, selected, dpr, camera } = this;
    const inks = palette.flatMap((ink) => (/^ramp/.test(ink) ? ramp(this.css(ink.slice(5, -1))) : this.css(ink)));
    const r = Math.min(6, (n > 8000 ? 1.5 : n > 3000 ? 1.8 : n > 800 ? 2.1 : 2.8) * camera.zoom ** 0.3) * dpr;
    const pad = Math.ceil(3.4 * r) + 4;
    const [w, tall] = [canvas.width + 2 * pad, canvas.height + 2 * pad];
    if (this.image?.width !== w || this.image?.height !== tall) {
      this.image = new ImageData(w, tall);
      this.sprites.clear();
    }
    const pixels = new Uint32Array(this.image.data.buffer);
    const [red, green, blue] = this.ground.match(/[\da-f]{2}/gi);
    pixels.fill(parseInt(`ff${blue}${green}${red}`, 16));
    for (const pass of selected ? [0, 1] : [1]) {
      const stamps = [];
      for (let k = 0; k < n; k++) {
        const i = order ? order[k] : k;
        if (selected && selected[i] !== pass) continue;
        const x = Math.round(px[2 * i] * dpr) + pad;
        const y = Math.round(px[2 * i + 1] * dpr) + pad;
        if (!(x >= pad / 2 && x < w - pad / 2 && y >= pad / 2 && y < tall - pad / 2)) continue; // NaN, too
        const shape = shapes ? shapes[i] : 0;
        const stamp = stamps[colours[i] * SHAPES.length + shape] ??=
          this.sprite(SHAPES[shape], inks[colours[i]], Math.round(4 * r) / 4, pass ? 0.9 : 0.13, w);
        for (let q = 0, centre = y * w + x; q < stamp.length; q += 4) {
          const p = centre + stamp[q];
          const under = pixels[p];
          const rest = stamp[q + 1];
          pixels[p] = 0xff000000 | (Math.imul(under & 0xff00ff, rest) + stamp[q + 2]) >>> 8 & 0xff00ff |
            (Math.imul(under & 0xff00, rest) + stamp[q + 3]) >>> 8 & 0xff00;
        }
      }
    }
    g.putImageData(this.image, -pad, -pad);
  }

  // A shape as four numbers for each pixel: its place from the centre in an image with rows of w pixels, the share (of
  // 256) of what is below, and the colour's share as red with blue and as green.
  sprite(shape, ink, r, opacity, w) {
    const key = [shape, ink, r, opacity].join();
    if (this.sprites.has(key)) return this.sprites.get(key);
    const half = Math.ceil(1.7 * r) + 1;
    const side = 2 * half + 1;
    const g = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
    Object.assign(g, { fillStyle: ink, globalAlpha: opacity });
    g.fill(outline(shape, half + 0.5, half + 0.5, r));
    const { data } = g.getImageData(0, 0, side, side);
    const numbers = [];
    for (let p = 0; p < side * side; p++) {
      const [red, green, blue, alpha] = data.subarray(4 * p, 4 * p + 4);
      const share = Math.round(alpha * 256 / 255);
      const place = (Math.floor(p / side) - half) * w + p % side - half;
      if (share) numbers.push(place, 256 - share, (blue << 16 | red) * share | 0, (green << 8) * share);
    }
    if (this.sprites.size > 999) this.sprites.clear();
    this.sprites.set(key, Int32Array.from(numbers));
    return this.sprites.get(key);
  }

  // Names, the more important first; one that would lie on another is left out.
  paintNames(g) {
    const { props: { marks = [], labels = [], name, head = 0 }, at, px, selected, camera, tools, width, height } = this;
    const taken = [[width - tools.offsetWidth - 10, height - tools.offsetHeight - 10, width, height],
      ...marks.map(({ i }) => [px[2 * i] - 4, px[2 * i + 1] - 4, px[2 * i] + 4, px[2 * i + 1] + 4])];
    const isFree = ([x0, y0, x1, y1]) => y0 >= head && y1 <= height &&
      !taken.some((box) => box[0] < x1 && box[2] > x0 && box[1] < y1 && box[3] > y0);
    const put = (text, x, y, ink, weight, size, away) => {
      if (!text || !(x >= 0 && x <= width && y >= head && y <= height)) return;
      const short = text.length > 30 ? `${text.slice(0, 29)}…` : text;
      g.font = `${weight} ${size}px ${this.font}`;
      const [half, tall] = [g.measureText(short).width / 2 + 3, size * 0.7];
      const sides = away ? [[0, -away - tall], [0, away + tall], [away + half, 0], [-away - half, 0]] : [[0, 0]];
      const box = sides.map(([dx, dy]) => [Math.max(half, Math.min(width - half, x + dx)), y + dy])
        .map(([cx, cy]) => [cx - half, cy - tall, cx + half, cy + tall]).find(isFree);
      if (!box) return;
      taken.push(box);
      g.fillStyle = this.css(ink);
      g.strokeText(short, box[0] + half, box[1] + tall);
      g.fillText(short, box[0] + half, box[1] + tall);
    };
    const done = new Set();
    const point = (i, text, ...look) => done.has(i) || (done.add(i), put(text, px[2 * i], px[2 * i + 1], ...look));
    Object.assign(g, { textAlign: "center", textBaseline: "middle", lineJoin: "round", lineWidth: 3.5 });
    Object.assign(g, { globalAlpha: 1, strokeStyle: this.ground });
    for (const { i, text, colour: ink, strong } of marks) if (strong) point(i, text, ink, 700, 13, 8);
    if (name && camera.hover !== null) point(camera.hover, name(camera.hover), "--ink", 600, 12, 9);
    for (const { i, text, colour: ink } of marks) point(i, text, ink, 600, 11.5, 6);
    for (const { text, x, y } of labels) put(text, x * at.scale + at.left, at.top - y * at.scale, "--mute", 500, 11.5);
    const few = selected && selected.reduce((sum, flag) => sum + flag, 0) <= 60;
    if (name && (few || camera.zoom > 2.5)) for (const i of this.inSight(200)) point(i, name(i), "--ink", 400, 11, 5);
  }

  showTip(i) {
    this.tip.hidden = i === null || !this.props.tip;
    if (this.tip.hidden) return;
    this.tip.textContent = this.props.tip(i);
    const { offsetWidth: wide, offsetHeight: tall } = this.tip;
    const [x, y] = [this.px[2 * i] - wide / 2, this.px[2 * i + 1] - tall - 22];
    this.tip.style.translate = `${Math.max(2, Math.min(this.width - wide - 2, x))}px ${y > 0 ? y : y + tall + 44}px`;
  }

  // The first points, in their order, that are in sight and not dimmed.
  inSight(most) {
    const { px, n, selected, width, height } = this;
    const found = [];
    for (let i = 0; i < n && found.length < most; i++) {
      const [x, y] = [px[2 * i], px[2 * i + 1]];
      if ((!selected || selected[i]) && x > 0 && x < width && y > 0 && y < height) found.push(i);
    }
    return found;
  }

  // -- what a person does -----------------------------------------------------------------

  move(changes) {
    Object.assign(this.camera, changes);
    for (const map of this.camera.maps) map.later();
  }

  pan(dx, dy) {
    const { camera, at: { scale, span } } = this;
    this.move({ x: camera.x - dx / scale / span, y: camera.y + dy / scale / span });
  }

  // Zoom so that what is at (x, y) stays there. False at the ends, where the page may scroll.
  zoom(by, x = this.at.midX, y = this.at.midY) {
    const { camera, at } = this;
    const zoom = Math.max(0.6, Math.min(100, camera.zoom * by));
    const shift = (1 - camera.zoom / zoom) / at.scale / at.span;
    this.move({ zoom, x: camera.x + (x - at.midX) * shift, y: camera.y - (y - at.midY) * shift });
    return shift !== 0;
  }

  wheel(e) {
    if (performance.now() - scrolled < 300) return; // somebody scrolls past the map
    if (this.zoom(Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.0016)), e.offsetX, e.offsetY)) e.preventDefault();
  }

  press(e) {
    if (e.button) return;
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(e.pointerId);
    const kind = !this.props.select ? "pan" : e.shiftKey ? "lasso" : e.altKey ? "box" : this.mode;
    const path = [[e.offsetX, e.offsetY]];
    this.held = { kind, path, moved: false, area: () => new Path2D(`M${this.held.path.join("L")}Z`) };
  }

  drag({ offsetX: x, offsetY: y }) {
    const { held, camera, px } = this;
    if (!held) {
      let near = 144; // squared pixels
      this.under = null;
      for (let i = 0; i < this.n; i++) {
        const far = (px[2 * i] - x) ** 2 + (px[2 * i + 1] - y) ** 2 + (this.selected?.[i] === 0 ? 40 : 0);
        if (far < near) [this.under, near] = [i, far];
      }
      this.canvas.style.cursor = this.under === null ? "" : "pointer";
      if (this.under !== camera.hover) this.move({ hover: this.under });
      return;
    }
    const [[x0, y0]] = held.path;
    held.moved ||= Math.hypot(x - x0, y - y0) > 3;
    if (!held.moved) return;
    if (held.kind === "pan") this.pan(x - x0, y - y0);
    held.path = { pan: [[x, y]], lasso: [...held.path, [x, y]], box: [[x0, y0], [x, y0], [x, y], [x0, y]] }[held.kind];
    this.later();
  }

  release() {
    const { held, px, props } = this;
    if (held && !held.moved) this.under === null ? props.select?.(null) : props.pick?.(this.under);
    else if (held && held.kind !== "pan") {
      const [g, area] = [new OffscreenCanvas(1, 1).getContext("2d"), held.area()];
      const flags = Uint8Array.from({ length: this.n }, (_, i) => g.isPointInPath(area, px[2 * i], px[2 * i + 1]));
      props.select(flags.includes(1) ? flags : null);
      this.move({ hover: this.under = null });
    }
    this.held = null;
    this.later();
  }

  key(e) {
    const { camera, props, px } = this;
    const step = (by) => {
      const i = this.steps[this.steps.indexOf(camera.hover) + by];
      if (i === undefined) return false; // Tab goes to the next control, as everywhere
      this.said.textContent = props.tip?.(i) ?? props.name(i);
      this.move({ hover: this.under = i });
    };
    const enter = () => {
      if (this.steps.includes(camera.hover)) return props.pick?.(camera.hover);
      const marked = (props.marks ?? []).map(({ i }) => i).filter((i) => px[2 * i] >= 0);
      this.steps = [...new Set([...marked, ...this.inSight(40)])];
      step(1);
    };
    const escape = () => {
      if (!this.steps.length) props.select?.(null);
      this.steps = [];
      this.move({ hover: this.under = null });
    };
    const keys = { 0: () => this.move(HOME), Tab: () => step(e.shiftKey ? -1 : 1), Enter: enter, Escape: escape };
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (PANS[e.key]) this.pan(...PANS[e.key]);
    else if (ZOOMS[e.key]) this.zoom(ZOOMS[e.key]);
    else if (!keys[e.key] || keys[e.key]() === false) return;
    e.preventDefault();
    e.stopPropagation();
  }
}

// -- the tab Map ----------------------------------------------------------------------------

const OKABE_ITO = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"];
const LABEL_SHAPES = ["square", "diamond", "triangle", "down", "star", "plus", "left", "circle", "circle"];
const GREYS = ["#8a8f98", "#b8bcc4"];
const FATES = [["circle", "own row"], ["triangle", "rebuilt"], ["cross", "no vector"]];
const STATUSES = { // of a neighbour, on the maps and beside words
  kept: { sign: "●", colour: "--kept" }, lost: { sign: "○", colour: "--lost", hollow: true },
  gained: { sign: "◆", colour: "--gained", shape: "diamond" },
};
const mix = (a, b, t) => (1 - t) * a + t * b;

// A value that is made again only when what it needs is another.
function remember(view, name, needs, make) {
  const kept = (view.remembered ??= {});
  if (!kept[name] || needs.some((need, k) => need !== kept[name].needs[k])) kept[name] = { needs, value: make() };
  return kept[name].value;
}

// The traits `points` and `codes` with typed arrays, and an index of the words.
function mapped(view) {
  const [p, coded] = [view.get("points"), view.get("codes")];
  const arrays = (Kind, ...names) => Object.fromEntries(names.map((name) => [name, view.array(Kind, p[name])]));
  const points = remember(view, "points", [p], () => ({
    ...p, index: new Map(p.words?.map((word, i) => [word, i])), ...arrays(Uint8Array, "fate"),
    ...arrays(Int32Array, "rank"), ...arrays(Float32Array, "before", "control", "after", "cosine"),
  }));
  return remember(view, "coded", [points, coded], () => {
    const [codes, order] = [view.array(Int16Array, coded.codes), view.array(Int16Array, coded.order)];
    return { ...points, codes, order, level: coded.level, n_levels: codes.length === p.n ? coded.n_levels : 0 };
  });
}

// What colours and shapes mean. scale: [ramp, what, low end, high end]; legend: [[shape, colour, text]].
function looks(p, { colour: by }) {
  const order = Uint32Array.from(p.rank, (_, i) => p.n - 1 - i); // the most frequent on top
  const n = FATES.map((_, fate) => p.fate.filter((other) => other === fate).length);
  const legend = FATES.map(([shape, text], fate) => [shape, null, fate === 2 ? `${text} (${whole(n[2])})` : text])
    .filter((_, fate) => n[fate]);
  const scaled = (values, low, high, missing, ...scale) => ({ colours: onScale(values, low, high), shapes: p.fate,
    palette: [`ramp(${scale[0]})`, missing], order, scale, legend });
  const highest = (values) => values.reduce((a, b) => Math.max(a, b), 1);
  if (by === "label" && p.labels) {
    const counts = new Map();
    for (const label of p.labels) if (label !== null) counts.set(label, (counts.get(label) ?? 0) + 1);
    const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
    const place = new Map([[null, 8], ...names.map((name, k) => [name, Math.min(k, 7)])]);
    const colours = Uint8Array.from(p.labels, (label) => place.get(label));
    const palette = [...OKABE_ITO, ...GREYS];
    const text = (k) => (k < 7 ? names[k] : k === 7 ? `others (${names.length - 7})` : "none");
    return { colours, palette, order, shapes: colours.map((k) => SHAPES.indexOf(LABEL_SHAPES[k])),
      legend: palette.map((ink, k) => [LABEL_SHAPES[k], ink, text(k)]).filter((_, k) => colours.includes(k)) };
  }
  if (by === "frequency") {
    const last = highest(p.rank);
    const ranks = Float32Array.from(p.rank, Math.log);
    return scaled(ranks, 0, Math.log(last), GREYS[0], "--cividis", "rank", "1", whole(last));
  }
  if (by === "code" && p.n_levels) {
    const { codes, order: { length } } = p; // near codes have near places in the order
    const ordered = length > 0;
    const last = ordered ? length : highest(codes);
    const places = Float32Array.from(codes, (c) => (c < 0 ? NaN : ordered ? p.order[c] : c));
    const texts = ordered ? ["near codes,", "near colours", ""] : ["code", "0", last];
    if (codes.includes(-1)) legend.push(["circle", `${GREYS[0]}80`, "no codes of its own"]);
    return scaled(places, 0, last, `${GREYS[0]}80`, "--cividis", ...texts);
  }
  const damage = p.cosine.map((cosine) => 1 - cosine);
  const sorted = damage.filter((d) => !Number.isNaN(d)).sort();
  const high = Math.max(0.02, sorted[Math.floor(0.95 * sorted.length)] ?? 0);
  const weight = damage.map((d) => (Number.isNaN(d) ? 9 : d));
  order.sort((a, b) => weight[a] - weight[b]);
  return scaled(damage, 0, high, "--bad", "--damage", "damage", "none", fixed(high, 2));
}

function mapTab(view) {
  const { ui } = view;
  const p = mapped(view);
  const { lanes = [], busy, left } = view.get("status");
  const drawing = lanes.includes("maps");
  if (!p.n) return h("section.map-tab", { key: "map" }, warning(view.error("maps")),
    h("p.mute", null, drawing || busy ? "The map is being drawn." : "There is no map yet."));
  const look = remember(view, "looks", [p, ui.colour], () => looks(p, ui));
  const morph = view.local.morph ?? ui.morph ?? null;
  const about = (i) => [FATES[p.fate[i]][1], `rank ${whole(p.rank[i])}`,
    p.fate[i] < 2 && `cosine ${fixed(p.cosine[i])}`, p.labels?.[i]].filter(Boolean).join(" · ");
  const shared = { ...look, head: 28, selected: chosen(view, p),
    name: (i) => p.words[i], tip: (i) => `${p.words[i]}\n${about(i)}`, pick: (i) => lookAt(view, p.words[i]),
    frame: remember(view, "frame", [p], () => frameOf(p.before, p.after)),
    camera: (view.cameras ??= {})[`${p.method} of ${p.n_mapped}`] ??= newCamera(),
    select: (flags) => view.setLocal({ query: "", selected: flags && new Set(p.words.filter((_, i) => flags[i])) }) };
  const names = (side) => p.topics.map(({ text, [side]: there, before, after }) => {
    const [x, y] = there ?? before.map((v, k) => mix(v, after[k], morph));
    return { text, x, y };
  });
  const map = (key, side, title, note, points = p[side]) => h("figure.map", { key },
    component(PointMap, { ...shared, ...mapMarks(view, p, side), points, labels: names(side), label: `Map, ${title}` }),
    h("figcaption", null, h("b", null, title), " ", h("small.mute", null, note)));
  const kept = (share, rest) => typeof share === "number" && `map neighbours kept ${percent(share)}${rest}`;
  const trust = p.trust.before && `trustworthiness ${fixed(p.trust.before, 2)}`;
  const better = drawing && p.method === "PCA" && [`UMAP is being drawn${left ? `, ${seconds(left)} left` : ""} `,
    button("Stop", () => view.act("draw", { method: "PCA" }), { name: "button.link" })];
  const moving = () => (morph ? p.before.map((v, k) => mix(v, p.after[k], morph)) : p.before);
  const way = { 0: "Original", 1: "Compressed" }[morph] ?? `${percent(morph)} of the way`;
  const maps = morph !== null ? map("one", "morph", way, better, remember(view, "morph", [p, morph], moving))
    : [map("one", "before", "Original", better || trust), ui.control && p.method === "UMAP"
      ? map("two", "control", "Original again", kept(p.kept_chance, " by chance"))
      : map("two", "after", "Compressed", kept(p.kept_map, `, chance ${percent(p.kept_chance ?? 0)}`))];
  return h("section.map-tab", { key: "map" },
    mapBar(view, p, morph, better ? "UMAP" : p.method), warning(view.error("maps")),
    h("div.maps", { class: view.isStale("points") && "stale" }, maps), mapLegend(view, p, look));
}

function mapBar(view, p, morph, method) {
  const { colour: by = "damage", lines = true, control = false } = view.ui;
  const choose = (title, options, value, set) => select(
    options.filter(Boolean).map(([id, label]) => ({ id, label })), value, set, { "aria-label": title, title });
  const ways = [["damage", "Damage"], ["frequency", "Frequency"], p.n_levels && ["code", "Code"],
    p.labels && ["label", "Label"]];
  const levels = Array.from({ length: p.n_levels }, (_, k) => [k, `Level ${k + 1}`]);
  const toggle = (text, on, set, title) => button(text, set, { "aria-pressed": String(on), title });
  const setMorph = (value) => {
    view.local.morph = null;
    view.setUi({ morph: value });
  };
  const full = (e) =>
    (document.fullscreenElement ? document.exitFullscreen() : e.target.closest(".tab-panel").requestFullscreen());
  return h("div.map-bar", { role: "group", "aria-label": "Show on the map" }, "Colour",
    choose("Colour by", ways, by, (id) => view.setUi({ colour: id })),
    by === "code" && choose("Level", levels, p.level, (id) => view.act("level", { level: id })),
    toggle("Lines", lines, () => view.setUi({ lines: !lines }), "Join the word to its neighbours"),
    p.method === "UMAP" && morph === null && toggle("Chance", control, () => view.setUi({ control: !control }),
      "In place of the compressed model, draw the original again: what differs then is chance"),
    toggle("Morph", morph !== null, () => setMorph(morph === null ? 0 : null),
      "One map that moves from original to compressed"),
    morph !== null && h("input", { type: "range", min: 0, max: 1, step: 0.01, value: morph,
      "aria-label": "From original to compressed", oninput: (e) => view.setLocal({ morph: Number(e.target.value) }),
      onchange: (e) => setMorph(Number(e.target.value)) }),
    h("span.space"),
    choose("Way of drawing", [["UMAP", "UMAP"], ["PCA", "PCA"]], method, (id) => view.act("draw", { method: id })),
    button("PNG", () => savePicture(view), { title: "Save the picture" }),
    button("CSV", () => saveTable(view, p), { title: "Save the words on the map, or those selected, as a table" }),
    button("⤢", full, { title: "Full screen", "aria-label": "Full screen" }));
}

function mapLegend(view, p, { scale, legend }) {
  const sign = ([shape, ink, text]) =>
    h("span", null, h("span", { style: ink && `color: ${ink}` }, SIGNS[shape]), " ", h("span", null, text));
  const numbers = (p.numbers ?? []).map((n) => ({ id: n, label: `${whole(n)} words` }));
  return h("div.map-bar.legend", null,
    scale && [h("span", null, `${scale[1]} ${scale[2]}`), h("i", { style: `--ramp: var(${scale[0]})` }),
      h("span", null, scale[3])],
    legend.map(sign), h("span.space"),
    select(numbers, p.n_mapped, (n) => view.act("map_words", { n }), { "aria-label": "Words on the map" }),
    help(`Shown: ${p.sample}. ${p.noise ?? ""}`));
}

// Flags of the words that are searched for or selected; null where all are shown alike.
function chosen(view, p) {
  const { query = "", selected = null } = view.local;
  return remember(view, "chosen", [p, query, selected], () => {
    const wanted = query.trim().toLowerCase();
    const holds = (word) => (wanted ? word.toLowerCase().includes(wanted) : selected.has(word));
    const flags = wanted || selected ? Uint8Array.from(p.words, holds) : [];
    return flags.includes(1) ? flags : null;
  });
}

// The words looked at, and the neighbours of the one that the inspector shows.
function mapMarks(view, p, side) {
  const shown = lookedAt(view);
  const place = ({ word }) => p.index.get(word);
  const there = (rows) => rows.filter(({ word }) => p.index.has(word));
  const near = shown && p.index.has(shown.word) ? there(shown.neighbours) : [];
  const apart = { lost: "after", gained: "before" }; // where they are no neighbours
  const words = there(view.get("looked").words ?? []).map((row) => ({ ...row, colour: "--ink", strong: true }));
  const marks = [...words, ...near.map((row) => ({ ...row, ...STATUSES[row.status] }))];
  const lines = near.map((row) => ({ from: place(shown), to: place(row), dashed: apart[row.status] === side,
    colour: STATUSES[row.status].colour }));
  return { lines: view.ui.lines === false ? [] : lines,
    marks: marks.map((row) => ({ ...row, i: place(row), text: row.word })) };
}

function saveFile(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function saveTable(view, p) {
  const flags = chosen(view, p);
  const sides = ["before", "control", "after"];
  const cell = (x) => (Number.isNaN(x) ? "" : /[",\r\n]/.test(x) ? `"${x.replaceAll('"', '""')}"` : x);
  const row = (word, i) => [word, p.rank[i], FATES[p.fate[i]][1], p.cosine[i], p.labels?.[i] ?? "",
    ...sides.flatMap((side) => [...p[side].subarray(2 * i, 2 * i + 2)])];
  const head = ["word", "rank", "fate", "cosine", "label", ...sides.flatMap((side) => [`x_${side}`, `y_${side}`])];
  const lines = [head, ...p.words.map(row).filter((_, i) => !flags || flags[i])].map((cells) => cells.map(cell).join());
  saveFile("map.csv", new Blob(["\uFEFF", ...lines.map((line) => `${line}\r\n`)], { type: "text/csv" }));
}

// The maps, their captions and the legend as they stand on the page.
function savePicture(view) {
  const tab = view.root.querySelector(".map-tab");
  const { left, top, width } = tab.querySelector(".maps").getBoundingClientRect();
  const { bottom } = tab.querySelector(".legend").getBoundingClientRect();
  const dpr = window.devicePixelRatio || 1;
  const canvas = h("canvas", { width: width * dpr, height: (bottom - top) * dpr });
  const g = canvas.getContext("2d");
  g.setTransform(dpr, 0, 0, dpr, -left * dpr, -top * dpr);
  Object.assign(g, { fillStyle: colour(view.root, "--card"), textBaseline: "middle" });
  g.fillRect(left, top, width, bottom - top);
  for (const el of tab.querySelectorAll("canvas, figcaption *, .legend :is(span, i)")) {
    const { left: x, top: y, width: wide, height: tall } = el.getBoundingClientRect();
    const { color, font } = getComputedStyle(el);
    Object.assign(g, { fillStyle: color, font });
    if (el.matches("canvas")) g.drawImage(el, x, y, wide, tall);
    else if (el.childElementCount === 0) g.fillText(el.textContent, x, y + tall / 2);
    if (el.matches("i")) ramp(colour(el, "--ramp")).forEach((ink, k) => {
      g.fillStyle = ink;
      g.fillRect(x + k * wide / SCALE, y, wide / SCALE + 1, tall);
    });
  }
  canvas.toBlob((blob) => saveFile("map.png", blob));
}

// -- the inspector --------------------------------------------------------------------------

const wordsOf = (view) => (view.get("looked").words ?? []).map(({ word }) => word);

function lookAt(view, word) {
  const words = wordsOf(view);
  view.setLocal({ word, query: "" });
  if (!words.includes(word)) view.act("look", { words: [...words, word].slice(-4) });
}

function lookedAt(view) {
  const words = view.get("looked").words ?? [];
  return words.find(({ word }) => word === view.local.word) ?? words[0];
}

const mapWord = (view, word, props = {}) =>
  button(h("bdi", null, word), () => lookAt(view, word), { name: "button.map-word", key: word, ...props });

function inspector(view) {
  const p = mapped(view);
  const words = wordsOf(view);
  const shown = lookedAt(view);
  const query = (view.local.query ?? "").trim();
  const flags = p.n ? chosen(view, p) : null;
  const keys = { Enter: () => query && lookAt(view, query), Escape: () => view.setLocal({ query: "" }) };
  const leave = (word) => view.act("look", { words: words.filter((other) => other !== word) });
  const chip = (word) => h("span", { key: word }, mapWord(view, word, { "aria-pressed": String(word === shown.word) }),
    button("×", () => leave(word), { "aria-label": `Close ${word}` }));
  return h("aside.inspector", { key: "inspector", "aria-label": "Words looked at" },
    h("input", { type: "search", value: view.local.query ?? "", placeholder: "Find a word",
      "aria-label": "Find on the map; Enter looks at any word", onkeydown: (e) => keys[e.key]?.(),
      oninput: (e) => view.setLocal({ query: e.target.value }) }),
    query ? foundWords(view, p, flags, query) : flags && selectedWords(view, p, flags),
    warning(view.error("changes", "contributions")),
    words.length > 1 && h("div.chips", { key: "chips", role: "group", "aria-label": "Compare" }, words.map(chip)),
    shown ? h("div", { key: "word", class: view.isStale("looked") && "stale" }, aboutWord(view, p, shown))
      : h("p.mute", { key: "none" }, "Click a point, or type a word, to see which neighbours it keeps."));
}

function foundWords(view, p, flags, query) {
  const found = flags ? p.words.filter((_, i) => flags[i]) : [];
  const begins = found.filter((word) => word.toLowerCase().startsWith(query.toLowerCase()));
  const count = found.length ? `${whole(found.length)} on the map` : "Not on the map; Enter looks at it anyway.";
  return h("div", { key: "found" }, h("p.mute", { role: "status" }, count),
    [...new Set([...begins, ...found])].slice(0, 8).map((word) => mapWord(view, word)));
}

function selectedWords(view, p, flags) {
  const all = p.words.map((_, i) => i).filter((i) => flags[i]);
  const scored = all.filter((i) => p.fate[i] < 2).sort((a, b) => p.cosine[a] - p.cosine[b]);
  const mean = scored.reduce((sum, i) => sum + p.cosine[i], 0) / scored.length;
  const rebuilt = all.filter((i) => p.fate[i] === 1).length / all.length;
  return h("div", { key: "selected" }, h("h6", null, `${whole(all.length)} words selected `,
    button("Clear", () => view.setLocal({ selected: null }), { name: "button.link" })),
    h("p", null, `mean cosine ${fixed(mean)} · ${percent(rebuilt)} rebuilt`), h("p.mute", null, "Most damaged:"),
    scored.slice(0, 6).map((i) => mapWord(view, p.words[i], { title: `cosine ${fixed(p.cosine[i])}` })));
}

function aboutWord(view, p, { word, fate, rank, cosine, n_before: nBefore, neighbours, ngrams }) {
  const about = [fate, rank !== null && `rank ${whole(rank)}`,
    cosine === null ? "no vector" : `cosine ${fixed(cosine)}`, !p.index.has(word) && "not on the map"];
  const count = ([status, { sign }]) => h("span", { class: status },
    `${sign} ${neighbours.filter((row) => row.status === status).length} ${status} `);
  return [h("h6", null, h("bdi", null, word), " ", h("span.mute", null, about.filter(Boolean).join(" · "))),
    nBefore > 0 && h("p", { title: `Of the ${nBefore} nearest words` }, Object.entries(STATUSES).map(count)),
    slopeChart(view, neighbours), ngrams && ngramTable(ngrams)];
}

// Neighbours before on the left, after on the right; curves join those that stay.
function slopeChart(view, neighbours) {
  const [left, right] = [["lost", "rank_before"], ["gained", "rank_after"]].map(([own, by]) =>
    neighbours.filter(({ status }) => status === "kept" || status === own).sort((a, b) => a[by] - b[by]));
  const y = (k) => 11.5 + 23 * k;
  const dots = (rows, x) => rows.map(({ status }, k) =>
    h("text", { x, y: y(k), fill: `var(${STATUSES[status].colour})` }, STATUSES[status].sign));
  const about = ({ word, status, rank_before: was, rank_after: is }) =>
    [`${word}: ${status}`, was && `was ${was}`, is && `is ${is}`].filter(Boolean).join(", ");
  const column = (rows, name) => h("div", { role: "list", "aria-label": name }, rows.map((row) =>
    h("div", { role: "listitem", key: row.word }, mapWord(view, row.word, { class: row.status, title: about(row) }))));
  const curve = (row, k) => `M8 ${y(k)}C22 ${y(k)} 22 ${y(right.indexOf(row))} 36 ${y(right.indexOf(row))}`;
  return h("div.slope", null, column(left, "Neighbours before"),
    h("svg", { width: 44, height: 23 * Math.max(left.length, right.length), "aria-hidden": "true" },
      left.map((row, k) => row.status === "kept" && h("path", { d: curve(row, k) })), dots(left, 6), dots(right, 38)),
    column(right, "Neighbours after"));
}

function ngramTable({ before, after, left, rows }) {
  const most = Math.max(1e-9, ...rows.flatMap((row) => [Math.abs(row.before ?? 0), Math.abs(row.after ?? 0)]));
  const share = (value) => h("td.number.share",
    { class: value < 0 && "against", style: `--share: ${100 * Math.abs(value ?? 0) / most}%` }, fixed(value, 2));
  const row = ({ ngram, status, before: was, after: is, cosine }) => h("tr", { key: ngram },
    h("th", { scope: "row" }, h("bdi", null, ngram), status !== "stays" && h("small.mute", null, ` ${status}`)),
    share(was), share(is), h("td.number", null, fixed(cosine, 2)));
  return h("div.ngrams", null, h("p.mute", null, `Made of ${before}; now of ${after}; n-grams left: ${left}.`),
    h("table", null, h("thead", null, h("tr", null,
      ["n-gram", "before", "after", "cosine"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, rows.map(row))));
}
