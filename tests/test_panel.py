"""The compression panel without a browser: widgets are set as a person would, and read as one would."""

import re
import threading
from dataclasses import replace
from html import unescape
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import ipywidgets as widgets
import numpy as np
import pytest
from conftest import made_fasttext, made_plain
from test_session import PATIENCE, gate, until  # noqa: F401  # `gate` is a fixture

import workbench as wb
from workbench import progress
from workbench.compress.builder import Builder
from workbench.reports.metrics import compare, read_baseline
from workbench.reports.setting import Report, suggest_limits
from workbench.views import CompressionPanel, mapper
from workbench.views import page as paper
from workbench.views import session as session_module
from workbench.views.carriers import carriers_html
from workbench.views.damage import damage_html
from workbench.views.live import numbers as numbers_module
from workbench.views.live import view as view_module
from workbench.views.live.controls import CopyButton, Dial, FilePicker, Slider, round_values
from workbench.views.live.damage import DamagePart
from workbench.views.live.editor import main_recipe
from workbench.views.live.leave import LeavePart
from workbench.views.live.mapping import MapsPart
from workbench.views.live.numbers import NumbersPart, TrailPart
from workbench.views.live.panel import PAGES
from workbench.views.live.setting import ModelPart, ProgressPart, RecipePart
from workbench.views.live.view import run_by_a_person
from workbench.views.live.words import WordsPart
from workbench.views.state import SHOWN, State

FIRST = {"n_words": 300, "n_ngrams": 300, "n_subvectors": 6}
MARKS = {"kept": "●", "lost": "×", "gained": "▲"}
IMPOSSIBLE = 1  # words, fewer than a codebook has entries
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


class Panel(CompressionPanel):
    """A panel whose widgets a test finds by what they are for."""

    WHERE = {  # noqa: RUF012
        ModelPart: {"source", "files", "name"},
        RecipePart: {"size", "editor"},
        ProgressPart: {"status", "bar", "cancel"},
        NumbersPart: {"numbers"},
        TrailPart: {"list", "figure", "quality"},
        WordsPart: {"word", "neighbours", "carriers"},
        MapsPart: {"maps", "place"},
        DamagePart: {"table", "group", "worst"},
        LeavePart: {
            *("recipe", "copy", "path", "format", "lost", "save", "saved"),
            *("make", "stop", "limits", "folder", "doing", "link"),
        },
    }

    def __getattr__(self, name: str):
        for kind, names in self.WHERE.items():
            if name in names and "parts" in vars(self):
                return getattr(self.parts[kind], name)
        raise AttributeError(name)

    @property
    def dials(self) -> dict[str, Dial]:
        return self.editor.dials

    @property
    def messages(self) -> dict[str, widgets.HTML]:
        own = {about: box for part in self.parts.values() for about, box in part.messages.items()}
        return {**own, "view": self.trouble}


def settled(panel: CompressionPanel) -> State:
    """The state once everything is computed and shown."""
    state = panel.wait(PATIENCE)
    until(lambda: panel._shown is state)
    with panel._lock:  # `render` is over
        return state


def dial(panel: CompressionPanel, **values: int) -> None:
    for name, value in values.items():
        panel.dials[name].box.value = value


def dialled(panel: CompressionPanel) -> dict[str, int]:
    return {name: dial.value for name, dial in panel.dials.items()}


def is_stale(widget: widgets.DOMWidget) -> bool:
    return "wb-stale" in widget._dom_classes


def message(panel: CompressionPanel, about: str) -> str:
    return unescape(re.sub("<[^>]*>", "", panel.messages[about].value))


def cells(html: str) -> list[list[str]]:
    """The texts in the cells of a table, row by row."""
    rows = re.findall("<tr>(.*?)</tr>", html)
    return [[unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall("<t[dh].*?>(.*?)</t[dh]>", r)] for r in rows]


@pytest.fixture(scope="module")
def path(fasttext, tmp_path_factory) -> Path:
    return fasttext.save(tmp_path_factory.mktemp("models") / "big.safetensors")


def opened(source, **options) -> CompressionPanel:
    return Panel(source, interactive=True, n_mapped=100, **options)


@pytest.fixture(scope="module")
def begun(path, fasttext):
    panel = opened(str(path), words=fasttext.words[:2], **FIRST)
    yield panel
    panel.wait(PATIENCE)  # Python must not end in the midst of a kernel


@pytest.fixture
def panel(begun, path, fasttext):
    """The panel of this module where it began; it goes back there after each test."""
    settled(begun)
    yield begun
    begun.source.value = str(path)
    begun.word.value = ", ".join(fasttext.words[:2])
    settled(begun)
    dial(begun, **FIRST)


# -- controls -----------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(1, 1), (0, 7), (1, 300), (1, 13_579), (0, 2_000_000)])
def test_round_values_rise_from_end_to_end_about_ten_to_a_power_of_ten(low, high):
    values = round_values(low, high)
    assert values == sorted(set(values))
    assert (values[0], values[-1]) == (low, high)
    assert len(values) <= 10 * len(str(high)) + 2
    assert all(b <= 1.5 * a + 1 for a, b in pairwise(values))  # no leaps


