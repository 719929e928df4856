"""fastText ``.ftz`` written: what the official library makes of it, codes that stay, and what quantising costs."""

import hashlib
import json

import numpy as np
import pytest
from conftest import made_fasttext, made_of_kind, made_plain
from golden.make_ftz_written import HERE, UNSEEN, models
from test_fasttext_write import MADE

import workbench as wb
from workbench import formats
from workbench.storage import Coded, Dense, Normed, Stacked
from workbench.subwords import FinalfusionBuckets, Subwords
from workbench.vocab import Vocab

WRITTEN = json.loads((HERE / "ftz_written.json").read_text(encoding="utf-8"))  # what the official library says


@pytest.fixture
def written(tmp_path):
    """The path of a model written as ``.ftz``, whatever is lost."""
    return lambda v: wb.export(v, tmp_path / "model.ftz", warn=False)


def error(v, back, words):
    """Mean squared error of vectors, as a share of their mean square."""
    expected, found = (x.get_vectors(words, missing="zero") for x in (v, back))
    return np.square(found - expected).mean() / np.square(expected).mean()


@pytest.mark.parametrize("name", WRITTEN)
def test_the_official_library_gives_the_vectors_of_files_that_were_written(name, written):
    v, said = models()[name], WRITTEN[name]
    assert formats.losses(v, "model.ftz") == []
    path = written(v)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == said["sha256"]
    for model in (v, wb.load(path)):
        for word, expected in said["vectors"].items():
            np.testing.assert_allclose(model.get_vectors([word], missing="zero")[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MADE)
def test_the_official_library_gives_the_same_vectors_as_ours(name, fasttext, written):
    library = pytest.importorskip("fasttext", reason="needs the official library")
    path = written(MADE[name](fasttext))
    ours, theirs = wb.load(path), library.load_model(str(path))
    assert theirs.get_words() == ours.words
    words = [*ours.words, *UNSEEN]
    expected = [theirs.get_word_vector(word) for word in words]
    np.testing.assert_allclose(ours.get_vectors(words, missing="zero"), expected, rtol=0, atol=1e-5)
    nearest = theirs.get_nearest_neighbors(ours.words[0], k=5)
    assert [word for _, word in nearest] == [word for word, _ in ours.most_similar(ours.words[0], topn=5)]


@pytest.mark.parametrize("name", MADE)
def test_what_quantising_costs(name, fasttext, written):
    """At most 0.0025 for any kind when this was written: normal numbers, 256 entries for two of them."""
    v = MADE[name](fasttext)
    back = wb.load(written(v))
    assert back.words == v.words
    assert back.is_composed == (v.vocab.subwords is not None)
    assert error(v, back, v.words) < 0.004
    if v.vocab.subwords is not None:
        unseen = [word[::-1] for word in v.words if v.can_embed(word[::-1]) and word[::-1] not in v]
        assert error(v, back, unseen) < 0.004
        assert [back.can_embed(word) for word in UNSEEN] == [v.can_embed(word) for word in UNSEEN]
    if v.vocab.counts is not None:
        assert back.vocab.counts.tolist() == v.vocab.counts.tolist()


def test_words_make_up_for_the_errors_of_their_ngrams(fasttext, written):
    """Own rows are what coded n-grams leave over, so that the error of a word is a share of that of one row."""
    back = wb.load(written(fasttext))
    unseen = [word[::-1] for word in fasttext.words if word[::-1] not in fasttext]
    assert error(fasttext, back, fasttext.words) < error(fasttext, back, unseen) / 4


def test_codes_of_ngrams_stay_and_unseen_words_have_the_same_vectors(written):
    for step, n_codes in ((wb.PQ(4, on="ngrams"), 4), (wb.PQ(5, on="ngrams"), 6)):
        v = wb.Chain([wb.Prune(3_000, 900), step]).fit_transform(made_fasttext(3_000))  # more lengths than entries
        back = wb.load(written(v))
        assert back.storage.words.inner.packed.shape[1] == n_codes  # of 12 numbers; five make no equal pieces
        is_kept = np.array_equal(back.storage.ngrams.inner.packed, v.storage.ngrams.packed)
        assert is_kept == (n_codes == 4)
        if is_kept:
            unseen = [word for word in UNSEEN if v.can_embed(word)]
            np.testing.assert_allclose(back.get_vectors(unseen), v.get_vectors(unseen), rtol=0, atol=1e-6)
            assert np.array_equal(np.unique(back.storage.ngrams.lengths.rows(slice(None))), [1])
        said = " | ".join(formats.losses(v, "model.ftz"))
        rows = "word rows" if is_kept else "rows"
        assert f"the digits of its {rows}: each becomes {n_codes} bytes of codes and one of its length" in said


@pytest.mark.parametrize("path", sorted((HERE / "ftz").glob("*.ftz")), ids=lambda path: path.stem)
def test_a_quantised_model_that_was_read_is_written_with_the_same_codes(path, written, tmp_path):
    v = wb.load(path)
    back = wb.load(written(v))
    assert back.words == v.words
    words = [*v.words, *UNSEEN]
    np.testing.assert_array_equal(back.get_vectors(words, missing="zero"), v.get_vectors(words, missing="zero"))
    again = wb.export(back, tmp_path / "again.ftz")
    assert again.read_bytes() == (tmp_path / "model.ftz").read_bytes()
    fewer = v.take(np.arange(len(v))[::-3])
    np.testing.assert_array_equal(wb.load(written(fewer)).matrix(), fewer.matrix())


def test_rows_that_words_share_and_borrow_are_written_for_each(written):
    made = models()["words"]
    v = made.with_storage(made.storage, Vocab(made.words, np.array([1, 0, 0, 2, 3, 4, 5, 5]), made.vocab.counts))
    np.testing.assert_array_equal(wb.load(written(v)).matrix(), v.matrix())
    scaled = Vocab(v.words, v.vocab.row_of, v.vocab.counts, scales=np.array([np.nan] * 7 + [2], np.float16))
    v = v.with_storage(v.storage, scaled)
    back = wb.load(written(v))
    np.testing.assert_allclose(back[v.words[7]], 2 * back[v.words[6]], rtol=1e-5)
    assert error(v, back, v.words) < 0.02  # the lengths make other entries the nearest ones


def test_few_rows_lose_nothing_and_zeros_stay_zeros(written):
    rows = np.array([[3, 4, 0, 1, 2], [0, 0, 0, 0, 0], [1, -1, 2, 0.5, 7]], np.float32)
    v = wb.Vectors.from_arrays(["a", "b", "c"], rows)
    np.testing.assert_allclose(wb.load(written(v)).matrix(), rows, rtol=0, atol=1e-5)
    many = made_plain(2_000)
    shrunk = many.matrix() * np.linspace(0, 1, len(many), dtype=np.float32)[:, None]  # lengths from 0 on
    assert not wb.load(written(wb.Vectors.from_arrays(many.words, shrunk))).matrix()[0].any()


def test_no_ngram_is_left(fasttext, written):
    v = wb.Prune(300, 0).fit_transform(fasttext)
    back = wb.load(written(v))
    assert error(v, back, v.words) < 0.004
    assert not back.can_embed("unseen")


def test_ngrams_that_are_not_fasttexts_are_left_out_and_that_is_said(written):
    v = made_of_kind("finalfusion")
    said = formats.losses(v, "model.ftz")
    assert said[0] == "its 2,048 n-grams, which are not fastText's: words outside the vocabulary have no vector"
    back = wb.load(written(v))
    assert back.vocab.subwords is None
    assert error(v, back, v.words) < 0.004
    made = models()["whole"]  # has codes as in a file, but with other n-grams they are not the words' own
    v = made.with_storage(made.storage, made.vocab.with_subwords(FinalfusionBuckets(3, 6, 16, raw=True)))
    assert error(v, wb.load(written(v)), v.words) < 0.02


def test_counts_below_one_are_said(fasttext):
    v = fasttext.with_storage(fasttext.storage, fasttext.vocab.with_counts(np.zeros(len(fasttext), np.int64)))
    assert "counts below 1: 700 words are said to have been seen once" in formats.losses(v, "model.ftz")


def test_more_codes_than_the_file_can_number_are_refused_at_once(tmp_path):
    n = 1 << 27
    vocab = Vocab(["a", "b"], subwords=Subwords(3, 6, n))
    v = wb.Vectors(vocab, Stacked(Dense(np.eye(2, 32, dtype=np.float32)), Dense.of_size(n, 32)))
    with pytest.raises(ValueError, match=r"134,217,730 rows of 16 codes are more than .* with Prune\(n_words"):
        wb.export(v, tmp_path / "model.ftz", warn=False)
    assert not list(tmp_path.iterdir())


def test_nan_is_refused_and_the_old_file_stays(fasttext, written, tmp_path):
    before = written(made_plain()).read_bytes()
    for part, telling in (("words", r"row 3 \(word "), ("ngrams", "n-gram row 3 holds NaN")):
        rows = {name: getattr(fasttext.storage, name).matrix.copy() for name in ("words", "ngrams")}
        rows[part][3, 1] = np.nan
        with pytest.raises(ValueError, match=telling):
            written(fasttext.with_storage(Stacked(Dense(rows["words"]), Dense(rows["ngrams"]))))
        assert (tmp_path / "model.ftz").read_bytes() == before
        assert len(list(tmp_path.iterdir())) == 1


def test_codes_that_the_file_cannot_have_are_quantised_anew(written):
    """Residual codes, codes of fewer bits, turned ones, and words and n-grams with codebooks of their own."""
    v = made_fasttext()
    for step in (wb.RQ(4), wb.PQ(12, n_bits=4), wb.OPQ(6), wb.PQ(6), wb.PQ(6, norms=True), wb.SQ("int8"), wb.SVD(8)):
        small = step.fit_transform(v)
        back = wb.load(written(small))
        assert error(small, back, v.words) < 0.004
        assert isinstance(back.storage.words, Normed)
        assert isinstance(back.storage.words.inner, Coded)
