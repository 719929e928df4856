"""The linked maps as a part of a view: drawn as soon as there is something, marked with the words looked at."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from ..state import State
from .view import Part, dim, row
from .words import WordsPart

NUMBERS = (1_000, 2_000, 5_000, 10_000, 20_000)  # of words on the maps


class MapsPart(Part):
    """Maps of both models; a click on a point shows its word's neighbours."""

    about = ("maps",)

    def build(self) -> Sequence[widgets.Widget]:
        self.maps: Any = None
        self.place = widgets.VBox([widgets.HTML("The maps come after the numbers.")])
        self.number = widgets.Dropdown(
            description="Words on the maps", style={"description_width": "initial"}, layout={"width": "auto"}
        )
        self.number.observe(self.view.guarded(self._choose), "value")
        return [row(self.number), self.messages["maps"], self.place]

    def show(self, s: State, old: State) -> None:
        if s.model is not None and s.model is not old.model:
            self._offer(s)
        if s.maps is not None and (s.maps is not old.maps or s.changes is not old.changes):
            if self.maps is None:
                from .maps import LiveMaps

                self.maps = LiveMaps(self._picked, guard=self.view.guarded)
                self.place.children = [self.maps.widget]
            self.maps.show(s.maps, s.words, s.changes, s.codes)
        dim(self.place, s.maps is not None)

    def _offer(self, s: State) -> None:
        assert s.model is not None
        n_words = len(s.model.original)
        self.number.options = sorted({min(n, n_words) for n in (*NUMBERS, s.n_mapped)})
        self.number.value = min(s.n_mapped, n_words)

    def _choose(self, change: dict) -> None:
        self.session.map_words(change["new"])

    def _picked(self, word: str) -> None:
        words = self.view.parts.get(WordsPart)
        if isinstance(words, WordsPart):
            words.look_at(word)
