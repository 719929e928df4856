"""What is remembered between settings is what would be computed anew, to the bit."""

import copy
import gc
import io
import pickle
import weakref

import numpy as np
import pytest
from conftest import made_fasttext, made_words
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench import kernels, progress, semantic, vocab
from workbench.compress import pq
from workbench.compress.builder import Builder
from workbench.compress.refit import WeightedMeans
from workbench.evaluate import table
from workbench.evaluate.scorecard import quick_card
from workbench.evaluate.table import interval
from workbench.packing import _compressed
from workbench.subwords import Subwords
from workbench.vocab import Vocab

RECIPES = [
    wb.Chain([wb.Prune(n_words=w, n_ngrams=n), wb.Refit(n_unseen=300, n_iter=3), wb.PQ(s, n_bits=4)])
    for w, n, s in ((300, 400, 6), (300, 400, 4), (300, 300, 6), (200, 400, 6))
] + [
    wb.Chain([wb.Prune(300, 400), wb.PQ(4, n_bits=4, on="ngrams"), wb.Refit(n_unseen=100, n_sweeps=1)]),
    wb.Chain([wb.Rehash(500), wb.Prune(250), wb.Refit(n_unseen=300, n_iter=2, random_state=1)]),
    wb.Chain([wb.Prune(300, remap="nearest"), wb.SQ()]),
    wb.Chain([wb.Prune(250, 200), wb.PQ(6, n_bits=4, norms=True, random_state=3)]),
]


def use(v: wb.Vectors) -> None:
    v.most_similar(v.words[0])
    v.get_vectors(v.words[:40])
    wb.scorecard(v, v)
    assert v.vocab.factors is None or v.vocab.key_to_index


def use_ids(ids: semantic.SemanticIDs) -> None:
    assert ids.n_unique
    assert ids[ids.items[0]]
    ids.collisions()


def fitted(v: wb.Vectors) -> wb.Chain:
    return wb.Chain([wb.Prune(300, 400), wb.Refit(n_unseen=100), wb.PQ(4, n_bits=4)]).fit(v)


@pytest.mark.parametrize(
    ("make", "used"),
    [
        (lambda v, path: v, use),
        (lambda v, path: wb.load(v.save(path)), use),
        (lambda v, path: wb.Prune(300, remap="nearest").fit_transform(v), use),
        (lambda v, path: fitted(v), lambda chain: chain.transform(made_fasttext())),
        (lambda v, path: semantic.SemanticIDs.from_vectors(v, 2, 8), use_ids),
    ],
    ids=["Vectors", "from a file", "remapped", "Chain", "SemanticIDs"],
)
def test_a_pickle_is_the_same_before_and_after_use(make, used, tmp_path):
    thing = make(made_fasttext(), tmp_path / "v.safetensors")
    before = pickle.dumps(thing)
    used(thing)
    assert pickle.dumps(thing) == before
    used(pickle.loads(before))
    used(copy.deepcopy(thing))


def forget() -> None:
    """Empty what is remembered apart from models, which keep the rest themselves."""
    pq._trained.clear()
    table._times_drawn.cache_clear()
    _compressed.cache_clear()


def outcome(builder: Builder, recipe: wb.Chain) -> tuple[bytes, list]:
    """The bytes of the file, and the card."""
    small = builder.build(recipe)
    card = quick_card(builder.original, small, None, 100, 40)
    small.write(file := io.BytesIO())
    return file.getvalue(), card.to_numpy().tolist()


def same(a: tuple[bytes, list], b: tuple[bytes, list]) -> bool:
    return a[0] == b[0] and repr(a[1]) == repr(b[1])  # NaN is not equal to itself


@pytest.fixture(scope="module")
def fresh():
    """What each recipe gives on a model that nothing was done with before."""
    found = []
    for recipe in RECIPES:
        forget()
        found.append(outcome(Builder(made_fasttext().adjusted()), recipe))
    return found


