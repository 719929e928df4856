"""Two-dimensional maps: of a model before and after compression, on layouts that can be compared, and of items."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from ..semantic.ids import SemanticIDs
from ..vectors import Vectors, unit
from ..vocab import printable
from .fidelity import cosines
from .ids import Rows, item_vectors
from .layout import Layout, nearest_places, pca_axes, trustworthiness, umap_layout

FLAT = 1e-10  # of the points, a variance along an axis that is rounding
SIDES = ("before", "control", "after")
N_NEIGHBORS, MIN_UMAP = 15, 8  # of an item on a map; items that UMAP maps, of fewer principal components are shown


class OriginalMap:
    """The original's part of the maps, made once for a model, whatever it is compressed to.

    Parameters
    ----------
    original : Vectors
    n_words : int
        Words to map. Of a larger vocabulary half are the most frequent and half a sample of the others: a map of
        frequent words alone would hide what is done to rare ones.
    n_neighbors : int
        For UMAP.
    random_state : int

    Attributes
    ----------
    words : list of str
        The most frequent first.
    rank : (n,) int array
        Of each word by frequency in the whole vocabulary, from 1.
    sample : str
        The text that says which words are mapped.
    vectors : (n, dim) float32 array
    """

    def __init__(self, original: Vectors, n_words: int = 2_000, n_neighbors: int = 15, random_state: int = 0):
        self.n_neighbors, self.random_state = n_neighbors, random_state
        places, self.sample = _sample(original, n_words, random_state)
        self.rank = places + 1
        self.words = [original.words[i] for i in original.vocab.by_frequency()[places]]
        self.vectors = original.get_vectors(self.words)
        n, dim = self.vectors.shape
        centred = (directions := unit(self.vectors)) - directions.mean(axis=0)
        if n < 3 or dim < 2 or np.linalg.matrix_rank(centred.T @ centred, tol=FLAT * n) < 2:
            raise ValueError(
                f"there is nothing to map: {n} words in {dim} dimension{'s' * (dim != 1)}, all on one line of "
                "directions; a map needs three directions at least"
            )
        self._axes = pca_axes(self.vectors)
        self._pca = unit(self.vectors) @ self._axes  # (n, 2)
        self._drawn: list[tuple[np.ndarray, float]] = []  # the map and the control, and their trustworthiness

    def umap(self, small: Vectors, layout: Layout = umap_layout) -> pd.DataFrame:
        """Return the maps of this and of a compressed model, see `umap_maps`; its own is drawn once."""
        after = small.get_vectors(self.words, missing="nan")
        there = ~np.isnan(after[:, 0])
        if there.sum() <= 2 * self.n_neighbors:
            raise ValueError(
                f"a map needs more than {2 * self.n_neighbors} words that both models have, got {there.sum()}"
            )

        def again(vectors: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, float]:
            return layout(vectors, start, self.n_neighbors, self.random_state + 1, True)

        if not self._drawn:
            own = layout(self.vectors, self._pca, self.n_neighbors, self.random_state, False)
            self._drawn = [own, again(self.vectors, own[0])]
        (first, trust), (control, trust_control) = self._drawn
        second = np.full_like(first, np.nan)
        second[there], trust_after = again(after[there], first[there])
        return self._frame(small, after, "UMAP", (first, control, second), (trust, trust_control, trust_after))

    def pca(self, small: Vectors) -> pd.DataFrame:
        """Return the same on principal components, see `pca_maps`."""
        after = small.get_vectors(self.words, missing="nan")
        return self._frame(small, after, "PCA", (self._pca, self._pca, unit(after) @ self._axes), (None, None, None))

    def _frame(self, small: Vectors, after: np.ndarray, method: str, maps: tuple, trust: tuple) -> pd.DataFrame:
        places = {
            f"{axis}_{side}": xy[:, i] for side, xy in zip(SIDES, maps, strict=True) for i, axis in enumerate("xy")
        }
        frame = pd.DataFrame({"word": [printable(word) for word in self.words], **places})
        frame["cosine"] = cosines(self.vectors, after)
        frame["in_vocabulary"] = [word in small for word in self.words]
        frame["rank"] = self.rank
        frame.attrs = {f"trust_{side}": value for side, value in zip(SIDES, trust, strict=True)}
        frame.attrs |= {"method": method, "sample": self.sample}
        frame.attrs["noise"] = layout_noise(frame)
        return frame


def _sample(original: Vectors, n_words: int, seed: int) -> tuple[np.ndarray, str]:
    """Return places in the order of frequency of the words to show, ascending, and a text that describes them."""
    n = len(original)
    if n_words >= n:
        return np.arange(n), f"all {n:,} words"
    n_others = n_words // 2
    n_first = n_words - n_others
    others = np.random.default_rng(seed).choice(np.arange(n_first, n), n_others, replace=False)
    what = "first" if original.vocab.counts is None else "most frequent"
    text = f"{n_first:,} {what} of {n:,} words, and {n_others:,} of the others, sampled, seed {seed}"
    return np.concatenate([np.arange(n_first), np.sort(others)]), text


def umap_maps(
    original: Vectors, small: Vectors, n_words: int = 2_000, n_neighbors: int = 15, random_state: int = 0,
    layout: Layout = umap_layout,
) -> pd.DataFrame:  # fmt: skip
    """Return maps of words in both models by UMAP (McInnes, Healy and Melville, 2018), and of the original again.

    All are drawn from exact k-nearest graphs. The first starts from principal components, the others from the first,
    so that a word moves because its neighbours changed, or by chance: not because UMAP turned or mirrored the picture.
    The control, the original drawn again, tells how much is chance. For parameters see `OriginalMap`, which saves
    work where several models are compared with one; `layout` does what `layout.umap_layout` does, perhaps elsewhere.

    Returns
    -------
    DataFrame
        The most frequent word first: ``word``, ``x_before``, ``y_before``, ``x_control``, ``y_control``, ``x_after``,
        ``y_after``, ``cosine`` (to the original vector), ``in_vocabulary`` (of the small model), ``rank`` (by
        frequency, from 1). Words without a vector in the small model have no ``x_after``, ``y_after`` and ``cosine``.
        Its ``attrs`` hold ``method``; ``sample``, a text that says which words are mapped; ``noise``, see
        `layout_noise`; ``trust_before``, ``trust_control`` and ``trust_after``, see `layout.trustworthiness`.
    """
    return OriginalMap(original, n_words, n_neighbors, random_state).umap(small, layout)


def pca_maps(original: Vectors, small: Vectors, n_words: int = 2_000, random_state: int = 0) -> pd.DataFrame:
    """Return the same by principal components of the original's directions, all on the same axes.

    Ready in a moment, but two of many dimensions. Nothing in it is chance: the control is the first map, and there is
    no trustworthiness and no noise.
    """
    return OriginalMap(original, n_words, random_state=random_state).pca(small)


def layout_noise(frame: pd.DataFrame, k: int = 10) -> dict[str, float] | None:
    """Measure how much of the difference between two maps is chance, from the original drawn again.

    Returns
    -------
    dict, or None for a frame of `pca_maps`, which know no chance
        ``kept_control`` and ``kept_compressed``, the share of each word's `k` nearest on the first map that are its
        `k` nearest on the other; ``moved_control`` and ``moved_compressed``, the median distance between a word's two
        places, in units of the first map's spread (root mean square distance from its centre); ``far_compressed``,
        the share of words that moved further than 95% of words do in the control. All over the ``n`` words that both
        models have a vector for, with ``k``.
    """
    if frame.attrs["method"] == "PCA":
        return None
    there = frame[frame["x_after"].notna()]
    first, control, after = (there[[f"x_{side}", f"y_{side}"]].to_numpy(float) for side in SIDES)
    k = min(k, len(there) - 1)
    near = nearest_places(first, k)
    spread = np.sqrt(((first - first.mean(axis=0)) ** 2).sum(axis=1).mean())
    noise: dict[str, float] = {"n": len(there), "k": k}
    moved = {}
    for name, places in (("control", control), ("compressed", after)):
        shared = (near[:, :, None] == nearest_places(places, k)[:, None, :]).any(axis=2)
        moved[name] = np.linalg.norm(places - first, axis=1) / spread  # (n,)
        noise[f"kept_{name}"] = float(shared.mean())
        noise[f"moved_{name}"] = float(np.median(moved[name]))
    noise["far_compressed"] = float((moved["compressed"] > np.percentile(moved["control"], 95)).mean())
    return noise


def noise_text(frame: pd.DataFrame) -> str:
    """Return in words how much of the difference between the maps is chance."""
    noise = frame.attrs.get("noise")
    if noise is None:
        return "Principal components: the same two axes on both maps, so nothing moves by chance."
    return (
        f"{noise['k']} nearest on the map kept: {noise['kept_compressed']:.0%} compressed, {noise['kept_control']:.0%} "
        f"when the original is drawn again. Median distance moved: {noise['moved_compressed']:.2f} and "
        f"{noise['moved_control']:.2f} of the map's spread. {noise['far_compressed']:.0%} of words moved further "
        "than all but 5% do by chance."
    )


def topics(frame: pd.DataFrame, vectors: np.ndarray, n: int = 12, random_state: int = 0) -> list[dict[str, Any]]:
    """Name regions of the first map, found by k-means, by two frequent words each that are typical of them.

    `vectors` (n_words, dim) are the original's, such as `OriginalMap.vectors`. Returns dicts, the largest region
    first: ``text``, such as "music · songs", and the region's middle ``before``, in the ``control`` and ``after``, as
    [x, y], or None where no word of it has a vector.
    """
    from sklearn.cluster import KMeans

    n = max(1, min(n, len(frame) // 20))
    regions = KMeans(n, n_init=4, random_state=random_state).fit_predict(frame[["x_before", "y_before"]])
    centred = (directions := unit(vectors)) - directions.mean(axis=0)
    found: list[dict[str, Any]] = []
    used: set[str] = set()  # how words begin: "song" and "songs" say the same
    for region in np.bincount(regions).argsort(kind="stable")[::-1]:
        members = np.flatnonzero(regions == region)
        frequent = members[: max(20, len(members) // 3)]
        typical = unit(centred[frequent]) @ centred[members].mean(axis=0)  # (n_frequent,)
        names: list[str] = []
        for word in frame["word"].to_numpy()[frequent[np.argsort(-typical, kind="stable")]]:
            if len(names) < 2 and len(word) > 2 and word.isalpha() and word.casefold()[:4] not in used:
                names.append(word)
                used.add(word.casefold()[:4])
        middle = frame.iloc[members].median(numeric_only=True)
        places = {side: [float(middle[f"{axis}_{side}"]) for axis in "xy"] for side in SIDES}
        if names:
            found.append(
                {"text": " · ".join(names), **{s: None if np.isnan(xy[0]) else xy for s, xy in places.items()}}
            )
    return found


def id_map(
    ids: SemanticIDs, vectors: Rows = None, n_items: int = 5_000, random_state: int = 0,
    layout: Layout | None = umap_layout, keep: Collection[str] = (),
) -> pd.DataFrame:  # fmt: skip
    """Map items to a plane by UMAP (McInnes, Healy and Melville, 2018).

    Parameters
    ----------
    vectors : Vectors or (n_items, dim) array, optional
        The originals, with items for words or in their order; without them decoded vectors are mapped.
    n_items : int
        Items to map; of more, a sample, which has those in `keep`.
    layout : callable or None
        Takes the arguments of `layout.umap_layout`. None, or too few items: principal components.

    Returns
    -------
    DataFrame
        ``item``, ``name``, ``x``, ``y``, ``code_1``... Its ``attrs``: ``method``, ``trustworthiness`` (see
        `layout.trustworthiness`; None for too few items) and ``sample``, the items shown, in words.
    """
    what, vectors = "decoded" if vectors is None else "original", item_vectors(ids, vectors)
    if vectors is None:
        raise ValueError("these ids have no codebooks, so there is nothing to map items by; give their vectors")
    if vectors.shape[1] < 2:
        raise ValueError(f"a map needs vectors of at least 2 dimensions, got {vectors.shape[1]}")
    rows, sample = np.arange(len(ids)), f"all {len(ids):,} items"
    if n_items < len(ids):
        order = np.random.default_rng(random_state).permutation(len(ids))
        kept = np.isin(order, [ids.items.index(item) for item in keep])
        rows = np.sort(np.concatenate([order[kept], order[~kept]])[:n_items])
        sample = f"{n_items:,} of {len(ids):,} items, sampled, seed {random_state}"
    vectors, k = vectors[rows], min(N_NEIGHBORS, max((len(rows) - 1) // 2, 1))
    places, method, trust = unit(vectors) @ pca_axes(vectors), "PCA", None  # (n, 2)
    if len(rows) >= MIN_UMAP:
        if layout is None or not np.ptp(places, axis=0).all():  # UMAP starts from where items differ
            trust = trustworthiness(vectors, places, k)
        else:
            (places, trust), method = layout(vectors, places, k, random_state, False), "UMAP"
    names = [printable(ids.names[row]) for row in rows]
    frame = pd.DataFrame({"item": np.array(ids.items, object)[rows], "name": names}, dtype=object)
    frame[["x", "y"]] = places
    frame[[f"code_{level}" for level in range(1, ids.n_levels + 1)]] = ids.codes[rows]
    frame.attrs.update(method=method, trustworthiness=trust, sample=f"{sample}, by their {what} vectors")
    return frame
