"""The core of the front end in Chromium, without JupyterLab: what is drawn depends on the state alone."""

import random
import re

import numpy as np
import pytest
from browser import chromium, drawn, started, violations
from conftest import PATIENCE, made_fasttext, made_items, made_network, made_task
from playwright.sync_api import expect

import workbench as wb
from workbench.semantic import Arm, Training
from workbench.semantic.ids import SemanticIDs
from workbench.views.widget import SCRIPTS, STATIC

pytestmark = pytest.mark.browser
# A drawing of a tree in the state: [name, props, ...children], texts, and null for what is left out.
DRAW = """
const build = (x) => Array.isArray(x) ? front.h(x[0], x[1] && { ...x[1] }, ...x.slice(2).map(build)) : x;
front.DRAWINGS.test = (view) => build(view.get("tree"));
window.build = build;
"""


@pytest.fixture(scope="module")
def chrome():
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium here: `apt-get install chromium`, or name one in WORKBENCH_CHROMIUM")
    with started(executable) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(chrome):
    with drawn(chrome, {"kind": "test", "tree": ["p", None, "..."]}, before=DRAW) as page:
        yield page


def put(page, *tree, **state) -> None:
    """Have a tree drawn."""
    page.evaluate("state => model.set(state)", {"tree": ["main", None, *tree], **state})


def slider(value: int, **props) -> list:
    return ["input", {"type": "range", "min": 0, "max": 100, "value": value, **props}]


def random_tree(rng: random.Random, depth: int = 0):
    """A tree of few kinds of elements, some with keys, so that drawings have parts in common."""
    kind = rng.random()
    if depth == 4 or kind < 0.15:
        return rng.choice(["one", "two", 3, None, ""])
    if kind < 0.25:
        return ["input", {"value": rng.choice("ab"), "title": rng.choice(["x", None])}]
    if kind < 0.3:
        return ["input", {"type": "checkbox", "checked": rng.random() < 0.5}]
    if kind < 0.4:
        options = rng.sample("abcd", rng.randint(1, 4))
        return ["select", {"value": rng.choice(options)}, *(["option", {"value": o}, o] for o in options)]
    if kind < 0.5:
        return ["svg", {"viewBox": "0 0 9 9"}, ["circle", {"r": rng.randint(1, 3)}]]
    keys = rng.sample(range(9), 9)
    children = [random_tree(rng, depth + 1) for _ in range(rng.randint(0, 5))]
    for child in children:
        if isinstance(child, list) and rng.random() < 0.5:
            child[1] = {**(child[1] or {}), "key": keys.pop()}
    props = {"class": rng.choice(["c", None]), "hidden": rng.random() < 0.2, "data-n": rng.randint(0, 2)}
    return [rng.choice(["div", "div.card", "p.card.wide", "button"]), props, *children]


def test_every_function_that_is_called_is_there(page):
    code = "\n".join((STATIC / name).read_text() for name in SCRIPTS)
    code = re.sub(r'"(?:\\.|[^"\\\n])*"|(?<!:)//.*', "", code)
    called = set(re.findall(r"(?<![\w.-])([a-zA-Z_]\w*)\(", code)) - {"calc", "rgb", "var"}  # of CSS
    known = set(re.findall(r"([a-zA-Z_]\w*)\b(?!\()", code))  # variables, parameters
    known |= set(re.findall(r"(?:function |^  (?:async )?)(\w+)\(.*\{$", code, re.MULTILINE))  # and methods
    assert page.evaluate("names => names.filter((name) => !(name in window))", sorted(called - known)) == []


def test_any_order_of_states_gives_the_same_page_as_a_new_drawing(page):
    rng = random.Random(0)
    trees = [["main", None, *(random_tree(rng) for _ in range(4))] for _ in range(300)]
    wrong = page.evaluate(
        """async (trees) => {
          const values = (el) => [...el.querySelectorAll("input, select")].map((e) => `${e.value} ${e.checked}`).join();
          const wrong = [];
          for (const tree of trees) {
            model.set("tree", tree);
            await null;
            const [old, fresh] = [el.querySelector("main"), build(tree)];
            if (!old.isEqualNode(fresh) || values(old) !== values(fresh)) wrong.push([old.outerHTML, fresh.outerHTML]);
          }
          return wrong;
        }""",
        trees,
    )
    assert wrong == []


def test_the_same_state_drawn_again_changes_nothing(page):
    rng = random.Random(1)
    put(page, *(random_tree(rng) for _ in range(9)))
    assert (
        page.evaluate(
            """async () => {
          let n = 0;
          const watch = new MutationObserver((all) => { n += all.length; });
          watch.observe(el, { subtree: true, childList: true, attributes: true, characterData: true });
          model.set("other", 1);
          await new Promise((done) => setTimeout(done, 50));
          return n;
        }"""
        )
        == 0
    )


