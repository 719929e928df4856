"""`TextVectors`: texts as the weighted mean of their words' vectors, for scikit-learn."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain, compress
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from ..checks import warn
from ..formats import load
from ..vectors import Vectors, check_finite, shortly
from .matching import BLOCK
from .words import Tokenize, WordTokenizer, is_lower, listed, numbered, stemmed

WEIGHTINGS = ("mean", "sif", "idf")
TINY = 1e-10  # of the greatest eigenvalue: below it is rounding


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
        As for `WordTokenizer`. All words with a stem share one vector; see `stemmed`. Endings have none unless they
        are trained, so that ``"stem+ending"`` gives what ``"stem"`` does. ``"word+ngrams"`` mixes each word with the
        mean of its n-grams, half and half; ``"stem ngrams"`` takes the n-grams of the stem alone. What a model with
        n-grams does not know has the mean of its n-grams. Words of a callable are looked up as they are.
    language : str
        Of the stems.
    a : float
        For ``"sif"``; rare words weigh more where it is small.
    n_directions : int
        For ``"sif"``: principal directions of the texts of `fit` that are removed.

    Attributes
    ----------
    vectors_ : Vectors
        Of words, or of stems; see `stemmed`.
    tokenizer_ : WordTokenizer
    counts_ : Counter
        Number of texts with each word for ``"idf"``; of its occurrences for ``"sif"`` where the model has no counts.
    n_counted_ : int
        Number of texts, or of words, that these are of.
    directions_ : (<= n_directions, dim) float32 array
        For ``"sif"``.
    """

    vectors_: Vectors
    tokenizer_: WordTokenizer
    counts_: Counter[str]
    n_counted_: int
    directions_: np.ndarray

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
        texts = listed(X)
        if self.weighting not in WEIGHTINGS:
            raise ValueError(f"weighting must be one of {WEIGHTINGS}, got {shortly(self.weighting)}")
        if not isinstance(self.a, Real) or not 0 < self.a < np.inf:
            raise ValueError(f"a must be a number above 0, got {shortly(self.a)}")
        if not isinstance(self.n_directions, Integral) or self.n_directions < 0:
            raise ValueError(f"n_directions must be a whole number of at least 0, got {shortly(self.n_directions)}")
        if not isinstance(self.v, Vectors | str | Path):
            raise TypeError(f"v must be Vectors or the path of a model, got {type(self.v).__name__}")
        v = self.v if isinstance(self.v, Vectors) else load(self.v)
        self.tokenizer_ = WordTokenizer(self.tokenize, self.language, is_lower(v))
        self.vectors_ = stemmed(v, self.language) if self.tokenizer_.kind.by_stem else v
        if self.tokenizer_.kind.ngram_share and v.vocab.subwords is None:
            raise ValueError(f"tokenize={self.tokenize!r} is for n-grams, and this model has none")
        own_counts = self.vectors_.vocab.counts
        self.counts_, self.n_counted_ = Counter[str](), 0 if own_counts is None else int(own_counts.sum())
        if self.weighting == "idf" or (self.weighting == "sif" and own_counts is None):
            for keys in map(self.tokenizer_.keys, texts):  # for "idf" a text counts a word once
                self.counts_.update(dict.fromkeys(keys, 1) if self.weighting == "idf" else keys)
            self.n_counted_ = len(texts) if self.weighting == "idf" else self.counts_.total()
        if self.weighting == "sif":
            self.directions_ = np.zeros((0, self.vectors_.dim), np.float32)  # none to remove yet
            products = np.zeros((self.vectors_.dim, self.vectors_.dim))
            for start in range(0, len(texts), BLOCK):
                rows = self._embedded(texts[start : start + BLOCK])[0].astype(np.float64)
                products += rows.T @ rows
            squares, axes = np.linalg.eigh(products)  # the least first
            axes = axes[:, squares > TINY * squares[-1]]  # fewer texts than n_directions have fewer
            self.directions_ = axes.T[::-1][: self.n_directions].astype(np.float32)
        return self

    def transform(self, X: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts: (n, dim) float32."""
        if not hasattr(self, "vectors_"):
            check_is_fitted(self)
            return clone(self).fit([]).transform(X)
        texts = listed(X)
        out, is_empty = np.zeros((len(texts), self._n_features_out), np.float32), np.zeros(len(texts), bool)
        for start in range(0, len(texts), BLOCK):
            here = slice(start, start + BLOCK)
            out[here], is_empty[here] = self._embedded(texts[here])
        if is_empty.any():
            first = shortly(texts[int(np.argmax(is_empty))])
            warn(f"{is_empty.sum():,} of {len(texts):,} texts have no known word and are rows of zeros, as {first}")
        return out

    def _embedded(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors of texts, (n, dim), and which have no known word, (n,)."""
        words = [self.tokenizer_.keys(text) for text in texts]
        keys, indices = numbered(chain.from_iterable(words))
        ones, ends = np.ones(len(indices), np.float32), np.cumsum([0, *map(len, words)])
        bags = csr_array((ones, indices, ends), (len(texts), len(keys)))  # (n, n_keys), a 1 for each word of a text
        rows = self._rows(keys)
        known = ~np.isnan(rows).all(axis=1)
        check_finite(rows[known], [*compress(keys, known)], what="vector")
        rows[~known] = 0
        weights = np.where(known, self._weights(keys), 0).astype(np.float32)
        totals = bags @ (weights if self.weighting == "idf" else known.astype(np.float32))  # (n,)
        out = (bags @ (rows * weights[:, None])) / np.where(totals > 0, totals, 1)[:, None]
        if self.weighting == "sif":
            out -= out @ self.directions_.T @ self.directions_
        return out, totals == 0

    def _rows(self, keys: list[str]) -> np.ndarray:
        """Return the vectors of words or stems, NaN for those without: (n_keys, dim) float32."""
        rows, share = self.vectors_.get_vectors(keys, "nan"), self.tokenizer_.kind.ngram_share
        if share:
            means, n_ngrams = self.vectors_.ngram_means(keys)
            rows = np.where(n_ngrams[:, None] > 0, (1 - share) * rows + share * means, rows)
        return rows

    def _weights(self, keys: list[str]) -> np.ndarray:
        """Return the weights of words or stems: (n_keys,)."""
        if self.weighting == "mean":
            return np.ones(len(keys))
        if self.weighting == "idf":
            return np.log((1 + self.n_counted_) / (1 + np.array([self.counts_[key] for key in keys]))) + 1
        places, counts = self.vectors_.key_to_index, self.vectors_.vocab.counts
        if counts is None:
            found = np.array([self.counts_[key] for key in keys])
        else:
            found = np.array([counts[places[key]] if key in places else 0 for key in keys])
        return self.a / (self.a + found / max(self.n_counted_, 1))

    @property
    def _n_features_out(self) -> int:  # for the names of features
        v: Any = getattr(self, "vectors_", self.v)
        return v.dim

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "vectors_") or (self.weighting == "mean" and isinstance(self.v, Vectors))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, True, False
        tags.transformer_tags.preserves_dtype = []
        return tags
