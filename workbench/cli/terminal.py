"""Output of the command line: one line for each error or warning, clean text, plain numbers."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

CLOSED = 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1  # whoever read the output has gone
ENDED = 128 + signal.SIGTERM
OPTIONS = {"say format=": "say --format", "say load(path, allow_pickle=True)": "say --allow-pickle"}


def clean(text: object) -> str:
    """Return text for one line of a terminal: nothing in it moves the cursor or sends colours."""
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def trouble(text: object) -> None:
    """Print one line on stderr, above progress bars."""
    from tqdm import tqdm

    tqdm.write(f"workbench: {clean(text)}", file=sys.stderr)


def explained(error: Exception) -> str:
    """Return what an error says, with the options of the command line in place of Python's arguments."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    if not isinstance(error, OSError | ValueError | ImportError):
        return f"{type(error).__name__}: {error} (WORKBENCH_TRACEBACK=1 shows where)"
    text = str(error)
    for in_python, option in OPTIONS.items():
        text = text.replace(in_python, option)
    return text


@contextmanager
def ending_tidily() -> Iterator[Callable[[], bool]]:
    """Remove what is being written when the program is ended, and tell whether Ctrl-C was pressed.

    A search that is interrupted returns its best so far, so that a caller sees it here only.
    """
    pressed = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    handlers = {signal.SIGINT: interrupt, signal.SIGTERM: lambda *_: sys.exit(ENDED)}
    old = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        if old[number] != signal.SIG_IGN:  # as in a shell's background
            signal.signal(number, handler)
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
