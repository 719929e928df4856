"""The compression panel: what a person sets, in the view or from the next cell, and what it says then."""

from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pandas as pd
import pytest
from conftest import PATIENCE, made_plain, until
from person import FRESH, OUTSIDE, opened, text_of

import workbench as wb
from workbench.evaluate.scorecard import quick_card
from workbench.reports.metrics import compare, read_baseline
from workbench.reports.setting import Report, suggest_limits

BUILD = "workbench.compress.builder.Builder.build"
LAYOUT = "workbench.views.mapper.shared.layout"
HOSTILE = "<script>alert('1')</script>"
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def some_recipe(n_subvectors: int = 4) -> wb.Chain:
    return wb.Chain([wb.Prune(next(FRESH), 400), wb.PQ(n_subvectors, n_bits=4)])


# -- the next cell --------------------------------------------------------------------------


def test_a_recipe_set_from_the_next_cell_gives_its_model_and_numbers_to_who_observes(panel, fasttext):
    view, heard = panel.view, []
    view.observe(lambda change: heard.append(change["new"]), "vectors")
    view.recipe = recipe = some_recipe()
    view.wait(PATIENCE)
    small = recipe.fit_transform(fasttext)
    assert np.array_equal(view.vectors.matrix(), small.matrix())
    assert heard == [view.vectors]
    pd.testing.assert_frame_equal(view.card, quick_card(fasttext.adjusted(), small))
    assert (panel.kinds, panel.get("n_words")) == (["Prune", "PQ"], recipe.steps[0].n_words)
    values = {(r.metric, r.split): r.value for r in view.card.itertuples()}
    assert panel.cards["dropped"]["value"] == values["fidelity", "dropped"]
    assert panel.cards["neighbours"]["value"] == 10 * values["overlap@10", "all"]
    assert view.cards["size"]["bytes"] == view.top["save_bytes"] == values["size", "compressed"]
    view.unobserve_all("vectors")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("recipe", "PQ", "expected a recipe such as Chain"),
        ("recipe", wb.Chain([wb.Prune(n_words=0)]), "Prune: n_words must be a whole number of at least 1"),
        ("limit", "20 MBit", "such as '20MB'"),
        ("limit", "-3 MB", "-3 MB"),
        ("source", "nowhere/all.bin", "does not exist"),
        ("source", 7, "got int"),
        ("words", [3], "expected a word"),
    ],
)
def test_a_bad_value_is_refused_with_the_reason_and_the_panel_stays_as_it_was(panel, name, value, why):
    view = panel.wait()
    before, vectors = getattr(view, name), view.vectors
    with pytest.raises((ValueError, TypeError, OSError), match=why):
        setattr(view, name, value)
    assert getattr(view, name) is before
    assert view.wait(PATIENCE).vectors is vectors
    assert panel.stale == set()


def test_a_panel_stands_among_other_widgets_and_goes_with_interact(panel):
    view = panel.wait()
    slider = widgets.IntSlider(value=300, min=100, max=700)
    slider.observe(lambda change: setattr(view, "recipe", wb.Prune(change["new"], 400)), "value")
    box = widgets.VBox([slider, view])
    slider.value = 450
    assert box.children[1].wait(PATIENCE).recipe == wb.Chain([wb.Prune(450, 400)])
    assert len(view.vectors) == 450


# -- recipes --------------------------------------------------------------------------------


def test_a_panel_begins_where_it_was_told_to_or_at_a_preset(panel):
    assert panel.kinds == ["Prune", "Refit", "PQ"]
    assert [panel.get(name) for name in ("n_words", "n_ngrams", "n_subvectors")] == [300, 300, 6]
    assert "700 words × 12" in panel.view.top["about"]
    panel.do("preset", id="tiny")
    assert [preset["on"] for preset in panel.view.rail["presets"]] == [False, False, True]
    assert panel.view.vectors.meta["recipe"] == panel.view.recipe.to_json()["steps"]


def test_steps_are_changed_added_moved_and_taken_out_and_undo_goes_back_over_all_of_it(panel):
    begin = panel.wait().recipe
    panel.turn("n_words", 350)
    panel.begin("add", kind="SVD", at=0)
    assert panel.kinds == ["SVD", "Prune", "Refit", "PQ"]
    panel.begin("move", i=0, to=2)
    panel.begin("remove", i=2)
    assert (panel.kinds, panel.get("n_words")) == (["Prune", "Refit", "PQ"], 350)
    for _ in range(4):
        panel.begin("undo")
    assert panel.wait().recipe == begin
    for _ in range(4):
        panel.begin("redo")
    assert (panel.wait().recipe.steps[0].n_words, panel.kinds) == (350, ["Prune", "Refit", "PQ"])


