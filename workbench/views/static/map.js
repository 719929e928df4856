// Maps of points on canvas, the tab Map, and the inspector beside it.

// component(PointMap, props): a map that fills its element. Only points, colours, palette and label are needed.
//   points    Float32Array (2n): x, y of each point; NaN where it has no place
//   frame     [x0, y0, x1, y1] that "Fit" shows; by default around the points. Linked maps share one
//   colours   Uint8Array or Uint16Array (n) of indices into palette: CSS colours; "ramp(--name)" stands for SCALE colours
//             along the stops in a CSS variable (`onScale` gives the indices)
//   shapes    Uint8Array (n) of indices into SHAPES; circles by default
//   order     Uint32Array (n): the order in which points are drawn, the last one on top
//   selected  Uint8Array (n) of flags; the other points are dimmed. null: no selection
//   name      i => text, shown where there is room (zoomed in, few selected) and read out
//   tip       i => text (lines allowed) beside the pointer
//   labels    [{text, x, y}]: names of regions, the more important first
//   marks     [{i, text, colour, shape, hollow, strong}]: points that stand out, in order of importance
//   lines     [{from, to, colour, dashed}] between points
//   camera    from newCamera(); maps that share it pan, zoom and hover together
//   head      pixels at the top that are left free
//   label     text for screen readers
//   pick      i => ...: a point was clicked, or Enter pressed on it
//   select    flags => ...: Uint8Array (n) of what a lasso or box holds, null when a click on nothing clears it
// Colours may be CSS variables ("--kept"). The picture follows from props, camera, size and theme alone.

const newCamera = () => ({ x: 0, y: 0, zoom: 1, hover: null, maps: new Set() }); // x, y in spans of the frame

const PLUS = [[-19, 1.3], [19, 1.3], [45, 0.6]];
const OUTLINES = { // n repetitions around the centre, degrees of turn, corners as [degrees, radius]
  circle: null, triangle: [3, -90, [[0, 1.4]]], cross: [4, 45, PLUS], square: [4, 45, [[0, 1.25]]],
  diamond: [4, 0, [[0, 1.35]]], down: [3, 90, [[0, 1.4]]], star: [5, -90, [[0, 1.6], [36, 0.7]]], plus: [4, 0, PLUS],
  left: [3, 180, [[0, 1.4]]],
};
const SHAPES = Object.keys(OUTLINES);

function outline(g, shape, x, y, r) {
  g.beginPath();
  if (!OUTLINES[shape]) return g.arc(x, y, r, 0, 7);
  const [n, turn, corners] = OUTLINES[shape];
  for (let k = 0; k < n; k++) {
    for (const [degrees, radius] of corners) {
      const angle = (360 * k / n + turn + degrees) * Math.PI / 180;
      g.lineTo(x + r * radius * Math.cos(angle), y + r * radius * Math.sin(angle));
    }
  }
  g.closePath();
}

// The smallest [x0, y0, x1, y1] around the places in these arrays.
function frameOf(...arrays) {
  const frame = [Infinity, Infinity, -Infinity, -Infinity];
  for (const points of arrays) {
    for (let i = 0; i < points.length; i++) {
      if (points[i] < frame[i % 2]) frame[i % 2] = points[i];
      if (points[i] > frame[2 + i % 2]) frame[2 + i % 2] = points[i];
    }
  }
  return frame[0] <= frame[2] ? frame : [0, 0, 1, 1];
}

const SCALE = 64; // colours of a ramp

function ramp(stops) {
  const g = new OffscreenCanvas(SCALE, 1).getContext("2d");
  const gradient = g.createLinearGradient(0, 0, SCALE, 0);
  stops.split(",").forEach((stop, k, all) => gradient.addColorStop(k / (all.length - 1), stop.trim()));
  g.fillStyle = gradient;
  g.fillRect(0, 0, SCALE, 1);
  const { data } = g.getImageData(0, 0, SCALE, 1);
  return Array.from({ length: SCALE }, (_, k) => `rgb(${data.subarray(4 * k, 4 * k + 3).join()})`);
}

// Indices into a palette of n colours for values from low to high; n for NaN.
function onScale(values, low, high, n) {
  const index = (v) => Math.max(0, Math.min(n - 1, Math.floor((v - low) / (high - low || 1) * n)));
  return Uint8Array.from(values, (v) => (Number.isNaN(v) ? n : index(v)));
}

let scrolled = 0; // when the page was last scrolled
window.addEventListener("scroll", () => { scrolled = performance.now(); }, { capture: true, passive: true });

class PointMap {
  constructor(el, props) {
    Object.assign(this, { el, own: newCamera(), sprites: new Map(), mode: "pan", held: null, steps: [] });
    this.base = h("canvas", { "aria-hidden": "true" });
    this.top = h("canvas", { tabindex: 0, role: "application", "aria-roledescription": "map" });
    this.tip = h("div.map-tip", { "aria-hidden": "true", hidden: true });
    this.said = h("div.sr", { "aria-live": "polite" });
    this.tools = h("div.map-tools", { role: "group", "aria-label": "Map tools" });
    el.append(this.base, this.top, this.tip, this.tools, this.said);
    for (const event of ["pointerdown", "pointermove", "pointerup", "pointerleave", "wheel", "keydown", "blur"]) {
      this.top.addEventListener(event, (e) => this[event](e), { passive: false });
    }
    this.update(props);
    new ResizeObserver(() => this.update(this.props)).observe(el); // resized, shown again, put elsewhere
  }

