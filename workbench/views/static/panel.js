// The compression panel: top bar, cards, rail of steps, tabs, history. Its first part has what other views use too.

// -- parts for every view ---------------------------------------------------------------------

// An id for the page: each place where a view is shown has its own.
let viewCount = 0;
const idOf = (view, name) => `wb${(view.number ??= ++viewCount)}-${name}`;
const closeMenu = (view) => view.setLocal({ menu: null });

// Move the focus among the elements of a group with the arrow keys; return where it went.
function moveFocus(event, selector) {
  const all = [...event.currentTarget.querySelectorAll(selector)];
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const next = by && all.includes(event.target) && all.at((all.indexOf(event.target) + by) % all.length);
  if (next) event.preventDefault(next.focus());
  return next || null;
}

// A row of tabs: [{id, label}]; `tabPanel` is the part below it.
function tabsOf(view, name, tabs, chosen, choose) {
  const tab = ({ id, label }) => button(label, () => choose(id), {
    key: id, role: "tab", id: idOf(view, `${name}-${id}`), tabindex: id === chosen ? 0 : -1,
    "aria-selected": String(id === chosen), "aria-controls": idOf(view, name),
  });
  const onkeydown = (event) => moveFocus(event, "[role=tab]")?.click();
  return h("div.tabs", { role: "tablist", onkeydown, key: `${name}-tabs` }, tabs.map(tab));
}

function tabPanel(view, name, chosen, ...children) {
  const about = { id: idOf(view, name), "aria-labelledby": idOf(view, `${name}-${chosen}`), key: `${name}-${chosen}` };
  return h("div.tab-panel", { role: "tabpanel", tabindex: 0, ...about }, children);
}

// A row of buttons of which one is chosen: [{id, label, help, on, disabled}].
function segmented(label, options, choose) {
  const one = ({ id, label: text, help: tip, on, disabled }) =>
    button(text, () => choose(id), { "aria-pressed": String(Boolean(on)), "data-tip": tip, disabled });
  const group = { role: "group", "aria-label": label, onkeydown: (event) => moveFocus(event, "button") };
  return h("div.segments", group, options.map(one));
}

// A button that opens a box with `content()`. Escape closes it and the focus returns; leaving it closes it (core.js).
function menu(view, name, label, content, { title, side = "left", ...props }) {
  const [open, id] = [view.local.menu === name, idOf(view, `menu-${name}`)];
  const toggle = () => {
    view.setLocal({ menu: open ? null : name });
    const box = () => view.root.querySelector(`#${id}`);
    queueMicrotask(() => (box()?.querySelector("button, input, select") ?? box())?.focus());
  };
  const onkeydown = (event) => {
    if (event.key !== "Escape" || !open) return event.key.startsWith("Arrow") && moveFocus(event, ".menu-box button");
    event.stopPropagation();
    event.currentTarget.firstChild.focus();
    return closeMenu(view);
  };
  const opener = { "aria-expanded": String(open), "aria-haspopup": "dialog", "data-menu": name, ...props };
  return h("div.menu", { key: `menu-${name}`, onkeydown }, button(label, toggle, opener),
    open && h("div.menu-box", { role: "dialog", tabindex: -1, id, "aria-label": title, class: side }, content()));
}

// A choice among [{id, label or title}].
function select(options, value, onchange, props = {}) {
  const chosen = (event) => onchange(options[event.target.selectedIndex].id);
  const option = ({ id, label, title }) => h("option", { value: String(id ?? "") }, label ?? title);
  return h("select", { value: String(value ?? ""), onchange: chosen, ...props }, options.map(option));
}

const textBox = (value, set, props = {}) => // `set` hears of each key
  h("input", { type: "text", value, oninput: (event) => set(event.target.value), ...props });
const labelled = (label, control) => h("label.field", { key: label }, label, control);

// Where a value stands on a slider of 1000 places, and back.
const PLACES = 1000;
const curve = ({ low, log }, value) => (log ? Math.log(Math.max(low || 1, value)) : value);

function placeOf(about, value) {
  const [start, end] = [curve(about, about.low), curve(about, about.high)];
  return value === null || end <= start ? PLACES : Math.round((PLACES * (curve(about, value) - start)) / (end - start));
}

function valueAt(about, place) {
  const { low, high, log, kind, all_is_none: orAll } = about;
  if (place <= 0 || place >= PLACES) return place <= 0 ? low : orAll ? null : high;
  const there = curve(about, low) + ((curve(about, high) - curve(about, low)) * place) / PLACES;
  const value = Number((log ? Math.exp(there) : there).toPrecision(kind === "number" ? 2 : log ? 3 : 15));
  return kind === "number" ? value : Math.round(value);
}

// The value at a place to which the slider of `value` was moved: another value, however short the way, so that arrow
// keys do not stay where they are.
function movedTo(about, value, place) {
  const by = Math.sign(place - placeOf(about, value));
  while (by && place > 0 && place < PLACES && valueAt(about, place) === value) place += by;
  return valueAt(about, place);
}

