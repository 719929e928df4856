"""From a setting to a report: a notebook that builds it again, limits that it must hold, and the page.

Limits are baselines (see `metrics.compare`) with a tolerance of 0, in a file that a person may edit.
A report that is run by `run_report` has a process of its own, so that a live kernel goes on undisturbed and
work that nobody waits for any more can be ended. It takes its place only once it is whole.
"""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import progress
from ..compress import Chain, Prune
from ..compress.base import Step
from ..data import NAMES
from ..vectors import Vectors
from .metrics import Better, Metric, Verdict, write_baseline
from .run import run_all

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("kept", "remapped", "dropped", "unseen")
LIMITS: dict[str, Better] = {  # what may be limited, and which way is good; speed is not: it is the machine's
    "size.compressed": "lower",
    "ratio.all": "higher",
    **{f"{m}.{s}": "higher" for m in ("fidelity", "fidelity_weighted", "fidelity_p5", "coverage") for s in SPLITS},
    **{f"overlap@10.{split}": "higher" for split in ("all", "kept", "remapped", "dropped")},
    "similarity.simlex999": "higher",
    "similarity.wordsim353": "higher",
}
N_UNSEEN = 5_000  # words of no vocabulary that are scored, at most
PARAMETERS = {  # what a person reads beside each
    "SOURCE": "the original model: a path, or builtin:en",
    "WORDS": "to look at closely, four at most; unknown ones are left out",
    "UNSEEN": "a file of words that the model has never seen, one a line; None: some are chosen",
    "N_WORDS": "how many words of each group are measured, at most",
    "N_UNSEEN": "the same for unseen words",
    "N_QUERIES": "how many words are asked for their neighbours",
    "SEED": "of these samples; the recipe has seeds of its own",
}
COMMAND = "import sys; from workbench.reports.setting import serve; serve(*sys.argv[1:])"
POLL = 0.25  # seconds between two looks at the work
GRACE = 8.0  # seconds in which papermill may shut its kernel down, which takes two

TITLE = """# {stem}: does this setting hold its limits?

Somebody explored a model, found a setting worth keeping, and said how bad it may get. This notebook builds
that setting again, from the original model, and measures it: first its size, then how close its vectors and
its neighbourhoods stay to the original ones. At the end it records the numbers that have a limit.

The limits stand beside this notebook, in `limits/{name}.json`. In this folder, the command

    workbench report {name}.ipynb --baselines limits

does it all again, and `reports/index.html` says of each limit whether it is met. Use it whenever something
changes: the model, the recipe, a library. The notebook is yours: add cells, and change what you like.

The next cell holds everything that you may want to change first."""

LOAD = """## 1. The model

We begin with the model as it was: not with a copy, and with nothing of it thrown away yet. Everything below
is compared with it. Opening it takes no time where its numbers can stay in the file until they are needed."""

RECIPE = """## 2. The recipe

A recipe is a list of steps, and each step works on what the one before it left. It is stored as plain JSON
(text, never run as code), with every seed in it, so the same model gives the same small model each time.
Shown below, it is Python to paste. This one has:

{steps}"""

STEPS = {
    "Prune": "keeps the words and n-grams that matter most. Where there are n-grams, words that go are rebuilt from "
    "those that stay, as unseen words are.",
    "Rehash": "folds n-gram buckets into fewer, so that several n-grams share one row.",
    "Refit": "moves the n-grams that stay, by least squares, so that dropped words come out closer. It adds no bytes.",
    "Residual": "stores of known words only what their n-grams leave over, which is less to say.",
    "PQ": "cuts each vector into pieces and stores for each piece which of some typical pieces is nearest.",
    "OPQ": "turns the space first, so that the pieces which `PQ` would cut are easier to describe.",
    "RQ": "describes each vector by typical vectors that are added up, each one mending what is still wrong.",
    "SQ": "stores each number in fewer bits.",
    "SVD": "keeps the directions in which the vectors differ most, and leaves out the others.",
}

