"""Token distillation: rows of new tokens, trained until a network's states are those that it had with its old ones."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import progress
from ..threads import one_thread
from .config import WORDS
from .network import BATCH, Network
from .pieces import Piece, pieces
from .task import drawn_places, tenth
from .tokens import PieceTokenizer
from .training import N_LOOKS, drawn

RATE = 1e-2  # of Adam, falling to 0; compared on MiniLM
N_HELD = 200  # texts in a look


class Distillation:
    """Rows of new tokens and the network that they are for (Dobler, Elliott and de Melo, 2026).

    The loss is the squared difference of last states, with the new tokens and with the old ones, at tokens that end at
    the same character of a text, as the last piece of a word and the token that is the whole word do.

    Parameters
    ----------
    old : Network
        With a `PieceTokenizer`.
    new : PieceTokenizer
    rows : (n_new, dim) float32 array
        Of all tokens of `new`.
    is_new : (n_new,) bool array
        Which rows are trained.
    """

    def __init__(self, old: Network, new: PieceTokenizer, rows: np.ndarray, is_new: np.ndarray):
        assert isinstance(old.tokenizer, PieceTokenizer)
        self.tokenizers, self.max_tokens, self.module = (old.tokenizer, new), old.config.max_tokens, old.module()
        self.device = next(self.module.parameters()).device
        self.rows = torch.from_numpy(rows).to(self.device)  # (n_new, dim)
        self.is_new = torch.from_numpy(is_new).to(self.device)
        self.trained = self.rows[self.is_new].clone().requires_grad_()  # (n_trained, dim)
        self.slot = torch.cumsum(self.is_new, 0) - 1  # (n_new,) of a new token, its row in `trained`

    def train(self, texts: Sequence[str], n_steps: int, seed: int) -> list[dict]:
        """Train; keep the rows that were best on a tenth of the texts, by a hash of each, the start included.

        Returns
        -------
        list of dict
            At each look ``step`` and ``loss`` on that tenth.
        """
        numbers = set(torch.nonzero(self.is_new)[:, 0].tolist())
        encoded = zip(texts, self.tokenizers[1].encode(texts), strict=True)
        used = [text for text, found in encoded if not numbers.isdisjoint(found.ids)]
        if not used:
            raise ValueError("no text has a token without a row; give texts in which new tokens occur")
        held = [text for text in used if tenth(text) == 0] or used
        learnt = [text for text in used if tenth(text) != 0] or used
        held = [held[i] for i in drawn_places(len(held), N_HELD, seed)]
        optimizer = torch.optim.Adam([self.trained], lr=RATE)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
        batches = drawn([len(text) for text in learnt], BATCH, seed)
        looks = {round(n_steps * i / (N_LOOKS - 1)) for i in range(N_LOOKS)}
        curve, best = list[dict](), self.trained.detach().clone()
        bar = progress.bar(total=n_steps, desc="New tokens", unit="step")
        with bar, suppress(KeyboardInterrupt), one_thread():  # what was best so far is kept
            for number in range(n_steps + 1):
                if number in looks:
                    curve.append({"step": number, "loss": self._look(held)})
                    if min(curve, key=lambda look: look["loss"]) is curve[-1]:
                        best = self.trained.detach().clone()
                if number < n_steps:
                    optimizer.zero_grad()
                    self._loss([learnt[i] for i in next(batches)]).mean().backward()
                    optimizer.step()
                    schedule.step()
                    bar.update()
        self.rows[self.is_new] = best
        return curve

    def _look(self, texts: Sequence[str]) -> float:
        with torch.no_grad():
            return torch.cat([self._loss(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]).mean().item()

    def _loss(self, texts: Sequence[str]) -> Tensor:
        """Return the mean squared difference of states at each pair of tokens, (n_pairs,)."""
        (rows, before), (_, after) = shared_ends(self.tokenizers, texts, self.max_tokens)
        old, new = (
            tuple(torch.from_numpy(part).to(self.device) for part in tokenizer(texts, self.max_tokens))
            for tokenizer in self.tokenizers
        )
        with torch.no_grad():
            target = self.module(*old).states[-1][rows, before]  # (n_pairs, dim)
        used, ids = new[0].unique(return_inverse=True)  # so that a step reads and writes no more than these rows
        table = torch.where(self.is_new[used, None], self.trained[self.slot[used].clamp(min=0)], self.rows[used])
        states = torch.func.functional_call(self.module, {WORDS: table}, (ids, new[1])).states[-1][rows, after]
        return (states - target).square().mean(1)


def shared_ends(tokenizers: Sequence[PieceTokenizer], texts: Sequence[str], max_tokens: int) -> list[np.ndarray]:
    """Return where two tokenizers have a token that ends at the same character, or a special one of the same role.

    For each tokenizer the numbers of texts and the places of such tokens: (2, n_pairs).
    """
    places = [[ends_of(found, pieces(of)) for found in of.encode(texts, max_tokens)] for of in tokenizers]
    ends = [(row, end) for row, (one, other) in enumerate(zip(*places, strict=True)) for end in one if end in other]
    return [np.array([(row, of[row][end]) for row, end in ends], np.int64).reshape(-1, 2).T for of in places]


def ends_of(found: Any, of: dict[str, Piece]) -> dict[int | str, int]:
    """Return the place of the token that ends at each character of a text, and of special ones by their roles."""
    tokens = zip(found.tokens, found.offsets, found.special_tokens_mask, strict=True)
    return {of[token].text if special else end: i for i, (token, (_, end), special) in enumerate(tokens)}
