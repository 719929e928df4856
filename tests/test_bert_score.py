"""`bert_score`: by hand, beside a few lines of numpy and the public package, and what it refuses."""

import json
import warnings

import numpy as np
import pytest
from conftest import made_fasttext, made_network, made_pieces, made_task
from safetensors.numpy import save_file

import workbench as wb
from workbench import networks
from workbench.networks import NgramTokenizer, bert_score

HOT = wb.Vectors.from_arrays(list("abcde"), np.eye(5))
TEXTS = [
    "cat and dogs",
    "a cat and a dog sleep",
    "dog",
    "cats sleep and dogs",
    "no letters",
    "sleep cat",
    "zebra and cat",
]
OTHERS = ["dogs and cat", "the dog sleeps", "a", "cats", "yes", "cat sleep", "zebra and cat"]
SCORES = ["precision", "recall", "f1"]


def net(**options):
    return made_network(made_pieces(), labels=(), n_inner=[96, 96], **options)


def by_numpy(network, candidate: str, reference: str, layer: int, idf: list[str] | None = None) -> list[float]:
    """The definition, for one pair without padding; the first and the last token stand around the text."""
    sides = []
    for text in (candidate, reference):
        ((_, tokens, out),) = network.outputs([text])
        states = out.states[layer][0].numpy()
        weights = np.ones(len(states))
        if idf is not None:
            documents = [set(network.tokens([other]).ids[0].tolist()) for other in idf]
            found = [sum(i in document for document in documents) for i in tokens.ids[0].tolist()]
            weights = np.log((len(idf) + 1) / (np.array(found) + 1))
        weights[[0, -1]] = 0
        sides.append((states / np.linalg.norm(states, axis=1, keepdims=True), weights / weights.sum()))
    cosines = sides[0][0] @ sides[1][0].T
    p, r = cosines.max(axis=1) @ sides[0][1], cosines.max(axis=0) @ sides[1][1]
    return [p, r, 2 * p * r / (p + r)]


def test_by_hand():
    """Of "a b", a stands in "a c d"; of the three words of that, one stands in "a b"."""
    found = bert_score(HOT, ["a b"], ["a c d"])
    assert list(found) == SCORES
    assert np.allclose(found, [[1 / 2, 1 / 3, 2 / 5]])


def test_idf_by_hand():
    """Among three references a stands in three, b in one, and c in none."""
    references = ["a b b", "a", "a d"]
    found = bert_score(HOT, ["a b c", "b", "d"], ["a b", "a b", "a d"], idf=references)
    of = {"a": 0, "b": np.log(4 / 2), "c": np.log(4)}
    precision = of["b"] / sum(of.values())
    assert np.allclose(found.iloc[0], [precision, 1, 2 * precision / (precision + 1)])
    references[1] = "a e"
    assert bert_score(HOT, references, references, idf=True).equals(
        bert_score(HOT, references, references, idf=references)
    )


@pytest.mark.parametrize("idf", [False, True])
@pytest.mark.parametrize("layer", [0, 1, 2, None])
def test_as_the_definition_in_numpy(layer, idf):
    network = net()
    found = bert_score(network, TEXTS, OTHERS, idf=idf, layer=layer)
    expected = [
        by_numpy(network, a, b, -1 if layer is None else layer, OTHERS if idf else None)
        for a, b in zip(TEXTS, OTHERS, strict=True)
    ]
    assert np.allclose(found, expected, atol=1e-6)


def test_tokens_around_a_text_are_there_to_be_matched():
    """A letter may be most like the token that ends a text, which weighs nothing itself."""
    network = net()
    letters = list("abcdefghijklmnopqrstuvwxyz")
    ((_, _, out),) = network.outputs(letters)
    states = out.states[0].numpy()
    states /= np.linalg.norm(states, axis=2, keepdims=True)  # (26, 3, 32)
    cosines = np.einsum("id,jtd->ijt", states[:, 1], states)  # (26, 26, 3)
    i, j = np.unravel_index((cosines[:, :, 2] - cosines[:, :, 1]).argmax(), (26, 26))
    assert cosines[i, j].argmax() == 2  # else this shows nothing
    found = bert_score(network, [letters[i]], [letters[j]], layer=0)
    assert np.isclose(found["precision"][0], cosines[i, j, 2], atol=1e-6)


