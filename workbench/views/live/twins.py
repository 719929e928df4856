"""Two maps side by side in plotly: zoomed together, and what is marked, ringed or selected on one is so on both."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from ..colours import GREY, SHAPES, Colours
from ..figures import RED, STATUS

MARKS = {  # symbol and colour
    "asked": ("star", RED),
    "kept": ("circle-open", STATUS["kept"][0]),
    "lost": ("x-open", STATUS["lost"][0]),
    "gained": ("triangle-up-open", STATUS["gained"][0]),
}


class TwinMaps:
    """The figure: two traces each of points, of marks and of rings, left and right.

    Parameters
    ----------
    webgl : bool
        Draw points with WebGL, which stays smooth with many.

    Attributes
    ----------
    figure : plotly FigureWidget
    points : list of the two traces that a person can click, hover over and select
    """

    def __init__(self, webgl: bool):
        from plotly.graph_objects import Scatter, Scattergl
        from plotly.subplots import make_subplots

        base = make_subplots(1, 2, horizontal_spacing=0.03, subplot_titles=("original", "compressed"))
        kind = Scattergl if webgl else Scatter
        # What lies above the points catches no pointer and is never dimmed when points are selected.
        full = {"marker": {"opacity": 1}}
        over = {"hoverinfo": "skip", "marker": {"line": {"width": 2}}, "selectedpoints": [], "unselected": full}
        asked = {"size": 15, "color": RED, "shadow": ", ".join(["0 0 3px var(--jp-layout-color0, white)"] * 3)}
        ring = {"symbol": "circle-open", "size": 18, "color": RED, "line": {"width": 3}}
        for trace in (
            kind(mode="markers", hoverinfo="text", marker={"size": 5, "opacity": 0.8, "coloraxis": "coloraxis"},
                 unselected={"marker": {"opacity": 0.12}}, selected={"marker": {"opacity": 1, "size": 7}}),
            Scatter(mode="markers+text", textposition="top center", textfont=asked,
                    **{**over, "unselected": {**full, "textfont": {"color": RED}}}),
            Scatter(mode="markers", **{**over, "marker": ring}),
        ):  # fmt: skip
            base.add_traces([trace, trace], rows=[1, 1], cols=[1, 2])
        base.update_xaxes(matches="x")
        base.update_yaxes(matches="y")
        self.figure = as_map(base)
        self.figure.add_class("wb-maps")
        self._turn = 1
        self.points, self._marks, self._rings = (list(self.figure.data[i : i + 2]) for i in (0, 2, 4))

    def place(self, frame: pd.DataFrame, sides: Sequence[str], hover: list[str], keep_view: bool) -> None:
        """Put the points where the frame has them on the sides to show, left and right."""
        method = frame.attrs["method"]
        for trace, side in zip(self.points, sides, strict=True):
            trace.x, trace.y = (frame[f"{axis}_{side}"].to_numpy(np.float32) for axis in "xy")
            trace.text = hover  # plotly sends what differs from before: names go once a model
        layout = self.figure.layout
        layout.xaxis.title.text = layout.xaxis2.title.text = f"{method} 1 (no unit)"
        layout.yaxis.title.text = f"{method} 2 (no unit)"
        if not keep_view:
            for axis in (layout.xaxis, layout.xaxis2, layout.yaxis, layout.yaxis2):
                axis.autorange = True

    def entitle(self, titles: Sequence[str]) -> None:
        for title, text in zip(self.figure.layout.annotations, titles, strict=False):
            title.text = text

    def paint(self, look: Colours) -> None:
        """Give points their colours and shapes."""
        numbers, axis = point_numbers(look)
        symbols = [SHAPES[shape][1] for shape in look.shapes]
        for trace in self.points:
            trace.marker.color = numbers
            trace.marker.symbol = symbols[0] if len(set(symbols)) == 1 else symbols
        self.figure.layout.coloraxis.update(axis)

    def mark(self, places: Sequence[pd.DataFrame], what: Sequence[str]) -> None:
        """Mark words, each with one of `MARKS`; of the asked ones the names are shown."""
        for trace, at in zip(self._marks, places, strict=True):
            trace.x, trace.y = at["x"].to_numpy(np.float32), at["y"].to_numpy(np.float32)
            trace.text = [f"<b>{plain(w)}</b>" if k == "asked" else "" for w, k in zip(at["word"], what, strict=True)]
            trace.marker.symbol = [MARKS[kind][0] for kind in what]
            trace.marker.color = [MARKS[kind][1] for kind in what]
            trace.marker.size = [15 if kind == "asked" else 10 for kind in what]

    def ring(self, index: int | None) -> None:
        """Put a ring around one word on both maps, or around none."""
        for ring, points in zip(self._rings, self.points, strict=True):
            ring.x, ring.y = ([], []) if index is None else (points.x[index : index + 1], points.y[index : index + 1])

    def select(self, index: np.ndarray | None) -> None:
        """Select words on both maps; None selects nothing and shows all points as they are."""
        self._turn = 3 - self._turn
        for trace in self.points:
            trace.selectedpoints = said_anew(index, self._turn)

    def drop_outline(self) -> None:
        """Take a lasso's outline away, with which a page selects the points inside again at the next change."""
        drop_outline(self.figure)