  update(props) {
    const n = props.points.length / 2;
    this.selected = props.selected ?? null;
    this.frame = props.frame ?? (this.props?.points === props.points ? this.frame : frameOf(props.points));
    Object.assign(this, { props, n, camera: props.camera ?? this.own, style: getComputedStyle(this.el), stale: true });
    for (const map of this.camera.maps) if (!map.el.isConnected) this.camera.maps.delete(map);
    this.camera.maps.add(this);
    this.top.setAttribute("aria-label", `${props.label}. Arrows pan, plus and minus zoom, 0 fits, Enter goes to a word.`);
    const mode = (id, title, key) => props.select && button(title, () => this.setMode(id),
      { "aria-pressed": String(this.mode === id), title: `Select with a ${id} (or drag with ${key})` });
    patch(this.tools, h("div.map-tools", { role: "group", "aria-label": "Map tools" },
      mode("lasso", "Lasso", "Shift"), mode("box", "Box", "Alt"),
      button("+", () => this.zoom(1.5), { "aria-label": "Zoom in" }),
      button("−", () => this.zoom(1 / 1.5), { "aria-label": "Zoom out" }), button("Fit", () => this.fit())));
    this.later();
  }

  css(name) {
    return name?.startsWith("--") ? this.style.getPropertyValue(name).trim() : name;
  }

