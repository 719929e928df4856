"""Blocks of the network panel: functions of cells and inputs, each of which fills the trait of its name."""

from typing import Any

import pandas as pd

from ..compress import Chain, Step
from ..evaluate.maps import SIDES
from ..formats import OWN
from ..networks.measures import HELP
from ..networks.phrases import Teacher
from ..networks.steps import NetworkStep
from ..networks.task import Task
from ..networks.training import merit
from ..search.sweep import best_of_their_size
from ..vocab import printable
from . import network_recipes
from .blocks import looked_at, placed, records
from .recipes import effect_texts

TITLES = {
    "accuracy": "Accuracy", "macro_f1": "Macro F1", "agreement": "Agreement", "spearman": "Spearman",
    "overlap@10": "Overlap@10", "cosine": "Cosine", "nearest": "Nearest text kept",
}  # fmt: skip
CARDS = ("accuracy", "agreement", "spearman", "overlap@10", "cosine", "nearest")  # the first two that there are
LOOKS = ("loss", "valid_loss", "score")  # curves of a training


class NetworkBlocks:
    """The blocks; see `widget.View`."""

    def top(opened, result, past, future, pinned):
        config, task, name = opened.net.config, opened.task, last_part(opened.task.name)
        is_task = isinstance(task, Task)
        expected = CARDS[:2] if config.labels and is_task else CARDS[-2:] if is_task else CARDS[2:4]
        layers = f"{config.n_layers} layers of {config.dim}" if config.n_layers else f"{config.kind} of {config.dim}"
        return {
            "name": last_part(opened.net.name), "is_fixed": True,
            "about": f"{layers} · " + (f"task {name}, {len(task.labels)} labels" if is_task else f"teacher {name}"),
            "expected": [TITLES[id] for id in expected],
            "can_undo": bool(past), "can_redo": bool(future), "pinned": pinned is not None,
            "save_bytes": result and result.trial["bytes"] + result.small.tokenizer_bytes,
        }  # fmt: skip

    def cards(result, pinned):
        rows, found = by_split(result.card), []
        for line in lines(result.card):
            if line["id"] in CARDS and len(found) < 2:
                delta = None if pinned is None else line["value"] - pinned.get(line["id"], float("nan"))
                found.append(
                    {**line, "note": line["spread"], "digits": 3, "delta": delta, "waits": not result.is_whole}
                )
        size = {
            "help": "Bytes of the file without the tokenizer.", "how": "exact", "bytes": result.trial["bytes"],
            "limit": None, "original": rows["size", "original"].value, "ratio": result.trial["ratio"],
            "delta": None if pinned is None else result.trial["bytes"] - pinned["bytes"],
            "beside": f"+ {as_size(rows['size', 'tokenizer'].value)} tokenizer",
        }  # fmt: skip
        return {"cards": found, "size": size}

    def timing(latency):
        rows = {"small": [], "original": []}
        for row in latency.itertuples():
            rows["original" if "original" in row.split else "small"].append(row.value)
        return {**rows, "help": HELP["latency"], "how": latency["how"].iloc[0]}

    def rail(opened, wish, built, failed):
        effects = effect_texts(built.sizes) if built and built.recipe == wish else ()
        wrong, error = failed[1:] if failed and failed[0] == wish else (None, None)
        steps = [
            {
                "i": i, "kind": type(step).__name__, "label": step.label, "blurb": f"{step.label} {step.blurb}",
                "effect": effects[i] if i < len(effects) else "", "error": error if i == wrong else None,
                "fields": network_recipes.fields(step, opened.before(wish, i)),
            }
            for i, step in enumerate(wish.steps)
        ]  # fmt: skip
        presets = [
            {"id": id, "label": preset.label, "help": preset.help, "on": preset.recipe == wish}
            for id, preset in network_recipes.presets(opened.net, opened.task).items()
        ]
        return {"presets": presets, "steps": steps, "addable": network_recipes.addable(opened.net)}

    def history(trail, wish, quality, pinned):
        tried = pd.DataFrame(trail, columns=["recipe", "bytes", *TITLES])
        best, a = best_of_their_size(tried, quality), pinned and pinned["recipe"]
        points = [
            {"id": i, "bytes": row["bytes"], "quality": row[quality], "brief": brief(row["recipe"]), "best": best[i],
             "now": row["recipe"] == wish, "pinned": row["recipe"] == a}
            for i, row in tried[tried[quality].notna()].iterrows()
        ]  # fmt: skip
        qualities = [{"id": id, "label": title} for id, title in TITLES.items() if tried[id].notna().any()]
        return {"quality": quality, "qualities": qualities, "points": points, "limit": None}

    def overview(result, latency):
        sizes = {split: row.value for (metric, split), row in by_split(result.card).items() if metric == "size"}
        small, big, exact = sizes["compressed"], sizes["original"], {"how": "exact", "before": ""}
        smaller = f"{big / small:,.1f} times smaller than {as_size(big)} in float32"
        rows = [
            {"what": "Size", "help": "Without the tokenizer.", "value": as_size(small), "share": small / big,
             "spread": smaller, **exact},
            {"what": "Tokenizer", "help": "As in the file.", "value": as_size(sizes["tokenizer"]), "share": None,
             "spread": "", **exact},
        ]  # fmt: skip
        for line in lines(result.card):
            value = {"value": f"{line['value']:.4f}", "share": max(line["value"], 0)}
            rows.append({**line, **value, "what": line["title"], "before": ""})
        times = {} if latency is None else {row.split: row for row in latency.itertuples()}
        for split, row in times.items():
            if other := times.get(split.replace("compressed", "original")):
                spread = f"original {other.value:.2f}; quartiles {row.low:.2f} to {row.high:.2f}"
                value = {"value": f"{row.value:.2f} ms", "share": None, "spread": spread, "how": row.how, "before": ""}
                if other is not row:
                    rows.append({"what": f"Latency, {split.split(',')[0]}", "help": HELP["latency"], **value})
        return {"rows": rows}

    def layers(layers, opened, wish):
        dropped = network_recipes.layers_dropped(wish, opened.net.config.n_layers)
        rows = [{**row, "dropped": row["layer"] in dropped} for row in records(layers, " ".join(layers))]
        return {"rows": rows, "how": f"validation part of {last_part(opened.task.name)}", "help": HELP}

    def weights(weights):
        table, name, numbers = weights
        row = table[table["matrix"] == name].iloc[0]
        values = zip(SIDES[::2], *numbers.attrs.values(), (row["before"], row["after"]), (32, row["bits"]), strict=True)
        sides = [dict(zip(("side", *numbers.attrs, "bytes", "bits"), of, strict=True)) for of in values]
        shapes = [" × ".join(map(str, shape)) for shape in table["shape"]]
        matrices = records(
            table.assign(label=table["matrix"] + " (" + pd.Series(shapes) + ")"), "matrix label before after bits"
        )
        bins = {column: numbers[column].tolist() for column in numbers}
        return {"matrices": matrices, "matrix": name, "original": row["original"], "sides": sides, "bins": bins}

    def points(maps):
        middles = maps[maps["label"] != ""].groupby("label").median(numeric_only=True)
        topics = [
            {"text": label, **{side: list(middles.loc[label, [f"x_{side}", f"y_{side}"]]) for side in SIDES}}
            for label in maps["label"].value_counts().index.drop("", errors="ignore")
        ]
        about = {"noun": "texts", "n_mapped": len(maps), "numbers": []}
        return {**placed(maps), "topics": topics, "labels": maps["label"].tolist() if topics else None, **about}

    def looked(near):
        words = near.changes.groupby("word", sort=False)
        found = [(text, looked_at(near.original, near.small, text, rows, None)) for text, rows in words]
        influence = {
            text: records(before.assign(before=before["influence"], after=after["influence"]), "word before after")
            for text, (before, after) in near.influence.items()
        }
        return {"words": [{**about, "word": printable(text), "parts": influence[text]} for text, about in found]}

    def courses(built):
        found = []
        for i, (step, looks, is_done) in built.courses.items():
            rows = pd.DataFrame(looks)
            curves = {name: rows[["step", name]].dropna().to_numpy().tolist() for name in LOOKS}
            what = f"{step.fields['only'].choices[step.only]}{', with a teacher' * (step.teacher is not None)}"
            found.append({
                "i": i, "n_steps": step.n_steps, "what": what, "is_done": is_done, **curves,
                "score_name": getattr(step.task, "score_name", Task.score_name),
                "rows": records(rows, "step loss valid_loss score"), "best": max(looks, key=merit),
            })  # fmt: skip
        return {"trainings": found, "is_running": built.small is None}

    def export(result, opened, saved):
        formats = [{"id": OWN.name, "title": "this package's own", "suffix": OWN.suffixes[0], "losses": []}]
        return {
            "code": network_code(opened.net.origin, opened.task, result.recipe), "formats": formats,
            "path": f"out/small{OWN.suffixes[0]}", "saved": saved[1] if saved and saved[0] is result else None,
        }  # fmt: skip


