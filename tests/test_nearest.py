"""The one search for nearest rows: exact, whatever the blocks, ties in order."""

import numpy as np
import pytest

from workbench import nearest
from workbench.nearest import blocks_of, greatest, nearest_rows
from workbench.vectors import unit


@pytest.mark.parametrize("k", [1, 7, 60, 99])
def test_the_greatest_are_those_of_a_full_sort(k):
    scores = np.random.default_rng(0).integers(5, size=(3, 60)).astype(np.float32)
    np.testing.assert_array_equal(greatest(scores, k), np.argsort(-scores, axis=1, kind="stable")[:, :k])


@pytest.mark.parametrize("block", [1, 7, 64, 8_192])
def test_rows_are_those_of_a_full_sort_in_blocks_of_any_size(block, monkeypatch):
    monkeypatch.setattr(nearest, "QUERIES", block)
    monkeypatch.setattr(nearest, "CANDIDATES", block)
    rng = np.random.default_rng(0)
    rows = rng.integers(-2, 3, size=(300, 4)).astype(np.float32)  # products are exact, and many are equal
    rows[rng.permutation(300)[:40]] = np.nan
    own = rng.permutation(300)[:50]
    own[::5] = -1
    queries = rng.integers(-2, 3, size=(50, 4)).astype(np.float32)
    queries[::7] = np.nan
    places, scores = nearest_rows(queries, blocks_of(rows), 10, own)
    products = queries @ rows.T
    products[np.isnan(products)] = -np.inf
    products[own >= 0, own[own >= 0]] = -np.inf
    expected = np.argsort(-products, axis=1, kind="stable")[:, :10]
    expected[::7] = -1
    np.testing.assert_array_equal(places, expected)
    found = places >= 0
    np.testing.assert_array_equal(scores[found], np.take_along_axis(products, places, axis=1)[found])
    assert np.isnan(scores[~found]).all()


@pytest.mark.parametrize("n", [3, 20, 600])
def test_equal_rows_have_as_many_neighbours_as_others(n):
    same, k = unit(np.ones((n, 2), np.float32)), min(n - 1, 10)
    places, _ = nearest_rows(same, blocks_of(same), k, np.arange(n))
    assert places.tolist() == [[i for i in range(n) if i != row][:k] for row in range(n)]


def test_where_candidates_are_few_the_rest_is_missing():
    places, scores = nearest_rows(np.eye(2, dtype=np.float32), [np.eye(2, dtype=np.float32)], 3, np.arange(2))
    assert places.tolist() == [[1, -1, -1], [0, -1, -1]]
    assert np.isnan(scores[:, 1:]).all()
