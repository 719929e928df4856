"""The matrix of fastText ``.ftz``: codes of a product quantiser, and of each row's length where that is apart.

Source: `QuantMatrix::load` and `ProductQuantizer::load` of the official C++ code. The codes stay
in the file; the codebooks, of 256 entries each, are read.
"""

import mmap
import struct
from pathlib import Path

import numpy as np

from ..storage import Coded, Normed, Storage

MATRIX = struct.Struct("<?2qi")  # whether lengths are apart, rows, columns, bytes of codes
QUANTISER = struct.Struct("<4i")  # columns, codes a row, columns of a code, columns of the last code
N_ENTRIES = 256


def read_matrix(data: mmap.mmap, path: Path, at: int, n_words: int, n_ngrams: int) -> tuple[Storage, Storage]:
    """Rows of words and of n-grams, from the place where the matrix begins.

    Raises
    ------
    ValueError
        If the sizes that it states do not fit each other or the file.
    struct.error
        If the file ends first.
    """
    has_lengths, n_rows, dim, n_codes = MATRIX.unpack_from(data, at)
    packed, spans, codebooks, at = _read_quantiser(data, path, at + MATRIX.size, n_rows, dim, n_codes)
    words, ngrams = slice(0, n_words), slice(n_words, n_words + n_ngrams)
    own, rest = (Coded(packed[part], codebooks, spans, dim, 8) for part in (words, ngrams))
    if not has_lengths:
        return own, rest
    packed, spans, codebooks, _ = _read_quantiser(data, path, at, n_rows, 1, n_rows)
    lengths, others = (Coded(packed[part], codebooks, spans, 1, 8) for part in (words, ngrams))
    return Normed(own, lengths), Normed(rest, others)


def _read_quantiser(
    data: mmap.mmap, path: Path, at: int, n_rows: int, dim: int, n_codes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Codes of all rows, (n_rows, codes a row) uint8, spans, codebooks, (256, dim), and what comes next."""
    after = at + n_codes  # codes come before what describes them
    if not 0 <= n_codes <= len(data) - at:
        raise ValueError(f"its header claims {n_codes:,} bytes of codes, which cannot be in {len(data):,} bytes")
    columns, n_subvectors, width, last = QUANTISER.unpack_from(data, after)
    after += QUANTISER.size
    end = after + 4 * N_ENTRIES * dim
    fits = columns == dim and width >= 1 and n_subvectors == -(-dim // width) and n_codes == n_rows * n_subvectors
    if not fits or last != dim - width * (n_subvectors - 1):
        raise ValueError(
            f"its {n_codes:,} codes of {n_rows:,} rows of {dim} numbers do not fit its quantiser, which speaks of "
            f"{n_subvectors} codes a row for {width} of {columns} numbers each, and {last} in the last"
        )
    if end > len(data):
        raise ValueError(f"it ends in its codebooks, of which {4 * N_ENTRIES * dim:,} bytes should be there")
    starts = np.arange(n_subvectors, dtype=np.int32) * width
    spans = np.stack([starts, np.minimum(starts + width, dim)], axis=1).astype(np.int32)  # (n_subvectors, 2)
    entries = np.frombuffer(data[after:end], "<f4")
    books = [entries[N_ENTRIES * a : N_ENTRIES * b].reshape(N_ENTRIES, b - a) for a, b in spans.tolist()]
    packed = np.memmap(path, np.uint8, mode="r", offset=at, shape=(n_rows, n_subvectors))
    return np.asarray(packed), spans, np.concatenate(books, axis=1), end
