"""The live view of semantic IDs: a map and a tree of codes that follow each other, and an item's nearest both ways."""

from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np

from ...semantic.ids import SemanticIDs
from ...vectors import Vectors
from ...vocab import printable
from ..ids import Prefix, shortened, spelled_alike, words_of
from ..ids_figures import tree_words
from ..ids_page import CARD, below_html, card_html, headline_html, ids_page, selected_html, similar_html
from ..ids_session import IdsSession, IdsState
from .id_map import LiveIdMap
from .mapping import NUMBERS
from .tiles import TileTree
from .view import Part, View, dim, row, run_by_a_person

MOST_OFFERED = 3_000  # names that a page completes while one types
PLAIN = {"description_width": "initial"}


class OverviewPart(Part):
    """What there is to know of the ids at a glance."""

    def build(self) -> Sequence[widgets.Widget]:
        self.line = widgets.HTML()
        self.line.add_class("wb-headline")
        return [self.line]

    def show(self, s: IdsState, old: IdsState) -> None:
        if s.ids is not None and s.ids is not old.ids:
            self.line.value = headline_html(s.ids)


class PrefixPart(Part):
    """Whose items are looked at: the way down, code by code, and the way back."""

    about = ("prefix",)

    def build(self) -> Sequence[widgets.Widget]:
        ids: SemanticIDs = self.session.ids
        self.crumbs = [widgets.Button(layout={"width": "auto"}) for _ in range(ids.n_levels + 1)]
        for n_codes, crumb in enumerate(self.crumbs):
            crumb.add_class("wb-crumb")
            crumb.on_click(self.view.guarded(lambda _, n=n_codes: self._back(n)))
        self.level = widgets.Dropdown(description="Colour by code of level", style=PLAIN, layout={"width": "auto"})
        self.level.observe(self.view.guarded(self._recolour), "value")
        self.code = widgets.Dropdown(description="Next code", style=PLAIN, layout={"width": "min(100%, 26em)"})
        self.go = widgets.Button(description="Show this code", tooltip="Look at the items with this next code")
        self.go.on_click(self.view.guarded(self._down))
        path = row(widgets.HTML("<span>Shown:</span>"), *self.crumbs)
        return [path, row(self.code, self.go, self.level), self.messages["prefix"]]

    def show(self, s: IdsState, old: IdsState) -> None:
        if s.ids is None or (s.prefix, s.level, s.ids) == (old.prefix, old.level, old.ids):
            return
        for n_codes, crumb in enumerate(self.crumbs[: len(s.prefix) + 1]):
            sign = "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
            crumb.description = f"{sign} {s.prefix[n_codes - 1]}" if n_codes else words_of(())
            crumb.tooltip = f"Show {words_of(s.prefix[:n_codes])}"
            # None is disabled, or keys would lose their place.
            crumb.style.font_weight = "bold" if n_codes == len(s.prefix) else "normal"
        for n_codes, crumb in enumerate(self.crumbs):
            crumb.layout.display = None if n_codes <= len(s.prefix) else "none"
        last = s.ids.n_levels
        self.level.options = list(range(min(len(s.prefix) + 1, last), last + 1))
        self.level.value = s.level
        if s.prefix != old.prefix or s.ids is not old.ids:
            self._offer(s.ids, s.prefix)

    def _offer(self, ids: SemanticIDs, prefix: Prefix) -> None:
        """List the codes that may come next."""
        is_whole = len(prefix) == ids.n_levels
        self.code.disabled = self.go.disabled = is_whole
        if is_whole:
            self.code.options = []
            return
        found = ids.prefixes(len(prefix) + 1, prefix)
        self.code.options = [
            (
                shortened(f"{entry.prefix[-1]}: {entry.count:,}, {entry.exemplars[0]}", 60),
                entry.prefix,
            )
            for entry in found.itertuples()
        ]
        self.code.index = 0

    def _back(self, n_codes: int) -> None:
        self.session.look_below(self.session.state.prefix[:n_codes])

    def _down(self, _: object) -> None:
        if self.code.value is not None:
            self.session.look_below(self.code.value)

    def _recolour(self, change: dict) -> None:
        if change["new"] is not None:
            self.session.colour_by(change["new"])


