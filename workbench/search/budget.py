"""`fit_budget`: the best recipe for a number of bytes."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from .. import progress
from ..compress import Chain
from ..compress.base import Field
from ..vectors import Vectors
from ..workers import check_client
from .plan import Planner, Shape
from .quick import N_COLUMNS
from .sweep import best_of_their_size, table
from .trials import SampledTrials, Trials

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
GOALS = ("fidelity", "overlap")
BELOW = (1 / 2, 1 / 4)  # of the budget, that the frontier shows too
LARGE = 40_000  # words of a model whose recipes are tried on a sample of the dimensions


@dataclass(frozen=True)
class Fitted:
    """The result of `fit_budget`.

    Attributes
    ----------
    recipe : Chain
        The best recipe within the budget.
    vectors : Vectors
        The model that it made.
    frontier : DataFrame
        Every recipe tried, smallest first: the columns of `sweep`, ``score`` (what was
        maximised), ``sampled`` (whether it was tried on a sample of the dimensions, and its bytes
        are predicted), and ``best_of_its_size``: whether nothing smaller scored as well.
    """

    recipe: Chain
    vectors: Vectors
    frontier: pd.DataFrame

    def _repr_html_(self) -> str:
        numbers = self.frontier.drop(columns=["recipe", "error"]).to_html(float_format="{:.4g}".format)
        return f"<p><code>{escape(repr(self.recipe))}</code></p>{self.vectors._repr_html_()}{numbers}"


def fit_budget(
    v: Vectors,
    budget: int | str,
    *,
    goal: str = "fidelity",
    min_words: int = 0,
    n_trials: int = 12,
    time_limit: float | None = None,
    unseen: list[str] | None = None,
    n_scored: int = 2_000,
    n_queries: int = 200,
    callback: Callable[[dict], None] | None = None,
    random_state: int = 0,
    client: Any = None,
) -> Fitted:
    """Find the best recipe whose file stays within a number of bytes.

    Starts from the highest rates that leave enough n-grams, then goes from the best so far to one of
    its neighbours that is better: more or fewer words, more or fewer bytes for a word or for an
    n-gram, the number of n-grams being what fills the budget. The best recipe is then built for
    a half and a quarter of the bytes, too, to show what fewer would cost. Interrupted (Ctrl-C,
    or the stop button of a notebook), it returns the best so far.

    Of a model of 40,000 words or more only the first recipe that fits and the last are built, and the better one
    is kept. All others are tried on 24 of the dimensions.

    Parameters
    ----------
    v : Vectors
    budget : int or str
        Bytes of the saved file, words included: ``20_000_000``, ``"20MB"``, ``"500 kB"``, ``"1 GiB"``. A
        model that fits as it is stays so.
    goal : {"fidelity", "overlap"}
        What to maximise: the mean cosine to the original, over the whole vocabulary and over
        unseen words alike; or overlap@10 over the whole vocabulary.
    min_words : int
        Least number of words to keep in the vocabulary, which `most_similar` answers from. At least an
        eighth of the model's words always stay; more cost bytes without raising the fidelity.
    n_trials : int
        Recipes tried for the budget, at most.
    time_limit : float, optional
        Seconds. After the first recipe that fits, none is begun that would end later, if it took as long as the one
        before it; of a large model, that leaves the time to build the best.
    unseen : list of str, optional
        See `scorecard`.
    n_scored, n_queries : int
        Words and queries in the samples that a recipe is judged by.
    callback : callable, optional
        Called after every trial with its row of the frontier, in which ``vectors`` is the model that it made where it
        is the best so far, else None.
    random_state : int
        Seed of the samples, and of every step.
    client : dask.distributed.Client, optional
        Its workers try recipes ahead of the search, which then goes the same way. The model, or of a large one the
        sample of the dimensions, travels to each of them once.

    Raises
    ------
    ValueError
        If the budget is no size, or too small for any recipe.

    Notes
    -----
    Only n-grams that the vocabulary uses are kept: unseen words of a model of few words stay poor whatever the
    budget.
    """
    n_bytes = parse_bytes(budget)
    if not isinstance(v, Vectors):
        raise TypeError(f"v must be Vectors, as from load(), got {type(v).__name__}")
    Field("choice", "goal", choices=GOALS).check("goal", goal)
    if time_limit is not None:
        Field("number", "time_limit", 0).check("time_limit", time_limit)
    sizes = [("n_trials", n_trials, 1), ("n_scored", n_scored, 1), ("n_queries", n_queries, int(goal == "overlap"))]
    for name, value, low in [*sizes, ("min_words", min_words, 0), ("random_state", random_state, 0)]:
        Field("whole", name, low).check(name, value)
    check_client(client)
    if min_words > len(v):
        raise ValueError(f"min_words={min_words}, but the model has {len(v)} words")
    v = v.adjusted()
    planner = Planner(v, min_words, random_state)
    given: Any = {"unseen": unseen, "n_scored": n_scored, "n_queries": n_queries, "random_state": random_state}
    until = time.monotonic() + (np.inf if time_limit is None else time_limit)
    is_large = len(v) >= LARGE and v.dim >= 2 * N_COLUMNS
    on_whole = Trials(v, given, None if is_large else client, keeps_steps=not is_large)
    whole = search = _Search(planner, on_whole, goal, callback, until)
    try:
        whole.climb(n_bytes, n_trials, until_one_fits=is_large)
        if is_large and whole.best_shape is not None:
            end = until - whole.seconds  # which building the best will take
            search = _Search(planner, SampledTrials(v, given, client), goal, callback, end)
            search.climb(n_bytes, n_trials - len(whole.rows) - 1)
        search.look_below([int(n_bytes * share) for share in BELOW], n_bytes)
        search.attempt, search.best = on_whole, whole.best  # so that what was tried on is not kept any longer
        if search.best_row and not whole.tried(search.best_row["recipe"]) and whole.has_time():
            whole.judge(search.best_row["recipe"], n_bytes)
    except KeyboardInterrupt:
        if whole.best is None:
            raise
    if whole.best is None:
        raise ValueError(whole.why_none(n_bytes))
    rows = [*whole.rows, *(search.rows if search is not whole else ())]
    tried = table(rows).assign(score=[row["score"] for row in rows], sampled=[row["sampled"] for row in rows])
    tried = tried.sort_values("bytes", kind="stable", ignore_index=True)
    frontier = tried.assign(best_of_its_size=best_of_their_size(tried, "score"))
    return Fitted(whole.best_row["recipe"], whole.best, frontier)


def parse_bytes(budget: int | str) -> int:
    """A number of bytes from a number or from text such as ``"20 MB"``."""
    found = re.fullmatch(r"\s*(\d{1,18}(?:\.\d*)?)\s*([a-z]*)\s*", str(budget).lower())
    n_bytes = int(float(found[1]) * UNITS[found[2]]) if found and found[2] in UNITS else 0
    if isinstance(budget, bool) or n_bytes < 1:
        raise ValueError(f"expected a size such as '20MB', '500 kB', '1 GiB' or a number of bytes, got {budget!r}")
    return n_bytes


@dataclass
class _Search:
    """Everything tried so far, and the best of it. No recipe is begun that would end after `until`."""

    planner: Planner
    attempt: Trials
    goal: str
    callback: Callable[[dict], None] | None
    until: float  # of the clock that never goes back
    seconds: float = 0  # that the last recipe took
    rows: list[dict] = field(default_factory=list)
    best: Vectors | None = None
    best_row: dict = field(default_factory=dict)
    best_shape: Shape | None = None

    def has_time(self) -> bool:
        return self.best is None or time.monotonic() + self.seconds < self.until

    def climb(self, n_bytes: int, n_trials: int, until_one_fits: bool = False) -> None:
        """Try shapes, each a neighbour of the best so far; until one fits, look further and further."""
        if (untouched := self.planner.untouched(n_bytes)) is not None:
            self.judge(untouched, n_bytes)
            if self.best is not None:
                return
        waiting, seen = [self.planner.first_shape(n_bytes)], set()
        with progress.bar(total=n_trials, desc="Searching", unit="recipe") as bar:
            while waiting and len(self.rows) < n_trials and self.has_time():
                shape = waiting.pop(0)
                if shape in seen:
                    continue
                seen.add(shape)
                before, n_tried = self.best_row, len(self.rows)
                recipe = self.planner.recipe(shape, n_bytes)
                self.attempt.begin([recipe, *(self.planner.recipe(of, n_bytes) for of in waiting if of not in seen)])
                excess = 0 if recipe is None or self.tried(recipe) else self.judge(recipe, n_bytes)
                if excess > 0 and len(self.rows) < n_trials:  # once more, with fewer bytes
                    recipe = self.planner.recipe(shape, n_bytes - excess)
                    if recipe is not None:
                        self.judge(recipe, n_bytes)
                if self.best_row is not before:
                    self.best_shape = shape
                    waiting = [] if until_one_fits else self.planner.next_shapes(shape)
                elif self.best is None:
                    waiting += self.planner.next_shapes(shape)
                bar.update(len(self.rows) - n_tried)

    def look_below(self, sizes: list[int], limit: int) -> None:
        """Try the best shape with numbers of bytes below the limit."""
        recipes = [self.planner.recipe(self.best_shape or self.planner.first_shape(n), n) for n in sizes]
        self.attempt.begin(recipes)
        for recipe in recipes:
            if recipe is not None and not self.tried(recipe) and self.has_time():
                self.judge(recipe, limit)

    def judge(self, recipe: Chain, n_bytes: int) -> int:
        """Build a recipe, and keep it if it is the best so far; return the bytes that the file is too large."""
        row, small, self.seconds = self.attempt(recipe)
        row["sampled"] = self.attempt.is_sampled
        scores = [row["overlap@10"]] if self.goal == "overlap" else [row["known"], row["unseen"]]
        row["score"] = np.mean([score for score in scores if not np.isnan(score)] or [-np.inf])
        self.rows.append(row)
        if small is not None and row["bytes"] <= n_bytes and row["score"] > self.best_row.get("score", -np.inf):
            self.best, self.best_row = small, row
        if self.callback is not None:
            is_best = self.best_row is row and not self.attempt.is_sampled
            self.callback(row | {"vectors": self.best if is_best else None})
        return 0 if small is None else int(row["bytes"]) - n_bytes

    def tried(self, recipe: Chain) -> bool:
        return any(recipe == row["recipe"] for row in self.rows)

    def why_none(self, n_bytes: int) -> str:
        """The reason that no recipe was found."""
        if self.rows:
            reason = self.rows[0]["error"] or "no word has a vector to compare with, or every file came out larger"
            return f"no recipe found for {n_bytes:,} bytes: {reason}"
        low, high = n_bytes, self.planner.v.file_bytes  # the model as it is would do
        while high > 1.02 * low:
            middle = (low + high) // 2
            low, high = (low, middle) if self.planner.any_recipe(middle) else (middle, high)
        return f"{n_bytes:,} bytes are too few for any recipe on this model; {high:,} would do"
