"""A person at a live view, without a browser: sets controls by their labels and reads what is in sight.

Only this file knows how a view is built. A test says what a person does and sees.
"""

import re
from collections.abc import Callable, Iterator
from html import unescape
from itertools import count
from typing import Any

import ipywidgets as widgets
from conftest import PATIENCE, until
from plotly.basewidget import BaseFigureWidget

from workbench.views import CompressionPanel
from workbench.views.live.controls import CopyButton, Slider
from workbench.views.live.plot_events import PlotEvents
from workbench.views.live.tiles import TileTree

FIRST = {"Words kept": 300, "N-grams kept": 300, "Subvectors": 6}
FRESH = count(401)  # numbers of words that no test of the same panel tried before, whose results are remembered
OUTSIDE = re.compile("https?://|<script|<link|@import|onclick")  # what a page must not need


def text_of(html: str) -> str:
    """The text that a page shows; each cell and each paragraph ends its line."""
    return unescape(re.sub("<[^>]*>", "", re.sub("</(?:t[dh]|tr|div|p|li|h[1-6])>", "\n", html)))


def rows_of(html: str) -> dict[str, list[str]]:
    """The cells of all tables, by the first cell of each row."""
    rows = [re.findall("<t[dh].*?>(.*?)</t[dh]>", row) for row in re.findall("<tr>(.*?)</tr>", html)]
    return {text_of(cells[0]): [text_of(cell) for cell in cells[1:]] for cells in rows if cells}


def opened(source: Any, **options: Any) -> CompressionPanel:
    """A live panel on a small model, about to compute its first setting."""
    options = {"n_words": 300, "n_ngrams": 300, "n_subvectors": 6, "n_mapped": 40, "interactive": True} | options
    return CompressionPanel(source, **options)


