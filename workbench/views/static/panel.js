// The compression panel: top bar, cards, rail of steps, tabs, history.

const TABS = [
  { id: "overview", label: "Overview", draw: overviewTab },
  { id: "map", label: "Map", draw: (view) => [mapTab(view), inspector(view)] },
  { id: "neighbours", label: "Neighbours", draw: neighboursTab },
  { id: "damage", label: "Damage", draw: damageTab },
  { id: "export", label: "Export", draw: exportTab },
];

DRAWINGS.panel = (view) => panelOf(view, TABS, cards, footer);

function panelOf(view, all, drawCards, drawFooter) {
  const { bare, tabs } = view.ui;
  const there = all.filter(({ id }) => tabs?.includes(id) ?? true);
  const { tab = there[0].id } = view.ui;
  const pane = h("section.pane", { key: "pane", "aria-label": "Results" },
    there.length > 1 && tabsOf(view, "tabs", there, tab, (id) => view.setUi({ tab: id })),
    tabPanel(view, "tabs", tab, there.find(({ id }) => id === tab)?.draw(view)));
  view.el.onkeydown = bare ? null : (event) => panelKeys(view, event, there); // the focus may be on the view itself
  return h("div.panel", { class: bare && "bare" }, topBar(view, there), problems(view),
    bare ? pane : [drawCards(view), h("div.panes", rail(view), pane), drawFooter(view)]);
}

const keysText = (tabs) =>
  `Ctrl+Z, Ctrl+Shift+Z: undo, redo · 1 to ${tabs.length}: tabs · /: search on the map · ?: these keys`;

