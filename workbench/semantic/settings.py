"""What is trained, and how: settings of the bottleneck, and of the training that all share."""

from dataclasses import dataclass

import numpy as np

from . import schedules
from .bottleneck import RQBottleneck
from .examples import TRAIN, Examples

STEPS = 200, 800  # at least and at most, where nobody says how many


@dataclass(frozen=True)
class Arm:
    """One way through the bottleneck.

    Parameters
    ----------
    estimator : {"ste", "rotation", "gumbel", "gumbel_detached"} or None
        See `RQBottleneck`, as for most of the following. None: a model without a bottleneck, the *upper* one.
    n_levels, codebook_size : int
    simvq, train_codebooks, ema_decay, beta, hard, scale
    start, end : float
        Temperatures of the Gumbel estimators, from the end of the warm-up to the last step.
    shape, reading : str
        How they change, see `schedules.temperature`.
    init : {"kmeans", "random"}
        Codebooks after the warm-up: residual k-means of what the tower makes of the items, or as drawn.
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
        """The module, fresh."""
        if self.init not in ("kmeans", "random"):
            raise ValueError(f"expected init 'kmeans' or 'random', got {self.init!r}")
        schedules.temperature(0, 1, self.start, self.end, self.shape, self.reading)
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
    """How long, and on what, all arms are trained alike.

    Parameters
    ----------
    n_steps : int
        Of the optimiser, AdamW, with a learning rate that falls by half a cosine.
    n_warmup : int
        The first of these, in which every arm is trained without its bottleneck.
    batch_size, n_negatives : int
        Examples in a step, and items drawn by popularity beside those that they want.
    dim, hidden : int
        Of the towers.
    learning_rate, weight_decay : float
        Of the towers.
    codebook_rate : float
        Learning rate of the codebooks, which do not decay. AdamW's steps are as large as the rate says, however
        small an entry is, and those of the last levels are small.
    loss_weight : float
        Of the bottleneck's losses beside the task's.
    eval_every : int
        Steps from one look at the validation split to the next. The best of these models is kept.
    n_valid : int
        Validation examples at most, a sample drawn once.
    reset_every : int
        Steps from one reset of dead entries to the next; 0 for none. The last fifth of the steps has none.
    """

    n_steps: int = 800
    n_warmup: int = 400
    batch_size: int = 256
    n_negatives: int = 384
    dim: int = 32
    hidden: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    codebook_rate: float = 2e-4
    loss_weight: float = 0.25
    eval_every: int = 50
    n_valid: int = 2_000
    reset_every: int = 50

    @classmethod
    def suited(cls, examples: Examples) -> "Training":
        """As long as so many examples bear, since few are soon learnt by heart; no wider than their features."""
        n_steps = int(np.clip((examples.split == TRAIN).sum() // 50, *STEPS))
        look, dim = n_steps // 16, min(cls.dim, examples.things.shape[1])
        return cls(n_steps=n_steps, n_warmup=n_steps // 2, dim=dim, eval_every=look, reset_every=look)

    def __post_init__(self) -> None:
        """Refuse what could not be trained."""
        least = {"n_steps": 1, "n_warmup": 0, "batch_size": 1, "n_negatives": 1, "dim": 1, "hidden": 1}
        least |= {"eval_every": 1, "n_valid": 1, "reset_every": 0}
        for name, low in least.items():
            if not isinstance(getattr(self, name), int) or getattr(self, name) < low:
                raise ValueError(f"expected {name} to be a whole number of at least {low}, got {getattr(self, name)!r}")
        if self.n_warmup >= self.n_steps:
            raise ValueError(f"a warm-up of {self.n_warmup} steps leaves none of {self.n_steps} for the bottleneck")
