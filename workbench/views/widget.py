"""The base of all live views: an anywidget whose traits hold what is drawn, and the page that stays in a notebook."""

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import anywidget
import numpy as np
import traitlets
from IPython.display import HTML, display

from .flow import Cell, Flow, cells, in_words

PAUSE = 0.5  # seconds without a change before the page that stays in the notebook is drawn
STATIC = Path(__file__).with_name("static")
SCRIPTS = (
    "core.js",
    "parts.js",
    "map.js",
    "panel.js",
    "words.js",
    "ids.js",
    "training.js",
    "network.js",
    "main.js",
)  # in this order
# The page gives way to the live view in the output after it; what JupyterLab writes there without a kernel says less.
TWIN_STYLE = """<style>
.jp-OutputArea-child:has(.wb-twin):has(+ .jp-OutputArea-child .wb) {display: none}
.jp-OutputArea-child:has(.wb-twin) + .jp-OutputArea-child:not(:has(.wb)) {display: none}
</style>"""


def shown() -> Any:
    """Return a trait that a block draws into: JSON, in which bytes travel as binary."""
    return traitlets.Dict().tag(sync=True)


def asked() -> dict[str, Any]:
    """Return the message that had this cell run; empty outside a kernel."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return {} if kernel is None else kernel.get_parent("shell")


def is_live(interactive: bool | None) -> bool:
    """Tell if a view is live: as asked for, or else where somebody ran this cell who can also move a slider.

    Front ends say with each cell whether they can be asked for input; programs such as papermill cannot.
    """
    return bool(asked().get("content", {}).get("allow_stdin")) if interactive is None else interactive


_runs: dict[str, tuple[str, list["View"]]] = {}  # by cell: its latest run, and the views that it shows


def put(view: "View") -> None:
    """Note that the cell which is running shows a view; end those that only an earlier run of it showed.

    Nobody could reach them any more, but widgets live until they are closed, and with them a model.
    """
    message = asked()
    cell, run = message.get("metadata", {}).get("cellId"), message.get("header", {}).get("msg_id", "")
    if cell is None:
        return
    latest, before = _runs.get(cell, (run, []))
    _runs[cell] = run, [*(before if latest == run else []), view]
    there = [view for _, views in _runs.values() for view in views]
    for old in before:
        if old not in there:
            old.close()


class View(anywidget.AnyWidget):
    """A live view of a `Flow`, or the same as a page.

    A subclass names its `kind` of drawing, has a trait made with `shown` for each block, a class `blocks` whose
    functions give what these traits hold (their parameters are cells and inputs, as in `flow.cells`), methods
    ``do_<action>`` that the front end calls, and `page`.

    Parameters
    ----------
    flow : Flow
        Works in the background where the view is live.
    """

    _esm = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS)
    _css = "\n".join(path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.css")))
    kind = traitlets.Unicode().tag(sync=True)
    ui = shown()  # what a person looks at: a tab, colours; the front end sets it too
    status = shown()

    blocks: ClassVar[type]

    def __init__(self, flow: Flow, **traits: Any) -> None:
        self.flow, self.interactive = flow, flow.background
        self._drawing = threading.RLock()
        self._drawn: dict[str, tuple] = {}  # by block: the values that it shows
        self._blocks: list[Cell] = cells(self.blocks)
        self._problem = ""  # of the last action
        self._heard_until = 0  # the number of the front end's last action
        self._version = self._on_page = 0  # of what is drawn, and of what is on the page that stays in the notebook
        self._twin: Any = None  # its place there
        self._timer = threading.Timer(PAUSE, self._keep_page)
        super().__init__(**traits)
        self.on_msg(self._heard)
        if flow.background:
            flow.listen(self.render)
        self.render()

    def open(self) -> None:
        """Tell the front end of this widget; a page needs none."""
        if self.interactive:
            super().open()
            # ipykernel 7.4 hands a message to the subshell of the request that a widget answered last, where the
            # front end named another; that one ends with a page, and whatever the next page says would be lost.
            self.comm._reply_subshell_for = None

    @property
    def model_id(self) -> str:
        """The id by which a front end knows this widget; a page has one too, so that it can stand in a box."""
        return "page" if self.comm is None else super().model_id

    def page(self) -> str:
        """Return what is shown as HTML that needs no network, kernel or script."""
        raise NotImplementedError

    def wait(self, timeout: float | None = None) -> "View":
        """Return this view once everything is computed and drawn."""
        self.flow.wait(timeout)
        self.render()
        self._keep_page()
        return self

    def close(self) -> None:
        """End the view and its work."""
        if "_timer" in vars(self):  # else its arguments were refused
            self.flow.end()
            self._timer.cancel()
        super().close()

    # -- drawing ----------------------------------------------------------------------------

    def render(self) -> None:
        """Draw the blocks whose values are new; called from any thread."""
        with self._drawing:
            for block in self._blocks:
                values = tuple(self.flow[need] for need in block.needs)
                old = self._drawn.get(block.name)
                if old is None or any(a is not b for a, b in zip(values, old, strict=True)):
                    try:
                        drawn = {} if values and values[0] is None else plain(block.function(*values))
                    except Exception as error:  # else it would end the thread of the flow, out of sight
                        self._problem, drawn = in_words(error), {}
                    self.set_trait(block.name, drawn)
                    self._drawn[block.name] = values
                    self._version += 1
            status = self._status()
            self._version += status["errors"] != self.status.get("errors")
            self.status = status
        if self._twin is not None and not self.flow.is_busy and self._version != self._on_page:
            self._timer.cancel()
            self._timer = threading.Timer(PAUSE, self._keep_page)
            self._timer.daemon = True
            self._timer.start()

    def _status(self) -> dict[str, Any]:
        """The work at hand and the errors, for the status bar and beside what they concern."""
        flow = self.flow
        doing = next((flow.doing[lane] for lane in flow.lanes if lane in flow.doing), None)
        stale = [b.name for b in self._blocks if any(n in flow.cells and not flow.is_fresh(n) for n in b.needs)]
        work = {} if doing is None else {"what": doing.what, "share": doing.share, "left": doing.left}
        return {
            "busy": flow.is_busy, "lanes": sorted(flow.doing), "errors": dict(flow.errors), "stale": stale,
            "problem": self._problem, "heard": self._heard_until, **work,
        }  # fmt: skip

    # -- what a person does -----------------------------------------------------------------

    def _heard(self, _: Any, message: dict, buffers: list) -> None:
        arguments: dict[str, Any] = {**message, **({"buffers": buffers} if buffers else {})}
        self._heard_until = max(self._heard_until, arguments.pop("sent", 0))
        self.act(**arguments)

    def act(self, action: str, **arguments: Any) -> None:
        """Do what a person asked for in the front end; whatever goes wrong is said in the status bar."""
        self._problem = ""
        try:
            method: Callable = getattr(self, f"do_{action}")
            method(**arguments)
        except Exception as error:
            self._problem = in_words(error)
        self.render()

    def do_retry(self) -> None:
        """Compute again what failed."""
        self.flow.retry()

    # -- what stays in a notebook -----------------------------------------------------------

    def _ipython_display_(self) -> None:
        if not self.interactive:
            self.wait()
            display(HTML(self.page()))
            return
        put(self)
        self._twin = display(HTML(self._twin_html()), display_id=uuid4().hex)
        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, metadata=metadata, raw=True)

    def _twin_html(self) -> str:
        return f"<div class='wb-twin'>{TWIN_STYLE}{self.page()}</div>"

    def _keep_page(self) -> None:
        """Bring the page up to date that stays in the notebook, unless work goes on."""
        if self._twin is None or self.flow.is_busy or self._version == self._on_page:
            return
        self._on_page = self._version
        try:
            html = self._twin_html()
        except Exception as error:  # in a thread, where nobody would see it
            html = in_words(error)
        self._twin.update(HTML(html))


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers of numpy as Python's, None for NaN and infinity; bytes stay."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
