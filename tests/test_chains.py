"""Any chain at all: it is refused in one line, or its result keeps every contract."""

import re

import numpy as np
import pytest
from conftest import made_fasttext, made_of_kind, made_plain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.compress.base import STEPS, Field, Step

MODELS = {"plain": made_plain(), "n-grams": made_fasttext(), "listed n-grams": made_of_kind("explicit")}
UNSEEN = ["zzzzz", "bakeliteness", "ласт", "ba"]


def any_value(field: Field, default: object) -> st.SearchStrategy:
    """Values that a parameter may have: often its default, and some that are too great for the models."""
    if field.kind in ("choice", "text"):
        return st.just(default) | st.sampled_from(list(field.choices))
    if field.kind == "tick":
        return st.booleans()
    if field.kind == "number":
        return st.just(default) | st.floats(field.low, field.high or 2)
    high = field.high(MODELS["n-grams"]) + 2 if callable(field.high) else min(field.high or 8, 8)
    return st.integers(field.low, high) | st.none() if field.all_is_none else st.integers(field.low, high)


def any_step(name: str) -> st.SearchStrategy[Step]:
    defaults, fields = STEPS[name]().get_params(), STEPS[name].fields
    quick = {"n_iter": st.just(2)} if "n_iter" in fields else {}
    return st.builds(STEPS[name], **{of: any_value(field, defaults[of]) for of, field in fields.items()} | quick)


@pytest.mark.parametrize("n_examples", [30, pytest.param(150, marks=pytest.mark.slow)])
def test_any_chain_is_refused_in_one_line_or_keeps_the_contracts(n_examples, tmp_path_factory):
    some_step = st.one_of([any_step(name) for name in sorted(STEPS) if name != "Chain"])
    n_built = 0

    @settings(max_examples=n_examples, suppress_health_check=list(HealthCheck))
    @given(name=st.sampled_from(sorted(MODELS)), steps=st.lists(some_step, min_size=1, max_size=4))
    def check(name, steps):
        nonlocal n_built
        original = MODELS[name]
        try:
            small = wb.Chain(steps).fit_transform(original)
        except ValueError as refusal:
            assert re.fullmatch(".+", str(refusal))  # noqa: PT017
            return
        n_built += 1
        assert set(small.words) <= set(original.words)
        assert small.dim == original.dim
        assert small.storage.nbytes <= original.storage.nbytes
        vectors = small.get_vectors([*small.words, *UNSEEN], missing="zero")
        assert vectors.dtype == np.float32
        assert np.isfinite(vectors).all()
        again = wb.load(small.save(tmp_path_factory.mktemp("chains") / "small"))
        assert again.words == small.words
        np.testing.assert_array_equal(again.get_vectors([*small.words, *UNSEEN], missing="zero"), vectors)
        np.testing.assert_allclose(again.norms, np.linalg.norm(vectors[: len(small)], axis=1), rtol=1e-4, atol=1e-6)
        repeated = wb.from_json(small.meta["recipe"]).fit_transform(original)
        np.testing.assert_array_equal(repeated.get_vectors(small.words), vectors[: len(small)])

    check()
    assert n_built > 3