@pytest.mark.parametrize("idf", [False, True])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_as_the_public_package(layer, idf, tmp_path):
    package = pytest.importorskip("bert_score", reason="bert-score is not installed")
    network = net()
    save_file({name: network.values(name) for name in network.weights}, tmp_path / "model.safetensors")
    sizes = {"hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    about = {"model_type": "bert", "hidden_act": "gelu", "max_position_embeddings": 64, "vocab_size": 35, **sizes}
    (tmp_path / "config.json").write_text(json.dumps(about))
    (tmp_path / "tokenizer.json").write_text(network.tokenizer.text)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    names |= {"tokenizer_class": "BertTokenizer", "model_max_length": 64}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    vocabulary = json.loads(network.tokenizer.text)["model"]["vocab"]
    (tmp_path / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)))
    options = {"num_layers": layer, "idf": idf, "nthreads": 0, "device": "cpu", "batch_size": 1}
    theirs = package.score(TEXTS, OTHERS, model_type=str(tmp_path), **options)
    found = bert_score(network, TEXTS, OTHERS, idf=idf, layer=layer)
    assert np.allclose(found, np.transpose([column.numpy() for column in theirs]), atol=1e-6)


@pytest.mark.parametrize(
    "model", [HOT, net(), networks.transformer(made_fasttext(dim=12))], ids=["words", "pieces", "bert"]
)
def test_equal_texts_give_1_and_roles_are_symmetric(model):
    texts, others = ["a b", "c d e e", "b c"], ["b e", "a", "c b d"]
    assert np.allclose(bert_score(model, texts, texts), 1, atol=1e-6)
    forth, back = bert_score(model, texts, others), bert_score(model, others, texts)
    assert np.allclose(forth[["precision", "recall", "f1"]], back[["recall", "precision", "f1"]], atol=1e-6)


def test_neither_order_nor_company_matters(monkeypatch):
    monkeypatch.setitem(bert_score.__globals__, "BLOCK", 3)
    network = net()
    whole = bert_score(network, TEXTS, OTHERS)
    turned = bert_score(network, TEXTS[::-1], OTHERS[::-1])
    assert np.allclose(whole, turned[::-1], atol=1e-6)
    assert np.allclose(whole[2:3], bert_score(network, TEXTS[2:3], OTHERS[2:3]), atol=1e-6)


def test_a_reference_of_many_candidates_is_embedded_once(monkeypatch):
    network, seen = net(), []
    outputs = type(network).outputs
    monkeypatch.setattr(type(network), "outputs", lambda self, texts: seen.extend(texts) or outputs(self, texts))
    monkeypatch.setitem(bert_score.__globals__, "BLOCK", 4)
    bert_score(network, TEXTS, ["a cat", "a dog", "a cat", "a dog", "a cat", "a dog", "a cat"])
    assert sorted(seen) == sorted([*TEXTS, "a cat", "a dog"])


def test_unseen_words_have_their_ngrams_and_others_are_left_out():
    v = made_fasttext()
    known, unseen = v.words[0], v.words[1] + "s"
    found = bert_score(v, [f"{known} {unseen}"], [known])
    cosine = v.similarity(known, unseen)
    assert np.allclose(found, [[(1 + cosine) / 2, 1, (1 + cosine) / (1 + (1 + cosine) / 2)]], atol=1e-6)
    assert np.allclose(bert_score(HOT, ["a nowhere B"], ["a c d"]), [[1 / 2, 1 / 3, 2 / 5]])


def test_a_baseline_of_numbers_is_the_0_of_the_scale():
    plain, zero = bert_score(HOT, ["a b"], ["a c d"]).to_numpy(), (0.1, 0.2, -0.3)
    found = bert_score(HOT, ["a b"], ["a c d"], baseline=zero)
    assert np.allclose(found, (plain - zero) / (1 - np.array(zero)))
    assert found.attrs["baseline"] == zero


def test_a_baseline_of_texts_is_the_mean_of_pairs_of_different_ones():
    texts = ["a b", "a c", "d e a"]
    found = bert_score(HOT, texts, texts, baseline=texts, random_state=1)
    order = np.random.default_rng(1).permutation(3)
    pairs = [texts[i] for i in order], [texts[i] for i in np.roll(order, 1)]
    assert all(a != b for a, b in zip(*pairs, strict=True))
    assert np.allclose(found.attrs["baseline"], bert_score(HOT, *pairs).mean())
    assert np.allclose(found, 1)
    again = bert_score(HOT, texts, texts[::-1], baseline=found.attrs["baseline"])
    assert np.allclose(again, bert_score(HOT, texts, texts[::-1], baseline=texts, random_state=1))


