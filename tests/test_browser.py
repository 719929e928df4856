"""The live views in JupyterLab, used as a person would: by keyboard and mouse, and by what is to be seen."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import VIEW
from playwright.sync_api import expect

import workbench as wb

pytestmark = pytest.mark.browser
PANEL = """import workbench as wb

panel = wb.views.CompressionPanel("builtin:en", recipe=wb.Prune(2_000, 4_000), words=["music"], n_mapped=500)
panel"""
IDS = """import numpy as np
from workbench.semantic.ids import SemanticIDs
from workbench.views import IdsView

rng = np.random.default_rng(0)
codes = np.minimum(rng.geometric(0.2, (400, 3)) - 1, 15)
books = rng.normal(size=(3, 16, 8)) / 4.0 ** np.arange(3)[:, None, None]
names = [f"thing {i} of {code}" for i, code in enumerate(codes[:, 0])]
ids = SemanticIDs([f"item{i}" for i in range(400)], codes, books, names)
IdsView(ids, ids.decode() + rng.normal(0, 0.05, (400, 8)).astype(np.float32), item="item7")"""
TRAINING = f"""import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import made_items
from workbench.semantic import Arm, Training
from workbench.views import TrainingView

training = Training(n_steps=160, n_warmup=60, batch_size=64, n_negatives=64, dim=8, hidden=16, eval_every=10)
size = {{"n_levels": 2, "codebook_size": 16}}
arms = {{"STE": Arm("ste", **size), "Gumbel": Arm("gumbel", end=0.1, **size)}}
TrainingView(made_items(), arms, training)"""
NETWORK = f"""import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import made_fasttext, made_network, made_task
import workbench as wb

net = made_network(wb.networks.NgramTokenizer.of(made_fasttext()), n_inner=[140, 140])
wb.views.NetworkPanel(net, made_task(60), wb.networks.Each(wb.SQ("kmeans", n_bits=2), on="all"))"""
OF_JUPYTERLAB = (  # its words where no view is at fault
    "widget model not found",  # of a view whose kernel was shut down, as one test does
    '"stream.stderr" is not valid JSON',  # seen once: a kernel wrote a progress bar while the page was loaded anew
)
PAIR = """import workbench as wb

