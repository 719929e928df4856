"""Blocks of the network panel: functions of cells and inputs, each of which fills the trait of its name."""

import math
from typing import Any

import pandas as pd

from ..compress import Chain, Step
from ..evaluate.scorecard import HELP as SIZES
from ..formats import OWN
from ..networks.measures import HELP
from ..networks.steps import NetworkStep
from ..search.sweep import best_of_their_size
from ..vocab import printable
from . import network_recipes
from .blocks import looked_at, placed, records
from .recipes import effect_texts

TITLES = {
    "accuracy": "Accuracy", "macro_f1": "Macro F1", "agreement": "Agreement", "cosine": "Cosine",
    "nearest": "Nearest text kept",
}  # fmt: skip
CARDS = ("accuracy", "agreement", "cosine")
TOTAL = {"accuracy": "compressed", "macro_f1": "compressed"}  # the split that is of the small network; others: all


class NetworkBlocks:
    """The blocks; see `widget.View`."""

    def top(opened, result, past, future, pinned):
        net, task = opened.net, opened.task
        config = net.config
        layers = f"{config.n_layers} layers of {config.dim}" if config.n_layers else f"{config.kind} of {config.dim}"
        return {
            "name": short_name(net.origin, "a network"), "source": net.origin, "is_fixed": True,
            "about": f"{layers} · task {short_name(task.name, 'a task')}, {len(task.labels)} labels",
            "can_undo": bool(past), "can_redo": bool(future), "pinned": pinned is not None,
            "save_bytes": result and result.trial["bytes"] + result.small.tokenizer_bytes,
        }  # fmt: skip

    def cards(result, pinned):
        rows, found = by_split(result.card), []
        for metric in CARDS:
            row = rows.get((metric, TOTAL.get(metric, "all")))
            if row is not None and len(found) < 2:
                original = rows.get((metric, "original"))
                beside = "" if original is None else f"original {original.value:.3f} · "
                found.append({
                    "id": metric, "title": TITLES[metric], "help": HELP[metric], "how": how(row), "value": row.value,
                    "digits": 3, "note": f"{beside}95% {row.low:.3f} to {row.high:.3f}", "waits": not result.is_whole,
                    "delta": None if pinned is None else row.value - pinned[metric],
                })  # fmt: skip
        size, tokenizer = rows["size", "compressed"], as_size(rows["size", "tokenizer"].value)
        size = {
            "help": "Bytes of the file without the tokenizer.", "how": "exact", "bytes": size.value, "limit": None,
            "original": rows["size", "original"].value, "ratio": rows["ratio", "all"].value,
            "delta": None if pinned is None else size.value - pinned["bytes"], "beside": f"+ {tokenizer} tokenizer",
        }  # fmt: skip
        return {"cards": found, "size": size}

    def timing(latency):
        """Times of batches, the small network's first."""
        rows = {row.split: row for row in latency.itertuples()}
        sizes = list(dict.fromkeys(split.split(",")[0] for split in rows))
        found = [
            {"batch": size, "ms": rows[f"{size}, compressed"].value, "original": rows[f"{size}, original"].value,
             "low": rows[f"{size}, compressed"].low, "high": rows[f"{size}, compressed"].high}
            for size in sizes
        ]  # fmt: skip
        return {"rows": found, "help": HELP["latency"], "how": latency["how"].iloc[0]}

    def rail(opened, wish, built, failed):
        sizes = built.sizes if built and built.recipe == wish else ()
        effects, (wrong, error) = effect_texts(sizes), failed[1:] if failed and failed[0] == wish else (None, None)
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
        tried = pd.DataFrame(trail)
        tried = tried[tried[quality].notna()] if len(tried) else tried
        best = best_of_their_size(tried, quality) if len(tried) else ()
        points = [
            {"id": i, "bytes": row["bytes"], "quality": row[quality], "brief": brief(row["recipe"]), "best": best[i],
             "now": row["recipe"] == wish, "pinned": pinned is not None and row["recipe"] == pinned["recipe"]}
            for i, row in tried.iterrows()
        ]  # fmt: skip
        measured = [name for name in TITLES if name in tried and tried[name].notna().any()] or [quality]
        qualities = [{"id": name, "label": TITLES[name].lower()} for name in measured]
        return {"quality": quality, "qualities": qualities, "points": points, "limit": None}

    def overview(result, latency):
        rows, lines = by_split(result.card), []

        def line(what: str, help: str, value: str, share: float, spread: str, how: str) -> None:
            row = {"what": what, "help": help, "value": value, "share": min(max(share, 0), 1), "spread": spread}
            lines.append({**row, "how": how, "before": ""})

        sizes = {split: row.value for (metric, split), row in rows.items() if metric == "size"}
        small, big = sizes["compressed"], sizes["original"]
        times = f"{big / small:,.1f} times smaller than {as_size(big)} in float32, both without the tokenizer"
        line("Size", SIZES["size"], as_size(small), small / big, times, "exact")
        line("Tokenizer", "Bytes in the file.", as_size(sizes["tokenizer"]), 0, "words, n-grams or pieces", "exact")
        for (metric, split), row in rows.items():
            if metric in TITLES and split == TOTAL.get(metric, "all"):
                original = rows.get((metric, "original"))
                spread = [f"95% interval {row.low:.3f} to {row.high:.3f}"] if row.low == row.low else []
                spread = ([] if original is None else [f"original {original.value:.4f}"]) + spread
                line(TITLES[metric], HELP[metric], f"{row.value:.4f}", row.value, "; ".join(spread), how(row))
        for row in () if latency is None else latency.itertuples():
            batch, split = row.split.split(", ")
            if split == "compressed":
                other = latency[latency["split"] == f"{batch}, original"].iloc[0]
                spread = f"original {other['value']:.2f}; quartiles {row.low:.2f} to {row.high:.2f}"
                share = row.value / other["value"]
                line(f"Latency, {batch}", HELP["latency"], f"{row.value:.2f} ms", share, spread, row.how)
        return {"rows": lines}

    def layers(layers, opened, wish):
        dropped = network_recipes.layers_dropped(wish, opened.net.config.n_layers)
        rows = [{**row, "dropped": row["layer"] in dropped} for row in records(layers, " ".join(layers))]
        accuracy = f"validation part of {short_name(opened.task.name, 'the task')}"
        return {"rows": rows, "how": accuracy, "help": HELP, "can_drop": len(rows) - len(dropped) > 0}

    def weights(weights):
        table, name, numbers = weights
        row = table[table["matrix"] == name].iloc[0]
        sides = [
            {"side": side, "zeros": numbers.attrs["zeros"][i], "distinct": numbers.attrs["distinct"][i],
             "bytes": (row["before"], row["after"])[i], "bits": (32, row["bits"])[i]}
            for i, side in enumerate(("before", "after"))
        ]  # fmt: skip
        matrices = [
            {"name": r.matrix, "label": f"{r.matrix} ({' × '.join(map(str, r.shape))})", "before": r.before,
             "after": r.after, "bits": r.bits}
            for r in table.itertuples()
        ]  # fmt: skip
        bins = {column: numbers[column].tolist() for column in ("low", "high", "before", "after")}
        return {"matrices": matrices, "matrix": name, "original": row["original"], "sides": sides, "bins": bins}

    def points(maps):
        topics = []
        for label, rows in maps.groupby("label"):
            middle = rows.median(numeric_only=True)
            places = {side: [middle[f"x_{side}"], middle[f"y_{side}"]] for side in ("before", "control", "after")}
            topics.append((len(rows), {"text": label, **places}))
        topics.sort(key=lambda topic: -topic[0])
        return {
            **placed(maps), "topics": [topic for _, topic in topics], "labels": maps["label"].tolist(),
            "noun": "texts", "n_mapped": len(maps), "numbers": [],
        }  # fmt: skip

    def looked(changes):
        words = changes.rows.groupby("word", sort=False)
        return {"words": [{**looked_at(changes.original, changes.small, text, rows, None), "word": printable(text)}
                          for text, rows in words]}  # fmt: skip

    def courses(built):
        found = []
        for i, course in built.courses.items():
            rows = pd.DataFrame(course.rows)
            lines = {name: [[int(step), value] for step, value in zip(rows["step"], rows[name], strict=True)
                            if not math.isnan(value)] for name in ("loss", "valid_loss", "accuracy")}  # fmt: skip
            best = rows.loc[rows["valid_loss"].idxmin()]
            found.append({
                "i": i, "n_steps": course.step.n_steps, "what": training_text(course.step), **lines,
                "is_done": course.is_done, "at": int(rows["step"].iloc[-1]),
                "best": {"step": int(best["step"]), "loss": best["valid_loss"], "accuracy": best["accuracy"]},
            })  # fmt: skip
        return {"trainings": found, "is_running": built.small is None}

    def export(result, opened, saved):
        title = "this package's own file"
        formats = [{"id": OWN.name, "title": title, "suffix": OWN.suffixes[0], "losses": []}]
        return {
            "code": network_code(opened.net.origin, opened.task.name, result.recipe), "formats": formats,
            "path": f"out/small{OWN.suffixes[0]}", "saved": saved[1] if saved and saved[0] is result else None,
        }  # fmt: skip


