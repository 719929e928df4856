"""Measures of a model's scores: log-loss, recall and NDCG over all items."""

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
    """Means over examples."""

    log_loss: float  # negative log-likelihood of the item that came next, among all items; in nats
    recall: float  # of that item, among the 10 with the highest scores
    ndcg: float  # likewise
    n: int  # examples


class Judge:
    """Measures vectors of items and of users on a split of the examples.

    A score is the inner product plus the logarithm of the item's popularity, so that the towers need not learn
    that. Without vectors popularity alone is left: the *lower* end of what is retained. Items in the history
    are excluded unless training contains repeats.

    Attributes
    ----------
    popularity : (n_items,) float64 array
        Share of the training examples with each target, smoothed as is best in validation; sums to 1.
    excludes_history : bool
    device : torch.device
        A GPU if torch sees one.
    """

    def __init__(self, items: Items):
        if items.examples is None:
            raise ValueError(
                f"{items.source} has no interactions, so there is nothing to learn from: add interactions.csv"
            )
        self.examples, self.n_items = items.examples, len(items.ids)
        history, targets = self.examples.history, self.examples.targets
        train, valid = (np.flatnonzero(self.examples.split == part) for part in (TRAIN, VALID))
        if not len(train) or not len(valid):
            raise ValueError(
                f"there are {len(train)} examples to train on and {len(valid)} to validate on; "
                "give interactions of more users, or longer ones"
            )
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        some = train[:10_000]
        is_of_items = self.examples.history_features is items.features
        self.excludes_history = is_of_items and history[some, targets[some]].sum() == 0
        counts = np.bincount(targets[train], minlength=self.n_items)
        met = history[valid].astype(bool) if self.excludes_history else None
        self.popularity, least = counts / counts.sum(), np.inf
        for more in PSEUDO_COUNTS:
            shares = (counts + more) / (counts + more).sum()
            left = 1.0 if met is None else 1 - met @ shares
            loss = float(np.mean(np.log(left) - np.log(shares[targets[valid]])))
            if loss < least:
                self.popularity, least = shares, loss
        self._log_popularity = torch.from_numpy(np.log(self.popularity)).float().to(self.device)  # (n_items,)

    def validation(self, n: int) -> np.ndarray:
        """Return numbers of validation examples, ascending; of more than `n` a sample, always the same."""
        drawn = np.random.default_rng(0).permutation(np.flatnonzero(self.examples.split == VALID))
        return np.sort(drawn[:n])

    def history(self, which: np.ndarray) -> Tensor:
        """Return mean features of these examples' histories: (b, d)."""
        return torch.from_numpy(self.examples.history[which] @ self.examples.history_features).to(self.device)

    def no_rivals(self, which: np.ndarray, candidates: np.ndarray) -> Tensor:
        """Return where a candidate must not count against an example: its own item again, or one in its history.

        Of the items, (n,), the first are the targets of these examples, (b,). The result is (b, n).
        """
        numbers = torch.from_numpy(candidates).to(self.device)
        excluded = numbers[None] == numbers[: len(which), None]
        if self.excludes_history:
            met = self.examples.history[which][:, candidates].toarray() > 0
            excluded |= torch.from_numpy(met).to(self.device)
        return excluded.fill_diagonal_(False)

    @torch.no_grad()
    def scores(self, user: torch.nn.Module | None, vectors: Tensor | None, which: np.ndarray) -> Scores:
        """Measure on these examples: a user tower and vectors of all items, (n_items, dim), or popularity alone."""
        totals = np.zeros(3)
        for start in range(0, len(which), BLOCK):
            block = which[start : start + BLOCK]
            logits = self._log_popularity.repeat(len(block), 1)  # (b, n_items)
            if user is not None and vectors is not None:
                logits.addmm_(user(self.history(block)), vectors.T)
            wanted = torch.from_numpy(self.examples.targets[block]).long().to(self.device)[:, None]
            own = logits.gather(1, wanted)  # (b, 1)
            if self.excludes_history:
                met = self.examples.history[block].nonzero()  # rows and columns
                logits[tuple(torch.from_numpy(numbers).long().to(self.device) for numbers in met)] = -torch.inf
                logits.scatter_(1, wanted, own)
            totals[0] += functional.cross_entropy(logits, wanted[:, 0], reduction="sum").item()
            ranks = (logits > own).sum(1) + ((logits == own).sum(1) - 1) / 2  # (b,), from 0; ties in the middle
            found = ranks[ranks < N_FOUND]
            totals[1:] += len(found), (1 / torch.log2(found + 2)).sum().item()
        log_loss, recall, ndcg = (totals / max(len(which), 1)).tolist()
        return Scores(log_loss, recall, ndcg, len(which))
