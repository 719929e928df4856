"""The editor of recipes without a browser: controls are set as a person would, and it says what recipe they mean."""

from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pytest
from conftest import made_fasttext, made_plain

import workbench as wb
from workbench.compress.base import Field, Step
from workbench.views.live.controls import Dial, Slider
from workbench.views.live.editor import RecipeEditor, fields_of, main_recipe, most, starts, steps_for

FASTTEXT = made_fasttext()
KINDS = steps_for(FASTTEXT)
EVERY = [(kind, name) for kind in KINDS for name in fields_of(kind, FASTTEXT)]
SEED = 7


class Editor(RecipeEditor):
    """An editor that keeps what it told."""

    def __init__(self) -> None:
        self.told: list[wb.Chain] = []
        super().__init__(self.told.append, SEED)

    def buttons(self) -> dict[str, widgets.Button]:
        return {w.tooltip: w for w in walk(self.list) if isinstance(w, widgets.Button)}


def walk(widget: widgets.Widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


@pytest.fixture
def editor() -> Editor:
    return Editor()


def values(field: Field, v: wb.Vectors) -> list[Any]:
    """Values that a parameter may have, each unlike the others."""
    high = most(field, v)
    return {
        "choice": list(field.choices),
        "count": [field.low, high // 2, max(high - 1, field.low), None if field.all_is_none else high],
        "whole": [field.low, field.low + 1, min(high, 50)],
        "number": [0, 0.25, 1],
        "tick": [False, True],
        "text": [*field.choices, "texts/mine.txt", Path("texts/yours.txt"), Path("words")],
    }[field.kind]


def random_step(kind: type[Step], v: wb.Vectors, rng: np.random.Generator) -> Step:
    options = {name: values(field, v) for name, field in fields_of(kind, FASTTEXT).items()}
    options |= {"random_state": [7, 30]} if "random_state" in kind.fields else {}
    return kind(**{name: of[rng.integers(len(of))] for name, of in options.items()})


# -- what can be changed ------------------------------------------------------------------


@pytest.mark.parametrize("v", [made_fasttext(700, 2_000), made_plain()], ids=["fasttext", "plain"])
def test_every_start_makes_a_model_smaller(v):
    for name, recipe in starts(v, SEED).items():
        if name == "RQ alone" and v.vocab.subwords is None:  # 700 rows of 12 numbers
            with pytest.raises(ValueError, match="codebooks outweigh the rows"):
                recipe.fit_transform(v)
        else:
            assert recipe.fit_transform(v).storage.nbytes < v.storage.nbytes


def test_starts_and_steps_to_add_fit_the_model_and_have_the_seed(editor, fasttext, plain):
    for v in (fasttext, plain):
        editor.show(v, wb.Chain([wb.SQ()]))
        offered = [recipe for _, recipe in editor.start.options if recipe is not None]
        assert offered == list(starts(v, SEED).values())
        assert "Refit(n_words" not in repr(offered)  # it is fitted on all words, as the recipe of that name is
        added = [kind for _, kind in editor.add.options if kind is not None]
        used = {type(step) for recipe in offered for step in recipe.steps}
        assert any(kind.needs_ngrams for kind in {*used, *added}) == (v is fasttext)
        for kind in added:
            editor.add.value = kind
            assert getattr(editor.told[-1].steps[-1], "random_state", SEED) == SEED


# -- showing ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_any_recipe_is_shown_as_it_is_and_nobody_is_told(editor, fasttext, plain, seed):
    rng = np.random.default_rng(seed)
    for v in (fasttext, plain, fasttext):
        kinds = steps_for(v)
        some = [[random_step(kinds[i], v, rng) for i in rng.integers(len(kinds), size=n)] for n in (0, 2, 5)]
        for recipe in [*map(wb.Chain, some), *starts(v, seed).values()]:
            editor.show(v, recipe)
            assert repr(editor.recipe()) == repr(recipe)
    assert editor.told == []


def test_all_words_and_all_ngrams_are_none(editor, fasttext):
    editor.show(fasttext, wb.Chain([wb.Prune(300, 400)]))
    editor.dials["n_words"].box.value = len(fasttext)
    editor.dials["n_ngrams"].box.value = 3_000
    assert editor.told[-1].steps[0] == wb.Prune()
    editor.show(fasttext, wb.Chain([wb.Prune(5_000, 99_999)]))
    assert {name: dial.value for name, dial in editor.dials.items()} == {"n_words": 700, "n_ngrams": 3_000}
    assert len(editor.told) == 2


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("n_subvectors", wb.PQ(n_subvectors=99)),
        ("rank", wb.SVD(rank=60)),
        ("n_buckets", wb.Rehash(n_buckets=10**7)),
        ("n_rotations", wb.OPQ(n_rotations=0)),
        ("threshold", wb.Prune(remap="nearest", threshold=2)),
        ("strength", wb.Refit(strength=1e10)),
    ],
)
def test_a_value_beyond_the_model_is_shown_as_it_is_until_a_person_changes_it(editor, fasttext, name, step):
    editor.show(fasttext, wb.Chain([step, wb.SQ()]))
    controls = editor.steps[0].controls
    assert controls[name].value == getattr(step, name)
    editor.steps[1].controls["dtype"].value = "int8"
    assert editor.told == [wb.Chain([step, wb.SQ("int8")])]
    editor.show(fasttext, wb.Chain([type(step)(**{name: 1}), wb.SQ()]))
    field = step.fields[name]  # the bounds are the model's again
    box = controls[name].box if isinstance(controls[name], Dial) else controls[name]
    assert (box.min, box.max) == (field.low, most(field, fasttext))


