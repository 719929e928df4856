"""Steps on networks, and what the card says of them."""

import numpy as np
import pytest
import torch
from conftest import made_network, made_pieces

import workbench as wb
from workbench.compress.recipes import from_json
from workbench.evaluate.table import interval
from workbench.networks import DropLayers, Each, Network, PruneNeurons, PruneWeights, Task, card, layer_table
from workbench.networks.config import WORDS
from workbench.storage import Cut, Dense, Scaled, Sparse

NET = made_network(made_pieces(), dim=128, n_inner=[256, 256], max_tokens=16)
TEXTS = ["cats and dogs", "a b c d", "sleep"]
QUERY, INTO, OUT = (
    f"encoder.layer.1.{name}.weight" for name in ("attention.self.query", "intermediate.dense", "output.dense")
)


def values(net: Network) -> dict[str, np.ndarray]:
    return {name: net.values(name) for name in net.weights}


# -- Each ----------------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["embeddings", "layers", "all"])
def test_each_takes_the_matrices_that_it_says_and_leaves_small_ones(on):
    """The table of positions, 16 x 128, and the head are small."""
    small = Each(wb.SQ("int8"), on=on).fit_transform(NET)
    changed = {name for name, storage in small.weights.items() if storage is not NET.weights[name]}
    layers = {n for n, s in NET.weights.items() if n.startswith("encoder.") and n.endswith("weight") and len(s) > 1}
    assert changed == {"embeddings": {WORDS}, "layers": layers, "all": layers | {WORDS}}[on]
    assert len(layers) == 12
    assert all(isinstance(small.weights[name], Scaled) for name in changed)


N_WEIGHTS, SPANS = 128 * 128, 2 * 4 * 16  # the columns of 16 codes
ARITHMETIC = {  # bytes of a matrix of 128 x 128 numbers
    "int8": (wb.SQ("int8"), None, N_WEIGHTS + 4 * 128),
    "float16": (wb.SQ("float16"), None, 2 * N_WEIGHTS + 4 * 128),
    "4 bits": (wb.SQ("kmeans", n_bits=4), 16, N_WEIGHTS / 2 + 16 * 16 * 2 + SPANS),
    "2 bits": (wb.SQ("kmeans", n_bits=2), 16, N_WEIGHTS / 4 + 4 * 16 * 2 + SPANS),
    "4 bits for two": (wb.PQ(8, n_bits=4), 16, N_WEIGHTS / 4 + 16 * 16 * 2 + SPANS / 2),
    "a byte for eight": (wb.PQ(2, n_bits=8), 16, N_WEIGHTS / 8 + 256 * 16 * 2 + SPANS / 8),
}


@pytest.mark.parametrize("kind", ARITHMETIC)
def test_sizes_are_those_of_arithmetic(kind):
    step, width, n_bytes = ARITHMETIC[kind]
    small = Each(step, width=width).fit_transform(NET)
    found = small.weights[QUERY]
    assert found.nbytes == pytest.approx(n_bytes, rel=0.02)
    assert isinstance(found, Cut) == (width is not None)
    assert NET.file_bytes - small.file_bytes == pytest.approx(NET.nbytes - small.nbytes, rel=0.02)
    again = Each(step, width=width).fit_transform(NET)
    np.testing.assert_array_equal(again.values(QUERY), small.values(QUERY))


def test_each_stores_a_matrix_as_the_step_stores_vectors():
    rows = NET.values(QUERY)
    vectors = wb.Vectors.from_arrays([str(i) for i in range(128)], rows)
    for step in (wb.SQ("int8"), wb.PQ(16, n_bits=5), wb.RQ(2, n_bits=5)):
        expected = step.fit_transform(vectors).matrix()
        np.testing.assert_array_equal(Each(step).fit_transform(NET).values(QUERY), expected)


