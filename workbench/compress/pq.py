"""`PQ`: product quantisation."""

import hashlib

import numpy as np

from ..storage import Coded, Dense, Normed, Storage
from .base import check_int
from .values import ValueStep, check_squares, finite_blocks, training_rows

POINTS_A_CENTROID = 256  # training rows for each codebook entry, as faiss takes at most
STARTING_POINTS = 16  # of them, those that the start is drawn from
MOST_TRAINED = 8  # codebooks kept, of a few hundred kB each

_trained: dict[tuple, np.ndarray] = {}  # codebooks by all that decides them, the newest last


class PQ(ValueStep):
    """Cut rows into subvectors and store, for each, the number of the nearest of a few centroids.

    Jegou, Douze and Schmid, "Product quantization for nearest neighbor search" (2011). Centroids
    come from Lloyd's k-means on up to 256 rows a centroid, started by k-means++; empty
    clusters restart at the row that is farthest from its centroid.

    Parameters
    ----------
    n_subvectors : int
        Subvectors, each stored as one code of `n_bits`. Where they do not divide the
        dimensions, the first ones are one column wider.
    n_bits : int, 1 to 8
        Bits a code; there are ``2 ** n_bits`` centroids for each subvector.
    n_iter : int
        Steps of k-means.
    on : {"all", "words", "ngrams"}
        Which rows to store so. Words and n-grams get codebooks of their own.
    norms : bool
        Whether codes are of directions alone, each row's length being a code of its own
        ("qnorm" in fastText). For rows of very different lengths.
    random_state : int
        Seed of the choice of training rows and of the start.
    """

    def __init__(
        self,
        n_subvectors: int = 50,
        n_bits: int = 8,
        n_iter: int = 25,
        on: str = "all",
        norms: bool = False,
        random_state: int = 0,
    ):
        self.n_subvectors = n_subvectors
        self.n_bits = n_bits
        self.n_iter = n_iter
        self.on = on
        self.norms = norms
        self.random_state = random_state

    def _check(self) -> None:
        check_int(self, "n_subvectors", 1)
        check_int(self, "n_bits", 1, 8)
        check_int(self, "n_iter", 1)
        check_int(self, "random_state", 0)

    def _learn(self, part: Storage, which: str) -> tuple[np.ndarray, ...]:
        """Codebooks, (2**n_bits, dim) float32, and the columns that each serves, (n_subvectors, 2).

        With `norms`, also those of the lengths.
        """
        if not self.norms:
            return self._codebooks(part, which)
        of_directions = self._codebooks(directions(part), which)
        coded = self._coded(directions(part), which, *of_directions)
        return *of_directions, *self._of_lengths()._codebooks(Dense(lengths_left(part, coded)), which)

    def _codebooks(self, part: Storage, which: str) -> tuple[np.ndarray, np.ndarray]:
        """Codebooks and spans; not trained again on the very rows of a moment ago, as where only n-grams changed."""
        sample, spans = self._sample(part, which)
        rows = hashlib.sha256(np.ascontiguousarray(sample).data).digest()
        key = (rows, sample.shape, spans.tobytes(), int(self.n_bits), int(self.n_iter), int(self.random_state))
        codebooks = _trained.get(key)
        if codebooks is None:
            codebooks = _trained[key] = self._train(sample, spans)
            for old in list(_trained)[:-MOST_TRAINED]:
                _trained.pop(old, None)
        return codebooks.copy(), spans

    def _train(self, sample: np.ndarray, spans: np.ndarray) -> np.ndarray:
        """Codebooks of these rows: (2**n_bits, dim) float32."""
        from .. import kernels

        codebooks = self._start(sample, spans)
        kernels.train(np.ascontiguousarray(sample.T), codebooks, spans, self.n_iter)
        return codebooks

    def _start(self, sample: np.ndarray, spans: np.ndarray) -> np.ndarray:
        """Codebooks to start from, drawn from the rows: (2**n_bits, dim) float32."""
        from .. import kernels

        n_entries = 2 ** int(self.n_bits)
        draws = np.random.default_rng(self.random_state).random((len(spans), n_entries))
        return kernels.start(np.ascontiguousarray(sample[: STARTING_POINTS * n_entries].T), spans, draws)

    def _sample(self, part: Storage, which: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on, (n_sample, dim), in random order, and the spans of subvectors."""
        dim = part.shape[1]
        if self.n_subvectors > dim:
            raise ValueError(f"{self!r}: vectors of {dim} dimensions have at most {dim} subvectors")
        sample = training_rows(self, part, which, POINTS_A_CENTROID)
        edges = np.cumsum([0] + [len(s) for s in np.array_split(np.arange(dim), self.n_subvectors)])
        spans = np.stack([edges[:-1], edges[1:]], axis=1).astype(np.int32)
        return sample, spans

    def _of_lengths(self) -> "PQ":
        """What quantises lengths: columns of one number."""
        return PQ(1, self.n_bits, self.n_iter, random_state=self.random_state)

    def _encode(self, part: Storage, which: str, learned: tuple[np.ndarray, ...]) -> Storage:
        if not self.norms:
            return self._coded(part, which, *learned)
        coded = self._coded(directions(part), which, *learned[:2])
        left = Dense(lengths_left(part, coded))
        return Normed(coded, self._of_lengths()._coded(left, which, *learned[2:]))

    def _coded(self, part: Storage, which: str, codebooks: np.ndarray, spans: np.ndarray) -> Coded:
        from .. import kernels

        n, dim = part.shape
        codes = np.empty((n, len(spans)), np.uint8)
        for start, block in finite_blocks(part, which):
            check_squares(block, f"{self!r}: the {which}", also_small=False)
            codes[start : start + len(block)] = kernels.encode(block, codebooks, spans)
        return Coded.of(codes, codebooks, spans, dim, int(self.n_bits))

    def _advice(self, v) -> str:
        return "the codebooks outweigh the rows; take fewer bits, or use SQ"


def lengths(part: Storage) -> np.ndarray:
    """Euclidean length of every row: (n, 1) float32."""
    return part.norms()[:, None]


def lengths_left(part: Storage, coded: Coded) -> np.ndarray:
    """What coded directions, which are shorter than 1, must be multiplied with: (n, 1) float32."""
    return lengths(part) / np.maximum(lengths(coded), np.float32(1e-30))


def directions(part: Storage) -> Normed:
    """The rows, each divided by its length; zero rows stay zero."""
    long = lengths(part)
    return Normed(part, Dense(1 / np.where(long > 0, long, 1)))
