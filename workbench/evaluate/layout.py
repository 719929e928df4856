"""Places of vectors on a plane: principal components at once, UMAP when there is time."""

import warnings
from collections.abc import Callable

import numpy as np

from ..nearest import blocks_of, nearest_rows
from ..vectors import unit

Layout = Callable[[np.ndarray, np.ndarray, int, int, bool], tuple[np.ndarray, float]]
N_EPOCHS = 200
STEP = 0.1  # the learning rate of a map that is drawn again
BLOCK = 512  # points compared with all others at once: of 20,000 points 40 MB of cosines
N_JUDGED = 2_000  # points whose neighbourhoods tell a map's trustworthiness


def pca_axes(vectors: np.ndarray) -> np.ndarray:
    """Return the two directions in which directions of `vectors` (n, dim) differ most: (dim, 2) float32.

    Each points where its greatest part is positive, so that a picture is not mirrored by chance.
    """
    centred = (directions := unit(vectors)) - directions.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # (dim, dim), the widest spread last
    best = axes[:, -1:-3:-1]
    signs = np.sign(best[np.abs(best).argmax(axis=0), [0, 1]])
    return (best * signs).astype(np.float32)


def umap_layout(
    vectors: np.ndarray, start: np.ndarray, n_neighbors: int, seed: int, again: bool = False
) -> tuple[np.ndarray, float]:
    """Return places (n, 2) float32 of `vectors` (n, dim) by UMAP and their `trustworthiness`.

    UMAP (McInnes, Healy and Melville, 2018) of an exact k-nearest graph, by cosine, on one thread. Each point begins
    at `start` (n, 2), which UMAP squeezes into a square, and what it returns is as large as it happens to be.

    Where `start` is a map of the same words, `again` changes it in small steps, so that a word moves because its
    neighbours changed, and much less by chance than with UMAP's own steps; the places are shifted and stretched along
    each axis to the mean and the spread of `start`.
    """
    from ..kernels import LOCK  # before UMAP, see there

    from umap import UMAP  # isort: skip

    own, directions = np.arange(len(vectors)), unit(vectors)
    found, similar = nearest_rows(directions, blocks_of(directions), n_neighbors - 1, own)
    indices = np.hstack([own[:, None], found])  # UMAP counts each point as its own first neighbour
    distances = np.hstack([np.zeros((len(own), 1)), np.maximum(1 - similar, 0)]).astype(np.float32)
    n_epochs = N_EPOCHS if again or len(own) > 5_000 else 500  # umap-learn: 500 up to 10,000
    with LOCK, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(n_jobs|precomputed_knn|transform).*")
        places = UMAP(
            n_neighbors=n_neighbors, n_epochs=n_epochs, learning_rate=STEP if again else 1.0, metric="cosine",
            precomputed_knn=(indices, distances), init=start, random_state=seed, n_jobs=1,
        ).fit_transform(vectors)  # fmt: skip
    trust = trustworthiness(vectors, places, n_neighbors)
    if again:
        centred = places - places.mean(axis=0)
        places = (centred / centred.std(axis=0) * start.std(axis=0) + start.mean(axis=0)).astype(np.float32)
    return places, trust


def nearest_places(places: np.ndarray, k: int) -> np.ndarray:
    """Return the `k` nearest points on a map (n, 2) for each of them, itself left out: (n, k)."""
    from scipy.spatial import KDTree

    _, found = KDTree(places).query(places, k + 1)
    own = found == np.arange(len(places))[:, None]
    own[~own.any(axis=1), -1] = True  # so many points on one spot that they crowd it out
    return found[~own].reshape(len(places), k)


def trustworthiness(vectors: np.ndarray, places: np.ndarray, n_neighbors: int = 15, n_judged: int = N_JUDGED) -> float:
    """Return the trustworthiness of a map (Venna and Kaski, 2001), by cosine: 1 where all neighbours on it are true.

    Neighbours on the map `places` (n, 2) count by how far down they stand among the nearest of `vectors` (n, dim);
    half is chance. Up to `n_judged` points it is exact, as scikit-learn's, which takes memory by the square of the
    points. Of more, the neighbourhoods of so many, sampled with seed 0, are judged, each exactly.
    """
    n, directions = len(vectors), unit(vectors)
    if not 0 < n_neighbors < n / 2:
        raise ValueError(f"expected fewer neighbours than half of {n} points, got {n_neighbors}")
    judged = np.random.default_rng(0).permutation(n)[:n_judged]
    shown = nearest_places(places, n_neighbors)[judged]  # (judged, k)
    excess = 0
    for first in range(0, len(judged), BLOCK):
        who, near = judged[first : first + BLOCK], shown[first : first + BLOCK]
        cosines = directions[who] @ directions.T  # (block, n)
        cosines[np.arange(len(who)), who] = -np.inf
        of_near = np.take_along_axis(cosines, near, axis=1)
        for column in of_near.T:
            ranks = 1 + np.count_nonzero(cosines > column[:, None], axis=1)
            excess += int(np.maximum(ranks - n_neighbors, 0).sum())
    return 1 - 2 * excess / (len(judged) * n_neighbors * (2 * n - 3 * n_neighbors - 1))
