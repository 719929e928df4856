"""The compression panel: a model, three controls, what they cost, and the way out with a file."""

import threading
from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import ipywidgets as widgets
from IPython.display import HTML, display

from ...compress import PQ, Chain, Prune, Refit
from ...vectors import Vectors
from ..page import STYLE, neighbours_html, numbers_html, page, recipe_code, title
from ..session import ABOUT, Model, Session, State, in_words
from .controls import CopyButton, Dial, FilePicker

MOST_WORDS = 4  # compared side by side
FEWEST_WORDS = 1_000  # that a small model keeps at first; codebooks would outweigh fewer
DIALS = {"n_words": "Words kept", "n_ngrams": "N-grams kept", "n_subvectors": "Subvectors"}
# Without a kernel JupyterLab writes "Error displaying widget" where a panel was; its page says more.
TWIN_STYLE = """<style>
.jp-OutputArea-child:has(.wb-twin) + .jp-OutputArea-child > .jupyter-widgets:not(:has(*)) {display: none}
</style>"""
PANEL_STYLE = """<style>
.wb-stale {opacity: .4}
.wb-error {border-left: 4px solid #D55E00; padding: .2em .6em; white-space: normal; line-height: 1.4}
</style>"""


def main_recipe(v: Vectors, n_words: int, n_ngrams: int, n_subvectors: int, random_state: int = 0) -> Chain:
    """Prune, re-fit where there are n-grams to re-fit, quantise: what three numbers decide."""
    pq = PQ(n_subvectors=n_subvectors, random_state=random_state)
    if v.vocab.subwords is None:
        return Chain([Prune(n_words=n_words), pq])
    prune = Prune(n_words=n_words, n_ngrams=n_ngrams)
    return Chain([prune, Refit(random_state=random_state), pq] if n_ngrams else [prune, pq])


def run_by_a_person() -> bool:
    """Whether this cell was run by somebody who can also move a slider, not by papermill or the like.

    Front ends say with each cell whether they can be asked for input; programs cannot.
    """
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


def handler(method: Callable) -> Callable:
    """A widget's callback: one at a time, and whatever goes wrong is shown in the panel.

    Callbacks come from the kernel's own threads while `render` comes from the session's.
    """

    @wraps(method)
    def call(self: "CompressionPanel", *arguments: Any) -> None:
        with self._lock:
            self._trouble = ""
            try:
                method(self, *arguments)
            except Exception as error:
                self._trouble = in_words(error)
            self.render()

    return call


