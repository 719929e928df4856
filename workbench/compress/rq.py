"""`RQ`: residual quantisation."""

import numpy as np

from .. import progress
from ..storage import Coded, Storage
from .base import check_int
from .values import ValueStep, training_rows

POINTS_A_CENTROID = 128  # training rows for each centroid
BLOCK = 2_048  # rows encoded at once


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
    n_bits : int, 1 to 8
        There are ``2 ** n_bits`` centroids at each level.
    beam : int
        Sums kept from level to level; 1 is greedy.
    n_iter : int
        Steps of k-means, at most.
    on : {"all", "words", "ngrams"}
        Which rows to store so; each kind gets codebooks of its own.
    random_state : int
        Seed of the choice of training rows and of k-means.
    """

    def __init__(
        self,
        n_levels: int = 8,
        n_bits: int = 8,
        beam: int = 1,
        n_iter: int = 25,
        on: str = "all",
        random_state: int = 0,
    ):
        self.n_levels = n_levels
        self.n_bits = n_bits
        self.beam = beam
        self.n_iter = n_iter
        self.on = on
        self.random_state = random_state

    def _check(self) -> None:
        for name, low, high in (("n_levels", 1, None), ("n_bits", 1, 8), ("beam", 1, 64), ("n_iter", 1, None)):
            check_int(self, name, low, high)
        check_int(self, "random_state", 0)

    def _learn(self, part: Storage, which: str) -> np.ndarray:
        """Codebooks: (n_levels, 2**n_bits, dim) float32."""
        from sklearn.cluster import KMeans

        from ..kernels import LOCK

        left = training_rows(self, part, which, POINTS_A_CENTROID)  # (n_sample, dim)
        n_entries = 2 ** int(self.n_bits)
        codebooks = np.empty((self.n_levels, n_entries, part.shape[1]), np.float32)
        for level in progress.bar(range(self.n_levels), desc="RQ", unit="level", leave=False, delay=2):
            means = KMeans(n_entries, init="random", n_init=1, max_iter=self.n_iter, random_state=self.random_state)
            with LOCK:
                codes = means.fit_predict(left)
            codebooks[level] = means.cluster_centers_
            left -= codebooks[level][codes]
        return codebooks

    def _encode(self, part: Storage, which: str, learned: np.ndarray) -> Storage:
        n_levels, n_entries, dim = learned.shape
        codes = np.empty((len(part), n_levels), np.uint8)
        with progress.bar(total=len(part), desc="RQ codes", unit=" rows", leave=False, delay=2) as bar:
            for start, block in part.blocks(BLOCK):
                codes[start : start + len(block)] = beam_codes(block, learned, self.beam)
                bar.update(len(block))
        spans = np.tile(np.array([[0, dim]], np.int32), (n_levels, 1))
        side_by_side = learned.transpose(1, 0, 2).reshape(n_entries, n_levels * dim).copy()
        return Coded.of(codes, side_by_side, spans, dim, int(self.n_bits))

    def _advice(self, v) -> str:
        return "the codebooks outweigh the rows; take fewer levels or bits, or use SQ"


def beam_codes(rows: np.ndarray, codebooks: np.ndarray, beam: int) -> np.ndarray:
    """Residual codes by beam search.

    Parameters
    ----------
    rows : (n, dim) float32 array
    codebooks : (n_levels, n_entries, dim) float32 array
    beam : int
        Sums kept from level to level; of equal ones the first.

    Returns
    -------
    (n, n_levels) uint8 array
    """
    n, n_entries = len(rows), codebooks.shape[1]
    left = rows[:, None, :]  # (n, kept, dim), what each kept sum leaves over
    errors = np.zeros((n, 1), np.float32)  # (n, kept), its squared length, less a part common to a row
    codes = np.empty((n, 1, 0), np.uint8)  # (n, kept, levels so far)
    for level, centroids in enumerate(codebooks):
        squares = np.einsum("kd,kd->k", centroids, centroids)
        costs = errors[:, :, None] + squares - 2 * (left @ centroids.T)  # (n, kept, n_entries)
        kept = 1 if level == len(codebooks) - 1 else min(beam, costs.shape[1] * n_entries)
        flat = costs.reshape(n, -1)
        best = np.argmin(flat, axis=1)[:, None] if kept == 1 else np.argpartition(flat, kept - 1, axis=1)[:, :kept]
        parents, entries = np.divmod(best, n_entries)  # (n, kept)
        errors = np.take_along_axis(flat, best, axis=1)
        left = np.take_along_axis(left, parents[:, :, None], axis=1) - centroids[entries]
        codes = np.take_along_axis(codes, parents[:, :, None], axis=1)
        codes = np.concatenate([codes, entries[:, :, None].astype(np.uint8)], axis=2)
    return codes[:, 0]
