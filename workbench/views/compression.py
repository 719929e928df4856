"""Computations of a compression panel, as cells; see `flow`."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .. import progress
from ..compress import Chain
from ..compress.builder import Builder
from ..compress.outline import outline
from ..evaluate.contributions import has_same_ngrams, ngram_carriers
from ..evaluate.damage import code_damage, damage_groups, word_codes, word_damage
from ..evaluate.maps import OriginalMap, topics
from ..evaluate.neighbours import neighbour_changes, neighbours_kept, overlap
from ..evaluate.scorecard import quick_card
from ..evaluate.similarity import similarity
from ..evaluate.table import Scorecard, row
from ..formats import load, writable
from ..reports.setting import run_report, write_report
from ..search.budget import BELOW, fit_budget
from ..search.quick import Quick, is_large
from ..search.sweep import attempt, measured, scores
from ..vectors import Vectors, remembered
from . import mapper
from .flow import cell, publish
from .recipes import effects

REST = 0.3  # seconds from new numbers to what is shown beside them: a person's next change comes first
N_TRIALS = 12  # of a search, before those for fewer bytes
N_DAMAGED = 20_000  # words that are scored for damage
N_NEAR = 20_000  # words that neighbours are first looked for among, of a large model
N_NEIGHBORS = 15  # on a map; of a tiny model fewer
MAX_TRAIL = 200  # rows
MAX_RECENT, MAX_RECENT_BYTES = 8, 10**9  # results that are kept, and what their numbers take
UNMEASURED = row("overlap@10", "all", np.nan, "being measured", 0)
DEPENDENT = ("own row and n-grams", "n-grams", "nothing")  # what a vector is made of that n-grams can change


class Damage(NamedTuple):
    """Damage by word, by group of words, and by code."""

    words: pd.DataFrame
    groups: pd.DataFrame
    codes: pd.DataFrame


@dataclass(frozen=True)
class Search:
    """A wish for the best recipe within so many bytes."""

    n_bytes: int
    goal: str


@dataclass(frozen=True, eq=False)
class Result:
    """The outcome of `recipe`; without one, of a small model that was given.

    `trial` is its row of the trail, and `effects` has a text for each step. Until `is_whole`, there are first numbers:
    those of a quick sample, without a small model, and then neighbours among a sample, or those of an earlier recipe.
    While a search runs, the result is the best one so far, and `search` says how many recipes were tried, of how many.
    """

    recipe: Chain | None
    small: Vectors | None
    card: Scorecard
    trial: dict
    effects: tuple[str, ...] = ()
    search: tuple[int, int] | None = None
    is_whole: bool = True


class Model:
    """A model, and what is kept about it. Recipes begin with `vectors`, and are compared with them.

    A large model has `quick`, which gives first numbers.
    """

    def __init__(self, original: Vectors):
        self.original, self.source = original, original.origin  # empty for one that was made in memory
        self.quick = Quick(original) if is_large(original) else None
        self._lock = threading.Lock()
        self._vectors: Vectors | None = None
        self.file_bytes = outline(original).file_bytes
        path, first = Path(self.source), original.meta.get("provenance", {}).get("source_bytes")  # before it was small
        self.source_bytes = path.stat().st_size if path.is_file() else first or self.file_bytes
        self.recent: dict[str, Result] = {}  # by the recipe as JSON, the newest last
        self.trail: tuple[dict, ...] = ()  # everything tried, as rows of `sweep`
        self.failed: tuple[Chain, int] | None = None  # the last recipe that failed, and the place of the step that did

    @property
    def vectors(self) -> Vectors:
        """The model with word rows that no longer need their n-grams, made once; of a large one it takes a while."""
        with self._lock:
            if self._vectors is None:
                try:
                    self._vectors = self.original.adjusted()
                except ValueError:  # word rows are compressed already
                    self._vectors = self.original
            return self._vectors

    @cached_property
    def builder(self) -> Builder:
        return Builder(self.vectors)

    def begun(
        self, recipe: Chain, trial: dict, small: Vectors | None = None, neighbours: pd.DataFrame | None = None
    ) -> Result:
        """Return the first numbers of a recipe; without neighbours, with those of the last one."""
        if neighbours is None:
            cards = [result.card for result in self.recent.values()] or [pd.DataFrame([UNMEASURED])]
            neighbours = cards[-1][cards[-1]["metric"] == UNMEASURED["metric"]].assign(how=UNMEASURED["how"])
        card = Scorecard(pd.concat([trial["card"], neighbours], ignore_index=True))
        return Result(recipe, small, card, trial, effects(recipe, self.original, trial), is_whole=False)

    def built(self, recipe: Chain, trial: dict, small: Vectors) -> Result:
        """Return the result of a recipe, and keep it with the last few."""
        result = Result(recipe, small, trial["card"], trial, effects(recipe, self.original, trial))
        recent = [*self.recent.items(), (json.dumps(recipe.to_json()), result)][-MAX_RECENT:]
        while len(recent) > 1 and sum(old.small.storage.nbytes for _, old in recent if old.small) > MAX_RECENT_BYTES:
            del recent[0]
        self.recent = dict(recent)
        self.note(trial)
        return result

    def note(self, trial: dict) -> None:
        """Put a trial on the trail, in the place of an earlier one of its recipe."""
        known = next((i for i, old in enumerate(self.trail) if old["recipe"] == trial["recipe"]), len(self.trail))
        self.trail = (*self.trail[:known], trial, *self.trail[known + 1 :])[-MAX_TRAIL:]


@dataclass(frozen=True, eq=False)
class Reporting:
    """A request for a report of a recipe, with limits that it must hold."""

    folder: Path
    limits: Mapping[str, float]
    model: Model
    recipe: Chain
    words: tuple[str, ...] = ()


class Compression:
    """The cells of a panel.

    Inputs: `source` (Vectors, path or name), `wish` (Chain, `Search`, a small model, or None for what `suggest` makes
    of the model), `words`, `n_mapped`, `drawn` ("UMAP" or "PCA"), `reporting`; and, for good, `suggest`, `unseen`,
    `pairs`, `labels`, `n_words` and `n_queries` (samples to score; without words, no card), `seed`, and `is_live` (of
    use for first numbers).
    """

    def model(source):
        """The model; one that is open already, given as the source, stays as it is."""
        return source if isinstance(source, Model) else Model(source if isinstance(source, Vectors) else load(source))

    def recipe(model, wish, suggest):
        """The recipe that is wanted; None while one is searched for, or where a small model was given."""
        return suggest(model.original) if wish is None else wish if isinstance(wish, Chain) else None

    @cell(rest=REST)
    def result(model, wish, recipe, unseen, n_words, n_queries, seed, is_live):
        samples = {"unseen": unseen, "n_queries": n_queries, "random_state": seed}
        if isinstance(wish, Search):
            return _searched(model, wish, n_scored=n_words, **samples)
        if recipe is None:
            card = quick_card(model.vectors, wish, n_words=n_words, **samples) if n_words else Scorecard()
            return Result(None, wish, card, scores(model.vectors, wish, card) if n_words else {})
        if found := model.recent.get(json.dumps(recipe.to_json())):
            return found
        quick = model.quick if is_live else None
        if quick:
            with progress.told_as("A quick sample", lambda: 0.0):
                card = quick.card(recipe, unseen, n_words, seed)
            if card is not None:
                publish(model.begun(recipe, {"recipe": recipe, **measured(card), "card": card}))
        trial, small = attempt(model.builder, recipe, unseen, n_words, 0, seed)
        if small is None:
            model.failed = recipe, model.builder.at
            raise ValueError(trial["error"])
        model.note(trial)
        publish(model.begun(recipe, trial, small))  # of a large model, neighbours take longest
        if quick:
            publish(model.begun(recipe, trial, small, overlap(model.vectors, small, 10, n_queries, seed, 0, N_NEAR)))
        neighbours = overlap(model.vectors, small, 10, n_queries, seed)
        card = Scorecard(pd.concat([trial["card"], neighbours], ignore_index=True))
        return model.built(recipe, {**trial, **scores(model.vectors, small, card), "card": card}, small)

    def small(result):
        """The small model; the one before, while there are only numbers of a quick sample."""
        return result.small

    def known(model, words):
        """The words looked at that the model has a vector for."""
        return [word for word in words if model.original.can_embed(word)]

    def changes(model, small, known):
        """The neighbours of the words that are looked at, before and after; None where no word is."""
        return neighbour_changes(model.vectors, small, known) if known else None

    def contributions(model, small, known):
        """The contribution of each n-gram, by word whose vector n-grams can change."""
        alike = has_same_ngrams(model.vectors, small)
        tables = [ngram_carriers(model.vectors, small, word) for word in known if alike]
        return {t.attrs["word"]: t for t in tables if t.attrs["made_of_after"] in DEPENDENT}

    def agreement(model, small, pairs, seed):
        return similarity(model.vectors, small, pairs, seed)

    def damage(model, small, seed):
        words = _of(small, word_damage, model.vectors, N_DAMAGED, seed)
        return Damage(words, damage_groups(words), code_damage(model.vectors, small, words))

    def sampled(model, small, n_queries, seed):
        """The neighbours that the words in the card's sample kept, lost and gained."""
        return _of(small, neighbours_kept, model.vectors, 10, n_queries, seed)

    def losses(small):
        """The losses of the small model in each format that can be written."""
        return {known: known.losses(small) for known in writable().values()}

    @cell(lane="maps")
    def codes(model, small, n_mapped, seed):
        """The codes of the words on the maps; None where word rows are not coded."""
        return word_codes(small, original_map(model.vectors, n_mapped, seed).words)

    @cell(lane="maps")
    def maps(model, small, n_mapped, drawn, labels, seed):
        """Principal components first and then, where it is wanted, UMAP."""
        original = original_map(model.vectors, n_mapped, seed)

        def labelled(frame):
            return frame.assign(label=[labels.get(word) for word in original.words]) if labels else frame

        frame = labelled(original.pca(small))
        if drawn != "PCA":
            publish(frame)
            frame = labelled(original.umap(small, mapper.shared.layout))
        frame.attrs["topics"] = topics(frame, original.vectors)
        return frame

    @cell(lane="report")
    def report(reporting, unseen, seed):
        """The report that was asked for; None where none was."""
        if reporting is None:
            return None
        request = reporting.folder, reporting.model.original, reporting.recipe, reporting.limits
        return run_report(write_report(*request, unseen=unseen, words=reporting.words, random_state=seed))


