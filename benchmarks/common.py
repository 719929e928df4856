"""Helpers of the benchmarks: jobs in processes of their own, turns, ratios and Markdown tables.

A benchmark's own process only starts others and prints: whatever is measured runs in a process of
its own (a "job"), with `THREADS` threads, and the two sides take turns, so that a busy machine
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
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

THREADS = 2
SIDES = ("workbench", "peer")
Options = dict[str, dict[str, Any]]  # of argparse, by name
Times = dict[str, list[float]]  # a value for each side and repeat
CENTROIDS = 255  # compress-fasttext's own default: with 256 its codes take 16 bits each
DATA = os.environ.get("WORKBENCH_TEST_DATA") or None
MODEL: dict[str, Any] = {"type": Path, "default": DATA and Path(DATA, "models/ru_ruslit_sg_100d.bin")}
TEXT: dict[str, Any] = {"type": Path, "default": DATA and Path(DATA, "data/text/ru_ruslit.tokens.txt.gz")}
REPEATS: dict[str, Any] = {"type": int, "default": 3, "help": "default 3"}
PLAIN = argparse.RawDescriptionHelpFormatter
MODEL_FILE = {"workbench": "small.safetensors", "peer": "small.bin"}
N_ROWS, DIM, N_TRAIN = 100_000, 300, 65_536  # of `pq_input`
N_UNSEEN, N_LOOKUPS, BATCH = 5_000, 2_000, 500


def run_script(tables: Callable[..., None], jobs: Sequence[Callable] = (), options: Options | None = None) -> None:
    """Run the script of this process: `tables` with the options of the command line, or a job, as `run_job` asks."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__, formatter_class=PLAIN)
    for name, settings in (options or {}).items():
        parser.add_argument(name, **settings)
    parser.add_argument("--job", nargs=2, metavar=("NAME", "JSON"), help=argparse.SUPPRESS)
    args = vars(parser.parse_args())
    job = args.pop("job")
    if job is None:
        tables(**args)
    else:
        name, arguments = job
        answer = {job.__name__: job for job in jobs}[name](**json.loads(arguments))
        sys.stdout.write("\n" + json.dumps(answer))


def print_versions(*packages: str) -> None:
    """Print the versions of the packages that are compared, and the number of cores."""
    print(f"With {', '.join(f'{name} {version(name)}' for name in packages)}; {os.cpu_count()} cores.")


def is_there(**files: Path | None) -> bool:
    """Return True where all these files are there; otherwise print the option that names a file."""
    for option, path in files.items():
        if path is None or not path.is_file():
            print(f"\nLeft out: give --{option} PATH, or set WORKBENCH_TEST_DATA ({path} is absent).")
            return False
    return True


def environment(threads: int = THREADS) -> dict[str, str]:
    """Return the environment of a job: the same number of threads for every library, no progress bars.

    OpenMP's threads sleep while they wait: spinning made faiss's training up to four times slower on a busy machine.
    Python may keep what it compiled, or this package would be compiled at every start, and not the peers.
    """
    libraries = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    settings = {f"{name}_NUM_THREADS": str(threads) for name in libraries}
    quiet = {"OMP_WAIT_POLICY": "PASSIVE", "TQDM_DISABLE": "1", "PYTHONDONTWRITEBYTECODE": ""}
    return os.environ | settings | quiet


