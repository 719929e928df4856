"""gensim's vectors: objects in memory, and the files that their ``save`` writes, which are Python pickles."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..storage import Dense, Stacked
from ..subwords import Subwords
from ..vectors import Vectors
from ..vocab import Vocab, check_words, first_places
from . import compress_fasttext
from .base import Format, is_unicode
from .fasttext import bucket_blocks, lost_buckets, raw_blocks

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

PACKED = (".gz", ".bz2")  # names by which gensim knows a packed file, whose arrays cannot be mapped


def looks_like(path: Path, head: bytes) -> bool:
    """Whether the file is a pickle, of gensim or not."""
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def is_gensims(thing: object) -> bool:
    """Whether an object is gensim's `KeyedVectors`, or a model with such vectors in ``.wv``; imports nothing."""
    keyed = getattr(thing, "wv", thing)
    return all(hasattr(keyed, name) for name in ("index_to_key", "key_to_index", "vectors"))


def from_gensim(thing: Any) -> Vectors:
    """gensim's vectors as `Vectors`, which share its arrays where these are float32.

    Parameters
    ----------
    thing : KeyedVectors, FastTextKeyedVectors, or a model that has these as ``.wv``
        Of `Doc2Vec` those are the words' vectors; those of documents are in ``model.dv``.

    Returns
    -------
    Vectors
        Keys that are no strings become what `str` makes of them. Vectors of `FastText` are raw,
        as in fastText's files, so that ``</s>`` has no n-grams, which it has in gensim. With
        n-grams of one character gensim departs from fastText for every word; then known words
        keep gensim's vectors, and those of unseen words differ from gensim's a little.

    Raises
    ------
    ValueError
        If keys and arrays do not fit each other, or a vector holds NaN or infinity.
    """
    keyed = getattr(thing, "wv", thing)
    keys = list(keyed.index_to_key)
    if None in keys:
        raise ValueError(f"{sum(key is None for key in keys):,} of its {len(keys):,} places have no key yet: fill them")
    words = check_words(key if isinstance(key, str) else str(key) for key in keys)
    counts = getattr(keyed, "expandos", {}).get("count")
    if getattr(keyed, "vectors_ngrams", None) is not None and keyed.bucket > 0 and keyed.max_n >= keyed.min_n:
        v = _with_ngrams(keyed, words, counts)
    else:
        v = Vectors.from_arrays(words, keyed.vectors[: len(words)], counts)
    v.meta["provenance"] = {"source": f"gensim's {type(thing).__name__}"}
    return v


def _with_ngrams(keyed: Any, words: list[str], counts: np.ndarray | None) -> Vectors:
    raw = keyed.min_n > 1
    rows, ngrams = (np.asarray(a) for a in (keyed.vectors_vocab if raw else keyed.vectors, keyed.vectors_ngrams))
    if rows.shape != (len(words), keyed.vector_size) or ngrams.shape != (keyed.bucket, keyed.vector_size):
        raise ValueError(
            f"expected {len(words):,} rows of words and {keyed.bucket:,} of n-grams with {keyed.vector_size} columns, "
            f"got arrays of shape {rows.shape} and {ngrams.shape}"
        )
    own = Dense(rows.astype(np.float32, copy=False))
    vocab = Vocab(words, counts=counts, subwords=Subwords(max(keyed.min_n, 1), keyed.max_n, keyed.bucket, raw=raw))
    places = first_places(words)
    if places is not None:
        vocab, kept = vocab.take(places)
        own = own.take(kept)
    return Vectors(vocab, Stacked(own, Dense(ngrams.astype(np.float32, copy=False))))


