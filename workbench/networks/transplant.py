"""`Transplant`: another vocabulary for a network, with rows made of those that it has."""

from collections.abc import Collection, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ..checks import reading
from ..compress.base import parameter
from ..formats import load as load_vectors
from ..nearest import blocks_of, nearest_rows
from ..storage import Dense
from ..vectors import Vectors, shortly, unit
from .config import WORDS
from .folder import tokenizer_of
from .network import Network
from .phrases import Teacher
from .pieces import Piece, most_used, pieces
from .steps import NetworkStep
from .task import Task, load_task
from .tokens import PieceTokenizer
from .words import is_lower, listed

METHODS = {
    "weighted": "by word vectors",
    "pieces": "mean of old pieces",
    "distilled": "trained on texts",
    "random": "random",
}
UNSAID = ("special", "bytes")  # kinds of pieces that are no text
N_NEAREST, TEMPERATURE = 10, 0.1  # compared on MiniLM, on texts to choose by


class Transplant(NetworkStep):
    """Give a network another vocabulary: rows for the tokens of another tokenizer, or fewer rows.

    A token that the network's own tokenizer has, too, keeps its row: one that stands for the same text, in whatever
    way it is marked (``cat`` and ``##s`` of WordPiece, ``Ġcat`` and ``s`` of byte-level BPE), or for a text that the
    old tokenizer takes as one token. The rows of all others are made by `method`. What else the network has stays.

    Where all rows are copied, they stay as they are stored; otherwise all become float32, so steps that compress the
    embeddings belong after this one.

    Parameters
    ----------
    tokenizer : str, path or PieceTokenizer, optional
        The new one: a ``tokenizer.json``, or a folder with such a file. By default the network's own, cut by
        `vocabulary`.
    vectors : str, path, Vectors, or pair of these, optional
        Word vectors for ``"weighted"``: of both vocabularies, or one model for the old and one for the new, with
        vectors in one space.
    method : {"weighted", "pieces", "distilled", "random"}
        ``"weighted"``: a mean of the old rows whose texts are nearest by `vectors`, weighted by a softmax of cosines
        (Tran, "From English to foreign languages", 2020; Minixhofer et al., "WECHSEL", 2022; Dobler and de Melo,
        "FOCUS", 2023); for tokens that begin words and have a vector, others as by ``"pieces"``.
        ``"pieces"``: the mean of the old rows of the pieces that the old tokenizer cuts the token's text into; without
        any, as by ``"random"``.
        ``"distilled"``: by ``"weighted"`` where there are `vectors`, else by ``"pieces"``, then trained on `texts`
        (Dobler, Elliott and de Melo, "Token distillation", 2026): see `distilling.Distillation`.
        ``"random"``: normal numbers with the mean and spread of the old rows, for comparison.
    vocabulary : int, optional
        Keep only so many tokens of the new tokenizer: those that `texts` use most, the special tokens, and the single
        characters of ASCII and of the texts, so that any word of such letters can still be cut.
    texts : sequence of str, Task, Teacher, str or path, optional
        To choose tokens by and to train on; of a task its training texts.
    n_steps : int
        Batches of the training.
    random_state : int
        Seed of random rows and of the training.

    Attributes
    ----------
    tokenizer_ : PieceTokenizer
    tokens_ : DataFrame
        ``how`` rows were made (copied, weighted, pieces, random) and how many ``tokens`` so.
    curve_ : list of dict
        Of ``"distilled"``: ``step`` and ``loss`` on a tenth of the texts, at each look.
    """

    label = "Another vocabulary"
    blurb = "gives the network a row for each token of another tokenizer, or keeps fewer tokens."
    may_grow: ClassVar = True  # the new vocabulary may be larger

    tokenizer: Any = parameter(None, "other", "Tokenizer")
    vectors: Any = parameter(None, "other", "Word vectors")
    method: str = parameter("weighted", "choice", "New rows", choices=METHODS, main=False)
    vocabulary: int | None = parameter(None, "count", "Tokens", 1, lambda v: len(v.tokenizer.vocab), all_is_none=True)
    texts: Any = parameter(None, "other", "Texts")
    n_steps: int = parameter(100, "count", "Steps", 1, main=False)
    random_state: int = parameter(0, "seed", "Seed")

    def _fit(self, v: Network, reference: Network | None) -> None:
        import pandas as pd

        old = v.tokenizer
        if v.config.kind != "bert" or not isinstance(old, PieceTokenizer):
            raise ValueError(f"{self!r}: expected a BERT with a tokenizer.json, got {v!r}, whose tokens are others")
        if self.tokenizer is None and self.vocabulary is None:
            raise ValueError(f"{self!r}: give the tokenizer that the network is to have, or a smaller vocabulary")
        texts = texts_of(self.texts)
        if not texts and (self.vocabulary is not None or self.method == "distilled"):
            raise ValueError(f"{self!r}: give texts, or a task, to choose the vocabulary by or to train on; got none")
        new = old if self.tokenizer is None else tokenizer_from(self.tokenizer)
        if self.vocabulary is not None:
            new = most_used(new, texts, self.vocabulary)
        source = sources(old, new)  # (n_new,)
        how = np.where(source < 0, "random", "copied").astype(object)  # (n_new,)
        self.tokenizer_, self.curve_ = new, list[dict]()
        if (source >= 0).all():
            self.stored_ = v.weights[WORDS].take(source)
        else:
            rows = self._rows(v.values(WORDS), old, source, how)
            if self.method == "distilled":
                from .distilling import Distillation

                distillation = Distillation(v, new, rows, source < 0)
                self.curve_ = distillation.train(texts, self.n_steps, self.random_state)
                rows = distillation.rows.cpu().numpy()
            self.stored_ = Dense(rows)
        names, counts = np.unique(how[[*new.vocab.values()]].astype(str), return_counts=True)
        self.tokens_ = pd.DataFrame({"how": names, "tokens": counts})

    def _rows(self, table: np.ndarray, old: PieceTokenizer, source: np.ndarray, how: np.ndarray) -> np.ndarray:
        """Return rows for all new tokens, (n_new, dim) float32, and write into `how` in which way each is made."""
        rng, new = np.random.default_rng(self.random_state), self.tokenizer_
        known = table[[*old.vocab.values()]]  # without rows that no token has
        rows = rng.normal(known.mean(0), known.std(0), (len(source), table.shape[1])).astype(np.float32)
        rows[source >= 0] = table[source[source >= 0]]
        made = {} if self.method == "random" else {"pieces": mean_of_pieces}
        if self.method == "weighted" or (self.method == "distilled" and self.vectors is not None):
            made["weighted"] = partial(mean_of_nearest, models=self._models())  # instead, where it can
        left = {token: piece for token, piece in pieces(new).items() if source[new.vocab[token]] < 0}
        numbers = np.array([new.vocab[token] for token in left])  # (n_left,)
        for way, make in made.items():
            found, is_made = make(table, old, [*left.values()])
            rows[numbers[is_made]], how[numbers[is_made]] = found[is_made], way
        return rows

    def _models(self) -> tuple[Vectors, Vectors]:
        """Return the word vectors for the old and the new tokens."""
        pair = self.vectors if isinstance(self.vectors, tuple | list) else (self.vectors,)
        models = [load_vectors(of) if isinstance(of, str | Path) else of for of in pair]
        if not all(isinstance(of, Vectors) for of in models) or len(models) not in (1, 2):
            advice = "a model or its path, or two for the old and the new tokens; or take method='pieces'"
            raise TypeError(f"{self!r}: vectors must be {advice}, got {shortly(self.vectors)}")
        if models[0].dim != models[-1].dim:
            raise ValueError(f"{self!r}: vectors must be in one space, got {models[0].dim} and {models[-1].dim}")
        return models[0], models[-1]

    def _plain_params(self) -> dict[str, Any]:
        """Return the parameters that recipes show: tasks and models by their names, texts by their number."""
        params = super()._plain_params()
        shown = {name: named(params[name]) for name in ("tokenizer", "vectors", "texts")}
        if isinstance(pair := shown["vectors"], tuple | list):
            shown["vectors"] = " and ".join(str(named(of)) for of in pair)
        if not isinstance(texts := shown["texts"], str | None):
            shown["texts"] = f"{len(texts):,} texts" if hasattr(texts, "__len__") else shortly(texts)
        return params | shown

    def _transform(self, v: Network) -> Network:
        return v.with_weights({WORDS: self.stored_}, tokenizer=self.tokenizer_)


