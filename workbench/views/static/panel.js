// The compression panel: top bar, cards, rail of steps, tabs, history. The first part has what other views use too.

// -- parts for every view ---------------------------------------------------------------------

let viewCount = 0;

// An id for the page: each place where a view is shown has its own.
function idOf(view, name) {
  view.number ??= ++viewCount;
  return `wb${view.number}-${name}`;
}

// Move the focus among the elements of a group with the arrow keys, Home and End; return where it went.
function moveFocus(event, selector) {
  const all = [...event.currentTarget.querySelectorAll(selector)];
  const at = all.indexOf(event.target);
  const steps = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 };
  if (at < 0 || steps[event.key] === undefined) return null;
  event.preventDefault();
  const next = all[(steps[event.key] + all.length) % all.length];
  next.focus();
  return next;
}

// A row of tabs: [{id, label}]. The part below it is made by `tabPanel`.
function tabsOf(view, name, tabs, chosen, choose) {
  const tab = ({ id, label }) =>
    button(label, () => choose(id), {
      key: id, role: "tab", id: idOf(view, `${name}-${id}`), "aria-selected": String(id === chosen),
      "aria-controls": idOf(view, name), tabindex: id === chosen ? 0 : -1,
    });
  const onkeydown = (event) => moveFocus(event, "[role=tab]")?.click();
  return h("div.tabs", { role: "tablist", onkeydown }, tabs.map(tab));
}

function tabPanel(view, name, chosen, ...children) {
  const labelled = { id: idOf(view, name), "aria-labelledby": idOf(view, `${name}-${chosen}`) };
  return h("div.tab-panel", { key: `${name}-${chosen}`, role: "tabpanel", tabindex: 0, ...labelled }, children);
}

// A row of buttons of which one is chosen: [{id, label, help, on}].
function segmented(label, options, choose) {
  const one = ({ id, label: text, help: tip, on, disabled }) =>
    button(text, () => choose(id), { "aria-pressed": String(Boolean(on)), "data-tip": tip, disabled });
  const onkeydown = (event) => moveFocus(event, "button");
  return h("div.segments", { role: "group", "aria-label": label, onkeydown }, options.map(one));
}

// A button that opens a box with `content()`. Escape, and leaving the box, close it; the focus returns to the button.
function menu(view, name, label, content, { title, button: props = {}, side = "left" } = {}) {
  const open = view.local.menu === name;
  const box = () => view.root.querySelector(`#${idOf(view, `menu-${name}`)}`);
  const toggle = () => {
    view.setLocal({ menu: open ? null : name });
    if (!open) queueMicrotask(() => box()?.querySelector("button, input, select")?.focus());
  };
  const onkeydown = (event) => {
    if (event.key === "Escape" && open) {
      event.stopPropagation();
      event.currentTarget.querySelector("button").focus();
      view.setLocal({ menu: null });
    } else if (event.target.nodeName === "BUTTON" && event.key.startsWith("Arrow")) moveFocus(event, ".menu-box button");
  };
  const onfocusout = (event) => {
    const left = !event.currentTarget.contains(event.relatedTarget) && document.hasFocus();
    if (left && view.local.menu === name) view.setLocal({ menu: null });
  };
  const expanded = { "aria-expanded": String(open), "aria-haspopup": "dialog", "aria-controls": idOf(view, `menu-${name}`) };
  const about = { role: "dialog", tabindex: -1, id: idOf(view, `menu-${name}`), "aria-label": title ?? name, key: "box" };
  return h("div.menu", { key: `menu-${name}`, onkeydown, onfocusout },
    button(label, toggle, { ...expanded, ...props }),
    open && h(`div.menu-box.${side}`, about, content()));
}

const closeMenu = (view) => view.setLocal({ menu: null });

// Where a value stands on a slider of 1000 places, and back; logarithmic for counts.
const PLACES = 1000;
function placeOf({ value, low, high, log }) {
  if (value === null || high <= low) return PLACES;
  const start = Math.max(low, log ? Math.min(1, high / 1e3) : low); // zero is one place below the logarithms
  if (value < start) return 0;
  const share = log ? Math.log(value / start) / Math.log(high / start) : (value - start) / (high - start);
  return Math.round(PLACES * Math.min(1, Math.max(0, share)));
}

function valueAt({ low, high, log, kind, all_is_none: orAll }, place) {
  if (place <= 0) return low;
  if (place >= PLACES) return orAll ? null : high;
  const start = Math.max(low, log ? Math.min(1, high / 1e3) : low);
  const value = log ? start * (high / start) ** (place / PLACES) : start + ((high - start) * place) / PLACES;
  const rounded = log || kind === "number" ? Number(value.toPrecision(log && kind !== "number" ? 3 : 2)) : value;
  return Math.min(high, Math.max(low, kind === "number" ? rounded : Math.round(rounded)));
}

// A number as a person types it: "2,000", "2k", "1.5 M", "all"; undefined if it is none.
function parsed(text, field) {
  const found = text.trim().replace(/,(?=\d{3})/g, "").match(/^(-?\d*\.?\d+(?:e-?\d+)?)\s*([kM]?)$/);
  if (!found) return field.all_is_none && /^(all|none)?$/i.test(text.trim()) ? null : undefined;
  const value = Number(found[1]) * { "": 1, k: 1e3, M: 1e6 }[found[2]];
  return Math.min(field.high ?? value, Math.max(field.low ?? value, field.kind === "number" ? value : Math.round(value)));
}

