"""The most damaged words, and the groups they fall into."""

from collections.abc import Sequence

import ipywidgets as widgets

from ...evaluate.damage import GROUPINGS
from ..damage import damage_figure, damage_html
from ..page import picture_html
from ..state import State
from .view import Part, dim, row
from .words import WordsPart

N_WORST = 30


class DamagePart(Part):
    """What a person should worry about: one table, one figure, and a list of words to look at."""

    about = ("damage",)

    def build(self) -> Sequence[widgets.Widget]:
        self.group = widgets.Dropdown(
            description="Words of", options=[("all groups", None)], style={"description_width": "initial"}
        )
        self.group.observe(self.view.guarded(self._fill), "value")
        self.worst = widgets.Select(description="Most damaged", rows=6, style={"description_width": "initial"},
                                    layout={"width": "24em"})  # fmt: skip
        self.worst.observe(self.view.guarded(self._picked), "value")
        self.table, self.figure = widgets.HTML(), widgets.HTML()
        self.table.add_class("wb-damage")
        return [self.messages["damage"], self.table, self.figure, row(self.group, self.worst)]

    def show(self, s: State, old: State) -> None:
        if s.damage is not None and s.damage is not old.damage:
            self.table.value = damage_html(*s.damage)
            self.figure.value = picture_html(damage_figure(s.damage.groups), "Fidelity by group of words")
            groups = s.damage.groups[s.damage.groups["by"] != "all"]
            named = [(f"{by}: {group}", (by, group)) for by, group in zip(groups["by"], groups["group"], strict=True)]
            chosen = self.group.value
            self.group.options = [("all groups", None), *named]
            self.group.value = chosen if chosen in [value for _, value in named] else None
            self._list(s)
        for widget in (self.table, self.figure, self.worst):
            dim(widget, s.damage is not None)

    def _fill(self, _: object) -> None:
        self._list(self.session.state)

    def _list(self, s: State) -> None:
        if s.damage is None:
            return
        words = s.damage.words
        if self.group.value is not None:
            by, group = self.group.value
            words = words[words[GROUPINGS[by]].astype(str) == group]
        worst = words.nsmallest(N_WORST, "cosine")
        named = [
            (f"{word}  ({cosine:.3f})", word) for word, cosine in worst[["word", "cosine"]].itertuples(index=False)
        ]
        self.worst.options = [("", None), *named]
        self.worst.value = None

    def _picked(self, change: dict) -> None:
        if change["new"] is not None:
            words = self.view.parts.get(WordsPart)
            if isinstance(words, WordsPart):
                words.look_at(change["new"])
