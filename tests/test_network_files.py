"""Files, folders and tasks for networks that are damaged, lie or do not fit: one line each, and nothing spent on it."""

import json
import re

import numpy as np
import pytest
from conftest import described, made_fasttext, made_network, made_pieces, made_task
from safetensors.numpy import load_file, save, save_file
from test_hostile_artefact import file_of

import workbench as wb
from workbench import networks
from workbench.networks import (
    DropLayers,
    Each,
    Network,
    NgramTokenizer,
    PieceTokenizer,
    PruneNeurons,
    PruneWeights,
    Task,
    Train,
    card,
    layer_table,
    load_task,
)
from workbench.networks.config import WORDS
from workbench.storage import Dense

PIECES = made_network(made_pieces())
NGRAMS = Each(wb.PQ(8, n_bits=4), on="embeddings").fit_transform(
    made_network(NgramTokenizer.of(made_fasttext(60, 200)), pooling="pooler")
)
QUERY = "encoder.layer.0.attention.self.query.weight"


def opened_and_used(path):
    """Open a network and use it: what is wrong with numbers is not looked for before."""
    return networks.load(path).embed(["a text"])


@pytest.fixture
def saved(tmp_path):
    """The arrays and the metadata of a network's file, to be changed and written again."""

    def parts(net):
        path = net.save(tmp_path / "whole")
        arrays, about = load_file(path), described(path)
        path.unlink()
        return arrays, about

    return parts


@pytest.fixture
def refused(refusal):
    """The one line with which `networks.load` refuses a file or folder."""
    return lambda data_or_path, **options: refusal(data_or_path, load=networks.load, **options)


# -- files of ours -------------------------------------------------------------------------


@pytest.mark.parametrize("net", [PIECES, NGRAMS], ids=["pieces", "n-grams"])
def test_a_file_taken_apart_and_written_again_opens(net, saved, refused, tmp_path):
    """So what is refused below is the change. Cut short, it is refused."""
    data = file_of(*saved(net))
    for size in range(0, len(data), len(data) // 40):
        refused(data[:size])
    refused(data[:-1])
    refused(data + b"\0")
    (tmp_path / "same").write_bytes(data)
    np.testing.assert_array_equal(networks.load(tmp_path / "same").embed(["a cat"]), net.embed(["a cat"]))


NUMBERS = [None, "8", [8], True, 32.0, float("nan"), -1, 0, 7, 10**9, 10**30]
LIES = {
    **dict.fromkeys(["dim", "n_heads", "max_tokens"], NUMBERS),
    "n_inner": [None, 96, "96", [], ["96"], [96.0], [True], [0], [95], [10**9], [96] * 2, [96] * 2_000, {"96": 1}],
    "kind": [None, 3, "gpt", "bag", ["bert"]],
    "pooling": [None, "max", ["mean"], "pooler"],
    "eps": [None, "0.1", 0, 1, -1.0, float("nan"), [1e-12]],
    "labels": [None, 3, [], ["a"], ["a", "a", "b"], ["a", "b", 3], ["a", "b", ["c"]], ["a", "b", "c", "d"]],
    "surprise": [1],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in LIES.items() for value in values], ids=lambda v: f"{v!r:.20}"
)
def test_a_configuration_that_lies_is_refused(name, value, saved, refused):
    arrays, about = saved(PIECES)
    about["network"]["config"][name] = value
    refused(file_of(arrays, about))


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, [1]], ids=str)
@pytest.mark.parametrize("part", ["network", "config", "tokenizer", "weights", "meta", QUERY])
def test_a_part_of_the_wrong_type_is_refused(part, value, saved, refused):
    if part == "meta" and not value:
        pytest.skip("nothing is noted")
    arrays, about = saved(PIECES)
    {"config": about["network"], "tokenizer": about["network"], QUERY: about["weights"]}.get(part, about)[part] = value
    refused(file_of(arrays, about))