const written = (value, field) =>
  value === null ? (field.all_is_none ? "all" : "") : field.kind === "number" ? String(value) : whole(value);

// A slider and a box for the same number. `move(value)` is called while it is dragged, `set(value)` when it is released.
// field: {label, help, kind: "count" | "whole" | "number", value, low, high, log, all_is_none}
function slider(view, key, field, { move = () => {}, set }) {
  const drag = view.local.drag?.key === key ? view.local.drag : null;
  const value = drag ? drag.value : field.value;
  const text = written(value, field);
  const oninput = (event) => {
    const there = valueAt(field, Number(event.target.value));
    view.setLocal({ drag: { key, value: there } });
    move(there);
  };
  const release = (there) => {
    const held = { key, value: there };
    view.setLocal({ drag: held }); // until Python's own value has come
    setTimeout(() => view.local.drag === held && view.setLocal({ drag: null }), 500);
    set(there);
  };
  const typed = (event) => {
    const there = parsed(event.target.value, field);
    event.target.value = there === undefined ? text : written(there, field);
    if (there !== undefined && there !== field.value) release(there);
  };
  const range = field.high !== null && field.high !== undefined && h("input", {
    key: "range", type: "range", min: 0, max: PLACES, value: placeOf({ ...field, value }), "aria-label": field.label,
    "aria-valuetext": text, oninput, onchange: (event) => release(valueAt(field, Number(event.target.value))),
    step: field.log || field.kind === "number" ? 1 : Math.max(1, Math.floor(PLACES / (field.high - field.low))),
  });
  const box = { key: "box", type: "text", value: text, "aria-label": `${field.label}: number`, onchange: typed };
  return h("div.slider", { key }, h("span", null, field.label, help(field.help)), range || h("span"), h("input.number", box));
}

// A table that is sorted by a click on a heading and filtered by typing.
// columns: [{id, label, help, value: row => number | text | null, show: row => element, number: bool}]
// options: {caption, filter: label of the search field, sort: {by, down}, n: rows shown at first}
function dataTable(view, id, columns, rows, { caption, filter, sort = {}, n = 100 } = {}) {
  const state = { by: null, down: false, ...sort, find: "", n, ...view.local[id] };
  const set = (changes) => view.setLocal({ [id]: { ...view.local[id], ...changes } });
  const valueOf = (column, row) => (column.value ? column.value(row) : row[column.id]);
  const wanted = state.find.trim().toLowerCase();
  const matches = (row) => columns.some((c) => !c.number && String(valueOf(c, row)).toLowerCase().includes(wanted));
  let found = wanted ? rows.filter(matches) : rows;
  const by = columns.find((column) => column.id === state.by);
  if (by) {
    const missing = (value) => value === null || value === undefined;
    const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b) * (state.down ? -1 : 1);
    const pairs = found.map((row) => [valueOf(by, row), row]);
    found = pairs.sort(([a], [b]) => missing(a) - missing(b) || (missing(a) ? 0 : order(a, b))).map(([, row]) => row);
  }
  const heading = (c) => {
    const on = c.id === state.by;
    const arrow = on ? (state.down ? " ▼" : " ▲") : "";
    const click = () => set({ by: c.id, down: on ? !state.down : Boolean(c.number) });
    const label = button([c.label, h("span", { "aria-hidden": "true" }, arrow)], click, { name: "button.sort" });
    const sorted = on ? (state.down ? "descending" : "ascending") : "none";
    return h("th", { scope: "col", class: c.number && "number", "aria-sort": sorted }, label, help(c.help));
  };
  const cell = (row) => (c) => h("td", { class: c.number && "number" }, c.show ? c.show(row) : valueOf(c, row) ?? "–");
  const shown = found.slice(0, state.n);
  const search = filter && h("input", {
    key: "find", type: "search", placeholder: filter, "aria-label": filter, value: state.find,
    oninput: (event) => set({ find: event.target.value, n }),
  });
  const count = wanted ? `${whole(found.length)} of ${whole(rows.length)}` : `${whole(rows.length)}`;
  return h("div.data-table", { key: id },
    filter && h("div.table-top", { key: "top" }, search, h("span.mute", { role: "status" }, count)),
    h("table", { key: "table" }, caption && h("caption.sr", null, caption), h("thead", null, h("tr", null, columns.map(heading))),
      h("tbody", null, shown.map((row) => h("tr", null, columns.map(cell(row)))))),
    found.length > shown.length &&
      button(`Show ${whole(Math.min(n, found.length - shown.length))} more`, () => set({ n: state.n + n }), { key: "more" }));
}

// A share as a bar with its text.
function bar(share, text = percent(share), props = {}) {
  const width = `width: ${(100 * Math.min(1, Math.max(0, share ?? 0))).toFixed(1)}%`;
  return h("span.bar-cell", props, h("span.bar", { "aria-hidden": "true" }, h("i", { style: width })), h("span", null, text));
}

// A word that leads to its place on the map.
function wordLink(view, word) {
  const show = () => {
    view.act("look", { words: [word] });
    view.setUi({ tab: "map" });
  };
  const text = h("bdi", null, word);
  return (view.ui.tabs ?? []).includes("map") ? button(text, show, { name: "button.link.word" }) : h("b.word", null, text);
}

const wordList = (view, words) => words.map((word, i) => [i > 0 && " · ", wordLink(view, word)]);

// -- the panel --------------------------------------------------------------------------------

