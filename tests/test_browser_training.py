"""The live view of a training in JupyterLab, used as a person would."""

import re

import nbformat
import pytest
from browser import Plot, violations
from playwright.sync_api import expect

pytest.importorskip("torch")
pytestmark = pytest.mark.browser
CELL = """import numpy as np, pandas as pd
from workbench.semantic import Arm, Items, Training
from workbench.semantic.examples import of_interactions
from workbench.views import TrainingView

rng = np.random.default_rng(0)
kinds = rng.integers(0, 5, 200)
features = (np.eye(5)[kinds] @ rng.normal(size=(5, 12)) + 0.3 * rng.normal(size=(200, 12))).astype(np.float32)
users = np.repeat(np.arange(40), 12)
rows = np.array([rng.choice(np.flatnonzero(kinds == user % 5)) for user in users])
examples = of_interactions(users, rows, np.arange(len(users)), features, 10)
names = tuple(f"thing {i} of kind {kind}" for i, kind in enumerate(kinds))
ids = tuple(f"item{i}" for i in range(200))
items = Items(ids, names, None, pd.DataFrame(index=range(200)), features, examples, "made up")
training = Training(n_steps=160, n_warmup=60, batch_size=64, n_negatives=64, dim=8, hidden=16, eval_every=10)
arms = {"STE": Arm("ste", n_levels=2, codebook_size=16), "Gumbel": Arm("gumbel", n_levels=2, codebook_size=16, end=0.1)}
TrainingView(items, arms, training, seeds=[0])"""
VIEW = ".jp-OutputArea-output:has(.widget-vbox.wb)"
GROWN = "figure._fullData.filter(trace => trace.name === '{}' && trace.yaxis === 'y')[0].y.length"


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    """A notebook with the view, run."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = tmp_path_factory.mktemp("training") / "training.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)], metadata=kernel), path)
    notebook = browser(path)
    notebook.page.set_viewport_size({"width": 1280, "height": 2_000})
    notebook.command("application:toggle-left-area")
    notebook.run_all()
    expect(notebook.find(".wb-status")).to_contain_text("Nothing has been trained yet")
    return notebook


def message(page):
    return page.locator(".wb-error-setting").first


def test_a_setting_that_cannot_be_is_said_and_nothing_begins(notebook):
    notebook.fill("of these, warm-up", "160")
    notebook.press("Train")
    expect(message(notebook.page)).to_contain_text("a warm-up of 160 steps leaves none of 160")
    expect(notebook.page.get_by_role("button", name="Stop", exact=True)).to_be_disabled()
    notebook.fill("of these, warm-up", "60")


def test_curves_grow_stop_and_go_on_to_the_table(notebook):
    page, plot = notebook.page, Plot(notebook.page, ".wb-curves")
    page.get_by_role("button", name="Train", exact=True).focus()
    page.keyboard.press("Enter")
    expect(message(page)).to_be_empty()
    plot.wait_until(f"{GROWN.format('STE')} > 1")
    assert 1 < plot.read(GROWN.format("STE")) < 11
    notebook.press("Stop")
    status = page.locator(".wb-status").first
    expect(status).to_contain_text("Stopped", timeout=5_000)
    n_stopped = plot.read(GROWN.format("STE"))
    assert plot.read(GROWN.format("Gumbel")) == 0
    notebook.press("Train")
    expect(status).to_contain_text("Training is done.")
    assert n_stopped < plot.read(GROWN.format("STE")) == plot.read(GROWN.format("Gumbel")) == 11
    kept = page.locator(".wb-kept").first
    expect(kept).to_contain_text(re.compile("Validation chose (STE|Gumbel), with a log-loss of"))
    for name in ("STE", "Gumbel", "k-means, 2 x 16", "random codes, 2 x 16", "lower: no content"):
        expect(kept.get_by_role("rowheader", name=re.compile(re.escape(name))).first).to_be_visible()
    expect(page.locator(".wb-latest").first.get_by_role("rowheader", name="Gumbel")).to_be_visible()


def test_the_use_of_another_arms_codes_is_shown(notebook):
    page = notebook.page
    expect(page.locator(".wb-curves-legend").nth(1)).to_contain_text("codes of Gumbel")
    page.get_by_label("Show the use of the codes of").select_option("STE")
    expect(page.locator(".wb-curves-legend").nth(1)).to_contain_text("codes of STE")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "theme"), [(1280, "Light"), (1280, "Dark"), (700, "Light")])
def test_the_view_is_for_everybody(notebook, width, theme):
    page = notebook.page
    page.set_viewport_size({"width": width, "height": 2_000})
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", f"JupyterLab {theme}"
    )
    expect(page.locator(".wb-kept table").first).to_be_visible()
    assert violations(page, VIEW) == []
    assert page.locator(VIEW).first.evaluate("box => box.scrollWidth <= box.clientWidth + 1")  # nothing sticks out
    page.set_viewport_size({"width": 1280, "height": 2_000})


@pytest.mark.slow
def test_ids_of_an_arm_open_below(notebook):
    page = notebook.page
    page.get_by_label("Ids of").select_option("STE")
    notebook.press("Show the ids")
    expect(page.get_by_role("heading", name="Ids of STE, seed 0")).to_be_visible()
    expect(page.locator(".wb-headline").first).to_contain_text("items: 200")
    expect(page.locator("button.wb-tile").first).to_be_visible()


@pytest.mark.slow
def test_the_page_stays_when_nothing_runs(notebook):
    expect(notebook.page.locator(".wb-twin")).to_contain_text("Validation chose", timeout=60_000)
    notebook.save()
    notebook.command("notebook:shutdown-kernel")
    notebook.reload()
    twin = notebook.page.locator(".wb-twin")
    expect(twin).to_be_visible()
    for heading in ("Setting", "Curves", "What is kept"):
        expect(twin.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    assert twin.locator("img").count() == 2
    assert violations(notebook.page, ".wb-twin") == []
