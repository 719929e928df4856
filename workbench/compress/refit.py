"""`Refit`: move the n-grams that survived, so that the words that went come back better."""

import numpy as np

from .. import progress
from ..storage import Coded, Dense, Normed, Projected, Scaled, Stacked, Storage
from ..vectors import Vectors, check_finite, remembered
from ..vocab import Vocab, made_up_words
from .base import Step, check_int

TOLERANCE = 1e-3  # of the first residual: the solver stops there


class Refit(Step):
    """Re-fit the surviving n-grams by least squares, so that their means give back lost vectors.

    Minimises, over n-gram rows ``X``,

        sum over dropped words of |mean of X over the word's n-grams - original vector|^2
        + `kept_weight` times the same over kept words
        + `unseen_weight` times the same over made-up unseen strings
        + `strength` times the mean weight of an n-gram times |X - s X0|^2,

    where errors are relative to the original vector's length, ``X0`` are the original's rows
    and ``s`` is the one scale that fits them best: pruning keeps long rows, so that means over
    the survivors come out too long, and a prior at ``X0`` itself would hold them there. The
    prior is what keeps unseen words unharmed: it binds rare n-grams, which could otherwise
    learn single words by heart.

    Plain rows are solved for by conjugate gradients on the normal equations (Hestenes and
    Stiefel, 1952), preconditioned by their diagonal, all columns at once. Rows that are stored
    as codes stay codes: entry by entry and code by code, each is set to what serves the sums
    best while the others stand still (the idea of iterated conditional modes in Babenko and
    Lempitsky, "Additive Quantization", 2014). What one n-gram's code gets wrong, the others in
    its words then make up for, the more of it the more n-grams a word has left: of 40,000 rows in
    25 bytes each of a Russian model it takes away about four fifths of quantisation's harm to dropped
    words, of 20,000 rows two thirds.

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
    kept_weight : float
        Weight of a kept word. It has a row of its own, so 0 is right, unless `Residual` follows.
    frequency : float
        Power of a word's count that its weight is multiplied with: 0 makes all words alike, 1
        weighs them as running text does. The model must have counts for other than 0.
    n_iter : int
        Steps of the solver for plain rows, at most.
    n_sweeps : int
        Times that all codes are chosen anew, for rows stored as codes.
    random_state : int
        Seed of the made-up strings.

    Attributes
    ----------
    ngrams_ : Storage
        The new rows, stored as those before.
    """

    def __init__(
        self,
        strength: float = 1.0,
        n_unseen: int = 20_000,
        unseen_weight: float = 0.3,
        kept_weight: float = 0.0,
        frequency: float = 0.0,
        n_iter: int = 6,
        n_sweeps: int = 4,
        random_state: int = 0,
    ):
        self.strength = strength
        self.n_unseen = n_unseen
        self.unseen_weight = unseen_weight
        self.kept_weight = kept_weight
        self.frequency = frequency
        self.n_iter = n_iter
        self.n_sweeps = n_sweeps
        self.random_state = random_state

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        reference = self._checked(v, reference)
        v = v.adjusted()
        means, targets = self._equations(v, reference)
        before = original_rows(v, reference)  # (n_rows, dim)
        now = means.of(before)
        square = np.vdot(now, now)
        prior = before * np.float32(np.vdot(now, targets) / square if square > 0 else 1)
        bound = np.float32(self.strength * means.squares.sum() / max(len(means.squares), 1))
        self.ngrams_ = self._refitted(v.ngrams[1], means, targets, prior, bound)

    def _transform(self, v: Vectors) -> Vectors:
        v = v.adjusted()
        _, ngrams = v.ngrams
        if ngrams.shape != self.ngrams_.shape:
            raise ValueError(f"Refit was fitted on n-gram rows of shape {self.ngrams_.shape}, got {ngrams.shape}")
        return v.with_storage(Stacked(v.storage.words, self.ngrams_))

    def _checked(self, v: Vectors, reference: Vectors | None) -> Vectors:
        """The reference, once everything is as it must be."""
        for name, low in (("n_unseen", 0), ("n_iter", 1), ("n_sweeps", 1), ("random_state", 0)):
            check_int(self, name, low)
        for name in ("strength", "unseen_weight", "kept_weight", "frequency"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{self!r}: {name} must be 0 or more, and finite")
        if v.storage.ngrams is None:
            raise ValueError("Refit re-fits n-grams, and this model has none; leave it out")
        if reference is None:
            raise ValueError(
                "Refit needs the original model: put it in a Chain, which passes its own input on, "
                "or call fit(v, reference=original)"
            )
        if self.frequency and reference.vocab.counts is None:
            raise ValueError(f"{self!r}: the original has no word counts; frequency must be 0")
        return reference

    def _equations(self, v: Vectors, reference: Vectors) -> tuple["WeightedMeans", np.ndarray]:
        """Weighted equations, one a word: means over n-gram rows, and what they should be, (n, dim)."""
        words, unseen = reference.vocab, made_up(reference, self.n_unseen, self.random_state)
        weights = np.where(words.places_in(v.vocab) >= 0, np.float32(self.kept_weight), np.float32(1))  # (n_words,)
        if self.frequency and words.counts is not None:
            counted = np.maximum(words.counts, 1) ** float(self.frequency)
            weights *= (counted / counted.mean()).astype(np.float32)
        wanted = np.flatnonzero(weights)
        parts = ((words, wanted), (unseen, np.arange(len(unseen))))
        targets = np.concatenate([reference.vectors_of(part, index, "zero") for part, index in parts])  # (n, dim)
        check_finite(targets, [words.words[i] for i in wanted] + unseen.words)
        rows_of_words, rows_of_unseen = (part.ngram_rows(index, v.ngrams[0]) for part, index in parts)
        indptr = np.concatenate([rows_of_words[0], rows_of_words[0][-1] + rows_of_unseen[0][1:]])
        rows = np.concatenate([rows_of_words[1], rows_of_unseen[1]])
        weights = np.concatenate([weights[wanted], np.full(len(unseen), self.unseen_weight, np.float32)])
        return equations(indptr, rows, weights, targets, len(v.ngrams[1])), targets

    def _refitted(
        self, rows: Storage, means: "WeightedMeans", targets: np.ndarray, prior: np.ndarray, bound: np.float32
    ) -> Storage:
        """The n-gram rows that serve best, stored as `rows` are."""
        if isinstance(rows, Projected):
            if not np.allclose(rows.axes @ rows.axes.T, np.eye(len(rows.axes)), atol=1e-3):
                raise ValueError(f"Refit needs the axes of {rows!r} to be at right angles and of length 1")
            back = rows.axes.T  # what lies outside the axes' space no inner row can change
            return rows.over(self._refitted(rows.inner, means, targets @ back, prior @ back, bound))
        if isinstance(rows, Normed):
            raise ValueError(f"Refit cannot change {rows!r}: leave out norms=True, or put Refit before it")
        if isinstance(rows, Coded):
            return settled(rows, means, targets, prior, bound, self.n_sweeps)
        step = conjugate_gradients(means, prior, targets, bound, self.n_iter)
        if isinstance(rows, Scaled):
            return Scaled.of(prior + step, rows.matrix.dtype, rows.scales)
        return Dense(prior + step)


def equations(
    indptr: np.ndarray, rows: np.ndarray, weights: np.ndarray, targets: np.ndarray, n_rows: int
) -> "WeightedMeans":
    """Means over the n-gram rows of words, relative to how long the targets (n, dim) are, which are scaled alike."""
    norms = np.linalg.norm(targets, axis=1)
    lengths = np.diff(indptr)
    usable = (norms > 0) & (lengths > 0)
    scale = np.where(usable, np.sqrt(weights) / np.where(norms > 0, norms, 1), 0).astype(np.float32)
    targets *= scale[:, None]
    return WeightedMeans(indptr, rows, scale / np.maximum(lengths, 1), n_rows)


def original_rows(v: Vectors, reference: Vectors) -> np.ndarray:
    """What the n-gram rows of `v` are in the reference, or their own where that hashes otherwise: (n_rows, dim)."""
    subwords, ngrams = v.ngrams
    theirs = reference.vocab.subwords
    if theirs is None or not subwords.hashes_as(theirs):
        return ngrams.rows(slice(None))
    buckets = np.arange(subwords.n_buckets)
    row, their_row = subwords.rows_of(buckets), theirs.rows_of(buckets)  # (n_buckets,)
    found = (row >= 0) & (their_row >= 0)
    out = ngrams.rows(slice(None))
    out[row[found]] = reference.ngrams[1].rows(their_row[found])
    return out


def settled(
    rows: Coded, means: "WeightedMeans", targets: np.ndarray, prior: np.ndarray, bound: np.float32, n_sweeps: int
) -> Coded:
    """Codes and codebooks that serve the words best, starting from those of `rows`; see `kernels.settle`."""
    by_row = means.by_row()
    for _ in progress.bar(range(n_sweeps), desc="Refit", unit="sweep", leave=False, delay=2):
        if rows.side_by_side:
            rows = _swept(rows, means, by_row, targets, prior, bound, np.arange(len(rows.spans)))
        else:  # codes of the same columns: one after the other
            for code in range(len(rows.spans)):
                rows = _swept(rows, means, by_row, targets, prior, bound, np.array([code]))
    return rows


def _swept(
    rows: Coded,
    means: "WeightedMeans",
    by_row: tuple[np.ndarray, np.ndarray],
    targets: np.ndarray,
    prior: np.ndarray,
    bound: np.float32,
    chosen: np.ndarray,
) -> Coded:
    """`rows` after one sweep over the chosen codes, whose spans lie side by side and cover all columns."""
    from .. import kernels

    decoded = rows.rows(slice(None))  # (n_rows, dim)
    codes, codebooks = rows.codes.copy(), rows.codebooks.copy()  # (n_rows, n_codes), (n_entries, width)
    code_of = np.repeat(np.arange(len(rows.spans)), rows.spans[:, 1] - rows.spans[:, 0])  # (width,)
    columns = np.flatnonzero(np.isin(code_of, chosen))  # (dim,), of the codebooks
    own_codes, entries = codes[:, chosen].copy(), codebooks[:, columns].copy()  # (n_rows, n_chosen), (n_entries, dim)
    if not rows.side_by_side:  # what the other codes of a row add is no business of this one
        prior = prior - (decoded - entries[own_codes[:, 0]])
    kernels.settle(
        *by_row,
        means.weights,
        means.squares,
        bound,
        prior,
        own_codes,
        entries,
        rows.spans[chosen],
        targets - means.of(decoded),
    )
    codes[:, chosen], codebooks[:, columns] = own_codes, entries
    return Coded.of(codes, codebooks, rows.spans, rows.shape[1], rows.n_bits)


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
        from .. import kernels

        self.indptr, self.rows, self.weights = indptr, rows, weights.astype(np.float32)
        self.squares = kernels.square_weights(indptr, rows, self.weights, n_rows)  # (n_rows,)

    def of(self, x: np.ndarray) -> np.ndarray:
        """Weighted sums over rows of `x` (n_rows, dim): (n, dim)."""
        from .. import kernels

        sums = kernels.segment_sums(self.indptr, self.rows, x)
        sums *= self.weights[:, None]
        return sums

    def pull(self, x: np.ndarray, targets: np.ndarray | None = None) -> np.ndarray:
        """The transpose times what `targets` (n, dim), by default 0, are more than sums over `x`: (n_rows, dim).

        Without targets, the sign is turned: the transpose times the sums.
        """
        from .. import kernels

        return kernels.pull(self.indptr, self.rows, self.weights, x, x[:0] if targets is None else targets)

    def by_row(self) -> tuple[np.ndarray, np.ndarray]:
        """The words of each row, as a ragged array: (n_rows + 1,) int64, and int32."""
        from scipy.sparse import csr_array

        ones = np.ones(len(self.rows), np.int32)
        incidence = csr_array((ones, self.rows, self.indptr), shape=(len(self.weights), len(self.squares)))
        transposed = incidence.T.tocsr()
        return transposed.indptr.astype(np.int64), transposed.indices


@remembered
def made_up(reference: Vectors, n: int, seed: int) -> Vocab:
    """Made-up unseen strings to fit on."""
    return Vocab(made_up_words(reference.words, n, True, seed))


def conjugate_gradients(
    means: WeightedMeans, start: np.ndarray, targets: np.ndarray, bound: np.float32, n_iter: int
) -> np.ndarray:
    """Minimise ``|means @ (start + x) - targets|^2 + bound * |x|^2``: (n_rows, dim) float32.

    Every column is a problem of its own with the same matrix; they are solved side by side.

    Parameters
    ----------
    means : WeightedMeans
    start : (n_rows, dim) float32 array
    targets : (n, dim) float32 array
    bound : float
    n_iter : int
        Stops sooner once the residual is `TOLERANCE` of the first.
    """
    # Dividing by the diagonal evens out frequent and rare n-grams: a third of the steps for the same error.
    diagonal = means.squares + bound
    scale = (1 / np.maximum(diagonal, 1e-30))[:, None].astype(np.float32)  # (n_rows, 1)
    residual = means.pull(start, targets)  # (n_rows, dim), as are all below
    x = np.zeros_like(residual)
    direction = scale * residual
    energy = np.einsum("ij,ij->j", residual, direction)  # (dim,)
    enough = TOLERANCE**2 * energy.sum()
    for _ in progress.bar(range(n_iter), desc="Refit", unit="iteration", leave=False, delay=2):
        if energy.sum() <= enough:
            break
        image = means.pull(direction) + bound * direction
        length = energy / np.maximum(np.einsum("ij,ij->j", direction, image), np.float32(1e-30))
        x += length * direction
        residual -= length * image
        scaled = scale * residual
        before, energy = energy, np.einsum("ij,ij->j", residual, scaled)
        direction *= energy / np.maximum(before, np.float32(1e-30))
        direction += scaled
    return x
