"""`OPQ`: product quantisation of rotated rows."""

from dataclasses import replace

import numpy as np

from .. import progress
from ..storage import Coded, Projected, Storage, halved
from .base import parameter
from .outline import ENTRY, Rows
from .pq import coded, first_codebooks, training_sample
from .svd import principal_axes
from .values import ROWS, ValueStep

ROTATING_POINTS = 64  # training rows for each codebook entry while the rotation is learned: it needs fewer


class OPQ(ValueStep):
    """Turn rows so that subvectors suit product quantisation, then quantise.

    Ge, He, Ke and Sun, "Optimized Product Quantization" (2013), the non-parametric solution:
    codes and rotation in turn, each the best for the other. It starts at their parametric one:
    principal directions, dealt out so that every subvector carries about the same.

    Parameters
    ----------
    n_subvectors, n_bits, n_iter, on, random_state
        As for `PQ`.
    n_rotations : int
        Number of times that the rotation is learned anew.
    """

    label = "OPQ"
    blurb = "rotates the vectors first, so that the pieces of `PQ` have smaller errors."
    advice = "the codebooks outweigh the rows; take fewer bits, or use SQ"

    n_subvectors: int = parameter(50, "count", "Subvectors", 1, lambda v: v.dim, brief="{:,} codes")
    n_bits: int = parameter(8, "whole", "Bits a code", 1, 8)
    n_iter: int = parameter(25, "whole", "Rounds of k-means", 1, main=False)
    n_rotations: int = parameter(12, "whole", "Rotations tried", main=False)
    on: str = parameter("all", "choice", "Rows", choices=ROWS, of_ngrams=True, brief="of {}")
    random_state: int = parameter(0, "seed", "Seed")

    def _stored(self, rows: Rows) -> Rows | None:
        new = rows.coded(self.n_subvectors, self.n_bits, rows.dim)
        return new and replace(new, axes=rows.axes + ENTRY * rows.dim**2)

    def _learn(self, part: Storage, which: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Codebooks and spans as of `PQ`, and the rotation: (dim, dim) float32, rows times it are turned."""
        from .. import kernels

        n_bits = int(self.n_bits)
        sample, spans = training_sample(self, part, which)
        few = sample[: ROTATING_POINTS * 2**n_bits]
        axes = principal_axes(part, which)
        carried = np.square(few @ axes.T).sum(axis=0)  # (dim,)
        rotation = axes[dealt_out(carried, spans)].T
        turned = few @ rotation
        codebooks = first_codebooks(self, turned, spans)
        kernels.train(np.ascontiguousarray(turned.T), codebooks, spans, self.n_iter)
        for _ in progress.bar(range(self.n_rotations), desc="OPQ", unit="rotation", leave=False, delay=2):
            kernels.train(np.ascontiguousarray(turned.T), codebooks, spans, 1)
            codes = kernels.encode(turned, codebooks, spans)
            decoded = Coded.of(codes, codebooks, spans, turned.shape[1], n_bits).rows(slice(None))
            left, _, right = np.linalg.svd(few.T @ decoded)
            rotation = left @ right  # orthogonal Procrustes (Schoenemann, 1966)
            turned = few @ rotation
        kernels.train(np.ascontiguousarray((sample @ rotation).T), codebooks, spans, self.n_iter)
        return codebooks, spans, rotation

    def _encode(self, part: Storage, which: str, learned: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Storage:
        codebooks, spans, rotation = learned
        turned = coded(self, Projected(part, rotation), which, codebooks, spans)
        return Projected(turned, halved(rotation.T.copy()))


def dealt_out(carried: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Return the direction that each column takes, so that subvectors carry even products: (dim,).

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
