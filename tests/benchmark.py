"""The workbench beside its peers: the same input, threads and bytes, in one run.

    python tests/benchmark.py [--model PATH] [--text PATH] [--repeats N] [--parts ABC]

Part A measures product quantisation against faiss and compress-fasttext, part B the opening of a
fastText ``.bin`` against gensim, part C a whole compression against compress-fasttext. The
output is Markdown.

This process only starts others and prints: whatever is measured runs in a process of its own
(a "job" below), with `THREADS` threads, and the two sides take turns, so that a busy machine
slows both. Absolute times are those of the machine; ratios are what to read. Every number is
the median over the repeats, with the least and the greatest beside it; a ratio is taken within
each repeat, and is above 1 where the workbench is better.
"""

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

THREADS = 2
SIDES = ("workbench", "peer")
Times = dict[str, list[float]]  # a value for each side and repeat

# Part A
N_ROWS, DIM, N_TRAIN = 100_000, 300, 65_536
N_SUBVECTORS, SLOW_SUBVECTORS, SLOW_ITERATIONS = 100, 20, 5
SLOW_DIM = DIM // N_SUBVECTORS * SLOW_SUBVECTORS
WIDTHS = (2, 3, 4, 5, 6)  # columns of a subvector

# Part B
N_AGREE = 2_000
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдежзиклмнопрстуфхцчшщъыьэюя",
    "αβγδεζηθ",
    "0123456789-.,'<> ",
    "日本語漢字😀é",
)

# Part C
N_WORDS, N_NGRAMS, CODES = 10_000, 20_000, 50
CENTROIDS = 255  # compress-fasttext's own default: with 256 its codes take 16 bits each
N_UNSEEN, N_QUERIES, N_NEIGHBOURS = 5_000, 1_000, 10
N_LOOKUPS, BATCH = 2_000, 500


