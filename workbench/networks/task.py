"""`Task`: texts with labels, in parts to train on, to choose by and to be judged on."""

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from ..checks import reading
from ..data import paragraphs, readable
from ..vectors import summary_html
from .words import split

BUILTIN = ("builtin:articles", "builtin:articles-2")
N_ARTICLES = 20
MIN_WORDS = 5  # of a sentence
PARTS = 10  # of a training set without a part for validation, one becomes that
MAX_LABELS = 10_000


@dataclass(frozen=True, eq=False)
class Part:
    """Texts; subclasses add an array with a row for each."""

    texts: tuple[str, ...]

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    def sample(self, n: int, seed: int) -> Self:
        """Return so many of the texts, drawn by a seed; all where they are fewer."""
        places = drawn_places(len(self), n, seed)
        arrays = (getattr(self, field.name)[places] for field in fields(self)[1:])
        return type(self)(tuple(self.texts[i] for i in places), *arrays)


@dataclass(frozen=True, eq=False)
class Labelled(Part):
    """Texts and the number of each one's label."""

    labels: np.ndarray  # (n,) int64


@dataclass(frozen=True, eq=False)
class Task:
    """Texts to be told apart.

    Attributes
    ----------
    name : str
        What `load_task` takes to give this task.
    labels : tuple of str
        In alphabetical order.
    train, valid, test : Labelled
        To train on, to choose by, and to be judged on.
    unlabelled : tuple of str
        Further texts, for distillation.
    """

    score_name: ClassVar = "accuracy"  # of what `Train` chooses by

    name: str
    labels: tuple[str, ...]
    train: Labelled
    valid: Labelled
    test: Labelled
    unlabelled: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, parts: Mapping[str, Sequence[tuple[str, str]]], unlabelled: Sequence[str] = ()) -> "Task":
        """Return a task of pairs of text and label, in parts ``"train"``, ``"test"`` and, if there is one, ``"valid"``.

        Without ``"valid"``, a tenth of the training texts is taken for it, by a hash of each text.

        Raises
        ------
        ValueError
            If a part is missing or empty, a text is empty, there is only one label, or a label is not among those of
            the training texts.
        """
        for part in ("train", "test"):
            if not parts.get(part):
                raise ValueError(f"{name}: expected texts to {part}, got none")
        number = {label: i for i, label in enumerate(sorted({str(label) for _, label in parts["train"]}))}
        if not 2 <= len(number) <= MAX_LABELS:
            raise ValueError(f"{name}: expected 2 to {MAX_LABELS:,} labels in training texts, got {[*number][:3]}")
        for part, pairs in parts.items():
            for place, pair in enumerate(pairs, 1):
                if not all(isinstance(text, str) and text.strip() for text in pair):
                    raise ValueError(f"{name}: text {place} of {part} is empty or no text, or its label; remove it")
                if pair[1] not in number:
                    raise ValueError(f"{name}: label {pair[1][:60]!r} of {part} text {place} is in no training text")
        if not parts.get("valid"):
            last = {label: text for text, label in parts["train"]}  # stays, so that no label is in `valid` alone
            held, kept = list[tuple[str, str]](), list[tuple[str, str]]()
            for text, label in parts["train"]:
                (held if tenth(text) == 0 and text != last[label] else kept).append((text, label))
            parts = {**parts, "train": kept, "valid": held or kept}
        found = {
            part: Labelled(tuple(text for text, _ in pairs), np.array([number[label] for _, label in pairs], np.int64))
            for part, pairs in parts.items()
        }
        return cls(name, tuple(number), found["train"], found["valid"], found["test"], tuple(unlabelled))

    def describe(self) -> list[tuple[str, str]]:
        """Return a summary: pairs of label and value."""
        sizes = sizes_of(self.train, self.valid, self.test)
        return [("source", self.name), ("labels", f"{len(self.labels)}"), ("texts", sizes)]

    def __repr__(self) -> str:
        return f"Task({', '.join(f'{label}: {value}' for label, value in self.describe())})"

    def _repr_html_(self) -> str:
        return summary_html("Task", self.describe())


def tenth(text: str) -> int:
    """Return which tenth of all texts a text is in, by a hash: 0 to 9."""
    return zlib.crc32(text.encode("utf-8", "replace")) % PARTS


def sizes_of(train: Sized, valid: Sized, test: Sized) -> str:
    """Return how much there is in each part of a task."""
    return f"{len(train):,} to train, {len(valid):,} to choose by, {len(test):,} to be judged on"


def drawn_places(n_texts: int, n: int, seed: int) -> np.ndarray:
    """Return the places of `n` texts of `n_texts`, in order; all where they are fewer."""
    return np.sort(np.random.default_rng(seed).permutation(n_texts)[:n])


def load_task(source: str | Path) -> Task:
    """Load a task.

    Parameters
    ----------
    source : str or Path
        ``"builtin:articles"``: from which of 20 Wikipedia articles a sentence comes, split by paragraph; the texts
        are inside gensim's package. ``"builtin:articles-2"``: 20 other articles. Or a folder with ``train.csv`` and
        ``test.csv``, with columns ``text`` and ``label``, and if there are such, ``valid.csv`` and
        ``unlabelled.csv`` (with ``text`` alone).

    Raises
    ------
    FileNotFoundError, ValueError
        If a file or column is missing, or as `Task.of`.
    """
    if str(source) in BUILTIN:
        return articles(str(source))
    if str(source).startswith("builtin:"):
        raise ValueError(f"unknown task {source!r}; there are {', '.join(BUILTIN)}")
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; expected one with train.csv and test.csv, or {BUILTIN[0]!r}")
    parts: dict[str, Sequence] = {
        part: read_table(folder / f"{part}.csv", ["text", "label"]) for part in ("train", "valid", "test")
    }
    further = read_table(folder / "unlabelled.csv", ["text"])
    return Task.of(str(source), parts, [text for (text,) in further])


def read_table(file: Path, columns: list[str]) -> list[tuple[str, ...]]:
    """Return the rows of these columns of a CSV file; of a file that is not there, none."""
    import pandas as pd

    if not file.exists():
        return []
    with reading(file, f"a table with columns {' and '.join(columns)}"):
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
        if missing := [column for column in columns if column not in table]:
            raise ValueError(f"it has no column {missing[0]!r}; it has {', '.join(table.columns[:5])}")
        return list(table[columns].itertuples(index=False, name=None))


@cache
def articles(name: str) -> Task:
    """Return the built-in task of this name; paragraphs go to its parts by a hash of their text."""
    found: list[tuple[str, str, str]] = []  # a sentence, its article, its part
    for title, paragraph in paragraphs():
        text = readable(paragraph)
        part = {0: "test", 1: "test", 2: "valid"}.get(tenth(text), "train")
        sentences = re.split(r"(?<=[.!?])\s+", text) if title else []
        found += [(s, title, part) for s in sentences if len(split(s)) >= MIN_WORDS]
    first = N_ARTICLES * BUILTIN.index(name)
    largest = Counter(title for _, title, _ in found).most_common(first + N_ARTICLES)[first:]
    titles = {title for title, _ in largest}
    parts: dict[str, list[tuple[str, str]]] = {"train": [], "valid": [], "test": []}
    for sentence, title, part in found:
        if title in titles:
            parts[part].append((sentence, title))
    return Task.of(name, parts)
