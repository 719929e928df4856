"""The report's first page: every notebook, its status, time, and metrics beside their baselines or limits."""

import time
from collections.abc import Sequence
from pathlib import Path

from ..files import replacing
from .metrics import Run, Verdict

PAGE = Path(__file__).with_name("index.html.jinja")
MARKS = {"ok": "✓", "better": "▲"}  # all others: ✗
DIRECTIONS = {"higher": "higher", "lower": "lower", "equal": "neither"}
SIDES = {"higher": "at least", "lower": "at most"}
LIMIT_STATUSES = {"ok": "✓ met", "better": "✓ met", "worse": "✗ not met", "not recorded": "✗ not measured"}


def write_index(runs: list[Run], out: Path, to_come: Sequence[str]) -> None:
    """Write ``index.html`` into `out`; it names notebooks that are still to come, and needs no network."""
    from jinja2 import Environment

    by_limits = all(map(_has_limits, runs))
    environment = Environment(autoescape=True, trim_blocks=True)
    html = environment.from_string(PAGE.read_text(encoding="utf-8")).render(
        runs=runs,
        headline=_headline(runs, len(to_come), by_limits),
        by_limits=by_limits,
        made=time.strftime("%Y-%m-%d %H:%M"),
        to_come=to_come,
        table=_table,
        has_limits=_has_limits,
    )
    with replacing(out / "index.html") as file:  # somebody may be reading it
        file.write(html.encode())


def _has_limits(run: Run) -> bool:
    """Limits are baselines with a tolerance of 0 that values may leave one way."""
    return bool(run.verdicts) and all(v.abs == 0 and v.better in SIDES for v in run.verdicts)


def _headline(runs: list[Run], n_to_come: int, by_limits: bool) -> str:
    checks = [v for run in runs for v in run.verdicts] if by_limits else runs
    n, n_failed = len(checks), sum(check.failed for check in checks)
    if by_limits:
        error = ", and an error" if any(run.error for run in runs) else ""
        return "Limits: " + (f"{n_failed} of {n} not met" if n_failed else f"all {n} met") + error
    if n_to_come:
        return f"Notebooks: {n} of {n + n_to_come} are done, {n_failed or 'none'} failed"
    return "Notebooks: " + (f"{n_failed} of {n} failed" if n_failed else f"all {n} passed")


def _table(run: Run) -> list[dict[str, str]]:
    """The rows of a run's table."""
    rows = []
    for v in run.verdicts or run.metrics:
        row = {"metric": v.name, "value": _number(v.value)}
        if isinstance(v, Verdict) and _has_limits(run):
            row["limit"] = f"{SIDES[v.better]} {_number(v.baseline)}"
            row["status"] = LIMIT_STATUSES.get(v.status, f"✗ {v.status}")
        elif isinstance(v, Verdict):
            row |= {"baseline": _number(v.baseline), "tolerance": _number(v.abs), "better": DIRECTIONS[v.better]}
            row["status"] = f"{MARKS.get(v.status, '✗')} {v.status}"
        rows.append(row)
    return rows


def _number(x: float | None) -> str:
    """Bytes whole, all else to six digits."""
    if x is None:
        return ""
    return f"{x:,.0f}" if float(x).is_integer() and abs(x) >= 1_000 else f"{x:.6g}"
