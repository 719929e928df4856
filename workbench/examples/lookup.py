"""Word vectors from a file of the embedding workbench, without the workbench.

Copy this file beside your own code: it needs numpy and safetensors, and nothing else. Vectors are the
workbench's to the bit, those of unseen words included. The workbench's `format.md` describes the files.
It is for files that you trust: `workbench.load` checks more of them.

    model = Lookup("small.safetensors")
    model["word"]  # (dim,) float32, or KeyError where a word has no vector

    python lookup.py small.safetensors word
"""

import json
import sys
import zlib

import numpy as np
from safetensors import safe_open


class Lookup:
    """A model of which ``model[word]`` is the vector of a word, (dim,) float32."""

    def __init__(self, path):
        with safe_open(path, "np") as file:
            about = json.loads(file.metadata()["workbench"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
        if about["format_version"] not in (1, 2, 3, 4):
            raise ValueError(f"{path} has format version {about['format_version']}; this reader knows 1 to 4")
        if "network" in about:
            raise ValueError(f"{path} holds a network; this reader is for word vectors")
        words = zlib.decompress(arrays["vocab.text"]).split(b"\0")
        self.place = {word: place for place, word in enumerate(words)}
        self.row_of, self.scales = arrays.get("vocab.row_of", range(len(words))), np.ones(len(words), np.float16)
        if "vocab.row_of" in arrays and about["format_version"] > 1:
            numbers = zlib.decompress(self.row_of)
            self.row_of = np.frombuffer(numbers, f"<u{len(numbers) // len(words)}")
        if "vocab.scales" in arrays:  # of words that borrow their row; NaN where it is their own
            self.scales = np.nan_to_num(np.frombuffer(zlib.decompress(arrays["vocab.scales"]), "<f2"), nan=1)
        self.rows, subwords = decoder(arrays, "storage", **about["storage"]), about["subwords"] or {}
        self.ngrams = hasher(arrays, **subwords) if subwords else lambda word: []
        self.raw, self.residual = subwords.get("raw", False), subwords.get("residual", False)

    def __getitem__(self, word):
        key = word.encode("utf-8", "surrogateescape")
        place = self.place.get(key)
        if place is not None:
            own = self.rows([self.row_of[place]])[0] * self.scales[place]
            if not (self.raw or self.residual):  # rows of words are whole vectors
                return own
        ngrams = self.ngrams(key)
        if place is None and not ngrams:
            raise KeyError(word)
        total, n = self.rows(ngrams, "ngrams").sum(axis=0), len(ngrams)
        if place is None:
            return total / n
        return (own + total) / (n + 1) if self.raw else own + total / max(n, 1)


def hasher(arrays, min_n, max_n, raw, n_buckets=0, kind="fasttext", folded=(), residual=False):
    """Return a function from a word to the rows of those of its n-grams that have one."""
    if kind not in ("fasttext", "finalfusion", "explicit"):
        raise ValueError(f"this reader does not know the kind of n-grams {kind!r}")
    listed = {}  # n-grams by their text, instead of a hash
    if kind == "explicit":
        texts = zlib.decompress(arrays["subwords.text"]).decode("utf-8", "surrogateescape").split("\0")
        listed = {text: number for number, text in enumerate(texts)}
    row_of = arrays.get("subwords.bucket_to_row", range(n_buckets or len(listed)))
    if "subwords.alive" in arrays:
        alive = np.unpackbits(arrays["subwords.alive"], count=n_buckets)
        row_of = np.where(alive, np.cumsum(alive, dtype=np.int64) - 1, -1)

    def rows(word):
        if kind == "fasttext":
            text = b"" if word == b"</s>" else b"<" + word + b">"
            at = [i for i, byte in enumerate(text) if byte & 0xC0 != 0x80] + [len(text)]  # where characters begin
            spans = [(a, b) for a in range(len(at)) for b in range(a + min_n, min(a + max_n + 1, len(at)))]
            ngrams = [text[at[a] : at[b]] for a, b in spans if b - a > 1 or 0 < a < len(at) - 2]
        else:
            text = "<" + word.decode("utf-8", "surrogateescape") + ">"
            ends = len(text) + 1
            ngrams = [text[a:b] for a in range(ends) for b in range(a + min_n, min(a + max_n + 1, ends))]
        found = [row_of[number] for number in map(bucket, ngrams) if number is not None]
        return [row for row in found if row >= 0]

    def bucket(ngram):
        if kind == "explicit":
            return listed.get(ngram)
        number = 2166136261 if kind == "fasttext" else 14695981039346656037
        if kind == "fasttext":
            for byte in ngram:  # FNV-1a, for which fastText takes bytes as signed
                number = (number ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619 % 2**32
        else:
            for byte in len(ngram).to_bytes(8, "little") + ngram.encode("utf-32-le", "surrogatepass"):
                number = (number ^ byte) * 1099511628211 % 2**64
        for modulus in (*folded, n_buckets):
            number %= modulus
        return number

    return rows


def decoder(arrays, at, kind, **about):
    """Return a function from row numbers to rows, (n, dim) float32, of the arrays whose names begin with `at`."""
    own = {name.removeprefix(f"{at}."): array for name, array in arrays.items()}
    inner = {name: decoder(arrays, f"{at}.{name}", **of) for name, of in about.items() if isinstance(of, dict)}
    kinds: dict = {
        "dense": lambda index: own["matrix"][index],
        "scaled": lambda index: own["matrix"][index].astype(np.float32) * own["scales"],
        "coded": lambda index: decoded(own["packed"][index], own["codebooks"], own["spans"], **about),
        "projected": lambda index: inner["inner"](index) @ own["axes"].astype(np.float32),
        "normed": lambda index: inner["inner"](index) * inner["lengths"](index),
        "stacked": lambda index, of="words": inner[of](index),
        "sparse": lambda index: spread(index, own["bitmap"], inner["inner"], about["dim"]),
        "cut": lambda index: joined(index, inner["inner"], about["dim"]),
    }
    if kind not in kinds:
        raise ValueError(f"this reader does not know the kind of storage {kind!r}")
    return kinds[kind]


def spread(index, bitmap, inner, dim):
    """Return rows of zeros but where a bit is set: those numbers fill inner rows, each row from a new one on."""
    width, n_bits = inner(np.arange(0)).shape[1], np.unpackbits(bitmap, axis=1).sum(axis=1, dtype=np.int64)
    ends, rows = np.cumsum(-(-n_bits // width)), np.zeros((len(index), dim), np.float32)
    for row, i in zip(rows, index, strict=True):
        numbers = inner(np.arange(ends[i] - -(-n_bits[i] // width), ends[i])).ravel()[: n_bits[i]]
        row[np.unpackbits(bitmap[i], count=dim).astype(bool)] = numbers
    return rows


def joined(index, inner, dim):
    """Return rows that are several inner rows side by side."""
    pieces = dim // inner(np.arange(0)).shape[1]
    places = np.asarray(index, np.int64)[:, None] * pieces + np.arange(pieces)
    return inner(places.ravel()).reshape(-1, dim)


def decoded(codes, codebooks, spans, dim, n_bits):
    """Return rows from their codes: each is a sum of codebook entries, which the codes pick."""
    if n_bits < 8:
        bits = np.unpackbits(codes, axis=1, count=len(spans) * n_bits).reshape(len(codes), len(spans), n_bits)
        codes = (bits << np.arange(n_bits)).sum(axis=2)
    rows = np.full((len(codes), dim), -0.0, np.float32)  # -0.0 + x is x to the bit, whatever x
    books = np.split(codebooks, np.cumsum(spans[:-1, 1] - spans[:-1, 0]), axis=1)
    for (start, stop), book, picked in zip(spans, books, codes.T, strict=True):
        rows[:, start:stop] += book[picked]
    return rows


if __name__ == "__main__":
    print(Lookup(sys.argv[1])[sys.argv[2]])
