"""`EncodedItems`: a folder of codes, opened without reading them."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import cached_property, reduce
from operator import and_, index
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import reading
from ..compress.base import Field
from ..semantic import SemanticIDs
from ..vectors import summary_html
from .source import Source

if TYPE_CHECKING:
    from pandas import DataFrame

MANIFEST, CODEBOOKS = "manifest.json", "codebooks.npy"
DECISIVE = ("model", "beam", "column", "id_column", "is_text")  # of the manifest: they decide the codes
FORM, FORM_VERSION = "workbench encoded items", 1


def part_name(place: int) -> str:
    return f"codes-{place:05}.parquet"


def manifest_of(source: Source, codebooks: np.ndarray, beam: int, digest: str, meta: dict) -> dict[str, Any]:
    """Return what a folder says of itself, as JSON values: the same for the same rows, codebooks and settings."""
    n_levels, codebook_size, dim = codebooks.shape
    about = {"n_levels": n_levels, "codebook_size": codebook_size, "dim": dim, "beam": beam}
    columns = {"column": source.column, "id_column": source.id_column, "is_text": source.texts is not None}
    made = {"model": digest, "meta": meta, "partitions": list(map(asdict, source.partitions))}
    return {"form": FORM, "form_version": FORM_VERSION} | about | columns | made


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder; refuse one that is damaged or of another kind."""
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {MANIFEST}, as `encode` writes one")
    with reading(path, "a manifest of encoded items"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["form"] != FORM or manifest["form_version"] != FORM_VERSION:
            raise ValueError(f"expected {FORM!r} of version {FORM_VERSION}")
        sizes = [manifest[name] for name in ("n_levels", "codebook_size", "dim", "beam")]
        sizes += [partition["n_rows"] for partition in manifest["partitions"]]
        if not all(isinstance(size, int) for size in sizes):
            raise ValueError("expected whole numbers of levels, entries, dimensions and rows")
    return manifest


class EncodedItems:
    """Codes of a collection, as `encode` wrote them; nothing but a manifest is read until it is asked for.

    Parameters
    ----------
    folder : path
        ``manifest.json``, ``codebooks.npy``, and for each partition ``codes-00000.parquet``... with columns ``id``,
        ``code_1``, ``code_2``...

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such folder, or partitions are missing in it.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).expanduser()
        self.manifest = read_manifest(self.folder)
        self.n_levels, self.codebook_size, self.dim = (
            self.manifest[name] for name in ("n_levels", "codebook_size", "dim")
        )
        self._n_rows = [partition["n_rows"] for partition in self.manifest["partitions"]]
        self.paths = [self.folder / part_name(place) for place in range(len(self._n_rows))]
        there = {file.name for file in self.folder.iterdir()}
        missing = [path.name for path in self.paths if path.name not in there]
        if missing:
            raise ValueError(
                f"{self.folder}: {len(missing)} of {len(self.paths)} partitions are not encoded, such as {missing[0]}; "
                "run `encode` again, it does what is missing"
            )

    def __len__(self) -> int:
        """Return the number of items."""
        return sum(self._n_rows)

    @cached_property
    def codebooks(self) -> np.ndarray:
        """(n_levels, codebook_size, dim) float32, mapped."""
        return np.load(self.folder / CODEBOOKS, mmap_mode="r", allow_pickle=False)

    def partition(self, place: int) -> SemanticIDs:
        """Return the ids of one partition."""
        return self._ids(self._dataset([self.paths[place]]).to_table())

    def ids(self, items: Iterable[str | int]) -> SemanticIDs:
        """Return the ids of some items, in order of the collection.

        Only partitions whose smallest and greatest id may have the items between them are read.

        Raises
        ------
        KeyError
            If the collection does not have an item.
        """
        import pyarrow as pa
        import pyarrow.dataset as ds

        if isinstance(items, str):
            raise TypeError(f"expected several items, got {items!r}")
        dataset, names = self._dataset(self.paths), list(map(str, items))
        kind = dataset.schema.field("id").type
        fitting = [name for name in names if not pa.types.is_integer(kind) or name.lstrip("-").isdecimal()]
        table = dataset.to_table(filter=ds.field("id").isin(pa.array(fitting, pa.string()).cast(kind)))
        if missing := set(names) - set(map(str, table.column("id").to_pylist())):
            raise KeyError(f"no item {min(missing)!r} among {len(self):,}")
        return self._ids(table)

    def sample(self, n: int, random_state: int = 0) -> SemanticIDs:
        """Return the ids of `n` items drawn at random without replacement, in order of the collection."""
        Field("whole", "n", 1).check("n", n)
        rows = np.random.default_rng(random_state).choice(len(self), min(n, len(self)), replace=False)
        return self._ids(self._dataset(self.paths).take(np.sort(rows)))

    def prefixes(self, level: int, prefix: Iterable[int] = ()) -> "DataFrame":
        """Count the items whose id begins with `prefix` by their first `level` codes, partition by partition.

        Returns a DataFrame, the most populous first, ties in order of the codes. Columns ``prefix`` (a tuple),
        ``count``, ``share`` (of the items under `prefix`).
        """
        import pandas as pd
        import pyarrow.dataset as ds

        prefix = tuple(index(code) for code in prefix)
        if not max(1, len(prefix)) <= level <= self.n_levels:
            raise ValueError(f"level goes from {max(1, len(prefix))} to {self.n_levels}, got {level}")
        columns = [f"code_{i + 1}" for i in range(level)]
        conditions = [ds.field(name) == code for name, code in zip(columns, prefix, strict=False)]
        under = reduce(and_, conditions) if conditions else None
        tables = (self._dataset([path]).to_table(columns=columns, filter=under) for path in self.paths)
        counted = pd.concat([table.to_pandas().value_counts().reset_index() for table in tables])
        counted = counted.groupby(columns, as_index=False)["count"].sum()  # sorted by their codes
        counted = counted.sort_values("count", ascending=False, kind="stable", ignore_index=True)
        codes = pd.Series(list(map(tuple, counted[columns].to_numpy(int).tolist())), dtype=object)
        count = counted["count"]
        return pd.DataFrame({"prefix": codes, "count": count, "share": count / count.sum()})

    def _dataset(self, paths: list[Path]) -> Any:
        import pyarrow.dataset as ds

        return ds.dataset([str(path) for path in paths])

    def _ids(self, table: Any) -> SemanticIDs:
        codes = [table.column(f"code_{level + 1}").to_numpy() for level in range(self.n_levels)]
        items = list(map(str, table.column("id").to_pylist()))
        return SemanticIDs(items, np.column_stack(codes), self.codebooks, meta=self.manifest["meta"])

    def describe(self) -> list[tuple[str, str]]:
        """Return a summary: pairs of label and value."""
        return [
            ("items", f"{len(self):,}"),
            ("levels", f"{self.n_levels} x {self.codebook_size}"),
            ("codebooks", f"{self.dim} dimensions"),
            ("partitions", f"{len(self.paths):,}"),
            ("on disk", f"{sum(path.stat().st_size for path in self.paths) / 1e6:,.1f} MB"),
        ]

    def __repr__(self) -> str:
        return f"EncodedItems({', '.join(f'{label}: {value}' for label, value in self.describe())})"

    def _repr_html_(self) -> str:
        return summary_html("Encoded items", self.describe())
