"""Residual k-means: as good as others', whatever the rows, the same each time; and codes that say nothing."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from workbench import progress
from workbench.compress import rq
from workbench.compress.kmeans import kmeans
from workbench.compress.rq import beam_codes, residual_kmeans
from workbench.semantic.baselines import random_codes

RNG = np.random.default_rng(3)
CENTRES = 3 * RNG.normal(size=(40, 12))
CLUSTERED = (CENTRES[RNG.integers(40, size=3_000)] + RNG.normal(size=(3_000, 12))).astype(np.float32)
NORMAL = RNG.normal(size=(3_000, 12)).astype(np.float32)


def decoded(codes: np.ndarray, books: np.ndarray) -> np.ndarray:
    return sum(entries[codes[:, level]] for level, entries in enumerate(books))


def error(rows: np.ndarray, books: np.ndarray) -> float:
    return float(np.square(rows - decoded(beam_codes(rows, books), books)).sum(1).mean())


def by_sklearn(rows: np.ndarray, n_levels: int, n_entries: int) -> np.ndarray:
    left, books = rows.copy(), []
    for _ in range(n_levels):
        means = KMeans(n_entries, init="random", n_init=1, max_iter=25, random_state=0).fit(left)
        books.append(means.cluster_centers_)
        left -= means.cluster_centers_[means.labels_]
    return np.stack(books)


@pytest.mark.parametrize("rows", [CLUSTERED, NORMAL], ids=["clustered", "normal"])
def test_the_error_is_no_greater_than_sklearns_and_falls_from_level_to_level(rows):
    ours, theirs = residual_kmeans(rows, 4, 32), by_sklearn(rows, 4, 32)
    assert error(rows, ours) < 1.02 * error(rows, theirs)
    errors = [error(rows, ours[:n]) for n in (1, 2, 3, 4)]
    assert errors == sorted(errors, reverse=True)


def test_later_levels_gain_as_much_as_the_first_where_rows_are_many():
    """Started again from the same rows, they find the same groups, whose means were taken off before."""
    rows = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
    books = residual_kmeans(rows, 8, 32)
    errors = np.array([error(rows, books[:n]) for n in range(1, 9)])
    assert (errors[1:] / errors[:-1]).max() < 0.935


def test_the_same_seed_gives_the_same_codebooks_to_the_bit_and_another_seed_others():
    one, again = residual_kmeans(CLUSTERED, 2, 16), residual_kmeans(CLUSTERED.astype(np.float64), 2, 16)
    assert one.tobytes() == again.tobytes()
    assert not np.array_equal(one, residual_kmeans(CLUSTERED, 2, 16, random_state=1))


@pytest.mark.parametrize("n_entries", [1, 8, 300])
def test_few_rows_repeated_ones_and_identical_ones_are_coded_without_error(n_entries):
    for rows in (NORMAL[:3], NORMAL[:1], np.repeat(NORMAL[:3], 50, axis=0), np.full((40, 12), 0.1), np.zeros((9, 12))):
        books = residual_kmeans(rows, 2, n_entries)
        assert books.shape == (2, n_entries, 12)
        assert np.isfinite(books).all()
        if n_entries >= 3 or len(np.unique(rows, axis=0)) == 1:
            np.testing.assert_allclose(decoded(beam_codes(rows, books), books), rows, atol=1e-6)


def test_the_last_step_ends_at_means_and_an_empty_centroid_goes_to_a_row_far_from_all():
    wide = np.tile(NORMAL[:100], 11)  # more columns than are summed at once
    (mean,) = residual_kmeans(wide, 1, 1, n_iter=1)[0]
    np.testing.assert_allclose(mean, wide.mean(axis=0), atol=1e-6)
    rows = np.concatenate([np.zeros((50, 2)), [[9, 0], [0, 5]]]).astype(np.float32)
    start = np.array([[0, 0], [50, 50], [60, 60]], np.float32)
    with progress.bar(total=1) as bar:
        assert kmeans(rows, start, 1, bar)[1:].tolist() == [[9, 0], [0, 5]]


@pytest.mark.parametrize(
    ("rows", "sizes", "expected"),
    [
        *((bad, (1, 2, 5), "finite") for bad in (np.zeros((0, 3)), np.zeros(3), np.full((2, 2), np.nan))),
        *((NORMAL, sizes, "at least 1") for sizes in ((0, 2, 5), (1, 0, 5), (1, 2, 0))),
    ],
)
def test_what_is_no_matrix_of_finite_numbers_or_no_size_is_refused(rows, sizes, expected):
    with pytest.raises(ValueError, match=expected):
        residual_kmeans(rows, *sizes)


def test_greedy_codes_are_the_nearest_entries_across_blocks(monkeypatch):
    books = residual_kmeans(CLUSTERED, 3, 20, n_iter=3)
    monkeypatch.setattr("workbench.compress.kmeans.SCORES", 20 * 7)  # blocks of seven rows, and one of four
    left = CLUSTERED[:704].astype(np.float64)
    for entries, codes in zip(books, beam_codes(CLUSTERED[:704], books).T, strict=True):
        distances = np.square(left[:, None] - entries).sum(2)
        np.testing.assert_allclose(distances[np.arange(704), codes], distances.min(1), rtol=1e-4)
        left -= entries[codes]


def test_a_beam_that_keeps_every_sum_finds_the_best_one():
    books, rows = RNG.normal(size=(3, 4, 5)).astype(np.float32), RNG.normal(size=(20, 5)).astype(np.float32)
    every = np.array(list(np.ndindex(4, 4, 4)))
    best = every[np.square(rows[:, None] - decoded(every, books)).sum(axis=2).argmin(axis=1)]
    np.testing.assert_array_equal(beam_codes(rows, books, 64), best)


@pytest.mark.parametrize("beam", [1, 4])
def test_codes_are_as_wide_as_the_entries_need(beam):
    rows = RNG.normal(size=(400, 3)).astype(np.float32)
    for n_entries, dtype in ((1, np.uint8), (256, np.uint8), (257, np.uint16), (400, np.uint16)):
        books = np.stack([rows[:n_entries], np.zeros((n_entries, 3), np.float32)])
        codes = beam_codes(rows[:n_entries], books, beam)
        assert codes.dtype == dtype
        assert codes[:, 0].tolist() == list(range(n_entries))
    assert beam_codes(rows[:0], books, beam).shape == (0, 2)


def test_a_beam_comes_closer_also_across_blocks(monkeypatch):
    books = residual_kmeans(NORMAL, 4, 16)
    errors = [np.square(NORMAL - decoded(beam_codes(NORMAL, books, b), books)).sum(1).mean() for b in (1, 2, 8)]
    assert errors[0] > errors[1] > errors[2]
    whole = beam_codes(NORMAL, books, 8)
    monkeypatch.setattr(rq, "SCORES", 16 * 8 * 100)
    assert (beam_codes(NORMAL, books, 8) == whole).mean() > 0.999


FAR = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32) + 3


def test_random_codes_use_every_entry_evenly_and_no_level_says_anything_of_another():
    codes, _ = random_codes(FAR, 3, 16)
    assert codes.shape == (500, 3)
    for level in codes.T:
        assert np.ptp(np.bincount(level, minlength=16)) <= 1
    for pair in ([0, 1], [0, 2], [1, 2]):
        assert len(np.unique(codes[:, pair], axis=0)) > 180  # of 256; 220 are to be expected


def test_entries_of_random_codes_are_the_means_of_what_is_left_over():
    codes, codebooks = random_codes(FAR, 2, 4, random_state=1)
    left = FAR.astype(np.float64)
    for level in range(2):
        for entry in range(4):
            np.testing.assert_allclose(codebooks[level, entry], left[codes[:, level] == entry].mean(0), atol=1e-5)
        left = left - codebooks[level][codes[:, level]]


def test_the_seed_decides_random_codes_and_few_rows_are_enough():
    one, again, other = (random_codes(FAR, 2, 8, seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.isfinite(random_codes(FAR[:3], 2, 8)[1]).all()
    with pytest.raises(ValueError, match="finite"):
        random_codes(np.full((2, 2), np.nan), 2, 8)
