// Parts that all views are made of: numbers, buttons, tabs, menus, sliders, tables.

const MINUS = "−";
const whole = (n) => Math.round(n).toLocaleString("en-US");
const fixed = (x, digits = 3) => (Number.isNaN(x ?? NaN) ? "–" : x.toFixed(digits).replace("-", MINUS));
const percent = (x, digits = 0) => `${(100 * x).toFixed(digits)}%`;
const seconds = (s) => (s < 90 ? `${Math.max(1, Math.round(s))} s` : `${Math.round(s / 60)} min`);

function bytes(n) {
  const [unit, size] = n >= 1e9 ? ["GB", 1e9] : n >= 1e5 ? ["MB", 1e6] : n >= 1e3 ? ["kB", 1e3] : ["bytes", 1];
  const digits = unit === "bytes" || n >= 100 * size ? 0 : n >= 10 * size ? 1 : 2;
  return `${(n / size).toFixed(digits)} ${unit}`;
}

const button = (text, onclick, { name = "button", ...props } = {}) =>
  h(name, { type: "button", onclick, ...props }, text);
const warning = (text) => (text ? h("div.error", { role: "alert" }, "⚠ ", text) : null);

// "?": one sentence that says what something is, for mouse, keyboard and screen reader alike.
const help = (text) => (text ? button("?", null, { name: "button.help", "aria-label": text, "data-tip": text }) : null);

// The theme's colours, for canvases: `colour(el, "--ink")`.
const colour = (el, name) => getComputedStyle(el).getPropertyValue(name).trim();

// A value that is made again only when what it needs is another.
function remember(view, name, needs, make) {
  const kept = (view.remembered ??= {});
  if (!kept[name] || needs.some((need, k) => need !== kept[name].needs[k])) kept[name] = { needs, value: make() };
  return kept[name].value;
}

// An id for the page: each place where a view is shown has its own.
let viewCount = 0;
const idOf = (view, name) => `wb${(view.number ??= ++viewCount)}-${name}`;

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
  return h("div.segments", { role: "group", "aria-label": label }, options.map(one));
}

// A button that opens a box. Escape closes it, and so does leaving it (core.js).
function menu(label, content, { name = "summary", ...props }) {
  const onkeydown = (event) => {
    const box = event.currentTarget;
    if (event.key !== "Escape" || !box.open) return;
    event.stopPropagation();
    box.open = false;
    box.firstChild.focus();
  };
  const show = ({ target: { open, lastChild } }) => open && lastChild.scrollIntoView({ block: "nearest" });
  return h("details.menu", { onkeydown, ontoggle: show },
    h(name, props, label), h("div.menu-box", { tabindex: -1 }, content));
}

const closeMenus = (view) => view.root.querySelectorAll("details.menu").forEach((box) => { box.open = false; });

// A choice among [{id, label or title}].
function select(options, value, onchange, props = {}) {
  const chosen = (event) => onchange(options[event.target.selectedIndex].id);
  const option = ({ id, label, title }) => h("option", { value: String(id ?? "") }, label ?? title);
  return h("select", { value: String(value ?? ""), onchange: chosen, ...props }, options.map(option));
}

const textBox = (value, set, props = {}) => // `set` hears of each key
  h("input", { type: "text", value, oninput: (event) => set(event.target.value), ...props });
const labelled = (label, control) => h("label.field", { key: label }, label, control);

// The values that a slider stops at, each another one: even steps, or even ratios if `log`, rounded as a person would.
function stopsOf({ low, high, log, kind, all_is_none: orAll }, n = 200) {
  const first = low || 1; // of ratios
  const digits = kind === "number" ? 2 : log ? 3 : 15;
  const between = Array.from({ length: n - 1 }, (_, i) => (i + 1) / n).map((share) => {
    const value = log ? first * (high / first) ** share : low + (high - low) * share;
    const short = Math.min(high, Number(value.toPrecision(digits)));
    return kind === "number" ? short : Math.round(short);
  });
  return [...new Set([low, ...between, orAll ? null : high])];
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
  if (value === null) return orAll ? "all" : "";
  return kind === "bytes" ? bytes(value) : kind === "number" ? String(value) : whole(value);
}

// A slider and a box for the same number. `move(value)` is called while it is dragged, `set(value)` when it is let go.
// about: {label, help, kind: "count" | "whole" | "number" | "bytes", value, low, high, log, all_is_none}
function slider(view, key, about, { move = () => {}, set }) {
  const { label, low, high, log, kind, all_is_none: orAll } = about;
  const held = view.local.drag;
  if (held?.key === key && held.released && (held.from !== about.value || view.isSettled)) view.local.drag = null;
  const value = view.local.drag?.key === key ? held.value : about.value;
  const text = written(value, about);
  const drag = (there, released) => view.setLocal({ drag: { key, value: there, from: about.value, released } });
  const release = (there) => (set(there), drag(there, true)); // shown until Python's own value has come
  const isOpen = high === null || high === undefined; // no end, so no slider
  const stops = isOpen ? [] : remember(view, `${key}-stops`, [low, high, log, kind, orAll], () => stopsOf(about));
  const place = value === null ? stops.length - 1 : stops.findLastIndex((stop) => stop !== null && stop <= value);
  const slid = (then) => (event) => then(stops[event.target.value]);
  const typed = (event) => {
    const there = parsed(event.target.value, about);
    if (there === undefined) event.target.value = text;
    else if (there !== about.value) release(there);
  };
  return h("div.slider", { key, class: isOpen && "open" }, h("span", label, help(about.help)), !isOpen && h("input", {
    key: "range", type: "range", min: 0, max: stops.length - 1, value: place, "aria-label": label,
    "aria-valuetext": text, oninput: slid((there) => (drag(there), move(there))), onchange: slid(release),
  }), h("input.number", { key: "box", type: "text", value: text, "aria-label": `${label}, typed`, onchange: typed }));
}

