"""`TextVectors`: texts as the weighted mean of their words' vectors, for scikit-learn."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .. import progress
from ..checks import warn
from ..formats import load
from ..vectors import Vectors, remembered, shortly
from .words import Tokenize, WordTokenizer, is_lower, stem

WEIGHTINGS = ("mean", "sif", "idf")
BLOCK = 4_096  # texts that are embedded at once


class Stems(NamedTuple):
    """The stems of a vocabulary."""

    numbers: dict[str, int]
    shares: csr_array  # (n_stems, n_words) of each word in its stem, by its count
    counts: np.ndarray  # (n_stems,) of all words with this stem


@remembered
def stems_of(v: Vectors, language: str) -> Stems:
    """Return the stems of all words of a model; those of 100,000 words take some four seconds, once."""
    numbers = numbering()
    words = progress.bar(v.words, desc="Stems", unit=" words", leave=False, delay=2)
    of_word = np.array([numbers[stem(word, language)] for word in words])  # (n_words,)
    counts = np.ones(len(v)) if v.vocab.counts is None else np.maximum(v.vocab.counts, 1)
    totals = np.bincount(of_word, counts)
    shares = (counts / totals[of_word]).astype(np.float32)
    return Stems(dict(numbers), csr_array((shares, (of_word, np.arange(len(v))))), totals)


@dataclass(frozen=True)
class Lexicon:
    """The vectors and counts of what a tokenizer finds in texts: words, or stems."""

    v: Vectors
    tokenizer: WordTokenizer

    def vectors(self, keys: list[str]) -> np.ndarray:
        """Return the vectors of words or stems, NaN for those without: (n, dim) float32."""
        kind = self.tokenizer.kind
        found = self._of_stems(keys) if kind.by_stem else self.v.get_vectors(keys, "nan")
        if kind.ngram_share:
            means, n_ngrams = self.v.ngram_means(keys)
            mixed = (1 - kind.ngram_share) * found + kind.ngram_share * means
            found = np.where(n_ngrams[:, None] > 0, mixed, found)
        return found

    def _of_stems(self, keys: list[str]) -> np.ndarray:
        stems = stems_of(self.v, self.tokenizer.language)
        numbers = np.array([stems.numbers.get(key, -1) for key in keys], np.int64)
        found = np.empty((len(keys), self.v.dim), np.float32)
        found[numbers < 0] = self.v.get_vectors([keys[i] for i in np.flatnonzero(numbers < 0)], "nan")
        shares = stems.shares[numbers[numbers >= 0]]
        used, columns = np.unique(shares.indices, return_inverse=True)
        shares = csr_array((shares.data, columns, shares.indptr), (shares.shape[0], len(used)))
        found[numbers >= 0] = shares @ self.v.vectors_of(self.v.vocab, used)
        return found

    def counts(self, keys: list[str]) -> np.ndarray:
        """Return how often the model's corpus had them: (n,)."""
        numbers, counts = self.v.key_to_index, self.v.vocab.counts
        if self.tokenizer.kind.by_stem:
            numbers, _, counts = stems_of(self.v, self.tokenizer.language)
        assert counts is not None
        return np.array([counts[numbers[key]] if key in numbers else 0 for key in keys])