big = wb.load("builtin:en").head(3_000)
wb.views.MapView(big, wb.PQ(25).fit_transform(big), words=["music"], n_mapped=500)"""


@pytest.fixture(scope="module")
def panel(browser, builtin):
    notebook = browser([PANEL])
    notebook.command("application:toggle-left-area")
    notebook.run_all()
    notebook.settle()
    yield notebook
    assert [error for error in notebook.errors if not any(words in error for words in OF_JUPYTERLAB)] == []


def n_bytes(notebook) -> int:
    return notebook.state("cards")["size"]["bytes"]


def test_a_slider_moved_by_keyboard_or_mouse_gives_new_numbers(panel):
    slider = panel.page.locator(VIEW).get_by_label("Words kept", exact=True)
    first = n_bytes(panel)
    slider.press("PageDown")
    panel.settle()
    second = n_bytes(panel)
    assert second < first
    box = slider.bounding_box()
    share = slider.evaluate("slider => slider.value / slider.max")
    panel.drag((box["x"] + 8 + share * (box["width"] - 16), box["y"] + 5), (box["x"] + 12, box["y"] + 5))
    panel.settle()
    third = n_bytes(panel)
    assert third < second
    expect(panel.page.locator(VIEW).get_by_role("group", name="File size", exact=True)).to_contain_text(
        f"{third / 1e6:.2f}"
    )
    panel.press("↶ Undo")
    panel.settle()
    assert n_bytes(panel) == second


LONELY = """({ _made: map }) => {  // a point that no other lies on
  const spots = Array.from({ length: map.n }, (_, i) => [...map.px.subarray(2 * i, 2 * i + 2)]);
  const isInside = ([x, y]) => x > 60 && y > 90 && x < map.width - 60 && y < map.height - 60;
  const isNear = (a, b) => a !== b && Math.hypot(a[0] - b[0], a[1] - b[1]) < 8;
  const isAlone = (a) => isInside(a) && !spots.some((b) => isNear(a, b));
  const i = spots.findIndex(isAlone);
  return [i, ...spots[i]];
}"""


def test_a_click_on_a_map_looks_at_a_word_and_a_lasso_selects(panel):
    page, view = panel.page, panel.page.locator(VIEW)
    panel.press("Map", "tab")
    panel.settle()
    at, x, y = view.locator("[data-component=PointMap]").first.evaluate(LONELY)
    box = view.locator("canvas").first.bounding_box()
    page.mouse.move(box["x"] + x, box["y"] + y, steps=3)
    page.mouse.click(box["x"] + x, box["y"] + y)
    panel.settle()
    word = panel.state("points")["words"][at]
    assert word in [looked["word"] for looked in panel.state("looked")["words"]]
    expect(view.get_by_role("complementary", name="Words looked at")).to_contain_text(f"{word} ")

    view.get_by_role("button", name="Lasso").first.click()
    before = panel.picture()["maps"]
    corners = ((0.2, 0.3), (0.7, 0.35), (0.6, 0.8), (0.25, 0.7))
    panel.drag(*((box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in corners))
    expect(view.get_by_role("complementary", name="Words looked at")).to_contain_text(re.compile(r"\d+ words"))
    panel.settle()
    assert all(now != was for now, was in zip(panel.picture()["maps"], before, strict=True))  # on both maps


def test_the_recipe_is_copied_and_the_file_saved(panel, tmp_path):
    panel.press("Export", "tab")
    panel.press("Copy")
    expect(panel.page.locator(VIEW).get_by_role("button", name="Copied")).to_be_visible()
    n_words = panel.state("rail")["steps"][0]["fields"][0]["value"]
    assert f"n_words={n_words}" in panel.page.evaluate("navigator.clipboard.readText()")
    panel.page.locator(VIEW).get_by_label("Path", exact=True).fill(str(tmp_path / "small.safetensors"))
    panel.press("Save")
    expect(panel.page.locator(VIEW)).to_contain_text("Saved")
    assert len(wb.load(tmp_path / "small.safetensors")) == n_words


def test_without_a_kernel_there_is_a_page_to_read(panel):
    page = panel.page.locator(".wb-twin")
    expect(page).to_be_hidden()
    expect(page).to_contain_text(f"n_words={panel.state('rail')['steps'][0]['fields'][0]['value']}")  # kept up to date
    panel.shut_down()
    expect(page).to_be_visible()
    expect(page.locator("img, svg").first).to_be_visible()
    expect(panel.page.get_by_text("Error displaying widget")).to_be_hidden()


# -- opened again and again -------------------------------------------------------------------


VIEWS = {  # a cell, the tab to look at, and an action that changes what is there
    "panel": (PANEL, "Map", ("preset", {"id": "light"})),
    "pair": (PAIR, None, ("look", {"words": ["river"]})),
    "ids": (IDS, None, ("want", {"item": "item8"})),
    "training": (TRAINING, None, ("train", {})),
    "network": (NETWORK, "Map", ("preset", {"id": "light"})),
}


@contextmanager
def both_cores_busy():
    """Two processes that compute all the time."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    yield
    for process in busy:
        process.kill()
        process.wait()


def check_opening(browser, cell, tab, action) -> None:
    """Open a view in a new kernel, and reload it at work and at rest: it is neither empty, stale nor frozen."""
    notebook = browser([cell])
    notebook.command("application:toggle-left-area")
    notebook.run_all()
    notebook.page.wait_for_selector(VIEW)
    notebook.reload()
    notebook.settle()
    if tab:
        notebook.press(tab, "tab")
        notebook.settle()
    first = notebook.picture()
    assert min(first["ink"], default=1) > 0
    notebook.act(*action)
    notebook.settle()
    second = notebook.picture()
    assert second["text"] != first["text"]
    assert all(now != was for now, was in zip(second["maps"], first["maps"], strict=True))
    notebook.reload()
    notebook.settle()
    assert notebook.picture() == second
    assert notebook.errors == []
    assert notebook.page.locator("[data-mime-type*=stderr]").count() == 0
    notebook.close()


@pytest.mark.parametrize("name", ["panel", *(pytest.param(name, marks=pytest.mark.slow) for name in list(VIEWS)[1:])])
def test_a_view_opened_and_reloaded_is_never_empty_stale_or_frozen(browser, builtin, name):
    check_opening(browser, *VIEWS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", VIEWS)
def test_nor_is_it_when_opened_again_and_again_under_load(browser, builtin, name):
    """Three times; set WORKBENCH_OPENINGS=30 for the whole loop, which takes half an hour a view."""
    with both_cores_busy():
        for _ in range(int(os.environ.get("WORKBENCH_OPENINGS", "3"))):
            check_opening(browser, *VIEWS[name])