def test_a_step_that_fails_says_why_and_the_numbers_before_stay_until_the_next_setting(panel):
    view = panel.wait()
    numbers = view.cards
    view.recipe = wb.Chain([wb.Prune(1, 300), wb.Refit(), wb.PQ(6)])
    panel.wait()
    assert [step["error"] is not None for step in panel.steps] == [False, False, True]
    assert "256 centroids need as many rows" in panel.steps[2]["error"]
    assert panel.alerts == [panel.steps[2]["error"]]
    assert (view.cards, "cards" in panel.stale, panel.get("n_words")) == (numbers, True, 1)
    panel.change("n_words", 400)
    assert (panel.alerts, panel.stale, [step["error"] for step in panel.steps]) == ([], set(), [None] * 3)
    assert view.cards != numbers


def test_the_size_is_predicted_while_a_slider_is_dragged(panel):
    exact = panel.wait().cards["size"]["bytes"]
    assert panel.do("predict", i=2, name="n_subvectors", value=6).predicted["bytes"] == pytest.approx(exact, rel=0.05)
    fewer = panel.do("predict", i=2, name="n_subvectors", value=3).predicted
    assert fewer["bytes"] < exact
    assert (fewer["name"], fewer["value"], panel.stale) == ("n_subvectors", 3, set())


# -- what is computed -----------------------------------------------------------------------


def test_of_a_burst_of_changes_only_the_last_is_computed(panel, counted, monkeypatch):
    monkeypatch.setattr("workbench.views.flow.QUIET", 1.0)  # longer than the burst on a busy machine
    builds = counted(BUILD)
    for n in range(2, 7):
        panel.turn("n_subvectors", n)
        panel.turn("n_words", next(FRESH))
    assert panel.wait().recipe.steps[2].n_subvectors == 6
    assert builds.entered == 1


def test_work_for_an_earlier_setting_stops_before_its_next_step(panel, gate, counted):
    fits, prune = counted("workbench.compress.pq.PQ._fit"), gate("workbench.compress.prune.Prune._fit")
    panel.turn("n_words", next(FRESH))
    prune.reach()
    panel.view.recipe = last = wb.Chain([wb.SQ()])
    prune.open()
    assert panel.wait().recipe == last
    assert fits.entered == 0
    assert panel.view.vectors.meta["recipe"] == last.to_json()["steps"]


def test_the_next_cell_hears_of_whole_numbers_and_what_is_pinned_before_gets_them(panel, gate):
    told, measure = panel.wait().card, gate("workbench.views.compression.overlap")
    panel.turn("n_words", next(FRESH))
    measure.reach()
    assert [card["waits"] for card in panel.view.cards["cards"]] == [False, False, False, True]
    assert panel.view.card is told
    panel.begin("pin")
    assert not panel.view.flow["pinned"]["overlap@10"] >= 0  # not measured yet
    measure.open()
    panel.wait()
    assert panel.view.card is panel.view.flow["result"].card is not told
    assert [card["delta"] for card in panel.view.cards["cards"]] == [0, 0, 0, 0]
    panel.begin("pin")
    assert panel.view.flow["pinned"] is None


def test_what_is_shown_is_marked_stale_from_a_change_until_the_new_numbers_come(panel, gate):
    before, build = panel.wait().cards, gate(BUILD)
    assert not panel.view.status["busy"]
    panel.turn("n_words", next(FRESH))
    build.reach()
    assert {"cards", "overview", "damage", "points", "export"} <= panel.stale
    assert (panel.view.cards, panel.view.status["busy"]) == (before, True)
    with pytest.raises(ValueError, match="not there yet"):
        panel.view.do_save("small.safetensors")
    build.open()
    panel.wait()
    assert (panel.stale, panel.view.status["busy"]) == (set(), False)
    assert panel.view.cards != before


def test_cancel_goes_back_to_the_setting_of_the_numbers_and_computes_nothing(panel, gate):
    view = panel.wait()
    recipe, vectors, drawn = view.recipe, view.vectors, view.damage
    build = gate(BUILD)
    panel.turn("n_words", next(FRESH))
    build.reach()
    panel.begin("cancel")
    assert (view.recipe, panel.get("n_words")) == (recipe, 300)
    build.open()
    assert panel.wait().vectors is vectors
    assert view.damage == drawn
    assert panel.stale == set()