class TextVectors(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn texts into vectors, (n, dim) float32: a weighted mean of the vectors of their words.

    A scikit-learn transformer, for a sequence of texts or one column of a table. A text without any known word
    becomes a row of zeros; how many there were is said in one warning a call.

    Parameters
    ----------
    v : Vectors, str or Path
        A model, which copies of this estimator share, or what `load` takes; `fit` loads it.
    weighting : {"mean", "sif", "idf"}
        ``"mean"``: all words alike; needs no `fit` where `v` is a model. ``"sif"``: smooth inverse frequency,
        ``a / (a + p(word))``, less what all texts share (Arora, Liang and Ma 2017, "A simple but tough-to-beat
        baseline for sentence embeddings"); ``p`` is by the model's counts, or without those by the texts of `fit`.
        ``"idf"``: inverse document frequency among the texts of `fit`, smoothed as in scikit-learn.
    tokenize : str or callable
        As for `WordTokenizer`. A stem has the mean vector of the model's words with this stem, by their counts, so
        that all forms share one vector. Endings have no vector unless one is trained, so that ``"stem+ending"`` gives
        what ``"stem"`` does. ``"word+ngrams"`` adds to each word the mean of its n-grams, half and half; ``"stem
        ngrams"`` takes the n-grams of the stem alone. What is not in the vocabulary has the mean of its n-grams, in
        a model with n-grams; words that a callable returns are looked up as they are.
    language : str
        Of the stems.
    a : float
        For ``"sif"``; rare words weigh more where it is small.
    n_directions : int
        For ``"sif"``: principal directions of the texts of `fit` that are removed.

    Attributes
    ----------
    vectors_ : Vectors
    counts_ : Counter
        Number of texts with each word for ``"idf"``; of its occurrences for ``"sif"`` where the model has no counts.
    n_counted_ : int
        Number of texts, or of words, that these are of.
    directions_ : (<= n_directions, dim) float32 array
        For ``"sif"``.
    """

    def __init__(
        self,
        v: Vectors | str | Path = "builtin:en",
        weighting: str = "mean",
        tokenize: Tokenize = "word",
        language: str = "english",
        a: float = 1e-3,
        n_directions: int = 1,
    ):
        self.v = v
        self.weighting = weighting
        self.tokenize = tokenize
        self.language = language
        self.a = a
        self.n_directions = n_directions

    def fit(self, X: Sequence[str], y: object = None) -> Self:
        """Load the model and learn what `weighting` needs from texts."""
        texts = column(X)
        if self.weighting not in WEIGHTINGS:
            raise ValueError(f"weighting must be one of {WEIGHTINGS}, got {shortly(self.weighting)}")
        if not isinstance(self.a, Real) or not 0 < self.a < np.inf:
            raise ValueError(f"a must be a number above 0, got {shortly(self.a)}")
        if not isinstance(self.n_directions, Integral) or self.n_directions < 0:
            raise ValueError(f"n_directions must be a whole number of at least 0, got {shortly(self.n_directions)}")
        if not isinstance(self.v, Vectors | str | Path):
            raise TypeError(f"v must be Vectors or the path of a model, got {type(self.v).__name__}")
        self.vectors_ = self.v if isinstance(self.v, Vectors) else load(self.v)
        lexicon = self._lexicon
        if lexicon.tokenizer.kind.ngram_share and lexicon.v.vocab.subwords is None:
            raise ValueError(f"tokenize={self.tokenize!r} is for n-grams, and this model has none")
        self.counts_, self.n_counted_ = Counter[str](), 0
        if self.weighting == "idf" or (self.weighting == "sif" and lexicon.v.vocab.counts is None):
            for start in range(0, len(texts), BLOCK):
                bags, keys = bags_of(texts[start : start + BLOCK], lexicon.tokenizer)
                if self.weighting == "idf":
                    bags.sum_duplicates()  # a text counts a word once
                n_found = np.bincount(bags.indices, minlength=len(keys))
                self.counts_.update(dict(zip(keys, n_found.tolist(), strict=True)))
                self.n_counted_ += bags.shape[0] if self.weighting == "idf" else int(n_found.sum())
        if self.weighting == "sif":
            products = np.zeros((lexicon.v.dim, lexicon.v.dim))
            self.directions_ = np.zeros((0, lexicon.v.dim), np.float32)
            for start in range(0, len(texts), BLOCK):
                rows = self._embedded(texts[start : start + BLOCK])[0].astype(np.float64)
                products += rows.T @ rows
            lengths, axes = np.linalg.eigh(products)  # the least first
            found = axes.T[::-1][: self.n_directions]
            self.directions_ = found[lengths[::-1][: self.n_directions] > 0].astype(np.float32)
        return self

    def transform(self, X: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts: (n, dim) float32."""
        check_is_fitted(self)
        texts = column(X)
        out, is_empty = np.zeros((len(texts), self._n_features_out), np.float32), np.zeros(len(texts), bool)
        for start in range(0, len(texts), BLOCK):
            here = slice(start, start + BLOCK)
            out[here], is_empty[here] = self._embedded(texts[here])
        if is_empty.any():
            first = texts[int(np.argmax(is_empty))]
            warn(
                f"{is_empty.sum():,} of {len(texts):,} texts have no known word and are rows of zeros: {shortly(first)}"
            )
        return out

    def _embedded(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors of texts, (n, dim), and which have no known word, (n,)."""
        lexicon = self._lexicon
        bags, keys = bags_of(texts, lexicon.tokenizer)
        rows = lexicon.vectors(keys)  # (n_keys, dim)
        known = ~np.isnan(rows[:, 0])
        rows[~known] = 0
        weights = np.where(known, self._weights(lexicon, keys), 0).astype(np.float32)
        shares = weights if self.weighting == "idf" else known.astype(np.float32)
        totals = bags @ shares  # (n,)
        out = (bags @ (rows * weights[:, None])) / np.where(totals > 0, totals, 1)[:, None]
        if self.weighting == "sif":
            out -= out @ self.directions_.T @ self.directions_
        return out, totals == 0

    def _weights(self, lexicon: Lexicon, keys: list[str]) -> np.ndarray:
        """Return the weights of words or stems: (n,)."""
        if self.weighting == "mean":
            return np.ones(len(keys))
        counts, total = np.array([self.counts_[key] for key in keys]), self.n_counted_
        if self.weighting == "idf":
            return np.log((1 + total) / (1 + counts)) + 1
        if lexicon.v.vocab.counts is not None:
            counts, total = lexicon.counts(keys), lexicon.v.vocab.counts.sum()
        return self.a / (self.a + counts / max(total, 1))

    @property
    def _lexicon(self) -> Lexicon:
        v = getattr(self, "vectors_", self.v)
        return Lexicon(v, WordTokenizer(self.tokenize, self.language, is_lower(v)))

    @property
    def _n_features_out(self) -> int:  # for the names of features
        return getattr(self, "vectors_", self.v).dim

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "vectors_") or (self.weighting == "mean" and isinstance(self.v, Vectors))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, True, False
        tags.transformer_tags.preserves_dtype = []
        return tags


def numbering() -> defaultdict[str, int]:
    """Return a dictionary that numbers its keys in the order in which they are asked for."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers


def bags_of(texts: list[str], tokenizer: WordTokenizer) -> tuple[csr_array, list[str]]:
    """Return a sparse matrix with a 1 for each word of each text, repeats repeated, (n, n_keys), and its columns' keys."""
    found = [tokenizer.keys(text) for text in texts]
    indptr = np.cumsum([0, *map(len, found)])
    numbers = numbering()
    indices = np.fromiter(map(numbers.__getitem__, chain.from_iterable(found)), np.int64, indptr[-1])
    bags = csr_array((np.ones(len(indices), np.float32), indices, indptr), (len(texts), len(numbers)))
    return bags, list(numbers)


def column(texts: Iterable[str]) -> list[str]:
    """Return texts as a list: those of a sequence, an array, or one column of a table."""
    if isinstance(texts, str):
        raise ValueError(f"expected several texts, got one; for one text write [{shortly(texts)}]")
    if len(np.shape(texts)) > 1:
        raise ValueError(
            f"expected texts in one dimension, got {np.shape(texts)}; of a table take one column, as table['text']: in "
            "a ColumnTransformer name the column 'text', not ['text']"
        )
    found = list(texts)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise ValueError(
                f"expected texts and nothing else, got {shortly(text)} at place {place}; fill gaps with ''"
            )
    return found
