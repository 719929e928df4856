"""Recipes for a person to change: steps that can follow, and parameters with bounds that cannot be left."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..compress import Chain
from ..compress.base import STEPS, Step
from ..compress.outline import n_used_ngrams, outline
from ..compress.values import ValueStep
from ..search.suggest import Preset, first_step, presets, usual
from ..vectors import Vectors

__all__ = [
    "Preset",
    "addable",
    "added",
    "bounds",
    "changed",
    "effects",
    "fields",
    "predicted_bytes",
    "presets",
    "usual",
]

NUMBERS = ("count", "whole", "number")
N_MAIN = 2  # parameters of a step that are always shown
WIDE = 100  # times its low end, from which on a slider is logarithmic


def addable(recipe: Chain, v: Vectors) -> list[dict[str, str]]:
    """Return the kinds of steps that can follow a recipe: those for all models first, quantisers last."""
    o = recipe.outlined(outline(v))
    kinds = [kind for kind in STEPS.values() if kind is not Chain and o and first_step(kind, o)]
    kinds.sort(key=lambda kind: (issubclass(kind, ValueStep), kind.needs_ngrams, kind.__name__))
    return [{"kind": kind.__name__, "label": kind.label, "blurb": f"{kind.label} {kind.blurb}"} for kind in kinds]


def added(recipe: Chain, kind: str, at: int | None, v: Vectors, seed: int = 0) -> Chain:
    """Return a recipe with one more step: at a place, if all steps still work with it there, else at the end."""
    steps = list(recipe.steps)
    for place in (len(steps) if at is None else at, len(steps)):
        o = Chain(steps[:place]).outlined(outline(v))
        step = o and first_step(STEPS[kind], o, seed)
        if o and step and Chain([step, *steps[place:]]).outlined(o):
            return Chain([*steps[:place], step, *steps[place:]])
    raise ValueError(f"{STEPS[kind].label} cannot follow {recipe.brief()}; take out a step first")


def predicted_bytes(recipe: Chain, v: Vectors) -> int | None:
    """Return nearly the bytes of the file that a recipe would make; None where that cannot be said."""
    o = recipe.outlined(outline(v))
    return o.file_bytes if o and o.is_sure else None


def effects(recipe: Chain, v: Vectors, trial: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what each step of a recipe saved, such as "22.6 → 2.9 MB"; the trial has its bytes and ratio."""
    between = [predicted_bytes(Chain(recipe.steps[:n]), v) for n in range(1, len(recipe.steps))]
    return effect_texts([round(trial["bytes"] * trial["ratio"]), *between, trial["bytes"]])[: len(recipe.steps)]


def effect_texts(sizes: Sequence[int | None]) -> tuple[str, ...]:
    """Return what was saved between two sizes each, such as "22.6 → 2.9 MB"."""
    texts = []
    for before, after in pairwise(sizes):
        if before is None or after is None:
            texts.append("")
        elif abs(after - before) < 0.01 * before:
            texts.append("adds no bytes")
        else:
            digits = 1 if after >= 10**6 else 2 if after >= 10**4 else 4
            texts.append(f"{before / 1e6:.{digits}f} → {after / 1e6:.{digits}f} MB")
    return tuple(texts)


def fields(recipe: Chain, i: int, v: Vectors) -> list[dict[str, Any]]:
    """Return what is shown of the parameters of a step, as JSON; one with a single possible value is left out."""
    step, found = recipe.steps[i], list[dict[str, Any]]()
    values = step.get_params() | step.to_json()  # paths as text
    for name, field in step.fields.items():
        if field.kind == "seed" or (field.of_ngrams and v.vocab.subwords is None):
            continue
        low, high = bounds(recipe, i, name, v) if field.kind in NUMBERS else (None, None)
        offered = (False, True) if field.kind == "tick" else field.choices
        labels = offered if isinstance(offered, Mapping) else {choice: choice for choice in offered}
        choices = [[c, text] for c, text in labels.items() if c == values[name] or _with(recipe, i, name, c, v)]
        if (field.kind in NUMBERS and low == high) or (field.kind in ("choice", "tick") and len(choices) < 2):
            continue
        is_main = field.main and sum(other["main"] for other in found) < N_MAIN
        found.append(control(step, name, low, high, choices, is_main))
    return found


