"""Opening a fastText ``.bin`` beside gensim: time to the first vector, memory, and agreement.

    python benchmarks/opening.py [--model PATH] [--repeats N]

The output is Markdown; `common` says how it is measured.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from common import (
    SIDES,
    answer,
    by_side,
    compared,
    environment,
    is_there,
    parser_of,
    print_table,
    print_versions,
    run_job,
)

N_AGREE = 2_000
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдежзиклмнопрстуфхцчшщъыьэюя",
    "αβγδεζηθ",
    "0123456789-.,'<> ",
    "日本語漢字😀é",
)

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


def main() -> None:
    args = parser_of("Measure the opening of a fastText .bin beside gensim.", "model", "repeats").parse_args()
    if args.job:
        answer(args.job, JOBS)
    elif is_there("Opening", args.model, "--model"):
        print_versions("gensim", "numba", "numpy")
        print_tables(args.model, args.repeats + 2)


def print_tables(model: Path, repeats: int) -> None:
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


JOBS: dict[str, Callable[..., dict]] = {"agreement": agreement}


if __name__ == "__main__":
    main()
