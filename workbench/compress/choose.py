"""Rows that can stand for all words: kept words that cover the others, and centroids."""

import heapq

import numpy as np

from .. import progress
from ..nearest import blocks_of, nearest_rows
from ..storage import BLOCK
from ..vectors import Vectors, unit
from .kmeans import kmeans

N_NEIGHBOURS = 50  # that a word may be covered by; 100 raise the mean cosine by 0.0005, 20 lower it by 0.0014
N_STEPS = 12  # of k-means


def nearest_kept(v: Vectors, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest row for each word by cosine; exact, in blocks.

    Parameters
    ----------
    v : Vectors
    rows : (n_rows, dim) float32 array
        Rows that are all zeros are nobody's nearest.

    Returns
    -------
    places : (n_words,) int64 array
        Numbers of rows; of equals the lowest, as far as rounding lets them be equal.
    cosines : (n_words,) float32 array
        0 for a word whose vector is all zeros; -inf where no row has a direction.
    """
    places, cosines = np.zeros(len(v), np.int64), np.full(len(v), -np.inf, np.float32)
    able = np.flatnonzero(rows.any(axis=1))
    if len(able) == 0:
        return places, cosines
    units = unit(rows[able])
    with progress.bar(total=len(v), desc="Nearest rows", unit=" words", leave=False, delay=2) as bar:
        for start, block in v.blocks():
            here = slice(start, start + len(block))
            found, scores = nearest_rows(unit(block), blocks_of(units), 1)
            places[here], cosines[here] = able[found[:, 0]], scores[:, 0]
            bar.update(len(block))
    return places, cosines


def covering(units: np.ndarray, n: int) -> np.ndarray:
    """Choose words one by one so that each adds most to how well all words are covered.

    Greedy maximisation of the sum, over all words, of the greatest cosine to a chosen word,
    itself included, negative ones counting 0 (facility location). Only a word's `N_NEIGHBOURS`
    nearest words can cover it, so that memory grows with the number of words; time grows with
    its square. Of what is so summed, the choice reaches at least 1 - 1/e of the best (Nemhauser,
    Wolsey and Fisher, 1978); the sum over all pairs is no smaller, but has no bound of its own,
    unless there are no more words than `N_NEIGHBOURS`. Gains only shrink, so that an old one
    that is beaten needs no new look (Minoux, 1978).

    Parameters
    ----------
    units : (n_words, dim) float32 array
        Vectors of length 1, or 0.
    n : int
        How many to choose; fewer come back where no other adds anything.

    Returns
    -------
    (<= n,) int64 array in order of choice; of equals the one of lower position.
    """
    lists = _covered(units)
    covered = np.zeros(len(units), np.float32)  # cosine to the best chosen word so far
    heap = [(-gain, word) for word, gain in enumerate(lists.sum(axis=1).tolist())]
    heapq.heapify(heap)
    chosen: list[int] = []
    with progress.bar(total=n, desc="Coverage", unit=" words", leave=False, delay=2) as bar:
        while heap and len(chosen) < n:
            _, word = heapq.heappop(heap)
            owned = slice(lists.indptr[word], lists.indptr[word + 1])
            words, cosines = lists.indices[owned], lists.data[owned]
            gain = float(np.maximum(cosines - covered[words], 0).sum())
            if heap and (-gain, word) > heap[0]:
                heapq.heappush(heap, (-gain, word))
            elif gain > 0:
                chosen.append(word)
                covered[words] = np.maximum(covered[words], cosines)
                bar.update()
    return np.array(chosen, np.int64)


def _covered(units: np.ndarray):
    """Return which words each word can cover, and with which cosine: sparse, (n_words, n_words)."""
    from scipy.sparse import csr_array

    able = np.flatnonzero(units.any(axis=1))
    units_able, k = units[able], min(N_NEIGHBOURS, len(able))
    indices, cosines = np.empty((len(able), k), np.int32), np.empty((len(able), k), np.float32)
    with progress.bar(total=len(able), desc="Neighbours", unit=" words", leave=False, delay=2) as bar:
        for start in range(0, len(able), BLOCK):
            here = slice(start, start + BLOCK)
            found, scores = nearest_rows(units_able[here], blocks_of(units_able), k)
            indices[here], cosines[here] = able[found], np.maximum(scores, 0)
            bar.update(len(found))
    coverers = (cosines.ravel(), (indices.ravel(), np.repeat(able, k)))
    return csr_array(coverers, shape=(len(units), len(units)))


def centroids(units: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return directions that words gather around: (n, dim) float32 of length 1.

    k-means on vectors of length 1, started at random ones, with its means scaled to length 1 at the end.
    """
    start = units[np.random.default_rng(seed).permutation(len(units))[:n]]
    with progress.bar(total=N_STEPS, desc="k-means", unit="step", leave=False, delay=2) as bar:
        return unit(kmeans(units, start, N_STEPS, bar))
