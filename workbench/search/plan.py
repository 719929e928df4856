"""Recipes by their shape: chains that spend a number of bytes in a given way."""

import json
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..compress import OPQ, PQ, SQ, Chain, Prune, Refit, Residual, Step
from ..compress.outline import n_used_ngrams
from ..evaluate.cost import float32_bytes
from ..vectors import Vectors

# Codes a row as shares of the dimensions: 1 is a code for each number.
FLOAT16 = 2
RATES = (1 / 25, 1 / 16, 1 / 12, 1 / 8, 1 / 6, 1 / 5, 1 / 4, 1 / 3, 2 / 5, 1 / 2, 3 / 5, 3 / 4, 1, FLOAT16)
SHARES = (1, 1 / 2, 1 / 4, 1 / 8)  # of the words, that stay in the vocabulary
ROWS_AN_ENTRY = 4  # codebooks have at most a quarter as many entries as there are rows
MIN_ROWS = 2 * ROWS_AN_ENTRY  # of a kind
ENOUGH = 0.4  # of the n-grams, to begin with; fewer at higher rates, or more at lower ones, is for the search
WORDS_BELOW = 4  # steps in `RATES` that words begin lower: what n-grams leave over of them is little
ENTRY = 2  # bytes a number of a codebook
MAX_NUMBERS = 1 << 25  # of n-gram rows, which `Refit` has several times over, in files: 134 MB each as float32
HEADER = {True: 1_300, False: 800}  # bytes, with n-grams and without, beside what `Vectors.meta` holds


@dataclass(frozen=True)
class Shape:
    """A way to spend bytes; the rest of a recipe follows from the budget.

    With n-grams, the budget decides how many of them stay; without, the number of codes.
    """

    share: int = 0  # place in `Planner.n_words`
    word_rate: int = 0  # place in `RATES`, for models with n-grams
    ngram_rate: int = 0  # the same
    turned: bool = False  # OPQ in the place of PQ, for models without


