"""Rows that come one after another: kept in memory while they are few, else in a temporary file."""

import io
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from typing import IO

import numpy as np

ZEROS = 16_384  # rows written at once
MAX_IN_MEMORY = 1 << 26  # bytes; pages of a file can be dropped and read again, so that memory does not run out


def spooled(blocks: Iterable[np.ndarray], dim: int, n: int = 0) -> np.ndarray:
    """Return blocks of rows, (any, dim) float32, as one matrix, without copying it; `n` rows in all, where it is known.

    More bytes than `MAX_IN_MEMORY` are mapped from a nameless file in `tempfile.gettempdir()` (the environment
    variable ``TMPDIR`` chooses it; it should lie on a disk). It is gone once the matrix is, whatever ends the process.
    """
    if n and 4 * n * dim <= MAX_IN_MEMORY:  # what grows in memory is moved and leaves holes there
        known, at = np.empty((n, dim), np.float32), 0
        for block in blocks:
            known[at : at + len(block)] = block
            at += len(block)
        return known
    rows: IO[bytes] = io.BytesIO()
    with ExitStack() as opened:
        for block in blocks:
            try:
                if isinstance(rows, io.BytesIO) and rows.tell() + block.nbytes > MAX_IN_MEMORY:
                    file = opened.enter_context(tempfile.TemporaryFile())
                    file.write(rows.getbuffer())
                    rows = file
                rows.write(np.ascontiguousarray(block).data)
            except OSError as error:
                error.add_note(f"rows beyond memory go to {tempfile.gettempdir()}; TMPDIR names another place")
                raise
        if isinstance(rows, io.BytesIO):
            return np.frombuffer(rows.getbuffer(), np.float32).reshape(-1, dim)
        shape = rows.tell() // (4 * dim), dim
        rows.flush()
        return np.asarray(np.memmap(rows, np.float32, mode="r+", shape=shape))


def zeros(n: int, dim: int) -> np.ndarray:
    """Return zeros to add to, (n, dim) float32, `spooled`."""
    return spooled((np.zeros((min(ZEROS, n - start), dim), np.float32) for start in range(0, n, ZEROS)), dim, n)
