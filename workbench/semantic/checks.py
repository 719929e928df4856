"""What items, codes, codebooks and vectors must be, and what is said where they are not."""

from collections.abc import Sequence

import numpy as np

from ..subwords import is_text
from ..vocab import MAX_QUOTED, printable


def checked_items(items: Sequence[str]) -> tuple[str, ...]:
    """Items, of which there is at least one and none twice."""
    if isinstance(items, str):
        raise TypeError(f"expected several items, got the string {items!r}")
    items = tuple(items)
    if not items:
        raise ValueError("expected at least one item, got none")
    seen: dict[str, int] = {}
    for row, item in enumerate(items):
        if not isinstance(item, str) or "\0" in item:
            raise TypeError(f"items must be strings without NUL; row {row} is {type(item).__name__} {item!r}")
        check_text(item, row)
        if seen.setdefault(item, row) != row:
            raise ValueError(
                f"item {printable(item)!r} is there twice, in rows {seen[item]} and {row}; keep one of them"
            )
    return items


def check_text(text: str, row: int) -> None:
    """Refuse half of a surrogate pair, which JSON can say and no file can hold."""
    if not is_text(text):
        raise ValueError(f"row {row}: {text[:MAX_QUOTED]!r} holds half of a character, which no file can hold; mend it")


def checked_codes(codes: np.ndarray, items: tuple[str, ...]) -> np.ndarray:
    """Codes of items, whole numbers from 0: (n_items, n_levels) int32, read-only, a copy."""
    codes = np.asarray(codes)
    if codes.ndim != 2 or len(codes) != len(items) or not codes.shape[1]:
        raise ValueError(f"expected codes of shape ({len(items)}, n_levels), a row for each item, got {codes.shape}")
    if codes.dtype.kind not in "iuf":
        raise TypeError(f"expected codes that are whole numbers, got dtype {codes.dtype}")
    limit = np.iinfo(np.int32).max
    with np.errstate(invalid="ignore"):
        good = (codes >= 0) & (codes <= limit) & (codes == np.floor(codes))
    if not good.all():
        row, level = np.argwhere(~good)[0]
        raise ValueError(
            f"codes must be whole numbers from 0; item {printable(items[row])!r} (row {row}) "
            f"has {codes[row, level]} at level {level + 1}"
        )
    codes = codes.astype(np.int32)
    codes.setflags(write=False)
    return codes


def checked_codebooks(codebooks: np.ndarray, n_levels: int) -> np.ndarray:
    """Codebooks of finite numbers: (n_levels, n_entries, dim) float32, read-only, a copy."""
    codebooks = np.array(codebooks, np.float32)
    if codebooks.ndim != 3 or len(codebooks) != n_levels or 0 in codebooks.shape:
        raise ValueError(f"expected codebooks of shape ({n_levels}, codebook_size, dim), got {codebooks.shape}")
    if not np.isfinite(codebooks).all():
        level, entry = np.argwhere(~np.isfinite(codebooks).all(axis=2))[0]
        raise ValueError(f"entry {entry} of level {level + 1} holds NaN or infinity")
    codebooks.setflags(write=False)
    return codebooks


def checked_rows(rows: np.ndarray, items: Sequence[str]) -> np.ndarray:
    """A vector for each item, all numbers finite: (n_items, dim) float32."""
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
