"""GloVe text: one word a line with its numbers, and no header. Plain or gzip."""

from pathlib import Path
from typing import BinaryIO

from ..vectors import Vectors
from .base import Format
from .text import MAX_DIM, fits_a_line, max_line, opened, parse_row, read_blocks, vectors_from_blocks, write_rows


def looks_like(path: Path, head: bytes) -> bool:
    """Return whether the first line is a word and at least two numbers."""
    line = head.split(b"\n", 1)[0]
    dim = dimensions(line)
    return dim >= 2 and parse_row(line, dim) is not None


def dimensions(line: bytes) -> int:
    """Return how many numbers stand in a line whose word has no space; the word itself may be empty."""
    return line.rstrip().count(b" ")


def load(path: Path, limit: int | None = None) -> Vectors:
    """Read a GloVe file, or its first `limit` rows; the first line tells the number of dimensions."""
    with opened(path) as file:
        start = file.tell()
        dim = dimensions(file.readline(max_line(MAX_DIM)))
        if dim > MAX_DIM:
            raise ValueError(f"{path} has over {MAX_DIM:,} numbers in its first line, more than any model has")
        file.seek(start)
        return vectors_from_blocks(read_blocks(file, path, dim), path, dim, limit=limit)


def save(v: Vectors, file: BinaryIO) -> None:
    """Write a word and its numbers a line; float32 comes back to the bit."""
    if v.dim < 2:  # "5 3" could be a word and its number, or the first line of a word2vec file
        raise ValueError(f"GloVe text needs two dimensions at least, got {v.dim}; write word2vec text")
    write_rows(v, file)


GLOVE = Format(
    name="glove",
    title="GloVe text",
    looks_like=looks_like,
    load=load,
    save=save,
    suffixes=(".glove", ".txt"),
    holds_word=fits_a_line,
    gzips=True,
    takes_limit=True,
)
