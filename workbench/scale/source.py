"""`Source`: a Parquet file, or a folder of them, read partition by partition."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..formats.matrix import ID_COLUMNS
from ..networks.matching import embed_blocks

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1 << 14  # rows in memory at once
TEXTS, IDS, VECTORS = "texts", "texts or numbers", "lists of numbers"  # what a column can hold


@dataclass(frozen=True)
class Partition:
    """A row group of a file.

    `start` is the number of its first row in the whole. `digest` is of the file's footer, which has the place, the size
    and the extremes of every column of every row group.
    """

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
    texts: Any  # None, or a model that turns texts into vectors, as `embed_blocks` takes it
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
                    ids = _plain(batch.column(self.id_column))
                    _refuse_missing(ids, np.arange(start, start + len(ids)), "id")
                cells, own = batch.column(self.column), np.arange(len(ids))
                if places is not None:
                    own = places[np.searchsorted(places, start) : np.searchsorted(places, start + len(ids))] - start
                    ids, cells = ids.take(pa.array(own)), cells.take(pa.array(own))
                if len(ids):
                    rows = self._vectors(cells, own + start)
                    if dim not in (None, rows.shape[1]):
                        raise ValueError(f"its vectors have {rows.shape[1]} dimensions, expected {dim}")
                    yield ids, rows
                start += batch.num_rows

    def _vectors(self, cells: "pa.Array", numbers: np.ndarray) -> np.ndarray:
        """Return the vectors of cells, whose rows have these numbers: (n, dim) float32, all finite."""
        _refuse_missing(cells, numbers, "vector" if self.texts is None else "text")
        if self.texts is None:
            lengths = np.diff(cells.offsets) if hasattr(cells, "offsets") else np.full(len(cells), cells.type.list_size)
            wrong = np.flatnonzero(lengths != lengths[0])
            if len(wrong):
                at, n = numbers[wrong[0]], lengths[wrong[0]]
                raise ValueError(f"row {numbers[0]} has {lengths[0]} numbers, and row {at} has {n}")
            flat = cells.flatten().to_numpy(zero_copy_only=False)  # (n * dim,), NaN where a number is missing
            rows = flat.reshape(len(cells), lengths[0])
        else:
            rows = np.concatenate([*embed_blocks(self.texts, cells.to_pylist())])
        if rows.ndim != 2 or len(rows) != len(cells) or not rows.shape[1]:
            raise ValueError(f"expected a vector for each of {len(cells)} rows, got an array of shape {rows.shape}")
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32)
        is_finite = np.isfinite(rows).all(axis=1)
        if not is_finite.all():
            raise ValueError(f"row {numbers[np.argmin(is_finite)]} holds NaN or infinity; mend or remove it")
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
        Texts or whole numbers; by default the first that is called as ids are (``id``, ``doc_id``...), else none.
    texts
        See `Source`.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError("reading Parquet needs pyarrow: pip install 'embedding-workbench[scale]'") from error
    path = Path(path).expanduser().absolute()  # workers may have another working folder
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    root, files = (path, _files_below(path)) if path.is_dir() else (path.parent, [path])
    if not files:
        raise FileNotFoundError(f"there is no .parquet file in {path}")
    partitions: list[Partition] = []
    kinds: dict[str, str] = {}  # of the two columns, by name
    start = 0
    for file in files:
        name = file.relative_to(root).as_posix()
        try:
            about = pq.read_metadata(file)
        except (ValueError, OSError) as error:
            raise ValueError(f"{file} cannot be read as Parquet: {' '.join(str(error).split())}") from error
        if not about.num_rows:
            continue
        digest = sha256(repr(about.to_dict()).encode()).hexdigest()[:16]
        schema = about.schema.to_arrow_schema()
        if not kinds:
            column = column or _only_column(schema, VECTORS if texts is None else TEXTS, name)
            if id_column is None:
                others = {name.lower(): name for name in schema.names if name != column}
                id_column = next((others[name] for name in ID_COLUMNS if name in others), None)
            kinds = {column: VECTORS if texts is None else TEXTS} | ({id_column: IDS} if id_column else {})
        for wanted, kind in kinds.items():
            if wanted not in schema.names:
                raise ValueError(f"{name}: there is no column {wanted!r} among {', '.join(schema.names)[:200]}")
            if not _holds(schema.field(wanted).type, kind):
                raise ValueError(f"{name}: expected {kind} in column {wanted!r}, got {schema.field(wanted).type}")
            if kind is IDS:  # all files alike
                kinds[wanted] = TEXTS if _holds(schema.field(wanted).type, TEXTS) else "numbers"
        for row_group in range(about.num_row_groups):
            n_rows = about.row_group(row_group).num_rows
            if n_rows:
                partitions.append(Partition(name, row_group, start, n_rows, digest))
            start += n_rows
    if column is None:
        raise ValueError(f"{path} has no rows")
    return Source(root, column, id_column, texts, tuple(partitions))


def failure(partition: Partition, error: Exception) -> Exception:
    """Return an error that names the partition: of the same kind, if users expect that kind, else RuntimeError."""
    if isinstance(error, OSError):
        return OSError(f"{partition}: {error.strerror or error}")
    if isinstance(error, ValueError):
        return ValueError(f"{partition}: {error}")
    return RuntimeError(f"{partition}: {type(error).__name__}: {error}")


def _files_below(folder: Path) -> list[Path]:
    """Return the files, those behind links to folders too, in order of their names."""
    found = [
        Path(where, name).relative_to(folder)
        for where, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.lower().endswith(".parquet")
    ]
    return [folder / file for file in sorted(found) if not any(part.startswith((".", "_")) for part in file.parts)]


def _holds(found: "pa.DataType", kind: str) -> bool:
    """Return whether a column of this type holds cells of a kind."""
    from pyarrow import types

    if types.is_dictionary(found):
        found = found.value_type
    is_text, is_number = types.is_string(found) or types.is_large_string(found), types.is_integer(found)
    if kind in (TEXTS, IDS):
        return is_text or (is_number and kind == IDS)
    if kind != VECTORS:
        return is_number
    is_list = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
    return is_list and (types.is_floating(found.value_type) or types.is_integer(found.value_type))


def _only_column(schema: "pa.Schema", kind: str, file: str) -> str:
    found = [field.name for field in schema if _holds(field.type, kind) and field.name.lower() not in ID_COLUMNS]
    if len(found) != 1:
        got = ", ".join(found)[:200] or f"none among {', '.join(schema.names)[:200]}"
        raise ValueError(f"{file}: expected one column of {kind}, got {got}; name it as `column`")
    return found[0]


def _plain(ids: "pa.Array") -> "pa.Array":
    """Return ids as strings or whole numbers of 64 bits, so that all partitions have the same type."""
    import pyarrow as pa

    if pa.types.is_dictionary(ids.type):
        ids = ids.dictionary_decode()
    if pa.types.is_integer(ids.type):
        return ids.cast(pa.int64())
    ids.validate(full=True)  # broken UTF-8
    return ids.cast(pa.string())


def _refuse_missing(cells: "pa.Array", numbers: np.ndarray, what: str) -> None:
    if cells.null_count:
        raise ValueError(f"row {numbers[np.argmax(cells.is_null())]} has no {what}")
