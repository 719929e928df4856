"""k-means on whole rows, by matrix products of blocks in threads; `kernels.train` is for narrow subvectors."""

from typing import Any

import numpy as np

MIN_GAIN = 5e-4  # a step that lowers the error by a smaller share is the last but one
SCORES = 2**19  # rows times centroids compared at once by a thread: 2 MB, which stay in its cache


def kmeans(rows: np.ndarray, start: np.ndarray, n_iter: int, bar: Any, pace: float | None = None) -> np.ndarray:
    """Return centroids, (n_entries, dim) float32, by at most `n_iter` of Lloyd's steps; `bar` moves on by `n_iter`.

    Steps go `pace` times as far as the mean (`kernels.PACE` by default) to converge sooner. The last one ends at means.
    """
    from .. import kernels

    pace = kernels.PACE if pace is None else pace
    squares = np.einsum("nd,nd->n", rows, rows)
    entries, error = start, np.inf
    for step in range(1, n_iter + 1):
        codes, scores = nearest_entries(rows, entries)
        distances = np.maximum(squares - 2 * scores, 0)
        before, error = error, float(distances.mean(dtype=np.float64))
        last = step == n_iter or error >= (1 - MIN_GAIN) * before
        counts = np.bincount(codes, minlength=len(entries))
        means = kernels.group_sums(rows, codes, len(entries)) / np.maximum(counts, 1)[:, None]
        moved = means if last else entries + pace * (means - entries)
        empty = np.flatnonzero(counts == 0)
        if len(empty):  # they go to the rows that are farthest from their centroids
            far = np.argsort(-distances, kind="stable")[: len(empty)]
            moved[empty] = rows[np.resize(far, len(empty))]
        entries = moved.astype(np.float32)
        bar.update(n_iter - step + 1 if last else 1)
        if last:
            break
    return entries


def nearest_entries(rows: np.ndarray, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the entry nearest to each row, (n,), of equal ones the first, and its score, (n,).

    The score is half of what the row's squared length exceeds its squared distance to the entry by.
    """
    from .. import kernels

    across = np.ascontiguousarray(entries.T)  # (dim, n_entries)
    half = np.einsum("kd,kd->k", entries, entries) / 2  # (n_entries,)
    codes, best = np.empty(len(rows), np.intp), np.empty(len(rows), np.float32)

    def work(block: slice) -> None:
        scores = rows[block] @ across  # (block, n_entries)
        scores -= half
        codes[block] = scores.argmax(axis=1)
        best[block] = scores[np.arange(len(scores)), codes[block]]

    kernels.in_threads(work, len(rows), max(1, SCORES // len(entries)))
    return codes, best
