"""The few hot loops, compiled by numba, and the one lock around them.

numba's thread pools abort the process when two threads enter them at once, so everything here
(and UMAP, which uses numba too) runs while holding `LOCK`. Results do not depend on the number
of threads: work is split by subvector and by row, and each part is summed in a fixed order.

Importing this module also sets numba up, so it comes before the import of UMAP. numba's threads
are not OpenMP's, unless NUMBA_THREADING_LAYER says so: starting those sets the number of torch's
threads, and a forked child that uses them is killed.
"""

import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np

from . import files, hashing

LOCK = threading.RLock()
TILE = 1024  # points handled at once: their running minima stay in the first-level cache
ROWS = 256  # rows whose codes are looked up at once, for the same reason
COLUMNS = 52  # summed at once; a fixed number makes for vector instructions, two such blocks make 100 columns
WIDTH = 64  # columns of a row read at once: four lines of the cache
PACE = 1.9  # of Lloyd's steps but the last; of 1.5 to 2.1 the best that still converges for sure

if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
    numba.config.THREADING_LAYER_PRIORITY = ["tbb", "workqueue", "omp"]  # type: ignore[attr-defined]


def _new_lock() -> None:
    """In a forked child: the thread that held the lock is not there to release it."""
    global LOCK
    LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_new_lock)


def _keeps_code() -> bool:
    """Whether numba can keep compiled code: beside the source or in the user's cache, else in a temporary folder."""
    try:
        return _can_cache() or _can_cache(files.temporary_folder("numba"))
    except OSError:  # there is no temporary folder
        return False


def _can_cache(folder: Path | None = None) -> bool:
    if folder is not None:
        numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    try:
        numba.njit(cache=True)(hashing.fill_buckets)
        numba.njit(cache=True)(numba.njit)  # stands for UMAP, which is installed beside it
    except RuntimeError:  # "no locator available": no such folder can be written, as in many containers
        return False
    return True


_njit: Any = functools.partial(numba.njit, cache=_keeps_code())


def _locked(kernel):
    @functools.wraps(kernel)
    def call(*args):
        with LOCK:
            return kernel(*args)

    return call


