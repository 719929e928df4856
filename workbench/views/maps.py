"""Maps of words as a front end draws them."""

from typing import Any

import numpy as np
import pandas as pd

from ..evaluate.maps import SIDES, noise_text


def points(frame: pd.DataFrame) -> dict[str, Any]:
    """Return what a front end draws of maps; arrays as bytes, little-endian.

    ``before``, ``control``, ``after``: (n, 2) float32, and ``cosine``: (n,) float32, NaN without a vector; ``rank``:
    (n,) int32; ``fate``: (n,) uint8, 0 of words with a row of their own, 1 rebuilt from n-grams, 2 without a vector.
    """
    noise = frame.attrs["noise"] or {}
    fate = np.where(frame["cosine"].isna(), 2, ~frame["in_vocabulary"])
    return {
        "n": len(frame),
        "words": frame["word"].tolist(),
        **{side: frame[[f"x_{side}", f"y_{side}"]].to_numpy("<f4").tobytes() for side in SIDES},
        "cosine": frame["cosine"].to_numpy("<f4").tobytes(),
        "rank": frame["rank"].to_numpy("<i4").tobytes(),
        "fate": fate.astype("u1").tobytes(),
        **{name: frame.attrs[name] for name in ("method", "sample")},
        "noise": noise_text(frame),
        "trust": {side: frame.attrs[f"trust_{side}"] for side in SIDES},
        "kept_map": noise.get("kept_compressed"),
        "kept_chance": noise.get("kept_control"),
    }
