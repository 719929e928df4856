"""The compressed model as one file: a ``.safetensors`` that is mapped, not read.

Layout (the safetensors format): eight bytes with the header's length, a JSON header, the arrays
one after another. The header's metadata has one key, ``workbench``, whose value is JSON with
``format_version``, the description of storage and n-grams, the recipe and the provenance.

Version 2 has what version 1 could not say: deflated numbers of shared rows, scales of words that
borrow a row, folded buckets, word rows that n-grams are added to, and codebooks in float16.
Version 3 has n-grams of other kinds than fastText's; without them a file is of version 2, to the
byte, so that older workbenches read it. Versions 1 and 2 are still read.
"""

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from . import files
from .storage import Dense, Stacked, describe, rebuild, within
from .subwords import Subwords
from .vectors import Vectors, check_meta
from .vocab import Vocab

FORMAT_VERSION = 3  # the newest that is written; older ones are read
WITHOUT_KINDS = 2  # what is written where n-grams are fastText's, or none
KEY = "workbench"

# The number types that a file of ours may hold, by the names that safetensors gives them.
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U16": "<u2", "I8": "<i1", "U8": "|u1"}
NAMES = {np.dtype(code): name for name, code in TYPES.items()}
DAMAGE = (KeyError, TypeError, IndexError, ValueError, AttributeError, OverflowError, RecursionError, zlib.error)
MOST_ARRAYS = 1_000  # a file of ours has up to some twenty


def save(v: Vectors, path: str | Path) -> Path:
    """Write `v` to `path`. The same vectors always make the same file.

    The file is written beside its place and renamed into it at the end, so that a failed or
    killed save leaves an older file as it was. Missing folders are made.

    Returns
    -------
    Path
        Where the file is.
    """
    path = Path(path)
    with files.replacing(path) as file:
        write(v, file)
    return path


def write(v: Vectors, file: BinaryIO) -> None:
    """Write header and arrays into an open file; word rows that no word has are left out."""
    v = v.without_spare_rows()
    arrays = _arrays(v)
    file.write(_header(v, arrays))
    for array in arrays.values():
        file.write(np.ascontiguousarray(array).data)


def file_bytes(v: Vectors) -> int:
    """Size of the file that `save` would write, to the byte, without writing it or reading a mapped matrix."""
    words, ngrams = v.storage.words, v.storage.ngrams
    if v.has_spare_rows:
        vocab, rows = v.vocab.without_spare_rows()
        words = Dense.of_size(len(rows), v.dim) if isinstance(words, Dense) else words.take(rows)
        v = v.with_storage(words if ngrams is None else Stacked(words, ngrams), vocab)
    arrays = _arrays(v)
    return len(_header(v, arrays)) + sum(array.nbytes for array in arrays.values())


def load(path: str | Path) -> Vectors:
    """Open a file that `save` wrote; matrices stay in the file until rows are asked for.

    Raises
    ------
    ValueError
        If the file is damaged, is no artefact of ours, or comes from a newer version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:  # checks the header against the file's size
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole .safetensors file: {_line(error)}") from error
    if KEY not in metadata:
        raise ValueError(f"{path} is a .safetensors file, but not one of the workbench (no {KEY!r} in its header)")
    try:
        about = dict(json.loads(metadata[KEY]))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: its {KEY!r} metadata is no JSON object") from error
    version = about.get("format_version")
    if version not in range(1, FORMAT_VERSION + 1):
        raise ValueError(
            f"{path} has format version {_line(version)}, this workbench reads 1 to {FORMAT_VERSION}; "
            "open it with the version that wrote it, or update"
        )
    try:
        return _build(mapped(path), about)
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged: {type(error).__name__}: {_line(error)}") from error


def _line(quoted: object) -> str:
    """One line of text, not too long, whatever of a file it quotes."""
    return " ".join(str(quoted).split())[:400]


def _build(arrays: dict[str, np.ndarray], about: dict) -> Vectors:
    check_meta(about["meta"])
    subwords = None
    if about["subwords"] is not None:
        subwords = Subwords.restore(within(arrays, "subwords"), about["subwords"])
    vocab = Vocab.restore(within(arrays, "vocab"), subwords)
    return Vectors(vocab, rebuild(within(arrays, "storage"), about["storage"]), about["meta"])


def _arrays(v: Vectors) -> dict[str, np.ndarray]:
    """All arrays of `v` by name, widest numbers first so that each lies aligned in the file."""
    parts = {"storage": v.storage.arrays(), "vocab": v.vocab.arrays()}
    if v.vocab.subwords is not None:
        parts["subwords"] = v.vocab.subwords.arrays()
    flat = {f"{part}.{name}": array for part, named in parts.items() for name, array in named.items()}
    return dict(sorted(flat.items(), key=lambda item: (-item[1].itemsize, item[0])))


def _header(v: Vectors, arrays: dict[str, np.ndarray]) -> bytes:
    subwords = None if v.vocab.subwords is None else v.vocab.subwords.params()
    about = {
        "format_version": FORMAT_VERSION if "kind" in (subwords or {}) else WITHOUT_KINDS,
        "storage": describe(v.storage),
        "subwords": subwords,
        "meta": v.meta,
    }
    header: dict[str, dict] = {"__metadata__": {KEY: json.dumps(about, sort_keys=True)}}
    at = 0
    for name, array in arrays.items():
        offsets = [at, at + array.nbytes]
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": offsets}
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def mapped(path: str | Path, types: Mapping[str, str] = TYPES) -> dict[str, np.ndarray]:
    """Every array of a ``.safetensors`` file that was checked, as a view of the mapped file, by offset."""
    data = np.memmap(path, np.uint8, mode="r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    header.pop("__metadata__", None)
    if len(header) > MOST_ARRAYS:
        raise ValueError(f"it has {len(header):,} arrays, expected {MOST_ARRAYS:,} at most")
    arrays = {}
    for name, entry in header.items():
        dtype, first = np.dtype(types[entry["dtype"]]), start + entry["data_offsets"][0]
        flat = data[first : first + math.prod(entry["shape"]) * dtype.itemsize]
        arrays[name] = np.asarray(flat).view(dtype).reshape(entry["shape"])
    return arrays
