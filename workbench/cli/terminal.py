"""What a person or a program sees: one line for each trouble, clean text, plain JSON."""

import json
import math
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from types import FrameType
from typing import Any

CLOSED = 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1  # whoever read the output has gone
ENDED = 128 + signal.SIGTERM
HERE = {"say format=": "say --format", "say load(path, allow_pickle=True)": "say --allow-pickle"}


def clean(text: object) -> str:
    """Text for one line of a terminal: nothing in it moves the cursor or sends colours."""
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class Lines:
    """stderr that knows whether something stands in its last line, such as a progress bar that was left there."""

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
    """One line on stderr."""
    if isinstance(sys.stderr, Lines) and sys.stderr.is_open:
        print(file=sys.stderr)
    print(f"workbench: {clean(text)}", file=sys.stderr)


def explained(error: Exception) -> str:
    """What an error says, without Python's own dress, and with the options that can be said here."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    if isinstance(error, OSError | ValueError | ImportError):
        text = str(error)
        for in_python, here in HERE.items():
            text = text.replace(in_python, here)
        return text
    return f"{type(error).__name__}: {error} (WORKBENCH_TRACEBACK=1 shows where)"


@contextmanager
def warned() -> Iterator[None]:
    """Show warnings as lines of ours, each on a line of its own."""
    with warnings.catch_warnings(), redirect_stderr(Lines(sys.stderr)):
        warnings.showwarning = lambda message, *_, **__: trouble(f"warning: {message}")
        yield


@contextmanager
def ending_tidily() -> Iterator[Callable[[], bool]]:
    """Let what is being written be removed when the program is ended, and say whether Ctrl-C was pressed.

    A search that is interrupted returns its best so far, so that a caller sees it here only.
    """
    pressed: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(ENDED)

    old = {}
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            old[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            old[signal.SIGTERM] = signal.signal(signal.SIGTERM, end)
    try:
        yield lambda: bool(pressed)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def flushed() -> int:
    """Send what was printed; the exit status where nobody reads it or it cannot be written, else 0."""
    try:
        if sys.stdout is not None:  # else the shell has closed it
            sys.stdout.flush()
    except OSError as error:
        return unheard(error)
    return 0


def unheard(error: OSError) -> int:
    """The exit status after stdout failed; Python shall not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return CLOSED
    trouble(f"the output: {explained(error)}")
    return 2


def print_json(values: dict) -> None:
    """One JSON document, in ASCII; what JSON has no number for becomes null."""
    print(json.dumps(_plain(values), indent=2))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    if hasattr(value, "item"):  # numpy's
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Labels and values, one below the other."""
    rows = [(label, clean(value)) for label, value in pairs]
    width = max(len(label) for label, _ in rows) + 1
    for label, value in rows:
        print(f"{label + ':':{width}} {value}")


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Columns as wide as they must be; numbers to the right."""
    cells = [columns, *[[clean(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    right = [all(row[i][:1].isdigit() or row[i][:1] in ("", "-") for row in cells[1:]) for i in range(len(columns))]
    for row in cells:
        line = [f"{x:>{w}}" if is_right else f"{x:<{w}}" for x, w, is_right in zip(row, widths, right, strict=True)]
        print("  ".join(line).rstrip())


def number(value: float) -> str:
    """A number to read: whole where it is large, nothing where there is none."""
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def megabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:,.2f} MB"