MATRIX, ROWS = f"weights.{QUERY}.matrix", f"weights.{WORDS}.matrix"
SPARE = "encoder.layer.7.bias"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda arrays, about: (about["weights"].pop(QUERY), arrays.pop(MATRIX)), f"{QUERY} is missing; a network of"),
        (
            lambda arrays, about: (
                about["weights"].update({SPARE: about["weights"][QUERY]})
                or arrays.update({f"weights.{SPARE}.matrix": arrays[MATRIX]})
            ),
            f"a network of this shape has no {SPARE}",
        ),
        (
            lambda arrays, _: arrays.update({MATRIX: np.zeros((32, 31), np.float32)}),
            f"expected {QUERY} to be of shape (32, 32), got (32, 31)",
        ),
        (
            lambda arrays, _: arrays.update({ROWS: arrays[ROWS][:20]}),
            "tokenizer has 35 tokens, the embeddings 20 rows",
        ),
        (lambda arrays, about: (about["weights"].pop(WORDS), arrays.pop(ROWS)), f"expected weights with '{WORDS}'"),
        (lambda arrays, _: arrays.update({MATRIX: np.zeros((32, 32), np.int8)}), "int8"),
        (lambda _, about: about["network"]["tokenizer"].update(kind="x" * 1_000), "unknown kind of tokenizer 'xxx"),
        (lambda _, about: about["network"]["tokenizer"].update(surprise=1), "surprise"),
        (lambda arrays, _: arrays.pop("tokenizer.text"), "KeyError: 'text'"),
        (lambda arrays, _: arrays.update({"tokenizer.text": arrays["tokenizer.text"][:-5]}), "unpack to"),
        (lambda arrays, _: arrays.update({"tokenizer.text": np.zeros((9, 9), np.float32)}), "Error -3"),
    ],
)
def test_weights_and_tokenizers_that_do_not_fit_are_refused(change, said, saved, refused):
    arrays, about = saved(PIECES)
    change(arrays, about)
    assert said in refused(file_of(arrays, about))


TEXT = made_pieces().text


@pytest.mark.parametrize(
    "text",
    ["", "null", "{}", "[" * 100_000, TEXT[:-9], TEXT.replace("WordPiece", "Hologram"), TEXT.replace('"[UNK]"', "7")],
    ids=range(7),
)
def test_the_text_of_a_tokenizer_that_does_harm_is_refused(text, saved, refused):
    from workbench.packing import deflate_texts

    arrays, about = saved(PIECES)
    refused(file_of(arrays | {"tokenizer.text": deflate_texts(text)}, about))


@pytest.mark.parametrize("where", ["vocab", "added_tokens", "special tokens"])
def test_a_token_beyond_the_embeddings_is_refused(where):
    """Wherever a tokenizer.json names it."""
    about = json.loads(TEXT)
    if where == "vocab":
        about["model"]["vocab"]["far"] = 35
    elif where == "added_tokens":
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
        about["added_tokens"].append({"id": 35, "content": "far", **flags})
    else:
        about["post_processor"]["special_tokens"]["[SEP]"]["ids"] = [10**9]
    with pytest.raises(ValueError, match=r"^the tokenizer has 36 tokens, the embeddings 35 rows|has 1,000,000,001 tok"):
        Network(PIECES.config, PIECES.weights, PieceTokenizer(json.dumps(about)))


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "n_word_rows": [None, "9", 59, True, 10**12],
        "flat": [0, None, "x", True],
        "lower": [1, "x"],
        "subwords": [3, {}],
    }.items(),
    ids=str,
)
def test_a_tokenizer_of_ngrams_that_lies_is_refused(name, values, saved, refused):
    arrays, about = saved(NGRAMS)
    for value in values:
        about["network"]["tokenizer"][name] = value
        refused(file_of(arrays, about))


