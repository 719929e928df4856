// Semantic IDs: a map of the items and the tree of codes side by side, an item's way down, and what is similar to it.

const want = (view, traits) => view.act("want", traits);
const idText = (codes) => (codes.length ? codes.join("-") : "all items");

DRAWINGS.ids = (view) => {
  const tabs = [{ id: "similar", label: "Similar items, similar ids" }, { id: "quality", label: "Quality" }];
  if (view.get("places").rows?.length) tabs.splice(1, 0, { id: "selected", label: "Selected items" });
  const tab = tabs.find(({ id }) => id === view.ui.tab)?.id ?? "similar";
  const content = { similar: similarTab, selected: selectedTab, quality: qualityTab }[tab];
  return h("div.panel.ids", null, idsTop(view), problems(view), idCards(view), idPath(view),
    h("div.both", { key: "both" }, idMap(view), codeTree(view)),
    h("section.pane", { key: "pane", "aria-label": "Details" },
      tabsOf(view, "tabs", tabs, tab, (id) => view.setUi({ tab: id })), tabPanel(view, "tabs", tab, content(view))));
};

// -- top: what it is, and the search -----------------------------------------------------------

function idsTop(view) {
  const { n = 0, used = [] } = view.get("head");
  return h("div.top", { key: "top" }, h("div.chip", null, h("b", null, "Semantic IDs"),
    h("span.mute", null, `${whole(n)} items × ${used.length} codes`)), status(view), h("span.space"), itemSearch(view));
}

// A search that asks Python for items while one types; arrow keys and Enter choose, as does a click.
function itemSearch(view) {
  const { typed = "", at = 0 } = view.local;
  const { query, items = [] } = view.get("offers");
  const open = typed.trim() !== "" && query?.trim() !== "";
  const choose = ([item]) => {
    view.setLocal({ typed: "", at: 0 });
    view.setUi({ tab: "similar" });
    want(view, { item });
  };
  const onkeydown = (event) => {
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1 };
    if (event.key === "Enter" && open && query === typed && items[at]) choose(items[at]);
    else if (event.key === "Escape") view.setLocal({ typed: "" });
    else if (open && moves[event.key] !== undefined) view.setLocal({ at: Math.max(0, Math.min(items.length - 1, moves[event.key])) });
    else return;
    event.preventDefault();
  };
  const oninput = (event) => {
    view.setLocal({ typed: event.target.value, at: 0 });
    view.act("search", { text: event.target.value });
  };
  const option = (entry, i) => h("li", { role: "option", id: idOf(view, `offer-${i}`), "aria-selected": String(i === at),
    onpointerdown: (event) => event.preventDefault(), onclick: () => choose(entry) }, h("bdi", null, entry[1]));
  return h("div.item-search", { key: "search" },
    h("input", { key: "find", type: "search", role: "combobox", placeholder: "Find an item", "aria-label": "Find an item", value: typed,
      "aria-expanded": String(open), "aria-controls": idOf(view, "offers"), "aria-autocomplete": "list", oninput, onkeydown,
      "aria-activedescendant": open && items[at] ? idOf(view, `offer-${at}`) : null, onblur: () => view.setLocal({ typed: "" }) }),
    h("ul", { key: "offers", id: idOf(view, "offers"), role: "listbox", "aria-label": "Items", hidden: !open },
      items.length ? items.map(option) : h("li", { role: "option", "aria-disabled": "true" }, "No item is called this or alike")));
}

// -- cards, and the way down ---------------------------------------------------------------------

