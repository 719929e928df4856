"""Views on paper: what their blocks hold, as HTML that needs no script, network or kernel."""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from pathlib import Path
from string import Formatter
from typing import Any

import pandas as pd

from ..evaluate.scorecard import HELP
from .plots import STATUS, Picture, damage_figure, history_figure, map_figure

SIGNS = {"stays": "kept", "pruned": "lost", "not there before": "gained"}  # of n-grams, as of neighbours
# Columns of tables: templates for `table_html`.
OVERVIEW = {"metric": "{what}<br><small>{help}</small>", "value": "<b>{value}</b>", "": "{share:bar}",
            "spread": "{spread}", "origin": "{how}", "before": "{before}"}  # fmt: skip
STEPS = {"step": "<b>{label}</b>", "effect": "{effect}", "problem": "<span class='lost'>{error}</span>"}
RANKS = {"rank": "{rank:d}", "original": "{before}", "compressed": "{after}"}
NGRAMS = {"n-gram": "{ngram}", "share before": "{before:.3f}", "share after": "{after:.3f}", "cosine": "{cosine:.3f}",
          "status": "{status}"}  # fmt: skip
NEIGHBOURS = {"word": "<b>{word}</b>", "rank": "{rank:,}", "kept": "{kept:d} of {k}", "cosine": "{cosine:.3f}",
              "lost": "{lost}", "gained": "{gained}"}  # fmt: skip
GROUPS = {"group": "<b>{group}</b>&nbsp;<small>{by}</small>", "scored": "{n:,}", "of vocabulary": "{share:.2%}",
          "mean cosine": "<b>{mean:.3f}</b>", "95% interval": "{low:.3f} to {high:.3f}", "5th percentile": "{p5:.3f}",
          "no vector": "{no_vector:.2%}", "loss share": "{loss_share:.1%}", "changed most": "{worst}"}  # fmt: skip
WORDS = {"word": "<b>{word}</b>", "rank": "{rank:,}", "count": "{count:,}", "cosine": "{cosine:.3f}",
         "loss share": "{loss_share:.2%}", "shape": "{shape}", "fate": "{fate}"}  # fmt: skip
CODES = {"code": "<b>{code}</b>", "scored": "{n:,}", "mean cosine": "{mean:.3f}", "standard errors from all": "{z:.1f}",
         "chance?": "{chance}", "changed most": "{worst}"}  # fmt: skip
MISSING = "\N{EN DASH}"
N_SHOWN = 15  # rows of a table of words
STYLE = f"<style>{Path(__file__).with_name('static').joinpath('paper.css').read_text(encoding='utf-8')}</style>"


def code_of(kind: type, values: Mapping[str, Any]) -> str:
    """Return the call that makes a setting of these values, without those that are the defaults of its class."""
    said = [f"{name}={value!r}" for name, value in values.items() if value != getattr(kind, name, ...)]
    return f"{kind.__name__}({', '.join(said)})"


class Html(str):
    """Markup that a table shows as it is; any other text is escaped."""


class _Cells(Formatter):
    """Fills a template with values as HTML; None makes the whole cell a dash."""

    def format_field(self, value: Any, spec: str) -> str:
        if isinstance(value, list):
            return ", ".join(self.format_field(entry, spec) for entry in value)
        if spec == "bar" and value is not None:
            return f"<span class='room'><span style='width: {100 * min(max(value, 0), 1):.1f}%'></span></span>"
        if isinstance(value, str) and not isinstance(value, Html):
            return value and f"<bdi>{escape(value)}</bdi>"
        if value is None:
            raise ValueError
        return format(value, spec)

    def cell(self, template: str, row: dict) -> str:
        try:
            return self.vformat(template, (), row)
        except ValueError:
            return MISSING


def page_html(title: str, sections: Iterable[tuple[str, str]]) -> str:
    """Return a page of sections, each a heading and its HTML; those without content are left out."""
    body = "".join(f"<section><h4>{escape(heading)}</h4>{html}</section>" for heading, html in sections if html)
    body = body or "<p>Nothing has been computed yet.</p>"
    return f"{STYLE}<div class='wb-paper'><h3>{escape(title)}</h3>{body}</div>"


def table_html(columns: dict[str, str], rows: Iterable[dict], title: str = "") -> str:
    """Return a table that scrolls where the page is narrower.

    Columns are by heading a template in HTML, such as ``"<b>{word}</b>"``, ``"{cosine:.3f}"`` or ``"{share:bar}"``,
    filled with the escaped values of a row. Lists are joined by commas; numbers are aligned to the right. Where a
    value is None, the cell is a dash; a column of dashes is left out.
    """
    cells = [[_Cells().cell(template, row) for template in columns.values()] for row in rows]
    shown = [i for i in range(len(columns)) if not cells or any(row[i] not in ("", MISSING) for row in cells)]
    sides = [" align='right'" * bool(re.search(r":[,.+d]", template)) for template in columns.values()]
    head = "".join(f"<th{sides[i]}>{escape(list(columns)[i].strip())}</th>" for i in shown)
    body = "".join(f"<tr>{''.join(f'<td{sides[i]}>{row[i]}</td>' for i in shown)}</tr>" for row in cells)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    caption = f"<b>{escape(title)}</b>" if title else ""
    return f"<div class='scroll' tabindex='0' role='group' aria-label='Table'>{caption}{table}</div>"


def picture_html(picture: Picture, about: str) -> str:
    """Return a figure as a picture inside the page."""
    return f"<img alt='{escape(about)}' src='data:image/png;base64,{base64.b64encode(picture.png()).decode()}'>"


