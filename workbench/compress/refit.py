"""`Refit`: move the n-grams that stay, so that dropped words are reconstructed more closely."""

import numpy as np

from .. import progress
from ..spool import spooled, zeros
from ..storage import BLOCK, Coded, Normed, Projected, Stacked, Storage, lengths
from ..vectors import Vectors, check_finite, remembered
from ..vocab import Vocab, made_up_words
from .base import Step, parameter
from .outline import Outline
from .values import check_squares

TOLERANCE = 1e-3  # of the first residual: the solver stops there
N_WORDS = 200_000  # that are fitted on: for rows of codes, what is left of their targets takes most memory
LOOKED_UP = 1 << 18  # numbers of them at once: the rows of their n-grams take some 20 MB
SOLVED = 1 << 28  # bytes that the solver works in: as many columns at once as they hold
ARRAYS = 4  # of the size of those columns that it needs


class Refit(Step):
    """Re-fit the n-grams that stay by least squares, so that their means are close to the original vectors.

    Minimises, over n-gram rows ``X``,

        sum over dropped words of |mean of X over the word's n-grams - original vector|^2
        + `kept_weight` times the same over kept words
        + `unseen_weight` times the same over made-up unseen strings
        + `strength` times the mean weight of an n-gram times |X - s X0|^2,

    where errors are relative to the original vector's length, ``X0`` are the original's rows
    and ``s`` is the one scale that fits them best: pruning keeps long rows, so that means over
    the survivors come out too long. The last term is what keeps unseen words unharmed: it binds
    rare n-grams, which could otherwise learn single words by heart.

    Plain rows are solved for by conjugate gradients on the normal equations (Hestenes and
    Stiefel, 1952), preconditioned by their diagonal, many columns at once. Rows that are stored
    as codes stay codes: entry by entry and code by code, each is set to what is best while the
    others are held fixed (the idea of iterated conditional modes in Babenko and Lempitsky, "Additive
    Quantization", 2014), so that the n-grams of a word make up for each other's errors.

    In a `Chain`, the targets come from the chain's own input. Alone, `fit` needs ``reference=``.

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
        Weight of a kept word. 0 leaves kept words out, since they have rows of their own; use 1 before `Residual`.
    frequency : float
        Power of a word's count that its weight is multiplied with: 0 makes all words alike, 1
        weighs them as running text does. Other than 0, it needs a model with counts.
    n_iter : int
        Steps of the solver for plain rows, at most.
    n_sweeps : int
        Times that all codes are chosen anew, for rows stored as codes.
    n_words : int or None
        Words of the original that are fitted on, at most. Of more, a sample of the half from which no sample
        to score is drawn (`Vocab.is_for_scoring`). None uses all words, which for codes takes ``4 * dim`` bytes a word.
    random_state : int
        Seed of the made-up strings, and of that sample.

    Attributes
    ----------
    ngrams_ : Storage
        The new rows, stored as those before.
    """

    label = "Refit n-grams"
    blurb = "moves the n-grams that stay, by least squares, so that dropped words come out closer. It adds no bytes."
    needs_ngrams = True

    strength: float = parameter(1.0, "number", "Hold to the original")
    n_unseen: int = parameter(20_000, "whole", "Made-up words", main=False)
    unseen_weight: float = parameter(0.3, "number", "Weight of unseen words", main=False)
    kept_weight: float = parameter(0.0, "number", "Weight of kept words")
    frequency: float = parameter(0.0, "number", "Power of frequency", main=False)
    n_iter: int = parameter(6, "whole", "Solver's steps", 1, main=False)
    n_sweeps: int = parameter(4, "whole", "Sweeps over codes", 1, main=False)
    n_words: int | None = parameter(N_WORDS, "whole", "Words fitted on", 1, all_is_none=True, main=False, omit=True)
    random_state: int = parameter(0, "seed", "Seed")

    def loses_alike(self) -> bool:
        return True

    def _outlined(self, o: Outline) -> Outline | None:
        rows, no_counts = o.parts.get("ngrams"), o.model.vocab.counts is None
        return None if rows is None or rows.kind == "normed" or (self.frequency and no_counts) else o

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        if reference is None:
            raise ValueError(
                "Refit needs the original model: put it in a Chain, which passes its own input on, "
                "or call fit(v, reference=original)"
            )
        words, unseen = reference.vocab, made_up(reference, self.n_unseen, self.random_state)
        if self.frequency and words.counts is None:
            raise ValueError(f"{self!r}: the original has no word counts; frequency must be 0")
        v = v.adjusted()
        _, rows = v.ngrams

        weights = np.where(words.places_in(v.vocab) >= 0, np.float32(self.kept_weight), np.float32(1))  # (n_words,)
        if self.frequency and words.counts is not None:
            counted = np.maximum(words.counts, 1) ** float(self.frequency)
            weights *= (counted / counted.mean()).astype(np.float32)
            if not np.isfinite(weights).all():
                raise ValueError(f"{self!r}: counts to the power of {self.frequency} overflow; take a lower frequency")
        chosen = np.flatnonzero(weights)
        if self.n_words is not None and len(chosen) > self.n_words:
            unscored = chosen[~words.is_for_scoring[chosen]]
            chosen = np.sort(np.random.default_rng(self.random_state).permutation(unscored)[: int(self.n_words)])
        shares = np.full(len(unseen), self.unseen_weight, np.float32)
        parts = [(words, chosen, weights[chosen]), (unseen, np.arange(len(unseen)), shares)]
        inner = rows
        while isinstance(inner, Projected):
            inner = inner.inner
        means, targets, pulled = self._means_and_targets(v, reference, parts, isinstance(inner, Coded))
        wanted = pulled if targets is None else targets
        prior, square = original_rows(v, reference), 0.0  # (n_rows, dim)
        n = max(LOOKED_UP // v.dim, 1)
        for start in range(0, len(means.weights), n):
            now = means.of(prior, slice(start, start + n))
            square += float(np.vdot(now, now))
        prior *= np.float32(np.vdot(prior, pulled) / square if square > 0 else 1)  # the scale that fits best
        del targets, pulled  # one of them is done with
        bound = np.float32(self.strength * means.squares.sum() / max(len(means.squares), 1))
        self.ngrams_ = self._refitted(rows, means, wanted, prior, bound)

    def _means_and_targets(
        self, v: Vectors, reference: Vectors, parts: list[tuple[Vocab, np.ndarray, np.ndarray]], of_codes: bool
    ) -> tuple["WeightedMeans", np.ndarray | None, np.ndarray]:
        """Return the means ``A`` over n-grams of `v`, their targets, (n, dim), and ``A.T @ targets``, (n_rows, dim).

        `parts` are vocabularies, positions in them, and weights. Only codes are fitted to the targets themselves; for
        other rows they are not kept.
        """
        from .. import kernels

        subwords, rows = v.ngrams
        n = max(LOOKED_UP // v.dim, 1)
        blocks = [
            (vocab, index[i : i + n], weights[i : i + n])
            for vocab, index, weights in parts
            for i in range(0, max(len(index), 1), n)
        ]
        pulled, largest = zeros(len(rows), v.dim), np.zeros((1, v.dim), np.float32)
        targets = zeros(sum(len(index) for _, index, _ in parts), v.dim) if of_codes else None
        ragged, done = [], 0
        for vocab, index, weights in progress.bar(blocks, desc="Targets", unit="block", leave=False, delay=2):
            block = reference.vectors_of(vocab, index, "zero")  # (<= n, dim)
            check_finite(block, vocab.words, index)
            np.maximum(largest, np.abs(block).max(axis=0, initial=0), out=largest)
            indptr, ngrams = vocab.ngram_rows(index, subwords)
            n_ngrams, norms = np.diff(indptr), lengths(block)
            scale = np.sqrt(weights) * (n_ngrams > 0) / np.where(norms > 0, norms, np.float32(np.inf))
            block *= scale[:, None]
            scale = (scale / np.maximum(n_ngrams, 1)).astype(np.float32)
            kernels.add_pulls(indptr, ngrams, scale, block, pulled)
            ragged.append((n_ngrams, ngrams, scale))
            if targets is not None:
                targets[done : done + len(block)] = block
            done += len(block)
        check_squares(largest, f"{self!r}: the original's vectors")
        n_ngrams, ngrams, scale = map(np.concatenate, zip(*ragged, strict=True))
        means = WeightedMeans(np.concatenate([[0], np.cumsum(n_ngrams)]), ngrams, scale, len(rows))
        return means, targets, pulled

    def _refitted(
        self, rows: Storage, means: "WeightedMeans", wanted: np.ndarray, prior: np.ndarray, bound: np.float32
    ) -> Storage:
        """The n-gram rows that serve best, stored as `rows` are; `wanted` are targets for codes, else their pull."""
        if isinstance(rows, Projected):
            if not np.allclose(rows.axes @ rows.axes.T, np.eye(len(rows.axes)), atol=1e-3):
                raise ValueError(f"Refit needs the axes of {rows!r} to be at right angles and of length 1")
            back = rows.axes.T  # no inner row can change what lies outside the space of the axes
            return rows.over(self._refitted(rows.inner, means, wanted @ back, prior @ back, bound))
        if isinstance(rows, Normed):
            raise ValueError(f"Refit cannot change {rows!r}: leave out norms=True, or put Refit before it")
        if isinstance(rows, Coded):
            return better_codes(rows, means, wanted, prior, bound, self.n_sweeps)
        move(prior, means, wanted, bound, self.n_iter)
        return rows.like(prior)

    def _transform(self, v: Vectors) -> Vectors:
        v = v.adjusted()
        _, ngrams = v.ngrams
        if ngrams.shape != self.ngrams_.shape:
            raise ValueError(f"Refit was fitted on n-gram rows of shape {self.ngrams_.shape}, got {ngrams.shape}")
        return v.with_storage(Stacked(v.storage.words, self.ngrams_))


@remembered
def made_up(reference: Vectors, n: int, seed: int) -> Vocab:
    """Return made-up unseen strings to fit on."""
    return Vocab(made_up_words(reference.words, n, True, seed))


def original_rows(v: Vectors, reference: Vectors) -> np.ndarray:
    """Return the reference's rows of the n-grams of `v`, or its own where the two hash otherwise: (n_rows, dim)."""
    subwords, ngrams = v.ngrams
    theirs = reference.vocab.subwords
    own = spooled((block for _, block in ngrams.blocks()), v.dim, len(ngrams))
    if theirs is None or subwords.hashing != theirs.hashing:
        return own
    buckets = np.arange(subwords.n_buckets)
    row, their_row = subwords.rows_of(buckets), theirs.rows_of(buckets)  # (n_buckets,)
    found = (row >= 0) & (their_row >= 0)
    row, their_row = row[found], their_row[found]
    for start in range(0, len(row), BLOCK):
        here = slice(start, start + BLOCK)
        own[row[here]] = reference.ngrams[1].rows(their_row[here])
    return own


class WeightedMeans:
    """The matrix ``A`` that takes n-gram rows to a weighted sum for each word, and its transpose.

    The n-gram rows of word ``i`` are ``rows[indptr[i]:indptr[i + 1]]``; each has ``weights[i]`` in its sum.
    """

    def __init__(self, indptr: np.ndarray, rows: np.ndarray, weights: np.ndarray, n_rows: int):
        from .. import kernels

        self.indptr, self.rows, self.weights = indptr, rows, weights.astype(np.float32)
        self.squares = kernels.squares(indptr, rows, self.weights, n_rows)  # (n_rows,), the diagonal of A.T @ A

    def of(self, x: np.ndarray, words: slice = slice(None)) -> np.ndarray:
        """Return ``A @ x``, the weighted sums over rows of `x` (n_rows, dim) for all words, or for these: (n, dim)."""
        from .. import kernels

        weights = self.weights[words]
        indptr = self.indptr[words.start : None if words.stop is None else words.stop + 1]
        sums = kernels.segment_sums(indptr, self.rows, x)
        sums *= weights[:, None]
        return sums

    def pull(self, x: np.ndarray) -> np.ndarray:
        """Return ``A.T @ A @ x``: (n_rows, dim)."""
        from .. import kernels

        return kernels.pull(self.indptr, self.rows, self.weights, x)

    def by_row(self) -> tuple[np.ndarray, np.ndarray]:
        """The words of each row, as a ragged array: (n_rows + 1,) int64, and int32."""
        from scipy.sparse import csr_array

        ones = np.ones(len(self.rows), np.int32)
        incidence = csr_array((ones, self.rows, self.indptr), shape=(len(self.weights), len(self.squares)))
        transposed = incidence.T.tocsr()
        return transposed.indptr.astype(np.int64), transposed.indices


def better_codes(
    rows: Coded, means: WeightedMeans, targets: np.ndarray, prior: np.ndarray, bound: np.float32, n_sweeps: int
) -> Coded:
    """Return codes and codebooks that serve the words best, starting from those of `rows`; see `kernels.settle`."""
    from .. import kernels

    by_row = means.by_row()
    n_codes, widths = len(rows.spans), rows.spans[:, 1] - rows.spans[:, 0]
    code_of = np.repeat(np.arange(n_codes), widths)  # (width of all codebooks,)
    together = [np.arange(n_codes)] if rows.side_by_side else np.arange(n_codes)[:, None]  # codes of different columns
    for _ in progress.bar(range(n_sweeps), desc=Refit.label, unit="sweep", leave=False, delay=2):
        for chosen in together:
            decoded = spooled((block for _, block in rows.blocks()), rows.shape[1], len(rows))  # (n_rows, dim)
            left = means.of(decoded)
            np.subtract(targets, left, out=left)  # (n, dim)
            codes, codebooks = rows.codes.copy(), rows.codebooks.copy()  # (n_rows, n_codes), (n_entries, width)
            columns = np.flatnonzero(np.isin(code_of, chosen))  # (dim,)
            own_codes, entries = codes[:, chosen].copy(), codebooks[:, columns].copy()
            held = prior if rows.side_by_side else prior - (decoded - entries[own_codes[:, 0]])  # less the other codes
            problem = (*by_row, means.weights, means.squares, bound, held)
            kernels.settle(*problem, own_codes, entries, rows.spans[chosen], left)
            codes[:, chosen], codebooks[:, columns] = own_codes, entries
            rows = Coded.of(codes, codebooks, rows.spans, rows.shape[1], rows.n_bits)
    return rows


def move(rows: np.ndarray, means: WeightedMeans, pulled: np.ndarray, bound: np.float32, n_iter: int) -> None:
    """Move `rows` (n_rows, dim) by `conjugate_gradients`, for as many columns at once as `SOLVED` holds.

    Columns are problems of their own: solved apart, they change only where some are done sooner than others.
    """
    from ..kernels import COLUMNS

    n_rows, dim = rows.shape
    width = COLUMNS * max(SOLVED // (ARRAYS * 4 * COLUMNS * max(n_rows, 1)), 1)
    for first in progress.bar(range(0, dim, width), desc=Refit.label, unit="block", leave=False, delay=2):
        start, residual = (np.ascontiguousarray(array[:, first : first + width]) for array in (rows, pulled))
        residual -= means.pull(start)
        conjugate_gradients(means, start, residual, bound, n_iter)
        rows[:, first : first + width] = start


def conjugate_gradients(
    means: WeightedMeans, x: np.ndarray, residual: np.ndarray, bound: np.float32, n_iter: int
) -> None:
    """Add to `x` (n_rows, dim) the solution of ``(A.T @ A + bound) @ step = residual``, which is overwritten.

    Every column is a problem of its own with the same matrix; they are solved side by side. Stops before `n_iter`
    once the residual is `TOLERANCE` of the first.
    """
    # Dividing by the diagonal evens out frequent and rare n-grams: a third of the steps for the same error.
    diagonal = means.squares + bound
    scale = (1 / np.maximum(diagonal, 1e-30))[:, None].astype(np.float32)  # (n_rows, 1)
    direction = scale * residual  # (n_rows, dim), as are all below
    energy = np.einsum("ij,ij->j", residual, direction)  # (dim,)
    enough = TOLERANCE**2 * energy.sum()
    for _ in progress.bar(range(n_iter), desc=Refit.label, unit="iteration", leave=False, delay=2):
        if energy.sum() <= enough:
            break
        image = means.pull(direction)
        image += bound * direction
        length = energy / np.maximum(np.einsum("ij,ij->j", direction, image), np.float32(1e-30))
        image *= length
        residual -= image
        x += np.multiply(length, direction, out=image)
        preconditioned = np.multiply(scale, residual, out=image)
        before, energy = energy, np.einsum("ij,ij->j", residual, preconditioned)
        direction *= energy / np.maximum(before, np.float32(1e-30))
        direction += preconditioned
        del image, preconditioned  # before the next one is made
