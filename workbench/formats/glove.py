"""GloVe text: one word a line with its numbers, and no header. Plain or gzip."""

from pathlib import Path
from typing import BinaryIO

from ..vectors import Vectors
from .base import Format, word_blocks
from .text import (
    MAX_DIM,
    MAX_NUMBER,
    MAX_WORD,
    fits_a_line,
    opened,
    parse_row,
    read_blocks,
    vectors_from_blocks,
    write_rows,
)


def looks_like(path: Path, head: bytes) -> bool:
    """Whether the first line is a word and two numbers at least. `head` must hold that line."""
    line = head.split(b"\n", 1)[0]
    dim = dimensions(line)
    return dim >= 2 and parse_row(line, dim) is not None


def dimensions(line: bytes) -> int:
    """Numbers in a line whose word has no space; the word itself may be empty."""
    return line.rstrip().count(b" ")


def load(path: Path, limit: int | None = None) -> Vectors:
    """Read a GloVe file, or its first `limit` rows; the first line tells the number of dimensions.

    Raises
    ------
    ValueError
        If a row has another number of values, naming its line.
    """
    with opened(path) as file:
        start = file.tell()
        dim = dimensions(file.readline(MAX_WORD + MAX_NUMBER * MAX_DIM))
        if dim > MAX_DIM:
            raise ValueError(f"{path} has over {MAX_DIM:,} numbers in its first line, more than any model has")
        file.seek(start)
        return vectors_from_blocks(read_blocks(file, path, dim), path, dim, limit=limit)


def save(v: Vectors, file: BinaryIO) -> None:
    """Write a word and its numbers a line; float32 comes back to the bit.

    Raises
    ------
    ValueError
        If there is one dimension only: ``5 3`` could be a word and its number, or the first line of a word2vec file.
    """
    if v.dim < 2:
        raise ValueError(f"GloVe text needs two dimensions at least, got {v.dim}; write word2vec text")
    for words, block in word_blocks(v, fits_a_line):
        write_rows(file, words, block)


GLOVE = Format(
    name="glove",
    title="GloVe text",
    looks_like=looks_like,
    load=load,
    save=save,
    suffixes=(".glove", ".txt"),
    holds=fits_a_line,
    gzips=True,
    stops=True,
)
