"""Semantic IDs: a map of items, the tree of codes, similar items beside similar ids, and a live view of them all."""

from collections.abc import Collection, Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import traitlets

from ..evaluate.ids import id_card
from ..semantic.checks import checked_rows
from ..semantic.ids import SemanticIDs
from ..semantic.names import TellingWords, find_item, offered_items
from ..vectors import Vectors, unit
from ..vocab import printable
from . import mapper, plots
from .flow import Flow, cell, publish
from .layout import Layout, pca_axes, trustworthiness, umap_layout
from .paper import page_html, picture_html, table_html
from .plots import Named, Prefix, is_below, words_of
from .widget import View, is_live, shown

N_NEIGHBORS, MIN_UMAP = 15, 8  # of a point on a map; items that UMAP maps, of fewer principal components are shown
MOST_TILES = (7, 3)  # of the tree under one tile, level by level; the last holds for deeper ones
N_LISTED = 12  # items below a prefix, prefixes of selected items
NO_MAP = "There is no map, as these ids have no codebooks to decode vectors from; give the vectors of the items."
Rows = Vectors | np.ndarray | None
QUALITY = {  # metrics of `id_card`: a name, how the value is written, and a sentence of help
    "unique": ("Items with an id of their own", ".1%", "Share of items whose id no other item has."),
    "collisions": ("Items in collisions", ".1%", "Share of items that have the id of an earlier one."),
    "largest_collision": ("Largest collision", ",.0f", "Items that share the most frequent id."),
    "reconstruction": ("Cosine, decoded", ".4f", "Mean cosine between decoded and original vectors."),
    "overlap@10": ("Neighbours kept of 10", ".1%", "Share of the 10 nearest that are also nearest among the decoded."),
    "use": ("Entries in use", ".1%", "Share of a level's entries that some item has."),
    "perplexity": ("Perplexity", ",.1f", "Number of entries in use, if all were used equally often."),
    "residual_energy": ("Energy left over", ".1%", "Squared length that the levels up to here leave over."),
    "prefix_neighbours": ("Neighbours, same codes", ".2%", "Share of the 10 nearest that share the codes up to here."),
    "prefix_random": ("Any two, same codes", ".4%", "Share of all pairs of items that share the codes up to here."),
    "prefix_lift": ("Lift", ",.1f", "How many times more often neighbours share the codes than any two items do."),
    "prefix_nearness": ("Nearness", ".3f", "Mean cosine of items that share the codes, less that of all pairs."),
}


def item_vectors(ids: SemanticIDs, vectors: Rows) -> np.ndarray | None:
    """Return a vector for each item, (n_items, dim) float32: those given, else decoded ones, else None."""
    if vectors is None:
        return None if ids.codebooks is None else ids.decode()
    rows = vectors.get_vectors(ids.items) if isinstance(vectors, Vectors) else np.asarray(vectors)
    return checked_rows(rows, ids.items)


