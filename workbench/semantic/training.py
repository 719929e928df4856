"""Training of one two-tower model, step by step, in a state that can be saved and resumed."""

import json
from collections.abc import Callable
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
from .examples import TRAIN
from .judge import Judge
from .settings import SHAPES, Arm, Training, temperature
from .towers import Documents, TwoTower, principal_axes

MIN_RATE = 0.02  # of the learning rate, at the end of its cosine
KEY = "workbench-training"  # of a checkpoint's metadata
PROGRESSED = ("step", "curves", "best_step", "best_loss", "n_resets", "losses")


class Trainer:
    """A model in training.

    Each step draws its examples and its noise from the seed and the step's number alone. So arms of
    one seed see the same, and a training that was stopped goes on as if it had not been.

    Attributes
    ----------
    model : TwoTower
    step : int
        Steps done.
    curves : list of dict
        At each measurement on the validation split: ``step``, ``loss`` (the task's, mean of the steps since the
        last one), ``log_loss``, ``recall``, ``ndcg``, ``tau``, ``resets`` (so far), and ``use_1``... of each level.
    best, best_step, best_loss
        Tensors of the model that was best in validation so far, its step and log-loss.
    """

    def __init__(self, judge: Judge, features: Tensor, arm: Arm, training: Training, random_state: int = 0):
        self.judge, self.features, self.arm, self.training = judge, features, arm, training
        self.random_state = random_state
        axes = principal_axes(features, training.dim)
        bottleneck = arm.bottleneck(training.dim, random_state)
        self.model = TwoTower(axes, training.hidden, bottleneck, random_state).to(features.device)
        towers = [p for name, p in self.model.named_parameters() if not name.startswith("bottleneck.")]
        entries = [] if bottleneck is None else list(bottleneck.parameters())
        self.optimizer = torch.optim.AdamW(
            [
                {"params": towers, "weight_decay": training.weight_decay, "highest": training.learning_rate},
                {"params": entries, "weight_decay": 0.0, "highest": training.codebook_rate},
            ]
        )
        self.step, self.best_step, self.n_resets = 0, 0, 0
        self.curves: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self.best_loss = float("inf")
        self.losses: list[float] = []  # since the last measurement
        self._train = np.flatnonzero(judge.examples.split == TRAIN)
        self._valid = judge.validation(training.n_valid)
        self._cumulative = np.cumsum(judge.popularity)

    def run(
        self,
        until: int | None = None,
        name: str = "training",
        told: Callable[[dict], None] | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        """Train to the end, or until a step; tell of each new row of `curves`.

        With a checkpoint, `save` there at each measurement and when the work is stopped.
        """
        if checkpoint is not None:
            files.check_writable(checkpoint)
        n_steps = self.training.n_steps
        try:
            with progress.bar(total=n_steps, initial=self.step, desc=name, unit="step", leave=False) as bar:
                while self.step < (n_steps if until is None else until):
                    self._step()
                    bar.update()
                    if self.step % self.training.eval_every == 0 or self.step == n_steps:
                        self._measure()
                        if checkpoint is not None:
                            self.save(checkpoint)
                        if told is not None:
                            told(self.curves[-1])
        except (Stopped, KeyboardInterrupt):
            if checkpoint is not None:
                self.save(checkpoint)
            raise

    def _step(self) -> None:
        t, judge, bottleneck = self.training, self.judge, self.model.bottleneck
        squeeze = bottleneck is not None and self.step >= t.n_warmup
        if squeeze:
            self._prepare_codebooks()
        rng = np.random.default_rng([self.random_state, self.step])
        which = rng.choice(self._train, t.batch_size)  # examples
        drawn = np.searchsorted(self._cumulative, rng.random(t.n_negatives))  # items, by popularity
        negatives = np.minimum(drawn, judge.n_items - 1)
        candidates = np.concatenate([judge.examples.targets[which], negatives])  # (n_candidates,)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.random_state * 1_000_003 + self.step)
            documents = self.model.documents(self.features[candidates], squeeze, self.temperature())
        logits = self.model.user(judge.history(which)) @ documents.vectors.T  # (batch_size, n_candidates)
        logits = logits.masked_fill(judge.no_rivals(which, candidates), -torch.inf)
        loss = functional.cross_entropy(logits, torch.arange(len(which), device=logits.device))
        self.losses.append(loss.item())
        if documents.quantised is not None:
            loss = loss + t.loss_weight * documents.quantised.losses.total
        self.optimizer.zero_grad()
        loss.backward()
        for group in self.optimizer.param_groups:
            group["lr"] = SHAPES["cosine"](group["highest"], MIN_RATE * group["highest"], self.step / t.n_steps)
        self.optimizer.step()
        self.step += 1

    @torch.no_grad()
    def _prepare_codebooks(self) -> None:
        """Give the codebooks their start, or move dead entries, where it is time."""
        bottleneck, t = self.model.bottleneck, self.training
        assert bottleneck is not None
        if not bool(bottleneck.initialised) and self.arm.init == "kmeans":
            bottleneck.init_codebooks(self.model.encoder(self.features))
        elif t.reset_every and self.step % t.reset_every == 0 and t.n_warmup < self.step < 0.8 * t.n_steps:
            rows = self.model.encoder(self.features)
            self.n_resets += int(bottleneck.reset_dead(rows, self.optimizer, random_state=self.step).sum())

    def temperature(self) -> float:
        """Return the temperature at this step."""
        arm, t = self.arm, self.training
        step = max(0, self.step - t.n_warmup)
        return temperature(step, t.n_steps - t.n_warmup, arm.start, arm.end, arm.shape, arm.reading)

    @torch.no_grad()
    def documents(self) -> Documents:
        """Return the model's vectors of all items, as at evaluation; through the bottleneck after the warm-up."""
        self.model.eval()
        made = self.model.documents(self.features, self.step > self.training.n_warmup)
        self.model.train()
        return made

    def _measure(self) -> None:
        """Measure on the validation split, and keep the model if it is the best so far."""
        made = self.documents()
        scores = self.judge.scores(self.model.user, made.vectors, self._valid)
        row = {"step": self.step, "loss": float(np.mean(self.losses)), "log_loss": scores.log_loss}
        row |= {"recall": scores.recall, "ndcg": scores.ndcg, "tau": self.temperature(), "resets": self.n_resets}
        if made.quantised is not None:
            for level, codes in enumerate(made.quantised.codes.T, 1):
                row[f"use_{level}"] = len(torch.unique(codes)) / self.arm.codebook_size
        # A model that does not use its bottleneck yet is no candidate.
        is_candidate = made.quantised is not None or self.model.bottleneck is None
        if is_candidate and scores.log_loss < self.best_loss:
            self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            self.best_step, self.best_loss = self.step, scores.log_loss
        self.curves.append(row)
        self.losses = []

    def adopt(self, warmed: "Trainer") -> None:
        """Start from the end of the warm-up of a model without a bottleneck, of the same seed."""
        self.model.load_state_dict(warmed.model.state_dict(), strict=False)  # all but this arm's bottleneck
        # A copy, or the next arm would begin with what this one leaves in it.
        self._load_moments(deepcopy(warmed.optimizer.state_dict()["state"]))
        tau = self.temperature()  # the start of this arm's own schedule
        self.step, self.losses = warmed.step, list(warmed.losses)
        self.curves = [{**row, "tau": tau} for row in warmed.curves]
        if self.model.bottleneck is None:
            self.best, self.best_step, self.best_loss = dict(warmed.best), warmed.best_step, warmed.best_loss

    # -- checkpoints ----------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """Return what a checkpoint must agree with to be loaded."""
        shapes = [list(self.features.shape), list(self.judge.examples.history_features.shape), len(self.judge.examples)]
        data = blake2b(self.features.cpu().numpy().tobytes(), digest_size=8)
        data.update(self.judge.examples.targets.tobytes())
        settings = {"arm": asdict(self.arm), "training": asdict(self.training), "random_state": self.random_state}
        return {**settings, "shapes": shapes, "data": data.hexdigest()}

    def digest(self) -> str:
        """Return a name of the arm, the training, the seed and the items."""
        return blake2b(json.dumps(self.about(), sort_keys=True).encode(), digest_size=6).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write all that is needed to go on later: a .safetensors file, whole or not at all."""
        from safetensors.torch import save

        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for i, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": tensor for name, tensor in moments.items()}
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        progressed = {name: getattr(self, name) for name in PROGRESSED}
        told = json.dumps({"about": self.about(), **progressed}, sort_keys=True)
        with files.replacing(path) as file:
            file.write(save(tensors, {KEY: told}))

    def load(self, path: str | Path) -> None:
        """Resume from the file that `save` wrote.

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
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = tensor
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            i, moment = name.split(".")
            moments.setdefault(int(i), {})[moment] = tensor
        self.model.load_state_dict(parts["model"])
        self._load_moments(moments)
        self.best = parts["best"]
        for name in PROGRESSED:
            setattr(self, name, told[name])

    def _load_moments(self, moments: dict[int, dict[str, Tensor]]) -> None:
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
