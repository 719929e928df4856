"""How a string becomes rows of the n-gram matrix: character n-grams that are hashed, or listed by their text."""

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import compress, pairwise
from typing import ClassVar

import numpy as np

from .hashing import fill_buckets, fill_finalfusion_buckets
from .packing import deflate_texts, inflate_texts

END_OF_SENTENCE = "</s>"  # fastText's sentence mark: the one word without n-grams
MAX_BUCKETS = 2**31 - 1  # buckets, for their numbers are int32
MAX_FOLDS = 100  # numbers that a hash may be taken modulo, one after the other
MAX_UNCOMPILED = (
    32  # up to so many words, plain Python beats loading the compiled kernels, unless they are loaded already
)


def utf8(word: str) -> bytes:
    """The bytes of a word, those that are not UTF-8 being in it as lone surrogates."""
    try:
        return word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, which is in no file but may be asked for
        return word.encode("utf-8", "surrogatepass")


def is_text(text: str) -> bool:
    """Whether a file gives this text back as it is."""
    try:
        return text.isascii() or text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == text
    except UnicodeEncodeError:
        return False


def most_ngrams(lengths: list[int], min_n: int, max_n: int) -> int:
    """The n-grams that words of so many bytes (or code points) can have: bounds memory, however large `max_n` is."""
    return sum(n * length * max(min(max_n, length) - min_n + 1, 0) for length, n in Counter(lengths).items())


def numbered(buckets: np.ndarray, n_buckets: int) -> np.ndarray:
    """Row of each bucket where these, in order, have rows of their own: (n_buckets,) int32, else -1."""
    table = np.full(n_buckets, -1, np.int32)
    table[buckets] = np.arange(len(buckets), dtype=np.int32)
    return table


