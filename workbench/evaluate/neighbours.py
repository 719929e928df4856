"""Whose neighbours stay, go, and come."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from ..vectors import Vectors, remembered, unit
from ..vocab import Vocab, printable
from .fidelity import splits
from .table import interval, row

CANDIDATES = 8_192  # vectors compared at once: with 1,000 queries, 32 MB of cosines
LOOKED_UP = 4 * CANDIDATES  # at once, so that n-grams are decoded less often: with 300 dimensions, 40 MB


def nearest(v: Vectors, words: Sequence[str] | Vocab, queries: list[str], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest of `words` for each query, by cosine, itself left out. Exact.

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
    return nearest_rows(unit(v.get_vectors(queries, missing="nan")), own, _candidates(v, vocab), k)


def _candidates(v: Vectors, vocab: Vocab) -> Iterator[tuple[int, np.ndarray]]:
    """Vectors of all words of a vocabulary, block by block; several blocks are looked up at once."""
    for first in range(0, len(vocab), LOOKED_UP):
        vectors = v.vectors_of(vocab, np.arange(first, min(first + LOOKED_UP, len(vocab))), missing="nan")
        for start in range(0, len(vectors), CANDIDATES):
            yield first + start, vectors[start : start + CANDIDATES]


def nearest_rows(
    queries: np.ndarray, own: np.ndarray, blocks: Iterable[tuple[int, np.ndarray]], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """`nearest` for vectors: unit `queries` (q, dim), their own positions (q,), and candidates by block."""
    places = np.full((len(queries), k), -1, np.int64)
    best = np.full((len(queries), k), -np.inf, np.float32)
    found = np.empty((len(queries), 0), queries.dtype)
    for start, vectors in blocks:
        block = unit(vectors)
        if found.shape[1] != len(block):  # else the memory of the last one, for fresh memory is slow
            found = np.empty((len(queries), len(block)), queries.dtype)
        np.matmul(queries, block.T, out=found)  # (q, block)
        numbers = np.arange(start, start + len(block))
        found[:, np.isnan(block[:, 0])] = -np.inf
        here = np.flatnonzero((own >= start) & (own < start + len(block)))
        found[here, own[here] - start] = -np.inf
        who, column = _worth_a_look(found, best[:, -1:], k)
        who = np.concatenate([np.repeat(np.arange(len(queries)), k), who])
        places = np.concatenate([places.reshape(-1), numbers[column]])
        best = np.concatenate([best.reshape(-1), found[who[best.size :], column]])
        order = np.lexsort((places, -best, who))
        first = np.searchsorted(who[order], np.arange(len(queries)))
        order = order[first[:, None] + np.arange(k)]
        places, best = places[order], best[order]  # (q, k)
    nobody = ~np.isfinite(best)
    return np.where(nobody, -1, places), np.where(nobody, np.nan, best)


def _worth_a_look(scores: np.ndarray, limits: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the scores (q, n) that may be among the `k` greatest so far.

    Those above the k-th greatest of earlier blocks, `limits` (q, 1): of equal ones the earlier
    stays. As long as a row knows of fewer than `k`, the k-th greatest of this block says.
    """
    width = scores.shape[1]
    high = scores > limits
    if np.isneginf(limits).any() and k < width:
        high = scores >= np.partition(scores, width - k, axis=1)[:, width - k : width - k + 1]
    return np.divmod(np.flatnonzero(high), width)  # faster than `nonzero`, where few are high


def overlap(original: Vectors, small: Vectors, k: int = 10, n_queries: int = 1_000, random_state: int = 0):
    """overlap@k: the share of each word's `k` nearest neighbours that are still among its `k` nearest.

    Candidates on both sides are the original's whole vocabulary, words that were dropped being
    rebuilt. Queries are a seeded sample of it; one without a vector scores 0.

    Returns
    -------
    DataFrame of scorecard rows, with a bootstrap interval: over all queries, and over kept,
    remapped and dropped ones.
    """
    queries, before = _queries(original, k, n_queries, random_state)
    after, _ = nearest(small, original.vocab, queries, k)
    there = before >= 0
    shared = ((before[:, :, None] == after[:, None, :]).any(axis=2) & there).sum(axis=1)
    share = shared / np.maximum(there.sum(axis=1), 1)  # (q,)
    everyone = {"all": np.arange(len(queries)), **splits(queries, small)}
    how = "exact" if len(queries) == len(original) else f"sampled, seed {random_state}"
    rows = [
        row(f"overlap@{k}", split, share[who].mean(), how, len(who), interval(share[who], random_state))
        for split, who in everyone.items()
        if len(who)
    ]
    return pd.DataFrame(rows)


@remembered
def _queries(original: Vectors, k: int, n: int, seed: int) -> tuple[list[str], np.ndarray]:
    """A sample of the vocabulary, in its order, and its neighbours' positions: (n, k)."""
    queries = [original.words[i] for i in original.vocab.drawn_to_score(np.arange(len(original)), n, seed)]
    return queries, nearest(original, original.vocab, queries, k)[0]


def neighbour_changes(original: Vectors, small: Vectors, words: list[str], topn: int = 10) -> pd.DataFrame:
    """Neighbours that `words` keep, lose and gain.

    Parameters
    ----------
    words : list of str
        Unseen ones are welcome where both models have n-grams.
    topn : int

    Returns
    -------
    DataFrame
        A row for each word and neighbour: ``status`` (kept, lost, gained), ``rank_before`` and
        ``rank_after`` (from 1; missing outside the `topn`), ``cosine_before`` and
        ``cosine_after``. Exact, over the original's vocabulary.

    Raises
    ------
    KeyError
        If the original cannot embed one of the words.
    """
    original.get_vectors(words)  # refuses what it cannot embed, by name
    sides = {}
    for name, v in (("before", original), ("after", small)):
        places, scores = nearest(v, original.vocab, words, topn)
        sides[name] = [
            {original.words[p]: (rank, float(s)) for rank, (p, s) in enumerate(zip(*pair, strict=True), 1) if p >= 0}
            for pair in zip(places, scores, strict=True)
        ]
    rows = []
    for word, before, after in zip(words, sides["before"], sides["after"], strict=True):
        for neighbour in dict.fromkeys([*before, *after]):
            rank_before, cosine_before = before.get(neighbour, (None, np.nan))
            rank_after, cosine_after = after.get(neighbour, (None, np.nan))
            status = "kept" if rank_before and rank_after else "lost" if rank_before else "gained"
            rows.append(
                {
                    "word": printable(word),
                    "neighbour": printable(neighbour),
                    "status": status,
                    "rank_before": rank_before,
                    "rank_after": rank_after,
                    "cosine_before": cosine_before,
                    "cosine_after": cosine_after,
                }
            )
    return pd.DataFrame(rows).astype({"rank_before": "Int64", "rank_after": "Int64"})
