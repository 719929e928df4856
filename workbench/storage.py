"""Matrices that are read by rows. Each kind answers the same few questions.

``shape``, ``rows`` (decode these), ``take`` (keep these), ``dot`` (score queries against every
row), ``arrays`` and ``params`` (what a file must hold) and ``restore``. Whatever is stored,
float32 comes out. None of them needs more than numpy.
"""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from .spool import spooled

BLOCK = 16_384  # rows decoded at once; 100 to 300 dimensions make this 6 to 20 MB

MIN_COMPILED_ROWS = 16_384  # rows from which on loading the compiled kernels pays, when all are scored
SAFE_NORMS = (1e-15, 1e15)  # lengths between these have squares that float32 holds, also as products of two

MAX_TABLE_QUERIES = 128  # up to so many, tables of products beat decoding and a matrix product by twice or more

Index = np.ndarray | slice


class Storage:
    """What every storage can do; subclasses say how."""

    kind: ClassVar[str]
    layout: ClassVar[dict[str, tuple[int, str]]] = {}  # each array's number of axes, and types that a file may give it
    numbers: ClassVar[tuple[str, ...]] = ()  # whole numbers that describe it
    parts: ClassVar[tuple[str, ...]] = ()  # storages that it consists of
    shape: tuple[int, int]

    def rows(self, index: Index) -> np.ndarray:
        """Decode rows.

        Parameters
        ----------
        index : int array or slice

        Returns
        -------
        (n, dim) float32 array, the caller's own.
        """
        raise NotImplementedError

    def take(self, index: np.ndarray) -> "Storage":
        """A storage of the same kind that holds these rows, in this order."""
        raise NotImplementedError

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that a file must hold."""
        raise NotImplementedError

    def params(self) -> dict:
        """What `restore` needs beside the arrays: the numbers, and a description of each part."""
        return {}

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray], params: dict) -> "Storage":
        """Rebuild from `arrays` and `params`, which come from a file and may lie.

        Raises
        ------
        ValueError
            If something is missing, to spare, or not of the kind that it must be.
        """
        expect(f"arrays of a {cls.kind} storage", {name.split(".")[0] for name in arrays}, {*cls.layout, *cls.parts})
        expect(f"parameters of a {cls.kind} storage", set(params), {*cls.numbers, *cls.parts})
        for name in cls.numbers:
            if type(params[name]) is not int:
                raise ValueError(f"{name} of a {cls.kind} storage must be a whole number, got {params[name]!r}")
        parts = {name: rebuild(within(arrays, name), params[name]) for name in cls.parts}
        if any(part.ngrams is not None for part in parts.values()):
            raise ValueError(f"n-gram rows stand beside the word rows, not within a {cls.kind} storage")
        own = {name: arrays[name] for name in cls.layout} | {name: params[name] for name in cls.numbers}
        return cls(**own, **parts)

    @classmethod
    def check(cls, **arrays: np.ndarray) -> None:
        """Refuse arrays that no file of this storage may hold."""
        for name, (n_axes, types) in cls.layout.items():
            array, allowed = arrays[name], [f"{order}{code}" for code in types.split() for order in "<|"]
            if array.ndim != n_axes or array.dtype.str not in allowed or 0 in array.shape[1:]:
                raise ValueError(
                    f"{name} of shape {array.shape} and type {array.dtype} is none of a {cls.kind} storage"
                )

    @property
    def words(self) -> "Storage":
        """The word rows (all rows, but for `Stacked`)."""
        return self

    @property
    def ngrams(self) -> "Storage | None":
        """The n-gram rows, where there are any."""
        return None

    @property
    def is_float32(self) -> bool:
        """Whether rows are kept as float32, so that nothing is undone where they are decoded and stay so."""
        return False

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, as in the file."""
        return sum(array.nbytes for array in self.arrays().values())

    def __len__(self) -> int:
        return self.shape[0]

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
        """Walk over all rows, decoded block by block: (first row, (<= size, dim) float32)."""
        for start in range(0, len(self), size):
            yield start, self.rows(slice(start, start + size))

    def dot(self, queries: np.ndarray) -> np.ndarray:
        """Inner product of each query with each row; decodes one block at a time.

        Parameters
        ----------
        queries : (q, dim) float32 array

        Returns
        -------
        (q, n) float32 array
        """
        scores = np.empty((len(queries), len(self)), np.float32)
        for start, block in self.blocks():
            scores[:, start : start + len(block)] = queries @ block.T
        return scores

    def norms(self) -> np.ndarray:
        """Euclidean length of every row: (n,) float32."""
        return np.concatenate([lengths(block) for _, block in self.blocks()])

    def __repr__(self) -> str:
        n, dim = self.shape
        return f"{type(self).__name__}({n:,} x {dim}, {self.nbytes / 1e6:.2f} MB)"