@pytest.fixture
def turned():
    """A dial from 1 to 1,000 at 300, and the values that it told of."""
    told: list[int] = []
    dial = Dial("Words kept", lambda: told.append(dial.value))
    dial.show(300, 1, 1_000)
    assert told == []
    return dial, told


def test_a_typed_number_moves_the_slider_to_the_nearest_round_one_and_is_told_once(turned):
    dial, told = turned
    dial.box.value = 137
    assert dial.value == 137
    assert dial.slider.texts[dial.slider.place] == "150"
    assert told == [137]


def test_a_moved_slider_writes_its_number_into_the_box_and_is_told_once(turned):
    dial, told = turned
    dial.slider.place = dial.slider.texts.index("500")
    assert dial.box.value == 500
    dial.slider.place = dial.slider.texts.index("250")
    assert told == [500, 250]


def test_a_number_out_of_range_becomes_the_nearest_in_range(turned):
    dial, told = turned
    dial.box.value = 99_999
    assert (dial.value, dial.slider.texts[dial.slider.place]) == (1_000, "1,000")
    dial.box.value = -5
    assert (dial.value, dial.slider.texts[dial.slider.place]) == (1, "1")
    assert told == [1_000, 1]


@pytest.mark.parametrize(("value", "low", "high"), [(5, 1, 7), (5_000, 2_000, 9_000), (0, 0, 0), (300, 1, 1_000)])
def test_showing_a_value_and_its_range_tells_nobody(turned, value, low, high):
    dial, told = turned
    dial.show(value, low, high)
    assert dial.value == value
    assert (dial.box.min, dial.box.max) == (low, high)
    assert (dial.slider.texts[0], dial.slider.texts[-1]) == (f"{low:,}", f"{high:,}")
    assert told == []


def test_a_person_is_heard_while_another_thread_shows_something(turned):
    dial, told = turned
    begun, done = threading.Event(), threading.Event()

    def show() -> None:
        with dial._showing, dial._showing:
            begun.set()
            done.wait(PATIENCE)

    thread = threading.Thread(target=show)
    thread.start()
    begun.wait(PATIENCE)
    dial.box.value = 137
    done.set()
    thread.join()
    assert told == [137]


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("b.vec", "a.bin", "c.fifu", "d.ftz", "e.kv", "f.glove", "notes.md", ".hidden.bin"):
        (tmp_path / name).touch()
    (tmp_path / "more" / "inside").mkdir(parents=True)
    return tmp_path


def listed(picker: FilePicker) -> list[str]:
    return [name for name, _ in picker.list.options]


def test_the_file_picker_lists_folders_and_model_files(folder):
    assert listed(FilePicker(print, folder)) == ["..", "more/", "a.bin", "b.vec", "c.fifu", "d.ftz", "e.kv", "f.glove"]


def test_the_file_picker_enters_folders_goes_back_and_picks_files(folder):
    picked: list[Path] = []
    picker = FilePicker(picked.append, folder)
    for name, then in (("more/", ["..", "inside/"]), ("..", listed(picker))):
        picker.list.label = name
        picker.go.click()
        assert listed(picker) == then
    assert picked == []
    picker.list.label = "b.vec"
    picker.go.click()
    assert picked == [folder / "b.vec"]


def test_the_file_picker_says_why_a_folder_cannot_be_read_and_leads_out_of_it(folder):
    picker = FilePicker(print, folder / "gone")
    assert "No such file" in picker.where.value
    assert listed(picker) == [".."]


def test_the_file_picker_shows_names_of_folders_as_text(folder):
    odd = folder / "<img src=x>"
    odd.mkdir()
    assert "<img" not in FilePicker(print, odd).where.value
    assert "<img" not in FilePicker(print, odd / "gone").where.value


def test_a_panel_is_live_only_where_a_front_end_can_ask_a_person(monkeypatch):
    assert not run_by_a_person()

    def kernel(**content):
        return lambda: SimpleNamespace(kernel=SimpleNamespace(get_parent=lambda _: {"content": content}))

    for content, expected in (({"allow_stdin": True}, True), ({"allow_stdin": False}, False), ({}, False)):
        monkeypatch.setattr("IPython.get_ipython", kernel(**content))
        assert run_by_a_person() is expected


# -- tables and the page ------------------------------------------------------------------


def test_the_numbers_are_those_of_the_card_beside_those_before(panel):
    before = settled(panel).result
    dial(panel, n_subvectors=4)
    after = settled(panel).result
    shown = {row[0]: row for row in cells(panel.numbers.value)}
    old, new = ({(r.metric, r.split): r for r in result.card.itertuples()} for result in (before, after))
    size = ("size", "compressed")
    assert shown["Size of the file"][1] == f"{new[size].value / 1e6:,.2f} MB"
    assert shown["Size of the file"][5] == f"{old[size].value / 1e6:,.2f} MB"
    assert f"{new['ratio', 'all'].value:.1f} times smaller" in shown["Size of the file"][3]
    n_rows = 1
    for (metric, split), r in new.items():
        if metric in ("fidelity", "overlap@10"):
            name = {"fidelity": "Closeness, ", "overlap@10": "Neighbours kept of 10, "}[metric]
            (row,) = (row for row in shown.values() if row[0].startswith(f"{name}{split}"))
            digits = 4 if metric == "fidelity" else 3
            assert row[1] == f"{r.value:.{digits}f}"
            assert row[5] == f"{old[metric, split].value:.{digits}f}"
            assert row[4] == f"{r.how}, {r.n:,} words"
            n_rows += 1
    assert len(shown) == n_rows + 1  # and the heads
    assert n_rows > 5


