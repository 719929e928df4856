"""Places of vectors on a plane: principal components at once, UMAP when there is time."""

import warnings
from collections.abc import Callable

import numpy as np

from ..evaluate.neighbours import nearest_rows
from ..vectors import unit

Layout = Callable[[np.ndarray, np.ndarray, int, int], tuple[np.ndarray, float]]


def pca_axes(vectors: np.ndarray) -> np.ndarray:
    """The two directions in which directions of `vectors` (n, dim) differ most: (dim, 2) float32.

    Each points where its greatest part is positive, so that a picture is not mirrored by chance.
    """
    directions = unit(vectors)
    centred = directions - directions.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # (dim, dim), the widest spread last
    best = axes[:, -1:-3:-1]
    signs = np.sign(best[np.abs(best).argmax(axis=0), [0, 1]])
    return (best * signs).astype(np.float32)


def umap_layout(vectors: np.ndarray, start: np.ndarray, n_neighbors: int, seed: int) -> tuple[np.ndarray, float]:
    """UMAP (McInnes, Healy and Melville, 2018) of an exact k-nearest graph, by cosine.

    Parameters
    ----------
    vectors : (n, dim) float32 array
    start : (n, 2) array
        Where each point starts.
    n_neighbors : int
    seed : int
        Given, so that UMAP works on one thread.

    Returns
    -------
    places : (n, 2) float32 array
    trust : float
        Trustworthiness (Venna and Kaski, 2001), exact: 1 where all neighbours on the map are
        neighbours among the vectors.
    """
    from sklearn.manifold import trustworthiness
    from umap import UMAP

    from ..kernels import LOCK

    own = np.arange(len(vectors))
    found, similar = nearest_rows(unit(vectors), own, [(0, vectors)], n_neighbors - 1)
    indices = np.hstack([own[:, None], found])  # UMAP counts each point as its own first neighbour
    distances = np.hstack([np.zeros((len(own), 1)), np.maximum(1 - similar, 0)]).astype(np.float32)
    with LOCK, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(n_jobs|precomputed_knn|transform).*")
        places = UMAP(
            n_neighbors=n_neighbors,
            metric="cosine",
            precomputed_knn=(indices, distances),
            init=start,
            random_state=seed,
            n_jobs=1,
        ).fit_transform(vectors)
    return places, float(trustworthiness(vectors, places, n_neighbors=n_neighbors, metric="cosine"))
