"""fastText ``.bin``, old and new, unsupervised and supervised, and quantised ``.ftz``; the matrix stays in the file.

Source: `FastText::loadModel`, `Args`, `Dictionary`, `DenseMatrix`, `QuantMatrix` and `ProductQuantizer` of the official
C++ code.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .. import progress
from ..storage import BLOCK, Coded, Dense, Normed, Stacked, Storage
from ..subwords import Subwords, utf8
from ..vectors import Vectors, check_finite
from ..vocab import Vocab
from .base import Cursor, Format, first_ones

MAGIC = struct.pack("<i", 793712314)
SKIPGRAM, SUPERVISED = 2, 3
VERSIONS = (11, 12)
SETTINGS = "<12id"  # dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate t
SENSIBLE = ((1, 10**5), (1, 10**4), (1, 10**5), (0, 10**9), (0, 10**6), (1, 1000), (1, 4), (1, 3))  # of the first eight
DICTIONARY = "<3i2q"  # entries, words, labels, tokens, pruned buckets (-1 where none is); the last is new
AFTER_WORD = np.dtype([("end", "u1"), ("count", "<i8"), ("type", "u1")])  # the type is 1 for labels
N_ENTRIES = 256  # of the codebooks of a quantised model
MAX_TABLE = 1 << 24  # rows of pruned buckets, whose number no file bears out
BLANK = re.compile(r"[\0\t\n\v\f\r ]")  # what ends a word for the official tool


def looks_like(path: Path, head: bytes) -> bool:
    """Return whether eight settings in a row make sense: files from before July 2017 have no magic number."""
    if len(head) < struct.calcsize(SETTINGS):
        return False
    settings = struct.unpack_from(SETTINGS, head)
    return all(low <= x <= high for x, (low, high) in zip(settings, SENSIBLE, strict=False))


def load(path: Path) -> Vectors:
    """Open a fastText model; rows stay raw, codes stay codes, and words that are not UTF-8 stay as they are.

    A supervised model gives its word vectors; its labels and its classifier are left aside.
    """
    cursor = Cursor(path)
    is_new = cursor.bytes[:4] == MAGIC
    version = cursor.numbers("<2i")[1] if is_new else 0
    if is_new and version not in VERSIONS:
        raise ValueError(f"format version {version} is unknown, 11 and 12 are read")
    dim, *_, model, n_buckets, min_n, max_n, _, _ = cursor.numbers(SETTINGS)
    n_entries, n_words, n_labels, _, *pruned = cursor.numbers(DICTIONARY if is_new else DICTIONARY.replace("2q", "q"))
    if not 0 < n_words <= n_words + n_labels == n_entries or n_entries * AFTER_WORD.itemsize > cursor.left:
        raise ValueError(
            f"its header claims {n_words:,} words and {n_labels:,} labels in {n_entries:,} entries, "
            f"which cannot be in a file of {len(cursor.bytes):,} bytes"
        )
    text, has_repeats, counts = _read_words(cursor, n_entries, n_words)
    left = None  # (n, 2) bucket and row of n-grams that were not pruned
    if is_new and pruned[0] >= 0:
        left = cursor.array("<i4", pruned[0], 2, what="pruned n-grams")
    is_quantised = is_new and cursor.numbers("<?")[0]

    is_old_supervised = model == SUPERVISED and version != 12  # these had no character n-grams
    has_ngrams = n_buckets > 0 and max_n > 0 and min_n <= max_n and not is_old_supervised
    subwords = None
    if has_ngrams and (left is None or len(left)):
        table = None if left is None else _row_table(left, n_buckets)
        subwords = Subwords(max(min_n, 1), max_n, n_buckets, table, raw=True)
    n_ngrams = 0 if subwords is None else subwords.n_rows
    has_norms = is_quantised and cursor.numbers("<?")[0]
    n_rows, n_columns = cursor.numbers("<2q")
    if n_columns != dim or dim < 1 or n_rows < n_words + n_ngrams:
        raise ValueError(
            f"its matrix is {n_rows:,} x {n_columns:,}, while its header speaks of {n_words:,} words, "
            f"{n_ngrams:,} buckets and {dim} dimensions"
        )
    parts = slice(0, n_words), slice(n_words, n_words + n_ngrams)
    if is_quantised:
        own, ngrams = _read_codes(cursor, n_rows, dim, cursor.numbers("<i")[0], parts)
        if has_norms:
            own, ngrams = map(Normed, (own, ngrams), _read_codes(cursor, n_rows, 1, n_rows, parts))
    else:
        matrix = cursor.array("<f4", n_rows, dim)
        own, ngrams = (Dense(matrix[part]) for part in parts)
    vocab = Vocab(text, counts=counts, subwords=subwords)
    if has_repeats:
        vocab, own = first_ones(vocab, own)
    return Vectors(vocab, own if subwords is None else Stacked(own, ngrams))


def _read_words(cursor: Cursor, n_entries: int, n_words: int) -> tuple[bytes, bool, np.ndarray]:
    """Words as one text, whether some repeat, and their counts, (n_words,) int64; labels come behind them."""
    words, ends, step = [], np.empty(n_entries, np.int64), AFTER_WORD.itemsize
    for i in range(n_entries):
        end = cursor.bytes.find(b"\0", cursor.at)
        if end < 0 or end + step > len(cursor.bytes):
            raise ValueError(f"it ends in its vocabulary, at entry {i:,} of {n_entries:,}")
        words.append(cursor.bytes[cursor.at : end])
        ends[i], cursor.at = end, end + step
    after = np.stack([cursor.data[ends + i] for i in range(step)], axis=1).view(AFTER_WORD)[:, 0]  # (n_entries,)
    wrong = np.flatnonzero(after["type"] != (np.arange(n_entries) >= n_words))
    if len(wrong):
        kind = after["type"][wrong[0]]
        raise ValueError(f"entry {wrong[0]:,} of its vocabulary has type {kind}, which does not fit its header")
    counts = after["count"][:n_words].copy()
    del words[n_words:], after
    has_repeats = len(set(words)) < n_words
    return b"\0".join([b"", *words, b""]), has_repeats, counts


def _row_table(left: np.ndarray, n_buckets: int) -> np.ndarray:
    """Row of each bucket, -1 for pruned ones: (n_buckets,) int32."""
    if n_buckets > MAX_TABLE:
        raise ValueError(
            f"its header claims {n_buckets:,} buckets, of which {len(left):,} are left; "
            f"the table of these is made for up to {MAX_TABLE:,}"
        )
    buckets, rows = left.T
    if not (buckets.min() >= 0 and buckets.max() < n_buckets and rows.min() >= 0):
        raise ValueError(f"the rows of its buckets do not fit its header, which speaks of {n_buckets:,} buckets")
    table = np.full(n_buckets, -1, np.int32)
    table[buckets] = rows
    return table


def _read_codes(cursor: Cursor, n_rows: int, dim: int, n_codes: int, parts: tuple[slice, ...]) -> list[Storage]:
    """Rows as codes of a product quantiser, those of each part as a storage."""
    at = cursor.skip(n_codes, f"{n_codes:,} bytes of codes")
    columns, n_subvectors, width, last = cursor.numbers("<4i")
    fits = columns == dim and width >= 1 and n_subvectors == -(-dim // width) and n_codes == n_rows * n_subvectors
    if not fits or last != dim - width * (n_subvectors - 1):
        raise ValueError(
            f"its {n_codes:,} codes of {n_rows:,} rows of {dim} numbers do not fit its quantiser, which speaks of "
            f"{n_subvectors} codes a row for {width} of {columns} numbers each, and {last} in the last"
        )
    starts = np.arange(n_subvectors, dtype=np.int32) * width
    spans = np.stack([starts, np.minimum(starts + width, dim)], axis=1).astype(np.int32)  # (n_subvectors, 2)
    books = [cursor.array("<f4", N_ENTRIES, b - a) for a, b in spans.tolist()]
    packed = cursor.data[at : at + n_codes].reshape(n_rows, n_subvectors)
    return [Coded(packed[part], np.concatenate(books, axis=1), spans, dim, 8) for part in parts]


# -- writing ------------------------------------------------------------------------------


def holds_word(word: str) -> bool:
    """Return whether the official tool, which ends words at blanks, can meet this word."""
    return bool(word) and not BLANK.search(word)


def save(v: Vectors, file: BinaryIO) -> None:
    """Write a ``.bin`` that the official tool, gensim and `load` open.

    Such a file holds raw rows, and a row for every bucket. Those of a raw model are written as they are; of any other
    model, what a word's row must be for its vector to come out right with the n-grams in the file. Settings of
    training are fastText's defaults, unknown counts are 1, and the output matrix is empty.
    """
    subwords = v.vocab.subwords if v.has_fasttext_ngrams else None
    n_buckets = 0 if subwords is None else subwords.n_hashed
    write_head(v, file)
    file.write(struct.pack("<?2q", False, len(v) + n_buckets, v.dim))
    with progress.bar(total=len(v) + n_buckets, unit=" rows", desc="writing", delay=2) as bar:
        for blocks in [v.blocks()] if subwords is None else [raw_blocks(v), bucket_blocks(v)]:
            for _, block in blocks:
                file.write(block.astype("<f4", copy=False).data)
                bar.update(len(block))
    file.write(struct.pack("<?2q", False, 0, v.dim))


def write_head(v: Vectors, file: BinaryIO, left: np.ndarray | None = None, loss: int = 2) -> None:
    """Write settings and words; `left` are the buckets that are left and their rows, (n, 2), where some are pruned.

    Settings of training are fastText's defaults but for the loss: 2 is negative sampling, 3 softmax.
    """
    subwords = v.vocab.subwords if v.has_fasttext_ngrams else None
    hashed = (0, 0, 0) if subwords is None else (subwords.n_hashed, subwords.min_n, subwords.max_n)
    counts = np.ones(len(v), np.int64) if v.vocab.counts is None else np.maximum(v.vocab.counts, 1)
    n_left = -1 if left is None else len(left)
    file.write(MAGIC + struct.pack("<i", VERSIONS[-1]))
    file.write(struct.pack(SETTINGS, v.dim, 5, 5, 1, 5, 1, loss, SKIPGRAM, *hashed, 100, 1e-4))
    file.write(struct.pack(DICTIONARY, len(v), len(v), 0, int(counts.sum()), n_left))
    file.writelines(utf8(w) + struct.pack("<bqb", 0, n, 0) for w, n in zip(v.words, counts.tolist(), strict=True))
    if left is not None:
        file.write(np.ascontiguousarray(left, "<i4").data)


def raw_blocks(v: Vectors) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first position and the word rows, (<= BLOCK, dim), as fastText has them beside `bucket_blocks`.

    A word's vector is the mean of this row and the rows of all its buckets. So of raw rows without pruned buckets
    they are the rows themselves, and else what undoes that mean.
    """
    subwords, _ = v.ngrams
    if subwords.raw and (subwords.bucket_to_row is None or subwords.bucket_to_row.min() >= 0):
        for start in range(0, len(v), BLOCK):
            block = v.storage.words.rows(v.vocab.rows(slice(start, start + BLOCK)))
            check_finite(block, v.words, start)
            yield start, block
        return
    yield from own_blocks(v, v, with_pruned=True)


