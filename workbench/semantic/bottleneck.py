"""`RQBottleneck`: a tower's vectors through a few codes and back, trained with the tower."""

from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..compress.rq import residual_kmeans
from ..storage import Coded

ESTIMATORS = ("ste", "rotation", "gumbel", "gumbel_detached")
SCALES = ("nearest", "std", "none")
NEAR_ZERO = 1e-6  # a vector this much shorter than the other has no usable direction
CHUNK = 4_096  # rows encoded at once
SMOOTHING = 1e-5  # of moving counts, as in the source


class Losses(NamedTuple):
    """Terms to add to the task's loss: squared distances, summed over a row and averaged over rows."""

    codebook: Tensor  # (n_levels,): pulls entries to their rows; reaches the codebooks only
    commitment: Tensor  # (n_levels,): pulls rows to their entries; reaches the rows only, from every level
    total: (
        Tensor  # (): codebook.sum() + beta * commitment.sum(); without the former where codebooks are moving averages
    )


class Quantised(NamedTuple):
    """Output of a bottleneck."""

    vectors: Tensor  # (n, dim) in the dtype of the input, with the estimator's gradient
    codes: Tensor  # (n, n_levels) int64, as from `RQBottleneck.encode`, also where Gumbel draws other entries
    losses: Losses  # of these codes


# -- gradients through a choice that has none ---------------------------------------------


def straight_through(z: Tensor, q: Tensor) -> Tensor:
    """Return `q` to the bit, with the gradient passed to `z` unchanged (van den Oord et al., 2017).

    In a residual stack `q` must be the sum over all levels: applied level by level, the Jacobian
    would be the number of levels times the identity. No gradient reaches `q`.
    """
    return q.detach() + (z - z.detach())


def rotation(z: Tensor, q: Tensor) -> Tensor:
    """Return `q` to the bit, as `z` rotated and stretched (Fifty et al., "the rotation trick", 2024).

    The Jacobian is ``|q| / |z|`` times an orthogonal matrix, held constant: two reflections, along `z`
    and along the bisector. Straight-through where either vector is next to nothing beside the other.
    """
    with torch.no_grad():
        lengths = torch.cat([z.norm(dim=1, keepdim=True), q.norm(dim=1, keepdim=True)], dim=1)  # (n, 2)
        turned = lengths.amin(1, keepdim=True) > NEAR_ZERO * lengths.amax(1, keepdim=True)  # (n, 1)
        u = torch.where(turned, z / lengths[:, :1], 0)
        v = torch.where(turned, q / lengths[:, 1:], 0)
        between = u + v
        length = between.norm(dim=1, keepdim=True)
        w = torch.where(length > NEAR_ZERO, between / length, 0)  # opposite vectors: one reflection is enough
        stretch = torch.where(turned, lengths[:, 1:] / lengths[:, :1], 1)
    moved = z - 2 * (z * u).sum(1, keepdim=True) * u
    moved = stretch * (moved - 2 * (moved * w).sum(1, keepdim=True) * w)
    return q.detach() + (moved - moved.detach())


def gumbel(
    z: Tensor, codebooks: Tensor, temperature: float, hard: bool = False, scale: str = "nearest", detached: bool = False
) -> Tensor:
    """Return a sum of random mixtures of entries (Jang, Gu and Poole, 2016; Maddison, Mnih and Teh, 2016).

    At each level the weights are ``softmax((g - D / unit) / temperature)``, with `D` the squared distances from
    the residual to the entries and `g` Gumbel noise. Distances and residuals stay in the graph.

    Parameters
    ----------
    z : (n, dim) tensor
    codebooks : (n_levels, n_entries, dim) tensor
    temperature : float
        Above 0; the smaller, the nearer a mixture is to one entry. It does not change which entry is likeliest.
    hard : bool
        Take the likeliest entry of each draw, with the gradient of the mixture.
    scale : {"nearest", "std", "none"}
        Unit of distances, so that a temperature means the same at any scale of the data: the batch's mean
        distance to the nearest entry, the standard deviation of all distances, or 1.
    detached : bool
        Cut the distances out of the graph: the published bug.
    """
    if not temperature > 0:
        raise ValueError(f"expected a temperature above 0, got {temperature}")
    left, total = z, torch.zeros_like(z)
    for entries in codebooks:
        distances = torch.addmm(entries.square().sum(1), left, entries.T, alpha=-2)  # (n, n_entries)
        distances = distances + left.square().sum(1, keepdim=True)
        weights = mixture(distances.detach() if detached else distances, temperature, hard, scale)
        drawn = weights @ entries  # (n, dim)
        left, total = left - drawn, total + drawn
    return total


