// The tab Map: words before and after compression, and the inspector of those that are looked at.

const OKABE_ITO = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"];
const LABEL_SHAPES = ["square", "diamond", "triangle", "down", "star", "plus", "left", "circle", "circle"];
const FATES = [
  { shape: "circle", text: "own row" }, { shape: "triangle", text: "rebuilt" }, { shape: "cross", text: "no vector" },
];
const STATUSES = { // of a neighbour, on the maps and beside words
  kept: { sign: "●", colour: "--kept" }, lost: { sign: "○", colour: "--lost", hollow: true },
  gained: { sign: "◆", colour: "--gained", shape: "diamond" },
};

// The traits `points` and `codes` with typed arrays, and an index of the words.
function mapped(view) {
  const [p, coded] = [view.get("points"), view.get("codes")];
  const arrays = (Kind, names) => Object.fromEntries(names.map((name) => [name, view.array(Kind, p[name])]));
  return remember(view, "points", [p, coded], () => ({
    ...p, index: new Map(p.words?.map((word, i) => [word, i])), ...arrays(Uint8Array, ["fate"]),
    ...arrays(Int32Array, ["rank"]), ...arrays(Float32Array, ["before", "control", "after", "cosine"]),
    coded: { ...coded, codes: view.array(Int16Array, coded.codes), order: view.array(Int16Array, coded.order) },
  }));
}

// Colours, shapes and legend of the points, by what a person wants to see.
function looks(p, by) {
  const frequent = Uint32Array.from(p.rank, (_, i) => p.n - 1 - i); // the most frequent on top
  if (by === "label" && p.labels) return { order: frequent, ...labelLooks(p.labels) };
  const scaleOf = by === "frequency" ? frequencyScale : by === "code" && hasCodes(p) ? codeScale : damageScale;
  const { values, high, ramp, missing, texts, order = frequent } = scaleOf(p);
  const place = (value) => Math.max(0, Math.min(SCALE - 1, Math.floor((value * SCALE) / (high || 1))));
  return {
    colours: Uint8Array.from(values, (value) => (Number.isNaN(value) ? SCALE : place(value))),
    palette: [ramp, missing], shapes: p.fate, order, ramp, texts,
    legend: FATES.filter((_, fate) => p.fate.includes(fate)),
  };
}

// Scales: values from 0 to high on a ramp, the colour of those that are missing, the texts at its ends.
function damageScale({ cosine }) {
  const values = cosine.map((own) => 1 - own);
  const sorted = values.filter((value) => !Number.isNaN(value)).sort();
  const high = Math.max(0.02, sorted[Math.floor(0.95 * sorted.length)] ?? 0);
  const order = [...cosine.keys()].sort((a, b) => (cosine[b] || -1) - (cosine[a] || -1)); // the most damaged on top
  return { values, high, ramp: "--damage", missing: "--bad", texts: ["damage none", fixed(high, 2)], order };
}

function frequencyScale({ rank }) {
  const last = Math.max(...rank);
  const values = Float32Array.from(rank, Math.log);
  return { values, high: Math.log(last), ramp: "--cividis", missing: GREYS[0], texts: ["rank 1", whole(last)] };
}

const hasCodes = ({ n, coded: { codes } }) => codes.length === n; // else they are those of other words

function codeScale({ coded: { codes, order } }) {
  const isOrdered = order.length > 0; // near codes have near places
  const high = isOrdered ? order.length : Math.max(...codes);
  const values = Float32Array.from(codes, (code) => (code < 0 ? NaN : isOrdered ? order[code] : code));
  const texts = isOrdered ? ["near codes,", "near colours"] : ["code 0", whole(high)];
  return { values, high, ramp: "--cividis", missing: `${GREYS[0]}80`, texts };
}

// A colour and a shape for each of the seven most frequent labels, grey for the others.
function labelLooks(labels) {
  const counts = new Map();
  for (const label of labels) if (label !== null) counts.set(label, (counts.get(label) ?? 0) + 1);
  const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
  const place = new Map([[null, 8], ...names.map((name, k) => [name, Math.min(k, 7)])]);
  const colours = Uint8Array.from(labels, (label) => place.get(label));
  const palette = [...OKABE_ITO, ...GREYS];
  const texts = Object.assign([...names.slice(0, 7)], { 7: `others (${names.length - 7})`, 8: "none" });
  const entries = palette.map((ink, k) => ({ shape: LABEL_SHAPES[k], ink, text: texts[k] }));
  const legend = entries.filter((_, k) => colours.includes(k));
  return { colours, palette, shapes: colours.map((k) => SHAPES.indexOf(LABEL_SHAPES[k])), legend };
}

