"""Controls for a recipe: each step with its own, more steps, fewer, another order."""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

from ...compress import OPQ, PQ, RQ, SQ, SVD, Chain, Prune, Refit, Rehash, Residual
from ...compress.base import STEPS, Field, Step
from ...compress.values import ValueStep
from ...search.plan import bits_for
from ...vectors import Vectors
from .controls import Dial, Showing
from .view import row

FEWEST_WORDS = 1_000  # that a small model keeps at first; codebooks would outweigh fewer
UNBOUNDED = 10**9


def steps_for(v: Vectors) -> list[type[Step]]:
    """The steps that a model can take: those for n-grams after those for all models, and quantisers last."""
    kinds = [kind for kind in STEPS.values() if kind is not Chain and (v.vocab.subwords or not kind.needs_ngrams)]
    return sorted(kinds, key=lambda kind: (issubclass(kind, ValueStep), kind.needs_ngrams, kind.__name__))


def fields_of(kind: type[Step], v: Vectors) -> dict[str, Field]:
    """The parameters of a step that have controls for a model, by name: all but seeds."""
    shown = {name: field for name, field in kind.fields.items() if field.kind != "seed"}
    return {name: field for name, field in shown.items() if v.vocab.subwords or not field.of_ngrams}


def most(field: Field, v: Vectors) -> int:
    """The greatest value of a parameter that its control shows for a model."""
    return field.high(v) if callable(field.high) else UNBOUNDED if field.high is None else field.high


def options(field: Field) -> list[tuple[str, str]]:
    """Labels and values of a choice; "" stands for None, which widgets take for no choice at all."""
    labels = field.choices if isinstance(field.choices, Mapping) else {value: value for value in field.choices}
    return [(label, value or "") for value, label in labels.items()]


def n_ngrams(v: Vectors) -> int:
    return len(v.storage.ngrams or ())


def rough_words(v: Vectors) -> int:
    """A seventh of the words, as a round number."""
    return max(int(float(f"{len(v) / 7:.1g}")), min(FEWEST_WORDS, len(v)))


def _bits(n_rows: int) -> int:
    """Bits a code for so many rows: 8, or for fewer than 256 what pays, 0 where none does."""
    return 8 if n_rows >= 256 else bits_for(n_rows)


def main_recipe(v: Vectors, n_words: int, n_ngrams: int, n_subvectors: int, random_state: int = 0) -> Chain:
    """Prune, re-fit where there are n-grams to re-fit, quantise: what three numbers decide."""
    has_ngrams = v.vocab.subwords is not None
    prune = Prune(n_words=n_words, n_ngrams=n_ngrams) if has_ngrams else Prune(n_words=n_words)
    n_bits = _bits(min(n_words, n_ngrams) if has_ngrams and n_ngrams else n_words)
    steps = [prune, *([Refit(random_state=random_state)] if has_ngrams and n_ngrams else [])]
    return Chain([*steps, PQ(n_subvectors, n_bits, random_state=random_state)] if n_bits else steps)


