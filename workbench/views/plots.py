"""All figures of words and of ids, for paper, lessons and reports. They draw tables and decide nothing.

Colours are Okabe and Ito's, which colour-blind readers can tell apart. Wherever colour has a meaning, a shape, a sign
or a text says it too.
"""

from collections.abc import Collection, Iterable, Sequence
from io import BytesIO
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator
from PIL import Image

from ..evaluate.maps import noise_text
from ..semantic.ids import SemanticIDs
from ..semantic.tree import MAX_TILES, Prefix, is_below, tree_table, words_of
from ..vocab import printable

BLUE, GREEN, RED, GREY, PALE = "#0072B2", "#009E73", "#D55E00", "#666666", "#B8B8B8"
STATUS = {"kept": (BLUE, "●"), "lost": (RED, "×"), "gained": (GREEN, "▲")}  # of neighbours: colour and sign
SHAPES = {  # matplotlib's marker, and a sign for text
    "circle": ("o", "●"), "triangle": ("^", "▲"), "cross": ("x", "×"), "square": ("s", "■"), "diamond": ("D", "◆"),
    "down": ("v", "▼"), "star": ("*", "★"), "plus": ("P", "✚"), "left": ("<", "◀"),
}  # fmt: skip
LABELS = {  # Okabe and Ito's colours but black, each with a shape of its own
    "#E69F00": "square", "#56B4E9": "diamond", "#009E73": "triangle", "#F0E442": "down",
    "#0072B2": "star", "#D55E00": "plus", "#CC79A7": "left",
}  # fmt: skip
MAX_NAMED = len(LABELS)  # groups of points with a colour and a shape of their own
SPLITS = ("kept", "remapped", "dropped", "unseen", "all")
GROUPINGS = {"frequency": "By rank of frequency", "shape": "By shape of the word", "fate": "By what became of it"}
OUTLINE = [withStroke(linewidth=3, foreground="white")]  # of names on maps


class Picture(Figure):
    """A figure that a notebook shows as it is.

    Made without pyplot, whose global state mixes up figures when two threads draw at once, as callbacks of widgets do.
    """

    def png(self) -> bytes:
        """Return the figure as a PNG file of 256 colours, rare ones too: a third of the bytes."""
        buffer, small = BytesIO(), BytesIO()
        self.savefig(buffer, format="png", dpi=80)
        Image.open(buffer).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(small, "png", optimize=True)
        return small.getvalue()

    _repr_png_ = png


def new_figure(
    width: float, height: float, n_columns: int = 1, n_rows: int = 1, **options: Any
) -> tuple[Picture, list[Axes]]:
    """Return a figure of this many inches and its axes; options are those of `Figure.subplots`."""
    figure = Picture(figsize=(width, height), layout="constrained")
    axes = list(figure.subplots(n_rows, n_columns, squeeze=False, **options).flat)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def as_text(text: str, n: int = 200) -> str:
    """Return a text of at most `n` characters that matplotlib shows as it is, and not as a formula between dollars."""
    text = printable(text)
    return (text if len(text) <= n else text[: n - 1] + "…").replace("$", r"\$")


# -- means of groups -------------------------------------------------------------------------


def name_rows(axis: Axes, names: Sequence[str]) -> None:
    """Name the rows of a chart, the first on top."""
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set_ylim(max(len(names), 1) - 0.4, -0.6)


def draw_means(axis: Axes, means: pd.DataFrame, label: str, colour: str = BLUE, marker: str = "o", **look: Any) -> None:
    """Draw each ``value`` with a line from ``low`` to ``high``; the index of the table says in which row."""
    sides = [means["value"] - means["low"], means["high"] - means["value"]]
    look = {"color": colour, "ecolor": GREY, "elinewidth": 1, "capsize": 3, **look}
    axis.errorbar(means["value"], means.index, xerr=sides, fmt=marker, label=label, **look)


