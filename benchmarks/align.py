"""How often the nearest word of another language is a translation, for whole models and for compressed ones.

    python benchmarks/align.py ENGLISH [RUSSIAN] [--seeds 0 1 2 3 4]

Models of word vectors; the pairs are those of `en_ru.tsv`. Each seed holds another tenth of the words out.
"""

from pathlib import Path
from statistics import mean

from common import MODEL, Options, print_table, print_versions, run_job, run_script

PAIRS = Path(__file__).with_name("en_ru.tsv")


def tables(english: Path | None, russian: Path | None, seeds: list[int]) -> None:
    if english is None or russian is None:
        print("\nLeft out: give a model of English and one of Russian.")
        return
    print_versions("numpy")
    rows = run_job("aligned", 1, english=str(english), russian=str(russian), seeds=seeds)
    print_table("A. Translations", ("into English", "MB", "known pairs", "precision@1", "precision@5"), rows, [])


def aligned(english: str, russian: str, seeds: list[int]) -> list[list[str]]:
    """Job: a row for each compression of both models."""
    import workbench as wb

    pairs = [line.split("\t") for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    v, w = wb.load(english), wb.load(russian)
    sides = {"whole": (v, w)}
    for n in (50, 25):
        codes = wb.PQ(n)
        sides[f"PQ in {n} codes"] = codes.fit_transform(v), codes.fit_transform(w)
    rows = []
    for name, (to, of) in sides.items():
        found = [wb.align(to, of, pairs, random_state=seed) for seed in seeds]
        values = [one.card["value"].tolist() for one in found]  # coverage, precision@1, precision@5
        spread = [f"{mean(x):.3f} ({min(x):.3f} to {max(x):.3f})" for x in list(zip(*values, strict=True))[1:]]
        rows.append([name, f"{found[0].vectors.file_bytes / 1e6:.2f}", f"{values[0][0]:.3f}", *spread])
    return rows


if __name__ == "__main__":
    options: Options = {
        "english": {"type": Path, "nargs": "?", "metavar": "ENGLISH"},
        "russian": {**MODEL, "nargs": "?", "metavar": "RUSSIAN"},
        "--seeds": {"type": int, "nargs": "+", "default": [0, 1, 2, 3, 4]},
    }
    run_script(tables, [aligned], options)