// A control with its name: a slider, or for the kinds "choice", with choices [[value, label]], "tick" and "text" those.
function fieldRow(view, key, about, { set, move }) {
  const { label, kind, value, choices } = about;
  if (["count", "whole", "number"].includes(kind)) return slider(view, key, about, { set, move });
  const [type, has] = kind === "tick" ? ["checkbox", "checked"] : ["text", "value"];
  const name = { "aria-label": label };
  const control = kind === "choice" ? select(choices.map(([id, text]) => ({ id, label: text })), value, set, name)
    : h("input", { type, [has]: value ?? "", onchange: ({ target }) => set(target[has]), ...name });
  return h("div.slider.wide", { key }, h("span", label, help(about.help)), control);
}

// A table that is sorted by a click on a heading and filtered by typing; its first column names the row.
// columns: [{id, label, help, value: row => number | text | null, show: row => element, number: bool, wide: bool}]
// options: {caption, filter: label of the search field, sort: {by, down}, n: rows shown at first, none: text => what
// stands there if nothing is found}
function dataTable(view, id, columns, rows, { caption, filter, sort, n = 50, none }) {
  const state = { by: null, down: false, find: "", shown: n, ...sort, ...view.ui.tables?.[id] };
  const set = (changes) => view.setUi({ tables: { ...view.ui.tables, [id]: { ...state, ...changes } } });
  const valueOf = (column, row) => (column.value ? column.value(row) : row[column.id]) ?? null;
  const wanted = state.find.trim().toLowerCase();
  const matches = (row) => columns.some((c) => !c.number && String(valueOf(c, row)).toLowerCase().includes(wanted));
  let found = wanted ? rows.filter(matches) : rows;
  const sorted = columns.find((column) => column.id === state.by);
  if (sorted) {
    const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b) * (state.down ? -1 : 1);
    const compare = ([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : order(a, b)); // null last
    found = found.map((row) => [valueOf(sorted, row), row]).sort(compare).map(([, row]) => row);
  }
  const heading = (c) => {
    const order = c !== sorted ? "none" : state.down ? "descending" : "ascending";
    const click = () => set({ by: c.id, down: c === sorted ? !state.down : Boolean(c.number) });
    return h("th", { scope: "col", class: c.number && "number", "aria-sort": order },
      button(c.label, click, { name: "button.sort" }), help(c.help));
  };
  const cell = (row) => (c, place) => h(place === 0 ? "th" : "td", {
    class: c.number ? "number" : c.wide && "wide", scope: place === 0 && "row", title: c.wide && valueOf(c, row),
  }, c.show ? c.show(row) : valueOf(c, row) ?? "–");
  const search = textBox(state.find, (text) => set({ find: text, shown: n }),
    { type: "search", placeholder: filter, "aria-label": filter });
  const count = wanted ? `${whole(found.length)} of ${whole(rows.length)}` : whole(rows.length);
  const more = Math.min(n, found.length - state.shown);
  return h("div.data-table", { key: id },
    filter && h("div.row", search, h("span.mute", { role: "status" }, count)),
    h("table", h("caption.sr", caption), h("thead", h("tr", columns.map(heading))),
      h("tbody", found.slice(0, state.shown).map((row) => h("tr", columns.map(cell(row)))))),
    found.length === 0 && none?.(state.find.trim()),
    more > 0 && button(`Show ${whole(more)} more`, () => set({ shown: state.shown + n })));
}

const timeLeft = (left) => (left ? ` · ${seconds(left)} left` : "");
const progressText = ({ what, share, left }) =>
  `${what || "Working"}… ${share ? percent(share) : ""}${timeLeft(left)}`;

// A share as a bar with its text.
function bar(share, text = percent(share)) {
  const width = `width: ${100 * Math.min(1, Math.max(0, share ?? 0))}%`;
  return h("span.bar-cell", h("span.bar", { "aria-hidden": "true" }, h("i", { style: width })), h("span", text));
}

// A number with its name, and a note below it.
const card = ({ id, title, help: about, corner, value, note, waits }) =>
  h("div.card.tile", { key: title, class: [id, waits && "stale"], role: "group", "aria-label": title },
    h("div.title", h("span", title, help(about?.trim())), h("span.corner", corner)),
    h("div.value", value), h("div.note", note));

// Columns of tables.
const column = (id, label, more) => ({ id, label, ...more });
const asNumber = (id, label, text, about) =>
  column(id, label, { show: (row) => text(row[id]), number: true, help: about });
const asCount = (id, label, about) => asNumber(id, label, (n) => (n === null ? "–" : whole(n)), about);

// The page of a tab, dimmed while its numbers are those of an earlier setting.
function page(view, block, isThere, content) {
  const waiting = view.get("status").busy ? "The numbers will appear here…" : "Nothing to show yet.";
  return h(`div.page.${block}`, { class: view.stale(block) },
    isThere ? content() : h("p.mute", waiting));
}

function saveFile(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
