"""Two models of word vectors in one space, so that words of one find their translations in the other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .. import progress
from ..compress.values import finite_blocks
from ..nearest import CANDIDATES, nearest_rows
from ..spool import spooled
from ..storage import BLOCK, Dense, Projected, Stacked, Storage
from ..vectors import Vectors, remembered, shortly, unit
from .table import COLUMNS, Scorecard, interval, row

Pairs = Sequence[tuple[str, str]] | Mapping[str, str]
MIN_PAIRS = 30  # to fit on
NEAREST = (1, 5)  # words that precision looks at


class Aligned(NamedTuple):
    """A model in the space of another one; see `align`."""

    vectors: Vectors  # the second model in the space of the first, unseen words included
    rotation: np.ndarray  # (w.dim, v.dim) float32: its rows times this are rows in the space of the first
    card: Scorecard


def align(
    v: Vectors,
    w: Vectors,
    pairs: Pairs | None = None,
    *,
    n_pairs: int = 5_000,
    test_share: float = 0.1,
    random_state: int = 0,
) -> Aligned:
    """Rotate a model into the space of another one, by pairs of words that mean the same.

    Orthogonal Procrustes (Schoenemann, 1966) on vectors of length 1 (Xing et al., 2015, "Normalized word embedding and
    orthogonal transform for bilingual word translation"). They are not centred, as in Artetxe et al. (2018): a
    rotation alone leaves means where they are, and centring helped from Russian to English as much as it harmed the
    other way. Translations of a word are ``v.most_similar(positive=[align(v, w, pairs).vectors[word]])``.

    Parameters
    ----------
    v, w : Vectors
        `w` is mapped into the space of `v`. Compressed rows stay so, with the rotation beside them.
    pairs : sequence of (word of v, word of w), or mapping of one to the other, optional
        A seed dictionary, the more the better; a word may have several translations. By default words that both
        models have.
    n_pairs : int
        How many of those, the most frequent ones of `v`.
    test_share : float
        Share of the words of `w` in pairs that are held out to measure by: no pair with one of them, or with a
        translation of one, is fitted on. With 0 nothing is measured.
    random_state : int
        Seed of the words held out, and of the intervals.

    Returns
    -------
    Aligned
        With fields ``vectors``, ``rotation`` and ``card``: ``coverage`` (share of the pairs whose words both models
        know) and ``precision@1`` and ``precision@5`` (share of the held-out words that have one of their translations
        among so many nearest of all words of `v`, by cosine).

    Raises
    ------
    ValueError, TypeError
        If `w` has more dimensions than `v`, `pairs` are something else, fewer than 30 of known words are left to fit
        on, or a vector holds NaN or infinity.
    """
    for name, model in (("v", v), ("w", w)):
        if not isinstance(model, Vectors):
            raise TypeError(f"{name} must be Vectors, as from load(), got {type(model).__name__}")
    if w.dim > v.dim:
        raise ValueError(f"w has {w.dim} dimensions, v only {v.dim}; swap the two, and the words of each pair")
    if not 0 <= test_share < 1:
        raise ValueError(f"test_share must be at least 0 and below 1, got {test_share}")
    given = _shared(v, w, n_pairs) if pairs is None else _listed(pairs)
    known = _places(v, w, given)
    translations: dict[int, set[int]] = {}  # places in v, for each place in w
    for of_v, of_w in known:
        translations.setdefault(of_w, set()).add(of_v)
    drawn = np.random.default_rng(random_state).permutation([*translations]).tolist()
    held_out = {place: translations[place] for place in drawn[: round(test_share * len(drawn))]}
    answers = set[int]().union(*held_out.values())
    fitted = np.array([(a, b) for a, b in known if a not in answers], np.int64)  # (n, 2)
    if len(fitted) < MIN_PAIRS:
        is_turned = len(_places(v, w, [(b, a) for a, b in given])) > len(known)
        raise ValueError(
            f"expected at least {MIN_PAIRS} pairs (word of v, word of w) to fit on, got {len(fitted)}: both models "
            f"know {len(known)} of {len(given)} pairs, of which {len(held_out)} words are held out"
            f"{'; more are known the other way round, so swap the words of each' * is_turned}"
        )
    products = _units(w, fitted[:, 1]).T @ _units(v, fitted[:, 0]).astype(np.float64)  # (w.dim, v.dim)
    left, _, right = np.linalg.svd(products, full_matrices=False)
    rotation = (left @ right).astype(np.float32)  # (w.dim, v.dim), its own rows orthonormal
    words, ngrams = _rotated(w.storage.words, "words", rotation), w.storage.ngrams
    storage = words if ngrams is None else Stacked(words, _rotated(ngrams, "ngrams", rotation))
    sources = [model.meta.get("provenance", {}).get("source", "vectors in memory") for model in (w, v)]
    provenance = w.meta.get("provenance", {}) | {"source": " aligned to ".join(sources)}
    aligned = Vectors(w.vocab, storage, w.meta | {"provenance": provenance})
    rows = [row("coverage", "pairs", len(known) / len(given), "exact", len(given))]
    if held_out:
        rows += _precisions(v, aligned, held_out, random_state)
    return Aligned(aligned, rotation, Scorecard(pd.DataFrame(rows)[COLUMNS]))


@remembered
def in_one_space(v: Vectors, w: Vectors) -> tuple[Vectors, Vectors]:
    """Return two models of the same words, in one order, in one space, whatever their dimensions.

    Zeros are added to the narrower one, and `w` is turned by the rotation that brings it nearest to `v`.
    """
    from scipy.linalg import orthogonal_procrustes

    width = max(v.dim, w.dim)
    first, second = (np.pad(of.matrix(), ((0, 0), (0, width - of.dim))) for of in (v, w))  # (n, width)
    rotation, _ = orthogonal_procrustes(second, first)
    return Vectors.from_arrays(v.words, first), Vectors.from_arrays(v.words, second @ rotation)


def _listed(pairs: Any) -> list[tuple[str, str]]:
    """Return pairs, each once; refuse what is none."""
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        raise TypeError(f"expected pairs (word of v, word of w), got {shortly(pairs)}")
    listed = [*(pairs.items() if isinstance(pairs, Mapping) else pairs)]
    for place, pair in enumerate(listed):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(word, str) for word in pair):
            raise TypeError(f"expected pairs (word of v, word of w), got {shortly(pair)} at place {place}")
    return [*dict.fromkeys(map(tuple, listed))]


def _shared(v: Vectors, w: Vectors, n: int) -> list[tuple[str, str]]:
    """Return the `n` most frequent words of `v` that `w` has, too, each with itself."""
    words = (v.words[i] for i in v.vocab.by_frequency())
    return [*islice(((word, word) for word in words if word in w.key_to_index), n)]


def _places(v: Vectors, w: Vectors, pairs: list[tuple[str, str]]) -> list[tuple[int, int]]:
    """Return the places of the words of those pairs that both models know."""
    return [(v.key_to_index[a], w.key_to_index[b]) for a, b in pairs if a in v.key_to_index and b in w.key_to_index]


def _units(v: Vectors, index: np.ndarray) -> np.ndarray:
    """Return the vectors of the words at these places, of length 1: (n, dim)."""
    return unit(np.concatenate([block for _, block in v.blocks(index=index)]))


def _rotated(part: Storage, which: str, rotation: np.ndarray) -> Storage:
    """Return rows times a rotation: float32 rows as such, others as they are stored, over axes."""
    if isinstance(part, Projected):
        return Projected(part.inner, part.axes @ rotation)
    if not isinstance(part, Dense):
        return Projected(part, rotation)
    blocks = progress.bar(
        finite_blocks(part, which), "Rotation", -(-len(part) // BLOCK), unit="block", leave=False, delay=2
    )
    return Dense(spooled((block @ rotation for _, block in blocks), rotation.shape[1]))


def _precisions(v: Vectors, aligned: Vectors, held_out: dict[int, set[int]], seed: int) -> Iterator[dict]:
    """Yield a row for each number of nearest words: how often a translation of a held-out word is among them."""
    candidates = (unit(block) for _, block in v.blocks(CANDIDATES))
    places, _ = nearest_rows(_units(aligned, np.array([*held_out])), candidates, max(NEAREST))  # (n, 5)
    is_right = [[place in right for place in near] for near, right in zip(places, held_out.values(), strict=True)]
    n, how = len(held_out), f"sampled, seed {seed}"
    for k in NEAREST:
        found = np.array([any(near[:k]) for near in is_right], np.float32)  # (n,)
        yield row(f"precision@{k}", "held out", found.mean(), how, n, interval(found, seed))
