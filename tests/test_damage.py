"""Damage by word, and contributions of n-grams."""

import numpy as np
import pandas as pd
import pytest
from conftest import made_fasttext, made_plain, made_words

import workbench as wb
from workbench.evaluate.contributions import shares
from workbench.evaluate.damage import code_damage, damage_groups, damage_summary, word_codes, word_shapes
from workbench.storage import Coded, Dense
from workbench.subwords import Subwords
from workbench.vocab import Vocab

FAST = made_fasttext()
PLAIN = made_plain()
CUT = wb.Prune(300, 300)
SMALL = {  # a small model beside its original, one for each kind of word rows
    "float16": (FAST, [CUT, wb.SQ()]),
    "codes and lengths": (FAST, [CUT, wb.PQ(4, n_bits=4, norms=True)]),
    "rotated codes": (FAST, [CUT, wb.OPQ(3, n_bits=4, n_iter=3, n_rotations=2)]),
    "residual codes": (FAST, [CUT, wb.RQ(2, n_bits=4, n_iter=3)]),
    "codes of residuals": (FAST, [CUT, wb.PQ(4, n_bits=4, on="ngrams"), wb.Residual(), wb.PQ(4, n_bits=4, on="words")]),
    "remapped": (FAST, [wb.Prune(300, 300, remap="nearest", threshold=0.5)]),
    "folded": (FAST, [wb.Rehash(700)]),
    "no n-grams": (PLAIN, [wb.Prune(300)]),
    "no n-grams, codes": (PLAIN, [wb.PQ(4, n_bits=4)]),
    "codes of borrowed rows": (PLAIN, [wb.Prune(300, remap="nearest", threshold=0.5), wb.PQ(4, n_bits=4)]),
}


@pytest.fixture(params=SMALL, scope="module")
def pair(request):
    original, steps = SMALL[request.param]
    return request.param, original, wb.Chain(steps).fit_transform(original)


@pytest.fixture(scope="module")
def large():
    """3,000 words whose dimensions of noise grow with their rank, some of them numbers, against the clean ones."""
    rng = np.random.default_rng(3)
    words = [f"{word}7" if i % 10 == 4 else word for i, word in enumerate(made_words(3_000))]
    clean = rng.normal(size=(3_000, 16)).astype(np.float32)
    noise = rng.normal(size=clean.shape) * np.linspace(0.1, 1.5, 3_000)[:, None]
    counts = 1_000_000 // np.arange(1, 3_001)
    return wb.Vectors.from_arrays(words, clean, counts), wb.Vectors.from_arrays(words, clean + noise, counts)


@pytest.fixture(scope="module")
def sampled(large):
    return wb.word_damage(*large, n_words=600)


def of(groups: pd.DataFrame, by: str) -> pd.DataFrame:
    return groups[groups["by"] == by].set_index("group")


# -- words --------------------------------------------------------------------------------


def test_every_word_is_scored_and_each_grouping_parts_all_words(pair):
    name, original, small = pair
    damage = wb.word_damage(original, small)
    assert damage.attrs["how"] == "exact"
    assert sorted(damage.index) == list(range(len(original)))
    assert (damage["represents"] == 1).all()
    vectors = small.get_vectors([original.words[i] for i in damage.index], missing="nan")
    assert (damage["has_vector"] == ~np.isnan(vectors[:, 0])).all()
    assert (damage.loc[~damage["has_vector"], "cosine"] == 0).all()
    assert damage["loss_share"].sum() == pytest.approx(float(name != "folded"))  # which leaves known words as they are
    assert (damage["split"] == "dropped").sum() == len(set(original.words) - set(small.words))
    groups = damage_groups(damage, min_words=1)
    for by in ("frequency", "shape", "fate"):
        parts = of(groups, by)
        assert parts["n"].sum() == len(original)
        assert parts["share_of_vocabulary"].sum() == pytest.approx(1)
        assert parts["loss_share"].sum() == pytest.approx(damage["loss_share"].sum())
        assert (parts["mean"] * parts["share_of_vocabulary"]).sum() == pytest.approx(damage["cosine"].mean())
    assert groups["low"].isna().all()  # nothing was sampled, so nothing is unsure
    card = wb.scorecard(original, small, parts=("fidelity",))
    fidelity = card[(card["metric"] == "fidelity") & (card["split"] != "unseen")].set_index("split")["value"]
    assert of(groups, "fate")["mean"].to_dict() == pytest.approx(fidelity.to_dict(), abs=1e-6)


