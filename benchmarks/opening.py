"""Opening a fastText ``.bin`` beside gensim: time to the first vector, memory, and agreement.

    python benchmarks/opening.py [--model PATH] [--repeats N]

The output is Markdown; `common` says how it is measured.
"""

from pathlib import Path

from common import (
    MODEL,
    REPEATS,
    SIDES,
    by_side,
    compared,
    is_there,
    open_in_turns,
    print_table,
    print_versions,
    run_job,
    run_script,
)

N_AGREE = 2_000
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдежзиклмнопрстуфхцчшщъыьэюя",
    "αβγδεζηθ",
    "0123456789-.,'<> ",
    "日本語漢字😀é",
)

CODE = {
    "workbench": "import workbench as wb; load, all_vectors = wb.load, lambda v: v.matrix()",
    "peer": "from gensim.models.fasttext import load_facebook_vectors as load; all_vectors = lambda v: v.vectors",
}


def tables(model: Path | None, repeats: int) -> None:
    if not is_there(model=model):
        return
    print_versions("gensim", "numba", "numpy")
    repeats += 2
    agree = run_job("agreement", model=str(model))
    runs = open_in_turns(CODE, dict.fromkeys(SIDES, str(model)), agree["word"], repeats)
    print_table(
        f"B1. Opening a fastText .bin of {model.stat().st_size / 1e6:.0f} MB, {agree['n_words']:,} words",
        ("", "workbench", "gensim", "gensim / workbench"),
        [
            compared("process start to first vector, s", by_side(runs, "process"), "{:.3f}"),
            compared("in the process, after imports: open and first vector, ms", by_side(runs, "first"), "{:.1f}"),
            compared("in the process, after imports: open and every word's vector, ms", by_side(runs, "all"), "{:.0f}"),
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
            [label, f"{n:,}", f"{difference:.2g}", f"{greatest:.2f}"]
            for label, (n, difference, greatest) in agree["rows"].items()
        ],
        ["`</s>` has no n-grams in the official tool; gensim adds some, so it is not among the words above."],
    )


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

    asked = {"words of the vocabulary": known, "arbitrary non-empty strings": list(strings)}
    if END_OF_SENTENCE in ours:
        asked["`</s>`"] = [END_OF_SENTENCE]
    rows = {}
    for label, words in asked.items():
        a, b = ours[words], np.array([theirs[word] for word in words])
        rows[label] = len(words), float(np.abs(a - b).max()), float(np.abs(b).max())
    return {"word": known[0], "n_words": len(ours), "rows": rows}


if __name__ == "__main__":
    run_script(tables, [agreement], {"--model": MODEL, "--repeats": REPEATS})
