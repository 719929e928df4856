"""fastText ``.bin``: the format of the official tool, old and new, unsupervised and supervised.

Source: `FastText::loadModel`, `Args::load`, `Dictionary::load` and `DenseMatrix::load` of the
official C++ code. Only the header and the vocabulary are read; the matrix stays in the file.
"""

import mmap
import struct
from pathlib import Path

import numpy as np

from ..storage import Dense, Stacked
from ..subwords import Subwords
from ..vectors import Vectors
from ..vocab import Vocab, first_places
from .base import Format

MAGIC = 793712314
SUPERVISED = 3
VERSIONS = (11, 12)
# dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate t
SETTINGS = struct.Struct("<12id")
SENSIBLE = ((1, 10**5), (1, 10**4), (1, 10**5), (0, 10**9), (0, 10**6), (1, 1000), (1, 4), (1, 3))


def looks_like(path: Path, head: bytes) -> bool:
    """Whether a file that begins with these bytes (64 are enough) is a fastText model.

    Files from before July 2017 carry no magic number; they are known by eight settings in a row
    that all make sense.
    """
    if len(head) < SETTINGS.size:
        return head[:4] == struct.pack("<i", MAGIC)
    settings = SETTINGS.unpack_from(head)
    is_old = all(low <= x <= high for x, (low, high) in zip(settings, SENSIBLE, strict=False))
    return settings[0] == MAGIC or is_old


def load(path: Path) -> Vectors:
    """Open a fastText model; rows stay raw, and words that are not UTF-8 stay as they are.

    A supervised model gives its word vectors; its labels and its classifier are left aside.

    Raises
    ------
    ValueError
        If the file is quantised (``.ftz``), ends too soon, or states sizes that it cannot hold.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            words, counts, subwords, shape, at = _read_head(data)
        except struct.error as error:
            raise ValueError(f"{path} ends in the middle of its header: the file is cut short") from error
        except ValueError as error:
            raise ValueError(f"{path} is no fastText model that can be read: {error}") from error
        size = len(data)
    matrix = np.memmap(path, np.float32, mode="r", offset=at, shape=shape)
    vocab = Vocab(words, counts=counts, subwords=subwords)
    own = Dense(matrix[: len(words)])
    places = first_places(words)
    if places is not None:
        vocab, rows = vocab.take(places)
        own = own.take(rows)
    storage = own if subwords is None else Stacked(own, Dense(matrix[len(words) :]))
    return Vectors(vocab, storage, {"provenance": {"source": path.name, "source_bytes": size}})


def _read_head(data: mmap.mmap) -> tuple[list[str], np.ndarray, Subwords | None, tuple[int, int], int]:
    """All that stands before the matrix: words, counts, n-grams, and the matrix's shape and place."""
    magic, version = struct.unpack_from("<2i", data)
    is_new = magic == MAGIC
    if is_new and version not in VERSIONS:
        raise ValueError(f"format version {version} is unknown, 11 and 12 are read")
    at = 8 if is_new else 0
    settings = SETTINGS.unpack_from(data, at)
    dim, model, n_buckets, min_n, max_n = settings[0], *settings[7:11]
    at += SETTINGS.size
    n_entries, n_words, n_labels, _, n_pruned = struct.unpack_from("<3i2q", data, at)
    at += 28 if is_new else 20
    if not 0 < n_words <= n_words + n_labels == n_entries or n_entries * 10 > len(data) - at:
        raise ValueError(
            f"its header claims {n_words:,} words and {n_labels:,} labels in {n_entries:,} entries, "
            f"which cannot be in a file of {len(data):,} bytes"
        )
    words, counts, at = _read_words(data, at, n_entries, n_words)
    if is_new:
        if 8 * n_pruned > len(data) - at:
            raise ValueError(f"its header claims {n_pruned:,} pruned n-grams, which cannot be in {len(data):,} bytes")
        at += 8 * max(n_pruned, 0)
        if struct.unpack_from("<?", data, at)[0]:
            raise ValueError("it is quantised (.ftz); the original .bin is needed, or export vectors as text")
        at += 1
    n_rows, n_columns = struct.unpack_from("<2q", data, at)
    at += 16
    old_supervised = model == SUPERVISED and (not is_new or version == 11)  # had no character n-grams
    has_ngrams = n_buckets > 0 and max_n > 0 and min_n <= max_n and not old_supervised
    if n_columns != dim or dim < 1 or n_rows < n_words + (n_buckets if has_ngrams else 0):
        raise ValueError(
            f"its matrix is {n_rows:,} x {n_columns:,}, while its header speaks of {n_words:,} words, "
            f"{n_buckets:,} buckets and {dim} dimensions"
        )
    if n_rows * n_columns * 4 > len(data) - at:
        raise ValueError(
            f"its header claims a matrix of {n_rows:,} x {n_columns:,} ({n_rows * n_columns * 4:,} bytes), "
            f"but only {max(len(data) - at, 0):,} bytes follow: cut short or damaged"
        )
    subwords = Subwords(max(min_n, 1), max_n, n_buckets, raw=True) if has_ngrams else None
    return words, counts, subwords, (n_words + (n_buckets if has_ngrams else 0), dim), at


def _read_words(data: mmap.mmap, at: int, n_entries: int, n_words: int) -> tuple[list[str], np.ndarray, int]:
    """Entries of the dictionary: a word ended by NUL, its count, and its type (1 for labels)."""
    words, counts = [], np.empty(n_words, np.int64)
    for i in range(n_entries):
        end = data.find(b"\0", at)
        if end < 0 or end + 10 > len(data):
            raise ValueError(f"it ends in its vocabulary, at entry {i:,} of {n_entries:,}")
        kind = data[end + 9]
        if kind != (i >= n_words):
            raise ValueError(f"entry {i:,} of its vocabulary has type {kind}, which does not fit its header")
        if i < n_words:
            words.append(data[at:end].decode("utf-8", "surrogateescape"))
            counts[i] = int.from_bytes(data[end + 1 : end + 9], "little", signed=True)
        at = end + 10
    return words, counts, at


FASTTEXT = Format(
    name="fasttext",
    title="fastText .bin",
    looks_like=looks_like,
    load=load,
    suffixes=(".bin",),
    keeps=frozenset({"n-grams", "counts"}),
)
