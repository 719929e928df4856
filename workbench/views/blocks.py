"""Blocks of the views of models: functions of cells and inputs, each of which fills the trait of its name."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..compress import Chain
from ..evaluate.damage import damage_summary
from ..evaluate.fidelity import cosines
from ..evaluate.maps import SIDES, noise_text
from ..evaluate.scorecard import HELP
from ..formats import OWN
from ..reports.setting import LIMITS, suggest_limits
from ..search.budget import GOALS
from ..search.sweep import best_of_their_size, table
from ..vectors import Vectors
from ..vocab import printable
from . import recipes
from .compression import N_TRIALS, UNMEASURED, Search
from .paper import code_of

MAX_WORST = 250  # words of the table of damage, by each of two orders
SPLITS = {"kept": "Kept words", "remapped": "Remapped words", "dropped": "Dropped words", "unseen": "Unseen words"}
QUALITIES = {"known": "All words", "unseen": "Unseen words", "overlap@10": "Neighbours kept"}
N_MAPPED = (1_000, 2_000, 5_000, 10_000, 20_000)


class Blocks:
    """The blocks; see `widget.View`."""

    def top(model, result, past, future, pinned):
        v, trial, is_built = model.original, result.trial if result else {}, bool(result and result.small)
        return {
            "name": Path(model.source).name or "a model in memory", "source": model.source,
            "about": f"{len(v):,} words × {v.dim} · {model.source_bytes / 1e6:,.1f} MB on disk",
            "can_undo": bool(past), "can_redo": bool(future), "pinned": pinned is not None,
            "save_bytes": trial.get("bytes") if is_built else None, "seconds": trial.get("seconds"),
        }  # fmt: skip

    def cards(result, limit, pinned):
        found = []
        for column, title, row, spread in measures(result.card):
            is_near = column == "overlap@10"
            note = f"± {5 * (row.high - row.low):.1f}" if is_near and row.n else "" if is_near else spread
            among = f" {row.how.split(', ')[1]}" if is_near and is_quick(row) else ""  # it is another measure
            scale, id = (10, "neighbours") if is_near else (1, column)
            if column:
                found.append({
                    "id": id, "title": title, "help": HELP[id], "how": how(row), "value": scale * row.value,
                    "note": note + among, "digits": 1 if is_near else 3,
                    "low": scale * row.low, "high": scale * row.high,
                    "delta": None if pinned is None else scale * (row.value - pinned[column]),
                    "waits": row.how == UNMEASURED["how"],
                })  # fmt: skip
        sizes = {row.split: row for row in result.card.itertuples() if row.metric == "size"}
        size = sizes and {
            "help": HELP["size"], "how": sizes["compressed"].how, "bytes": sizes["compressed"].value, "limit": limit,
            "original": sizes["original"].value, "ratio": result.trial["ratio"],
            "source_file": sizes["source file"].value if "source file" in sizes else None,
            "delta": None if pinned is None else sizes["compressed"].value - pinned["bytes"],
        }  # fmt: skip
        return {"cards": found, "size": size} if sizes else {}

    def rail(model, wish, recipe, result, limit, goal, failed, seed):
        if isinstance(wish, Vectors):
            return {}
        now, v = present(wish, recipe, result), model.original
        effects = result.effects if result and result.recipe == now else ()
        wrong, error = failed[1:] if failed and failed[0] == now else (None, None)
        steps = [
            {
                "i": i, "kind": type(step).__name__, "label": step.label, "blurb": f"{step.label} {step.blurb}",
                "effect": effects[i] if i < len(effects) else "", "error": error if i == wrong else None,
                "fields": recipes.fields(now, i, v),
            }
            for i, step in enumerate(now.steps if now else ())
        ]  # fmt: skip
        running, best = None, result.trial if result and result.search else {}
        if isinstance(wish, Search):
            tried, of = result.search if best else (0, N_TRIALS)
            running = {"tried": tried, "of": of, "best_bytes": best.get("bytes"), "best_quality": best.get("score")}
        goals = [{"id": id, "label": label} for id, label in zip(GOALS, ("cosine", "neighbours"), strict=True)]
        fit = {"limit": limit, "low": model.file_bytes // 200, "high": model.file_bytes}
        offered = list(recipes.presets(v, seed).items())
        presets = [
            {"id": id, "label": preset.label, "help": preset.help, "on": preset.recipe == now}
            for k, (id, preset) in enumerate(offered)
            if preset.recipe not in [other.recipe for _, other in offered[:k]]  # of a small model, some are the same
        ]
        return {
            "presets": presets, "fit": {**fit, "goal": goal, "goals": goals, "running": running}, "steps": steps,
            "addable": recipes.addable(now, v) if now else [],
        }  # fmt: skip

    def history(trail, result, quality, pinned, limit):
        tried = table(list(trail))
        tried = tried[tried["bytes"].notna() & tried[quality].notna()]
        best, a = best_of_their_size(tried, quality), pinned and pinned["recipe"]
        points = [
            {
                "id": i, "bytes": row["bytes"], "quality": row[quality], "brief": row["recipe"].brief(),
                "best": best[i], "now": result is not None and row["recipe"] == result.recipe,
                "pinned": row["recipe"] == a,
            }
            for i, row in tried.iterrows()
        ]  # fmt: skip
        qualities = [{"id": id, "label": label} for id, label in QUALITIES.items()]
        return {"quality": quality, "qualities": qualities, "points": points, "limit": limit}

    def overview(result, agreement, before, pinned):
        old, lines = pinned or before or {}, []

        def line(what: str, help: str, value: str, share: float, spread: str, how: str, was: str = "") -> None:
            row = {"what": what, "help": HELP[help], "value": value, "share": min(max(share, 0), 1), "spread": spread}
            lines.append({**row, "how": how, "before": was})

        if n := result.trial.get("bytes"):
            original = n * result.trial["ratio"]
            spread = f"{original / n:,.1f} times smaller than {original / 1e6:,.2f} MB in float32"
            was = f"{old['bytes'] / 1e6:,.2f} MB" if old else ""
            known = next(row.how for row in result.card.itertuples() if row.split == "compressed").split(",")[0]
            line("Size of the file", "size", f"{n / 1e6:,.2f} MB", n / original, spread, known, was)
        for column, title, row, spread in measures(result.card):
            is_cosine, was = column in SPLITS, old.get(column, np.nan)
            what, help = (f"Cosine, {title.lower()}", column) if is_cosine else (title, "neighbours")
            value, before = (f"{x:.4f}" if is_cosine else f"{10 * x:.2f}" for x in (row.value, was))
            value = value if row.n else "–"
            line(what, help, value, row.value, spread, how(row), before if was == was else "")
        rows = {(row.metric, row.split): row for row in (() if agreement is None else agreement.itertuples())}
        for name in [name for metric, name in rows if metric == "similarity"]:
            row, first = rows["similarity", name], rows["similarity_original", name].value
            spread = f"original {first:.3f}; 95% interval {row.low:.2f} to {row.high:.2f}"
            pairs = f"{row.how.split(';')[0]}, {row.n:,} pairs"
            line(f"Agreement with people, {name}", "agreement", f"{row.value:.3f}", row.value, spread, pairs)
        return {"rows": lines}

    def worst(damage):
        words, title = damage.words, "Changed most: all words"
        if (words["split"] == "dropped").any():
            words, title = words[words["split"] == "dropped"], "Changed most: dropped words"
        first = [
            {"word": row.word, "cosine": row.cosine if row.has_vector else None,
             "note": "" if pd.isna(row.count) else f"{row.count:,}×"}
            for row in words.sort_values(["cosine", "rank"]).head(10).itertuples()
        ]  # fmt: skip
        return {"title": title, "words": first, "n": round(words["represents"].sum())}

    def points(maps, model, n_mapped):
        return {
            **placed(maps), "topics": maps.attrs.get("topics", []), "n_mapped": min(n_mapped, len(model.original)),
            "labels": [None if pd.isna(x) else str(x) for x in maps["label"]] if "label" in maps else None,
            "numbers": sorted({min(n, len(model.original)) for n in (*N_MAPPED, n_mapped)}),
        }  # fmt: skip

    def codes(codes, level):
        levels, coded = codes  # (n, n_levels); only one level is sent: all of them are megabytes
        level = min(level, levels.shape[1] - 1)
        return {
            "level": level, "n_levels": levels.shape[1], "codes": levels[:, level].astype("<i2").tobytes(),
            "order": coded and order(coded, level),
        }  # fmt: skip

    def looked(changes, contributions, model, small):
        ngrams = {printable(word): found for word, found in (contributions or {}).items()}
        words = changes.groupby("word", sort=False)
        return {"words": [looked_at(model.original, small, word, rows, ngrams.get(word)) for word, rows in words]}

    def neighbours(sampled):
        return {"rows": records(sampled, "word rank kept k cosine lost gained"), "how": sampled.attrs["how"]}

    def damage(damage):
        words, about = damage.words, damage.words.attrs
        weighed = "counts" if about["weights"] == "counts" else "frequencies guessed from ranks by Zipf's law"
        first = [*words.nlargest(MAX_WORST, "loss_share").index, *words.nsmallest(MAX_WORST, "cosine").index]
        worst = words[words.index.isin(first)].rename(columns={"split": "fate"})
        worst["cosine"] = worst["cosine"].where(worst["has_vector"])
        groups = damage.groups.rename(columns={"share_of_vocabulary": "share"})
        codes = damage.codes.assign(chance=damage.codes["p"] > 0.05, code=damage.codes["group"])
        return {
            "summary": damage_summary(damage.groups),
            "how": [f"{about['how']}, {len(words):,} of {about['n_total']:,} words", f"loss weighted by {weighed}"],
            "groups": records(groups, "by group n share mean low high p5 no_vector loss_share worst"),
            "words": records(worst, "word rank count cosine loss_share shape fate"),
            "codes": records(codes, "code n mean z chance worst"),
        }

    def export(result, losses, model, saved, reported, writing):
        if result.recipe is None:
            return {}
        formats = [{"id": known.name, "title": known.title, "suffix": (known.suffixes or ("",))[0], "losses": lost}
                   for known, lost in (losses or {}).items()]  # fmt: skip
        limits = [
            {"id": id, "label": in_plain_words(id), "value": value, "kind": "bytes" if "size" in id else "number"}
            for id, value in suggest_limits(result.card).items()
        ]
        request, report = reported
        done = report and {
            "passed": report.passed, "error": report.error, "href": os.path.relpath(report.html),
            "of": request.recipe.brief(),
            "rows": [{"name": v.name, "value": v.value, "limit": v.baseline,
                      "met": not v.failed, "status": v.status} for v in report.verdicts],
        }  # fmt: skip
        return {
            "code": recipe_code(model.source, result.recipe), "path": f"out/small{OWN.suffixes[0]}",
            "formats": formats, "saved": saved[1] if saved and saved[0] is result else None,
            "limits": limits, "folder": "out/report", "report": done, "writing": writing,
        }  # fmt: skip


def placed(frame: pd.DataFrame) -> dict[str, Any]:
    """Return what a front end draws of maps; arrays as bytes, little-endian.

    ``before``, ``control``, ``after``: (n, 2) float32, and ``cosine``: (n,) float32, NaN without a vector; ``rank``:
    (n,) int32; ``fate``: (n,) uint8, 0 of words with a row of their own, 1 rebuilt from n-grams, 2 without a vector.
    """
    noise = frame.attrs["noise"] or {}
    fate = np.where(frame["cosine"].isna(), 2, ~frame["in_vocabulary"])
    return {
        "n": len(frame),
        "words": frame["word"].tolist(),
        **{side: frame[[f"x_{side}", f"y_{side}"]].to_numpy("<f4").tobytes() for side in SIDES},
        "cosine": frame["cosine"].to_numpy("<f4").tobytes(),
        "rank": frame["rank"].to_numpy("<i4").tobytes(),
        "fate": fate.astype("u1").tobytes(),
        **{name: frame.attrs[name] for name in ("method", "sample")},
        "noise": noise_text(frame),
        "trust": {side: frame.attrs[f"trust_{side}"] for side in SIDES},
        "kept_map": noise.get("kept_compressed"),
        "kept_chance": noise.get("kept_control"),
    }


def records(frame: pd.DataFrame, columns: str) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON has them."""
    return json.loads(frame[columns.split()].to_json(orient="records", double_precision=15))


