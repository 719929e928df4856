"""Commands on notebooks: ``report`` and ``lab``."""

import argparse
import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

FIRST = "00_quickstart.ipynb"
PACKAGE = Path(__file__).parents[1]
# Defaults, which a person's own settings override. Messages of all widgets go through one channel, so that callbacks
# come in order; widget state stays out of notebooks, where panels leave a static page; nothing is fetched.
SETTINGS = PACKAGE / "jupyter"


def report(args: argparse.Namespace) -> int:
    """Run notebooks as regression tests."""
    from ..reports.metrics import read_baseline
    from ..reports.run import run_all

    notebooks = args.notebooks or sorted(Path("notebooks").glob("*.ipynb"))
    if not notebooks:
        raise ValueError("no notebooks in ./notebooks; run this in a checkout, or name the files")
    for path in notebooks:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
    before = {path.stem: read_baseline(args.baselines / f"{path.stem}.json") for path in notebooks}
    parameters = {path: _parameters(path, args.parameter) for path in notebooks if args.parameter}
    print(f"running {len(notebooks)} notebooks; {args.out / 'index.html'} grows as they end", flush=True)
    status, baselines = 0, None if args.no_baselines else args.baselines
    for run in run_all(notebooks, args.out, baselines, parameters, args.update_baselines, args.jobs):
        status |= run.failed
        print(f"{run.status:7} {run.seconds:5.0f} s  {run.name}" + (f": {run.error}" if run.error else ""), flush=True)
        for v in run.verdicts:
            if v.failed:
                print(f"        {v.status}: {v.name} = {v.value}, baseline {v.baseline}, tolerance {v.abs}")
        if args.update_baselines and run.error is None:
            old, new = (
                {m.name: f"{m.value:.6g} (within {m.abs:g}, {m.better})" for m in metrics}
                for metrics in (before[run.name].values(), run.metrics)
            )
            for name in old | new:
                if old.get(name) != new.get(name):
                    print(f"        {name}: {old.get(name, 'none')} -> {new.get(name, 'none')}")
    print(f"read {args.out / 'index.html'}")
    return int(status)


def _parameters(path: Path, given: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Read parameters as their types in the cell tagged ``parameters``: text, or Python literals.

    The path of a file that exists becomes absolute, since notebooks run in the output folder.
    """
    import nbformat

    cells = nbformat.read(path, as_version=4).cells
    source = next((cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ())), "")
    defaults: dict[str, Any] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            names = [name.id for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)]
            values = _literal(node.value, None)
            is_one = values is None or isinstance(node.targets[0], ast.Name)
            defaults |= zip(names, [values] * len(names) if is_one else values, strict=True)
    parameters = {}
    for name, text in given:
        if name not in defaults:
            raise ValueError(f"{path} has no parameter named {name}; it has {', '.join(defaults) or 'none'}")
        default = defaults[name]
        kind = type(default)
        value = text if kind is str else _literal(text, text)
        if kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        if default is not None and type(value) is not kind and (kind, type(value)) != (float, int):
            raise ValueError(f"parameter {name} is of type {kind.__name__}, such as {default!r}; got {text!r}")
        parameters[name] = os.path.abspath(value) if isinstance(value, str) and os.path.exists(value) else value
    return parameters


def _literal(text: str | ast.expr, otherwise: Any) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return otherwise


def lab(args: argparse.Namespace) -> int:
    """Open the notebooks in JupyterLab (outside a checkout: a copy of them); further options are passed on to it."""
    folder = _notebooks()
    print(f"opening {folder}")
    command, environment = lab_command(folder, args.rest)
    return subprocess.call(command, env=environment)


def lab_command(folder: Path, options: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts JupyterLab on a folder, and its environment."""
    paths = [str(SETTINGS), *os.environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep)]
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(path for path in paths if path)}
    return [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}", *options], environment


def _notebooks() -> Path:
    """The folder of the notebooks: in a checkout themselves, else a copy, whose files are never overwritten."""
    checkout = PACKAGE.parent / "notebooks"
    if (checkout / FIRST).exists():
        return checkout
    installed = [Path(file.locate()) for file in metadata.files("embedding-workbench") or () if file.name == FIRST]
    if not installed:
        raise FileNotFoundError("this installation lacks the notebooks; install it again, or work in a checkout")

    def copy_new(source: str, target: str) -> None:
        if not os.path.exists(target):
            shutil.copyfile(source, target)

    copy = Path("embedding-workbench", "notebooks").resolve()
    return Path(shutil.copytree(installed[0].parent, copy, dirs_exist_ok=True, copy_function=copy_new))