const TABS = { overview: "Overview", map: "Map", neighbours: "Neighbours", damage: "Damage", export: "Export" };
const DRAWERS = { overview: overviewTab, map: (view) => mapTab(view), neighbours: neighboursTab, damage: damageTab, export: exportTab };

DRAWINGS.panel = (view) => {
  const { bare, tab = "overview", tabs = Object.keys(TABS) } = view.ui;
  const choices = tabs.map((id) => ({ id, label: TABS[id] }));
  const choose = (id) => view.setUi({ tab: id });
  const pane = h("section.pane", { key: "pane", "aria-label": "Results" },
    tabs.length > 1 && tabsOf(view, "tabs", choices, tab, choose),
    tabPanel(view, "tabs", tab, DRAWERS[tab](view), tab === "map" && inspector(view)));
  const parts = bare ? [pane] : [cards(view), h("div.panes", { key: "panes" }, rail(view), pane), footer(view)];
  return h("div.panel", { class: bare && "bare", onkeydown: (event) => panelKeys(view, event) },
    topBar(view), problems(view), parts, view.local.keys && keysBox(view));
};

// -- top bar ----------------------------------------------------------------------------------

function topBar(view) {
  const { name, about, can_undo: canUndo, can_redo: canRedo, pinned, save_bytes: size } = view.get("top");
  const label = [h("b", null, h("bdi", null, name ?? "No model")), h("span.mute", null, about ?? "")];
  if (view.ui.bare) return h("div.top", { key: "top" }, h("div.chip", null, label), status(view));
  const drawer = { name: "button.drawer-button", "aria-expanded": String(Boolean(view.local.drawer)), key: "drawer" };
  const now = (view.get("history").points ?? []).find((point) => point.now);
  return h("div.top", { key: "top" },
    button("☰ Recipe", () => view.setLocal({ drawer: !view.local.drawer }), drawer),
    menu(view, "model", [label, h("span.mute", null, " ▾")], () => modelMenu(view), { title: "Open a model", button: { name: "button.chip" } }),
    status(view), h("span.space"),
    button("↶ Undo", () => view.act("undo"), { disabled: !canUndo, title: "Undo (Ctrl+Z)" }),
    button("↷", () => view.act("redo"), { disabled: !canRedo, title: "Redo (Ctrl+Shift+Z)", "aria-label": "Redo" }),
    button(pinned ? "Unpin A" : "Pin as A", () => view.act("pin", { id: pinned ? null : now?.id ?? null }),
      { title: "Compare with this setting, A, from now on", disabled: !pinned && !now }),
    button("Report…", () => toExport(view, ".make-report"), { title: "Measure this setting on larger samples" }),
    menu(view, "save", size ? `Save ${bytes(size)} ▾` : "Save ▾", () => saveForm(view),
      { title: "Save the small model", button: { name: "button.primary", disabled: !size }, side: "right" }));
}

function toExport(view, selector) {
  view.setUi({ tab: "export" });
  queueMicrotask(() => view.root.querySelector(selector)?.focus());
}

function status(view) {
  const { busy, what, share, left } = view.get("status");
  const { seconds: took } = view.get("top");
  if (!busy) {
    const text = took === null || took === undefined ? "up to date" : `up to date · ${took.toFixed(1)} s`;
    return h("span.status", { role: "status" }, h("span.good", { "aria-hidden": "true" }, "● "), text);
  }
  const rest = [share > 0 && percent(share), left && `${seconds(left)} left`].filter(Boolean).join(" · ");
  return h("span.status", null,
    h("span.busy", { "aria-hidden": "true" }, "◐ "), h("span", { role: "status" }, `${what || "Working"}…`),
    h("span.mute", null, ` ${rest} `), button("Cancel", () => view.act("cancel"), { key: "cancel", name: "button.small" }));
}

function problems(view) {
  const { errors = {}, problem } = view.get("status");
  const texts = [...new Set([problem, view.local.problem, ...Object.values(errors)].filter(Boolean))];
  const retry = Object.keys(errors).length > 0 && button("Retry", () => view.act("retry"), { name: "button.small" });
  return h("div.problems", { key: "problems", role: "alert" }, texts.map((text) => h("div.error", null, "⚠ ", text)), retry);
}

function modelMenu(view) {
  const { path = "", entries = [], error } = view.get("folder");
  const open = (source) => {
    view.act("open", { path: source });
    closeMenu(view);
  };
  const go = (event) => event.key === "Enter" && event.target.value.trim() && open(event.target.value.trim());
  const entry = ({ name, path: there, is_folder: folder, bytes: size }) => h("li", null,
    button([folder ? "▸ " : "", h("bdi", null, name), h("span.mute", null, folder ? "" : bytes(size ?? 0))],
      () => (folder ? view.act("list_folder", { path: there }) : open(there)), { name: "button.entry" }));
  const choose = h("input", {
    type: "file", "aria-label": "Upload a file", onchange: (event) => event.target.files[0] && upload(view, event.target.files[0]),
  });
  return [
    h("div.row", null, button("Built-in model", () => open("builtin:en")), button("Browse…", () => view.act("list_folder", { path }))),
    h("label.field", null, "Path of a file", h("input", { type: "text", placeholder: "models/cc.en.300.bin", onkeydown: go })),
    warning(error),
    entries.length > 0 && h("div", { key: "entries" }, h("div.mute.path", null, path), h("ul.entries", null, entries.map(entry))),
    h("label.field", null, "Upload from this computer", choose),
  ];
}

