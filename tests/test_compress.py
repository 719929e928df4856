"""What `Prune`, chains, and steps as estimators promise; a step is described once, where it is defined."""

import json

import numpy as np
import pytest
from sklearn.base import clone

import workbench as wb
from workbench.__main__ import main
from workbench.compress.base import STEPS, parameter
from workbench.compress.values import ROWS, ValueStep
from workbench.reports import setting
from workbench.storage import Dense, Projected


def test_unused_buckets_go_first_and_cost_nothing_and_all_may_go(fasttext):
    small = wb.Prune(n_ngrams=10**9).fit_transform(fasttext)
    used = np.unique(fasttext.vocab.subwords.buckets(fasttext.words)[1])
    assert 0 < len(used) < len(fasttext.storage.ngrams)
    np.testing.assert_array_equal(np.flatnonzero(small.vocab.subwords.bucket_to_row >= 0), used)
    np.testing.assert_array_equal(small.matrix(), fasttext.matrix())
    none = wb.Chain([wb.Prune(300, 0), wb.PQ(4)]).fit_transform(fasttext)
    assert none.can_embed(none.words[0])
    assert not none.can_embed("unseenest")


def test_pruning_twice_is_pruning_once(fasttext):
    """In a chain: the n-grams that stay serve the words that went, so those must count."""
    once = wb.Prune(100, 80).fit_transform(fasttext)
    twice = wb.Chain([wb.Prune(100, 80), wb.Prune(100, 80)]).fit_transform(fasttext)
    np.testing.assert_array_equal(twice.matrix(), once.matrix())
    np.testing.assert_array_equal(twice.vocab.subwords.bucket_to_row, once.vocab.subwords.bucket_to_row)


@pytest.mark.parametrize("step", [wb.SQ(on="ngrams"), wb.PQ(4, n_bits=4, on="ngrams")], ids=repr)
def test_storing_ngrams_in_another_way_leaves_known_words_as_they_were(fasttext, step):
    small = step.fit_transform(fasttext)
    np.testing.assert_array_equal(small.matrix(), fasttext.matrix())
    assert not np.array_equal(small["unseenest"], fasttext["unseenest"])


def test_steps_are_estimators_that_scikit_learn_can_clone():
    for step in [wb.Prune(100, 200), wb.Refit(strength=0.5, random_state=3), wb.Chain([wb.PQ(4, n_bits=5), wb.SQ()])]:
        assert clone(step) == step
    assert wb.PQ().set_params(n_bits=4).n_bits == 4
    with pytest.raises(ValueError, match="no parameter 'bits'"):
        wb.PQ().set_params(bits=4)


def test_numbers_from_numpy_are_as_good_as_pythons(plain, tmp_path):
    small = wb.PQ(np.int64(4), n_bits=np.uint8(5)).fit_transform(plain)
    small.save(tmp_path / "m")
    assert wb.from_json(small.meta["recipe"]) == wb.Chain([wb.PQ(4, n_bits=5)])


def test_what_a_step_cannot_be_applied_to_is_refused(plain):
    with pytest.raises(ValueError, match="call fit first"):
        wb.PQ(4).transform(plain)
    with pytest.raises(ValueError, match="fitted on 700 words, got 100"):
        wb.Prune(50).fit(plain).transform(plain.head(100))
    with pytest.raises(TypeError, match="takes a list of steps"):
        wb.Chain([wb.Refit]).fit_transform(plain)


def test_a_fitted_chain_transforms_as_it_did_when_fitted(fasttext):
    chain = wb.Chain([wb.Prune(300, 300), wb.Refit(n_unseen=100), wb.PQ(4)])
    small = chain.fit_transform(fasttext)
    np.testing.assert_array_equal(chain.transform(fasttext).matrix(), small.matrix())


@pytest.fixture
def first_columns():
    """A new step, as somebody may write it: that is all it takes."""

    class FirstColumns(ValueStep):
        """Keep the first columns."""

        label = "First columns"
        blurb = "keeps the first columns and forgets the others."

        n_columns: int = parameter(4, "count", "Columns", 1, lambda v: v.dim, brief="{:,} columns")
        on: str = parameter("all", "choice", "Rows", choices=ROWS, of_ngrams=True, brief="of {}")
        weight: float = parameter(1.0, "number", "Weight", -1, 2, main=False, omit=True)

        def _learn(self, part, which):
            return np.eye(part.shape[1], dtype=np.float32)[: self.n_columns]

        def _encode(self, part, which, learned):
            return Projected(Dense(part.rows(slice(None))[:, : self.n_columns]), learned)

    yield FirstColumns
    del STEPS["FirstColumns"]


def test_a_new_step_is_in_recipes(first_columns):
    step = first_columns(6, on="words")
    assert repr(step) == "FirstColumns(n_columns=6, on='words')"
    assert wb.recipe_from(repr(step)) == wb.from_json(json.dumps(step.to_json())) == step
    assert "weight=2.0" in repr(first_columns(weight=2.0))
    assert wb.Chain([step, wb.SQ()]).brief() == "FirstColumns 6 columns of words, SQ float16"
    with pytest.raises(ValueError, match=r"FirstColumns has no parameter 'columns'.*did you mean n_columns"):
        wb.recipe_from("FirstColumns(columns=3)")


OURS = [kind for kind in STEPS.values() if kind.__module__.startswith("workbench.")]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in OURS for name in kind.fields])
def test_every_parameter_refuses_values_outside_its_bounds(fasttext, kind, name):
    field = kind.fields[name]
    wrong = [field.low - 1, "1", float("nan"), True, *([field.high + 1] if isinstance(field.high, int) else [])]
    for value in {"choice": ["?", 1], "text": [3, None], "tick": []}.get(field.kind, wrong):
        with pytest.raises(ValueError, match=rf"^{kind.__name__}: {name} must be .*, got {value!r}"):
            kind(**{name: value}).fit(fasttext, reference=fasttext)


def test_a_new_step_is_in_the_command_line_and_in_a_report(first_columns, plain, tmp_path):
    source, out = str(plain.save(tmp_path / "big.safetensors")), str(tmp_path / "small.safetensors")
    assert main(["compress", source, out, "--recipe", "FirstColumns(n_columns=3)", "--no-scores"]) == 0
    small = wb.load(out)
    assert small.meta["recipe"] == [first_columns(3).to_json()]
    np.testing.assert_array_equal(small.matrix(), plain.matrix() * (np.arange(plain.dim) < 3))
    path = setting.write_report(tmp_path, source, wb.Chain([first_columns(5)]), {"size.compressed": 10**6})
    assert "FirstColumns" in path.read_text(encoding="utf-8")


def test_every_step_says_what_it_is_called_and_for():
    for kind in OURS:
        assert kind.label
        assert kind.blurb.endswith(".")
        assert kind.advice
        assert getattr(wb, kind.__name__) is kind
        assert kind.__name__ in wb.__all__
