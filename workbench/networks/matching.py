"""Search among texts and labels without training: by cosines, or by what a network says of pairs of texts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import progress
from ..nearest import CANDIDATES, greatest, nearest_rows
from ..vectors import shortly, unit
from .network import Network
from .words import listed

if TYPE_CHECKING:
    from pandas import DataFrame

NONE = "none of these"
ENTAILMENT = "entailment"
TEMPLATES = {"embedding": "{}", ENTAILMENT: "this text is about {}"}  # around descriptions, by the way to compare
BLOCK = 4_096  # texts that are embedded at once, or pairs that go through a network
Described = dict[str, list[str]]  # the descriptions of each label
Best = tuple[np.ndarray, np.ndarray]  # places of the two best labels of each text and their scores, (n, <= 2) each


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
            "query": pd.Series([queries[i] for i in query], dtype=object),  # pyarrow's strings hold no broken UTF-8
            "rank": rank + 1,
            "text": pd.Series([texts[i] for i in places[query, rank]], dtype=object),
            "score": scores[query, rank],
        }
    )


def classify(
    model: Any,
    texts: Sequence[str],
    labels: Sequence[str] | Mapping[str, str | Sequence[str]],
    threshold: float | None = None,
    by: str = "embedding",
    about: str | None = None,
) -> "DataFrame":
    """Give each text the label that is described best; nothing is trained.

    By entailment as in Yin, Hay and Roth, "Benchmarking zero-shot text classification" (2019). It takes one pass of
    the network for each text and description; by embedding, one for each text.

    Parameters
    ----------
    model : Network, TextVectors, or what else has a method ``embed`` or ``transform`` for texts
        By entailment, a BERT with a head that was trained on natural language inference, and has a label
        ``"entailment"`` in upper or lower case: `load` opens its folder.
    texts : sequence of str
    labels : sequence of str, or mapping of str to str or sequence of str
        Names that describe themselves, or each with one or several descriptions. Of several, the mean of the vectors
        counts by embedding, and the most probable one by entailment: a text about cats is about pets, cats or dogs.
    threshold : float, optional
        Texts with a lower score get the label ``"none of these"``. Choose it on labelled texts, for each model anew.
    by : {"embedding", "entailment"}
        The score is the cosine of text and label; or the probability, among the network's labels, of entailment from
        the text to the description. Of a pair that is too long the longer text loses its end.
    about : str, optional
        Stands around each description, which takes the place of ``{}``. By default ``"{}"`` by embedding, and
        ``"this text is about {}"`` by entailment.

    Returns
    -------
    DataFrame with columns text, label, score, margin
        The score, and how much more it is than that of the second label. An empty text is ``"none of these"``, and
        so is by embedding one without a known word; it has no score.

    Raises
    ------
    TypeError, ValueError
        If there is no label, a label or description is there twice, a description is empty or has no known word, the
        network has no label for entailment, or another parameter is not as above.
    """
    import pandas as pd

    texts = listed(texts)
    if by not in TEMPLATES:
        raise ValueError(f"by must be one of {', '.join(map(repr, TEMPLATES))}, got {shortly(by)}")
    about = TEMPLATES[by] if about is None else about
    if not isinstance(about, str) or "{}" not in about:
        raise ValueError(f"about must be a text with {{}} where the description goes, got {shortly(about)}")
    if threshold is not None and not (isinstance(threshold, Real) and threshold == threshold):
        raise ValueError(f"threshold must be a number, or None for none, got {shortly(threshold)}")
    described = {name: [about.replace("{}", text) for text in of] for name, of in described_by(labels).items()}
    names, is_paired = list(described), by == ENTAILMENT
    best_of = (by_entailment if is_paired else by_embedding)(model, described)
    size = max(1, BLOCK // sum(map(len, described.values()))) if is_paired else BLOCK
    told = np.flatnonzero([text.strip() != "" for text in texts])
    places, scores = np.full((len(texts), 2), -1), np.full((len(texts), 2), np.nan, np.float32)
    with progress.bar(total=len(told), desc="Labels", unit=" texts", leave=False, delay=2) as bar:
        for start in range(0, len(told), size):
            here = told[start : start + size]
            found, of = best_of([texts[i] for i in here])
            places[here, : found.shape[1]], scores[here, : of.shape[1]] = found, of
            bar.update(len(here))
    is_none = (places[:, 0] < 0) | (scores[:, 0] < (-np.inf if threshold is None else threshold))
    best = [NONE if none else names[i] for i, none in zip(places[:, 0], is_none, strict=True)]
    return pd.DataFrame(
        {
            "text": pd.Series(texts, dtype=object),
            "label": pd.Series(best, dtype=object),
            "score": scores[:, 0],
            "margin": scores[:, 0] - scores[:, 1],
        }
    )


def described_by(labels: Sequence[str] | Mapping[str, str | Sequence[str]]) -> Described:
    """Return the descriptions of each label, all of them different and not empty; else an error that names one."""
    names = listed(labels)
    descriptions = [labels[name] for name in names] if isinstance(labels, Mapping) else names
    described = [[of] if isinstance(of, str) else listed(of) for of in descriptions]
    if not names:
        raise ValueError("expected at least one label, got none")
    for kind, found in (("label", names), ("description", [text for of in described for text in of])):
        text, n = Counter(found).most_common(1)[0] if found else ("", 1)
        if n > 1:
            raise ValueError(f"{kind} {shortly(text)} is there {n} times; give each once")
    for name, of in zip(names, described, strict=True):
        if name == NONE:
            raise ValueError(f"a label cannot be {NONE!r}, which is for texts that no label is near to; leave it out")
        if not of or not all(text.strip() for text in of):
            raise ValueError(f"label {shortly(name)} has no description, or an empty one; say what its texts are about")
    return dict(zip(names, described, strict=True))


def by_embedding(model: Any, described: Described) -> Callable[[list[str]], Best]:
    """Return what finds the labels of greatest cosine for texts; of several descriptions by their mean."""
    means = []
    for name, of in described.items():
        rows = vectors_of(model, of)
        if np.isnan(rows).any():
            raise ValueError(f"a description of label {shortly(name)} has no known word; describe it by other words")
        means.append(rows.mean(axis=0))
    vectors = unit(np.array(means))  # (n_labels, dim)
    return lambda texts: nearest_rows(vectors_of(model, texts), [vectors], 2)


def by_entailment(net: Any, described: Described) -> Callable[[list[str]], Best]:
    """Return what finds the labels that texts entail most probably; of several descriptions by the likeliest."""
    from scipy.special import softmax

    if not isinstance(net, Network):
        raise TypeError(f"by 'entailment' expects a Network, as networks.load(folder) opens, got {type(net).__name__}")
    places = [i for i, label in enumerate(net.config.labels) if label.casefold() == ENTAILMENT]
    if len(places) != 1:
        labels = ", ".join(net.config.labels[:5]) if net.config.labels else "none at all"
        raise ValueError(
            f"expected a network with one label {ENTAILMENT!r}, got {labels[:200]}; give a BERT that was trained on "
            "natural language inference, and name its labels in id2label of its config.json"
        )
    all_of = [text for of in described.values() for text in of]
    starts = np.cumsum([0, *map(len, described.values())])[:-1]  # (n_labels,) each label's first description

    def best(texts: list[str]) -> Best:
        logits = net.run([(text, other) for text in texts for other in all_of]).logits
        chances = softmax(logits, axis=1)[:, places[0]].reshape(len(texts), -1)  # (n, n_descriptions)
        scores = np.maximum.reduceat(chances, starts, axis=1)  # (n, n_labels)
        first_two = greatest(scores, 2)
        return first_two, np.take_along_axis(scores, first_two, axis=1)

    return best
