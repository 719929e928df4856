"""finalfusion ``.fifu``: words, rows of length 1 and the lengths apart, n-grams of three kinds, product codes.

A known word's vector is its row times its length, where the file has lengths (its "norms"). An
unseen word's vector is the mean of its n-grams' rows here; finalfusion scales their sum to length 1,
so that the direction is the same and the length is not. Word rows are whole vectors.

Source: the `finalfusion` packages for Python and Rust, which write the same chunks. Only words
and n-grams are read when a file is opened; matrices and codes stay in it.
"""

import json
import math
import struct
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..storage import BLOCK, Coded, Dense, Normed, Projected, Stacked, Storage, pack_codes, unpack_codes
from ..subwords import MAX_BUCKETS, FinalfusionBuckets, ListedNgrams, Subwords
from ..vectors import Vectors, check_finite
from ..vocab import Vocab, check_words, first_places, printable
from .base import Format, is_unicode, word_blocks

MAGIC = b"FiFu"
SIMPLE, NDARRAY, BUCKETS, QUANTIZED, METADATA, NORMS, FASTTEXT, EXPLICIT, FLORET = range(1, 10)  # kinds of chunks
U8, F32 = 1, 10  # types of numbers
BLOCK_BYTES = 1 << 20  # of codes that are packed at once


def looks_like(path: Path, head: bytes) -> bool:
    """Whether a file that begins with these bytes is finalfusion's."""
    return head.startswith(MAGIC)


# -- reading ------------------------------------------------------------------------------


@dataclass
class Rows:
    """Rows as a file has them: their number and dimensions, and those from one to another as a storage."""

    shape: tuple[int, int]
    part: Callable[[slice], Storage]


@dataclass
class Words:
    """A vocabulary as a file has it; n-grams follow the words' rows."""

    words: list[str]
    subwords: Subwords | None = None


def load(path: Path) -> Vectors:
    """Open a finalfusion file; vectors of known words have their own lengths, where the file has them.

    Metadata are kept as text in ``meta["provenance"]["metadata"]``. Words that are not UTF-8 are
    kept as they are, though finalfusion's own readers refuse them.

    Raises
    ------
    ValueError
        If the file ends too soon, states sizes that do not fit it or each other, or has floret's
        n-grams.
    """
    data = np.memmap(path, np.uint8, mode="r")
    try:
        found = _chunks(Cursor(data))
        vocab, storage = _assembled(**found)
    except struct.error as error:
        raise ValueError(f"{path} is cut short: it ends in the middle of a chunk's header") from error
    except ValueError as error:
        raise ValueError(f"{path} is no finalfusion file that can be read: {error}") from error
    provenance = {"source": path.name, "source_bytes": len(data)}
    if "metadata" in found:
        provenance["metadata"] = found["metadata"]
    return Vectors(vocab, storage, {"provenance": provenance})


class Cursor:
    """A place in a mapped file, from which numbers, texts and arrays are read in turn."""

    def __init__(self, data: np.ndarray):
        self.data, self.view, self.at = np.asarray(data), data.data, 0

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Numbers in `struct`'s layout."""
        found = struct.unpack_from(layout, self.view, self.at)
        self.at += struct.calcsize(layout)
        return found

    def bytes(self, n: int) -> bytes:
        """The next `n` bytes."""
        self.check(n, f"{n:,} bytes")
        self.at += n
        return self.view[self.at - n : self.at].tobytes()

    def texts(self, n: int, what: str, layout: str = "") -> tuple[list[str], list[int]]:
        """`n` texts, each behind its length in bytes and before a number in this layout, if any."""
        width = struct.calcsize(layout)
        self.check(n * (4 + width), f"{n:,} {what}")
        texts, numbers = [], []
        view, at, size = self.view, self.at, len(self.view)
        for i in range(n):
            begin = at + 4
            at = begin + int.from_bytes(view[begin - 4 : begin], "little")
            if at + width > size:
                raise ValueError(f"it ends in its {what}, at number {i:,} of {n:,}")
            texts.append(str(view[begin:at], "utf-8", "surrogateescape"))
            if width:
                numbers.append(int.from_bytes(view[at : at + width], "little"))
                at += width
        self.at = at
        return texts, numbers

    def array(self, dtype: str, *shape: int) -> np.ndarray:
        """An array that stays in the file."""
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        self.check(n_bytes, f"{' x '.join(f'{n:,}' for n in shape)} numbers ({n_bytes:,} bytes)")
        self.at += n_bytes
        return self.data[self.at - n_bytes : self.at].view(dtype).reshape(shape)

    def align(self) -> None:
        """Skip the one to four bytes that stand before an array of float32."""
        self.at += padding(self.at)

    def check(self, n_bytes: int, what: str) -> None:
        """Refuse what the rest of the file cannot hold."""
        left = max(len(self.view) - self.at, 0)
        if n_bytes > left:
            raise ValueError(f"it claims {what}, but only {left:,} bytes follow: cut short or damaged")


