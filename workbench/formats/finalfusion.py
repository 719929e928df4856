"""finalfusion ``.fifu``: words, rows of length 1 and the lengths apart, n-grams of three kinds, product codes.

A known word's vector is its row times its length, where the file has lengths (its "norms"). An unseen word's vector is
the mean of its n-grams' rows here; finalfusion scales their sum to length 1, so that the direction is the same and the
length is not. Word rows are whole vectors. Matrices and codes stay in the file.

Source: the `finalfusion` packages for Python and Rust, which write the same chunks.
"""

import json
import struct
import tomllib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..storage import BLOCK, Coded, Dense, Normed, Projected, Stacked, Storage, pack_codes, unpack_codes
from ..subwords import MAX_BUCKETS, FinalfusionBuckets, ListedNgrams, Subwords
from ..vectors import Vectors, check_finite
from ..vocab import Vocab, check_words, printable
from .base import Cursor, Format, first_ones, is_unicode, with_words, word_blocks

MAGIC = b"FiFu"
SIMPLE, NDARRAY, BUCKETS, QUANTIZED, METADATA, NORMS, FASTTEXT, EXPLICIT, FLORET = range(1, 10)  # kinds of chunks
U8, F32 = 1, 10  # types of numbers
BLOCK_BYTES = 1 << 20  # of codes that are packed at once

Words = tuple[list[str], Subwords | None]
Rows = Callable[[slice], Storage]  # some of the rows as a storage

# -- reading ------------------------------------------------------------------------------


def load(path: Path) -> Vectors:
    """Open a finalfusion file; vectors of known words have their own lengths, where the file has them.

    Metadata are kept as text in ``meta["provenance"]["metadata"]``. Words that are not UTF-8 are kept as they are,
    though finalfusion's own readers refuse them.
    """
    cursor = Cursor(path)
    _, version, n_chunks = cursor.numbers("<4s2I")
    if version != 0:
        raise ValueError(f"its version is {version}, 0 is read")
    cursor.skip(4 * n_chunks, f"{n_chunks:,} chunks")  # older files do not name all of them
    found: dict[str, Any] = {}
    while cursor.left:
        kind, length = cursor.numbers("<IQ")
        if kind == FLORET:
            raise ValueError("it has floret's n-grams, each of which adds up several rows: these are not supported")
        if kind not in CHUNKS:
            raise ValueError(f"it has a chunk of kind {kind}, known are {', '.join(map(str, CHUNKS))}")
        name, layout, read = CHUNKS[kind]
        if name in found:
            raise ValueError(f"it has {name} twice")
        start = cursor.at = cursor.skip(length, f"a chunk of {length:,} bytes")
        found[name] = read(cursor, *(cursor.numbers(layout) if layout else [length]))
        n_read, subwords = cursor.at - start, found[name][1] if kind == EXPLICIT else None
        missed = 0 if subwords is None else 8 * subwords.n_buckets  # finalfusion for Python forgets to count these
        if n_read not in (length, length + missed):
            raise ValueError(f"its {name} take {n_read:,} bytes, while their chunk claims {length:,}")
    for name in ("words", "rows"):
        if name not in found:
            raise ValueError(f"it has no {name}")

    (words, subwords), part, norms = found["words"], found["rows"], found.get("norms")
    n, (n_rows, dim) = len(check_words(words)), part(slice(None)).shape
    n_expected = n + (0 if subwords is None else subwords.n_rows)
    if n_rows != n_expected:
        raise ValueError(
            f"its matrix is {n_rows:,} x {dim:,}, while its {n:,} words and their n-grams need {n_expected:,} rows"
        )
    if norms is not None and len(norms) != n:
        raise ValueError(f"it has {len(norms):,} norms for {n:,} words")
    own = part(slice(0, n))
    if norms is not None and isinstance(own, Normed):
        norms = own.lengths.rows(slice(None)) * norms
        own = own.inner
    own = own if norms is None else Normed(own, Dense(norms))
    vocab, own = first_ones(Vocab(words, subwords=subwords), own)
    storage = own if subwords is None else Stacked(own, part(slice(n, n_expected)))
    about = {"provenance": {"metadata": found["metadata"]}} if "metadata" in found else None
    return Vectors(vocab, storage, about)


