"""A table of which loss reaches which part of a bottleneck, beside what the mathematics expects."""

import math
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
    """Return the gradient of each loss alone at each part of a bottleneck, beside what is expected.

    The task reaches rows whatever the estimator, and entries only where they are mixed (Gumbel).
    The codebook loss is for the entries alone, the commitment loss for the rows alone.
    A copy is measured, as in training; the module, its gradients and torch's random numbers stay as they are.

    Parameters
    ----------
    bottleneck : RQBottleneck, or a module like it
        With `codebooks` and perhaps `projections`, `estimator` and `ema_decay`, whose own ``forward`` returns
        `vectors` and `losses`.
    z : (n, dim) tensor
        Encoded rows that its codes do not match exactly.
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
    is_mixed = str(getattr(module, "estimator", "")).startswith("gumbel")
    trains_entries = {"task": is_mixed, "codebook": getattr(module, "ema_decay", None) is None, "commitment": False}
    table = []
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(0)
        out = module(rows)
        losses = {"task": task(out.vectors), **out.losses._asdict()}
        leaves = {"codebook": module.codebooks, "projection": getattr(module, "projections", None)}
        for loss in LOSSES:
            value = losses[loss]
            if loss == "commitment":
                found = [("encoder", at, _gradient(term, rows), bool(term != 0)) for at, term in enumerate(value, 1)]
            else:
                found = [("encoder", 0, _gradient(value.sum(), rows), loss == "task")]
            for part, leaf in leaves.items():
                if leaf is None:
                    continue
                for level, gradient in enumerate(_gradient(value.sum(), leaf), 1):
                    # A level without error has nothing to learn from its codebook loss.
                    has_error = loss != "codebook" or bool(value[level - 1] != 0)
                    found.append((part, level, gradient, trains_entries[loss] and leaf.requires_grad and has_error))
            for part, level, gradient, expected in found:
                norm = float(gradient.norm())
                if not math.isfinite(norm):
                    verdict = BROKEN
                elif expected:
                    verdict = FLOWS if norm else CUT
                else:
                    verdict = LEAKS if norm else ZERO
                table.append((loss, part, level, norm, expected, verdict))
    return pd.DataFrame(table, columns=["loss", "part", "level", "norm", "expected", "verdict"])


def gradient_warnings(frame: "pd.DataFrame") -> list[str]:
    """Return what is wrong in a table of `gradient_flow`, in sentences; an empty list if nothing is."""
    found = []
    for (loss, part, verdict), group in frame.groupby(["loss", "part", "verdict"], sort=False):
        numbers = [str(level) for level in group["level"] if level]
        levels = f" (level{'s' * (len(numbers) > 1)} {', '.join(numbers)})" if numbers else ""
        where = f"{PARTS[part]}{levels}"
        if verdict == CUT:
            hint = WHERE_TO_LOOK[loss, part]
            found.append(f"no gradient reaches {PARTS[part]} from {LOSSES[loss]}{levels}: {hint}")
        elif verdict == LEAKS:
            found.append(f"{LOSSES[loss]} reaches {where}, which it should not: a detach is missing")
        elif verdict == BROKEN:
            found.append(f"the gradient of {LOSSES[loss]} at {where} is not finite: look for 0/0 or overflow")
    return found


def _gradient(loss: Tensor, leaf: Tensor) -> Tensor:
    """Return the gradient of a loss at a leaf of the graph; zero where none arrives."""
    if not (loss.requires_grad and leaf.requires_grad):
        return torch.zeros_like(leaf)
    (found,) = torch.autograd.grad(loss, leaf, retain_graph=True, allow_unused=True)
    return torch.zeros_like(leaf) if found is None else found