def id_map(
    ids: SemanticIDs, vectors: Rows = None, n_items: int = 5_000, random_state: int = 0,
    layout: Layout | None = umap_layout, keep: Collection[str] = (),
) -> pd.DataFrame:  # fmt: skip
    """Map items to a plane by UMAP (McInnes, Healy and Melville, 2018).

    Parameters
    ----------
    vectors : Vectors or (n_items, dim) array, optional
        The originals, with items for words or in their order; without them decoded vectors are mapped.
    n_items : int
        Items to map; of more, a sample, which has those in `keep`.
    layout : callable or None
        Takes the arguments of `layout.umap_layout`. None, or too few items: principal components.

    Returns
    -------
    DataFrame
        ``item``, ``name``, ``x``, ``y``, ``code_1``... Its ``attrs``: ``method``, ``trustworthiness`` (see
        `layout.trustworthiness`; None for too few items) and ``sample``, the items shown, in words.
    """
    what, vectors = "decoded" if vectors is None else "original", item_vectors(ids, vectors)
    if vectors is None:
        raise ValueError("these ids have no codebooks, so there is nothing to map items by; give their vectors")
    if vectors.shape[1] < 2:
        raise ValueError(f"a map needs vectors of at least 2 dimensions, got {vectors.shape[1]}")
    rows, sample = np.arange(len(ids)), f"all {len(ids):,} items"
    if n_items < len(ids):
        order = np.random.default_rng(random_state).permutation(len(ids))
        kept = np.isin(order, [ids.items.index(item) for item in keep])
        rows = np.sort(np.concatenate([order[kept], order[~kept]])[:n_items])
        sample = f"{n_items:,} of {len(ids):,} items, sampled, seed {random_state}"
    vectors, k = vectors[rows], min(N_NEIGHBORS, max((len(rows) - 1) // 2, 1))
    places, method, trust = unit(vectors) @ pca_axes(vectors), "PCA", None  # (n, 2)
    if len(rows) >= MIN_UMAP:
        if layout is None or not np.ptp(places, axis=0).all():  # UMAP starts from where items differ
            trust = trustworthiness(vectors, places, k)
        else:
            (places, trust), method = layout(vectors, places, k, random_state, False), "UMAP"
    names = [printable(ids.names[row]) for row in rows]
    frame = pd.DataFrame({"item": np.array(ids.items, object)[rows], "name": names}, dtype=object)
    frame[["x", "y"]] = places
    frame[[f"code_{level}" for level in range(1, ids.n_levels + 1)]] = ids.codes[rows]
    frame.attrs.update(method=method, trustworthiness=trust, sample=f"{sample}, by their {what} vectors")
    return frame


def tree_table(
    ids: SemanticIDs, depth: int = 2, prefix: Iterable[int] = (), most: Sequence[int] = MOST_TILES
) -> pd.DataFrame:
    """Return the tree of codes below a prefix, `depth` levels of it.

    Parameters
    ----------
    most : sequence of int
        Branches under each, level by level, the most populous; the last number holds for deeper levels.

    Returns
    -------
    DataFrame
        A row for each branch, those under it behind it, the first the prefix itself: ``prefix``, ``level``, ``count``
        (items), ``share`` (of those below `prefix`), ``exemplars`` (names), ``n_joined`` (0, or how many less populous
        branches of the ``prefix`` this row stands for), ``top`` and ``height`` (of its tile, as shares; joined branches
        are drawn no higher than the average of those beside them).
    """
    prefix, rows = tuple(prefix), list[tuple]()
    if depth < 1 or not most or min(most) < 1:
        raise ValueError(f"expected a depth and numbers of branches of at least 1, got {depth} and {tuple(most)}")
    if not ids.with_prefix(prefix):
        raise ValueError(f"no item has an id that begins with {words_of(prefix)}")

    def grow(prefix: Prefix, count: int, names: tuple, depth: int, most: Sequence[int], top: float, height: float):
        rows.append((prefix, len(prefix), count, names, 0, top, height))
        if not depth or len(prefix) == ids.n_levels:
            return
        below = ids.prefixes(len(prefix) + 1, prefix)
        n_alone = most[0] if len(below) > most[0] + 1 else len(below)
        alone, others = below[:n_alone], below[n_alone:]
        drawn = min(others["count"].sum(), alone["count"].mean())
        scale = height / (alone["count"].sum() + drawn)
        for branch in alone.itertuples():
            own = scale * branch.count
            grow(branch.prefix, branch.count, branch.exemplars, depth - 1, most[1:] or most, top, own)
            top += own
        if len(others):
            names, count = tuple(some[0] for some in others["exemplars"][:3]), others["count"].sum()
            rows.append((prefix, len(prefix) + 1, count, names, len(others), top, scale * drawn))

    names = ids.prefixes(len(prefix), prefix)["exemplars"][0] if prefix else ids.names[:3]
    grow(prefix, len(ids.with_prefix(prefix)), names, depth, most, 0.0, 1.0)
    frame = pd.DataFrame(rows, columns=["prefix", "level", "count", "exemplars", "n_joined", "top", "height"])
    frame.insert(3, "share", frame["count"] / frame["count"][0])
    return frame


def tree_figure(
    ids: SemanticIDs, depth: int = 2, prefix: Iterable[int] = (), most: Sequence[int] = MOST_TILES
) -> plots.Picture:
    """Draw the tree of codes below a prefix, see `tree_table`, as an icicle with counts and exemplars."""
    prefix = tuple(prefix)
    named = Named.among(ids.codes, min(len(prefix) + 1, ids.n_levels), prefix)
    return plots.tree_drawing(tree_table(ids, depth, prefix, most), named)


class Similar(NamedTuple):
    """An item's nearest by vectors, with their ids; and its nearest by id, with how near their vectors are.

    Both tables have ``item``, ``name``, ``codes`` (a tuple), ``shared`` (levels, from the first), ``cosine`` and
    ``rank`` (among all other items by cosine, from 1; both NaN without vectors).
    """

    item: str
    by_vector: pd.DataFrame
    by_id: pd.DataFrame


def similar_tables(ids: SemanticIDs, vectors: Rows, item: str, topn: int = 10) -> Similar:
    """Compare the items that are nearest by vectors, see `id_map`, with those that are nearest by id.

    Those nearest by id share the first code at least; by vectors there are none where nothing is known of vectors.
    """
    row, vectors = ids.items.index(item), item_vectors(ids, vectors)
    frame = pd.DataFrame({"item": ids.items, "name": ids.names, "codes": list(map(tuple, ids.codes.tolist()))})
    frame["shared"] = (ids.codes == ids.codes[row]).cumprod(axis=1).sum(axis=1)
    frame["cosine"] = np.nan if vectors is None else unit(vectors) @ unit(vectors[row])
    frame["rank"] = frame["cosine"].drop(row).rank(ascending=False, method="first")
    by_vector = frame.nsmallest(topn, "rank").dropna(subset="rank")
    by_id = frame.set_index("item", drop=False).loc[ids.nearest(item, topn)["item"]].query("shared > 0")
    return Similar(item, by_vector.reset_index(drop=True), by_id.reset_index(drop=True))


class Cells:
    """Cells of `IdsView`, from its traits and ids, vectors, query, seed and keep (items that the map must have)."""

    def named(ids, prefix, level, n_coloured):
        return Named.among(ids.codes, level, prefix, n_coloured)

    def chosen(ids, selected):
        among = set(selected)
        return ids.codes[[item in among for item in ids.items]]

    def words(ids):
        return TellingWords(ids)

    def tree(ids, prefix, words):
        tree = tree_table(ids, prefix=prefix)
        texts = [words.of(is_below(ids.codes, prefix)) for prefix in tree["prefix"]]
        return tree.assign(text=np.where(tree["n_joined"], "", texts))

    @cell("item")
    def similar(ids, vectors, item):
        return similar_tables(ids, vectors, item) if item else None

    @cell("search")
    def offered(ids, query):
        return query, offered_items(ids, query)

    @cell("maps")
    def map(ids, vectors, n_items, drawn, seed, keep):
        if vectors is None and ids.codebooks is None:
            return None
        plain = id_map(ids, vectors, n_items, seed, None, keep)
        publish(plain)
        return id_map(ids, vectors, n_items, seed, mapper.shared.layout, keep) if drawn == "UMAP" else plain

    @cell("card")
    def card(ids, vectors, seed):
        return id_card(ids, vectors, random_state=seed)


class Blocks:
    """Blocks of `IdsView`."""

    def head(ids, vectors):
        no_map = NO_MAP if vectors is None and ids.codebooks is None else ""
        levels = {"used": [len(np.unique(codes)) for codes in ids.coding.T], "size": ids.codebook_size}
        return {"n": len(ids), "unique": ids.n_unique, "no_map": no_map, "n_levels": ids.n_levels, **levels}

    def path(words, ids, prefix):
        items = ids.with_prefix(prefix)
        shown = _named_items(ids, items[:N_LISTED] if prefix else ())
        return {"path": _path(words, ids, prefix), "n": len(items), "items": shown}

    def legend(words, named, ids):
        below, own = is_below(ids.codes, named.prefix), ids.codes[:, named.level - 1]
        rows = []
        for code in named.codes:
            here, (colour, shape) = below & (own == code), named.look(code)
            rows.append({"code": code, "count": here.sum(), "text": words.of(here), "colour": colour, "shape": shape})
        n_codes = len(np.unique(own[below]))
        return {"level": named.level, "prefix": named.prefix, "n_codes": n_codes, "codes": rows}

    def tiles(tree, ids, similar, chosen):
        item = ids[similar.item] if similar else ()
        tiles = tree.drop(columns=["share", "exemplars"]).to_dict("records")
        for tile, names in zip(tiles, tree["exemplars"], strict=True):
            prefix, alone = tile["prefix"], not tile["n_joined"]
            tile |= {"column": tile["level"] - tiles[0]["level"], "names": [printable(name) for name in names]}
            tile["star"] = alone and prefix != () and item[: len(prefix)] == prefix
            tile["n_selected"] = is_below(chosen, prefix).sum() if alone else 0
        return {"tiles": tiles}

    def points(map):
        places, codes = map[["x", "y"]].to_numpy("<f4"), map.filter(like="code_").to_numpy("<i4")
        about = {"n": len(map), "names": map["name"].tolist(), "items": map["item"].tolist(), **map.attrs}
        return {**about, "places": places.tobytes(), "codes": codes.tobytes()}

    def near(words, similar, ids):
        if similar is None:
            return {}
        [[item, name]] = _named_items(ids, [similar.item])
        about = {"item": item, "name": name, "path": _path(words, ids, ids[item])}
        for key, table in (("by_vector", similar.by_vector), ("by_id", similar.by_id)):
            texts = {"name": table["name"].map(printable), "id": table["codes"].map(words_of)}
            about[key] = table.assign(**texts).to_dict("records")
        return about

    def places(words, ids, chosen, prefix):
        found, counts = np.unique(chosen[:, : len(prefix) + 1], axis=0, return_counts=True)
        most = np.argsort(-counts, kind="stable")[:N_LISTED]
        rows = [{**_path(words, ids, tuple(found[i].tolist()))[-1], "selected": counts[i]} for i in most]
        return {"n_prefixes": len(found), "rows": rows}

    def offers(offered, ids):
        return {"query": offered[0], "items": _named_items(ids, offered[1])}

    def quality(card, ids):
        n_levels, rows = ids.coding.shape[1], []
        for metric, (name, form, help) in QUALITY.items():
            found = [e for e in card.itertuples() if e.metric == metric and "extra" not in e.split]
            spread = [f" ({e.low:{form}} to {e.high:{form}})" if e.low == e.low else "" for e in found]
            texts = [f"{e.value:{form}}{said}" for e, said in zip(found, spread, strict=True)]
            about = {"what": name, "help": help, "texts": [*texts, *[""] * (n_levels - len(texts))]}
            rows += [{**about, "by_level": e.split != "all", "how": f"{e.how}, {e.n:,} items"} for e in found[:1]]
        return {"rows": rows, "n_levels": n_levels}


def _named_items(ids: SemanticIDs, items: Iterable[str]) -> list[tuple[str, str]]:
    names = dict(zip(ids.items, ids.names, strict=True))
    return [(item, printable(names[item])) for item in items]


def _path(words: TellingWords, ids: SemanticIDs, prefix: Prefix) -> list[dict]:
    """Describe each code on the way down to a prefix; a typical item stands in for words."""
    steps = []
    for own in (prefix[:end] for end in range(1, len(prefix) + 1)):
        group = ids.prefixes(len(own), own).iloc[0]
        text = words.of(is_below(ids.codes, own)) or printable(group["exemplars"][0])
        steps.append({"prefix": own, "id": words_of(own), "count": group["count"], "text": text})
    return steps


class IdsView(View):
    """Semantic IDs seen: their codes, items of similar codes, and codes of similar items.

    Traits to observe, and to set from the next cell: ``item`` (looked at), ``prefix`` (whose items are looked at),
    ``level`` (whose codes have colours), ``n_coloured``, ``n_items`` (on the map), ``drawn`` ("UMAP" or "PCA") and
    ``selected`` (items).

    Parameters
    ----------
    vectors : Vectors or (n_items, dim) array, optional
        See `id_map`; without vectors and codebooks there is no map.
    item : str
        To look at first: an item, or its name.
    interactive : bool, optional
        Live, or else a page of tables and pictures, as for programs such as papermill.
    """

    blocks = Blocks
    head, path, legend, tiles, points = shown(), shown(), shown(), shown(), shown()
    near, places, offers, quality = shown(), shown(), shown(), shown()
    item, prefix, selected = traitlets.Unicode(), traitlets.Tuple(), traitlets.Tuple().tag(sync=True)
    level, n_coloured = traitlets.Int(1).tag(sync=True), traitlets.Int(plots.MAX_NAMED, min=1).tag(sync=True)
    n_items = traitlets.Int(5_000, min=1).tag(sync=True)
    drawn = traitlets.Enum(["UMAP", "PCA"], "UMAP").tag(sync=True)

    def __init__(
        self, ids: SemanticIDs, vectors: Rows = None, *, item: str = "", n_items: int = 5_000,
        interactive: bool | None = None, random_state: int = 0,
    ):  # fmt: skip
        if n_items < 1:
            raise ValueError(f"expected n_items >= 1, got {n_items}")
        rows, item = None if vectors is None else item_vectors(ids, vectors), find_item(ids, item) if item else ""
        self.ids, live = ids, is_live(interactive)
        flow = Flow(
            Cells, live, ids=ids, vectors=rows, item=item, prefix=(), level=1, n_coloured=plots.MAX_NAMED, selected=(),
            n_items=n_items, drawn="UMAP", query="", seed=random_state, keep=(item,) if item else (),
        )  # fmt: skip
        super().__init__(flow, kind="ids", item=item, n_items=n_items)

    @traitlets.validate("item", "prefix", "level")
    def _known(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if name == "item":
            return find_item(self.ids, value) if value.strip() else ""
        if name == "level":
            return Named.among(self.ids.codes, value, self.prefix).level
        if not self.ids.with_prefix(prefix := tuple(map(int, value))):
            raise ValueError(f"no item has an id that begins with {words_of(prefix)}")
        return prefix

    @traitlets.observe("item", "prefix", "level", "n_coloured", "n_items", "drawn", "selected")
    def _want(self, change: Any) -> None:
        level = min(len(self.prefix) + 1, self.ids.n_levels) if change["name"] == "prefix" else self.level
        self.flow.set(**{"level": level, change["name"]: change["new"]})
        self.level = level

    def do_want(self, **traits: Any) -> None:
        """Set some of the traits."""
        for name, value in traits.items():
            setattr(self, name, value)

    def do_search(self, text: str) -> None:
        """Offer items for what a person types."""
        self.flow.set(query=text)

    def do_select(self, points: list[int]) -> None:
        """Select points of the map; none clears the selection."""
        self.selected = tuple(self.flow["map"]["item"].iloc[points])

    def do_cancel(self) -> None:
        """Stop UMAP; principal components stay."""
        self.drawn = "PCA"

    def page(self) -> str:
        """Return the same numbers, pictures and tables as HTML."""
        head, near, quality, named = self.head, self.near, self.quality, self.flow["named"]
        step = {"Id": "<b>{id}</b>", "Items": "{count:,}", "Telling words": "{text}"}
        row = {"Item": "{name}", "Id": "{id}", "Cosine": "{cosine:.3f}", "Rank": "{rank:,.0f}"}
        used = ", ".join(f"{n:,} ({n / head['size']:.0%})" for n in head["used"])
        numbers = "; ".join(f"{label}: {value}" for label, value in [*self.ids.describe(), ("entries in use", used)])
        no_map = head["no_map"] or self.flow.errors.get("map", "")
        sections = {"Numbers": f"<p>{escape(numbers)}</p>", "Map": escape(no_map)}
        if (frame := self.flow["map"]) is not None:
            figure = plots.id_map_figure(frame, marked=[self.item], named=named)
            sections["Map"] = picture_html(figure, "Map of the items, coloured by code")
        if (tree := self.flow["tree"]) is not None:
            tree = tree.assign(exemplars=tree["text"].map(lambda text: (text,) if text else ()) + tree["exemplars"])
            sections["Tree of codes"] = picture_html(plots.tree_drawing(tree, named), "Tree of the codes")
        if self.selected:
            sections["Selected items"] = table_html({**step, "Selected": "{selected:,}"}, self.places["rows"])
        if near:
            sections["Similar items, similar ids"] = (
                table_html(step, near["path"], near["name"])
                + table_html(row, near["by_vector"], "Nearest by vectors: are their ids similar?")
                + table_html(row, near["by_id"], "Nearest by id: are their vectors similar?")
            )
        if quality:
            levels = {f"level {i + 1}": f"{{texts[{i}]}}" for i in range(quality["n_levels"])}
            sections["Quality"] = table_html({"": "{what}", **levels, "how": "{how}"}, quality["rows"])
        where = f", below {words_of(self.prefix)}" if self.prefix else ""
        return page_html(f"Semantic IDs of {head['n']:,} items{where}", sections.items())
