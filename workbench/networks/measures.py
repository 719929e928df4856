"""The scorecard of a network: bytes, labels, agreement with the uncompressed one, vectors, and time."""

import re
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from ..compress.base import Chain, Step
from ..evaluate.similarity import spearman
from ..evaluate.table import COLUMNS, Scorecard, interval, row
from ..nearest import greatest
from ..storage import Dense, Storage
from ..threads import one_thread
from ..vectors import remembered, unit
from .bert_score import bert_score
from .network import Embedded, Network
from .phrases import TaughtTexts, Teacher, likeness
from .steps import DropLayers
from .task import Labelled, Task
from .tokens import token_places

N_TEXTS = 1_000  # of the test part, unless it has fewer
N_NEAREST = 10
N_PAIRS = 300  # of texts that are matched
BATCHES, N_TIMED = (1, 32), 15
HELP = {
    "accuracy": "Share of test texts that get the right label.",
    "macro_f1": "Mean over labels of F1, so that rare labels count as much as frequent ones.",
    "agreement": "Share of test texts that get the same label as from the uncompressed network.",
    "spearman": "Spearman's correlation of the cosines between test texts with the teacher's.",
    "overlap@10": "Share of a text's 10 nearest that are among the teacher's 10 nearest.",
    "cosine": "Mean cosine between the vectors of a text before and after.",
    "nearest": "Share of texts whose nearest other text is the same as before.",
    "f1_spearman": "Spearman's correlation of BERTScore's F1 of pairs of test texts before and after.",
    "f1_change": "How far BERTScore's F1 of a pair of test texts moves, on average.",
    "latency": "Milliseconds for a batch in one thread: median and quartiles.",
    "contribution": "1 - cosine between the states that a layer gets and those that it gives, on average.",
    "cost": "Accuracy that is lost when this layer alone is left out, without training.",
}


def card(
    big: Network,
    small: Network,
    task: Task | Teacher,
    *,
    n_texts: int = N_TEXTS,
    latency: bool = True,
    matching: bool = False,
    random_state: int = 0,
) -> Scorecard:
    """Compare a compressed network with its original on the test part of a task.

    Parameters
    ----------
    big, small : Network
        Those with heads must have them for the labels of the task; of those without there are no rows about labels.
    task : Task or Teacher
    n_texts : int
        Test texts at most, drawn by the seed.
    latency : bool
        Also measure time.
    matching : bool
        Also compare how the two score pairs of these texts by `bert_score`, where both are of kind "bert".
    random_state : int
        Seed of the sample, of pairs, and of the intervals.

    Returns
    -------
    Scorecard
        Rows as in `workbench.scorecard`: ``size`` (bytes of the file without the tokenizer, of ``compressed``, of the
        ``original`` in float32, and of the ``tokenizer``), ``ratio``, ``accuracy``, ``macro_f1``, ``agreement`` (for a
        `Teacher` ``spearman`` and ``overlap@10`` instead), ``cosine``, ``nearest``, ``latency`` (ms, of ``batch 1`` and
        ``batch 32``, with quartiles). With `matching` ``f1_spearman`` and ``f1_change``.

    Raises
    ------
    ValueError
        If a network tells apart other labels than the task has.
    """
    for net in (big, small):
        if net.config.labels and isinstance(task, Task):
            check_labels(net, task)
    texts = task.test.sample(n_texts, random_state)
    n, how = len(texts), f"sampled, seed {random_state}" if len(texts) < len(task.test) else "exact"
    before, after = outcome(big, texts.texts), outcome(small, texts.texts)
    rows = size_rows(big, small)

    def mean(metric: str, split: str, values: np.ndarray) -> None:
        values = values.astype(np.float32)
        rows.append(row(metric, split, values.mean(), how, n, interval(values, random_state)))

    for split, net, found in (("compressed", small, after), ("original", big, before)):
        if isinstance(texts, TaughtTexts):
            rows.append(row("spearman", split, likeness(found.vectors, texts.vectors), how, n))
            mean(f"overlap@{N_NEAREST}", split, shared_neighbours(found.vectors, texts.vectors))
        elif net.config.labels:
            mean("accuracy", split, found.logits.argmax(1) == texts.labels)
            rows.append(row("macro_f1", split, macro_f1(found, texts), how, n))
    if isinstance(task, Task) and big.config.labels and small.config.labels:
        mean("agreement", "all", before.logits.argmax(1) == after.logits.argmax(1))
    if before.vectors.shape == after.vectors.shape:
        mean("cosine", "all", (unit(before.vectors) * unit(after.vectors)).sum(1))
    mean("nearest", "all", shared_neighbours(before.vectors, after.vectors, 1))
    if matching and big.config.kind == small.config.kind == "bert":
        rows += matching_rows(big, small, texts.texts, random_state)
    for split, net in (("compressed", small), ("original", big)) if latency else ():
        rows += latency_rows(net, texts, split)
    return Scorecard(pd.DataFrame(rows)[COLUMNS])


