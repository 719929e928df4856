"""The quickstart's panel in JupyterLab, used as a person would: by keyboard and mouse, and by what is to be seen."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import Plot, violations
from playwright.sync_api import expect

import workbench as wb

pytestmark = pytest.mark.browser
QUICKSTART = Path(__file__).parents[1] / "notebooks" / "00_quickstart.ipynb"
PAGES = {"Numbers": ".wb-numbers", "Maps": ".wb-maps", "Damage": ".wb-damage", "Save and report": ".wb-recipe"}
SLOW_TIMERS = """
    const soon = window.setTimeout;  // a page that asks the kernel again and again, but not for ever, gives up
    window.setTimeout = (call, ms, ...rest) => soon(call, ms === 100 ? 4_000 : ms, ...rest);
"""
PANEL = ".jp-OutputArea-output:has(.wb-pages)"
CONTROLS = f"document.querySelectorAll('{PANEL} :is(input, select, button):not([disabled])')"


@pytest.fixture(scope="module")
def quickstart(browser, builtin):
    """The quickstart, run by Run All, with its UMAP maps drawn."""
    notebook = browser(QUICKSTART)
    notebook.run_all()
    expect(notebook.page.locator(".wb-pages")).to_be_visible(timeout=240_000)
    notebook.press("Maps")
    expect(notebook.page.locator(".wb-maps")).to_contain_text("trustworthiness", timeout=240_000)
    return notebook


@pytest.fixture
def maps(quickstart) -> Plot:
    """The two maps, once UMAP has drawn them."""
    turn(quickstart, "Maps")
    expect(quickstart.find(".wb-maps")).to_contain_text("trustworthiness")
    return Plot(quickstart.page, ".wb-maps")


def turn(notebook, name: str) -> None:
    """Show a page of the panel."""
    notebook.press(name)
    expect(notebook.page.locator(PAGES[name])).to_be_visible()


def places(maps: Plot) -> list[float]:
    """Where the words are on the second map, in order of the words."""
    return maps.read("[...figure._fullData[1].x]")


def size(notebook) -> str:
    """What the first row of the table of numbers says."""
    return notebook.page.locator(".wb-numbers tbody tr").first.text_content()


def megabytes(notebook) -> float:
    return float(re.search(r"([\d.]+) MB", size(notebook))[1])


@contextmanager
def refreshed(notebook) -> Iterator[None]:
    """Do something, and wait until other numbers stand there that are not faded."""
    before = size(notebook)
    yield
    notebook.page.wait_for_function(
        """before => { const numbers = document.querySelector('.wb-numbers');
            const text = numbers.querySelector('tbody tr').textContent;
            return text != before && !numbers.classList.contains('wb-stale'); }""",
        arg=before,
    )


def test_a_slider_moved_by_keyboard_or_mouse_refreshes_the_numbers(quickstart):
    page = quickstart.page
    turn(quickstart, "Numbers")
    slider = quickstart.find(".wb-slider-subvectors input")

    first = megabytes(quickstart)
    with refreshed(quickstart):
        slider.press("ArrowLeft")
    expect(page.get_by_label("Subvectors", exact=True)).to_have_value("40")
    second = megabytes(quickstart)
    assert second < first

    box = slider.bounding_box()
    share, half = slider.evaluate("slider => slider.value / slider.max"), box["height"] / 2
    handle = box["x"] + half + share * (box["width"] - 2 * half)
    with refreshed(quickstart):
        Plot(page, PANEL).drag((handle, box["y"] + half), (box["x"] + box["width"] / 4, box["y"] + half))
    assert megabytes(quickstart) < second
    expect(quickstart.find(".wb-numbers")).to_contain_text("setting before")
    expect(page.locator(".wb-numbers tbody tr").first.locator("td").last).to_have_text(f"{second:.2f} MB")


@pytest.mark.slow
def test_the_maps_follow_a_new_setting_though_another_page_was_shown(quickstart, maps):
    before = places(maps)
    turn(quickstart, "Numbers")
    with refreshed(quickstart):
        quickstart.fill("Subvectors", "40")
    turn(quickstart, "Maps")
    maps.wait_until("figure._fullData[1].x[0] != value", before[0])
    assert maps.read("figure._fullLayout.width") == pytest.approx(maps.read("figure.clientWidth"), abs=1)


def test_a_click_on_one_map_shows_neighbours_and_marks_the_word_on_both(quickstart, maps):
    quickstart.fill("Word", "apollo")
    expect(quickstart.find(".wb-neighbours")).to_contain_text("apollo: ")
    at = maps.read("figure._fullData[0].text.findIndex(text => text.startsWith('the<'))")
    point = maps.hover(0, at, quickstart.find(".wb-hovered"))
    expect(quickstart.find(".wb-hovered")).to_contain_text("rank ")
    word = quickstart.find(".wb-hovered").inner_text().split(":")[0]  # "the", or what lies on it
    maps.wait_until("[4, 5].every(i => figure._fullData[i].x.length == 1)")  # a ring on both
    quickstart.page.mouse.click(*point)
    expect(quickstart.page.get_by_label("Word", exact=True)).to_have_value(word)
    expect(quickstart.find(".wb-neighbours")).to_contain_text(f"{word}: ")
    maps.wait_until("[2, 3].every(i => figure._fullData[i].text.includes(`<b>${value}</b>`))", word)


def test_words_inside_a_line_drawn_on_one_map_are_selected_on_both(quickstart, maps):
    quickstart.press("Clear selection")
    maps.wait_until("!figure._fullData[1].selectedpoints")
    maps.mode("Lasso Select")
    maps.drag(*(maps.inside(*corner) for corner in ((0.3, 0.3), (0.7, 0.35), (0.6, 0.7), (0.35, 0.6))))
    maps.wait_until("[0, 1].every(i => figure._fullData[i].selectedpoints?.length)")
    text = quickstart.find(".wb-maps-text")
    expect(text).to_contain_text(" selected: ")
    left, right = (set(maps.read(f"[...figure._fullData[{i}].selectedpoints]")) for i in (0, 1))
    assert left == right
    assert f"{len(left):,} selected" in text.inner_text()
    maps.mode("Pan")
    quickstart.press("Clear selection")
    maps.wait_until("[0, 1].every(i => !figure._fullData[i].selectedpoints)")


def test_the_recipe_is_copied_and_the_file_saved(quickstart, tmp_path):
    turn(quickstart, "Save and report")
    n_words = int(quickstart.page.get_by_label("Words kept", exact=True).input_value())
    quickstart.press("Copy recipe")
    expect(quickstart.page.get_by_role("button", name="Copied")).to_be_visible()
    assert f"n_words={n_words}," in quickstart.page.evaluate("navigator.clipboard.readText()")

    quickstart.fill("File", str(tmp_path / "small.safetensors"))
    quickstart.page.get_by_role("button", name="Save file").click()
    expect(quickstart.find(".wb-saved")).to_contain_text("Saved")
    assert len(wb.load(tmp_path / "small.safetensors")) == n_words


@pytest.mark.slow
def test_a_report_says_of_each_limit_whether_it_is_met_and_opens(quickstart):
    page, report = quickstart.page, quickstart.page.locator(".wb-report")
    turn(quickstart, "Save and report")
    page.get_by_label(re.compile("^overlap@10.all: ")).uncheck()
    quickstart.fill("Limit of fidelity.kept", "0.99999")
    quickstart.press("Make report")
    expect(report).to_contain_text("Not every limit is met", timeout=180_000)
    expect(report.get_by_role("row", name=re.compile("fidelity.kept"))).to_contain_text("not met")
    expect(report.get_by_role("row", name=re.compile("size.compressed"))).not_to_contain_text("not met")
    expect(report).not_to_contain_text("overlap@10.all")

    page.get_by_role("link", name=re.compile("index.html")).click()
    opened = page.frame_locator("iframe")
    expect(opened.get_by_role("heading", level=1)).to_contain_text("Limits")
    opened.get_by_role("link", name="How it was built and measured").click()
    expect(opened.get_by_role("heading", level=1)).to_contain_text("does this setting hold its limits")
    quickstart.command("application:close")
    expect(report).to_be_visible()


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody(quickstart, name):
    turn(quickstart, name)
    assert violations(quickstart.page, PANEL) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_control_is_reached_by_tab_and_seen(quickstart, name):
    page = quickstart.page
    turn(quickstart, name)
    quickstart.find(f"{PANEL} input").focus()
    controls = f"[...{CONTROLS}].filter(control => control.offsetParent && !control.closest('.js-plotly-plot'))"
    reached = []
    for _ in range(page.evaluate(f"{controls}.length") + 20):  # links of plotly's and tables that scroll are between
        reached.append(page.evaluate(f"{controls}.indexOf(document.activeElement)"))
        if reached[-1] == page.evaluate(f"{controls}.length - 1"):
            break
        if reached[-1] >= 0:
            expect(page.locator(":focus")).to_be_in_viewport()
        page.keyboard.press("Tab")
    assert [at for at in reached if at >= 0] == list(range(page.evaluate(f"{controls}.length")))


def test_after_a_reload_the_panel_is_live_again(quickstart, maps):
    quickstart.fill("Subvectors", "30")
    twin = quickstart.page.locator(".wb-twin")
    expect(twin).to_contain_text("n_subvectors=30")
    expect(quickstart.find(".wb-maps")).to_contain_text("trustworthiness")
    controls = [quickstart.page.get_by_label(name, exact=True) for name in ("Word", "Words kept")]
    values, before = [control.input_value() for control in controls], places(maps)
    quickstart.page.add_init_script(SLOW_TIMERS)
    quickstart.reload()
    expect(quickstart.page.get_by_role("button", name="Maps", exact=True)).to_have_class(re.compile("mod-active"))
    expect(quickstart.find(".wb-maps")).to_contain_text("trustworthiness")
    assert places(maps) == before
    for control, value in zip(controls, values, strict=True):
        expect(control).to_have_value(value)
    turn(quickstart, "Numbers")
    with refreshed(quickstart):
        quickstart.fill("Subvectors", "20")
    turn(quickstart, "Save and report")
    expect(quickstart.find(".wb-recipe")).to_contain_text("n_subvectors=20")
    expect(twin).to_be_hidden()


@pytest.mark.slow
def test_without_a_kernel_there_is_a_page_to_read(quickstart):
    quickstart.shut_down()
    twin = quickstart.page.locator(".wb-twin")
    expect(twin).to_be_visible()
    expect(twin).to_contain_text("n_subvectors=30")
    expect(twin.locator("img").first).to_be_visible()
    dead = quickstart.page.get_by_text("Error displaying widget")
    expect(dead).to_have_count(1)  # the panel's own; progress bars left text
    expect(dead).to_be_hidden()
