"""Two towers: one for users, one for items, with a bottleneck inside the second."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .bottleneck import Quantised, RQBottleneck


class Documents(NamedTuple):
    """Output of the document tower."""

    vectors: Tensor  # (n, dim), to be multiplied with users' vectors
    encoded: Tensor  # (n, dim), as they enter the bottleneck
    quantised: Quantised | None  # None where there is no bottleneck, or it is skipped


class TwoTower(nn.Module):
    """Scores of items for users: inner products of the vectors of two small networks.

    The user tower sees the mean content features of a history; the document tower those of one item: an encoder,
    the bottleneck, and a decoder. (Yi et al., "Sampling-bias-corrected neural modeling for large corpus item
    recommendations", 2019, without its item identifiers: an item is its content.)

    Both begin as a projection on `axes`, (dim, n_features), so that scores begin as content similarity. Towers of one
    `random_state` start alike with and without a bottleneck.
    """

    def __init__(self, axes: Tensor, hidden: int = 256, bottleneck: RQBottleneck | None = None, random_state: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random_state)
            self.user = Network(axes, hidden)
            self.encoder = Network(axes, hidden)
            self.decoder = Network(torch.eye(len(axes)), hidden)
        self.bottleneck = bottleneck

    def documents(self, features: Tensor, squeeze: bool = True, temperature: float | None = None) -> Documents:
        """Return vectors of items by their features, (n, n_features); `squeeze` sends them through the bottleneck."""
        encoded = self.encoder(features)
        if self.bottleneck is None or not squeeze:
            return Documents(self.decoder(encoded), encoded, None)
        quantised = self.bottleneck(encoded, temperature)
        return Documents(self.decoder(quantised.vectors), encoded, quantised)


class Network(nn.Module):
    """A linear map that begins as `start`, (n_out, n_in), plus a zero-initialised hidden layer."""

    def __init__(self, start: Tensor, hidden: int):
        super().__init__()
        n_out, n_in = start.shape
        self.linear = nn.Linear(n_in, n_out, bias=False)
        self.hidden, self.out = nn.Linear(n_in, hidden), nn.Linear(hidden, n_out)
        with torch.no_grad():
            self.linear.weight.copy_(start)
            self.out.weight.zero_()
            self.out.bias.zero_()

    def forward(self, rows: Tensor) -> Tensor:
        return self.linear(rows) + self.out(functional.relu(self.hidden(rows)))


def principal_axes(features: Tensor, dim: int, sharpness: float = 20.0) -> Tensor:
    """Return the directions along which features, (n, n_features), are longest: (dim, n_features).

    Each has length ``sqrt(sharpness)``: scores begin as that many times the inner product of projected features.
    """
    if dim > features.shape[1]:
        raise ValueError(f"dim is {dim}, but there are only {features.shape[1]} content features; take a smaller one")
    features = features.double()
    _, axes = torch.linalg.eigh(features.T @ features)  # columns, by growing length of the features along them
    return (sharpness**0.5 * axes[:, -dim:].flip(1).T).float()
