"""`Prune`: keep the rows that matter most."""

from collections.abc import Sequence

import numpy as np

from ..storage import Stacked
from ..subwords import Subwords
from ..vectors import Vectors, check_finite
from .base import Step, check_int


class Prune(Step):
    """Keep the most frequent words and the n-grams that carry most.

    Words that go are rebuilt from the n-grams that stay, as unseen words are. Buckets that no
    word of the vocabulary uses go first (in a `Chain`, the vocabulary of the chain's input); of
    the others those stay whose count times the norm of their row is greatest. A word counts as
    one in all, shared among its n-grams, because its vector is their mean; compress-fasttext
    (Dale, 2020), where this choice comes from, counts one for each n-gram and so favours those
    of long words. Kept words keep their own vectors and their order.

    Parameters
    ----------
    n_words : int, optional
        Words to keep: the most frequent where the model has counts, else the first. All by
        default.
    n_ngrams : int, optional
        N-gram rows to keep, at most. All that are used by default; a model without n-grams has
        nothing to choose from.

    Attributes
    ----------
    words_ : int64 array
        Positions of the words that stay.
    n_words_in_ : int
        How many words it was fitted on.
    buckets_ : int64 array or None
        Buckets that stay, in order.
    """

    def __init__(self, n_words: int | None = None, n_ngrams: int | None = None):
        self.n_words = n_words
        self.n_ngrams = n_ngrams

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        check_int(self, "n_words", 1, optional=True)
        check_int(self, "n_ngrams", 0, optional=True)
        self.words_ = v.vocab.most_frequent(self.n_words)
        self.n_words_in_ = len(v)
        self.buckets_ = (
            None if v.vocab.subwords is None else self._choose_buckets(v, v if reference is None else reference)
        )

    def _transform(self, v: Vectors) -> Vectors:
        if len(v) != self.n_words_in_:
            raise ValueError(f"Prune was fitted on {self.n_words_in_} words, got {len(v)}")
        if self.buckets_ is None:
            return v.take(self.words_)
        v = v.adjusted()  # dropping n-grams would change known words otherwise
        kept = v.take(self.words_)
        subwords, ngrams = v.ngrams
        rows = self.buckets_ if subwords.bucket_to_row is None else subwords.bucket_to_row[self.buckets_]
        vocab = kept.vocab.with_subwords(subwords.keep(self.buckets_))
        return kept.with_storage(Stacked(kept.storage.words, ngrams.take(rows)), vocab)

    def _choose_buckets(self, v: Vectors, reference: Vectors) -> np.ndarray:
        """The buckets to keep, in order of bucket: those that serve the reference's words best."""
        subwords, _ = v.ngrams
        used, shares = bucket_shares(subwords, reference.words)
        if self.n_ngrams is None or len(used) <= self.n_ngrams:
            return used
        rows = used if subwords.bucket_to_row is None else subwords.bucket_to_row[used]
        weight = shares * ngram_norms(v)[rows]
        best = np.argsort(-weight, kind="stable")[: self.n_ngrams]
        return np.sort(used[best])


def bucket_shares(subwords: Subwords, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The buckets that words use and that still have a row, and how many words each carries.

    A word of ``k`` n-grams adds ``1 / k`` to each.
    """
    indptr, values = subwords.buckets(words)
    lengths = np.diff(indptr)
    shares = np.bincount(values, weights=np.repeat(1 / np.maximum(lengths, 1), lengths), minlength=subwords.n_buckets)
    if subwords.bucket_to_row is not None:
        shares[subwords.bucket_to_row < 0] = 0
    used = np.flatnonzero(shares)
    return used, shares[used]


def ngram_norms(v: Vectors) -> np.ndarray:
    """Euclidean length of each n-gram row: (n_rows,) float32. NaN and infinity are refused."""
    norms = []
    for start, block in v.ngrams[1].blocks():
        check_finite(block, (), start, "n-gram row")
        norms.append(np.linalg.norm(block, axis=1))
    return np.concatenate(norms) if norms else np.empty(0, np.float32)
