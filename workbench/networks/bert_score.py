"""`bert_score`: how much of what one text says stands in another, token by token, by any model of tokens."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, compress
from math import log
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import progress
from ..checks import warn
from ..vectors import Vectors, shortly, unit
from .network import Network
from .tokens import token_places
from .words import is_lower, listed, numbered, split

if TYPE_CHECKING:
    from pandas import DataFrame

BLOCK = 256  # pairs whose states are held at once: with 512 tokens of 384 numbers each, 400 MB
MAX_ZERO = 1 - 1e-6  # of a baseline: with more, a scale would be rounding alone


Weigh = Callable[[list[Any]], np.ndarray]  # from tokens to (n_tokens,) float64


def bert_score(
    model: Network | Vectors,
    candidates: Sequence[str],
    references: Sequence[str],
    idf: bool | Sequence[str] = False,
    layer: int | None = None,
    baseline: Sequence[str] | Sequence[float] | None = None,
    random_state: int = 0,
) -> "DataFrame":
    """Score texts by their references: each token by the most similar one of the other text.

    BERTScore (Zhang et al., 2020, "BERTScore: evaluating text generation with BERT"), as the package bert-score
    computes it from the same network with ``batch_size=1``. In larger batches its padding stands in for a token of
    cosine 0, so that a token whose cosines are all negative gets 0.

    Parameters
    ----------
    model : Network or Vectors
        A network of kind "bert", whose tokens are its own, or word vectors, whose tokens are words; those without a
        vector are left out.
    candidates, references : sequence of str
        As many of one as of the other.
    idf : bool or sequence of str
        Weigh tokens by their inverse document frequency, ``log((n + 1) / (n_with_token + 1))``, among the references
        (True) or other texts. Else all count alike, but for those that a tokenizer puts around every text: they weigh
        nothing, though others may match them.
    layer : int, optional
        The layer whose states are compared, 0 for the embedded tokens; the last one by default.
    baseline : sequence of str, or three numbers, optional
        What becomes 0 of a scale that ends at 1: precision, recall and F1 of texts that have nothing to do with each
        other, or texts, each of which is then paired with another one.
    random_state : int
        Seed of those pairs.

    Returns
    -------
    DataFrame
        A row a pair with ``precision`` (mean over the tokens of the candidate), ``recall`` (of the reference) and
        ``f1``. Where a text has no token that counts, all three are 0 before the baseline, with a warning.
        ``attrs["baseline"]`` are the three numbers, for other calls.

    Raises
    ------
    ValueError, TypeError
        If there are no pairs, or not as many of both; if the model has no such layer, is a bag or something else; if
        `idf` or `baseline` is none of these.
    """
    import pandas as pd

    candidates, references = listed(candidates), listed(references)
    if not candidates or len(candidates) != len(references):
        raise ValueError(
            f"expected a reference for each of at least one candidate, got {len(candidates)} and {len(references)}"
        )
    model = _up_to(model, layer)
    weigh = _weigher(model, None if idf is False else references if idf is True else _texts("idf", "a bool", idf))
    score = partial(_scores, model, weigh=weigh)
    zero = np.zeros(3) if baseline is None else _zero(baseline, score, random_state)
    scores = score(candidates, references)
    empty = np.flatnonzero(np.isnan(scores[:, 0]))
    if len(empty):
        warn(
            f"{len(empty):,} of {len(scores):,} pairs, as that at place {empty[0]}, have a text without a token that "
            "counts, and score 0"
        )
    found = pd.DataFrame((np.nan_to_num(scores) - zero) / (1 - zero), columns=["precision", "recall", "f1"])
    found.attrs["baseline"] = tuple(zero.tolist())
    return found


def _up_to(model: Any, layer: Any) -> Network | Vectors:
    """Return a model whose last layer is this one; refuse models without tokens, and layers that they do not have."""
    if not isinstance(model, Network | Vectors):
        raise TypeError(f"model must be a Network or Vectors, got {shortly(model)}")
    if isinstance(model, Network) and model.config.kind == "bag":
        raise ValueError("a bag has no states of tokens; give the word vectors that it was made of")
    n_layers = 0 if isinstance(model, Vectors) else model.config.n_layers
    is_layer = isinstance(layer, Integral) and not isinstance(layer, bool) and 0 <= int(layer) <= n_layers
    if layer is not None and not is_layer:
        raise ValueError(f"layer must be a whole number from 0 to {n_layers}, or None, got {shortly(layer)}")
    if isinstance(model, Vectors) or layer in (None, n_layers):
        return model
    return model.with_weights({}, replace(model.config, n_inner=model.config.n_inner[:layer]))


def _zero(baseline: Any, score: Callable[..., np.ndarray], seed: int) -> np.ndarray:
    """Return precision, recall and F1 that become 0: those given, or the mean of pairs of different texts: (3,)."""
    if np.shape(baseline) == (3,) and all(isinstance(number, Real) for number in baseline):
        zero = np.array(baseline, np.float64)
    else:
        texts = _texts("baseline", "three numbers", baseline)
        order = np.random.default_rng(seed).permutation(len(texts))
        scores = score(*([texts[i] for i in of] for of in (order, np.roll(order, 1))))
        known = scores[~np.isnan(scores[:, 0])]
        zero = known.mean(axis=0) if len(known) else np.ones(3)
    if not (zero < MAX_ZERO).all():
        raise ValueError(f"expected a baseline below 1, or different texts with tokens for it, got {zero.tolist()}")
    return zero


def _texts(name: str, other: str, given: Any) -> list[str]:
    """Return texts that an option gives; refuse all else."""
    try:
        texts = listed(given)
    except TypeError as error:
        raise TypeError(f"{name} must be {other} or texts: {error}") from None
    if not texts:
        raise ValueError(f"expected at least one text in {name}, got none")
    return texts


def _keys(model: Network | Vectors, texts: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the tokens of each text, in any order of the texts."""
    if isinstance(model, Vectors):
        yield from (split(text, is_lower(model)) for text in texts)
    else:
        for _, tokens in model.batches(texts):
            yield from map(_of_row, *tokens)


