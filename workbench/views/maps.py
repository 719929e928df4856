"""Two-dimensional maps of a model before and after compression, on layouts that can be compared."""

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..evaluate.fidelity import cosines
from ..evaluate.neighbours import nearest
from ..vectors import Vectors
from ..vocab import printable
from .figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def umap_maps(
    original: Vectors, small: Vectors, n_words: int = 2_000, n_neighbors: int = 15, random_state: int = 0
) -> pd.DataFrame:
    """Maps of the most frequent words in both models by UMAP (McInnes, Healy and Melville, 2018).

    Both are drawn from exact k-nearest graphs. The second starts from the first, so that
    a word that moved has moved because its neighbours changed, or by chance: not because UMAP
    turned or mirrored the picture.

    Parameters
    ----------
    original, small : Vectors
    n_words : int
        Words to map: the original's most frequent ones.
    n_neighbors : int
    random_state : int

    Returns
    -------
    DataFrame
        The most frequent word first: ``word``, ``x_before``, ``y_before``, ``x_after``,
        ``y_after``, ``cosine`` (to the original vector), ``in_vocabulary`` (of the small
        model). Its ``attrs`` hold ``trust_before`` and ``trust_after``: trustworthiness (Venna
        and Kaski, 2001), 1 where all neighbours on the map are neighbours in the model, exact
        over the mapped words.
    """
    index = original.vocab.most_frequent(n_words)
    if original.vocab.counts is not None:
        index = index[np.argsort(-original.vocab.counts[index], kind="stable")]
    words = [original.words[i] for i in index if small.can_embed(original.words[i])]
    if len(words) <= 2 * n_neighbors:
        raise ValueError(f"a map needs more than {2 * n_neighbors} words that both models have, got {len(words)}")
    before, after = original.get_vectors(words), small.get_vectors(words)
    first = _umap(original, words, before, "pca", n_neighbors, random_state)
    second = _umap(small, words, after, first, n_neighbors, random_state)
    frame = pd.DataFrame(
        {
            "word": [printable(word) for word in words],
            "x_before": first[:, 0],
            "y_before": first[:, 1],
            "x_after": second[:, 0],
            "y_after": second[:, 1],
            "cosine": cosines(before, after),
            "in_vocabulary": [word in small for word in words],
        }
    )
    frame.attrs["trust_before"] = _trust(before, first, n_neighbors)
    frame.attrs["trust_after"] = _trust(after, second, n_neighbors)
    return frame


def _umap(
    v: Vectors, words: list[str], vectors: np.ndarray, init: str | np.ndarray, n_neighbors: int, seed: int
) -> np.ndarray:
    """UMAP coordinates of `words`: (n, 2) float32."""
    from umap import UMAP

    from ..kernels import LOCK

    places, similar = nearest(v, words, words, n_neighbors - 1)
    own = np.arange(len(words))[:, None]  # UMAP counts each point as its own first neighbour
    graph = np.hstack([own, places]), np.hstack([np.zeros_like(own), np.maximum(1 - similar, 0)]).astype(np.float32)
    with LOCK, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(n_jobs|precomputed_knn|transform).*")
        model = UMAP(
            n_neighbors=n_neighbors, metric="cosine", precomputed_knn=graph, init=init, random_state=seed, n_jobs=1
        )
        return model.fit_transform(vectors)


def _trust(vectors: np.ndarray, places: np.ndarray, n_neighbors: int) -> float:
    from sklearn.manifold import trustworthiness

    return float(trustworthiness(vectors, places, n_neighbors=n_neighbors, metric="cosine"))


def map_figure(frame: pd.DataFrame, labels: list[str] | None = None) -> "Figure":
    """The two maps side by side, coloured by how close each word stayed to its original vector.

    Parameters
    ----------
    frame : DataFrame
        From `umap_maps`.
    labels : list of str, optional
        Words to name in both maps; by default 25 spread over the map.
    """
    from matplotlib.patheffects import withStroke

    figure, axes = new_figure(12, 5.6, 2)
    named = _spread(frame) if labels is None else frame[frame["word"].isin(labels)]
    low, high = np.percentile(frame["cosine"], [5, 95])
    for axis, side, title in zip(axes, ("before", "after"), ("original", "compressed"), strict=True):
        for known, marker in ((True, "o"), (False, "^")):
            group = frame[frame["in_vocabulary"] == known]
            if group.empty:
                continue
            points = axis.scatter(
                group[f"x_{side}"], group[f"y_{side}"], c=group["cosine"], vmin=low, vmax=high, cmap="cividis",
                s=9, marker=marker, linewidths=0, label="own row" if known else "rebuilt from n-grams",
            )  # fmt: skip
        for entry in named.itertuples():
            place = getattr(entry, f"x_{side}"), getattr(entry, f"y_{side}")
            axis.annotate(entry.word, place, fontsize=9, path_effects=[withStroke(linewidth=3, foreground="white")])
        trust = frame.attrs.get(f"trust_{side}")
        axis.set_title(title + (f", trustworthiness {trust:.3f}" if trust else ""))
        axis.set(xlabel="UMAP 1 (no unit)", ylabel="UMAP 2 (no unit)", xticks=[], yticks=[])
    if frame["in_vocabulary"].nunique() > 1:
        axes[0].legend(fontsize=9)
    figure.colorbar(points, ax=axes, label="cosine to the original vector", extend="both", shrink=0.8)
    return figure


def _spread(frame: pd.DataFrame, n: int = 25) -> pd.DataFrame:
    """The most frequent word in each of about `n` cells of the map, so that labels do not pile up."""
    side = int(np.sqrt(n))
    cells = [pd.cut(frame[axis], side, labels=False) for axis in ("x_before", "y_before")]
    return frame.groupby(cells, sort=False).head(1)
