"""`encode` and `sample_rows`: codes for more rows than fit into memory, and the rows that codebooks are made from."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..checks import DAMAGE
from ..compress.base import Field
from ..compress.rq import beam_codes
from ..semantic import SemanticIDs
from ..vectors import Vectors
from ..workers import outcomes
from .encoded import CODEBOOKS, MANIFEST, EncodedItems, manifest_of, part_name
from .source import Partition, Source, failure, open_source

KEY = b"workbench"  # in a file's metadata: the partition that it was made of


def encode(
    source: str | Path,
    out: str | Path,
    model: SemanticIDs | str | Path,
    *,
    column: str | None = None,
    id_column: str | None = None,
    texts: Any = None,
    client: Any = None,
) -> EncodedItems:
    """Write the codes of all rows of Parquet files to Parquet, partition by partition.

    A partition is a row group, and becomes one file of `out`. Memory is bounded by the codes of a partition and a
    block of its rows. Run again, it does only what is missing or has changed. The files are the same to the byte for
    any number of workers on processors of one kind.

    Parameters
    ----------
    source : path
        A ``.parquet`` file, or a folder of them in order of their names.
    out : path
        A folder; see `EncodedItems`. Each file in it ``.parquet`` opens with `SemanticIDs.load`, too.
    model : SemanticIDs or path
        Ids with codebooks, such as those of `sample_rows`: ``SemanticIDs.from_vectors(sample_rows(source))``. A row
        gets the codes that `SemanticIDs.from_vectors` would give it with these codebooks.
    column : str, optional
        Lists of numbers, or texts; by default the only such column.
    id_column : str, optional
        Texts or numbers; by default a column such as ``id``, else rows go by their numbers.
    texts : TextVectors, Network, or what else has a method ``embed`` or ``transform`` for texts, optional
        It puts texts together into vectors. A text without any known word is coded as a row of zeros.
    client : dask.distributed.Client, optional
        Its workers encode the partitions; they must see `source` and `out` under the same paths. By default, this
        process does.

    Returns
    -------
    EncodedItems

    Raises
    ------
    ValueError, OSError
        Before any work, if `source` has no such column, or `out` holds codes of something else. After all other
        partitions, if some failed: the first is named, with the reason. To do those alone, call again.
    """
    ids = model if isinstance(model, SemanticIDs) else SemanticIDs.load(model)
    if ids.codebooks is None:
        raise ValueError("model has no codebooks; ids with codebooks are in .json and .safetensors files")
    read, out = open_source(source, column, id_column, texts), Path(out).expanduser()
    if out.resolve() == read.root.resolve() or out.resolve() in (read.root / p.file for p in read.partitions):
        raise ValueError(f"{out} is what is read; give another folder to write to")
    files.check_writable(out, is_folder=True)
    encoder = _Encoder(read, out, ids.codebooks, int(ids.meta.get("beam", 1)))
    missing = _begun(encoder, ids)
    failed = {}
    for outcome in outcomes(_encode, missing, [encoder], client, desc="Encoding", unit="partition"):
        if outcome.error is not None:
            failed[outcome.place] = outcome.error
    if failed:
        place, n = min(failed), len(read.partitions)
        first = failure(missing[place][1], failed[place])
        others = f"the other {n - len(failed)} are encoded, call again for the rest"
        raise type(first)(f"{len(failed)} of {n} partitions failed; {others}. The first: {first}") from failed[place]
    return EncodedItems(out)


def sample_rows(
    source: str | Path,
    n: int = 100_000,
    *,
    column: str | None = None,
    id_column: str | None = None,
    texts: Any = None,
    client: Any = None,
    random_state: int = 0,
) -> Vectors:
    """Return rows of Parquet files drawn at random without replacement, in their order, after one pass over the files.

    Parameters
    ----------
    n : int
        Rows; all where there are fewer.
    source, column, id_column, texts, client
        As for `encode`.
    random_state : int

    Raises
    ------
    ValueError, OSError
        As `encode`; for the first partition that failed.
    """
    Field("whole", "n", 1).check("n", n)
    Field("whole", "random_state", 0).check("random_state", random_state)
    read = open_source(source, column, id_column, texts)
    rng = np.random.default_rng(random_state)
    drawn = np.sort(rng.choice(read.n_rows, min(n, read.n_rows), replace=False))  # (n,) row numbers
    starts = [partition.start for partition in read.partitions]
    parts = np.split(drawn, np.searchsorted(drawn, starts[1:]))
    wanted = [
        (partition, rows - partition.start) for partition, rows in zip(read.partitions, parts, strict=True) if len(rows)
    ]
    found: list[Any] = [None] * len(wanted)
    for place, value, error in outcomes(_sampled, wanted, [read], client, desc="Sampling", unit="partition"):
        if error is not None:
            raise failure(wanted[place][0], error) from error
        found[place] = value
    for (partition, _), (_, rows) in zip(wanted, found, strict=True):
        if rows.shape[1] != found[0][1].shape[1]:
            expected = f"expected {found[0][1].shape[1]}, as in {wanted[0][0]}"
            raise ValueError(f"{partition}: its vectors have {rows.shape[1]} dimensions, {expected}")
    ids = [str(item) for some, _ in found for item in some]
    return Vectors.from_arrays(ids, np.concatenate([rows for _, rows in found]))


@dataclass(frozen=True)
class _Encoder:
    """All that a partition needs."""

    source: Source
    out: Path
    codebooks: np.ndarray  # (n_levels, codebook_size, dim)
    beam: int


def _begun(encoder: _Encoder, ids: SemanticIDs) -> list[tuple[int, Partition]]:
    """Write the manifest, remove what is no whole file of a partition, and return the partitions without one."""
    source, path = encoder.source, encoder.out / MANIFEST
    manifest = manifest_of(source, encoder.codebooks, encoder.beam, _digest(encoder), ids.meta)
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8"))
        differs = [name for name, value in manifest.items() if there.get(name) != value and name != "partitions"]
        if differs:
            made = f"{encoder.out} holds codes that were made in another way ({', '.join(differs)})"
            raise ValueError(f"{made}; give another folder")
    elif encoder.out.exists() and any(encoder.out.iterdir()):
        raise ValueError(f"{encoder.out} holds other files; give a new folder")
    wanted = {part_name(place): partition for place, partition in enumerate(source.partitions)}

    def is_whole(file: Path) -> bool:
        partition = wanted.get(file.name)
        if partition is None or partition != _made_of(file):
            return False
        return file.stat().st_mtime_ns >= (source.root / partition.file).stat().st_mtime_ns

    whole = {file.name for file in encoder.out.glob("codes-*") if is_whole(file)}
    for file in [*encoder.out.glob("codes-*"), *encoder.out.glob(".*.part")]:  # the latter of a process that was killed
        if file.name not in whole:
            file.unlink(missing_ok=True)
    with files.replacing(encoder.out / CODEBOOKS) as opened:
        np.save(opened, encoder.codebooks)
    with files.replacing(path) as opened:
        opened.write(json.dumps(manifest, indent=1).encode())
    return [(place, part) for place, part in enumerate(source.partitions) if part_name(place) not in whole]


def _made_of(file: Path) -> Partition | None:
    """Return the partition whose codes a file holds; None if it is damaged."""
    import pyarrow.parquet as pq

    try:
        return Partition(**json.loads((pq.read_metadata(file).metadata or {})[KEY]))
    except (OSError, *DAMAGE):
        return None


def _digest(encoder: _Encoder) -> str:
    """A digest of what decides codes: codebooks, and what puts texts together."""
    import joblib

    of_texts = joblib.hash(encoder.source.texts) or ""
    return sha256(encoder.codebooks.tobytes() + of_texts.encode()).hexdigest()[:16]


def _encode(item: tuple[int, Partition], encoder: _Encoder) -> None:
    """Write the codes of a partition."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ..kernels import one_blas_thread

    place, partition = item
    ids, codes = [], []
    n_levels, _, dim = encoder.codebooks.shape
    with one_blas_thread():
        for some, rows in encoder.source.blocks(partition, dim=dim):
            ids.append(some)
            codes.append(beam_codes(rows, encoder.codebooks, encoder.beam))  # (<= BLOCK, n_levels)
    columns = {f"code_{level + 1}": np.concatenate([block[:, level] for block in codes]) for level in range(n_levels)}
    table = pa.table({"id": pa.chunked_array(ids), **columns}, metadata={KEY: json.dumps(asdict(partition))})
    try:
        with files.replacing(encoder.out / part_name(place)) as file:
            pq.write_table(table, file, compression="zstd", use_dictionary=[*columns])
    except OSError as error:
        raise OSError(f"{part_name(place)} could not be written: {error.strerror or error}") from error


def _sampled(item: tuple[Partition, np.ndarray], source: Source) -> tuple[list, np.ndarray]:
    """Return ids and vectors of rows of a partition."""
    from ..kernels import one_blas_thread

    with one_blas_thread():
        blocks = [*source.blocks(*item)]
    return [item for ids, _ in blocks for item in ids.to_pylist()], np.concatenate([rows for _, rows in blocks])
