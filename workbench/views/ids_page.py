"""Semantic IDs on paper: the same headline, map, tree and similar items that a live view shows."""

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from ..evaluate.table import Scorecard
from ..semantic.ids import SemanticIDs
from ..vocab import printable
from .ids import Prefix, Similar, headline, shortened, words_of
from .ids_figures import drawn_tree, id_map_figure
from .ids_session import IdsState
from .page import STYLE, picture_html

MOST_NAMED = 12  # items below a prefix that are named
MOST_PREFIXES = 12  # of selected items
LONGEST = 40  # characters of a name in a table
CARD = "What the ids are worth"
BY_LEVEL = {  # metrics of `id_card`, by level or by so many first codes, and how their values are written
    "use": ("entries in use", ".1%"),
    "perplexity": ("perplexity: entries, if all were used evenly", ",.1f"),
    "residual_energy": ("squared length that is left over", ".1%"),
    "prefix_neighbours": ("10 nearest that share all codes up to here", ".2%"),
    "prefix_random": ("any two items that do", ".4%"),
    "prefix_lift": ("the nearest, in multiples of any two", ",.1f"),
    "prefix_nearness": ("cosine of items that share them, less that of any two", ".3f"),
}
WHOLE = {
    "unique": ("items whose id nobody else has", ".1%"),
    "collisions": ("items that have the id of an earlier one", ".1%"),
    "largest_collision": ("items that share the most frequent id", ",.0f"),
    "reconstruction": ("cosine of decoded and original vectors, mean", ".4f"),
    "overlap@10": ("10 nearest that are so among decoded vectors", ".1%"),
}
MAP, TREE = "Map of the items, coloured by code", "Tree of the codes"


def ids_page(s: IdsState) -> str:
    """An exploration of semantic IDs as HTML that needs nothing else: no network, no kernel, no scripts."""
    if s.ids is None or s.named is None or s.tree is None:
        return STYLE + "<div class='wb'><p>Nothing has been computed yet.</p></div>"
    figure = "" if s.map is None else picture_html(id_map_figure(s.map, marked=s.marked, named=s.named), MAP)
    problem = f"<p>{escape(s.errors['map'])}</p>" if "map" in s.errors else ""
    parts = [
        ("Numbers", headline_html(s.ids)),
        ("Map", figure + problem),
        ("Tree of codes", picture_html(drawn_tree(s.tree, s.named), TREE) + below_html(s.ids, s.prefix)),
        ("Selected items", selected_html(s)),
        ("Similar items, similar ids", similar_html(s.ids, s.similar)),
        (CARD, card_html(s.card)),
    ]
    body = "".join(f"<h4>{heading}</h4>{part}" for heading, part in parts if part)
    where = f", below {words_of(s.prefix)}" if s.prefix else ""
    return f"{STYLE}<div class='wb'><h3>Semantic IDs of {len(s.ids):,} items{where}</h3>{body}</div>"


def headline_html(ids: SemanticIDs) -> str:
    """`headline` as a line."""
    return "<div>" + "; ".join(f"{label}: <b>{value}</b>" for label, value in headline(ids)) + "</div>"


def below_html(ids: SemanticIDs, prefix: Prefix) -> str:
    """The items below a prefix, as many as fit a line or two."""
    if not prefix:
        return ""
    items = ids.with_prefix(prefix)
    names = dict(zip(ids.items, ids.names, strict=True)) if ids.names is not ids.items else {}
    shown = [f"<bdi>{escape(printable(names.get(item, item)))}</bdi>" for item in items[:MOST_NAMED]]
    more = f"; and {len(items) - MOST_NAMED:,} more" if len(items) > MOST_NAMED else ""
    count = f"{len(items):,} item{'s' * (len(items) != 1)}"
    return f"<div>Below <b>{words_of(prefix)}</b>, {count}: {'; '.join(shown)}{more}</div>"


def selected_html(s: IdsState) -> str:
    """Where selected items are in the tree."""
    if not s.selected:
        return ""
    frame = s.prefixes_of_selected()
    rows = "".join(
        f"<tr><th>{words_of(entry.prefix)}</th><td class='number'>{entry.selected:,}</td>"
        f"<td class='number'>{entry.count:,}</td></tr>"
        for entry in frame.head(MOST_PREFIXES).itertuples()
    )
    n, rest = len(s.selected), len(frame) - MOST_PREFIXES
    more = f" The {rest} other prefixes have fewer." if rest > 0 else ""
    return (
        f"<div>{n:,} item{'s' * (n != 1)} selected, with {len(frame)} prefix{'es' * (len(frame) != 1)}.{more}</div>"
        f"{table(['prefix'], ['selected', 'of all items with it'], [], rows)}"
    )