def padding(at: int) -> int:
    """Bytes between this place and the array of float32 behind it: one to four, never none."""
    return 4 - at % 4


def _chunks(cursor: Cursor) -> dict[str, Any]:
    """What the chunks of a file hold, by what it is good for."""
    _, version, n_chunks = cursor.numbers("<4sII")
    if version != 0:
        raise ValueError(f"its version is {version}, 0 is read")
    cursor.bytes(4 * n_chunks)  # the chunks' kinds; older files do not name all of them
    found: dict[str, Any] = {}
    while cursor.at < len(cursor.view):
        kind, length = cursor.numbers("<IQ")
        cursor.check(length, f"a chunk of {length:,} bytes")
        if kind == FLORET:
            raise ValueError("it has floret's n-grams, each of which adds up several rows: these are not supported")
        if kind not in READERS:
            raise ValueError(f"it has a chunk of kind {kind}, known are {', '.join(map(str, READERS))}")
        name, read = READERS[kind]
        if name in found:
            raise ValueError(f"it has {name} twice")
        start = cursor.at
        found[name] = read(cursor, length)
        missed = 8 * found[name].subwords.n_buckets if kind == EXPLICIT and found[name].subwords else 0
        if cursor.at - start not in (length, length + missed):  # finalfusion for Python forgets to count some
            raise ValueError(f"its {name} take {cursor.at - start:,} bytes, while their chunk claims {length:,}")
    for name in ("words", "rows"):
        if name not in found:
            raise ValueError(f"it has no {name}")
    return found


def _read_simple(cursor: Cursor, length: int) -> Words:
    (n,) = cursor.numbers("<Q")
    return Words(cursor.texts(n, "words")[0])


def _read_fasttext(cursor: Cursor, length: int) -> Words:
    n, min_n, max_n, n_buckets = cursor.numbers("<QIII")
    return Words(cursor.texts(n, "words")[0], Subwords(min_n, max_n, n_buckets))


def _read_buckets(cursor: Cursor, length: int) -> Words:
    n, min_n, max_n, exponent = cursor.numbers("<QIII")
    if 2 ** min(exponent, 32) > MAX_BUCKETS:
        raise ValueError(f"it claims 2 ** {exponent} buckets, {MAX_BUCKETS:,} are the most")
    return Words(cursor.texts(n, "words")[0], FinalfusionBuckets(min_n, max_n, 2**exponent))


def _read_explicit(cursor: Cursor, length: int) -> Words:
    n, n_ngrams, min_n, max_n = cursor.numbers("<QQII")
    words, _ = cursor.texts(n, "words")
    ngrams, rows = cursor.texts(n_ngrams, "n-grams", "<Q")
    if not ngrams:
        return Words(words)
    if max(rows) >= n_ngrams:
        raise ValueError(f"an n-gram has row {max(rows):,}, while there are {n_ngrams:,} n-grams")
    table = np.array(rows, np.int32)
    in_order = np.array_equal(table, np.arange(n_ngrams))
    return Words(words, ListedNgrams(min_n, max_n, ngrams, None if in_order else table))


def _read_ndarray(cursor: Cursor, length: int) -> Rows:
    n_rows, dim, kind = cursor.numbers("<QII")
    _check_type(kind, F32)
    cursor.align()
    matrix = cursor.array("<f4", n_rows, dim)
    return Rows((n_rows, dim), lambda part: Dense(matrix[part]))


