"""From texts to tensors: numbers of rows and their weights, padded to the longest text."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..checks import Kind, check_kinds, warn
from ..packing import deflate_texts, inflate_texts
from ..storage import nested, within
from ..subwords import Subwords
from ..vectors import Vectors
from ..vocab import Vocab, printable
from .words import TextsOrPairs, is_lower, split

TOO_LONG = "some texts have more than {} tokens; what follows those is left out"
LONG_PAIR = "some pairs of texts have more than {} tokens; the ends of their longer texts are left out"
MAX_LETTERS = 200  # of a word that become n-grams, so that a long one does not fill memory in a padded batch


class Tokens(NamedTuple):
    """Texts as a network takes them: of (n, tokens), or of (n, tokens, pieces) where a token has several rows."""

    ids: np.ndarray  # int64, rows of the embeddings
    weights: np.ndarray  # float32, 0 for padding


class PairTokens(NamedTuple):
    """Pairs of texts as a network takes them, each one after the other; all of (n, tokens)."""

    ids: np.ndarray  # int64, rows of the embeddings
    weights: np.ndarray  # float32, 1, or 0 for padding
    types: np.ndarray  # int64, 0 for the first text with its special tokens, 1 for the second


AnyTokens = Tokens | PairTokens


def token_places(weights: Any) -> Any:
    """Return which places of an array or tensor of weights hold a token, (n, tokens); the others are padding."""
    return weights != 0 if weights.ndim == 2 else (weights != 0).any(-1)


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
        self.vocab: dict[str, int] = self._fast.get_vocab()  # the number of each token
        self.around = tuple(self._fast.encode("").ids)  # tokens that stand around every text
        special = [*self.around, *self._fast.encode("", "").ids]  # may be none of the vocabulary
        self.n_rows = max([*self.vocab.values(), *special], default=0) + 1

    def encode(self, texts: TextsOrPairs, max_tokens: int | None = None, special: bool = True) -> list[Any]:
        """Return the library's encoding of each text or pair, with special tokens unless those are not wanted."""
        if max_tokens is None:
            self._fast.no_truncation()
        else:
            self._fast.enable_truncation(max_tokens)  # of the longer text of a pair first, as transformers does
        given = [tuple(map(printable, text)) if isinstance(text, tuple) else printable(text) for text in texts]
        return self._fast.encode_batch(given, add_special_tokens=special)

    def __call__(self, texts: TextsOrPairs, max_tokens: int) -> AnyTokens:
        is_paired = len(texts) > 0 and isinstance(texts[0], tuple)
        encoded = self.encode(texts, max_tokens)
        if any(encoding.overflowing or len(encoding.ids) > max_tokens for encoding in encoded):
            warn((LONG_PAIR if is_paired else TOO_LONG).format(max_tokens))
        found = [encoding.ids[:max_tokens] for encoding in encoded]  # the special tokens alone may be more
        counts = np.array([len(ids) for ids in found], np.int64)  # (n,)
        ids = np.fromiter(chain.from_iterable(found), np.int64)
        tokens = Tokens(padded(ids, counts), padded(np.ones(len(ids), np.float32), counts))
        if not is_paired:
            return tokens
        types = np.fromiter(chain.from_iterable(encoding.type_ids[:max_tokens] for encoding in encoded), np.int64)
        if types.max(initial=0) > 1:
            raise ValueError(f"expected the tokenizer to give tokens of pairs the types 0 and 1, got {types.max()}")
        return PairTokens(*tokens, padded(types, counts))

    def params(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"text": deflate_texts(self.text)}

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return PieceTokenizer, (self.text,)


