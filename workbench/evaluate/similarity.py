"""Agreement of cosines with people: Spearman correlation on sets of word pairs."""

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
MIN_PAIRS = 20  # a correlation over fewer says nothing


def read_pairs(path: str | Path) -> Pairs:
    """Read word pairs with people's scores: a pair a line, split at tabs, commas or semicolons.

    Lines that begin with ``#`` and column names before the first pair are skipped.

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
    """Return SimLex-999 (Hill et al., 2015) and WordSim-353 (Finkelstein et al., 2002), as gensim ships them."""
    from gensim.test.utils import datapath

    return {name: read_pairs(datapath(file)) for name, file in ENGLISH.items()}


def similarity(
    original: Vectors,
    small: Vectors,
    pairs: Mapping[str, Pairs | str | Path] | None = None,
    random_state: int = 0,
) -> pd.DataFrame:
    """Return Spearman correlations of cosines with people's scores, before and after.

    A pair counts if both words are in the original's vocabulary (as written, else in lower case). A word
    that the small model cannot embed has cosine 0 to every other.

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
        usable = []
        for first, second, score in listed:
            a, b = (word if word in original else word.lower() for word in (first, second))
            if a in original and b in original:
                usable.append((a, b, score))
        n = len(usable)
        rows.append(row("similarity_coverage", name, n / max(len(listed), 1), "exact", len(listed)))
        if n < MIN_PAIRS:
            continue
        firsts, seconds, scores = zip(*usable, strict=True)
        picks = np.random.default_rng(random_state).integers(n, size=(N_BOOTSTRAP, n))
        people = np.array(scores)
        values, spreads = [], []  # of the original, of the small model
        for v in (original, small):
            found = cosines(*(v.get_vectors(words, missing="zero") for words in (firsts, seconds)))  # (n,)
            values.append(spearman(found[None], people[None])[0])
            spreads.append(spearman(found[picks], people[picks]))  # (N_BOOTSTRAP,)
        how = f"exact; interval over pairs, seed {random_state}"
        before, after = (tuple(np.percentile(spread, [2.5, 97.5])) for spread in spreads)
        rows.append(row("similarity", name, values[1], how, n, after))
        rows.append(row("similarity_original", name, values[0], how, n, before))
        if before[0] > 0:
            ratios = tuple(np.percentile(spreads[1] / spreads[0], [2.5, 97.5]))
            rows.append(row("similarity_retained", name, values[1] / values[0], how, n, ratios))
    return pd.DataFrame(rows)


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of each row of two (m, n) arrays, ties by mean rank: (m,)."""
    from scipy.stats import rankdata

    ranks = [rankdata(x, axis=1) - (x.shape[1] + 1) / 2 for x in (a, b)]  # centred
    lengths = np.linalg.norm(ranks[0], axis=1) * np.linalg.norm(ranks[1], axis=1)
    return np.einsum("ij,ij->i", *ranks) / np.where(lengths > 0, lengths, np.inf)