def _check_restored(arrays: dict[str, np.ndarray], params: dict) -> None:
    """Refuse types and sizes of a file that would fail, or take long, at the first lookup only."""
    if not all(isinstance(params.get(flag, False), bool) for flag in ("raw", "residual")):
        raise ValueError(f"raw and residual are true or false, got {params}")
    if params["max_n"] > MAX_BUCKETS or len(params.get("folded", ())) > MAX_FOLDS:
        raise ValueError(
            f"expected n-grams of up to {MAX_BUCKETS:,} characters, folded {MAX_FOLDS} times at most, got {params}"
        )
    for name, kind in (("alive", np.uint8), ("bucket_to_row", np.int32)):
        if name in arrays and (arrays[name].ndim != 1 or arrays[name].dtype != kind):
            raise ValueError(f"{name} is of shape {arrays[name].shape} and type {arrays[name].dtype}")
    if "bucket_to_row" in arrays and arrays["bucket_to_row"].min(initial=0) < -1:
        raise ValueError("rows of buckets are numbered from 0 on, or -1 where there is none")


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
        Row of each bucket in the n-gram matrix, -1 where the bucket was pruned. Without it
        every bucket has the row of its own number.
    raw : bool
        True where word rows are as fastText trains them: a known word's vector is the mean of
        its own row *and* its n-grams'. False once word rows are whole vectors ("adjusted") and
        n-grams serve unseen words only.
    folded : sequence of int
        Numbers of buckets that the hash was taken modulo before `n_buckets`, fastText's own
        first; see `fold`.
    residual : bool
        True where word rows are what the mean of a word's n-grams leaves over, so that a known
        word's vector is its own row *plus* that mean.
    """

    kind: ClassVar[str] = "fasttext"
    _names: ClassVar[tuple[str, ...]] = ("min_n", "max_n", "n_buckets", "bucket_to_row", "raw", "folded", "residual")

    def __init__(
        self,
        min_n: int,
        max_n: int,
        n_buckets: int,
        bucket_to_row: np.ndarray | None = None,
        raw: bool = False,
        folded: Sequence[int] = (),
        residual: bool = False,
    ):
        moduli = (*folded, n_buckets)
        whole = all(isinstance(number, int) for number in (min_n, max_n, *moduli))
        if not whole or not 1 <= min_n <= max_n or n_buckets < 1:
            raise ValueError(
                f"expected whole numbers, 1 <= min_n <= max_n and n_buckets >= 1, got {min_n=}, {max_n=}, {n_buckets=}"
            )
        if moduli[0] > MAX_BUCKETS:
            raise ValueError(f"expected at most {MAX_BUCKETS:,} buckets, got {moduli[0]:,}")
        if any(after > before for before, after in pairwise(moduli)):
            raise ValueError(f"buckets are folded into fewer and fewer, got {moduli}")
        if bucket_to_row is not None and bucket_to_row.shape != (n_buckets,):
            raise ValueError(
                f"bucket_to_row must have one entry for each of the {n_buckets} buckets, "
                f"got shape {bucket_to_row.shape}"
            )
        self.min_n, self.max_n, self.n_buckets = min_n, max_n, n_buckets
        self.bucket_to_row = bucket_to_row
        if raw and residual:
            raise ValueError("word rows are raw or residual, not both")
        self.raw, self.residual = raw, residual
        self.folded = tuple(folded)

    @property
    def n_rows(self) -> int:
        """How many rows the n-gram matrix must have."""
        if self.bucket_to_row is None:
            return self.n_buckets
        return int(self.bucket_to_row.max(initial=-1)) + 1

    def buckets(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Buckets of the n-grams of each word, pruned ones included, as a ragged array.

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

    def _hashed(self, words: Sequence[str], n_buckets: int) -> tuple[np.ndarray, np.ndarray]:
        """What `buckets` gives, modulo this number alone."""
        encoded = [b"" if word == END_OF_SENTENCE else b"<" + utf8(word) + b">" for word in words]
        return self._filled(encoded, np.uint8, n_buckets, fill_buckets)

    def _filled(
        self, encoded: list[bytes], dtype: type, n_buckets: int, fill: Callable[..., None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `fill` finds in these words, whose characters are numbers of this type."""
        lengths = [len(data) // np.dtype(dtype).itemsize for data in encoded]
        numbers: np.ndarray = np.frombuffer(b"".join(encoded), dtype)
        ends = np.cumsum(lengths, dtype=np.int64)
        indptr = np.zeros(len(encoded) + 1, np.int64)
        values = np.empty(most_ngrams(lengths, self.min_n, self.max_n), np.int32)
        if len(encoded) <= MAX_UNCOMPILED and f"{__package__}.kernels" not in sys.modules:
            fill(numbers.tolist(), ends.tolist(), self.min_n, self.max_n, n_buckets, indptr, values)
        else:
            from . import kernels

            compiled = getattr(kernels, fill.__name__)
            compiled(numbers, ends, self.min_n, self.max_n, n_buckets, indptr, values)
        return indptr, values[: indptr[-1]].copy()

    def ngrams(self, word: str) -> list[str]:
        """The n-grams of a word as text, in the order of `buckets`; broken bytes as lone surrogates."""
        if word == END_OF_SENTENCE:
            return []
        data = b"<" + utf8(word) + b">"
        edges = [i for i, byte in enumerate(data) if byte & 0xC0 != 0x80] + [len(data)]  # of what it takes for points
        n_points = len(edges) - 1
        return [
            data[edges[start] : edges[start + n]].decode("utf-8", "surrogateescape")
            for start in range(n_points)
            for n in range(self.min_n, min(self.max_n, n_points - start) + 1)
            if not (n == 1 and start in (0, n_points - 1))  # a mark alone is none
        ]

    def rows(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the *surviving* n-grams of each word, ragged as in `buckets`."""
        indptr, values = self.buckets(words)
        if self.bucket_to_row is None:
            return indptr, values
        rows = self.bucket_to_row[values]
        alive = rows >= 0
        survivors = np.concatenate([[0], np.cumsum(alive)])  # how many before each n-gram
        return survivors[indptr], rows[alive]

    @property
    def n_hashed(self) -> int:
        """How many buckets the hash itself is taken modulo, before they are folded."""
        return (*self.folded, self.n_buckets)[0]

    @property
    def cutting(self) -> tuple:
        """All that decides which n-grams a string has."""
        return self.kind, self.min_n, self.max_n

    @property
    def hashing(self) -> tuple:
        """All that decides which buckets a string has."""
        return *self.cutting, *self.folded, self.n_buckets

    def hashes_as(self, other: "Subwords") -> bool:
        """Whether every string has the same buckets in both."""
        return self.hashing == other.hashing

    def rows_of(self, buckets: np.ndarray) -> np.ndarray:
        """Row of each of these buckets, -1 where it was pruned."""
        return buckets if self.bucket_to_row is None else self.bucket_to_row[buckets]

    def kept_rows(self, buckets: np.ndarray) -> np.ndarray:
        """The rows that are left, in order, where only these buckets are kept: each once, however many share it."""
        return np.unique(self.rows_of(buckets))

    def keep(self, buckets: np.ndarray) -> "Subwords":
        """Keep these buckets only, over the rows that `kept_rows` gives."""
        table = np.full(self.n_buckets, -1, np.int32)
        table[buckets] = np.searchsorted(self.kept_rows(buckets), self.rows_of(buckets))
        return self._with(bucket_to_row=table)

    def fold(self, n_buckets: int) -> "Subwords":
        """Buckets taken modulo a smaller number, each with the row of its own number.

        fastText's own number of buckets stays the first modulus, since the hash modulo the
        smaller one alone is another number; unless that one divides it.
        """
        folded = (*self.folded, self.n_buckets)
        while folded and folded[-1] % n_buckets == 0:
            folded = folded[:-1]
        return self._with(n_buckets=n_buckets, bucket_to_row=None, folded=folded)

    def adjusted(self) -> "Subwords":
        """The same n-grams beside word rows that are whole vectors."""
        return self._with(raw=False)

    def beside_residuals(self) -> "Subwords":
        """The same n-grams beside word rows that are what n-grams leave over."""
        return self._with(raw=False, residual=True)

    def _with(self, **changes) -> "Subwords":
        return type(self)(**{name: getattr(self, name) for name in self._names} | changes)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for saving: a bit for each bucket where rows are numbered in order."""
        if self.bucket_to_row is None:
            return {}
        alive = self.bucket_to_row >= 0
        if np.array_equal(self.bucket_to_row[alive], np.arange(alive.sum())):
            return {"alive": np.packbits(alive)}
        return {"bucket_to_row": self.bucket_to_row.astype(np.int32)}

    def params(self) -> dict:
        """What `restore` needs beside the arrays. Without "kind" it is fastText's, as in files of version 2."""
        params: dict = {"min_n": self.min_n, "max_n": self.max_n, "n_buckets": self.n_buckets, "raw": self.raw}
        params |= {"folded": list(self.folded)} if self.folded else {}
        return params | ({"residual": True} if self.residual else {})

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray], params: dict) -> "Subwords":
        """Rebuild from what `arrays` and `params` gave; they come from a file and may lie."""
        params = dict(params)
        kind = params.pop("kind", cls.kind)
        if kind not in KINDS:
            raise ValueError(f"unknown kind of n-grams {kind!r}; this version knows {', '.join(KINDS)}")
        _check_restored(arrays, params)
        return KINDS[kind]._restored(arrays, params)

    @classmethod
    def _restored(cls, arrays: dict[str, np.ndarray], params: dict) -> "Subwords":
        table = arrays.get("bucket_to_row")
        if "alive" in arrays:
            if len(arrays["alive"]) != -(-params["n_buckets"] // 8):
                raise ValueError(f"{params['n_buckets']} buckets need a bit each, got {len(arrays['alive'])} bytes")
            alive = np.unpackbits(arrays["alive"], count=params["n_buckets"]).view(bool)
            table = np.cumsum(alive, dtype=np.int32)  # how many are alive up to each
            table = np.where(alive, table - np.int32(1), np.int32(-1))
        return cls(bucket_to_row=table, **params)


class FinalfusionBuckets(Subwords):
    """Character n-grams hashed as finalfusion hashes them, to a number of buckets that is a power of two.

    An n-gram is as many of Python's characters; ``<`` and ``>`` alone are n-grams, too, and
    ``</s>`` is a word as any other.
    """

    kind = "finalfusion"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.n_hashed & (self.n_hashed - 1):
            raise ValueError(f"finalfusion has 2, 4, 8, ... buckets, got {self.n_hashed:,}")

    def _hashed(self, words: Sequence[str], n_buckets: int) -> tuple[np.ndarray, np.ndarray]:
        encoded = [f"<{word}>".encode("utf-32-le", "surrogatepass") for word in words]
        return self._filled(encoded, np.uint32, n_buckets, fill_finalfusion_buckets)

    def ngrams(self, word: str) -> list[str]:
        return cut(word, self.min_n, self.max_n)

    def params(self) -> dict:
        return {"kind": self.kind} | super().params()


class ListedNgrams(Subwords):
    """N-grams that are listed by their text: the "bucket" of each is its number in the list.

    An n-gram that is not in the list has no bucket, so that no two share one by accident; that
    several share a row is up to `bucket_to_row`. Source: finalfusion, `ExplicitSubwordVocab`.

    Parameters
    ----------
    min_n, max_n : int
        As for `Subwords`, in Python's characters.
    numbers : sequence of str, or dict of str to int
        The n-grams in order, each once; or the number of each, in order, as another one has it.
    bucket_to_row, raw, residual
        As for `Subwords`.
    """

    kind = "explicit"
    _names = ("min_n", "max_n", "numbers", "bucket_to_row", "raw", "residual")

    def __init__(
        self,
        min_n: int,
        max_n: int,
        numbers: Sequence[str] | dict[str, int],
        bucket_to_row: np.ndarray | None = None,
        raw: bool = False,
        residual: bool = False,
    ):
        if not isinstance(numbers, dict):
            n = len(numbers)
            numbers = dict(zip(numbers, range(n), strict=True))
            if len(numbers) < n:
                raise ValueError(f"n-grams must be listed once each, {n - len(numbers)} of {n} repeat another")
            if any("\0" in text or not is_text(text) for text in numbers):
                raise ValueError("an n-gram may not contain the NUL character or half a surrogate pair")
        super().__init__(min_n, max_n, len(numbers), bucket_to_row, raw, (), residual)
        self.numbers = numbers

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
        """The n-grams of a word that are listed, in the order of `buckets`."""
        return [text for text in cut(word, self.min_n, self.max_n) if text in self.numbers]

    def fold(self, n_buckets: int) -> "Subwords":
        raise ValueError(
            "Rehash folds the buckets of hashed n-grams, and here n-grams are listed by their text, without a hash: "
            "leave it out, and choose fewer n-grams with Prune(n_ngrams=...)"
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The n-grams that have a row, as deflated text, and their rows where those are not numbered in order."""
        rows = self.rows_of(np.arange(self.n_buckets, dtype=np.int32))
        alive = rows >= 0
        alive[0] |= not alive.any()  # a list has one n-gram at least
        text = "\0".join(compress(self.numbers, alive))
        arrays = {"text": deflate_texts(text)}
        rows = rows[alive]
        return arrays if np.array_equal(rows, np.arange(len(rows))) else arrays | {"bucket_to_row": rows}

    def params(self) -> dict:
        params = super().params()
        params.pop("n_buckets")  # the text says how many are left
        return {"kind": self.kind} | params

    @classmethod
    def _restored(cls, arrays: dict[str, np.ndarray], params: dict) -> "Subwords":
        text = inflate_texts(arrays["text"]).decode("utf-8", "surrogateescape")
        return cls(numbers=text.split("\0"), bucket_to_row=arrays.get("bucket_to_row"), **params)


KINDS: dict[str, type[Subwords]] = {cls.kind: cls for cls in (Subwords, FinalfusionBuckets, ListedNgrams)}


def cut(word: str, min_n: int, max_n: int) -> list[str]:
    """Every n-gram of a word with its marks, in order of start and length."""
    text = f"<{word}>"
    return [
        text[start : start + n] for start in range(len(text)) for n in range(min_n, min(max_n, len(text) - start) + 1)
    ]