  later() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      const { clientWidth: width, clientHeight: height } = this.el;
      if (!width || !height) return; // hidden
      const { camera: { x, y, zoom }, props: { points, colours, shapes, palette, order, head }, selected, frame } = this;
      Object.assign(this, { width, height, dpr: window.devicePixelRatio || 1, ground: this.css("--map") });
      const look = [points, colours, shapes, palette.join(), order, head, selected, frame.join(), x, y, zoom, width, height,
        this.dpr, this.ground, this.css("--damage")];
      if (look.some((value, k) => value !== this.look?.[k])) this.paintPoints();
      this.look = look;
      this.paintTop();
    });
  }

  // Pixels of all points, and the numbers that lead there: x * scale + left, top - y * scale.
  place() {
    const { frame: [x0, y0, x1, y1], width, height, camera, n, props: { points, head = 0 } } = this;
    const span = Math.max(x1 - x0, y1 - y0) || 1;
    const fit = Math.min((width - 36) / (x1 - x0 || span), (height - head - 36) / (y1 - y0 || span));
    const scale = Math.max(fit, 1e-9) * camera.zoom;
    const left = width / 2 - scale * ((x0 + x1) / 2 + camera.x * span);
    const top = (height + head) / 2 + scale * ((y0 + y1) / 2 + camera.y * span);
    if (this.px?.length !== 2 * n) this.px = new Float32Array(2 * n);
    for (let i = 0; i < 2 * n; i += 2) {
      this.px[i] = points[i] * scale + left;
      this.px[i + 1] = top - points[i + 1] * scale;
    }
    Object.assign(this, { scale, left, topmost: top, span });
  }

  // Points are stamped into the pixels: without a graphics card this is ten times faster than calls of the canvas.
  paintPoints() {
    this.place();
    const { props: { colours, shapes, palette, order }, px, n, selected, dpr, camera } = this;
    const r = Math.min(6, (n > 8000 ? 1.7 : n > 3000 ? 2 : 2.4) * camera.zoom ** 0.3);
    const pad = Math.ceil(3.4 * r * dpr) + 4;
    const [width, height] = [Math.round(this.width * dpr), Math.round(this.height * dpr)];
    const [w, high] = [width + 2 * pad, height + 2 * pad];
    if (this.image?.width !== w || this.image?.height !== high) {
      this.image = new ImageData(w, high);
      this.sprites.clear();
    }
    const pixels = new Uint32Array(this.image.data.buffer);
    const disc = this.sprite("circle", this.ground, 3, 1, w);
    const [, , redBlue, green] = disc.subarray((disc.length >> 3) << 2); // its middle is covered wholly
    pixels.fill((0xff000000 | redBlue >>> 8 & 0xff00ff | green >>> 8 & 0xff00) >>> 0);
    const inks = palette.flatMap((ink) => (ink.startsWith("ramp") ? ramp(this.css(ink.slice(5, -1))) : this.css(ink)));
    for (const pass of selected ? [0, 1] : [1]) {
      const stamps = [];
      for (let k = 0; k < n; k++) {
        const i = order ? order[k] : k;
        if (selected && selected[i] !== pass) continue;
        const x = Math.round(px[2 * i] * dpr) + pad;
        const y = Math.round(px[2 * i + 1] * dpr) + pad;
        if (!(x >= pad / 2 && x < w - pad / 2 && y >= pad / 2 && y < high - pad / 2)) continue; // NaN, too
        const shape = shapes ? shapes[i] : 0;
        const stamp = stamps[colours[i] * 9 + shape] ??=
          this.sprite(SHAPES[shape], inks[colours[i]], Math.round(4 * r * dpr) / 4, pass ? 0.9 : 0.13, w);
        for (let q = 0, at = y * w + x; q < stamp.length; q += 4) {
          const p = at + stamp[q];
          const under = pixels[p];
          const rest = stamp[q + 1];
          pixels[p] = 0xff000000 | (Math.imul(under & 0xff00ff, rest) + stamp[q + 2]) >>> 8 & 0xff00ff |
            (Math.imul(under & 0xff00, rest) + stamp[q + 3]) >>> 8 & 0xff00;
        }
      }
    }
    fitCanvas(this.base, width, height).putImageData(this.image, -pad, -pad);
  }

  // A shape as numbers for its pixels, four by four: place from the centre, share of what is below, and the colour's
  // share as red with blue and as green. w: pixels in a row of the image.
  sprite(shape, ink, r, opacity, w) {
    const key = [shape, ink, r, opacity].join();
    if (this.sprites.has(key)) return this.sprites.get(key);
    const half = Math.ceil(1.7 * r) + 1;
    const side = 2 * half + 1;
    const g = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
    Object.assign(g, { fillStyle: ink, globalAlpha: opacity });
    outline(g, shape, half + 0.5, half + 0.5, r);
    g.fill();
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

  // Above the points: lines, marks, names that never overlap, and the outline that is being drawn.
  paintTop() {
    const { dpr, width, height, px, props: { marks = [], lines = [] }, camera: { hover }, held } = this;
    const g = fitCanvas(this.top, Math.round(width * dpr), Math.round(height * dpr));
    g.setTransform(dpr, 0, 0, dpr, 0, 0);
    g.clearRect(0, 0, width, height);
    for (const { from, to, colour: ink, dashed } of lines) {
      if (Number.isNaN(px[2 * from] + px[2 * to])) continue;
      Object.assign(g, { strokeStyle: this.css(ink), lineWidth: 1.2, globalAlpha: dashed ? 0.5 : 0.8 });
      g.setLineDash(dashed ? [3, 3] : []);
      g.stroke(new Path2D(`M${px[2 * from]} ${px[2 * from + 1]}L${px[2 * to]} ${px[2 * to + 1]}`));
    }
    g.setLineDash([]);
    g.globalAlpha = 1;
    for (const mark of [...marks].reverse()) this.mark(g, mark);
    if (hover !== null) this.mark(g, { i: hover, hollow: true, colour: "--ink" }, 7);
    this.paintNames(g);
    if (held?.moved && held.kind !== "pan") {
      Object.assign(g, { strokeStyle: this.css("--accent"), fillStyle: this.css("--accent"), lineWidth: 1.5, globalAlpha: 0.15 });
      const path = new Path2D(`M${held.path.join("L")}Z`);
      g.fill(path);
      g.globalAlpha = 1;
      g.stroke(path);
    }
    this.tip.hidden = hover === null || this.under !== hover || !this.props.tip;
    if (this.tip.hidden) return;
    this.tip.textContent = this.props.tip(hover);
    const { offsetWidth: wide, offsetHeight: tall } = this.tip;
    const [x, y] = [px[2 * hover] - wide / 2, px[2 * hover + 1] - tall - 22];
    this.tip.style.translate = `${Math.max(2, Math.min(width - wide - 2, x))}px ${y > 0 ? y : y + tall + 40}px`;
  }

  mark(g, { i, shape = "circle", colour: ink, hollow, strong }, r = strong ? 5 : 4) {
    if (Number.isNaN(this.px[2 * i])) return;
    outline(g, shape, this.px[2 * i], this.px[2 * i + 1], r);
    Object.assign(g, { fillStyle: this.css(ink), lineWidth: hollow ? 4 : 2.5, strokeStyle: this.ground });
    g.stroke();
    if (!hollow) return g.fill();
    Object.assign(g, { lineWidth: 2, strokeStyle: this.css(ink) });
    g.stroke();
  }

  paintNames(g) {
    const { props: { marks = [], labels = [], name, head = 0 }, px, n, selected, camera: { zoom, hover }, tools, width, height } = this;
    const boxes = [[width - tools.offsetWidth - 10, height - tools.offsetHeight - 10, width, height]]; // taken
    const put = (text, x, y, { weight = 500, size = 11.5, ink = "--mute", away = 0 }) => {
      if (!(x >= 0 && x <= width && y >= head && y <= height)) return;
      const short = text.length > 30 ? `${text.slice(0, 29)}…` : text;
      g.font = `${weight} ${size}px ${this.style.fontFamily}`;
      const [half, tall] = [g.measureText(short).width / 2 + 3, size * 0.7];
      for (const [dx, dy] of away ? [[0, -away - tall], [0, away + tall], [away + half, 0], [-away - half, 0]] : [[0, 0]]) {
        const at = [Math.max(half, Math.min(width - half, x + dx)), y + dy];
        const box = [at[0] - half, at[1] - tall, at[0] + half, at[1] + tall];
        if (box[1] < head || box[3] > height) continue;
        if (boxes.some((b) => b[0] < box[2] && b[2] > box[0] && b[1] < box[3] && b[3] > box[1])) continue;
        boxes.push(box);
        Object.assign(g, { textAlign: "center", textBaseline: "middle", lineJoin: "round", lineWidth: 3.5,
          strokeStyle: this.ground, fillStyle: this.css(ink) });
        g.strokeText(short, ...at);
        return g.fillText(short, ...at);
      }
    };
    const named = new Set();
    const point = (i, text, look) => named.has(i) || (named.add(i), put(text, px[2 * i], px[2 * i + 1], look));
    for (const { i, text, colour: ink, strong } of marks) {
      if (text && strong) point(i, text, { ink, weight: 700, size: 13, away: 8 });
    }
    if (hover !== null && name) point(hover, name(hover), { ink: "--ink", weight: 600, away: 9 });
    for (const { i, text, colour: ink } of marks) if (text) point(i, text, { ink, weight: 600, away: 6 });
    for (const { text, x, y } of labels) put(text, x * this.scale + this.left, this.topmost - y * this.scale, {});
    if (!name || (zoom < 2.5 && !(selected?.reduce((sum, flag) => sum + flag, 0) <= 60))) return;
    for (const i of this.inside(200)) point(i, name(i), { ink: "--ink", weight: 400, size: 11, away: 5 });
  }

  // The first points, in their order, that are in sight and not dimmed.
  inside(most) {
    const found = [];
    for (let i = 0; i < this.n && found.length < most; i++) {
      const [x, y] = [this.px[2 * i], this.px[2 * i + 1]];
      if ((!this.selected || this.selected[i]) && x > 0 && x < this.width && y > 0 && y < this.height) found.push(i);
    }
    return found;
  }

  // -- what a person does -----------------------------------------------------------------

  move(changes) {
    Object.assign(this.camera, changes);
    for (const map of this.camera.maps) map.later();
  }

  pan(dx, dy) {
    const { camera, scale, span } = this;
    this.move({ x: camera.x - dx / scale / span, y: camera.y + dy / scale / span });
  }

  fit() {
    this.move({ x: 0, y: 0, zoom: 1 });
  }

  // Returns false at the ends, where the page may scroll.
  zoom(factor, x = this.width / 2, y = (this.height + (this.props.head ?? 0)) / 2) {
    const zoom = Math.max(0.6, Math.min(100, this.camera.zoom * factor));
    if (zoom === this.camera.zoom) return false;
    const gain = zoom / this.camera.zoom - 1;
    const [dx, dy] = [x - this.width / 2, y - (this.height + (this.props.head ?? 0)) / 2];
    this.move({ zoom, x: this.camera.x + dx * gain / (1 + gain) / this.scale / this.span,
      y: this.camera.y - dy * gain / (1 + gain) / this.scale / this.span });
    return true;
  }

  setMode(mode) {
    this.mode = this.mode === mode ? "pan" : mode;
    this.update(this.props);
  }

  nearest(x, y) {
    let [best, least] = [null, 144];
    for (let i = 0; i < this.n; i++) {
      const far = (this.px[2 * i] - x) ** 2 + (this.px[2 * i + 1] - y) ** 2 + (this.selected?.[i] === 0 ? 40 : 0);
      if (far < least) [best, least] = [i, far];
    }
    return best;
  }

  pointerdown(e) {
    if (e.button) return;
    this.top.focus({ preventScroll: true });
    this.top.setPointerCapture(e.pointerId);
    const kind = e.shiftKey ? "lasso" : e.altKey ? "box" : this.mode;
    this.held = { kind: this.props.select ? kind : "pan", path: [[e.offsetX, e.offsetY]], moved: false };
  }

  pointermove(e) {
    const { held } = this;
    const [x, y] = [e.offsetX, e.offsetY];
    if (!held) {
      this.under = this.px ? this.nearest(x, y) : null;
      this.top.style.cursor = this.under === null ? "" : "pointer";
      if (this.under !== this.camera.hover) this.move({ hover: this.under });
      return;
    }
    const [[x0, y0]] = held.path;
    held.moved ||= Math.hypot(x - x0, y - y0) > 3;
    if (!held.moved) return;
    if (held.kind === "lasso") held.path.push([x, y]);
    else if (held.kind === "box") held.path = [[x0, y0], [x, y0], [x, y], [x0, y]];
    else {
      this.pan(x - x0, y - y0);
      held.path = [[x, y]];
    }
    this.later();
  }

  pointerup() {
    const { held } = this;
    this.held = null;
    if (!held) return;
    if (!held.moved) {
      if (this.under !== null) this.props.pick?.(this.under);
      else this.props.select?.(null);
    } else if (held.kind !== "pan") {
      const g = this.top.getContext("2d");
      const area = new Path2D(`M${held.path.join("L")}Z`);
      g.setTransform(1, 0, 0, 1, 0, 0);
      const flags = Uint8Array.from({ length: this.n }, (_, i) => g.isPointInPath(area, this.px[2 * i], this.px[2 * i + 1]));
      this.props.select(flags.includes(1) ? flags : null);
    }
    this.later();
  }

  pointerleave() {
    if (this.held) return;
    this.under = null;
    this.move({ hover: null });
  }

  blur() {
    this.steps = [];
  }

  wheel(e) {
    if (performance.now() - scrolled < 300) return; // somebody scrolls the page past the map
    if (this.zoom(Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.0016)), e.offsetX, e.offsetY)) e.preventDefault();
  }

  keydown(e) {
    const { steps, props } = this;
    const step = (by) => {
      const next = steps.indexOf(this.camera.hover) + by;
      if (next < 0 || next >= steps.length) return false;
      this.said.textContent = props.tip?.(steps[next]) ?? props.name(steps[next]);
      this.move({ hover: this.under = steps[next] });
    };
    const act = { ArrowLeft: () => this.pan(60, 0), ArrowRight: () => this.pan(-60, 0), ArrowUp: () => this.pan(0, 60),
      ArrowDown: () => this.pan(0, -60), "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), "-": () => this.zoom(1 / 1.5),
      0: () => this.fit(),
      Tab: () => (steps.length ? step(e.shiftKey ? -1 : 1) : false), // else the next control, as everywhere
      Enter: () => {
        if (steps.length) return props.pick?.(this.camera.hover);
        const marked = (props.marks ?? []).map((mark) => mark.i).filter((i) => this.px[2 * i] >= 0);
        steps.push(...new Set([...marked, ...this.inside(40)]));
        step(1);
      },
      Escape: () => {
        if (!steps.length) props.select?.(null);
        this.steps = [];
        this.move({ hover: null });
      } }[e.key];
    if (!act || e.ctrlKey || e.metaKey || e.altKey || act() === false) return;
    e.preventDefault();
    e.stopPropagation();
  }

  // The map as it stands, for a picture.
  picture() {
    const canvas = h("canvas", { width: this.base.width, height: this.base.height });
    for (const layer of [this.base, this.top]) canvas.getContext("2d").drawImage(layer, 0, 0);
    return canvas;
  }
}

