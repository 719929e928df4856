"""Outlines: sizes of a model, and of what steps would make of it, found in a moment because nothing is built.

They say which steps can follow, and how large the file will be.
"""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..storage import Coded, Dense, Normed, Projected, Scaled, Storage
from ..subwords import ListedNgrams
from ..vectors import Vectors, remembered

if TYPE_CHECKING:
    from .base import Step

KINDS: dict[type, str] = {Dense: "float32", Scaled: "scaled", Coded: "coded", Normed: "normed"}
ARRAYS = {"float32": 1, "scaled": 2, "coded": 3, "normed": 6, "other": 4}
ENTRY = 2  # bytes a number of a codebook, or of a rotation
DEFLATED = 1 << 15  # words at most that are packed to see how many bytes so many take
HEADER, ARRAY = {True: 240, False: 100}, 85  # bytes of a file's header, with n-grams and without; and for each array


@dataclass(frozen=True)
class Rows:
    """Sizes of word rows, or of n-gram rows.

    Each of `n` rows has `dim` numbers in `row` bytes. Beside are `shared` bytes (scales, codebooks) and `axes`, onto
    which rows are projected; `dim` and `kind` ("float32", "scaled", "coded", "normed" or "other") are those of the
    inner rows.
    """

    n: int
    dim: int
    row: float
    shared: int = 0
    axes: int = 0
    kind: str = "float32"

    @classmethod
    def of(cls, storage: Storage) -> "Rows":
        """Return the sizes of a storage."""
        inner, axes = storage, 0
        while isinstance(inner, Projected):
            inner, axes = inner.inner, axes + inner.arrays()["axes"].nbytes
        shared = inner.take(np.arange(0)).nbytes
        row = (inner.nbytes - shared) / max(len(inner), 1)
        return cls(len(inner), inner.shape[1], row, shared, axes, KINDS.get(type(inner), "other"))

    @classmethod
    def dense(cls, n: int, dim: int) -> "Rows":
        return cls(n, dim, 4 * dim)

    def coded(self, n_codes: int, n_bits: int, width: int) -> "Rows | None":
        """Return these rows as codes with codebooks that are `width` numbers wide; None where they are too few."""
        shared = 2**n_bits * width * ENTRY + 8 * n_codes
        enough = self.n >= 2**n_bits and n_codes <= width
        return replace(self, row=-(-n_codes * n_bits // 8), shared=shared, kind="coded") if enough else None

    @property
    def nbytes(self) -> int:
        return round(self.n * self.row) + self.shared + self.axes


@dataclass(frozen=True)
class Outline:
    """Sizes of a model that steps make of `model`.

    Attributes
    ----------
    n_words : int
        Words of the vocabulary.
    words, ngrams : Rows
        `ngrams` is None for a model without.
    n_buckets : int
    is_pruned : bool
        True if some buckets have no row.
    shares_rows : bool
        True if words share rows.
    is_fixed : bool
        True if word rows need their n-grams as they are, after `Residual`.
    steps : tuple of Step
        Taken since `model`.
    is_sure : bool
        False after a step that has no outline.
    packs_all : bool
        See `outline`.
    """

    model: Vectors
    n_words: int
    words: Rows
    ngrams: Rows | None
    n_buckets: int
    is_pruned: bool
    shares_rows: bool
    is_fixed: bool
    steps: tuple["Step", ...] = ()
    is_sure: bool = True
    packs_all: bool = False

    @property
    def parts(self) -> dict[str, Rows]:
        """Word rows and n-gram rows by name, those that there are."""
        return {"words": self.words} | ({"ngrams": self.ngrams} if self.ngrams and self.ngrams.n else {})

    @property
    def nbytes(self) -> int:
        """Bytes of the rows."""
        return self.words.nbytes + (self.ngrams.nbytes if self.ngrams else 0)

    @property
    def file_bytes(self) -> int:
        """Bytes of the file, nearly."""
        meta = self.model.meta | {
            "recipe": [*self.model.meta.get("recipe", ()), *(step.to_json() for step in self.steps)]
        }
        n_bytes = HEADER[self.ngrams is not None] + len(json.dumps(json.dumps(meta))) + self.nbytes
        kinds = [rows for rows in (self.words, self.ngrams) if rows is not None]
        n_arrays = 2 + self.is_pruned + 2 * self.shares_rows + sum(ARRAYS[r.kind] + (r.axes > 0) for r in kinds)
        sizes = vocab_bytes(self.model, self.packs_all)
        n_bytes += n_arrays * ARRAY + int(np.interp(self.n_words, *sizes)) + 3 * self.shares_rows * self.n_words
        if self.ngrams is None or not self.is_pruned:
            return n_bytes
        if isinstance(self.model.vocab.subwords, ListedNgrams):
            return n_bytes + listed_bytes(self.model) * self.ngrams.n // max(len(self.model.ngrams[1]), 1)
        return n_bytes + self.n_buckets // 8


@remembered
def outline(v: Vectors, packs_all: bool = False) -> Outline:
    """Return the outline of a model whose word rows are whole vectors, as the first step makes them.

    With `packs_all`, bytes of many words are those of all of them packed, which takes seconds, and not of a sample.
    """
    subwords, ngrams, words = v.vocab.subwords, v.storage.ngrams, Rows.of(v.storage.words)
    is_fixed = v.is_composed and not (v.ngrams[0].raw and isinstance(v.storage.words, Dense))
    if v.is_composed and not is_fixed:
        words = Rows.dense(len(v), v.dim)
    elif v.vocab.n_used_rows < words.n:
        words = replace(words, n=v.vocab.n_used_rows)
    n_buckets = 0 if subwords is None else subwords.n_buckets
    is_pruned = subwords is not None and (subwords.bucket_to_row is not None or isinstance(subwords, ListedNgrams))
    shares_rows = v.vocab.row_of is not None
    of_ngrams = None if ngrams is None else Rows.of(ngrams)
    is_sure = "other" not in (words.kind, of_ngrams and of_ngrams.kind)
    return Outline(
        v, len(v), words, of_ngrams, n_buckets, is_pruned, shares_rows, is_fixed, is_sure=is_sure, packs_all=packs_all
    )


@remembered
def vocab_bytes(v: Vectors, packs_all: bool = False) -> tuple[list[int], list[int]]:
    """Return numbers of words, and the bytes that so many of the most frequent ones and their counts take in a file."""
    sizes, order = [len(v)], v.vocab.by_frequency()
    while sizes[0] > 1:
        sizes.insert(0, sizes[0] // 2)

    def packed(places: np.ndarray) -> int:
        arrays = v.vocab.take(np.sort(places))[0].arrays()
        return sum(array.nbytes for name, array in arrays.items() if name in ("text", "counts"))

    found: list[int] = []
    for n in sizes:
        if packs_all or n <= 2 * DEFLATED:
            found.append(packed(order[:n]))
        else:  # what more words take is known from some of them
            more, first = n - n // 2, (n // 2 + n - DEFLATED) // 2
            found.append(found[-1] + more * packed(order[first : first + DEFLATED]) // DEFLATED)
    return sizes, found


@remembered
def listed_bytes(v: Vectors) -> int:
    """Return the bytes that a list of n-grams takes in a file."""
    return sum(array.nbytes for array in v.ngrams[0].arrays().values())


@remembered
def n_used_ngrams(v: Vectors) -> int:
    """Return the number of n-gram rows that words of the vocabulary use."""
    subwords, _ = v.ngrams
    rows = subwords.rows_of(v.vocab.used_buckets(subwords))
    return int(np.count_nonzero(np.bincount(rows[rows >= 0])))
