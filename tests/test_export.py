"""What leaves: every format that is written, read again; what is lost is said first; an old file stays whole."""

import os
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import made_fasttext
from gensim.models import KeyedVectors
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

import workbench as wb
from workbench import formats
from workbench.vocab import Vocab

DIGITS = {"ftz": 0.5}  # the largest error of a number, where rows are quantised; numbers are some 1, and spread by 1
NAMES = [name for name in formats.writable() if name != formats.OWN.name]


def exported(v, path, format):
    """Written and read again, with what was warned of."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        wb.export(v, path, format)
    return wb.load(path, allow_pickle=True), [str(w.message) for w in warned]


@pytest.mark.parametrize("name", sorted({*NAMES} - {"ftz"}))  # which is quantised
def test_words_and_vectors_come_back_to_the_bit(plain, tmp_path, name):
    back, _ = exported(plain, tmp_path / "model", name)
    assert back.words == plain.words
    if name == "finalfusion":  # holds directions and lengths: each number is rounded twice
        np.testing.assert_allclose(back.matrix(), plain.matrix(), rtol=2e-7, atol=0)
    else:
        assert np.array_equal(back.matrix(), plain.matrix())


@pytest.mark.parametrize("name", [*NAMES, "word2vec gz"])
def test_the_same_model_gives_the_same_bytes(fasttext, tmp_path, name):
    ending = ".gz" if name.endswith("gz") else ""
    written = []
    for folder in ("a", "b"):
        path = wb.export(fasttext, tmp_path / folder / f"model{ending}", name.split()[0], warn=False)
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
    assert not ending or written[0][0][4:8] == bytes(4)  # the time, in gzip


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(plain, tmp_path, monkeypatch):
    path = wb.export(plain, tmp_path / "model", "spacy", warn=False)
    before = sorted(tmp_path.rglob("*"))
    rename = Path.rename

    def broken(self, target):
        if self.name.endswith(".part"):
            raise OSError("the disk is gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        wb.export(plain.head(5), path, "spacy", warn=False)
    assert sorted(tmp_path.rglob("*")) == before
    assert len(wb.load(path)) == len(plain)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"gensim", "glove", "word2vec", "ftz"}))
def test_vectors_are_written_block_by_block(tmp_path, name):
    """gensim's pickle holds the matrix, text takes Python's numbers, and k-means a sample of 65,536 rows."""
    matrix = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.float32, (110_000, 100))
    v = wb.Vectors.from_arrays([f"w{i}" for i in range(len(matrix))], matrix)
    tracemalloc.start()
    wb.export(v, tmp_path / "model", name, warn=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < matrix.nbytes


@pytest.mark.parametrize("name", NAMES)
def test_what_is_lost_is_what_was_said(fasttext, tmp_path, name):
    small = wb.Chain([wb.Prune(300, 900), wb.SQ("int8")]).fit_transform(fasttext)
    back, said = exported(small, tmp_path / "model", name)
    assert [sentence.split(" cannot hold ")[1] for sentence in said] == formats.losses(small, "model", name)
    assert any("n-grams" in sentence for sentence in said) == (back.vocab.subwords is None)
    assert any("how often" in sentence for sentence in said) == (back.vocab.counts is None)
    assert any("compression" in sentence or "digits" in sentence for sentence in said)
    assert any("recipe" in sentence for sentence in said)
    np.testing.assert_allclose(back.matrix(), small.matrix(), rtol=1e-5, atol=DIGITS.get(name, 1e-5))


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_export_leaves_the_old_file_whole_and_nothing_beside(plain, tmp_path, monkeypatch, name):
    path = tmp_path / "model"
    wb.export(wb.Vectors.from_arrays(["old"], np.ones((1, 3), np.float32)), path, name, warn=False)
    before = sorted(tmp_path.rglob("*"))

    def broken(v, size=0):
        yield 0, v.storage.rows(slice(0, 5))
        raise OSError("no space left on device")

    monkeypatch.setattr(wb.Vectors, "blocks", broken)
    with pytest.raises(OSError, match="no space left"):
        wb.export(wb.Vectors.from_arrays(plain.words, plain.matrix()), path, name)
    monkeypatch.undo()
    assert sorted(tmp_path.rglob("*")) == before
    assert wb.load(path, allow_pickle=True).words == ["old"]


@pytest.mark.parametrize(
    ("name", "format", "why"),
    [
        ("model.txt", None, "does not tell the format; say format=, one of word2vec, glove"),
        ("model.bin", None, "does not tell the format; say format=, one of fasttext, word2vec-binary"),
        ("model.tar", None, "does not tell the format; say format=, one of safetensors, "),
        ("model", "onnx", "format 'onnx' cannot be written; there are safetensors, "),
        ("model", "npz", "format 'npz' cannot be written"),
    ],
)
def test_a_name_that_tells_no_format_and_an_unknown_format_are_refused(name, format, why, plain, tmp_path):
    with pytest.raises(ValueError, match=why):
        wb.export(plain, tmp_path / name, format)
    assert not list(tmp_path.iterdir())


ODD = ["New York", "fine", "", "a\nb", "a\u00a0b", "mark", "NOUN", "żółw", " ", "😀", "caf\udce9"]
BLANKS, BROKEN = ["New York", "", "a\nb", "a\u00a0b", " "], ["caf\udce9"]
LEFT_OUT = {
    **{"safetensors": [], "gensim": BROKEN, "finalfusion": BROKEN, "spacy": BROKEN},
    **{"word2vec": BLANKS, "word2vec-binary": BLANKS, "glove": BLANKS, "static-embedding": BLANKS + BROKEN},
    **{name: [word for word in BLANKS if word != "a\u00a0b"] for name in ("fasttext", "ftz")},  # blanks of ASCII alone
}


@pytest.mark.parametrize("name", formats.writable())
def test_words_that_a_format_cannot_hold_are_left_out_and_named(tmp_path, name):
    made, lost = made_fasttext(len(ODD)), LEFT_OUT[name]
    v = made.with_storage(made.storage, Vocab(ODD, counts=made.vocab.counts, subwords=made.vocab.subwords))
    back, said = exported(v, tmp_path / "model", name)
    assert back.words == [word for word in ODD if word not in lost]
    np.testing.assert_allclose(back.matrix(), v[back.words], rtol=1e-5, atol=DIGITS.get(name, 0))
    if back.vocab.counts is not None:
        assert back.vocab.counts.tolist() == [v.vocab.counts[v.key_to_index[word]] for word in back.words]
    if back.vocab.subwords is not None:
        np.testing.assert_allclose(back["unseen"], v["unseen"], rtol=1e-5, atol=DIGITS.get(name, 0))
    assert any(f"cannot hold {len(lost)} words" in sentence for sentence in said) == bool(lost)


def test_a_model_of_words_that_all_have_blanks_is_refused(tmp_path):
    with pytest.raises(ValueError, match="can hold none of the 5 words"):
        wb.export(made_of(BLANKS), tmp_path / "model", "word2vec", warn=False)
    assert not list(tmp_path.iterdir())


def test_every_format_says_what_it_loses_of_a_model_whose_words_it_cannot_hold():
    broken = wb.Vectors.from_arrays(["a\udcff", "b\udcff"], np.eye(2, dtype=np.float32))
    assert "2 words, such as" in formats.losses(broken, "m.fifu")[0]
    assert all(isinstance(known.losses(broken), list) for known in formats.writable().values())


# -- words and numbers that are hard to tell apart -------------------------------------------

LINES = ("word2vec", "word2vec-binary", "glove")  # a word a line, or an entry
HARD = [
    *["5", "3", "#", "#5", "-1e-3", "nan", "inf", '"', "'", "''quoted''", "a,b", "{}", "\\n", "<unk>", "</s>"],
    *["\ufeff", "caf\udce9", "\udcff\udcfe", "ж\udc80"],
]
GENSIM = {"word2vec": {}, "word2vec-binary": {"binary": True}, "glove": {"no_header": True}}


def made_of(words, dim=3, seed=0):
    return wb.Vectors.from_arrays(words, np.random.default_rng(seed).normal(size=(len(words), dim)).astype(np.float32))


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("first", range(0, len(HARD), 3))
def test_hard_words_and_those_that_are_not_utf8_come_back_here_and_in_gensim(tmp_path, name, first):
    v = made_of(HARD[first:] + HARD[:first])
    path = wb.export(v, tmp_path / "model", name)
    back = wb.load(path)
    assert back.words == v.words
    assert np.array_equal(back.matrix(), v.matrix())
    theirs = KeyedVectors.load_word2vec_format(str(path), **GENSIM[name], unicode_errors="surrogateescape")
    assert theirs.index_to_key == v.words
    assert np.array_equal(theirs.vectors, v.matrix())


@given(
    matrix=stnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(2, 3)),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
    name=st.sampled_from(LINES),
)
@example(matrix=np.frombuffer(b"bpYXabcd", np.float32)[None], name="word2vec-binary")
@settings(max_examples=50)
def test_any_numbers_come_back_to_the_bit(matrix, name, tmp_path_factory):
    """Also in a file so small that hardly anything tells text from floats."""
    words = ["5", "a", "#", "7e1"][: len(matrix)]
    path = wb.export(wb.Vectors.from_arrays(words, matrix), tmp_path_factory.getbasetemp() / "any", name)
    back = wb.load(path)
    assert back.words == words
    assert back.matrix().tobytes() == matrix.tobytes()


def test_one_dimension_in_glove_could_be_a_header_and_is_refused(tmp_path):
    v = wb.Vectors.from_arrays(["5"], np.full((1, 1), 3, np.float32))  # would be "5 3"
    with pytest.raises(ValueError, match="two dimensions at least, got 1; write word2vec text"):
        wb.export(v, tmp_path / "model.glove")
    assert not list(tmp_path.iterdir())
    assert wb.load(wb.export(v, tmp_path / "model.vec"))["5"].tolist() == [3]


# -- where to write -----------------------------------------------------------------------------


def test_a_folder_of_other_things_and_a_device_are_not_written_over(plain, tmp_path):
    (tmp_path / "diary").write_text("dear")
    with pytest.raises(ValueError, match="holds other things"):
        wb.export(plain, tmp_path, "spacy")
    assert (tmp_path / "diary").read_text() == "dear"
    for _ in range(2):  # the second takes the place of the first
        wb.export(plain, tmp_path / "new" / "model", "spacy", warn=False)
    os.mkfifo(tmp_path / "pipe")
    for name in formats.writable():
        with pytest.raises(ValueError, match=r"no ordinary file|is a file, and"):
            wb.export(plain, tmp_path / "pipe", name)
