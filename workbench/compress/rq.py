"""`RQ`: residual quantisation; residual k-means and codes, which semantic IDs use too."""

import numpy as np

from .. import progress
from ..storage import Coded, Storage, halved
from .base import parameter
from .kmeans import SCORES, kmeans, nearest_entries
from .outline import Rows
from .values import ROWS, ValueStep, check_squares, encoded_rows, training_rows

POINTS_A_CENTROID = 512  # rows that k-means sees at a level; with 256, others fall behind from level to level
FEW = 128  # rows for each centroid; with fewer, the start of a level is that of the one before
STARTING_POINTS = 16  # of them, those that the start is drawn from
PACE_OF_FEW = 1.5  # of k-means with few rows for each centroid, where five steps of `kernels.PACE` are too few


class RQ(ValueStep):
    """Approximate a row by a sum: the nearest of a few centroids, then of the rest, and so on.

    Chen, Guan and Wang, "Approximate nearest neighbor search by residual vector quantization"
    (2010). Level by level, k-means runs on what the levels before left over. With a beam, a row
    is coded by the best of several sums, not by the nearest centroid of each level in turn
    (Babenko and Lempitsky, 2014): a little closer, slower to encode, and the first codes are no
    longer those of a shorter code. Every level has a codebook of whole rows, which outweighs the
    codes of a small vocabulary: `PQ` and `OPQ` are for those.

    Parameters
    ----------
    n_levels : int
        Codes a row, each of `n_bits`.
    beam : int
        Sums kept from level to level; 1 is greedy.
    n_bits, n_iter, on, random_state
        As for `PQ`; k-means may end sooner.
    """

    label = "RQ"
    blurb = "describes each vector as a sum of typical vectors, each of which corrects the error of those before."
    advice = "the codebooks outweigh the rows; take fewer levels or bits, or use SQ"

    n_levels: int = parameter(8, "count", "Levels", 1, lambda v: v.dim, brief="{:,} levels")
    n_bits: int = parameter(8, "whole", "Bits a code", 1, 8)
    beam: int = parameter(1, "whole", "Beam", 1, 64, main=False)
    n_iter: int = parameter(25, "whole", "Rounds of k-means", 1, main=False)
    on: str = parameter("all", "choice", "Rows", choices=ROWS, of_ngrams=True, brief="of {}")
    random_state: int = parameter(0, "seed", "Seed")

    def _stored(self, rows: Rows) -> Rows | None:
        return rows.coded(self.n_levels, self.n_bits, self.n_levels * rows.dim)

    def _learn(self, part: Storage, which: str) -> np.ndarray:
        """Codebooks: (n_levels, 2**n_bits, dim) float32."""
        sample = training_rows(self, part, which, POINTS_A_CENTROID)
        return residual_kmeans(sample, self.n_levels, 2 ** int(self.n_bits), self.n_iter, self.random_state)

    def _encode(self, part: Storage, which: str, learned: np.ndarray) -> Storage:
        def encode(block: np.ndarray) -> np.ndarray:
            check_squares(block, f"{self!r}: the {which}", also_small=False)
            return beam_codes(block, learned, self.beam)

        codes = encoded_rows(self, part, which, len(learned), np.uint8, encode)
        return Coded.of_levels(codes, halved(learned))


