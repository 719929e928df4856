"""Recipes as text: what `print(recipe)` shows, JSON, or a file of either. Read, never run as code."""

import ast
import difflib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from ..vectors import Vectors
from .base import STEPS, Chain, Step

MOST = 1 << 16  # characters of a recipe; a chain with every parameter said has a thousand
SHOWN = 60  # characters of a wrong name that an error repeats
LARGEST = 1 << 63
PREFIXES = ("wb", "workbench")
EXAMPLE = "a recipe such as Chain([Prune(n_words=4000), PQ(n_subvectors=50)])"


def recipe_from(text: str | Path) -> Step:
    """A recipe from text, or from a file that holds one; never evaluated as code.

    Parameters
    ----------
    text : str or Path
        What ``print(recipe)`` shows; steps alone, separated by commas, with or without ``[ ]``;
        the JSON of `Step.to_json`; or the path of a file with one of these in it, or of a model that
        `Vectors.save` wrote, whose own recipe is taken. A string that begins like a recipe is one.

    Returns
    -------
    Step
        A `Chain` where there are several steps.

    Raises
    ------
    FileNotFoundError
        If the text is neither a recipe nor the path of a file.
    ValueError
        If a step or parameter is unknown, or something else than numbers, strings, True, False and
        None stands for a value. The error says where.
    """
    if isinstance(text, str) and (_begins_like_a_recipe(text) or not _is_file(text)):
        return _parsed(text)
    if not isinstance(text, str | Path):
        raise TypeError(f"expected text or a path, got {type(text).__name__}; from_json reads values")
    path = Path(text).expanduser()
    with open(path, "rb") as file:
        head = file.read(4 * MOST + 1)
    try:
        if head[8:9] == b"{":
            return _of_model(path)
        return _parsed(head.decode("utf-8-sig", "replace"))
    except (ValueError, FileNotFoundError) as error:  # a text without a bracket is taken for a name
        raise ValueError(f"{path}: {error}") from error


def from_json(recipe: str | dict | list) -> Step:
    """A step from its JSON, as text or values; never evaluated as code.

    Parameters
    ----------
    recipe : str, dict or list
        What `Step.to_json` gave, or the list of steps that a model carries in
        ``meta["recipe"]``, which becomes a `Chain`.

    Raises
    ------
    ValueError
        If a step or one of its parameters is unknown, or a value is no number, string, true, false or null.
    """
    try:
        return _step(json.loads(recipe) if isinstance(recipe, str) else recipe, "")
    except RecursionError:
        raise ValueError("the recipe is nested too deep") from None


def _of_model(path: Path) -> Step:
    recipe = Vectors.load(path).meta.get("recipe")
    if not recipe:
        raise ValueError("the model in this file was made without a recipe")
    return from_json(recipe)


def _begins_like_a_recipe(text: str) -> bool:
    """Whether it begins with a bracket or with the call of a step; paths that do are given as `Path`."""
    return re.match(rf"\s*([\[{{(#]|(({'|'.join(PREFIXES)})\.)?({'|'.join(STEPS)})\s*\()", text) is not None


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # too long; a NUL in it; ~ of somebody unknown
        return False


def _parsed(text: str) -> Step:
    """The recipe in a text: Python where it is no JSON."""
    if len(text) > MOST:
        raise ValueError(f"expected {EXAMPLE}, got {len(text):,} characters; {MOST:,} are read at most")
    if not text.strip():
        raise ValueError(f"expected {EXAMPLE}, got nothing")
    if not re.search(r"[(\[{]", text):
        if text.strip() in STEPS:
            raise ValueError(f"expected {EXAMPLE}, got {text.strip()!r}; a step has brackets: {text.strip()}()")
        raise FileNotFoundError(f"{text.strip()[:SHOWN]!r} is neither a file nor {EXAMPLE}")
    if text.lstrip()[0] in "[{":
        try:
            return from_json(text)
        except json.JSONDecodeError:
            pass  # Python's lists and dicts begin like JSON's
    # In brackets, steps that are separated by commas may stand on lines of their own.
    source = "(\n" + text.replace("\r\n", "\n").replace("\r", "\n") + "\n)"
    try:
        return _Reader(source).step(ast.parse(source, mode="eval").body)
    except SyntaxError as error:
        where = f" (line {max((error.lineno or 2) - 1, 1)}, column {error.offset or 1})"
        raise ValueError(f"expected {EXAMPLE}, got text that is no Python: {error.msg}{where}") from None
    except UnicodeEncodeError:
        raise ValueError(f"expected {EXAMPLE}, got text that is not UTF-8") from None
    except (RecursionError, MemoryError):
        raise ValueError("the recipe is nested too deep") from None