def said_anew(index: np.ndarray | None, turn: int) -> np.ndarray | None:
    """Positions to select, one of them named once or twice more by turns.

    What Python believes a page to know it would not send again, and the page has changed its mind
    where a lasso came or went.
    """
    return None if index is None else np.append(index, np.repeat(index[:1], turn)).astype(np.int32)


def drop_outline(figure: Any) -> None:
    """Take a lasso's outline away.

    Python hears of an outline only after the selection, hence the message that it would not send.
    """
    figure.layout.selections = ()
    figure._send_relayout_msg({"selections": []})


def as_map(base: Any) -> Any:
    """A figure of plotly as a live one that looks and is used as a map: no grid, and one drags to move it."""
    from plotly.graph_objects import FigureWidget

    base.update_layout(
        height=470,
        autosize=True,
        margin={"l": 30, "r": 10, "t": 60, "b": 30},
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(128,128,128,.07)",
        font={"color": GREY},
        dragmode="pan",
        modebar={
            "add": ["select2d", "lasso2d"],
            "remove": ["autoScale2d"],
            "bgcolor": "rgba(0,0,0,0)",
            "color": GREY,
            "activecolor": RED,
        },
        newselection={"line": {"color": RED}},
    )
    base.update_xaxes(showticklabels=False, showgrid=False, zeroline=False)
    base.update_yaxes(showticklabels=False, showgrid=False, zeroline=False)
    figure = FigureWidget(base)
    figure._config = {**figure._config, "responsive": True, "displaylogo": False, "scrollZoom": True}
    return figure


def point_numbers(look: Colours) -> tuple[np.ndarray, dict[str, Any]]:
    """What to send for each point, (n,) float32 or int32, and the colour axis that it is for.

    Points without a value lie below the scale's low end, where it has a step of their colour.
    """
    from plotly.colors import get_colorscale

    if look.groups is not None:
        n = len(look.palette)
        steps = [[(i + end) / n, colour] for i, colour in enumerate(look.palette) for end in (0, 1)]
        return look.groups, {"colorscale": steps, "cmin": -0.5, "cmax": n - 0.5, "showscale": False}
    values, low, steps = np.asarray(look.values), look.low, get_colorscale("Cividis")
    missing = np.isnan(values)
    if missing.any():
        below = 0.03 * ((look.high - look.low) or 1)
        low -= below
        values = np.where(missing, low, np.maximum(values, look.low)).astype(np.float32)
        step = below / (look.high - low)
        steps = [[0, look.missing], [step, look.missing], *([step + (1 - step) * at, c] for at, c in steps)]
    bar = {"title": {"text": look.title, "side": "right"}, "thickness": 12}
    axis = {"colorscale": steps, "cmin": low, "cmax": look.high, "showscale": True, "colorbar": bar}
    return values, axis


def plain(word: str) -> str:
    """A word that plotly, which reads some markup, shows as it is."""
    return escape(word, quote=False)
