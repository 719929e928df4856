"""What can be said on the command line."""

import argparse
import os
from pathlib import Path
from typing import NoReturn

import workbench

from . import models, notebooks
from .terminal import clean

MOST_SEED = 2**32 - 1  # numpy's and scikit-learn's generators take no more

DESCRIPTION = "Make embedding models small, and see what it costs."
START = """start with:
  workbench info model.bin
  workbench compress model.bin small.safetensors --budget 20MB
  workbench compare model.bin small.safetensors

exit status: 0 done; 1 a check failed (report, convert --strict); 2 wrong usage or input; 130 interrupted"""
EXAMPLES = {
    "report": """examples:
  workbench report
  workbench report notebooks/00_quickstart.ipynb --no-baselines -p SOURCE my.bin""",
    "lab": """examples:
  workbench lab
  workbench lab --no-browser""",
    "info": """examples:
  workbench info builtin:en
  workbench info small.safetensors --json""",
    "compress": """examples:
  workbench compress model.bin small.safetensors --budget 20MB
  workbench compress builtin:en small.safetensors --recipe 'Prune(n_words=4000, n_ngrams=8000), Refit(), PQ()'
  workbench compress model.bin again.safetensors --recipe small.safetensors

A recipe is what was printed before, in Python or JSON, or a file with one of these, or a model that carries one.""",
    "convert": """examples:
  workbench convert model.bin model.vec
  workbench convert small.safetensors small.txt --format glove --strict""",
    "compare": """examples:
  workbench compare model.bin small.safetensors
  workbench compare model.bin small.safetensors --json > scorecard.json""",
}


class Parser(argparse.ArgumentParser):
    """One that says what is wrong in one line, as all trouble is said."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"workbench: {clean(message)}; see {self.prog} --help\n")


class Formats:
    """Names of the formats that are written; they are looked up when they are asked for, which takes a moment."""

    def __str__(self) -> str:
        from ..formats import writable

        return ", ".join(writable())


def parser() -> argparse.ArgumentParser:
    """The whole of it."""
    top = Parser(
        prog="workbench",
        description=DESCRIPTION,
        epilog=START,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.set_defaults(command=None, passes_on=False)
    top.add_argument("--version", action="version", version=f"workbench {workbench.__version__}")
    commands = top.add_subparsers(title="commands", dest="name", metavar="COMMAND")
    for function, add in (
        (models.info, _info),
        (models.compress, _compress),
        (models.convert, _convert),
        (models.compare, _compare),
        (notebooks.report, _report),
        (notebooks.lab, _lab),
    ):
        name = function.__name__
        about = (function.__doc__ or f"The command {name}").rstrip(".")  # python -OO strips docstrings
        sub = commands.add_parser(
            name,
            help=about[0].lower() + about[1:],
            description=f"{about}.",
            epilog=EXAMPLES[name],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add(sub)
        sub.set_defaults(command=function, passes_on=function is notebooks.lab)
    return top


def _info(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("file", metavar="FILE", help="a model file or folder, or builtin:en")
    _add_limit(sub)
    _add_common(sub)


def _compress(sub: argparse.ArgumentParser) -> None:
    _add_in_and_out(sub, "our own .safetensors if the ending of OUT is none of another format")
    how = sub.add_mutually_exclusive_group(required=True)
    how.add_argument("--budget", metavar="SIZE", help="bytes the file may have, such as 20MB, '500 kB' or 1GiB")
    how.add_argument("--recipe", metavar="RECIPE", help="steps to take, such as 'Prune(n_words=4000), PQ()', or a file")
    sub.add_argument("--goal", choices=("fidelity", "overlap"), help="what --budget maximises (default: fidelity)")
    sub.add_argument("--min-words", type=int, metavar="N", help="with --budget, words that must stay (default: 0)")
    sub.add_argument("--n-trials", type=int, metavar="N", help="with --budget, recipes tried at most (default: 12)")
    _add_seed(sub, "of the samples and, with --budget, of every step; a recipe has its own random_state")
    sub.add_argument("--no-scores", action="store_true", help="do not measure how close the result is")
    _add_common(sub)


def _convert(sub: argparse.ArgumentParser) -> None:
    _add_in_and_out(sub, "what the ending of OUT says")
    sub.add_argument("--strict", action="store_true", help="write nothing, and exit with 1, if something would be lost")
    _add_pickle(sub)


def _compare(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("original", metavar="A", help="the original: a model file or folder, or builtin:en")
    sub.add_argument("small", metavar="B", help="the model to judge")
    _add_seed(sub, "of every sample")
    _add_common(sub)


def _report(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("notebooks", nargs="*", type=Path, help="notebooks to run (default: all in ./notebooks)")
    sub.add_argument("--out", type=Path, default=Path("reports"), help="folder to write into (default: reports)")
    sub.add_argument(
        "--baselines",
        type=Path,
        default=Path("notebooks/baselines"),
        help="folder of baselines (default: notebooks/baselines)",
    )
    sub.add_argument(
        "--jobs",
        type=_whole,
        default=max(1, min(os.cpu_count() or 1, 4)),
        metavar="N",
        help="notebooks to run at once, once the first has ended (default: one a core, 4 at most)",
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


def _lab(sub: argparse.ArgumentParser) -> None:
    """All other options are JupyterLab's."""


def _add_in_and_out(sub: argparse.ArgumentParser, default: str) -> None:
    sub.add_argument("input", metavar="IN", help="a model file or folder, or builtin:en")
    sub.add_argument("out", metavar="OUT", type=Path, help="where to write; missing folders are made")
    sub.add_argument(
        "--format", metavar="F", help="format to write, one of %(formats)s (default: " + default + ")"
    ).formats = Formats()  # type: ignore[attr-defined]
    _add_limit(sub)


def _add_limit(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--limit", type=_whole, metavar="N", help="read only the first N words (default: all)")


def _add_seed(sub: argparse.ArgumentParser, of_what: str) -> None:
    sub.add_argument("--seed", type=_seed, default=0, metavar="N", help=f"random_state {of_what} (default: 0)")


def _add_common(sub: argparse.ArgumentParser) -> None:
    _add_pickle(sub)
    sub.add_argument("--json", action="store_true", help="print one JSON document")


def _add_pickle(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--allow-pickle",
        action="store_true",
        help="read Python pickles, which gensim saves and which can run code: only from people whom you trust",
    )


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 18 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text[:20]!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or len(text) > len(str(MOST_SEED)) or int(text) > MOST_SEED:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {MOST_SEED}, got {text[:20]!r}")
    return int(text)
