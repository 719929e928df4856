"""The floor of semantic IDs: random codes. Needs no torch."""

import numpy as np


def random_codes(
    rows: np.ndarray, n_levels: int, n_entries: int, random_state: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return random codes, with the best codebooks that such codes can have level by level.

    Each level deals the rows out evenly; an entry is the mean residual of its rows. With few rows an entry,
    that mean is near to them though the code says nothing: compare at equal numbers of levels and entries only.

    Parameters
    ----------
    rows : (n, dim) array
    n_levels, n_entries : int
    random_state : int

    Returns
    -------
    codes : (n, n_levels) int32 array
    codebooks : (n_levels, n_entries, dim) float32 array
        With fewer rows than entries, the entries left over are zero.

    Raises
    ------
    ValueError
        If rows are not a matrix of finite numbers, or a size is below 1.
    """
    from ..kernels import group_sums

    left = np.array(rows, np.float32, order="C")  # (n, dim), residuals
    if left.ndim != 2 or not len(left) or not np.isfinite(left).all():
        raise ValueError(f"expected rows of finite numbers, at least one; got an array of shape {left.shape}")
    if min(n_levels, n_entries) < 1:
        raise ValueError(f"expected at least 1 level and 1 entry, got {n_levels} and {n_entries}")
    rng = np.random.default_rng(random_state)
    codes = np.empty((len(left), n_levels), np.int32)
    codebooks = np.empty((n_levels, n_entries, left.shape[1]), np.float32)
    for level in range(n_levels):
        codes[:, level] = rng.permutation(len(left)) % n_entries
        counts = np.bincount(codes[:, level], minlength=n_entries)
        codebooks[level] = group_sums(left, codes[:, level], n_entries) / np.maximum(counts, 1)[:, None]
        left -= codebooks[level][codes[:, level]]
    return codes, codebooks
