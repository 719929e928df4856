"""The two maps, live: linked, with a search, a selection, colours to choose, and the control beside the damage."""

from collections.abc import Callable
from contextlib import ExitStack
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from ..colours import SHAPES, Colours, colours, kinds
from ..maps import noise_text
from .controls import Showing, WidthWatch
from .twins import TwinMaps, plain
from .view import row

if TYPE_CHECKING:
    from ...storage import Coded

MOST_SVG = 5_000  # points; more are drawn by WebGL
MOST_NAMED = 20  # selected words that are named
MEANINGS = {"damage": "Cosine to the original", "frequency": "Frequency", "code": "Code", "label": "Label"}


class LiveMaps:
    """Linked maps of the frame that `umap_maps` returns, and what a person does with them.

    Parameters
    ----------
    picked : callable
        Called with the word whose point a person clicked.
    selected : callable
        Called with the list of words that a person selected, empty when the selection is cleared.
    guard : callable
        Wrapped around every callback, for locks and messages about errors.

    Attributes
    ----------
    widget : VBox
    """

    def __init__(
        self,
        picked: Callable[[str], None],
        selected: Callable[[list[str]], None] = lambda words: None,
        guard: Callable[[Callable], Callable] = lambda callback: callback,
    ):
        self.picked, self.selected, self._guard = picked, selected, guard
        self.frame: Any = None
        self.words: list[str] = []
        self.selection: np.ndarray | None = None  # positions of words
        self._lasso: np.ndarray | None = None  # what was found so far, while plotly tells trace by trace
        self._batch = ExitStack()
        self._codes: Any = None
        self._marked: tuple[tuple[str, ...], pd.DataFrame | None] = ((), None)
        self._showing = Showing()
        self._build_controls()
        self._place = widgets.VBox()
        self._make_figure(webgl=False)
        finding, colouring = row(self.find, self.clear), row(self.by, self.level, self.again, self.no_webgl)
        self.widget = widgets.VBox([colouring, finding, self.legend, self._place, self.hovered, self.text])

    def _build_controls(self) -> None:
        wide = {"style": {"description_width": "initial"}}
        self.find = widgets.Text(
            description="Find on the map", placeholder="part of a word, then Enter", continuous_update=False, **wide
        )
        self.clear = widgets.Button(description="Clear selection", tooltip="Show all points alike again")
        self.by = widgets.Dropdown(description="Colour by", options=[(MEANINGS["damage"], "damage")], **wide)
        self.level = widgets.Dropdown(description="Level", layout={"display": "none", "width": "12em"}, **wide)
        self.again = widgets.Checkbox(description="Show the original drawn again", indent=False)
        self.no_webgl = widgets.Checkbox(description="Draw without WebGL", indent=False, layout={"display": "none"})
        self.legend, self.hovered, self.text = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.hovered.add_class("wb-hovered")
        self.text.add_class("wb-maps-text")
        self.clear.on_click(self._guard(self._cleared))
        for control, callback in (
            (self.find, self._sought),
            (self.by, self._recoloured),
            (self.level, self._recoloured),
            (self.again, self._swapped),
            (self.no_webgl, self._redrawn),
        ):
            control.observe(self._by_a_person(self._guard(callback)), "value")

    def _by_a_person(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        def call(change: Any) -> None:
            if not self._showing:
                callback(change)

        return call

    def _make_figure(self, webgl: bool) -> None:
        self.twins = TwinMaps(webgl)
        self.figure = self.twins.figure
        for trace in self.twins.points:
            trace.on_click(self._guard(self._clicked))
            trace.on_hover(self._guard(self._hovered_over))
            trace.on_unhover(self._guard(self._left))
            trace.on_deselect(self._guard(self._cleared))
        for trace in self.figure.data:
            trace.on_selection(self._guard(self._lassoed))
        self._place.children = [WidthWatch(), self.figure]

    # -- what a program shows -------------------------------------------------------------

    def show(
        self,
        frame: pd.DataFrame,
        words: tuple[str, ...],
        changes: pd.DataFrame | None,
        codes: "tuple[np.ndarray, Coded] | None" = None,
    ) -> None:
        """Draw a frame, and mark `words` with their neighbours.

        Parameters
        ----------
        frame : DataFrame
            From `umap_maps` or `pca_maps`; a column ``label``, where there is one, can be coloured by.
        words : tuple of str
        changes : DataFrame, optional
            From `neighbour_changes`.
        codes : (n, n_levels) int array and Coded, optional
            Of the frame's words, -1 for those without codes of their own.
        """
        before, self.frame, self._codes, self._marked = self.frame, frame, codes, (words, changes)
        same_words = before is not None and list(frame["word"]) == self.words
        keep_view = same_words and before.attrs["method"] == frame.attrs["method"]
        if not same_words:
            self.words, self.selection = list(frame["word"]), None
        self._set_controls()
        webgl = len(frame) > MOST_SVG and not self.no_webgl.value
        if webgl != (self.twins.points[0].type == "scattergl"):
            self._make_figure(webgl)
            keep_view = False
        self._draw(keep_view)

    def _set_controls(self) -> None:
        """Offer what this frame can be coloured by; what was chosen stays where it still can."""
        with self._showing:
            there = {"damage": True, "frequency": True, "code": self._codes, "label": "label" in self.frame}
            _offer(self.by, [(MEANINGS[by], by) for by, is_there in there.items() if is_there])
            _offer(self.level, [] if self._codes is None else [(str(i + 1), i) for i in range(self._codes[0].shape[1])])
            self.no_webgl.layout.display = None if len(self.words) > MOST_SVG else "none"
            self.level.layout.display = None if self.by.value == "code" else "none"
            self.again.disabled = self.frame.attrs["method"] == "PCA"

    def _draw(self, keep_view: bool = True) -> None:
        hover = [f"{plain(w)}<br>rank {r:,}" for w, r in zip(self.words, self.frame["rank"], strict=True)]
        self.twins.drop_outline()
        with self.figure.batch_update():
            self.twins.place(self.frame, self._sides(), hover, keep_view)
            self.twins.entitle([self._title(side) for side in self._sides()])
            self._paint()
            self._mark()
            self.twins.ring(None)
            self.twins.select(self.selection)
        self._say()
        # plotly sends changes to pages that are open; this is what a page reads that is loaded later.
        self.figure._repr_mimebundle_()

    def _sides(self) -> tuple[str, str]:
        return "before", "control" if self.again.value and not self.again.disabled else "after"

    def _title(self, side: str) -> str:
        name = {"before": "original", "control": "original, drawn again", "after": "compressed"}[side]
        trust = self.frame.attrs[f"trust_{side}"]
        return name + (f"<br>trustworthiness {trust:.3f}" if trust else "")

    def _paint(self) -> None:
        frame, by = self.frame, self.by.value
        if by == "code":
            codes, coded = self._codes
            level = self.level.value
            look = colours(frame.assign(code=codes[:, level]), "code", f"code, level {level + 1}", _book(coded, level))
        else:
            look = colours(frame, by)
        self.twins.paint(look)
        self.legend.value = legend_html(look)

    def _mark(self) -> None:
        words, changes = self._marked
        status = {} if changes is None else dict(zip(changes["neighbour"], changes["status"], strict=True))
        status |= dict.fromkeys(words, "asked")
        marked = self.frame[self.frame["word"].isin(status)]
        places = [
            marked[["word", f"x_{s}", f"y_{s}"]].set_axis(["word", "x", "y"], axis="columns") for s in self._sides()
        ]
        self.twins.mark(places, [status[word] for word in marked["word"]])

    def _say(self, found: str = "") -> None:
        """The line that tells what is shown, what is chance, and what is selected."""
        parts = [f"Shown: {self.frame.attrs['sample']}.", noise_text(self.frame), found]
        if self.selection is not None:
            names = [self.words[i] for i in self.selection[:MOST_NAMED]]
            more = ", \N{HORIZONTAL ELLIPSIS}" if len(self.selection) > MOST_NAMED else ""
            parts.append(f"{len(self.selection):,} selected" + (": " * bool(names)) + ", ".join(names) + more)
        self.text.value = f"<div role='status' class='wb-wrap'>{escape(' '.join(filter(None, parts)))}</div>"

    # -- what a person does ---------------------------------------------------------------
    # plotly calls these for every trace, without points for those that are not concerned.

    def _clicked(self, _trace: Any, points: Any, _state: Any) -> None:
        if points.point_inds:
            self.picked(self.words[points.point_inds[0]])

    def _hovered_over(self, _trace: Any, points: Any, _state: Any) -> None:
        if points.point_inds:
            entry = self.frame.iloc[points.point_inds[0]]
            cosine = "" if np.isnan(entry["cosine"]) else f", cosine to the original vector {entry['cosine']:.3f}"
            kind = kinds(self.frame.iloc[[points.point_inds[0]]]).iloc[0]
            text = f"{entry['word']}: rank {entry['rank']:,}, {kind}{cosine}"
            with self.figure.batch_update():
                self.twins.ring(points.point_inds[0])
            self.hovered.value = escape(text)

    def _left(self, _trace: Any, points: Any, _state: Any) -> None:
        if points.point_inds:
            with self.figure.batch_update():
                self.twins.ring(None)

    def _lassoed(self, trace: Any, points: Any, _selector: Any) -> None:
        if points.point_inds and points.trace_index < len(self.twins.points):
            self._lasso = np.unique(points.point_inds)
        if trace is self.figure.data[0]:  # plotly empties the selection of each trace that is not concerned
            self._batch.enter_context(self.figure.batch_update())
        elif trace is self.figure.data[-1]:
            with self._batch:
                if self._lasso is None:
                    self.twins.select(self.selection)
                else:
                    self._select(self._lasso)
            self._lasso = None

    def _cleared(self, *_: Any) -> None:
        if self.selection is not None:
            self._select(None)

    def _sought(self, _: Any) -> None:
        part = self.find.value.strip()
        if not part:
            return self._cleared()
        found = np.flatnonzero([part.casefold() in word.casefold() for word in self.words])
        return self._select(found, f"{len(found):,} words on the map contain {part!r}.")

    def _select(self, index: np.ndarray | None, found: str = "") -> None:
        """Select on both maps, and tell."""
        self.selection = index
        self.twins.drop_outline()
        with self.figure.batch_update():
            self.twins.select(index)
        self._say(found)
        self.selected([] if index is None else [self.words[i] for i in index])

    def _recoloured(self, _: Any) -> None:
        self.level.layout.display = None if self.by.value == "code" else "none"
        with self.figure.batch_update():
            self._paint()

    def _swapped(self, _: Any) -> None:
        self._draw()

    def _redrawn(self, _: Any) -> None:
        self._make_figure(webgl=not self.no_webgl.value)
        self._draw(keep_view=False)


def _offer(control: widgets.Dropdown, options: list[tuple[str, Any]]) -> None:
    """Set the options of a dropdown; what is chosen stays where it is still offered, else it is the first."""
    if tuple(options) != control.options:
        chosen = control.value
        control.options = options
        control.value = chosen if chosen in [value for _, value in options] else options[0][1] if options else None


def _book(coded: "Coded", level: int) -> np.ndarray:
    """The codebook of one level: (n_entries, width)."""
    ends = np.cumsum(np.diff(coded.spans, axis=1))
    start = ends[level - 1] if level else 0
    return coded.codebooks[:, start : ends[level]]


def legend_html(look: Colours) -> str:
    """Lines of a legend, beside each other."""
    entries = " ".join(
        "<span style='margin-right: 1em; display: inline-block'>"
        f"<span style='color: {entry.colour}' aria-hidden='true'>{SHAPES[entry.shape][2]}</span> "
        f"{escape(entry.name)}</span>"
        for entry in look.legend
    )
    title = f"<b style='margin-right: 1em'>{escape(look.title)}</b> " if look.groups is not None else ""
    return f"<div style='line-height: 1.4; white-space: normal'>{title}{entries}</div>"
