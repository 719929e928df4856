"""The floor under semantic IDs: codes that say nothing about their rows."""

import numpy as np
import pytest

from workbench.compress.rq import beam_codes, residual_kmeans
from workbench.semantic.baselines import random_codes

ROWS = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32) + 3


def left_over(codes: np.ndarray, codebooks: np.ndarray) -> float:
    summed = sum(entries[codes[:, level]] for level, entries in enumerate(codebooks))
    return float(np.square(ROWS - summed).sum() / np.square(ROWS - ROWS.mean(0)).sum())


def test_random_codes_use_every_entry_evenly_and_say_nothing():
    codes, codebooks = random_codes(ROWS, 3, 16)
    assert codes.shape == (500, 3)
    for level in codes.T:
        counts = np.bincount(level, minlength=16)
        assert counts.max() - counts.min() <= 1
    for a in range(3):  # nor does one level say anything of another
        for b in range(a):
            pairs = len(np.unique(codes[:, [a, b]], axis=0))
            assert pairs > 180  # of 256; 220 are to be expected
    books = residual_kmeans(ROWS, 3, 16)
    assert left_over(codes, codebooks) > 0.85
    assert left_over(beam_codes(ROWS, books, 1), books) < 0.4


def test_entries_are_the_means_of_what_is_left_over():
    codes, codebooks = random_codes(ROWS, 2, 4, random_state=1)
    left = ROWS.astype(np.float64)
    for level in range(2):
        for entry in range(4):
            np.testing.assert_allclose(codebooks[level, entry], left[codes[:, level] == entry].mean(0), atol=1e-5)
        left = left - codebooks[level][codes[:, level]]


def test_the_seed_decides_and_few_rows_are_enough():
    one, again, other = (random_codes(ROWS, 2, 8, seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    codes, codebooks = random_codes(ROWS[:3], 2, 8)
    assert np.isfinite(codebooks).all()
    assert codes.max() < 8
    for bad in (ROWS[:0], ROWS[0], np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match="finite"):
            random_codes(bad, 2, 8)
    with pytest.raises(ValueError, match="at least 1 level"):
        random_codes(ROWS, 0, 8)