function idCards(view) {
  const { n, unique, used, size, n_extra: extra } = view.get("head");
  if (!n) return null;
  const card = (title, about, value, note) => h("div.card.tile", { key: title, role: "group", "aria-label": title },
    h("div.title", null, h("span", null, title, help(about))), h("div.value", null, value), h("div.note.mute", null, note));
  const metric = (name, note) => {
    const { texts, help: about, how } = (view.get("quality").rows ?? []).find(({ what }) => what === name) ?? { texts: ["–"] };
    const [value, spread] = texts[0].split(" (");
    return card(name, about, value, [note, spread && `${note ? ", " : ""}${spread.replace(")", "")}`, how && h("span.sr", null, how)]);
  };
  const bars = h("div.level-bars", null, used.map((count, i) => bar(count / size, whole(count), { title: `Level ${i + 1}: ${whole(count)} of ${whole(size)}` })));
  return h("div.cards", { key: "cards" },
    card("Items", "Items that have an id.", whole(n), `${used.length} codes each${extra ? `, ${extra} extra` : ""}`),
    card("Different ids", "Ids that at least one item has; equal ids cannot be told apart.", whole(unique), `${percent(unique / n, 1)} of the items`),
    card("Entries in use", "Codes of each level that some item has; unused ones are wasted.", bars, `of ${whole(size)}, level by level`),
    metric("Neighbours kept of 10", ""), metric("Lift", "first code"));
}

const codeWords = (text) => text && h("span.words", null, " ", h("bdi", null, text));

// The codes of a prefix, one behind the other; a click goes there.
function codeChips(view, path, label, current = null) {
  const chip = ({ prefix, text, count }) => h("li", { key: idText(prefix) }, button([h("b", null, prefix.at(-1)), codeWords(text)],
    () => want(view, { prefix }), { name: "button.code", "aria-current": idText(prefix) === current ? "true" : null,
      title: `${idText(prefix)}: ${whole(count)} item${count === 1 ? "" : "s"}\n${text}` }));
  return h("ol.codes", { "aria-label": label }, path.map(chip));
}

function idPath(view) {
  const { path = [], n } = view.get("path");
  const { level = 1, n_codes: nCodes = 1, codes = [], prefix = [] } = view.get("legend");
  const { n_levels: deepest = 1 } = view.get("head");
  const first = Math.min(prefix.length + 1, deepest);
  const levels = Array.from({ length: deepest - first + 1 }, (_, i) => first + i);
  const field = { label: "Codes in colour", help: "The most populous codes get a colour and a shape each; the others are grey.",
    kind: "count", value: codes.length, low: 1, high: Math.min(49, nCodes) };
  const root = button(["All items", codeWords(whole(view.get("head").n ?? 0))], () => want(view, { prefix: [] }),
    { name: "button.code", "aria-current": path.length ? null : "true" });
  return h("div.way", { key: "way" }, root, codeChips(view, path, "Codes on the way down", idText(prefix)),
    path.length > 0 && h("span.mute", { role: "status" }, `${whole(n)} item${n === 1 ? "" : "s"}`), h("span.space"),
    h("label.mute", null, "Colour level ", h("select", { value: String(level), onchange: (event) => want(view, { level: Number(event.target.value) }) },
      levels.map((each) => h("option", { value: String(each) }, each)))),
    slider(view, "n_coloured", field, { set: (value) => want(view, { n_coloured: value }) }));
}

// -- the map ---------------------------------------------------------------------------------------