def residual_kmeans(
    rows: np.ndarray, n_levels: int, n_entries: int, n_iter: int = 25, random_state: int = 0
) -> np.ndarray:
    """Return codebooks by k-means on the rows, then on their residuals, and so on.

    Chen, Guan and Wang (2010). A level sees at most 512 rows an entry, drawn at random for it alone.
    It starts by k-means++ and ends when a step gains next to nothing. With fewer than 128 rows an entry, later
    levels start from the same rows each time, which fits few rows closer; with many, it would find groups again
    whose means were subtracted before. With fewer distinct rows than entries, some entries are the same.

    `rows` are (n, dim); codebooks are (n_levels, n_entries, dim) float32.
    """
    from .. import kernels

    if min(n_levels, n_entries, n_iter) < 1:
        raise ValueError(f"expected at least 1 level, entry and step, got {n_levels}, {n_entries} and {n_iter}")
    rng = np.random.default_rng(random_state)
    left = np.array(rows, np.float32, order="C")  # (n, dim) residuals of the levels so far
    if left.ndim != 2 or not len(left) or not np.isfinite(left).all():
        raise ValueError(f"k-means needs at least one row, all of finite numbers; got an array of shape {left.shape}")
    check_squares(left, "the rows")
    order, few = rng.permutation(len(left)), len(left) < FEW * n_entries
    codebooks = np.empty((n_levels, n_entries, left.shape[1]), np.float32)
    whole = np.array([[0, left.shape[1]]], np.int32)  # one span of all columns
    total = n_levels * n_iter
    with progress.bar(total=total, desc="residual k-means", unit="step", leave=False, delay=2) as bar:
        for level in range(n_levels):
            if level and not few:
                order = rng.permutation(len(left))
            sample = left[order[: POINTS_A_CENTROID * n_entries]]
            if level and few:
                start = sample[np.arange(n_entries) % len(sample)]
            else:  # by k-means++ among the first few rows for each entry
                first = np.ascontiguousarray(sample[: STARTING_POINTS * n_entries].T)  # (dim, n)
                start = kernels.start(first, whole, rng.random((1, n_entries)))
            codebooks[level] = kmeans(sample, start, n_iter, bar, PACE_OF_FEW if few else None)
            left -= codebooks[level][nearest_entries(left, codebooks[level])[0]]
    return codebooks


def beam_codes(rows: np.ndarray, codebooks: np.ndarray, beam: int = 1) -> np.ndarray:
    """Return residual codes of rows: (n, n_levels), uint8 for up to 256 entries, else as wide as needed.

    The search keeps `beam` sums from level to level, of equal ones the first; 1 is greedy.
    """
    from .. import kernels

    n_levels, n_entries, _ = codebooks.shape
    codes = np.empty((len(rows), n_levels), np.min_scalar_type(n_entries - 1))
    levels = [
        (entries, np.ascontiguousarray(entries.T), np.einsum("kd,kd->k", entries, entries) / 2) for entries in codebooks
    ]

    def work(block: slice) -> None:
        if beam > 1:
            codes[block] = _beam(rows[block], codebooks, beam)
            return
        left = np.array(rows[block], np.float32)  # a block goes through all levels while it is in the cache
        for level, (entries, across, half) in enumerate(levels):
            codes[block, level] = chosen = (left @ across - half).argmax(axis=1)
            left -= entries.take(chosen, axis=0)

    kernels.in_threads(work, len(rows), max(1, SCORES // (n_entries * beam)))
    return codes


def _beam(rows: np.ndarray, codebooks: np.ndarray, beam: int) -> np.ndarray:
    """The best of the sums kept: (n, n_levels)."""
    n, dim = rows.shape
    n_entries = codebooks.shape[1]
    left = rows[:, None, :]  # (n, kept, dim) residuals of the sums kept
    errors = np.zeros((n, 1), np.float32)  # (n, kept) their squared lengths, less a part common to a row
    codes = np.empty((n, 1, 0), np.intp)  # (n, kept, levels so far)
    for level, entries in enumerate(codebooks):
        squares = np.einsum("kd,kd->k", entries, entries)
        products = (left.reshape(-1, dim) @ entries.T).reshape(n, -1, n_entries)  # (n, kept, n_entries)
        flat = (errors[:, :, None] + squares - 2 * products).reshape(n, -1)
        kept = 1 if level == len(codebooks) - 1 else min(beam, flat.shape[1])
        best = np.argmin(flat, axis=1)[:, None] if kept == 1 else np.argpartition(flat, kept - 1, axis=1)[:, :kept]
        parents, chosen = np.divmod(best, n_entries)  # (n, kept)
        errors = np.take_along_axis(flat, best, axis=1)
        left = np.take_along_axis(left, parents[:, :, None], axis=1) - entries[chosen]
        codes = np.take_along_axis(codes, parents[:, :, None], axis=1)
        codes = np.concatenate([codes, chosen[:, :, None]], axis=2)
    return codes[:, 0]
