"""Progress of long work: a tqdm bar, unless a listener wants to hear of it, as a panel does."""

import os
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
    """A progress bar that is used as tqdm's is; `options` are tqdm's."""
    listener = _listener.get()
    if listener is None:
        quiet = os.environ.get("TQDM_DISABLE", "0") not in ("", "0")  # which tqdm's bar for notebooks does not look at
        return _tqdm()(items, desc=desc, total=total, initial=initial, disable=quiet, **options)
    return _Told(listener, items, desc, total, initial)


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
