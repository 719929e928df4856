"""Makes the files in ``compress_fasttext/``: a small model that compress-fasttext 0.1.5 compressed, and its vectors.

Run with a Python that has the `compress_fasttext` package: ``python tests/golden/make_compress_fasttext.py``. The
tests read what was made, so they need no such Python.
"""

import json
import random
from pathlib import Path

import compress_fasttext as cft
from gensim.models import FastText

HERE = Path(__file__).parent / "compress_fasttext"
UNSEEN = ["unseen", "баба", "dadimu", "ladadi"]


def main() -> None:
    HERE.mkdir(exist_ok=True)
    rng = random.Random(0)
    syllables = [c + v for c in "bdkmst" for v in "aiu"] + ["же", "ла"]
    words = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(60)]
    lines = [rng.choices(words, weights=range(60, 0, -1), k=8) for _ in range(200)]
    big = FastText(lines, vector_size=6, min_count=1, bucket=300, min_n=2, max_n=4, seed=1, workers=1, epochs=2).wv
    models = {
        "codes": cft.quantize_ft(big, qdim=3, centroids=16),
        "low_rank": cft.svd_ft(big, n_components=3),
        "rehashed": cft.prune_ft(big, new_vocab_size=20, new_ngrams_size=70),
        "pruned": cft.prune_ft_freq(big, new_vocab_size=20, new_ngrams_size=90, qdim=3, centroids=16),
    }
    for name, model in models.items():
        model.save(str(HERE / f"{name}.bin"))
        seen = {word: model[word].astype(float).tolist() for word in model.key_to_index}
        unseen = {word: model[word].astype(float).tolist() for word in UNSEEN}
        about = {"seen": seen, "unseen": unseen}
        (HERE / f"{name}.json").write_text(json.dumps(about, ensure_ascii=False, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main()
