"""sentence-transformers' StaticEmbedding: a folder with a tokenizer and a row for each of its tokens.

Its text vector is the mean over tokens, which are the words here. What the tokenizer does to a text before it finds
them is not kept. model2vec's folders are read, too, and none of these packages is needed.

Source: `StaticEmbedding.save` and `load` of sentence-transformers 6.2, model2vec 0.10.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from safetensors import safe_open

from .. import artefact
from ..checks import reading, warn
from ..vectors import Vectors
from .base import Format, is_unicode, word_blocks
from .folder import BF16, as_floats, file_in, read_json, vectors_over
from .text import fits_a_line

TITLE = "sentence-transformers StaticEmbedding"
UNKNOWN = "[UNK]"
TYPES = artefact.TYPES | BF16
SUBFOLDER = "0_StaticEmbedding"
# The class's name since it exists, which later versions go on understanding.
MODULES = [{"idx": 0, "name": "0", "path": SUBFOLDER, "type": "sentence_transformers.models.StaticEmbedding"}]
SETTINGS: dict[str, Any] = {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}  # for model2vec


def looks_like(path: Path, head: bytes) -> bool:
    return any((path / name).exists() for name in ("modules.json", "tokenizer.json"))


def load(path: Path) -> Vectors:
    """Open such a folder; float32, float16 and int8 stay in the file, other numbers become float32.

    ``meta["provenance"]["tokenizer"]`` names the kind of tokenizer. A token for unknown words whose row is all zeros
    is left out: it is no word and has no direction.
    """
    folder = _module_folder(path)
    files = [file_in(folder, name, TITLE) for name in ("model.safetensors", "tokenizer.json")]
    matrix, mapping, weights = _read_arrays(files[0])
    n_tokens = len(matrix) if mapping is None else len(mapping)
    with reading(files[1], "a tokenizer"):
        tokens, kind, unknown = _read_tokens(files[1])
        wrong = [token for token, number in tokens.items() if type(number) is not int or not 0 <= number < n_tokens]
        if wrong:
            raise ValueError(
                f"it gives token {wrong[0][:60]!r} the number {str(tokens[wrong[0]])[:30]}; there are rows for whole "
                f"numbers from 0 to {n_tokens - 1:,} in {files[0].name}"
            )
        unfit = {token for token in tokens if "\0" in token}
        if unfit:
            warn(f"{len(unfit)} tokens of {files[1]} hold a NUL: they are left out")
        row_of = np.arange(n_tokens) if mapping is None else mapping.astype(np.int64)
        if unknown in tokens and not matrix[row_of[tokens[unknown]]].any():
            unfit.add(unknown)
        words = [token for token in sorted(tokens, key=tokens.__getitem__) if token not in unfit]
        if not words:
            raise ValueError("it has no tokens")
    v = vectors_over(words, row_of[[tokens[word] for word in words]], matrix, files, weights)
    v.meta["provenance"]["tokenizer"] = f"{kind}, which is not kept: words here are its tokens as they are"
    return v


def _module_folder(path: Path) -> Path:
    """The folder of the StaticEmbedding, which is the first of a model's modules."""
    if not (path / "modules.json").exists():
        return path
    file = file_in(path, "modules.json", TITLE)
    with reading(file, "a list of modules"):
        modules = read_json(file)
        kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
        if kinds[0] != "StaticEmbedding":
            raise ValueError(f"it begins with module {kinds[0][:60]!r}, not with a StaticEmbedding")
        name = PurePosixPath(modules[0]["path"])
        if name.is_absolute() or ".." in name.parts or "\\" in str(name) or len(str(name)) > 255:
            raise ValueError(f"expected the path of a module in this folder, got {str(name)[:60]!r}")
    if kinds[1:]:
        warn(f"what {', '.join(kinds[1:])} of {file} make of the vectors is left out")
    return path / name


