"""The commands with their arguments and examples."""

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from .. import __version__
from ..formats import writable
from . import collections, models, notebooks
from .terminal import clean

START = """start with:
  workbench info model.bin
  workbench compress model.bin small.safetensors --budget 20MB
  workbench compare model.bin small.safetensors

exit status: 0 done; 1 a check failed (report, convert --strict); 2 wrong usage or input; 130 interrupted"""
EXAMPLES = {
    "info": """examples:
  workbench info builtin:en
  workbench info small.safetensors --json""",
    "compress": """examples:
  workbench compress model.bin small.safetensors --budget 20MB
  workbench compress builtin:en small.safetensors --recipe 'Prune(n_words=4000, n_ngrams=8000), Refit(), PQ()'
  workbench compress model.bin again.safetensors --recipe small.safetensors

RECIPE is Python or JSON as an earlier run printed it, a file that holds either, or a model made with one.""",
    "convert": """examples:
  workbench convert model.bin model.vec
  workbench convert small.safetensors small.txt --format glove --strict""",
    "compare": """examples:
  workbench compare model.bin small.safetensors
  workbench compare model.bin small.safetensors --json > scorecard.json""",
    "embed": """examples:
  workbench embed builtin:en texts.txt vectors.npy
  workbench embed small.safetensors texts.txt vectors.npy --weighting sif --tokenize stem --language russian""",
    "encode": """examples:
  workbench encode vectors.parquet codes
  workbench encode folder codes --n-levels 4 --n-sampled 500000 --workers 8
  workbench encode new.parquet new-codes --ids codes --texts small.safetensors

Run again after a crash, it does what is missing.""",
    "report": """examples:
  workbench report
  workbench report notebooks/00_quickstart.ipynb --no-baselines -p SOURCE my.bin""",
    "lab": """examples:
  workbench lab
  workbench lab --no-browser""",
}


def whole(least: int, most: float = math.inf) -> Callable[[str], int]:
    """Return a function that reads a whole number within these bounds."""
    bounds = f"of at least {least}" if most == math.inf else f"from {least} to {most}"

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number {bounds}, got {text!r}")
        return int(text)

    return read


