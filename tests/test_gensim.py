"""gensim's objects and files, in and out: the same vectors, arrays shared, pickles only where that was allowed."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import made_fasttext
from gensim.models import Doc2Vec, FastText, KeyedVectors, TfidfModel, Word2Vec
from gensim.models.doc2vec import TaggedDocument
from gensim.models.fasttext import FastTextKeyedVectors
from gensim.test.utils import datapath
from gensim.utils import SaveLoad

import workbench as wb
from workbench import formats
from workbench.vocab import Vocab

SENTENCES = [["кошка", "cat", "naïve", "猫"], ["dog", "cat", "a", "猫"]] * 5
SMALL = {"vector_size": 8, "min_count": 1, "epochs": 1, "workers": 1, "seed": 1}
UNSEEN = ["unseen", "кот", "dogcat", "猫猫猫", "x"]


def keyed_vectors(keys, matrix=None):
    theirs = KeyedVectors(4)
    theirs.add_vectors(keys, np.arange(4.0 * len(keys), dtype=np.float32).reshape(-1, 4) if matrix is None else matrix)
    return theirs


def assert_same(ours, theirs, atol=1e-6):
    """Words in their order, the vectors of all, and of unseen words where there are n-grams."""
    assert ours.words == [str(key) for key in theirs.index_to_key]
    np.testing.assert_allclose(ours.matrix(), theirs.vectors, rtol=0, atol=atol)
    if ours.vocab.subwords is not None:
        np.testing.assert_allclose(ours[UNSEEN], [theirs.get_vector(word) for word in UNSEEN], rtol=0, atol=atol)


# -- objects in ----------------------------------------------------------------------------


@pytest.fixture(params=["KeyedVectors", "Word2Vec", "FastText", "Doc2Vec"], scope="module")
def model(request):
    if request.param == "KeyedVectors":
        return keyed_vectors(["a", "b", "кошка"])
    if request.param == "Word2Vec":
        return Word2Vec(SENTENCES, **SMALL)
    if request.param == "FastText":
        return FastText(SENTENCES, bucket=50, min_n=2, max_n=4, **SMALL)
    return Doc2Vec([TaggedDocument(words, [f"text {i}"]) for i, words in enumerate(SENTENCES)], **SMALL)


def test_a_model_in_memory_gives_its_vectors_and_shares_its_arrays(model):
    theirs = getattr(model, "wv", model)
    ours = wb.load(model)
    assert_same(ours, theirs)
    assert_same(wb.load(theirs), theirs)
    if theirs is not model:
        assert ours.vocab.counts.tolist() == [theirs.get_vecattr(key, "count") for key in theirs.index_to_key]
    assert ours.meta["provenance"] == {"source": f"gensim's {type(model).__name__}"}
    assert ours.origin == ""
    if ours.vocab.subwords is None:
        assert np.shares_memory(ours.storage.matrix, theirs.vectors)
    else:
        assert np.shares_memory(ours.storage.words.matrix, theirs.vectors_vocab)
        assert np.shares_memory(ours.storage.ngrams.matrix, theirs.vectors_ngrams)


def test_keys_that_are_no_strings_become_what_str_makes_of_them():
    ours = wb.load(keyed_vectors([7, np.int64(-2), "7 "]))
    assert ours.words == ["7", "-2", "7 "]
    with pytest.warns(UserWarning, match=r"^1 duplicate word \(such as '7'\)"):
        assert wb.load(keyed_vectors([7, "7", "x"])).words == ["7", "x"]
    texts = [TaggedDocument(words, [i]) for i, words in enumerate(SENTENCES)]
    assert wb.load(Doc2Vec(texts, **SMALL).dv).words == [str(i) for i in range(len(texts))]  # their tags


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_doubles_and_halves_become_float32(dtype):
    theirs = keyed_vectors(["a", "b"])
    theirs.vectors = theirs.vectors.astype(dtype)
    ours = wb.load(theirs).matrix()
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs.vectors)


@pytest.mark.parametrize(("min_n", "bucket"), [(0, 50), (1, 50), (2, 0)])
def test_with_ngrams_of_one_character_or_without_buckets_known_words_are_gensims(min_n, bucket):
    """gensim counts the marks alone as n-grams, which fastText does not."""
    theirs = FastText(SENTENCES, bucket=bucket, min_n=min_n, max_n=3, **SMALL).wv
    ours = wb.load(theirs)
    np.testing.assert_array_equal(ours.matrix(), theirs.vectors)
    assert ours.can_embed("unseen") == (bucket > 0)


def broken(**changes):
    theirs = keyed_vectors(["a", "b", "c"])
    vars(theirs).update(changes)
    return theirs


@pytest.mark.parametrize(
    ("thing", "telling"),
    [
        (KeyedVectors(4, count=3), "3 of its 3 places have no key yet"),
        (broken(vectors=np.full((3, 4), np.nan, np.float32)), r"row 0 \(word 'a'\) holds NaN"),
        (broken(vectors=np.zeros((2, 4), np.float32)), r"for each of 3 words, got \(2, 4\)"),
        (broken(index_to_key=["a", "b", "c\0"]), "NUL"),
        (broken(index_to_key=[]), "at least one word"),
        (broken(expandos={"count": np.ones(2, int)}), "counts must have one entry a word"),
        (
            broken(vectors_ngrams=np.zeros((9, 4)), vectors_vocab=np.zeros((3, 4)), bucket=10, min_n=2, max_n=3),
            r"expected 3 rows of words and 10 of n-grams with 4 columns, got arrays of shape \(3, 4\) and \(9, 4\)",
        ),
        *(
            (thing, "expected a path, 'builtin:en' or gensim's vectors, got")
            for thing in (7, ["a"], np.eye(3), object())
        ),
    ],
)
def test_an_object_that_does_not_fit_itself_or_is_no_model_is_refused(thing, telling):
    with pytest.raises((ValueError, TypeError), match=telling):
        wb.load(thing)


# -- files in ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model", "model.gz"])
def test_a_saved_model_opens_only_where_pickles_are_allowed(model, name, tmp_path):
    path = tmp_path / name
    model.save(str(path))
    with pytest.raises(ValueError, match="is a Python pickle, which can run code"):
        wb.load(path)
    ours = wb.load(path, allow_pickle=True)
    assert_same(ours, getattr(model, "wv", model))
    assert ours.meta["provenance"] == {"source": name, "source_bytes": path.stat().st_size}


def test_arrays_in_files_beside_are_mapped_and_missed_by_name(tmp_path):
    theirs = keyed_vectors(["a", "b", "c"])
    theirs.save(str(tmp_path / "model"), separately=["vectors"])
    ours = wb.load(tmp_path / "model", allow_pickle=True)
    assert isinstance(ours.storage.matrix.base, np.memmap)
    assert_same(ours, theirs)
    (tmp_path / "model").rename(tmp_path / "renamed")
    with pytest.raises(ValueError, match=r"renamed needs .*renamed\.vectors\.npy, which is not there"):
        wb.load(tmp_path / "renamed", allow_pickle=True)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pickle.dumps({"a": 1}), r"thing is no pickle that gensim 4\.[\d.]+ can open as its own"),
        (b"\x80\x04\x8c\x04gone\x8c\x05Class\x93.", r"thing is no pickle that gensim 4\.[\d.]+ can open as its own"),
        (pickle.dumps(TfidfModel([[(0, 1)], [(1, 1)]])), "holds gensim's TfidfModel, which has no vectors of words"),
    ],
)
def test_a_pickle_of_something_else_is_named(data, said, tmp_path):
    (tmp_path / "thing").write_bytes(data)
    with pytest.raises(ValueError, match=said):
        wb.load(tmp_path / "thing", allow_pickle=True)


@pytest.mark.parametrize("name", ["word2vec_3.3", "old_keyedvectors_320.dat", "model-from-gensim-3.8.0.w2v"])
def test_files_of_older_gensims_that_it_still_opens(name):
    theirs = SaveLoad.load(datapath(name))
    assert_same(wb.load(datapath(name), allow_pickle=True), getattr(theirs, "wv", theirs))


@pytest.mark.parametrize("name", ["fasttext_old", "ft_kv_3.6.0.model.gz", "word2vec_pre_kv_py3"])
def test_files_of_gensims_too_old_say_what_to_do(name):
    with pytest.raises(ValueError, match=r"with the gensim that wrote it, save model\.wv\.save_word2vec"):
        wb.load(datapath(name), allow_pickle=True)


# -- out -----------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    return lambda v, name="model.kv": wb.export(v, tmp_path / name, warn=False)


@pytest.mark.parametrize("name", ["model.kv", "model.kv.gz"])
def test_gensim_opens_what_is_written(plain, written, tmp_path, name):
    path = written(plain, name)
    assert list(tmp_path.iterdir()) == [path]
    theirs = KeyedVectors.load(str(path))
    assert type(theirs) is KeyedVectors
    assert theirs.index_to_key == plain.words
    np.testing.assert_array_equal(theirs.vectors, plain.matrix())
    assert theirs.get_vecattr(plain.words[3], "count") == plain.vocab.counts[3]
    assert theirs.most_similar(plain.words[0], topn=1)[0][0] == plain.most_similar(plain.words[0], topn=1)[0][0]
    theirs.add_vectors(["new", "newer"], np.ones((2, plain.dim)))
    assert theirs["newer"][0] == 1


@pytest.mark.parametrize("step", [None, wb.Prune(300, 900), wb.Rehash(901)], ids=str)
def test_gensim_puts_unseen_words_together(fasttext, written, step):
    """In our direction; it divides by n-grams that were pruned, too."""
    v = fasttext if step is None else step.fit_transform(fasttext)
    words = [word for word in ["bababa", "дудуду", "mimo", "zuzu"] if word not in v and v.can_embed(word)]
    assert len(words) > 1
    ours = v[words]
    for theirs in (FastTextKeyedVectors.load(str(written(v))), v.to_gensim(ngrams=True)):
        others = np.array([theirs.get_vector(word) for word in words])
        lengths = np.linalg.norm(others, axis=1) / np.linalg.norm(ours, axis=1)
        np.testing.assert_allclose(others, ours * lengths[:, None], rtol=0, atol=5e-6)
        assert (lengths <= 1 + 1e-5).all()
        np.testing.assert_array_equal(theirs.vectors, v.matrix())
        theirs.adjust_vectors()  # as after training
        np.testing.assert_allclose(theirs.vectors, v.matrix(), rtol=0, atol=5e-6)


def test_a_raw_model_comes_back_to_the_bit(fasttext, written):
    back = wb.load(written(fasttext), allow_pickle=True)
    assert back.vocab.subwords.raw
    np.testing.assert_array_equal(back.storage.rows(slice(None)), fasttext.storage.rows(slice(None)))
    assert formats.losses(fasttext, "model.kv") == []


def test_ngrams_go_to_gensim_where_they_are_asked_for_and_it_may_change_what_it_was_given(fasttext, plain):
    with pytest.raises(ValueError, match="no n-grams of fastText's; leave ngrams=False"):
        plain.to_gensim(ngrams=True)
    assert type(fasttext.to_gensim()) is KeyedVectors
    before = fasttext.words[:], fasttext.matrix()
    theirs = fasttext.to_gensim(ngrams=True)
    assert type(theirs) is FastTextKeyedVectors
    theirs.vectors[:], theirs.vectors_vocab[:], theirs.vectors_ngrams[:] = 0, 0, 0
    theirs.index_to_key.clear()
    assert fasttext.words == before[0]
    np.testing.assert_array_equal(fasttext.matrix(), before[1])


def test_the_same_words_make_the_same_file_however_they_came(written):
    v = made_fasttext(40)
    words = ["vectors", "a", "index_to_key", *v.words[3:]]  # names that the pickle holds anyway
    built = ["".join(list(word)) for word in words]
    files = set()
    for given in (words, built):
        vocab = Vocab(given, counts=v.vocab.counts, subwords=v.vocab.subwords)
        files.add(written(v.with_storage(v.storage, vocab)).read_bytes())
    assert len(files) == 1


def test_words_that_are_not_utf8_come_back(written):
    v = wb.Vectors.from_arrays(["caf\udce9", "New York", ""], np.eye(3, dtype=np.float32))
    assert wb.load(written(v), allow_pickle=True).words == v.words


@pytest.mark.parametrize("name", ["codes", "low_rank", "rehashed", "pruned"])
def test_files_of_compress_fasttext_are_read_without_it_and_stay_small(name):
    v = wb.load(Path(__file__).parent / "golden" / "compress_fasttext" / f"{name}.bin", allow_pickle=True)
    assert not v.storage.words.is_float32
    assert "compress_fasttext" not in sys.modules
