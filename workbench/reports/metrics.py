"""Metrics that a notebook records, and their comparison with a baseline."""

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..checks import reading
from ..files import replacing

if TYPE_CHECKING:
    import pandas as pd
    from nbformat import NotebookNode

MIME = "application/vnd.workbench.metric+json"
WORDS = {"higher": "higher is better", "lower": "lower is better", "equal": "should not move"}
ROUNDING = 1e-9  # of the baseline: a value exactly at its tolerance passes

Better = Literal["higher", "lower", "equal"]


@dataclass(frozen=True)
class Metric:
    """A recorded number, its tolerance, and the direction that is good."""

    name: str
    value: float
    abs: float
    better: Better

    def __post_init__(self) -> None:
        if not isinstance(self.value, Real) or not math.isfinite(self.value):
            raise ValueError(f"{self.name} must be a finite number, got {self.value!r}")
        if not isinstance(self.abs, Real) or not 0 <= self.abs < math.inf:
            raise ValueError(f"abs must be a tolerance of 0 or more, got {self.abs!r}")
        if self.better not in WORDS:
            raise ValueError(f"better must be one of {', '.join(WORDS)}, got {self.better!r}")


@dataclass(frozen=True)
class Verdict:
    """A metric beside its baseline. `status` is "ok" or "better", or says why it failed."""

    name: str
    value: float | None
    baseline: float | None
    abs: float
    better: Better
    status: str

    @property
    def failed(self) -> bool:
        return self.status not in ("ok", "better")


@dataclass
class Run:
    """The outcome of running one notebook; `error` is the message of a cell that failed."""

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


def record(
    name: str,
    value: "float | pd.DataFrame",
    *,
    abs: float,
    better: Better,
    missing: Literal["error", "skip"] = "error",
) -> None:
    """Record a metric in the output of this notebook's cell, for the report to compare with its baseline.

    Outside a notebook this only checks.

    Parameters
    ----------
    name : str
        Unique in the notebook. For a scorecard, ``metric.split``, such as ``fidelity.kept``.
    value : number or scorecard
        A finite number, or a scorecard with just one row of that metric and split.
    abs : float
        How far the value may be from the baseline, in its own unit.
    better : {"higher", "lower", "equal"}
        The direction in which it may go freely. "equal" bounds both.
    missing : {"error", "skip"}
        Raise KeyError, or record nothing, where the scorecard has no such row.
    """
    import pandas as pd
    from IPython import get_ipython
    from IPython.display import display

    if isinstance(value, pd.DataFrame):
        names = value["metric"] + "." + value["split"]
        rows = value[names == name]
        if rows.empty and missing == "skip":
            return
        if len(rows) != 1:
            raise KeyError(f"the scorecard has {len(rows)} rows named {name!r}; it has {', '.join(names)}")
        value = rows["value"].iloc[0]
    metric = Metric(name, value, abs, better)
    if get_ipython() is not None:
        terms = f"within {abs:g}; {WORDS[better]}" if abs else WORDS[better]
        text = f"recorded {name} = {value:.6g} ({terms})"
        display({MIME: asdict(metric) | {"value": float(value)}, "text/plain": text}, raw=True)


def recorded(notebook: "NotebookNode") -> list[Metric]:
    """Return the metrics in the outputs of an executed notebook; ValueError where one was recorded twice."""
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    metrics = [Metric(**data[MIME]) for data in outputs if MIME in data]
    for name, n in Counter(metric.name for metric in metrics).items():
        if n > 1:
            raise ValueError(f"the notebook records {name!r} twice")
    return metrics


def compare(metrics: list[Metric], baseline: dict[str, Metric]) -> list[Verdict]:
    """Compare metrics with `baseline`, both ways: one that was not recorded fails too.

    A metric may be worse by its tolerance; a limit is a baseline with a tolerance of 0. A changed tolerance or
    direction fails, since it could hide a loss.
    """
    verdicts = []
    for new in metrics:
        old = baseline.get(new.name)
        gain = new.value - old.value if old else math.nan
        if old is None:
            status = "no baseline"
        elif (new.abs, new.better) != (old.abs, old.better):
            status = "terms changed"
        elif abs(gain) <= new.abs + ROUNDING * abs(old.value):
            status = "ok"
        elif new.better == "equal":
            status = "moved"
        else:
            status = "better" if (gain > 0) == (new.better == "higher") else "worse"
        verdicts.append(Verdict(new.name, new.value, old.value if old else None, new.abs, new.better, status))
    missing = [baseline[name] for name in baseline if name not in {metric.name for metric in metrics}]
    return verdicts + [Verdict(m.name, None, m.value, m.abs, m.better, "not recorded") for m in missing]


def read_baseline(path: Path) -> dict[str, Metric]:
    """Return the metrics of an earlier run by name; none where there is no file yet. ValueError if it is damaged."""
    if not path.exists():
        return {}
    with reading(path, "a baseline, which has value, abs and better of each metric"):
        return {name: Metric(name, **terms) for name, terms in json.loads(path.read_bytes()).items()}


def write_baseline(path: Path, metrics: list[Metric]) -> None:
    """Make these metrics, with their tolerances and directions, the baseline."""
    values = {m.name: {"value": float(m.value), "abs": m.abs, "better": m.better} for m in metrics}
    with replacing(path) as file:
        file.write((json.dumps(values, indent=2) + "\n").encode())