def name_looks(figure: Figure) -> None:
    """Say below all charts what their signs are, each once."""
    looks = {label: look for axis in figure.axes for look, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(looks.values(), looks.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=10)


def scorecard_figure(card: pd.DataFrame) -> Picture:
    """Draw the scorecard: size, fidelity, neighbours, agreement with people.

    Parameters
    ----------
    card : DataFrame
        From `scorecard`.
    """
    by_metric = {metric: rows.set_index("split") for metric, rows in card.groupby("metric")}
    figure, axes = new_figure(12, 3, 4)
    sizes = by_metric["size"]["value"].reindex(["source file", "original", "compressed"]).dropna() / 1e6
    bars = axes[0].barh(range(len(sizes)), sizes, 0.5, color=[BLUE if n == "compressed" else GREY for n in sizes.index])
    axes[0].bar_label(bars, [f" {n:.3g}" for n in sizes])
    axes[0].margins(x=0.2)
    name_rows(axes[0], sizes.index)
    fidelity, overlap = (by_metric[metric].reindex(SPLITS).dropna(how="all") for metric in ("fidelity", "overlap@10"))
    fidelity = fidelity.assign(low=by_metric["fidelity_p5"]["value"], high=fidelity["value"])
    for axis, means, form in ((axes[1], fidelity, ".3f"), (axes[2], overlap, ".2f")):
        draw_means(axis, means.reset_index(), "compressed")
        name_rows(axis, [f"{split}\n{value:{form}}" for split, value in means["value"].items()])
    if "similarity" in by_metric:
        for metric, look, shift in (("similarity_original", ("original", GREY, "s"), -0.12),
                                    ("similarity", ("compressed",), 0.12)):  # fmt: skip
            means = by_metric[metric]
            draw_means(axes[3], means.set_axis(np.arange(len(means)) + shift), *look)
        name_rows(axes[3], by_metric["similarity"].index)
    else:
        axes[3].text(0.5, 0.5, "no word-pair set\ncovers this model", ha="center", transform=axes[3].transAxes)
        axes[3].set(xticks=[], yticks=[])
    texts = (
        (f"{by_metric['ratio']['value'].iloc[0]:.3g} times smaller", "size of the file (MB)"),
        ("Fidelity", "cosine to the original vector\n(mean, 5th percentile)"),
        ("Neighbours", "overlap@10, share of neighbours kept\n(mean, 95% interval)"),
        ("Agreement with people", "Spearman correlation with people\n(95% interval)"),
    )
    for axis, (title, label) in zip(axes, texts, strict=True):
        axis.set(title=title, xlabel=label)
    name_looks(figure)
    return figure


def damage_figure(groups: pd.DataFrame) -> Picture:
    """Draw mean and 5th percentile of the cosine for each group of words, on one scale.

    Parameters
    ----------
    groups : DataFrame
        From `damage_groups`.
    """
    groups = groups.assign(value=groups["mean"], low=groups["p5"], high=groups["mean"])
    panels = {title: rows for by, title in GROUPINGS.items() if len(rows := groups[groups["by"] == by])}
    n_rows = max(map(len, panels.values()), default=1)
    figure, axes = new_figure(11.2, 1.6 + 0.42 * n_rows, max(len(panels), 1), sharex=True)
    for axis, (title, rows) in zip(axes, panels.items(), strict=False):
        rows = rows.reset_index(drop=True)
        lowest = (rows.index == rows["mean"].argmin()) & (len(rows) > 1)  # it has a shape of its own
        draw_means(axis, rows[~lowest], "mean, with the 5th percentile")
        draw_means(axis, rows[lowest], "lowest mean", RED, "D", markersize=8)
        name_rows(axis, [f"{group.group}\n{group.n:,} words scored" for group in rows.itertuples()])
        axis.set_xlabel("cosine to the original vector")
        axis.set_title(title, fontsize=11)
    left = axes[0].get_xlim()[0]
    axes[0].set_xlim(left, 1 + 0.02 * (1 - min(left, 0.9)))
    name_looks(figure)
    return figure


# -- neighbours, history ------------------------------------------------------------------------


def neighbours_figure(changes: pd.DataFrame) -> Picture:
    """Draw neighbours before and after, word by word: kept ones are joined, lost and gained ones marked.

    Parameters
    ----------
    changes : DataFrame
        From `neighbour_changes`; three or four words fit side by side.
    """
    groups = list(changes.groupby("word", sort=False))
    figure, axes = new_figure(3.6 * len(groups), 3.8, len(groups))
    for axis, (word, rows) in zip(axes, groups, strict=True):
        for entry in rows.itertuples():
            (color, sign), name = STATUS[entry.status], as_text(entry.neighbour, 14)
            sides = (0, entry.rank_before, f"{name} {sign}", "right"), (1, entry.rank_after, f"{sign} {name}", "left")
            for x, rank, text, ha in sides:
                if pd.notna(rank):
                    axis.text(x, rank, text, ha=ha, va="center", color=color, fontsize=10)
            if entry.status == "kept":
                axis.plot([0.06, 0.94], [entry.rank_before, entry.rank_after], color=BLUE, linewidth=0.8)
        n_before, n_kept = int(rows["rank_before"].notna().sum()), int((rows["status"] == "kept").sum())
        axis.set(xlim=(-1.3, 2.3), ylim=(n_before + 0.8, 0.2), xticks=[0, 1], xticklabels=["original", "compressed"])
        axis.set_title(f"{as_text(str(word), 14)}: {n_kept} of {n_before} kept", fontsize=12)
        axis.set(yticks=range(1, n_before + 1), ylabel="rank")
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
    legend = "    ".join(f"{sign} {status}" for status, (_, sign) in STATUS.items())
    figure.supxlabel(f"{legend}    (nearest at the top)", fontsize=10)
    return figure


def history_figure(history: dict) -> Picture:
    """Draw each recipe that was tried by size and quality, and the best of each size: a dict of the block `history`."""
    figure, (axis,) = new_figure(6.5, 3.4)
    points = pd.DataFrame(history["points"]).sort_values("bytes")
    unit, n_bytes = ("MB", 1e6) if points["bytes"].max() > 5e6 else ("kB", 1e3)
    best, now, pinned = (points[name].to_numpy(bool) for name in ("best", "now", "pinned"))
    for label, here, look in (
        ("", best, {"linestyle": "-", "linewidth": 1, "color": BLUE, "drawstyle": "steps-post"}),
        ("best of its size", best, {"marker": "o", "color": BLUE}),
        ("another is better", ~best, {"marker": "x", "color": GREY}),
        ("this recipe", now, {"marker": "*", "color": RED, "markersize": 15}),
        ("A", pinned, {"marker": "s", "color": "black", "fillstyle": "none", "markersize": 11}),
    ):
        if here.any():
            x, y = points["bytes"][here] / n_bytes, points["quality"][here]
            options: dict[str, Any] = {"linestyle": "", "label": label, **look}
            axis.plot(x, y, **options)
    if history["limit"] is not None:
        axis.axvline(history["limit"] / n_bytes, color=RED, linestyle="--", linewidth=1, label="limit")
    names = {entry["id"]: entry["label"] for entry in history["qualities"]}
    axis.set(xlabel=f"size of the file ({unit}, log scale)", ylabel=f"quality: {names[history['quality']].lower()}")
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low > 8 else range(1, 10), numticks=12))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter("{x:,.4g}")
    axis.legend(frameon=False, fontsize=8)
    return figure


