"""Everything that was tried on a model: size against quality, and the frontier. Draws, decides nothing."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..compress import Chain
from ..search.sweep import best_of_their_size, table
from .figures import BLUE, GREY, RED, Picture, new_figure

QUALITIES = {  # column of the table of `sweep`, and its name on an axis
    "known": "fidelity of the vocabulary (mean cosine)",
    "unseen": "fidelity of unseen words (mean cosine)",
    "overlap@10": "overlap@10 (share of neighbours kept)",
}


def trail_table(trail: Sequence[dict], quality: str = "known") -> pd.DataFrame:
    """What was tried and could be built: the columns of `sweep`, and ``best_of_its_size``."""
    tried = table(list(trail))
    tried = tried[tried["bytes"].notna() & tried[quality].notna()].reset_index(drop=True)
    return tried.assign(best_of_its_size=best_of_their_size(tried, quality))


def trail_figure(trail: Sequence[dict], current: Chain | None, limit: int | None, quality: str = "known") -> Picture:
    """A point for each recipe that was tried, the frontier as a line, the present one as a star."""
    tried = trail_table(trail, quality)
    figure, (axis,) = new_figure(6.5, 3.6)
    megabytes = tried["bytes"] / 1e6
    best = tried["best_of_its_size"].to_numpy(bool)
    order = np.argsort(megabytes[best], kind="stable")
    axis.plot(megabytes[best].iloc[order], tried[quality][best].iloc[order], "-", color=BLUE, linewidth=1, zorder=1,
              drawstyle="steps-post", label="frontier")  # fmt: skip
    axis.plot(megabytes[best], tried[quality][best], "o", color=BLUE, label="best of its size")
    axis.plot(megabytes[~best], tried[quality][~best], "x", color=GREY, label="another is better")
    now = tried["recipe"].map(lambda recipe: recipe == current).to_numpy(bool)
    axis.plot(megabytes[now], tried[quality][now], "*", color=RED, markersize=15, label="this setting")
    if limit is not None:
        axis.axvline(limit / 1e6, color=RED, linestyle="--", linewidth=1, label="limit")
    axis.set(xlabel="size of the file (MB)", ylabel=QUALITIES[quality], xscale="log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("{x:g}")
    axis.tick_params(axis="x", which="both", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    return figure
