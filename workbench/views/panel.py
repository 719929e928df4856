"""The compression panel, and views of a model beside a small one that is given."""

import json
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

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
SIDES = ("before", "control", "after")
ENDINGS = tuple({end for known in FORMATS for end in (*known.suffixes, *known.also_opens, ".gz" * known.gzips) if end})


class Blocks:
    """What is drawn: functions of cells and inputs, which return what the traits of the same names hold."""

    def top(model, result, past, future, pinned):
        v, trial = model.original, result.trial if result else {}
        n_bytes = v.meta.get("provenance", {}).get("source_bytes") or v.file_bytes
        return {
            "name": Path(model.source).name or "a model in memory", "source": model.source,
            "about": f"{len(v):,} words × {v.dim} · {n_bytes / 1e6:,.1f} MB on disk",
            "can_undo": bool(past), "can_redo": bool(future), "pinned": pinned is not None,
            "save_bytes": number(trial.get("bytes")), "seconds": number(trial.get("seconds")),
        }  # fmt: skip

    def cards(result, limit, pinned):
        found, sizes = [], {row.split: row for row in result.card.itertuples() if row.metric == "size"}
        for split, title, row, spread in measures(result.card):
            scale = 10 if split == "all" else 1  # neighbours of 10
            before = number(pinned and pinned[row.metric if split == "all" else split])
            if row.metric == "fidelity" or split == "all":
                found.append({
                    "id": "neighbours" if scale == 10 else split, "title": title, "value": scale * row.value,
                    "help": HELP["neighbours" if scale == 10 else split], "digits": 1 if scale == 10 else 3,
                    "note": spread if scale == 1 else f"± {5 * (row.high - row.low):.1f}", "how": how(row),
                    "delta": None if before is None else scale * (row.value - before),
                    "low": number(scale * row.low), "high": number(scale * row.high),
                })  # fmt: skip
        size = sizes and {
            "help": HELP["size"], "how": sizes["compressed"].how, "bytes": sizes["compressed"].value, "limit": limit,
            "original": sizes["original"].value, "ratio": sizes["original"].value / sizes["compressed"].value,
            "source_file": sizes["source file"].value if "source file" in sizes else None,
            "delta": None if pinned is None else sizes["compressed"].value - pinned["bytes"],
        }  # fmt: skip
        return {"cards": found, "size": size} if sizes else {}

    def rail(model, wish, recipe, result, limit, goal, failed, seed):
        if isinstance(wish, Vectors):
            return {}
        now, v = present(wish, recipe, result), model.vectors
        effects = result.effects if result and result.recipe == now else ()
        wrong, error = failed[1:] if failed and failed[0] == now else (None, "")
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
        presets = [
            {"id": id, "label": preset.label, "help": preset.help, "on": preset.recipe == now}
            for id, preset in recipes.presets(v, seed).items()
        ]
        goals = [{"id": id, "label": label} for id, label in zip(GOALS, ("cosine", "neighbours"), strict=True)]
        return {
            "presets": presets, "steps": steps, "addable": recipes.addable(now, v) if now else [],
            "fit": {
                "text": "" if limit is None else f"{limit / 1e6:g} MB", "low": v.file_bytes // 200,
                "high": v.file_bytes, "goal": goal, "goals": goals, "running": running,
            },
        }  # fmt: skip

    def history(trail, result, quality, pinned, limit):
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
        old, lines = pinned or before or {}, []

        def line(what: str, help: str, value: str, share: float, spread: str, how: str, was: str = "") -> None:
            row = {"what": what, "help": HELP[help], "value": value, "share": min(max(share, 0), 1), "spread": spread}
            lines.append({**row, "how": how, "before": was})

        if n := result.trial.get("bytes"):
            original = n * result.trial["ratio"]
            spread = f"{original / n:,.1f} times smaller than {original / 1e6:,.2f} MB in float32"
            was = f"{old['bytes'] / 1e6:,.2f} MB" if old else ""
            line("Size of the file", "size", f"{n / 1e6:,.2f} MB", n / original, spread, "exact", was)
        for split, title, row, spread in measures(result.card):
            is_cosine, digits = row.metric == "fidelity", 4 if row.metric == "fidelity" else 3
            was = number(old.get(split if is_cosine else "overlap@10" if split == "all" else None))
            what = f"Cosine, {title.lower()}" if is_cosine else title
            line(what, split if is_cosine else "overlap@10", f"{row.value:.{digits}f}", row.value, spread, how(row),
                 "" if was is None else f"{was:.{digits}f}")  # fmt: skip
        rows = {(row.metric, row.split): row for row in (() if agreement is None else agreement.itertuples())}
        for (metric, name), row in rows.items():
            if metric == "similarity":
                first, how_many = rows["similarity_original", name], f"{row.how.split(';')[0]}, {row.n:,} pairs"
                spread = f"original {first.value:.3f}; 95% interval {row.low:.2f} to {row.high:.2f}"
                line(f"Agreement with people, {name}", "agreement", f"{row.value:.3f}", row.value, spread, how_many)
        return {"rows": lines}

    def worst(damage):
        words, title = damage.words, "Changed most: all words"
        if (words["split"] == "dropped").any():
            words, title = words[words["split"] == "dropped"], "Changed most: dropped words"
        first = [
            {"word": row.word, "cosine": row.cosine if row.has_vector else None,
             "note": "" if pd.isna(row.count) else f"{row.count:,}×"}
            for row in words.sort_values(["cosine", "rank"]).head(12).itertuples()
        ]  # fmt: skip
        return {"title": title, "words": first, "n": round(words["represents"].sum())}

    def points(maps, codes, model, n_mapped):
        about, noise, n = maps.attrs, maps.attrs["noise"] or {}, len(maps)
        levels, coded = (np.empty((n, 0)), None) if codes is None or len(codes[0]) != n else codes
        fate = np.where(maps["cosine"].isna(), 2, np.where(maps["in_vocabulary"], 0, 1))
        return {
            **{side: maps[[f"x_{side}", f"y_{side}"]].to_numpy("<f4").tobytes() for side in SIDES},
            "n": n, "words": maps["word"].tolist(), "cosine": maps["cosine"].to_numpy("<f4").tobytes(),
            "rank": maps["rank"].to_numpy("<i4").tobytes(), "fate": fate.astype("u1").tobytes(),
            "codes": levels.astype("<i2").tobytes(), "n_levels": levels.shape[1], "code_order": coded and orders(coded),
            "labels": [None if pd.isna(x) else str(x) for x in maps["label"]] if "label" in maps else None,
            "topics": about.get("topics", []), "method": about["method"], "sample": about["sample"],
            "noise": noise_text(maps), "trust": {side: about[f"trust_{side}"] for side in SIDES},
            "kept_map": noise.get("kept_compressed"), "kept_chance": noise.get("kept_control"), "n_mapped": n_mapped,
            "numbers": sorted({min(n, len(model.original)) for n in (*N_MAPPED, n_mapped)}),
        }  # fmt: skip

    def looked(changes, contributions, model, result):
        ngrams = {printable(word): found for word, found in (contributions or {}).items()}
        words = changes.groupby("word", sort=False)
        return {"words": [looked_at(model.vectors, result.small, word, rows, ngrams.get(word)) for word, rows in words]}

    def neighbours(sampled):
        return {"rows": records(sampled, "word rank kept k cosine lost gained"), "how": sampled.attrs["how"]}

    def damage(damage):
        words, about = damage.words, damage.words.attrs
        weighed = "counts" if about["weights"] == "counts" else "frequencies guessed from ranks by Zipf's law"
        orders = words.nlargest(MAX_WORST, "worry").index, words.nsmallest(MAX_WORST, "cosine").index
        worst = words.loc[words.index.isin([*orders[0], *orders[1]])]
        worst = worst.assign(cosine=worst["cosine"].where(worst["has_vector"]), loss_share=worst["worry"])
        groups = damage.groups.rename(columns={"share_of_vocabulary": "share", "worry": "loss_share"})
        codes = damage.codes.assign(chance=damage.codes["p"] > 0.05, code=damage.codes["group"])
        return {
            "summary": damage_summary(damage.groups),
            "how": [f"{about['how']}, {len(words):,} of {about['n_total']:,} words", f"loss weighted by {weighed}"],
            "groups": records(groups, "by group n share mean low high p5 no_vector loss_share worst"),
            "words": records(worst.assign(fate=worst["split"]), "word rank count cosine loss_share shape fate"),
            "codes": records(codes, "code n mean z chance worst"),
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


def records(frame: pd.DataFrame, columns: str) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON has them."""
    return json.loads(frame[columns.split()].to_json(orient="records", double_precision=15))


def how(row: Any) -> str:
    return f"{row.how}, {row.n:,} words"


def measures(card: pd.DataFrame) -> list[tuple[str, str, Any, str]]:
    """Return the split, title and row of each mean of a card, and in words how values are spread around it."""
    rows, found = {(row.metric, row.split): row for row in card.itertuples()}, []
    for (metric, split), row in rows.items():
        if metric == "fidelity":
            covered = rows["coverage", split].value
            spread = f"5th percentile {rows['fidelity_p5', split].value:.3f}"
            found.append((split, SPLITS[split], row, spread + f" · {covered:.1%} have a vector" * (covered < 1)))
        elif metric == "overlap@10":
            title = "Neighbours kept of 10" + ("" if split == "all" else f", {SPLITS[split].lower()}")
            found.append((split, title, row, f"95% interval {row.low:.2f} to {row.high:.2f}"))
    return found


def present(wish: Any, recipe: Chain | None, result: Any) -> Chain | None:
    """Return the recipe that a person sees: the wanted one, or the best that a search found so far."""
    return wish if isinstance(wish, Chain) else recipe or (result and result.recipe)


def orders(coded: Any) -> bytes:
    """Return the places of codebook entries along the first principal component: (n_levels, n_entries) int16."""
    places = []
    for book in np.split(coded.codebooks, np.cumsum(np.diff(coded.spans, axis=1))[:-1], axis=1):
        centred = book - book.mean(axis=0)
        axis = np.linalg.svd(centred.astype(np.float64), full_matrices=False)[2][0]
        places.append(np.argsort(np.argsort(centred @ axis * np.sign(axis[np.abs(axis).argmax()]), kind="stable")))
    return np.stack(places).astype("<i2").tobytes()


def looked_at(original: Vectors, small: Vectors, word: str, rows: pd.DataFrame, ngrams: Any) -> dict[str, Any]:
    """Return what the inspector shows of a word."""
    sides = [v.get_vectors([word], missing="nan") for v in (original, small)]
    place, after, counts = original.vocab.place(word), small.vocab.place(word), original.vocab.counts
    fate = "unseen" if place is None else "dropped"
    if after is not None:
        fate = "remapped" if small.vocab.remapped[after] else "kept"
    is_there = original.dim == small.dim and not np.isnan(sides[1]).any()
    near = rows.assign(word=rows["neighbour"])
    about = ngrams is not None and {
        "before": ngrams.attrs["made_of_before"], "after": ngrams.attrs["made_of_after"],
        "left": ngrams.attrs["ngrams_left"], "cosine": ngrams.attrs["cosine"],
        "rows": records(ngrams.rename(columns={f"share_{side}": side for side in SIDES}),
                        "ngram before after cosine status"),
    }  # fmt: skip
    return {
        "word": word, "fate": fate, "cosine": float(cosines(*sides)[0]) if is_there else None,
        "rank": None if place is None else 1 + (place if counts is None else int((counts > counts[place]).sum())),
        "n_kept": int((rows["status"] == "kept").sum()), "n_before": int(rows["rank_before"].notna().sum()),
        "neighbours": records(near, "word status rank_before rank_after"), "ngrams": about or None,
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


def checked(recipe: Any) -> Chain:
    """Return a recipe; refuse what is none, and values that no parameter can have."""
    recipe = Chain([recipe]) if isinstance(recipe, Step) and not isinstance(recipe, Chain) else recipe
    if not isinstance(recipe, Chain) or not all(isinstance(step, Step) for step in recipe.steps):
        raise TypeError(f"expected a recipe such as Chain([Prune(n_words=1000), PQ(50)]), got {recipe!r}")
    for step in recipe.steps:
        for name, field in step.fields.items():
            field.check(f"{type(step).__name__}: {name}", getattr(step, name))
    return recipe


def openable(source: Any) -> Any:
    """Return a model or where it is; refuse what cannot be opened, as far as that is clear at once."""
    if not isinstance(source, Vectors | str | Path):
        raise TypeError(f"expected a model, its path or 'builtin:en', got {type(source).__name__}")
    if not isinstance(source, Vectors) and str(source) not in NAMES and not Path(source).expanduser().exists():
        raise FileNotFoundError(f"{source} does not exist; expected a model file or 'builtin:en'")
    return source


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


class ModelView(View):
    """What the panel and views of two models have in common: blocks to draw, and words to look at."""

    blocks = Blocks
    top, cards, rail, predicted, history, overview, worst, points, looked, neighbours, damage, export, folder = (
        shown() for _ in range(13)
    )
    words = traitlets.Any((), help="words that are looked at, up to four")
    wanted: ClassVar[Sequence[str] | None] = None  # cells, if not all
    tabs: ClassVar[Sequence[str]] = ("overview", "map", "neighbours", "damage", "export")

    def __init__(self, source: Any, words: Sequence[str], interactive: bool | None, **inputs: Any) -> None:
        live, words = run_by_a_person() if interactive is None else interactive, some_words(words)
        usual = {"pairs": None, "unseen": None, "n_words": 0, "n_queries": 200, "suggest": None, "reporting": None}
        given = usual | inputs | {"source": openable(source), "words": words, "drawn": "UMAP"}
        ui = {"tab": self.tabs[0], "tabs": list(self.tabs), "bare": self.wanted is not None}
        super().__init__(Flow(Compression, live, self.wanted, **given), kind="panel", ui=ui, words=words)
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
        """Draw the maps by UMAP or by principal components (PCA)."""
        self.flow.set(drawn=method)

    def do_retry(self) -> None:
        """Compute again what failed."""
        self.flow.retry()


class CompressionPanel(ModelView):
    """Compress a model and see at once what each setting costs.

    The next cell may set `recipe`, `limit`, `words` and `source`, and observe these, `vectors` (the small model) and
    `card` (its numbers), as of any widget.

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
    unseen, pairs : optional
        Real words that the model does not know, and word pairs that people scored; see `scorecard`.
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
        self._model, self._result = None, None  # those that traits tell of
        self._told: dict[str, Any] = {"source": source}  # values of traits that nobody asks for
        self._before: dict[str, Any] = {}  # what to go back to if another model cannot be opened
        self._uploads: Any = None  # a temporary folder
        numbers: Any = {"n_words": n_words, "n_ngrams": n_ngrams, "n_subvectors": n_subvectors}
        super().__init__(
            source, words, interactive, wish=None if recipe is None else checked(recipe), labels=labels, pairs=pairs,
            suggest=partial(recipes.usual, seed=random_state, **numbers), unseen=unseen, n_words=2_000,
            n_mapped=n_mapped, seed=random_state, past=(), future=(), pinned=None, before=None, quality="known",
            goal=GOALS[0], limit=None, trail=(), failed=None, saved=None, reported=None, writing=None,
        )  # fmt: skip
        self.source = source

    # -- what the next cell may set ---------------------------------------------------------

    @traitlets.validate("recipe", "limit", "source")
    def _check(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if name == "limit":
            return None if value in (None, "") else parse_bytes(value)
        return checked(value) if name == "recipe" else openable(value)

    @traitlets.observe("recipe", "limit", "source")
    def _set(self, change: Any) -> None:
        name, new = change["name"], change["new"]
        if name == "limit":
            self._note(limit=new)
        elif new is not self._told.get(name):
            self._want(new) if name == "recipe" else self._open(new)

    def _tell(self, **traits: Any) -> None:
        self._told |= traits
        for name, value in traits.items():
            self.set_trait(name, value)

    def _note(self, **values: Any) -> None:
        """Change what is drawn and nothing is computed from."""
        self.flow.values.update(values)
        self.render()

    def _open(self, source: Any) -> None:
        """Open another model; until it is there, and if it cannot be opened, the old one stays."""
        if not self._before and self.flow.is_fresh("model"):
            self._before = {name: self.flow[name] for name in ("wish", "suggest", "past", "future", "pinned", "before")}
            self._before |= {"source": self.flow["model"], "given": self._told["source"]}
        self._told["source"], usual = source, partial(recipes.usual, seed=self.flow["seed"])
        self.flow.set(source=source, wish=None, suggest=usual, past=(), future=(), pinned=None, before=None)

    def _go_back(self) -> None:
        """Return to the model that was open before."""
        before, self._before = self._before, {}
        self._tell(source=before.pop("given"))
        self.flow.set(**before)

    @property
    def _recipe(self) -> Chain:
        """The recipe that a person sees."""
        recipe = present(*(self.flow[name] for name in ("wish", "recipe", "result")))
        if recipe is None:
            raise ValueError("there is no recipe yet; try again once the model is open")
        return recipe

    def _want(self, recipe: Any, **more: Any) -> None:
        """Build a recipe, or search for one; undo goes back to the present one."""
        flow = self.flow
        now = present(flow["wish"], flow["recipe"], flow["result"])
        past = flow["past"] if now is None or now == recipe else (*flow["past"], now)[-MAX_UNDONE:]
        flow.set(wish=recipe, past=past, future=(), **more)

    def render(self) -> None:
        """Draw what is new, and take over what was found; called from any thread."""
        with self._drawing:
            try:
                self._follow()
            except Exception as error:  # it must not end the thread of the flow, out of sight
                self._problem = in_words(error)
            super().render()

    def _follow(self) -> None:
        flow, values, errors = self.flow, self.flow.values, self.flow.errors
        model, result, wish = flow["model"], flow["result"], flow["wish"]
        if self._before and "model" in errors:
            self._problem = errors["model"]
            self._go_back()
        elif isinstance(wish, Search) and ("result" in errors or (flow.is_fresh("result") and not result.search)):
            self._problem = errors.get("result", self._problem)
            flow.set(wish=result.recipe if result else Chain([]))
        elif model is not self._model:
            self._model, self._result, self._before = model, None, {}
            self.words = [word for word in self.words if model.original.can_embed(word)]
        if model is None:
            return
        if result is not None and result is not self._result:
            if self._result is not None and self._result.recipe != result.recipe:
                values["before"] = self._result.trial
            self._result = result
            self._tell(vectors=result.small, card=result.card)
        if (now := present(flow["wish"], flow["recipe"], result)) is not None:
            self._tell(recipe=now)
        failed = (*model.failed, errors["result"]) if "result" in errors and model.failed else None
        waits = "report" not in errors and not flow.is_fresh("report")
        values |= {
            "trail": model.trail, "failed": values["failed"] if failed == values["failed"] else failed,
            "reported": values["reported"] if waits else values["reporting"],
            "writing": asdict(flow.doing.get("report", Doing("Starting", 0.0, None))) if waits else None,
        }  # fmt: skip

    def close(self) -> None:
        """End the view and its work; uploads go."""
        super().close()
        if self._uploads is not None:
            self._uploads.cleanup()

    # -- what a person does: models ---------------------------------------------------------

    def do_open(self, path: str) -> None:
        """Open another model."""
        self.source = path.strip()

    def do_upload(self, name: str, offset: int, total: int, buffers: Sequence[Any] = ()) -> None:
        """Take a part of a file that the browser sends; open it once it is whole."""
        self._uploads = self._uploads or tempfile.TemporaryDirectory(prefix="workbench-")
        path = Path(self._uploads.name, Path(name).name)
        with open(path, "ab" if offset else "wb") as file:
            if file.tell() != offset:
                raise ValueError(f"part of {name} is missing at byte {file.tell():,}; choose the file again")
            file.writelines(buffers)
            is_whole = file.tell() >= total
        if is_whole:
            self.source = str(path)

    def do_list_folder(self, path: str = "") -> None:
        """List the folders and models of a folder on the machine where the kernel runs."""
        folder, inside, error = Path(path or ".").expanduser().resolve(), [], None
        try:
            inside = sorted(folder.iterdir(), key=lambda entry: (not entry.is_dir(), entry.name.lower()))
        except OSError as problem:
            error = str(problem)
        shown = [e for e in inside if e.name[0] != "." and (e.is_dir() or (e.is_file() and e.name.endswith(ENDINGS)))]
        above = next(parent for parent in (*folder.parents, folder) if parent.is_dir())
        entries = [
            {"name": name, "path": str(entry), "is_folder": entry.is_dir(), "bytes": entry.stat().st_size}
            for name, entry in (("..", above), *((entry.name, entry) for entry in shown))
        ]
        self.folder = {"path": str(folder), "entries": entries, "error": error}

    # -- recipes ----------------------------------------------------------------------------

    def do_undo(self) -> None:
        """Go back to the recipe before."""
        self._step("past", "future")

    def do_redo(self) -> None:
        """Go forward to the recipe that was undone last."""
        self._step("future", "past")

    def _step(self, source: str, target: str) -> None:
        if self.flow[source]:
            *left, wish = self.flow[source]
            self.flow.set(wish=wish, **{source: tuple(left), target: (*self.flow[target], self._recipe)})

    def do_preset(self, id: str) -> None:
        """Begin with a preset."""
        self._want(recipes.presets(self.flow["model"].vectors, self.flow["seed"])[id].recipe)

    def do_set(self, i: int, name: str, value: Any) -> None:
        """Change a parameter of a step."""
        self._want(recipes.changed(self._recipe, i, name, value, self.flow["model"].vectors))

    def do_add(self, kind: str, at: int | None = None) -> None:
        """Add a step."""
        self._want(recipes.added(self._recipe, kind, at, self.flow["model"].vectors, self.flow["seed"]))

    def do_move(self, i: int, to: int) -> None:
        """Move a step to another place."""
        steps = list(self._recipe.steps)
        steps.insert(to, steps.pop(i))
        self._want(Chain(steps))

    def do_remove(self, i: int) -> None:
        """Take out a step."""
        self._want(Chain([*self._recipe.steps[:i], *self._recipe.steps[i + 1 :]]))

    def do_predict(self, i: int, name: str, value: Any) -> None:
        """Say how large the file would be with another value, while a slider is dragged."""
        v = self.flow["model"].vectors
        n_bytes = recipes.predicted_bytes(recipes.changed(self._recipe, i, name, value, v), v)
        self.predicted = {"bytes": n_bytes, "i": i, "name": name, "value": value}

    def do_go_back(self, id: int) -> None:
        """Go back to a recipe of the history."""
        self._want(self.flow["trail"][id]["recipe"])

    def do_pin(self, id: int | None = None) -> None:
        """Compare with a result of the history, or the present one, from now on; pinned again, with none."""
        pinned, trial = self.flow["pinned"], self._fresh().trial if id is None else self.flow["trail"][id]
        is_again = pinned is not None and (id is None or pinned["recipe"] == trial["recipe"])
        self._note(pinned=None if is_again else trial)

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
        self._want(Search(self.limit, goal), goal=goal)

    def do_cancel(self) -> None:
        """Stop what is being computed, and keep what was found last; of a search, the best so far."""
        flow, result = self.flow, self.flow["result"]
        if not flow.is_fresh("model"):
            self._go_back() if self._before else None
        elif isinstance(flow["wish"], Search) or not flow.is_fresh("result"):
            flow.set(wish=result.recipe if result else Chain([]))
        else:
            flow.set(drawn="PCA")

    # -- files ------------------------------------------------------------------------------

    def _fresh(self) -> Any:
        """The result of the present recipe."""
        if self.flow["result"] is None or not self.flow.is_fresh("result"):
            raise ValueError("the numbers for this setting are not there yet; try again once they are")
        return self.flow["result"]

    def do_save(self, path: str, format: str = OWN.name) -> None:
        """Save the small model in a format of `export`; never over the model itself."""
        self._note(saved=None)
        result, place, source = self._fresh(), Path(path.strip()).expanduser(), self.flow["model"].source
        if format == OWN.name and not place.name.endswith(OWN.suffixes):
            raise ValueError(f"the file's name must end in {OWN.suffixes[0]}, got {path!r}")
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

        def send() -> None:
            for offset in range(0, len(content), CHUNK):
                if self.comm is not None:
                    message = {"do": "download", "name": name, "offset": offset, "total": len(content)}
                    self.send(message, [content[offset : offset + CHUNK]])
                    time.sleep(PAUSE)

        threading.Thread(target=send, daemon=True).start()

    def do_report(self, folder: str, limits: Mapping[str, float]) -> None:
        """Build and measure this setting again in a notebook of its own, and hold it against limits."""
        place = Path(folder.strip()).expanduser()
        self.flow.set(reporting=Reporting(place, limits, self.flow["model"], self._fresh().recipe, self.words))

    def do_stop_report(self) -> None:
        """Give up the report; the one before stays."""
        self.flow.set(reporting=self.flow["reported"])


class PairView(ModelView):
    """A view of a model and a small one.

    Parameters
    ----------
    original : Vectors, path or str
    small : Vectors
    words : sequence of str
        To look at or point out, up to four; unseen ones are welcome.
    labels : mapping of word to str, optional
        Your own, to colour maps by.
    n_mapped : int
        Words on maps.
    interactive : bool, optional
        As for `CompressionPanel`.
    random_state : int
        Seed of samples and maps.
    """

    def __init__(
        self,
        original: Vectors | str | Path,
        small: Vectors,
        *,
        words: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        n_mapped: int = 2_000,
        interactive: bool | None = None,
        random_state: int = 0,
    ):
        super().__init__(
            original, words, interactive, wish=small, labels=labels, n_mapped=n_mapped, seed=random_state
        )  # fmt: skip


class NeighbourView(PairView):
    """Neighbours that words keep, lose and gain, and the n-grams that contribute; parameters of `PairView`."""

    wanted, tabs = ("changes", "contributions", "sampled"), ("neighbours",)


class DamageView(PairView):
    """The most damaged words, and what they have in common; parameters of `PairView`."""

    wanted, tabs = ("damage", "changes", "contributions"), ("damage",)


class MapView(PairView):
    """Linked maps of both models, and of the original drawn again: that is chance; parameters of `PairView`."""

    wanted, tabs = ("maps", "codes", "changes", "contributions"), ("map",)
