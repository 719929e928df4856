"""Networks: the same numbers as transformers', tokens whose rows add up to their words' vectors, files, bags."""

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from conftest import described, is_mapped, made_fasttext, made_network, made_of_kind, made_pieces, made_plain, made_task
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
)

import workbench as wb
from workbench import networks
from workbench.networks import DropLayers, Each, NgramTokenizer, PieceTokenizer, Train

TEXTS = ["Cats sleep", "dogs and cats and dogs", "a", "unknown 42 things", ""]
LABELS = {0: "yes", 1: "no", 2: "perhaps", 3: "a fourth"}  # not in alphabetical order, as those of most files


def bert(folder, kind=BertModel, dtype=torch.float32, vocab_size=35, **shape):
    """Write a folder with a tiny random BERT; weights are large, so that no part is lost in rounding."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    labels = {"id2label": LABELS, "label2id": {label: i for i, label in LABELS.items()}}
    config = BertConfig(
        vocab_size=vocab_size, max_position_embeddings=40, initializer_range=0.3, **sizes | labels | shape
    )
    model = kind(config).to(dtype).eval()
    for name, weight in model.named_parameters():
        if weight.ndim == 1:
            torch.nn.init.normal_(weight, float("LayerNorm.weight" in name), 0.1)  # else biases are zero
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(made_pieces().text)
    return model.float()


def asked(model, net, **wanted):
    """Ask transformers' model about the same texts."""
    ids, weights = map(torch.from_numpy, net.tokens(TEXTS))
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=weights, **wanted), weights.bool()


# -- transformers as the oracle ------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_states_and_embeddings_are_those_of_transformers(pooling, tmp_path):
    model = bert(tmp_path)
    if pooling == "cls":
        (tmp_path / "1_Pooling").mkdir()
        modes = '{"word_embedding_dimension": 32, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'
        (tmp_path / "1_Pooling" / "config.json").write_text(modes)
    net = networks.load(tmp_path)
    out, is_token = asked(model, net, output_hidden_states=True)
    states = net.module()(*map(torch.from_numpy, net.tokens(TEXTS))).states
    assert len(states) == len(out.hidden_states) == 4
    for own, expected in zip(states, out.hidden_states, strict=True):
        assert (own - expected)[is_token].abs().max() < 1e-5
    last, share = out.last_hidden_state, is_token[..., None] / is_token.sum(1)[:, None, None]
    expected = last[:, 0] if pooling == "cls" else (last * share).sum(1)
    np.testing.assert_allclose(net.embed(TEXTS), expected, atol=1e-5)


def test_logits_are_those_of_transformers_and_labels_keep_their_names(tmp_path):
    """A task sorts its labels, so the head's rows are in that order, too."""
    model = bert(tmp_path, BertForSequenceClassification)
    net = networks.load(tmp_path)
    assert net.config.labels == tuple(sorted(LABELS.values()))
    logits = asked(model, net)[0].logits.numpy()
    order = [next(i for i in LABELS if LABELS[i] == label) for label in net.config.labels]
    assert np.abs(net.run(TEXTS).logits - logits[:, order]).max() < 1e-5
    assert net.predict(TEXTS) == [LABELS[i] for i in logits.argmax(1)]
    pooled = model.bert(*map(torch.from_numpy, net.tokens(TEXTS))).pooler_output
    np.testing.assert_allclose(net.embed(TEXTS), pooled.detach(), atol=1e-5)


PAIRS = [
    ("Cats sleep", "a cat"), ("a cat", "Cats sleep"), ("dogs and cats", ""), ("", "a"), ("", ""),
    ("a b c d e f g h " * 5, "cat dog"), ("cat", "a b c d e f g h " * 5), ("a b c d e f g h " * 3, "x y z " * 7),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:some pairs of texts have more than 40 tokens")
def test_pairs_have_transformers_tokens_and_logits_also_where_they_are_cut(tmp_path):
    model = bert(tmp_path, BertForSequenceClassification)
    net = networks.load(tmp_path)
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), **special)
    cut = {"truncation": True, "max_length": 40, "padding": True, "return_token_type_ids": True}
    inputs = theirs(*map(list, zip(*PAIRS, strict=True)), **cut)
    ids, weights, types = net.tokens(PAIRS)
    np.testing.assert_array_equal(ids, inputs["input_ids"])
    np.testing.assert_array_equal(weights, inputs["attention_mask"])
    np.testing.assert_array_equal(types, inputs["token_type_ids"])
    with torch.inference_mode():
        expected = model(**{name: torch.tensor(values) for name, values in inputs.items()}).logits.numpy()
    order = [next(i for i in LABELS if LABELS[i] == label) for label in net.config.labels]
    for size in (2, 32):  # sorted by the lengths of both texts
        assert np.abs(net.run(PAIRS, size).logits - expected[:, order]).max() < 1e-5
    assert net.predict(PAIRS) == [LABELS[i] for i in expected.argmax(1)]
    assert np.abs(net.run([first for first, _ in PAIRS[:5]]).logits - expected[:5, order]).max() > 0.1
    assert np.abs(net.run([pair[::-1] for pair in PAIRS]).logits - expected[:, order]).max() > 0.1