def mixture(distances: Tensor, temperature: float, hard: bool, scale: str) -> Tensor:
    """Return random weights of entries by their distances: (n, n_entries), rows sum to 1."""
    tiny = torch.finfo(distances.dtype).tiny
    noise = torch.empty_like(distances).exponential_().clamp_min_(tiny).log_().neg_()  # Gumbel's
    if scale != "none":
        held = distances.detach()
        unit = held.amin(1).mean() if scale == "nearest" else held.std(correction=0)
        distances = distances / unit.clamp_min(NEAR_ZERO * held.mean().clamp_min(tiny / NEAR_ZERO))
    weights = functional.softmax((noise - distances) / temperature, dim=1)
    if not hard:
        return weights
    chosen = functional.one_hot(weights.argmax(1), weights.shape[1]).to(weights)
    return chosen + (weights - weights.detach())


# -- residual codes -----------------------------------------------------------------------


def nearest(rows: Tensor, entries: Tensor) -> Tensor:
    """Return the number of the entry nearest to each row, (n,) int64; the lowest of equally near ones.

    Rows, (n, dim), and entries, (n_entries, dim), are float64. A row's code does not depend on the rows beside it: a
    matrix product rounds differently from one batch size to another, so rows for which the last bits could
    decide (ties, repeated entries) are measured pair by pair.
    """
    # Half the squared distance, without the row's own part: (n, n_entries).
    scores = torch.addmm(entries.square().sum(1) / 2, rows, entries.T, alpha=-1)
    least, codes = scores.min(1)
    second = scores.scatter_(1, codes[:, None], torch.inf).amin(1)
    reach = rows.norm(dim=1) + entries.norm(dim=1).max()  # (n,)
    slack = 4 * (rows.shape[1] + 4) * torch.finfo(rows.dtype).eps * reach.square()  # more than rounding can do
    close = (second <= least + slack).nonzero()[:, 0]
    exact = torch.cdist(rows[close], entries, compute_mode="donot_use_mm_for_euclid_dist")
    codes[close] = exact.argmin(1)
    return codes


def greedy_codes(rows: Tensor, codebooks: Tensor) -> Tensor:
    """Return the nearest entry of each level in turn: (n, n_levels) int64, whatever rows are beside a row."""
    left, codebooks = rows.double(), codebooks.double()
    codes = []
    for entries in codebooks:
        codes.append(nearest(left, entries))
        left = left - entries[codes[-1]]
    return torch.stack(codes, dim=1)


def pick(codebooks: Tensor, codes: Tensor) -> Tensor:
    """Return the entries that codes, (n, n_levels), name: (n, n_levels, dim)."""
    return codebooks[torch.arange(len(codebooks), device=codes.device), codes]


def add_up(picked: Tensor) -> Tensor:
    """Return sums over the levels, in their order as `Coded` does: (n, dim)."""
    return reduce(torch.add, picked.unbind(1))


