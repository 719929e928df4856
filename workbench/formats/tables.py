"""Arrays and tables: ``.npy`` with words beside it, ``.npz``, and TSV, CSV or Parquet with a column of words.

The projector of TensorBoard keeps numbers in one TSV file and words in ``metadata.tsv`` beside it.
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import reading
from ..vectors import Vectors
from .base import Format
from .folder import mapped_array
from .text import MARK

MAX_ARRAYS = 16  # of an archive that are looked at
ZIP = b"PK\x03\x04"
BESIDE = ("{stem}.words.txt", "{stem}.txt", "{stem}.json", "words.txt", "vocab.txt", "metadata.tsv")
WORD_COLUMNS = ("word", "words", "token", "key", "label", "text", "name")


def load_npy(path: Path) -> Vectors:
    """Map a matrix whose words stand in a file beside it: one a line, or a JSON list; see `BESIDE`."""
    return Vectors.from_arrays(_words_beside(path), mapped_array(path))


def is_npz(path: Path, head: bytes) -> bool:
    """Return whether the first file in a zip archive is an array."""
    return head.startswith(ZIP) and head[30 : 30 + int.from_bytes(head[26:28], "little")].endswith(b".npy")


def load_npz(path: Path) -> Vectors:
    """Read an archive with two arrays, whatever their names: a matrix of numbers and a list of words."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [archive[name] for name in archive.files[:MAX_ARRAYS]]
    except Exception as error:  # a damaged archive raises errors of a dozen kinds
        raise ValueError(f"it is no archive of plain arrays: {error}") from error
    matrices = [a for a in arrays if a.ndim == 2 and a.dtype.kind in "fiu"]
    words = [a for a in arrays if a.ndim == 1 and a.dtype.kind in "US"]
    if len(matrices) != 1 or len(words) != 1:
        shapes = ", ".join(f"{a.dtype} {a.shape}" for a in arrays)[:200]
        raise ValueError(f"expected one matrix of numbers and one list of words, got {shapes or 'nothing'}")
    text = words[0] if words[0].dtype.kind == "U" else np.char.decode(words[0], "utf-8", "surrogateescape")
    return Vectors.from_arrays(text.tolist(), matrices[0])


def _separator(head: bytes) -> str | None:
    """The tab or comma by which lines have as many fields, with numbers in the first line or below it."""
    lines = [line for line in head.removeprefix(MARK).split(b"\n")[:3] if line.strip()]
    for separator in (b"\t", b","):
        fields = [line.rstrip(b"\r").split(separator) for line in lines]
        n_columns = len(fields[0]) if fields else 0
        are_numbers = [sum(map(_is_number, line)) >= n_columns - 1 for line in fields]
        if n_columns > 2 and all(len(line) == n_columns for line in fields[:2]) and any(are_numbers[:2]):
            return separator.decode()
    return None


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def is_table(path: Path, head: bytes) -> bool:
    return _separator(head) is not None


def load_table(path: Path) -> Vectors:
    """Read TSV or CSV: a column of words and columns of numbers; without words, those beside it (see `BESIDE`)."""
    with open(path, "rb") as file:
        head = file.read(1 << 16).removeprefix(MARK)
    separator = _separator(head) or "\t"
    has_names = not any(map(_is_number, head.split(b"\n", 1)[0].rstrip(b"\r").split(separator.encode())))
    return _of_frame(path, read_csv(path, separator, header=0 if has_names else None))


def load_parquet(path: Path) -> Vectors:
    """Read a Parquet file with a column of words and either columns of numbers or one of lists; needs pyarrow."""
    try:
        return _of_frame(path, read_parquet(path))
    except ImportError as error:
        raise ValueError(f"{path} is a Parquet file, and reading those needs pyarrow: pip install pyarrow") from error


def read_csv(path: Path, sep: str, **options: Any) -> Any:
    """Return a data frame: quotation marks count between commas only, no cell is NaN, all bytes are kept."""
    import pandas as pd

    quoting = csv.QUOTE_MINIMAL if sep == "," else csv.QUOTE_NONE
    options = {"encoding": "utf-8-sig", "encoding_errors": "surrogateescape", "keep_default_na": False} | options
    return pd.read_csv(path, sep=sep, quoting=quoting, **options)


def read_parquet(path: Path, **options: Any) -> Any:
    """Return a data frame; it needs pyarrow."""
    import pandas as pd

    try:
        return pd.read_parquet(path, **options)
    except OSError as error:
        raise ValueError(f"it is damaged or cut short: {error}") from error


def _of_frame(path: Path, frame: Any) -> Vectors:
    """Vectors of a data frame; the column of words is named so, or the only one of strings."""
    texts = [c for c in frame.columns if all(isinstance(x, str) for x in frame[c].head(1_000))]
    named = [c for c in texts if str(c).lower() in WORD_COLUMNS] or texts
    if len(named) > 1 or len(texts) > 1:
        raise ValueError(f"expected one column of words, got {', '.join(map(str, texts))[:200]}")
    rest = frame.drop(columns=named)
    if rest.shape[1] == 1 and len(rest) and not np.isscalar(rest.iloc[0, 0]):
        matrix = np.stack(rest.iloc[:, 0].to_list())  # a column of lists; it refuses those that differ in length
    else:
        wrong = [c for c in rest.columns if rest[c].dtype.kind not in "fiu"]
        if wrong or not rest.shape[1]:
            raise ValueError(
                f"expected numbers beside the words, but column {(wrong or ['?'])[0]!r} holds something else"
            )
        matrix = rest.to_numpy(np.float32)
    return Vectors.from_arrays(frame[named[0]].tolist() if named else _words_beside(path), matrix)


def _words_beside(path: Path) -> list[str]:
    """The words in the first file of `BESIDE` that is there."""
    names = [name.format(stem=path.stem) for name in BESIDE]
    file = next((path.with_name(name) for name in names if path.with_name(name).is_file() and name != path.name), None)
    if file is None:
        raise ValueError(f"{path} has no words in it; put them beside it, one a line, as one of {', '.join(names)}")
    text = file.read_bytes().removeprefix(MARK).decode("utf-8", "surrogateescape")
    if file.suffix == ".json":
        with reading(file, "a JSON list of words"):
            listed = json.loads(text)
            if not isinstance(listed, list):
                raise ValueError(f"it holds {type(listed).__name__}")
            return listed
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if file.name != "metadata.tsv" or "\t" not in lines[0]:
        return lines
    names, *rows = (line.split("\t") for line in lines)  # of columns, where there is more than one
    at = next((i for i, name in enumerate(names) if name.lower() in WORD_COLUMNS), 0)
    return [row[at] for row in rows]


FORMATS = (
    Format("npy", "an array (.npy) with words beside it", (b"\x93NUMPY",), load=load_npy, also_opens=(".npy",)),
    Format("npz", "arrays (.npz)", looks_like=is_npz, load=load_npz, also_opens=(".npz",)),
    Format("parquet", "Parquet", (b"PAR1",), load=load_parquet, also_opens=(".parquet",)),
    Format("table", "a table (TSV, CSV)", looks_like=is_table, load=load_table, also_opens=(".tsv", ".csv")),
)
