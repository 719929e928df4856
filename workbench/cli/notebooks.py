"""Commands on notebooks: ``report`` and ``lab``."""

import argparse
import ast
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..reports.metrics import Metric, Run


def report(args: argparse.Namespace) -> int:
    """Run notebooks as regression tests."""
    from ..reports.metrics import read_baseline
    from ..reports.run import check_parameters, default_parameters, run_all

    notebooks = args.notebooks or sorted(Path("notebooks").glob("*.ipynb"))
    if not notebooks:
        raise ValueError("no notebooks in ./notebooks; run this in a checkout, or name the files")
    for path in notebooks:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
    if not args.notebooks:
        for orphan in {p.stem for p in args.baselines.glob("*.json")} - {p.stem for p in notebooks}:
            raise ValueError(f"{args.baselines / orphan}.json is the baseline of a notebook that is gone; delete it")
    before: dict[str, dict[str, Metric]] = {}
    if args.update_baselines:
        before = {path.stem: read_baseline(args.baselines / f"{path.stem}.json") for path in notebooks}
    parameters = {}
    for path in notebooks:
        check_parameters(path, dict(args.parameter))
        defaults = default_parameters(path)
        parameters[path] = {name: _value(name, text, defaults[name]) for name, text in args.parameter}

    def told(run: "Run") -> None:
        print(f"{run.status:7} {run.seconds:5.0f} s  {run.name}" + (f": {run.error}" if run.error else ""), flush=True)
        for v in run.verdicts:
            if v.failed:
                print(f"        {v.status}: {v.name} = {v.value}, baseline {v.baseline}, tolerance {v.abs}")
        if args.update_baselines and run.error is None:
            old, new = ({m.name: _shown(m) for m in metrics} for metrics in (before[run.name].values(), run.metrics))
            for name in {**old, **new}:
                if old.get(name) != new.get(name):
                    print(f"        {name}: {old.get(name, 'none')} -> {new.get(name, 'none')}")

    print(f"running {len(notebooks)} notebooks; {args.out / 'index.html'} grows as they end", flush=True)
    baselines = None if args.no_baselines else args.baselines
    runs = run_all(notebooks, args.out, baselines, parameters, args.update_baselines, args.jobs, told)
    print(f"read {args.out / 'index.html'}")
    return int(any(run.failed for run in runs))


def _shown(metric: "Metric") -> str:
    return f"{metric.value:.6g} (within {metric.abs:g}, {metric.better})"


def _value(name: str, text: str, default: Any) -> Any:
    """Read a parameter as its type in the notebook: text, or a Python literal (3, 0.5, True, ['king', 'queen']).

    The path of a file that exists becomes absolute, since notebooks run in the output folder.
    """
    try:
        value = text if isinstance(default, str) else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(default, int) and isinstance(value, float) and value.is_integer():
        value = int(value)
    kinds = (int, float) if isinstance(default, float) else type(default)
    if default is not None and (not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool)):
        raise ValueError(f"parameter {name} is of type {type(default).__name__}, such as {default!r}; got {text!r}")
    try:
        return str(Path(value).resolve()) if isinstance(value, str) and Path(value).exists() else value
    except OSError:  # too long for a path, as a recipe's JSON is
        return value


def lab(args: argparse.Namespace) -> int:
    """Open the notebooks in JupyterLab (outside a checkout: a copy of them); further options are passed on to it."""
    from ..lab import command, notebooks

    folder = notebooks()
    print(f"opening {folder}")
    line, environment = command(folder, args.rest)
    return subprocess.call(line, env=environment)
