"""fastText ``.ftz``, a quantised model: `fasttext` reads it, and here it is written for the official library.

fastText itself quantises supervised models only, but opens others too. Such a file has one product quantiser for word
rows and n-gram rows, and perhaps one for their lengths. A known word's vector is the mean of its own row and of its
n-grams that are left.

Source: `FastText::loadModel`, `Dictionary::load`, `QuantMatrix` and `ProductQuantizer` of the official C++ code.
"""

import struct
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np

from .. import progress
from ..storage import Coded, Dense, Normed, Stacked, Storage, lengths
from ..vectors import Vectors
from .base import Format
from .fasttext import N_ENTRIES, hashed_rows, holds_word, load, lost_counts, lost_ngrams, own_blocks, write_head

WIDTH = 2  # numbers a code, the default of fastText's own `quantize`
MAX_CODES = 2**31 - 1  # in a file: their number is an int32
N_TRAINED = 32_768  # words, and as many n-grams, that codebooks are learned from
SOFTMAX = 3  # as the loss: for others the official library sets up tables for training, of some 65 MB


def save(v: Vectors, file: BinaryIO) -> None:
    """Write a ``.ftz`` that the official library and `load` open: codes that fit as they are, others `quantised`."""
    n_rows, n_codes = len(v) + len(ngram_rows(v)), n_codes_of(v)
    if n_rows * n_codes > MAX_CODES:
        raise ValueError(
            f"{n_rows:,} rows of {n_codes} codes are more than the {MAX_CODES:,} codes that a fastText .ftz can have: "
            "keep fewer words and n-grams first, with Prune(n_words=..., n_ngrams=...)"
        )
    parts, left = as_they_are(v) or quantised(v), None
    if v.has_fasttext_ngrams:
        rows = hashed_rows(v.ngrams[0], 0, v.ngrams[0].n_hashed)  # (n_hashed,)
        alive = np.flatnonzero(rows >= 0)
        left = None if np.array_equal(rows, np.arange(len(rows))) else np.stack([alive, rows[alive]], axis=1)
    write_head(v, file, left, SOFTMAX)
    columns = columns_of(parts)
    file.write(struct.pack("<2?2qi", True, len(columns) == 2, n_rows, v.dim, n_rows * n_codes))
    for column in columns:
        file.writelines(np.ascontiguousarray(part.packed).data for part in column)
        spans, dim = column[0].spans.tolist(), column[0].shape[1]
        file.write(struct.pack("<4i", dim, len(spans), spans[0][1], dim - spans[-1][0]))
        file.writelines(np.ascontiguousarray(column[0].codebooks[:, a:b], "<f4").data for a, b in spans)
    file.write(struct.pack("<?2q", False, 0, v.dim))


def ngram_rows(v: Vectors) -> Storage:
    """Return the n-gram rows that the file has, which may be none."""
    return v.ngrams[1] if v.has_fasttext_ngrams else Dense.of_size(0, v.dim)


def fits(part: Storage) -> bool:
    """Return whether fastText's quantiser can have these codes: of eight bits, equally wide but for the last one."""
    if not isinstance(part, Coded) or part.n_bits != 8:
        return False
    starts = np.arange(0, part.shape[1], part.spans[0, 1])
    return np.array_equal(part.spans, np.stack([starts, np.append(starts[1:], part.shape[1])], axis=1))


def kept_codes(v: Vectors) -> Coded | None:
    """Return codes whose codebooks the file takes over: those of n-grams, or of words where there are none."""
    rows = ngram_rows(v) if len(ngram_rows(v)) else v.storage.words
    coded = rows.inner if isinstance(rows, Normed) else rows
    return coded if isinstance(coded, Coded) and fits(coded) else None


