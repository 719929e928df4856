"""`SVD`: fewer dimensions."""

from dataclasses import replace

import numpy as np

from ..storage import Dense, Projected, Storage
from .base import parameter
from .outline import Rows
from .values import ROWS, ValueStep, encoded_rows, finite_blocks


class SVD(ValueStep):
    """Store rows in the few directions that carry most of them (Eckart and Young, 1936).

    The best matrix of this rank in squared error: a truncated singular value decomposition,
    found from the (dim, dim) matrix of second moments, so that rows are read block by block.
    Rows are not centred, since a cosine is not either.

    Parameters
    ----------
    rank : int
        Dimensions to keep.
    on : {"all", "words", "ngrams"}
        The rows to project; each kind gets axes of its own.
    """

    label = "SVD"
    blurb = "keeps the directions in which the vectors differ most, and leaves out the others."
    advice = "take a lower rank, and SVD before PQ and SQ, not after them"

    rank: int = parameter(50, "count", "Dimensions kept", 1, lambda v: v.dim, brief="{:,} dimensions")
    on: str = parameter("all", "choice", "Rows", choices=ROWS, of_ngrams=True, brief="of {}")

    def _stored(self, rows: Rows) -> Rows | None:
        axes = rows.axes + 4 * self.rank * rows.dim
        return replace(Rows.dense(rows.n, self.rank), axes=axes) if self.rank <= rows.dim else None

    def _learn(self, part: Storage, which: str) -> np.ndarray:
        """The axes: (rank, dim) float32, the one that carries most first."""
        dim = part.shape[1]
        if self.rank > dim:
            raise ValueError(f"{self!r}: vectors of {dim} dimensions have at most rank {dim}")
        return principal_axes(part, which)[: self.rank]

    def _encode(self, part: Storage, which: str, learned: np.ndarray) -> Storage:
        inner = encoded_rows(self, part, which, len(learned), np.float32, lambda block: block @ learned.T)
        return Projected(Dense(inner), learned)


def principal_axes(part: Storage, which: str) -> np.ndarray:
    """Return the principal directions of the rows, one a row, the greatest first: (dim, dim) float32.

    Each points where its greatest part is positive, so that equal input gives equal axes.
    """
    moments = np.zeros((part.shape[1], part.shape[1]))  # (dim, dim) float64
    for _, block in finite_blocks(part, which):
        moments += block.T @ block.astype(np.float64)
    axes = np.linalg.eigh(moments)[1].T[::-1]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    return np.ascontiguousarray(axes * signs[:, None], np.float32)
