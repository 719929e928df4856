"""The linked maps as a part of a view: drawn as soon as there is something, marked with the words looked at."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from ..session import State
from .view import Part, dim
from .words import WordsPart


class MapsPart(Part):
    """Maps of both models; a click on a point shows its word's neighbours."""

    about = ("maps",)

    def build(self) -> Sequence[widgets.Widget]:
        self.maps: Any = None
        self.place = widgets.VBox([widgets.HTML("The maps come after the numbers.")])
        return [self.messages["maps"], self.place]

    def show(self, s: State, old: State) -> None:
        if s.maps is not None and (s.maps is not old.maps or s.changes is not old.changes):
            if self.maps is None:
                from .maps import LiveMaps

                self.maps = LiveMaps(self.view.guarded(self._picked))
                self.place.children = [self.maps.widget]
            self.maps.show(s.maps, s.words, s.changes)
        dim(self.place, s.maps is not None)

    def _picked(self, word: str) -> None:
        words = self.view.parts.get(WordsPart)
        if isinstance(words, WordsPart):
            words.look_at(word)
