"""What the methods promise that store the same rows in another way."""

import numpy as np
import pytest

import workbench as wb
from workbench.compress.opq import dealt_out
from workbench.compress.rq import beam_codes
from workbench.evaluate.fidelity import cosines
from workbench.storage import Coded, Projected
from workbench.vectors import unit

RNG = np.random.default_rng(2)
WORDS = [f"w{i}" for i in range(1_500)]
# Correlated columns of very different spread, as real vectors have.
MATRIX = (RNG.normal(size=(1_500, 16)) * 1.5 ** -np.arange(16) @ RNG.normal(size=(16, 16))).astype(np.float32)


@pytest.fixture(scope="module")
def v() -> wb.Vectors:
    return wb.Vectors.from_arrays(WORDS, MATRIX)


def squared_error(small: wb.Vectors) -> float:
    """Squared error relative to the rows' own squares."""
    return float(np.square(small.matrix() - MATRIX).sum() / np.square(MATRIX).sum())


# -- SVD ----------------------------------------------------------------------------------


def test_svd_is_the_best_matrix_of_its_rank(v):
    left, values, right = np.linalg.svd(MATRIX, full_matrices=False)
    best = (left[:, :5] * values[:5]) @ right[:5]
    np.testing.assert_allclose(wb.SVD(5).fit_transform(v).matrix(), best, atol=1e-3)


def test_what_comes_after_svd_works_in_its_dimensions(v):
    small = wb.Chain([wb.SVD(6), wb.PQ(3, n_bits=4)]).fit_transform(v)
    assert isinstance(small.storage, Projected)
    assert isinstance(small.storage.inner, Coded)
    assert small.storage.inner.shape == (1_500, 6)
    assert small.dim == 16
    again = wb.Chain([wb.SVD(6), wb.SVD(3)]).fit_transform(v)
    np.testing.assert_allclose(again.matrix(), wb.SVD(3).fit_transform(v).matrix(), atol=1e-3)


# -- OPQ ----------------------------------------------------------------------------------


def test_opq_turns_rows_by_a_rotation_and_comes_closer_than_pq(v):
    small = wb.OPQ(4, n_bits=6).fit_transform(v)
    axes = small.storage.axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(16), atol=1e-3)  # a rotation, in float16
    assert squared_error(small) < 0.8 * squared_error(wb.PQ(4, n_bits=6).fit_transform(v))


def test_learning_the_rotation_pays(v):
    errors = [squared_error(wb.OPQ(4, n_bits=6, n_rotations=n).fit_transform(v)) for n in (0, 15)]
    assert errors[1] < errors[0]


def test_directions_are_dealt_out_so_that_products_are_even():
    carried = 2.0 ** -np.arange(8)
    spans = np.array([[0, 4], [4, 8]])
    order = dealt_out(carried, spans)
    assert sorted(order) == list(range(8))
    products = [np.log2(carried[order[start:stop]]).sum() for start, stop in spans]
    assert abs(products[0] - products[1]) <= 4  # in order they would differ by 16


# -- RQ -----------------------------------------------------------------------------------


def test_greedy_codes_are_prefixes_of_longer_ones(v):
    short, long = (wb.RQ(n, n_bits=5).fit_transform(v) for n in (2, 4))
    np.testing.assert_array_equal(long.storage.codes[:, :2], short.storage.codes)
    assert squared_error(long) < squared_error(short)


def test_a_beam_that_keeps_every_sum_finds_the_best_one():
    codebooks = RNG.normal(size=(3, 4, 5)).astype(np.float32)
    rows = RNG.normal(size=(20, 5)).astype(np.float32)
    every = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    sums = sum(codebooks[level][every[:, level]] for level in range(3))
    best = every[np.square(rows[:, None] - sums).sum(axis=2).argmin(axis=1)]
    np.testing.assert_array_equal(beam_codes(rows, codebooks, 64), best)


# -- SQ -----------------------------------------------------------------------------------


def test_int8_is_off_by_half_a_step_at_most(v):
    small = wb.SQ("int8").fit_transform(v)
    assert small.storage.matrix.dtype == np.int8
    assert (np.abs(small.matrix() - MATRIX) <= 0.501 * small.storage.scales).all()


