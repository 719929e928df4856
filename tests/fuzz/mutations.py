"""Small changes to the bytes of a file, made with an eye for what the bytes mean.

What is packed (gzip, deflated arrays) is changed inside and packed again; a `.safetensors` file
is changed in its JSON or in one of its arrays, and put together so that offsets fit; JSON is
changed value by value. Otherwise a change hits bytes, or an integer that looks like a count.
"""

import gzip
import json
import math
import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np

INSIDE = 0.8  # how often what has an inside is changed there
DEEP = "\ue000deep\ue000"  # stands in JSON for lists in lists in lists...
LONG = "\ue000long\ue000"  # and for a number of thousands of digits
EXTREME = (0, 1, -1, 2, 255, 256, 2**15, 2**31 - 1, 2**31, -(2**31), 2**32 + 1, 10**12, 10**18, 2**63 - 1, -(2**63))
NUMBERS = (
    *(b"%d" % number for number in EXTREME),
    *(b"nan", b"-inf", b"1e999", b"1e-999", b"0x1p3", b"1_0", b"+5", b"", b"9" * 400, b"9" * 5000, "٣".encode()),
)
PIECES = (
    b"\0",
    b"\n",
    b" ",
    b"\t",
    b"\r\n",
    b",",
    b'"',
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\x1f\x8b",
    b"[",
    b"{",
)
ODD = (
    None,
    True,
    0,
    -1,
    1,
    2**31,
    2**63,
    1e300,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\ud800",
    "\0",
    [],
    {},
    [[]],
    0.5,
)
TYPES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def mutated(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """`data` with one change or a few; `others` are files of its kind, whose pieces may get into it."""
    if rng.random() < INSIDE:
        for inside in (_in_gzip, _in_deflated, _in_safetensors, _in_json):
            changed = inside(data, rng)
            if changed is not None:
                return changed
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(CHANGES)(data, rng, others)
    return data


# -- bytes ---------------------------------------------------------------------------------


def _flip(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 8)) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _count(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Another number in the place of a small one of four or eight bytes, such as counts and lengths are."""
    width = rng.choice((4, 8))
    if len(data) < width:
        return data
    windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(data, np.uint8), width)
    numbers = windows.astype(np.uint64) @ (np.uint64(256) ** np.arange(width, dtype=np.uint64))
    places = np.flatnonzero((numbers > 0) & (numbers < 1 << 16))
    at = int(rng.choice(places)) if len(places) else rng.randrange(len(data) - width + 1)
    old = int.from_bytes(data[at : at + width], "little")
    near = (old - 1, old + 1, 2 * old, old // 2, len(data) - at, len(data) - at - width + 1, len(data) // 4)
    new = rng.choice((*EXTREME, *near)) % (1 << 8 * width)
    return data[:at] + new.to_bytes(width, "little") + data[at + width :]


def _number(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Another number in the place of one in text."""
    found = [match.span() for match in re.finditer(rb"-?\d[\d.e+-]*", data[:4096])]
    if not found:
        return _flip(data, rng, others)
    start, stop = rng.choice(found[:2] if rng.random() < 0.3 else found)
    return data[:start] + rng.choice(NUMBERS) + data[stop:]


def _slice(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(start + rng.choice((1, 4, 8, 64, len(data))), len(data))


def _truncate(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _cut(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start, stop = _slice(data, rng)
    return data[:start] + data[stop:]


def _repeat(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start, stop = _slice(data, rng)
    return data[:stop] + data[start:stop] * rng.choice((1, 1, 2, 30)) + data[stop:]


def _swap(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _splice(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others) if others else data
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _insert(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((*PIECES, rng.randbytes(3))) * rng.choice((1, 1, 2, 500)) + data[at:]


CHANGES: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    *(_count, _count, _count, _number, _number, _flip, _flip),
    *(_truncate, _cut, _repeat, _swap, _splice, _insert),
)


# -- what is inside ------------------------------------------------------------------------


def _in_gzip(data: bytes, rng: random.Random) -> bytes | None:
    if data[:2] != b"\x1f\x8b":
        return None
    try:
        return gzip.compress(mutated(gzip.decompress(data), rng), 1, mtime=0)
    except (OSError, EOFError, zlib.error):
        return None


def _in_deflated(data: bytes, rng: random.Random) -> bytes | None:
    if data[:1] != b"\x78":
        return None
    try:
        return zlib.compress(mutated(zlib.decompress(data), rng), 1)
    except zlib.error:
        return None


def _in_json(data: bytes, rng: random.Random) -> bytes | None:
    if data[:1] not in (b"{", b"["):
        return None
    try:
        return changed_json(json.loads(data), rng).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return None


def _in_safetensors(data: bytes, rng: random.Random) -> bytes | None:
    """Change the header, or one array, whose neighbours then move; else one array's type and shape."""
    start = 8 + int.from_bytes(data[:8], "little")
    if data[8:9] != b"{" or start > len(data):
        return None
    try:
        header = json.loads(data[8:start])
        arrays = {
            name: data[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]]
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None
    if rng.random() < 0.5 or not arrays:
        text = changed_json(header, rng).encode("utf-8", "surrogatepass")
        return struct.pack("<Q", len(text)) + text + data[start:]
    name = rng.choice(list(arrays))
    if rng.random() < 0.6:
        arrays[name] = mutated(arrays[name], rng, list(arrays.values()))
        if not _fits(header[name], arrays[name]):
            header[name]["shape"] = _shape(len(arrays[name]), str(header[name].get("dtype")), rng)
    else:
        header[name]["dtype"] = rng.choice(list(TYPES))
        header[name]["shape"] = _shape(len(arrays[name]), str(header[name].get("dtype")), rng)
    return _safetensors(header, arrays)


def _fits(entry: dict, array: bytes) -> bool:
    """Whether an array's type and shape, which may be anything by now, go with its bytes."""
    shape, width = entry.get("shape"), TYPES.get(str(entry.get("dtype")), 0)
    is_shape = isinstance(shape, list) and all(isinstance(n, int) for n in shape)
    return is_shape and math.prod(shape) * width == len(array)


def _shape(n_bytes: int, dtype: str, rng: random.Random) -> list[int]:
    n = n_bytes // TYPES.get(dtype, 1)
    divisors = [d for d in range(1, min(n, 64) + 1) if n % d == 0] or [1]
    d = rng.choice(divisors)
    return rng.choice(([n], [n // d, d], [n // d, d], [d, n // d], [1, n // d, d], [0, d]))


def _safetensors(header: dict, arrays: dict[str, bytes]) -> bytes:
    at = 0
    for name, array in arrays.items():
        header[name]["data_offsets"] = [at, at + len(array)]
        at += len(array)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + b"".join(arrays.values())


# -- JSON ----------------------------------------------------------------------------------


def changed_json(values, rng: random.Random) -> str:
    """JSON text of `values` with one change; a string in it that is JSON itself may be changed inside."""
    holder = [values]
    place, key = rng.choice(_places(holder))
    old = place[key]
    if isinstance(old, str) and old[:1] in ("{", "[") and rng.random() < 0.9:
        place[key] = changed_json(json.loads(old), rng)
    elif isinstance(place, dict) and rng.random() < 0.2:
        value = place.pop(key)
        if rng.random() < 0.5:
            place[rng.choice((*place, "", "x", key + "x", "\ud800"))] = value
    elif isinstance(old, list) and old and rng.random() < 0.5:
        _change_list(old, rng)
    else:
        place[key] = _another(old, rng)
    text = json.dumps(holder[0]).replace(json.dumps(DEEP), "[" * 100_000 + "]" * 100_000)
    return text.replace(json.dumps(LONG), "9" * 5_000)


def _places(values) -> list[tuple]:
    """Every container in these values with each of its keys; the text of an inner JSON counts ten times."""
    found, left = [], [values]
    while left:
        place = left.pop()
        for key, value in place.items() if isinstance(place, dict) else enumerate(place):
            found += [(place, key)] * (10 if isinstance(value, str) and value[:1] in ("{", "[") else 1)
            if isinstance(value, dict | list):
                left.append(value)
    return found


def _change_list(values: list, rng: random.Random) -> None:
    i = rng.randrange(len(values))
    change = rng.randrange(4)
    if change == 0:
        del values[i]
    elif change == 1:
        values.insert(i, values[i])
    elif change == 2:
        values *= rng.choice((2, 50))
    else:
        values[i] = _another(values[i], rng)


def _another(old, rng: random.Random):
    near: tuple = (DEEP, LONG, [old], {"x": old})
    if isinstance(old, int | float) and not isinstance(old, bool):
        near = (old + 1, old - 1, -old, 2 * old, 10**6 * old, str(old), float(old) if abs(old) < 1e300 else 0, LONG)
    elif isinstance(old, str):
        near = (old[:-1], old * 2, old.upper(), old + "\0", old * 5_000, [old], LONG)
    return rng.choice((*ODD, *EXTREME, *near, *near))
