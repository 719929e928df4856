"""`Items`: what semantic IDs are made for, with content features and, where known, who took what after what."""

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open

from .. import artefact
from ..checks import reading
from ..formats.folder import mapped_array
from ..formats.matrix import read_matrix
from ..vectors import Vectors, summary_html
from ..vocab import printable
from . import texts as built_in
from .checks import checked_items, checked_rows
from .examples import TEST, TRAIN, VALID, Examples, of_interactions, of_pairs, read_interactions
from .features import Fit, fitting
from .layouts import read_folder
from .tables import expect_columns

MAX_NAME = 60  # characters
Features = str | Path | Vectors | np.ndarray
MATRICES = (".npy", ".safetensors")


@dataclass(frozen=True, eq=False)
class Items:
    """Items of a collection; all in one order."""

    ids: tuple[str, ...]  # without repeats
    names: tuple[str, ...]  # short, for showing
    texts: tuple[str, ...] | None
    columns: pd.DataFrame  # what else is known; a row for each item
    features: np.ndarray  # content features, (n_items, dim) float32
    examples: Examples | None  # what to learn from, where there are interactions or pairs of texts
    source: str

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.ids)

    def describe(self) -> list[tuple[str, str]]:
        """Return a summary: pairs of label and value."""
        rows = [("source", self.source), ("items", f"{len(self):,}"), ("features", f"{self.features.shape[1]}")]
        if len(self.columns.columns):
            rows.append(("columns", ", ".join(map(str, self.columns.columns))))
        parts = "none"
        if self.examples is not None:
            n = np.bincount(self.examples.split, minlength=3)
            parts = f"{n[TRAIN]:,} to train, {n[VALID]:,} to validate, {n[TEST]:,} to test"
        return [*rows, ("examples", parts)]

    def __repr__(self) -> str:
        return f"Items({', '.join(f'{label}: {value}' for label, value in self.describe())})"

    def _repr_html_(self) -> str:
        rows = self.describe() + [("such as", printable(name)) for name in self.names[:3]]
        return summary_html("Items", rows)


def load_items(
    source: str | Path | Vectors,
    *,
    features: Features = "tfidf",
    n_features: int = 128,
    n_history: int = 50,
    random_state: int = 0,
    columns: Mapping[str, str] | None = None,
    sep: str | None = None,
) -> Items:
    """Return items, their content features, and examples to learn from.

    Parameters
    ----------
    source : str, path or Vectors
        ``"builtin:texts"``: paragraphs of the texts inside gensim's package. The items are how they go on; an
        example is the beginning of one, and asks for its continuation.

        A folder with ``items.csv`` or ``items.parquet``: a column ``id``, a column ``text``, and any others, of
        which ``title`` or ``name`` is what is shown. There may be ``interactions.csv`` or ``.parquet`` beside it:
        ``user``, ``item`` and ``time`` (numbers or dates; without it the order of the rows counts). Or a folder
        as MovieLens (latest, 1M, 100K) or RecBole publish it.

        A matrix, one row for each item: ``.npy``, ``.safetensors`` (with one matrix in it, or one of ours), or
        `Vectors`, whose words are the items. It is taken as it is.
    features : "tfidf", Vectors, path or array
        How texts become features of length 1: TF-IDF and truncated SVD; means of word vectors, which may be
        compressed; or the folder of a sentence-transformers model on this machine (nothing is downloaded). Or a ready
        matrix, with a row for each item of the folder.
    n_features : int
        Dimensions of "tfidf", at most.
    n_history : int
        Items of a user's history in an example, at most.
    random_state : int
        Seed of the SVD and, for the built-in texts, of the split.
    columns : mapping of ``id``, ``text``, ``user``, ``item`` or ``time`` to the folder's name of that column, optional
        Such as ``{"user": "userId", "time": "timestamp"}``.
    sep : str, optional
        What separates the cells of the folder's files, if that is no comma.

    Raises
    ------
    FileNotFoundError, ValueError, ImportError
        If a file is missing or damaged: the row and the item are named.

    Warns
    -----
    UserWarning
        If all features of some items are zero, with their number.
    """
    if n_history < 1:
        raise ValueError(f"expected n_history >= 1, got {n_history}")
    if isinstance(features, str | Path) and Path(features).suffix.lower() in MATRICES:
        features = _read_matrix(Path(features))[1]
    rows_or_fit = features if isinstance(features, np.ndarray) else fitting(features, n_features, random_state)
    if isinstance(source, Vectors):
        items = _from_matrix(source.words, source.matrix(), source.origin or "Vectors")
    elif str(source).startswith("builtin:"):
        items = _built_in(str(source), rows_or_fit, random_state)
    elif Path(source).is_dir():
        items = _from_folder(Path(source), columns, sep, rows_or_fit, n_history)
    else:
        ids, rows = _read_matrix(Path(source))
        with reading(source, "a matrix"):
            items = _from_matrix(ids, rows, str(source))
    zero = np.flatnonzero(~items.features.any(axis=1))
    if len(zero):
        first = printable(items.ids[zero[0]])
        warnings.warn(f"{len(zero)} of {len(items)} items (such as {first!r}) have no feature but zeros", stacklevel=2)
    return items