def n_codes_of(v: Vectors) -> int:
    kept = kept_codes(v)
    return -(-v.dim // WIDTH) if kept is None else len(kept.spans)


def columns_of(parts: list) -> list[list[Any]]:
    """Return the storages that share a quantiser in the file: of all rows, or of their directions and their lengths."""
    is_normed = all(isinstance(part, Normed) for part in parts)
    return [[part.inner for part in parts], [part.lengths for part in parts]] if is_normed else [parts]


def as_they_are(v: Vectors) -> list[Storage] | None:
    """Return word rows and n-gram rows of a model that has them as the file has, so that nothing is lost."""
    is_raw = v.vocab.subwords is None or (v.has_fasttext_ngrams and v.vocab.subwords.raw)
    if not is_raw or v.vocab.factors is not None:
        return None
    parts = [v.storage.words] + ([] if v.storage.ngrams is None else [v.storage.ngrams])
    for column in columns_of(parts):
        if not all(fits(part) and np.array_equal(part.codebooks, column[0].codebooks) for part in column):
            return None
    return parts if v.vocab.row_of is None else [parts[0].take(v.vocab.row_of), *parts[1:]]


def quantised(v: Vectors) -> list[Storage]:
    """Return own rows and n-gram rows as codes of the same codebooks, beside codes of their lengths.

    Codebooks are those of `kept_codes`, so that codes of n-grams that fit stay; else they are learned from both. Own
    rows are what n-grams, once they are codes, leave over of words, and so make up for the errors of n-grams.
    """
    from ..compress.pq import PQ, directions
    from ..compress.values import finite_blocks

    ngrams, book, blocks = ngram_rows(v), kept_codes(v), v.blocks()
    if book is None:
        for _ in finite_blocks(ngrams, "ngrams"):  # before words are made of them
            pass
        rng = np.random.default_rng(0)
        some = rng.permutation(len(v))[:N_TRAINED]
        own = own_blocks(v, v, with_pruned=False, index=some) if len(ngrams) else v.blocks(index=some)
        rows = [block for _, block in own]
        rows.append(ngrams.rows(rng.permutation(len(ngrams))[:N_TRAINED]))
        codebooks, spans = PQ(n_codes_of(v)).codebooks(directions(enough(Dense(np.concatenate(rows)))), "words")
        book = Coded(np.empty((0, len(spans)), np.uint8), codebooks, spans, v.dim, 8)
        ngrams = encoded(ngrams.blocks(), len(ngrams), book)
    elif not isinstance(ngrams, Normed):
        ngrams = Normed(ngrams, Dense(np.ones((len(ngrams), 1), np.float32)))
    if len(ngrams):
        blocks = own_blocks(v, v.with_storage(Stacked(v.storage.words, ngrams)), with_pruned=False)
    parts = [encoded(blocks, len(v), book), *([ngrams] if len(ngrams) else [])]
    long = np.concatenate([part.lengths.rows(slice(None)) for part in parts])  # (n_rows, 1)
    levels, spans = PQ(1).codebooks(enough(Dense(long)), "words")
    for exact in (0, 1):  # rows of zeros, and n-grams whose codes stay
        if np.count_nonzero(long == exact):
            levels[np.abs(levels - exact).argmin()] = exact
    few = Coded(np.empty((0, 1), np.uint8), levels, spans, 1, 8)
    return [Normed(part.inner, few.like(part.lengths.rows(slice(None)))) for part in parts]


def enough(rows: Storage) -> Storage:
    """Return rows for k-means: the same ones, again and again where there are fewer than centroids."""
    return rows if len(rows) >= N_ENTRIES else Dense(rows.rows(np.arange(N_ENTRIES) % len(rows)))


def encoded(blocks: Iterable[tuple[int, np.ndarray]], n: int, book: Coded) -> Normed:
    """Return rows as codes of the entries of `book`, at the usual length of its rows, and lengths that undo that."""
    usual = np.sqrt(np.square(book.norms()).mean()) if len(book) else np.float32(1)
    codes, factors = np.empty((n, len(book.spans)), np.uint8), np.empty((n, 1), np.float32)
    with progress.bar(total=n, unit=" rows", desc="fastText codes", leave=False, delay=2) as bar:
        for start, block in blocks:
            long = lengths(block)[:, None]
            coded = book.like(block * (usual / np.where(long > 0, long, usual)))
            here = slice(start, start + len(block))
            codes[here] = coded.packed
            factors[here] = long / np.maximum(lengths(coded.rows(slice(None)))[:, None], np.float32(1e-30))
            bar.update(len(block))
    return Normed(Coded(codes, book.codebooks, book.spans, book.shape[1], 8), Dense(factors))


def also_lost(v: Vectors) -> list[str]:
    lost = [*lost_counts(v), *lost_ngrams(v)]
    if as_they_are(v) is None:
        rows = "word rows" if kept_codes(v) is ngram_rows(v) else "rows"
        lost.append(
            f"the digits of its {rows}: each becomes {n_codes_of(v)} bytes of codes and one of its length; "
            "scorecard(v, load(path)) measures what that costs"
        )
    return lost


FTZ = Format(  # known by the same first bytes as fastText's .bin, whose reader finds out which it is
    name="ftz",
    title="fastText .ftz",
    load=load,
    save=save,
    suffixes=(".ftz",),
    keeps=frozenset({"n-grams", "counts", "codes"}),
    holds_word=holds_word,
    also_lost=also_lost,
)
