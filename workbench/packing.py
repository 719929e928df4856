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
    """Return the `n` numbers that `deflate` packed, of the type whose width fits; never unpacks more than those."""
    stream = zlib.decompressobj()
    found = stream.decompress(data.tobytes(), n * np.dtype(types[-1]).itemsize + 1)
    for code in types:
        if stream.eof and len(found) == n * np.dtype(code).itemsize:
            return np.frombuffer(found, code)
    raise ValueError(f"expected {n} numbers, one a word, got {len(found)} bytes")


def deflate_texts(texts: str) -> np.ndarray:
    """Return words or n-grams with a NUL between them, deflated so that `inflate_texts` takes them."""
    data = texts.encode("utf-8", "surrogateescape")
    deflated = deflate(data)
    return deflated if len(data) <= _max_length(deflated) else np.frombuffer(zlib.compress(data, 0), np.uint8)


def inflate_texts(deflated: np.ndarray) -> bytes:
    """Return what `deflate_texts` packed; never unpacks much more than real words could be."""
    stream = zlib.decompressobj()
    text = stream.decompress(deflated.tobytes(), _max_length(deflated) + 1)
    if not stream.eof:
        raise ValueError(
            f"expected the words in {len(deflated):,} deflated bytes, got a text cut short or absurdly long"
        )
    return text


def _max_length(deflated: np.ndarray) -> int:
    """Return the bytes that texts may have: real words deflate to a half or a fifth, file names to a twentieth."""
    return 100 * len(deflated) + (1 << 20)
