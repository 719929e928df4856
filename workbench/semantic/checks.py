"""Checks of items and of their vectors."""

from collections.abc import Sequence

import numpy as np

from ..subwords import is_text
from ..vocab import MAX_QUOTED, printable


def checked_items(items: Sequence[str]) -> tuple[str, ...]:
    """Return items as a tuple: at least one, none twice, each a string that a file can hold."""
    if isinstance(items, str):
        raise TypeError(f"expected several items, got the string {items!r}")
    items = tuple(items)
    if not items:
        raise ValueError("expected at least one item, got none")
    first: dict[str, int] = {}
    for row, item in enumerate(items):
        if not isinstance(item, str) or "\0" in item:
            raise TypeError(f"items must be strings without NUL; row {row} is {type(item).__name__} {item!r}")
        check_text(item, row)
        if first.setdefault(item, row) != row:
            raise ValueError(f"item {printable(item)!r} is there twice, in rows {first[item]} and {row}; keep one")
    return items


def check_text(text: str, row: int) -> None:
    """Refuse half of a surrogate pair: JSON can say it, no other file can hold it."""
    if not is_text(text):
        raise ValueError(f"row {row}: {text[:MAX_QUOTED]!r} holds half of a character, which no file can hold; mend it")


def checked_rows(rows: np.ndarray, items: Sequence[str]) -> np.ndarray:
    """Return a vector for each item, all numbers finite: (n_items, dim) float32."""
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or not rows.shape[1]:
        raise ValueError(f"expected numbers of shape (n_items, dim), got {rows.dtype} of shape {rows.shape}")
    if len(rows) != len(items):
        raise ValueError(f"expected a vector for each of {len(items)} items, got {len(rows)}")
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(rows, np.float32)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise ValueError(f"row {bad[0]} (item {printable(items[bad[0]])!r}) holds NaN or infinity; mend or remove it")
    return rows
