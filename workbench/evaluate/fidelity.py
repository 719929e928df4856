"""How close vectors stay to the original ones, word by word."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..storage import SAFE_NORMS, lengths
from ..vectors import Vectors, check_finite, remembered, unit
from ..vocab import Vocab, is_for_fitting, made_up_words
from .table import interval, row


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row by row cosine of two (n, dim) arrays: (n,) float32; 0 where either row is all zeros."""
    sides = lengths(a), lengths(b)
    if any(((long > 0) & ~((long > SAFE_NORMS[0]) & (long < SAFE_NORMS[1]))).any() for long in sides):
        return np.einsum("ij,ij->i", unit(a), unit(b))  # for products of float32 may overflow, or vanish
    product = sides[0] * sides[1]
    return np.einsum("ij,ij->i", a, b) / np.where(product > 0, product, np.inf)


def splits(words: Sequence[str], small: Vectors) -> dict[str, np.ndarray]:
    """Positions in `words` of those that the small model kept, that it remapped, and that it dropped.

    Kept words have rows of their own; remapped ones are in the vocabulary and borrow one.
    """
    places = np.array([small.key_to_index.get(word, -1) for word in words], np.int64)
    return _split(places, small)


def _split(places: np.ndarray, small: Vectors) -> dict[str, np.ndarray]:
    """`splits` of words by their positions in the small model, -1 where they are not there."""
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
    """Cosine to the original vector, and what belongs beside it, for kept, remapped, dropped and unseen words.

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
    rng = np.random.default_rng(random_state)
    rows = []
    for split, index in _split(original.vocab.places_in(small.vocab), small).items():
        how = "exact"
        if len(index) > n_words:
            index, how = original.vocab.drawn_to_score(index, n_words, rng), f"sampled, seed {random_state}"
        counts = None if original.vocab.counts is None else original.vocab.counts[index]
        rows += _rows(original, small, original.vocab, index, split, how, counts, random_state)
    how, everyone = f"sampled, {unseen_how}, seed {random_state}", np.arange(len(unseen))
    rows += _rows(original, small, Vocab(unseen), everyone, "unseen", how, None, random_state)
    return pd.DataFrame(rows)


def _rows(original, small, words, index, split, how, counts, seed) -> list[dict]:
    """The rows of one split: of the words at these positions of a vocabulary."""
    before, after, defined = _both(original, small, words, index)
    if not defined.any():
        return []
    counts = None if counts is None else counts[defined]
    covered = ~np.isnan(after[:, 0])
    np.nan_to_num(after, copy=False)
    cosine = cosines(before, after)
    sampled = not how.startswith("exact")
    out = [row("fidelity", split, cosine.mean(), how, len(cosine), interval(cosine, seed) if sampled else None)]
    if counts is not None and counts.any():
        out.append(row("fidelity_weighted", split, np.average(cosine, weights=counts), how, len(cosine)))
    out.append(row("fidelity_p5", split, np.percentile(cosine, 5), how, len(cosine)))
    if covered.any():
        ratios = lengths(after[covered]) / lengths(before[covered])
        out.append(row("norm_ratio", split, np.median(ratios), how, int(covered.sum())))
    out.append(row("coverage", split, covered.mean(), how, len(cosine)))
    return out


def _both(
    original: Vectors, small: Vectors, words: Vocab, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors before and after, (n, dim), NaN after for none; and which words have a direction before."""
    before = original.vectors_of(words, index, missing="zero")
    check_finite(before, [words.words[i] for i in index])
    defined = np.asarray(before.any(axis=1))
    return before[defined], small.vectors_of(words, index, missing="nan")[defined], defined


def choose_unseen(
    original: Vectors, small: Vectors, unseen: list[str] | None, n: int = 5_000, random_state: int = 0
) -> tuple[list[str], str]:
    """Unseen words to score, and a word on what they are.

    Never in either vocabulary, and never one that a step may have been fitted on
    (`vocab.is_for_fitting`).

    Parameters
    ----------
    unseen : list of str, optional
        Real words are best. Without them: for the built-in model the rare words of its texts,
        for others made-up words (half of one joined to half of another).
    n : int
        At most so many.

    Raises
    ------
    ValueError
        If none of the given words can serve.
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
    """Made-up strings to score."""
    return made_up_words(original.words, n, fitting=False, seed=seed)


@remembered
def _fit_to_score(original: Vectors, unseen: tuple[str, ...]) -> list[str]:
    """Those that the original does not know, but has a vector for, and that no step may be fitted on."""
    fresh = [w for w in dict.fromkeys(unseen) if w not in original and not is_for_fitting(w)]
    has_ngrams = np.diff(original.ngrams[0].rows(fresh)[0]) > 0
    return [w for w, is_good in zip(fresh, has_ngrams, strict=True) if is_good]
