"""The card of semantic IDs: each number against its definition, and where there is next to nothing to count."""

import itertools
import warnings

import numpy as np
import pytest

import workbench as wb
from workbench.evaluate.ids import id_card
from workbench.evaluate.table import COLUMNS
from workbench.semantic import SemanticIDs
from workbench.semantic.baselines import random_codes

RNG = np.random.default_rng(0)
CENTRES = 2 * RNG.normal(size=(20, 10))
VECTORS = (CENTRES[RNG.integers(20, size=600)] + RNG.normal(size=(600, 10))).astype(np.float32)


def named(n: int) -> list[str]:
    return [f"item {i}" for i in range(n)]


def by_name(card) -> dict[tuple[str, str], float]:
    return dict(zip(zip(card["metric"], card["split"], strict=True), card["value"], strict=True))


@pytest.fixture(scope="module")
def ids() -> SemanticIDs:
    return SemanticIDs.from_vectors(VECTORS, 3, 16)


@pytest.fixture(scope="module")
def card(ids):
    return id_card(ids, VECTORS, n_queries=200)


def test_use_perplexity_and_collisions_of_a_table_worked_out_by_hand():
    codes = [[0, 0], [0, 1], [0, 1], [1, 1], [1, 1], [1, 1], [2, 0], [2, 2]]
    card = by_name(id_card(SemanticIDs(named(8), codes, codebook_size=4)))
    assert card["use", "level 1"] == card["use", "level 2"] == 0.75
    assert card["perplexity", "level 1"] == pytest.approx(np.exp(-2 * 3 / 8 * np.log(3 / 8) - 2 / 8 * np.log(2 / 8)))
    assert (card["unique", "all"], card["collisions", "all"], card["largest_collision", "all"]) == (3 / 8, 3 / 8, 3)
    assert {metric for metric, _ in card} == {"use", "perplexity", "unique", "collisions", "largest_collision"}


def test_extra_levels_count_for_collisions_alone(ids, card):
    found, before = by_name(id_card(ids.disambiguated(), VECTORS, n_queries=200)), by_name(card)
    for metric, value in {"unique": 1, "collisions": 0, "largest_collision": 1}.items():
        assert found.pop((metric, "all")) == value
        assert found.pop((metric, "without extra levels")) == before[metric, "all"]
    assert found
    assert all(value == before[key] for key, value in found.items())


def test_energy_and_cosines_are_those_of_the_definition(ids, card):
    found, left = by_name(card), VECTORS.copy()
    energy = np.square(VECTORS - VECTORS.mean(0)).sum()
    for level in range(3):
        left = left - ids.codebooks[level][ids.codes[:, level]]
        assert found["residual_energy", f"level {level + 1}"] == pytest.approx(np.square(left).sum() / energy, rel=1e-4)
    decoded = VECTORS - left
    lengths = np.linalg.norm(decoded, axis=1) * np.linalg.norm(VECTORS, axis=1)
    assert found["reconstruction", "all"] == pytest.approx(((decoded * VECTORS).sum(1) / lengths).mean(), rel=1e-4)


def test_neighbours_and_pairs_are_those_of_all_cosines(ids):
    """Few enough to compare every item with every other."""
    found = by_name(id_card(ids, VECTORS, k=5, n_queries=10_000))
    cosines, decoded = (rows / np.linalg.norm(rows, axis=1)[:, None] for rows in (VECTORS, ids.decode()))
    cosines, near = cosines @ cosines.T, []
    for scores in (cosines.copy(), decoded @ decoded.T):
        np.fill_diagonal(scores, -9)
        near.append(np.argsort(-scores, axis=1, kind="stable")[:, :5])
    shared = [len(set(a) & set(b)) / 5 for a, b in zip(*near, strict=True)]
    assert found["overlap@5", "all"] == pytest.approx(np.mean(shared), abs=0.01)  # equal cosines round differently
    others = ~np.eye(600, dtype=bool)
    for depth, split in enumerate(("1", "1-2", "1-3"), 1):
        same = (ids.codes[:, None, :depth] == ids.codes[None, :, :depth]).all(2)
        chance, neighbours = same[others].mean(), np.take_along_axis(same, near[0], axis=1).mean()
        assert found["prefix_random", split] == pytest.approx(chance)
        assert found["prefix_neighbours", split] == pytest.approx(neighbours)
        assert found["prefix_lift", split] == pytest.approx(neighbours / chance)
        nearness = cosines[same & others].mean() - cosines[others].mean()
        assert found["prefix_nearness", split] == pytest.approx(nearness, abs=1e-5)


