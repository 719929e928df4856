"""Content features of texts: each `Embed` is fitted on the items' texts and serves other texts too."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..vectors import Vectors, unit

Embed = Callable[[Sequence[str]], np.ndarray]  # texts to (n, dim) float32, rows of length 1 or, of no known word, 0
Fit = Callable[[Sequence[str]], Embed]
MANY_TEXTS = 1_000  # with so many, words that only one of them has are left out
HALF_WEIGHT = 1e-3  # share of all words at which a word weighs half as much as a rare one


def fitting(features: str | Path | Vectors, n_features: int, random_state: int) -> Fit:
    """Return the function that fits features to the items' texts; see `items.load_items`."""
    if isinstance(features, Vectors):
        return partial(_word_means, v=features)
    if features == "tfidf":
        return partial(_tfidf, n_features=n_features, random_state=random_state)
    if isinstance(features, str | Path) and Path(features).is_dir():
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ImportError(f"{features} needs sentence-transformers: pip install sentence-transformers") from error
        model: Any = SentenceTransformer(str(features), local_files_only=True)
        return lambda _: lambda texts: unit(np.asarray(model.encode(list(texts)), np.float32))
    raise ValueError(
        f"unknown features {features!r}; expected 'tfidf', Vectors, the folder of a sentence-transformers model "
        "on this machine, or a matrix (an array, .npy or .safetensors)"
    )


def _tfidf(texts: Sequence[str], n_features: int, random_state: int) -> Embed:
    """TF-IDF of words, and truncated SVD of it (latent semantic analysis)."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    count = TfidfVectorizer(sublinear_tf=True, min_df=2 if len(texts) >= MANY_TEXTS else 1, dtype=np.float32)
    counts = count.fit_transform(texts)  # (n_texts, n_words)
    if counts.shape[1] <= n_features:
        return lambda more: unit(count.transform(more).toarray())
    rank = min(n_features, len(texts))
    axes = randomized_svd(counts, rank, random_state=random_state)[2].T.astype(np.float32)  # (n_words, rank)
    return lambda more: unit(count.transform(more) @ axes)


def _word_means(texts: Sequence[str], v: Vectors) -> Embed:
    """Means of word vectors, in which frequent words weigh less (Arora, Liang and Ma, 2017, without its last step)."""
    from sklearn.feature_extraction.text import CountVectorizer

    def counted(some: Sequence[str]) -> tuple[list[str], Any]:
        count = CountVectorizer(token_pattern=r"\w+", lowercase=False)
        n = count.fit_transform(some)  # (n_texts, n_words)
        return count.get_feature_names_out().tolist(), n

    known, n_seen = counted(texts)
    totals = np.asarray(n_seen.sum(axis=0), np.float64)[0]
    share = dict(zip(known, totals / totals.sum(), strict=True))

    def embed(more: Sequence[str]) -> np.ndarray:
        words, n = counted([*more, "a"])  # the "a", so that there is a word
        rows = v.get_vectors([word if word in v else word.lower() for word in words], missing="nan")
        weights = np.array([HALF_WEIGHT / (HALF_WEIGHT + share.get(word, 0)) for word in words], np.float32)
        return unit(n[: len(more)].astype(np.float32) @ (np.nan_to_num(rows) * weights[:, None]))

    return embed
