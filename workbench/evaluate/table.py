"""Rows of the scorecard: each value with its interval, its origin and its number of samples."""

from functools import lru_cache

import numpy as np
import pandas as pd

COLUMNS = ["metric", "split", "value", "low", "high", "how", "n"]
N_BOOTSTRAP = 1_000
MAX_REMEMBERED = 2_000  # values whose resamples are kept, 8 MB


def row(metric: str, split: str, value: float, how: str, n: int, limits: tuple[float, float] | None = None) -> dict:
    """Return one row: a value, its 95% interval if it has one, its origin, and its number of samples."""
    low, high = (np.nan, np.nan) if limits is None else limits
    return dict(zip(COLUMNS, [metric, split, float(value), float(low), float(high), how, int(n)], strict=True))


def interval(values: np.ndarray, seed: int) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the mean of `values` (n,)."""
    n = len(values)
    if n <= MAX_REMEMBERED:
        sums = _times_drawn(n, seed) @ values
    else:
        rng = np.random.default_rng(seed)
        sums = np.array([values[rng.integers(n, size=n)].sum() for _ in range(N_BOOTSTRAP)])
    low, high = np.percentile(sums / n, [2.5, 97.5])
    return float(low), float(high)


@lru_cache(maxsize=4)
def _times_drawn(n: int, seed: int) -> np.ndarray:
    """Counts of each of `n` values in each resample, the same for all quick cards: (N_BOOTSTRAP, n) float32."""
    picks = np.random.default_rng(seed).integers(n, size=(N_BOOTSTRAP, n))
    picks += n * np.arange(N_BOOTSTRAP)[:, None]
    return np.bincount(picks.ravel(), minlength=N_BOOTSTRAP * n).reshape(N_BOOTSTRAP, n).astype(np.float32)


class Scorecard(pd.DataFrame):
    """A tidy table of such rows, which a notebook shows with readable numbers."""

    @property
    def _constructor(self):
        return Scorecard

    def _repr_html_(self) -> str:
        plain = pd.DataFrame(self)
        if list(self.columns) == COLUMNS:
            for column in ("value", "low", "high"):
                plain[column] = [_readable(m, x) for m, x in zip(self["metric"], self[column], strict=True)]
        is_labelled = self.index.dtype.kind != "i"  # as that of a pivot table
        return plain.to_html(index=is_labelled, justify="left", border=0)


def _readable(metric: str, value: float) -> str:
    if np.isnan(value):
        return ""
    if metric == "size":
        return f"{value:,.0f} bytes"
    return f"{value:,.0f}" if metric == "lookups_per_second" else f"{value:.4g}"
