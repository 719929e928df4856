"""Tables in files, ``.csv`` and ``.parquet``, read so that an item called ``007`` or ``NA`` stays what it is."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".parquet")
NO_PARQUET = "Parquet files need pyarrow: pip install pyarrow; or use .csv"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors about what is in a file name it."""
    try:
        yield
    except (ValueError, TypeError, EOFError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_table(path: Path) -> "pd.DataFrame":
    """A table whose cells are all strings, as they stand in the file.

    Raises
    ------
    ValueError
        If the file is empty or damaged, or a cell is missing (its row is named, the first being 0).
    ImportError
        If it is Parquet and pyarrow is not installed.
    """
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        try:
            frame = pd.read_parquet(path)
        except ImportError as error:
            raise ImportError(NO_PARQUET) from error
        except OSError as error:  # so pyarrow calls what is damaged
            raise ValueError(f"damaged: {error}") from error
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of rows that are longer than the header
            try:
                frame = pd.read_csv(
                    path,
                    dtype=str,
                    keep_default_na=False,
                    index_col=False,
                    encoding="utf-8-sig",
                    encoding_errors="surrogateescape",
                )
            except pd.errors.EmptyDataError as error:
                raise ValueError("empty") from error
            except pd.errors.ParserWarning as error:
                raise ValueError(f"rows are longer than the header: {error}") from error
    if not len(frame):
        raise ValueError("no rows, only a header")
    missing = frame.isna()
    for column in frame.columns[missing.any()]:
        raise ValueError(f"row {missing[column].to_numpy().argmax()} has no {column!r}")
    return frame.astype(str).astype(object)


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
