"""Rows that come one after another: kept in memory while they are few, else in a temporary file."""

import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np

MAX_IN_MEMORY = 1 << 27  # bytes; pages of a file can be dropped and read again, so that memory does not run out


class Spool:
    """Collects rows of `dim` float32 numbers and gives them back as one matrix; a context manager.

    More bytes than `MAX_IN_MEMORY` go to a nameless file in `tempfile.gettempdir()` (the environment variable
    ``TMPDIR`` chooses it; it should lie on a disk), which is gone once the matrix is, whatever ends the process.
    """

    def __init__(self, dim: int):
        self.dim = dim
        self._file = tempfile.SpooledTemporaryFile(MAX_IN_MEMORY)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    def write(self, rows: bytes | np.ndarray) -> None:
        """Add rows: (n, dim) float32, or their bytes. A full disk is an OSError that says where the file was."""
        try:
            self._file.write(rows if isinstance(rows, bytes) else np.ascontiguousarray(rows).data)
        except OSError as error:
            error.add_note(f"rows beyond memory go to {tempfile.gettempdir()}; TMPDIR names another place")
            raise

    def matrix(self) -> np.ndarray:
        """Return all rows: (n, dim) float32, mapped if they are in a file."""
        n_bytes = self._file.tell()
        shape = n_bytes // (4 * self.dim), self.dim
        self._file.seek(0)  # which flushes
        if n_bytes > MAX_IN_MEMORY:
            return np.asarray(np.memmap(self._file, np.float32, mode="r+", shape=shape))
        rows = np.empty(shape, np.float32)
        self._file.readinto(rows)
        return rows


def spooled(blocks: Iterable[np.ndarray], dim: int) -> np.ndarray:
    """Return blocks of rows, (any, dim) float32, as one matrix, in a file if it is large."""
    with Spool(dim) as spool:
        for block in blocks:
            spool.write(block)
        return spool.matrix()
