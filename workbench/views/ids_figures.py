"""Static figures of semantic IDs: the map coloured by code, and the tree of codes as an icicle."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from ..semantic.ids import SemanticIDs
from .colours import GREY, SHAPES
from .figures import RED, Picture, as_text, new_figure
from .ids import MOST_TILES, Named, Prefix, code_colours, shortened, tree_table, words_of

DARK = {"#0072B2"}  # on which white is read better than black
LONGEST = 34  # characters of a name beside a point


class Tile(NamedTuple):
    """A branch of the tree, placed: shares of the height from the top, and the level as a column."""

    entry: Any  # its row of `tree_table`
    column: int
    top: float
    height: float
    colour: str
    ink: str
    mark: str  # the character of its shape, empty for branches without one


def tiles(tree: pd.DataFrame, named: Named) -> list[Tile]:
    """Where the branches of a tree are drawn, and in what colours.

    Joined branches are drawn no higher than the branches beside them are on average, or in trees
    of hundreds of codes nothing else could be read.

    Parameters
    ----------
    tree : DataFrame
        From `tree_table`.
    named : Named
        Codes with colours of their own: their branches have them, and those below lighter ones.
    """
    root, *entries = tree.itertuples(index=False)
    placed = list(_placed(root, entries, 0.0, 1.0))
    return [_tile(entry, root, top, height, named) for entry, top, height in placed]


def _placed(parent: Any, entries: list, top: float, height: float) -> Iterator[tuple[Any, float, float]]:
    """Every branch with its top and height, those under it behind it."""
    yield parent, top, height
    own = parent.level + 1
    children = [entry for entry in entries if entry.level == own]
    alone = [child.count for child in children if not child.n_joined]
    limit = sum(alone) / max(len(alone), 1)
    weights = np.array([min(child.count, limit) if child.n_joined else child.count for child in children], float)
    for child, share in zip(children, weights / (weights.sum() or 1), strict=True):
        under = [] if child.n_joined else [e for e in entries if e.level > own and e.prefix[:own] == child.prefix]
        yield from _placed(child, under, top, height * share)
        top += height * share


def _tile(entry, root, top: float, height: float, named: Named) -> Tile:
    column, colour, mark = entry.level - root.level, "#E4E4E4", ""
    if not entry.n_joined and entry.level >= named.level:
        colour, shape = named.look(entry.prefix[named.level - 1])
        if colour != GREY:
            mark = SHAPES[shape][2] if entry.level == named.level else ""
            colour = colour if entry.level == named.level else lighter(colour)
        else:
            colour = "#D0D0D0"
    return Tile(entry, column, top, height, colour, "#FFFFFF" if colour in DARK else "#000000", mark)


def lighter(colour: str, share: float = 0.6) -> str:
    """A colour mixed with so much white."""
    red, green, blue = (part + (1 - part) * share for part in to_rgb(colour))
    return to_hex((red, green, blue))


def tile_title(entry, root_prefix: Prefix = ()) -> str:
    """What a branch is called."""
    if entry.n_joined:
        return f"{entry.n_joined} others"
    if entry.prefix == root_prefix:
        return words_of(entry.prefix)
    return "-".join(map(str, entry.prefix))


def id_map_figure(
    frame: pd.DataFrame,
    level: int = 1,
    prefix: Iterable[int] = (),
    marked: Collection[str] = (),
    named: Named | None = None,
) -> Picture:
    """The map of items, coloured by their codes at one level below a prefix; the others are grey.

    Parameters
    ----------
    frame : DataFrame
        From `id_map`.
    level : int
        From 1; deeper than the prefix.
    prefix : codes
    marked : collection of str
        Items to point out.
    named : Named, optional
        Codes with colours of their own; without it the most populous ones on the map.
    """
    look = code_colours(frame, level, prefix, named)
    figure, (axis,) = new_figure(9, 6.4)
    assert look.groups is not None
    last = len(look.palette) - 1
    colours, shapes = np.array(look.palette)[look.groups], np.array(look.shapes)
    for group in (last, last - 1, *range(last - 1)):  # what is outside the prefix lies below
        part = frame[look.groups == group]
        if len(part):
            here = look.groups == group
            axis.scatter(
                part["x"], part["y"], c=colours[here], marker=SHAPES[shapes[here][0]][0],
                s=9 if group >= last - 1 else 22, alpha=0.3 if group == last else 0.9, linewidths=0,
            )  # fmt: skip
    for entry in frame[frame["item"].isin(marked)].itertuples():
        axis.plot(entry.x, entry.y, marker="*", color=RED, markersize=14, markeredgecolor="white")
        name = as_text(shortened(entry.name, LONGEST))
        outline = [withStroke(linewidth=3, foreground="white")]
        axis.annotate(name, (entry.x, entry.y), (7, 5), textcoords="offset points", weight=700, path_effects=outline)
    method = frame.attrs["method"]
    axis.set(xlabel=f"{method} 1 (no unit)", ylabel=f"{method} 2 (no unit)", xticks=[], yticks=[])
    handles = [
        Line2D([], [], linestyle="", marker=SHAPES[entry.shape][0], color=entry.colour, label=entry.name)
        for entry in look.legend
    ]
    figure.legend(handles=handles, title=look.title, loc="outside right upper", fontsize=9)
    figure.supxlabel(fill(f"Shown: {map_words(frame)}", 110), fontsize=9.5)
    return figure


def map_words(frame: pd.DataFrame) -> str:
    """What a map shows and how far it can be trusted, in a sentence."""
    trust = frame.attrs["trustworthiness"]
    said = "" if trust is None else f", trustworthiness {trust:.3f}"
    return f"{frame.attrs['sample']}; {'principal components' if frame.attrs['method'] == 'PCA' else 'UMAP'}{said}."


def tree_figure(
    ids: SemanticIDs,
    depth: int = 2,
    prefix: Iterable[int] = (),
    most: Sequence[int] = MOST_TILES,
    named: Named | None = None,
) -> Picture:
    """The tree of codes below a prefix as an icicle, with counts and exemplars.

    Parameters
    ----------
    ids : SemanticIDs
    depth, prefix, most
        See `tree_table`.
    named : Named, optional
        Codes with colours of their own; without it the most populous ones of the next level.
    """
    prefix = tuple(prefix)
    tree = tree_table(ids, depth, prefix, most)
    return drawn_tree(tree, named or Named.among(ids.codes, min(len(prefix) + 1, ids.n_levels), prefix))


def drawn_tree(tree: pd.DataFrame, named: Named) -> Picture:
    """The icicle of a frame of `tree_table`."""
    placed = tiles(tree, named)
    n_columns = max(tile.column for tile in placed) + 1
    figure, (axis,) = new_figure(12, 6.4 if len(tree) > 1 else 1.6)
    widths = [0.6, *[1.0] * (n_columns - 1)]
    lefts = np.cumsum([0, *widths])
    for tile in placed:
        left, width = lefts[tile.column], widths[tile.column]
        patch = axis.add_patch(Rectangle((left, tile.top), width, tile.height, fc=tile.colour, ec="white", lw=1.2))
        text = _fitting(tile, width / lefts[-1], tree["prefix"][0])
        middle = tile.top + tile.height / 2
        axis.text(left + 0.015, middle, text, va="center", color=tile.ink, fontsize=9).set_clip_path(patch)
    axis.set(xlim=(0, lefts[-1]), ylim=(1, 0), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    first = tree["level"][0]
    heads = [f"level {first + column}" if first + column else "" for column in range(n_columns)]
    for left, width, text in zip(lefts, widths, heads, strict=False):
        axis.text(left + width / 2, -0.02, text, ha="center", fontsize=10, color="#444444")
    figure.supxlabel(fill(tree_words(tree), 150), fontsize=9.5)
    return figure


def tree_words(tree: pd.DataFrame) -> str:
    """How to read the tree."""
    said = "The height of a tile goes by its number of items; names are of items in its middle."
    if tree["n_joined"].any():
        said += " Codes beyond the most populous are joined, and drawn no higher than the average beside them."
    return said


def _fitting(tile: Tile, width: float, root: Prefix) -> str:
    """As many lines as the tile has room for, in a figure of 12 x 6.4 inches."""
    n_characters = int(width * 170)
    n_lines = int(tile.height / 0.0285) if tile.height < 1 else 4
    if not n_lines:
        return ""
    entry = tile.entry
    head = f"{tile.mark} {tile_title(entry, root)}: {entry.count:,}".strip()
    names = list(entry.exemplars)
    if n_lines == 1:
        return as_text(shortened("  ".join([head, *names[:1]]), n_characters))
    return "\n".join(as_text(shortened(line, n_characters)) for line in [head, *names][:n_lines])
