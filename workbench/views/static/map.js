// Maps of points on canvas, the tab Map, and the inspector beside it.

// component(PointMap, props): a map that fills its element. Only points, colours, palette and label are needed.
//   points    Float32Array (2n): x, y of each point; NaN where it has no place
//   frame     [x0, y0, x1, y1] that "Fit" shows, see `frameOf`; maps that share a camera share it, too
//   colours   Uint8Array or Uint16Array (n) of indices into palette, a list of CSS colours and variables ("--kept");
//             "ramp(--name)" stands for SCALE colours along the stops in a variable, see `onScale`
//   shapes    Uint8Array (n) of indices into SHAPES; circles by default
//   order     Uint32Array (n): the order in which points are drawn, the last one on top
//   selected  Uint8Array (n) of flags: the other points are dimmed. null: no selection
//   name, tip i => text: shown where there is room (zoomed in, few selected); shown beside the pointer and read out
//   labels    [{text, x, y}]: names of regions, the more important first
//   marks     [{i, text, colour, shape, hollow, strong}]: points that stand out, in order of importance
//   lines     [{from, to, colour, dashed}] between points
//   camera    from newCamera(); maps that share it pan, zoom and hover together
//   head      pixels at the top that names leave free
//   label     text for screen readers
//   pick      i => ...: a point was clicked, or Enter pressed on it
//   select    flags => ...: Uint8Array (n) of what a lasso or box holds; null: a click on nothing
// The picture follows from props, camera, size and theme alone.

const newCamera = () => ({ x: 0, y: 0, zoom: 1, hover: null, maps: new Set() }); // x, y in spans of the frame
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

// [x0, y0, x1, y1] around the places in these arrays, but for one in 200 at each side.
function frameOf(...arrays) {
  const [[left, right], [bottom, top]] = [0, 1].map((axis) => {
    const there = arrays.flatMap((points) => Array.from(points.filter((v, i) => i % 2 === axis && !Number.isNaN(v))));
    const values = Float32Array.from(there.length ? there : [0, 1]).sort();
    const out = Math.floor(values.length / 200);
    return [values[out], values[values.length - 1 - out]];
  });
  return [left, bottom, right, top];
}