def test_pairs_that_are_none_or_that_a_network_cannot_take_are_refused(fasttext, tmp_path):
    net, pair = made_network(made_pieces()), ("a", "b")
    for texts in ([pair, "a"], [pair, ("a",)], [pair, ("a", 3)], [pair, ["a", "b"]], [("a", "b", "c")]):
        with pytest.raises(TypeError, match=r"^expected pairs as \('a text', 'another'\), got .* at place [01]$"):
            net.embed(texts)
    with pytest.raises(TypeError, match=r"nothing else, got tuple at place 1; fill gaps"):
        net.embed(["a", pair])
    others = {"bert of ngrams": networks.transformer(fasttext), "bag of ngrams": networks.bag(fasttext)}
    for said, other in (others | {"bag of pieces": made_network(made_pieces(), "bag")}).items():
        with pytest.raises(
            ValueError, match=rf"^only a BERT, as networks.load.* takes pairs of texts; this is a {said}$"
        ):
            other.embed([pair])
    strange = PieceTokenizer(made_pieces().text.replace('"type_id":1', '"type_id":2'))
    with pytest.raises(ValueError, match="expected the tokenizer to give tokens of pairs the types 0 and 1, got 2"):
        made_network(strange).embed([pair])
    with pytest.warns(UserWarning, match="^some pairs of texts have more than 2 tokens; the ends of their longer"):
        assert made_pieces()([pair], 2).ids.shape == (1, 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM])
def test_half_floats_are_widened_and_other_heads_are_left_out(dtype, kind, tmp_path):
    """`BertForMaskedLM` has ``bert.`` before each name, and no pooler."""
    model = bert(tmp_path, kind, dtype)
    net, model = networks.load(tmp_path), getattr(model, "bert", model)
    out, is_token = asked(model, net)
    states = net.module()(*map(torch.from_numpy, net.tokens(TEXTS))).states
    assert (states[-1] - out.last_hidden_state)[is_token].abs().max() < 1e-5
    assert net.config.labels == ()


def test_names_of_older_files_are_known(tmp_path):
    """TensorFlow's gamma and beta, as the first BERTs have them; and vocab.txt without a tokenizer.json."""
    from safetensors.torch import load_file, save_file

    bert(tmp_path)
    expected = networks.load(tmp_path)
    older = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    weights = load_file(tmp_path / "model.safetensors")
    for new, old in older.items():
        weights = {f"bert.{name.replace(new, old)}".replace("bert.bert.", "bert."): w for name, w in weights.items()}
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").rename(tmp_path / "away.json")
    words = sorted(made_pieces()._fast.get_vocab().items(), key=lambda item: item[1])
    (tmp_path / "vocab.txt").write_text("\n".join(word for word, _ in words))
    found = networks.load(tmp_path)
    np.testing.assert_array_equal(found.embed(TEXTS), expected.embed(TEXTS))
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    cased = networks.load(tmp_path).embed(TEXTS)
    assert [(a == b).all() for a, b in zip(cased, expected.embed(TEXTS), strict=True)] == [False, *[True] * 4]


def test_weights_in_float32_stay_in_their_file(tmp_path):
    bert(tmp_path)
    assert all(is_mapped(storage.matrix) for storage in networks.load(tmp_path).weights.values())


@pytest.mark.parametrize(
    ("which", "kept"),
    [("top", [0, 1]), ("bottom", [2, 3]), ("middle", [0, 3]), ("alternate", [0, 2]), ("0, 2", [1, 3])],
)
def test_dropped_layers_are_transformers_model_without_them(which, kept, tmp_path):
    model = bert(tmp_path, num_hidden_layers=4)
    small = DropLayers(2, which).fit_transform(networks.load(tmp_path))
    model.encoder.layer = torch.nn.ModuleList(model.encoder.layer[i] for i in kept)
    model.config.num_hidden_layers = 2
    out, is_token = asked(model, small)
    states = small.module()(*map(torch.from_numpy, small.tokens(TEXTS))).states
    assert len(states) == 3
    assert (states[-1] - out.last_hidden_state)[is_token].abs().max() < 1e-5


