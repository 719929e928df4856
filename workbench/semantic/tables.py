"""Tables in files, ``.csv`` and ``.parquet``, read so that an item called ``007`` or ``NA`` stays what it is."""

import gzip
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..formats.tables import read_csv, read_parquet

if TYPE_CHECKING:
    import pandas as pd

TABLES = (".csv", ".csv.gz", ".parquet")
MAX_COLUMNS = 2_000  # pandas takes longer than in proportion to them


def read_table(
    path: Path, sep: str = ",", names: Sequence[str] | None = None, encoding: str = "utf-8-sig"
) -> "pd.DataFrame":
    """Return a table whose cells are all strings, as they stand in the file; missing ones are "".

    Parameters
    ----------
    path : Path
        Of a ``.parquet``, which needs pyarrow, or of text.
    sep : str
        What separates cells. Unless it is a comma, quotation marks have no meaning.
    names : sequence of str, optional
        Names of the columns, for files without a header.
    encoding : str
    """
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        frame = read_parquet(path, dtype_backend="numpy_nullable")  # whole numbers stay so beside missing ones
        frame = frame.astype(object).where(frame.notna(), "").map(str)
    else:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            n_columns = file.readline().count(sep.encode()) + 1
        if n_columns > MAX_COLUMNS:
            raise ValueError(f"expected at most {MAX_COLUMNS:,} columns, got {n_columns:,}")
        header, engine = None if names else 0, "c" if len(sep) == 1 else "python"
        options = {"names": names, "header": header, "engine": engine, "encoding": encoding}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            try:
                frame = read_csv(path, sep, dtype=object, index_col=False, **options)
            except pd.errors.ParserWarning as error:
                raise ValueError(f"rows are longer than the header: {error}") from error
    if not len(frame):
        raise ValueError("no rows, only a header")
    return frame.fillna("").astype(object)


def expect_columns(frame: "pd.DataFrame", *names: str) -> None:
    """Refuse a table without one of these columns."""
    missing = [name for name in names if name not in frame]
    if missing:
        there = ", ".join(map(str, frame.columns))
        raise ValueError(f"there is no column {', '.join(map(repr, missing))} among {there}")


def as_objects(strings: Sequence[str]) -> "pd.Series":
    """Return a column of strings that may hold bytes that are not UTF-8, which pandas' own type cannot."""
    import pandas as pd

    return pd.Series(list(strings), dtype=object)
