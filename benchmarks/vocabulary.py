"""Another vocabulary for a BERT: rows for new tokens by several methods, and fewer tokens.

    python benchmarks/vocabulary.py FOLDER TASK [TASK ...] [--seeds 0 1 2] [--parts hidden ...] [--keep FOLDER]
        [--taught TEXTS --vectors ENGLISH RUSSIAN]

FOLDER is that of a BERT, as `workbench.networks.load` takes it; TASK a folder with train.csv, valid.csv and test.csv.
*Cosine* is the mean between the vectors of test texts and those of the network as it was; *nearest* the share of test
texts whose nearest other text is the same as then. Test texts are seen by no method, and chose no parameter.

hidden: half of the whole words among the tokens that the word vectors know, drawn by the seed, are taken out of the
network, and put back. What is distilled imitates the network without them.
other: the network gets a byte-level BPE tokenizer, trained on the training texts. What is distilled imitates the
network with its own.
smaller: the tokens that the training texts of each task use most; accuracy of logistic regression on the vectors.
language: an English network gets a tokenizer of Russian and learns from a teacher (TEXTS as for `phrases.py`).
Its rows begin by several methods; *weighted* is by two models of word vectors, aligned with `en_ru.tsv`. Spearman's
correlation of cosines with the teacher's, on validation texts after so many steps, and on test texts at the end.
"""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from align import PAIRS
from common import Options, middle, print_table, print_versions, remembered, run_job, run_script
from phrases import teacher_of

N_TEST = 600  # texts, alike of each task
N_TRAIN, N_JUDGED = 2_000, 1_000  # labelled texts of a task for logistic regression, and test texts
N_BPE = 8_000  # tokens
SIZES = (16_000, 8_000, 4_000)
VECTORS = "builtin:en"
COMPRESSION = "Chain([Prune(n_words=4000, n_ngrams=8000), Refit(), PQ(n_subvectors=50)])"
PARTS = ("hidden", "other", "smaller", "language")
N_STEPS, RATE = 120, 3e-4  # of learning Russian


def tables(
    model: Path | None,
    tasks: list[Path],
    seeds: list[int],
    parts: list[str],
    taught: Path | None,
    vectors: list[Path],
    keep: Path | None,
) -> None:
    if model is None or not (tasks or taught):
        print("\nLeft out: give the folder of a BERT and folders of tasks, with train.csv, valid.csv and test.csv.")
        return
    print_versions("torch", "tokenizers", "numpy")
    of_tasks = {"model": str(model), "tasks": [str(task) for task in tasks]}
    of_language = {"model": str(model), "taught": str(taught), "vectors": [str(of) for of in vectors]}
    for part in parts:
        if part == "language" and (taught is None or len(vectors) != 2):
            print("\nLeft out: language; give --taught and --vectors.")
            continue
        given = of_language if part == "language" else of_tasks
        runs = [
            remembered(keep and keep / f"vocabulary-{part}-{seed}.json", partial(run_job, part, 1, **given, seed=seed))
            for seed in (seeds[:1] if part == "smaller" else seeds)
        ]
        columns = [name for name in runs[0][0] if name != "rows"]
        rows = [
            [of_seeds[0]["rows"], *(middle([run[name] for run in of_seeds], "{:.3f}") for name in columns)]
            for of_seeds in zip(*runs, strict=True)
        ]
        print_table(f"V. {part}", ("", *columns), rows, [f"{len(runs)} seeds."])


# -- jobs ---------------------------------------------------------------------------------


