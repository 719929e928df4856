"""Helpers for formats that are folders: files found, JSON and arrays read, `Vectors` made of a mapped matrix."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import MAX_MESSAGE, reading
from ..storage import Dense, Normed, Scaled, Storage
from ..vectors import Vectors
from ..vocab import Vocab

BF16 = {"BF16": "V2"}  # a type of safetensors that numpy does not have: two bytes, to be widened


def file_in(folder: Path, name: str, title: str) -> Path:
    if not os.path.isfile(folder / name):  # also False for names that no file system takes
        raise ValueError(f"{folder / name} is missing, or is no file: {title} needs it")
    return folder / name


def read_json(path: Path) -> Any:
    with reading(path, "JSON"):
        return json.loads(path.read_bytes())


def mapped_array(path: Path) -> np.ndarray:
    """Return the array of a ``.npy`` file, mapped, so that its shape must fit the file."""
    with open(path, "rb") as file:
        head = file.read(12)
    # numpy sets memory aside for as long a header as version 2 and later claim, up to 4 GB.
    claimed = int.from_bytes(head[8:12], "little") if head[6:7] > b"\x01" else 0
    if not head.startswith(np.lib.format.MAGIC_PREFIX) or claimed > path.stat().st_size:
        raise ValueError(f"{path} should be a .npy array, and begins with {head!r}: damaged")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy evaluates the header: a damaged one raises errors of a dozen kinds
        reason = " ".join(str(error).split())[:MAX_MESSAGE]
        raise ValueError(f"{path} is no .npy array that can be mapped, damaged or cut short: {reason}") from error


def as_floats(matrix: np.ndarray) -> np.ndarray:
    """Return bfloat16, the upper half of float32, as float32; other numbers as they are."""
    return (matrix.view("<u2").astype("<u4") << 16).view("<f4") if matrix.dtype.kind == "V" else matrix


def vectors_over(
    words: list[str], rows: np.ndarray, matrix: np.ndarray, files: list[Path], weights: np.ndarray | None = None
) -> Vectors:
    """Return `Vectors` of different words and the row that each has, (n_words,) int.

    The matrix, (n_rows, dim) of floats or int8, stays where it is; `weights`, (n_rows,), are factors of its rows.
    """
    is_in_order = np.array_equal(rows, np.arange(len(rows)))
    kept = slice(len(rows) if is_in_order else None)
    storage = stored(matrix[kept])
    if weights is not None:
        storage = Normed(storage, stored(weights[kept, None]))
    size = sum(path.stat().st_size for path in files)
    return Vectors(Vocab(words, None if is_in_order else rows), storage, {"provenance": {"source_bytes": size}})


def stored(matrix: np.ndarray) -> Storage:
    """Return a storage over a matrix: float16 and int8 as they are, other types of floats as float32."""
    if matrix.dtype.isnative and matrix.dtype in (np.float16, np.int8):
        return Scaled(matrix, np.ones(matrix.shape[1], np.float32))
    with np.errstate(over="ignore"):  # infinity is refused later, by row and word
        return Dense(np.ascontiguousarray(matrix, "<f4"))