@dataclass(eq=False, repr=False)
class NgramTokenizer:
    """Words as the rows that make up their vectors: their own, or those of their n-grams.

    Words are runs of letters, digits and underscores. A token's weighted sum of rows is the word's vector in the
    `Vectors` that the tokenizer comes from, so that misspelt and unseen words have one, too; only the first 200
    letters of a word count for its n-grams. A word without a vector is left out; a text without any word becomes one
    token of weight 0.

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

    kind: ClassVar = "ngrams"
    around: ClassVar = ()
    fields: ClassVar[dict[str, Kind]] = {"n_word_rows": int, "flat": bool, "lower": bool}

    vocab: Vocab
    n_word_rows: int
    flat: bool = False
    lower: bool = True

    def __post_init__(self) -> None:
        check_kinds("a tokenizer", vars(self), self.fields)
        if not self.vocab.n_rows <= self.n_word_rows:
            raise ValueError(f"words point at {self.vocab.n_rows:,} rows, the tokenizer expects {self.n_word_rows:,}")
        self.n_rows = self.n_word_rows + (0 if self.vocab.subwords is None else self.vocab.subwords.n_rows)

    @classmethod
    def of(cls, v: Vectors, **options: bool) -> "NgramTokenizer":
        """Return the tokenizer of these vectors, for a table of all their rows; cased as their words are."""
        return cls(v.vocab, len(v.storage.words), **{"lower": is_lower(v)} | options)

    def __call__(self, texts: Sequence[str], max_tokens: int) -> Tokens:
        whole = [split(text, self.lower) for text in texts]
        if any(len(words) > max_tokens for words in whole):
            warn(TOO_LONG.format(max_tokens))
        found = [words[:max_tokens] for words in whole]
        counts, rows, weights = self._pieces([*chain.from_iterable(found)])
        has_vector = counts > 0  # (n_words,)
        text_of = np.repeat(np.arange(len(texts)), [len(words) for words in found])  # (n_words,)
        n_words = np.bincount(text_of[has_vector], minlength=len(texts))  # (n,)
        if self.flat:
            weights = weights / np.repeat(n_words[text_of], counts)
            counts = np.bincount(text_of, counts, len(texts)).astype(np.int64)  # (n,)
        else:
            counts = padded(counts[has_vector], n_words)  # (n, tokens)
        return Tokens(padded(rows, counts), padded(weights.astype(np.float32), counts))

    def _pieces(self, words: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return how many rows each word has, the rows of one word after another, and their weights.

        The weighted sum of its rows is what `Vectors.get_vectors` gives for a word.
        """
        vocab, subwords = self.vocab, self.vocab.subwords
        places = np.array([vocab.key_to_index.get(word, -1) for word in words], np.int64)  # (n_words,)
        known, n_ngrams, ngrams = places >= 0, np.zeros(len(words), np.int64), np.zeros(0, np.int64)
        is_raw = subwords is not None and subwords.raw
        if subwords is not None:
            cut = np.flatnonzero(~known | is_raw | subwords.residual)
            bounds, ngrams = subwords.rows([words[i][:MAX_LETTERS] for i in cut])
            n_ngrams[cut] = np.diff(bounds)
        share = 1 / np.maximum(n_ngrams + (known & is_raw), 1)  # (n_words,) weight of each n-gram
        of_own = share if is_raw else np.ones(len(words)) if vocab.factors is None else vocab.factors[places]
        own = places[known] if vocab.row_of is None else vocab.row_of[places[known]]
        before = (np.cumsum(n_ngrams) - n_ngrams)[known]  # a word's own row stands before its n-grams
        rows = np.insert(ngrams.astype(np.int64) + self.n_word_rows, before, own)
        return n_ngrams + known, rows, np.insert(np.repeat(share, n_ngrams), before, of_own[known])

    def params(self) -> dict[str, Any]:
        subwords = {} if self.vocab.subwords is None else {"subwords": self.vocab.subwords.params()}
        return {"kind": self.kind} | {name: getattr(self, name) for name in self.fields} | subwords

    def arrays(self) -> dict[str, np.ndarray]:
        subwords = {} if self.vocab.subwords is None else {"subwords": self.vocab.subwords}
        return nested(vocab=self.vocab, **subwords)


def padded(numbers: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return runs of so many numbers each, (...) counts, as rows with zeros behind them: (..., longest run)."""
    is_there = np.arange(max(counts.max(initial=0), 1)) < counts[..., None]
    out = np.zeros(is_there.shape, numbers.dtype)
    out[is_there] = numbers
    return out


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