const UNITS = { "": 1, k: 1e3, m: 1e6, g: 1e9, b: 1, bytes: 1, kb: 1e3, mb: 1e6, gb: 1e9 };

// The number that a person typed: "2,000", "2k", "1.5 MB", "20%" (of the highest), "all"; undefined if it is none.
function parsed(text, { low, high, kind, all_is_none: orAll }) {
  const plain = text.trim().toLowerCase();
  if (orAll && ["", "all", "none"].includes(plain)) return null;
  const [, digits, unit] = plain.replace(/,(?=\d{3})/g, "").match(/^(-?\d*\.?\d+(?:e-?\d+)?)\s*([a-z]*|%)$/) ?? [];
  const value = Number(digits) * (unit === "%" ? (high ?? NaN) / 100 : UNITS[unit]);
  if (Number.isNaN(value)) return undefined;
  return Math.min(high ?? value, Math.max(low ?? value, kind === "number" ? value : Math.round(value)));
}

function written(value, { kind, all_is_none: orAll }) {
  if (value === null || value === undefined) return orAll ? "all" : "";
  return kind === "bytes" ? bytes(value) : kind === "number" ? String(value) : whole(value);
}

// A slider and a box for the same number. `move(value)` is called while it is dragged, `set(value)` when it is let go.
// about: {label, help, kind: "count" | "whole" | "number" | "bytes", value, low, high, log, all_is_none}
function slider(view, key, about, { move = () => {}, set }) {
  const { label, high } = about;
  const held = view.local.drag;
  if (held?.key === key && held.released && (held.from !== about.value || view.isSettled)) view.local.drag = null;
  const value = view.local.drag?.key === key ? held.value : about.value;
  const text = written(value, about);
  const drag = (there, released) => view.setLocal({ drag: { key, value: there, from: about.value, released } });
  const release = (there) => (set(there), drag(there, true)); // shown until Python's own value has come
  const slid = (then) => (event) => then(movedTo(about, value, Number(event.target.value)));
  const typed = (event) => {
    const there = parsed(event.target.value, about);
    if (there === undefined) event.target.value = text;
    else if (there !== about.value) release(there);
  };
  const isOpen = high === null || high === undefined; // no end, so no slider
  return h("div.slider", { key, class: isOpen && "open" }, h("span", label, help(about.help)), !isOpen && h("input", {
    key: "range", type: "range", min: 0, max: PLACES, step: 1, value: placeOf(about, value), "aria-label": label,
    "aria-valuetext": text, oninput: slid((there) => (drag(there), move(there))), onchange: slid(release),
  }), h("input.number", { key: "box", type: "text", value: text, "aria-label": `${label}, typed`, onchange: typed }));
}

// A part of the page that is drawn again only if something that it `needs` has changed.
class Unchanged {
  constructor(el, { needs, draw }) {
    Object.assign(this, { el, needs });
    el.append(draw());
  }

  update({ needs, draw }) {
    if (this.needs.every((need, i) => need === needs[i])) return;
    patch(this.el.firstChild, draw());
    this.needs = needs;
  }
}

// A table that is sorted by a click on a heading and filtered by typing; its first column names the row.
// columns: [{id, label, help, value: row => number | text | null, show: row => element, number: bool, wide: bool}]
// options: {caption, filter: label of the search field, sort: {by, down}, n: rows shown at first, needs: what the
// columns show besides the rows; with it, the table is drawn again only if something has changed}
function dataTable(view, id, columns, rows, options = {}) {
  const state = { by: null, down: false, find: "", shown: options.n ?? 100, ...options.sort, ...view.local[id] };
  const draw = () => drawTable(view, id, columns, rows, { n: 100, ...options, ...state });
  const needs = [rows, state.by, state.down, state.find, state.shown, ...(options.needs ?? [])];
  return options.needs ? component(Unchanged, { needs, draw }, "div", { key: id }) : draw();
}

function drawTable(view, id, columns, rows, { caption, filter, n, by, down, find, shown }) {
  const set = (changes) => view.setLocal({ [id]: { ...view.local[id], ...changes } });
  const valueOf = (column, row) => (column.value ? column.value(row) : row[column.id]) ?? null;
  const wanted = find.trim().toLowerCase();
  const matches = (row) => columns.some((c) => !c.number && String(valueOf(c, row)).toLowerCase().includes(wanted));
  let found = wanted ? rows.filter(matches) : rows;
  const sorted = columns.find((column) => column.id === by);
  if (sorted) {
    const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b) * (down ? -1 : 1);
    const compare = ([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : order(a, b)); // null last
    found = found.map((row) => [valueOf(sorted, row), row]).sort(compare).map(([, row]) => row);
  }
  const heading = (c) => {
    const state = c !== sorted ? "none" : down ? "descending" : "ascending";
    const click = () => set({ by: c.id, down: c === sorted ? !down : Boolean(c.number) });
    return h("th", { scope: "col", class: c.number && "number", "aria-sort": state },
      button(c.label, click, { name: "button.sort" }), help(c.help));
  };
  const cell = (row) => (c, place) => h(place === 0 ? "th" : "td", {
    class: c.number ? "number" : c.wide && "wide", scope: place === 0 && "row", title: c.wide && valueOf(c, row),
  }, c.show ? c.show(row) : valueOf(c, row) ?? "–");
  const count = wanted ? `${whole(found.length)} of ${whole(rows.length)}` : whole(rows.length);
  const search = (text) => set({ find: text, shown: n });
  const more = Math.min(n, found.length - shown);
  const field = filter && textBox(find, search, { type: "search", placeholder: filter, "aria-label": filter });
  return h("div.data-table", { key: id },
    filter && h("div.row", { key: "top" }, field, h("span.mute", { role: "status" }, count)),
    h("table", { key: "table" }, caption && h("caption.sr", caption), h("thead", h("tr", columns.map(heading))),
      h("tbody", found.slice(0, shown).map((row) => h("tr", columns.map(cell(row)))))),
    more > 0 && button(`Show ${whole(more)} more`, () => set({ shown: shown + n }), { key: "more" }));
}