def main() -> None:
    """Read the command line; run one part after another and print its tables."""
    data = os.environ.get("WORKBENCH_TEST_DATA") or None
    parser = argparse.ArgumentParser(description="Measure the workbench beside its peers.")
    parser.add_argument("--model", type=Path, default=data and Path(data, "models/ru_ruslit_sg_100d.bin"))
    parser.add_argument("--text", type=Path, default=data and Path(data, "data/text/ru_ruslit.tokens.txt.gz"))
    parser.add_argument("--repeats", type=int, default=3, help="of A1, A3 and C (default 3); A2 and B have 2 more")
    parser.add_argument("--parts", default="ABC", help="which parts to run, such as AC")
    parser.add_argument("--job", nargs=2, metavar=("NAME", "JSON"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        answer(args.job, JOBS)
        return
    start = time.perf_counter()
    peers = ("faiss-cpu", "compress-fasttext", "gensim", "numba", "numpy", "scipy")
    print(f"With {', '.join(f'{name} {version(name)}' for name in peers)}; {os.cpu_count()} cores.")
    if "A" in args.parts:
        part_a(args.repeats)
    if "B" in args.parts and is_there("B", args.model, "--model"):
        part_b(args.model, args.repeats + 2)
    if "C" in args.parts and is_there("C", args.model, "--model") and is_there("C", args.text, "--text"):
        part_c(args.model, args.text, args.repeats)
    print(f"\nTook {time.perf_counter() - start:.0f} s in all.")


# -- running and printing ---------------------------------------------------------------------


def is_there(part: str, path: Path | None, option: str) -> bool:
    """Whether a part has the file it needs; says so where it has not."""
    if path is None or not path.is_file():
        print(f"\nPart {part} is left out: give {option} PATH, or set WORKBENCH_TEST_DATA ({path} is absent).")
        return False
    return True


def environment(threads: int = THREADS) -> dict[str, str]:
    """The environment of a job: the same number of threads for every library, no progress bars.

    OpenMP's threads sleep while they wait. By default they spin, which on a machine that others
    use too made faiss's training take up to four times as long. Python may keep what it compiled: else
    a machine that forbids it would compile this package at every start, and not the peers, which pip has
    compiled.
    """
    libraries = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    settings = {f"{name}_NUM_THREADS": str(threads) for name in libraries}
    quiet = {"OMP_WAIT_POLICY": "PASSIVE", "TQDM_DISABLE": "1", "PYTHONDONTWRITEBYTECODE": ""}
    return os.environ | settings | quiet


def run_job(name: str, threads: int = THREADS, script: str = __file__, **arguments: Any) -> Any:
    """Run one of the `JOBS` of a script in a fresh process, and return its numbers."""
    command = [sys.executable, script, "--job", name, json.dumps(arguments)]
    done = subprocess.run(command, env=environment(threads), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def answer(job: tuple[str, str], jobs: dict[str, Callable[..., Any]]) -> None:
    """Do one of the `jobs` of a script, by name and JSON arguments, as `run_job` asks for it."""
    name, arguments = job
    sys.stdout.write("\n" + json.dumps(jobs[name](**json.loads(arguments))))


def take_turns(calls: dict[str, Callable[[], Any]], turn: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Time each call once, in an order that turns round from one repeat to the next.

    Returns
    -------
    seconds, results : dict by name
    """
    seconds, results = {}, {}
    for name in list(calls)[:: 1 if turn % 2 == 0 else -1]:
        time.sleep(0.2)  # threads of the other library may spin on for a moment
        start = time.perf_counter()
        results[name] = calls[name]()
        seconds[name] = time.perf_counter() - start
    return seconds, results


def peak_mb() -> float:
    """Peak memory of this process so far, in MB; pages of mapped files that were read count too."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def middle(values: Sequence[float], form: str = "{:.2f}") -> str:
    """The median, and the least and the greatest where they differ when printed."""
    least, most = form.format(min(values)), form.format(max(values))
    return form.format(median(values)) + (f" ({least} to {most})" if least != most else "")


def ratios(above: Sequence[float], below: Sequence[float], form: str = "{:.2f}") -> str:
    """`middle` of the ratios, repeat by repeat."""
    return middle([a / b for a, b in zip(above, below, strict=True)], form)


def compared(label: str, values: Times, form: str = "{:.2f}", better: str | None = "lower") -> list[str]:
    """A row of a table: the workbench, the peer, and how many times better the workbench is."""
    ours, theirs = (values[side] for side in SIDES)
    ratio = "" if better is None else ratios(theirs, ours) if better == "lower" else ratios(ours, theirs)
    return [label, middle(ours, form), middle(theirs, form), ratio]


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> None:
    """One GitHub-Markdown table, with its notes below."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(header) + " |")
    print("|---" + "|--:" * (len(header) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    for note in notes:
        print(f"\n{note}")


def by_side(runs: Sequence[dict], name: str) -> Times:
    """One number of each run, ``run[side][name]``, side by side."""
    return {side: [run[side][name] for run in runs] for side in SIDES}


# -- A: product quantisation ------------------------------------------------------------------


def part_a(repeats: int) -> None:
    """Training, encoding and error of product quantisation, against faiss and compress-fasttext."""
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
    """Our error as a percentage of theirs."""
    share = [100 * ours / theirs for ours, theirs in zip(mse["workbench"], mse["peer"], strict=True)]
    return middle(share, "{:.2f}") + "%"


def width_row(width: dict) -> list[str]:
    """A row of A2."""
    ours, plain, fast = (width[name] for name in ("workbench", "faiss", "fast"))
    return [
        str(width["columns"]),
        middle([1e3 * s for s in ours], "{:.0f}"),
        middle([1e3 * s for s in plain], "{:.0f}"),
        ratios(plain, ours, "{:.1f}"),
        middle([1e3 * s for s in fast], "{:.0f}"),
        ratios(fast, ours, "{:.1f}"),
        f"{100 * width['same']:.3f}%",
    ]


def pq_input() -> tuple[Any, Any]:
    """The rows to encode, (N_ROWS, DIM), and those among them to train on, (N_TRAIN, DIM)."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((N_ROWS, DIM), dtype=np.float32)
    return rows, rows[rng.choice(N_ROWS, N_TRAIN, replace=False)]


def as_vectors(rows: Any) -> Any:
    """Rows as `Vectors`, each with a made-up word."""
    import workbench as wb

    return wb.Vectors.from_arrays([f"w{i}" for i in range(len(rows))], rows)


def squared_error(decoded: Any, rows: Any) -> float:
    return float(((decoded - rows) ** 2).mean())


def faiss_quantizer(columns: int, centroids: Any, transposed: bool = False) -> Any:
    """faiss's quantiser of 8-bit codes, each for `columns` columns, with these centroids."""
    import faiss

    pq = faiss.ProductQuantizer(DIM, DIM // columns, 8)
    faiss.copy_array_to_vector(centroids.ravel(), pq.centroids)
    if transposed:
        pq.sync_transposed_centroids()
    return pq


def faiss_trained(rows: Any, n_iter: int = 25, seed: int = 0) -> Any:
    """faiss's quantiser of `N_SUBVECTORS` codes, trained on these rows."""
    import faiss

    pq = faiss.ProductQuantizer(DIM, N_SUBVECTORS, 8)
    pq.cp.niter, pq.cp.seed = n_iter, 1234 + seed
    pq.train(rows)
    return pq


def pq_faiss(repeats: int) -> dict:
    """Job: `PQ` against `faiss.ProductQuantizer`, each on its defaults: 25 iterations of k-means."""
    import faiss
    import numba

    import workbench as wb
    from workbench import kernels

    numba.set_num_threads(THREADS)
    faiss.omp_set_num_threads(THREADS)
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
        run = {}
        for side, plain, whole, best in (
            ("workbench", "kernel", "step", "kernel"),
            ("peer", "faiss", "faiss", "fast"),
        ):
            run[side] = {
                "train": train[side],
                "encode": encode[plain],
                "encode, step": encode[whole],
                "encode, best layout": encode[best],
                "whole": train[side] + encode[whole],
                "mse": squared_error(decoded[side], rows),
            }
        runs.append(run)
    return {"runs": runs, "compiled": faiss.get_compile_options().strip()}


def pq_widths(repeats: int) -> dict:
    """Job: encoding alone, for subvectors of other widths, with codebooks of one iteration that both use."""
    import faiss
    import numba

    import workbench as wb
    from workbench import kernels

    numba.set_num_threads(THREADS)
    faiss.omp_set_num_threads(THREADS)
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
    """compress-fasttext's quantiser, trained on these rows."""
    import numpy as np
    from compress_fasttext.pq_encoder_light import PQEncoder

    np.random.seed(seed)  # its k-means draws from the global generator
    encoder = PQEncoder(iteration=SLOW_ITERATIONS, num_subdim=SLOW_SUBVECTORS, Ks=CENTROIDS)
    encoder.fit(rows)
    return encoder


# -- B: opening a fastText .bin ---------------------------------------------------------------

# Run by `python -c` with the path and a word. The first line that comes out marks the first vector.
OPEN = """
import json, resource, sys, time
start = time.perf_counter()
v = load(sys.argv[1])
v[sys.argv[2]]
first = time.perf_counter() - start
print("first", flush=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
all_vectors(v)
print(json.dumps({"first": first, "all": time.perf_counter() - start, "peak": peak}))
"""
OPENING = {
    "workbench": "import workbench as wb; load, all_vectors = wb.load, lambda v: v.matrix()" + OPEN,
    "peer": "from gensim.models.fasttext import load_facebook_vectors as load; all_vectors = lambda v: v.vectors"
    + OPEN,
}


def part_b(model: Path, repeats: int) -> None:
    """Time to the first vector of a fastText ``.bin`` in a fresh process, and agreement with gensim."""
    agree = run_job("agreement", model=str(model))
    runs = []
    for turn in range(-1, repeats):  # the first turn fills the page cache and does not count
        opened = {side: open_fresh(OPENING[side], model, agree["word"]) for side in SIDES[:: 1 if turn % 2 else -1]}
        runs.append(opened)
    runs = runs[1:]
    in_ms = {name: {s: [1e3 * t for t in v] for s, v in by_side(runs, name).items()} for name in ("first", "all")}
    print_table(
        f"B1. Opening a fastText .bin of {model.stat().st_size / 1e6:.0f} MB, {agree['n_words']:,} words",
        ("", "workbench", "gensim", "gensim / workbench"),
        [
            compared("process start to first vector, s", by_side(runs, "process"), "{:.3f}"),
            compared("in the process, after imports: open and first vector, ms", in_ms["first"], "{:.1f}"),
            compared("in the process, after imports: open and every word's vector, ms", in_ms["all"], "{:.0f}"),
            compared("peak memory at the first vector, MB", by_side(runs, "peak"), "{:.0f}"),
        ],
        [
            f"A fresh process each time, {repeats} of each in turn, the file in the page cache. gensim reads the whole "
            "file and works out every word's vector while it opens; the workbench maps the file, so its third row "
            "includes loading the kernels from numba's cache and adding up n-grams."
        ],
    )
    print_table(
        "B2. Agreement with gensim",
        ("", "n", "max abs difference", "greatest abs value"),
        [
            [label, f"{agree[name]['n']:,}", f"{agree[name]['difference']:.2g}", f"{agree[name]['greatest']:.2f}"]
            for label, name in (
                ("words of the vocabulary", "known"),
                ("arbitrary non-empty strings", "unseen"),
                ("`</s>`", "end"),
            )
            if agree[name]["n"]
        ],
        ["`</s>` has no n-grams in the official tool; gensim adds some, so it is not among the words above."],
    )


def open_fresh(code: str, model: Path, word: str) -> dict[str, float]:
    """Start a process, wait for its first vector, and return its numbers: seconds, and MB."""
    start = time.perf_counter()
    command = [sys.executable, "-c", code, str(model), word]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        seconds = time.perf_counter() - start
        numbers = json.loads(process.stdout.readline())
    unit = 1 if sys.platform == "darwin" else 1024
    return {"process": seconds, **numbers, "peak": numbers["peak"] * unit / 1e6}


def agreement(model: str) -> dict:
    """Job: the greatest difference between our vectors and gensim's, for seeded words and strings."""
    import numpy as np
    from gensim.models.fasttext import load_facebook_vectors

    import workbench as wb
    from workbench.subwords import END_OF_SENTENCE

    ours, theirs = wb.load(model), load_facebook_vectors(model)
    rng = np.random.default_rng(0)
    known = [ours.words[i] for i in rng.permutation(len(ours)) if ours.words[i] != END_OF_SENTENCE][:N_AGREE]
    letters = ["".join(ALPHABETS), *ALPHABETS]
    strings: dict[str, None] = {}
    while len(strings) < N_AGREE:
        alphabet = letters[rng.integers(len(letters))]
        string = "".join(rng.choice(list(alphabet), size=rng.integers(1, 21)))
        if string not in ours:
            strings[string] = None

    def compare(words: list[str]) -> dict:
        if not words:
            return {"n": 0}
        a, b = ours[words], np.array([theirs[word] for word in words])
        return {"n": len(words), "difference": float(np.abs(a - b).max()), "greatest": float(np.abs(b).max())}

    return {
        "word": known[0],
        "n_words": len(ours),
        "known": compare(known),
        "unseen": compare(list(strings)),
        "end": compare([END_OF_SENTENCE] if END_OF_SENTENCE in ours else []),
    }


# -- C: a whole compression -------------------------------------------------------------------


def part_c(model: Path, text: Path, repeats: int) -> None:
    """The design's chain against `compress_fasttext.prune_ft_freq` with the same numbers of rows and codes."""
    with tempfile.TemporaryDirectory() as folder:
        builds = [build_both(model, Path(folder, str(seed)), seed) for seed in range(repeats)]
        judged = run_job("judge", model=str(model), text=str(text), folder=folder, repeats=repeats)
    quality, speed = judged["quality"], judged["speed"]
    print_table(
        f"C. {N_WORDS:,} words, {N_NGRAMS:,} n-grams, {CODES} codes a row, of a model of {judged['n_words']:,} words",
        ("", "workbench", "compress-fasttext", "workbench better by"),
        [
            *(compared(f"error, {n}", by_side(quality, n), "{:.5f}") for n in ("kept", "dropped", "kept and dropped")),
            compared(f"error, {judged['n_unseen']:,} unseen words", by_side(quality, "unseen"), "{:.5f}"),
            compared("norm ratio, unseen (1 is right)", by_side(quality, "norm ratio"), "{:.3f}", better=None),
            compared("dropped without a vector", by_side(quality, "dropped without"), "{:.0f}", better=None),
            compared("unseen without a vector", by_side(quality, "unseen without"), "{:.0f}", better=None),
            compared(f"overlap@{N_NEIGHBOURS}", by_side(quality, "overlap"), "{:.4f}", "higher"),
            compared("bytes on disk", by_side(builds, "bytes"), "{:,.0f}"),
            compared("build, s", by_side(builds, "build")),
            compared("open, build and save, s", by_side(builds, "total")),
            compared("peak memory of building, MB", by_side(builds, "peak"), "{:.0f}"),
            *(compared(f"lookups a second, {name}", values, "{:,.0f}", "higher") for name, values in speed.items()),
        ],
        [
            f"{repeats} builds of each in turn, with seeds 0 to {repeats - 1}; each in a process of its own, "
            f"up to {THREADS} threads. Error is 1 - mean cosine to the original vector, a word without a vector "
            "having cosine 0. Both have the same numbers of rows and of codes a row; the words kept are "
            f"{'the same' if judged['same_words'] else 'NOT THE SAME'}. Codebooks have 256 centroids here and "
            f"{CENTROIDS} there. Overlap is over {N_QUERIES:,} queries, candidates being the original "
            "vocabulary as each model rebuilds it. `</s>` is left out throughout (see B2).",
            "Unseen words are real ones of the text, not in the vocabulary, of 3 characters or more, "
            "and none that `vocab.is_for_fitting` gives to steps. A batch has "
            f"{BATCH} words; lookups are of kept and of unseen words that both models can embed.",
            f"compress-fasttext's file is as its own `save` writes it: {files(builds)}. Its traps: a pruned "
            "vocabulary keeps the old row numbers, which fits the new matrix only where words are sorted by count "
            f"(here: {'they are' if judged['rows_fit'] else 'they are not'}); dropped n-grams count as zeros, so "
            "rebuilt vectors come out short, and a word with no n-gram left is silently zero; "
            "counts are not kept; the file is a pickle.",
        ],
    )


def files(builds: Sequence[dict]) -> str:
    """The files of compress-fasttext's first build, with their bytes."""
    return ", ".join(f"{name} of {size:,} bytes" for name, size in builds[0]["peer"]["files"].items())


def build_both(model: Path, folder: Path, seed: int) -> dict:
    """Build and save both models, each in a process of its own and in a folder of its own."""
    built = {}
    for side in SIDES[:: 1 if seed % 2 == 0 else -1]:
        place = folder / side
        place.mkdir(parents=True)
        built[side] = run_job(f"build_{side}", model=str(model), path=str(place / MODEL_FILE[side]), seed=seed)
        built[side]["files"] = {path.name: path.stat().st_size for path in sorted(place.iterdir())}
        built[side]["bytes"] = sum(built[side]["files"].values())
    return built


MODEL_FILE = {"workbench": "small.safetensors", "peer": "small.bin"}


def build_workbench(model: str, path: str, seed: int) -> dict:
    """Job: the design's chain, from the model's file to the small one."""
    import workbench as wb

    start = time.perf_counter()
    big = wb.load(model)
    opened = time.perf_counter()
    steps = [wb.Prune(N_WORDS, N_NGRAMS), wb.Refit(random_state=seed), wb.PQ(CODES, random_state=seed)]
    small = wb.Chain(steps).fit_transform(big)
    built = time.perf_counter()
    small.save(path)
    return {"build": built - opened, "total": time.perf_counter() - start, "peak": peak_mb()}


def build_peer(model: str, path: str, seed: int) -> dict:
    """Job: compress-fasttext's own recipe on gensim's vectors, from the model's file to the small one."""
    import compress_fasttext
    import numpy as np
    from gensim.models.fasttext import load_facebook_vectors

    np.random.seed(seed)  # its k-means draws from the global generator
    start = time.perf_counter()
    big = load_facebook_vectors(model)
    opened = time.perf_counter()
    small = compress_fasttext.prune_ft_freq(
        big, new_vocab_size=N_WORDS, new_ngrams_size=N_NGRAMS, pq=True, qdim=CODES, centroids=CENTROIDS
    )
    built = time.perf_counter()
    small.save(path)
    return {"build": built - opened, "total": time.perf_counter() - start, "peak": peak_mb()}


def judge(model: str, text: str, folder: str, repeats: int) -> dict:
    """Job: reopen what was built, and compare both with the original on the same words."""
    import numpy as np
    from compress_fasttext.models import CompressedFastTextKeyedVectors

    import workbench as wb
    from workbench.evaluate import nearest
    from workbench.subwords import END_OF_SENTENCE

    original = wb.load(model)
    words = [word for word in original.words if word != END_OF_SENTENCE]
    unseen = unseen_words(original, text)
    queries = [words[i] for i in np.random.default_rng(0).permutation(len(words))[:N_QUERIES]]
    exact = {"words": original.get_vectors(words), "unseen": original.get_vectors(unseen)}
    before, _ = nearest(wb.Vectors.from_arrays(words, exact["words"]), words, queries, N_NEIGHBOURS)
    quality, same_words, rows_fit = [], True, True
    for seed in range(repeats):
        ours = wb.load(Path(folder, str(seed), "workbench", MODEL_FILE["workbench"]))
        theirs = CompressedFastTextKeyedVectors.load(str(Path(folder, str(seed), "peer", MODEL_FILE["peer"])))
        same_words &= set(ours.words) == set(theirs.key_to_index)
        rows_fit &= sorted(theirs.key_to_index.values()) == list(range(len(theirs.vectors)))
        kept = np.array([word in ours for word in words])
        look_up = {"workbench": partial(ours.get_vectors, missing="zero"), "peer": theirs.__getitem__}
        found = {side: {"words": look_up[side](words), "unseen": look_up[side](unseen)} for side in SIDES}
        numbers = {side: errors(exact, found[side], kept) for side in SIDES}
        for side in SIDES:
            after, _ = nearest(wb.Vectors.from_arrays(words, found[side]["words"]), words, queries, N_NEIGHBOURS)
            numbers[side]["overlap"] = float((before[:, :, None] == after[:, None, :]).any(axis=2).mean())
        quality.append(numbers)
    embeddable = [word for word, vector in zip(unseen, found["peer"]["unseen"], strict=True) if vector.any()]
    asked = {
        "kept words": [word for word in words if word in ours],
        "unseen words": [word for word in embeddable if ours.can_embed(word)],
    }
    return {
        "n_words": len(original),
        "n_unseen": len(unseen),
        "same_words": same_words,
        "rows_fit": rows_fit,
        "quality": quality,
        "speed": lookup_speed(ours, theirs, asked),
    }


def unseen_words(original: Any, text: str) -> list[str]:
    """A seeded sample of the text's words that are not in the vocabulary and that no step was fitted on."""
    import numpy as np

    from workbench.vocab import is_for_fitting

    found: set[str] = set()
    with gzip.open(text, "rt", encoding="utf-8") if text.endswith(".gz") else open(text, encoding="utf-8") as file:
        for line in file:
            found.update(line.split())
    fresh = sorted(w for w in found if len(w) >= 3 and w not in original and not is_for_fitting(w))
    return [fresh[i] for i in np.random.default_rng(0).permutation(len(fresh))[:N_UNSEEN]]


def errors(exact: dict, found: dict, kept: Any) -> dict[str, float]:
    """1 - mean cosine to the original in every split, and what belongs beside it."""
    import numpy as np

    from workbench.evaluate.fidelity import cosines

    error = 1 - cosines(exact["words"], found["words"]).astype(np.float64)  # (n_words,)
    before, after = (np.linalg.norm(part["unseen"], axis=1) for part in (exact, found))
    usable = (before > 0) & (after > 0)
    return {
        "kept": error[kept].mean(),
        "dropped": error[~kept].mean(),
        "kept and dropped": error.mean(),
        "unseen": 1 - cosines(exact["unseen"], found["unseen"]).astype(np.float64).mean(),
        "norm ratio": float(np.median(after[usable] / before[usable])),
        "dropped without": int((~found["words"][~kept].any(axis=1)).sum()),
        "unseen without": int((after == 0).sum()),
    }


def lookup_speed(ours: Any, theirs: Any, asked: dict[str, list[str]], repeats: int = 5) -> dict[str, Times]:
    """Words looked up per second, one by one and in batches, both sides in turn."""
    import numpy as np

    speed = {}
    for name, words in asked.items():
        chosen = [words[i] for i in np.random.default_rng(0).integers(len(words), size=N_LOOKUPS)]
        batches = [chosen[i : i + BATCH] for i in range(0, N_LOOKUPS, BATCH)]
        for how, requests in (("one by one", chosen), ("in batches", batches)):
            calls = {side: partial(look_all_up, v, requests) for side, v in zip(SIDES, (ours, theirs), strict=True)}
            take_turns(calls, 0)  # warm up
            seconds = [take_turns(calls, turn)[0] for turn in range(repeats)]
            speed[f"{name} {how}"] = {side: [N_LOOKUPS / turn[side] for turn in seconds] for side in SIDES}
    return speed


def look_all_up(v: Any, requests: Sequence[str] | Sequence[list[str]]) -> None:
    for request in requests:
        v[request]


JOBS: dict[str, Callable[..., dict]] = {
    job.__name__: job
    for job in (pq_faiss, pq_widths, pq_compress_fasttext, agreement, build_workbench, build_peer, judge)
}


if __name__ == "__main__":
    main()
