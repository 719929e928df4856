"""Do cosines still agree with what people say? Spearman correlation on word-pair sets."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ..vectors import Vectors
from .fidelity import cosines
from .table import N_BOOTSTRAP, row

Pairs = list[tuple[str, str, float]]

ENGLISH = {"simlex999": "simlex999.txt", "wordsim353": "wordsim353.tsv"}  # inside gensim's package
FEWEST = 20  # pairs; a correlation over fewer says nothing


def read_pairs(path: str | Path) -> Pairs:
    """Word pairs with a person's score from a text file.

    A pair a line, split at tabs, commas or semicolons; lines that begin with ``#``, and column
    names before the first pair, are passed over.

    Raises
    ------
    ValueError
        At a line that has no two words and a number, naming it.
    """
    pairs: Pairs = []
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = re.split(r"[\t,;]", line.strip())
            try:
                pairs.append((fields[0], fields[1], float(fields[2])))
            except (IndexError, ValueError) as error:
                if not pairs and len(fields) > 2:  # the column names
                    continue
                raise ValueError(
                    f"{path}, line {number}: expected two words and a score, got {line.strip()[:60]!r}"
                ) from error
    return pairs


def english_pairs() -> dict[str, Pairs]:
    """SimLex-999 (Hill et al., 2015) and WordSim-353 (Finkelstein et al., 2002), as gensim ships them."""
    from gensim.test.utils import datapath

    return {name: read_pairs(datapath(file)) for name, file in ENGLISH.items()}


def similarity(
    original: Vectors,
    small: Vectors,
    pairs: Mapping[str, Pairs | str | Path] | None = None,
    random_state: int = 0,
) -> pd.DataFrame:
    """Spearman correlation of cosines with people's scores, before and after.

    Pairs count whose words are both in the original's vocabulary (in lower case, where not as
    written), the same on both sides; a word that the small model cannot embed has cosine 0 to every other.

    Parameters
    ----------
    pairs : mapping of name to pairs or to a file of them (see `read_pairs`), optional
        By default the two English sets.
    random_state : int
        Seed of the bootstrap over pairs, which is the same on both sides.

    Returns
    -------
    DataFrame
        For each set ``similarity_coverage`` (share of its pairs that count) and, from 20 pairs
        on, ``similarity`` (small model), ``similarity_original``, and ``similarity_retained``
        (their ratio); the last only where the original's own interval excludes 0.
    """
    rows = []
    for name, given in (english_pairs() if pairs is None else pairs).items():
        listed = given if isinstance(given, list) else read_pairs(given)
        spelled = [(_spelling(original, a), _spelling(original, b), score) for a, b, score in listed]
        usable = [pair for pair in spelled if pair[0] in original and pair[1] in original]
        share = len(usable) / max(len(listed), 1)
        rows.append(row("similarity_coverage", name, share, "exact", len(listed)))
        if len(usable) >= FEWEST:
            rows += _compare(original, small, name, usable, random_state)
    return pd.DataFrame(rows)


def _spelling(v: Vectors, word: str) -> str:
    """The word as `v` has it: as written, or else in lower case."""
    return word if word in v else word.lower()


def _compare(original: Vectors, small: Vectors, name: str, pairs: Pairs, seed: int) -> list[dict]:
    first, second, scores = zip(*pairs, strict=True)
    sides = [_cosines(v, first, second) for v in (original, small)]
    before, after = (spearman(side[None], np.array(scores)[None])[0] for side in sides)
    picks = np.random.default_rng(seed).integers(len(pairs), size=(N_BOOTSTRAP, len(pairs)))
    people = np.array(scores)[picks]
    spread = [spearman(side[picks], people) for side in sides]  # two of (N_BOOTSTRAP,)
    limits = [tuple(np.percentile(s, [2.5, 97.5])) for s in spread]
    how = f"exact; interval over pairs, seed {seed}"
    rows = [
        row("similarity", name, after, how, len(pairs), limits[1]),
        row("similarity_original", name, before, how, len(pairs), limits[0]),
    ]
    if limits[0][0] > 0:
        ratios = np.percentile(spread[1] / spread[0], [2.5, 97.5])
        rows.append(row("similarity_retained", name, after / before, how, len(pairs), tuple(ratios)))
    return rows


def _cosines(v: Vectors, first: tuple[str, ...], second: tuple[str, ...]) -> np.ndarray:
    return cosines(*(v.get_vectors(words, missing="zero") for words in (first, second)))


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation, ties by mean rank, row by row of two (m, n) arrays: (m,)."""
    from scipy.stats import rankdata

    ranks = [rankdata(x, axis=1) - (x.shape[1] + 1) / 2 for x in (a, b)]  # centred
    lengths = np.linalg.norm(ranks[0], axis=1) * np.linalg.norm(ranks[1], axis=1)
    return np.einsum("ij,ij->i", *ranks) / np.where(lengths > 0, lengths, np.inf)
