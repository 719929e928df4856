"""One exploration of one model: what a person wants to see, and the work that computes it.

No widgets here. A panel, a script or a test says what it wants (`open`, `try_recipe`, `look_at`)
and reads `Session.state`; whatever is missing in the state is computed, in a fixed order, by
two threads: one for numbers, one for maps. What was begun for an earlier wish is dropped.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from .. import progress
from ..compress import Chain
from ..compress.builder import Builder
from ..evaluate.neighbours import neighbour_changes
from ..evaluate.scorecard import quick_card
from ..evaluate.table import Scorecard
from ..formats import load
from ..progress import Stopped
from ..vectors import Vectors
from . import mapper
from .layout import umap_layout
from .maps import pca_maps, umap_maps

QUIET = 0.15  # seconds without a change before work begins, so that a row of key presses is one change
LANES = ("numbers", "maps")
ABOUT = ("model", "numbers", "words", "maps", "save")  # what an error may concern
LONGEST_TRAIL = 50
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
        self.builder = Builder(original.adjusted())  # once, in place of at every recipe
        self.layout: Any = None  # its own UMAP map, once drawn: no recipe makes it wrong


@dataclass(frozen=True)
class Result:
    """What one recipe gave."""

    recipe: Chain
    small: Vectors
    card: Scorecard
    seconds: float


@dataclass(frozen=True)
class State:
    """Everything there is to show at one moment. It never changes; a session replaces it.

    Attributes
    ----------
    generation : int
        Counts changes of the model and of the recipe.
    opening : Vectors, str, Path or None
        What is wanted in place of `model` and not open yet.
    model : Model or None
    recipe : Chain or None
        The recipe that is wanted.
    result : Result or None
        The newest one; it belongs to `recipe` where `is_current`, else to an earlier recipe.
    changes : DataFrame or None
        Neighbours of `words` before and after, from `neighbour_changes`; None until computed.
    maps : DataFrame or None
        From `pca_maps`, later from `umap_maps`; None until computed.
    doing : tuple of str and float, or None
        What is being done for the numbers, and which share of it is.
    drawing : bool
        Whether a UMAP map is being drawn.
    errors : dict
        What went wrong, in words, by what it concerns: model, numbers, words, maps or save.
    saved : Path or None
        Where `result` was saved.
    trail : tuple of Result
        What was tried on this model, the newest last.
    """

    generation: int = 0
    opening: Vectors | str | Path | None = None
    model: Model | None = None
    recipe: Chain | None = None
    words: tuple[str, ...] = ()
    result: Result | None = None
    changes: pd.DataFrame | None = None
    maps: pd.DataFrame | None = None
    doing: tuple[str, float] | None = None
    drawing: bool = False
    errors: dict[str, str] = field(default_factory=dict)
    saved: Path | None = None
    trail: tuple[Result, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether `result` is that of `recipe`."""
        return self.result is not None and self.result.recipe is self.recipe


