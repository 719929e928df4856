"""`RQBottleneck`: a tower's vectors through a few codes and back, trained with the tower."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..compress.rq import residual_kmeans
from ..storage import Coded
from .estimators import SCALES, gumbel, rotation, straight_through
from .ids import coded
from .residual import Losses, add_up, greedy_codes, nearest, pick, residual_losses

ESTIMATORS = ("ste", "rotation", "gumbel", "gumbel_detached")
CHUNK = 4_096  # rows encoded at once
SMOOTHING = 1e-5  # of moving counts, as in the source


class Quantised(NamedTuple):
    """What a bottleneck gives back.

    Attributes
    ----------
    vectors : (n, dim) tensor
        In the type of the input, with the estimator's gradient.
    codes : (n, n_levels) int64 tensor
        What `RQBottleneck.encode` gives, also where training draws other entries (``"gumbel"``).
    losses : Losses
        Of these codes.
    """

    vectors: Tensor
    codes: Tensor
    losses: Losses


class RQBottleneck(nn.Module):
    """Residual quantisation inside a network (Lee et al., "Autoregressive image generation using RQ", 2022).

    With ``r_0 = z``, level ``l`` picks the entry ``e_l`` nearest to ``r_{l-1}`` and leaves
    ``r_l = r_{l-1} - e_l``; out comes the sum of the entries. Warm the network up without the
    bottleneck, then `init_codebooks`: that matters more than the estimator does.

    Keep the module in float32; rows may be of a lower precision, and are quantised in float32.

    Parameters
    ----------
    n_levels, codebook_size, dim : int
    estimator : {"ste", "rotation", "gumbel", "gumbel_detached"}
        How the gradient passes, see `estimators`. At evaluation all pick the nearest entry. The last
        is a published bug, kept for lessons: the task's gradient does not reach the encoder.
    simvq : bool
        Entries are ``C @ W``, so that each step moves all of them (Zhu et al., SimVQ, 2024).
    train_codebooks : bool
        Whether ``C`` gets a gradient; sources of SimVQ disagree on that.
    ema_decay : float, optional
        Codebooks are moving averages of what they stand for, instead of being trained by the codebook
        loss (van den Oord, Vinyals and Kavukcuoglu, 2017, appendix). Without Gumbel and `simvq`.
    beta : float
        Weight of the commitment loss.
    temperature, hard, scale
        Of the Gumbel estimator, see `estimators.gumbel`. ``temperature`` may be given at each call.
    random_state : int
        Seed of the codebooks that it starts from, and of k-means.

    Attributes
    ----------
    codebooks : (n_levels, codebook_size, dim) parameter
        ``C``.
    projections : (n_levels, dim, dim) parameter or None
        ``W``, linear and without bias; the identity to start with.
    initialised : () bool tensor
        Whether `init_codebooks` was called; saved with the module.
    counts, sums : (n_levels, codebook_size) and (n_levels, codebook_size, dim) tensors
        With `ema_decay`: moving counts, and moving *sums*, of what each entry stands for.
    """

    initialised: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(
        self,
        n_levels: int,
        codebook_size: int,
        dim: int,
        estimator: str = "ste",
        *,
        simvq: bool = False,
        train_codebooks: bool = True,
        ema_decay: float | None = None,
        beta: float = 0.25,
        temperature: float = 1.0,
        hard: bool = False,
        scale: str = "nearest",
        random_state: int = 0,
    ):
        super().__init__()
        if min(n_levels, codebook_size, dim) < 1:
            raise ValueError(f"expected sizes of at least 1, got {n_levels} levels, {codebook_size} entries, dim {dim}")
        if estimator not in ESTIMATORS or scale not in SCALES:
            raise ValueError(f"expected one of {ESTIMATORS} and of {SCALES}, got {estimator!r} and {scale!r}")
        if ema_decay is not None and not 0 < ema_decay < 1:
            raise ValueError(f"ema_decay goes from 0 to 1, got {ema_decay}")
        if ema_decay is not None and (simvq or estimator.startswith("gumbel") or not train_codebooks):
            raise ValueError("ema_decay is for codebooks that nothing else moves: leave out simvq, gumbel and freezing")
        self.estimator, self.ema_decay, self.beta = estimator, ema_decay, beta
        self.temperature, self.hard, self.scale = temperature, hard, scale
        self.random_state = random_state
        drawn = torch.randn(n_levels, codebook_size, dim, generator=torch.Generator().manual_seed(random_state))
        self.codebooks = nn.Parameter(drawn / dim**0.5, requires_grad=train_codebooks and ema_decay is None)
        self.projections = nn.Parameter(torch.eye(dim).repeat(n_levels, 1, 1)) if simvq else None
        self.register_buffer("initialised", torch.tensor(False))
        if ema_decay is not None:
            self.register_buffer("counts", torch.ones(n_levels, codebook_size))
            self.register_buffer("sums", self.codebooks.detach().clone())

    def effective_codebooks(self) -> Tensor:
        """The entries as they are added up, ``C`` or ``C @ W``: (n_levels, codebook_size, dim), float32 or wider."""
        books = self.codebooks.to(torch.promote_types(self.codebooks.dtype, torch.float32))
        if self.projections is None:
            return books
        with torch.autocast(books.device.type, enabled=False):
            return books @ self.projections.to(books)

    def forward(self, z: Tensor, temperature: float | None = None) -> Quantised:
        """Quantise.

        Parameters
        ----------
        z : (n, dim) tensor
        temperature : float, optional
            Of the Gumbel estimator, instead of the attribute; see `schedules`.
        """
        rows, books = self._rows(z), self.effective_codebooks()
        with torch.no_grad():
            codes = greedy_codes(rows, books)
        picked = pick(books, codes)
        if self.estimator.startswith("gumbel") and self.training:
            tau = self.temperature if temperature is None else temperature
            with torch.autocast(z.device.type, enabled=False):
                vectors = gumbel(rows, books, tau, self.hard, self.scale, self.estimator == "gumbel_detached")
        else:
            estimate = rotation if self.estimator == "rotation" else straight_through
            vectors = estimate(rows, add_up(picked))
        losses = residual_losses(rows, picked, self.beta, codebook=self.ema_decay is None)
        if self.ema_decay is not None and self.training:
            finite = rows.isfinite().all(1)  # one row with NaN would stay in the moving sums for ever
            self._average(rows[finite], codes[finite], picked[finite], self.ema_decay)
        return Quantised(vectors.to(z.dtype), codes, losses)

    def losses(self, z: Tensor, codes: Tensor) -> Losses:
        """Codebook and commitment loss of rows, (n, dim), and codes, (n, n_levels)."""
        picked = pick(self.effective_codebooks(), codes)
        return residual_losses(self._rows(z), picked, self.beta, codebook=self.ema_decay is None)

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """Codes of rows: (n, n_levels) int64. A row's do not depend on its batch; of ties the lowest entry."""
        rows, books = self._rows(z), self.effective_codebooks()
        if not torch.isfinite(rows).all():
            raise ValueError("rows to encode hold NaN or infinity; look at what made them")
        return torch.cat([greedy_codes(block, books) for block in rows.split(CHUNK)])

    def decode(self, codes: Tensor) -> Tensor:
        """Sums of the entries that codes, (n, n_levels), name: (n, dim), in order of the levels."""
        return add_up(pick(self.effective_codebooks(), codes))

    @torch.no_grad()
    def to_coded(self, codes: Tensor) -> Coded:
        """The same vectors as `decode` gives, as a storage of the word engine.

        Parameters
        ----------
        codes : (n, n_levels) int64 tensor
        """
        return coded(codes.cpu().numpy(), self.effective_codebooks().cpu().numpy())

    @torch.no_grad()
    def init_codebooks(self, z: Tensor, n_iter: int = 25, again: bool = False) -> bool:
        """Codebooks from rows by residual k-means; of a module that has them already, nothing.

        Parameters
        ----------
        z : (n, dim) tensor
            Some thousands of rows, from an encoder that was warmed up without the bottleneck.
        n_iter : int
            Steps of k-means, at most.
        again : bool
            Also where codebooks are initialised.

        Returns
        -------
        bool
            Whether it was done.
        """
        if bool(self.initialised) and not again:
            return False
        n_levels, n_entries, _ = self.codebooks.shape
        books = residual_kmeans(self._rows(z).cpu().numpy(), n_levels, n_entries, n_iter, self.random_state)
        self.codebooks.copy_(torch.from_numpy(books))
        if self.projections is not None:
            self.projections.copy_(torch.eye(self.codebooks.shape[2]))
        if self.ema_decay is not None:
            rows_an_entry = len(z) / n_entries
            for level, codes in enumerate(self.encode(z).T):
                self.counts[level] = torch.bincount(codes, minlength=n_entries).clamp_min(1) / rows_an_entry
            self.sums.copy_(self.codebooks * self.counts[:, :, None])
        self.initialised.fill_(True)
        return True

    @torch.no_grad()
    def reset_dead(
        self, z: Tensor, optimizer: torch.optim.Optimizer | None = None, min_count: int = 1, random_state: int = 0
    ) -> Tensor:
        """Move entries that hardly a row uses to rows, drawn at random, that no entry hits.

        Level by level, each on what the levels before, reset by then, leave over. Moving averages
        and the optimiser's moments of these entries start anew.

        Parameters
        ----------
        z : (n, dim) tensor
        optimizer : torch.optim.Optimizer, optional
            The one that trains `codebooks`.
        min_count : int
            An entry with fewer of these rows is dead.
        random_state : int

        Returns
        -------
        (n_levels,) int64 tensor
            How many entries moved.
        """
        left, draw = self._rows(z), torch.Generator().manual_seed(random_state)
        n_moved = torch.zeros(len(self.codebooks), dtype=torch.int64)
        for level, entries in enumerate(self.effective_codebooks()):
            codes = nearest(left.double(), entries.double())
            dead = (torch.bincount(codes, minlength=len(entries)) < min_count).nonzero()[:, 0]
            missed = torch.unique(left[(left != entries[codes]).any(1)], dim=0)
            chosen = missed[torch.randperm(len(missed), generator=draw)[: len(dead)].to(missed.device)]
            self._move(level, dead[: len(chosen)], chosen, optimizer)
            n_moved[level] = len(chosen)
            entries = self.effective_codebooks()[level]
            left = left - entries[nearest(left.double(), entries.double())]
        return n_moved

    def _move(self, level: int, which: Tensor, rows: Tensor, optimizer: torch.optim.Optimizer | None) -> None:
        """Put entries where rows are, and forget what was known of them."""
        if self.projections is not None:
            rows = rows @ torch.linalg.pinv(self.projections[level].to(rows))
        self.codebooks[level, which] = rows.to(self.codebooks)
        if self.ema_decay is not None:
            self.counts[level, which] = 1
            self.sums[level, which] = rows.to(self.sums)
        for moments in (optimizer.state.get(self.codebooks, {}) if optimizer else {}).values():
            if torch.is_tensor(moments) and moments.shape == self.codebooks.shape:
                moments[level, which] = 0

    @torch.no_grad()
    def _average(self, rows: Tensor, codes: Tensor, picked: Tensor, decay: float) -> None:
        """One step of the moving averages."""
        left, n_entries = rows, self.codebooks.shape[1]
        for level, (chosen, entries) in enumerate(zip(codes.T, picked.unbind(1), strict=True)):
            counts = torch.bincount(chosen, minlength=n_entries).to(self.counts)
            sums = torch.zeros_like(self.sums[level]).index_add_(0, chosen, left.to(self.sums))
            self.counts[level].lerp_(counts, 1 - decay)
            self.sums[level].lerp_(sums, 1 - decay)
            total = self.counts[level].sum()
            smoothed = (self.counts[level] + SMOOTHING) / (total + n_entries * SMOOTHING) * total
            self.codebooks[level] = self.sums[level] / smoothed[:, None]
            left = left - entries

    def _rows(self, z: Tensor) -> Tensor:
        """Rows in the type of the effective codebooks."""
        dim = self.codebooks.shape[2]
        if z.ndim != 2 or z.shape[1] != dim:
            raise ValueError(
                f"expected rows of shape (n, {dim}), got {tuple(z.shape)}: reshape, or build with that dim"
            )
        return z.to(torch.promote_types(self.codebooks.dtype, torch.float32))
