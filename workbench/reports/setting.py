"""From a setting to a report: a notebook that builds it again, limits that it must hold, and the page."""

import json
import math
import os
import pickle
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from typing import TYPE_CHECKING, Any

from .. import progress
from ..child import Child
from ..compress import Chain
from ..compress.base import STEPS, Step
from ..data import NAMES
from ..vectors import Vectors
from .metrics import Better, Metric, Run, Verdict, write_baseline
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
TEMPLATE = Path(__file__).with_name("template.ipynb")
MAX_UNSEEN = 5_000  # words of no vocabulary that are scored
POLL = 0.25  # seconds between two looks at the work
GRACE = 8.0  # seconds in which papermill may shut its kernel down, which takes two


@dataclass(frozen=True)
class Report:
    """What a run of a report gave: it passed where every limit is met and nothing went wrong."""

    passed: bool
    verdicts: list[Verdict]  # one for each limit
    html: Path  # the page to read first
    notebook: Path  # as it ran
    error: str | None = None


def suggest_limits(card: "pd.DataFrame") -> dict[str, float]:
    """Return limits to begin with, from a scorecard: what a setting has now, less a little, in round numbers.

    They are on the size, the closeness of each group of words, and overlap@10. Where a number comes from a sample,
    the margin is 1.5 times the distance to the lower end of its 95% interval, since the report takes another sample.
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
    """Write a notebook that builds and measures a setting, and the limits that it must hold; return its path.

    Parameters
    ----------
    folder : path
        The notebook becomes ``<source>-<name>.ipynb`` in it (a number is added where there is one already, for
        it may have been worked on); limits go to ``limits/`` and given unseen words to ``unseen/``.
    source : Vectors, path or str
        The original model, or where it is; it must be in a file, to be loaded again.
    recipe : Step
    limits : mapping of str to float
        By ``metric.split`` as in a scorecard; `LIMITS` has the names. A number on the limit passes. A limit on a
        group of words that turns out to be empty is reported as not met.
    unseen : list of str, optional
        Unseen words to score, see `scorecard`.
    words : sequence of str
        Words whose neighbours are shown; the first four that the model can embed.
    n_words, n_queries, random_state : int
        Samples for closeness (of unseen words, at most 5,000) and overlap@10, as in `scorecard`.
    name : str
        What to call the setting.
    """
    import nbformat

    origin = source.origin if isinstance(source, Vectors) else str(source)
    if not origin:
        raise ValueError(
            "this model was made in memory, and a report must load it again: save it (v.save('model.safetensors')), "
            "and explore what load() gives for that file"
        )
    if origin not in NAMES:
        origin = _absolute(origin, "a report loads its model again, so give the path of the model")
    metrics = _limit_metrics(limits, source)
    if not isinstance(recipe, Step):
        raise TypeError(f"recipe must be a step, such as Chain([Prune(n_words=1000)]), got {type(recipe).__name__}")
    steps = [_with_absolute_paths(step.to_json()) for step in (recipe.steps if isinstance(recipe, Chain) else [recipe])]
    stem = origin if origin in NAMES else Path(origin).stem
    slug = "-".join(re.sub(r"[^\w.]+", "-", text).strip("-.") or "model" for text in (stem, name))
    folder = Path(folder).expanduser().absolute()
    path, n = folder / f"{slug}.ipynb", 1
    while path.exists():
        n += 1
        path = folder / f"{slug}-{n}.ipynb"
    write_baseline(folder / "limits" / f"{path.stem}.json", metrics)
    file = folder / "unseen" / f"{path.stem}.txt"
    if unseen is not None:
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(unseen), encoding="utf-8")
    values = {
        "SOURCE": origin,
        "LIMITS": list(limits),
        "WORDS": list(words),
        "UNSEEN": None if unseen is None else str(file),
        "N_WORDS": n_words,
        "N_UNSEEN": min(n_words, MAX_UNSEEN),
        "N_QUERIES": n_queries,
        "SEED": random_state,
    }
    code = {parameter: pformat(value, width=100, compact=True) for parameter, value in values.items()}
    code["RECIPE"] = _code_of_recipe(steps)
    book = nbformat.read(TEMPLATE, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("NAME", path.stem)
        elif "parameters" in cell.metadata.get("tags", ()):
            lines = [re.fullmatch(r"(\w+) = .*  # (.*)", line) for line in cell.source.splitlines()]
            cell.source = "\n".join(f"{line[1]} = {code[line[1]]}  # {line[2]}" for line in lines if line)
    nbformat.write(book, path)
    return path


def _absolute(path: str, why: str) -> str:
    """Return the absolute path of a file: the notebook runs in another folder."""
    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise FileNotFoundError(f"{file} is no file; {why}")
    return str(file)


def _limit_metrics(limits: Mapping[str, float], source: Vectors | str | Path) -> list[Metric]:
    """Limits as metrics, which have a tolerance of 0."""
    if not limits:
        raise ValueError(f"a report needs at least one limit; there are {', '.join(LIMITS)}")
    if unknown := [key for key in limits if key not in LIMITS]:
        raise ValueError(f"no limit is known as {', '.join(map(str, unknown))}; there are {', '.join(LIMITS)}")
    beyond = [key for key in limits if key.endswith(".unseen")]
    if beyond and isinstance(source, Vectors) and source.vocab.subwords is None:
        raise ValueError(f"{', '.join(beyond)}: a model without n-grams has no vectors for unseen words; leave it out")
    return [Metric(key, value, 0, LIMITS[key]) for key, value in limits.items()]


def _with_absolute_paths(step: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a step, with the absolute paths of the texts that it learns from."""
    if "steps" in step:
        return step | {"steps": [_with_absolute_paths(inner) for inner in step["steps"]]}
    fields = STEPS[step["step"]].fields
    texts = [name for name, field in fields.items() if field.kind == "text" and step[name] not in field.choices]
    return step | {name: _absolute(step[name], "the recipe learns from it") for name in texts}


