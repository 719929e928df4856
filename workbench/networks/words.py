"""How a text becomes words, and words become types: themselves, stems, stems and endings, n-grams."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from os.path import commonprefix
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..subwords import ngrams_of
from ..vectors import Vectors, remembered, shortly

if TYPE_CHECKING:
    from pandas import DataFrame

ENDING, NGRAM = "+", "~"  # before types that are no words; words have letters, digits and underscores alone
MIN_N, MAX_N = 3, 6  # of n-grams as types, as in fastText
MAX_STEMS = 1 << 17  # words whose stems are remembered, some 40 MB


def split(text: str, lower: bool = True) -> list[str]:
    """Return the words of a text: its runs of letters, digits and underscores."""
    return re.findall(r"\w+", text.lower() if lower else text)


@remembered
def is_lower(v: Vectors) -> bool:
    """Return whether texts for a model turn to lower case first: a few odd words make it no cased one."""
    return bool(np.mean([word == word.lower() for word in v.words]) > 0.99)


@lru_cache(MAX_STEMS)
def stem(word: str, language: str) -> str:
    """Return the stem of a word by Snowball's algorithm (Porter 2001)."""
    import snowballstemmer

    return snowballstemmer.stemmer(language).stemWord(word)  # a new one each time, since threads cannot share one


def stem_and_ending(word: str, language: str) -> list[str]:
    """Return a stem and, with its mark, what follows: ``cats`` gives ``cat`` and ``+s``, ``hoping`` ``hope``, ``+ing``."""
    of_word = stem(word, language)
    n_shared = len(commonprefix([word, of_word]))
    ending = word[n_shared if n_shared >= len(of_word) - 1 else len(of_word) :]  # a stem may lose accents, too
    return [of_word, ENDING + ending] if ending else [of_word]


def marked_ngrams(word: str) -> list[str]:
    return [NGRAM + ngram for ngram in ngrams_of(word, MIN_N, MAX_N)]


class Kind(NamedTuple):
    """A way to cut words into types."""

    label: str
    example: str  # the types of "cats"
    cut: Callable[[str, str], list[str]]  # from a word and a language to types
    by_stem: bool = False  # a model of word vectors is asked for the stem
    ngram_share: float = 0  # of the mean of n-grams in the vector of a word or stem


KINDS = {
    "word": Kind("Words", "cats", lambda word, _: [word]),
    "stem": Kind("Stems", "cat", lambda word, language: [stem(word, language)], True),
    "stem+ending": Kind("Stems and endings", "cat, +s", stem_and_ending, True),
    "word+ngrams": Kind("Words and n-grams", "cats, ~<ca, ~cat, ...", lambda w, _: [w, *marked_ngrams(w)], False, 0.5),
    "stem ngrams": Kind("N-grams of stems", "~<ca, ~cat, ...", lambda w, of: marked_ngrams(stem(w, of)), True, 1),
}
Tokenize = str | Callable[[str], list[str]]


@dataclass(frozen=True)
class WordTokenizer:
    """Cuts texts into types, as in ``TfidfVectorizer(analyzer=WordTokenizer("stem+ending", "russian"))``.

    Parameters
    ----------
    tokenize : str, or callable of str that returns a list of str
        ``"word"``; ``"stem"``; ``"stem+ending"``, where an ending such as ``+s`` keeps what a stem drops;
        ``"word+ngrams"`` and ``"stem ngrams"``, with n-grams of 3 to 6 characters such as ``~<ca``. No word can
        contain the marks ``+`` and ``~``.
    language : str
        Of the stems: a name that snowballstemmer knows.
    lower : bool
        Turn texts to lower case first; a callable gets them as they are.
    """

    tokenize: Tokenize = "word"
    language: str = "english"
    lower: bool = True

    def __post_init__(self) -> None:
        import snowballstemmer

        if not callable(self.tokenize) and self.tokenize not in KINDS:
            kinds = ", ".join(map(repr, KINDS))
            raise ValueError(f"tokenize must be one of {kinds}, or a function, got {shortly(self.tokenize)}")
        if self.language not in snowballstemmer.algorithms():
            known = ", ".join(snowballstemmer.algorithms())
            raise ValueError(f"language must be one of {known}, got {shortly(self.language)}")

    def __call__(self, text: str) -> list[str]:
        """Return the types of a text in order: what a classifier on counts tells apart."""
        if callable(self.tokenize):
            return self.tokenize(text)
        cut = KINDS[self.tokenize].cut
        return [found for word in split(text, self.lower) for found in cut(word, self.language)]

    @property
    def kind(self) -> Kind:
        """The kind; that of words for a callable."""
        return KINDS["word" if callable(self.tokenize) else self.tokenize]

    def keys(self, text: str) -> list[str]:
        """Return the words or stems of a text in order: what a model of word vectors is asked for."""
        if callable(self.tokenize):
            return self.tokenize(text)
        words = split(text, self.lower)
        return [stem(word, self.language) for word in words] if self.kind.by_stem else words


def token_costs(
    texts: Sequence[str], kinds: Iterable[Tokenize] = tuple(KINDS), language: str = "english"
) -> "DataFrame":
    """Return a table of types, tokens and seconds per 1,000 texts, stems not known before, for each kind."""
    import pandas as pd

    rows = []
    for tokenize in kinds:
        tokenizer = WordTokenizer(tokenize, language)
        stem.cache_clear()
        start = time.perf_counter()
        found = [tokenizer(text) for text in texts]
        seconds = (time.perf_counter() - start) * 1_000 / max(len(texts), 1)
        types = {token for tokens in found for token in tokens}
        name = getattr(tokenize, "__name__", repr(tokenize)) if callable(tokenize) else tokenize
        rows.append((name, len(types), sum(map(len, found)), seconds))
    return pd.DataFrame(rows, columns=["tokenize", "types", "tokens", "seconds_per_1000_texts"])
