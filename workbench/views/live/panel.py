"""The compression panel: a model, a recipe, what it costs, and the way out with a file and a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import ipywidgets as widgets

from ...compress import Chain
from ...evaluate.similarity import Pairs
from ...vectors import Vectors
from ..session import Session
from .damage import DamagePart
from .editor import main_recipe, rough_words
from .leave import LeavePart
from .mapping import MapsPart
from .numbers import NumbersPart, TrailPart
from .setting import ModelPart, ProgressPart, RecipePart
from .view import View, run_by_a_person
from .words import MOST_WORDS, WordsPart

PAGES = {
    "Numbers": (NumbersPart, TrailPart),
    "Maps": (MapsPart,),
    "Damage": (DamagePart,),
    "Save and report": (LeavePart,),
}


class CompressionPanel(View):
    """Compress a model and see at once what each setting costs.

    Parameters
    ----------
    source : Vectors, path or str
        The model, or where it is; see `load`.
    recipe : Chain, optional
        Where to begin.
    n_words, n_ngrams, n_subvectors : int, optional
        In place of `recipe`, the numbers of the usual one (prune, re-fit, PQ); by default a seventh
        of the words, twice as many n-grams, and half a byte for each dimension.
    words : sequence of str
        Words whose neighbours are compared first.
    unseen : list of str, optional
        Real words that the model does not know, to score; see `scorecard`.
    pairs : mapping, optional
        Word pairs that people scored; see `scorecard`.
    labels : mapping of word to str, optional
        Your own, to colour the maps by.
    n_mapped : int
        Words on the maps.
    interactive : bool, optional
        Whether it is live. Else, and where a program such as papermill runs the cell, the same
        page is shown as tables and pictures. A live panel leaves this page in the notebook, for
        readers who open it when nothing runs.
    random_state : int
    """

    kinds = (ModelPart, RecipePart, ProgressPart, NumbersPart, TrailPart, MapsPart, DamagePart, LeavePart, WordsPart)

    def __init__(
        self,
        source: Vectors | str | Path = "builtin:en",
        *,
        recipe: Chain | None = None,
        n_words: int | None = None,
        n_ngrams: int | None = None,
        n_subvectors: int | None = None,
        words: Sequence[str] = (),
        unseen: list[str] | None = None,
        pairs: Mapping[str, Pairs | str | Path] | None = None,
        labels: Mapping[str, str] | None = None,
        n_mapped: int = 2_000,
        interactive: bool | None = None,
        random_state: int = 0,
    ):
        self._begin = (recipe, n_words, n_ngrams, n_subvectors)
        self.random_state = random_state
        super().__init__(
            Session(
                source,
                self._suggest,
                words=words[:MOST_WORDS],
                unseen=unseen,
                pairs=pairs,
                labels=labels,
                background=run_by_a_person() if interactive is None else interactive,
                n_mapped=n_mapped,
                random_state=random_state,
            )
        )

    def arranged(self) -> Sequence[widgets.Widget]:
        """The setting above, one page of results at a time, and the neighbours below."""
        above = [self.parts[kind].box for kind in (ModelPart, RecipePart, ProgressPart)]
        self.pages = widgets.ToggleButtons(
            description="Show", options=list(PAGES), style={"description_width": "initial", "button_width": "auto"}
        )
        self.pages.add_class("wb-pages")
        self.pages.observe(self._turn, "value")
        self._turn(None)
        shown_in_turn = [self.parts[kind].box for kinds in PAGES.values() for kind in kinds]
        return [*above, self.pages, *shown_in_turn, self.parts[WordsPart].box]

    def _turn(self, _: object) -> None:
        """Show a page. The others are only hidden: plotly's figures hear of no change once they were taken out."""
        for name, kinds in PAGES.items():
            for kind in kinds:
                self.parts[kind].box.layout.display = None if name == self.pages.value else "none"

    def _suggest(self, v: Vectors) -> Chain:
        """The recipe for a model that was just opened: the one asked for at first, else a rough one."""
        (recipe, *asked), self._begin = self._begin, (None, None, None, None)
        if recipe is not None:
            return recipe
        n_words = asked[0] or rough_words(v)
        n_ngrams = min(2 * n_words, len(v.storage.ngrams or ())) if asked[1] is None else asked[1]
        return main_recipe(v, n_words, n_ngrams, asked[2] or max(v.dim // 2, 1), self.random_state)
