"""Bytes of a model's file, and time to look words up."""

import time

import numpy as np
import pandas as pd

from ..storage import Dense, Stacked
from ..vectors import Vectors, remembered
from .table import row


@remembered
def float32_bytes(v: Vectors) -> int:
    """Return the bytes of the smallest file that holds the same vectors uncompressed in float32.

    Words and counts included; of word rows and n-gram rows, those that some word of the
    vocabulary uses, for the others were never trained.
    """
    subwords, words = v.vocab.subwords, Dense.of_size(len(v.storage.words), v.dim)
    if subwords is None:
        return v.with_storage(words).file_bytes
    used = v.vocab.used_buckets(subwords)
    used = used[subwords.rows_of(used) >= 0]
    n_rows = len(subwords.kept_rows(used))
    storage = Stacked(words, Dense.of_size(n_rows, v.dim))
    return Vectors(v.vocab.with_subwords(subwords.adjusted().keep(used)), storage, v.meta).file_bytes


def size(original: Vectors, small: Vectors) -> pd.DataFrame:
    """Return the file bytes before and after, and their ratio. Exact.

    ``size`` of the ``compressed`` model, of the ``original`` in float32 (see `float32_bytes`)
    and, where it is known, of the ``source file``; ``ratio`` is original over compressed.
    """
    return size_rows(original, len(small), float32_bytes(original), small.file_bytes, "exact")


def size_rows(original: Vectors, n_words: int, before: int, after: int, how: str) -> pd.DataFrame:
    """Return the rows of `size` for a model of so many words, from bytes in float32 and after, exact or predicted."""
    rows = [
        row("size", "compressed", after, f"{how}, bytes of the file", n_words),
        row("size", "original", before, f"{how}, bytes in float32", len(original)),
    ]
    source = original.meta.get("provenance", {}).get("source_bytes")
    if source:
        rows.append(row("size", "source file", source, "exact, bytes of the file", len(original)))
    rows.append(row("ratio", "all", before / after, f"{how}, original over compressed", n_words))
    return pd.DataFrame(rows)


def lookups(small: Vectors, n_words: int = 2_000, batch: int = 500, random_state: int = 0) -> pd.DataFrame:
    """Return lookups per second, one by one and in batches. Timed, so never part of a baseline."""
    rng = np.random.default_rng(random_state)
    words = [small.words[i] for i in rng.integers(len(small), size=n_words)]
    batches = [words[i : i + batch] for i in range(0, n_words, batch)]
    small.get_vectors(batches[0])  # compiles what a first batch compiles
    rows = []
    for split, requests in (("single", [[word] for word in words]), ("batch", batches)):
        start = time.perf_counter()
        for request in requests:
            small.get_vectors(request)
        rate = n_words / (time.perf_counter() - start)
        rows.append(row("lookups_per_second", split, rate, f"timed, seed {random_state}", n_words))
    return pd.DataFrame(rows)
