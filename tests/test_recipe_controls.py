"""Recipes as a person changes them: whatever is offered works, and says what it costs before it is built."""

import json
from functools import cache

import numpy as np
import pytest
from conftest import made_fasttext, made_of_kind, made_plain

import workbench as wb
from workbench.compress.base import STEPS, parameter
from workbench.compress.builder import Builder
from workbench.compress.values import ROWS, ValueStep
from workbench.storage import Dense, Projected, Stacked
from workbench.subwords import Subwords
from workbench.views import recipes
from workbench.vocab import Vocab

SEED = 7
KINDS = [
    *("fasttext", "without counts", "plain", "finalfusion", "explicit", "PQ", "OPQ of plain", "residuals"),
    *("raw rows in fewer bits", "borrowed rows", "lengths apart", "no n-gram left", "tiny", "tiny fasttext"),
    *("short words", "one word"),
]
PRESETS = ["light", "balanced", "tiny"]


@cache
def model(kind: str) -> wb.Vectors:
    fasttext, plain = made_fasttext(), made_plain()
    rng = np.random.default_rng(0)
    few = Vocab(["a", "b", "cd", "ef", "abc"], subwords=Subwords(2, 3, 50, raw=True))
    few_rows = [Dense(rng.normal(size=(n, 6)).astype(np.float32)) for n in (5, 50)]
    made = {
        "fasttext": lambda: fasttext,
        "without counts": lambda: wb.Vectors(fasttext.vocab.with_counts(None), fasttext.storage),
        "plain": lambda: plain,
        "PQ": lambda: wb.PQ(6, 6).fit_transform(fasttext),
        "OPQ of plain": lambda: wb.OPQ(6, 6).fit_transform(plain),
        "residuals": lambda: recipes.presets(fasttext)["tiny"].recipe.fit_transform(fasttext),
        "raw rows in fewer bits": lambda: wb.SQ(on="words").fit_transform(fasttext),
        "borrowed rows": lambda: wb.Prune(200, 500, remap="nearest").fit_transform(fasttext),
        "lengths apart": lambda: wb.PQ(6, 6, norms=True).fit_transform(fasttext),
        "no n-gram left": lambda: wb.Prune(300, 0).fit_transform(fasttext),
        "tiny": lambda: made_plain(40, 8),
        "tiny fasttext": lambda: made_fasttext(60, 200, 8),
        "short words": lambda: wb.Vectors(few, Stacked(*few_rows)),
        "one word": lambda: made_plain(1, 4),
    }
    return made[kind]() if kind in made else made_of_kind(kind)


@cache
def start(kind: str) -> wb.Vectors:
    """The model with whole word rows, if it can have them: what a panel builds recipes on."""
    try:
        return model(kind).adjusted()
    except ValueError:
        return model(kind)


@cache
def preset(kind: str, name: str) -> wb.Chain:
    return recipes.presets(model(kind), SEED)[name].recipe


@cache
def built(kind: str, name: str) -> wb.Vectors:
    return preset(kind, name).fit_transform(start(kind))


def changes(recipe: wb.Chain, v: wb.Vectors):
    """Every value that a control can be set to at the ends of its bounds, or by choice."""
    for i in range(len(recipe.steps)):
        for field in recipes.fields(recipe, i, v):
            ends = [] if field["low"] is None else [field["low"], field["high"]]
            for value in [choice for choice, _ in field["choices"]] or ends:
                if value is not None or field["all_is_none"] or field["choices"]:
                    yield i, field["name"], value


# -- presets ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_preset_makes_a_smaller_file_of_the_size_that_was_predicted(kind, name):
    recipe, small = preset(kind, name), built(kind, name)
    if recipe.steps:
        assert small.file_bytes < start(kind).file_bytes
    else:
        assert kind in ("one word",)
    predicted = recipes.predicted_bytes(recipe, model(kind))
    shares_rows = kind == "explicit"  # on purpose; in real lists each n-gram has a row of its own
    assert shares_rows or abs(predicted - small.file_bytes) < max(0.05 * small.file_bytes, 150)


def test_presets_are_the_recipes_that_they_name(builtin):
    usual = wb.Chain([wb.Prune(2_000, 4_000), wb.Refit(), wb.PQ(50)])
    found = recipes.presets(builtin)
    assert list(found) == PRESETS
    assert repr(found["balanced"].recipe) == repr(recipes.usual(builtin)) == repr(usual)
    assert repr(found["light"].recipe) == repr(wb.Chain([wb.SQ("int8")]))
    small = {name: preset.recipe.fit_transform(builtin).file_bytes for name, preset in found.items()}
    assert small["light"] > small["balanced"] > small["tiny"]
    for name, preset in found.items():
        assert abs(recipes.predicted_bytes(preset.recipe, builtin) / small[name] - 1) < 0.02
        assert "Refit(n_words" not in repr(preset.recipe)  # it is fitted on all words


