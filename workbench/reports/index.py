"""The report's first page: every notebook, its status, time, and metrics beside their baselines."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import replacing

if TYPE_CHECKING:
    from .run import Run

MARKS = {"passed": "✓", "failed": "✗", "error": "✗", "ok": "✓", "better": "▲"}  # all others: ✗
DIRECTIONS = {"higher": "higher", "lower": "lower", "equal": "neither", None: ""}
SIDES = {"higher": "at least", "lower": "at most"}  # the good one of a limit
HELD = {"ok": "met", "better": "met", "worse": "not met", "not recorded": "not measured"}  # the status of a limit
RULE = """A metric may be worse than its baseline by its tolerance at most; better is
fine, unless the column says neither."""
LIMITS_RULE = "A number on the good side of its limit, or just at it, meets it."

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{% if to_come %}<meta http-equiv="refresh" content="5">
{% endif %}
<title>Embedding workbench: report</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8886; }
td.number, th.number { text-align: right; padding-right: 1.5rem; font-variant-numeric: tabular-nums; }
.bad { font-weight: bold; text-decoration: underline; }
pre { white-space: pre-wrap; border-left: 4px solid #D55E00; padding: .5rem 1rem; }
section { margin-top: 2.5rem; }
</style>
</head>
<body>
<h1>{{ verdict }}</h1>
<p>Made {{ made }}. {{ rule }}</p>
{% if to_come %}
<p role="status">Still to come (this page reloads by itself until then):</p>
<ul>{% for title in to_come %}
<li>{{ title }}</li>{% endfor %}
</ul>
{% endif %}
{% for run in runs %}
<section>
<h2>{{ mark(run.status) }} <a href="{{ run.name }}.html">{{ run.title }}</a></h2>
<p><span class="{{ 'bad' if run.failed }}">{{ run.status }}</span> in {{ "%.0f" | format(run.seconds) }} s
&middot; <a href="{{ run.name }}.ipynb">{{ run.name }}.ipynb</a>, as it ran</p>
{% if run.error %}<pre>{{ run.error }}</pre>{% endif %}
{% if has_limits(run) %}
<table>
<thead><tr><th>metric</th><th class="number">value</th><th class="number">limit</th><th>status</th></tr></thead>
<tbody>
{% for v in run.verdicts %}
<tr><td>{{ v.name }}</td><td class="number">{{ number(v.value) }}</td>
<td class="number">{{ sides[v.better] }} {{ number(v.baseline) }}</td>
<td class="{{ 'bad' if v.failed }}">{{ "✗" if v.failed else "✓" }} {{ held.get(v.status, v.status) }}</td></tr>
{% endfor %}
</tbody>
</table>
{% if run.verdicts | selectattr("status", "equalto", "not recorded") | list %}
<p>Not measured: the notebook stopped before, or there is nothing to measure. Without n-grams no
unseen word has a vector, and a recipe may leave no word to be dropped.</p>
{% endif %}
<p><a href="{{ run.name }}.html">How it was built and measured</a></p>
{% elif run.verdicts %}
<table>
<thead><tr><th>metric</th><th class="number">value</th><th class="number">baseline</th>
<th class="number">tolerance</th><th>better</th><th>status</th></tr></thead>
<tbody>
{% for v in run.verdicts %}
<tr><td>{{ v.name }}</td><td class="number">{{ number(v.value) }}</td>
<td class="number">{{ number(v.baseline) }}</td><td class="number">{{ number(v.abs) }}</td>
<td>{{ directions[v.better] }}</td>
<td class="{{ 'bad' if v.failed }}">{{ mark(v.status) }} {{ v.status }}</td></tr>
{% endfor %}
</tbody>
</table>
{% elif run.metrics %}
<table>
<thead><tr><th>metric</th><th class="number">value</th></tr></thead>
<tbody>{% for m in run.metrics %}
<tr><td>{{ m.name }}</td><td class="number">{{ number(m.value) }}</td></tr>{% endfor %}
</tbody>
</table>
<p>Not compared with baselines.</p>
{% endif %}
</section>
{% endfor %}
</body>
</html>
"""


def write_index(runs: list["Run"], out: Path, to_come: Sequence[str] = ()) -> Path:
    """Write ``index.html`` into `out`; it links the notebooks' pages and needs no network.

    `to_come` has the titles of notebooks that have not ended yet.
    """
    from jinja2 import Environment

    by_limits = bool(runs) and all(map(has_limits, runs))
    html = (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(TEMPLATE)
        .render(
            runs=runs,
            verdict=_limits_held(runs) if by_limits else _passed(runs, len(to_come)),
            to_come=to_come,
            rule=LIMITS_RULE if by_limits else RULE,
            has_limits=has_limits,
            made=time.strftime("%Y-%m-%d %H:%M"),
            mark=lambda status: MARKS.get(status, "✗"),
            number=_number,
            directions=DIRECTIONS,
            sides=SIDES,
            held=HELD,
        )
    )
    path = out / "index.html"
    with replacing(path) as file:  # somebody may be reading it
        file.write(html.encode())
    return path


def has_limits(run: "Run") -> bool:
    """Whether the run is held against limits: baselines with no tolerance, which values may leave one way."""
    return bool(run.verdicts) and all(v.abs == 0 and v.better in SIDES for v in run.verdicts)


def _passed(runs: list["Run"], n_to_come: int) -> str:
    n_failed = sum(run.failed for run in runs)
    if n_to_come:
        return f"Notebooks: {len(runs)} of {len(runs) + n_to_come} are done, {n_failed or 'none'} failed"
    return "Notebooks: " + (f"{n_failed} of {len(runs)} failed" if n_failed else f"all {len(runs)} passed")


def _limits_held(runs: list["Run"]) -> str:
    verdicts = [v for run in runs for v in run.verdicts]
    n_failed = sum(v.failed for v in verdicts)
    error = ", and an error" if any(run.error for run in runs) else ""
    return "Limits: " + (f"{n_failed} of {len(verdicts)} not met" if n_failed else f"all {len(verdicts)} met") + error


def _number(x: float | None) -> str:
    """Bytes whole, all else to six digits."""
    if x is None:
        return ""
    return f"{x:,.0f}" if float(x).is_integer() and abs(x) >= 1_000 else f"{x:.6g}"
