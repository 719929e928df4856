"""At equal bytes, whose vectors are closer? The workbench's budgets beside compress-fasttext's functions.

    python benchmarks/bytes.py [--model PATH] [--text PATH] [--pairs FOLDER]

For each of some sizes, points of compress-fasttext are built that are about so large, and
`fit_budget` gets no more bytes than the smallest of them. Everything is built in a process of
its own, from the model's file, and judged on the same words. The output is Markdown.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from common import DATA, MODEL, MODEL_FILE, TEXT, is_there, peak_mb, print_table, run_job, run_script, unseen_words

FRACTIONS = (10, 20, 50, 100)  # of the float32 size
SEED = 0
# Of each fraction: compress-fasttext's function and its arguments.
POINTS: dict[int, list[tuple[str, dict]]] = {
    10: [
        ("prune_ft_freq", {"new_vocab_size": 40_000, "new_ngrams_size": 60_000, "qdim": 50}),
        ("prune_ft_freq", {"new_vocab_size": 20_000, "new_ngrams_size": 40_000, "qdim": 100}),
        ("prune_ft_freq", {"new_vocab_size": 70_000, "new_ngrams_size": 30_000, "qdim": 50}),
        ("quantize_ft", {"qdim": 25, "sample": 65_536}),
        ("svd_ft", {"n_components": 14}),
        ("prune_ft", {"new_vocab_size": 14_000, "new_ngrams_size": 20_000}),
    ],
    20: [
        ("prune_ft_freq", {"new_vocab_size": 10_000, "new_ngrams_size": 41_000, "qdim": 50}),
        ("prune_ft_freq", {"new_vocab_size": 20_000, "new_ngrams_size": 30_000, "qdim": 50}),
        ("quantize_ft", {"qdim": 10, "sample": 65_536}),
        ("svd_ft", {"n_components": 4}),
        ("prune_ft", {"new_vocab_size": 7_000, "new_ngrams_size": 10_000}),
    ],
    50: [
        ("prune_ft_freq", {"new_vocab_size": 3_000, "new_ngrams_size": 17_000, "qdim": 50}),
        ("prune_ft_freq", {"new_vocab_size": 5_000, "new_ngrams_size": 30_000, "qdim": 25}),
        ("prune_ft", {"new_vocab_size": 2_500, "new_ngrams_size": 4_000}),
    ],
    100: [
        ("prune_ft_freq", {"new_vocab_size": 2_000, "new_ngrams_size": 12_000, "qdim": 25}),
        ("prune_ft_freq", {"new_vocab_size": 2_000, "new_ngrams_size": 6_000, "qdim": 50}),
        ("prune_ft", {"new_vocab_size": 1_200, "new_ngrams_size": 2_000}),
    ],
}


def tables(model: Path | None, text: Path | None, pairs: Path | None, fractions: list[int]) -> None:
    if model is not None and text is not None and is_there(model=model, text=text):
        for fraction in fractions:
            one_fraction(fraction, model, text, pairs)


def one_fraction(fraction: int, model: Path, text: Path, pairs: Path | None) -> None:
    """The table of one size."""
    here = {"model": str(model)}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, str(number), MODEL_FILE["peer"]) for number in range(len(POINTS[fraction]))]
        built = []
        for (function, arguments), path in zip(POINTS[fraction], paths, strict=True):
            path.parent.mkdir()
            built.append(run_job("build_point", path=str(path), function=function, arguments=arguments, **here))
        least = min(point["bytes"] for point in built)
        ours = Path(folder, MODEL_FILE["workbench"])
        found = run_job("build_budget", path=str(ours), fraction=fraction, most=least, **here)
        judged = run_job(
            "judge", ours=str(ours), theirs=[str(p) for p in paths], text=str(text), pairs=files(pairs), **here
        )
    names = ["`fit_budget`", *(f"`{function}` {settings(arguments)}" for function, arguments in POINTS[fraction])]
    sets = list(judged[0]["similarity"])
    errors = ("error, vocabulary", "ours / its", "error, unseen", "ours / its")
    print_table(
        f"D. About 1/{fraction} of the float32 size",
        ("", "bytes", "words", *errors, *sets, "build, s", "peak MB"),
        [line(name, *both, judged[0]) for name, *both in zip(names, [found, *built], judged, strict=True)],
        [
            f"Error is 1 - mean cosine to the original over all {judged[0]['n_words']:,} words, kept and dropped, and "
            f"over {judged[0]['n_unseen']:,} unseen ones of the text. {', '.join(sets)}: Spearman's correlation (the "
            f"original: {', '.join(f'{x:.3f}' for x in judged[0]['original'].values())}). The workbench had "
            f"{found['limit']:,} bytes; its time is that of the whole search, {found['trials']} recipes; the first "
            f"model that fits was there after {found['first']:.1f} s, and building the chosen one alone took "
            f"{found['alone']:.1f} s. It is `{found['recipe']}`."
        ],
    )


def settings(arguments: dict) -> str:
    return ", ".join(f"{value:,}" for name, value in arguments.items() if name != "sample")


def files(pairs: Path | None) -> dict[str, str]:
    """Return word-pair files by name."""
    found = [] if pairs is None else sorted(p for p in pairs.iterdir() if p.suffix in (".csv", ".tsv"))
    return {path.stem: str(path) for path in found}


def line(name: str, built: dict, judged: dict, ours: dict) -> list[str]:
    """Return a row of the table."""
    cells = [name, f"{built['bytes']:,}", f"{judged['words']:,}"]
    for split in ("known", "unseen"):
        cells += [f"{judged[split]:.5f}", f"{ours[split] / judged[split]:.2f}" if judged is not ours else ""]
    cells += [f"{value:.3f}" for value in judged["similarity"].values()]
    return [*cells, f"{built['seconds']:.0f}", f"{built['peak']:.0f}"]


def build_point(model: str, path: str, function: str, arguments: dict) -> dict:
    """Job: one of compress-fasttext's functions, saved."""
    import compress_fasttext
    import numpy as np
    from gensim.models.fasttext import load_facebook_vectors

    np.random.seed(SEED)  # its k-means draws from the global generator
    big = load_facebook_vectors(model)
    start = time.perf_counter()
    small = getattr(compress_fasttext, function)(big, **arguments)
    seconds = time.perf_counter() - start
    small.save(path)
    n_bytes = sum(file.stat().st_size for file in Path(path).parent.iterdir())
    return {"bytes": n_bytes, "seconds": seconds, "peak": peak_mb()}