BUILD = """## 3. Build it, and open the file

We save the small model and open it again, so that what we measure is what a user of the file would get. The
file lies in the folder of this report as `small.safetensors`, and carries its recipe."""

COST = """## 4. What it saves, and what it costs

`scorecard` compares the two. It takes larger samples than a panel can wait for, so expect numbers that
differ a little from those you saw while exploring. Read the figure from left to right: bytes; closeness, which
is the cosine between a word's old and new vector (1: the same direction; the short line: one word in twenty
is worse); the share of ten nearest neighbours that stayed; and, where the model knows the words, whether it
still agrees with people on which words are alike. Bars in black are 95% intervals.

Look at each group of words alone. *Kept* words have a row of their own, *remapped* ones borrow another word's,
*dropped* ones were in the vocabulary and are rebuilt from n-grams, *unseen* ones were never in it. A good mean
can hide a group that suffers."""

TABLE = """The same as a table. The column *how* says where a number comes from: exact, from a sample, or timed. A
limit close to a sampled number may be missed by chance, when the model or the seed changes; the interval from
*low* to *high* says how close is too close."""

NEIGHBOURS = """## 5. Some words at close range

Numbers do not say whether a loss matters to you; words that you know well do. A line joins neighbours that
stayed; see which ones were lost and what came in. Losing the ninth neighbour to another word of the same kind
is harmless. Losing the first one, or gaining a word that has nothing to do with it, is not."""

RECORD = """## {number}. Recorded, to be held against the limits

Each line records one number. The tolerance is 0, for a limit is a limit: on its good side, or just at it, a
number passes, and on the other it fails the report. To change a limit, change its `value` in
`limits/{name}.json`. To add one, add a line here and an entry there. A number that the scorecard does not have
is skipped here (a model without n-grams has no unseen words, and a recipe that drops no words none that were
dropped), and its limit then counts as not met."""


@dataclass(frozen=True)
class Report:
    """What a run of a report gave.

    Attributes
    ----------
    passed : bool
        Whether every limit is met, and nothing went wrong.
    verdicts : list of Verdict
        One for each limit.
    html : Path
        The page to read first: every limit with its verdict, and a link to the notebook as a page.
    notebook : Path
        The notebook as it ran.
    error : str or None
        What went wrong in the notebook, if anything.
    """

    passed: bool
    verdicts: list[Verdict]
    html: Path
    notebook: Path
    error: str | None = None


def suggest_limits(card: "pd.DataFrame") -> dict[str, float]:
    """Limits to begin with: what a setting has now, less a little, in round numbers.

    Where a number comes from a sample, the margin is one and a half times the way to the lower end of its
    95% interval, since the report takes another sample.

    Parameters
    ----------
    card : DataFrame
        From `scorecard` or `quick_card`.

    Returns
    -------
    dict
        Those of ``size.compressed`` (bytes, up to three digits), ``fidelity`` of each group of words (three
        decimals) and ``overlap@10.all`` (two) that the card has.
    """
    limits = {}
    for entry in card.itertuples():
        key, value = f"{entry.metric}.{entry.split}", float(entry.value)
        if math.isfinite(entry.low):
            value -= 1.5 * (value - entry.low)
        if key == "size.compressed":
            unit = 10 ** max(math.floor(math.log10(value)) - 2, 0)
            limits[key] = float(math.ceil(value * 1.005 / unit) * unit)  # names and paths in a header vary
        elif entry.metric == "fidelity":
            limits[key] = math.floor((value - 0.0005) * 1_000) / 1_000
        elif key == "overlap@10.all":
            limits[key] = math.floor((value - 0.005) * 100) / 100
    return limits