def marked_html(status: str, text: str) -> Html:
    """Return a text behind the sign of what became of it: kept, lost or gained."""
    return Html(f"<span class='{status}'>{STATUS[status][1]}</span> <bdi>{escape(text)}</bdi>")


def panel_page(blocks: dict[str, dict], frame: pd.DataFrame | None = None) -> str:
    """Return the panel, or a part of it, as a page: the blocks that are there, and a frame of `umap_maps`."""

    def drawn(name: str, draw: Callable[[dict], str]) -> str:
        return draw(blocks[name]) if blocks.get(name) else ""

    top, looked = blocks.get("top", {}), blocks.get("looked", {}).get("words", [])
    errors = blocks.get("status", {}).get("errors", {}).values()
    figure = None if frame is None else map_figure(frame, marked=[entry["word"] for entry in looked])
    overview = drawn("overview", lambda block: table_html(OVERVIEW, block["rows"]))
    steps = drawn("rail", lambda block: table_html(STEPS, block["steps"]) if block["steps"] else "")
    sections = {
        "Problems": "".join(f"<p class='lost'>{escape(error)}</p>" for error in errors),
        "Numbers": drawn("cards", _limit) + overview + drawn("history", history_html),
        "Recipe": steps + drawn("export", lambda block: f"<pre>{escape(block['code'])}</pre>"),
        "Maps": "" if figure is None else picture_html(figure, "Maps of the original and of the compressed model"),
        "Neighbours before and after": drawn("looked", looked_html) + drawn("neighbours", _neighbours),
        "Damage": drawn("damage", _damage),
        "Formats": drawn("export", _formats),
    }
    return page_html(" · ".join(filter(None, (top.get("name"), top.get("about")))) or "Comparison", sections.items())


def _limit(cards: dict) -> str:
    n_bytes, limit = cards["size"]["bytes"], cards["size"]["limit"]
    if limit is None:
        return ""
    text = "\N{MULTIPLICATION SIGN} over" if n_bytes > limit else "\N{CHECK MARK} within"
    return f"<p><b>{n_bytes / 1e6:,.2f} MB</b> {text} the limit of {limit / 1e6:,.2f} MB</p>"


def history_html(block: dict) -> str:
    """Return a picture of what was tried, if that is more than one recipe."""
    return picture_html(history_figure(block), "Size and quality of each recipe") if len(block["points"]) > 1 else ""


def looked_html(block: dict) -> str:
    """The neighbours of words by rank, before and after, and the contributions of their n-grams."""
    tables, ngrams = "", ""
    for entry in block["words"]:
        before, after, word, about = {}, {}, entry["word"], entry["ngrams"]
        for near in entry["neighbours"]:
            was, now, text = near["rank_before"], near["rank_after"], marked_html(near["status"], near["word"])
            before[was] = text
            after[now] = text if was in (None, now) else Html(f"{text} <small>({was})</small>")
        ranks = sorted({*before, *after} - {None})
        rows = [{"rank": rank, "before": before.get(rank, ""), "after": after.get(rank, "")} for rank in ranks]
        tables += table_html(RANKS, rows, f"{word}: {entry['n_kept']} of {entry['n_before']} neighbours kept")
        if about:
            rows = [{**row, "status": marked_html(SIGNS[row["status"]], row["status"])} for row in about["rows"]]
            ngrams += table_html(NGRAMS, rows, f"{word}: {about['left']} n-grams left, cosine {about['cosine']:.3f}")
            note = f"Vector made of {about['before']}, now of {about['after']}. {HELP['contributions']}"
            ngrams += f"<small>{escape(note)}</small>"
    legend = ", ".join(marked_html(status, status) for status in STATUS) + "; in brackets the rank before"
    return f"<p><small>{legend}</small></p><div class='side'>{tables}</div>{ngrams}" if tables else ""


def _neighbours(block: dict) -> str:
    fewest = sorted(block["rows"], key=lambda row: row["kept"])[:N_SHOWN]
    return table_html(NEIGHBOURS, fewest, f"Words that keep the fewest neighbours ({block['how']})")


def _damage(block: dict) -> str:
    groups = pd.DataFrame(block["groups"])
    figure = "" if groups.empty else picture_html(damage_figure(groups), "Cosine by group of words")
    words = [word if word["cosine"] is not None else {**word, "cosine": "no vector"} for word in block["words"]]
    heaviest = sorted(words, key=lambda word: -word["loss_share"])[:N_SHOWN]
    farthest = sorted(words, key=lambda word: (isinstance(word["cosine"], float), word["cosine"]))[:N_SHOWN]
    tables = table_html(WORDS, heaviest, "Largest share of the loss") + table_html(WORDS, farthest, "Largest shift")
    rows = [{**row, "by": "" if row["by"] == "all" else row["by"]} for row in block["groups"]]
    codes = [{**code, "chance": "may be chance" if code["chance"] else "more than chance"} for code in block["codes"]]
    return (
        f"<p>{escape(block['summary'])}<br><small>{escape('; '.join(block['how']))}</small></p>{figure}"
        f"{table_html(GROUPS, rows)}<small>{HELP['loss_share']} {HELP['p5']}</small><div class='side'>{tables}</div>"
        f"{table_html(CODES, codes, 'Codes whose words changed most') if codes else ''}"
    )


def _formats(block: dict) -> str:
    titles: dict[str, list[str]] = {}  # by what they cannot hold
    for known in block["formats"]:
        titles.setdefault("<br>".join(map(escape, known["losses"])) or "nothing", []).append(known["title"])
    rows = [{"title": names, "losses": Html(lost)} for lost, names in titles.items()]
    return table_html({"format": "{title}", "cannot hold": "{losses}"}, rows)
