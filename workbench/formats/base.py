"""`Format`, and helpers that readers and writers of several formats share.

Words whose bytes are not UTF-8 are kept: decoded with ``surrogateescape``, encoded by `subwords.utf8`.
"""

import math
import mmap
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import progress
from ..storage import Storage
from ..vectors import Vectors
from ..vocab import Vocab, first_places, printable


@dataclass(frozen=True)
class Format:
    """A file format: how to recognise, read and write it. Each lives in a file of its own."""

    name: str  # what ``export(v, path, format=name)`` takes
    title: str  # what people call it
    magic: tuple[bytes, ...] = ()  # the first bytes of such files
    looks_like: Callable[[Path, bytes], bool] | None = None  # of a path and its first bytes, of gzip unpacked
    load: Callable[..., Vectors] | None = None  # of a path
    save: Callable[[Vectors, Any], None] | None = None  # into a file open for bytes, or an empty folder
    suffixes: tuple[str, ...] = ()  # file names that end so are written in this format
    also_opens: tuple[str, ...] = ()  # further ends of names, for dialogs that choose a file to open
    keeps: frozenset[str] = frozenset()  # which of "n-grams", "counts", "codes" and "recipe" it holds
    holds_word: Callable[[str], bool] | None = None  # whether a file can hold this word; `save` gets no others
    also_lost: Callable[[Vectors], list[str]] | None = None  # what else of a model it cannot hold, a sentence each
    takes_limit: bool = False  # `load` takes a limit and reads no further
    gzips: bool = False  # such files may be gzipped
    is_pickle: bool = False  # reading one can run code, so the user must allow it
    is_folder: bool = False

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether a file that begins with `head`, or a folder, is in this format."""
        return head.startswith(self.magic) or (self.looks_like is not None and self.looks_like(path, head))

    def losses(self, v: Vectors) -> list[str]:
        """Return a sentence for each thing in `v` that this format cannot hold."""
        lost = []
        if v.vocab.subwords is not None and "n-grams" not in self.keeps:
            lost.append(f"its {len(v.ngrams[1]):,} n-grams: words outside the vocabulary will have no vector")
        if not v.storage.words.is_float32 and "codes" not in self.keeps:
            lost.append(f"the compression: rows of words become {4 * len(v) * v.dim / 1e6:.1f} MB of float32")
        if v.vocab.counts is not None and "counts" not in self.keeps:
            lost.append("how often each word was seen")
        unfit = [word for word in v.words if self.holds_word is not None and not self.holds_word(word)]
        if unfit:
            named = ", ".join(repr(printable(word)) for word in unfit[:3])
            lost.append(f"{len(unfit):,} words, such as {named}: they are left out")
        if v.meta.get("recipe") and "recipe" not in self.keeps:
            lost.append("the recipe that made it")
        return lost if self.also_lost is None or len(unfit) == len(v) else lost + self.also_lost(v)


class Cursor:
    """A place in a mapped file, from which numbers and arrays are read in turn, never beyond its end."""

    def __init__(self, path: Path):
        with open(path, "rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.data = np.frombuffer(self.bytes, np.uint8)  # the same bytes
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes that follow."""
        return max(len(self.bytes) - self.at, 0)

    def numbers(self, layout: str) -> tuple[Any, ...]:
        """Return the next numbers, in `struct`'s layout."""
        size = struct.calcsize(layout)
        if size > self.left:
            raise ValueError("it ends in the middle of its header: cut short")
        self.at += size
        return struct.unpack_from(layout, self.bytes, self.at - size)

    def array(self, dtype: str, *shape: int, what: str = "a matrix") -> np.ndarray:
        """Return an array that stays in the file."""
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        start = self.skip(n_bytes, f"{what} of {' x '.join(f'{n:,}' for n in shape)} ({n_bytes:,} bytes)")
        return self.data[start : self.at].view(dtype).reshape(shape)

    def skip(self, n_bytes: int, what: str) -> int:
        """Move on and return where these bytes begin; refuse what the rest of the file cannot hold."""
        if not 0 <= n_bytes <= self.left:
            raise ValueError(f"its header claims {what}, but only {self.left:,} bytes follow: cut short or damaged")
        self.at += n_bytes
        return self.at - n_bytes


def first_ones(vocab: Vocab, words: Storage) -> tuple[Vocab, Storage]:
    """Keep the first of words that repeat, with a warning."""
    places = first_places(vocab.words)
    if places is None:
        return vocab, words
    vocab, rows = vocab.take(places)
    return vocab, words.take(rows)


def is_unicode(word: str) -> bool:
    """Return whether a word is whole Unicode text, without bytes that are not UTF-8."""
    return word.encode("utf-8", "ignore").decode() == word


def with_words(v: Vectors, holds_word: Callable[[str], bool]) -> Vectors:
    """Return `v` with the words that `holds_word` accepts, over the same storage."""
    held = np.flatnonzero([holds_word(word) for word in v.words])
    if len(held) == len(v):
        return v
    if not len(held):
        raise ValueError(f"the format can hold none of the {len(v):,} words")
    vocab, rows = v.vocab.take(held)
    row_of = rows if vocab.row_of is None else rows[vocab.row_of]
    return v.with_storage(v.storage, Vocab(vocab.words, row_of, vocab.counts, vocab.subwords, vocab.scales))


def word_blocks(v: Vectors) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yield words and their vectors, (n, dim) float32, block by block, with a progress bar."""
    with progress.bar(total=len(v), unit=" words", desc="writing", delay=2) as bar:
        for start, block in v.blocks():
            yield v.words[start : start + len(block)], block
            bar.update(len(block))
