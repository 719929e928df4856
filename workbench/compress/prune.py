"""`Prune`: keep the rows that matter most."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from .. import progress
from ..storage import Dense, Stacked, lengths
from ..vectors import Vectors, remembered
from ..vocab import Vocab
from .base import Step, parameter
from .choose import centroids, covering, nearest_kept, unit_rows
from .corpus import word_counts
from .outline import Outline, Rows, n_used_ngrams
from .values import finite_blocks


class Prune(Step):
    """Keep the word rows and the n-grams that matter most.

    Dropped words are rebuilt from the n-grams that stay, as unseen words are, or borrow the row
    of a kept word. N-grams that no word of the vocabulary uses go first (in a `Chain`, the vocabulary
    of the chain's input); then those go whose count times the norm of their row is least. A word
    counts as one, shared among its n-grams, because its vector is their mean; compress-fasttext
    (Dale, 2020), where this choice comes from, counts one for each n-gram and so favours those of
    long words. Kept words keep their own vectors and their order.

    Parameters
    ----------
    n_words : int, optional
        Word rows to keep. All by default.
    n_ngrams : int, optional
        N-gram rows to keep, at most. All that are used by default.
    choose : {"frequent", "coverage", "kmeans"}
        ``"frequent"`` keeps the most frequent words if the model has counts, else the first.
        ``"coverage"`` keeps words that others are near to, frequent or not, and fills up with the
        most frequent; its time grows with the square of the vocabulary, see `choose.covering`.
        ``"kmeans"`` keeps no word's own row: rows are centroids, all words stay, and each borrows
        the nearest one. The last two serve rare words at the cost of frequent ones: with 10,000 rows
        for 70,000 words of a Russian model, and the others remapped, the mean cosine rises from 0.81 to
        0.85 and 0.88, and weighted by count falls from 0.97 to 0.85 and 0.85.
    remap : {None, "nearest"}
        With ``"nearest"`` a word that would go stays in the vocabulary and borrows the row of
        the kept word of greatest cosine (as spaCy's ``Vocab.prune_vectors``), at its own length.
    threshold : float, -1 to 1
        Words with no kept word at least this similar are dropped.
    importance : {"words", "counts", "norms"} or path
        The weight of a word among those of an n-gram: 1; its count; or 0, so that the norm of a row alone
        decides. A path is that of a text of your own, or of a list of word counts (see `corpus.word_counts`;
        write ``./words`` for a file of such a name): words weigh their frequency in it, and the most
        frequent words are those of the text, before others in the model's own order.
    random_state : int
        Seed of k-means.

    Attributes
    ----------
    words_ : int64 array
        Positions of the words that keep their rows; none of them for ``"kmeans"``.
    remapped_, borrowed_ : int64 arrays
        Positions of the words that borrow a row, and these rows: places in `words_`, or centroids.
    scales_ : float16 array
        The factors that borrowed rows are multiplied with.
    centroids_ : (n_words, dim) float32 array or None
        The rows of ``"kmeans"``.
    buckets_ : int64 array or None
        Buckets that stay, in order.
    coverage_ : dict or None
        With a text: the shares of its running words that are ``"kept"`` with rows of their own, and that have
        a vector at all (``"embedded"``): kept, remapped, or the mean of n-grams that stay.
    """

    label = "Prune"
    blurb = (
        "keeps the words and n-grams that matter most. If there are n-grams, dropped words are rebuilt from those that "
        "stay, as unseen words are."
    )
    advice = (
        "leave it out; with choose='kmeans', whose centroids are float32 rows, take fewer, and k-means before PQ, SQ "
        "and SVD, not after them"
    )
    CHOOSE: ClassVar = ("frequent", "coverage", "kmeans")
    REMAP: ClassVar = {None: "rebuild from n-grams or remove", "nearest": "borrow the nearest row"}
    IMPORTANCE: ClassVar = ("words", "counts", "norms")

    n_words: int | None = parameter(None, "count", "Words kept", 1, len, all_is_none=True, brief="{:,} words")
    n_ngrams: int | None = parameter(
        None,
        "count",
        "N-grams kept",
        0,
        lambda v: len(v.storage.ngrams or ()),
        all_is_none=True,
        of_ngrams=True,
        brief="{:,} n-grams",
    )
    choose: str = parameter("frequent", "choice", "Which words stay", choices=CHOOSE)
    remap: str | None = parameter(None, "choice", "Dropped words", choices=REMAP)
    threshold: float = parameter(0.0, "number", "Borrow from cosine", -1, 1, main=False)
    importance: str | Path = parameter("words", "text", "N-grams by", choices=IMPORTANCE, main=False, of_ngrams=True)
    random_state: int = parameter(0, "seed", "Seed")

    def loses_alike(self) -> bool:
        return self.choose == "frequent" and self.remap is None  # else nearest words decide

    def _outlined(self, o: Outline) -> Outline | None:
        n = min(self.n_words or o.n_words, o.n_words)
        is_shared, no_counts = n < o.n_words and self.choose == "kmeans", o.model.vocab.counts is None
        if o.is_fixed or (self.choose == "kmeans" and self.remap) or (self.threshold and not self.remap):
            return None
        if self.importance == "counts" and no_counts:
            return None
        words = Rows.dense(n, o.model.dim) if is_shared else replace(o.words, n=min(n, o.words.n))
        borrow = is_shared or (n < o.n_words and self.remap is not None)
        new = replace(o, words=words, n_words=o.n_words if borrow else n, shares_rows=o.shares_rows or borrow)
        if new.ngrams is None:
            return new
        n_ngrams = min(new.ngrams.n, n_used_ngrams(o.model))
        n_ngrams = n_ngrams if self.n_ngrams is None else min(n_ngrams, self.n_ngrams)
        return replace(new, ngrams=replace(new.ngrams, n=n_ngrams), is_pruned=True)

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        if self.choose == "kmeans" and self.remap:
            raise ValueError("Prune: with choose='kmeans' every word borrows a centroid already; leave out remap=")
        if self.threshold != 0 and not self.remap:
            raise ValueError("Prune: threshold= is for remap='nearest'")
        reference = v if reference is None else reference
        if self.importance == "counts" and reference.vocab.counts is None:
            raise ValueError(
                "Prune: importance='counts', but this model has no word counts; take importance='words', or the path "
                "of a text or of a list of word counts"
            )
        corpus = None
        if self.importance not in self.IMPORTANCE:
            try:
                corpus = word_counts(self.importance)
            except FileNotFoundError as error:
                raise FileNotFoundError(f"{error}; or importance is one of {', '.join(self.IMPORTANCE)}") from error
        self.n_words_in_ = len(v)
        self.words_, self.remapped_, self.borrowed_ = np.arange(len(v)), np.empty(0, np.int64), np.empty(0, np.int64)
        self.scales_ = np.empty(0, np.float16)
        self.centroids_: np.ndarray | None = None
        n_words = len(v) if self.n_words is None else min(self.n_words, len(v))
        if n_words < len(v) and self.choose == "kmeans":
            self._share_centroids(v, n_words)
        elif n_words < len(v):
            order = v.vocab.by_frequency(corpus)
            if self.choose == "coverage":
                chosen = covering(unit_rows(v), n_words)
                order = np.concatenate([chosen, order[~np.isin(order, chosen)]])
            self.words_ = np.sort(order[:n_words])
            if self.remap:
                self._borrow_rows(v)
        self.buckets_ = None if v.vocab.subwords is None else self._best_buckets(v, reference.vocab, corpus)
        self.coverage_ = None if corpus is None else self._coverage(v, corpus)

    def _share_centroids(self, v: Vectors, n_rows: int) -> None:
        """Give each word the centroid nearest to it, at its own length."""
        usual = float(np.median(v.norms))  # float16 holds no scale that is far from 1
        size = np.float32(1 if 1e-3 < usual < 1e3 or usual == 0 else 2.0 ** round(np.log2(usual)))
        rows = centroids(unit_rows(v), n_rows, self.random_state) * size
        self.words_, self.remapped_, self.centroids_ = np.empty(0, np.int64), np.arange(len(v)), rows
        self.borrowed_, _ = nearest_kept(v, rows)
        self.scales_ = as_scales(v.norms / size)

    def _borrow_rows(self, v: Vectors) -> None:
        """Give each dropped word the row of the nearest kept one, at its own length."""
        kept = v.take(self.words_)
        nearest, cosines = nearest_kept(v, kept.matrix())
        cosines[self.words_] = -np.inf  # they have their own
        self.remapped_ = np.flatnonzero(cosines >= self.threshold)
        self.borrowed_ = nearest[self.remapped_]
        factors = 1 if kept.vocab.factors is None else kept.vocab.factors[self.borrowed_]
        self.scales_ = as_scales(v.norms[self.remapped_] / kept.norms[self.borrowed_] * factors)

    def _best_buckets(self, v: Vectors, words: Vocab, corpus: Counter[str] | None) -> np.ndarray:
        """The buckets to keep, in order: those that serve these words best."""
        subwords, _ = v.ngrams
        shares = words.bucket_shares(subwords)  # (n_buckets,)
        used = np.flatnonzero(shares)
        used = used[subwords.rows_of(used) >= 0]
        if self.n_ngrams is None or len(used) <= self.n_ngrams:
            return used
        norms = ngram_norms(v)[subwords.rows_of(used)]
        weight = first = shares[used] * norms
        if self.importance == "norms":
            first = norms
        elif corpus is not None:
            counts = np.fromiter(corpus.values(), float, len(corpus))
            first = Vocab(list(corpus)).bucket_shares(subwords, counts)[used] * norms
        elif self.importance == "counts" and words.counts is not None:
            first = words.bucket_shares(subwords, words.counts)[used] * norms
        best = np.lexsort((-weight, -first))[: self.n_ngrams]  # of equals those that more words share
        return np.sort(used[best])

    def _coverage(self, v: Vectors, corpus: Counter[str]) -> dict[str, float]:
        """The shares of running words that are kept, and that have a vector."""
        kept = {v.words[i] for i in self.words_}
        known = kept | {v.words[i] for i in self.remapped_}
        embedded = known & corpus.keys()
        if self.buckets_ is not None:
            unseen = [word for word in corpus if word not in known]
            n_rows = np.diff(v.ngrams[0].keep(self.buckets_).rows(unseen)[0])
            embedded |= {word for word, n in zip(unseen, n_rows, strict=True) if n > 0}
        shares = {"kept": kept, "embedded": embedded}
        return {name: sum(corpus[word] for word in words) / corpus.total() for name, words in shares.items()}

    def _transform(self, v: Vectors) -> Vectors:
        if len(v) != self.n_words_in_:
            raise ValueError(f"Prune was fitted on {self.n_words_in_} words, got {len(v)}")
        small = self._with_fewer_words(v)
        if self.buckets_ is None:
            return small
        subwords, ngrams = small.ngrams
        vocab = small.vocab.with_subwords(subwords.keep(self.buckets_))
        rows = ngrams.take(subwords.kept_rows(self.buckets_))
        return small.with_storage(Stacked(small.storage.words, rows), vocab)

    def _with_fewer_words(self, v: Vectors) -> Vectors:
        """The words that stay over the rows that stay; adjusted, since known words must not change with n-grams."""
        if self.centroids_ is not None:
            v = v.adjusted()
            rows, ngrams = Dense(self.centroids_), v.storage.ngrams
            vocab = Vocab(v.words, self.borrowed_, v.vocab.counts, v.vocab.subwords, self.scales_)
            return v.with_storage(rows if ngrams is None else Stacked(rows, ngrams), vocab)
        is_all = len(self.words_) == len(v) == len(v.storage.words)
        kept = v.adjusted(None if is_all else self.words_)
        if len(self.remapped_) == 0:
            return kept
        kept_rows = np.asarray(kept.vocab.rows(np.arange(len(kept))))
        kept_scales = np.full(len(kept), np.nan, np.float16) if kept.vocab.scales is None else kept.vocab.scales
        index = np.concatenate([self.words_, self.remapped_])
        order = np.argsort(index)
        vocab = Vocab(
            [v.words[i] for i in index[order]],
            np.concatenate([kept_rows, kept_rows[self.borrowed_]])[order],
            None if v.vocab.counts is None else v.vocab.counts[index[order]],
            kept.vocab.subwords,
            np.concatenate([kept_scales, self.scales_])[order],
        )
        return kept.with_storage(kept.storage, vocab)


def as_scales(factors: np.ndarray) -> np.ndarray:
    """Factors as float16, the greatest it has where they are beyond it."""
    return np.minimum(factors, np.finfo(np.float16).max).astype(np.float16)


@remembered
def ngram_norms(v: Vectors) -> np.ndarray:
    """Return the Euclidean length of each n-gram row: (n_rows,) float32. NaN and infinity are refused."""
    _, rows = v.ngrams
    norms = np.empty(len(rows), np.float32)
    with progress.bar(total=len(rows), desc="N-gram rows", unit=" rows", leave=False, delay=2) as bar:
        for start, block in finite_blocks(rows, "ngrams"):
            norms[start : start + len(block)] = lengths(block)
            bar.update(len(block))
    return norms
