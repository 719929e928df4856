"""Residual codes: the nearest entry of each level to what the levels before left over; losses."""

from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor


class Losses(NamedTuple):
    """What to add to the task's loss. Squared distances, summed over a row and averaged over rows.

    Attributes
    ----------
    codebook : (n_levels,) tensor
        Draws the entries to what they stand for; reaches the codebooks alone.
    commitment : (n_levels,) tensor
        Draws the rows to their entries; reaches the rows alone, from every level.
    total : () tensor
        ``codebook.sum() + beta * commitment.sum()``; the former is left out where codebooks are
        moving averages.
    """

    codebook: Tensor
    commitment: Tensor
    total: Tensor


def nearest(rows: Tensor, entries: Tensor) -> Tensor:
    """Number of the entry nearest to each row; of equally near ones the lowest.

    A row's code does not depend on the rows beside it. A matrix product rounds differently from
    one batch size to another, in its last bits; so rows for which those bits could decide (ties,
    repeated entries) are measured again pair by pair, where nothing but the pair goes into a distance.

    Parameters
    ----------
    rows : (n, dim) float64 tensor
    entries : (n_entries, dim) float64 tensor

    Returns
    -------
    (n,) int64 tensor
    """
    # Half the squared distance, less a part of the row's own: (n, n_entries).
    scores = torch.addmm(entries.square().sum(1) / 2, rows, entries.T, alpha=-1)
    least, codes = scores.min(1)
    second = scores.scatter_(1, codes[:, None], torch.inf).amin(1)
    reach = rows.norm(dim=1) + entries.norm(dim=1).max()  # (n,)
    slack = 4 * (rows.shape[1] + 4) * torch.finfo(rows.dtype).eps * reach.square()  # more than rounding does
    close = (second <= least + slack).nonzero()[:, 0]
    exact = torch.cdist(rows[close], entries, compute_mode="donot_use_mm_for_euclid_dist")
    codes[close] = exact.argmin(1)
    return codes


def greedy_codes(rows: Tensor, codebooks: Tensor) -> Tensor:
    """Residual codes, greedily: the nearest entry of each level in turn.

    Parameters
    ----------
    rows : (n, dim) tensor
    codebooks : (n_levels, n_entries, dim) tensor

    Returns
    -------
    (n, n_levels) int64 tensor; each row's own, whatever rows are beside it and in which order.
    """
    left, codebooks = rows.double(), codebooks.double()
    codes = []
    for entries in codebooks:
        codes.append(nearest(left, entries))
        left = left - entries[codes[-1]]
    return torch.stack(codes, dim=1)


def pick(codebooks: Tensor, codes: Tensor) -> Tensor:
    """The entries that codes, (n, n_levels), name: (n, n_levels, dim)."""
    return codebooks[torch.arange(len(codebooks), device=codes.device), codes]


def add_up(picked: Tensor) -> Tensor:
    """Over the levels in order, as `Coded` does: (n, dim)."""
    return reduce(torch.add, picked.unbind(1))


def residual_losses(rows: Tensor, picked: Tensor, beta: float, codebook: bool = True) -> Losses:
    """Losses of rows, (n, dim), and the entries that their codes name, (n, n_levels, dim).

    Parameters
    ----------
    beta : float
        Weight of the commitment loss in the total.
    codebook : bool
        Whether the codebook loss is in the total.
    """
    left, by_codebook, by_commitment = rows, [], []
    for entries in picked.unbind(1):
        by_codebook.append((left.detach() - entries).square().sum(1).mean())
        by_commitment.append((left - entries.detach()).square().sum(1).mean())
        left = left - entries.detach()
    total = beta * torch.stack(by_commitment).sum() + codebook * torch.stack(by_codebook).sum()
    return Losses(torch.stack(by_codebook), torch.stack(by_commitment), total)
