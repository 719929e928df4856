"""The live view of a training: a setting, curves that grow, a way to stop, what each arm keeps, and the ids."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from ...semantic.items import Items
from ...semantic.settings import Arm, Training
from ..curves import latest_html
from ..training import Plan, TrainingSession, TrainingState, kept_html, status_words, training_page
from ..work import in_words
from .curves import LiveCurves
from .ids import IdsView
from .view import Part, View, row, run_by_a_person

PLAIN = {"description_width": "initial"}
NEWEST = "the arm that is in training, or was last"
MOST_LEVELS, MOST_ENTRIES, MOST_STEPS = 32, 65_536, 1_000_000


class SettingPart(Part):
    """Which arms to train, how long, and with what. What the arms differ in stays each one's own."""

    about = ("setting",)

    def build(self) -> Sequence[widgets.Widget]:
        offered: Plan = self.session.offered
        self.arms = {
            name: widgets.Checkbox(description=name, value=True, indent=False, layout={"width": "auto"})
            for name in offered.arms
        }
        self.of_arms: dict[str, widgets.Widget] = {}
        self._for_all("n_levels", _number("Levels", 1, MOST_LEVELS))
        self._for_all("codebook_size", _number("Codes to a level", 2, MOST_ENTRIES))
        self._for_all("simvq", widgets.Checkbox(description="SimVQ", indent=False, layout={"width": "auto"}))
        t = offered.training
        self.of_training = {
            "n_steps": _number("Steps", 1, MOST_STEPS, t.n_steps),
            "n_warmup": _number("of these, warm-up", 0, MOST_STEPS, t.n_warmup),
            "reset_every": _number("Steps between resets of unused codes (0: none)", 0, MOST_STEPS, t.reset_every),
        }
        seeds = ", ".join(map(str, offered.seeds))
        self.seeds = widgets.Text(description="Seeds", value=seeds, style=PLAIN, layout={"width": "11em"})
        self.of_gumbel = self._gumbel([offered.arms[name] for name in offered.tempered])
        groups = [
            ("Estimators", self.arms),
            ("Ids", self.of_arms),
            ("Training", self.of_training | {"seeds": self.seeds}),
            ("Gumbel", self.of_gumbel),
        ]
        rows = [row(_head(name), *controls.values()) for name, controls in groups if controls]
        return [*rows, self.messages["setting"]]

    def _for_all(self, name: str, control: widgets.Widget) -> None:
        """Offer a setting where all arms have the same."""
        values = {getattr(arm, name) for arm in self.session.offered.arms.values()}
        if len(values) == 1:
            (control.value,) = values
            self.of_arms[name] = control

    def _gumbel(self, arms: Sequence[Arm]) -> dict[str, widgets.Widget]:
        """Temperatures, where there are arms that have one, and all the same."""
        if len({(arm.start, arm.end, arm.reading) for arm in arms}) != 1:
            return {}
        wide = {"style": PLAIN, "layout": {"width": "auto"}}
        readings = [
            ("the temperature \N{GREEK SMALL LETTER TAU}", "tau"),
            ("its inverse, 1/\N{GREEK SMALL LETTER TAU}", "1/tau"),
        ]
        controls = {
            "start": widgets.FloatText(description="from", **_narrow(11)),
            "end": widgets.FloatText(description="to", **_narrow(10)),
            "reading": widgets.Dropdown(description="of", options=readings, **wide),
        }
        for name, control in controls.items():
            control.value = getattr(arms[0], name)
        return controls

    def show(self, s: TrainingState, old: TrainingState) -> None:
        """Controls say what is wanted next, whatever is trained."""

    def plan(self) -> Plan:
        """What the controls say."""
        offered: Plan = self.session.offered
        chosen = {name: arm for name, arm in offered.arms.items() if self.arms[name].value}
        both = {name: control.value for name, control in self.of_arms.items()}
        gumbel = {name: control.value for name, control in self.of_gumbel.items()}
        arms = {
            name: replace(arm, **both, **(gumbel if name in offered.tempered else {})) for name, arm in chosen.items()
        }
        training = replace(offered.training, **{name: c.value for name, c in self.of_training.items()})
        return Plan(arms, training, _seeds(self.seeds.value))


