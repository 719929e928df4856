"""The words of a model, the row that each has, and how often each was seen."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np

from . import progress
from .checks import warn
from .packing import deflate, deflate_texts, inflate, inflate_texts
from .subwords import MAX_UNCOMPILED, Subwords, is_text, utf8

MAX_QUOTED = 60  # characters of a word that an error repeats
MAX_CACHED_WORDS = 500_000  # words up to which their buckets are kept: some 50 MB
KEPT = {"_mark", "_is_checked", "_buckets", "_shares", "key_to_index", "is_for_scoring"}  # what follows from words
HASH_BLOCK = 1 << 14  # words whose buckets are looked at together: some 2 MB, and several times as much to count them


def printable(word: str) -> str:
    """Return `word` with the replacement character for bytes that are not UTF-8."""
    return utf8(word).decode("utf-8", "replace")


class Vocab:
    """Words in order, their rows and counts, and how unseen strings become n-grams.

    Bytes that are not valid UTF-8 live in a word as lone surrogates (Python's ``surrogateescape``), so that every
    file round-trips; `printable` makes them fit to show.

    Parameters
    ----------
    words : sequence of str, or bytes
        Without repeats; see `first_places`. As bytes, one text with a NUL before each word and after the last: it is
        split once more than a few words are looked up.
    row_of : (n_words,) int array, optional
        Row of each word in the word matrix; several words may share one. Without it, word ``i`` has row ``i``.
    counts : (n_words,) int array, optional
        Occurrences in the training corpus.
    subwords : Subwords, optional
        For fastText-like models.
    scales : (n_words,) float16 array, optional
        What a word that borrows a row multiplies it with, so that it keeps its own length; NaN for words with a row
        of their own. Needs `row_of`, and word rows that are whole vectors.

    Raises
    ------
    ValueError
        If the arrays do not fit the words or each other.
    """

    def __init__(
        self,
        words: Sequence[str] | bytes,
        row_of: np.ndarray | None = None,
        counts: np.ndarray | None = None,
        subwords: Subwords | None = None,
        scales: np.ndarray | None = None,
    ):
        self._text = words if isinstance(words, bytes) else b""
        self._n_words = words.count(b"\0") - 1 if isinstance(words, bytes) else len(words)
        self._n_sought = 0
        self._is_checked = isinstance(words, bytes)  # these come from a file
        self._buckets: tuple[tuple, np.ndarray, np.ndarray] | None = None  # the last found; see `buckets`
        self._shares: tuple[tuple, np.ndarray] | None = None  # the same, of `bucket_shares`
        self._places: tuple[object, np.ndarray] | None = None  # the same, of `places_in`
        self._mark = object()  # of these words; those with other rows or n-grams have it too
        if not isinstance(words, bytes):
            self.words = list(words)
        for name, array in (("row_of", row_of), ("counts", counts), ("scales", scales)):
            if array is not None and np.shape(array) != (len(self),):
                raise ValueError(f"{name} must have one entry a word ({len(self)}), got shape {np.shape(array)}")
        self.row_of = None if row_of is None else np.asarray(row_of)
        if self.row_of is not None and (self.row_of.dtype.kind not in "iu" or self.row_of.min(initial=0) < 0):
            found = f"{self.row_of.min()} of type {self.row_of.dtype}"
            raise ValueError(f"rows must be whole numbers from 0 on, got {found}")
        self.scales = None if scales is None else np.asarray(scales, np.float16)
        if self.scales is not None:
            is_composed = subwords is not None and (subwords.raw or subwords.residual)
            if row_of is None or is_composed or (np.isinf(self.scales) | (self.scales < 0)).any():
                raise ValueError(
                    "scales must be 0 or more and finite, or NaN for words with a row of their own; they need row_of, "
                    "and word rows that are whole vectors"
                )
        self.counts = None if counts is None else self._whole(np.asarray(counts))
        self.subwords = subwords

    def _whole(self, counts: np.ndarray) -> np.ndarray:
        """Return counts as int64; one that is no whole number from 0 on is refused with its word."""
        if counts.dtype == np.int64 and counts.min(initial=0) >= 0:
            return counts
        for i, count in enumerate(counts.tolist()):
            is_number = isinstance(count, Real) and not isinstance(count, bool)
            if not is_number or not 0 <= count < 1 << 63 or count % 1:
                raise ValueError(
                    f"counts must be whole numbers from 0 on, got {str(count)[:MAX_QUOTED]} for word {i} "
                    f"{printable(self.words[i])[:MAX_QUOTED]!r}; give numbers of occurrences, or no counts"
                )
        return counts.astype(np.int64)

    def check(self) -> None:
        """Refuse words that no file could give back; a vocabulary of words that are only looked up may have some."""
        if not self._is_checked:
            check_words(self.words)
            self._is_checked = True

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled and copied: nothing that was computed on the way."""
        derived = {"key_to_index", "factors", "is_for_scoring"} | ({"words"} if self._text else set())
        kept = {name: value for name, value in vars(self).items() if name not in derived}
        return kept | {"_n_sought": 0, "_buckets": None, "_shares": None, "_places": None}

    def __len__(self) -> int:
        return self._n_words

    @cached_property
    def words(self) -> list[str]:
        """The words in order."""
        return self._text[1:-1].decode("utf-8", "surrogateescape").split("\0")

    @cached_property
    def key_to_index(self) -> dict[str, int]:
        """Position of each word."""
        table = dict(zip(self.words, range(len(self.words)), strict=True))
        if len(table) < len(self):  # found here, since looking at all words would make opening slow
            raise ValueError(f"{len(self) - len(table):,} words are there twice, so the file is damaged or made wrong")
        return table

    def place(self, word: str) -> int | None:
        """Return the position of a word, None where it is not among these.

        The first few are searched in the text: that takes a fraction of a millisecond, the table of 100,000 words
        takes fifty.
        """
        has_table = not self._text or self._n_sought >= MAX_UNCOMPILED or "key_to_index" in vars(self)
        if has_table or not isinstance(word, str):
            return self.key_to_index.get(word)
        self._n_sought += 1
        at = self._text.find(b"\0%b\0" % utf8(word))
        return None if at < 0 or "\0" in word else self._text.count(b"\0", 0, at)

    def places_in(self, other: "Vocab", index: np.ndarray | None = None) -> np.ndarray:
        """Return positions in another vocabulary of these words (or those at `index`), -1 for none: (n,) int64.

        Those of all words are kept for the last other one, and for what `take` made since.
        """
        if other is self:  # as often; the table of a large vocabulary takes as much memory as its words
            return np.arange(len(self)) if index is None else index
        if index is None and self._places is not None and self._places[0] is other._mark:
            return self._places[1]
        words = self.words if index is None else [self.words[i] for i in index]
        get = other.key_to_index.get
        places = np.fromiter((get(word, -1) for word in words), np.int64, len(words))
        if index is None:
            self._keep_places(other, places)
        return places

    def _keep_places(self, other: "Vocab", places: np.ndarray) -> None:
        places.setflags(write=False)
        self._places = other._mark, places

    # -- their n-grams ---------------------------------------------------------------------

    def buckets(self, subwords: Subwords) -> tuple[np.ndarray, np.ndarray]:
        """Return `Subwords.buckets` of all words, kept for one way of hashing unless words are very many.

        Whatever is done to a model, its words hash as before, and hashing takes longer than the rest.
        """
        last = self._buckets
        if last is not None and last[0] == subwords.hashing:
            return last[1:]
        found = subwords.buckets(self.words)
        for array in found:
            array.setflags(write=False)
        if len(self) <= MAX_CACHED_WORDS:
            self._buckets = (subwords.hashing, *found)
        return found

    def bucket_blocks(self, subwords: Subwords) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield the position of the first word and `Subwords.buckets` of `HASH_BLOCK` words at a time."""
        with progress.bar(total=len(self), desc="N-grams", unit=" words", leave=False, delay=2) as bar:
            for start in range(0, len(self), HASH_BLOCK):
                if len(self) > MAX_CACHED_WORDS:
                    indptr, values = subwords.buckets(self.words[start : start + HASH_BLOCK])
                else:
                    indptr, values = self.buckets(subwords)
                    indptr = indptr[start : start + HASH_BLOCK + 1]
                    indptr, values = indptr - indptr[0], values[indptr[0] : indptr[-1]]
                yield start, indptr, values
                bar.update(len(indptr) - 1)

    def used_buckets(self, subwords: Subwords) -> np.ndarray:
        """Return the buckets of these words' n-grams, pruned ones included, in order, each once: int64."""
        return np.flatnonzero(self.bucket_shares(subwords))

    def bucket_shares(self, subwords: Subwords, weights: np.ndarray | None = None) -> np.ndarray:
        """Return what each bucket gets if words share out their weights evenly among their n-grams: (n_buckets,).

        Without weights, each word has 1, and the answer is kept for one way of hashing.
        """
        if weights is None and self._shares is not None and self._shares[0] == subwords.hashing:
            return self._shares[1]
        shares = np.zeros(subwords.n_buckets)
        for start, indptr, values in self.bucket_blocks(subwords):
            n_ngrams = np.diff(indptr)
            each = 1 if weights is None else weights[start : start + len(n_ngrams)]
            np.add.at(shares, values, np.repeat(each / np.maximum(n_ngrams, 1), n_ngrams))  # in order: the same bits
        if weights is None:
            shares.setflags(write=False)
            self._shares = subwords.hashing, shares
        return shares

    def ngram_rows(self, index: np.ndarray, subwords: Subwords) -> tuple[np.ndarray, np.ndarray]:
        """Return `Subwords.rows` of the words at these positions."""
        if len(self) > MAX_CACHED_WORDS:
            return subwords.rows([self.words[i] for i in index])
        indptr, values = self.buckets(subwords)
        lengths = indptr[index + 1] - indptr[index]
        ends = np.cumsum(lengths)
        places = np.arange(lengths.sum()) + np.repeat(indptr[index] - ends + lengths, lengths)
        return subwords.surviving(np.concatenate([[0], ends]), values[places])

    # -- their rows ------------------------------------------------------------------------

    @property
    def n_rows(self) -> int:
        """Number of rows that the word matrix must have."""
        return len(self) if self.row_of is None else int(self.row_of.max(initial=-1)) + 1

    @property
    def n_used_rows(self) -> int:
        """Number of rows that some word has."""
        return len(self) if self.row_of is None else int(np.count_nonzero(np.bincount(self.row_of)))

    def rows(self, index: np.ndarray | slice) -> np.ndarray | slice:
        """Return the matrix rows of the words at these positions."""
        return index if self.row_of is None else self.row_of[index]

    @property
    def remapped(self) -> np.ndarray:
        """Mask of the words that borrow another word's row: (n_words,) bool."""
        return np.zeros(len(self), bool) if self.scales is None else ~np.isnan(self.scales)

    @cached_property
    def factors(self) -> np.ndarray | None:
        """Factor of each word's row, 1 where the row is its own: (n_words,) float32; None where all are 1."""
        return None if self.scales is None else np.where(self.remapped, self.scales, 1).astype(np.float32)

    def take(self, index: np.ndarray) -> tuple["Vocab", np.ndarray]:
        """Keep the words at these positions, in this order; also return the rows of the old matrix that they need."""
        words = [self.words[i] for i in index]
        counts = None if self.counts is None else self.counts[index]
        rows, row_of = index, None
        if self.row_of is not None:
            rows, row_of = np.unique(self.row_of[index], return_inverse=True)
        scales = self.scales[index] if self.scales is not None and self.remapped[index].any() else None
        taken, places = Vocab(words, row_of, counts, self.subwords, scales), np.full(len(self), -1)
        places[index] = np.arange(len(index))
        self._keep_places(taken, places)
        return taken, rows

    def without_spare_rows(self) -> tuple["Vocab", np.ndarray]:
        """Return the same words over the rows that they have, and which rows of the old matrix these are."""
        if self.row_of is None or self.scales is not None or self.n_used_rows < len(self):
            return self.take(np.arange(len(self)))
        return Vocab(self.words, None, self.counts, self.subwords), self.row_of

    def with_counts(self, counts: np.ndarray | None) -> "Vocab":
        return Vocab(self.words, self.row_of, counts, self.subwords, self.scales)

    def with_subwords(self, subwords: Subwords | None, own_rows: bool = False) -> "Vocab":
        """Return the same words with other n-grams, and what is known of them; `own_rows` gives each its own row."""
        shared = (None, None) if own_rows else (self.row_of, self.scales)
        new = Vocab(self.words, shared[0], self.counts, subwords, shared[1])
        vars(new).update({name: vars(self)[name] for name in KEPT & vars(self).keys()})
        return new

    # -- which of them ---------------------------------------------------------------------

    def most_frequent(self, n: int | None) -> np.ndarray:
        """Return the positions of the `n` most frequent words (all, with None), in order of position."""
        return np.sort(self.by_frequency()[:n])

    def by_frequency(self, elsewhere: Mapping[str, int] | None = None) -> np.ndarray:
        """Return the positions of all words, the most frequent first: (n_words,) int64.

        Counts of another text, `elsewhere`, go before the model's own. Without either, words keep their order, since
        most files are sorted.
        """
        own = np.zeros(len(self)) if self.counts is None else self.counts
        first = np.zeros(len(self)) if elsewhere is None else np.array([elsewhere.get(w, 0) for w in self.words])
        return np.lexsort((-own, -first))

    @cached_property
    def is_for_scoring(self) -> np.ndarray:
        """Mask of the words that may be in a sample that is scored: half of them, by CRC-32, (n_words,) bool.

        A step that is fitted on a sample of the words draws it from the other half, so that no word is in both,
        whatever the sizes and seeds.
        """
        encoded = self._text[1:-1].split(b"\0") if self._text else map(utf8, self.words)
        return np.fromiter((zlib.crc32(word) & 1 for word in encoded), bool, len(self))

    def drawn_to_score(self, index: np.ndarray, n: int, seed: int | np.random.Generator) -> np.ndarray:
        """Return these positions where they are at most `n`, else a sample, in order, of those that are for scoring."""
        if len(index) <= n:
            return index
        held_out = index[self.is_for_scoring[index]]
        return np.sort(np.random.default_rng(seed).permutation(held_out)[:n])

    # -- in a file -------------------------------------------------------------------------

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that a file must hold, all deflated: they rule a very small file."""
        arrays = {"text": deflate_texts("\0".join(self.words))}
        if self.counts is not None:  # neighbours in a sorted vocabulary differ by little
            arrays["counts"] = deflate(np.diff(self.counts, prepend=0).astype("<i8").tobytes())
        if self.row_of is not None:
            arrays["row_of"] = deflate(self.row_of.astype("<u2" if self.n_rows <= 1 << 16 else "<i4").tobytes())
        if self.scales is not None:
            arrays["scales"] = deflate(self.scales.astype("<f2").tobytes())
        return arrays

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray], subwords: Subwords | None) -> "Vocab":
        """Rebuild what gave these `arrays`; they come from a file and may lie."""
        text = b"\0%b\0" % inflate_texts(arrays["text"])
        n_words = text.count(b"\0") - 1
        counts, row_of, scales = (arrays.get(name) for name in ("counts", "row_of", "scales"))
        if counts is not None:
            counts = np.cumsum(inflate(counts, n_words, ("<i8",)))
        if row_of is not None and row_of.dtype != np.int32:  # as version 1 has them, not deflated
            row_of = inflate(row_of, n_words, ("<u2", "<i4")).astype(np.int32)
        if scales is not None:
            scales = inflate(scales, n_words, ("<f2",))
        return cls(text, row_of, counts, subwords, scales)


def check_words(words: Iterable[str], noun: str = "word") -> list[str]:
    """Refuse words, or other nouns, that no file could give back: none, no string, a NUL, half a surrogate pair."""
    words = list(words)
    if not words:
        raise ValueError(f"expected at least one {noun}, got none")
    try:
        text = "\0".join(words)
        is_sound = text.count("\0") == len(words) - 1 and is_text(text)
    except TypeError:
        is_sound = False
    for position, word in enumerate(() if is_sound else words):  # one by one takes several times as long
        if not isinstance(word, str):
            raise TypeError(
                f"{noun}s must be strings; {noun} {position} is {type(word).__name__} {str(word)[:MAX_QUOTED]!r}"
            )
        if "\0" in word:
            raise ValueError(f"{noun}s may not contain the NUL character; {noun} {position} is {word[:MAX_QUOTED]!r}")
        if not is_text(word):
            raise ValueError(
                f"{noun} {position} {word[:MAX_QUOTED]!r} is no text: it has a broken character (a lone surrogate that "
                "stands for no byte); mend or remove it"
            )
    return words


def first_places(words: Sequence[str]) -> np.ndarray | None:
    """Return positions of first occurrences where words repeat (with a warning), None where none does."""
    first = dict(zip(reversed(words), reversed(range(len(words))), strict=True))
    n_repeats = len(words) - len(first)
    if not n_repeats:
        return None
    repeated = next(word for position, word in enumerate(words) if first[word] != position)
    plural = "s" * (n_repeats > 1)
    warn(f"{n_repeats} duplicate word{plural} (such as {printable(repeated)!r}): the first vector of each is kept")
    return np.sort(np.fromiter(first.values(), np.int64, len(first)))


def is_for_fitting(word: str) -> bool:
    """Return whether steps may fit on this string although no vocabulary has it: one in eight, by CRC-32.

    The others are for scoring. Because the string itself decides, no step needs to remember which strings it made
    up, also when a model was saved, reloaded or given away. Words that a step dropped are another matter: they are
    known, as long as one scores against the model that the steps began with.
    """
    return zlib.crc32(utf8(word)) % 8 == 0


def made_up_words(words: Sequence[str], n: int, fitting: bool, seed: int) -> list[str]:
    """Return strings that are not in `words`: the first half of one joined to the second half of another.

    Words of four characters and more are cut. Fewer than `n` come back where the words do not yield so many.
    `fitting` says whether they are for fitting or for scoring; see `is_for_fitting`.
    """
    long = [word for word in words if len(word) >= 4]
    if not long:
        return []
    rng = np.random.default_rng(seed)
    made: dict[str, None] = {}  # a set that keeps its order
    for _ in range(20):  # rounds; fitting takes about four, unless the words are few
        pairs = zip(*rng.integers(len(long), size=(2 * n, 2)).T.tolist(), strict=True)
        joined = (long[a][: (len(long[a]) + 1) // 2] + long[b][len(long[b]) // 2 :] for a, b in pairs)
        fit = [word for word in joined if is_for_fitting(word) == fitting]
        known = set(fit).intersection(words)  # a set of all words would take more memory than they do
        made.update(dict.fromkeys(word for word in fit if word not in known))
        if len(made) >= n:
            break
    return list(made)[:n]