def _texts(cursor: Cursor, n: int, what: str, has_number: bool = False) -> tuple[list[str], list[int]]:
    """`n` texts, each behind its length in bytes and, where they have one, before a number of eight bytes."""
    data, width = cursor.bytes, 8 * has_number
    at = cursor.skip(n * (4 + width), f"{n:,} {what}")
    texts, numbers = [], []
    for i in range(n):
        begin = at + 4
        at = begin + int.from_bytes(data[begin - 4 : begin], "little")
        if at + width > len(data):
            raise ValueError(f"it ends in its {what}, at number {i:,} of {n:,}")
        texts.append(data[begin:at].decode("utf-8", "surrogateescape"))
        if has_number:
            numbers.append(int.from_bytes(data[at : at + width], "little"))
            at += width
    cursor.at = at
    return texts, numbers


def _read_words(make: Callable[..., Subwords | None], cursor: Cursor, n: int, *settings: int) -> Words:
    return _texts(cursor, n, "words")[0], make(*settings)


def _finalfusion_buckets(min_n: int, max_n: int, exponent: int) -> Subwords:
    if 2 ** min(exponent, 32) > MAX_BUCKETS:
        raise ValueError(f"it claims 2 ** {exponent} buckets, {MAX_BUCKETS:,} are the most")
    return FinalfusionBuckets(min_n, max_n, 2**exponent)


def _read_explicit(cursor: Cursor, n: int, n_ngrams: int, min_n: int, max_n: int) -> Words:
    words, _ = _texts(cursor, n, "words")
    ngrams, rows = _texts(cursor, n_ngrams, "n-grams", has_number=True)
    if not ngrams:
        return words, None
    if max(rows) >= n_ngrams:
        raise ValueError(f"an n-gram has row {max(rows):,}, while there are {n_ngrams:,} n-grams")
    table = None if rows == list(range(n_ngrams)) else np.array(rows, np.int32)
    return words, ListedNgrams(min_n, max_n, ngrams, table)


def _read_matrix(cursor: Cursor, n_rows: int, dim: int, kind: int) -> Rows:
    matrix = _read_floats(cursor, kind, n_rows, dim)
    return lambda rows: Dense(matrix[rows])


def _read_floats(cursor: Cursor, kind: int, *shape: int) -> np.ndarray:
    """An array of float32 behind its padding."""
    if kind != F32:
        raise ValueError(f"its numbers are of type {kind}, expected {F32} (float32)")
    cursor.at += padding(cursor.at)
    return cursor.array("<f4", *shape)


def padding(at: int) -> int:
    """Return the number of bytes before an array of float32: one to four, never none."""
    return 4 - at % 4


