"""Rows as fastText's own files have them, from any model with fastText's n-grams."""

from collections.abc import Iterator

import numpy as np

from .storage import BLOCK
from .vectors import Vectors, check_finite


def raw_blocks(v: Vectors, size: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
    """Word rows as fastText has them, beside the rows of `bucket_blocks`: (first position, (<= size, dim)).

    A word's vector is the mean of this row and the rows of all its buckets. So of raw rows
    without pruned buckets they are the rows themselves, and else what undoes that mean.

    Raises
    ------
    ValueError
        At the first NaN or infinity, naming its row and word.
    """
    subwords, _ = v.ngrams
    if subwords.raw and (subwords.bucket_to_row is None or subwords.bucket_to_row.min() >= 0):
        for start in range(0, len(v), size):
            block = v.storage.words.rows(v.vocab.rows(slice(start, start + size)))
            check_finite(block, v.words, start)
            yield start, block
        return
    for start, block in v.blocks(size):
        words = v.words[start : start + len(block)]
        lengths = np.diff(subwords.buckets(words)[0])  # (n,), with those that were pruned
        means, left = v.ngram_means(words)
        sums = means.astype(np.float64) * left[:, None]
        yield start, (block * (lengths[:, None] + 1.0) - sums).astype(np.float32)


def bucket_blocks(v: Vectors, size: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of all buckets that fastText's hash reaches, as it has them: (first bucket, (<= size, dim) float32).

    Folded buckets are unfolded, pruned ones are zeros.
    """
    subwords, ngrams = v.ngrams
    for start in range(0, subwords.n_hashed, size):
        buckets = np.arange(start, min(start + size, subwords.n_hashed))
        for modulus in (*subwords.folded[1:], subwords.n_buckets):
            buckets %= modulus
        rows = subwords.rows_of(buckets)
        block = np.zeros((len(rows), v.dim), np.float32)
        block[rows >= 0] = ngrams.rows(rows[rows >= 0])
        check_finite(block, [], start, "n-gram row")
        yield start, block
