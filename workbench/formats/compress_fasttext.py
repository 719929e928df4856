"""compress-fasttext's files: pickles of gensim's kind with classes of their own, read without that package.

Codes stay codes, low-rank matrices stay that, and pruned n-grams stay pruned. Known words come back as they are. An
unseen word is the mean over its *surviving* n-grams here; compress-fasttext divides by the pruned ones, too, so its
vector has the same direction and is shorter.

Source: compress-fasttext 0.1.5: its `CompressedFastTextKeyedVectors`, `PQ`, `RowSparseMatrix`, `DecomposedMatrix`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from ..storage import Coded, Projected, Stacked, Storage, pack_codes
from ..subwords import Subwords
from ..vectors import Vectors
from ..vocab import Vocab
from .folder import stored

PACKAGE = "compress_fasttext"
CLASSES = {  # by the module that a pickle names
    PACKAGE: (),
    f"{PACKAGE}.compress": ("CompressedFastTextKeyedVectors",),
    f"{PACKAGE}.models": ("CompressedFastTextKeyedVectors",),
    f"{PACKAGE}.navec_like": ("PQ",),
    f"{PACKAGE}.prune": ("RowSparseMatrix",),
    f"{PACKAGE}.decomposition": ("DecomposedMatrix",),
}


@contextmanager
def classes() -> Iterator[None]:
    """Let pickles name compress-fasttext's classes: where it is not installed, plain objects stand for them."""
    from importlib.util import find_spec

    from gensim.utils import SaveLoad

    if PACKAGE in sys.modules or find_spec(PACKAGE) is not None:
        yield
        return
    for module, names in CLASSES.items():
        sys.modules[module] = ModuleType(module)
        for name in names:
            setattr(sys.modules[module], name, type(name, (SaveLoad,), {}))
    try:
        yield
    finally:
        for module in CLASSES:
            del sys.modules[module]


def is_compressed(thing: Any) -> bool:
    """Return whether a pickle held one of its models."""
    return type(thing).__name__ == "CompressedFastTextKeyedVectors"


def from_compressed(thing: Any) -> Vectors:
    """Return its model as `Vectors`, with the same codes."""
    places = dict(thing.key_to_index)
    words = sorted(places, key=places.__getitem__)
    if sorted(places.values()) != list(range(len(words))):
        words = list(places)  # rows are in this order; the numbers are those of the model before it was pruned
    ngrams, bucket_to_row = thing.vectors_ngrams, None
    if type(ngrams).__name__ == "RowSparseMatrix":
        bucket_to_row = np.full(ngrams.nrows, -1, np.int32)
        bucket_to_row[list(ngrams.mapping)] = list(ngrams.mapping.values())
        ngrams = ngrams.compressed
    subwords = Subwords(max(int(thing.min_n), 1), int(thing.max_n), int(thing.bucket), bucket_to_row)
    return Vectors(Vocab(words, subwords=subwords), Stacked(_storage(thing.vectors), _storage(ngrams)))


def _storage(matrix: Any) -> Storage:
    kind = type(matrix).__name__
    if kind == "PQ":
        n_codes, n_entries, width = matrix.codes.shape
        if n_entries > 256:
            raise ValueError(f"its codes are of {n_entries:,} entries; at most 256 are read")
        codebooks = np.zeros((256, n_codes * width), np.float32)
        codebooks[:n_entries] = np.moveaxis(matrix.codes, 0, 1).reshape(n_entries, -1)
        starts = np.arange(0, n_codes * width, width)
        spans = np.stack([starts, starts + width], axis=1).astype(np.int32)
        return Coded(pack_codes(np.asarray(matrix.indexes), 8), codebooks, spans, n_codes * width, 8)
    if kind == "DecomposedMatrix":
        return Projected(stored(matrix.compressed), np.asarray(matrix.components, np.float32))
    return stored(np.asarray(matrix))
