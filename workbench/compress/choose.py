"""Which rows can stand for all words: kept words that cover the others, and centroids."""

import heapq
from typing import Any

import numpy as np

from .. import progress
from ..storage import BLOCK
from ..vectors import Vectors, unit

N_NEIGHBOURS = 50  # that a word may be covered by; 100 raise the mean cosine by 0.0005, 20 lower it by 0.0014
ROUNDS, ITERATIONS = 3, 4  # of k-means; between rounds it can be stopped


def nearest_kept(v: Vectors, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest row for each word by cosine; exact, in blocks.

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
    from sklearn.metrics import pairwise_distances_argmin

    from ..kernels import LOCK

    places, cosines = np.zeros(len(v), np.int64), np.full(len(v), -np.inf, np.float32)
    able = np.flatnonzero(rows.any(axis=1))
    if len(able) == 0:
        return places, cosines
    units = unit(rows[able])
    with progress.bar(total=len(v), desc="Nearest rows", unit=" words", leave=False, delay=2) as bar:
        for start, block in v.blocks():
            block = unit(block)
            with LOCK:
                found = pairwise_distances_argmin(block, units)
            places[start : start + len(block)] = able[found]
            cosines[start : start + len(block)] = np.einsum("ij,ij->i", block, units[found])
            bar.update(len(block))
    return places, cosines


def covering(units: np.ndarray, n: int) -> np.ndarray:
    """Words chosen one by one so that each adds most to how well all words are covered.

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
    """Which words each word can cover, and with which cosine: sparse, (n_words, n_words)."""
    from scipy.sparse import csr_array
    from sklearn.neighbors import NearestNeighbors

    from ..kernels import LOCK

    able = np.flatnonzero(units.any(axis=1))
    if len(able) == 0:
        return csr_array((len(units), len(units)), dtype=np.float32)
    units_able = units[able]
    k = min(N_NEIGHBOURS, len(able))
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(units_able)
    indices = np.empty((len(able), k), np.int32)
    cosines = np.empty((len(able), k), np.float32)
    with progress.bar(total=len(able), desc="Neighbours", unit=" words", leave=False, delay=2) as bar:
        for start in range(0, len(able), BLOCK):
            here = slice(start, start + BLOCK)
            with LOCK:
                distances, found = search.kneighbors(units_able[here])
            indices[here] = able[found]
            cosines[here] = np.maximum(1 - distances**2 / 2, 0)  # of vectors of length 1
            bar.update(len(found))
    coverers = (cosines.ravel(), (indices.ravel(), np.repeat(able, k)))
    return csr_array(coverers, shape=(len(units), len(units)))


def centroids(units: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Directions that words gather around: (n, dim) float32 of length 1.

    Lloyd's k-means on vectors of length 1, started at random ones, with its means scaled to
    length 1 at the end.
    """
    from sklearn.cluster import KMeans

    from ..kernels import LOCK

    start: Any = "random"
    for _ in progress.bar(range(ROUNDS), desc="k-means", unit="round", leave=False, delay=2):
        means = KMeans(n, init=start, n_init=1, max_iter=ITERATIONS, random_state=seed)
        with LOCK:
            start = means.fit(units).cluster_centers_
    return unit(start).astype(np.float32)