def test_the_tables_of_neighbours_hold_every_neighbour_at_its_rank_with_its_mark(panel):
    dial(panel, n_words=700, n_ngrams=3_000, n_subvectors=3)  # so that most stay and some move
    changes = settled(panel).changes
    tables = panel.neighbours.value.split("<table>")[1:]
    assert set(changes["status"]) == set(MARKS)
    some_moved = False
    for html, (_, rows) in zip(tables, changes.groupby("word", sort=False), strict=True):
        shown = cells(html)[1:]
        for entry in rows.itertuples():
            text = f"{MARKS[entry.status]} {entry.neighbour}"
            moved = entry.status == "kept" and entry.rank_before != entry.rank_after
            some_moved |= moved
            if entry.status != "gained":
                assert shown[entry.rank_before - 1][1] == text
            if entry.status != "lost":
                assert shown[entry.rank_after - 1][2] == text + (f" ({entry.rank_before})" if moved else "")
        filled = sum(bool(cell) for row in shown for cell in row[1:])
        assert filled == rows["rank_before"].notna().sum() + rows["rank_after"].notna().sum()
    assert some_moved


HOSTILE = "<script>alert('1')</script>"


def test_words_and_names_of_models_are_shown_as_text(plain, tmp_path):
    words = [f"{HOSTILE}{i}" for i in range(len(plain))]
    v = wb.Vectors.from_arrays(words, plain.get_vectors(plain.words))
    path = v.save(tmp_path / "<b onclick=x>.safetensors")
    panel = opened(str(path), words=words[:1], n_words=600, n_subvectors=6)
    state = settled(panel)
    html = [w.value for w in (panel.name, panel.numbers, panel.neighbours, panel.recipe, *panel.messages.values())]
    html.append(paper.page(state))
    for each in html:
        assert "<script" not in each
        assert "<b onclick" not in each
    assert HOSTILE in unescape(panel.neighbours.value)


def test_points_on_the_maps_are_named_as_text(panel):
    frame = settled(panel).maps.copy()
    frame.attrs = settled(panel).maps.attrs
    frame.loc[0, "word"] = "<b>x</b>"  # plotly reads this as markup
    panel.maps.show(frame, ("<b>x</b>",), None)
    assert "<b>x</b>" not in panel.maps.figure.data[0].text[0]


def test_the_recipe_to_copy_yields_the_bytes_of_the_model_on_show(panel, tmp_path):
    state = settled(panel)
    assert panel.copy.text == paper.recipe_code(state.model, state.recipe)
    assert panel.copy.text in unescape(panel.recipe.value)
    copied = tmp_path / "copied.safetensors"
    exec(panel.copy.text.replace("'small.safetensors'", repr(str(copied))), {})
    assert copied.read_bytes() == state.result.small.save(tmp_path / "shown.safetensors").read_bytes()


def test_the_recipe_of_a_model_that_is_smaller_than_its_source_does_not_load_the_source(fasttext):
    pruned = wb.Prune(500, 3_000).fit_transform(fasttext)
    panel = opened(pruned, **FIRST)
    settled(panel)
    assert f"load({fasttext.meta['provenance']['source']!r})" not in panel.copy.text


def test_a_page_without_results_says_so():
    assert "Nothing has been computed yet" in paper.page(State())


# -- a live panel -------------------------------------------------------------------------


def test_a_panel_begins_where_it_was_told_to_and_knows_its_limits(panel, path):
    assert dialled(panel) == FIRST
    assert [dial.box.max for dial in panel.dials.values()] == [700, 3_000, 12]
    assert panel.source.value == str(path)
    assert "700 words of 12 dimensions" in panel.name.value
    assert settled(panel).recipe == main_recipe(wb.load(path), **FIRST)


def test_what_is_shown_is_stale_from_a_change_until_the_new_numbers_come(panel, gate):  # noqa: F811
    parts = (panel.numbers, panel.recipe, panel.neighbours, panel.place)
    assert not any(map(is_stale, parts))
    assert panel.cancel.disabled
    before = panel.numbers.value
    build = gate(Builder, "build")
    dial(panel, n_subvectors=5)
    build.reached.wait(PATIENCE)
    assert all(map(is_stale, parts))
    assert panel.numbers.value == before
    assert panel.bar.layout.display is None
    assert not panel.cancel.disabled
    build.open.set()
    settled(panel)
    assert not any(map(is_stale, parts))
    assert panel.numbers.value != before
    assert "up to date" in panel.status.value
    assert panel.bar.layout.display == "none"
    assert panel.cancel.disabled


def test_cancel_brings_the_dials_back_to_what_the_numbers_are_of(panel, gate):  # noqa: F811
    build = gate(Builder, "build")
    dial(panel, n_words=400, n_subvectors=4)
    build.reached.wait(PATIENCE)
    panel.cancel.click()
    assert dialled(panel) == FIRST
    build.open.set()
    state = settled(panel)
    assert state.recipe.steps[0].n_words == FIRST["n_words"]
    assert not is_stale(panel.numbers)
    assert not is_stale(panel.neighbours)


