"""Networks from elsewhere: a local folder of a BERT, as transformers and sentence-transformers write it."""

from pathlib import Path

import numpy as np
from safetensors import safe_open

from .. import artefact
from ..checks import reading
from ..formats.folder import file_in, read_json
from ..storage import Dense
from .config import HEAD, MAX_LAYERS, WORDS, Config
from .network import Network
from .tokens import PieceTokenizer, Tokenizer

TITLE = "a folder of a BERT (config.json, model.safetensors, tokenizer.json)"
TYPES = artefact.TYPES | {"BF16": "V2"}  # which numpy does not have: two bytes, to be widened
EXPECTED = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}  # of sentence-transformers


def read_folder(path: Path) -> Network:
    """Read a BERT with its tokenizer; weights in float32 stay in their file.

    A head of `BertForSequenceClassification` is kept, with its labels in order, as those of a task are. Other heads,
    and a pooler that nothing uses, are left out.
    """
    with reading(path, TITLE):
        about = read_json(file_in(path, "config.json", TITLE))
        for key, expected in EXPECTED.items():
            if (found := about.get(key, expected)) != expected:
                raise ValueError(f"expected a BERT with {key} {expected!r}, got {str(found)[:60]!r}")
        arrays = {  # the first BERTs have TensorFlow's names for layer norms
            name.removeprefix("bert.").replace("Norm.gamma", "Norm.weight").replace("Norm.beta", "Norm.bias"): array
            for name, array in weights_of(path).items()
        }
        names = about.get("id2label", {})
        labels = [str(names.get(str(i), f"label {i}")) for i in range(len(arrays.get(f"{HEAD}.weight", ())))]
        order = np.argsort(labels)
        arrays |= {name: arrays[name][order] for name in (f"{HEAD}.weight", f"{HEAD}.bias") if labels}
        config = Config(
            kind="bert",
            dim=about["hidden_size"],
            n_inner=[about["intermediate_size"]] * min(about["num_hidden_layers"], MAX_LAYERS + 1),
            n_heads=about["num_attention_heads"],
            max_tokens=about["max_position_embeddings"],
            pooling="pooler" if labels else pooling_of(path),
            eps=about.get("layer_norm_eps", 1e-12),
            labels=sorted(labels),
        )
        if WORDS not in arrays:
            raise ValueError(f"it has no weights {WORDS!r}; it has {', '.join(list(arrays)[:3])}")
        wanted = config.shapes(len(arrays[WORDS]))
        weights = {n: Dense(as_rows(n, a)) for n, a in arrays.items() if n in wanted or "encoder." in n}
        return Network(config, weights, tokenizer_of(path), {"provenance": {"source": path.name}})


def weights_of(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of ``model.safetensors``, mapped."""
    file = path / "model.safetensors"
    if not file.exists():
        pickled = " but a pickle, which can run code when opened" if list(path.glob("*.bin")) else ""
        raise ValueError(f"there is no model.safetensors{pickled}; save one with transformers' save_pretrained(folder)")
    with safe_open(file, "np"):  # checks the header against the file's size
        return artefact.mapped(file, TYPES)


def as_rows(name: str, array: np.ndarray) -> np.ndarray:
    """Return numbers as float32 rows; a vector becomes one row."""
    if array.dtype.kind == "V":  # bfloat16 is the upper half of float32
        array = (array.view("<u2").astype("<u4") << 16).view("<f4")
    if array.dtype.kind != "f" or array.ndim not in (1, 2):
        raise ValueError(f"expected {name} to be a matrix or a vector of floats, got {array.dtype}, {array.shape}")
    with np.errstate(over="ignore"):  # of float64
        rows = np.atleast_2d(array.astype(np.float32, copy=False))
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return rows


def pooling_of(path: Path) -> str:
    """Return how sentence-transformers pools; the mean where it says nothing. What it does after that is refused."""
    modules, file = path / "modules.json", path / "1_Pooling" / "config.json"
    kinds = [module["type"].rpartition(".")[2] for module in read_json(modules)] if modules.exists() else []
    if further := {*kinds} - {"Transformer", "Pooling", "Normalize"}:  # lengths do not change a cosine
        raise ValueError(f"expected embeddings as they are pooled, got modules {', '.join(sorted(further))[:100]}")
    modes = [mode for mode, is_on in read_json(file).items() if is_on is True] if file.exists() else []
    known = [POOLINGS[mode] for mode in modes if mode in POOLINGS]
    others = [mode for mode in modes if mode.startswith("pooling_mode_") and mode not in POOLINGS]
    if others or len(known) > 1:
        raise ValueError(f"expected pooling by the mean or the first token, got {', '.join(modes)[:100]}")
    return known[0] if known else "mean"


def tokenizer_of(path: Path) -> Tokenizer:
    """Return the tokenizer of ``tokenizer.json``, or of the ``vocab.txt`` that older folders have."""
    file, words = path / "tokenizer.json", path / "vocab.txt"
    if file.exists():
        return PieceTokenizer(file.read_text(encoding="utf-8"))
    if not words.exists():
        raise ValueError("there is neither a tokenizer.json nor a vocab.txt")
    from tokenizers import BertWordPieceTokenizer

    settings = path / "tokenizer_config.json"
    lower = read_json(settings).get("do_lower_case", True) if settings.exists() else True
    vocab = {word: i for i, word in enumerate(words.read_text(encoding="utf-8").rstrip("\n").split("\n"))}
    return PieceTokenizer(BertWordPieceTokenizer(vocab, lowercase=lower).to_str())