def run_job(name: str, threads: int = THREADS, **arguments: Any) -> Any:
    """Run one of the jobs of this script in a fresh process, and return its numbers."""
    command = [sys.executable, sys.argv[0], "--job", name, json.dumps(arguments)]
    done = subprocess.run(command, env=environment(threads), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def remembered(file: Path | None, make: Callable[[], Any]) -> Any:
    """Return what `make` gives, now or in an earlier run: it stays in a file of JSON, if there is to be one."""
    if file is not None and file.exists():
        return json.loads(file.read_text(encoding="utf-8"))
    found = make()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
    return found


def take_turns(calls: dict[str, Callable[[], Any]], turn: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Time each call once, in an order that turns round from one repeat to the next; return seconds and results."""
    seconds, results = {}, {}
    for name in list(calls)[:: 1 if turn % 2 == 0 else -1]:
        time.sleep(0.2)  # threads of the other library may spin on for a moment
        start = time.perf_counter()
        results[name] = calls[name]()
        seconds[name] = time.perf_counter() - start
    return seconds, results


def peak_mb() -> float:
    """Return the peak memory of this process so far, in MB; pages of mapped files that were read count too."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def middle(values: Sequence[float], form: str = "{:.2f}") -> str:
    """Return the median, and the least and the greatest where they differ when printed."""
    least, most = form.format(min(values)), form.format(max(values))
    return form.format(median(values)) + (f" ({least} to {most})" if least != most else "")


def ratios(above: Sequence[float], below: Sequence[float], form: str = "{:.2f}") -> str:
    """Return the `middle` of the ratios, repeat by repeat."""
    return middle([a / b for a, b in zip(above, below, strict=True)], form)


def compared(label: str, values: Times, form: str = "{:.2f}", better: str | None = "lower") -> list[str]:
    """Return a row of a table: the workbench, the peer, and how many times better the workbench is."""
    ours, theirs = (values[side] for side in SIDES)
    ratio = "" if better is None else ratios(theirs, ours) if better == "lower" else ratios(ours, theirs)
    return [label, middle(ours, form), middle(theirs, form), ratio]


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> None:
    """Print one GitHub-Markdown table, with its notes below."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(header) + " |")
    print("|---" + "|--:" * (len(header) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    for note in notes:
        print(f"\n{note}")


def by_side(runs: Sequence[dict], name: str) -> Times:
    """Return one number of each run, ``run[side][name]``, side by side."""
    return {side: [run[side][name] for run in runs] for side in SIDES}


# -- what several measure -----------------------------------------------------------------

# Run by `python -c` after code that names `load`, perhaps `all_vectors`. Its first line marks the first vector.
OPEN = """
import json, resource, sys, time
start = time.perf_counter()
v = load(sys.argv[1])
v[sys.argv[2]]
first = time.perf_counter() - start
print("first", flush=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if "all_vectors" in globals():
    all_vectors(v)
print(json.dumps({"first": 1e3 * first, "all": 1e3 * (time.perf_counter() - start), "peak": peak}))
"""


def open_in_turns(code: dict[str, str], paths: dict[str, str], word: str, repeats: int) -> list[dict]:
    """Open a model in fresh processes; return seconds to the first vector, ms in the process, and peak MB."""
    runs = []
    for turn in range(repeats + 1):  # the first turn fills the page cache and does not count
        run = {}
        for side in SIDES[:: 1 if turn % 2 else -1]:
            begun = time.perf_counter()
            command = [sys.executable, "-W", "ignore", "-c", code[side] + OPEN, paths[side], word]
            with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None, "it was asked for"
                process.stdout.readline()
                seconds = time.perf_counter() - begun
                numbers = json.loads(process.stdout.readline())
            unit = 1 if sys.platform == "darwin" else 1024
            run[side] = {"process": seconds, **numbers, "peak": numbers["peak"] * unit / 1e6}
        runs.append(run)
    return runs[1:]


def pq_input() -> tuple[Any, Any]:
    """Return the rows to encode, (N_ROWS, DIM), and those among them to train on, (N_TRAIN, DIM)."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((N_ROWS, DIM), dtype=np.float32)
    return rows, rows[rng.choice(N_ROWS, N_TRAIN, replace=False)]


def squared_error(decoded: Any, rows: Any) -> float:
    return float(((decoded - rows) ** 2).mean())


def unseen_words(original: Any, text: str) -> list[str]:
    """Return a seeded sample of the text's words that are not in the vocabulary and that no step was fitted on."""
    import numpy as np

    from workbench.vocab import is_for_fitting

    found: set[str] = set()
    with gzip.open(text, "rt", encoding="utf-8") if text.endswith(".gz") else open(text, encoding="utf-8") as file:
        for line in file:
            found.update(line.split())
    fresh = sorted(w for w in found if len(w) >= 3 and w not in original and not is_for_fitting(w))
    return [fresh[i] for i in np.random.default_rng(0).permutation(len(fresh))[:N_UNSEEN]]


def lookup_speed(ours: Any, theirs: Any, asked: dict[str, list[str]], repeats: int = 5) -> dict[str, Times]:
    """Return the words looked up per second, one by one and in batches, both sides in turn."""
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
