"""`SQ`: scalar quantisation, each number by itself in fewer bits."""

from dataclasses import replace
from typing import Any

import numpy as np

from ..storage import Coded, Scaled, Storage
from .base import parameter
from .outline import Rows
from .pq import PQ
from .values import ROWS, ValueStep, encoded_rows, finite_blocks


class SQ(ValueStep):
    """Store each number by itself in fewer bits.

    ``"float16"`` has a power of two as the scale of each column: exact, and every value stays in
    range, so that only float16's rounding is lost, about 1 part in 2,000. ``"int8"`` divides each
    column's range into 255 even steps. ``"kmeans"`` clusters each column's values into
    ``2 ** n_bits`` of them (Han, Mao and Dally, "Deep Compression", 2016, do so for weights) and
    stores which, bit-packed: product quantisation with one column a subvector.

    Parameters
    ----------
    dtype : {"float16", "int8", "kmeans"}
        How each number is stored.
    n_bits : int, 2 to 8
        Bits a number, for ``"kmeans"``.
    on : {"all", "words", "ngrams"}
        The rows to store in fewer bits.
    random_state : int
        Seed of k-means.
    """

    label = "Fewer bits a number"
    blurb = "stores each number in fewer bits."

    dtype: str = parameter("float16", "choice", "Numbers as", choices=("float16", "int8", "kmeans"), brief="{}")
    n_bits: int = parameter(4, "whole", "Bits a number", 2, 8, main=False)
    on: str = parameter("all", "choice", "Rows", choices=ROWS, of_ngrams=True, brief="of {}")
    random_state: int = parameter(0, "seed", "Seed")

    def loses_alike(self) -> bool:
        return True

    def _stored(self, rows: Rows) -> Rows | None:
        if rows.kind == "coded":
            return None
        if self.dtype == "kmeans":
            return rows.coded(rows.dim, self.n_bits, rows.dim)
        return replace(rows, row=rows.dim * (1 if self.dtype == "int8" else 2), shared=4 * rows.dim, kind="scaled")

    def _learn(self, part: Storage, which: str) -> Any:
        if isinstance(part, Coded):
            raise ValueError(f"{self!r} would make codes larger: use it in the place of PQ, not after it")
        if self.dtype == "kmeans":
            return self._columns(part)._learn(part, which)
        largest = np.zeros(part.shape[1], np.float32)
        for _, block in finite_blocks(part, which):
            np.maximum(largest, np.abs(block).max(axis=0), out=largest)
        if self.dtype == "int8":
            steps = largest / np.float32(127)  # (dim,)
            return np.where(steps > 0, steps, 1).astype(np.float32)
        _, exponent = np.frexp(largest)
        exponent = np.minimum(exponent, 127)  # float32 has no greater power of two
        return np.ldexp(np.float32(1), exponent).astype(np.float32)  # (dim,), |value / scale| < 2

    def _encode(self, part: Storage, which: str, learned: Any) -> Storage:
        if self.dtype == "kmeans":
            return self._columns(part)._encode(part, which, learned)
        width, dtype = part.shape[1], self.dtype
        rows = encoded_rows(self, part, which, width, dtype, lambda block: Scaled.of(block, dtype, learned).matrix)
        return Scaled(rows, learned)

    def _columns(self, part: Storage) -> PQ:
        """The product quantiser with one column a subvector."""
        return PQ(part.shape[1], n_bits=self.n_bits, random_state=self.random_state)
