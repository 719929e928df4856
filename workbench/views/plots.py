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
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator
from PIL import Image

from ..evaluate.maps import noise_text
from ..semantic.ids import SemanticIDs
from ..semantic.tree import MOST_TILES, Prefix, is_below, tree_table, words_of
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
        """Return the figure as a PNG file of 256 colours: a third of the bytes."""
        buffer, small = BytesIO(), BytesIO()
        self.savefig(buffer, format="png", dpi=80)
        Image.open(buffer).convert("RGB").quantize(256).save(small, "png", optimize=True)
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


# -- the scorecard --------------------------------------------------------------------------


def scorecard_figure(card: pd.DataFrame) -> Picture:
    """Draw the scorecard: size, fidelity, neighbours, agreement with people.

    Parameters
    ----------
    card : DataFrame
        From `scorecard`.
    """
    by_metric = {metric: rows.set_index("split") for metric, rows in card.groupby("metric")}
    figure, (size, fidelity, overlap, agreement) = new_figure(12, 3.4, 4)

    sizes = _in_order(by_metric["size"], "source file", "original", "compressed")["value"] / 1e6
    bars = size.bar(sizes.index, sizes, color=[BLUE if name == "compressed" else GREY for name in sizes.index])
    size.bar_label(bars, [f"{n:.3g}" for n in sizes])
    size.set(ylabel="size of the file (MB)", title=f"{by_metric['ratio']['value'].iloc[0]:.3g} times smaller")
    size.tick_params(axis="x", rotation=20)

    means, low = (_in_order(by_metric[metric], *SPLITS)["value"] for metric in ("fidelity", "fidelity_p5"))
    fidelity.vlines(means.index, low, means, color=GREY, linewidth=1)
    fidelity.plot(means.index, means, "o", color=BLUE, label="mean")
    fidelity.plot(low.index, low, "_", color=RED, markersize=14, label="5th percentile")
    for name, mean in means.items():
        fidelity.annotate(f"{mean:.3f}", (name, mean), (7, 0), textcoords="offset points", va="center")
    fidelity.set(ylabel="cosine to the original vector", title="Fidelity", ylim=(None, 1.005))
    fidelity.margins(x=0.25)
    fidelity.legend(frameon=False, loc="best")

    kept = _in_order(by_metric["overlap@10"], *SPLITS)
    _draw_bars(overlap, kept.index, kept, BLUE)
    overlap.set(ylabel="overlap@10 (share of neighbours kept)", title="Neighbours", ylim=(0, 1))

    agreement.set(ylabel="Spearman correlation with people", title="Agreement with people")
    if "similarity" in by_metric:
        names = by_metric["similarity"].index
        _draw_bars(agreement, np.arange(len(names)) - 0.2, by_metric["similarity_original"], GREY, "original", 0.38)
        _draw_bars(agreement, np.arange(len(names)) + 0.2, by_metric["similarity"], BLUE, "compressed", 0.38)
        agreement.set_xticks(range(len(names)), names)
        agreement.margins(y=0.25)
        agreement.legend(frameon=False, loc="upper left")
    else:
        text, inside = "no word-pair set\ncovers this model", agreement.transAxes
        agreement.text(0.5, 0.5, text, ha="center", va="center", transform=inside)
        agreement.set(xticks=[], yticks=[])
    return figure


def _in_order(rows: pd.DataFrame, *splits: str) -> pd.DataFrame:
    return rows.loc[[split for split in splits if split in rows.index]]


def _draw_bars(axis: Axes, x: Any, rows: pd.DataFrame, color: str, label: str = "", width: float = 0.6) -> None:
    """Draw bars with their 95% intervals."""
    spread = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
    axis.bar(x, rows["value"], color=color, width=width, label=label, yerr=spread, capsize=4, ecolor="black")


# -- neighbours, groups of words, history -----------------------------------------------------


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


