"""What leaves: every format that is written, read again; what is lost is said first; an old file stays whole."""

import gzip
import warnings

import numpy as np
import pytest

import workbench as wb
from workbench import formats

NAMES = [name for name in formats.names() if name != formats.OWN]


def exported(v, path, format):
    """Written and read again, with what was warned of."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        wb.export(v, path, format)
    return wb.load(path, allow_pickle=True), [str(w.message) for w in warned]


@pytest.mark.parametrize("name", NAMES)
def test_words_and_vectors_come_back_to_the_bit(plain, tmp_path, name):
    back, _ = exported(plain, tmp_path / "model", name)
    assert back.words == plain.words
    assert np.array_equal(back.matrix(), plain.matrix())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_lost_is_what_was_said(fasttext, tmp_path, name):
    small = wb.Chain([wb.Prune(300, 900), wb.SQ("int8")]).fit_transform(fasttext)
    back, said = exported(small, tmp_path / "model", name)
    assert [sentence.split(" cannot hold ")[1] for sentence in said] == formats.losses(small, "model", name)
    assert any("n-grams" in sentence for sentence in said) == (back.vocab.subwords is None)
    assert any("how often" in sentence for sentence in said) == (back.vocab.counts is None)
    assert any("compression" in sentence for sentence in said)
    assert any("recipe" in sentence for sentence in said)
    np.testing.assert_allclose(back.matrix(), small.matrix(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_export_leaves_the_old_file_whole_and_nothing_beside(plain, tmp_path, monkeypatch, name):
    path = tmp_path / "model"
    wb.export(wb.Vectors.from_arrays(["old"], np.ones((1, 3), np.float32)), path, name)
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


def test_the_ending_of_the_name_decides_where_it_can(plain, tmp_path):
    wb.export(plain, tmp_path / "model.safetensors")
    assert wb.load(tmp_path / "model.safetensors").words == plain.words
    with pytest.warns(UserWarning, match="how often each word was seen"):
        packed = wb.export(plain, tmp_path / "new" / "model.vec.gz")
    assert gzip.decompress(packed.read_bytes()).startswith(b"700 12\n")
    with pytest.raises(ValueError, match="does not tell the format; say format=, one of word2vec, glove"):
        wb.export(plain, tmp_path / "model.txt")
    with pytest.raises(ValueError, match="does not tell the format; say format=, one of safetensors, "):
        wb.export(plain, tmp_path / "model.tar")
    with pytest.raises(ValueError, match="format 'onnx' cannot be written; there are safetensors, "):
        wb.export(plain, tmp_path / "model", "onnx")
    assert not list(tmp_path.glob("*.t*"))


def test_words_that_a_format_cannot_hold_are_left_out_and_named(tmp_path):
    v = wb.Vectors.from_arrays(["New York", "fine", "", "a\nb"], np.eye(4, dtype=np.float32))
    for name in ("word2vec", "word2vec-binary", "glove"):
        with pytest.warns(UserWarning, match=r"3 words that the format cannot hold, such as 'New York', '', 'a\\nb'"):
            wb.export(v, tmp_path / name, name)
        back = wb.load(tmp_path / name)
        assert (back.words, back["fine"].tolist()) == (["fine"], [0, 1, 0, 0])
