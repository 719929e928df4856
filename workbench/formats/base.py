"""What a format is, and what those who write one have in common."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import progress
from ..vectors import Vectors
from ..vocab import printable


def nothing_more(v: Vectors) -> list[str]:
    """For formats of which `Format.losses` says all there is to say."""
    return []


def any_word(word: str) -> bool:
    """For formats that hold every word."""
    return True


def is_unicode(word: str) -> bool:
    """Whether a word is whole Unicode text, as formats need whose readers refuse a file with any other word."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Format:
    """A foreign format: how to know it, to read it and to write it. Each lives in a file of its own.

    Parameters
    ----------
    name : str
        What ``export(v, path, format=name)`` takes.
    title : str
        What people call it.
    looks_like : function of a path and the first bytes (of a gzip file, of what is in it), or None
        Whether this is such a file; of a folder the bytes are empty. None where it is only written.
    load : function of a path, giving Vectors, or None
        None where the format is only written. With `stops` it takes ``limit=``, too.
    save : function of Vectors and a file open for writing bytes (or an empty folder's path), or None
        `export` moves the result to its place once it is whole, and gzips what shall be gzipped.
        None where the format is only read.
    suffixes : tuple of str
        Names of files that end so are written in this format, if nobody says another.
    reads : tuple of str
        Further endings of files in this format, for dialogs that choose one to open.
    keeps : frozenset of {"n-grams", "counts", "codes", "recipe"}
        What it holds beside words and rows of float32.
    holds : function of a word
        Whether the format can hold this word; words that it cannot hold are left out.
    also_lost : function of Vectors, giving a list of str
        What else the format cannot hold of this model, a sentence each.
    stops : bool
        Whether reading stops after the first words that are asked for, so that a file cut short later is read.
    gzips : bool
        Whether such files come gzipped, too.
    is_pickle : bool
        Whether reading one can run code, so that it is read only on the user's word.
    is_folder : bool
    """

    name: str
    title: str
    looks_like: Callable[[Path, bytes], bool] | None = None
    load: Callable[..., Vectors] | None = None
    save: Callable[[Vectors, Any], None] | None = None
    reads: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    keeps: frozenset[str] = frozenset()
    holds: Callable[[str], bool] = any_word
    also_lost: Callable[[Vectors], list[str]] = nothing_more
    stops: bool = False
    gzips: bool = False
    is_pickle: bool = False
    is_folder: bool = False

    def losses(self, v: Vectors) -> list[str]:
        """What of `v` this format cannot hold, a sentence each; none where a file of it gives `v` again."""
        lost = []
        if v.vocab.subwords is not None and "n-grams" not in self.keeps:
            lost.append(f"its {len(v.ngrams[1]):,} n-grams: words outside the vocabulary will have no vector")
        if not v.storage.words.is_float32 and "codes" not in self.keeps:
            n_bytes = 4 * len(v) * v.dim
            lost.append(f"the compression: rows of words become {n_bytes / 1e6:.1f} MB of float32")
        if v.vocab.counts is not None and "counts" not in self.keeps:
            lost.append("how often each word was seen")
        unfit = [word for word in v.words if not self.holds(word)]
        if unfit:
            named = ", ".join(repr(printable(word)) for word in unfit[:3])
            lost.append(f"{len(unfit):,} words that the format cannot hold, such as {named}: they are left out")
        if v.meta.get("recipe") and "recipe" not in self.keeps:
            lost.append("the recipe that made it")
        return lost + self.also_lost(v)


def word_blocks(v: Vectors, holds: Callable[[str], bool] = any_word) -> Iterator[tuple[list[str], np.ndarray]]:
    """Words that a format holds and their vectors, (n, dim) float32, block by block, with a progress bar."""
    with progress.bar(total=len(v), unit=" words", desc="writing", delay=2) as bar:
        for start, block in v.blocks():
            words = v.words[start : start + len(block)]
            held = np.array([holds(word) for word in words])
            yield [word for word, is_held in zip(words, held, strict=True) if is_held], block[held]
            bar.update(len(block))
