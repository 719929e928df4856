"""Re-fitting n-grams, plain and as codes, and storing words as residuals from them."""

from itertools import pairwise

import numpy as np
import pytest

import workbench as wb
from workbench import kernels
from workbench.compress.refit import WeightedMeans, conjugate_gradients
from workbench.evaluate.fidelity import cosines
from workbench.vocab import is_for_fitting, made_up_words

ROWS = wb.Prune(3_000, 6_000)
QUANTISERS = [
    wb.PQ(25, on="ngrams"),
    wb.OPQ(20, n_rotations=2, on="ngrams"),
    wb.RQ(3, n_iter=5, on="ngrams"),
    wb.SQ("kmeans", n_bits=2, on="ngrams"),
    wb.Chain([wb.SVD(95, on="ngrams"), wb.PQ(20, on="ngrams")]),
]


def error_of(small: wb.Vectors, original: wb.Vectors, words: list[str]) -> float:
    """1 - mean cosine."""
    return 1 - float(cosines(small.get_vectors(words, "zero"), original.get_vectors(words, "zero")).mean())


@pytest.fixture(scope="module")
def pruned(builtin):
    return ROWS.fit_transform(builtin)


@pytest.fixture(scope="module")
def dropped(builtin, pruned):
    return [word for word in builtin.words if word not in pruned]


@pytest.fixture(scope="module")
def unseen(builtin):
    return made_up_words(builtin.words, 2_000, fitting=False, seed=9)


@pytest.fixture(scope="module")
def refitted(builtin, pruned):
    return wb.Refit(strength=0.3).fit_transform(pruned, builtin)


def test_made_up_words_for_fitting_and_for_scoring_never_meet(builtin, unseen):
    fitting = made_up_words(builtin.words, 500, fitting=True, seed=9)
    assert len(set(fitting)) == 500
    assert all(is_for_fitting(word) for word in fitting)
    assert not any(is_for_fitting(word) for word in unseen)
    assert not {*fitting, *unseen} & set(builtin.words)


# -- plain rows ---------------------------------------------------------------------------


def test_refit_brings_dropped_words_closer_and_leaves_others_as_they_were(builtin, pruned, dropped, unseen):
    refitted = wb.Refit().fit_transform(pruned, reference=builtin)
    assert error_of(refitted, builtin, dropped) < 0.85 * error_of(pruned, builtin, dropped)
    np.testing.assert_array_equal(refitted.matrix(), pruned.matrix())
    assert refitted.storage.nbytes == pruned.storage.nbytes
    assert error_of(refitted, builtin, unseen) < 1.02 * error_of(pruned, builtin, unseen)
    norms = [np.linalg.norm(v.get_vectors(unseen, "zero"), axis=1) for v in (refitted, pruned, builtin)]
    assert abs(np.median(norms[0] / norms[2]) - 1) < 0.1
    assert np.median(norms[1] / norms[2]) > 1.2  # pruning alone makes them longer


def test_strength_trades_dropped_words_for_unseen_ones_and_unseen_targets_help_these(builtin, pruned, dropped, unseen):
    steps = [wb.Refit(0.1, n_unseen=0), wb.Refit(3.0, n_unseen=0), wb.Refit(0.1, unseen_weight=1)]
    loose, firm, with_unseen = (step.fit_transform(pruned, builtin) for step in steps)
    assert error_of(loose, builtin, dropped) < error_of(firm, builtin, dropped)
    assert error_of(loose, builtin, unseen) > error_of(firm, builtin, unseen)
    assert error_of(loose, builtin, unseen) > error_of(with_unseen, builtin, unseen)


