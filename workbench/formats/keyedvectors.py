"""gensim's vectors: objects in memory, and the files that their ``save`` writes, which are Python pickles."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..storage import Dense, Stacked
from ..subwords import Subwords
from ..vectors import Vectors
from ..vocab import Vocab, check_words
from . import compress_fasttext
from .base import Format, first_ones, is_unicode, with_words
from .fasttext import bucket_blocks, lost_buckets, raw_blocks

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

PACKED = (".gz", ".bz2")  # names by which gensim knows a packed file, whose arrays cannot be mapped


def is_gensims(thing: object) -> bool:
    """Return whether an object is gensim's `KeyedVectors`, or a model with such vectors in ``.wv``; import nothing."""
    keyed = getattr(thing, "wv", thing)
    return all(hasattr(keyed, name) for name in ("index_to_key", "key_to_index", "vectors"))


def from_gensim(thing: Any) -> Vectors:
    """Return gensim's vectors, or those in the ``.wv`` of a model, as `Vectors`; arrays of float32 are shared.

    Keys that are no strings become what `str` makes of them. Vectors of `FastText` are raw, as in fastText's files, so
    that ``</s>`` has no n-grams, which it has in gensim. With n-grams of one character gensim departs from fastText for
    every word; then known words keep gensim's vectors, and those of unseen words differ from gensim's a little.
    Of `Doc2Vec` they are the words' vectors; those of documents are in ``model.dv``.
    """
    keyed = getattr(thing, "wv", thing)
    keys = list(keyed.index_to_key)
    if None in keys:
        raise ValueError(f"{sum(key is None for key in keys):,} of its {len(keys):,} places have no key yet: fill them")
    words = check_words(key if isinstance(key, str) else str(key) for key in keys)
    counts = getattr(keyed, "expandos", {}).get("count")
    if getattr(keyed, "vectors_ngrams", None) is None or keyed.bucket < 1 or keyed.max_n < keyed.min_n:
        v = Vectors.from_arrays(words, keyed.vectors[: len(words)], counts)
    else:
        is_raw = keyed.min_n > 1
        arrays = keyed.vectors_vocab if is_raw else keyed.vectors, keyed.vectors_ngrams
        shapes = (len(words), keyed.vector_size), (keyed.bucket, keyed.vector_size)
        if tuple(map(np.shape, arrays)) != shapes:
            raise ValueError(
                f"expected {len(words):,} rows of words and {keyed.bucket:,} of n-grams with {keyed.vector_size} "
                f"columns, got arrays of shape {np.shape(arrays[0])} and {np.shape(arrays[1])}"
            )
        subwords = Subwords(max(keyed.min_n, 1), keyed.max_n, keyed.bucket, raw=is_raw)
        own, ngrams = (Dense(np.asarray(array).astype(np.float32, copy=False)) for array in arrays)
        vocab, kept = first_ones(Vocab(words, counts=counts, subwords=subwords), own)
        v = Vectors(vocab, Stacked(kept, ngrams))
    v.meta["provenance"] = {"source": f"gensim's {type(thing).__name__}"}
    return v


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
    """Open a file of gensim's ``save``, which runs whatever code is in it; arrays in files beside are mapped."""
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
    if compress_fasttext.is_compressed(thing):
        return compress_fasttext.from_compressed(thing)
    if not is_gensims(thing):
        raise ValueError(f"{path} holds gensim's {type(thing).__name__}, which has no vectors of words")
    v = from_gensim(thing)
    v.meta.clear()  # it comes from a file
    return v


def save(v: Vectors, file: BinaryIO) -> None:
    """Write one file that gensim's `KeyedVectors.load` opens; its arrays are decoded, as gensim has them in memory."""
    if v.has_fasttext_ngrams:
        v = with_words(v, is_unicode)  # gensim refuses to hash other bytes
    keyed = to_gensim(v, v.has_fasttext_ngrams)
    keyed.lifecycle_events = None  # else the time of saving would be in the file
    if v.has_fasttext_ngrams:
        keyed.buckets_word = None  # gensim finds them again
    keyed.save(file)


def also_lost(v: Vectors) -> list[str]:
    n = sum(not is_unicode(word) for word in v.words) if v.has_fasttext_ngrams else 0
    left_out = [f"{n:,} words that are not UTF-8, beside n-grams: they are left out"] if n else []
    return left_out + lost_buckets(v)


GENSIM = Format(
    name="gensim",
    title="gensim's KeyedVectors",
    magic=(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),  # any pickle
    load=load,
    save=save,
    suffixes=(".kv",),
    keeps=frozenset({"n-grams", "counts"}),
    also_lost=also_lost,
    gzips=True,
    is_pickle=True,
)
