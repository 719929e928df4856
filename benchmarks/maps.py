"""How long a map takes and how far it can be trusted, beside umap-learn's defaults on the same vectors.

    python benchmarks/maps.py [--model NAME_OR_PATH] [--words N ...]

Both run once unmeasured, to compile. "Trust" is trustworthiness of 15 neighbours, see
`layout.trustworthiness`; "kept" is the share of each word's 10 nearest on the map that are so
again when the map is drawn again from itself, otherwise seeded.
"""

import time
import warnings
from pathlib import Path

import numpy as np
from common import MODEL, run_script

import workbench as wb
from workbench.evaluate.layout import nearest_places, trustworthiness, umap_layout
from workbench.evaluate.maps import OriginalMap


def timed(work, *arguments):
    start = time.perf_counter()
    return work(*arguments), time.perf_counter() - start


def of_umap_learn(vectors: np.ndarray, start: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """Return its map and trust, by its defaults but cosine: without a seed, on all cores. Ours has one thread."""
    from umap import UMAP

    places = UMAP(metric="cosine", init="spectral" if start is None else start).fit_transform(vectors)
    return places, trustworthiness(vectors, places)


def kept(first: np.ndarray, second: np.ndarray) -> float:
    near, again = nearest_places(first, 10), nearest_places(second, 10)
    return float((near[:, :, None] == again[:, None, :]).any(axis=2).mean())


def tables(model: str, words: list[int]) -> None:
    warnings.filterwarnings("ignore")
    v = wb.load(model).adjusted()
    small = wb.PQ(min(10, v.dim)).fit_transform(v)
    warm = OriginalMap(v, 5_000).vectors  # umap-learn finds neighbours of more than 4,096 in another way
    umap_layout(warm, warm[:, :2], 15, 0), of_umap_learn(warm)
    print(f"\n## Maps of {Path(model).name}, {v.dim} dimensions\n")
    print("| words | preview s | map s | drawn again s | trust | kept | umap-learn s | drawn again s | trust | kept |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for n in sorted({min(n, len(v)) for n in words}):
        _, preview = timed(lambda n: OriginalMap(v, n).pca(small), n)
        shown = OriginalMap(v, n)
        start = shown.pca(v)[["x_before", "y_before"]].to_numpy()
        (first, trust), seconds = timed(umap_layout, shown.vectors, start, 15, 0)
        (control, _), again = timed(umap_layout, shown.vectors, first, 15, 1, True)
        (peer, peer_trust), peer_seconds = timed(of_umap_learn, shown.vectors)
        (peer_control, _), peer_again = timed(of_umap_learn, shown.vectors, peer)
        print(
            f"| {n:,} | {preview:.2f} | {seconds:.1f} | {again:.1f} | {trust:.3f} | {kept(first, control):.2f} "
            f"| {peer_seconds:.1f} | {peer_again:.1f} | {peer_trust:.3f} | {kept(peer, peer_control):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    default = str(MODEL["default"] or "builtin:en")
    words = {"type": int, "nargs": "+", "default": [2_000, 10_000, 20_000]}
    run_script(tables, options={"--model": {"default": default}, "--words": words})
