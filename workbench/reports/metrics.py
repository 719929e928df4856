"""Metrics that a notebook records, and how they stand against their baselines."""

import json
import math
from dataclasses import asdict, dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
    """A recorded number: how far it may stray from its baseline, and which way is good."""

    name: str
    value: float
    abs: float
    better: Better


@dataclass(frozen=True)
class Verdict:
    """A metric beside its baseline. `status` is "ok", "better", or one of `FAILED`."""

    name: str
    value: float | None
    baseline: float | None
    abs: float | None
    better: Better | None
    status: str

    @property
    def failed(self) -> bool:
        return self.status in FAILED


def record(
    name: str,
    value: "Real | pd.DataFrame",
    *,
    abs: float,
    better: Better,
    missing: Literal["error", "skip"] = "error",
) -> None:
    """Record a metric in the output of this notebook's cell, for the report to hold against its baseline.

    Parameters
    ----------
    name : str
        Unique in the notebook. For a scorecard, ``metric.split``, such as ``fidelity.kept``.
    value : number or scorecard
        The number, or a scorecard with just one row of that metric and split.
    abs : float
        How far the value may be from the baseline, in its own unit.
    better : {"higher", "lower", "equal"}
        The way it may go freely. "equal" bounds both ways.

    missing : {"error", "skip"}
        What to do where the scorecard has no such row, as with another model's word pairs. A
        metric that has a baseline fails the report all the same.

    Outside a notebook this only checks.

    Raises
    ------
    KeyError
        If the scorecard has no such row.
    ValueError
        If the number is not finite, or `abs` or `better` make no sense.
    """
    if not isinstance(value, Real) and not hasattr(value, "columns"):
        raise TypeError(f"{name}: expected a number or a scorecard, got {type(value).__name__} {str(value)[:60]!r}")
    if not isinstance(value, Real) and missing == "skip" and _rows(name, value).empty:
        return
    number = float(value) if isinstance(value, Real) else _from_card(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}; a recorded metric must be a finite number")
    if better not in WORDS:
        raise ValueError(f"better must be one of {', '.join(WORDS)}, got {better!r}")
    if not (abs >= 0 and math.isfinite(abs)):
        raise ValueError(f"abs must be a tolerance of 0 or more, got {abs!r}")
    _show(Metric(name, number, abs, better))


def _rows(name: str, card: "pd.DataFrame") -> "pd.DataFrame":
    """The rows that ``metric.split`` names."""
    metric, _, split = name.rpartition(".")
    return card[(card["metric"] == metric) & (card["split"] == split)]


def _from_card(name: str, card: "pd.DataFrame") -> float:
    rows = _rows(name, card)
    if len(rows) != 1:
        known = ", ".join(f"{m}.{s}" for m, s in zip(card["metric"], card["split"], strict=True))
        raise KeyError(f"the scorecard has {len(rows)} rows named {name!r}; it has {known}")
    return float(rows["value"].iloc[0])


def _show(metric: Metric) -> None:
    """Put the metric into the cell's output, where there is a cell."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return
    if get_ipython() is None:
        return
    terms = f"within {metric.abs:g}; {WORDS[metric.better]}" if metric.abs else WORDS[metric.better]
    text = f"recorded {metric.name} = {metric.value:.6g} ({terms})"
    display({MIME: asdict(metric), "text/plain": text}, raw=True)


def recorded(notebook: "NotebookNode") -> list[Metric]:
    """All metrics in the outputs of an executed notebook.

    Raises
    ------
    ValueError
        If a name was recorded twice.
    """
    found: dict[str, Metric] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                metric = Metric(**output["data"][MIME])
                if metric.name in found:
                    raise ValueError(f"the notebook records {metric.name!r} twice")
                found[metric.name] = metric
    return list(found.values())


def compare(metrics: list[Metric], baseline: dict[str, Metric]) -> list[Verdict]:
    """Hold metrics against `baseline`, both ways: what was not recorded fails too.

    A changed tolerance or direction fails as well, for it could hide a loss.
    """
    verdicts = []
    for metric in metrics:
        old = baseline.get(metric.name)
        value = None if old is None else old.value
        verdicts.append(Verdict(metric.name, metric.value, value, metric.abs, metric.better, _status(metric, old)))
    names = {metric.name for metric in metrics}
    gone = [m for m in baseline.values() if m.name not in names]
    return verdicts + [Verdict(m.name, None, m.value, m.abs, m.better, "not recorded") for m in gone]


def _status(metric: Metric, old: Metric | None) -> str:
    if old is None:
        return "no baseline"
    if (metric.abs, metric.better) != (old.abs, old.better):
        return "terms changed"
    gain = metric.value - old.value
    if abs(gain) <= metric.abs + ROUNDING * abs(old.value):
        return "ok"
    if metric.better == "equal":
        return "moved"
    return "better" if (gain > 0) == (metric.better == "higher") else "worse"


def read_baseline(path: Path) -> dict[str, Metric]:
    """The metrics of an earlier run by name; empty where there is no file yet.

    Raises
    ------
    ValueError
        If the file is no JSON, or a metric in it has not what `record` takes.
    """
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_bytes())
        metrics = {name: Metric(name, **terms) for name, terms in values.items()}
        if all(map(_is_sound, metrics.values())):
            return metrics
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError):
        pass
    raise ValueError(f"{path} is no baseline (a value, abs and better for each metric); make it anew")


def _is_sound(metric: Metric) -> bool:
    numbers = (metric.value, metric.abs)
    finite = all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in numbers)
    return finite and metric.abs >= 0 and isinstance(metric.better, str) and metric.better in WORDS


def write_baseline(path: Path, metrics: list[Metric]) -> None:
    """Make these metrics, with their tolerances and directions, the baseline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {m.name: {"value": m.value, "abs": m.abs, "better": m.better} for m in metrics}
    with replacing(path) as file:
        file.write((json.dumps(values, indent=2) + "\n").encode())
