"""word2vec, text and binary: a line with the number of words and dimensions, then the words."""

import gzip
import re
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from ..subwords import utf8
from ..vectors import Vectors
from .base import Format, is_unicode, word_blocks
from .text import (
    CHUNK,
    MAX_DIM,
    MAX_WORD,
    Blocks,
    fits_a_line,
    max_line,
    opened,
    parse_row,
    read_blocks,
    vectors_from_blocks,
    write_rows,
)

MAX_HEADER = 64  # bytes
HEADER = re.compile(rb"(\d{1,18}) +(\d{1,9})[ \t]*\r?\n")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # bytes that floats are full of and no text has
ENDS_IN_A_NUMBER = re.compile(rb" [-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")


def load(path: Path, limit: int | None = None) -> Vectors:
    """Read a word2vec file, or its first `limit` rows; whether it is text or binary shows in its first row."""
    file_size = path.stat().st_size
    with opened(path) as file:
        n_words, dim = map(int, HEADER.match(file.readline(MAX_HEADER)).groups())  # type: ignore[union-attr]
        n_read = min(n_words, limit or n_words)
        # A number takes two bytes at least, and deflate packs 1032 to 1 at best.
        if n_read < 1 or dim < 1 or n_read * dim * 2 > file_size * (1032 if isinstance(file, gzip.GzipFile) else 1):
            raise ValueError(
                f"{path} claims {n_read:,} words of {dim:,} dimensions in its first line, "
                f"which cannot be in a file of {file_size:,} bytes"
            )
        if dim > MAX_DIM:
            raise ValueError(f"{path} claims {dim:,} dimensions in its first line; {MAX_DIM:,} are read at most")
        start = file.tell()
        first_line = file.readline(max_line(dim))
        head = first_line[:CHUNK] + file.read(4096)
        file.seek(start)
        if parse_row(first_line, dim) is not None:
            _check_dimensions(file, path, dim, min(n_read, 100))
            blocks = read_blocks(file, path, dim, 2)
        else:
            has_fields = len(first_line.split()) == dim + 1 and not CONTROL.search(first_line)
            if not CONTROL.search(head) and (has_fields or not _fits_binary(head, n_words, dim)):
                raise ValueError(f"{path}, line 2: expected a word and {dim} numbers, got {first_line[:60]!r}")
            blocks = _binary_blocks(file, path, n_words, n_read, dim)
        return vectors_from_blocks(blocks, path, dim, n_words, limit)


def _check_dimensions(file: IO[bytes], path: Path, dim: int, n: int) -> None:
    """Refuse text whose first `n` words all end in a number, which belongs to the vectors."""
    start = file.tell()
    rows = [parse_row(file.readline(max_line(dim)), dim) for _ in range(n)]
    file.seek(start)
    words = [row[0] for row in rows if row is not None]
    if all(map(ENDS_IN_A_NUMBER.search, words)):
        raise ValueError(
            f"{path}: its first line says {dim} dimensions, and the lines have more numbers, so that words would end "
            f"in them (such as {words[0][:60]!r}); mend the first line"
        )


def _fits_binary(rest: bytes, n_words: int, dim: int) -> bool:
    """Return whether `rest` is so many words with floats: a few floats may lack control characters."""
    at = 0
    for _ in range(n_words):
        space = rest.find(b" ", at)
        if space < 0:
            return False
        at = space + 1 + 4 * dim
    return at <= len(rest) and not rest[at:].strip(b"\n")


def _binary_blocks(file: IO[bytes], path: Path, n_words: int, n_read: int, dim: int) -> Blocks:
    """Yield the first `n_read` words and their vectors, many at once.

    An entry is the word, a space, the floats, and from most tools a newline: after every row or after none. So a row
    without its newline, or bytes that are left over, show that words and floats are out of step.
    """
    data, at, ends_in_newline = b"", 0, False
    words: list[bytes] = []
    rows: list[np.ndarray] = []
    for i in range(n_read):
        space = data.find(b" ", at)
        while space < 0 or len(data) < space + 1 + 4 * dim:
            if space < 0 and len(data) - at > MAX_WORD:
                raise ValueError(f"{path} is damaged: word {i + 1:,} of {n_words:,} has no end")
            if words:
                yield words, np.array(rows)
                words, rows = [], []
            more = file.read(max(CHUNK, 4 * dim))
            if not more:
                raise ValueError(f"{path} is cut short: it ends in word {i + 1:,} of {n_words:,}")
            data, at = data[at:] + more, 0
            space = data.find(b" ", at)
        word = data[at:space]
        has_newline = word.startswith(b"\n")
        ends_in_newline = has_newline if i == 1 else ends_in_newline
        is_word = ends_in_newline or (is_unicode(word.decode("utf-8", "surrogateescape")) and not CONTROL.search(word))
        if i and (has_newline != ends_in_newline or not is_word):
            raise ValueError(
                f"{path} is out of step before word {i + 1:,} of {n_words:,}, which would be {word[:60]!r}: "
                "a word before it holds a space, or the first line says a wrong number of dimensions"
            )
        words.append(word.lstrip(b"\n"))
        rows.append(np.frombuffer(data, "<f4", count=dim, offset=space + 1))
        at = space + 1 + 4 * dim
    yield words, np.array(rows)
    rest = (data[at:] + file.read(CHUNK)).lstrip(b"\n")
    if rest and n_read == n_words:
        raise ValueError(
            f"{path} has bytes left over after word {n_words:,}, beginning with {rest[:60]!r}: its first line says a "
            "wrong number of words or dimensions, or the last word holds a space"
        )


def save_text(v: Vectors, file: BinaryIO) -> None:
    """Write the number of words and dimensions, then a word and its numbers a line."""
    file.write(b"%d %d\n" % (len(v), v.dim))
    write_rows(v, file)


def save_binary(v: Vectors, file: BinaryIO) -> None:
    """Write the number of words and dimensions, then each word, a space, its floats and a newline."""
    file.write(b"%d %d\n" % (len(v), v.dim))
    for words, block in word_blocks(v):
        rows = zip(words, block.astype("<f4"), strict=True)
        file.writelines(utf8(word) + b" " + row.tobytes() + b"\n" for word, row in rows)


TEXT = Format(
    name="word2vec",
    title="word2vec text",
    looks_like=lambda path, head: HEADER.match(head[:MAX_HEADER]) is not None,  # the binary kind, too
    load=load,
    save=save_text,
    suffixes=(".vec", ".txt"),
    holds_word=fits_a_line,
    gzips=True,
    takes_limit=True,
)
BINARY = Format(
    name="word2vec-binary",
    title="word2vec binary",
    save=save_binary,
    suffixes=(".bin",),
    holds_word=fits_a_line,
    gzips=True,
)
