"""The few hot loops, compiled by numba, and the one lock around them.

numba's thread pools abort the process when two threads enter them at once, so everything here
(and UMAP, which uses numba too) runs while holding `LOCK`. Results do not depend on the number
of threads: work is split by subvector and by row, and each part is summed in a fixed order.
"""

import functools
import threading

import numba
import numpy as np

from . import subwords

LOCK = threading.RLock()
TILE = 1024  # points handled at once: their running minima stay in the first-level cache


def _locked(kernel):
    @functools.wraps(kernel)
    def call(*args):
        with LOCK:
            return kernel(*args)

    return call


# Defined beside its plain Python use; numba's cache goes by the file of the definition.
fill_buckets = _locked(numba.njit(cache=True)(subwords.fill_buckets))


@_locked
@numba.njit(parallel=True, cache=True)
def segment_sums(indptr, indices, table):
    """Sum the rows of `table` that each segment names: (n_segments, dim) float32.

    Each sum runs in order of the segment, as numpy's over the first axis does, so that one
    word looked up alone and the same word in a batch agree to the bit.
    """
    n = len(indptr) - 1
    dim = table.shape[1]
    out = np.zeros((n, dim), np.float32)
    for i in numba.prange(n):
        for at in range(indptr[i], indptr[i + 1]):
            row = indices[at]
            for d in range(dim):
                out[i, d] += table[row, d]
    return out


def _assign_exactly(dim):
    """Compile `_assign` for points of exactly `dim` <= 4 dimensions.

    Knowing `dim`, the compiler drops the branches not taken and keeps a pair of centroids in
    registers; two at a time halve the loads and stores of the running minima.
    """
    last = dim - 1

    @numba.njit(fastmath={"contract"}, cache=True)
    def assign(points, centroids, codes, nearest):
        half = _half_squared_norms(centroids)
        for first in range(0, points.shape[1], TILE):
            size = min(TILE, points.shape[1] - first)
            best = nearest[first : first + size]
            code = codes[first : first + size]
            best[:] = np.inf
            x0 = points[0, first : first + size]
            x1 = points[min(1, last), first : first + size]
            x2 = points[min(2, last), first : first + size]
            x3 = points[last, first : first + size]
            for k in range(0, len(centroids), 2):
                a, b = centroids[k], centroids[k + 1]
                for p in range(size):
                    s = half[k] - a[0] * x0[p]
                    t = half[k + 1] - b[0] * x0[p]
                    if dim > 1:
                        s -= a[1] * x1[p]
                        t -= b[1] * x1[p]
                    if dim > 2:
                        s -= a[2] * x2[p]
                        t -= b[2] * x2[p]
                    if dim > 3:
                        s -= a[3] * x3[p]
                        t -= b[3] * x3[p]
                    winner = np.int32(k + 1) if t < s else np.int32(k)
                    lower = t if t < s else s
                    code[p] = winner if lower < best[p] else code[p]
                    best[p] = lower if lower < best[p] else best[p]

    return assign


@numba.njit(cache=True)
def _half_squared_norms(centroids):
    half = np.zeros(len(centroids), np.float32)
    for k in range(len(centroids)):
        for d in range(centroids.shape[1]):
            half[k] += np.float32(0.5) * centroids[k, d] * centroids[k, d]
    return half


_assign_1, _assign_2, _assign_3, _assign_4 = (_assign_exactly(dim) for dim in (1, 2, 3, 4))


@numba.njit(fastmath={"contract"}, cache=True)
def _assign_wide(points, centroids, codes, nearest):
    """`_assign` for any number of dimensions, one after another."""
    half = _half_squared_norms(centroids)
    score = np.empty(TILE, np.float32)
    for first in range(0, points.shape[1], TILE):
        size = min(TILE, points.shape[1] - first)
        best = nearest[first : first + size]
        code = codes[first : first + size]
        best[:] = np.inf
        for k in range(len(centroids)):
            score[:] = half[k]
            for d in range(len(points)):
                x = points[d, first : first + size]
                weight = centroids[k, d]
                for p in range(size):
                    score[p] -= weight * x[p]
            for p in range(size):
                code[p] = np.int32(k) if score[p] < best[p] else code[p]
                best[p] = score[p] if score[p] < best[p] else best[p]


