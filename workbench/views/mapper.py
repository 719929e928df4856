"""A warm process that draws UMAP maps, so that numbers never wait for a map and any map can be stopped.

UMAP and our kernels use numba, whose thread pools must not be entered twice at once, and UMAP
has no way to be stopped. In a process of its own it is in nobody's way, and between two of its
rounds it hears an interrupt.
"""

import os
import pickle
import signal
import sys
import threading
from hashlib import blake2b
from subprocess import DEVNULL, PIPE
from typing import Any

import numpy as np

from ..child import Child
from ..progress import Stopped

PATIENCE = 2.0  # seconds from a stop until a process that does not react is ended
N_REMEMBERED = 32  # answers; of 20,000 words each takes 160 kB


class Mapper:
    """Draws layouts in another process, one at a time, and can be told to stop.

    The process starts with `warm` or the first layout and ends with this one. `shared` serves
    all panels of a kernel. The last answers are remembered by what was asked, so that a recipe
    that comes back has its map at once.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()  # held while a layout is drawn
        self._change = threading.Lock()  # held for a moment, to read and change what is below
        self._worker: _Worker | None = None
        self._requests: list[_Request] = []  # drawn or waiting
        self._remembered: dict[bytes, tuple[np.ndarray, float]] = {}  # by digest, the last used at the end

    def warm(self) -> "_Worker":
        """Start the process if there is none; it compiles what UMAP needs while nobody waits."""
        with self._change:
            if self._worker is None or self._worker.process.poll() is not None:
                self._worker = _Worker()
            return self._worker

    def layout(self, owner: object, *arguments: Any) -> tuple[np.ndarray, float]:
        """`layout.umap_layout` of these arguments, until `owner` wants it stopped. Not to be written to.

        Raises
        ------
        Stopped
            After `stop`.
        RuntimeError
            If the process ended by itself.
        """
        asked, request = _digest(arguments), _Request(owner)
        with self._change:
            if asked in self._remembered:
                return self._remember(asked, self._remembered.pop(asked))
            self._requests.append(request)
        answer: Any = None
        try:
            with self._turn:
                answer = self._answer(request, arguments)
        finally:
            with self._change:
                self._requests.remove(request)
            request.over.set()
        if request.stopped:
            raise Stopped
        if isinstance(answer, BaseException):
            raise answer
        with self._change:
            return self._remember(asked, answer)

    def _remember(self, asked: bytes, answer: tuple[np.ndarray, float]) -> tuple[np.ndarray, float]:
        answer[0].flags.writeable = False
        self._remembered[asked] = answer
        while len(self._remembered) > N_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return answer

    def forget(self) -> None:
        """Drop the answers that are remembered."""
        with self._change:
            self._remembered.clear()

    def _answer(self, request: "_Request", arguments: tuple) -> Any:
        worker = self.warm()
        try:
            worker.wait_until_ready()
            with self._change:
                request.worker = None if request.stopped else worker
            return worker.ask(arguments) if request.worker else None
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            worker.end()
            return RuntimeError(f"the process that draws maps ended ({error}); was memory short?")

    def stop(self, owner: object) -> None:
        """Give up the layouts that are drawn or waited for on behalf of `owner`. Returns at once."""
        with self._change:
            asked = [request for request in self._requests if request.owner is owner and not request.stopped]
            for request in asked:
                request.stopped = True
        for request in asked:
            if request.worker is not None:
                threading.Thread(target=self._interrupt, args=[request, request.worker], daemon=True).start()

    def _interrupt(self, request: "_Request", worker: "_Worker") -> None:
        """Interrupt until there is an answer: an interrupt that comes too early is not heard."""
        for _ in range(10):
            with self._change:
                if request not in self._requests:  # the answer came, and others may follow
                    return
                worker.interrupt()
            if request.over.wait(PATIENCE / 10):
                return
        worker.end()


def _digest(arguments: tuple) -> bytes:
    """Names arguments, arrays and numbers, by their content."""
    digest = blake2b(digest_size=16)
    for argument in arguments:
        array = np.ascontiguousarray(argument)
        digest.update(repr((array.dtype.str, array.shape)).encode())
        digest.update(array.data)
    return digest.digest()


class _Request:
    """A layout that somebody waits for."""

    def __init__(self, owner: object):
        self.owner = owner
        self.worker: _Worker | None = None  # once it is being drawn
        self.stopped = False
        self.over = threading.Event()


class _Worker(Child):
    """The process, and pickles to and from it."""

    def __init__(self) -> None:
        super().__init__(__name__, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)  # errors come back as answers
        self._requests: Any = self.process.stdin
        self._answers: Any = self.process.stdout
        self._ready = False

    def wait_until_ready(self) -> None:
        if not self._ready:
            pickle.load(self._answers)
            self._ready = True

    def ask(self, arguments: tuple) -> Any:
        pickle.dump(arguments, self._requests, pickle.HIGHEST_PROTOCOL)
        self._requests.flush()
        return pickle.load(self._answers)


shared = Mapper()


def serve() -> None:
    """The other process: warm up, then answer requests until there are no more."""
    from .layout import umap_layout

    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not come between two answers
    working = interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        if working:
            interrupted = True
            raise Stopped

    signal.signal(signal.SIGINT, interrupt)
    if hasattr(os, "nice"):
        os.nice(10)  # numbers come first
    sample = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    umap_layout(sample, sample[:, :2], 5, 0)
    answer: Any = "ready"
    while True:
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
        try:
            arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            working, interrupted = True, False
            answer = umap_layout(*arguments)
        except Exception as error:  # compiled code makes another one of an exception that comes in its midst
            answer = Stopped() if interrupted else error
        finally:
            working = False
