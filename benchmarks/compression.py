"""A whole compression beside compress-fasttext's: error, neighbours, bytes, time, memory and lookups.

    python benchmarks/compression.py [--model PATH] [--text PATH] [--repeats N]

The output is Markdown; `common` says how it is measured.
"""

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from common import (
    BATCH,
    CENTROIDS,
    MODEL,
    MODEL_FILE,
    REPEATS,
    SIDES,
    TEXT,
    THREADS,
    by_side,
    compared,
    is_there,
    lookup_speed,
    peak_mb,
    print_table,
    print_versions,
    run_job,
    run_script,
    unseen_words,
)

N_WORDS, N_NGRAMS, CODES = 10_000, 20_000, 50
N_QUERIES, N_NEIGHBOURS = 1_000, 10


def tables(model: Path | None, text: Path | None, repeats: int) -> None:
    """The design's chain against `compress_fasttext.prune_ft_freq` with the same numbers of rows and codes."""
    if not is_there(model=model, text=text):
        return
    print_versions("compress-fasttext", "gensim", "numba", "numpy", "scipy")
    with tempfile.TemporaryDirectory() as folder:
        builds = [build_both(model, Path(folder, str(seed)), seed) for seed in range(repeats)]
        judged = run_job("judge", model=str(model), text=str(text), folder=folder, repeats=repeats)
    quality, speed = judged["quality"], judged["speed"]
    files = ", ".join(f"{name} of {size:,} bytes" for name, size in builds[0]["peer"]["files"].items())
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
            "vocabulary as each model rebuilds it. `</s>` is left out throughout (see `opening.py`).",
            "Unseen words are real ones of the text, not in the vocabulary, of 3 characters or more, "
            "and none that `vocab.is_for_fitting` gives to steps. A batch has "
            f"{BATCH} words; lookups are of kept and of unseen words that both models can embed.",
            f"compress-fasttext's file is as its own `save` writes it: {files}. Its traps: a pruned "
            "vocabulary keeps the old row numbers, which fits the new matrix only where words are sorted by count "
            f"(here: {'they are' if judged['rows_fit'] else 'they are not'}); dropped n-grams count as zeros, so "
            "rebuilt vectors come out short, and a word with no n-gram left is silently zero; "
            "counts are not kept; the file is a pickle.",
        ],
    )


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
    by_both = [w for w, row in zip(unseen, found["peer"]["unseen"], strict=True) if row.any() and ours.can_embed(w)]
    asked = {"kept words": [word for word in words if word in ours], "unseen words": by_both}
    counts = {"n_words": len(original), "n_unseen": len(unseen), "same_words": same_words, "rows_fit": rows_fit}
    return counts | {"quality": quality, "speed": lookup_speed(ours, theirs, asked)}


def errors(exact: dict, found: dict, kept: Any) -> dict[str, float]:
    """Return 1 - mean cosine to the original in every split, and what belongs beside it."""
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


if __name__ == "__main__":
    run_script(tables, [build_workbench, build_peer, judge], {"--model": MODEL, "--text": TEXT, "--repeats": REPEATS})
