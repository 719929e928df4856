"""Make networks: from files, folders and word vectors, and the built-in one, which is trained on first use."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .. import files
from ..compress.recipes import recipe_from
from ..data import cache_folder
from ..formats import load as load_vectors
from ..storage import Dense, Storage
from ..vectors import Vectors, shortly
from .config import WORDS, Config
from .folder import read_folder
from .network import Network
from .tokens import NgramTokenizer

NAME = "builtin:articles"
COMPRESSION = "Chain([Prune(n_words=4000, n_ngrams=8000), Refit(), PQ(n_subvectors=50)])"
TRAINING = "Train(task='builtin:articles', n_steps=500, batch_size=48, learning_rate=0.002)"
ROWS = ("vectors", "stored", "random")
Draw = Callable[[str, tuple[int, ...]], np.ndarray]  # from the name and shape of a weight to its numbers


def load(source: str | Path) -> Network:
    """Load a network.

    Parameters
    ----------
    source : str or Path
        ``"builtin:articles"``, which is trained on first use in under a minute; a file that `Network.save` wrote; or
        a folder of a BERT with ``config.json``, ``model.safetensors`` and ``tokenizer.json``, as transformers and
        sentence-transformers write it. Texts are embedded as sentence-transformers would, but for the length of the
        vectors; by the mean where it says nothing. A head of `BertForSequenceClassification` is kept.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file or folder; if it is another architecture, or damaged.
    """
    if str(source).startswith("builtin:") and source != NAME:
        raise ValueError(f"unknown built-in network {source!r}; the only one is {NAME}")
    path = builtin_path() if source == NAME else Path(source).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected a file of a network, a folder of a BERT, or {NAME!r}")
    net = read_folder(path) if path.is_dir() else Network.load(path)
    net.origin = str(source)
    return net


def bag(v: Vectors, rows: str = "vectors", random_state: int = 0) -> Network:
    """Return a network that takes a text as the mean of its words' vectors; see `encoder.Bag`.

    Parameters
    ----------
    v : Vectors
        Words and n-grams, and unless `rows` is ``"random"`` what they start from. `Train` changes all rows, or with
        ``only="head"`` none; ``Each(SQ("float16"), on="embeddings")`` makes them smaller before or after.
    rows : {"vectors", "stored", "random"}
        In float32; as `v` stores them, so that codes stay codes; or random ones of the same lengths on average.
    random_state : int
        Seed of random rows.
    """
    return over(v, Config("bag", v.dim, max_tokens=4_096), rows, random_state)


def transformer(
    v: Vectors,
    n_layers: int = 2,
    n_heads: int = 4,
    n_inner: int = 200,
    max_tokens: int = 160,
    rows: str = "vectors",
    random_state: int = 0,
) -> Network:
    """Return a small BERT whose tokens are words, embedded as `v` embeds them; its layers are random.

    `v` and `rows` as for `bag`. A token is the weighted sum of the rows that make up the word's vector.
    """
    rng = np.random.default_rng([random_state, 1])
    rng.normal(size=v.storage.shape)  # are left out, so that each seed gives what it gave to earlier versions

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        drawn = rng.normal(0, 0.02 if "embeddings" in name else shape[-1] ** -0.5, shape)
        return drawn if len(shape) == 2 else np.full(shape, "LayerNorm.weight" in name)

    return over(v, Config("bert", v.dim, [n_inner] * n_layers, n_heads, max_tokens), rows, random_state, draw)


def over(v: Vectors, config: Config, rows: str, random_state: int, draw: Draw | None = None) -> Network:
    """Return a network over the rows of words and n-grams of `v`, or random ones; `draw` gives all other weights."""
    if rows not in ROWS:
        raise ValueError(f"rows must be one of {ROWS}, got {shortly(rows)}")
    table = v.storage  # (n_rows, dim)
    if rows == "vectors":
        table = Dense(table.rows(slice(None)))
    elif rows == "random":
        size = float(np.sqrt(np.mean(np.square(table.norms())) / v.dim))
        table = Dense(np.random.default_rng(random_state).normal(0, size, table.shape).astype(np.float32))
    weights: dict[str, Storage] = {WORDS: table}
    for name, shape in config.shapes(len(table)).items():
        if name != WORDS and draw is not None:
            weights[name] = Dense(np.atleast_2d(draw(name, shape)).astype(np.float32))
    source = v.meta.get("provenance", {}).get("source", "vectors in memory")
    tokenizer = NgramTokenizer.of(v, flat=config.kind == "bag")
    return Network(config, weights, tokenizer, {"provenance": {"source": source}})


def builtin_path() -> Path:
    """Return the path of the built-in network; train it first where it is not in the cache."""
    recipe = json.dumps([COMPRESSION, TRAINING], sort_keys=True)
    name = f"builtin-articles-{hashlib.sha256(recipe.encode()).hexdigest()[:8]}.safetensors"
    path = files.cached(cache_folder() / name)
    if not path.exists():
        small = recipe_from(COMPRESSION).fit_transform(load_vectors("builtin:en"))
        recipe_from(TRAINING).fit_transform(transformer(small)).save(path)
    return path
