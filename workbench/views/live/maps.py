"""The two maps, live: side by side, zoomed together, a word and its neighbours marked in both."""

from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from ..figures import RED, STATUS
from ..maps import KINDS, colour_limits, kinds

SIDES = ("before", "after")
NAMES = dict(zip(SIDES, ("original", "compressed"), strict=True))
SYMBOLS = dict(zip(KINDS, ("circle", "triangle-up", "x"), strict=True))
MARKS = {  # symbol and colour
    "asked": ("star", RED),
    "kept": ("circle-open", STATUS["kept"][0]),
    "lost": ("x-open", STATUS["lost"][0]),
    "gained": ("triangle-up-open", STATUS["gained"][0]),
}
GREY = "#808080"  # readable on white and on black


class LiveMaps:
    """A plotly widget of the frame that `umap_maps` returns.

    Parameters
    ----------
    picked : callable
        Called with the word whose point a person clicked.
    """

    def __init__(self, picked: Callable[[str], None]):
        from plotly.graph_objects import FigureWidget, Scatter
        from plotly.subplots import make_subplots

        self.picked = picked
        self.words: list[str] = []
        base = make_subplots(1, 2, horizontal_spacing=0.03, subplot_titles=tuple(NAMES.values()))
        for column in (1, 2):
            marker = {"size": 5, "opacity": 0.8, "coloraxis": "coloraxis"}
            base.add_trace(Scatter(mode="markers", hoverinfo="text", marker=marker), 1, column)
        for column in (1, 2):  # marks lie above the points and must not catch the pointer
            marks = Scatter(
                mode="markers+text",
                hoverinfo="skip",
                textposition="top center",
                textfont={"size": 15, "color": RED, "shadow": "0 0 3px white, 0 0 3px white, 0 0 5px white"},
                marker={"line": {"width": 2}},
            )
            base.add_trace(marks, 1, column)
        base.update_layout(
            height=470,
            autosize=True,
            margin={"l": 30, "r": 10, "t": 60, "b": 30},
            showlegend=False,
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(128,128,128,.07)",
            font={"color": GREY},
            dragmode="pan",
            coloraxis={"colorscale": "Cividis", "colorbar": {"title": {"text": "cosine to the<br>original vector"}}},
        )
        base.update_xaxes(showticklabels=False, showgrid=False, zeroline=False, matches="x")
        base.update_yaxes(showticklabels=False, showgrid=False, zeroline=False, matches="y")
        self.widget = FigureWidget(base)
        self.widget._config = {**self.widget._config, "responsive": True, "displaylogo": False}
        self.widget.add_class("wb-maps")
        for trace in self.widget.data[:2]:
            trace.on_click(self._clicked)

    def show(self, frame: pd.DataFrame, words: tuple[str, ...], changes: pd.DataFrame | None) -> None:
        """Draw a frame, and mark `words` with their neighbours."""
        self.words = list(frame["word"])
        low, high = colour_limits(frame)
        kind = kinds(frame)
        cosine = frame["cosine"].fillna(low).to_numpy(np.float32)
        hover = [f"{_plain(word)}<br>{what}" for word, what in zip(frame["word"], kind, strict=True)]
        widget, method = self.widget, frame.attrs["method"]
        with widget.batch_update():
            for trace, title, side in zip(widget.data, widget.layout.annotations, SIDES, strict=False):
                trace.x, trace.y = (frame[f"{axis}_{side}"].to_numpy(np.float32) for axis in "xy")
                trace.text = hover
                trace.marker.color, trace.marker.symbol = cosine, [SYMBOLS[k] for k in kind]
                trust = frame.attrs[f"trust_{side}"]
                title.text = NAMES[side] + (f"<br>trustworthiness {trust:.3f}" if trust else "")
            widget.layout.coloraxis.cmin, widget.layout.coloraxis.cmax = low, high
            for number, axis in enumerate((widget.layout.xaxis, widget.layout.xaxis2), 1):
                axis.title.text = f"{method} 1 (no unit)"
                axis.autorange = True
                widget.layout[f"yaxis{number if number > 1 else ''}"].autorange = True
            widget.layout.yaxis.title.text = f"{method} 2 (no unit)"
            self._mark(frame, words, changes)
        # plotly sends changes to pages that are open; this is what a page reads that is loaded later.
        widget._repr_mimebundle_()

    def _mark(self, frame: pd.DataFrame, words: tuple[str, ...], changes: pd.DataFrame | None) -> None:
        status = {} if changes is None else dict(zip(changes["neighbour"], changes["status"], strict=True))
        status |= dict.fromkeys(words, "asked")
        marked = frame[frame["word"].isin(status)]
        what = [status[word] for word in marked["word"]]
        names = [f"<b>{_plain(word)}</b>" if w == "asked" else "" for word, w in zip(marked["word"], what, strict=True)]
        for trace, side in zip(self.widget.data[2:], SIDES, strict=True):
            trace.x, trace.y = (marked[f"{axis}_{side}"].to_numpy(np.float32) for axis in "xy")
            trace.text = names
            trace.marker.symbol = [MARKS[w][0] for w in what]
            trace.marker.color = [MARKS[w][1] for w in what]
            trace.marker.size = [15 if w == "asked" else 10 for w in what]

    def _clicked(self, _trace: Any, points: Any, _state: Any) -> None:
        if points.point_inds:  # called for every trace, empty for those that were not clicked
            self.picked(self.words[points.point_inds[0]])


def _plain(word: str) -> str:
    """A word that plotly, which reads some markup, shows as it is."""
    return escape(word, quote=False)
