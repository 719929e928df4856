"""One exploration of semantic IDs: what a person looks at, and the work that computes it. No widgets here."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from ..evaluate.ids import id_card
from ..evaluate.table import Scorecard
from ..semantic.ids import SemanticIDs
from ..vectors import Vectors
from . import mapper
from .ids import (
    Named,
    Prefix,
    Similar,
    find_item,
    id_map,
    item_vectors,
    selected_prefixes,
    similar_tables,
    tree_table,
    words_of,
)
from .layout import umap_layout
from .work import BaseState, Task, Work

NO_VECTORS = "These ids have no codebooks, so there is nothing to map items by; give their vectors to see a map."
STOPPED = "The map was stopped; principal components are shown."


@dataclass(frozen=True)
class IdsState(BaseState):
    """Everything there is to show of semantic IDs. `generation` counts changes of the map that is wanted.

    Attributes
    ----------
    ids : SemanticIDs or None
        None only before an exploration begins.
    prefix : tuple of int
        Whose items are looked at; the others are grey.
    level : int
        Whose codes the map is coloured by; deeper than the prefix but for a whole id.
    named : Named or None
        The codes that have colours of their own.
    tree : DataFrame or None
        Below the prefix, from `tree_table`; None until computed.
    n_items : int
        Items on the map.
    map : DataFrame or None
        From `id_map`, at first by principal components; None until computed.
    is_preview : bool
        Whether a better map is still to come.
    drawing : bool
        Whether UMAP is at work.
    asked : str
        What a person typed for an item.
    similar : Similar or None
        Of the item that was meant; None until computed.
    selected : tuple of str
        Items selected on the map.
    card : Scorecard or None
        From `id_card`; None until computed.
    judging : tuple of str and float, or None
        What is being done for it, and which share of it is.
    """

    ids: SemanticIDs | None = None
    prefix: Prefix = ()
    level: int = 1
    named: Named | None = None
    tree: pd.DataFrame | None = None
    n_items: int = 5_000
    map: pd.DataFrame | None = None
    is_preview: bool = True
    drawing: bool = False
    asked: str = ""
    similar: Similar | None = None
    selected: tuple[str, ...] = ()
    card: Scorecard | None = None
    judging: tuple[str, float] | None = None

    @property
    def is_current(self) -> bool:
        """Whether what is looked at is computed."""
        return self.tree is not None and (self.map is not None or "map" in self.errors)

    @property
    def marked(self) -> tuple[str, ...]:
        """The item looked at, if there is one."""
        return () if self.similar is None else (self.similar.item,)

    def prefixes_of_selected(self) -> pd.DataFrame:
        """Where the selected items are in the tree, see `selected_prefixes`."""
        assert self.ids is not None
        return selected_prefixes(self.ids, self.selected, min(len(self.prefix) + 1, self.ids.n_levels))


class IdsSession(Work[IdsState]):
    """An exploration of semantic IDs.

    Parameters
    ----------
    ids : SemanticIDs
    vectors : Vectors or (n_items, dim) array, optional
        The original vectors, see `item_vectors`; without it the decoded ones.
    item : str
        To look at first.
    n_items : int
        Items on the map.
    background : bool
        See `Work`; maps are then drawn in a process of their own.
    random_state : int
    """

    lanes = MappingProxyType({"tables": {"doing": None}, "maps": {"drawing": False}, "card": {"judging": None}})

    def __init__(
        self,
        ids: SemanticIDs,
        vectors: Vectors | np.ndarray | None = None,
        *,
        item: str = "",
        n_items: int = 5_000,
        background: bool = True,
        random_state: int = 0,
    ):
        if n_items < 1:
            raise ValueError(f"expected n_items >= 1, got {n_items}")
        has_vectors = item_vectors(ids, vectors) is not None  # what cannot be used is said at once
        self.ids, self.vectors, self.random_state = ids, vectors, random_state
        self._keep = _meant(ids, item)
        self._is_over = False
        named = Named.among(ids.codes, 1)
        super().__init__(IdsState(ids=ids, asked=item, n_items=n_items, named=named), background)
        if background:
            mapper.shared.warm()
        self._put(errors={} if has_vectors else {"map": NO_VECTORS})

    # -- what is wanted -------------------------------------------------------------------

    def look_below(self, prefix: Iterable[int]) -> IdsState:
        """Look at the items whose id begins with these codes, by their next code."""
        prefix = tuple(prefix)
        if prefix == self.state.prefix and "tree" not in self.state.errors:
            return self._put(["prefix"])
        if not self.ids.with_prefix(prefix):
            return self._put(errors={"prefix": f"no item has an id that begins with {words_of(prefix)}"})
        level = min(len(prefix) + 1, self.ids.n_levels)
        return self._put(
            ["prefix", "tree"], prefix=prefix, level=level, named=Named.among(self.ids.codes, level, prefix), tree=None
        )

    def colour_by(self, level: int) -> IdsState:
        """Colour what is looked at by the codes of a deeper level."""
        return self._put(["prefix"], level=level, named=Named.among(self.ids.codes, level, self.state.prefix))

    def look_at(self, text: str) -> IdsState:
        """Look at an item, by itself or by its name; an empty text at none."""
        return self._put(["item"], asked=text.strip(), similar=None)

    def select(self, items: Sequence[str]) -> IdsState:
        """Look at where these items are in the tree."""
        return self._put(["selected"], selected=tuple(items))

    def map_items(self, n: int) -> IdsState:
        """Show so many items on the map."""
        state = self._want(["map"] if self.state.map is not None else [], n_items=n, map=None, drawing=False)
        return state

    def cancel(self) -> IdsState:
        """Give up the map that is being drawn."""
        errors = {"map": STOPPED} if self.state.drawing else {}
        state = self._want([], errors=errors, drawing=False)
        return state

    def end(self) -> None:
        super().end()
        self._is_over = True
        self.cancel()

    # -- the work -------------------------------------------------------------------------

    def due(self, lane: str) -> Task | None:
        s = self.state
        if self._is_over:
            return None
        tasks = {"tables": self._tables, "maps": self._maps, "card": self._card}[lane](s)
        return next((task for is_due, task in tasks if is_due and task.about not in s.errors), None)

    def _tables(self, s: IdsState) -> Collection[tuple[bool, Task]]:
        return (
            (s.tree is None, Task("tree", partial(self._grow, s.prefix), ("prefix",))),
            (bool(s.asked) and s.similar is None, Task("item", partial(self._compare, s.asked), ("asked",))),
            (s.map is None, Task("map", partial(self._preview, s.n_items))),
        )

    def _maps(self, s: IdsState) -> Collection[tuple[bool, Task]]:
        return ((s.map is not None and s.is_preview, Task("map", partial(self._draw, s.n_items, s.generation))),)

    def _card(self, s: IdsState) -> Collection[tuple[bool, Task]]:
        return ((s.card is None, Task("card", self._judge, ("ids",), "judging")),)

    def _judge(self) -> dict:
        return {"card": id_card(self.ids, self.vectors, random_state=self.random_state)}

    def _grow(self, prefix: Prefix) -> dict:
        return {"tree": tree_table(self.ids, prefix=prefix)}

    def _compare(self, text: str) -> dict:
        return {"similar": similar_tables(self.ids, self.vectors, find_item(self.ids, text))}

    def _preview(self, n_items: int) -> dict:
        return {"map": id_map(self.ids, self.vectors, n_items, self.random_state, None, self._keep), "is_preview": True}

    def _draw(self, n_items: int, generation: int) -> dict:
        self._put(only_if=lambda: self.state.generation == generation, drawing=True)
        return {
            "map": id_map(self.ids, self.vectors, n_items, self.random_state, self._layout, self._keep),
            "is_preview": False,
        }

    def _layout(self, *arguments: Any) -> Any:
        return mapper.shared.layout(*arguments) if self.background else umap_layout(*arguments)


def _meant(ids: SemanticIDs, text: str) -> tuple[str, ...]:
    """The item that a person means, where there is one."""
    try:
        return (find_item(ids, text),) if text else ()
    except KeyError:
        return ()
