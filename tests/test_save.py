"""One file, written whole or not at all, and mapped when it is opened."""

import mmap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import described
from test_contracts import MODELS

import workbench as wb
from workbench.evaluate.cost import float32_bytes
from workbench.storage import Stacked
from workbench.vocab import Vocab

WORDS = ["unseen", "ласт"]


@pytest.fixture(params=["plain", "raw n-grams", "pruned", "pruned float16", "mixed"])
def model(request):
    return MODELS[request.param]


def assert_same(v, w):
    assert v.words == w.words
    np.testing.assert_array_equal(v.matrix(), w.matrix())
    np.testing.assert_array_equal(v.get_vectors(WORDS, missing="nan"), w.get_vectors(WORDS, missing="nan"))


# -- the file ------------------------------------------------------------------------------


def test_the_header_carries_version_recipe_and_source_in_one_key_in_a_fixed_order(plain, tmp_path):
    meta = {"recipe": [{"step": "SQ", "on": "all"}], "provenance": {"source": "x", "source_bytes": 1}}
    turned = {"provenance": {"source_bytes": 1, "source": "x"}, "recipe": [{"on": "all", "step": "SQ"}]}
    a, b = (wb.Vectors(plain.vocab, plain.storage, m).save(tmp_path / n) for m, n in ((meta, "a"), (turned, "b")))
    assert a.read_bytes() == b.read_bytes()
    about = described(MODELS["pruned float16"].save(tmp_path / "model"))
    assert about["format_version"] == 2
    assert "kind" not in about["subwords"]  # as version 2 has it
    assert wb.from_json(about["meta"]["recipe"]) == wb.Chain([wb.Prune(300, 300), wb.SQ()])
    assert about["meta"]["provenance"] == {"source": "made up"}


def test_opening_maps_the_file_and_copies_no_matrix(model, tmp_path):
    v = wb.load(model.save(tmp_path / "model"))
    for name, array in v.storage.arrays().items():
        if name.endswith("codebooks"):  # small, and float32 while in use
            continue
        assert array.flags.aligned, name  # in the file too, so that reading is fast
        assert not array.flags.writeable, name
        while isinstance(array, np.ndarray):
            array = array.base
        assert isinstance(array, mmap.mmap), name


# -- saving over a file --------------------------------------------------------------------


def test_saving_onto_the_very_file_that_is_mapped_works(model, tmp_path):
    path = model.save(tmp_path / "model")
    mapped = wb.load(path)
    mapped.save(path)
    assert_same(wb.load(path), model)
    fewer = mapped.head(2)
    fewer.save(path)
    assert_same(wb.load(path), fewer)
    assert_same(mapped, model)  # still reads the file that it was opened from


def test_threads_that_save_to_one_path_never_publish_half_a_file(tmp_path):
    v = wb.Vectors.from_arrays([str(i) for i in range(5_000)], np.ones((5_000, 100)))
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(lambda: wb.load(v.save(tmp_path / "model"))) for _ in range(12)]
    assert all(len(future.result()) == len(v) for future in done)
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


def test_the_first_words_are_found_without_taking_the_text_apart(tmp_path):
    words = ["", "a", "aa", "caf\udce9", "дом", "b"]
    v = wb.Vectors.from_arrays(words, np.arange(12.0).reshape(6, 2))
    again = wb.load(v.save(tmp_path / "m"))
    assert len(again) == 6
    assert [again.vocab.place(word) for word in words] == list(range(6))
    assert not any(word in again for word in ("A", "a\0aa", "\0", "\ud800", "caf"))
    assert "key_to_index" not in vars(again.vocab)
    for _ in range(50):
        np.testing.assert_array_equal(again["дом"], [8, 9])
    assert "key_to_index" in vars(again.vocab)
    assert again.words == words


@pytest.mark.parametrize("name", ["plain", "pruned codes"])
def test_rows_that_no_word_has_are_not_counted_fitted_or_saved(name, tmp_path):
    """A table with a row to spare for each word: its copy was "9.8 times smaller"."""
    lean = MODELS[name]
    words, ngrams = lean.storage.words, lean.storage.ngrams
    doubled = words.take(np.repeat(np.arange(len(words)), 2))
    vocab = Vocab(lean.words, np.arange(0, 2 * len(lean), 2), lean.vocab.counts, lean.vocab.subwords)
    table = lean.with_storage(doubled if ngrams is None else Stacked(doubled, ngrams), vocab)
    path = table.save(tmp_path / "table")
    again = wb.load(path)
    assert_same(again, table)
    assert len(again.storage.words) == len(lean) == len(wb.Prune().fit_transform(table).storage.words)
    assert path.stat().st_size == table.file_bytes == again.file_bytes
    assert float32_bytes(table) == float32_bytes(lean)
    if name == "plain":
        with pytest.raises(ValueError, match="centroids need as many rows at least, the words have 20"):
            wb.PQ(2, 5).fit(table.take(np.arange(20)).with_storage(doubled, table.vocab.take(np.arange(20))[0]))
