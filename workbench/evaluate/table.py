"""Rows of the scorecard: every number says where it comes from and how sure it is."""

import numpy as np

COLUMNS = ["metric", "split", "value", "low", "high", "how", "n"]
N_BOOTSTRAP = 1_000


def row(
    metric: str, split: str, value: float, how: str, n: int, limits: tuple[float, float] | None = None
) -> dict:
    """One row: a number, its 95% interval where it has one, how it came about, from how many."""
    low, high = (np.nan, np.nan) if limits is None else limits
    return dict(zip(COLUMNS, [metric, split, float(value), float(low), float(high), how, int(n)], strict=True))


def interval(values: np.ndarray, seed: int) -> tuple[float, float]:
    """95% bootstrap interval of the mean of `values` (n,)."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(values), size=(N_BOOTSTRAP, len(values)), dtype=np.int32)
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
