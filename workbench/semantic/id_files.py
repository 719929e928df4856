"""Semantic ids in files: tables, JSON, token strings as others publish them, and the word engine's artefact."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import files
from ..storage import Coded
from ..vectors import Vectors
from .ids import SemanticIDs
from .tables import ENDINGS, naming, read_table, table_bytes
from .tokens import letters, token_strings

if TYPE_CHECKING:
    import pandas as pd

FORM = "workbench semantic ids"
FORM_VERSION = 1
KINDS = (".csv", ".parquet", ".json", ".index.json", ".safetensors")


def save(ids: SemanticIDs, path: str | Path) -> Path:
    """See `SemanticIDs.save`."""
    path = Path(path)
    files.place(path)
    kind = path.suffix.lower()
    if kind == ".safetensors":
        if ids.codebooks is None:
            raise ValueError(f"these ids have no codebooks, which {kind} is for; save them as .json or .csv")
        return ids.to_vectors().save(path)
    if kind == ".json":
        data = (_published(ids) if path.name.lower().endswith(".index.json") else _json(ids)).encode()
    elif kind in ENDINGS:
        data = table_bytes(ids.to_frame(), kind)
    else:
        raise ValueError(f"expected a file that ends in one of {', '.join(KINDS)}, got {path.name!r}")
    with files.replacing(path) as file:
        file.write(data)
    return path


def load(path: str | Path, codebook_size: int | None = None) -> SemanticIDs:
    """See `SemanticIDs.load`."""
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (*ENDINGS, ".json", ".safetensors"):
        raise ValueError(f"expected a file that ends in one of {', '.join(KINDS)}, got {path.name!r}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if kind == ".safetensors":
        v = Vectors.load(path)  # which names the file itself
        with naming(path):
            return _of_vectors(v)
    with naming(path):
        return _of_json(path, codebook_size) if kind == ".json" else _of_frame(read_table(path), codebook_size)


def _json(ids: SemanticIDs) -> str:
    about = {
        "form": FORM,
        "form_version": FORM_VERSION,
        "codebook_size": ids.codebook_size,
        "n_extra": ids.n_extra,
        "meta": ids.meta,
        "items": ids.items,
        "names": None if ids.names is ids.items else ids.names,
        "codes": ids.codes.tolist(),
        "codebooks": None if ids.codebooks is None else ids.codebooks.tolist(),
    }
    return json.dumps(about)


def _published(ids: SemanticIDs) -> str:
    rows = ([f"<{letters(level)}_{code}>" for level, code in enumerate(row)] for row in ids.codes.tolist())
    return json.dumps(dict(zip(ids.items, rows, strict=True)))


def _of_json(path: Path, codebook_size: int | None) -> SemanticIDs:
    try:
        about = json.loads(path.read_bytes(), object_pairs_hook=_without_repeats)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(about, dict):
        raise ValueError(f"expected a JSON object, got a {type(about).__name__}")
    if about.get("form") != FORM:
        return SemanticIDs.from_tokens(list(about), list(about.values()), codebook_size=codebook_size)
    if about.get("form_version") != FORM_VERSION:
        raise ValueError(f"form version {about.get('form_version')}, this workbench reads {FORM_VERSION}; update it")
    missing = {"items", "codes", "names", "codebooks", "codebook_size", "n_extra", "meta"} - set(about)
    if missing:
        raise ValueError(f"damaged: {', '.join(sorted(missing))} is missing")
    codes = _rectangular(about["codes"])
    try:
        books = None if about["codebooks"] is None else np.array(about["codebooks"], np.float32)
    except OverflowError as error:
        raise ValueError(f"its codebooks hold a number that is too large: {error}") from error
    return SemanticIDs(
        about["items"], codes, books, about["names"], about["codebook_size"], about["n_extra"], about["meta"]
    )


def _without_repeats(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"{repeated!r} is there twice; keep one of them")
    return found


def _rectangular(rows: list[list[int]]) -> np.ndarray:
    """Codes of a file, all of as many levels: (n, n_levels)."""
    if not isinstance(rows, list):
        raise TypeError(f"expected a list of codes for each item, got a {type(rows).__name__}")
    for row, codes in enumerate(rows):
        if not isinstance(codes, list) or len(codes) != len(rows[0]):
            raise ValueError(f"row {row} should be a list of {len(rows[0])} codes, got {codes!r}")
    return np.array(rows)


def _of_frame(frame: "pd.DataFrame", codebook_size: int | None) -> SemanticIDs:
    if "id" not in frame:
        raise ValueError(f"expected a column 'id', got the columns {', '.join(map(str, frame.columns))}")
    items = frame["id"].tolist()
    names = frame["name"].tolist() if "name" in frame else None
    labels = [label for kind in ("code", "extra") for label in _numbered(frame, kind)]
    if not labels and "tokens" not in frame:
        raise ValueError(f"expected columns code_1, code_2... or tokens, got {', '.join(map(str, frame.columns))}")
    if not labels:
        return SemanticIDs.from_tokens(items, frame["tokens"].tolist(), names=names, codebook_size=codebook_size)
    codes = np.stack([_whole(frame[label], items) for label in labels], axis=1)
    if "tokens" in frame:
        differ = [row for row, (a, b) in enumerate(zip(token_strings(codes), frame["tokens"], strict=True)) if a != b]
        if differ:
            raise ValueError(
                f"row {differ[0]} (item {items[differ[0]]!r}): codes {codes[differ[0]].tolist()} and tokens "
                f"{frame['tokens'][differ[0]]!r} disagree; mend it, or leave out the column that is wrong"
            )
    return SemanticIDs(items, codes, None, names, codebook_size, len(_numbered(frame, "extra")))


def _numbered(frame: "pd.DataFrame", kind: str) -> list[str]:
    """Columns ``kind_1``, ``kind_2``..., none of them missing."""
    there = {str(label) for label in frame.columns if str(label).startswith(f"{kind}_")}
    labels = [f"{kind}_{i + 1}" for i in range(len(there))]
    if there != set(labels):
        raise ValueError(f"expected columns {', '.join(labels)}, got {', '.join(sorted(there))}")
    return labels


def _whole(column: "pd.Series", items: list[str]) -> np.ndarray:
    """A column of a file as whole numbers: (n,) int64."""
    for row, text in enumerate(column):
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise ValueError(f"row {row} (item {items[row]!r}): {column.name} should be a whole number, got {text!r}")
    return column.to_numpy(np.int64)


def _of_vectors(v: Vectors) -> SemanticIDs:
    """Ids in an artefact: those that `save` wrote, or the residual codes of a compressed word model."""
    storage = v.storage
    if not isinstance(storage, Coded) or (storage.spans != [0, v.dim]).any() or v.vocab.row_of is not None:
        raise ValueError(f"holds no residual codes, a row for each word, but {storage!r}")
    about = v.meta.get("semantic_ids", {})
    if not isinstance(about, dict):
        raise TypeError(f"expected an object of what ids have beside codes, got {about!r}")
    size = about.get("codebook_size", 2**storage.n_bits)
    books = storage.codebooks.reshape(2**storage.n_bits, len(storage.spans), v.dim).transpose(1, 0, 2)
    codes = storage.codes
    extra = np.array(about.get("extra", []), np.int64).reshape(len(codes), -1)
    meta = about.get("meta", v.meta)
    return SemanticIDs(
        v.words, np.hstack([codes, extra]), books[:, :size], about.get("names"), size, extra.shape[1], meta
    )