def _built_in(name: str, features: np.ndarray | Fit, random_state: int) -> Items:
    if name != built_in.NAME:
        raise ValueError(f"there are no built-in items {name!r}; there are {built_in.NAME!r}")
    if isinstance(features, np.ndarray):
        raise ValueError("the built-in texts need features of their beginnings too, not a matrix; give Vectors")
    pieces = built_in.pieces()
    texts = tuple(piece.continuation for piece in pieces)
    beginnings = [piece.beginning for piece in pieces]
    columns = pd.DataFrame({"article": [piece.article for piece in pieces]})
    columns["source"] = columns["article"].ne("").map({True: "Wikipedia", False: "news"})
    columns["beginning"] = beginnings
    embed = features(texts)
    names = tuple(_short(f"{piece.article}: {piece.continuation}".removeprefix(": ")) for piece in pieces)
    ids = tuple(f"paragraph-{i:04}" for i in range(1, len(pieces) + 1))
    return Items(ids, names, texts, columns, embed(texts), of_pairs(embed(beginnings), random_state), name)


def _from_folder(
    folder: Path, columns: Mapping[str, str] | None, sep: str | None, features: np.ndarray | Fit, n_history: int
) -> Items:
    path, frame, seen, interactions = read_folder(folder, columns, sep)
    with reading(path, "a table of items"):
        expect_columns(frame, "id", *(["text"] if callable(features) else []))
        ids = checked_items(frame["id"])
        texts = tuple(frame["text"]) if "text" in frame else None
        if texts is not None and callable(features):
            without = [item for item, text in zip(ids, texts, strict=True) if not text.strip()]
            if without:
                raise ValueError(f"{len(without)} of {len(ids)} items have no text, such as {without[:5]}; write some")
            features = features(texts)(texts)
        features = checked_rows(np.asarray(features), ids)
    shown = next(column for column in ("title", "name", "text", "id") if column in frame)
    names = tuple(_short(printable(text)) or item for text, item in zip(frame[shown], ids, strict=True))
    examples = None
    if seen is not None and interactions is not None:
        with reading(seen, "a table of interactions"):
            users, rows, times = read_interactions(interactions, {item: row for row, item in enumerate(ids)})
            examples = of_interactions(users, rows, times, features, n_history)
    others = frame.drop(columns=["id", "text"], errors="ignore")
    for column in others:
        numbers = pd.to_numeric(others[column], errors="coerce")
        if (numbers.notna() | (others[column] == "")).all() and numbers.notna().any():
            others[column] = numbers
    return Items(ids, names, texts, others, features, examples, str(folder))


def _from_matrix(ids: Sequence[str], rows: np.ndarray, source: str) -> Items:
    ids = checked_items(ids)
    names = tuple(_short(printable(item)) for item in ids)
    return Items(ids, names, None, pd.DataFrame(index=range(len(ids))), checked_rows(rows, ids), None, source)


def _read_matrix(path: Path) -> tuple[Sequence[str], np.ndarray]:
    """Return the items of a file with one matrix, "0", "1"... where it names none, and the matrix."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected {built_in.NAME!r}, or a folder or a matrix")
    if path.suffix.lower() not in MATRICES:
        raise ValueError(f"{path} is no matrix ({' or '.join(MATRICES)}) and no folder with an items.csv in it")
    with reading(path, "a matrix"):
        if path.suffix.lower() == ".npy":
            rows = np.array(mapped_array(path))
        else:
            with safe_open(path, "np") as file:
                is_own = artefact.KEY in (file.metadata() or {})
            if is_own:
                v = Vectors.load(path)
                return v.words, v.matrix()
            rows = np.array(read_matrix(path))
        return [str(row) for row in range(len(rows))], rows


def _short(text: str) -> str:
    """Return the first words, on one line."""
    line = " ".join(text.split())
    if " " in line[:MAX_NAME]:
        return textwrap.shorten(line, MAX_NAME, placeholder=" …")
    return line if len(line) <= MAX_NAME else line[: MAX_NAME - 1] + "…"  # `shorten` would leave nothing of one word