def by_split(card: pd.DataFrame) -> dict[tuple[str, str], Any]:
    """Return the rows of a card by metric and split."""
    return {(row.metric, row.split): row for row in card.itertuples()}


def how(row: Any) -> str:
    return f"{row.how}, {row.n:,} texts"


def short_name(source: str, otherwise: str) -> str:
    """Return the last part of a path or name."""
    return source.rstrip("/").rpartition("/")[2] or otherwise


def as_size(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:,.2f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:,.1f} kB"


def brief(recipe: Chain) -> str:
    """Return a recipe in one line, without what is as usual."""
    return ", ".join(step_code(step) for step in recipe.steps) or "the original"


def training_text(step: Any) -> str:
    """Return what a training does, in short."""
    teacher = " with a teacher" if step.teacher is not None else ""
    return f"{step.fields['only'].choices[step.only]}{teacher}, {step.n_steps:,} steps"


def step_code(step: Step, of_networks: str = "", of_vectors: str = "") -> str:
    """Return a step as code, without the values that are its defaults; modules stand before names."""
    plain, kind, said = step.to_json(), type(step), []
    for name, value in step.get_params().items():
        if isinstance(value, Step):
            said.append(step_code(value, of_networks, of_vectors))
        elif plain.get(name, ...) != getattr(kind, name, ...):
            said.append(f"{name}={plain[name]!r}")
    return f"{of_networks if isinstance(step, NetworkStep) else of_vectors}{kind.__name__}({', '.join(said)})"


def network_code(source: str, task: str, recipe: Chain) -> str:
    """Return a recipe as a script to paste."""
    steps = "".join(f"    {step_code(step, 'networks.', 'wb.')},\n" for step in recipe.steps)
    big = f"networks.load({source!r})" if source else "...  # the network that you gave"
    return (
        "import workbench as wb\nfrom workbench import networks\n\n"
        f"big = {big}\ntask = networks.load_task({task!r})\nrecipe = wb.Chain([\n{steps}])\n"
        "small = recipe.fit_transform(big)\nsmall.save('small.safetensors')\nnetworks.card(big, small, task)\n"
    )