def how(row: Any) -> str:
    return f"{row.how}, {row.n:,} words"


def is_quick(row: Any) -> bool:
    """Tell if a number is of a quick sample, which `how` begins with."""
    return row.how.startswith("quick")


def measures(card: pd.DataFrame) -> list[tuple[str | None, str, Any, str]]:
    """Return of each mean of a card its column in `sweep`, a title, its row, and in words how values are spread."""
    rows, found = {(row.metric, row.split): row for row in card.itertuples()}, list[tuple[str | None, str, Any, str]]()
    for (metric, split), row in rows.items():
        if metric == "fidelity":
            covered = rows["coverage", split].value
            spread = f"{row.low:.3f} to {row.high:.3f}, sampled"
            if not is_quick(row):
                spread = f"worst 5% {rows['fidelity_p5', split].value:.3f}"
            found.append((split, SPLITS[split], row, spread + f" · {int(100 * covered)}% covered" * (covered < 1)))
        elif metric == "overlap@10":
            column, of = (metric, "") if split == "all" else (None, f", {SPLITS[split].lower()}")
            spread = f"95% interval {10 * row.low:.1f} to {10 * row.high:.1f}" if row.n else ""
            found.append((column, f"Neighbours kept of 10{of}", row, spread))
    return found


def present(wish: Any, recipe: Chain | None, result: Any) -> Chain | None:
    """Return the recipe that a person sees: the wanted one, or the best that a search found so far."""
    return wish if isinstance(wish, Chain) else recipe or (result and result.recipe)


