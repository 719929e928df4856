"""Hot loops compiled by numba, and the lock around them.

Two threads that enter numba's thread pool at once abort the process, so everything here, and UMAP, runs while
holding `LOCK`. Results do not depend on the number of threads: each part is summed in a fixed order.
Import this module before UMAP: it sets numba up. OpenMP is numba's last choice of threads, because starting
its threads changes torch's, and kills a forked child that uses them.
"""

import functools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

from . import files, hashing

LOCK = threading.RLock()
TILE = 1024  # points handled at once: their running minima stay in the first-level cache
ROWS = 256  # rows whose codes are looked up at once, for the same reason
COLUMNS = 52  # summed at once; a fixed number makes for vector instructions, two such blocks make 100 columns
FEW_COLUMNS = 12  # the same, where there are so few that one block would leave a thread idle
WIDTH = 64  # columns of a row read at once: four lines of the cache
MAX_NARROW = 6  # columns of a subvector that get compiled code of their own
PACE = 1.9  # of Lloyd's steps but the last, beyond the mean; of 1.5 to 2.1 the best that still converges for sure

if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
    numba.config.THREADING_LAYER_PRIORITY = ["tbb", "workqueue", "omp"]  # type: ignore[attr-defined]


def _new_lock() -> None:
    """Replace the lock in a forked child, where the thread that held it is not there to release it."""
    global LOCK
    LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_new_lock)


def _can_cache() -> bool:
    """Let numba keep compiled code beside the source or in the user's cache, else in a temporary folder."""
    for is_last_try in (False, True):
        try:
            if is_last_try:
                numba.config.CACHE_DIR = str(files.temporary_folder("numba"))  # type: ignore[attr-defined]
            numba.njit(cache=True)(hashing.fill_buckets)
            numba.njit(cache=True)(numba.njit)  # stands for UMAP, which is installed beside it
            return True
        except (OSError, RuntimeError):  # numba's "no locator available": no such folder can be written
            continue
    return False


_njit: Any = functools.partial(numba.njit, cache=_can_cache())


def _kernel(**options):
    """Compile a function that is called from Python, which takes the lock."""

    def compiled(function):
        kernel = _njit(function, **options)

        @functools.wraps(function)
        def call(*args):
            with LOCK:
                return kernel(*args)

        return call

    return compiled


@functools.cache
def _libraries():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold `LOCK` and keep BLAS to one thread, so that products do not depend on how many it has."""
    with LOCK, _libraries().limit(limits=1, user_api="blas"):
        yield


def in_threads(work: Callable[[slice], None], n: int, size: int) -> None:
    """Do work on blocks of `size` of `n` rows on as many threads as numba has, with one thread of BLAS in each.

    Threads of BLAS wait for each other at every product, which takes longer than one thread alone where others
    use the machine too. The blocks are the same for any number of threads.
    """
    blocks = [slice(start, min(start + size, n)) for start in range(0, n, size)]
    n_threads = min(numba.get_num_threads(), len(blocks))
    if n_threads < 2:
        for block in blocks:
            work(block)
        return
    with one_blas_thread(), ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, blocks))  # raises what was raised in a thread


# Defined in `hashing`, which plain Python uses too; numba's cache goes by the file of the definition.
fill_buckets = _kernel()(hashing.fill_buckets)
fill_finalfusion_buckets = _kernel()(hashing.fill_finalfusion_buckets)


@_njit
def _copy(source, target):
    """Copy a matrix to the upper left of another. ``target[:] = source`` takes seconds to compile, for its errors."""
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            target[i, j] = source[i, j]


# -- sums over rows -----------------------------------------------------------------------


@_kernel(parallel=True)
def segment_sums(indptr, indices, table):
    """Return the sum of the rows of `table` that each segment names: (n_segments, dim) float32.

    Each sum runs in order of the segment, as numpy's over the first axis does, so that one word looked up alone
    and the same word in a batch agree to the bit.
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


@_kernel(parallel=True)
def group_sums(rows, codes, n_groups):
    """Return the sum of the rows (n, dim) that have each code: (n_groups, dim) float64, in order of the rows."""
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


def pull(indptr, rows, weights, x):
    """Return ``A.T @ A @ x``: (n_rows, dim) float32.

    ``A @ x`` is, for word ``i``, `weights[i]` times the sum of the rows ``rows[indptr[i]:indptr[i + 1]]`` of `x`
    (n_rows, dim). A block of columns is done at once, so that the sum of a word need not be stored. Each sum runs in
    order of the words.
    """
    return (_pull_few if x.shape[1] <= 2 * FEW_COLUMNS else _pull)(indptr, rows, weights, x)


