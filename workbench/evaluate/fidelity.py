"""Fidelity: cosine to the original vector, word by word."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ..storage import is_extreme, lengths
from ..vectors import Vectors, check_finite, remembered, unit
from ..vocab import Vocab, is_for_fitting, made_up_words
from .table import interval, row

N_DRAWN = 200  # resamples of words and dimensions


def check_comparable(original: Vectors, small: Vectors) -> None:
    """Refuse anything but two models of the same dimensions."""
    for name, v in (("original", original), ("small", small)):
        if not isinstance(v, Vectors):
            raise TypeError(f"{name} must be Vectors, as from load(), got {type(v).__name__}")
    if original.dim != small.dim:
        raise ValueError(f"the original has {original.dim} dimensions, the other {small.dim}; they cannot be compared")


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine of each pair of rows of two (n, dim) arrays: (n,) float32; 0 where a row is all zeros."""
    sides = lengths(a), lengths(b)
    if any(is_extreme(long).any() for long in sides):
        return np.einsum("ij,ij->i", unit(a), unit(b))  # products of float32 could overflow or vanish
    product = sides[0] * sides[1]
    return np.einsum("ij,ij->i", a, b) / np.where(product > 0, product, np.inf)


def splits(words: Sequence[str] | Vocab, small: Vectors) -> dict[str, np.ndarray]:
    """Return the positions of words that the small model kept, remapped and dropped.

    Kept words have rows of their own; remapped ones are in the vocabulary and borrow one.
    """
    if isinstance(words, Vocab):
        places = words.places_in(small.vocab)
    else:
        places = np.array([small.key_to_index.get(word, -1) for word in words], np.int64)
    known = places >= 0
    borrows = known & small.vocab.remapped[places]
    return {
        "kept": np.flatnonzero(known & ~borrows),
        "remapped": np.flatnonzero(borrows),
        "dropped": np.flatnonzero(~known),
    }


def fidelity(
    original: Vectors,
    small: Vectors,
    unseen: list[str],
    n_words: int = 50_000,
    random_state: int = 0,
    unseen_how: str = "given words",
) -> pd.DataFrame:
    """Return fidelity, and what belongs beside it, for kept, remapped, dropped and unseen words.

    Parameters
    ----------
    original, small : Vectors
    unseen : list of str
        Words in neither vocabulary; see `choose_unseen`.
    n_words : int
        Each split is sampled down to so many words, none of which a step that samples was fitted on.
    random_state : int
        Seed of that sample, and of the bootstrap.

    Returns
    -------
    DataFrame
        Rows ``fidelity`` (mean cosine), ``fidelity_weighted`` (by word count), ``fidelity_p5``
        (5th percentile), ``norm_ratio`` (median of length over original length) and
        ``coverage`` (share of words that have a vector; one that has none counts as cosine 0).
        Words whose original vector is zero have no direction to keep and are left out.
    """
    rows: list[dict] = []
    for split, how, counts, before, after, covered in _scored(
        original, small, unseen, n_words, random_state, unseen_how
    ):
        cosine = cosines(before, after)
        n, limits = len(cosine), None if how == "exact" else interval(cosine, random_state)
        rows.append(row("fidelity", split, cosine.mean(), how, n, limits))
        if counts is not None and counts.any():
            rows.append(row("fidelity_weighted", split, np.average(cosine, weights=counts), how, n))
        rows.append(row("fidelity_p5", split, np.percentile(cosine, 5), how, n))
        if covered.any():
            ratios = lengths(after[covered]) / lengths(before[covered])
            rows.append(row("norm_ratio", split, np.median(ratios), how, int(covered.sum())))
        rows.append(row("coverage", split, covered.mean(), how, n))
    return pd.DataFrame(rows)


