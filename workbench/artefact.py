"""The workbench's own file: a ``.safetensors`` that is mapped, not read; `format.md` describes it.

Each file has the lowest version that can say what it holds, from 2 on, so that older workbenches open what they can.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from safetensors import safe_open

from .checks import reading

T = TypeVar("T")
Arrays = dict[str, np.ndarray]

FORMAT_VERSION = 4  # the newest; older ones are read
KEY = "workbench"  # of the header's metadata: JSON that describes the arrays

# Number types that a file may hold, by the names that safetensors gives them.
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U16": "<u2", "I8": "<i1", "U8": "|u1"}
NAMES = {np.dtype(code): name for name, code in TYPES.items()}
MAX_ARRAYS = 10_000  # a network of 24 layers has about 2,000
KINDS_OF_4 = ("sparse", "cut")  # kinds of storage that came with version 4


def pack(arrays: Arrays, about: dict[str, Any]) -> tuple[bytes, list[np.ndarray]]:
    """Return the header of a file and its arrays in order: the widest numbers first, so that each lies aligned."""
    version = 3 if "kind" in (about.get("subwords") or {}) else 2
    if "network" in about or _has_kind_of_4(about["storage"]):
        version = 4
    text = json.dumps(about | {"format_version": version}, sort_keys=True)
    entries: dict[str, dict] = {"__metadata__": {KEY: text}}
    ordered = dict(sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])))
    at = 0
    for name, array in ordered.items():
        offsets = [at, at + array.nbytes]
        entries[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": offsets}
        at += array.nbytes
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header, list(ordered.values())


def write(file: BinaryIO, arrays: Arrays, about: dict[str, Any]) -> None:
    """Write arrays and what the header says about them into an open file."""
    header, ordered = pack(arrays, about)
    file.write(header)
    for array in ordered:
        file.write(np.ascontiguousarray(array).data)


def size(arrays: Arrays, about: dict[str, Any]) -> int:
    """Return the bytes that `write` would write."""
    header, ordered = pack(arrays, about)
    return len(header) + sum(array.nbytes for array in ordered)


def _has_kind_of_4(storage: dict[str, Any]) -> bool:
    """Return whether a storage of these params, or one within it, came with version 4."""
    parts = (part for part in storage.values() if isinstance(part, dict))
    return storage["kind"] in KINDS_OF_4 or any(map(_has_kind_of_4, parts))


def read(path: str | Path, build: Callable[[Arrays, dict[str, Any]], T]) -> T:
    """Return what `build` makes of the mapped arrays of a file and of what its header says about them.

    ValueError if the file is damaged, is another tool's, or comes from a newer version.
    """
    with reading(path, "a whole .safetensors file of the workbench"):
        with safe_open(path, "np") as file:  # checks the header against the file's size
            metadata = file.metadata() or {}
        if KEY not in metadata:
            raise ValueError(f"{path} is a .safetensors file, but not one of the workbench (no {KEY!r} in its header)")
        about = dict(json.loads(metadata[KEY]))
        version = about.get("format_version")
        if version not in range(1, FORMAT_VERSION + 1):
            raise ValueError(
                f"{path} has format version {version!r:.60}, this workbench reads 1 to {FORMAT_VERSION}; "
                "open it with the version that wrote it, or update"
            )
        return build(mapped(path), about)


def mapped(path: str | Path, types: Mapping[str, str] = TYPES) -> Arrays:
    """Return every array of a ``.safetensors`` file as a view of the mapped file, whose header is checked."""
    data = np.memmap(path, np.uint8, mode="r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    header.pop("__metadata__", None)
    if len(header) > MAX_ARRAYS:
        raise ValueError(f"it has {len(header):,} arrays, expected {MAX_ARRAYS:,} at most")
    arrays = {}
    for name, entry in header.items():
        dtype, first = np.dtype(types[entry["dtype"]]), start + entry["data_offsets"][0]
        flat = data[first : first + math.prod(entry["shape"]) * dtype.itemsize]
        arrays[name] = np.asarray(flat).view(dtype).reshape(entry["shape"])
    return arrays
