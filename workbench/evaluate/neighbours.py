"""Neighbours that stay, go and come."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from .. import progress
from ..nearest import CANDIDATES, blocks_of, nearest_rows
from ..vectors import Vectors, remembered, unit
from ..vocab import Vocab, printable
from .fidelity import cosines, splits
from .table import interval, row

LOOKED_UP = 4 * CANDIDATES  # at once, so that n-grams are decoded less often: with 300 dimensions, 40 MB


def nearest(v: Vectors, words: Sequence[str] | Vocab, queries: list[str], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the `k` nearest of `words` for each query by cosine, the query excluded. Exact.

    Parameters
    ----------
    v : Vectors
        Gives the vectors of both; words it cannot embed are nobody's neighbours.
    words : sequence of str, or Vocab
        The candidates. A vocabulary that is asked about again remembers what n-grams its words have.
    queries : list of str
        Each may be among the candidates or not.
    k : int

    Returns
    -------
    places : (n_queries, k) int64 array
        Positions in `words`, nearest first, ties in order of position; -1 where there are none.
    cosines : (n_queries, k) float32 array
    """
    vocab = words if isinstance(words, Vocab) else Vocab(words)
    if len(vocab) != len(words):
        raise ValueError(f"the {len(words)} candidates are only {len(vocab)} different words; name each once")
    own = np.array([vocab.key_to_index.get(word, -1) for word in queries])  # (q,)
    return nearest_rows(unit(v.get_vectors(queries, missing="nan")), _candidates(v, vocab), k, own)


def _candidates(v: Vectors, vocab: Vocab) -> Iterator[np.ndarray]:
    """Unit vectors of all words of a vocabulary, block by block; several blocks are looked up at once."""
    with progress.bar(total=len(vocab), desc="Neighbours", unit=" words", leave=False, delay=2) as bar:
        for first in range(0, len(vocab), LOOKED_UP):
            places = np.arange(first, min(first + LOOKED_UP, len(vocab)))
            for block in blocks_of(v.vectors_of(vocab, places, missing="nan")):
                yield unit(block)
                bar.update(len(block))


def overlap(
    original: Vectors,
    small: Vectors,
    k: int = 10,
    n_queries: int = 1_000,
    random_state: int = 0,
    n_rescored: int = 0,
    n_candidates: int | None = None,
) -> pd.DataFrame:
    """Return overlap@k: the share of each word's `k` nearest neighbours that are still among its `k` nearest.

    Candidates on both sides are the original's whole vocabulary, dropped words rebuilt. Queries are a
    seeded sample of it; one without a vector scores 0. Of document vectors this is called recall@k. With
    `n_rescored`, ``overlap@k_rescored`` is that of the `k` best, by the original's vectors, of so many nearest ones, as
    a search does that keeps the original vectors on disk. With `n_candidates`, candidates are a seeded sample of so
    many words: quick, and another measure, since neighbours among fewer words are farther away.

    Returns
    -------
    DataFrame of scorecard rows, with a bootstrap interval: over all queries, and over kept,
    remapped and dropped ones.
    """
    candidates = original.vocab if n_candidates is None else _some(original, n_candidates, random_state)
    queries, before = _queries(original, k, n_queries, random_state, n_candidates)
    after, _ = nearest(small, candidates, queries, max(k, n_rescored))
    found = {f"overlap@{k}": (after[:, :k], "")}
    if n_rescored:
        found[f"overlap@{k}_rescored"] = _rescored(original, queries, after, k), f"; {n_rescored} rescored"
    there = before >= 0
    everyone = {"all": np.arange(len(queries)), **splits(queries, small)}
    how, rows = _how(queries, original, random_state), []
    if len(candidates) < len(original):
        how = f"quick sample, among {len(candidates):,} words, of {len(original):,}, seed {random_state}"
    for metric, (places, note) in found.items():
        shared = ((before[:, :, None] == places[:, None, :]).any(axis=2) & there).sum(axis=1)
        share = shared / np.maximum(there.sum(axis=1), 1)  # (q,)
        rows += [
            row(metric, split, share[who].mean(), how + note, len(who), interval(share[who], random_state))
            for split, who in everyone.items()
            if len(who)
        ]
    return pd.DataFrame(rows)


def _rescored(original: Vectors, queries: list[str], places: np.ndarray, k: int) -> np.ndarray:
    """The `k` places of each query, of those found, whose original vectors are nearest: (q, k), -1 for none."""
    best = np.full((len(queries), k), -1)
    for at, query in enumerate(unit(original.get_vectors(queries, missing="nan"))):
        found = np.sort(places[at][places[at] >= 0])  # in order, so that of equal scores the first wins
        scores = unit(original.vectors_of(original.vocab, found, missing="nan")) @ query
        order = found[np.argsort(-scores, kind="stable")][:k]
        best[at, : len(order)] = order
    return best


