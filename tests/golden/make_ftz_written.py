"""Makes ``ftz_written.json``: what the official fastText library says of ``.ftz`` files that the workbench wrote.

Run with a Python that has the workbench and the library (0.9.2 of fasttext-numpy2-wheel here), from the root:
``PYTHONPATH=. python tests/golden/make_ftz_written.py``. The tests write the same files again, and need no library.
"""

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np

import workbench as wb
from workbench.storage import Coded, Normed, Stacked, Storage
from workbench.subwords import Subwords
from workbench.vocab import Vocab

HERE = Path(__file__).parent
WORDS = ["</s>", "cat", "cats", "кошка", "a", "ёж", "mother", "x\u00a0y"]
UNSEEN = ["catnap", "кошки", "smother", "b", "", "zzzz", "<>", "ot"]


def codes(rng: np.random.Generator, n_rows: list[int], dim: int, width: int) -> list[Storage]:
    """Codes of the same codebooks for each number of rows; of whole numbers, so that no processor rounds."""
    starts = np.arange(0, dim, width)
    spans = np.stack([starts, np.minimum(starts + width, dim)], axis=1).astype(np.int32)
    books = rng.integers(-64, 64, (256, dim)).astype(np.float32) / 64
    return [Coded(rng.integers(0, 256, (n, len(spans)), np.uint8), books, spans, dim, 8) for n in n_rows]


def models() -> dict[str, wb.Vectors]:
    """Models whose codes are as in the file: only these give the same bytes on every processor."""
    rng = np.random.default_rng(0)
    counts = np.arange(len(WORDS), 0, -1)
    pruned = np.full(40, -1, np.int32)
    pruned[rng.permutation(40)[:24]] = np.arange(24)
    kinds = {  # n-grams, how many rows they have, dimensions, numbers a code, whether lengths are apart
        "pruned": (Subwords(2, 4, 40, pruned, raw=True), 24, 5, 2, True),
        "whole": (Subwords(3, 6, 30, raw=True), 30, 4, 2, False),
        "folded": (Subwords(1, 3, 16, folded=(50,), raw=True), 16, 6, 3, True),
        "shared": (Subwords(2, 3, 20, np.arange(20, dtype=np.int32) // 3, raw=True), 7, 3, 1, False),
        "words": (None, 0, 4, 2, True),
    }
    made = {}
    for name, (subwords, n_ngrams, dim, width, has_lengths) in kinds.items():
        n_rows = [len(WORDS)] + [n_ngrams] * (n_ngrams > 0)
        parts = codes(rng, n_rows, dim, width)
        parts = list(map(Normed, parts, codes(rng, n_rows, 1, 1))) if has_lengths else parts
        storage = Stacked(*parts) if subwords else parts[0]
        made[name] = wb.Vectors(Vocab(WORDS, counts=counts, subwords=subwords), storage)
    return made


def main() -> None:
    import fasttext

    said = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, v in models().items():
            path = wb.export(v, Path(folder, f"{name}.ftz"))
            official = fasttext.load_model(str(path))
            assert official.get_words() == WORDS
            vectors = {word: official.get_word_vector(word).tolist() for word in [*WORDS, *UNSEEN]}
            said[name] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "vectors": vectors}
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":")).replace("]", "]\n")
    (HERE / "ftz_written.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