@pytest.mark.parametrize("model", [HOT, net(), networks.transformer(HOT, n_heads=5)], ids=["words", "pieces", "bert"])
def test_texts_without_tokens_score_0_with_one_warning(model):
    with pytest.warns(UserWarning, match="3 of 4 pairs, as that at place 0, have a text without a token") as caught:
        found = bert_score(model, ["", "a", "", "a"], ["a", "", "", "a"], baseline=["a b", "", "c d", "e"])
    assert len(caught) == 1
    zero = np.array(found.attrs["baseline"])
    assert np.allclose(found[:3], -zero / (1 - zero))
    assert np.allclose(found[3:], 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert np.allclose(bert_score(model, ["a"], ["a"], idf=True), 0)  # a weighs log(2 / 2)
    assert len(caught) == 1


def test_the_card_says_how_far_a_compression_moves_it():
    task = made_task(n_texts=60)
    big = made_network(NgramTokenizer.of(made_fasttext(dim=32)))
    small = networks.Each(wb.SQ("int8"), on="all").fit_transform(big)
    smaller = networks.PruneWeights(0.8, on="all").fit_transform(big)
    cards = [networks.card(big, other, task, latency=False, matching=True) for other in (big, small, smaller)]
    ranks, changes = (
        [of.set_index("metric")["value"][f"f1_{name}"] for of in cards] for name in ("spearman", "change")
    )
    assert ranks[0] > 0.99999 > ranks[1] > ranks[2]
    assert changes[0] == 0 < changes[1] < changes[2]
    row = cards[2].set_index("metric").loc["f1_change"]
    assert (row["n"], row["how"]) == (60, "sampled, seed 0")
    assert row["low"] < row["value"] < row["high"]
    order = np.random.default_rng(0).permutation(60)
    pairs = [[task.test.texts[i] for i in of] for of in (order, np.roll(order, 1))]
    before, after = (bert_score(net, *pairs)["f1"] for net in (big, smaller))
    assert changes[2] == pytest.approx((before - after).abs().mean(), abs=1e-6)
    assert ranks[2] == pytest.approx(before.corr(after, method="spearman"), abs=1e-6)
    plain = networks.card(big, smaller, task, latency=False)
    assert plain.equals(cards[2][~cards[2]["metric"].str.startswith("f1_")].reset_index(drop=True))


def test_a_bag_has_no_such_rows():
    bag = networks.bag(made_fasttext())
    assert "f1_change" not in {*networks.card(bag, bag, made_task(n_texts=20), latency=False, matching=True)["metric"]}


WRONG = [
    ({"candidates": "a b"}, "expected a list of texts and nothing else, got one text"),
    ({"candidates": []}, "expected a reference for each of at least one candidate, got 0 and 1"),
    ({"candidates": ["a", "b"]}, "expected a reference for each of at least one candidate, got 2 and 1"),
    ({"references": [None]}, "expected a list of texts and nothing else, got NoneType at place 0"),
    ({"model": "model"}, "model must be a Network or Vectors, got 'model'"),
    ({"model": networks.bag(HOT)}, "a bag has no states of tokens; give the word vectors"),
    ({"layer": 1}, "layer must be a whole number from 0 to 0, or None, got 1"),
    ({"model": net(), "layer": 3}, "layer must be a whole number from 0 to 2, or None, got 3"),
    ({"model": net(), "layer": -1}, "from 0 to 2, or None, got -1"),
    ({"model": net(), "layer": 1.0}, "from 0 to 2, or None, got 1.0"),
    ({"model": net(), "layer": True}, "from 0 to 2, or None, got True"),
    ({"idf": "a b"}, "idf must be a bool or texts: expected a list of texts"),
    ({"idf": 1}, "idf must be a bool or texts: expected a list of texts"),
    ({"idf": []}, "expected at least one text in idf, got none"),
    ({"baseline": "abc"}, "baseline must be three numbers or texts: expected a list of texts"),
    ({"baseline": [0.1, 0.2]}, "baseline must be three numbers or texts: .* got 0.1 at place 0"),
    ({"baseline": 0.1}, "baseline must be three numbers or texts"),
    (
        {"baseline": [0.1, 1, 0.1]},
        r"expected a baseline below 1, or different texts with tokens for it, got \[0.1, 1.0",
    ),
    ({"baseline": [0.1, np.nan, 0.1]}, "expected a baseline below 1"),
    ({"baseline": ["a", "a"]}, "expected a baseline below 1"),
    ({"baseline": ["?", "!"]}, "expected a baseline below 1"),
]


@pytest.mark.parametrize(("options", "said"), WRONG)
def test_bad_input(options, said):
    with pytest.raises((TypeError, ValueError), match=said):
        bert_score(**{"model": HOT, "candidates": ["a"], "references": ["a"]} | options)
