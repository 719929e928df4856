"""What a panel computes follows what a person wants, and no word that a step was fitted on is scored."""

import numpy as np
import pytest
from conftest import PATIENCE, made_fasttext, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.evaluate.damage import word_damage
from workbench.evaluate.fidelity import splits
from workbench.evaluate.neighbours import neighbour_changes, neighbours_kept
from workbench.evaluate.scorecard import quick_card
from workbench.vectors import Vectors
from workbench.views.compression import Compression, Reporting, Search
from workbench.views.flow import Flow
from workbench.views.recipes import presets, usual

RECIPE = wb.Chain([wb.Prune(300, 400), wb.Refit(n_unseen=200), wb.PQ(6, 6)])
OTHER = wb.Chain([wb.Prune(300, 400), wb.Refit(n_unseen=200), wb.PQ(4, 6)])
NUMBERS = ["agreement", "changes", "contributions", "damage", "sampled"]


@pytest.fixture
def opened(fasttext):
    """Opens flows that compute in the background, and ends them after the test."""
    flows = []

    def opened(wanted=("result",), source=fasttext, wish=RECIPE, background=True, **inputs) -> Flow:
        given = {
            "suggest": usual, "words": (), "n_mapped": 200, "drawn": "PCA", "reporting": None, "unseen": None,
            "pairs": None, "labels": None, "n_words": 200, "n_queries": 40, "seed": 0,
            "is_live": background,
        }  # fmt: skip
        flows.append(Flow(Compression, background, wanted, source=source, wish=wish, **given | inputs))
        return flows[-1].wait(PATIENCE) if background and wish is not None else flows[-1]

    yield opened
    for flow in flows:
        flow.end()


# -- numbers ------------------------------------------------------------------------------


def test_a_recipe_gives_what_it_gives_outside_and_the_card_of_it(opened, fasttext):
    flow = opened()
    result, small = flow["result"], RECIPE.fit_transform(fasttext)
    assert flow.errors == {}
    assert result.recipe is RECIPE
    assert np.array_equal(result.small.matrix(), small.matrix())
    assert result.card.equals(quick_card(fasttext.adjusted(), small, None, 200, 40, 0))
    assert result.trial["bytes"] == small.file_bytes
    assert len(result.effects) == 3
    assert [trial["recipe"] for trial in flow["model"].trail] == [RECIPE]


def test_numbers_do_not_wait_for_neighbours_which_are_those_of_before_until_measured(opened, gate):
    measure, kept = gate("workbench.views.compression.overlap"), []
    flow = opened(wish=None, suggest=lambda _: RECIPE)
    for recipe in (RECIPE, OTHER):
        measure.reach()
        result = flow["result"]
        assert flow.is_fresh("result")
        assert not result.is_whole
        assert result.trial["bytes"] == recipe.fit_transform(flow["model"].original).file_bytes
        card = result.card.set_index(["metric", "split"])
        assert card.loc[("overlap@10", "all"), "how"] == "being measured"
        kept.append(card["value"]["overlap@10", "all"])
        measure.open()
        result = flow.wait(PATIENCE)["result"]
        assert result.is_whole
        kept.append(result.card.set_index(["metric", "split"])["value"]["overlap@10", "all"])
        measure = gate("workbench.views.compression.overlap")
        flow.set(wish=OTHER)
    assert np.isnan(kept[0])
    assert kept[1] == kept[2] != kept[3]


def test_without_a_wish_the_suggested_recipe_is_built(opened, fasttext, plain):
    for v in (fasttext, plain):
        flow = opened(source=v, wish=None)
        flow.wait(PATIENCE)
        assert flow["recipe"] == flow["result"].recipe == presets(v)["balanced"].recipe


def test_a_small_model_that_is_given_is_measured_or_only_shown(opened, fasttext):
    small = RECIPE.fit_transform(fasttext)
    measured = opened(wish=small)["result"]
    assert (measured.recipe, measured.small, measured.effects) == (None, small, ())
    assert measured.card.equals(quick_card(fasttext.adjusted(), small, None, 200, 40, 0))
    assert len(opened(wish=small, n_words=0)["result"].card) == 0


@pytest.mark.parametrize("steps", [[wb.SQ(on="words")], RECIPE.steps, presets(made_fasttext())["tiny"].recipe.steps])
def test_a_model_that_is_compressed_already_opens(opened, fasttext, steps):
    flow = opened(NUMBERS, wb.Chain(steps).fit_transform(fasttext), wb.Chain([]), words=tuple(fasttext.words[:2]))
    assert flow.errors == {}
    assert flow["result"].trial["known"] == pytest.approx(1)


