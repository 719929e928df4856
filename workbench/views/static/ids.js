// Semantic IDs: a map of the items beside the tree of their codes, an item's way down, and what is similar to it.

const want = (view, traits) => view.act("want", traits);
const idText = (codes) => codes.join("-") || "All items";
const itemCount = (n) => `${whole(n)} item${n === 1 ? "" : "s"}`;
const itemLink = (view, { item, name }) =>
  button(h("bdi", name), () => want(view, { item }), { name: "button.link.place" });

DRAWINGS.ids = (view) => {
  const { n, used, size, unique } = view.get("head");
  if (!n) return h("div.panel.ids", status(view), problems(view));
  const shares = [Math.min(...used), Math.max(...used)].map((count) => percent(count / size));
  const tabs = [{ id: "similar", label: "Similar items, similar ids" }, { id: "quality", label: "Quality" }];
  const { tab = "similar" } = view.ui;
  return h("div.panel.ids", null,
    h("div.top", h("b", "Semantic IDs"), h("span.mute", `${itemCount(n)} × ${used.length} codes`),
      status(view), h("span.space"), itemSearch(view)),
    problems(view),
    h("div.cards",
      card({ title: "Items", help: "Items that have an id.", value: whole(n), note: `${used.length} codes each` }),
      card({ title: "Different ids", help: "Items of the same id cannot be told apart.", value: whole(unique),
        note: `${percent(unique / n, 1)} of the items` }),
      card({ title: "Entries in use", help: "Codes of a level that some item has.",
        value: [...new Set(shares)].join(" to "), note: `${used.map(whole).join(", ")} of ${whole(size)}` }),
      metricCard(view, "Neighbours kept"), metricCard(view, "Lift")),
    idPath(view), h("div.both", idMap(view), codeTree(view)),
    h("section.pane", { "aria-label": "Details" }, tabsOf(view, "tabs", tabs, tab, (id) => view.setUi({ tab: id })),
      tabPanel(view, "tabs", tab, tab === "quality" ? qualityTab(view) : similarTab(view))));
};

function metricCard(view, title) {
  const { rows } = view.get("quality");
  const { help: about, texts = ["…"], by_level: byLevel, how } = rows?.find(({ what }) => what === title) ?? {};
  if (rows && !how) return null; // nothing is known of vectors
  const [value, spread] = texts[0].split(/[()]/);
  return card({ title, help: about, value, note: [byLevel && "first code, ", spread ?? how] });
}

// A search that asks Python for items while one types; Enter takes the first, arrow keys move among them.
function itemSearch(view) {
  const { typed = "" } = view.local;
  const { query, items = [] } = view.get("offers");
  const search = (text) => (view.setLocal({ typed: text }), view.act("search", { text }));
  const choose = (item) => {
    view.setLocal({ typed: "" });
    view.setUi({ tab: "similar" });
    want(view, { item });
  };
  const keys = {
    Enter: () => query === typed && items[0] && choose(items[0][0]),
    Escape: () => view.setLocal({ typed: "" }),
  };
  const label = { placeholder: "Find an item", "aria-label": "Find an item" };
  const found = items.length ? `${items.length} found` : "No item is called so or alike";
  return h("div.menu.item-search", { onkeydown: (event) => moveFocus(event, "input, button") },
    textBox(typed, search, { type: "search", onkeydown: ({ key }) => keys[key]?.(), ...label }),
    typed.trim() && query && h("div.menu-box", { role: "group", "aria-label": "Items found" },
      h("div.mute", { role: "status" }, found),
      items.map(([item, name]) => button(h("bdi", name), () => choose(item), { name: "button.entry" }))));
}