const timeLeft = (left) => (left ? ` · ${seconds(left)} left` : "");
const progressText = ({ what, share, left }) => `${what || "Working"}… ${share ? percent(share) : ""}${timeLeft(left)}`;

// A share as a bar with its text.
function bar(share, text = percent(share)) {
  const width = `width: ${100 * Math.min(1, Math.max(0, share ?? 0))}%`;
  return h("span.bar-cell", h("span.bar", { "aria-hidden": "true" }, h("i", { style: width })), h("span", text));
}

// A word that leads to its place on the map.
function wordLink(view, word) {
  const show = () => {
    view.act("look", { words: [word] });
    view.setUi({ tab: "map" });
  };
  const hasMap = view.ui.tabs?.includes("map");
  return hasMap ? button(h("bdi", word), show, { name: "button.link.place", title: word }) : h("b.place", h("bdi", word));
}

// -- the panel --------------------------------------------------------------------------------

const TABS = [
  { id: "overview", label: "Overview", draw: overviewTab },
  { id: "map", label: "Map", draw: (view) => [mapTab(view), inspector(view)] },
  { id: "neighbours", label: "Neighbours", draw: neighboursTab },
  { id: "damage", label: "Damage", draw: damageTab },
  { id: "export", label: "Export", draw: exportTab },
];

DRAWINGS.panel = (view) => {
  const { bare, tab = "overview", tabs } = view.ui;
  const there = TABS.filter(({ id }) => tabs?.includes(id) ?? true);
  const pane = h("section.pane", { key: "pane", "aria-label": "Results" },
    there.length > 1 && tabsOf(view, "tabs", there, tab, (id) => view.setUi({ tab: id })),
    tabPanel(view, "tabs", tab, there.find(({ id }) => id === tab)?.draw(view)));
  view.el.onkeydown = (event) => void (bare || panelKeys(view, event, there)); // there, for the focus may be on the view itself
  return h("div.panel", { class: bare && "bare" }, topBar(view), problems(view),
    bare ? pane : [cards(view), h("div.panes", { key: "panes" }, rail(view), pane), footer(view)]);
};

const KEYS = { "Ctrl+Z, Ctrl+Shift+Z": "undo, redo", "1 to 5": "tabs", "/": "search for a word", "?": "these keys" };

function panelKeys(view, event, tabs) {
  const key = event.key.toLowerCase();
  if (event.altKey || event.target.closest("input:not([type=range], [type=checkbox]), select")) return;
  const search = () => view.root.querySelector(".tab-panel input[type=search]");
  const plain = {
    [key]: tabs[key - 1] && (() => view.setUi({ tab: tabs[key - 1].id })),
    "?": () => view.root.querySelector("[data-menu=keys]").click(),
    "/": () => {
      if (!search()) view.setUi({ tab: "map" });
      queueMicrotask(() => search()?.focus());
    },
    escape: view.local.drawer && (() => view.setLocal({ drawer: false })),
  };
  const command = { z: () => view.act(event.shiftKey ? "redo" : "undo"), y: () => view.act("redo") };
  const does = event.ctrlKey || event.metaKey ? command[key] : plain[key];
  if (does) event.preventDefault(does());
}

// -- top bar ----------------------------------------------------------------------------------

const present = (view) => view.get("history").points?.find((point) => point.now);

