"""sentence-transformers' StaticEmbedding: a folder with a tokenizer and a row for each of its tokens.

Its text vector is the mean over tokens. The tokens are the words here; what the tokenizer does to a
text before it finds them (lower-casing, splitting into pieces such as ``##ing``) is not kept. Read
and written without sentence-transformers, torch and tokenizers; model2vec's folders are read, too.

Source: `StaticEmbedding.save` and `load` of sentence-transformers 6.2, model2vec 0.10.
"""

import json
import warnings
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from .. import artefact
from ..vectors import Vectors
from .base import Format, is_unicode, word_blocks
from .folder import file_in, read_json, vectors_over
from .text import fits_a_line

TITLE = "sentence-transformers StaticEmbedding"
UNKNOWN = "[UNK]"
TYPES = artefact.TYPES | {"BF16": "V2"}  # which numpy does not have: two bytes, to be widened
SUBFOLDER = "0_StaticEmbedding"
# The class's name since it exists, which later versions go on understanding.
MODULES = [{"idx": 0, "name": "0", "path": SUBFOLDER, "type": "sentence_transformers.models.StaticEmbedding"}]
SETTINGS: dict[str, Any] = {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}  # for model2vec


def looks_like(path: Path, head: bytes) -> bool:
    """Whether it is a folder of sentence-transformers, or one with a tokenizer as model2vec's."""
    return any((path / name).exists() for name in ("modules.json", "tokenizer.json"))


def load(path: Path) -> Vectors:
    """Open such a folder; float32, float16 and int8 stay in the file, other numbers become float32.

    ``meta["provenance"]["tokenizer"]`` names the kind of tokenizer, which is not kept. A token for
    unknown words whose row is all zeros is left out: it is no word and has no direction.

    Raises
    ------
    ValueError
        If a file is missing or damaged, the files do not agree, or the model is of another kind.
    """
    folder = _module(path)
    files = [file_in(folder, name, TITLE) for name in ("model.safetensors", "tokenizer.json")]
    matrix, mapping, weights = _arrays(files[0])
    tokens, kind, unknown = _tokens(files[1])
    n_tokens = len(matrix) if mapping is None else len(mapping)
    wrong = [token for token, number in tokens.items() if type(number) is not int or not 0 <= number < n_tokens]
    if wrong:
        raise ValueError(
            f"{files[1]} gives token {wrong[0][:60]!r} the number {str(tokens[wrong[0]])[:30]}; there are rows for "
            f"whole numbers from 0 to {n_tokens - 1:,} in {files[0].name}"
        )
    words = sorted(tokens, key=tokens.__getitem__)
    unfit = {word for word in words if "\0" in word}
    if unfit:
        warnings.warn(f"{len(unfit)} tokens of {files[1]} hold a NUL: they are left out", stacklevel=2)
    if unknown in tokens and not _row(matrix, mapping, tokens[unknown]).any():
        unfit.add(unknown)
    words = [word for word in words if word not in unfit]
    if not words:
        raise ValueError(f"{files[1]} has no tokens")
    numbers = np.array([tokens[word] for word in words], np.int64)
    rows = numbers if mapping is None else mapping[numbers].astype(np.int64)
    v = vectors_over(words, rows, matrix, [path, *files], weights)
    v.meta["provenance"]["tokenizer"] = f"{kind}, which is not kept: words here are its tokens as they are"
    return v


def _module(path: Path) -> Path:
    """The folder of the StaticEmbedding, which is the first of a model's modules."""
    if not (path / "modules.json").exists():
        return path
    file = file_in(path, "modules.json", TITLE)
    modules = read_json(file)
    if not isinstance(modules, list) or not modules or not all(_is_module(module) for module in modules):
        raise ValueError(f"{file} should list modules, each with a type and a path in this folder")
    kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
    if kinds[0] != "StaticEmbedding":
        raise ValueError(f"{file} begins with module {kinds[0][:60]!r}, not with a StaticEmbedding")
    if kinds[1:]:
        warnings.warn(f"what {', '.join(kinds[1:])} of {file} make of the vectors is left out", stacklevel=3)
    return path / modules[0]["path"]


