"""Word vectors: a vocabulary, a storage, and what is known of their making."""

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cached_property, wraps
from html import escape
from itertools import pairwise
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import numpy as np

from . import artefact, files, progress
from .checks import check_kinds
from .nearest import greatest
from .spool import spooled
from .storage import BLOCK, Dense, Stacked, Storage, is_extreme, lengths, nested, within
from .subwords import MAX_UNCOMPILED, Subwords
from .vocab import MAX_QUOTED, Vocab, check_words, first_places, printable

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

Missing = Literal["error", "zero", "nan"]
Key = str | np.ndarray  # a word, or a vector
Keys = Key | Sequence[Key | tuple[Key, float]]
Ragged = tuple[np.ndarray, np.ndarray]  # where each word begins and ends among the rows, and the rows


class Vectors:
    """Word vectors: words, the matrix they point into, and how unseen words are put together.

    Loaders make one, compressors take one and return one, and the compressed model *is* one, with a smaller storage.
    Instances are not changed after they are made.

    Parameters
    ----------
    vocab : Vocab
    storage : Storage
        `Stacked` exactly when the vocabulary has subwords.
    meta : dict, optional
        ``"provenance"``: what is known of the source; ``"recipe"``: the steps taken since, as JSON values. Both
        travel in the file.
    """

    made_by: ClassVar = "load(path) or Vectors.from_arrays(words, matrix)"  # for an error about something else

    def __init__(self, vocab: Vocab, storage: Storage, meta: dict | None = None):
        n_rows, ngrams = len(storage.words), storage.ngrams
        if n_rows < vocab.n_rows or (vocab.row_of is None and n_rows != len(vocab)):
            raise ValueError(f"the words point at {vocab.n_rows} rows, the matrix has {n_rows}")
        if (vocab.subwords is None) != (ngrams is None):
            raise ValueError(
                "a vocabulary with n-grams needs n-gram rows, and n-gram rows need a vocabulary with n-grams"
            )
        if vocab.subwords is not None and ngrams is not None and len(ngrams) < vocab.subwords.n_rows:
            raise ValueError(f"the n-grams point at {vocab.subwords.n_rows} rows, the matrix has {len(ngrams)}")
        vocab.check()
        check_meta({} if meta is None else meta)
        self.vocab = vocab
        self.storage = storage
        self.meta = meta or {}
        self.origin = ""  # what `load` takes to give this very model; a loader says it

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled and copied: nothing that was computed on the way."""
        return {name: value for name, value in vars(self).items() if name not in ("norms", "_lean", "_answers")}

    def __sklearn_clone__(self) -> "Vectors":
        """Return these very vectors, since they never change: scikit-learn's `clone` would copy their matrices."""
        return self

    @classmethod
    def from_arrays(cls, words: Sequence[str], matrix: np.ndarray, counts: np.ndarray | None = None) -> "Vectors":
        """Return vectors of words and a matrix in memory.

        Parameters
        ----------
        words : sequence of str
            Of repeated words the first is kept, with a warning.
        matrix : (n_words, dim) array of numbers
            Used as it is where it is float32, else converted.
        counts : (n_words,) int array, optional
            How often each word was seen.

        Raises
        ------
        ValueError, TypeError
            If shapes disagree, a vector holds NaN or infinity, a count is no whole number from 0 on, or a word is no
            text (the row and word are named).
        """
        words = check_words(words)
        matrix = np.asarray(matrix)
        if matrix.ndim != 2 or len(matrix) != len(words) or not matrix.shape[1]:
            raise ValueError(f"expected a matrix with one row for each of {len(words)} words, got {matrix.shape}")
        if matrix.dtype.kind not in "fiu":
            raise TypeError(f"expected a matrix of numbers, got dtype {matrix.dtype}")
        matrix = matrix.astype(np.float32, copy=False)
        check_finite(matrix, words)
        vocab, storage = Vocab(words, counts=counts), Dense(matrix)
        places = first_places(words)
        if places is not None:
            vocab, rows = vocab.take(places)
            storage = storage.take(rows)
        return cls(vocab, storage)

    # -- what it is -----------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of words."""
        return len(self.vocab)

    @property
    def dim(self) -> int:
        """Number of dimensions."""
        return self.storage.shape[1]

    @property
    def words(self) -> list[str]:
        """The words, in the order of the vocabulary."""
        return self.vocab.words

    @property
    def key_to_index(self) -> dict[str, int]:
        """Position of each word in `words`."""
        return self.vocab.key_to_index

    @property
    def ngrams(self) -> tuple[Subwords, Storage]:
        """The n-grams and their rows; ValueError if the model has none."""
        if self.vocab.subwords is None or self.storage.ngrams is None:
            raise ValueError("this model has no n-grams")
        return self.vocab.subwords, self.storage.ngrams

    @property
    def has_fasttext_ngrams(self) -> bool:
        """True where n-grams are hashed as fastText hashes them, so that its tools can use them."""
        return type(self.vocab.subwords) is Subwords

    @property
    def is_composed(self) -> bool:
        """True where a known word's vector is made of its own row and its n-grams'.

        So it is in fastText's files ("raw" rows), and after `compress.Residual`.
        """
        return self.vocab.subwords is not None and (self.vocab.subwords.raw or self.vocab.subwords.residual)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the words, in the order of the vocabulary."""
        return iter(self.words)

    def __contains__(self, word: str) -> bool:
        """Return whether the word is in the vocabulary; for unseen ones see `can_embed`."""
        return self.vocab.place(word) is not None

    def can_embed(self, word: str) -> bool:
        """Return whether the word has a vector: it is known, or at least one of its n-grams survives."""
        if not isinstance(word, str):
            raise TypeError(f"expected a word, got {type(word).__name__}")
        return word in self or (self.vocab.subwords is not None and len(self.vocab.subwords.rows([word])[1]) > 0)

    def with_storage(self, storage: Storage, vocab: Vocab | None = None) -> "Vectors":
        """Return the same words (or those of `vocab`) over another storage, with the same `meta`."""
        return Vectors(self.vocab if vocab is None else vocab, storage, self.meta)

    def noted(self, step: dict[str, Any]) -> "Vectors":
        """Return the same vectors with one more step, as JSON values, in their recipe."""
        meta = self.meta | {"recipe": [*self.meta.get("recipe", []), step]}
        return Vectors(self.vocab, self.storage, meta)

    # -- looking up -----------------------------------------------------------------------

    def __getitem__(self, words: str | Sequence[str]) -> np.ndarray:
        """Return the vector of a word, (dim,), or of several, (n, dim); float32.

        KeyError if a word is not in the vocabulary and none of its n-grams survives.
        """
        if not isinstance(words, str):
            return self.get_vectors(words)
        place = self.vocab.place(words)
        if place is None:
            return self._gathered(np.array([-1]), lambda _: self.ngrams[0].rows([words]), lambda _: words, "error")[0]
        return self._known(slice(place, place + 1), [words])[0]

    def get_vectors(self, words: Iterable[str], missing: Missing = "error") -> np.ndarray:
        """Return the vectors of many words: (n, dim) float32.

        Parameters
        ----------
        words : iterable of str
            Unseen words are the mean of their surviving n-grams.
        missing : {"error", "zero", "nan"}
            What a word becomes that has no vector at all.

        Raises
        ------
        KeyError
            With ``missing="error"``, naming the first few such words.
        """
        if missing not in ("error", "zero", "nan"):
            raise ValueError(f"missing must be 'error', 'zero' or 'nan', got {missing!r}")
        if isinstance(words, str) or not isinstance(words, Iterable):
            raise TypeError(f"expected several words, got {shortly(words)}")
        words = list(words)
        for word in words:
            if not isinstance(word, str):
                raise TypeError(f"expected words, got {shortly(word)} among them")
        place = self.key_to_index.get
        places = np.array([place(word, -1) for word in words], np.int64)
        return self._gathered(
            places, lambda unseen: self.ngrams[0].rows([words[i] for i in unseen]), words.__getitem__, missing
        )

    def vectors_of(self, vocab: Vocab, index: np.ndarray, missing: Missing = "error") -> np.ndarray:
        """Return `get_vectors` of the words at these positions of another vocabulary, which remembers their n-grams."""
        return self._gathered(
            vocab.places_in(self.vocab, index),
            lambda unseen: vocab.ngram_rows(index[unseen], self.ngrams[0]),
            lambda i: vocab.words[index[i]],
            missing,
        )

    def _gathered(
        self,
        places: np.ndarray,
        ngram_rows: Callable[[np.ndarray], Ragged],
        word: Callable[[int], str],
        missing: Missing,
    ) -> np.ndarray:
        """Return the vectors of words at these places: (n, dim) float32.

        Place -1 is an unseen word: `ngram_rows` gives the rows of such ones' n-grams, `word` one's name for an error.
        """
        known = places >= 0
        if known.all():
            return self._known(places)
        out = np.empty((len(places), self.dim), np.float32)
        if known.any():
            out[known] = self._known(places[known])
        unseen = np.flatnonzero(~known)
        sums, n_ngrams = np.zeros((len(unseen), self.dim), np.float32), np.zeros(len(unseen), np.float32)
        if self.vocab.subwords is not None:
            sums, n_ngrams = self._ngram_sums(ngram_rows(unseen))
        lost = unseen[n_ngrams == 0]
        if missing == "error" and len(lost):
            names = ", ".join(shortly(printable(word(i))) for i in lost[:5])
            why = "and none of their n-grams is left" if self.vocab.subwords else "and the model has no n-grams"
            more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
            raise KeyError(
                f"not in the vocabulary, {why}: {names}{more}; "
                "get_vectors(words, missing='zero') gives zeros for such words"
            )
        sums /= np.maximum(n_ngrams, 1)[:, None]
        out[unseen] = sums
        out[lost] = 0 if missing == "zero" else np.nan
        return out

    def _known(self, index: np.ndarray | slice, words: list[str] | None = None) -> np.ndarray:
        """Return the vectors at these positions, (n, dim) float32; `words` stand there, if they are at hand."""
        own = self.storage.words.rows(self.vocab.rows(index))
        if self.is_composed:
            if words is None:
                words = self.words[index] if isinstance(index, slice) else [self.words[i] for i in index]
            subwords = self.ngrams[0]
            sums, n_ngrams = self._ngram_sums(subwords.rows(words))
            own = subwords.composed(own, sums, n_ngrams[:, None])
        if self.vocab.factors is not None:
            own *= self.vocab.factors[index][:, None]
        return own

    def ngram_means(self, words: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return means over the surviving n-grams of each word, (n, dim), 0 where none is, and their numbers, (n,)."""
        sums, n_ngrams = self._ngram_sums(self.ngrams[0].rows(words))
        sums /= np.maximum(n_ngrams, 1)[:, None]
        return sums, n_ngrams

    def _ngram_sums(self, ngrams: Ragged) -> tuple[np.ndarray, np.ndarray]:
        """Return sums over n-gram rows, (n, dim), and how many each is of, (n,); float32."""
        (indptr, rows), storage = ngrams, self.ngrams[1]
        n_ngrams = np.diff(indptr).astype(np.float32)
        if len(n_ngrams) <= MAX_UNCOMPILED:
            table = storage.rows(rows)
            sums = [table[a:b].sum(axis=0) for a, b in pairwise(indptr)]
            return np.array(sums, np.float32).reshape(len(n_ngrams), self.dim), n_ngrams

        from . import kernels

        used = np.zeros(len(storage), bool)
        used[rows] = True
        place = np.cumsum(used) - 1  # of each used row in the table of used ones
        table = storage.rows(np.flatnonzero(used))
        return kernels.segment_sums(indptr, place[rows], table), n_ngrams

    # -- walking over all words -----------------------------------------------------------

    def blocks(self, size: int = BLOCK, index: np.ndarray | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the vectors of all words, or those at these positions: (first, (<= size, dim) float32).

        ValueError at the first NaN or infinity, naming its row and word.
        """
        index = np.arange(len(self)) if index is None else index
        for start in range(0, len(index), size):
            places = index[start : start + size]
            block = self._known(places)
            if not np.isfinite(block).all():
                check_finite(block, self.words, places)
            yield start, block

    def matrix(self) -> np.ndarray:
        """Return the vectors of all words, decoded: (n_words, dim) float32. Large; prefer `blocks`."""
        out = np.empty((len(self), self.dim), np.float32)
        for start, block in self.blocks():
            out[start : start + len(block)] = block
        return out

    @cached_property
    def norms(self) -> np.ndarray:
        """Euclidean length of every word's vector: (n_words,) float32, read-only."""
        norms = np.full(1, np.nan)
        if not self.is_composed:
            norms = self.storage.words.norms()[self.vocab.rows(slice(None))]
            norms = norms if self.vocab.factors is None else norms * self.vocab.factors
        if not np.isfinite(norms).all():  # `blocks` names the row and the word
            norms = np.concatenate([lengths(block) for _, block in self.blocks()])
        norms.setflags(write=False)
        return norms

    # -- neighbours -----------------------------------------------------------------------

    def similarity(self, a: Key, b: Key) -> float:
        """Return the cosine between two words, unseen ones included, or vectors; 0 where one is all zeros."""
        one, other = unit(self._vectors_of([a, b]))
        return float(one @ other)

    def most_similar(
        self, positive: Keys | None = None, negative: Keys | None = None, topn: int = 10
    ) -> list[tuple[str, float]]:
        """Find the nearest words by cosine to a weighted mean, as gensim's method of this name.

        Parameters
        ----------
        positive, negative : str, (dim,) array, or sequence of these or of (str or array, weight)
            Words that add (weight 1) and that subtract (weight -1), unseen ones included; none is in the answer. They
            count as unit vectors; arrays count as they are. A weight that is given replaces the 1 or -1, also its sign.
        topn : int
            How many words to return.

        Returns
        -------
        list of (word, cosine), nearest first, ties in order of the vocabulary. Exact with respect to the decoded
        vectors.
        """
        asked_for = [*_weighted(positive, 1.0), *_weighted(negative, -1.0)]
        if not asked_for:
            raise ValueError("expected at least one word or vector in positive or negative, got none")
        if isinstance(topn, bool) or not isinstance(topn, Integral) or topn < 1:
            raise ValueError(f"topn must be a whole number of at least 1, got {shortly(topn)}")
        keys = [key for key, _ in asked_for]
        is_word = np.array([isinstance(key, str) for key in keys])
        vectors = self._vectors_of(keys)
        vectors[is_word] = unit(vectors[is_word])
        cosines = self._cosines(unit(np.array([weight for _, weight in asked_for], np.float32) @ vectors))
        asked = {self.key_to_index.get(key, -1) for key in keys if isinstance(key, str)}
        best = [i for i in greatest(cosines[None], topn + len(asked))[0].tolist() if i not in asked][:topn]
        return [(self.words[i], float(cosines[i])) for i in best]

    def _vectors_of(self, keys: Sequence[Key]) -> np.ndarray:
        """Return the vectors of words, and those that are given: (n, dim) float32."""
        for key in keys:
            if isinstance(key, str):
                continue
            if key.shape != (self.dim,) or key.dtype.kind not in "fiu" or not np.isfinite(key).all():
                raise ValueError(
                    f"expected a vector of {self.dim} finite numbers, got one of shape {key.shape} and type {key.dtype}"
                )
        words = [key for key in keys if isinstance(key, str)]
        of_words = iter(self.get_vectors(words))
        return np.array([next(of_words) if isinstance(key, str) else key for key in keys], np.float32)

    def _cosines(self, query: np.ndarray) -> np.ndarray:
        """Return the cosine of a unit query, (dim,), with every word: (n_words,) float32."""
        norms, vocab = self.norms, self.vocab
        with np.errstate(over="ignore", invalid="ignore"):
            scores = self.storage.words.dot(query[None])[0][vocab.rows(slice(None))]
            if vocab.factors is not None:
                scores = scores * vocab.factors
            if self.is_composed:  # n-grams are scored once, then summed word by word
                from . import kernels

                subwords, ngrams = self.ngrams
                indptr, rows = subwords.rows(self.words)
                sums = kernels.segment_sums(indptr, rows, ngrams.dot(query[None]).reshape(-1, 1))[:, 0]  # (n_words,)
                scores = subwords.composed(scores, sums, np.diff(indptr).astype(np.float32))
            cosines = scores / np.where(norms > 0, norms, 1)
        odd = np.flatnonzero(is_extreme(norms))
        for start in range(0, len(odd), BLOCK):
            here = odd[start : start + BLOCK]
            cosines[here] = unit(self._known(here)) @ query
        return cosines

    # -- fewer words and rows -------------------------------------------------------------

    def take(self, index: np.ndarray) -> "Vectors":
        """Keep only the words at these positions, in this order; n-grams stay as they are."""
        index = np.asarray(index)
        if len(index) == 0 or len(np.unique(index)) < len(index):
            raise ValueError("expected at least one position, and none twice")
        vocab, rows = self.vocab.take(index)
        return self._over(self.storage.words.take(rows), vocab)

    def head(self, n: int) -> "Vectors":
        """Keep the first `n` words: the most frequent ones, in the files of most tools."""
        if n < 1:
            raise ValueError(f"expected n >= 1, got {n}")
        return self.take(np.arange(min(n, len(self))))

    def adjusted(self, index: np.ndarray | None = None) -> "Vectors":
        """Return the same vectors with word rows that no longer need their n-grams.

        A step does this before it drops or changes n-grams: afterwards those serve unseen words only. Returns `self`
        where it is so already. With `index`, only the words at these positions, as `take` gives them.

        ValueError if word rows are compressed already, which this would undo, or residuals that need their n-grams;
        at the first NaN or infinity, naming its row and word.
        """
        if not self.is_composed:
            return self if index is None else self.take(index)
        subwords, ngrams = self.ngrams
        if subwords.residual:
            raise ValueError(
                "word rows are what their n-grams leave over, so those must stay as they are: steps that drop or "
                "change n-grams belong before Residual, as in [Prune(...), PQ(on='ngrams'), Refit(kept_weight=1), "
                "Residual(), PQ(on='words')]"
            )
        if not isinstance(self.storage.words, Dense):
            raise ValueError(
                f"word rows are {self.storage.words!r} already, and adding their n-grams would turn them back into "
                "float32: steps that drop or change n-grams belong before those with on='words'"
            )
        old = self.vocab if index is None else self.vocab.take(index)[0]

        def decoded() -> Iterator[np.ndarray]:
            with progress.bar(total=len(old), desc="Word rows", unit=" words", leave=False, delay=2) as bar:
                for _, block in self.blocks(index=None if index is None else np.asarray(index)):
                    yield block
                    bar.update(len(block))

        vocab = old.with_subwords(subwords.adjusted(), own_rows=True)
        return self.with_storage(Stacked(Dense(spooled(decoded(), self.dim, len(old))), ngrams), vocab)

    def lean(self) -> "Vectors":
        """Return the same words over the rows that some word has; `self` where that is all of them."""
        return self._lean if self.vocab.n_used_rows < len(self.storage.words) else self

    @cached_property
    def _lean(self) -> "Vectors":
        vocab, rows = self.vocab.without_spare_rows()
        return self._over(self.storage.words.take(rows), vocab)

    def _over(self, words: Storage, vocab: Vocab) -> "Vectors":
        """Return the words of `vocab` over these word rows, beside the same n-gram rows."""
        return self.with_storage(words if self.storage.ngrams is None else Stacked(words, self.storage.ngrams), vocab)

    # -- in files and in other tools ------------------------------------------------------

    @property
    def nbytes(self) -> int:
        """Bytes of the matrices, as in the file."""
        return self.storage.nbytes

    def save(self, path: str | Path) -> Path:
        """Write one ``.safetensors`` file and return its path. The same vectors always make the same file.

        The file is written beside its place and renamed into it at the end, so that a failed or killed save leaves
        an older file as it was. Missing folders are made.
        """
        with files.replacing(path) as file:
            self.write(file)
        return Path(path)

    def write(self, file: BinaryIO) -> None:
        """Write what `save` writes into an open file; word rows that no word has are left out."""
        artefact.write(file, *self.lean()._parts())

    @property
    def file_bytes(self) -> int:
        """Size of the file that `save` would write, to the byte, without writing it or reading a mapped matrix."""
        lean, words = self, self.storage.words
        if self.vocab.n_used_rows < len(words):
            vocab, rows = self.vocab.without_spare_rows()
            words = Dense.of_size(len(rows), self.dim) if isinstance(words, Dense) else words.take(rows)
            lean = self._over(words, vocab)
        return artefact.size(*lean._parts())

    def _parts(self) -> tuple[artefact.Arrays, dict[str, Any]]:
        subwords = self.vocab.subwords
        parts = {"storage": self.storage, "vocab": self.vocab} | ({} if subwords is None else {"subwords": subwords})
        about = {
            "storage": self.storage.params(),
            "subwords": None if subwords is None else subwords.params(),
            "meta": self.meta,
        }
        return nested(**parts), about

    @classmethod
    def load(cls, path: str | Path) -> "Vectors":
        """Open a file that `save` wrote; matrices stay in it until rows are asked for.

        ValueError if it is damaged, is another tool's, holds a network, or comes from a newer version.
        """

        def build(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Vectors:
            if "network" in about:
                raise ValueError(f"{path} holds a network; open it with workbench.networks.load(path)")
            check_meta(about["meta"])
            subwords = about["subwords"]
            if subwords is not None:
                subwords = Subwords.restore(within(arrays, "subwords"), subwords)
            vocab = Vocab.restore(within(arrays, "vocab"), subwords)
            return cls(vocab, Storage.restore(within(arrays, "storage"), about["storage"]), about["meta"])

        return artefact.read(path, build)

    def to_gensim(self, ngrams: bool = False) -> "KeyedVectors":
        """Return the same vectors as gensim's `KeyedVectors`, decoded, with counts.

        Parameters
        ----------
        ngrams : bool
            False for the known words alone. True for `FastTextKeyedVectors`, which have vectors for unseen words,
            too: every bucket gets a row of float32, and those of pruned ones are zeros, so that unseen words keep
            their direction and lose length.

        Raises
        ------
        ValueError
            With ``ngrams=True``, if the model has none, or others than fastText's.
        """
        from .formats.keyedvectors import to_gensim

        return to_gensim(self, ngrams)

    def describe(self) -> list[tuple[str, str]]:
        """Return what a person wants to know at a glance, without reading a matrix: (label, value) pairs."""
        about = [
            ("words", f"{len(self):,} ({', '.join(printable(w) for w in self.words[:5])}, ...)"),
            ("dimensions", f"{self.dim}"),
            ("word rows", repr(self.storage.words)),
        ]
        subwords = self.vocab.subwords
        if subwords is not None:
            about += [
                ("n-gram rows", repr(self.storage.ngrams)),
                ("n-grams", f"{subwords.min_n} to {subwords.max_n} characters, {subwords.n_buckets:,} buckets"),
                ("known words", "own row and n-grams" if self.is_composed else "own row alone"),
            ]
        about.append(("as a file", f"{self.file_bytes / 1e6:.2f} MB"))
        source = self.meta.get("provenance", {}).get("source")
        return about + ([("source", source)] if source else [])

    def __repr__(self) -> str:
        return f"Vectors({len(self):,} words x {self.dim}, {self.storage!r})"

    def _repr_html_(self) -> str:
        return summary_html("Vectors", self.describe())


def summary_html(caption: str, rows: list[tuple[str, str]]) -> str:
    """Return a small table of labels and values, for a notebook."""
    left = "style='text-align:left'"
    cells = "".join(f"<tr><th {left}>{escape(label)}</th><td {left}>{escape(value)}</td></tr>" for label, value in rows)
    return f"<table><caption>{escape(caption)}</caption><tbody>{cells}</tbody></table>"


def shortly(thing: object) -> str:
    """Return what an error repeats of a word, or of something else: one line, not too long."""
    if isinstance(thing, str):
        return repr(thing[:MAX_QUOTED] + "..." * (len(thing) > MAX_QUOTED))
    return repr(thing) if isinstance(thing, Real) else type(thing).__name__


def _weighted(keys: Any, weight: float) -> list[tuple[Key, float]]:
    """Return words and vectors with their weights; `weight` is that of keys without one."""
    if keys is None:
        return []
    one = isinstance(keys, str) or (isinstance(keys, np.ndarray) and keys.ndim == 1 and keys.dtype.kind in "fiu")
    found = []
    for key in [keys] if one else keys:
        given, by = key if isinstance(key, tuple) and len(key) == 2 else (key, weight)
        if not isinstance(given, str | np.ndarray) or not isinstance(by, Real) or not isfinite(by):
            raise TypeError(f"expected words, vectors, or (word or vector, weight), got {shortly(given)}")
        found.append((given, float(by)))
    return found


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute ``function(v, *rest)`` once for each `Vectors` `v`, which never changes and keeps the answer."""

    @wraps(function)
    def call(v: Vectors, *rest: Hashable) -> Any:
        answers = vars(v).setdefault("_answers", {})
        key = (function, *rest)
        if key not in answers:
            answers[key] = function(v, *rest)
        return answers[key]

    return call


def check_finite(
    block: np.ndarray, words: Sequence[str], places: int | np.ndarray = 0, what: str = "row", noun: str = "word"
) -> None:
    """Refuse NaN and infinity, naming the first row (and its word, where `words` are given).

    `places` are the numbers of rows among `words`, or that of the first.
    """
    for first in range(0, len(block), BLOCK):  # block by block, since flags take a quarter of the rows' memory
        part = block[first : first + BLOCK]
        if np.isfinite(part).all():
            continue
        bad = first + int(np.argmin(np.isfinite(part).all(axis=1)))
        at = places + bad if isinstance(places, int) else places[bad]
        of = f" ({noun} {printable(words[at][:MAX_QUOTED])!r})" if words else ""
        raise ValueError(f"{what} {at}{of} holds NaN or infinity; mend or remove it before loading")


def check_meta(meta: Any) -> None:
    """Refuse notes that a file cannot hold, or that are not of the types that their readers rely on."""
    check_kinds("Vectors", {"meta": meta}, {"meta": dict})
    check_kinds("meta", {"provenance": {}, "recipe": []} | meta, {"provenance": dict, "recipe": list})
    check_kinds("meta", {"source": ""} | meta.get("provenance", {}), {"source": str})
    try:
        json.dumps(meta, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"meta must be JSON values, which a file can hold: {error}") from error


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; zero rows stay zero."""
    long = lengths(vectors)[..., None]
    if np.any(odd := is_extreme(long)):
        largest = np.abs(vectors).max(axis=-1, keepdims=True)
        vectors = np.where(odd, vectors / np.where(odd, largest, 1), vectors)
        long = lengths(vectors)[..., None]
    return vectors / np.where(long > 0, long, 1)
