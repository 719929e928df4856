"""Tables: TSV, CSV or Parquet with a column of words or ids.

The projector of TensorBoard keeps numbers in one TSV file and words in ``metadata.tsv`` beside it.
"""

import csv
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from ..vectors import Vectors
from .base import Format
from .matrix import ID_COLUMNS, WORD_COLUMNS, expected_beside
from .text import MARK


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
    """Read TSV or CSV: a column of words and columns of numbers; without words, those beside it."""
    with open(path, "rb") as file:
        head = file.read(1 << 16).removeprefix(MARK)
    separator = _separator(head) or "\t"
    has_names = not any(map(_is_number, head.split(b"\n", 1)[0].rstrip(b"\r").split(separator.encode())))
    return _of_frame(path, read_csv(path, separator, header=0 if has_names else None))


def load_parquet(path: Path) -> Vectors:
    """Read Parquet: a column of words or ids, and columns of numbers or one of lists; needs pyarrow."""
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
        raise ValueError(f"it is damaged or cut short: {' '.join(str(error).split())}") from error


def _of_frame(path: Path, frame: Any) -> Vectors:
    """Vectors of a data frame with a column of lists and one of ids, or with columns of numbers and one of words.

    Beside lists, the first column of `ID_COLUMNS`, else of `WORD_COLUMNS`, names rows; others are left out.
    """
    columns = {str(column).lower(): column for column in frame.columns}
    lists = [c for c in frame.columns if any(not np.isscalar(x) and x is not None for x in frame[c].head(1_000))]
    texts = [c for c in frame.columns if all(isinstance(x, str) for x in frame[c].head(1_000))]
    ids = [columns[name] for name in ID_COLUMNS if name in columns and columns[name] not in lists]
    words = [c for c in texts if str(c).lower() in WORD_COLUMNS] or texts
    if lists:
        return _of_lists(path, frame, lists, (ids or words)[:1])
    if len(words) > 1 or len(texts) > 1:
        raise ValueError(f"expected one column of words, got {', '.join(map(str, texts))[:200]}")
    named = words or ids[:1]
    rest = frame.drop(columns=named)
    wrong = [c for c in rest.columns if rest[c].dtype.kind not in "fiu"]
    if wrong or not rest.shape[1]:
        raise ValueError(f"expected numbers beside the words, but column {(wrong or ['?'])[0]!r} holds something else")
    return Vectors.from_arrays(_names(frame[named[0]]) if named else expected_beside(path), rest.to_numpy(np.float32))


def _of_lists(path: Path, frame: Any, lists: list[Any], named: list[Any]) -> Vectors:
    """Vectors of a column of lists of numbers."""
    if len(lists) != 1:
        raise ValueError(f"expected one column of lists of numbers, got {', '.join(map(str, lists))[:200]}")
    rows = frame[lists[0]].to_list()
    names = _names(frame[named[0]]) if named else expected_beside(path)
    dim = next((len(row) for row in rows if np.ndim(row) == 1), "a list")
    for place, row in enumerate(rows):
        if np.shape(row) != (dim,):
            got = f"{len(row)} numbers" if np.ndim(row) == 1 else "no list"
            raise ValueError(f"row {place} of column {lists[0]!r} has {got}, where others have {dim}")
    return Vectors.from_arrays(names, np.stack(rows))


def _names(column: Any) -> list[str]:
    """The texts or whole numbers of a column; cells that are missing are refused by row."""
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise ValueError(f"row {missing[0]} has no {column.name!r}; give each row one")
    return [str(name) if isinstance(name, Integral) else name for name in column]


FORMATS = (
    Format("parquet", "Parquet", (b"PAR1",), load=load_parquet, also_opens=(".parquet",)),
    Format("table", "a table (TSV, CSV)", looks_like=is_table, load=load_table, also_opens=(".tsv", ".csv")),
)
