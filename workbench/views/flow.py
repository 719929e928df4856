"""Cells: functions whose parameter names say what they are computed from.

A `Flow` holds inputs and the values of cells. Setting an input makes the cells that depend on it stale; threads
compute stale cells again, in the order of their definition, and stop a cell whose inputs change. The old value of
a cell stays until the new one is there, so that a view can show it dimmed.
"""

import inspect
import logging
import threading
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .. import progress
from ..progress import Stopped

QUIET = 0.1  # seconds without a change before work begins, so that a row of key presses is one change
TELLING = 0.1  # seconds between two reports of progress
_publish: ContextVar[Callable[[Any], None] | None] = ContextVar("publish", default=None)


@dataclass(frozen=True)
class Cell:
    """A function of other cells and of inputs; `lane` names the thread that computes it.

    After a cell with a `rest`, nothing begins for so many seconds: its value is drawn, and a person's next change
    comes first.
    """

    name: str
    function: Callable[..., Any]
    needs: tuple[str, ...]
    lane: str
    rest: float


def cell(lane: str = "main", rest: float = 0.0) -> Callable:
    """Decorate a cell that has a lane of its own or a rest."""

    def note(function: Callable) -> Callable:
        function._cell = lane, rest  # type: ignore[attr-defined]
        return function

    return note


def cells(namespace: type) -> list[Cell]:
    """Return the functions of a class body as cells; names that begin with an underscore are left out."""
    found = [(name, f) for name, f in vars(namespace).items() if inspect.isfunction(f) and not name.startswith("_")]
    return [Cell(n, f, tuple(inspect.signature(f).parameters), *getattr(f, "_cell", ("main", 0.0))) for n, f in found]


def publish(value: Any) -> None:
    """Show an interim value of the cell that this thread is computing, such as a sketch of a map."""
    if tell := _publish.get():
        tell(value)


@dataclass(frozen=True)
class Doing:
    """The work of a lane: a step, the share of it that is done, and the seconds left (None until known)."""

    what: str
    share: float
    left: float | None


