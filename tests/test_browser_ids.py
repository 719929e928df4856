"""The live view of semantic ids in JupyterLab, used as a person would."""

import re

import pytest
from browser import violations
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
CELL = """import numpy as np
from workbench.semantic.ids import SemanticIDs
from workbench.views import IdsView

rng = np.random.default_rng(0)
codes = np.minimum(rng.geometric(0.2, (400, 3)) - 1, 15)
books = rng.normal(size=(3, 16, 8)) / 4.0 ** np.arange(3)[:, None, None]
names = [f"thing {i} of {code}" for i, code in enumerate(codes[:, 0])]
ids = SemanticIDs([f"item{i}" for i in range(400)], codes, books, names)
vectors = ids.decode() + rng.normal(0, 0.05, (400, 8)).astype(np.float32)
view = IdsView(ids, vectors, item="item7")
view"""


@pytest.fixture(scope="module")
def notebook(browser):
    """A notebook with the view, run, once UMAP is drawn."""
    notebook = browser([CELL])
    notebook.resize()
    notebook.command("application:toggle-left-area")
    notebook.run_all()
    expect(notebook.find(".ids")).to_contain_text("up to date", timeout=240_000)
    return notebook


@pytest.fixture
def page(notebook):
    """The page, where all items are looked at and nothing is selected."""
    notebook.page.get_by_role("button", name="All items", exact=True).click()
    expect(way(notebook.page)).to_have_text("All items")
    return notebook.page


def way(page):
    return page.locator("nav.way [aria-current]")


def test_keys_lead_down_the_tree_to_a_whole_id(page):
    for prefix in ("0", "0-0", "0-0-3"):  # the most populous ones
        page.locator(".branch").nth(1).focus()
        page.keyboard.press("Enter")
        expect(page.locator(".branch").first).to_contain_text(f" {prefix}: ")
    expect(page.locator(".branch")).to_have_count(1)
    assert violations(page, ".ids") == []


def test_items_are_found_while_one_types(page):
    page.get_by_label("Find an item").press_sequentially("thing 39")
    page.get_by_role("button", name=re.compile("^thing 391 of")).click()
    expect(page.locator(".tab-panel .way b").first).to_have_text(re.compile("^thing 391 of"))
    expect(page.locator(".branch", has_text="★").first).to_be_visible()


def test_what_a_lasso_holds_is_counted_in_the_tree_until_it_is_cleared(page):
    box = page.locator("[data-component=PointMap]").bounding_box()
    page.get_by_role("button", name="Box", exact=True).click()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] - 40, steps=5)
    page.mouse.up()
    expect(page.locator(".branch", has_text="selected").first).to_be_visible()
    page.get_by_role("button", name="Clear selection").click()
    expect(page.locator(".branch", has_text="selected")).to_have_count(0)


def test_the_next_cell_sets_what_is_looked_at_and_a_reload_shows_it_again(notebook, page):
    page.locator(".jp-Notebook").evaluate("""() => {
        const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
        return kernel.requestExecute({ code: "view.prefix = (1,); view.item = 'item5'" }).done; }""")
    expect(way(page)).to_have_text(re.compile("^1"))
    notebook.reload()
    expect(way(page)).to_have_text(re.compile("^1"))
    expect(page.locator(".tab-panel .way b").first).to_have_text(re.compile("^thing 5 of"))
    drawn = "canvas => new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, 500, 300).data.buffer)).size"
    assert page.locator("[data-component=PointMap] canvas").first.evaluate(drawn) > 20