def _pulling(columns):
    """Compile `pull` for blocks of so many columns."""

    @_kernel(parallel=True)
    def pull(indptr, rows, weights, x):
        n_rows, dim = x.shape
        out = np.empty((n_rows, dim), np.float32)
        for block in numba.prange((dim + columns - 1) // columns):
            first = block * columns
            stop = min(first + columns, dim)
            own = np.zeros((n_rows, columns), np.float32)
            _copy(x[:, first:stop], own)
            pulls = np.zeros((n_rows, columns), np.float32)
            total = np.empty(columns, np.float32)
            for i in range(len(weights)):
                weight = weights[i]
                for d in range(columns):
                    total[d] = 0
                for at in range(indptr[i], indptr[i + 1]):
                    row = rows[at]
                    for d in range(columns):
                        total[d] += own[row, d]
                for d in range(columns):
                    total[d] *= weight
                    total[d] *= weight
                for at in range(indptr[i], indptr[i + 1]):
                    row = rows[at]
                    for d in range(columns):
                        pulls[row, d] += total[d]
            _copy(pulls[:, : stop - first], out[:, first:stop])
        return out

    return pull


_pull, _pull_few = _pulling(COLUMNS), _pulling(FEW_COLUMNS)


@_kernel(parallel=True)
def add_pulls(indptr, rows, weights, targets, out):
    """Add ``A.T @ targets`` to `out` (n_rows, dim) float32, for the ``A`` of `pull`; `targets` are (n_words, dim)."""
    dim = out.shape[1]
    for block in numba.prange((dim + COLUMNS - 1) // COLUMNS):
        first = block * COLUMNS
        stop = min(first + COLUMNS, dim)
        for i in range(len(weights)):
            target = targets[i, first:stop]
            for at in range(indptr[i], indptr[i + 1]):
                total = out[rows[at], first:stop]
                for d in range(len(total)):
                    total[d] += weights[i] * target[d]


@_kernel()
def squares(indptr, rows, weights, n_rows):
    """Return the diagonal of ``A.T @ A``, for the ``A`` of `pull`: (n_rows,) float32."""
    out = np.zeros(n_rows)
    for i in range(len(weights)):
        square = np.float64(weights[i]) ** 2
        for at in range(indptr[i], indptr[i + 1]):
            for other in range(indptr[i], indptr[i + 1]):  # a row that stands twice has twice the weight
                if rows[other] == rows[at]:
                    out[rows[at]] += square
    return out.astype(np.float32)


@_kernel(parallel=True)
def table_sums(packed, tables, n_bits):
    """Return the sum of what a row's codes pick from a table for every code: (n_tables, n) float32.

    `packed` are the codes of `n` rows, see `storage.pack_codes`; `tables` are (n_tables, n_codes, 2**n_bits).
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
    """Return one code of a packed row."""
    code = np.uint8(0)
    for bit in range(n_bits):
        at = j * n_bits + bit
        code |= np.uint8((row[at >> 3] >> (7 - (at & 7))) & 1) << np.uint8(bit)
    return code


# -- k-means on subvectors ----------------------------------------------------------------


@_njit
def _padded(centroids):
    """Pad centroids to a multiple of four, and of two columns; also half their squared norms, infinite for padding."""
    n, dim = centroids.shape
    padded = np.zeros((-(-n // 4) * 4, -(-dim // 2) * 2), np.float32)
    _copy(centroids, padded)
    half = np.full(len(padded), np.float32(np.inf))
    for k in range(n):
        half[k] = 0
        for d in range(dim):
            half[k] += np.float32(0.5) * centroids[k, d] * centroids[k, d]
    return padded, half


@_njit(fastmath={"contract"})
def _assign(points, n, centroids, codes, nearest, width):
    """Find the nearest centroid of each point; the lowest number wins a tie.

    Loops run over points: those over few dimensions are too short for vector instructions, and those over centroids
    need a reduction. Four centroids at a time need fewer loads and stores of the running minima.

    Parameters
    ----------
    points : (dim, at least n) float32 array
    n : int
        How many of the points.
    centroids : (n_centroids, dim) float32 array
    codes : (at least n,) int32 array, written
    nearest : (at least n,) float32 array, written
        Half the squared distance to the centroid, less half the point's squared norm.
    width : tuple
        Of up to `MAX_NARROW` dimensions the tuple is as long, and compiles to code that keeps scores in registers,
        twice as fast; of more dimensions it is empty, and scores are in memory.
    """
    padded, half = _padded(centroids)
    last = len(points) - 1
    scores = np.empty((4, TILE), np.float32)
    s, t, u, v = scores[0], scores[1], scores[2], scores[3]
    for first in range(0, n, TILE):
        stop = min(first + TILE, n)
        best, code = nearest[first:stop], codes[first:stop]
        best[:] = np.inf
        x0, x1 = points[0, first:stop], points[min(1, last), first:stop]
        x2, x3 = points[min(2, last), first:stop], points[min(3, last), first:stop]
        x4, x5 = points[min(4, last), first:stop], points[min(5, last), first:stop]
        for k in range(0, len(padded), 4):
            a, b, c, d = padded[k], padded[k + 1], padded[k + 2], padded[k + 3]
            if not len(width):
                s[:], t[:], u[:], v[:] = half[k], half[k + 1], half[k + 2], half[k + 3]
                for at in range(0, len(a), 2):
                    x, y = points[at, first:stop], points[min(at + 1, last), first:stop]
                    for p in range(stop - first):
                        s[p] = s[p] - a[at] * x[p] - a[at + 1] * y[p]
                        t[p] = t[p] - b[at] * x[p] - b[at + 1] * y[p]
                        u[p] = u[p] - c[at] * x[p] - c[at + 1] * y[p]
                        v[p] = v[p] - d[at] * x[p] - d[at + 1] * y[p]
            for p in range(stop - first):
                point = x0[p], x1[p], x2[p], x3[p], x4[p], x5[p]
                e = _score(half[k], a, point, width) if len(width) else s[p]
                f = _score(half[k + 1], b, point, width) if len(width) else t[p]
                g = _score(half[k + 2], c, point, width) if len(width) else u[p]
                h = _score(half[k + 3], d, point, width) if len(width) else v[p]
                front = np.int32(k + 1) if f < e else np.int32(k)
                back = np.int32(k + 3) if h < g else np.int32(k + 2)
                e = f if f < e else e
                g = h if h < g else g
                winner = back if g < e else front
                lower = g if g < e else e
                code[p] = winner if lower < best[p] else code[p]
                best[p] = lower if lower < best[p] else best[p]


@_njit(fastmath={"contract"})
def _score(half, centroid, point, width):
    """Subtract the product of a centroid and a point; the compiler drops branches by the length of `width`."""
    half -= centroid[0] * point[0]
    if len(width) > 1:
        half -= centroid[1] * point[1]
    if len(width) > 2:
        half -= centroid[2] * point[2]
    if len(width) > 3:
        half -= centroid[3] * point[3]
    if len(width) > 4:
        half -= centroid[4] * point[4]
    if len(width) > 5:
        half -= centroid[5] * point[5]
    return half


def _by_width(spans: np.ndarray) -> Iterator[tuple[np.ndarray, tuple[int, ...]]]:
    """Group spans by how many columns they have: their numbers, and the `width` that `_assign` takes."""
    widths = spans[:, 1] - spans[:, 0]
    for width in np.unique(widths).tolist():
        yield np.flatnonzero(widths == width), (0,) * width if width <= MAX_NARROW else ()


def encode(rows: np.ndarray, codebooks: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Return product-quantisation codes, for each span of columns the nearest entry: (n, n_codes) uint8.

    `rows` are (n, dim), `codebooks` (n_entries <= 256, dim) float32; `spans` (n_codes, 2) stand side by side.
    """
    out = np.empty((len(rows), len(spans)), np.uint8)
    for chosen, width in _by_width(spans):
        _encode(rows, codebooks, spans, chosen, out, width)
    return out


@_kernel(parallel=True)
def _encode(rows, codebooks, spans, chosen, out, width):
    n = len(rows)
    for tile in numba.prange((n + TILE - 1) // TILE):
        first = tile * TILE
        size = min(TILE, n - first)
        codes = np.zeros(size, np.int32)
        nearest = np.empty(size, np.float32)
        for j in chosen:
            start, stop = spans[j]
            points = np.empty((stop - start, size), np.float32)
            for p in range(size):
                for d in range(stop - start):
                    points[d, p] = rows[first + p, start + d]
            _assign(points, size, codebooks[:, start:stop].copy(), codes, nearest, width)
            for p in range(size):
                out[first + p, j] = codes[p]


@_kernel(parallel=True, fastmath={"reassoc"})
def start(points, spans, draws):
    """Draw rows to start k-means from, for each span of dimensions by itself: (n_entries, dim) float32.

    Each is drawn with a probability that goes by its squared distance to the nearest drawn before (k-means++;
    Arthur and Vassilvitskii, 2007). Rare vectors, far from all others, get centroids from the beginning, which
    Lloyd's steps would take long to bring there. `points` are (dim, n), `draws` (n_codes, n_entries) random
    numbers from 0 to 1.
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


def train(points: np.ndarray, codebooks: np.ndarray, spans: np.ndarray, n_iter: int) -> None:
    """Move `codebooks` by Lloyd's k-means, for each span of dimensions by itself.

    Early steps only find where centroids roughly belong, for which few rows do: two thirds of the steps see 32
    rows a centroid, the next 128, and the last fifth all. `points` are (dim, n) rows in random order.
    """
    for chosen, width in _by_width(spans):
        _train(points, codebooks, spans[chosen], n_iter, width)


@_kernel(parallel=True)
def _train(points, codebooks, spans, n_iter, width):
    n, n_entries = points.shape[1], len(codebooks)
    for j in numba.prange(len(spans)):
        begin, end = spans[j]
        codes = np.zeros(n, np.int32)  # where squares overflow, no entry is nearest
        nearest = np.empty(n, np.float32)
        entries = codebooks[:, begin:end].copy()
        for step in range(1, n_iter + 1):
            seen = 32 * n_entries if 3 * step <= 2 * n_iter else 128 * n_entries if 5 * step <= 4 * n_iter else n
            seen = min(seen, n)
            _assign(points[begin:end], seen, entries, codes, nearest, width)
            _move(points[begin:end], seen, entries, codes, nearest, PACE if step < n_iter else 1.0)
        _copy(entries, codebooks[:, begin:end])


@_njit
def _move(points, n, centroids, codes, nearest, pace):
    """Do one Lloyd step over the first `n` points: centroids to their means, empty ones to far points.

    With a `pace` above 1 they move beyond the mean by as much. Below 2 that still takes each closer to it, and
    they get where they are going in about half the steps (Lee, Baek and Sung, "A fast LBG codebook training
    algorithm for vector quantization", 1997).
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


# -- coded n-grams that serve words -------------------------------------------------------


@_kernel(parallel=True)
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
    """Move each entry of one codebook to where it serves the words best."""
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
            _move_on(step, indptr[j], indptr[j + 1], words, weights, left)
            for at in range(indptr[j], indptr[j + 1]):
                share[words[at]] = 0


@_njit
def _settle_codes(indptr, words, weights, squares, bound, prior, codes, entries, left):
    """Choose each row's entry of one codebook so that it serves the words best."""
    dim = entries.shape[1]
    padded, half = _padded(entries)
    across = padded.T.copy()
    score = np.empty(len(half), np.float32)
    target = np.empty(dim, np.float32)
    for j in range(len(codes)):
        if squares[j] + bound == 0:
            continue
        old = codes[j]
        target[:] = 0
        _add_pull(target, indptr[j], indptr[j + 1], words, weights, left)
        for d in range(dim):
            target[d] = (target[d] + squares[j] * entries[old, d] + bound * prior[j, d]) / (squares[j] + bound)
        new = _nearest_entry(target, across, half, score)
        if new != old:
            codes[j] = new
            for d in range(dim):
                target[d] = entries[new, d] - entries[old, d]
            _move_on(target, indptr[j], indptr[j + 1], words, weights, left)


@_njit
def _add_pull(pull, begin, end, words, weights, left):
    """Add what a row's words lack of it, each by its weight."""
    for at in range(begin, end):
        word = words[at]
        for d in range(len(pull)):
            pull[d] += weights[word] * left[word, d]


@_njit
def _move_on(step, begin, end, words, weights, left):
    """Update what a row's words lack once the row has moved by `step`."""
    for at in range(begin, end):
        word = words[at]
        for d in range(len(step)):
            left[word, d] -= weights[word] * step[d]


@_njit(fastmath={"contract", "nnan", "nsz"})
def _nearest_entry(point, across, half, score):
    """Return the entry nearest to a point; `across` is (dim, n_entries), `half` half their squared norms."""
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
