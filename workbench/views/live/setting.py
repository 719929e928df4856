"""Which model, how large it may become, by which recipe, and how far the work is."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from ...compress import Chain
from ...search.budget import GOALS
from ..page import title
from ..session import N_TRIALS
from ..state import State
from .controls import FilePicker
from .editor import RecipeEditor
from .view import Part, row


class ModelPart(Part):
    """The model: a path, or a file picked from a list."""

    about = ("model",)

    def build(self) -> Sequence[widgets.Widget]:
        self.source = widgets.Text(
            description="Model", continuous_update=False, placeholder="builtin:en, or the path of a file",
            layout={"width": "32em"},
        )  # fmt: skip
        self.source.observe(self.view.guarded(self._open), "value")
        open_button = widgets.Button(description="Open", tooltip="Open this model")
        open_button.on_click(self.view.guarded(self._open))
        browse = widgets.ToggleButton(description="Browse", tooltip="Show or hide a list of files")
        browse.observe(self.view.guarded(self._browse), "value")
        self.files = FilePicker(self.view.guarded(self._picked), Path.cwd())
        self.files.box.layout.display = "none"
        self.name = widgets.HTML()
        self.name.add_class("wb-about")
        return [row(self.source, open_button, browse), self.files.box, self.messages["model"], self.name]

    def show(self, s: State, old: State) -> None:
        if s.model is None:
            return
        if s.model is not old.model:
            self.source.value = s.model.source
            self.name.value = f"<b>{escape(title(s.model))}</b>"
        elif s.opening is None and "model" in old.errors and "model" not in s.errors:
            self.source.value = s.model.source

    def _open(self, _: object) -> None:
        wanted = self.source.value.strip()
        if wanted:
            self.session.open(wanted)

    def _browse(self, change: dict) -> None:
        self.files.box.layout.display = None if change["new"] else "none"

    def _picked(self, path: Path) -> None:
        self.source.value = str(path)
        self.session.open(str(path))  # also the one that could not be opened just now


class RecipePart(Part):
    """The size limit, the search for the best recipe within it, and every step's own controls."""

    about = ("limit",)

    def build(self) -> Sequence[widgets.Widget]:
        plain = {"description_width": "initial"}
        self.size = widgets.Text(
            description="Size limit", continuous_update=False, placeholder="such as 20 MB", style=plain,
            layout={"width": "14em"},
        )  # fmt: skip
        self.size.observe(self.view.guarded(self._limit), "value")
        self.goal = widgets.Dropdown(
            description="Maximise", options=list(zip(("fidelity", "overlap@10"), GOALS, strict=True)), style=plain,
            layout={"width": "auto"},
        )  # fmt: skip
        find = widgets.Button(
            description="Find the best recipe", tooltip="Search for the best recipe within the size limit",
            layout={"width": "auto"},
        )  # fmt: skip
        find.on_click(self.view.guarded(lambda _: self.session.find_recipe(self.goal.value)))
        self.editor = RecipeEditor(self.view.guarded(self._changed), self.session.random_state)
        return [row(self.size, self.goal, find), self.messages["limit"], self.editor.box]

    def show(self, s: State, old: State) -> None:
        if s.model is not None and s.recipe is not None and (s.model is not old.model or s.recipe is not old.recipe):
            self.editor.show(s.model.original, s.recipe)

    def _limit(self, _: object) -> None:
        self.session.limit_to(self.size.value)

    def _changed(self, recipe: Chain) -> None:
        self.session.try_recipe(recipe)


class ProgressPart(Part):
    """What is being done, how far it is, and the way to stop it."""

    def build(self) -> Sequence[widgets.Widget]:
        self.status = widgets.HTML()
        self.status.add_class("wb-status")
        self.bar = widgets.FloatProgress(max=1, layout={"width": "12em"})
        self.cancel = widgets.Button(description="Cancel", tooltip="Stop what is being computed", disabled=True)
        self.cancel.on_click(self.view.guarded(self._cancel))
        return [row(self.cancel, self.bar, self.status)]

    def show(self, s: State, old: State) -> None:
        waiting = s.opening is not None or (
            (s.recipe is not None or s.search is not None) and not s.is_current and "numbers" not in s.errors
        )
        what, share = s.doing or ("Opening the model" if s.opening is not None else "Starting", 0.0)
        if s.search is not None:
            what = f"Looking for the best recipe: {s.search.n_tried} of about {N_TRIALS} tried. {what}"
            share = min(s.search.n_tried / N_TRIALS, 1.0)
        text = f"{what}\N{HORIZONTAL ELLIPSIS}" if waiting else "Numbers are up to date." if s.is_current else ""
        if s.drawing:
            text += " A UMAP map is being drawn; until then the maps show principal components."
        self.status.value = f"<span role='status'>{escape(text)}</span>"
        self.bar.value = share
        self.bar.layout.display = None if waiting else "none"
        self.cancel.disabled = not (waiting or s.drawing)

    def _cancel(self, _: Any) -> None:
        self.session.cancel()
