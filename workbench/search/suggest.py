"""Recipes to begin with, and steps to go on with, that suit a model."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..compress import OPQ, PQ, SQ, Chain, Prune, Refit, Residual, Step
from ..compress.outline import Outline, n_used_ngrams, outline
from ..compress.values import ValueStep
from ..vectors import Vectors
from .plan import bits_for

MIN_WORDS = 1_000  # that a small model keeps at first; codebooks would outweigh fewer
ENOUGH = 0.99  # of the bytes: a step that leaves more saves nothing worth a step


class Preset(NamedTuple):
    """A recipe to begin with."""

    label: str
    help: str
    recipe: Chain


def presets(v: Vectors, seed: int = 0) -> dict[str, Preset]:
    """Return recipes by intent; where none would make the model smaller, they change nothing."""
    light = suited(v, SQ("int8", random_state=seed), seed=seed)
    light = light if light.steps else suited(v, PQ(v.dim, random_state=seed), seed=seed)
    return {
        "light": Preset("Light", "Each number in fewer bits: hardly a difference.", light),
        "balanced": Preset("Balanced", "Fewer words and n-grams, in codes: the default recipe.", usual(v, seed=seed)),
        "tiny": Preset(
            "Tiny", "Very few bytes a word: the smallest file, which takes longest to build.", tiny(v, seed)
        ),
    }


def usual(
    v: Vectors, n_words: int | None = None, n_ngrams: int | None = None, n_subvectors: int | None = None, seed: int = 0
) -> Chain:
    """Return the default recipe: prune, re-fit where there are n-grams to re-fit, quantise.

    Without numbers it keeps a seventh of the words and twice as many n-grams, with half a byte for each dimension.
    """
    is_given = (n_words, n_ngrams, n_subvectors) != (None, None, None)
    n_words, n_rows = n_words or rough_words(len(v)), len(v.storage.ngrams or ())
    n_ngrams = min(2 * n_words, n_rows) if n_ngrams is None else n_ngrams
    has_ngrams = v.vocab.subwords is not None and n_ngrams > 0
    n_bits = _bits(min(n_words, n_ngrams) if has_ngrams else n_words)
    steps: list[Step] = [Prune(n_words=n_words, n_ngrams=None if v.vocab.subwords is None else n_ngrams)]
    steps += [Refit(random_state=seed)] if has_ngrams else []
    steps += [PQ(n_subvectors or max(v.dim // 2, 1), n_bits, random_state=seed)] if n_bits else []
    return Chain(steps) if is_given else suited(v, *steps, seed=seed)


def tiny(v: Vectors, seed: int = 0) -> Chain:
    """Return a recipe for a file smaller than that of `usual`, where there is one.

    N-grams have few codes that are fitted to the words; of words what n-grams leave over is stored.
    """
    n_words, limit = rough_words(len(v)), usual(v, seed=seed).outlined(outline(v))
    coarse = OPQ(max(v.dim // 4, 1), _bits(n_words) or 1, random_state=seed)
    found = [suited(v, Prune(n_words=n_words), coarse, seed=seed)]
    if v.vocab.subwords is not None:
        n_ngrams, refit = min(4 * n_words, n_used_ngrams(v)), Refit(0.3, kept_weight=1.0, random_state=seed)
        of_ngrams = PQ(max(v.dim // 4, 1), _bits(n_ngrams) or 1, on="ngrams", random_state=seed)
        of_words = PQ(max(v.dim // 8, 1), _bits(n_words) or 1, on="words", random_state=seed)
        prune = Prune(n_ngrams=n_ngrams), Prune(n_words=n_words)
        residuals = suited(v, prune[0], refit, of_ngrams, refit, prune[1], Residual(), of_words, seed=seed)
        fewer = usual(v, n_subvectors=max(v.dim // 4, 1), seed=seed)
        found = [residuals, suited(v, *fewer.steps, seed=seed)]
    for recipe in found:
        o = recipe.outlined(outline(v))
        if o is not None and limit is not None and o.file_bytes < limit.file_bytes:
            return recipe
    return usual(v, seed=seed)


def suited(v: Vectors, *steps: Step, seed: int = 0) -> Chain:
    """Return a chain of steps; those that cannot follow, or save nothing, have other values or are left out."""
    start = o = outline(v)
    for step in steps:
        new = step.outlined(o)
        if new is None or (isinstance(step, ValueStep) and new.file_bytes >= o.file_bytes):
            other = first_step(type(step), o, seed)
            new = None if other is None else other.outlined(o)
        o = new or o
    return Chain(o.steps if o.file_bytes < start.file_bytes else [])


def rough_words(n: int) -> int:
    """Return a seventh of the words, as a round number."""
    return max(int(float(f"{n / 7:.1g}")), min(MIN_WORDS, n))


def _bits(n_rows: int) -> int:
    """Bits a code for so many rows: 8, or for fewer than 256 what pays, 0 where none does."""
    return 8 if n_rows >= 256 else bits_for(n_rows)


def first_step(kind: type[Step], o: Outline, seed: int = 0) -> Step | None:
    """Return a step of this kind that can follow and is of use; None where there is none."""
    halves = [o.words.dim >> n for n in range(1, 12) if o.words.dim >> n] or [1]
    n_words, n_ngrams = rough_words(o.n_words), o.ngrams.n if o.ngrams else 0
    values: dict[str, Sequence[Any]] = {  # of each parameter, those to be tried, the best first
        "on": ("all", "words", "ngrams"),
        "dtype": ("int8", "float16", "kmeans"),
        "n_bits": range(_bits(min(rows.n for rows in o.parts.values())) or 1, 0, -1),
        "n_subvectors": halves,
        "rank": halves,
        "n_levels": (8, 4, 2, 1),
        "n_words": [n_words if n_words < o.n_words else max(o.n_words // 2, 1)] if kind is Prune else [],
        "n_ngrams": [min(2 * n_words, n_ngrams)] if o.ngrams else [],
        "n_buckets": [max(o.n_buckets >> n, 1) for n in (2, 4, 6, 8)],
        "random_state": [seed],
    }
    tried = {name: values[name] for name in kind.fields if values.get(name)}
    for chosen in itertools.product(*tried.values()):
        step = kind(**dict(zip(tried, chosen, strict=True)))
        new = step.outlined(o)
        if new is None:
            continue
        saves_elsewhere = not new.is_sure or (kind.needs_ngrams and new.nbytes == o.nbytes)
        if saves_elsewhere or new.file_bytes < ENOUGH * o.file_bytes:
            return step
    return None