function idMap(view) {
  const p = view.get("points");
  const { no_map: none, n = 0 } = view.get("head");
  const { drawn, n_items: wanted } = { drawn: view.model.get("drawn"), n_items: view.model.get("n_items") };
  const numbers = [...new Set([500, 1000, 2000, 5000, 10_000, 20_000].filter((some) => some < n).concat(n, Math.min(wanted, n)))].sort((a, b) => a - b);
  const kinds = [["UMAP", "Near items stay near"], ["PCA", "The two directions in which items differ most"]];
  const head = h("div.map-bar", null, h("b", null, "Map"),
    h("select", { "aria-label": "Items on the map", value: String(Math.min(wanted, n)), onchange: (event) => want(view, { n_items: Number(event.target.value) }) },
      numbers.map((some) => h("option", { value: String(some) }, some === n ? `all ${whole(n)} items` : `${whole(some)} items`))),
    segmented("Kind of map", kinds.map(([id, about]) => ({ id, label: id, help: about, on: id === drawn })), (id) => want(view, { drawn: id })),
    h("span.space"), p.n && h("span", null, `${p.method === "PCA" ? "principal components" : "UMAP"}${p.trustworthiness ? `, trust ${fixed(p.trustworthiness, 2)}` : ""}`,
      help(`Shown: ${p.sample}. Trustworthiness is 1 where all near points are near by their vectors, and 0.5 by chance.`)));
  if (none || !p.n) return h("section.pane", { "aria-label": "Map" }, !none && head, h("p.empty.mute", null, none || "The map will appear here…"));
  const look = remember(view, "id-look", [p.codes, view.get("legend")], () => idLook(view, p));
  const near = view.get("near");
  const at = remember(view, "id-places", [p.items], () => new Map(p.items.map((item, i) => [item, i])));
  const mark = (rows, props) => (rows ?? []).filter(({ item }) => at.has(item)).map(({ item, name }) => ({ i: at.get(item), text: name, ...props }));
  const chosen = view.model.get("selected");
  const selected = remember(view, "id-selected", [chosen, p.items], () => {
    const flags = Uint8Array.from(p.items, (item) => chosen.includes(item));
    return chosen.length ? flags : null;
  });
  const select = (flags) => {
    view.act("select", { points: flags ? [...flags.keys()].filter((i) => flags[i]) : [] });
    if (flags) view.setUi({ tab: "selected" });
  };
  return h("section.pane", { "aria-label": "Map", class: view.isStale("points") && p.method === drawn && "stale" }, head,
    component(PointMap, { points: view.array(Float32Array, p.places), ...look, selected, select, name: (i) => p.names[i],
      tip: (i) => `${p.names[i]}\n${idText(look.ids(i))}`, label: "Map of the items", pick: (i) => want(view, { item: p.items[i] }),
      marks: [...mark(near.item ? [near] : [], { colour: "--bad", shape: "star", strong: true }),
        ...mark(near.by_vector, { colour: "--kept", hollow: true }), ...mark(near.by_id, { colour: "--gained", shape: "triangle", hollow: true })] }),
    codeLegend(view, look, near, at));
}

// Colours and shapes of points by code, and names of codes where their points are.
function idLook(view, p) {
  const { level, prefix, codes } = view.get("legend");
  const all = view.array(Int32Array, p.codes);
  const depth = all.length / p.n;
  const ids = (i) => [...all.subarray(i * depth, (i + 1) * depth)];
  const place = new Map(codes.map(({ code }, k) => [code, k]));
  const colours = Uint8Array.from({ length: p.n }, (_, i) =>
    prefix.every((code, k) => all[i * depth + k] === code) ? place.get(all[i * depth + level - 1]) ?? codes.length : codes.length + 1);
  const counts = new Uint32Array(codes.length + 2);
  colours.forEach((k) => counts[k]++);
  const places = view.array(Float32Array, p.places);
  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  const middle = (k, axis) => median([...colours.keys()].filter((i) => colours[i] === k).map((i) => places[2 * i + axis]));
  return {
    ids, counts, colours, palette: [...codes.map(({ colour: ink }) => ink), GREYS[0], "--line"],
    shapes: Uint8Array.from(colours, (k) => Math.max(0, SHAPES.indexOf(codes[k]?.shape))),
    order: Uint32Array.from(colours.keys()).sort((a, b) => colours[b] - colours[a]),
    labels: codes.map(({ text, code }, k) => ({ text: text.split(" · ").slice(0, 2).join(" · ") || `code ${code}`, x: middle(k, 0), y: middle(k, 1) })).filter((_, k) => counts[k]),
  };
}

