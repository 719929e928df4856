"""Compression steps, the description of their parameters, and chains of steps.

A step works as a scikit-learn estimator does: the constructor stores, `fit` learns names that
end in ``_``, `transform` applies them, and ``sklearn.base.clone`` copies it.
"""

import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar, dataclass_transform

import numpy as np

from .. import progress
from ..vectors import Vectors
from .outline import Outline

# By name: every subclass of `Step` with a label adds itself to those that take vectors, or to those that take others.
STEPS: dict[str, type["Step"]] = {}
OTHER_STEPS: dict[str, type["Step"]] = {}


def step_named(name: str) -> type["Step"] | None:
    """Return the step of this name; those for networks are loaded at the first name that no other step has."""
    if name not in STEPS | OTHER_STEPS:
        networks = importlib.import_module(f"{__package__.partition('.')[0]}.networks")
        getattr(networks, name, None)  # loads one that has a file of its own
    return (STEPS | OTHER_STEPS).get(name)


class Model(Protocol):
    """A model that steps make smaller: word vectors, or a network."""

    @property
    def nbytes(self) -> int:
        """Bytes of the matrices."""

    def lean(self) -> Self:
        """Return the same model without rows that nothing needs."""

    def noted(self, step: dict[str, Any]) -> Self:
        """Return the same model with one more step, as JSON values, in its recipe."""


M = TypeVar("M", bound=Model)


@dataclasses.dataclass(frozen=True)
class Field:
    """The values that a parameter may have, and how it is shown."""

    # A text is a choice or a path; what is other, the step checks.
    kind: Literal["count", "whole", "number", "choice", "tick", "text", "seed", "step", "other"]
    label: str
    low: int = 0
    high: int | Callable[[Vectors], int] | None = None  # or a function that gives the greatest value of use for a model
    all_is_none: bool = False  # None means "all of them"
    choices: Sequence[Any] | Mapping[Any, str] = ()  # or a mapping to labels
    main: bool = True  # shown always, not only under "More"
    of_ngrams: bool = False  # only for models that have n-grams
    brief: str = ""  # the value in short forms of a recipe, such as "{:,} words"; left out there without it
    omit: bool = False  # left out of recipes at its default, so that older recipes compare equal

    def check(self, name: str, value: Any) -> None:
        """Refuse a value that the parameter of this name cannot have."""
        if self.kind in ("tick", "other") or (self.all_is_none and value is None):
            return
        if self.kind in ("choice", "text"):
            is_path = self.kind == "text" and isinstance(value, str | Path)
            fits = is_path or value in tuple(self.choices)
            expected = f"one of {tuple(self.choices)}" + (" or a path" if self.kind == "text" else "")
        elif self.kind == "step":
            fits, expected = isinstance(value, Step), "a step such as PQ()"
        else:
            kind, noun = (Real, "finite number") if self.kind == "number" else (Integral, "whole number")
            high = self.high if isinstance(self.high, int) else None
            is_number = isinstance(value, kind) and not isinstance(value, bool)
            fits = is_number and self.low <= value <= (sys.float_info.max if high is None else high)
            expected = f"a {noun} " + (f"of at least {self.low}" if high is None else f"from {self.low} to {high}")
        if not fits:
            raise ValueError(f"{name} must be {expected}, got {value!r}")


def parameter(default: Any, kind: str, label: str, *args: Any, **kwargs: Any) -> Any:
    """A parameter of a step: its default, and the arguments of its `Field`."""
    return dataclasses.field(default=default, metadata={"field": Field(kind, label, *args, **kwargs)})  # type: ignore[arg-type]


