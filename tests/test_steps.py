"""A step is described once, where it is defined, and everybody else reads it there."""

import json

import numpy as np
import pytest

import workbench as wb
from workbench.__main__ import main
from workbench.compress.base import STEPS, parameter
from workbench.compress.values import ROWS, ValueStep
from workbench.reports import setting
from workbench.storage import Dense, Projected


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
