"""First numbers of a large model: what they are of, when they come, and that they give way to those of the whole."""

import numpy as np
import pytest
from conftest import made_fasttext, made_plain
from person import opened

import workbench as wb
from workbench.evaluate.fidelity import fidelity_on_columns
from workbench.evaluate.neighbours import overlap
from workbench.search import quick
from workbench.search.quick import Quick, is_large, n_columns
from workbench.vectors import Vectors

BUILD = "workbench.compress.builder.Builder.build"
ATTEMPT = "workbench.views.compression.attempt"
DIM = 96
RECIPE = wb.Chain([wb.Prune(300, 900), wb.Refit(n_unseen=200), wb.PQ(DIM // 2, 4)])


@pytest.fixture(scope="module")
def wide() -> Vectors:
    return made_fasttext(dim=DIM)


@pytest.fixture
def large(monkeypatch):
    """Every model of enough dimensions is large."""
    monkeypatch.setattr(quick, "LARGE", 1)


@pytest.fixture
def person(use, large, wide, tmp_path):
    """At a panel on a large model, whose work may wait at a gate."""

    def person(**options):
        return use(opened(wide, recipe=RECIPE, **options), ready=False)

    return person


def split(card, name="fidelity"):
    return card.set_index(["metric", "split"]).loc[name]


# -- what they are ------------------------------------------------------------------------


def test_numbers_of_a_quick_sample_are_near_those_of_the_whole_and_say_what_they_are_of(wide):
    card = Quick(wide).card(RECIPE, None, 300, 0)
    small = RECIPE.fit_transform(wide)
    whole = wb.scorecard(wide.adjusted(), small, n_words=300, n_unseen=300, parts=("size", "fidelity"))
    for name in ("kept", "dropped", "unseen"):
        near, far = split(card).loc[name], split(whole).loc[name]
        assert near["low"] < far["value"] < near["high"]
        assert near["low"] < near["value"] < near["high"]
        assert near["how"] == "quick sample, 24 of 96 dimensions, seed 0"
        assert near["high"] - near["low"] < 0.5 * (1 - far["value"])
    sizes = split(card, "size")
    assert sizes["value"]["compressed"] == pytest.approx(small.file_bytes, rel=0.05)
    assert sizes["how"]["compressed"] == "predicted, bytes of the file"
    assert sizes["value"]["original"] == pytest.approx(split(whole, "size")["value"]["original"], rel=0.05)


def test_a_worse_recipe_is_outside_the_interval_of_a_better_one(wide):
    judge = Quick(wide)
    better, worse = (judge.card(wb.Chain([*RECIPE.steps[:2], wb.PQ(n, 4)]), None, 300, 0) for n in (48, 12))
    for name in ("kept", "dropped", "unseen"):
        assert split(worse).loc[name, "high"] < split(better).loc[name, "low"]


def test_fewer_dimensions_make_a_wider_interval_and_all_of_them_the_exact_mean(wide):
    small = RECIPE.fit_transform(wide)
    original = wide.adjusted()
    unseen, widths = ["такогонет"], []
    for n in (24, 96):
        before, after = (quick.on_columns(v, n) for v in (original, small))
        row = split(fidelity_on_columns(before, after, unseen, 1_000, 0, DIM)).loc["kept"]
        widths.append(row["high"] - row["low"])
    assert widths[0] > 1.5 * widths[1]
    exact = split(wb.scorecard(original, small, parts=("fidelity",))).loc["kept", "value"]
    assert row["value"] == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("n", [150, 137, 100, 96, 77, 50, 35, 27])
def test_codes_on_the_sample_are_as_wide_as_in_the_whole(n):
    k, misfit = n_columns(wb.Chain([wb.PQ(n)]), 300)
    codes = round(n * k / 300)
    assert quick.MIN_COLUMNS <= k <= quick.N_COLUMNS
    assert codes >= 2
    assert (k / codes) / (300 / n) == pytest.approx(1, abs=0.02)
    assert misfit <= quick.NEAR


@pytest.mark.parametrize(
    "step",
    [wb.SVD(20), wb.OPQ(48, 4), wb.RQ(4, 4), wb.PQ(5, 4), wb.Prune(200, remap="nearest")],
)
def test_where_a_few_dimensions_cannot_tell_there_are_no_quick_numbers(wide, step):
    assert Quick(wide).card(wb.Chain([step]), None, 100, 0) is None


def test_codes_are_tried_on_other_numbers_of_dimensions_without_a_new_beginning(wide, counted):
    judge, refits = Quick(wide), counted("workbench.compress.refit.Refit._fit")
    hows = {judge.card(wb.Chain([*RECIPE.steps[:2], wb.PQ(n, 4)]), None, 100, 0)["how"].iloc[-1] for n in (48, 25, 23)}
    assert len(hows) > 1
    assert refits.entered == 1


def test_neighbours_among_a_sample_of_candidates_say_so(wide):
    original, small = wide.adjusted(), RECIPE.fit_transform(wide)
    few, exact = (overlap(original, small, 5, 50, 0, n_candidates=n) for n in (100, None))
    assert set(few["how"]) == {"quick sample, among 100 words, of 700, seed 0"}
    assert set(exact["how"]) == {"sampled, seed 0"}
    assert few.equals(overlap(original, small, 5, 50, 0, n_candidates=100))
    everyone = overlap(original, small, 5, 50, 0, n_candidates=700)
    assert list(everyone["value"]) == list(exact["value"]) != list(few["value"])


def test_what_is_large_is_said_by_numbers_and_dimensions(monkeypatch, wide):
    monkeypatch.setattr(quick, "LARGE", (700 + 3_000) * DIM)
    assert is_large(wide)
    assert not is_large(wide.head(699))
    monkeypatch.setattr(quick, "LARGE", 1)
    assert not is_large(made_plain(dim=40))


# -- when they come -----------------------------------------------------------------------


def test_quick_numbers_come_before_the_model_is_built_and_give_way_to_those_of_the_whole(person, gate):
    attempt, near = gate(ATTEMPT), gate("workbench.views.compression.overlap")
    panel = person()
    attempt.reach()
    cards = panel.cards
    assert {cards[id]["how"].split(",")[0] for id in ("kept", "dropped", "unseen")} == {"quick sample"}
    assert cards["kept"]["note"] == f"{cards['kept']['low']:.3f} to {cards['kept']['high']:.3f}, sampled"
    size, *_, last = panel.view.overview["rows"]
    assert (size["how"], last["value"], last["how"]) == ("predicted", "–", "being measured, 0 words")
    assert cards["neighbours"]["waits"]
    assert "cards" not in panel.stale
    assert panel.view.cards["size"]["how"].startswith("predicted")
    assert (panel.view.vectors, panel.view.card, panel.view.top["save_bytes"]) == (None, None, None)
    with pytest.raises(ValueError, match="not there yet"):
        panel.view.do_save("small.safetensors")
    assert panel.view.history["points"] == []
    attempt.open()
    near.reach()
    assert panel.cards["dropped"]["how"].startswith("sampled, seed 0") or panel.cards["dropped"]["how"].startswith(
        "exact"
    )
    near.open()
    panel.wait()
    assert not [card["how"] for card in panel.cards.values() if "quick" in card["how"]]
    assert panel.view.cards["size"]["how"].startswith("exact")
    small = RECIPE.fit_transform(panel.view.flow["model"].original)
    assert np.array_equal(panel.view.vectors.matrix(), small.matrix())
    assert panel.view.top["save_bytes"] == small.file_bytes


def test_neighbours_among_a_sample_are_shown_until_the_exact_ones_are_there(person, monkeypatch):
    monkeypatch.setattr("workbench.views.compression.N_NEAR", 100)
    panel, seen = person(), []
    panel.view.observe(lambda change: seen.append(change["new"]["cards"][-1]["how"]), "cards")
    panel.wait()
    kinds = [how.split(",")[0] for how in dict.fromkeys(seen)]
    assert kinds == ["being measured", "quick sample", "sampled"]
    assert "among 100 words, of 700" in seen[-2]


def test_a_change_stops_the_whole_build_and_quick_numbers_of_the_new_recipe_come_first(person, gate, counted):
    panel = person()
    first = panel.wait().vectors
    judged, fits = counted("workbench.search.quick.fidelity_on_columns"), counted("workbench.compress.pq.PQ._fit")
    attempt = gate(ATTEMPT)
    panel.turn("n_words", 250)
    attempt.reach()
    again = gate(ATTEMPT)
    panel.turn("n_words", 240)
    attempt.open()
    again.reach()
    assert (judged.entered, fits.entered) == (2, 2)  # on the sample, and nothing of the whole for 250 words
    assert panel.view.cards["size"]["how"].startswith("predicted")
    assert panel.view.vectors is first
    again.open()
    assert len(panel.wait().vectors) == 240
    assert fits.entered == 3


def test_cancel_while_only_quick_numbers_are_there_goes_back_to_the_last_whole_result(person, gate):
    panel = person()
    vectors, recipe = panel.wait().vectors, panel.view.recipe
    attempt = gate(ATTEMPT)
    panel.turn("n_words", 250)
    attempt.reach()
    assert panel.cards["kept"]["how"].startswith("quick sample")
    panel.begin("cancel")
    attempt.open()
    assert panel.wait().vectors is vectors
    assert panel.view.recipe == recipe
    assert not panel.cards["kept"]["how"].startswith("quick sample")


def test_small_models_and_pages_have_no_quick_numbers(wide, use, monkeypatch, counted):
    work = counted("workbench.search.quick.fidelity_on_columns")
    use(opened(wide, recipe=RECIPE))
    monkeypatch.setattr(quick, "LARGE", 1)
    page = opened(wide, recipe=RECIPE, interactive=False)
    assert work.entered == 0
    assert not page.card["how"].str.contains("quick").any()
    use(opened(wide, recipe=RECIPE))
    assert work.entered == 1


def test_a_recipe_that_is_refused_says_why_and_at_which_step(use, large):
    broken = made_fasttext(dim=DIM)
    broken.storage.ngrams.matrix[broken.vocab.used_buckets(broken.vocab.subwords)[5], 2] = np.nan
    panel = use(opened(broken, recipe=RECIPE))
    assert "holds NaN" in panel.alerts[0]
    assert [step["error"] is not None for step in panel.steps] == [True, False, False]