def own_blocks(
    v: Vectors, beside: Vectors, with_pruned: bool, index: np.ndarray | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first place and what word rows, (<= BLOCK, dim), must be beside n-grams for the mean to be right.

    `beside` has the n-grams. The mean is over those that are left, or also over pruned ones, whose rows are zeros.
    With `index` of the words at these positions.
    """
    index = np.arange(len(v)) if index is None else index
    for start, block in v.blocks(index=index):
        words = [v.words[i] for i in index[start : start + len(block)]]
        means, left = beside.ngram_means(words)
        n_ngrams = np.diff(beside.ngrams[0].buckets(words)[0]) if with_pruned else left  # (n,)
        sums = means.astype(np.float64) * left[:, None]
        yield start, (block * (n_ngrams[:, None] + 1.0) - sums).astype(np.float32)


def bucket_blocks(v: Vectors) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first bucket and the rows, (<= BLOCK, dim) float32, of all buckets that fastText's hash reaches.

    Folded buckets are unfolded, pruned ones are zeros.
    """
    subwords, ngrams = v.ngrams
    for start in range(0, subwords.n_hashed, BLOCK):
        rows = hashed_rows(subwords, start, min(start + BLOCK, subwords.n_hashed))
        block = np.zeros((len(rows), v.dim), np.float32)
        block[rows >= 0] = ngrams.rows(rows[rows >= 0])
        check_finite(block, [], start, "n-gram row")
        yield start, block


def hashed_rows(subwords: Subwords, start: int, stop: int) -> np.ndarray:
    """Return the row of each of these buckets of fastText's hash, folded or not, -1 where it was pruned."""
    buckets = np.arange(start, stop)
    for modulus in (*subwords.folded[1:], subwords.n_buckets):
        buckets %= modulus
    return subwords.rows_of(buckets)


def also_lost(v: Vectors) -> list[str]:
    return [*lost_counts(v), *lost_buckets(v)]


def lost_counts(v: Vectors) -> list[str]:
    counts = v.vocab.counts
    if counts is None or counts.min() >= 1:
        return []
    return [f"counts below 1: {(counts < 1).sum():,} words are said to have been seen once"]


def lost_ngrams(v: Vectors) -> list[str]:
    if v.vocab.subwords is None or v.has_fasttext_ngrams:
        return []
    n = len(v.ngrams[1])
    return [f"its {n:,} n-grams, which are not fastText's: words outside the vocabulary have no vector"]


def lost_buckets(v: Vectors) -> list[str]:
    """Return what becomes of n-grams where every bucket must have a row of float32, a sentence each."""
    if not v.has_fasttext_ngrams:
        return lost_ngrams(v)
    subwords, ngrams = v.ngrams
    lost, n_hashed = [], subwords.n_hashed
    n_pruned = 0 if subwords.bucket_to_row is None else int((subwords.bucket_to_row < 0).sum())
    if n_pruned:
        lost.append(
            f"the pruning of {n_pruned:,} of {subwords.n_buckets:,} buckets: their rows become zeros, so vectors of "
            "unseen words keep their direction and lose length"
        )
    if len(ngrams) < n_hashed or not isinstance(ngrams, Dense):
        size = f"{4 * n_hashed * v.dim / 1e6:.1f} MB of float32"
        lost.append(f"the size of its buckets: all {n_hashed:,} will have a row, {size}")
    return lost


FASTTEXT = Format(
    name="fasttext",
    title="fastText .bin",
    magic=(MAGIC,),
    looks_like=looks_like,
    load=load,
    save=save,
    suffixes=(".bin",),
    keeps=frozenset({"n-grams", "counts"}),
    holds_word=holds_word,
    also_lost=also_lost,
)
