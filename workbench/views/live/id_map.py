"""The map of items, live: coloured by code, with what is not looked at in grey, a selection, and an item's nearest."""

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from ..colours import SHAPES
from ..figures import BLUE, GREEN, RED
from ..ids import Named, Similar, code_colours, codes_of, is_below
from ..ids_figures import map_words
from .controls import WidthWatch
from .maps import MOST_SVG, legend_html
from .plot_events import PlotEvents
from .twins import as_map, drop_outline, plain, point_numbers, said_anew

OPACITY, SIZE = (0.95, 0.45, 0.12), (8, 5, 5)  # of codes with colours, other codes, what is not looked at
NEAR = {  # how the nearest of an item are marked: symbol, colour, and a character for the legend
    "by_vector": ("circle-open", BLUE, "\N{WHITE CIRCLE}", "nearest by vectors"),
    "by_id": ("triangle-up-open", GREEN, "\N{WHITE UP-POINTING TRIANGLE}", "nearest by id"),
}


class LiveIdMap:
    """A map of a frame of `id_map`, and what a person does with it.

    Parameters
    ----------
    picked : callable
        Called with the item whose point a person clicked.
    selected : callable
        Called with the list of items that a person selected, empty when the selection is cleared.
    guard : callable
        Wrapped around every callback.

    Attributes
    ----------
    widget : VBox
    """

    def __init__(
        self,
        picked: Callable[[str], None],
        selected: Callable[[list[str]], None],
        guard: Callable[[Callable], Callable],
    ):
        self.picked, self.selected, self._guard = picked, selected, guard
        self.frame: Any = None
        self._named: Named | None = None
        self._selected: tuple[str, ...] = ()
        self._turn = 1
        self.zoom = widgets.Checkbox(description="Zoom to the items in colour", indent=False)
        self.zoom.observe(guard(self._zoomed), "value")
        self.legend, self.text = widgets.HTML(), widgets.HTML()
        self.legend.add_class("wb-id-legend")
        self.text.add_class("wb-id-map-text")
        self._place = widgets.VBox()
        self._make_figure(webgl=False)
        self.widget = widgets.VBox([self.zoom, self.legend, self._place, self.text])

    def _make_figure(self, webgl: bool) -> None:
        from plotly.graph_objects import Figure, Scatter, Scattergl

        # What lies above the points catches no pointer and is never dimmed when points are selected.
        over = {"hoverinfo": "skip", "selectedpoints": [], "unselected": {"marker": {"opacity": 1}}}
        star = {"symbol": "star", "size": 16, "color": RED, "line": {"width": 1, "color": "white"}}
        kind = Scattergl if webgl else Scatter
        points = kind(
            mode="markers", hoverinfo="text", marker={"coloraxis": "coloraxis", "line": {"width": 0}},
            unselected={"marker": {"opacity": 0.1}}, selected={"marker": {"opacity": 1}},
        )  # fmt: skip
        rings = [
            Scatter(
                mode="markers", marker={"symbol": symbol, "color": colour, "size": 12, "line": {"width": 2}}, **over
            )
            for symbol, colour, _, _ in NEAR.values()
        ]
        self.figure = as_map(Figure([points, *rings, Scatter(mode="markers", marker=star, **over)]))
        self.figure.add_class("wb-id-map")
        self.figure.layout.margin.t = 30
        self.points, *self._rings, self._star = self.figure.data
        self.points.on_selection(self._guard(self._emptied))
        self.events = PlotEvents(self._guard(self._clicked), self._guard(self._lassoed))
        self._place.children = [WidthWatch(), self.events, self.figure]

    # -- what a program shows -------------------------------------------------------------

    def show(self, frame: pd.DataFrame, named: Named, similar: Similar | None, selected: tuple[str, ...]) -> None:
        """Draw what is new of this."""
        new, painted = frame is not self.frame, named != self._named
        self.frame, self._named = frame, named
        if new and (len(frame) > MOST_SVG) != (self.points.type == "scattergl"):
            self._make_figure(webgl=len(frame) > MOST_SVG)
        if selected is not self._selected:
            drop_outline(self.figure)
        with self.figure.batch_update():
            if new:
                self._draw()
            if new or painted:
                self._paint()
                self._zoom()
            self._mark(similar)
            if new or selected is not self._selected:
                self._select(selected)
        # plotly sends changes to pages that are open; this is what a page reads that is loaded later.
        self.figure._repr_mimebundle_()

    def _draw(self) -> None:
        frame = self.frame
        ids = ["-".join(map(str, codes)) for codes in codes_of(frame).tolist()]
        self.points.x, self.points.y = frame["x"].to_numpy(np.float32), frame["y"].to_numpy(np.float32)
        self.points.text = [f"{plain(name)}<br>id {id_}" for name, id_ in zip(frame["name"], ids, strict=True)]
        layout, method = self.figure.layout, frame.attrs["method"]
        layout.xaxis.title.text, layout.yaxis.title.text = f"{method} 1 (no unit)", f"{method} 2 (no unit)"

    def _paint(self) -> None:
        assert self._named is not None
        look = code_colours(self.frame, named=self._named)
        numbers, axis = point_numbers(look)
        self.points.marker.color = numbers
        self.points.marker.symbol = [SHAPES[shape][1] for shape in look.shapes]
        assert look.groups is not None
        last = len(look.palette) - 1  # what is outside the prefix; before it the codes without colours
        kind = np.clip(look.groups - (last - 2), 0, 2)  # (n,): 0 for codes with colours
        self.points.marker.opacity = np.array(OPACITY, np.float32)[kind]
        self.points.marker.size = np.array(SIZE, np.float32)[kind]
        self.figure.layout.coloraxis.update(axis)
        self.legend.value = legend_html(look)

    def _inside(self) -> np.ndarray:
        """Which points are looked at: (n,) bool."""
        assert self._named is not None
        return is_below(codes_of(self.frame), self._named.prefix)

    def _zoom(self) -> None:
        """Have the axes show the items in colour, or all."""
        inside = self._inside()
        for axis, column in ((self.figure.layout.xaxis, "x"), (self.figure.layout.yaxis, "y")):
            if self.zoom.value and inside.any():
                low, high = np.percentile(self.frame.loc[inside, column], [1, 99]).tolist()
                margin = 0.1 * (high - low) or 0.5
                axis.range = [low - margin, high + margin]
            else:
                axis.autorange = True

    def _mark(self, similar: Similar | None) -> None:
        """A star on the item looked at, rings and triangles on its nearest."""
        items = self.frame["item"]
        for trace, kind in zip((*self._rings, self._star), (*NEAR, "item"), strict=True):
            near = [] if similar is None else [similar.item] if kind == "item" else getattr(similar, kind)["item"]
            at = self.frame[items.isin(near)]
            trace.x, trace.y = at["x"].to_numpy(np.float32), at["y"].to_numpy(np.float32)
        self.text.value = f"<div role='status'>{escape(map_words(self.frame))}{self._about(similar)}</div>"

    def _about(self, similar: Similar | None) -> str:
        if similar is None:
            return " Click a point to look at its item; select several with the lasso."
        if similar.item not in set(self.frame["item"]):
            return " The item looked at is not among those on the map."
        marks = ", ".join(
            f"<span style='color: {colour}'>{sign}</span> {text}" for _, colour, sign, text in NEAR.values()
        )
        return f" <span style='color: {RED}'>\N{BLACK STAR}</span> the item looked at, {marks}."

    def _select(self, items: tuple[str, ...]) -> None:
        self._selected, self._turn = items, 3 - self._turn
        index = np.flatnonzero(self.frame["item"].isin(items)) if items else None
        self.points.selectedpoints = said_anew(index, self._turn)

    # -- what a person does ---------------------------------------------------------------

    def _clicked(self, point: int) -> None:
        self.picked(self.frame["item"].iloc[point])

    def _lassoed(self, points: np.ndarray) -> None:
        self.selected(self.frame["item"].iloc[points].tolist())

    def _emptied(self, _trace: Any, points: Any, _selector: Any) -> None:
        """A page selects nothing where an outline goes: select again what is selected."""
        if not points.point_inds:
            with self.figure.batch_update():
                self._select(self._selected)

    def _zoomed(self, _: Any) -> None:
        if self.frame is not None:
            with self.figure.batch_update():
                self._zoom()
