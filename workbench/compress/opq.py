"""`OPQ`: product quantisation of rotated rows."""

import numpy as np

from .. import progress
from ..storage import Coded, Projected, Storage, halved
from .base import check_int
from .pq import PQ
from .svd import principal_axes

ROTATING_POINTS = 64  # training rows for each codebook entry while the rotation is learned: it needs fewer


class OPQ(PQ):
    """Turn rows so that subvectors suit product quantisation, then quantise.

    Ge, He, Ke and Sun, "Optimized Product Quantization" (2013), the non-parametric solution:
    codes and rotation in turn, each the best for the other; the start is their parametric one,
    principal directions dealt out so that every subvector carries about the same.

    Parameters
    ----------
    n_subvectors, n_bits, n_iter, on, random_state
        As for `PQ`.
    n_rotations : int
        Times that the rotation is learned anew.
    """

    def __init__(
        self,
        n_subvectors: int = 50,
        n_bits: int = 8,
        n_iter: int = 25,
        n_rotations: int = 12,
        on: str = "all",
        random_state: int = 0,
    ):
        super().__init__(n_subvectors, n_bits, n_iter, on, random_state)
        self.n_rotations = n_rotations

    def _check(self) -> None:
        super()._check()
        check_int(self, "n_rotations", 0)

    def _learn(self, part: Storage, which: str) -> tuple:
        """Codebooks and spans as of `PQ`, and the rotation: (dim, dim) float32, rows times it are turned."""
        from .. import kernels

        n_bits = int(self.n_bits)
        sample, spans = self._sample(part, which)
        few = sample[: ROTATING_POINTS * 2**n_bits]
        axes = principal_axes(part, which)
        carried = np.square(few @ axes.T).sum(axis=0)  # (dim,)
        rotation = axes[dealt_out(carried, spans)].T
        turned = few @ rotation
        codebooks = self._start(turned, spans)
        kernels.train(np.ascontiguousarray(turned.T), codebooks, spans, self.n_iter)
        for _ in progress.bar(range(self.n_rotations), desc="OPQ", unit="rotation", leave=False, delay=2):
            kernels.train(np.ascontiguousarray(turned.T), codebooks, spans, 1)
            codes = kernels.encode(turned, codebooks, spans)
            coded = Coded.of(codes, codebooks, spans, turned.shape[1], n_bits)
            left, _, right = np.linalg.svd(few.T @ coded.rows(slice(None)))
            rotation = left @ right  # orthogonal Procrustes (Schoenemann, 1966)
            turned = few @ rotation
        kernels.train(np.ascontiguousarray((sample @ rotation).T), codebooks, spans, self.n_iter)
        return codebooks, spans, rotation

    def _encode(self, part: Storage, which: str, learned: tuple) -> Storage:
        *of_pq, rotation = learned
        return Projected(super()._encode(Projected(part, rotation), which, tuple(of_pq)), halved(rotation.T.copy()))


def dealt_out(carried: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Which direction each column takes, so that the product of what a subvector carries is even: (dim,).

    Directions are dealt in order, the greatest first, each to the subvector with room whose
    product is least so far.
    """
    room = (spans[:, 1] - spans[:, 0]).tolist()
    products = np.zeros(len(spans))  # logarithms
    columns = [start for start, _ in spans]
    order = np.empty(len(carried), np.int64)
    weights = np.log(np.maximum(carried / max(carried.max(), 1e-30), 1e-9))
    for direction, weight in enumerate(weights - weights.min()):  # at least 0, so that more is more
        best = min((j for j in range(len(spans)) if room[j]), key=lambda j: products[j])
        order[columns[best]] = direction
        columns[best] += 1
        room[best] -= 1
        products[best] += weight
    return order
