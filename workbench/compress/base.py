"""What every compression step is, and how steps make a chain.

A step works as a scikit-learn estimator does: the constructor stores, `fit` learns names that
end in ``_``, `transform` applies them, and ``sklearn.base.clone`` copies it.
"""

import inspect
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np

from .. import progress
from ..vectors import Vectors

STEPS: dict[str, type["Step"]] = {}  # by name, for reading recipes


class Step:
    """One compression step. Subclasses write `_fit` and `_transform`."""

    def __init_subclass__(cls) -> None:
        if "__init__" in vars(cls):  # else a base of steps
            STEPS[cls.__name__] = cls

    def fit(self, v: Vectors, reference: Vectors | None = None) -> Self:
        """Learn from `v`.

        Parameters
        ----------
        v : Vectors
            What the step will make smaller.
        reference : Vectors, optional
            The model that the result should stay close to; `Chain` passes its own input.
        """
        self._fit(self._model(v).without_spare_rows(), reference)
        return self

    def transform(self, v: Vectors) -> Vectors:
        """Apply what was learned.

        Raises
        ------
        ValueError
            If the result's arrays would be larger than those of `v`, or before `fit`.
        """
        if not any(name.endswith("_") for name in vars(self)):
            raise ValueError(f"{self!r} has learned nothing yet: call fit first")
        v = self._model(v).without_spare_rows()
        out = self._transform(v)
        if out.storage.nbytes > v.storage.nbytes:
            raise ValueError(
                f"{self!r} would make the arrays larger ({v.storage.nbytes:,} to {out.storage.nbytes:,} bytes): "
                f"{self._advice(v)}"
            )
        meta = dict(out.meta, recipe=[*v.meta.get("recipe", []), self.to_json()])
        return Vectors(out.vocab, out.storage, meta)

    def fit_transform(self, v: Vectors, reference: Vectors | None = None) -> Vectors:
        """`fit`, then `transform`."""
        return self.fit(v, reference).transform(v)

    def _model(self, v: Vectors) -> Vectors:
        """`v`, where it is a model."""
        if not isinstance(v, Vectors):
            raise TypeError(
                f"{type(self).__name__} takes Vectors, as from load(path) or Vectors.from_arrays(words, matrix), "
                f"got {type(v).__name__}"
            )
        return v

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        raise NotImplementedError

    def _transform(self, v: Vectors) -> Vectors:
        raise NotImplementedError

    def _advice(self, v: Vectors) -> str:
        """What to do where the step does not pay."""
        return "leave it out"

    # -- parameters and recipes -----------------------------------------------------------

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in self._names()}

    def _plain_params(self) -> dict[str, Any]:
        """The same, with numpy's numbers as Python's."""
        return {name: x.item() if isinstance(x, np.generic) else x for name, x in self.get_params().items()}

    def set_params(self, **params: Any) -> Self:
        """Change arguments; unknown names are refused."""
        for name, value in params.items():
            if name not in self._names():
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(self._names())}")
            setattr(self, name, value)
        return self

    def to_json(self) -> dict:
        """The step as JSON values; `recipes.from_json` undoes it."""
        return {"step": type(self).__name__, **self._plain_params()}

    def __repr__(self) -> str:
        """The step as Python code, whole."""
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._plain_params().items())})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_params() == other.get_params()

    __hash__ = None  # type: ignore[assignment]


class Chain(Step):
    """Steps one after another, each of which sees the chain's own input as its reference.

    Parameters
    ----------
    steps : sequence of Step
    """

    def __init__(self, steps: Sequence[Step]):
        self.steps = steps

    def fit(self, v: Vectors, reference: Vectors | None = None) -> Self:
        self.fit_transform(v, reference)
        return self

    def transform(self, v: Vectors) -> Vectors:
        for step in self.steps:
            v = step.transform(v)
        return v

    def fit_transform(self, v: Vectors, reference: Vectors | None = None) -> Vectors:
        """Fit and apply the steps in turn, with a progress bar."""
        for step in self.steps:
            if not isinstance(step, Step):
                raise TypeError(f"Chain takes a list of steps, such as [Prune(n_words=1000)]; {step!r} is none")
        reference = self._model(v) if reference is None else reference
        with progress.bar(self.steps, unit="step", delay=0.5) as bar:
            for step in bar:
                bar.set_description(type(step).__name__)
                v = step.fit_transform(v, reference)
        return v

    def __repr__(self) -> str:
        return "Chain([" + ", ".join(map(repr, self.steps)) + "])"

    def to_json(self) -> dict:
        return {"step": "Chain", "steps": [step.to_json() for step in self.steps]}


def check_int(step: Step, name: str, low: int, high: int | None = None, optional: bool = False) -> None:
    """Refuse a parameter that is no whole number in its range, before any work."""
    value = getattr(step, name)
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= (high or int(value)):
        span = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise ValueError(f"{type(step).__name__}: {name} must be a whole number {span}, got {value!r}")
