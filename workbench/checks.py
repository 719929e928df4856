"""One check of named values against a table of kinds, for what comes from a file."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

Kind = type | tuple[int, str]  # a type; or of an array: number of axes, and types such as "<f4 <f2"


def check_kinds(what: str, values: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Refuse values that are not of their kinds; ``int`` takes numpy's integers, too, and no booleans.

    Raises
    ------
    TypeError, ValueError
        If a value is of another type, or an array of another shape or number type, or without columns.
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