class _Reader:
    """Turns Python's syntax tree of a recipe into steps, and says where something is wrong.

    The first line of the source is a bracket, and not the user's.
    """

    def __init__(self, source: str):
        self.source = source

    def step(self, node: ast.expr) -> Step:
        if isinstance(node, ast.List | ast.Tuple):
            return Chain(self.steps(node))
        if isinstance(node, ast.Dict):
            return _step(self.plain(node), self.where(node))
        if not isinstance(node, ast.Call):
            self.refuse(node, "expected a step, such as PQ(n_subvectors=50)")
        name, where = self.name(node.func), self.where(node)
        _check_name(name, where)
        params = self.params(name, node)
        if name == "Chain":
            if "steps" not in params:
                self.refuse(node, "expected the steps of a Chain in a list")
            return Chain(self.steps(params["steps"]))
        return _made(name, {key: self.plain(value) for key, value in params.items()}, where)

    def steps(self, node: ast.expr) -> list[Step]:
        if not isinstance(node, ast.List | ast.Tuple):
            self.refuse(node, "expected a list of steps")
        return [self.step(item) for item in node.elts]

    def name(self, node: ast.expr) -> str:
        """Name of the step that is called; ``wb.`` may stand before it."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in PREFIXES:
            return node.attr
        if not isinstance(node, ast.Name):
            self.refuse(node, "expected the name of a step")
        return node.id

    def params(self, name: str, call: ast.Call) -> dict[str, ast.expr]:
        """Arguments of a call by name; those without one are in the order of the step's parameters."""
        known = STEPS[name]._names()
        if len(call.args) > len(known):
            most = f"at most {len(known)} values ({', '.join(known)})" if known else "no values"
            self.refuse(call.args[len(known)], f"{name} takes {most}")
        params = dict(zip(known, call.args, strict=False))
        for keyword in call.keywords:
            if keyword.arg is None:
                self.refuse(keyword.value, f"expected a parameter of {name} with its value")
            _check_params(name, [keyword.arg], self.where(keyword))
            if keyword.arg in params:
                raise ValueError(f"{name} is given {keyword.arg} twice{self.where(keyword)}")
            params[keyword.arg] = keyword.value
        return params

    def plain(self, node: ast.expr) -> Any:
        """The number, string, True, False or None that stands there; lists and dicts of these, as JSON has them."""
        if isinstance(node, ast.List | ast.Tuple):
            return [self.plain(item) for item in node.elts]
        if isinstance(node, ast.Dict) and None not in node.keys:
            return {str(self.plain(key)): self.plain(x) for key, x in zip(node.keys, node.values, strict=True) if key}
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str | None):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
            value = node.operand.value
            if isinstance(value, int | float) and isinstance(node.op, ast.USub | ast.UAdd):
                return -value if isinstance(node.op, ast.USub) else value
        self.refuse(node, "expected a number, a string, True, False or None")

    def where(self, node: ast.expr | ast.keyword) -> str:
        """Line and column of a node, counted from 1 in characters."""
        line = self.source.split("\n")[node.lineno - 1].encode()
        return f" (line {max(node.lineno - 1, 1)}, column {len(line[: node.col_offset].decode()) + 1})"

    def refuse(self, node: ast.expr, expected: str) -> NoReturn:
        found = ast.get_source_segment(self.source, node) or ""
        raise ValueError(f"{expected}, got {' '.join(found.split())[:SHOWN]}{self.where(node)}")


def _step(values: Any, where: str) -> Step:
    """A step from JSON values; `where` it stands is for errors."""
    if isinstance(values, list):
        return Chain(_steps(values, where))
    if not isinstance(values, dict):
        raise ValueError(f"expected a step such as {{'step': 'PQ'}}, got {str(values)[:SHOWN]}{where}")
    params = dict(values)
    name = params.pop("step", None)
    _check_name(name, where)
    _check_params(name, params, where)
    if name == "Chain":
        return Chain(_steps(params.get("steps", []), where))
    return _made(name, params, where)


def _steps(values: Any, where: str) -> list[Step]:
    if not isinstance(values, list):
        raise ValueError(f"expected a list of steps, got {str(values)[:SHOWN]}{where}")
    return [_step(step, f" (step {number}{where.replace(' (', ' of ')[:-1]})") for number, step in enumerate(values, 1)]


def _made(name: str, params: dict[str, Any], where: str) -> Step:
    """The step, with what no parameter can be refused."""
    for key, value in params.items():
        is_plain = value is None or isinstance(value, str | bool | int | float)
        if not is_plain or (isinstance(value, int | float) and not _is_sensible(value)):
            shown = str(value)[:SHOWN] if not isinstance(value, int) else f"a number of {value.bit_length()} bits"
            raise ValueError(f"{name}: {key} cannot be {shown}{where}")
    return STEPS[name](**params)


def _is_sensible(value: float) -> bool:
    return math.isfinite(value) if isinstance(value, float) else -LARGEST <= value < LARGEST


def _check_name(name: Any, where: str) -> None:
    if not isinstance(name, str) or name not in STEPS:
        raise ValueError(f"unknown step {_shown(name)}{where}{_advice(name, sorted(STEPS))}")


def _check_params(name: str, given: Iterable[str], where: str) -> None:
    known = STEPS[name]._names()
    for param in given:
        if param not in known:
            raise ValueError(f"{name} has no parameter {_shown(param)}{where}{_advice(param, known)}")


def _shown(name: Any) -> str:
    return repr(name[:SHOWN] if isinstance(name, str) else name)[: SHOWN + 2]


def _advice(name: Any, known: list[str]) -> str:
    """The known name that is most like a wrong one, whatever the case, and all of them."""
    if not known:
        return "; it has none"
    lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name[:SHOWN].lower(), lower, 1) if isinstance(name, str) else []
    return f"; {f'did you mean {lower[near[0]]}? ' if near else ''}known are {', '.join(known)}"