def check_labels(net: Network, task: Task) -> None:
    """Refuse a network that does not tell apart what a task does."""
    if net.config.labels != task.labels:
        strange = ", ".join((sorted({*net.config.labels} ^ {*task.labels}) or task.labels)[:3])
        raise ValueError(f"the network and {task.name} do not have the same labels in the same order: {strange}")


@remembered
def outcome(net: Network, texts: tuple[str, ...]) -> Embedded:
    """Return what a network makes of texts, once for each network and sample."""
    return net.run(texts)


def size_rows(big: Network, small: Network) -> list[dict]:
    """Return bytes before and after, and their ratio; the tokenizer apart."""
    float32 = {name: Dense.of_size(*storage.shape) for name, storage in big.weights.items()}
    before, after = (net.file_bytes - net.tokenizer_bytes for net in (big.with_weights(float32), small))
    return [
        row("size", "compressed", after, "exact, bytes of the file without the tokenizer", 1),
        row("size", "original", before, "exact, bytes in float32 without the tokenizer", 1),
        row("size", "tokenizer", small.tokenizer_bytes, "exact, bytes in the file", 1),
        row("ratio", "all", before / after, "exact, original over compressed", 1),
    ]


def macro_f1(found: Embedded, texts: Labelled) -> float:
    """Return the mean of F1 over the labels that some of these texts have."""
    from sklearn.metrics import f1_score

    return f1_score(
        texts.labels, found.logits.argmax(1), labels=np.unique(texts.labels), average="macro", zero_division=0
    )


def shared_neighbours(vectors: np.ndarray, others: np.ndarray, k: int = N_NEAREST) -> np.ndarray:
    """Return the share of each text's k nearest other texts by cosine that both sets of vectors have: (n,)."""
    k = min(k, len(vectors) - 1)
    found = []
    for of in (vectors, others):
        cosines = unit(of) @ unit(of).T  # (n, n)
        np.fill_diagonal(cosines, -np.inf)
        near = np.zeros(cosines.shape, bool)
        np.put_along_axis(near, greatest(cosines, k), True, axis=1)
        found.append(near)
    return (found[0] & found[1]).sum(axis=1) / max(k, 1)


def word_influence(net: Network, text: str) -> pd.DataFrame:
    """Return how far each word moves the vector of a text: 1 - cosine to the vector of the text without this word.

    Columns are ``word`` and ``influence``, in the order of the text (erasure: Li, Monroe and Jurafsky, 2016).
    """
    places = [match.span() for match in re.finditer(r"\w+", text)]
    without = [text[:start] + text[end:] for start, end in places]
    vectors = unit(net.embed([text, *without]))  # (1 + n_words, dim)
    words = [text[start:end] for start, end in places]
    return pd.DataFrame({"word": words, "influence": 1 - vectors[1:] @ vectors[0]})


