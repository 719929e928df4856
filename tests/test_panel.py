"""The compression panel without a browser: controls are set as a person would, and read as one would."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import ipywidgets as widgets
import numpy as np
import pandas as pd
import pytest
from conftest import PATIENCE, made_plain, until
from person import FIRST, FRESH, OUTSIDE, Person, opened, rows_of, text_of

import workbench as wb
from workbench import progress
from workbench.reports.metrics import compare, read_baseline
from workbench.reports.setting import Report, suggest_limits
from workbench.views import mapper

BUILD = "workbench.compress.builder.Builder.build"
MARKS = {"kept": "●", "lost": "×", "gained": "▲"}
HOSTILE = "<script>alert('1')</script>"
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def dialled(person: Person) -> dict[str, int]:
    return {label: person.get(label) for label in FIRST}


# -- where it begins ------------------------------------------------------------------------


def test_a_panel_begins_where_it_was_told_to(panel):
    assert dialled(panel) == FIRST
    assert panel.get("Model").endswith("big.safetensors")
    assert "700 words of 12 dimensions" in panel.text
    assert "PQ(n_subvectors=6" in panel.get("Copy recipe")
    assert panel.unnamed() == []


def test_a_model_without_ngrams_has_no_controls_and_no_points_for_them(panel, tmp_path):
    assert panel.has("N-grams kept")
    assert "Refit" in panel.get("Copy recipe")
    panel.change({"Model": str(made_plain(3_000).save(tmp_path / "plain.safetensors"))})
    assert panel.alerts == []
    assert panel.get("Words kept") > FIRST["Words kept"]  # which was asked of the first model
    assert not panel.has("N-grams kept")
    assert "Refit" not in panel.get("Copy recipe")
    for quality, n in (("unseen", 0), ("vocabulary", 1)):
        panel.set("Quality", next(option for option in panel.options("Quality") if quality in option))
        assert [len(trace.x) for trace in panel.figure("wb-trail").data] == [n] * 3
    panel.set("Quality", panel.options("Quality")[0])


@pytest.mark.parametrize("live", [True, False])
def test_a_view_is_live_only_where_a_front_end_can_ask_a_person(plain, monkeypatch, live):
    kernel = SimpleNamespace(get_parent=lambda _: {"content": {"allow_stdin": live}})
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=kernel))
    view = wb.views.NeighbourView(plain, plain)
    assert view.interactive is live
    view.wait(PATIENCE)


# -- controls -------------------------------------------------------------------------------


def test_a_number_has_a_box_for_any_value_and_a_slider_over_round_ones(panel):
    slider = "Words kept, round values"
    texts = panel.options(slider)
    values = [int(text.replace(",", "")) for text in texts]
    assert (values[0], values[-1]) == (1, 700)
    assert all(low < high <= 1.5 * low + 1 for low, high in pairwise(values))  # no leaps
    panel.set("Words kept", 337)
    assert panel.get(slider) == "300"
    panel.set(slider, "500")
    assert panel.get("Words kept") == 500
    for wanted, there in ((99_999, 700), (-5, 1)):  # the nearest in range
        panel.set("Words kept", wanted)
        assert (panel.get("Words kept"), panel.get(slider)) == (there, f"{there}")
    assert panel.change({"Words kept": 337}).recipe.steps[0].n_words == 337


def test_a_file_is_picked_from_a_list_of_folders_and_models(use, plain, tmp_path, monkeypatch):
    for name in ("b.vec", "a.bin", "c.fifu", "d.ftz", "e.kv", "f.glove", "notes.md", ".hidden.bin"):
        (tmp_path / name).touch()
    plain.save(tmp_path / "plain.safetensors")
    inside = tmp_path / "more" / "<img src=x>"
    inside.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    panel = use(opened(plain))
    assert not panel.has("Files")
    panel.set("Browse", True)
    models = ["a.bin", "b.vec", "c.fifu", "d.ftz", "e.kv", "f.glove", "plain.safetensors"]
    assert panel.options("Files") == ["..", "more/", *models]
    for name, then in (("more/", ["..", "<img src=x>/"]), ("<img src=x>/", [".."])):
        panel.set("Files", name)
        panel.press("Open selected")
        assert panel.options("Files") == then
    assert "<img src=x" not in panel.html
    for _ in range(2):
        panel.set("Files", "..")
        panel.press("Open selected")
    panel.set("Files", "plain.safetensors")
    assert panel.finish("Open selected").model.source == panel.get("Model") == str(tmp_path / "plain.safetensors")
    panel.set("Browse", False)
    assert not panel.has("Files")


def test_only_the_controls_of_the_page_that_is_turned_to_are_there(panel):
    pages = {"Numbers": "Go back to", "Maps": "Words on the maps", "Damage": "Most damaged", "Save and report": "File"}
    for name, there in pages.items():
        panel.set("Show", name)
        assert [label for label in pages.values() if panel.has(label)] == [there]
        assert all(panel.has(label) for label in ("Model", "Words kept", "Cancel", "Word"))
        assert ("Size of the file" in panel.rows) == (name == "Numbers")


# -- numbers --------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_card_beside_those_before(panel):
    before = panel.wait().result.card
    after = panel.change({"Subvectors": 4}).result.card
    shown = rows_of(panel.html.split("<h4>")[0])
    old, new = ({(r.metric, r.split): r for r in card.itertuples()} for card in (before, after))
    sizes = [f"{card['size', 'compressed'].value / 1e6:,.2f} MB" for card in (new, old)]
    assert [shown["Size of the file"][0], shown["Size of the file"][-1]] == sizes
    assert f"{new['ratio', 'all'].value:.1f} times smaller" in shown["Size of the file"][2]
    digits = {"fidelity": 4, "overlap@10": 3}
    expected = [
        [f"{r.value:.{digits[metric]}f}", f"{r.how}, {r.n:,} words", f"{old[metric, split].value:.{digits[metric]}f}"]
        for (metric, split), r in new.items()
        if metric in digits
    ]
    assert len(expected) > 5
    assert sorted([row[0], *row[3:]] for name, row in shown.items() if "," in name) == sorted(expected)


def test_agreement_is_over_the_pairs_that_are_given_and_a_missing_file_is_said(use, fasttext):
    rng = np.random.default_rng(0)
    pairs = [(fasttext.words[a], fasttext.words[b], float(rng.random())) for a, b in rng.integers(700, size=(60, 2))]
    panel = use(opened(fasttext, pairs={"mine": pairs}))
    agreement = panel.wait().agreement
    value = agreement[(agreement["metric"] == "similarity") & (agreement["split"] == "mine")]["value"].item()
    (row,) = (row for name, row in panel.rows.items() if "mine" in name)
    assert row[0] == f"{value:.3f}"
    panel = use(opened(fasttext, pairs={"mine": "nowhere/pairs.tsv"}, words=fasttext.words[:1]))
    state = panel.wait()
    assert "pairs.tsv" in panel.alerts[0]
    assert all(part is not None for part in (state.changes, state.damage, state.maps))
    assert "Size of the file" in panel.rows


def test_the_tables_of_neighbours_hold_every_neighbour_at_its_rank_with_its_mark(panel):
    panel.change({"Words kept": 700, "N-grams kept": 3_000, "Subvectors": 3})  # so that most stay and some move
    changes = panel.wait().changes
    assert set(changes["status"]) == set(MARKS)
    tables = [html for html in panel.html.split("<table>") if "<th>rank</th>" in html]
    for html, (_, rows) in zip(tables, changes.groupby("word", sort=False), strict=True):
        shown = {name: cells for name, cells in rows_of(html).items() if name != "rank"}
        for entry in rows.itertuples():
            text = f"{MARKS[entry.status]} {entry.neighbour}"
            moved = entry.status == "kept" and entry.rank_before != entry.rank_after
            if entry.status != "gained":
                assert shown[str(int(entry.rank_before))][0] == text
            if entry.status != "lost":
                assert shown[str(int(entry.rank_after))][1] == text + (f" ({entry.rank_before})" if moved else "")
        filled = sum(bool(cell) for cells in shown.values() for cell in cells)
        assert filled == rows["rank_before"].notna().sum() + rows["rank_after"].notna().sum()


def test_words_and_names_of_models_are_shown_as_text(use, plain, tmp_path, shown):
    words = [f"{HOSTILE}{i}" for i in range(len(plain))]
    v = wb.Vectors.from_arrays(words, plain.matrix())
    panel = use(opened(str(v.save(tmp_path / "<b onclick=x>.safetensors")), words=words[:1], n_words=600))
    panel.view._ipython_display_()
    panel.wait()
    pages = [panel.html, shown.page]
    for name in panel.options("Show"):
        panel.set("Show", name)
        pages.append(panel.html)
    pages += [text for trace in panel.figure("wb-maps").data for text in trace.text or ()]  # plotly reads some markup
    assert not [page for page in pages if "<script" in page or "<b onclick" in page]
    assert HOSTILE in panel.text


# -- what is computed, and what belongs to it -----------------------------------------------


def test_what_is_shown_is_faded_from_a_change_until_the_new_numbers_come(panel, gate):
    parts = ("Size of the file", "neighbours kept")
    assert panel.faded == ""
    assert not panel.can("Cancel")
    before = panel.rows["Size of the file"]
    build = gate(BUILD)
    panel.set("Words kept", next(FRESH))
    build.reach()
    assert all(part in panel.faded for part in parts)
    assert panel.rows["Size of the file"] == before
    assert panel.can("Cancel")
    assert "up to date" not in panel.text
    build.open()
    panel.wait()
    assert panel.faded == ""
    assert panel.rows["Size of the file"] != before
    assert "up to date" in panel.text
    assert not panel.can("Cancel")


def test_cancel_brings_the_controls_back_to_what_the_numbers_are_of(panel, gate):
    first = panel.wait()
    build = gate(BUILD)
    panel.set("Words kept", next(FRESH))
    panel.set("Subvectors", 4)
    build.reach()
    panel.press("Cancel")
    assert dialled(panel) == FIRST
    build.open()
    state = panel.wait()
    assert state.result is first.result
    assert panel.faded == ""
    pd.testing.assert_frame_equal(state.changes, first.changes)
    pd.testing.assert_frame_equal(state.maps, first.maps)


def test_the_recipe_to_copy_yields_the_bytes_of_the_model_on_show(panel, tmp_path):
    state = panel.wait()
    code = panel.get("Copy recipe")
    panel.set("Show", "Save and report")
    assert code in panel.text
    copied = tmp_path / "copied.safetensors"
    exec(code.replace("'small.safetensors'", repr(str(copied))), {})
    assert copied.read_bytes() == state.result.small.save(tmp_path / "shown.safetensors").read_bytes()


# -- words, maps and damage -----------------------------------------------------------------


def test_at_most_four_words_are_compared_each_once(panel, fasttext):
    a, b, c, d, e = fasttext.words[10:15]
    assert panel.change({"Word": f"{a},{b} {a} {c}, {d} {e}"}).words == (a, b, c, d)
    assert re.findall(r"^(\w+): \d+ of 10 neighbours kept", panel.text, flags=re.MULTILINE) == [a, b, c, d]


def test_words_that_hold_spaces_and_commas_are_looked_at_whole(use, plain):
    words = ["1,000", "Den Haag"]
    v = wb.Vectors.from_arrays([*words, *plain.words[2:]], plain.matrix())
    panel = use(opened(v, n_words=690, words=[*words, "unheard-of"]))
    assert panel.wait().words == tuple(words)
    assert panel.get("Word") == "1,000, Den Haag"
    for pick, word in ((click_on_map, "Den Haag"), (pick_damaged, "1,000")):
        panel.change({"Word": plain.words[9]})
        pick(panel, word)
        assert panel.wait().words == (word,)


def click_on_map(panel: Person, word: str, side: int = 0) -> None:
    panel.does("click", panel.figure("wb-maps"), [panel.point(word, panel.figure("wb-maps"))], side)


def damaged_word(option: str) -> str:
    return option.rsplit("  (", 1)[0]


def pick_damaged(panel: Person, word: str) -> None:
    """Pick a word from the list of damaged ones of the group where it is surely listed."""
    for group in panel.options("Words of"):
        panel.set("Words of", group)
        found = [option for option in panel.options("Most damaged") if damaged_word(option) == word]
        if found:
            return panel.set("Most damaged", found[0])
    raise AssertionError(f"{word} is in no list")


def test_a_point_on_either_map_is_a_word_to_look_at(panel):
    maps = panel.wait().maps
    for trace, side in zip(panel.figure("wb-maps").data[:2], ("before", "after"), strict=True):
        assert np.allclose([trace.x, trace.y], maps[[f"x_{side}", f"y_{side}"]].T)
        click_on_map(panel, maps["word"][3], 0 if side == "before" else 1)
        state = panel.wait()
        assert state.words == (maps["word"][3],)
        assert set(state.changes["word"]) == set(state.words)
        panel.set("Word", "")


def test_a_group_lists_its_most_damaged_words_and_one_picked_is_looked_at(panel):
    damage = panel.wait().damage
    groups = [(r.by, r.group) for r in damage.groups.itertuples() if r.by != "all"]
    assert {by for by, _ in groups} == {"frequency", "shape", "fate"}
    assert panel.options("Words of")[1:] == [f"{by}: {group}" for by, group in groups]
    panel.set("Words of", "fate: dropped")
    words = damage.words[damage.words["split"] == "dropped"].sort_values("cosine", kind="stable")["word"][:30]
    options = panel.options("Most damaged")[1:]
    assert [damaged_word(option) for option in options] == list(words)
    state = panel.change({"Most damaged": options[1]})
    assert state.words == (damaged_word(options[1]),)
    assert set(state.changes["word"]) == set(state.words)
    panel.change({"Words kept": next(FRESH)})
    assert panel.get("Words of") == "fate: dropped"
    assert panel.options("Most damaged")[1:] != options


# -- the size limit, and what was tried -----------------------------------------------------


def test_the_bar_says_how_much_room_the_limit_leaves_or_how_much_is_too_much(panel):
    n_bytes = panel.wait().result.trial["bytes"]
    for limit, said in ((n_bytes + 5_000, "0.01 MB to spare"), (n_bytes - 5_000, "too large"), (n_bytes, "0.00 MB")):
        panel.set("Size limit", f"{limit} B")
        (line,) = (line for line in panel.text.splitlines() if f"{n_bytes / 1e6:,.2f} of {limit / 1e6:,.2f} MB" in line)
        assert said in line
    panel.set("Size limit", "")
    assert "to spare" not in panel.text


def test_a_setting_of_the_list_and_a_point_that_is_clicked_come_back(panel):
    first = panel.wait()
    for way_back in ("list", "point"):
        panel.change({"Subvectors": 4})
        assert "PQ 4 codes" in panel.get("Go back to")
        (option,) = (o for o in panel.options("Go back to") if "300 words 300 n-grams" in o and "PQ 6 codes" in o)
        if way_back == "list":
            panel.set("Go back to", option)
        else:
            figure = panel.figure("wb-trail")
            panel.does("click", figure, [panel.point(option.split(": ", 1)[1], figure)])
        assert panel.wait().result.small is first.result.small
        assert dialled(panel) == FIRST
        assert panel.get("Go back to") == option


def test_the_trail_shows_all_that_was_tried_its_frontier_and_the_limit(panel):
    for n_words, n_subvectors in ((300, 4), (600, 4), (600, 2)):
        state = panel.change({"Words kept": n_words, "Subvectors": n_subvectors})
    panel.set("Size limit", "30 kB")
    for quality, name in {"unseen": "unseen", "overlap@10": "overlap", "known": "vocabulary"}.items():
        panel.set("Quality", next(option for option in panel.options("Quality") if name in option))
        tried = [(trial["bytes"] / 1e6, trial[quality]) for trial in state.trail]
        best = [not any(a <= n and b >= score and (a, b) != (n, score) for a, b in tried) for n, score in tried]
        figure = panel.figure("wb-trail")
        points, frontier, now = figure.data
        assert len(tried) > 3
        assert np.allclose([points.x, points.y], np.transpose(tried))
        assert [symbol == "circle" for symbol in points.marker.symbol] == best
        line = sorted(point for point, is_best in zip(tried, best, strict=True) if is_best)
        assert np.allclose([frontier.x, frontier.y], np.transpose(line))
        assert (now.x[0], now.y[0]) == pytest.approx((state.result.trial["bytes"] / 1e6, state.result.trial[quality]))
        assert [line.x0 for line in figure.layout.shapes] == [0.03]
    panel.set("Quality", panel.options("Quality")[0])


# -- the way out ----------------------------------------------------------------------------


def test_saving_says_where_and_how_large_and_what_is_wrong(panel, tmp_path):
    panel.set("Show", "Save and report")
    saved = tmp_path / "new" / "small.safetensors"
    panel.set("File", f" {saved} ")
    panel.press("Save file")
    assert f"{saved.stat().st_size:,} bytes" in panel.text
    assert np.array_equal(wb.load(saved).matrix(), panel.wait().result.small.matrix())
    (tmp_path / "file").touch()
    for name, why in (("small.bin", "must end in .safetensors"), ("file/small.safetensors", "file")):
        panel.set("File", str(tmp_path / name))
        panel.press("Save file")
        (alert,) = panel.alerts
        assert why in alert
        assert "bytes" not in panel.text
        assert not (tmp_path / name).exists()


def test_saving_and_reporting_wait_for_the_numbers_of_this_setting(panel, gate, tmp_path):
    panel.set("Show", "Save and report")
    build = gate(BUILD)
    panel.set("Words kept", next(FRESH))
    build.reach()
    panel.set("File", str(tmp_path / "small.safetensors"))
    panel.set("Folder", str(tmp_path / "report"))
    for button in ("Save file", "Make report"):
        panel.press(button)
        assert any("not there yet" in alert for alert in panel.alerts)
    build.open()
    panel.wait()
    assert not list(tmp_path.iterdir())
    panel.press("Save file")
    assert (tmp_path / "small.safetensors").exists()


def test_the_model_itself_is_never_overwritten(panel, use, monkeypatch):
    path = Path(panel.get("Model"))
    before = path.read_bytes()
    monkeypatch.chdir(path.parent)
    for each in (panel, use(opened(wb.load(path)))):
        each.set("Show", "Save and report")
        each.set("File", "big.safetensors")
        each.press("Save file")
        assert "is the model itself" in each.alerts[0]
        assert path.read_bytes() == before


def test_a_model_in_memory_has_no_report_and_its_recipe_does_not_load_its_source(use, fasttext):
    panel = use(opened(wb.Prune(500, 3_000).fit_transform(fasttext)))
    assert f"load({fasttext.meta['provenance']['source']!r})" not in panel.get("Copy recipe")
    panel.set("Show", "Save and report")
    panel.finish("Make report")
    assert "made in memory" in panel.alerts[0]


def test_another_format_says_what_it_cannot_hold_before_it_is_written(panel, tmp_path):
    panel.set("Show", "Save and report")
    panel.set("File", str(tmp_path / "small.safetensors"))
    assert "cannot hold" not in panel.text
    panel.set("Format", "word2vec text")
    assert panel.get("File") == str(tmp_path / "small.vec")
    assert "n-grams: words outside the vocabulary will have no vector" in panel.text
    assert not list(tmp_path.iterdir())
    panel.press("Save file")
    assert np.array_equal(wb.load(tmp_path / "small.vec").matrix(), panel.wait().result.small.matrix())
    panel.set("Format", "the workbench's .safetensors")
    assert panel.get("File") == str(tmp_path / "small.safetensors")
    assert "cannot hold" not in panel.text


def limits(panel: Person) -> dict[str, float | None]:
    """The limits that are offered, without a value where the tick is off."""
    names = [label.removeprefix("Limit of ") for label in panel.labels("Limit of ")]
    return {name: panel.get(f"Limit of {name}") if panel.get(tick(panel, name)) else None for name in names}


def tick(panel: Person, name: str) -> str:
    (label,) = panel.labels(f"{name}: ")
    return label


@pytest.fixture(scope="module")
def leaving(fasttext, tmp_path_factory):
    """A panel of its own, with a limit that a person set and one without a tick, which stay."""
    panel = Person(opened(str(fasttext.save(tmp_path_factory.mktemp("models") / "big.safetensors"))))
    panel.wait()
    panel.set("Show", "Save and report")
    assert limits(panel) == suggest_limits(panel.wait().result.card)
    panel.set("Limit of fidelity.kept", 0.123)
    panel.set(tick(panel, "overlap@10.all"), False)
    yield panel
    panel.view.close()
    panel.view.wait(PATIENCE)


def test_limits_follow_the_numbers_but_for_those_that_a_person_set(leaving):
    own = {"fidelity.kept": 0.123, "overlap@10.all": None}
    for setting, there in (({"Words kept": 700, "Subvectors": 3}, False), (FIRST, True)):
        suggested = suggest_limits(leaving.change(setting).result.card)
        assert ("fidelity.dropped" in suggested) is there  # of 700 words nothing is dropped
        assert limits(leaving) == suggested | own


def test_a_report_can_be_stopped(leaving, gate, tmp_path):
    run = gate("workbench.views.session.run_report")
    run.function = lambda path: progress.told_to  # never asked for
    leaving.set("Folder", str(tmp_path))
    before = leaving.wait().report
    for press, making in (("Make report", True), ("Stop report", False)):
        leaving.press(press)
        assert (leaving.can("Make report"), leaving.can("Stop report")) == (not making, making)
        run.reach()
    run.open()
    assert leaving.wait().report is before


def test_a_report_holds_the_limits_that_are_ticked_and_its_verdicts_are_shown(leaving, tmp_path, monkeypatch):
    reports = []

    def run(path: Path) -> Report:
        limits = read_baseline(path.parent / "limits" / f"{path.stem}.json")
        verdicts = compare([replace(m, value=m.value - 1) for m in limits.values()], limits)
        (path.parent / "index.html").touch()
        reports.append(Report(False, verdicts, path.parent / "index.html", path, "cell 3: <i>no</i>"))
        return reports[-1]

    monkeypatch.setattr("workbench.views.session.run_report", run)
    leaving.set("Folder", f" {tmp_path} ")
    ticked = {name: value for name, value in limits(leaving).items() if value is not None}
    leaving.finish("Make report")
    assert {v.name: v.baseline for v in reports[0].verdicts} == ticked
    assert {"fidelity.kept", "size.compressed"} <= ticked.keys() <= leaving.rows.keys()
    assert "overlap@10.all" not in leaving.rows
    assert leaving.rows["fidelity.kept"] == ["-0.877", "0.123", "not met: worse"]
    assert leaving.rows["size.compressed"][2] == "met"
    assert "Not every limit is met" in leaving.text
    assert "cell 3: <i>no" in leaving.text
    (link,) = leaving.seen(widgets.Output)[0].outputs
    assert "index.html" in link["data"]["text/html"]
    for name in ticked:
        leaving.set(tick(leaving, name), False)
    leaving.finish("Make report")
    assert "at least one limit" in leaving.alerts[0]
    for name in ticked:
        leaving.set(tick(leaving, name), True)


# -- what goes wrong ------------------------------------------------------------------------


def test_a_wrong_path_is_a_message_until_the_next_wish_and_leaves_everything_as_it_was(panel):
    before, path = panel.wait(), panel.get("Model")
    for next_wish in ({"Subvectors": 4}, {"Model": path}):
        state = panel.change({"Model": "nowhere/<b>all.bin"})
        assert "<b>all.bin does not exist" in panel.alerts[0]
        assert "<b>all" not in panel.html
        assert state.model is before.model
        assert panel.faded == ""
        panel.change(next_wish)
        assert panel.alerts == []
        assert panel.get("Model") == path


def test_an_impossible_setting_is_a_message_and_the_next_one_is_computed(panel):
    before = panel.rows["Size of the file"]
    panel.change({"Words kept": 1})
    assert "256 centroids need as many rows" in panel.alerts[0]
    assert panel.rows["Size of the file"] == before
    assert "Size of the file" in panel.faded
    panel.change({"Words kept": 400})
    assert (panel.alerts, panel.faded) == ([], "")


# -- what stays in a notebook ---------------------------------------------------------------


def is_whole(page: str, state) -> bool:
    """Whether a page shows this state: its numbers, neighbours, damage, recipe and pictures."""
    shown = [
        f"{state.result.trial['bytes'] / 1e6:,.2f} MB",
        *(f"{word}: " for word in state.words),
        *(str(by) for by in state.damage.groups["by"]),
        *(repr(step) for step in state.recipe.steps),
    ]
    return all(text in text_of(page) for text in shown) and page.count("src='data:image/png;base64,") >= 2


def test_a_page_for_paper_shows_what_the_live_panel_shows_without_network_or_widgets(
    panel, fasttext, shown, monkeypatch
):
    live, made = panel.wait(), []
    # Drawn in the warm process, so that UMAP is not compiled in this one too.
    monkeypatch.setattr("workbench.views.session.umap_layout", lambda *a: mapper.shared.layout(None, *a))
    monkeypatch.setattr(widgets.Widget, "open", lambda self: made.append(self))
    paper = opened(fasttext, interactive=False, words=fasttext.words[:2])
    paper._ipython_display_()
    assert (len(shown), made) == (1, [])
    assert is_whole(shown.page, live)
    assert not OUTSIDE.search(shown.page)
    for name in ("changes", "maps"):
        pd.testing.assert_frame_equal(getattr(paper.wait(), name), getattr(live, name))
    pd.testing.assert_frame_equal(paper.wait().result.card, live.result.card)
    with pytest.raises(ValueError, match="99"):
        opened(fasttext, interactive=False, n_subvectors=99)


def test_a_live_panel_leaves_the_page_of_its_last_good_state(use, fasttext, shown):
    panel = use(opened(fasttext, words=fasttext.words[:2]), ready=False)
    panel.view._ipython_display_()  # before anything is computed
    first = panel.change({"Size limit": "1 MB"})
    until(lambda: is_whole(shown.page, first))
    second = panel.change({"Subvectors": 4})
    until(lambda: is_whole(shown.page, second))
    n_shown = len(shown)
    panel.change({"Words kept": 1})  # which is too few
    panel.view.render()
    assert len(shown) == n_shown
    assert not OUTSIDE.search(shown.page)