class Flow:
    """Inputs, and cells that follow from them.

    Parameters
    ----------
    definition : class
        Its functions are the cells; see `cells`.
    background : bool
        Compute in threads. Otherwise `wait` computes everything, with progress bars, and errors are raised.
    wanted : collection of str, optional
        Cells to compute, with what they need; all by default.
    **inputs
        Values of what is no cell. Numbers, texts and tuples compare by value, other inputs by identity.

    Attributes
    ----------
    errors : dict of str to str
        The error messages of cells that failed, until they are to be computed again.
    doing : dict of str to Doing
        By lane.
    """

    def __init__(
        self, definition: type, background: bool = True, wanted: Collection[str] | None = None, **inputs: Any
    ) -> None:
        known = {cell.name: cell for cell in cells(definition)}
        names = known.keys() if wanted is None else _with_needs(known, wanted)
        self.cells = {name: cell for name, cell in known.items() if name in names}
        self.lanes = list(dict.fromkeys(cell.lane for cell in self.cells.values()))
        self.background, self.values = background, inputs
        self.errors: dict[str, str] = {}
        self.doing: dict[str, Doing] = {}
        self._made_of: dict[str, tuple] = {}  # by cell: the values that its value, or its error, came from
        self._interim: dict[str, tuple[tuple, Any]] = {}  # by cell: the same, and the value that it published
        self._condition = threading.Condition()  # guards all of the above
        self._alive: set[str] = set()  # lanes whose thread runs
        self._listeners: list[Callable[[], None]] = []
        self._rest_until = dict.fromkeys(self.lanes, 0.0)
        self._ended = False
        self.set()

    def __getitem__(self, name: str) -> Any:
        """Return an input, or the last value of a cell; None before there is one."""
        value = self.values.get(name)
        return value if self._is_settled(name) else self._interim.get(name, ((), value))[1]

    @property
    def is_busy(self) -> bool:
        """Tell if anything is being computed."""
        return bool(self._alive)

    def is_fresh(self, name: str) -> bool:
        """Tell if a value, interim ones included, follows from the present inputs; inputs always do."""
        interim = self._interim.get(name)
        return (interim is not None and self._follows(name, interim[0])) or self._is_good(name)

    def _is_good(self, name: str) -> bool:
        return self._is_settled(name) and name not in self.errors

    def _is_settled(self, name: str) -> bool:
        """Tell if nothing is left to compute for a cell: it has a value or an error of the present inputs."""
        return name not in self.cells or self._follows(name, self._made_of.get(name))

    def _follows(self, name: str, made_of: tuple | None) -> bool:
        needs = self.cells[name].needs
        return made_of is not None and all(
            old is self.values.get(need) and self._is_good(need) for old, need in zip(made_of, needs, strict=True)
        )

    def set(self, **inputs: Any) -> None:
        """Change inputs; what was begun from earlier ones is stopped."""
        with self._condition:
            self.values.update({n: v for n, v in inputs.items() if n not in self.values or _differ(self.values[n], v)})
            self.errors = {name: text for name, text in self.errors.items() if self._is_settled(name)}
            self._rest_until = dict.fromkeys(self.lanes, time.monotonic() + QUIET)
            self._condition.notify_all()  # lanes that rest longer
            self._start()
        self._tell()

    def retry(self) -> None:
        """Compute again the cells that failed."""
        with self._condition:
            for name in self.errors:
                self._made_of.pop(name, None)
            self.errors.clear()
        self.set()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change, from whichever thread made it."""
        self._listeners.append(listener)

    def wait(self, timeout: float | None = None) -> "Flow":
        """Return once nothing is left to compute; raise TimeoutError after so many seconds."""
        while not self.background and any(self._step(lane) for lane in self.lanes):
            pass
        with self._condition:
            if not self._condition.wait_for(lambda: not self._alive, timeout):
                raise TimeoutError(f"not done after {timeout} seconds: {self.doing}")
        return self

    def end(self) -> None:
        """Stop everything; nobody looks any more."""
        with self._condition:
            self._ended = True
            self._listeners.clear()
            self._condition.notify_all()

    def _tell(self) -> None:
        for listener in list(self._listeners):  # without our lock: they have locks of their own
            try:
                listener()
            except Exception:  # it must not end the work
                logging.getLogger(__name__).exception("a listener failed")

    def _start(self) -> None:
        for lane in self.lanes if self.background else ():
            if lane not in self._alive and self._due(lane):
                self._alive.add(lane)
                threading.Thread(target=self._run, args=[lane], name=f"workbench-{lane}", daemon=True).start()

    def _run(self, lane: str) -> None:
        while self._goes_on(lane):
            self._step(lane)
        self._tell()

    def _goes_on(self, lane: str) -> bool:
        """Wait for the end of a rest; tell if there is work then."""
        with self._condition:
            while not self._ended and (rest := self._rest_until[lane] - time.monotonic()) > 0:
                self._condition.wait(rest)
            if self._due(lane):
                return True
            self._alive.discard(lane)
            self.doing.pop(lane, None)
            self._condition.notify_all()
            return False

    def _due(self, lane: str) -> Cell | None:
        for cell in () if self._ended else self.cells.values():
            if cell.lane == lane and not self._is_settled(cell.name) and all(map(self._is_good, cell.needs)):
                return cell
        return None

    def _step(self, lane: str) -> bool:
        """Compute the first stale cell of a lane; tell if there was one."""
        with self._condition:
            if (cell := self._due(lane)) is None:
                return False
            given = tuple(self.values[need] for need in cell.needs)
        begun, told = time.monotonic(), 0.0

        def is_wanted() -> bool:
            return not self._ended and self._follows(cell.name, given)

        def hear(what: str, share: float) -> None:
            nonlocal begun, told
            if not is_wanted():
                raise Stopped
            now = time.monotonic()
            if lane not in self.doing or self.doing[lane].what != what:
                begun = now
            if now - told > TELLING:
                told = now
                left = (now - begun) * (1 - share) / share if share and now - begun > 1 else None
                self.doing[lane] = Doing(what, share, left)
                self._tell()

        def show(value: Any) -> None:
            with self._condition:
                if not is_wanted():
                    raise Stopped
                self._interim[cell.name] = given, value
            self._tell()

        token, error = _publish.set(show), ""
        try:
            with progress.told_to(hear) if self.background else nullcontext():
                value = cell.function(*given)
        except Stopped:
            return True
        except Exception as problem:
            if not self.background:
                raise
            value, error = self[cell.name], in_words(problem)  # a value that it published is still good
        finally:
            _publish.reset(token)
        with self._condition:
            if is_wanted():
                self.values[cell.name], self._made_of[cell.name] = value, given
                if error:
                    self.errors[cell.name] = error
                    self.errors = {name: text for name, text in self.errors.items() if self._is_settled(name)}
                else:
                    self.errors.pop(cell.name, None)
                    self._interim.pop(cell.name, None)
                until = time.monotonic() + cell.rest
                self._rest_until = {lane: max(until, earlier) for lane, earlier in self._rest_until.items()}
                self._start()
        self._tell()
        return True


def _with_needs(known: dict[str, Cell], wanted: Collection[str]) -> set[str]:
    """Return the names of cells and of all that they need."""
    return set(wanted).union(*(_with_needs(known, known[name].needs) for name in wanted if name in known))


def _differ(old: Any, new: Any) -> bool:
    plain = isinstance(new, int | float | str | tuple) and type(old) is type(new)
    return old != new if plain else old is not new


def in_words(error: Exception) -> str:
    """Return an error's message for a person; of an unexpected kind, with the kind."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    text = text.removeprefix(f"[Errno {getattr(error, 'errno', None)}] ")
    if isinstance(error, OSError | KeyError | ValueError | TypeError):
        return text
    return f"{type(error).__name__}: {text}"