def latency_rows(net: Network, texts: Labelled | TaughtTexts, split: str) -> list[dict]:
    """Return the time of batches in one torch thread, tokenizer included; two threads can stall on small machines."""
    rows = []
    with one_thread():
        for size in BATCHES:
            batch, times = [texts.texts[i % len(texts)] for i in range(size)], []
            for _ in range(N_TIMED + 1):
                start = time.perf_counter()
                net.run(batch, size)
                times.append(1000 * (time.perf_counter() - start))
            low, median, high = np.percentile(times[1:], [25, 50, 75])
            how = f"timed, one thread, {N_TIMED} times, quartiles"
            rows.append(row("latency", f"batch {size}, {split}", median, how, N_TIMED, (low, high)))
    return rows


def matching_rows(big: Network, small: Network, texts: Sequence[str], seed: int) -> list[dict]:
    """Return how F1 of `bert_score`, of pairs of different texts, changes: its ranks, and itself on average."""
    order = np.random.default_rng(seed).permutation(len(texts))[:N_PAIRS]
    first, second = ([texts[i] for i in of] for of in (order, np.roll(order, 1)))
    before, after = (bert_score(net, first, second)["f1"].to_numpy(np.float32) for net in (big, small))  # (n,) each
    changes, n, how = np.abs(after - before), len(order), f"sampled, seed {seed}"
    return [
        row("f1_spearman", "all", spearman(before[None], after[None])[0], how, n),
        row("f1_change", "all", changes.mean(), how, n, interval(changes, seed)),
    ]


def layer_table(net: Network, task: Task, n_texts: int = 300, random_state: int = 0) -> pd.DataFrame:
    """Return what each layer contributes, and what leaving it out costs; measured on the validation part.

    The two need not agree: a layer may change states much and yet be missed by nobody.

    Returns
    -------
    DataFrame
        A row a layer: ``layer``, ``contribution`` (1 - cosine of the states before and after it; Sajjad et al., 2020),
        ``cost`` (accuracy lost without it) with ``low`` and ``high``, and ``agreement`` without it.
    """
    check_labels(net, task)
    texts = task.valid.sample(n_texts, random_state)
    whole, changes, n_tokens = outcome(net, texts.texts), np.zeros(net.config.n_layers), 0
    for _, tokens, out in net.outputs(texts.texts):
        is_token = token_places(tokens.weights)  # (n, tokens)
        states = [unit(of.cpu().numpy()) for of in out.states]  # (n, tokens, dim) each
        changes += [(1 - (a * b).sum(-1))[is_token].sum() for a, b in pairwise(states)]
        n_tokens += int(np.count_nonzero(is_token))
    rows, right = [], whole.logits.argmax(1) == texts.labels
    for i in range(net.config.n_layers):
        without = outcome(DropLayers(1, which=str(i)).fit_transform(net), texts.texts).logits.argmax(1)
        lost = right.astype(np.float32) - (without == texts.labels)
        low, high = interval(lost, random_state)
        agreement = (without == whole.logits.argmax(1)).mean()
        rows.append((i, changes[i] / max(n_tokens, 1), lost.mean(), low, high, agreement))
    return pd.DataFrame(rows, columns=["layer", "contribution", "cost", "low", "high", "agreement"])


def weight_table(big: Network, small: Network) -> pd.DataFrame:
    """Return what each matrix of a compressed network takes, beside the one that it was made of.

    Returns
    -------
    DataFrame
        A row a matrix: ``matrix`` and ``original`` (its names in the two networks, which differ where layers were
        left out before it), ``shape``, ``before`` and ``after`` (bytes in float32 and now), and ``bits`` a number.
    """
    left = layers_left(big, small)
    rows = []
    for name, storage in small.weights.items():
        if len(small.shapes[name]) == 2:
            parts = name.split(".")
            if name.startswith("encoder.layer."):
                parts[2] = str(left[int(parts[2])])
            original, n = ".".join(parts), int(np.prod(storage.shape))
            before = 4 * int(np.prod(big.shapes.get(original, (0,))))
            rows.append((name, original, storage.shape, before, storage.nbytes, 8 * storage.nbytes / n))
    return pd.DataFrame(rows, columns=["matrix", "original", "shape", "before", "after", "bits"])