def hidden(model: str, tasks: list[str], seed: int) -> list[dict]:
    """Job: words taken out of the network and put back."""
    import numpy as np

    import workbench as wb
    from workbench.networks import Transplant, cut_tokenizer, load
    from workbench.networks.pieces import pieces

    net, vectors = load(model), wb.load(VECTORS)
    known = [token for token, piece in pieces(net.tokenizer).items() if piece.kind == "start" and piece.text in vectors]
    known = [token for token in known if len(token) > 1]
    out = {known[i] for i in np.random.default_rng(seed).permutation(len(known))[: len(known) // 2]}
    fewer = cut_tokenizer(net.tokenizer, net.tokenizer.vocab.keys() - out)
    without = Transplant(fewer).fit_transform(net)
    row = measured("without them", without, net, tasks)
    return [row, *by_methods(without, net, net.tokenizer, tasks, seed)]


def other(model: str, tasks: list[str], seed: int) -> list[dict]:
    """Job: a tokenizer of another kind."""
    from workbench.networks import load

    net = load(model)
    return [*by_methods(net, net, trained_tokenizer(train_texts(tasks)), tasks, seed)]


def language(model: str, taught: str, vectors: list[str], seed: int) -> list[dict]:
    """Job: an English network that learns Russian, from rows by several methods."""
    import workbench as wb
    from workbench.networks import Train, Transplant, load
    from workbench.networks.phrases import likeness

    net, task, rows = load(model), teacher_of(taught), []
    english, russian = map(wb.load, vectors)
    pairs = [line.split("\t") for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    aligned = wb.align(english, russian, pairs, random_state=seed).vectors
    tokenizer = trained_tokenizer(task.train.texts)
    for method in ("random", "pieces", "weighted"):
        step = Transplant(tokenizer, (english, aligned), method, random_state=seed)
        train = Train(task, N_STEPS, learning_rate=RATE, random_state=seed)
        learned = train.fit_transform(step.fit_transform(net))
        row = {"rows": method, **{f"{look['step']} steps": look["score"] for look in train.curves_}}
        rows.append(row | {"test": likeness(learned.embed(task.test.texts), task.test.vectors)})
        print(step.tokens_.to_dict("records"), rows[-1], file=sys.stderr)
    return rows


def trained_tokenizer(texts: Any) -> Any:
    """Return a byte-level BPE tokenizer, trained on texts."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    from workbench.networks import PieceTokenizer

    fast = Tokenizer(models.BPE())
    fast.normalizer = normalizers.Lowercase()
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    special, alphabet = ["[CLS]", "[SEP]"], pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=N_BPE, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    fast.train_from_iterator(texts, trainer)
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, i) for i, token in enumerate(special)]
    )
    return PieceTokenizer(fast.to_str())


def by_methods(net: Any, original: Any, tokenizer: Any, tasks: list[str], seed: int) -> Iterator[dict]:
    """Yield a row for each way to make rows of new tokens."""
    import workbench as wb
    from workbench.networks import Transplant

    vectors = wb.load(VECTORS)
    small = wb.Chain([seeded(step, seed) for step in wb.recipe_from(COMPRESSION).steps]).fit_transform(vectors)
    texts = train_texts(tasks)
    step = partial(Transplant, tokenizer, random_state=seed)
    steps = {
        "random": step(method="random"),
        "pieces": step(method="pieces"),
        f"weighted, {vectors.file_bytes / 1e6:.2f} MB": step(vectors),
        f"weighted, {small.file_bytes / 1e6:.2f} MB": step(small),
        "distilled": step(vectors, "distilled", texts=texts),
    }
    for name, of in steps.items():
        yield measured(name, of.fit_transform(net), original, tasks)
        print(of.tokens_.to_dict("records"), of.curve_, file=sys.stderr)


def smaller(model: str, tasks: list[str], seed: int) -> list[dict]:
    """Job: fewer tokens."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    from workbench.networks import Transplant, load, load_task
    from workbench.vectors import unit

    net, rows = load(model), []
    for task in map(load_task, tasks):
        train, test = task.train.sample(N_TRAIN, seed), task.test.sample(N_JUDGED, seed)
        before = net.embed(test.texts)
        for n in (None, *SIZES):
            cut = net if n is None else Transplant(vocabulary=n, texts=task).fit_transform(net)
            after = cut.embed(test.texts)
            judge = LogisticRegression(C=10, max_iter=1_000).fit(unit(cut.embed(train.texts)), train.labels)
            row = {"rows": f"{Path(task.name).name}, {n or len(net.tokenizer.vocab):,} tokens"}
            row |= {"MB": cut.file_bytes / 1e6, "cosine": float((unit(before) * unit(after)).sum(1).mean())}
            row["accuracy"] = float(np.mean(judge.predict(unit(after)) == test.labels))
            rows.append(row)
            print(row, file=sys.stderr)
    return rows


def seeded(step: Any, seed: int) -> Any:
    """Return a step with this seed, if it has one."""
    return step.set_params(random_state=seed) if "random_state" in step.get_params() else step


def train_texts(tasks: list[str]) -> list[str]:
    """Return the training texts of all tasks."""
    from workbench.networks import load_task

    return [text for task in tasks for text in load_task(task).train.texts]


def measured(name: str, net: Any, original: Any, tasks: list[str]) -> dict:
    """Return a row: how near the vectors of test texts are to the original's."""
    from workbench.networks import load_task
    from workbench.networks.measures import outcome, shared_neighbours
    from workbench.vectors import unit

    texts = tuple(text for task in tasks for text in load_task(task).test.sample(N_TEST // len(tasks), 0).texts)
    before, after = outcome(original, texts).vectors, net.embed(texts)
    found = net.tokenizer.encode(texts)
    row = {"rows": name, "cosine": float((unit(before) * unit(after)).sum(1).mean())}
    row["nearest"] = float(shared_neighbours(before, after, 1).mean())
    row["tokens a text"] = sum(len(of.ids) for of in found) / len(found)
    print(row, file=sys.stderr)
    return row


if __name__ == "__main__":
    options: Options = {
        "model": {"type": Path, "nargs": "?", "metavar": "FOLDER", "help": "of a BERT"},
        "tasks": {"type": Path, "nargs": "*", "metavar": "TASK", "help": "folder of texts"},
        "--seeds": {"type": int, "nargs": "+", "default": [0, 1, 2]},
        "--parts": {"nargs": "+", "default": list(PARTS), "choices": PARTS},
        "--taught": {"type": Path, "metavar": "TEXTS", "help": "with a teacher's vectors"},
        "--vectors": {"type": Path, "nargs": 2, "default": [], "metavar": ("ENGLISH", "RUSSIAN")},
        "--keep": {"type": Path, "help": "where results stay"},
    }
    run_script(tables, [hidden, other, smaller, language], options)
