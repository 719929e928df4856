"""How a string becomes rows of the n-gram matrix (fastText's hashed character n-grams)."""

import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

END_OF_SENTENCE = "</s>"  # fastText's sentence mark: the one word without n-grams
MOST = 2**31 - 1  # buckets, for their numbers are int32
MOST_FOLDS = 100  # numbers that a hash may be taken modulo, one after the other
FEW = 32  # up to so many words, plain Python beats loading the compiled kernels, unless they are loaded already


def fill_buckets(data, ends, min_n, max_n, n_buckets, indptr, values):
    """Find the bucket of every character n-gram of some words.

    Written so that numba compiles this very function for whole vocabularies (`kernels`), while
    a few words at a time run it as plain Python. Each start extends one FNV-1a hash, character
    by character.

    Source: fastText, `Dictionary::computeSubwords` and `Dictionary::hash`. Its bytes are
    *signed*, so a byte above 127 sets the upper 24 bits too.

    Parameters
    ----------
    data : bytes or uint8 array
        The words in UTF-8 with their marks, ``<word>``, one after another.
    ends : (n_words,) int64 array
        Where each word ends in `data`.
    min_n, max_n, n_buckets : int
    indptr : (n_words + 1,) int64 array, written
        Word ``i`` owns ``values[indptr[i]:indptr[i + 1]]``.
    values : int32 array, written
        Long enough: see `most_ngrams`.
    """
    count = 0
    begin = 0
    indptr[0] = 0
    for i in range(len(ends)):
        stop = ends[i]
        for start in range(begin, stop):
            if data[start] & 0xC0 == 0x80:  # the middle of a code point
                continue
            hashed = 2166136261
            end = start
            n = 0
            while end < stop and n < max_n:
                n += 1
                first = True
                while end < stop and (first or data[end] & 0xC0 == 0x80):
                    byte = int(data[end])
                    if byte > 127:
                        byte |= 0xFFFFFF00
                    hashed = ((hashed ^ byte) * 16777619) & 0xFFFFFFFF
                    end += 1
                    first = False
                a_mark_alone = n == 1 and (start == begin or end == stop)
                if n >= min_n and not a_mark_alone:
                    values[count] = hashed % n_buckets
                    count += 1
        begin = stop
        indptr[i + 1] = count


def utf8(word: str) -> bytes:
    """The bytes of a word, those that are not UTF-8 being in it as lone surrogates."""
    try:
        return word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, which is in no file but may be asked for
        return word.encode("utf-8", "surrogatepass")


def most_ngrams(lengths: list[int], min_n: int, max_n: int) -> int:
    """The n-grams that words of so many bytes can have: bounds memory, however large `max_n` is."""
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
    if params["max_n"] > MOST or len(params.get("folded", ())) > MOST_FOLDS:
        raise ValueError(
            f"expected n-grams of up to {MOST:,} characters, folded {MOST_FOLDS} times at most, got {params}"
        )
    for name, kind in (("alive", np.uint8), ("bucket_to_row", np.int32)):
        if name in arrays and (arrays[name].ndim != 1 or arrays[name].dtype != kind):
            raise ValueError(f"{name} is of shape {arrays[name].shape} and type {arrays[name].dtype}")
    if "bucket_to_row" in arrays and arrays["bucket_to_row"].min(initial=0) < -1:
        raise ValueError("rows of buckets are numbered from 0 on, or -1 where there is none")


class Subwords:
    """Hashed character n-grams and the matrix row that each bucket has, if it still has one.

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
        if moduli[0] > MOST:
            raise ValueError(f"expected at most {MOST:,} buckets, got {moduli[0]:,}")
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
        encoded = [b"" if word == END_OF_SENTENCE else b"<" + utf8(word) + b">" for word in words]
        lengths = [len(data) for data in encoded]
        data, ends = b"".join(encoded), np.cumsum(lengths, dtype=np.int64)
        indptr = np.zeros(len(words) + 1, np.int64)
        values = np.empty(most_ngrams(lengths, self.min_n, self.max_n), np.int32)
        first, *others = *self.folded, self.n_buckets
        if len(words) <= FEW and f"{__package__}.kernels" not in sys.modules:
            fill_buckets(data, ends, self.min_n, self.max_n, first, indptr, values)
        else:
            from . import kernels

            text = np.frombuffer(data, np.uint8)
            kernels.fill_buckets(text, ends, self.min_n, self.max_n, first, indptr, values)
        values = values[: indptr[-1]].copy()
        for modulus in others:
            values %= modulus
        return indptr, values

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
    def hashing(self) -> tuple[int, ...]:
        """All that decides which buckets a string has."""
        return self.min_n, self.max_n, *self.folded, self.n_buckets

    def hashes_as(self, other: "Subwords") -> bool:
        """Whether every string has the same buckets in both."""
        return self.hashing == other.hashing

    def rows_of(self, buckets: np.ndarray) -> np.ndarray:
        """Row of each of these buckets, -1 where it was pruned."""
        return buckets if self.bucket_to_row is None else self.bucket_to_row[buckets]

    def keep(self, buckets: np.ndarray) -> "Subwords":
        """Keep these buckets only; their rows are numbered in order of bucket."""
        table = numbered(np.sort(buckets), self.n_buckets)
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
        names = ("min_n", "max_n", "n_buckets", "bucket_to_row", "raw", "folded", "residual")
        return Subwords(**{name: getattr(self, name) for name in names} | changes)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for saving: a bit for each bucket where rows are numbered in order."""
        if self.bucket_to_row is None:
            return {}
        alive = self.bucket_to_row >= 0
        if np.array_equal(self.bucket_to_row[alive], np.arange(alive.sum())):
            return {"alive": np.packbits(alive)}
        return {"bucket_to_row": self.bucket_to_row.astype(np.int32)}

    def params(self) -> dict:
        params: dict = {"min_n": self.min_n, "max_n": self.max_n, "n_buckets": self.n_buckets, "raw": self.raw}
        params |= {"folded": list(self.folded)} if self.folded else {}
        return params | ({"residual": True} if self.residual else {})

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray], params: dict) -> "Subwords":
        """Rebuild from what `arrays` and `params` gave; they come from a file and may lie."""
        _check_restored(arrays, params)
        table = arrays.get("bucket_to_row")
        if "alive" in arrays:
            if len(arrays["alive"]) != -(-params["n_buckets"] // 8):
                raise ValueError(f"{params['n_buckets']} buckets need a bit each, got {len(arrays['alive'])} bytes")
            alive = np.unpackbits(arrays["alive"], count=params["n_buckets"]).view(bool)
            table = np.cumsum(alive, dtype=np.int32)  # how many are alive up to each
            table = np.where(alive, table - np.int32(1), np.int32(-1))
        return cls(bucket_to_row=table, **params)
