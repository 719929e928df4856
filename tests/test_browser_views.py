"""The views of two models side by side in JupyterLab: a page of the panel holds the same parts, and is used there."""

import pytest
from browser import VIEW, violations
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MODELS = """import workbench as wb

big = wb.load("builtin:en")
small = wb.Chain([wb.Prune(n_words=2_000, n_ngrams=4_000), wb.PQ(n_subvectors=25)]).fit_transform(big)"""
VIEWS = {  # and what is in sight once it is ready
    "wb.views.NeighbourView(big, small, words=['music'])": "music: ",
    "wb.views.DamageView(big, small)": "fate",
    "wb.views.MapView(big, small, words=['river'], n_mapped=1_000)": "trustworthiness",
}


@pytest.fixture(scope="module")
def notebook(browser, builtin):
    """A notebook with one view in each cell, run by Run All."""
    notebook = browser([MODELS, *VIEWS])
    notebook.resize(height=6_000)  # JupyterLab drops what is far out of view
    notebook.run_all()
    return notebook


@pytest.mark.parametrize("cell", VIEWS)
def test_a_view_is_for_everybody(notebook, cell):
    view = f".jp-Notebook-cell[data-windowed-list-index='{1 + list(VIEWS).index(cell)}'] {VIEW}"
    expect(notebook.page.locator(view)).to_contain_text(VIEWS[cell], timeout=240_000)
    assert violations(notebook.page, view) == []
