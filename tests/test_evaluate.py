"""What each number means."""

import numpy as np
import pandas as pd
import pytest
from conftest import made_fasttext, made_words
from scipy.stats import spearmanr

import workbench as wb
from workbench.evaluate import fidelity, nearest, overlap, read_pairs, similarity
from workbench.evaluate.cost import float32_bytes
from workbench.evaluate.fidelity import choose_unseen
from workbench.evaluate.similarity import spearman
from workbench.evaluate.table import MAX_REMEMBERED, interval
from workbench.storage import Dense, Stacked
from workbench.vocab import is_for_fitting


@pytest.fixture(scope="module")
def small(fasttext):
    return wb.Chain([wb.Prune(300, 300), wb.PQ(6, n_bits=6)]).fit_transform(fasttext)


@pytest.fixture(scope="module")
def card(fasttext, small):
    return wb.scorecard(fasttext, small, pairs={}, n_queries=50, random_state=4)


def values(card) -> dict[tuple[str, str], float]:
    return {(r.metric, r.split): r.value for r in card.itertuples()}


def test_a_model_compared_with_itself_is_perfect(fasttext):
    found = values(wb.scorecard(fasttext, fasttext, pairs={}, n_queries=100))
    for metric in ("fidelity", "fidelity_p5", "norm_ratio", "coverage"):
        assert [found[metric, "kept"], found[metric, "unseen"]] == pytest.approx([1, 1], abs=1e-6)
    assert found["overlap@10", "all"] == 1
    assert ("fidelity", "dropped") not in found


def test_the_scorecard_is_tidy_and_says_how_sure_every_number_is(card):
    assert list(card.columns) == ["metric", "split", "value", "low", "high", "how", "n"]
    assert not card.duplicated(["metric", "split"]).any()
    assert card["how"].str.match("exact|sampled|timed").all()
    assert (card["n"] > 0).all()
    with_interval = card.dropna(subset=["low", "high"])
    assert len(with_interval)
    assert (with_interval["low"] <= with_interval["value"]).all()
    assert (with_interval["value"] <= with_interval["high"]).all()
    assert "<table" in card._repr_html_()


def test_the_seed_decides_everything_but_time_also_of_parts_alone(fasttext, small, card):
    untimed = card[~card["how"].str.startswith("timed")]
    of_parts = untimed[untimed["metric"].isin(["size", "ratio", "overlap@10"])].reset_index(drop=True)
    for parts, expected in ((("size", "fidelity", "overlap", "similarity"), untimed), (("size", "overlap"), of_parts)):
        again = wb.scorecard(fasttext, small, pairs={}, n_queries=50, random_state=4, parts=parts)
        pd.testing.assert_frame_equal(again, expected)


@pytest.mark.parametrize(
    ("other", "options", "error", "message"),
    [
        ("small.safetensors", {}, TypeError, "small must be Vectors, as from load"),
        (wb.Vectors.from_arrays(["a"], np.ones((1, 3))), {}, ValueError, "12 dimensions, the other 3"),
        (None, {"parts": ("sise",)}, ValueError, "unknown parts sise"),
        (None, {"unseen": "word"}, TypeError, "list of unseen words, got the string 'word'"),
        (None, {"unseen": made_fasttext().words[:3]}, ValueError, "none of the 3 unseen words given"),
    ],
    ids=["no model", "other dimensions", "unknown part", "a string", "known words"],
)
def test_what_cannot_be_compared_is_refused(fasttext, other, options, error, message):
    with pytest.raises(error, match=message):
        wb.scorecard(fasttext, fasttext if other is None else other, **options)


def test_fidelity_is_the_mean_cosine_and_its_weighted_twin_weighs_by_count(fasttext, small):
    found = values(fidelity(fasttext, small, []))
    a, b = fasttext.get_vectors(small.words), small.matrix()
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert found["fidelity", "kept"] == pytest.approx(cosine.mean(), abs=1e-6)
    assert found["fidelity_weighted", "kept"] == pytest.approx(np.average(cosine, weights=small.vocab.counts), abs=1e-6)
    assert found["fidelity_p5", "kept"] == pytest.approx(np.percentile(cosine, 5), abs=1e-6)


def test_words_without_a_vector_or_a_direction_and_longer_ones(plain):
    half = plain.head(350)
    lost = values(fidelity(plain, half, [])) | values(overlap(plain, half, n_queries=200))
    assert lost["coverage", "dropped"] == lost["fidelity", "dropped"] == lost["overlap@10", "dropped"] == 0
    assert (nearest(half, plain.words, plain.words[:5], 10)[0] < 350).all()  # they are nobody's neighbours
    assert [lost[name, "kept"] for name in ("coverage", "fidelity")] == pytest.approx([1, 1])
    matrix = plain.matrix()
    matrix[::10] = 0  # no direction to lose
    v, double = (wb.Vectors.from_arrays(plain.words, times * matrix, plain.vocab.counts) for times in (1, 2))
    found = values(fidelity(v, double, []))
    assert [found[name, "kept"] for name in ("norm_ratio", "fidelity", "fidelity_p5")] == pytest.approx([2, 1, 1])


