"""Tables in files, ``.csv`` and ``.parquet``, read so that an item called ``007`` or ``NA`` stays what it is."""

import csv
import gzip
import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".csv.gz", ".parquet")
MOST_COLUMNS = 2_000
LONGEST = 1_000  # characters of what an error says of a file: a cell that it quotes may be long
NO_PARQUET = "Parquet files need pyarrow: pip install pyarrow; or use .csv"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors about what is in a file name it, on one line."""
    try:
        yield
    except (ValueError, TypeError, EOFError) as error:
        said = textwrap.shorten(str(error)[: 2 * LONGEST], LONGEST, placeholder=" ...")
        raise ValueError(f"{path}: {said}") from error


def read_table(
    path: Path, sep: str | None = None, names: Sequence[str] | None = None, encoding: str = "utf-8-sig"
) -> "pd.DataFrame":
    """A table whose cells are all strings, as they stand in the file; what is missing is "".

    Parameters
    ----------
    path : Path
    sep : str, optional
        What stands between cells; a comma, unless said. Where it is another, quotation marks are letters.
    names : sequence of str, optional
        Names of the columns, for files without a header.
    encoding : str

    Raises
    ------
    ValueError
        If the file is empty or damaged.
    ImportError
        If it is Parquet and pyarrow is not installed.
    """
    is_parquet = path.suffix.lower() == ".parquet"
    frame = _read_parquet(path) if is_parquet else _read_csv(path, sep or ",", names, encoding)
    if not len(frame):
        raise ValueError("no rows, only a header")
    return frame


def _read_csv(path: Path, sep: str, names: Sequence[str] | None, encoding: str) -> "pd.DataFrame":
    import pandas as pd

    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", errors="surrogateescape", newline="") as file:
        try:
            n_columns = len(next(csv.reader(file), ()))
        except csv.Error as error:
            raise ValueError(f"its header is no row of a table: {error}") from error
    if n_columns > MOST_COLUMNS:  # of which pandas takes longer than in proportion
        raise ValueError(f"expected at most {MOST_COLUMNS:,} columns, got {n_columns:,}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # of rows that are longer than the header
        try:
            return pd.read_csv(
                path,
                sep=sep,
                names=names,
                header=None if names else 0,
                engine="c" if len(sep) == 1 else "python",
                quoting=csv.QUOTE_MINIMAL if sep == "," else csv.QUOTE_NONE,
                dtype=object,
                keep_default_na=False,
                index_col=False,
                encoding=encoding,
                encoding_errors="surrogateescape",
            )
        except pd.errors.EmptyDataError as error:
            raise ValueError("empty") from error
        except pd.errors.ParserWarning as error:
            raise ValueError(f"rows are longer than the header: {error}") from error


def _read_parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        frame = pd.read_parquet(path, dtype_backend="numpy_nullable")  # whole numbers stay so beside missing ones
    except ImportError as error:
        raise ImportError(NO_PARQUET) from error
    except OSError as error:  # so pyarrow calls what is damaged
        raise ValueError(f"damaged: {error}") from error
    texts = {column: frame[column].astype(object).where(frame[column].notna(), "").map(str) for column in frame}
    return pd.DataFrame(texts).astype(object)


def as_objects(strings: Sequence[str]) -> "pd.Series":
    """A column of strings that may hold bytes that are not UTF-8, for which pandas' own type has no place."""
    import pandas as pd

    return pd.Series(list(strings), dtype=object)


def table_bytes(frame: "pd.DataFrame", ending: str) -> bytes:
    """What a file of this ending holds.

    Raises
    ------
    ImportError
        If it is Parquet and pyarrow is not installed.
    """
    if ending == ".csv":
        return frame.to_csv(index=False, lineterminator="\r\n").encode("utf-8", "surrogateescape")
    data = io.BytesIO()
    try:
        frame.to_parquet(data, index=False)
    except ImportError as error:
        raise ImportError(NO_PARQUET) from error
    return data.getvalue()


def summary_html(caption: str, rows: list[tuple[str, str]]) -> str:
    """A small table of labels and values, for a notebook."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(label)}</th><td style='text-align:left'>{escape(value)}</td></tr>"
        for label, value in rows
    )
    return f"<table><caption>{escape(caption)}</caption><tbody>{cells}</tbody></table>"