def test_ranks_go_by_count_and_loss_share_is_count_times_what_is_lost(fasttext):
    damage = wb.word_damage(fasttext, CUT.fit_transform(fasttext))
    assert damage["rank"].tolist() == list(range(1, 701))
    assert damage["count"].is_monotonic_decreasing
    lost = damage["count"].to_numpy(float) * (1 - damage["cosine"].clip(upper=1 - 1e-12))
    lost[damage["cosine"] > 1 - 1e-6] = 0
    np.testing.assert_allclose(damage["loss_share"], lost / lost.sum(), atol=1e-9)
    assert damage.groupby("band", observed=True)["rank"].agg(["min", "max"]).T.to_dict("list") == {
        "1 to 100": [1, 100], "101 to 700": [101, 700]
    }  # fmt: skip


def test_without_counts_places_stand_for_ranks_and_weights_say_so(plain):
    bare = wb.Vectors.from_arrays(plain.words, plain.matrix())
    damage = wb.word_damage(bare, bare.head(350))
    assert damage["count"].isna().all()
    assert damage.index.tolist() == list(range(700))
    assert "Zipf" in damage.attrs["weights"]
    lost = damage["loss_share"] * damage["rank"]
    np.testing.assert_allclose(lost[damage["split"] == "dropped"], lost.max())


def test_words_that_keep_their_direction_are_not_damaged_and_those_that_had_none_are_left_out(plain):
    matrix = plain.matrix()
    matrix[::10] = 0
    v = wb.Vectors.from_arrays(plain.words, matrix, plain.vocab.counts)
    damage = wb.word_damage(v, v)
    assert len(damage) == 630
    assert damage["cosine"].to_numpy() == pytest.approx(1)
    assert (damage["loss_share"] == 0).all()
    assert damage_summary(damage_groups(damage)).startswith("Nothing was damaged")
    nothing = wb.Vectors.from_arrays(["a", "b"], np.zeros((2, 3)))
    damage = wb.word_damage(nothing, nothing)
    assert "Too few words" in damage_summary(damage_groups(damage))


def test_what_cannot_be_compared_is_refused(plain):
    with pytest.raises(ValueError, match="12 dimensions, the other 3"):
        wb.word_damage(plain, wb.Vectors.from_arrays(["a"], np.ones((1, 3))))
    with pytest.raises(ValueError, match="n_words >= 1, got 0"):
        wb.word_damage(plain, plain, n_words=0)
    broken = plain.matrix()
    broken[5, 2] = np.nan
    with pytest.raises(ValueError, match=f"word {plain.words[5]!r}.*holds NaN"):
        wb.word_damage(wb.Vectors(plain.vocab, Dense(broken)), plain)


# -- samples ------------------------------------------------------------------------------


def test_a_sample_has_the_frequent_words_and_stands_for_the_whole_vocabulary(large, sampled):
    assert sampled.attrs["how"] == "sampled, seed 0"
    assert sampled.attrs["n_total"] == sampled["represents"].sum() == pytest.approx(3_000)
    assert (sampled["represents"].iloc[:200] == 1).all()
    assert sampled["rank"].iloc[:200].tolist() == list(range(1, 201))
    assert sampled["rank"].is_monotonic_increasing
    assert sampled.index.nunique() == len(sampled) == 600
    assert damage_groups(sampled)["loss_share"].iloc[0] == pytest.approx(1)
    assert set(sampled.index) != set(wb.word_damage(*large, n_words=600, random_state=3).index)