def test_weights_of_kept_and_of_frequent_words_bring_these_closer(builtin, pruned, dropped):
    steps = [wb.Refit(0.1, n_unseen=0, **weight) for weight in ({}, {"kept_weight": 1}, {"frequency": 1})]
    even, kept, frequent = (step.fit_transform(pruned, builtin) for step in steps)
    errors = [1 - cosines(v.matrix(), v.ngram_means(v.words)[0]).mean() for v in (even, kept)]
    assert errors[1] < 0.9 * errors[0]
    often = dropped[: len(dropped) // 10]
    assert error_of(frequent, builtin, often) < error_of(even, builtin, often)


@pytest.mark.parametrize("refit", [wb.Refit(n_unseen=0), wb.Refit(unseen_weight=0)], ids=repr)
def test_refit_with_nothing_to_fit_leaves_ngrams_as_they_are(fasttext, refit):
    pruned = wb.Prune(n_ngrams=1_000).fit_transform(fasttext)
    refitted = refit.fit_transform(pruned, fasttext)
    np.testing.assert_array_equal(refitted.storage.ngrams.rows(slice(None)), pruned.storage.ngrams.rows(slice(None)))


def test_what_cannot_be_refitted_is_refused(fasttext, plain):
    turned = wb.Chain([wb.Prune(300, 300), wb.SVD(6, on="ngrams")]).fit_transform(fasttext)
    turned.storage.ngrams.axes = turned.storage.ngrams.axes * np.float32(2)  # as files of others may have it
    for v, reference, message in (
        (fasttext, None, "reference="),
        (plain, plain, "Refit is for n-grams, and this model has none"),
        (turned, fasttext, "right angles"),
    ):
        with pytest.raises(ValueError, match=message):
            wb.Refit().fit(v, reference)


# -- the solvers on small problems --------------------------------------------------------


def problem(seed: int, n_words=60, n_rows=40, dim=6):
    """Random words over random rows: their means, targets, and rows to hold to."""
    rng = np.random.default_rng(seed)
    indptr = np.concatenate([[0], np.cumsum(rng.integers(0, 7, n_words))])
    means = WeightedMeans(indptr, rng.integers(n_rows, size=indptr[-1]), rng.random(n_words) + 0.1, n_rows)
    targets, prior = (rng.normal(size=(n, dim)).astype(np.float32) for n in (n_words, n_rows))
    return means, targets, prior


def test_conjugate_gradients_solve_the_ridge_problem():
    means, targets, start = problem(0)
    matrix = means.of(np.eye(40, dtype=np.float32)).astype(float)
    exact = np.linalg.solve(matrix.T @ matrix + np.eye(40), matrix.T @ (targets - matrix @ start))
    pulled = np.zeros_like(start)
    kernels.add_pulls(means.indptr, means.rows, means.weights, targets, pulled)
    np.testing.assert_allclose(pulled, matrix.T @ targets, atol=1e-5)
    found = start.copy()
    conjugate_gradients(means, found, pulled - means.pull(start), np.float32(1), 25)
    np.testing.assert_allclose(found - start, exact, atol=0.01)
    np.testing.assert_allclose(means.squares, np.square(matrix).sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize("bound", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_no_sweep_makes_the_objective_greater_and_none_is_left_to_gain(seed, bound):
    means, targets, prior = problem(seed)
    rng, spans = np.random.default_rng(seed), np.array([[0, 4], [4, 6]], np.int32)
    codebooks = rng.normal(size=(8, 6)).astype(np.float32)
    codes = rng.integers(8, size=(40, 2), dtype=np.uint8)

    def rows(codes: np.ndarray) -> np.ndarray:
        return np.concatenate([codebooks[codes[:, s], a:b] for s, (a, b) in enumerate(spans)], axis=1)

    def objective(codes: np.ndarray) -> float:
        return np.square(targets - means.of(rows(codes))).sum() + bound * np.square(rows(codes) - prior).sum()

    values = [objective(codes)]
    for _ in range(30):
        fixed = (*means.by_row(), means.weights, means.squares, np.float32(bound), prior)
        kernels.settle(*fixed, codes, codebooks, spans, targets - means.of(rows(codes)))
        values.append(objective(codes))
    assert all(after <= before * (1 + 1e-5) for before, after in pairwise(values))
    assert values[-1] < 0.8 * values[0]
    for row, s, entry in np.ndindex(40, 2, 8):  # no other code of any row is better
        other = codes.copy()
        other[row, s] = entry
        assert objective(other) >= values[-1] * (1 - 1e-4)


# -- rows that are codes ------------------------------------------------------------------


@pytest.mark.parametrize("quantiser", QUANTISERS, ids=repr)
def test_refit_makes_up_for_much_of_what_quantising_ngrams_did(builtin, refitted, dropped, unseen, quantiser):
    coded = quantiser.fit_transform(refitted)
    again = wb.Refit(strength=0.3, n_sweeps=2).fit_transform(coded, reference=builtin)
    for words, share in ((dropped, 0.8), (unseen, 0.95)):
        without, before, after = (error_of(v, builtin, words) for v in (refitted, coded, again))
        assert after - without < share * (before - without)
    assert again.storage.nbytes == coded.storage.nbytes
    assert again.storage.ngrams.kind == coded.storage.ngrams.kind
    np.testing.assert_array_equal(again.matrix(), coded.matrix())  # known words have rows of their own


@pytest.mark.parametrize("quantiser", [wb.SQ("float16", on="ngrams"), wb.PQ(4, n_bits=3, on="ngrams")], ids=repr)
def test_rows_that_nothing_asks_for_stay_as_they_are(fasttext, quantiser):
    coded = wb.Chain([wb.Prune(650, 1_000), quantiser]).fit_transform(fasttext)
    again = wb.Refit(strength=0, n_unseen=0).fit_transform(coded, fasttext)
    targets = [word for word in fasttext.words if word not in coded]
    used = np.isin(np.arange(1_000), coded.vocab.subwords.rows(targets)[1])
    before, after = (v.storage.ngrams.rows(slice(None)) for v in (coded, again))
    assert not used.all()
    assert np.isfinite(after).all()
    assert not np.array_equal(after[used], before[used])
    if isinstance(quantiser, wb.PQ):
        np.testing.assert_array_equal(again.storage.ngrams.codes[~used], coded.storage.ngrams.codes[~used])


def test_int8_rows_are_refitted_within_their_range(builtin, pruned, refitted, dropped):
    coded = wb.SQ("int8", on="ngrams").fit_transform(pruned)
    again = wb.Refit(strength=0.3).fit_transform(coded, builtin)
    assert again.storage.ngrams.matrix.dtype == np.int8
    assert error_of(again, builtin, dropped) < error_of(refitted, builtin, dropped) + 1e-3


def test_the_prior_is_the_original_and_not_what_quantising_left(builtin, pruned):
    far = wb.Chain([wb.Refit(0.01, n_unseen=0), wb.PQ(25, on="ngrams")]).fit_transform(pruned, builtin)
    held = wb.Refit(strength=30, n_unseen=0).fit_transform(far, builtin)
    rows, *others = (v.storage.ngrams.rows(slice(None)) for v in (pruned, far, held))
    away = [1 - cosines(rows, other).mean() for other in others]
    assert away[1] < 0.5 * away[0]


def test_codes_of_residuals_are_closer_than_codes_of_words(builtin, pruned):
    ngrams = wb.Chain([wb.PQ(20, on="ngrams"), wb.Refit(strength=0.3, kept_weight=1, n_sweeps=2)])
    v = ngrams.fit_transform(pruned, builtin)
    apart = wb.Residual().fit_transform(v)
    np.testing.assert_allclose(apart.matrix(), v.matrix(), atol=1e-5)
    np.testing.assert_array_equal(apart["catlike"], v["catlike"])
    plain, closer = (wb.PQ(10, on="words").fit_transform(model) for model in (v, apart))
    assert error_of(closer, builtin, v.words) < 0.5 * error_of(plain, builtin, v.words)
