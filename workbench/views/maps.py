"""Two-dimensional maps of a model before and after compression, on layouts that can be compared."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.patheffects import withStroke

from ..evaluate.fidelity import cosines
from ..vectors import Vectors, unit
from ..vocab import printable
from .figures import RED, Picture, new_figure
from .layout import Layout, pca_axes, umap_layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection


KINDS = {"own row": "o", "rebuilt from n-grams": "^", "no vector left": "x"}  # and matplotlib's marker


def umap_maps(
    original: Vectors,
    small: Vectors,
    n_words: int = 2_000,
    n_neighbors: int = 15,
    random_state: int = 0,
    layout: Layout = umap_layout,
) -> pd.DataFrame:
    """Maps of the most frequent words in both models by UMAP (McInnes, Healy and Melville, 2018).

    Both are drawn from exact k-nearest graphs. The first starts from principal components, the
    second from the first, so that a word that moved has moved because its neighbours changed,
    or by chance: not because UMAP turned or mirrored the picture.

    Parameters
    ----------
    original, small : Vectors
    n_words : int
        Words to map: the original's most frequent ones.
    n_neighbors : int
    random_state : int
    layout : callable
        Takes the arguments of `layout.umap_layout` and returns what it does; a live panel has
        it done in another process.

    Returns
    -------
    DataFrame
        The most frequent word first: ``word``, ``x_before``, ``y_before``, ``x_after``,
        ``y_after``, ``cosine`` (to the original vector), ``in_vocabulary`` (of the small
        model). Words that the small model has no vector for are on the first map alone. Its
        ``attrs`` hold ``method``, and ``trust_before`` and ``trust_after``: trustworthiness,
        see `layout.umap_layout`.
    """
    words, before, after = _mapped(original, small, n_words)
    there = ~np.isnan(after[:, 0])
    if there.sum() <= 2 * n_neighbors:
        raise ValueError(f"a map needs more than {2 * n_neighbors} words that both models have, got {there.sum()}")
    first, trust_before = layout(before, unit(before) @ pca_axes(before), n_neighbors, random_state)
    second = np.full_like(first, np.nan)
    second[there], trust_after = layout(after[there], first[there], n_neighbors, random_state)
    return _frame(small, words, before, after, first, second, "UMAP", trust_before, trust_after)


def pca_maps(original: Vectors, small: Vectors, n_words: int = 2_000) -> pd.DataFrame:
    """The same by principal components of the original's directions, both on the same axes.

    Ready in a moment, but it shows less: two of many dimensions. Returns what `umap_maps` does,
    without trustworthiness.
    """
    words, before, after = _mapped(original, small, n_words)
    axes = pca_axes(before)
    return _frame(small, words, before, after, unit(before) @ axes, unit(after) @ axes, "PCA")


def _mapped(original: Vectors, small: Vectors, n_words: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The words on a map, the most frequent first, and their vectors before and after: (n, dim)."""
    index = original.vocab.most_frequent(n_words)
    if original.vocab.counts is not None:
        index = index[np.argsort(-original.vocab.counts[index], kind="stable")]
    words = [original.words[i] for i in index]
    return words, original.get_vectors(words), small.get_vectors(words, missing="nan")


def _frame(small, words, before, after, first, second, method, trust_before=None, trust_after=None) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "word": [printable(word) for word in words],
            "x_before": first[:, 0],
            "y_before": first[:, 1],
            "x_after": second[:, 0],
            "y_after": second[:, 1],
            "cosine": cosines(before, after),
            "in_vocabulary": [word in small for word in words],
        }
    )
    frame.attrs.update(method=method, trust_before=trust_before, trust_after=trust_after)
    return frame


def kinds(frame: pd.DataFrame) -> pd.Series:
    """What became of each mapped word, one of `KINDS`."""
    own, rebuilt, gone = KINDS
    named = frame["in_vocabulary"].map({True: own, False: rebuilt})
    return named.mask(frame["cosine"].isna(), gone)


def colour_limits(frame: pd.DataFrame) -> tuple[float, float]:
    """Cosines between which colours differ: nine words in ten lie there."""
    low, high = np.nanpercentile(frame["cosine"], [5, 95])
    return float(low), float(high)


def map_figure(frame: pd.DataFrame, labels: Sequence[str] | None = None, marked: Sequence[str] = ()) -> Picture:
    """The two maps side by side, coloured by how close each word stayed to its original vector.

    Parameters
    ----------
    frame : DataFrame
        From `umap_maps` or `pca_maps`.
    labels : list of str, optional
        Words to name in both maps; by default 25 spread over the map.
    marked : sequence of str
        Words to point out besides.
    """
    figure, axes = new_figure(12, 5.6, 2)
    named = _spread(frame) if labels is None else frame[frame["word"].isin(labels)]
    for axis, side, title in zip(axes, ("before", "after"), ("original", "compressed"), strict=True):
        points = _draw_map(axis, frame, side)
        _name(axis, named, side)
        _name(axis, frame[frame["word"].isin([printable(word) for word in marked])], side, marked=True)
        trust, method = frame.attrs[f"trust_{side}"], frame.attrs["method"]
        axis.set_title(title + (f", trustworthiness {trust:.3f}" if trust else ""))
        axis.set(xlabel=f"{method} 1 (no unit)", ylabel=f"{method} 2 (no unit)", xticks=[], yticks=[])
    if kinds(frame).nunique() > 1:
        axes[0].legend(fontsize=9)
    figure.colorbar(points, ax=axes, label="cosine to the original vector", extend="both", shrink=0.8)
    return figure


def _draw_map(axis: "Axes", frame: pd.DataFrame, side: str) -> "PathCollection":
    """The points of one side, a marker for each kind; returns those that the colour bar is for."""
    low, high = colour_limits(frame)
    for kind, group in frame.groupby(kinds(frame)):
        x, y = group[f"x_{side}"], group[f"y_{side}"]
        if kind == "no vector left":
            axis.scatter(x, y, c=RED, s=14, marker="x", linewidths=1, label=kind)
        else:
            points = axis.scatter(x, y, c=group["cosine"], vmin=low, vmax=high, cmap="cividis", s=9,
                                  marker=KINDS[kind], linewidths=0, label=kind)  # fmt: skip
    return points


def _name(axis: "Axes", named: pd.DataFrame, side: str, marked: bool = False) -> None:
    """Words beside their points; marked ones bold, with a star."""
    for entry in named[named[f"x_{side}"].notna()].itertuples():
        place = getattr(entry, f"x_{side}"), getattr(entry, f"y_{side}")
        outline = [withStroke(linewidth=3, foreground="white")]
        axis.annotate(entry.word, place, fontsize=9 + marked, weight=700 if marked else 400, path_effects=outline)
        if marked:
            axis.plot(*place, marker="*", color=RED, markersize=12, markeredgecolor="white")


def _spread(frame: pd.DataFrame, n: int = 25) -> pd.DataFrame:
    """The most frequent word in each of about `n` cells of the map, so that labels do not pile up."""
    side = int(np.sqrt(n))
    cells = [pd.cut(frame[axis], side, labels=False) for axis in ("x_before", "y_before")]
    return frame.groupby(cells, sort=False).head(1)