def test_a_model_without_ngrams_has_no_dial_for_them(panel, tmp_path):
    assert "n_ngrams" in panel.dials
    panel.source.value = str(made_plain(3_000).save(tmp_path / "plain.safetensors"))
    assert settled(panel).errors == {}
    assert "n_ngrams" not in panel.dials


def test_words_are_split_at_commas_and_spaces_and_at_most_four_are_compared(panel, fasttext):
    a, b, c, d, e = fasttext.words[10:15]
    panel.word.value = f"{a},{b}  {c}, {d} {e}"
    state = settled(panel)
    assert state.words == (a, b, c, d)
    assert [name in panel.neighbours.value for name in (f"<b><bdi>{w}</bdi></b>" for w in (a, b, c, d, e))] == [
        *[True] * 4,
        False,
    ]


def test_a_word_typed_twice_is_compared_once(path, fasttext):
    panel = opened(str(path), **FIRST)
    settled(panel)
    panel.word.value = f"{fasttext.words[5]} {fasttext.words[5]}"
    settled(panel)
    assert panel.neighbours.value.count(f"<b><bdi>{fasttext.words[5]}</bdi></b>") == 1


def test_words_that_hold_spaces_stay_whole_when_others_go(plain):
    words = ["New York", "Den Haag", *plain.words[2:]]
    v = wb.Vectors.from_arrays(words, plain.get_vectors(plain.words))
    panel = opened(v, n_words=600, n_subvectors=6, words=[*words[:2], "unheard-of"])
    assert settled(panel).words == ("New York", "Den Haag")
    assert panel.word.value == "New York, Den Haag"


def test_a_point_on_either_map_is_a_word_to_look_at(panel):
    maps = settled(panel).maps
    for trace, side in zip(panel.maps.figure.data[:2], ("before", "after"), strict=True):
        assert np.allclose(trace.x, maps[f"x_{side}"])
        assert np.allclose(trace.y, maps[f"y_{side}"])
    panel.maps._clicked(None, SimpleNamespace(point_inds=[3]), None)
    panel.maps._clicked(None, SimpleNamespace(point_inds=[]), None)
    state = settled(panel)
    assert state.words == (maps["word"][3],)
    assert set(state.changes["word"]) == set(state.words)


@pytest.mark.parametrize("word", ["1,000", "New York"])
def test_any_word_on_a_map_can_be_looked_at(plain, word):
    words = [word, *plain.words[1:]]
    v = wb.Vectors.from_arrays(words, plain.get_vectors(plain.words))
    panel = opened(v, n_words=600, n_subvectors=6)
    settled(panel)
    panel.maps.picked(word)
    assert settled(panel).words == (word,)


def test_saving_says_where_and_how_large_and_what_is_wrong(panel, tmp_path):
    panel.path.value = f" {tmp_path / 'new' / 'small.safetensors'} "
    panel.save.click()
    saved = tmp_path / "new" / "small.safetensors"
    assert f"{saved.stat().st_size:,} bytes" in panel.saved.value
    assert wb.load(saved).words == settled(panel).result.small.words
    panel.path.value = str(tmp_path / "small.bin")
    panel.save.click()
    assert "must end in .safetensors" in message(panel, "save")
    assert panel.saved.value == ""


def test_another_format_says_what_it_cannot_hold_before_it_is_written(panel, tmp_path):
    panel.path.value = str(tmp_path / "small.safetensors")
    assert panel.lost.value == ""
    panel.format.label = "word2vec text"
    assert panel.path.value == str(tmp_path / "small.vec")
    assert "n-grams: words outside the vocabulary will have no vector" in panel.lost.value
    assert not list(tmp_path.iterdir())
    panel.save.click()
    small = settled(panel).result.small
    assert np.array_equal(wb.load(tmp_path / "small.vec").matrix(), small.matrix())
    panel.format.label = "the workbench's .safetensors"
    assert (panel.path.value, panel.lost.value) == (str(tmp_path / "small.safetensors"), "")


def test_browsing_shows_files_and_opens_the_one_picked(panel, plain, tmp_path):
    browse = next(w for w in walk(panel.box) if isinstance(w, widgets.ToggleButton))
    assert panel.files.box.layout.display == "none"
    browse.value = True
    assert panel.files.box.layout.display is None
    plain.save(tmp_path / "plain.safetensors")
    panel.files.show(tmp_path)
    panel.files.list.label = "plain.safetensors"
    panel.files.go.click()
    assert settled(panel).model.source == panel.source.value == str(tmp_path / "plain.safetensors")
    browse.value = False
    assert panel.files.box.layout.display == "none"