function fitCanvas(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return canvas.getContext("2d");
}

// -- the tab Map ----------------------------------------------------------------------------

const SIGNS = Object.fromEntries(SHAPES.map((shape, i) => [shape, "●▲✖■◆▼★✚◀"[i]]));
const OKABE_ITO = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"];
const LABEL_SHAPES = ["square", "diamond", "triangle", "down", "star", "plus", "left"].map((name) => SHAPES.indexOf(name));
const STATUSES = { // of a neighbour: how it is marked on the maps and beside words
  kept: { sign: "●", colour: "--kept" }, lost: { sign: "○", colour: "--lost", hollow: true },
  gained: { sign: "◆", colour: "--gained", shape: "diamond" },
};
const GREYS = ["#8a8f98", "#b8bcc4"];

// A value that is computed again only when what it needs is another.
function remember(view, name, needs, make) {
  const kept = (view.remembered ??= {});
  if (!kept[name] || needs.some((need, k) => need !== kept[name].needs[k])) kept[name] = { needs, value: make() };
  return kept[name].value;
}

// What colours and shapes mean: {colours, palette, shapes, order, scale: [name, low, high], legend: [[shape, colour, text]]}.
function looks(view, p) {
  const { colour: by = "damage", level = 0 } = view.ui;
  return remember(view, "looks", [p, by, level], () => {
    const fates = view.array(Uint8Array, p.fate);
    const cosines = view.array(Float32Array, p.cosine);
    const kinds = [["circle", "own row"], ["triangle", "rebuilt"], ["cross", "no vector"]].map(([shape, text]) => [shape, null, text]);
    const legend = kinds.filter((_, fate) => fates.includes(fate));
    const by_damage = Uint32Array.from(cosines, (_, i) => i).sort((a, b) => (cosines[b] || -1) - (cosines[a] || -1));
    const rare_first = Uint32Array.from(cosines, (_, i) => cosines.length - 1 - i);
    const scaled = (values, low, high, ramp, missing, order, ...scale) => ({ colours: onScale(values, low, high, SCALE),
      palette: [`ramp(${ramp})`, missing], shapes: fates, order, scale: [ramp, ...scale], legend });
    if (by === "frequency") {
      const ranks = Float32Array.from(view.array(Int32Array, p.rank), Math.log10);
      const last = ranks.reduce((a, b) => Math.max(a, b), 0);
      return scaled(ranks, 0, last, "--cividis", GREYS[0], rare_first, "rank", "1", whole(10 ** last));
    }
    if (by === "code" && p.n_levels) {
      const [codes, orders] = [view.array(Int16Array, p.codes), p.code_order && view.array(Int16Array, p.code_order)];
      const n = orders ? orders.length / p.n_levels : codes.reduce((a, b) => Math.max(a, b), 0) + 1;
      const values = Float32Array.from(cosines, (_, i) => {
        const code = codes[i * p.n_levels + level];
        return code < 0 ? NaN : orders ? orders[level * n + code] : code;
      });
      const found = scaled(values, 0, n, "--cividis", GREYS[1], rare_first, orders ? "near codes alike" : "code", "first", "last");
      return values.some(Number.isNaN) ? { ...found, legend: [...legend, ["circle", GREYS[1], "no codes of its own"]] } : found;
    }
    if (by === "label" && p.labels) {
      const counts = new Map();
      for (const label of p.labels) if (label !== null) counts.set(label, (counts.get(label) ?? 0) + 1);
      const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
      const place = new Map(names.map((name, k) => [name, Math.min(k, 7)]));
      const colours = Uint8Array.from(p.labels, (label) => place.get(label) ?? 8);
      const rows = [...names.slice(0, 7).map((name, k) => [SHAPES[LABEL_SHAPES[k]], OKABE_ITO[k], name]),
        ["circle", GREYS[0], `${names.length - 7} other labels`], ["circle", GREYS[1], "none"]];
      if (names.length <= 7) rows.splice(names.length, 1);
      return { colours, palette: [...OKABE_ITO, ...GREYS], shapes: colours.map((k) => LABEL_SHAPES[k] ?? 0), order: rare_first,
        legend: colours.includes(8) ? rows : rows.slice(0, -1) };
    }
    const damages = cosines.map((cosine) => 1 - cosine);
    const sorted = damages.filter((d) => d >= 0).sort();
    const high = Math.max(0.02, sorted[Math.floor(0.95 * sorted.length)] ?? 0);
    return scaled(damages, 0, high, "--damage", "--bad", by_damage, "damage (1 − cosine)", "none", fixed(high, 2));
  });
}