def _read_codes(
    cursor: Cursor, is_turned: int, has_norms: int, n_codes: int, dim: int, n_entries: int, n_rows: int, *types: int
) -> Rows:
    """Product codes, perhaps of turned rows, perhaps with a length for each row."""
    if types != (U8, F32):
        raise ValueError(f"its numbers are of types {types}, expected {(U8, F32)} (uint8, float32)")
    if not 1 <= n_codes <= dim or dim % n_codes or not 1 <= n_entries <= 256:
        raise ValueError(f"it claims {n_codes:,} codes of {n_entries:,} entries for {dim:,} dimensions")
    width, n_bits = dim // n_codes, max((n_entries - 1).bit_length(), 1)
    cursor.at += padding(cursor.at)
    axes = cursor.array("<f4", dim, dim).T if is_turned else None
    entries = cursor.array("<f4", n_codes, n_entries, width)
    lengths = cursor.array("<f4", n_rows, 1) if has_norms else None
    codes = cursor.array("u1", n_rows, n_codes)

    size = max(BLOCK_BYTES // n_codes, 1)
    blocks = [] if n_entries == 256 else [codes[start : start + size] for start in range(0, n_rows, size)]
    largest = max((int(block.max()) for block in blocks), default=0)
    if largest >= n_entries:
        raise ValueError(f"it has a code of {largest}, while codebooks have {n_entries} entries")
    packed = np.concatenate([pack_codes(block, n_bits) for block in blocks]) if n_bits < 8 and blocks else codes
    codebooks = np.zeros((2**n_bits, dim), np.float32)
    codebooks[:n_entries] = entries.swapaxes(0, 1).reshape(n_entries, dim)
    starts = np.arange(0, dim, width, dtype=np.int32)
    spans = np.stack([starts, starts + width], axis=1, dtype=np.int32)  # (n_codes, 2)

    def part(rows: slice) -> Storage:
        found: Storage = Coded(packed[rows], codebooks, spans, dim, n_bits)
        found = found if axes is None else Projected(found, axes)
        return found if lengths is None else Normed(found, Dense(lengths[rows]))

    return part


CHUNKS: dict[int, tuple[str, str, Callable[..., Any]]] = {  # what a chunk is good for, the numbers it begins with
    SIMPLE: ("words", "<Q", partial(_read_words, lambda: None)),
    NDARRAY: ("rows", "<Q2I", _read_matrix),
    BUCKETS: ("words", "<Q3I", partial(_read_words, _finalfusion_buckets)),
    QUANTIZED: ("rows", "<5IQ2I", _read_codes),
    METADATA: ("metadata", "", lambda cursor, n: cursor.numbers(f"<{n}s")[0].decode("utf-8", "replace")),
    NORMS: ("norms", "<QI", lambda cursor, n, kind: _read_floats(cursor, kind, n, 1)),
    FASTTEXT: ("words", "<Q3I", partial(_read_words, Subwords)),
    EXPLICIT: ("words", "<2Q2I", _read_explicit),
}

# -- writing ------------------------------------------------------------------------------


class Ngrams(NamedTuple):
    """N-grams as they are written: the chunk's kind and numbers, the rows, and listed texts with a row each."""

    kind: int = SIMPLE
    settings: tuple[int, ...] = ()
    rows: np.ndarray = np.empty(0, np.int64)  # of the n-gram matrix, in the order of the file
    texts: tuple[str, ...] = ()
    row_of: np.ndarray = np.empty(0, np.int64)  # (n_texts,), places in `rows`


class Product(NamedTuple):
    """Rows as product codes: what `Coded` has, axes to turn them with, and a length for each row, (n, 1)."""

    coded: Coded
    axes: np.ndarray | None
    lengths: np.ndarray | None


def save(v: Vectors, file: BinaryIO) -> None:
    """Write metadata, words with n-grams, rows of length 1 (or codes), and the words' lengths.

    Buckets that were pruned or folded cannot be numbered as they were: n-grams are then listed by their text, as far
    as known words have them. Codes stay codes where finalfusion can hold them. A vector comes back to a rounding, 1e-7
    of it: it is kept as direction and length.
    """
    ngrams, products, metadata = _written_ngrams(v), _products(v), _metadata(v)
    kinds = [METADATA] * bool(metadata) + [ngrams.kind, QUANTIZED if products else NDARRAY, NORMS]
    file.write(MAGIC + struct.pack(f"<II{len(kinds)}I", 0, len(kinds), *kinds))
    if metadata:
        file.write(struct.pack("<IQ", METADATA, len(metadata)) + metadata)
    listed = zip(ngrams.texts, ngrams.row_of.tolist(), strict=True)
    texts = [*map(_counted, v.words), *(_counted(text) + struct.pack("<Q", row) for text, row in listed)]
    sizes = [len(v), len(ngrams.texts)] if ngrams.kind == EXPLICIT else [len(v)]
    head = struct.pack(f"<{len(sizes)}Q{len(ngrams.settings)}I", *sizes, *ngrams.settings)
    file.write(struct.pack("<IQ", ngrams.kind, len(head) + sum(map(len, texts))) + head)
    file.writelines(texts)
    norms = _write_codes(file, v, products, ngrams.rows) if products else _write_matrix(file, v, ngrams.rows)
    _write_head(file, NORMS, norms.nbytes, "<QI", len(norms), F32)
    file.write(norms.astype("<f4").data)


def _counted(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def _write_head(file: BinaryIO, kind: int, n_bytes: int, layout: str, *numbers: int) -> None:
    """Begin a chunk with its numbers and the padding before so many bytes."""
    head = struct.pack(layout, *numbers)
    head += bytes(padding(file.tell() + len(head)))
    file.write(struct.pack("<IQ", kind, len(head) + n_bytes) + head)


def _write_matrix(file: BinaryIO, v: Vectors, ngram_rows: np.ndarray) -> np.ndarray:
    """The chunk with rows of float32, those of words scaled to length 1; gives their lengths, (n_words,)."""
    n_rows = len(v) + len(ngram_rows)
    _write_head(file, NDARRAY, 4 * n_rows * v.dim, "<Q2I", n_rows, v.dim, F32)
    norms = []
    for _, block in word_blocks(v):
        rows = block.astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1).clip(max=float(np.finfo(np.float32).max)).astype(np.float32)
        rows /= np.where(lengths > 0, lengths, 1)[:, None]
        file.write(rows.astype("<f4").data)
        norms.append(lengths)
    for start in range(0, len(ngram_rows), BLOCK):
        block = v.ngrams[1].rows(ngram_rows[start : start + BLOCK])
        check_finite(block, (), start, "n-gram row")
        file.write(block.astype("<f4").data)
    return np.concatenate(norms)


def _write_codes(file: BinaryIO, v: Vectors, products: list[Product], ngram_rows: np.ndarray) -> np.ndarray:
    """The chunk with product codes, which lengths make rows of length 1; gives the words' own lengths, (n_words,)."""
    coded, axes, _ = products[0]
    rows = [np.asarray(v.vocab.rows(np.arange(len(v)))), ngram_rows][: len(products)]
    factors = [
        np.ones(len(index), np.float32) if product.lengths is None else product.lengths[index, 0]
        for product, index in zip(products, rows, strict=True)
    ]
    if v.vocab.factors is not None:
        factors[0] *= v.vocab.factors
    factors[0] /= np.where(v.norms > 0, v.norms, 1)
    n_codes, (n_entries, dim) = len(coded.spans), coded.codebooks.shape
    arrays = [] if axes is None else [axes.T]
    arrays += [coded.codebooks.reshape(n_entries, n_codes, -1).swapaxes(0, 1), *factors]
    n_rows = sum(map(len, rows))
    n_bytes = sum(4 * array.size for array in arrays) + n_rows * n_codes
    header = (axes is not None, True, n_codes, dim, n_entries, n_rows, U8, F32)
    _write_head(file, QUANTIZED, n_bytes, "<5IQ2I", *header)
    for array in arrays:
        file.write(np.ascontiguousarray(array, "<f4").data)
    for product, index in zip(products, rows, strict=True):
        for start in range(0, len(index), BLOCK):
            packed = product.coded.packed[index[start : start + BLOCK]]
            file.write(np.ascontiguousarray(unpack_codes(packed, n_codes, product.coded.n_bits)).data)
    return v.norms


def _products(v: Vectors) -> list[Product]:
    """Words and n-grams as product codes of equal widths over the same codebooks, or an empty list."""
    found = []
    for part in [v.storage.words] + ([] if v.storage.ngrams is None else [v.storage.ngrams]):
        lengths = axes = None
        if isinstance(part, Normed):
            lengths, part = part.lengths.rows(slice(None)), part.inner
        if isinstance(part, Projected) and part.inner.shape == part.shape:
            axes, part = part.axes, part.inner
        if not isinstance(part, Coded) or not part.side_by_side or len(np.unique(np.diff(part.spans))) > 1:
            return []
        found.append(Product(part, axes, lengths))
    shared = [(p.coded.codebooks, p.coded.spans, p.coded.codebooks[:0] if p.axes is None else p.axes) for p in found]
    return found if not v.is_composed and all(map(np.array_equal, shared[0], shared[-1])) else []


def _written_ngrams(v: Vectors) -> Ngrams:
    """The n-grams in the kind of chunk that can hold them."""
    subwords = v.vocab.subwords
    if subwords is None:
        return Ngrams()
    rows = subwords.rows_of(np.arange(subwords.n_buckets))
    lengths = subwords.min_n, subwords.max_n
    if not isinstance(subwords, ListedNgrams) and not subwords.folded and (rows >= 0).all():
        n = subwords.n_buckets
        if isinstance(subwords, FinalfusionBuckets):
            return Ngrams(BUCKETS, (*lengths, n.bit_length() - 1), rows)
        return Ngrams(FASTTEXT, (*lengths, n), rows)
    bucket_of: dict[str, int] = {}
    if isinstance(subwords, ListedNgrams):
        bucket_of = subwords.numbers
    else:  # n-grams of the known words, in order of the words
        indptr, buckets = v.vocab.buckets(subwords)
        for word, own in zip(v.words, np.split(buckets, indptr[1:-1]), strict=True):
            bucket_of.update(zip(subwords.ngrams(word), own.tolist(), strict=True))
    named = {text: rows[bucket] for text, bucket in bucket_of.items() if rows[bucket] >= 0 and is_unicode(text)}
    if not named:
        return Ngrams()
    used, row_of = np.unique(list(named.values()), return_inverse=True)
    return Ngrams(EXPLICIT, lengths, used, tuple(named), row_of)


def _metadata(v: Vectors) -> bytes:
    """The metadata that the model came with, or the recipe and they, as TOML."""
    provenance, recipe = v.meta.get("provenance", {}), v.meta.get("recipe")
    if not recipe:
        with suppress(ValueError):
            text = str(provenance.get("metadata", ""))
            tomllib.loads(text)
            return text.encode()
    about = {"recipe": json.dumps(recipe, ensure_ascii=False)} if recipe else {}
    about |= {name: str(provenance[name]) for name in ("source", "metadata") if name in provenance}
    lines = [f"{name} = {json.dumps(printable(value), ensure_ascii=False)}\n" for name, value in about.items()]
    return "".join(["[workbench]\n", *lines]).replace("\x7f", "\\u007f").encode()  # which TOML must not hold as it is


def also_lost(v: Vectors) -> list[str]:
    v, lost = with_words(v, is_unicode), []
    ngrams, subwords = _written_ngrams(v), v.vocab.subwords
    parts = [v.storage.words] + ([] if v.storage.ngrams is None else [v.storage.ngrams])
    if not all(part.is_float32 for part in parts) and not _products(v):
        n_bytes = 4 * v.dim * (len(v) + len(ngrams.rows))
        lost.append(f"the compression: rows become {n_bytes / 1e6:.1f} MB of float32")
    if subwords is None:
        return lost
    rows = subwords.rows_of(np.arange(subwords.n_buckets))
    n_rows = len(np.unique(rows[rows >= 0]))
    if len(ngrams.rows) == 0:
        lost.append(f"its {n_rows:,} n-grams: words outside the vocabulary will have no vector")
    elif len(ngrams.rows) < n_rows:
        lost.append(
            f"{n_rows - len(ngrams.rows):,} of its {n_rows:,} n-gram rows: where buckets are pruned or folded, each "
            "n-gram is listed by its text, which is known only where a word of the vocabulary has it"
        )
    if ngrams.kind == FASTTEXT and subwords.min_n == 1:
        lost.append("vectors of unseen words to the last digit: finalfusion counts the marks < and > alone, too")
    return lost


FINALFUSION = Format(
    name="finalfusion",
    title="finalfusion",
    magic=(MAGIC,),
    load=load,
    save=save,
    suffixes=(".fifu",),
    keeps=frozenset({"n-grams", "codes"}),
    holds_word=is_unicode,
    also_lost=also_lost,
)