class IdProgressPart(Part):
    """What is being done, and the way to stop a map."""

    def build(self) -> Sequence[widgets.Widget]:
        self.status = widgets.HTML()
        self.status.add_class("wb-status")
        self.cancel = widgets.Button(description="Cancel", tooltip="Stop drawing the map", disabled=True)
        self.cancel.on_click(self.view.guarded(lambda _: self.session.cancel()))
        return [row(self.cancel, self.status)]

    def show(self, s: IdsState, old: IdsState) -> None:
        text = "" if s.is_current else "Computing\N{HORIZONTAL ELLIPSIS}"
        if s.map is not None and s.is_preview and "map" not in s.errors:
            text = "A UMAP map is being drawn; until then principal components are shown."
        self.status.value = f"<span role='status'>{escape(text or 'Everything is up to date.')}</span>"
        self.cancel.disabled = not s.drawing


class IdMapPart(Part):
    """The map; a click on a point looks at its item, a lasso tells where its items are in the tree."""

    about = ("map",)
    title = "Map"

    def build(self) -> Sequence[widgets.Widget]:
        n, guarded = len(self.session.ids), self.view.guarded
        wanted = self.session.state.n_items
        self.number = widgets.Dropdown(
            description="Items on the map", style=PLAIN, layout={"width": "auto"},
            options=sorted({min(some, n) for some in (*NUMBERS, wanted)}), value=min(wanted, n),
        )  # fmt: skip
        self.number.observe(guarded(lambda change: self.session.map_items(change["new"])), "value")
        self.map: LiveIdMap | None = None
        self.place = widgets.VBox()
        return [row(self.number), self.messages["map"], self.place]

    def show(self, s: IdsState, old: IdsState) -> None:
        if s.map is not None and s.named is not None:
            if self.map is None:
                self.map = LiveIdMap(self._picked, self.session.select, self.view.guarded)
                self.place.children = [self.map.widget]
            shown = ("map", "named", "similar", "selected")
            if any(getattr(s, name) is not getattr(old, name) for name in shown):
                self.map.show(s.map, s.named, s.similar, s.selected)
        dim(self.place, s.map is not None)

    def _picked(self, item: str) -> None:
        self.session.look_at(item)


class TreePart(Part):
    """The tree below what is looked at; a tile that is pressed is looked at next."""

    about = ("tree",)
    title = "Tree of codes"

    def build(self) -> Sequence[widgets.Widget]:
        self.tree = TileTree(self.view.guarded(self.session.look_below))
        self.text, self.items = widgets.HTML(), widgets.HTML()
        self.items.add_class("wb-below")
        self.place = widgets.VBox([self.tree])
        return [self.messages["tree"], self.place, self.text, self.items]

    def show(self, s: IdsState, old: IdsState) -> None:
        dim(self.place, s.tree is not None)
        if s.tree is None or s.ids is None or s.named is None:
            return
        shown = ("tree", "named", "similar", "selected")
        if any(getattr(s, name) is not getattr(old, name) for name in shown):
            item = () if s.similar is None else s.ids[s.similar.item]
            chosen = set(s.selected)
            rows = [i for i, other in enumerate(s.ids.items) if other in chosen]
            self.tree.show(s.tree, s.named, item, s.ids.codes[rows])
            self.text.value = f"<span class='quiet'>{escape(tree_words(s.tree))}</span>"
            self.items.value = below_html(s.ids, s.prefix)


class SelectedPart(Part):
    """Where items that were selected on the map are in the tree."""

    def build(self) -> Sequence[widgets.Widget]:
        self.table = widgets.HTML()
        self.table.add_class("wb-selected")
        self.clear = widgets.Button(description="Clear selection", tooltip="Select no items any more")
        self.clear.on_click(self.view.guarded(lambda _: self.session.select([])))
        return [widgets.HTML("<h4>Selected items</h4>"), self.clear, self.table]

    def show(self, s: IdsState, old: IdsState) -> None:
        self.box.layout.display = None if s.selected else "none"
        if s.selected is not old.selected or s.prefix != old.prefix:
            self.table.value = selected_html(s)


