"""Temperatures that change in the course of training."""

import math


def temperature(
    step: int,
    n_steps: int,
    start: float = math.exp(-1),
    end: float = 1.0,
    shape: str = "exponential",
    reading: str = "tau",
) -> float:
    """Temperature at a step of training; a pure function of the step.

    Nothing is multiplied from step to step: a temperature that is decayed in place depends on how
    often it was asked for, and one resumed from a checkpoint starts over.

    Parameters
    ----------
    step : int
        From 0, where the temperature is that of `start`.
    n_steps : int
        The step at which `end` is reached, and stays.
    start, end : float
        Above 0; either may be the greater.
    shape : {"linear", "exponential", "cosine"}
        In equal differences; in equal ratios; in half a cosine wave, slow at both ends
        (Loshchilov and Hutter, "SGDR", 2017).
    reading : {"tau", "1/tau"}
        What `start`, `end` and the shape speak of: the temperature or its inverse. Papers differ.

    Returns
    -------
    float
        The temperature itself, whatever the reading.
    """
    if shape not in SHAPES or reading not in READINGS:
        raise ValueError(
            f"expected a shape of {tuple(SHAPES)} and a reading of {READINGS}, got {shape!r} and {reading!r}"
        )
    if step < 0 or n_steps < 1 or not (0 < start < math.inf and 0 < end < math.inf):
        raise ValueError(
            f"expected a step from 0, n_steps from 1, and start and end above 0, got {step}, {n_steps}, {start}, {end}"
        )
    value = end if step >= n_steps else SHAPES[shape](start, end, step / n_steps)
    return value if reading == "tau" else 1 / value


def linear(start: float, end: float, share: float) -> float:
    """Between two numbers, in equal differences."""
    return start + (end - start) * share


def exponential(start: float, end: float, share: float) -> float:
    """Between two numbers, in equal ratios."""
    return start * (end / start) ** share


def cosine(start: float, end: float, share: float) -> float:
    """Between two numbers, in half a cosine wave."""
    return linear(start, end, (1 - math.cos(math.pi * share)) / 2)


SHAPES = {"linear": linear, "exponential": exponential, "cosine": cosine}
READINGS = ("tau", "1/tau")
