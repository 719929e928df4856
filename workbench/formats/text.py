"""What the formats with one word a row share: opening, rows of numbers read and written, the result."""

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice, repeat
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from .. import progress
from ..spool import Spool
from ..storage import BLOCK, Dense
from ..subwords import utf8
from ..vectors import Vectors, check_finite
from ..vocab import Vocab, check_words, first_places

GZIP = b"\x1f\x8b"
MARK = b"\xef\xbb\xbf"  # the byte order mark that some editors put before text
CHUNK = 1 << 20  # bytes of lines read at once
SLOW = 8 << 20  # bytes of text that take half a second to read without the compiled kernels, as loading these does
MOST_DIMENSIONS = 1 << 18  # of a row of text or of word2vec's floats; far more than any model has
LONGEST_NUMBER = 64  # characters; float64 in full has 25
LONGEST_WORD = 1 << 16  # bytes

Rows = Iterable[tuple[bytes, np.ndarray]]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a plain or gzip file for reading bytes, past a byte order mark.

    It is an `IO[bytes]`, though gzip's type does not say so.
    """
    with open(path, "rb") as raw:
        is_gzip = raw.read(2) == GZIP
        raw.seek(0)
        file: Any = gzip.GzipFile(fileobj=raw) if is_gzip else raw
        head = file.read(len(MARK) + 1)
        is_mark = head.startswith(MARK) and head[-1:] != b" "  # before a space it is a word
        file.seek(len(MARK) if is_mark else 0)
        yield file


def parse_row(line: bytes, dim: int) -> tuple[bytes, np.ndarray] | None:
    """A word and its `dim` numbers from one line, or None where the line is not like that.

    Counted from the end, so that a word may hold spaces, as a few of GloVe's do.
    """
    word, *numbers = line.rstrip(b" \t\r\n").rsplit(b" ", dim)
    if len(numbers) != dim or max(map(len, numbers)) > LONGEST_NUMBER:  # numpy gives each the room of the longest
        return None
    try:
        with np.errstate(over="ignore"):  # what becomes infinite is refused later, by row and word
            return word, np.array(numbers).astype(np.float32)
    except ValueError:
        return None


def read_rows(file: IO[bytes], path: Path, dim: int, line_number: int = 1) -> Rows:
    """Words and vectors from the lines that are left; `line_number` is the next one's.

    Most lines of a large file are read by a compiled kernel, which leaves to `parse_row` what is unusual.
    """
    n_bytes, longest = 0, LONGEST_WORD + dim * LONGEST_NUMBER
    for lines in _lines(file, longest):
        n_bytes += sum(map(len, lines))
        lengths, vectors = _plain(lines, dim) if n_bytes > SLOW else (repeat(-1), repeat(None))
        for number, (line, length, vector) in enumerate(zip(lines, lengths, vectors, strict=False), line_number):
            if length >= 0:
                yield line[:length], vector
            elif len(line) > longest or line.strip():
                row = parse_row(line, dim) if len(line) <= longest else None
                if row is None:
                    raise ValueError(f"{path}, line {number:,}: expected a word and {dim} numbers, got {line[:60]!r}")
                yield row
        line_number += len(lines)


def _lines(file: IO[bytes], longest: int) -> Iterator[list[bytes]]:
    """Lines, many at once; one of more than `longest` bytes is cut, for a file may have no line ends at all."""
    rest = b""
    while chunk := file.read(CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > longest:
            lines, rest = [*lines, rest], b""
        yield lines
    yield [rest]


def _plain(lines: list[bytes], dim: int) -> tuple[Iterable[int], Iterable[Any]]:
    """For each line the length of its word and the vector; -1 where it is no plain line, see `kernels.plain_lines`."""
    from .. import kernels

    ends = np.cumsum([len(line) for line in lines], dtype=np.int64)
    if not len(ends) or 2 * dim * len(lines) > ends[-1]:  # a number takes two bytes; without room, none is made
        return repeat(-1), repeat(None)
    lengths, vectors = kernels.plain_lines(np.frombuffer(b"".join(lines), np.uint8), ends, dim)
    return lengths.tolist(), vectors


def vectors_from_rows(
    rows: Rows, path: Path, dim: int, expected: int | None = None, limit: int | None = None
) -> Vectors:
    """Collect rows into `Vectors`; `expected` is the number of rows the file promises, `limit` how many are read.

    Many rows are kept in a temporary file, not in memory: `Spool` says where.
    """
    words: list[str] = []
    if limit is not None:
        rows, expected = islice(rows, limit), None if expected is None else min(limit, expected)
    with Spool(dim) as spool, progress.bar(total=expected, unit=" words", desc=path.name, delay=2) as bar:
        for word, vector in rows:
            words.append(word.decode("utf-8", "surrogateescape"))
            spool.write(vector.tobytes())
            bar.update()
        if expected is not None and len(words) != expected:
            raise ValueError(f"{path} promises {expected:,} words in its first line and holds {len(words):,}")
        matrix = spool.matrix()  # (n_words, dim)
    try:
        check_finite(matrix, check_words(words))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    words, matrix = without_repeats(words, matrix)
    about = {"source": path.name, "source_bytes": path.stat().st_size}
    return Vectors(Vocab(words), Dense(matrix), {"provenance": about})


def without_repeats(words: list[str], matrix: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The first row of every word, moved up within the matrix itself; repeats are warned of."""
    places = first_places(words)
    if places is None:
        return words, matrix
    for start in range(0, len(places), BLOCK):
        chosen = places[start : start + BLOCK]
        matrix[start : start + len(chosen)] = matrix[chosen]
    return [words[i] for i in places], matrix[: len(places)]


def fits_a_line(word: str) -> bool:
    """Whether a line that begins with this word, then a space, is read as it was meant, by any tool."""
    return bool(word) and not any(character.isspace() for character in word)


def write_rows(file: BinaryIO, words: list[str], block: np.ndarray) -> None:
    """A line for each word: the word and its numbers, in nine digits, which give float32 back to the bit."""
    numbers = " ".join(["%.9g"] * block.shape[1]).encode()
    file.writelines(
        utf8(word) + b" " + numbers % tuple(row) + b"\n" for word, row in zip(words, block.tolist(), strict=True)
    )
