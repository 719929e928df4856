"""Product quantisation beside faiss and compress-fasttext: training, encoding and error.

    python benchmarks/pq.py [--repeats N]

The output is Markdown; `common` says how it is measured.
"""

from functools import partial
from typing import Any

from common import (
    CENTROIDS,
    DIM,
    N_ROWS,
    N_TRAIN,
    REPEATS,
    SIDES,
    THREADS,
    Times,
    by_side,
    compared,
    middle,
    pq_input,
    print_table,
    print_versions,
    ratios,
    run_job,
    run_script,
    squared_error,
    take_turns,
)

N_SUBVECTORS, SLOW_SUBVECTORS, SLOW_ITERATIONS = 100, 20, 5
SLOW_DIM = DIM // N_SUBVECTORS * SLOW_SUBVECTORS
WIDTHS = (2, 3, 4, 5, 6)  # columns of a subvector


def tables(repeats: int) -> None:
    print_versions("faiss-cpu", "compress-fasttext", "numba", "numpy")
    job = run_job("pq_faiss", repeats=repeats)
    runs = job["runs"]
    encode, fast = by_side(runs, "encode"), by_side(runs, "encode, best layout")
    print_table(
        f"A1. Product quantisation of {N_ROWS:,} x {DIM}, {N_SUBVECTORS} subvectors, 256 centroids, {THREADS} threads",
        ("", "workbench", "faiss", "faiss / workbench"),
        [
            compared(f"train on {N_TRAIN:,} rows, 25 iterations, s", by_side(runs, "train")),
            compared("encode, s: `kernels.encode`, `compute_codes`", encode, "{:.3f}"),
            compared("encode, s: `PQ.transform`, `compute_codes`", by_side(runs, "encode, step"), "{:.3f}"),
            compared("encode, s: `kernels.encode`, `compute_codes` transposed", fast, "{:.3f}"),
            compared("whole step, s: train, and `PQ.transform` or `compute_codes`", by_side(runs, "whole")),
            compared("mean squared error", by_side(runs, "mse"), "{:.6f}", better=None),
        ],
        [
            f"Normal numbers of variance 1, seed 0; the same {N_TRAIN:,} training rows; {repeats} repeats, each "
            f"with another seed of k-means. The workbench's error is {excess(by_side(runs, 'mse'))} of faiss's. "
            "`PQ.transform` checks for NaN and builds the storage, too. `transposed` is after "
            "`sync_transposed_centroids`, a layout that faiss offers and does not use by itself. faiss encodes 2, 4 "
            f"and 8 columns a subvector with loops made for them, but not 3: see A2. Its build: {job['compiled']}."
        ],
    )
    print_table(
        f"A2. Encoding {N_ROWS // 5:,} x {DIM} with the same codebooks on both sides, {THREADS} threads, ms",
        ("columns a subvector", "workbench", "faiss", "ratio", "faiss, transposed", "ratio", "codes that agree"),
        [width_row(width) for width in run_job("pq_widths", repeats=repeats + 2)["widths"]],
        [f"Ratios are faiss over workbench. {repeats + 2} repeats; codebooks of one iteration."],
    )
    runs = run_job("pq_compress_fasttext", threads=1, repeats=repeats)["runs"]
    print_table(
        f"A3. The first {SLOW_DIM} columns only ({SLOW_SUBVECTORS} of the {N_SUBVECTORS} subvectors), "
        f"{SLOW_ITERATIONS} iterations, 1 thread",
        ("", "workbench, 256 centroids", "compress-fasttext, 255 centroids", "compress-fasttext / workbench"),
        [
            compared(f"train on {N_TRAIN:,} rows, s", by_side(runs, "train")),
            compared(f"encode {N_ROWS:,} rows, s", by_side(runs, "encode"), "{:.3f}"),
            compared("mean squared error", by_side(runs, "mse"), "{:.6f}", better=None),
        ],
        [
            "compress-fasttext's `PQEncoder` runs in one thread, so the workbench is held to one here. "
            f"The workbench's error is {excess(by_side(runs, 'mse'))} of its."
        ],
    )


def excess(mse: Times) -> str:
    """Return our error as a percentage of theirs."""
    return ratios([100 * error for error in mse["workbench"]], mse["peer"]) + "%"


def width_row(width: dict) -> list[str]:
    """Return a row of A2."""
    ours, plain, fast = (width[name] for name in ("workbench", "faiss", "fast"))
    ms = [middle([1e3 * s for s in seconds], "{:.0f}") for seconds in (ours, plain, fast)]
    to_plain, to_fast = (ratios(theirs, ours, "{:.1f}") for theirs in (plain, fast))
    return [str(width["columns"]), ms[0], ms[1], to_plain, ms[2], to_fast, f"{100 * width['same']:.3f}%"]


def as_vectors(rows: Any) -> Any:
    """Return rows as `Vectors`, each with a made-up word."""
    import workbench as wb

    return wb.Vectors.from_arrays([f"w{i}" for i in range(len(rows))], rows)


