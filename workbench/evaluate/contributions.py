"""Contributions of n-grams to a word's vector, before and after a compression."""

import numpy as np
import pandas as pd

from ..subwords import Subwords
from ..vectors import Vectors
from ..vocab import printable
from .fidelity import check_comparable, cosines

STATUSES = ("stays", "pruned", "not there before")


def ngram_carriers(original: Vectors, small: Vectors, word: str) -> pd.DataFrame:
    """Return the contribution of each n-gram of a word to the mean of its n-grams.

    Parameters
    ----------
    original, small : Vectors
        Both with n-grams, of the same lengths.
    word : str
        Known or not.

    Returns
    -------
    DataFrame
        A row for each n-gram, in order of its place in the word and of its length; repeated
        n-grams have repeated rows. Columns:

        - ``ngram``, with the marks ``<`` and ``>``;
        - ``share_before`` and ``share_after``: its share of the mean vector ``m`` of the ``k`` n-grams
          that have rows, ``(row . m) / (k |m|^2)``. Shares add up to 1; one that points against the
          others is negative. Missing where it has no row, or ``m`` is zero;
        - ``cosine`` between its rows before and after, missing likewise;
        - ``status``: "stays", "pruned", or "not there before" (no row in the original).

        ``attrs``: ``word``; ``known_before`` and ``known_after`` (in the vocabulary);
        ``made_of_before`` and ``made_of_after`` ("own row", "own row and n-grams", "row of another
        word", "n-grams" or "nothing"); ``cosine`` of its vectors before and after, 0 where there
        is none; ``ngrams_left``, such as "7 of 12".

    Raises
    ------
    ValueError
        If a model has no n-grams, or the two differ in n-grams or in dimensions.
    KeyError
        If neither model can embed the word.
    """
    check_comparable(original, small)
    if not isinstance(word, str):
        raise TypeError(f"expected a word, got {word!r}")
    lengths = {}
    for name, v in (("original", original), ("small", small)):
        if v.vocab.subwords is None:
            raise ValueError(f"the {name} model has no n-grams, so none contributes to a word")
        lengths[name] = v.vocab.subwords.min_n, v.vocab.subwords.max_n
    if lengths["original"] != lengths["small"]:
        both = " and ".join(f"{low} to {high} in the {name} model" for name, (low, high) in lengths.items())
        raise ValueError(f"expected n-grams of the same lengths in both models, got {both}")
    if original.ngrams[0].cutting != small.ngrams[0].cutting:
        raise ValueError("expected the same kind of n-grams in both models, and the same list where they are listed")
    if not small.can_embed(word):
        original[word]  # KeyError where the original cannot embed it either
    sides = []
    for v in (original, small):
        subwords, ngrams = v.ngrams
        index = subwords.rows_of(subwords.buckets([word])[1])
        rows = np.full((len(index), v.dim), np.nan, np.float32)  # (n_ngrams, dim), NaN without a row
        rows[index >= 0] = ngrams.rows(index[index >= 0])
        sides.append(rows)
    before, after = sides
    had, has = ~np.isnan(before[:, 0]), ~np.isnan(after[:, 0])
    status = np.select([~had, has], ["not there before", "stays"], "pruned")
    carriers = pd.DataFrame(
        {
            "ngram": ngram_texts(word, original.ngrams[0]),
            "share_before": shares(before),
            "share_after": shares(after),
            "cosine": cosines(before, after),
            "status": pd.Categorical(status, categories=STATUSES),
        }
    )
    vectors = [v.get_vectors([word], missing="zero") for v in (original, small)]
    carriers.attrs = {
        "word": printable(word),
        "known_before": word in original,
        "known_after": word in small,
        "made_of_before": _made_of(original, word),
        "made_of_after": _made_of(small, word),
        "cosine": float(cosines(*vectors)[0]),
        "ngrams_left": f"{has.sum()} of {len(has)}",
    }
    return carriers


def has_same_ngrams(original: Vectors, small: Vectors) -> bool:
    """Return whether `ngram_carriers` can compare the two: the same kind of n-grams, the same dimensions."""
    if original.vocab.subwords is None or small.vocab.subwords is None or original.dim != small.dim:
        return False
    return original.vocab.subwords.cutting == small.vocab.subwords.cutting


def shares(rows: np.ndarray) -> np.ndarray:
    """Return the share of each row, (n, dim), NaN for none, in their mean: (n,) float64, adding up to 1."""
    rows = rows.astype(np.float64)
    total = rows[~np.isnan(rows[:, 0])].sum(axis=0)  # k times the mean
    square = total @ total
    return rows @ total / square if square > 0 else np.full(len(rows), np.nan)


def ngram_texts(word: str, subwords: Subwords) -> list[str]:
    """Return the n-grams of a word, printable, in the order of `Subwords.buckets`."""
    return [printable(text) for text in subwords.ngrams(word)]


def _made_of(v: Vectors, word: str) -> str:
    place = v.vocab.place(word)
    if place is None:
        return "n-grams" if v.can_embed(word) else "nothing"
    if v.is_composed:
        return "own row and n-grams"
    return "row of another word" if v.vocab.remapped[place] else "own row"