const CHUNK = 1 << 20; // bytes; the socket to the kernel takes no more than 10 MB at once

async function upload(view, file) {
  for (let offset = 0; offset < Math.max(1, file.size); offset += CHUNK) {
    const part = await file.slice(offset, offset + CHUNK).arrayBuffer();
    view.act("upload", { name: file.name, offset, total: file.size }, [part]);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  closeMenu(view);
}

// A file that comes in parts, and then goes to the browser's downloads.
LISTENERS.download = (view, { name, offset, total }, [part]) => {
  if (offset === 0) view.download = [];
  view.download.push(part);
  const done = offset + part.byteLength >= total;
  view.setLocal({ downloaded: done ? null : (offset + part.byteLength) / total });
  if (!done) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(view.download));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  view.download = [];
};

// -- cards ------------------------------------------------------------------------------------

const EXPECTED = ["Kept words", "Dropped words", "Unseen words", "Neighbours kept"];

function against(delta, text, better = 1) {
  if (delta === null || delta === undefined) return null;
  const sign = delta > 0 ? "▲" : delta < 0 ? "▼" : "=";
  return h("span", { class: delta * better < 0 ? "bad" : delta * better > 0 ? "good" : "mute" }, `${sign} ${text} vs A`);
}

const exactness = (how) => how && button(how.split(/[:,; ]/)[0], null, { name: "button.help.how", "data-tip": how, "aria-label": how });

function cards(view) {
  const { cards: numbers = EXPECTED.map((title) => ({ id: title, title })) } = view.get("cards");
  const tile = ({ id, title, help: about, value, digits, note, delta, how, low, high }) => {
    const spread = id === "neighbours" && low !== null && high !== undefined && `± ${fixed((high - low) / 2, digits)}`;
    const change = delta === 0 ? null : against(delta, fixed(Math.abs(delta ?? 0), digits));
    return h("div.card.tile", { key: id, role: "group", "aria-label": title },
      h("div.title", null, h("span", null, title, help(about)), exactness(how)),
      h("div.value", null, fixed(value, digits), spread && h("small", null, spread)),
      h("div.note.mute", null, change, change && note && " · ", note));
  };
  return h("div.cards", { key: "cards", class: view.isStale("cards") && "stale" }, sizeCard(view), numbers.map(tile));
}

function sizeCard(view) {
  const size = view.get("cards").size ?? {};
  const foreseen = view.local.drag ? view.get("predicted").bytes : null;
  const end = Math.max(size.limit ?? size.original ?? 0, size.bytes ?? 0, 1);
  const at = (n) => `${Math.min(100, (100 * n) / end).toFixed(1)}%`;
  const over = size.limit && size.bytes > size.limit;
  return h("div.card.tile.size", { key: "size", role: "group", "aria-label": "File size" },
    h("div.title", null, h("span", null, "File size", help([size.help, size.how].filter(Boolean).join(" · "))),
      size.limit && h("span", { class: over && "bad" }, over ? "⚠ over limit " : "limit ", h("b", null, bytes(size.limit)))),
    h("div.value", null, size.bytes ? bytes(size.bytes) : "–",
      foreseen ? h("small.foreseen", null, `→ ${bytes(foreseen)}`) : size.ratio && h("small", null, `${size.ratio.toPrecision(2)}× smaller`),
      h("small.delta", null, size.delta ? against(size.delta, bytes(Math.abs(size.delta)), -1) : null)),
    h("div.bar", { "aria-hidden": "true" }, h("i", { class: over && "over", style: `width: ${at(size.bytes ?? 0)}` }),
      size.limit && h("u", { style: `left: calc(${at(size.limit)} - 2px)` }), foreseen && h("u.foreseen", { style: `left: ${at(foreseen)}` })));
}

// -- rail: presets, fit a size, steps ---------------------------------------------------------

function rail(view) {
  const { presets = [], steps = [], addable = [] } = view.get("rail");
  const custom = { id: null, label: "Custom", help: "Steps of your own", on: !presets.some((p) => p.on), disabled: true };
  const add = ({ kind, label, blurb }) => {
    const go = () => {
      view.act("add", { kind, at: steps.length });
      closeMenu(view);
    };
    return button([h("b", null, label), h("span.mute", null, blurb)], go, { name: "button.entry" });
  };
  return h("section.rail", { key: "rail", class: view.local.drawer && "open", "aria-label": "Recipe" },
    segmented("Presets", [...presets, custom], (id) => view.act("preset", { id })),
    fitCard(view),
    h("ol.steps", { key: "steps" }, steps.map((step) => stepCard(view, step, steps))),
    menu(view, "add", "+ Add a step", () => addable.map(add), { title: "Steps that can follow", button: { name: "button.add" } }));
}

const UNITS = { "": 1, b: 1, bytes: 1, kb: 1e3, mb: 1e6, gb: 1e9 };
function parsedBytes(text) {
  const [, value, unit] = text.trim().toLowerCase().match(/^([\d.]+)\s*([a-z]*)$/) ?? [];
  return Number(value) * UNITS[unit];
}

