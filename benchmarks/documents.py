"""Document vectors at 1, 2, 4 and 8 bits a dimension: recall@10 and encode times, beside faiss and rabitqlib.

    python benchmarks/documents.py BASE.npy [BASE.npy ...] --queries QUERIES.npy

Each file is a matrix of text vectors of one model. They are cut to length 1, and rows that repeat are left out.
*Recall@10* is the share of the 10 nearest by exact cosine that are among the 10 found; *rescored*, among the 10 best
of the 100 found, by the original vectors. The workbench's vectors are decoded and compared by cosine; peers search by
inner product in their own way. *Bytes* are those of a row; *shared* what all rows need, such as codebooks.
Everything runs in one process with one thread. Peers are optional.
"""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import Options, print_table, print_versions, run_job, run_script

K, N_RESCORED, N_QUERIES = 10, 100, 1_000
BITS = (1, 2, 4, 8)


def tables(base: list[Path], queries: Path | None) -> None:
    if queries is None:
        print("\nLeft out: give matrices of text vectors, and --queries, a matrix of others by the same model.")
        return
    peers = {"faiss-cpu": "faiss", "rabitqlib": "rabitqlib"}
    there = [package for package, module in peers.items() if importlib.util.find_spec(module)]
    print_versions("numpy", *there)
    found = run_job("measured", 1, base=[*map(str, base)], queries=str(queries), peers=[peers[name] for name in there])
    rows = [
        [
            *(of["name"], str(of["bits"]), f"{of['row']:.0f}", f"{of['shared'] / 1e3:.0f} kB"),
            *(f"{of['recall']:.3f}", f"{of['rescored']:.4f}", f"{of['fit']:.1f}", f"{of['encode']:.1f}"),
        ]
        for of in sorted(found["rows"], key=lambda of: of["bits"])
    ]
    header = ("", "bits", "bytes", "shared", "recall@10", "rescored", "fit, s", "encode, s")
    print_table(f"V. {found['n']:,} x {found['dim']} text vectors, {found['n_queries']:,} queries", header, rows)


# -- jobs ---------------------------------------------------------------------------------


def measured(base: list[str], queries: str, peers: list[str]) -> dict:
    """Job: recall, bytes and seconds of every method."""
    import numpy as np

    from workbench.nearest import blocks_of, nearest_rows
    from workbench.vectors import unit

    rows = np.concatenate([np.load(path, allow_pickle=False) for path in base])
    _, first = np.unique(rows, axis=0, return_index=True)
    rows = unit(rows[np.sort(first)])  # (n, dim)
    asked = np.load(queries, allow_pickle=False)
    asked = unit(asked[np.random.default_rng(0).permutation(len(asked))[:N_QUERIES]])  # (q, dim)
    true, _ = nearest_rows(asked, blocks_of(rows), K)

    def recall(places: np.ndarray) -> float:
        return float((true[:, :, None] == places[:, None, :]).any(axis=2).mean())

    out = []
    for found in (*ours(rows, asked), *(found for peer in peers for found in PEERS[peer](rows, asked))):
        places = found.pop("places")  # (q, N_RESCORED), the nearest first
        scores = np.einsum("qd,qkd->qk", asked, rows[places])
        best = np.take_along_axis(places, np.argsort(-scores, axis=1)[:, :K], axis=1)
        out.append(found | {"recall": recall(places[:, :K]), "rescored": recall(best)})
    return {"n": len(rows), "dim": rows.shape[1], "n_queries": len(asked), "rows": out}


