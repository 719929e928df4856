"""Cut texts into words, and words into types: themselves, stems, stems and endings, n-grams."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import progress
from ..spool import spooled
from ..storage import BLOCK, Dense, Stacked
from ..subwords import ngrams_of
from ..vectors import Vectors, remembered, shortly
from ..vocab import Vocab

if TYPE_CHECKING:
    from pandas import DataFrame

ENDING, NGRAM = "+", "~"  # before types that are no words; words have letters, digits and underscores alone
MIN_N, MAX_N = 3, 6  # of n-grams as types, as in fastText
Pair = tuple[str, str]
TextsOrPairs = Sequence[str] | Sequence[Pair]
MAX_STEMS = 1 << 17  # words whose stems are remembered, some 40 MB


def listed(texts: Iterable[str]) -> list[str]:
    """Return texts as a list: those of a sequence, an array, or one column of a table; TypeError for all else."""
    if isinstance(texts, str):
        found = f"one text; write [{shortly(texts)}]"
    elif not hasattr(texts, "__len__"):
        found = f"{type(texts).__name__}, which can be read once only; embed_blocks takes iterators"
    elif getattr(texts, "ndim", 1) != 1:
        found = "a table; take one column, as table['text'], in a ColumnTransformer by the name 'text', not ['text']"
    elif others := [(place, text) for place, text in enumerate(texts) if not isinstance(text, str)]:
        found = f"{shortly(others[0][1])} at place {others[0][0]}; fill gaps with ''"
    else:
        return list(texts)
    raise TypeError(f"expected a list of texts and nothing else, got {found}")


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
    """Return a stem and, with its mark, what follows: ``cat`` and ``+s``; ``hope`` and ``+ing`` of "hoping"."""
    of_word = stem(word, language)
    n_kept = len(of_word)
    if word.startswith(of_word[:-1]) and not word.startswith(of_word):  # elsewhere a stem may have lost an accent
        n_kept -= 1
    return [of_word, ENDING + word[n_kept:]] if word[n_kept:] else [of_word]


def numbered(types: Iterable[str]) -> tuple[list[str], np.ndarray]:
    """Return the different ones of these in order, and for each of them its place among those: (n,) int64."""
    types = list(types)
    places = {found: place for place, found in enumerate(dict.fromkeys(types))}
    return list(places), np.array([places[found] for found in types], np.int64)


def marked_ngrams(word: str) -> list[str]:
    return [NGRAM + ngram for ngram in ngrams_of(word, MIN_N, MAX_N)]


@remembered
def stemmed(v: Vectors, language: str = "english") -> Vectors:
    """Return vectors of the stems of a model's words: the mean of the words with a stem, by their counts.

    A stem that the model does not know has the mean of its n-grams, where the model has n-grams. Takes some four
    seconds for 100,000 words; a model keeps the answer. Like all vectors it can be saved and made smaller.
    """
    words = progress.bar(v.words, desc="Stems", unit=" words", leave=False, delay=2)
    stems, of_word = numbered(stem(word, language) for word in words)  # (n_words,)
    counts = np.ones(len(v)) if v.vocab.counts is None else np.maximum(v.vocab.counts, 1)
    totals, order = np.bincount(of_word, counts), np.argsort(of_word, kind="stable")
    shares, ends = (counts / totals[of_word]).astype(np.float32), np.cumsum([0, *np.bincount(of_word)])

    def means() -> Iterator[np.ndarray]:
        for first in range(0, len(stems), BLOCK):
            starts = ends[first : first + BLOCK + 1]
            here = order[starts[0] : starts[-1]]
            rows = np.concatenate([block for _, block in v.blocks(index=here)])
            rows *= shares[here, None]
            yield np.add.reduceat(rows, starts[:-1] - starts[0])

    rows, ngrams, subwords = Dense(spooled(means(), v.dim)), v.storage.ngrams, v.vocab.subwords
    of_stems = None if v.vocab.counts is None else totals.astype(np.int64)
    vocab = Vocab(stems, None, of_stems, None if subwords is None else subwords.adjusted())
    return Vectors(vocab, rows if ngrams is None else Stacked(rows, ngrams), v.meta)


class Kind(NamedTuple):
    """A way to cut words into types."""

    example: str  # the types of "cats"
    cut: Callable[[str, str], list[str]]  # from a word and a language to types
    by_stem: bool = False  # a model of word vectors is asked for the stem
    ngram_share: float = 0  # of the mean of n-grams in the vector of a word or stem


KINDS = {
    "word": Kind("cats", lambda word, _: [word]),
    "stem": Kind("cat", lambda word, language: [stem(word, language)], True),
    "stem+ending": Kind("cat, +s", stem_and_ending, True),
    "word+ngrams": Kind("cats, ~<ca, ~<cat, ...", lambda w, _: [w, *marked_ngrams(w)], False, 0.5),
    "stem ngrams": Kind("~<ca, ~<cat, ...", lambda w, of: marked_ngrams(stem(w, of)), True, 1),
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
        return [found for word in split(text, self.lower) for found in self.kind.cut(word, self.language)]

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
        name = getattr(tokenize, "__name__", tokenize)  # of a function
        rows.append((name, len(types), sum(map(len, found)), seconds))
    return pd.DataFrame(rows, columns=["tokenize", "types", "tokens", "seconds_per_1000_texts"])
