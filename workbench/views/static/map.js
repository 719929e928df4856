// Maps of points on canvas.

// component(PointMap, props): a map that fills its element. Its picture follows from props, camera, size and theme.
//   points    Float32Array (2n): x, y of each point; NaN where it has no place
//   frame     [x0, y0, x1, y1] that "Fit" shows, see `frameOf`
//   colours   indices of the points into palette: colours, variables ("--kept"), ramps ("--damage": SCALE colours)
//   shapes    indices into SHAPES. order: Uint32Array (n): the last one is on top
//   selected  Uint8Array (n) of flags: the other points are dimmed; null: no selection
//   name, tip i => text: shown where there is room (zoomed in, few selected); shown at the point under the pointer
//   labels    [{text, at: [x, y]}]: names of regions, the more important first
//   marks     [{i, text, colour, shape, hollow, strong}]: points that stand out, the more important first
//   lines     [{from, to, colour, dashed}] between points
//   camera    from newCamera(); maps that share it and the frame pan, zoom and hover together
//   head      pixels at the top that names leave free. label: text for screen readers
//   pick      i => ...: a point was clicked
//   select    flags => ...: what a lasso or box holds; null: a click on nothing, or Escape

const HOME = { x: 0, y: 0, zoom: 1 }; // x, y from the middle of the frame
const newCamera = () => ({ ...HOME, hover: null });
const OUTLINES = {
  circle: "M-1 0A1 1 0 1 0 1 0A1 1 0 1 0-1 0Z", triangle: "M0-1.4 1.2.7-1.2.7Z",
  cross: "M-1.2-.7-.5 0-1.2.7-.7 1.2 0 .5.7 1.2 1.2.7.5 0 1.2-.7.7-1.2 0-.5-.7-1.2Z", square: "M-.9-.9H.9V.9H-.9Z",
  diamond: "M0-1.4 1.4 0 0 1.4-1.4 0Z", down: "M0 1.4 1.2-.7-1.2-.7Z",
  star: "M0-1.6.41-.57 1.52-.49.67.22.94 1.29 0 .7-.94 1.29-.67.22-1.52-.49-.41-.57Z",
  plus: "M-.4-1.3H.4V-.4H1.3V.4H.4V1.3H-.4V.4H-1.3V-.4H-.4Z", left: "M-1.4 0 .7-1.2.7 1.2Z",
};
const SHAPES = Object.keys(OUTLINES);
const SIGNS = Object.fromEntries(SHAPES.map((shape, k) => [shape, "●▲✖■◆▼★✚◀"[k]])); // in texts
const GREYS = ["#8a8f98", "#b8bcc4"];
const SCALE = 64;
const MARGIN = 24; // around the picture, for points at its edge

function outline(shape, x, y, r) {
  const path = new Path2D();
  path.addPath(new Path2D(OUTLINES[shape]), new DOMMatrix([r, 0, 0, r, x, y]));
  return path;
}

// The pixels of a shape: their places from the centre in an image with rows of `wide` pixels, and their covers.
function stampOf(shape, r, wide) {
  const half = Math.ceil(1.7 * r) + 1;
  const side = 2 * half + 1;
  const g = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
  g.fill(outline(shape, half + 0.5, half + 0.5, r));
  const { data } = g.getImageData(0, 0, side, side);
  const pixels = Array.from({ length: side * side }, (_, p) => p).filter((p) => data[4 * p + 3]);
  return {
    places: Int32Array.from(pixels, (p) => (Math.floor(p / side) - half) * wide + (p % side) - half),
    covers: Float32Array.from(pixels, (p) => data[4 * p + 3] / 255),
  };
}

// The middle 98 in 100 places of these arrays, along each axis.
function frameOf(...arrays) {
  const along = [0, 1].map((axis) => {
    const isThere = (v, k) => k % 2 === axis && !Number.isNaN(v);
    return Float32Array.from(arrays.flatMap((points) => [...points.filter(isThere)])).sort();
  });
  const at = (share) => along.map((values) => values[Math.round(share * (values.length - 1))] ?? 0);
  return [...at(0.01), ...at(0.99)];
}

// The colours of a palette as RGBA, four bytes each.
function inksOf(palette) {
  const g = new OffscreenCanvas(SCALE * palette.length, 1).getContext("2d", { willReadFrequently: true });
  let x = 0;
  for (const stops of palette.map((ink) => ink.split(","))) {
    const wide = stops.length > 1 ? SCALE : 1;
    const gradient = g.createLinearGradient(x, 0, x + wide, 0);
    stops.forEach((stop, k) => gradient.addColorStop(k / Math.max(1, stops.length - 1), stop.trim()));
    g.fillStyle = gradient;
    g.fillRect(x, 0, wide, 1);
    x += wide;
  }
  return g.getImageData(0, 0, x, 1).data;
}

