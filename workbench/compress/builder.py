"""`Builder`: many recipes on one model; what their beginnings share is computed once."""

import json
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from .. import progress
from .base import Chain, Model, Step

M = TypeVar("M", bound=Model)


class Builder(Generic[M]):
    """Build recipes on one model, and keep the models that their beginnings made.

    The result is the same, to the bit, as that of ``recipe.fit_transform(original)``. The builder keeps the `n_kept`
    models used last, and at least the beginnings of the last recipe; with `keeps_results` also what whole recipes
    made, which others may begin with. `at` is the place of the step at work, or of the one that failed.
    """

    def __init__(self, original: M, n_kept: int = 4, keeps_results: bool = False):
        self.original = original
        self.n_kept, self.keeps_results, self.at = n_kept, keeps_results, 0
        self._kept: dict[str, M] = {}  # by the steps taken as JSON, the one used last at the end

    def build(self, recipe: Chain) -> M:
        """Return the model that `recipe` makes. The recipe itself stays unfitted."""
        v, last = self.original, len(recipe.steps) - 1
        with progress.bar(recipe.steps, unit="step", delay=0.5) as bar:
            for self.at, step in enumerate(bar):
                bar.set_description(step.label)
                key = key_of(recipe.steps[: self.at + 1])
                found = self._kept.pop(key, None)
                v = self.ready(step, key).fit_transform(v, self.original) if found is None else found
                if self.keeps_results or self.at < last:
                    self._kept[key] = v
        for key in list(self._kept)[: -max(self.n_kept, last + self.keeps_results, 1)]:
            del self._kept[key]
        return v

    def ready(self, step: Step, key: str) -> Step:
        """Return a copy of a step that is about to be fitted; `key` is that of the steps up to this one."""
        return unfitted(step)

    def kept(self, steps: Sequence[Step]) -> M | None:
        """Return what these steps made; None if it is not kept."""
        return self._kept.get(key_of(steps)) if steps else self.original


def key_of(steps: Sequence[Step]) -> str:
    """Return a text that is another one for any other steps."""
    return json.dumps([step.to_json() for step in steps])


def unfitted(step: Step) -> Step:
    """Return a step with the same parameters, and copies of those that are steps or lists of them."""

    def copy(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [copy(of) for of in value]
        return unfitted(value) if isinstance(value, Step) else value

    return type(step)(**{name: copy(value) for name, value in step.get_params().items()})