function mapTab(view) {
  const p = view.get("points");
  const { status, ui } = { status: view.get("status"), ui: view.ui };
  const drawing = (status.lanes ?? []).includes("maps");
  if (!p.n) return h("section.map-tab", { key: "map" }, warning(view.error("maps")), h("p.mute.map-none", null,
    drawing || status.busy ? "The map is being drawn." : "There is no map yet."));
  const look = looks(view, p);
  const [before, control, after] = ["before", "control", "after"].map((side) => view.array(Float32Array, p[side]));
  const frame = remember(view, "frame", [p], () => frameOf(before, after));
  const morph = view.local.morph ?? ui.morph ?? null;
  const shared = {
    frame, ...look, head: 30, camera: remember(view, "camera", [p.method, p.n_mapped], newCamera), selected: chosen(view, p),
    name: (i) => p.words[i], tip: (i) => aboutPoint(view, p, i), pick: (i) => lookAt(view, p.words[i]),
    select: (flags) => view.setLocal({ query: "", selected: flags && new Set(p.words.filter((_, i) => flags[i])) }),
  };
  const map = (side, title, note, points, t) => h("figure.map", { key: side }, component(PointMap, { ...shared, points,
    ...marked(view, p, side), label: `Map, ${title}`, labels: (p.topics ?? []).map((topic) => ({ text: topic.text,
      x: (1 - t) * topic.before[0] + t * topic.after[0], y: (1 - t) * topic.before[1] + t * topic.after[1] })) }),
    h("figcaption", null, h("b", null, title), " ", h("small.mute", null, note)));
  const trust = (side) => (p.trust?.[side] ? `trustworthiness ${fixed(p.trust[side], 2)}` : "");
  const kept = (share, rest) => (share === null ? "" : `${percent(share)} of map neighbours kept${rest}`);
  const right = ui.control
    ? map("control", "Original, drawn again", kept(p.kept_chance, " by chance"), control, 0)
    : map("after", "Compressed", kept(p.kept_map, `, chance ${percent(p.kept_chance)}`) || trust("after"), after, 1);
  const moving = () => remember(view, "morph", [before, after, morph], () => before.map((x, i) => (morph ? x + morph * (after[i] - x) : x)));
  const stale = view.isStale("points") && p.method === "UMAP";
  return h("section.map-tab", { key: "map" }, mapBar(view, p, morph, drawing), warning(view.error("maps")),
    h("div.maps", { class: stale && "stale" }, morph === null
      ? [map("before", "Original", trust("before"), before, 0), right]
      : map("morph", morph === 0 ? "Original" : morph === 1 ? "Compressed" : "Between the two", "", moving(), morph)),
    legend(view, p, look));
}

