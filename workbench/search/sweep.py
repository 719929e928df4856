"""`sweep`: bytes and quality of several recipes in one table."""

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ..compress import Chain, Step
from ..compress.base import Field
from ..compress.builder import Builder
from ..evaluate.fidelity import splits
from ..evaluate.scorecard import quick_card
from ..vectors import Vectors
from ..workers import outcomes

COLUMNS = {  # of the table: metric and split of the scorecard
    "bytes": ("size", "compressed"),
    "ratio": ("ratio", "all"),
    "kept": ("fidelity", "kept"),
    "remapped": ("fidelity", "remapped"),
    "dropped": ("fidelity", "dropped"),
    "unseen": ("fidelity", "unseen"),
    "overlap@10": ("overlap@10", "all"),
}


def sweep(
    v: Vectors,
    recipes: Iterable[Step],
    *,
    unseen: list[str] | None = None,
    n_scored: int = 2_000,
    n_queries: int = 200,
    random_state: int = 0,
    client: Any = None,
) -> pd.DataFrame:
    """Try recipes on one model; what their beginnings share is computed once.

    Recipes that begin alike go fastest side by side. Interrupted (Ctrl-C, or the stop button of
    a notebook), it returns what it has.

    Parameters
    ----------
    v : Vectors
    recipes : iterable of Step
        Chains, or single steps; or one of them alone.
    unseen : list of str, optional
        See `scorecard`.
    n_scored, n_queries : int
        Samples for fidelity and overlap@10, as for a panel.
    random_state : int
    client : dask.distributed.Client, optional
        Its workers try the recipes; the model travels to each of them once, and each shares beginnings of its own.

    Returns
    -------
    DataFrame
        A row for each recipe, in order: ``recipe`` (the step itself), ``bytes`` (of the file),
        ``ratio``, ``kept``, ``remapped``, ``dropped`` and ``unseen`` (mean cosine of each split),
        ``overlap@10``, ``known`` (mean cosine over the whole vocabulary), ``seconds`` (of
        building, less what was shared), and ``error``: why a recipe was refused, else empty.
    """
    recipes = [recipes] if isinstance(recipes, Step) else list(recipes)
    for recipe in recipes:
        if not isinstance(recipe, Step):
            raise TypeError(f"sweep takes recipes such as Chain([Prune(n_words=1000), PQ()]); {recipe!r} is none")
    for name, value, low in [("n_scored", n_scored, 1), ("n_queries", n_queries, 0), ("random_state", random_state, 0)]:
        Field("whole", name, low).check(name, value)
    row_of = partial(_row, unseen=unseen, n_scored=n_scored, n_queries=n_queries, random_state=random_state)
    rows: dict[int, dict] = {}
    try:
        for place, row, error in outcomes(row_of, recipes, [Builder(v.adjusted())], client, "sweep", "recipe"):
            if isinstance(error, ChildProcessError):
                row = refused(recipes[place], error)
            elif error is not None:  # `attempt` keeps what a recipe raises, so that it is another one
                raise error
            rows[place] = row
    except KeyboardInterrupt:
        pass
    return table([rows[place] for place in sorted(rows)])


def _row(recipe: Step, builder: Builder, **given: Any) -> dict:
    row = attempt(builder, recipe, **given)[0]
    return {name: value for name, value in row.items() if name != "card"}


def table(rows: list[dict]) -> pd.DataFrame:
    """Return the rows of `attempt` as the table of `sweep`."""
    return pd.DataFrame(rows, columns=["recipe", *COLUMNS, "known", "seconds", "error"])


def attempt(
    builder: Builder, recipe: Step, unseen: list[str] | None, n_scored: int, n_queries: int, random_state: int
) -> tuple[dict, Vectors | None]:
    """Build and judge one recipe.

    Returns its row of the table, with its ``card`` beside, and the model, or None if it was refused.
    """
    start = time.perf_counter()
    try:
        small = builder.build(recipe if isinstance(recipe, Chain) else Chain([recipe]))
    except (ValueError, TypeError, OSError) as error:
        return refused(recipe, error), None
    seconds = time.perf_counter() - start
    card = quick_card(builder.original, small, unseen, n_scored, n_queries, random_state)
    row = {"recipe": recipe, **scores(builder.original, small, card), "seconds": seconds, "error": "", "card": card}
    return row, small


def refused(recipe: Step, error: Exception) -> dict:
    """Return the row of a recipe that could not be built."""
    return dict.fromkeys(["known", *COLUMNS], np.nan) | {"recipe": recipe, "error": str(error)}


def scores(original: Vectors, small: Vectors, card: pd.DataFrame) -> dict[str, float]:
    """Return the numbers of a scorecard as columns of `table`; ``known`` is the mean over the whole vocabulary."""
    found = measured(card)
    sizes = {split: len(index) for split, index in splits(original.vocab, small).items()}
    scored = {split: n for split, n in sizes.items() if n and not np.isnan(found[split])}
    known = sum(n * found[split] for split, n in scored.items()) / sum(scored.values()) if scored else np.nan
    return {**found, "known": known}


def measured(card: pd.DataFrame) -> dict[str, float]:
    """Return the numbers of a scorecard that are columns of `table`."""
    values = card.set_index(["metric", "split"])["value"]
    return {name: values.get(key, np.nan) for name, key in COLUMNS.items()}


def best_of_their_size(tried: pd.DataFrame, column: str) -> pd.Series:
    """Mark the frontier of a table of recipes: the rows that no row as small scores as well as."""
    order = tried.sort_values(["bytes", column], ascending=[True, False], kind="stable")
    before = order[column].cummax().shift(fill_value=-np.inf)
    return (order[column] > before).reindex(tried.index)
