"""Helpers for formats with one word a row: opening, lines of numbers read and written, the result."""

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from .. import progress
from ..spool import spooled
from ..subwords import utf8
from ..vectors import Vectors
from .base import word_blocks

GZIP = b"\x1f\x8b"
BLANKS = b" \t\r\n"  # that may end a line
MARK = b"\xef\xbb\xbf"  # the byte order mark that some editors put before text
CHUNK = 1 << 20  # bytes of lines read at once
MAX_DIM = 1 << 18  # of a row of text or of word2vec's floats; far more than any model has
MAX_NUMBER = 64  # characters; float64 in full has 25
MAX_WORD = 1 << 16  # bytes

# Words, their vectors, (n, dim) float32, and perhaps how often each was seen, (n,) int64.
Blocks = Iterable[tuple[list[bytes], np.ndarray]]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a plain or gzip file for reading bytes, behind a byte order mark."""
    with open(path, "rb") as raw:
        is_gzip = raw.read(2) == GZIP
        raw.seek(0)
        file: Any = gzip.GzipFile(fileobj=raw) if is_gzip else raw
        head = file.read(len(MARK) + 1)
        is_mark = head.startswith(MARK) and head[-1:] != b" "  # before a space it is a word
        file.seek(len(MARK) if is_mark else 0)
        yield file


def max_line(dim: int) -> int:
    """Return the bytes that a line may have; a file may have no line ends at all."""
    return MAX_WORD + dim * MAX_NUMBER


def parse_row(line: bytes, dim: int) -> tuple[bytes, np.ndarray] | None:
    """Return the word and the `dim` numbers of one line, or None where it has others.

    Numbers are counted from the end, since a word may hold spaces, as a few of GloVe's do.
    """
    word, *numbers = line.rstrip(BLANKS).rsplit(b" ", dim)
    if len(numbers) != dim or max(map(len, numbers)) > MAX_NUMBER:  # numpy gives each the room of the longest
        return None
    try:
        with np.errstate(over="ignore"):  # infinity is refused later, by row and word
            return word, np.array(numbers).astype(np.float32)
    except ValueError:
        return None


def read_blocks(file: IO[bytes], path: Path, dim: int, line_number: int = 1) -> Blocks:
    """Yield words and vectors of the lines that are left; `line_number` is that of the next one.

    numpy reads many lines at once, and `parse_row` one by one where some are unusual; the numbers are the same.
    """
    for lines in _lines(file, max_line(dim)):
        block = _parse_plain(lines, dim)
        if block is not None:
            yield block
        for number, line in enumerate(lines if block is None else [], line_number):
            if len(line) > max_line(dim) or line.strip():
                row = parse_row(line, dim) if len(line) <= max_line(dim) else None
                if row is None:
                    raise ValueError(f"{path}, line {number:,}: expected a word and {dim} numbers, got {line[:60]!r}")
                yield [row[0]], row[1][None]
        line_number += len(lines)


def _lines(file: IO[bytes], longest: int) -> Iterator[list[bytes]]:
    rest = b""
    while chunk := file.read(CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > longest:
            lines, rest = [*lines, rest], b""
        yield lines
    yield [rest]


def _parse_plain(lines: list[bytes], dim: int) -> tuple[list[bytes], np.ndarray] | None:
    """Words and vectors of lines that all are a word without spaces and `dim` numbers; else None."""
    parts = [line.rstrip(BLANKS).partition(b" ") for line in lines]
    numbers = [rest for _, _, rest in parts]
    if not numbers or not all(numbers):  # numpy skips empty lines
        return None
    try:
        block = np.loadtxt(numbers, np.float32, comments=None, delimiter=" ", ndmin=2, encoding="ascii")
    except ValueError:
        return None
    return ([word for word, _, _ in parts], block) if block.shape == (len(lines), dim) else None


def vectors_from_blocks(
    blocks: Blocks, path: Path, dim: int, expected: int | None = None, limit: int | None = None
) -> Vectors:
    """Collect `Vectors`; `expected` is the number of words that the file promises, `limit` how many are read.

    Many rows are kept in a temporary file, not in memory: `spooled` says where.
    """
    words: list[str] = []
    if limit is not None and expected is not None:
        expected = min(limit, expected)

    def rows() -> Iterator[np.ndarray]:
        with progress.bar(total=expected, unit=" words", desc=path.name, delay=2) as bar:
            for found, block in blocks:
                found = found if limit is None else found[: limit - len(words)]
                words.extend(word.decode("utf-8", "surrogateescape") for word in found)
                yield block[: len(found)]
                bar.update(len(found))
                if len(words) == limit:
                    break

    matrix = spooled(rows(), dim)  # (n_words, dim)
    if expected is not None and len(words) != expected:
        raise ValueError(f"{path} promises {expected:,} words in its first line and holds {len(words):,}")
    return Vectors.from_arrays(words, matrix)


def fits_a_line(word: str) -> bool:
    """Return whether any tool reads a line that begins with this word, then a space, as it is meant."""
    return bool(word) and not any(character.isspace() for character in word)


def write_rows(v: Vectors, file: BinaryIO) -> None:
    """Write a line for each word: the word and its numbers, in nine digits, which give float32 back to the bit."""
    numbers = b" ".join([b"%.9g"] * v.dim)
    for words, block in word_blocks(v):
        rows = zip(words, block.tolist(), strict=True)
        file.writelines(utf8(word) + b" " + numbers % tuple(row) + b"\n" for word, row in rows)
