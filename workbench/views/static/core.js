// The core of the front end: a view is drawn from its state as a whole, and the page is patched to match.
// Drawing functions return elements made with `h`; they read state and hold none, so any state drawn at any time,
// after any reload, gives the same picture. What must live on (a canvas) is a component.

const SVG = "http://www.w3.org/2000/svg";
const IN_SVG = new Set("svg g path circle line rect text polyline polygon title defs".split(" "));

// An element: h("button.primary", {onclick, title, "aria-label": ...}, ...children), with or without props. Children
// may be nested arrays, texts, numbers; null and false are left out. `key` tells siblings of the same tag apart.
function h(name, props, ...children) {
  const isChild = typeof props !== "object" || Array.isArray(props) || props instanceof Node;
  if (isChild) return h(name, null, props, ...children);
  const [tag, ...classes] = name.split(".");
  const el = IN_SVG.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  Object.assign(el, { _name: name, _attributes: {}, _on: {}, _set: {} });
  const names = [...classes, props?.class].flat().filter(Boolean).join(" ");
  for (const [key, value] of Object.entries({ ...props, class: names || null })) {
    if (key === "key") el._key = value;
    else if (key.startsWith("on")) el._on[key] = value && ((event) => void value(event)); // false would stop the event
    else if (key === "value" || key === "checked") el._set[key] = value;
    else if ((value ?? false) !== false) el._attributes[key] = value === true ? "" : `${value}`;
  }
  for (const child of children.flat(9)) if ((child ?? false) !== false && child !== "") el.append(child);
  for (const [key, value] of Object.entries(el._attributes)) el.setAttribute(key, value);
  return Object.assign(el, el._on, el._set); // the value of a select after its options
}

// An element that keeps its own content between drawings: `new Kind(el, props, view)` once it is in the page, then
// `update(props)` at every drawing.
function component(Kind, props, name = "div", attributes = {}) {
  const el = h(name, { "data-component": Kind.name, ...attributes });
  el._make = { Kind, props };
  return el;
}

function isAlike(old, fresh) {
  return old.nodeName === fresh.nodeName && old.type === fresh.type && old._make?.Kind === fresh._make?.Kind;
}

// Make `old`, which is in the page, look like `fresh`; what a person types or holds stays under the hand.
function patch(old, fresh) {
  if (!isAlike(old, fresh)) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  // Only what a drawing has set: other attributes are JupyterLab's or a person's, as an open <details>.
  for (const name in old._attributes) if (!(name in fresh._attributes)) old.removeAttribute(name);
  for (const name in fresh._attributes) {
    if (old.getAttribute(name) !== fresh._attributes[name]) old.setAttribute(name, fresh._attributes[name]);
  }
  for (const name in { ...old._on, ...fresh._on }) old[name] = fresh._on[name] ?? null;
  if (fresh._make) {
    old._make = fresh._make;
    old._made?.update(fresh._make.props);
  } else patchChildren(old, [...fresh.childNodes]);
  for (const [name, value] of Object.entries(fresh._set)) {
    const isTyped = name === "value" && old.matches("input:not([type=range]):focus, textarea:focus");
    const isKept = old._set[name] === value && (isTyped || !isSettled); // what a person has just put there
    const isHeld = old.type === "range" && old.matches(":active");
    if (!isKept && !isHeld && `${old[name]}` !== `${value}`) old[name] = value;
  }
  Object.assign(old, { _name: fresh._name, _attributes: fresh._attributes, _on: fresh._on, _set: fresh._set });
}

// Children with a key match by it; others the first one left of the same tag and classes, or of the same tag at least.
function patchChildren(old, after) {
  const left = new Set(old.childNodes);
  const find = (test) => {
    for (const node of left) if (test(node) && left.delete(node)) return node;
    return null;
  };
  const isLike = (node, child) => node._key === child._key && isAlike(node, child);
  const matches = after.map((child) => find((node) => node._name === child._name && isLike(node, child)));
  after.forEach((child, i) => { matches[i] ??= find((node) => isLike(node, child)); });
  left.forEach((node) => node.remove());
  after.forEach((child, place) => {
    const node = matches[place] ?? child;
    if (old.childNodes[place] !== node) old.insertBefore(node, old.childNodes[place] ?? null);
    if (node !== child) patch(node, child);
  });
}

let isSettled = true; // Python has heard all that a person did, and is done

// What drawing functions know: state from Python, `ui` (what a person looks at: kept in the kernel, so it survives a
// reload), `local` (what goes with the page, such as a slider that is being dragged), and actions for Python.
class View {
  constructor(model, el) {
    Object.assign(this, { model, el, local: {}, root: null, waiting: false, sent: 0, binary: new WeakMap() });
  }

  get(name) {
    return this.model.get(name) ?? {};
  }

  get ui() {
    return this.get("ui");
  }

  setUi(changes) {
    this.model.set("ui", { ...this.ui, ...changes });
    this.model.save_changes();
    this.redraw();
  }

