"""What the methods promise that store the same rows in another way."""

import numba
import numpy as np
import pytest
from sklearn.cluster import KMeans

import workbench as wb
from workbench import kernels
from workbench.evaluate.fidelity import cosines
from workbench.storage import Coded, Cut, Dense, Projected, Sparse, halved, pack_codes, unpack_codes
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


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 9])
def test_every_row_gets_its_nearest_centroids(dim):
    rng = np.random.default_rng(dim)
    rows, codebooks = (rng.normal(size=(n, 2 * dim)).astype(np.float32) for n in (3_000, 16))
    spans = np.array([[0, dim], [dim, 2 * dim]], np.int32)
    codes = kernels.encode(rows, codebooks, spans)
    for j, (a, b) in enumerate(spans):
        distances = ((rows[:, None, a:b].astype(float) - codebooks[None, :, a:b]) ** 2).sum(axis=2)
        chosen = distances[np.arange(3_000), codes[:, j]]
        np.testing.assert_allclose(chosen, distances.min(axis=1), atol=1e-5)


def test_more_subvectors_are_closer_and_the_seed_decides(v):
    errors = [squared_error(wb.PQ(m, n_bits=5).fit_transform(v)) for m in (2, 4, 8, 16)]
    assert errors == sorted(errors, reverse=True)
    assert squared_error(wb.PQ(2, n_bits=5, random_state=1).fit_transform(v)) != errors[0]


def test_rows_that_are_all_alike_are_coded_exactly():
    v = wb.Vectors.from_arrays(WORDS, np.tile(np.float32([1, -2, 3, 4]), (len(WORDS), 1)))
    np.testing.assert_array_equal(wb.PQ(2, n_bits=4).fit_transform(v).matrix(), v.matrix())


def test_empty_clusters_restart_where_rows_are_served_worst():
    """Three far groups, and a start at one and the same row."""
    rng = np.random.default_rng(0)
    groups = np.repeat([[0.0, 0], [50, 0], [0, 50]], [900, 50, 50], axis=0)
    points = (groups + rng.normal(size=(1000, 2))).astype(np.float32)
    codebooks, spans = np.repeat(points[:1], 4, axis=0), np.array([[0, 2]], np.int32)
    kernels.train(np.ascontiguousarray(points.T), codebooks, spans, 25)
    codes = kernels.encode(points, codebooks, spans)[:, 0]
    assert (np.bincount(codes, minlength=4) > 0).all()
    assert ((points - codebooks[codes]) ** 2).sum(axis=1).mean() < 2.5  # 2 is each group's own variance


@pytest.mark.parametrize("dim", [2, 3, 6])
def test_fast_training_comes_as_close_as_lloyds_steps_over_all_rows(dim):
    rng = np.random.default_rng(dim)
    rows = rng.standard_normal((16_000, dim)) * rng.gamma(1, size=(16_000, 1))  # some lie far out
    large = wb.Vectors.from_arrays([str(i) for i in range(16_000)], rows)
    small = wb.PQ(1, n_bits=6, random_state=1).fit_transform(large)
    plainly = KMeans(64, init="random", n_init=1, max_iter=25, tol=0, random_state=0).fit(rows.astype(np.float32))
    assert ((small.matrix() - rows) ** 2).sum() < 1.02 * plainly.inertia_


def test_the_number_of_threads_changes_nothing():
    v = wb.Vectors.from_arrays([str(i) for i in range(3_000)], np.random.default_rng(0).normal(size=(3_000, 12)))
    step = wb.OPQ(4, n_bits=4, n_rotations=1)  # PQ would find the codebooks of the first run
    full = step.fit_transform(v).storage.inner  # so many rows that early steps see a part
    numba.set_num_threads(1)
    try:
        one = step.fit_transform(v).storage.inner
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    np.testing.assert_array_equal(one.packed, full.packed)
    np.testing.assert_array_equal(one.codebooks, full.codebooks)


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


def test_opq_turns_rows_by_a_rotation_and_comes_closer_than_pq(v):
    start, small = (wb.OPQ(4, n_bits=6, n_rotations=n).fit_transform(v) for n in (0, 12))
    axes = small.storage.axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(16), atol=1e-3)  # a rotation, in float16
    assert squared_error(small) < 0.8 * squared_error(wb.PQ(4, n_bits=6).fit_transform(v))
    assert squared_error(small) < squared_error(start)


def test_greedy_codes_are_prefixes_of_longer_ones(v):
    short, long = (wb.RQ(n, n_bits=5).fit_transform(v) for n in (2, 4))
    np.testing.assert_array_equal(long.storage.codes[:, :2], short.storage.codes)
    assert squared_error(long) < squared_error(short)


def test_float16_loses_rounding_only_even_far_out_of_its_range():
    matrix = np.random.default_rng(0).uniform(-1, 1, size=(50, 3)) * [1e-9, 1, 3.4e38]
    small = wb.SQ().fit_transform(wb.Vectors.from_arrays(WORDS[:50], matrix))
    assert (np.abs(small.matrix() - matrix).max(axis=0) <= 2**-11 * np.abs(matrix).max(axis=0)).all()


def test_int8_is_off_by_half_a_step_at_most():
    matrix = MATRIX.copy()
    matrix[:, 3] = 0
    small = wb.SQ("int8").fit_transform(wb.Vectors.from_arrays(WORDS, matrix))
    assert small.storage.matrix.dtype == np.int8
    assert (np.abs(small.matrix() - matrix) <= 0.501 * small.storage.scales).all()
    assert (small.matrix()[:, 3] == 0).all()