MODEL = "a model file or folder, or builtin:en"
FORMAT = (
    f"format to write, one of {', '.join(writable())} (default: the ending of OUT decides; compress falls back to our "
    "own .safetensors)"
)
SEED = whole(0, 2**32 - 1)  # numpy's and scikit-learn's generators take no more
ARGUMENTS: dict[str, dict[str, Any]] = {
    "file": {"metavar": "FILE", "help": MODEL},
    "input": {"metavar": "IN", "help": MODEL},
    "out": {"metavar": "OUT", "type": Path, "help": "where to write; missing folders are made"},
    "original": {"metavar": "A", "help": f"the original: {MODEL}"},
    "small": {"metavar": "B", "help": "the model to judge"},
    "notebooks": {"nargs": "*", "type": Path, "help": "notebooks to run (default: all in ./notebooks)"},
    "model": {"metavar": "MODEL", "help": f"{MODEL}; or the file of a network"},
    "texts": {"metavar": "TEXTS", "type": Path, "help": "a text file in UTF-8, a text a line"},
    "source": {"metavar": "SOURCE", "help": "a Parquet file, or a folder of them, with lists of numbers or texts"},
    "folder": {"metavar": "OUT", "type": Path, "help": "folder to write into"},
    "--ids": {
        "metavar": "IDS",
        "help": "ids, or a folder of codes, whose codebooks to use (default: those of OUT, or k-means of a sample)",
    },
    "--n-levels": {"type": whole(1), "metavar": "N", "help": "codes of an item (default: 3)"},
    "--codebook-size": {"type": whole(1), "metavar": "N", "help": "entries of a codebook (default: 256)"},
    "--n-sampled": {"type": whole(1), "metavar": "N", "help": "rows that codebooks are made from (default: 100000)"},
    "--column": {"metavar": "NAME", "help": "column of vectors or texts (default: the only one)"},
    "--id-column": {"metavar": "NAME", "help": "column of ids (default: one called as ids are, else row numbers)"},
    "--texts": {"metavar": "MODEL", "help": "encode texts: word vectors, whose mean is taken, or a network"},
    "--workers": {"type": whole(1), "metavar": "N", "help": "processes on this machine (default: this one alone)"},
    "--scheduler": {"metavar": "ADDRESS", "help": "address of a Dask scheduler, such as tcp://10.0.0.1:8786"},
    "--weighting": {
        "choices": ("mean", "sif", "idf"),
        "help": "weights of words (word vectors only; default: mean)",
    },
    "--tokenize": {"metavar": "T", "help": "word, stem, word+ngrams or 'stem ngrams' (default: word; as above)"},
    "--language": {"metavar": "L", "help": "language of the stems (default: english; as above)"},
    "--format": {"metavar": "F", "help": FORMAT},
    "--limit": {"type": whole(1), "metavar": "N", "help": "read only the first N words (default: all)"},
    "--budget": {"metavar": "SIZE", "help": "bytes the file may have, such as 20MB, '500 kB' or 1GiB"},
    "--recipe": {"help": "steps to take, such as 'Prune(n_words=4000), PQ()', or a file that holds them"},
    "--goal": {"choices": ("fidelity", "overlap"), "help": "what --budget maximises (default: fidelity)"},
    "--min-words": {"type": int, "metavar": "N", "help": "with --budget, words that must stay (default: 0)"},
    "--n-trials": {"type": int, "metavar": "N", "help": "with --budget, recipes tried at most (default: 12)"},
    "--time-limit": {"type": float, "metavar": "SECONDS", "help": "with --budget, when to begin no further recipe"},
    "--seed": {
        "type": SEED,
        "default": 0,
        "metavar": "N",
        "help": "random seed of samples, searches and k-means (default: 0)",
    },
    "--no-scores": {"action": "store_true", "help": "do not measure how close the result is"},
    "--strict": {"action": "store_true", "help": "write nothing, and exit with 1, if something would be lost"},
    "--allow-pickle": {
        "action": "store_true",
        "help": "read Python pickles, which gensim saves and which can run code: only from people whom you trust",
    },
    "--json": {"action": "store_true", "help": "print one JSON document"},
    "--out": {"type": Path, "default": Path("reports"), "help": "folder to write into (default: reports)"},
    "--baselines": {
        "type": Path,
        "default": Path("notebooks/baselines"),
        "help": "folder of baselines (default: notebooks/baselines)",
    },
    "--jobs": {
        "type": whole(1),
        "default": max(1, min(os.cpu_count() or 1, 4)),
        "metavar": "N",
        "help": "notebooks to run at once, once the first has ended (default: one a core, 4 at most)",
    },
    "--no-baselines": {"action": "store_true", "help": "skip the comparison, for example with a model of your own"},
    "--update-baselines": {"action": "store_true", "help": "save the metrics of this run as the new baselines"},
    "-p/--parameter": {
        "nargs": 2,
        "action": "append",
        "default": [],
        "metavar": ("NAME", "VALUE"),
        "help": "set a parameter of the notebooks, as in -p SOURCE my.bin -p WORDS \"['king', 'queen']\"; "
        "may be repeated",
    },
}
COMMANDS = {  # the arguments of each: a|b takes one of them or none, (a|b) one
    models.info: "file --limit --allow-pickle --json",
    models.compress: "input out --format --limit (--budget|--recipe) --goal --min-words --n-trials --time-limit --seed "
    "--no-scores --allow-pickle --json",
    models.convert: "input out --format --limit --strict --allow-pickle",
    models.compare: "original small --seed --allow-pickle --json",
    models.embed: "model texts out --weighting --tokenize --language --allow-pickle",
    collections.encode: "source folder --ids --n-levels --codebook-size --n-sampled --column --id-column --texts "
    "--workers|--scheduler --seed --allow-pickle",
    notebooks.report: "notebooks --out --baselines --jobs --no-baselines|--update-baselines -p/--parameter",
    notebooks.lab: "",
}


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, as all errors are said."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"workbench: {clean(message)}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    look: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    about = "Make embedding models small, and see what it costs."
    top = Parser(prog="workbench", description=about, epilog=START, **look)
    top.set_defaults(command=None)
    top.add_argument("--version", action="version", version=f"workbench {__version__}")
    commands = top.add_subparsers(title="commands", dest="name", metavar="COMMAND")
    for command, arguments in COMMANDS.items():
        name = command.__name__
        about = (command.__doc__ or f"The command {name}").rstrip(".")  # python -OO strips docstrings
        summary = about[0].lower() + about[1:]
        sub = commands.add_parser(name, help=summary, description=f"{about}.", epilog=EXAMPLES[name], **look)
        sub.set_defaults(command=command)
        for choice in arguments.split():
            options = choice.strip("()").split("|")
            group = sub if len(options) == 1 else sub.add_mutually_exclusive_group(required=choice.startswith("("))
            for option in options:
                group.add_argument(*option.split("/"), **ARGUMENTS[option])
    return top
