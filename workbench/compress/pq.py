"""`PQ`: product quantisation."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np

from ..storage import Coded, Dense, Normed, Storage
from .base import parameter
from .outline import Rows
from .values import ROWS, ValueStep, check_squares, encoded_rows, training_rows

POINTS_A_CENTROID = 256  # training rows for each codebook entry, as faiss takes at most
STARTING_POINTS = 16  # of them, those that the start is drawn from
MAX_TRAINED = 8  # codebooks kept, of a few hundred kB each

_trained: dict[tuple, np.ndarray] = {}  # codebooks by what they depend on, the newest last


class PQ(ValueStep):
    """Cut rows into subvectors and store, for each, the number of the nearest of a few centroids.

    Jegou, Douze and Schmid, "Product quantization for nearest neighbor search" (2011). Centroids
    come from Lloyd's k-means on up to 256 rows a centroid, started by k-means++; empty
    clusters restart at the row that is farthest from its centroid.

    Parameters
    ----------
    n_subvectors : int
        Subvectors, each stored as one code of `n_bits`. If they do not divide the
        dimensions, the first ones are one column wider.
    n_bits : int, 1 to 8
        Bits a code; there are ``2 ** n_bits`` centroids for each subvector.
    n_iter : int
        Steps of k-means.
    on : {"all", "words", "ngrams"}
        The rows to quantise. Words and n-grams get codebooks of their own.
    norms : bool
        Store the length of a row as a code of its own, beside codes of its direction ("qnorm" in
        fastText). For rows of very different lengths.
    random_state : int
        Seed of the choice of training rows and of the start.
    """

    label = "PQ"
    blurb = "cuts each vector into pieces and stores, for each piece, the number of the nearest typical piece."
    advice = "the codebooks outweigh the rows; take fewer bits, or use SQ"

    n_subvectors: int = parameter(50, "count", "Subvectors", 1, lambda v: v.dim, brief="{:,} codes")
    n_bits: int = parameter(8, "whole", "Bits a code", 1, 8)
    n_iter: int = parameter(25, "whole", "Rounds of k-means", 1, main=False)
    on: str = parameter("all", "choice", "Rows", choices=ROWS, of_ngrams=True, brief="of {}")
    norms: bool = parameter(False, "tick", "Lengths apart", main=False)
    random_state: int = parameter(0, "seed", "Seed")

    def loses_alike(self) -> bool:
        return True

    def _stored(self, rows: Rows) -> Rows | None:
        new = rows.coded(self.n_subvectors, self.n_bits, rows.dim)
        lengths = Rows(rows.n, 1, 4).coded(1, self.n_bits, 1)
        if new is None or lengths is None or not self.norms:
            return new
        return replace(new, row=new.row + lengths.row, shared=new.shared + lengths.shared, kind="normed")

    def _learn(self, part: Storage, which: str) -> tuple[np.ndarray, ...]:
        """Codebooks, (2**n_bits, dim) float32, and the columns of subvectors; with `norms` also those of lengths."""
        if not self.norms:
            return self.codebooks(part, which)
        learned = self.codebooks(directions(part), which)
        left = lengths_left(part, coded(self, directions(part), which, *learned))
        return *learned, *self._of_lengths().codebooks(left, which)

    def _encode(self, part: Storage, which: str, learned: tuple[np.ndarray, ...]) -> Storage:
        if not self.norms:
            return coded(self, part, which, *learned)
        of_directions = coded(self, directions(part), which, *learned[:2])
        left = lengths_left(part, of_directions)
        return Normed(of_directions, coded(self._of_lengths(), left, which, *learned[2:]))

    def codebooks(self, part: Storage, which: str) -> tuple[np.ndarray, np.ndarray]:
        """Codebooks and spans, cached by a hash of the training rows."""
        from .. import kernels

        sample, spans = training_sample(self, part, which)
        rows = hashlib.sha256(np.ascontiguousarray(sample).data).digest()
        key = (rows, sample.shape, spans.tobytes(), int(self.n_bits), int(self.n_iter), int(self.random_state))
        codebooks = _trained.get(key)
        if codebooks is None:
            codebooks = first_codebooks(self, sample, spans)
            kernels.train(np.ascontiguousarray(sample.T), codebooks, spans, self.n_iter)
            _trained[key] = codebooks
            for old in list(_trained)[:-MAX_TRAINED]:
                _trained.pop(old, None)
        return codebooks.copy(), spans

    def _of_lengths(self) -> "PQ":
        """The quantiser of lengths: columns of one number."""
        return PQ(1, self.n_bits, self.n_iter, random_state=self.random_state)


def training_sample(step: Any, part: Storage, which: str) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to train on, (n_sample, dim), and the columns of each subvector, (n_subvectors, 2)."""
    dim = part.shape[1]
    if step.n_subvectors > dim:
        raise ValueError(f"{step!r}: vectors of {dim} dimensions have at most {dim} subvectors")
    sample = training_rows(step, part, which, POINTS_A_CENTROID)
    edges = np.cumsum([0] + [len(s) for s in np.array_split(np.arange(dim), step.n_subvectors)])
    return sample, np.stack([edges[:-1], edges[1:]], axis=1).astype(np.int32)


def first_codebooks(step: Any, sample: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Draw the codebooks that training starts from: (2**n_bits, dim) float32."""
    from .. import kernels

    n_entries = 2 ** int(step.n_bits)
    draws = np.random.default_rng(step.random_state).random((len(spans), n_entries))
    return kernels.start(np.ascontiguousarray(sample[: STARTING_POINTS * n_entries].T), spans, draws)


def coded(step: Any, part: Storage, which: str, codebooks: np.ndarray, spans: np.ndarray) -> Coded:
    """Store the rows of a part as codes of the nearest entries."""
    from .. import kernels

    def encode(block: np.ndarray) -> np.ndarray:
        check_squares(block, f"{step!r}: the {which}", also_small=False)
        return kernels.encode(block, codebooks, spans)

    codes = encoded_rows(step, part, which, len(spans), np.uint8, encode)
    return Coded.of(codes, codebooks, spans, part.shape[1], int(step.n_bits))


def lengths_left(part: Storage, coded: Coded) -> Dense:
    """Return the factors that scale coded directions to the lengths of the rows: (n, 1) float32."""
    return Dense(part.norms()[:, None] / np.maximum(coded.norms()[:, None], np.float32(1e-30)))


def directions(part: Storage) -> Normed:
    """Divide each row by its length; zero rows stay zero."""
    lengths = part.norms()[:, None]
    return Normed(part, Dense(1 / np.where(lengths > 0, lengths, 1)))
