"""Run notebooks with papermill, hold their metrics against baselines, write a report to read offline."""

import ast
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ..files import replacing
from .metrics import Metric, Verdict, compare, read_baseline, recorded, write_baseline

# A kernel says this for each notebook: "Kernel is running over TCP without encryption".
QUIET_KERNEL = ["--IPKernelApp.log_level=CRITICAL"]
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


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


def default_parameters(path: Path) -> dict[str, Any]:
    """Read the names and values in the cell tagged ``parameters``; None where a value is no literal."""
    import nbformat

    cells = nbformat.read(path, as_version=4).cells
    source = next((c.source for c in cells if "parameters" in c.metadata.get("tags", ())), "")
    found: dict[str, Any] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            both = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            pairs = zip(target.elts, value.elts, strict=True) if both else [(target, value)]  # type: ignore[attr-defined]
            found |= {name.id: _literal(v) for name, v in pairs if isinstance(name, ast.Name)}
    return found


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def check_parameters(path: Path, parameters: Mapping[str, Any]) -> None:
    """Raise ValueError where the notebook has no parameter of a name."""
    unknown = set(parameters) - set(default_parameters(path)) if parameters else ()
    if unknown:
        raise ValueError(f"{path} has no parameter named {', '.join(sorted(unknown))}")


def run_notebook(path: Path, out: Path, parameters: Mapping[str, Any] | None = None) -> Run:
    """Execute one notebook; write it and its page into `out`.

    Parameters
    ----------
    path : Path
    out : Path
        A folder; also the working folder of the notebook.
    parameters : mapping, optional
        Replace values of the cell tagged ``parameters``; names it lacks are refused.

    Returns
    -------
    Run
        With the recorded metrics, and the error where a cell raised one. Not yet compared.
    """
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    check_parameters(path, parameters or {})
    out.mkdir(parents=True, exist_ok=True)
    run = Run(path.stem, title_of(path))
    executed = out / path.name
    executed.unlink(missing_ok=True)  # what an older run left must not be taken for this one's
    start = time.perf_counter()
    try:
        with environment({"TQDM_DISABLE": "1"}):  # finished progress bars are clutter on a page
            papermill.execute_notebook(
                str(path), str(executed), parameters=dict(parameters or {}), cwd=str(out), progress_bar=False,
                extra_arguments=QUIET_KERNEL,
            )  # fmt: skip
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
    with replacing(out / f"{path.stem}.html") as file:
        file.write(page(notebook, run.title).encode())
    return run


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while, for the processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def run_all(
    notebooks: list[Path],
    out: Path,
    baselines: Path | None,
    parameters: Mapping[Path, Mapping[str, Any]] | None = None,
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

    Returns
    -------
    list of Run
        In the order of `notebooks`.
    """
    from .index import write_index

    parameters = parameters or {}
    for path in notebooks:
        check_parameters(path, parameters.get(path, {}))
    runs: dict[Path, Run] = {}
    for path, run in _executed(notebooks, out, parameters, jobs):
        if baselines is not None:
            file = baselines / f"{path.stem}.json"
            run.verdicts = compare(run.metrics, read_baseline(file))
            if not run.verdicts:
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
    notebooks: list[Path], out: Path, parameters: Mapping[Path, Mapping[str, Any]], jobs: int
) -> Iterator[tuple[Path, Run]]:
    """Yield each notebook with its run as it ends."""
    first, rest = notebooks[0], notebooks[1:]
    yield first, run_notebook(first, out, parameters.get(first))
    if jobs == 1:
        for path in rest:
            yield path, run_notebook(path, out, parameters.get(path))
    elif rest:
        rest = sorted(rest, key=_seconds, reverse=True)  # the longest first, so that no core is idle at the end
        share = str(max(1, (os.cpu_count() or 1) // jobs))
        # Processes, not threads: papermill changes the working folder of its process.
        with (
            environment({name: os.environ.get(name, share) for name in THREADS}),
            ProcessPoolExecutor(min(jobs, len(rest)), get_context("spawn")) as pool,
        ):
            futures = {pool.submit(run_notebook, path, out, parameters.get(path)): path for path in rest}
            for future in as_completed(futures):
                yield futures[future], future.result()


def _seconds(path: Path) -> float:
    """About how long a notebook takes, as its metadata says; 0 where they do not."""
    import nbformat

    return nbformat.read(path, as_version=4).metadata.get("workbench", {}).get("seconds", 0)


def title_of(path: Path) -> str:
    """The first heading of a notebook, or the name of its file."""
    import nbformat

    for cell in nbformat.read(path, as_version=4).cells:
        for line in cell.source.splitlines():
            if cell.cell_type == "markdown" and line.startswith("# "):
                return line.removeprefix("# ").strip()
    return path.stem


def page(notebook: Any, title: str) -> str:
    """An executed notebook as one HTML page that asks the network for nothing."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="", widget_renderer_url="")
    return exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})[0]
