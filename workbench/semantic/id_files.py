"""Semantic IDs in files: tables, JSON, token lists as others publish them, and the word engine's artefact."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import files
from ..checks import reading
from ..storage import Coded
from ..vectors import Vectors
from .ids import SemanticIDs
from .tables import expect_columns, read_table

if TYPE_CHECKING:
    import pandas as pd

FORM, FORM_VERSION = "workbench semantic ids", 1
FIELDS = ("codebook_size", "n_extra", "meta", "items", "names", "codes", "codebooks")  # of JSON, in this order
ENDINGS = (".csv", ".parquet", ".json", ".index.json", ".safetensors")


def save(ids: SemanticIDs, path: str | Path) -> Path:
    """See `SemanticIDs.save`."""
    path = Path(path)
    files.place(path)
    ending = path.suffix.lower()
    if ending == ".safetensors":
        if ids.codebooks is None:
            raise ValueError(f"these ids have no codebooks, which {ending} is for; save them as .json or .csv")
        return ids.to_vectors().save(path)
    if path.name.lower().endswith(".index.json"):
        tokens = (re.findall("<.*?>", text) for text in ids.tokens())
        data = json.dumps(dict(zip(ids.items, tokens, strict=True))).encode()
    elif ending == ".json":
        about = {"form": FORM, "form_version": FORM_VERSION} | {name: getattr(ids, name) for name in FIELDS}
        if ids.names is ids.items:
            about["names"] = None
        data = json.dumps(about, default=np.ndarray.tolist).encode()
    elif ending == ".csv":
        data = ids.to_frame().to_csv(index=False, lineterminator="\r\n").encode("utf-8", "surrogateescape")
    elif ending == ".parquet":
        data = ids.to_frame().to_parquet(index=False)
    else:
        raise ValueError(f"expected a file that ends in one of {', '.join(ENDINGS)}, got {path.name!r}")
    with files.replacing(path) as file:
        file.write(data)
    return path


def load(path: str | Path, codebook_size: int | None = None) -> SemanticIDs:
    """See `SemanticIDs.load`."""
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"expected a file that ends in one of {', '.join(ENDINGS)}, got {path.name!r}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with reading(path, "semantic IDs"):
        if ending == ".safetensors":
            return _from_artefact(Vectors.load(path))
        return _from_json(path, codebook_size) if ending == ".json" else _from_table(read_table(path), codebook_size)


def _from_json(path: Path, codebook_size: int | None) -> SemanticIDs:
    about = json.loads(path.read_bytes(), object_pairs_hook=_without_repeats)
    if not isinstance(about, dict):
        raise ValueError(f"expected a JSON object, got a {type(about).__name__}")
    if about.get("form") != FORM:
        return SemanticIDs.from_tokens(list(about), list(about.values()), codebook_size=codebook_size)
    if about.get("form_version") != FORM_VERSION:
        raise ValueError(f"form version {about.get('form_version')}, this workbench reads {FORM_VERSION}; update it")
    missing = [name for name in FIELDS if name not in about]
    if missing:
        raise ValueError(f"damaged: {', '.join(missing)} is missing")
    return SemanticIDs(**{name: about[name] for name in FIELDS})


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated, n = Counter(key for key, _ in pairs).most_common(1)[0] if pairs else ("", 0)
    if n > 1:
        raise ValueError(f"{repeated!r} is there twice; keep one of them")
    return dict(pairs)


def _from_table(frame: "pd.DataFrame", codebook_size: int | None) -> SemanticIDs:
    expect_columns(frame, "id")
    items = frame["id"].tolist()
    names = frame["name"].tolist() if "name" in frame else None
    labels: dict[str, list[str]] = {}
    for kind in ("code", "extra"):
        found = {str(label) for label in frame if str(label).startswith(f"{kind}_")}
        labels[kind] = [f"{kind}_{level}" for level in range(1, len(found) + 1)]
        if found != set(labels[kind]):
            raise ValueError(f"expected columns {', '.join(labels[kind])}, got {', '.join(sorted(found))}")
    both = labels["code"] + labels["extra"]
    if not both and "tokens" not in frame:
        there = ", ".join(map(str, frame.columns))
        raise ValueError(f"expected columns code_1, code_2... or tokens, got {there}")
    if not both:
        return SemanticIDs.from_tokens(items, frame["tokens"].tolist(), names=names, codebook_size=codebook_size)
    for label in both:
        wrong = np.flatnonzero(~frame[label].str.fullmatch("[0-9]{1,9}"))
        if len(wrong):
            row = wrong[0]
            text = frame[label][row]
            raise ValueError(f"row {row} (item {items[row]!r}): {label} should be a whole number, got {text!r}")
    ids = SemanticIDs(items, frame[both].to_numpy(np.int64), None, names, codebook_size, len(labels["extra"]))
    differs = "tokens" in frame and (frame["tokens"] != ids.tokens()).to_numpy()
    if np.any(differs):
        row = int(np.argmax(differs))
        raise ValueError(
            f"row {row} (item {items[row]!r}): codes {ids.codes[row].tolist()} and tokens {frame['tokens'][row]!r} "
            "disagree; mend it, or leave out the column that is wrong"
        )
    return ids


def _from_artefact(v: Vectors) -> SemanticIDs:
    """Return the ids that `save` wrote, or the residual codes of a compressed word model."""
    storage = v.storage
    if not isinstance(storage, Coded) or (storage.spans != [0, v.dim]).any() or v.vocab.row_of is not None:
        raise ValueError(f"holds no residual codes, a row for each word, but {storage!r}")
    about = v.meta.get("semantic_ids", {})
    if not isinstance(about, dict):
        raise TypeError(f"expected an object of what ids have beside codes, got {about!r}")
    size = about.get("codebook_size", 2**storage.n_bits)
    extra = np.array(about.get("extra", []), np.int64).reshape(len(v), -1)
    codes, names, meta = np.hstack([storage.codes, extra]), about.get("names"), about.get("meta", v.meta)
    return SemanticIDs(v.words, codes, storage.levels[:, :size], names, size, extra.shape[1], meta)
