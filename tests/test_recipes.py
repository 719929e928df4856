"""Recipes as text: whatever is printed can be read again, and nothing is ever run."""

import contextlib
import inspect
import json
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import workbench as wb
from workbench.compress.base import STEPS

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


STEP = st.one_of([any_step(name) for name in STEPS if name != "Chain"])
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
    monkeypatch.chdir(tmp_path)
    for name in ("PQ(4)", "mine (1).txt"):
        (tmp_path / name).write_text("SQ()")
    assert wb.recipe_from("PQ(4)") == wb.recipe_from('{"step": "PQ", "n_subvectors": 4}') == wb.PQ(4)
    assert wb.recipe_from("mine (1).txt") == wb.SQ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Prune(10), Prnue(10)", r"'Prnue' \(line 1, column 12\); did you mean Prune\? choose from Chain, "),
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
        ("PQ(", r"no Python: .* \(line 1, column"),
        ("PQ", r"a step has brackets: PQ\(\)"),
        (" \n", "got nothing"),
        ("PQ('\ud800')", "not UTF-8"),
    ],
)
def test_errors_name_the_place_and_what_is_known(text, says):
    with pytest.raises(ValueError, match=says):
        wb.recipe_from(text)


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