function mapBar(view, p, morph, drawing) {
  const { ui } = view;
  const choice = (label, value, options, choose) => h("label", null, label, " ", h("select", { value,
    onchange: (e) => choose(e.target.value) }, options.map(([id, text]) => h("option", { value: id }, text))));
  const toggle = (name, text, title, on) => button(text, () => view.setUi({ [name]: !on }), { "aria-pressed": String(Boolean(on)), title });
  const ways = [["damage", "damage"], ["frequency", "frequency"], p.n_levels && ["code", "code"], p.labels && ["label", "label"]];
  const setMorph = (value) => {
    view.local.morph = null;
    view.setUi({ morph: value });
  };
  const other = p.method === "PCA" ? "UMAP" : "PCA";
  const { what, left } = view.get("status");
  return h("div.map-bar", { role: "group", "aria-label": "What the map shows" },
    choice("Colour", ui.colour ?? "damage", ways.filter(Boolean), (colour) => view.setUi({ colour })),
    ui.colour === "code" && p.n_levels > 1 && choice("Level", String(ui.level ?? 0),
      Array.from({ length: p.n_levels }, (_, k) => [String(k), String(k + 1)]), (level) => view.setUi({ level: Number(level) })),
    choice("Words", String(p.n_mapped), (p.numbers ?? []).map((n) => [String(n), whole(n)]), (n) => view.act("map_words", { n: Number(n) })),
    toggle("lines", "Lines", "Join the word to its neighbours", ui.lines ?? true),
    p.method === "UMAP" && toggle("control", "Chance", "Draw the original again in place of the compressed model: what differs is chance", ui.control),
    button("Morph", () => setMorph(morph === null ? 0 : null), { "aria-pressed": String(morph !== null),
      title: "One map that moves from the original to the compressed model" }),
    morph !== null && h("input.morph", { type: "range", min: 0, max: 1, step: 0.01, value: morph, "aria-label": "From original to compressed",
      oninput: (e) => view.setLocal({ morph: Number(e.target.value) }), onchange: (e) => setMorph(Number(e.target.value)) }),
    h("span.space"),
    drawing && p.method === "PCA"
      ? h("span.mute", { role: "status" }, `A better map (UMAP) is being drawn${left ? `, ${seconds(left)} left` : "…"} `,
        button("Stop", () => view.act("draw", { method: "PCA" }), { title: what }))
      : button(other === "UMAP" ? "Draw UMAP" : "Draw PCA", () => view.act("draw", { method: other }), { title: other === "UMAP"
        ? "A map that keeps neighbours together; takes longer" : "Principal components: at once, but neighbours overlap" }),
    button("PNG", () => savePicture(view), { title: "Save this picture" }),
    button("CSV", () => saveTable(view, p), { title: "Save the words on the map, or those selected, as a table" }),
    button("⛶", (e) => (document.fullscreenElement ? document.exitFullscreen() : (e.target.closest(".tab-panel") ??
      e.target.closest(".map-tab")).requestFullscreen()), { title: "Full screen", "aria-label": "Full screen" }));
}

function legend(view, p, look) {
  const entry = (sign, colour, text) => h("span", null, h("span", { style: colour && `color: ${colour}`, "aria-hidden": "true" }, sign), ` ${text}`);
  const gone = p.method && view.array(Uint8Array, p.fate).reduce((sum, fate) => sum + (fate === 2), 0);
  return h("div.legend", null,
    look.scale && h("span", null, look.scale[1], " ", look.scale[2], h("i.ramp", { style: `background: linear-gradient(90deg, var(${look.scale[0]}))` }),
      look.scale[3]),
    look.legend.map(([shape, colour, text]) => entry(SIGNS[shape], colour, text)),
    gone > 0 && h("span", null, `${whole(gone)} words have no place on the compressed map`),
    (view.get("looked").words ?? []).length > 0 && Object.entries(STATUSES).map(([text, { sign, colour }]) => entry(sign, `var(${colour})`, text)),
    h("span.space"), h("span", null, p.sample, help(p.noise)));
}

const indexOf = (view, p) => remember(view, "index", [p.words], () => new Map(p.words.map((word, i) => [word, i])));
const fateOf = ["own row", "rebuilt from n-grams", "no vector left"];

