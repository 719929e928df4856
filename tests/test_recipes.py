"""Recipes as text: whatever is printed can be read again, and nothing is ever run."""

import contextlib
import inspect
import json
import re
import subprocess
import sys
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.base import clone

import workbench as wb
from workbench import artefact
from workbench.compress.base import STEPS, Step, parameter

KINDS = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(exclude_categories=[])),  # lone surrogates, too: paths that are not UTF-8 have them
    type(None): st.none() | st.integers(0, 10**9) | st.text(max_size=9),
}


def any_step(name: str) -> st.SearchStrategy[wb.PQ]:
    """A step with any parameters, whether they make sense or not."""
    parameters = inspect.signature(STEPS[name]).parameters.values()
    return st.builds(STEPS[name], **{p.name: KINDS[type(p.default)] for p in parameters})


class Pair:
    """A model of two others, as a network is one of many matrices."""

    made_by = "Pair(v, v)"
    step_advice = "; wrap it: Both(PQ())"

    def __init__(self, *parts, recipe=()):
        self.parts, self.recipe, self.nbytes = parts, list(recipe), sum(part.nbytes for part in parts)

    def lean(self):
        return self

    def noted(self, step):
        return Pair(*self.parts, recipe=[*self.recipe, step])


class Both(Step):
    """Apply a step to both parts.

    Parameters
    ----------
    of : Step
        What is applied.
    on
        As for `PQ`.
    """

    label = "Both parts"
    takes = Pair

    of: Step = parameter(None, "step", "Step", brief="{}")
    on: str = parameter("all", "choice", "Parts", choices=("all", "first"), brief="of {}")

    def _fit(self, v, reference):
        n = len(v.parts) if self.on == "all" else 1
        self.parts_ = [*(self.of.fit_transform(part) for part in v.parts[:n]), *v.parts[n:]]

    def _transform(self, v):
        return Pair(*self.parts_, recipe=v.recipe)


STEP = st.one_of([any_step(name) for name in STEPS if name != "Chain"])
STEP |= st.builds(Both, STEP | st.none(), on=st.sampled_from(["all", "first"]))
RECIPE = st.recursive(STEP, lambda inner: st.lists(inner, max_size=4).map(wb.Chain), max_leaves=8)
TWO = wb.Chain([wb.Prune(100, choose="coverage"), wb.PQ(4, norms=True)])


@given(RECIPE)
@example(wb.Chain([]))
@example(wb.Prune(importance="~/a b/'c\"\\\n\udce9"))
def test_what_is_printed_is_read_again(recipe):
    assert wb.recipe_from(repr(recipe)) == recipe
    assert wb.recipe_from(json.dumps(recipe.to_json())) == recipe
    assert wb.recipe_from(repr(recipe.to_json())) == recipe  # JSON values as Python shows them


