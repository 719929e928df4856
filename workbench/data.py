"""The built-in data: two texts inside gensim's package, half a million words, and a fastText model trained from them.

Nothing is downloaded. The model is trained on first use (under a minute) and cached as a fastText file.
"""

import bz2
import hashlib
import json
import os
import re
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from . import files, progress

NAMES = ("builtin:en",)
WIKIPEDIA = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
NEWS = "lee_background.cor"
SKIPGRAM = {"sg": 1, "vector_size": 100, "window": 5, "min_count": 3, "epochs": 12, "alpha": 0.05, "sample": 1e-4}
NGRAMS = {"bucket": 50_000, "min_n": 3, "max_n": 6}
TRAINING: dict[str, Any] = SKIPGRAM | NGRAMS | {"seed": 1, "workers": 1}  # more would go by the order of threads


def model_path(name: str) -> Path:
    """Return the path of a built-in model; train it first where it is not in the cache."""
    if name not in NAMES:
        raise ValueError(f"unknown built-in model {name!r}; the only one is {', '.join(NAMES)}")
    path = files.cached(_cached(".bin"))
    if not path.exists():
        _train(path)
    return path


def _cached(suffix: str) -> Path:
    """The place of a file in the cache; another one for another recipe or gensim."""
    from importlib.metadata import version

    recipe = json.dumps([TRAINING, version("gensim")], sort_keys=True)
    return cache_folder() / f"builtin-en-{hashlib.sha256(recipe.encode()).hexdigest()[:8]}{suffix}"


def cache_folder() -> Path:
    """Return ``WORKBENCH_CACHE`` if set, else ``data/cache`` of a checkout, else the user's cache folder."""
    if os.environ.get("WORKBENCH_CACHE"):
        return Path(os.environ["WORKBENCH_CACHE"])
    root = Path(__file__).parents[1]
    if (root / "pyproject.toml").exists() and (root / "data").is_dir():
        return root / "data" / "cache"
    from platformdirs import user_cache_path

    return user_cache_path("embedding-workbench")


@cache
def paragraphs() -> tuple[tuple[str, str], ...]:
    """Return the title of the article (empty for news) and the text of every paragraph, in order."""
    from gensim.corpora.wikicorpus import extract_pages, filter_wiki
    from gensim.test.utils import datapath

    found = []
    with bz2.open(datapath(WIKIPEDIA)) as file:
        for title, text, _ in extract_pages(file, filter_namespaces=("0",)):
            found += [(title, paragraph) for paragraph in filter_wiki(text).split("\n")]
    with open(datapath(NEWS), encoding="utf-8") as file:
        return tuple(found + [("", paragraph) for paragraph in file])


def readable(text: str) -> str:
    """Remove the marks of bold, italics and lists, and the holes that templates left."""
    text = re.sub(r"'{2,}|^[*#:;\s]+", "", text)
    text = re.sub(r"\(\s*[;,\s]+", "(", text)
    text = re.sub(r"\(\s*\)", "", text)
    return " ".join(re.sub(r"\s+([,.;:)])", r"\1", text).split())


@cache
def sentences() -> tuple[tuple[str, ...], ...]:
    """Return the lower-case tokens of every paragraph that has at least four."""
    tokens = (tuple(re.findall(r"\w+", text.lower())) for _, text in paragraphs())
    return tuple(sentence for sentence in tokens if len(sentence) > 3)


@cache
def rare_words() -> tuple[str, ...]:
    """Return the words that are too rare for the model's vocabulary: real unseen words. Cached: texts take seconds."""
    path = _cached("-rare.txt")
    with suppress(OSError):
        return tuple(path.read_text(encoding="utf-8").split())
    counts = Counter(token for sentence in sentences() for token in sentence)
    words = tuple(sorted(word for word, n in counts.items() if n < TRAINING["min_count"]))
    with suppress(OSError), files.replacing(path) as file:  # a cache that cannot be written is none
        file.write("\n".join(words).encode())
    return words


def _train(path: Path) -> None:
    from gensim.models import FastText
    from gensim.models.callbacks import CallbackAny2Vec
    from gensim.models.fasttext import save_facebook_model

    class Progress(CallbackAny2Vec):
        def on_epoch_end(self, model):
            bar.update()

    with progress.bar(total=TRAINING["epochs"], desc="training the built-in model (once)", unit="epoch") as bar:
        model = FastText(sentences(), callbacks=[Progress()], **TRAINING)
    with files.replacing(path) as file:
        save_facebook_model(model, file.name)
