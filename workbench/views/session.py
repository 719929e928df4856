"""One exploration of one model: what a person wants to see, and the work that computes it.

No widgets here. A panel, a script or a test says what it wants (`open`, `try_recipe`, `look_at`)
and reads `Session.state`; whatever is missing in the state is computed, in a fixed order, by
three threads: for numbers, for maps, and for a report. What was begun for an earlier wish is dropped.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from ..compress import Chain
from ..evaluate.contributions import has_same_ngrams, ngram_carriers
from ..evaluate.damage import code_damage, damage_groups, word_codes, word_damage
from ..evaluate.neighbours import neighbour_changes
from ..evaluate.scorecard import quick_card
from ..evaluate.similarity import Pairs, similarity
from ..evaluate.table import Scorecard
from ..formats import OWN, export, load
from ..progress import Stopped
from ..reports.setting import run_report, write_report
from ..search.budget import GOALS, fit_budget, parse_bytes
from ..search.sweep import scores
from ..vectors import Vectors
from . import mapper
from .layout import umap_layout
from .maps import OriginalMap
from .state import ABOUT, SHOWN, Damage, Model, Reporting, Result, Search, State
from .work import Task, Work, in_words

UNKNOWN: Mapping[str, Any] = {  # what belongs to a result, until it is computed
    "changes": None, "carriers": MappingProxyType({}), "maps": None, "agreement": None, "damage": None, "saved": None,
}  # fmt: skip
LONGEST_TRAIL = 200
CARRIED = ("own row and n-grams", "n-grams", "nothing")  # made of which a word's vector depends on its n-grams
PAUSE = 0.3  # seconds from new numbers to what is shown beside them, so that the next change need not wait for it
N_RECENT = 8  # results that are kept, so that going back to one takes no time
MOST_RECENT = 10**9  # bytes of their numbers
N_TRIALS = 12  # of a search for the best recipe within a limit


class Session(Work[State]):
    """An exploration of a model.

    Parameters
    ----------
    source : Vectors, path or str
        The model, or where it is; see `load`.
    suggest : callable, optional
        The recipe to begin with, given the model.
    small : Vectors, optional
        In place of recipes: a small model to compare with.
    show : collection of str
        What will be looked at, of `SHOWN`; only that is computed.
    words : sequence of str
        Words whose neighbours are compared.
    unseen : list of str, optional
        Unseen words to score, see `scorecard`.
    pairs : mapping, optional
        Word pairs that people scored, see `scorecard`.
    labels : mapping of word to str, optional
        A person's own, to colour maps by.
    background : bool
        Work in threads of its own, with maps in a process of their own that can be stopped.
        Else nothing is computed before `wait`, which does it all, with progress bars.
    n_words, n_queries : int
        Samples for fidelity and overlap@10, smaller than the scorecard's own so that numbers
        come quickly; the card says so.
    n_mapped : int
        Words on the maps.
    random_state : int
    """

    lanes = MappingProxyType({"numbers": {"doing": None}, "maps": {"drawing": False}, "report": {"writing": None}})

    def __init__(
        self,
        source: Vectors | str | Path,
        suggest: Callable[[Vectors], Chain] = lambda v: Chain([]),
        *,
        small: Vectors | None = None,
        show: Collection[str] = SHOWN,
        words: Sequence[str] = (),
        unseen: list[str] | None = None,
        pairs: Mapping[str, Pairs | str | Path] | None = None,
        labels: Mapping[str, str] | None = None,
        background: bool = True,
        n_words: int = 2_000,
        n_queries: int = 200,
        n_mapped: int = 2_000,
        random_state: int = 0,
    ):
        self.suggest, self.small, self.show = suggest, small, show
        self.unseen, self.pairs, self.labels = unseen, pairs, None if labels is None else dict(labels)
        self.n_words, self.n_queries = n_words, n_queries
        self.random_state = random_state
        super().__init__(State(words=tuple(words), n_mapped=n_mapped), background)
        if background and "maps" in show:
            mapper.shared.warm()
        self.open(source)

    # -- what is wanted -------------------------------------------------------------------

    def open(self, source: Vectors | str | Path) -> State:
        """Take another model. Until it is there, and if it cannot be opened, the old one stays."""
        model, opening = self.state.model, self.state.opening
        if opening is not None and not isinstance(opening, Vectors) and str(source) == str(opening):
            return self.state
        if model is not None and str(source) == model.source:
            return self._put(["model"], opening=None)
        return self._want(["model"], opening=source)

    def try_recipe(self, recipe: Chain) -> State:
        """Build and measure this recipe; what was under way for another one is dropped."""
        return self._want(ABOUT, recipe=recipe, search=None, **UNKNOWN)

    def find_recipe(self, goal: str = GOALS[0]) -> State:
        """Search for the best recipe within `State.limit`; every recipe that is tried is on the trail."""
        if self.state.limit is None:
            return self._put(errors={"limit": "say first how large the file may be, such as 20 MB"})
        return self._want(ABOUT, search=Search(self.state.limit, goal), **UNKNOWN)

    def limit_to(self, size: str) -> State:
        """Say how large the file may be, such as "20 MB"; a text that is empty, or no size, takes the limit away."""
        try:
            return self._put(["limit"], limit=parse_bytes(size) if size.strip() else None)
        except ValueError as error:
            return self._put(limit=None, errors={"limit": str(error)})

    def cancel(self) -> State:
        """Give up what is under way. What is wanted becomes what was computed last."""
        s = self.state
        errors = {"maps": "The map was stopped; principal components are shown."} if s.drawing else {}
        recipe = s.result.recipe if s.result else None
        state = self._want(["numbers"], errors=errors, opening=None, recipe=recipe, search=None)
        return state

    def look_at(self, words: Sequence[str]) -> State:
        """Compare the neighbours of these words, unseen ones included."""
        return self._put(["words"], words=tuple(words), changes=None, carriers=UNKNOWN["carriers"])

    def map_words(self, n: int) -> State:
        """Show so many words on the maps."""
        state = self._put(["maps"], n_mapped=n, maps=None, drawing=False)
        return state

    def save(self, path: str | Path, format: str = OWN.name) -> State:
        """Save the newest result in a format of `export`; refused while another recipe is wanted, or over the model."""
        try:
            return self._put(["save"], saved=self._save(Path(path).expanduser(), format))
        except (OSError, ValueError) as error:
            return self._put(saved=None, errors={"save": in_words(error)})

    def _save(self, path: Path, format: str) -> Path:
        s = self.state
        if s.model is None or s.result is None or not s.is_current:
            raise ValueError("the numbers for this setting are not there yet; save once they are")
        if format == OWN.name and not path.name.endswith(OWN.suffixes):
            raise ValueError(f"the file's name must end in {OWN.suffixes[0]}, got {str(path)!r}")
        if s.model.source and Path(s.model.source).expanduser().resolve() == path.resolve():
            raise ValueError(f"{path} is the model itself; save under another name")
        return export(s.result.small, path, format, warn=False)

    def end(self) -> None:
        """Give up everything; nobody listens or looks any more."""
        super().end()
        self.show = ()
        self.cancel_report()
        self.cancel()

    def make_report(self, folder: str | Path, limits: Mapping[str, float]) -> State:
        """Write a notebook of the newest result, run it, and hold it against limits; see `write_report`."""
        s = self.state
        if s.model is None or s.result is None or s.result.recipe is None or not s.is_current:
            return self._put(errors={"report": "the numbers for this setting are not there yet; report once they are"})
        wish = Reporting(Path(folder).expanduser(), dict(limits), s.model, s.result.recipe, s.words)
        return self._put(["report"], reporting=wish, report=None)

    def cancel_report(self) -> State:
        """Give up the report that is under way."""
        return self._put(["report"], reporting=None)

    def _want(self, settled: Sequence[str], **wishes: Any) -> State:
        """Change the model or the recipe that is wanted."""
        state = super()._want(settled, drawing=False, **wishes)
        return state

    # -- the work -------------------------------------------------------------------------

    def due(self, lane: str) -> Task | None:
        s = self.state
        model, recipe, result = s.model, s.recipe, s.result
        if lane == "report":
            work = partial(self._report, s.reporting) if s.reporting else None
            return Task("report", work, ("reporting",), "writing", {"reporting": None}) if work else None
        if lane == "numbers" and s.opening is not None:
            return Task("model", partial(self._open, s.opening), ("opening",), given_up={"opening": None})
        if model is None or "numbers" in s.errors:
            return None
        if not s.is_current or result is None:
            if lane == "numbers" and s.search is not None:
                search = partial(self._search, model, s.search, result, s.generation)
                return Task("limit", search, given_up={"search": None}, rest=PAUSE)
            if lane == "numbers" and recipe is not None:
                return Task("numbers", partial(self._build, model, recipe, result), rest=PAUSE)
            return None
        tasks = (self._after_numbers if lane == "numbers" else self._after_preview)(s, model, result)
        return next((task for is_due, task in tasks if is_due and task.about not in s.errors), None)

    def _after_numbers(self, s: State, model: Model, result: Result) -> list[tuple[bool, Task]]:
        """What a result calls for besides its numbers, and whether it is due."""
        compare = partial(self._compare, model, result, s.words)
        tasks = [
            (s.maps is None, Task("maps", partial(self._preview, model, result), ("generation", "n_mapped"))),
            (bool(s.words) and s.changes is None, Task("words", compare, ("generation", "words"))),
            (s.agreement is None, Task("agreement", partial(self._agree, model, result))),
            (s.damage is None, Task("damage", partial(self._assess, model, result))),
        ]
        return [(is_due, task) for is_due, task in tasks if task.about in self.show]

    def _after_preview(self, s: State, model: Model, result: Result) -> list[tuple[bool, Task]]:
        is_due = "maps" in self.show and s.maps is not None and s.maps.attrs["method"] == "PCA"
        return [(is_due, Task("maps", partial(self._draw, model, result), ("generation", "n_mapped")))]

    def _open(self, opening: Vectors | str | Path) -> dict:
        original = opening if isinstance(opening, Vectors) else load(opening)
        model = Model(original)
        given = None if self.small is None else self._judge(model, None, self.small)
        return {
            **UNKNOWN,
            "opening": None,
            "model": model,
            "recipe": self.suggest(original) if given is None else None,
            "search": None,
            "words": tuple(word for word in self.state.words if original.can_embed(word)),  # as they are by now
            "result": given,
            "before": None,
            "trail": (),
            "settled": ABOUT,
        }

    def _build(self, model: Model, recipe: Chain, before: Result | None) -> dict:
        key = json.dumps(recipe.to_json())
        found = model.recent.get(key)
        if found is None:
            result = self._judge(model, recipe, model.builder.build(recipe))
        else:
            result = replace(found, recipe=recipe)
        return self._found(model, result, before)

    def _search(self, model: Model, wish: Search, before: Result | None, generation: int) -> dict:
        def tried(trial: dict) -> None:
            s = self.state
            n_tried = s.search.n_tried + 1 if s.search else 0
            trail = self._longer(trial)
            self._put(
                only_if=lambda: self.state.generation == generation,
                trail=trail,
                search=replace(wish, n_tried=n_tried),
            )

        found = fit_budget(
            model.vectors,
            wish.n_bytes,
            goal=wish.goal,
            n_trials=N_TRIALS,
            unseen=self.unseen,
            n_scored=self.n_words,
            n_queries=self.n_queries,
            callback=tried,
            random_state=self.random_state,
        )
        return self._found(model, self._judge(model, found.recipe, found.vectors), before)

    def _judge(self, model: Model, recipe: Chain | None, small: Vectors) -> Result:
        card = Scorecard()
        trial: dict[str, Any] = {"recipe": recipe}
        if "numbers" in self.show:
            card = quick_card(model.vectors, small, self.unseen, self.n_words, self.n_queries, self.random_state)
            trial |= scores(model.vectors, small, card)
        return Result(recipe, small, card, trial)

    def _found(self, model: Model, result: Result, before: Result | None) -> dict:
        """The changes of the state that a result brings."""
        assert result.recipe is not None
        key = json.dumps(result.recipe.to_json())
        model.recent.pop(key, None)
        model.recent[key] = result
        while len(model.recent) > 1 and (len(model.recent) > N_RECENT or _n_bytes(model.recent.values()) > MOST_RECENT):
            del model.recent[next(iter(model.recent))]
        return {
            **UNKNOWN,
            "doing": None,
            "search": None,
            "recipe": result.recipe,
            "result": result,
            "before": before,
            "trail": self._longer(result.trial),
        }

    def _longer(self, trial: dict) -> tuple[dict, ...]:
        """The trail with one more trial, unless its recipe is on it."""
        trail = self.state.trail
        known = any(trial["recipe"] == old["recipe"] for old in trail)
        return trail if known else (*trail, trial)[-LONGEST_TRAIL:]

    def _preview(self, model: Model, result: Result) -> dict:
        original = model.map(self.state.n_mapped, self.random_state)
        return {
            "maps": self._labelled(original.pca(result.small), original),
            "codes": word_codes(result.small, original.words),
        }

    def _labelled(self, maps: pd.DataFrame, original: OriginalMap) -> pd.DataFrame:
        if self.labels:
            maps["label"] = [self.labels.get(word) for word in original.words]
        return maps

    def _compare(self, model: Model, result: Result, words: tuple[str, ...]) -> dict:
        changes = neighbour_changes(model.vectors, result.small, list(words))
        alike = has_same_ngrams(model.vectors, result.small)
        carriers = {word: ngram_carriers(model.vectors, result.small, word) for word in words if alike}
        # N-grams of a word that has a row of its own carry nothing.
        carriers = {word: c for word, c in carriers.items() if c.attrs["made_of_after"] in CARRIED}
        return {"changes": changes, "carriers": carriers}

    def _agree(self, model: Model, result: Result) -> dict:
        return {"agreement": similarity(model.vectors, result.small, self.pairs, self.random_state)}

    def _assess(self, model: Model, result: Result) -> dict:
        words = word_damage(model.vectors, result.small, random_state=self.random_state)
        groups, codes = damage_groups(words), code_damage(model.vectors, result.small, words)
        return {"damage": Damage(words, groups, codes)}

    def _report(self, wish: Reporting) -> dict:
        path = write_report(
            wish.folder, wish.model.original, wish.recipe, wish.limits,
            unseen=self.unseen, words=wish.words, random_state=self.random_state,
        )  # fmt: skip
        return {"reporting": None, "report": run_report(path), "reported": wish}

    def _draw(self, model: Model, result: Result) -> dict:
        self._put(only_if=lambda: self.state.result is result, drawing=True)
        original = model.map(self.state.n_mapped, self.random_state)
        original.draw(partial(self._layout, model))
        if self.state.recipe is not result.recipe:
            raise Stopped
        return {"maps": self._labelled(original.umap(result.small, partial(self._layout, self)), original)}

    def _layout(self, owner: object, *arguments: Any) -> Any:
        """A layout that stops for its owner: the model, or the session whose wishes change."""
        return mapper.shared.layout(*arguments) if self.background else umap_layout(*arguments)


def _n_bytes(results: Iterable[Result]) -> int:
    """What the numbers of small models take, in memory or in a file that is mapped."""
    return sum(result.small.storage.nbytes for result in results)
