"""What semantic IDs are held against: codes that say nothing. Needs no torch."""

import numpy as np


def random_codes(
    rows: np.ndarray, n_levels: int, n_entries: int, random_state: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Codes drawn at random, the floor of any method, with the best codebooks that such codes can have level by level.

    Each level deals the rows out evenly, so that every entry is used; it stands for the mean of
    what the levels before left over of its rows. With few rows an entry, that mean is near to
    them though the code is not: the floor is a floor at equal numbers of levels and entries only.

    Parameters
    ----------
    rows : (n, dim) array
    n_levels, n_entries : int
    random_state : int

    Returns
    -------
    codes : (n, n_levels) int32 array
    codebooks : (n_levels, n_entries, dim) float32 array
        An entry that no row got, where there are fewer rows than entries, is zero.

    Raises
    ------
    ValueError
        If rows are not a matrix of finite numbers, or a size is below 1.
    """
    from ..kernels import group_sums

    left = np.array(rows, np.float32, order="C")  # (n, dim), over by the levels so far
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
