"""`align`: a rotation is found back, unseen and compressed words follow it, and it is measured on other words."""

import numpy as np
import pytest
from conftest import made_fasttext, made_plain

import workbench as wb
from workbench.evaluate.align import in_one_space
from workbench.storage import Coded, Dense, Projected, Stacked

DIM = 12


def rotation(seed: int = 0, dim: int = DIM) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0].astype(np.float32)


def turned(v: wb.Vectors, noise: float = 0, prefix: str = "") -> wb.Vectors:
    """A model whose words may have a prefix, turned, with noise."""
    rows = v.matrix() @ rotation()
    rows += noise * np.random.default_rng(1).normal(size=rows.shape).astype(np.float32)
    return wb.Vectors.from_arrays([prefix + word for word in v.words], rows, v.vocab.counts)


def value(card, metric: str) -> float:
    return card.set_index("metric")["value"][metric]


def test_a_turned_model_is_turned_back(plain):
    found = wb.align(plain, turned(plain))
    assert np.allclose(found.rotation, rotation().T, atol=1e-5)
    assert np.allclose(found.vectors.matrix(), plain.matrix(), atol=1e-4)
    assert found.card["metric"].tolist() == ["coverage", "precision@1", "precision@5"]
    assert found.card["value"].tolist() == [1, 1, 1]
    assert found.card["n"].tolist() == [700, 70, 70]


@pytest.mark.parametrize("dim", [DIM, DIM + 8])
def test_models_of_other_widths_come_into_one_space_with_their_own_cosines(plain, dim):
    wide = wb.Vectors.from_arrays(plain.words, plain.matrix() @ rotation(dim=dim)[:DIM])
    for v, w in ((plain, wide), (wide, plain)):
        first, second = in_one_space(v, w)
        np.testing.assert_allclose(second.matrix(), first.matrix(), atol=1e-4)
        np.testing.assert_allclose(first.matrix() @ first.matrix().T, v.matrix() @ v.matrix().T, atol=1e-3)


def test_the_built_in_model_turned_comes_back(builtin):
    turning = rotation(dim=builtin.dim)
    other = wb.Vectors.from_arrays(builtin.words, builtin.matrix() @ turning)
    found = wb.align(builtin, other)
    assert np.allclose(found.vectors[["music", "river"]], builtin[["music", "river"]], atol=1e-4)
    assert value(found.card, "precision@1") == 1


def test_translations_are_the_nearest_words(plain):
    w = turned(plain, prefix="x")
    pairs = {word: "x" + word for word in plain.words}
    found, first = wb.align(plain, w, pairs).vectors, plain.words[:9]
    assert [plain.most_similar(positive=[found["x" + word]], topn=1)[0][0] for word in first] == first
    assert found.words == w.words
    assert found.vocab.counts.tolist() == w.vocab.counts.tolist()


def test_noise_lowers_precision(plain):
    values = [value(wb.align(plain, turned(plain, noise)).card, "precision@1") for noise in (0, 1, 3)]
    assert values[0] == 1 > values[1] > values[2]


def test_held_out_pairs_are_not_fitted_on():
    """Words drawn for each other: in so many dimensions, those that are fitted on find each other, others do not."""
    v, w = (made_plain(dim=100, seed=seed) for seed in (0, 1))
    drawn = [*zip(v.words[:80], np.random.default_rng(2).permutation(w.words)[:80].tolist(), strict=True)]
    found = wb.align(v, w, drawn, test_share=0.5)
    near = [v.most_similar(positive=[found.vectors[b]], topn=1)[0][0] == a for a, b in drawn]
    assert np.mean(near) > 0.4
    assert value(found.card, "precision@5") < 0.1


def test_nor_are_other_pairs_with_their_translations():
    """Each word of `w` is there under two names, so that its translation can be fitted on by the other one."""
    v, w = (made_plain(dim=100, seed=seed) for seed in (0, 1))
    twice = wb.Vectors.from_arrays([name + word for name in "xy" for word in w.words], np.tile(w.matrix(), (2, 1)))
    drawn = [(a, name + b) for a, b in zip(v.words[:150], w.words[-150:], strict=True) for name in "xy"]
    assert value(wb.align(v, twice, drawn, test_share=0.5).card, "precision@5") < 0.1


def test_any_of_several_translations_is_right(plain):
    w = turned(plain, prefix="x")
    pairs = [(word, "x" + word) for word in plain.words]
    also_wrong = [(plain.words[i - 1], "x" + plain.words[i]) for i in range(0, 700, 7)]
    card = wb.align(plain, w, [*pairs, *also_wrong, *pairs]).card
    assert value(card, "precision@1") == 1
    assert card["n"].tolist() == [800, 70, 70]


def test_ngrams_of_unseen_words_turn_too():
    v = made_fasttext(dim=DIM)
    w = v.with_storage(Stacked(*(Dense(part.matrix @ rotation()) for part in (v.storage.words, v.storage.ngrams))))
    found = wb.align(v, w).vectors
    assert found.is_composed
    assert np.allclose(found[["неверный", v.words[3]]], v[["неверный", v.words[3]]], atol=1e-4)