// A text as at most five lines of about 44 letters.
function linesOf(text) {
  const lines = text.match(/.{1,44}(\s|$)|.{44}/gu) ?? [];
  return lines.length > 5 ? [...lines.slice(0, 4), `${lines[4].trimEnd()}…`] : lines;
}

const areaOf = (path) => new Path2D(`M${path.join("L")}Z`);

let scrolled = 0; // when the page was last scrolled
window.addEventListener("scroll", () => { scrolled = performance.now(); }, { capture: true, passive: true });

class PointMap {
  constructor(el, props, view) {
    Object.assign(this, { el, view, ownCamera: newCamera(), mode: "pan", held: null, under: null });
    this.canvas = h("canvas.map-canvas", { tabindex: 0, role: "application", "aria-roledescription": "map",
      onpointerdown: (e) => this.press(e), onpointermove: (e) => (this.held ? this.drag(e) : this.hover(e)),
      onpointerup: () => this.release(), onpointerleave: () => this.held || this.move({ hover: this.under = null }),
      onwheel: (e) => this.wheel(e), onkeydown: (e) => this.key(e) });
    this.tools = h("div");
    el.append(this.canvas, this.tools);
    this.update(props);
    new ResizeObserver(() => this.later()).observe(el); // resized, shown again, put elsewhere
  }

  update(props) {
    const { camera = this.ownCamera, colours, selected, select } = props;
    Object.assign(this, { camera, n: colours.length, selected });
    this.props = { marks: [], labels: [], lines: [], head: 0, ...props };
    this.canvas.setAttribute("aria-label", `${props.label}. Arrows pan, + and - zoom, 0 fits`);
    const mode = (id, text, key) => button(text, () => {
      this.mode = this.mode === id ? "pan" : id;
      this.update(props);
    }, { "aria-pressed": String(this.mode === id), title: `Select with a ${id} (or drag with ${key})` });
    patch(this.tools, h("div.map-tools", { role: "group", "aria-label": "Map tools" },
      select && [mode("lasso", "Lasso", "Shift"), mode("box", "Box", "Alt")],
      button("+", () => this.zoom(1.5), { "aria-label": "Zoom in" }),
      button(MINUS, () => this.zoom(1 / 1.5), { "aria-label": "Zoom out" }), button("Fit", () => this.move(HOME))));
    this.later();
  }

  css(name) {
    return name.startsWith("--") ? colour(this.el, name) : name;
  }