def write_report(
    folder: str | Path,
    source: Vectors | str | Path,
    recipe: Step,
    limits: Mapping[str, float],
    *,
    unseen: Sequence[str] | None = None,
    words: Sequence[str] = (),
    n_words: int = 50_000,
    n_queries: int = 1_000,
    random_state: int = 0,
    name: str = "setting",
) -> Path:
    """Write a notebook that builds and measures a setting, and the limits that it must hold.

    Parameters
    ----------
    folder : path
        The notebook becomes ``<source>-<name>.ipynb`` in it (a number is added where there is one already, for
        it may have been worked on); limits go to ``limits/`` and given unseen words to ``unseen/``.
    source : Vectors, path or str
        The original model, or where it is. Paths become absolute.
    recipe : Step
    limits : mapping of str to float
        By ``metric.split`` as in a scorecard; `LIMITS` has the names. A number on the limit passes.
    unseen : list of str, optional
        Unseen words to score, see `scorecard`.
    words : sequence of str
        Words whose neighbours are shown; the first four that the model can embed.
    n_words, n_queries : int
        Samples for closeness (of unseen words, at most 5,000) and overlap@10, as in `scorecard`.
    random_state : int
        Seed of these samples.
    name : str
        What to call the setting.

    Returns
    -------
    Path
        The notebook.

    Raises
    ------
    ValueError
        Before anything is written, if a limit is unknown, not finite, or on unseen words of a model that is
        given as Vectors and has no n-grams; or if the model was made in memory. A limit on a group of words
        that turns out to be empty is reported as not met.
    FileNotFoundError
        If there is no such model, or no such text that the recipe learns from.
    """
    origin = _origin(source)
    _check_limits(limits, source)
    if not isinstance(recipe, Step):
        raise TypeError(f"recipe must be a step, such as Chain([Prune(n_words=1000)]), got {type(recipe).__name__}")
    steps = [_placed(step.to_json()) for step in (recipe.steps if isinstance(recipe, Chain) else [recipe])]
    folder = Path(folder).expanduser().absolute()
    stem = origin if origin in NAMES else Path(origin).stem
    path = _free(folder, f"{_slug(stem)}-{_slug(name)}")
    folder.mkdir(parents=True, exist_ok=True)
    given = None if unseen is None else str(_write_words(folder / "unseen" / f"{path.stem}.txt", unseen))
    samples = {"N_WORDS": n_words, "N_UNSEEN": min(n_words, N_UNSEEN), "N_QUERIES": n_queries}
    parameters = {"SOURCE": origin, "WORDS": list(words), "UNSEEN": given, **samples, "SEED": random_state}
    write_baseline(
        folder / "limits" / f"{path.stem}.json",
        [Metric(key, float(value), 0, LIMITS[key]) for key, value in limits.items()],
    )
    _write_notebook(path, _cells(path.stem, stem, parameters, steps, list(limits)))
    return path


def _origin(source: Vectors | str | Path) -> str:
    """What `load` will find in any folder."""
    origin = source.origin if isinstance(source, Vectors) else str(source)
    if not origin:
        raise ValueError(
            "this model was made in memory, and a report must load it again: save it (v.save('model.safetensors')), "
            "and explore what load() gives for that file"
        )
    if origin in NAMES:
        return origin
    path = Path(origin).expanduser().absolute()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file; a report loads its model again, so give the path of the model")
    return str(path)


def _check_limits(limits: Mapping[str, float], source: Vectors | str | Path) -> None:
    if not limits:
        raise ValueError(f"a report needs at least one limit; there are {', '.join(LIMITS)}")
    if unknown := [key for key in limits if key not in LIMITS]:
        raise ValueError(f"no limit is known as {', '.join(map(str, unknown))}; there are {', '.join(LIMITS)}")
    for key, value in limits.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"the limit {key} must be a finite number, got {value!r}")
    beyond = [key for key in limits if key.endswith(".unseen")]
    if beyond and isinstance(source, Vectors) and source.vocab.subwords is None:
        raise ValueError(f"{', '.join(beyond)}: a model without n-grams has no vectors for unseen words; leave it out")


def _placed(step: dict[str, Any]) -> dict[str, Any]:
    """A step's JSON, its path of a text made absolute, for the notebook runs in another folder."""
    if "steps" in step:
        return step | {"steps": [_placed(inner) for inner in step["steps"]]}
    if step["step"] != "Prune" or step["importance"] in Prune.IMPORTANCE:
        return step
    path = Path(step["importance"]).expanduser().absolute()
    if not path.is_file():
        raise FileNotFoundError(f"{path}, which the recipe learns from, is no file")
    return step | {"importance": str(path)}