def test_int8_keeps_columns_of_zeros(v):
    matrix = MATRIX.copy()
    matrix[:, 3] = 0
    small = wb.SQ("int8").fit_transform(wb.Vectors.from_arrays(WORDS, matrix))
    assert (small.matrix()[:, 3] == 0).all()


def test_clustered_numbers_take_their_bits_and_come_closer_with_more(v):
    small = {n: wb.SQ("kmeans", n_bits=n).fit_transform(v) for n in (2, 4, 6)}
    assert [small[n].storage.packed.shape[1] for n in small] == [4, 8, 12]  # of 16 columns
    errors = [squared_error(small[n]) for n in small]
    assert errors == sorted(errors, reverse=True)
    assert len(np.unique(small[2].matrix()[:, 0])) <= 4


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (wb.SVD(17), "at most rank 16"),
        (wb.SVD(16), "would make the arrays larger"),
        (wb.RQ(20, n_iter=1), "take fewer levels or bits"),
        (wb.OPQ(17), "OPQ.* at most 16 subvectors"),
        (wb.PQ(4, on="ngrams"), "has no n-grams"),
    ],
    ids=repr,
)
def test_what_cannot_be_is_refused_before_work(v, step, message):
    with pytest.raises(ValueError, match=message):
        step.fit_transform(v)


def test_too_few_rows_for_the_centroids_are_refused(v):
    with pytest.raises(ValueError, match="256 centroids need as many rows"):
        wb.PQ(4).fit_transform(v.head(200))


# -- lengths apart ------------------------------------------------------------------------


def test_lengths_apart_serve_rows_of_very_different_lengths(v):
    rows = v.matrix() * np.geomspace(0.01, 10, len(v), dtype=np.float32)[:, None]
    rows[7] = 0
    stretched = wb.Vectors.from_arrays(v.words, rows)
    plain, apart = (wb.PQ(8, n_bits=6, norms=norms).fit_transform(stretched).matrix() for norms in (False, True))
    some = np.arange(len(v)) != 7
    close, closer = (cosines(rows[some], found[some]).mean() for found in (plain, apart))
    assert 1 - closer < 0.5 * (1 - close)
    ratio = np.linalg.norm(apart[some], axis=1) / np.linalg.norm(rows[some], axis=1)
    assert np.median(np.abs(ratio - 1)) < 0.1
    assert np.linalg.norm(apart[7]) < 0.05


def test_lengths_apart_keep_the_length_of_every_row(v):
    rows = v.matrix()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    small = wb.PQ(4, n_bits=4, norms=True).fit_transform(wb.Vectors.from_arrays(v.words, rows))
    np.testing.assert_allclose(small.norms, 1, atol=0.1)


@pytest.mark.parametrize("size", [1e25, 1e-25])
@pytest.mark.parametrize("step", [wb.PQ(4, 4), wb.OPQ(4, 4), wb.RQ(2, 4), wb.SQ("kmeans")], ids=repr)
def test_numbers_whose_squares_overflow_or_vanish_are_refused(v, step, size):
    """Distances were infinite, or all 0, and so every row got the first code."""
    with pytest.raises(ValueError, match="scale them first"):
        step.fit_transform(wb.Vectors.from_arrays(v.words, v.matrix() * np.float32(size)))


@pytest.mark.parametrize("size", [1e36, 1e-36])
@pytest.mark.parametrize(
    "step", [wb.SQ(), wb.SQ("int8"), wb.SVD(6), wb.Prune(30, choose="kmeans"), wb.Prune(30, remap="nearest")], ids=repr
)
def test_other_steps_take_rows_of_any_size(v, step, size):
    large = wb.Vectors.from_arrays(v.words, v.matrix() * np.float32(size))
    small, usual = step.fit_transform(large), step.fit_transform(v)
    np.testing.assert_allclose(unit(small.matrix()), unit(usual.matrix()), atol=2e-3)
    np.testing.assert_allclose(small.norms / size, usual.norms, rtol=2e-3)
    cards = [wb.scorecard(a, b, parts=("fidelity",))["value"] for a, b in ((large, small), (v, usual))]
    np.testing.assert_allclose(*cards, atol=0.01)
