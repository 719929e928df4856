// The panel of a network: layers, weights, test texts on maps, training; the rest is the compression panel's.

const NETWORK_TABS = [
  { id: "layers", label: "Layers", draw: layersTab },
  { id: "weights", label: "Weights", draw: weightsTab },
  { id: "map", label: "Map", draw: (view) => [mapTab(view), inspector(view)] },
  { id: "courses", label: "Training", draw: coursesTab },
  { id: "overview", label: "Numbers", draw: overviewTab },
  { id: "export", label: "Export", draw: exportTab },
];

DRAWINGS.network = (view) => h("div.network", panelOf(view, NETWORK_TABS, networkCards, historyStrip));

const milliseconds = (ms) => `${fixed(ms, ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;

function networkCards(view) {
  const { small, original, help: about, how } = view.get("timing");
  const latency = card({
    id: "latency", title: "Latency", help: [about, how].join(" "), corner: small && "timed",
    value: small ? [milliseconds(small[0]), h("small", `32 texts ${milliseconds(small[1])}`)] : "–",
    note: small ? `original ${milliseconds(original[0])}, 32 texts ${milliseconds(original[1])}` : "measured last",
    waits: view.stale("timing") && !view.stale("cards"), // else all are dimmed
  });
  return h("div.cards", { class: view.stale("cards") }, sizeCard(view),
    numberCards(view, view.get("top").expected), latency);
}

// -- layers -----------------------------------------------------------------------------------

function layersTab(view) {
  const { rows = [], how, help: about } = view.get("layers");
  const { busy } = view.get("status");
  if (!rows.length) {
    return h("div.page.layers", view.error("layers") ? warning(view.error("layers")) : h("p.mute", busy
      ? "Each layer is being left out in turn…"
      : "There are no layers to measure, or the network has no head for this task; a Train step gives it one."));
  }
  const most = (id) => Math.max(...rows.map((row) => row[id]), 1e-9);
  const signed = (x) => `${x > 0 ? "+" : ""}${fixed(x)}`;
  const measured = (id, label, text, tip) => column(id, label,
    { number: true, help: tip, show: (row) => h("div", { class: id }, bar(row[id] / most(id), text(row))) });
  const left = rows.filter(({ dropped }) => !dropped);
  const act = ({ layer, dropped }) => button(dropped ? "Put back" : "Leave out", () => view.act("layer", { layer }), {
    name: "button.small", disabled: !dropped && left.length < 2, "aria-label":
      `${dropped ? "Put layer" : "Leave layer"} ${layer} ${dropped ? "back" : "out"}` });
  const columns = [
    column("layer", "Layer", { show: ({ layer, dropped }) => [`${layer}`, dropped && h("span.lost", " left out")] }),
    measured("contribution", "Contributes", (row) => fixed(row.contribution), about.contribution),
    measured("cost", "Costs to leave out", (row) => [signed(row.cost),
      h("small", ` ${signed(row.low)} to ${signed(row.high)}`)], about.cost),
    asNumber("agreement", "Agreement without it", fixed, about.agreement),
    column("act", "Change", { value: () => "", show: act })];
  const least = (id) => rows.reduce((a, b) => (b[id] < a[id] ? b : a)).layer;
  const [by, cost] = [least("contribution"), least("cost")];
  return h("div.page.layers",
    h("p", h("b", by === cost ? `Layer ${by} contributes least and costs least.`
      : `Layer ${by} contributes least, but layer ${cost} costs least.`),
    by !== cost && h("span.mute", " What a layer changes says little of what it is needed for.")),
    dataTable(view, "layers", columns, rows, { caption: "Layers of the original" }),
    h("p.mute", `Layers of the original, each left out alone and without training; ${how}.`));
}

// -- weights ----------------------------------------------------------------------------------

function weightsTab(view) {
  const { matrices = [], matrix, original, sides, bins } = view.get("weights");
  const choose = (name) => view.act("matrix", { name });
  const named = ({ matrix: name, label }) => button(label, () => choose(name), { name: "button.link",
    "aria-pressed": String(name === matrix) });
  const columns = [column("label", "Matrix", { show: named }),
    asCount("before", "Bytes before"), asCount("after", "After"), asNumber("bits", "Bits a number",
      (n) => fixed(n, 2), "All that is stored, over the numbers: codes and codebooks.")];
  const ofSides = [column("side", "Numbers"),
    asNumber("zeros", "Zeros", (share) => percent(share, 1)), asCount("distinct", "Different values"),
    asNumber("bits", "Bits a number", (n) => fixed(n, 2)), asCount("bytes", "Bytes")];
  return page(view, "weights", matrices.length, () => [
    h("label.row", "Matrix", select(matrices.map(({ matrix: id, label }) => ({ id, label })), matrix, choose),
      matrix !== original && h("span.mute", `in the original ${original}`)),
    h("div.both", ["before", "after"].map((side) => histogram(side, bins))),
    dataTable(view, "sides", ofSides, sides, { caption: "Numbers of this matrix" }),
    h("h4", "All matrices"), dataTable(view, "matrices", columns, matrices, { caption: "All matrices" })]);
}

// How the numbers of a matrix are spread: shares by bins.
function histogram(side, { low, high, [side]: shares }) {
  const [most, next] = [...shares].sort((a, b) => b - a);
  const top = most > 4 * next && next > 0 ? 1.2 * next : most; // a bar of zeros is cut off, so that others are seen
  const tall = (share) => Math.min(100, (100 * share) / top);
  const [first, last] = [low[0], high.at(-1)];
  return h("figure.histogram", { key: side },
    h("figcaption", h("b", side === "before" ? "Original" : "Compressed"),
      h("span.mute", ` highest bar ${percent(most, 1)}${top < most ? ", cut off" : ""}`)),
    h("svg", { viewBox: `0 0 ${shares.length} 100`, preserveAspectRatio: "none", role: "img",
      "aria-label": `${side}: numbers from ${fixed(first, 2)} to ${fixed(last, 2)}` },
    shares.map((share, i) => h("rect", { class: side, x: i, width: 1, y: 100 - tall(share), height: tall(share) }))),
    h("div.ends.mute", [first, 0, last].map((x) => h("span", fixed(x, 2)))));
}

// -- training ---------------------------------------------------------------------------------

function coursesTab(view) {
  const { trainings = [], is_running: isRunning } = view.get("courses");
  const { steps = [] } = view.get("rail");
  const hasOne = steps.some(({ kind }) => kind === "Train");
  const add = button("Add a training", () => view.act("add", { kind: "Train" }));
  if (!trainings.length) {
    return h("div.page.courses", hasOne ? h("p.mute", "Training begins with a look at the validation part…")
      : [h("p.mute", "No step of this recipe trains. Training repairs what other steps have damaged."),
        h("div.row", add)]);
  }
  return h("div.page.courses", { class: view.stale("courses") && !isRunning && "stale" },
    trainings.map((training) => aboutTraining(view, training)));
}

function aboutTraining(view, training) {
  const { i, n_steps: n, what, loss, valid_loss: valid, score, rows, is_done: isDone, best } = training;
  const { score_name: scoreName } = training;
  const { busy } = view.get("status");
  const at = rows.at(-1).step;
  const asked = view.local.ends === i && !isDone;
  const end = () => (view.act("end_training"), view.setLocal({ ends: i }));
  const [losses, right] = [[{ name: "training", points: loss, is_end: true }, { name: "validation", points: valid }],
    [{ name: "validation", points: score }]];
  const there = losses.filter(({ points }) => points.length);
  const columns = [asCount("step", "Step"), asNumber("loss", "Training loss", fixed),
    asNumber("valid_loss", "Validation loss", fixed), asNumber("score", `Validation ${scoreName}`, fixed)];
  const state = !isDone ? `step ${whole(at)} of ${whole(n)}` : at < n ? `ended at step ${whole(at)}` : "done";
  return h("section", { key: i },
    h("div.row", h("h4", `Step ${i + 1}: ${what}, ${whole(n)} steps`), h("span.mute", { role: "status" },
      `${state} · ${isDone ? "kept" : "best so far"}: step ${whole(best.step)}, ${scoreName} ${fixed(best.score)}`),
    !isDone && busy && button(asked ? "Ends at the next look…" : "End here, keep the best", end,
      { name: "button.small", disabled: asked })),
    h("div.both",
      lineChart(view, "Loss", "Of training texts since the last look, and of the validation part.", there,
        { arm: "validation", n, height: 150, unit: (y) => fixed(y, 2) }),
      lineChart(view, `Score: ${scoreName}`, "On the validation part.", right,
        { arm: "validation", n, height: 150, unit: (y) => fixed(y) })),
    dataTable(view, `looks-${i}`, columns, rows, { caption: `Looks of step ${i + 1}` }));
}
