"""Matrices that are read by rows. Each kind of storage decodes, keeps and scores rows, and names what a file must hold.

Rows come out as float32, whatever is stored. Reading rows takes numpy alone.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from .checks import Kind, check_kinds
from .spool import spooled

BLOCK = 16_384  # rows decoded at once: 6 to 20 MB with 100 to 300 dimensions
MIN_COMPILED_ROWS = 16_384  # from here on, loading the compiled kernels pays when all rows are scored
MAX_TABLE_QUERIES = 128  # up to here, tables of products are at least twice as fast as decoding
SAFE_NORMS = (1e-15, 1e15)  # norms whose squares and products float32 holds
BITS_SET = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)  # of each byte

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

    def like(self, rows: np.ndarray) -> Self:
        """Store other rows of this shape, float32, in the same way: with the same scales, codebooks, axes and zeros."""
        raise NotImplementedError

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
        return Dense(spooled((self.rows(index[start : start + BLOCK]) for start in starts), self.shape[1], len(index)))

    def like(self, rows: np.ndarray) -> "Dense":
        return Dense(rows)


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

    def like(self, rows: np.ndarray) -> "Scaled":
        return self.of(rows, self.matrix.dtype, self.scales)


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
        pieces = self.codebooks.reshape(2**n_bits, -1, piece).swapaxes(0, 1)
        self._pieces = pieces.reshape(-1, piece)  # piece `p` of entry `k` is `p * 2**n_bits + k`
        self._firsts = np.arange(0, len(self._pieces), 2**n_bits)  # of each `p`
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
        picked = self._pieces.take(codes + self._firsts, axis=0).reshape(len(codes), len(self._columns))
        if self.side_by_side:
            return picked
        out = np.full((len(codes), self.shape[1]), -0.0, np.float32)  # -0.0 + x is x to the bit, whatever x
        for (start, stop), first in zip(self.spans, self._starts, strict=True):
            out[:, start:stop] += picked[:, first : first + stop - start]
        return out

    def like(self, rows: np.ndarray) -> "Coded":
        """Pick the nearest entries of the same codebooks: where spans overlap, code by code of what is left over."""
        rows = np.ascontiguousarray(rows, np.float32)
        if self.side_by_side:
            from . import kernels

            codes = kernels.encode(rows, self.codebooks, np.array(self.spans))
        else:
            codes, left = np.empty((len(rows), len(self.spans)), np.uint8), rows.copy()
            books = np.split(self.codebooks, self._starts[1:], axis=1)  # (n_entries, width of its span) each
            for j, ((start, stop), entries) in enumerate(zip(self.spans, books, strict=True)):
                half = np.einsum("kd,kd->k", entries, entries) / 2
                codes[:, j] = chosen = (left[:, start:stop] @ entries.T - half).argmax(axis=1)
                left[:, start:stop] -= entries[chosen]
        return self._with(packed=pack_codes(codes, self.n_bits))

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


class Wrapper(Storage):
    """A storage made of the rows of another one, `inner`; steps that store rows in another way store those."""

    inner: Storage

    def over(self, inner: Storage) -> Self:
        """Return the same storage of other inner rows."""
        return self._with(inner=inner)


class Projected(Wrapper):
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

    def rows(self, index: Index) -> np.ndarray:
        return self.inner.rows(index) @ self.axes

    def like(self, rows: np.ndarray) -> "Projected":
        return self.over(self.inner.like(rows @ self._inverse))

    @cached_property
    def _inverse(self) -> np.ndarray:
        """The pseudo-inverse of the axes: (dim, rank) float32."""
        return np.linalg.pinv(self.axes)

    def dot(self, queries: np.ndarray) -> np.ndarray:
        return self.inner.dot(queries @ self.axes.T)


class Sparse(Wrapper):
    """Rows in which many numbers are zero: a bit for each number, and those whose bit is set in a storage of their own.

    Zeros cost a bit each, whatever the others are stored as, as in "Deep Compression" (Han, Mao and Dally, 2016).

    Parameters
    ----------
    bitmap : (n, ceil(dim / 8)) uint8 array
        The bits of each row, by `numpy.packbits`.
    inner : Storage
        (n_inner, width): the numbers of one row after another. Each row begins with an inner row of its own and
        takes as few as hold its numbers; what is left of its last one does not count.
    dim : int
    """

    kind = "sparse"
    fields: ClassVar = {"bitmap": (2, "|u1"), "inner": Storage, "dim": int}

    def __init__(self, bitmap: np.ndarray, inner: Storage, dim: int):
        self._hold(bitmap=bitmap, inner=inner, dim=dim)
        if bitmap.shape[1] != -(-dim // 8):
            raise ValueError(f"{dim} columns need {-(-dim // 8)} bytes of bits a row, got {bitmap.shape[1]}")
        if (bitmap[:, -1] & (0xFF >> (dim % 8 or 8))).any():
            raise ValueError(f"expected bits for {dim} columns, got some for columns beyond")
        self.bitmap, self.inner, self.shape = bitmap, inner, (len(bitmap), int(dim))
        self._counts = BITS_SET[bitmap].sum(axis=1, dtype=np.int64)  # (n,) numbers in each row
        self._n_inner = -(-self._counts // inner.shape[1])  # (n,) inner rows of each row
        self._ends = np.cumsum(self._n_inner)  # (n,)
        if len(inner) != self._n_inner.sum():
            raise ValueError(
                f"{self._counts.sum():,} numbers whose bit is set take {self._n_inner.sum():,} inner rows of "
                f"{inner.shape[1]}, got {len(inner):,}"
            )

    @classmethod
    def of(cls, rows: np.ndarray, mask: np.ndarray, width: int = 8) -> "Sparse":
        """Keep the numbers of rows, (n, dim), where `mask`, (n, dim) bool, is set, in float32; the others become zero.

        Columns of the inner rows, `width` of them, are what a step that stores them in another way tells apart.
        """
        counts = np.count_nonzero(mask, axis=1)  # (n,)
        n_slots = -(-counts // width) * width  # (n,) the numbers of a row, then its last one again up to a whole width
        starts, last = np.cumsum(counts) - counts, np.repeat(np.cumsum(counts) - 1, n_slots)
        slots = np.asarray(rows, np.float32)[mask][np.minimum(ranges(starts, n_slots), last)]
        return cls(np.packbits(mask, axis=1), Dense(slots.reshape(-1, width)), rows.shape[1])

    @property
    def mask(self) -> np.ndarray:
        """(n, dim) bool array: which numbers are stored; the others are zero."""
        return self._masks(slice(None))

    def _masks(self, index: Index) -> np.ndarray:
        return np.unpackbits(self.bitmap[index], axis=1, count=self.shape[1]).view(bool)

    def _inner_index(self, index: Index) -> np.ndarray:
        """Return the inner rows of these rows."""
        return ranges((self._ends - self._n_inner)[index], self._n_inner[index])

    def _slots(self, index: Index) -> np.ndarray:
        """Return the places of the numbers of these rows among those of their inner rows."""
        n_inner = self._n_inner[index]
        return ranges((np.cumsum(n_inner) - n_inner) * self.inner.shape[1], self._counts[index])

    def rows(self, index: Index) -> np.ndarray:
        mask = self._masks(index)
        rows = np.zeros(mask.shape, np.float32)
        rows[mask] = self.inner.rows(self._inner_index(index)).ravel()[self._slots(index)]
        return rows

    def take(self, index: np.ndarray) -> "Sparse":
        return self._with(bitmap=self.bitmap[index], inner=self.inner.take(self._inner_index(index)))

    def like(self, rows: np.ndarray) -> "Sparse":
        inner = self.inner.rows(slice(None))
        inner.ravel()[self._slots(slice(None))] = rows[self.mask]
        return self.over(self.inner.like(inner))


class Cut(Wrapper):
    """Rows that are several rows of `inner` side by side, so that all of these share codebooks or scales.

    `inner` is (n * pieces, dim / pieces).
    """

    kind = "cut"
    fields: ClassVar = {"inner": Storage, "dim": int}

    def __init__(self, inner: Storage, dim: int):
        self._hold(inner=inner, dim=dim)
        n_inner, width = inner.shape
        if dim < 1 or dim % width or n_inner % (dim // width):
            raise ValueError(f"{n_inner:,} inner rows of {width} columns make no whole rows of {dim}")
        self.inner, self.shape = inner, (n_inner // (dim // width), int(dim))
        self.is_float32 = inner.is_float32

    @classmethod
    def of(cls, rows: Storage | np.ndarray, width: int) -> "Cut":
        """Cut rows, or those of a storage, into pieces of this width, in float32."""
        if isinstance(rows, Storage):
            rows = rows.matrix if isinstance(rows, Dense) else rows.rows(slice(None))
        if width < 1 or rows.shape[1] % width:
            raise ValueError(f"expected a width that divides {rows.shape[1]} columns, got {width}")
        return cls(Dense(np.asarray(rows, np.float32).reshape(-1, width)), rows.shape[1])

    def _inner_index(self, index: Index) -> np.ndarray:
        """Return the inner rows of these rows."""
        pieces = self.shape[1] // self.inner.shape[1]
        return (np.arange(len(self))[index][:, None] * pieces + np.arange(pieces)).ravel()

    def rows(self, index: Index) -> np.ndarray:
        return self.inner.rows(self._inner_index(index)).reshape(-1, self.shape[1])

    def take(self, index: np.ndarray) -> "Cut":
        return self.over(self.inner.take(self._inner_index(index)))

    def like(self, rows: np.ndarray) -> "Cut":
        return self.over(self.inner.like(rows.reshape(-1, self.inner.shape[1])))


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

    def like(self, rows: np.ndarray) -> "Normed":
        lengths = self.lengths.rows(slice(None))
        return self._with(inner=self.inner.like(rows / np.where(lengths == 0, 1, lengths)))

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

    def like(self, rows: np.ndarray) -> "Stacked":
        n_words = len(self.words)
        return Stacked(self.words.like(rows[:n_words]), self.ngrams.like(rows[n_words:]))


KINDS: dict[str, Any] = {cls.kind: cls for cls in (Dense, Scaled, Coded, Projected, Sparse, Cut, Normed, Stacked)}


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


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the whole numbers from each start on, so many of each, one run after another."""
    return np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)


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
