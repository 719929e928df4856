// Arms that are trained side by side: the setting, curves that grow, what each arm keeps, and its ids.

DRAWINGS.training = (view) => {
  const { problem, errors = {} } = view.get("status");
  return h("div.panel.training", trainingTop(view), h("div.problems", warning(problem), warning(errors.seen)),
    h("div.sides", trainingSetting(view), h("div.results", trainingCharts(view), keptTable(view))),
    component(OtherView, { id: view.model.get("opened") }));
};

function trainingTop(view) {
  const { name, about, is_on: isOn } = view.get("setting");
  const { busy, share = 0, left } = view.get("status");
  const { now, lines, n_models: n } = view.get("curves");
  const runs = isOn && busy;
  const rest = [percent(share), left && `${seconds(left)} left`, now].filter(Boolean).join(" · ");
  const text = runs ? `Training ${n ?? ""} models…` : !lines ? "Nothing trained yet"
    : view.get("kept").text ? "Training is done" : "Stopped; Train goes on from here";
  return h("div.top", h("div.chip", h("b", name), h("span.mute", about)),
    h("span.status", { role: "status" }, h(`b.${runs ? "busy" : "good"}`, runs ? "◐" : "●"), text),
    runs && bar(share, rest), h("span.space"),
    button("Stop", () => view.act("stop"), { disabled: !runs, title: "Stop; Train goes on from there" }),
    button("Train", () => view.act("train"), { name: "button.primary", disabled: runs, title: "Train, or go on" }));
}

function trainingSetting(view) {
  const { arms = [], fields = [], errors = {} } = view.get("setting");
  const set = (name) => (value) => view.act("set", { name, value });
  const on = arms.filter(([, isOn]) => isOn).map(([name]) => name);
  const chip = ([name, isOn]) => button(`${isOn ? "✓" : "+"} ${name}`,
    () => set("on")(isOn ? on.filter((other) => other !== name) : [...on, name]),
    { name: "button.arm", "aria-pressed": String(isOn) });
  const row = (field) => h("div", { key: field.name },
    fieldRow(view, field.name, field, { set: set(field.name) }), warning(errors[field.name]));
  const isMain = ({ kind }) => kind === "whole" || kind === "text";
  return h("section.settings", { "aria-label": "Setting" },
    h("div.card", h("div.title", h("b", "Arms")), h("div.row", arms.map(chip)), warning(errors.on)),
    h("div.card", h("div.title", h("b", "Setting")), fields.filter(isMain).map(row),
      h("details", h("summary.more", "Advanced"), fields.filter((field) => !isMain(field)).map(row))));
}

function trainingCharts(view) {
  const { lines, arm: best, is_share: isShare, edge } = view.get("curves");
  if (!lines) return h("p.mute", "Choose arms and press Train; curves grow here while they train.");
  const arm = lines.some(({ name, is_end: isEnd }) => name === view.ui.arm && !isEnd) ? view.ui.arm : best;
  const levels = lines.find(({ name }) => name === arm)?.use ?? [];
  const use = levels.map((points, i) => ({ name: `level ${i + 1}`, points, opacity: 1 - (0.6 * i) / levels.length }));
  const of = (column) => lines.filter((line) => line[column].length).map((line) => ({ ...line, points: line[column] }));
  const curves = of("points").map((line) => ({ ...line, thin: line.name === arm ? line.seeds : [] }));
  const [title, about] = isShare ? ["Retained: % of the way from lower to upper",
    "By validation log-loss: 0% is the model without content, 100% the best one without a bottleneck."]
    : ["Validation log-loss (nats)", "Shares are shown once the model without a bottleneck is better than popularity."];
  const unit = isShare ? (y) => `${fixed(y, 0)}%` : (y) => fixed(y, 2);
  const { n_steps: n, n_warmup: warm } = view.get("curves");
  const small = { arm, n, warm, height: 110 };
  return h("div.charts", { class: view.stale("curves") },
    lineChart(view, title, about, curves,
      { ...small, height: 300, isMain: true, unit, edge: isShare ? edge : undefined, within: isShare ? [100] : [] }),
    h("div.both",
      lineChart(view, "Codes in use", `Share of the codes of each level of ${arm || "an arm"} that some item has.`,
        use, { ...small, unit: (share) => percent(share), within: [0, 1] }),
      lineChart(view, "Codes reset so far", "Unused codes that were moved to where items are.", of("resets"),
        { ...small, unit: whole, within: [0, 2] })));
}

