"""`Source`: a Parquet file, or a folder of them, read partition by partition."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..formats.matrix import ID_COLUMNS, WORD_COLUMNS
from ..networks.matching import embed_blocks
from ..vectors import check_finite

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1 << 14  # rows in memory at once
FOOTER = 8  # bytes at the end of a file: the length of its metadata, and a mark


@dataclass(frozen=True)
class Partition:
    """A row group of a file. `start` is the number of its first row in the whole, `digest` is of the file's footer."""

    file: str
    row_group: int
    start: int
    n_rows: int
    digest: str

    def __str__(self) -> str:
        return f"{self.file}, row group {self.row_group}"


@dataclass(frozen=True)
class Source:
    """Rows with ids, and their vectors or texts; opened by `open_source`."""

    root: Path
    column: str
    id_column: str | None  # without one, rows go by their numbers
    texts: Any  # None, or what turns texts into vectors, as `embed_blocks` takes it
    partitions: tuple[Partition, ...]

    @property
    def n_rows(self) -> int:
        return sum(partition.n_rows for partition in self.partitions)

    def blocks(
        self, partition: Partition, places: np.ndarray | None = None, dim: int | None = None
    ) -> Iterator[tuple["pa.Array", np.ndarray]]:
        """Yield ids, and vectors (<= BLOCK, dim) float32, of a partition or of rows at sorted `places` in it.

        Raises
        ------
        ValueError, OSError
            If the file cannot be read, or a row has no vector of `dim` finite numbers; see `failure`.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = [self.column] + ([self.id_column] if self.id_column else [])
        start = 0  # of the block in the partition
        # mapped, since arrow would read a whole row group into memory
        with pq.ParquetFile(self.root / partition.file, memory_map=True) as file:
            for batch in file.iter_batches(BLOCK, [partition.row_group], columns):
                if self.id_column is None:
                    ids = pa.array(np.arange(batch.num_rows) + partition.start + start)
                else:
                    ids = batch.column(self.id_column)
                    _refuse_missing(ids, start, "id")
                cells = batch.column(self.column)
                if places is not None:
                    own = places[np.searchsorted(places, start) : np.searchsorted(places, start + len(ids))] - start
                    ids, cells = ids.take(pa.array(own)), cells.take(pa.array(own))
                if len(ids):
                    rows = self._vectors(cells, start)
                    if dim not in (None, rows.shape[1]):
                        raise ValueError(f"its vectors have {rows.shape[1]} dimensions, expected {dim}")
                    yield ids, rows
                start += batch.num_rows

    def _vectors(self, cells: "pa.Array", start: int) -> np.ndarray:
        _refuse_missing(cells, start, "vector" if self.texts is None else "text")
        if self.texts is not None:
            return np.concatenate([*embed_blocks(self.texts, cells.to_pylist())])
        lengths = np.diff(cells.offsets) if hasattr(cells, "offsets") else np.full(len(cells), cells.type.list_size)
        wrong = np.flatnonzero(lengths != lengths[0])
        if len(wrong):
            row = wrong[0]
            raise ValueError(f"row {start + row} has {lengths[row]} numbers, the rows before it {lengths[0]}")
        flat = cells.flatten().to_numpy(zero_copy_only=False)  # (n * dim,), NaN where a number is missing
        with np.errstate(over="ignore"):
            rows = flat.astype(np.float32).reshape(len(cells), lengths[0])
        check_finite(rows, (), start)
        return rows


def open_source(path: str | Path, column: str | None, id_column: str | None, texts: Any) -> Source:
    """Read the footers of all files, and refuse columns that are missing or of another kind.

    Parameters
    ----------
    path : str or path
        A ``.parquet`` file, or a folder, whose ``.parquet`` files are taken in order of their names, those in folders
        below it too; names that begin with ``.`` or ``_`` are left out.
    column : str, optional
        Lists of numbers, or texts; by default the only such column.
    id_column : str, optional
        By default the first that is called as ids are (``id``, ``doc_id``...) or words are, else none.
    texts
        See `Source`.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError("reading Parquet needs pyarrow: pip install 'embedding-workbench[scale]'") from error
    path = Path(path).expanduser()
    root, files = (path, _files_below(path)) if path.is_dir() else (path.parent, [path])
    if not files:
        raise FileNotFoundError(f"there is no .parquet file in {path}")
    partitions: list[Partition] = []
    known: dict[str, Any] = {}  # the types of the two columns, by name
    start = 0
    for file in files:
        name = file.relative_to(root).as_posix()
        try:
            about, digest = pq.read_metadata(file), _footer_digest(file)
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no file {file}") from None
        except (ValueError, OSError) as error:
            raise ValueError(f"{file} cannot be read as Parquet: {' '.join(str(error).split())}") from error
        schema = about.schema.to_arrow_schema()
        if not known:
            column = column or _only_column(schema, texts is not None, name)
            id_column = id_column or _id_column(schema, column)
            known = {wanted: _type_of(schema, wanted, name) for wanted in (column, id_column) if wanted}
            _check_type(column, known[column], texts is not None, name)
        for wanted, kind in known.items():
            if (found := _type_of(schema, wanted, name)) != kind:
                raise ValueError(f"{name}: column {wanted!r} holds {found}, in the files before it {kind}")
        for row_group in range(about.num_row_groups):
            n_rows = about.row_group(row_group).num_rows
            partitions.append(Partition(name, row_group, start, n_rows, digest))
            start += n_rows
    if not start:
        raise ValueError(f"{path} has no rows")
    assert column is not None
    return Source(root, column, id_column, texts, tuple(p for p in partitions if p.n_rows))


