// Maps of points on canvas, the tab Map, and the inspector beside it.

// component(PointMap, props): a map that fills its element. Only points, colours, palette and label are needed.
//   points    Float32Array (2n): x, y of each point; NaN where it has no place
//   frame     [x0, y0, x1, y1] that "Fit" shows; by default around the points. Linked maps share one
//   colours   Uint8Array or Uint16Array (n) of indices into palette: CSS colours (see `onScale`)
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

// Indices into a palette of n colours for values from low to high; n for NaN.
function onScale(values, low, high, n) {
  const index = (v) => Math.max(0, Math.min(n - 1, Math.floor((v - low) / (high - low || 1) * n)));
  return Uint8Array.from(values, (v) => (Number.isNaN(v) ? n : index(v)));
}

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
        this.dpr, this.ground];
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
    const inks = palette.map((ink) => this.css(ink));
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
    this.entered ||= e.movementX !== 0 || e.movementY !== 0; // not the page that scrolls below the pointer
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
    Object.assign(this, { entered: false, under: null });
    this.move({ hover: null });
  }

  blur() {
    this.steps = [];
  }

  wheel(e) {
    if (!this.entered && this.el.getRootNode().activeElement !== this.top) return;
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