def test_large_splits_are_sampled_and_say_so(fasttext, small):
    card = fidelity(fasttext, small, [], n_words=100)
    assert (card["n"] <= 100).all()
    assert card["how"].str.startswith("sampled, seed 0").all()


def test_unseen_words_are_in_neither_vocabulary_and_never_fitted_on(fasttext, small):
    given = [*made_words(2_000, seed=7), *fasttext.words]
    for unseen in (given, None):
        words, _ = choose_unseen(fasttext, small, unseen)
        assert len(words) > 100
        assert not set(words) & set(fasttext.words)
        assert not any(is_for_fitting(w) for w in words)
    other = wb.Vectors.from_arrays(["unseenly", "strange"], np.ones((2, 12)))
    assert "unseenly" not in choose_unseen(fasttext, other, ["unseenly", "unseenlyx", "unseenlyy"])[0]


def test_nearest_agrees_with_sorting_all_cosines(fasttext):
    queries = [*fasttext.words[:20], "unseenest"]
    places, cosines = nearest(fasttext, fasttext.words, queries, 7)
    unit = fasttext.matrix() / np.linalg.norm(fasttext.matrix(), axis=1, keepdims=True)
    for query, found, scores in zip(queries, places, cosines, strict=True):
        vector = fasttext[query]
        expected = unit @ vector / np.linalg.norm(vector)
        if query in fasttext:
            expected[fasttext.key_to_index[query]] = -2
        np.testing.assert_array_equal(found, np.argsort(-expected, kind="stable")[:7])
        np.testing.assert_allclose(scores, np.sort(expected)[::-1][:7], atol=1e-5)


def test_overlap_counts_shared_neighbours():
    """Four points on a line; moving one swaps a neighbour out."""
    before, after = (
        wb.Vectors.from_arrays(["a", "b", "c", "d"], np.stack([np.cos(angles), np.sin(angles)], axis=1))
        for angles in np.radians([[0, 10, 25, 60], [0, 10, 58, 60]])
    )
    # Nearest two before: a: b c, b: a c, c: b a, d: c b. After: a: b c, b: a c, c: d b, d: c b.
    found = values(overlap(before, after, k=2))
    assert found["overlap@2", "all"] == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    for n, expected in ((2, (1 + 1 + 0.5 + 1) / 4), (3, 1)):  # all three others, compared again, are as they were
        again = values(overlap(before, after, k=2, n_rescored=n))
        assert again["overlap@2", "all"] == found["overlap@2", "all"]
        assert again["overlap@2_rescored", "all"] == pytest.approx(expected)


def test_rescored_neighbours_are_those_found_that_were_nearest(plain):
    """Of 30 found by coarse codes, the true neighbours among them are the ones that rescoring keeps."""
    coarse = wb.PQ(2, n_bits=2).fit_transform(plain)
    card = wb.scorecard(plain, coarse, parts=("overlap",), n_queries=10_000, n_rescored=30).set_index("metric")
    true, _ = nearest(plain, plain.words, plain.words, 10)
    found, _ = nearest(coarse, plain.words, plain.words, 30)
    share = np.mean([np.isin(a, b).mean() for a, b in zip(true, found, strict=True)])
    rescored = card.loc["overlap@10_rescored"].query("split == 'all'").squeeze()
    assert rescored["value"] == pytest.approx(share, abs=1e-9)
    assert 0.05 < card.loc["overlap@10"].query("split == 'all'")["value"].item() < share - 0.05 < 0.95
    assert rescored["how"] == "exact; 30 rescored"


def test_neighbour_changes_are_kept_lost_and_gained(fasttext, small):
    changes = wb.neighbour_changes(fasttext, small, fasttext.words[:3], topn=5)
    for _, rows in changes.groupby("word"):
        assert rows["rank_before"].notna().sum() == rows["rank_after"].notna().sum() == 5
    both = changes["rank_before"].notna() & changes["rank_after"].notna()
    assert ((changes["status"] == "kept") == both).all()
    assert ((changes["status"] == "lost") == changes["rank_after"].isna()).all()


def test_spearman_agrees_with_scipy_ties_included():
    a, b = np.random.default_rng(0).integers(5, size=(2, 3, 40))
    np.testing.assert_allclose(spearman(a, b), [spearmanr(x, y)[0] for x, y in zip(a, b, strict=True)])


def pairs_of(v: wb.Vectors, n: int, noise: float, weight: float = 1.0) -> list[tuple[str, str, float]]:
    """Pairs of words with scores: similarities in a model, and noise."""
    rng = np.random.default_rng(0)
    pairs = [(v.words[i], v.words[j]) for i, j in rng.integers(len(v), size=(n, 2))]
    return [(a, b, weight * v.similarity(a, b) + noise * rng.normal()) for a, b in pairs]


