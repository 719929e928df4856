"""What semantic ids are worth: use of their codes, collisions, what they keep of the vectors, how steady they are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import progress
from ..nearest import blocks_of, nearest_rows
from ..vectors import Vectors, unit
from .table import COLUMNS, Scorecard, interval, row

if TYPE_CHECKING:
    from ..semantic.ids import SemanticIDs

MOST_DEPTHS = 3  # prefixes looked at
NO_SPREAD = 1e-10  # vectors whose energy about their mean is a smaller share of all of it are all the same


def id_card(
    ids: "SemanticIDs",
    vectors: np.ndarray | Vectors | None = None,
    *,
    others: Sequence["SemanticIDs"] = (),
    k: int = 10,
    n_queries: int = 1_000,
    random_state: int = 0,
) -> Scorecard:
    """Judge semantic ids; few collisions alone say nothing, for a level may use few of its codes at that.

    Levels that only tell apart items of equal codes count for `unique`, `collisions` and
    `largest_collision` alone, which are then given without them too.

    Parameters
    ----------
    ids : SemanticIDs
    vectors : (n_items, dim) array, in order of the items, or Vectors of the items, optional
        The originals. Without them, what needs them is left out.
    others : sequence of SemanticIDs
        Of the same items in any order, made with other seeds.
    k, n_queries : int
        Neighbours of so many sampled items.
    random_state : int
        Seed of the sample and of the intervals.

    Returns
    -------
    Scorecard
        ``use``, ``perplexity``: by level, the share of entries used and the exponential of the codes' entropy.
        ``unique``: share of items whose id nobody else has. ``collisions``: 1 - different ids / items, the share
        of items that a lower one has the id of. ``largest_collision``: items that share the most frequent id.
        ``residual_energy``: by level, squared length of what is left over, as a share of that of the vectors less
        their mean. ``reconstruction``: mean cosine of decoded and original. ``overlap@k``: share of an item's `k`
        nearest by cosine that are so among the decoded ones too, ties in order of the items.
        ``prefix_neighbours``, ``prefix_random``: share of the `k` nearest, and of all other items, that share an
        item's first code, first two and first three; ``prefix_lift``: the former over the latter.
        ``prefix_nearness``: mean cosine of items that share a prefix, less that of all pairs.
        ``churn``: of the pairs that share a prefix here or in the other ids, the share that does not in both;
        averaged over `others`. Codes themselves are arbitrary numbers and are not compared.
        What is not defined is left out: anything of neighbours or pairs where there are none, lift and churn where
        no two items share a prefix, `residual_energy` of vectors that are all the same, and it and `reconstruction`
        where decoded vectors have other dimensions than the originals.

    Raises
    ------
    ValueError
        If vectors or others do not fit the items, or are not finite.
    """
    if min(k, n_queries) < 1:
        raise ValueError(f"expected at least 1 neighbour and 1 query, got k={k} and n_queries={n_queries}")
    originals = None if vectors is None else _originals(ids, vectors)
    codes = ids.codes[:, : ids.codes.shape[1] - ids.n_extra]  # (n, L)
    groups = [_groups(codes[:, :depth]) for depth in range(1, 1 + min(MOST_DEPTHS, codes.shape[1]))]
    parts = {
        "codes": lambda: _of_codes(codes, ids.codebook_size),
        "collisions": lambda: _of_collisions(ids.codes, codes),
        "closeness": lambda: _of_closeness(ids, codes, originals),
        "neighbours": lambda: _of_neighbours(ids, groups, originals, k, n_queries, random_state),
        "prefixes": lambda: _of_prefixes(groups, originals),
        "churn": lambda: _of_churn(ids, groups, others),
    }
    rows: list[dict] = []
    with progress.bar(parts, unit="part", delay=0.5) as bar:
        for name in bar:
            bar.set_description(name)
            rows += parts[name]()
    return Scorecard(pd.DataFrame(rows, columns=COLUMNS))


def _originals(ids: "SemanticIDs", vectors: np.ndarray | Vectors) -> np.ndarray:
    """Vectors in order of the items: (n, dim) float32."""
    if isinstance(vectors, Vectors):
        return vectors.get_vectors(list(ids.items))
    found = np.asarray(vectors, np.float32)
    if found.ndim != 2 or len(found) != len(ids.items) or not np.isfinite(found).all():
        raise ValueError(
            f"expected a vector of finite numbers for each of {len(ids.items)} items, got an array of shape "
            f"{found.shape}; rows go in order of ids.items"
        )
    return found


def _groups(codes: np.ndarray) -> np.ndarray:
    """Numbers that are equal where all codes, (n, levels), are: (n,)."""
    labels = np.zeros(len(codes), np.int64)
    for level in codes.T:
        labels = np.unique(labels * (int(level.max()) + 1) + level, return_inverse=True)[1]
    return labels


def _prefix(depth: int) -> str:
    return "1" if depth == 1 else f"1-{depth}"


def _of_codes(codes: np.ndarray, n_entries: int) -> list[dict]:
    rows = []
    for metric in ("use", "perplexity"):
        for level, column in enumerate(codes.T, 1):
            shares = np.unique(column, return_counts=True)[1] / len(column)
            value = len(shares) / n_entries if metric == "use" else np.exp(-(shares * np.log(shares)).sum())
            rows.append(row(metric, f"level {level}", value, "exact", len(column)))
    return rows


def _of_collisions(whole: np.ndarray, codes: np.ndarray) -> list[dict]:
    """Of whole ids, and where these have extra levels, of ids without them."""
    rows, n = [], len(codes)
    ids = {"all": whole} if whole.shape == codes.shape else {"all": whole, "without extra levels": codes}
    for split, of in ids.items():
        counts = np.bincount(_groups(of))
        rows.append(row("unique", split, (counts == 1).sum() / n, "exact", n))
        rows.append(row("collisions", split, 1 - len(counts) / n, "exact", n))
        rows.append(row("largest_collision", split, counts.max(), "exact", n))
    return rows


def _of_closeness(ids: "SemanticIDs", codes: np.ndarray, originals: np.ndarray | None) -> list[dict]:
    """How much of the vectors is left over, level by level, and how like them the sums are."""
    if originals is None or ids.codebooks is None or ids.codebooks.shape[2] != originals.shape[1]:
        return []
    n, rows = len(originals), []
    left = originals.astype(np.float64)
    energy = np.square(left - left.mean(axis=0)).sum()
    differ = energy > NO_SPREAD * np.square(left).sum()
    for level, (entries, chosen) in enumerate(zip(ids.codebooks, codes.T, strict=True), 1):
        left -= entries[chosen]
        if differ:
            rows.append(row("residual_energy", f"level {level}", np.square(left).sum() / energy, "exact", n))
    cosines = np.einsum("nd,nd->n", unit(ids.decode()), unit(originals))
    return [*rows, row("reconstruction", "all", cosines.mean(dtype=np.float64), "exact", n)]


def _of_neighbours(
    ids: "SemanticIDs", groups: list[np.ndarray], originals: np.ndarray | None, k: int, n_queries: int, seed: int
) -> list[dict]:
    """Which neighbours stay, and how often neighbours share a prefix."""
    if originals is None or len(originals) < 2:
        return []
    n, name = len(originals), f"overlap@{k}"
    queries = np.sort(np.random.default_rng(seed).permutation(n)[:n_queries])
    how = "exact" if len(queries) == n else f"sampled, seed {seed}"
    k = min(k, n - 1)
    before, _ = nearest_rows(unit(originals[queries]), map(unit, blocks_of(originals)), k, queries)  # (q, k)
    rows = []
    if ids.codebooks is not None:
        decoded = ids.decode()
        after, _ = nearest_rows(unit(decoded[queries]), map(unit, blocks_of(decoded)), k, queries)
        kept = (before[:, :, None] == after[:, None, :]).any(axis=2).mean(axis=1)  # (q,)
        rows.append(row(name, "all", kept.mean(), how, len(queries), interval(kept, seed)))
    table: dict[str, list[dict]] = {"prefix_neighbours": [], "prefix_random": [], "prefix_lift": []}
    for depth, labels in enumerate(groups, 1):
        share = (labels[before] == labels[queries][:, None]).mean(axis=1)  # (q,)
        low, high = interval(share, seed)
        chance = _pairs(labels) / (n * (n - 1) / 2)
        split = _prefix(depth)
        table["prefix_neighbours"].append(row("prefix_neighbours", split, share.mean(), how, len(queries), (low, high)))
        table["prefix_random"].append(row("prefix_random", split, chance, "exact", n))
        if chance:
            limits = low / chance, high / chance
            table["prefix_lift"].append(row("prefix_lift", split, share.mean() / chance, how, len(queries), limits))
    return [*rows, *(entry for entries in table.values() for entry in entries)]


def _pairs(labels: np.ndarray) -> int:
    """Pairs of items in one group."""
    counts = np.unique(labels, return_counts=True)[1]
    return int((counts * (counts - 1)).sum()) // 2


def _of_prefixes(groups: list[np.ndarray], originals: np.ndarray | None) -> list[dict]:
    """How much nearer to each other items of one prefix are than items are in general."""
    if originals is None or len(originals) < 2:
        return []
    units, n = unit(originals), len(originals)
    in_general = _mean_cosine(units, np.zeros(n, np.int64))
    return [
        row("prefix_nearness", _prefix(depth), _mean_cosine(units, labels) - in_general, "exact", n)
        for depth, labels in enumerate(groups, 1)
        if _pairs(labels)
    ]


def _mean_cosine(units: np.ndarray, labels: np.ndarray) -> float:
    """Over all pairs of different rows in one group; by the squared sum of a group, which holds each pair twice."""
    from ..kernels import group_sums

    shared = np.flatnonzero(np.bincount(labels)[labels] > 1)
    numbers = np.unique(labels[shared], return_inverse=True)[1]
    rows = units[shared]
    twice = np.square(group_sums(rows, numbers, int(numbers.max()) + 1)).sum() - np.square(rows, dtype=np.float64).sum()
    return float(twice) / (2 * _pairs(labels))


def _of_churn(ids: "SemanticIDs", groups: list[np.ndarray], others: Sequence["SemanticIDs"]) -> list[dict]:
    """Share of the pairs together here or there that are not together in both, averaged over the others."""
    if not others:
        return []
    changed: list[list[float]] = [[] for _ in groups]
    for number, other in enumerate(others, 1):
        row_of = {item: at for at, item in enumerate(other.items)}
        if row_of.keys() != set(ids.items):
            raise ValueError(
                f"ids to compare with must be of the same {len(ids.items)} items; the {len(row_of)} of number {number} "
                "are not"
            )
        codes = other.codes[[row_of[item] for item in ids.items], : other.codes.shape[1] - other.n_extra]
        for depth, labels in enumerate(groups[: codes.shape[1]], 1):
            there = _groups(codes[:, :depth])
            both = _pairs(_groups(np.stack([labels, there], axis=1)))
            either = _pairs(labels) + _pairs(there) - both
            if either:
                changed[depth - 1].append(1 - both / either)
    return [
        row("churn", _prefix(depth), float(np.mean(values)), f"exact, over {len(values)} others", len(ids.items))
        for depth, values in enumerate(changed, 1)
        if values
    ]
