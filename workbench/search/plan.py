"""Recipes by their shape: which chain spends a number of bytes in such a way."""

import json
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from ..compress import OPQ, PQ, SQ, Chain, Prune, Refit, Residual, Step
from ..vectors import Vectors

# Codes a row as shares of the dimensions; 1 is a code for each number, 2 stands for float16.
RATES = (1 / 25, 1 / 16, 1 / 12, 1 / 8, 1 / 6, 1 / 5, 1 / 4, 1 / 3, 2 / 5, 1 / 2, 3 / 5, 3 / 4, 1, 2)
SHARES = (1, 1 / 2, 1 / 4, 1 / 8)  # of the words, that stay in the vocabulary
ROWS_AN_ENTRY = 4  # codebooks have at most a quarter as many entries as there are rows
FEWEST = 16  # rows of a kind; fewer are not worth a plan
ENTRY = 2  # bytes a number of a codebook
HEADER = 2_000  # bytes of a file's header, beside what `Vectors.meta` holds


@dataclass(frozen=True)
class Shape:
    """How a recipe spends its bytes; what is not said here follows from the budget.

    Parameters
    ----------
    share : int
        Place in `Planner.shares`: of the words, how many stay in the vocabulary.
    word_rate, ngram_rate : int
        Places in `RATES`, for models with n-grams; the budget decides how many n-grams stay.
    turned : bool
        OPQ in the place of PQ, for models without; the budget decides the number of codes.
    """

    share: int = 0
    word_rate: int = 0
    ngram_rate: int = 0
    turned: bool = False


class Planner:
    """Turns shapes into recipes for one model.

    With n-grams a recipe prunes and quantises n-grams, re-fits their codes, and codes what they
    leave over of the words that stay. Without, it drops rare words, if any, and quantises.

    Parameters
    ----------
    v : Vectors
        Adjusted.
    min_words : int
        Words that must stay in the vocabulary, at least.
    random_state : int
        Seed of every step.
    """

    def __init__(self, v: Vectors, min_words: int, random_state: int):
        self.v, self.random_state = v, random_state
        self.shares = [share for share in SHARES if share == 1 or int(len(v) * share) >= min_words]
        self.has_ngrams = v.vocab.subwords is not None
        self._vocab_bytes = cache(self._count_vocab_bytes)

    def first_shape(self, n_bytes: int) -> Shape:
        """Where to begin: as many words as leave most bytes to rows, and medium rates."""
        fits = [self._vocab_bytes(self._n_words(share)) < n_bytes / 6 for share in range(len(self.shares))]
        share = fits.index(True) if any(fits) else len(self.shares) - 1
        return Shape(share, RATES.index(1 / 12), RATES.index(1 / 4)) if self.has_ngrams else Shape(0, turned=True)

    def next_shapes(self, shape: Shape) -> list[Shape]:
        """Shapes one step away."""
        ladders = {"share": self.shares} | ({"ngram_rate": RATES, "word_rate": RATES} if self.has_ngrams else {})
        found = [
            replace(shape, **{name: at})
            for name, ladder in ladders.items()
            for at in (getattr(shape, name) + 1, getattr(shape, name) - 1)
            if 0 <= at < len(ladder)
        ]
        return found if self.has_ngrams else [replace(shape, turned=not shape.turned), *found]

    def leanest(self) -> list[Shape]:
        """Shapes that take the fewest bytes: one for each share of the words."""
        return [Shape(share) for share in range(len(self.shares))]

    def recipe(self, shape: Shape, n_bytes: int) -> Chain | None:
        """The chain of this shape that fills `n_bytes`, or None where these are too few."""
        n_words = self._n_words(shape.share)
        left = n_bytes - HEADER - len(json.dumps(self.v.meta)) - self._vocab_bytes(n_words)
        return self._of_ngrams(shape, n_words, left) if self.has_ngrams else self._of_words(shape, n_words, left)

    def _n_words(self, share: int) -> int:
        return max(int(len(self.v) * self.shares[share]), 1)

    def _of_words(self, shape: Shape, n_words: int, left: int) -> Chain | None:
        first: list[Step] = [Prune(n_words=n_words)] if n_words < len(self.v) else []
        if self._row_bytes(2, n_words) * n_words <= left:
            return Chain([*first, SQ()])
        left -= self._fixed_bytes(n_words) + shape.turned * self.v.dim**2 * ENTRY
        n_codes = min(8 * left // (n_words * n_bits(n_words)), self.v.dim)
        quantiser = OPQ if shape.turned else PQ
        steps = [*first, quantiser(n_codes, n_bits(n_words), random_state=self.random_state)]
        return Chain(steps) if n_codes > 0 else None

    def _of_ngrams(self, shape: Shape, n_words: int, left: int) -> Chain | None:
        word_rate, ngram_rate = RATES[shape.word_rate], RATES[shape.ngram_rate]
        left -= self._fixed_bytes(n_words) + self._row_bytes(word_rate, n_words) * n_words
        left -= self._fixed_bytes(self.n_ngrams) + self.v.ngrams[0].n_buckets // 8
        n_ngrams = min(left // self._row_bytes(ngram_rate, self.n_ngrams), self.n_ngrams)
        if min(n_ngrams, n_words) < FEWEST:
            return None
        first, second = (Refit(strength=0.3, kept_weight=1, random_state=self.random_state) for _ in range(2))
        return Chain(
            [
                Prune(n_ngrams=n_ngrams),
                first,
                self._quantiser(ngram_rate, n_ngrams, "ngrams"),
                *([second] if ngram_rate <= 1 else []),
                *([Prune(n_words=n_words)] if n_words < len(self.v) else []),
                Residual(),
                self._quantiser(word_rate, n_words, "words"),
            ]
        )

    @cached_property
    def n_ngrams(self) -> int:
        """N-gram rows that the vocabulary uses."""
        return len(np.unique(self.v.ngrams[0].rows(self.v.words)[1]))

    # -- bytes ----------------------------------------------------------------------------

    def _quantiser(self, rate: float, n_rows: int, on: str) -> Step:
        if rate > 1:
            return SQ(on=on)
        return PQ(self._n_codes(rate), n_bits(n_rows), on=on, random_state=self.random_state)

    def _n_codes(self, rate: float) -> int:
        return max(1, round(rate * self.v.dim))

    def _row_bytes(self, rate: float, n_rows: int) -> int:
        """Bytes that one row takes, where there are `n_rows` of its kind."""
        return 2 * self.v.dim if rate > 1 else -(-self._n_codes(rate) * n_bits(n_rows) // 8)

    def _fixed_bytes(self, n_rows: int) -> int:
        """Bytes at most of codebooks for so many rows, and of what says where codes belong."""
        return 2 ** n_bits(n_rows) * self.v.dim * ENTRY + self.v.dim * 8

    def _count_vocab_bytes(self, n_words: int) -> int:
        """Bytes of the words and their counts."""
        vocab, _ = self.v.vocab.take(self.v.vocab.most_frequent(n_words))
        return sum(array.nbytes for array in vocab.arrays().values())


def n_bits(n_rows: int) -> int:
    """Bits a code, so that the codebook is small beside the rows."""
    return min(8, max(1, int(np.log2(max(n_rows, 2) / ROWS_AN_ENTRY))))
