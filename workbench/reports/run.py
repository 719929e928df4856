"""Run notebooks with papermill, hold their metrics against baselines, write a report to read offline."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .metrics import Metric, Verdict, compare, read_baseline, recorded, write_baseline


@dataclass
class Run:
    """One notebook's execution."""

    name: str
    title: str
    seconds: float = 0.0
    metrics: list[Metric] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    error: str | None = None

    @property
    def failed(self) -> bool:
        return self.error is not None or any(v.failed for v in self.verdicts)

    @property
    def status(self) -> str:
        return "error" if self.error else "failed" if self.failed else "passed"


def run_notebook(path: Path, out: Path, parameters: dict[str, Any] | None = None) -> Run:
    """Execute one notebook; write it and its page into `out`.

    Parameters
    ----------
    path : Path
    out : Path
        A folder; also the working folder of the notebook.
    parameters : dict, optional
        Replace values of the cell tagged ``parameters``; names it lacks are refused.

    Returns
    -------
    Run
        With the recorded metrics, and the error where a cell raised one. Not yet compared.
    """
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    out.mkdir(parents=True, exist_ok=True)
    unknown = set(parameters or {}) - set(papermill.inspect_notebook(str(path)))
    if unknown:
        raise ValueError(f"{path} has no parameter named {', '.join(sorted(unknown))}")
    run = Run(path.stem, title_of(nbformat.read(path, as_version=4), path.stem))
    executed = out / path.name
    executed.unlink(missing_ok=True)  # what an older run left must not be taken for this one's
    start = time.perf_counter()
    try:
        with without_bars():
            papermill.execute_notebook(
                str(path), str(executed), parameters=parameters or {}, cwd=str(out), progress_bar=True
            )
    except PapermillExecutionError as error:
        run.error = f"cell {error.exec_count}: {error.ename}: {error.evalue}"
    except Exception as error:  # a kernel that died or is not installed: the other notebooks still run
        run.error = f"{type(error).__name__}: {error}"
    run.seconds = time.perf_counter() - start
    notebook = nbformat.read(executed if executed.exists() else path, as_version=4)
    try:
        run.metrics = recorded(notebook) if executed.exists() else []
    except ValueError as error:
        run.error = run.error or str(error)
    (out / f"{path.stem}.html").write_text(page(notebook, run.title), encoding="utf-8")
    return run


@contextmanager
def without_bars() -> Iterator[None]:
    """Kernels that start meanwhile draw no progress bars: finished ones are clutter on a page."""
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("TQDM_DISABLE", None)
        else:
            os.environ["TQDM_DISABLE"] = before


def run_all(
    notebooks: list[Path],
    out: Path,
    baselines: Path | None,
    parameters: dict[str, Any] | None = None,
    update: bool = False,
) -> list[Run]:
    """Execute notebooks in turn and write ``index.html``.

    Parameters
    ----------
    notebooks : list of Path
    out : Path
        Folder for executed notebooks, pages and the index.
    baselines : Path or None
        Folder with a JSON file for each notebook; None compares nothing.
    update : bool
        Make what was recorded the new baseline, unless the notebook failed.
    """
    from .index import write_index

    runs = []
    for path in notebooks:
        run = run_notebook(path, out, parameters)
        if baselines is not None:
            file = baselines / f"{path.stem}.json"
            run.verdicts = compare(run.metrics, read_baseline(file))
            if not run.verdicts:
                run.error = run.error or "the notebook records no metric"
            if update and run.error is None:
                write_baseline(file, run.metrics)
                run.verdicts = compare(run.metrics, read_baseline(file))
        runs.append(run)
    write_index(runs, out)
    return runs


def title_of(notebook: Any, otherwise: str) -> str:
    """The first heading of a notebook."""
    for cell in notebook.cells:
        for line in cell.source.splitlines():
            if cell.cell_type == "markdown" and line.startswith("# "):
                return line.removeprefix("# ").strip()
    return otherwise


def page(notebook: Any, title: str) -> str:
    """An executed notebook as one HTML page that asks the network for nothing."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="", widget_renderer_url="")
    return exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})[0]