class Person:
    """Somebody who uses a live view.

    Parameters
    ----------
    view : CompressionPanel, or any other live view
    """

    def __init__(self, view: Any):
        self.view = view

    def wait(self) -> Any:
        """Return the state once everything is computed and shown."""
        state = self.view.wait(PATIENCE)
        until(lambda: self.view._shown is state)
        with self.view._lock:  # `render` is over
            return state

    def when(self, condition: Callable[[], object], action: Callable[[], object]) -> None:
        """Do something once, in the moment in which a condition comes true, while work waits."""
        waiting = [action]
        self.view.session.listen(lambda: waiting.pop()() if waiting and condition() else None)

    # -- what is in sight -----------------------------------------------------------------

    def seen(self, kind: type = widgets.Widget, **options: bool) -> list[Any]:
        """All widgets of a kind that are in sight."""
        return [widget for widget in _walk(self.view.box, **options) if isinstance(widget, kind)]

    @property
    def html(self) -> str:
        return "".join(widget.value for widget in self.seen(widgets.HTML))

    @property
    def text(self) -> str:
        return text_of(re.sub("<style>.*?</style>", "", self.html, flags=re.DOTALL))

    @property
    def faded(self) -> str:
        """The text of what belongs to an earlier wish."""
        return text_of("".join(widget.value for widget in self.seen(widgets.HTML, only_faded=True)))

    @property
    def alerts(self) -> list[str]:
        """Messages about what went wrong."""
        found = re.findall("<div role='alert'[^>]*>(.*?)</div>", self.html, flags=re.DOTALL)
        return [text_of(alert).removeprefix("\N{WARNING SIGN} ") for alert in found]

    @property
    def rows(self) -> dict[str, list[str]]:
        return rows_of(self.html)

    # -- controls -------------------------------------------------------------------------

    def control(self, label: str) -> Any:
        """The control with this label, in sight or on another page of the view."""
        every = [widget for widget in _walk(self.view.box, hidden=True) if label in _names(widget)]
        seen = self.seen()
        found = [widget for widget in every if widget in seen] or every
        assert len(found) == 1, f"{len(found)} controls are called {label!r}"
        return found[0]

    def has(self, label: str) -> bool:
        """Whether a control with this label is in sight."""
        return any(label in _names(widget) for widget in self.seen())

    def can(self, label: str) -> bool:
        """Whether a control can be used."""
        return not self.control(label).disabled

    def get(self, label: str) -> Any:
        control = self.control(label)
        if isinstance(control, Slider):
            return control.texts[control.place]
        if isinstance(control, CopyButton):
            return control.text
        return control.label if hasattr(control, "index") else control.value

    def set(self, label: str, value: Any) -> None:
        control = self.control(label)
        assert not getattr(control, "disabled", False)
        if isinstance(control, Slider):
            control.place = control.texts.index(value)
        elif hasattr(control, "index"):  # one of several options
            control.label = value
        else:
            control.value = value

    def change(self, values: dict[str, Any]) -> Any:
        """Set controls, and return the state once everything is computed for them."""
        for label, value in values.items():
            self.set(label, value)
        return self.wait()

    def finish(self, name: str) -> Any:
        """Press a button, and return the state once what it begins is done."""
        self.press(name)
        return self.wait()

    def options(self, label: str) -> list[str]:
        """The texts among which a control chooses."""
        control = self.control(label)
        if isinstance(control, Slider):
            return control.texts
        return list(control._options_labels if hasattr(control, "index") else control.options)

    def press(self, name: str) -> None:
        button = self.control(name)
        assert not button.disabled, f"{name!r} cannot be pressed"
        button.click()

    def labels(self, start: str) -> list[str]:
        """Labels in sight that begin so."""
        return [name for widget in self.seen() for name in _names(widget) if name.startswith(start)]

    def unnamed(self) -> list[Any]:
        """Controls that a screen reader could not name."""
        kinds = (widgets.Button, widgets.Text, widgets.Select, widgets.Dropdown, widgets.ToggleButtons, Slider)
        number = (widgets.Checkbox, widgets.BoundedIntText, widgets.FloatText, CopyButton)
        every = [w for w in _walk(self.view.box, hidden=True) if isinstance(w, (*kinds, *number))]
        assert every
        return [widget for widget in every if not any(_names(widget))]

    # -- figures --------------------------------------------------------------------------

    def figure(self, name: str) -> Any:
        """The figure of a class such as "wb-maps", or in a box of that class."""
        boxes = [widget for widget in self.seen(hidden=True) if name in getattr(widget, "_dom_classes", ())]
        (found,) = (
            widget for box in boxes for widget in _walk(box, hidden=True) if isinstance(widget, BaseFigureWidget)
        )
        return found

    def point(self, text: str, figure: Any, trace: int = 0) -> int:
        """The number of the point that is called so."""
        (found,) = (i for i, line in enumerate(figure.data[trace].text) if unescape(line.split("<br>")[0]) == text)
        return found

    def does(self, event: str, figure: Any, points: list[int], trace: int = 0) -> None:
        """Click, hover over or select points of a figure, as a page tells plotly of it."""
        data = figure.data[trace]
        chosen = {"trace_indexes": [trace] * len(points), "point_indexes": points,
                  "xs": [data.x[i] for i in points], "ys": [data.y[i] for i in points]}  # fmt: skip
        told = {"event_type": f"plotly_{event}", "points": chosen, "device_state": None, "selector": None}
        figure._js2py_pointsCallback = told

    def tell_map(self, **content: Any) -> None:
        """Click (``clicked=9``) or select (``selected=[3, 9]``) points of a map of items."""
        (events,) = self.seen(PlotEvents)
        events._handle_custom_msg(content, [])

    @property
    def tiles(self) -> dict[tuple[int, ...] | None, str]:
        """What screen readers say of the tiles of a tree of codes, by the prefix that a tile leads to."""
        (tree,) = self.seen(TileTree)
        return {None if t["prefix"] is None else tuple(t["prefix"]): t["label"] for t in tree.tiles}

    def press_tile(self, prefix: tuple[int, ...]) -> None:
        (tree,) = self.seen(TileTree)
        assert prefix in self.tiles
        tree._handle_custom_msg({"prefix": list(prefix)}, [])


def _walk(widget: Any, hidden: bool = False, only_faded: bool = False) -> Iterator[Any]:
    """A widget and those inside it: of those in sight, or also of `hidden` ones."""
    if not hidden and getattr(widget.layout, "display", None) == "none":
        return
    is_faded = "wb-stale" in getattr(widget, "_dom_classes", ())
    if is_faded or not only_faded:
        yield widget
    for child in getattr(widget, "children", ()):
        yield from _walk(child, hidden, only_faded and not is_faded)


def _names(widget: Any) -> set[str]:
    """What a control may be called by."""
    if isinstance(widget, Slider):
        return {widget.label}
    if isinstance(widget, widgets.Button | widgets.ToggleButton):
        return {widget.description, widget.tooltip} - {"", None}
    return {getattr(widget, "description", "")} - {""}
