"""An exploration on paper: the same numbers, neighbours, maps and recipe that a live panel shows.

A panel shows the parts, a report the whole, and so does a notebook that is opened again when
nothing runs behind it.
"""

import base64
from collections.abc import Collection
from html import escape

import pandas as pd

from ..compress import Chain
from .carriers import carriers_html
from .damage import damage_figure, damage_html
from .figures import STATUS, Picture
from .plots import map_figure
from .state import SHOWN, Model, Result, State
from .trail import trail_figure

HEADINGS = {
    "numbers": "Numbers",
    "words": "Neighbours before and after",
    "maps": "Maps",
    "damage": "What was damaged",
}
MAPS = "Maps of the words before and after"

# Classes are doubled to outweigh JupyterLab's own rules for tables.
STYLE = """<style>
.wb.wb table {border-collapse: collapse; margin: .3em 0 .8em; table-layout: auto}
.wb.wb tr {background: none}
.wb.wb th, .wb.wb td {padding: .15em .8em .15em 0; text-align: left; vertical-align: baseline; border: 0;
  border-bottom: 1px solid rgba(128, 128, 128, .35); white-space: normal; line-height: 1.4; max-width: none}
.wb.wb td.number {text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums}
.wb.wb .bar {display: block; height: .7em; background: #0072B2}
.wb.wb .bar.over {background: #D55E00}
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


def page(s: State, show: Collection[str] = SHOWN) -> str:
    """An exploration as HTML that needs nothing else: no network, no kernel, no scripts.

    `show` says what of it, as for `Session`.
    """
    if s.model is None or s.result is None:
        return STYLE + "<div class='wb'><p>Nothing has been computed yet.</p></div>"
    sections = {
        "numbers": _numbers_section,
        "words": lambda s: neighbours_html(s.changes) + "".join(map(carriers_html, s.carriers.values())),
        "maps": lambda s: "" if s.maps is None else picture_html(map_figure(s.maps, marked=s.words), MAPS),
        "damage": lambda s: "" if s.damage is None else _damage_section(s),
    }
    parts = [(HEADINGS[name], section(s)) for name, section in sections.items() if name in show]
    if s.result.recipe is not None:
        parts.append(("Recipe", f"<pre>{escape(recipe_code(s.model, s.result.recipe))}</pre>"))
    body = "".join(f"<h4>{heading}</h4>{part}" for heading, part in parts if part)
    return f"{STYLE}<div class='wb'><h3>{escape(title(s.model))}</h3>{body}</div>"


def _numbers_section(s: State) -> str:
    assert s.result is not None
    numbers = limit_html(s.result, s.limit) + numbers_html(s.result, s.before, s.agreement)
    if len(s.trail) < 2:
        return numbers
    return numbers + picture_html(trail_figure(s.trail, s.result.recipe, s.limit), "Size and quality of what was tried")


def _damage_section(s: State) -> str:
    assert s.damage is not None
    figure = picture_html(damage_figure(s.damage.groups), "Fidelity by group of words")
    return damage_html(*s.damage) + figure


def title(model: Model) -> str:
    v = model.original
    return f"{model.source or 'a model in memory'}: {len(v):,} words of {v.dim} dimensions"


def limit_html(result: Result, limit: int | None) -> str:
    """The size of the file as a bar beside the limit, and in words."""
    if limit is None:
        return ""
    size = result.trial["bytes"]
    share, room = size / limit, limit - size
    about = f"{room / 1e6:,.2f} MB to spare" if room >= 0 else f"too large by {-room / 1e6:,.2f} MB"
    mark, kind = ("\N{CHECK MARK}", "") if room >= 0 else ("\N{MULTIPLICATION SIGN}", " over")
    bar = f"<span class='room'><span class='bar{kind}' style='width: {100 * min(share, 1):.1f}%'></span></span>"
    return f"<div>{bar} {mark} {size / 1e6:,.2f} of {limit / 1e6:,.2f} MB: {about}</div>"


def numbers_html(result: Result, before: Result | None = None, agreement: pd.DataFrame | None = None) -> str:
    """The card as a table for reading, beside the values of the result before."""
    values = {(r.metric, r.split): r for r in result.card.itertuples()}
    old = {} if before is None else {(r.metric, r.split): r.value for r in before.card.itertuples()}
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
                _row(f"Fidelity, {meaning}", mean.value, f"{mean.value:.4f}", range_, _how(mean), _old(old, mean, 4))
            )
    for split in ("all", "kept", "remapped", "dropped"):
        if ("overlap@10", split) in values:
            share = values["overlap@10", split]
            name = f"Neighbours kept of 10, {SPLITS[split].split(':')[0]}"
            range_ = f"95% interval {share.low:.2f} to {share.high:.2f}"
            rows.append(_row(name, share.value, f"{share.value:.3f}", range_, _how(share), _old(old, share, 3)))
    rows += [] if agreement is None else _agreement_rows(agreement)
    names = ("what", "value", "", "spread", "how", "setting before" if old else "")
    head = "".join(f"<th>{name}</th>" if name else "<td></td>" for name in names)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _agreement_rows(agreement: pd.DataFrame) -> list[str]:
    """Correlations with people's scores, of each set of word pairs that the model covers."""
    rows = {(r.metric, r.split): r for r in agreement.itertuples()}
    lines = []
    for name in dict.fromkeys(agreement["split"]):
        if ("similarity", name) not in rows:
            continue
        after, first = rows["similarity", name], rows["similarity_original", name]
        about = f"original {first.value:.3f}; 95% interval {after.low:.2f} to {after.high:.2f}"
        how = f"{after.how.split(';')[0]}, {after.n:,} pairs"
        lines.append(_row(f"Agreement with people, {escape(name)}", after.value, f"{after.value:.3f}", about, how, ""))
    return lines


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