  later() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      if (this.el.clientWidth && this.el.clientHeight) this.paint(); // else hidden
    });
  }

  // On this canvas, or another one that has `dpr` pixels for each of the page's.
  paint(canvas = this.canvas, dpr = window.devicePixelRatio || 1) {
    const { el, camera: { hover }, props: { marks, lines }, held } = this;
    Object.assign(this, { width: el.clientWidth, height: el.clientHeight });
    const size = { width: Math.round(this.width * dpr), height: Math.round(this.height * dpr) };
    if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
    const g = canvas.getContext("2d");
    this.place();
    this.paintPoints(g, dpr);
    g.setTransform(dpr, 0, 0, dpr, 0, 0);
    const stroke = (path, ink, lineWidth) => {
      Object.assign(g, { strokeStyle: this.css(ink), lineWidth });
      g.stroke(path);
    };
    for (const { from, to, colour: ink, dashed } of lines) {
      g.setLineDash(dashed ? [3, 3] : []);
      stroke(new Path2D(`M${this.spot(from)}L${this.spot(to)}`), ink, 1.4);
    }
    g.setLineDash([]);
    const ring = { i: hover ?? -1, hollow: true, colour: "--ink", strong: true };
    for (const { i, shape = "circle", colour: ink, hollow, strong } of [ring, ...marks].reverse()) {
      const path = outline(shape, ...this.spot(i), strong ? 5 : 4);
      stroke(path, "--map", 4);
      g.fillStyle = this.css(ink);
      if (hollow) stroke(path, ink, 2);
      else g.fill(path);
    }
    this.paintNames(g);
    if (held?.moved && held.kind !== "pan") stroke(areaOf(held.path), "--accent", 2);
  }

  // The pixels of all points: x * scale + left, top - y * scale.
  place() {
    const { width, height, camera, props: { points, frame: [x0, y0, x1, y1], head } } = this;
    const [midX, midY] = [width / 2, (height + head) / 2];
    const fit = Math.min((width - 30) / (x1 - x0 || 1), (height - head - 30) / (y1 - y0 || 1));
    const scale = Math.max(fit, 1e-9) * camera.zoom;
    const left = midX - scale * ((x0 + x1) / 2 + camera.x);
    const top = midY + scale * ((y0 + y1) / 2 + camera.y);
    this.px = points.map((v, k) => (k % 2 ? top - v * scale : v * scale + left));
    this.at = { scale, left, top, midX, midY };
  }

  spot(i) {
    return [this.px[2 * i], this.px[2 * i + 1]];
  }

  // Points are put into the pixels by hand: without a graphics card ten times faster than by calls of the canvas.
  paintPoints(g, dpr) {
    const { px, n, selected, camera, props: { colours, shapes, order, palette } } = this;
    const inks = inksOf(["--map", ...palette].map((ink) => this.css(ink)));
    const size = n > 8000 ? 1.5 : n > 3000 ? 1.8 : n > 800 ? 2.1 : 2.8;
    const r = Math.min(6, size * camera.zoom ** 0.3) * dpr;
    const margin = Math.ceil(MARGIN * dpr);
    const [wide, tall] = [g.canvas.width + 2 * margin, g.canvas.height + 2 * margin];
    if (this.image?.width !== wide || this.image.height !== tall) this.image = new ImageData(wide, tall);
    const { data } = this.image;
    new Uint32Array(data.buffer).fill(new Uint32Array(inks.buffer)[0]);
    const stamps = [];
    const isDim = (i) => selected?.[i] === 0;
    for (const i of selected ? [...order.filter(isDim), ...order.filter((i) => !isDim(i))] : order) {
      const x = Math.round(px[2 * i] * dpr) + margin;
      const y = Math.round(px[2 * i + 1] * dpr) + margin;
      const isInside = Math.min(x, y, wide - x, tall - y) > margin / 2; // no for NaN
      if (!isInside) continue;
      const { places, covers } = (stamps[shapes[i]] ??= stampOf(SHAPES[shapes[i]], r, wide));
      const [ink, centre] = [4 * (colours[i] + 1), y * wide + x]; // after the ground
      const [red, green, blue] = [inks[ink], inks[ink + 1], inks[ink + 2]];
      const strength = ((isDim(i) ? 0.13 : 0.9) * inks[ink + 3]) / 255;
      for (let q = 0; q < places.length; q++) {
        const p = 4 * (centre + places[q]);
        const share = strength * covers[q];
        data[p] += (red - data[p]) * share;
        data[p + 1] += (green - data[p + 1]) * share;
        data[p + 2] += (blue - data[p + 2]) * share;
      }
    }
    g.putImageData(this.image, -margin, -margin);
  }

  // Names, the more important first; one that would lie on another is left out.
  paintNames(g) {
    const { props: { marks, labels, name, tip, head }, at: { scale, left, top }, camera: { hover, zoom } } = this;
    const { n, selected, tools, width, height } = this;
    const family = colour(this.el, "font-family");
    const taken = [[width - tools.offsetWidth - 10, height - tools.offsetHeight - 10, width, height]];
    const around = (x, y, half, tall) => [x - half, y - tall, x + half, y + tall];
    for (const { i } of marks) taken.push(around(...this.spot(i), 4, 4));
    const isFree = ([x0, y0, x1, y1]) => y0 >= head && y1 <= height &&
      !taken.some((box) => box[0] < x1 && box[2] > x0 && box[1] < y1 && box[3] > y0);
    // weight and size of the letters; how far from the point, which may be on any side of it
    const put = (text, x, y, ink, weight, size, away = 0) => {
      if (!text || !(x >= 0 && x <= width && y >= head && y <= height)) return;
      const lines = linesOf(text);
      g.font = `${weight} ${size}px ${family}`;
      const widths = lines.map((line) => g.measureText(line).width);
      const [half, tall] = [Math.max(...widths) / 2 + 3, size * 0.7 * lines.length];
      const sides = away ? [[0, -away - tall], [0, away + tall], [away + half, 0], [-away - half, 0]] : [[0, 0]];
      const inside = (midX) => Math.max(half, Math.min(width - half, midX));
      const box = sides.map(([dx, dy]) => around(inside(x + dx), y + dy, half, tall)).find(isFree);
      if (!box) return;
      taken.push(box);
      if (lines.length > 1) {
        g.fillStyle = this.css("--card");
        g.fillRect(box[0], box[1] - 2, 2 * half, 2 * tall + 4);
      }
      g.fillStyle = this.css(ink);
      for (const act of ["strokeText", "fillText"]) {
        lines.forEach((line, k) => g[act](line, box[0] + half, box[1] + size * 0.7 * (2 * k + 1)));
      }
    };
    const named = new Set();
    const putAt = (i, text, ...look) => named.has(i) || (named.add(i), put(text, ...this.spot(i), ...look));
    Object.assign(g, { textAlign: "center", textBaseline: "middle", lineJoin: "round", lineWidth: 3.5 });
    g.strokeStyle = this.css("--map");
    if (hover !== null) putAt(hover, tip(hover), "--ink", 600, 12, 9);
    for (const { i, text, colour: ink, strong } of marks) putAt(i, text, ink, 600, strong ? 13 : 11.5, strong ? 8 : 6);
    for (const { text, at: [x, y] } of labels) put(text, x * scale + left, top - y * scale, "--mute", 500, 11.5);
    const isRoomy = zoom > 2.5 || selected?.reduce((sum, flag) => sum + flag, 0) <= 60;
    for (let i = 0; isRoomy && i < n && taken.length < 200; i++) {
      if (!selected || selected[i]) putAt(i, name(i), "--ink", 400, 11, 5);
    }
  }

  // -- what a person does -----------------------------------------------------------------

  move(changes) {
    Object.assign(this.camera, changes);
    for (const { _made: map } of this.view.root.querySelectorAll("[data-component=PointMap]")) {
      if (map?.camera === this.camera) map.later();
    }
  }

  pan(dx, dy) {
    const { camera: { x, y }, at: { scale } } = this;
    this.move({ x: x - dx / scale, y: y + dy / scale });
  }

  // Zoom so that what is at (x, y) stays there. False at the ends, where the page may scroll.
  zoom(by, x = this.at.midX, y = this.at.midY) {
    const { camera, at } = this;
    const zoom = Math.max(0.6, Math.min(100, camera.zoom * by));
    const shift = (1 - camera.zoom / zoom) / at.scale;
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
    this.held = { kind, path: [[e.offsetX, e.offsetY]], moved: false };
  }

  hover({ offsetX: x, offsetY: y }) {
    const { px, n, selected, camera } = this;
    let nearest = 144; // squared pixels
    this.under = null;
    for (let i = 0; i < n; i++) {
      const far = (px[2 * i] - x) ** 2 + (px[2 * i + 1] - y) ** 2 + (selected?.[i] === 0 ? 40 : 0);
      if (far < nearest) [this.under, nearest] = [i, far];
    }
    this.canvas.style.cursor = this.under === null ? "" : "pointer";
    if (this.under !== camera.hover) this.move({ hover: this.under });
  }

  drag({ offsetX: x, offsetY: y }) {
    const { held } = this;
    const [[x0, y0]] = held.path;
    held.moved ||= Math.hypot(x - x0, y - y0) > 3;
    if (!held.moved) return;
    if (held.kind === "pan") this.pan(x - x0, y - y0);
    held.path = { pan: [[x, y]], lasso: [...held.path, [x, y]], box: [[x0, y0], [x, y0], [x, y], [x0, y]] }[held.kind];
    this.later();
  }

  release() {
    const { held, n, under, props } = this;
    this.held = null;
    this.later();
    if (held && !held.moved) under === null ? props.select?.(null) : props.pick(under);
    if (!held?.moved || held.kind === "pan") return;
    const [g, area] = [new OffscreenCanvas(1, 1).getContext("2d"), areaOf(held.path)];
    const flags = Uint8Array.from({ length: n }, (_, i) => g.isPointInPath(area, ...this.spot(i)));
    props.select(flags.includes(1) ? flags : null);
  }

  key(e) {
    const keys = {
      ArrowLeft: () => this.pan(60, 0), ArrowRight: () => this.pan(-60, 0),
      ArrowUp: () => this.pan(0, 60), ArrowDown: () => this.pan(0, -60),
      "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), "-": () => this.zoom(1 / 1.5),
      0: () => this.move(HOME), Escape: () => this.props.select?.(null),
    };
    if (!keys[e.key] || e.ctrlKey || e.metaKey || e.altKey) return;
    keys[e.key]();
    e.preventDefault();
    e.stopPropagation();
  }
}

// Flags of those that are found.
const flagsOf = (all, found) => Uint8Array.from(all, (one) => found.has(one));

// A sign of a legend and what it means.
const legendSign = (sign, ink, text) =>
  h("span", h("span", { style: ink && `color: ${ink}`, "aria-hidden": "true" }, sign), text && ` ${text}`);