def _of_row(ids: np.ndarray, weights: np.ndarray) -> list[Any]:
    """Return the tokens of one text: numbers of rows, or several in a tuple where a token has pieces."""
    if ids.ndim == 1:
        return ids[weights != 0].tolist()
    return [tuple(row[of != 0].tolist()) for row, of in zip(ids, weights, strict=True) if of.any()]


def _weigher(model: Network | Vectors, texts: list[str] | None) -> Weigh:
    """Return what weighs tokens: all alike, or by how many of these texts have them; 0 for those around every text."""
    if texts is None:
        around = frozenset(() if isinstance(model, Vectors) else model.tokenizer.around)
        return lambda keys: np.array([key not in around for key in keys], np.float64)
    counts = Counter(chain.from_iterable(map(set, _keys(model, texts))))
    return lambda keys: np.array([log((len(texts) + 1) / (counts[key] + 1)) for key in keys])


def _scores(model: Network | Vectors, candidates: list[str], references: list[str], weigh: Weigh) -> np.ndarray:
    """Return precision, recall and F1 of each pair, NaN where a text has no token that counts: (n, 3)."""
    scores = np.full((len(candidates), 3), np.nan)
    order = sorted(range(len(candidates)), key=references.__getitem__)  # so that a reference is embedded once
    for start in progress.bar(range(0, len(order), BLOCK), "Pairs", unit="block", leave=False, delay=2):
        here = order[start : start + BLOCK]
        texts = [*dict.fromkeys(side[i] for i in here for side in (candidates, references))]
        found = {text: (weigh(keys), states) for text, keys, states in _embedded(model, texts)}
        for i in here:
            (of_own, own), (of_other, other) = found[candidates[i]], found[references[i]]
            if of_own.any() and of_other.any():
                cosines = own @ other.T  # (n_tokens of the candidate, n_tokens of the reference)
                precision = np.average(cosines.max(axis=1), weights=of_own)
                recall = np.average(cosines.max(axis=0), weights=of_other)
                both = precision + recall
                scores[i] = precision, recall, 2 * precision * recall / both if both else 0
    return scores


def _embedded(model: Network | Vectors, texts: list[str]) -> Iterator[tuple[str, list[Any], np.ndarray]]:
    """Yield each text with its tokens, and their states of length 1, (n_tokens, dim) float32."""
    if isinstance(model, Vectors):
        words = [*_keys(model, texts)]
        known, places = numbered(chain.from_iterable(words))
        rows = unit(model.get_vectors(known, "nan"))
        for text, keys, here in zip(texts, words, np.split(places, np.cumsum([len(w) for w in words])), strict=False):
            has_vector = ~np.isnan(rows[here, 0])
            yield text, [*compress(keys, has_vector)], rows[here[has_vector]]
        return
    for places, tokens, out in model.outputs(texts):
        states = unit(out.states[-1].cpu().numpy())  # (n, tokens, dim)
        for place, ids, weights, of_text in zip(places, *tokens, states, strict=True):
            yield texts[place], _of_row(ids, weights), of_text[token_places(weights[None])[0]]
