"""The numbers of a setting, and the trail of what was tried."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np

from ..figures import BLUE, GREY, RED
from ..page import limit_html, numbers_html
from ..state import State
from ..trail import QUALITIES, trail_table
from .controls import WidthWatch
from .view import Part, dim, row


class NumbersPart(Part):
    """What a setting saves and costs."""

    about = ("numbers", "agreement")

    def build(self) -> Sequence[widgets.Widget]:
        self.size, self.numbers = widgets.HTML(), widgets.HTML()
        self.numbers.add_class("wb-numbers")
        self.size.add_class("wb-size")
        return [self.messages["numbers"], self.size, self.numbers, self.messages["agreement"]]

    def show(self, s: State, old: State) -> None:
        if s.result is not None and s.result.trial.get("bytes") is not None:
            if (s.result, s.limit) != (old.result, old.limit):
                self.size.value = limit_html(s.result, s.limit)
            if s.result is not old.result or s.agreement is not old.agreement:
                self.numbers.value = numbers_html(s.result, s.before, s.agreement)
        dim(self.numbers, s.is_current)
        dim(self.size, s.is_current)


class TrailPart(Part):
    """Size against quality of everything that was tried; a click, or the list, brings a setting back."""

    title = "Tried so far: click a point to go back to it"

    def build(self) -> Sequence[widgets.Widget]:
        self.quality = widgets.Dropdown(
            description="Quality", options=[(name, column) for column, name in QUALITIES.items()],
            style={"description_width": "initial"}, layout={"width": "auto"},
        )  # fmt: skip
        self.quality.observe(self.view.guarded(self._choose_quality), "value")
        self.list = widgets.Dropdown(
            description="Go back to", style={"description_width": "initial"}, layout={"max_width": "100%"}
        )
        self.list.observe(self.view.guarded(self._choose), "value")
        self.place = widgets.VBox()
        self.place.add_class("wb-trail")
        self.figure: Any = None
        return [self.place, row(self.quality, self.list)]

    def show(self, s: State, old: State) -> None:
        if s.trail is not old.trail or s.result is not old.result or s.limit != old.limit:
            self._show(s)

    def _show(self, s: State) -> None:
        if self.figure is None and s.trail:
            self.figure = _figure(self.view.guarded(self._clicked))
            self.place.children = [WidthWatch(), self.figure]
        self._list(s)
        if self.figure is not None:
            self._draw(s)

    def _list(self, s: State) -> None:
        named = [
            (f"{trial['bytes'] / 1e6:,.3g} MB, {trial['known']:.4f}: {trial['recipe'].brief()}", n)
            for n, trial in enumerate(s.trail)
            if not np.isnan(trial["bytes"])
        ]
        self._listed = [trial["recipe"] for trial in s.trail]
        self.list.options = [("", None), *named]
        current = [n for _, n in named if s.result is not None and s.trail[n]["recipe"] == s.result.recipe]
        self.list.value = current[-1] if current else None

    def _draw(self, s: State) -> None:
        quality = self.quality.value
        tried = trail_table(s.trail, quality)
        megabytes, score = tried["bytes"].to_numpy(np.float32) / 1e6, tried[quality].to_numpy(np.float32)
        best = tried["best_of_its_size"].to_numpy(bool)
        self._recipes = list(tried["recipe"])
        current = np.array([s.result is not None and r == s.result.recipe for r in self._recipes], bool)
        line = np.flatnonzero(best)[np.argsort(megabytes[best], kind="stable")]
        with self.figure.batch_update():
            points, frontier, now = self.figure.data
            frontier.x, frontier.y = megabytes[line], score[line]
            points.x, points.y = megabytes, score
            points.text = [recipe.brief() for recipe in self._recipes]
            points.marker.symbol = ["circle" if b else "x-thin" for b in best]
            points.marker.color = [BLUE if b else GREY for b in best]
            now.x, now.y = megabytes[current], score[current]
            only = score[0] if len(set(score.tolist())) == 1 else None  # plotly would begin its axis at 0
            self.figure.layout.yaxis.range = None if only is None else [only - 0.05, only + 0.05]
            self.figure.layout.yaxis.autorange = only is None
            near = len(set(megabytes.tolist())) > 1 and megabytes.max() < 5 * megabytes.min()
            self.figure.layout.xaxis.tickmode = "auto" if near else "array"  # between round sizes too
            self.figure.layout.yaxis.title.text = QUALITIES[quality].replace(" (", "<br>(")
            self.figure.layout.shapes = [_line(s.limit)] if s.limit is not None else []
        self.figure._repr_mimebundle_()  # what a page reads that is loaded later

    def _choose_quality(self, _: object) -> None:
        if self.figure is not None:
            self._draw(self.session.state)

    def _choose(self, change: dict) -> None:
        if change["new"] is not None:
            self.session.try_recipe(self._listed[change["new"]])

    def _clicked(self, _trace: Any, points: Any, _state: Any) -> None:
        if points.point_inds:
            self.session.try_recipe(self._recipes[points.point_inds[0]])


def _line(limit: int) -> dict:
    """The limit as a vertical line."""
    style = {"color": RED, "dash": "dash", "width": 1}
    return {"type": "line", "x0": limit / 1e6, "x1": limit / 1e6, "y0": 0, "y1": 1, "yref": "paper", "line": style}


def _figure(clicked: Any) -> Any:
    """A plotly widget: points, the frontier, and a star for the present setting."""
    from plotly.graph_objects import Figure, FigureWidget, Scatter

    hover = "%{text}<br>%{x:.3g} MB, %{y:.4f}<extra></extra>"
    points = Scatter(mode="markers", marker={"size": 10, "line": {"width": 2, "color": GREY}}, hovertemplate=hover)
    frontier = Scatter(mode="lines", line={"color": BLUE, "width": 1, "shape": "hv"}, hoverinfo="skip")
    now = Scatter(mode="markers", marker={"size": 17, "symbol": "star", "color": RED}, hoverinfo="skip")
    base = Figure([points, frontier, now])
    base.update_layout(
        height=300,
        autosize=True,
        margin={"l": 70, "r": 10, "t": 10, "b": 45},
        showlegend=False,
        font={"color": "#808080"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(128,128,128,.07)",
        dragmode=False,
        hovermode="closest",
    )
    ticks = [digit * 10.0**power for power in range(-4, 6) for digit in (1, 1.5, 2, 3, 5, 7)]
    base.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    base.update_xaxes(title_text="size of the file (MB)", gridcolor="rgba(128,128,128,.3)")
    base.update_yaxes(gridcolor="rgba(128,128,128,.3)")
    figure = FigureWidget(base)
    figure._config = {**figure._config, "responsive": True, "displaylogo": False, "displayModeBar": False}
    figure.data[0].on_click(clicked)
    return figure