def residuals(rows: Tensor, picked: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, level by level, what the levels before left of the rows, and the entries picked for it; both (n, dim)."""
    for entries in picked.unbind(1):
        yield rows, entries
        rows = rows - entries.detach()


class RQBottleneck(nn.Module):
    """Residual quantisation inside a network (Lee et al., "Autoregressive image generation using RQ", 2022).

    With ``r_0 = z``, level ``l`` picks the entry ``e_l`` nearest to ``r_{l-1}`` and leaves
    ``r_l = r_{l-1} - e_l``; the output is the sum of the entries. Warm the network up without the
    bottleneck, then call `init_codebooks`: that matters more than the estimator does.

    Keep the module in float32; rows may have a lower precision, and are quantised in float32.

    Parameters
    ----------
    n_levels, codebook_size, dim : int
    estimator : {"ste", "rotation", "gumbel", "gumbel_detached"}
        How the gradient passes: `straight_through`, `rotation`, `gumbel`. At evaluation all take the nearest entry.
        The last is a published bug, kept for lessons: the task's gradient does not reach the encoder.
    simvq : bool
        Entries are ``C @ W``, so that each step moves all of them (Zhu et al., SimVQ, 2024).
    train_codebooks : bool
        Train ``C`` by gradient; sources of SimVQ disagree on that.
    ema_decay : float, optional
        Codebooks are moving averages of their rows, not trained by the codebook loss (van den Oord, Vinyals and
        Kavukcuoglu, 2017, appendix). Not with Gumbel or `simvq`.
    beta : float
        Weight of the commitment loss.
    temperature, hard, scale
        Of the Gumbel estimator, see `gumbel`. ``temperature`` may be given at each call.
    random_state : int
        Seed of the first codebooks, and of k-means.

    Attributes
    ----------
    codebooks : (n_levels, codebook_size, dim) parameter
        ``C``.
    projections : (n_levels, dim, dim) parameter or None
        ``W``, the identity at the start.
    """

    initialised: Tensor  # (): True after `init_codebooks`; saved with the module
    counts: Tensor  # (n_levels, codebook_size): with `ema_decay`, moving counts of each entry's rows
    sums: Tensor  # (n_levels, codebook_size, dim): their moving sums, not means

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
            raise ValueError(f"expected ema_decay between 0 and 1, got {ema_decay}")
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
        """Return the entries as they are added up, ``C`` or ``C @ W``, in float32 or wider."""
        books = self.codebooks.to(torch.promote_types(self.codebooks.dtype, torch.float32))
        if self.projections is None:
            return books
        with torch.autocast(books.device.type, enabled=False):
            return books @ self.projections.to(books)

    def forward(self, z: Tensor, temperature: float | None = None) -> Quantised:
        """Quantise rows, (n, dim); a temperature given here replaces the attribute."""
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
        losses = self._losses(rows, picked)
        if self.ema_decay is not None and self.training:
            finite = rows.isfinite().all(1)  # one row with NaN would stay in the moving sums for ever
            self._average(rows[finite], codes[finite], picked[finite], self.ema_decay)
        return Quantised(vectors.to(z.dtype), codes, losses)

    def losses(self, z: Tensor, codes: Tensor) -> Losses:
        """Return codebook and commitment loss of rows, (n, dim), and codes, (n, n_levels)."""
        return self._losses(self._rows(z), pick(self.effective_codebooks(), codes))

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """Return codes: (n, n_levels) int64. A row's do not depend on its batch; of ties the lowest entry."""
        rows, books = self._rows(z), self.effective_codebooks()
        if not torch.isfinite(rows).all():
            raise ValueError("rows to encode hold NaN or infinity; look at what made them")
        return torch.cat([greedy_codes(block, books) for block in rows.split(CHUNK)])

    def decode(self, codes: Tensor) -> Tensor:
        """Return the sums of the entries that codes, (n, n_levels), name: (n, dim)."""
        return add_up(pick(self.effective_codebooks(), codes))

    @torch.no_grad()
    def to_coded(self, codes: Tensor) -> Coded:
        """Return the vectors of `decode` as a storage of the word engine."""
        return Coded.of_levels(codes.cpu().numpy(), self.effective_codebooks().cpu().numpy())

    @torch.no_grad()
    def init_codebooks(self, z: Tensor, n_iter: int = 25, again: bool = False) -> bool:
        """Set codebooks by residual k-means of at most `n_iter` steps; return False, and do nothing, the second time.

        Give some thousands of rows, (n, dim), from an encoder that was warmed up without the bottleneck.
        `again` sets codebooks that are initialised, too.
        """
        if bool(self.initialised) and not again:
            return False
        n_levels, n_entries, dim = self.codebooks.shape
        books = residual_kmeans(self._rows(z).cpu().numpy(), n_levels, n_entries, n_iter, self.random_state)
        self.codebooks.copy_(torch.from_numpy(books))
        if self.projections is not None:
            self.projections.copy_(torch.eye(dim))
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
        """Move entries with fewer than `min_count` of these rows to rows, drawn at random, that no entry hits.

        Level by level, on the residuals of the levels before, reset by then. Moving averages and the moments of these
        entries in `optimizer`, the one that trains `codebooks`, start anew. Return how many moved: (n_levels,) int64.
        """
        left, draw = self._rows(z), torch.Generator().manual_seed(random_state)
        n_moved = torch.zeros(len(self.codebooks), dtype=torch.int64)
        for level, entries in enumerate(self.effective_codebooks()):
            codes = nearest(left.double(), entries.double())
            dead = (torch.bincount(codes, minlength=len(entries)) < min_count).nonzero()[:, 0]
            missed = torch.unique(left[(left != entries[codes]).any(1)], dim=0)
            chosen = missed[torch.randperm(len(missed), generator=draw)[: len(dead)].to(missed.device)]
            dead, n_moved[level] = dead[: len(chosen)], len(chosen)
            if self.projections is not None:
                chosen = chosen @ torch.linalg.pinv(self.projections[level].to(chosen))
            self.codebooks[level, dead] = chosen.to(self.codebooks)
            if self.ema_decay is not None:
                self.counts[level, dead] = 1
                self.sums[level, dead] = chosen.to(self.sums)
            for moments in (optimizer.state.get(self.codebooks, {}) if optimizer else {}).values():
                if torch.is_tensor(moments) and moments.shape == self.codebooks.shape:
                    moments[level, dead] = 0
            entries = self.effective_codebooks()[level]
            left = left - entries[nearest(left.double(), entries.double())]
        return n_moved

    @torch.no_grad()
    def _average(self, rows: Tensor, codes: Tensor, picked: Tensor, decay: float) -> None:
        """Take one step of the moving averages."""
        n_entries = self.codebooks.shape[1]
        for level, (left, _) in enumerate(residuals(rows, picked)):
            chosen = codes[:, level]
            counts = torch.bincount(chosen, minlength=n_entries).to(self.counts)
            sums = torch.zeros_like(self.sums[level]).index_add_(0, chosen, left.to(self.sums))
            self.counts[level].lerp_(counts, 1 - decay)
            self.sums[level].lerp_(sums, 1 - decay)
            total = self.counts[level].sum()
            smoothed = (self.counts[level] + SMOOTHING) / (total + n_entries * SMOOTHING) * total
            self.codebooks[level] = self.sums[level] / smoothed[:, None]

    def _losses(self, rows: Tensor, picked: Tensor) -> Losses:
        pairs = list(residuals(rows, picked))
        codebook = torch.stack([(left.detach() - entries).square().sum(1).mean() for left, entries in pairs])
        commitment = torch.stack([(left - entries.detach()).square().sum(1).mean() for left, entries in pairs])
        return Losses(codebook, commitment, self.beta * commitment.sum() + (self.ema_decay is None) * codebook.sum())

    def _rows(self, z: Tensor) -> Tensor:
        """Return rows in the dtype of the effective codebooks."""
        dim = self.codebooks.shape[2]
        if z.ndim != 2 or z.shape[1] != dim:
            raise ValueError(f"expected rows of shape (n, {dim}), got {tuple(z.shape)}: reshape, or set that dim")
        return z.to(torch.promote_types(self.codebooks.dtype, torch.float32))
