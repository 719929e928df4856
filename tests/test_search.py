"""`fit_budget`, the best recipe within so many bytes, and `sweep`, several recipes in one table."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.search import plan, sweep
from workbench.search.budget import parse_bytes
from workbench.search.plan import RATES, Planner, Shape
from workbench.search.trials import Trials

BUDGET = 300_000
SMALL = {"n_trials": 3, "n_scored": 300, "n_queries": 0}


@pytest.fixture(scope="module")
def few(builtin) -> wb.Vectors:
    """The built-in model with its most frequent words, and so much less to fit."""
    return builtin.head(3_000)


@pytest.fixture(scope="module")
def found(few):
    return wb.fit_budget(few, BUDGET, **SMALL)


@pytest.mark.slow
def test_it_beats_a_recipe_written_by_hand_for_the_same_bytes(builtin):
    found = wb.fit_budget(builtin, "700kB", **SMALL)
    assert 0.95 * 700_000 < found.vectors.file_bytes <= 700_000
    by_hand = wb.Chain([wb.Prune(3_000, 12_000), wb.Refit(), wb.PQ(40)])
    table = wb.sweep(builtin, [found.recipe, by_hand], n_queries=0)
    assert table["bytes"][0] < table["bytes"][1]
    assert 1 - table["known"][0] < 0.5 * (1 - table["known"][1])
    assert 1 - table["unseen"][0] < 0.95 * (1 - table["unseen"][1])


def test_the_file_nearly_fills_the_budget_and_is_the_best_of_the_frontier(few, found, tmp_path):
    assert 0.95 * BUDGET < found.vectors.save(tmp_path / "small.safetensors").stat().st_size <= BUDGET
    again = wb.from_json(found.recipe.to_json()).fit_transform(few)
    np.testing.assert_array_equal(again.matrix(), found.vectors.matrix())
    tried = found.frontier
    within = tried[tried["bytes"] <= BUDGET]
    assert within.loc[within["score"].idxmax(), "recipe"] == found.recipe
    assert tried["bytes"].is_monotonic_increasing
    assert tried[tried["best_of_its_size"]]["score"].is_monotonic_increasing
    assert len(tried) == 5  # three trials, and half and a quarter of the bytes
    assert tried["bytes"][0] <= BUDGET / 4
    assert "Residual()" in found._repr_html_()


def test_words_that_must_stay_stay(fasttext):
    kept = wb.fit_budget(fasttext, "50kB", min_words=len(fasttext) // 2, **SMALL)
    prunes = [step for recipe in kept.frontier["recipe"] for step in recipe.steps if isinstance(step, wb.Prune)]
    assert all(step.n_words is None or step.n_words >= len(fasttext) // 2 for step in prunes)


@pytest.mark.parametrize(("goal", "column"), [("fidelity", "known"), ("overlap", "overlap@10")])
def test_without_ngrams_every_word_stays_and_the_goal_is_maximised(plain, goal, column):
    fitted = wb.fit_budget(plain, plain.file_bytes // 2, goal=goal, n_trials=3, n_scored=300, n_queries=50)
    assert fitted.vectors.file_bytes <= plain.file_bytes // 2
    assert len(fitted.vectors) == len(plain)
    np.testing.assert_array_equal(fitted.frontier["score"], fitted.frontier[column])


def test_with_enough_bytes_nothing_is_lost_and_with_nearly_enough_next_to_nothing(plain, fasttext):
    few = {"n_trials": 1, "n_scored": 50, "n_queries": 0}
    for v in (plain, wb.SQ("int8").fit_transform(plain)):
        as_it_is = wb.fit_budget(v, v.file_bytes, **few)
        assert as_it_is.recipe == wb.Chain([])
        np.testing.assert_array_equal(as_it_is.vectors.matrix(), v.matrix())
    halved = wb.SQ().fit_transform(plain).file_bytes + 1_000
    assert wb.fit_budget(plain, halved, **few).recipe == wb.Chain([wb.SQ()])
    spare = wb.fit_budget(fasttext.head(50), fasttext.head(50).file_bytes - 1, **few)
    assert wb.Chain([wb.Prune()]) in list(spare.frontier["recipe"])  # less n-grams that no word uses


@pytest.mark.parametrize(
    "n_bytes", [2_500, 10_000, 60_000, *(pytest.param(n, marks=pytest.mark.slow) for n in (5_000, 30_000, 120_000))]
)
def test_budgets_are_spent_and_kept_on_a_small_model(fasttext, n_bytes):
    """Between nothing fits and everything does."""
    try:
        found = wb.fit_budget(fasttext, n_bytes, n_trials=4, n_scored=100, n_queries=0)
    except ValueError as refusal:
        assert int(re.search(r"([\d,]+) would do", str(refusal))[1].replace(",", "")) > n_bytes  # noqa: PT017
        return
    size = found.vectors.file_bytes
    assert 0.7 * n_bytes < size <= n_bytes or found.frontier["score"].max() > 0.98


def test_an_interrupted_search_gives_the_best_so_far(fasttext):
    def interrupt(row):
        raise KeyboardInterrupt

    found = wb.fit_budget(fasttext, "60kB", callback=interrupt, **SMALL)
    assert list(found.frontier["recipe"]) == [found.recipe]


def test_recipes_for_a_large_model_are_tried_on_some_dimensions_and_the_best_is_built(few, monkeypatch):
    monkeypatch.setattr("workbench.search.budget.LARGE", len(few))
    rows: list[dict] = []
    found = wb.fit_budget(few, BUDGET, n_trials=5, n_scored=300, n_queries=0, callback=rows.append)
    assert [row["sampled"] for row in rows] == [False, True, True, True, True, True, False]
    first, *tried, last = rows
    best = max(tried[:3], key=lambda row: row["score"])
    assert last["recipe"] == best["recipe"] != first["recipe"]
    assert last["score"] > first["score"]
    assert found.recipe == last["recipe"]
    assert found.vectors is last["vectors"]
    assert abs(best["bytes"] / last["bytes"] - 1) < 0.01
    assert abs(best["score"] - last["score"]) < 0.2 * (1 - last["score"])
    assert [row["vectors"] is None for row in rows] == [False, True, True, True, True, True, False]
    assert list(found.frontier["sampled"]) == [True, True, *found.frontier["sampled"][2:]]
    again = found.recipe.fit_transform(few)
    np.testing.assert_array_equal(again.matrix(), found.vectors.matrix())


def test_a_time_limit_leaves_time_to_build_the_best(few, monkeypatch):
    monkeypatch.setattr("workbench.search.budget.LARGE", len(few))
    rows: list[dict] = []
    clock = [0]

    def attempt(builder, *args, **given):
        clock[0] += builder.original.dim  # seconds
        return sweep.attempt(builder, *args, **given)

    monkeypatch.setattr("workbench.search.trials.attempt", attempt)
    for module in ("budget", "trials"):
        monkeypatch.setattr(f"workbench.search.{module}.time", SimpleNamespace(monotonic=lambda: clock[0]))
    wb.fit_budget(few, BUDGET, n_trials=12, n_scored=300, n_queries=0, time_limit=300, callback=rows.append)
    assert clock[0] <= 300
    assert [row["sampled"] for row in rows] == [False, *[True] * 4, False]


def test_sizes_of_recipes_tried_on_some_dimensions_are_close_enough_to_fit_at_once(few, monkeypatch):
    monkeypatch.setattr("workbench.search.budget.LARGE", len(few))
    monkeypatch.setattr("workbench.compress.outline.DEFLATED", 30)  # words that a panel's sizes are estimated from
    v = few.with_storage(few.storage)  # without the answers of other tests
    rows: list[dict] = []
    wb.fit_budget(v, BUDGET, n_trials=5, n_scored=100, n_queries=0, callback=rows.append)
    sampled = [row["bytes"] for row in rows if row["sampled"]]
    assert len(sampled) >= 3
    assert max(sampled) <= BUDGET


def test_no_recipe_is_begun_after_the_time_limit(few):
    found = wb.fit_budget(few, BUDGET, time_limit=0, **SMALL)
    assert list(found.frontier["recipe"]) == [found.recipe]
    with pytest.raises(ValueError, match="time_limit must be a finite number of at least 0"):
        wb.fit_budget(few, BUDGET, time_limit=-1)


SHAPES = Shape(0, 3, 6), Shape(3, len(RATES) - 1, 5), Shape(2, 0, 9), Shape(1, 12, 2)


@pytest.mark.parametrize(
    ("model", "n_bytes", "shape"),
    [
        ("few", 400_000, SHAPES[0]),
        *(pytest.param("builtin", 2_000_000, shape, marks=pytest.mark.slow) for shape in SHAPES),
    ],
    ids=repr,
)
def test_a_plan_fills_its_bytes_whatever_its_shape(request, model, n_bytes, shape):
    v = request.getfixturevalue(model).adjusted()
    planner = Planner(v, 0, 0)
    recipe = planner.recipe(shape, n_bytes)
    found = wb.sweep(v, [recipe], n_scored=10, n_queries=0)["bytes"][0]
    assert found <= n_bytes
    assert recipe.steps[0].n_ngrams == planner.n_ngrams or found > 0.99 * n_bytes


def test_sizes_are_read():
    sizes = ["20MB", "1.5 gb", "2 MiB", "300", 12_345]
    assert [parse_bytes(size) for size in sizes] == [20_000_000, 1_500_000_000, 2_097_152, 300, 12_345]


WRONG = {"goal": ["speed"], "n_trials": [0, 2.5], "min_words": [-1, 10**6], "n_queries": [0], "random_state": [None]}


def test_wrong_arguments_are_refused_before_any_work(plain):
    for bad in ("", "MB", "-3MB", "3 TB", 0, True, None, float("nan"), "1e6"):
        with pytest.raises(ValueError, match="expected a size"):
            wb.fit_budget(plain, bad)
    for name, values in WRONG.items():
        for value in values:
            with pytest.raises(ValueError, match=name):
                wb.fit_budget(plain, "1MB", **{"goal": "overlap", name: value})
    zeros = wb.Vectors.from_arrays(plain.words, np.zeros((len(plain), 12)))
    with pytest.raises(ValueError, match="no word has a vector"):
        wb.fit_budget(zeros, "8kB", n_trials=2)


def test_a_file_that_came_out_too_large_is_made_smaller_and_never_chosen(fasttext, monkeypatch):
    monkeypatch.setattr(plan, "ENTRY", 0)  # codebooks are forgotten, which every plan then overshoots by
    found = wb.fit_budget(fasttext, 30_000, n_trials=2, n_scored=100, n_queries=0)
    assert found.frontier["bytes"].max() > 30_000
    assert found.vectors.file_bytes <= 30_000


def test_no_more_ngrams_are_planned_than_can_be_refitted_in_memory(fasttext, monkeypatch):
    monkeypatch.setattr(plan, "MAX_NUMBERS", 100 * fasttext.dim)
    found = wb.fit_budget(fasttext, "20kB", n_trials=1, n_scored=100, n_queries=0)
    assert 0 < found.recipe.steps[0].n_ngrams <= 100


RECIPES = [
    wb.Chain([wb.Prune(300, 300), wb.Refit(n_unseen=100), wb.PQ(6, n_bits=4)]),
    wb.Chain([wb.Prune(300, 300), wb.Refit(n_unseen=100), wb.PQ(3, n_bits=4)]),
    wb.PQ(99),
    wb.SQ(),
]


@pytest.fixture(scope="module")
def table(fasttext):
    return wb.sweep(fasttext, RECIPES, n_scored=200, n_queries=50)


def test_a_sweep_gives_the_numbers_of_the_scorecard(fasttext, table, tmp_path):
    small = RECIPES[0].fit_transform(fasttext)
    card = wb.scorecard(fasttext, small, n_words=200, n_unseen=200, n_queries=50, parts=("size", "fidelity", "overlap"))
    values = card.set_index(["metric", "split"])["value"]
    assert table["recipe"].tolist() == RECIPES
    assert table["bytes"][0] == small.save(tmp_path / "s.safetensors").stat().st_size
    for column in ("dropped", "unseen"):
        assert table[column][0] == pytest.approx(values["fidelity", column], abs=1e-6)
    assert table["overlap@10"][0] == pytest.approx(values["overlap@10", "all"])
    assert table["bytes"][1] < table["bytes"][0]
    assert np.isnan(table["dropped"][3])  # SQ drops no word


def test_a_recipe_that_is_refused_says_why_and_the_others_go_on(plain, table):
    assert "at most 12 subvectors" in table["error"][2]
    assert np.isnan(table["bytes"][2])
    assert table["error"][[0, 1, 3]].tolist() == ["", "", ""]
    steps = (step for step in (wb.Prune(100, importance="no such file"), wb.SQ("int8")))  # one by one
    table = wb.sweep(plain, steps, n_scored=50, n_queries=0)
    assert "no such file" in table["error"][0]
    assert table["error"][1] == ""


def test_an_interrupted_sweep_keeps_what_it_has(fasttext, monkeypatch):
    attempt = sweep.attempt

    def interrupted(builder, recipe, **given):
        if recipe is RECIPES[1]:
            raise KeyboardInterrupt
        return attempt(builder, recipe, **given)

    monkeypatch.setattr(sweep, "attempt", interrupted)
    table = wb.sweep(fasttext, RECIPES, n_scored=50, n_queries=10)
    assert table["recipe"].tolist() == RECIPES[:1]


def test_a_sweep_on_workers_gives_the_same_table(fasttext, client):
    here, there = (
        wb.sweep(fasttext, [*RECIPES, wb.PQ(999)], n_scored=50, n_queries=10, client=at) for at in (None, client)
    )
    assert there["error"].iloc[-1] == here["error"].iloc[-1] != ""
    pd.testing.assert_frame_equal(there.drop(columns="seconds"), here.drop(columns="seconds"), check_exact=True)


@pytest.mark.parametrize(("model", "budget"), [("fasttext", "40kB"), ("few", BUDGET)])
def test_a_search_on_workers_goes_the_same_way(model, budget, request, client, monkeypatch):
    v = request.getfixturevalue(model)
    monkeypatch.setattr("workbench.search.budget.LARGE", 3_000)  # words, as `few` has
    here, there = (wb.fit_budget(v, budget, **SMALL, client=at) for at in (None, client))
    assert there.recipe == here.recipe
    assert here.frontier["sampled"].any() == (model == "few")
    pd.testing.assert_frame_equal(there.frontier.drop(columns="seconds"), here.frontier.drop(columns="seconds"))
    np.testing.assert_array_equal(there.vectors.matrix(), here.vectors.matrix())


def test_what_is_no_client_is_refused_before_any_work(few):
    with pytest.raises(TypeError, match=r"client must be a dask.distributed.Client, got str"):
        wb.fit_budget(few, BUDGET, client="tcp://127.0.0.1:8786")


def test_workers_begin_what_is_next_before_it_is_asked_for(few, client):
    trials = Trials(few.adjusted(), {"unseen": None, "n_scored": 100, "n_queries": 0, "random_state": 0}, client)
    recipes = [wb.Chain([wb.PQ(n)]) for n in (2, 4, 5)]
    trials.begin([None, *recipes])
    assert len(trials.begun) == 2  # as many as there are workers
    begun = dict(trials.begun)
    assert [trials(recipe)[0]["recipe"] for recipe in recipes] == recipes
    assert trials.begun.items() >= begun.items()
    assert all(future.done() for future in trials.begun.values())


def test_a_recipe_may_stand_alone_and_what_is_none_is_refused_before_any_work(plain):
    assert len(wb.sweep(plain, wb.SQ(), n_scored=50, n_queries=0)) == 1
    with pytest.raises(TypeError, match=r"Prune\(n_words=1000\).*'PQ' is none"):
        wb.sweep(plain, [wb.SQ(), "PQ"])


@pytest.mark.parametrize("wrong", [{"n_scored": -5}, {"random_state": -5}])
def test_settings_that_no_recipe_can_be_judged_by_are_refused(wrong, plain):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        wb.sweep(plain, wb.SQ(), **wrong)


def test_words_without_a_direction_do_not_count(plain):
    zero = plain.matrix()
    zero[-1] = 0
    v = wb.Vectors.from_arrays(plain.words, zero)
    assert wb.sweep(v, [wb.Prune(len(v) - 1)], n_scored=50, n_queries=0)["known"][0] == pytest.approx(1)
