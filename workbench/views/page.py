"""An exploration on paper: the same numbers, neighbours, maps and recipe that a live panel shows.

A panel shows the parts, a report the whole, and so does a notebook that is opened again when
nothing runs behind it.
"""

import base64
from html import escape

import pandas as pd

from ..compress import Chain
from .figures import STATUS, Picture
from .maps import map_figure
from .session import Model, Result, State

# Classes are doubled to outweigh JupyterLab's own rules for tables.
STYLE = """<style>
.wb.wb table {border-collapse: collapse; margin: .3em 0 .8em; table-layout: auto}
.wb.wb tr {background: none}
.wb.wb th, .wb.wb td {padding: .15em .8em .15em 0; text-align: left; vertical-align: baseline; border: 0;
  border-bottom: 1px solid rgba(128, 128, 128, .35); white-space: normal; line-height: 1.4; max-width: none}
.wb.wb td.number {text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums}
.wb.wb .bar {display: block; height: .7em; background: #0072B2}
.wb.wb .room {display: inline-block; width: 8em; background: rgba(128, 128, 128, .25)}
.wb.wb .quiet {opacity: .7; font-size: 90%}
.wb.wb .side {display: flex; flex-wrap: wrap; gap: 0 2.5em}
.wb.wb pre {padding: .6em; background: rgba(128, 128, 128, .12); overflow-x: auto}
.wb.wb img {max-width: 100%; background: white}
.wb.wb h4 {margin: .8em 0 .2em}
</style>"""
SPLITS = {
    "kept": "kept words: only their numbers are coded anew",
    "remapped": "remapped words: each borrows the row of a near one",
    "dropped": "dropped words: rebuilt from n-grams",
    "unseen": "unseen words: in neither vocabulary",
    "all": "all words",
}


def page(state: State) -> str:
    """The whole exploration as HTML that needs nothing else: no network, no kernel, no scripts."""
    if state.model is None or state.result is None:
        return STYLE + "<div class='wb'><p>Nothing has been computed yet.</p></div>"
    parts = [
        f"<h3>{escape(title(state.model))}</h3>",
        "<h4>Numbers</h4>",
        numbers_html(state.result, state.trail[-2] if len(state.trail) > 1 else None),
        "<h4>Neighbours before and after</h4>" if state.changes is not None else "",
        neighbours_html(state.changes),
    ]
    if state.maps is not None:
        picture = map_figure(state.maps, marked=state.words)
        parts += ["<h4>Maps</h4>", picture_html(picture, "Maps of the words before and after")]
    parts += ["<h4>Recipe</h4>", f"<pre>{escape(recipe_code(state.model, state.result.recipe))}</pre>"]
    return f"{STYLE}<div class='wb'>{''.join(parts)}</div>"


def title(model: Model) -> str:
    v = model.original
    return f"{model.source or 'a model in memory'}: {len(v):,} words of {v.dim} dimensions"


