"""Matrices with ids or words: ``.npy``, ``.npz``, and ``.safetensors`` of other tools, such as document vectors.

Names of rows stand in the archive or beside the file; see `BESIDE`.
"""

import json
from pathlib import Path

import numpy as np
from safetensors import safe_open

from .. import artefact
from ..checks import reading, warn
from ..vectors import Vectors
from .base import Format
from .folder import BF16, as_floats, mapped_array
from .static_embedding import looks_like as is_static_embedding
from .text import MARK

MAX_ARRAYS = 16  # of an archive that are looked at
ZIP = b"PK\x03\x04"
BESIDE = (
    *("{stem}.ids.txt", "{stem}.ids.json", "{stem}.words.txt", "{stem}.txt", "{stem}.json"),
    *("ids.txt", "words.txt", "vocab.txt", "metadata.tsv"),
)
WORD_COLUMNS = ("word", "words", "token", "key", "label", "text", "name")
ID_COLUMNS = ("id", "ids", "_id", "doc_id", "docid", "item", "item_id")
TYPES = artefact.TYPES | BF16


def load_npy(path: Path) -> Vectors:
    """Map a matrix; the names of its rows stand beside it."""
    return _with_names(path, mapped_array(path))


def is_npz(path: Path, head: bytes) -> bool:
    """Return whether the first file in a zip archive is an array."""
    return head.startswith(ZIP) and head[30 : 30 + int.from_bytes(head[26:28], "little")].endswith(b".npy")


def load_npz(path: Path) -> Vectors:
    """Read an archive with a matrix of numbers and a list: of texts, whatever its name, or of whole-numbered ids."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files[:MAX_ARRAYS]}
    except Exception as error:  # a damaged archive raises errors of a dozen kinds
        raise ValueError(f"it is no archive of plain arrays: {error}") from error
    matrices = [a for a in arrays.values() if a.ndim == 2 and a.dtype.kind in "fiu"]
    names = [a for a in arrays.values() if a.ndim == 1 and a.dtype.kind in "US"]
    names = names or [a for name, a in arrays.items() if name in ID_COLUMNS and a.ndim == 1 and a.dtype.kind in "iu"]
    if len(matrices) != 1 or len(names) > 1 or len(arrays) > 1 > len(names):
        shapes = ", ".join(f"{name}: {a.dtype} {a.shape}" for name, a in arrays.items())[:200]
        raise ValueError(f"expected one matrix of numbers and one list of words or ids, got {shapes or 'nothing'}")
    if not names:
        return _with_names(path, matrices[0])
    text = np.char.decode(names[0], "utf-8", "surrogateescape") if names[0].dtype.kind == "S" else names[0].astype(str)
    return Vectors.from_arrays(text.tolist(), matrices[0])


def is_safetensors(path: Path, head: bytes) -> bool:
    """Return whether a file is in the container that the workbench and other tools use."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size


def is_others(path: Path, head: bytes) -> bool:
    """Return whether a ``.safetensors`` file is another tool's; the workbench's begin with their metadata."""
    return is_safetensors(path, head) and b'"%s"' % artefact.KEY.encode() not in head


def load_safetensors(path: Path) -> Vectors:
    """Map the only matrix of a file; the names of its rows stand beside it."""
    if is_static_embedding(path.parent, b""):
        raise ValueError(f"{path} is not one of the workbench, but a part of the model in {path.parent}: load that")
    return _with_names(path, read_matrix(path))


def read_matrix(path: Path) -> np.ndarray:
    """Return the only matrix in a ``.safetensors`` file of another tool: (n, dim), mapped."""
    with safe_open(path, "np") as file:  # checks the header against the file's size
        shapes = {name: file.get_slice(name).get_shape() for name in list(file.keys())}
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    if len(matrices) != 1:
        named = ", ".join(f"{name} {shape}" for name, shape in shapes.items())[:200]
        raise ValueError(
            f"{path} is a .safetensors file, but not one of the workbench; of another tool's, expected one matrix, "
            f"got {len(matrices)} among the arrays {named}"
        )
    return as_floats(artefact.mapped(path, TYPES)[matrices[0]])


def _with_names(path: Path, matrix: np.ndarray) -> Vectors:
    """Vectors of a matrix and the names beside its file, else row numbers."""
    names = names_beside(path)
    if names is None:
        warn(f"{path} has no words or ids, so rows go by their numbers; {_advice(path)}")
        names = [str(row) for row in range(len(matrix))]
    return Vectors.from_arrays(names, matrix)


def expected_beside(path: Path) -> list[str]:
    """Return the names beside a file that has none; refuse it if there are none."""
    names = names_beside(path)
    if names is None:
        raise ValueError(f"{path} has no words in it; {_advice(path)}")
    return names


def _advice(path: Path) -> str:
    return f"put them beside it, one a line, as one of {', '.join(name.format(stem=path.stem) for name in BESIDE)}"


def names_beside(path: Path) -> list[str] | None:
    """Return the names in the first file of `BESIDE` that is there; None if there is none."""
    files = (path.with_name(name.format(stem=path.stem)) for name in BESIDE)
    file = next((file for file in files if file.is_file() and file != path), None)
    if file is None:
        return None
    text = file.read_bytes().removeprefix(MARK).decode("utf-8", "surrogateescape")
    if file.suffix == ".json":
        with reading(file, "a JSON list of words"):
            listed = json.loads(text)
            if not isinstance(listed, list):
                raise ValueError(f"it holds {type(listed).__name__}")
            return [str(name) if type(name) is int else name for name in listed]
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if file.name != "metadata.tsv" or "\t" not in lines[0]:
        return lines
    columns, *rows = (line.split("\t") for line in lines)  # named, where there is more than one
    at = next((i for i, name in enumerate(columns) if name.lower() in WORD_COLUMNS), 0)
    return [row[at] for row in rows]


FORMATS = (
    Format("npy", "an array (.npy), names beside it", (b"\x93NUMPY",), load=load_npy, also_opens=(".npy",)),
    Format("npz", "arrays (.npz)", looks_like=is_npz, load=load_npz, also_opens=(".npz",)),
    Format("matrix", "a matrix in .safetensors", looks_like=is_others, load=load_safetensors),
)