def _code_of_recipe(steps: list[dict[str, Any]]) -> str:
    """A string in Python that holds the JSON of a recipe, one step a line."""
    texts = [json.dumps(step, ensure_ascii=False) for step in steps]
    lines = ["[", *(f"{text}, " for text in texts[:-1]), *texts[-1:], "]"]
    return "(\n" + "\n".join(f"    {line!r}" for line in lines) + "\n)"


def run_report(path: str | Path) -> Report:
    """Run a report's notebook in a process of its own, and compare it with the limits in ``limits/`` beside it.

    The files lie in ``reports/<name>/`` beside the notebook, where they replace those of an earlier run at the end.
    A notebook that failed has a report too. Progress goes to `progress.bar`, so ``with progress.told_to(listener)``
    hears of it; an exception that the listener raises, such as `progress.Stopped`, ends the run and its kernel. May
    be called from any thread, whether or not an event loop runs.
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
        run = _run_beside(path, limits.parent, Path(folder))
        shutil.rmtree(final, ignore_errors=True)
        os.replace(Path(folder, "report"), final)
    return Report(not run.failed, run.verdicts, final / "index.html", final / path.name, run.error)


def _run_beside(path: Path, limits: Path, folder: Path) -> Run:
    """Run the notebook into ``report`` in `folder`, and tell how far it is."""
    import nbformat

    log, result, executed = folder / "log.txt", folder / "run.pickle", folder / "report" / path.name
    n_cells = len(nbformat.read(path, as_version=4).cells)
    with open(log, "wb") as file, progress.bar(total=n_cells, desc="report: starting", unit="cell") as bar:
        streams = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT}
        child = Child(__name__, *map(str, (path, limits, folder)), **streams)
        try:
            while child.process.poll() is None:
                n_done, heading = _how_far(executed)
                if heading:
                    bar.set_description(f"report: {heading}")
                bar.update(max(n_done - bar.n, 0))  # tells a listener even where nothing is new, so that it can stop us
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(POLL)
        finally:
            child.end(GRACE)
    if not result.exists():
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"the report of {path.name} ended with status {child.process.returncode}: {' '.join(last)}")
    return pickle.loads(result.read_bytes())


def serve(path: str, limits: str, folder: str) -> None:
    """Run the notebook, in the other process, and write what came of it."""
    [run] = run_all([Path(path)], Path(folder, "report"), Path(limits))
    Path(folder, "run.pickle").write_bytes(pickle.dumps(run))


def _how_far(executed: Path) -> tuple[int, str]:
    """The number of cells that are done, and the last heading; papermill saves the notebook after each cell."""
    try:
        cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError):  # not there yet, or being written
        return 0, ""
    n_done = sum(cell["metadata"].get("papermill", {}).get("status") == "completed" for cell in cells)
    sources = ["".join(cell["source"]) for cell in cells[: n_done + 1] if cell["cell_type"] == "markdown"]
    headings = [text.splitlines()[0].lstrip("# ") for text in sources if text.startswith("#")]
    return n_done, headings[-1] if headings else ""
