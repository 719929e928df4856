"""What is remembered between settings is what would be computed anew, to the bit."""

import copy
import io
import pickle

import numpy as np
import pytest
from conftest import made_fasttext, made_words

import workbench as wb
from workbench import progress, semantic, vocab
from workbench.compress import pq
from workbench.compress.builder import Builder
from workbench.evaluate import table
from workbench.evaluate.scorecard import quick_card
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
    wb.scorecard(v, v, n_words=300)
    assert v.vocab.factors is None or v.vocab.key_to_index


@pytest.mark.parametrize(
    ("make", "used"),
    [
        (lambda v, path: v, use),
        (lambda v, path: wb.load(v.save(path)), use),
        (lambda v, path: wb.Prune(300, remap="nearest").fit_transform(v), use),
        (lambda v, path: RECIPES[0].fit(v), lambda chain: chain.transform(made_fasttext())),
        (lambda v, path: semantic.SemanticIDs.from_vectors(v, 2, 8), lambda ids: ids.collisions()),
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


def outcome(builder: Builder, recipe: wb.Chain) -> tuple[bytes, str]:
    """The bytes of the file, and the card."""
    small = builder.build(recipe)
    card = quick_card(builder.original, small, None, 100, 40)
    small.write(file := io.BytesIO())
    return file.getvalue(), repr(card.to_numpy().tolist())  # NaN is not equal to itself


@pytest.fixture(scope="module")
def fresh():
    """What each recipe gives on a model that nothing was done with before."""
    found = []
    for recipe in RECIPES:
        pq._trained.clear()
        table._times_drawn.cache_clear()
        found.append(outcome(Builder(made_fasttext().adjusted()), recipe))
    return found


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_a_model_that_was_worked_on_gives_what_a_new_one_gives(fresh, seed):
    builder = Builder(made_fasttext().adjusted())
    for number in np.random.default_rng(seed).integers(len(RECIPES), size=10):
        assert outcome(builder, RECIPES[number]) == fresh[number]


def test_stopped_work_leaves_nothing_half_made(fresh):
    builder = Builder(made_fasttext().adjusted())
    for number, recipe in enumerate(RECIPES):
        for stop_at in (1, 2, 3, 5, 8):
            steps = iter(range(1, stop_at))

            def hear(what, share, steps=steps):
                if next(steps, None) is None:
                    raise progress.Stopped

            with pytest.raises(progress.Stopped), progress.told_to(hear):
                outcome(builder, recipe)
        assert outcome(builder, recipe) == fresh[number]


def test_changing_what_a_step_learned_does_not_change_the_next_one(fasttext):
    step = wb.PQ(4, n_bits=4).fit(fasttext)
    before = step.learned_["words"][0].copy()
    step.learned_["words"][0][:] = 0
    np.testing.assert_array_equal(wb.PQ(4, n_bits=4).fit(fasttext).learned_["words"][0], before)


@pytest.mark.parametrize("most", [0, 10**9], ids=["hashed anew", "remembered"])
def test_words_of_another_vocabulary_have_the_vectors_they_have_by_name(fasttext, plain, monkeypatch, most):
    monkeypatch.setattr(vocab, "MAX_CACHED_WORDS", most)
    words = Vocab([*fasttext.words[::2], *made_words(900, seed=5)[::2], "</s>", "", "ы"][::-1])
    rng = np.random.default_rng(0)
    recipes = (RECIPES[0], *RECIPES[4:7], wb.Chain([wb.Prune(300, 400), wb.Residual()]))
    for v in (fasttext, plain, *(recipe.fit_transform(fasttext) for recipe in recipes), fasttext):
        for index in (np.arange(len(words)), rng.permutation(len(words))[:50], np.array([3, 3]), np.arange(0)):
            named = v.get_vectors([words.words[i] for i in index], missing="nan")
            np.testing.assert_array_equal(v.vectors_of(words, index, missing="nan"), named)
    with pytest.raises(KeyError, match="'ы'"):
        plain.vectors_of(words, np.arange(3))