@pytest.mark.parametrize("step", [wb.PQ(6, n_bits=4), wb.OPQ(6, n_bits=4), wb.SQ("int8"), wb.SVD(9)])
def test_a_compressed_model_stays_compressed(step, tmp_path):
    v = made_fasttext()
    w = step.fit_transform(v)
    found, rotation, _ = wb.align(v, w)
    assert isinstance(found.storage.words, Projected)
    assert np.allclose(found[["неверный", *v.words]], w[["неверный", *v.words]] @ rotation, atol=1e-4)
    assert not isinstance(found.storage.words.inner, Projected)
    assert found.nbytes <= w.nbytes + 2 * 4 * DIM * DIM
    again = wb.load(found.save(tmp_path / "aligned.safetensors"))
    assert np.array_equal(again[["неверный", *v.words[:3]]], found[["неверный", *v.words[:3]]])
    assert again.meta == found.meta


def test_both_may_be_compressed(plain):
    codes = wb.PQ(6, n_bits=4)
    found = wb.align(codes.fit_transform(plain), codes.fit_transform(turned(plain)))
    assert isinstance(found.vectors.storage.inner, Coded)
    assert value(found.card, "precision@5") > 0.5


def test_fewer_dimensions_go_into_more(plain):
    v = wb.Vectors.from_arrays(plain.words, np.pad(plain.matrix(), [(0, 0), (0, 5)]) @ rotation(4, DIM + 5))
    found = wb.align(v, plain)
    assert found.rotation.shape == (DIM, DIM + 5)
    assert np.allclose(found.vectors.matrix(), v.matrix(), atol=1e-4)
    with pytest.raises(ValueError, match=r"w has 17 dimensions, v only 12; swap the two"):
        wb.align(plain, v)


def test_shared_words_are_the_most_frequent_ones(plain):
    n = 100
    w = turned(plain)
    rows = w.matrix().copy()
    rows[np.argsort(-plain.vocab.counts, kind="stable")[n:]] = 1
    found = wb.align(plain, wb.Vectors.from_arrays(w.words, rows), n_pairs=n)
    assert np.allclose(found.rotation, rotation().T, atol=1e-5)
    assert found.card["n"].tolist() == [n, 10, 10]


def test_the_same_seed_gives_the_same_and_another_another(plain):
    w = turned(plain, noise=2)
    one, same, other = (wb.align(plain, w, random_state=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.rotation, same.rotation)
    assert one.card.equals(same.card)
    assert not np.array_equal(one.rotation, other.rotation)
    assert one.card["how"].tolist() == ["exact", "sampled, seed 0", "sampled, seed 0"]
    whole = wb.align(plain, w, test_share=0).card
    assert whole["metric"].tolist() == ["coverage"]


def test_words_that_are_missing_are_counted(plain):
    pairs = [*((word, word) for word in plain.words[:60]), *((f"{i}", plain.words[i]) for i in range(20))]
    assert value(wb.align(plain, turned(plain), pairs).card, "coverage") == 0.75


def test_lengths_do_not_count(plain):
    w = turned(plain, noise=1)
    longer = w.matrix() * np.random.default_rng(0).uniform(1, 9, (len(w), 1))
    found = wb.align(plain, wb.Vectors.from_arrays(w.words, longer))
    assert np.allclose(found.rotation, wb.align(plain, w).rotation, atol=1e-5)


def test_bad_input(plain):
    w = turned(plain, prefix="x")
    pairs = [(word, "x" + word) for word in plain.words]
    wrongs = {
        r"at least 30 pairs .* got 0: both models know 0 of 0 pairs": None,
        r"got 18: both models know 20 of 20 pairs, of which 2 words are held out$": pairs[:20],
        r"got 0: both models know 0 of 700 .*; more are known the other way round": [(b, a) for a, b in pairs],
        r"got 0: both models know 0 of 1 pairs, of which 0 words are held out$": {"unknown": "words"},
        r"expected pairs \(word of v, word of w\), got 'ab'$": "ab",
        r"expected pairs \(word of v, word of w\), got 7": 7,
        r"expected pairs \(word of v, word of w\), got 'ab' at place 0": ["ab"],
        r"expected pairs \(word of v, word of w\), got tuple at place 700": [*pairs, ("a", 1)],
    }
    for message, wrong in wrongs.items():
        with pytest.raises((ValueError, TypeError), match=message):
            wb.align(plain, w, wrong)
    with pytest.raises(TypeError, match="w must be Vectors, as from load"):
        wb.align(plain, "model.bin")
    with pytest.raises(ValueError, match="test_share must be at least 0 and below 1, got 1"):
        wb.align(plain, w, pairs, test_share=1)


@pytest.mark.parametrize("which", ["v", "w"])
def test_nan_is_refused_wherever_it_is(plain, which):
    rows = plain.matrix().copy()
    rows[699, 0] = np.nan
    broken = plain.with_storage(Dense(rows))
    models = {"v": plain, "w": turned(plain)} | {which: broken}
    with pytest.raises(ValueError, match=r"row 699.*holds NaN"):
        wb.align(**models, n_pairs=50)
