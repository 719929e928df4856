"""What an exploration knows at one moment: its model, what is wanted, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..compress import Chain
from ..compress.builder import Builder
from ..evaluate.table import Scorecard
from ..reports.setting import Report
from ..storage import Coded
from ..vectors import Vectors
from .maps import OriginalMap
from .work import BaseState

SHOWN = ("numbers", "maps", "words", "agreement", "damage")  # what a view may be of, in the order of work
ABOUT = ("model", "limit", *SHOWN, "save", "report")  # what an error may concern
N_NEIGHBORS = 15  # on a map; of a tiny model fewer


class Model:
    """A model, and what is kept about it.

    Parameters
    ----------
    original : Vectors
    """

    def __init__(self, original: Vectors):
        self.original = original
        self.source = original.origin  # empty for one that was made in memory
        self._maps: dict[int, OriginalMap] = {}  # by number of words: no recipe makes them wrong
        self.recent: dict[str, Result] = {}  # by the recipe as JSON, the newest last

    @cached_property
    def vectors(self) -> Vectors:
        """The original with whole word rows: made once, in place of at every recipe."""
        return self.original.adjusted()

    def map(self, n_words: int, random_state: int) -> OriginalMap:
        """Its own part of maps of so many words."""
        found = self._maps.get(n_words)
        if found is None:
            n_neighbors = min(N_NEIGHBORS, max((len(self.original) - 1) // 2, 2))
            found = OriginalMap(self.vectors, n_words, n_neighbors, random_state)
            self._maps = {n_words: found}  # another lane may put another in its place at once
        return found

    @cached_property
    def builder(self) -> Builder:
        return Builder(self.vectors)


@dataclass(frozen=True, eq=False)
class Result:
    """What one recipe gave; without a recipe, a small model that was given."""

    recipe: Chain | None
    small: Vectors
    card: Scorecard
    trial: dict  # its row on the trail, as in the table of `sweep`


class Damage(NamedTuple):
    """What `word_damage`, `damage_groups` and `code_damage` say of a result."""

    words: pd.DataFrame
    groups: pd.DataFrame
    codes: pd.DataFrame


@dataclass(frozen=True)
class Search:
    """A wish for the best recipe within so many bytes."""

    n_bytes: int
    goal: str
    n_tried: int = 0


@dataclass(frozen=True)
class Reporting:
    """A wish for a report of a result."""

    folder: Path
    limits: Mapping[str, float]
    model: Model
    recipe: Chain
    words: tuple[str, ...]


@dataclass(frozen=True)
class State(BaseState):
    """Everything there is to show of a model. `generation` counts changes of the model and of the recipe.

    Attributes
    ----------
    opening : Vectors, str, Path or None
        What is wanted in place of `model` and not open yet.
    model : Model or None
    recipe : Chain or None
        The recipe that is wanted.
    search : Search or None
        The search that is wanted in place of a recipe, until it has found one.
    limit : int or None
        Bytes that the file should stay within.
    result : Result or None
        The newest one; it belongs to `recipe` where `is_current`, else to an earlier recipe.
    before : Result or None
        The one before it.
    agreement : DataFrame or None
        Agreement with people, from `similarity`; None until computed.
    changes : DataFrame or None
        Neighbours of `words` before and after, from `neighbour_changes`; None until computed.
    carriers : dict of str and DataFrame
        By word that lives on its n-grams, which of them carry it, from `ngram_carriers`; comes with `changes`.
    n_mapped : int
        Words that maps show.
    maps : DataFrame or None
        From `pca_maps`, later from `umap_maps`; None until computed.
    codes : tuple or None
        Codes of the words on the maps, from `word_codes`.
    damage : Damage or None
        None until computed.
    drawing : bool
        Whether a UMAP map is being drawn.
    saved : Path or None
        Where `result` was saved.
    reporting : Reporting or None
        The report that is wanted, until it is there.
    writing : tuple of str and float, or None
        What is being done for it, and which share of it is.
    report, reported : Report and Reporting, or None
        The newest one, and what it is of.
    trail : tuple of dict
        What was tried on this model, the newest last, as rows of the table of `sweep`.
    """

    opening: Vectors | str | Path | None = None
    model: Model | None = None
    recipe: Chain | None = None
    search: Search | None = None
    limit: int | None = None
    words: tuple[str, ...] = ()
    result: Result | None = None
    before: Result | None = None
    agreement: pd.DataFrame | None = None
    changes: pd.DataFrame | None = None
    carriers: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    n_mapped: int = 2_000
    maps: pd.DataFrame | None = None
    codes: tuple[np.ndarray, Coded] | None = None
    damage: Damage | None = None
    drawing: bool = False
    saved: Path | None = None
    reporting: Reporting | None = None
    writing: tuple[str, float] | None = None
    report: Report | None = None
    reported: Reporting | None = None
    trail: tuple[dict, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether `result` is that of `recipe`."""
        return self.result is not None and self.search is None and self.result.recipe is self.recipe
