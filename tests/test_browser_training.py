"""The live view of a training in JupyterLab, used as a person would."""

import re
from pathlib import Path

import pytest
from browser import VIEW, Plot, violations
from playwright.sync_api import expect

pytest.importorskip("torch")
pytestmark = pytest.mark.browser
CELL = f"""import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import made_items
from workbench.semantic import Arm, Training
from workbench.views import TrainingView

training = Training(n_steps=160, n_warmup=60, batch_size=64, n_negatives=64, dim=8, hidden=16, eval_every=10)
size = {{"n_levels": 2, "codebook_size": 16}}
arms = {{"STE": Arm("ste", **size), "Gumbel": Arm("gumbel", end=0.1, **size)}}
TrainingView(made_items(), arms, training)"""
GROWN = "figure._fullData.filter(trace => trace.name === '{}' && trace.yaxis === 'y')[0].y.length"


@pytest.fixture(scope="module")
def notebook(browser):
    """A notebook with the view, run."""
    notebook = browser([CELL])
    notebook.resize()
    notebook.command("application:toggle-left-area")
    notebook.run_all()
    expect(notebook.find(".wb-status")).to_contain_text("Nothing has been trained yet")
    return notebook


def test_curves_grow_stop_and_go_on_to_the_table(notebook):
    page, plot = notebook.page, Plot(notebook.page, ".wb-curves")
    page.get_by_role("button", name="Train", exact=True).focus()
    page.keyboard.press("Enter")
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


@pytest.mark.slow
@pytest.mark.parametrize(("width", "theme"), [(1280, "Light"), (1280, "Dark"), (700, "Light")])
def test_the_view_is_for_everybody(notebook, width, theme):
    notebook.resize(width, theme=theme)
    expect(notebook.page.locator(".wb-kept table").first).to_be_visible()
    assert violations(notebook.page, VIEW) == []
    notebook.resize()


@pytest.mark.slow
def test_the_page_stays_when_nothing_runs(notebook):
    expect(notebook.page.locator(".wb-twin")).to_contain_text("Validation chose", timeout=60_000)
    notebook.shut_down()
    twin = notebook.page.locator(".wb-twin")
    expect(twin).to_be_visible()
    for heading in ("Setting", "Curves", "What is kept"):
        expect(twin.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    assert twin.locator("img").count() == 2
    assert violations(notebook.page, ".wb-twin") == []