function fitCard(view) {
  const { text = "", low = 1e4, high = 1e8, goal, goals = [], running } = view.get("rail").fit ?? {};
  const typed = view.local.fit ?? text;
  const range = { low, high, log: true, kind: "count", value: parsedBytes(typed) || low };
  const chosen = view.local.goal ?? goal;
  const limit = (there) => {
    view.setLocal({ fit: null });
    view.act("limit", { text: there });
  };
  const find = () => view.act("find", { text: view.local.fit ?? text, goal: chosen });
  const { left } = view.get("status");
  const best = running?.best_bytes && `best so far ${bytes(running.best_bytes)}, ${fixed(running.best_quality)}`;
  return h("div.card.fit", { key: "fit" },
    h("div.title", null, h("b", null, "Fit a size"), help("Find the recipe with the best quality within this many bytes."),
      h("span.effect", null, running ? `tried ${running.tried} of ${running.of}${left ? ` · ${seconds(left)} left` : ""}` : "")),
    h("div.row", null,
      h("input", {
        key: "range", type: "range", min: 0, max: PLACES, value: placeOf(range), "aria-label": "Size limit", "aria-valuetext": typed,
        oninput: (event) => view.setLocal({ fit: bytes(valueAt(range, Number(event.target.value))) }),
        onchange: (event) => limit(bytes(valueAt(range, Number(event.target.value)))),
      }),
      h("input.number", {
        key: "box", type: "text", value: typed, "aria-label": "Size limit as text, such as 700 kB or 20%",
        oninput: (event) => view.setLocal({ fit: event.target.value }), onchange: (event) => limit(event.target.value),
        onkeydown: (event) => event.key === "Enter" && find(),
      }),
      running ? button("Stop", () => view.act("cancel"), { key: "go" }) : button("Find best", find, { key: "go", name: "button.primary" })),
    running ? h("div.mute", { key: "best", role: "status" }, best || "searching…")
      : goals.length > 1 && h("label.goal", { key: "goal" }, "for the best ",
        h("select", { value: chosen, onchange: (event) => view.setLocal({ goal: event.target.value }) },
          goals.map(({ id, label }) => h("option", { value: id }, label)))));
}

function stepCard(view, step, steps) {
  const { i, kind, label, blurb, effect, error, fields } = step;
  const key = `${kind}${steps.filter((other) => other.kind === kind && other.i < i).length}`;
  const advanced = fields.filter((field) => !field.main);
  const open = view.local[`more-${key}`] ?? false;
  const { predicted, local } = { predicted: view.get("predicted"), local: view.local };
  const foreseen = local.drag && predicted.i === i && local.drag.key === `${key}-${predicted.name}`;
  const move = (to) => to >= 0 && to < steps.length && to !== i && view.act("move", { i, to });
  const grip = {
    role: "button", tabindex: 0, draggable: "true", title: "Drag, or press the arrow keys",
    "aria-label": `Move ${label}: step ${i + 1} of ${steps.length}, arrow keys up and down`,
    ondragstart: (event) => {
      event.dataTransfer.setDragImage(event.target.closest("li"), 10, 10);
      event.dataTransfer.effectAllowed = "move";
      view.local.dragged = i;
    },
    onkeydown: (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      move(i + by);
    },
  };
  const drop = {
    ondragover: (event) => {
      if (view.local.dragged === undefined) return;
      event.preventDefault();
      if (view.local.over !== i) view.setLocal({ over: i });
    },
    ondragend: () => view.setLocal({ dragged: undefined, over: null }),
    ondrop: (event) => {
      event.preventDefault();
      const from = view.local.dragged;
      view.setLocal({ dragged: undefined, over: null });
      if (from !== i) view.act("move", { i: from, to: i });
    },
  };
  return h("li.card.step", { key, class: view.local.over === i && "over", ...drop },
    h("div.title", null, h("span.grip", grip, "⋮⋮"), h("b", null, `${i + 1} ${label}`), help(blurb),
      h("span.effect", { class: foreseen && "foreseen" }, foreseen ? `→ ${bytes(predicted.bytes)}` : effect ?? ""),
      button("×", () => view.act("remove", { i }), { name: "button.remove", "aria-label": `Remove ${label}`, title: "Remove" })),
    h("div", { key: "error" }, warning(error)),
    fields.filter((field) => field.main).map((field) => fieldRow(view, key, i, field)),
    advanced.length > 0 && button(`${open ? "▾" : "▸"} Advanced`, () => view.setLocal({ [`more-${key}`]: !open }),
      { key: "more", name: "button.more", "aria-expanded": String(open) }),
    open && advanced.map((field) => fieldRow(view, key, i, field)));
}

function fieldRow(view, step, i, field) {
  const { name, label, help: about, kind, value, choices } = field;
  const set = (there) => view.act("set", { i, name, value: there });
  if (["count", "whole", "number"].includes(kind)) {
    return slider(view, `${step}-${name}`, field, { set, move: (there) => predict(view, { i, name, value: there }) });
  }
  const texts = choices.map(([, text]) => text);
  const control = kind === "tick"
    ? h("input", { type: "checkbox", checked: Boolean(value), onchange: (event) => set(event.target.checked) })
    : kind === "text" ? h("input", { type: "text", value: value ?? "", onchange: (event) => set(event.target.value) })
    : h("select", {
      value: String(choices.findIndex(([id]) => id === value)), onchange: (event) => set(choices[Number(event.target.value)][0]),
    }, texts.map((text, place) => h("option", { value: String(place) }, text)));
  return h("div.slider.wide", { key: name }, h("span", null, label, help(about)), h("label", null, h("span.sr", null, label), control));
}

// Ask for the size at this value, ten times a second at most.
function predict(view, change) {
  clearTimeout(view.asking);
  const ask = () => {
    view.asked = performance.now();
    view.act("predict", change);
  };
  view.asking = setTimeout(ask, Math.max(0, 100 - performance.now() + (view.asked ?? 0)));
}

