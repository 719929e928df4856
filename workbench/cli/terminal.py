"""What a person or a program sees: one line for each error or warning, clean text, plain numbers."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from types import FrameType
from typing import Any

CLOSED = 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1  # whoever read the output has gone
ENDED = 128 + signal.SIGTERM
OPTIONS = {"say format=": "say --format", "say load(path, allow_pickle=True)": "say --allow-pickle"}


def clean(text: object) -> str:
    """Return text for one line of a terminal: nothing in it moves the cursor or sends colours."""
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class Lines:
    """stderr that knows whether its last line is open, as a progress bar leaves it."""

    def __init__(self, stream: Any):
        self.stream = stream
        self.is_open = False

    def write(self, text: str) -> int:
        if text:
            self.is_open = text[-1] not in "\r\n"
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def trouble(text: object) -> None:
    """Print one line on stderr."""
    if isinstance(sys.stderr, Lines) and sys.stderr.is_open:
        print(file=sys.stderr)
    print(f"workbench: {clean(text)}", file=sys.stderr)


def explained(error: Exception) -> str:
    """Return what an error says, with the options of the command line in place of Python's arguments."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}".removesuffix(": ")
    if not isinstance(error, OSError | ValueError | ImportError):
        return f"{type(error).__name__}: {error} (WORKBENCH_TRACEBACK=1 shows where)"
    text = str(error)
    for in_python, option in OPTIONS.items():
        text = text.replace(in_python, option)
    return text


@contextmanager
def warned() -> Iterator[None]:
    """Show each warning as one line."""
    with warnings.catch_warnings(), redirect_stderr(Lines(sys.stderr)):
        warnings.showwarning = lambda message, *_, **__: trouble(f"warning: {message}")
        yield


@contextmanager
def ending_tidily() -> Iterator[Callable[[], bool]]:
    """Remove what is being written when the program is ended, and tell whether Ctrl-C was pressed.

    A search that is interrupted returns its best so far, so that a caller sees it here only.
    """
    pressed: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(ENDED)

    old = {}
    is_main = threading.current_thread() is threading.main_thread()
    for number, handler in ((signal.SIGINT, interrupt), (signal.SIGTERM, end)):
        if is_main and signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            old[number] = signal.signal(number, handler)
    try:
        yield lambda: bool(pressed)
    finally:
        for number, before in old.items():
            signal.signal(number, before)


def flushed(status: int) -> int:
    """Send what was printed; return the exit status, another one where nobody reads it or it cannot be written."""
    try:
        if sys.stdout is not None:  # else the shell has closed it
            sys.stdout.flush()
        return status
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python shall not try again at its end
        if isinstance(error, BrokenPipeError):
            return CLOSED
        trouble(f"the output: {explained(error)}")
        return 2


def print_pairs(pairs: list[tuple[str, str]]) -> None:
    """Print labels and values, one below the other."""
    width = max(len(label) for label, _ in pairs) + 1
    for label, value in pairs:
        print(f"{label + ':':{width}} {clean(value)}")


def number(value: float | None) -> str:
    """Return a number to read: whole where it is large, nothing where there is none."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def megabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:,.2f} MB"