def to_gensim(v: Vectors, ngrams: bool = False) -> "KeyedVectors":
    """Return `v` as gensim's object; see `Vectors.to_gensim`."""
    from gensim.models import KeyedVectors
    from gensim.models.fasttext import FastTextKeyedVectors

    if not ngrams:
        out = KeyedVectors(v.dim)
    elif not v.has_fasttext_ngrams:
        raise ValueError("this model has no n-grams of fastText's; leave ngrams=False for its known words")
    else:
        subwords = v.ngrams[0]
        out = FastTextKeyedVectors(v.dim, subwords.min_n, subwords.max_n, subwords.n_hashed)
        out.vectors_vocab = np.empty((len(v), v.dim), np.float32)
        out.vectors_ngrams = np.empty((subwords.n_hashed, v.dim), np.float32)
        for rows, blocks in (out.vectors_vocab, raw_blocks(v)), (out.vectors_ngrams, bucket_blocks(v)):
            for start, block in blocks:
                rows[start : start + len(block)] = block
    out.vectors = v.matrix()
    # Strings of its own: a pickle tells the same string twice from two equal strings.
    out.index_to_key = "\0".join(v.words).split("\0")
    out.key_to_index = {word: i for i, word in enumerate(out.index_to_key)}
    out.next_index = len(v)
    if v.vocab.counts is not None:
        out.expandos["count"] = v.vocab.counts.astype(np.int64)
    if ngrams:
        out.recalc_char_ngram_buckets()
    return out


def load(path: Path) -> Vectors:
    """Open a file of gensim's ``save``, which runs whatever code is in it; arrays in files beside are mapped.

    Raises
    ------
    ValueError
        If it is a pickle of something else, of a gensim too old, or a file beside it is missing.
    """
    from gensim import __version__
    from gensim.utils import SaveLoad

    try:
        with compress_fasttext.classes():
            thing = SaveLoad.load(str(path), mmap=None if path.suffix in PACKED else "r")
    except FileNotFoundError as error:
        raise ValueError(
            f"{path} needs {error.filename}, which is not there: gensim saves large arrays in files of their own, "
            "which must lie beside it, named as they were"
        ) from error
    except Exception as error:
        raise ValueError(
            f"{path} is no pickle that gensim {__version__} can open as its own ({type(error).__name__}: {error}); "
            "with the gensim that wrote it, save model.wv.save_word2vec_format(path, binary=True), and load that"
        ) from error
    is_compressed = compress_fasttext.is_compressed(thing)
    if not is_compressed and not is_gensims(thing):
        raise ValueError(f"{path} holds gensim's {type(thing).__name__}, which has no vectors of words")
    try:
        v = compress_fasttext.from_compressed(thing) if is_compressed else from_gensim(thing)
    except (ValueError, AttributeError, IndexError) as error:
        raise ValueError(f"{path}: {error}") from error
    v.meta["provenance"] = {"source": path.name, "source_bytes": path.stat().st_size}
    return v


def save(v: Vectors, file: BinaryIO) -> None:
    """Write one file that gensim's `KeyedVectors.load` opens; its arrays are decoded, as gensim has them in memory."""
    unfit = _unfit(v)
    v = v.take(np.setdiff1d(np.arange(len(v)), unfit)) if len(unfit) else v
    keyed = to_gensim(v, v.has_fasttext_ngrams)
    keyed.lifecycle_events = None  # else the time of saving would be in the file
    if v.has_fasttext_ngrams:
        keyed.buckets_word = None  # gensim finds them again
    keyed.save(file)


def _unfit(v: Vectors) -> np.ndarray:
    """Positions of words whose n-grams gensim cannot hash: it refuses bytes that are not UTF-8."""
    return np.flatnonzero([not is_unicode(word) for word in v.words] if v.has_fasttext_ngrams else [])


def also_lost(v: Vectors) -> list[str]:
    """What gensim's classes cannot say of this model."""
    unfit = _unfit(v)
    left_out = [f"{len(unfit):,} words that are not UTF-8, beside n-grams: they are left out"] if len(unfit) else []
    return left_out + lost_buckets(v)


GENSIM = Format(
    name="gensim",
    title="gensim's KeyedVectors",
    looks_like=looks_like,
    load=load,
    save=save,
    suffixes=(".kv",),
    keeps=frozenset({"n-grams", "counts"}),
    also_lost=also_lost,
    gzips=True,
    is_pickle=True,
)
