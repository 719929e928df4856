"""One exploration of one model: what a person wants to see, and the work that computes it.

No widgets here. A panel, a script or a test says what it wants (`open`, `try_recipe`, `look_at`)
and reads `Session.state`; whatever is missing in the state is computed, in a fixed order, by
three threads: for numbers, for maps, and for a report. What was begun for an earlier wish is dropped.
"""

import json
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from .. import progress
from ..compress import Chain
from ..evaluate.carriers import has_same_ngrams, ngram_carriers
from ..evaluate.damage import code_damage, damage_groups, word_codes, word_damage
from ..evaluate.neighbours import neighbour_changes
from ..evaluate.scorecard import quick_card
from ..evaluate.similarity import Pairs, similarity
from ..evaluate.table import Scorecard
from ..formats import load
from ..progress import Stopped
from ..reports.setting import run_report, write_report
from ..search.budget import GOALS, fit_budget, parse_bytes
from ..search.sweep import scores
from ..vectors import Vectors
from . import mapper
from .layout import umap_layout
from .maps import OriginalMap
from .state import ABOUT, SHOWN, Damage, Model, Reporting, Result, Search, State

QUIET = 0.1  # seconds without a change before work begins, so that a row of key presses is one change
LANES: Mapping[str, Mapping[str, Any]] = {  # and what the state says of each while it does nothing
    "numbers": {"doing": None},
    "maps": {"drawing": False},
    "report": {"writing": None},
}
GIVEN_UP: Mapping[str, Any] = {"model": {"opening": None}, "report": {"reporting": None}, "limit": {"search": None}}
UNKNOWN: Mapping[str, Any] = {  # what belongs to a result, until it is computed
    "changes": None, "carriers": MappingProxyType({}), "maps": None, "agreement": None, "damage": None, "saved": None,
}  # fmt: skip
LONGEST_TRAIL = 200
CARRIED = ("own row and n-grams", "n-grams", "nothing")  # made of which a word's vector depends on its n-grams
PAUSE = 0.3  # seconds from new numbers to what is shown beside them, so that the next change need not wait for it
N_RECENT = 8  # results that are kept, so that going back to one takes no time
MOST_RECENT = 10**9  # bytes of their numbers
N_TRIALS = 12  # of a search for the best recipe within a limit


