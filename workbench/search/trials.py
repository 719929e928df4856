"""`Trials`: recipes tried for a search, here or on the workers of a Dask client ahead of it."""

import json
import time
from collections.abc import Iterable
from typing import Any

from ..compress import Chain
from ..compress.builder import Builder
from ..compress.outline import outline
from ..evaluate.cost import float32_bytes
from ..vectors import Vectors
from ..workers import DEAD, on_worker, sent_once
from .quick import N_COLUMNS, on_columns, with_fewer_codes
from .sweep import attempt, refused

Trial = tuple[dict, Vectors | None, float]  # the row and the model of `attempt`, and the seconds that it took


class Trials:
    """Tries recipes on a model. `given` are the further arguments of `attempt`."""

    is_sampled = False

    def __init__(self, v: Vectors, given: dict, client: Any = None, keeps_steps: bool = True):
        self.v, self.given, self.client = v, given, client
        self.builder: Any = Builder(v) if keeps_steps else None
        if client is not None:
            self.builder = sent_once(client, self.builder)
            self.n_ahead = len(client.scheduler_info(n_workers=-1)["workers"])
            self.begun: dict[str, Any] = {}  # futures, by the recipe as JSON

    def begin(self, recipes: Iterable[Chain | None]) -> None:
        """Let workers begin recipes that are likely to be asked for, as many as there are workers."""
        if self.client is None:
            return
        for recipe in [recipe for recipe in recipes if recipe is not None][: self.n_ahead]:
            key = json.dumps(recipe.to_json())
            if key not in self.begun:
                self.begun[key] = self.client.submit(on_worker, _timed, self.builder, recipe, self.given, pure=False)

    def __call__(self, recipe: Chain) -> Trial:
        if self.client is None:
            return _timed(self.builder or Builder(self.v), recipe, self.given)
        from distributed import KilledWorker

        self.begin([recipe])
        try:
            return self.begun[json.dumps(recipe.to_json())].result()
        except KilledWorker:
            return refused(recipe, ChildProcessError(DEAD)), None, 0.0


class SampledTrials(Trials):
    """Tries recipes on a sample of the dimensions, with fewer codes; bytes are predicted."""

    is_sampled = True

    def __init__(self, v: Vectors, given: dict, client: Any = None):
        super().__init__(on_columns(v, N_COLUMNS), given, client)
        self.whole, self.share = v, N_COLUMNS / v.dim

    def begin(self, recipes: Iterable[Chain | None]) -> None:
        """See `Trials.begin`."""
        super().begin(recipe and with_fewer_codes(recipe, self.share) for recipe in recipes)

    def __call__(self, recipe: Chain) -> Trial:
        row, small, seconds = super().__call__(with_fewer_codes(recipe, self.share))
        o = recipe.outlined(outline(self.whole, True))  # nearly to the byte, since it decides what fits
        assert o is not None, "a plan has steps that can follow each other"
        sizes = {"bytes": o.file_bytes, "ratio": float32_bytes(self.whole) / o.file_bytes}
        return row | {"recipe": recipe} | sizes, small, seconds


def _timed(builder: Builder, recipe: Chain, given: dict) -> Trial:
    start = time.monotonic()
    row, small = attempt(builder, recipe, **given)
    return row, small, time.monotonic() - start
