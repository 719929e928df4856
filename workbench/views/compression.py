"""Computations of a compression panel, as cells; see `flow`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from .. import progress
from ..compress import Chain
from ..compress.builder import Builder
from ..evaluate.contributions import has_same_ngrams, ngram_carriers
from ..evaluate.damage import code_damage, damage_groups, word_codes, word_damage
from ..evaluate.neighbours import neighbour_changes, neighbours_kept
from ..evaluate.scorecard import quick_card
from ..evaluate.similarity import similarity
from ..evaluate.table import Scorecard
from ..formats import load
from ..reports.setting import run_report, write_report
from ..search.budget import BELOW, fit_budget
from ..search.sweep import attempt, scores
from ..vectors import Vectors
from . import mapper
from .flow import cell, publish
from .maps import OriginalMap

REST = 0.3  # seconds from new numbers to what is shown beside them: a person's next change comes first
N_TRIALS = 12  # of a search
N_NEIGHBORS = 15  # on a map; of a tiny model fewer
MAX_TRAIL = 200  # rows
MAX_RECENT, MAX_RECENT_BYTES = 8, 10**9  # results that are kept, and what their numbers take
DEPENDENT = ("own row and n-grams", "n-grams", "nothing")  # what a vector is made of that depends on n-grams


class Model:
    """A model, and what is kept about it.

    Parameters
    ----------
    original : Vectors

    Attributes
    ----------
    source : str
        Where it is; empty for one that was made in memory.
    recent : dict of str to Result
        By the recipe as JSON, the one used last at the end.
    trail : tuple of dict
        Everything tried, as rows of `sweep`.
    failed : (Chain, int) or None
        The recipe that could not be built last, and the place of the step that failed.
    """

    def __init__(self, original: Vectors):
        self.original, self.source = original, original.origin
        self.recent: dict[str, Result] = {}
        self.trail: tuple[dict, ...] = ()
        self.failed: tuple[Chain, int] | None = None
        self._map: tuple[tuple[int, int], OriginalMap] | None = None

    @cached_property
    def vectors(self) -> Vectors:
        """The original with whole word rows, made once; as it is where its word rows are compressed already."""
        try:
            return self.original.adjusted()
        except ValueError:
            return self.original

    @cached_property
    def builder(self) -> Builder:
        """The builder of all recipes."""
        return Builder(self.vectors)

    def map(self, n_words: int, seed: int) -> OriginalMap:
        """Return the original's own part of maps of so many words; called from the lane of maps alone."""
        if self._map is None or self._map[0] != (n_words, seed):
            n_neighbors = min(N_NEIGHBORS, max((len(self.original) - 1) // 2, 2))
            self._map = (n_words, seed), OriginalMap(self.vectors, n_words, n_neighbors, seed)
        return self._map[1]

    def keep(self, result: "Result") -> "Result":
        """Remember a result, and note it on the trail."""
        if result.recipe is None:
            return result
        key = json.dumps(result.recipe.to_json())
        recent = {name: old for name, old in self.recent.items() if name != key} | {key: result}
        while len(recent) > MAX_RECENT or (len(recent) > 1 and _n_bytes(recent) > MAX_RECENT_BYTES):
            del recent[next(iter(recent))]
        self.recent = recent
        self.note(result.trial)
        return result

    def note(self, trial: dict) -> None:
        """Put a trial on the trail, unless its recipe is there."""
        if all(trial["recipe"] != old["recipe"] for old in self.trail):
            self.trail = (*self.trail, trial)[-MAX_TRAIL:]


def _n_bytes(results: Mapping[str, "Result"]) -> int:
    return sum(result.small.storage.nbytes for result in results.values())


@dataclass(frozen=True, eq=False)
class Result:
    """The outcome of a recipe; without one, of a small model that was given.

    `trial` is its row of the trail, `effects` has a text for each step. While a search runs, the result is the best
    one so far, and `search` says how many recipes were tried, of how many.
    """

    recipe: Chain | None
    small: Vectors
    card: Scorecard
    trial: dict
    effects: tuple[str, ...] = ()
    search: tuple[int, int] | None = None
    answers: dict[str, Any] = field(default_factory=dict)  # what `once` computed

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return what `compute` gives, computed once: going back to a result takes no time."""
        if name not in self.answers:
            self.answers[name] = compute()
        return self.answers[name]


@dataclass(frozen=True)
class Search:
    """A wish for the best recipe within so many bytes."""

    n_bytes: int
    goal: str


@dataclass(frozen=True, eq=False)
class Reporting:
    """A request for a report of a recipe, with limits that it must hold."""

    folder: Path
    limits: Mapping[str, float]
    model: Model
    recipe: Chain
    words: tuple[str, ...] = ()


class Damage(NamedTuple):
    """Damage by word, by group of words, and by code."""

    words: pd.DataFrame
    groups: pd.DataFrame
    codes: pd.DataFrame


class Compression:
    """The cells of a panel.

    Inputs are `source` (Vectors, path or name), `wish` (Chain, `Search`, a small model, or None for what `suggest`
    makes of the model), `words`, `n_mapped`, `drawn` ("UMAP" or "PCA"), `reporting`, and what stays: `suggest`,
    `unseen`, `pairs`, `labels`, `n_words` and `n_queries` (samples that are scored), `seed`.
    """

    def model(source):
        return Model(source if isinstance(source, Vectors) else load(source))

    def recipe(model, wish, suggest):
        """The recipe that is wanted; None while one is searched for, or where a small model was given."""
        return suggest(model.original) if wish is None else wish if isinstance(wish, Chain) else None

    @cell(rest=REST)
    def result(model, wish, recipe, unseen, n_words, n_queries, seed):
        samples = unseen, n_words, n_queries, seed
        if isinstance(wish, Search):
            return _searched(model, wish, *samples)
        if recipe is None:
            card = quick_card(model.vectors, wish, *samples) if n_words else Scorecard()
            return Result(None, wish, card, {"recipe": None} | (scores(model.vectors, wish, card) if n_words else {}))
        return model.recent.get(json.dumps(recipe.to_json())) or _built(model, recipe, *samples)

    def changes(model, result, words):
        """The neighbours of the words that are looked at, before and after; None without words."""
        known = [word for word in words if model.original.can_embed(word)]
        return neighbour_changes(model.vectors, result.small, known) if known else None

    def contributions(model, result, words):
        """By word whose vector depends on its n-grams, what each of them contributes."""
        if not has_same_ngrams(model.vectors, result.small):
            return {}
        known = [word for word in words if model.original.can_embed(word)]
        found = {word: ngram_carriers(model.vectors, result.small, word) for word in known}
        return {word: table for word, table in found.items() if table.attrs["made_of_after"] in DEPENDENT}

    def agreement(model, result, pairs, seed):
        return result.once("agreement", lambda: similarity(model.vectors, result.small, pairs, seed))

    def damage(model, result, seed):
        def compute():
            words = word_damage(model.vectors, result.small, random_state=seed)
            return Damage(words, damage_groups(words), code_damage(model.vectors, result.small, words))

        return result.once("damage", compute)

    def sampled(model, result, n_queries, seed):
        """The neighbours that the words of the card's sample kept, lost and gained."""
        return result.once("sampled", lambda: neighbours_kept(model.vectors, result.small, 10, n_queries, seed))

    @cell(lane="maps")
    def codes(model, result, n_mapped, seed):
        """The codes of the words on the maps, None where word rows are not coded."""
        return word_codes(result.small, model.map(n_mapped, seed).words)

    @cell(lane="maps")
    def maps(model, result, n_mapped, drawn, labels, seed):
        """Principal components first, and then, where it is wanted, UMAP."""
        original = model.map(n_mapped, seed)

        def labelled(frame):
            return frame.assign(label=[labels.get(word) for word in original.words]) if labels else frame

        sketch = labelled(original.pca(result.small))
        if drawn == "PCA":
            return sketch
        publish(sketch)
        return labelled(original.umap(result.small, mapper.shared.layout))

    @cell(lane="report")
    def report(reporting, unseen, seed):
        """The report that was asked for; None where none was."""
        if reporting is None:
            return None
        request = reporting.folder, reporting.model.original, reporting.recipe, reporting.limits
        return run_report(write_report(*request, unseen=unseen, words=reporting.words, random_state=seed))


def _built(model: Model, recipe: Chain, unseen: list[str] | None, n_words: int, n_queries: int, seed: int) -> Result:
    """The result of a recipe; an error is noted with the step that failed."""
    trial, small = attempt(model.builder, recipe, unseen, n_words, n_queries, seed)
    if small is None:
        model.failed = recipe, model.builder.at
        raise ValueError(trial["error"])
    return model.keep(Result(recipe, small, trial["card"], trial))


def _searched(model: Model, wish: Search, unseen: list[str] | None, n_words: int, n_queries: int, seed: int) -> Result:
    """The best recipe within a size. The best so far is published after every trial, so that it can be kept."""
    best: Result | None = None
    n_tried, of = 0, N_TRIALS + len(BELOW)

    def tried(row: dict) -> None:
        nonlocal best, n_tried
        n_tried, small = n_tried + 1, row.pop("vectors")
        model.note(row)
        if small is not None:
            best = model.keep(Result(row["recipe"], small, row["card"], row))
        if best is not None:
            publish(replace(best, search=(n_tried, of)))

    with progress.told_as("Searching", lambda: n_tried / of):
        fit_budget(
            model.vectors, wish.n_bytes, goal=wish.goal, n_trials=N_TRIALS, unseen=unseen, n_scored=n_words,
            n_queries=n_queries, callback=tried, random_state=seed,
        )  # fmt: skip
    assert best is not None
    return best