// -- tabs -------------------------------------------------------------------------------------

const MEANING = "A cosine of 1 means that a vector points where it did. Words without a vector count as 0. " +
  "Neighbours kept is what people notice: how many of a word's ten nearest words are still among the ten nearest.";

const dimmed = (view, block) => ({ class: view.isStale(block) && "stale", key: block });
const notYet = (view, what) => h("p.mute.empty", null, view.get("status").busy ? `${what} will appear here…` : `No ${what.toLowerCase()} yet.`);

function overviewTab(view) {
  const { rows = [] } = view.get("overview");
  const now = (view.get("history").points ?? []).find((point) => point.now);
  if (!rows.length) return notYet(view, "Numbers");
  const compared = rows.some((row) => row.before);
  const columns = ["What", "", "Spread", "How measured", ...(compared ? ["A"] : [])];
  const line = ({ what, help: about, value, share, spread, how, before }) => h("tr", null,
    h("th", { scope: "row" }, what, help(about)), h("td", null, bar(share, h("b", null, value))), h("td", null, spread),
    h("td.mute", null, how), compared && h("td", null, before));
  return h("div.page", dimmed(view, "overview"),
    now && h("p.recipe", null, h("span.mute", null, "Recipe "), now.brief),
    h("table.overview", null, h("thead", null, h("tr", null, columns.map((text) => h("th", { scope: "col" }, text || "Value")))),
      h("tbody", null, rows.map(line))),
    h("p.mute", null, MEANING));
}

const RANK = { id: "rank", label: "Rank", help: "1 is the most frequent word.", number: true, show: (row) => whole(row.rank) };
const COSINE = { id: "cosine", label: "Cosine", help: "To the word's original vector.", number: true, show: (row) => fixed(row.cosine) };
const wordColumn = (view) => ({ id: "word", label: "Word", show: (row) => wordLink(view, row.word) });

function neighboursTab(view) {
  const { rows = [], how } = view.get("neighbours");
  if (!rows.length) return notYet(view, "Neighbours");
  const list = (name, sign) => ({
    id: name, label: name === "lost" ? "Lost" : "Gained", value: (row) => row[name].join(" "),
    show: (row) => h("span", { class: name }, row[name].length > 0 && `${sign} `, h("bdi", null, row[name].join(" · "))),
  });
  const columns = [wordColumn(view), RANK,
    { id: "kept", label: "Kept", number: true, show: (row) => bar(row.kept / row.k, `${row.kept} of ${row.k}`) }, COSINE,
    list("lost", MINUS), list("gained", "+")];
  const options = { caption: "Neighbours of words before and after", filter: "Find a word", sort: { by: "kept" } };
  return h("div.page", dimmed(view, "neighbours"), h("p.mute", null, how), dataTable(view, "neighbour-words", columns, rows, options));
}

function damageTab(view) {
  const { summary, how, groups = [], words = [], codes = [] } = view.get("damage");
  if (!groups.length && !words.length) return notYet(view, "Damage");
  const wordColumns = [wordColumn(view), RANK,
    { id: "count", label: "Count", number: true, show: ({ count }) => (count === null ? "–" : whole(count)) }, COSINE,
    { id: "loss_share", label: "Share of loss", help: "Weighted by frequency.", number: true, show: (row) => percent(row.loss_share, 1) },
    { id: "shape", label: "Shape" }, { id: "fate", label: "Vector" }];
  const codeColumns = [{ id: "code", label: "Code" }, { id: "n", label: "Words", number: true },
    { id: "mean", label: "Mean cosine", number: true, show: (row) => fixed(row.mean) },
    { id: "z", label: "z", help: "Standard errors from the mean of all words.", number: true, show: (row) => fixed(row.z, 1) },
    { id: "chance", label: "Chance?", value: (row) => (row.chance ? "may be chance" : "more than chance") },
    { id: "worst", label: "Largest shift", value: (row) => row.worst.join(" "), show: (row) => wordList(view, row.worst) }];
  return h("div.page", dimmed(view, "damage"), h("p", null, h("b", null, summary)), h("p.mute", null, how),
    groups.length > 0 && groupTable(view, groups),
    words.length > 0 && h("h4", null, "Most affected words"),
    dataTable(view, "damaged-words", wordColumns, words, { caption: "Most affected words", filter: "Find a word", sort: { by: "loss_share", down: true } }),
    codes.length > 0 && [h("h4", null, "Codes"), dataTable(view, "damaged-codes", codeColumns, codes, { caption: "Damage by code", sort: { by: "z" }, n: 20 })]);
}

// Groups of words: a dot at the mean with its interval, a line down to the 5th percentile.
function groupTable(view, groups) {
  const least = Math.min(...groups.map((group) => group.p5 ?? group.mean ?? 1));
  const low = Math.floor(Math.min(0.95, least) * 20) / 20;
  const x = (value) => `${(100 * Math.max(0, (value ?? low) - low)) / (1 - low)}%`;
  const range = (name, from, to) => h(`i.${name}`, { style: `left: ${x(from)}; right: calc(100% - ${x(to)})` });
  const columns = ["Group", "Words", `Cosine: ${fixed(low, 2)} to 1`, "Mean", "5th percentile", "No vector", "Share of loss", "Largest shift"];
  const row = (g, k) => h("tr", { class: k > 0 && groups[k - 1].by !== g.by && "first" },
    h("th", { scope: "row" }, k === 0 || groups[k - 1].by !== g.by ? h("span.by.mute", null, g.by) : null, g.group, help(g.meaning)),
    h("td.number", null, whole(g.n)),
    h("td", null, h("span.dots", { "aria-hidden": "true" }, range("tail", g.p5, g.mean), range("interval", g.low, g.high), h("i.mean", { style: `left: ${x(g.mean)}` }))),
    h("td.number", null, fixed(g.mean)), h("td.number", null, fixed(g.p5)), h("td.number", null, g.no_vector ? whole(g.no_vector) : "0"),
    h("td", null, bar(g.loss_share)), h("td.some", null, wordList(view, g.worst)));
  return h("table.groups", null, h("thead", null, h("tr", null, columns.map((text) => h("th", { scope: "col" }, text)))), h("tbody", null, groups.map(row)));
}