// Codes one behind the other, each with its telling words; a click goes there.
function codeChips(view, path, current) {
  const chip = ({ prefix, text, count }) => button(
    [h("b", path.length > 1 ? prefix.at(-1) ?? "All items" : idText(prefix)), " ", h("bdi", text)],
    () => want(view, { prefix }),
    { name: "button.code", title: `${idText(prefix)}: ${itemCount(count)}\n${text}`,
      "aria-current": idText(prefix) === current && "true" });
  return h("ol.codes", path.map((step) => h("li", chip(step))));
}

function idPath(view) {
  const { path = [] } = view.get("path");
  const { level, n_codes: nCodes, prefix = [] } = view.get("legend");
  const { n, n_levels: deepest } = view.get("head");
  const first = Math.min(prefix.length + 1, deepest);
  const levels = Array.from({ length: deepest - first + 1 }, (_, i) => first + i);
  const field = { label: "Codes in colour", value: Math.min(view.model.get("n_coloured"), nCodes), low: 1,
    high: Math.min(49, nCodes), kind: "count", help: "The most populous codes have a colour and a shape each." };
  return h("nav.way", { "aria-label": "Codes" },
    codeChips(view, [{ prefix: [], text: "", count: n }, ...path], idText(prefix)), h("span.space"),
    levels.length > 1 && select(levels.map((id) => ({ id, label: `Level ${id}` })), level,
      (id) => want(view, { level: id }), { "aria-label": "Level in colour", title: "Level in colour" }),
    nCodes > 1 && slider(view, "n_coloured", field, { set: (value) => want(view, { n_coloured: value }) }));
}

// -- the map ------------------------------------------------------------------------------------

const NEAREST = {
  by_vector: { sign: "○", text: "nearest by vectors", shape: "circle", colour: "--kept" },
  by_id: { sign: "△", text: "nearest by id", shape: "triangle", colour: "--gained" },
};

function idMap(view) {
  const [p, legend, near, { n, no_map: noMap }] = ["points", "legend", "near", "head"].map((name) => view.get(name));
  const [drawn, selected, nItems] = ["drawn", "selected", "n_items"].map((name) => view.model.get(name));
  const label = { "aria-label": "Map" };
  if (!p.n || !legend.codes) return h("section.pane", label, h("p.page.mute", noMap || "The map will appear here…"));
  const look = remember(view, "id-look", [p, legend], () => idLook(view, p, legend));
  const at = remember(view, "id-rows", [p], () => new Map(p.items.map((item, i) => [item, i])));
  const flags = remember(view, "id-flags", [p, selected],
    () => (selected.length ? flagsOf(p.items, new Set(selected)) : null));
  const mark = (rows = [], form) => rows.filter(({ item }) => at.has(item))
    .map(({ item, name }) => ({ ...form, i: at.get(item), text: name }));
  const marks = [...mark(near.item && [near], { colour: "--bad", shape: "star", strong: true }),
    ...Object.entries(NEAREST).flatMap(([kind, form]) => mark(near[kind], { ...form, hollow: true }))];
  const choose = (found) =>
    view.act("select", { points: found ? [...found.keys()].filter((i) => found[i]) : [] });
  const numbers = [...new Set([500, 1000, 2000, 5000, 20_000, nItems, n].map((some) => Math.min(some, n)))];
  const counts = numbers.sort((a, b) => a - b).map((id) => ({ id, label: (id === n ? "all " : "") + itemCount(id) }));
  const kinds = ["UMAP", "PCA"].map((id) => ({ id, label: id, on: id === drawn }));
  return h("section.pane", label,
    h("div.map-bar", h("b", "Map"),
      select(counts, Math.min(nItems, n), (id) => want(view, { n_items: id }), { "aria-label": "Items on the map" }),
      segmented("Kind of map", kinds, (id) => want(view, { drawn: id })),
      flags && [h("span", { role: "status" }, `${whole(selected.length)} selected`),
        button("Clear", () => choose(null), { name: "button.link" })],
      h("span.space"), p.trustworthiness && `trustworthiness ${fixed(p.trustworthiness, 2)}`,
      help(`Shown: ${p.sample}. Trustworthiness is 1 if near points have near vectors, and 0.5 by chance.`)),
    component(PointMap, { ...look, selected: flags, marks, select: choose, label: "Map of the items",
      name: (i) => p.names[i], tip: (i) => `${p.names[i]} · ${idText(look.id(i))}`,
      pick: (i) => want(view, { item: p.items[i] }) }, "div", { class: view.stale("points") }),
    codeLegend(view, look.counts, near.item && at.has(near.item), near.item));
}

