"""Phrase vectors of a few megabytes: how close to a teacher's they come, beside other small models.

    python benchmarks/phrases.py TEXTS MODEL [--seeds 0 1 2] [--teacher FOLDER] [--tasks FOLDER ...] [--keep FOLDER]

TEXTS is a folder with train.txt, valid.txt and test.txt, a text a line, and the teacher's vectors of each as .npy;
MODEL a model of word vectors. With the teacher itself, a folder of sentence-transformers, the table has it and small
models of other packages besides: model2vec, which sees no texts, and StaticEmbedding, trained on the same texts. Tasks
are folders with train.csv and test.csv.

Nothing is trained on test texts or chosen by them. *Spearman* is that of the cosines between test texts with the
teacher's; *overlap* the share of the 10 nearest texts that are the teacher's; *misspelt* is Spearman where one letter
in ten of the test texts was changed, to the teacher's vectors of the texts as they were; *macro-F1* that of logistic
regression on the vectors, its strength chosen on validation texts.
"""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from common import Options, middle, print_table, print_versions, remembered, run_job, run_script

N_TEST = 2_000
N_WORDS, N_NGRAMS, N_CODES = 14_000, 25_500, 50  # of the compressed model
EPOCHS, BATCH = {"bag": 6, "transformer": 20}, 128
RATES = {"bag": 4e-2, "transformer": 4e-3}  # compared on validation texts
DIMS = (36, 52)  # of models of the teacher's tokens in int8, for files as large as ours
STATIC_EPOCHS, STATIC_RATES = 8, (1e-2, 3e-2, 1e-1)
N_LABELLED, STRENGTHS = 6_000, (0.01, 0.1, 1.0)
N_TIMED = 20


def tables(
    texts: Path | None, model: str | None, seeds: list[int], teacher: Path | None, tasks: list[Path], keep: Path | None
) -> None:
    if texts is None or model is None:
        print("\nLeft out: give a folder of texts with a teacher's vectors, and a model of word vectors.")
        return
    print_versions("torch", "numpy")
    jobs = {"ours": {"texts": str(texts), "model": model, "tasks": [*map(str, tasks)]}}
    if teacher is not None:
        jobs |= {"theirs": {**jobs["ours"], "teacher": str(teacher)}}
    runs = {
        (job, seed): remembered(
            keep and keep / f"phrases-{texts.name}-{job}-{seed}.json", partial(run_job, job, 1, **given, seed=seed)
        )
        for seed in seeds
        for job, given in jobs.items()
    }
    rows = []
    for of_seeds in [of for job in jobs for of in zip(*(runs[job, seed] for seed in seeds), strict=True)]:
        numbers = [middle([run[key] for run in of_seeds], "{:.3f}") for key in ("spearman", "overlap", "misspelt")]
        speeds = [middle([run[key] for run in of_seeds], "{:,.0f}") for key in ("batch 1", "batch 256")]
        scores = [middle([run[task.name] for run in of_seeds], "{:.3f}") for task in tasks]
        rows.append([of_seeds[0]["name"], middle([run["bytes"] / 1e6 for run in of_seeds]), *numbers, *speeds, *scores])
    names = [f"macro-F1, {task.name}" for task in tasks]
    header = ("", "MB", "Spearman", "overlap@10", "misspelt", "texts/s, batch 1", "batch 256", *names)
    print_table(f"P. {texts.name}", header, rows, [f"{len(seeds)} seeds; one thread; bytes with all that is needed."])


# -- jobs ---------------------------------------------------------------------------------


def ours(texts: str, model: str, tasks: list[str], seed: int) -> list[dict]:
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
            rows.append(measured(f"{weighting} of {name} vectors", texts_of.transform, v.file_bytes, task, tasks))
    last = wb.Chain([networks.Each(codes, on="embeddings"), networks.Each(wb.SQ("int8"), on="layers")])
    mapped = last.fit_transform(task.mapped(networks.bag(small)))
    rows.append(measured("mean, mapped in closed form", mapped.embed, mapped.file_bytes, task, tasks))
    for name, net in {"bag": networks.bag(small), "transformer": networks.transformer(small, n_layers=1)}.items():
        n_steps = EPOCHS[name] * len(task.train) // BATCH
        train = networks.Train(task, n_steps, batch_size=BATCH, learning_rate=RATES[name], random_state=seed)
        trained = wb.Chain([train, *last.steps]).fit_transform(net)
        print(train.curves_, file=sys.stderr)
        rows.append(measured(f"{name}, trained", trained.embed, trained.file_bytes, task, tasks))
    return rows


