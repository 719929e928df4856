"""The tree of codes, in which the items whose ids begin with the same codes are below one branch."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from .ids import SemanticIDs

MAX_TILES = (7, 3)  # of the tree under one tile, level by level; the last holds for deeper ones
Prefix = tuple[int, ...]


def is_below(codes: np.ndarray, prefix: Prefix) -> np.ndarray:
    """Return which codes (n, n_levels) begin with a prefix: (n,) bool."""
    return (codes[:, : len(prefix)] == np.array(prefix, codes.dtype)).all(axis=1)


def words_of(prefix: Prefix) -> str:
    """Return a prefix in words."""
    return "-".join(map(str, prefix)) if prefix else "all items"


def tree_table(
    ids: SemanticIDs, depth: int = 2, prefix: Iterable[int] = (), most: Sequence[int] = MAX_TILES
) -> pd.DataFrame:
    """Return the tree of codes below a prefix, `depth` levels of it.

    Parameters
    ----------
    most : sequence of int
        Branches under each, level by level, the most populous; the last number holds for deeper levels.

    Returns
    -------
    DataFrame
        A row for each branch, those under it behind it, the first the prefix itself: ``prefix``, ``level``, ``count``
        (items), ``share`` (of those below `prefix`), ``exemplars`` (names), ``n_joined`` (0, or how many less populous
        branches of the ``prefix`` this row stands for), ``top`` and ``height`` (of its tile, as shares; joined branches
        are drawn no higher than the average of those beside them).
    """
    prefix, rows = tuple(prefix), list[tuple]()
    if depth < 1 or not most or min(most) < 1:
        raise ValueError(f"expected a depth and numbers of branches of at least 1, got {depth} and {tuple(most)}")
    if not ids.with_prefix(prefix):
        raise ValueError(f"no item has an id that begins with {words_of(prefix)}")

    def grow(prefix: Prefix, count: int, names: tuple, depth: int, most: Sequence[int], top: float, height: float):
        rows.append((prefix, len(prefix), count, names, 0, top, height))
        if not depth or len(prefix) == ids.n_levels:
            return
        below = ids.prefixes(len(prefix) + 1, prefix)
        n_alone = most[0] if len(below) > most[0] + 1 else len(below)
        alone, others = below[:n_alone], below[n_alone:]
        drawn = min(others["count"].sum(), alone["count"].mean())
        scale = height / (alone["count"].sum() + drawn)
        for branch in alone.itertuples():
            own = scale * branch.count
            grow(branch.prefix, branch.count, branch.exemplars, depth - 1, most[1:] or most, top, own)
            top += own
        if len(others):
            names, count = tuple(some[0] for some in others["exemplars"][:3]), others["count"].sum()
            rows.append((prefix, len(prefix) + 1, count, names, len(others), top, scale * drawn))

    names = ids.prefixes(len(prefix), prefix)["exemplars"][0] if prefix else ids.names[:3]
    grow(prefix, len(ids.with_prefix(prefix)), names, depth, most, 0.0, 1.0)
    frame = pd.DataFrame(rows, columns=["prefix", "level", "count", "exemplars", "n_joined", "top", "height"])
    frame.insert(3, "share", frame["count"] / frame["count"][0])
    return frame