def _is_module(module: Any) -> bool:
    """Whether it names a class and a folder that lies inside the model's."""
    if not isinstance(module, dict) or not all(isinstance(module.get(key), str) for key in ("type", "path")):
        return False
    path = PurePosixPath(module["path"])
    is_short = len(module["path"]) < 256
    return is_short and not path.is_absolute() and ".." not in path.parts and "\\" not in module["path"]


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """The matrix, (n_rows, dim), and what model2vec may have beside it.

    That is the row of each token, (n_tokens,), where tokens share rows, and a weight for each
    row, (n_rows,). With both (a quantised vocabulary) there is a weight for each token: its rows are
    then copied to one a token, since words that share a row here share its length.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np"):  # checks the header against the file's size
            arrays = artefact.mapped(path, TYPES)
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a whole .safetensors file: {str(error)[:400]}") from error
    except KeyError as error:
        raise ValueError(f"{path} holds numbers of type {str(error)[:60]}; {', '.join(TYPES)} are read") from error
    matrix, mapping, weights = (arrays.get(name) for name in ("embedding.weight", "mapping", "weights"))
    matrix = arrays.get("embeddings") if matrix is None else matrix
    if matrix is None:
        named = ", ".join(sorted(arrays)[:3])[:200]
        raise ValueError(f"{path} has no array 'embedding.weight' or 'embeddings', so it is no {TITLE}; it has {named}")
    matrix = _widened(matrix) if matrix.dtype.kind == "V" else matrix
    if matrix.ndim != 2 or 0 in matrix.shape or (matrix.dtype.kind != "f" and matrix.dtype != np.int8):
        raise ValueError(f"{path} should hold a matrix of floats or int8, got {matrix.dtype} of shape {matrix.shape}")
    if mapping is not None and not _fits(mapping, "iu", None, len(matrix)):
        raise ValueError(f"{path}: 'mapping' should be row numbers below {len(matrix):,}, one a token")
    if mapping is not None and weights is not None:
        matrix, mapping = matrix[mapping], None  # (n_tokens, dim)
    if weights is not None and not _fits(weights, "f", len(matrix), np.inf):
        raise ValueError(f"{path}: 'weights' should be {len(matrix):,} numbers, one a row, got shape {weights.shape}")
    return matrix, mapping, weights


def _fits(array: np.ndarray, kinds: str, length: int | None, below: float) -> bool:
    """Whether these are so many numbers of such a kind, at least one; whole ones from 0 on and below a limit."""
    if array.ndim != 1 or array.dtype.kind not in kinds or len(array) != (length or max(len(array), 1)):
        return False
    return array.dtype.kind == "f" or bool((array >= 0).all() and (array < below).all())


def _widened(matrix: np.ndarray) -> np.ndarray:
    """bfloat16 as float32, of which it is the upper half."""
    bits = matrix.view("<u2").astype("<u4")
    bits <<= 16
    return bits.view("<f4")


def _tokens(path: Path) -> tuple[dict[str, int], str, str | None]:
    """The number of each token, the kind of model, and its token for unknown words."""
    document = read_json(path)
    model = document.get("model") if isinstance(document, dict) else None
    model = model if isinstance(model, dict) else {}
    vocab = model.get("vocab")
    added = (document.get("added_tokens") or []) if isinstance(document, dict) else []
    if isinstance(vocab, list) and all(isinstance(entry, list) and entry for entry in vocab):  # Unigram: [token, score]
        vocab = dict(zip([_text(entry[0]) for entry in vocab], range(len(vocab)), strict=True))
    is_whole = isinstance(added, list) and all(isinstance(a, dict) and {"id", "content"} <= a.keys() for a in added)
    if not is_whole or not isinstance(vocab, dict):
        raise ValueError(f"{path} should be a tokenizer with model.vocab and added_tokens, which it is not")
    tokens = {**vocab, **{_text(entry["content"]): entry["id"] for entry in added}}
    if None in tokens or not all(map(is_unicode, tokens)):
        raise ValueError(f"{path} should name each token in whole Unicode text, which it does not")
    unknown = model.get("unk_token")
    return tokens, str(model.get("type", "unnamed"))[:60], unknown if isinstance(unknown, str) else None


def _text(token: Any) -> str | None:
    """A token, None for what is none: a list, say, which no dict takes as its key."""
    return token if isinstance(token, str) else None


def _row(matrix: np.ndarray, mapping: np.ndarray | None, number: int) -> np.ndarray:
    return matrix[number if mapping is None else mapping[number]]


def save(v: Vectors, folder: Path) -> None:
    """Write a folder that `SentenceTransformer` opens, with a WordLevel tokenizer that splits at white space.

    An unknown word becomes ``[UNK]``. Where the model has no vector of that name, it is a row of
    zeros behind the others: it counts in the mean of a text, whose direction therefore stays
    while its length shrinks.
    """
    words = [word for word in v.words if holds(word)]
    tokens = words if UNKNOWN in v else [*words, UNKNOWN]
    inner = folder / SUBFOLDER
    inner.mkdir()
    with open(inner / "model.safetensors", "wb") as file:
        _write_rows(v, file, len(tokens), len(tokens) - len(words))
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


def _write_rows(v: Vectors, file: BinaryIO, n_rows: int, n_zeros: int) -> None:
    """A safetensors file with one matrix: the vectors of the words, then rows of zeros."""
    about = {"dtype": "F32", "shape": [n_rows, v.dim], "data_offsets": [0, 4 * n_rows * v.dim]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "embedding.weight": about}).encode()
    header += b" " * (-len(header) % 8)
    file.write(len(header).to_bytes(8, "little") + header)
    for _, block in word_blocks(v, holds):
        file.write(block.astype("<f4", copy=False).data)
    file.write(bytes(4 * n_zeros * v.dim))


def holds(word: str) -> bool:
    """Whether the tokenizer gives this word back: it splits at white space."""
    return fits_a_line(word) and is_unicode(word)


def also_lost(v: Vectors) -> list[str]:
    """What becomes of unknown words."""
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
    holds=holds,
    also_lost=also_lost,
    is_folder=True,
)