# -- tokens --------------------------------------------------------------------------------

RAW = made_fasttext()
PRUNED = wb.Prune(300, 300).fit_transform(RAW)
VECTORS = {
    "raw": RAW,
    "adjusted": RAW.adjusted(),
    "pruned": PRUNED,
    "compressed": wb.PQ(4).fit_transform(PRUNED),
    "residual": wb.Chain([wb.SQ(on="ngrams"), wb.Residual()]).fit_transform(PRUNED),
    "rows and lengths of others": wb.Prune(300, 300, remap="nearest").fit_transform(RAW),
    "no n-grams": made_plain(),
    "finalfusion": made_of_kind("finalfusion"),
    "listed": wb.Prune(300, 300).fit_transform(made_of_kind("explicit")),
    "folded": wb.Rehash(700).fit_transform(RAW),
}
WORDS = [*RAW.words[::9], "zzzzz", "bakeliteness", "ласт", "ba", "x"]  # some unseen; the last has no vector in any


@pytest.mark.parametrize("kind", VECTORS)
@pytest.mark.parametrize("flat", [False, True])
def test_the_weighted_rows_of_a_word_add_up_to_its_vector(kind, flat):
    v = VECTORS[kind]
    ids, weights = NgramTokenizer.of(v, flat=flat)([word.title() for word in WORDS], 9)
    assert ids.shape == weights.shape == ((len(WORDS), ids.shape[1]) if flat else (len(WORDS), 1, ids.shape[2]))
    rows = v.storage.rows(slice(None))
    found = (rows[ids] * weights[..., None]).sum(-2).reshape(len(WORDS), -1)
    np.testing.assert_allclose(found, v.get_vectors(WORDS, missing="zero"), atol=2e-6)
    assert kind != "no n-grams" or not weights[-5:].any()


@pytest.mark.parametrize("kind", VECTORS)
def test_a_bag_is_the_mean_of_its_words_vectors(kind):
    v = VECTORS[kind]
    texts = [" ".join(WORDS[:7]), f"{WORDS[3]}, {WORDS[3]}! x?", "...", "", WORDS[0]]
    found = networks.bag(v).embed(texts)
    has_vector = [word for word in ("x",) if v.can_embed(word)]
    for text, vector in zip([WORDS[:7], [WORDS[3]] * 2 + has_vector, None, None, WORDS[:1]], found, strict=True):
        expected = np.zeros(v.dim) if text is None else v.get_vectors(text).mean(0)
        np.testing.assert_allclose(vector, expected, atol=2e-6)


