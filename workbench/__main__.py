"""The command line: ``workbench report | lab | info``."""

import argparse
import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .reports.metrics import Metric


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = _parser()
    args, unknown = parser.parse_known_args(arguments)
    if unknown and args.command is not lab:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    args.rest = unknown
    try:
        return args.command(args)
    except (OSError, ValueError) as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("workbench: stopped", file=sys.stderr)
        return 130


def report(args: argparse.Namespace) -> int:
    """Run notebooks as regression tests."""
    from .reports.metrics import read_baseline
    from .reports.run import run_all

    notebooks = args.notebooks or sorted(Path("notebooks").glob("*.ipynb"))
    if not notebooks:
        raise ValueError("no notebooks in ./notebooks; run this in a checkout, or name the files")
    for path in notebooks:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
    if not args.notebooks:
        for orphan in {p.stem for p in args.baselines.glob("*.json")} - {p.stem for p in notebooks}:
            raise ValueError(f"{args.baselines / orphan}.json is the baseline of a notebook that is gone; delete it")
    baselines = None if args.no_baselines else args.baselines
    updated = notebooks if args.update_baselines else []
    before = {path.stem: read_baseline(args.baselines / f"{path.stem}.json") for path in updated}
    runs = run_all(
        notebooks, args.out, baselines, {name: _value(text) for name, text in args.parameter}, args.update_baselines
    )
    for run in runs:
        print(f"{run.status:7} {run.seconds:5.0f} s  {run.name}" + (f": {run.error}" if run.error else ""))
        for v in run.verdicts:
            if v.failed:
                print(f"        {v.status}: {v.name} = {v.value}, baseline {v.baseline}, tolerance {v.abs}")
        if args.update_baselines and run.error is None:
            for name, old, new in _differences(before[run.name], {m.name: m for m in run.metrics}):
                print(f"        {name}: {old} -> {new}")
    print(f"read {args.out / 'index.html'}")
    return int(any(run.failed for run in runs))


def _differences(old: dict[str, "Metric"], new: dict[str, "Metric"]) -> list[tuple[str, str, str]]:
    """Baselines that changed: name, old and new value with its tolerance and direction."""

    def shown(metrics: dict[str, "Metric"], name: str) -> str:
        metric = metrics.get(name)
        return f"{metric.value:.6g} (within {metric.abs:g}, {metric.better})" if metric else "none"

    rows = [(name, shown(old, name), shown(new, name)) for name in {**old, **new}]
    return [row for row in rows if row[1] != row[2]]


def lab(args: argparse.Namespace) -> int:
    """Open the notebooks in JupyterLab (outside a checkout: a copy of them); further options are passed on to it."""
    from .lab import command, notebooks

    folder = notebooks()
    print(f"opening {folder}")
    line, environment = command(folder, args.rest)
    return subprocess.call(line, env=environment)


def info(args: argparse.Namespace) -> int:
    """Say what is in a model file."""
    from .formats import load

    for label, value in load(args.file).describe():
        print(f"{label + ':':13} {value}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="workbench", description="Make embedding models small, and see what it costs."
    )
    commands = parser.add_subparsers(title="commands", required=True, dest="name")

    sub = commands.add_parser("report", help=report.__doc__, description=report.__doc__)
    sub.add_argument("notebooks", nargs="*", type=Path, help="notebooks to run (default: all in ./notebooks)")
    sub.add_argument("--out", type=Path, default=Path("reports"), help="folder to write into (default: reports)")
    sub.add_argument(
        "--baselines",
        type=Path,
        default=Path("notebooks/baselines"),
        help="folder of baselines (default: notebooks/baselines)",
    )
    choice = sub.add_mutually_exclusive_group()
    choice.add_argument("--no-baselines", action="store_true", help="compare with nothing, as for a model of your own")
    choice.add_argument("--update-baselines", action="store_true", help="make what is recorded the new baselines")
    sub.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a parameter of the notebooks, as in -p SOURCE my.bin -p WORDS \"['king', 'queen']\"; may be repeated",
    )
    sub.set_defaults(command=report)

    sub = commands.add_parser("lab", help=lab.__doc__, description=lab.__doc__)
    sub.set_defaults(command=lab)

    sub = commands.add_parser("info", help=info.__doc__, description=info.__doc__)
    sub.add_argument("file", help="a model file, or builtin:en")
    sub.set_defaults(command=info)
    return parser


def _value(text: str) -> Any:
    """A parameter as a Python literal (3, 0.5, True, ['king', 'queen']), else as a string.

    The path of a file that exists becomes absolute, since notebooks run in the output folder.
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        pass
    try:
        return str(Path(text).resolve()) if Path(text).exists() else text
    except OSError:  # too long for a path, as a recipe's JSON is
        return text


if __name__ == "__main__":
    sys.exit(main())
