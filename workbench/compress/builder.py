"""`Builder`: many recipes on one model; what their beginnings share is computed once."""

import json

from .. import progress
from ..vectors import Vectors
from .base import Chain
from .recipes import from_json


class Builder:
    """Build recipes on one model, and keep the models that their beginnings made.

    The result is the same, to the bit, as that of ``recipe.fit_transform(original)``. The builder keeps the `n_kept`
    models used last, and at least the beginnings of the last recipe. `at` is the place of the step at work, or of
    the one that failed.
    """

    def __init__(self, original: Vectors, n_kept: int = 4):
        self.original = original
        self.n_kept, self.at = n_kept, 0
        self._kept: dict[str, Vectors] = {}  # by the steps taken as JSON, the one used last at the end

    def build(self, recipe: Chain) -> Vectors:
        """Return the model that `recipe` makes. The recipe itself stays unfitted."""
        v, taken = self.original, []
        last = len(recipe.steps) - 1
        with progress.bar(recipe.steps, unit="step", delay=0.5) as bar:
            for self.at, step in enumerate(bar):
                bar.set_description(step.label)
                taken.append(step.to_json())
                key = json.dumps(taken)
                found = self._kept.pop(key, None)
                v = from_json(step.to_json()).fit_transform(v, self.original) if found is None else found
                if self.at < last:
                    self._kept[key] = v
        for key in list(self._kept)[: -max(self.n_kept, last, 1)]:
            del self._kept[key]
        return v