def build_budget(model: str, path: str, fraction: int, most: int) -> dict:
    """Job: the workbench's best recipe for this share of the float32 size, and never more than `most` bytes."""
    import workbench as wb
    from workbench.evaluate.cost import float32_bytes

    big = wb.load(model)
    limit = min(float32_bytes(big) // fraction, most)
    start = time.perf_counter()
    fitting = []  # seconds at which a model was there that fits

    def tell(row: dict) -> None:
        if row["vectors"] is not None:
            fitting.append(time.perf_counter() - start)

    found = wb.fit_budget(big, limit, n_queries=0, random_state=SEED, callback=tell)
    seconds = time.perf_counter() - start
    tried = found.frontier
    alone = float(tried.loc[[recipe is found.recipe for recipe in tried["recipe"]], "seconds"].iloc[0])
    n_bytes = found.vectors.save(path).stat().st_size
    about = {"limit": limit, "trials": len(tried), "first": fitting[0], "alone": alone, "recipe": repr(found.recipe)}
    return {"bytes": n_bytes, "seconds": seconds, "peak": peak_mb(), **about}


def judge(model: str, ours: str, theirs: list[str], text: str, pairs: dict[str, str]) -> list[dict]:
    """Job: reopen everything, and compare it with the original on the same words."""
    from compress_fasttext.models import CompressedFastTextKeyedVectors

    import workbench as wb
    from workbench.evaluate.fidelity import cosines
    from workbench.evaluate.similarity import similarity
    from workbench.subwords import END_OF_SENTENCE

    original = wb.load(model)
    words = [word for word in original.words if word != END_OF_SENTENCE]
    unseen = unseen_words(original, text)
    exact = {"known": original.get_vectors(words), "unseen": original.get_vectors(unseen)}

    def judged(words_in: int, look_up: Any) -> dict:
        found = {"known": look_up(words), "unseen": look_up(unseen)}
        error = {split: float(1 - cosines(exact[split], found[split]).mean(dtype=float)) for split in exact}
        pair_card = similarity(original, wb.Vectors.from_arrays(words, found["known"]), pairs)
        values = pair_card.set_index(["metric", "split"])["value"]
        after, before = (
            {name: float(values[metric, name]) for name in pairs} for metric in ("similarity", "similarity_original")
        )
        counts = {"words": words_in, "n_words": len(words), "n_unseen": len(unseen)}
        return counts | error | {"similarity": after, "original": before}

    small = wb.load(ours)
    answers = [judged(len(small), lambda asked: small.get_vectors(asked, missing="zero"))]
    for path in theirs:
        model_of_theirs = CompressedFastTextKeyedVectors.load(path)
        answers.append(judged(len(model_of_theirs.key_to_index), model_of_theirs.__getitem__))
    return answers


if __name__ == "__main__":
    run_script(
        tables,
        [build_point, build_budget, judge],
        {
            "--model": MODEL,
            "--text": TEXT,
            "--pairs": {"type": Path, "default": DATA and Path(DATA, "data/wordsim_ru"), "help": "word-pair files"},
            "--fractions": {"type": int, "nargs": "*", "default": FRACTIONS},
        },
    )
