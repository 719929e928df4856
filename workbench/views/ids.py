"""What semantic IDs mean, as tables: a map of the items, the tree of codes, and similar items beside similar ids."""

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from string import punctuation
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..semantic.ids import SemanticIDs
from ..vectors import Vectors, unit
from ..vocab import printable
from .colours import GREY, LABELS, Colours, Entry
from .layout import Layout, pca_axes, trustworthiness, umap_layout

N_NEIGHBORS = 15  # on a map; of few items fewer
FEWEST = 8  # items that UMAP maps; fewer are shown by principal components
MOST_CODES = len(LABELS)  # codes that have a colour and a shape of their own
MOST_TILES = (MOST_CODES, 3)  # of the tree under one tile, level by level; the last holds for deeper ones
SUGGESTED = 6  # items named where one is not known
Prefix = tuple[int, ...]


def item_vectors(ids: SemanticIDs, vectors: Vectors | np.ndarray | None = None) -> np.ndarray | None:
    """Vectors of the items, in their order: (n_items, dim) float32.

    Parameters
    ----------
    ids : SemanticIDs
    vectors : Vectors or (n_items, dim) array, optional
        `Vectors` have the items for words. Without it the decoded ones; without codebooks either, None.

    Raises
    ------
    ValueError
        If the shape is another one, or a row holds NaN or infinity.
    KeyError
        If `Vectors` lack an item.
    """
    if vectors is None:
        return None if ids.codebooks is None else ids.decode()
    rows = vectors.get_vectors(ids.items) if isinstance(vectors, Vectors) else np.asarray(vectors)
    if rows.ndim != 2 or len(rows) != len(ids) or rows.dtype.kind not in "fiu":
        raise ValueError(f"expected vectors of shape ({len(ids)}, dim), a row for each item, got {rows.shape}")
    rows = np.ascontiguousarray(rows, np.float32)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise ValueError(f"the vector of item {printable(ids.items[bad[0]])!r} holds NaN or infinity; mend it first")
    return rows


def headline(ids: SemanticIDs) -> list[tuple[str, str]]:
    """What there is to know of ids at a glance, from the codes alone: pairs of label and value."""
    coding = ids.codes[:, : ids.n_levels - ids.n_extra]
    used = [len(np.unique(codes)) for codes in coding.T]
    levels = f"{len(used)} of {ids.codebook_size} entries" + (
        f", {ids.n_extra} to tell equal ids apart" * bool(ids.n_extra)
    )
    return [
        ("items", f"{len(ids):,}"),
        ("levels", levels),
        ("different ids", f"{ids.n_unique:,} ({ids.n_unique / len(ids):.1%} of the items)"),
        ("entries in use, level by level", ", ".join(f"{n} ({n / ids.codebook_size:.0%})" for n in used)),
    ]


# -- the map ------------------------------------------------------------------------------


def id_map(
    ids: SemanticIDs,
    vectors: Vectors | np.ndarray | None = None,
    n_items: int = 5_000,
    random_state: int = 0,
    layout: Layout | None = umap_layout,
    keep: Collection[str] = (),
) -> pd.DataFrame:
    """Places of items on a plane by UMAP (McInnes, Healy and Melville, 2018), with their codes.

    Parameters
    ----------
    ids : SemanticIDs
    vectors : Vectors or (n_items, dim) array, optional
        The original vectors, see `item_vectors`; without it the decoded ones are mapped.
    n_items : int
        Items to map; of more a sample.
    random_state : int
    layout : callable or None
        Takes the arguments of `layout.umap_layout`. None, or too few items: principal components.
    keep : collection of str
        Items that the sample must not leave out.

    Returns
    -------
    DataFrame
        ``item``, ``name``, ``x``, ``y``, ``code_1``, ``code_2``... Its ``attrs`` hold ``method``,
        ``trustworthiness`` (see `layout.trustworthiness`; None where items are too few to judge),
        and ``sample``, what is shown, in words.

    Raises
    ------
    ValueError
        If there are neither vectors nor codebooks, or vectors of one dimension.
    """
    given = vectors is not None
    vectors = item_vectors(ids, vectors)
    if vectors is None:
        raise ValueError("these ids have no codebooks, so there is nothing to map items by; give their vectors")
    if vectors.shape[1] < 2:
        raise ValueError(f"a map needs vectors of at least 2 dimensions, got {vectors.shape[1]}")
    kept = [row for row, item in enumerate(ids.items) if item in keep]
    rows, sample = _sampled(len(ids), n_items, random_state, kept)
    places, method, trust = _placed(vectors[rows], random_state, layout)
    frame = pd.DataFrame(
        {
            "item": [ids.items[row] for row in rows],
            "name": [printable(ids.names[row]) for row in rows],
            "x": places[:, 0],
            "y": places[:, 1],
            **{f"code_{level + 1}": codes for level, codes in enumerate(ids.codes[rows].T)},
        }
    )
    what = "original vectors" if given else "decoded vectors"
    frame.attrs.update(method=method, trustworthiness=trust, sample=f"{sample}, by their {what}")
    return frame


