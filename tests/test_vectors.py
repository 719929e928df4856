"""Looking up, neighbours (exact, whatever the blocks, ties in order), and the ways in and out of memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench import nearest
from workbench.nearest import blocks_of, greatest, nearest_rows
from workbench.storage import Dense
from workbench.vectors import unit
from workbench.vocab import Vocab


@pytest.fixture
def pets():
    return wb.Vectors.from_arrays(["cat", "dog", "car"], np.array([[1.0, 0], [0.8, 0.6], [0, 1]]))


def test_one_word_gives_a_vector_and_a_list_gives_a_matrix(pets):
    assert pets["cat"].shape == (2,)
    assert pets[["cat", "dog"]].shape == (2, 2)
    assert pets[[]].shape == (0, 2)
    assert (len(pets), pets.dim, pets.key_to_index["dog"]) == (3, 2, 1)
    assert list(pets) == pets.words == ["cat", "dog", "car"]


@pytest.mark.parametrize("many", [0, 10**9], ids=["tables", "decoded"])
@pytest.mark.parametrize("topn", [1, 10, 699, 5_000])
def test_most_similar_is_a_full_sort_of_the_decoded_cosines(plain, monkeypatch, many, topn):
    monkeypatch.setattr("workbench.storage.MIN_COMPILED_ROWS", many)
    small = wb.PQ(2, n_bits=3).fit_transform(plain)  # 64 different rows at most, so nearly all words tie
    query = plain.words[3]
    rows, of_word = np.unique(small.matrix(), axis=0, return_inverse=True)
    cosines = (unit(rows.astype(float)) @ unit(small[query].astype(float)))[of_word]  # of equal rows to the bit
    order = np.argsort(-cosines, kind="stable")
    expected = [small.words[i] for i in order if small.words[i] != query][:topn]
    found = small.most_similar(query, topn=topn)
    assert [word for word, _ in found] == expected
    np.testing.assert_allclose([s for _, s in found], cosines[[small.key_to_index[w] for w in expected]], atol=1e-5)


def test_most_similar_agrees_with_gensim(builtin):
    theirs, king = builtin.to_gensim(), builtin["king"]
    for question in (
        {"positive": ["music"]},
        {"positive": ["king", "woman"], "negative": ["man"]},
        {"positive": king},
        {"positive": [king, "woman"], "negative": ["man", builtin["music"]]},
        {"positive": [("king", 0.5), (king, -2), "woman"], "negative": [("man", 0.3)]},
        {"negative": "music"},
    ):
        ours, expected = (v.most_similar(**question, topn=10) for v in (builtin, theirs))
        assert [w for w, _ in ours] == [w for w, _ in expected]
        np.testing.assert_allclose([s for _, s in ours], [s for _, s in expected], atol=1e-5)
    for a in (king, "king"):
        assert builtin.similarity(a, "queen") == pytest.approx(theirs.similarity("king", "queen"), abs=1e-6)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda v: v["x" * 10**6], "no n-grams: 'xxx"),
        (lambda v: v[3:4], "several words"),
        (lambda v: v[["cat", 3]], "got 3"),
        (lambda v: v.get_vectors(["x"], missing="skip"), "'error', 'zero' or 'nan'"),
        (lambda v: v.most_similar("cat", topn=None), "topn must be a whole number"),
        (lambda v: v.most_similar(np.ones(300)), "expected a vector of 2 finite numbers"),
        (lambda v: v.most_similar([("cat", "dog")]), "expected words, vectors, or"),
        (lambda v: v.head(0), "n >= 1, got 0"),
        (lambda v: v.take([0, 0, 1]), "none twice"),
        (lambda v: wb.Vectors.from_arrays(["a", 2], np.zeros((2, 2))), "word 1 is int"),
        (lambda v: wb.Vectors.from_arrays(["a", "b"], np.zeros((3, 2))), r"each of 2 words, got \(3, 2\)"),
        (lambda v: wb.Vectors.from_arrays(["a", "b"], np.zeros((2, 0))), "one row for each"),
        (lambda v: wb.Vectors.from_arrays([], np.zeros((0, 2))), "at least one word"),
        (lambda v: wb.Vectors.from_arrays(["a", "b"], np.array([[1.0, 2], [np.nan, 0]])), "row 1 .*'b'.* NaN"),
        (lambda v: wb.Vectors.from_arrays(["a", "b\0c"], np.eye(2)), "NUL"),
        (lambda v: wb.Vectors.from_arrays(["a", "\ud83d"], np.eye(2)), "word 1 .* is no text"),
        (lambda v: wb.Vectors.from_arrays(["a", "\udcc3\udca9"], np.eye(2)), "is no text"),  # a file gives one letter
        (lambda v: wb.Vectors(Vocab(["\ud83d"]), Dense(np.ones((1, 2), "f4"))), "word 0 .* is no text"),
        (lambda v: wb.Vectors(v.vocab, v.storage, {"n": np.int64(3)}), "JSON values.*int64"),
        (lambda v: wb.Vectors(v.vocab, v.storage, {"provenance": "x"}), "provenance of meta must be of type dict"),
        (lambda v: Dense(np.ones((1, 2), "f8")), "matrix of a dense storage must be an array"),
        (lambda v: wb.PQ(1).fit_transform(v.matrix()), "PQ takes Vectors"),
        (lambda v: wb.record("n", "7", abs=0, better="equal"), "n must be a finite number"),
    ],
)
def test_errors_name_the_cause_in_one_line(pets, call, said):
    with pytest.raises((KeyError, TypeError, ValueError), match=said) as caught:
        call(pets)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_what_a_model_remembers_cannot_be_written(fasttext):
    for array in (fasttext.norms, *fasttext.vocab.buckets(fasttext.vocab.subwords)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("size", [1e20, 1e30, 1e37, 1e-20, 1e-30, 1e-37])
def test_lengths_and_cosines_of_very_large_and_small_rows(plain, size):
    """Squares of float32 are infinite or 0 there: lengths were, and every cosine was 0 or NaN."""
    v = wb.Vectors.from_arrays(plain.words, plain.matrix() * np.float32(size))
    a, b = plain.words[:2]
    np.testing.assert_allclose(v.norms / size, plain.norms, rtol=1e-5)
    assert v.similarity(a, b) == pytest.approx(plain.similarity(a, b), abs=1e-5)
    np.testing.assert_allclose([s for _, s in v.most_similar(a)], [s for _, s in plain.most_similar(a)], atol=1e-5)


@pytest.mark.parametrize("counts", [[5, -1], [5, 0.2], [5, np.nan], [5, 2**63], [5, None], ["5", "1"]])
def test_counts_that_no_file_could_give_back_are_refused_with_the_word(counts):
    keyed = wb.Vectors.from_arrays(["a", "b"], np.eye(2)).to_gensim()
    keyed.expandos["count"] = np.array(counts)
    doors = (
        lambda: wb.Vectors.from_arrays(["a", "b"], np.eye(2), counts),
        lambda: Vocab(["a", "b"], counts=np.array(counts)),
        lambda: wb.load(keyed),
    )
    for door in doors:
        with pytest.raises(ValueError, match=r"counts must be whole numbers from 0 on, got .* for word . '[ab]'"):
            door()


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.binary().map(
    lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)


@settings(max_examples=50)
@given(
    st.dictionaries(TEXT, st.integers(0, 2**63 - 1), min_size=1, max_size=6),
    st.sampled_from(["f2", "<f4", ">f4", "f8", "i1", "u2"]),
    st.sampled_from([np.int64, np.float64, object]),
)
def test_whatever_is_accepted_is_there_again_after_saving(tmp_path_factory, words, dtype, counted_as):
    counts = np.array(list(words.values()), counted_as)
    if counted_as is np.float64:
        counts = counts // 2
    v = wb.Vectors.from_arrays(list(words), np.arange(2 * len(words)).reshape(-1, 2).astype(dtype), counts)
    again = wb.load(v.save(tmp_path_factory.mktemp("saved") / "v.safetensors"))
    assert again.words == list(words)
    np.testing.assert_array_equal(again.matrix(), v.matrix())
    np.testing.assert_array_equal(again.vocab.counts, counts.astype(np.int64))


def test_the_page_shows_words_that_are_not_utf8_and_escapes_html():
    v = wb.Vectors.from_arrays(["<b>", "caf\udce9"], np.ones((2, 2)))
    page = v._repr_html_()
    assert "&lt;b&gt;" in page
    page.encode("utf-8")


def test_the_head_of_an_adjusted_model_keeps_the_first_words_and_all_ngrams(fasttext):
    adjusted = fasttext.adjusted()
    assert not adjusted.is_composed
    assert len(adjusted.head(10**6)) == len(fasttext)
    for head in (fasttext.head(10), adjusted.head(10)):
        assert head.words == fasttext.words[:10]
        np.testing.assert_array_equal(head.matrix(), fasttext.matrix()[:10])
        np.testing.assert_array_equal(head["unseenest"], fasttext["unseenest"])


@pytest.mark.parametrize("k", [1, 7, 60, 99])
def test_the_greatest_are_those_of_a_full_sort(k):
    scores = np.random.default_rng(0).integers(5, size=(3, 60)).astype(np.float32)
    np.testing.assert_array_equal(greatest(scores, k), np.argsort(-scores, axis=1, kind="stable")[:, :k])


@pytest.mark.parametrize("block", [1, 7, 64, 8_192])
def test_rows_are_those_of_a_full_sort_in_blocks_of_any_size(block, monkeypatch):
    monkeypatch.setattr(nearest, "QUERIES", block)
    monkeypatch.setattr(nearest, "CANDIDATES", block)
    rng = np.random.default_rng(0)
    rows = rng.integers(-2, 3, size=(300, 4)).astype(np.float32)  # products are exact, and many are equal
    rows[rng.permutation(300)[:40]] = np.nan
    own = rng.permutation(300)[:50]
    own[::5] = -1
    queries = rng.integers(-2, 3, size=(50, 4)).astype(np.float32)
    queries[::7] = np.nan
    places, scores = nearest_rows(queries, blocks_of(rows), 10, own)
    products = queries @ rows.T
    products[np.isnan(products)] = -np.inf
    products[own >= 0, own[own >= 0]] = -np.inf
    expected = np.argsort(-products, axis=1, kind="stable")[:, :10]
    expected[::7] = -1
    np.testing.assert_array_equal(places, expected)
    found = places >= 0
    np.testing.assert_array_equal(scores[found], np.take_along_axis(products, places, axis=1)[found])
    assert np.isnan(scores[~found]).all()


@pytest.mark.parametrize("n", [3, 20, 600])
def test_equal_rows_have_as_many_neighbours_as_others(n):
    same, k = unit(np.ones((n, 2), np.float32)), min(n - 1, 10)
    places, _ = nearest_rows(same, blocks_of(same), k, np.arange(n))
    assert places.tolist() == [[i for i in range(n) if i != row][:k] for row in range(n)]


def test_where_candidates_are_few_the_rest_is_missing():
    places, scores = nearest_rows(np.eye(2, dtype=np.float32), [np.eye(2, dtype=np.float32)], 3, np.arange(2))
    assert places.tolist() == [[1, -1, -1], [0, -1, -1]]
    assert np.isnan(scores[:, 1:]).all()