def _head(name: str) -> widgets.HTML:
    return widgets.HTML(f"<b style='display: inline-block; min-width: 6em'>{name}</b>")


def _narrow(width: float) -> dict[str, Any]:
    return {"style": PLAIN, "layout": {"width": f"{width}em"}}


def _number(label: str, low: int, high: int, value: int | None = None) -> widgets.BoundedIntText:
    value = low if value is None else value
    return widgets.BoundedIntText(description=label, min=low, max=high, value=value, **_narrow(len(label) * 0.55 + 7))


def _seeds(text: str) -> tuple[int, ...]:
    parts = text.replace(",", " ").split()
    if not parts or not all(part.isdecimal() for part in parts):
        raise ValueError(f"expected seeds such as 0, 1, 2, got {text!r}")
    return tuple(dict.fromkeys(map(int, parts)))


class RunPart(Part):
    """Train, Stop, and how far it is."""

    about = ("training",)

    def build(self) -> Sequence[widgets.Widget]:
        self.train = widgets.Button(
            description="Train", button_style="primary", tooltip="Train these arms, or go on where it was stopped"
        )
        self.stop = widgets.Button(description="Stop", tooltip="Stop the training; it can go on later", disabled=True)
        self.train.on_click(self.view.guarded(self._train))
        self.stop.on_click(self.view.guarded(lambda _: self.session.stop()))
        self.bar = widgets.FloatProgress(max=1, layout={"width": "12em"})
        self.status = widgets.HTML()
        self.status.add_class("wb-status")
        return [row(self.train, self.stop, self.bar, self.status), self.messages["training"]]

    def show(self, s: TrainingState, old: TrainingState) -> None:
        self.status.value = f"<span role='status'>{escape(status_words(s))}</span>"
        self.bar.value = 0 if s.plan is None else s.n_steps / s.plan.n_steps
        self.bar.layout.display = None if s.run is not None else "none"
        self.stop.disabled = s.run is None

    def _train(self, _: object) -> None:
        try:
            setting = self.view.parts[SettingPart]
            assert isinstance(setting, SettingPart)
            self.session.train(setting.plan())
        except (ValueError, TypeError) as error:
            self.session.refuse(in_words(error))


class CurvesPart(Part):
    """Curves of all arms, and the last look at each."""

    title = "Curves"

    def build(self) -> Sequence[widgets.Widget]:
        self.arm = widgets.Dropdown(
            description="Show the use of the codes of", style=PLAIN, layout={"width": "auto"},
            options=[(NEWEST, ""), *((name, name) for name in self.session.offered.arms)],
        )  # fmt: skip
        self.arm.observe(self.view.guarded(lambda _: self._draw(self.session.state)), "value")
        self.curves: LiveCurves | None = None
        self.place, self.latest = widgets.VBox(), widgets.HTML()
        self.latest.add_class("wb-latest")
        return [row(self.arm), self.place, self.latest]

    def show(self, s: TrainingState, old: TrainingState) -> None:
        self.box.layout.display = None if s.plan is not None else "none"
        if s.plan is None:
            return
        if self.curves is None or self.curves.plan != s.plan:
            self.curves = LiveCurves(s.plan)
            self.place.children = [self.curves.widget]
            self._draw(s)
        elif s.curves is not old.curves or s.lower != old.lower:
            self._draw(s)

    def _draw(self, s: TrainingState) -> None:
        if self.curves is None:
            return
        arm = self.arm.value if self.arm.value in self.curves.plan.arms else _newest(s)
        self.curves.show(s.curves, s.lower, arm)
        self.latest.value = "" if s.curves is None or s.curves.empty else latest_html(s.curves)


def _newest(s: TrainingState) -> str:
    """The arm that was looked at last."""
    if s.plan is None or s.curves is None or s.curves.empty:
        return ""
    return next((arm for arm in reversed(s.curves["arm"].unique()) if arm in s.plan.arms), "")