def fidelity_on_columns(
    original: Vectors, small: Vectors, unseen: list[str], n_words: int, random_state: int, dim: int, doubt: float = 0
) -> pd.DataFrame:
    """Return the mean cosine and coverage of two models on some of `dim` dimensions, as an estimate for all.

    The interval is 1.96 standard errors wide on both sides, by a bootstrap over words and dimensions at once, and wider
    by a share of the loss, `doubt`.
    """
    rows: list[dict] = []
    rng = np.random.default_rng(random_state)
    k = original.dim
    columns = rng.multinomial(k, np.full(k, 1 / k), N_DRAWN).T.astype(np.float32)  # (k, N_DRAWN) times each is drawn
    for split, _, _, before, after, covered in _scored(original, small, unseen, n_words, random_state, ""):
        n = len(before)
        products, sides = (before * after) @ columns, [np.square(x) @ columns for x in (before, after)]  # (n, N_DRAWN)
        drawn = products / np.sqrt(np.maximum(sides[0] * sides[1], np.float32(1e-30)))
        words = rng.multinomial(n, np.full(n, 1 / n), N_DRAWN).T  # (n, N_DRAWN)
        mean = float(cosines(before, after).mean())
        error = 1.96 * float(((drawn * words).sum(axis=0) / n).std()) + doubt * (1 - mean)
        how = f"quick sample, {k} of {dim} dimensions, seed {random_state}"
        rows.append(row("fidelity", split, mean, how, n, (mean - error, min(mean + error, 1))))
        rows.append(row("coverage", split, covered.mean(), how, n))
    return pd.DataFrame(rows)


def _scored(
    original: Vectors, small: Vectors, unseen: list[str], n_words: int, random_state: int, unseen_how: str
) -> Iterator[tuple[str, str, np.ndarray | None, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield each split, where its words come from, their counts, (n,), both vectors, (n, dim), and which are there.

    A vector that is not there is zeros.
    """
    rng = np.random.default_rng(random_state)
    groups = []  # (split, vocabulary, positions in it, how)
    for split, index in splits(original.vocab, small).items():
        how = "exact"
        if len(index) > n_words:
            index, how = original.vocab.drawn_to_score(index, n_words, rng), f"sampled, seed {random_state}"
        groups.append((split, original.vocab, index, how))
    how = f"sampled, {unseen_how}, seed {random_state}"
    groups.append(("unseen", Vocab(unseen), np.arange(len(unseen)), how))
    for split, vocab, index, how in groups:
        before = original.vectors_of(vocab, index, missing="zero")  # (n, dim)
        check_finite(before, [vocab.words[i] for i in index])
        defined = np.asarray(before.any(axis=1))
        if not defined.any():
            continue
        after = small.vectors_of(vocab, index, missing="nan")[defined]
        covered = ~np.isnan(after[:, 0])
        counts = None if vocab.counts is None else vocab.counts[index][defined]
        yield split, how, counts, before[defined], np.nan_to_num(after, copy=False), covered


def choose_unseen(
    original: Vectors, small: Vectors, unseen: list[str] | None, n: int = 5_000, random_state: int = 0
) -> tuple[list[str], str]:
    """Return unseen words to score, and where they come from.

    They are in neither vocabulary, and no step may have been fitted on them (`vocab.is_for_fitting`).

    Parameters
    ----------
    unseen : list of str, optional
        Real words are best. By default the rare words of its texts for the built-in model, and
        made-up words (half of one joined to half of another) for others.
    n : int
        The most words to return.

    Raises
    ------
    ValueError
        If none of the given words can be scored.
    """
    if isinstance(unseen, str):
        raise TypeError(f"expected a list of unseen words, got the string {unseen!r}")
    if original.vocab.subwords is None:
        return [], "no n-grams"
    if unseen is None and original.meta.get("provenance", {}).get("source") == "builtin:en":
        from ..data import rare_words

        unseen, how = list(rare_words()), "rare words of its texts"
    elif unseen is None:
        unseen, how = _made_up(original, n, random_state + 1), "made-up words"
    else:
        how = "given words"
    fresh = [w for w in _fit_to_score(original, tuple(unseen)) if w not in small]
    if unseen and how == "given words" and not fresh:
        raise ValueError(
            f"none of the {len(unseen)} unseen words given can be scored: they are in a vocabulary, have no n-gram "
            "in the original, or are among the one in eight that steps may be fitted on"
        )
    if len(fresh) > n:
        rng = np.random.default_rng(random_state)
        fresh = [fresh[i] for i in np.sort(rng.choice(len(fresh), n, replace=False))]
    return fresh, how


@remembered
def _made_up(original: Vectors, n: int, seed: int) -> list[str]:
    """Made-up strings to score, joined only once."""
    return made_up_words(original.words, n, fitting=False, seed=seed)


@remembered
def _fit_to_score(original: Vectors, unseen: tuple[str, ...]) -> list[str]:
    """The words that the original does not know, but has a vector for, and that no step may be fitted on."""
    fresh = [w for w in dict.fromkeys(unseen) if w not in original and not is_for_fitting(w)]
    has_ngrams = np.diff(original.ngrams[0].rows(fresh)[0]) > 0
    return [w for w, is_good in zip(fresh, has_ngrams, strict=True) if is_good]
