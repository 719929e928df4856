"""Recipes as text: what `print(recipe)` shows, JSON, or a file of either. Read, never run as code."""

import ast
import difflib
import json
import math
import re
from pathlib import Path
from typing import Any

from .. import artefact
from .base import OTHER_STEPS, STEPS, Step, step_named

MAX_CHARACTERS = 1 << 16  # a chain with every parameter said has a thousand
SHOWN = 60  # characters of a wrong name or value that an error repeats
PREFIXES = ("wb", "workbench", "networks", "wb.networks", "workbench.networks")
EXAMPLE = "a recipe such as Chain([Prune(n_words=4000), PQ(n_subvectors=50)])"


def recipe_from(text: str | Path) -> Step:
    """Read a recipe from text, or from a file that holds one; it is never evaluated as code.

    Parameters
    ----------
    text : str or Path
        The output of ``print(recipe)``; steps alone, separated by commas, with or without ``[ ]``;
        the JSON of `Step.to_json`; or the path of a file with one of these in it, or of a model or network
        that `save` wrote, whose own recipe is taken. A string that begins like a recipe is one.

    Returns
    -------
    Step
        A `Chain` for several steps.

    Raises
    ------
    FileNotFoundError
        If the text is neither a recipe nor the path of a file.
    ValueError
        If a step or parameter is unknown, or a value is no number, string, True, False or None. The error says where.
    """
    if not isinstance(text, str | Path):
        raise TypeError(f"expected text or a path, got {type(text).__name__}; from_json reads values")
    if isinstance(text, str) and (not _is_file(text) or _begins_like_a_recipe(text)):
        return _parsed(text)
    path = Path(text).expanduser()
    with open(path, "rb") as file:
        head = file.read(4 * MAX_CHARACTERS + 1)
    try:
        if head[8:9] != b"{":
            return _parsed(head.decode("utf-8-sig", "replace"))
        if steps := artefact.read(path, lambda _, about: about["meta"].get("recipe")):
            return from_json(steps)
        raise ValueError("the model in this file was made without a recipe")
    except (ValueError, FileNotFoundError) as error:  # a text without a bracket is taken for a name
        raise ValueError(f"{path}: {error}") from error


def from_json(recipe: str | dict | list) -> Step:
    """Make a step from its JSON, as text or values; it is never evaluated as code.

    Parameters
    ----------
    recipe : str, dict or list
        The value of `Step.to_json`, or the list of steps that a model carries in ``meta["recipe"]``,
        which becomes a `Chain`.

    Raises
    ------
    ValueError
        If a step or one of its parameters is unknown, or a value is no number, string, true, false or null.
    """
    try:
        return _step(json.loads(recipe) if isinstance(recipe, str) else recipe, "")
    except RecursionError:
        raise ValueError("the recipe is nested too deep") from None


def _begins_like_a_recipe(text: str) -> bool:
    call = re.match(r"\s*(?:([a-z.]+)\.)?(\w+)\s*\(", text)
    is_call = call is not None and call[1] in (None, *PREFIXES) and step_named(call[2]) is not None
    return is_call or text.lstrip()[:1] in ("[", "{", "(", "#")


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # too long; a NUL in it; ~ of somebody unknown
        return False


def _parsed(text: str) -> Step:
    """The recipe in a text: JSON, else Python."""
    name = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"expected {EXAMPLE}, got {len(text):,} characters; {MAX_CHARACTERS:,} are read at most")
    if not name:
        raise ValueError(f"expected {EXAMPLE}, got nothing")
    if not re.search(r"[(\[{]", text) and not (name.isidentifier() and step_named(name)):
        raise FileNotFoundError(f"{name[:SHOWN]!r} is neither a file nor {EXAMPLE}")
    if name[0] in "[{":
        try:
            return from_json(text)
        except json.JSONDecodeError:
            pass  # Python's lists and dicts begin like JSON's
    # In brackets, steps that are separated by commas may stand on lines of their own.
    source = "(\n" + text.replace("\r\n", "\n").replace("\r", "\n") + "\n)"
    try:
        return _step(_Reader(source).values(ast.parse(source, mode="eval").body), "")
    except SyntaxError as error:
        where = f" (line {max((error.lineno or 2) - 1, 1)}, column {error.offset or 1})"
        raise ValueError(f"expected {EXAMPLE}, got text that is no Python: {error.msg}{where}") from None
    except UnicodeEncodeError:
        raise ValueError(f"expected {EXAMPLE}, got text that is not UTF-8") from None
    except (RecursionError, MemoryError):
        raise ValueError("the recipe is nested too deep") from None


class _Placed(dict):
    """JSON values of a step, and where it stands in a text."""

    where = ""