def _read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """The matrix, (n_rows, dim), and from model2vec the row of each token, (n_tokens,), and weights, (n_rows,).

    With both (a quantised vocabulary) there is a weight for each token: rows are then copied to one a token, since
    words that share a row here share its length.
    """
    with reading(path, f"a whole .safetensors file with numbers of {', '.join(TYPES)}"):
        with safe_open(path, "np"):  # checks the header against the file's size
            arrays = artefact.mapped(path, TYPES)
        matrix = arrays.get("embedding.weight", arrays.get("embeddings"))
        mapping, weights = arrays.get("mapping"), arrays.get("weights")
        if matrix is None:
            named = ", ".join(sorted(arrays)[:3])[:200]
            raise ValueError(f"it has no array 'embedding.weight' or 'embeddings', so it is no {TITLE}; it has {named}")
        matrix = as_floats(matrix)
        if matrix.ndim != 2 or 0 in matrix.shape or (matrix.dtype.kind != "f" and matrix.dtype != np.int8):
            raise ValueError(f"it should hold a matrix of floats or int8, got {matrix.dtype} of shape {matrix.shape}")
        if mapping is not None:
            is_whole = mapping.dtype.kind in "iu" and mapping.ndim == 1 and len(mapping) > 0
            if not is_whole or mapping.min() < 0 or mapping.max() >= len(matrix):
                raise ValueError(f"'mapping' should be row numbers below {len(matrix):,}, one a token")
        if mapping is not None and weights is not None:
            matrix, mapping = matrix[mapping], None  # (n_tokens, dim)
        if weights is not None and (weights.dtype.kind != "f" or weights.shape != (len(matrix),)):
            raise ValueError(f"'weights' should be {len(matrix):,} numbers, one a row, got shape {weights.shape}")
        return matrix, mapping, weights


def _read_tokens(path: Path) -> tuple[dict[str, int], str, str | None]:
    """The number of each token, the kind of model, and its token for unknown words."""
    document = read_json(path)
    model = document["model"]
    vocab = model["vocab"]
    if isinstance(vocab, list):  # Unigram: [token, score]
        vocab = {entry[0]: number for number, entry in enumerate(vocab)}
    tokens = vocab | {entry["content"]: entry["id"] for entry in document.get("added_tokens") or []}
    if not all(isinstance(token, str) and is_unicode(token) for token in tokens):
        raise ValueError("it should name each token in whole Unicode text")
    return tokens, str(model.get("type", "unnamed"))[:60], model.get("unk_token")


# -- writing ------------------------------------------------------------------------------


def holds_word(word: str) -> bool:
    """Return whether the tokenizer, which splits at white space, gives this word back."""
    return fits_a_line(word) and is_unicode(word)


def save(v: Vectors, folder: Path) -> None:
    """Write a folder that `SentenceTransformer` opens, with a WordLevel tokenizer that splits at white space.

    An unknown word becomes ``[UNK]``. Where the model has no vector of that name, it is a row of zeros behind the
    others: it counts in the mean of a text, whose direction therefore stays while its length shrinks.
    """
    tokens = v.words if UNKNOWN in v else [*v.words, UNKNOWN]
    inner = folder / SUBFOLDER
    inner.mkdir()
    n_bytes = 4 * len(tokens) * v.dim
    about = {"dtype": "F32", "shape": [len(tokens), v.dim], "data_offsets": [0, n_bytes]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "embedding.weight": about}).encode()
    header += b" " * (-len(header) % 8)
    with open(inner / "model.safetensors", "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _, block in word_blocks(v):
            file.write(block.astype("<f4", copy=False).data)
        file.write(bytes(n_bytes - 4 * len(v) * v.dim))
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {t: i for i, t in enumerate(tokens)}, "unk_token": UNKNOWN},
    }
    (inner / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    (folder / "modules.json").write_text(json.dumps(MODULES), encoding="utf-8")
    (folder / "config_sentence_transformers.json").write_text(json.dumps(SETTINGS), encoding="utf-8")


def also_lost(v: Vectors) -> list[str]:
    if UNKNOWN in v:
        return []
    return [
        f"words without a vector: each becomes {UNKNOWN}, a row of zeros, so that a text with such words keeps "
        "its direction and loses length"
    ]


STATIC = Format(
    name="static-embedding",
    title=TITLE,
    looks_like=looks_like,
    load=load,
    save=save,
    holds_word=holds_word,
    also_lost=also_lost,
    is_folder=True,
)