def theirs(texts: str, model: str, tasks: list[str], teacher: str, seed: int) -> list[dict]:
    """Job: models of other packages, compress-fasttext's of the same word vectors, and the teacher."""
    import compress_fasttext
    from compress_fasttext.feature_extraction import FastTextTransformer
    from model2vec.distill import distill
    from sentence_transformers import SentenceTransformer

    import workbench as wb

    task, rows = teacher_of(texts), list[dict]()
    words = compress_fasttext.prune_ft_freq(wb.load(model).to_gensim(ngrams=True), N_WORDS, N_NGRAMS, qdim=N_CODES)
    means = FastTextTransformer(words, tokenizer=lambda text: text.lower().split() or [""])
    rows.append(measured("mean, compress-fasttext", means.transform, saved(words.save), task, tasks))
    for dims in DIMS:
        static = distill(teacher, pca_dims=dims, quantize_to="int8", device="cpu")
        rows.append(measured(f"model2vec, {dims} numbers", static.encode, saved(static.save_pretrained), task, tasks))
    for dims in DIMS:
        static = distill(teacher, pca_dims=dims, quantize_to="float32", device="cpu")
        embed, size = static_embedding(static, task, seed)
        rows.append(measured(f"StaticEmbedding, {dims} numbers", embed, size, task, tasks))
    whole = SentenceTransformer(teacher, device="cpu")
    rows.append(measured("the teacher", partial(whole.encode, show_progress_bar=False), saved(whole.save), task, tasks))
    return rows


def static_embedding(start: Any, task: Any, seed: int) -> tuple[Any, int]:
    """Return what embeds by a StaticEmbedding in int8, trained from model2vec's vectors with our loss, and its bytes.

    The teacher's vectors are cut to as many principal components; rate and epoch are the best on validation texts.
    """
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    from workbench.networks.phrases import likeness
    from workbench.vectors import unit

    axes = np.linalg.svd(unit(task.train.vectors), full_matrices=False)[2][: start.dim].T  # (teacher's, dim)
    target = torch.from_numpy(unit(unit(task.train.vectors) @ axes))
    best, kept = -1.0, start.embedding
    for rate in STATIC_RATES:
        torch.manual_seed(seed)
        module = StaticEmbedding(start.tokenizer, embedding_weights=start.embedding.astype(np.float32))
        net, optimizer = (
            SentenceTransformer(modules=[module], device="cpu"),
            torch.optim.Adam(module.parameters(), rate),
        )
        for _ in range(STATIC_EPOCHS):
            for places in torch.randperm(len(target)).split(BATCH):
                vectors = module(net.preprocess([task.train.texts[i] for i in places]))["sentence_embedding"]
                own, right = torch.nn.functional.normalize(vectors), target[places]
                loss = 1 - (own * right).sum(1).mean() + torch.nn.functional.mse_loss(own @ own.T, right @ right.T)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            score = likeness(net.encode(list(task.valid.texts)), task.valid.vectors)
            print(start.dim, rate, score, file=sys.stderr)
            if score > best:
                best, kept = score, module.embedding.weight.detach().numpy().copy()
    scale = np.abs(kept).max() / 127
    codes = np.round(kept / scale).astype(np.int8)
    module = StaticEmbedding(start.tokenizer, embedding_weights=codes.astype(np.float32) * scale)
    net = SentenceTransformer(modules=[module], device="cpu")
    return partial(net.encode, show_progress_bar=False), codes.nbytes + len(start.tokenizer.to_str().encode())


def saved(save: Any) -> int:
    """Return the bytes of what `save` writes at a path: a file, or of a folder the weights and the tokenizer."""
    with tempfile.TemporaryDirectory() as folder:
        save(str(path := Path(folder, "model")))
        parts = [path] if path.is_file() else [path / "model.safetensors", path / "tokenizer.json"]
        return sum(part.stat().st_size for part in parts)


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


def measured(name: str, embed: Any, size: int, task: Any, tasks: list[str]) -> dict:
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
    row |= {Path(folder).name: labelled(embed, folder) for folder in tasks}
    print(row, file=sys.stderr)
    return row


def labelled(embed: Any, folder: str) -> float:
    """Return the macro-F1 of logistic regression on the vectors of a task."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from workbench.networks import load_task

    task = load_task(folder)
    parts = [task.train.sample(N_LABELLED, 0), task.valid, task.test]
    train, valid, test = ((np.asarray(embed(list(part.texts))), part.labels) for part in parts)

    def score(judge: Any, part: Any) -> float:
        return float(f1_score(part[1], judge.predict(part[0]), average="macro"))

    judges = [LogisticRegression(C=strength, tol=1e-2, max_iter=300) for strength in STRENGTHS]
    fitted = [make_pipeline(StandardScaler(), judge).fit(*train) for judge in judges]
    return score(max(fitted, key=lambda judge: score(judge, valid)), test)


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
        "--teacher": {"type": Path, "help": "its folder, to make small models of it by other packages"},
        "--tasks": {"type": Path, "nargs": "+", "default": [], "help": "folders of labelled texts"},
        "--keep": {"type": Path, "help": "where results stay"},
    }
    run_script(tables, [ours, theirs], options)
