"""Arms trained side by side: the setting, the work, the live view and its page."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import traitlets

from .. import progress
from ..semantic.experiment import Experiment
from ..semantic.items import Items
from ..semantic.results import METRICS, UPPER_NAME, Results, chosen_text
from ..semantic.settings import READINGS, Arm, Training
from .curves import curves_figure, curves_state, kept_state, retained_figure
from .flow import Flow, cell, publish
from .paper import code_of, page_html, picture_html, table_html
from .widget import View, is_live, shown


class Plan(NamedTuple):
    """The part of an `Experiment` that a person sets."""

    arms: dict[str, Arm]
    training: Training
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, experiment: Experiment) -> "Plan":
        """Return the plan of an experiment."""
        return cls(experiment.arms, experiment.training, experiment.seeds)


class Control(NamedTuple):
    """A control for a setting, which is there where all parts of the plan that have it have the same."""

    name: str
    of: str
    kind: str
    label: str
    help: str
    low: float = 0
    high: float = 100_000


CONTROLS = (
    Control("n_levels", "arms", "whole", "Levels", "Codes in an id.", 1, 32),
    Control("codebook_size", "arms", "whole", "Codes a level", "Different codes at each level.", 2, 65_536),
    Control("n_steps", "training", "whole", "Steps", "Steps of each model, warm-up included.", 2),
    Control("n_warmup", "training", "whole", "Warm-up", "First steps, without codes, which all arms share."),
    Control("reset_every", "training", "whole", "Resets", "Steps between moves of unused codes to items; 0: none."),
    Control("start", "tempered", "number", "Gumbel from", "Temperature at the end of the warm-up.", 0.001, 100),
    Control("end", "tempered", "number", "Gumbel to", "Temperature at the last step.", 0.001, 100),
    Control("reading", "tempered", "choice", "Read as", "The two numbers are temperatures, or their inverses."),
    Control("simvq", "arms", "tick", "SimVQ", "One matrix moves all codes of a level together, so that none dies."),
    Control("seeds", "plan", "text", "Seeds", "Each model is trained once with each."),
)


def planned(items: Items, offered: Plan, asked: Mapping[str, Any]) -> tuple[Plan, list[dict], dict[str, str]]:
    """Return the plan that controls ask for, the controls with values and bounds, and error messages by control."""
    rows, errors, arms = [], dict[str, str](), list(offered.arms.values())
    tempered = [arm for arm in arms if str(arm.estimator).startswith("gumbel")]  # they have a temperature
    parts: dict[str, list] = {"plan": [offered], "training": [offered.training], "arms": arms, "tempered": tempered}
    changes: dict[str, dict[str, Any]] = {part: {} for part in parts}  # by `Control.of`
    bounds = {"codebook_size": len(items), "n_warmup": asked.get("n_steps", offered.training.n_steps) - 1}
    choices = [[reading, reading] for reading in READINGS]
    for control in CONTROLS:
        values, name = {getattr(part, control.name) for part in parts[control.of]}, control.name
        if len(values) != 1:
            continue
        value, high = asked.get(name, values.pop()), min(control.high, bounds.get(name, control.high))
        if control.kind in ("whole", "number") and not control.low <= value <= high:
            errors[name] = f"{control.label}: expected {control.low:g} to {high:,}, got {value}"
        if control.kind == "text":
            value = str(value).strip("(,)")
            if not re.fullmatch(r"\s*\d+([\s,]+\d+)*\s*", value):
                errors[name] = f"{control.label}: expected such as 0, 1, 2, got {value!r}"
        changes[control.of][name] = value
        rows.append({**control._asdict(), "value": value, "high": high, "log": high > 100, "choices": choices})
    chosen = {name: arm for name, arm in offered.arms.items() if name in asked.get("on", offered.arms)}
    if not chosen:
        errors["on"] = "Arms: choose one or more"
    if errors:
        return offered, rows, errors
    for name, arm in chosen.items():
        chosen[name] = replace(arm, **changes["arms"], **(changes["tempered"] if arm in tempered else {}))
    seeds = dict.fromkeys(map(int, re.findall(r"\d+", changes["plan"]["seeds"])))
    return Plan(chosen, replace(offered.training, **changes["training"]), tuple(seeds)), rows, errors


class Seen(NamedTuple):
    """A snapshot of an experiment; `chosen` is empty until it is done, `now` is the model in training."""

    plan: Plan
    curves: pd.DataFrame
    table: pd.DataFrame | None
    chosen: str
    now: str

    @classmethod
    def of(cls, experiment: Experiment) -> "Seen":
        """Return a snapshot."""
        results, plan = experiment.results, Plan.of(experiment)
        is_done = all(results.has(name, seed) for name in plan.arms for seed in plan.seeds)
        now = "{}, seed {}".format(*list(results.looks)[-1]) if results.looks else ""
        table = results.table() if results.outcomes else None
        return cls(plan, results.curves(), table, results.chosen() if is_done else "", now)


@contextmanager
def counted(plan: Plan) -> Iterator[None]:
    """Show the steps of all models as one bar; what comes from checkpoints takes no time, and is not counted."""
    n_steps, n_warmup, total = plan.training.n_steps, plan.training.n_warmup, 0
    before = {}  # by the text of an inner bar: the steps of other models before it, less those that it does not make
    for seed in plan.seeds:
        for name in ("warm-up", UPPER_NAME, *plan.arms):
            first, last = (0, n_warmup) if name == "warm-up" else (n_warmup, n_steps)
            before[f"{name}, seed {seed}"] = total - first
            total += last - first

    def count(what: str, share: float) -> None:
        if what in before:
            whole.total = whole.n + 1 + total - (before[what] + round(share * n_steps))
        whole.update(int(what in before))

    with progress.bar(total=total, desc="Training", unit="step") as whole, progress.told_to(count):
        yield


class Cells:
    """Inputs: items, offered (a plan), asked (by control), experiment, pressed (a new object for each Train)."""

    @cell(lane="training")
    def seen(experiment: Experiment | None, pressed: object) -> Seen | None:
        """Train what is not trained yet, unless it was stopped."""
        if experiment is None:
            return None
        if pressed is not None:
            with counted(Plan.of(experiment)):
                experiment.run(lambda *_: publish(Seen.of(experiment)))
        return Seen.of(experiment)


class Blocks:
    """State of the view."""

    def setting(items, offered, asked, pressed):
        _, rows, errors = planned(items, offered, asked)
        arms = [[name, name in asked.get("on", offered.arms)] for name in offered.arms]
        about = {"name": items.source, "about": f"{len(items):,} items", "is_on": pressed is not None}
        return {**about, "arms": arms, "fields": rows, "errors": errors}

    def curves(seen):
        if seen.curves.empty:
            return {}
        training, n_models = seen.plan.training, len(seen.plan.seeds) * (1 + len(seen.plan.arms))
        sizes = {"n_steps": training.n_steps, "n_warmup": training.n_warmup, "n_models": n_models}
        return {**curves_state(seen.curves, seen.chosen), **sizes, "now": seen.now}

    def kept(seen):
        if seen.table is None:
            return {}
        text = chosen_text(seen.table, seen.chosen) if seen.chosen else ""
        return {"rows": kept_state(seen.table, seen.chosen), "text": text, "n_seeds": len(seen.plan.seeds)}


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
        For checkpoints, so that a training that was stopped goes on also after the kernel has ended.
    interactive : bool, optional
        Live. Else, as in papermill, all is trained at once and shown as a page; ValueError if it cannot be trained.

    Attributes
    ----------
    results : Results or None
        So far.
    ids : SemanticIDs or None
        Those that were opened last, for the next cell; the trait can be observed.
    """

    setting, curves, kept = shown(), shown(), shown()
    opened = traitlets.Unicode().tag(sync=True)  # the model of the view below, which shows ids
    ids = traitlets.Any()
    blocks = Blocks

    def __init__(
        self, items: Items, arms: Mapping[str, Arm] | None = None, training: Training | None = None, *,
        seeds: Sequence[int] = (0,), folder: str | Path | None = None, interactive: bool | None = None,
    ):  # fmt: skip
        live = is_live(interactive)
        if training is None:
            training = Training() if items.examples is None else Training.suited(items.examples)
        if arms is None:  # no more codes than so many items can fill
            plain = Arm("ste", n_levels=3, codebook_size=min(256, max(len(items) // 8, 2)))
            gumbel = replace(plain, estimator="gumbel", end=0.1)
            arms = {"STE": plain, "rotation": replace(plain, estimator="rotation"), "Gumbel": gumbel}
        if folder is None:
            self._own = tempfile.TemporaryDirectory(prefix="workbench-training-")  # goes with this view
            folder = self._own.name
        self._folder = Path(folder)
        self._below: View | None = None
        offered = Plan(dict(arms), training, tuple(seeds))
        flow = Flow(Cells, live, items=items, offered=offered, asked={}, experiment=None, pressed=None)
        super().__init__(flow, kind="training")
        if live:
            self.act("check")
        else:
            self.do_train()

    @property
    def results(self) -> Results | None:
        """Results so far."""
        return None if self.flow["experiment"] is None else self.flow["experiment"].results

    def do_check(self) -> Experiment:
        """Return the experiment that the controls ask for; raise ValueError if it cannot be trained."""
        items, experiment = self.flow["items"], self.flow["experiment"]
        plan, _, errors = planned(items, self.flow["offered"], self.flow["asked"])
        for error in errors.values():
            raise ValueError(error)
        most = max(arm.codebook_size for arm in plan.arms.values())
        if most > len(items):
            raise ValueError(f"{most} codes a level are more than the {len(items)} items can fill: choose fewer")
        is_same = experiment is not None and Plan.of(experiment) == plan
        return experiment if is_same else Experiment(items, *plan, self._folder)

    def do_set(self, name: str, value: Any) -> None:
        """Set a control."""
        self.flow.set(asked={**self.flow["asked"], name: value})

    def do_train(self) -> None:
        """Train, or go on after a stop."""
        experiment = self.do_check()
        if experiment is not self.flow["experiment"]:
            self.do_open()
        self.flow.set(experiment=experiment, pressed=object())

    def do_stop(self) -> None:
        """Stop; what came stays."""
        self.flow.set(pressed=None)

    def do_open(self, name: str = "") -> None:
        """Show the ids of an arm below; of none without a name."""
        from .ids import IdsView

        if self._below is not None:
            self._below.close()
        self._below, results = None, self.results
        if name and results is not None:
            self.ids = results.ids(name)
            self._below = IdsView(self.ids, results.outcome(name).encoded, interactive=True)
        self.opened = "" if self._below is None else self._below.model_id

    def close(self) -> None:
        """End the view and its work."""
        if self._below is not None:
            self._below.close()
        super().close()

    def page(self) -> str:
        """Return the training as HTML that needs no network, kernel or script."""
        items, seen, kept = self.flow["items"], self.flow["seen"], self.kept
        title, sections = f"Training of semantic IDs: {items.source}, {len(items):,} items", {}
        if self.curves:
            picture = picture_html(curves_figure(seen.curves, seen.chosen), "Training of all arms, step by step")
            unfinished = "" if seen.chosen else "<p>The training is not done; this is how far it came.</p>"
            sections = {"Setting": f"<pre>{escape(plan_code(seen.plan))}</pre>", "Curves": unfinished + picture}
        if kept:
            columns = {"model": "<b>{name}</b>"}
            for metric, name in METRICS.items():
                columns |= {name: f"{{{metric}[value]:.4f}}", f"{name} kept": f"{{{metric}[text]}}"}
            table = table_html({**columns, "least use of a level": "{use:.0%}"}, kept["rows"])
            figure = picture_html(retained_figure(seen.table, seen.chosen), "What each arm keeps")
            sections["What is kept"] = f"<p>{escape(kept['text'])}</p>{figure}{table}"
        return page_html(title, sections.items())


def plan_code(plan: Plan) -> str:
    """Return a plan as a script to paste, without what is as usual."""
    arms = "".join(f"    {name!r}: {code_of(Arm, vars(arm))},\n" for name, arm in plan.arms.items())
    training = code_of(Training, vars(plan.training))
    return (
        f"from workbench.semantic import Arm, Experiment, Training\n\narms = {{\n{arms}}}\n"
        f"training = {training}\nresults = Experiment(items, arms, training, seeds={plan.seeds}).run()\n"
    )
