"""The compression panel, and views of a model beside a small one that is given."""

import os
import tempfile
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import traitlets

from ..compress import Chain, Step
from ..data import NAMES
from ..evaluate.fidelity import cosines
from ..evaluate.similarity import Pairs
from ..formats import FORMATS, OWN, export, writable
from ..reports.metrics import WORDS
from ..reports.setting import LIMITS, suggest_limits
from ..search.budget import GOALS, parse_bytes
from ..search.sweep import best_of_their_size, table
from ..vectors import Vectors, remembered
from ..vocab import printable
from . import recipes
from .compression import N_TRIALS, Compression, Reporting, Search
from .flow import Doing, Flow, in_words
from .paper import HELP, damage_summary, panel_page
from .plots import noise_text
from .widget import View, run_by_a_person, shown

MAX_WORDS = 4  # looked at side by side
MAX_UNDONE = 100  # recipes that undo goes back over
MAX_WORST = 250  # words of the table of damage, by each of two orders
CHUNK, PAUSE = 1 << 18, 0.3  # bytes of a download at once, and seconds between: the server drops what comes faster
SPLITS = {"kept": "Kept words", "remapped": "Remapped words", "dropped": "Dropped words", "unseen": "Unseen words"}
QUALITIES = {"known": "All words", "unseen": "Unseen words", "overlap@10": "Neighbours kept"}
N_MAPPED = (1_000, 2_000, 5_000, 10_000, 20_000)
OPENED = tuple({end for known in FORMATS for end in (*known.suffixes, *known.also_opens, ".gz" * known.gzips) if end})


