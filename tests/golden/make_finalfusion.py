"""Writes tests/golden/finalfusion with the finalfusion package (0.7.1): files, and what it says is in them.

Run it in an environment with that package: ``python tests/golden/make_finalfusion.py``.
"""

import json
from pathlib import Path

import numpy as np
from finalfusion import Embeddings
from finalfusion.metadata import Metadata
from finalfusion.norms import Norms
from finalfusion.storage import NdArray, QuantizedArray
from finalfusion.storage.quantized import PQ
from finalfusion.subword import ExplicitIndexer, FastTextIndexer, FinalfusionHashIndexer
from finalfusion.vocab import ExplicitVocab, FastTextVocab, FinalfusionBucketVocab, SimpleVocab

OUT = Path(__file__).parent / "finalfusion"
WORDS = ["the", "of", "кот", "кошка", "groß", "emoji😀", "New York", "x", "", "wordish", "words", "dog"]
UNSEEN = ["wordy", "котик", "doggish", "😀", "york"]
RNG = np.random.default_rng(3)
DIM = 6


def unit_rows(n: int) -> np.ndarray:
    rows = RNG.normal(size=(n, DIM)).astype(np.float32)
    rows[: len(WORDS)] /= np.linalg.norm(rows[: len(WORDS)], axis=1, keepdims=True)
    return rows


def quantized(n: int, n_entries: int, turned: bool, normed: bool) -> QuantizedArray:
    entries = RNG.normal(size=(3, n_entries, DIM // 3)).astype(np.float32)
    projection = np.linalg.qr(RNG.normal(size=(DIM, DIM)))[0].astype(np.float32) if turned else None
    codes = RNG.integers(n_entries, size=(n, 3), dtype=np.uint8)
    return QuantizedArray(PQ(entries, projection), codes, RNG.random(n).astype(np.float32) if normed else None)


def models() -> dict[str, Embeddings]:
    norms = Norms(RNG.uniform(0.5, 9, len(WORDS)).astype(np.float32))
    fasttext = FastTextVocab(WORDS, FastTextIndexer(30, 2, 4))
    buckets = FinalfusionBucketVocab(WORDS, FinalfusionHashIndexer(5, 3, 6))
    listed = ExplicitVocab(WORDS, ExplicitIndexer(["<wo", "dog", "кот", "ish>", "<d"], 2, 4, None))
    shared = ExplicitVocab(
        WORDS, ExplicitIndexer(["dog", "<wo", "кот", "rd"], 2, 4, {"dog": 1, "<wo": 0, "кот": 1, "rd": 2})
    )
    about = Metadata({"made": "for tests", "кот": 1})
    return {
        "simple": Embeddings(NdArray(unit_rows(12)), SimpleVocab(WORDS)),
        "norms": Embeddings(NdArray(unit_rows(12)), SimpleVocab(WORDS), norms, about),
        "fasttext": Embeddings(NdArray(unit_rows(42)), fasttext, norms),
        "buckets": Embeddings(NdArray(unit_rows(44)), buckets, norms, about),
        "explicit": Embeddings(NdArray(unit_rows(17)), listed, norms),
        "shared": Embeddings(NdArray(unit_rows(15)), shared),
        "codes": Embeddings(quantized(44, 256, False, False), buckets, None),
        "few_codes": Embeddings(quantized(12, 11, False, True), SimpleVocab(WORDS), norms),
        "turned_codes": Embeddings(quantized(17, 16, True, True), listed, norms),
    }


def vectors(e: Embeddings) -> dict[str, list[float] | None]:
    """Known words with their lengths, unseen ones at length 1; None where there is no vector."""
    found = {word: e.embedding(word) for word in [*WORDS, *UNSEEN]}
    if e.norms is not None:
        found |= {word: found[word] * e.norms[i] for i, word in enumerate(WORDS)}
    return {word: None if x is None else np.asarray(x, float).tolist() for word, x in found.items()}


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    expected = {}
    for name, embeddings in models().items():
        embeddings.write(OUT / f"{name}.fifu")
        expected[name] = vectors(embeddings)
    (OUT / "vectors.json").write_text(json.dumps(expected, ensure_ascii=False), encoding="utf-8")
    hashes = {
        f"{exponent} {shortest} {longest}": {
            word: FinalfusionHashIndexer(exponent, shortest, longest).subword_indices(word) for word in WORDS + UNSEEN
        }
        for exponent, shortest, longest in ((21, 3, 6), (30, 1, 2), (1, 2, 9))
    }
    (OUT / "hashes.json").write_text(json.dumps(hashes, ensure_ascii=False), encoding="utf-8")
