"""`Refit`: move the n-grams that survived, so that the words that went come back better."""

import numpy as np

from .. import progress
from ..storage import Dense, Stacked
from ..vectors import Vectors, check_finite, remembered
from ..vocab import made_up_words
from .base import Step, check_int

TOLERANCE = 1e-3  # of the first residual: the solver stops there


class Refit(Step):
    """Re-fit the surviving n-grams by least squares, so that their means give back lost vectors.

    Minimises, over n-gram rows ``X``,

        sum over dropped words of |mean of X over the word's n-grams - original vector|^2
        + `unseen_weight` times the same over made-up unseen strings
        + `strength` times the mean weight of an n-gram times |X - s X0|^2,

    where errors are relative to the original vector's length, ``X0`` are the rows before and
    ``s`` is the one scale that fits them best: pruning keeps long rows, so that means over the
    survivors come out too long, and a prior at ``X0`` itself would hold them there. The prior
    is what keeps unseen words unharmed: it binds rare n-grams, which could otherwise learn
    single words by heart. Solved by conjugate gradients on the normal equations (Hestenes and
    Stiefel, 1952), preconditioned by their diagonal, all columns at once.

    Used in a `Chain`, the targets come from the chain's own input. Alone, `fit` needs
    ``reference=``.

    Parameters
    ----------
    strength : float
        How firmly rows are held to where they were. Less gives better dropped words and harms
        unseen ones; 1 leaves unseen ones about as they were.
    n_unseen : int
        Made-up strings among the targets. The original has a vector for any string.
    unseen_weight : float
        Weight of one such string; a dropped word has 1.
    n_iter : int
        Steps of the solver, at most.
    random_state : int
        Seed of the made-up strings.

    Attributes
    ----------
    ngrams_ : (n_rows, dim) float32 array
        The new rows.
    """

    def __init__(
        self,
        strength: float = 1.0,
        n_unseen: int = 20_000,
        unseen_weight: float = 0.3,
        n_iter: int = 10,
        random_state: int = 0,
    ):
        self.strength = strength
        self.n_unseen = n_unseen
        self.unseen_weight = unseen_weight
        self.n_iter = n_iter
        self.random_state = random_state

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        reference = self._checked(v, reference)
        v = v.adjusted()
        dropped = [word for word in reference.words if word not in v]
        unseen = _strings(reference, self.n_unseen, self.random_state)
        words = dropped + unseen
        weights = np.repeat(np.array([1, self.unseen_weight], np.float32), [len(dropped), len(unseen)])
        means, targets = self._equations(v, reference, words, weights)
        before = v.ngrams[1].rows(slice(None))  # (n_rows, dim)
        now = means.of(before)
        square = np.vdot(now, now)
        start = before * np.float32(np.vdot(now, targets) / square if square > 0 else 1)
        bound = self.strength * means.squares.sum() / max(len(means.squares), 1)
        step = conjugate_gradients(means, targets - means.of(start), np.float32(bound), self.n_iter)
        self.ngrams_ = start + step

    def _transform(self, v: Vectors) -> Vectors:
        v = v.adjusted()
        _, ngrams = v.ngrams
        if ngrams.shape != self.ngrams_.shape:
            raise ValueError(f"Refit was fitted on n-gram rows of shape {self.ngrams_.shape}, got {ngrams.shape}")
        return v.with_storage(Stacked(v.storage.words, Dense(self.ngrams_)))

    def _checked(self, v: Vectors, reference: Vectors | None) -> Vectors:
        """The reference, once everything is as it must be."""
        check_int(self, "n_unseen", 0)
        check_int(self, "n_iter", 1)
        check_int(self, "random_state", 0)
        if not (0 <= self.strength < np.inf and 0 <= self.unseen_weight < np.inf):
            raise ValueError(f"{self!r}: strength and unseen_weight must be 0 or more, and finite")
        if v.storage.ngrams is None:
            raise ValueError("Refit re-fits n-grams, and this model has none; leave it out")
        if not isinstance(v.storage.ngrams, Dense):
            raise ValueError(
                f"Refit would turn {v.storage.ngrams!r} back into float32, which is larger: "
                "it belongs before PQ and SQ, as in Chain([Prune(...), Refit(), PQ(...)])"
            )
        if reference is None:
            raise ValueError(
                "Refit needs the original model: put it in a Chain, which passes its own input on, "
                "or call fit(v, reference=original)"
            )
        return reference

    @staticmethod
    def _equations(
        v: Vectors, reference: Vectors, words: list[str], weights: np.ndarray
    ) -> tuple["WeightedMeans", np.ndarray]:
        """Weighted equations, one a word: means over n-gram rows, and what they should be, (n, dim)."""
        targets = reference.get_vectors(words, missing="zero")  # (n, dim)
        check_finite(targets, words)
        norms = np.linalg.norm(targets, axis=1)
        subwords, ngrams = v.ngrams
        indptr, rows = subwords.rows(words)
        lengths = np.diff(indptr)
        usable = (norms > 0) & (lengths > 0)
        scale = np.where(usable, np.sqrt(weights) / np.where(norms > 0, norms, 1), 0).astype(np.float32)
        means = WeightedMeans(indptr, rows, scale / np.maximum(lengths, 1), len(ngrams))
        return means, targets * scale[:, None]


