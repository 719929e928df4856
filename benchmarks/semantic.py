"""% retained by semantic ids on real collections: every estimator beside residual k-means, at several lengths.

    python benchmarks/semantic.py [movielens] [office] [builtin] [--levels 1 2 3] [--seeds 0 1 2] [--keep FOLDER]

MovieLens-small and Amazon Office are read from the folder that WORKBENCH_TEST_DATA names. With --keep,
what is trained is kept there, and a run that was stopped goes on.
"""

import ast
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
from common import Options, run_script

from workbench.evaluate.ids import id_card
from workbench.semantic import Arm, Experiment, Items, Results, SemanticIDs, load_items

ESTIMATORS = {"STE": Arm("ste"), "rotation": Arm("rotation"), "Gumbel": Arm("gumbel")}
METRICS = ["log_loss", "recall", "ndcg"]


def movielens(data: Path, folder: Path) -> Items:
    """MovieLens-small: title, genres and tags; all ratings are interactions."""
    movies, ratings, tags = (pd.read_csv(data / f"{name}.csv") for name in ("movies", "ratings", "tags"))
    movies = movies[movies["movieId"].isin(ratings["movieId"])]
    tagged = tags.groupby("movieId")["tag"].apply(lambda words: " ".join(map(str, words)))
    text = movies["title"] + " " + movies["genres"].str.replace("|", " ") + " "
    movies = movies.assign(id=movies["movieId"], text=text + movies["movieId"].map(tagged).fillna(""))
    movies[["id", "title", "text", "genres"]].to_csv(folder / "items.csv", index=False)
    seen = ratings.rename(columns={"userId": "user", "movieId": "item", "timestamp": "time"})
    seen[["user", "item", "time"]].to_csv(folder / "interactions.csv", index=False)
    return load_items(folder)


def office(data: Path, folder: Path) -> Items:
    """Amazon Office: title and description; each user's longest history, with what came next."""
    about = json.loads((data / "Office_Products.item.json").read_text(encoding="utf-8"))
    rows = [(i, item["title"], f"{item['title']} {item['description']}") for i, item in about.items()]
    pd.DataFrame(rows, columns=["id", "title", "text"]).to_csv(folder / "items.csv", index=False)
    histories: dict[str, list[int]] = {}
    for name in ("valid", "test"):
        for row in pd.read_csv(data / f"{name}.csv").itertuples():
            whole = [*ast.literal_eval(row.history_item_id), row.item_id]
            histories[row.user_id] = max(histories.get(row.user_id, []), whole, key=len)
    seen = [(user, item, place) for user, items in histories.items() for place, item in enumerate(items)]
    pd.DataFrame(seen, columns=["user", "item", "time"]).to_csv(folder / "interactions.csv", index=False)
    return load_items(folder)


def collection(name: str, folder: Path) -> Items:
    """Return the items of that name, by way of a folder as a person would bring it."""
    if name == "builtin":
        return load_items("builtin:texts")
    data = Path(os.environ["WORKBENCH_TEST_DATA"], "data/items")
    if name == "movielens":
        return movielens(data / "movielens_small", folder)
    return office(data / "amazon_office", folder)


def trained(items: Items, levels: list[int], seeds: list[int], keep: Path | None) -> Results:
    """Train all ways at all lengths."""
    arms = {
        f"{way}, {n} x 256": replace(arm, n_levels=n, codebook_size=256)
        for n in levels
        for way, arm in ESTIMATORS.items()
    }
    return Experiment(items, arms, None, seeds, keep).run()


def report(results: Results, levels: list[int]) -> None:
    """Print what each way keeps."""
    table = results.table()
    for metric in METRICS:
        rows = table[(table["metric"] == metric) & table["arm"].str.contains(",")]
        names = rows["arm"].str.extract(r"(?P<way>.*), (?P<levels>\d+) x")
        cells = [f"{100 * r.retained:.1f} ({100 * r.low:.0f} to {100 * r.high:.0f})" for r in rows.itertuples()]
        wide = names.assign(cell=cells).pivot(index="way", columns="levels", values="cell")[[str(n) for n in levels]]
        ends = table[table["metric"] == metric]["value"].to_list()
        print(f"\n% retained by {metric} (lower {ends[0]:.4f}, upper {ends[1]:.4f}), by number of levels")
        print(wide.to_string())
    for n in levels:
        chosen = results.chosen(n)
        row = table[(table["arm"] == chosen) & (table["metric"] == "log_loss")].iloc[0]
        print(f"chosen on validation at {n}: {chosen}: {100 * row.retained:.1f}, least use of a level {row.use:.3f}")


def published(items: Items) -> None:
    """Print the ids of another system for the Office items beside residual k-means of the content."""
    path = Path(os.environ["WORKBENCH_TEST_DATA"], "data/items/amazon_office/Office_Products.index.json")
    theirs = SemanticIDs.load(path)
    rows = {item: row for row, item in enumerate(items.ids)}
    features = items.features[[rows[item] for item in theirs.items]]
    ours = SemanticIDs.from_vectors(features, n_levels=3, items=theirs.items)
    for name, ids in (("published", theirs), ("residual k-means of content", ours)):
        card = id_card(ids, features)
        print(f"\n{name}\n{card[['metric', 'split', 'value', 'low', 'high', 'how']].to_string(index=False)}")


def tables(names: list[str], levels: list[int], seeds: list[int], keep: Path | None) -> None:
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            items = collection(name, Path(folder))
        print(f"\n## {name}: {items!r}", flush=True)
        began = time.perf_counter()
        results = trained(items, levels, seeds, keep)
        print(f"{time.perf_counter() - began:.0f} s for all models and their evaluation")
        report(results, levels)
        if name == "office":
            published(items)


if __name__ == "__main__":
    options: Options = {
        "names": {"nargs": "*", "default": ["movielens", "office", "builtin"]},
        "--levels": {"type": int, "nargs": "+", "default": [1, 2, 3, 4, 8]},
        "--seeds": {"type": int, "nargs": "+", "default": [0, 1, 2]},
        "--keep": {"type": Path},
    }
    run_script(tables, options=options)
