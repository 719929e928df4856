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


class Stopped(Exception):
    """Work that nobody waits for any more was given up."""


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Tell `listener` what is being done and which share of it is, instead of drawing bars.

    It is called at every step of the work, in the thread that does it; an exception that it
    raises ends the work there. That is how work is cancelled.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def bar(
    items: Iterable | None = None, desc: str = "", total: float | None = None, initial: float = 0, **options: Any
) -> Any:
    """A progress bar that is used as tqdm's is; `options` are tqdm's.

    Where standard error is no terminal, each step that takes longer than its ``delay`` prints a line when it
    starts and one when it ends.
    """
    listener = _listener.get()
    if listener is not None:
        return _Told(listener, items, desc, total, initial)
    quiet = os.environ.get("TQDM_DISABLE", "0") not in ("", "0")  # which tqdm's bar for notebooks does not look at
    kind = _tqdm()
    is_in_notebook = kind.__module__ == f"{__package__}.notebook_bar"
    if not quiet and not is_in_notebook and (sys.stderr is None or not sys.stderr.isatty()):
        return _Lines(items, desc, total, initial, options.get("delay", 0), options.get("leave", True))
    return kind(items, desc=desc, total=total, initial=initial, disable=quiet, **options)


def _tqdm() -> type:
    """What tqdm would take here: its bar of text, or in a notebook one of widgets, in our kind."""
    from tqdm.auto import tqdm

    if all(base.__module__ != "tqdm.notebook" for base in tqdm.__mro__):
        return tqdm
    from .notebook_bar import NotebookBar

    return NotebookBar


class _Told:
    """The part of tqdm's interface that the package uses, for a listener."""

    def __init__(self, listener: Listener, items: Iterable | None, desc: str, total: float | None, initial: float):
        self.items = () if items is None else items
        self.total = len(self.items) if total is None and isinstance(self.items, Sized) else total
        self.listener, self.desc, self.n = listener, desc, float(initial)

    def __iter__(self) -> Iterator:
        for item in self.items:
            self._tell()
            yield item
            self.n += 1

    def __enter__(self) -> "_Told":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays on the screen."""

    def update(self, n: float = 1) -> None:
        self.n += n
        self._tell()

    def set_description(self, desc: str) -> None:
        self.desc = desc
        self._tell()

    def _tell(self) -> None:
        if self.desc:  # else there is nothing to say yet
            self.listener(self.desc, min(self.n / self.total, 1.0) if self.total else 0.0)


class _Lines(_Told):
    """The same for a log file: where a bar would fill it, two lines a step, and none for details of a step."""

    def __init__(
        self, items: Iterable | None, desc: str, total: float | None, initial: float, delay: float, leave: bool
    ):
        super().__init__(self._see, items, desc, total, initial)
        self._delay, self._step, self._is_shown, self._start = delay, "", False, time.monotonic()
        self._whole = None if leave else _innermost.get()  # the bar that this one is a detail of
        self._tell()

    def __iter__(self) -> Iterator:
        with self:
            yield from super().__iter__()

    def __enter__(self) -> "_Lines":
        if _innermost.get() is not self:
            self._before = _innermost.get()
            _innermost.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        if _innermost.get() is self:
            _innermost.set(self._before)
        if self._is_shown or error[0] is None:
            self._end()

    def _see(self, step: str, share: float) -> None:
        if self._whole is not None:
            self._whole._see(self._whole._step, share)  # whose first line may be due
            return
        if step != self._step:
            self._end()
            self._step, self._is_shown, self._start = step, False, time.monotonic()
        if step and not self._is_shown and time.monotonic() - self._start >= self._delay:
            self._is_shown = True
            _print(f"{step} ...")

    def _end(self) -> None:
        seconds = time.monotonic() - self._start
        if self._is_shown or (self._step and seconds >= self._delay):
            _print(f"{self._step}: {seconds:.0f} s" + (f" ({self.n:,.0f} of {self.total:,.0f})" if self.total else ""))
        self._step, self._is_shown = "", False


_innermost: ContextVar[_Lines | None] = ContextVar("innermost", default=None)


def _print(line: str) -> None:
    if sys.stderr is not None:  # else the program has none, as some services
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