class Dense(Storage):
    """Plain float32 rows, in memory or mapped from a file."""

    kind = "dense"
    layout: ClassVar = {"matrix": (2, "f4")}
    is_float32 = True

    def __init__(self, matrix: np.ndarray):
        self.check(matrix=matrix)
        self.matrix = matrix  # (n, dim) float32
        self.shape = matrix.shape

    @classmethod
    def of_size(cls, n: int, dim: int) -> "Dense":
        """Rows of zeros that take no memory, for counting bytes."""
        return cls(np.broadcast_to(np.float32(0), (n, dim)))

    def rows(self, index: Index) -> np.ndarray:
        rows = self.matrix[index]
        return rows.copy() if isinstance(index, slice) else rows  # picked rows are a copy already

    def take(self, index: np.ndarray) -> "Dense":
        starts = range(0, len(index), BLOCK)
        return Dense(spooled((self.rows(index[start : start + BLOCK]) for start in starts), self.shape[1]))

    def arrays(self) -> dict[str, np.ndarray]:
        return {"matrix": self.matrix}


class Scaled(Storage):
    """Rows in a smaller number type, times a scale for each column."""

    kind = "scaled"
    layout: ClassVar = {"matrix": (2, "f2 i1"), "scales": (1, "f4")}

    def __init__(self, matrix: np.ndarray, scales: np.ndarray):
        self.check(matrix=matrix, scales=scales)
        if scales.shape != (matrix.shape[1],):
            raise ValueError(f"expected one scale for each of {matrix.shape[1]} columns, got {scales.shape}")
        self.matrix = matrix  # (n, dim) float16 or int8
        self.scales = scales  # (dim,) float32
        self.shape = matrix.shape

    @classmethod
    def of(cls, rows: np.ndarray, dtype: np.typing.DTypeLike, scales: np.ndarray) -> "Scaled":
        """Rows rounded to this number type; what is beyond its range becomes the end of it."""
        scaled = rows / scales
        most = 127 if dtype == "int8" else np.finfo(np.float16).max
        return cls((np.rint(scaled) if dtype == "int8" else scaled).clip(-most, most).astype(dtype), scales)

    def rows(self, index: Index) -> np.ndarray:
        return self.matrix[index].astype(np.float32) * self.scales

    def take(self, index: np.ndarray) -> "Scaled":
        return Scaled(np.array(self.matrix[index]), self.scales)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"matrix": self.matrix, "scales": self.scales}