class Blocks:
    """What is drawn: functions of cells and inputs, which return what the traits of the same names hold."""

    def top(model, result, past, future, pinned):
        v = model.original
        n_bytes = v.meta.get("provenance", {}).get("source_bytes") or v.file_bytes
        trial = result.trial if result else {}
        return {
            "name": Path(model.source).name or "a model in memory", "source": model.source,
            "about": f"{len(v):,} words × {v.dim} · {n_bytes / 1e6:,.1f} MB on disk",
            "can_undo": bool(past), "can_redo": bool(future), "pinned": pinned is not None,
            "save_bytes": number(trial.get("bytes")), "seconds": number(trial.get("seconds")),
        }  # fmt: skip

    def cards(result, limit, pinned):
        rows = rows_of(result.card)
        if not rows:
            return {}
        size, original = rows["size", "compressed"], rows["size", "original"].value
        source_file = rows["size", "source file"].value if ("size", "source file") in rows else None
        found = [card(rows, split, "fidelity", split, pinned) for split in SPLITS if ("fidelity", split) in rows]
        if ("overlap@10", "all") in rows:
            found.append(card(rows, "neighbours", "overlap@10", "all", pinned))
        return {
            "cards": found,
            "size": {
                "help": HELP["size"], "how": size.how, "bytes": size.value, "limit": limit, "original": original,
                "source_file": source_file, "ratio": rows["ratio", "all"].value,
                "delta": None if pinned is None else size.value - pinned["bytes"],
            },
        }  # fmt: skip

    def rail(model, wish, recipe, result, limit, goal, failed, seed):
        if isinstance(wish, Vectors):
            return {}
        now, v = present(wish, recipe, result), model.vectors
        effects = result.effects if result and result.recipe == now else []
        error = failed[1:] if failed and failed[0] == now else (None, "")
        steps = [
            {
                "i": i, "kind": type(step).__name__, "label": step.label, "blurb": f"{step.label} {step.blurb}",
                "effect": effects[i] if i < len(effects) else "", "error": error[1] if error[0] == i else None,
                "fields": recipes.fields(now, i, v),
            }
            for i, step in enumerate(now.steps if now else ())
        ]  # fmt: skip
        running = None
        if isinstance(wish, Search):
            tried, of = result.search if result and result.search else (0, N_TRIALS)
            best = result.trial if result and result.search else {}
            running = {"tried": tried, "of": of, "best_bytes": number(best.get("bytes")),
                       "best_quality": number(best.get("score"))}  # fmt: skip
        presets = [
            {"id": id, "label": label, "help": about, "on": chain == now}
            for id, (label, about, chain) in recipes.presets(v, seed).items()
        ]
        high = v.file_bytes
        fit = {"text": "" if limit is None else f"{limit / 1e6:g} MB", "low": high // 200, "high": high, "goal": goal,
               "goals": [{"id": id, "label": label} for id, label in zip(GOALS, ("cosine", "neighbours"), strict=True)],
               "running": running}  # fmt: skip
        return {"presets": presets, "fit": fit, "steps": steps, "addable": recipes.addable(now, v) if now else []}

    def history(trail, recipe, result, quality, pinned, limit):
        tried = table(list(trail))
        tried = tried[tried["bytes"].notna() & tried[quality].notna()]
        best = best_of_their_size(tried, quality)
        points = [
            {
                "id": i, "bytes": float(row["bytes"]), "quality": float(row[quality]), "brief": row["recipe"].brief(),
                "best": bool(best[i]), "now": result is not None and row["recipe"] == result.recipe,
                "pinned": pinned is not None and row["recipe"] == pinned["recipe"],
            }
            for i, row in tried.iterrows()
        ]  # fmt: skip
        qualities = [{"id": id, "label": label} for id, label in QUALITIES.items()]
        return {"quality": quality, "qualities": qualities, "points": points, "limit": limit}

    def overview(result, agreement, before, pinned):
        rows, old = rows_of(result.card), (pinned or before or {}).get
        if not rows:
            return {}
        size, original = rows["size", "compressed"].value, rows["size", "original"].value
        was = old("bytes")
        lines = [{
            "what": "Size of the file", "help": HELP["size"], "value": f"{size / 1e6:,.2f} MB",
            "share": size / original, "spread": f"{original / size:,.1f} times smaller than {original / 1e6:,.2f} MB in float32",
            "how": "exact", "before": "" if was is None else f"{was / 1e6:,.2f} MB",
        }]  # fmt: skip
        for metric, named, digits in (("fidelity", "Cosine, {}", 4), ("overlap@10", "Neighbours kept of 10, {}", 3)):
            for split, about in {"all": "All words", **SPLITS}.items():
                if (metric, split) in rows:
                    row, was = rows[metric, split], old(split if metric == "fidelity" else f"{metric}.{split}")
                    lines.append({
                        "what": named.format(about.lower()), "help": HELP[split if metric == "fidelity" else metric],
                        "value": f"{row.value:.{digits}f}", "share": min(max(row.value, 0), 1),
                        "spread": spread(rows, metric, split), "how": how(row),
                        "before": "" if was is None or np.isnan(was) else f"{was:.{digits}f}",
                    })  # fmt: skip
        for (metric, name), row in rows_of(agreement).items():
            if metric == "similarity":
                first = rows_of(agreement)["similarity_original", name].value
                lines.append({
                    "what": f"Agreement with people, {name}", "help": HELP["agreement"], "value": f"{row.value:.3f}",
                    "share": min(max(row.value, 0), 1), "how": f"{row.how.split(';')[0]}, {row.n:,} pairs", "before": "",
                    "spread": f"original {first:.3f}; 95% interval {row.low:.2f} to {row.high:.2f}",
                })  # fmt: skip
        return {"rows": lines}

    def worst(damage):
        words, title = damage.words, "Changed most: all words"
        if (words["split"] == "dropped").any():
            words, title = words[words["split"] == "dropped"], "Changed most: dropped words"
        first = words.sort_values(["cosine", "rank"]).head(12)
        found = [
            {"word": row.word, "cosine": number(row.cosine) if row.has_vector else None,
             "note": "" if pd.isna(row.count) else f"{row.count:,}×"}
            for row in first.itertuples(index=False)
        ]  # fmt: skip
        return {"title": title, "words": found, "n": round(words["represents"].sum())}

    def points(maps, codes, model, n_mapped):
        about, n = maps.attrs, len(maps)
        lost = maps["cosine"].isna()
        levels, coded = (np.empty((n, 0)), None) if codes is None or len(codes[0]) != n else codes
        noise = about["noise"] or {}
        drawn = {
            side: maps[[f"x_{side}", f"y_{side}"]].to_numpy("<f4").tobytes() for side in ("before", "control", "after")
        }
        return {
            **drawn, "n": n, "words": maps["word"].tolist(), "cosine": maps["cosine"].to_numpy("<f4").tobytes(),
            "rank": maps["rank"].to_numpy("<i4").tobytes(), "n_levels": levels.shape[1],
            "fate": np.where(lost, 2, np.where(maps["in_vocabulary"], 0, 1)).astype("u1").tobytes(),
            "codes": levels.astype("<i2").tobytes(), "code_order": coded and orders(coded),
            "labels": maps["label"].tolist() if "label" in maps else None, "topics": about.get("topics", []),
            "method": about["method"], "sample": about["sample"], "noise": noise_text(maps),
            "trust": {side: about[f"trust_{side}"] for side in ("before", "control", "after")},
            "kept_map": noise.get("kept_compressed"), "kept_chance": noise.get("kept_control"), "n_mapped": n_mapped,
            "numbers": sorted({min(n, len(model.original)) for n in (*N_MAPPED, n_mapped)}),
        }  # fmt: skip

    def looked(changes, contributions, model, result):
        tables = {printable(word): found for word, found in (contributions or {}).items()}
        return {"words": [
            looked_at(model.vectors, result.small, word, rows, tables.get(word))
            for word, rows in changes.groupby("word", sort=False)
        ]}  # fmt: skip

    def neighbours(sampled):
        fields = ("word", "rank", "kept", "k", "cosine", "lost", "gained")
        rows = [dict(zip(fields, row, strict=True)) for row in sampled[list(fields)].itertuples(index=False)]
        return {"rows": [plain(row) for row in rows], "how": sampled.attrs["how"]}

    def damage(damage):
        words, about = damage.words, damage.words.attrs
        worst = words.index.isin(
            [*words.nlargest(MAX_WORST, "worry").index, *words.nsmallest(MAX_WORST, "cosine").index]
        )
        weighed = "counts" if about["weights"] == "counts" else "frequencies guessed from ranks by Zipf's law"
        renamed = {"share_of_vocabulary": "share", "worry": "loss_share", "split": "fate"}
        group_fields = ["by", "group", "n", "share", "mean", "low", "high", "p5", "no_vector", "loss_share", "worst"]
        word_fields = ["word", "rank", "count", "cosine", "loss_share", "shape", "fate"]
        scored = words[worst].assign(cosine=words["cosine"].where(words["has_vector"])).rename(columns=renamed)
        codes = damage.codes.rename(columns={"group": "name"}).assign(chance=damage.codes["p"] > 0.05)
        return {
            "summary": damage_summary(damage.groups),
            "how": [f"{about['how']}, {len(words):,} of {about['n_total']:,} words", f"loss weighted by {weighed}"],
            "groups": records(damage.groups.rename(columns=renamed), group_fields),
            "words": records(scored, word_fields),
            "codes": [r | {"code": r["name"]} for r in records(codes, ["name", "n", "mean", "z", "chance", "worst"])],
        }

    def export(result, model, saved, report, reported, writing):
        if result.recipe is None:
            return {}
        limits = [{"id": id, "about": f"{id}: {WORDS[LIMITS[id]]}", "value": value, "on": True}
                  for id, value in suggest_limits(result.card).items()]  # fmt: skip
        done = report and {
            "passed": report.passed, "error": report.error, "href": os.path.relpath(report.html),
            "of": reported.recipe.brief() if reported else "",
            "rows": [{"name": v.name, "value": number(v.value), "limit": number(v.baseline), "met": not v.failed,
                      "status": v.status} for v in report.verdicts],
        }  # fmt: skip
        return {
            "code": recipe_code(model.source, result.recipe), "path": f"out/small{OWN.suffixes[0]}",
            "formats": formats(result.small), "saved": saved[1] if saved and saved[0] is result else None,
            "limits": limits, "folder": "out/report", "report": done, "writing": writing,
        }  # fmt: skip