def test_presets_have_the_seed(fasttext):
    for name in PRESETS:
        assert all(getattr(step, "random_state", SEED) in (SEED, 0) for step in preset("fasttext", name).steps)
        assert "random_state=7" in repr(preset("fasttext", name))


@pytest.mark.parametrize("n", [1, 5, 20, 255])
def test_the_default_recipe_suits_models_of_few_words(n):
    v = made_plain(n, 8)
    assert recipes.usual(v, n, 0, 4).fit_transform(v).words == v.words


def test_numbers_that_are_given_are_those_of_the_recipe(fasttext, plain):
    assert recipes.usual(fasttext, 300, 400, 6, 3) == wb.Chain(
        [wb.Prune(300, 400), wb.Refit(random_state=3), wb.PQ(6, random_state=3)]
    )
    assert recipes.usual(fasttext, 300, 0, 6) == wb.Chain([wb.Prune(300, 0), wb.PQ(6)])
    assert recipes.usual(plain, n_words=300, n_subvectors=99) == wb.Chain([wb.Prune(300), wb.PQ(99)])


# -- steps that can follow ----------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_step_that_is_offered_can_be_added(kind, name):
    recipe = preset(kind, name)
    for offer in recipes.addable(recipe, model(kind)):
        longer = recipes.added(recipe, offer["kind"], None, model(kind), SEED)
        *before, last = longer.steps
        assert before == list(recipe.steps)
        assert type(last).__name__ == offer["kind"]
        assert getattr(last, "random_state", SEED) == SEED
        last.fit_transform(built(kind, name), start(kind))


def test_a_step_is_added_where_all_others_still_work(fasttext):
    recipe = wb.Chain([wb.Prune(300, 400), wb.PQ(6)])
    longer = recipes.added(recipe, "Refit", 1, fasttext, SEED)
    assert longer == wb.Chain([recipe.steps[0], wb.Refit(random_state=SEED), recipe.steps[1]])
    last = recipes.added(wb.Chain([wb.Prune(300, 400)]), "Residual", 0, fasttext)  # n-grams cannot change after it
    assert last == wb.Chain([wb.Prune(300, 400), wb.Residual()])
    with pytest.raises(ValueError, match="Words as residuals cannot follow Prune 300 words"):
        recipes.added(recipe, "Residual", None, fasttext, SEED)


def test_nothing_is_offered_after_a_recipe_that_fails(fasttext):
    assert recipes.addable(wb.Chain([wb.PQ(99)]), fasttext) == []
    assert recipes.predicted_bytes(wb.Chain([wb.PQ(99)]), fasttext) is None


# -- parameters ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("without counts", "balanced"),
        ("fasttext", "tiny"),
        ("PQ", "balanced"),
        ("plain", "balanced"),
        ("tiny", "light"),
        ("short words", "tiny"),
    ],
)
def test_no_control_can_be_set_to_what_cannot_work(kind, name):
    fast = {"n_iter": 1, "n_sweeps": 1, "n_unseen": 50, "n_rotations": 1}
    steps = [wb.from_json(step.to_json()) for step in preset(kind, name).steps]
    recipe = wb.Chain([step.set_params(**{n: x for n, x in fast.items() if n in step.fields}) for step in steps])
    v, builder = model(kind), Builder(start(kind), n_kept=20)
    for i, parameter_name, value in changes(recipe, v):
        builder.build(recipes.changed(recipe, i, parameter_name, value, v))


def limits_of(recipe: wb.Chain, v: wb.Vectors) -> dict[str, tuple]:
    """The bounds of each parameter in the first step that has it."""
    shown = [field for i in reversed(range(len(recipe.steps))) for field in recipes.fields(recipe, i, v)]
    return {field["name"]: (field["low"], field["high"]) for field in shown}


def test_bounds_depend_on_the_model_and_on_the_other_steps(fasttext):
    recipe = wb.Chain([wb.Prune(300, 400), wb.Refit(), wb.PQ(6)])
    limits = limits_of(recipe, fasttext)
    assert limits["n_words"] == (256, 700)  # codes of 8 bits need as many rows
    assert limits["n_ngrams"] == (256, 2_671)  # those that words use, of 3,000
    assert limits["n_subvectors"] == (1, 12)
    assert limits["n_bits"] == (1, 8)
    assert limits["strength"] == (0, None)
    assert "threshold" not in limits  # which is for words that borrow a row
    coarse = wb.Chain([wb.Prune(100, 100), wb.PQ(6, 4)])
    limits = limits_of(coarse, fasttext)
    assert limits["n_words"] == (16, 700)
    assert limits["n_bits"] == (1, 6)


def test_values_beyond_the_bounds_become_the_nearest_within(fasttext):
    recipe = wb.Chain([wb.Prune(300, 400), wb.PQ(6)])
    assert recipes.changed(recipe, 0, "n_words", 3, fasttext).steps[0] == wb.Prune(256, 400)
    assert recipes.changed(recipe, 1, "n_subvectors", 99.0, fasttext).steps[1] == wb.PQ(12)
    assert recipes.changed(recipe, 0, "n_words", 10**6, fasttext).steps[0] == wb.Prune(None, 400)  # None is all
    assert recipes.changed(recipe, 0, "n_words", None, fasttext).steps[0] == wb.Prune(None, 400)


