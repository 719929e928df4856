"""From texts to tensors: numbers of rows and their weights, padded to the longest text."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..checks import check_kinds, warn
from ..packing import deflate_texts, inflate_texts
from ..storage import nested, within
from ..subwords import Subwords
from ..vectors import Vectors
from ..vocab import Vocab
from .words import is_lower, split

TOO_LONG = "some texts have more than {} tokens; what follows those is left out"


class Tokens(NamedTuple):
    """Texts as a network takes them: of (n, tokens), or of (n, tokens, pieces) where a token has several rows."""

    ids: np.ndarray  # int64, rows of the embeddings
    weights: np.ndarray  # float32, 0 for padding


class PieceTokenizer:
    """Pieces of words as a ``tokenizer.json`` of the library tokenizers has them: WordPiece, BPE or Unigram."""

    kind = "pieces"

    def __init__(self, text: str):
        from tokenizers import Tokenizer as Fast

        self.text = text
        try:
            self._fast = Fast.from_str(text)
        except Exception as error:  # the library has no narrower kind
            raise ValueError(f"expected the text of a tokenizer.json, got another: {str(error)[:200]}") from None
        self._fast.no_padding()
        self._fast.no_truncation()
        self.n_rows = max([*self._fast.get_vocab().values(), *self._fast.encode("").ids], default=0) + 1

    def __call__(self, texts: Sequence[str], max_tokens: int) -> Tokens:
        self._fast.enable_truncation(max_tokens)
        encoded = self._fast.encode_batch(list(texts))
        found = [encoding.ids for encoding in encoded]
        if any(encoding.overflowing for encoding in encoded):
            warn(TOO_LONG.format(max_tokens))
        ids = np.zeros((len(found), max(map(len, found), default=1) or 1), np.int64)  # (n, tokens)
        weights = np.zeros(ids.shape, np.float32)
        for row, numbers in enumerate(found):
            ids[row, : len(numbers)], weights[row, : len(numbers)] = numbers, 1
        return Tokens(ids, weights)

    def params(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"text": deflate_texts(self.text)}

    def __getstate__(self) -> str:
        return self.text

    def __setstate__(self, text: str) -> None:
        self.__init__(text)  # type: ignore[misc]


class NgramTokenizer:
    r"""Words as the rows that make up their vectors: their own, or those of their n-grams.

    Words are runs of letters, digits and underscores. A token's weighted sum of rows is the word's vector in the
    `Vectors` that the tokenizer comes from, so that misspelt and unseen words have one, too. A word without a vector
    is left out; a text without any word becomes one token of weight 0.

    Parameters
    ----------
    vocab : Vocab
    n_word_rows : int
        Rows of words; those of n-grams stand behind them, as in `Vectors.storage`.
    flat : bool
        Give ids of (n, pieces) for all words of a text together: for the mean of its words' vectors.
    lower : bool
        Turn texts to lower case first.
    """

    kind = "ngrams"

    def __init__(self, vocab: Vocab, n_word_rows: int, flat: bool = False, lower: bool = True):
        values = {"n_word_rows": n_word_rows, "flat": flat, "lower": lower}
        check_kinds("a tokenizer", values, {"n_word_rows": int, "flat": bool, "lower": bool})
        if not vocab.n_rows <= n_word_rows:
            raise ValueError(f"words point at {vocab.n_rows:,} rows, the tokenizer expects {n_word_rows:,}")
        self.vocab, self.n_word_rows, self.flat, self.lower = vocab, n_word_rows, flat, lower
        self.n_rows = n_word_rows + (0 if vocab.subwords is None else vocab.subwords.n_rows)
        self._pieces: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # by word: its rows and their weights

    @classmethod
    def of(cls, v: Vectors, **options: bool) -> "NgramTokenizer":
        """Return the tokenizer of these vectors, for a table of all their rows; cased as their words are."""
        return cls(v.vocab, len(v.storage.words), **{"lower": is_lower(v)} | options)

    def __call__(self, texts: Sequence[str], max_tokens: int) -> Tokens:
        whole = [split(text, self.lower) for text in texts]
        if any(len(words) > max_tokens for words in whole):
            warn(TOO_LONG.format(max_tokens))
        found = [words[:max_tokens] for words in whole]
        self._learn(dict.fromkeys(word for words in found for word in words if word not in self._pieces))
        parts = [[self._pieces[word] for word in words if len(self._pieces[word][0])] for words in found]
        if self.flat:
            parts = [
                [(np.concatenate([r for r, _ in of]), np.concatenate([w for _, w in of]) / len(of))] if of else []
                for of in parts
            ]
        n_tokens = max(map(len, parts), default=1) or 1
        n_pieces = max((len(rows) for of in parts for rows, _ in of), default=1)
        ids = np.zeros((len(texts), n_tokens, n_pieces), np.int64)
        weights = np.zeros(ids.shape, np.float32)
        for i, of in enumerate(parts):
            for j, (rows, shares) in enumerate(of):
                ids[i, j, : len(rows)], weights[i, j, : len(rows)] = rows, shares
        return Tokens(ids[:, 0], weights[:, 0]) if self.flat else Tokens(ids, weights)

    def _learn(self, words: dict[str, None]) -> None:
        """Find the rows of words and their weights; their sum is `Vectors.get_vectors`."""
        subwords, fresh = self.vocab.subwords, list(words)
        bounds, rows = np.zeros(len(fresh) + 1, np.int64), np.zeros(0, np.int64)
        if subwords is not None and fresh:
            bounds, rows = subwords.rows(fresh)
        for i, word in enumerate(fresh):
            ngrams = rows[bounds[i] : bounds[i + 1]] + self.n_word_rows  # (n_ngrams,)
            place, n = self.vocab.place(word), len(ngrams)
            own, weight, share = [], 1.0, 1 / max(n, 1)
            if place is not None:
                own = [place if self.vocab.row_of is None else self.vocab.row_of[place]]
                if subwords is not None and subwords.raw:
                    weight = share = 1 / (n + 1)
                elif subwords is None or not subwords.residual:
                    weight = 1.0 if self.vocab.factors is None else self.vocab.factors[place]
                    ngrams = ngrams[:0]
            weights = [weight] * len(own) + [share] * len(ngrams)
            self._pieces[word] = np.array([*own, *ngrams], np.int64), np.array(weights, np.float32)

    def params(self) -> dict[str, Any]:
        subwords = self.vocab.subwords
        of_ngrams = {} if subwords is None else {"subwords": subwords.params()}
        own = {"n_word_rows": self.n_word_rows, "flat": self.flat, "lower": self.lower}
        return {"kind": self.kind, **own, **of_ngrams}

    def arrays(self) -> dict[str, np.ndarray]:
        subwords = self.vocab.subwords
        return nested(vocab=self.vocab, **({} if subwords is None else {"subwords": subwords}))


Tokenizer = PieceTokenizer | NgramTokenizer


def restore(arrays: dict[str, np.ndarray], params: dict[str, Any]) -> Tokenizer:
    """Rebuild a tokenizer from its arrays and params; they come from a file and may lie."""
    params = dict(params)
    kind = params.pop("kind")
    if kind == PieceTokenizer.kind:
        return PieceTokenizer(inflate_texts(arrays["text"]).decode(), **params)
    if kind != NgramTokenizer.kind:
        raise ValueError(f"unknown kind of tokenizer {str(kind)[:60]!r}; this version knows pieces and ngrams")
    subwords = params.pop("subwords", None)
    if subwords is not None:
        subwords = Subwords.restore(within(arrays, "subwords"), subwords)
    return NgramTokenizer(Vocab.restore(within(arrays, "vocab"), subwords), **params)