def number(x: Any) -> float | None:
    """Return a number for JSON; None for NaN and what is missing."""
    return None if x is None or pd.isna(x) else float(x)


def plain(x: Any) -> Any:
    """Return a value of a table as JSON has it."""
    if isinstance(x, Mapping):
        return {str(name): plain(value) for name, value in x.items()}
    if isinstance(x, tuple | list):
        return [plain(value) for value in x]
    if isinstance(x, np.generic):
        x = x.item()
    return None if pd.isna(x) else x


def records(frame: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    return [plain(row) for row in frame[list(columns)].astype(object).to_dict("records")]


def rows_of(card: pd.DataFrame | None) -> dict[tuple[str, str], Any]:
    """Return the rows of a card by metric and split."""
    return {} if card is None else {(row.metric, row.split): row for row in card.itertuples()}


def how(row: Any) -> str:
    return f"{row.how}, {row.n:,} words"


def spread(rows: dict, metric: str, split: str) -> str:
    """Return how values are spread around their mean, in words."""
    if metric != "fidelity":
        return f"95% interval {rows[metric, split].low:.2f} to {rows[metric, split].high:.2f}"
    covered = rows["coverage", split].value
    low = f"5th percentile {rows['fidelity_p5', split].value:.3f}"
    return low if covered == 1 else f"{low} · {covered:.1%} have a vector"


def card(rows: dict, id: str, metric: str, split: str, pinned: dict | None) -> dict[str, Any]:
    """Return a card's content: cosines as they are, neighbours of 10."""
    row, scale = rows[metric, split], 1 if metric == "fidelity" else 10
    before = None if pinned is None else number(pinned[split if metric == "fidelity" else metric])
    return {
        "id": id, "title": SPLITS.get(id, "Neighbours kept of 10"), "help": HELP[id], "value": scale * row.value,
        "digits": 3 if scale == 1 else 1, "how": how(row),
        "note": spread(rows, metric, split) if scale == 1 else f"± {scale * (row.high - row.low) / 2:.1f}",
        "delta": None if before is None else scale * (row.value - before),
        "low": number(scale * row.low), "high": number(scale * row.high),
    }  # fmt: skip


def present(wish: Any, recipe: Chain | None, result: Any) -> Chain | None:
    """Return the recipe that a person sees: the wanted one, or the best that a search found so far."""
    return wish if isinstance(wish, Chain) else recipe or (result and result.recipe)


def orders(coded: Any) -> bytes:
    """Return places of the entries of each codebook along its first principal component: (n_levels, n_entries)."""
    ends = np.cumsum(np.diff(coded.spans, axis=1))
    places = []
    for book in np.split(coded.codebooks, ends[:-1], axis=1):
        centred = book - book.mean(axis=0)
        axis = np.linalg.svd(centred.astype(np.float64), full_matrices=False)[2][0]
        places.append(np.argsort(np.argsort(centred @ axis * np.sign(axis[np.abs(axis).argmax()]), kind="stable")))
    return np.stack(places).astype("<i2").tobytes()


def looked_at(original: Vectors, small: Vectors, word: str, rows: pd.DataFrame, ngrams: Any) -> dict[str, Any]:
    """Return what the inspector shows of a word."""
    sides = [v.get_vectors([word], missing="nan") for v in (original, small)]
    place, counts = original.vocab.place(word), original.vocab.counts
    fate = "kept" if word in small else "dropped" if place is not None else "unseen"
    if word in small and small.vocab.remapped[small.vocab.place(word)]:
        fate = "remapped"
    fields = ["neighbour", "status", "rank_before", "rank_after"]
    return {
        "word": word, "fate": fate, "cosine": None if np.isnan(sides[1]).any() else float(cosines(*sides)[0]),
        "rank": None if place is None else 1 + (place if counts is None else int((counts > counts[place]).sum())),
        "n_kept": int((rows["status"] == "kept").sum()), "n_before": int(rows["rank_before"].notna().sum()),
        "neighbours": [row | {"word": row["neighbour"]} for row in records(rows, fields)],
        "ngrams": None if ngrams is None else {
            "before": ngrams.attrs["made_of_before"], "after": ngrams.attrs["made_of_after"],
            "left": ngrams.attrs["ngrams_left"], "cosine": ngrams.attrs["cosine"],
            "rows": records(ngrams.rename(columns={"share_before": "before", "share_after": "after"}),
                            ["ngram", "before", "after", "cosine", "status"]),
        },
    }  # fmt: skip


@remembered
def formats(small: Vectors) -> list[dict[str, Any]]:
    """Return the formats that can be written, and what each would lose of a model."""
    return [
        {"id": known.name, "title": known.title, "suffix": (known.suffixes or ("",))[0], "losses": known.losses(small)}
        for known in writable().values()
    ]


def recipe_code(source: str, recipe: Chain, path: str = "small.safetensors") -> str:
    """Return a recipe as a script to paste."""
    names = [*sorted({"Chain", *(type(step).__name__ for step in recipe.steps)}), "load"]
    steps = "".join(f"    {step!r},\n" for step in recipe.steps)
    big = f"load({source!r})" if source else "...  # the model that you gave"
    return (
        f"from workbench import {', '.join(names)}\n\nbig = {big}\nrecipe = Chain([\n{steps}])\n"
        f"small = recipe.fit_transform(big)\nsmall.save({path!r})\n"
    )


def some_words(text: str | Sequence[str], model: Any = None) -> tuple[str, ...]:
    """Return words to look at, of a text or a list; refuse those that the model knows nothing of."""
    if isinstance(text, str):
        whole = model is not None and text.strip() in model.original  # a few words hold commas or spaces
        text = [text.strip()] if whole else text.replace(",", " ").split()
    words = tuple(dict.fromkeys(text))[:MAX_WORDS]
    for word in words if model is not None else ():
        if not model.original.can_embed(word):
            raise KeyError(f"the model has no vector for {word!r}; try another spelling")
    return words


def openable(source: Any) -> Any:
    """Return a model or where it is; refuse what cannot be opened, as far as that is clear at once."""
    if not isinstance(source, Vectors | str | Path):
        raise TypeError(f"expected a model, its path or 'builtin:en', got {type(source).__name__}")
    if not isinstance(source, Vectors) and str(source) not in NAMES and not Path(source).expanduser().exists():
        raise FileNotFoundError(f"{source} does not exist; expected a model file or 'builtin:en'")
    return source


class ModelView(View):
    """What views of one model, or of two, have in common: blocks to draw, and words to look at."""

    blocks = Blocks
    (top, cards, rail, predicted, history, overview, worst, points, looked, neighbours, damage, export, folder) = (
        shown() for _ in range(13)
    )
    words = traitlets.Any((), help="words that are looked at, up to four")

    def __init__(
        self, source: Any, words: Sequence[str], interactive: bool | None, random_state: int,
        wanted: Collection[str] | None = None, ui: dict | None = None, **inputs: Any,
    ) -> None:  # fmt: skip
        live, words = run_by_a_person() if interactive is None else interactive, some_words(words)
        usual = {"wish": None, "pairs": None, "labels": None, "unseen": None, "n_words": 0, "n_queries": 200,
                 "n_mapped": 2_000, "suggest": None, "drawn": "UMAP", "reporting": None}  # fmt: skip
        given = usual | inputs | {"source": openable(source), "words": words, "seed": random_state}
        flow = Flow(Compression, live, wanted, **given)
        super().__init__(flow, kind="panel", ui=ui or {}, words=words)
        if not live:
            self.wait()

    def page(self) -> str:
        """Return what is shown as HTML that needs no network, kernel or script."""
        blocks = {name: getattr(self, name) for name in ("status", *(block.name for block in self._blocks))}
        return panel_page(blocks, self.flow["maps"])

    @traitlets.validate("words")
    def _check_words(self, proposal: Any) -> tuple[str, ...]:
        return some_words(proposal["value"], self.flow["model"])

    @traitlets.observe("words")
    def _look(self, change: Any) -> None:
        self.flow.set(words=change["new"])

    def do_look(self, words: str | Sequence[str]) -> None:
        """Look at the neighbours of words."""
        self.words = words

    def do_map_words(self, n: int) -> None:
        """Show so many words on the maps."""
        self.flow.set(n_mapped=int(n))

    def do_draw(self, method: str) -> None:
        """Draw the maps by UMAP or by principal components."""
        self.flow.set(drawn=method)

    def do_retry(self) -> None:
        """Compute again what failed."""
        self.flow.retry()


class CompressionPanel(ModelView):
    """Compress a model and see at once what each setting costs.

    The next cell may read and set, and observe, as of any widget: `recipe`, `limit`, `words`, `source`; and read and
    observe `vectors`, the small model, and `card`, its numbers.

    Parameters
    ----------
    source : Vectors, path or str
        The model, or where it is; see `load`.
    recipe : Chain, optional
        Where to begin.
    n_words, n_ngrams, n_subvectors : int, optional
        In place of `recipe`, the numbers of the usual one (prune, re-fit, PQ).
    words : sequence of str
        Words whose neighbours are compared first, up to four.
    unseen : list of str, optional
        Real words that the model does not know, to score; see `scorecard`.
    pairs : mapping, optional
        Word pairs that people scored; see `scorecard`.
    labels : mapping of word to str, optional
        Your own, to colour the maps by.
    n_mapped : int
        Words on the maps.
    interactive : bool, optional
        By default live where a person runs the cell, and a page of tables and pictures where a program such as
        papermill does. A live panel leaves this page in the notebook, for readers who open it when nothing runs.
    random_state : int
    """

    recipe = traitlets.Any(help="the recipe that is wanted")
    vectors = traitlets.Any(read_only=True, help="the small model")
    card = traitlets.Any(read_only=True, help="the numbers of the small model, as of `scorecard`")
    limit = traitlets.Any(help="bytes that the file should stay within, or a text such as '20 MB'; None for no limit")
    source = traitlets.Any(help="the model, or where it is")

    def __init__(
        self,
        source: Vectors | str | Path = "builtin:en",
        *,
        recipe: Chain | None = None,
        n_words: int | None = None,
        n_ngrams: int | None = None,
        n_subvectors: int | None = None,
        words: Sequence[str] = (),
        unseen: list[str] | None = None,
        pairs: Mapping[str, Pairs | str | Path] | None = None,
        labels: Mapping[str, str] | None = None,
        n_mapped: int = 2_000,
        interactive: bool | None = None,
        random_state: int = 0,
    ):
        self._model: Any = None  # those whose values traits have
        self._result: Any = None
        self._told: dict[str, Any] = {}  # values of traits that we set ourselves
        self._before: dict[str, Any] = {}  # what to go back to if another model cannot be opened
        self._folder: Any = None  # of uploads
        self._source = source

        suggest = partial(
            recipes.usual, n_words=n_words, n_ngrams=n_ngrams, n_subvectors=n_subvectors, seed=random_state
        )
        super().__init__(
            source, words, interactive, random_state,
            ui={"tab": "overview", "tabs": ["overview", "map", "neighbours", "damage", "export"]},
            wish=None if recipe is None else checked(recipe), suggest=suggest, unseen=unseen, pairs=pairs, labels=labels,
            n_words=2_000, n_mapped=n_mapped, past=(), future=(), pinned=None, quality="known", goal=GOALS[0],
            limit=None, trail=(), failed=None, saved=None, before=None, reported=None, writing=None,
        )  # fmt: skip

    # -- what the next cell may set ---------------------------------------------------------

    @traitlets.validate("recipe")
    def _check_recipe(self, proposal: Any) -> Chain:
        return checked(proposal["value"])

    @traitlets.validate("limit")
    def _check_limit(self, proposal: Any) -> int | None:
        return None if proposal["value"] in (None, "") else parse_bytes(proposal["value"])

    @traitlets.validate("source")
    def _check_source(self, proposal: Any) -> Any:
        return openable(proposal["value"])

    @traitlets.observe("recipe", "limit", "source")
    def _set(self, change: Any) -> None:
        name, new = change["name"], change["new"]
        if name == "limit":
            self._note(limit=new)
        elif new is not self._told.get(name):
            self._want(new) if name == "recipe" else self._open(new)

    def _open(self, source: Any) -> None:
        """Open another model; until it is there, and if it cannot be opened, the old one stays."""
        if not self._before and self.flow.is_fresh("model"):
            self._before = {name: self.flow[name] for name in ("wish", "past", "future", "pinned", "suggest")}
            self._before |= {"source": self.flow["model"], "given": self._source}
        self._source, self._result = source, None
        self.flow.set(
            source=source,
            wish=None,
            suggest=partial(recipes.usual, seed=self.flow["seed"]),
            past=(),
            future=(),
            pinned=None,
            before=None,
        )

    def _go_back(self) -> None:
        """Return to the model that was open before."""
        before, self._before = self._before, {}
        self._source = before.pop("given")
        self.flow.set(**before)

    @property
    def _present(self) -> Chain | None:
        return present(*(self.flow[name] for name in ("wish", "recipe", "result")))

    def _want(self, recipe: Chain) -> None:
        """Build a recipe; undo goes back to the present one."""
        now, past = self._present, self.flow["past"]
        if now is not None and now != recipe:
            past = (*past, now)[-MAX_UNDONE:]
        self.flow.set(wish=checked(recipe), past=past, future=())

    def _note(self, **values: Any) -> None:
        """Change what is drawn and nothing is computed from."""
        self.flow.values.update(values)
        self.render()

    def _tell(self, **traits: Any) -> None:
        """Set traits to what was found, which nobody asks for."""
        for name, value in traits.items():
            self._told[name] = value
            self.set_trait(name, value)

    def render(self) -> None:
        """Draw what is new, and take over what was found; called from any thread."""
        with self._drawing:
            try:
                self._follow()
            except Exception as error:  # else it would end the thread of the flow, out of sight
                self._problem = in_words(error)
            super().render()

    def _follow(self) -> None:
        flow, values = self.flow, self.flow.values
        model, result, wish, errors = flow["model"], flow["result"], flow["wish"], flow.errors
        if self._before and "model" in errors:
            self._problem = errors["model"]
            return self._go_back()
        if model is None:
            return self._tell(source=self._source)
        if model is not self._model:
            self._model, self._before = model, {}
            self._tell(words=tuple(word for word in self.words if model.original.can_embed(word)))
            flow.set(words=self.words)
        if isinstance(wish, Search) and "result" in errors:
            self._problem = errors["result"]
            return flow.set(wish=result.recipe if result else Chain([]))
        if isinstance(wish, Search) and flow.is_fresh("result") and result.search is None:
            return flow.set(wish=result.recipe)
        if result is not self._result and result is not None:
            if self._result is not None and self._result.recipe != result.recipe:
                values["before"] = self._result.trial
            self._result = result
            self._tell(vectors=result.small, card=result.card)
        self._tell(source=self._source, **({} if self._present is None else {"recipe": self._present}))
        failed = (*model.failed, errors["result"]) if "result" in errors and model.failed else None
        values |= {"trail": model.trail, "failed": values["failed"] if failed == values["failed"] else failed}
        if flow.is_fresh("report"):
            values["reported"] = flow["reporting"]
        waits = flow["reporting"] is not flow["reported"] and "report" not in errors
        values["writing"] = asdict(flow.doing.get("report", Doing("Starting", 0.0, None))) if waits else None

    def close(self) -> None:
        """End the view and its work; uploads go."""
        super().close()
        if self._folder is not None:
            self._folder.cleanup()

    # -- what a person does -----------------------------------------------------------------

    def do_open(self, path: str) -> None:
        """Open another model."""
        self.source = path.strip()

    def do_upload(self, name: str, offset: int, total: int, buffers: Sequence[Any] = ()) -> None:
        """Take a part of a file that the browser sends; open it once it is whole."""
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="workbench-")
        path = Path(self._folder.name, Path(name).name)
        with open(path, "ab" if offset else "wb") as file:
            if file.tell() != offset:
                raise ValueError(f"part of {name} is missing at byte {file.tell():,}; choose the file again")
            file.writelines(buffers)
            whole = file.tell() >= total
        if whole:
            self.source = str(path)

    def do_list_folder(self, path: str = "") -> None:
        """List the folders and models of a folder on the machine where the kernel runs."""
        folder = Path(path or ".").expanduser().resolve()
        listed = {"path": str(folder), "entries": [], "error": None}
        try:
            found = sorted(folder.iterdir(), key=lambda entry: (not entry.is_dir(), entry.name.lower()))
            listed["entries"] = [{"name": "..", "path": str(folder.parent), "is_folder": True, "bytes": None}] + [
                {"name": entry.name, "path": str(entry), "is_folder": entry.is_dir(), "bytes": entry.stat().st_size}
                for entry in found
                if not entry.name.startswith(".") and (entry.is_dir() or entry.name.endswith(OPENED))
            ]
        except OSError as error:
            listed["error"] = str(error)
        self.folder = listed

    def do_undo(self) -> None:
        """Go back to the recipe before."""
        self._step("past", "future")

    def do_redo(self) -> None:
        """Go forward to the recipe that was undone last."""
        self._step("future", "past")

    def _step(self, source: str, target: str) -> None:
        if self.flow[source] and self._present:
            *left, wish = self.flow[source]
            self.flow.set(wish=wish, **{source: tuple(left), target: (*self.flow[target], self._present)})

    def do_pin(self, id: int | None = None) -> None:
        """Compare with a result from now on: one of the history, or the present one; pinned again, with none."""
        trial = self._fresh().trial if id is None else self.flow["trail"][id]
        pinned = self.flow["pinned"]
        unpin = pinned is not None and (id is None or pinned["recipe"] == trial["recipe"])
        self._note(pinned=None if unpin else trial)

    def do_preset(self, id: str) -> None:
        """Begin with a preset."""
        self._want(recipes.presets(self.flow["model"].vectors, self.flow["seed"])[id].recipe)

    def do_go_back(self, id: int) -> None:
        """Go back to a recipe of the history."""
        self._want(self.flow["trail"][id]["recipe"])

    def do_quality(self, id: str) -> None:
        """Choose what the history shows beside the size."""
        self._note(quality=id)

    def do_limit(self, text: str) -> None:
        """Set the size that the file should stay within."""
        self.limit = text

    def do_find(self, text: str | None = None, goal: str = GOALS[0]) -> None:
        """Search for the best recipe within the limit."""
        if text is not None:
            self.limit = text
        if self.limit is None:
            raise ValueError("say first how large the file may be, such as 20 MB")
        now = () if self._present is None else (self._present,)
        self.flow.set(
            wish=Search(self.limit, goal), goal=goal, past=(*self.flow["past"], *now)[-MAX_UNDONE:], future=()
        )

    def do_cancel(self) -> None:
        """Stop what is being computed, and keep what was found last; of a search, the best so far."""
        flow, result = self.flow, self.flow["result"]
        if not flow.is_fresh("model"):
            return self._go_back() if self._before else None
        if isinstance(flow["wish"], Search) or not flow.is_fresh("result"):
            return flow.set(wish=result.recipe if result else Chain([]))
        flow.set(drawn="PCA")

    def do_set(self, i: int, name: str, value: Any) -> None:
        """Change a parameter of a step."""
        self._want(recipes.changed(self._present, i, name, value, self.flow["model"].vectors))

    def do_add(self, kind: str, at: int | None = None) -> None:
        """Add a step."""
        self._want(recipes.added(self._present, kind, at, self.flow["model"].vectors, self.flow["seed"]))

    def do_move(self, i: int, to: int) -> None:
        """Move a step to another place."""
        steps = list(self._present.steps)
        steps.insert(to, steps.pop(i))
        self._want(Chain(steps))

    def do_remove(self, i: int) -> None:
        """Take out a step."""
        self._want(Chain([step for place, step in enumerate(self._present.steps) if place != i]))

    def do_predict(self, i: int, name: str, value: Any) -> None:
        """Say how large the file would be with another value, while a slider is dragged."""
        v = self.flow["model"].vectors
        n_bytes = recipes.predicted_bytes(recipes.changed(self._present, i, name, value, v), v)
        self.predicted = {"bytes": n_bytes, "i": i, "name": name, "value": value}

    def _fresh(self) -> Any:
        """Return the result of the present recipe."""
        if self.flow["result"] is None or not self.flow.is_fresh("result"):
            raise ValueError("the numbers for this setting are not there yet; try again once they are")
        return self.flow["result"]

    def do_save(self, path: str, format: str = OWN.name) -> None:
        """Save the small model in a format of `export`; never over the model itself."""
        self._note(saved=None)
        result, place = self._fresh(), Path(path.strip()).expanduser()
        if format == OWN.name and not place.name.endswith(OWN.suffixes):
            raise ValueError(f"the file's name must end in {OWN.suffixes[0]}, got {path!r}")
        source = self.flow["model"].source
        if source and Path(source).expanduser().resolve() == place.resolve():
            raise ValueError(f"{path} is the model itself; save under another name")
        export(result.small, place, format, warn=False)
        files = place.rglob("*") if place.is_dir() else [place]
        n_bytes = sum(file.stat().st_size for file in files if file.is_file())
        self._note(saved=(result, f"Saved {place}, {n_bytes:,} bytes. Open it with load({str(place)!r})."))

    def do_download(self, format: str = OWN.name) -> None:
        """Send the small model to the browser, part by part."""
        known = writable()[format]
        if known.is_folder:
            raise ValueError(f"{known.title} is a folder, which a browser cannot take; save it instead")
        name = f"small{known.suffixes[0]}"
        with tempfile.TemporaryDirectory() as folder:
            content = export(self._fresh().small, Path(folder, name), format, warn=False).read_bytes()
        threading.Thread(target=self._send_parts, args=[name, memoryview(content)], daemon=True).start()

    def _send_parts(self, name: str, content: memoryview) -> None:
        for offset in range(0, len(content), CHUNK):
            if self.comm is None:
                return
            message = {"do": "download", "name": name, "offset": offset, "total": len(content)}
            self.send(message, [content[offset : offset + CHUNK]])
            time.sleep(PAUSE)

    def do_report(self, folder: str, limits: Mapping[str, float]) -> None:
        """Build and measure this setting again in a notebook of its own, and hold it against limits."""
        result, model = self._fresh(), self.flow["model"]
        request = Reporting(Path(folder.strip()).expanduser(), dict(limits), model, result.recipe, self.words)
        self.flow.set(reporting=request)

    def do_stop_report(self) -> None:
        """Give up the report; the one before stays."""
        self.flow.set(reporting=self.flow["reported"])