def test_what_is_shown_beside_the_numbers_is_what_measures_say(opened, fasttext, plain):
    known, unseen = fasttext.words[0], "dadaka"
    flow = opened(NUMBERS, words=(known, unseen))
    original, small = flow["model"].vectors, flow["result"].small
    assert flow["changes"].equals(neighbour_changes(original, small, [known, unseen]))
    assert unseen in flow["contributions"]
    assert flow["damage"].words.equals(word_damage(original, small, 20_000, 0))
    assert set(flow["damage"].groups["by"]) == {"all", "frequency", "shape", "fate"}
    sampled = flow["sampled"]
    card = flow["result"].card.set_index(["metric", "split"])["value"]
    assert (sampled["kept"] / sampled["k"]).mean() == pytest.approx(card["overlap@10", "all"])
    for row in sampled.itertuples():
        table = neighbour_changes(original, small, [row.word])
        assert set(row.lost) == set(table["neighbour"][table["status"] == "lost"])
        assert set(row.gained) == set(table["neighbour"][table["status"] == "gained"])
        assert row.kept == (table["status"] == "kept").sum()
    flow.set(words=("?",), source=plain, wish=wb.Chain([wb.SQ()]))  # no vector, and no n-gram to make one of
    assert flow.wait(PATIENCE).errors == {}
    assert (flow["changes"], flow["contributions"]) == (None, {})


def test_maps_are_principal_components_until_a_map_is_drawn(opened, gate, fasttext):
    draw = gate("workbench.views.mapper.shared.layout")
    flow = opened(["maps", "codes"], wish=None, drawn="UMAP", labels={fasttext.words[0]: "first"})
    draw.reach()
    assert flow.is_fresh("result")  # numbers did not wait
    assert flow["maps"].attrs["method"] == "PCA"
    draw.open()
    maps = flow.wait(PATIENCE)["maps"]
    assert maps.attrs["method"] == "UMAP"
    assert (len(maps), len(flow["codes"][0])) == (200, 200)
    assert set(maps["label"]) <= {"first", None}
    flow.set(drawn="PCA")
    assert flow.wait(PATIENCE)["maps"].attrs["method"] == "PCA"


# -- changes ------------------------------------------------------------------------------


def test_a_recipe_that_fails_says_which_step_and_the_last_result_stays(opened):
    flow = opened()
    before, wrong = flow["result"], wb.Chain([*RECIPE.steps[:2], wb.PQ(99)])
    flow.set(wish=wrong)
    flow.wait(PATIENCE)
    assert "at most 12 subvectors" in flow.errors["result"]
    assert flow["model"].failed == (wrong, 2)
    assert flow["result"] is before
    flow.set(wish=OTHER)
    assert flow.wait(PATIENCE).errors == {}


def test_going_back_builds_and_measures_nothing_again(opened, counted):
    work = [counted(f"workbench.views.compression.{name}") for name in ("attempt", "word_damage", "neighbours_kept")]
    flow = opened(["damage", "sampled"])
    first = flow["result"], flow["damage"].words
    flow.set(wish=OTHER)
    flow.wait(PATIENCE)
    flow.set(wish=wb.from_json(RECIPE.to_json()))  # an equal recipe, as undo or a file may give it
    flow.wait(PATIENCE)
    assert flow["result"] is first[0]
    assert flow["damage"].words is first[1]
    assert [room.entered for room in work] == [2, 2, 2]
    assert len(flow["model"].trail) == 2


def test_few_results_are_kept_and_fewer_large_ones(opened, monkeypatch):
    monkeypatch.setattr("workbench.views.compression.MAX_RECENT", 3)
    flow = opened()
    recipes = [wb.Chain([wb.PQ(n, 4)]) for n in (1, 2, 3, 4)]
    for recipe in recipes:
        flow.set(wish=recipe)
        flow.wait(PATIENCE)
    assert [result.recipe for result in flow["model"].recent.values()] == recipes[1:]
    monkeypatch.setattr("workbench.views.compression.MAX_RECENT_BYTES", 1)
    flow.set(wish=RECIPE)
    flow.wait(PATIENCE)
    assert [result.recipe for result in flow["model"].recent.values()] == [RECIPE]
    assert len(flow["model"].trail) == 5


# -- searches -----------------------------------------------------------------------------


@pytest.fixture
def few_trials(monkeypatch):
    monkeypatch.setattr("workbench.views.compression.N_TRIALS", 3)


def test_a_search_shows_the_best_so_far_and_ends_with_the_best_within_the_size(opened, few_trials):
    flow, seen = opened(), []
    flow.listen(lambda: seen.append((flow["result"], flow.doing.get("main"))))
    flow.set(wish=Search(40_000, "fidelity"))
    result = flow.wait(PATIENCE)["result"]
    trail = flow["model"].trail[1:]
    fitting = [trial for trial in trail if trial["bytes"] <= 40_000]
    assert len(trail) > 2
    assert result.recipe == max(fitting, key=lambda trial: trial["score"])["recipe"]
    assert result.search is None
    found = [shown.search for shown, _ in seen if shown.search]
    assert found[0] == (1, 5)
    assert found == sorted(found)
    assert {doing.what for _, doing in seen if doing} <= {"Searching"}
    assert flow["recipe"] is None
    assert len(result.effects) == len(result.recipe.steps)