@dataclass_transform(eq_default=False)
class Step:
    """One compression step.

    Subclasses say what they are called and for, list their parameters, and write `_fit` and `_transform`; that is
    all it takes for recipes, the command line, panels and reports to know them.

    Attributes
    ----------
    label : str
        The name that people read. Abstract base classes leave it empty.
    blurb : str
        What the step does, as the rest of a sentence that begins with its name.
    advice : str
        What to do where it would make the arrays larger.
    needs_ngrams : bool
        Whether it is for models with n-grams alone.
    may_grow : bool
        Whether the result may be larger.
    takes : type
        The class of models that it is for.
    fields : dict of str to Field
        By parameter, in order.
    """

    label: ClassVar[str] = ""
    blurb: ClassVar[str] = ""
    advice: ClassVar[str] = "leave it out"
    needs_ngrams: ClassVar[bool] = False
    may_grow: ClassVar[bool] = False
    takes: ClassVar[type] = Vectors
    fields: ClassVar[dict[str, Field]] = {}

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(repr=False, eq=False)(cls)  # which writes the constructor
        found = dataclasses.fields(cls)  # type: ignore[arg-type]
        cls.fields = {field.name: field.metadata["field"] for field in found if "field" in field.metadata}
        if "step" in cls.fields:
            raise TypeError(f"{cls.__name__}: no parameter can be called step, which says the kind in JSON; call it of")
        if "label" in vars(cls):
            steps = OTHER_STEPS if isinstance(cls.takes, type) and cls.takes is not Vectors else STEPS
            steps[cls.__name__] = cls

    def fit(self, v: M, reference: M | None = None) -> Self:
        """Learn from `v`.

        Parameters
        ----------
        v : Vectors, or what else the step takes
            The model to make smaller.
        reference : of the same class, optional
            The model that the result should stay close to; `Chain` passes its own input.
        """
        name = type(self).__name__
        for of, field in self.fields.items():
            field.check(f"{name}: {of}", getattr(self, of))
        v = self._model(v).lean()
        if self.needs_ngrams and isinstance(v, Vectors) and v.storage.ngrams is None:
            raise ValueError(f"{name} is for n-grams, and this model has none; leave it out")
        self._fit(v, reference)
        return self

    def transform(self, v: M) -> M:
        """Apply what was learned.

        Raises
        ------
        ValueError
            If the result's arrays would be larger than those of `v`, or before `fit`.
        """
        if not any(name.endswith("_") for name in vars(self)):
            raise ValueError(f"{self!r} has learned nothing yet: call fit first")
        v = self._model(v).lean()
        out = self._transform(v)
        if out.nbytes > v.nbytes and not self.may_grow:
            raise ValueError(
                f"{self!r} would make the arrays larger ({v.nbytes:,} to {out.nbytes:,} bytes): {self.advice}"
            )
        return out.noted(self.to_json())

    def fit_transform(self, v: M, reference: M | None = None) -> M:
        """`fit`, then `transform`."""
        return self.fit(v, reference).transform(v)

    def _model(self, v: M) -> M:
        """Return `v`; refuse what is no model that this step takes."""
        if not isinstance(v, self.takes):
            made_by = getattr(self.takes, "made_by", "")
            raise TypeError(
                f"{type(self).__name__} takes {self.takes.__name__}{made_by and f', as from {made_by}'}, "
                f"got {type(v).__name__}{getattr(v, 'step_advice', '')}"
            )
        return v

    def _fit(self, v: Any, reference: Any) -> None:
        raise NotImplementedError

    def _transform(self, v: Any) -> Any:
        raise NotImplementedError

    def loses_alike(self) -> bool:
        """Tell if dimensions lose alike, so that what a sample of them loses is what all lose."""
        return False

    def outlined(self, o: Outline) -> Outline | None:
        """Return the outline of what this step would make of a model; None where it would be refused."""
        try:
            for name, field in self.fields.items():
                field.check(name, getattr(self, name))
        except ValueError:
            return None
        new = None if self.needs_ngrams and (o.is_fixed or o.ngrams is None) else self._outlined(o)
        if new is None or new.nbytes > o.nbytes:
            return None
        return dataclasses.replace(new, steps=(*o.steps, self))

    def _outlined(self, o: Outline) -> Outline | None:
        """Return what a subclass says about sizes; this one says nothing."""
        return dataclasses.replace(o, is_sure=False)

    # -- parameters and recipes -----------------------------------------------------------

    @classmethod
    @cache
    def _names(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in self._names()}

    def _plain_params(self) -> dict[str, Any]:
        """Return the parameters that recipes show: numpy's numbers as Python's, paths as text."""
        params = self.get_params()
        for name, field in self.fields.items():
            value = params[name]
            if field.omit and value == getattr(type(self), name):  # its default
                del params[name]
            elif isinstance(value, np.generic):
                params[name] = value.item()
            elif isinstance(value, Path):
                params[name] = f"./{value}" if str(value) in field.choices else str(value)
        return params

    def set_params(self, **params: Any) -> Self:
        """Change arguments; unknown names are refused."""
        for name, value in params.items():
            if name not in self._names():
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(self._names())}")
            setattr(self, name, value)
        return self

    def to_json(self) -> dict:
        """Return the step as JSON values; `recipes.from_json` undoes it."""
        params = self._plain_params().items()
        return {"step": type(self).__name__} | {k: v.to_json() if isinstance(v, Step) else v for k, v in params}

    @classmethod
    def helps(cls) -> dict[str, str]:
        """Return the first sentence that the class's description has on each parameter."""
        found: dict[str, str] = {}
        section = re.search(r"Parameters\n-+\n(.*?\n)(?:\n\S|\Z)", f"{inspect.getdoc(cls)}\n", re.DOTALL)
        for names, text in re.findall(r"^(\w[\w, ]*).*\n((?: {4}.*\n)+)", section[1] if section else "", re.MULTILINE):
            sentence = re.split(r"\.(?=\s|$)", " ".join(text.replace("`", "").split()))[0] + "."
            like = re.match(r"As for (\w+)", sentence)
            for name in re.findall(r"\w+", names):
                found[name] = (STEPS | OTHER_STEPS)[like[1]].helps().get(name, "") if like else sentence
        return found

    def __repr__(self) -> str:
        """Return the step as Python code with every parameter."""
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._plain_params().items())})"

    def brief(self) -> str:
        """Return the step in a few words, such as "PQ 50 codes of words"."""
        values = [(field.brief, getattr(self, name)) for name, field in self.fields.items() if field.brief]
        shown = ((text, x.brief() if isinstance(x, Step) else x) for text, x in values if x not in (None, "all"))
        return " ".join([type(self).__name__, *(text.format(x) for text, x in shown)])

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_params() == other.get_params()

    __hash__ = None  # type: ignore[assignment]


