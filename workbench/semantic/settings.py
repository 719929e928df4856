"""Settings of one way through the bottleneck (`Arm`), and of the training that all arms share (`Training`)."""

import math
from dataclasses import dataclass, fields

import numpy as np

from .bottleneck import RQBottleneck
from .examples import TRAIN, Examples

MIN_STEPS, MAX_STEPS = 200, 800  # where the number of examples decides
SHAPES = {  # between two numbers, by the share of the way
    "linear": lambda start, end, share: start + (end - start) * share,
    "exponential": lambda start, end, share: start * (end / start) ** share,
    "cosine": lambda start, end, share: start + (end - start) * ((1 - math.cos(math.pi * share)) / 2),
}
READINGS = ("tau", "1/tau")


def temperature(
    step: int,
    n_steps: int,
    start: float = math.exp(-1),
    end: float = 1.0,
    shape: str = "exponential",
    reading: str = "tau",
) -> float:
    """Return the temperature at a step: `start` at 0, `end` from `n_steps` on.

    A pure function of the step: a temperature that is decayed in place depends on how often it was
    asked for, and starts over after a checkpoint.

    Parameters
    ----------
    shape : {"linear", "exponential", "cosine"}
        Equal differences, equal ratios, or half a cosine wave (Loshchilov and Hutter, "SGDR", 2017).
    reading : {"tau", "1/tau"}
        What `start`, `end` and the shape mean: the temperature or its inverse. Papers differ.
    """
    if shape not in SHAPES or reading not in READINGS:
        known = f"a shape of {tuple(SHAPES)} and a reading of {READINGS}"
        raise ValueError(f"expected {known}, got {shape!r} and {reading!r}")
    if step < 0 or n_steps < 1 or not (0 < start < math.inf and 0 < end < math.inf):
        raise ValueError(
            f"expected a step from 0, n_steps from 1, and start and end above 0, got {step}, {n_steps}, {start}, {end}"
        )
    value = end if step >= n_steps else SHAPES[shape](start, end, step / n_steps)
    return value if reading == "tau" else 1 / value


@dataclass(frozen=True)
class Arm:
    """One way through the bottleneck: parameters of `RQBottleneck`, and of their change in training.

    Parameters
    ----------
    estimator : {"ste", "rotation", "gumbel", "gumbel_detached"} or None
        None: a model without a bottleneck, the *upper* one.
    n_levels, codebook_size, simvq, train_codebooks, ema_decay, beta, hard, scale
        See `RQBottleneck`.
    start, end, shape, reading
        Temperatures of the Gumbel estimators, from the end of the warm-up to the last step, see `temperature`.
    init : {"kmeans", "random"}
        Codebooks after the warm-up: residual k-means of the encoded items, or as drawn.
    """

    estimator: str | None = "ste"
    n_levels: int = 8
    codebook_size: int = 256
    simvq: bool = False
    train_codebooks: bool = True
    ema_decay: float | None = None
    beta: float = 0.25
    hard: bool = False
    scale: str = "nearest"
    start: float = 1.0
    end: float = 1.0
    shape: str = "exponential"
    reading: str = "tau"
    init: str = "kmeans"

    def bottleneck(self, dim: int, random_state: int) -> RQBottleneck | None:
        """Return a new module, after a check of all settings."""
        if self.init not in ("kmeans", "random"):
            raise ValueError(f"expected init 'kmeans' or 'random', got {self.init!r}")
        temperature(0, 1, self.start, self.end, self.shape, self.reading)
        if self.estimator is None:
            return None
        return RQBottleneck(
            self.n_levels, self.codebook_size, dim, self.estimator, simvq=self.simvq,
            train_codebooks=self.train_codebooks, ema_decay=self.ema_decay, beta=self.beta, hard=self.hard,
            scale=self.scale, random_state=random_state,
        )  # fmt: skip


UPPER = Arm(estimator=None)


@dataclass(frozen=True)
class Training:
    """Settings of a training, the same for all arms: AdamW, with a learning rate that falls by half a cosine."""

    n_steps: int = 800
    n_warmup: int = 400  # the first of these steps, without the bottleneck
    batch_size: int = 256  # examples in a step
    n_negatives: int = 384  # items drawn by popularity beside the targets of these examples
    dim: int = 32  # of the towers, as the next three
    hidden: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    codebook_rate: float = 2e-4  # smaller: AdamW's steps do not depend on how small the entries of a level are
    loss_weight: float = 0.25  # of the bottleneck's losses beside the task's
    eval_every: int = 50  # steps between measurements on the validation split; the best of these models is kept
    n_valid: int = 2_000  # validation examples at most, a sample drawn once
    reset_every: int = 50  # steps between resets of dead entries, 0 for none; the last fifth of the steps has none

    @classmethod
    def suited(cls, examples: Examples) -> "Training":
        """Return settings for these examples: few are soon overfitted, and `dim` is at most that of their features."""
        n_steps = int(np.clip((examples.split == TRAIN).sum() // 50, MIN_STEPS, MAX_STEPS))
        look, dim = n_steps // 16, min(cls.dim, examples.history_features.shape[1])
        return cls(n_steps=n_steps, n_warmup=n_steps // 2, dim=dim, eval_every=look, reset_every=look)

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be trained with."""
        for field in fields(self):
            low, value = int(field.name not in ("n_warmup", "reset_every")), getattr(self, field.name)
            if field.type is int and not (isinstance(value, int) and value >= low):
                raise ValueError(f"expected {field.name} to be a whole number of at least {low}, got {value!r}")
        if self.n_warmup >= self.n_steps:
            raise ValueError(f"a warm-up of {self.n_warmup} steps leaves none of {self.n_steps} for the bottleneck")