def walk(widget: widgets.Widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


# -- the limit, and what was tried -----------------------------------------------------------


@pytest.fixture
def limited(panel):
    """The panel, whose limit is taken away after the test."""
    yield panel
    panel.size.value = ""


def size_bar(panel: CompressionPanel) -> str:
    return unescape(re.sub("<[^>]*>", "", panel.parts[NumbersPart].size.value)).strip()


def button(panel: CompressionPanel, name: str) -> widgets.Button:
    (found,) = (w for w in walk(panel.box) if isinstance(w, widgets.Button) and w.description == name)
    return found


def test_the_bar_says_how_much_room_the_limit_leaves_or_how_much_is_too_much(limited):
    n_bytes = settled(limited).result.trial["bytes"]
    assert size_bar(limited) == ""
    for limit, about, is_over in ((n_bytes + 5_000, "0.01 MB to spare", False), (n_bytes - 5_000, "too large", True)):
        limited.size.value = f"{limit} B"
        assert f"{n_bytes / 1e6:,.2f} of {limit / 1e6:,.2f} MB" in size_bar(limited)
        assert about in size_bar(limited)
        assert ("class='bar over'" in limited.parts[NumbersPart].size.value) == is_over
    limited.size.value = f"{n_bytes} B"
    assert "0.00 MB to spare" in size_bar(limited)
    limited.size.value = ""
    assert size_bar(limited) == ""


def test_a_search_brings_a_recipe_within_the_limit_whose_controls_are_shown(limited, monkeypatch):
    monkeypatch.setattr(session_module, "N_TRIALS", 2)
    button(limited, "Find the best recipe").click()
    assert "how large the file may be" in message(limited, "limit")
    limited.size.value = "40 kB"
    button(limited, "Find the best recipe").click()
    state = settled(limited)
    assert message(limited, "limit") == ""
    assert state.result.trial["bytes"] <= 40_000
    assert "to spare" in size_bar(limited)
    assert repr(limited.editor.recipe()) == repr(state.recipe)
    steps = [box.children[0].children[0].value for box in limited.editor.list.children]
    assert len(steps) == len(state.recipe.steps) > 3
    limited.session.try_recipe(main_recipe(state.model.original, **FIRST))


def test_progress_and_cancel_are_those_of_the_search(limited, gate):  # noqa: F811
    recipe = settled(limited).recipe
    search = gate(session_module, "fit_budget")
    limited.size.value = "40 kB"
    button(limited, "Find the best recipe").click()
    search.reached.wait(PATIENCE)
    assert "0 of about" in limited.status.value
    assert not limited.cancel.disabled
    assert is_stale(limited.numbers)
    limited.cancel.click()
    search.open.set()
    assert settled(limited).recipe == recipe
    assert "up to date" in limited.status.value
    assert dialled(limited) == FIRST


def test_a_setting_of_the_list_comes_back(panel):
    first = settled(panel)
    dial(panel, n_subvectors=4)
    settled(panel)
    names = [name for name, _ in panel.list.options[1:]]
    assert len(names) == len(panel.session.state.trail)
    assert "300 words 300 n-grams" in panel.list.label
    assert "PQ 4 codes" in panel.list.label
    panel.list.value = next(n for n, trial in enumerate(first.trail) if trial["recipe"] == first.recipe)
    state = settled(panel)
    assert state.result.small is first.result.small
    assert dialled(panel) == FIRST
    assert "PQ 6 codes" in panel.list.label


def click(figure, point: int) -> None:
    """A click as the browser tells plotly of it."""
    trace = figure.data[0]
    points = {"trace_indexes": [0], "point_indexes": [point], "xs": [trace.x[point]], "ys": [trace.y[point]]}
    event = {"event_type": "plotly_click", "points": points, "device_state": None, "selector": None}
    figure._js2py_pointsCallback = event


def test_a_click_on_a_point_brings_its_setting_back(panel):
    first = settled(panel)
    dial(panel, n_subvectors=4)
    settled(panel)
    place = list(panel.parts[TrailPart]._recipes).index(first.recipe)
    assert panel.figure.data[0].text[place].endswith("PQ 6 codes")
    click(panel.figure, place)
    assert settled(panel).result.small is first.result.small
    assert dialled(panel) == FIRST


@pytest.mark.parametrize(
    "quality", ["unseen", *(pytest.param(name, marks=pytest.mark.slow) for name in ("known", "overlap@10"))]
)
def test_the_trail_shows_all_that_was_tried_and_its_frontier(panel, quality):
    for n_words, n_subvectors in ((300, 4), (600, 4), (600, 2)):
        dial(panel, n_words=n_words, n_subvectors=n_subvectors)
        settled(panel)
    panel.quality.value = quality
    state = settled(panel)
    tried = [(trial["bytes"], trial[quality], trial["recipe"]) for trial in state.trail]
    assert len(tried) > 3
    points, frontier, now = panel.figure.data
    assert np.allclose(points.x, [n_bytes / 1e6 for n_bytes, _, _ in tried])
    assert np.allclose(points.y, [score for _, score, _ in tried])
    best = [not any((b, -s) < (n_bytes, -score) and s >= score for b, s, _ in tried) for n_bytes, score, _ in tried]
    assert [symbol == "circle" for symbol in points.marker.symbol] == best
    line = sorted((b / 1e6, s) for (b, s, _), is_best in zip(tried, best, strict=True) if is_best)
    assert np.allclose(np.array([frontier.x, frontier.y]).T, line)
    ((x, y),) = zip(now.x, now.y, strict=True)
    assert np.allclose([x, y], [state.result.trial["bytes"] / 1e6, state.result.trial[quality]])
    panel.quality.value = "known"


def test_the_trail_shows_the_limit(limited):
    settled(limited)
    assert len(limited.figure.layout.shapes) == 0
    limited.size.value = "30 kB"
    (line,) = limited.figure.layout.shapes
    assert line.x0 == line.x1 == 0.03


def test_a_quality_that_a_model_lacks_has_no_points(plain):
    panel = opened(plain, n_words=600, n_subvectors=6)
    settled(panel)
    panel.quality.value = "unseen"
    assert [len(trace.x) for trace in panel.figure.data] == [0, 0, 0]
    assert message(panel, "view") == ""
    panel.quality.value = "known"
    assert [len(trace.x) for trace in panel.figure.data] == [1, 1, 1]


# -- damage ---------------------------------------------------------------------------------


def test_a_group_lists_its_most_damaged_words_and_one_picked_is_looked_at(panel):
    damage = settled(panel).damage
    groups = [value for _, value in panel.group.options]
    expected = [(r.by, r.group) for r in damage.groups.itertuples() if r.by != "all"]
    assert groups == [None, *expected]
    assert {by for by, _ in expected} == {"frequency", "shape", "fate"}
    columns = {"frequency": "band", "shape": "shape", "fate": "split"}
    for value in groups:
        panel.group.value = value
        words = damage.words if value is None else damage.words[damage.words[columns[value[0]]] == value[1]]
        worst = words.sort_values("cosine", kind="stable")[:30]
        assert [word for _, word in panel.worst.options[1:]] == list(worst["word"])
        assert panel.worst.value is None
        assert message(panel, "view") == ""
    panel.group.value = ("fate", "dropped")
    panel.worst.value = panel.worst.options[2][1]
    state = settled(panel)
    assert state.words == (panel.worst.value,)
    assert set(state.changes["word"]) == set(state.words)
    assert panel.group.value == ("fate", "dropped")


def test_the_damage_shown_is_that_of_the_setting(panel, gate):  # noqa: F811
    first = settled(panel)
    panel.group.value = ("fate", "kept")
    shown = (panel.table.value, panel.parts[DamagePart].figure.value, panel.worst.options)
    assert shown[0] == damage_html(*first.damage)
    assert "<img" in shown[1]
    assess = gate(session_module, "word_damage")
    dial(panel, n_subvectors=3)
    assess.reached.wait(PATIENCE)
    assert all(map(is_stale, (panel.table, panel.worst)))
    assess.open.set()
    state = settled(panel)
    assert not any(map(is_stale, (panel.table, panel.worst)))
    assert panel.table.value == damage_html(*state.damage)
    assert panel.group.value == ("fate", "kept")
    now = (panel.table.value, panel.parts[DamagePart].figure.value, panel.worst.options)
    assert all(new != old for new, old in zip(now, shown, strict=True))
    panel.group.value = None


@pytest.mark.parametrize("word", ["1,000", "New York"])
def test_any_damaged_word_can_be_looked_at(plain, word):
    words = [*plain.words[1:], word]
    v = wb.Vectors.from_arrays(words, plain.get_vectors(plain.words))
    panel = opened(v, n_words=690, n_subvectors=6)  # it is dropped
    settled(panel)
    panel.worst.value = word
    assert settled(panel).words == (word,)


# -- the way out ----------------------------------------------------------------------------


def limit_boxes(panel: CompressionPanel) -> dict[str, tuple[widgets.Checkbox, widgets.FloatText]]:
    """Tick and box of each limit in sight."""
    pairs = [pair.children for pair in panel.limits.children]
    return {box.description.removeprefix("Limit of "): (tick, box) for tick, box in pairs}


@pytest.fixture
def leaving(path, fasttext):
    """A panel of its own, for what a person types there stays."""
    panel = opened(str(path), **FIRST)
    settled(panel)
    return panel


def test_limits_follow_the_numbers_but_for_those_that_a_person_set(leaving):
    suggested = suggest_limits(settled(leaving).result.card)
    assert {name: box.value for name, (_, box) in limit_boxes(leaving).items()} == suggested
    limit_boxes(leaving)["fidelity.kept"][1].value = 0.123
    limit_boxes(leaving)["fidelity.dropped"][1].value = 0.456
    limit_boxes(leaving)["overlap@10.all"][0].value = False
    dial(leaving, n_words=700, n_subvectors=3)  # nothing is dropped
    suggested = suggest_limits(settled(leaving).result.card)
    assert "fidelity.dropped" not in suggested
    expected = suggested | {"fidelity.kept": 0.123}
    assert {name: box.value for name, (_, box) in limit_boxes(leaving).items()} == expected
    assert [name for name, (tick, _) in limit_boxes(leaving).items() if not tick.value] == ["overlap@10.all"]
    dial(leaving, **FIRST)
    expected = suggest_limits(settled(leaving).result.card) | {"fidelity.kept": 0.123, "fidelity.dropped": 0.456}
    assert {name: box.value for name, (_, box) in limit_boxes(leaving).items()} == expected
    assert [name for name, (tick, _) in limit_boxes(leaving).items() if not tick.value] == ["overlap@10.all"]


def test_a_report_holds_the_limits_that_are_ticked_and_its_verdicts_are_shown(leaving, tmp_path, monkeypatch):
    reports = []

    def run(path: Path) -> Report:
        limits = read_baseline(path.parent / "limits" / f"{path.stem}.json")
        verdicts = compare([replace(m, value=m.value - 1) for m in limits.values()], limits)
        (path.parent / "index.html").touch()
        error = "cell 3: <i>no</i>" if reports else None
        reports.append(Report(False, verdicts, path.parent / "index.html", path, error))
        return reports[-1]

    monkeypatch.setattr(session_module, "run_report", run)
    leaving.folder.value = f" {tmp_path} "
    limit_boxes(leaving)["overlap@10.all"][0].value = False
    limit_boxes(leaving)["fidelity.kept"][1].value = 0.123
    for _ in range(2):
        leaving.make.click()
        settled(leaving)
    ticked = {name: box.value for name, (tick, box) in limit_boxes(leaving).items() if tick.value}
    assert {v.name: v.baseline for v in reports[0].verdicts} == ticked
    assert "overlap@10.all" not in ticked
    head, *rows = cells(leaving.doing.value)
    assert head == ["what", "measured", "limit", "verdict"]
    assert [row[0] for row in rows] == list(ticked)
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["fidelity.kept"] == ["-0.877", "0.123", "not met: worse"]
    assert by_name["size.compressed"][2] == "met"
    assert "Not every limit is met" in leaving.doing.value
    assert "cell 3: &lt;i&gt;no" in leaving.doing.value
    (link,) = leaving.link.outputs
    assert "index.html" in link["data"]["text/html"]


def test_a_report_can_be_stopped_and_what_is_wrong_is_a_message(leaving, gate, tmp_path):  # noqa: F811
    run = gate(session_module, "run_report")
    run.function = lambda path: progress.told_to  # never asked for
    leaving.folder.value = str(tmp_path)
    assert (leaving.make.disabled, leaving.stop.disabled) == (False, True)
    leaving.make.click()
    run.reached.wait(PATIENCE)
    assert (leaving.make.disabled, leaving.stop.disabled) == (True, False)
    leaving.stop.click()
    assert (leaving.make.disabled, leaving.stop.disabled) == (False, True)
    run.open.set()
    assert settled(leaving).report is None
    assert leaving.doing.value == ""
    for tick, _ in limit_boxes(leaving).values():
        tick.value = False
    leaving.make.click()
    settled(leaving)
    assert "at least one limit" in message(leaving, "report")


# -- pages ----------------------------------------------------------------------------------


def test_only_the_parts_of_the_page_that_is_turned_to_are_there(panel):
    always = {ModelPart, RecipePart, ProgressPart, WordsPart}
    seen = set()
    for name in panel.pages.options:
        panel.pages.value = name
        there = {kind for kind, part in panel.parts.items() if part.box.layout.display is None}
        assert there == always | set(PAGES[name])
        seen |= there
    assert seen == set(panel.kinds)
    panel.pages.value = "Numbers"


@pytest.mark.parametrize(
    "show",
    [SHOWN, ("damage", "words"), (), *(pytest.param((name,), marks=pytest.mark.slow) for name in SHOWN)],
    ids="-".join,
)
def test_a_page_holds_what_is_shown_and_nothing_else(panel, show):
    dial(panel, n_subvectors=4)  # so that there is something before
    state = replace(settled(panel), limit=30_000)
    html = paper.page(state, show)
    numbers = paper.limit_html(state.result, 30_000) + paper.numbers_html(state.result, state.before, state.agreement)
    carriers = [carriers_html(table) for table in state.carriers.values()]
    parts = {
        "numbers": [numbers, "alt='Size and quality of what was tried'"],
        "words": [paper.neighbours_html(state.changes), *carriers],
        "maps": ["alt='Maps of the words before and after'"],
        "damage": [damage_html(*state.damage), "alt='Closeness by group of words'"],
        "agreement": [],  # a row of the numbers
    }
    for about, texts in parts.items():
        assert all((text in html) == (about in show) for text in texts)
    assert paper.escape(paper.recipe_code(state.model, state.result.recipe)) in html
    assert not re.search("https?://|<script|<link|@import|onclick", html)


# -- what goes wrong ----------------------------------------------------------------------


def test_a_wrong_path_is_a_message_until_the_next_wish(panel, path):
    before = settled(panel)
    panel.source.value = "nowhere/at-all.bin"
    state = settled(panel)
    assert "at-all.bin does not exist" in message(panel, "model")
    assert state.result is before.result
    assert not is_stale(panel.numbers)
    dial(panel, n_subvectors=4)
    settled(panel)
    assert message(panel, "model") == ""
    assert panel.source.value == str(path)


def test_going_back_to_the_model_that_is_open_takes_a_wrong_path_away(panel, path):
    panel.source.value = "nowhere/at-all.bin"
    settled(panel)
    panel.source.value = str(path)
    settled(panel)
    assert message(panel, "model") == ""


def test_an_impossible_setting_is_a_message_and_the_next_one_is_computed(panel):
    before = panel.numbers.value
    dial(panel, n_words=IMPOSSIBLE)
    settled(panel)
    assert "256 centroids need as many rows" in message(panel, "numbers")
    assert panel.numbers.value == before
    assert is_stale(panel.numbers)
    dial(panel, n_words=400)
    settled(panel)
    assert message(panel, "numbers") == ""
    assert not is_stale(panel.numbers)


def test_an_error_in_a_handler_is_a_message_and_is_not_raised(panel, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of <order>")

    monkeypatch.setattr(panel.session, "try_recipe", fail)
    dial(panel, n_words=400)
    assert message(panel, "view").endswith("RuntimeError: out of <order>")
    assert "<order>" not in panel.messages["view"].value


def test_an_error_while_showing_is_a_message_and_the_next_numbers_are_shown(path, monkeypatch):
    panel = opened(str(path), **FIRST)
    settled(panel)

    def fail(*_):
        patch.undo()
        raise RuntimeError("out of order")

    with monkeypatch.context() as patch:
        patch.setattr(numbers_module, "numbers_html", fail)
        dial(panel, n_subvectors=4)
        settled(panel)
        assert "out of order" in message(panel, "view")  # whatever other parts showed after it
    before = panel.numbers.value
    dial(panel, n_subvectors=3)
    settled(panel)
    assert panel.numbers.value != before


def test_a_saved_file_may_go_away(path, fasttext, tmp_path):
    panel = opened(str(path), **FIRST)
    settled(panel)
    panel.path.value = str(tmp_path / "small.safetensors")
    panel.save.click()
    (tmp_path / "small.safetensors").unlink()
    panel.word.value = fasttext.words[7]
    settled(panel)
    assert fasttext.words[7] in panel.neighbours.value


# -- what stays in a notebook -------------------------------------------------------------


def holds_everything(html: str, state: State) -> bool:
    """Whether a page shows this state whole."""
    parts = [
        paper.numbers_html(state.result, state.before, state.agreement),
        paper.neighbours_html(state.changes),
        paper.escape(paper.recipe_code(state.model, state.result.recipe)),
        "src='data:image/png;base64,",
    ]
    return all(part in html for part in parts)


def test_a_page_for_paper_holds_everything_and_needs_neither_network_nor_widgets(path, fasttext, shown, monkeypatch):
    # Drawn in the warm process, so that UMAP is not compiled in this one too.
    monkeypatch.setattr(session_module, "umap_layout", lambda *arguments: mapper.shared.layout(None, *arguments))
    made = []
    monkeypatch.setattr(widgets.Widget, "open", lambda self: made.append(self))
    panel = CompressionPanel(str(path), interactive=False, words=fasttext.words[:2], n_mapped=40, **FIRST)
    panel._ipython_display_()
    (html,) = shown
    assert made == []
    assert holds_everything(html.data, panel.wait())
    assert panel.wait().maps.attrs["method"] == "UMAP"
    assert not re.search("https?://|<script|<link|@import", html.data)


def test_a_live_panel_leaves_the_page_of_its_last_good_state(panel, shown):
    first = settled(panel)
    panel._ipython_display_()
    page, box = shown
    assert box is panel.box
    assert holds_everything(page.data, first)
    dial(panel, n_subvectors=4)
    second = settled(panel)
    until(lambda: holds_everything(shown[-1].data if shown[-1] is not box else "", second))
    n_shown = len(shown)
    dial(panel, n_words=IMPOSSIBLE)
    settled(panel)
    panel._update_twin(settled(panel))
    assert len(shown) == n_shown
    panel._twin = None


def test_a_panel_that_is_ready_while_it_is_displayed_leaves_its_page_too(path, shown, monkeypatch):
    panel = opened(str(path), **FIRST)
    display = view_module.display

    def slow(*arguments, **options):
        settled(panel)
        return display(*arguments, **options)

    monkeypatch.setattr(view_module, "display", slow)
    panel._ipython_display_()
    pages = [thing.data for thing in shown if thing is not panel.box]
    assert holds_everything(pages[-1], settled(panel))


def test_the_page_is_hidden_while_its_panel_is_there(panel, shown):
    panel._ipython_display_()
    panel._twin = None
    (name,) = re.findall("class='wb-twin (wb-twin-[0-9a-f]+)'", shown[0].data)
    assert f"<style>.{name} {{display: none}}</style>" in panel.box.children[0].value.replace(paper.STYLE, "")


def test_every_control_has_a_name_for_screen_readers(panel):
    for widget in (widget for part in panel.parts.values() for widget in walk(part.box)):
        if isinstance(widget, widgets.ValueWidget | widgets.Button | CopyButton) and hasattr(widget, "description"):
            assert widget.description or isinstance(widget, widgets.HTML | widgets.FloatProgress)
        if isinstance(widget, Slider):
            assert widget.label


# -- where the dials begin ----------------------------------------------------------------


def test_only_the_first_model_begins_with_the_values_asked_for():
    panel = opened(made_fasttext(), **FIRST)
    settled(panel)
    panel.session.open(made_fasttext(n_words=2_000, seed=1))
    state = settled(panel)
    assert dialled(panel) == {"n_words": 1_000, "n_ngrams": 2_000, "n_subvectors": 6}
    assert state.errors == {}


@pytest.mark.parametrize("n_ngrams", [0, 300])
def test_a_recipe_refits_where_ngrams_are_left(fasttext, plain, n_ngrams):
    steps = [type(step).__name__ for step in main_recipe(fasttext, 300, n_ngrams, 6).steps]
    assert steps == ["Prune", *["Refit"] * bool(n_ngrams), "PQ"]
    assert [type(step).__name__ for step in main_recipe(plain, 300, n_ngrams, 6).steps] == ["Prune", "PQ"]
