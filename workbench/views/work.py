"""The engine of an exploration: a state, wishes that change it, and threads that compute what is missing in it.

What is explored a subclass says: `Session` a word model and its compressions, `IdsSession` semantic IDs.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from .. import progress
from ..progress import Stopped

QUIET = 0.1  # seconds without a change before work begins, so that a row of key presses is one change
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class BaseState:
    """What every exploration knows at one moment. It never changes; the exploration replaces it.

    Attributes
    ----------
    generation : int
        Counts changes of what is wanted most.
    doing : tuple of str and float, or None
        What is being done, and which share of it is.
    errors : dict
        What went wrong, in words, by what it concerns.
    """

    generation: int = 0
    doing: tuple[str, float] | None = None
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def is_current(self) -> bool:
        """Whether what is shown first is that which is wanted."""
        return True


S = TypeVar("S", bound=BaseState)


class Task(NamedTuple):
    """A piece of work that is due.

    Attributes
    ----------
    about : str
        What it concerns, and what its error is filed under.
    work : callable
        Returns changes of the state.
    wish : tuple of str
        Fields of the state that say what is wanted: once one of them is replaced, nobody waits for this any more.
    told : str
        The field of the state that says how far it is.
    given_up : mapping
        Changes of the state where it fails.
    rest : float
        Seconds that the first lane waits after it.
    """

    about: str
    work: Callable[[], dict]
    wish: tuple[str, ...] = ("generation",)
    told: str = "doing"
    given_up: Mapping[str, Any] = NOTHING
    rest: float = 0.0


class Work(Generic[S]):
    """One exploration: `state` says what is wanted and what is known; what is missing is computed.

    A subclass names its `lanes`, in each of which a thread does one `Task` after the other as long as
    `due` names one, and has methods for wishes, which call `_put` or `_want`.

    Parameters
    ----------
    state : BaseState
        To begin with.
    background : bool
        Work in threads of its own. Else nothing is computed before `wait`, which does it all, with progress bars.

    Attributes
    ----------
    lanes : mapping of str to mapping
        What the state says while a lane does nothing. The first lane waits until wishes no longer change.
    """

    lanes: ClassVar[Mapping[str, Mapping[str, Any]]]

    def __init__(self, state: S, background: bool):
        self.state = state
        self.background = background
        self._condition = threading.Condition()  # guards all that follows, and `state`
        self._alive: set[str] = set()  # lanes whose thread runs
        self._rest_until = 0.0  # when the first lane may work
        self._listeners: list[Callable[[], None]] = []

    def due(self, lane: str) -> Task | None:
        """What to do next in a lane. Called often and under a lock: it only looks at `state`."""
        raise NotImplementedError

    def end(self) -> None:
        """Give up everything; nobody listens or looks any more."""
        self._listeners.clear()

    def wait(self, timeout: float | None = None) -> S:
        """Return the state once nothing is left to compute.

        Raises
        ------
        TimeoutError
            After so many seconds.
        """
        if not self.background:
            for lane in self.lanes:
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

    def _want(self, settled: Sequence[str], **wishes: Any) -> S:
        """Change what is wanted most: all that waits for the generation before is given up."""
        self._rest(QUIET)
        return self._put(settled, next_generation=True, **wishes)

    def _rest(self, seconds: float) -> None:
        """Have the first lane wait so long from now."""
        with self._condition:
            self._rest_until = time.monotonic() + seconds
            self._condition.notify_all()

    def _put(
        self,
        settled: Sequence[str] = (),
        errors: Mapping[str, str] = NOTHING,
        only_if: Callable[[], bool] = lambda: True,
        next_generation: bool = False,
        **changes: Any,
    ) -> S:
        """Change the state, start threads where work is due now, and tell who listens.

        Errors about what is `settled` go, `errors` come in addition.
        """
        with self._condition:
            if not only_if():
                return self.state
            left = {about: text for about, text in self.state.errors.items() if about not in settled}
            if next_generation:
                changes["generation"] = self.state.generation + 1
            self.state = state = replace(self.state, errors={**left, **errors}, **changes)
            for lane in self.lanes if self.background else ():
                if lane not in self._alive and self.due(lane):
                    self._alive.add(lane)
                    threading.Thread(target=self._run, args=[lane], name=f"workbench-{lane}", daemon=True).start()
        self._tell()
        return state

    def _tell(self) -> None:
        for listener in self._listeners:  # not under our lock: they have locks of their own
            listener()

    def _run(self, lane: str) -> None:
        """Do what is due in a lane, until nothing is."""
        waits = self.background and lane == next(iter(self.lanes))
        while True:
            with self._condition:
                while waits and (rest := self._rest_until - time.monotonic()) > 0:
                    self._condition.wait(rest)
                task, before = self.due(lane), self.state
                if task is None:
                    self._alive.discard(lane)
                    self.state = replace(before, **self.lanes[lane])
                    self._condition.notify_all()
                    break
            self._do(task, before)
        self._tell()

    def _do(self, task: Task, before: S) -> None:
        """One piece of work, whose result is dropped where something else is wanted by now."""
        told = 0.0

        def wanted() -> bool:
            return all(getattr(self.state, name) is getattr(before, name) for name in task.wish)

        def hear(what: str, share: float) -> None:
            nonlocal told
            if not wanted():
                raise Stopped
            if time.monotonic() - told > 0.1:
                told = time.monotonic()
                heard: dict[str, Any] = {task.told: (what, share)}
                self._put(only_if=wanted, **heard)

        try:
            with progress.told_to(hear) if self.background else nullcontext():
                changes = task.work()
        except Stopped:
            return
        except Exception as error:
            if not self.background:
                raise
            # Whatever it is, it is shown in words, and the next wish is heard.
            changes = {"errors": {task.about: in_words(error)}, **task.given_up}
        if task.rest and wanted():
            self._rest(task.rest)
        self._put(only_if=wanted, **changes)


def in_words(error: Exception) -> str:
    """An error's message for a person; of an unexpected kind, with the kind."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if isinstance(error, OSError | KeyError | ValueError | TypeError):
        return text
    return f"{type(error).__name__}: {text}"
