"""First numbers of a large model: how soon a panel has them, and how far they are from those of the whole.

    python benchmarks/quick.py [--model PATH] [--words N] [--buckets N] [--dim N]

The model is a synthetic one of this size, written into the folder for temporary files and removed at the end, or that
of a file. Times are of a live panel without a browser in a fresh process, the file in the page cache: to the first
numbers, and from a change to the numbers of the quick sample and of the whole. The output is Markdown.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from common import print_table, run_job, run_script
from scale import Size, make

SPLITS = ("kept", "dropped", "unseen")
CHANGES = (("PQ", "n_subvectors"), ("PQ", "n_subvectors"), ("Prune", "n_words"), ("Prune", "n_ngrams"))
FACTOR = 0.8  # of the value before
PATIENCE = 3_600  # seconds


def tables(model: Path | None, words: int, buckets: int, dim: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder, "large.bin"), Size(words, buckets, dim)) if model is None else model
        times, numbers = run_job("wait", model=str(path)), run_job("compare", model=str(path))
    title = f"{path.name}, {numbers['about']}"
    print_table(
        f"{title}: seconds to numbers (of the processor)",
        ("", "quick sample", "neighbours in a sample", "whole"),
        times,
    )
    head = ("recipe", *(f"{split}: quick, whole" for split in SPLITS), "s, quick", "s, whole")
    inside, of = numbers["inside"]
    print_table(f"{title}: cosines", head, numbers["rows"], [f"Whole numbers inside the interval: {inside} of {of}."])


# -- jobs ---------------------------------------------------------------------------------


def wait(model: str) -> list[list[str]]:
    """Job: seconds from opening a panel to numbers, and from changes, the last of which is waited for."""
    begun = clocks()
    import workbench as wb

    panel = wb.views.CompressionPanel(model, interactive=True)
    rows = [["opening, imports included", *stages(panel, begun, "quick")]]
    for kind, name in CHANGES:
        i, step = next((i, step) for i, step in enumerate(panel.recipe.steps) if type(step).__name__ == kind)
        value, begun = int(FACTOR * getattr(step, name)), clocks()
        panel.do_set(i, name, value)
        rows.append([f"{name} becomes {value:,}, while the whole is built", *stages(panel, begun, "quick")])
    rows.append(["the same, to the end", *stages(panel, begun, "whole")])
    panel.close()
    return rows


def clocks() -> tuple[float, float]:
    """Return the time, and the processor's time of this process."""
    return time.perf_counter(), time.process_time()


def stages(panel: Any, begun: tuple[float, float], last: str) -> list[str]:
    """Return the seconds until numbers of each kind stand on the cards; those after the `last` are not waited for."""
    found: dict[str, str] = {}
    while not {last, "whole"} & found.keys() and clocks()[0] - begun[0] < PATIENCE:
        result, now = panel.flow["result"], [after - before for before, after in zip(begun, clocks(), strict=True)]
        if result is not None and panel.flow.is_fresh("result"):
            is_near = any("among" in how for how in result.card["how"])
            kind = "whole" if result.is_whole else "quick" if result.small is None else "near" if is_near else "begun"
            found.setdefault(kind, f"{now[0]:.1f} ({now[1]:.1f})")
        time.sleep(0.005)
    return [found.get(kind, "") for kind in ("quick", "near", "whole")]


def compare(model: str) -> dict[str, Any]:
    """Job: numbers of the quick sample and of the whole, for several recipes."""
    import workbench as wb
    from workbench.compress.builder import Builder
    from workbench.evaluate.scorecard import quick_card
    from workbench.search.quick import Quick
    from workbench.search.suggest import presets

    v = wb.load(model)
    prune, refit, usual = presets(v)["balanced"].recipe.steps
    few = wb.Prune(prune.n_words // 3, prune.n_ngrams // 3)
    recipes = [
        *(wb.Chain([prune, refit, wb.PQ(int(v.dim * share))]) for share in (0.5, 0.37, 0.25, 0.16, 0.1)),
        wb.Chain([prune, refit, wb.PQ(v.dim // 2, n_bits=4)]), wb.Chain([prune, refit, wb.SQ("int8")]),
        wb.Chain([prune, usual]), wb.Chain([few, refit, usual]), presets(v)["tiny"].recipe,
    ]  # fmt: skip
    quick, builder = Quick(v), Builder(v.adjusted())
    rows, inside, of = [], 0, 0
    for recipe in recipes:
        begun = time.perf_counter()
        sampled = quick.card(recipe, None, 2_000, 0)
        between = time.perf_counter()
        if sampled is None:
            rows.append([recipe.brief(), *["no quick numbers"] * len(SPLITS), "", ""])
            continue
        whole = quick_card(builder.original, builder.build(recipe), n_queries=0)
        seconds = [f"{between - begun:.1f}", f"{time.perf_counter() - between:.1f}"]
        near, far = (card.set_index(["metric", "split"]).loc["fidelity"] for card in (sampled, whole))
        inside += sum(near["low"][split] <= far["value"][split] <= near["high"][split] for split in SPLITS)
        of += len(SPLITS)
        texts = [
            f"{near['value'][s]:.4f} ± {near['high'][s] - near['value'][s]:.4f}, {far['value'][s]:.4f}" for s in SPLITS
        ]
        rows.append([recipe.brief(), *texts, *seconds])
    return {"rows": rows, "inside": [int(inside), of], "about": f"{len(v):,} words x {v.dim}"}


if __name__ == "__main__":
    defaults = {"words": 2_000_000, "buckets": 2_000_000, "dim": 300}
    sizes = {f"--{name}": {"type": int, "default": number} for name, number in defaults.items()}
    run_script(tables, [wait, compare], {"--model": {"type": Path}, **sizes})