def damage_figure(groups: pd.DataFrame) -> Picture:
    """Draw mean and 5th percentile of the cosine for each group of words, on one scale.

    Parameters
    ----------
    groups : DataFrame
        From `damage_groups`.
    """
    panels = {title: rows for by, title in GROUPINGS.items() if len(rows := groups[groups["by"] == by])}
    n_rows = max((len(rows) for rows in panels.values()), default=1)
    figure, axes = new_figure(11.2, 1.6 + 0.42 * n_rows, max(len(panels), 1))
    for axis, (title, rows) in zip(axes, panels.items(), strict=False):
        places, mean, low = np.arange(len(rows)), rows["mean"].to_numpy(), rows["p5"].to_numpy()
        lowest = (places == mean.argmin()) & (len(rows) > 1)  # it has a shape of its own
        axis.hlines(places, low, mean, color=GREY, linewidth=1)
        axis.plot(low, places, "|", color=GREY, markersize=11, label="5th percentile")
        axis.plot(mean[~lowest], places[~lowest], "o", color=BLUE, label="mean")
        axis.plot(mean[lowest], places[lowest], "D", color=RED, markersize=8, label="lowest mean")
        axis.set_yticks(places, [f"{group.group}\n{group.n:,} words scored" for group in rows.itertuples()], fontsize=9)
        axis.set(xlabel="cosine to the original vector", ylim=(len(rows) - 0.4, -0.6))
        axis.set_title(title, fontsize=11)
    left = min(axis.get_xlim()[0] for axis in axes)
    for axis in axes:
        axis.set_xlim(left, 1 + 0.02 * (1 - min(left, 0.9)))
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=10)
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


# -- maps of words ----------------------------------------------------------------------------


class Group(NamedTuple):
    """Points of one look, and their name in the legend."""

    name: str
    here: np.ndarray  # (n,) bool
    colour: Any  # or (n,) values on a scale
    shape: str  # of `SHAPES`


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
    labels = frame["label"].astype(object)
    counts = labels.value_counts()
    frequent = sorted(counts.index, key=lambda label: (-counts[label], str(label)))  # in any order of words
    named, others = frequent[:MAX_NAMED], frequent[MAX_NAMED:]
    groups = [(str(label), labels == label, *look) for label, look in zip(named, LABELS.items(), strict=False)]
    groups += [(f"{len(others)} other labels", labels.isin(others), GREY, "circle")]
    groups += [("none", labels.isna(), PALE, "circle")]
    return [Group(name, here.to_numpy(), *look) for name, here, *look in groups if here.any()]


def _draw_map(
    axis: Axes, frame: pd.DataFrame, side: str, groups: list[Group], starred: np.ndarray, named: Collection[int] = (),
    norm: Normalize | None = None,
) -> None:  # fmt: skip
    """Draw groups of points, the first on top, and the names of some rows; starred ones are bold, with a star."""
    places, method = frame[[f"x{side}", f"y{side}"]].to_numpy(), frame.attrs["method"]  # (n, 2)
    for _, here, colour, shape in reversed(groups):
        look = {"color": colour} if isinstance(colour, str) else {"c": colour[here], "norm": norm, "cmap": "cividis"}
        x, y = places[here].T
        axis.scatter(x, y, s=9 if shape == "circle" else 18, marker=SHAPES[shape][0],
                     linewidths=shape == "cross", alpha=0.5 if colour is PALE else 0.95, **look)  # fmt: skip
    names = frame["name" if "name" in frame else "word"].to_numpy()
    axis.plot(*places[starred].T, "*", color=RED, markersize=13, markeredgecolor="white", zorder=4)
    for row in (*starred, *named):
        is_starred = row in starred
        if np.isfinite(places[row, 0]):
            axis.annotate(as_text(names[row], 34), places[row], (4, 4), textcoords="offset points", zorder=5,
                          fontsize=9 + is_starred, weight=700 if is_starred else 400, path_effects=OUTLINE)  # fmt: skip
    axis.set(xlabel=f"{method} 1 (no unit)", ylabel=f"{method} 2 (no unit)", xticks=[], yticks=[])