# -- maps -------------------------------------------------------------------------------------


class Group(NamedTuple):
    """Points of one look, and their name in the legend."""

    name: str
    here: np.ndarray  # (n,) bool
    colour: Any  # or (n,) values on a scale
    shape: str  # of `SHAPES`


def label_groups(labels: pd.Series, looks: dict[Any, tuple[str, str]], names: Sequence[str]) -> list[Group]:
    """Return points by label: each that has a look, the others in grey, those of no label paler.

    `names` are those of a label, of the others (after their number) and of no label.
    """
    one, others, none = names
    is_other = labels.notna() & ~labels.isin(looks)
    groups = [(f"{one} {as_text(str(label), 40)}".strip(), labels == label, *look) for label, look in looks.items()]
    n_others = labels[is_other].nunique()
    groups += [(f"{n_others} {others}{'s' * (n_others != 1)}", is_other, GREY, "circle")]
    groups += [(none, labels.isna(), PALE, "circle")]
    return [Group(name, here.to_numpy(), *look) for name, here, *look in groups if here.any()]


def word_groups(frame: pd.DataFrame, by: str) -> list[Group]:
    """Return the words of a map by what became of them, or by label: the most frequent labels look different."""
    if by == "damage":
        own, cosine = frame["in_vocabulary"].to_numpy(bool), frame["cosine"].to_numpy()
        gone = np.isnan(cosine)
        kinds = (own & ~gone, cosine, "circle"), (~own & ~gone, cosine, "triangle"), (gone, RED, "cross")
        names = ("own row", "rebuilt from n-grams", "no vector")
        return [Group(name, *kind) for name, kind in zip(names, kinds, strict=True) if kind[0].any()]
    if by != "label" or "label" not in frame:
        raise ValueError(f"expected colour='damage', or 'label' and a column of that name, got {by!r}")
    counts = frame["label"].astype(object).value_counts()
    frequent = sorted(counts.index, key=lambda label: (-counts[label], str(label)))  # in any order of words
    looks = dict(zip(frequent, LABELS.items(), strict=False))
    return label_groups(frame["label"].astype(object), looks, ("", "other label", "none"))


