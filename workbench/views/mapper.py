"""A warm process that draws UMAP maps, so that numbers never wait for a map and any map can be stopped.

UMAP and our kernels use numba, whose thread pools must not be entered twice at once. In a process of its own UMAP is
in nobody's way, and an interrupt ends a map between two of its rounds.
"""

import atexit
import os
import pickle
import signal
import sys
import threading
from contextlib import suppress
from hashlib import blake2b
from queue import Empty, SimpleQueue
from subprocess import DEVNULL, PIPE
from time import monotonic
from typing import Any

import numpy as np

from .. import progress
from ..child import Child
from ..progress import Stopped

TICK = 0.1  # seconds between two reports of progress, which is where a map can be stopped
PATIENCE = 2.0  # seconds from an interrupt until a process that does not react is ended
N_REMEMBERED = 32  # answers; of 20,000 words each takes 160 kB


class Mapper:
    """Draws layouts in another process, one at a time; `shared` serves all views of a kernel.

    The last answers are remembered by what was asked, so that a recipe that comes back has its map at once.
    """

    def __init__(self) -> None:
        self._turn, self._starting = threading.Lock(), threading.Lock()
        self._worker: _Worker | None = None
        self._remembered: dict[bytes, tuple[np.ndarray, float]] = {}  # by digest of the request
        self._pace: dict[tuple, float] = {}  # seconds a word that the last map took, drawn first and drawn again
        atexit.register(self.end)

    def warm(self) -> "_Worker":
        """Start the process if there is none; it compiles what UMAP needs while nobody waits."""
        with self._starting:
            if self._worker is None or not self._worker.is_alive():
                self.end()
                self._worker = _Worker()
            return self._worker

    def end(self) -> None:
        """End the process; the next layout starts another one."""
        if self._worker is not None:
            self._worker.end()

    def layout(self, *arguments: Any) -> tuple[np.ndarray, float]:
        """Return `layout.umap_layout` of these arguments; not to be written to.

        An exception that a listener of `progress` raises ends the work. RuntimeError: the process ended by itself.
        """
        request = pickle.dumps(arguments, pickle.HIGHEST_PROTOCOL)
        asked, kind, n = blake2b(request, digest_size=16).digest(), arguments[4:], len(arguments[0])
        if (known := self._remembered.get(asked)) is not None:
            return known
        total = n * self._pace[kind] if kind in self._pace else None
        with progress.bar(desc="Drawing a map", total=total, unit="s", unit_scale=True, delay=1, leave=False) as bar:
            while not self._turn.acquire(timeout=TICK):
                bar.update(0)
            try:
                if asked not in self._remembered:  # it may have been drawn meanwhile
                    begun, answer = monotonic(), self.warm().ask(request, bar)
                    answer[0].flags.writeable = False
                    self._remembered[asked], self._pace[kind] = answer, (monotonic() - begun) / n
                    for old in list(self._remembered)[:-N_REMEMBERED]:
                        del self._remembered[old]
                return self._remembered[asked]
            finally:
                self._turn.release()


class _Worker(Child):
    """The process, and pickles to and from it."""

    def __init__(self) -> None:
        super().__init__(__name__, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)  # errors come back as answers
        self.pipes: tuple[Any, Any] = self.process.stdin, self.process.stdout
        self.answers: SimpleQueue = SimpleQueue()  # filled by a thread, so that they can be waited for with a limit
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.is_busy = True  # until it says that it is ready

    def read(self) -> None:
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                self.answers.put(pickle.load(self.pipes[1]))

    def is_alive(self) -> bool:
        """Tell if requests can be sent; of the end of a process, its reader may hear late."""
        return self.process.poll() is None and self.reader.is_alive()

    def wait(self, bar: Any) -> Any:
        while True:
            try:
                answer = self.answers.get(timeout=TICK)
            except Empty:
                if not self.reader.is_alive():
                    self.end()
                    raise RuntimeError("the process that draws maps ended by itself; was memory short?") from None
                bar.update(TICK)
                continue
            self.is_busy = False
            if isinstance(answer, Exception):
                raise answer
            return answer

    def ask(self, request: bytes, bar: Any) -> tuple[np.ndarray, float]:
        if self.is_busy:
            self.wait(bar)
        self.is_busy = True
        try:
            with suppress(OSError):  # then the process ended, as the answer will say
                self.pipes[0].write(request)
                self.pipes[0].flush()
            return self.wait(bar)
        finally:
            for _ in range(10 if self.is_busy else 0):  # an interrupt that comes too early is not heard
                self.interrupt()
                with suppress(Empty):
                    self.answers.get(timeout=PATIENCE / 10)
                    self.is_busy = False
                    break
            if self.is_busy:
                self.end()

    def end(self, grace: float = 0.0) -> None:
        super().end(grace)
        self.is_busy = False
        self.reader.join()
        for pipe in self.pipes:
            with suppress(OSError):  # it holds a part of a request
                pipe.close()


shared = Mapper()


def serve() -> None:
    """Run the other process: warm up, then answer requests until there are no more."""
    from ..evaluate.layout import umap_layout

    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not come between two answers
    working = interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal working, interrupted
        if working:
            working, interrupted = False, True
            raise Stopped

    signal.signal(signal.SIGINT, interrupt)
    if hasattr(os, "nice"):
        os.nice(10)  # numbers come first
    sample = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    answer: Any = umap_layout(sample, sample[:, :2], 5, 0)  # says that the process is ready
    with suppress(EOFError):
        while True:
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
            arguments, interrupted = pickle.load(requests), False
            try:
                working = True
                answer = umap_layout(*arguments)
                working = False
            except Exception as error:  # compiled code makes another one of an exception that comes in its midst
                working, answer = False, Stopped() if interrupted else error
