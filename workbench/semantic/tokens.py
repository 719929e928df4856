"""Codes as the tokens of generative recommenders: ``<a_12><b_7><c_201>``, a letter for each level."""

import re
from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np

from ..vocab import printable

MAX_LEVELS = 1_000  # far more than anybody uses
TOKEN = re.compile(r"<([a-z]+)_(\d{1,9})>")


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
    rows: list[list[int]] = []
    for row, (item, given) in enumerate(zip(items, tokens, strict=True)):
        named = f"row {row} (item {printable(item)!r})"
        text = given if isinstance(given, str) else "".join(map(str, given)) if isinstance(given, list | tuple) else ""
        text = "".join(text.split())
        if text.count("<") > MAX_LEVELS:
            raise ValueError(f"{named}: expected tokens of at most {MAX_LEVELS:,} levels, got {text.count('<'):,}")
        found = TOKEN.findall(text)
        if not found or "".join(f"<{level}_{code}>" for level, code in found) != text:
            raise ValueError(f"{named}: expected tokens such as '<a_12><b_7><c_201>', got {given!r}")
        expected = [letters(level) for level in range(len(found))]
        if [level for level, _ in found] != expected:
            raise ValueError(f"{named}: expected levels {', '.join(expected)}, in this order, got {given!r}")
        if rows and len(found) != len(rows[0]):
            raise ValueError(f"{named} has {len(found)} levels, row 0 has {len(rows[0])}")
        rows.append([int(code) for _, code in found])
    return np.array(rows, np.int64)
