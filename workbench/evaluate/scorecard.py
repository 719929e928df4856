"""The scorecard: one tidy table of what a compression saves and what it costs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from .. import progress
from ..vectors import Vectors
from .cost import lookups, size
from .fidelity import check_comparable, choose_unseen, fidelity
from .neighbours import overlap
from .similarity import Pairs, similarity
from .table import COLUMNS, Scorecard

PARTS = ("size", "fidelity", "overlap", "similarity", "lookups")
HELP = {  # a sentence for each metric, and for those of damage and of n-grams, wherever they are shown
    "size": "Bytes of the compressed file, words and all.",
    "kept": "Mean cosine to the original vector, of words that keep a row of their own.",
    "remapped": "Mean cosine to the original vector, of words that now use the row of a similar word.",
    "dropped": "Mean cosine to the original vector, of words rebuilt from n-grams; 0 without a vector.",
    "unseen": "Mean cosine to the original vector, of words in neither vocabulary, which no step was fitted on.",
    "all": "Mean cosine to the original vector, of all words of the original.",
    "neighbours": "How many of a word's 10 nearest neighbours are still among its 10 nearest, on average.",
    "agreement": "Rank correlation between the cosine of word pairs and the similarity that people gave them.",
    "p5": "One word in twenty has a cosine below the 5th percentile.",
    "loss_share": "Share of the whole loss, which is 1 - cosine weighted by how often texts use the word.",
    "contributions": "Share of each n-gram in the mean of the word's n-grams; negative ones point against the others.",
}


def scorecard(
    original: Vectors,
    small: Vectors,
    *,
    unseen: list[str] | None = None,
    pairs: Mapping[str, Pairs | str | Path] | None = None,
    n_words: int = 50_000,
    n_unseen: int = 5_000,
    n_queries: int = 1_000,
    parts: Sequence[str] = PARTS,
    random_state: int = 0,
    n_rescored: int = 0,
) -> Scorecard:
    """Compare a compressed model with its original.

    Parameters
    ----------
    original, small : Vectors
    unseen : list of str, optional
        Words that neither model was trained on; real ones are best. See `choose_unseen`.
    pairs : mapping of name to word pairs or a file of them, optional
        Similarity sets; by default SimLex-999 and WordSim-353, which are English.
    n_words : int
        Words sampled for fidelity from the kept, the remapped and the dropped ones each.
    n_unseen : int
        The same for unseen words.
    n_queries : int
        Words sampled for overlap@10.
    parts : sequence of str
        What to measure, of ``"size"``, ``"fidelity"``, ``"overlap"``, ``"similarity"`` and
        ``"lookups"``; everything by default.
    random_state : int
        Seed of every sample.
    n_rescored : int
        Nearest ones whose original vectors are compared again, such as 100, for a row ``overlap@10_rescored``; none
        by default. For document vectors.

    Returns
    -------
    Scorecard
        A DataFrame with columns ``metric``, ``split``, ``value``, ``low`` and ``high`` (95% bootstrap interval,
        where there is one), ``how`` (exact, sampled, or timed) and ``n``. Metrics: see `size`,
        `fidelity`, `overlap`, `similarity` and `lookups`.

    Raises
    ------
    ValueError
        If the two differ in dimensions, or a part is unknown.
    """
    check_comparable(original, small)
    if unknown := set(parts) - set(PARTS):
        raise ValueError(f"unknown parts {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    fresh, how = choose_unseen(original, small, unseen, n_unseen, random_state)
    measures = {
        "size": lambda: size(original, small),
        "fidelity": lambda: fidelity(original, small, fresh, n_words, random_state, how),
        "overlap": lambda: overlap(original, small, 10, n_queries, random_state, n_rescored),
        "similarity": lambda: similarity(original, small, pairs, random_state),
        "lookups": lambda: lookups(small, random_state=random_state),
    }
    tables = []
    with progress.bar(parts, unit="part", delay=0.5) as bar:
        for name in bar:
            bar.set_description(name)
            tables.append(measures[name]())
    return Scorecard(pd.concat([t for t in tables if len(t)], ignore_index=True)[COLUMNS])


def quick_card(
    original: Vectors,
    small: Vectors,
    unseen: list[str] | None = None,
    n_words: int = 2_000,
    n_queries: int = 200,
    random_state: int = 0,
) -> Scorecard:
    """Return size, fidelity and overlap@10 from small samples, for trying many settings; see `scorecard`.

    Without queries there is no overlap, which takes longest for a large vocabulary.
    """
    return scorecard(
        original,
        small,
        unseen=unseen,
        n_words=n_words,
        n_unseen=n_words,
        n_queries=n_queries,
        parts=("size", "fidelity", "overlap") if n_queries else ("size", "fidelity"),
        random_state=random_state,
    )
