"""The editor of recipes without a browser: controls are set as a person would, and it says what recipe they mean."""

from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pytest
from conftest import made_fasttext, made_plain

import workbench as wb
from workbench.compress.base import STEPS, Step
from workbench.views.live.controls import Dial, Slider
from workbench.views.live.editor import FIELDS, NAMES, OF_NGRAMS, Field, RecipeEditor, main_recipe, starts

KINDS = sorted((kind for kind in STEPS.values() if kind.__module__.startswith("workbench.")), key=lambda k: k.__name__)
EVERY = [(kind, name) for kind, fields in FIELDS.items() for name in fields]
SEED = 7
REFUSED = {  # starts that a small model is too small for, and why
    ("plain", "RQ alone"): "codebooks outweigh the rows",  # 700 rows of 12 numbers
}


class Editor(RecipeEditor):
    """An editor that keeps what it told."""

    def __init__(self) -> None:
        self.told: list[wb.Chain] = []
        super().__init__(self.told.append, SEED)

    def press(self, about: str) -> None:
        (button,) = (w for w in walk(self.list) if isinstance(w, widgets.Button) and w.tooltip == about)
        assert not button.disabled
        button.click()


def walk(widget: widgets.Widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


@pytest.fixture
def editor() -> Editor:
    return Editor()


def values(field: Field, v: wb.Vectors) -> list[Any]:
    """Values that a parameter may have, each unlike the others."""
    high = field.high(v) if callable(field.high) else field.high
    if field.kind == "choice":
        return [value or None for _, value in field.choices]
    return {
        "count": [field.low, high // 2, max(high - 1, field.low), None if field.all_is_none else high],
        "whole": [field.low, field.low + 1, min(high, 50)],
        "number": [0, 0.25, 1],
        "tick": [False, True],
        "text": [*field.choices, "texts/mine.txt", Path("texts/yours.txt"), Path("words")],
    }[field.kind]


def random_step(kind: type[Step], v: wb.Vectors, rng: np.random.Generator) -> Step:
    def choice(options: list) -> Any:
        return options[rng.integers(len(options))]

    chosen = {name: choice(values(field, v)) for name, field in FIELDS[kind].items()}
    seeds = {"random_state": int(rng.integers(100))} if "random_state" in kind._names() else {}
    return kind(**chosen, **seeds)


def different(step: Step, other: Step) -> set[str]:
    """Names of parameters that differ."""
    assert type(step) is type(other)
    theirs = other.get_params()
    return {name for name, value in step.get_params().items() if value != theirs[name]}


# -- what can be changed ------------------------------------------------------------------


def test_every_parameter_of_every_step_has_a_control_but_seeds():
    assert set(FIELDS) == set(NAMES) == set(KINDS) - {wb.Chain}
    for kind, fields in FIELDS.items():
        assert set(fields) == set(kind._names()) - {"random_state"}


@pytest.mark.parametrize("kind", list(FIELDS), ids=lambda kind: kind.__name__)
def test_what_a_step_does_by_default_is_within_its_controls(kind, editor):
    v = made_fasttext(300, 400, dim=60)
    editor.show(v, wb.Chain([kind()]))
    assert editor.recipe() == wb.Chain([kind()])
    for name, field in FIELDS[kind].items():
        control = editor.steps[0].controls[name]
        if field.kind == "whole":
            assert control.min == field.low <= getattr(kind(), name) <= control.max == field.high


@pytest.mark.parametrize("model", ["fasttext", "plain"])
def test_every_start_is_built_or_refused_for_a_known_reason(model):
    v = {"fasttext": made_fasttext(700, 2_000), "plain": made_plain()}[model]
    for name, recipe in starts(v, SEED).items():
        if (model, name) in REFUSED:
            with pytest.raises(ValueError, match=REFUSED[model, name]):
                recipe.fit_transform(v)
            continue
        small = recipe.fit_transform(v)
        assert small.storage.nbytes < v.storage.nbytes
        assert [type(step).__name__ for step in recipe.steps] == [step["step"] for step in small.meta["recipe"]]


def test_starts_and_steps_to_add_fit_the_model_and_have_the_seed(editor, fasttext, plain):
    for v in (fasttext, plain):
        editor.show(v, wb.Chain([wb.SQ()]))
        offered = [recipe for _, recipe in editor.start.options if recipe is not None]
        assert offered == list(starts(v, SEED).values())
        assert "Refit(n_words" not in repr(offered)  # it is fitted on all words, as the recipe of that name is
        kinds = [kind for _, kind in editor.add.options if kind is not None]
        if v is plain:
            assert not set(OF_NGRAMS) & {type(step) for recipe in offered for step in recipe.steps}
        assert set(kinds) == set(FIELDS) - (set(OF_NGRAMS) if v is plain else set())
        for kind in kinds:
            editor.add.value = kind
            assert getattr(editor.told[-1].steps[-1], "random_state", SEED) == SEED


# -- showing ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["fasttext", "plain"])
def test_every_start_is_shown_as_it_is_and_nobody_is_told(editor, model, request):
    v = request.getfixturevalue(model)
    for seed in (SEED, SEED + 1):  # of another seed than the editor's too
        for recipe in starts(v, seed).values():
            editor.show(v, recipe)
            assert repr(editor.recipe()) == repr(recipe)
    assert editor.told == []


@pytest.mark.parametrize("seed", range(20))
def test_any_recipe_is_shown_as_it_is_and_nobody_is_told(editor, fasttext, plain, seed):
    rng = np.random.default_rng(seed)
    for v in (fasttext, plain, fasttext):
        kinds = [kind for kind in FIELDS if v is fasttext or kind not in OF_NGRAMS]
        for n_steps in rng.integers(0, 6, size=3):
            recipe = wb.Chain([random_step(kinds[i], v, rng) for i in rng.integers(len(kinds), size=n_steps)])
            editor.show(v, recipe)
            assert repr(editor.recipe()) == repr(recipe)
    assert editor.told == []


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_each_control_shows_its_parameter(editor, fasttext, kind, name):
    field = FIELDS[kind][name]
    shown = set()
    for value in values(field, fasttext):
        step = kind(**{name: value})
        editor.show(fasttext, wb.Chain([step]))
        text = step.to_json()[name]
        shown.add(editor.steps[0].controls[name].value)
        assert editor.steps[0].controls[name].value == (
            field.high(fasttext) if value is None and field.all_is_none else "" if text is None else text
        )
    assert len(shown) == len(values(field, fasttext))


def test_all_words_and_all_ngrams_are_none(editor, fasttext):
    editor.show(fasttext, wb.Chain([wb.Prune(300, 400)]))
    editor.dials["n_words"].box.value = len(fasttext)
    editor.dials["n_ngrams"].box.value = 3_000
    assert editor.told[-1].steps[0] == wb.Prune()


@pytest.mark.parametrize(
    "step",
    [
        wb.PQ(n_subvectors=99),
        wb.PQ(n_iter=5_000),
        wb.SVD(rank=60),
        wb.Rehash(n_buckets=10**7),
        wb.OPQ(n_rotations=0),
        wb.Prune(remap="nearest", threshold=-0.5),
        wb.Prune(remap="nearest", threshold=2),
        wb.Refit(strength=1e10),
    ],
    ids=repr,
)
def test_a_value_beyond_the_model_is_shown_as_it_is_until_a_person_changes_it(editor, fasttext, step):
    editor.show(fasttext, wb.Chain([step, wb.SQ()]))
    controls = editor.steps[0].controls
    (name,) = different(step, type(step)()) - {"remap"}
    assert controls[name].value == getattr(step, name)
    editor.steps[1].controls["dtype"].value = "int8"
    assert editor.told == [wb.Chain([step, wb.SQ("int8")])]
    editor.show(fasttext, wb.Chain([type(step)(**{name: 0.5 if name == "threshold" else 3}), wb.SQ()]))
    field = FIELDS[type(step)][name]  # what is possible is possible again
    box = controls[name].box if isinstance(controls[name], Dial) else controls[name]
    assert (box.min, box.max) == (field.low, field.high(fasttext) if callable(field.high) else field.high)


def test_more_words_than_there_are_are_shown_as_all(editor, fasttext):
    editor.show(fasttext, wb.Chain([wb.Prune(5_000, 99_999)]))
    assert {name: dial.value for name, dial in editor.dials.items()} == {"n_words": 700, "n_ngrams": 3_000}
    assert editor.told == []


def test_what_a_model_without_ngrams_hides_is_kept(editor, plain, fasttext):
    recipe = wb.Chain([wb.Prune(300, importance="texts/mine.txt"), wb.PQ(6, on="words", random_state=3)])
    editor.show(fasttext, recipe)
    assert {"n_ngrams", "importance"} <= set(editor.steps[0].controls)
    editor.show(plain, recipe)
    assert not {name for s in editor.steps for name in s.controls if FIELDS[s.kind][name].of_ngrams}
    editor.dials["n_words"].box.value = 400
    (told,) = editor.told
    assert told == wb.Chain([wb.Prune(400, importance="texts/mine.txt"), *recipe.steps[1:]])


# -- a person's changes -------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_changed_control_is_told_once_and_changes_its_parameter_alone(editor, fasttext, kind, name):
    rng = np.random.default_rng(0)
    others = [wb.Prune(123, 456, random_state=1), wb.SQ("int8", random_state=2)]
    step = random_step(kind, fasttext, rng)
    for value in values(FIELDS[kind][name], fasttext):
        editor.show(fasttext, wb.Chain([others[0], step, others[1]]))
        control = editor.steps[1].controls[name]
        before, text = control.value, kind(**{name: value}).to_json()[name]
        wanted = text if text is not None else FIELDS[kind][name].high(fasttext) if name.startswith("n_") else ""
        (control.box if isinstance(control, Dial) else control).value = wanted
        if wanted == before:
            assert editor.told == []
            continue
        (told,) = editor.told
        assert [told.steps[0], told.steps[2]] == others
        assert different(told.steps[1], step) == {name}
        assert told.steps[1].to_json()[name] == text
        assert told == editor.recipe()
        editor.told.clear()


def test_a_value_that_is_changed_back_is_the_one_it_was(editor, fasttext):
    recipe = wb.Chain([wb.Refit(kept_weight=1), wb.PQ(6)])
    editor.show(fasttext, recipe)
    control = editor.steps[0].controls["kept_weight"]
    control.value = 0.5
    control.value = 1.0
    assert repr(editor.told[-1]) == repr(recipe)  # 1, not 1.0, so that what was built of it is found again


def test_controls_have_names_unlike_each_other(editor, fasttext):
    twice = [random_step(kind, fasttext, np.random.default_rng(0)) for kind in [*FIELDS, *FIELDS]]
    editor.show(fasttext, wb.Chain(twice))
    kinds = (widgets.Dropdown, widgets.Text, widgets.BoundedIntText, widgets.BoundedFloatText, widgets.Checkbox)
    names = [w.description for w in walk(editor.box) if isinstance(w, (*kinds, widgets.Combobox))]
    assert len(names) == 2 + 2 * len(EVERY)
    assert len(set(names)) == len(names)
    buttons = [w.tooltip for w in walk(editor.box) if isinstance(w, widgets.Button | widgets.ToggleButton)]
    assert len(set(buttons)) == len(buttons)
    sliders = [w.label for w in walk(editor.box) if isinstance(w, Slider)]
    assert len(set(sliders)) == len(sliders) > 10


def test_more_controls_come_and_go(editor, fasttext):
    editor.show(fasttext, wb.Chain([wb.PQ(6), wb.Residual()]))
    (more,) = (w for w in walk(editor.list) if isinstance(w, widgets.ToggleButton))
    box = editor.steps[0].more_box
    assert editor.steps[0].controls["n_iter"] in box.children
    for pressed in (True, False):
        assert box.layout.display == (None if more.value else "none")
        more.value = pressed
    assert editor.told == []


# -- other steps --------------------------------------------------------------------------

FIRST = wb.Chain([wb.Prune(300, 400, random_state=1), wb.PQ(6, random_state=2), wb.PQ(4, norms=True, random_state=3)])


def shown(editor: RecipeEditor) -> list[str]:
    """Headings of the steps, top to bottom."""
    return [box.children[0].children[0].value for box in editor.list.children]


def test_steps_are_moved_removed_and_added_and_the_editor_shows_it(editor, fasttext):
    prune, wide, narrow = FIRST.steps
    editor.show(fasttext, FIRST)
    changes = [
        (lambda: editor.press("Move step 3, PQ, before the one above"), [prune, narrow, wide]),
        (lambda: editor.press("Move step 2, PQ, before the one above"), [narrow, prune, wide]),
        (lambda: editor.press("Take out step 1, PQ"), [prune, wide]),
        (lambda: setattr(editor.add, "value", wb.SQ), [prune, wide, wb.SQ("int8", random_state=SEED)]),
        (lambda: setattr(editor.add, "value", wb.SQ), [prune, wide, *[wb.SQ("int8", random_state=SEED)] * 2]),
    ]
    for n, (change, steps) in enumerate(changes, 1):
        change()
        assert len(editor.told) == n
        assert editor.told[-1] == editor.recipe() == wb.Chain(steps)
        names = [f"<b>{number}. {NAMES[type(step)]}</b>" for number, step in enumerate(steps, 1)]
        assert shown(editor) == names
        controls = [c for c in editor.steps if c.kind is wb.PQ]
        assert [c.controls["n_subvectors"].value for c in controls] == [
            s.n_subvectors for s in steps if isinstance(s, wb.PQ)
        ]


def test_steps_of_the_same_kinds_bring_their_seeds(editor, fasttext):
    editor.show(fasttext, wb.Chain([wb.PQ(6, random_state=1), wb.PQ(6, random_state=2)]))
    editor.press("Move step 2, PQ, before the one above")
    editor.dials["n_subvectors"].box.value = 5
    assert [step.random_state for step in editor.told[-1].steps] == [2, 1]
    editor.show(fasttext, wb.Chain([wb.PQ(6, random_state=8), wb.PQ(6, random_state=9)]))
    assert [step.random_state for step in editor.recipe().steps] == [8, 9]


def test_the_last_step_stays_and_the_first_is_first(editor, fasttext):
    editor.show(fasttext, wb.Chain([wb.PQ(6)]))
    buttons = {w.tooltip: w for w in walk(editor.list) if isinstance(w, widgets.Button)}
    assert all(button.disabled for button in buttons.values())
    assert len(buttons) == 2


def test_a_start_replaces_the_recipe_as_often_as_it_is_picked(editor, fasttext):
    editor.show(fasttext, FIRST)
    wanted = starts(fasttext, SEED)["PQ alone"]
    for _ in range(2):
        editor.start.label = "PQ alone"
        assert editor.told[-1] == editor.recipe() == wanted
        editor.dials["n_subvectors"].box.value = 3
    assert len(editor.told) == 4


def test_steps_can_be_added_to_nothing(editor, fasttext):
    editor.show(fasttext, wb.Chain([]))
    editor.add.value = wb.Prune
    assert [type(step) for step in editor.told[-1].steps] == [wb.Prune]
    assert shown(editor) == ["<b>1. Prune</b>"]


def test_another_model_has_its_own_limits(editor, fasttext):
    editor.show(fasttext, FIRST)
    assert [dial.box.max for dial in editor.dials.values()] == [700, 3_000, 12]
    plain = made_plain(900, dim=5)
    editor.show(plain, wb.Chain([wb.Prune(800), wb.PQ(4)]))
    assert {name: dial.box.max for name, dial in editor.dials.items()} == {"n_words": 900, "n_subvectors": 5}
    editor.show(plain, wb.Chain([wb.SVD(4)]))
    assert editor.dials["rank"].box.max == 5
    editor.show(fasttext, wb.Chain([wb.Rehash(300), wb.RQ(2)]))
    assert {name: dial.box.max for name, dial in editor.dials.items()} == {"n_buckets": 3_000, "n_levels": 12}
    assert editor.told == []


@pytest.mark.parametrize("n", [1, 5, 20, 255])
def test_the_first_recipe_suits_models_of_few_words(n):
    v = made_plain(n, 8)
    assert main_recipe(v, n, 0, 4).fit_transform(v).words == v.words