def test_cancel_before_the_first_result_leaves_a_panel_to_work_with(use, fasttext, gate):
    build = gate(BUILD)
    panel = use(opened(fasttext), ready=False)
    build.reach()
    panel.begin("cancel")
    build.open()
    panel.wait()
    panel.view.recipe = recipe = some_recipe()
    assert panel.wait().recipe == recipe
    assert panel.view.vectors.meta["recipe"] == recipe.to_json()["steps"]


def test_maps_belong_to_the_setting_and_numbers_do_not_wait_for_them(panel, gate):
    draw, old = gate(LAYOUT), panel.wait() and panel.places("after").copy()
    panel.view.recipe = some_recipe(3)
    draw.reach()
    until(lambda: "cards" not in panel.stale and panel.view.points["method"] == "PCA")
    panel.view.recipe = some_recipe(2)  # while the map of the one before is drawn
    draw.open()
    panel.wait()
    frame = panel.view.flow["maps"]
    small = panel.view.recipe.fit_transform(panel.view.flow["model"].original)
    assert panel.view.points["method"] == "UMAP"
    assert np.array_equal(panel.places("after"), frame[["x_after", "y_after"]].to_numpy(), equal_nan=True)
    cosine = np.frombuffer(panel.view.points["cosine"], "<f4")
    assert np.allclose(cosine, wb.views.pca_maps(panel.view.flow["model"].vectors, small, 40)["cosine"], equal_nan=True)
    assert not np.array_equal(panel.places("after"), old, equal_nan=True)
    assert panel.do("draw", method="PCA").points["method"] == "PCA"
    panel.do("draw", method="UMAP")


# -- history, A, limits and searches --------------------------------------------------------


def test_going_back_builds_nothing_and_gives_the_same(panel, counted):
    view = panel.wait()
    first, n = view.vectors, len(view.history["points"])
    place = next(point["id"] for point in view.history["points"] if point["now"])
    panel.change("n_subvectors", 4)
    assert len(view.history["points"]) == n + 1
    builds = counted(BUILD)
    assert panel.do("go_back", id=place).vectors is first
    assert builds.entered == 0


def test_the_history_marks_the_best_of_each_size_for_any_quality(panel):
    panel.view.recipe = some_recipe()
    for quality in panel.wait().history["qualities"]:
        points = panel.do("quality", id=quality["id"]).history["points"]
        tried = [(point["bytes"], point["quality"]) for point in points]
        best = [not any(a <= n and b >= q and (a, b) != (n, q) for a, b in tried) for n, q in tried]
        assert [point["best"] for point in points] == best
    panel.do("quality", id="known")


def test_numbers_are_compared_with_what_is_pinned_until_it_is_no_more(panel):
    old = {id: card["value"] for id, card in panel.wait() and panel.cards.items()}
    size = panel.view.cards["size"]["bytes"]
    panel.begin("pin")
    assert {card["delta"] for card in panel.cards.values()} == {0}
    panel.change("n_subvectors", 3)
    assert {id: card["value"] - card["delta"] for id, card in panel.cards.items()} == pytest.approx(old)
    assert panel.view.cards["size"]["delta"] == panel.view.cards["size"]["bytes"] - size
    assert [point["pinned"] for point in panel.view.history["points"]].count(True) == 1
    panel.do("undo")
    assert {card["delta"] for card in panel.cards.values()} == {0}
    panel.begin("pin")
    assert {card["delta"] for card in panel.cards.values()} == {None}


def test_a_search_ends_with_the_best_recipe_within_the_limit_and_all_it_tried(panel, monkeypatch):
    monkeypatch.setattr("workbench.views.compression.N_TRIALS", 3)
    panel.begin("find")
    assert "how large the file may be" in panel.alerts[0]
    n = len(panel.view.history["points"])
    panel.do("find", text="40 kB", goal="fidelity")
    assert (panel.view.limit, panel.view.cards["size"]["limit"], panel.alerts) == (40_000, 40_000, [])
    found = panel.view.flow["trail"][n:]
    fitting = [trial for trial in found if trial["bytes"] <= 40_000]
    assert len(found) > 2
    best = max(fitting, key=lambda trial: trial["score"])
    assert best["recipe"] == panel.view.recipe
    assert panel.kinds == [type(step).__name__ for step in panel.view.recipe.steps]
    panel.do("undo")
    assert panel.get("n_words") == 300
    vectors = panel.do("find", text="10 B").vectors  # too few: a message, and the setting before
    assert "10 bytes are too few" in panel.alerts[0]
    assert (len(vectors), panel.stale, panel.get("n_words")) == (300, set(), 300)
    panel.view.recipe = wb.Chain([wb.Prune(1, 300), wb.PQ(6)])
    panel.wait()
    assert ["256 centroids" in alert for alert in panel.alerts] == [True]  # no word of what went wrong before
    assert (panel.do("find", text="40 kB").recipe, panel.alerts) == (best["recipe"], [])  # an error is no hindrance


