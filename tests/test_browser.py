"""The quickstart's panel in JupyterLab, used as a person would."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

import workbench as wb

pytestmark = pytest.mark.browser
QUICKSTART = Path(__file__).parents[1] / "notebooks" / "00_quickstart.ipynb"
FIGURE = "document.querySelector('.js-plotly-plot')"


@pytest.fixture(scope="module")
def quickstart(browser):
    """The quickstart, run by Run All, with its UMAP maps drawn."""
    notebook = browser(QUICKSTART)
    notebook.run_all()
    expect(notebook.find(".wb-maps")).to_contain_text("trustworthiness", timeout=120_000)
    return notebook


def places(notebook) -> list[float]:
    """Where the words are on the second map, in order of the words."""
    return notebook.page.evaluate(f"[...{FIGURE}._fullData[1].x]")


def value(numbers, row: str) -> str:
    """What a row of the table of numbers says first."""
    return re.search(rf"^{row}[^\t]*\t([^\t]+)", numbers.inner_text(), flags=re.MULTILINE)[1].strip()


def test_a_person_compresses_a_model(quickstart, tmp_path):
    page, numbers = quickstart.page, quickstart.find(".wb-numbers")
    size, places_before = value(numbers, "Size"), places(quickstart)

    quickstart.find(".wb-slider-subvectors input").focus()
    page.keyboard.press("ArrowLeft")
    expect(numbers).to_contain_text("setting before")
    expect(page.get_by_label("Subvectors", exact=True)).to_have_value("40")
    assert float(value(numbers, "Size").split()[0]) < float(size.split()[0])
    page.wait_for_function(f"before => {FIGURE}._fullData[1].x[0] != before", arg=places_before[0])

    quickstart.fill("Word", "apollo")
    expect(quickstart.find(".wb-neighbours")).to_contain_text("apollo: ")

    page.get_by_role("button", name="Copy recipe").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "n_subvectors=40" in page.evaluate("navigator.clipboard.readText()")

    quickstart.fill("File", str(tmp_path / "small.safetensors"))
    page.get_by_role("button", name="Save file").click()
    expect(quickstart.find(".wb-saved")).to_contain_text("Saved")
    assert len(wb.load(tmp_path / "small.safetensors")) == 4_000


def test_a_click_on_one_map_shows_neighbours_and_marks_the_word_on_both(quickstart):
    expect(quickstart.find(".wb-maps")).to_contain_text("trustworthiness")
    x, y = quickstart.page.evaluate(f"""() => {{
        const figure = {FIGURE}, layout = figure._fullLayout, box = figure.getBoundingClientRect();
        const at = figure._fullData[0].text.findIndex(text => text.startsWith("the<"));
        return [box.left + layout.xaxis._offset + layout.xaxis.c2p(figure._fullData[0].x[at]),
                box.top + layout.yaxis._offset + layout.yaxis.c2p(figure._fullData[0].y[at])];
    }}""")
    quickstart.page.mouse.move(x, y)
    quickstart.page.mouse.click(x, y)
    box = quickstart.page.get_by_label("Word", exact=True)
    expect(box).not_to_have_value("apollo")
    word = box.input_value()  # "the", or what lies on it
    expect(quickstart.find(".wb-neighbours")).to_contain_text(f"{word}: ")
    marked = f"word => [2, 3].every(i => {FIGURE}._fullData[i].text.includes(`<b>${{word}}</b>`))"
    quickstart.page.wait_for_function(marked, arg=word)


def test_errors_are_messages_in_the_panel(quickstart):
    quickstart.fill("Model", "/no/such/model.bin")
    expect(quickstart.find(".wb-error-model")).to_contain_text("does not exist")
    quickstart.fill("Words kept", "100")
    expect(quickstart.find(".wb-error-numbers")).to_contain_text("keep more rows")
    expect(quickstart.find(".wb-error-model")).to_be_empty()
    expect(quickstart.page.get_by_label("Model", exact=True)).to_have_value("builtin:en")
    quickstart.fill("Words kept", "3000")
    expect(quickstart.find(".wb-error-numbers")).to_be_empty()
    expect(quickstart.find(".wb-status")).to_contain_text("up to date")
    assert "Traceback" not in quickstart.page.content()


def test_after_a_reload_the_panel_is_live_again(quickstart):
    quickstart.fill("Subvectors", "30")
    page_in_notebook = "document.querySelector('.wb-twin').textContent"
    quickstart.page.wait_for_function(f"{page_in_notebook}.includes('n_subvectors=30')")
    words, places_before = quickstart.page.get_by_label("Word", exact=True).input_value(), places(quickstart)
    quickstart.reload()
    expect(quickstart.find(".wb-numbers td >> nth=0")).to_be_visible()
    expect(quickstart.find(".wb-maps")).to_contain_text("trustworthiness")
    assert places(quickstart) == places_before
    expect(quickstart.page.get_by_label("Word", exact=True)).to_have_value(words)
    expect(quickstart.page.get_by_label("Words kept", exact=True)).to_have_value("3000")
    quickstart.fill("Subvectors", "20")
    expect(quickstart.find(".wb-recipe")).to_contain_text("n_subvectors=20")
    expect(quickstart.page.locator(".wb-twin")).to_be_hidden()


def test_without_a_kernel_there_is_a_page_to_read(quickstart):
    quickstart.command("notebook:shutdown-kernel")
    expect(quickstart.page.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute("data-status", "unknown")
    quickstart.reload()
    twin = quickstart.page.locator(".wb-twin")
    expect(twin).to_be_visible()
    expect(twin).to_contain_text("n_subvectors=30")
    expect(twin.locator("img")).to_be_visible()
    for line in quickstart.page.get_by_text("Error displaying widget").all():
        expect(line).to_be_hidden()
