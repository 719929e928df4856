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


def test_refit_brings_dropped_words_closer_and_leaves_kept_ones_alone(builtin):
    pruned = wb.Prune(3_000, 5_000).fit_transform(builtin)
    refitted = wb.Refit().fit_transform(pruned, reference=builtin)
    dropped = [w for w in builtin.words if w not in pruned]
    assert error_of(refitted, builtin, dropped) < 0.85 * error_of(pruned, builtin, dropped)
    np.testing.assert_array_equal(refitted.matrix(), pruned.matrix())
    assert refitted.storage.nbytes == pruned.storage.nbytes


def test_unseen_words_are_left_about_as_they_were(builtin):
    pruned = wb.Prune(3_000, 5_000).fit_transform(builtin)
    refitted = wb.Refit().fit_transform(pruned, reference=builtin)
    unseen = made_up_words(builtin.words, 2_000, fitting=False, seed=9)
    assert error_of(refitted, builtin, unseen) < 1.02 * error_of(pruned, builtin, unseen)
    norms = [np.linalg.norm(v.get_vectors(unseen, "zero"), axis=1) for v in (refitted, pruned, builtin)]
    assert abs(np.median(norms[0] / norms[2]) - 1) < 0.1  # pruning alone makes them half as long again
    assert np.median(norms[1] / norms[2]) > 1.3


def test_strength_trades_dropped_words_for_unseen_ones(builtin):
    pruned = wb.Prune(3_000, 5_000).fit_transform(builtin)
    dropped = [w for w in builtin.words if w not in pruned]
    unseen = made_up_words(builtin.words, 2_000, fitting=False, seed=9)
    loose, firm = (wb.Refit(strength=s, n_unseen=0).fit_transform(pruned, builtin) for s in (0.1, 3.0))
    assert error_of(loose, builtin, dropped) < error_of(firm, builtin, dropped)
    assert error_of(loose, builtin, unseen) > error_of(firm, builtin, unseen)


def test_ngrams_that_no_target_uses_stay_finite_without_a_prior(fasttext):
    pruned = wb.Prune(650, 1_000).fit_transform(fasttext)
    loose = wb.Refit(strength=0, n_unseen=0).fit_transform(pruned, fasttext)
    assert np.isfinite(loose.storage.ngrams.rows(slice(None))).all()


def test_unseen_targets_help_unseen_words(builtin):
    pruned = wb.Prune(3_000, 5_000).fit_transform(builtin)
    unseen = made_up_words(builtin.words, 2_000, fitting=False, seed=9)
    without, with_them = (
        wb.Refit(strength=0.3, n_unseen=n, unseen_weight=1).fit_transform(pruned, builtin) for n in (0, 20_000)
    )
    assert error_of(with_them, builtin, unseen) < error_of(without, builtin, unseen)


def test_made_up_words_for_fitting_and_for_scoring_never_meet(builtin):
    fitting, scoring = (set(made_up_words(builtin.words, 500, f, seed=0)) for f in (True, False))
    assert len(fitting) == len(scoring) == 500
    assert all(is_for_fitting(w) for w in fitting)
    assert not any(is_for_fitting(w) for w in scoring)
    assert not (fitting | scoring) & set(builtin.words)


@pytest.mark.parametrize("refit", [wb.Refit(n_unseen=0), wb.Refit(unseen_weight=0)], ids=repr)
def test_refit_with_nothing_to_fit_leaves_ngrams_as_they_are(fasttext, refit):
    pruned = wb.Prune(n_ngrams=1_000).fit_transform(fasttext)
    refitted = refit.fit_transform(pruned, fasttext)
    np.testing.assert_array_equal(refitted.storage.ngrams.rows(slice(None)), pruned.storage.ngrams.rows(slice(None)))


@pytest.mark.parametrize("refit", [wb.Refit(strength=float("nan")), wb.Refit(unseen_weight=-1)], ids=repr)
def test_weights_that_make_no_sense_are_refused(fasttext, refit):
    with pytest.raises(ValueError, match="must be a finite number of at least 0"):
        refit.fit(fasttext, reference=fasttext)


def test_refit_alone_needs_the_original(fasttext):
    pruned = wb.Prune(300, 200).fit_transform(fasttext)
    with pytest.raises(ValueError, match="reference="):
        wb.Refit().fit(pruned)


