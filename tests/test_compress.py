"""What each step promises."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans

import workbench as wb
from workbench import kernels
from workbench.compress.refit import WeightedMeans, conjugate_gradients
from workbench.evaluate.fidelity import cosines
from workbench.storage import Dense, Stacked
from workbench.vocab import is_for_fitting, made_up_words


def error_of(small: wb.Vectors, original: wb.Vectors, words: list[str]) -> float:
    """1 - mean cosine."""
    return 1 - float(cosines(small.get_vectors(words, "zero"), original.get_vectors(words, "zero")).mean())


# -- Prune ------------------------------------------------------------------------------


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


# -- Refit ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pruned(builtin):
    return wb.Prune(3_000, 5_000).fit_transform(builtin)


@pytest.fixture(scope="module")
def dropped(builtin, pruned):
    return [word for word in builtin.words if word not in pruned]


@pytest.fixture(scope="module")
def unseen(builtin):
    return made_up_words(builtin.words, 2_000, fitting=False, seed=9)


def test_refit_brings_dropped_words_closer_and_leaves_others_as_they_were(builtin, pruned, dropped, unseen):
    refitted = wb.Refit().fit_transform(pruned, reference=builtin)
    assert error_of(refitted, builtin, dropped) < 0.85 * error_of(pruned, builtin, dropped)
    np.testing.assert_array_equal(refitted.matrix(), pruned.matrix())
    assert refitted.storage.nbytes == pruned.storage.nbytes
    assert error_of(refitted, builtin, unseen) < 1.02 * error_of(pruned, builtin, unseen)
    norms = [np.linalg.norm(v.get_vectors(unseen, "zero"), axis=1) for v in (refitted, pruned, builtin)]
    assert abs(np.median(norms[0] / norms[2]) - 1) < 0.1
    assert np.median(norms[1] / norms[2]) > 1.3  # pruning alone makes them longer


def test_strength_trades_dropped_words_for_unseen_ones_and_unseen_targets_help_these(builtin, pruned, dropped, unseen):
    steps = [wb.Refit(0.1, n_unseen=0), wb.Refit(3.0, n_unseen=0), wb.Refit(0.1, unseen_weight=1)]
    loose, firm, with_unseen = (step.fit_transform(pruned, builtin) for step in steps)
    assert error_of(loose, builtin, dropped) < error_of(firm, builtin, dropped)
    assert error_of(loose, builtin, unseen) > error_of(firm, builtin, unseen)
    assert error_of(loose, builtin, unseen) > error_of(with_unseen, builtin, unseen)


def test_made_up_words_for_fitting_and_for_scoring_never_meet(builtin):
    fitting, scoring = (set(made_up_words(builtin.words, 500, f, seed=0)) for f in (True, False))
    assert len(fitting) == len(scoring) == 500
    assert all(is_for_fitting(w) for w in fitting)
    assert not any(is_for_fitting(w) for w in scoring)
    assert not (fitting | scoring) & set(builtin.words)


def test_ngrams_that_no_target_uses_stay_finite_without_a_prior(fasttext):
    few = wb.Prune(650, 1_000).fit_transform(fasttext)
    loose = wb.Refit(strength=0, n_unseen=0).fit_transform(few, fasttext)
    assert np.isfinite(loose.storage.ngrams.rows(slice(None))).all()


@pytest.mark.parametrize("refit", [wb.Refit(n_unseen=0), wb.Refit(unseen_weight=0)], ids=repr)
def test_refit_with_nothing_to_fit_leaves_ngrams_as_they_are(fasttext, refit):
    pruned = wb.Prune(n_ngrams=1_000).fit_transform(fasttext)
    refitted = refit.fit_transform(pruned, fasttext)
    np.testing.assert_array_equal(refitted.storage.ngrams.rows(slice(None)), pruned.storage.ngrams.rows(slice(None)))


def test_refit_needs_the_original_and_ngrams(fasttext, plain):
    with pytest.raises(ValueError, match="reference="):
        wb.Refit().fit(fasttext)
    with pytest.raises(ValueError, match="Refit is for n-grams, and this model has none"):
        wb.Refit().fit_transform(plain, reference=plain)


def test_conjugate_gradients_solve_the_ridge_problem():
    rng = np.random.default_rng(0)
    rows = [rng.choice(20, size=rng.integers(0, 6), replace=False) for _ in range(60)]
    weights = rng.uniform(0.1, 2, 60).astype(np.float32)
    targets = rng.normal(size=(60, 3)).astype(np.float32)
    start = rng.normal(scale=0.1, size=(20, 3)).astype(np.float32)
    means = np.zeros((60, 20))
    for i, chosen in enumerate(rows):
        means[i, chosen] = weights[i]
    indptr = np.cumsum([0] + [len(chosen) for chosen in rows])
    found = conjugate_gradients(
        WeightedMeans(indptr, np.concatenate(rows), weights, 20), start, targets, np.float32(0.1), 15
    )
    exact = np.linalg.solve(means.T @ means + 0.1 * np.eye(20), means.T @ (targets - means @ start))
    np.testing.assert_allclose(found, exact, atol=2e-3)


# -- PQ ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 9])
def test_every_row_gets_its_nearest_centroids(dim):
    rng = np.random.default_rng(dim)
    rows = rng.normal(size=(3_000, 2 * dim)).astype(np.float32)
    codebooks = rng.normal(size=(16, 2 * dim)).astype(np.float32)
    spans = np.array([[0, dim], [dim, 2 * dim]], np.int32)
    codes = kernels.encode(rows, codebooks, spans)
    for j, (a, b) in enumerate(spans):
        distances = ((rows[:, None, a:b].astype(float) - codebooks[None, :, a:b]) ** 2).sum(axis=2)
        chosen = np.take_along_axis(distances, codes[:, j, None].astype(int), axis=1)[:, 0]
        np.testing.assert_allclose(chosen, distances.min(axis=1), atol=1e-5)


def test_more_subvectors_are_closer(plain):
    errors = [error_of(wb.PQ(m, n_bits=5).fit_transform(plain), plain, plain.words) for m in (2, 4, 8, 12)]
    assert errors == sorted(errors, reverse=True)


def test_rows_that_are_all_alike_are_coded_exactly():
    v = wb.Vectors.from_arrays([f"w{i}" for i in range(600)], np.tile(np.float32([1, -2, 3, 4]), (600, 1)))
    np.testing.assert_array_equal(wb.PQ(2, n_bits=4).fit_transform(v).matrix(), v.matrix())


def test_empty_clusters_restart_where_rows_are_served_worst():
    """Three far groups, and a start at one and the same row."""
    rng = np.random.default_rng(0)
    groups = np.repeat([[0.0, 0], [50, 0], [0, 50]], [900, 50, 50], axis=0)
    points = (groups + rng.normal(size=(1000, 2))).astype(np.float32)
    codebooks = np.repeat(points[:1], 4, axis=0)
    spans = np.array([[0, 2]], np.int32)
    kernels.train(np.ascontiguousarray(points.T), codebooks, spans, 25)
    codes = kernels.encode(points, codebooks, spans)[:, 0]
    assert (np.bincount(codes, minlength=4) > 0).all()
    assert ((points - codebooks[codes]) ** 2).sum(axis=1).mean() < 2.5  # 2 is each group's own variance


@pytest.mark.parametrize("dim", [2, 3, 6])
def test_fast_training_comes_as_close_as_lloyds_steps_over_all_rows(dim):
    rng = np.random.default_rng(dim)
    rows = rng.standard_normal((16_000, dim)) * rng.gamma(1, size=(16_000, 1))  # some lie far out
    small = wb.PQ(1, n_bits=6, random_state=1).fit_transform(
        wb.Vectors.from_arrays([str(i) for i in range(16_000)], rows)
    )
    plainly = KMeans(64, init="random", n_init=1, max_iter=25, tol=0, random_state=0).fit(rows.astype(np.float32))
    assert ((small.matrix() - rows) ** 2).sum() < 1.01 * plainly.inertia_


def test_the_number_of_threads_changes_nothing():
    import numba

    v = wb.Vectors.from_arrays([str(i) for i in range(3_000)], np.random.default_rng(0).normal(size=(3_000, 12)))
    step = wb.OPQ(4, n_bits=4, n_rotations=1)  # PQ would find the codebooks of the first run
    full = step.fit_transform(v).storage.inner  # so many rows that early steps see a part
    numba.set_num_threads(1)
    try:
        one = step.fit_transform(v).storage.inner
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    np.testing.assert_array_equal(one.packed, full.packed)
    np.testing.assert_array_equal(one.codebooks, full.codebooks)


def test_the_seed_decides(plain):
    a, b, c = (wb.PQ(4, n_bits=4, random_state=s).fit_transform(plain).matrix() for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("step", [wb.PQ(3, on="words"), wb.SQ(on="words")], ids=repr)
def test_nan_is_refused_by_the_number_of_its_row(fasttext, step):
    matrix = fasttext.storage.words.matrix.copy()
    matrix[13, 1] = np.nan
    broken = fasttext.with_storage(Stacked(Dense(matrix), fasttext.storage.ngrams))
    with pytest.raises(ValueError, match="word row 13 "):
        step.fit_transform(broken)


# -- SQ ---------------------------------------------------------------------------------


def test_float16_loses_rounding_only_even_far_out_of_its_range():
    matrix = np.random.default_rng(0).uniform(-1, 1, size=(50, 3)) * [1e-9, 1, 3.4e38]
    v = wb.Vectors.from_arrays([f"w{i}" for i in range(50)], matrix)
    small = wb.SQ().fit_transform(v)
    assert (np.abs(small.matrix() - matrix).max(axis=0) <= 2**-11 * np.abs(matrix).max(axis=0)).all()


@pytest.mark.parametrize("step", [wb.SQ(on="ngrams"), wb.PQ(4, n_bits=4, on="ngrams")])
def test_storing_ngrams_in_another_way_leaves_known_words_as_they_were(fasttext, step):
    small = step.fit_transform(fasttext)
    np.testing.assert_array_equal(small.matrix(), fasttext.matrix())
    assert not np.array_equal(small["unseenest"], fasttext["unseenest"])


# -- estimators -------------------------------------------------------------------------


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


def test_pruning_all_ngrams_leaves_words_that_can_be_quantised(fasttext):
    small = wb.Chain([wb.Prune(300, 0), wb.PQ(4)]).fit_transform(fasttext)
    assert small.can_embed(small.words[0])
    assert not small.can_embed("unseenest")


def test_a_fitted_chain_transforms_as_it_did_when_fitted(fasttext):
    chain = wb.Chain([wb.Prune(300, 300), wb.Refit(n_unseen=100), wb.PQ(4)])
    small = chain.fit_transform(fasttext)
    np.testing.assert_array_equal(chain.transform(fasttext).matrix(), small.matrix())
