"""Two towers: one for who asks, one for what may be found, with a bottleneck inside the second."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .bottleneck import Quantised, RQBottleneck


class Documents(NamedTuple):
    """What the document tower makes of items.

    Attributes
    ----------
    vectors : (n, dim) tensor
        To be multiplied with users' vectors.
    encoded : (n, dim) tensor
        As they enter the bottleneck.
    quantised : Quantised or None
        What the bottleneck gave back; None where there is none, or where it is left out.
    """

    vectors: Tensor
    encoded: Tensor
    quantised: Quantised | None


class TwoTower(nn.Module):
    """Scores of items for users: inner products of what two small networks make of them.

    The user tower sees the mean of the content features of what a user met before; the document
    tower sees those of the item alone: an encoder, the bottleneck, and a decoder of what comes out.
    (Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations",
    2019, without its item identifiers: an item is its content.)

    Parameters
    ----------
    n_features, n_user_features : int
        Content features of an item, and of what a user met.
    dim, hidden : int
        Width of the vectors, and of the hidden layer of each network.
    bottleneck : RQBottleneck, optional
    random_state : int
        Seed of the weights. Towers of one seed start alike with and without a bottleneck.
    """

    def __init__(
        self,
        n_features: int,
        n_user_features: int,
        dim: int = 32,
        hidden: int = 256,
        bottleneck: RQBottleneck | None = None,
        random_state: int = 0,
    ):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random_state)
            self.user = tower(n_user_features, hidden, dim)
            self.encoder = tower(n_features, hidden, dim)
            self.decoder = tower(dim, hidden, dim)
        self.bottleneck = bottleneck

    def documents(self, features: Tensor, squeeze: bool = True, temperature: float | None = None) -> Documents:
        """Vectors of items.

        Parameters
        ----------
        features : (n, n_features) tensor
        squeeze : bool
            Whether to go through the bottleneck; not so while the towers warm up.
        temperature : float, optional
            See `RQBottleneck`.
        """
        encoded = self.encoder(features)
        if self.bottleneck is None or not squeeze:
            return Documents(self.decoder(encoded), encoded, None)
        quantised = self.bottleneck(encoded, temperature)
        return Documents(self.decoder(quantised.vectors), encoded, quantised)


def tower(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    """A network with one hidden layer."""
    return nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, n_out))