def _slug(text: str) -> str:
    """`text` as part of a file's name."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.") or "model"


def _free(folder: Path, name: str) -> Path:
    """A notebook's path that is not taken."""
    n, path = 1, folder / f"{name}.ipynb"
    while path.exists():
        n += 1
        path = folder / f"{name}-{n}.ipynb"
    return path


def _write_words(path: Path, words: Sequence[str]) -> Path:
    """One word a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(words), encoding="utf-8")
    return path


# -- the notebook -----------------------------------------------------------------------------


def _cells(
    name: str, stem: str, parameters: dict[str, Any], steps: list[dict], limits: list[str]
) -> list[tuple[str, str]]:
    """Kind and source of every cell."""
    known = [step["step"] for step in steps]
    about = "\n".join(f"- **`{step}`** {STEPS.get(step, 'is a list of steps.')}" for step in dict.fromkeys(known))
    start = "from pathlib import Path\n\nimport workbench as wb\n\nbig = wb.load(SOURCE)\nbig"
    card = (
        'unseen = Path(UNSEEN).read_text(encoding="utf-8").split("\\n") if UNSEEN else None\n'
        "card = wb.scorecard(\n    big, small, unseen=unseen, n_words=N_WORDS,\n"
        "    n_unseen=N_UNSEEN, n_queries=N_QUERIES, random_state=SEED,\n)\nwb.views.scorecard_figure(card)"
    )
    neighbours = (
        "words = [word for word in WORDS if big.can_embed(word)][:4]\n"
        "changes = wb.neighbour_changes(big, small, words) if words else None\n"
        'wb.views.neighbours_figure(changes) if words else "the model can embed none of WORDS"'
    )
    records = [f'wb.record("{key}", card, abs=0, better="{LIMITS[key]}", missing="skip")' for key in limits]
    close_range = [("markdown", NEIGHBOURS), ("code", neighbours)] if parameters["WORDS"] else []
    return [
        ("markdown", TITLE.format(stem=stem, name=name)),
        ("code", _parameters(parameters, steps)),
        ("markdown", LOAD),
        ("code", start),
        ("markdown", RECIPE.format(steps=about)),
        ("code", "recipe = wb.from_json(RECIPE)\nrecipe"),
        ("markdown", BUILD),
        ("code", 'recipe.fit_transform(big).save("small.safetensors")\nsmall = wb.load("small.safetensors")\nsmall'),
        ("markdown", COST),
        ("code", card),
        ("markdown", TABLE),
        ("code", "card"),
        *close_range,
        ("markdown", RECORD.format(number=6 if close_range else 5, name=name)),
        ("code", "\n".join(records)),
    ]


def _parameters(values: dict[str, Any], steps: list[dict]) -> str:
    """The cell tagged ``parameters``; the recipe is JSON text, one step a line."""
    texts = [json.dumps(step, ensure_ascii=False) for step in steps]
    lines = ['{"step": "Chain", "steps": [', *(f"{text}, " for text in texts[:-1]), *texts[-1:], "]}"]
    recipe = "\n".join(f"    {line!r}" for line in lines)
    plain = [f"{name} = {value!r}  # {PARAMETERS[name]}" for name, value in values.items()]
    return "\n".join([*plain, f"RECIPE = (\n{recipe}\n)"])


def _write_notebook(path: Path, cells: list[tuple[str, str]]) -> None:
    from nbformat import v4, write

    make = {"markdown": v4.new_markdown_cell, "code": v4.new_code_cell}
    made = [make[kind](text, id=f"cell-{i}") for i, (kind, text) in enumerate(cells)]
    next(cell for cell in made if cell.cell_type == "code").metadata["tags"] = ["parameters"]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    write(v4.new_notebook(cells=made, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}), path)


# -- running it -------------------------------------------------------------------------------


def run_report(path: str | Path) -> Report:
    """Run a report's notebook in a process of its own, and hold it against its limits.

    Progress goes to `progress.bar`, so ``with progress.told_to(listener)`` hears of it; an exception that the
    listener raises, such as `progress.Stopped`, ends the run and shuts its kernel down. May be called from any
    thread, whether or not an event loop runs.

    Parameters
    ----------
    path : path
        The notebook; its limits are those in ``limits/`` beside it.

    Returns
    -------
    Report
        Its files lie in ``reports/<name>/`` beside the notebook, where they replace those of an earlier run;
        until the end these stay as they were. A notebook that failed has a report too.

    Raises
    ------
    FileNotFoundError
        If there is no such notebook, or it has no limits.
    RuntimeError
        If the process ended without a report.
    """
    path = Path(path).expanduser().absolute()
    limits = path.parent / "limits" / f"{path.stem}.json"
    for file in (path, limits):
        if not file.is_file():
            raise FileNotFoundError(f"{file} does not exist; write_report makes a notebook and its limits")
    final = path.parent / "reports" / path.stem
    final.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{path.stem}-",
        dir=final.parent,
        ignore_cleanup_errors=True,  # a kernel that is about to end may still write
    ) as folder:
        values = _run_elsewhere(path, limits.parent, Path(folder))
        shutil.rmtree(final, ignore_errors=True)
        os.replace(Path(folder, "report"), final)
    verdicts = [Verdict(**verdict) for verdict in values["verdicts"]]
    passed = values["error"] is None and not any(verdict.failed for verdict in verdicts)
    return Report(passed, verdicts, final / "index.html", final / path.name, values["error"])


def _run_elsewhere(path: Path, limits: Path, folder: Path) -> dict[str, Any]:
    """Run the notebook into ``report`` in `folder`; its `Run`, as JSON values."""
    log = folder / "log.txt"
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, path, limits, folder],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # an interrupt of the kernel that waits is not meant for it
        )
        try:
            _follow(process, path, folder / "report" / path.name)
        finally:
            _end(process)
    result = folder / "run.json"
    if not result.exists():
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"the report of {path.name} ended with status {process.returncode}: {' '.join(last)}")
    return json.loads(result.read_text(encoding="utf-8"))


def serve(path: str, limits: str, folder: str) -> None:
    """The other process: run the notebook, write what came of it."""
    [run] = run_all([Path(path)], Path(folder, "report"), Path(limits))
    Path(folder, "run.json").write_text(json.dumps(asdict(run)), encoding="utf-8")


def _follow(process: subprocess.Popen, path: Path, executed: Path) -> None:
    """Wait for the process, and tell how far the notebook is."""
    import nbformat

    with progress.bar(total=len(nbformat.read(path, as_version=4).cells), desc="report: starting", unit="cell") as bar:
        while process.poll() is None:
            n_done, heading = _how_far(executed) or (bar.n, "")
            if heading:
                bar.set_description(f"report: {heading}")
            bar.update(n_done - bar.n)  # tells a listener even where nothing is new, so that it can stop us
            try:
                process.wait(POLL)
            except subprocess.TimeoutExpired:
                continue


def _how_far(executed: Path) -> tuple[int, str] | None:
    """Cells that are done, and the heading of those that run; papermill saves the notebook after each cell."""
    try:
        cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError):  # not there yet, or being written
        return None
    n_done = sum(cell["metadata"].get("papermill", {}).get("status") == "completed" for cell in cells)
    sources = ["".join(cell["source"]) for cell in cells[: n_done + 1] if cell["cell_type"] == "markdown"]
    headings = [text.splitlines()[0].lstrip("# ") for text in sources if text.startswith("#")]
    return n_done, headings[-1] if headings else ""


def _end(process: subprocess.Popen) -> None:
    """End the process if it still runs; its kernel notices at the latest when its parent is gone."""
    if process.poll() is not None:
        return
    if os.name != "nt":  # where one process alone cannot be interrupted
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    process.kill()
    process.wait()