// A word as it is; of a sentence the beginning.
const shortly = (text) => (text.length > 40 ? `${text.slice(0, 25)}…` : text);

const mixed = (before, after, share) => before.map((v, k) => v + share * (after[k] - v));

function mapTab(view) {
  const p = mapped(view);
  const { lanes = [], busy } = view.get("status");
  const isDrawing = lanes.includes("maps");
  const error = warning(view.error("maps"));
  if (!p.n) return h("section.map-tab", { key: "map" }, error,
    h("p.page.mute", isDrawing || busy ? "The map is being drawn." : "There is no map yet."));
  const { colour: by = "damage", control, morph = 1 } = view.ui;
  const isAgain = control && p.method === "UMAP"; // the original drawn again, in place of the compressed model
  const side = isAgain ? "control" : "after";
  const look = remember(view, "looks", [p, by], () => looks(p, by));
  const tip = (i) => {
    const about = [!p.noun && FATES[p.fate[i]].text, !p.noun && `rank ${whole(p.rank[i])}`,
      p.fate[i] < 2 && `cosine ${fixed(p.cosine[i])}`, p.labels?.[i]].filter(Boolean).join(" · ");
    return p.words[i] + (p.noun ? "\n" : " · ") + about;
  };
  const shared = {
    ...look, head: 28, selected: chosen(view, p), name: (i) => shortly(p.words[i]), tip, pick: (i) => lookAt(view, p.words[i]),
    frame: remember(view, "frame", [p], () => frameOf(p.before, p.after)),
    camera: remember(view, `camera of ${p.method}`, [p.n_mapped], newCamera),
    select: (flags) => view.setLocal({ query: "", selected: flags && new Set(p.words.filter((_, i) => flags[i])) }),
  };
  const map = (key, title, note, points, share) => {
    const labels = p.topics.map(({ text, before, after }) => ({ text, at: mixed(before, after, share) }));
    const own = { ...mapMarks(view, p, key), points, labels, label: `Map, ${title}` };
    return h("figure.map", { key }, component(PointMap, { ...shared, ...own }),
      h("figcaption", h("b", title), " ", h("small.mute", note)));
  };
  const trust = p.trust.before && `trustworthiness ${fixed(p.trust.before, 2)}`;
  const chance = typeof p.kept_chance !== "number" ? "" : isAgain ? " by chance" : `, chance ${percent(p.kept_chance)}`;
  const kept = isAgain ? p.kept_chance : p.kept_map;
  const note = morph < 1 ? `${percent(morph)} of the way`
    : typeof kept === "number" && `map neighbours kept ${percent(kept)}${chance}`;
  const points = remember(view, "moved", [p, side, morph], () => mixed(p.before, p[side], morph));
  return h("section.map-tab", { key: "map" }, mapBar(view, p, look, isDrawing), error,
    h("div.maps", { class: view.stale("points") },
      map("before", "Original", isDrawing && p.method === "PCA" ? "until UMAP is drawn" : trust, p.before, 0),
      map("after", isAgain ? "Original again" : "Compressed", note, points, isAgain ? 0 : morph)),
    mapLegend(view, p, look));
}

function mapBar(view, p, look, isDrawing) {
  const { colour: by = "damage", control = false, morph = 1 } = view.ui;
  const choose = (title, ids, value, act) => // ids with their labels
    select(Object.entries(ids).map(([id, label]) => ({ id, label })), value, act, { "aria-label": title, title });
  const ways = { damage: "Damage", ...(!p.noun && { frequency: "Frequency" }), ...(hasCodes(p) && { code: "Code" }),
    ...(p.labels && { label: "Label" }) };
  const levels = Array.from({ length: p.coded.n_levels }, (_, k) => `Level ${k + 1}`);
  return h("div.map-bar", { role: "group", "aria-label": "Show on the map" }, h("span.word", "Colour"),
    choose("Colour by", ways, by, (id) => view.setUi({ colour: id })),
    by === "code" && choose("Level", levels, p.coded.level, (id) => view.act("level", { level: Number(id) })),
    p.method === "UMAP" && button("Chance", () => view.setUi({ control: !control }), { "aria-pressed": String(control),
      title: "In place of the compressed model, draw the original again: what differs then is chance" }),
    h("label", { title: "Move the words from one map to the other" }, h("span.word", "Morph "),
      h("input", { type: "range", min: 0, max: 1, step: 0.01, value: morph, "aria-label": "From original to compressed",
        oninput: (e) => view.setUi({ morph: Number(e.target.value) }) })),
    h("span.space"),
    choose("Way of drawing", { UMAP: "UMAP", PCA: "PCA" }, isDrawing ? "UMAP" : p.method,
      (method) => view.act("draw", { method })),
    button("PNG", () => savePicture(view, look), { title: "Save the picture" }),
    button("CSV", () => saveTable(view, p), { title: "Save the words on the map, or those selected, as a table" }));
}

