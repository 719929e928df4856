"""Re-fitting n-grams that are codes, and storing of words what n-grams leave over."""

from itertools import pairwise

import numpy as np
import pytest
from test_compress import error_of

import workbench as wb
from workbench import kernels
from workbench.compress.refit import WeightedMeans
from workbench.evaluate.fidelity import cosines
from workbench.vocab import made_up_words

ROWS = wb.Prune(3_000, 6_000)
QUANTISERS = [
    wb.PQ(25, on="ngrams"),
    wb.OPQ(20, n_rotations=2, on="ngrams"),
    wb.RQ(3, n_iter=5, on="ngrams"),
    wb.SQ("kmeans", n_bits=2, on="ngrams"),
    wb.Chain([wb.SVD(95, on="ngrams"), wb.PQ(20, on="ngrams")]),
]


@pytest.fixture(scope="module")
def refitted(builtin):
    return wb.Chain([ROWS, wb.Refit(strength=0.3)]).fit_transform(builtin)


@pytest.mark.parametrize("quantiser", QUANTISERS, ids=repr)
def test_refit_makes_up_for_much_of_what_quantising_ngrams_did(builtin, refitted, quantiser):
    coded = quantiser.fit_transform(refitted)
    again = wb.Refit(strength=0.3, n_sweeps=2).fit_transform(coded, reference=builtin)
    dropped = [w for w in builtin.words if w not in coded]
    unseen = made_up_words(builtin.words, 2_000, fitting=False, seed=9)
    for words, share in ((dropped, 0.8), (unseen, 0.95)):
        without, before, after = (error_of(v, builtin, words) for v in (refitted, coded, again))
        assert after - without < share * (before - without)
    assert again.storage.nbytes == coded.storage.nbytes
    assert again.storage.ngrams.kind == coded.storage.ngrams.kind
    np.testing.assert_array_equal(again.matrix(), coded.matrix())  # known words have rows of their own


