"""`Rehash`: fewer buckets for the same n-grams."""

import numpy as np

from ..storage import Dense, Stacked
from ..vectors import Vectors, check_finite
from .base import Step, parameter


class Rehash(Step):
    """Fold the buckets of n-grams into fewer, whose rows are means of those that fall together.

    No n-gram loses its row, as by `Prune`; each shares one with more others. Old buckets weigh
    as many words of the vocabulary as use them (in a `Chain`, of the vocabulary of the chain's
    input), as in compress-fasttext (Dale, 2020), so that those that no word uses, which were
    never trained, weigh nothing; a new bucket of such alone has no row. Word rows become whole
    vectors first: known words stay as they are.

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

    label = "Re-hash n-grams"
    blurb = "folds n-gram buckets into fewer, so that several n-grams share one row."
    advice = "its rows are float32: take fewer buckets, and Rehash before PQ, SQ and SVD, not after them"
    needs_ngrams = True

    n_buckets: int = parameter(
        100_000,
        "count",
        "Buckets",
        1,
        lambda v: v.vocab.subwords.n_buckets if v.vocab.subwords else 1,
        brief="{:,} buckets",
    )

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        subwords, ngrams = v.ngrams
        if self.n_buckets > subwords.n_buckets:
            raise ValueError(f"{self!r}: the model has {subwords.n_buckets:,} buckets only; take fewer")
        subwords.fold(int(self.n_buckets))  # refuses n-grams that are not hashed
        users = bucket_users(v, v if reference is None else reference)
        rows = ngrams.rows(slice(None))
        check_finite(rows, (), what="n-gram row")
        self.buckets_, self.ngrams_ = folded_rows(users, rows, subwords.bucket_to_row, int(self.n_buckets))
        self.n_buckets_in_ = subwords.n_buckets

    def _transform(self, v: Vectors) -> Vectors:
        v = v.adjusted()
        subwords, _ = v.ngrams
        if subwords.n_buckets != self.n_buckets_in_:
            raise ValueError(f"Rehash was fitted on {self.n_buckets_in_:,} buckets, got {subwords.n_buckets:,}")
        vocab = v.vocab.with_subwords(subwords.fold(int(self.n_buckets)).keep(self.buckets_))
        return v.with_storage(Stacked(v.storage.words, Dense(self.ngrams_)), vocab)


def bucket_users(v: Vectors, reference: Vectors) -> np.ndarray:
    """How many words of `reference` use each bucket of `v`: (n_buckets,) int64, 0 where it has no row."""
    subwords, _ = v.ngrams
    users = np.zeros(subwords.n_buckets, np.int64)
    for _, indptr, values in reference.vocab.bucket_blocks(subwords):
        word = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        pairs = np.unique(word * subwords.n_buckets + values)  # a word that uses a bucket twice is one user
        users += np.bincount(pairs % subwords.n_buckets, minlength=subwords.n_buckets)
    users[subwords.rows_of(np.arange(subwords.n_buckets)) < 0] = 0
    return users


def folded_rows(
    users: np.ndarray, rows: np.ndarray, bucket_to_row: np.ndarray | None, n_buckets: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means of the rows of old buckets that share a new one.

    Parameters
    ----------
    users : (n_old,) int array
        Weights of the old buckets.
    rows : (n_old_rows, dim) float32 array
    bucket_to_row : (n_old,) int array or None
    n_buckets : int

    Returns
    -------
    buckets : (n_rows,) int64 array
        New buckets of which an old one weighs something, in order.
    means : (n_rows, dim) float32 array
    """
    from scipy.sparse import csr_array

    used = np.flatnonzero(users)
    buckets, place = np.unique(used % n_buckets, return_inverse=True)
    weights = users[used] / np.bincount(place, weights=users[used])[place]
    of = used if bucket_to_row is None else bucket_to_row[used]
    means = csr_array((weights.astype(np.float32), (place, of)), shape=(len(buckets), len(rows)))
    return buckets, means @ rows