# -- NaN -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda net: net.embed(["a"]),
        lambda net: Each(wb.SQ("int8"), on="all").fit_transform(net),
        lambda net: PruneWeights(0.5, on="all").fit_transform(net),
        lambda net: PruneNeurons(0.5).fit_transform(net),
        lambda net: Train(made_task(), n_steps=1).fit_transform(net),
        lambda net: Train(made_task(), n_steps=1, start=net).fit_transform(NET),
        lambda net: Train(made_task(), n_steps=1, teacher=net).fit_transform(NET),
    ],
    ids=["embed", "SQ", "PruneWeights", "PruneNeurons", "Train", "start", "teacher"],
)
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_nan_in_weights_is_named_by_whoever_looks_at_them(use, number):
    name, net = "encoder.layer.0.output.dense.weight", made_network(made_pieces(), **SIZES)
    rows = net.weights[name].rows(slice(None))
    rows[3, 5] = number
    net = net.with_weights({name: Dense(rows)})
    with pytest.raises(ValueError, match=r"^[^\n]*encoder.layer.0.output.dense.weight[^\n]*(NaN or infinity)[^\n]*$"):
        use(net)


# -- folders -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Writes a BERT's folder, with what was changed in its parts."""

    def write(about=(), weights=(), text=TEXT):
        net = made_network(made_pieces(), labels=(), n_inner=[96, 96])
        arrays = {name: net.values(name) for name in net.weights} | dict(weights)
        save_file({n: a for n, a in arrays.items() if a is not None}, tmp_path / "model.safetensors")
        sizes = {"hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
        values = {"model_type": "bert", "hidden_act": "gelu", "max_position_embeddings": 64, **sizes} | dict(about)
        values = {name: value for name, value in values.items() if value != "missing"}
        (tmp_path / "config.json").write_text(about if isinstance(about, str) else json.dumps(values))
        (tmp_path / "tokenizer.json").write_text(text)
        return tmp_path

    return write


def test_the_folder_that_is_changed_below_opens(folder):
    assert networks.load(folder()).embed(["a"]).shape == (1, 32)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"model_type": "roberta"}, "expected a BERT with model_type 'bert', got 'roberta'"),
        ({"hidden_act": "relu"}, "expected a BERT with hidden_act 'gelu', got 'relu'"),
        ({"is_decoder": True}, "expected a BERT with is_decoder False, got 'True'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'absolute', got 'relative_key'"),
        ({"model_type": ["x"] * 9_999}, "expected a BERT with model_type"),
        ({"num_attention_heads": 5}, "a network cannot have this shape"),
        ({"hidden_size": 16}, "expected embeddings.word_embeddings.weight to be of shape"),
        ({"hidden_size": "missing"}, "KeyError: 'hidden_size'"),
        ({"num_hidden_layers": 3}, "encoder.layer.2.attention.self.query.weight is missing"),
        ({"num_hidden_layers": 10**9}, "a network cannot have this shape"),
        ({"num_hidden_layers": -1}, "a network of this shape has no"),
        ({"intermediate_size": 10**9}, "a network cannot have this shape"),
        ({"intermediate_size": "96"}, "a network cannot have this shape"),
    ],
)
def test_another_architecture_is_named(about, said, folder, refused):
    assert said in refused(folder(about))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({QUERY: None}, f"{QUERY} is missing"),
        ({QUERY: np.zeros((32, 30), np.float32)}, f"expected {QUERY} to be of shape (32, 32), got (32, 30)"),
        ({QUERY: np.zeros((2, 32, 16), np.float32)}, f"expected {QUERY} to be a matrix or a vector of floats"),
        ({QUERY: np.zeros((32, 32), np.int8)}, f"expected {QUERY} to be a matrix or a vector of floats, got int8"),
        ({QUERY: np.full((32, 32), np.nan, np.float32)}, f"{QUERY} holds NaN or infinity"),
        ({QUERY: np.full((32, 32), 1e300)}, f"{QUERY} holds NaN or infinity"),
        ({WORDS: None}, f"it has no weights {WORDS!r}; it has "),
        ({WORDS: np.zeros((34, 32), np.float32)}, "the tokenizer has 35 tokens, the embeddings 34 rows"),
        ({"classifier.weight": np.zeros((2, 32), np.float32)}, "classifier.bias"),
        (
            {f"classifier.{n}": np.zeros((2, 32)[: 1 + (n == "weight")], np.float32) for n in ("weight", "bias")},
            "pooler",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(weights, said, folder, refused):
    assert said in refused(folder(weights=weights))


@pytest.mark.parametrize("text", ["", "[]", "3", '"x"', "{", "[" * 100_000])
def test_a_configuration_that_is_none_is_refused(text, folder, refused):
    path = folder()
    (path / "config.json").write_text(text)
    refused(path)


def test_missing_files_are_named_and_pickles_are_not_opened(folder, refused):
    path = folder()
    for name in ("1_Pooling", "onnx"):
        (path / name).mkdir()
    (path / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    assert "expected pooling by the mean or the first token, got pooling_mode_max_tokens" in refused(path)
    (path / "1_Pooling" / "config.json").unlink()
    (path / "modules.json").write_text('[{"type": "sentence_transformers.models.Dense"}]')
    assert "expected embeddings as they are pooled, got modules Dense" in refused(path)
    (path / "modules.json").write_text('[{"type": "sentence_transformers.models.Normalize"}]')  # no objection
    (path / "tokenizer.json").unlink()
    assert "neither a tokenizer.json nor a vocab.txt" in refused(path)
    for vocab in (b"", b"cat\ndog", b"\xff\xfe\x00", b"[UNK]\n" * 99 + b"".join(b"%d\n" % i for i in range(99))):
        (path / "vocab.txt").write_bytes(vocab)
        refused(path)
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    assert "but a pickle, which can run code when opened; save one with transformers'" in refused(path)
    (path / "pytorch_model.bin").unlink()
    assert "there is no model.safetensors; save one with" in refused(path)
    (path / "config.json").unlink()
    assert "config.json is missing" in refused(path)
    with pytest.raises(FileNotFoundError, match="does not exist; expected a file of a network, a folder of a BERT"):
        networks.load(path / "nowhere")
    with pytest.raises(ValueError, match="unknown built-in network 'builtin:x'; the only one is builtin:articles"):
        networks.load("builtin:x")
    assert "not one of the workbench" in refused(save({"weight": np.zeros(3)}))


# -- tasks ---------------------------------------------------------------------------------

TABLE = "text,label\n" + "".join(f"{word} is here,{label}\n" for word in "abcdef" for label in ("no", "yes"))


@pytest.mark.parametrize(
    ("part", "table", "said"),
    [
        ("train", TABLE + "  ,yes\n", "text 13 of train is empty or no text, or its label; remove it"),
        ("test", 'text,label\n"",no\n', "text 1 of test is empty or no text, or its label; remove it"),
        ("train", "text,label\na,no\nb,no\n", "expected 2 to 10,000 labels in training texts, got ['no']"),
        ("test", "text,label\na,perhaps\n", "label 'perhaps' of test text 1 is in no training text"),
        ("valid", "text,label\na,\n", "text 1 of valid is empty or no text, or its label; remove it"),
        ("train", TABLE + "no label\n", "text 13 of train is empty or no text, or its label; remove it"),
        ("train", "sentence,label\na,no\n", "it has no column 'text'; it has sentence, label"),
        ("train", "", "cannot be read as a table with columns text and label"),
        ("train", b"text,label\n\xff,no\n", "cannot be read as a table with columns text and label"),
        ("train", "text,label\n", "expected texts to train, got none"),
        ("test", None, "expected texts to test, got none"),
    ],
)
def test_a_task_that_cannot_be_is_refused(part, table, said, tmp_path):
    for name in ("train", "test", "valid"):
        (tmp_path / f"{name}.csv").write_text(TABLE)
    (tmp_path / f"{part}.csv").unlink()
    if table is not None:
        (tmp_path / f"{part}.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    with pytest.raises(ValueError, match=r"^[^\n]*" + re.escape(said) + r"[^\n]*$") as caught:
        load_task(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_gives_its_parts_and_a_tenth_of_the_training_texts_stands_in_for_valid(tmp_path):
    (tmp_path / "train.csv").write_text(TABLE + '"with, a comma",a rare one\nNA,yes\n')
    (tmp_path / "test.csv").write_text(TABLE)
    (tmp_path / "unlabelled.csv").write_text("text\nfurther\n")
    task = load_task(tmp_path)
    assert task.labels == ("a rare one", "no", "yes")  # also where its only text might have gone to `valid`
    assert {*task.train.texts} | {*task.valid.texts} >= {"with, a comma", "NA", "a is here"}
    assert not {*task.train.texts} & {*task.valid.texts}
    assert (len(task.test), task.unlabelled, task.name) == (12, ("further",), str(tmp_path))
    for pair in (("a", 1), (None, "x")):
        with pytest.raises(ValueError, match=r"^numbers: text 2 of test is empty or no text, or its label; remove it$"):
            Task.of("numbers", {"train": [("a", "x"), ("b", "y")], "test": [("a", "x"), pair]})
    for n in range(40):  # whatever the hash says of them
        rare = Task.of("rare", {"train": [("a", "x"), ("b", "x"), (f"rare {n}", "y")], "test": [("a", "y")]})
        assert rare.labels == ("x", "y")
    with pytest.raises(FileNotFoundError, match=r"nowhere is no folder; expected one with train\.csv and test\.csv"):
        load_task(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="unknown task 'builtin:x'; there are builtin:articles, builtin:articles-2"):
        load_task("builtin:x")


# -- steps and cards that do not fit -------------------------------------------------------

SIZES = {"dim": 64, "n_inner": [96, 64], "max_tokens": 60}
NET = made_network(made_pieces(), **SIZES)
HEADLESS = made_network(made_pieces(), labels=(), **SIZES)
OTHER = made_network(made_pieces(), labels=("no", "never", "yes"), **SIZES)
TASK = made_task(30)


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda: DropLayers(3).fit_transform(NET), "DropLayers(n_layers=3, which='top'): the network has 2 layers"),
        (lambda: DropLayers(1, "2").fit_transform(NET), "or 1 numbers of layers from 0 to 1"),
        (lambda: DropLayers(1, "0, x").fit_transform(NET), "or 1 numbers of layers from 0 to 1"),
        (lambda: DropLayers(2, "0, 0").fit_transform(NET), "or 2 numbers of layers from 0 to 1"),
        (lambda: Each(wb.Prune(9)).fit_transform(NET), "Prune must keep every row of encoder.layer.0"),
        (
            lambda: Each(wb.SQ(), width=7).fit_transform(NET),
            "query.weight: expected a width that divides 64 columns, got 7",
        ),
        (lambda: Each(wb.PQ(7)).fit_transform(NET), "encoder.layer.0.attention.self.query.weight: "),
        (lambda: Each(None).fit_transform(NET), "Each: of must be a step such as PQ(), got None"),
        (lambda: Each(wb.SQ(), on="words").fit_transform(NET), "on must be one of ('embeddings', 'layers', 'all')"),
        (lambda: PruneWeights(1.5).fit_transform(NET), "share must be a finite number from 0 to 1, got 1.5"),
        (lambda: Train(TASK, n_steps=0).fit_transform(NET), "n_steps must be a whole number of at least 1, got 0"),
        (lambda: Train(TASK, teacher=HEADLESS).fit_transform(NET), "the teacher must tell apart the 3 labels of made"),
        (lambda: Train(TASK, teacher=OTHER).fit_transform(NET), "the teacher must tell apart the 3 labels of made up"),
        (lambda: Train(TASK, start=PIECES).fit_transform(NET), "start has other layers than the network"),
        (lambda: Train(TASK, start="input").fit_transform(NET), "start='input' is the input of a Chain; used alone"),
        (lambda: Train("builtin:x").fit_transform(NET), "unknown task 'builtin:x'"),
        (lambda: card(NET, OTHER, TASK), "in the same order: never, perhaps"),
        (lambda: layer_table(OTHER, TASK), "in the same order: never, perhaps"),
        (lambda: layer_table(HEADLESS, TASK), "in the same order: no, perhaps, yes"),
        (lambda: HEADLESS.predict(["a"]), "has no head to tell labels apart; give it one with networks.Train(task)"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(use, said):
    with pytest.raises(ValueError, match=r"^[^\n]{1,800}$") as caught:
        use()
    assert said in str(caught.value)


def test_the_task_of_a_network_with_the_same_labels_in_another_order_says_so():
    other = made_network(made_pieces(), labels=("yes", "no", "perhaps"))
    with pytest.raises(ValueError, match="do not have the same labels in the same order: no, perhaps, yes"):
        card(other, other, TASK)