class Coded(Storage):
    """Small integer codes that pick codebook entries; a row is what its entries add up to.

    Code ``j`` of a row picks entry ``k`` of codebook ``j``, which is added to the columns
    ``spans[j, 0]:spans[j, 1]``. With spans side by side this is product quantisation (Jegou,
    Douze and Schmid, 2011); with every span the whole row it is residual quantisation.

    Parameters
    ----------
    packed : (n, n_bytes) uint8 array
        Codes of `n_bits` bits each, packed row by row; see `pack_codes`.
    codebooks : (2**n_bits, sum of the spans' widths) float32 or float16 array
        The codebooks, one beside the other in order of ``j``. In the file they keep their type;
        here they are float32.
    spans : (n_codes, 2) int32 array
        First and last-plus-one column that each code serves.
    dim, n_bits : int

    Attributes
    ----------
    side_by_side : bool
        Whether the spans are, so that each column has one code.
    """

    kind = "coded"
    layout: ClassVar = {"packed": (2, "u1"), "codebooks": (2, "f4 f2"), "spans": (2, "i4")}
    numbers = ("dim", "n_bits")

    def __init__(self, packed: np.ndarray, codebooks: np.ndarray, spans: np.ndarray, dim: int, n_bits: int):
        self.check(packed=packed, codebooks=codebooks, spans=spans)
        if spans.shape[1] != 2:
            raise ValueError(f"spans are pairs of columns, got shape {spans.shape}")
        starts, stops = spans.astype(np.int64).T
        if not 1 <= n_bits <= 8 or not ((starts >= 0) & (starts < stops) & (stops <= dim)).all():
            raise ValueError(
                f"expected codes of 1 to 8 bits, each for some of {dim} columns, "
                f"got {n_bits} bits and {spans.tolist()[:9]}"
            )
        n_bytes = -(-len(spans) * n_bits // 8)
        width = int((stops - starts).sum())
        if packed.shape[1] != n_bytes or codebooks.shape != (2**n_bits, width):
            raise ValueError(
                f"codes of {len(spans)} x {n_bits} bits need {n_bytes} bytes a row and codebooks of shape "
                f"{(2**n_bits, width)}, got {packed.shape[1]} and {codebooks.shape}"
            )
        self.packed, self.codebooks, self.spans = packed, np.asarray(codebooks, np.float32), spans
        self.n_bits, self._type = int(n_bits), codebooks.dtype
        self.shape = (len(packed), int(dim))
        widths = spans[:, 1] - spans[:, 0]
        self._starts = np.cumsum(widths) - widths  # (n_codes,), each code's first column of the codebooks
        self._columns = np.concatenate([np.arange(start, stop) for start, stop in spans])  # (width,), of a row
        if dim > width or np.bincount(self._columns, minlength=dim).min() == 0:
            raise ValueError(f"expected each of {dim} columns to have a code, got spans {spans.tolist()[:9]}")
        self.side_by_side = np.array_equal(self._columns, np.arange(dim))
        # Entries are read in pieces of one width: of a whole entry where all are equally wide, else of one number.
        alike = bool((widths == widths[0]).all())
        piece = int(widths[0]) if alike else 1
        self._pieces = self.codebooks.reshape(-1, piece)  # piece `p` of entry `k` is `k * (width // piece) + p`
        self._numbers = np.arange(width // piece)
        self._code_of = None if alike else np.repeat(np.arange(len(spans)), widths)  # (width,)

    @classmethod
    def of(cls, codes: np.ndarray, codebooks: np.ndarray, spans: np.ndarray, dim: int, n_bits: int) -> "Coded":
        """From codes that are not packed yet, (n, n_codes) uint8; codebooks are `halved`."""
        return cls(pack_codes(codes, n_bits), halved(codebooks), spans, dim, n_bits)

    @property
    def codes(self) -> np.ndarray:
        """(n, n_codes) uint8 array of all codes, unpacked."""
        return unpack_codes(self.packed, len(self.spans), self.n_bits)

    def rows(self, index: Index) -> np.ndarray:
        codes = unpack_codes(self.packed[index], len(self.spans), self.n_bits)  # (n, n_codes)
        if self._code_of is not None:
            codes = codes[:, self._code_of]
        places = codes * np.intp(len(self._numbers))
        places += self._numbers
        picked = self._pieces.take(places, axis=0).reshape(len(codes), len(self._columns))
        if self.side_by_side:
            return picked
        out = np.full((len(codes), self.shape[1]), -0.0, np.float32)  # -0.0 + x is x to the bit, whatever x
        for (start, stop), first in zip(self.spans, self._starts, strict=True):
            out[:, start:stop] += picked[:, first : first + stop - start]
        return out

    def dot(self, queries: np.ndarray) -> np.ndarray:
        """Inner product of each query with each row: of few queries, without decoding a row.

        A product with a row is the sum of the products with its entries, of which there are few.
        """
        if len(self) < MIN_COMPILED_ROWS or not 0 < len(queries) <= MAX_TABLE_QUERIES:
            return super().dot(queries)
        return self._sums(self.codebooks * query[self._columns] for query in queries)

    def norms(self) -> np.ndarray:
        if len(self) < MIN_COMPILED_ROWS or not self.side_by_side:
            return super().norms()
        largest = np.abs(self.codebooks).max()
        if not SAFE_NORMS[0] < largest < SAFE_NORMS[1]:  # squares of float32 would overflow, or vanish
            return super().norms()
        return np.sqrt(self._sums([np.square(self.codebooks)])[0])

    def _sums(self, values: Iterable[np.ndarray]) -> np.ndarray:
        """For each of some arrays shaped as the codebooks, what every row's entries add up to: (q, n) float32."""
        from . import kernels

        tables = [np.add.reduceat(numbers, self._starts, axis=1).T for numbers in values]  # (n_codes, n_entries) each
        return kernels.table_sums(self.packed, np.array(tables, np.float32), self.n_bits)

    def take(self, index: np.ndarray) -> "Coded":
        packed, codebooks = np.array(self.packed[index]), self.arrays()["codebooks"]
        return Coded(packed, codebooks, self.spans, self.shape[1], self.n_bits)

    def arrays(self) -> dict[str, np.ndarray]:
        codebooks = self.codebooks.astype(self._type, copy=False)
        return {"packed": self.packed, "codebooks": codebooks, "spans": self.spans}

    def params(self) -> dict:
        return {"dim": self.shape[1], "n_bits": self.n_bits}


class Projected(Storage):
    """Rows in a space of their own, which `axes` lead back from.

    A row is the inner row times `axes`. With fewer inner dimensions than outer ones this is a
    low-rank matrix; with a rotation for axes, codes learned in rotated space.

    Parameters
    ----------
    inner : Storage
        (n, rank)
    axes : (rank, dim) float32 or float16 array
        In the file they keep their type; here they are float32.
    """

    kind = "projected"
    layout: ClassVar = {"axes": (2, "f4 f2")}
    parts = ("inner",)

    def __init__(self, inner: Storage, axes: np.ndarray):
        self.check(axes=axes)
        if len(axes) != inner.shape[1]:
            raise ValueError(f"inner rows have {inner.shape[1]} dimensions, the axes are of shape {axes.shape}")
        self.inner, self.axes, self._type = inner, np.asarray(axes, np.float32), axes.dtype
        self.shape = (len(inner), axes.shape[1])

    def rows(self, index: Index) -> np.ndarray:
        return self.inner.rows(index) @ self.axes

    def take(self, index: np.ndarray) -> "Projected":
        return self.over(self.inner.take(index))

    def over(self, inner: Storage) -> "Projected":
        """The same axes over other inner rows."""
        return Projected(inner, self.axes.astype(self._type, copy=False))

    def dot(self, queries: np.ndarray) -> np.ndarray:
        return self.inner.dot(queries @ self.axes.T)

    def arrays(self) -> dict[str, np.ndarray]:
        axes = self.axes.astype(self._type, copy=False)
        return {"axes": axes, **nested(inner=self.inner)}

    def params(self) -> dict:
        return {"inner": describe(self.inner)}


class Normed(Storage):
    """Rows times a length each, which is stored apart.

    Parameters
    ----------
    inner : Storage
        (n, dim)
    lengths : Storage
        (n, 1)
    """

    kind = "normed"
    parts = ("inner", "lengths")

    def __init__(self, inner: Storage, lengths: Storage):
        if lengths.shape != (len(inner), 1):
            raise ValueError(f"expected a length for each of {len(inner)} rows, got {lengths.shape}")
        self.inner, self.lengths = inner, lengths
        self.shape = inner.shape

    @property
    def is_float32(self) -> bool:
        return self.inner.is_float32 and self.lengths.is_float32

    def rows(self, index: Index) -> np.ndarray:
        return self.inner.rows(index) * self.lengths.rows(index)

    def take(self, index: np.ndarray) -> "Normed":
        return Normed(self.inner.take(index), self.lengths.take(index))

    def dot(self, queries: np.ndarray) -> np.ndarray:
        return self.inner.dot(queries) * self.lengths.rows(slice(None))[:, 0]

    def norms(self) -> np.ndarray:
        return self.inner.norms() * np.abs(self.lengths.rows(slice(None))[:, 0])

    def arrays(self) -> dict[str, np.ndarray]:
        return nested(inner=self.inner, lengths=self.lengths)

    def params(self) -> dict:
        return {"inner": describe(self.inner), "lengths": describe(self.lengths)}


class Stacked(Storage):
    """Word rows over n-gram rows, each in a storage of its own."""

    kind = "stacked"
    parts = ("words", "ngrams")

    def __init__(self, words: Storage, ngrams: Storage):
        if words.shape[1] != ngrams.shape[1]:
            raise ValueError(f"word rows have {words.shape[1]} dimensions, n-gram rows {ngrams.shape[1]}")
        self._words, self._ngrams = words, ngrams
        self.shape = (len(words) + len(ngrams), words.shape[1])

    @property
    def words(self) -> Storage:
        return self._words

    @property
    def ngrams(self) -> Storage:
        return self._ngrams

    def rows(self, index: Index) -> np.ndarray:
        if isinstance(index, slice):
            index = np.arange(len(self))[index]
        index = np.where(index < 0, index + len(self), index)
        of_words = index < len(self.words)
        out = np.empty((len(index), self.shape[1]), np.float32)
        out[of_words] = self.words.rows(index[of_words])
        out[~of_words] = self.ngrams.rows(index[~of_words] - len(self.words))
        return out

    def take(self, index: np.ndarray) -> "Stacked":
        of_words = index < len(self.words)
        if np.any(np.diff(of_words.astype(np.int8)) > 0):
            raise ValueError("word rows must come before n-gram rows")
        ngrams = self.ngrams.take(index[~of_words] - len(self.words))
        return Stacked(self.words.take(index[of_words]), ngrams)

    def arrays(self) -> dict[str, np.ndarray]:
        return nested(words=self.words, ngrams=self.ngrams)

    def params(self) -> dict:
        return {"words": describe(self.words), "ngrams": describe(self.ngrams)}


KINDS: dict[str, type[Storage]] = {cls.kind: cls for cls in (Dense, Scaled, Coded, Projected, Normed, Stacked)}


def describe(storage: Storage) -> dict:
    """What a file's header says of a storage; `rebuild` undoes it."""
    return {"kind": storage.kind, **storage.params()}


def expect(what: str, found: set[str], expected: set[str]) -> None:
    """Refuse names that are missing or to spare: what is to spare may change what the rest means."""
    if found != expected:
        raise ValueError(f"expected {what} to be {sorted(expected)}, got {sorted(found)}")


def rebuild(arrays: dict[str, np.ndarray], description: dict) -> Storage:
    """The storage that `describe` described.

    Raises
    ------
    ValueError
        If the kind is unknown, or what is there does not make such a storage.
    """
    params = dict(description)
    kind = params.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"unknown kind of storage {kind!r}; this version knows {', '.join(KINDS)}")
    return KINDS[kind].restore(arrays, params)


def nested(**parts: Any) -> dict[str, np.ndarray]:
    """Return the arrays of several parts, under the name of each; `within` undoes it."""
    return {f"{part}.{name}": array for part, of in parts.items() for name, array in of.arrays().items()}


def within(arrays: dict[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with ``part.``, without it."""
    return {name.removeprefix(part + "."): a for name, a in arrays.items() if name.startswith(part + ".")}


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Euclidean length of each row of (..., dim), float32 for float32, also where squares overflow or vanish."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found = np.linalg.norm(vectors, axis=-1)
        odd = ~((found > SAFE_NORMS[0]) & (found < SAFE_NORMS[1]))
        if odd.any():
            exact = np.linalg.norm(vectors[odd].astype(np.float64), axis=-1)
            most = np.finfo(found.dtype).max
            found = np.array(found)
            found[odd] = np.where(np.isfinite(exact), np.minimum(exact, most), exact)
    return found


def halved(numbers: np.ndarray) -> np.ndarray:
    """As float16, where that loses less than a millionth of what they carry; else as they are."""
    with np.errstate(over="ignore"):
        half = numbers.astype(np.float16)
    lost, carried = (np.square(x, dtype=np.float64).sum() for x in (numbers - half.astype(np.float32), numbers))
    return half if lost <= 1e-6 * carried else numbers


def pack_codes(codes: np.ndarray, n_bits: int) -> np.ndarray:
    """Pack (n, n_codes) codes below ``2**n_bits`` into (n, n_bytes) uint8, each row by itself."""
    if n_bits == 8:
        return codes.astype(np.uint8)
    bits = (codes[:, :, None] >> np.arange(n_bits, dtype=np.uint8)) & 1  # (n, n_codes, n_bits)
    return np.packbits(bits.astype(np.uint8).reshape(len(codes), -1), axis=1)


def unpack_codes(packed: np.ndarray, n_codes: int, n_bits: int) -> np.ndarray:
    """Undo `pack_codes`."""
    if n_bits == 8:
        return packed
    bits = np.unpackbits(packed, axis=1, count=n_codes * n_bits).reshape(len(packed), n_codes, n_bits)
    return (bits << np.arange(n_bits, dtype=np.uint8)).sum(axis=2, dtype=np.uint8)
