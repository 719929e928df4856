"""Any chain at all: it is refused in one line, or its result keeps every contract."""

import re

import numpy as np
import pytest
from conftest import made_fasttext, made_of_kind, made_plain
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import workbench as wb

MODELS = {"plain": made_plain(), "n-grams": made_fasttext(), "listed n-grams": made_of_kind("explicit")}
UNSEEN = ["zzzzz", "bakeliteness", "ласт", "ba"]

ON = st.sampled_from(["all", "words", "ngrams"])
FEW = st.integers(1, 14)
STEPS = st.one_of(
    st.builds(
        wb.Prune,
        n_words=st.none() | st.integers(1, 900),
        n_ngrams=st.none() | st.integers(0, 3_500),
        choose=st.sampled_from(["frequent", "coverage", "kmeans"]),
        remap=st.sampled_from([None, "nearest"]),
        threshold=st.floats(-1, 1),
        importance=st.sampled_from(["words", "counts", "norms"]),
    ),
    st.builds(wb.Rehash, n_buckets=st.integers(1, 3_000)),
    st.builds(wb.Refit, strength=st.floats(0, 2), n_unseen=st.integers(0, 50), kept_weight=st.sampled_from([0, 1])),
    st.builds(wb.Residual),
    st.builds(wb.PQ, n_subvectors=FEW, n_bits=st.integers(1, 8), n_iter=st.just(2), on=ON, norms=st.booleans()),
    st.builds(wb.OPQ, n_subvectors=FEW, n_bits=st.integers(1, 5), n_iter=st.just(2), n_rotations=st.just(1), on=ON),
    st.builds(wb.RQ, n_levels=st.integers(1, 3), n_bits=st.integers(1, 5), n_iter=st.just(2), on=ON),
    st.builds(wb.SQ, dtype=st.sampled_from(["float16", "int8", "kmeans"]), n_bits=st.integers(2, 8), on=ON),
    st.builds(wb.SVD, rank=FEW, on=ON),
)


def keeps_contracts(name: str, chain: wb.Chain, tmp_path_factory) -> None:
    """Check that a chain is refused in one line, or that its result keeps the contracts."""
    original = MODELS[name]
    try:
        small = chain.fit_transform(original)
    except ValueError as refusal:
        event("refused")
        assert re.fullmatch(".+", str(refusal))  # noqa: PT017
        return
    event("built")
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


@pytest.mark.parametrize("n_examples", [30, pytest.param(150, marks=pytest.mark.slow)])
def test_any_chain_is_refused_in_one_line_or_keeps_the_contracts(n_examples, tmp_path_factory):
    @settings(max_examples=n_examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(name=st.sampled_from(sorted(MODELS)), steps=st.lists(STEPS, min_size=1, max_size=5))
    def check(name, steps):
        keeps_contracts(name, wb.Chain(steps), tmp_path_factory)

    check()


def test_the_chains_above_are_not_all_refused():
    sane = wb.Chain([wb.Prune(300, 900), wb.Refit(n_unseen=20), wb.PQ(4, n_bits=4), wb.Refit(n_unseen=20)])
    assert len(sane.fit_transform(MODELS["n-grams"])) == 300