def test_a_search_that_is_cancelled_keeps_the_best_so_far(panel, monkeypatch):
    panel.wait()
    seen: list[dict] = []

    def look(_: object) -> None:
        running = panel.view.rail["fit"]["running"]
        if running and running["tried"] == 2 and not seen:
            seen.append(running)
            panel.begin("cancel")

    panel.view.observe(look, "rail")
    panel.do("find", text="45 kB")
    panel.view.unobserve(look, "rail")
    assert panel.view.cards["size"]["bytes"] == seen[0]["best_bytes"] <= 45_000
    assert len(panel.view.recipe.steps) > 3
    assert (panel.stale, panel.view.rail["fit"]["running"]) == (set(), None)


# -- models and words -----------------------------------------------------------------------


def test_another_model_begins_anew_and_keeps_the_words_that_it_knows(panel, fasttext, tmp_path):
    panel.change("n_subvectors", 4)  # something to undo, of the first model
    other = made_plain(1_500)
    known = [word for word in fasttext.words if word in other][:1]
    panel.view.words = [*known, "такогонет"]
    panel.do("open", path=str(other.save(tmp_path / "plain.safetensors")))
    view = panel.view
    assert (view.words, panel.alerts, view.top["can_undo"]) == (tuple(known), [], False)
    assert "Refit" not in panel.kinds
    assert panel.get("n_words") > 300  # which was asked of the first model
    assert [point["now"] for point in view.history["points"]] == [True]
    assert "unseen" not in panel.cards
    assert {row["before"] for row in view.overview["rows"]} == {""}  # numbers of the first model are no comparison


@pytest.mark.parametrize("when", ["damaged", "cancelled"])
def test_a_model_that_is_not_opened_leaves_the_old_one_and_all_that_is_known_of_it(
    panel, tmp_path, gate, counted, when
):
    panel.turn("n_subvectors", 4)
    view = panel.wait()
    source, vectors, points, can_undo = view.source, view.vectors, view.points, view.top["can_undo"]
    (tmp_path / "bad.bin").write_bytes(b"0123456789")
    builds, load = counted(BUILD), gate("workbench.views.compression.load")
    panel.begin("open", path=str(tmp_path / "bad.bin"))
    load.reach()
    assert "cards" in panel.stale
    if when == "cancelled":
        panel.begin("cancel")
    load.open()
    until(lambda: view.source == source)
    panel.wait()
    assert len(panel.alerts) == (when == "damaged")
    assert all("bad.bin" in alert for alert in panel.alerts)
    assert (panel.stale, builds.entered, panel.get("n_subvectors")) == (set(), 0, 4)
    assert (view.vectors is vectors, view.points is points, view.top["can_undo"]) == (True, True, can_undo)


def test_words_are_looked_at_as_they_are_typed(panel, fasttext):
    a, b, c, d, e = fasttext.words[10:15]
    for text in (f"{a},{b} {a} {c}, {d} {e}", [a, b, c, d, e]):
        panel.view.words = ()
        assert panel.do("look", words=text).words == (a, b, c, d)
    entries = panel.view.looked["words"]
    assert [entry["word"] for entry in entries] == [a, b, c, d]
    for entry in entries:
        statuses = [near["status"] for near in entry["neighbours"]]
        assert (statuses.count("kept"), len(entry["neighbours"]) - statuses.count("gained")) == (entry["n_kept"], 10)
        assert entry["fate"] == ("kept" if entry["word"] in panel.view.vectors else "dropped")
        assert entry["rank"] == list(fasttext.vocab.by_frequency()).index(fasttext.words.index(entry["word"])) + 1
    assert panel.do("look", words="").looked == {}


