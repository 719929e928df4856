"""`Train`: one loop for training, repair, quantisation-aware training, tickets and distillation."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .. import progress
from ..compress.base import parameter
from ..storage import Storage
from ..threads import one_thread
from ..vectors import shortly
from .config import HEAD, PROJECTION, WORDS
from .encoder import Output, build
from .network import Network
from .objectives import LabelObjective, Objective, PairObjective, TeacherObjective
from .phrases import Pairs, Teacher
from .sources import load
from .steps import NetworkStep
from .task import BUILTIN, Task, load_task

ONLY = {"all": "all weights", "layers": "all but the embeddings", "norms": "norms and head", "head": "head alone"}
RATES = {"all": 2e-4, "layers": 2e-4, "norms": 5e-3, "head": 5e-3}  # learning rates by `only`
WARM_UP = 0.1  # of the steps, in which the rate rises
WEIGHT_DECAY = 0.01
N_LOOKS = 5  # measurements on the validation part, the start included
POOL = 16  # batches whose texts are sorted by length together
INPUT = "input"
OFFERED = {None: "none", INPUT: "the original network"}  # besides names, paths and networks


class Train(NetworkStep):
    """Train a network on a task, as its matrices are stored.

    Sparse matrices keep their zeros; coded and scaled ones are stored anew at each step, and gradients pass to what
    was stored straight through (Bengio, Leonard and Courville, 2013). So after `PruneWeights` this repairs, after
    ``Each(SQ(...))`` it is quantisation-aware training, with `start` it trains a lottery ticket (Frankle and Carbin,
    2019), and with `teacher` it distils (Hinton, Vinyals and Dean, 2015). The weights that were best on the
    validation part are kept, by score, then by loss; the start counts, too.

    A network whose head tells other labels apart gets a new head, and one whose vectors have another width than the
    teacher's a projection to it.

    Parameters
    ----------
    task : str, path, Task, Teacher or Pairs
        Labels (see `load_task`), a teacher's vectors, or pairs of texts.
    n_steps : int
        Batches.
    only : {"all", "layers", "norms", "head"}
        What to train: everything, all but the embeddings, or layer norms and head, or the head alone.
    teacher : str, path or Network, optional
        Whose answers to imitate, on the task's training texts and on its unlabelled ones; ``"input"`` for the network
        that went into the chain. It must tell the task's labels apart.
    start : str, path or Network, optional
        Whose weights to start from instead of the network's own, which keeps its zeros; ``"input"`` as for `teacher`.
    batch_size : int
        Texts in a step.
    learning_rate : float, optional
        Highest rate of AdamW; it rises for a tenth of the steps and falls linearly. By default 2e-4, and 5e-3 for
        norms and heads.
    random_state : int
        Seed of the head, the batches and dropout.

    Attributes
    ----------
    curves_ : list of dict
        At each look: ``step``, ``loss`` (mean of the steps since the last look), and on the validation part
        ``valid_loss`` and ``score``: accuracy for labels, for a teacher's vectors Spearman's correlation of cosines,
        for pairs the share of texts whose own partner is the nearest.
    """

    label = "Train"
    blurb = "trains what is left."
    may_grow: ClassVar = True  # by a head

    task: Any = parameter(BUILTIN[0], "other", "Task")
    n_steps: int = parameter(60, "count", "Steps", 1)
    only: str = parameter("all", "choice", "What", choices=ONLY)
    teacher: Any = parameter(None, "other", "Teacher", choices=OFFERED, main=False)
    start: Any = parameter(None, "other", "Start", choices=OFFERED, main=False)
    batch_size: int = parameter(32, "count", "Texts a step", 1, main=False)
    learning_rate: float | None = parameter(None, "number", "Learning rate", 0, all_is_none=True, main=False)
    random_state: int = parameter(0, "seed", "Seed")

    told: ClassVar[Any] = None  # a function that hears of `curves_` at each look; True ends the training

    def _fit(self, v: Network, reference: Network | None) -> None:
        task = load_task(self.task) if isinstance(self.task, str | Path) else self.task
        objective = self._objective(task, reference)
        v = objective.ready(v)
        start = self._network("start", reference)
        begin = v if start is None else objective.ready(start)
        if begin.shapes != v.shapes:
            raise ValueError(f"{self!r}: start has other layers than the network")
        self.config_, self.curves_ = v.config, list[dict]()
        with one_thread():
            self.weights_ = _Loop(self, v, begin, objective).run()

    def _transform(self, v: Network) -> Network:
        return v.with_weights(self.weights_, self.config_)

    def _objective(self, task: Task | Teacher | Pairs, reference: Network | None) -> Objective:
        teacher = self._network("teacher", reference)
        if isinstance(task, Task):
            if teacher is not None and teacher.config.labels != task.labels:
                raise ValueError(f"{self!r}: the teacher must tell apart the {len(task.labels)} labels of {task.name}")
            return LabelObjective(task, teacher, self.random_state)
        if teacher is not None:
            raise ValueError(f"{self!r}: a teacher is for tasks of labels")
        if isinstance(task, Teacher):
            return TeacherObjective(task, self.random_state)
        if isinstance(task, Pairs):
            return PairObjective(task, self.random_state)
        raise TypeError(f"expected a Task, Teacher or Pairs, got {shortly(task)}")

    def _plain_params(self) -> dict[str, Any]:
        """Return the parameters that recipes show: tasks and networks by their names."""
        params = super()._plain_params()
        return params | {
            key: value.name for key, value in params.items() if isinstance(value, Task | Teacher | Pairs | Network)
        }

    def _network(self, which: str, reference: Network | None) -> Network | None:
        value = getattr(self, which)
        if value is None or isinstance(value, Network):
            return value
        if value == INPUT:
            if reference is None:
                raise ValueError(f"{self!r}: {which}='input' is the input of a Chain; used alone, give a network")
            return reference
        return load(value)


class _Loop:
    """The work of `Train`: latent float32 weights, and how they are stored."""

    def __init__(self, step: Train, v: Network, begin: Network, objective: Objective):
        self.step, self.network, self.begin, self.objective = step, v, begin, objective
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.module = build(v.config, len(v.weights[WORDS])).train()
        self.latent: dict[str, Tensor] = {}  # by name, the numbers that a storage is to hold
        for name in begin.weights:
            values = torch.from_numpy(begin.values(name)).to(self.device)
            self.latent[name] = values.requires_grad_(self._is_trained(name))

    def _is_trained(self, name: str) -> bool:
        only = self.step.only
        if name.startswith((HEAD, PROJECTION)) or only == "all":
            return True
        return "LayerNorm" in name if only == "norms" else only == "layers" and "word_embeddings" not in name

    def run(self) -> dict[str, Storage]:
        """Train; return the weights that were best on the validation part."""
        step, trained = self.step, [tensor for tensor in self.latent.values() if tensor.requires_grad]
        decayed = [{"params": [p for p in trained if p.ndim == 2], "weight_decay": WEIGHT_DECAY}]
        rest = [{"params": [p for p in trained if p.ndim != 2], "weight_decay": 0.0}]
        rate = step.learning_rate or RATES[step.only]
        optimizer = torch.optim.AdamW(decayed + rest, lr=rate, fused=True)  # an eighth of the time on a large table
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        looks = {round(step.n_steps * i / (N_LOOKS - 1)) for i in range(N_LOOKS)}
        losses = [math.nan]
        best = self._stored()
        batches = drawn(self.objective.lengths, step.batch_size, step.random_state)
        bar = progress.bar(total=step.n_steps, desc="Train", unit="step")
        with torch.random.fork_rng(devices=[]), bar, suppress(KeyboardInterrupt):  # what was best so far is kept
            torch.manual_seed(step.random_state)
            for number in range(step.n_steps + 1):
                if number in looks:
                    loss, score = self._look()
                    step.curves_.append(
                        {"step": number, "loss": float(np.mean(losses)), "valid_loss": loss, "score": score}
                    )
                    losses = []
                    if max(step.curves_, key=merit) is step.curves_[-1]:
                        best = self._stored()
                    if step.told is not None and step.told(step.curves_):
                        break
                if number < step.n_steps:
                    optimizer.zero_grad()
                    loss_now = self.objective.loss(partial(self._run, self._weights()), next(batches))
                    loss_now.backward()
                    torch.nn.utils.clip_grad_norm_(trained, 1.0)
                    optimizer.step()
                    schedule.step()
                    losses.append(loss_now.item())
                    bar.update()
        return best

    def _rate(self, number: int) -> float:
        n_rising = max(1, round(WARM_UP * self.step.n_steps))
        return min((number + 1) / n_rising, (self.step.n_steps - number) / max(1, self.step.n_steps - n_rising))

    def _weights(self) -> dict[str, Tensor]:
        """Return weights as they would be stored; gradients pass to the latent ones."""
        weights = {}
        for name, latent in self.latent.items():
            storage = self.network.weights[name]
            if storage.is_float32 or self._is_same(latent):
                weights[name] = latent
                continue
            stored = storage.like(latent.detach().cpu().numpy()).rows(slice(None))
            weights[name] = latent + (torch.from_numpy(stored).to(self.device) - latent).detach()
        return weights

    def _stored(self) -> dict[str, Storage]:
        """Return all weights in storages of their kind; those that are not trained as they are."""
        found = {}
        for name, latent in self.latent.items():
            storage = self.network.weights[name]
            rows = latent.detach().cpu().numpy().reshape(storage.shape)
            found[name] = storage if self._is_same(latent) else storage.like(rows.copy())
        return found

    def _is_same(self, latent: Tensor) -> bool:
        """Return whether a weight is neither trained nor another network's."""
        return not latent.requires_grad and self.begin is self.network

    def _run(self, weights: dict[str, Tensor], texts: Sequence[str]) -> Output:
        ids, shares = (torch.from_numpy(part).to(self.device) for part in self.network.tokens(texts))
        return torch.func.functional_call(self.module, weights, (ids, shares), strict=True)

    def _look(self) -> tuple[float, float]:
        """Return loss and score on the validation part."""
        weights = self._weights()

        def run(texts: Sequence[str]) -> Output:
            order, found = list[int](), list[Output]()
            for places, _ in self.network.batches(texts, 64):
                order += places.tolist()
                found.append(self._run(weights, [texts[i] for i in places]))
            back = torch.from_numpy(np.argsort(order))
            pooled = torch.cat([out.pooled for out in found])[back]
            logits = [out.logits for out in found if out.logits is not None]
            return Output(pooled, torch.cat(logits)[back] if logits else None, [])

        self.module.eval()
        with torch.inference_mode():
            found = self.objective.look(run)
        self.module.train()
        return found


def merit(look: dict[str, float]) -> tuple[float, float]:
    """Return what the best of `Train.curves_` has most of."""
    return look["score"], -look["valid_loss"]


def drawn(lengths: Sequence[int], size: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the places of texts in batches, epoch after epoch; those of a batch are of alike length, to pad little."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(lengths))
        pools = [order[i : i + POOL * size] for i in range(0, len(order), POOL * size)]
        batches = []
        for pool in pools:
            pool = pool[np.argsort(np.take(lengths, pool), kind="stable")]
            batches += [pool[i : i + size] for i in range(0, len(pool), size)]
        yield from (batches[i] for i in rng.permutation(len(batches)))
