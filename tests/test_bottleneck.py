"""The RQ bottleneck: estimators, codes that mean the same wherever they are made, codebooks, temperatures."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.autograd.functional import jacobian

from workbench.compress.rq import residual_kmeans
from workbench.semantic.bottleneck import RQBottleneck, gumbel, mixture, nearest, rotation
from workbench.semantic.settings import SHAPES, temperature
from workbench.threads import one_thread

ESTIMATORS = ("ste", "rotation", "gumbel")
each_kind = pytest.mark.parametrize("options", [{}, {"simvq": True}, {"ema_decay": 0.9}], ids=str)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    with one_thread():
        yield


def some_rows(n: int = 200, dim: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def made(estimator: str = "ste", n_levels: int = 3, size: int = 8, dim: int = 6, **options) -> RQBottleneck:
    """A bottleneck with codebooks from rows."""
    rq = RQBottleneck(n_levels, size, dim, estimator, **options)
    rq.init_codebooks(some_rows(dim=dim))
    return rq


def with_same_noise(*calls) -> list[torch.Tensor]:
    outs = []
    for call in calls:
        torch.manual_seed(1)
        outs.append(call())
    return outs


# -- estimators ---------------------------------------------------------------------------


@pytest.mark.parametrize("hard", [False, True])
def test_the_published_bug_has_the_values_of_gumbel_and_cuts_the_encoder_off(hard):
    """The bug of EdoardoBotta/RQ-VAE-Recommender, under a name of its own."""
    z = some_rows(40, seed=1).requires_grad_()
    sound, bug = (made(name, hard=hard) for name in ("gumbel", "gumbel_detached"))
    outs = with_same_noise(lambda: sound(z).vectors, lambda: bug(z).vectors)
    assert torch.equal(*outs)
    for rq, out, arrives in ((sound, outs[0], True), (bug, outs[1], False)):
        to_rows, to_codebooks = torch.autograd.grad(out.square().sum(), [z, rq.codebooks], allow_unused=True)
        assert (to_rows is not None and bool(to_rows.any())) == arrives
        assert to_codebooks.any()


def test_gumbel_residuals_stay_in_the_graph():
    """Cut off, the levels after the first would not see what the first one took."""
    z, books = some_rows(5).double(), made(n_levels=2).double().codebooks.detach()
    first = books[:1].clone().requires_grad_()
    both = torch.cat([first, books[1:]])
    outs = with_same_noise(lambda: gumbel(z, both, 1.0), lambda: gumbel(z, first, 1.0))
    gradients = (torch.autograd.grad(out.sum(), first)[0] for out in outs)
    assert not torch.allclose(*gradients)


def test_losses_are_those_of_the_formula():
    rq, z = made(beta=0.7), some_rows(40, seed=1)
    out, left, errors = rq(z), z, []
    for level in range(3):
        left = left - rq.codebooks[level][out.codes[:, level]]
        errors.append(left.square().sum(1).mean())
    errors = torch.stack(errors)
    torch.testing.assert_close(out.losses, (errors, errors, 1.7 * errors.sum()))
    torch.testing.assert_close(rq.losses(z, out.codes), out.losses)


@pytest.mark.parametrize("estimator", ["ste", "rotation"])
@pytest.mark.parametrize("n_levels", [1, 3, 16])
def test_the_sum_of_the_entries_passes_the_gradient_by_the_identity_or_a_rotation(estimator, n_levels):
    rq, rows = made(estimator, n_levels), some_rows(300, seed=1)
    out = rq(1e3 * rows)
    assert torch.equal(out.vectors, rq.decode(out.codes))
    assert torch.equal(out.vectors, sum(rq.codebooks[level][codes] for level, codes in enumerate(out.codes.T)))
    rq.double()
    for z in rows[:3].double():
        out, J = rq(z[None]).vectors[0], jacobian(lambda row: rq(row[None]).vectors[0], z)
        scale = 1 if estimator == "ste" else out.norm() / z.norm()
        torch.testing.assert_close(J @ J.T, scale**2 * torch.eye(6).double())
        torch.testing.assert_close(J @ z, z if estimator == "ste" else out)
        assert torch.linalg.det(J) > 0  # a rotation, not a reflection


def test_rotation_stays_orthogonal_and_falls_back_to_straight_through_near_zero():
    z = torch.tensor([2.0, 0, 0])
    for angle in (0, 1e-7, 1e-3, math.pi - 1e-3, math.pi - 1e-7, math.pi):  # alike to opposite
        q = 3 * torch.tensor([math.cos(angle), math.sin(angle), 0])
        J = jacobian(lambda row, q=q: rotation(row[None], q[None])[0], z)
        torch.testing.assert_close(J @ J.T, 2.25 * torch.eye(3), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(J @ z, q, rtol=1e-3, atol=1e-3)
    for near in (0.0, 1e-38, 1e-20):
        for row, q in ((near * z, z), (z, near * z)):
            assert torch.equal(jacobian(lambda row, q=q: rotation(row[None], q[None])[0], row), torch.eye(3))


@pytest.mark.parametrize(
    "options",
    [
        *({"estimator": name, "simvq": simvq} for name in ESTIMATORS for simvq in (False, True)),
        *({"estimator": "gumbel"} | more for more in ({"hard": True}, {"scale": "std"}, {"scale": "none"})),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_numbers_and_gradients_stay_finite(dtype, options):
    for size, start in ((8, some_rows()), (8, torch.zeros(20, 6)), (1, torch.ones(1, 6))):
        rq = RQBottleneck(3, size, 6, **options)
        rq.init_codebooks(start)
        for kept_in in (torch.float32, dtype):
            rq.to(kept_in)
            for rows in (torch.zeros(4, 6), torch.ones(1, 6), 1e-20 * some_rows(5), 1e6 * some_rows(5)):
                z = rows.to(dtype).requires_grad_()
                rq.zero_grad()
                out = rq(z)
                (out.vectors.square().sum() + out.losses.total).backward()
                assert out.vectors.dtype == z.grad.dtype == dtype
                assert out.vectors.isfinite().all()
                assert all(p.grad.isfinite().all() for p in (z, *rq.parameters()))


def test_gumbel_draws_by_normalised_distances_and_the_temperature_sharpens_the_mixture():
    z, books = some_rows(400, seed=1), made(size=16).codebooks.detach()

    def drawn(factor, scale="nearest", tau=1.0):
        torch.manual_seed(0)
        return mixture((factor * torch.cdist(z, books[0])).square(), tau, hard=False, scale=scale)

    for scale in ("nearest", "std"):  # whatever the data's scale
        torch.testing.assert_close(drawn(100, scale), drawn(0.01, scale), rtol=1e-2, atol=1e-3)
    closest = nearest(z.double(), books[0].double())
    far, near = ((drawn(factor, "none").argmax(1) == closest).float().mean() for factor in (0.01, 100))
    assert far < 0.2 < 0.99 < near
    largest = [drawn(1, tau=tau).amax(1).mean() for tau in (10, 1, 0.1, 0.001)]
    assert largest == sorted(largest)
    assert largest[0] < 0.15 < 0.99 < largest[-1]


def test_hard_gumbel_adds_up_whole_entries_and_has_the_gradient_of_the_soft_one():
    books, z = made(n_levels=1).codebooks.detach(), some_rows(7, seed=1).requires_grad_()
    hard, soft = with_same_noise(lambda: gumbel(z, books, 1.0, hard=True), lambda: gumbel(z, books, 1.0))
    assert (torch.cdist(hard, books[0]).amin(1) < 1e-5).all()
    assert (torch.cdist(soft, books[0]).amin(1) > 1e-3).all()
    torch.testing.assert_close(*(torch.autograd.grad(out.sum(), z)[0] for out in (hard, soft)))


def test_gumbel_takes_the_nearest_at_evaluation_and_its_temperature_at_the_call():
    rq, z = made("gumbel", temperature=2.0), some_rows(50, seed=1)
    usual, same, colder = with_same_noise(lambda: rq(z).vectors, lambda: rq(z, 2.0).vectors, lambda: rq(z, 0.5).vectors)
    assert torch.equal(usual, same)
    assert not torch.equal(usual, colder)
    assert torch.equal(rq(z).codes, rq.encode(z))
    assert torch.equal(rq.eval()(z).vectors, rq.decode(rq.encode(z)))
    with pytest.raises(ValueError, match="above 0"):
        rq.train()(z, 0.0)


@pytest.mark.parametrize("frozen", [False, True])
def test_one_step_of_simvq_moves_every_entry_and_one_without_only_those_used(frozen):
    z = some_rows(3, seed=1)  # of 8 entries at most 3 are used
    for rq in (made(), made(simvq=True, train_codebooks=not frozen)):
        before = rq.effective_codebooks().detach().clone()
        optimizer = torch.optim.SGD([p for p in rq.parameters() if p.requires_grad], lr=0.1)
        rq(z).losses.total.backward()
        optimizer.step()
        moved = (rq.effective_codebooks() != before).any(dim=2)
        assert moved.all() == (rq.projections is not None)
        assert moved.any(dim=1).all()


def test_under_autocast_codes_and_vectors_are_those_without():
    z = some_rows(50, seed=1)
    for estimator in ESTIMATORS:
        outs = []
        for enabled in (False, True):
            torch.manual_seed(0)
            with torch.autocast("cpu", enabled=enabled):
                outs.append(made(estimator, simvq=True)(z))
        assert torch.equal(outs[0].vectors, outs[1].vectors)
        assert torch.equal(outs[0].codes, outs[1].codes)


# -- codes --------------------------------------------------------------------------------


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def awkward(request) -> tuple[RQBottleneck, torch.Tensor]:
    """Rows and codebooks with ties: repeated entries, rows halfway between two, everything far from 0."""
    books = torch.randn(3, 37, 67, generator=torch.Generator().manual_seed(2)).to(request.param) / 3
    books[:, 18:36] = books[:, :18]
    close, between = books[0] + 0.01 * some_rows(37, 67), (books[0, 1:] + books[0, :-1]) / 2
    rows, offset = torch.cat([some_rows(20, 67) / 3, close, between]), 30 * some_rows(1, 67, seed=5) / 3
    books[0] += offset[0]
    rq = RQBottleneck(3, 37, 67).to(request.param)
    rq.codebooks.data.copy_(books)
    return rq, rows + offset


def test_the_code_of_a_row_does_not_depend_on_its_batch_nor_on_the_order(awkward):
    rq, rows = awkward
    codes = rq.encode(rows)
    for size in (1, 7, 64):
        assert torch.equal(codes, torch.cat([rq.encode(block) for block in rows.split(size)]))
        assert torch.equal(codes, torch.cat([rq(block).codes for block in rows.split(size)]))
    order = torch.randperm(len(rows))[:50]
    assert torch.equal(codes[order], rq.encode(rows[order]))
    many = rows.repeat(40, 1)  # more than are encoded at once
    assert torch.equal(rq.encode(many), codes.repeat(40, 1))
    assert rq.encode(rows[:0]).shape == (0, 3)


def test_codes_are_the_nearest_and_of_ties_the_lowest(awkward):
    rq, rows = awkward
    left = rows.double().numpy()
    for level, codes in enumerate(rq.encode(rows).T.numpy()):
        book = rq.codebooks[level].detach().double().numpy()
        distances = np.square(left[:, None] - book).sum(2)
        np.testing.assert_allclose(distances[np.arange(len(left)), codes], distances.min(1), rtol=1e-9)
        assert not np.isin(codes, range(18, 36)).any()  # those that are there twice
        left = left - book[codes]


@each_kind
def test_a_reloaded_module_gives_the_same_codes_and_does_not_start_over(options, tmp_path):
    rq, z = made(**options), some_rows(50, seed=1)
    with torch.no_grad():
        rq.codebooks += 0.01
    torch.save(rq.state_dict(), tmp_path / "rq.pt")
    again = RQBottleneck(3, 8, 6, **options, random_state=5)
    assert not again.initialised
    again.load_state_dict(torch.load(tmp_path / "rq.pt", weights_only=True))
    assert again.initialised
    assert not again.init_codebooks(some_rows(seed=3))
    assert torch.equal(again.codebooks, rq.codebooks)
    assert torch.equal(again.encode(z), rq.encode(z))
    assert again.init_codebooks(some_rows(seed=3), again=True)
    assert not torch.equal(again.codebooks, rq.codebooks)


@pytest.mark.parametrize("size", [1, 2, 5, 256])
@pytest.mark.parametrize("options", [{}, {"simvq": True}], ids=str)
def test_exported_codes_are_the_same_vectors_in_the_word_engine(size, options):
    rq = RQBottleneck(4, size, 7, **options)
    codes = rq.encode(some_rows(30, 7))
    coded = rq.to_coded(codes)
    assert np.array_equal(coded.rows(np.arange(30)), rq.decode(codes).detach())
    assert np.array_equal(coded.codes, codes)


# -- codebooks ----------------------------------------------------------------------------


def test_a_step_of_moving_averages_by_hand():
    rq = RQBottleneck(2, 2, 1, ema_decay=0.75, beta=0.5)
    rq.init_codebooks(torch.tensor([[0.0], [10.0], [10.0], [10.0]]))
    low, high = rq.codebooks[0, :, 0].argsort()
    assert rq.counts[0, [low, high]].tolist() == [0.5, 1.5]  # 1 and 3 rows, as 1 an entry on average
    assert rq.sums[0, [low, high], 0].tolist() == [0, 15]  # sums, not means
    z = torch.tensor([[1.0], [2.0], [9.0]])
    rq.eval()(z)  # moves nothing
    losses = rq.train()(z).losses
    assert not losses.codebook.requires_grad
    torch.testing.assert_close(losses.total, 0.5 * losses.commitment.sum())
    counts = torch.tensor([0.75 * 0.5 + 0.25 * 2, 0.75 * 1.5 + 0.25 * 1])
    sums = torch.tensor([0.25 * (1 + 2), 0.75 * 15 + 0.25 * 9])
    smoothed = (counts + 1e-5) / (counts.sum() + 2e-5) * counts.sum()
    torch.testing.assert_close(rq.counts[0, [low, high]], counts)
    torch.testing.assert_close(rq.sums[0, [low, high], 0], sums)
    torch.testing.assert_close(rq.codebooks[0, [low, high], 0], sums / smoothed)
    # The second level saw what the old entries left over: 1, 2 and -1.
    assert rq.sums[1].sum().item() == pytest.approx(0.25 * (1 + 2 - 1), abs=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_row_does_not_stay_in_the_moving_averages(bad):
    sound, other = (RQBottleneck(2, 4, 3, ema_decay=0.9) for _ in range(2))
    sound(some_rows(20, 3))
    other(torch.cat([some_rows(20, 3), torch.full((1, 3), bad)]))
    torch.testing.assert_close(other.state_dict(), sound.state_dict())


@each_kind
def test_reset_revives_dead_entries_and_forgets_their_past(options):
    rq, z = made(**options), some_rows(seed=1)
    with torch.no_grad():
        rq.codebooks[:, 2:5] += 1e4
        if rq.projections is not None:
            rq.projections.add_(0.2 * torch.randn_like(rq.projections))
    optimizer = torch.optim.AdamW([rq.codebooks], lr=1e-3)
    if not rq.ema_decay:
        rq.codebooks.grad = torch.ones_like(rq.codebooks)
        optimizer.step()
    before = rq.codebooks.detach().clone()
    used = torch.bincount(rq.encode(z)[:, 0], minlength=8)
    assert (used[2:5] == 0).all()
    moved = rq.reset_dead(z, optimizer)
    assert moved[0] == (used == 0).sum()
    changed = (rq.codebooks != before).any(dim=2)
    assert changed.sum(1).tolist() == moved.tolist()
    assert (torch.cdist(rq.effective_codebooks()[0][changed[0]], z).amin(1) < 1e-3).all()
    for level, codes in enumerate(rq.encode(z).T):
        assert (torch.bincount(codes, minlength=8) > 0)[changed[level]].all()
    if rq.ema_decay:
        assert (rq.counts[changed] == 1).all()
        torch.testing.assert_close(rq.sums[changed], rq.codebooks[changed])
        return
    for name in ("exp_avg", "exp_avg_sq"):
        assert torch.equal((optimizer.state[rq.codebooks][name] == 0).all(dim=2), changed)


def test_reset_does_nothing_where_nothing_is_dead_or_no_row_is_missed():
    rq, z = made(size=2), some_rows()
    before = rq.codebooks.detach().clone()
    assert rq.reset_dead(z).tolist() == [0, 0, 0]
    assert torch.equal(rq.codebooks, before)
    few = RQBottleneck(2, 8, 6)
    few.init_codebooks(z[:3])
    assert few.reset_dead(z[:3])[0] == 0  # five entries are dead, but each row has its own


@each_kind
def test_codebooks_start_as_residual_kmeans_of_the_rows(options):
    z, rq = some_rows(500, seed=4), RQBottleneck(6, 16, 6, **options, random_state=3)
    assert rq.init_codebooks(z)
    assert np.array_equal(rq.effective_codebooks().detach(), residual_kmeans(z.numpy(), 6, 16, random_state=3))
    errors = rq.losses(z, rq.encode(z)).codebook.tolist()
    assert all(after < 0.8 * before for before, after in pairwise(errors))


# -- bad input, temperatures --------------------------------------------------------------


def test_what_makes_no_sense_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match="at most 256"):
        RQBottleneck(1, 300, 4).to_coded(torch.zeros(1, 1, dtype=torch.int64))
    rq = RQBottleneck(2, 4, 6)
    for z in (torch.zeros(3, 5), torch.zeros(6), torch.zeros(2, 3, 6)):
        with pytest.raises(ValueError, match=r"\(n, 6\)"):
            rq(z)
    with pytest.raises(ValueError, match="NaN"):
        rq.encode(torch.full((1, 6), torch.nan))
    for bad in (torch.full((4, 6), torch.nan), torch.zeros(0, 6)):
        with pytest.raises(ValueError, match="finite"):
            rq.init_codebooks(bad)
    wrong = [{"estimator": "straight"}, {"scale": "max"}, {"n_levels": 0}, {"ema_decay": 1.0}]
    moved_twice = [{"simvq": True}, {"estimator": "gumbel"}, {"train_codebooks": False}]
    for bad in wrong + [{"ema_decay": 0.9} | options for options in moved_twice]:
        with pytest.raises(ValueError, match=r"expected|ema_decay"):
            RQBottleneck(**{"n_levels": 2, "codebook_size": 4, "dim": 6} | bad)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reading", ["tau", "1/tau"])
@pytest.mark.parametrize(("start", "end"), [(math.exp(-1), 1.0), (5.0, 0.5), (2.0, 2.0)])
def test_schedules_go_from_one_end_to_the_other_and_stay(shape, reading, start, end):
    first, last = (start, end) if reading == "tau" else (1 / start, 1 / end)
    *values, after, long_after = (temperature(step, 10, start, end, shape, reading) for step in (*range(12), 10**9))
    assert values[0] == first
    assert values[-1] == after == long_after == last
    assert values == sorted(values, reverse=last < first)
    assert max(values) == max(first, last)


def test_schedules_have_their_shapes_and_refuse_what_is_none():
    assert [temperature(5, 10, 1, 4, shape) for shape in SHAPES] == pytest.approx([2.5, 2, 2.5])
    assert temperature(1, 10, 1, 4, "cosine") < temperature(1, 10, 1, 4, "linear")
    assert temperature(5, 10, 1, 4, "linear", "1/tau") == 1 / 2.5
    by_inverse = temperature(3, 10, 1 / 0.2, 1 / 3, "exponential", "1/tau")  # straight in the logarithm, so alike
    assert by_inverse == pytest.approx(temperature(3, 10, 0.2, 3, "exponential"))
    for bad in [(-1, 10), (0, 0), (0, 10, 0.0), (0, 10, 1, -1), (0, 10, 1, 1, "step"), (0, 10, 1, 1, "linear", "t")]:
        with pytest.raises(ValueError, match="expected"):
            temperature(*bad)