def test_clustered_numbers_take_their_bits_and_come_closer_with_more(v):
    small = {n: wb.SQ("kmeans", n_bits=n).fit_transform(v) for n in (2, 4, 6)}
    assert [small[n].storage.packed.shape[1] for n in small] == [4, 8, 12]  # of 16 columns
    errors = [squared_error(small[n]) for n in small]
    assert errors == sorted(errors, reverse=True)
    assert len(np.unique(small[2].matrix()[:, 0])) <= 4


@pytest.mark.parametrize("n_bits", range(1, 9))
def test_codes_survive_packing_and_take_no_more_bits_than_they_need(n_bits):
    codes = RNG.integers(2**n_bits, size=(11, 7), dtype=np.uint8)
    packed = pack_codes(codes, n_bits)
    assert packed.shape == (11, -(-7 * n_bits // 8))
    np.testing.assert_array_equal(unpack_codes(packed, 7, n_bits), codes)


def test_numbers_are_halved_only_where_that_loses_next_to_nothing():
    numbers = RNG.normal(size=(16, 12)).astype(np.float32)
    half = halved(numbers)
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, numbers, rtol=1e-3, atol=1e-6)
    for scale in (1e-8, 1e8, 1e20):  # below and beyond float16
        assert halved(numbers * np.float32(scale)).dtype == np.float32


@pytest.mark.parametrize(
    "step",
    [wb.SQ("int8"), wb.SQ("kmeans"), wb.PQ(4, 5), wb.PQ(4, 5, norms=True), wb.OPQ(4, 5), wb.RQ(3, 5), wb.SVD(6)],
    ids=repr,
)
def test_rows_stored_anew_are_as_close_as_the_step_made_them(v, step):
    small = step.fit_transform(v)
    again = small.with_storage(small.storage.like(MATRIX))
    assert squared_error(again) < 1.001 * squared_error(small) + 1e-9


def test_zeros_and_few_bits_combine():
    """Half of the numbers in 4 bits each, and a bit for each zero."""
    matrix = RNG.normal(size=(400, 96)).astype(np.float32)
    mask = np.abs(matrix) >= np.median(np.abs(matrix))
    v = wb.Vectors.from_arrays(WORDS[:400], matrix)
    zeros = v.with_storage(Sparse.of(matrix, mask))
    dense, small = (wb.SQ("kmeans", n_bits=4).fit_transform(model) for model in (v, zeros))
    assert zeros.nbytes < 0.6 * v.nbytes
    assert small.nbytes < 0.75 * dense.nbytes
    np.testing.assert_array_equal(small.storage.mask, mask)
    assert (small.matrix()[~mask] == 0).all()
    assert np.square(small.matrix() - matrix)[mask].sum() < 0.01 * np.square(matrix).sum()
    nothing = v.with_storage(Sparse.of(matrix, np.zeros_like(mask)))
    assert not wb.PQ(4).fit_transform(nothing).matrix().any()


def test_few_rows_of_zeros_are_read_without_the_others(monkeypatch):
    sparse, n_read = Sparse.of(MATRIX, MATRIX > 0), []
    inner = sparse.inner
    monkeypatch.setattr(inner, "rows", lambda index: n_read.append(len(index)) or Dense.rows(inner, index))
    np.testing.assert_array_equal(sparse.rows(np.array([1_400, 3, 3])), np.maximum(MATRIX[[1_400, 3, 3]], 0))
    assert n_read[0] <= 3 * 2  # 16 columns are two inner rows at most


def test_pieces_share_codebooks(v):
    """So a matrix of few rows can have codes: here there are 256 centroids for 100 rows."""
    few = v.head(100)
    pieces = few.with_storage(Cut.of(few.storage, 4))
    np.testing.assert_array_equal(pieces.matrix(), few.matrix())
    small = wb.PQ(1).fit_transform(pieces)
    assert small.storage.inner.shape == (400, 4)
    assert small.nbytes < 0.5 * few.nbytes
    with pytest.raises(ValueError, match="a width that divides 16 columns, got 5"):
        Cut.of(few.storage, 5)
    with pytest.raises(ValueError, match="100 inner rows of 16 columns make no whole rows of 48"):
        Cut(few.storage, 48)


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
    with pytest.raises(ValueError, match="256 centroids need as many rows"):
        wb.PQ(4).fit_transform(v.head(200))


def test_lengths_apart_serve_rows_of_very_different_lengths(v):
    rows = v.matrix() * np.geomspace(0.01, 10, len(v), dtype=np.float32)[:, None]
    rows[7] = 0
    stretched = wb.Vectors.from_arrays(v.words, rows)
    plain, apart = (wb.PQ(8, n_bits=6, norms=norms).fit_transform(stretched).matrix() for norms in (False, True))
    assert np.linalg.norm(apart[7]) < 0.05
    rows, plain, apart = (np.delete(matrix, 7, axis=0) for matrix in (rows, plain, apart))
    assert 1 - cosines(rows, apart).mean() < 0.5 * (1 - cosines(rows, plain).mean())
    ratio = np.linalg.norm(apart, axis=1) / np.linalg.norm(rows, axis=1)
    assert np.median(np.abs(ratio - 1)) < 0.1


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