def _searched(model: Model, wish: Search, **samples: Any) -> Result:
    """The best recipe within a size. The best so far is published after each trial, and stays if the search stops."""
    best: Result | None = None
    n_tried, of = 0, N_TRIALS + len(BELOW)

    def tried(row: dict) -> None:
        nonlocal best, n_tried
        n_tried, small = n_tried + 1, row.pop("vectors")
        if not row["sampled"]:
            model.note(row)
        if small is not None:
            best = model.built(row["recipe"], row, small)
        if best is not None:
            publish(replace(best, search=(n_tried, of)))

    with progress.told_as("Searching", lambda: min(n_tried / of, 1.0)):
        fit_budget(model.vectors, wish.n_bytes, goal=wish.goal, n_trials=N_TRIALS, callback=tried, **samples)
    assert best is not None
    return best


@remembered
def original_map(v: Vectors, n_words: int, seed: int) -> OriginalMap:
    """Return the original's part of maps, of a tiny model with fewer neighbours."""
    return OriginalMap(v, n_words, min(N_NEIGHBORS, max((len(v) - 1) // 2, 2)), seed)


@remembered
def _of(small: Vectors, measure: Callable, original: Vectors, *options: Any) -> Any:
    """A measure, remembered with the small model: going back to one takes no time."""
    return measure(original, small, *options)
