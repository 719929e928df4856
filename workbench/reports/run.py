"""Run notebooks with papermill, compare their metrics with baselines, write a report to read offline."""

import os
import re
import time
from collections.abc import Iterator, Mapping
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


def run_notebook(path: Path, out: Path, parameters: Parameters | None = None, n_threads: int | None = None) -> Run:
    """Execute one notebook; write it and its page into `out`, which is also its working folder.

    `parameters` replace values of the cell tagged ``parameters``. Numerical libraries take `n_threads`, unless the
    environment says how many. The metrics are not compared yet.
    """
    import papermill
    from nbconvert import HTMLExporter
    from papermill.exceptions import PapermillExecutionError

    from .kernel import Manager

    out.mkdir(parents=True, exist_ok=True)
    run = Run(path.stem, _title(path))
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
            extra_arguments=[QUIET_KERNEL, first_line], kernel_manager_class=Manager,
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
) -> Iterator[Run]:
    """Execute notebooks; yield each run as it ends, when ``index.html`` in `out` shows it and names what is to come.

    Metrics are compared with the notebook's JSON file in `baselines`, or first become it with `update`, unless the
    notebook failed. After the first notebook, `jobs` run at once and share the processor's cores.
    """
    runs: dict[Path, Run] = {}
    for path, run in _executed(notebooks, out, parameters or {}, jobs):
        if baselines is not None:
            file = baselines / f"{path.stem}.json"
            if not run.metrics and not read_baseline(file):
                run.error = run.error or "the notebook records no metric"
            if update and run.error is None:
                write_baseline(file, run.metrics)
            run.verdicts = compare(run.metrics, read_baseline(file))
        runs[path] = run
        write_index([runs[p] for p in notebooks if p in runs], out, [_title(p) for p in notebooks if p not in runs])
        yield run


def _executed(
    notebooks: list[Path], out: Path, parameters: Mapping[Path, Parameters], jobs: int
) -> Iterator[tuple[Path, Run]]:
    """Yield each notebook with its run as it ends."""
    n_alone = len(notebooks) if jobs == 1 else 1  # it trains the built-in model and compiles kernels for the others
    for path in notebooks[:n_alone]:
        yield path, run_notebook(path, out, parameters.get(path))
    # The longest first, as their metadata say: no core is idle at the end.
    rest = sorted(notebooks[n_alone:], key=lambda p: -_read(p).metadata.get("workbench", {}).get("seconds", 0))
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


def _title(path: Path) -> str:
    """Return the first heading of a notebook, or the name of its file."""
    prose = "\n".join(cell.source for cell in _read(path).cells if cell.cell_type == "markdown")
    heading = re.search(r"^# (.*)", prose, re.MULTILINE)
    return heading[1].strip() if heading else path.stem
