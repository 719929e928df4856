"""Rows that come one after another: kept in memory while they are few, else in a file without a name."""

import io
import tempfile
from collections.abc import Iterable
from types import TracebackType
from typing import BinaryIO

import numpy as np

MAX_IN_MEMORY = 1 << 27  # bytes; beyond, pages can be dropped and read again, so that memory does not run out


class Spool:
    """Collects rows of float32 and gives them back as one matrix; a context manager.

    More bytes than `MAX_IN_MEMORY` go to a temporary file in `tempfile.gettempdir()`, which the
    environment variable ``TMPDIR`` decides: it should lie on a disk with that much space, for on
    a file system in memory (tmpfs) nothing is won. The file has no name, so that nothing stays
    behind, whatever ends the process; its space is free again once the matrix is.

    Parameters
    ----------
    dim : int
        Numbers in a row.

    Raises
    ------
    OSError
        If the disk is full, saying where that file was.
    """

    def __init__(self, dim: int):
        self.dim = dim
        self._file: BinaryIO = io.BytesIO()

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not isinstance(self._file, io.BytesIO):
            self._file.close()

    def write(self, rows: bytes | np.ndarray) -> None:
        """Add rows: (n, dim) float32, or their bytes."""
        try:
            self._file.write(rows if isinstance(rows, bytes) else np.ascontiguousarray(rows).data)
            if isinstance(self._file, io.BytesIO) and self._file.tell() > MAX_IN_MEMORY:
                file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
                file.write(self._file.getbuffer())
                self._file = file
        except OSError as error:
            error.add_note(
                f"rows that memory should not hold go to {tempfile.gettempdir()}; TMPDIR names another place"
            )
            raise

    def matrix(self) -> np.ndarray:
        """All rows: (n, dim) float32, mapped if they are in a file."""
        if isinstance(self._file, io.BytesIO):
            return np.frombuffer(self._file.getbuffer(), np.float32).reshape(-1, self.dim)
        n_rows = self._file.tell() // (4 * self.dim)
        self._file.flush()
        return np.asarray(np.memmap(self._file, np.float32, mode="r+", shape=(n_rows, self.dim)))


def spooled(blocks: Iterable[np.ndarray], dim: int) -> np.ndarray:
    """Blocks of rows, (any, dim) float32, as one matrix, in a file if it is large."""
    with Spool(dim) as spool:
        for block in blocks:
            spool.write(block)
        return spool.matrix()