class Session:
    """An exploration of a model.

    Parameters
    ----------
    source : Vectors, path or str
        The model, or where it is; see `load`.
    suggest : callable
        The recipe to begin with, given the model.
    words : sequence of str
        Words whose neighbours are compared.
    unseen : list of str, optional
        Unseen words to score, see `scorecard`.
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
        suggest: Callable[[Vectors], Chain],
        words: Sequence[str] = (),
        unseen: list[str] | None = None,
        background: bool = True,
        n_words: int = 2_000,
        n_queries: int = 200,
        n_mapped: int = 2_000,
        random_state: int = 0,
    ):
        self.suggest = suggest
        self.unseen = unseen
        self.background = background
        self.n_words, self.n_queries, self.n_mapped = n_words, n_queries, n_mapped
        self.random_state = random_state
        self.state = State(words=tuple(words))
        self._condition = threading.Condition()  # guards all that follows, and `state`
        self._alive: set[str] = set()  # lanes whose thread runs
        self._changed_at = 0.0
        self._listeners: list[Callable[[], None]] = []
        if background:
            mapper.shared.warm()
        self.open(source)

    # -- what is wanted -------------------------------------------------------------------

    def open(self, source: Vectors | str | Path) -> State:
        """Take another model. Until it is there, and if it cannot be opened, the old one stays."""
        model = self.state.model
        if model is not None and str(source) == model.source:
            return self._put(["model"], opening=None)
        return self._want(["model"], opening=source)

    def try_recipe(self, recipe: Chain) -> State:
        """Build and measure this recipe; what was under way for another one is dropped."""
        return self._want(ABOUT, recipe=recipe, changes=None, maps=None, saved=None)

    def cancel(self) -> State:
        """Give up what is under way. What is wanted becomes what was computed last."""
        s = self.state
        errors = {"maps": "The map was stopped; principal components are shown."} if s.drawing else {}
        recipe = s.result.recipe if s.result else None
        state = self._want(["numbers"], errors=errors, opening=None, recipe=recipe)
        if s.model is not None:
            mapper.shared.stop(s.model)
        return state

    def look_at(self, words: Sequence[str]) -> State:
        """Compare the neighbours of these words, unseen ones included."""
        return self._put(["words"], words=tuple(words), changes=None)

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
        self._changed_at = time.monotonic()
        state = self._put(settled, drawing=False, next_generation=True, **wishes)
        mapper.shared.stop(self)
        return state

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
        if lane == "numbers" and s.opening is not None:
            return "model", partial(self._open, s.opening)
        if model is None or recipe is None or "numbers" in s.errors:
            return None
        if result is None or not s.is_current:
            return ("numbers", partial(self._build, model, recipe, s.trail)) if lane == "numbers" else None
        if lane == "numbers" and s.maps is None and "maps" not in s.errors:
            return "maps", partial(self._preview, model, result)
        if lane == "numbers" and s.words and s.changes is None and "words" not in s.errors:
            return "words", partial(self._compare, model, result, s.words)
        if lane == "maps" and s.maps is not None and s.maps.attrs["method"] == "PCA" and "maps" not in s.errors:
            return "maps", partial(self._draw, model, result)
        return None

    def _run(self, lane: str) -> None:
        """Do what is due in a lane, until nothing is."""
        while True:
            with self._condition:
                if self.background and lane == "numbers":
                    while (rest := self._changed_at + QUIET - time.monotonic()) > 0:
                        self._condition.wait(rest)
                due, before = self._due(lane), self.state
                if due is None:
                    self._alive.discard(lane)
                    self.state = replace(before, **{"drawing": False} if lane == "maps" else {"doing": None})
                    self._condition.notify_all()
                    break
            self._do(*due, before)
        self._tell()

    def _do(self, about: str, work: Callable[[], dict], before: State) -> None:
        """One piece of work, whose result is dropped where something else is wanted by now."""
        told = 0.0

        def wanted() -> bool:
            now = self.state
            if about == "model":
                return now.opening is before.opening
            return now.generation == before.generation and (about != "words" or now.words is before.words)

        def hear(what: str, share: float) -> None:
            nonlocal told
            if not wanted():
                raise Stopped
            if time.monotonic() - told > 0.1:
                told = time.monotonic()
                self._put(only_if=wanted, doing=(what, share))

        try:
            with progress.told_to(hear) if self.background else nullcontext():
                changes = work()
        except Stopped:
            return
        except Exception as error:
            if not self.background:
                raise
            # Whatever it is, it is shown in words, and the next wish is heard.
            changes = {"errors": {about: in_words(error)}, **({"opening": None} if about == "model" else {})}
        self._put(only_if=wanted, **changes)

    def _open(self, opening: Vectors | str | Path) -> dict:
        original = opening if isinstance(opening, Vectors) else load(opening)
        model, recipe = Model(original), self.suggest(original)
        return {
            "opening": None,
            "model": model,
            "recipe": recipe,
            "words": tuple(word for word in self.state.words if original.can_embed(word)),  # as they are by now
            "result": None,
            "changes": None,
            "maps": None,
            "saved": None,
            "trail": (),
            "settled": ABOUT,
        }

    def _build(self, model: Model, recipe: Chain, trail: tuple[Result, ...]) -> dict:
        start = time.perf_counter()
        small = model.builder.build(recipe)
        original = model.builder.original
        card = quick_card(original, small, self.unseen, self.n_words, self.n_queries, self.random_state)
        result = Result(recipe, small, card, time.perf_counter() - start)
        return {"doing": None, "result": result, "trail": (*trail, result)[-LONGEST_TRAIL:]}

    def _preview(self, model: Model, result: Result) -> dict:
        return {"maps": pca_maps(model.builder.original, result.small, self.n_mapped)}

    def _compare(self, model: Model, result: Result, words: tuple[str, ...]) -> dict:
        return {"changes": neighbour_changes(model.builder.original, result.small, list(words))}

    def _draw(self, model: Model, result: Result) -> dict:
        self._put(only_if=lambda: self.state.result is result, drawing=True)

        def of_original(*arguments: Any) -> Any:
            if model.layout is None:
                model.layout = self._layout(model, *arguments)
            return model.layout

        def of_compressed(*arguments: Any) -> Any:
            if self.state.recipe is not result.recipe:
                raise Stopped
            return self._layout(self, *arguments)

        layouts = iter((of_original, of_compressed))
        maps = umap_maps(
            model.builder.original,
            result.small,
            self.n_mapped,
            n_neighbors=min(N_NEIGHBORS, max((len(model.original) - 1) // 2, 2)),
            random_state=self.random_state,
            layout=lambda *arguments: next(layouts)(*arguments),
        )
        return {"maps": maps}

    def _layout(self, owner: object, *arguments: Any) -> Any:
        """A layout that stops for its owner: the model, or the session whose wishes change."""
        return mapper.shared.layout(owner, *arguments) if self.background else umap_layout(*arguments)


def in_words(error: Exception) -> str:
    """An error's message for a person; of an unexpected kind, with the kind."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if isinstance(error, OSError | KeyError | ValueError | TypeError):
        return text
    return f"{type(error).__name__}: {text}"
