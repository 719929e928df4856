"""The views of two models side by side in JupyterLab, used as a person would."""

import re

import nbformat
import pytest
from browser import Plot, violations
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CELLS = (
    "import workbench as wb\n\n"
    "big = wb.load('builtin:en')\n"
    "small = wb.Chain([wb.Prune(n_words=2_000, n_ngrams=4_000), wb.PQ(n_subvectors=25)]).fit_transform(big)",
    "wb.views.NeighbourView(big, small, words=['music'])",
    "wb.views.DamageView(big, small)",
    "wb.views.MapView(big, small, words=['river'], n_mapped=1_000)",
    "plain = wb.Vectors.from_arrays(big.words[:500], big[big.words[:500]])\n"
    "wb.views.NeighbourView(plain, wb.PQ(n_subvectors=25).fit_transform(plain))",
)
VIEWS = {"neighbours": 1, "damage": 2, "maps": 3, "neighbours without n-grams": 4}  # and the cell of each


class OneView:
    """One of the views in the notebook."""

    def __init__(self, notebook, name: str):
        self.page = notebook.page
        self.selector = f".jp-Notebook-cell[data-windowed-list-index='{VIEWS[name]}']"
        self.box = self.page.locator(f"{self.selector} .jp-OutputArea-output:has(.widget-vbox.wb)")

    def find(self, selector: str):
        return self.page.locator(f"{self.selector} {selector}").first

    def look_at(self, word: str) -> None:
        box = self.box.get_by_label("Word", exact=True)
        box.fill(word)
        box.press("Enter")


@pytest.fixture(scope="module")
def views(browser, builtin, tmp_path_factory):
    """A notebook with one view in each cell, run by Run All."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    path = tmp_path_factory.mktemp("views") / "views.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    notebook = browser(path)
    notebook.page.set_viewport_size({"width": 1280, "height": 6_000})  # JupyterLab drops what is far out of view
    notebook.run_all()
    expect(OneView(notebook, "neighbours").find(".wb-neighbours td")).to_be_visible(timeout=240_000)
    return notebook


def test_neighbours_of_a_word_that_is_typed(views):
    view = OneView(views, "neighbours")
    expect(view.find(".wb-neighbours")).to_contain_text("music: ")
    view.look_at("musicalities")  # in neither vocabulary
    expect(view.find(".wb-neighbours")).to_contain_text("musicalities: ")
    expect(view.find(".wb-carriers")).to_contain_text("<mus")
    view.box.get_by_label("Show the n-grams that carry a word").uncheck()
    expect(view.find(".wb-carriers")).to_be_hidden()


def test_a_word_that_a_model_without_ngrams_does_not_know_gets_a_message(views):
    view = OneView(views, "neighbours without n-grams")
    view.look_at("musicalities")
    expect(view.find(".wb-error-words")).to_contain_text("musicalities")
    expect(view.find(".wb-error-words")).not_to_contain_text("Error")
    view.look_at("the")
    expect(view.find(".wb-error-words")).to_be_empty()
    expect(view.find(".wb-neighbours")).to_contain_text("the: ")


def test_neighbours_of_a_word_picked_from_the_damaged_ones(views):
    view = OneView(views, "damage")
    expect(view.find(".wb-damage")).to_contain_text("fate")
    view.box.get_by_label("Words of").select_option("shape: long")
    worst = view.box.get_by_label("Most damaged")
    expect(worst.locator("option").nth(1)).to_contain_text(re.compile("^\\S{12,}"))  # that is what long means
    word = worst.locator("option").nth(1).inner_text().split("\xa0")[0]
    worst.select_option(index=1)
    expect(view.find(".wb-neighbours")).to_contain_text(f"{word}: ")


def test_neighbours_of_a_point_clicked_on_the_second_map(views):
    view = OneView(views, "maps")
    maps = Plot(views.page, f"{view.selector} .wb-maps")
    expect(view.find(".wb-maps")).to_contain_text("trustworthiness", timeout=120_000)
    at = maps.read("figure._fullData[1].text.findIndex(text => text.startsWith('the<'))")
    point = maps.hover(1, at, view.find(".wb-hovered"))
    expect(view.find(".wb-hovered")).to_contain_text("rank ")
    word = view.find(".wb-hovered").inner_text().split(":")[0]  # "the", or what lies on it
    views.page.mouse.click(*point)
    expect(view.find(".wb-neighbours")).to_contain_text(f"{word}: ")


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_for_everybody(views, name):
    view = OneView(views, name)
    expect(view.box).to_be_visible()
    assert violations(views.page, f"{view.selector} .jp-OutputArea-output:has(.widget-vbox.wb)") == []