def test_refit_refuses_a_model_without_ngrams(plain):
    with pytest.raises(ValueError, match="this model has none"):
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


def test_codebooks_are_as_good_as_those_of_scikit_learn(plain):
    small = wb.PQ(1, n_bits=4, n_iter=100).fit_transform(plain)
    ours = ((small.matrix() - plain.matrix()) ** 2).sum()
    theirs = KMeans(16, init="random", n_init=1, random_state=0).fit(plain.matrix()).inertia_
    assert ours < 1.02 * theirs


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
    full = wb.PQ(4, n_bits=4).fit_transform(v).storage  # so many rows that early steps see a part
    numba.set_num_threads(1)
    try:
        one = wb.PQ(4, n_bits=4).fit_transform(v).storage
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    np.testing.assert_array_equal(one.packed, full.packed)
    np.testing.assert_array_equal(one.codebooks, full.codebooks)


def test_the_seed_decides(plain):
    a, b, c = (wb.PQ(4, n_bits=4, random_state=s).fit_transform(plain).matrix() for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize(
    ("step", "trouble"),
    [
        (wb.PQ(13), "at most 12 subvectors"),
        (wb.PQ(4, n_bits=9), "n_bits must be a whole number from 1 to 8, got 9"),
        (wb.PQ(0), "n_subvectors must be a whole number of at least 1"),
        (wb.PQ(4, on="rows"), "on must be one of"),
        (wb.PQ(4, on="ngrams"), "has no n-grams"),
        (wb.SQ("int4"), "dtype must be one of"),
        (wb.Prune(0), "n_words must be a whole number of at least 1, got 0"),
        (wb.Prune(2.5), "got 2.5"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(plain, step, trouble):
    with pytest.raises(ValueError, match=trouble):
        step.fit_transform(plain)


def test_too_few_rows_for_the_centroids_are_refused(plain):
    with pytest.raises(ValueError, match="256 centroids need as many rows"):
        wb.PQ(4).fit_transform(plain.head(200))


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


# -- recipes ----------------------------------------------------------------------------

RECIPE = wb.Chain([wb.Prune(100, 200), wb.Refit(strength=0.5, random_state=3), wb.PQ(4, n_bits=5), wb.SQ(on="words")])


def test_a_recipe_is_code_that_can_be_pasted():
    assert eval(repr(RECIPE), {name: getattr(wb, name) for name in wb.__all__ if name[0].isupper()}) == RECIPE


def test_a_recipe_survives_json_and_the_file(fasttext, tmp_path):
    import json

    assert wb.from_json(json.dumps(RECIPE.to_json())) == RECIPE
    chain = wb.Chain(RECIPE.steps[:3])
    chain.fit_transform(fasttext).save(tmp_path / "m")
    assert wb.from_json(wb.load(tmp_path / "m").meta["recipe"]) == chain


@pytest.mark.parametrize("recipe", [{"step": "os.system"}, {"step": "ValueStep"}, {"step": "PQ", "command": 1}, [{}]])
def test_a_recipe_with_unknown_names_is_refused(recipe):
    with pytest.raises(ValueError, match=r"unknown step|no parameter"):
        wb.from_json(recipe)


def test_steps_are_estimators_that_scikit_learn_can_clone():
    for step in [*RECIPE.steps, RECIPE]:
        assert clone(step) == step
    assert wb.PQ().set_params(n_bits=4).n_bits == 4
    with pytest.raises(ValueError, match="no parameter 'bits'"):
        wb.PQ().set_params(bits=4)


def test_numbers_from_numpy_are_as_good_as_pythons(plain, tmp_path):
    small = wb.PQ(np.int64(4), n_bits=np.uint8(5)).fit_transform(plain)
    small.save(tmp_path / "m")
    assert wb.from_json(small.meta["recipe"]) == wb.Chain([wb.PQ(4, n_bits=5)])


def test_a_step_that_was_not_fitted_says_so(plain):
    with pytest.raises(ValueError, match="call fit first"):
        wb.PQ(4).transform(plain)


def test_prune_fitted_on_one_vocabulary_is_not_applied_to_another(plain):
    with pytest.raises(ValueError, match="fitted on 700 words, got 100"):
        wb.Prune(50).fit(plain).transform(plain.head(100))


def test_a_chain_takes_steps_and_says_so(plain):
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
