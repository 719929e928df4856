"""Labels without training: accuracy by the names of labels and "none of these", before and after compression.

    python benchmarks/zero_shot.py BERT SENTENCES [--seeds 0 1 2] [--keep FOLDER]

BERT is a folder of a BERT for sentences; SENTENCES one with CLINC150's data_full.json and with stsa.binary.dev and
stsa.binary.test of SST-2. How labels are described is chosen by accuracy on validation texts, for each model anew, and
so is the threshold below which a text has none of the labels: by the mean of the shares of questions that are right
among those with a label and among those without one. *AUROC* is how well a number tells these two kinds apart.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from common import Options, middle, print_table, print_versions, remembered, run_job, run_script

VARIANTS = ("BERT", "BERT, PQ and 4 bits", "BERT, PQ and 3 bits", "built-in vectors", "built-in vectors, compressed")
N_CODES = 96  # of embeddings of a BERT
N_WORDS, N_NGRAMS, N_WORD_CODES = 12_000, 16_000, 50  # of the compressed vectors
ABOUT = (  # what may stand around the names of intents
    "{}", "this text is about {}", "a question about {}", "please help me with {}", "I want to know about {}",
)  # fmt: skip
FEELINGS: dict[str, dict[str, list[str]]] = {
    "one word": {"1": ["positive"], "0": ["negative"]},
    "one film": {"1": ["a good movie"], "0": ["a bad movie"]},
    "four words": {"1": ["wonderful", "funny", "moving", "brilliant"], "0": ["terrible", "boring", "stupid", "failed"]},
    "four reviews": {
        "1": ["this movie is great", "a wonderful and touching film", "very funny, I loved it", "excellent actors"],
        "0": ["this movie is bad", "a boring and stupid film", "very dull, I hated it", "a waste of time"],
    },
}
NUMBERS = {  # columns of the tables
    "A. Labels by their descriptions": {"intents": "{:.3f}", "feelings": "{:.3f}", "texts a second": "{:,.0f}"},
    "B. None of these": dict.fromkeys(
        ("AUROC of score", "AUROC of margin", "right of known", "right of others"), "{:.3f}"
    ),
}


def tables(bert: Path | None, sentences: Path | None, seeds: list[int], keep: Path | None) -> None:
    if bert is None or sentences is None:
        print("\nLeft out: give a folder of a BERT and one of sentences.")
        return
    print_versions("torch", "numpy")
    runs: dict[str, list[dict]] = {}
    for variant in VARIANTS:
        for seed in seeds if "," in variant else seeds[:1]:  # nothing is drawn where nothing is compressed
            job = partial(run_job, "measured", 1, bert=str(bert), sentences=str(sentences), variant=variant, seed=seed)
            file = keep and keep / f"zero-shot-{VARIANTS.index(variant)}-{seed}.json"
            runs.setdefault(variant, []).append(remembered(file, job))
    for title, forms in NUMBERS.items():
        rows = []
        for variant, of_seeds in runs.items():
            numbers = [middle([run[key] for run in of_seeds], form) for key, form in forms.items()]
            rows.append([variant, middle([run["bytes"] / 1e6 for run in of_seeds]), *numbers])
        print_table(title, ("", "MB", *forms), rows, [f"{len(seeds)} seeds of what is compressed; one thread."])
    chosen = [[variant, *of_seeds[0]["chosen"]] for variant, of_seeds in runs.items()]
    print_table("C. Chosen on validation texts, first seed", ("", "intents", "feelings", "threshold"), chosen)


# -- jobs ---------------------------------------------------------------------------------


def measured(bert: str, sentences: str, variant: str, seed: int) -> dict:
    """Job: one model on both tasks."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    from workbench.networks import classify

    intents = json.loads(Path(sentences, "data_full.json").read_text(encoding="utf-8"))
    texts = {part: [text for text, _ in pairs] for part, pairs in intents.items()}
    truth = {part: np.array([label for _, label in pairs]) for part, pairs in intents.items()}
    n_bytes, embed = model_of(variant, bert, texts["val"], seed)
    start = time.perf_counter()
    embed(texts["test"])
    n_a_second = len(texts["test"]) / (time.perf_counter() - start)
    model = Remembering(embed)
    names = {label: label.replace("_", " ") for label in sorted({*truth["val"]})}

    def found(part: str, about: str) -> Any:
        return classify(model, texts[part], names, about=about)

    def share(part: str, about: str) -> float:
        return float((found(part, about)["label"] == truth[part]).mean())

    about = max(ABOUT, key=lambda each: share("val", each))
    feelings = {part: reviews(Path(sentences, f"stsa.binary.{part}")) for part in ("dev", "test")}

    def share_of_feelings(part: str, how: str) -> float:
        reviewed, feeling = feelings[part]
        return float((classify(model, reviewed, FEELINGS[how])["label"] == feeling).mean())

    how = max(FEELINGS, key=lambda each: share_of_feelings("dev", each))

    def right(part: str, other: str, threshold: float) -> tuple[float, float]:
        known, others = found(part, about), found(other, about)
        is_right = (known["label"] == truth[part]) & (known["score"] >= threshold)
        return float(is_right.mean()), float((others["score"] < threshold).mean())

    limits = np.quantile(found("val", about)["score"], np.arange(0, 1, 0.01))
    threshold = float(max(limits, key=lambda limit: sum(right("val", "oos_val", limit))))
    known, others = found("test", about), found("oos_test", about)
    is_known = np.repeat([True, False], [len(known), len(others)])
    of_known, of_others = right("test", "oos_test", threshold)
    row = {
        "bytes": n_bytes,
        "intents": share("test", about),
        "feelings": share_of_feelings("test", how),
        "texts a second": n_a_second,
        "right of known": of_known,
        "right of others": of_others,
        "chosen": [about, how, f"{threshold:.3f}"],
        "on validation": [share("val", about), share_of_feelings("dev", how)],
    }
    for number in ("score", "margin"):
        row[f"AUROC of {number}"] = float(roc_auc_score(is_known, np.concatenate([known[number], others[number]])))
    print(row, file=sys.stderr)
    return row


