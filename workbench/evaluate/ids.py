"""Quality of semantic IDs: use of codes, collisions, what they keep of the vectors and of neighbours, stability."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from .. import progress
from ..nearest import blocks_of, nearest_rows
from ..semantic.checks import checked_rows
from ..vectors import Vectors, unit
from .table import COLUMNS, Scorecard, interval, row

if TYPE_CHECKING:
    from ..semantic.ids import SemanticIDs

PREFIXES = ("1", "1-2", "1-3")  # splits by levels that items share
MIN_SPREAD = 1e-10  # share of the energy that is about the mean, below which vectors count as all the same
Rows = Vectors | np.ndarray | None
QUALITY = {  # metrics of `id_card`: a name, how the value is written, and a sentence of help
    "unique": ("Items with an id of their own", ".1%", "Share of items whose id no other item has."),
    "collisions": ("Items in collisions", ".1%", "Share of items that have the id of an earlier one."),
    "largest_collision": ("Largest collision", ",.0f", "Items that share the most frequent id."),
    "reconstruction": ("Cosine, decoded", ".4f", "Mean cosine between decoded and original vectors."),
    "overlap@10": ("Neighbours kept", ".1%", "Share of the 10 nearest that are also nearest among the decoded."),
    "use": ("Entries in use", ".1%", "Share of a level's entries that some item has."),
    "perplexity": ("Perplexity", ",.1f", "Number of entries in use, if all were used equally often."),
    "residual_energy": ("Energy left over", ".1%", "Share of the squared length that levels up to here leave over."),
    "prefix_neighbours": ("Neighbours, same codes", ".2%", "Share of the 10 nearest that share the codes up to here."),
    "prefix_random": ("Any two, same codes", ".4%", "Share of all pairs of items that share the codes up to here."),
    "prefix_lift": ("Lift", ",.1f", "How many times more often neighbours share the codes than any two items do."),
    "prefix_nearness": ("Nearness", ".3f", "Mean cosine of items that share the codes, less that of all pairs."),
}


def id_card(
    ids: "SemanticIDs",
    vectors: Rows = None,
    *,
    others: Sequence["SemanticIDs"] = (),
    k: int = 10,
    n_queries: int = 1_000,
    random_state: int = 0,
) -> Scorecard:
    """Judge semantic IDs. A low collision rate is not enough: a level may still use few codes.

    Extra levels, which only tell apart items of equal codes, count for `unique`, `collisions` and
    `largest_collision` alone, which are then given without them too.

    Parameters
    ----------
    vectors : (n_items, dim) array, in order of the items, or Vectors of the items, optional
        The originals. Without them, metrics that need them are left out.
    others : sequence of SemanticIDs
        Of the same items in any order, made with other seeds.
    k, n_queries : int
        Number of neighbours, and of sampled items whose neighbours are sought; without any, these are left out.
    random_state : int
        Seed of the sample and of the intervals.

    Returns
    -------
    Scorecard
        `QUALITY` says what its metrics are; their splits are levels, or the levels that items share. Energy is that of
        the vectors less their mean, and equally near items are in their order. ``churn``: of the pairs that share a
        prefix in these or the other ids, the share that does not in both; mean over `others`.
        Undefined metrics are left out, such as those of pairs where no two items share a prefix.

    Raises
    ------
    ValueError
        If vectors or others do not fit the items, or are not finite.
    """
    groups = _groups(ids)
    parts = {"codes": lambda: _of_codes(ids)}
    if vectors is not None:
        originals = checked_rows(vectors, ids.items)
        parts["closeness"] = lambda: _closeness(ids, originals)
        parts["neighbours"] = lambda: _neighbours(ids, groups, originals, k, n_queries, random_state)
        parts["prefixes"] = lambda: _nearness(groups, originals)
    parts["churn"] = lambda: _churn(ids, groups, others)
    rows: list[dict] = []
    with progress.bar(parts, unit="part", delay=0.5) as bar:
        for name in bar:
            bar.set_description(name)
            rows += parts[name]()
    return Scorecard(pd.DataFrame(rows, columns=COLUMNS))


def _numbered(codes: np.ndarray) -> np.ndarray:
    """Return numbers from 0 that are equal where all codes, (n, levels), are: (n,)."""
    return pd.DataFrame(codes).groupby(list(range(codes.shape[1]))).ngroup().to_numpy()


def _groups(ids: "SemanticIDs") -> dict[str, np.ndarray]:
    """Return a number for each item, equal where it shares a prefix with others, by length of the prefix."""
    n_levels = ids.coding.shape[1]
    return {split: _numbered(ids.coding[:, :depth]) for depth, split in enumerate(PREFIXES[:n_levels], 1)}


def _n_pairs(labels: np.ndarray) -> int:
    """Return the number of pairs of items in one group."""
    counts = np.bincount(labels)
    return int((counts * (counts - 1)).sum()) // 2


def _of_codes(ids: "SemanticIDs") -> list[dict]:
    n = len(ids)
    use, perplexity, collisions = [], [], []
    for level, column in enumerate(ids.coding.T, 1):
        shares = np.unique(column, return_counts=True)[1] / n
        entropy = -(shares * np.log(shares)).sum()
        use.append(row("use", f"level {level}", len(shares) / ids.codebook_size, "exact", n))
        perplexity.append(row("perplexity", f"level {level}", np.exp(entropy), "exact", n))
    both = {"all": ids.codes, "without extra levels": ids.coding} if ids.n_extra else {"all": ids.codes}
    for split, codes in both.items():
        counts = np.bincount(_numbered(codes))
        collisions.append(row("unique", split, (counts == 1).sum() / n, "exact", n))
        collisions.append(row("collisions", split, 1 - len(counts) / n, "exact", n))
        collisions.append(row("largest_collision", split, counts.max(), "exact", n))
    return use + perplexity + collisions


def _closeness(ids: "SemanticIDs", originals: np.ndarray) -> list[dict]:
    if ids.codebooks is None or ids.dim != originals.shape[1]:
        return []
    n, rows = len(originals), []
    residuals = originals.astype(np.float64)
    energy = np.square(residuals - residuals.mean(axis=0)).sum()
    differ = energy > MIN_SPREAD * np.square(residuals).sum()
    for level, (entries, chosen) in enumerate(zip(ids.codebooks, ids.coding.T, strict=True), 1):
        residuals -= entries[chosen]
        if differ:
            rows.append(row("residual_energy", f"level {level}", np.square(residuals).sum() / energy, "exact", n))
    cosines = np.einsum("nd,nd->n", unit(ids.decode()), unit(originals))
    return [*rows, row("reconstruction", "all", cosines.mean(dtype=np.float64), "exact", n)]


def _neighbours(
    ids: "SemanticIDs", groups: dict[str, np.ndarray], originals: np.ndarray, k: int, n_queries: int, seed: int
) -> list[dict]:
    """Measure how many neighbours stay, and how often neighbours share a prefix."""
    n = len(originals)
    if n < 2 or n_queries < 1:
        return []
    queries = np.sort(np.random.default_rng(seed).permutation(n)[:n_queries])
    how, n_queries = "exact" if len(queries) == n else f"sampled, seed {seed}", len(queries)

    def nearest(rows: np.ndarray) -> np.ndarray:  # (q, k)
        return nearest_rows(unit(rows[queries]), map(unit, blocks_of(rows)), min(k, n - 1), queries)[0]

    before = nearest(originals)
    overlap, near, chances, lifts = [], [], [], []
    if ids.codebooks is not None:
        kept = (before[:, :, None] == nearest(ids.decode())[:, None, :]).any(axis=2).mean(axis=1)  # (q,)
        overlap.append(row(f"overlap@{k}", "all", kept.mean(), how, n_queries, interval(kept, seed)))
    for split, labels in groups.items():
        share = (labels[before] == labels[queries][:, None]).mean(axis=1)  # (q,)
        low, high = interval(share, seed)
        chance = _n_pairs(labels) / (n * (n - 1) / 2)
        near.append(row("prefix_neighbours", split, share.mean(), how, n_queries, (low, high)))
        chances.append(row("prefix_random", split, chance, "exact", n))
        if chance:
            lift = share.mean() / chance
            lifts.append(row("prefix_lift", split, lift, how, n_queries, (low / chance, high / chance)))
    return overlap + near + chances + lifts


def _nearness(groups: dict[str, np.ndarray], originals: np.ndarray) -> list[dict]:
    """Measure the mean cosine of items that share a prefix, less that of all pairs."""
    from ..kernels import group_sums

    units, n = unit(originals), len(originals)
    means = {}
    for split, labels in {"": np.zeros(n, np.int64), **groups}.items():
        shared = np.flatnonzero(np.bincount(labels)[labels] > 1)
        if len(shared):
            numbers, rows = np.unique(labels[shared], return_inverse=True)[1], units[shared]
            sums = group_sums(rows, numbers, int(numbers.max()) + 1)
            # The squared sum of a group holds each pair twice, and each row with itself.
            twice = np.square(sums).sum() - np.square(rows, dtype=np.float64).sum()
            means[split] = float(twice) / (2 * _n_pairs(labels))
    return [row("prefix_nearness", split, means[split] - means[""], "exact", n) for split in groups if split in means]


def _churn(ids: "SemanticIDs", groups: dict[str, np.ndarray], others: Sequence["SemanticIDs"]) -> list[dict]:
    changed: dict[str, list[float]] = {split: [] for split in groups}
    for number, other in enumerate(others, 1):
        row_of = {item: at for at, item in enumerate(other.items)}
        if row_of.keys() != set(ids.items):
            expected = f"other ids of the same {len(ids)} items"
            raise ValueError(f"expected {expected}; the {len(other)} of number {number} differ")
        order = [row_of[item] for item in ids.items]
        for split, there in _groups(other).items():
            if split in groups:
                both = _n_pairs(_numbered(np.stack([groups[split], there[order]], axis=1)))
                either = _n_pairs(groups[split]) + _n_pairs(there) - both
                changed[split] += [1 - both / either] if either else []
    rows = []
    for split, values in changed.items():
        if values:
            rows.append(row("churn", split, float(np.mean(values)), f"exact, over {len(values)} others", len(ids)))
    return rows


def item_vectors(ids: "SemanticIDs", vectors: Rows) -> np.ndarray | None:
    """Return a vector for each item, (n_items, dim) float32: those given, else decoded ones, else None."""
    if vectors is None:
        return None if ids.codebooks is None else ids.decode()
    return checked_rows(vectors, ids.items)


class Similar(NamedTuple):
    """An item's nearest by vectors, with their ids; and its nearest by id, with how near their vectors are.

    Both tables have ``item``, ``name``, ``codes`` (a tuple), ``shared`` (levels, from the first), ``cosine`` and
    ``rank`` (among all other items by cosine, from 1; both NaN without vectors).
    """

    item: str
    by_vector: pd.DataFrame
    by_id: pd.DataFrame


def similar_tables(ids: "SemanticIDs", vectors: Rows, item: str, topn: int = 10) -> Similar:
    """Compare the items that are nearest by vectors, see `maps.id_map`, with those that are nearest by id.

    Those nearest by id share the first code at least; by vectors there are none where nothing is known of vectors.
    """
    row, vectors = ids.items.index(item), item_vectors(ids, vectors)
    columns = {"item": ids.items, "name": ids.names, "codes": list(map(tuple, ids.codes.tolist()))}
    frame = pd.DataFrame(columns, dtype=object)  # pyarrow's strings cannot hold broken UTF-8
    frame["shared"] = (ids.codes == ids.codes[row]).cumprod(axis=1).sum(axis=1)
    frame["cosine"] = np.nan if vectors is None else unit(vectors) @ unit(vectors[row])
    frame["rank"] = frame["cosine"].drop(row).rank(ascending=False, method="first")
    by_vector = frame.nsmallest(topn, "rank").dropna(subset="rank")
    by_id = frame.set_index("item", drop=False).loc[ids.nearest(item, topn)["item"]].query("shared > 0")
    return Similar(item, by_vector.reset_index(drop=True), by_id.reset_index(drop=True))