def _draw_maps(
    frame: pd.DataFrame, titles: dict[str, str], groups: list[Group], starred: np.ndarray, about: str,
    named: Collection[int] = (), norm: Normalize | None = None,
) -> Picture:  # fmt: skip
    """Draw maps side by side, by the suffix of their columns: groups of points, the first on top, and names.

    Starred points are bold, with a star, and named first: names that would cover an earlier one are hidden.
    """
    figure, axes = new_figure(12 if len(titles) > 1 else 9, 6.2, len(titles))
    method, names = frame.attrs["method"], frame["name" if "name" in frame else "word"]
    for axis, (side, title) in zip(axes, titles.items(), strict=True):
        places = frame[[f"x{side}", f"y{side}"]].to_numpy()  # (n, 2)
        for _, here, colour, shape in reversed(groups):
            (x, y), size = places[here].T, 9 if shape == "circle" else 18
            look: dict[str, Any] = {"c": colour, "marker": SHAPES[shape][0], "linewidths": shape == "cross"}
            if not isinstance(colour, str):
                look |= {"c": colour[here], "norm": norm, "cmap": "cividis"}
            axis.scatter(x, y, size, alpha=0.5 if colour is PALE else 0.95, **look)
        axis.plot(*places[starred].T, "*", color=RED, markersize=13, markeredgecolor="white", zorder=4)
        for row in (*starred, *named):
            bold = {"fontsize": 10, "weight": 700} if row in starred else {"fontsize": 9}
            if np.isfinite(places[row, 0]):
                look = {"textcoords": "offset points", "path_effects": OUTLINE, "zorder": 5, **bold}
                axis.annotate(as_text(names.iloc[row], 34), places[row], (4, 4), **look)
        axis.set(xlabel=f"{method} 1 (no unit)", ylabel=f"{method} 2 (no unit)", xticks=[], yticks=[], title=title)
    if norm is not None:
        scale = ScalarMappable(norm, "cividis")
        figure.colorbar(scale, ax=axes, label="cosine to the original vector", extend="both", shrink=0.8)
    for name, here, colour, shape in groups:
        ink = colour if isinstance(colour, str) else GREY
        axes[0].plot([], [], SHAPES[shape][0], color=ink, label=f"{name}: {here.sum():,}")
    figure.legend(fontsize=9, loc="outside upper center", ncols=4 + len(titles))
    figure.supxlabel(fill(about, 150 if len(titles) > 1 else 110), fontsize=9.5)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # names stay where they are measured
    for axis in axes:
        boxes: list[Any] = []
        for text in axis.texts:
            box = text.get_window_extent()
            text.set_visible(not any(box.overlaps(other) for other in boxes))
            boxes += [box] * text.get_visible()
    return figure


def map_figure(
    frame: pd.DataFrame, labels: Sequence[str] | None = None, marked: Sequence[str] = (), colour: str = "damage"
) -> Picture:
    """Draw the maps of the original and of the compressed model, and say how much of the difference is chance.

    Parameters
    ----------
    frame : DataFrame
        From `umap_maps` or `pca_maps`.
    labels : list of str, optional
        Words to name in both maps; by default 25 spread over the map.
    marked : sequence of str
        Words to point out besides.
    colour : str
        ``damage``: the cosine of each word to its original vector. ``label``: the column ``label``, any text.
    """
    cells = [pd.cut(frame[axis], 5, labels=False) for axis in ("x_before", "y_before")]
    spread = frame.groupby(cells, sort=False).cumcount() == 0
    named = np.flatnonzero(spread if labels is None else frame["word"].isin(list(map(printable, labels))))
    starred = np.flatnonzero(frame["word"].isin(list(map(printable, marked))))
    trust = {side: frame.attrs[f"trust_{side}"] for side in ("before", "after")}
    titles = {
        f"_{side}": f"{name}, trustworthiness {trust[side]:.3f}" if trust[side] else name
        for side, name in (("before", "original"), ("after", "compressed"))
    }
    about = f"Shown: {frame.attrs['sample']}. {noise_text(frame)}"
    norm = Normalize(*np.nanpercentile(frame["cosine"], [5, 95])) if colour == "damage" else None
    return _draw_maps(frame, titles, word_groups(frame, colour), starred, about, named, norm)


# -- semantic IDs -----------------------------------------------------------------------------


