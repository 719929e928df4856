"""Recipes of networks for a person to change; `recipes` has those of word vectors, and the steps inside `Each`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..compress import PQ, SQ, Chain, Step
from ..compress.base import OTHER_STEPS, STEPS
from ..compress.outline import outline
from ..compress.values import ValueStep
from ..networks.network import Network
from ..networks.phrases import Teacher
from ..networks.steps import DropLayers, Each, NetworkStep, PruneNeurons, PruneWeights, as_vectors
from ..networks.task import Task
from ..networks.tokens import PieceTokenizer
from ..networks.training import Train
from ..networks.transplant import Transplant
from ..search.suggest import Preset, first_step
from ..storage import Cut, Wrapper
from ..vectors import Vectors, remembered
from . import recipes

WIDTHS = (4, 8, 16, 32, 64)  # numbers that share codebooks, where they divide all rows
LAYERED = (DropLayers, PruneNeurons)  # steps for networks with layers


def presets(net: Network, task: Task | Teacher) -> dict[str, Preset]:
    """Return recipes to begin with, by intent."""
    codes, repair = Each(PQ(max(net.config.dim // 2, 1)), "embeddings"), Train(task)
    four_bits = Each(SQ("kmeans", n_bits=4), "layers")
    return {
        "light": Preset("int8", "Each number in 8 bits: hardly a difference.", Chain([Each(SQ("int8"), "all")])),
        "codes": Preset(
            "Codes", "Embeddings as PQ codes, layers in 8 bits.", Chain([codes, Each(SQ("int8"), "layers")])
        ),
        "tiny": Preset(
            "Tiny", "Half the weights zero, repaired by training, 4 bits for the others; embeddings as PQ codes.",
            Chain([PruneWeights(0.5), repair, four_bits, codes]),
        ),
    }  # fmt: skip


def addable(net: Network) -> list[dict[str, str]]:
    """Return the kinds of steps for a network."""
    kinds = [kind for kind in OTHER_STEPS.values() if issubclass(kind, NetworkStep)]
    return [
        {"kind": kind.__name__, "label": kind.label, "blurb": f"{kind.label} {kind.blurb}"}
        for kind in kinds
        if (net.config.n_layers or kind not in LAYERED)
        and (kind is not Transplant or (net.config.kind == "bert" and isinstance(net.tokenizer, PieceTokenizer)))
    ]


def added(recipe: Chain, kind: str, at: int | None, net: Network, task: Task | Teacher) -> Chain:
    """Return a recipe with one more step, with usual values."""
    fewer = Transplant(vocabulary=max(net.tokenizer.n_rows // 2, 1), texts=task)
    usual = {"Each": Each(SQ("int8")), "Train": Train(task), "Transplant": fewer}
    place = len(recipe.steps) if at is None else at
    return Chain([*recipe.steps[:place], usual.get(kind) or OTHER_STEPS[kind](), *recipe.steps[place:]])


def fields(step: Any, v: Network) -> list[dict[str, Any]]:
    """Return what is shown of the parameters of a step that is about to get `v`; of a step inside, too.

    The parameters of a step inside have names such as ``"of.n_bits"``.
    """
    found, n_main = list[dict[str, Any]](), 0
    for name, field in step.fields.items():
        value, choices, inside = getattr(step, name), list[list](), list[dict]()
        low, high = (field.low, _high(step, name, v)) if field.kind in recipes.NUMBERS else (None, None)
        if field.kind == "step":
            matrix = _matrix(v, step.on, step.width)
            inside = [] if matrix is None else recipes.fields(Chain([value]), 0, matrix)
            kinds = [kind for kind in STEPS.values() if issubclass(kind, ValueStep) and not kind.needs_ngrams]
            of_use = [kind for kind in kinds if matrix is None or first_step(kind, outline(matrix))]
            choices = [[kind.__name__, kind.label] for kind in dict.fromkeys([*of_use, type(value)])]
        elif name == "width":
            choices = [[None, "no"], *([n, str(n)] for n in _widths(step, v))]
        elif field.kind != "text":
            choices = [list(of) for of in field.choices.items()] if isinstance(field.choices, Mapping) else [
                [choice, choice] for choice in field.choices
            ]  # fmt: skip
        if field.kind == "seed" or (field.kind == "other" and not choices):
            continue
        about = recipes.control(step, name, low, high, choices, field.main and n_main < recipes.N_MAIN)
        n_main += about["main"]
        if choices:
            about |= {"kind": "choice", "value": type(value).__name__ if field.kind == "step" else about["value"]}
            if about["value"] not in [choice for choice, _ in choices]:
                choices.append([about["value"], str(about["value"])])
        found += [about, *({**of, "name": f"{name}.{of['name']}"} for of in inside)]
    return found


def changed(recipe: Chain, i: int, name: str, value: Any, v: Network) -> Chain:
    """Return a recipe with another value of a parameter of step `i`, which gets `v`, and what must go with it."""
    step: Any = recipe.steps[i]
    outer, _, inner = name.partition(".")
    field, values = step.fields[outer], {outer: value}
    if inner:
        matrix, within = _matrix(v, step.on, step.width), Chain([getattr(step, outer)])
        values = {outer: recipes.changed(within, 0, inner, value, matrix).steps[0]} if matrix is not None else {}
    elif field.kind == "step":
        values = {outer: STEPS[value]()}
    elif field.kind in recipes.NUMBERS and value is not None:
        high = _high(step, name, v)
        value = max(field.low, value if high is None else min(value, high))
        values = {name: value if field.kind == "number" else round(value)}
        if isinstance(step, DropLayers) and step.which[:1].isdecimal():  # numbers of layers
            values["which"] = "top"
    elif name == "which" and value[:1].isdecimal():
        values = {"which": value, "n_layers": len({place for place in value.split(",") if place.strip()})}
    new: Any = type(step)(**step.get_params() | values)
    matrix = _matrix(v, new.on, new.width) if isinstance(new, Each) else None
    if matrix is not None and Chain([new.of]).outlined(outline(matrix)) is None:  # as codebooks that are too large
        new.of = first_step(type(new.of), outline(matrix)) or new.of
    return recipe if new == step else Chain([*recipe.steps[:i], new, *recipe.steps[i + 1 :]])


def layers_dropped(recipe: Chain, n_layers: int) -> set[int]:
    """Return the layers of the original that the first step leaves out."""
    first = recipe.steps[0] if recipe.steps else None
    try:
        return first.places(n_layers) if isinstance(first, DropLayers) else set()
    except ValueError:
        return set()


def with_layer(recipe: Chain, layer: int, n_layers: int) -> Chain:
    """Return a recipe whose first step leaves this layer of the original out, too, or no more."""
    dropped = layers_dropped(recipe, n_layers)
    left = sorted(dropped ^ {layer})
    rest = recipe.steps[1:] if dropped else recipe.steps
    return Chain([*([DropLayers(len(left), ",".join(map(str, left)))] if left else []), *rest])


def _high(step: Step, name: str, v: Network) -> float | None:
    high = step.fields[name].high
    return high(v) if callable(high) else high  # type: ignore[arg-type]


def _widths(step: Each, v: Network) -> list[int]:
    columns = np.gcd.reduce([storage.shape[1] for storage in v.matrices(step.on).values()] or [0])
    return [n for n in WIDTHS if columns and columns % n == 0]


@remembered
def _matrix(v: Network, on: str, width: int | None) -> Vectors | None:
    """Return the smallest of the matrices that a step is for, as rows that it stores; None where there is none."""
    found = []
    for storage in v.matrices(on).values():
        if width is not None and not isinstance(storage, Wrapper) and storage.shape[1] % width == 0:
            storage = Cut.of(storage, width)
        while isinstance(storage, Wrapper):
            storage = storage.inner
        found.append(storage)
    return as_vectors(min(found, key=lambda storage: np.prod(storage.shape))) if found else None
