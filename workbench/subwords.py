"""N-grams: from a string to rows of the n-gram matrix, by hashed buckets or by a list of texts."""

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import compress, pairwise
from typing import Any, ClassVar, Self

import numpy as np

from .checks import Kind, check_kinds
from .hashing import fill_buckets, fill_finalfusion_buckets
from .packing import deflate_texts, inflate_texts

END_OF_SENTENCE = "</s>"  # fastText's sentence mark: the one word without n-grams
MAX_BUCKETS = 2**31 - 1  # their numbers are int32
MAX_FOLDS = 100
MAX_UNCOMPILED = 32  # words up to which plain Python beats loading the compiled kernels


def utf8(word: str) -> bytes:
    """Return the bytes of a word; those that are not UTF-8 live in it as lone surrogates."""
    try:
        return word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, which is in no file but may be asked for
        return word.encode("utf-8", "surrogatepass")


def is_text(text: str) -> bool:
    """Return whether a file gives this text back as it is."""
    try:
        return text.isascii() or text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == text
    except UnicodeEncodeError:
        return False


@dataclass(eq=False, repr=False)
class Subwords:
    """Hashed character n-grams and the matrix row that each bucket has, if it still has one.

    These are fastText's; `FinalfusionBuckets` and `ListedNgrams` number n-grams in other ways.

    Parameters
    ----------
    min_n, max_n : int
        Shortest and longest n-gram, in code points, the marks ``<`` and ``>`` counted.
    n_buckets : int
        The hash is taken modulo this.
    bucket_to_row : (n_buckets,) int array, optional
        Row of each bucket in the n-gram matrix, -1 where the bucket was pruned. Without it, each bucket has the row
        of its own number.
    raw : bool
        True where word rows are as fastText trains them: a known word's vector is the mean of its own row *and* its
        n-grams'. False where word rows are whole vectors ("adjusted") and n-grams serve unseen words only.
    folded : sequence of int
        Numbers that the hash is taken modulo before `n_buckets`, fastText's own first; see `fold`.
    residual : bool
        True where a known word's vector is its own row *plus* the mean of its n-grams.
    """

    min_n: int
    max_n: int
    n_buckets: int
    bucket_to_row: np.ndarray | None = None
    raw: bool = False
    folded: Sequence[int] = ()
    residual: bool = False

    kind: ClassVar[str] = "fasttext"
    fields: ClassVar[dict[str, Kind]] = {"min_n": int, "max_n": int, "n_buckets": int, "raw": bool, "residual": bool}
    characters: ClassVar[type] = np.uint8  # the numbers that `fill` reads
    fill: ClassVar[Callable[..., None]] = staticmethod(fill_buckets)

    def __post_init__(self) -> None:
        check_kinds("n-grams", vars(self), self.fields)
        self.min_n, self.max_n, self.n_buckets = int(self.min_n), int(self.max_n), int(self.n_buckets)
        self.folded = tuple(self.folded)
        moduli = (*self.folded, self.n_buckets)
        are_falling = all(isinstance(before, int) and before >= after for before, after in pairwise(moduli))
        if not 1 <= self.min_n <= self.max_n <= MAX_BUCKETS or not are_falling or len(moduli) > MAX_FOLDS:
            raise ValueError(
                f"expected 1 <= min_n <= max_n, and buckets that are folded into fewer, {MAX_FOLDS} times at most, "
                f"got min_n={self.min_n}, max_n={self.max_n} and {moduli[:9]} buckets"
            )
        if not 1 <= self.n_buckets <= self.n_hashed <= MAX_BUCKETS:
            raise ValueError(f"expected 1 to {MAX_BUCKETS:,} buckets, got {self.n_hashed:,}")
        if self.raw and self.residual:
            raise ValueError("word rows are raw or residual, not both")
        if self.bucket_to_row is not None:
            check_kinds("n-grams", vars(self), {"bucket_to_row": (1, "<i4 <i8")})
            if len(self.bucket_to_row) != self.n_buckets or self.bucket_to_row.min() < -1:
                raise ValueError(
                    f"bucket_to_row must have one entry for each of the {self.n_buckets} buckets, a row from 0 on "
                    f"or -1 for none, got shape {self.bucket_to_row.shape}"
                )

    def _with(self, **changes: Any) -> Self:
        new = copy(self)
        vars(new).update(changes)
        return new

    @property
    def n_rows(self) -> int:
        """Number of rows that the n-gram matrix must have."""
        return self.n_buckets if self.bucket_to_row is None else int(self.bucket_to_row.max(initial=-1)) + 1

    @property
    def n_hashed(self) -> int:
        """Number of buckets that the hash itself is taken modulo, before they are folded."""
        return (*self.folded, self.n_buckets)[0]

    @property
    def cutting(self) -> tuple:
        """All that decides which n-grams a string has."""
        return self.kind, self.min_n, self.max_n

    @property
    def hashing(self) -> tuple:
        """All that decides which buckets a string has."""
        return *self.cutting, *self.folded, self.n_buckets

    def buckets(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Find the buckets of the n-grams of each word, pruned ones included.

        Returns
        -------
        indptr : (n_words + 1,) int64
            Word ``i`` owns ``values[indptr[i]:indptr[i + 1]]``.
        values : int32
            Bucket numbers in order of start and length; repeated n-grams are repeated.
        """
        first, *others = *self.folded, self.n_buckets
        indptr, values = self._hashed(words, first)
        for modulus in others:
            values %= modulus
        return indptr, values

    def _encoded(self, word: str) -> bytes:
        return b"" if word == END_OF_SENTENCE else b"<" + utf8(word) + b">"

    def _joined(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the characters of all words with their marks, and where each word ends: (n_words,) int64."""
        if len(words) > MAX_UNCOMPILED and self.characters is np.uint8 and END_OF_SENTENCE not in words:
            try:  # all at once, which takes a third of the time
                text = "\0".join(words).encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                text = b""
            ends = np.flatnonzero(np.frombuffer(text + b"\0", np.uint8) == 0)
            if len(ends) == len(words):  # else a word has a NUL of its own
                marked = b"<" + text.replace(b"\0", b"><") + b">"
                return np.frombuffer(marked, np.uint8), ends + np.arange(2, len(words) + 2)
        encoded = [self._encoded(word) for word in words]
        size = np.dtype(self.characters).itemsize
        ends = np.cumsum([len(data) // size for data in encoded], dtype=np.int64)
        return np.frombuffer(b"".join(encoded), self.characters), ends

    def _hashed(self, words: Sequence[str], n_buckets: int) -> tuple[np.ndarray, np.ndarray]:
        """Find what `buckets` finds, modulo this number alone."""
        numbers, ends = self._joined(words)
        room = sum(  # for the n-grams of words of so many characters: exact, but for broken ones and marks alone
            count * sum(range(n - min(self.max_n, n) + 1, n - self.min_n + 2))
            for n, count in Counter(len(word) + 2 for word in words).items()
        )
        indptr, values = np.zeros(len(words) + 1, np.int64), np.empty(room, np.int32)
        if len(words) <= MAX_UNCOMPILED and f"{__package__}.kernels" not in sys.modules:
            self.fill(numbers.tolist(), ends.tolist(), self.min_n, self.max_n, n_buckets, indptr, values)
        else:
            from . import kernels

            compiled = getattr(kernels, self.fill.__name__)
            compiled(numbers, ends, self.min_n, self.max_n, n_buckets, indptr, values)
        return indptr, values if indptr[-1] == room else values[: indptr[-1]].copy()

    def ngrams(self, word: str) -> list[str]:
        """Return the n-grams of a word as text, in the order of `buckets`; broken bytes as lone surrogates."""
        data = self._encoded(word)
        edges = [i for i, byte in enumerate(data) if byte & 0xC0 != 0x80] + [len(data)]  # where code points begin
        n_points = len(edges) - 1
        return [
            data[edges[start] : edges[start + n]].decode("utf-8", "surrogateescape")
            for start in range(n_points)
            for n in range(self.min_n, min(self.max_n, n_points - start) + 1)
            if not (n == 1 and start in (0, n_points - 1))  # a mark alone is none
        ]

    def rows(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Find the rows of the *surviving* n-grams of each word, ragged as in `buckets`."""
        return self.surviving(*self.buckets(words))

    def surviving(self, indptr: np.ndarray, buckets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of ragged buckets, pruned ones left out."""
        if self.bucket_to_row is None:
            return indptr, buckets
        rows = self.bucket_to_row[buckets]
        alive = rows >= 0
        survivors = np.concatenate([[0], np.cumsum(alive)])  # how many before each n-gram
        return survivors[indptr], rows[alive]

    def composed(self, own: np.ndarray, sums: np.ndarray, n_ngrams: np.ndarray) -> np.ndarray:
        """Compose known words' vectors, or scores, of those of their own rows and sums over their n-grams, in place."""
        if self.residual:
            sums /= np.maximum(n_ngrams, 1)
        own += sums
        if not self.residual:
            own /= n_ngrams + np.float32(1)
        return own

    def rows_of(self, buckets: np.ndarray) -> np.ndarray:
        """Return the row of each of these buckets, -1 where it was pruned."""
        return buckets if self.bucket_to_row is None else self.bucket_to_row[buckets]

    def kept_rows(self, buckets: np.ndarray) -> np.ndarray:
        """Return the rows that stay, in order, where only these buckets are kept."""
        return np.flatnonzero(np.bincount(self.rows_of(buckets)))

    def keep(self, buckets: np.ndarray) -> Self:
        """Keep these buckets only, over the rows that `kept_rows` gives."""
        table = np.full(self.n_buckets, -1, np.int32)
        table[buckets] = np.searchsorted(self.kept_rows(buckets), self.rows_of(buckets))
        return self._with(bucket_to_row=table)

    def fold(self, n_buckets: int) -> Self:
        """Take buckets modulo a smaller number, each with the row of its own number.

        fastText's own number of buckets stays the first modulus, unless the smaller one divides it: else the hash
        modulo the smaller one alone is another number.
        """
        folded = (*self.folded, self.n_buckets)
        while folded and folded[-1] % n_buckets == 0:
            folded = folded[:-1]
        return self._with(n_buckets=n_buckets, bucket_to_row=None, folded=folded)

    def adjusted(self) -> Self:
        """Return the same n-grams beside word rows that are whole vectors."""
        return self._with(raw=False, residual=False)

    def beside_residuals(self) -> Self:
        """Return the same n-grams beside word rows that the mean of n-grams is added to."""
        return self._with(raw=False, residual=True)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that a file must hold: a bit for each bucket where rows are numbered in order."""
        if self.bucket_to_row is None:
            return {}
        alive = self.bucket_to_row >= 0
        if np.array_equal(self.bucket_to_row[alive], np.arange(alive.sum())):
            return {"alive": np.packbits(alive)}
        return {"bucket_to_row": self.bucket_to_row.astype(np.int32)}

    def params(self) -> dict:
        """Return what `restore` needs beside the arrays. Without "kind" it is fastText's, as in files of version 2."""
        params: dict = {"min_n": self.min_n, "max_n": self.max_n, "n_buckets": self.n_buckets, "raw": self.raw}
        params |= {"folded": list(self.folded)} if self.folded else {}
        return params | ({"residual": True} if self.residual else {})

    @staticmethod
    def restore(arrays: dict[str, np.ndarray], params: dict) -> "Subwords":
        """Rebuild what gave these `arrays` and `params`; they come from a file and may lie."""
        params = dict(params)
        kind = params.pop("kind", Subwords.kind)
        if kind not in KINDS:
            raise ValueError(f"unknown kind of n-grams {kind!r}; this version knows {', '.join(KINDS)}")
        return KINDS[kind]._restored(arrays, params)

    @classmethod
    def _restored(cls, arrays: dict[str, np.ndarray], params: dict) -> Self:
        table = arrays.get("bucket_to_row")
        if "alive" in arrays:
            check_kinds("n-grams", arrays, {"alive": (1, "|u1")})
            if len(arrays["alive"]) != -(-params["n_buckets"] // 8):
                raise ValueError(f"{params['n_buckets']} buckets need a bit each, got {len(arrays['alive'])} bytes")
            alive = np.unpackbits(arrays["alive"], count=params["n_buckets"]).view(bool)
            table = np.cumsum(alive, dtype=np.int32)  # how many are alive up to each
            table = np.where(alive, table - np.int32(1), np.int32(-1))
        return cls(bucket_to_row=table, **params)


class FinalfusionBuckets(Subwords):
    """Character n-grams hashed as finalfusion hashes them, to a number of buckets that is a power of two.

    An n-gram is as many of Python's characters; ``<`` and ``>`` alone are n-grams, too, and ``</s>`` is a word as
    any other.
    """

    kind = "finalfusion"
    characters = np.uint32
    fill = staticmethod(fill_finalfusion_buckets)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_hashed & (self.n_hashed - 1):
            raise ValueError(f"finalfusion has 2, 4, 8, ... buckets, got {self.n_hashed:,}")

    def _encoded(self, word: str) -> bytes:
        return f"<{word}>".encode("utf-32-le", "surrogatepass")

    def ngrams(self, word: str) -> list[str]:
        return ngrams_of(word, self.min_n, self.max_n)

    def params(self) -> dict:
        return {"kind": self.kind} | super().params()


class ListedNgrams(Subwords):
    """N-grams that are listed by their text: the "bucket" of each is its number in the list.

    An n-gram that is not in the list has no bucket, so that no two share one by accident; several may share a row.
    Source: finalfusion, `ExplicitSubwordVocab`.

    Parameters
    ----------
    min_n, max_n : int
        As for `Subwords`, in Python's characters.
    numbers : sequence of str
        The n-grams in order, each once.
    bucket_to_row, raw, residual
        As for `Subwords`.
    """

    kind = "explicit"

    def __init__(
        self,
        min_n: int,
        max_n: int,
        numbers: Sequence[str],
        bucket_to_row: np.ndarray | None = None,
        raw: bool = False,
        residual: bool = False,
    ):
        self.numbers = {text: number for number, text in enumerate(numbers)}
        if len(self.numbers) < len(numbers):
            n_repeats = len(numbers) - len(self.numbers)
            raise ValueError(f"n-grams must be listed once each, {n_repeats} of {len(numbers)} repeat another")
        if any("\0" in text or not is_text(text) for text in numbers):
            raise ValueError("an n-gram may not contain the NUL character or half a surrogate pair")
        super().__init__(min_n, max_n, len(numbers), bucket_to_row, raw, (), residual)

    @property
    def cutting(self) -> tuple:
        return self.kind, self.min_n, self.max_n, self.numbers

    def _hashed(self, words: Sequence[str], n_buckets: int) -> tuple[np.ndarray, np.ndarray]:
        ends, values = [0], array("i")
        for word in words:
            values.extend([self.numbers[text] for text in self.ngrams(word)])
            ends.append(len(values))
        return np.array(ends, np.int64), np.array(values, np.int32)

    def ngrams(self, word: str) -> list[str]:
        """Return the n-grams of a word that are listed, in the order of `buckets`."""
        return [text for text in ngrams_of(word, self.min_n, self.max_n) if text in self.numbers]

    def fold(self, n_buckets: int) -> Self:
        raise ValueError(
            "Rehash folds the buckets of hashed n-grams, and here n-grams are listed by their text, without a hash: "
            "leave it out, and choose fewer n-grams with Prune(n_ngrams=...)"
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the n-grams that have a row, as deflated text, and their rows where those are not in order."""
        rows = self.rows_of(np.arange(self.n_buckets, dtype=np.int32))
        alive = rows >= 0
        alive[0] |= not alive.any()  # a list has one n-gram at least
        arrays, rows = {"text": deflate_texts("\0".join(compress(self.numbers, alive)))}, rows[alive]
        return arrays if np.array_equal(rows, np.arange(len(rows))) else arrays | {"bucket_to_row": rows}

    def params(self) -> dict:
        params = super().params()
        params.pop("n_buckets")  # the text says how many are left
        return {"kind": self.kind} | params

    @classmethod
    def _restored(cls, arrays: dict[str, np.ndarray], params: dict) -> Self:
        text = inflate_texts(arrays["text"]).decode("utf-8", "surrogateescape")
        return cls(numbers=text.split("\0"), bucket_to_row=arrays.get("bucket_to_row"), **params)


KINDS: dict[str, type[Subwords]] = {cls.kind: cls for cls in (Subwords, FinalfusionBuckets, ListedNgrams)}


def ngrams_of(word: str, min_n: int, max_n: int) -> list[str]:
    """Return every n-gram of a word with its marks, in order of start and length."""
    text = f"<{word}>"
    return [
        text[start : start + n] for start in range(len(text)) for n in range(min_n, min(max_n, len(text) - start) + 1)
    ]