function topBar(view) {
  const { name = "No model", about, can_undo: canUndo, can_redo: canRedo, pinned, save_bytes: size } = view.get("top");
  const label = [h("b", h("bdi", name)), h("span.mute", about)];
  if (view.ui.bare) return h("div.top", { key: "top" }, h("div.chip", label), status(view));
  const keys = () => h("table", Object.entries(KEYS).map((pair) => h("tr", pair.map((text) => h("td", text)))));
  const report = () => {
    view.setUi({ tab: "export" });
    queueMicrotask(() => view.root.querySelector(".make-report")?.focus());
  };
  return h("div.top", { key: "top" },
    button("☰ Recipe", () => view.setLocal({ drawer: !view.local.drawer }),
      { name: "button.drawer-button", "aria-expanded": String(Boolean(view.local.drawer)) }),
    menu(view, "model", [label, " ▾"], () => modelMenu(view), { title: "Open a model", name: "button.chip" }),
    status(view), h("span.space"),
    button("↶ Undo", () => view.act("undo"), { disabled: !canUndo, title: "Ctrl+Z" }),
    button("↷", () => view.act("redo"), { disabled: !canRedo, title: "Ctrl+Shift+Z", "aria-label": "Redo" }),
    button(pinned ? "Unpin A" : "Pin as A", () => view.act("pin", { id: pinned ? null : present(view).id }),
      { title: "Show what changes against this setting, A", disabled: !pinned && !present(view) }),
    button("Report…", report, { title: "Measure this setting on larger samples, with limits" }),
    menu(view, "save", size ? `Save ${bytes(size)} ▾` : "Save ▾", () => saveForm(view),
      { title: "Save", name: "button.primary", disabled: !size, side: "right" }),
    menu(view, "keys", "?", keys, { title: "Keys", "aria-label": "Keys", side: "right" }));
}

function status(view) {
  const { busy, errors = {}, ...work } = view.get("status");
  const { seconds: took } = view.get("top");
  const failed = Object.keys(errors).length > 0;
  const state = busy ? work.what : failed ? "stopped by an error" : "up to date";
  const text = busy ? progressText(work) : took && !failed ? `${state} · ${took.toFixed(1)} s` : state;
  return h("span.status", { key: "status", class: busy ? "busy" : failed && "failed" },
    h("span.sign", { "aria-hidden": "true" }, busy ? "◐ " : failed ? "▲ " : "● "), h("span", text),
    h("span.sr", { role: "status" }, state),
    busy && button("Cancel", () => view.act("cancel"), { name: "button.small" }));
}

function problems(view) {
  const { errors = {}, problem } = view.get("status");
  const texts = [...new Set([problem, ...Object.values(errors)].filter(Boolean))];
  const retry = Object.keys(errors).length > 0 && button("Retry", () => view.act("retry"), { name: "button.small" });
  return h("div.problems", { key: "problems" }, texts.map(warning), retry);
}

function modelMenu(view) {
  const { path = "", entries, error } = view.get("folder");
  const open = (there) => (view.act("open", { path: there }), closeMenu(view));
  const enter = ({ key, target }) => key === "Enter" && target.value.trim() && open(target.value.trim());
  const entry = ({ name, path: there, is_folder: isFolder, bytes: size }) => h("li", null,
    button([isFolder && "▸ ", h("bdi", name), !isFolder && h("span.mute", ` ${bytes(size ?? 0)}`)],
      () => (isFolder ? view.act("list_folder", { path: there }) : open(there)), { name: "button.entry" }));
  const send = (event) => upload(view, event.target.files[0]);
  const browse = () => view.act("list_folder", { path });
  return [
    h("div.row", button("Built-in model", () => open("builtin:en")), button("Browse…", browse)),
    labelled("Path, then Enter", h("input", { type: "text", placeholder: "cc.en.300.bin", onkeydown: enter })),
    warning(error), entries && h("div", h("div.mute.path", path), h("ul.entries", entries.map(entry))),
    labelled("Upload from this computer", h("input", { type: "file", onchange: send })),
  ];
}

const CHUNK = 1 << 20; // bytes; a message to the kernel holds 10 MB at most