def test_numbers_of_a_sample_are_those_of_the_vocabulary(large):
    """Noise grows with rank here, so that a mean over the sample as it is would be far too good."""
    exact = damage_groups(wb.word_damage(*large)).set_index(["by", "group"])
    inside, off_unweighted, p5 = [], [], []
    for seed in range(20):
        damage = wb.word_damage(*large, n_words=600, random_state=seed)
        both = damage_groups(damage).set_index(["by", "group"]).join(exact.add_suffix("_exact"))
        frequent = both.loc[("frequency", "1 to 100")]
        assert frequent["mean"] == frequent["mean_exact"]
        assert np.isnan(frequent["low"])  # all of them were scored
        drawn = both[both["low"].notna()]
        inside += ((drawn["low"] <= drawn["mean_exact"]) & (drawn["mean_exact"] <= drawn["high"])).tolist()
        off_unweighted.append(abs(damage["cosine"].mean() - exact["mean"].iloc[0]))
        p5.append(both["p5"].iloc[0])
        np.testing.assert_allclose(both["share_of_vocabulary"], both["share_of_vocabulary_exact"], atol=0.06)
    assert min(off_unweighted) > 0.03
    assert 0.9 < np.mean(inside) < 0.995
    assert np.mean(p5) == pytest.approx(exact["p5"].iloc[0], abs=0.01)
    halved = wb.word_damage(large[0], large[0].head(1_500), n_words=600)
    assert damage_groups(halved)["no_vector"].iloc[0] == pytest.approx(0.5, abs=0.05)