function aboutPoint(view, p, i) {
  const cosine = view.array(Float32Array, p.cosine)[i];
  const label = p.labels?.[i] ? `\n${p.labels[i]}` : "";
  return `${p.words[i]}\n${fateOf[view.array(Uint8Array, p.fate)[i]]} · rank ${whole(view.array(Int32Array, p.rank)[i])}` +
    `${Number.isNaN(cosine) ? "" : ` · cosine ${fixed(cosine)}`}${label}`;
}

// Flags of the words that are searched for or selected; null where all are shown alike.
function chosen(view, p) {
  const { query = "", selected = null } = view.local;
  return remember(view, "chosen", [p.words, query, selected], () => {
    const wanted = query.trim().toLowerCase();
    const holds = wanted ? (word) => word.toLowerCase().includes(wanted) : (word) => selected.has(word);
    const flags = wanted || selected ? Uint8Array.from(p.words, holds) : null;
    return flags?.includes(1) ? flags : null;
  });
}

// Marks and lines for the words looked at: all of them, and the neighbours of the one that the inspector shows.
function marked(view, p, side) {
  const index = indexOf(view, p);
  const words = (view.get("looked").words ?? []).filter(({ word }) => index.has(word));
  const shown = lookedAt(view);
  const from = index.get(shown?.word);
  const near = from === undefined ? [] : shown.neighbours.filter(({ word }) => index.has(word));
  const elsewhere = { lost: "after", gained: "before" };
  return {
    marks: [...words.map(({ word }) => ({ i: index.get(word), text: word, colour: "--ink", strong: true })),
      ...near.map(({ word, status }) => ({ i: index.get(word), text: word, ...STATUSES[status] }))],
    lines: (view.ui.lines ?? true) ? near.map(({ word, status }) => ({ from, to: index.get(word), colour: STATUSES[status].colour,
      dashed: elsewhere[status] === side })) : [],
  };
}

function saveFile(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 9999);
}

function saveTable(view, p) {
  const flags = chosen(view, p);
  const [fates, ranks, cosines] = [view.array(Uint8Array, p.fate), view.array(Int32Array, p.rank), view.array(Float32Array, p.cosine)];
  const places = ["before", "control", "after"].map((side) => view.array(Float32Array, p[side]));
  const cell = (value) => (Number.isNaN(value) ? "" : /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : String(value));
  const rows = p.words.map((word, i) => [word, ranks[i], fateOf[fates[i]], cosines[i],
    ...places.flatMap((place) => [place[2 * i], place[2 * i + 1]]), ...(p.labels ? [p.labels[i] ?? ""] : [])]);
  const head = ["word", "rank", "fate", "cosine", ...["before", "control", "after"].flatMap((side) => [`x_${side}`, `y_${side}`]),
    ...(p.labels ? ["label"] : [])];
  const table = [head, ...rows.filter((_, i) => !flags || flags[i])].map((row) => row.map(cell).join());
  saveFile("map.csv", new Blob([`\uFEFF${table.join("\r\n")}\r\n`], { type: "text/csv" }));
}

// The maps with their captions, side by side, and the legend below.
function savePicture(view) {
  const figures = [...view.root.querySelectorAll("figure.map")];
  const maps = figures.map((figure) => figure.firstChild._made.picture());
  const dpr = window.devicePixelRatio || 1;
  const [width, height] = [maps.reduce((sum, map) => sum + map.width, 0), maps[0].height];
  const canvas = h("canvas", { width, height: height + 30 * dpr });
  const g = canvas.getContext("2d");
  const style = getComputedStyle(view.root);
  const text = (words, x, y) => g.fillText(words, x * dpr, y);
  Object.assign(g, { fillStyle: style.backgroundColor });
  g.fillRect(0, 0, width, height + 30 * dpr);
  Object.assign(g, { fillStyle: style.color, font: `${12 * dpr}px ${style.fontFamily}` });
  maps.reduce((x, map, k) => {
    g.drawImage(map, x, 0);
    g.fillText(figures[k].lastChild.textContent, x + 10 * dpr, 20 * dpr);
    return x + map.width;
  }, 0);
  const [scale] = view.root.querySelectorAll(".legend .ramp");
  text(view.root.querySelector(".legend").innerText.replace(/\s+/g, " "), 10, height + 19 * dpr);
  canvas.toBlob((blob) => saveFile("map.png", blob));
}

// -- the inspector --------------------------------------------------------------------------

function lookAt(view, word) {
  const words = (view.get("looked").words ?? []).map((looked) => looked.word);
  view.setLocal({ word, query: "" });
  if (word && !words.includes(word)) view.act("look", { words: [...words, word].slice(-4) });
}

function lookedAt(view) {
  const words = view.get("looked").words ?? [];
  return words.find(({ word }) => word === view.local.word) ?? words.at(-1);
}

function inspector(view) {
  const p = view.get("points");
  const words = view.get("looked").words ?? [];
  const shown = lookedAt(view);
  const { query = "" } = view.local;
  const flags = p.n ? chosen(view, p) : null;
  return h("aside.inspector", { key: "inspector", "aria-label": "Words looked at" },
    h("input.find", { type: "search", value: query, placeholder: "Look at a word", "aria-label": "Find on the map, or look at any word",
      oninput: (e) => view.setLocal({ query: e.target.value }),
      onkeydown: (e) => {
        if (e.key === "Enter" && query.trim()) lookAt(view, query.trim());
        if (e.key === "Escape") view.setLocal({ query: "" });
      } }),
    query.trim() && suggestions(view, p, flags, query.trim()),
    !query.trim() && flags && selection(view, p, flags),
    warning(view.error("changes", "contributions")),
    words.length > 1 && h("div.chips", { role: "group", "aria-label": "Words looked at" }, words.map(({ word }) => h("span.chip-word", { key: word },
      button(h("bdi", null, word), () => lookAt(view, word), { "aria-pressed": String(word === shown.word) }),
      button("×", () => view.act("look", { words: words.map((w) => w.word).filter((w) => w !== word) }), { "aria-label": `Close ${word}` })))),
    shown ? h("div", { class: view.isStale("looked") && "stale" }, aboutWord(view, p, shown))
      : h("p.mute", null, "Click a point or type a word to see which neighbours it keeps."));
}