class WeightedMeans:
    """The matrix that takes n-gram rows to a weighted sum for each word, and its transpose.

    Parameters
    ----------
    indptr, rows : int arrays
        The n-gram rows of word ``i`` are ``rows[indptr[i]:indptr[i + 1]]``.
    weights : (n,) float32 array
        Weight of each row in a word's sum.
    n_rows : int
    """

    def __init__(self, indptr: np.ndarray, rows: np.ndarray, weights: np.ndarray, n_rows: int):
        from scipy.sparse import csr_array

        self.indptr, self.rows = indptr, rows
        self.weights = weights.astype(np.float32)[:, None]  # (n, 1)
        incidence = csr_array((np.ones(len(rows), np.int8), rows, indptr), shape=(len(weights), n_rows))
        transposed = incidence.T.tocsr()
        self.words_indptr, self.words = transposed.indptr.astype(np.int64), transposed.indices
        squares = np.repeat(np.square(self.weights[:, 0]), np.diff(indptr))
        self.squares = np.bincount(rows, weights=squares, minlength=n_rows).astype(np.float32)  # (n_rows,)

    def of(self, x: np.ndarray) -> np.ndarray:
        """Weighted sums over rows of `x` (n_rows, dim): (n, dim)."""
        from .. import kernels

        return self.weights * kernels.segment_sums(self.indptr, self.rows, x)

    def back(self, y: np.ndarray) -> np.ndarray:
        """The transpose times `y` (n, dim): (n_rows, dim)."""
        from .. import kernels

        return kernels.segment_sums(self.words_indptr, self.words, self.weights * y)


@remembered
def _strings(reference: Vectors, n: int, seed: int) -> list[str]:
    """Made-up unseen strings to fit on."""
    return made_up_words(reference.words, n, True, seed)


def conjugate_gradients(means: WeightedMeans, errors: np.ndarray, bound: np.float32, n_iter: int) -> np.ndarray:
    """Minimise ``|means @ x - errors|^2 + bound * |x|^2``: (n_rows, dim) float32.

    Every column is a problem of its own with the same matrix; they are solved side by side.

    Parameters
    ----------
    means : WeightedMeans
    errors : (n, dim) float32 array
    bound : float
    n_iter : int
        Stops sooner once the residual is `TOLERANCE` of the first.
    """
    # Dividing by the diagonal evens out frequent and rare n-grams: a third of the steps for the same error.
    diagonal = means.squares + bound
    scale = (1 / np.maximum(diagonal, 1e-30))[:, None].astype(np.float32)  # (n_rows, 1)
    residual = means.back(errors)  # (n_rows, dim), as are all below
    x = np.zeros_like(residual)
    direction = scale * residual
    energy = np.einsum("ij,ij->j", residual, direction)  # (dim,)
    enough = TOLERANCE**2 * energy.sum()
    for _ in progress.bar(range(n_iter), desc="Refit", unit="iteration", leave=False, delay=2):
        if energy.sum() <= enough:
            break
        image = means.back(means.of(direction)) + bound * direction
        length = energy / np.maximum(np.einsum("ij,ij->j", direction, image), np.float32(1e-30))
        x += length * direction
        residual -= length * image
        scaled = scale * residual
        before, energy = energy, np.einsum("ij,ij->j", residual, scaled)
        direction *= energy / np.maximum(before, np.float32(1e-30))
        direction += scaled
    return x
