"""A small BERT made smaller: bits, layers, zeros, training after them, and other tools on the same weights.

    python benchmarks/networks.py FOLDER TASK [TASK ...] [--seeds 0 1 2] [--parts sizes peers ...] [--keep FOLDER]

FOLDER is that of a BERT, as `workbench.networks.load` takes it; TASK a folder with train.csv, valid.csv and test.csv.
For each task and seed the BERT is fine-tuned first. With --keep, the fine-tuned networks and the results stay in that
folder, and a run that was stopped goes on. Numbers are medians over the seeds, with the least and the greatest. Every
difference is to the fine-tuned network of the same seed, and *agree* is the share of test texts that get its label.
Learning rates were compared on validation texts.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from common import Options, middle, print_table, print_versions, ratios, remembered, run_job, run_script

EPOCHS = {"trec": 3, "sst2": 1, "clinc": 6}  # of fine-tuning, by the name of the folder; otherwise 3
RATE = 1e-4  # of fine-tuning
REPAIR = 2e-4  # after a step, of all weights
AWARE = 5e-4  # of weights in few bits, which move only where a change reaches the next code
N_STEPS = 60  # of training after a step
N_STUDENT = 120  # of a student
BATCH = 32
N_TIMED = 15
COLUMNS = ("accuracy", "macro_f1", "agreement")
N_EPOCHS, BAG_RATE = 4, 1e-2  # of a bag; it is looked at after each epoch
PARTS = ("sizes", "peers", "layers", "pruning", "training", "distillation", "tickets", "bags")


def tables(model: Path | None, tasks: list[Path], seeds: list[int], parts: list[str], keep: Path | None) -> None:
    if model is None or not tasks:
        print("\nLeft out: give the folder of a BERT and folders of tasks, with train.csv, valid.csv and test.csv.")
        return
    print_versions("torch", "numpy")
    with tempfile.TemporaryDirectory() as folder:
        keep = keep or Path(folder)
        keep.mkdir(parents=True, exist_ok=True)
        for part in parts:
            for task in tasks:
                given = {"model": str(model), "task": str(task), "keep": str(keep)}
                # one thread, since two can stall torch on small machines
                runs = [
                    remembered(keep / f"{part}-{task.name}-{seed}.json", partial(run_job, part, 1, **given, seed=seed))
                    for seed in seeds
                ]
                printers = {"peers": print_peers, "layers": print_layers, "bags": print_bags}
                printers.get(part, print_runs)(part, task.name, runs)


def print_runs(part: str, task: str, runs: list[list[dict]]) -> None:
    """Print one row for each variant: size, accuracy, macro-F1, agreement, over the seeds."""
    rows = []
    for of_seeds in zip(*runs, strict=True):
        first = [run[0] for run in runs]
        change = [run["accuracy"] - big["accuracy"] for run, big in zip(of_seeds, first, strict=True)]
        rows.append(
            [
                of_seeds[0]["variant"],
                middle([run["bytes"] / 1e6 for run in of_seeds]),
                middle([big["bytes"] / run["bytes"] for run, big in zip(of_seeds, first, strict=True)], "{:.1f}"),
                middle([run["accuracy"] for run in of_seeds], "{:.3f}"),
                middle(change, "{:+.3f}"),
                *(middle([run[column] for run in of_seeds], "{:.3f}") for column in COLUMNS[1:]),
            ]
        )
    header = ("", "MB", "times smaller", "accuracy", "difference", "macro-F1", "agree")
    print_table(f"N. {task}: {part}", header, rows, [f"{len(runs)} seeds; bytes without the tokenizer."])


def print_peers(part: str, task: str, runs: list[list[dict]]) -> None:
    """Print bytes, agreement and time of each tool on the same weights."""
    rows = []
    for of_seeds in zip(*runs, strict=True):
        times = [middle([run[size] for run in of_seeds], "{:.1f}") for size in ("batch 1", "batch 32")]
        gains = [
            ratios([run[0][size] for run in runs], [run[size] for run in of_seeds]) for size in ("batch 1", "batch 32")
        ]
        agree, accuracy = (middle([run[c] for run in of_seeds], "{:.3f}") for c in ("agreement", "accuracy"))
        size = middle([run["bytes"] / 1e6 for run in of_seeds])
        rows.append([of_seeds[0]["variant"], size, accuracy, agree, times[0], gains[0], times[1], gains[1]])
    header = ("", "MB", "accuracy", "agree", "ms, batch 1", "times as fast", "ms, batch 32", "times as fast")
    notes = ["One thread, tokens made before; times as fast as torch in float32. Sides take turns in one process."]
    print_table(f"N. {task}: other tools on the same weights", header, rows, notes)


def print_layers(part: str, task: str, runs: list[list[dict]]) -> None:
    """Print what each layer contributes beside what it costs to leave it out, then what training gives back."""
    rows = [
        [str(number), *(middle([run[key] for run in of_seeds], "{:.3f}") for key in ("contribution", "cost"))]
        for number, of_seeds in enumerate(zip(*(run[0]["table"] for run in runs), strict=True))
    ]
    notes = ["Contribution: 1 - cosine of the states before and after. Cost: validation accuracy lost without it."]
    print_table(f"N. {task}: each layer", ("layer", "contribution", "cost"), rows, notes)
    print_runs(part, task, [run[1:] for run in runs])


def print_bags(part: str, task: str, runs: list[list[dict]]) -> None:
    """Print accuracy after each epoch, on validation texts, and at the end, on test texts."""
    rows = [
        [
            of_seeds[0]["variant"],
            *(middle(list(epoch), "{:.3f}") for epoch in zip(*(run["epochs"] for run in of_seeds), strict=True)),
            *(middle([run[key] for run in of_seeds], "{:.3f}") for key in ("accuracy", "int8")),
        ]
        for of_seeds in zip(*runs, strict=True)
    ]
    epochs = [f"epoch {number}" for number in range(1, N_EPOCHS + 1)]
    notes = ["Epochs: on 400 validation texts, others with each seed; test: on all; int8: with rows in int8 then."]
    print_table(f"N. {task}: bags", ("rows", *epochs, "test", "int8, test"), rows, notes)


# -- jobs ---------------------------------------------------------------------------------


def fine_tuned(model: str, task: str, seed: int, keep: str) -> tuple[Any, Any, Any]:
    """Return the BERT as it came, the one fine-tuned on this task with this seed, and the task."""
    from workbench import networks

    loaded, before = networks.load_task(task), networks.load(model)
    file = Path(keep, f"{Path(task).name}-{seed}.safetensors")
    if not file.exists():
        n_steps = EPOCHS.get(Path(task).name, 3) * len(loaded.train) // BATCH
        step = networks.Train(loaded, n_steps=n_steps, learning_rate=RATE, batch_size=BATCH, random_state=seed)
        step.fit_transform(before).save(file)
    return before, networks.load(file), loaded


def measured(variant: str, net: Any, big: Any, task: Any) -> dict:
    """Return a row: bytes without the tokenizer, and how well the test texts are told apart."""
    from workbench import networks

    table = networks.card(big, net, task, n_texts=len(task.test), latency=False)
    found = {column: table[(table["metric"] == column) & (table["split"] != "original")] for column in COLUMNS}
    values = {column: float(rows["value"].iloc[0]) for column, rows in found.items()}
    print(variant, net.file_bytes, values, file=sys.stderr)
    return {"variant": variant, "bytes": net.file_bytes - net.tokenizer_bytes, **values}


def in_turn(big: Any, task: Any, variants: dict[str, list]) -> list[dict]:
    """Return a row for the fine-tuned network, then one for each chain of steps on it."""
    import workbench as wb

    rows = [measured("float32", big, big, task)]
    for variant, steps in variants.items():
        rows.append(measured(variant, wb.Chain(steps).fit_transform(big), big, task))
    return rows


def bits(n: int) -> Any:
    """Return the step that stores matrices in so many bits a number: k-means, 16 codebooks a matrix."""
    import workbench as wb
    from workbench import networks

    return networks.Each(wb.SQ("kmeans", n_bits=n), on="layers", width=16)


def sizes(seed: int, **given: str) -> list[dict]:
    """Job: bits alone, without training."""
    import workbench as wb
    from workbench.networks import Each

    _, big, task = fine_tuned(seed=seed, **given)
    rows = Each(wb.PQ(96), on="embeddings")
    return in_turn(
        big,
        task,
        {
            "int8": [Each(wb.SQ("int8"), on="all")],
            "PQ 96 of embeddings + int8": [rows, Each(wb.SQ("int8"), on="layers")],
            "PQ 96 + 4 bits": [rows, bits(4)],
            "PQ 96 + 3 bits": [rows, bits(3)],
            "PQ 96 + PQ of weights, 8 bits for 2 numbers": [rows, Each(wb.PQ(8), on="layers", width=16)],
            "layers: 2 bits": [bits(2)],
            "layers: PQ of weights, 8 bits for 4 numbers": [Each(wb.PQ(4), on="layers", width=16)],
        },
    )


def layers(seed: int, **given: str) -> list[dict]:
    """Job: layers left out, before and after a little training; what each contributes and costs."""
    from workbench import networks
    from workbench.networks import DropLayers, Train

    _, big, task = fine_tuned(seed=seed, **given)
    table = networks.layer_table(big, task, n_texts=len(task.valid))
    train = Train(task, n_steps=N_STEPS, learning_rate=REPAIR, random_state=seed)
    variants = {f"top {n} left out": [DropLayers(n)] for n in (1, 2, 3)}
    trained = {f"{name}, {N_STEPS} steps": [*steps, train] for name, steps in variants.items()}
    return [{"table": table[["contribution", "cost"]].to_dict("records")}, *in_turn(big, task, variants | trained)]


def pruning(seed: int, **given: str) -> list[dict]:
    """Job: half of the weights zero, repaired by a little training, alone and with fewer bits."""
    import workbench as wb
    from workbench.networks import Each, PruneWeights, Train

    _, big, task = fine_tuned(seed=seed, **given)
    seen = replace(task, train=task.train.sample(N_STEPS * BATCH, seed))  # once, so that a teacher answers no more
    train = partial(Train, seen, n_steps=N_STEPS, random_state=seed)
    fewer = [PruneWeights(0.5), Each(wb.SQ("kmeans", n_bits=4), on="layers"), Each(wb.PQ(96), on="embeddings")]
    of_all, of_norms = train(learning_rate=REPAIR, teacher=big), train(only="norms", teacher=big)
    return in_turn(
        big,
        task,
        {
            "50% zeros": [PruneWeights(0.5)],
            f"50% zeros, {N_STEPS} steps of all, taught": [PruneWeights(0.5), of_all],
            f"50% zeros, {N_STEPS} steps of norms and head": [PruneWeights(0.5), train(only="norms")],
            f"50% zeros, {N_STEPS} steps of norms and head, taught": [PruneWeights(0.5), of_norms],
            f"50% zeros, 4 bits, PQ 96, {N_STEPS} steps of norms and head, taught": [*fewer, of_norms],
        },
    )


def training(seed: int, **given: str) -> list[dict]:
    """Job: quantisation-aware training of the layers in few bits."""
    import workbench as wb
    from workbench.networks import Each, Train

    _, big, task = fine_tuned(seed=seed, **given)
    train = Train(task, n_steps=N_STEPS, only="layers", learning_rate=AWARE, random_state=seed)
    kinds = {"2 bits": bits(2), "PQ of weights, 8 bits for 4 numbers": Each(wb.PQ(4), on="layers", width=16)}
    return in_turn(
        big, task, {name: [step] for name, step in kinds.items()} | {
            f"{name}, {N_STEPS} steps": [step, train] for name, step in kinds.items()
        }
    )  # fmt: skip


def distillation(seed: int, **given: str) -> list[dict]:
    """Job: two layers taught by labels, or also by the fine-tuned network; then with a tenth of the labels.

    There the teacher, too, knows no more labels than the tenth; the other training texts come without theirs.
    """
    from workbench.networks import DropLayers, Train

    before, big, task = fine_tuned(seed=seed, **given)
    rows = [measured("float32", big, big, task)]
    tenth = task.train.sample(len(task.train) // 10, seed)
    few = replace(task, train=tenth, unlabelled=tuple(sorted({*task.train.texts} - {*tenth.texts})))
    of_tenth = Train(few, n_steps=N_STUDENT, learning_rate=RATE, random_state=seed).fit_transform(before)
    student = DropLayers(4, which="2,3,4,5").fit_transform
    for name, of, teacher in (("all labels", task, big), ("a tenth of the labels", few, of_tenth)):
        if teacher is of_tenth:
            rows.append(measured("float32, a tenth of the labels", of_tenth, big, task))
        train = partial(Train, of, n_steps=N_STUDENT, random_state=seed)
        for how, step in (("", train()), (", taught", train(teacher=teacher))):
            rows.append(measured(f"2 layers, {name}{how}", step.fit_transform(student(teacher)), big, task))
    return rows


def tickets(seed: int, **given: str) -> list[dict]:
    """Job: 70% of the pre-trained weights zero by several masks, then one epoch of fine-tuning."""
    from workbench import networks
    from workbench.networks import PruneWeights, Train

    before, big, task = fine_tuned(seed=seed, **given)
    steps = partial(Train, task, n_steps=len(task.train) // BATCH, learning_rate=RATE, random_state=seed)
    masks = {
        "ticket: smallest after fine-tuning": PruneWeights(0.7).fit_transform(big),
        "smallest of the pre-trained": PruneWeights(0.7).fit_transform(before),
        "random": PruneWeights(0.7, by="random", random_state=seed).fit_transform(before),
    }
    rows = [measured("float32", big, big, task), measured("dense", steps().fit_transform(before), big, task)]
    for file in sorted(Path(given["keep"]).glob(f"*-{seed}.safetensors")):
        name = file.stem.removesuffix(f"-{seed}")
        if name != Path(given["task"]).name:
            masks[f"ticket of {name}"] = PruneWeights(0.7).fit_transform(networks.load(file))
    return rows + [measured(name, steps(start=before).fit_transform(net), big, task) for name, net in masks.items()]


def bags(seed: int, model: str, task: str, keep: str) -> list[dict]:
    """Job: the mean of rows under a head; rows from vectors, from the same compressed, and random ones."""
    import workbench as wb
    from workbench import networks
    from workbench.networks.sources import COMPRESSION

    loaded, vectors = networks.load_task(task), wb.load("builtin:en")
    small = wb.recipe_from(COMPRESSION).fit_transform(vectors)
    starts = {"vectors": (vectors, "vectors"), "compressed": (small, "vectors"), "random": (small, "random")}
    rows = []
    for variant, (v, kind) in starts.items():
        n_steps = N_EPOCHS * len(loaded.train) // BATCH
        step = networks.Train(loaded, n_steps, batch_size=BATCH, learning_rate=BAG_RATE, random_state=seed)
        net = step.fit_transform(networks.bag(v, rows=kind, random_state=seed))
        row = {"variant": variant, "epochs": [look["score"] for look in step.curves_[1:]]}
        nets = {"accuracy": net, "int8": networks.Each(wb.SQ("int8"), on="embeddings").fit_transform(net)}
        for key, of in nets.items():
            row[key] = float((of.run(loaded.test.texts).logits.argmax(1) == loaded.test.labels).mean())
        rows.append(row)
        print(row, file=sys.stderr)
    return rows


def peers(seed: int, **given: str) -> list[dict]:
    """Job: onnxruntime and torchao on the same weights, beside int8 of our own: bytes, labels and time."""
    import numpy as np
    import torch

    import workbench as wb
    from workbench import networks

    _, big, task = fine_tuned(seed=seed, **given)
    small = networks.Each(wb.SQ("int8"), on="all").fit_transform(big)
    zeros = networks.PruneWeights(0.5).fit_transform(big)
    texts, truth = list(task.test.texts), task.test.labels
    sides: dict[str, tuple[int, Callable[[Sequence[str]], np.ndarray]]] = {}

    def of_module(module: Any, tokens: Any) -> np.ndarray:
        with torch.no_grad():
            return module(*map(torch.from_numpy, tokens)).logits.numpy()

    for name, net in {"torch float32": big, "workbench int8": small, "workbench, 50% zeros": zeros}.items():
        sides[name] = net.file_bytes - net.tokenizer_bytes, partial(of_module, net.module())
    with tempfile.TemporaryDirectory() as folder:
        for name in ("float32", "int8"):
            out = networks.export(big, Path(folder, f"{name}.onnx"), int8=name == "int8")
            print(out, file=sys.stderr)
            sides[f"onnxruntime {name}"] = out.path.stat().st_size, of_session(out.path)
        sides |= of_torchao(big, folder, of_module)
        rng = np.random.default_rng(seed)
        batches = {f"batch {size}": [texts[i] for i in rng.integers(len(texts), size=size)] for size in (1, BATCH)}
        times: dict[str, dict[str, list[float]]] = {name: {batch: [] for batch in batches} for name in sides}
        for _ in range(N_TIMED):
            for name, (_, run) in sides.items():
                for batch, of in batches.items():
                    tokens = big.tokens(of)
                    run(tokens)
                    start = time.perf_counter()
                    run(tokens)
                    times[name][batch].append(1000 * (time.perf_counter() - start))
        rows, expected = [], None
        for name, (n_bytes, run) in sides.items():
            for size in (1, BATCH) if "onnxruntime int8" in name else (BATCH,):  # its answers depend on the batch
                logits = np.zeros((len(texts), len(task.labels)), np.float32)
                for places, tokens in big.batches(texts, size):
                    logits[places] = run(tokens)
                labels = logits.argmax(1)
                expected = labels if expected is None else expected
                row = {"variant": f"{name}, one by one" if size == 1 else name, "bytes": n_bytes}
                row |= {"accuracy": float((labels == truth).mean()), "agreement": float((labels == expected).mean())}
                rows.append(row | {batch: float(np.median(of)) for batch, of in times[name].items()})
        return rows


def of_session(path: Path) -> Callable[[Any], Any]:
    """Return what gives the logits of tokens by an ONNX file: on one thread, which does not spin."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(tokens: Any) -> Any:
        values = {"input_ids": tokens.ids, "attention_mask": tokens.weights.astype(np.int64)}
        return session.run(["logits"], values)[0]

    return run