@pytest.mark.parametrize("n_examples", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_a_model_that_was_worked_on_gives_what_a_new_one_gives(fresh, n_examples):
    @settings(deadline=None, max_examples=n_examples)
    @given(order=st.lists(st.integers(0, len(RECIPES) - 1), min_size=2, max_size=8))
    def check(order):
        builder = Builder(made_fasttext().adjusted())
        for number in order:
            assert same(outcome(builder, RECIPES[number]), fresh[number])

    check()


def test_stopped_work_leaves_nothing_half_made(fresh):
    forget()
    builder = Builder(made_fasttext().adjusted())
    told = 0
    for number, recipe in enumerate(RECIPES):
        for stop_at in range(1, 12):

            def hear(what, share):
                nonlocal told
                told += 1
                if told == stop_at:  # noqa: B023
                    raise progress.Stopped

            told = 0
            try:
                with progress.told_to(hear):
                    outcome(builder, recipe)
            except progress.Stopped:
                continue
        assert same(outcome(builder, recipe), fresh[number])


def test_changing_what_a_step_learned_does_not_change_the_next_one(fasttext):
    forget()
    step = wb.PQ(4, n_bits=4).fit(fasttext)
    before = step.learned_["words"][0].copy()
    step.learned_["words"][0][:] = 0
    np.testing.assert_array_equal(wb.PQ(4, n_bits=4).fit(fasttext).learned_["words"][0], before)


def test_codebooks_are_kept_only_for_the_last_rows(fasttext):
    for seed in range(pq.MAX_TRAINED + 3):
        wb.PQ(2, n_bits=2, random_state=seed).fit(fasttext)
    assert len(pq._trained) == pq.MAX_TRAINED


@pytest.mark.parametrize("most", [0, 10**9], ids=["hashed anew", "remembered"])
def test_words_of_another_vocabulary_have_the_vectors_they_have_by_name(fasttext, plain, monkeypatch, most):
    monkeypatch.setattr(vocab, "MAX_CACHED_WORDS", most)
    words = Vocab([*fasttext.words[::2], *made_words(900, seed=5)[::2], "</s>", "", "ы"][::-1])
    rng = np.random.default_rng(0)
    smalls = [fasttext, plain, *(recipe.fit_transform(fasttext) for recipe in RECIPES)]
    smalls.append(wb.Chain([wb.Prune(300, 400), wb.Residual()]).fit_transform(fasttext))
    for v in smalls + smalls[::-1]:
        for index in (np.arange(len(words)), rng.permutation(len(words))[:50], np.array([3, 3]), np.arange(0)):
            named = v.get_vectors([words.words[i] for i in index], missing="nan")
            np.testing.assert_array_equal(v.vectors_of(words, index, missing="nan"), named)


def test_a_word_without_a_vector_is_named(plain):
    words = Vocab([plain.words[0], "nowhere"])
    with pytest.raises(KeyError, match="'nowhere'"):
        plain.vectors_of(words, np.arange(2))


def test_places_are_the_same_whichever_side_has_its_table():
    few, many = Vocab(made_words(60, seed=1)), Vocab(made_words(600, seed=2))
    expected = [few.words.index(word) if word in few.words else -1 for word in many.words]
    np.testing.assert_array_equal(many.places_in(few), expected)
    assert "key_to_index" not in vars(many)
    other = Vocab(few.words)
    assert many.key_to_index
    np.testing.assert_array_equal(many.places_in(other), expected)
    np.testing.assert_array_equal(many.places_in(many), np.arange(600))
    np.testing.assert_array_equal(many.places_in(few), expected)


def test_a_vocabulary_does_not_keep_another_alive():
    words, other = Vocab(made_words(50)), Vocab(made_words(20))
    words.places_in(other)
    gone = weakref.ref(other)
    del other
    gc.collect()
    assert gone() is None


def test_buckets_are_those_of_the_way_of_hashing_asked_for():
    words = Vocab(made_words(50))
    for subwords in (Subwords(3, 5, 100), Subwords(3, 5, 90), Subwords(2, 5, 100), Subwords(3, 5, 100).fold(30)):
        for found, expected in zip(words.buckets(subwords), subwords.buckets(words.words), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dim", [1, 51, 52, 53, 110])
def test_pulls_are_products_with_the_matrix_and_its_transpose(dim):
    rng = np.random.default_rng(dim)
    indptr = np.concatenate([[0], np.cumsum(rng.integers(0, 7, 60))])
    rows = rng.integers(20, size=indptr[-1]).astype(np.int32)  # some stand twice in a word
    means = WeightedMeans(indptr, rows, rng.random(60), 20)
    matrix = np.zeros((60, 20))
    np.add.at(matrix, (np.repeat(np.arange(60), np.diff(indptr)), rows), 1)
    matrix *= means.weights[:, None]
    x, targets = (rng.normal(size=(n, dim)).astype(np.float32) for n in (20, 60))
    np.testing.assert_allclose(means.pull(x), matrix.T @ (matrix @ x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(means.pull(x, targets), matrix.T @ (targets - matrix @ x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(means.squares, np.square(matrix).sum(axis=0), rtol=1e-5)
    # To the bit what two separate sums give, each in order of its segment.
    left = (targets - means.of(x)) * means.weights[:, None]
    np.testing.assert_array_equal(means.pull(x, targets), kernels.segment_sums(*means.by_row(), left))


def test_intervals_hold_the_true_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = [low <= 1 <= high for low, high in (interval(rng.exponential(size=200), seed=7) for _ in range(400))]
    assert 0.91 < np.mean(held) < 0.97


def test_intervals_depend_on_the_seed_and_not_on_what_is_remembered(monkeypatch):
    values = np.random.default_rng(0).normal(size=300).astype(np.float32)
    first = interval(values, seed=1)
    assert interval(values, seed=2) != first
    assert interval(values, seed=1) == first
    monkeypatch.setattr(table, "MAX_REMEMBERED", 0)
    np.testing.assert_allclose(interval(values, seed=1), first, atol=1e-6)