// What colours and signs mean; a code that comes next is a way down.
function codeLegend(view, { counts }, near, at) {
  const { codes, n_codes: nCodes, level, prefix } = view.get("legend");
  const entry = ({ code, text, colour: ink, shape }, k) => {
    const parts = [h("span.sign", { style: `color: ${ink}`, "aria-hidden": "true" }, SIGNS[shape]), h("b", null, ` ${code}`), codeWords(text)];
    const title = `${whole(counts[k])} on the map${text ? `\n${text}` : ""}`;
    return level === prefix.length + 1 ? button(parts, () => want(view, { prefix: [...prefix, code] }), { name: "button.code", title, key: code })
      : h("span.code", { title, key: code }, parts);
  };
  const [others, outside] = counts.slice(-2);
  const sign = (text, ink, about) => h("span", null, h("span", { style: `color: ${ink}`, "aria-hidden": "true" }, text), ` ${about}`);
  return h("div.legend", null, codes.map(entry),
    others > 0 && sign("●", GREYS[0], `${whole(nCodes - codes.length)} other codes`), outside > 0 && sign("●", "var(--line)", `not ${idText(prefix)}`),
    near.item && (at.has(near.item) ? [sign("★", "var(--bad)", "the item"), sign("○", "var(--kept)", "nearest by vectors"), sign("△", "var(--gained)", "nearest by id")]
      : h("span", null, "The item looked at is not among those on the map.")));
}

// -- the tree ----------------------------------------------------------------------------------------

const WIDE = 0.62; // of the first column, in widths of the others

function codeTree(view) {
  const { tiles = [] } = view.get("tiles");
  const { codes = [], level = 1 } = view.get("legend");
  const unit = 100 / (Math.max(0, ...tiles.map(({ column }) => column)) + WIDE);
  const root = tiles[0]?.prefix ?? [];
  const tile = ({ prefix, level: depth, column, top, height, count, n_joined: joined, text, names, star, n_selected: n }) => {
    const look = joined || depth < level ? null : codes.find(({ code }) => code === prefix[level - 1]);
    const own = look && depth === level;
    const name = joined ? `${joined} others` : idText(prefix);
    const up = !joined && column === 0;
    const marks = `${star ? " ★" : ""}${n ? ` (${whole(n)} selected)` : ""}`;
    const ink = own ? (look.colour === "#0072B2" ? "#fff" : "#000") : "var(--ink)";
    const ground = own ? look.colour : look ? `color-mix(in srgb, ${look.colour} 35%, var(--card))` : "var(--soft)";
    const about = `${name}: ${whole(count)} item${count === 1 ? "" : "s"}${marks}${text && `\n${text}`}\n${names.join("\n")}`;
    const style = `left: ${column ? (column - 1 + WIDE) * unit : 0}%; width: ${(column ? 1 : WIDE) * unit}%; top: ${100 * top}%; height: ${100 * height}%; ` +
      `background: ${ground}; color: ${ink}`;
    const pressed = up ? root.length > 0 && (() => want(view, { prefix: root.slice(0, -1) })) : !joined && (() => want(view, { prefix }));
    const lines = [h("b", null, up && root.length ? "‹ " : "", own ? `${SIGNS[look.shape]} ` : "", `${name}: ${whole(count)}${marks}`),
      text && h("span", null, text), names.map((each) => h("small", null, each))];
    const props = { key: `${name} ${idText(prefix)} ${depth}`, style, title: about };
    return pressed ? button(lines, pressed, { name: "button.branch", "aria-label": up ? `Back. ${about}` : about, ...props }) : h("div.branch", props, lines);
  };
  const { items = [], n = 0 } = view.get("path");
  const below = items.map(([item, name], i) => [i > 0 && "; ", button(h("bdi", null, name), () => want(view, { item }), { name: "button.link" })]);
  return h("section.pane", { "aria-label": "Tree of codes", class: view.isStale("tiles") && "stale" },
    h("div.map-bar", null, h("b", null, "Tree of codes"), help("The height of a tile is its number of items; names are of items in its middle. " +
      "Less populous codes are joined, and drawn no higher than the average beside them."), h("span.space"), h("span", null, "a tile leads to its items")),
    h("div.tree", { role: "group", "aria-label": "Tree of codes", class: tiles.length === 1 && "alone" }, tiles.map(tile)),
    below.length > 0 && h("div.legend", null, h("span", null, below, n > items.length && `; and ${whole(n - items.length)} more`)));
}