class SimilarPart(Part):
    """An item that is typed: are similar items' ids similar, and items of similar ids similar?"""

    about = ("item",)
    title = "Similar items, similar ids"

    def build(self) -> Sequence[widgets.Widget]:
        self.item = widgets.Combobox(
            description="Item", continuous_update=False, ensure_option=False, value=self.session.state.asked,
            placeholder="an item or its name, then Enter", layout={"width": "min(100%, 32em)"}, style=PLAIN,
        )  # fmt: skip
        self.names = [printable(name) for name in self.session.ids.names[:MOST_OFFERED]]
        self.item.options = self.names
        self.item.observe(self.view.guarded(self._look), "value")
        self.show_id = widgets.Button(
            description="Show its id", tooltip="Look at the items that share all codes but the last", disabled=True
        )
        self.show_id.on_click(self.view.guarded(self._follow))
        self.tables = widgets.HTML()
        self.tables.add_class("wb-similar")
        return [row(self.item, self.show_id), self.messages["item"], self.tables]

    def show(self, s: IdsState, old: IdsState) -> None:
        if s.asked != old.asked and s.asked != self.item.value.strip():
            self.item.value = self._called(s.asked)
        if s.errors.get("item") != old.errors.get("item"):  # what is offered may be what was meant
            alike = spelled_alike(self.session.ids, s.asked) if "item" in s.errors else []
            self.item.options = list(dict.fromkeys([*map(printable, alike), *self.names]))
        if s.similar is not None or not s.asked or "item" in s.errors:  # else old ones stay, dimmed
            self.tables.value = similar_html(self.session.ids, s.similar)
        self.show_id.disabled = s.similar is None
        dim(self.tables, s.similar is not None)

    def _look(self, _: object) -> None:
        if self.item.value.strip() != self._called(self.session.state.asked):
            self.session.look_at(self.item.value)

    def _called(self, text: str) -> str:
        """The name of what was asked for, where it was a point on the map."""
        ids: SemanticIDs = self.session.ids
        return printable(ids.names[ids.items.index(text)]) if text in ids else text

    def _follow(self, _: object) -> None:
        similar = self.session.state.similar
        if similar is not None:
            self.session.look_below(self.session.ids[similar.item][:-1])


class CardPart(Part):
    """What the ids are worth."""

    about = ("card",)
    title = CARD

    def build(self) -> Sequence[widgets.Widget]:
        self.card = widgets.HTML("Being computed\N{HORIZONTAL ELLIPSIS}")
        self.card.add_class("wb-card")
        return [self.messages["card"], self.card]

    def show(self, s: IdsState, old: IdsState) -> None:
        if s.card is not None and s.card is not old.card:
            self.card.value = card_html(s.card)


class IdsView(View):
    """Semantic IDs seen: what their codes mean, and whether similar items have similar ids.

    Parameters
    ----------
    ids : SemanticIDs
    vectors : Vectors or (n_items, dim) array, optional
        The original vectors, in the order of the items or with the items for words; without it the
        decoded ones. Without codebooks either there is no map.
    item : str
        To look at first: an item, or its name.
    n_items : int
        Items on the map.
    interactive : bool, optional
        Whether it is live. Else, and where a program such as papermill runs the cell, the same page is
        shown as tables and pictures. A live view leaves this page in the notebook, for readers who open
        it when nothing runs.
    random_state : int
    """

    kinds = (OverviewPart, PrefixPart, IdProgressPart, IdMapPart, TreePart, SelectedPart, SimilarPart, CardPart)

    def __init__(
        self,
        ids: SemanticIDs,
        vectors: Vectors | np.ndarray | None = None,
        *,
        item: str = "",
        n_items: int = 5_000,
        interactive: bool | None = None,
        random_state: int = 0,
    ):
        live = run_by_a_person() if interactive is None else interactive
        super().__init__(
            IdsSession(ids, vectors, item=item, n_items=n_items, background=live, random_state=random_state)
        )

    def page(self, s: Any) -> str:
        return ids_page(s)

    def arranged(self) -> Sequence[widgets.Widget]:
        """The map and the tree side by side where there is room."""
        boxes = {kind: self.parts[kind].box for kind in self.kinds}
        for kind in (IdMapPart, TreePart):
            boxes[kind].layout.flex, boxes[kind].layout.min_width = "1 1 30em", "0"
        both = row(boxes.pop(IdMapPart), boxes.pop(TreePart))
        above = [boxes.pop(kind) for kind in (OverviewPart, PrefixPart, IdProgressPart)]
        return [*above, both, *boxes.values()]
