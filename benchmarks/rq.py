"""Residual k-means beside faiss's residual quantiser: fitting, encoding, error.

    python benchmarks/rq.py [--repeats N] [--rows N]

Both sides are greedy (faiss with ``max_beam_size = 1``) and get the same rows, all of them; how many of
these k-means looks at, and for how long, is each side's own default. They take turns in one process.
The output is Markdown; ratios are what to read, see `common`.
"""

from functools import partial
from typing import Any

from common import REPEATS, SIDES, by_side, compared, print_table, run_job, run_script, squared_error, take_turns

N_ROWS, DIM, N_LEVELS, N_ENTRIES = 100_000, 128, 8, 256
DATA = {
    "mixture": "5,000 clusters of very unequal sizes in 300 regions, columns correlated, as embeddings are",
    "normal": "independent normal numbers, with nothing to find",
}


def tables(repeats: int, rows: int) -> None:
    for data, what in DATA.items():
        for threads in (1, 2):
            runs = run_job("fit", threads, data=data, n_rows=rows, n_threads=threads, repeats=repeats)
            print_table(
                f"G. Residual quantisation of {rows:,} x {DIM}, {N_LEVELS} x {N_ENTRIES}, {data}, "
                f"{threads} thread{'s' * (threads > 1)}",
                ("", "workbench", "faiss", "faiss / workbench"),
                [
                    compared("fit, s", by_side(runs, "fit")),
                    compared("encode, s", by_side(runs, "encode")),
                    compared("squared error / variance", by_side(runs, "error"), "{:.4f}"),
                ],
                [f"Rows: {what}."],
            )


def rows_of(data: str, n: int) -> Any:
    """Return rows to code: (n, DIM) float32."""
    import numpy as np

    rng = np.random.default_rng(0)
    if data == "normal":
        return rng.standard_normal((n, DIM), dtype=np.float32)
    regions = rng.standard_normal((300, DIM))
    centres = regions[rng.integers(300, size=5_000)] + 0.6 * rng.standard_normal((5_000, DIM))
    shares = rng.pareto(1.2, 5_000) + 0.1
    rows = centres[rng.choice(5_000, size=n, p=shares / shares.sum())] + 0.5 * rng.standard_normal((n, DIM))
    mixing = rng.standard_normal((DIM, DIM)) / np.sqrt(np.arange(1, DIM + 1))
    return (rows @ mixing.T).astype(np.float32)


def fit(data: str, n_rows: int, n_threads: int, repeats: int) -> list[dict]:
    """Job: both sides in turns; each repeat has another seed where there is one."""
    import faiss
    import numpy as np

    from workbench.compress.rq import beam_codes, residual_kmeans

    faiss.omp_set_num_threads(n_threads)
    rows = rows_of(data, n_rows)
    variance = squared_error(rows, rows.mean(0))
    residual_kmeans(rows[:1_000], 1, 8)  # compiles

    def theirs() -> Any:
        quantiser = faiss.ResidualQuantizer(DIM, N_LEVELS, N_ENTRIES.bit_length() - 1)
        quantiser.max_beam_size = 1
        quantiser.train(rows)
        return quantiser

    runs = []
    for turn in range(repeats):
        ours = partial(residual_kmeans, rows, N_LEVELS, N_ENTRIES, random_state=turn)
        fitted, found = take_turns({"workbench": ours, "peer": theirs}, turn)
        books, quantiser = found["workbench"], found["peer"]
        calls = {"workbench": partial(beam_codes, rows, books), "peer": partial(quantiser.compute_codes, rows)}
        encoded, codes = take_turns(calls, turn)
        summed = np.zeros_like(rows)
        for entries, level in zip(books, codes["workbench"].T, strict=True):
            summed += entries[level]
        decoded = {"workbench": summed, "peer": quantiser.decode(codes["peer"])}
        error = {side: squared_error(rows, decoded[side]) / variance for side in SIDES}
        runs.append({s: {"fit": fitted[s], "encode": encoded[s], "error": error[s]} for s in SIDES})
    return runs


if __name__ == "__main__":
    run_script(tables, [fit], {"--repeats": REPEATS, "--rows": {"type": int, "default": N_ROWS}})
