"""One training of arms side by side: what a person wants of it, and the work that does it. No widgets here."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from ..semantic.experiment import Experiment
from ..semantic.items import Items
from ..semantic.results import UPPER_NAME, Results
from ..semantic.settings import Arm, Training
from .curves import chosen_words, curves_figure, joined, retained_figure, retained_html
from .page import STYLE, picture_html
from .work import BaseState, Task, Work, in_words

CURVES, KEPT = "Training of all arms, step by step", "What each arm keeps of the way from the lower to the upper model"
MOST_CODES = 256


@dataclass(frozen=True)
class Plan:
    """What is to be trained.

    Attributes
    ----------
    arms : mapping of name to Arm
    training : Training
    seeds : tuple of int
    """

    arms: Mapping[str, Arm]
    training: Training = field(default_factory=Training)
    seeds: tuple[int, ...] = (0,)

    @property
    def n_steps(self) -> int:
        """Steps of all models together; the warm-up is done once for each seed."""
        own = self.training.n_steps - self.training.n_warmup
        return len(self.seeds) * (self.training.n_warmup + (1 + len(self.arms)) * own)

    @property
    def tempered(self) -> list[str]:
        """Arms whose estimator has a temperature."""
        return [name for name, arm in self.arms.items() if (arm.estimator or "").startswith("gumbel")]


def usual_arms(n_items: int) -> dict[str, Arm]:
    """The three estimators, with no more codes than so many items can fill."""
    size = min(MOST_CODES, max(n_items // 8, 2))
    ways = {"STE": Arm("ste"), "rotation": Arm("rotation"), "Gumbel": Arm("gumbel", end=0.1)}
    return {name: replace(arm, n_levels=3, codebook_size=size) for name, arm in ways.items()}


@dataclass(frozen=True)
class TrainingState(BaseState):
    """Everything there is to show of a training. `generation` counts what was asked for.

    Attributes
    ----------
    run : Plan or None
        What is wanted and not done yet.
    plan : Plan or None
        What the following belongs to.
    curves : DataFrame or None
        So far; see `Results.curves`.
    lower : float or None
        Validation log-loss without content, in nats.
    results : Results or None
        Of what is done so far.
    table : DataFrame or None
        From `Results.table`: once the two ends are there, with the arms that are done.
    chosen : str
        By `Results.chosen`, once all is done.
    stopped : bool
        Whether a person stopped it.
    """

    run: Plan | None = None
    plan: Plan | None = None
    curves: pd.DataFrame | None = None
    lower: float | None = None
    results: Results | None = None
    table: pd.DataFrame | None = None
    chosen: str = ""
    stopped: bool = False

    @property
    def is_current(self) -> bool:
        return self.run is None

    @property
    def n_steps(self) -> int:
        """Steps that are known to be done, of `plan.n_steps`."""
        if self.plan is None or self.curves is None or self.curves.empty:
            return 0
        n_warmup = self.plan.training.n_warmup
        last = self.curves.groupby(["arm", "seed"])["step"].max()
        shared = sum(min(step, n_warmup) for (arm, _), step in last.items() if arm == UPPER_NAME)
        return int(shared + (last - n_warmup).clip(lower=0).sum())


class Course:
    """A plan on its way: its experiment, and what was heard of it. A thread at a time works on it."""

    def __init__(self, items: Items, plan: Plan, folder: Path):
        if not plan.arms:
            raise ValueError("nothing to train: choose an estimator or more")
        if min(plan.seeds, default=0) < 0:
            raise ValueError(f"expected seeds of 0 and more, got {', '.join(map(str, plan.seeds))}")
        most = max(arm.codebook_size for arm in plan.arms.values())
        if most > len(items):
            raise ValueError(
                f"{most} codes to a level are more than the {len(items)} items can fill: choose {len(items)} or fewer"
            )
        self.plan = plan
        self.experiment = Experiment(items, plan.arms, plan.training, plan.seeds, folder)
        self.looks: dict[tuple[str, int, int], dict] = {}

    def lower(self) -> float:
        """Validation log-loss without content, on the sample that the curves are of."""
        judge = self.experiment.judge
        return judge.scores(None, None, judge.validation(self.plan.training.n_valid)).log_loss

    def hear(self, name: str, seed: int, row: dict) -> None:
        """Take note of a look, and of whole curves of what is done: from a checkpoint they come without a word."""
        self.looks[name, seed, row["step"]] = row
        self.looks |= {(o.name, o.seed, row["step"]): row for o in self.experiment.results.outcomes for row in o.curves}

    def so_far(self) -> dict[str, Any]:
        """Changes of the state."""
        results = self.experiment.results
        there = [(name, seed, row) for (name, seed, _), row in self.looks.items()]
        table = results.table() if results.outcomes else None
        return {"curves": joined(there), "results": results, "table": table}


class TrainingSession(Work[TrainingState]):
    """An exploration of trainings.

    Parameters
    ----------
    items : Items
        With examples.
    arms : mapping of name to Arm, optional
        Those to begin with; by default `usual_arms`.
    training : Training, optional
    seeds : sequence of int
    folder : path, optional
        For checkpoints, so that a training goes on after a kernel has ended. Without it they are kept as long
        as this session.
    background : bool
        See `Work`. Without it the training begins with `wait`.
    """

    lanes = MappingProxyType({"training": {"doing": None}})

    def __init__(
        self,
        items: Items,
        arms: Mapping[str, Arm] | None = None,
        training: Training | None = None,
        *,
        seeds: Sequence[int] = (0,),
        folder: str | Path | None = None,
        background: bool = True,
    ):
        self.items = items
        arms = usual_arms(len(items)) if arms is None else dict(arms)
        if training is None:
            training = Training() if items.examples is None else Training.suited(items.examples)
        self.offered = Plan(arms, training, tuple(seeds))
        if folder is None:
            self._own = tempfile.TemporaryDirectory(prefix="workbench-training-")  # goes with this session
            folder = self._own.name
        self.folder = Path(folder)
        self._course: Course | None = None
        super().__init__(TrainingState(), background)
        try:
            self._course = Course(items, self.offered, self.folder)
        except (ValueError, TypeError) as error:
            if not background:
                raise
            self._put(errors={"setting": in_words(error)})
        if not background:
            self.train(self.offered)

    def train(self, plan: Plan) -> TrainingState:
        """Train this; what is trained of it already stays.

        Raises
        ------
        ValueError
            If it cannot be trained, before anything is done.
        """
        if plan == self.state.run:
            return self.state
        if self._course is None or self._course.plan != plan:
            self._course = Course(self.items, plan, self.folder)
        changes: dict[str, Any] = {"run": replace(plan), "plan": plan, "stopped": False, "chosen": ""}
        if plan != self.state.plan:
            changes |= {"curves": None, "lower": None, "results": None, "table": None}
        return self._want(["setting", "training"], **changes)

    def refuse(self, text: str) -> TrainingState:
        """Say what is wrong with a setting."""
        return self._put(["setting"], errors={"setting": text})

    def stop(self) -> TrainingState:
        """Stop where it is; `train` goes on from there."""
        return self._want([], run=None, stopped=True) if self.state.run is not None else self.state

    def end(self) -> None:
        super().end()
        self.stop()

    def due(self, lane: str) -> Task | None:
        run, course = self.state.run, self._course
        if run is None or course is None or "training" in self.state.errors:
            return None
        return Task("training", partial(self._train, run, course), ("run",), given_up={"run": None})

    def _train(self, run: Plan, course: Course) -> dict:
        def is_wanted() -> bool:
            return self.state.run is run

        def told(name: str, seed: int, row: dict) -> None:
            course.hear(name, seed, row)
            self._put(only_if=is_wanted, **course.so_far())

        self._put(only_if=is_wanted, lower=course.lower())
        results = course.experiment.run(told)
        for outcome in results.outcomes:
            for row in outcome.curves:
                course.hear(outcome.name, outcome.seed, row)
        return {**course.so_far(), "run": None, "chosen": results.chosen()}


# -- in words and on paper ----------------------------------------------------------------


def status_words(s: TrainingState) -> str:
    """What is being done, or was."""
    if s.run is not None and s.plan is not None:
        what = s.doing[0] if s.doing is not None else "Starting"
        return f"{what}: {s.n_steps:,} of {s.plan.n_steps:,} steps of all models are done\N{HORIZONTAL ELLIPSIS}"
    if s.plan is None:
        return "Nothing has been trained yet."
    if s.stopped:
        return "Stopped. Train goes on from here, or from the start after a change of the setting."
    return "Training is done." if s.chosen else ""


def training_page(items: Items, s: TrainingState) -> str:
    """A training as HTML that needs nothing else: no network, no kernel, no scripts."""
    head = f"{STYLE}<div class='wb'><h3>Training of semantic IDs: {escape(items.source)}, {len(items):,} items</h3>"
    if s.plan is None or s.curves is None or s.curves.empty:
        return f"{head}<p>Nothing has been trained yet.</p></div>"
    figure = curves_figure(s.curves, s.chosen, s.plan.training.n_warmup, s.lower, s.plan.tempered)
    parts = [("Setting", f"<pre>{escape(plan_code(s.plan))}</pre>"), ("Curves", picture_html(figure, CURVES))]
    if s.table is not None:
        parts.append(("What is kept", kept_html(s)))
    unfinished = "" if s.chosen else "<p>The training is not done; this is how far it came.</p>"
    return f"{head}{unfinished}{''.join(f'<h4>{heading}</h4>{part}' for heading, part in parts)}</div>"


def kept_html(s: TrainingState) -> str:
    """What the arms that are done keep: a sentence, a figure and a table."""
    if s.table is None:
        return ""
    sentence = f"<p>{escape(chosen_words(s.table, s.chosen))}</p>" if s.chosen else ""
    figure = picture_html(retained_figure(s.table), KEPT) if len(s.table["arm"].unique()) > 2 else ""
    return f"{sentence}{figure}{retained_html(s.table, s.chosen)}"


def plan_code(plan: Plan) -> str:
    """A plan as a script to paste."""
    arms = "".join(f"    {name!r}: {_brief(arm)},\n" for name, arm in plan.arms.items())
    seeds = ", ".join(map(str, plan.seeds)) + "," * (len(plan.seeds) == 1)
    return (
        "from workbench.semantic import Arm, Experiment, Training\n\n"
        f"arms = {{\n{arms}}}\n"
        f"training = {_brief(plan.training)}\n"
        f"experiment = Experiment(items, arms, training, seeds=({seeds}))\n"
        "results = experiment.run()\n"
    )


def _brief(setting: Arm | Training) -> str:
    """A setting without what is as usual."""
    said = [f"{f.name}={getattr(setting, f.name)!r}" for f in fields(setting) if getattr(setting, f.name) != f.default]
    return f"{type(setting).__name__}({', '.join(said)})"
