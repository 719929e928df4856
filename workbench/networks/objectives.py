"""The objectives of `Train`, one a kind of task: the loss of a batch, and loss and score on the validation part."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..storage import Dense
from ..vectors import unit
from .config import HEAD
from .encoder import Output
from .network import Network
from .phrases import Pairs, Teacher, likeness
from .task import Task, drawn_places

N_VALID = 400  # texts or pairs in a look
TEMPERATURE = 2.0  # of both sides in distillation
WEIGHT = 1.0  # of cosines between texts beside those to the teacher; of 0, 1, 2, 5 and 20 the best on validation texts
SHARPNESS = 20.0  # of cosines between pairs, as sentence-transformers has it

Run = Callable[[Sequence[str]], Output]


def logits_of(out: Output) -> Tensor:
    """Return the logits of a network that has a head."""
    assert out.logits is not None, "`ready` gave the network a head"
    return out.logits


class Objective(Protocol):
    """A task as `Train` sees it."""

    lengths: list[int]  # of what batches are drawn from

    def ready(self, v: Network) -> Network:
        """Return the network with the last layer that the task needs: its own, or a new one."""

    def loss(self, run: Run, places: np.ndarray) -> Tensor:
        """Return the loss of a batch."""

    def look(self, run: Run) -> tuple[float, float]:
        """Return loss and score on the validation part."""


class LabelObjective:
    """Tell labels apart; with a teacher, half of the loss is the distance to its answers (Hinton et al., 2015)."""

    def __init__(self, task: Task, teacher: Network | None, seed: int):
        self.task, self.seed = task, seed
        self.valid = task.valid.sample(N_VALID, seed)
        self.texts = [*task.train.texts, *(task.unlabelled if teacher is not None else ())]
        self.taught = None if teacher is None else torch.from_numpy(teacher.run(self.texts).logits)
        self.lengths = [len(text) for text in self.texts]

    def ready(self, v: Network) -> Network:
        if v.config.labels == self.task.labels:
            return v
        config = replace(v.config, labels=self.task.labels)
        rng = np.random.default_rng(self.seed)
        head = rng.normal(0, 0.02, (len(self.task.labels), config.width)).astype(np.float32)
        new = {f"{HEAD}.weight": Dense(head), f"{HEAD}.bias": Dense(np.zeros((1, len(head)), np.float32))}
        return v.with_weights(v.weights | new, config)

    def loss(self, run: Run, places: np.ndarray) -> Tensor:
        logits = logits_of(run([self.texts[i] for i in places]))
        is_labelled = places < len(self.task.train)
        labels = torch.from_numpy(self.task.train.labels[places[is_labelled]]).to(logits.device)
        loss = logits.new_zeros(())
        if len(labels):
            loss = functional.cross_entropy(logits[torch.from_numpy(is_labelled).to(logits.device)], labels)
        if self.taught is None:
            return loss
        teacher = self.taught[torch.from_numpy(places)].to(logits.device)
        own, target = (functional.log_softmax(of / TEMPERATURE, dim=1) for of in (logits, teacher))
        distance = functional.kl_div(own, target, reduction="batchmean", log_target=True) * TEMPERATURE**2
        return 0.5 * loss + 0.5 * distance

    def look(self, run: Run) -> tuple[float, float]:
        logits = logits_of(run(self.valid.texts))
        labels = torch.from_numpy(self.valid.labels).to(logits.device)
        loss = functional.cross_entropy(logits, labels).item()
        return loss, (logits.argmax(1) == labels).double().mean().item()


class TeacherObjective:
    """Embed texts as a teacher does; the score is Spearman's correlation of cosines with the teacher's.

    The loss is 1 - cosine to the teacher's vector, and the squared difference of the cosines between the texts of a
    batch (Park et al., "Relational knowledge distillation", 2019).
    """

    def __init__(self, task: Teacher, seed: int):
        self.task = task
        self.valid = task.valid.sample(N_VALID, seed)
        self.target = torch.from_numpy(unit(task.train.vectors))
        self.lengths = [len(text) for text in task.train.texts]

    def ready(self, v: Network) -> Network:
        return v if v.config.width == self.task.train.vectors.shape[1] else self.task.mapped(v)

    def loss(self, run: Run, places: np.ndarray) -> Tensor:
        vectors = run([self.task.train.texts[i] for i in places]).pooled
        return self._distance(vectors, self.target[torch.from_numpy(places)].to(vectors.device))

    def _distance(self, vectors: Tensor, target: Tensor) -> Tensor:
        own = functional.normalize(vectors, dim=1)
        between = functional.mse_loss(own @ own.T, target @ target.T)
        return 1 - (own * target).sum(1).mean() + WEIGHT * between

    def look(self, run: Run) -> tuple[float, float]:
        vectors, target = run(self.valid.texts).pooled, unit(self.valid.vectors)
        loss = self._distance(vectors, torch.from_numpy(target).to(vectors.device)).item()
        return loss, likeness(vectors.cpu().numpy(), target)


class PairObjective:
    """Give partners the nearest vectors, by contrast with the others of a batch (Henderson et al., 2017).

    The score is the share of validation texts whose nearest second text is their own.
    """

    def __init__(self, task: Pairs, seed: int):
        self.task = task
        self.valid = [task.valid[i] for i in drawn_places(len(task.valid), N_VALID, seed)]
        self.lengths = [len(first) + len(second) for first, second in task.train]

    def ready(self, v: Network) -> Network:
        return v

    def loss(self, run: Run, places: np.ndarray) -> Tensor:
        scores = self._scores(run, [self.task.train[i] for i in places])
        own = torch.arange(len(scores), device=scores.device)
        return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2

    def _scores(self, run: Run, pairs: Sequence[tuple[str, str]]) -> Tensor:
        first, second = (functional.normalize(run(texts).pooled, dim=1) for texts in zip(*pairs, strict=True))
        return SHARPNESS * first @ second.T  # (n, n)

    def look(self, run: Run) -> tuple[float, float]:
        scores = self._scores(run, self.valid)
        own = torch.arange(len(scores), device=scores.device)
        loss = functional.cross_entropy(scores, own).item()
        return loss, (scores.argmax(1) == own).double().mean().item()
