"""fastText ``.bin``: the format of the official tool, old and new, unsupervised and supervised; and ``.ftz``.

Source: `FastText::loadModel`, `Args::load`, `Dictionary::load` and `DenseMatrix::load` of the
official C++ code. Only the header and the vocabulary are read; the matrix stays in the file.
"""

import mmap
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from .. import progress
from ..storage import BLOCK, Dense, Stacked, Storage
from ..subwords import Subwords, utf8
from ..vectors import Vectors, check_finite
from ..vocab import Vocab, first_places
from . import ftz
from .base import Format

MAGIC = 793712314
SKIPGRAM, SUPERVISED = 2, 3
VERSIONS = (11, 12)
# dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate t
SETTINGS = struct.Struct("<12id")
SENSIBLE = ((1, 10**5), (1, 10**4), (1, 10**5), (0, 10**9), (0, 10**6), (1, 1000), (1, 4), (1, 3))

AFTER_WORD = np.dtype([("end", "u1"), ("count", "<i8"), ("type", "u1")])  # in the dictionary; the type is 1 for labels
CHUNK = 1 << 20  # bytes of the dictionary taken apart at once
MAX_TABLE = 1 << 26  # bytes of the rows of pruned buckets, whose number no file bears out
BLANK = re.compile(r"[\0\t\n\v\f\r ]")  # what ends a word for the official tool


class Head(NamedTuple):
    """What stands before the matrix."""

    dim: int
    n_words: int
    text: bytes  # the words, as `Vocab` takes them
    has_repeats: bool
    counts: np.ndarray  # (n_words,) int64
    ngrams: tuple[int, int, int] | None  # shortest and longest, and the number of buckets
    pruned: np.ndarray | None  # (n, 2) int32: a bucket that is left and its row
    is_quantised: bool
    at: int  # where the matrix begins


