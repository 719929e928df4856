"""Phrase vectors of a few megabytes: how close to a teacher's they come, beside other small models.

    python benchmarks/phrases.py TEXTS MODEL [--seeds 0 1 2] [--peers FOLDER=MB ...] [--keep FOLDER]

TEXTS is a folder with train.txt, valid.txt and test.txt, a text a line, and the teacher's vectors of each as .npy;
MODEL a model of word vectors. Peers are folders of model2vec or sentence-transformers, and what their files take.
Nothing is trained on test texts or chosen by them. *Spearman* is that of the cosines between test texts with the
teacher's; *overlap* the share of the 10 nearest texts that are the teacher's; *misspelt* is Spearman where one letter
in ten of the test texts was changed, to the teacher's vectors of the texts as they were.
"""

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from common import Options, middle, print_table, print_versions, remembered, run_job, run_script

N_TEST = 2_000
N_WORDS, N_NGRAMS, N_CODES = 14_000, 25_500, 50  # of the compressed model
EPOCHS, BATCH = {"bag": 6, "transformer": 20}, 128
RATES = {"bag": 4e-2, "transformer": 4e-3}  # compared on validation texts
N_TIMED = 20


def tables(texts: Path | None, model: str | None, seeds: list[int], peers: list[str], keep: Path | None) -> None:
    if texts is None or model is None:
        print("\nLeft out: give a folder of texts with a teacher's vectors, and a model of word vectors.")
        return
    print_versions("torch", "numpy")
    given = {"texts": str(texts), "model": model}
    runs = [
        remembered(keep and keep / f"phrases-{texts.name}-{seed}.json", partial(run_job, "ours", 1, **given, seed=seed))
        for seed in seeds
    ]
    rows, of_peers = [], run_job("theirs", 1, texts=str(texts), peers=peers) if peers else []
    for of_seeds in [*zip(*runs, strict=True), *([row] for row in of_peers)]:
        numbers = [middle([run[key] for run in of_seeds], "{:.3f}") for key in ("spearman", "overlap", "misspelt")]
        speeds = [middle([run[key] for run in of_seeds], "{:,.0f}") for key in ("batch 1", "batch 256")]
        rows.append([of_seeds[0]["name"], middle([run["bytes"] / 1e6 for run in of_seeds]), *numbers, *speeds])
    header = ("", "MB", "Spearman", "overlap@10", "misspelt", "texts/s, batch 1", "batch 256")
    print_table(f"P. {texts.name}", header, rows, [f"{len(seeds)} seeds; one thread; bytes with all that is needed."])


# -- jobs ---------------------------------------------------------------------------------


def ours(texts: str, model: str, seed: int) -> list[dict]:
    """Job: means of the whole and of the compressed model, a map in closed form, and trained heads."""
    import workbench as wb
    from workbench import networks

    task = teacher_of(texts)
    big = wb.load(model)
    codes = wb.PQ(N_CODES, random_state=seed)
    steps = [wb.Prune(n_words=N_WORDS, n_ngrams=N_NGRAMS), wb.Refit(random_state=seed), codes]
    small = wb.Chain(steps).fit_transform(big)
    rows = []
    for name, v in (("whole", big), ("compressed", small)):
        for weighting in ("mean", "sif"):
            texts_of = wb.TextVectors(v, weighting).fit(task.train.texts)
            rows.append(measured(f"{weighting} of {name} vectors", texts_of.transform, v.file_bytes, task))
    last = wb.Chain([networks.Each(codes, on="embeddings"), networks.Each(wb.SQ("int8"), on="layers")])
    mapped = last.fit_transform(task.mapped(networks.bag(small)))
    rows.append(measured("mean, mapped in closed form", mapped.embed, mapped.file_bytes, task))
    for name, net in {"bag": networks.bag(small), "transformer": networks.transformer(small, n_layers=1)}.items():
        n_steps = EPOCHS[name] * len(task.train) // BATCH
        train = networks.Train(task, n_steps, batch_size=BATCH, learning_rate=RATES[name], random_state=seed)
        trained = wb.Chain([train, *last.steps]).fit_transform(net)
        print(train.curves_, file=sys.stderr)
        rows.append(measured(f"{name}, trained", trained.embed, trained.file_bytes, task))
    return rows


def theirs(texts: str, peers: list[str]) -> list[dict]:
    """Job: models of other packages, from their folders."""
    rows, task = [], teacher_of(texts)
    for folder, _, size in (peer.rpartition("=") for peer in peers):
        if Path(folder, "config_sentence_transformers.json").exists():
            from sentence_transformers import SentenceTransformer

            encode = SentenceTransformer(folder, device="cpu").encode
        else:
            from model2vec import StaticModel

            encode = StaticModel.from_pretrained(folder).encode
        rows.append(measured(Path(folder).name, encode, int(1e6 * float(size)), task))
    return rows


def teacher_of(folder: str) -> Any:
    """Return the task of these texts and vectors."""
    import numpy as np

    from workbench.networks import Teacher
    from workbench.networks.phrases import TaughtTexts

    parts = []
    for part in ("train", "valid", "test"):
        lines = Path(folder, f"{part}.txt").read_text(encoding="utf-8").splitlines()
        parts.append(TaughtTexts(tuple(lines), np.load(Path(folder, f"{part}.npy"))))
    return Teacher(Path(folder).name, *parts)


def measured(name: str, embed: Any, size: int, task: Any) -> dict:
    """Return a row for what embeds a list of texts."""
    import numpy as np

    from workbench.networks.measures import shared_neighbours
    from workbench.networks.phrases import likeness

    test = task.test.sample(N_TEST, 0)
    texts = list(test.texts)
    rng = np.random.default_rng(0)
    vectors, wrong = (np.asarray(embed(of)) for of in (texts, [misspelt(text, rng) for text in texts]))
    row = {
        "name": name,
        "bytes": size,
        "spearman": likeness(vectors, test.vectors),
        "overlap": float(shared_neighbours(vectors, test.vectors).mean()),
        "misspelt": likeness(wrong, test.vectors),
    }
    for batch in (1, 256):
        times = []
        for start in range(N_TIMED):
            begun = time.perf_counter()
            embed(texts[start * batch % 1_000 :][:batch])
            times.append(time.perf_counter() - begun)
        row[f"batch {batch}"] = batch / float(np.median(times))
    print(row, file=sys.stderr)
    return row


def misspelt(text: str, rng: Any) -> str:
    """Return a text with one letter in ten changed to another letter of the text."""
    letters = list(text)
    places = [i for i, letter in enumerate(letters) if letter.isalpha()]
    for i in places:
        if rng.random() < 0.1:
            letters[i] = letters[places[rng.integers(len(places))]]
    return "".join(letters)


if __name__ == "__main__":
    options: Options = {
        "texts": {"type": Path, "nargs": "?", "metavar": "TEXTS", "help": "folder of texts and vectors"},
        "model": {"nargs": "?", "metavar": "MODEL", "help": "word vectors"},
        "--seeds": {"type": int, "nargs": "+", "default": [0, 1, 2]},
        "--peers": {"nargs": "+", "default": [], "help": "folders of other packages' models"},
        "--keep": {"type": Path, "help": "where results stay"},
    }
    run_script(tables, [ours, theirs], options)