@pytest.mark.parametrize(
    "wrong",
    [
        wb.Chain([Each(wb.SQ("int8")), Each(wb.SQ("float16"))]),
        wb.Chain([Each(wb.SQ("kmeans"), width=16), Each(wb.SQ("int8"), width=16)]),
        wb.Chain([Each(wb.SQ("int8")), PruneWeights(0.5)]),
        wb.Chain([Each(wb.SQ("int8")), PruneNeurons(0.5)]),
        wb.Chain([PruneWeights(0.5), Each(wb.SQ("kmeans")), PruneWeights(0.97)]),
        PruneWeights(0.01),
    ],
    ids=str,
)
def test_an_order_that_makes_matrices_larger_or_stores_them_twice_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^[^\n]*(would make the arrays larger|is compressed; |codes larger)[^\n]*$"):
        wrong.fit_transform(NET)


RECIPES = [
    Each(wb.PQ(8, n_bits=4), on="all", width=16),
    DropLayers(1, "0"),
    PruneNeurons(0.5),
    PruneWeights(0.5, on="all", by="random", random_state=3),
    wb.Chain([DropLayers(1), PruneWeights(0.6), Each(wb.SQ("kmeans", n_bits=3), on="layers")]),
    wb.Chain([Each(wb.Chain([wb.SQ("float16"), wb.SQ("int8")])), Each(wb.PQ(16, n_bits=4), on="embeddings")]),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_recipes_go_through_text_json_and_the_file(recipe, tmp_path):
    small = recipe.fit_transform(NET)
    path = small.save(tmp_path / "small")
    found = [wb.recipe_from(repr(recipe)), wb.recipe_from(f"networks.{recipe!r}".replace("networks.Chain", "Chain"))]
    found += [from_json(recipe.to_json()), from_json(small.meta["recipe"]), wb.recipe_from(path)]
    whole = recipe if isinstance(recipe, wb.Chain) else wb.Chain([recipe])
    assert [wb.Chain([one]) if not isinstance(one, wb.Chain) else one for one in found] == [whole] * 5
    for name, expected in values(small).items():
        np.testing.assert_array_equal(found[4].fit_transform(NET).values(name), expected)


# -- fewer neurons and weights -------------------------------------------------------------


def test_neurons_that_carry_nothing_can_go():
    """Those whose weights into the next matrix, or out of the one before, are zero; their biases are not."""
    weights = {}
    for i, dead in enumerate(([*range(0, 128, 2)], [*range(40, 104)])):
        into, out = (NET.values(name.replace("1", str(i), 1)).copy() for name in (INTO, OUT))
        into[dead[:32]] = 0
        weights[f"encoder.layer.{i}.intermediate.dense.weight"] = Dense(into)
        bias = NET.values(f"encoder.layer.{i}.intermediate.dense.bias").copy()
        bias[dead[:32]] = -50  # which gelu makes zero
        weights[f"encoder.layer.{i}.intermediate.dense.bias"] = Dense(bias[None])
        out[:, dead[32:]] = 0
        weights[f"encoder.layer.{i}.output.dense.weight"] = Dense(out)
    net = NET.with_weights(weights)
    small = PruneNeurons(0.25).fit_transform(net)
    assert list(small.config.n_inner) == [192, 192]
    np.testing.assert_allclose(small.embed(TEXTS), net.embed(TEXTS), atol=1e-5)
    assert PruneNeurons(1.0).fit_transform(net).config.n_inner == (1, 1)
    fewer = PruneNeurons(0.26).fit_transform(net)
    assert np.abs(fewer.embed(TEXTS) - net.embed(TEXTS)).max() > 1e-3


@pytest.mark.parametrize("by", ["magnitude", "random"])
def test_exactly_the_share_is_zero_by_one_threshold_for_all_matrices(by):
    scaled = NET.with_weights({QUERY: Dense(NET.values(QUERY) / 10)})  # so it should lose more than others
    small = PruneWeights(0.7, by=by).fit_transform(scaled)
    before, after = ({n: net.values(n) for n in NET.matrices("layers")} for net in (scaled, small))
    zeros = {name: (after[name] == 0) for name in after}
    n_weights = sum(part.size for part in zeros.values())
    assert sum(part.sum() for part in zeros.values()) == round(0.7 * n_weights)
    for name, zero in zeros.items():
        np.testing.assert_array_equal(after[name], np.where(zero, 0, before[name]))
        assert isinstance(small.weights[name], Sparse)
    lost = max(np.abs(before[name][zero]).max(initial=0) for name, zero in zeros.items())
    kept = min(np.abs(before[name][~zero]).min(initial=9) for name, zero in zeros.items())
    if by == "magnitude":
        assert lost <= kept
        assert zeros[QUERY].mean() > 0.99
    else:
        assert abs(zeros[QUERY].mean() - 0.7) < 0.02
        other = PruneWeights(0.7, by=by, random_state=1).fit_transform(scaled).values(QUERY) == 0
        assert 0.3 < (other != zeros[QUERY]).mean() < 0.55
    untouched = small.weights.keys() - after.keys()
    assert all(small.weights[name] is scaled.weights[name] for name in untouched)
    more = PruneWeights(0.9, by=by).fit_transform(small)  # as for tickets, which are pruned again and again
    assert all((more.values(name)[zero] == 0).all() for name, zero in zeros.items())


@pytest.mark.parametrize("share", [0.4, 0.7])
def test_half_zeros_and_four_bits_keep_zeros_at_a_bit_each(share):
    pruned = PruneWeights(share).fit_transform(NET)
    small = Each(wb.SQ("kmeans", n_bits=4)).fit_transform(pruned)
    zero = pruned.values(QUERY) == 0
    assert not small.values(QUERY)[zero].any()
    n_kept = np.count_nonzero(~zero)
    most = N_WEIGHTS / 8 + n_kept / 2 + 128 * 4 + 16 * 8 * 2  # a row's last inner row is half full on average
    assert N_WEIGHTS / 8 + n_kept / 2 < small.weights[QUERY].nbytes < 1.02 * most
    error = small.values(QUERY)[~zero] - pruned.values(QUERY)[~zero]
    assert np.square(error).mean() < 0.02 * np.square(pruned.values(QUERY)[~zero]).mean()


def test_nothing_is_pruned_at_a_share_of_zero_and_equal_weights_do_not_all_go():
    with pytest.raises(ValueError, match="take a greater share"):
        PruneWeights(0.0).fit_transform(NET)
    alike = NET.with_weights({name: Dense(np.sign(NET.values(name))) for name in NET.matrices("layers")})
    small = PruneWeights(0.5).fit_transform(alike)
    assert np.mean(np.concatenate([small.values(name).ravel() == 0 for name in NET.matrices("layers")])) == 0.5


# -- the card ------------------------------------------------------------------------------


def rows_of(table) -> dict[tuple[str, str], float]:
    return {(row.metric, row.split): row for row in table.itertuples()}


RNG = np.random.default_rng(1)
LETTERS = [(" ".join(RNG.choice(list("abcdefghij"), 3 + i % 5)), ("no", "perhaps", "yes")[i % 3]) for i in range(60)]
TASK = Task.of("letters", dict.fromkeys(("train", "valid", "test"), LETTERS))


def test_the_card_says_what_can_be_counted_by_hand():
    small = PruneWeights(0.8, on="all").fit_transform(NET)
    found = rows_of(card(NET, small, TASK, latency=False))
    labels, texts = np.array(TASK.test.labels), TASK.test.texts
    before, after = NET.run(texts), small.run(texts)
    own, other = before.logits.argmax(1), after.logits.argmax(1)
    assert found["accuracy", "original"].value == pytest.approx((own == labels).mean())
    assert found["accuracy", "compressed"].value == pytest.approx((other == labels).mean())
    assert found["agreement", "all"].value == pytest.approx((own == other).mean())
    assert 0.3 < found["agreement", "all"].value < 1
    cosines = [
        a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(before.vectors, after.vectors, strict=True)
    ]
    assert found["cosine", "all"].value == pytest.approx(np.mean(cosines), abs=1e-5)
    same = 0
    for i in range(len(texts)):
        nearest = []
        for vectors in (before.vectors, after.vectors):
            of_others = [np.dot(v, vectors[i]) / np.linalg.norm(v) if j != i else -9 for j, v in enumerate(vectors)]
            nearest.append(int(np.argmax(of_others)))
        same += nearest[0] == nearest[1]
    assert found["nearest", "all"].value == pytest.approx(same / len(texts))
    f1 = [2 * ((other == k) & (labels == k)).sum() / ((other == k).sum() + (labels == k).sum()) for k in range(3)]
    assert found["macro_f1", "compressed"].value == pytest.approx(np.mean(f1))
    size = small.file_bytes - small.tokenizer_bytes
    assert (found["size", "compressed"].value, found["size", "tokenizer"].value) == (size, small.tokenizer_bytes)
    assert found["ratio", "all"].value == pytest.approx((NET.file_bytes - NET.tokenizer_bytes) / size)
    for row in found.values():
        assert np.isnan(row.low) or row.low <= row.value <= row.high
        assert row.how.startswith("exact")
    assert found["agreement", "all"].low < found["agreement", "all"].high


def test_a_network_is_like_itself_and_samples_are_said():
    found = rows_of(card(NET, NET, TASK, n_texts=20, random_state=3))
    for metric in ("agreement", "cosine", "nearest", "ratio"):
        assert found[metric, "all"].value == pytest.approx(1)
    assert {found["agreement", "all"].how, found["nearest", "all"].how} == {"sampled, seed 3"}
    assert found["agreement", "all"].n == 20
    for split in ("batch 1, original", "batch 32, original", "batch 1, compressed", "batch 32, compressed"):
        row = found["latency", split]
        assert 0 < row.low <= row.value <= row.high
        assert row.how == "timed, one thread, 15 times, quartiles"


def test_without_a_head_there_are_no_rows_about_labels():
    headless = made_network(made_pieces(), labels=(), max_tokens=16)
    found = card(headless, headless, TASK, latency=False)
    assert {*found["metric"]} == {"size", "ratio", "cosine", "nearest"}
    found = card(headless, made_network(made_pieces()), TASK, latency=False)
    assert {*found["split"][found["metric"] == "accuracy"]} == {"compressed"}
    assert "agreement" not in {*found["metric"]}


def test_the_layer_table_says_what_each_layer_does_and_what_it_costs():
    """A layer that gives what it gets contributes nothing, and nothing is lost without it."""
    net, changes = made_network(made_pieces(), dim=128, n_inner=[256] * 3, max_tokens=16), {}
    for name, shape in net.shapes.items():
        if "LayerNorm" in name:
            changes[name] = Dense(np.full((1, 128), name.endswith("weight"), np.float32))
        elif name.startswith("encoder.layer.1.") and "output.dense" in name:
            changes[name] = Dense(np.zeros((1, *shape)[-2:], np.float32))
    net = net.with_weights(changes)
    table = layer_table(net, TASK, n_texts=40)
    assert list(table.columns) == ["layer", "contribution", "cost", "low", "high", "agreement"]
    assert abs(table["contribution"][1]) < 1e-5 < 0.01 < table["contribution"][[0, 2]].min()
    assert (table["cost"][1], table["agreement"][1]) == (0, 1)
    texts = TASK.valid.sample(40, 0)
    for i in (0, 2):
        without = DropLayers(1, str(i)).fit_transform(net).run(texts.texts).logits.argmax(1)
        own = net.run(texts.texts).logits.argmax(1)
        assert table["agreement"][i] == pytest.approx((own == without).mean())
        lost = (own == texts.labels).astype(np.float32) - (without == texts.labels)
        assert table["cost"][i] == pytest.approx(lost.mean())
        assert (table["low"][i], table["high"][i]) == interval(lost, 0)
        ids, weights = map(torch.from_numpy, net.tokens(texts.texts))
        states = net.module()(ids, weights).states
        cosine = torch.cosine_similarity(states[i], states[i + 1], dim=-1)[weights > 0]
        assert table["contribution"][i] == pytest.approx(1 - float(cosine.mean()), abs=1e-5)
