"""What `Prune`, chains, and steps as estimators promise."""

import numpy as np
import pytest
from sklearn.base import clone

import workbench as wb


def test_unused_buckets_go_first_and_cost_nothing(fasttext):
    small = wb.Prune(n_ngrams=10**9).fit_transform(fasttext)
    used = np.unique(fasttext.vocab.subwords.buckets(fasttext.words)[1])
    assert 0 < len(used) < len(fasttext.storage.ngrams)
    np.testing.assert_array_equal(np.flatnonzero(small.vocab.subwords.bucket_to_row >= 0), used)
    np.testing.assert_array_equal(small.matrix(), fasttext.matrix())


def test_ngrams_stay_by_share_times_norm(fasttext):
    small = wb.Prune(n_ngrams=50).fit_transform(fasttext)
    stayed = np.flatnonzero(small.vocab.subwords.bucket_to_row >= 0)
    rows, shares = fasttext.storage.ngrams.matrix, np.zeros(len(fasttext.storage.ngrams))
    for word in fasttext.words:
        buckets = fasttext.vocab.subwords.buckets([word])[1]
        np.add.at(shares, buckets, 1 / len(buckets))
    best = np.argsort(-shares * np.linalg.norm(rows, axis=1))[:50]
    np.testing.assert_array_equal(stayed, np.sort(best))
    np.testing.assert_array_equal(small.storage.ngrams.rows(slice(None)), rows[stayed])


def test_pruning_twice_is_pruning_once(fasttext):
    """In a chain: the n-grams that stay serve the words that went, so those must count."""
    once = wb.Prune(100, 80).fit_transform(fasttext)
    twice = wb.Chain([wb.Prune(100, 80), wb.Prune(100, 80)]).fit_transform(fasttext)
    np.testing.assert_array_equal(twice.matrix(), once.matrix())
    np.testing.assert_array_equal(twice.vocab.subwords.bucket_to_row, once.vocab.subwords.bucket_to_row)


def test_pruning_all_ngrams_leaves_words_that_can_be_quantised(fasttext):
    small = wb.Chain([wb.Prune(300, 0), wb.PQ(4)]).fit_transform(fasttext)
    assert small.can_embed(small.words[0])
    assert not small.can_embed("unseenest")


@pytest.mark.parametrize("step", [wb.SQ(on="ngrams"), wb.PQ(4, n_bits=4, on="ngrams")], ids=repr)
def test_storing_ngrams_in_another_way_leaves_known_words_as_they_were(fasttext, step):
    small = step.fit_transform(fasttext)
    np.testing.assert_array_equal(small.matrix(), fasttext.matrix())
    assert not np.array_equal(small["unseenest"], fasttext["unseenest"])


def test_steps_are_estimators_that_scikit_learn_can_clone():
    for step in [wb.Prune(100, 200), wb.Refit(strength=0.5, random_state=3), wb.Chain([wb.PQ(4, n_bits=5), wb.SQ()])]:
        assert clone(step) == step
    assert wb.PQ().set_params(n_bits=4).n_bits == 4
    with pytest.raises(ValueError, match="no parameter 'bits'"):
        wb.PQ().set_params(bits=4)


def test_numbers_from_numpy_are_as_good_as_pythons(plain, tmp_path):
    small = wb.PQ(np.int64(4), n_bits=np.uint8(5)).fit_transform(plain)
    small.save(tmp_path / "m")
    assert wb.from_json(small.meta["recipe"]) == wb.Chain([wb.PQ(4, n_bits=5)])


def test_what_a_step_cannot_be_applied_to_is_refused(plain):
    with pytest.raises(ValueError, match="call fit first"):
        wb.PQ(4).transform(plain)
    with pytest.raises(ValueError, match="fitted on 700 words, got 100"):
        wb.Prune(50).fit(plain).transform(plain.head(100))
    with pytest.raises(TypeError, match="takes a list of steps"):
        wb.Chain([wb.Refit]).fit_transform(plain)


def test_a_fitted_chain_transforms_as_it_did_when_fitted(fasttext):
    chain = wb.Chain([wb.Prune(300, 300), wb.Refit(n_unseen=100), wb.PQ(4)])
    small = chain.fit_transform(fasttext)
    np.testing.assert_array_equal(chain.transform(fasttext).matrix(), small.matrix())