def by_split(card: pd.DataFrame) -> dict[tuple[str, str], Any]:
    """Return the rows of a card by metric and split."""
    return {(row.metric, row.split): row for row in card.itertuples()}


def lines(card: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what a card says of the small network, beside the original's."""
    rows, found = by_split(card), list[dict[str, Any]]()
    for id, title in TITLES.items():
        if row := rows.get((id, "compressed")) or rows.get((id, "all")):
            other = rows.get((id, "original"))
            spread = [] if other is None else [f"original {other.value:.3f}"]
            spread += [] if pd.isna(row.low) else [f"95% {row.low:.3f} to {row.high:.3f}"]
            about = {"id": id, "title": title, "help": HELP[id], "how": f"{row.how}, {row.n:,} texts"}
            found.append({**about, "value": row.value, "spread": " · ".join(spread)})
    return found


def last_part(source: str) -> str:
    return source.rstrip("/").rpartition("/")[2]


def as_size(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:,.2f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:,.1f} kB"


def brief(recipe: Chain) -> str:
    """Return a recipe in one line, without what is as usual."""
    return ", ".join(step_code(step) for step in recipe.steps) or "the original"


def step_code(step: Step, of_networks: str = "", of_vectors: str = "", task: Teacher | None = None) -> str:
    """Return a step as code, without the values that are its defaults.

    Modules stand before names; a teacher, which has no name that could be loaded, is `task`.
    """
    plain, kind, said = step.to_json(), type(step), []
    for name, value in step.get_params().items():
        if isinstance(value, Step):
            said.append(step_code(value, of_networks, of_vectors, task))
        elif value is task is not None:
            said.append(f"{name}=task")
        elif plain.get(name, ...) != getattr(kind, name, ...):
            said.append(f"{name}={plain[name]!r}")
    return f"{of_networks if isinstance(step, NetworkStep) else of_vectors}{kind.__name__}({', '.join(said)})"


def network_code(source: str, task: Task | Teacher, recipe: Chain) -> str:
    """Return a recipe as a script to paste."""
    teacher = task if isinstance(task, Teacher) else None
    steps = "".join(f"    {step_code(step, 'networks.', 'wb.', teacher)},\n" for step in recipe.steps)
    judge = f"networks.load_task({task.name!r})" if teacher is None else "...  # the texts and vectors that you gave"
    big = f"networks.load({source!r})" if source else "...  # the network that you gave"
    return (
        "import workbench as wb\nfrom workbench import networks\n\n"
        f"big = {big}\ntask = {judge}\nrecipe = wb.Chain([\n{steps}])\n"
        "small = recipe.fit_transform(big)\nsmall.save('small.safetensors')\nnetworks.card(big, small, task)\n"
    )