// -- details -----------------------------------------------------------------------------------------

function similarTab(view) {
  const { item, name, path, by_vector: byVector, by_id: byId } = view.get("near");
  if (!item) return h("p.page.mute", null, "Find an item, or click a point on the map, to see its nearest by vectors and by id.");
  const own = path.at(-1).prefix;
  const columns = [
    { id: "name", label: "Item", show: (row) => button(h("bdi", null, row.name), () => want(view, { item: row.item }), { name: "button.link" }) },
    { id: "codes", label: "Id", help: "In bold as far as it agrees with the item's.", value: ({ codes }) => idText(codes),
      show: ({ codes, shared }) => [h("b", null, codes.slice(0, shared).join("-")), shared && shared < codes.length && "-", codes.slice(shared).join("-")] },
    { id: "shared", label: "Shared", help: "Levels that agree, from the first on.", number: true, show: ({ shared }) => `${shared} of ${own.length}` },
    { id: "cosine", label: "Cosine", help: "Between the vectors of the two items.", number: true, show: ({ cosine }) => fixed(cosine) },
    { id: "rank", label: "Rank", help: "Among all items by cosine; 1 is the nearest.", number: true, show: ({ rank }) => (rank === null ? "–" : whole(rank)) },
  ];
  const table = (id, title, rows, empty) => h("section", { key: id }, h("h4", null, title),
    rows.length ? dataTable(view, id, columns, rows, { caption: title }) : h("p.mute", null, empty));
  return h("div.page", { class: view.isStale("near") && "stale" }, h("div.way", null, h("b", null, h("bdi", null, name)), codeChips(view, path, "The item's codes")),
    h("div.both", null, table("by-vector", "Nearest by vectors: are their ids similar?", byVector, "No vectors are known."),
      table("by-id", "Nearest by id: are their vectors similar?", byId, "No other item shares its first code.")));
}

function selectedTab(view) {
  const { rows = [], n_prefixes: n } = view.get("places");
  const chosen = view.model.get("selected").length;
  const columns = [
    { id: "prefix", label: "Codes", value: ({ prefix }) => idText(prefix), show: ({ prefix, text }) => codeChips(view, [{ prefix, text, count: 0 }], idText(prefix)) },
    { id: "selected", label: "Selected", number: true, help: "Selected items with these codes." },
    { id: "count", label: "Of", number: true, help: "All items with these codes." },
  ];
  return h("div.page", null, h("div.way", null, `${whole(chosen)} item${chosen === 1 ? "" : "s"} selected, in ${whole(n)} branches${n > rows.length ? `; the first ${rows.length}:` : ""}`,
    button("Clear selection", () => view.act("select", { points: [] }))), dataTable(view, "selected", columns, rows, { caption: "Selected items" }));
}

function qualityTab(view) {
  const { rows, n_levels: n } = view.get("quality");
  if (!rows) return h("p.page.mute", null, "Being computed…");
  const columns = [{ id: "what", label: "Metric", show: ({ what, help: about }) => [what, help(about)] },
    ...Array.from({ length: n }, (_, i) => ({ id: `level${i}`, label: i ? `Level ${i + 1}` : "All, or level 1", value: ({ texts }) => texts[i] })),
    { id: "how", label: "How" }];
  return h("div.page", null, dataTable(view, "quality", columns, rows, { caption: "Quality of the ids" }));
}