def test_only_what_was_built_is_on_the_trail_of_a_large_model(opened, monkeypatch):
    monkeypatch.setattr("workbench.search.budget.LARGE", 1)
    monkeypatch.setattr("workbench.search.budget.N_COLUMNS", 4)
    monkeypatch.setattr("workbench.views.compression.N_TRIALS", 6)
    flow = opened()
    flow.set(wish=Search(40_000, "fidelity"))
    assert flow.wait(PATIENCE)["result"].recipe in [trial["recipe"] for trial in flow["model"].trail[1:]]
    assert 1 <= len(flow["model"].trail[1:]) <= 2


def test_a_search_that_is_stopped_leaves_the_best_so_far(opened, few_trials, counted):
    flow, found = opened(), []

    def stop() -> None:
        result = flow["result"]
        if result.search and not found:
            found.append(result)
            flow.set(wish=result.recipe)  # as cancel does

    flow.listen(stop)
    flow.set(wish=Search(40_000, "fidelity"))
    until(lambda: found)
    work = counted("workbench.views.compression.attempt")
    flow.wait(PATIENCE)
    assert flow["result"].recipe == found[0].recipe
    assert flow["result"].small is found[0].small
    assert (flow["result"].search, work.entered, flow.errors) == (None, 0, {})
    assert len(flow["model"].trail) == 2


def test_a_size_that_is_too_small_is_an_error_and_the_last_result_stays(opened):
    flow = opened()
    before = flow["result"]
    flow.set(wish=Search(10, "fidelity"))
    assert "10 bytes are too few" in flow.wait(PATIENCE).errors["result"]
    assert flow["result"] is before


# -- reports ------------------------------------------------------------------------------


def test_a_report_that_cannot_be_written_is_an_error_of_its_own(opened, tmp_path):
    flow = opened(["report", "result"])
    assert flow["report"] is None
    flow.set(reporting=Reporting(tmp_path, {"ratio.all": 2}, flow["model"], RECIPE))
    assert "made in memory" in flow.wait(PATIENCE).errors["report"]
    assert flow.is_fresh("result")


# -- the words that are scored ------------------------------------------------------------

BIG = made_fasttext().adjusted()
quick = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def asked(monkeypatch):
    """Words whose original vectors were looked up since it was emptied last."""
    words: set[str] = set()
    lookup = Vectors.vectors_of

    def vectors_of(v, vocab, index, missing="error"):
        words.update(vocab.words[i] for i in index if v is BIG)
        return lookup(v, vocab, index, missing)

    monkeypatch.setattr(Vectors, "vectors_of", vectors_of)
    return words


@quick
@given(
    n_kept=st.integers(20, 600), n_fitted=st.integers(1, 700), kept_weight=st.sampled_from([0.0, 1.0]),
    n_unseen=st.sampled_from([0, 30, 400]), n_scored=st.integers(1, 500), seeds=st.tuples(*2 * [st.integers(0, 3)]),
    given_words=st.booleans(),
)  # fmt: skip
def test_no_word_that_a_step_was_fitted_on_is_scored(
    asked, n_kept, n_fitted, kept_weight, n_unseen, n_scored, seeds, given_words
):
    asked.clear()
    fit = {"n_words": n_fitted, "n_unseen": n_unseen, "kept_weight": kept_weight, "random_state": seeds[0], "n_iter": 1}
    small = wb.Chain([wb.Prune(n_kept, 500), wb.Refit(**fit)]).fit_transform(BIG)
    fitted = set(asked)
    made_up = fitted - set(BIG.words)
    asked.clear()
    unseen = [*made_up, *(word + "da" for word in BIG.words)] if given_words else None
    card = quick_card(BIG, small, unseen, n_scored, 0, seeds[1]).set_index(["metric", "split"])
    assert made_up.isdisjoint(asked)
    assert ("fidelity", "unseen") in card.index
    places = splits(BIG.vocab, small)
    n_fit = len(places["dropped"]) + (len(places["kept"]) if kept_weight else 0)
    for index in places.values():
        words = {BIG.words[i] for i in index}
        is_sampled = len(words & asked) < len(words)
        assert is_sampled == (len(words) > n_scored)
        if is_sampled and n_fit > n_fitted:  # else all words are scored, or fitted: nothing is favoured
            assert fitted.isdisjoint(words & asked)
    if n_fit > n_fitted:
        assert fitted.isdisjoint(neighbours_kept(BIG, small, 10, 40, seeds[1])["word"])
        damage = word_damage(BIG, small, 100, seeds[1])
        drawn = damage["represents"] > 1
        assert fitted.isdisjoint(damage["word"][drawn])


def test_a_sample_says_of_dropped_words_what_all_of_them_say(builtin):
    for n_words in (2_000, 200_000):
        recipe = wb.Chain([wb.Prune(2_000, 4_000), wb.Refit(n_words=n_words), wb.PQ(50)])
        small = recipe.fit_transform(builtin)
        exact, sampled = (
            quick_card(builtin, small, None, n, 0, 0).set_index(["metric", "split"])["value"]["fidelity", "dropped"]
            for n in (50_000, 2_000)
        )
        assert abs(exact - sampled) < 0.008
