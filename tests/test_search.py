"""Several recipes in one table."""

import numpy as np
import pytest

import workbench as wb
import workbench.search.sweep as module

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
    attempt = module.attempt

    def interrupted(builder, recipe, *rest):
        if recipe is RECIPES[1]:
            raise KeyboardInterrupt
        return attempt(builder, recipe, *rest)

    monkeypatch.setattr(module, "attempt", interrupted)
    table = wb.sweep(fasttext, RECIPES, n_scored=50, n_queries=10)
    assert table["recipe"].tolist() == RECIPES[:1]


def test_a_recipe_may_stand_alone_and_what_is_none_is_refused_before_any_work(plain):
    assert len(wb.sweep(plain, wb.SQ(), n_scored=50, n_queries=0)) == 1
    with pytest.raises(TypeError, match=r"Prune\(n_words=1000\).*'PQ' is none"):
        wb.sweep(plain, [wb.SQ(), "PQ"])


def test_words_without_a_direction_do_not_count(plain):
    zero = plain.matrix()
    zero[-1] = 0
    v = wb.Vectors.from_arrays(plain.words, zero)
    assert wb.sweep(v, [wb.Prune(len(v) - 1)], n_scored=50, n_queries=0)["known"][0] == pytest.approx(1)