def checked(recipe: Any) -> Chain:
    """Return a recipe; refuse what is none, and values that no parameter can have."""
    recipe = Chain([recipe]) if isinstance(recipe, Step) and not isinstance(recipe, Chain) else recipe
    if not isinstance(recipe, Chain) or not all(isinstance(step, Step) for step in recipe.steps):
        raise TypeError(f"expected a recipe such as Chain([Prune(n_words=1000), PQ(50)]), got {recipe!r}")
    for step in recipe.steps:
        for name, field in step.fields.items():
            field.check(f"{type(step).__name__}: {name}", getattr(step, name))
    return recipe


class NeighbourView(ModelView):
    """Neighbours that words keep, lose and gain, and the n-grams that contribute to a word.

    Parameters
    ----------
    original : Vectors, path or str
    small : Vectors
    words : sequence of str
        To look at first, up to four; unseen ones are welcome.
    interactive : bool, optional
        As for `CompressionPanel`.
    """

    def __init__(
        self, original: Vectors | str | Path, small: Vectors, *, words: Sequence[str] = (),
        interactive: bool | None = None,
    ):  # fmt: skip
        super().__init__(original, words, interactive, 0, ("changes", "contributions", "sampled"),
                         {"bare": True, "tab": "neighbours", "tabs": ["neighbours"]}, wish=small)  # fmt: skip