def test_words_that_hold_spaces_are_looked_at_whole_and_unknown_ones_are_refused(use, plain):
    v = wb.Vectors.from_arrays(["1,000", "Den Haag", *plain.words[2:]], plain.matrix())
    panel = use(opened(v, n_words=690, words=["1,000", "Den Haag", "unheard-of"]))
    assert panel.view.words == ("1,000", "Den Haag")
    for word in ("Den Haag", "1,000"):
        assert panel.do("look", words=word).words == (word,)
    panel.do("look", words="unheard-of")
    assert "'unheard-of'" in panel.alerts[0]
    assert panel.view.words == ("1,000",)


# -- files ----------------------------------------------------------------------------------


def test_a_file_that_is_saved_opens_as_the_same_model_to_the_bit(panel, tmp_path):
    saved = tmp_path / "new" / "small.safetensors"
    panel.change("n_bits", 5)  # which is not the usual value
    view = panel.do("save", path=f" {saved} ", format="safetensors")
    assert f"{saved.stat().st_size:,} bytes" in view.export["saved"]
    assert np.array_equal(wb.load(saved).matrix(), view.vectors.matrix())
    copied = tmp_path / "copied.safetensors"
    exec(view.export["code"].replace("'small.safetensors'", repr(str(copied))), {})
    assert copied.read_bytes() == saved.read_bytes()
    assert panel.change("n_subvectors", 4).export["saved"] is None
    n_bytes = saved.stat().st_size
    assert f" {n_bytes / 1e6:.1f} MB on disk" in panel.do("open", path=str(saved)).top["about"]


def test_a_save_that_fails_says_why_and_never_goes_over_the_model_itself(panel, tmp_path, monkeypatch):
    big = Path(panel.view.source)
    (tmp_path / "file").touch()
    monkeypatch.chdir(big.parent)
    before = big.read_bytes()
    for path, why in ((big.name, "is the model itself"), ("x.bin", "must end in .safetensors"),
                      (tmp_path / "file" / "x.safetensors", f"{tmp_path / 'file'} is a file, so")):  # fmt: skip
        panel.do("save", path=str(path))
        assert why in panel.alerts[0]
        assert panel.view.export["saved"] is None
    assert big.read_bytes() == before


def test_a_format_says_what_it_cannot_hold_before_it_is_written(panel, tmp_path):
    formats = {known["id"]: known for known in panel.wait().export["formats"]}
    assert formats["safetensors"]["losses"] == []
    (text,) = (known for known in formats.values() if known["title"] == "word2vec text")
    assert any("n-grams: words outside the vocabulary will have no vector" in lost for lost in text["losses"])
    panel.do("save", path=str(tmp_path / f"small{text['suffix']}"), format=text["id"])
    assert np.array_equal(wb.load(tmp_path / f"small{text['suffix']}").matrix(), panel.view.vectors.matrix())


def test_the_browser_gets_the_whole_file_and_gives_one_to_open(panel, monkeypatch, tmp_path):
    monkeypatch.setattr("workbench.views.editor.PAUSE", 0)
    monkeypatch.setattr("workbench.views.editor.CHUNK", 5_000)
    parts: list[tuple[dict, bytes]] = []
    panel.wait()
    monkeypatch.setattr(panel.view, "send", lambda message, buffers: parts.append((message, bytes(buffers[0]))))
    panel.begin("download", format="safetensors")
    until(lambda: parts and sum(len(part) for _, part in parts) == parts[0][0]["total"])
    whole = b"".join(part for _, part in sorted(parts, key=lambda part: part[0]["offset"]))
    assert whole == panel.view.vectors.save(tmp_path / "small.safetensors").read_bytes()
    panel.do("upload", name="../up.safetensors", offset=7, total=len(whole), buffers=[b"x"])
    assert "missing" in panel.alerts[0]
    for start in range(0, len(whole), 6_000):
        part = whole[start : start + 6_000]
        panel.begin("upload", name="../up.safetensors", offset=start, total=len(whole), buffers=[memoryview(part)])
    assert len(panel.wait().flow["model"].original) == 300
    assert Path(panel.view.source).name == "up.safetensors"


def test_folders_and_models_are_listed_to_open(panel, tmp_path):
    for name in ("b.vec", "a.bin", "notes.md", ".hidden.bin"):
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    panel.begin("list_folder", path=str(tmp_path))
    entries = [(entry["name"], entry["is_folder"]) for entry in panel.view.folder["entries"]]
    assert entries == [("..", True), ("more", True), ("a.bin", False), ("b.vec", False)]
    panel.begin("list_folder", path=str(tmp_path / "none"))
    assert panel.view.folder["error"]