function panelKeys(view, event, tabs) {
  const key = event.key.toLowerCase();
  if (event.altKey || event.target.closest("input:not([type=range], [type=checkbox]), select")) return;
  const search = () => view.root.querySelector(".tab-panel input[type=search]");
  const plain = {
    [key]: tabs[key - 1] && (() => view.setUi({ tab: tabs[key - 1].id })),
    "?": () => view.root.querySelector(".top > .help").focus(),
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

function topBar(view, tabs) {
  const { name = "No model", about, can_undo: canUndo, can_redo: canRedo, pinned, save_bytes: size,
    is_fixed: isFixed } = view.get("top"); // if no other model can be opened
  const label = [h("b", h("bdi", name)), h("span.mute", about)];
  if (view.ui.bare) return h("div.top", h("div.chip", label), status(view));
  const { drawer = false } = view.local;
  const goTo = (name) => () => {
    view.setUi({ tab: "export" });
    queueMicrotask(() => view.root.querySelector(`.${name}`)?.focus());
  };
  return h("div.top",
    button("☰ Recipe", () => view.setLocal({ drawer: !drawer }),
      { name: "button.drawer-button", "aria-expanded": String(drawer) }),
    isFixed ? h("div.chip", { title: about }, label)
      : menu([label, " ▾"], modelMenu(view), { title: `${about ?? ""}: open another`, name: "summary.chip" }),
    status(view), h("span.space"),
    button("↶ Undo", () => view.act("undo"), { disabled: !canUndo, title: "Ctrl+Z" }),
    button("↷", () => view.act("redo"), { disabled: !canRedo, title: "Ctrl+Shift+Z", "aria-label": "Redo" }),
    button(pinned ? "Unpin A" : "Pin as A", () => view.act("pin", { id: pinned ? null : present(view).id }),
      { title: "Show what changes against this setting, A", disabled: !pinned && !present(view) }),
    !isFixed && button("Report…", goTo("make-report"),
      { title: "Measure this setting on larger samples, with limits" }),
    button(size ? `Save ${bytes(size)}…` : "Save…", goTo("save"), { name: "button.primary", disabled: !size }),
    help(keysText(tabs)));
}

function status(view) {
  const { busy, errors = {}, ...work } = view.get("status");
  const { seconds: took } = view.get("top");
  const failed = Object.keys(errors).length > 0;
  const state = busy ? work.what : failed ? "stopped by an error" : "up to date";
  const text = busy ? progressText(work) : took && !failed ? `${state} · ${took.toFixed(1)} s` : state;
  const [sign, kind] = busy ? ["◐", "busy"] : failed ? ["▲", "bad"] : ["●", "good"];
  return h("span.status", h("b", { "aria-hidden": "true", class: kind }, sign), h("span", text),
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
  const open = (there) => (view.act("open", { path: there }), closeMenus(view));
  const enter = ({ key, target }) => key === "Enter" && target.value.trim() && open(target.value.trim());
  const browse = (there) => view.act("list_folder", { path: there });
  const entry = ({ name, path: there, is_folder: isFolder, bytes: size }) => h("li",
    button([isFolder && "▸ ", h("bdi", name), !isFolder && h("span.mute", ` ${bytes(size ?? 0)}`)],
      () => (isFolder ? browse : open)(there), { name: "button.entry" }));
  return [
    h("div.row", button("Built-in model", () => open("builtin:en")), button("Browse…", () => browse(path))),
    labelled("Path, then Enter", h("input", { type: "text", placeholder: "cc.en.300.bin", onkeydown: enter })),
    warning(error), entries && h("div", h("div.mute", path), h("ul.entries", entries.map(entry))),
    labelled("Upload from this computer",
      h("input", { type: "file", onchange: ({ target }) => upload(view, target.files[0]) })),
  ];
}

const CHUNK = 1 << 20; // bytes; a message to the kernel holds 10 MB at most

async function upload(view, file) {
  for (let offset = 0; file && (offset === 0 || offset < file.size); offset += CHUNK) { // of an empty one a part, too
    const part = await file.slice(offset, offset + CHUNK).arrayBuffer();
    view.act("upload", { name: file.name, offset, total: file.size }, [part]);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  closeMenus(view);
}

// A file that comes in parts and goes to the browser's downloads.
LISTENERS.download = (view, { name, offset, total }, [part]) => {
  view.parts = offset === 0 ? [part] : [...view.parts, part];
  view.setLocal({ downloaded: total ? (offset + part.byteLength) / total : 1 });
  if (view.local.downloaded === 1) saveFile(name, new Blob(view.parts));
};

// -- cards ------------------------------------------------------------------------------------

const EXPECTED = ["Kept words", "Dropped words", "Unseen words", "Neighbours kept"];

function cards(view) {
  return h("div.cards", { class: view.stale("cards") }, sizeCard(view), numberCards(view, EXPECTED));
}

// Numbers, or until there are any, their titles.
function numberCards(view, titles) {
  const { cards: numbers = titles.map((title) => ({ id: title, title })) } = view.get("cards");
  return numbers.map(({ help: about, value, digits, delta, how, ...own }) => card({ ...own,
    help: [about, how].join(" "), corner: own.waits ? "…" : how?.split(/\W/)[0],
    value: [fixed(value, digits), against(delta, (size) => fixed(size, digits))] }));
}

// The change against A: an arrow says the direction, the colour if that is better.
function against(delta, text, better = 1) {
  const kind = delta * better < 0 ? "small.bad" : "small.good";
  return delta ? h(kind, `${delta > 0 ? "▲" : "▼"} ${text(Math.abs(delta))} vs A`) : null;
}

// The size that Python foresees for the slider that is being dragged.
function foreseen(view) {
  const { i, name, bytes: size } = view.get("predicted");
  return view.local.drag?.key === `${i}-${name}` ? { i, size } : {};
}

function sizeCard(view) {
  const { help: about, how, bytes: size, limit, original, ratio, delta, beside } = view.get("cards").size ?? {};
  const { size: next } = foreseen(view);
  const over = limit && size > limit && "bad";
  const at = (n) => `${Math.min(100, (100 * n) / Math.max(limit ?? original, size))}%`;
  const corner = beside ?? (limit && h("span", { class: over }, over ? "⚠ over limit " : "limit ", h("b", bytes(limit))));
  const smaller = ratio && h("small", `${ratio < 10 ? fixed(ratio, 1) : whole(ratio)}× smaller`);
  const filled = h("div.bar", { "aria-hidden": "true" }, size && h("i", { class: over, style: `width: ${at(size)}` }),
    limit && h("u", { style: `left: calc(${at(limit)} - 2px)` }), next && h("u.next", { style: `left: ${at(next)}` }));
  const value = [how?.startsWith("predicted") && "≈ ", size ? bytes(size) : "–", next ? h("small.foreseen", `→ ${bytes(next)}`) : smaller];
  const note = [filled, against(delta, bytes, -1)];
  return card({ id: "size", title: "File size", help: [about, how].join(" "), corner, value, note });
}

// -- rail: presets, fit a size, steps ---------------------------------------------------------

function rail(view) {
  const { presets, steps, addable, fit } = view.get("rail");
  if (!presets) return h("section.rail", { "aria-label": "Recipe" });
  const custom = { label: "Custom", help: "Steps of your own", on: !presets.some(({ on }) => on), disabled: true };
  const add = (kind) => (view.act("add", { kind, at: steps.length }), closeMenus(view));
  const addition = ({ kind, label, blurb }) =>
    button([h("b", label), h("span.mute", blurb)], () => add(kind), { name: "button.entry" });
  const keyOf = ({ kind, i }) => `${kind}-${steps.filter((step) => step.kind === kind && step.i < i).length}`;
  return h("section.rail", { class: view.local.drawer && "open", "aria-label": "Recipe" },
    segmented("Presets", [...presets, custom], (id) => view.act("preset", { id })), fit && fitCard(view, fit),
    h("ol.steps", steps.map((step) => stepCard(view, step, steps.length, keyOf(step)))),
    menu("+ Add a step", addable.map(addition), { name: "summary.add" }));
}

function fitCard(view, { limit, low, high, goal, goals, running }) {
  const value = limit ?? 10 * low;
  const ends = { low: Math.min(low, value), high: Math.max(high, value) };
  const about = { label: "Size limit", kind: "bytes", log: true, value, ...ends };
  const { drag, goal: wanted = goal } = view.local;
  const find = () => view.act("find", { text: drag?.key === "fit" ? drag.value : value, goal: wanted });
  return h("div.card.fit",
    h("div.title", h("b", "Fit a size"), help("Search for the best recipe whose file is not larger than this."),
      running && h("span.effect", `tried ${running.tried} of ${running.of}${timeLeft(view.get("status").left)}`)),
    h("div.row", slider(view, "fit", about, { set: (size) => view.act("limit", { text: size }) }),
      button("Find best", find, { name: "button.primary", disabled: Boolean(running) })),
    running ? h("div.mute", { role: "status" }, running.best_bytes
      ? `best so far ${bytes(running.best_bytes)}, ${fixed(running.best_quality)}` : "searching…")
      : h("label.goal", "for the best ", select(goals, wanted, (id) => view.setLocal({ goal: id }))));
}

function stepCard(view, { i, label, blurb, effect, error, fields }, n, key) {
  const { [key]: open = false, dragged, over } = view.local;
  const next = foreseen(view);
  const move = (from, to) => to >= 0 && to < n && to !== from && view.act("move", { i: from, to });
  const grip = h("span.grip", {
    role: "button", tabindex: 0, draggable: "true", title: "Drag, or press the arrow keys",
    "aria-label": `Move ${label}, step ${i + 1} of ${n}`,
    ondragstart: ({ dataTransfer, target }) => {
      dataTransfer.setData("text/plain", label);
      dataTransfer.setDragImage(target.closest("li"), 10, 10);
      view.setLocal({ dragged: i });
    },
    ondragend: () => view.setLocal({ dragged: null, over: null }),
    onkeydown: (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (by) event.preventDefault(move(i, i + by));
    },
  }, "⋮⋮");
  const place = Number.isInteger(dragged) && {
    ondragover: (event) => event.preventDefault(over === i || view.setLocal({ over: i })),
    ondrop: (event) => event.preventDefault(move(dragged, i)),
  };
  const row = (about) => fieldRow(view, `${i}-${about.name}`, about, {
    set: (value) => (predict(view, null), view.act("set", { i, name: about.name, value })),
    move: (value) => view.get("rail").fit && predict(view, { i, name: about.name, value }),
  });
  const more = { name: "button.more", "aria-expanded": String(open), "aria-label": `${label}: advanced` };
  return h("li.card.step", { key, class: over === i && "over", ...place },
    h("div.title", grip, button(`${i + 1} ${label}`, null, { name: "button.help.name", "data-tip": blurb }),
      next.i === i ? h("span.effect.foreseen", `→ ${bytes(next.size)}`) : h("span.effect", { title: effect }, effect),
      button(open ? "▾" : "⋯", () => view.setLocal({ [key]: !open }), more)),
    warning(error), fields.filter(({ main }) => main || open).map(row),
    open && button("Remove this step", () => view.act("remove", { i }), { name: "button.small" }));
}

// Ask for the size that a change would give, ten times a second at most; null: no longer.
function predict(view, change) {
  view.foreseen = change;
  view.asking ??= setTimeout(() => {
    view.asking = null;
    if (view.foreseen) view.act("predict", view.foreseen);
  }, 100);
}

// -- tabs -------------------------------------------------------------------------------------

// A word that leads to its place on the map.
function wordLink(view, word) {
  const show = () => {
    view.act("look", { words: [word] });
    view.setUi({ tab: "map" });
  };
  const hasMap = view.ui.tabs?.includes("map");
  const name = h("bdi", word);
  return hasMap ? button(name, show, { name: "button.link.place", title: word }) : h("b.place", name);
}

const asWord = (view) => column("word", "Word", { show: ({ word }) => wordLink(view, word) });
const ofWords = (view) => ({ filter: "Find a word",
  none: (word) => h("p.mute", "Not among these words. Look at ", wordLink(view, word), " on the map.") });
const RANK = asCount("rank", "Rank", "1: the most frequent word.");
const COSINE = asNumber("cosine", "Cosine", fixed, "To the word's original vector.");

function overviewTab(view) {
  const { rows = [] } = view.get("overview");
  const columns = [
    column("what", "Measure", { show: (row) => [row.what, help(row.help)] }),
    column("value", "Value", { show: ({ share, value }) => bar(share, h("b", value)) }),
    ...(rows.some((row) => row.before) ? [column("before", view.get("top").pinned ? "A" : "Before")] : []),
    column("spread", "Spread", { wide: true }), column("how", "Measured", { wide: true })];
  return page(view, "overview", rows.length, () => [
    present(view) && h("p", h("b", "Recipe "), present(view).brief),
    dataTable(view, "measures", columns, rows, { caption: "Measures" })]);
}

function neighboursTab(view) {
  const { rows = [], how } = view.get("neighbours");
  const list = (id, label, sign) => column(id, label, { wide: true, value: (row) => row[id].join(" · "),
    show: (row) => row[id].length > 0 && h(`span.${id}`, `${sign} `, h("bdi", row[id].join(" · "))) });
  const kept = column("kept", "Kept", { number: true, show: ({ kept: n, k }) => bar(n / k, `${n} of ${k}`) });
  const columns = [asWord(view), RANK, COSINE, kept, list("lost", "Lost", MINUS), list("gained", "Gained", "+")];
  const options = { caption: "Neighbours", ...ofWords(view), sort: { by: "kept" } };
  return page(view, "neighbours", rows.length, () => [
    h("p.mute", how), dataTable(view, "neighbours", columns, rows, options)]);
}

function damageTab(view) {
  const { summary, how, groups = [], words = [] } = view.get("damage");
  const loss = (text) => asNumber("loss_share", "Share of loss", text, "Weighted by frequency.");
  const worst = column("worst", "Largest shift", { wide: true, value: (row) => row.worst.join(" · "),
    show: (row) => row.worst.map((word, i) => [i > 0 && " · ", wordLink(view, word)]) });
  const ofGroups = [
    column("group", "Words", { show: (g) => [h("span.mute", `${g.by}: `), g.group, help(g.meaning)] }),
    asCount("n", "Number"), asNumber("mean", "Mean cosine", fixed), asNumber("p5", "5th percentile", fixed),
    asNumber("no_vector", "No vector", (share) => percent(share, 1)), loss(bar), worst];
  const aboutWords = [asWord(view), RANK, asCount("count", "Count"), COSINE, loss((share) => percent(share, 2)),
    column("shape", "Shape"), column("fate", "Vector")];
  const table = (caption, columns, rows, options) => dataTable(view, caption, columns, rows, { caption, ...options });
  const byLoss = { ...ofWords(view), sort: { by: "loss_share", down: true } };
  return page(view, "damage", groups.length || words.length, () => [
    h("p", h("b", summary)), h("p.mute", how?.join(" · ")), table("Groups of words", ofGroups, groups),
    h("h4", "Most affected words"), table("Most affected words", aboutWords, words, byLoss)]);
}

// -- export -----------------------------------------------------------------------------------

function saveForm(view) {
  const { path: suggested, formats, saved } = view.get("export");
  if (!formats) return null;
  const { path = suggested, format = formats[0].id } = view.ui;
  const { downloaded = 1 } = view.local;
  const known = (id) => formats.find((one) => one.id === id);
  const { suffix, losses } = known(format);
  const stem = suffix && path.endsWith(suffix) ? path.slice(0, -suffix.length) : null;
  const choose = (id) => view.setUi({ format: id, path: stem === null ? path : stem + known(id).suffix });
  return h("div.form",
    h("div.pair", labelled("Format", select(formats, format, choose)),
      labelled("Path", textBox(path, (text) => view.setUi({ path: text })))),
    losses.length > 0 && h("div", { role: "status" }, "⚠ This format cannot hold:",
      h("ul", losses.map((text) => h("li", text)))),
    h("div.row", button("Save", () => view.act("save", { path, format }), { name: "button.primary.save" }),
      button("Download in the browser", () => view.act("download", { format })), h("span.saved", { role: "status" },
        downloaded < 1 ? `Downloading: ${percent(downloaded)}` : saved && `✓ ${saved}`)),
    warning(view.problemOf("save")));
}

function exportTab(view) {
  const { code, limits } = view.get("export");
  const copy = () => { // navigator.clipboard is not there on a page that came by plain http
    getSelection().selectAllChildren(view.root.querySelector(".export pre"));
    document.execCommand("copy");
    view.setLocal({ copied: code });
  };
  const copier = button(view.local.copied === code ? "✓ Copied" : "Copy", copy, { name: "button.small" });
  return page(view, "export", code, () => [
    h("div.form", h("h4", "Recipe ", copier), h("pre", { tabindex: 0 }, code)),
    h("div.form", h("h4", "Save"), saveForm(view), limits && [h("h4", "Report ",
      help("Builds this setting again in a notebook, measures it on larger samples, and checks each limit.")),
    reportForm(view)])]);
}

function reportForm(view) {
  const { limits: suggested, folder: usual, report, writing } = view.get("export");
  const { limits: own = {}, folder = usual } = view.ui;
  const limits = suggested.map((limit) => ({ on: true, ...limit, ...own[limit.id] }));
  const chosen = limits.filter(({ on }) => on).map(({ id, value }) => [id, value]);
  const start = () => view.act("report", { folder, limits: Object.fromEntries(chosen) });
  const row = (limit) => {
    const { id, label, value, on } = limit;
    const set = (changes) => view.setUi({ limits: { ...own, [id]: { ...own[id], ...changes } } });
    const onchange = ({ target }) => set({ value: parsed(target.value, limit) ?? value });
    const verdict = report?.rows.find((row) => row.name === id && row.limit === value); // on no earlier limit
    return h("div.slider.open.limit",
      h("label", h("input", { type: "checkbox", checked: on, onchange: () => set({ on: !on }) }), label),
      h("span", verdict && verdictOf(verdict, limit)),
      h("input.number", { type: "text", value: written(value, limit), disabled: !on, "aria-label": label, onchange }));
  };
  return h("div.form",
    h("div", limits.map(row)),
    h("div.row", textBox(folder, (text) => view.setUi({ folder: text }), { "aria-label": "Folder of the report" }),
      writing ? button("Stop", () => view.act("stop_report"), { key: "stop" })
        : button("Make report", start, { name: "button.make-report", key: "make" }),
      h("span", { role: "status" }, writing && progressText(writing))),
    warning(view.problemOf("report")), report && outcome(report));
}

function verdictOf({ met, value, status: why }, { kind }) {
  const measured = value === null ? why : kind === "bytes" ? bytes(value) : fixed(value, 4);
  return met ? h("span.good", "✓ met: ", measured) : h("span.bad", "✗ not met: ", measured);
}

function outcome({ passed, error, href, of }) {
  return h("div", { role: "status" },
    passed ? h("b.good", "✓ Every limit is met. ") : h("b.bad", "✗ Not every limit is met. "),
    href && h("a", { href, target: "_blank", rel: "noopener" }, "Read the report"), h("div.mute", of), warning(error));
}

// -- history ----------------------------------------------------------------------------------

function footer(view) {
  const { title = "Changed most", words = [], n = 0 } = view.get("worst");
  const about = ({ cosine, note }) => [note, cosine === null ? "no vector" : !note && fixed(cosine)];
  const item = (row) => h("li", wordLink(view, row.word), " ",
    h("span.mute", about(row).filter(Boolean).join(" · ")));
  const all = () => view.setUi({ tab: "damage" });
  return h("div.footer", historyStrip(view),
    h("div.card.worst", { class: view.stale("worst") },
      h("div.title", title, n > words.length && button(`all ${whole(n)} →`, all, { name: "button.link" })),
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
  const tried = [...points].sort((a, b) => a.bytes - b.bytes);
  const [sizes, heights] = ["bytes", "quality"].map((name) => tried.map((point) => point[name]));
  const across = scale([...sizes, ...(limit ? [limit] : [])].map(Math.log), 0.04);
  const up = scale(heights, 0.1);
  const x = (size) => across(Math.log(size));
  const y = (value) => 100 - up(value);
  const reached = tried.find(({ now }) => now) ?? tried[0]; // by the Tab key; the arrow keys reach the others
  const dot = (point) => {
    const { id, brief, best, now, pinned } = point;
    const [name, text] = [now ? "now" : pinned ? "A" : "", `${brief}: ${bytes(point.bytes)}, ${fixed(point.quality)}`];
    const click = (event) => view.act(event.shiftKey ? "pin" : "go_back", { id });
    return h("li", { key: id, style: `left: ${x(point.bytes)}%; top: ${y(point.quality)}%` },
      button("", click, { class: ["dot", best && "best", now && "now"], "data-tip": text,
        "aria-label": `${name} ${text}`.trim(), tabindex: point === reached ? 0 : -1 }),
      h("span", { "aria-hidden": "true" }, name));
  };
  const frontier = tried.filter(({ best }) => best).map((point) => `${x(point.bytes)},${y(point.quality)}`).join(" ");
  const choice = select(qualities, quality, (id) => view.act("quality", { id }), { "aria-label": "Quality" });
  return h("div.card.history", { class: view.stale("history") },
    h("div.title", h("span", "Tried so far: size against ", choice), "click = go back · Shift-click = compare with A"),
    tried.length > 0 && h("div.plot",
      [...new Set([Math.max(...heights), Math.min(...heights)])]
        .map((value) => h("span.mute", { style: `top: ${y(value)}%` }, fixed(value))),
      h("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" },
        h("polyline", { points: frontier })),
      limit && h("span.at-limit.mute", { style: `right: ${100 - x(limit)}%` }, `limit ${bytes(limit)}`),
      h("ol", { "aria-label": "Settings tried", onkeydown: (event) => moveFocus(event, ".dot") }, tried.map(dot))));
}
