"""The built-in model: small, but a real fastText model, trained here from texts inside gensim.

gensim's own package carries two texts for its tests: a sample of the English Wikipedia and the
Lee corpus of news articles, together half a million tokens. The model is trained from them on
first use (under a minute), saved in fastText's own format and cached, so nothing is downloaded
and the reader that opens it is the one that opens everybody's models.
"""

import bz2
import errno
import hashlib
import json
import os
import re
from collections import Counter
from functools import cache
from pathlib import Path

from .. import files, progress

WIKIPEDIA = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
NEWS = "lee_background.cor"
MIN_COUNT = 3
TRAINING = {
    "vector_size": 100,
    "window": 5,
    "min_count": MIN_COUNT,
    "sg": 1,  # skip-gram
    "epochs": 12,
    "alpha": 0.05,
    "sample": 1e-4,
    "bucket": 50_000,
    "min_n": 3,
    "max_n": 6,
    "seed": 1,
    "workers": 1,  # more would make the result depend on the order of threads
}
NAMES = ("builtin:en",)


def model_path(name: str) -> Path:
    """Where the built-in model is; trains it first if it is not there yet, in a folder that was tried before.

    Raises
    ------
    ValueError
        If there is no built-in model of this name.
    """
    if name not in NAMES:
        raise ValueError(f"unknown built-in model {name!r}; there is {', '.join(NAMES)}")
    path = cache_folder() / f"builtin-en-{_fingerprint()}.bin"
    if not path.exists():
        try:
            files.check_writable(path)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):  # what a container's folders give
                raise
            path = files.temporary_folder("models") / path.name
    if not path.exists():
        _train(path)
    return path


@cache
def rare_words() -> tuple[str, ...]:
    """Words of the texts that are too rare for the model's vocabulary: real unseen words."""
    counts = Counter(token for sentence in sentences() for token in sentence)
    return tuple(sorted(word for word, n in counts.items() if n < MIN_COUNT))


def cache_folder() -> Path:
    """``WORKBENCH_CACHE`` where that is set, ``data/cache`` in a checkout, else the user's cache folder."""
    if os.environ.get("WORKBENCH_CACHE"):
        return Path(os.environ["WORKBENCH_CACHE"])
    root = Path(__file__).parents[2]
    if (root / "pyproject.toml").exists() and (root / "data").is_dir():
        return root / "data" / "cache"
    from platformdirs import user_cache_path

    return user_cache_path("embedding-workbench")


@cache
def sentences() -> tuple[tuple[str, ...], ...]:
    """The texts: one tuple of lower-case tokens for each paragraph of four and more."""
    tokens = (_tokens(paragraph) for _, paragraph in paragraphs())
    return tuple(tuple(sentence) for sentence in tokens if len(sentence) > 3)


@cache
def paragraphs() -> tuple[tuple[str, str], ...]:
    """The texts as they are: the title of its article (of news, nothing) and the paragraph, one after the other."""
    from gensim.corpora.wikicorpus import extract_pages, filter_wiki
    from gensim.test.utils import datapath

    found = []
    with bz2.open(datapath(WIKIPEDIA)) as file:
        for title, text, _ in extract_pages(file, filter_namespaces=("0",)):
            found += [(title, paragraph) for paragraph in filter_wiki(text).split("\n")]
    with open(datapath(NEWS), encoding="utf-8") as file:
        return tuple(found + [("", paragraph) for paragraph in file])


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _fingerprint() -> str:
    """Changes with the recipe and with gensim, so that a stale model is never taken for a new one."""
    from importlib.metadata import version

    recipe = json.dumps([TRAINING, version("gensim")], sort_keys=True)
    return hashlib.sha256(recipe.encode()).hexdigest()[:8]


def _train(path: Path) -> None:
    from gensim.models import FastText
    from gensim.models.callbacks import CallbackAny2Vec
    from gensim.models.fasttext import save_facebook_model

    class Progress(CallbackAny2Vec):
        def on_epoch_end(self, model):
            bar.update()

    description = "training the built-in model (once)"
    with progress.bar(total=TRAINING["epochs"], desc=description, unit="epoch") as bar:
        model = FastText(sentences(), callbacks=[Progress()], **TRAINING)
    with files.replacing(path) as file:
        save_facebook_model(model, file.name)
