"""The floor under semantic IDs: codes that say nothing about their rows."""

import numpy as np
import pytest

from workbench.semantic.baselines import random_codes

ROWS = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32) + 3


def test_random_codes_use_every_entry_evenly_and_no_level_says_anything_of_another():
    codes, _ = random_codes(ROWS, 3, 16)
    assert codes.shape == (500, 3)
    for level in codes.T:
        assert np.ptp(np.bincount(level, minlength=16)) <= 1
    for pair in ([0, 1], [0, 2], [1, 2]):
        assert len(np.unique(codes[:, pair], axis=0)) > 180  # of 256; 220 are to be expected


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
    assert np.isfinite(random_codes(ROWS[:3], 2, 8)[1]).all()
    with pytest.raises(ValueError, match="finite"):
        random_codes(np.full((2, 2), np.nan), 2, 8)