def test_what_a_model_without_ngrams_hides_is_kept(editor, plain, fasttext):
    recipe = wb.Chain([wb.Prune(300, importance="texts/mine.txt"), wb.PQ(6, on="words", random_state=3)])
    editor.show(fasttext, recipe)
    assert {"n_ngrams", "importance"} <= set(editor.steps[0].controls)
    editor.show(plain, recipe)
    assert not {name for s in editor.steps for name in s.controls if s.kind.fields[name].of_ngrams}
    editor.dials["n_words"].box.value = 400
    assert editor.told == [wb.Chain([wb.Prune(400, importance="texts/mine.txt"), *recipe.steps[1:]])]


# -- a person's changes -------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_control_shows_its_parameter_and_changes_it_alone(editor, fasttext, kind, name):
    step, others = random_step(kind, fasttext, np.random.default_rng(0)), [wb.Prune(123), wb.SQ("int8", random_state=2)]
    for value in values(kind.fields[name], fasttext):
        wanted = kind(**step.get_params() | {name: value})
        text = wanted.to_json()[name]
        shown = text if text is not None else most(kind.fields[name], fasttext) if name.startswith("n_") else ""
        editor.show(fasttext, wb.Chain([others[0], step, others[1]]))
        control = editor.steps[1].controls[name]
        before = control.value
        (control.box if isinstance(control, Dial) else control).value = shown
        told = [wb.from_json(recipe.to_json()) for recipe in editor.told]
        assert told == ([] if shown == before else [wb.from_json(wb.Chain([others[0], wanted, others[1]]).to_json())])
        editor.told.clear()
        editor.show(fasttext, wb.Chain([others[0], wanted, others[1]]))
        assert editor.steps[1].controls[name].value == shown


def test_a_value_that_is_changed_back_is_the_one_it_was(editor, fasttext):
    recipe = wb.Chain([wb.Refit(kept_weight=1), wb.PQ(6)])
    editor.show(fasttext, recipe)
    control = editor.steps[0].controls["kept_weight"]
    control.value = 0.5
    control.value = 1.0
    assert repr(editor.told[-1]) == repr(recipe)  # 1, not 1.0, so that what was built of it is found again


def test_controls_have_names_unlike_each_other(editor, fasttext):
    rng = np.random.default_rng(0)
    editor.show(fasttext, wb.Chain([random_step(kind, fasttext, rng) for kind in [*KINDS, *KINDS]]))
    inputs = (widgets.Dropdown, widgets.Text, widgets.BoundedIntText, widgets.BoundedFloatText, widgets.Checkbox)
    names = [w.description for w in walk(editor.box) if isinstance(w, (*inputs, widgets.Combobox))]
    assert len(names) == 2 + 2 * len(EVERY)
    buttons = [w.tooltip for w in walk(editor.box) if isinstance(w, widgets.Button | widgets.ToggleButton)]
    sliders = [w.label for w in walk(editor.box) if isinstance(w, Slider)]
    for texts in (names, buttons, sliders):
        assert len(set(texts)) == len(texts) > 10


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


def test_steps_are_moved_removed_and_added_with_their_seeds(editor, fasttext):
    prune, wide, narrow = FIRST.steps
    added = wb.SQ("int8", random_state=SEED)
    editor.show(fasttext, FIRST)
    changes = [
        ("Move step 3, PQ, before the one above", [prune, narrow, wide]),
        ("Move step 2, PQ, before the one above", [narrow, prune, wide]),
        ("Take out step 1, PQ", [prune, wide]),
        (wb.SQ, [prune, wide, added]),
        (wb.SQ, [prune, wide, added, added]),
    ]
    for n, (change, steps) in enumerate(changes, 1):
        if change is wb.SQ:
            editor.add.value = wb.SQ
        else:
            assert not editor.buttons()[change].disabled
            editor.buttons()[change].click()
        assert len(editor.told) == n
        assert editor.told[-1] == editor.recipe() == wb.Chain(steps)
        shown = [c.controls["n_subvectors"].value for c in editor.steps if c.kind is wb.PQ]
        assert shown == [step.n_subvectors for step in steps if isinstance(step, wb.PQ)]


def test_the_last_step_stays_and_steps_can_be_added_to_nothing(editor, fasttext):
    editor.show(fasttext, wb.Chain([wb.PQ(6)]))
    assert [button.disabled for button in editor.buttons().values()] == [True, True]
    editor.show(fasttext, wb.Chain([]))
    editor.add.value = wb.Prune
    assert [type(step) for step in editor.told[-1].steps] == [wb.Prune]


def test_a_start_replaces_the_recipe_as_often_as_it_is_picked(editor, fasttext):
    editor.show(fasttext, FIRST)
    wanted = starts(fasttext, SEED)["PQ alone"]
    for _ in range(2):
        editor.start.label = "PQ alone"
        assert editor.told[-1] == editor.recipe() == wanted
        editor.dials["n_subvectors"].box.value = 3
    assert len(editor.told) == 4


@pytest.mark.parametrize("n", [1, 5, 20, 255])
def test_the_first_recipe_suits_models_of_few_words(n):
    v = made_plain(n, 8)
    assert main_recipe(v, n, 0, 4).fit_transform(v).words == v.words
