"""Run notebooks with papermill, compare their metrics with baselines, write a report to read offline."""

import ast
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import replacing
from .index import write_index
from .metrics import Run, compare, read_baseline, recorded, write_baseline

if TYPE_CHECKING:
    from nbformat import NotebookNode

# A kernel says this for each notebook: "Kernel is running over TCP without encryption".
QUIET_KERNEL = "--IPKernelApp.log_level=CRITICAL"
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Parameters = Mapping[str, Any]


def default_parameters(path: Path) -> dict[str, Any]:
    """Return the names and values in the cell tagged ``parameters``; None where a value is no literal."""
    source = next((c.source for c in _read(path).cells if "parameters" in c.metadata.get("tags", ())), "")
    found: dict[str, Any] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            names = [name.id for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)]
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                value = None
            is_many = isinstance(node.targets[0], ast.Tuple) and value is not None
            found |= zip(names, value if is_many else [value] * len(names), strict=True)
    return found


def check_parameters(path: Path, parameters: Parameters) -> None:
    """Raise ValueError where the notebook has no parameter of a name."""
    unknown = set(parameters) - set(default_parameters(path)) if parameters else ()
    if unknown:
        raise ValueError(f"{path} has no parameter named {', '.join(sorted(unknown))}")


def run_notebook(path: Path, out: Path, parameters: Parameters | None = None, n_threads: int | None = None) -> Run:
    """Execute one notebook; write it and its page into `out`, which is also its working folder.

    `parameters` replace values of the cell tagged ``parameters``; names it lacks are refused. Numerical libraries
    take `n_threads`, unless the environment says how many. The metrics are not compared yet.
    """
    import papermill
    from nbconvert import HTMLExporter
    from papermill.exceptions import PapermillExecutionError

    check_parameters(path, parameters or {})
    out.mkdir(parents=True, exist_ok=True)
    run = Run(path.stem, title_of(path))
    executed = out / path.name
    executed.unlink(missing_ok=True)  # what an older run left must not be taken for this one's
    variables = {"TQDM_DISABLE": "1"}  # finished progress bars are clutter on a page
    if n_threads is not None:
        variables |= {name: os.environ.get(name, str(n_threads)) for name in THREADS}
    first_line = f"--IPKernelApp.exec_lines=__import__('os').environ.update({variables})"
    start = time.perf_counter()
    try:
        papermill.execute_notebook(
            str(path), str(executed), parameters=dict(parameters or {}), cwd=str(out), progress_bar=False,
            extra_arguments=[QUIET_KERNEL, first_line],
        )  # fmt: skip
    except PapermillExecutionError as error:
        run.error = f"cell {error.exec_count}: {error.ename}: {error.evalue}"
    except Exception as error:  # a kernel that died or is not installed: the other notebooks still run
        run.error = f"{type(error).__name__}: {error}"
    run.seconds = time.perf_counter() - start
    notebook = _read(executed if executed.exists() else path)
    try:
        run.metrics = recorded(notebook) if executed.exists() else []
    except ValueError as error:
        run.error = run.error or str(error)
    # A page that asks the network for nothing.
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="", widget_renderer_url="")
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": run.title}})
    with replacing(out / f"{path.stem}.html") as file:
        file.write(page.encode())
    return run


def run_all(
    notebooks: list[Path],
    out: Path,
    baselines: Path | None,
    parameters: Mapping[Path, Parameters] | None = None,
    update: bool = False,
    jobs: int = 1,
    told: Callable[[Run], None] | None = None,
) -> list[Run]:
    """Execute notebooks; write ``index.html`` after each, with what is still to come.

    Parameters
    ----------
    notebooks : list of Path
        The first runs alone: it trains the built-in model and compiles kernels, which the others then find.
    out : Path
        Folder for executed notebooks, pages and the index.
    baselines : Path or None
        Folder with a JSON file for each notebook; None compares nothing.
    parameters : mapping of notebook to its parameters, optional
    update : bool
        Make what was recorded the new baseline, unless the notebook failed.
    jobs : int
        Notebooks at once, after the first one; the processor's cores are shared out among them.
    told : callable, optional
        Called with each run as it ends.
    """
    parameters = parameters or {}
    runs: dict[Path, Run] = {}
    for path, run in _executed(notebooks, out, parameters, jobs):
        if baselines is not None:
            file = baselines / f"{path.stem}.json"
            if not run.metrics and not read_baseline(file):
                run.error = run.error or "the notebook records no metric"
            if update and run.error is None:
                write_baseline(file, run.metrics)
            run.verdicts = compare(run.metrics, read_baseline(file))
        runs[path] = run
        write_index([runs[p] for p in notebooks if p in runs], out, [title_of(p) for p in notebooks if p not in runs])
        if told is not None:
            told(run)
    return [runs[path] for path in notebooks]


def _executed(
    notebooks: list[Path], out: Path, parameters: Mapping[Path, Parameters], jobs: int
) -> Iterator[tuple[Path, Run]]:
    """Yield each notebook with its run as it ends."""
    n_alone = len(notebooks) if jobs == 1 else 1
    for path in notebooks[:n_alone]:
        yield path, run_notebook(path, out, parameters.get(path))
    rest = sorted(notebooks[n_alone:], key=_seconds, reverse=True)  # the longest first: no core is idle at the end
    if rest:
        n_threads = max(1, (os.cpu_count() or 1) // jobs)
        # Processes, not threads: papermill changes the working folder of its process.
        pool = ProcessPoolExecutor(min(jobs, len(rest)), get_context("spawn"))
        runs = {pool.submit(run_notebook, path, out, parameters.get(path), n_threads): path for path in rest}
        try:
            for future in as_completed(runs):
                yield runs[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C begins no other notebook


def _read(path: Path) -> "NotebookNode":
    import nbformat

    return nbformat.read(path, as_version=4)


def _seconds(path: Path) -> float:
    """Return about how long a notebook takes, as its metadata says; 0 where they do not."""
    return _read(path).metadata.get("workbench", {}).get("seconds", 0)


def title_of(path: Path) -> str:
    """Return the first heading of a notebook, or the name of its file."""
    prose = [cell.source for cell in _read(path).cells if cell.cell_type == "markdown"]
    lines = "\n".join(prose).splitlines()
    return next((line.removeprefix("# ").strip() for line in lines if line.startswith("# ")), path.stem)