def faiss_quantizer(columns: int, centroids: Any, transposed: bool = False) -> Any:
    """Return faiss's quantiser of 8-bit codes, each for `columns` columns, with these centroids."""
    import faiss

    pq = faiss.ProductQuantizer(DIM, DIM // columns, 8)
    faiss.copy_array_to_vector(centroids.ravel(), pq.centroids)
    if transposed:
        pq.sync_transposed_centroids()
    return pq


def faiss_trained(rows: Any, n_iter: int = 25, seed: int = 0) -> Any:
    """Return faiss's quantiser of `N_SUBVECTORS` codes, trained on these rows."""
    import faiss

    pq = faiss.ProductQuantizer(DIM, N_SUBVECTORS, 8)
    pq.cp.niter, pq.cp.seed = n_iter, 1234 + seed
    pq.train(rows)
    return pq


def set_threads() -> None:
    import faiss
    import numba

    numba.set_num_threads(THREADS)
    faiss.omp_set_num_threads(THREADS)


def pq_faiss(repeats: int) -> dict:
    """Job: `PQ` against `faiss.ProductQuantizer`, each on its defaults: 25 iterations of k-means."""
    import faiss

    import workbench as wb
    from workbench import kernels

    set_threads()
    rows, sample = pq_input()
    everything, learning = as_vectors(rows), as_vectors(sample)
    wb.PQ(N_SUBVECTORS, n_iter=1).fit_transform(everything.head(10_000))  # warm up both
    faiss_trained(rows[:10_000], n_iter=1).compute_codes(rows[:10_000])
    runs = []
    for seed in range(repeats):
        calls = {
            "workbench": partial(wb.PQ(N_SUBVECTORS, n_iter=25, random_state=seed).fit, learning),
            "peer": partial(faiss_trained, sample, seed=seed),
        }
        train, fitted = take_turns(calls, seed)
        step, pq = (fitted[side] for side in SIDES)
        fast = faiss_quantizer(DIM // N_SUBVECTORS, faiss.vector_to_array(pq.centroids), transposed=True)
        calls = {
            "kernel": partial(kernels.encode, rows, *step.learned_["words"]),
            "faiss": partial(pq.compute_codes, rows),
            "step": partial(step.transform, everything),
            "fast": partial(fast.compute_codes, rows),
        }
        encode, encoded = take_turns(calls, seed)
        decoded = {"workbench": encoded["step"].matrix(), "peer": pq.decode(encoded["faiss"])}
        chosen = {"workbench": ("kernel", "step", "kernel"), "peer": ("faiss", "faiss", "fast")}
        run = {}
        for side, (plain, whole, best) in chosen.items():
            run[side] = {"train": train[side], "encode": encode[plain], "encode, step": encode[whole]}
            run[side] |= {"encode, best layout": encode[best], "whole": train[side] + encode[whole]}
            run[side] |= {"mse": squared_error(decoded[side], rows)}
        runs.append(run)
    return {"runs": runs, "compiled": faiss.get_compile_options().strip()}


def pq_widths(repeats: int) -> dict:
    """Job: encoding alone, for subvectors of other widths, with codebooks of one iteration that both use."""
    import workbench as wb
    from workbench import kernels

    set_threads()
    rows = pq_input()[0][: N_ROWS // 5]
    learning = as_vectors(rows[:10_000])
    widths = []
    for columns in WIDTHS:
        codebooks, spans = wb.PQ(DIM // columns, n_iter=1).fit(learning).learned_["words"]
        centroids = codebooks.reshape(256, -1, columns).transpose(1, 0, 2)  # (n_subvectors, 256, columns)
        calls = {
            "workbench": partial(kernels.encode, rows, codebooks, spans),
            "faiss": partial(faiss_quantizer(columns, centroids).compute_codes, rows),
            "fast": partial(faiss_quantizer(columns, centroids, transposed=True).compute_codes, rows),
        }
        codes = take_turns(calls, 0)[1]  # warms up
        turns = [take_turns(calls, turn)[0] for turn in range(repeats)]
        seconds = {name: [turn[name] for turn in turns] for name in calls}
        same = float((codes["workbench"] == codes["faiss"]).mean())
        widths.append({"columns": columns, "same": same, **seconds})
    return {"widths": widths}


def pq_compress_fasttext(repeats: int) -> dict:
    """Job: `PQ` against compress-fasttext's `PQEncoder`, on a part of the columns, since it is slow."""
    import numpy as np

    import workbench as wb

    rows, sample = (np.ascontiguousarray(part[:, :SLOW_DIM]) for part in pq_input())
    everything, learning = as_vectors(rows), as_vectors(sample)
    wb.PQ(SLOW_SUBVECTORS, n_iter=1).fit_transform(everything.head(10_000))  # warm up
    runs = []
    for seed in range(repeats):
        ours = wb.PQ(SLOW_SUBVECTORS, n_iter=SLOW_ITERATIONS, random_state=seed)
        calls = {"workbench": partial(ours.fit, learning), "peer": partial(peer_encoder, sample, seed)}
        train, fitted = take_turns(calls, seed)
        step, encoder = (fitted[side] for side in SIDES)
        calls = {"workbench": partial(step.transform, everything), "peer": partial(encoder.transform, rows)}
        encode, encoded = take_turns(calls, seed)
        decoded = {"workbench": encoded["workbench"].matrix(), "peer": encoder.inverse_transform(encoded["peer"])}
        mse = {side: squared_error(decoded[side], rows) for side in SIDES}
        runs.append({side: {"train": train[side], "encode": encode[side], "mse": mse[side]} for side in SIDES})
    return {"runs": runs}


def peer_encoder(rows: Any, seed: int) -> Any:
    """Return compress-fasttext's quantiser, trained on these rows."""
    import numpy as np
    from compress_fasttext.pq_encoder_light import PQEncoder

    np.random.seed(seed)  # its k-means draws from the global generator
    encoder = PQEncoder(iteration=SLOW_ITERATIONS, num_subdim=SLOW_SUBVECTORS, Ks=CENTROIDS)
    encoder.fit(rows)
    return encoder


if __name__ == "__main__":
    run_script(tables, [pq_faiss, pq_widths, pq_compress_fasttext], {"--repeats": REPEATS})