class Planner:
    """Turns shapes into recipes for one model.

    For models with n-grams, a recipe prunes and quantises n-grams, re-fits their codes, and quantises the
    residuals of the words that stay. For others, it drops rare words, if any, and quantises. `v` is adjusted.
    `n_words` lists the numbers of words to try, at least `min_words`, the greatest first.
    """

    def __init__(self, v: Vectors, min_words: int, random_state: int):
        self.v, self.random_state = v, random_state
        sizes = [int(len(v) * share) for share in SHARES]
        self.n_words = [max(n, 1) for n in sizes if n >= min_words or n == len(v)]
        self.has_ngrams = v.vocab.subwords is not None and min(self.n_ngrams, len(v)) >= MIN_ROWS

    def first_shape(self, n_bytes: int) -> Shape:
        """Return the shape to begin with: words in a sixth of the bytes, the highest rates with enough n-grams."""
        if not self.has_ngrams:
            return Shape(turned=True)
        fits = [n < n_bytes / 6 for n in self._vocab_bytes]
        share = fits.index(True) if any(fits) else len(fits) - 1
        for rate in range(len(RATES) - 1, 0, -1):
            shape = Shape(share, max(rate - WORDS_BELOW, 0), rate)
            if self._n_ngrams_left(shape, n_bytes)[0] >= ENOUGH * self.n_ngrams:
                return shape
        return Shape(share)

    def next_shapes(self, shape: Shape) -> list[Shape]:
        """Return the shapes one step away."""
        found = [] if self.has_ngrams else [replace(shape, turned=not shape.turned)]
        for name in ("share", "ngram_rate", "word_rate") if self.has_ngrams else ("share",):
            for place in (getattr(shape, name) + 1, getattr(shape, name) - 1):
                if 0 <= place < len(self.n_words if name == "share" else RATES):
                    found.append(replace(shape, **{name: place}))
        return found

    def untouched(self, n_bytes: int) -> Chain | None:
        """Return the recipe that changes nothing, if the model fits as it is or without n-grams that no word uses."""
        if self.v.file_bytes <= n_bytes:
            return Chain([])
        spare = len(json.dumps(json.dumps(Prune().to_json())))
        return Chain([Prune()]) if self.has_ngrams and float32_bytes(self.v) + spare <= n_bytes else None

    def any_recipe(self, n_bytes: int) -> bool:
        """Tell if some recipe takes no more than `n_bytes`; the first rates take the fewest."""
        return any(self.recipe(Shape(share), n_bytes) is not None for share in range(len(self.n_words)))

    def recipe(self, shape: Shape, n_bytes: int) -> Chain | None:
        """Return the chain of this shape that fills `n_bytes`, or None if these are too few."""
        n_words = self.n_words[shape.share]
        if self.has_ngrams:
            n_ngrams, n_bits = self._n_ngrams_left(shape, n_bytes)
            return self._of_ngrams(shape, n_ngrams, n_bits) if min(n_ngrams, n_words) >= MIN_ROWS else None
        steps: list[Step] = [Prune(n_words=n_words)] if n_words < len(self.v) else []
        n_bits, quantiser = bits_for(n_words), OPQ if shape.turned else PQ
        left = n_bytes - self._vocab_bytes[shape.share] - self._header_bytes(Chain([*steps, quantiser()]))
        if self._bytes(FLOAT16, n_words, n_bits) <= left:
            return Chain([*steps, SQ()])
        left -= self._bytes(1, 0, n_bits) + shape.turned * self.v.dim**2 * ENTRY
        n_codes = min(8 * (left // n_words) // n_bits, self.v.dim) if n_bits else 0
        return Chain([*steps, quantiser(n_codes, n_bits, random_state=self.random_state)]) if n_codes > 0 else None

    def _n_ngrams_left(self, shape: Shape, n_bytes: int) -> tuple[int, int]:
        """The most n-grams that fit beside the words, and the bits of their codes; (0, 1) where none does."""
        n_words, rate = self.n_words[shape.share], RATES[shape.ngram_rate]
        left = n_bytes - self._header_bytes(self._of_ngrams(shape, self.n_ngrams, 8))
        left -= self._vocab_bytes[shape.share] + self.v.ngrams[0].n_buckets // 8
        left -= self._bytes(RATES[shape.word_rate], n_words, bits_for(n_words))
        for n_bits in range(8, 0, -1):
            shared = self._bytes(rate, 0, n_bits)
            n = min((left - shared) // (self._bytes(rate, 1, n_bits) - shared), self.n_ngrams)
            if bits_for(n) >= n_bits:
                return n, n_bits
        return 0, 1

    def _of_ngrams(self, shape: Shape, n_ngrams: int, n_bits: int) -> Chain:
        def quantiser(rate: float, n_bits: int, on: str) -> Step:
            return SQ(on=on) if rate == FLOAT16 else PQ(self._n_codes(rate), n_bits, on=on, random_state=seed)

        seed, n_words, ngram_rate = self.random_state, self.n_words[shape.share], RATES[shape.ngram_rate]
        first, second = (Refit(strength=0.3, kept_weight=1, random_state=seed) for _ in range(2))
        steps = [Prune(n_ngrams=n_ngrams), first, quantiser(ngram_rate, n_bits, "ngrams")]
        steps += [second] if ngram_rate < FLOAT16 else []
        steps += [Prune(n_words=n_words)] if n_words < len(self.v) else []
        return Chain([*steps, Residual(), quantiser(RATES[shape.word_rate], bits_for(n_words), "words")])

    @cached_property
    def n_ngrams(self) -> int:
        """The most n-gram rows that may stay: those that the vocabulary uses, if they can be re-fitted in memory."""
        return min(n_used_ngrams(self.v), MAX_NUMBERS // self.v.dim)

    # -- bytes ----------------------------------------------------------------------------

    def _n_codes(self, rate: float) -> int:
        return max(1, round(rate * self.v.dim))

    def _bytes(self, rate: float, n_rows: int, n_bits: int) -> int:
        """Bytes of `n_rows` rows and of what they share: codebooks, and the spans of codes."""
        if rate == FLOAT16:
            return 2 * self.v.dim * n_rows + 4 * self.v.dim
        n_codes = self._n_codes(rate)
        return n_rows * -(-n_codes * n_bits // 8) + 2**n_bits * self.v.dim * ENTRY + n_codes * 8

    def _header_bytes(self, recipe: Chain) -> int:
        """Bytes of the file's header, nearly; the recipe stands in it as text in text."""
        meta = dict(self.v.meta, recipe=recipe.to_json()["steps"])
        return HEADER[self.has_ngrams] + len(json.dumps(json.dumps(meta)))

    @cached_property
    def _vocab_bytes(self) -> list[int]:
        """Bytes of the words and their counts, for each of `n_words`."""
        vocabs = [self.v.vocab.take(self.v.vocab.most_frequent(n))[0] for n in self.n_words]
        return [sum(array.nbytes for array in vocab.arrays().values()) for vocab in vocabs]


def bits_for(n_rows: int) -> int:
    """Bits a code, so that the codebook is small beside the rows; 0 for fewer rows than any needs."""
    return min(8, int(np.log2(max(n_rows, 1) / ROWS_AN_ENTRY))) if n_rows >= MIN_ROWS else 0