def order(coded: Any, level: int) -> bytes:
    """Return the places of a level's codebook entries along their first principal component: (n_entries,) int16."""
    start, end = np.concatenate([[0], np.cumsum(np.diff(coded.spans, axis=1))])[level : level + 2]
    book = coded.codebooks[:, start:end]
    centred = book - book.mean(axis=0)
    axis = np.linalg.svd(centred.astype(np.float64), full_matrices=False)[2][0]
    places = np.argsort(np.argsort(centred @ axis * np.sign(axis[np.abs(axis).argmax()]), kind="stable"))
    return places.astype("<i2").tobytes()


def looked_at(original: Vectors, small: Vectors, word: str, rows: pd.DataFrame, ngrams: Any) -> dict[str, Any]:
    """Return what the inspector shows of a word."""
    sides = [v.get_vectors([word], missing="nan") for v in (original, small)]
    place, after, counts = original.vocab.place(word), small.vocab.place(word), original.vocab.counts
    fate = "unseen" if place is None else "dropped"
    if after is not None:
        fate = "remapped" if small.vocab.remapped[after] else "kept"
    is_there = original.dim == small.dim and not np.isnan(sides[1]).any()
    about = ngrams is not None and {
        "before": ngrams.attrs["made_of_before"], "after": ngrams.attrs["made_of_after"],
        "left": ngrams.attrs["ngrams_left"], "cosine": ngrams.attrs["cosine"],
        "rows": records(ngrams.rename(columns={f"share_{side}": side for side in SIDES}),
                        "ngram before after cosine status"),
    }  # fmt: skip
    return {
        "word": word, "fate": fate, "cosine": cosines(*sides)[0] if is_there else None,
        "rank": None if place is None else 1 + (place if counts is None else (counts > counts[place]).sum()),
        "n_kept": (rows["status"] == "kept").sum(), "n_before": rows["rank_before"].notna().sum(),
        "neighbours": records(rows.assign(word=rows["neighbour"]), "word status rank_before rank_after"),
        "ngrams": about or None,
    }  # fmt: skip


def in_plain_words(limit: str) -> str:
    """Return the name of a limit of a report, such as "fidelity.kept", as a person would say it."""
    metric, split = limit.split(".")
    words = {"size": "File size", "overlap@10": "Share of neighbours kept", "fidelity": "Cosine"}.get(metric, limit)
    group = f", {SPLITS[split].lower()}" if split in SPLITS else ""
    return f"{words}{group}, {'at most' if LIMITS[limit] == 'lower' else 'at least'}"


def recipe_code(source: str, recipe: Chain, path: str = "small.safetensors") -> str:
    """Return a recipe as a script to paste, without what is as usual."""
    names = [*sorted({"Chain", *(type(step).__name__ for step in recipe.steps)}), "load"]
    values = [{name: value for name, value in step.to_json().items() if name != "step"} for step in recipe.steps]
    calls = [code_of(type(step), own) for step, own in zip(recipe.steps, values, strict=True)]
    steps = "".join(f"    {call},\n" for call in calls)
    big = f"load({source!r})" if source else "...  # the model that you gave"
    return (
        f"from workbench import {', '.join(names)}\n\nbig = {big}\nrecipe = Chain([\n{steps}])\n"
        f"small = recipe.fit_transform(big)\nsmall.save({path!r})\n"
    )