def test_a_report_holds_its_limits_can_be_stopped_and_says_what_is_met(panel, tmp_path, gate, monkeypatch):
    (tmp_path / "file").touch()

    def run(path: Path) -> Report:
        limits = read_baseline(path.parent / "limits" / f"{path.stem}.json")
        verdicts = compare([replace(m, value=m.value - 1) for m in limits.values()], limits)
        return Report(False, verdicts, path.parent / "index.html", path, "cell 3: no")

    monkeypatch.setattr("workbench.views.compression.run_report", run)
    offered = {limit["id"]: limit["value"] for limit in panel.wait().export["limits"]}
    assert offered == suggest_limits(panel.view.card)
    limits = {"fidelity.kept": 0.123, "size.compressed": offered["size.compressed"]}
    report = panel.do("report", folder=f" {tmp_path} ", limits=limits).export["report"]
    assert {row["name"]: row["limit"] for row in report["rows"]} == limits
    assert {row["name"]: row["met"] for row in report["rows"]} == {"fidelity.kept": False, "size.compressed": True}
    assert (report["passed"], report["error"]) == (False, "cell 3: no")
    assert report["of"] == panel.view.recipe.brief()
    panel.do("report", folder=str(tmp_path), limits={})
    assert "at least one limit" in panel.alerts[0]
    assert (panel.view.export["report"], panel.view.export["writing"]) == (report, None)
    assert panel.view.status["errors"] == {}  # the panel itself is up to date
    running = gate("workbench.views.compression.run_report")
    panel.begin("report", folder=str(tmp_path), limits=limits)
    running.reach()
    assert panel.view.export["writing"]
    assert (panel.alerts, panel.stale & {"export"}) == ([], set())
    panel.begin("stop_report")
    running.open()
    assert (panel.wait().export["report"], panel.view.export["writing"]) == (report, None)
    panel.begin("report", folder=str(tmp_path / "file" / "x"), limits=limits)
    assert panel.alerts == [f"{tmp_path / 'file'} is a file, so {tmp_path / 'file' / 'x'} cannot be in it"]
    assert panel.do("open", path=str(made_plain(700).save(tmp_path / "other.safetensors"))).export["report"] is None


# -- what stays in a notebook, and the end --------------------------------------------------


def test_a_page_for_paper_shows_the_same_without_network_or_widgets(panel, fasttext, shown, monkeypatch):
    live, made = panel.do("look", words=fasttext.words[:2]), []
    monkeypatch.setattr(widgets.Widget, "open", lambda self: made.append(self))
    paper = opened(fasttext, interactive=False, words=fasttext.words[:2])
    paper._ipython_display_()
    assert (len(shown), made) == (1, [])
    text = text_of(shown.page)
    named = [row[key] for row in live.overview["rows"][1:] for key in ("what", "value")]
    steps = [line for line in live.export["code"].splitlines() if line.startswith(" ")]
    for expected in [*named, *(f"{word}: " for word in live.words), *steps, "Damage"]:
        assert expected in text
    assert shown.page.count("src='data:image/png;base64,") >= 2
    assert not OUTSIDE.search(shown.page)
    pd.testing.assert_frame_equal(paper.card, live.card)
    with pytest.raises(ValueError, match="99"):
        opened(fasttext, interactive=False, n_subvectors=99)


def test_a_live_panel_leaves_a_page_of_its_state_with_words_as_text(use, plain, shown):
    words = [f"{HOSTILE}{i}" for i in range(len(plain))]
    panel = use(opened(wb.Vectors.from_arrays(words, plain.matrix()), words=words[:1], n_words=600), ready=False)
    panel.view._ipython_display_()  # before anything is computed
    panel.view.limit = "1 MB"
    panel.wait()
    until(lambda: all(text in text_of(shown.page) for text in (HOSTILE, panel.view.export["code"])))
    panel.change("n_subvectors", 4)
    until(lambda: "PQ(n_subvectors=4)" in text_of(shown.page))
    assert "<script" not in shown.page


def test_closing_ends_the_work_and_takes_uploads_away(use, fasttext, gate):
    panel = use(opened(fasttext))
    panel.begin("upload", name="x.bin", offset=0, total=9, buffers=[b"abc"])
    folder, build = Path(panel.view._uploads.name), gate(BUILD)
    panel.turn("n_words", next(FRESH))
    build.reach()
    vectors = panel.view.vectors
    panel.view.close()
    build.open()
    until(lambda: not panel.view.flow.is_busy)
    assert (panel.view.vectors is vectors, folder.exists()) == (True, False)
