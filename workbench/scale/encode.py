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
from ..workers import check_client, outcomes
from .encoded import CODEBOOKS, DECISIVE, MANIFEST, EncodedItems, manifest_of, part_name, read_manifest
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
    any number of workers on processors of one kind. One run at a time writes to a folder.

    Parameters
    ----------
    source : path
        A ``.parquet`` file, or a folder of them in order of their names.
    out : path
        A folder; see `EncodedItems`. Each ``.parquet`` file in it opens with `SemanticIDs.load`, too.
    model : SemanticIDs or path
        Ids with codebooks of the same vectors, such as ``SemanticIDs.from_vectors(sample_rows(source))``; or a folder
        that `encode` wrote, whose codebooks are used again. A row gets the codes of `SemanticIDs.encode`.
    column : str, optional
        Lists of numbers, or texts; by default the only such column.
    id_column : str, optional
        Texts or whole numbers, without repeats; by default a column such as ``id``, else the row number is the id.
    texts : TextVectors, Network, or what else has a method ``embed`` or ``transform`` for texts, optional
        The model that turns texts into vectors. A text without any known word is coded as a row of zeros.
    client : dask.distributed.Client, optional
        Its workers encode the partitions; they must see `source` and `out` under the same paths. By default, this
        process does.

    Returns
    -------
    EncodedItems

    Raises
    ------
    ValueError, OSError, RuntimeError
        Before any work, if `source` has no such column, or `out` holds something else. After all other partitions, if
        some failed: the first is named, with the reason. To do those alone, call again.
    """
    check_client(client)
    coder, out = _coder(model), Path(out).expanduser().absolute()
    opened = open_source(source, column, id_column, texts)
    encoder = _Encoder(opened, out, *coder)
    check_out(source, out)
    missing = _prepare(encoder)
    failed = {}
    for outcome in outcomes(_encode, missing, [encoder], client, desc="Encoding", unit="partition"):
        if outcome.error is not None:
            failed[outcome.place] = outcome.error
    if failed:
        place, n = min(failed), len(opened.partitions)
        first = failure(missing[place][1], failed[place])
        others = f"the other {n - len(failed)} are encoded, call again for the rest"
        raise type(first)(f"{len(failed)} of {n} partitions failed; {others}. The first: {first}") from failed[place]
    return EncodedItems(out)


def check_out(source: str | Path, out: str | Path) -> None:
    """Refuse a folder that holds something else than codes, or lies in the source."""
    source, out = Path(source).expanduser().resolve(), Path(out).expanduser()
    if out.resolve().is_relative_to(source):
        raise ValueError(f"{out} is the source, or in it; give another folder to write to")
    files.check_writable(out, is_folder=True)
    others = [file.name for file in out.iterdir() if not file.name.endswith(".part")] if out.exists() else []
    if others and MANIFEST not in others:
        raise ValueError(f"{out} holds other files, such as {others[0]}; give a new folder")


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
    opened = open_source(source, column, id_column, texts)
    rng = np.random.default_rng(random_state)
    drawn = np.sort(rng.choice(opened.n_rows, min(n, opened.n_rows), replace=False))  # (n,) row numbers
    starts = [partition.start for partition in opened.partitions]
    parts = np.split(drawn, np.searchsorted(drawn, starts[1:]))
    wanted = [
        (partition, rows - partition.start)
        for partition, rows in zip(opened.partitions, parts, strict=True)
        if len(rows)
    ]
    found: list[Any] = [None] * len(wanted)
    for place, value, error in outcomes(_sampled, wanted, [opened], client, desc="Sampling", unit="partition"):
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
    meta: dict  # of the codes


def _coder(model: SemanticIDs | str | Path) -> tuple[np.ndarray, int, dict]:
    """Return codebooks, the beam that goes with them, and what is known of them."""
    if not isinstance(model, SemanticIDs) and (folder := Path(model).expanduser()).is_dir():
        manifest = read_manifest(folder)
        return np.load(folder / CODEBOOKS, allow_pickle=False), manifest["beam"], manifest["meta"]
    ids = model if isinstance(model, SemanticIDs) else SemanticIDs.load(model)
    if ids.codebooks is None:
        raise ValueError("model has no codebooks; ids with codebooks are in .json and .safetensors files")
    if "arm" in ids.meta:
        raise ValueError(
            "model has the codebooks of a trained arm; they code what its encoder makes of vectors, not the vectors"
        )
    return ids.codebooks, ids.beam, ids.meta


def _prepare(encoder: _Encoder) -> list[tuple[int, Partition]]:
    """Write the manifest, remove damaged and outdated files, and return the partitions without a file."""
    import joblib

    source, out = encoder.source, encoder.out
    of_texts = joblib.hash(source.texts) or ""
    digest = sha256(encoder.codebooks.tobytes() + of_texts.encode()).hexdigest()[:16]
    manifest = manifest_of(source, encoder.codebooks, encoder.beam, digest, encoder.meta)
    wanted = {part_name(place): partition for place, partition in enumerate(source.partitions)}
    present = {file.name: _partition_of(file) for file in sorted(out.glob("codes-*"))}
    if present and (out / MANIFEST).exists():
        old = read_manifest(out)
        differs = [name for name in DECISIVE if old.get(name) != manifest[name]]
        if differs:
            made = f"{out} holds codes that were made in another way ({', '.join(differs)})"
            raise ValueError(f"{made}; give another folder")
        there = {(partition.file, partition.row_group) for partition in source.partitions}
        gone = [of for of in present.values() if of is not None and (of.file, of.row_group) not in there]
        if gone:
            raise ValueError(
                f"{out} holds codes of {gone[0]}, which is not in the source; put it back, or give another folder"
            )

    def is_whole(name: str) -> bool:
        if name not in wanted or wanted[name] != present[name]:
            return False
        return (out / name).stat().st_mtime_ns >= (source.root / wanted[name].file).stat().st_mtime_ns

    whole = {name for name in present if is_whole(name)}
    with files.replacing(out / MANIFEST) as opened:
        opened.write(json.dumps(manifest, indent=1).encode())
    with files.replacing(out / CODEBOOKS) as opened:
        np.save(opened, encoder.codebooks)
    for file in [*(out / name for name in present.keys() - whole), *out.glob(".*.part")]:  # the latter of killed runs
        file.unlink(missing_ok=True)
    return [(place, part) for place, part in enumerate(source.partitions) if part_name(place) not in whole]


def _partition_of(file: Path) -> Partition | None:
    """Return the partition whose codes a file holds; None if it is damaged."""
    import pyarrow.parquet as pq

    try:
        return Partition(**json.loads((pq.read_metadata(file).metadata or {})[KEY]))
    except (OSError, *DAMAGE):
        return None


def _encode(item: tuple[int, Partition], encoder: _Encoder) -> None:
    """Write the codes of a partition."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from ..kernels import one_blas_thread

    place, partition = item
    ids, codes = [], []
    n_levels, _, dim = encoder.codebooks.shape
    with one_blas_thread():
        for some, rows in encoder.source.blocks(partition, dim=dim):
            ids.append(some)
            codes.append(beam_codes(rows, encoder.codebooks, encoder.beam))  # (<= BLOCK, n_levels)
    items = pa.chunked_array(ids)
    counts = items.value_counts()
    if len(counts) < len(items):
        repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))[0]
        raise ValueError(f"the id {repeated.as_py()!r} is there more than once; give each row its own")
    columns = {f"code_{level + 1}": np.concatenate([block[:, level] for block in codes]) for level in range(n_levels)}
    table = pa.table({"id": items, **columns}, metadata={KEY: json.dumps(asdict(partition))})
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