def _explain(figure: Figure, groups: list[Group], text: str, width: int, **legend: Any) -> None:
    """Add a legend of groups of points, and a text below."""
    looks = [(as_text(name), SHAPES[shape][0], ink if isinstance(ink, str) else GREY) for name, _, ink, shape in groups]
    handles = [Line2D([], [], linestyle="", label=name, marker=marker, color=ink) for name, marker, ink in looks]
    figure.legend(handles=handles, fontsize=9, **legend)
    figure.supxlabel(fill(text, width), fontsize=9.5)


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
    figure, axes = new_figure(12, 6.2, 2)
    groups, norm = word_groups(frame, colour), Normalize(*np.nanpercentile(frame["cosine"], [5, 95]))
    cells = [pd.cut(frame[axis], 5, labels=False) for axis in ("x_before", "y_before")]
    spread = frame.groupby(cells, sort=False).cumcount() == 0
    named = np.flatnonzero(spread if labels is None else frame["word"].isin(labels))
    starred = np.flatnonzero(frame["word"].isin([printable(word) for word in marked]))
    for axis, side, title in zip(axes, ("before", "after"), ("original", "compressed"), strict=True):
        _draw_map(axis, frame, f"_{side}", groups, starred, named, norm)
        trust = frame.attrs[f"trust_{side}"]
        axis.set_title(f"{title}, trustworthiness {trust:.3f}" if trust else title)
    if colour == "damage":
        scale = ScalarMappable(norm, "cividis")
        figure.colorbar(scale, ax=axes, label="cosine to the original vector", extend="both", shrink=0.8)
    shown = f"Shown: {frame.attrs['sample']}. {noise_text(frame)}"
    _explain(figure, groups, shown, 150, loc="outside upper center", ncols=6)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # names stay where they are measured
    for axis in axes:
        boxes: list[Any] = []
        for text in axis.texts:  # names that would cover an earlier one are hidden
            box = text.get_window_extent()
            text.set_visible(not any(box.overlaps(other) for other in boxes))
            boxes += [box] * text.get_visible()
    return figure


# -- semantic IDs -----------------------------------------------------------------------------


class Named(NamedTuple):
    """Codes of one level that are told apart by colour and shape, the most populous below a prefix first."""

    level: int
    prefix: Prefix
    codes: tuple[int, ...]

    @classmethod
    def among(cls, codes: np.ndarray, level: int, prefix: Iterable[int] = (), n: int = MAX_NAMED) -> "Named":
        """Return the `n` most populous ones of codes (n_items, n_levels) at a level, from 1, below the prefix."""
        prefix, n_levels = tuple(prefix), codes.shape[1]
        lowest = min(len(prefix) + 1, n_levels)
        if not lowest <= level <= n_levels:
            raise ValueError(f"below {words_of(prefix)} level goes from {lowest} to {n_levels}, got {level}")
        found, counts = np.unique(codes[is_below(codes, prefix), level - 1], return_counts=True)
        return cls(level, prefix, tuple(found[np.argsort(-counts, kind="stable")[:n]].tolist()))

    def look(self, code: int) -> tuple[str, str]:
        """Return colour and shape of a code; from the eighth on, colours come again with other shapes."""
        if code not in self.codes:
            return GREY, "circle"
        i = self.codes.index(code)
        return list(LABELS)[i % MAX_NAMED], list(LABELS.values())[(i + i // MAX_NAMED) % MAX_NAMED]


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
    inside, own = is_below(codes, named.prefix), codes[:, named.level - 1]
    others = inside & ~np.isin(own, named.codes)
    n_others = len(np.unique(own[others]))
    parts = [(f"code {code}", inside & (own == code), *named.look(code)) for code in named.codes]
    parts += [(f"{n_others} other code{'s' * (n_others != 1)}", others, GREY, "circle")]
    parts += [(f"not {words_of(named.prefix)}", ~inside, PALE, "circle")]
    groups = [Group(f"{text}: {here.sum():,}", here, *look) for text, here, *look in parts if here.any()]
    figure, (axis,) = new_figure(9, 6.4)
    _draw_map(axis, frame, "", groups, np.flatnonzero(frame["item"].isin(marked)))
    trust, method = frame.attrs["trustworthiness"], frame.attrs["method"].replace("PCA", "principal components")
    shown = f"Shown: {frame.attrs['sample']}; {method}{'' if trust is None else f', trustworthiness {trust:.3f}'}."
    _explain(figure, groups, shown, 110, title=f"Items by code of level {named.level}", loc="outside right upper")
    return figure


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
            own, shape = named.look(entry.prefix[named.level - 1])
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
    ids: SemanticIDs, depth: int = 2, prefix: Iterable[int] = (), most: Sequence[int] = MOST_TILES
) -> Picture:
    """Draw the tree of codes below a prefix, see `tree_table`, as an icicle with counts and exemplars."""
    prefix = tuple(prefix)
    named = Named.among(ids.codes, min(len(prefix) + 1, ids.n_levels), prefix)
    return tree_drawing(tree_table(ids, depth, prefix, most), named)
