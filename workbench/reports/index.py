"""The report's first page: every notebook, its status, time, and metrics beside their baselines."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .run import Run

MARKS = {"passed": "✓", "failed": "✗", "error": "✗", "ok": "✓", "better": "▲"}  # all others: ✗
DIRECTIONS = {"higher": "higher", "lower": "lower", "equal": "neither", None: ""}

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Embedding workbench: report</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8886; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.bad { font-weight: bold; text-decoration: underline; }
pre { white-space: pre-wrap; border-left: 4px solid #D55E00; padding: .5rem 1rem; }
section { margin-top: 2.5rem; }
</style>
</head>
<body>
<h1>Notebooks: {{ verdict }}</h1>
<p>Made {{ made }}. A metric may be worse than its baseline by its tolerance at most; better is
fine, unless the column says neither.</p>
{% for run in runs %}
<section>
<h2>{{ mark(run.status) }} <a href="{{ run.name }}.html">{{ run.title }}</a></h2>
<p><span class="{{ 'bad' if run.failed }}">{{ run.status }}</span> in {{ "%.0f" | format(run.seconds) }} s
&middot; <a href="{{ run.name }}.ipynb">{{ run.name }}.ipynb</a>, as it ran</p>
{% if run.error %}<pre>{{ run.error }}</pre>{% endif %}
{% if run.verdicts %}
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


def write_index(runs: list["Run"], out: Path) -> Path:
    """Write ``index.html`` into `out`; it links the notebooks' pages and needs no network."""
    from jinja2 import Environment

    n_failed = sum(run.failed for run in runs)

    html = (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(TEMPLATE)
        .render(
            runs=runs,
            verdict=f"{n_failed} of {len(runs)} failed" if n_failed else f"all {len(runs)} passed",
            made=time.strftime("%Y-%m-%d %H:%M"),
            mark=lambda status: MARKS.get(status, "✗"),
            number=lambda x: "" if x is None else f"{x:.6g}",
            directions=DIRECTIONS,
        )
    )
    path = out / "index.html"
    path.write_text(html, encoding="utf-8")
    return path