class Named(NamedTuple):
    """Codes of one level, the most populous below a prefix first, each with a colour and a shape that tell it apart."""

    level: int
    prefix: Prefix
    looks: dict[int, tuple[str, str]]

    @classmethod
    def among(cls, codes: np.ndarray, level: int, prefix: Iterable[int] = (), n: int = MAX_NAMED) -> "Named":
        """Return the `n` most populous ones of codes (n_items, n_levels) at a level, from 1, below the prefix."""
        prefix, n_levels = tuple(prefix), codes.shape[1]
        lowest = min(len(prefix) + 1, n_levels)
        if not lowest <= level <= n_levels:
            raise ValueError(f"below {words_of(prefix)} level goes from {lowest} to {n_levels}, got {level}")
        found, counts = np.unique(codes[is_below(codes, prefix), level - 1], return_counts=True)
        colours, shapes = list(LABELS), list(LABELS.values())
        looks = ((colours[i % MAX_NAMED], shapes[(i + i // MAX_NAMED) % MAX_NAMED]) for i in range(n))
        populous = found[np.argsort(-counts, kind="stable")].tolist()
        return cls(level, prefix, dict(zip(populous, looks, strict=False)))  # colours come again with other shapes


def id_map_figure(
    frame: pd.DataFrame, level: int = 1, prefix: Prefix = (), marked: Collection[str] = (), named: Named | None = None
) -> Picture:
    """Draw the map of items, coloured by their codes at one level below a prefix; the others are grey.

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
    codes = frame.filter(regex=r"^code_\d+$").to_numpy()  # (n, n_levels)
    named = named or Named.among(codes, level, prefix)
    own = frame[f"code_{named.level}"].astype(object).where(is_below(codes, named.prefix))
    groups = label_groups(own, named.looks, ("code", "other code", f"not {words_of(named.prefix)}"))
    starred = np.flatnonzero(frame["item"].isin(marked))
    trust, method = frame.attrs["trustworthiness"], frame.attrs["method"].replace("PCA", "principal components")
    about = f"Shown: {frame.attrs['sample']}; {method}{'' if trust is None else f', trustworthiness {trust:.3f}'}."
    return _draw_maps(frame, {"": f"Items by code of level {named.level}"}, groups, starred, about)


def tree_drawing(tree: pd.DataFrame, named: Named) -> Picture:
    """Draw a table of `tree_table` as an icicle: named codes have colours, what is below them lighter ones."""
    root, *entries = tree.itertuples(index=False)
    n_columns = int(tree["level"].max()) - root.level + 1
    figure, (axis,) = new_figure(12, 6.4 if entries else 1.6)
    lefts = np.cumsum([0, 0.6, *[1.0] * (n_columns - 1)])
    for entry in (root, *entries):
        left, right = lefts[entry.level - root.level :][:2]
        is_own, sign = entry.level == named.level, ""
        colour: Any = "#E4E4E4"
        if not entry.n_joined and entry.level >= named.level:
            own, shape = named.looks.get(entry.prefix[named.level - 1], (GREY, "circle"))
            colour = "#D0D0D0" if own == GREY else to_rgba(own, 1 if is_own else 0.4)
            sign = SHAPES[shape][1] if is_own and own != GREY else ""
        patch = axis.add_patch(Rectangle((left, entry.top), right - left, entry.height, fc=colour, ec="white", lw=1.2))
        name = f"{entry.n_joined} others" if entry.n_joined else words_of(entry.prefix)
        lines = [f"{sign} {name}: {entry.count:,}".strip(), *entry.exemplars]
        n_lines, n_characters = int(entry.height / 0.0285) if entries else 4, int((right - left) / lefts[-1] * 170)
        lines = ["  ".join(lines[:2])] if n_lines == 1 else lines[:n_lines]  # as many as there is room for
        text = "\n".join(as_text(line, n_characters) for line in lines)
        ink, middle = "white" if colour == to_rgba(BLUE) else "black", entry.top + entry.height / 2
        axis.text(left + 0.015, middle, text, va="center", color=ink, fontsize=9).set_clip_path(patch)
    axis.set(xlim=(0, lefts[-1]), ylim=(1, 0), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    for column in range(not root.level, n_columns):
        middle = lefts[column : column + 2].mean()
        axis.text(middle, -0.02, f"level {root.level + column}", ha="center", fontsize=10, color=GREY)
    joined = " Less populous codes are joined in one branch, drawn no higher than the average branch beside it."
    about = "The height of a branch is its number of items; the names are of items in its middle."
    figure.supxlabel(fill(about + joined * bool(tree["n_joined"].any()), 150), fontsize=9.5)
    return figure


def tree_figure(
    ids: SemanticIDs, depth: int = 2, prefix: Iterable[int] = (), most: Sequence[int] = MAX_TILES
) -> Picture:
    """Draw the tree of codes below a prefix, see `tree_table`, as an icicle with counts and exemplars."""
    prefix = tuple(prefix)
    named = Named.among(ids.codes, min(len(prefix) + 1, ids.n_levels), prefix)
    return tree_drawing(tree_table(ids, depth, prefix, most), named)