def test_a_value_that_does_not_change_leaves_the_recipe_as_it_is(fasttext):
    recipe = wb.Chain([wb.Refit(kept_weight=1), wb.PQ(6)])
    assert recipes.changed(recipe, 0, "kept_weight", 1.0, fasttext) is recipe
    new = recipes.changed(recipe, 0, "strength", 2, fasttext)
    assert repr(new) == repr(wb.Chain([wb.Refit(2.0, kept_weight=1), wb.PQ(6)]))


def test_a_choice_that_needs_another_value_sets_that_too(fasttext):
    recipe = wb.Chain([wb.Prune(300, remap="nearest", threshold=0.5), wb.SQ()])
    assert recipes.changed(recipe, 0, "remap", None, fasttext).steps[0] == wb.Prune(300)
    borrowed = wb.Chain([wb.Prune(300, remap="nearest"), wb.SQ()])
    assert recipes.changed(borrowed, 0, "choose", "kmeans", fasttext).steps[0] == wb.Prune(300, choose="kmeans")


@pytest.mark.parametrize(
    "step", [wb.PQ(n_subvectors=99), wb.SVD(rank=60), wb.Rehash(n_buckets=10**7), wb.Prune(threshold=2)]
)
def test_a_value_that_cannot_work_is_shown_as_it_is_and_can_be_changed(fasttext, step):
    recipe = wb.Chain([step, wb.SQ(on="words")])
    name = next(name for name, value in step.get_params().items() if value != getattr(type(step), name))
    (field,) = (field for field in recipes.fields(recipe, 0, fasttext) if field["name"] == name)
    assert field["value"] == getattr(step, name)
    assert field["low"] <= field["value"] <= field["high"]
    assert recipes.fields(recipe, 1, fasttext)


def test_what_is_shown_of_a_parameter_is_json_with_a_sentence_that_helps(fasttext, plain):
    names = set()
    for v in (fasttext, plain):
        for kind in set(STEPS.values()) - {wb.Chain}:
            recipe = wb.Chain([kind(importance="texts/mine.txt") if kind is wb.Prune else kind()])
            shown = recipes.fields(recipe, 0, v)
            assert json.loads(json.dumps(shown)) == shown
            assert sum(field["main"] for field in shown) <= 2
            assert all(field["help"].endswith(".") and len(field["help"]) > 10 for field in shown)
            names |= {(v is plain, field["name"]) for field in shown}
    assert (False, "importance") in names
    assert (True, "importance") not in names  # of n-grams
    assert not any("random_state" in name for name in names)


# -- what steps save ----------------------------------------------------------------------


def test_each_step_says_what_it_saved(fasttext):
    recipe = wb.Chain([wb.Prune(300, 400), wb.Refit(), wb.PQ(6)])
    texts = recipes.effects(recipe, fasttext, {"bytes": 20_000, "ratio": 8.5})
    assert texts[0].startswith("0.17 → 0.04")
    assert texts[1] == "adds no bytes"
    assert texts[2].endswith("→ 0.02 MB")
    assert recipes.effects(wb.Chain([]), fasttext, {"bytes": 5, "ratio": 1}) == ()


def test_a_step_that_somebody_else_wrote_is_offered_and_shown(plain, fasttext):
    class FirstColumns(ValueStep):
        """Keep the first columns.

        Parameters
        ----------
        n_columns : int
            Columns to keep.
        """

        label = "First columns"
        blurb = "keeps the first columns."

        n_columns: int = parameter(4, "count", "Columns", 1, lambda v: v.dim)
        on: str = parameter("all", "choice", "Rows", choices=ROWS, of_ngrams=True)

        def _learn(self, part, which):
            return np.eye(part.shape[1], dtype=np.float32)[: self.n_columns]

        def _encode(self, part, which, learned):
            return Projected(Dense(part.rows(slice(None))[:, : self.n_columns]), learned)

    try:
        assert "FirstColumns" in [offer["kind"] for offer in recipes.addable(wb.Chain([]), plain)]
        recipe = recipes.added(wb.Chain([wb.Prune(300)]), "FirstColumns", None, plain)
        (field,) = recipes.fields(recipe, 1, plain)
        assert (field["low"], field["value"], field["high"], field["help"]) == (1, 4, plain.dim, "Columns to keep.")
        assert [field["name"] for field in recipes.fields(recipe, 1, fasttext)] == ["n_columns", "on"]
        assert recipes.predicted_bytes(recipe, plain) is None
        assert recipes.effects(wb.Chain([*recipe.steps, wb.SQ()]), plain, {"bytes": 9_000, "ratio": 4})[1:] == ("", "")
        assert recipe.fit_transform(plain)
    finally:
        del STEPS["FirstColumns"]
