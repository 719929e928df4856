"""Which loss reaches which part of a bottleneck, and whether it should."""

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import pandas as pd

FLOWS, ZERO, CUT, LEAKS, BROKEN = "flows", "zero, as it should be", "cut", "leaks", "not finite"
PARTS = {"encoder": "the encoder", "codebook": "the codebook", "projection": "the projection W"}
LOSSES = {"task": "the task", "codebook": "the codebook loss", "commitment": "the commitment loss"}
WHERE_TO_LOOK = {  # by loss and part
    ("task", "encoder"): "check for a detach between the rows and the vectors; with Gumbel, of the distances",
    ("task", "codebook"): "check for a detach of the entries where they are mixed",
    ("task", "projection"): "check that the entries are C @ W wherever they are mixed, without a detach",
    ("codebook", "codebook"): "check that the loss holds the entries themselves and the rows detached, not the reverse",
    ("codebook", "projection"): "check that the loss is of C @ W, without a detach",
    ("commitment", "encoder"): "check that the loss holds what is left over of the rows, not a detached copy",
}


def gradient_flow(bottleneck: nn.Module, z: Tensor, task: Callable[[Tensor], Tensor]) -> "pd.DataFrame":
    """Gradient of each loss alone at each part of a bottleneck, beside what the mathematics expects.

    From the task, rows get a gradient whatever the estimator, entries only where they are mixed
    (Gumbel). The codebook loss is for the entries alone, the commitment loss for the rows alone.
    A copy is measured, as in training; the module, its gradients and torch's random numbers stay
    as they are.

    Parameters
    ----------
    bottleneck : RQBottleneck, or a module like it
        With `codebooks` and perhaps `projections`, `estimator` and `ema_decay`, which gives back
        `vectors` and `losses`. A subclass may have its own ``forward``: that is what is looked at.
    z : (n, dim) tensor
        Rows that its codes do not match exactly, of an encoder.
    task : callable
        The task's loss, a scalar, of the vectors, (n, dim).

    Returns
    -------
    DataFrame
        A row for each loss (task, codebook, commitment), part (encoder, codebook, projection) and level:
        ``loss``, ``part``, ``level`` (from 1; of the codebook or projection; for the encoder that of the
        commitment loss, 0 from all), ``norm`` of the gradient, ``expected``, ``verdict``
        ("flows", "zero, as it should be", "cut", "leaks" or "not finite").
    """
    import pandas as pd

    module: Any = deepcopy(bottleneck).train()
    rows = z.detach().clone().requires_grad_()
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(0)
        out = module(rows)
        books, projections = module.codebooks, getattr(module, "projections", None)
        losses, table = {"task": task(out.vectors), **out.losses._asdict()}, []
        for name in LOSSES:
            table += _at_entries(name, losses[name], "codebook", books, _expected(module, name))
            if projections is not None:
                table += _at_entries(name, losses[name], "projection", projections, _expected(module, name))
        table.append(_row("task", "encoder", 0, _gradient(losses["task"], rows), True))
        table.append(_row("codebook", "encoder", 0, _gradient(losses["codebook"].sum(), rows), False))
        for level, loss in enumerate(losses["commitment"], 1):
            table.append(_row("commitment", "encoder", level, _gradient(loss, rows), bool(loss != 0)))
    frame = pd.DataFrame(table)
    places = frame["loss"].map(list(LOSSES).index) * len(PARTS) + frame["part"].map(list(PARTS).index)
    return frame.iloc[places.argsort(kind="stable")].reset_index(drop=True)


def gradient_warnings(frame: "pd.DataFrame") -> list[str]:
    """What is wrong in a table of `gradient_flow`, in sentences; none where nothing is."""
    found = []
    for (loss, part, verdict), group in frame.groupby(["loss", "part", "verdict"], sort=False):
        if verdict in (FLOWS, ZERO):
            continue
        numbers = [str(level) for level in group["level"] if level]
        levels = f" (level{'s' * (len(numbers) > 1)} {', '.join(numbers)})" if numbers else ""
        if verdict == CUT:
            hint = WHERE_TO_LOOK[loss, part]
            found.append(f"no gradient reaches {PARTS[part]} from {LOSSES[loss]}{levels}: {hint}")
        elif verdict == LEAKS:
            found.append(f"{LOSSES[loss]} reaches {PARTS[part]}{levels}, which it should not: a detach is missing")
        else:
            found.append(
                f"the gradient of {LOSSES[loss]} at {PARTS[part]}{levels} is not finite: look for 0/0 or overflow"
            )
    return found


def _expected(module: Any, loss: str) -> bool:
    """Whether a loss should reach the entries, where these are trained at all."""
    if loss == "task":
        return str(getattr(module, "estimator", "")).startswith("gumbel")
    return loss == "codebook" and getattr(module, "ema_decay", None) is None


def _at_entries(loss: str, value: Tensor, part: str, leaf: Tensor, expected: bool) -> list[dict]:
    """Rows of the codebooks or projections, (n_levels, ...), level by level."""
    table = []
    for level, gradient in enumerate(_gradient(value.sum(), leaf), 1):
        # A level that misses nothing has nothing to learn from its codebook loss.
        at_work = loss != "codebook" or bool(value[level - 1] != 0)
        table.append(_row(loss, part, level, gradient, expected and leaf.requires_grad and at_work))
    return table


def _gradient(loss: Tensor, leaf: Tensor) -> Tensor:
    """Gradient of a loss at a leaf of the graph; zero where none arrives."""
    if not (loss.requires_grad and leaf.requires_grad):
        return torch.zeros_like(leaf)
    (found,) = torch.autograd.grad(loss, leaf, retain_graph=True, allow_unused=True)
    return torch.zeros_like(leaf) if found is None else found


def _row(loss: str, part: str, level: int, gradient: Tensor, expected: bool) -> dict:
    norm = float(gradient.norm())
    if norm - norm != 0:
        verdict = BROKEN
    elif expected:
        verdict = FLOWS if norm else CUT
    else:
        verdict = LEAKS if norm else ZERO
    return {"loss": loss, "part": part, "level": level, "norm": norm, "expected": expected, "verdict": verdict}