@pytest.mark.parametrize(
    "text",
    [
        "Chain([Prune(n_words=100, choose='coverage'), PQ(n_subvectors=4, norms=True)])",
        "wb.Chain([wb.Prune(100, choose='coverage'), workbench.PQ(4, norms=True)])",
        "Chain(steps=(Prune(100, choose='coverage'), PQ(4, norms=True)))",
        "[Prune(100, choose='coverage'), PQ(4, norms=True)]",
        "Prune(100, choose='coverage'), PQ(4, norms=True)",
        "  # words first\r\nPrune(100,\r\n choose='cover' 'age'),\r\n\r\nPQ(+4, norms=True),  # then codes\r\n",
        "[{'step': 'Prune', 'n_words': 100, 'choose': 'coverage'}, PQ(4, norms=True)]",
        '[{"step": "Prune", "n_words": 100, "choose": "coverage"}, {"step": "PQ", "n_subvectors": 4, "norms": true}]',
    ],
)
def test_many_ways_to_say_the_same(text, tmp_path):
    assert wb.recipe_from(text) == TWO
    (tmp_path / "recipe.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())  # as editors on Windows save it
    assert wb.recipe_from(tmp_path / "recipe.txt") == wb.recipe_from(str(tmp_path / "recipe.txt")) == TWO


def test_a_file_of_a_model_or_of_text_gives_its_recipe_unless_its_name_is_one(plain, tmp_path, monkeypatch):
    recipe = wb.Chain([wb.Prune(300), wb.PQ(4, 4)])
    assert wb.recipe_from(recipe.fit_transform(plain).save(tmp_path / "m.safetensors")) == recipe
    with pytest.raises(ValueError, match=r"plain\.safetensors: .* made without a recipe"):
        wb.recipe_from(plain.save(tmp_path / "plain.safetensors"))
    header, _ = artefact.pack({}, {"network": {}, "meta": {"recipe": [wb.SQ().to_json()]}})
    (tmp_path / "network").write_bytes(header)
    assert wb.recipe_from(tmp_path / "network") == wb.Chain([wb.SQ()])
    monkeypatch.chdir(tmp_path)
    for name in ("PQ(4)", "mine (1).txt"):
        (tmp_path / name).write_text("SQ()")
    assert wb.recipe_from("PQ(4)") == wb.recipe_from('{"step": "PQ", "n_subvectors": 4}') == wb.PQ(4)
    assert wb.recipe_from("mine (1).txt") == wb.SQ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Prune(10), Prnue(10)", r"'Prnue' \(line 1, column 12\); did you mean Prune\? choose from Both, Chain, "),
        ("Prune(\n10),\n  pq()", r"unknown step 'pq' \(line 3, column 3\); did you mean PQ\?"),
        ("[PQ('é'), PQ(subvectors=4)]", r"'subvectors' \(line 1, column 11\); did you mean n_subvectors\?"),
        ('[{"step": "PQ"}, {"step": "QP"}]', r"unknown step 'QP' \(step 2\)"),
        ('{"step": "Chain", "steps": [{"step": "PQ", "bits": 4}]}', r"no parameter 'bits' \(step 1\); .*n_bits"),
        ("Residual(x=1)", "Residual has no parameter 'x'.*; it has none"),
        ("PQ(1, 2, 3, 4, 5, 6, 7)", r"at most 6 values \(n_subvectors, .*, got 7 \(line 1, column 1\)"),
        ("PQ(4, n_subvectors=4)", "PQ: n_subvectors must be given once"),
        ("PQ(n_bits=2 + 2)", r"expected a step, a number, .*, got 2 \+ 2"),
        ("PQ(n_bits=[4])", r"n_bits cannot be \[4\]"),
        ("PQ(n_bits=1e999)", "n_bits cannot be inf"),
        ('{"step": "PQ", "n_bits": NaN}', "n_bits cannot be nan"),
        ("PQ(n_bits=0x" + "f" * 5000 + ")", "a number of 20000 bits"),
        ("PQ(**{'n_bits': 4})", "given once, with its name"),
        ("Chain(PQ())", "expected a list of steps, got {'step': 'PQ'}"),
        ("Chain()", "expected a list of steps, got None"),
        ("Both(PQ(), PQ())", "Both: on cannot be {'step': 'PQ'}"),
        ("Both('PQ')", r"expected a step such as .*, got PQ \(within Both of line 1, column 1\)"),
        ('[{"step": "Both", "of": {"step": "QP"}}]', r"unknown step 'QP' \(within Both of step 1\); choose"),
        ("Both(wb.networks.PQ(subvectors=4))", r"'subvectors' \(line 1, column 6\); did you mean n_subvectors"),
        ("PQ(", r"no Python: .* \(line 1, column"),
        ("PQ", r"a step has brackets: PQ\(\)"),
        (" \n", "got nothing"),
        ("PQ('\ud800')", "not UTF-8"),
    ],
)
def test_errors_name_the_place_and_what_is_known(text, says):
    with pytest.raises(ValueError, match=says):
        wb.recipe_from(text)


INT8 = {"step": "SQ", "dtype": "int8", "n_bits": 4, "on": "all", "random_state": 0}
NESTED = {"step": "Both", "of": INT8, "on": "first"}