def _sampled(n: int, n_shown: int, seed: int, kept: list[int]) -> tuple[np.ndarray, str]:
    """Rows to show, ascending, and what they are in words."""
    if n_shown >= n:
        return np.arange(n), f"all {n:,} items"
    order = np.random.default_rng(seed).permutation(n)
    first = np.isin(order, kept)
    rows = np.sort(np.concatenate([order[first], order[~first]])[:n_shown])
    return rows, f"{n_shown:,} of {n:,} items, sampled, seed {seed}"


def _placed(vectors: np.ndarray, seed: int, layout: Layout | None) -> tuple[np.ndarray, str, float | None]:
    """Places (n, 2) of vectors (n, dim), the method, and trustworthiness."""
    n = len(vectors)
    start = unit(vectors) @ pca_axes(vectors)
    n_neighbors = min(N_NEIGHBORS, max((n - 1) // 2, 1))
    spread = start.max(axis=0) - start.min(axis=0)
    if layout is None or n < FEWEST or not spread.all():  # UMAP starts from where items differ
        trust = trustworthiness(vectors, start, n_neighbors) if n >= FEWEST else None
        return start, "PCA", trust
    places, trust = layout(vectors, start, n_neighbors, seed, False)
    return places, "UMAP", trust


class Named(NamedTuple):
    """Codes of one level that are told apart by colour and shape, the most populous below a prefix first."""

    level: int
    prefix: Prefix
    codes: tuple[int, ...]

    @classmethod
    def among(cls, codes: np.ndarray, level: int, prefix: Iterable[int] = ()) -> "Named":
        """Those of codes (n, n_levels); `level` counts from 1 and lies below the prefix, but for a whole id.

        Raises
        ------
        ValueError
            If it does not.
        """
        prefix = tuple(prefix)
        least = min(len(prefix) + 1, codes.shape[1])
        if not least <= level <= codes.shape[1]:
            raise ValueError(f"below {words_of(prefix)} level goes from {least} to {codes.shape[1]}, got {level}")
        found, counts = np.unique(codes[is_below(codes, prefix), level - 1], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MOST_CODES]
        return cls(level, prefix, tuple(found[order].tolist()))

    def look(self, code: int) -> tuple[str, str]:
        """Colour and shape of a code."""
        looks = dict(zip(self.codes, LABELS.items(), strict=False))
        return looks.get(code, (GREY, "circle"))


def is_below(codes: np.ndarray, prefix: Prefix) -> np.ndarray:
    """Which codes (n, n_levels) begin with a prefix: (n,) bool."""
    return (codes[:, : len(prefix)] == np.array(prefix, codes.dtype)).all(axis=1)


def codes_of(frame: pd.DataFrame) -> np.ndarray:
    """The codes in a frame of `id_map`: (n, n_levels)."""
    return frame.filter(regex=r"^code_\d+$").to_numpy()


def code_colours(
    frame: pd.DataFrame, level: int = 1, prefix: Iterable[int] = (), named: Named | None = None
) -> Colours:
    """What colours and shapes of items on a map mean: codes of one level below a prefix.

    Parameters
    ----------
    frame : DataFrame
        From `id_map`.
    level : int
        From 1; deeper than the prefix.
    prefix : codes
        Items outside it are grey.
    named : Named, optional
        Codes with colours of their own; without it the most populous ones on the map.

    Returns
    -------
    Colours
        Its legend counts the points; the last group is what lies outside the prefix.
    """
    codes = codes_of(frame)
    named = named or Named.among(codes, level, prefix)
    place = {code: i for i, code in enumerate(named.codes)}
    n = len(named.codes)
    groups = np.array([place.get(code, n) for code in codes[:, named.level - 1].tolist()], np.int32)
    n_others = len(set(codes[is_below(codes, named.prefix), named.level - 1].tolist()) - set(named.codes))
    groups[~is_below(codes, named.prefix)] = n + 1
    counts = np.bincount(groups, minlength=n + 2)
    texts = [
        *(f"code {code}" for code in named.codes),
        f"{n_others} other code{'s' * (n_others != 1)}",
        f"not {words_of(named.prefix)}",
    ]
    looks = [*(named.look(code) for code in named.codes), (GREY, "circle"), ("#B8B8B8", "circle")]
    legend = tuple(
        Entry(f"{text}: {count:,}", *look) for text, count, look in zip(texts, counts, looks, strict=True) if count
    )
    title = f"Level {named.level} of {words_of(named.prefix)}, points"
    palette = tuple(colour for colour, _ in looks)
    return Colours("code", title, tuple(looks[i][1] for i in groups), legend, groups=groups, palette=palette)


def words_of(prefix: Prefix) -> str:
    """A prefix in words."""
    return "-".join(map(str, prefix)) if prefix else "all items"


def shortened(name: str, n: int) -> str:
    """A name that can be shown, in at most so many characters."""
    name = printable(name)
    return name if len(name) <= n else name[: n - 1] + "\N{HORIZONTAL ELLIPSIS}"


# -- the tree -----------------------------------------------------------------------------


def tree_table(
    ids: SemanticIDs, depth: int = 2, prefix: Iterable[int] = (), most: Sequence[int] = MOST_TILES
) -> pd.DataFrame:
    """The tree of codes below a prefix: its most populous branches, and how many others there are.

    Parameters
    ----------
    ids : SemanticIDs
    depth : int
        Levels below the prefix.
    prefix : codes
    most : sequence of int
        Branches shown under each, level by level; the last number holds for deeper levels. What is left
        over is one row, or a branch of its own if it is only one.

    Returns
    -------
    DataFrame
        A row for each branch, those under it behind it, the first the prefix itself: ``prefix`` (of ``n_joined``
        others that of the branch they are in), ``level``, ``count`` (items; those under a branch add up to its
        own unless it ends here), ``share`` (of the items below `prefix`), ``exemplars`` (names), ``n_joined``
        (0, or how many branches are joined in this row).

    Raises
    ------
    ValueError
        If no item has the prefix, or depth or `most` is below 1.
    """
    prefix = tuple(prefix)
    if depth < 1 or not most or min(most) < 1:
        raise ValueError(f"expected a depth and numbers of branches of at least 1, got {depth} and {tuple(most)}")
    top = ids.prefixes(len(prefix), prefix) if prefix else None
    if top is not None and top.empty:
        raise ValueError(f"no item has an id that begins with {words_of(prefix)}")
    exemplars = ids.names[:3] if top is None else top["exemplars"][0]
    n = len(ids) if top is None else int(top["count"][0])
    levels = range(len(prefix) + 1, min(len(prefix) + depth, ids.n_levels) + 1)
    below = [_by_parent(ids.prefixes(level, prefix)) for level in levels]
    rows = [(prefix, len(prefix), n, exemplars, 0)]
    rows += _branches(prefix, below, most)
    frame = pd.DataFrame(rows, columns=["prefix", "level", "count", "exemplars", "n_joined"])
    frame.insert(3, "share", frame["count"] / n)
    return frame


def _by_parent(frame: pd.DataFrame) -> dict[Prefix, list]:
    """Rows of `SemanticIDs.prefixes` by the branch that they are under."""
    found: dict[Prefix, list] = {}
    for entry in frame.itertuples():
        found.setdefault(entry.prefix[:-1], []).append(entry)
    return found


def _branches(parent: Prefix, below: list[dict[Prefix, list]], most: Sequence[int]) -> list[tuple]:
    """Rows of the tree under one branch."""
    if not below:
        return []
    children = below[0].get(parent, [])
    n_shown = most[0] if len(children) > most[0] + 1 else len(children)
    rows = []
    for child in children[:n_shown]:
        rows.append((child.prefix, len(child.prefix), child.count, child.exemplars, 0))
        rows += _branches(child.prefix, below[1:], most[1:] or most)
    if others := children[n_shown:]:
        names = tuple(other.exemplars[0] for other in others[:3])
        rows.append((parent, len(parent) + 1, sum(other.count for other in others), names, len(others)))
    return rows


# -- similar items, similar ids -----------------------------------------------------------


class Similar(NamedTuple):
    """An item's nearest by vectors, with their ids; and its nearest by id, with how near their vectors are.

    Both tables have ``item``, ``name``, ``codes`` (a tuple), ``shared`` (levels, from the first), ``cosine``
    and ``rank`` (among all other items by cosine, from 1; both missing without vectors).
    """

    item: str
    by_vector: pd.DataFrame
    by_id: pd.DataFrame


def similar_tables(ids: SemanticIDs, vectors: Vectors | np.ndarray | None, item: str, topn: int = 10) -> Similar:
    """Whether similar items have similar ids, and items with similar ids are similar.

    Parameters
    ----------
    ids : SemanticIDs
    vectors : Vectors or (n_items, dim) array or None
        See `item_vectors`. Where nothing is known of them ``by_vector`` is empty.
    item : str
    topn : int
        Rows of each table; ``by_id`` has only items that share the first code.

    Raises
    ------
    KeyError
        If there is no such item.
    """
    near = ids.nearest(item, topn)
    near = near[near["shared"] > 0].drop(columns="distance").reset_index(drop=True)
    row, rows = ids.items.index(item), item_vectors(ids, vectors)
    if rows is None:
        return Similar(item, near.iloc[:0].assign(cosine=np.nan, rank=0), near.assign(cosine=np.nan, rank=0))
    directions = unit(rows)
    cosines = directions @ directions[row]  # (n_items,)
    order = np.argsort(-cosines, kind="stable")
    order = order[order != row]
    rank = np.zeros(len(ids), np.int64)
    rank[order] = np.arange(1, len(ids))
    best = order[:topn]
    shared = (ids.codes[best] == ids.codes[row]).cumprod(axis=1).sum(axis=1)
    by_vector = pd.DataFrame(
        {
            "item": [ids.items[i] for i in best],
            "name": [ids.names[i] for i in best],
            "codes": [tuple(codes) for codes in ids.codes[best].tolist()],
            "shared": shared,
            "cosine": cosines[best],
            "rank": rank[best],
        }
    )
    where = {other: i for i, other in enumerate(ids.items)}
    found = [where[other] for other in near["item"]]
    return Similar(item, by_vector, near.assign(cosine=cosines[found], rank=rank[found]))


def find_item(ids: SemanticIDs, text: str) -> str:
    """The item that a person means: by itself, by its name, or by a part of it that no other name has.

    Raises
    ------
    KeyError
        If there is none; the message names some that are spelled alike.
    """
    text = text.strip()
    if text in ids:
        return text
    for plain in (str, str.casefold):
        found = [item for item, name in zip(ids.items, ids.names, strict=True) if plain(name) == plain(text)]
        if found:
            return found[0]
    alike = spelled_alike(ids, text)
    holding = [item for item, name in zip(ids.items, ids.names, strict=True) if text.casefold() in name.casefold()]
    if text and len(holding) == 1:
        return holding[0]
    said = f"spelled most like it: {', '.join(map(repr, alike))}" if alike else "none is spelled like that"
    raise KeyError(f"there is no item {text!r}; {said}")


def spelled_alike(ids: SemanticIDs, text: str, n: int = SUGGESTED) -> list[str]:
    """Names of items that hold the text, shortest first, then those like it, and those that hold a word like it."""
    part = text.strip().casefold()
    if not part:
        return []
    plain = {name.casefold(): name for name in reversed(ids.names)}
    words = {word.strip(punctuation) for name in plain for word in name.split()}
    found = [part, *get_close_matches(part, plain, n), *get_close_matches(part, sorted(words), n)]
    alike = {plain[name]: None for text in found for name in sorted(plain, key=len) if text in name}
    return list(alike)[:n]


def selected_prefixes(ids: SemanticIDs, items: Collection[str], level: int) -> pd.DataFrame:
    """Where selected items are in the tree: their prefixes of so many codes, those with most of them first.

    Returns
    -------
    DataFrame
        ``prefix``, ``selected`` (items), ``count`` (of all items with the prefix).
    """
    chosen = set(items)
    codes = ids.codes[:, :level]
    is_chosen = np.array([item in chosen for item in ids.items])
    prefixes, place = np.unique(codes, axis=0, return_inverse=True)
    selected = np.bincount(place.ravel(), is_chosen, len(prefixes)).astype(int)
    counts = np.bincount(place.ravel(), minlength=len(prefixes))
    order = np.argsort(-selected, kind="stable")[: np.count_nonzero(selected)]
    return pd.DataFrame(
        {
            "prefix": [tuple(prefix) for prefix in prefixes[order].tolist()],
            "selected": selected[order],
            "count": counts[order],
        }
    )
