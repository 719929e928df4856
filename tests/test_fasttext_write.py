"""fastText ``.bin`` written: raw rows to the bit, other models' vectors as they were, for every tool that reads it."""

import tracemalloc

import numpy as np
import pytest
from conftest import made_fasttext, made_of_kind, made_plain
from gensim.models.fasttext import load_facebook_model, load_facebook_vectors

import workbench as wb
from workbench import formats
from workbench.storage import Dense, Stacked
from workbench.vocab import Vocab

UNSEEN = ["unseen", "баба", "zzzz", "x", "baba-dudu", "мамамыла"]


def without_counts(v):
    return v.with_storage(v.storage, Vocab(v.words, subwords=v.vocab.subwords))


MADE = {  # what a model can have become, as a function of a raw one
    "raw": lambda v: v,
    "raw, counts unknown": without_counts,
    "adjusted": lambda v: v.adjusted(),
    "pruned": lambda v: wb.Prune(300, 900).fit_transform(v),
    "pruned and coded": lambda v: wb.Chain([wb.Prune(300, 900), wb.PQ(4, n_bits=4)]).fit_transform(v),
    "folded": lambda v: wb.Rehash(1_000).fit_transform(v),  # divides the number of buckets
    "folded twice": lambda v: wb.Chain([wb.Rehash(901), wb.Rehash(400)]).fit_transform(v),
    "residual": lambda v: wb.Chain([wb.Prune(300, 900), wb.Residual()]).fit_transform(v),
    "remapped": lambda v: wb.Prune(300, 900, choose="coverage", remap="nearest").fit_transform(v),
    "without n-grams": lambda v: made_plain(),
}


@pytest.fixture(params=MADE)
def v(request, fasttext):
    return MADE[request.param](fasttext)


@pytest.fixture
def written(tmp_path):
    """The path of a model written as ``.bin``, whatever is lost."""

    return lambda v: wb.export(v, tmp_path / "model.bin", "fasttext", warn=False)


def assert_same(v, words, known, unseen):
    """Words, the vectors of all of them, and what `unseen` gives for unseen ones, but for pruned buckets."""
    assert words == v.words
    np.testing.assert_allclose(known, v.matrix(), rtol=0, atol=5e-6)
    if v.vocab.subwords is not None:
        strings = [string for string in UNSEEN if string not in v]
        subwords = v.vocab.subwords
        left, whole = (np.diff(ragged(strings)[0])[:, None] for ragged in (subwords.rows, subwords.buckets))
        expected = v.get_vectors(strings, missing="zero") * left / np.maximum(whole, 1)
        np.testing.assert_allclose([unseen(string) for string in strings], expected, rtol=0, atol=5e-6)


def test_our_reader_and_gensim_give_the_vectors_back(v, written):
    path = str(written(v))
    back, theirs = wb.load(path), load_facebook_vectors(path)
    assert_same(v, back.words, back.matrix(), lambda word: back.get_vectors([word], missing="zero")[0])
    assert back.is_composed == (v.vocab.subwords is not None)
    assert_same(v, theirs.index_to_key, theirs.vectors, theirs.get_vector)
    whole = load_facebook_model(path)  # reads to the end of the file
    np.testing.assert_array_equal(whole.wv.vectors, theirs.vectors)
    if v.vocab.counts is not None:
        assert [theirs.get_vecattr(word, "count") for word in v.words] == v.vocab.counts.tolist()


def test_the_official_tool_gives_the_vectors_back(v, written):
    official = pytest.importorskip("fasttext").load_model(str(written(v)))
    known = np.array([official.get_word_vector(word) for word in v.words])
    assert_same(v, official.get_words(), known, official.get_word_vector)
    assert official.get_nearest_neighbors(v.words[0], k=3)


def test_raw_rows_stay_as_they_are_to_the_bit(fasttext, written):
    back = wb.load(written(fasttext))
    assert back.vocab.counts.tolist() == fasttext.vocab.counts.tolist()
    assert back.vocab.subwords.hashing == fasttext.vocab.subwords.hashing
    for part in ("words", "ngrams"):
        ours, theirs = (getattr(x.storage, part).matrix for x in (fasttext, back))
        np.testing.assert_array_equal(ours, theirs)


def test_the_end_of_sentence_has_no_ngrams(written):
    made = made_fasttext(50)
    vocab = Vocab(["</s>", *made.words[1:]], counts=made.vocab.counts, subwords=made.vocab.subwords)
    v = wb.Vectors(vocab, made.storage).adjusted()
    back = wb.load(written(v))
    np.testing.assert_array_equal(back.storage.words.rows(slice(0, 1))[0], v["</s>"])
    np.testing.assert_allclose(back.matrix(), v.matrix(), atol=5e-6)


def test_counts_below_one_are_written_as_one_and_that_is_said(written):
    v = wb.Vectors.from_arrays(["a", "b", "c"], np.eye(3, dtype=np.float32), np.array([5, 0, 0]))
    assert "counts below 1: 2 words are said to have been seen once" in formats.losses(v, "m", "fasttext")
    path = written(v)
    assert wb.load(path).vocab.counts.tolist() == [5, 1, 1]
    assert load_facebook_vectors(str(path)).index_to_key == v.words  # which leaves out words that were never seen


def test_what_becomes_of_the_buckets_is_said(fasttext):
    said = {name: " | ".join(formats.losses(make(fasttext), "m", "fasttext")) for name, make in MADE.items()}
    assert said["raw"] == ""
    assert "the pruning of 2,100 of 3,000 buckets: their rows become zeros" in said["pruned"]
    assert "all 3,000 will have a row, 0.1 MB of float32" in said["pruned"]
    assert "the size of its buckets: all 3,000 will have a row" in said["folded twice"]


def test_rows_of_buckets_are_written_block_by_block(tmp_path):
    """Those of 400,000 buckets, 32 MB, are never held at once."""
    v = wb.Prune(50, 100).fit_transform(made_fasttext(80, 400_000, 20).adjusted())
    tracemalloc.start()
    path = wb.export(v, tmp_path / "model.bin", "fasttext", warn=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16e6
    assert path.stat().st_size > 32e6


def test_nan_is_refused_before_it_is_in_a_file(fasttext, written, tmp_path):
    for part, telling in (("words", r"row 3 \(word "), ("ngrams", "n-gram row 3 holds NaN")):
        rows = {name: getattr(fasttext.storage, name).matrix.copy() for name in ("words", "ngrams")}
        rows[part][3, 1] = np.nan
        broken = fasttext.with_storage(Stacked(Dense(rows["words"]), Dense(rows["ngrams"])))
        with pytest.raises(ValueError, match=telling):
            written(broken)
    assert not list(tmp_path.iterdir())


def test_ngrams_that_are_not_fasttexts_are_left_out_and_that_is_said(written):
    v = made_of_kind("finalfusion")
    for name in ("fasttext", "gensim"):
        said = formats.losses(v, "model", name)
        assert said == ["its 2,048 n-grams, which are not fastText's: words outside the vocabulary have no vector"]
    back = wb.load(written(v))
    assert back.vocab.subwords is None
    np.testing.assert_array_equal(back.matrix(), v.matrix())
    with pytest.raises(ValueError, match="no n-grams of fastText's"):
        v.to_gensim(ngrams=True)