def looks_like(path: Path, head: bytes) -> bool:
    """Whether a file that begins with these bytes (64 are enough) is a fastText model, quantised or not.

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

    A supervised model gives its word vectors; its labels and its classifier are left aside. Of a
    quantised one the codes are mapped, too.

    Raises
    ------
    ValueError
        If the file ends too soon, or states sizes that it cannot hold.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            head = _read_head(data)
            subwords = _subwords(head)
            n_ngrams = 0 if subwords is None else subwords.n_rows
            own, ngrams = _read_rows(data, path, head, n_ngrams)
        except struct.error as error:
            raise ValueError(f"{path} ends in the middle of its header: the file is cut short") from error
        except ValueError as error:
            raise ValueError(f"{path} is no fastText model that can be read: {error}") from error
        size = len(data)
    vocab = Vocab(head.text, counts=head.counts, subwords=subwords)
    places = first_places(vocab.words) if head.has_repeats else None
    if places is not None:
        vocab, rows = vocab.take(places)
        own = own.take(rows)
    storage = own if subwords is None else Stacked(own, ngrams)
    return Vectors(vocab, storage, {"provenance": {"source": path.name, "source_bytes": size}})


def _read_head(data: mmap.mmap) -> Head:
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
    text, has_repeats, counts, at = _read_words(data, at, n_entries, n_words)
    pruned, is_quantised = None, False
    if is_new:
        pruned, at = _read_pruned(data, at, n_pruned)
        is_quantised = struct.unpack_from("<?", data, at)[0]
        at += 1
    old_supervised = model == SUPERVISED and (not is_new or version == 11)  # had no character n-grams
    has_ngrams = n_buckets > 0 and max_n > 0 and min_n <= max_n and not old_supervised
    has_ngrams &= pruned is None or len(pruned) > 0
    ngrams = (max(min_n, 1), max_n, n_buckets) if has_ngrams else None
    return Head(dim, n_words, text, has_repeats, counts, ngrams, pruned, is_quantised, at)


def _read_words(data: mmap.mmap, at: int, n_entries: int, n_words: int) -> tuple[bytes, bool, np.ndarray, int]:
    """Words as one text, whether some repeat, counts, and where the dictionary ends.

    It is read a chunk at a time, so that little behind it is.
    """
    texts, counts, distinct, n_found, size = [], [], set(), 0, 0
    while n_found < n_entries:
        n_left = n_entries - n_found
        size = max(2 * size, min(CHUNK, 32 * n_left + 64))  # doubled where a word was longer
        words, after = _entries(data[at : at + size], n_left)
        if not words and at + size >= len(data):
            raise ValueError(f"it ends in its vocabulary, at entry {n_found:,} of {n_entries:,}")
        wrong = after["type"] != (np.arange(n_found, n_found + len(words)) >= n_words)
        if wrong.any():
            i = int(wrong.argmax())
            kind = after["type"][i]
            raise ValueError(f"entry {n_found + i:,} of its vocabulary has type {kind}, which does not fit its header")
        at += sum(map(len, words)) + AFTER_WORD.itemsize * len(words)
        n_here = max(n_words - n_found, 0)  # the others are labels
        distinct.update(words[:n_here])
        texts += [b"\0".join(words[:n_here])] if words[:n_here] else []
        counts.append(after["count"][:n_here])
        n_found, size = n_found + len(words), 0 if words else size
    return b"\0%b\0" % b"\0".join(texts), len(distinct) < n_words, np.concatenate(counts), at


def _entries(chunk: bytes, n: int) -> tuple[list[bytes], np.ndarray]:
    """The first `n` whole entries of a dictionary, or fewer: words, and what comes after each, (n,) AFTER_WORD."""
    words, ends, start, step = [], [], 0, AFTER_WORD.itemsize
    for _ in range(n):
        end = chunk.find(0, start)
        if end < 0 or end + step > len(chunk):
            break
        words.append(chunk[start:end])
        ends.append(end)
        start = end + step
    places = np.array(ends, np.int64)[:, None] + np.arange(step)  # (n, step)
    return words, np.frombuffer(chunk, np.uint8)[places].view(AFTER_WORD)[:, 0]


def _read_pruned(data: mmap.mmap, at: int, n_pruned: int) -> tuple[np.ndarray | None, int]:
    """Buckets that pruning left and their rows, (n, 2) int32; None where nothing was pruned."""
    if 8 * n_pruned > len(data) - at:
        raise ValueError(f"its header claims {n_pruned:,} pruned n-grams, which cannot be in {len(data):,} bytes")
    if n_pruned < 0:
        return None, at
    end = at + 8 * n_pruned
    return np.frombuffer(data[at:end], "<i4").reshape(-1, 2), end


def _subwords(head: Head) -> Subwords | None:
    if head.ngrams is None:
        return None
    if head.pruned is None:
        return Subwords(*head.ngrams, raw=True)
    n_buckets = head.ngrams[2]
    if 4 * n_buckets > MAX_TABLE:
        raise ValueError(
            f"its header claims {n_buckets:,} buckets, of which {len(head.pruned):,} are left; "
            f"the table of these is made for up to {MAX_TABLE // 4:,}"
        )
    buckets, rows = head.pruned.T
    if not (buckets.min() >= 0 and buckets.max() < n_buckets and rows.min() >= 0):
        raise ValueError(f"the rows of its buckets do not fit its header, which speaks of {n_buckets:,} buckets")
    table = np.full(n_buckets, -1, np.int32)
    table[buckets] = rows
    return Subwords(*head.ngrams, bucket_to_row=table, raw=True)


def _read_rows(data: mmap.mmap, path: Path, head: Head, n_ngrams: int) -> tuple[Storage, Storage]:
    """Rows of words and of n-grams, mapped."""
    at = head.at
    n_rows, n_columns = struct.unpack_from("<2q", data, at + head.is_quantised)
    if n_columns != head.dim or head.dim < 1 or n_rows < head.n_words + n_ngrams:
        raise ValueError(
            f"its matrix is {n_rows:,} x {n_columns:,}, while its header speaks of {head.n_words:,} words, "
            f"{n_ngrams:,} buckets and {head.dim} dimensions"
        )
    if head.is_quantised:
        return ftz.read_matrix(data, path, at, head.n_words, n_ngrams)
    at += 16
    if n_rows * n_columns * 4 > len(data) - at:
        raise ValueError(
            f"its header claims a matrix of {n_rows:,} x {n_columns:,} ({n_rows * n_columns * 4:,} bytes), "
            f"but only {max(len(data) - at, 0):,} bytes follow: cut short or damaged"
        )
    matrix = np.memmap(path, np.float32, mode="r", offset=at, shape=(head.n_words + n_ngrams, head.dim))
    return Dense(matrix[: head.n_words]), Dense(matrix[head.n_words :])


def holds(word: str) -> bool:
    """Whether the official tool, which ends words at blanks, can meet this word."""
    return bool(word) and not BLANK.search(word)


def save(v: Vectors, file: BinaryIO) -> None:
    """Write a ``.bin`` that the official tool, gensim and `load` open.

    Such a file holds raw rows, and a row for every bucket. Those of a raw model are written as
    they are; of any other model, what a word's row must be for its vector to come out right
    with the n-grams in the file. What only training needs is not known: its settings are
    fastText's defaults, counts are 1 where they are not known, and the output matrix is empty.

    Raises
    ------
    ValueError
        If no word is one that the format can hold.
    """
    held = np.array([holds(word) for word in v.words])
    if not held.any():
        raise ValueError("a fastText model has at least one word that is not empty and holds no blank; here is none")
    subwords = v.vocab.subwords if v.has_fasttext_ngrams else None
    n_buckets = 0 if subwords is None else subwords.n_hashed
    _write_head(v, file, held, subwords)
    file.write(struct.pack("<?2q", False, int(held.sum()) + n_buckets, v.dim))
    with progress.bar(total=len(v) + n_buckets, unit=" rows", desc="writing", delay=2) as bar:
        for start, block in v.blocks() if subwords is None else raw_blocks(v):
            file.write(block[held[start : start + len(block)]].astype("<f4", copy=False).data)
            bar.update(len(block))
        for _, block in () if subwords is None else bucket_blocks(v):
            file.write(block.astype("<f4", copy=False).data)
            bar.update(len(block))
    file.write(struct.pack("<?2q", False, 0, v.dim))


def raw_blocks(v: Vectors, size: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
    """Word rows as fastText has them, beside the rows of `bucket_blocks`: (first position, (<= size, dim)).

    A word's vector is the mean of this row and the rows of all its buckets. So of raw rows
    without pruned buckets they are the rows themselves, and else what undoes that mean.

    Raises
    ------
    ValueError
        At the first NaN or infinity, naming its row and word.
    """
    subwords, _ = v.ngrams
    if subwords.raw and (subwords.bucket_to_row is None or subwords.bucket_to_row.min() >= 0):
        for start in range(0, len(v), size):
            block = v.storage.words.rows(v.vocab.rows(slice(start, start + size)))
            check_finite(block, v.words, start)
            yield start, block
        return
    for start, block in v.blocks(size):
        words = v.words[start : start + len(block)]
        lengths = np.diff(subwords.buckets(words)[0])  # (n,), with those that were pruned
        means, left = v.ngram_means(words)
        sums = means.astype(np.float64) * left[:, None]
        yield start, (block * (lengths[:, None] + 1.0) - sums).astype(np.float32)


def bucket_blocks(v: Vectors, size: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of all buckets that fastText's hash reaches, as it has them: (first bucket, (<= size, dim) float32).

    Folded buckets are unfolded, pruned ones are zeros.
    """
    subwords, ngrams = v.ngrams
    for start in range(0, subwords.n_hashed, size):
        buckets = np.arange(start, min(start + size, subwords.n_hashed))
        for modulus in (*subwords.folded[1:], subwords.n_buckets):
            buckets %= modulus
        rows = subwords.rows_of(buckets)
        block = np.zeros((len(rows), v.dim), np.float32)
        block[rows >= 0] = ngrams.rows(rows[rows >= 0])
        check_finite(block, [], start, "n-gram row")
        yield start, block


