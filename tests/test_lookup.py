"""The reader that people copy, and the page that describes our files: both true of every file that is written."""

import contextlib
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import described, made_fasttext, made_words
from safetensors import safe_open
from safetensors.numpy import load_file
from test_contracts import MODELS, STEPS, STORAGES
from test_hostile_artefact import file_of

import workbench as wb
from workbench.storage import Coded, Dense, Stacked
from workbench.subwords import FinalfusionBuckets, ListedNgrams, Subwords
from workbench.vocab import Vocab

PACKAGE = Path(wb.__file__).parent
READER = PACKAGE / "examples" / "lookup.py"
PAGE = PACKAGE / "format.md"

UNSEEN = ["zzzzz", "bakeliteness", "ласт", "ba", "б", "", "<", "<<b>>", "</s>", "日本語"]
UNSEEN += ["\udce9b", "x\udc80y", "ba\0ke"]
LISTED = ["ба", "<b", "ba", "<", "日本", "f\udce9"]


def with_ngrams(kind=Subwords, dim=5, **params) -> wb.Vectors:
    """A model of words that try a reader: broken UTF-8, the sentence mark, no letter at all."""
    words = ["</s>", "caf\udce9", "\udc80\udc80", "", "<", "дом", "\u2028", "日本", *made_words(40)]
    given = {"min_n": 1, "max_n": 3, "raw": True} | ({} if kind is ListedNgrams else {"n_buckets": 50}) | params
    subwords = kind(**given)
    rng = np.random.default_rng(4)
    own, ngrams = (Dense(rng.normal(size=(n, dim)).astype(np.float32)) for n in (len(words), subwords.n_rows))
    return wb.Vectors(Vocab(words, subwords=subwords), Stacked(own, ngrams))


def of_zeros() -> wb.Vectors:
    """Codes whose entries are 0 and -0, which differ in a bit."""
    zeros = np.array([[0.0, -0.0] * 2, [-0.0, 1.0] * 2], np.float32)
    packed = np.arange(4, dtype=np.uint8)[:, None] << 6
    return wb.Vectors(Vocab(list("abcd")), Coded(packed, zeros, np.array([(0, 2), (0, 2)], np.int32), 2, 1))


ODD = {
    "odd words, raw": with_ngrams(),
    "odd words": with_ngrams(raw=False),
    "odd words, residual": with_ngrams(raw=False, residual=True),
    "odd words, folded twice": with_ngrams(n_buckets=17, folded=(50, 31)),
    "rows of buckets in no order": with_ngrams(
        bucket_to_row=np.maximum(np.random.default_rng(0).permutation(50) - 10, -1)
    ),
    "one column": with_ngrams(dim=1),
    "finalfusion's buckets": with_ngrams(FinalfusionBuckets, n_buckets=64),
    "finalfusion's buckets, folded": with_ngrams(FinalfusionBuckets, n_buckets=17, folded=(64,), raw=False),
    "listed n-grams": with_ngrams(ListedNgrams, numbers=LISTED, raw=False),
    "listed n-grams that share rows": with_ngrams(
        ListedNgrams, numbers=LISTED, raw=False, residual=True, bucket_to_row=np.array([1, -1, 0, 1, 2, 0], np.int32)
    ),
    "words and no n-gram": wb.Prune(100, 1).fit_transform(made_fasttext()),
    "zeros": of_zeros(),
    **{f"storage: {name}": wb.Vectors(Vocab(made_words(40)), s) for name, s in STORAGES.items() if s.ngrams is None},
}


def steps_on(names):
    """What every step makes of these models, where it is not refused; `test_contracts` says where it is."""
    for model_name in names:
        for step_name, step in STEPS.items():
            with contextlib.suppress(ValueError):
                yield f"{step_name} on {model_name}", step.fit_transform(MODELS[model_name])


@pytest.fixture(scope="module")
def files(tmp_path_factory, builtin):
    """A file of every kind that there can be: {what it is: its path}."""
    folder = tmp_path_factory.mktemp("files")
    found = {}
    real = wb.Chain([wb.Prune(2_000, 4_000), wb.PQ(20, n_iter=3)]).fit_transform(builtin)
    models = [*MODELS.items(), *steps_on(["plain", "raw n-grams"]), *ODD.items(), ("a real model", real)]
    for name, model in models:
        found[name] = model.save(folder / f"{len(found)}.safetensors")
    found["version 1"] = folder / "old.safetensors"
    found["version 1"].write_bytes(of_version_1())
    return found