// Colours and shapes of points by code, and the words of codes in the middle of their points.
function idLook(view, p, { level, prefix, codes }) {
  const [ids, points] = [view.array(Int32Array, p.codes), view.array(Float32Array, p.places)];
  const id = (i) => [...ids.subarray((i * ids.length) / p.n, ((i + 1) * ids.length) / p.n)];
  const place = new Map(codes.map(({ code }, k) => [code, k]));
  const groups = Array.from({ length: codes.length + 2 }, () => []); // other codes and other prefixes behind the codes
  const colours = Uint16Array.from({ length: p.n }, (_, i) => {
    const own = id(i);
    const isBelow = prefix.every((code, depth) => own[depth] === code);
    const k = isBelow ? place.get(own[level - 1]) ?? codes.length : codes.length + 1;
    groups[k].push(i);
    return k;
  });
  const middle = (group, axis) => group.map((i) => points[2 * i + axis]).sort((a, b) => a - b)[group.length >> 1];
  const names = codes.map(({ text, code }, k) => ({ text: text || `code ${code}`, group: groups[k] }));
  return {
    id, points, colours, frame: frameOf(points), counts: groups.map((group) => group.length),
    order: groups.reverse().flat(), palette: [...codes.map((code) => code.colour), `${GREYS[0]}90`, `${GREYS[0]}38`],
    shapes: Uint8Array.from(colours, (k) => Math.max(0, SHAPES.indexOf(codes[k]?.shape))),
    labels: names.filter(({ group }) => group.length)
      .map(({ text, group }) => ({ text, at: [middle(group, 0), middle(group, 1)] })),
  };
}

// What colours and signs mean; a code that comes next is a way down.
function codeLegend(view, counts, isThere, item) {
  const { codes, n_codes: nCodes, level, prefix } = view.get("legend");
  const [others, outside] = counts.slice(-2);
  const entry = ({ code, text, colour: ink, shape }, k) =>
    button([legendSign(SIGNS[shape], ink), " ", h("b", code), " ", h("bdi", text)],
      () => want(view, { prefix: [...prefix, code] }),
      { name: "button.code", disabled: level !== prefix.length + 1, title: `${itemCount(counts[k])} on the map` });
  return h("div.map-bar.legend", { tabindex: 0, role: "group", "aria-label": "Legend" }, codes.map(entry),
    others > 0 && legendSign("●", GREYS[0], `${whole(nCodes - codes.length)} other codes`),
    outside > 0 && legendSign("●", `${GREYS[0]}70`, `not ${idText(prefix)}`),
    isThere && [legendSign("★", "var(--bad)", "the item"),
      Object.values(NEAREST).map(({ sign, colour: ink, text }) => legendSign(sign, `var(${ink})`, text))],
    item && !isThere && "The item looked at is not on the map.");
}

// -- the tree -----------------------------------------------------------------------------------

const ROOT = 0.62; // width of the first column, in widths of the others

function codeTree(view) {
  const { tiles = [] } = view.get("tiles");
  const { items = [], n } = view.get("path");
  const unit = 100 / (Math.max(0, ...tiles.map(({ column }) => column)) + ROOT);
  return h("section.pane", { "aria-label": "Tree of codes" },
    h("div.map-bar", h("b", "Tree of codes"), help("The height of a tile is its number of items; names " +
      "are of items in its middle. Less populous codes are joined, and drawn no higher than the average beside them.")),
    h("div.tree", { class: [tiles.length === 1 && "alone", view.stale("tiles")] },
      tiles.map((tile) => branch(view, tile, unit))),
    items.length > 0 && h("div.map-bar.legend", { tabindex: 0, role: "group", "aria-label": "Items below" },
      items.map(([item, name]) => itemLink(view, { item, name })),
      n > items.length && `and ${whole(n - items.length)} more`));
}

