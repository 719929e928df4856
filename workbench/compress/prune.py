"""`Prune`: keep the rows that matter most."""

from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np

from .. import progress
from ..storage import Dense, Stacked, lengths
from ..subwords import Subwords
from ..vectors import Vectors, check_finite, remembered, unit
from ..vocab import Vocab
from .base import Step, parameter
from .choose import centroids, covering, nearest_kept
from .corpus import word_counts


class Prune(Step):
    """Keep the word rows and the n-grams that matter most.

    Words that go are rebuilt from the n-grams that stay, as unseen words are, or borrow the row
    of a word that stays. Buckets that no word of the vocabulary uses go first (in a `Chain`, the
    vocabulary of the chain's input); of the others those stay whose count times the norm of
    their row is greatest. A word counts as one in all, shared among its n-grams, because its
    vector is their mean; compress-fasttext (Dale, 2020), where this choice comes from, counts
    one for each n-gram and so favours those of long words. Kept words keep their own vectors
    and their order; one that borrows a row already goes on borrowing it.

    Parameters
    ----------
    n_words : int, optional
        Word rows to keep. All by default.
    n_ngrams : int, optional
        N-gram rows to keep, at most. All that are used by default; a model without n-grams has
        nothing to choose from.
    choose : {"frequent", "coverage", "kmeans"}
        ``"frequent"`` keeps the most frequent words where the model has counts, else the first.
        ``"coverage"`` keeps words that the others are near to, frequent or not, and fills up
        with the most frequent; see `choose.covering` for what is maximised and how well, and
        mind that its time grows with the square of the vocabulary. ``"kmeans"`` keeps no word's
        own row: rows are centroids, all words stay, and each borrows the nearest one. The last
        two serve rare words at the cost of frequent ones: with 10,000 rows for 70,000 words of a
        Russian model, and the others remapped, the mean cosine rises from 0.81 to 0.85 and 0.88,
        and weighted by count falls from 0.97 to 0.85 and 0.85.
    remap : {None, "nearest"}
        With ``"nearest"`` a word that would go stays in the vocabulary and borrows the row of
        the kept word of greatest cosine (as spaCy's ``Vocab.prune_vectors``), at its own length.
    threshold : float, -1 to 1
        Words whose greatest cosine is below it go all the same.
    importance : {"words", "counts", "norms"} or path
        How words count that share out their importance among n-grams: each as one; by their
        counts; or not at all, so that the norm of a row alone decides. A path is that of a text
        of your own, or of a list of word counts (see `corpus.word_counts`; write ``./words`` for
        a file of such a name): words count by their frequency in it, and the most frequent
        words are its most frequent ones, words that it lacks coming last in the model's own order.
    random_state : int
        Seed of k-means.

    Attributes
    ----------
    words_ : int64 array
        Positions of the words that keep their rows; none of them for ``"kmeans"``.
    remapped_ : int64 array
        Positions of the words that borrow a row.
    borrowed_ : int64 array
        Which row each of these borrows: that of the word at this place in `words_`, or this centroid.
    scales_ : float16 array
        What each of these multiplies that row with.
    centroids_ : (n_words, dim) float32 array or None
        The rows of ``"kmeans"``.
    n_words_in_ : int
        How many words it was fitted on.
    buckets_ : int64 array or None
        Buckets that stay, in order.
    coverage_ : dict or None
        With a corpus: the share of its words, each as often as it occurs, that are ``"kept"``
        with rows of their own, and that have a vector at all (``"embedded"``): kept, remapped,
        or put together from n-grams that stay.
    """

    label = "Prune"
    blurb = (
        "keeps the words and n-grams that matter most. Where there are n-grams, words that go are rebuilt from those "
        "that stay, as unseen words are."
    )
    advice = (
        "leave it out; with choose='kmeans', whose centroids are float32 rows, take fewer, and k-means before PQ, SQ "
        "and SVD, not after them"
    )
    CHOOSE: ClassVar = ("frequent", "coverage", "kmeans")
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
    remap: str | None = parameter(
        None, "choice", "The others", choices={None: "are rebuilt or go", "nearest": "borrow the nearest row"}
    )
    threshold: float = parameter(0.0, "number", "Borrow from cosine", -1, 1, main=False)
    importance: str | Path = parameter("words", "text", "N-grams by", choices=IMPORTANCE, main=False, of_ngrams=True)
    random_state: int = parameter(0, "seed", "Seed")

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        if self.choose == "kmeans" and self.remap:
            raise ValueError("Prune: with choose='kmeans' every word borrows a centroid already; leave out remap=")
        if self.threshold != 0 and not self.remap:
            raise ValueError("Prune: threshold= is for remap='nearest'")
        reference = v if reference is None else reference
        corpus = self._corpus()
        weights = self._weights(reference, corpus)
        self.n_words_in_ = len(v)
        self.centroids_: np.ndarray | None = None
        self._choose_rows(v, corpus)
        self.buckets_ = None if v.vocab.subwords is None else self._choose_buckets(v, reference, *weights)
        self.coverage_ = None if corpus is None else self._coverage(v, corpus)

    def _transform(self, v: Vectors) -> Vectors:
        if len(v) != self.n_words_in_:
            raise ValueError(f"Prune was fitted on {self.n_words_in_} words, got {len(v)}")
        small = self._with_fewer_rows(v)
        if self.buckets_ is None:
            return small
        subwords, ngrams = small.ngrams
        rows = subwords.kept_rows(self.buckets_)
        vocab = small.vocab.with_subwords(subwords.keep(self.buckets_))
        return small.with_storage(Stacked(small.storage.words, ngrams.take(rows)), vocab)

    # -- words ----------------------------------------------------------------------------

    def _choose_rows(self, v: Vectors, corpus: Counter[str] | None) -> None:
        """Choose the rows that stay, and who borrows which."""
        nobody = np.empty(0, np.int64)
        self.remapped_, self.borrowed_, self.scales_ = nobody, nobody, nobody.astype(np.float16)
        if self.choose == "kmeans" and self.n_words is not None and self.n_words < len(v):
            self.words_, self.remapped_ = nobody, np.arange(len(v))
            usual = float(np.median(v.norms))  # float16 holds no scale that is far from 1
            size = np.float32(1 if 1e-3 < usual < 1e3 or usual == 0 else 2.0 ** round(np.log2(usual)))
            self.centroids_ = centroids(unit(v.matrix()), self.n_words, self.random_state) * size
            self.borrowed_, _ = nearest_kept(v, self.centroids_)
            self.scales_ = as_scales(v.norms / size)
            return
        self.words_ = self._choose_words(v, corpus)
        if self.remap and len(self.words_) < len(v):
            kept = v.take(self.words_)
            nearest, cosines = nearest_kept(v, kept.matrix())
            cosines[self.words_] = -np.inf  # they have their own
            self.remapped_ = np.flatnonzero(cosines >= self.threshold)
            self.borrowed_ = nearest[self.remapped_]
            factors = 1 if kept.vocab.factors is None else kept.vocab.factors[self.borrowed_]
            self.scales_ = as_scales(v.norms[self.remapped_] / kept.norms[self.borrowed_] * factors)

    def _choose_words(self, v: Vectors, corpus: Counter[str] | None) -> np.ndarray:
        """Positions of the words that keep their rows, in order."""
        if self.n_words is None or self.n_words >= len(v):
            return np.arange(len(v))
        order = v.vocab.by_frequency(corpus)
        if self.choose == "coverage":
            chosen = covering(unit(v.matrix()), self.n_words)
            order = np.concatenate([chosen, order[~np.isin(order, chosen)]])
        return np.sort(order[: self.n_words])

    def _with_fewer_rows(self, v: Vectors) -> Vectors:
        """The words that stay over the rows that stay; n-grams as they are.

        Rows are adjusted, since dropping n-grams would change known words otherwise.
        """
        if self.centroids_ is not None:
            v = v.adjusted()
            rows, ngrams = Dense(self.centroids_), v.storage.ngrams
            vocab = Vocab(v.words, self.borrowed_, v.vocab.counts, v.vocab.subwords, self.scales_)
            return v.with_storage(rows if ngrams is None else Stacked(rows, ngrams), vocab)
        is_all = len(self.words_) == len(v) == len(v.storage.words)
        kept = v.adjusted(None if is_all else self.words_)
        if len(self.remapped_) == 0:
            return kept
        rows_of_kept = np.asarray(kept.vocab.rows(np.arange(len(kept))))
        scales = np.full(len(kept), np.nan, np.float16) if kept.vocab.scales is None else kept.vocab.scales
        index = np.concatenate([self.words_, self.remapped_])
        order = np.argsort(index)
        vocab = Vocab(
            [v.words[i] for i in index[order]],
            np.concatenate([rows_of_kept, rows_of_kept[self.borrowed_]])[order],
            None if v.vocab.counts is None else v.vocab.counts[index[order]],
            kept.vocab.subwords,
            np.concatenate([scales, self.scales_])[order],
        )
        return kept.with_storage(kept.storage, vocab)

    # -- n-grams --------------------------------------------------------------------------

    def _choose_buckets(self, v: Vectors, reference: Vectors, words: Vocab, weights: np.ndarray | None) -> np.ndarray:
        """The buckets to keep, in order of bucket: those that serve the reference's words best."""
        subwords, _ = v.ngrams
        used, shares = bucket_shares(subwords, reference.vocab)
        if self.n_ngrams is None or len(used) <= self.n_ngrams:
            return used
        norms = ngram_norms(v)[subwords.rows_of(used)]
        weight = shares * norms
        if self.importance == "norms":
            first = norms
        elif weights is None:
            first = weight
        else:
            first = shared_out(subwords, words, weights)[used] * norms
        best = np.lexsort((-weight, -first))[: self.n_ngrams]  # what is worth the same goes by its share of words
        return np.sort(used[best])

    def _weights(self, reference: Vectors, corpus: Counter[str] | None) -> tuple[Vocab, np.ndarray | None]:
        """Words that share out their importance, and how much each has; None for one each."""
        if corpus is not None:
            return Vocab(list(corpus)), np.fromiter(corpus.values(), float, len(corpus))
        if self.importance != "counts":
            return reference.vocab, None
        if reference.vocab.counts is None:
            raise ValueError(
                "Prune: importance='counts', but this model has no word counts; take importance='words', or the path "
                "of a text or of a list of word counts"
            )
        return reference.vocab, reference.vocab.counts

    # -- a corpus -------------------------------------------------------------------------

    def _corpus(self) -> Counter[str] | None:
        """Word frequencies of the user's own text, where `importance` names one."""
        if self.importance in self.IMPORTANCE:
            return None
        try:
            return word_counts(self.importance)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; or importance is one of {', '.join(self.IMPORTANCE)}") from error

    def _coverage(self, v: Vectors, corpus: Counter[str]) -> dict[str, float]:
        """Shares of the corpus's words that are kept, and that have a vector."""
        kept = {v.words[i] for i in self.words_}
        known = kept | {v.words[i] for i in self.remapped_}
        with_vector = known & corpus.keys()
        if self.buckets_ is not None:
            unseen = [word for word in corpus if word not in known]
            alive = np.diff(v.ngrams[0].keep(self.buckets_).rows(unseen)[0]) > 0
            with_vector |= {word for word, is_alive in zip(unseen, alive, strict=True) if is_alive}
        shares = {"kept": kept, "embedded": with_vector}
        return {name: sum(corpus[word] for word in words) / corpus.total() for name, words in shares.items()}