function mapLegend(view, p, { ramp, texts, legend }) {
  const numbers = (p.numbers ?? []).map((n) => ({ id: n, label: `${whole(n)} words` }));
  return h("div.map-bar.legend",
    ramp && [texts[0], h("i", { style: `--ramp: var(${ramp})` }), texts[1]],
    legend.map(({ shape, ink, text }) => legendSign(SIGNS[shape], ink, text)), h("span.space"),
    numbers.length > 0 && select(numbers, p.n_mapped, (n) => view.act("map_words", { n }), { "aria-label": "Words on the map" }),
    help(`Shown: ${p.sample}. ${p.noise ?? ""}`));
}

// Flags of the words that are searched for or selected; null where all are shown alike.
function chosen(view, p) {
  const { query = "", selected = null } = view.local;
  return remember(view, "chosen", [p, query, selected], () => {
    const wanted = query.trim().toLowerCase();
    const found = wanted ? new Set(p.words.filter((word) => word.toLowerCase().includes(wanted))) : selected;
    return found?.size ? flagsOf(p.words, found) : null;
  });
}

// The words looked at, and the neighbours of the one that the inspector shows, on the map of this side.
function mapMarks(view, p, side) {
  const shown = shownWord(view);
  const placed = (rows, look) => rows.filter(({ word }) => p.index.has(word))
    .map((row) => ({ i: p.index.get(row.word), text: shortly(row.word), ...look(row) }));
  const words = placed(lookedAt(view), () => ({ colour: "--ink", strong: true }));
  const shownRows = p.index.has(shown?.word) ? shown.neighbours : [];
  const near = placed(shownRows, ({ status }) => ({ ...STATUSES[status], status }));
  const isNone = { lost: "after", gained: "before" }; // where it is no neighbour
  const line = ({ i, status, colour: ink }) =>
    ({ from: p.index.get(shown.word), to: i, dashed: isNone[status] === side, colour: ink });
  return { marks: [...words, ...near], lines: near.map(line) };
}

