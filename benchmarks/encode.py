"""Encode made-up vectors in Parquet: rows a second by number of workers, memory by size of a partition.

    python benchmarks/encode.py [--rows 1000000 10000000]

Prints two tables. What 100 times as many rows would take follows from the rows a second.
"""

import argparse
import os
import re
import tempfile
import threading
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, LocalCluster

import workbench as wb
from workbench.semantic import SemanticIDs

DIM, SIZE = 64, (3, 256)  # levels, entries
A_FILE = 1_000_000  # rows
A_GROUP = 250_000
GROUPS = (62_500, 250_000, 1_000_000)


def make(folder: Path, n_rows: int, a_group: int) -> Path:
    """Write rows whose spectrum falls as that of sentence vectors does."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    scales = (np.arange(1, DIM + 1) ** -0.5).astype(np.float32)
    turn = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0].astype(np.float32)
    for start in range(0, n_rows, A_FILE):
        rows = (rng.standard_normal((min(A_FILE, n_rows - start), DIM), np.float32) * scales) @ turn
        ids = pa.array(np.arange(start, start + len(rows)))
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), DIM)
        table = pa.table({"id": ids, "vector": vectors})
        pq.write_table(table, folder / f"{start:012}.parquet", row_group_size=a_group, compression="none")
    return folder


def digest(folder: Path) -> str:
    whole = sha256()
    for file in sorted(folder.iterdir()):
        whole.update(file.read_bytes())
    return whole.hexdigest()[:12]


class Watch(threading.Thread):
    """The most anonymous memory of processes since the watch began, in bytes; mapped files are not counted."""

    def __init__(self, pids: list[int]):
        super().__init__(daemon=True)
        self.pids, self.peak, self.goes_on = pids, 0, True
        self.start()

    def run(self) -> None:
        while self.goes_on:
            for pid in self.pids:
                found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
                self.peak = max(self.peak, int(found[1]) * 1024)
            time.sleep(0.005)


def on_workers(n_workers: int, source: Path, out: Path, ids: SemanticIDs) -> dict:
    """Encode on workers that have encoded something before."""
    few = make(out.with_suffix(".few"), 2_000, 1_000)
    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        wb.encode(few, out.with_suffix(".warm"), ids, client=client)
        idle = Watch([*client.run(os.getpid).values()])
        time.sleep(0.1)
        idle.goes_on = False
        watch, start = Watch(idle.pids), time.perf_counter()
        encoded = wb.encode(source, out, ids, client=client)
        seconds, watch.goes_on = time.perf_counter() - start, False
        rate = len(encoded) / seconds
        memory = {"MB of a worker": watch.peak / 1e6, "beyond an idle one": (watch.peak - idle.peak) / 1e6}
        return {"seconds": seconds, "rows/s": rate, "rows/s a worker": rate / n_workers, **memory, "bytes": digest(out)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = []
        for n_rows in args.rows:
            source = make(folder / f"{n_rows}", n_rows, A_GROUP)
            start = time.perf_counter()
            sample = wb.sample_rows(source, 100_000)
            print(f"{n_rows:,} rows: 100,000 sampled in {time.perf_counter() - start:.1f} s", end=", ")
            start = time.perf_counter()
            ids = SemanticIDs.from_vectors(sample, *SIZE)
            print(f"codebooks in {time.perf_counter() - start:.1f} s", flush=True)
            for n_workers in (1, 2):
                row = on_workers(n_workers, source, folder / f"{n_rows} by {n_workers}", ids)
                found.append({"rows": n_rows, "workers": n_workers, **row})
            opened = folder / f"{n_rows} by 2"
            start = time.perf_counter()
            encoded = wb.EncodedItems(opened)
            print(f"opened in {(time.perf_counter() - start) * 1e3:.1f} ms: {encoded}", flush=True)
        print(pd.DataFrame(found).to_string(index=False, float_format="{:,.1f}".format))
        found = []
        for a_group in GROUPS:
            source = make(folder / f"groups of {a_group}", args.rows[0], a_group)
            row = on_workers(1, source, folder / f"out of {a_group}", ids)
            found.append({"rows of a partition": a_group, "MB of vectors": a_group * DIM * 4 / 1e6, **row})
        print(pd.DataFrame(found).to_string(index=False, float_format="{:,.1f}".format))


if __name__ == "__main__":
    main()