def rough_step(kind: type[Step], v: Vectors, seed: int) -> Step:
    """A step with values that suit a model, to begin with."""
    n_words = rough_words(v)
    values: dict[str, Any] = {
        "n_words": n_words if kind is Prune else None,
        "n_ngrams": min(2 * n_words, n_ngrams(v)) if v.vocab.subwords else None,
        "n_buckets": max(n_ngrams(v) // 4, 1),
        "n_subvectors": max(v.dim // 2, 1),
        "n_bits": _bits(min(n_words, min(2 * n_words, n_ngrams(v)) or n_words)) or 1,
        "rank": max(v.dim // 2, 1),
        "random_state": seed,
    }
    if kind is SQ:
        return SQ(dtype="int8", random_state=seed)
    chosen = {name: value for name, value in values.items() if name in kind.fields and value is not None}
    for name, field in kind.fields.items():  # a default beyond what suits the model: half of that
        default = getattr(kind, name, None)
        if name not in chosen and callable(field.high) and default is not None and default > field.high(v):
            chosen[name] = max(field.high(v) // 2, field.low)
    return kind(**chosen)


def starts(v: Vectors, seed: int) -> dict[str, Chain]:
    """Recipes to start from, by name."""

    def rough(*kinds: type[Step]) -> list[Step]:
        return [rough_step(kind, v, seed) for kind in kinds]

    n_words = rough_words(v)
    borrow = Prune(n_words=n_words, choose="coverage", remap="nearest", random_state=seed)
    found: dict[str, list[Step]] = {
        "Prune, re-fit, PQ": rough(Prune, Refit, PQ),
        "Half precision": [SQ()],
        "8-bit numbers": rough(SQ),
        "PQ alone": rough(PQ),
        "OPQ alone": rough(OPQ),
        "RQ alone": rough(RQ),
        "SVD, then 8-bit numbers": rough(SVD, SQ),
        "Borrowed rows, then PQ": [borrow, *rough(PQ)],
        "Re-hashed n-grams, 8-bit numbers": rough(Rehash, SQ),
        "Words as residuals": _residuals(v, n_words, seed),
    }
    if v.vocab.subwords is None:
        found = {name: steps for name, steps in found.items() if not any(step.needs_ngrams for step in steps)}
    return {name: Chain(steps) for name, steps in found.items()}


def _residuals(v: Vectors, n_words: int, seed: int) -> list[Step]:
    """N-grams in few bytes, fitted to the words; of words what n-grams leave over. What `fit_budget` likes best."""
    refit = Refit(0.3, kept_weight=1, random_state=seed)
    n_kept = min(4 * n_words, n_ngrams(v))
    parts = ((4, n_kept, "ngrams"), (8, n_words, "words"))
    ngrams, words = (PQ(max(v.dim // n, 1), _bits(rows) or 1, on=on, random_state=seed) for n, rows, on in parts)
    return [
        Prune(n_ngrams=n_kept),
        refit,
        ngrams,
        refit,
        Prune(n_words=n_words),
        Residual(),
        words,
    ]


class StepControls:
    """The controls of one step.

    Parameters
    ----------
    step : Step
        Of the kind to be shown.
    number : int
        Place in the recipe, from 1.
    names : callable
        Gives the name of a control, unlike all others, from its label.
    changed : callable
        Called once after a person changed a value.
    """

    def __init__(self, step: Step, v: Vectors, number: int, names: Callable[[str], str], changed: Callable[[], None]):
        self.kind, self.changed = type(step), changed
        self.fields = fields_of(self.kind, v)
        self._showing = Showing()
        self.controls = {name: self._control(field, names(field.label), v) for name, field in self.fields.items()}
        shown = [self._widget(name) for name, field in self.fields.items() if field.main]
        hidden = [self._widget(name) for name, field in self.fields.items() if not field.main]
        self.more_box = widgets.HBox(hidden, layout={"flex_flow": "row wrap", "display": "none"})
        more = widgets.ToggleButton(
            description="More", tooltip=f"More controls of step {number}, {self.kind.label}", layout={"width": "5em"}
        )
        more.observe(self._more, "value")
        heading = widgets.HTML(f"<b>{number}. {self.kind.label}</b>", layout={"width": "11em"})
        self.buttons = widgets.HBox([more] if hidden else [], layout={"margin": "0 0 0 auto"})
        self.box = widgets.VBox([row(heading, *shown, self.buttons), self.more_box])
        self.box.add_class("wb-step")

    def _control(self, field: Field, name: str, v: Vectors) -> Any:
        if field.kind == "count":
            return Dial(name, self._changed)
        style, wide, narrow = {"description_width": "initial"}, {"width": "auto"}, {"width": f"{len(name) * 0.6 + 7}em"}
        control: Any
        if field.kind == "choice":
            control = widgets.Dropdown(description=name, options=options(field), style=style, layout=wide)
        elif field.kind == "whole":
            control = widgets.BoundedIntText(
                description=name,
                min=field.low,
                max=most(field, v),
                style=style,
                layout=narrow,
            )
        elif field.kind == "number":
            control = widgets.BoundedFloatText(
                description=name,
                min=field.low,
                max=most(field, v),
                step=0.1,
                style=style,
                layout=narrow,
            )
        elif field.kind == "tick":
            control = widgets.Checkbox(description=name, indent=False, layout=wide)
        else:
            control = widgets.Combobox(
                description=name, options=list(field.choices), continuous_update=False, style=style
            )
        control.observe(self._changed, "value")
        return control

    def _widget(self, name: str) -> widgets.Widget:
        control = self.controls[name]
        return control.row if isinstance(control, Dial) else control

    def _more(self, change: dict) -> None:
        self.more_box.layout.display = None if change["new"] else "none"

    def _changed(self, *_: object) -> None:
        if not self._showing:
            self.changed()

    def show(self, step: Step, v: Vectors) -> None:
        """Show the values of a step without calling `changed`."""
        values = step.get_params() | step.to_json()  # paths as text
        with self._showing:
            for name, field in self.fields.items():
                value, control = values[name], self.controls[name]
                if field.kind in ("count", "whole", "number"):
                    _show_number(control, field, value, v)
                elif field.kind in ("text", "choice"):
                    control.value = "" if value is None else str(value)
                else:
                    control.value = value
        self._given, self._shown = step.get_params(), self._values()

    def step(self, v: Vectors) -> Step:
        """The step that the controls say; what nobody changed, or can see, is as it was shown."""
        changed = {name: value for name, value in self._values().items() if value != self._shown[name]}
        for name, value in changed.items():
            field = self.fields[name]
            is_all = field.all_is_none and value >= most(field, v)
            if is_all or (field.kind == "choice" and value == ""):
                changed[name] = None
        return self.kind(**self._given | changed)

    def _values(self) -> dict[str, Any]:
        return {name: control.value for name, control in self.controls.items()}


def _show_number(control: Any, field: Field, value: float | None, v: Vectors) -> None:
    """Show a number even where it is out of range: it is what was asked for, and an error will say what is wrong."""
    high = most(field, v)
    if field.all_is_none:
        value = high if value is None else min(value, high)
    assert value is not None
    least, greatest = min(field.low, value), max(high, value)
    if isinstance(control, Dial):
        control.show(int(value), int(least), int(greatest))
    else:
        control.min, control.max = min(least, control.max), greatest
        control.min, control.value = least, value


class RecipeEditor:
    """The controls of all steps, in order, and those that add, move and remove steps.

    Parameters
    ----------
    changed : callable
        Called with the new recipe once after a person changed anything.
    random_state : int
        Seed of steps that are added.
    """

    def __init__(self, changed: Callable[[Chain], None], random_state: int = 0):
        self.changed, self.random_state = changed, random_state
        self.v: Vectors | None = None
        self.steps: list[StepControls] = []
        self.start = widgets.Dropdown(description="Start from", style={"description_width": "initial"})
        self.start.observe(self._started, "value")
        self.add = widgets.Dropdown(description="Add a step", style={"description_width": "initial"})
        self.add.observe(self._added, "value")
        self.list = widgets.VBox()
        self.list.add_class("wb-steps")
        self.box = widgets.VBox([row(self.start, self.add), self.list])
        self._showing = Showing()

    @property
    def dials(self) -> dict[str, Dial]:
        """The sliders by parameter, those of the first step that has one."""
        found: dict[str, Dial] = {}
        for step in self.steps:
            found |= {n: c for n, c in step.controls.items() if isinstance(c, Dial) and n not in found}
        return found

    def show(self, v: Vectors, recipe: Chain) -> None:
        """Show a recipe for a model without calling `changed`."""
        with self._showing:
            if v is not self.v:
                self._offer(v)
            if v is not self.v or [step.kind for step in self.steps] != [type(step) for step in recipe.steps]:
                self.v = v
                self._arrange(recipe)
            for controls, step in zip(self.steps, recipe.steps, strict=True):
                controls.show(step, v)

    def _offer(self, v: Vectors) -> None:
        """What may be started from and added, for a model."""
        self.start.options = [("", None), *starts(v, self.random_state).items()]
        self.add.options = [("", None), *((kind.label, kind) for kind in steps_for(v))]

    def _arrange(self, recipe: Chain) -> None:
        """Make the controls of other steps than those shown until now."""
        v = self.v
        assert v is not None
        labels = [field.label for step in recipe.steps for field in step.fields.values()]
        self.steps = []
        for number, step in enumerate(recipe.steps, 1):

            def name(label: str, number: int = number) -> str:
                return label if labels.count(label) == 1 else f"{label}, step {number}"

            controls = StepControls(step, v, number, name, self._changed)
            controls.buttons.children += tuple(self._buttons(number, step.label, len(recipe.steps)))
            self.steps.append(controls)
        self.list.children = [controls.box for controls in self.steps]

    def _buttons(self, number: int, name: str, n_steps: int) -> list[widgets.Button]:
        """Those that move a step earlier and take it out."""
        earlier = widgets.Button(
            description="\N{UPWARDS ARROW} Earlier", tooltip=f"Move step {number}, {name}, before the one above",
            layout={"width": "6em"}, disabled=number == 1,
        )  # fmt: skip
        remove = widgets.Button(
            description="\N{MULTIPLICATION SIGN} Remove", tooltip=f"Take out step {number}, {name}",
            layout={"width": "7em"}, disabled=n_steps == 1,
        )  # fmt: skip
        earlier.on_click(lambda _: self._change(self._moved(number - 1)))
        remove.on_click(lambda _: self._change(self._without(number - 1)))
        return [earlier, remove]

    def recipe(self) -> Chain:
        """The recipe that the controls say."""
        assert self.v is not None
        return Chain([controls.step(self.v) for controls in self.steps])

    def _moved(self, place: int) -> Chain:
        steps = list(self.recipe().steps)
        steps[place - 1 : place + 1] = steps[place], steps[place - 1]
        return Chain(steps)

    def _without(self, place: int) -> Chain:
        steps = list(self.recipe().steps)
        return Chain(steps[:place] + steps[place + 1 :])

    def _changed(self) -> None:
        if not self._showing and self.v is not None:
            self.changed(self.recipe())

    def _change(self, recipe: Chain) -> None:
        """A person wants other steps."""
        assert self.v is not None
        self.show(self.v, recipe)
        self.changed(recipe)

    def _started(self, change: dict) -> None:
        if change["new"] is not None and not self._showing:
            self._change(change["new"])
            self.start.value = None  # so that it can be picked again

    def _added(self, change: dict) -> None:
        if change["new"] is not None and not self._showing and self.v is not None:
            self._change(Chain([*self.recipe().steps, rough_step(change["new"], self.v, self.random_state)]))
            self.add.value = None