def test_what_is_typed_stays_with_caret_and_focus_whatever_comes_and_goes_around_it(page):
    box = ["input", {"value": "300", "aria-label": "Words"}]
    put(page, ["div.rail", None, box])
    page.get_by_label("Words").fill("12345")
    page.evaluate("document.activeElement.setSelectionRange(2, 2)")
    put(page, ["div.error", None, "new"], "text", ["div.rail", None, ["b", None, "!"], box])
    put(page, ["div.rail", None, ["p", None, "gone"], box])
    for key in ("x", "y"):
        page.keyboard.press(key)
        put(page, ["div.rail", {"class": key}, box])
    assert page.get_by_label("Words").input_value() == "12xy345"
    page.get_by_label("Words").blur()
    assert page.get_by_label("Words").input_value() == "300"  # nothing was taken: the state is right


def test_a_slider_under_the_hand_is_not_moved_and_then_shows_the_state(page):
    put(page, slider(20))
    box = page.locator("input").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)
    page.mouse.down()
    held = page.locator("input").input_value()
    put(page, slider(70))
    assert page.locator("input").input_value() == held != "70"
    page.mouse.up()
    put(page, slider(71))
    assert page.locator("input").input_value() == "71"


def test_what_was_chosen_stays_until_python_has_answered(page):
    tree = [
        ["select", {"value": "a"}, ["option", {"value": "a"}], ["option", {"value": "b"}]],
        ["input", {"type": "checkbox"}],
    ]
    tree[1][1]["checked"] = False
    page.evaluate("() => { front.DRAWINGS.test = (view) => { window.view = view; return build(view.get('tree')); }; }")
    put(page, *tree)
    page.locator("select").select_option("b")
    page.evaluate("view.act('set')")
    page.locator("[type=checkbox]").check()
    put(page, *tree, status={"busy": True})
    assert page.locator("select").input_value() == "b"
    n = page.evaluate("sent.at(-1).sent")
    put(page, *tree, status={"busy": True, "heard": n})
    assert page.locator("[type=checkbox]").is_checked()
    put(page, *tree, status={"busy": False, "heard": n})  # Python refused
    assert page.locator("select").input_value() == "a"
    assert not page.locator("[type=checkbox]").is_checked()


def test_rows_that_move_keep_their_elements_and_the_focus(page):
    rows = {name: ["li", {"key": name}, ["input", {"value": name}]] for name in "abcd"}
    put(page, *rows.values())
    page.locator("input").nth(2).focus()
    page.evaluate("window.before = [...document.querySelectorAll('input')]")
    put(page, *(rows[name] for name in "cda"))
    assert page.evaluate("document.activeElement === before[2]")
    assert page.evaluate("[...document.querySelectorAll('input')].map((box) => before.indexOf(box))") == [2, 3, 0]
    put(page, rows["d"])
    assert page.evaluate("document.activeElement.className") == "wb"  # the focus stays in the view


def test_attributes_of_others_stay(page):
    put(page, ["details", {"class": "a"}, ["summary", None, "More"], "text"])
    page.locator("summary").click()
    page.evaluate("document.querySelector('summary').setAttribute('data-theirs', '1')")
    put(page, ["details", {"class": "b"}, ["summary", {"title": "?"}, "More"], "text"])
    assert page.locator("details[open].b summary[data-theirs]").count() == 1


COMPONENT = """
class Counted {
  constructor(el, props) { this.el = el; Counted.made += 1; this.update(props); }
  update({ n }) { this.el.textContent = `${n} of ${Counted.made}`; }
}
Counted.made = 0;
front.DRAWINGS.test = (view) => front.h("main", null, view.get("first") === true && front.h("div", null, "first"),
  front.component(Counted, { n: view.get("n") }));
model.set("n", 1);
"""


def test_a_component_lives_on_and_two_views_of_a_model_and_a_moved_one_show_the_same(page):
    page.evaluate(f"() => {{ {COMPONENT} }}")
    page.evaluate("model.set({ n: 2, first: true })")
    assert page.locator("[data-component]").inner_text() == "2 of 1"
    page.evaluate("""() => {
      window.other = document.body.appendChild(document.createElement("div"));
      window.end = front.render({ model, el: other });
      document.body.prepend(el);
      model.set("n", 3);
    }""")
    assert page.locator("[data-component]").all_inner_texts() == ["3 of 2", "3 of 2"]
    page.evaluate("end(); other.remove(); model.set('n', 4)")
    assert page.locator("[data-component]").all_inner_texts() == ["4 of 2"]


