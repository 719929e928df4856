"""A base for steps that store the same rows in another way, and passes over rows."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .. import progress
from ..storage import SAFE_NORMS, Stacked, Storage, Wrapper
from ..vectors import Vectors, check_finite
from .base import Step
from .outline import Outline, Rows

ROWS = {"all": "all", "words": "words only", "ngrams": "n-grams only"}  # choices of `on`


class ValueStep(Step):
    """A step that stores word rows, n-gram rows, or both by a method of its own.

    Subclasses write `_learn` and `_encode`, and may have a parameter `on`. Words and n-grams are
    learned apart: their rows are distributed differently. Of a `Wrapper` (projected, sparse or cut) they get
    the inner rows.

    Attributes
    ----------
    learned_ : dict
        The values of `_learn` for ``"words"`` and ``"ngrams"``.
    """

    on = "all"

    def _learn(self, part: Storage, which: str) -> Any:
        raise NotImplementedError

    def _encode(self, part: Storage, which: str, learned: Any) -> Storage:
        raise NotImplementedError

    def _stored(self, rows: Rows) -> Rows | None:
        """Return the sizes of rows that this step stores; None where it refuses them. Without it, nobody knows."""
        raise NotImplementedError

    def _outlined(self, o: Outline) -> Outline | None:
        if (self.on == "ngrams" and o.ngrams is None) or (self.on != "words" and o.is_fixed):
            return None
        if type(self)._stored is ValueStep._stored:
            return super()._outlined(o)
        new = {name: self._stored(rows) for name, rows in o.parts.items() if self.on in ("all", name)}
        return None if None in new.values() else replace(o, **new)  # type: ignore[arg-type]

    def _fit(self, v: Vectors, reference: Vectors | None) -> None:
        if self.on == "ngrams" and v.storage.ngrams is None:
            raise ValueError(f"{type(self).__name__}: on='ngrams', but this model has no n-grams")
        self.learned_ = {}
        for which, part in self._parts(self._prepared(v)).items():
            while isinstance(part, Wrapper):
                part = part.inner
            if len(part):  # a sparse part may hold nothing but zeros
                self.learned_[which] = self._learn(part, which)

    def _transform(self, v: Vectors) -> Vectors:
        v = self._prepared(v)
        new = {which: self._encoded(part, which) for which, part in self._parts(v).items()}
        words = new.get("words", v.storage.words)
        if v.storage.ngrams is None:
            return v.with_storage(words)
        return v.with_storage(Stacked(words, new.get("ngrams", v.storage.ngrams)))

    def _encoded(self, part: Storage, which: str) -> Storage:
        """A part in its new form; of one that wraps others the inner rows, which are fewer numbers, or pieces."""
        if isinstance(part, Wrapper):
            return part.over(self._encoded(part.inner, which))
        return self._encode(part, which, self.learned_[which]) if len(part) else part

    def _prepared(self, v: Vectors) -> Vectors:
        """Fold n-grams into the word rows first, so that changing n-grams does not change known words again."""
        return v if self.on == "words" else v.adjusted()

    def _parts(self, v: Vectors) -> dict[str, Storage]:
        parts = {"words": v.storage.words, "ngrams": v.storage.ngrams}
        return {which: s for which, s in parts.items() if s is not None and len(s) and self.on in ("all", which)}


def training_rows(step: Any, part: Storage, which: str, points_a_centroid: int) -> np.ndarray:
    """Return rows to train ``2 ** step.n_bits`` centroids on, (n_sample, dim) float32 in random order."""
    n_entries = 2 ** int(step.n_bits)
    if len(part) < n_entries:
        raise ValueError(
            f"{step!r}: {n_entries} centroids need as many rows at least, the {which} have {len(part)}; "
            "take fewer bits, keep more rows, or use SQ"
        )
    rng = np.random.default_rng([step.random_state, ("words", "ngrams").index(which)])
    sample = part.rows(rng.permutation(len(part))[: n_entries * points_a_centroid])
    if not np.isfinite(sample).all():
        for _ in finite_blocks(part, which):  # names the first such row
            pass
    check_squares(sample, f"{step!r}: the {which}")
    return sample


def encoded_rows(
    step: Step, part: Storage, which: str, width: int, dtype: Any, encode: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return what `encode` makes of the rows of a part, block by block: (n, width)."""
    rows, name = np.empty((len(part), width), dtype), type(step).__name__
    with progress.bar(total=len(part), desc=f"{name} codes", unit=" rows", leave=False, delay=2) as bar:
        for start, block in finite_blocks(part, which):
            rows[start : start + len(block)] = encode(block)
            bar.update(len(block))
    return rows


def check_squares(rows: np.ndarray, what: str, also_small: bool = True) -> None:
    """Refuse rows whose squares float32 cannot hold: distances between them would be infinite, or all 0."""
    largest = max(rows.max(initial=0), -rows.min(initial=0))
    if largest > SAFE_NORMS[1] or (also_small and 0 < largest < SAFE_NORMS[0]):
        raise ValueError(
            f"{what} have numbers as large as {largest:.1e}, whose squares float32 cannot hold; scale them first: "
            f"Vectors.from_arrays(v.words, v.matrix() / {largest:.0e}, v.vocab.counts)"
        )


def finite_blocks(part: Storage, which: str) -> Iterator[tuple[int, np.ndarray]]:
    """`Storage.blocks`, refusing NaN and infinity by row of the ``"words"`` or ``"ngrams"``."""
    for start, block in part.blocks():
        check_finite(block, (), start, {"words": "word row", "ngrams": "n-gram row"}[which])
        yield start, block