def test_random_codes_say_nothing_of_neighbours(card):
    codes, codebooks = random_codes(VECTORS, 3, 16)
    floor, found = by_name(id_card(SemanticIDs(named(600), codes, codebooks), VECTORS, n_queries=200)), by_name(card)
    assert 0.7 < floor["prefix_lift", "1"] < 1.3
    assert abs(floor["prefix_nearness", "1"]) < 0.02
    assert found["prefix_lift", "1"] > 5
    assert found["prefix_nearness", "1"] > 0.3
    assert floor["use", "level 1"] == 1
    assert floor["residual_energy", "level 3"] > 2 * found["residual_energy", "level 3"]


def test_churn_counts_pairs_whatever_the_codes_are_called(ids):
    other = SemanticIDs.from_vectors(VECTORS, 3, 16, random_state=1)

    def churn(*others):
        return by_name(id_card(ids, others=others))["churn", "1"]

    order = RNG.permutation(600)
    renamed = SemanticIDs([ids.items[at] for at in order], (ids.codes[order] + 5) % 16)
    assert churn(renamed) == 0
    pairs = list(itertools.combinations(range(600), 2))
    here, there = ({(a, b) for a, b in pairs if of.codes[a, 0] == of.codes[b, 0]} for of in (ids, other))
    assert churn(other) == pytest.approx(1 - len(here & there) / len(here | there))
    assert churn(other, renamed) == pytest.approx(churn(other) / 2)
    with pytest.raises(ValueError, match="same 600 items; the 3 of number 2"):
        churn(other, SemanticIDs(named(3), [[0], [1], [2]]))


def test_a_sample_says_so_and_its_interval_holds_the_number_of_all(ids, card):
    assert list(card.columns) == COLUMNS
    exact = by_name(id_card(ids, VECTORS, n_queries=600))
    sampled = card[card["how"] == "sampled, seed 0"]
    assert set(sampled["metric"]) == {"overlap@10", "prefix_neighbours", "prefix_lift"}
    assert (sampled["n"] == 200).all()
    for found in sampled.itertuples():
        width = found.high - found.low
        assert found.low - width < exact[found.metric, found.split] < found.high + width
    assert card[card["how"] == "exact"]["low"].isna().all()
    order = RNG.permutation(600)
    shuffled = wb.Vectors.from_arrays([ids.items[at] for at in order], VECTORS[order])  # they go to their items
    assert id_card(ids, shuffled, n_queries=200).equals(card)


NO_PAIRS = {"use", "perplexity", "unique", "collisions", "largest_collision", "churn"}
PREFIXES = {"prefix_neighbours", "prefix_random"}
OF_PAIRS = PREFIXES | {"prefix_lift", "prefix_nearness"}
SMALL = {
    "one item": (VECTORS[:1], [[1, 0]], True, (NO_PAIRS - {"churn"}) | {"reconstruction"}),
    "no two share a code": (VECTORS[:3], [[0, 0], [1, 1], [2, 1]], False, (NO_PAIRS - {"churn"}) | PREFIXES),
    "all the same": (
        np.full((30, 10), 0.1),
        [[0, 0]] * 30,
        True,
        NO_PAIRS | OF_PAIRS | {"reconstruction", "overlap@10"},
    ),
    "zeros": (np.zeros((4, 10)), [[0, 0], [0, 1], [1, 0], [1, 1]], False, NO_PAIRS | OF_PAIRS),
}


@pytest.mark.parametrize(("rows", "codes", "codebooks", "metrics"), SMALL.values(), ids=SMALL)
def test_where_there_is_next_to_nothing_no_number_is_made_up(rows, codes, codebooks, metrics):
    ids = SemanticIDs(named(len(codes)), codes, np.ones((2, 3, 10)) if codebooks else None, codebook_size=3)
    with warnings.catch_warnings(action="error"):
        card = id_card(ids, rows, others=[ids])
    assert np.isfinite(card["value"]).all()
    assert (card[card["metric"] == "churn"]["value"] == 0).all()
    assert set(card["metric"]) == metrics


def test_codebooks_of_other_dimensions_still_have_neighbours(ids):
    """As where a trained bottleneck sits behind a tower, and the originals are what the tower saw."""
    tower = SemanticIDs(ids.items, ids.codes, ids.codebooks[:, :, :4])
    metrics = set(id_card(tower, VECTORS, n_queries=50)["metric"])
    assert "overlap@10" in metrics
    assert not metrics & {"residual_energy", "reconstruction"}


def test_vectors_that_do_not_fit_are_refused(ids):
    with pytest.raises(ValueError, match="each of 600 items, got 5"):
        id_card(ids, VECTORS[:5])
    with pytest.raises(ValueError, match=r"row 0 .* holds NaN"):
        id_card(ids, np.full((600, 2), np.nan))
