"""Search among texts and labels without training, by the cosine of what any model makes of texts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from ..nearest import CANDIDATES, nearest_rows
from ..vectors import shortly, unit
from .words import listed

if TYPE_CHECKING:
    from pandas import DataFrame

NONE = "none of these"
BLOCK = 4_096  # texts that are embedded at once


def embed_blocks(model: Any, texts: Iterable[str], size: int = BLOCK) -> Iterator[np.ndarray]:
    """Yield the vectors of so many texts at once, (<= size, dim) float32: for texts that are read one by one.

    `model` has a method ``embed(texts)``, as a `Network`, or ``transform(texts)``, as `TextVectors` or a pipeline.
    """
    embed: Callable[[list[str]], Any] = model.embed if hasattr(model, "embed") else model.transform
    rest = iter(listed(texts) if isinstance(texts, str) else texts)
    while block := list(islice(rest, size)):
        yield np.asarray(embed(block), np.float32)


def vectors_of(model: Any, texts: Sequence[str]) -> np.ndarray:
    """Return the vectors of texts, scaled to length 1, NaN for texts without any: (n, dim) float32."""
    blocks = [*embed_blocks(model, listed(texts))]
    rows = unit(np.concatenate(blocks or [np.zeros((0, 1), np.float32)]))
    rows[~rows.any(axis=1)] = np.nan
    return rows


def nearest_texts(model: Any, queries: Sequence[str], texts: Sequence[str], topn: int = 10) -> "DataFrame":
    """Find the texts nearest to each query by cosine, exactly.

    Parameters
    ----------
    model : Network, TextVectors, or what else has a method ``embed`` or ``transform`` for texts
    queries, texts : sequence of str
    topn : int
        Texts for each query.

    Returns
    -------
    DataFrame with columns query, rank, text, score
        Texts without a known word are nobody's neighbours and have none.
    """
    import pandas as pd

    if not isinstance(topn, Integral) or topn < 1:
        raise ValueError(f"topn must be a whole number of at least 1, got {shortly(topn)}")
    queries, texts = listed(queries), listed(texts)
    blocks = (vectors_of(model, texts[start : start + CANDIDATES]) for start in range(0, len(texts), CANDIDATES))
    places, scores = nearest_rows(vectors_of(model, queries), blocks, min(topn, len(texts)))
    query, rank = np.nonzero(places >= 0)
    return pd.DataFrame(
        {
            "query": [queries[i] for i in query],
            "rank": rank + 1,
            "text": [texts[i] for i in places[query, rank]],
            "score": scores[query, rank],
        }
    )


def classify(
    model: Any,
    texts: Sequence[str],
    labels: Sequence[str] | Mapping[str, str | Sequence[str]],
    threshold: float | None = None,
) -> "DataFrame":
    """Give each text the label whose description is nearest by cosine; nothing is trained.

    Parameters
    ----------
    model : Network, TextVectors, or what else has a method ``embed`` or ``transform`` for texts
    texts : sequence of str
    labels : sequence of str, or mapping of str to str or sequence of str
        Names that describe themselves, or each with one or several descriptions; of several the mean counts.
    threshold : float, optional
        Texts with a lower score get the label ``"none of these"``. Choose it on labelled texts, for each model anew.

    Returns
    -------
    DataFrame with columns text, label, score, margin
        The cosine, and how much more it is than that of the second label. A text without a known word is
        ``"none of these"``, too.
    """
    import pandas as pd

    described = dict(labels) if isinstance(labels, Mapping) else {label: label for label in listed(labels)}
    if not described:
        raise ValueError("expected at least one label, got none")
    names, means = list(described), []
    for name, about in described.items():
        rows = vectors_of(model, [about] if isinstance(about, str) else about)
        if not len(rows) or np.isnan(rows).any():
            raise ValueError(f"a description of label {shortly(name)} has no known word; describe it by other words")
        means.append(rows.mean(axis=0))
    texts = listed(texts)
    places, scores = nearest_rows(vectors_of(model, texts), [unit(np.array(means))], 2)
    is_none = (places[:, 0] < 0) | (scores[:, 0] < (-np.inf if threshold is None else threshold))
    return pd.DataFrame(
        {
            "text": texts,
            "label": [NONE if none else names[i] for i, none in zip(places[:, 0], is_none, strict=True)],
            "score": scores[:, 0],
            "margin": scores[:, 0] - scores[:, 1],
        }
    )
