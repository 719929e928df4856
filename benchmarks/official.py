"""The official fastText library on ``.ftz`` files that the workbench wrote, beside what `load` reads in them.

    python benchmarks/official.py [--model MODEL] [--text TEXT] [--library PYTHON]

PYTHON has the official library (`pip install fasttext-numpy2-wheel`). Errors are 1 - mean cosine to the vectors of the
model, over its whole vocabulary and over unseen words of the text: of the ``.ftz``, and of the workbench's own file
with as many codes.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import MODEL, TEXT, Options, is_there, print_table, print_versions, run_job, run_script, unseen_words

N_QUERIES, TOPN = 200, 10
OFFICIAL = """
import json, sys
import fasttext, numpy as np
about = json.load(open(sys.argv[1]))
v = fasttext.FastText._FastText(about["path"])
assert v.get_words() == about["known"]
np.save(about["vectors"], np.array([v.get_word_vector(word) for word in about["known"] + about["unseen"]]))
print(json.dumps([[word for _, word in v.get_nearest_neighbors(query, k=about["n"])] for query in about["queries"]]))
"""


def tables(model: Path | None, text: Path | None, library: str) -> None:
    if not is_there(model=model, text=text):
        return
    if subprocess.run([library, "-c", "import fasttext"], stderr=subprocess.DEVNULL).returncode:
        print("\nLeft out: give --library PYTHON, one that has the official library.")
        return
    print_versions("numpy")
    rows = run_job("compared", model=str(model), text=str(text), library=library)
    header = "bytes", "words", "largest difference", "unseen strings", "largest difference", f"same {TOPN} nearest"
    print_table("A. The official library beside `load`", ("model", *header), [row[:7] for row in rows])
    header = "bytes", "error, vocabulary", "unseen", "bytes, `.safetensors`", "error, vocabulary", "unseen"
    print_table("B. What quantising costs", ("model", *header), [[*row[:2], *row[7:]] for row in rows])


def compared(model: str, text: str, library: str) -> list[list[str]]:
    """Job: a row for each model that is written."""
    import numpy as np

    import workbench as wb
    from workbench.evaluate.fidelity import cosines

    big = wb.load(model)
    unseen = unseen_words(big, text)
    pairs = [wb.PQ(50, on="ngrams", norms=True), wb.Residual(), wb.PQ(50, on="words", norms=True)]
    pruned = [wb.Prune(20_000, 40_000), wb.Refit()]
    recipes = {  # what is written as .ftz, and what makes codes of it for the workbench's own file
        "all words and n-grams": ([], pairs),
        "20,000 words, 40,000 n-grams": (pruned, pairs),
    }
    for n in (50, 25):
        steps = [wb.Prune(10_000), wb.PQ(n, on="ngrams"), wb.Refit(kept_weight=1)]
        recipes[f"10,000 words, n-grams in {n} codes"] = steps, [wb.Residual(), wb.PQ(n, on="words")]

    def errors(small: wb.Vectors) -> list[str]:
        pairs = ([v.get_vectors(words, missing="zero") for v in (big, small)] for words in (big.words, unseen))
        return [f"{1 - cosines(*pair).mean():.4f}" for pair in pairs]

    rows = []
    for name, (steps, codes) in recipes.items():
        v = wb.Chain(steps).fit_transform(big)
        own = wb.Chain(codes).fit_transform(v)
        with tempfile.TemporaryDirectory() as folder:
            path, vectors, asked = (Path(folder, name) for name in ("model.ftz", "vectors.npy", "asked.json"))
            ours = wb.load(wb.export(v, path, warn=False))
            queries = [ours.words[i] for i in np.random.default_rng(0).choice(len(ours), N_QUERIES, replace=False)]
            about = {"path": str(path), "vectors": str(vectors), "known": ours.words, "unseen": unseen}
            asked.write_text(json.dumps(about | {"queries": queries, "n": TOPN}), encoding="utf-8")
            done = subprocess.run([library, "-c", OFFICIAL, str(asked)], stdout=subprocess.PIPE, text=True, check=True)
            nearest = [[word for word, _ in ours.most_similar(query, topn=TOPN)] for query in queries]
            share = np.mean([a == b for a, b in zip(nearest, json.loads(done.stdout), strict=True)])
            gaps = np.abs(np.load(vectors) - ours.get_vectors([*ours.words, *unseen], missing="zero")).max(axis=1)
            parts = gaps[: len(ours)], gaps[len(ours) :]
            row = [name, f"{path.stat().st_size:,}", *(x for p in parts for x in (f"{len(p):,}", f"{p.max():.1e}"))]
            rows.append([*row, f"{share:.1%}", *errors(ours), f"{own.file_bytes:,}", *errors(own)])
    return rows


if __name__ == "__main__":
    options: Options = {"--model": MODEL, "--text": TEXT, "--library": {"default": sys.executable, "metavar": "PYTHON"}}
    run_script(tables, [compared], options)
