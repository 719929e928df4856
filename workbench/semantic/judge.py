"""How well scores find what people want: log-loss, recall and NDCG over all items."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .examples import TRAIN, VALID
from .items import Items

N_FOUND = 10  # of recall and NDCG
PSEUDO_COUNTS = 10.0 ** np.arange(-1, 7)  # the last ones make all items alike
BLOCK = 512  # examples scored at once against every item


class Scores(NamedTuple):
    """Means over examples.

    Attributes
    ----------
    log_loss : float
        Negative log-likelihood of the item that came next, among all items; in nats.
    recall, ndcg : float
        Of that item, among the 10 with the greatest scores.
    n : int
        Examples.
    """

    log_loss: float
    recall: float
    ndcg: float
    n: int


class Judge:
    """Measures vectors of items and of users on a split of the examples.

    Popularity is not for the towers to learn: a score is the inner product plus the logarithm of
    how often an item was wanted in training, plus a number for all alike that the validation split
    chooses. Without vectors popularity alone is left, which is the *lower* end of what is retained.

    What an example has in its bag is no candidate, unless in training things that were met come next again.

    Parameters
    ----------
    items : Items
        With examples.

    Raises
    ------
    ValueError
        If there are no examples, or none to train on or to validate on.

    Attributes
    ----------
    popularity : (n_items,) float64 array
        Share of the training examples that want each item; sums to 1.
    leaves_out : bool
        Whether an example's bag is no candidate.
    device : torch.device
        Where to work: a GPU if torch sees one.
    """

    def __init__(self, items: Items):
        if items.examples is None:
            raise ValueError(
                f"{items.source} has no interactions, so there is nothing to learn from: add interactions.csv"
            )
        self.examples = items.examples
        n_train, n_valid = (int((self.examples.split == part).sum()) for part in (TRAIN, VALID))
        if not n_train or not n_valid:
            raise ValueError(
                f"there are {n_train} examples to train on and {n_valid} to validate on; "
                "give interactions of more users, or longer ones"
            )
        self.n_items = len(items.ids)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.leaves_out = (self.examples.things is items.features) and not self._repeats()
        self.popularity = self._popularity()
        self._log_popularity = torch.from_numpy(np.log(self.popularity)).float().to(self.device)  # (n_items,)

    def _popularity(self) -> np.ndarray:
        """Share of each item, (n_items,), smoothed as is best for the validation split."""
        examples = self.examples
        counts = np.bincount(examples.targets[examples.split == TRAIN], minlength=self.n_items)
        valid = np.flatnonzero(examples.split == VALID)
        wanted, bags = examples.targets[valid], examples.bags[valid]
        met = bags.astype(bool) if self.leaves_out else None
        best, least = counts, np.inf
        for more in PSEUDO_COUNTS:
            shares = (counts + more) / (counts + more).sum()
            left = 1.0 if met is None else 1 - met @ shares
            loss = float(np.mean(np.log(left) - np.log(shares[wanted])))
            if loss < least:
                best, least = shares, loss
        return best

    def _repeats(self) -> bool:
        """Whether in training an example's item may be one that is in its bag."""
        some = np.flatnonzero(self.examples.split == TRAIN)[:10_000]
        return self.examples.bags[some, self.examples.targets[some]].sum() > 0

    def validation(self, most: int) -> np.ndarray:
        """Numbers of validation examples, ascending; of more than `most` a sample, always the same."""
        drawn = np.random.default_rng(0).permutation(np.flatnonzero(self.examples.split == VALID))
        return np.sort(drawn[:most])

    def bags(self, which: np.ndarray) -> Tensor:
        """Mean features of what these examples met: (b, d)."""
        return torch.from_numpy(self.examples.bags[which] @ self.examples.things).to(self.device)

    def left_out(self, which: np.ndarray) -> tuple[Tensor, Tensor] | None:
        """Places of what is in these examples' bags, in a table of examples and items; None if nothing is left out."""
        if not self.leaves_out:
            return None
        rows, columns = self.examples.bags[which].nonzero()
        return torch.from_numpy(rows).long().to(self.device), torch.from_numpy(columns).long().to(self.device)

    @torch.no_grad()
    def scores(self, user: torch.nn.Module | None, vectors: Tensor | None, which: np.ndarray) -> Scores:
        """Measure on these examples.

        Parameters
        ----------
        user : module, optional
            From the mean features of a bag, (b, d), to a user's vector, (b, dim).
        vectors : (n_items, dim) tensor, optional
            Of all items. Without them, popularity alone.
        which : (m,) int array
            Numbers of examples.
        """
        totals = np.zeros(3)
        for start in range(0, len(which), BLOCK):
            block = which[start : start + BLOCK]
            logits = self._log_popularity.repeat(len(block), 1)  # (b, n_items)
            if user is not None and vectors is not None:
                logits.addmm_(user(self.bags(block)), vectors.T)
            wanted = torch.from_numpy(self.examples.targets[block]).long().to(self.device)[:, None]
            own = logits.gather(1, wanted)  # (b, 1)
            met = self.left_out(block)
            if met is not None:
                logits[met] = -torch.inf
                logits.scatter_(1, wanted, own)
            totals[0] += functional.cross_entropy(logits, wanted[:, 0], reduction="sum").item()
            ranks = (logits > own).sum(1) + ((logits == own).sum(1) - 1) / 2  # (b,), from 0; ties in the middle
            found = ranks[ranks < N_FOUND]
            totals[1:] += len(found), (1 / torch.log2(found + 2)).sum().item()
        log_loss, recall, ndcg = (totals / max(len(which), 1)).tolist()
        return Scores(log_loss, recall, ndcg, len(which))
