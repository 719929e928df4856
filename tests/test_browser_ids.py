"""The live view of semantic ids in JupyterLab, used as a person would."""

import re

import pytest
from browser import VIEW, Plot, violations
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
IdsView(ids, vectors, item="item7")"""


@pytest.fixture(scope="module")
def notebook(browser):
    """A notebook with the view, run, once UMAP is drawn."""
    notebook = browser([CELL])
    notebook.resize()
    notebook.command("application:toggle-left-area")
    notebook.run_all()
    expect(notebook.find(".wb-id-map-text")).to_contain_text("UMAP", timeout=240_000)
    return notebook


@pytest.fixture
def page(notebook):
    """The page, where all items are looked at and nothing is selected.

    What is so already is not asked for: nothing would tell when the kernel has heard it, and it may hear
    what a test does next before.
    """
    crumbs = notebook.page.locator(".wb-crumb:visible")
    if crumbs.count() > 1:
        crumbs.first.click()
        expect(crumbs).to_have_count(1)
    expect(notebook.page.locator(".wb-id-legend").first).to_contain_text("Level 1 of all items")
    return notebook.page


@pytest.fixture
def plot(page) -> Plot:
    return Plot(page, ".wb-id-map")


def tile(page, prefix: str):
    return page.locator("button.wb-tile").filter(has_text=re.compile(rf"(^|\s){prefix}: "))


GREY = "figure._fullData[0].marker.opacity.filter(value => value < 0.2).length"


def test_a_tile_leads_down_and_the_path_back(page, plot):
    plot.wait_until(f"{GREY} === 0")
    first = tile(page, "0")
    n_below = int(re.search(r"0: (\d+)", first.inner_text()).group(1))
    first.click()
    plot.wait_until(f"{GREY} === value", 400 - n_below)
    expect(page.locator(".wb-id-legend").first).to_contain_text("Level 2 of 0")
    expect(page.locator(".wb-below").first).to_contain_text(f"Below 0, {n_below} items: thing")
    tile(page, "0-0").click()
    expect(page.locator(".wb-id-legend").first).to_contain_text("Level 3 of 0-0")
    page.locator(".wb-crumb").nth(1).click()
    expect(page.locator(".wb-id-legend").first).to_contain_text("Level 2 of 0")
    expect(page.locator("button.wb-tile").first).to_contain_text(f"0: {n_below}")
    page.locator("button.wb-tile").first.click()  # the branch itself leads back
    plot.wait_until(f"{GREY} === 0")


@pytest.mark.slow
def test_keys_alone_lead_down(page, plot):
    page.locator(".wb-crumb").first.focus()
    tile(page, "1").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".wb-id-legend").first).to_contain_text("Level 2 of 1")
    assert page.evaluate("document.activeElement.classList.contains('wb-tile')")  # the focus stays in the tree
    page.get_by_label("Next code").select_option(index=1)
    page.get_by_role("button", name="Show this code").press("Enter")
    expect(page.locator(".wb-id-legend").first).to_contain_text(re.compile(r"Level 3 of 1-\d+"))
    assert page.locator(".jp-Notebook-cell").count() == 1  # no key went to the notebook


def test_a_point_that_is_clicked_and_points_in_a_lasso(page, plot):
    x, y = plot.point(0, 20)
    page.mouse.click(x, y)
    expect(page.get_by_label("Item", exact=True)).to_have_value(re.compile("thing "))
    plot.mode("Lasso Select")
    plot.drag(*(plot.inside(*at) for at in ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.2))))
    expect(page.locator(".wb-selected").first).to_contain_text(re.compile(r"\d+ items selected"))
    expect(tile(page, "0")).to_contain_text("selected)")
    plot.wait_until("(figure.layout.selections ?? []).length === 0")  # no outline that would select again
    plot.mode("Pan")
    page.get_by_role("button", name="Clear selection").click()
    expect(page.locator(".wb-selected").first).to_be_hidden()
    plot.wait_until("figure._fullData[0].selectedpoints === undefined")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "theme"), [(1280, "Light"), (1280, "Dark"), (700, "Light")])
def test_the_view_is_for_everybody(notebook, page, width, theme):
    notebook.resize(width, theme=theme)
    expect(page.locator("button.wb-tile").first).to_be_visible()
    assert violations(page, VIEW) == []
    notebook.resize()


@pytest.mark.slow
def test_the_page_stays_when_nothing_runs(notebook):
    notebook.page.locator("button.wb-tile").nth(1).click()
    expect(notebook.page.locator(".wb-twin")).to_contain_text("below ")
    notebook.shut_down()
    twin = notebook.page.locator(".wb-twin")
    expect(twin).to_be_visible()
    for heading in ("Numbers", "Map", "Tree of codes", "Similar items, similar ids", "What the ids are worth"):
        expect(twin.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    assert twin.locator("img").count() == 2
    assert violations(notebook.page, ".wb-twin") == []
