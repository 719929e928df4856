"""What all live views share: parts that show an exploration, and the page that they leave in a notebook."""

import threading
from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from typing import Any
from uuid import uuid4

import ipywidgets as widgets
from IPython.display import HTML, display

from ..page import STYLE, page
from ..state import SHOWN
from ..work import BaseState, Work, in_words
from .controls import OwnKeys

# Without a kernel JupyterLab writes "Error displaying widget" where a view was; its page says more.
TWIN_STYLE = """<style>
.jp-OutputArea-child:has(.wb-twin) + .jp-OutputArea-child > .jupyter-widgets:not(:has(*)) {display: none}
</style>"""
VIEW_STYLE = """<style>
.wb-stale {opacity: .4}
.wb .widget-html, .wb .widget-html-content {min-width: 0; max-width: 100%; overflow-x: auto; line-height: 1.5}
.wb .widget-hbox > .widget-html > .widget-html-content {line-height: var(--jp-widgets-inline-height)}
.wb-pages.wb-pages {display: flex; flex-flow: row wrap; align-items: center; gap: .6em; margin-top: .6em}
.wb-error {border-left: 4px solid #D55E00; padding: .2em .6em; white-space: normal; line-height: 1.4}
</style>"""


def asked() -> dict[str, Any]:
    """The message that had this cell run; empty outside a kernel."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return {} if kernel is None else kernel.get_parent("shell")


def run_by_a_person() -> bool:
    """Whether this cell was run by somebody who can also move a slider, not by papermill or the like.

    Front ends say with each cell whether they can be asked for input; programs cannot.
    """
    return bool(asked().get("content", {}).get("allow_stdin"))


def row(*parts: widgets.Widget) -> widgets.HBox:
    """Widgets side by side, or below one another where the page is narrow."""
    return widgets.HBox(parts, layout={"flex_flow": "row wrap"})


def dim(widget: widgets.DOMWidget, is_there: bool) -> None:
    """Show a widget as it is, or faded where what it shows belongs to an earlier wish."""
    (widget.remove_class if is_there else widget.add_class)("wb-stale")


def message(text: str) -> str:
    """An error as a person sees it."""
    return f"<div role='alert' class='wb-error'>\N{WARNING SIGN} {escape(text)}</div>" if text else ""


class Part:
    """A part of a view: widgets in `box`, which `show` brings up to date.

    Parameters
    ----------
    view : View
        Knows the session; `view.guarded` makes a callback of a method.
    """

    about: tuple[str, ...] = ()  # errors that this part shows, such as those of `state.ABOUT`
    title = ""

    def __init__(self, view: "View"):
        self.view = view
        self.session: Any = view.session  # each part knows of which kind
        self.messages = {about: widgets.HTML() for about in self.about}
        for about, box in self.messages.items():
            box.add_class(f"wb-error-{about}")
        heading = [widgets.HTML(f"<h4>{self.title}</h4>")] if self.title else []
        self.box = widgets.VBox([*heading, *self.build()])
        self.box.add_class("wb")

    def build(self) -> Sequence[widgets.Widget]:
        """Make the widgets, top to bottom."""
        raise NotImplementedError

    def show(self, s: Any, old: Any) -> None:
        """Show a state; `old` is the one shown until now."""
        raise NotImplementedError

    def show_errors(self, s: BaseState) -> None:
        """Show what went wrong."""
        for about, box in self.messages.items():
            box.value = message(s.errors.get(about, ""))


class Places:
    """Which views stand in which cells, so that a view ends when its cell is run again.

    Nobody could reach it any more, but widgets live until they are closed, and with them a model.
    """

    def __init__(self) -> None:
        self._runs: dict[str, tuple[str, list[View]]] = {}  # by cell: its latest run, and the views that it shows

    def put(self, view: "View") -> None:
        """Note that the cell which is running shows a view; end those that only an earlier run of it showed."""
        message = asked()
        cell, run = message.get("metadata", {}).get("cellId"), message.get("header", {}).get("msg_id", "")
        if cell is None:
            return
        latest, views = self._runs.get(cell, (run, []))
        if latest == run:
            self._runs[cell] = run, [*views, view]
            return
        self._runs[cell] = run, [view]
        there = [shown for _, shown in self._runs.values()]
        for old in views:
            if not any(old in shown for shown in there):
                old.close()


places = Places()


class View:
    """Parts that show one exploration: live, or as a page where nobody could move anything.

    Parameters
    ----------
    session : Work
        Such as `Session`. Works in the background exactly where the view is live.
    """

    kinds: Sequence[type[Part]] = ()
    show: Sequence[str] = SHOWN
    printed: Sequence[str] = ()  # what of it is on the page, if not all

    def __init__(self, session: Work[Any]):
        self.session = session
        self.interactive = session.background
        self._lock = threading.RLock()
        self._rendering = False
        self._twin_lock = threading.Lock()
        self._twin: Any = None  # the page's place in the notebook
        self._twin_state: BaseState | None = None
        if not self.interactive:
            session.wait()
            return
        self._shown = type(session.state)()
        self._trouble, self.trouble = "", widgets.HTML()  # what went wrong in the view itself
        self.trouble.add_class("wb-error-view")
        self._twin_class = f"wb-twin-{uuid4().hex}"
        self.parts = {kind: kind(self) for kind in self.kinds}
        hide_twin = f"<style>.{self._twin_class} {{display: none}}</style>"
        style = widgets.HTML(STYLE + VIEW_STYLE + hide_twin)
        self.box = widgets.VBox([style, OwnKeys(), self.trouble, *self.arranged()])
        self.box.add_class("wb")
        session.listen(self.render)
        self.render()

    def arranged(self) -> Sequence[widgets.Widget]:
        """The parts' boxes, top to bottom."""
        return [part.box for part in self.parts.values()]

    def page(self, s: Any) -> str:
        """A state as HTML that needs nothing else."""
        return page(s, self.printed or self.show)

    def wait(self, timeout: float | None = None) -> Any:
        """The state of the exploration once everything is computed; see `state.State`."""
        return self.session.wait(timeout)

    def close(self) -> None:
        """End the view: its work is given up, and its widgets go."""
        self.session.end()
        for part in self.parts.values():
            _close(part.box)
        _close(self.box)

    def guarded(self, method: Callable) -> Callable:
        """A widget's callback: one at a time, and whatever goes wrong is shown in the view.

        Callbacks come from the kernel's own threads while `render` comes from the session's. What `render`
        itself sets is no person's wish, and does nothing.
        """

        @wraps(method)
        def call(*arguments: Any) -> None:
            with self._lock:
                if self._rendering:
                    return
                self._trouble = ""
                try:
                    method(*arguments)
                except Exception as error:
                    self._trouble = in_words(error)
                self.render()

        return call

    def render(self) -> None:
        """Show what is new in the session's state; called from any thread."""
        with self._lock:
            s, old = self.session.state, self._shown
            self._shown, self._rendering = s, True
            try:
                self._show(s, old)
            finally:
                self._rendering = False
        if not self.session.is_busy:
            self._update_twin(s)

    def _show(self, s: BaseState, old: BaseState) -> None:
        for part in self.parts.values():
            try:
                part.show(s, old)
            except Exception as error:  # else it would end the session's thread, out of sight
                self._trouble = in_words(error)
            part.show_errors(s)
        said = {about for part in self.parts.values() for about in part.about}
        others = [text for about, text in s.errors.items() if about not in said]
        self.trouble.value = "".join(map(message, [self._trouble, *others]))

    # -- what stays in a notebook ---------------------------------------------------------

    def _ipython_display_(self) -> None:
        if not self.interactive:
            display(HTML(self.page(self.session.state)))
            return
        places.put(self)
        s = self.session.state
        with self._twin_lock:
            self._twin = display(HTML(self._twin_html(s)), display_id=True)
            self._twin_state = s
        display(self.box)
        if not self.session.is_busy:
            self._update_twin(self.session.state)

    def _twin_html(self, s: BaseState) -> str:
        return f"<div class='wb-twin {self._twin_class}'>{TWIN_STYLE}{self.page(s)}</div>"

    def _update_twin(self, s: BaseState) -> None:
        """Bring the page up to date that stays in the notebook when nothing runs any more."""
        with self._twin_lock:
            if self._twin is None or not s.is_current or s is self._twin_state or s is not self.session.state:
                return
            self._twin_state = s
            try:
                html = self._twin_html(s)
            except Exception as error:  # in the session's thread, where nobody would see it
                html = message(in_words(error))
            self._twin.update(HTML(html))


def _close(widget: widgets.Widget) -> None:
    """Close a widget and those in it."""
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