// Indices into a ramp for values from low to high; SCALE, the colour after it, for NaN.
function onScale(values, low, high) {
  const index = (v) => Math.max(0, Math.min(SCALE - 1, Math.floor((v - low) / (high - low || 1) * SCALE)));
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
    Object.assign(this, { props, frame, n: props.points.length / 2, selected: props.selected ?? null, font: style.fontFamily,
      camera: props.camera ?? this.own });
    for (const map of this.camera.maps) if (!map.el.isConnected) this.camera.maps.delete(map);
    this.camera.maps.add(this);
    this.canvas.setAttribute("aria-label", `${props.label}. Arrows pan, + and - zoom, 0 fits, Enter goes to a word`);
    const mode = (id, text, key) => props.select && button(text, () => {
      this.mode = this.mode === id ? "pan" : id;
      this.update(this.props);
    }, { "aria-pressed": String(this.mode === id), title: `Select with a ${id} (or drag with ${key})` });
    patch(this.tools, h("div", { class: "map-tools", role: "group", "aria-label": "Map tools" },
      mode("lasso", "Lasso", "Shift"), mode("box", "Box", "Alt"), button("+", () => this.zoom(1.5), { "aria-label": "Zoom in" }),
      button("−", () => this.zoom(1 / 1.5), { "aria-label": "Zoom out" }), button("Fit", () => this.fit())));
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
      if (!Number.isNaN(ends[0][0] + ends[1][0])) stroke(new Path2D(`M${ends.join("L")}`), ink, 1.2, dashed ? 0.5 : 0.8);
    }
    g.setLineDash([]);
    const rings = hover === null ? [] : [{ i: hover, hollow: true, colour: "--ink", r: 7 }];
    for (const { i, shape = "circle", colour: ink, hollow, strong, r = strong ? 5 : 4 } of [...[...marks].reverse(), ...rings]) {
      if (Number.isNaN(px[2 * i])) continue;
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
    const few = selected && selected.reduce((sum, flag) => sum + flag, 0) <= 60;
    const look = (i, text, ink, weight, size, away) => ({ text, x: px[2 * i], y: px[2 * i + 1], ink, weight, size, away, i });
    const strong = marks.filter((mark) => mark.strong);
    const names = [...strong.map((mark) => look(mark.i, mark.text, mark.colour, 700, 13, 8)),
      ...(name && camera.hover !== null ? [look(camera.hover, name(camera.hover), "--ink", 600, 12, 9)] : []),
      ...marks.map((mark) => look(mark.i, mark.text, mark.colour, 600, 11.5, 6)),
      ...labels.map(({ text, x, y }) => ({ text, x: x * at.scale + at.left, y: at.top - y * at.scale, ink: "--mute", weight: 500, size: 11.5 })),
      ...(name && (few || camera.zoom > 2.5) ? this.inSight(200).map((i) => look(i, name(i), "--ink", 400, 11, 5)) : [])];
    const taken = [[width - tools.offsetWidth - 10, height - tools.offsetHeight - 10, width, height]];
    const done = new Set();
    Object.assign(g, { textAlign: "center", textBaseline: "middle", lineJoin: "round", lineWidth: 3.5, globalAlpha: 1, strokeStyle: this.ground });
    for (const { text, x, y, ink, weight, size, away, i } of names) {
      if (!text || done.has(i) || !(x >= 0 && x <= width && y >= head && y <= height)) continue;
      if (i !== undefined) done.add(i);
      const short = text.length > 30 ? `${text.slice(0, 29)}…` : text;
      g.font = `${weight} ${size}px ${this.font}`;
      const [half, tall] = [g.measureText(short).width / 2 + 3, size * 0.7];
      const sides = away ? [[0, -away - tall], [0, away + tall], [away + half, 0], [-away - half, 0]] : [[0, 0]];
      const boxes = sides.map(([dx, dy]) => [Math.max(half, Math.min(width - half, x + dx)), y + dy])
        .map(([cx, cy]) => [cx - half, cy - tall, cx + half, cy + tall]);
      const box = boxes.find((b) => b[1] >= head && b[3] <= height &&
        !taken.some((t) => t[0] < b[2] && t[2] > b[0] && t[1] < b[3] && t[3] > b[1]));
      if (!box) continue;
      taken.push(box);
      g.fillStyle = this.css(ink);
      g.strokeText(short, box[0] + half, box[1] + tall);
      g.fillText(short, box[0] + half, box[1] + tall);
    }
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

  fit() {
    this.move({ x: 0, y: 0, zoom: 1 });
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
    const act = { 0: () => this.fit(), Tab: () => step(e.shiftKey ? -1 : 1), Enter: enter, Escape: escape }[e.key] ??
      (PANS[e.key] ? () => this.pan(...PANS[e.key]) : ZOOMS[e.key] && (() => this.zoom(ZOOMS[e.key]) || true));
    if (!act || e.ctrlKey || e.metaKey || e.altKey || act() === false) return;
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

// A value that is made again only when what it needs is another.
function remember(view, name, needs, make) {
  const kept = (view.remembered ??= {});
  if (!kept[name] || needs.some((need, k) => need !== kept[name].needs[k])) kept[name] = { needs, value: make() };
  return kept[name].value;
}

// The trait `points` with its typed arrays, and an index of its words.
function mapped(view) {
  const p = view.get("points");
  return remember(view, "points", [p], () => {
    const kinds = { before: Float32Array, control: Float32Array, after: Float32Array, cosine: Float32Array,
      rank: Int32Array, fate: Uint8Array, codes: Int16Array, code_order: Int16Array };
    const arrays = Object.entries(kinds).map(([name, Kind]) => [name, view.array(Kind, p[name])]);
    return { ...p, ...Object.fromEntries(arrays), index: new Map((p.words ?? []).map((word, i) => [word, i])) };
  });
}

// What colours and shapes mean; `scale` is [ramp, what, low end, high end], `legend` rows are [shape, colour, text].
function looks(view, p) {
  const { colour: by = "damage", level = 0 } = view.ui;
  return remember(view, "looks", [p, by, level], () => {
    const rarest = Uint32Array.from(p.rank, (_, i) => p.n - 1 - i); // the frequent ones on top
    const gone = p.fate.filter((fate) => fate === 2).length;
    const kinds = FATES.map(([shape, text], fate) => [shape, null, fate === 2 ? `${text} (${whole(gone)})` : text]);
    const legend = kinds.filter((_, fate) => p.fate.includes(fate));
    const scaled = (values, low, high, missing, ...scale) => ({ colours: onScale(values, low, high), shapes: p.fate, legend,
      palette: [`ramp(${scale[0]})`, missing], order: rarest, scale });
    if (by === "label" && p.labels) {
      const counts = new Map();
      for (const label of p.labels) if (label !== null) counts.set(label, (counts.get(label) ?? 0) + 1);
      const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
      const place = new Map([[null, 8], ...names.map((name, k) => [name, Math.min(k, 7)])]);
      const colours = Uint8Array.from(p.labels, (label) => place.get(label));
      const shapes = colours.map((k) => SHAPES.indexOf(LABEL_SHAPES[k]));
      const palette = [...OKABE_ITO, ...GREYS];
      const texts = [...names.slice(0, 7), ...Array(Math.max(0, 7 - names.length)), `others (${names.length - 7})`, "none"];
      const rows = texts.map((text, k) => [LABEL_SHAPES[k], palette[k], text]);
      return { colours, palette, shapes, order: rarest, legend: rows.filter((_, k) => colours.includes(k)) };
    }
    if (by === "frequency") {
      const last = p.rank.reduce((a, b) => Math.max(a, b), 1);
      return scaled(Float32Array.from(p.rank, Math.log10), 0, Math.log10(last), GREYS[0], "--cividis", "rank", "1", whole(last));
    }
    if (by === "code" && p.n_levels) {
      const codes = p.rank.map((_, i) => p.codes[i * p.n_levels + level]);
      const n = p.code_order.length / p.n_levels || codes.reduce((a, b) => Math.max(a, b), 0) + 1;
      const places = Float32Array.from(codes, (c) => (c < 0 ? NaN : p.code_order.length ? p.code_order[level * n + c] : c));
      const look = scaled(places, 0, n, GREYS[1], "--cividis", p.code_order.length ? "near codes alike" : "code", "first", "last");
      return { ...look, legend: codes.includes(-1) ? [...legend, ["circle", GREYS[1], "no codes of its own"]] : legend };
    }
    const damage = p.cosine.map((cosine) => 1 - cosine);
    const sorted = damage.filter((d) => !Number.isNaN(d)).sort();
    const high = Math.max(0.02, sorted[Math.floor(0.95 * sorted.length)] ?? 0);
    const order = Uint32Array.from(damage, (_, i) => i).sort((a, b) => (damage[a] || 0) - (damage[b] || 0));
    return { ...scaled(damage, 0, high, "--bad", "--damage", "damage", "none", fixed(high, 2)), order };
  });
}

function mapTab(view) {
  const p = mapped(view);
  const { lanes = [], busy, left } = view.get("status");
  const better = p.method === "PCA" && lanes.includes("maps");
  if (!p.n) return h("section.map-tab", { key: "map" }, warning(view.error("maps")),
    h("p.mute", null, lanes.includes("maps") || busy ? "The map is being drawn." : "There is no map yet."));
  const look = looks(view, p);
  const morph = view.local.morph ?? view.ui.morph ?? null;
  const shared = { ...look, head: 28, selected: chosen(view, p), name: (i) => p.words[i],
    frame: remember(view, "frame", [p], () => frameOf(p.before, p.after)),
    camera: remember(view, "camera", [p.method, p.n_mapped], newCamera),
    tip: (i) => `${p.words[i]}\n${[FATES[p.fate[i]][1], `rank ${whole(p.rank[i])}`, p.fate[i] < 2 && `cosine ${fixed(p.cosine[i])}`,
      p.labels?.[i]].filter(Boolean).join(" · ")}`,
    pick: (i) => lookAt(view, p.words[i]),
    select: (flags) => view.setLocal({ query: "", selected: flags && new Set(p.words.filter((_, i) => flags[i])) }) };
  // t: how far the names of regions have moved from the original's map to the compressed one's
  const map = (side, title, note, points, t) => h("figure.map", { key: side },
    component(PointMap, { ...shared, ...mapMarks(view, p, side), points, label: `Map, ${title}`, labels: p.topics.map(
      ({ text, before, after }) => ({ text, x: mix(before[0], after[0], t), y: mix(before[1], after[1], t) })) }),
    h("figcaption", null, h("b", null, title), " ", h("small.mute", null, note)));
  const trust = (side) => p.trust[side] && `trustworthiness ${fixed(p.trust[side], 2)}`;
  const waiting = () => [`a better map (UMAP) is being drawn${left ? `, ${seconds(left)} left` : ""} `,
    button("Stop", () => view.act("draw", { method: "PCA" }), { name: "button.link" })];
  const kept = (share, rest) => typeof share === "number" && `map neighbours kept ${percent(share)}${rest}`;
  const moving = () => (morph ? p.before.map((v, k) => mix(v, p.after[k], morph)) : p.before);
  const maps = morph !== null
    ? map("morph", { 0: "Original", 1: "Compressed" }[morph] ?? `${percent(morph)} of the way`, "", remember(view, "morph", [p, morph], moving), morph)
    : [map("before", "Original", better ? waiting() : trust("before"), p.before, 0), view.ui.control && p.method === "UMAP"
      ? map("control", "Original again", kept(p.kept_chance, " by chance"), p.control, 0)
      : map("after", "Compressed", kept(p.kept_map, `, chance ${percent(p.kept_chance ?? 0)}`), p.after, 1)];
  return h("section.map-tab", { key: "map" }, mapBar(view, p, morph, better), warning(view.error("maps")),
    h("div.maps", { class: view.isStale("points") && "stale" }, maps), mapLegend(view, p, look));
}

const mix = (a, b, t) => (1 - t) * a + t * b;

function mapSelect(label, value, options, choose) {
  return h("select", { "aria-label": label, title: label, value: String(value), onchange: (e) => choose(e.target.value) },
    options.map(([id, text]) => h("option", { value: String(id) }, text)));
}

function mapBar(view, p, morph, better) {
  const { ui } = view;
  const ways = [["damage", "Damage"], ["frequency", "Frequency"], p.n_levels && ["code", "Code"], p.labels && ["label", "Label"]];
  const levels = Array.from({ length: p.n_levels }, (_, k) => [k, `Level ${k + 1}`]);
  const toggle = (text, on, set, title) => button(text, set, { "aria-pressed": String(on), title });
  const setMorph = (value) => {
    view.local.morph = null;
    view.setUi({ morph: value });
  };
  const full = (e) => (document.fullscreenElement ? document.exitFullscreen() : e.target.closest(".tab-panel").requestFullscreen());
  return h("div.map-bar", { role: "group", "aria-label": "Show on the map" }, h("span", null, "Colour"),
    mapSelect("Colour by", ui.colour ?? "damage", ways.filter(Boolean), (colour) => view.setUi({ colour })),
    ui.colour === "code" && mapSelect("Level", ui.level ?? 0, levels, (level) => view.setUi({ level: Number(level) })),
    toggle("Lines", ui.lines ?? true, () => view.setUi({ lines: !(ui.lines ?? true) }), "Join the word to its neighbours"),
    p.method === "UMAP" && morph === null && toggle("Chance", Boolean(ui.control), () => view.setUi({ control: !ui.control }),
      "In place of the compressed model, draw the original again: what differs then is chance"),
    toggle("Morph", morph !== null, () => setMorph(morph === null ? 0 : null), "One map that moves from original to compressed"),
    morph !== null && h("input", { type: "range", min: 0, max: 1, step: 0.01, value: morph, "aria-label": "From original to compressed",
      oninput: (e) => view.setLocal({ morph: Number(e.target.value) }), onchange: (e) => setMorph(Number(e.target.value)) }),
    h("span.space"),
    mapSelect("How the map is drawn", better ? "UMAP" : p.method, [["UMAP", "UMAP"], ["PCA", "PCA"]],
      (method) => view.act("draw", { method })),
    button("PNG", () => savePicture(view), { title: "Save the picture" }),
    button("CSV", () => saveTable(view, p), { title: "Save the words on the map, or those selected, as a table" }),
    button("⤢", full, { title: "Full screen", "aria-label": "Full screen" }));
}

function mapLegend(view, p, { scale, legend }) {
  const sampling = [`Shown: ${p.sample}.`, p.noise].filter(Boolean).join(" ");
  return h("div.map-bar.legend", null,
    scale && h("span", null, `${scale[1]} ${scale[2]} `, h("i", { style: `--ramp: var(${scale[0]})` }), ` ${scale[3]}`),
    legend.map(([shape, colour, text]) => h("span", null, h("span", { style: colour && `color: ${colour}` }, SIGNS[shape]), ` ${text}`)),
    h("span.space"),
    mapSelect("Words on the map", p.n_mapped, (p.numbers ?? []).map((n) => [n, `${whole(n)} words`]),
      (n) => view.act("map_words", { n: Number(n) })),
    help(sampling));
}

// Flags of the words that are searched for or selected; null where all are shown alike.
function chosen(view, p) {
  const { query = "", selected = null } = view.local;
  return remember(view, "chosen", [p, query, selected], () => {
    const wanted = query.trim().toLowerCase();
    if (!wanted && !selected) return null;
    const flags = Uint8Array.from(p.words, (word) => (wanted ? word.toLowerCase().includes(wanted) : selected.has(word)));
    return flags.includes(1) ? flags : null;
  });
}

// The words looked at, and the neighbours of the one that the inspector shows.
function mapMarks(view, p, side) {
  const shown = lookedAt(view);
  const from = p.index.get(shown?.word);
  const near = from === undefined ? [] : shown.neighbours.filter(({ word }) => p.index.has(word));
  const words = (view.get("looked").words ?? []).filter(({ word }) => p.index.has(word));
  const apart = { lost: "after", gained: "before" }; // where they are no neighbours
  return {
    marks: [...words.map(({ word }) => ({ i: p.index.get(word), text: word, colour: "--ink", strong: true })),
      ...near.map(({ word, status }) => ({ i: p.index.get(word), text: word, ...STATUSES[status] }))],
    lines: (view.ui.lines ?? true) ? near.map(({ word, status }) => ({ from, to: p.index.get(word),
      colour: STATUSES[status].colour, dashed: apart[status] === side })) : [],
  };
}

function saveFile(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 9999);
}

function saveTable(view, p) {
  const flags = chosen(view, p);
  const sides = ["before", "control", "after"];
  const cell = (value) => (Number.isNaN(value) ? "" : /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : String(value));
  const rows = p.words.map((word, i) => [word, p.rank[i], FATES[p.fate[i]][1], p.cosine[i], p.labels?.[i] ?? "",
    ...sides.flatMap((side) => [...p[side].subarray(2 * i, 2 * i + 2)])]);
  const head = ["word", "rank", "fate", "cosine", "label", ...sides.flatMap((side) => [`x_${side}`, `y_${side}`])];
  const lines = [head, ...rows.filter((_, i) => !flags || flags[i])].map((row) => row.map(cell).join());
  saveFile("map.csv", new Blob(["\uFEFF", lines.join("\r\n"), "\r\n"], { type: "text/csv" }));
}

// The maps, their captions and the legend as they stand on the page.
function savePicture(view) {
  const [tab, dpr] = [view.root.querySelector(".map-tab"), window.devicePixelRatio || 1];
  const [maps, legend] = [tab.querySelector(".maps"), tab.querySelector(".legend")].map((el) => el.getBoundingClientRect());
  const canvas = h("canvas", { width: maps.width * dpr, height: (legend.bottom - maps.top) * dpr });
  const g = canvas.getContext("2d");
  g.scale(dpr, dpr);
  g.translate(-maps.left, -maps.top);
  g.fillStyle = colour(view.root, "--card");
  g.fillRect(maps.left, maps.top, maps.width, legend.bottom - maps.top);
  for (const el of tab.querySelectorAll("canvas, figcaption *, .legend :is(span, i)")) {
    const { left, top, width, height } = el.getBoundingClientRect();
    const style = getComputedStyle(el);
    if (el.matches("canvas")) g.drawImage(el, left, top, width, height);
    Object.assign(g, { fillStyle: style.color, font: style.font, textBaseline: "middle" });
    for (const node of el.childNodes) if (node.nodeType === Node.TEXT_NODE) {
      const range = document.createRange();
      range.selectNode(node);
      g.fillText(node.data.trim(), range.getBoundingClientRect().left, top + height / 2);
    }
    if (el.matches("i")) ramp(colour(el, "--ramp")).forEach((ink, k) => {
      g.fillStyle = ink;
      g.fillRect(left + k * width / SCALE, top, width / SCALE + 1, height);
    });
  }
  canvas.toBlob((blob) => saveFile("map.png", blob));
}

// -- the inspector --------------------------------------------------------------------------

function lookAt(view, word) {
  const words = (view.get("looked").words ?? []).map((looked) => looked.word);
  view.setLocal({ word, query: "" });
  if (!words.includes(word)) view.act("look", { words: [...words, word].slice(-4) });
}

function lookedAt(view) {
  const words = view.get("looked").words ?? [];
  return words.find(({ word }) => word === view.local.word) ?? words[0];
}

const mapWord = (view, word, props = {}) => button(h("bdi", null, word), () => lookAt(view, word), { name: "button.map-word", ...props });

function inspector(view) {
  const p = mapped(view);
  const words = (view.get("looked").words ?? []).map(({ word }) => word);
  const shown = lookedAt(view);
  const { query = "" } = view.local;
  const flags = p.n ? chosen(view, p) : null;
  const leave = (word) => view.act("look", { words: words.filter((other) => other !== word) });
  const keys = { Enter: () => query.trim() && lookAt(view, query.trim()), Escape: () => view.setLocal({ query: "" }) };
  return h("aside.inspector", { key: "inspector", "aria-label": "Words looked at" },
    h("input", { type: "search", value: query, placeholder: "Find a word", "aria-label": "Find on the map; Enter looks at any word",
      oninput: (e) => view.setLocal({ query: e.target.value }), onkeydown: (e) => keys[e.key]?.() }),
    query.trim() ? foundWords(view, p, flags, query.trim()) : flags && selectedWords(view, p, flags),
    warning(view.error("changes", "contributions")),
    words.length > 1 && h("div.chips", { key: "chips", role: "group", "aria-label": "Words looked at" }, words.map((word) =>
      h("span", { key: word, class: word === shown.word && "on" }, mapWord(view, word, { "aria-pressed": String(word === shown.word) }),
        button("×", () => leave(word), { "aria-label": `Close ${word}` })))),
    shown ? h("div", { key: "word", class: view.isStale("looked") && "stale" }, aboutWord(view, p, shown))
      : h("p.mute", { key: "none" }, "Click a point, or type a word, to see which neighbours it keeps."));
}

function foundWords(view, p, flags, query) {
  const found = flags ? p.words.filter((_, i) => flags[i]) : [];
  const begins = found.filter((word) => word.toLowerCase().startsWith(query.toLowerCase()));
  return h("div", { key: "found" }, h("p.mute", { role: "status" }, found.length ? `${whole(found.length)} on the map`
    : "Not on the map. Press Enter to look at it all the same."),
    [...new Set([...begins, ...found])].slice(0, 8).map((word) => mapWord(view, word, { key: word })));
}

function selectedWords(view, p, flags) {
  const all = p.words.map((_, i) => i).filter((i) => flags[i]);
  const scored = all.filter((i) => p.fate[i] < 2).sort((a, b) => p.cosine[a] - p.cosine[b]);
  const mean = scored.reduce((sum, i) => sum + p.cosine[i], 0) / scored.length;
  const rebuilt = all.filter((i) => p.fate[i] === 1).length / all.length;
  return h("div", { key: "selected" }, h("h6", null, `${whole(all.length)} words selected `,
    button("Clear", () => view.setLocal({ selected: null }), { name: "button.link" })),
    h("p", null, `mean cosine ${fixed(mean)} · ${percent(rebuilt)} rebuilt`), h("p.mute", null, "Most damaged:"),
    scored.slice(0, 6).map((i) => mapWord(view, p.words[i], { key: i, title: `cosine ${fixed(p.cosine[i])}` })));
}

function aboutWord(view, p, { word, fate, rank, cosine, n_before: nBefore, neighbours, ngrams }) {
  const about = [fate, rank !== null && `rank ${whole(rank)}`, cosine === null ? "no vector" : `cosine ${fixed(cosine)}`,
    !p.index.has(word) && "not on the map"].filter(Boolean).join(" · ");
  const count = ([status, { sign }]) => h("span", { class: status },
    `${sign} ${neighbours.filter((row) => row.status === status).length} ${status} `);
  return [h("h6", null, h("bdi", null, word), " ", h("span.mute", null, about)),
    nBefore > 0 && h("p", { title: `Of the ${nBefore} nearest words` }, Object.entries(STATUSES).map(count)),
    slopeChart(view, neighbours), ngrams && ngramTable(ngrams)];
}

// Neighbours before on the left, after on the right; curves join those that stay.
function slopeChart(view, neighbours) {
  const side = (own, by) => neighbours.filter(({ status }) => status === "kept" || status === own).sort((a, b) => a[by] - b[by]);
  const [left, right] = [side("lost", "rank_before"), side("gained", "rank_after")];
  const y = (k) => 11.5 + 23 * k;
  const dots = (rows, x) => rows.map(({ status }, k) =>
    h("text", { x, y: y(k), fill: `var(${STATUSES[status].colour})` }, STATUSES[status].sign));
  const ranks = (row) => [row.rank_before && `was ${row.rank_before}`, row.rank_after && `is ${row.rank_after}`].filter(Boolean).join(", ");
  const column = (rows, name) => h("div", { role: "list", "aria-label": name }, rows.map((row) => h("div", { role: "listitem", key: row.word },
    mapWord(view, row.word, { class: row.status, title: `${row.word}: ${row.status}, ${ranks(row)}` }))));
  const curve = (row, k) => `M8 ${y(k)}C22 ${y(k)} 22 ${y(right.indexOf(row))} 36 ${y(right.indexOf(row))}`;
  return h("div.slope", null, column(left, "Neighbours before"),
    h("svg", { width: 44, height: 23 * Math.max(left.length, right.length), "aria-hidden": "true" },
      left.map((row, k) => row.status === "kept" && h("path", { d: curve(row, k) })), dots(left, 6), dots(right, 38)),
    column(right, "Neighbours after"));
}

function ngramTable({ before, after, left, rows }) {
  const most = Math.max(1e-9, ...rows.flatMap((row) => [Math.abs(row.before ?? 0), Math.abs(row.after ?? 0)]));
  const share = (value) => h("td.number.share", { class: value < 0 && "against", style: `--share: ${100 * Math.abs(value ?? 0) / most}%` },
    fixed(value, 2));
  return h("div.ngrams", null, h("p.mute", null, `Made of ${before}; now of ${after}; n-grams left: ${left}.`),
    h("table", null, h("thead", null, h("tr", null, ["n-gram", "before", "after", "cosine"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, rows.map((row) => h("tr", { key: row.ngram, title: row.status }, h("th", { scope: "row" }, h("bdi", null, row.ngram),
        row.status !== "stays" && h("small.mute", null, ` ${row.status}`)), share(row.before), share(row.after),
        h("td.number", null, fixed(row.cosine, 2)))))));
}
