"""What the formats share that are folders: their files found, JSON read, `Vectors` made of a mapped matrix."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..storage import Dense, Normed, Scaled, Storage
from ..vectors import Vectors
from ..vocab import Vocab


def file_in(folder: Path, name: str, title: str) -> Path:
    """The path of a file that a folder of this format must have.

    Raises
    ------
    ValueError
        If it is not there, or is no plain file.
    """
    path = folder / name
    try:
        is_there = path.is_file()
    except OSError:  # a name that no file system takes
        is_there = False
    if not is_there:
        raise ValueError(f"{path} is missing, or is no file: {title} needs it")
    return path


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises
    ------
    ValueError
        If it holds no JSON, or JSON that is nested too deeply.
    """
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError(f"{path} is damaged: its JSON is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{path} is damaged, or no JSON: {error}") from error


def mapped_array(path: Path) -> np.ndarray:
    """The array of a ``.npy`` file, mapped, so that its shape must fit the file.

    Raises
    ------
    ValueError
        If it is none, damaged, or cut short.
    """
    with open(path, "rb") as file:
        head = file.read(12)
    # numpy sets memory aside for as long a header as version 2 and later claim, up to 4 GB.
    claimed = int.from_bytes(head[8:12], "little") if head[6:7] > b"\x01" else 0
    if not head.startswith(np.lib.format.MAGIC_PREFIX) or claimed > path.stat().st_size:
        raise ValueError(f"{path} should be a .npy array, and begins with {head!r}: damaged")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy evaluates the header: what a damaged one raises is of a dozen kinds
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is no .npy array that can be mapped, damaged or cut short: {reason}") from error


def vectors_over(
    words: list[str], rows: np.ndarray, matrix: np.ndarray, files: list[Path], weights: np.ndarray | None = None
) -> Vectors:
    """`Vectors` of words whose row numbers are known; the matrix stays where it is.

    Parameters
    ----------
    words : list of str
        Without repeats.
    rows : (n_words,) int array
    matrix : (n_rows, dim) array of floats or int8
        Rows that no word has may be among them.
    files : list of Path
        What all this was read from, the folder that the user named first.
    weights : (n_rows,) array of floats, optional
        What each row is multiplied with.
    """
    is_in_order = np.array_equal(rows, np.arange(len(rows)))
    if is_in_order:
        matrix, weights = matrix[: len(rows)], None if weights is None else weights[: len(rows)]
    storage = stored(matrix)
    if weights is not None:
        storage = Normed(storage, stored(weights[:, None]))
    n_bytes = sum(path.stat().st_size for path in files[1:])
    provenance = {"source": files[0].name, "source_bytes": n_bytes}
    return Vectors(Vocab(words, None if is_in_order else rows), storage, {"provenance": provenance})


def stored(matrix: np.ndarray) -> Storage:
    """A storage over a matrix: float16 and int8 as they are, other types of floats as float32."""
    little = matrix.dtype.newbyteorder("<")
    if little == matrix.dtype and matrix.dtype in (np.float16, np.int8):
        return Scaled(matrix, np.ones(matrix.shape[1], np.float32))
    with np.errstate(over="ignore"):  # what becomes infinite is refused later, by row and word
        return Dense(np.ascontiguousarray(matrix, "<f4"))
