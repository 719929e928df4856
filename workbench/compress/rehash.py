"""`Rehash`: fewer buckets for the same n-grams."""

from dataclasses import replace

import numpy as np

from ..spool import zeros
from ..storage import Dense, Stacked
from ..subwords import ListedNgrams
from ..vectors import Vectors
from .base import Step, parameter
from .outline import Outline, Rows, n_used_ngrams
from .values import finite_blocks


class Rehash(Step):
    """Fold the buckets of n-grams into fewer, whose rows are means of those that fall together.

    No n-gram loses its row, as by `Prune`; each shares one with more others. An old bucket's weight is
    the number of words in the vocabulary that use it (in a `Chain`, the vocabulary of the chain's
    input), as in compress-fasttext (Dale, 2020). Buckets that no word uses were never trained and
    weigh nothing; a new bucket of such alone has no row. Known words stay as they are.

    Parameters
    ----------
    n_buckets : int
        Buckets that n-grams are hashed to, modulo the old number first and then this one.

    Attributes
    ----------
    ngrams_ : (n_rows, dim) float32 array
        The new rows.
    buckets_ : (n_rows,) int64 array
        The new buckets that they belong to, in order.
    """

    label = "Rehash n-grams"
    blurb = "folds n-gram buckets into fewer, so that several n-grams share one row."
    advice = "its rows are float32: take fewer buckets, and Rehash before PQ, SQ and SVD, not after them"
    needs_ngrams = True

    n_buckets: int = parameter(
        100_000, "count", "Buckets", 1, lambda v: v.vocab.subwords.n_buckets, brief="{:,} buckets"
    )

    def loses_alike(self) -> bool:
        return True

    def _outlined(self, o: Outline) -> Outline | None:
        n, rows = self.n_buckets, o.parts.get("ngrams")
        if rows is None or n > o.n_buckets or isinstance(o.model.vocab.subwords, ListedNgrams):
            return None
        spare = 1 - min(rows.n, n_used_ngrams(o.model)) / o.n_buckets  # share of the buckets that no word uses
        n_rows = round(n * (1 - spare ** (o.n_buckets / n)))
        return replace(o, ngrams=Rows.dense(n_rows, o.model.dim), n_buckets=n, is_pruned=True)

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        from .. import kernels

        subwords, ngrams = v.ngrams
        n_old, n_new = subwords.n_buckets, int(self.n_buckets)
        if n_new > n_old:
            raise ValueError(f"{self!r}: the model has {n_old:,} buckets only; take fewer")
        subwords.fold(n_new)  # refuses n-grams that are not hashed
        users = np.zeros(n_old, np.int64)  # words that use a bucket
        for _, indptr, values in (v if reference is None else reference).vocab.bucket_blocks(subwords):
            word = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
            pairs = np.unique(word * n_old + values)  # a word that uses a bucket twice is one user
            users += np.bincount(pairs % n_old, minlength=n_old)
        row_of = subwords.rows_of(np.arange(n_old))
        used = np.flatnonzero((users > 0) & (row_of >= 0))
        self.buckets_, place = np.unique(used % n_new, return_inverse=True)
        weights = (users[used] / np.bincount(place, weights=users[used])[place]).astype(np.float32)
        rows, place, self.ngrams_ = row_of[used], place.astype(np.int32), zeros(len(self.buckets_), v.dim)
        for start, block in finite_blocks(ngrams, "ngrams"):
            here = np.flatnonzero((rows >= start) & (rows < start + len(block)))
            parts = block[rows[here] - start]
            kernels.add_pulls(np.arange(len(here) + 1), place[here], weights[here], parts, self.ngrams_)
        self.n_buckets_in_ = n_old

    def _transform(self, v: Vectors) -> Vectors:
        v = v.adjusted()
        subwords, _ = v.ngrams
        if subwords.n_buckets != self.n_buckets_in_:
            raise ValueError(f"Rehash was fitted on {self.n_buckets_in_:,} buckets, got {subwords.n_buckets:,}")
        vocab = v.vocab.with_subwords(subwords.fold(int(self.n_buckets)).keep(self.buckets_))
        return v.with_storage(Stacked(v.storage.words, Dense(self.ngrams_)), vocab)