@functools.cache
def _libraries():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def in_threads(work, n, size):
    """Do work on blocks of rows on as many threads as numba has, with one thread of BLAS in each.

    Threads of BLAS wait for each other at every product, which on a machine that others use too takes
    longer than one thread alone. Blocks and what is made of them are the same for any number of threads.

    Parameters
    ----------
    work : callable
        Takes an iterator of slices, which all threads share, and does what it gets of them.
    n, size : int
        Rows, and rows of a block.
    """
    blocks = iter([slice(start, min(start + size, n)) for start in range(0, n, size)])
    n_threads = min(numba.get_num_threads(), -(-n // size))
    if n_threads < 2:
        work(blocks)
        return
    with LOCK, _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(work, blocks) for _ in range(n_threads)]:
            done.result()


# Defined beside its plain Python use; numba's cache goes by the file of the definition.
fill_buckets = _locked(_njit(hashing.fill_buckets))
fill_finalfusion_buckets = _locked(_njit(hashing.fill_finalfusion_buckets))


@_njit()
def _copy(source, target):
    """Copy a matrix to the upper left of another. ``target[:] = source`` takes seconds to compile, for its errors."""
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            target[i, j] = source[i, j]


@_locked
@_njit(parallel=True)
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


@_locked
@_njit(parallel=True)
def group_sums(rows, codes, n_groups):
    """Sum the rows of each group: (n_groups, dim) float64. Each sum runs in order of the rows.

    Parameters
    ----------
    rows : (n, dim) float32 array
    codes : (n,) int array
        Number of each row's group.
    n_groups : int
    """
    n, dim = rows.shape
    out = np.zeros((n_groups, dim))
    for block in numba.prange((dim + WIDTH - 1) // WIDTH):
        first = block * WIDTH
        stop = min(first + WIDTH, dim)
        for i in range(n):
            row, total = rows[i, first:stop], out[codes[i], first:stop]
            for d in range(len(row)):
                total[d] += row[d]
    return out


@_locked
@_njit
def survivors(index, indptr, buckets, row_of):
    """Rows of the n-grams of some words, those without a row left out, as a ragged array.

    Parameters
    ----------
    index : (n,) int64 array
        The words.
    indptr : (n_words + 1,) int64 array
    buckets : int32 array
        Word ``i`` has ``buckets[indptr[i]:indptr[i + 1]]``.
    row_of : (n_buckets,) int32 array
        -1 for a bucket without a row.

    Returns
    -------
    (n + 1,) int64 and int32 arrays, as `Subwords.rows` gives them.
    """
    starts = np.zeros(len(index) + 1, np.int64)
    for i in range(len(index)):
        starts[i + 1] = starts[i] + indptr[index[i] + 1] - indptr[index[i]]
    rows = np.empty(starts[-1], np.int32)
    count = 0
    for i in range(len(index)):
        starts[i] = count
        for at in range(indptr[index[i]], indptr[index[i] + 1]):
            row = row_of[buckets[at]]
            rows[count] = row  # without a branch, which would be mispredicted every other time
            count += row >= 0
    starts[-1] = count
    return starts, rows[:count]


@_locked
@_njit(parallel=True)
def pull(indptr, rows, weights, x, targets):
    """What weighted sums over rows of `x` leave of their targets, handed back to the rows: ``A.T @ (targets - A @ x)``.

    Without targets, ``A.T @ A @ x``. A block of columns is done at once, so that what is left of a
    word need not be stored. Each sum runs in order of the words, whatever the number of threads.

    Parameters
    ----------
    indptr : (n_words + 1,) int64 array
    rows : int32 array
        Word ``i`` sums the rows ``rows[indptr[i]:indptr[i + 1]]``.
    weights : (n_words,) float32 array
        Of each word's sum.
    x : (n_rows, dim) float32 array
    targets : (n_words, dim) or (0, dim) float32 array

    Returns
    -------
    (n_rows, dim) float32 array
    """
    n_rows, dim = x.shape
    out = np.empty((n_rows, dim), np.float32)
    for block in numba.prange((dim + COLUMNS - 1) // COLUMNS):
        first = block * COLUMNS
        stop = min(first + COLUMNS, dim)
        own = np.zeros((n_rows, COLUMNS), np.float32)
        _copy(x[:, first:stop], own)
        pulls = np.zeros((n_rows, COLUMNS), np.float32)
        left = np.empty(COLUMNS, np.float32)
        for i in range(len(weights)):
            weight = weights[i]
            for d in range(COLUMNS):
                left[d] = 0
            for at in range(indptr[i], indptr[i + 1]):
                row = rows[at]
                for d in range(COLUMNS):
                    left[d] += own[row, d]
            for d in range(COLUMNS):
                left[d] *= weight
            if len(targets):
                for d in range(stop - first):
                    left[d] = targets[i, first + d] - left[d]
            for d in range(COLUMNS):
                left[d] *= weight
            for at in range(indptr[i], indptr[i + 1]):
                row = rows[at]
                for d in range(COLUMNS):
                    pulls[row, d] += left[d]
        _copy(pulls[:, : stop - first], out[:, first:stop])
    return out


@_locked
@_njit
def square_weights(indptr, rows, weights, n_rows):
    """The diagonal of ``A.T @ A``, see `pull`: for each row its squared weight in each word, summed; (n_rows,).

    A row that stands twice in a word has twice the weight there, so four times the square.
    """
    squares = np.zeros(n_rows)
    times = np.zeros(n_rows, np.int64)  # that a row stands in the word at hand
    for i in range(len(weights)):
        for at in range(indptr[i], indptr[i + 1]):
            times[rows[at]] += 1
        for at in range(indptr[i], indptr[i + 1]):
            squares[rows[at]] += (times[rows[at]] * np.float64(weights[i])) ** 2
            times[rows[at]] = 0
    return squares.astype(np.float32)


@_locked
@_njit(parallel=True)
def table_sums(packed, tables, n_bits):
    """What each row's codes pick from a table for every code, added up: (n_tables, n) float32.

    Parameters
    ----------
    packed : (n, n_bytes) uint8 array
        See `storage.pack_codes`.
    tables : (n_tables, n_codes, 2**n_bits) float32 array
    n_bits : int
    """
    n = len(packed)
    n_tables, n_codes, _ = tables.shape
    out = np.zeros((n_tables, n), np.float32)
    for tile in numba.prange((n + ROWS - 1) // ROWS):
        first = tile * ROWS
        stop = min(first + ROWS, n)
        codes = np.empty((n_codes, stop - first), np.uint8)
        for p in range(stop - first):
            for j in range(n_codes):
                codes[j, p] = packed[first + p, j] if n_bits == 8 else _code(packed[first + p], j, n_bits)
        for q in range(n_tables):
            sums = out[q, first:stop]
            for j in range(n_codes):
                table, code = tables[q, j], codes[j]
                for p in range(stop - first):
                    sums[p] += table[code[p]]
    return out


@_njit
def _code(row, j, n_bits):
    """One code of a packed row."""
    code = np.uint8(0)
    for bit in range(n_bits):
        at = j * n_bits + bit
        code |= np.uint8((row[at >> 3] >> (7 - (at & 7))) & 1) << np.uint8(bit)
    return code


def _assign_exactly(dim):
    """Compile `_assign` for points of exactly `dim` <= 6 dimensions.

    Knowing `dim`, the compiler drops the branches not taken and keeps four centroids in
    registers; four at a time need fewer loads and stores of the running minima.
    """
    last = dim - 1

    @_njit(fastmath={"contract"})
    def score(half, c, x0, x1, x2, x3, x4, x5):
        half -= c[0] * x0
        if dim > 1:
            half -= c[1] * x1
        if dim > 2:
            half -= c[2] * x2
        if dim > 3:
            half -= c[3] * x3
        if dim > 4:
            half -= c[4] * x4
        if dim > 5:
            half -= c[5] * x5
        return half

    @_njit(fastmath={"contract"})
    def assign(points, n, centroids, codes, nearest):
        filled, half = _in_fours(centroids)
        for first in range(0, n, TILE):
            stop = min(first + TILE, n)
            best, code = nearest[first:stop], codes[first:stop]
            best[:] = np.inf
            x0, x1 = points[0, first:stop], points[min(1, last), first:stop]
            x2, x3 = points[min(2, last), first:stop], points[min(3, last), first:stop]
            x4, x5 = points[min(4, last), first:stop], points[last, first:stop]
            for k in range(0, len(filled), 4):
                a, b, c, d = filled[k], filled[k + 1], filled[k + 2], filled[k + 3]
                for p in range(stop - first):
                    s = score(half[k], a, x0[p], x1[p], x2[p], x3[p], x4[p], x5[p])
                    t = score(half[k + 1], b, x0[p], x1[p], x2[p], x3[p], x4[p], x5[p])
                    u = score(half[k + 2], c, x0[p], x1[p], x2[p], x3[p], x4[p], x5[p])
                    v = score(half[k + 3], d, x0[p], x1[p], x2[p], x3[p], x4[p], x5[p])
                    front = np.int32(k + 1) if t < s else np.int32(k)
                    back = np.int32(k + 3) if v < u else np.int32(k + 2)
                    s = t if t < s else s
                    u = v if v < u else u
                    winner = back if u < s else front
                    lower = u if u < s else s
                    code[p] = winner if lower < best[p] else code[p]
                    best[p] = lower if lower < best[p] else best[p]

    return assign


@_njit
def _in_fours(centroids):
    """The centroids, filled up to a multiple of four, and half their squared norms: infinite for the filling."""
    n, dim = centroids.shape
    filled = np.zeros((-(-n // 4) * 4, dim), np.float32)
    _copy(centroids, filled)
    half = np.full(len(filled), np.float32(np.inf))
    for k in range(n):
        half[k] = 0
        for d in range(dim):
            half[k] += np.float32(0.5) * centroids[k, d] * centroids[k, d]
    return filled, half


_assign_1, _assign_2, _assign_3 = _assign_exactly(1), _assign_exactly(2), _assign_exactly(3)
_assign_4, _assign_5, _assign_6 = _assign_exactly(4), _assign_exactly(5), _assign_exactly(6)


@_njit(fastmath={"contract"})
def _assign_wide(points, n, centroids, codes, nearest):
    """`_assign` for any number of dimensions, one after another."""
    half = _in_fours(centroids)[1]
    scores = np.empty(TILE, np.float32)
    for first in range(0, n, TILE):
        stop = min(first + TILE, n)
        best, code = nearest[first:stop], codes[first:stop]
        best[:] = np.inf
        for k in range(len(centroids)):
            scores[:] = half[k]
            for d in range(len(points)):
                x = points[d, first:stop]
                weight = centroids[k, d]
                for p in range(stop - first):
                    scores[p] -= weight * x[p]
            for p in range(stop - first):
                code[p] = np.int32(k) if scores[p] < best[p] else code[p]
                best[p] = scores[p] if scores[p] < best[p] else best[p]


@_njit
def _assign(points, n, centroids, codes, nearest):
    """Nearest centroid of the first `n` points, vectorised across points.

    With 2 to 6 dimensions and 256 centroids, a loop over dimensions is too short for SIMD and
    one over centroids needs a reduction; a loop over points needs neither.

    Parameters
    ----------
    points : (dim, at least n) float32 array
        One dimension after another.
    n : int
    centroids : (n_centroids, dim) float32 array
    codes : (at least n,) int32 array, written
        The lowest number wins a tie.
    nearest : (at least n,) float32 array, written
        Half the squared distance to the centroid, less half the point's squared norm.
    """
    if len(points) == 1:
        _assign_1(points, n, centroids, codes, nearest)
    elif len(points) == 2:
        _assign_2(points, n, centroids, codes, nearest)
    elif len(points) == 3:
        _assign_3(points, n, centroids, codes, nearest)
    elif len(points) == 4:
        _assign_4(points, n, centroids, codes, nearest)
    elif len(points) == 5:
        _assign_5(points, n, centroids, codes, nearest)
    elif len(points) == 6:
        _assign_6(points, n, centroids, codes, nearest)
    else:
        _assign_wide(points, n, centroids, codes, nearest)


@_locked
@_njit(parallel=True)
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
        codes = np.zeros(size, np.int32)
        nearest = np.empty(size, np.float32)
        for j in range(len(spans)):
            start, stop = spans[j]
            points = np.empty((stop - start, size), np.float32)
            for p in range(size):
                for d in range(stop - start):
                    points[d, p] = rows[first + p, start + d]
            _assign(points, size, codebooks[:, start:stop].copy(), codes, nearest)
            for p in range(size):
                out[first + p, j] = codes[p]
    return out


@_locked
@_njit(parallel=True, fastmath={"reassoc"})
def start(points, spans, draws):
    """Rows to start k-means from, for each span of dimensions by itself: (n_entries, dim) float32.

    Each is drawn with a probability that goes by its squared distance to the nearest drawn
    before (k-means++; Arthur and Vassilvitskii, 2007). Rare vectors, far from all others, get
    centroids from the beginning, which Lloyd's steps would take long to bring there.

    Parameters
    ----------
    points : (dim, n) float32 array
        Rows to draw from, one dimension after another.
    spans : (n_codes, 2) int32 array
    draws : (n_codes, n_entries) float64 array
        Random numbers from 0 to 1.
    """
    dim, n = points.shape
    out = np.empty((draws.shape[1], dim), np.float32)
    for j in numba.prange(len(spans)):
        begin, end = spans[j]
        distance = np.ones(n, np.float32)  # squared, to the nearest drawn
        for k in range(len(out)):
            left = draws[j, k] * distance.sum()
            drawn = 0
            while drawn < n - 1 and left >= distance[drawn]:
                left -= distance[drawn]
                drawn += 1
            for d in range(begin, end):
                out[k, d] = points[d, drawn]
            to_drawn = np.zeros(n, np.float32)
            for d in range(begin, end):
                for i in range(n):
                    to_drawn[i] += (points[d, i] - points[d, drawn]) ** 2
            for i in range(n):
                distance[i] = to_drawn[i] if k == 0 else min(distance[i], to_drawn[i])
    return out


@_njit
def _move(points, n, centroids, codes, nearest, pace):
    """One Lloyd step over the first `n` points: centroids to their means, empty ones to far points.

    With a `pace` above 1 they move beyond the mean by as much. Below 2 that still takes each
    closer to it, and they get where they are going in about half the steps (Lee, Baek and Sung,
    "A fast LBG codebook training algorithm for vector quantization", 1997).
    """
    dim = len(points)
    k = len(centroids)
    sums = np.zeros((k, dim))
    counts = np.zeros(k, np.int64)
    for i in range(n):
        counts[codes[i]] += 1
        for d in range(dim):
            sums[codes[i], d] += points[d, i]
    distance = np.empty(0)
    for c in range(k):
        if counts[c] > 0:
            for d in range(dim):
                centroids[c, d] += pace * (sums[c, d] / counts[c] - centroids[c, d])
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
            centroids[c, d] = points[d, far]


@_locked
@_njit(parallel=True)
def train(points, codebooks, spans, n_iter):
    """Lloyd's k-means for each span of dimensions by itself; moves `codebooks` in place.

    Early steps only find where centroids roughly belong, for which few rows do: two thirds of
    the steps see 32 rows a centroid, the next 128, and the last fifth all.

    Parameters
    ----------
    points : (dim, n) float32 array
        Training rows in random order, one dimension after another.
    codebooks : (n_entries, dim) float32 array
        Where to start from.
    spans : (n_codes, 2) int32 array
    n_iter : int
        How many steps.
    """
    n, n_entries = points.shape[1], len(codebooks)
    for j in numba.prange(len(spans)):
        begin, end = spans[j]
        codes = np.zeros(n, np.int32)  # where squares overflow, no entry is nearest
        nearest = np.empty(n, np.float32)
        entries = codebooks[:, begin:end].copy()
        for step in range(1, n_iter + 1):
            seen = 32 * n_entries if 3 * step <= 2 * n_iter else 128 * n_entries if 5 * step <= 4 * n_iter else n
            seen = min(seen, n)
            _assign(points[begin:end], seen, entries, codes, nearest)
            _move(points[begin:end], seen, entries, codes, nearest, PACE if step < n_iter else 1.0)
        _copy(entries, codebooks[:, begin:end])


@_locked
@_njit(parallel=True)
def settle(indptr, words, weights, squares, bound, prior, codes, codebooks, spans, left):
    """Choose codes and codebook entries of n-gram rows so that weighted sums over them come out right.

    One sweep of minimising ``|left|^2 + bound * |rows - prior|^2`` over the entries and the codes of
    rows, one after the other; no step makes it greater. Spans are problems of their own and run
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
    """
    for s in numba.prange(len(spans)):
        start, stop = spans[s]
        own_codes, entries = codes[:, s].copy(), codebooks[:, start:stop].copy()
        own_prior, own_left = prior[:, start:stop].copy(), left[:, start:stop].copy()
        _settle_entries(indptr, words, weights, bound, own_prior, own_codes, entries, own_left)
        _settle_codes(indptr, words, weights, squares, bound, own_prior, own_codes, entries, own_left)
        for j in range(len(own_codes)):
            codes[j, s] = own_codes[j]
        _copy(entries, codebooks[:, start:stop])


@_njit
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
        square = np.float64(bound * len(rows))
        for j in rows:
            _add_pull(step, indptr[j], indptr[j + 1], words, weights, left)
            for d in range(dim):
                step[d] += bound * (prior[j, d] - entries[k, d])
            for at in range(indptr[j], indptr[j + 1]):
                word, weight = words[at], weights[words[at]]
                square += weight * (2 * share[word] + weight)  # what the squared share grows by
                share[word] += weight
        if square > 0:
            for d in range(dim):
                step[d] /= square
                entries[k, d] += step[d]
        for j in rows:
            _take_away(step, indptr[j], indptr[j + 1], words, weights, left)
            for at in range(indptr[j], indptr[j + 1]):
                share[words[at]] = 0


@_njit
def _settle_codes(indptr, words, weights, squares, bound, prior, codes, entries, left):
    """Choose each row's entry of one codebook so that it serves the words best, the others standing still."""
    dim = entries.shape[1]
    filled, half = _in_fours(entries)
    across = filled.T.copy()
    score = np.empty(len(half), np.float32)
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


@_njit
def _add_pull(pull, begin, end, words, weights, left):
    """Add what a row's words want of it."""
    for at in range(begin, end):
        word = words[at]
        for d in range(len(pull)):
            pull[d] += weights[word] * left[word, d]


@_njit
def _take_away(step, begin, end, words, weights, left):
    """What a row's words leave over once it has moved by `step`."""
    for at in range(begin, end):
        word = words[at]
        for d in range(len(step)):
            left[word, d] -= weights[word] * step[d]


@_njit(fastmath={"contract", "nnan", "nsz"})
def _nearest_entry(point, across, half, score):
    """Number of the entry nearest to a point; `across` is (dim, n_entries), `half` half their squared norms."""
    for k in range(len(score)):
        score[k] = half[k]
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