def _how(queries: list[str], original: Vectors, seed: int) -> str:
    return "exact" if len(queries) == len(original) else f"sampled, seed {seed}"


@remembered
def _queries(
    original: Vectors, k: int, n: int, seed: int, n_candidates: int | None = None
) -> tuple[list[str], np.ndarray]:
    """A sample of the vocabulary, in its order, and its neighbours' positions among the candidates: (n, k)."""
    queries = [original.words[i] for i in original.vocab.drawn_to_score(np.arange(len(original)), n, seed)]
    candidates = original.vocab if n_candidates is None else _some(original, n_candidates, seed)
    return queries, nearest(original, candidates, queries, k)[0]


@remembered
def _some(original: Vectors, n: int, seed: int) -> Vocab:
    """A sample of the words."""
    places = np.random.default_rng(seed).permutation(len(original))[:n]
    return original.vocab.take(np.sort(places))[0]


def neighbour_changes(original: Vectors, small: Vectors, words: list[str], topn: int = 10) -> pd.DataFrame:
    """Return the neighbours that words keep, lose and gain. Exact, over the original's vocabulary.

    Parameters
    ----------
    words : list of str
        Also unseen ones, where both models have n-grams.
    topn : int

    Returns
    -------
    DataFrame
        A row for each word and neighbour: ``status`` (kept, lost, gained), ``rank_before`` and
        ``rank_after`` (from 1; missing outside the `topn`), ``cosine_before`` and
        ``cosine_after``.

    Raises
    ------
    KeyError
        If the original cannot embed one of the words.
    """
    original.get_vectors(words)  # KeyError for words that it cannot embed
    rows = []
    sides = [nearest(v, original.vocab, words, topn) for v in (original, small)]
    for at, word in enumerate(words):
        found = [enumerate(zip(places[at], cosines[at], strict=True), 1) for places, cosines in sides]
        before, after = ({place: (rank, cosine) for rank, (place, cosine) in side if place >= 0} for side in found)
        for neighbour in dict.fromkeys([*before, *after]):
            rank_before, cosine_before = before.get(neighbour, (None, np.nan))
            rank_after, cosine_after = after.get(neighbour, (None, np.nan))
            status = "kept" if rank_before and rank_after else "lost" if rank_before else "gained"
            names = printable(word), printable(original.words[neighbour])
            rows.append((*names, status, rank_before, rank_after, float(cosine_before), float(cosine_after)))
    columns = ["word", "neighbour", "status", "rank_before", "rank_after", "cosine_before", "cosine_after"]
    return pd.DataFrame(rows, columns=columns).astype({"rank_before": "Int64", "rank_after": "Int64"})


def neighbours_kept(
    original: Vectors, small: Vectors, k: int = 10, n_queries: int = 200, random_state: int = 0
) -> pd.DataFrame:
    """Return what became of the `k` nearest neighbours of each word in the sample of `overlap`.

    Returns
    -------
    DataFrame
        A row for each word, in the order of the vocabulary: ``word``; ``rank`` by frequency, from 1; ``kept`` of ``k``
        neighbours; ``cosine`` to the original vector, NaN where it has none now; ``lost`` and ``gained``, tuples of
        words, the nearest first. ``attrs["how"]`` says which words.
    """
    queries, before = _queries(original, k, n_queries, random_state)
    after, _ = nearest(small, original.vocab, queries, k)
    ranks = np.empty(len(original), np.int64)
    ranks[original.vocab.by_frequency()] = np.arange(1, len(original) + 1)

    def names(places: np.ndarray, others: np.ndarray) -> tuple[str, ...]:
        return tuple(printable(original.words[i]) for i in places if i >= 0 and i not in others)

    table = pd.DataFrame(
        {
            "word": [printable(word) for word in queries],
            "rank": ranks[[original.key_to_index[word] for word in queries]],
            "kept": [len(np.intersect1d(old[old >= 0], new)) for old, new in zip(before, after, strict=True)],
            "k": (before >= 0).sum(axis=1),
            "cosine": cosines(original.get_vectors(queries), small.get_vectors(queries, missing="nan")),
            "lost": [names(old, new) for old, new in zip(before, after, strict=True)],
            "gained": [names(new, old) for old, new in zip(before, after, strict=True)],
        }
    )
    table.attrs["how"] = _how(queries, original, random_state)
    return table
