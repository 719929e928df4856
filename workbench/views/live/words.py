"""Neighbours of words before and after, and what carries words that no vocabulary knows."""

from collections.abc import Sequence

import ipywidgets as widgets

from ..carriers import carriers_html
from ..page import neighbours_html
from ..state import State
from .view import Part, dim

MOST_WORDS = 4  # compared side by side


class WordsPart(Part):
    """Neighbours that words keep, lose and gain, and the n-grams that carry them."""

    about = ("words",)
    title = "Neighbours before and after"

    def build(self) -> Sequence[widgets.Widget]:
        self.word = widgets.Text(
            description="Word", continuous_update=False, placeholder=f"up to {MOST_WORDS}, unseen ones too",
            value=", ".join(self.session.state.words),
        )  # fmt: skip
        self.word.observe(self.view.guarded(self._look), "value")
        self.neighbours, self.carriers = widgets.HTML(), widgets.HTML()
        self.neighbours.add_class("wb-neighbours")
        self.carriers.add_class("wb-carriers")
        self.ngrams = widgets.Checkbox(description="Show the n-grams that carry a word", value=True, indent=False)
        self.ngrams.observe(self._toggle, "value")
        return [self.word, self.messages["words"], self.neighbours, self.ngrams, self.carriers]

    def show(self, s: State, old: State) -> None:
        if s.model is not None and s.model is not old.model:
            self.word.value = ", ".join(s.words)
        if s.changes is not None or not s.words or "words" in s.errors:  # else old ones stay, dimmed
            self.neighbours.value = neighbours_html(s.changes)
            tables = "".join(f"<div>{carriers_html(carriers)}</div>" for carriers in s.carriers.values())
            self.carriers.value = f"<div class='side'>{tables}</div>" if tables else ""
            self.ngrams.layout.display = None if tables else "none"
        for widget in (self.neighbours, self.carriers):
            dim(widget, s.changes is not None)

    def look_at(self, word: str) -> None:
        """Compare this word, as if it had been typed."""
        self.word.value = word

    def _look(self, _: object) -> None:
        text, model = self.word.value.strip(), self.session.state.model
        whole = model is not None and text in model.original  # a few words hold commas or spaces
        words = (text,) if whole else tuple(dict.fromkeys(text.replace(",", " ").split()))[:MOST_WORDS]
        if words != self.session.state.words:
            self.session.look_at(words)

    def _toggle(self, change: dict) -> None:
        self.carriers.layout.display = None if change["new"] else "none"