def ours(rows: Any, asked: Any) -> Iterator[dict]:
    import numpy as np

    import workbench as wb
    from workbench.nearest import blocks_of, nearest_rows
    from workbench.vectors import unit

    n, dim = rows.shape
    v = wb.Vectors.from_arrays([str(row) for row in range(n)], rows)
    for bits, step in (
        *((bits, wb.PQ(dim * bits // 8)) for bits in (1, 2, 4)),
        *((bits, wb.PQ(dim * bits // 4, n_bits=4)) for bits in (1, 2)),
        *((bits, wb.OPQ(dim * bits // 8)) for bits in (1, 2, 4)),
        (1, wb.OPQ(dim // 4, n_bits=4)),
        *((bits, wb.SQ("kmeans", n_bits=bits)) for bits in (2, 4, 8)),
        (8, wb.SQ("int8")),
    ):
        step.fit_transform(v.head(2_048))  # compiles what it needs
        fit, _ = timed(lambda step=step: step.fit(v))
        encode, small = timed(lambda step=step: step.transform(v))
        shared = small.storage.take(np.arange(0)).nbytes
        places, _ = nearest_rows(asked, (unit(block) for block in blocks_of(small.matrix())), N_RESCORED)
        size = {"row": (small.nbytes - shared) / n, "shared": shared}
        yield {"name": step.brief(), "bits": bits, "fit": fit, "encode": encode, "places": places, **size}


def faiss_peer(rows: Any, asked: Any) -> Iterator[dict]:
    import faiss

    faiss.omp_set_num_threads(1)
    dim, product = rows.shape[1], faiss.METRIC_INNER_PRODUCT
    turned = {bits: faiss.IndexRaBitQ(dim, product, bits) for bits in BITS}
    indexes = [
        *(
            (
                f"faiss IndexRaBitQ({bits}), rotated",
                bits,
                faiss.IndexPreTransform(faiss.RandomRotationMatrix(dim, dim), of),
            )
            for bits, of in turned.items()
        ),
        *(
            (f"faiss IndexPQ({dim * bits // 8}, 8)", bits, faiss.IndexPQ(dim, dim * bits // 8, 8, product))
            for bits in (1, 2)
        ),
        (
            "faiss IndexScalarQuantizer(8 bits)",
            8,
            faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, product),
        ),
    ]
    for name, bits, index in indexes:
        empty = len(faiss.serialize_index(index))
        fit, _ = timed(lambda index=index: index.train(rows))
        encode, _ = timed(lambda index=index: index.add(rows))
        _, places = index.search(asked, N_RESCORED)
        row = index.sa_code_size()
        shared = max(len(faiss.serialize_index(index)) - row * len(rows), empty)
        yield {
            "name": name, "bits": bits, "row": row, "shared": shared, "fit": fit, "encode": encode, "places": places,
        }  # fmt: skip


def rabitqlib_peer(rows: Any, asked: Any) -> Iterator[dict]:
    """One cluster, around the mean: its index as a quantiser."""
    import numpy as np
    import rabitqlib

    n, dim = rows.shape
    for bits in BITS:
        for is_fast in (False, True):
            index = rabitqlib.IvfIndex(dim, n, 1, bits, "ip")
            arguments = rows, rows.mean(axis=0, keepdims=True), np.zeros(n, np.uint32)
            encode, _ = timed(
                lambda index=index, arguments=arguments, is_fast=is_fast: index.build(
                    *arguments, fast_quantization=is_fast
                )
            )
            found = index.search(asked, N_RESCORED, 1, high_accuracy=True)
            places = next(np.asarray(array) for array in found if np.asarray(array).dtype.kind in "iu")
            with tempfile.NamedTemporaryFile() as file:
                index.save(file.name)
                row = Path(file.name).stat().st_size // n
            name = f"rabitqlib IvfIndex({bits}){', fast' * is_fast}"
            yield {
                "name": name, "bits": bits, "row": row, "shared": 0, "fit": 0, "encode": encode,
                "places": places.astype(np.int64),
            }  # fmt: skip


PEERS: dict[str, Callable[[Any, Any], Iterator[dict]]] = {"faiss": faiss_peer, "rabitqlib": rabitqlib_peer}


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call took, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


OPTIONS: Options = {
    "base": {"type": Path, "nargs": "*"},
    "--queries": {"type": Path},
}

if __name__ == "__main__":
    run_script(tables, (measured,), OPTIONS)
