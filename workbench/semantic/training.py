"""Training of one two-tower model, step by step, in a state that can be saved and taken up again."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .. import files, progress
from ..progress import Stopped
from . import schedules
from .examples import TRAIN
from .judge import Judge
from .settings import Arm, Training
from .towers import Documents, TwoTower, principal_axes

LEAST_RATE = 0.02  # of the learning rate, at the end of its cosine
KEY = "workbench-training"  # of a checkpoint's metadata
PARTS = ("model", "best", "optimizer")
PROGRESSED = ("step", "curves", "best_step", "best_loss", "n_resets", "losses")


class Trainer:
    """A model in training.

    Each step draws its examples and its noise from the seed and the step's number alone. So arms of
    one seed see the same, and a training that was stopped goes on as if it had not been.

    Parameters
    ----------
    judge : Judge
        Of the items to learn from.
    features : (n_items, d) float32 tensor
    arm : Arm
    training : Training
    random_state : int

    Attributes
    ----------
    model : TwoTower
    step : int
        Steps done.
    curves : list of dict
        At each look at the validation split: ``step``, ``loss`` (the task's, mean of the steps since the last
        look), ``log_loss``, ``recall``, ``ndcg``, ``tau``, ``resets`` (so far), and ``use_1``... of each level.
    best : dict
        The tensors of the model that was best in validation so far.
    best_step : int
    """

    def __init__(self, judge: Judge, features: Tensor, arm: Arm, training: Training, random_state: int = 0):
        self.judge, self.features, self.arm, self.training = judge, features, arm, training
        self.random_state = random_state
        axes = principal_axes(features, training.dim)
        bottleneck = arm.bottleneck(training.dim, random_state)
        self.model = TwoTower(axes, training.hidden, bottleneck, random_state).to(features.device)
        self.optimizer = self._optimizer()
        self.step, self.best_step, self.n_resets = 0, 0, 0
        self.curves: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self.best_loss = float("inf")
        self.losses: list[float] = []  # since the last look
        self._train = np.flatnonzero(judge.examples.split == TRAIN)
        self._valid = judge.validation(training.n_valid)
        self._cumulative = np.cumsum(judge.popularity)

    def _optimizer(self) -> torch.optim.Optimizer:
        bottleneck = self.model.bottleneck
        entries = [] if bottleneck is None else list(bottleneck.parameters())
        towers = [p for part in (self.model.user, self.model.encoder, self.model.decoder) for p in part.parameters()]
        t = self.training
        groups: list[dict[str, Any]] = [{"params": towers, "weight_decay": t.weight_decay, "lr": t.learning_rate}]
        if entries:
            groups.append({"params": entries, "weight_decay": 0.0, "lr": t.codebook_rate})
        self._rates: list[float] = [group["lr"] for group in groups]
        return torch.optim.AdamW(groups)

    @property
    def is_done(self) -> bool:
        return self.step >= self.training.n_steps

    @property
    def squeezed(self) -> bool:
        """Whether the last step went through the bottleneck."""
        return self.arm.estimator is not None and self.step > self.training.n_warmup

    def run(
        self,
        until: int | None = None,
        name: str = "training",
        told: Callable[[dict], None] | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        """Train to the end, or to a step.

        Parameters
        ----------
        until : int, optional
        name : str
            For the progress bar.
        told : callable, optional
            Hears of each look at the validation split.
        checkpoint : path, optional
            Where to `save` at each look, and when the work is stopped.
        """
        until = self.training.n_steps if until is None else until
        if checkpoint is not None:
            files.check_writable(checkpoint)
        try:
            self._run(until, name, told, checkpoint)
        except (Stopped, KeyboardInterrupt):
            if checkpoint is not None:
                self.save(checkpoint)
            raise

    def _run(self, until: int, name: str, told: Callable[[dict], None] | None, checkpoint: Path | None) -> None:
        with progress.bar(total=self.training.n_steps, initial=self.step, desc=name, unit="step", leave=False) as bar:
            while self.step < until:
                self._step()
                bar.update()
                if self.step % self.training.eval_every == 0 or self.is_done:
                    self._look()
                    if checkpoint is not None:
                        self.save(checkpoint)
                    if told is not None:
                        told(self.curves[-1])

    def _step(self) -> None:
        t = self.training
        squeeze = self.arm.estimator is not None and self.step >= t.n_warmup
        if squeeze:
            self._prepare()
        which, candidates = self._draw()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.random_state * 1_000_003 + self.step)
            documents = self.model.documents(self.features[candidates], squeeze, self.temperature())
        logits = self.model.user(self.judge.bags(which)) @ documents.vectors.T  # (batch_size, n_candidates)
        logits = logits.masked_fill(self._no_rivals(which, candidates), -torch.inf)
        loss = functional.cross_entropy(logits, torch.arange(len(which), device=logits.device))
        self.losses.append(loss.item())
        if documents.quantised is not None:
            loss = loss + t.loss_weight * documents.quantised.losses.total
        self.optimizer.zero_grad()
        loss.backward()
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = schedules.cosine(rate, LEAST_RATE * rate, self.step / t.n_steps)
        self.optimizer.step()
        self.step += 1

    def temperature(self) -> float:
        """At this step."""
        arm, t = self.arm, self.training
        step = max(0, self.step - t.n_warmup)
        return schedules.temperature(step, t.n_steps - t.n_warmup, arm.start, arm.end, arm.shape, arm.reading)

    def _prepare(self) -> None:
        """Before a step: give the codebooks their start, or move dead entries, where it is time."""
        bottleneck, t = self.model.bottleneck, self.training
        assert bottleneck is not None
        if not bool(bottleneck.initialised) and self.arm.init == "kmeans":
            with torch.no_grad():
                bottleneck.init_codebooks(self.model.encoder(self.features))
        elif t.reset_every and self.step % t.reset_every == 0 and t.n_warmup < self.step < 0.8 * t.n_steps:
            with torch.no_grad():
                rows = self.model.encoder(self.features)
            self.n_resets += int(bottleneck.reset_dead(rows, self.optimizer, random_state=self.step).sum())

    def _draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Examples, (batch_size,), and candidates: what these want, then negatives by popularity."""
        rng = np.random.default_rng([self.random_state, self.step])
        which = rng.choice(self._train, self.training.batch_size)
        drawn = np.searchsorted(self._cumulative, rng.random(self.training.n_negatives))
        negatives = np.minimum(drawn, self.judge.n_items - 1)
        return which, np.concatenate([self.judge.examples.targets[which], negatives])

    def _no_rivals(self, which: np.ndarray, candidates: np.ndarray) -> Tensor:
        """Where a candidate must not count against an example's own: the same item, or one in its bag."""
        numbers = torch.from_numpy(candidates).to(self.features.device)
        wanted = numbers[: len(which), None]
        rivals = numbers[None] == wanted  # (batch_size, n_candidates)
        if self.judge.leaves_out:
            bags = self.judge.examples.bags[which][:, candidates].toarray()
            rivals |= torch.from_numpy(bags > 0).to(rivals.device)
        rivals[:, : len(which)].fill_diagonal_(False)
        return rivals

    @torch.no_grad()
    def documents(self) -> Documents:
        """What the model makes of all items, as at evaluation."""
        self.model.eval()
        made = self.model.documents(self.features, self.squeezed)
        self.model.train()
        return made

    def _look(self) -> None:
        """Measure on the validation split, and keep the model if it is the best so far.

        A model that does not use its bottleneck yet is measured, but is not what is looked for.
        """
        made = self.documents()
        scores = self.judge.scores(self.model.user, made.vectors, self._valid)
        row = {"step": self.step, "loss": float(np.mean(self.losses)), "log_loss": scores.log_loss}
        row |= {"recall": scores.recall, "ndcg": scores.ndcg, "tau": self.temperature(), "resets": self.n_resets}
        if made.quantised is not None:
            for level, codes in enumerate(made.quantised.codes.T, 1):
                row[f"use_{level}"] = len(torch.unique(codes)) / self.arm.codebook_size
        chosen_among = self.squeezed or self.arm.estimator is None
        if chosen_among and scores.log_loss < self.best_loss:
            self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            self.best_step, self.best_loss = self.step, scores.log_loss
        self.curves.append(row)
        self.losses = []

    def adopt(self, warmed: "Trainer") -> None:
        """Begin where the warm-up of a model without a bottleneck, of the same seed, ended: it is the same for all."""
        for part in ("user", "encoder", "decoder"):
            getattr(self.model, part).load_state_dict(getattr(warmed.model, part).state_dict())
        state = self.optimizer.state_dict()
        # A copy, or the next arm would begin with what this one leaves in it.
        state["state"] = deepcopy(warmed.optimizer.state_dict()["state"])
        self.optimizer.load_state_dict(state)
        tau = self.temperature()  # the start of this arm's own schedule
        self.step, self.losses = warmed.step, list(warmed.losses)
        self.curves = [{**row, "tau": tau} for row in warmed.curves]
        if self.arm.estimator is None:
            self.best, self.best_step, self.best_loss = dict(warmed.best), warmed.best_step, warmed.best_loss

    def use_best(self) -> None:
        """Make the model that was best in validation the one that is there."""
        self.model.load_state_dict(self.best)

    # -- checkpoints ----------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """What a checkpoint must agree with to be taken up."""
        shapes = [list(self.features.shape), list(self.judge.examples.things.shape), len(self.judge.examples)]
        digest = blake2b(self.features.cpu().numpy().tobytes(), digest_size=8)
        digest.update(self.judge.examples.targets.tobytes())
        settings = {"arm": asdict(self.arm), "training": asdict(self.training), "random_state": self.random_state}
        return {**settings, "shapes": shapes, "data": digest.hexdigest()}

    def digest(self) -> str:
        """Names the arm, the training, the seed and the items."""
        return blake2b(json.dumps(self.about(), sort_keys=True).encode(), digest_size=6).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write all that is needed to go on later: a .safetensors file, whole or not at all."""
        from safetensors.torch import save

        moments = self.optimizer.state_dict()["state"]
        parts = {"model": self.model.state_dict(), "best": self.best}
        parts["optimizer"] = {f"{i}.{name}": tensor for i, named in moments.items() for name, tensor in named.items()}
        tensors = {f"{part}.{name}": t.contiguous() for part, named in parts.items() for name, t in named.items()}
        progressed = {name: getattr(self, name) for name in PROGRESSED}
        told = json.dumps({"about": self.about(), **progressed}, sort_keys=True)
        with files.replacing(path) as file:
            file.write(save(tensors, {KEY: told}))

    def load(self, path: str | Path) -> None:
        """Take up what `save` wrote.

        Raises
        ------
        ValueError
            If it is no checkpoint, or one of another arm, training, seed or other items.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                told = json.loads((file.metadata() or {})[KEY])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is no whole checkpoint of a training: {error}") from error
        different = [name for name, value in self.about().items() if told["about"].get(name) != value]
        if different:
            raise ValueError(f"{path} is the checkpoint of another training ({', '.join(different)} differ); remove it")
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        self.model.load_state_dict(parts["model"])
        self.best = parts["best"]
        state = self.optimizer.state_dict()
        state["state"] = {}
        for name, tensor in parts["optimizer"].items():
            i, _, moment = name.partition(".")
            state["state"].setdefault(int(i), {})[moment] = tensor
        self.optimizer.load_state_dict(state)
        for name in PROGRESSED:
            setattr(self, name, told[name])


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work in one thread: its towers are too small to gain by more, and sums come out the same everywhere."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n)
