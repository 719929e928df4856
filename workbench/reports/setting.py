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
from ..evaluate.similarity import ENGLISH
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
    **{f"similarity.{name}": "higher" for name in ENGLISH},
}
TEMPLATE = Path(__file__).with_name("template.ipynb")
POLL = 0.25  # seconds between two looks at the work
GRACE = 8.0  # seconds in which papermill may shut its kernel down, which takes two


@dataclass(frozen=True)
class Report:
    """The outcome of a report; it passed if every limit is met and no cell failed."""

    passed: bool
    verdicts: list[Verdict]  # one for each limit
    html: Path  # the page to read first
    notebook: Path  # as it ran
    error: str | None = None


def suggest_limits(card: "pd.DataFrame") -> dict[str, float]:
    """Return limits to begin with, from a scorecard: what a setting has now, less a little, in round numbers.

    Where a number comes from a sample, the margin is 1.5 times the distance to the lower end of its 95% interval, since
    the report takes another sample.
    """
    limits = {}
    for entry in card.dropna(subset="value").itertuples():
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
    random_state: int = 0,
) -> Path:
    """Write a notebook that builds and measures a setting, and the limits that it must hold; return its path.

    It becomes ``<source>-setting.ipynb`` in the folder, with a number where there is one already, which may have been
    worked on; limits go to ``limits/`` and given unseen words to ``unseen/``. The model must be in a file, to be
    loaded again. `LIMITS` has the names of limits; one on a group of words that turns out to be empty is not met.
    The neighbours of the first four `words` that the model can embed are shown.
    """
    import nbformat

    origin = source.origin if isinstance(source, Vectors) else str(source)
    if not origin:
        raise ValueError(
            "this model was made in memory, and a report must load it again: save it (v.save('model.safetensors')), "
            "and explore what load() gives for that file"
        )
    if origin not in NAMES:
        origin = _absolute(origin)
    unknown = [str(key) for key in limits if key not in LIMITS]
    if unknown or not limits:
        names = ", ".join(LIMITS)
        raise ValueError(f"a report needs at least one limit, and only of {names}; got {', '.join(unknown) or 'none'}")
    metrics = [Metric(key, value, 0, LIMITS[key]) for key, value in limits.items()]  # a limit has a tolerance of 0
    steps = [_with_absolute_paths(step.to_json()) for step in (recipe.steps if isinstance(recipe, Chain) else [recipe])]
    stem = origin if origin in NAMES else Path(origin).stem
    slug = re.sub(r"[^\w.]+", "-", stem).strip("-.") or "model"
    folder = Path(folder).expanduser().absolute()
    path, n = folder / f"{slug}-setting.ipynb", 1
    while path.exists():
        n += 1
        path = folder / f"{slug}-setting-{n}.ipynb"
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
        "SEED": random_state,
    }
    code = {name: pformat(value, width=100, compact=True) for name, value in values.items()}
    lines = ", \n".join(json.dumps(step, ensure_ascii=False) for step in steps)  # JSON in Python, one step a line
    code["RECIPE"] = "(\n" + "\n".join(f"    {line!r}" for line in f"[\n{lines}\n]".split("\n")) + "\n)"
    book = nbformat.read(TEMPLATE, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("NAME", path.stem)
        elif "parameters" in cell.metadata.get("tags", ()):
            for name, text in code.items():
                line = f"{name} = {text}".replace("\\", r"\\")
                cell.source = re.sub(rf"(?m)^{name} = .*?(?=  #)", line, cell.source)
    nbformat.write(book, path)
    return path


def _absolute(path: str) -> str:
    """Return the absolute path of a file: the notebook runs in another folder."""
    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise FileNotFoundError(f"{file} is no file; a report loads the model and the recipe's texts again")
    return str(file)


def _with_absolute_paths(step: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a step, with the absolute paths of the texts that it learns from."""
    if "steps" in step:
        return step | {"steps": [_with_absolute_paths(inner) for inner in step["steps"]]}
    fields = STEPS[step["step"]].fields
    texts = [name for name, field in fields.items() if field.kind == "text" and step[name] not in field.choices]
    return step | {name: _absolute(step[name]) for name in texts}


def run_report(path: str | Path) -> Report:
    """Run a report's notebook in a process of its own, and compare it with the limits in ``limits/`` beside it.

    The files lie in ``reports/<name>/`` beside the notebook, where they replace those of an earlier run at the end.
    A notebook that failed has a report too. Progress goes to `progress.bar`, so ``with progress.told_to(listener)``
    hears of it; an exception that the listener raises, such as `progress.Stopped`, ends the run and its kernel. May
    be called from any thread, whether or not an event loop runs.
    """
    import nbformat

    path = Path(path).expanduser().absolute()
    n_cells = len(nbformat.read(path, as_version=4).cells)
    final = path.parent / "reports" / path.stem
    final.parent.mkdir(exist_ok=True)
    with (
        # A kernel that is about to end may still write.
        tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=final.parent, ignore_cleanup_errors=True) as folder,
        open(Path(folder, "log.txt"), "w+", encoding="utf-8", errors="replace") as log,
        progress.bar(total=n_cells, desc="report: starting", unit="cell") as bar,
    ):
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
        child = Child(__name__, str(path), folder, **streams)
        try:
            while child.process.poll() is None:
                n_done, heading = _how_far(Path(folder, "report", path.name))
                if heading:
                    bar.set_description(f"report: {heading}")
                bar.update(max(n_done - bar.n, 0))  # tells a listener even where nothing is new, so that it can stop us
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(POLL)
        finally:
            child.end(GRACE)
        result = Path(folder, "run.pickle")
        if not result.exists():
            log.seek(0)
            status, last = child.process.returncode, log.read().strip().splitlines()[-1:]
            raise RuntimeError(f"the report of {path.name} ended with status {status}: {' '.join(last)}")
        run = pickle.loads(result.read_bytes())
        shutil.rmtree(final, ignore_errors=True)
        os.replace(Path(folder, "report"), final)
    return Report(not run.failed, run.verdicts, final / "index.html", final / path.name, run.error)


def serve(path: str, folder: str) -> None:
    """Run the notebook, in the other process, and write what came of it."""
    [run] = run_all([Path(path)], Path(folder, "report"), Path(path).with_name("limits"))
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