class DamageView(ModelView):
    """The most damaged words, and what they have in common.

    Parameters
    ----------
    original : Vectors, path or str
    small : Vectors
    interactive : bool, optional
        As for `CompressionPanel`.
    random_state : int
        Seed of the sample, where the vocabulary is large.
    """

    def __init__(
        self, original: Vectors | str | Path, small: Vectors, *, interactive: bool | None = None, random_state: int = 0
    ):
        super().__init__(original, (), interactive, random_state, ("damage", "changes", "contributions"),
                         {"bare": True, "tab": "damage", "tabs": ["damage"]}, wish=small)  # fmt: skip


class MapView(ModelView):
    """Linked maps of both models, and of the original drawn again, which shows what is chance.

    Parameters
    ----------
    original : Vectors, path or str
    small : Vectors
    words : sequence of str
        To point out, up to four.
    labels : mapping of word to str, optional
        Your own, to colour the maps by.
    n_mapped : int
        Words on the maps.
    interactive : bool, optional
        As for `CompressionPanel`.
    random_state : int
    """

    def __init__(
        self, original: Vectors | str | Path, small: Vectors, *, words: Sequence[str] = (),
        labels: Mapping[str, str] | None = None, n_mapped: int = 2_000, interactive: bool | None = None,
        random_state: int = 0,
    ):  # fmt: skip
        super().__init__(original, words, interactive, random_state, ("maps", "codes", "changes", "contributions"),
                         {"bare": True, "tab": "map", "tabs": ["map"]}, wish=small, labels=labels,
                         n_mapped=n_mapped)  # fmt: skip