def layers_left(big: Network, small: Network) -> list[int]:
    """Return the layer of the original that each layer of a compressed network is, by the recipe that it carries."""
    left = list(range(big.config.n_layers))
    for step in small.meta.get("recipe", [])[len(big.meta.get("recipe", [])) :]:
        if step["step"] == DropLayers.__name__:
            dropped = DropLayers(step["n_layers"], step["which"]).places(len(left))
            left = [layer for place, layer in enumerate(left) if place not in dropped]
    return left


def weight_histogram(before: Storage, after: Storage, n_bins: int = 80) -> pd.DataFrame:
    """Return how many numbers of a matrix lie in each bin, before and after.

    Returns
    -------
    DataFrame
        A row a bin: ``low``, ``high``, ``before``, ``after`` (shares of all numbers). Its ``attrs`` hold ``zeros``
        (shares) and ``distinct`` (different values), each of the two sides.
    """
    sides = [storage.rows(slice(None)).ravel() for storage in (before, after)]
    edge = max(float(np.abs(np.percentile(values, [0.05, 99.95])).max()) for values in sides) or 1.0
    edges = np.linspace(-edge, edge, n_bins + 1)  # what lies beyond counts in the outer bins
    shares = [np.histogram(np.clip(values, -edge, edge), edges)[0] / values.size for values in sides]
    found = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "before": shares[0], "after": shares[1]})
    found.attrs["zeros"] = [float(np.mean(values == 0)) for values in sides]
    found.attrs["distinct"] = [len(np.unique(values)) for values in sides]
    return found


def sweep(
    big: Network, recipes: Mapping[str, Step], task: Task, seeds: Sequence[int] = (0, 1, 2), n_texts: int = N_TEXTS
) -> pd.DataFrame:
    """Try recipes with training in them, each with every seed, on the same test texts.

    Parameters
    ----------
    big : Network
    recipes : mapping of name to Step
        Each seed takes the place of ``random_state`` in all of their steps.
    task : Task
    seeds : sequence of int
    n_texts : int
        As for `card`; the sample is the same for all.

    Returns
    -------
    DataFrame
        A row for each recipe and seed: ``recipe``, ``seed``, ``bytes`` (without the tokenizer), ``accuracy``,
        ``macro_f1``, ``agreement``, ``cosine`` and ``nearest``. See `paired` for differences.
    """
    rows = []
    for name, recipe in recipes.items():
        for seed in seeds:
            found = card(big, seeded(recipe, seed).fit_transform(big), task, n_texts=n_texts, latency=False)
            values = found[found["split"].isin(["all", "compressed"])].set_index("metric")["value"]
            rows.append({"recipe": name, "seed": seed, "bytes": int(values["size"]), **values.drop(["size", "ratio"])})
    return pd.DataFrame(rows)


def seeded(step: Step, seed: int) -> Step:
    """Return a copy of a step with this seed in it and in the steps within."""
    params = {n: seeded(value, seed) if isinstance(value, Step) else value for n, value in step.get_params().items()}
    if isinstance(step, Chain):
        params["steps"] = [seeded(inner, seed) for inner in step.steps]
    return type(step)(**params | ({"random_state": seed} if "random_state" in params else {}))


def paired(table: pd.DataFrame, against: str, metric: str = "accuracy") -> pd.DataFrame:
    """Return how far each recipe of a `sweep` is from one of them, seed by seed.

    Returns
    -------
    DataFrame
        By recipe: ``mean`` of the metric, ``difference`` to `against` (mean over seeds), ``low`` and ``high`` (its 95%
        interval by Student's t, wide for few seeds), and ``n`` seeds.
    """
    from scipy.stats import t

    values = table.pivot(index="seed", columns="recipe", values=metric)[table["recipe"].unique()]
    differences = values.sub(values[against], axis=0)
    half = differences.sem() * t.ppf(0.975, max(len(values) - 1, 1))
    means = differences.mean()
    columns = {"mean": values.mean(), "difference": means, "low": means - half, "high": means + half, "n": len(values)}
    return pd.DataFrame(columns)