class Session:
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
        Samples for closeness and overlap@10, smaller than the scorecard's own so that numbers
        come quickly; the card says so.
    n_mapped : int
        Words on the maps.
    random_state : int
    """

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
        self.unseen, self.pairs, self.labels = unseen, pairs, labels
        self.background = background
        self.n_words, self.n_queries = n_words, n_queries
        self.random_state = random_state
        self.state = State(words=tuple(words), n_mapped=n_mapped)
        self._condition = threading.Condition()  # guards all that follows, and `state`
        self._alive: set[str] = set()  # lanes whose thread runs
        self._rest_until = 0.0  # when numbers may be worked on
        self._listeners: list[Callable[[], None]] = []
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
        if s.model is not None:
            mapper.shared.stop(s.model)
        return state

    def look_at(self, words: Sequence[str]) -> State:
        """Compare the neighbours of these words, unseen ones included."""
        return self._put(["words"], words=tuple(words), changes=None, carriers=UNKNOWN["carriers"])

    def map_words(self, n: int) -> State:
        """Show so many words on the maps."""
        state = self._put(["maps"], n_mapped=n, maps=None, drawing=False)
        for owner in (self, state.model):
            mapper.shared.stop(owner)
        return state

    def save(self, path: str | Path) -> State:
        """Save the newest result; refused while another recipe is wanted, or over the model itself."""
        try:
            return self._put(["save"], saved=self._save(Path(path).expanduser()))
        except (OSError, ValueError) as error:
            return self._put(saved=None, errors={"save": in_words(error)})

    def _save(self, path: Path) -> Path:
        s = self.state
        if s.model is None or s.result is None or not s.is_current:
            raise ValueError("the numbers for this setting are not there yet; save once they are")
        if path.suffix != ".safetensors":
            raise ValueError(f"the file's name must end in .safetensors, got {str(path)!r}")
        if s.model.source and Path(s.model.source).expanduser().resolve() == path.resolve():
            raise ValueError(f"{path} is the model itself; save under another name")
        return s.result.small.save(path)

    def end(self) -> None:
        """Give up everything; nobody listens or looks any more."""
        self._listeners.clear()
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

    def wait(self, timeout: float | None = None) -> State:
        """Return the state once nothing is left to compute.

        Raises
        ------
        TimeoutError
            After so many seconds.
        """
        if not self.background:
            for lane in LANES:
                self._run(lane)
            return self.state
        with self._condition:
            if not self._condition.wait_for(lambda: not self._alive, timeout):
                raise TimeoutError(f"not done after {timeout} seconds: {self.state.doing or 'maps'}")
            return self.state

    @property
    def is_busy(self) -> bool:
        """Whether anything is being computed."""
        return bool(self._alive)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of the state, from whichever thread made it."""
        self._listeners.append(listener)

    def _want(self, settled: Sequence[str], **wishes: Any) -> State:
        """Change the model or the recipe that is wanted."""
        self._rest(QUIET)
        state = self._put(settled, drawing=False, next_generation=True, **wishes)
        mapper.shared.stop(self)
        return state

    def _rest(self, seconds: float) -> None:
        """Have the lane of numbers wait so long from now."""
        with self._condition:
            self._rest_until = time.monotonic() + seconds
            self._condition.notify_all()

    def _put(
        self,
        settled: Sequence[str] = (),
        errors: Mapping[str, str] = MappingProxyType({}),
        only_if: Callable[[], bool] = lambda: True,
        next_generation: bool = False,
        **changes: Any,
    ) -> State:
        """Change the state, start threads where work is due now, and tell who listens.

        Errors about what is `settled` go, `errors` come in addition.
        """
        with self._condition:
            if not only_if():
                return self.state
            left = {about: text for about, text in self.state.errors.items() if about not in settled}
            self.state = state = replace(
                self.state,
                generation=self.state.generation + next_generation,
                errors={**left, **errors},
                **changes,
            )
            for lane in LANES if self.background else ():
                if lane not in self._alive and self._due(lane):
                    self._alive.add(lane)
                    threading.Thread(target=self._run, args=[lane], name=f"workbench-{lane}", daemon=True).start()
        self._tell()
        return state

    def _tell(self) -> None:
        for listener in self._listeners:  # not under our lock: they have locks of their own
            listener()

    # -- the work -------------------------------------------------------------------------

    def _due(self, lane: str) -> tuple[str, Callable[[], dict]] | None:
        """What to do next in a lane: what it concerns, and the work, which returns changes of the state."""
        s = self.state
        model, recipe, result = s.model, s.recipe, s.result
        if lane == "report":
            return ("report", partial(self._report, s.reporting)) if s.reporting else None
        if lane == "numbers" and s.opening is not None:
            return "model", partial(self._open, s.opening)
        if model is None or "numbers" in s.errors:
            return None
        if not s.is_current or result is None:
            if lane == "numbers" and s.search is not None:
                return "limit", partial(self._search, model, s.search, result, s.generation)
            if lane == "numbers" and recipe is not None:
                return "numbers", partial(self._build, model, recipe, result)
            return None
        due = self._after_numbers if lane == "numbers" else self._after_preview
        return next(
            ((about, work) for about, is_due, work in due(s, model, result) if is_due and about not in s.errors), None
        )

    def _after_numbers(self, s: State, model: Model, result: Result) -> list[tuple[str, bool, Callable[[], dict]]]:
        """What a result calls for besides its numbers: what it concerns, whether it is due, and the work."""
        works = [
            ("maps", s.maps is None, partial(self._preview, model, result)),
            ("words", bool(s.words) and s.changes is None, partial(self._compare, model, result, s.words)),
            ("agreement", s.agreement is None, partial(self._agree, model, result)),
            ("damage", s.damage is None, partial(self._assess, model, result)),
        ]
        return [work for work in works if work[0] in self.show]

    def _after_preview(self, s: State, model: Model, result: Result) -> list[tuple[str, bool, Callable[[], dict]]]:
        is_due = "maps" in self.show and s.maps is not None and s.maps.attrs["method"] == "PCA"
        return [("maps", is_due, partial(self._draw, model, result))]

    def _run(self, lane: str) -> None:
        """Do what is due in a lane, until nothing is."""
        while True:
            with self._condition:
                if self.background and lane == "numbers":
                    while (rest := self._rest_until - time.monotonic()) > 0:
                        self._condition.wait(rest)
                due, before = self._due(lane), self.state
                if due is None:
                    self._alive.discard(lane)
                    self.state = replace(before, **LANES[lane])
                    self._condition.notify_all()
                    break
            self._do(*due, before)
        self._tell()

    def _do(self, about: str, work: Callable[[], dict], before: State) -> None:
        """One piece of work, whose result is dropped where something else is wanted by now."""
        told = 0.0

        def wanted() -> bool:
            now = self.state
            if about in ("model", "report"):
                wish = {"model": "opening", "report": "reporting"}[about]
                return getattr(now, wish) is getattr(before, wish)
            return now.generation == before.generation and {
                "words": now.words is before.words, "maps": now.n_mapped == before.n_mapped
            }.get(about, True)  # fmt: skip

        def hear(what: str, share: float) -> None:
            nonlocal told
            if not wanted():
                raise Stopped
            if time.monotonic() - told > 0.1:
                told = time.monotonic()
                heard: dict[str, Any] = {"writing" if about == "report" else "doing": (what, share)}
                self._put(only_if=wanted, **heard)

        try:
            with progress.told_to(hear) if self.background else nullcontext():
                changes = work()
        except Stopped:
            return
        except Exception as error:
            if not self.background:
                raise
            # Whatever it is, it is shown in words, and the next wish is heard.
            changes = {"errors": {about: in_words(error)}, **GIVEN_UP.get(about, {})}
        if about in ("numbers", "limit") and wanted():
            self._rest(PAUSE)
        self._put(only_if=wanted, **changes)

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
        return mapper.shared.layout(owner, *arguments) if self.background else umap_layout(*arguments)


def _n_bytes(results: Iterable[Result]) -> int:
    """What the numbers of small models take, in memory or in a file that is mapped."""
    return sum(result.small.storage.nbytes for result in results)


def in_words(error: Exception) -> str:
    """An error's message for a person; of an unexpected kind, with the kind."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if isinstance(error, OSError | KeyError | ValueError | TypeError):
        return text
    return f"{type(error).__name__}: {text}"