// -- export -----------------------------------------------------------------------------------

function saveForm(view) {
  const { path = "", formats = [], saved } = view.get("export");
  const { downloaded } = view.local;
  const format = view.local.format ?? formats[0]?.id;
  const { suffix = "", losses = [] } = formats.find(({ id }) => id === format) ?? {};
  const there = view.local.path ?? path;
  const choose = (event) => {
    const next = formats.find(({ id }) => id === event.target.value);
    view.setLocal({ format: next.id, path: there.endsWith(suffix) ? there.slice(0, there.length - suffix.length) + next.suffix : there });
  };
  return [
    h("label.field", null, "Format", h("select", { value: format, onchange: choose }, formats.map(({ id, title }) => h("option", { value: id }, title)))),
    h("label.field", null, "Path", h("input", { type: "text", value: there, oninput: (event) => view.setLocal({ path: event.target.value }) })),
    losses.length > 0 && h("div", { key: "losses", role: "status" }, "This format cannot hold:", h("ul", null, losses.map((text) => h("li", null, text)))),
    h("div.row", { key: "go" }, button("Save", () => view.act("save", { path: there, format }), { name: "button.primary" }),
      button("Download in the browser", () => view.act("download", { format }))),
    h("div", { key: "saved", role: "status" }, downloaded ? `Downloading: ${percent(downloaded)}` : saved && [h("span.good", null, "✓ "), saved]),
  ];
}

function exportTab(view) {
  const { code } = view.get("export");
  if (!code) return notYet(view, "Recipe");
  const copy = async () => {
    await navigator.clipboard.writeText(code);
    view.setLocal({ copied: true });
    setTimeout(() => view.setLocal({ copied: false }), 1500);
  };
  return h("div.page.export", dimmed(view, "export"),
    h("section", { "aria-label": "Recipe" }, h("h4", null, "Recipe ", button(view.local.copied ? "✓ Copied" : "Copy", copy, { name: "button.small" })),
      h("pre", { tabindex: 0 }, code), h("h4", null, "Save"), h("div.form", null, saveForm(view))),
    h("section", { "aria-label": "Report" }, reportForm(view)));
}

function reportForm(view) {
  const { limits = [], folder = "", report, writing } = view.get("export");
  const asked = limits.map((limit) => ({ ...limit, ...view.local.limits?.[limit.id] }));
  const change = (id, changes) => view.setLocal({ limits: { ...view.local.limits, [id]: { ...view.local.limits?.[id], ...changes } } });
  const there = view.local.folder ?? folder;
  const start = () => view.act("report", { folder: there, limits: Object.fromEntries(asked.filter((l) => l.on).map((l) => [l.id, l.value])) });
  const limit = ({ id, about, value, on }) => h("div.limit", null,
    h("label", null, h("input", { type: "checkbox", checked: on, onchange: (event) => change(id, { on: event.target.checked }) }), ` ${about}`),
    h("input.number", {
      type: "text", value: String(value), disabled: !on, "aria-label": `Limit: ${about}`,
      onchange: (event) => Number.isFinite(Number(event.target.value)) && change(id, { value: Number(event.target.value) }),
    }));
  return [
    h("h4", null, "Report"),
    h("p.mute", null, "Builds this setting again in a notebook, measures it on larger samples, and says of each limit whether it is met."),
    limits.length > 0 && h("div.limits", { key: "limits" }, asked.map(limit)),
    h("label.field", { key: "folder" }, "Folder", h("input", { type: "text", value: there, oninput: (event) => view.setLocal({ folder: event.target.value }) })),
    h("div.row", { key: "go" }, button("Make report", start, { name: "button.make-report", disabled: Boolean(writing) }),
      writing && button("Stop", () => view.act("stop_report")),
      writing && h("span", { role: "status" }, `${writing.what}… ${percent(writing.share ?? 0)}${writing.left ? ` · ${seconds(writing.left)} left` : ""}`)),
    report && verdicts(report),
  ];
}