def texts_of(texts: Any) -> list[str]:
    """Return texts, or the training texts of a task, without empty ones."""
    found = load_task(texts) if isinstance(texts, str | Path) else texts
    found = found.train.texts if isinstance(found, Task | Teacher) else () if found is None else found
    return [text for text in listed(found) if text.strip()]


def tokenizer_from(source: Any) -> PieceTokenizer:
    """Return a tokenizer: itself, or that of a tokenizer.json or of a folder with one."""
    if isinstance(source, PieceTokenizer):
        return source
    if not isinstance(source, str | Path):
        raise TypeError(f"expected a PieceTokenizer or the path of a tokenizer.json, got {shortly(source)}")
    path = Path(source).expanduser()
    with reading(path, "a tokenizer.json"):
        found = tokenizer_of(path) if path.is_dir() else PieceTokenizer(path.read_text(encoding="utf-8"))
    assert isinstance(found, PieceTokenizer)
    return found


def named(value: Any) -> Any:
    """Return what recipes show of a value: the name of a task or model; the rest as it is."""
    if isinstance(value, Vectors):
        return value.origin or "vectors in memory"
    if isinstance(value, PieceTokenizer):
        return f"a tokenizer of {len(value.vocab):,} tokens"
    return value.name if isinstance(value, Task | Teacher) else value


