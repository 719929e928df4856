"""`SQ`: scalar quantisation, each number by itself in fewer bits."""

from typing import ClassVar

import numpy as np

from ..storage import Coded, Scaled, Storage
from .values import ValueStep, finite_blocks


class SQ(ValueStep):
    """Store numbers as float16, with a power of two as the scale of each column.

    The scale is exact and keeps every value in range, so what is lost is float16's rounding:
    about 1 part in 2,000.

    Parameters
    ----------
    dtype : {"float16"}
    on : {"all", "words", "ngrams"}
        Which rows to store so.
    """

    DTYPES: ClassVar = ("float16",)

    def __init__(self, dtype: str = "float16", on: str = "all"):
        self.dtype = dtype
        self.on = on

    def _check(self) -> None:
        if self.dtype not in self.DTYPES:
            raise ValueError(f"SQ: dtype must be one of {self.DTYPES}, got {self.dtype!r}")

    def _learn(self, part: Storage, which: str) -> np.ndarray:
        if isinstance(part, Coded):
            raise ValueError(f"{self!r} would make codes larger: use it in the place of PQ, not after it")
        largest = np.zeros(part.shape[1], np.float32)
        for _, block in finite_blocks(part, which):
            np.maximum(largest, np.abs(block).max(axis=0), out=largest)
        _, exponent = np.frexp(largest)
        exponent = np.minimum(exponent, 127)  # float32 has no greater power of two
        return np.ldexp(np.float32(1), exponent).astype(np.float32)  # (dim,), |value / scale| < 2

    def _encode(self, part: Storage, which: str, learned: np.ndarray) -> Storage:
        matrix = np.empty(part.shape, np.float16)
        for start, block in part.blocks():
            matrix[start : start + len(block)] = block / learned
        return Scaled(matrix, learned)