def test_intervals_are_as_wide_as_theory_says(plain):
    for n in (400, MAX_REMEMBERED + 1):
        rows = np.random.default_rng(0).normal(size=n)
        low, high = interval(rows, seed=0)
        assert high - low == pytest.approx(2 * 1.96 * rows.std() / n**0.5, rel=0.1)
    card = similarity(plain, plain, {"noisy": pairs_of(plain, 400, noise=1)}).set_index("metric")
    value, low, high = card.loc["similarity", ["value", "low", "high"]]
    assert high - low == pytest.approx(2 * 1.96 * (1 - value**2) / np.sqrt(397), rel=0.2)  # Fisher
    # Both sides see the same resampled pairs, so a model compared with itself retains exactly all.
    assert card.loc["similarity_retained", ["low", "value", "high"]].tolist() == [1, 1, 1]


def test_retained_similarity_is_shown_only_where_the_original_is_sure_of_its_own(plain):
    sure, noise = pairs_of(plain, 200, noise=0), pairs_of(plain, 200, noise=1, weight=0)
    found = values(similarity(plain, plain, {"sure": sure, "noise": noise}))
    assert [found[name, "sure"] for name in ("similarity", "similarity_retained")] == pytest.approx([1, 1])
    assert ("similarity_retained", "noise") not in found
    assert found["similarity_coverage", "noise"] == 1


def test_pairs_count_only_where_the_original_knows_both_words_as_written_or_in_lower_case(builtin):
    found = values(similarity(builtin, builtin))
    assert 0.5 < found["similarity_coverage", "simlex999"] < 1
    assert found["similarity", "wordsim353"] > 0.4
    v = wb.Vectors.from_arrays([*"abcdefgh", "Haus"], np.random.default_rng(0).normal(size=(9, 3)))
    pairs = [("A", "B", 1.0), ("Haus", "c", 2.0), ("haus", "c", 3.0)]
    assert values(similarity(v, v, {"p": pairs}))["similarity_coverage", "p"] == pytest.approx(2 / 3)


def test_a_pair_file_may_use_tabs_commas_and_column_names(tmp_path):
    (tmp_path / "p").write_text("# note\nword1,word2,sim\nA,b,1.5\nc;d;2\n# note\ne\tf\t3\n", encoding="utf-8")
    assert read_pairs(tmp_path / "p") == [("A", "b", 1.5), ("c", "d", 2.0), ("e", "f", 3.0)]
    (tmp_path / "p").write_text("a,b,1\na,b\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2"):
        read_pairs(tmp_path / "p")


def test_sizes_are_bytes_of_real_files(fasttext, plain, small, card, tmp_path):
    found = values(card)
    assert found["size", "compressed"] == small.save(tmp_path / "s").stat().st_size
    lean = wb.Prune().fit_transform(fasttext)  # drops the unused buckets only
    lean.meta.clear()
    difference = lean.save(tmp_path / "o").stat().st_size - float32_bytes(fasttext)
    assert abs(difference) < 200  # bytes of the header, which tells of another past
    assert found["ratio", "all"] == found["size", "original"] / found["size", "compressed"]
    pruned = wb.Prune(300, 100).fit_transform(fasttext)
    assert float32_bytes(pruned) == pytest.approx((300 + 100) * 12 * 4, abs=4_000)
    assert float32_bytes(plain) == plain.file_bytes


def test_nan_in_the_original_is_refused_and_not_averaged(fasttext):
    matrix = fasttext.storage.words.matrix.copy()
    matrix[5] = np.nan
    broken = fasttext.with_storage(Stacked(Dense(matrix), fasttext.storage.ngrams))
    with pytest.raises(ValueError, match=f"row 5 .*{fasttext.words[5]}"):
        fidelity(broken, fasttext, [])


@pytest.mark.parametrize(("size", "seed"), [(20, 0), (20, 1), (250, 1), (400, 0)])
def test_no_word_is_both_fitted_on_and_scored_where_both_are_samples(size, seed):
    """Refit and score drew the same words once, and the panel showed .929 for an exact .900."""
    v = made_fasttext(n_words=600).adjusted()

    def moved(which):  # the same model, but for the vectors of some words
        rows = v.storage.words.matrix + np.where(which, np.float32(5), np.float32(0))[:, None]
        return v.with_storage(Stacked(Dense(rows), v.storage.ngrams))

    def fitted(reference):
        step = wb.Refit(n_words=size, n_unseen=0, kept_weight=1, random_state=seed)
        return step.fit_transform(wb.Prune(100, 300).fit_transform(v), reference)

    held_out = v.vocab.is_for_scoring
    assert 200 < held_out.sum() < 400
    small = fitted(v)
    assert np.array_equal(small.storage.ngrams.matrix, fitted(moved(held_out)).storage.ngrams.matrix)
    assert not np.array_equal(small.storage.ngrams.matrix, fitted(moved(~held_out)).storage.ngrams.matrix)
    cards = [fidelity(big, small, [], size // 10, seed) for big in (v, moved(~held_out), moved(held_out))]
    means = [card[card["metric"] == "fidelity"]["value"].tolist() for card in cards]
    assert means[0] == means[1] != means[2]