  setLocal(changes) {
    Object.assign(this.local, changes);
    this.redraw();
  }

  act(action, args = {}, buffers = []) {
    this.local.action = action;
    this.sent = Math.max(Date.now(), this.sent + 1); // Python says up to where it has heard; so after a reload, too
    this.model.send({ action, sent: this.sent, ...args }, undefined, buffers);
  }

  get isSettled() {
    const { heard = 0, busy } = this.get("status");
    return heard >= this.sent && !busy;
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    queueMicrotask(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    let drawn;
    try {
      drawn = DRAWINGS[this.model.get("kind")](this);
    } catch (error) {
      console.error(error);
      drawn = warning(`This cannot be drawn: ${error.message}`);
    }
    const fresh = h("div.wb", { tabindex: -1 }, drawn);
    isSettled = this.isSettled;
    if (this.root) {
      const held = this.root.contains(document.activeElement) && document.activeElement;
      patch(this.root, fresh);
      const isLost = held && !this.root.contains(document.activeElement); // it moved, or went: keys stay in the view
      if (isLost) (this.root.contains(held) ? held : this.root).focus({ preventScroll: true });
    } else this.el.append((this.root = Object.assign(fresh, { view: this }))); // for who looks in from outside
    for (const el of this.root.querySelectorAll("[data-component]")) {
      if (el._make) el._made ??= new el._make.Kind(el, el._make.props, this);
    }
  }

  // A typed array of a binary part of the state; the same one as long as the part is the same.
  array(Kind, data) {
    if (!data) return new Kind(0);
    const { buffer = data, byteOffset: start = 0, byteLength: length } = data;
    if (!this.binary.has(data)) this.binary.set(data, new Kind(buffer.slice(start, start + length)));
    return this.binary.get(data);
  }

  // The class of a part that does not show what follows from the present setting: it is dimmed.
  stale(name) {
    return this.get("status").stale?.includes(name) && "stale";
  }

  // What went wrong with the last action, if it was this one: for a place beside its button.
  problemOf(action) {
    return this.local.action === action && this.get("status").problem;
  }

  error(...cells) {
    const errors = this.get("status").errors ?? {};
    return cells.map((cell) => errors[cell]).find(Boolean);
  }
}

const DRAWINGS = {}; // by kind of view; each file adds its own
const LISTENERS = {}; // by `do` of a message from Python

function render({ model, el }) {
  const view = new View(model, el);
  const redraw = () => view.redraw();
  const hear = (message, buffers) => LISTENERS[message.do]?.(view, message, buffers);
  const theme = new MutationObserver(redraw);
  theme.observe(document.body, { attributes: true });
  window.addEventListener("keydown", keepKeys, true); // before JupyterLab, which listens at the document
  model.on("change", redraw);
  model.on("msg:custom", hear);
  view.draw();
  // What `data-tip` says, above everything, so that no part that scrolls cuts it off.
  const tip = h("div.wb-tip", { popover: "manual", role: "tooltip" });
  el.append(tip);
  for (const on of ["mouseover", "mouseout", "focusin", "focusout", "mousedown"]) el.addEventListener(on, showTip);
  el.addEventListener("focusout", leave);
  return () => {
    theme.disconnect();
    window.removeEventListener("keydown", keepKeys, true);
    model.off("change", redraw);
    model.off("msg:custom", hear);
  };

  function showTip({ type, target }) {
    const marked = ["mouseover", "focusin"].includes(type) && target.closest("[data-tip]");
    if (tip.isConnected) tip.togglePopover(Boolean(marked));
    if (!marked) return;
    tip.textContent = marked.dataset.tip;
    const [at, own] = [marked.getBoundingClientRect(), tip.getBoundingClientRect()];
    const above = at.bottom + own.height + 12 > window.innerHeight;
    tip.style.left = `${Math.max(4, Math.min(at.left, window.innerWidth - own.width - 12))}px`;
    tip.style.top = `${above ? at.top - own.height - 6 : at.bottom + 6}px`;
  }

  // A menu closes when the focus leaves it, but for another window, as one to choose a file; and what was typed and not
  // taken gives way to the state.
  function leave({ target, relatedTarget }) {
    const box = target.closest("details.menu");
    if (box && !box.contains(relatedTarget) && document.hasFocus()) box.open = false;
    redraw();
  }

  // Plain keys pressed in the view are its own; JupyterLab would go to the cell above at an arrow key. Keys with
  // Ctrl, Alt or Cmd stay JupyterLab's, except those that the view handles itself.
  function keepKeys(event) {
    if (!el.contains(event.target)) return;
    const plain = !event.ctrlKey && !event.altKey && !event.metaKey;
    const isOurs = plain || ["z", "y"].includes(event.key?.toLowerCase()); // undo and redo of the panel
    event.target.toggleAttribute("data-lm-suppress-shortcuts", isOurs);
  }
}