class CompressionPanel:
    """Compress a model with three controls and see at once what each setting costs.

    Parameters
    ----------
    source : Vectors, path or str
        The model, or where it is; see `load`.
    n_words, n_ngrams, n_subvectors : int, optional
        Where the controls begin; by default a seventh of the words, twice as many n-grams, and
        half a byte for each dimension.
    words : sequence of str, optional
        Words whose neighbours are compared first.
    unseen : list of str, optional
        Real words that the model does not know, to score; see `scorecard`.
    n_mapped : int
        Words on the maps.
    interactive : bool, optional
        Whether it is live. Else, and where a program such as papermill runs the cell, the same
        page is shown as tables and pictures. A live panel leaves this page in the notebook, for
        readers who open it when nothing runs.
    random_state : int
    """

    def __init__(
        self,
        source: Vectors | str | Path = "builtin:en",
        *,
        n_words: int | None = None,
        n_ngrams: int | None = None,
        n_subvectors: int | None = None,
        words: Sequence[str] = (),
        unseen: list[str] | None = None,
        n_mapped: int = 2_000,
        interactive: bool | None = None,
        random_state: int = 0,
    ):
        self._begin = (n_words, n_ngrams, n_subvectors)
        self.random_state = random_state
        self.interactive = run_by_a_person() if interactive is None else interactive
        self._lock = threading.RLock()
        self._twin_lock = threading.Lock()
        self._twin: Any = None  # the page's place in the notebook
        self._twin_state: State | None = None
        self.session = Session(
            source,
            self._suggest,
            words=words[:MOST_WORDS],
            unseen=unseen,
            background=self.interactive,
            n_mapped=n_mapped,
            random_state=random_state,
        )
        if self.interactive:
            self._build()
            self.session.listen(self.render)
            self.render()
        else:
            self.session.wait()

    def wait(self, timeout: float | None = None) -> State:
        """The state of the exploration once everything is computed; see `session.State`."""
        return self.session.wait(timeout)

    def _ipython_display_(self) -> None:
        if not self.interactive:
            display(HTML(page(self.session.state)))
            return
        s = self.session.state
        with self._twin_lock:
            self._twin = display(HTML(self._twin_html(s)), display_id=True)
            self._twin_state = s
        display(self.box)
        if not self.session.is_busy:
            self._update_twin(self.session.state)

    # -- widgets --------------------------------------------------------------------------

    def _build(self) -> None:
        """Make the widgets, top to bottom."""
        self._shown = State()
        self._trouble = ""  # what went wrong in the panel itself
        self._twin_class = f"wb-twin-{uuid4().hex}"
        self.messages = {about: widgets.HTML() for about in ABOUT}
        hide_twin = f"<style>.{self._twin_class} {{display: none}}</style>"
        parts = [self._model_part(), self._numbers_part(), self._words_part(), self._maps_part(), self._exit_part()]
        self.box = widgets.VBox([widgets.HTML(STYLE + PANEL_STYLE + hide_twin), *chain(*parts)])
        for name in ("numbers", "neighbours", "recipe", "status", "saved", "about"):
            getattr(self, name).add_class(f"wb-{name}")
        for about, message in self.messages.items():
            message.add_class(f"wb-error-{about}")
        for widget in (self.box, self.numbers, self.neighbours, self.recipe):
            widget.add_class("wb")

    def _model_part(self) -> list[widgets.Widget]:
        self.source = widgets.Text(
            description="Model", continuous_update=False, placeholder="builtin:en, or the path of a file",
            layout={"width": "32em"},
        )  # fmt: skip
        self.source.observe(self._open, "value")
        open_button = widgets.Button(description="Open", tooltip="Open this model")
        open_button.on_click(self._open)
        browse = widgets.ToggleButton(description="Browse", tooltip="Show or hide a list of files")
        browse.observe(self._browse, "value")
        self.files = FilePicker(self._picked, Path.cwd())
        self.files.box.layout.display = "none"
        self.about = widgets.HTML()
        return [_row(self.source, open_button, browse), self.files.box, self.messages["model"], self.about]

    def _numbers_part(self) -> list[widgets.Widget]:
        self.dials = {name: Dial(label, self._dialled) for name, label in DIALS.items()}
        self.status = widgets.HTML()
        self.bar = widgets.FloatProgress(max=1, layout={"width": "12em"})
        self.cancel = widgets.Button(description="Cancel", tooltip="Stop what is being computed", disabled=True)
        self.cancel.on_click(self._cancel)
        self.numbers = widgets.HTML()
        dials = [dial.row for dial in self.dials.values()]
        return [*dials, _row(self.cancel, self.bar, self.status), self.messages["numbers"], self.numbers]

    def _words_part(self) -> list[widgets.Widget]:
        self.word = widgets.Text(
            description="Word", continuous_update=False, placeholder=f"up to {MOST_WORDS}, unseen ones too",
            value=", ".join(self.session.state.words),
        )  # fmt: skip
        self.word.observe(self._look, "value")
        self.neighbours = widgets.HTML()
        heading = widgets.HTML("<h4>Neighbours before and after</h4>")
        return [heading, self.word, self.messages["words"], self.neighbours]

    def _maps_part(self) -> list[widgets.Widget]:
        self.maps: Any = None
        self.map_box = widgets.VBox([widgets.HTML("The maps come after the numbers.")])
        heading = widgets.HTML("<h4>Maps: click a point to see its neighbours</h4>")
        return [heading, self.messages["maps"], self.map_box]

    def _exit_part(self) -> list[widgets.Widget]:
        self.recipe = widgets.HTML()
        self.copy = CopyButton(description="Copy recipe")
        self.path = widgets.Text(description="File", value="out/small.safetensors", layout={"width": "32em"})
        self.save = widgets.Button(description="Save file", tooltip="Save the compressed model", icon="download")
        self.save.on_click(self._save)
        self.saved = widgets.HTML()
        heading = widgets.HTML("<h4>Recipe</h4>")
        return [heading, self.recipe, self.copy, _row(self.path, self.save), self.messages["save"], self.saved]

    def render(self) -> None:
        """Show what is new in the session's state; called from any thread."""
        with self._lock:
            s, old = self.session.state, self._shown
            self._shown = s
            try:
                self._render(s, old)
            except Exception as error:  # else it would end the session's thread, out of sight
                self._trouble = in_words(error)
                self.messages["numbers"].value = _message(self._trouble)
        if not self.session.is_busy:
            self._update_twin(s)

    def _render(self, s: State, old: State) -> None:
        if s.model is not None and s.model is not old.model:
            self._show_model(s.model, s)
        elif s.model is not None and s.opening is None and "model" in old.errors and "model" not in s.errors:
            self.source.value = s.model.source
        if s.result is not old.result and s.model and s.result:
            self.numbers.value = numbers_html(s.result, s.trail[-2] if len(s.trail) > 1 else None)
            self.copy.text = code = recipe_code(s.model, s.result.recipe)
            self.recipe.value = f"<pre>{escape(code)}</pre>"
        if s.changes is not None or not s.words or "words" in s.errors:  # else old ones stay, dimmed
            self.neighbours.value = neighbours_html(s.changes)
        if s.maps is not None and (s.maps is not old.maps or s.changes is not old.changes):
            self._show_maps(s)
        for widget, is_there in (
            (self.numbers, s.is_current),
            (self.recipe, s.is_current),
            (self.neighbours, s.changes is not None),
            (self.map_box, s.maps is not None),
        ):
            (widget.remove_class if is_there else widget.add_class)("wb-stale")
        for about, message in self.messages.items():
            message.value = _message(s.errors.get(about, self._trouble if about == "numbers" else ""))
        if s.saved is not old.saved:
            self.saved.value = _saved(s)
        self._show_progress(s)

    def _show_model(self, model: Model, s: State) -> None:
        self.source.value = model.source
        self.about.value = f"<b>{escape(title(model))}</b>"
        self.word.value = ", ".join(s.words)
        if s.recipe is not None:
            self._show_dials(model.original, s.recipe)

    def _show_dials(self, v: Vectors, recipe: Chain) -> None:
        steps = {name: value for step in recipe.steps for name, value in step.get_params().items()}
        highest = {"n_words": len(v), "n_ngrams": len(v.storage.ngrams or ()), "n_subvectors": v.dim}
        for name, dial in self.dials.items():
            lowest = 0 if name == "n_ngrams" else 1
            dial.show(min(steps.get(name) or lowest, highest[name]), lowest, highest[name])
        self.dials["n_ngrams"].row.layout.display = None if highest["n_ngrams"] else "none"

    def _show_maps(self, s: State) -> None:
        if self.maps is None:
            from .maps import LiveMaps

            self.maps = LiveMaps(self._clicked)
            self.map_box.children = [self.maps.widget]
        self.maps.show(s.maps, s.words, s.changes)

    def _show_progress(self, s: State) -> None:
        waiting = s.opening is not None or (s.recipe is not None and not s.is_current and "numbers" not in s.errors)
        what, share = s.doing or ("Opening the model" if s.opening is not None else "Starting", 0.0)
        text = f"{what}\N{HORIZONTAL ELLIPSIS}" if waiting else "Numbers are up to date." if s.is_current else ""
        if s.drawing:
            text += " A UMAP map is being drawn; until then the maps show principal components."
        self.status.value = f"<span role='status'>{escape(text)}</span>"
        self.bar.value = share
        self.bar.layout.visibility = "visible" if waiting else "hidden"
        self.cancel.disabled = not (waiting or s.drawing)

    def _twin_html(self, s: State) -> str:
        return f"<div class='wb-twin {self._twin_class}'>{TWIN_STYLE}{page(s)}</div>"

    def _update_twin(self, s: State) -> None:
        """Bring the page up to date that stays in the notebook when nothing runs any more."""
        with self._twin_lock:
            if self._twin is not None and s.is_current and s.maps is not None and s is not self._twin_state:
                self._twin_state = s
                self._twin.update(HTML(self._twin_html(s)))

    # -- what a person does ---------------------------------------------------------------

    @handler
    def _open(self, _: object) -> None:
        wanted = self.source.value.strip()
        if wanted:
            self.session.open(wanted)

    @handler
    def _browse(self, change: dict) -> None:
        self.files.box.layout.display = None if change["new"] else "none"

    @handler
    def _picked(self, path: Path) -> None:
        self.source.value = str(path)

    @handler
    def _dialled(self) -> None:
        model = self.session.state.model
        if model is not None:
            values = {name: dial.value for name, dial in self.dials.items()}
            self.session.try_recipe(main_recipe(model.original, **values, random_state=self.random_state))

    @handler
    def _cancel(self, _: object) -> None:
        s = self.session.cancel()
        if s.model is not None and s.recipe is not None:
            self._show_dials(s.model.original, s.recipe)

    @handler
    def _look(self, _: object) -> None:
        text, model = self.word.value.strip(), self.session.state.model
        whole = model is not None and text in model.original  # a few words hold commas or spaces
        words = (text,) if whole else tuple(dict.fromkeys(text.replace(",", " ").split()))[:MOST_WORDS]
        if words != self.session.state.words:
            self.session.look_at(words)

    @handler
    def _clicked(self, word: str) -> None:
        self.word.value = word

    @handler
    def _save(self, _: object) -> None:
        self.session.save(self.path.value.strip())

    # -- where the controls begin ---------------------------------------------------------

    def _suggest(self, v: Vectors) -> Chain:
        """The recipe for a model that was just opened: the values asked for at first, else rough ones."""
        asked, self._begin = self._begin, (None, None, None)
        n_words = asked[0] or max(int(float(f"{len(v) / 7:.1g}")), min(FEWEST_WORDS, len(v)))
        n_ngrams = min(2 * n_words, len(v.storage.ngrams or ())) if asked[1] is None else asked[1]
        return main_recipe(v, n_words, n_ngrams, asked[2] or max(v.dim // 2, 1), self.random_state)


def _row(*parts: widgets.Widget) -> widgets.HBox:
    return widgets.HBox(parts, layout={"flex_flow": "row wrap"})


def _message(text: str) -> str:
    return f"<div role='alert' class='wb-error'>\N{WARNING SIGN} {escape(text)}</div>" if text else ""


def _saved(s: State) -> str:
    if s.saved is None:
        return ""
    about = f"Saved {s.saved}, {s.saved.stat().st_size:,} bytes. Open it with load({str(s.saved)!r})."
    return f"<div role='status'>{escape(about)}</div>"