class _Reader:
    """Turns Python's syntax tree of a recipe into JSON values.

    The first line of the source is a bracket, and not the user's.
    """

    def __init__(self, source: str):
        self.source = source

    def values(self, node: ast.expr) -> Any:
        if isinstance(node, ast.List | ast.Tuple):
            return [self.values(item) for item in node.elts]
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str | None):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
            number = node.operand.value
            if isinstance(number, int | float) and isinstance(node.op, ast.USub | ast.UAdd):
                return -number if isinstance(node.op, ast.USub) else number
        found = _Placed()
        found.where = self.where(node)
        if isinstance(node, ast.Dict) and None not in node.keys:
            pairs = zip(node.keys, node.values, strict=True)
            found.update((str(self.values(key)), self.values(value)) for key, value in pairs if key)
        elif isinstance(node, ast.Call) and (name := self.name(node.func)):
            params = _kind(name, found.where)._names()
            if len(node.args) > len(params):
                most = f"at most {len(params)} values ({', '.join(params)})" if params else "no values"
                raise ValueError(f"{name} takes {most}, got {len(node.args)}{found.where}")
            found["step"] = name
            arguments = [*zip(params, node.args, strict=False), *((word.arg, word.value) for word in node.keywords)]
            for key, value in arguments:
                if key is None or key in found:
                    raise ValueError(f"{name}: {key or 'every value'} must be given once, with its name{found.where}")
                found[key] = self.values(value)
        else:
            shown = " ".join((ast.get_source_segment(self.source, node) or "").split())[:SHOWN]
            if shown.isidentifier() and step_named(shown):
                raise ValueError(f"expected a step, got {shown}{found.where}; a step has brackets: {shown}()")
            raise ValueError(f"expected a step, a number, a string, True, False or None, got {shown}{found.where}")
        return found

    def name(self, node: ast.expr) -> str | None:
        """The name of the step that is called; ``wb.`` or ``networks.`` may stand before it."""
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in PREFIXES:
            return node.attr
        return node.id if isinstance(node, ast.Name) else None

    def where(self, node: ast.expr) -> str:
        """Line and column of a node, counted from 1 in characters."""
        line = self.source.split("\n")[node.lineno - 1].encode()
        return f" (line {max(node.lineno - 1, 1)}, column {len(line[: node.col_offset].decode()) + 1})"


def _step(values: Any, where: str) -> Step:
    """A step from JSON values; `where` it stands is for errors."""
    if isinstance(values, list):
        values = {"step": "Chain", "steps": values}
    if not isinstance(values, dict):
        raise ValueError(f"expected a step such as {{'step': 'PQ'}}, got {str(values)[:SHOWN]}{where}")
    where = getattr(values, "where", where)
    params = dict(values)
    name = params.pop("step", None)
    kind = _kind(name, where)
    known, inside = kind._names(), where.replace(" (", " of ")[:-1]
    for param in params:
        if param not in known:
            raise ValueError(f"{name} has no parameter {_shown(param)}{where}{_advice(param, known)}")
    if name == "Chain":
        steps = params.get("steps")
        if not isinstance(steps, list):
            raise ValueError(f"expected a list of steps, got {str(steps)[:SHOWN]}{where}")
        params["steps"] = [_step(step, f" (step {number}{inside})") for number, step in enumerate(steps, 1)]
    else:
        for key, value in params.items():
            if key in kind.fields and kind.fields[key].kind == "step" and value is not None:
                params[key] = _step(value, f" (within {name}{inside})")
                continue
            is_integer = isinstance(value, int) and -(2**63) <= value < 2**63
            is_float = isinstance(value, float) and math.isfinite(value)
            if not (is_integer or is_float or value is None or isinstance(value, str)):
                shown = f"a number of {value.bit_length()} bits" if isinstance(value, int) else str(value)[:SHOWN]
                raise ValueError(f"{name}: {key} cannot be {shown}{where}")
    return kind(**params)


def _kind(name: Any, where: str) -> type[Step]:
    """The step of this name."""
    kind = step_named(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"unknown step {_shown(name)}{where}{_advice(name, sorted(STEPS | OTHER_STEPS))}")
    return kind


def _shown(name: Any) -> str:
    return repr(name[:SHOWN] if isinstance(name, str) else name)[: SHOWN + 2]


def _advice(name: Any, known: list[str]) -> str:
    """The known name that is most like a wrong one, whatever the case, and all of them."""
    if not known:
        return "; it has none"
    lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name[:SHOWN].lower(), lower, 1) if isinstance(name, str) else []
    return f"; {f'did you mean {lower[near[0]]}? ' if near else ''}choose from {', '.join(known)}"
