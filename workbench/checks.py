"""Checks of what files hold: a table of kinds, and one error that names a damaged file."""

import struct
import sys
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from safetensors import SafetensorError

DAMAGE = (  # what damaged files make readers raise
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError),
    *(zlib.error, struct.error, EOFError, SafetensorError),
)
MAX_MESSAGE = 300  # characters of what such an error says
PACKAGE = __name__.removesuffix("checks")

Kind = type | tuple[int, str]  # a type; or of an array: number of axes, and types such as "<f4 <f2"


def check_kinds(what: str, values: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Refuse values that are not of their kinds (TypeError), and arrays of other shapes or types (ValueError).

    ``int`` takes numpy's integers, too, and no booleans. Arrays must have columns.
    """
    for name, kind in kinds.items():
        value = values[name]
        if isinstance(kind, tuple):
            n_axes, types = kind
            is_array = isinstance(value, np.ndarray) and value.ndim == n_axes
            if not is_array or value.dtype.str not in types.split() or 0 in value.shape[1:]:
                raise ValueError(
                    f"{name} of {what} must be an array with {n_axes} axes of {types}, "
                    f"got {getattr(value, 'dtype', type(value).__name__)} of shape {np.shape(value)}"
                )
        elif not isinstance(value, Integral if kind is int else kind) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"{name} of {what} must be of type {kind.__name__}, got {str(value)[:60]!r}")


def warn(message: str) -> None:
    """Warn at the line outside this package, and scikit-learn's wrapper around its transformers, that led here."""
    frame: FrameType | None = sys._getframe()
    level = 1
    while frame is not None and frame.f_globals["__name__"].startswith((PACKAGE, "sklearn.")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


@contextmanager
def reading(path: str | Path, title: str) -> Iterator[None]:
    """Turn whatever a damaged file makes its reader raise into a ValueError of one line that names the file."""
    try:
        yield
    except DAMAGE as error:
        if type(error) is ValueError and str(path) in str(error):
            raise
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        message = " ".join(str(error).split())[:MAX_MESSAGE]
        raise ValueError(f"{path} cannot be read as {title}: {kind}{message}") from error
