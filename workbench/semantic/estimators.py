"""Gradients through a choice that has none: straight-through, rotation, Gumbel-softmax."""

import torch
from torch import Tensor
from torch.nn import functional

NEAR_ZERO = 1e-6  # a vector this much shorter than the other has no direction to speak of
SCALES = ("nearest", "std", "none")


def straight_through(z: Tensor, q: Tensor) -> Tensor:
    """`q`, with the gradient handed to `z` as it is (van den Oord, Vinyals and Kavukcuoglu, 2017).

    In a residual stack `q` is the sum over all levels: applied level by level, the Jacobian would
    be the number of levels times the identity.

    Parameters
    ----------
    z, q : (n, dim) tensors
        What was quantised, and into what; no gradient reaches `q`.

    Returns
    -------
    (n, dim) tensor, equal to `q` to the bit.
    """
    return q.detach() + (z - z.detach())


def rotation(z: Tensor, q: Tensor) -> Tensor:
    """`q`, as the rotation and stretching that takes `z` there (Fifty et al., "the rotation trick", 2024).

    The gradient is turned and stretched as `z` was: the Jacobian is ``|q| / |z|`` times an
    orthogonal matrix, held constant. It is a product of two reflections, along `z` and along the
    bisector. Where either vector is next to nothing beside the other, straight-through.

    Parameters
    ----------
    z, q : (n, dim) tensors
        As in `straight_through`.

    Returns
    -------
    (n, dim) tensor, equal to `q` to the bit.
    """
    with torch.no_grad():
        lengths = torch.cat([z.norm(dim=1, keepdim=True), q.norm(dim=1, keepdim=True)], dim=1)  # (n, 2)
        turned = lengths.amin(1, keepdim=True) > NEAR_ZERO * lengths.amax(1, keepdim=True)  # (n, 1)
        u = torch.where(turned, z / lengths[:, :1], 0)
        v = torch.where(turned, q / lengths[:, 1:], 0)
        between = u + v
        length = between.norm(dim=1, keepdim=True)
        w = torch.where(length > NEAR_ZERO, between / length, 0)  # opposite vectors: one reflection does
        stretch = torch.where(turned, lengths[:, 1:] / lengths[:, :1], 1)
    moved = z - 2 * (z * u).sum(1, keepdim=True) * u
    moved = stretch * (moved - 2 * (moved * w).sum(1, keepdim=True) * w)
    return q.detach() + (moved - moved.detach())


def gumbel(
    z: Tensor,
    codebooks: Tensor,
    temperature: float,
    hard: bool = False,
    scale: str = "nearest",
    detached: bool = False,
) -> Tensor:
    """A sum of mixtures of entries, drawn level by level (Jang, Gu and Poole, 2016; Maddison, Mnih and Teh, 2016).

    ``p = softmax((-D / s + g) / temperature)`` with `D` the squared distances of what is left over
    to the entries and `g` Gumbel noise. Distances and what is left over stay in the graph.

    Parameters
    ----------
    z : (n, dim) tensor
    codebooks : (n_levels, n_entries, dim) tensor
    temperature : float
        Above 0; the smaller, the nearer a mixture is to one entry. Which one is drawn foremost does
        not depend on it, but on the scale.
    hard : bool
        Take the likeliest entry of each draw, with the gradient of the mixture.
    scale : {"nearest", "std", "none"}
        What distances are divided by, so that a temperature means the same whatever the data's
        scale: the batch's mean distance to the nearest entry, their standard deviation, or 1.

    Returns
    -------
    (n, dim) tensor; the noise is torch's, seeded by ``torch.manual_seed``.
    """
    if not temperature > 0:
        raise ValueError(f"expected a temperature above 0, got {temperature}")
    left, total = z, torch.zeros_like(z)
    for entries in codebooks:
        distances = squared_distances(left, entries)  # (n, n_entries)
        distances = distances.detach() if detached else distances
        drawn = mixture(distances, temperature, hard, scale) @ entries  # (n, dim)
        left, total = left - drawn, total + drawn
    return total


def squared_distances(rows: Tensor, entries: Tensor) -> Tensor:
    """Of each row to each entry: (n, n_entries), in the graph."""
    return torch.addmm(entries.square().sum(1), rows, entries.T, alpha=-2) + rows.square().sum(1, keepdim=True)


def mixture(distances: Tensor, temperature: float, hard: bool, scale: str) -> Tensor:
    """Weights of the entries, drawn at random, by their distances: (n, n_entries), rows sum to 1."""
    waits = torch.empty_like(distances).exponential_().clamp_min_(torch.finfo(distances.dtype).tiny)
    noise = waits.log_().neg_()  # Gumbel's
    weights = functional.softmax((noise - distances / unit(distances, scale)) / temperature, dim=1)
    if not hard:
        return weights
    chosen = functional.one_hot(weights.argmax(1), weights.shape[1]).to(weights)
    return chosen + (weights - weights.detach())


def unit(distances: Tensor, scale: str) -> Tensor:
    """What to divide distances by: a number, never zero, and held constant."""
    distances = distances.detach()
    if scale == "none":
        return distances.new_ones(())
    number = distances.amin(1).mean() if scale == "nearest" else distances.std(correction=0)
    least = torch.finfo(distances.dtype).tiny / NEAR_ZERO
    return number.clamp_min(NEAR_ZERO * distances.mean().clamp_min(least))