def numbers_html(result: Result, previous: Result | None = None) -> str:
    """The card as a table for reading, beside the previous result's values."""
    values = {(r.metric, r.split): r for r in result.card.itertuples()}
    old = {} if previous is None else {(r.metric, r.split): r.value for r in previous.card.itertuples()}
    size, original = values["size", "compressed"], values["size", "original"]
    ratio = values["ratio", "all"].value
    rows = [
        _row(
            "Size of the file",
            size.value / original.value,
            f"{size.value / 1e6:,.2f} MB",
            f"{ratio:,.1f} times smaller than {original.value / 1e6:,.2f} MB in float32",
            "exact",
            f"{old['size', 'compressed'] / 1e6:,.2f} MB" if old else "",
        )
    ]
    for split, meaning in SPLITS.items():
        if ("fidelity", split) in values:
            mean, low = values["fidelity", split], values["fidelity_p5", split]
            covered = values["coverage", split].value
            range_ = f"one in twenty below {low.value:.3f}" + (f"; {covered:.1%} have a vector" if covered < 1 else "")
            rows.append(
                _row(f"Closeness, {meaning}", mean.value, f"{mean.value:.4f}", range_, _how(mean), _old(old, mean, 4))
            )
    for split in ("all", "kept", "remapped", "dropped"):
        if ("overlap@10", split) in values:
            share = values["overlap@10", split]
            name = f"Neighbours kept of 10, {SPLITS[split].split(':')[0]}"
            range_ = f"95% interval {share.low:.2f} to {share.high:.2f}"
            rows.append(_row(name, share.value, f"{share.value:.3f}", range_, _how(share), _old(old, share, 3)))
    head = "".join(
        f"<th>{name}</th>" for name in ("what", "value", "", "spread", "how", "setting before" if old else "")
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(name: str, share: float, value: str, about: str, how: str, before: str) -> str:
    bar = f"<span class='room'><span class='bar' style='width: {100 * min(max(share, 0), 1):.1f}%'></span></span>"
    return (
        f"<tr><th>{name}</th><td class='number'><b>{value}</b></td><td>{bar}</td><td>{about}</td>"
        f"<td class='quiet'>{escape(how)}</td><td class='number quiet'>{before}</td></tr>"
    )


def _how(row) -> str:
    return f"{row.how}, {row.n:,} words"


def _old(old: dict, row, digits: int) -> str:
    return f"{old[row.metric, row.split]:.{digits}f}" if (row.metric, row.split) in old else ""


def neighbours_html(changes: pd.DataFrame | None) -> str:
    """Tables of neighbours side by side: those kept, lost and gained, and where each stood before."""
    if changes is None or changes.empty:
        return ""
    tables = [_neighbours_table(str(word), rows) for word, rows in changes.groupby("word", sort=False)]
    legend = ", ".join(f"<span style='color: {color}'>{mark}</span> {name}" for name, (color, mark) in STATUS.items())
    return f"<div class='quiet'>{legend}; in brackets the rank before</div><div class='side'>{''.join(tables)}</div>"


def _neighbours_table(word: str, rows: pd.DataFrame) -> str:
    before = rows[rows["rank_before"].notna()].set_index("rank_before")
    after = rows[rows["rank_after"].notna()].set_index("rank_after")
    n_kept = int((rows["status"] == "kept").sum())
    lines = []
    for rank in sorted({*before.index, *after.index}):
        cells = "".join(_cell(side, rank) for side in (before, after))
        lines.append(f"<tr><td class='number quiet'>{rank}</td>{cells}</tr>")
    return (
        f"<div><b><bdi>{escape(word)}</bdi></b>: {n_kept} of {len(before)} neighbours kept"
        "<table><thead><tr><th>rank</th><th>original</th><th>compressed</th></tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(side: pd.DataFrame, rank: int) -> str:
    if rank not in side.index:
        return "<td></td>"
    entry = side.loc[rank]
    color, mark = STATUS[entry["status"]]
    moved = entry["status"] == "kept" and "rank_before" in entry and entry["rank_before"] != rank
    was = f" <span class='quiet'>({entry['rank_before']})</span>" if moved else ""
    return f"<td><span style='color: {color}'>{mark}</span> <bdi>{escape(entry['neighbour'])}</bdi>{was}</td>"


def recipe_code(model: Model, recipe: Chain, path: str = "small.safetensors") -> str:
    """The recipe as a script to paste."""
    names = [*sorted({"Chain", *(type(step).__name__ for step in recipe.steps)}), "load"]
    steps = "".join(f"    {step!r},\n" for step in recipe.steps)
    big = f"load({model.source!r})" if model.source else "...  # the model that you gave"
    return (
        f"from workbench import {', '.join(names)}\n\nbig = {big}\nrecipe = Chain([\n{steps}])\n"
        f"small = recipe.fit_transform(big)\nsmall.save({path!r})\n"
    )


def picture_html(picture: Picture, about: str) -> str:
    """A figure inside the page."""
    return f"<img alt='{escape(about)}' src='data:image/png;base64,{base64.b64encode(picture.png()).decode()}'>"