def _read_quantized(cursor: Cursor, length: int) -> Rows:
    """Product codes, perhaps of turned rows, perhaps with a length for each row."""
    projected, normed, n_codes, dim, n_entries, n_rows, codes_kind, kind = cursor.numbers("<5IQ2I")
    _check_type(codes_kind, U8)
    _check_type(kind, F32)
    if not 1 <= n_codes <= dim or dim % n_codes or not 1 <= n_entries <= 256:
        raise ValueError(f"it claims {n_codes:,} codes of {n_entries:,} entries for {dim:,} dimensions")
    cursor.align()
    projection = cursor.array("<f4", dim, dim) if projected else None
    entries = cursor.array("<f4", n_codes, n_entries, dim // n_codes)
    norms = cursor.array("<f4", n_rows, 1) if normed else None
    codes = cursor.array("u1", n_rows, n_codes)
    n_bits = max((n_entries - 1).bit_length(), 1)
    packed = _packed(codes, n_entries, n_bits)
    codebooks = np.zeros((2**n_bits, dim), np.float32)
    codebooks[:n_entries] = entries.swapaxes(0, 1).reshape(n_entries, dim)
    edges = np.arange(0, dim + 1, dim // n_codes, dtype=np.int32)
    spans = np.stack([edges[:-1], edges[1:]], axis=1)  # (n_codes, 2)

    def part(rows: slice) -> Storage:
        found: Storage = Coded(packed[rows], codebooks, spans, dim, n_bits)
        if projection is not None:
            found = Projected(found, projection.T)
        return found if norms is None else Normed(found, Dense(norms[rows]))

    return Rows((n_rows, dim), part)


def _packed(codes: np.ndarray, n_entries: int, n_bits: int) -> np.ndarray:
    """Codes, (n_rows, n_codes), packed if they have fewer than 8 bits; refused if there is no entry for one."""
    size = max(BLOCK_BYTES // codes.shape[1], 1)
    if n_entries == 256:
        return codes
    blocks = []
    for start in range(0, len(codes), size):
        block = codes[start : start + size]
        if block.max() >= n_entries:
            raise ValueError(f"it has a code of {block.max()}, while codebooks have {n_entries} entries")
        blocks += [pack_codes(block, n_bits)] if n_bits < 8 else []
    return np.concatenate(blocks) if blocks else codes


def _read_norms(cursor: Cursor, length: int) -> np.ndarray:
    n, kind = cursor.numbers("<QI")
    _check_type(kind, F32)
    cursor.align()
    return cursor.array("<f4", n, 1)


def _read_metadata(cursor: Cursor, length: int) -> str:
    return cursor.bytes(length).decode("utf-8", "replace")


READERS: dict[int, tuple[str, Callable[[Cursor, int], Any]]] = {
    SIMPLE: ("words", _read_simple),
    NDARRAY: ("rows", _read_ndarray),
    BUCKETS: ("words", _read_buckets),
    QUANTIZED: ("rows", _read_quantized),
    METADATA: ("metadata", _read_metadata),
    NORMS: ("norms", _read_norms),
    FASTTEXT: ("words", _read_fasttext),
    EXPLICIT: ("words", _read_explicit),
}


def _check_type(found: int, expected: int) -> None:
    names = {U8: "uint8", F32: "float32"}
    if found != expected:
        raise ValueError(f"its numbers are of type {found}, expected {expected} ({names[expected]})")


def _assembled(
    words: Words, rows: Rows, norms: np.ndarray | None = None, metadata: str | None = None
) -> tuple[Vocab, Storage]:
    """Vocabulary and storage, once the chunks fit each other."""
    n = len(check_words(words.words))
    n_rows, dim = rows.shape
    n_expected = n + (words.subwords.n_rows if words.subwords else 0)
    if n_rows != n_expected or dim < 1:
        raise ValueError(
            f"its matrix is {n_rows:,} x {dim:,}, while its {n:,} words and their n-grams need {n_expected:,} rows"
        )
    if norms is not None and len(norms) != n:
        raise ValueError(f"it has {len(norms):,} norms for {n:,} words")
    own = rows.part(slice(0, n))
    if norms is not None and isinstance(own, Normed):
        own = Normed(own.inner, Dense(own.lengths.rows(slice(None)) * norms))
    elif norms is not None:
        own = Normed(own, Dense(norms))
    vocab = Vocab(words.words, subwords=words.subwords)
    places = first_places(words.words)
    if places is not None:
        vocab, taken = vocab.take(places)
        own = own.take(taken)
    return vocab, own if words.subwords is None else Stacked(own, rows.part(slice(n, n_rows)))


# -- writing ------------------------------------------------------------------------------


@dataclass
class Ngrams:
    """N-grams as they are written: the chunk's kind and numbers, the texts with a row each, the rows themselves."""

    kind: int
    settings: tuple[int, ...]
    rows: np.ndarray  # of the n-gram matrix, in the order of the file
    texts: list[str]
    row_of: np.ndarray  # (n_texts,), places in `rows`


@dataclass
class Product:
    """Rows as product codes: what `Coded` has, axes to turn them with, and a length for each row."""

    coded: Coded
    axes: np.ndarray | None
    lengths: np.ndarray | None  # (n, 1)


def save(v: Vectors, file: BinaryIO) -> None:
    """Write metadata, words with n-grams, rows of length 1 (or codes), and the words' lengths.

    Buckets that were pruned or folded cannot be numbered as they were: n-grams are then listed by
    their text, as far as known words have them. Codes stay codes where finalfusion can hold them.
    Word by word a vector comes back to a rounding, 1e-7 of it: it is kept as direction and length.
    """
    held = np.array([is_unicode(word) for word in v.words])
    ngrams, codes, metadata = _written_ngrams(v), _products(v), _metadata(v)
    kinds = [METADATA] * bool(metadata) + [ngrams.kind, QUANTIZED if codes else NDARRAY, NORMS]
    file.write(MAGIC + struct.pack(f"<II{len(kinds)}I", 0, len(kinds), *kinds))
    if metadata:
        file.write(struct.pack("<IQ", METADATA, len(metadata)) + metadata)
    _write_words(file, list(compress(v.words, held)), ngrams)
    if codes:
        norms = _write_codes(file, v, codes, np.flatnonzero(held), ngrams.rows)
    else:
        norms = _write_matrix(file, v, int(held.sum()), ngrams.rows)
    pad = padding(file.tell())
    file.write(struct.pack(f"<IQQI{pad}x", NORMS, 12 + pad + norms.nbytes, len(norms), F32))
    file.write(norms.astype("<f4").data)


def also_lost(v: Vectors) -> list[str]:
    """The compression, unless codes can stay; n-gram rows that no known word uses, where buckets are missing."""
    lost = []
    ngrams = _written_ngrams(v)
    parts = [v.storage.words] + ([] if v.storage.ngrams is None else [v.storage.ngrams])
    if not all(part.is_float32 for part in parts) and not _products(v):
        n_bytes = 4 * v.dim * (len(v) + len(ngrams.rows))
        lost.append(f"the compression: rows become {n_bytes / 1e6:.1f} MB of float32")
    if v.vocab.subwords is None:
        return lost
    n_rows = len(_living(v.vocab.subwords)[1])
    if len(ngrams.rows) == 0:
        lost.append(f"its {n_rows:,} n-grams: words outside the vocabulary will have no vector")
    elif len(ngrams.rows) < n_rows:
        lost.append(
            f"{n_rows - len(ngrams.rows):,} of its {n_rows:,} n-gram rows: where buckets are pruned or folded, each "
            "n-gram is listed by its text, which is known only where a word of the vocabulary has it"
        )
    if ngrams.kind == FASTTEXT and v.vocab.subwords.min_n == 1:
        lost.append("vectors of unseen words to the last digit: finalfusion counts the marks < and > alone, too")
    return lost


def _living(subwords: Subwords) -> tuple[np.ndarray, np.ndarray]:
    """Row of each bucket, -1 for none, and the rows that some bucket has, in order."""
    rows = subwords.rows_of(np.arange(subwords.n_buckets))
    return rows, np.unique(rows[rows >= 0])


def _written_ngrams(v: Vectors) -> Ngrams:
    """The n-grams in the kind of chunk that can hold them."""
    nothing = np.empty(0, np.int64)
    subwords = v.vocab.subwords
    if subwords is None:
        return Ngrams(SIMPLE, (), nothing, [], nothing)
    rows, _ = _living(subwords)
    lengths = subwords.min_n, subwords.max_n
    if not isinstance(subwords, ListedNgrams) and not subwords.folded and (rows >= 0).all():
        n = subwords.n_buckets
        own = isinstance(subwords, FinalfusionBuckets)
        return Ngrams(BUCKETS if own else FASTTEXT, (*lengths, n.bit_length() - 1 if own else n), rows, [], nothing)
    bucket_of = subwords.numbers if isinstance(subwords, ListedNgrams) else _named(v.vocab, subwords)
    named = {text: rows[bucket] for text, bucket in bucket_of.items() if rows[bucket] >= 0 and is_unicode(text)}
    if not named:
        return Ngrams(SIMPLE, (), nothing, [], nothing)
    used, row_of = np.unique(list(named.values()), return_inverse=True)
    return Ngrams(EXPLICIT, lengths, used, list(named), row_of)


def _named(vocab: Vocab, subwords: Subwords) -> dict[str, int]:
    """The bucket of every n-gram of the known words, in order of the words."""
    found: dict[str, int] = {}
    indptr, buckets = vocab.buckets(subwords)
    ends, numbers = indptr.tolist(), buckets.tolist()
    for i, word in enumerate(vocab.words):
        found.update(zip(subwords.ngrams(word), numbers[ends[i] : ends[i + 1]], strict=True))
    return found


def _write_words(file: BinaryIO, words: list[str], ngrams: Ngrams) -> None:
    """The chunk with words, and with n-grams or the settings of their hash."""
    head = struct.pack("<Q", len(words))
    if ngrams.kind == EXPLICIT:
        head += struct.pack("<Q", len(ngrams.texts))
    head += struct.pack(f"<{len(ngrams.settings)}I", *ngrams.settings)
    texts = [_counted(word) for word in words]
    listed = zip(ngrams.texts, ngrams.row_of.tolist(), strict=True)
    texts += [_counted(text) + struct.pack("<Q", row) for text, row in listed]
    file.write(struct.pack("<IQ", ngrams.kind, len(head) + sum(map(len, texts))) + head)
    file.writelines(texts)


def _counted(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def _write_matrix(file: BinaryIO, v: Vectors, n_words: int, ngram_rows: np.ndarray) -> np.ndarray:
    """The chunk with rows of float32, those of words scaled to length 1; gives their lengths, (n_words,)."""
    n_rows, pad = n_words + len(ngram_rows), padding(file.tell())
    file.write(struct.pack("<IQ", NDARRAY, 16 + pad + 4 * n_rows * v.dim))
    file.write(struct.pack(f"<QII{pad}x", n_rows, v.dim, F32))
    norms = [np.empty(0, np.float32)]
    for _, block in word_blocks(v, is_unicode):
        rows, lengths = _directions(block)
        file.write(rows.data)
        norms.append(lengths)
    for _, block in _ngram_blocks(v, ngram_rows):
        file.write(block.astype("<f4").data)
    return np.concatenate(norms)


def _directions(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, dim) scaled to length 1, zero rows left as they are, and their lengths (n,) in float32."""
    rows = block.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1).clip(max=float(np.finfo(np.float32).max)).astype(np.float32)
    rows /= np.where(lengths > 0, lengths, 1)[:, None]
    return rows.astype("<f4"), lengths


def _ngram_blocks(v: Vectors, index: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """These n-gram rows, (<= BLOCK, dim) float32 at once."""
    for start in range(0, len(index), BLOCK):
        block = v.ngrams[1].rows(index[start : start + BLOCK])
        check_finite(block, (), start, "n-gram row")
        yield start, block


def _products(v: Vectors) -> list[Product]:
    """Words and n-grams as product codes over the same codebooks, where that is what they are; else nothing."""
    if v.is_composed:
        return []
    parts = [v.storage.words] + ([] if v.storage.ngrams is None else [v.storage.ngrams])
    found = [product for part in parts if (product := _product(part)) is not None]
    if len(found) < len(parts):
        return []
    shared = [(p.coded.codebooks, p.coded.spans, p.coded.codebooks[:0] if p.axes is None else p.axes) for p in found]
    alike = all(map(np.array_equal, shared[0], shared[-1]))
    return found if alike else []


def _product(part: Storage) -> Product | None:
    """Rows as product codes of equal widths, or None where they are stored otherwise."""
    lengths: np.ndarray | None = None
    axes: np.ndarray | None = None
    if isinstance(part, Normed):
        lengths, part = part.lengths.rows(slice(None)), part.inner
    if isinstance(part, Projected) and part.inner.shape == part.shape:
        axes, part = part.axes, part.inner
    if not isinstance(part, Coded) or not part.side_by_side or len(np.unique(np.diff(part.spans))) > 1:
        return None
    return Product(part, axes, lengths)


def _write_codes(
    file: BinaryIO, v: Vectors, products: list[Product], places: np.ndarray, ngram_rows: np.ndarray
) -> np.ndarray:
    """The chunk with product codes, which lengths make rows of length 1; gives the words' own lengths, (n_words,)."""
    coded, axes = products[0].coded, products[0].axes
    norms = v.norms[places]
    rows = [np.asarray(v.vocab.rows(places)), ngram_rows][: len(products)]
    factors = [_factors(product, index) for product, index in zip(products, rows, strict=True)]
    if v.vocab.factors is not None:
        factors[0] *= v.vocab.factors[places]
    factors[0] /= np.where(norms > 0, norms, 1)
    n_codes, (n_entries, dim) = len(coded.spans), coded.codebooks.shape
    arrays = [] if axes is None else [axes.T]
    arrays += [coded.codebooks.reshape(n_entries, n_codes, -1).swapaxes(0, 1), *factors]
    n_rows, pad = sum(map(len, rows)), padding(file.tell())
    length = 36 + pad + sum(4 * array.size for array in arrays) + n_rows * n_codes
    file.write(struct.pack("<IQ", QUANTIZED, length))
    header = (axes is not None, True, n_codes, dim, n_entries, n_rows, U8, F32)
    file.write(struct.pack(f"<5IQ2I{pad}x", *header))
    for array in arrays:
        file.write(np.ascontiguousarray(array, "<f4").data)
    for product, index in zip(products, rows, strict=True):
        for start in range(0, len(index), BLOCK):
            packed = product.coded.packed[index[start : start + BLOCK]]
            file.write(np.ascontiguousarray(unpack_codes(packed, n_codes, product.coded.n_bits)).data)
    return norms


def _factors(product: Product, index: np.ndarray) -> np.ndarray:
    """What each of these rows is multiplied with: (n,) float32."""
    return np.ones(len(index), np.float32) if product.lengths is None else product.lengths[index, 0]


def _metadata(v: Vectors) -> bytes:
    """The metadata that the model came with, or the recipe and they, as TOML."""
    provenance, recipe = v.meta.get("provenance", {}), v.meta.get("recipe")
    text = str(provenance.get("metadata", ""))
    if not recipe and _is_toml(text):
        return text.encode()
    about = {"recipe": json.dumps(recipe, ensure_ascii=False)} if recipe else {}
    about |= {name: str(provenance[name]) for name in ("source", "metadata") if name in provenance}
    return "\n".join(["[workbench]", *(f"{name} = {_quoted(value)}" for name, value in about.items()), ""]).encode()


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    """As a string of TOML: as JSON has it, but for DEL, which must not stand there as it is."""
    return json.dumps(printable(text), ensure_ascii=False).replace("\x7f", "\\u007f")


FINALFUSION = Format(
    name="finalfusion",
    title="finalfusion",
    looks_like=looks_like,
    load=load,
    save=save,
    suffixes=(".fifu",),
    keeps=frozenset({"n-grams", "codes"}),
    holds=is_unicode,
    also_lost=also_lost,
)
