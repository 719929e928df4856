"""Semantic IDs in files: tables, JSON, token lists as others publish them, and the word engine's artefact."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from .. import files
from ..checks import reading
from ..storage import Coded
from ..vectors import Vectors
from .ids import SemanticIDs
from .tables import expect_columns, read_table

FORM, FORM_VERSION = "workbench semantic ids", 1
FIELDS = ("codebook_size", "n_extra", "meta", "items", "names", "codes", "codebooks")  # of JSON, in this order
ENDINGS = (".csv", ".parquet", ".json", ".index.json", ".safetensors")


def save(ids: SemanticIDs, path: str | Path) -> Path:
    """See `SemanticIDs.save`."""
    path = Path(path)
    files.place(path)
    ending = path.suffix.lower()
    if ending == ".safetensors":
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
        try:
            data = ids.to_frame().to_parquet(index=False)
        except UnicodeEncodeError as error:
            raise ValueError(f"{path.name}: Parquet cannot hold ids or names of broken UTF-8; .csv can") from error
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
    about = json.loads(path.read_bytes(), object_pairs_hook=_distinct)
    if not isinstance(about, dict):
        raise ValueError(f"expected a JSON object, got a {type(about).__name__}")
    if about.get("form") != FORM:
        return SemanticIDs.from_tokens(list(about), list(about.values()), codebook_size=codebook_size)
    if about.get("form_version") != FORM_VERSION:
        raise ValueError(f"form version {about.get('form_version')}, this workbench reads {FORM_VERSION}; update it")
    return SemanticIDs(**{name: about[name] for name in FIELDS})


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object; refuse repeated keys, of which Python would keep the last."""
    [(key, count)] = Counter(key for key, _ in pairs).most_common(1) or [("", 1)]
    if count > 1:
        raise ValueError(f"{key!r} is there {count} times; keep one of them")
    return dict(pairs)


def _from_table(frame: pd.DataFrame, codebook_size: int | None) -> SemanticIDs:
    expect_columns(frame, "id")
    items = frame["id"].tolist()
    names = frame["name"].tolist() if "name" in frame else None
    n_codes, n_extra = (sum(label.startswith(kind) for label in frame) for kind in ("code_", "extra_"))
    if not n_codes:
        expect_columns(frame, "tokens")
        return SemanticIDs.from_tokens(items, frame["tokens"].tolist(), names=names, codebook_size=codebook_size)
    labels = [f"code_{level}" for level in range(1, n_codes + 1)]
    labels += [f"extra_{level}" for level in range(1, n_extra + 1)]
    expect_columns(frame, *labels)
    codes = frame[labels].apply(pd.to_numeric, errors="coerce")
    ids = SemanticIDs(items, codes.to_numpy(), None, names, codebook_size, n_extra)
    if "tokens" in frame and (differs := (frame["tokens"] != ids.tokens()).to_numpy()).any():
        row = int(differs.argmax())
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
    size = about.get("codebook_size", 2**storage.n_bits)
    extra = np.array(about.get("extra", []), np.int64).reshape(len(v), -1)
    codes, names, meta = np.hstack([storage.codes, extra]), about.get("names"), about.get("meta", v.meta)
    return SemanticIDs(v.words, codes, storage.levels[:, :size], names, size, extra.shape[1], meta)
