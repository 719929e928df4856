"""The ways out: the recipe as code, the small file, and a report with limits."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

import ipywidgets as widgets
from IPython.display import FileLink

from ...formats import OWN, writable
from ...reports.metrics import WORDS
from ...reports.setting import LIMITS, suggest_limits
from ..page import recipe_code
from ..state import State
from .controls import CopyButton
from .view import Part, dim, row


class LeavePart(Part):
    """The recipe to copy, the file to save, the report to make."""

    about = ("save", "report")

    def build(self) -> Sequence[widgets.Widget]:
        self.recipe = widgets.HTML()
        self.recipe.add_class("wb-recipe")
        self.copy = CopyButton(description="Copy recipe")
        self.path = widgets.Text(description="File", value=f"out/small{OWN.suffixes[0]}", layout={"width": "32em"})
        self.format = widgets.Dropdown(
            description="Format", options=[(known.title, known) for known in writable().values()]
        )
        self.format.observe(self.view.guarded(lambda _: self._choose()), "value")
        self.lost = widgets.HTML()
        self.save = widgets.Button(description="Save file", tooltip="Save the compressed model", icon="download")
        self.save.on_click(self.view.guarded(self._save))
        self.saved = widgets.HTML()
        self.saved.add_class("wb-saved")
        recipe = [widgets.HTML("<h4>Recipe</h4>"), self.recipe, self.copy]
        saving = [row(self.path, self.format, self.save), self.lost, self.messages["save"], self.saved]
        return [*recipe, *saving, *self._report_widgets()]

    def _report_widgets(self) -> list[widgets.Widget]:
        heading = widgets.HTML(
            "<h4>Report</h4>Builds this setting again in a notebook of its own, measures it on larger samples, and "
            "says of each limit whether it is met. Change a limit, or take it out by unticking it."
        )
        self.limits = widgets.VBox()
        self.limits.add_class("wb-limits")
        self._limits: dict[str, tuple[widgets.Checkbox, widgets.FloatText]] = {}  # those in sight
        self._all_limits: dict[str, tuple[widgets.Checkbox, widgets.FloatText]] = {}
        self._own: set[str] = set()  # limits that a person set
        self.folder = widgets.Text(description="Folder", value="out/report", layout={"width": "32em"})
        self.make = widgets.Button(description="Make report", tooltip="Run the notebook of this setting")
        self.make.on_click(self.view.guarded(self._make))
        self.stop = widgets.Button(description="Stop report", tooltip="Give up the report", disabled=True)
        self.stop.on_click(self.view.guarded(lambda _: self.session.cancel_report()))
        self.bar = widgets.FloatProgress(max=1, layout={"width": "12em", "display": "none"})
        self.doing, self.link = widgets.HTML(), widgets.Output()
        self.doing.add_class("wb-report")
        buttons = row(self.make, self.stop, self.bar)
        return [heading, self.limits, row(self.folder), buttons, self.messages["report"], self.doing, self.link]

    def show(self, s: State, old: State) -> None:
        if s.model and s.result and s.result.recipe is not None and s.result is not old.result:
            self.copy.text = code = recipe_code(s.model, s.result.recipe)
            self.recipe.value = f"<pre>{escape(code)}</pre>"
            self._offer_limits(suggest_limits(s.result.card))
            self._show_losses()
        dim(self.recipe, s.is_current)
        if s.saved is not old.saved:
            self.saved.value = _saved(s)
        self._show_report(s, old)

    def _offer_limits(self, limits: dict[str, float]) -> None:
        """A box for each limit, which begins a little below what was measured; what a person set stays."""
        if list(limits) != list(self._limits):
            self._all_limits |= {name: self._limit(name) for name in limits if name not in self._all_limits}
            self._limits = {name: self._all_limits[name] for name in limits}
            self.limits.children = [row(*pair) for pair in self._limits.values()]
        for name in limits.keys() - self._own:
            self._limits[name][1].value = limits[name]

    def _limit(self, name: str) -> tuple[widgets.Checkbox, widgets.FloatText]:
        about = f"{name}: {WORDS[LIMITS[name]]}"
        tick = widgets.Checkbox(value=True, description=about, indent=False, layout={"width": "24em"})
        plain = {"description_width": "initial"}
        box = widgets.FloatText(description=f"Limit of {name}", style=plain, layout={"width": "24em"})
        box.observe(self.view.guarded(lambda _: self._own.add(name)), "value")
        return tick, box

    def _choose(self) -> None:
        """The file's name follows the format."""
        path = Path(self.path.value.strip())
        endings = [ending for known in writable().values() for ending in known.suffixes]
        if path.suffix in ("", *endings):
            self.path.value = str(path.with_suffix((self.format.value.suffixes or ("",))[0]))
        self._show_losses()

    def _show_losses(self) -> None:
        """What the chosen format cannot hold of the newest result, before it is written."""
        s = self.session.state
        lost = [] if s.result is None else self.format.value.losses(s.result.small)
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in lost)
        self.lost.value = f"<div role='status'>This format cannot hold:<ul>{items}</ul></div>" if lost else ""

    def _show_report(self, s: State, old: State) -> None:
        working = s.reporting is not None
        self.make.disabled, self.stop.disabled = working, not working
        self.bar.layout.display = None if working else "none"
        what, self.bar.value = s.writing or ("Starting", 0.0)
        if working:
            self.doing.value = f"<span role='status'>{escape(what)}\N{HORIZONTAL ELLIPSIS}</span>"
        elif s.report is None:
            self.doing.value = ""
        if s.reported is not None and s.result is not None:
            dim(self.doing, working or s.reported.recipe == s.result.recipe)
        if s.report is not old.report:
            self.link.outputs = ()
            if s.report is not None:
                self.doing.value = _verdicts(s)
                self.link.append_display_data(FileLink(os.path.relpath(s.report.html), result_html_prefix="Read "))

    def _save(self, _: object) -> None:
        self.session.save(self.path.value.strip(), self.format.value.name)

    def _make(self, _: object) -> None:
        limits = {name: box.value for name, (tick, box) in self._limits.items() if tick.value}
        self.session.make_report(Path(self.folder.value.strip()), limits)


def _verdicts(s: State) -> str:
    report = s.report
    assert report is not None
    assert s.reported is not None
    mark = "\N{CHECK MARK} Every limit is met." if report.passed else "\N{MULTIPLICATION SIGN} Not every limit is met."
    lines = "".join(
        f"<tr><td>{escape(v.name)}</td><td class='number'>{'' if v.value is None else f'{v.value:.6g}'}</td>"
        f"<td class='number quiet'>{'' if v.baseline is None else f'{v.baseline:.6g}'}</td>"
        f"<td>{'not met: ' + escape(v.status) if v.failed else 'met'}</td></tr>"
        for v in report.verdicts
    )
    error = f"<p>{escape(report.error)}</p>" if report.error else ""
    head = "<tr><th>what</th><th>measured</th><th>limit</th><th>verdict</th></tr>"
    of = f"<div class='quiet'>of {escape(s.reported.recipe.brief())}</div>"
    return (
        f"<div role='status'><b>{mark}</b>{of}{error}<table><thead>{head}</thead><tbody>{lines}</tbody></table></div>"
    )


def _saved(s: State) -> str:
    if s.saved is None:
        return ""
    files = s.saved.rglob("*") if s.saved.is_dir() else [s.saved]
    n_bytes = sum(file.stat().st_size for file in files if file.is_file())
    about = f"Saved {s.saved}, {n_bytes:,} bytes. Open it with load({str(s.saved)!r})."
    return f"<div role='status'>{escape(about)}</div>"
