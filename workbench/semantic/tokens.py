"""Codes as the token strings of generative recommenders: ``<a_12><b_7><c_201>``, a letter for each level."""

import re
from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np

from ..vocab import printable

MOST_LEVELS = 1_000  # far more than anybody uses
TOKEN = re.compile(r"<([a-z]+)_(\d{1,9})>")


def letters(level: int) -> str:
    """What stands for a level, from 0 on: a, b ... z, aa, ab ..."""
    more, last = divmod(level, len(ascii_lowercase))
    return (letters(more - 1) if more else "") + ascii_lowercase[last]


def token_strings(codes: np.ndarray) -> list[str]:
    """Of codes, (n, n_levels), one string for each row."""
    form = "".join(f"<{letters(level)}_%d>" for level in range(codes.shape[1]))
    return [form % tuple(row) for row in codes.tolist()]


def parsed(items: Sequence[str], tokens: Sequence[str | Sequence[str]]) -> np.ndarray:
    """Codes of token strings, or of lists of tokens: (n, n_levels) int64.

    Raises
    ------
    ValueError
        At the first that is none, or has another number of levels than the first; its row and item are named.
    """
    if len(tokens) != len(items):
        raise ValueError(f"expected tokens for each of {len(items)} items, got {len(tokens)}")
    rows: list[list[int]] = []
    for row, (item, text) in enumerate(zip(items, tokens, strict=True)):
        try:
            codes = _codes(text)
        except ValueError as error:
            raise ValueError(f"row {row} (item {printable(item)!r}): {error}") from None
        if rows and len(codes) != len(rows[0]):
            raise ValueError(f"row {row} (item {printable(item)!r}) has {len(codes)} levels, row 0 has {len(rows[0])}")
        rows.append(codes)
    return np.array(rows, np.int64)


def _codes(tokens: str | Sequence[str]) -> list[int]:
    """Codes of one item."""
    if not isinstance(tokens, str):
        tokens = "".join(map(str, tokens)) if isinstance(tokens, list | tuple) else repr(tokens)
    text = "".join(tokens.split())
    if text.count("<") > MOST_LEVELS:
        raise ValueError(f"expected tokens of at most {MOST_LEVELS:,} levels, got {text.count('<'):,}")
    found = TOKEN.findall(text)
    if not found or "".join(f"<{level}_{code}>" for level, code in found) != text:
        raise ValueError(f"expected tokens such as '<a_12><b_7><c_201>', got {tokens!r}")
    expected = [letters(level) for level in range(len(found))]
    if [level for level, _ in found] != expected:
        raise ValueError(f"expected levels {', '.join(expected)}, in this order, got {tokens!r}")
    return [int(code) for _, code in found]
