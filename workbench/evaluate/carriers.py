"""Which n-grams carry a word's vector, before and after a compression."""

import numpy as np
import pandas as pd

from ..subwords import Subwords
from ..vectors import Vectors
from ..vocab import printable
from .damage import check_comparable
from .fidelity import cosines

STATUSES = ("stays", "pruned", "not there before")


def ngram_carriers(original: Vectors, small: Vectors, word: str) -> pd.DataFrame:
    """What each n-gram of a word contributes to the mean of its n-grams, which unseen words are made of.

    Parameters
    ----------
    original, small : Vectors
        Both with n-grams, of the same lengths.
    word : str
        Known or not.

    Returns
    -------
    DataFrame
        A row for each n-gram in order of its place in the word and of its length; one that
        occurs twice has two rows, and two that fall into one bucket have the same numbers.
        Columns: ``ngram`` (with the marks ``<`` and ``>``); ``share_before`` and
        ``share_after``, what it carries of the mean vector ``m`` of the ``k`` n-grams that have
        rows: ``(row . m) / (k |m|^2)``, so that shares add up to 1 and one that pulls against the
        others is negative (missing where it has no row, or ``m`` is zero); ``cosine`` between
        its rows before and after (missing likewise); ``status``: "stays", "pruned", or "not
        there before" where the original has no row for it.

        ``attrs``: ``word``; ``known_before`` and ``known_after``, whether it is in the
        vocabulary; ``made_of_before`` and ``made_of_after``, of what its vector is put together
        ("own row", "own row and n-grams", "row of another word", "n-grams" or "nothing");
        ``cosine`` of its vectors before and after, 0 where there is none; ``ngrams_left``, such
        as "7 of 12".

    Raises
    ------
    ValueError
        If a model has no n-grams, or the two have n-grams of different lengths, or vectors of
        different dimensions.
    KeyError
        If neither model can embed the word.
    """
    check_comparable(original, small)
    if not isinstance(word, str):
        raise TypeError(f"expected a word, got {word!r}")
    lengths = {name: _lengths(v, name) for name, v in (("original", original), ("small", small))}
    if lengths["original"] != lengths["small"]:
        raise ValueError(f"expected n-grams of the same lengths in both models, got {lengths}")
    if original.ngrams[0].cutting != small.ngrams[0].cutting:
        raise ValueError("expected the same kind of n-grams in both models, and the same list where they are listed")
    if not small.can_embed(word):
        original[word]  # refuses what it cannot embed either, by name
    before, after = _rows(original, word), _rows(small, word)  # (n_ngrams, dim), NaN for none
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
    """Whether `ngram_carriers` can compare the two: n-grams of the same lengths, vectors of the same dimensions."""
    if original.vocab.subwords is None or small.vocab.subwords is None or original.dim != small.dim:
        return False
    return original.vocab.subwords.cutting == small.vocab.subwords.cutting


def shares(rows: np.ndarray) -> np.ndarray:
    """What each of some rows (n, dim), NaN for none, carries of their mean: (n,) float64, adding up to 1."""
    rows = rows.astype(np.float64)
    there = ~np.isnan(rows[:, 0])
    total = rows[there].sum(axis=0)  # k times the mean
    length = total @ total
    return rows @ total / length if length > 0 else np.full(len(rows), np.nan)


def ngram_texts(word: str, subwords: Subwords) -> list[str]:
    """The n-grams of a word, fit to be shown, in the order of `Subwords.buckets`."""
    return [printable(text) for text in subwords.ngrams(word)]


def _lengths(v: Vectors, name: str) -> tuple[int, int]:
    """Lengths of the shortest and of the longest n-gram."""
    if v.vocab.subwords is None:
        raise ValueError(f"the {name} model has no n-grams, so that none carries a word")
    return v.vocab.subwords.min_n, v.vocab.subwords.max_n


def _rows(v: Vectors, word: str) -> np.ndarray:
    """The row of each n-gram of a word: (n_ngrams, dim) float32, NaN where it has none."""
    subwords, ngrams = v.ngrams
    index = subwords.rows_of(subwords.buckets([word])[1])
    out = np.full((len(index), v.dim), np.nan, np.float32)
    out[index >= 0] = ngrams.rows(index[index >= 0])
    return out


def _made_of(v: Vectors, word: str) -> str:
    """What a word's vector is put together from."""
    place = v.vocab.place(word)
    if place is None:
        return "n-grams" if v.can_embed(word) else "nothing"
    if v.is_composed:
        return "own row and n-grams"
    return "row of another word" if v.vocab.remapped[place] else "own row"