async function upload(view, file) {
  for (let offset = 0; file && offset < file.size; offset += CHUNK) {
    const part = await file.slice(offset, offset + CHUNK).arrayBuffer();
    view.act("upload", { name: file.name, offset, total: file.size }, [part]);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  closeMenu(view);
}

// A file that comes in parts and goes to the browser's downloads.
LISTENERS.download = (view, { name, offset, total }, [part]) => {
  view.parts = offset === 0 ? [part] : [...view.parts, part];
  view.setLocal({ downloaded: total ? (offset + part.byteLength) / total : 1 });
  if (view.local.downloaded < 1) return;
  const link = h("a", { href: URL.createObjectURL(new Blob(view.parts)), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
};

// -- cards ------------------------------------------------------------------------------------

const EXPECTED = ["Kept words", "Dropped words", "Unseen words", "Neighbours kept"];

function cards(view) {
  const { cards: numbers = EXPECTED.map((title) => ({ id: title, title })) } = view.get("cards");
  const tile = ({ id, title, help: about, value, digits, note, delta, how }) => {
    const change = against(delta, (size) => fixed(size, digits));
    return card(id, title, [about, how], how?.split(/\W/)[0], [fixed(value, digits), change], note);
  };
  return h("div.cards", { key: "cards", class: view.isStale("cards") && "stale" }, sizeCard(view), numbers.map(tile));
}

function card(id, title, tips, corner, values, note) {
  return h("div.card.tile", { key: id, class: id, role: "group", "aria-label": title },
    h("div.title", h("span", title, help(tips.filter(Boolean).join(" "))), h("span.corner", corner)),
    h("div.value", values), h("div.note", { title: typeof note === "string" && note }, note));
}

// The change against A: an arrow says the direction, the colour if that is better.
function against(delta, text, better = 1) {
  const kind = delta * better < 0 ? "small.bad" : "small.good";
  return delta ? h(kind, null, `${delta > 0 ? "▲" : "▼"} ${text(Math.abs(delta))} vs A`) : null;
}

// The size that Python foresees for the slider that is being dragged.
function foreseen(view) {
  const { i, name, bytes: size } = view.get("predicted");
  return view.local.drag?.key === `${i}-${name}` ? { i, size } : {};
}

function sizeCard(view) {
  const { help: about, how, bytes: size, limit, original, ratio, delta } = view.get("cards").size ?? {};
  const { size: next } = foreseen(view);
  const over = limit && size > limit && "bad";
  const at = (n) => `${Math.min(100, (100 * n) / Math.max(limit ?? original, size))}%`;
  const corner = limit && h("span", { class: over }, over ? "⚠ over limit " : "limit ", h("b", bytes(limit)));
  const smaller = ratio && h("small", `${ratio < 10 ? fixed(ratio, 1) : whole(ratio)}× smaller`);
  const filled = h("div.bar", { "aria-hidden": "true" }, size && h("i", { class: over, style: `width: ${at(size)}` }),
    limit && h("u", { style: `left: calc(${at(limit)} - 2px)` }), next && h("u.next", { style: `left: ${at(next)}` }));
  const values = [size ? bytes(size) : "–", next ? h("small.foreseen", `→ ${bytes(next)}`) : smaller];
  return card("size", "File size", [about, how], corner, values, [filled, against(delta, bytes, -1)]);
}

// -- rail: presets, fit a size, steps ---------------------------------------------------------

function rail(view) {
  const { presets, steps, addable, fit } = view.get("rail");
  if (!presets) return h("section.rail", { key: "rail", "aria-label": "Recipe" });
  const custom = { label: "Custom", help: "Steps of your own", on: !presets.some(({ on }) => on), disabled: true };
  const add = (kind) => (view.act("add", { kind, at: steps.length }), closeMenu(view));
  const addition = ({ kind, label, blurb }) =>
    button([h("b", label), h("span.mute", blurb)], () => add(kind), { name: "button.entry" });
  const seen = {};
  const keyOf = ({ kind }) => `${kind}-${(seen[kind] = (seen[kind] ?? 0) + 1)}`;
  return h("section.rail", { key: "rail", class: view.local.drawer && "open", "aria-label": "Recipe" },
    segmented("Presets", [...presets, custom], (id) => view.act("preset", { id })), fitCard(view, fit),
    h("ol.steps", { key: "steps" }, steps.map((step) => stepCard(view, step, steps.length, keyOf(step)))),
    menu(view, "add", "+ Add a step", () => addable.map(addition), { title: "What can follow", name: "button.add" }));
}

function fitCard(view, { text, low, high, goal, goals, running }) {
  const value = parsed(text ?? "", { kind: "bytes" }) ?? 10 * low;
  const about = { label: "Size limit", kind: "bytes", low: Math.min(low, value), high: Math.max(high, value), log: true };
  const wanted = view.local.goal ?? goal;
  const limit = (size) => view.act("limit", { text: bytes(size) });
  const typed = () => (view.local.drag?.key === "fit" ? bytes(view.local.drag.value) : text || bytes(value));
  const find = () => view.act("find", { text: typed(), goal: wanted });
  const { left } = view.get("status");
  return h("div.card.fit", { key: "fit" },
    h("div.title", h("b", "Fit a size"), help("Search for the best recipe whose file is not larger than this."),
      running && h("span.effect", `tried ${running.tried} of ${running.of}${timeLeft(left)}`)),
    h("div.fit-row", slider(view, "fit", { ...about, value }, { set: limit }),
      running ? button("Stop", () => view.act("cancel")) : button("Find best", find, { name: "button.primary" })),
    running ? h("div.mute", { key: "best", role: "status" }, running.best_bytes
      ? `best so far ${bytes(running.best_bytes)}, ${fixed(running.best_quality)}` : "searching…")
      : h("label.goal", { key: "goal" }, "for the best ", select(goals, wanted, (id) => view.setLocal({ goal: id }))));
}

function stepCard(view, { i, label, blurb, effect, error, fields }, n, key) {
  const open = view.local[key] ?? false;
  const { i: dragged, size } = foreseen(view);
  const move = (from, to) => to >= 0 && to < n && to !== from && view.act("move", { i: from, to });
  const grip = {
    role: "button", tabindex: 0, draggable: "true", title: "Drag, or press the arrow keys",
    "aria-label": `Move ${label}, step ${i + 1} of ${n}`,
    ondragstart: ({ dataTransfer, target }) => {
      dataTransfer.setData("text/plain", label);
      dataTransfer.setDragImage(target.closest("li"), 10, 10);
      view.local.dragged = i;
    },
    ondragend: () => view.setLocal({ dragged: null, over: null }),
    onkeydown: (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (by) event.preventDefault(move(i, i + by));
    },
  };
  const place = {
    ondragover: (event) => {
      if (Number.isInteger(view.local.dragged)) event.preventDefault();
      if (view.local.over !== i) view.setLocal({ over: i });
    },
    ondrop: (event) => event.preventDefault(move(view.local.dragged, i)),
  };
  const more = { name: "button.more", "aria-expanded": String(open), "aria-label": `${label}: advanced` };
  const name = button(`${i + 1} ${label}`, null, { name: "button.help.name", "data-tip": blurb });
  return h("li.card.step", { key, class: view.local.over === i && "over", ...place },
    h("div.title", h("span.grip", grip, "⋮⋮"), name,
      dragged === i ? h("span.effect.foreseen", `→ ${bytes(size)}`) : h("span.effect", { title: effect }, effect),
      button(open ? "▾" : "⋯", () => view.setLocal({ [key]: !open }), more)),
    warning(error), fields.filter(({ main }) => main || open).map((about) => fieldRow(view, i, i, about)),
    open && button("Remove this step", () => view.act("remove", { i }), { name: "button.small", key: "remove" }));
}

// A control for one parameter; it sends `set` with i, its name and the value.
function fieldRow(view, key, i, about) {
  const { name, label, kind, value, choices } = about;
  const set = (there) => {
    clearTimeout(view.asking);
    view.act("set", { i, name, value: there });
  };
  if (["count", "whole", "number"].includes(kind)) {
    return slider(view, `${key}-${name}`, about, { set, move: (there) => predict(view, { i, name, value: there }) });
  }
  const input = (type, props) => h("input", { type, "aria-label": label, ...props });
  const control = {
    tick: () => input("checkbox", { checked: Boolean(value), onchange: (event) => set(event.target.checked) }),
    text: () => input("text", { value: value ?? "", onchange: (event) => set(event.target.value) }),
    choice: () => select(choices.map(([id, text]) => ({ id, label: text })), value, set, { "aria-label": label }),
  };
  return h("div.slider.wide", { key: name }, h("span", label, help(about.help)), control[kind]());
}

// Ask for the size at this value, ten times a second at most.
function predict(view, change) {
  clearTimeout(view.asking);
  view.asking = setTimeout(() => {
    view.asked = performance.now();
    view.act("predict", change);
  }, Math.max(0, 100 - performance.now() + (view.asked ?? 0)));
}

// -- tabs -------------------------------------------------------------------------------------

const MEANING = "A cosine of 1: the vector points where it did. A word without a vector counts as 0. " +
  "Neighbours kept is what people notice first: how many of a word's nearest words are nearest still.";

// Columns of tables.
const column = (id, label, show, more) => ({ id, label, show, ...more });
const asNumber = (id, label, text, about) => column(id, label, (row) => text(row[id]), { number: true, help: about });
const asCount = (id, label, about) => asNumber(id, label, (n) => (n === null ? "–" : whole(n)), about);
const asWord = (view) => column("word", "Word", ({ word }) => wordLink(view, word));
const RANK = asCount("rank", "Rank", "1: the most frequent word.");
const COSINE = asNumber("cosine", "Cosine", fixed, "To the word's original vector.");
const WIDE = { wide: true };

// The page of a tab, dimmed while its numbers are those of an earlier setting.
function page(view, block, isThere, content) {
  const waiting = view.get("status").busy ? "The numbers will appear here…" : "Nothing to show yet.";
  return h(`div.page.${block}`, { key: block, class: view.isStale(block) && "stale" },
    isThere ? content() : h("p.mute", waiting));
}

function overviewTab(view) {
  const { rows = [] } = view.get("overview");
  const columns = [
    column("what", "Measure", (row) => [row.what, help(row.help)]),
    column("value", "Value", ({ share, value }) => bar(share, h("b", value))),
    ...(rows.some((row) => row.before) ? [column("before", "A")] : []),
    column("spread", "Spread", undefined, WIDE), column("how", "Measured", undefined, WIDE)];
  return page(view, "overview", rows.length, () => [
    present(view) && h("p.recipe", h("b", "Recipe "), present(view).brief),
    dataTable(view, "measures", columns, rows, { caption: "Measures", needs: [] }), h("p.mute", MEANING)]);
}

function neighboursTab(view) {
  const { rows = [], how } = view.get("neighbours");
  const list = (id, label, sign) => column(id, label,
    (row) => row[id].length > 0 && h(`span.${id}`, `${sign} `, h("bdi", row[id].join(" · "))),
    { ...WIDE, value: (row) => row[id].join(" · ") });
  const kept = column("kept", "Kept", (row) => bar(row.kept / row.k, `${row.kept} of ${row.k}`), { number: true });
  const columns = [asWord(view), RANK, COSINE, kept, list("lost", "Lost", MINUS), list("gained", "Gained", "+")];
  const options = { caption: "Neighbours", filter: "Find a word", sort: { by: "kept" }, needs: [view.ui.tabs] };
  return page(view, "neighbours", rows.length, () => [
    h("p.mute", how), dataTable(view, "neighbour-words", columns, rows, options)]);
}

function damageTab(view) {
  const { summary, how, groups = [], words = [], codes = [] } = view.get("damage");
  const low = Math.floor(20 * Math.min(0.95, ...groups.map((group) => group.p5 ?? group.mean ?? 1))) / 20;
  const loss = (text) => asNumber("loss_share", "Share of loss", text, "Weighted by frequency.");
  const links = (row) => row.worst.map((word, i) => [i > 0 && " · ", wordLink(view, word)]);
  const worst = column("worst", "Largest shift", links, { ...WIDE, value: (row) => row.worst.join(" · ") });
  const ofGroups = [
    column("group", "Words", (g) => [h("span.mute", `${g.by}: `), g.group, help(g.meaning)]), asCount("n", "Number"),
    column("dots", `Cosine, ${fixed(low, 2)} to 1`, (group) => dots(group, low),
      { value: (row) => row.mean, help: "Dot: mean, with its interval. Line: down to the 5th percentile." }),
    asNumber("mean", "Mean", fixed), asNumber("p5", "5th percentile", fixed),
    asNumber("no_vector", "No vector", (share) => percent(share, 1)), loss(bar), worst];
  const ofWords = [asWord(view), RANK, asCount("count", "Count"), COSINE, loss((share) => percent(share, 2)),
    column("shape", "Shape"), column("fate", "Vector")];
  const ofCodes = [column("code", "Code"), asCount("n", "Words"), asNumber("mean", "Mean", fixed),
    asNumber("z", "z", (z) => fixed(z, 1), "Standard errors from the mean of all words."),
    column("chance", "Chance", undefined, { value: (row) => (row.chance ? "may be" : "more than chance") }), worst];
  const byLoss = { filter: "Find a word", sort: { by: "loss_share", down: true } };
  const table = (title, columns, rows, more) =>
    dataTable(view, title, columns, rows, { caption: title, needs: [view.ui.tabs], ...more });
  return page(view, "damage", groups.length || words.length, () => [
    h("p", h("b", summary)), h("p.mute", how?.join(" · ")), table("Groups of words", ofGroups, groups),
    h("h4", "Most affected words"), table("Most affected words", ofWords, words, byLoss),
    codes.length > 0 && [h("h4", "Codes"), table("Codes", ofCodes, codes, { sort: { by: "z" }, n: 20 })]]);
}

// A dot at the mean, its interval, and a line down to the 5th percentile.
function dots({ mean, low, high, p5 }, least) {
  const x = (value) => (100 * Math.max(0, (value ?? mean ?? least) - least)) / (1 - least);
  const span = (name, from, to) => h(`i.${name}`, { style: `left: ${x(from)}%; right: ${100 - x(to)}%` });
  const marks = [span("tail", p5, mean), span("interval", low, high), span("mean", mean, mean)];
  return h("span.dots", { "aria-hidden": "true" }, marks);
}

// -- export -----------------------------------------------------------------------------------

function saveForm(view) {
  const { path, formats, saved } = view.get("export");
  if (!formats) return null;
  const { path: there = path, format: id = formats[0].id, downloaded: share = 1 } = view.local;
  const known = (name) => formats.find((format) => format.id === name);
  const { suffix: old, losses } = known(id);
  const choose = (next) => view.setLocal({
    format: next, path: old && there.endsWith(old) ? there.slice(0, -old.length) + known(next).suffix : there });
  const save = () => view.act("save", { path: there, format: id });
  return h("div.form",
    h("div.pair", labelled("Format", select(formats, id, choose)),
      labelled("Path", textBox(there, (text) => view.setLocal({ path: text })))),
    losses.length > 0 && h("div", { key: "losses", role: "status" }, "⚠ This format cannot hold:",
      h("ul", losses.map((text) => h("li", text)))),
    h("div.row", { key: "go" }, button("Save", save, { name: "button.primary" }),
      button("Download in the browser", () => view.act("download", { format: id })),
      h("span.saved", { role: "status" }, share < 1 ? `Downloading: ${percent(share)}` : saved && `✓ ${saved}`)));
}

function exportTab(view) {
  const { code } = view.get("export");
  const copied = (is) => view.setLocal({ copied: is });
  const copy = () => navigator.clipboard.writeText(code).then(() => (copied(true), setTimeout(copied, 1500, false)));
  const copier = button(view.local.copied ? "✓ Copied" : "Copy", copy, { name: "button.small" });
  return page(view, "export", code, () => [
    h("div.form", h("h4", "Recipe ", copier), h("pre", { tabindex: 0 }, code)),
    h("div.form", h("h4", "Save"), saveForm(view), h("h4", "Report"), reportForm(view))]);
}

function reportForm(view) {
  const { limits, folder, report, writing } = view.get("export");
  const { limits: own = {}, folder: there = folder } = view.local;
  const asked = limits.map((limit) => ({ ...limit, ...own[limit.id] }));
  const chosen = asked.filter(({ on }) => on).map(({ id, value }) => [id, value]);
  const start = () => view.act("report", { folder: there, limits: Object.fromEntries(chosen) });
  const limit = ({ id, about, value, on }) => {
    const set = (changes) => view.setLocal({ limits: { ...own, [id]: { ...own[id], ...changes } } });
    const onchange = (event) => set({ value: Number(event.target.value) || value });
    return h("div.limit",
      h("label", h("input", { type: "checkbox", checked: on, onchange: () => set({ on: !on }) }), ` ${about}`),
      h("input.number", { type: "text", value: String(value), disabled: !on, "aria-label": about, onchange }));
  };
  return h("div.form",
    h("p.mute", "Builds this setting again in a notebook, measures it on larger samples, and checks each limit."),
    h("div", asked.map(limit)),
    h("div.row", textBox(there, (text) => view.setLocal({ folder: text }), { "aria-label": "Folder of the report" }),
      writing ? button("Stop", () => view.act("stop_report"), { key: "stop" })
        : button("Make report", start, { name: "button.make-report", key: "make" }),
      h("span", { role: "status" }, writing && progressText(writing))),
    report && verdicts(view, report));
}

function verdicts(view, { passed, error, href, of, rows = [] }) {
  const verdict = ({ met, status: text }) => (met ? h("span.good", "✓ met") : h("span.bad", `✗ not met ${text ?? ""}`));
  const number = (value) => fixed(value, 4);
  const columns = [column("name", "What"), asNumber("value", "Measured", number), asNumber("limit", "Limit", number),
    column("met", "Verdict", verdict)];
  return h("div", { key: "report", role: "status" },
    passed ? h("b.good", "✓ Every limit is met. ") : h("b.bad", "✗ Not every limit is met. "),
    href && h("a", { href, target: "_blank", rel: "noopener" }, "Read the report"), h("div.mute", of), warning(error),
    dataTable(view, "verdicts", columns, rows, { caption: "Verdicts" }));
}

// -- history ----------------------------------------------------------------------------------

function footer(view) {
  const { title = "Changed most", words = [], n = 0 } = view.get("worst");
  const item = ({ word, cosine, note }) => h("li", wordLink(view, word), " ", h("span.mute", note || fixed(cosine)));
  const go = () => view.setUi({ tab: "damage" });
  return h("div.footer", { key: "footer" }, historyStrip(view),
    h("div.card.worst", { class: view.isStale("worst") && "stale" },
      h("div.title", title, n > words.length && button(`all ${whole(n)} →`, go, { name: "button.link" })),
      h("ul", words.map(item))));
}

// Where a value lies between the least and the greatest, in percent, with room at the ends.
function scale(values, room) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = room * (high - low || 0.01);
  return (value) => (100 * (value - low + pad)) / (high - low + 2 * pad);
}

// Settings tried, size against quality: a list of buttons, each in its place.
function historyStrip(view) {
  const { quality, qualities = [], limit, points = [] } = view.get("history");
  const known = points.filter((point) => point.quality !== null).sort((a, b) => a.bytes - b.bytes);
  const heights = known.map((point) => point.quality);
  const across = scale([...known.map((point) => point.bytes), ...(limit ? [limit] : [])].map(Math.log), 0.04);
  const up = scale(heights, 0.1);
  const [x, y] = [(size) => across(Math.log(size)), (value) => 100 - up(value)];
  const reached = known.find(({ now }) => now) ?? known[0]; // by the Tab key; the arrow keys reach the others
  const dot = (point) => {
    const text = `${point.brief}: ${bytes(point.bytes)}, ${fixed(point.quality)}`;
    const name = point.now ? "now" : point.pinned ? "A" : "";
    const kind = `button.dot${point.best ? ".best" : ""}${point.now ? ".now" : ""}`;
    const click = (event) => view.act(event.shiftKey ? "pin" : "go_back", { id: point.id });
    const about = { "aria-label": `${name} ${text}`.trim(), "data-tip": text, tabindex: point === reached ? 0 : -1 };
    return h("li", { key: point.id, style: `left: ${x(point.bytes)}%; top: ${y(point.quality)}%` },
      button("", click, { name: kind, ...about }), h("span", { "aria-hidden": "true" }, name));
  };
  const frontier = known.filter(({ best }) => best).map((point) => `${x(point.bytes)},${y(point.quality)}`).join(" ");
  const choice = select(qualities, quality, (id) => view.act("quality", { id }), { "aria-label": "Quality" });
  return h("div.card.history", { class: view.isStale("history") && "stale" },
    h("div.title", h("span", "Tried so far: size, ", choice), "click = go back · Shift-click = compare with A"),
    known.length > 0 && h("div.plot", { key: "plot" },
      h("span.high.mute", fixed(Math.max(...heights), 2)), h("span.low.mute", fixed(Math.min(...heights), 2)),
      h("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" },
        h("polyline", { points: frontier }), limit && h("line", { x1: x(limit), x2: x(limit), y1: 0, y2: 100 })),
      limit && h("span.limit-text.mute", { style: `right: ${100 - x(limit)}%` }, `limit ${bytes(limit)}`),
      h("ol", { "aria-label": "Settings tried", onkeydown: (event) => moveFocus(event, ".dot") }, known.map(dot))));
}
