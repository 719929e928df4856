"""Semantic IDs seen: a map of items, the tree of codes, similar items beside similar ids, and numbers."""

from html import escape
from typing import Any

import numpy as np
import traitlets

from ..evaluate.ids import QUALITY, Rows, id_card, similar_tables
from ..evaluate.maps import id_map
from ..semantic.checks import checked_rows
from ..semantic.ids import SemanticIDs
from ..semantic.names import TellingWords, find_item, offered_items
from ..semantic.tree import is_below, tree_table, words_of
from ..vocab import printable
from . import mapper, plots
from .flow import Flow, cell, publish
from .paper import page_html, picture_html, table_html
from .widget import View, is_live, shown

N_LISTED = 12  # items below a prefix
NO_MAP = "There is no map, as these ids have no codebooks to decode vectors from; give the vectors of the items."


class Cells:
    """Cells of `IdsView`, from its traits and ids, vectors, query, seed and keep (items that the map must have)."""

    def names(ids):
        return dict(zip(ids.items, map(printable, ids.names), strict=True))

    def named(ids, prefix, level, n_coloured):
        return plots.Named.among(ids.codes, level, prefix, n_coloured)

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
    def offered(ids, names, query):
        return {"query": query, "items": [(item, names[item]) for item in offered_items(ids, query)]}

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

    def path(words, ids, prefix, names):
        items = ids.with_prefix(prefix)
        listed = [(item, names[item]) for item in items[:N_LISTED]] if prefix else []
        return {"path": words.path(prefix), "n": len(items), "items": listed}

    def legend(words, named, ids):
        below, own = is_below(ids.codes, named.prefix), ids.codes[:, named.level - 1]
        rows = []
        for code, (colour, shape) in named.looks.items():
            here = below & (own == code)
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

    def near(words, similar, ids, names):
        if similar is None:
            return {}
        about = {"item": similar.item, "name": names[similar.item], "path": words.path(ids[similar.item])}
        for key, table in (("by_vector", similar.by_vector), ("by_id", similar.by_id)):
            texts = {"name": table["name"].map(printable), "id": table["codes"].map(words_of)}
            about[key] = table.assign(**texts).to_dict("records")
        return about

    def offers(offered):
        return offered

    def quality(card, ids):
        n_levels, rows = ids.coding.shape[1], []
        for metric, (name, form, help) in QUALITY.items():
            found = [e for e in card.itertuples() if e.metric == metric and "extra" not in e.split]
            spread = [f" ({e.low:{form}} to {e.high:{form}})" if e.low == e.low else "" for e in found]
            texts = [f"{e.value:{form}}{said}" for e, said in zip(found, spread, strict=True)]
            about = {"what": name, "help": help, "texts": [*texts, *[""] * (n_levels - len(texts))]}
            rows += [{**about, "by_level": e.split != "all", "how": f"{e.how}, {e.n:,} items"} for e in found[:1]]
        return {"rows": rows, "n_levels": n_levels}


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
    near, offers, quality = shown(), shown(), shown()
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
        rows, item = None if vectors is None else checked_rows(vectors, ids.items), find_item(ids, item) if item else ""
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
            return plots.Named.among(self.ids.codes, value, self.prefix).level
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
        if near:
            sections["Similar items, similar ids"] = (
                table_html(step, near["path"], near["name"])
                + table_html(row, near["by_vector"], "Nearest by vectors: are their ids similar?")
                + table_html(row, near["by_id"], "Nearest by id: are their vectors similar?")
            )
        if quality:
            levels = {f"level {i + 1}": f"{{texts[{i + 1}]}}" for i in range(quality["n_levels"])}
            columns = {"": "{what}", "all levels": "{texts[0]}", **levels, "how": "{how}"}
            texts = [["", *row["texts"]] if row["by_level"] else [*row["texts"], ""] for row in quality["rows"]]
            rows = [{**row, "texts": own} for row, own in zip(quality["rows"], texts, strict=True)]
            sections["Quality"] = table_html(columns, rows)
        where = f", below {words_of(self.prefix)}" if self.prefix else ""
        return page_html(f"Semantic IDs of {head['n']:,} items{where}", sections.items())
