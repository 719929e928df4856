"""Progress of long work: a tqdm bar, lines in a log file, or calls of a listener, as a panel is."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Listener = Callable[[str, float], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_lines: ContextVar["_Lines | None"] = ContextVar("lines", default=None)  # of the step that other work is a part of


class Stopped(Exception):
    """Work was given up because nobody waits for it any more."""


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Call `listener` with the step at hand and the share of it that is done, instead of drawing bars.

    It is called at every step of the work, in the thread that does it. To cancel the work, raise an exception in it.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def told_as(what: str, share: Callable[[], float]) -> Iterator[None]:
    """Tell a listener of all steps inside as one step, `what`, of which a share is done; without one, do nothing."""
    listener = _listener.get()
    token = _listener.set(listener and (lambda *_: listener(what, share())))
    try:
        yield
    finally:
        _listener.reset(token)


def bar(
    items: Iterable | None = None, desc: str = "", total: float | None = None, initial: float = 0, **options: Any
) -> Any:
    """Return a progress bar with the interface of tqdm; `options` are tqdm's.

    Where standard error is no terminal, each step that takes longer than its ``delay`` prints a line when it
    starts and one when it ends.
    """
    whole, listener = _lines.get(), _listener.get()
    if listener is not None:
        return _Told(listener, items, desc, total, initial)
    from tqdm.auto import tqdm

    kind: type = tqdm
    is_quiet = os.environ.get("TQDM_DISABLE", "0") not in ("", "0")  # which tqdm's bar for notebooks does not look at
    if any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__):
        from .notebook_bar import NotebookBar

        kind = NotebookBar
    elif not is_quiet and (sys.stderr is None or not sys.stderr.isatty()):
        if whole is not None and not options.get("leave", True):  # a detail prints no lines of its own
            return _Told(lambda *_: whole.tell(), items, desc, total, initial)
        return _Lines(items, desc, total, initial, options.get("delay", 0))
    return kind(items, desc=desc, total=total, initial=initial, disable=is_quiet, **options)


class _Told:
    """The part of tqdm's interface that the package uses, for a listener."""

    def __init__(self, listener: Listener, items: Iterable | None, desc: str, total: float | None, initial: float):
        self.items = () if items is None else items
        self.total = len(self.items) if total is None and isinstance(self.items, Sized) else total
        self.listener, self.desc, self.n = listener, desc, float(initial)

    def __iter__(self) -> Iterator:
        for item in self.items:
            self.tell()
            yield item
            self.n += 1

    def __enter__(self) -> "_Told":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays on the screen."""

    def update(self, n: float = 1) -> None:
        self.n += n
        self.tell()

    def set_description(self, desc: str) -> None:
        self.desc = desc
        self.tell()

    def tell(self) -> None:
        if self.desc:  # else there is nothing to say yet
            self.listener(self.desc, min(self.n / self.total, 1.0) if self.total else 0.0)


class _Lines(_Told):
    """Two lines a step for a log file, which bars would fill."""

    def __init__(self, items: Iterable | None, desc: str, total: float | None, initial: float, delay: float):
        super().__init__(self._see, items, desc, total, initial)
        self.delay, self.step, self.is_shown, self.start = delay, "", False, time.monotonic()
        self.tell()

    def __iter__(self) -> Iterator:
        with self:
            yield from super().__iter__()

    def __enter__(self) -> "_Lines":
        if _lines.get() is not self:
            self.before = _lines.get()
            _lines.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        if _lines.get() is self:
            _lines.set(self.before)
        if self.is_shown or error[0] is None:
            self._end()

    def _see(self, step: str, share: float) -> None:
        if step != self.step:
            self._end()
            self.step, self.is_shown, self.start = step, False, time.monotonic()
        if not self.is_shown and time.monotonic() - self.start >= self.delay:
            self.is_shown = True
            _print(f"{step} ...")

    def _end(self) -> None:
        seconds = time.monotonic() - self.start
        if self.is_shown or (self.step and seconds >= self.delay):
            is_counted = self.total and self.n <= self.total  # a total that was passed was only foreseen
            _print(f"{self.step}: {seconds:.0f} s" + f" ({self.n:,.0f} of {self.total:,.0f})" * bool(is_counted))
        self.step, self.is_shown = "", False


def _print(line: str) -> None:
    if sys.stderr is not None:  # else the program has none, as some services
        print(line, file=sys.stderr, flush=True)  # noqa: T201