class Chain(Step):
    """Run steps one after another, each with the chain's own input as its reference.

    It takes what its first step takes.

    Parameters
    ----------
    steps : sequence of Step
    """

    label = "Chain"
    blurb = "is a list of steps."

    def __init__(self, steps: Sequence[Step]):
        self.steps = steps

    @property
    def takes(self) -> type:  # type: ignore[override]
        return self.steps[0].takes if self.steps else Vectors

    def fit(self, v: M, reference: M | None = None) -> Self:
        self.fit_transform(v, reference)
        return self

    def transform(self, v: M) -> M:
        for step in self.steps:
            v = step.transform(v)
        return v

    def fit_transform(self, v: M, reference: M | None = None) -> M:
        """Fit and apply the steps in turn, with a progress bar."""
        for step in self.steps:
            if not isinstance(step, Step):
                raise TypeError(f"Chain takes a list of steps, such as [Prune(n_words=1000)]; {step!r} is none")
        reference = self._model(v) if reference is None else reference
        with progress.bar(self.steps, unit="step", delay=0.5) as bar:
            for step in bar:
                bar.set_description(step.label)
                v = step.fit_transform(v, reference)
        return v

    def outlined(self, o: Outline) -> Outline | None:
        found: Outline | None = o
        for step in self.steps:
            found = found and step.outlined(found)
        return found

    def loses_alike(self) -> bool:
        return all(step.loses_alike() for step in self.steps)

    def __repr__(self) -> str:
        return "Chain([" + ", ".join(map(repr, self.steps)) + "])"

    def to_json(self) -> dict:
        return {"step": "Chain", "steps": [step.to_json() for step in self.steps]}

    def brief(self) -> str:
        """Return the steps in a few words each."""
        return ", ".join(step.brief() for step in self.steps) or "nothing"
