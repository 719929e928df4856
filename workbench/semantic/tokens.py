"""Codes as the tokens of generative recommenders: ``<a_12><b_7><c_201>``, a letter for each level."""

import re
from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np

from ..vocab import printable

TOKEN = re.compile(r"<[a-z]+_(\d{1,9})>")


def letters(level: int) -> str:
    """Return the letters of a level, from 0 on: a, b ... z, aa, ab ..."""
    more, last = divmod(level, len(ascii_lowercase))
    return (letters(more - 1) if more else "") + ascii_lowercase[last]


def token_strings(codes: np.ndarray) -> list[str]:
    """Return a string for each row of codes, (n, n_levels)."""
    form = "".join(f"<{letters(level)}_%d>" for level in range(codes.shape[1]))
    return [form % tuple(row) for row in codes.tolist()]


def parsed(items: Sequence[str], tokens: Sequence[str | Sequence[str]]) -> np.ndarray:
    """Return codes of token strings, or of lists of tokens, one for each item: (n, n_levels) int64."""
    if len(tokens) != len(items):
        raise ValueError(f"expected tokens for each of {len(items)} items, got {len(tokens)}")
    rows: list[list[str]] = []
    for row, (item, given) in enumerate(zip(items, tokens, strict=True)):
        text = "".join("".join(map(str, given)).split())
        codes = TOKEN.findall(text)
        named = f"row {row} (item {printable(item)!r})"
        if not codes or text != "".join(f"<{letters(level)}_{code}>" for level, code in enumerate(codes)):
            raise ValueError(f"{named}: expected tokens such as '<a_12><b_7><c_201>', levels in order, got {given!r}")
        if rows and len(codes) != len(rows[0]):
            raise ValueError(f"{named} has {len(codes)} levels, row 0 has {len(rows[0])}")
        rows.append(codes)
    return np.array(rows).astype(np.int64)
