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
    """``model[word]`` is the vector of a word: (dim,) float32."""

    def __init__(self, path):
        with safe_open(path, "np") as file:
            about = json.loads(file.metadata()["workbench"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
        if about["format_version"] not in (1, 2):
            raise ValueError(f"{path} has format version {about['format_version']}; this reader knows 1 and 2")
        words = zlib.decompress(arrays["vocab.text"]).split(b"\0")
        self.place = {word: place for place, word in enumerate(words)}
        self.row_of, self.scales = arrays.get("vocab.row_of", range(len(words))), np.ones(len(words), np.float16)
        if "vocab.row_of" in arrays and about["format_version"] == 2:
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


def hasher(arrays, min_n, max_n, n_buckets, raw, folded=(), residual=False):
    """A function from a word to the rows of its n-grams, of those that have one."""
    row_of = arrays.get("subwords.bucket_to_row", range(n_buckets))
    if "subwords.alive" in arrays:
        alive = np.unpackbits(arrays["subwords.alive"], count=n_buckets)
        row_of = np.where(alive, np.cumsum(alive, dtype=np.int64) - 1, -1)

    def rows(word):
        text = b"" if word == b"</s>" else b"<" + word + b">"
        at = [i for i, byte in enumerate(text) if byte & 0xC0 != 0x80] + [len(text)]  # where characters begin
        spans = [(a, b) for a in range(len(at)) for b in range(a + min_n, min(a + max_n + 1, len(at)))]
        found = [row_of[bucket(text[at[a] : at[b]])] for a, b in spans if b - a > 1 or 0 < a < len(at) - 2]
        return [row for row in found if row >= 0]

    def bucket(ngram):
        number = 2166136261
        for byte in ngram:  # FNV-1a, for which fastText takes bytes as signed
            number = (number ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619 % 2**32
        for modulus in (*folded, n_buckets):
            number %= modulus
        return number

    return rows


def decoder(arrays, at, kind, **about):
    """A function from row numbers to these rows, (n, dim) float32, of the arrays whose names begin with `at`."""
    own = {name.removeprefix(f"{at}."): array for name, array in arrays.items()}
    inner = {name: decoder(arrays, f"{at}.{name}", **of) for name, of in about.items() if isinstance(of, dict)}
    kinds: dict = {
        "dense": lambda index: own["matrix"][index],
        "scaled": lambda index: own["matrix"][index].astype(np.float32) * own["scales"],
        "coded": lambda index: decoded(own["packed"][index], own["codebooks"], own["spans"], **about),
        "projected": lambda index: inner["inner"](index) @ own["axes"].astype(np.float32),
        "normed": lambda index: inner["inner"](index) * inner["lengths"](index),
        "stacked": lambda index, of="words": inner[of](index),
    }
    if kind not in kinds:
        raise ValueError(f"this reader does not know the kind of storage {kind!r}")
    return kinds[kind]


def decoded(codes, codebooks, spans, dim, n_bits):
    """Rows from their codes: what the codebook entries add up to that these pick."""
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
