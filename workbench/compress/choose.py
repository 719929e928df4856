"""Rows that can stand for all words: kept words that cover the others, and centroids."""

import heapq

import numpy as np

from .. import progress
from ..nearest import blocks_of, nearest_rows
from ..spool import spooled
from ..storage import BLOCK
from ..vectors import Vectors, unit
from .kmeans import kmeans

N_NEIGHBOURS = 50  # that a word may be covered by; 100 raise the mean cosine by 0.0005, 20 lower it by 0.0014
N_STEPS = 12  # of k-means


def unit_rows(v: Vectors) -> np.ndarray:
    """Return the vectors of all words at length 1: (n_words, dim) float32, in a file where they are many."""
    return spooled((unit(block) for _, block in v.blocks()), v.dim, len(v))


def without_zeros(rows: np.ndarray) -> np.ndarray:
    """Return rows, (n, dim), those of zeros as NaN: they are nobody's neighbours."""
    return np.where(rows.any(axis=1, keepdims=True), rows, np.float32(np.nan))


def nearest_kept(v: Vectors, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest of `rows` (n_rows, dim) for each word, and the cosine to it; exact, in blocks.

    Rows of zeros are nobody's nearest. The cosine is 0 for a word of zeros, -inf where no row has a direction.
    """
    units = without_zeros(unit(rows))
    places, cosines = np.empty(len(v), np.int64), np.empty(len(v), np.float32)
    with progress.bar(total=len(v), desc="Nearest rows", unit=" words", leave=False, delay=2) as bar:
        for start, block in v.blocks():
            found, scores = nearest_rows(unit(block), blocks_of(units), 1)
            places[start : start + len(block)], cosines[start : start + len(block)] = found[:, 0], scores[:, 0]
            bar.update(len(block))
    return np.maximum(places, 0), np.nan_to_num(cosines, nan=-np.inf)


def covering(units: np.ndarray, n: int) -> np.ndarray:
    """Choose words one by one so that each adds most to how well all words are covered.

    Greedy maximisation of the sum, over all words, of the greatest cosine to a chosen word,
    itself included, negative ones counting 0 (facility location). Only a word's `N_NEIGHBOURS`
    nearest words can cover it, so that memory grows with the number of words; time grows with
    its square. The choice reaches at least 1 - 1/e of the best such sum (Nemhauser, Wolsey and
    Fisher, 1978). Gains only shrink, so that an old one that is beaten needs no new look (Minoux, 1978).

    `units` (n_words, dim) have length 1, or 0. Returns up to `n` positions in order of choice; fewer where no
    other word adds anything.
    """
    from scipy.sparse import csr_array

    shape, k = (len(units), len(units)), min(N_NEIGHBOURS, len(units))
    coverers, cosines = np.empty((len(units), k), np.int32), np.empty((len(units), k), np.float32)
    with progress.bar(total=len(units), desc="Neighbours", unit=" words", leave=False, delay=2) as bar:
        for start in range(0, len(units), BLOCK):
            here = slice(start, start + BLOCK)
            candidates = map(without_zeros, blocks_of(units))
            coverers[here], cosines[here] = nearest_rows(without_zeros(units[here]), candidates, k)
            bar.update(len(units[here]))
    covered_word, column = np.nonzero(coverers >= 0)
    found = np.maximum(cosines[covered_word, column], 0), (coverers[covered_word, column], covered_word)
    lists = csr_array(found, shape=shape)  # a row for each word: the words that it can cover
    covered = np.zeros(len(units), np.float32)  # cosine to the best chosen word so far
    heap = [(-gain, word) for word, gain in enumerate(lists.sum(axis=1).tolist())]
    heapq.heapify(heap)
    chosen: list[int] = []
    with progress.bar(total=n, desc="Coverage", unit=" words", leave=False, delay=2) as bar:
        while heap and len(chosen) < n:
            _, word = heapq.heappop(heap)
            owned = slice(lists.indptr[word], lists.indptr[word + 1])
            words, near = lists.indices[owned], lists.data[owned]
            gain = float(np.maximum(near - covered[words], 0).sum())
            if heap and (-gain, word) > heap[0]:
                heapq.heappush(heap, (-gain, word))
            elif gain > 0:
                chosen.append(word)
                covered[words] = np.maximum(covered[words], near)
                bar.update()
    return np.array(chosen, np.int64)


def centroids(units: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return directions that words gather around: (n, dim) float32 of length 1.

    k-means on vectors of length 1, started at random ones, with its means scaled to length 1 at the end.
    """
    start = units[np.random.default_rng(seed).permutation(len(units))[:n]]
    with progress.bar(total=N_STEPS, desc="k-means", unit="step", leave=False, delay=2) as bar:
        return unit(kmeans(units, start, N_STEPS, bar))