def as_scales(factors: np.ndarray) -> np.ndarray:
    """Factors as float16, the greatest it has where they are beyond it."""
    return np.minimum(factors, np.finfo(np.float16).max).astype(np.float16)


def bucket_shares(subwords: Subwords, vocab: Vocab) -> tuple[np.ndarray, np.ndarray]:
    """The buckets that words use and that still have a row, and how many words each carries.

    A word of ``k`` n-grams adds ``1 / k`` to each.
    """
    shares = shared_out(subwords, vocab, np.ones(len(vocab)))
    used = np.flatnonzero(shares)
    used = used[subwords.rows_of(used) >= 0]
    return used, shares[used]


def shared_out(subwords: Subwords, vocab: Vocab, weights: np.ndarray) -> np.ndarray:
    """What each bucket gets where words share out their weights evenly among their n-grams: (n_buckets,)."""
    shares = np.zeros(subwords.n_buckets)
    for start, indptr, values in vocab.bucket_blocks(subwords):
        lengths = np.diff(indptr)
        each = weights[start : start + len(lengths)] / np.maximum(lengths, 1)
        np.add.at(shares, values, np.repeat(each, lengths))  # in order, so that blocks change no bit
    return shares


@remembered
def ngram_norms(v: Vectors) -> np.ndarray:
    """Euclidean length of each n-gram row: (n_rows,) float32. NaN and infinity are refused."""
    norms = []
    with progress.bar(total=len(v.ngrams[1]), desc="N-gram rows", unit=" rows", leave=False, delay=2) as bar:
        for start, block in v.ngrams[1].blocks():
            check_finite(block, (), start, "n-gram row")
            norms.append(lengths(block))
            bar.update(len(block))
    return np.concatenate(norms) if norms else np.empty(0, np.float32)