@numba.njit(cache=True)
def _assign(points, centroids, codes, nearest):
    """Nearest centroid of each point, vectorised across points.

    With 2 to 6 dimensions and 256 centroids, a loop over dimensions is too short for SIMD and
    one over centroids needs a reduction; a loop over points needs neither.

    Parameters
    ----------
    points : (dim, n) float32 array
        One dimension after another.
    centroids : (n_centroids, dim) float32 array, n_centroids even
    codes : (n,) int32 array, written
        The lowest number wins a tie.
    nearest : (n,) float32 array, written
        Half the squared distance to the centroid, less half the point's squared norm.
    """
    if len(points) == 1:
        _assign_1(points, centroids, codes, nearest)
    elif len(points) == 2:
        _assign_2(points, centroids, codes, nearest)
    elif len(points) == 3:
        _assign_3(points, centroids, codes, nearest)
    elif len(points) == 4:
        _assign_4(points, centroids, codes, nearest)
    else:
        _assign_wide(points, centroids, codes, nearest)


@_locked
@numba.njit(parallel=True, cache=True)
def encode(rows, codebooks, spans):
    """Product-quantisation codes: for each span of columns, the nearest codebook entry.

    Parameters
    ----------
    rows : (n, dim) float32 array
    codebooks : (n_entries <= 256, dim) float32 array
    spans : (n_codes, 2) int32 array
        Side by side, so that they index the codebooks' columns too.

    Returns
    -------
    (n, n_codes) uint8 array
    """
    n = len(rows)
    out = np.empty((n, len(spans)), np.uint8)
    for tile in numba.prange((n + TILE - 1) // TILE):
        first = tile * TILE
        size = min(TILE, n - first)
        codes = np.empty(size, np.int32)
        nearest = np.empty(size, np.float32)
        for j in range(len(spans)):
            start, stop = spans[j]
            points = np.empty((stop - start, size), np.float32)
            for p in range(size):
                for d in range(stop - start):
                    points[d, p] = rows[first + p, start + d]
            _assign(points, codebooks[:, start:stop].copy(), codes, nearest)
            for p in range(size):
                out[first + p, j] = codes[p]
    return out


@numba.njit(cache=True)
def _move(points, centroids, codes, nearest):
    """One Lloyd step: each centroid to the mean of its points; empty ones to far points.

    Returns how far the centroids moved, as the sum of squared steps.
    """
    dim, n = points.shape
    k = len(centroids)
    sums = np.zeros((k, dim))
    counts = np.zeros(k, np.int64)
    for i in range(n):
        counts[codes[i]] += 1
        for d in range(dim):
            sums[codes[i], d] += points[d, i]
    moved = 0.0
    distance = np.empty(0)
    for c in range(k):
        if counts[c] > 0:
            for d in range(dim):
                new = np.float32(sums[c, d] / counts[c])
                moved += (new - centroids[c, d]) ** 2
                centroids[c, d] = new
            continue
        if len(distance) == 0:  # true squared distances, needed only once a centroid is empty
            distance = np.empty(n)
            for i in range(n):
                distance[i] = 2.0 * nearest[i]
                for d in range(dim):
                    distance[i] += points[d, i] ** 2
        far = np.argmax(distance)
        distance[far] = -1.0
        for d in range(dim):
            moved += (points[d, far] - centroids[c, d]) ** 2
            centroids[c, d] = points[d, far]
    return moved


@_locked
@numba.njit(parallel=True, cache=True)
def train(points, codebooks, spans, n_iter):
    """Lloyd's k-means for each span of dimensions by itself; moves `codebooks` in place.

    Parameters
    ----------
    points : (dim, n) float32 array
        Training rows, one dimension after another.
    codebooks : (n_entries, dim) float32 array
        Where to start from.
    spans : (n_codes, 2) int32 array
    n_iter : int
        At most so many steps; a span stops sooner once its centroids stand still.
    """
    n = points.shape[1]
    for j in numba.prange(len(spans)):
        start, stop = spans[j]
        codes = np.empty(n, np.int32)
        nearest = np.empty(n, np.float32)
        entries = codebooks[:, start:stop].copy()
        for _ in range(n_iter):
            _assign(points[start:stop], entries, codes, nearest)
            if _move(points[start:stop], entries, codes, nearest) == 0.0:
                break
        codebooks[:, start:stop] = entries


@_locked
@numba.njit(parallel=True, cache=True)
def settle(indptr, words, weights, squares, bound, prior, codes, codebooks, spans, left, n_sweeps):
    """Choose codes and codebook entries of n-gram rows so that weighted sums over them come out right.

    Minimises ``|left|^2 + bound * |rows - prior|^2`` over the codes of rows and the entries they
    name, one after the other; no step makes it greater. Spans are problems of their own and run
    side by side.

    Parameters
    ----------
    indptr : (n_rows + 1,) int64 array
    words : int array
        Row ``j`` is a part of words ``words[indptr[j]:indptr[j + 1]]``.
    weights : (n_words,) float32 array
        What each row of a word is multiplied with in the word's sum.
    squares : (n_rows,) float32 array
        For each row, the squared weights of its words, summed.
    bound : float32
    prior : (n_rows, dim) float32 array
    codes : (n_rows, n_codes) uint8 array, changed
    codebooks : (n_entries, dim) float32 array, changed
    spans : (n_codes, 2) int32 array
        Side by side.
    left : (n_words, dim) float32 array
        What the words' sums, over rows as they are, leave of their targets.
    n_sweeps : int
        Times that every entry and every code is chosen anew.
    """
    for s in numba.prange(len(spans)):
        start, stop = spans[s]
        own_codes, entries = codes[:, s].copy(), codebooks[:, start:stop].copy()
        own_prior, own_left = prior[:, start:stop].copy(), left[:, start:stop].copy()
        for _ in range(n_sweeps):
            _settle_entries(indptr, words, weights, bound, own_prior, own_codes, entries, own_left)
            _settle_codes(indptr, words, weights, squares, bound, own_prior, own_codes, entries, own_left)
        codes[:, s] = own_codes
        codebooks[:, start:stop] = entries


@numba.njit(cache=True)
def _settle_entries(indptr, words, weights, bound, prior, codes, entries, left):
    """Move each entry of one codebook to where it serves the words best, the others standing still."""
    n_entries, dim = entries.shape
    ends = np.cumsum(np.bincount(codes, minlength=n_entries))
    order = np.argsort(codes, kind="mergesort")
    share = np.zeros(len(left), np.float32)  # of the entry in each word
    step = np.empty(dim, np.float32)
    for k in range(n_entries):
        rows = order[ends[k - 1] if k else 0 : ends[k]]
        if len(rows) == 0:
            continue
        step[:] = 0
        for j in rows:
            _add_pull(step, indptr[j], indptr[j + 1], words, weights, left)
            for d in range(dim):
                step[d] += bound * (prior[j, d] - entries[k, d])
            for at in range(indptr[j], indptr[j + 1]):
                share[words[at]] += weights[words[at]]
        square = bound * len(rows)
        for j in rows:
            for at in range(indptr[j], indptr[j + 1]):
                square += share[words[at]] * share[words[at]]
                share[words[at]] = 0
        if square == 0:
            continue
        for d in range(dim):
            step[d] /= square
            entries[k, d] += step[d]
        for j in rows:
            _take_away(step, indptr[j], indptr[j + 1], words, weights, left)


@numba.njit(cache=True)
def _settle_codes(indptr, words, weights, squares, bound, prior, codes, entries, left):
    """Choose each row's entry of one codebook so that it serves the words best, the others standing still."""
    n_entries, dim = entries.shape
    across, half = entries.T.copy(), _half_squared_norms(entries)
    score = np.empty(n_entries, np.float32)
    wish = np.empty(dim, np.float32)
    for j in range(len(codes)):
        if squares[j] + bound == 0:
            continue
        old = codes[j]
        wish[:] = 0
        _add_pull(wish, indptr[j], indptr[j + 1], words, weights, left)
        for d in range(dim):
            wish[d] = (wish[d] + squares[j] * entries[old, d] + bound * prior[j, d]) / (squares[j] + bound)
        new = _nearest_entry(wish, across, half, score)
        if new != old:
            codes[j] = new
            for d in range(dim):
                wish[d] = entries[new, d] - entries[old, d]
            _take_away(wish, indptr[j], indptr[j + 1], words, weights, left)


@numba.njit(cache=True)
def _add_pull(pull, begin, end, words, weights, left):
    """Add what a row's words want of it."""
    for at in range(begin, end):
        word = words[at]
        for d in range(len(pull)):
            pull[d] += weights[word] * left[word, d]


@numba.njit(cache=True)
def _take_away(step, begin, end, words, weights, left):
    """What a row's words leave over once it has moved by `step`."""
    for at in range(begin, end):
        word = words[at]
        for d in range(len(step)):
            left[word, d] -= weights[word] * step[d]


@numba.njit(fastmath={"contract", "nnan", "nsz"}, cache=True)
def _nearest_entry(point, across, half, score):
    """Number of the entry nearest to a point; `across` is (dim, n_entries), `half` half their squared norms."""
    score[:] = half
    for d in range(len(point)):
        for k in range(len(score)):
            score[k] -= point[d] * across[d, k]
    least = score[0]
    for k in range(1, len(score)):
        least = min(least, score[k])
    for k in range(len(score)):
        if score[k] == least:
            return k
    return 0