function branch(view, tile, unit) {
  const { prefix, column, top, height, text, names, n_joined: joined } = tile;
  const { codes = [], level } = view.get("legend");
  const look = !joined && codes.find(({ code }) => code === prefix[level - 1]);
  const own = look && tile.level === level;
  const up = column === 0 && tile.level > 0;
  const title = [`${joined ? `${joined} others` : idText(prefix)}: ${whole(tile.count)}`, tile.star && "★",
    tile.n_selected > 0 && `(${whole(tile.n_selected)} selected)`].filter(Boolean).join(" ");
  const about = [title, text, ...names].filter(Boolean).join("\n");
  const ground = own ? look.colour : look ? `color-mix(in srgb, ${look.colour} 35%, var(--card))` : "var(--soft)";
  const ink = own ? (look.colour === "#0072B2" ? "#fff" : "#000") : "var(--ink)";
  const [left, width] = column ? [(column - 1 + ROOT) * unit, unit] : [0, ROOT * unit];
  const style = `left: ${left}%; width: ${width}%; top: ${100 * top}%; height: ${100 * height}%; ` +
    `background: ${ground}; color: ${ink}`;
  const head = h("b", up && "‹ ", own && `${SIGNS[look.shape]} `, title, text && h("i", ` ${text}`));
  const lines = [head, names.map((name) => h("small", name))];
  const key = `${tile.level} ${joined} ${idText(prefix)}`;
  if (joined || tile.level === 0) return h("div.branch", { key, style, title: about }, lines);
  return button(lines, () => want(view, { prefix: up ? prefix.slice(0, -1) : prefix }),
    { name: "button.branch", key, style, title: about, "aria-label": up ? `Back. ${about}` : about });
}

// -- details ------------------------------------------------------------------------------------

function similarTab(view) {
  const { item, name, path, ...near } = view.get("near");
  if (!item) return h("p.page.mute", "Find an item, or click a point on the map, to see what is nearest to it.");
  const code = (shared) => (own, k) => [k > 0 && "-", h(k < shared ? "b" : "span", null, own)];
  const columns = [
    column("name", "Item", { show: (row) => itemLink(view, row) }),
    column("codes", "Id", { help: "In bold as far as it agrees with the item's.", value: (row) => idText(row.codes),
      show: ({ codes, shared }) => codes.map(code(shared)) }),
    asNumber("cosine", "Cosine", fixed, "Between the two vectors."),
    asCount("rank", "Rank", "By cosine among all items."),
  ];
  const table = (id, title, none) => h("section", h("h4", title),
    near[id].length ? dataTable(view, id, columns, near[id], { caption: title }) : h("p.mute", none));
  return h("div.page", { class: view.stale("near") },
    h("div.way", h("b", h("bdi", name)), codeChips(view, path)),
    h("div.both", table("by_vector", "Nearest by vectors: are their ids similar?", "No vectors are known."),
      table("by_id", "Nearest by id: are their vectors similar?", "No other item shares its first code.")));
}

function qualityTab(view) {
  const { rows, n_levels: n } = view.get("quality");
  const label = (i) => (i ? `Level ${i + 1}` : "All, or level 1");
  const level = (_, i) => column(`level${i}`, label(i), { value: (row) => row.texts[i] });
  const columns = [column("what", "Metric", { show: (row) => [row.what, help(row.help)] }),
    ...Array.from({ length: n ?? 0 }, level), column("how", "How")];
  return page(view, "quality", rows, () => dataTable(view, "quality", columns, rows, { caption: "Quality" }));
}