function suggestions(view, p, flags, query) {
  const found = flags ? p.words.filter((_, i) => flags[i]) : [];
  const wanted = query.toLowerCase();
  const rank = (word) => (word.toLowerCase() === wanted ? 0 : word.toLowerCase().startsWith(wanted) ? 1 : 2);
  const best = found.slice(0, 2000).sort((a, b) => rank(a) - rank(b)).slice(0, 8);
  return h("div.suggestions", { key: "suggestions" }, h("p.mute", { role: "status" },
    found.length ? `${whole(found.length)} on the map` : "Not on the map; Enter looks at it anyway"), best.map((word) => wordButton(view, word)));
}

const wordButton = (view, word, props = {}) => button(h("bdi", null, word), () => lookAt(view, word), { name: "button.word", ...props });

function selection(view, p, flags) {
  const [fates, cosines] = [view.array(Uint8Array, p.fate), view.array(Float32Array, p.cosine)];
  const all = p.words.map((_, i) => i).filter((i) => flags[i]);
  const scored = all.filter((i) => !Number.isNaN(cosines[i]));
  const worst = [...scored].sort((a, b) => cosines[a] - cosines[b]).slice(0, 6);
  const mean = scored.reduce((sum, i) => sum + cosines[i], 0) / scored.length;
  const rebuilt = all.filter((i) => fates[i] === 1).length / all.length;
  return h("div.selection", { key: "selection" }, h("h6", null, `${whole(all.length)} words selected `,
    button("Clear", () => view.setLocal({ selected: null }), { name: "button.link" })),
    h("p", null, `mean cosine ${fixed(mean)} · ${percent(rebuilt)} rebuilt`), h("p.mute", null, "Most damaged: "),
    worst.map((i) => wordButton(view, p.words[i], { title: `cosine ${fixed(cosines[i])}` })));
}

function aboutWord(view, p, shown) {
  const { word, fate, rank, cosine, n_kept: nKept, n_before: nBefore, neighbours, ngrams } = shown;
  const there = p.n && indexOf(view, p).has(word);
  const about = [fate, rank !== null && `rank ${whole(rank)}`, cosine === null ? "no vector" : `cosine ${fixed(cosine)}`, !there && "not on the map"];
  return [h("h6", null, h("bdi", null, word), " ", h("span.mute", null, about.filter(Boolean).join(" · "))),
    nBefore > 0 && h("p.mute", null, `${nKept} of ${nBefore} neighbours kept`), slope(view, neighbours), ngrams && contributions(ngrams)];
}

// Neighbours before on the left, after on the right; curves join those that stay.
function slope(view, neighbours) {
  const sides = [["lost", "rank_before"], ["gained", "rank_after"]].map(([own, by]) => neighbours
    .filter(({ status }) => status === "kept" || status === own).sort((a, b) => a[by] - b[by]));
  const [left, right] = sides;
  const y = (k) => 11.5 + 23 * k;
  const dot = (x) => ({ word, status }, k) => h("text", { key: word, x, y: y(k) + 4, "text-anchor": "middle", fill: `var(${STATUSES[status].colour})` }, STATUSES[status].sign);
  const tall = 23 * Math.max(left.length, right.length);
  const said = { kept: "kept", lost: "lost", gained: "new" };
  const column = (rows, name) => h("div", { role: "list", "aria-label": name }, rows.map(({ word, status, rank_before: was, rank_after: is }) =>
    h("div", { role: "listitem", key: word }, wordButton(view, word, { class: status, title: [word, said[status], was && `was neighbour ${was}`,
      is && `is neighbour ${is}`].filter(Boolean).join(", ") }))));
  return h("div.slope", null, column(left, "Neighbours before"), h("svg", { width: 44, height: tall, "aria-hidden": "true" },
    left.map((row, k) => {
      const to = right.indexOf(row);
      return to >= 0 && h("path", { key: `to ${row.word}`, d: `M6 ${y(k)}C22 ${y(k)} 22 ${y(to)} 38 ${y(to)}`, fill: "none", stroke: "var(--kept)", "stroke-width": 1.5 });
    }), left.map(dot(6)), right.map(dot(38))), column(right, "Neighbours after"));
}

function contributions({ before, after, left, rows }) {
  const most = Math.max(...rows.flatMap((row) => [row.before, row.after]).map((x) => Math.abs(x ?? 0)), 1e-9);
  const bar = (share) => h("td.number.share", { class: share < 0 && "against", style: `--share: ${100 * Math.abs(share ?? 0) / most}%` }, share === null ? "–" : fixed(share, 2));
  return h("div.ngrams", null, h("p.mute", null, `Made of: ${before}; now: ${after}. ${left} n-grams left.`),
    rows.length > 0 && h("table", null, h("thead", null, h("tr", null, ["n-gram", "before", "after", "cosine"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, rows.map((row) => h("tr", { key: row.ngram, title: row.status }, h("th", { scope: "row" }, h("bdi", null, row.ngram),
        row.status === "pruned" && h("span.bad", null, " pruned")), bar(row.before), bar(row.after), h("td.number", null, fixed(row.cosine, 2)))))));
}