class KeptPart(Part):
    """What each arm keeps."""

    title = "What is kept"

    def build(self) -> Sequence[widgets.Widget]:
        self.kept = widgets.HTML()
        self.kept.add_class("wb-kept")
        return [self.kept]

    def show(self, s: TrainingState, old: TrainingState) -> None:
        self.box.layout.display = None if s.table is not None else "none"
        if s.table is not old.table or s.chosen != old.chosen:
            self.kept.value = kept_html(s)


class TrainedIdsPart(Part):
    """The ids that an arm, or codes after the fact, give the items."""

    title = "Ids"

    def build(self) -> Sequence[widgets.Widget]:
        self.name = widgets.Dropdown(description="Ids of", style=PLAIN, layout={"width": "auto", "max_width": "100%"})
        self.open = widgets.Button(description="Show the ids", tooltip="Open the map and the tree of these ids below")
        self.open.on_click(self.view.guarded(self._open))
        self.place = widgets.VBox()
        self.shown: IdsView | None = None
        return [row(self.name, self.open), self.place]

    def show(self, s: TrainingState, old: TrainingState) -> None:
        there = s.results is not None and bool(s.results.names(coded=True))
        self.box.layout.display = None if there else "none"
        if s.results is not old.results:
            self.close()
        if s.results is not None and there and (s.table is not old.table or s.chosen != old.chosen):
            names, before = s.results.names(coded=True), self.name.value
            arms_first = sorted(names, key=lambda name: s.plan is None or name not in s.plan.arms)
            if self.name.options != tuple(arms_first):
                self.name.options = arms_first
            self.name.value = s.chosen or (before if before in names else arms_first[0])

    def _open(self, _: object) -> None:
        results = self.session.state.results
        if results is None or self.name.value is None:
            return
        self.close()
        outcome = results.outcome(self.name.value)
        heading = widgets.HTML(f"<h4>Ids of {escape(outcome.name)}, seed {outcome.seed}</h4>")
        self.shown = IdsView(results.ids(outcome.name), outcome.encoded, interactive=True)
        self.place.children = [heading, self.shown.box]

    def close(self) -> None:
        """End what is shown below."""
        if self.shown is not None:
            self.place.children = []
            self.shown.close()
            self.shown = None


class TrainingView(View):
    """Arms trained side by side, seen while they train; then what each keeps, and its ids.

    Parameters
    ----------
    items : Items
        With examples.
    arms : mapping of name to Arm, optional
        Those to choose among; by default the three estimators with three levels.
    training : Training, optional
        What the controls say at first, and all that they do not.
    seeds : sequence of int
    folder : path, optional
        For checkpoints: a training goes on from there also after the kernel has ended. Without it one that is
        stopped goes on as long as this view is there.
    interactive : bool, optional
        Whether it is live. Else, and where a program such as papermill runs the cell, all is trained at once,
        with progress bars, and the same page is shown as tables and pictures. A live view leaves this page in
        the notebook, for readers who open it when nothing runs.

    Raises
    ------
    ValueError
        Where it is not live, of items or a setting that cannot be trained; a live view says so.
    """

    kinds = (SettingPart, RunPart, CurvesPart, KeptPart, TrainedIdsPart)

    def __init__(
        self,
        items: Items,
        arms: Mapping[str, Arm] | None = None,
        training: Training | None = None,
        *,
        seeds: Sequence[int] = (0,),
        folder: str | Path | None = None,
        interactive: bool | None = None,
    ):
        live = run_by_a_person() if interactive is None else interactive
        super().__init__(TrainingSession(items, arms, training, seeds=seeds, folder=folder, background=live))

    def page(self, s: Any) -> str:
        return training_page(self.session.items, s)  # type: ignore[attr-defined]

    def close(self) -> None:
        if self.interactive:
            self.parts[TrainedIdsPart].close()  # type: ignore[attr-defined]
        super().close()
