"""First numbers of recipes on a large model: what they lose on a sample of the dimensions."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from .. import progress
from ..compress import Chain, Prune, Refit, Step
from ..compress.builder import Builder, unfitted
from ..compress.outline import outline
from ..evaluate.cost import size_rows
from ..evaluate.fidelity import choose_unseen, fidelity_on_columns
from ..evaluate.table import Scorecard
from ..spool import spooled
from ..storage import BLOCK, Dense, Stacked, Storage
from ..vectors import Vectors

N_COLUMNS, MIN_COLUMNS = 24, 16  # dimensions that recipes are tried on
MIN_CODES = 2  # of a row there: a single one tells little
CLOSE, NEAR = 0.01, 0.04  # that codes there may differ in width from the whole's; and where nothing is closer
SLOPE = 4  # times as much at most as the width of codes, the loss changes (by measuring)
N_FITTED = 100_000  # words that n-grams are re-fitted to: more take longer and come out closer by a few thousandths
LARGE = 100_000_000  # numbers of a model, from which on building a recipe takes more than a few seconds


class Quick:
    """Judges recipes on a large model within seconds."""

    def __init__(self, v: Vectors):
        self.v = v
        self._builder: Builder | None = None  # on `N_COLUMNS` dimensions
        self._fewer: Vectors | None = None  # the original on fewer, as the last recipe needed them

    def card(self, recipe: Chain, unseen: list[str] | None, n_words: int, random_state: int) -> Scorecard | None:
        """Return predicted bytes and estimated fidelity, with intervals; None where a few dimensions cannot tell.

        They cannot where steps mix dimensions or look at nearest words, and where codes are as wide as they. None, too,
        for a recipe that is refused.
        """
        (n, misfit), o = n_columns(recipe, self.v.dim), recipe.outlined(outline(self.v))
        if misfit > NEAR or not recipe.loses_alike() or o is None or not o.is_sure:
            return None
        try:
            original, small = self._built(recipe, n)
        except (ValueError, TypeError, OSError):  # building the whole says why, and at which step
            return None
        fresh, _ = choose_unseen(original, small, unseen, n_words, random_state)
        found = fidelity_on_columns(original, small, fresh, n_words, random_state, self.v.dim, SLOPE * misfit)
        before = Chain([Prune()]).outlined(outline(self.v)) or outline(self.v)  # without n-grams that no word uses
        sizes = size_rows(self.v, len(small), before.file_bytes, o.file_bytes, "predicted")
        return Scorecard(pd.concat([sizes, found], ignore_index=True))

    def _built(self, recipe: Chain, n: int) -> tuple[Vectors, Vectors]:
        """Return the original on `n` dimensions, and what a recipe makes of it."""
        if self._builder is None:
            self._builder = Builder(on_columns(self.v, N_COLUMNS), keeps_results=True)
        whole, steps = self._builder.original, with_fewer_codes(recipe, n / self.v.dim).steps
        for step in steps:
            if isinstance(step, Refit):
                step.set_params(n_words=min(step.n_words or N_FITTED, N_FITTED))
        if n == N_COLUMNS:
            return whole, self._builder.build(Chain(steps))
        if self._fewer is None or self._fewer.dim != n:
            self._fewer = on_columns(whole, n)
        first = next(at for at, step in enumerate(steps) if "n_subvectors" in step.get_params())  # others need no width
        begun = on_columns(self._builder.build(Chain(steps[:first])), n)
        return self._fewer, Chain(steps[first:]).fit_transform(begun, self._fewer)


def is_large(v: Vectors) -> bool:
    """Tell if a model is so large that a person would wait for its numbers."""
    return v.dim >= 2 * N_COLUMNS and sum(map(len, parts_of(v))) * v.dim >= LARGE


def n_columns(recipe: Chain, dim: int) -> tuple[int, float]:
    """Return the number of dimensions to try a recipe on, and by what share codes there are wider or narrower."""
    wanted = [n for step in recipe.steps if (n := step.get_params().get("n_subvectors"))]

    def misfit(k: int) -> float:
        codes = [(n * k / dim, max(round(n * k / dim), 1)) for n in wanted]
        return max([abs(there / of - 1) if there >= MIN_CODES else np.inf for of, there in codes], default=0)

    sizes = [N_COLUMNS] if misfit(N_COLUMNS) <= CLOSE else range(N_COLUMNS, MIN_COLUMNS - 1, -1)
    best = min(sizes, key=misfit)
    return best, misfit(best)


def with_fewer_codes(recipe: Chain, share: float) -> Chain:
    """Return a recipe for a share of the dimensions."""

    def fewer(step: Step) -> Step:
        n, step = step.get_params().get("n_subvectors"), unfitted(step)
        return step if n is None else step.set_params(n_subvectors=max(round(n * share), 1))

    return Chain([fewer(step) for step in recipe.steps])


def on_columns(v: Vectors, n: int) -> Vectors:
    """Return a model on `n` of its dimensions, with the same words and n-grams.

    Dimensions are much alike, so what a recipe loses is nearly the same share of each.
    """
    columns = ((np.arange(n) + 0.5) * v.dim / n).astype(int)  # some models have the greatest first
    narrow = [Dense(spooled(taken(part, columns), n, len(part))) for part in parts_of(v)]
    return v.with_storage(Stacked(*narrow) if len(narrow) > 1 else narrow[0])


def taken(part: Storage, columns: np.ndarray) -> Iterator[np.ndarray]:
    """Yield these columns of all rows, block by block: (<= BLOCK, n) float32."""
    with progress.bar(total=len(part), desc="A sample of the dimensions", unit=" rows", leave=False, delay=2) as bar:
        for start in range(0, len(part), BLOCK):
            here = slice(start, start + BLOCK)
            yield (part.matrix[here] if isinstance(part, Dense) else part.rows(here))[:, columns]
            bar.update(min(BLOCK, len(part) - start))


def parts_of(v: Vectors) -> list[Storage]:
    """Return the word rows, and the n-gram rows where there are any."""
    return [part for part in (v.storage.words, v.storage.ngrams) if part is not None]