def _write_head(v: Vectors, file: BinaryIO, held: np.ndarray, subwords: Subwords | None) -> None:
    """Write the settings and the words that are held, with their counts."""
    ngrams = (0, 0, 0) if subwords is None else (subwords.n_hashed, subwords.min_n, subwords.max_n)
    counts = np.ones(len(v), np.int64) if v.vocab.counts is None else np.maximum(v.vocab.counts, 1)
    n_words, n_tokens = int(held.sum()), int(counts[held].sum())
    file.write(struct.pack("<2i", MAGIC, VERSIONS[-1]))
    file.write(SETTINGS.pack(v.dim, 5, 5, 1, 5, 1, 2, SKIPGRAM, *ngrams, 100, 1e-4))
    file.write(struct.pack("<3i2q", n_words, n_words, 0, n_tokens, -1))
    for word, count, is_held in zip(v.words, counts.tolist(), held.tolist(), strict=True):
        if is_held:
            file.write(utf8(word) + struct.pack("<bqb", 0, count, 0))


def also_lost(v: Vectors) -> list[str]:
    """What raw rows of words and of all buckets cannot say of the n-grams of this model."""
    counts, lost = v.vocab.counts, []
    if counts is not None and counts.min() < 1:
        lost.append(f"counts below 1: {(counts < 1).sum():,} words are said to have been seen once")
    return lost + lost_buckets(v)


def lost_buckets(v: Vectors) -> list[str]:
    """What becomes of n-grams where every bucket must have a row of float32, a sentence each."""
    if v.vocab.subwords is None:
        return []
    subwords, ngrams = v.ngrams
    if not v.has_fasttext_ngrams:
        return [f"its {len(ngrams):,} n-grams, which are not fastText's: words outside the vocabulary have no vector"]
    lost, n_buckets = [], subwords.n_hashed
    n_pruned = 0 if subwords.bucket_to_row is None else int((subwords.bucket_to_row < 0).sum())
    if n_pruned:
        lost.append(
            f"the pruning of {n_pruned:,} of {subwords.n_buckets:,} buckets: their rows become zeros, so vectors of "
            "unseen words keep their direction and lose length"
        )
    if len(ngrams) < n_buckets or not isinstance(ngrams, Dense):
        n_bytes = 4 * n_buckets * v.dim
        lost.append(f"the size of its buckets: all {n_buckets:,} will have a row, {n_bytes / 1e6:.1f} MB of float32")
    return lost


FASTTEXT = Format(
    name="fasttext",
    title="fastText .bin",
    looks_like=looks_like,
    load=load,
    save=save,
    suffixes=(".bin",),
    keeps=frozenset({"n-grams", "counts"}),
    holds=holds,
    also_lost=also_lost,
)
FTZ = Format(  # known by the same first bytes as FASTTEXT, whose reader finds out which it is
    name="ftz",
    title="fastText .ftz",
    load=load,
    suffixes=(".ftz",),
    keeps=frozenset({"n-grams", "counts", "codes"}),
)