def model_of(variant: str, bert: str, texts: list[str], seed: int) -> tuple[int, Any]:
    """Return the bytes of a model and what embeds texts by it; `texts` are for the weights of words."""
    import workbench as wb
    from workbench import networks
    from workbench.networks import Each

    if variant.startswith("BERT"):
        net = networks.load(bert)
        if n_bits := {VARIANTS[1]: 4, VARIANTS[2]: 3}.get(variant):
            codes = Each(wb.PQ(N_CODES, random_state=seed), on="embeddings")
            fewer = Each(wb.SQ("kmeans", n_bits=n_bits), on="layers", width=16)
            net = wb.Chain([codes, fewer]).fit_transform(net)
        return net.file_bytes, net.embed
    v = wb.load("builtin:en")
    if variant == VARIANTS[-1]:
        steps = [wb.Prune(n_words=N_WORDS, n_ngrams=N_NGRAMS), wb.Refit(random_state=seed)]
        v = wb.Chain([*steps, wb.PQ(N_WORD_CODES, random_state=seed)]).fit_transform(v)
    return v.file_bytes, wb.TextVectors(v, "sif").fit(texts).transform


class Remembering:
    """A model that embeds each text once."""

    def __init__(self, embed: Any):
        self.new, self.vectors = embed, dict[str, Any]()

    def embed(self, texts: list[str]) -> Any:
        import numpy as np

        new = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        self.vectors |= zip(new, self.new(new), strict=True)
        return np.array([self.vectors[text] for text in texts])


def reviews(file: Path) -> tuple[list[str], Any]:
    """Return sentences and their labels."""
    import numpy as np

    pairs = [line.split(" ", 1) for line in file.read_text(encoding="utf-8").splitlines()]
    return [text for _, text in pairs], np.array([label for label, _ in pairs])


if __name__ == "__main__":
    options: Options = {
        "bert": {"type": Path, "nargs": "?", "metavar": "BERT", "help": "folder of a BERT for sentences"},
        "sentences": {"type": Path, "nargs": "?", "metavar": "SENTENCES", "help": "folder of CLINC150 and SST-2"},
        "--seeds": {"type": int, "nargs": "+", "default": [0, 1, 2]},
        "--keep": {"type": Path, "help": "where results stay"},
    }
    run_script(tables, [measured], options)