def problem(seed: int, n_words=60, n_rows=40, dim=6, n_entries=8):
    """Random words over random coded rows, and what `kernels.settle` takes."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 7, n_words)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    means = WeightedMeans(indptr, rng.integers(n_rows, size=indptr[-1]), rng.random(n_words) + 0.1, n_rows)
    codebooks = rng.normal(size=(n_entries, dim)).astype(np.float32)
    spans = np.array([[0, 4], [4, 6]], np.int32)
    codes = rng.integers(n_entries, size=(n_rows, 2), dtype=np.uint8)
    targets, prior = (rng.normal(size=(n, dim)).astype(np.float32) for n in (n_words, n_rows))
    return means, targets, prior, codes, codebooks, spans


def objective(means, targets, prior, codes, codebooks, spans, bound):
    rows = np.concatenate([codebooks[codes[:, s], a:b] for s, (a, b) in enumerate(spans)], axis=1)
    return np.square(targets - means.of(rows)).sum() + bound * np.square(rows - prior).sum()


def sweep(means, targets, prior, codes, codebooks, spans, bound):
    rows = np.concatenate([codebooks[codes[:, s], a:b] for s, (a, b) in enumerate(spans)], axis=1)
    left = targets - means.of(rows)
    arguments = (*means.by_row(), means.weights, means.squares, np.float32(bound), prior)
    kernels.settle(*arguments, codes, codebooks, spans, left)


@pytest.mark.parametrize("bound", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_no_sweep_makes_the_objective_greater_and_none_is_left_to_gain(seed, bound):
    means, targets, prior, codes, codebooks, spans = problem(seed)
    values = [objective(means, targets, prior, codes, codebooks, spans, bound)]
    for _ in range(30):
        sweep(means, targets, prior, codes, codebooks, spans, bound)
        values.append(objective(means, targets, prior, codes, codebooks, spans, bound))
    assert all(after <= before * (1 + 1e-5) for before, after in pairwise(values))
    assert values[-1] < 0.8 * values[0]
    for row in range(len(codes)):  # no other code of any row is better
        for s in range(len(spans)):
            for entry in range(len(codebooks)):
                other = codes.copy()
                other[row, s] = entry
                assert objective(means, targets, prior, other, codebooks, spans, bound) >= values[-1] * (1 - 1e-4)


def test_rows_that_nothing_asks_for_keep_their_codes_and_others_their_bits(fasttext):
    coded = wb.Chain([wb.Prune(650, 1_000), wb.PQ(4, n_bits=3, on="ngrams")]).fit_transform(fasttext)
    again = wb.Refit(strength=0, n_unseen=0).fit_transform(coded, fasttext)
    dropped = [word for word in fasttext.words if word not in coded]
    unused = np.setdiff1d(np.arange(1_000), coded.vocab.subwords.rows(dropped)[1])
    before, after = coded.storage.ngrams, again.storage.ngrams
    assert len(unused) > 0
    np.testing.assert_array_equal(after.codes[unused], before.codes[unused])
    assert not np.array_equal(after.codes, before.codes)
    assert after.packed.shape == before.packed.shape


def test_int8_rows_are_refitted_within_their_range(builtin):
    coded = wb.Chain([ROWS, wb.SQ("int8", on="ngrams")]).fit_transform(builtin)
    again = wb.Refit().fit_transform(coded, builtin)
    plain = wb.Chain([ROWS, wb.Refit()]).fit_transform(builtin)
    dropped = [w for w in builtin.words if w not in coded]
    assert again.storage.ngrams.matrix.dtype == np.int8
    assert error_of(again, builtin, dropped) < error_of(plain, builtin, dropped) + 1e-3


def test_the_prior_is_the_original_and_not_what_quantising_left(builtin):
    far = wb.Chain([ROWS, wb.Refit(strength=0.01, n_unseen=0), wb.PQ(25, on="ngrams")]).fit_transform(builtin)
    held = wb.Refit(strength=30, n_unseen=0).fit_transform(far, builtin)
    rows = wb.Prune(3_000, 6_000).fit_transform(builtin).storage.ngrams.rows(slice(None))
    away = [1 - cosines(rows, v.storage.ngrams.rows(slice(None))).mean() for v in (far, held)]
    assert away[1] < 0.5 * away[0]


def test_weight_of_kept_words_brings_their_ngrams_closer_to_them(builtin):
    means = []
    for weight in (0, 1):
        v = wb.Chain([ROWS, wb.Refit(n_unseen=0, kept_weight=weight)]).fit_transform(builtin)
        means.append(cosines(v.matrix(), v.ngram_means(v.words)[0]).mean())
    assert 1 - means[1] < 0.9 * (1 - means[0])


def test_axes_that_are_not_at_right_angles_are_refused(fasttext):
    coded = wb.Chain([wb.Prune(300, 300), wb.SVD(6, on="ngrams")]).fit_transform(fasttext)
    coded.storage.ngrams.axes = coded.storage.ngrams.axes * np.float32(2)
    with pytest.raises(ValueError, match="right angles"):
        wb.Refit().fit(coded, fasttext)


def test_frequency_favours_frequent_words(builtin):
    even, weighted = (
        wb.Chain([ROWS, wb.Refit(frequency=f, n_unseen=0, strength=0.1)]).fit_transform(builtin) for f in (0.0, 1.0)
    )
    dropped = [i for i, w in enumerate(builtin.words) if w not in even]
    counts = builtin.vocab.counts[dropped]
    often = [builtin.words[i] for i in np.array(dropped)[counts >= np.quantile(counts, 0.9)]]
    assert error_of(weighted, builtin, often) < error_of(even, builtin, often)


# -- Residual ---------------------------------------------------------------------------


def test_codes_of_what_ngrams_leave_over_are_closer_than_codes_of_words(builtin):
    ngrams = wb.Chain([ROWS, wb.PQ(20, on="ngrams"), wb.Refit(strength=0.3, kept_weight=1, n_sweeps=2)])
    v = ngrams.fit_transform(builtin)
    apart = wb.Residual().fit_transform(v)
    np.testing.assert_allclose(apart.matrix(), v.matrix(), atol=1e-5)
    np.testing.assert_array_equal(apart["catlike"], v["catlike"])
    plain, closer = (wb.PQ(10, on="words").fit_transform(model) for model in (v, apart))
    assert error_of(closer, builtin, v.words) < 0.5 * error_of(plain, builtin, v.words)