def failure(partition: Partition, error: Exception) -> Exception:
    """Return an error that names the partition."""
    reason = getattr(error, "strerror", None) or error
    return (OSError if isinstance(error, OSError) else ValueError)(f"{partition}: {reason}")


def _files_below(folder: Path) -> list[Path]:
    found = (file.relative_to(folder) for file in folder.rglob("*.parquet"))
    return [folder / file for file in sorted(found) if not any(part.startswith((".", "_")) for part in file.parts)]


def _footer_digest(file: Path) -> str:
    """A digest of a file's metadata: it has the place, the size and the extremes of every column's pages."""
    with file.open("rb") as opened:
        opened.seek(-FOOTER, 2)
        length = int.from_bytes(opened.read(4), "little")
        opened.seek(-FOOTER - length, 2)
        return sha256(opened.read()).hexdigest()[:16]


def _type_of(schema: "pa.Schema", column: str, file: str) -> "pa.DataType":
    if column not in schema.names:
        raise ValueError(f"{file}: there is no column {column!r} among {', '.join(schema.names)[:200]}")
    return schema.field(column).type


def _fits(kind: "pa.DataType", is_text: bool) -> bool:
    """Return whether a column of this type holds texts, or lists of numbers."""
    from pyarrow import types

    if is_text:
        return types.is_string(kind) or types.is_large_string(kind)
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return is_list and (types.is_floating(kind.value_type) or types.is_integer(kind.value_type))


def _check_type(column: str, kind: "pa.DataType", is_text: bool, file: str) -> None:
    if not _fits(kind, is_text):
        expected = "texts" if is_text else "lists of numbers"
        raise ValueError(f"{file}: expected {expected} in column {column!r}, got {kind}")


def _only_column(schema: "pa.Schema", is_text: bool, file: str) -> str:
    found = [field.name for field in schema if _fits(field.type, is_text)]
    found = [name for name in found if name.lower() not in ID_COLUMNS] if is_text else found
    if len(found) != 1:
        kind = "texts" if is_text else "lists of numbers"
        got = ", ".join(found)[:200] or f"none among {', '.join(schema.names)[:200]}"
        raise ValueError(f"{file}: expected one column of {kind}, got {got}; name it as `column`")
    return found[0]


def _id_column(schema: "pa.Schema", column: str) -> str | None:
    by_name = {name.lower(): name for name in schema.names if name != column}
    return next((by_name[name] for name in (*ID_COLUMNS, *WORD_COLUMNS) if name in by_name), None)


def _refuse_missing(cells: "pa.Array", start: int, what: str) -> None:
    if cells.null_count:
        raise ValueError(f"row {start + int(np.argmax(cells.is_null()))} has no {what}")