def test_shapes_do_not_depend_on_how_many_words_are_scored():
    """Rare words are longer here, and "long" is measured on the vocabulary."""
    words = sorted({word * n for n, word in enumerate(made_words(500), 1) for n in range(1, n // 80 + 2)}, key=len)
    v = wb.Vectors.from_arrays(words, np.random.default_rng(0).normal(size=(len(words), 3)))
    exact = wb.word_damage(v, v)["shape"]
    assert 0 < (exact == "long").sum() <= 0.05 * len(v)
    for seed in range(5):
        some = wb.word_damage(v, v, n_words=100, random_state=seed)["shape"]
        assert some.tolist() == exact.loc[some.index].tolist()


# -- shapes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "words"),
    {
        "number": ["1812", "т-34", "x86", "٣"],
        "mixed scripts": ["зa", "нe"],  # Latin a and e
        "other script": ["house", "de", "rock-n-roll"],
        "punctuation": ["-", "...", "</s>", "", "\udcff"],
        "joined": ["что-то", "об'єкт", "обʼєкт", "и_о", "т.е."],
        "long": ["достопримечательности"],
        "short": ["и", "дом"],
        "plain": ["дерево", "стол"],
    }.items(),
)
def test_shapes_are_told_by_characters(shape, words):
    vocabulary = [*["дерево", "стол", "берег"] * 30, *["house"] * 5]
    assert word_shapes(words, vocabulary) == [shape] * len(words)


def test_the_usual_script_and_length_are_those_of_the_vocabulary():
    assert word_shapes(["house", "tree", "wood", "дерево"])[-1] == "other script"
    assert word_shapes(["日本語", "ひらがな", "食べる", "コーヒー"]) == ["short", "plain", "short", "plain"]
    assert word_shapes(["हिन्दी", "हिन्दी"]) == ["plain", "plain"]  # vowel signs belong to letters
    assert word_shapes(["1", "2"]) == ["number", "number"]
    assert word_shapes(["мировоззрение"], ["мировоззрение"] * 50) == ["plain"]  # not long in this language
    assert word_shapes(["мировоззрение"], ["дом", "стена", "берег"] * 30) == ["long"]


# -- planted damage -----------------------------------------------------------------------


def test_wrecked_numbers_are_the_worst_group(large):
    original, _ = large
    is_number = np.array([word.endswith("7") for word in original.words])
    matrix = original.matrix()
    matrix[is_number] = np.random.default_rng(0).normal(size=(is_number.sum(), 16))
    small = wb.Vectors.from_arrays(original.words, matrix, original.vocab.counts)
    groups = damage_groups(wb.word_damage(original, small, n_words=900))
    shapes = of(groups, "shape")
    assert shapes["mean"].idxmin() == "number"
    assert shapes.loc["number", "loss_share"] == pytest.approx(1)
    assert all(word.endswith("7") for word in shapes.loc["number", "worst"])
    summary = damage_summary(groups)
    assert f"The most affected words are words with a digit: mean cosine {shapes.loc['number', 'mean']:.3f}" in summary


@pytest.mark.parametrize("residual", [False, True])
def test_a_wrecked_codebook_entry_is_the_worst_code(residual):
    v = made_plain(2_000)
    small = (wb.RQ(2, n_bits=4, n_iter=5) if residual else wb.PQ(4, n_bits=4)).fit_transform(v)
    codes, coded = word_codes(small, v.words)
    level, code = 1, int(np.bincount(codes[:, 1]).argmax())
    books = coded.codebooks.copy()
    width = books.shape[1] // len(coded.spans)
    books[code, level * width : (level + 1) * width] += 30
    broken = small.with_storage(Coded(coded.packed, books, coded.spans, v.dim, coded.n_bits))
    table = code_damage(v, broken, wb.word_damage(v, broken))
    assert table["mean"].is_monotonic_increasing
    worst = table.iloc[0]
    assert (worst["level"], worst["code"]) == (level, code)
    assert worst["group"] == f"{'level' if residual else 'subvector'} 2, code {code}"
    harmed = {word for word, of_word in zip(v.words, codes, strict=True) if of_word[level] == code}
    assert worst["n"] == len(harmed)
    assert set(worst["worst"]) <= harmed
    assert worst["p"] < 1e-6


def test_codes_that_have_nothing_to_do_with_it_are_no_surprise():
    """Bonferroni's promise: of 20 sets of codes drawn by chance, about one has a p below 0.05."""
    rng = np.random.default_rng(0)
    v = made_plain(2_000)
    spans = np.array([(j, j + 1) for j in range(7)] + [(7, 12)], np.int32)
    alarms = 0
    for _ in range(20):
        noisy = v.matrix() + rng.normal(size=(2_000, 12)).astype(np.float32)
        damage = wb.word_damage(v, wb.Vectors.from_arrays(v.words, noisy), n_words=700)
        codes = rng.integers(16, size=(2_000, 8), dtype=np.uint8)
        coded = wb.Vectors(v.vocab, Coded.of(codes, np.zeros((16, 12), np.float32), spans, 12, 4))
        alarms += bool((code_damage(v, coded, damage)["p"] < 0.05).any())
    assert alarms <= 4


def test_codes_are_found_below_rotations_and_lengths_and_only_where_there_are_any(pair):
    name, original, small = pair
    found = word_codes(small, [*original.words, "nowhere"])
    damage = wb.word_damage(original, small)
    table = code_damage(original, small, damage)
    assert (found is not None) == (not table.empty) == ("codes" in name)
    if found is None:
        return
    codes, coded = found
    known = np.array([word in small for word in original.words])
    assert (codes[[*~known, True]] == -1).all()
    places = small.vocab.rows(np.array([small.key_to_index[w] for w in original.words if w in small]))
    np.testing.assert_array_equal(codes[:-1][known], coded.codes[places])
    assert (table["n"] >= 20).all()


# -- n-grams ------------------------------------------------------------------------------


def test_shares_add_up_to_one_and_pruned_ngrams_say_so(pair):
    name, original, small = pair
    if original.vocab.subwords is None:
        with pytest.raises(ValueError, match="original model has no n-grams"):
            wb.ngram_carriers(original, small, original.words[0])
        return
    for word in (original.words[0], small.words[3], "bakelite", "bananana"):
        carriers = wb.ngram_carriers(original, small, word)
        assert carriers["share_before"].sum() == pytest.approx(1)
        pruned = carriers["status"] == "pruned"
        assert (pruned == carriers["share_after"].isna()).all()
        assert (pruned == carriers["cosine"].isna()).all()
        assert carriers.attrs["ngrams_left"] == f"{(~pruned).sum()} of {len(carriers)}"
        assert pruned.all() or carriers["share_after"].sum() == pytest.approx(1)
        before, after = (v[word] / np.linalg.norm(v[word]) for v in (original, small))
        assert carriers.attrs["cosine"] == pytest.approx(before @ after, abs=1e-5)
        assert carriers.attrs["known_after"] == (word in small)
    assert name == "folded" or pruned.any()  # made-up words have n-grams that no word uses


def test_repeated_ngrams_and_collisions_count_each_time():
    v = made_fasttext(n_buckets=7)
    carriers = wb.ngram_carriers(v, v, "bananana")
    assert (carriers["ngram"] == "ana").sum() == 3
    assert carriers.groupby("ngram")["share_before"].nunique().max() == 1
    assert carriers["share_before"].nunique() <= 7 < len(carriers)


def test_a_share_is_what_a_row_brings_along_the_mean():
    rows = np.array([[2, 0], [1, 1], [-1, 0], [np.nan, np.nan]], np.float32)  # the mean is (2/3, 1/3)
    np.testing.assert_allclose(shares(rows), [0.8, 0.6, -0.4, np.nan])
    assert np.isnan(shares(np.array([[1, 0], [-1, 0]], np.float32))).all()  # no mean, no shares


def test_what_a_vector_is_made_of_is_said():
    pruned, remapped = CUT.fit_transform(FAST), wb.Prune(300, 300, remap="nearest").fit_transform(FAST)
    kept, gone = pruned.words[0], next(word for word in FAST.words if word not in pruned)
    for small, word, before, after in [
        (pruned, kept, "own row and n-grams", "own row"),
        (pruned, gone, "own row and n-grams", "n-grams"),
        (pruned, "bakelite", "n-grams", "n-grams"),
        (remapped, gone, "own row and n-grams", "row of another word"),
    ]:
        carriers = wb.ngram_carriers(FAST, small, word)
        assert (carriers.attrs["made_of_before"], carriers.attrs["made_of_after"]) == (before, after)


def test_words_that_one_model_or_none_can_embed():
    few = wb.Prune(n_words=5, n_ngrams=1).fit_transform(FAST)
    lost = wb.ngram_carriers(FAST, few, "xyxyx")
    assert (lost["status"] == "pruned").all()
    assert lost.attrs["cosine"] == 0
    assert lost.attrs["made_of_after"] == "nothing"
    back = wb.ngram_carriers(few, FAST, "xyxyx")
    assert (back["status"] == "not there before").all()
    assert back["share_before"].isna().all()
    assert back["share_after"].sum() == pytest.approx(1)
    with pytest.raises(KeyError, match="xyxyx"):
        wb.ngram_carriers(few, few, "xyxyx")


def test_what_has_no_common_ngrams_is_refused():
    with pytest.raises(ValueError, match="small model has no n-grams"):
        wb.ngram_carriers(FAST, wb.Vectors.from_arrays(["a"], np.ones((1, 12))), "a")
    other = Vocab(FAST.words, subwords=Subwords(2, 3, 3_000))
    with pytest.raises(ValueError, match=r"same lengths in both models, got 3 to 5 .* 2 to 3"):
        wb.ngram_carriers(FAST, FAST.with_storage(FAST.storage, other), "ba")
    with pytest.raises(TypeError, match=r"expected a word, got \['ba'\]"):
        wb.ngram_carriers(FAST, FAST, ["ba"])