@pytest.mark.parametrize(
    "text",
    [
        "Both(SQ('int8'), on='first')",
        "networks.Both(of=wb.SQ('int8'), on='first')",
        "wb.networks.Both({'step': 'SQ', 'dtype': 'int8'}, 'first')",
        json.dumps(NESTED),
    ],
)
def test_a_step_may_be_a_parameter_of_another(text, plain):
    step = wb.recipe_from(text)
    assert step == Both(wb.SQ("int8"), on="first") == clone(step)
    assert step != Both(wb.SQ("float16"), on="first")
    assert step.to_json() == NESTED
    assert repr(step) == "Both(of=SQ(dtype='int8', n_bits=4, on='all', random_state=0), on='first')"
    assert step.brief() == "Both SQ int8 of first"
    assert Both.helps() == {"of": "What is applied.", "on": wb.PQ.helps()["on"]}
    small = wb.Chain([step, Both(wb.PQ(4, 4))]).fit_transform(Pair(plain, plain))
    assert wb.from_json(small.recipe) == wb.Chain([step, Both(wb.PQ(4, 4))])
    assert [len(part.meta["recipe"]) for part in small.parts] == [2, 1]


def test_steps_for_other_models_are_no_vector_steps_and_each_says_what_it_takes(plain):
    assert "Both" not in {*STEPS, *wb.__all__}
    with pytest.raises(TypeError, match=r"SQ takes Vectors, as from .*, got Pair; wrap it: Both\(PQ\(\)\)$"):
        wb.SQ().fit_transform(Pair(plain))
    with pytest.raises(TypeError, match=r"Chain takes Pair, as from Pair\(v, v\), got Vectors$"):
        wb.Chain([Both(wb.SQ())]).fit_transform(plain)
    with pytest.raises(ValueError, match=r"Both: of must be a step such as PQ\(\), got 'PQ'"):
        Both("PQ").fit(Pair(plain))
    for may_grow, made in ((True, contextlib.nullcontext()), (False, pytest.raises(ValueError, match="larger"))):
        changes = {"may_grow": may_grow, "_transform": lambda self, v: Pair(*v.parts, *v.parts)}
        with made:
            assert len(type("Twice", (Both,), changes)(wb.SQ()).fit_transform(Pair(plain)).parts) == 2
    with pytest.raises(TypeError, match="call it of"):
        type("Named", (Step,), {"__annotations__": {"step": Step}, "step": parameter(None, "step", "Step")})


def test_steps_for_networks_are_loaded_when_a_recipe_names_one():
    code = """import sys, workbench as wb
print("workbench.networks" in sys.modules, wb.recipe_from("DropLayers(1)"), "DropLayers" in wb.__all__)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False DropLayers(n_layers=1, which='top') False\n"


@pytest.mark.parametrize(
    "text",
    ["__import__('os').mkdir('was_run')", "PQ(__import__('os').mkdir('was_run'))", "os.mkdir('was_run')", "os.PQ()"],
)
def test_nothing_is_run(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="expected a step, a number"):
        wb.recipe_from(text)
    assert not list(tmp_path.iterdir())


HOSTILE = {
    "brackets": "(" * 60_000,
    "lists as JSON": "[" * 30_000 + "]" * 30_000,
    "chains": '{"step": "Chain", "steps": [' * 2_000,
    "sums": "PQ(" + "1+" * 30_000 + "1)",
    "digits": "PQ(n_bits=" + "9" * 60_000 + ")",
    "digits in JSON": '{"step": "PQ", "n_bits": ' + "9" * 60_000 + "}",
    "a long text": "PQ(" * 3_500_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_refused_with_a_short_word(text, tmp_path):
    start = time.process_time()
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        wb.recipe_from(text)
    (tmp_path / "file").write_text(text)
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / "file"))):
        wb.recipe_from(tmp_path / "file")
    assert len(str(refused.value)) < 500
    assert time.process_time() - start < 5  # no time is measured: it must not grow with the square of the text


@given(st.text(st.sampled_from("PQChain()[]{},=.'\"\\:-1e\n\0#wb"), max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ValueError, FileNotFoundError):
        assert isinstance(wb.recipe_from(text), wb.Chain | wb.PQ)


def test_what_is_no_text_is_refused():
    with pytest.raises(TypeError, match="from_json reads values"):
        wb.recipe_from({"step": "PQ"})
    with pytest.raises(FileNotFoundError, match=r"'gone\.json' is neither a file nor a recipe such as Chain"):
        wb.recipe_from("gone.json")