// Lines over `n` steps, of which `warm` are a warm-up, named at their ends with their values at the step under the pointer, or the last one. Values
// below `edge` are drawn at the bottom, with a mark and their number.
function lineChart(view, title, about, lines, options) {
  const { arm, n, warm = 0, height, unit, edge: low = -Infinity, within = [], isMain } = options;
  if (lines.length === 0) return h("div.card.chart", h("div.title", h("b", title, help(about))), h("p.mute", "None."));
  const { step = null } = view.local;
  const drawn = lines.flatMap(({ points, thin = [] }) => [points, ...thin].flat()).map((point) => point[1]);
  const [least, top] = [Math.min(...within, ...drawn), Math.max(...within, ...drawn)];
  const bottom = least < low ? low - 0.08 * (top - low) : least;
  const y = (value) => ((top - (value < low ? bottom : value)) / (top - bottom || 1)) * height;
  const x = (at) => (100 * at) / n;
  const end = ({ points }) => y(points.at(-1)[1]);
  const value = ({ points }) => unit((points.findLast(([at]) => at <= (step ?? n)) ?? points[0])[1]);
  const look = ({ name, is_end: isEnd }) => (name === arm ? "chosen" : isEnd && "end");

  const steps = [...new Set(lines.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const move = ({ currentTarget, clientX }) => {
    const { left, width } = currentTarget.getBoundingClientRect();
    const far = (at) => Math.abs((x(at) * width) / 100 - clientX + left);
    view.setLocal({ step: steps.reduce((best, at) => (far(at) < far(best) ? at : best)) });
  };
  const named = [...lines].sort((a, b) => end(a) - end(b));
  const place = step === null ? steps.length - 1 : steps.indexOf(step);
  const told = `step ${steps[place]}: ${named.map((line) => `${line.name} ${value(line)}`).join(", ")}`;
  const stepper = isMain && h("label.row", `step ${whole(steps[place])}`, h("input", {
    type: "range", min: 0, max: steps.length - 1, value: place, "aria-label": "Step", "aria-valuetext": told,
    oninput: ({ target }) => view.setLocal({ step: steps[target.value] }),
  }));

  const upright = (name, at) => h(`line.${name}`, { x1: x(at), x2: x(at), y1: 0, y2: height });
  const level = (name, at, from = 0) => h(`line.${name}`, { x1: from, x2: 100, y1: at, y2: at });
  const path = (points) => points.map(([at, value]) => `${x(at).toFixed(2)},${y(value).toFixed(1)}`).join(" ");
  const ticks = niceTicks(Math.max(bottom, low), top, height / 45);
  const picture = h("svg", { viewBox: `0 0 100 ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    ticks.map((tick) => level("grid", y(tick))), upright("warm", warm),
    named.map((line) => level("ahead", end(line), x(line.points.at(-1)[0]))),
    lines.map((line) => [(line.thin ?? []).map((points) => h("polyline.thin", { points: path(points) })),
      h("polyline", { key: line.name, points: path(line.points), class: look(line), opacity: line.opacity })]),
    step !== null && upright("step", step));
  const dips = lines.map((line) => ({ line, least: line.points.reduce((a, b) => (b[1] < a[1] ? b : a)) }))
    .filter(({ line, least }) => least[1] < low && !line.is_end);
  const dip = ({ line, least }, i) => // one above the other: they may have the same place
    h("b.dip", { style: `left: ${x(least[0])}%; bottom: ${14 * i}px`, class: look(line) }, `▼ ${unit(least[1])}`);
  const mark = (at, text) => h("span.x", { style: `left: ${x(at)}%`, class: at === warm && "right" }, at, text);
  const places = spreadOut(named.map(end), Math.min(16, height / Math.max(named.length - 1, 1)), height);
  const label = (line, i) => {
    const props = { key: line.name, style: `top: ${places[i].toFixed(1)}px`, class: look(line), title: line.name };
    const parts = [h("span", line.name), " ", h("b", value(line))];
    if (!isMain || line.is_end) return h("span", props, parts);
    const choose = () => view.setUi({ arm: line.name });
    return button(parts, choose, { ...props, "aria-pressed": String(line.name === arm) });
  };
  return h("div.card.chart", { key: title, style: `--tall: ${height}px` },
    h("div.title", h("b", title, help(about)), stepper),
    h("div.plotted",
      h("div.ticks", ticks.map((tick) => h("span", { style: `top: ${y(tick)}px` }, unit(tick))),
        bottom < low && h("b", { style: `top: ${(y(low) + height) / 2}px` }, "≈")),
      h("div.area", { onpointermove: move, onpointerleave: () => view.setLocal({ step: null }) },
        picture, dips.map(dip), mark(0), warm > 0 && mark(warm, isMain && ": warm-up ends"), mark(n)),
      h("svg.leaders", { viewBox: `0 0 16 ${height}`, "aria-hidden": "true" },
        named.map((line, i) => h("line", { class: look(line), x1: 0, x2: 16, y1: end(line), y2: places[i] }))),
      h("div.names", named.map(label))));
}

// Places near the wanted ones, which ascend, a gap apart and within a length.
function spreadOut(wanted, gap, length) {
  const places = [];
  for (const place of wanted) places.push(Math.max(place, places.length ? places.at(-1) + gap : 0));
  return places.map((place, i) => Math.min(place, length - gap * (places.length - 1 - i)));
}

function niceTicks(low, high, n) {
  const rough = (high - low) / n || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((times) => unit * times >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

function keptTable(view) {
  const { rows, text, n_seeds: n } = view.get("kept");
  if (!rows) return null;
  const share = ({ retained, low, high }) => bar(retained, retained === null ? "–" : [`${fixed(100 * retained, 1)}%`,
    high > low && h("small", ` ± ${fixed(50 * (high - low), 1)}`)]);
  const metric = ([id, label]) => column(id, label, { value: (row) => row[id].retained, show: (row) => share(row[id]),
    help: "Kept on the test split: % of the way from the lower to the upper model." });
  const name = ({ name: arm, is_trained: isTrained, is_chosen: isChosen }) => [
    isTrained ? button(arm, () => view.setUi({ arm }), { name: "button.link" }) : arm,
    isChosen && text && h("b.good", " ✓ chosen")];
  const open = ({ name: arm, use }) => use !== null && button("Open", () => view.act("open", { name: arm }),
    { name: "button.small", "aria-label": `Open the ids of ${arm}` });
  const columns = [column("name", "Model", { show: name }),
    ...Object.entries({ log_loss: "Log-loss", recall: "Recall@10", ndcg: "NDCG@10" }).map(metric),
    asNumber("use", "Least use", (use) => (use === null ? "–" : percent(use)),
      "Share of codes in use, of the level that uses the fewest."),
    column("ids", "Ids", { value: () => "", show: open })];
  return h("section.card.retained", { class: view.stale("kept") },
    h("div.title", h("b", "What is kept"), n > 1 ? `means of ${n} seeds ± 95%` : "one seed"),
    text && h("p", text), dataTable(view, "kept", columns, rows, { caption: "What each model keeps" }),
    view.model.get("opened") && h("p.mute", "The ids are below; .ids of this view has them for the next cell."));
}

// Another view of this kernel, by the id of its model.
class OtherView {
  constructor(el, props, view) {
    Object.assign(this, { el, view });
    this.update(props);
  }

  async update({ id }) {
    if (id === this.id) return;
    this.id = id;
    this.end = this.end?.();
    this.el.replaceChildren();
    const model = id && (await this.view.model.widget_manager.get_model(id));
    if (model && id === this.id) this.end = render({ model, el: this.el });
  }
}
