"""Small changes to the bytes of a file, made with an eye for what the bytes mean.

What is packed (gzip, deflated arrays) is changed inside and packed again; JSON is changed value by value; of a
`.safetensors` file the header or an array is changed, so that offsets fit. Otherwise a change hits bytes or numbers.
"""

import gzip
import json
import random
import re
import struct
import zlib
from collections.abc import Sequence

INSIDE = 0.8  # how often what has an inside is changed there
DEEP = "\ue000deep\ue000"  # stands in JSON for lists in lists in lists...
LONG = "\ue000long\ue000"  # and for a number of thousands of digits
EXTREME = (0, 1, -1, 2, 255, 256, 2**15, 2**31 - 1, 2**31, -(2**31), 2**32 + 1, 10**12, 10**18, 2**63 - 1, -(2**63))
WORDS = (b"nan", b"-inf", b"1e999", b"1e-999", b"0x1p3", b"1_0", b"+5", b"", b"9" * 400, b"9" * 5000, "٣".encode())
NUMBERS = (*(b"%d" % number for number in EXTREME), *WORDS)
MARKS = (b"\0", b"\n", b" ", b"\t", b"\r\n", b",", b'"', b"[", b"{")
PIECES = (*MARKS, b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1f\x8b")
ODD = (None, True, 1e300, float("nan"), float("inf"), 0.5, "", "x", "\ud800", "\0", [], {}, [[]], DEEP, LONG)
WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1}
KINDS = (*("count", "number", "flip") * 2, "cut", "repeat", "swap", "splice", "insert")
UNREADABLE = (OSError, EOFError, zlib.error, ValueError, TypeError, LookupError, AttributeError, RecursionError)


def mutated(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """`data` with one change or a few; `others` are files of its kind, whose pieces may get into it."""
    if rng.random() < INSIDE:
        try:
            changed = _changed_inside(data, rng)
        except UNREADABLE:
            changed = None
        if changed is not None:
            return changed
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = _changed_bytes(data, rng, others)
    return data


def _changed_bytes(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    stop = min(a + rng.choice((1, 4, 8, 64, len(data))), len(data))
    match rng.choice(KINDS):
        case "count":  # an integer as counts and lengths are, where a small one stands if there is any
            width = rng.choice((4, 8))
            places = [i for i in range(len(data) - width) if data[i] and not any(data[i + 2 : i + width])] or [a]
            at = rng.choice(places)
            old = int.from_bytes(data[at : at + width], "little")
            near = (old - 1, old + 1, 2 * old, old // 2, len(data) - at, len(data) // 4)
            new = rng.choice((*EXTREME, *near)) % (1 << 8 * width)
            return data[:at] + new.to_bytes(width, "little") + data[at + width :]
        case "number":  # of text
            spans = [match.span() for match in re.finditer(rb"-?\d[\d.e+-]*", data[:4096])] or [(a, a)]
            first, last = rng.choice(spans[:2] if rng.random() < 0.3 else spans)
            return data[:first] + rng.choice(NUMBERS) + data[last:]
        case "flip":
            flipped = bytearray(data)
            for _ in range(rng.choice((1, 1, 8)) if data else 0):
                flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            return bytes(flipped)
        case "cut":
            return data[:a] + (b"" if rng.random() < 0.5 else data[stop:])
        case "repeat":
            return data[:stop] + data[a:stop] * rng.choice((1, 1, 2, 30)) + data[stop:]
        case "swap":
            return data[:a] + data[b:c] + data[a:b] + data[c:]
        case "splice":
            other = rng.choice(others) if others else data
            return data[:a] + other[rng.randrange(len(other) + 1) :]
    return data[:a] + rng.choice((*PIECES, rng.randbytes(3))) * rng.choice((1, 1, 2, 500)) + data[a:]


def _changed_inside(data: bytes, rng: random.Random) -> bytes | None:
    if data[:2] == b"\x1f\x8b":
        return gzip.compress(mutated(gzip.decompress(data), rng), 1, mtime=0)
    if data[:1] == b"\x78":
        return zlib.compress(mutated(zlib.decompress(data), rng), 1)
    if data[:1] in (b"{", b"["):
        return changed_json(json.loads(data), rng).encode("utf-8", "surrogatepass")
    if data[8:9] != b"{":
        return None
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    about = {name: entry for name, entry in header.items() if name != "__metadata__"}
    offsets = {name: entry["data_offsets"] for name, entry in about.items()}
    if rng.random() < 0.5 or not about:
        text = changed_json(header, rng).encode("utf-8", "surrogatepass")
        return struct.pack("<Q", len(text)) + text + data[start:]
    arrays = {name: data[start + first : start + last] for name, (first, last) in offsets.items()}
    name = rng.choice(list(arrays))
    size, entry = len(arrays[name]), header[name]
    arrays[name] = mutated(arrays[name], rng, list(arrays.values())) if rng.random() < 0.6 else arrays[name]
    if len(arrays[name]) != size or rng.random() < 0.3:
        entry["dtype"] = rng.choice([entry["dtype"], *WIDTHS])
        n = len(arrays[name]) // WIDTHS[entry["dtype"]]
        d = rng.choice([d for d in range(1, min(n, 64) + 1) if n % d == 0] or [1])
        entry["shape"] = rng.choice(([n], [n // d, d], [d, n // d], [1, n // d, d], [0, d]))
    at = 0
    for other, array in arrays.items():
        header[other]["data_offsets"] = [at, at + len(array)]
        at += len(array)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + b"".join(arrays.values())


def changed_json(values, rng: random.Random) -> str:
    """JSON text of `values` with one change; a string in it that is JSON itself may be changed inside."""
    holder = [values]
    places, left = [], [holder]
    while left:
        place = left.pop()
        for key, value in place.items() if isinstance(place, dict) else enumerate(place):
            places += [(place, key)] * (10 if isinstance(value, str) and value[:1] in ("{", "[") else 1)
            left += [value] if isinstance(value, dict | list) else []
    place, key = rng.choice(places)
    old = place[key]
    if isinstance(old, str) and old[:1] in ("{", "[") and rng.random() < 0.9:
        place[key] = changed_json(json.loads(old), rng)
    elif isinstance(place, dict) and rng.random() < 0.2:
        value = place.pop(key)
        if rng.random() < 0.5:
            place[rng.choice((*place, "", "x", key + "x", "\ud800"))] = value
    elif isinstance(old, list) and old and rng.random() < 0.5:
        i = rng.randrange(len(old))
        old[i : i + rng.choice((0, 1))] = rng.choice(([], [old[i]] * 2, old * 50, [_another(old[i], rng)]))
    else:
        place[key] = _another(old, rng)
    text = json.dumps(holder[0]).replace(json.dumps(DEEP), "[" * 100_000 + "]" * 100_000)
    return text.replace(json.dumps(LONG), "9" * 5_000)


def _another(old, rng: random.Random):
    near: tuple = ([old], {"x": old})
    if isinstance(old, int | float) and not isinstance(old, bool):
        near = (old + 1, old - 1, -old, 2 * old, 10**6 * old, str(old), float(old) if abs(old) < 1e300 else 0)
    elif isinstance(old, str):
        near = (old[:-1], old * 2, old.upper(), old + "\0", old * 5_000, [old])
    return rng.choice((*ODD, *EXTREME, *near, *near))
