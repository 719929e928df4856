"""Texts and numbers deflated, as our files hold them: they rule a very small file."""

import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

MAX_CACHED = 1 << 20  # bytes that are kept beside their deflated form, for settings that leave them as they are

_compressed = lru_cache(maxsize=8)(zlib.compress)


def deflate(data: bytes) -> np.ndarray:
    """Return the deflated bytes: uint8."""
    return np.frombuffer((_compressed if len(data) <= MAX_CACHED else zlib.compress)(data, 9), np.uint8)


def inflate(data: np.ndarray, n: int, types: Sequence[str]) -> np.ndarray:
    """Return the `n` numbers that `deflate` packed, of the type whose width fits."""
    found = _inflated(data, n * np.dtype(types[-1]).itemsize)
    for code in types:
        if len(found) == n * np.dtype(code).itemsize:
            return np.frombuffer(found, code)
    raise ValueError(f"expected {n} numbers, one a word, got {len(found)} bytes")


def deflate_texts(texts: str) -> np.ndarray:
    """Return words or n-grams with a NUL between them, deflated so that `inflate_texts` takes them."""
    data = texts.encode("utf-8", "surrogateescape")
    deflated = deflate(data)
    return deflated if len(data) <= _max_length(deflated) else np.frombuffer(zlib.compress(data, 0), np.uint8)


def inflate_texts(deflated: np.ndarray) -> bytes:
    """Return what `deflate_texts` packed."""
    return _inflated(deflated, _max_length(deflated))


def _max_length(deflated: np.ndarray) -> int:
    """Return the bytes that texts may have: real words deflate to a half or a fifth, file names to a twentieth."""
    return 100 * len(deflated) + (1 << 20)


def _inflated(data: np.ndarray, max_length: int) -> bytes:
    """Inflate a file's bytes, without unpacking more than this many."""
    stream = zlib.decompressobj()
    found = stream.decompress(data.tobytes(), max_length + 1)
    if not stream.eof or len(found) > max_length:
        raise ValueError(f"expected deflated bytes that unpack to {max_length:,} at most, got more, or a part of them")
    return found