function verdicts({ passed, error, href, of, rows = [] }) {
  const line = ({ name, value, limit, met, status: text }) => h("tr", null, h("th", { scope: "row" }, name), h("td.number", null, fixed(value, 4)),
    h("td.number", null, fixed(limit, 4)), h("td", { class: met ? "good" : "bad" }, met ? "✓ met" : `✗ not met ${text ?? ""}`));
  return h("div.verdicts", { key: "verdicts", role: "status" },
    h("p", null, h("b", { class: passed ? "good" : "bad" }, passed ? "✓ Every limit is met. " : "✗ Not every limit is met. "),
      href && h("a", { href, target: "_blank", rel: "noopener" }, "Read the report")), h("p.mute", null, of), warning(error),
    rows.length > 0 && h("table", null, h("thead", null, h("tr", null, ["What", "Measured", "Limit", "Verdict"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", null, rows.map(line))));
}

// -- history ----------------------------------------------------------------------------------

function footer(view) {
  const { title = "Changed most", words = [], n = 0 } = view.get("worst");
  const item = ({ word, cosine, note }) => h("li", null, wordLink(view, word), " ", h("span.mute", null, note || fixed(cosine)));
  return h("div.footer", { key: "footer" }, historyStrip(view),
    h("div.card.worst", { class: view.isStale("worst") && "stale" }, h("div.title", null, title),
      h("ul", null, words.map(item)), n > words.length && button(`all ${whole(n)} →`, () => view.setUi({ tab: "damage" }), { name: "button.link" })));
}

function historyStrip(view) {
  const { quality, qualities = [], limit, points = [] } = view.get("history");
  const known = points.filter((point) => point.quality !== null);
  const sizes = [...known.map((point) => point.bytes), limit].filter(Boolean).map(Math.log);
  const heights = known.map((point) => point.quality);
  const scale = (values, room) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const pad = (high - low || 0.01) * room;
    return (value) => (100 * (value - low + pad)) / (high - low + 2 * pad);
  };
  const [across, up] = [scale(sizes, 0.04), scale(heights, 0.08)];
  const [x, y] = [(point) => across(Math.log(point.bytes)).toFixed(2), (point) => (100 - up(point.quality)).toFixed(2)];
  const bySize = [...known].sort((a, b) => a.bytes - b.bytes || b.quality - a.quality);
  let best = -Infinity;
  const frontier = bySize.filter((point) => point.quality > best && ((best = point.quality), true));
  const dot = (point) => {
    const marks = [point.now && "now", point.pinned && "A", point.best && "best"].filter(Boolean).join(", ");
    const text = `${point.brief}: ${bytes(point.bytes)}, ${fixed(point.quality)}${marks ? ` (${marks})` : ""}`;
    const classes = [frontier.includes(point) && "frontier", point.now && "now", x(point) > 50 && "right"].filter(Boolean).join(" ");
    return h("li", { key: point.id, style: `left: ${x(point)}%; top: ${y(point)}%` },
      button("", (event) => view.act(event.shiftKey ? "pin" : "go_back", { id: point.id }),
        { name: "button.dot", class: classes, "aria-label": text, "data-tip": text, tabindex: point.now || (!known.some((p) => p.now) && point === bySize[0]) ? 0 : -1 }),
      h("span", { "aria-hidden": "true", class: x(point) > 92 && "before" }, point.now ? "now" : point.pinned ? "A" : ""));
  };
  const choose = h("select", { "aria-label": "Quality", value: quality, onchange: (event) => view.act("quality", { id: event.target.value }) },
    qualities.map(({ id, label }) => h("option", { value: id }, label)));
  const line = { points: frontier.map((point) => `${x(point)},${y(point)}`).join(" ") };
  return h("div.card.history", { class: view.isStale("history") && "stale" },
    h("div.title", null, h("span", null, "Tried so far ", choose), h("span", null, "click = go back · Shift-click = compare with A")),
    h("div.plot", null,
      heights.length > 0 && [h("span.high.mute", null, fixed(Math.max(...heights), 2)), h("span.low.mute", null, fixed(Math.min(...heights), 2))],
      h("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" }, h("polyline", line),
        limit && known.length > 0 && h("line", { x1: across(Math.log(limit)), x2: across(Math.log(limit)), y1: 0, y2: 100 })),
      limit && known.length > 0 && h("span.limit-text.mute", { style: `right: ${100 - across(Math.log(limit))}%` }, `limit ${bytes(limit)}`),
      h("ol", { "aria-label": "Settings tried, by size", onkeydown: (event) => moveFocus(event, ".dot") }, bySize.map(dot))));
}

// -- keys -------------------------------------------------------------------------------------

const KEYS = [["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"], ["1 to 5", "tabs"], ["/", "search"], ["?", "this list"], ["Escape", "close, or stop a search"]];

function panelKeys(view, event) {
  const key = event.key.toLowerCase();
  const typing = event.target.closest("input:not([type=range], [type=checkbox]), select, textarea");
  if (typing || event.altKey) return;
  const { tabs = Object.keys(TABS) } = view.ui;
  const command = event.ctrlKey || event.metaKey;
  const does = command
    ? { z: () => view.act(event.shiftKey ? "redo" : "undo"), y: () => view.act("redo") }[key]
    : key === "?" ? () => view.setLocal({ keys: !view.local.keys })
    : key === "escape" ? () => view.setLocal({ keys: false, drawer: false })
    : key === "/" ? () => focusSearch(view)
    : tabs[Number(key) - 1] && (() => view.setUi({ tab: tabs[Number(key) - 1] }));
  if (!does) return;
  event.preventDefault();
  does();
}

function focusSearch(view) {
  const field = () => view.root.querySelector(".tab-panel input[type=search]");
  if (!field()) view.setUi({ tab: "map" });
  queueMicrotask(() => field()?.focus());
}

function keysBox(view) {
  const close = () => view.setLocal({ keys: false });
  return h("div.keys.card", { key: "keys", role: "dialog", "aria-label": "Keys" }, h("table", null, h("tbody", null,
    KEYS.map(([keys, text]) => h("tr", null, h("th", { scope: "row" }, keys), h("td", null, text))))), button("Close", close));
}