def card_html(card: Scorecard | None) -> str:
    """`id_card` as two tables: what goes by level, and what does not."""
    if card is None:
        return ""
    found = {
        (entry.metric, str(entry.split).split("-")[-1].removeprefix("level ")): entry for entry in card.itertuples()
    }
    levels = sorted({level for metric, level in found if metric in BY_LEVEL}, key=int)
    whole = _card_table(found, WHOLE, ["all"], ["value"])
    return whole + _card_table(found, BY_LEVEL, levels, [f"level {level}" for level in levels])


def _card_table(found: dict, metrics: dict[str, tuple[str, str]], splits: list[str], heads: list[str]) -> str:
    """Metrics of the card as rows, their splits as columns."""
    rows = ""
    for metric, (name, form) in metrics.items():
        entries = [found.get((metric, split)) for split in splits]
        if any(entries):
            first = next(filter(None, entries))
            values = "".join(f"<td class='number'>{_value(entry, form)}</td>" for entry in entries)
            rows += f"<tr><th>{name}</th>{values}<td class='quiet'>{escape(first.how)}, {first.n:,} items</td></tr>"
    return table(["what"], heads, ["how"], rows)


def _value(entry: Any, form: str) -> str:
    """A number of the card, with its interval below where it has one."""
    if entry is None:
        return ""
    value = f"<b>{entry.value:{form}}</b>"
    spread = f"<br><span class='quiet'>{entry.low:{form}} to {entry.high:{form}}</span>"
    return value if np.isnan(entry.low) else value + spread


def table(names: list[str], numbers: list[str], notes: list[str], rows: str) -> str:
    """A table that scrolls, by keys too, where the page is narrower; headings of numbers stand to the right."""
    head = "".join(f"<th>{text}</th>" for text in names)
    head += "".join(f"<th style='text-align: right'>{text}</th>" for text in numbers)
    head += "".join(f"<th>{text}</th>" for text in notes)
    inside = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<div tabindex='0' role='group' aria-label='Table' style='overflow-x: auto'>{inside}</div>"


def similar_html(ids: SemanticIDs, similar: Similar | None) -> str:
    """An item's nearest by vectors and by id, side by side."""
    if similar is None:
        return ""
    name = escape(printable(ids.names[ids.items.index(similar.item)]))
    codes = ids[similar.item]
    n_meant = ids.n_levels
    tables = [
        ("Nearest by vectors: are their ids similar?", similar.by_vector, "no vectors are known"),
        ("Nearest by id: are their vectors similar?", similar.by_id, "no other item shares its first code"),
    ]
    shown = "".join(
        f"<div><b>{heading}</b>{_similar_table(frame, codes, n_meant) if len(frame) else f'<p>{empty}</p>'}</div>"
        for heading, frame, empty in tables
    )
    return f"<div><b><bdi>{name}</bdi></b>: id {code_html(codes, codes)}</div><div class='side'>{shown}</div>"


def _similar_table(frame: pd.DataFrame, codes: Iterable[int], n_levels: int) -> str:
    rows = "".join(
        f"<tr><td title='{escape(printable(entry.name))}'><bdi>{escape(shortened(entry.name, LONGEST))}</bdi></td>"
        f"<td class='number'>{code_html(entry.codes, codes)}</td>"
        f"<td class='number'>{entry.shared} of {n_levels}</td>"
        f"<td class='number'>{'' if np.isnan(entry.cosine) else f'{entry.cosine:.3f}'}</td>"
        f"<td class='number'>{f'{entry.rank:,}' if entry.rank else ''}</td></tr>"
        for entry in frame.itertuples(index=False)
    )
    return table(["item"], ["id", "shared", "cosine", "rank"], [], rows)


def code_html(codes: Iterable[int], wanted: Iterable[int]) -> str:
    """An id whose codes are bold and underlined as far as they agree with another's."""
    parts, agree = [], True
    for code, other in zip(codes, wanted, strict=True):
        agree = agree and code == other
        parts.append(f"<b><u>{code}</u></b>" if agree else str(code))
    return "-".join(parts)
