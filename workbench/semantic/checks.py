"""Checks of items and of their vectors."""

from collections.abc import Iterable, Sequence

import numpy as np

from ..vectors import Vectors, check_finite
from ..vocab import check_words, printable


def checked_items(items: Iterable[str]) -> tuple[str, ...]:
    """Return items as a tuple: at least one, none twice, each a string that a file can hold."""
    items = tuple(check_words(items, "item"))
    first: dict[str, int] = {}
    for row, item in enumerate(items):
        if first.setdefault(item, row) != row:
            raise ValueError(f"item {printable(item)!r} is there twice, in rows {first[item]} and {row}; keep one")
    return items


def checked_rows(vectors: Vectors | np.ndarray, items: Sequence[str]) -> np.ndarray:
    """Return the vector of each item, by name or from rows in their order, all finite: (n_items, dim) float32."""
    rows = vectors.get_vectors(items) if isinstance(vectors, Vectors) else np.asarray(vectors)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or not rows.shape[1]:
        raise ValueError(f"expected numbers of shape (n_items, dim), got {rows.dtype} of shape {rows.shape}")
    if len(rows) != len(items):
        raise ValueError(f"expected a vector for each of {len(items)} items, got {len(rows)}")
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(rows, np.float32)
    check_finite(rows, items, noun="item")
    return rows