def of_torchao(net: Any, folder: str, run: Callable) -> dict[str, tuple[int, Callable]]:
    """Return int8 of dense layers and embeddings by torchao; nothing where it is not installed."""
    try:
        from torchao.quantization import Int8WeightOnlyConfig, PerRow, quantize_
    except ImportError:
        return {}
    import copy

    import torch

    module = copy.deepcopy(net.module())

    def is_large(part: torch.nn.Module, name: str) -> bool:
        return isinstance(part, torch.nn.Linear) or name.endswith("word_embeddings")

    quantize_(module, Int8WeightOnlyConfig(granularity=PerRow()), is_large)
    file = Path(folder, "torchao.pt")
    torch.save(module.state_dict(), file)
    return {"torchao int8, weights only": (file.stat().st_size, partial(run, module))}


if __name__ == "__main__":
    jobs = [sizes, peers, layers, pruning, training, distillation, tickets, bags]
    options: Options = {
        "model": {"type": Path, "nargs": "?", "metavar": "FOLDER", "help": "of a BERT"},
        "tasks": {"type": Path, "nargs": "*", "metavar": "TASK", "help": "folder of texts"},
        "--seeds": {"type": int, "nargs": "+", "default": [0, 1, 2]},
        "--parts": {"nargs": "+", "default": list(PARTS), "choices": PARTS},
        "--keep": {"type": Path, "help": "where results stay"},
    }
    run_script(tables, jobs, options)
