"""Metrics that a notebook records, and their comparison with a baseline."""

import json
import math
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
FAILED = ("worse", "moved", "terms changed", "no baseline", "not recorded")
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
        if not _is_finite(self.value):
            raise ValueError(f"{self.name} must be a finite number, got {self.value!r}")
        if not _is_finite(self.abs) or self.abs < 0:
            raise ValueError(f"abs must be a tolerance of 0 or more, got {self.abs!r}")
        if self.better not in WORDS:
            raise ValueError(f"better must be one of {', '.join(WORDS)}, got {self.better!r}")


def _is_finite(number: object) -> bool:
    return isinstance(number, Real) and not isinstance(number, bool) and math.isfinite(number)


@dataclass(frozen=True)
class Verdict:
    """A metric beside its baseline. `status` is "ok", "better", or one of `FAILED`."""

    name: str
    value: float | None
    baseline: float | None
    abs: float
    better: Better
    status: str

    @property
    def failed(self) -> bool:
        return self.status in FAILED


@dataclass
class Run:
    """What came of running one notebook; `error` says what went wrong in it, if anything."""

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
    value: "Real | pd.DataFrame",
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
        Raise KeyError, or record nothing, where the scorecard has no such row, as with another model's word
        pairs. A metric that has a baseline fails the report all the same.
    """
    if isinstance(value, Real):
        number = float(value)
    elif not hasattr(value, "columns"):
        raise TypeError(f"{name}: expected a number or a scorecard, got {type(value).__name__} {str(value)[:60]!r}")
    else:
        names = value["metric"] + "." + value["split"]
        rows = value[names == name]
        if rows.empty and missing == "skip":
            return
        if len(rows) != 1:
            raise KeyError(f"the scorecard has {len(rows)} rows named {name!r}; it has {', '.join(names)}")
        number = float(rows["value"].iloc[0])
    metric = Metric(name, number, abs, better)
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is not None:
        terms = f"within {abs:g}; {WORDS[better]}" if abs else WORDS[better]
        text = f"recorded {name} = {number:.6g} ({terms})"
        display({MIME: asdict(metric), "text/plain": text}, raw=True)


def recorded(notebook: "NotebookNode") -> list[Metric]:
    """Return the metrics in the outputs of an executed notebook; ValueError where one was recorded twice."""
    found: dict[str, Metric] = {}
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if MIME in output.get("data", {}):
            metric = Metric(**output["data"][MIME])
            if metric.name in found:
                raise ValueError(f"the notebook records {metric.name!r} twice")
            found[metric.name] = metric
    return list(found.values())


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
    names = {metric.name for metric in metrics}
    missing = [Verdict(name, None, m.value, m.abs, m.better, "not recorded") for name, m in baseline.items()]
    return verdicts + [verdict for verdict in missing if verdict.name not in names]


def read_baseline(path: Path) -> dict[str, Metric]:
    """Return the metrics of an earlier run by name; none where there is no file yet. ValueError if it is damaged."""
    metrics = {}
    if path.exists():
        with reading(path, "a baseline, which has value, abs and better of each metric"):
            metrics = {name: Metric(name, **terms) for name, terms in json.loads(path.read_bytes()).items()}
    return metrics


def write_baseline(path: Path, metrics: list[Metric]) -> None:
    """Make these metrics, with their tolerances and directions, the baseline."""
    values = {m.name: {"value": float(m.value), "abs": m.abs, "better": m.better} for m in metrics}
    with replacing(path) as file:
        file.write((json.dumps(values, indent=2) + "\n").encode())