def sources(old: PieceTokenizer, new: PieceTokenizer) -> np.ndarray:
    """Return the old token that each new one is, -1 for none, and any for numbers without a token: (n_new,) int64.

    It stands for the same, or the old tokenizer takes its text as this one token.
    """
    number = {piece: old.vocab[token] for token, piece in reversed(pieces(old).items())}
    found = np.zeros(new.n_rows, np.int64)
    left = dict[str, Piece]()
    for token, piece in pieces(new).items():
        found[new.vocab[token]] = number.get(piece, -1)
        if piece not in number and piece.kind in ("start", "mark"):
            left[token] = piece
    for token, ids in zip(left, numbers_of(old, [*left.values()]), strict=True):
        if len(ids) == 1:
            found[new.vocab[token]] = ids[0]
    return found


def numbers_of(tokenizer: PieceTokenizer, of: Sequence[Piece]) -> list[list[int]]:
    """Return the numbers of the tokens that each text is cut into; none where it is no text, or partly unknown."""
    special = {tokenizer.vocab[token] for token, piece in pieces(tokenizer).items() if piece.kind == "special"}
    texts = [piece.text if piece.kind == "inside" else f" {piece.text}" for piece in of]
    found = tokenizer.encode(texts, special=False)
    is_none = [piece.kind in UNSAID or not special.isdisjoint(e.ids) for piece, e in zip(of, found, strict=True)]
    return [[] if none else e.ids for none, e in zip(is_none, found, strict=True)]


def mean_of_pieces(table: np.ndarray, old: PieceTokenizer, of: Sequence[Piece]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the old rows that each text is cut into, (n, dim), and which texts have any, (n,)."""
    ids = numbers_of(old, of)
    counts = np.array([len(found) for found in ids])  # (n,)
    weights = np.repeat(1 / np.maximum(counts, 1), counts)
    return sums(table, [*chain.from_iterable(ids)], weights, counts), counts > 0


def mean_of_nearest(
    table: np.ndarray, old: PieceTokenizer, of: Sequence[Piece], models: tuple[Vectors, Vectors]
) -> tuple[np.ndarray, np.ndarray]:
    """Return means of the old rows whose texts have the nearest vectors, (n, dim), and which are to be used, (n,).

    They are moved to the usual distance from the mean of all rows: means of several are nearer to it. Parts of words
    are no words, so vectors say little of them; their pieces were better on texts to choose by.
    """
    of_old, of_new = (directions(v, texts) for v, texts in zip(models, (pieces(old).values(), of), strict=True))
    if np.isnan(of_old[:, 0]).all():
        raise ValueError("vectors has none for the tokens that the network has, so there is nothing to take a mean of")
    near, cosines = nearest_rows(of_new, blocks_of(of_old), N_NEAREST)
    is_near = near >= 0  # (n, N_NEAREST)
    weights = np.where(is_near, np.exp((cosines - cosines[:, :1]) / TEMPERATURE), 0)
    weights /= np.maximum(weights.sum(1, keepdims=True), 1)  # the nearest has 1
    known = table[[old.vocab[token] for token in pieces(old)]]  # (n_old, dim), without rows that no token has
    middle = known.mean(0)
    found = sums(known - middle, near[is_near], weights[is_near], is_near.sum(1))
    usual = np.linalg.norm(known - middle, axis=1).mean()
    return middle + usual * unit(found), is_near[:, 0] & [piece.kind == "start" for piece in of]


def directions(v: Vectors, of: Collection[Piece]) -> np.ndarray:
    """Return unit vectors of texts, (n, dim) float32; NaN for special tokens, bytes, and texts without any."""
    to_lower = is_lower(v)
    rows = unit(v.get_vectors([piece.text.lower() if to_lower else piece.text for piece in of], "zero"))
    rows[[not row.any() or piece.kind in UNSAID for row, piece in zip(rows, of, strict=True)]] = np.nan
    return rows


def sums(table: np.ndarray, ids: ArrayLike, weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return weighted sums of runs of so many rows each: (n, dim) float32."""
    from scipy.sparse import csr_array

    ends = np.cumsum([0, *counts])
    return csr_array((weights.astype(np.float32), ids, ends), (len(counts), len(table))) @ table
