"""ONNX files: the same outputs as the network's, for any batch."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import made_network, made_pieces

from workbench.networks import Network, NgramTokenizer, export

TEXTS = ["cats", "dogs and cats sleep", ""]


def run(path, net: Network, texts: list[str]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path)
    names = [given.name for given in session.get_inputs()]
    ids, weights = net.tokens(texts)
    is_mask = names[1] == "attention_mask"
    return session.run(None, {names[0]: ids, names[1]: weights.astype(np.int64) if is_mask else weights})


SLOWER = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("pooler, no head", "n-grams")]


@pytest.mark.parametrize("kind", ["pieces", "bag", *SLOWER])
def test_a_file_gives_the_networks_outputs_for_any_batch(tmp_path, fasttext, kind):
    """Other texts than those that `export` compares, alone and together."""
    net = {
        "pieces": lambda: made_network(made_pieces()),
        "pooler, no head": lambda: made_network(made_pieces(), labels=(), pooling="pooler"),
        "n-grams": lambda: made_network(NgramTokenizer.of(fasttext)),
        "bag": lambda: made_network(NgramTokenizer.of(fasttext, flat=True), "bag"),
    }[kind]()
    out = export(net, tmp_path / "net.onnx")
    assert out.path == tmp_path / "net.onnx"
    assert out.is_batch_independent
    assert list(tmp_path.iterdir()) == [out.path]  # no part of it beside it, and no weights apart
    for texts in (TEXTS, TEXTS[:1], ["cats " * 20] * 5):
        vectors, *logits = run(out.path, net, texts)
        np.testing.assert_allclose(vectors, net.embed(texts), atol=1e-5)
        assert len(logits) == bool(net.config.labels)
        if logits:
            assert [net.config.labels[i] for i in logits[0].argmax(1)] == net.predict(texts)
    graph = onnx.load(out.path).graph
    assert not {"Loop", "SequenceEmpty", "If"} & {node.op_type for node in graph.node}  # few programs run those


def test_int8_is_a_quarter_and_says_that_it_depends_on_the_batch(tmp_path, fasttext):
    net = made_network(NgramTokenizer.of(fasttext))
    plain, small = export(net, tmp_path / "net.onnx"), export(net, tmp_path / "int8.onnx", int8=True)
    assert small.path.stat().st_size < 0.4 * plain.path.stat().st_size
    large = [tensor for tensor in onnx.load(small.path).graph.initializer if np.prod(tensor.dims) > 2_500]
    kinds = {tensor.data_type for tensor in large}
    assert kinds == {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}  # matrices; embeddings. Other matrices are slower
    assert plain.difference < 1e-5 < small.difference < 0.3
    assert not small.is_batch_independent
    vectors, logits = run(small.path, net, TEXTS)
    alone = np.concatenate([run(small.path, net, [text])[1] for text in TEXTS])
    assert (np.abs(alone - logits) > 1e-4).any()
    cosines = (vectors * net.embed(TEXTS)).sum(1)[:2] / np.linalg.norm(vectors[:2], axis=1)
    assert (cosines / np.linalg.norm(net.embed(TEXTS[:2]), axis=1) > 0.99).all()


def test_nothing_is_written_that_differs_or_cannot_be_made(tmp_path, monkeypatch):
    net = made_network(made_pieces())
    (tmp_path / "net.onnx").write_text("older")
    monkeypatch.setattr("workbench.networks.onnx.TOLERANCE", 0.0)
    with pytest.raises(ValueError, match=r"differ from the network's by .*, so it was not written"):
        export(net, tmp_path / "net.onnx")
    with pytest.raises(NotADirectoryError):
        export(net, tmp_path / "net.onnx" / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"embedding-workbench\[networks,onnx\]"):
        export(net, tmp_path / "net.onnx")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["older"]
