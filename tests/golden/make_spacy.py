"""Makes tests/golden/spacy with spaCy 3.8: small vocabularies, and what spaCy says of their words.

Run it where spaCy is installed: ``python tests/golden/make_spacy.py``.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from spacy.vectors import Vectors
from spacy.vocab import Vocab

FOLDER = Path(__file__).parent / "spacy"
WORDS = ["apple", "New York", "a\nb", " ", "żółw", "😀", "mark", "NOUN", "", "a word of more than sixteen bytes"]
DIM = 4


def vocabulary() -> Vocab:
    vocab, rng = Vocab(), np.random.default_rng(0)
    for word in WORDS:
        vocab.set_vector(word, rng.normal(size=DIM).astype(np.float32))
    return vocab


def nearest(vocab: Vocab, word: str) -> list[str]:
    """All words, by the cosine of their vectors to that of `word`."""
    query = vocab.get_vector(word)[None].copy()
    keys, _, _ = vocab.vectors.most_similar(query, n=len(WORDS))
    return [vocab.strings[int(key)] for key in keys[0]]


def about(vocab: Vocab) -> dict:
    rows = {vocab.strings[key]: int(row) for key, row in vocab.vectors.key2row.items()}
    return {"rows": rows, "vectors": {word: vocab.vectors[word].tolist() for word in rows}}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    whole, pruned, halves = vocabulary(), vocabulary(), vocabulary()
    pruned.prune_vectors(5)
    halves.vectors.data = halves.vectors.data.astype(np.float16)
    expected = {"whole": about(whole) | {"nearest": nearest(whole, "apple")}}
    whole.to_disk(FOLDER / "whole")
    for name, vocab in (("pruned", pruned), ("halves", halves)):
        expected[name] = about(vocab)
        (FOLDER / name).mkdir()
        vocab.to_disk(FOLDER / name / "vocab")  # as in a pipeline
    floret = Vocab()
    floret.vectors = Vectors(
        strings=floret.strings, data=np.ones((3, DIM), np.float32), mode="floret", minn=2, maxn=3, hash_count=2
    )
    floret.to_disk(FOLDER / "floret")
    for file in FOLDER.rglob("lookups.bin"):  # tables of norms and the like, empty here
        file.unlink()
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
