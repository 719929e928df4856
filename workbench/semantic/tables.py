"""Tables in files, ``.csv`` and ``.parquet``, read so that an item called ``007`` or ``NA`` stays what it is."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..formats.tables import read_csv, read_parquet

TABLES = (".csv", ".csv.gz", ".parquet")


def read_table(
    path: Path, sep: str = ",", names: Sequence[str] | None = None, encoding: str = "utf-8-sig"
) -> pd.DataFrame:
    """Return a table whose cells are all strings, as they stand in the file; missing ones are "".

    `names` are those of the columns, for files without a header. Quotation marks have a meaning between commas only.
    """
    if path.suffix.lower() == ".parquet":
        frame = read_parquet(path, dtype_backend="numpy_nullable")  # whole numbers stay so beside missing ones
        frame = frame.astype(object).where(frame.notna(), "").map(str)
    else:
        header, engine = None if names else 0, "c" if len(sep) == 1 else "python"
        options = {"names": names, "header": header, "engine": engine, "encoding": encoding}
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            try:
                frame = read_csv(path, sep, dtype=object, index_col=False, **options)
            except pd.errors.ParserWarning as error:
                raise ValueError(f"rows are longer than the header: {error}") from error
    if not len(frame):
        raise ValueError("no rows, only a header")
    return frame.fillna("").astype(object)


def expect_columns(frame: pd.DataFrame, *names: str) -> None:
    """Refuse a table without one of these columns."""
    missing = [name for name in names if name not in frame]
    if missing:
        there = ", ".join(map(str, frame.columns))
        raise ValueError(f"there is no column {', '.join(map(repr, missing))} among {there}")
