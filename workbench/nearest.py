"""Exact nearest neighbours by inner product, block by block; of equal scores the first row wins."""

from collections.abc import Iterable, Iterator

import numpy as np

QUERIES, CANDIDATES = 1_024, 8_192  # compared at once: 32 MB of scores
MAX_SETS = 32  # columns of which one maximum is taken


def greatest(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the columns of the `k` greatest scores of each row, greatest first, ties in order.

    Columns are split into many sets by position. At least `k` scores reach the k-th greatest of the sets'
    maxima, and few more do, so only those are sorted.

    Parameters
    ----------
    scores : (q, n) float array
        Without NaN.
    k : int
        Of fewer than `k` columns, all are returned.

    Returns
    -------
    (q, min(k, n)) int64 array
    """
    q, n = scores.shape
    k = min(k, n)
    width = max(1, min(MAX_SETS, n // (4 * k)))
    n_sets = n // width
    maxima = scores[:, : n_sets * width].reshape(q, width, n_sets).max(axis=1)
    limits = np.partition(maxima, n_sets - k, axis=1)[:, n_sets - k, None]
    rows, columns = np.divmod(np.flatnonzero(scores >= limits), n)
    order = np.lexsort((-scores[rows, columns], rows))
    first = np.searchsorted(rows, np.arange(q))
    return columns[order[first[:, None] + np.arange(k)]]


def blocks_of(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Cut rows into blocks, as `nearest_rows` takes them."""
    return (rows[start : start + CANDIDATES] for start in range(0, len(rows), CANDIDATES))


def nearest_rows(
    queries: np.ndarray, candidates: Iterable[np.ndarray], k: int, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the `k` candidates of greatest inner product for each query.

    Parameters
    ----------
    queries : (q, dim) float32 array
        Rows with NaN have no neighbours.
    candidates : iterable of (<= n, dim) float32 arrays
        Blocks of all candidates in order; rows with NaN are nobody's neighbours.
    k : int
    own : (q,) int array, optional
        Each query's own place among the candidates, which is left out; -1 for none.

    Returns
    -------
    places : (q, k) int64 array
        Greatest first, ties in order; -1 where there are no more.
    scores : (q, k) float32 array
        NaN where there are no more.
    """
    q = len(queries)
    own = np.full(q, -1) if own is None else own
    lost = np.isnan(queries[:, 0])
    places = np.full((q, k), -1, np.int64)
    best = np.full((q, k), -np.inf, np.float32)
    best[lost] = np.inf  # above all candidates
    found = np.empty((0, 0), np.float32)  # the best so far beside the scores of a block
    start = 0
    for block in candidates:
        stop = start + len(block)
        nobody = np.flatnonzero(np.isnan(block[:, 0]))
        for first in range(0, q, QUERIES):
            here = slice(first, first + QUERIES)
            shape = len(queries[here]), k + len(block)
            if found.shape != shape:  # fresh memory is slow
                found = np.empty(shape, np.float32)
            found[:, :k] = best[here]
            scores = np.matmul(queries[here], block.T, out=found[:, k:])
            scores[:, nobody] = scores[lost[here]] = -np.inf
            inside = np.flatnonzero((own[here] >= start) & (own[here] < stop))
            scores[inside, own[here][inside] - start] = -np.inf
            columns = greatest(found, k)
            best[here] = np.take_along_axis(found, columns, axis=1)
            older = np.take_along_axis(places[here], np.minimum(columns, k - 1), axis=1)
            places[here] = np.where(columns < k, older, start + columns - k)
        start = stop
    missing = ~np.isfinite(best)
    places[missing], best[missing] = -1, np.nan
    return places, best
