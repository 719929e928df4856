"""What the colour and the shape of a point on a map mean, for figures on paper and live ones alike."""

from dataclasses import dataclass
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from .figures import RED

GREY = "#808080"  # readable on white and on black
KINDS = {"own row": "circle", "rebuilt from n-grams": "triangle", "no vector left": "cross"}
SHAPES = {  # matplotlib's marker, plotly's symbol, and a character for legends
    "circle": ("o", "circle", "\N{BLACK CIRCLE}"),
    "triangle": ("^", "triangle-up", "\N{BLACK UP-POINTING TRIANGLE}"),
    "cross": ("x", "x", "\N{MULTIPLICATION SIGN}"),
    "square": ("s", "square", "\N{BLACK SQUARE}"),
    "diamond": ("D", "diamond", "\N{BLACK DIAMOND}"),
    "down": ("v", "triangle-down", "\N{BLACK DOWN-POINTING TRIANGLE}"),
    "star": ("*", "star", "\N{BLACK STAR}"),
    "plus": ("P", "cross", "\N{HEAVY GREEK CROSS}"),
    "left": ("<", "triangle-left", "\N{BLACK LEFT-POINTING TRIANGLE}"),
}
# Okabe and Ito's but black, each with a shape of its own.
LABELS = dict(
    zip(
        ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"),
        ("square", "diamond", "triangle", "down", "star", "plus", "left"),
        strict=True,
    )
)


WAYS = ("damage", "frequency", "code", "label")


class Entry(NamedTuple):
    """A line of a legend."""

    name: str
    colour: str
    shape: str


@dataclass(frozen=True)
class Colours:
    """Colours and shapes of points.

    Attributes
    ----------
    by : str
        One of `WAYS`.
    title : str
        What the colour means.
    shapes : tuple of str
        For each point one of `SHAPES`.
    legend : tuple of Entry
        The groups, then the kinds of points where there are several.
    values : (n,) float32 array or None
        Places on cividis, from `low` to `high` (beyond them as at the ends); NaN where there is none.
    low, high : float
    missing : str
        Colour of points without a value.
    groups : (n,) int32 array or None
        In place of values: the number of each point's colour in `palette`.
    palette : tuple of str
    """

    by: str
    title: str
    shapes: tuple[str, ...]
    legend: tuple[Entry, ...] = ()
    values: np.ndarray | None = None
    low: float = 0.0
    high: float = 1.0
    missing: str = GREY
    groups: np.ndarray | None = None
    palette: tuple[str, ...] = ()


def colours(
    frame: pd.DataFrame, by: str = "damage", level: str = "code", codebook: np.ndarray | None = None
) -> Colours:
    """What each point's colour means.

    Parameters
    ----------
    frame : DataFrame
        From `umap_maps` or `pca_maps`.
    by : str
        ``damage``: cosine to the original vector. ``frequency``: bands of rank. ``code``: of column
        ``code``, negative or missing for words without codes of their own. ``label``: of
        column ``label``, any text, missing for words without; the seven most frequent labels
        have colours and shapes of their own.
    level : str
        Names the level or subvector that ``code`` belongs to.
    codebook : (n_entries, width) array, optional
        Of that level: its codes are then coloured in the order of the codebook's first principal
        component, so that near colours are near entries.
    """
    if by not in WAYS:
        raise ValueError(f"expected one of {', '.join(WAYS)} to colour by, got {by!r}")
    column = {"damage": "cosine", "frequency": "rank"}.get(by, by)
    if column not in frame:
        raise ValueError(f"to colour by {by} the frame needs a column {column!r}; it has {', '.join(frame.columns)}")
    if by == "code":
        return _by_code(frame, level, codebook)
    return {"damage": _by_damage, "frequency": _by_frequency, "label": _by_label}[by](frame)


def kinds(frame: pd.DataFrame) -> pd.Series:
    """What became of each mapped word, one of `KINDS`."""
    own, rebuilt, gone = KINDS
    named = frame["in_vocabulary"].map({True: own, False: rebuilt})
    return named.mask(frame["cosine"].isna(), gone)