def test_words_of_a_cased_vocabulary_keep_their_capitals():
    v = wb.Vectors.from_arrays(["Paris", "paris", "runs"], np.eye(3))
    np.testing.assert_array_equal(networks.bag(v).embed(["Paris", "paris", "RUNS"]), [[1, 0, 0], [0, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("kind", ["pieces", "n-grams", "bag"])
def test_a_text_is_the_same_alone_and_in_any_batch(kind, fasttext):
    """Also beside a text without any token, which is zeros."""
    tokenizer = made_pieces() if kind == "pieces" else NgramTokenizer.of(fasttext, flat=kind == "bag")
    net = made_network(tokenizer, "bag" if kind == "bag" else "bert")
    texts = ["", "...", *fasttext.words[:5], " ".join(fasttext.words[:60]), "a \ud800 c"] * 5
    vectors, logits = net.run(texts)
    alone = [net.run([text]) for text in texts[:9]]
    np.testing.assert_allclose(vectors[:9], np.concatenate([one.vectors for one in alone]), atol=2e-6)
    np.testing.assert_allclose(logits[:9], np.concatenate([one.logits for one in alone]), atol=1e-5)
    assert (vectors[0] == 0).all() == (kind != "pieces")  # a BERT's empty text has two tokens
    module = copy.deepcopy(net.module()).train().requires_grad_(True)
    module(*map(torch.from_numpy, net.tokens(texts))).logits.square().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in module.parameters() if weight.grad is not None)


def test_a_tokenizer_without_special_tokens_takes_empty_texts_and_one_with_more_than_fit_cuts_them():
    from tokenizers import Tokenizer

    with pytest.warns(UserWarning, match="more than 1 tokens"):
        assert made_pieces()(["a b c"], 1).ids.shape == (1, 1)
    fast = Tokenizer.from_str(made_pieces().text)
    fast.post_processor = None
    for pooling in ("mean", "cls"):
        net = made_network(PieceTokenizer(fast.to_str()), pooling=pooling)
        assert np.isfinite(net.embed(["", " "])).all()
        np.testing.assert_allclose(net.embed(["", "cat"])[1], net.embed(["cat"])[0], atol=1e-6)


@pytest.mark.parametrize("kind", ["pieces", "n-grams", "bag"])
def test_longer_texts_lose_their_end_and_one_warning_says_so(kind, fasttext):
    tokenizer = made_pieces() if kind == "pieces" else NgramTokenizer.of(fasttext, flat=kind == "bag")
    net = made_network(tokenizer, "bag" if kind == "bag" else "bert", max_tokens=8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        found = net.embed(["a b c d e f g h i j k l"] * 100)
    assert [str(w.message) for w in caught] == ["some texts have more than 8 tokens; what follows those is left out"]
    assert caught[0].filename == __file__
    n_words = 6 if kind == "pieces" else 8  # beside [CLS] and [SEP]
    np.testing.assert_allclose(found[:1], net.embed([" ".join("abcdefgh"[:n_words])]), atol=1e-6)


def test_small_networks_run_in_one_thread(monkeypatch):
    """On a busy machine two threads of torch wait for each other: 42 s for 1,000 texts instead of 2."""
    import torch

    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    n = torch.get_num_threads()
    networks.bag(made_plain(50, 8)).embed(["one", "two"])
    assert threads == [1, n]


def test_a_very_long_word_does_not_fill_memory(fasttext):
    assert NgramTokenizer.of(fasttext)(["a " * 60, "x" * 100_000], 64).ids.nbytes < 1e6


def test_texts_may_be_a_column_of_a_table_and_no_single_text():
    import pandas as pd

    net = made_network(made_pieces())
    column = pd.Series(TEXTS, index=[4, 3, 2, 1, 0])
    np.testing.assert_array_equal(net.embed(column), net.embed(TEXTS))
    assert net.embed([]).shape == (0, 32)
    for texts in ("one text", ["one", 3], ["one", float("nan")], {3: "x"}):
        with pytest.raises(TypeError, match="expected a list of texts and nothing else, got"):
            net.embed(texts)


# -- files ---------------------------------------------------------------------------------

SMALLER = {
    "as it is": None,
    "int8 and codes": wb.Chain([Each(wb.PQ(16, n_bits=4), on="embeddings"), Each(wb.SQ("int8"))]),
    "zeros and 4 bits": wb.Chain([networks.PruneWeights(0.5, on="all"), Each(wb.SQ("kmeans"), on="all")]),
    "pieces": Each(wb.PQ(8, n_bits=4), on="all", width=16),
}


@pytest.fixture(params=["bert of pieces", "bert", "bag"])
def net(request, fasttext):
    if request.param == "bert of pieces":
        return made_network(made_pieces(), dim=64, pooling="pooler")
    return made_network(NgramTokenizer.of(fasttext, flat=request.param == "bag"), request.param, dim=64)


@pytest.mark.parametrize("recipe", SMALLER)
def test_a_saved_network_gives_the_same_bits(recipe, net, tmp_path):
    recipe = SMALLER[recipe]
    net = net if recipe is None else recipe.fit_transform(net)
    path = net.save(tmp_path / "net.safetensors")
    again = networks.load(path)
    assert path.stat().st_size == net.file_bytes == again.file_bytes
    assert again.save(tmp_path / "again").read_bytes() == path.read_bytes()
    size = len(pickle.dumps(net))
    net.run(TEXTS)  # what that finds stays behind
    assert len(pickle.dumps(net)) == size
    copies = [again, pickle.loads(pickle.dumps(net)), copy.deepcopy(net), copy.copy(again)]
    for other in copies:
        for own, expected in zip(other.run(TEXTS), net.run(TEXTS), strict=True):
            np.testing.assert_array_equal(own, expected)
        assert (other.config, other.meta, other.nbytes) == (net.config, net.meta, net.nbytes)
    assert described(path)["meta"].get("recipe", []) == ([] if recipe is None else steps_of(recipe))
    if recipe is not None:
        assert wb.recipe_from(path) == wb.Chain(recipe.steps if isinstance(recipe, wb.Chain) else [recipe])


def steps_of(recipe):
    found = recipe.to_json()
    return found.get("steps", [found])


def test_opening_reads_no_matrix(tmp_path):
    net = networks.load(made_network(made_pieces()).save(tmp_path / "net"))
    assert all(is_mapped(storage.matrix) for storage in net.weights.values())


def test_networks_and_vectors_say_where_they_open(tmp_path, plain):
    net, vectors = made_network(made_pieces()).save(tmp_path / "net"), plain.save(tmp_path / "vectors")
    with pytest.raises(ValueError, match=r"^\S+ holds a network; open it with workbench.networks.load\(path\)$"):
        wb.load(net)
    with pytest.raises(ValueError, match=r"^\S+ holds word vectors, not a network; open it with workbench.load\(path"):
        networks.load(vectors)
    with pytest.raises(TypeError, match=r"PQ takes Vectors.*got Network; for a network wrap it, as in networks.Each"):
        wb.PQ(4).fit_transform(networks.load(net))
    with pytest.raises(TypeError, match=r"DropLayers takes Network, as from networks.load\(path\), got Vectors"):
        DropLayers(1).fit_transform(plain)


# -- bags ----------------------------------------------------------------------------------

PARALLEL = """
import copy, sys, torch
from torch.nn.parallel import DistributedDataParallel
from workbench import networks

path, rank, *texts = sys.argv[1:]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{path}.meet", rank=int(rank), world_size=2)
net = networks.load(path)
module = copy.deepcopy(net.module()).requires_grad_(True)
tokens = [torch.from_numpy(part) for part in net.tokens(texts)]
both = DistributedDataParallel(copy.deepcopy(module))
both(*(part.chunk(2)[int(rank)] for part in tokens)).pooled.pow(3).mean().backward()
module(*tokens).pooled.pow(3).mean().backward()
for found, expected in zip(both.parameters(), module.parameters(), strict=True):
    assert expected.grad.abs().max() > 1e-3
    assert (found.grad - expected.grad).abs().max() < 1e-6
"""


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(tmp_path, fasttext):
    """Tokens of a bag can be cut by text; ids of one axis with offsets cannot be (pytorch#18685)."""
    path = networks.bag(fasttext).save(tmp_path / "bag")
    texts = [" ".join(fasttext.words[i : i + 3]) for i in range(0, 12, 2)]
    both = [subprocess.Popen([sys.executable, "-c", PARALLEL, path, str(rank), *texts]) for rank in range(2)]
    assert [process.wait(100) for process in both] == [0, 0]


@pytest.mark.parametrize(
    ("step", "bytes_a_number"), [(None, 4), (wb.SQ("float16"), 2), (wb.SQ("int8"), 1)], ids=["4", "2", "1"]
)
def test_a_bag_learns_with_frozen_and_smaller_rows(step, bytes_a_number):
    task, v = made_task(), made_plain(400)
    net = networks.bag(v) if step is None else Each(step, on="embeddings").fit_transform(networks.bag(v))
    rows = net.weights[networks.config.WORDS]
    frozen = Train(task, only="head", n_steps=80, learning_rate=0.05).fit_transform(net)
    assert frozen.weights[networks.config.WORDS] is rows
    np.testing.assert_allclose(rows.nbytes, bytes_a_number * 400 * 12, atol=4 * 12)
    trained = Train(task, n_steps=80, learning_rate=0.05).fit_transform(net)
    assert trained.weights[networks.config.WORDS].nbytes == rows.nbytes
    right = [(n.run(task.test.texts).logits.argmax(1) == task.test.labels).mean() for n in (frozen, trained)]
    assert 0.5 < right[0] < right[1] > 0.9


def test_random_rows_are_as_long_as_the_vectors_on_average(fasttext):
    v, random = fasttext, networks.bag(fasttext, rows="random", random_state=1)
    rows = random.weights[networks.config.WORDS].rows(slice(None))
    assert np.isclose(np.square(rows).sum(1).mean(), np.square(v.storage.norms()).mean(), rtol=0.05)
    assert not np.array_equal(rows, networks.bag(v, rows="random").weights[networks.config.WORDS].rows(slice(None)))
    with pytest.raises(ValueError, match=r"rows must be one of .*stored.*, got 'ones'"):
        networks.bag(v, rows="ones")


def test_stored_rows_stay_as_the_vectors_have_them(fasttext):
    small = wb.PQ(4, random_state=0).fit_transform(wb.Prune(n_words=300, n_ngrams=400).fit_transform(fasttext))
    stored, decoded = (networks.bag(small, rows=rows) for rows in ("stored", "vectors"))
    assert stored.weights[networks.config.WORDS] is small.storage
    assert stored.nbytes < decoded.nbytes
    np.testing.assert_array_equal(stored.embed(["the cat", "unseenly"]), decoded.embed(["the cat", "unseenly"]))
