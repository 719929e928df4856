"""Static figures of the scorecard and of neighbours. They draw tables and decide nothing.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; wherever colour carries a
meaning, a shape or a word carries it too.
"""

from io import BytesIO
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"
STATUS = {  # colour, and the mark beside the word
    "kept": (BLUE, "\N{BLACK CIRCLE}"),
    "lost": (RED, "\N{MULTIPLICATION SIGN}"),
    "gained": (GREEN, "\N{BLACK UP-POINTING TRIANGLE}"),
}
LONGEST = 14  # characters of a word in the neighbours figure
SPLITS = ("kept", "remapped", "dropped", "unseen", "all")


class Picture(Figure):
    """A figure that a notebook shows as it is.

    Made without pyplot, whose global state mixes up figures when two threads draw at once, as
    callbacks of widgets do.
    """

    def png(self) -> bytes:
        """The figure as a PNG file."""
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=80)
        return buffer.getvalue()

    _repr_png_ = png


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Picture, list["Axes"]]:
    """A figure of this many inches with axes side by side."""
    figure = Picture(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def scorecard_figure(card: pd.DataFrame) -> Picture:
    """The scorecard at a glance: bytes, fidelity, neighbours, agreement with people.

    Parameters
    ----------
    card : DataFrame
        From `scorecard`.
    """
    figure, axes = new_figure(12, 3.4, 4)
    for axis, draw in zip(axes, (_draw_size, _draw_fidelity, _draw_overlap, _draw_similarity), strict=True):
        draw(axis, card)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _rows(card: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of one metric, by split."""
    return card[card["metric"] == metric].set_index("split")


def _draw_size(axis: "Axes", card: pd.DataFrame) -> None:
    sizes = _rows(card, "size")["value"] / 1e6
    names = [s for s in ("source file", "original", "compressed") if s in sizes]
    bars = axis.bar(names, sizes[names], color=[GREY, GREY, BLUE][-len(names) :])
    axis.bar_label(bars, [f"{sizes[name]:.3g}" for name in names])
    axis.set(ylabel="size of the file (MB)", title=f"{_rows(card, 'ratio')['value'].iloc[0]:.3g} times smaller")
    axis.tick_params(axis="x", rotation=20)


def _draw_fidelity(axis: "Axes", card: pd.DataFrame) -> None:
    means, worst = _rows(card, "fidelity"), _rows(card, "fidelity_p5")
    names = [s for s in SPLITS if s in means.index]
    axis.vlines(names, worst.loc[names, "value"], means.loc[names, "value"], color=GREY, linewidth=1)
    axis.plot(names, means.loc[names, "value"], "o", color=BLUE, label="mean")
    axis.plot(names, worst.loc[names, "value"], "_", color=RED, markersize=14, label="5th percentile")
    for name in names:
        axis.annotate(f"{means.loc[name, 'value']:.3f}", (name, means.loc[name, "value"]), xytext=(7, 0),
                      textcoords="offset points", va="center")  # fmt: skip
    axis.set(ylabel="cosine to the original vector", title="Fidelity", ylim=(None, 1.005))
    axis.margins(x=0.25)
    axis.legend(frameon=False, loc="best")


def _draw_overlap(axis: "Axes", card: pd.DataFrame) -> None:
    rows = _rows(card, "overlap@10")
    rows = rows.loc[[s for s in SPLITS if s in rows.index]]
    _bars(axis, list(rows.index), rows, BLUE)
    axis.set(ylabel="overlap@10 (share of neighbours kept)", title="Neighbours", ylim=(0, 1))


def _draw_similarity(axis: "Axes", card: pd.DataFrame) -> None:
    after, before = _rows(card, "similarity"), _rows(card, "similarity_original")
    axis.set(ylabel="Spearman correlation with people", title="Agreement with people")
    if after.empty:
        axis.text(0.5, 0.5, "no word-pair set\ncovers this model", ha="center", va="center", transform=axis.transAxes)
        axis.set(xticks=[], yticks=[])
        return
    places = range(len(after))
    _bars(axis, [p - 0.2 for p in places], before, GREY, "original", width=0.38)
    _bars(axis, [p + 0.2 for p in places], after, BLUE, "compressed", width=0.38)
    axis.set_xticks(list(places), list(after.index))
    axis.margins(y=0.25)
    axis.legend(frameon=False, loc="upper left")


def _bars(axis: "Axes", x: list, rows: pd.DataFrame, color: str, label: str | None = None, width: float = 0.6) -> None:
    """Bars with their 95% intervals."""
    value = rows["value"]
    spread = [value - rows["low"], rows["high"] - value]
    axis.bar(x, value, color=color, width=width, label=label, yerr=spread, capsize=4, error_kw={"ecolor": "black"})


def neighbours_figure(changes: pd.DataFrame) -> Picture:
    """Neighbours before and after, word by word: kept ones are joined, lost and gained ones marked.

    Parameters
    ----------
    changes : DataFrame
        From `neighbour_changes`; three or four words fit side by side.
    """
    groups = list(changes.groupby("word", sort=False))
    figure, axes = new_figure(3.6 * len(groups), 3.8, len(groups))
    for axis, (word, rows) in zip(axes, groups, strict=True):
        _draw_neighbours(axis, str(word), rows)
    figure.supxlabel(
        "    ".join(f"{mark} {status}" for status, (_, mark) in STATUS.items()) + "    (nearest at the top)",
        fontsize=10,
    )
    return figure


def _draw_neighbours(axis: "Axes", word: str, rows: pd.DataFrame) -> None:
    for side, (column, align) in enumerate((("rank_before", "right"), ("rank_after", "left"))):
        for entry in rows[rows[column].notna()].itertuples():
            color, mark = STATUS[entry.status]
            name = _short(entry.neighbour)
            text = f"{name} {mark}" if side == 0 else f"{mark} {name}"
            axis.text(side, getattr(entry, column), text, ha=align, va="center", color=color, fontsize=10)
    for entry in rows[rows["status"] == "kept"].itertuples():
        axis.plot([0.06, 0.94], [entry.rank_before, entry.rank_after], color=BLUE, linewidth=0.8)
    n_before = int(rows["rank_before"].notna().sum())
    n_kept = int((rows["status"] == "kept").sum())
    axis.set(xlim=(-1.3, 2.3), ylim=(n_before + 0.8, 0.2), xticks=[0, 1], xticklabels=["original", "compressed"])
    axis.set_title(f"{_short(word)}: {n_kept} of {n_before} kept", fontsize=12)
    axis.set_yticks(range(1, n_before + 1))
    axis.set_ylabel("rank")
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)


def as_text(text: str) -> str:
    """A text that matplotlib shows as it is: between two dollar signs it would read, and may refuse, a formula."""
    return text.replace("$", r"\$")


def _short(word: str) -> str:
    """A word that fits its column."""
    return as_text(word if len(word) <= LONGEST else word[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}")
