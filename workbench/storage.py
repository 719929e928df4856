"""Matrices that are read by rows. Each kind of storage decodes, keeps and scores rows, and names what a file must hold.

Rows come out as float32, whatever is stored. Reading rows takes numpy alone.
"""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

import numpy as np

from .checks import Kind, check_kinds
from .spool import spooled

BLOCK = 16_384  # rows decoded at once: 6 to 20 MB with 100 to 300 dimensions
MIN_COMPILED_ROWS = 16_384  # from here on, loading the compiled kernels pays when all rows are scored
MAX_TABLE_QUERIES = 128  # up to here, tables of products are at least twice as fast as decoding
SAFE_NORMS = (1e-15, 1e15)  # norms whose squares and products float32 holds

Index = np.ndarray | slice


class Storage:
    """A matrix that is read by rows; subclasses say how rows are stored."""

    kind: ClassVar[str]
    fields: ClassVar[dict[str, Kind]]  # what the constructor takes and a file holds: arrays, whole numbers, storages
    by_row: ClassVar[tuple[str, ...]]  # fields with one entry for each row
    shape: tuple[int, int]
    is_float32: bool = False  # whether rows are stored as float32, so that storing decoded rows loses no compression
    ngrams: "Storage | None" = None  # the n-gram rows, of `Stacked` alone

    def _hold(self, **fields: Any) -> None:
        """Keep what a file must hold; refuse what no file of this storage may hold."""
        check_kinds(f"a {self.kind} storage", fields, self.fields)
        if any(isinstance(part, Storage) and part.ngrams is not None for part in fields.values()):
            raise ValueError(f"n-gram rows stand beside the word rows, not within a {self.kind} storage")
        self._fields = fields

    def _with(self, **changes: Any) -> Self:
        return type(self)(**(self._fields | changes))

    def rows(self, index: Index) -> np.ndarray:
        """Decode rows: (n, dim) float32, the caller's own array."""
        raise NotImplementedError

    def take(self, index: np.ndarray) -> Self:
        """Return a storage of the same kind that holds these rows, in this order."""
        held = {name: self._fields[name] for name in self.by_row}
        return self._with(**{n: x.take(index) if isinstance(x, Storage) else x[index] for n, x in held.items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that a file must hold, those of a part under its name."""
        own = {name: value for name, value in self._fields.items() if isinstance(value, np.ndarray)}
        return own | nested(**{name: value for name, value in self._fields.items() if isinstance(value, Storage)})

    def params(self) -> dict:
        """Return what `restore` needs beside the arrays: the kind, numbers, and a description of each part."""
        others = {name: value for name, value in self._fields.items() if not isinstance(value, np.ndarray)}
        return {"kind": self.kind} | {n: x.params() if isinstance(x, Storage) else int(x) for n, x in others.items()}

    @staticmethod
    def restore(arrays: dict[str, np.ndarray], params: dict) -> "Storage":
        """Rebuild what gave these `arrays` and `params`; they come from a file and may lie.

        ValueError, TypeError or KeyError if something is unknown, missing, unexpected or of another kind.
        """
        params = dict(params)
        kind = params.pop("kind")
        if kind not in KINDS:
            raise ValueError(f"unknown kind of storage {kind!r}; this version knows {', '.join(KINDS)}")
        parts = {name: Storage.restore(within(arrays, name), of) for name, of in params.items() if isinstance(of, dict)}
        within_parts = tuple(f"{name}." for name in parts)
        own = {name: array for name, array in arrays.items() if not name.startswith(within_parts)}
        return KINDS[kind](**own, **(params | parts))

    @property
    def words(self) -> "Storage":
        """The word rows: all rows, but for `Stacked`."""
        return self

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
        """Return the inner product of each query, (q, dim) float32, with each row: (q, n) float32."""
        scores = np.empty((len(queries), len(self)), np.float32)
        for start, block in self.blocks():
            scores[:, start : start + len(block)] = queries @ block.T
        return scores

    def norms(self) -> np.ndarray:
        """Return the Euclidean length of every row: (n,) float32."""
        return np.concatenate([lengths(block) for _, block in self.blocks()])

    def __repr__(self) -> str:
        n, dim = self.shape
        return f"{type(self).__name__}({n:,} x {dim}, {self.nbytes / 1e6:.2f} MB)"


class Dense(Storage):
    """Plain float32 rows, in memory or mapped from a file."""

    kind = "dense"
    fields: ClassVar = {"matrix": (2, "<f4")}
    is_float32 = True

    def __init__(self, matrix: np.ndarray):
        self._hold(matrix=matrix)
        self.matrix = matrix  # (n, dim) float32
        self.shape = matrix.shape

    @classmethod
    def of_size(cls, n: int, dim: int) -> "Dense":
        """Return rows of zeros that take no memory, for counting bytes."""
        return cls(np.broadcast_to(np.float32(0), (n, dim)))

    def rows(self, index: Index) -> np.ndarray:
        rows = self.matrix[index]
        return rows.copy() if isinstance(index, slice) else rows  # rows picked by number are a copy already

    def take(self, index: np.ndarray) -> "Dense":
        starts = range(0, len(index), BLOCK)
        return Dense(spooled((self.rows(index[start : start + BLOCK]) for start in starts), self.shape[1]))


class Scaled(Storage):
    """Rows in a smaller number type, times a scale for each column."""

    kind = "scaled"
    fields: ClassVar = {"matrix": (2, "<f2 |i1"), "scales": (1, "<f4")}
    by_row = ("matrix",)

    def __init__(self, matrix: np.ndarray, scales: np.ndarray):
        self._hold(matrix=matrix, scales=scales)
        if scales.shape != (matrix.shape[1],):
            raise ValueError(f"expected one scale for each of {matrix.shape[1]} columns, got {scales.shape}")
        self.matrix = matrix  # (n, dim) float16 or int8
        self.scales = scales  # (dim,) float32
        self.shape = matrix.shape

    @classmethod
    def of(cls, rows: np.ndarray, dtype: np.typing.DTypeLike, scales: np.ndarray) -> "Scaled":
        """Round rows to this number type; numbers beyond its range become its largest."""
        scaled = rows / scales
        largest = 127 if dtype == "int8" else np.finfo(np.float16).max
        return cls((np.rint(scaled) if dtype == "int8" else scaled).clip(-largest, largest).astype(dtype), scales)

    def rows(self, index: Index) -> np.ndarray:
        return self.matrix[index].astype(np.float32) * self.scales


class Coded(Storage):
    """Small integer codes that pick codebook entries; a row is the sum of its entries.

    Code ``j`` of a row picks entry ``k`` of codebook ``j``, which is added to the columns
    ``spans[j, 0]:spans[j, 1]``. With spans side by side this is product quantisation (Jegou, Douze and Schmid,
    2011); with spans of the whole row it is residual quantisation.

    Parameters
    ----------
    packed : (n, n_bytes) uint8 array
        Codes of `n_bits` bits each, packed row by row; see `pack_codes`.
    codebooks : (2**n_bits, sum of the spans' widths) float32 or float16 array
        The codebooks side by side, in order of ``j``. In the file they keep their type; in memory they are float32.
    spans : (n_codes, 2) int32 array
        First and last-plus-one column of each code.
    dim, n_bits : int

    Attributes
    ----------
    side_by_side : bool
        Whether each column has one code.
    """

    kind = "coded"
    fields: ClassVar = {
        "packed": (2, "|u1"),
        "codebooks": (2, "<f4 <f2"),
        "spans": (2, "<i4"),
        "dim": int,
        "n_bits": int,
    }
    by_row = ("packed",)

    def __init__(self, packed: np.ndarray, codebooks: np.ndarray, spans: np.ndarray, dim: int, n_bits: int):
        self._hold(packed=packed, codebooks=codebooks, spans=spans, dim=dim, n_bits=n_bits)
        starts, stops = spans.astype(np.int64).T  # (n_codes,) each
        n_bytes, width = -(-len(spans) * n_bits // 8), int((stops - starts).sum())
        if not 1 <= n_bits <= 8 or not ((starts >= 0) & (starts < stops) & (stops <= dim)).all():
            raise ValueError(f"expected 1 to 8 bits for some of {dim} columns, got {n_bits} and {spans.tolist()[:9]}")
        if packed.shape[1] != n_bytes or codebooks.shape != (2**n_bits, width):
            raise ValueError(
                f"codes of {len(spans)} x {n_bits} bits need {n_bytes} bytes a row and codebooks of shape "
                f"{(2**n_bits, width)}, got {packed.shape[1]} and {codebooks.shape}"
            )
        self.packed, self.codebooks, self.spans = packed, np.asarray(codebooks, np.float32), spans
        self.n_bits, self.shape = int(n_bits), (len(packed), int(dim))
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
        """Return a storage of codes that are not packed yet, (n, n_codes) uint8; codebooks are `halved`."""
        return cls(pack_codes(codes, n_bits), halved(codebooks), spans, dim, n_bits)

    @classmethod
    def of_levels(cls, codes: np.ndarray, codebooks: np.ndarray) -> "Coded":
        """Return residual codes, (n, n_levels), that pick entries of codebooks, (n_levels, n_entries, dim)."""
        n_levels, n_entries, dim = codebooks.shape
        if n_entries > 256:
            raise ValueError(f"a Coded storage has at most 256 entries a level, got {n_entries}; use more levels")
        n_bits = max(1, (n_entries - 1).bit_length())
        side_by_side = np.zeros((2**n_bits, n_levels * dim), codebooks.dtype)
        side_by_side[:n_entries] = codebooks.transpose(1, 0, 2).reshape(n_entries, -1)
        spans = np.tile(np.array([[0, dim]], np.int32), (n_levels, 1))
        return cls(pack_codes(codes.astype(np.uint8), n_bits), side_by_side, spans, dim, n_bits)

    @property
    def levels(self) -> np.ndarray:
        """(n_levels, 2**n_bits, dim) codebooks of residual codes, which all serve the whole row."""
        return self.codebooks.reshape(2**self.n_bits, len(self.spans), self.shape[1]).transpose(1, 0, 2)

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
        if len(self) < MIN_COMPILED_ROWS or not 0 < len(queries) <= MAX_TABLE_QUERIES:
            return super().dot(queries)
        # A product with a row is the sum of the products with its entries, of which there are few.
        return self._sums(self.codebooks * query[self._columns] for query in queries)

    def norms(self) -> np.ndarray:
        largest = np.abs(self.codebooks).max()
        is_safe = SAFE_NORMS[0] < largest < SAFE_NORMS[1]  # else squares of float32 would overflow, or vanish
        if len(self) < MIN_COMPILED_ROWS or not self.side_by_side or not is_safe:
            return super().norms()
        return np.sqrt(self._sums([np.square(self.codebooks)])[0])

    def _sums(self, values: Iterable[np.ndarray]) -> np.ndarray:
        """Sum what each row's codes pick from some arrays shaped as the codebooks: (q, n) float32."""
        from . import kernels

        tables = [np.add.reduceat(numbers, self._starts, axis=1).T for numbers in values]  # (n_codes, n_entries) each
        return kernels.table_sums(self.packed, np.array(tables, np.float32), self.n_bits)


class Projected(Storage):
    """Rows of few dimensions times `axes`: a low-rank matrix, or codes that were learned in rotated space.

    Parameters
    ----------
    inner : Storage
        (n, rank)
    axes : (rank, dim) float32 or float16 array
        In the file they keep their type; in memory they are float32.
    """

    kind = "projected"
    fields: ClassVar = {"inner": Storage, "axes": (2, "<f4 <f2")}
    by_row = ("inner",)

    def __init__(self, inner: Storage, axes: np.ndarray):
        self._hold(inner=inner, axes=axes)
        if len(axes) != inner.shape[1]:
            raise ValueError(f"inner rows have {inner.shape[1]} dimensions, the axes are of shape {axes.shape}")
        self.inner, self.axes = inner, np.asarray(axes, np.float32)
        self.shape = (len(inner), axes.shape[1])

    def over(self, inner: Storage) -> "Projected":
        """Return the same axes over other inner rows."""
        return self._with(inner=inner)

    def rows(self, index: Index) -> np.ndarray:
        return self.inner.rows(index) @ self.axes

    def dot(self, queries: np.ndarray) -> np.ndarray:
        return self.inner.dot(queries @ self.axes.T)


class Normed(Storage):
    """Rows times a length each: `inner` is (n, dim), `lengths` (n, 1)."""

    kind = "normed"
    fields: ClassVar = {"inner": Storage, "lengths": Storage}
    by_row = ("inner", "lengths")

    def __init__(self, inner: Storage, lengths: Storage):
        self._hold(inner=inner, lengths=lengths)
        if lengths.shape != (len(inner), 1):
            raise ValueError(f"expected a length for each of {len(inner)} rows, got {lengths.shape}")
        self.inner, self.lengths = inner, lengths
        self.shape = inner.shape
        self.is_float32 = inner.is_float32 and lengths.is_float32

    def rows(self, index: Index) -> np.ndarray:
        return self.inner.rows(index) * self.lengths.rows(index)

    def dot(self, queries: np.ndarray) -> np.ndarray:
        return self.inner.dot(queries) * self.lengths.rows(slice(None))[:, 0]

    def norms(self) -> np.ndarray:
        return self.inner.norms() * np.abs(self.lengths.rows(slice(None))[:, 0])


class Stacked(Storage):
    """Word rows over n-gram rows, each in a storage of its own."""

    kind = "stacked"
    fields: ClassVar = {"words": Storage, "ngrams": Storage}
    ngrams: Storage

    def __init__(self, words: Storage, ngrams: Storage):
        if words.shape[1] != ngrams.shape[1]:
            raise ValueError(f"word rows have {words.shape[1]} dimensions, n-gram rows {ngrams.shape[1]}")
        self._hold(words=words, ngrams=ngrams)
        self.ngrams = ngrams
        self.shape = (len(words) + len(ngrams), words.shape[1])

    @property
    def words(self) -> Storage:
        return self._fields["words"]

    def rows(self, index: Index) -> np.ndarray:
        index = np.arange(len(self))[index]  # (n,), also where it is a slice or counts from the end
        is_word = index < len(self.words)
        out = np.empty((len(index), self.shape[1]), np.float32)
        out[is_word] = self.words.rows(index[is_word])
        out[~is_word] = self.ngrams.rows(index[~is_word] - len(self.words))
        return out

    def take(self, index: np.ndarray) -> "Stacked":
        n_words = int(np.count_nonzero(index < len(self.words)))
        if (index[n_words:] < len(self.words)).any():
            raise ValueError("word rows must come before n-gram rows")
        ngrams = self.ngrams.take(index[n_words:] - len(self.words))
        return Stacked(self.words.take(index[:n_words]), ngrams)


KINDS: dict[str, Any] = {cls.kind: cls for cls in (Dense, Scaled, Coded, Projected, Normed, Stacked)}


def nested(**parts: Any) -> dict[str, np.ndarray]:
    """Return the arrays of several parts, under the name of each; `within` undoes it."""
    return {f"{part}.{name}": array for part, of in parts.items() for name, array in of.arrays().items()}


def within(arrays: dict[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with ``part.``, without it."""
    return {name.removeprefix(part + "."): a for name, a in arrays.items() if name.startswith(part + ".")}


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the Euclidean length of each row of (..., dim), in its own type; squares may overflow or vanish."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found = np.linalg.norm(vectors, axis=-1)
        odd = ~((found > SAFE_NORMS[0]) & (found < SAFE_NORMS[1]))
        if odd.any():
            exact = np.linalg.norm(vectors[odd].astype(np.float64), axis=-1)
            most = np.finfo(found.dtype).max
            found = np.array(found)
            found[odd] = np.where(np.isfinite(exact), np.minimum(exact, most), exact)
    return found


def is_extreme(norms: np.ndarray) -> np.ndarray:
    """Return which norms above 0 have squares and products that float32 cannot hold."""
    return (norms > 0) & ~((norms > SAFE_NORMS[0]) & (norms < SAFE_NORMS[1]))


def halved(numbers: np.ndarray) -> np.ndarray:
    """Return numbers as float16 where that loses less than a millionth of their squares, else as they are."""
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
