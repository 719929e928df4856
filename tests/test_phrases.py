"""Phrase vectors: taught by another model's vectors, or by pairs of texts."""

import numpy as np
import pytest
from conftest import made_plain, made_words

import workbench as wb
from workbench import networks
from workbench.networks import Pairs, Teacher, Train
from workbench.networks.phrases import likeness

VECTORS = made_plain(400, 64)
BAG = networks.bag(VECTORS)
NET = networks.transformer(VECTORS, n_layers=1, n_heads=2, n_inner=64, max_tokens=16)


def made_texts(n: int = 1_000, seed: int = 0) -> list[str]:
    rng, words = np.random.default_rng(seed), made_words(300)
    return [" ".join(rng.choice(words, rng.integers(3, 8))) for _ in range(n)]


def first_words(texts: list[str]) -> np.ndarray:
    """A teacher for whom early words count most, so that a mean of words cannot follow it."""
    turn = np.random.default_rng(3).normal(size=(64, 48)).astype(np.float32)
    found = [[VECTORS[word] * 0.1**place for place, word in enumerate(text.split())] for text in texts]
    return np.array([np.sum(of, axis=0) for of in found]) @ turn


TASK = Teacher.of(made_texts(), first_words)


def score(net: networks.Network) -> float:
    return likeness(net.embed(TASK.test.texts), TASK.test.vectors)


def test_parts_share_no_text_and_do_not_depend_on_order_or_repeats():
    texts = made_texts()
    again = Teacher.of([*texts[::-1], *texts], first_words([*texts[::-1], *texts]))
    parts = [{*getattr(TASK, part).texts} for part in ("train", "valid", "test")]
    assert len(set.union(*parts)) == sum(map(len, parts)) == len({*texts})
    for part, expected in zip((again.train, again.valid, again.test), parts, strict=True):
        assert {*part.texts} == expected
        np.testing.assert_allclose(part.vectors, first_words(part.texts), rtol=1e-5, atol=1e-5)


def test_the_map_in_closed_form_finds_a_linear_teacher_and_changes_nothing_else():
    turn = np.random.default_rng(1).normal(size=(64, 80)).astype(np.float32)
    task = Teacher.of(made_texts(), lambda texts: BAG.embed(texts) @ turn)
    net = task.mapped(BAG)
    assert net.embed(task.test.texts).shape == (len(task.test), 80)
    assert likeness(net.embed(task.test.texts), task.test.vectors) > 0.98
    assert likeness(BAG.embed(task.test.texts), task.test.vectors) < 0.97
    assert net.weights[networks.config.WORDS] is BAG.weights[networks.config.WORDS]
    again = task.mapped(net)  # what it had is replaced
    np.testing.assert_array_equal(again.embed(task.test.texts), net.embed(task.test.texts))


def test_layers_follow_a_teacher_further_than_any_map_of_the_mean(tmp_path):
    step = Train(TASK, n_steps=160, learning_rate=1e-2)
    taught = step.fit_transform(NET)
    assert taught.config.width == 48
    assert score(taught) > score(TASK.mapped(BAG)) + 0.3
    assert max(look["score"] for look in step.curves_) == pytest.approx(
        likeness(taught.embed(TASK.valid.texts), TASK.valid.vectors), abs=1e-4
    )
    small = networks.Each(wb.PQ(16), on="embeddings").fit_transform(taught)
    again = networks.load(small.save(tmp_path / "phrases"))
    np.testing.assert_array_equal(again.embed(TASK.test.texts), small.embed(TASK.test.texts))
    assert score(again) > score(taught) - 0.05
    batch = [TASK.test.texts[0], " ".join(TASK.test.texts[:2])]  # padded to the longer one
    np.testing.assert_allclose(taught.embed(batch)[0], taught.embed(batch[:1])[0], atol=1e-5)


def test_pairs_draw_partners_together():
    """Partners say the same with other words: each word has one that always stands for it."""
    words = made_words(300)
    other = dict(zip(words, np.roll(words, 150), strict=True))
    task = Pairs.of([(text, " ".join(other[word] for word in text.split())) for text in made_texts(1_500)])
    step = Train(task, n_steps=100, learning_rate=3e-2)
    step.fit(BAG)
    assert step.curves_[0]["score"] < 0.2
    assert max(look["score"] for look in step.curves_) > 0.6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Teacher.of(["a", "b"], np.ones((3, 2))), "expected a vector for each of 2 texts, got an array of"),
        (lambda: Teacher.of(made_texts(90), np.full((90, 2), np.nan)), "vector of text 1 holds NaN or infinity"),
        (lambda: Teacher.of(["a", "b"], np.ones((2, 2))), "2 different texts are too few"),
        (lambda: Teacher.of("ab", np.ones((2, 2))), "expected a list of texts and nothing else"),
        (lambda: Pairs.of([("a", 1)]), "expected a list of texts and nothing else"),
        (lambda: Train(TASK, teacher=NET).fit(NET), "a teacher is for tasks of labels"),
        (lambda: Train(7).fit(NET), "expected a Task, Teacher or Pairs, got 7"),
    ],
)
def test_bad_input_is_refused_in_one_line(make, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_the_influence_of_a_word_is_what_the_text_without_it_loses():
    words = made_words(3)
    table = networks.word_influence(BAG, f"{words[0]}, {words[1]} – {words[2]}!")
    assert list(table["word"]) == words
    rows = VECTORS[words]
    for place, influence in enumerate(table["influence"]):
        rest = np.delete(rows, place, axis=0).mean(axis=0)
        whole = rows.mean(axis=0)
        assert influence == pytest.approx(1 - rest @ whole / np.linalg.norm(rest) / np.linalg.norm(whole), abs=1e-5)
    assert networks.word_influence(BAG, "").empty


def test_the_card_compares_with_the_teacher():
    big = TASK.mapped(BAG)
    small = networks.Each(wb.PQ(8), on="embeddings").fit_transform(big)
    card = networks.card(big, small, TASK, latency=False).set_index(["metric", "split"])["value"]
    test, k = TASK.test, 10
    near = []
    for vectors in (small.embed(test.texts), test.vectors):
        cosines = (vectors @ vectors.T) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors, axis=1)[:, None]
        near.append([{*np.argsort(-row)[:k]} for row in cosines - 9 * np.eye(len(test))])
    shared = np.mean([len(of & other) / k for of, other in zip(*near, strict=True)])
    assert card["overlap@10", "compressed"] == pytest.approx(shared, abs=1e-3)
    assert card["spearman", "original"] == pytest.approx(score(big), abs=1e-6)
    assert card["spearman", "compressed"] < card["spearman", "original"]
    assert ("accuracy", "compressed") not in card