function saveTable(view, p) {
  const flags = chosen(view, p);
  const sides = ["before", "control", "after"];
  const row = (word, i) => [word, p.rank[i], FATES[p.fate[i]].text, p.cosine[i], p.labels?.[i] ?? "",
    ...sides.flatMap((side) => [p[side][2 * i], p[side][2 * i + 1]])];
  const head = ["word", "rank", "fate", "cosine", "label", ...sides.flatMap((side) => [`x_${side}`, `y_${side}`])];
  const cell = (x) => (Number.isNaN(x) ? "" : /[",\r\n]/.test(x) ? `"${x.replaceAll('"', '""')}"` : x);
  const rows = [head, ...p.words.map(row).filter((_, i) => !flags || flags[i])];
  const lines = rows.map((cells) => `${cells.map(cell).join()}\r\n`);
  saveFile("map.csv", new Blob(["\uFEFF", ...lines], { type: "text/csv" }));
}

const SHARP = 3; // pixels of a saved picture for each of the page's

// The maps as they stand on the page, with their titles and the legend below.
function savePicture(view, { ramp, texts, legend }) {
  const figures = [...view.root.querySelectorAll("figure.map")];
  const [{ clientWidth: width, clientHeight: height }] = figures;
  const canvas = h("canvas", { width: SHARP * width * figures.length, height: SHARP * (height + 26) });
  const g = canvas.getContext("2d");
  const css = (ink) => (ink.startsWith("--") ? colour(view.root, ink) : ink);
  const write = (text, x, y, ink = "--ink") => {
    g.fillStyle = css(ink);
    g.fillText(text, x, y, width - 16);
    return x + g.measureText(text).width + 6;
  };
  Object.assign(g, { fillStyle: css("--card"), textBaseline: "top" });
  g.fillRect(0, 0, canvas.width, canvas.height);
  g.scale(SHARP, SHARP);
  g.font = `12px ${colour(view.root, "font-family")}`;
  figures.forEach((figure, k) => {
    const map = h("canvas");
    figure.querySelector("[data-component]")._made.paint(map, SHARP);
    g.drawImage(map, k * width, 0, width, height);
    write(figure.querySelector("figcaption").textContent, k * width + 8, 8);
  });
  let x = 8;
  if (ramp) {
    x = write(texts[0], x, height + 7);
    const [stops, gradient] = [css(ramp).split(","), g.createLinearGradient(x, 0, x + 80, 0)];
    stops.forEach((stop, k) => gradient.addColorStop(k / (stops.length - 1), stop.trim()));
    g.fillStyle = gradient;
    g.fillRect(x, height + 9, 80, 8);
    x = write(texts[1], x + 86, height + 7);
  }
  for (const { shape, ink = "--mute", text } of legend) {
    x = write(SIGNS[shape], x + 6, height + 7, ink);
    x = write(text, x, height + 7);
  }
  canvas.toBlob((blob) => saveFile("map.png", blob));
}

// -- the inspector --------------------------------------------------------------------------

const lookedAt = (view) => view.get("looked").words ?? [];
const shownWord = (view) => lookedAt(view).find(({ word }) => word === view.local.word) ?? lookedAt(view)[0];

function lookAt(view, word) {
  const words = lookedAt(view).map((row) => row.word);
  view.setLocal({ word, query: "" });
  if (!words.includes(word)) view.act("look", { words: [...words, word].slice(-4) });
}

const mapWord = (view, word, props = {}) =>
  button(h("bdi", word), () => lookAt(view, word), { name: "button.map-word", key: word, ...props });

function inspector(view) {
  const p = mapped(view);
  const words = lookedAt(view).map(({ word }) => word);
  const shown = shownWord(view);
  const { query = "" } = view.local;
  const search = (text) => view.setLocal({ query: text });
  const keys = { Enter: () => query.trim() && lookAt(view, query.trim()), Escape: () => search("") };
  const leave = (word) => view.act("look", { words: words.filter((other) => other !== word) });
  const chip = (word) => h("span", { key: word }, mapWord(view, word, { "aria-pressed": String(word === shown.word) }),
    button("×", () => leave(word), { "aria-label": `Close ${word}` }));
  return h("aside.inspector", { key: "inspector", "aria-label": "Words looked at" },
    textBox(query, search, { type: "search", placeholder: p.noun ? `Find ${p.noun}` : "Find a word",
      "aria-label": "Find on the map; Enter looks at any word", onkeydown: (e) => keys[e.key]?.() }),
    p.n > 0 && chosenWords(view, p, query.trim().toLowerCase()), warning(view.error("changes", "contributions")),
    words.length > 1 && h("div.chips", { key: "chips", role: "group", "aria-label": "Compare" }, words.map(chip)),
    shown ? h("div", { key: "word", class: view.stale("looked") }, aboutWord(view, p, shown))
      : h("p.mute", { key: "none" }, `Click a point, or type a ${p.noun ? "part of a text" : "word"}, to see which neighbours it keeps.`));
}

// How many words are searched for or selected, and the first or the most damaged of them.
function chosenWords(view, p, wanted) {
  const flags = chosen(view, p);
  if (!flags) return wanted && h("p.mute", { role: "status" }, "Not on the map; Enter looks at it anyway.");
  const cosine = (i) => p.cosine[i] || 0; // of a word without a vector, too
  const order = wanted ? (i) => !p.words[i].toLowerCase().startsWith(wanted) : cosine;
  const found = [...p.rank.keys()].filter((i) => flags[i]);
  const count = `${whole(found.length)} ${wanted ? "on the map" : `${p.noun ?? "words"} selected`}`;
  const mean = found.reduce((sum, i) => sum + cosine(i), 0) / found.length;
  const clear = button("Clear", () => view.setLocal({ selected: null }), { name: "button.link" });
  return h("div", { key: "chosen" },
    h("p.mute", { role: "status" }, count, ` · mean cosine ${fixed(mean)} `, !wanted && clear),
    found.sort((a, b) => order(a) - order(b)).slice(0, 8).map((i) => mapWord(view, p.words[i])));
}

function aboutWord(view, p, { word, fate, rank, cosine, n_before: nBefore, neighbours, ngrams, parts }) {
  const about = [!p.noun && fate, !p.noun && rank !== null && `rank ${whole(rank)}`, p.labels?.[p.index.get(word)],
    cosine === null ? "no vector" : `cosine ${fixed(cosine)}`, !p.index.has(word) && "not on the map"];
  const count = ([status, { sign }]) => h("span", { class: status },
    `${sign} ${neighbours.filter((row) => row.status === status).length} ${status} `);
  return [h("h6", h("bdi", word), " ", h("span.mute", about.filter(Boolean).join(" · "))),
    nBefore > 0 && h("p", { title: `Of the ${nBefore} nearest ${p.noun ?? "words"}` }, Object.entries(STATUSES).map(count)),
    parts && influence(parts), p.noun ? nearTexts(view, neighbours) : slopeChart(view, neighbours), ngrams && ngramTable(view, ngrams)];
}

// Neighbours before on the left, after on the right; curves join those that stay.
function slopeChart(view, neighbours) {
  const [left, right] = [["lost", "rank_before"], ["gained", "rank_after"]].map(([own, by]) =>
    neighbours.filter(({ status }) => status === "kept" || status === own).sort((a, b) => a[by] - b[by]));
  const about = ({ word, status, rank_before: was, rank_after: is }) =>
    [`${word}: ${status}`, was && `was ${was}`, is && `is ${is}`].filter(Boolean).join(", ");
  const item = (row) => h("div", { role: "listitem", key: row.word, class: row.status },
    mapWord(view, row.word, { title: about(row) }), h("span", { "aria-hidden": "true" }, STATUSES[row.status].sign));
  const list = (rows, name) => h("div", { role: "list", "aria-label": name }, rows.map(item));
  const y = (row, rows) => 11.5 + 23 * rows.indexOf(row);
  const path = (was, is) => h("path", { d: `M0 ${was}C16 ${was} 16 ${is} 32 ${is}` });
  return h("div.slope", list(left, "Neighbours before"),
    h("svg", { width: 32, height: 23 * Math.max(left.length, right.length), "aria-hidden": "true" },
      left.filter(({ status }) => status === "kept").map((row) => path(y(row, left), y(row, right)))),
    list(right, "Neighbours after"));
}

// A text before and after; the more a word moves its vector, the darker it lies.
function influence(parts) {
  const most = Math.max(...parts.flatMap(({ before, after }) => [before, after]), 1e-6);
  const shade = (value) => `--share: ${Math.round((100 * Math.max(value, 0)) / most)}%`;
  const side = (name) => h("p", { key: name }, h("small", name),
    parts.map((part) => [" ", h("span", { style: shade(part[name]), title: `${part.word}: ${fixed(part[name])}` }, part.word)]));
  const how = "The darker, the further the text's vector moves without the word: 1 - cosine";
  return h("div.influence", { title: how }, h("h6", "Words that carry the text"), side("before"), side("after"));
}

// Texts near one, with their ranks before and after.
function nearTexts(view, neighbours) {
  const rank = (n) => n ?? "–";
  const item = ({ word, status, rank_before: was, rank_after: is }) => h("li", { key: word, class: status },
    h("small", { title: `${status}; rank before and after` }, `${STATUSES[status].sign} ${rank(was)} → ${rank(is)} `),
    mapWord(view, word, { title: word }));
  return h("ol.near-texts", { "aria-label": "Nearest texts, by rank before" }, neighbours.map(item));
}

function ngramTable(view, { before, after, left, rows }) {
  const name = ({ ngram, status }) => [h("bdi", ngram), status !== "stays" && h("small", ` ${status}`)];
  const numbers = ["before", "after", "cosine"].map((id) => asNumber(id, id, (value) => fixed(value, 2)));
  const columns = [column("ngram", "n-gram", { show: name }), ...numbers];
  return [h("p.mute", `Made of ${before}; now of ${after}; n-grams left: ${left}.`),
    dataTable(view, "ngrams", columns, rows, { caption: "What n-grams contribute" })];
}
