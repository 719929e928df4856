"""Makes the files in ``ftz/``: models that the official fastText (0.9.3) trained and quantised, and its vectors.

Run with a Python that has the `fasttext` package, under Linux:
``MALLOC_PERTURB_=255 python tests/golden/make_ftz.py``. The variable clears memory, which 0.9.3
forgets, so that it mostly fails on NaN. The tests read what was made, so they need no such Python.
"""

import json
import random
import tempfile
from pathlib import Path

import fasttext

HERE = Path(__file__).parent / "ftz"
UNSEEN = ["unseen", "баба", "zzzz", "a", "wordwords", "кошка", "<>"]
# name: what the model is trained with, and how it is quantised
MODELS = {
    "plain": ({"minn": 2, "maxn": 3, "dim": 4}, {"dsub": 2}),
    "lengths": ({"minn": 2, "maxn": 4, "dim": 5}, {"dsub": 3, "qnorm": True}),  # the last code has two columns
    "cut": ({"minn": 2, "maxn": 3, "dim": 4}, {"dsub": 2, "qnorm": True, "cutoff": 280}),
    "retrained": ({"minn": 3, "maxn": 3, "dim": 3}, {"dsub": 2, "cutoff": 300, "retrain": True}),
    "words_only": ({"minn": 0, "maxn": 0, "dim": 4, "wordNgrams": 2}, {"dsub": 2, "qnorm": True, "cutoff": 270}),
}


def write_text(path: Path) -> None:
    """Lines of made-up words, each with one of two labels."""
    rng = random.Random(0)
    syllables = [c + v for c in "bdkmst" for v in "aiu"] + ["же", "ла"]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 3))) for _ in range(60)]
    lines = (f"__label__{rng.choice('ab')} " + " ".join(rng.choices(words, k=8)) for _ in range(200))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text"
        write_text(text)
        for name, (training, quantising) in MODELS.items():
            settings = {"bucket": 400, "epoch": 2, "minCount": 1, "thread": 1, "seed": 1, "verbose": 0, **training}
            model = fasttext.train_supervised(str(text), **settings)
            model.quantize(str(text), thread=1, verbose=0, epoch=1, **quantising)
            model.save_model(str(HERE / f"{name}.ftz"))
            seen = model.get_words()
            vectors = {word: model.get_word_vector(word).tolist() for word in [*seen, *UNSEEN]}
            about = {"seen": seen, "vectors": vectors}
            (HERE / f"{name}.json").write_text(json.dumps(about, ensure_ascii=False, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main()