def of_version_1() -> bytes:
    """A file as version 1 wrote it: the numbers of shared rows not deflated."""
    matrix = np.arange(20, dtype=np.float32).reshape(5, 4)
    words = Vocab(list("abcdefgh"), counts=np.arange(8)[::-1])
    arrays = {f"vocab.{name}": array for name, array in words.arrays().items()}
    arrays |= {"storage.matrix": matrix, "vocab.row_of": np.array([0, 1, 2, 3, 4, 4, 3, 0], np.int32)}
    about = {"format_version": 1, "storage": {"kind": "dense"}, "subwords": None, "meta": {}}
    return file_of(arrays, about)


CHILD = """
import importlib.util, json, sys

spec = importlib.util.spec_from_file_location("lookup", sys.argv[1])
lookup = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lookup)
for path, words in json.load(sys.stdin):
    model = lookup.Lookup(path)
    for word in words:
        try:
            vector = model[word]
            print(vector.dtype, vector.shape, vector.tobytes().hex())
        except KeyError as error:
            print("KeyError", error.args == (word,))
others = {"workbench", "gensim", "pandas", "scipy", "numba", "sklearn"} & sys.modules.keys()
assert not others, f"needs more than numpy and safetensors: {others}"
"""


@pytest.mark.slow
def test_every_step_on_every_storage_is_read_to_the_bit(tmp_path):
    assert_same({name: model.save(tmp_path / name) for name, model in steps_on(MODELS)})


def test_vectors_are_ours_to_the_bit_with_numpy_and_safetensors_alone(files):
    assert_same(files)


def assert_same(files):
    """Words known and unseen have the vectors that the workbench gives them."""
    asked, expected = [], []
    for name, path in files.items():
        v = wb.load(path)
        words = [*v.words[:8], *v.words[8 :: 1 + len(v) // 12], *UNSEEN]
        asked.append((str(path), words))
        for word in words:
            try:
                vector = v[word]
                expected.append((name, word, f"{vector.dtype} {vector.shape} {vector.tobytes().hex()}"))
            except KeyError:
                expected.append((name, word, "KeyError True"))
    command = [sys.executable, "-I", "-c", CHILD, str(READER)]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(expected) > 2_000
    assert [(*of, line) for (*of, _), line in zip(expected, lines, strict=True)] == expected
    assert 0 < sum(line.startswith("KeyError") for line in lines) < len(lines) / 2


def reader():
    """The reader as a module."""
    spec = importlib.util.spec_from_file_location("lookup", READER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda about: about.update(format_version=99), ValueError, "has format version 99"),
        (lambda about: about["storage"].update(words={"kind": "hologram"}), ValueError, "kind of storage 'hologram'"),
        (lambda about: about["subwords"].update(kind="hologram"), ValueError, "kind of n-grams 'hologram'"),
        (lambda about: about["subwords"].update(surprise=1), TypeError, "surprise"),
    ],
)
def test_what_the_reader_does_not_know_is_refused_when_it_opens(change, error, said, files, tmp_path):
    about = described(files["pruned"])
    change(about)
    (tmp_path / "new").write_bytes(file_of(load_file(files["pruned"]), about))
    with pytest.raises(error, match=said):
        reader().Lookup(tmp_path / "new")


def test_the_reader_prints_a_vector_from_the_shell(files):
    command = [sys.executable, str(READER), str(files["plain"]), MODELS["plain"].words[0]]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    numbers = [float(number) for number in printed.strip(" []\n").split()]
    np.testing.assert_allclose(numbers, MODELS["plain"].matrix()[0], rtol=1e-5)


# -- the page ------------------------------------------------------------------------------


def test_the_page_names_every_array_and_every_parameter_of_every_file(files):
    page = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`\n]+)`", page))
    named |= {part for name in named for part in re.split(r"[.:, ]+", name)}

    def parameters(about):
        for key, value in about.items():
            yield key
            if isinstance(value, dict):
                yield from parameters(value)
            elif key == "kind":
                yield value

    for name, path in files.items():
        about = described(path)
        with safe_open(path, "np") as file:
            for array in file.keys():  # noqa: SIM118, it is no dict
                assert {*array.split("."), file.get_slice(array).get_dtype()} <= named, (name, array)
        assert set(about) | set(parameters(about["storage"])) | set(about["subwords"] or {}) <= named, name


def test_the_examples_of_the_page_run(tmp_path):
    MODELS["pruned codes"].save(tmp_path / "small.safetensors")
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert examples
    subprocess.run([sys.executable, "-c", "\n".join(examples)], cwd=tmp_path, check=True)


def test_the_page_and_the_reader_are_shipped():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = project["tool"]["setuptools"]["package-data"]["workbench"]
    assert {str(PAGE.relative_to(PACKAGE)), str(READER.parent.relative_to(PACKAGE) / "*.py")} <= set(shipped)