def _shapes(frame: pd.DataFrame, missing: str = GREY) -> tuple[tuple[str, ...], tuple[Entry, ...]]:
    """Shapes by kind, and a legend where there are several kinds."""
    kind = kinds(frame)
    there = [name for name in KINDS if (kind == name).any()]
    legend = [Entry(name, missing if name == "no vector left" else GREY, KINDS[name]) for name in there]
    return tuple(kind.map(KINDS)), tuple(legend) if len(there) > 1 else ()


def _by_damage(frame: pd.DataFrame) -> Colours:
    """Nine words in ten have cosines between the ends of the scale."""
    shapes, legend = _shapes(frame, RED)
    low, high = np.nanpercentile(frame["cosine"], [5, 95]).tolist()
    values = frame["cosine"].to_numpy(np.float32)
    title = "cosine to the original vector"
    return Colours("damage", title, shapes, legend, values, low, high, missing=RED)


def _by_frequency(frame: pd.DataFrame) -> Colours:
    """A band for each power of ten, the first two together."""
    shapes, kinds_legend = _shapes(frame)
    bands = np.maximum(np.ceil(np.log10(frame["rank"].to_numpy(float))), 2).astype(np.int32) - 2
    n = int(bands.max()) + 1
    palette = _cividis(n)
    ranges = [f"{10 ** (band + 1) + 1 if band else 1:,} to {10 ** (band + 2):,}" for band in range(n)]
    legend = [Entry(text, colour, "circle") for text, colour in zip(ranges, palette, strict=True)]
    title = "rank by frequency in the original"
    return Colours("frequency", title, shapes, (*legend, *kinds_legend), groups=bands, palette=palette)


def _by_code(frame: pd.DataFrame, level: str, codebook: np.ndarray | None) -> Colours:
    shapes, legend = _shapes(frame)
    codes = frame["code"].to_numpy(float, na_value=np.nan)
    own = codes >= 0
    values = np.where(own, codes, np.nan).astype(np.float32)
    title = level
    if codebook is not None:
        values[own] = code_order(codebook)[codes[own].astype(int)]
        title += ", near codes alike"
    if not own.all():
        legend = (Entry("no codes of its own", GREY, "circle"), *legend)
    high = float(len(codebook) - 1 if codebook is not None else max(np.max(codes, where=own, initial=1), 1))
    return Colours("code", title, shapes, legend, values, 0.0, high)


def code_order(codebook: np.ndarray) -> np.ndarray:
    """Place of each entry (n_entries, width) along the codebook's first principal component: (n_entries,) int."""
    centred = codebook - codebook.mean(axis=0)
    axis = np.linalg.svd(centred.astype(np.float64), full_matrices=False)[2][0]
    axis *= np.sign(axis[np.abs(axis).argmax()])
    return np.argsort(np.argsort(centred @ axis, kind="stable"))


def _by_label(frame: pd.DataFrame) -> Colours:
    labels = frame["label"].astype(object)
    counts = labels.value_counts()
    # The most frequent first, ties in order of the alphabet, whatever order the words are in.
    frequent = sorted(counts.index, key=lambda label: (-counts[label], str(label)))
    named = frequent[: len(LABELS)]
    legend = [Entry(str(label), *look) for label, look in zip(named, LABELS.items(), strict=False)]
    number = {label: i for i, label in enumerate(named)}
    groups = labels.map(lambda label: number.get(label, len(named))).to_numpy(np.int32)
    groups[labels.isna()] = len(named) + 1
    others = [
        Entry(f"{len(frequent) - len(named)} other labels", GREY, "circle"),
        Entry("none", "#B8B8B8", "circle"),
    ]
    looks = [*legend, *others]
    shown = tuple(look for i, look in enumerate(looks) if (groups == i).any())
    shapes = tuple(looks[i].shape for i in groups)
    return Colours("label", "label", shapes, shown, groups=groups, palette=tuple(look.colour for look in looks))


def _cividis(n: int) -> tuple[str, ...]:
    return tuple(to_hex(colour) for colour in matplotlib.colormaps["cividis"](np.linspace(0, 1, max(n, 2))))[:n]