def test_keys_stay_in_the_view_but_those_of_jupyterlab(page):
    put(page, ["button", None, "one"])
    page.evaluate("front.DRAWINGS.test = (view) => build(view.get('tree')); model.set('n', 0)")
    page.locator("button").focus()
    for key, kept in (("ArrowUp", True), ("Control+s", False), ("Control+z", True), ("d", True)):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.hasAttribute('data-lm-suppress-shortcuts')") == kept


# -- real states ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def states(builtin):
    """States of views by name: those of the panel's tabs, of a pair, of ids and of a training that is done."""
    big, codes = builtin.head(3_000), np.random.default_rng(0).integers(0, 5, (200, 2))
    ids = SemanticIDs([f"item{i}" for i in range(200)], codes, np.random.default_rng(1).normal(size=(2, 5, 8)))
    training = Training(n_steps=60, n_warmup=20, batch_size=64, n_negatives=64, dim=8, hidden=16, eval_every=10)
    arms = {"Gumbel": Arm("gumbel", n_levels=2, codebook_size=16, end=0.1)}
    recipe, live = wb.Chain([wb.Prune(1_000, 2_000), wb.PQ(10)]), {"interactive": True}
    views = {
        "panel": wb.views.CompressionPanel(big, recipe=recipe, words=["music"], n_mapped=300, **live),
        "pair": wb.views.MapView(big, wb.PQ(10).fit_transform(big), words=["music"], n_mapped=300, **live),
        "ids": wb.views.IdsView(ids, item="item0", **live),
        "training": wb.views.TrainingView(made_items(), arms, training, **live),
        "network": made_network_panel(),
    }
    views["training"].act("train")
    found = {}
    for name, view in views.items():
        found[name] = view.wait(PATIENCE).get_state()
        assert not found[name]["status"]["problem"]
        view.close()
    for of, tabs in TABS.items():
        panel = found.pop(of)
        found |= {tab: {**panel, "ui": {**panel["ui"], "tab": tab.removeprefix("network ")}} for tab in tabs}
    return found


def made_network_panel():
    """The panel of a tiny network, whose recipe trains."""
    networks = wb.networks
    net, task = made_network(networks.NgramTokenizer.of(made_fasttext()), n_inner=[140, 140]), made_task(60)
    panel = wb.views.NetworkPanel(net, task, wb.Chain([networks.Train(task, 8)]), interactive=True)
    panel.act("look", words=[task.test.texts[0]])
    panel.act("add", kind="Each")
    return panel


TABS = {
    "panel": ("overview", "map", "neighbours", "damage", "export"),
    "network": ("layers", "weights", "network map", "courses"),
}
VIEWS = (*TABS["panel"], *TABS["network"], "pair", "ids", "training")


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(("width", "dark"), [(1200, True), (700, False), slow(1200, False), slow(1600, True)])
def test_every_view_is_for_everybody_and_nothing_sticks_out(chrome, states, width, dark):
    for name in VIEWS:
        with drawn(chrome, states[name], width, 800, dark) as page:
            assert violations(page, ".wb") == [], name


CONTROLS = """[...document.querySelectorAll(".wb :is(input, select, button, canvas, [tabindex='0']):not([disabled])")]
  .filter((el) => el.offsetParent && el.tabIndex >= 0)"""


@pytest.mark.parametrize("name", [slow(name) if name in ("damage", "neighbours") else name for name in VIEWS])
def test_every_control_is_reached_by_tab_and_seen(chrome, states, name):
    with drawn(chrome, states[name]) as page:
        page.evaluate(f"window.unseen = new Set({CONTROLS}); {CONTROLS}[0].focus()")
        for _ in range(page.evaluate("unseen.size") + 5):
            page.evaluate("unseen.delete(document.activeElement)")
            page.keyboard.press("Tab")
        assert page.evaluate("[...unseen].map((el) => el.outerHTML.slice(0, 200))") == []


def test_a_menu_is_seen_whole_and_closes_and_a_word_that_no_row_has_is_looked_at(chrome, states):
    with drawn(chrome, states["neighbours"], height=900) as page:
        opener, menu = page.get_by_text("+ Add a step"), page.locator(".rail .menu-box")
        for leave in (lambda: page.keyboard.press("Escape"), page.get_by_label("Find a word").focus):
            opener.click()
            expect(menu).to_be_in_viewport(ratio=0.95)
            leave()
            expect(menu).to_be_hidden()
        page.get_by_label("Find a word").fill("unheardof")
        page.get_by_role("button", name="unheardof").click()
        assert page.evaluate("[sent.at(-1).words, model.get('ui').tab]") == [["unheardof"], "map"]
