"""Rows that come one after another: kept in memory while they are few, else in a temporary file."""

import tempfile
from collections.abc import Iterable

import numpy as np

MAX_IN_MEMORY = 1 << 27  # bytes; pages of a file can be dropped and read again, so that memory does not run out


def spooled(blocks: Iterable[np.ndarray], dim: int) -> np.ndarray:
    """Return blocks of rows, (any, dim) float32, as one matrix.

    More bytes than `MAX_IN_MEMORY` are mapped from a nameless file in `tempfile.gettempdir()` (the environment
    variable ``TMPDIR`` chooses it; it should lie on a disk). It is gone once the matrix is, whatever ends the process.
    """
    with tempfile.SpooledTemporaryFile(MAX_IN_MEMORY) as file:
        for block in blocks:
            try:
                file.write(np.ascontiguousarray(block).data)
            except OSError as error:
                error.add_note(f"rows beyond memory go to {tempfile.gettempdir()}; TMPDIR names another place")
                raise
        n_bytes = file.tell()
        shape = n_bytes // (4 * dim), dim
        file.seek(0)  # which flushes
        if n_bytes > MAX_IN_MEMORY:
            return np.asarray(np.memmap(file, np.float32, mode="r+", shape=shape))
        rows = np.empty(shape, np.float32)
        file.readinto(rows.data)
        return rows