def control(
    step: Step, name: str, low: float | None, high: float | None, choices: list[list], is_main: bool
) -> dict[str, Any]:
    """Return what a front end shows of a parameter: a slider where there is a highest value, or choices."""
    field, value = step.fields[name], (step.get_params() | step.to_json())[name]  # a path as text
    is_wide = field.kind == "count" and low is not None and high is not None and high > WIDE * max(low, 1)
    return {
        "name": name, "label": field.label, "help": step.helps().get(name, ""), "kind": field.kind, "value": value,
        "low": low, "high": high, "log": is_wide, "choices": choices, "main": is_main, "all_is_none": field.all_is_none,
    }  # fmt: skip


def bounds(recipe: Chain, i: int, name: str, v: Vectors) -> tuple[float, float | None]:
    """Return the least and the greatest value of a number with which all steps work; None for no greatest one."""
    step, o = recipe.steps[i], Chain(recipe.steps[:i]).outlined(outline(v))
    field, value = step.fields[name], getattr(step, name)
    is_for = v.vocab.subwords is not None or not step.needs_ngrams
    high = (field.high(v) if is_for else None) if callable(field.high) else field.high
    if o and high is not None:
        n_ngrams = min(o.ngrams.n, n_used_ngrams(v)) if o.ngrams else 0
        high = min(high, {"n_words": o.n_words, "n_ngrams": n_ngrams, "n_buckets": o.n_buckets}.get(name, high))
    if value is None:
        value = high
    if value is None:
        return field.low, high

    def works(value: float) -> bool:
        return o is not None and Chain([_step(step, {name: value}), *recipe.steps[i + 1 :]]).outlined(o) is not None

    if not works(value):  # it is shown as it is, and an error will say what is wrong
        return min(field.low, value), None if high is None else max(high, value)
    if field.kind == "number":
        ends = field.low, field.low + 1 if high is None else high
        return (field.low, high) if any(end != value and works(end) for end in ends) else (value, value)
    return _edge(works, value, field.low), None if high is None else _edge(works, value, max(high, value))


def _edge(works: Callable[[int], bool], good: int, end: int) -> int:
    """The number nearest to `end` that works, if all from a good one up to it do."""
    if works(end):
        return end
    while abs(good - end) > 1:
        middle = (good + end) // 2
        good, end = (middle, end) if works(middle) else (good, middle)
    return good


def changed(recipe: Chain, i: int, name: str, value: Any, v: Vectors) -> Chain:
    """Return a recipe with another value of a parameter, within its bounds."""
    field = recipe.steps[i].fields[name]
    if field.kind in NUMBERS and value is not None:
        low, high = bounds(recipe, i, name, v)
        value = (float if field.kind == "number" else round)(max(low, value if high is None else min(value, high)))
        value = None if field.all_is_none and value == high else value
    if value == getattr(recipe.steps[i], name):
        return recipe
    return _with(recipe, i, name, value, v) or _replaced(recipe, i, {name: value})


def _with(recipe: Chain, i: int, name: str, value: Any, v: Vectors) -> Chain | None:
    """The recipe with this value, if it works, or does with the default of another parameter of the same step."""
    kind = type(recipe.steps[i])
    for other in (name, *kind.fields):
        new = _replaced(recipe, i, {other: getattr(kind, other), name: value})
        if new.outlined(outline(v)):
            return new
    return None


def _replaced(recipe: Chain, i: int, values: dict[str, Any]) -> Chain:
    return Chain([*recipe.steps[:i], _step(recipe.steps[i], values), *recipe.steps[i + 1 :]])


def _step(step: Step, values: dict[str, Any]) -> Step:
    return type(step)(**step.get_params() | values)
