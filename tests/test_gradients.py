"""The table of gradients: right for each bottleneck of ours, and alarmed by each known bug."""

import itertools

import pytest
import torch

from workbench.semantic.bottleneck import Losses, Quantised, RQBottleneck, add_up, greedy_codes, pick, residuals
from workbench.semantic.gradients import gradient_flow, gradient_warnings

Z = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))


def made(kind: type = RQBottleneck, **options) -> RQBottleneck:
    rq = kind(2, 8, 5, **options)
    rq.init_codebooks(torch.randn(100, 5, generator=torch.Generator().manual_seed(1)))
    return rq


def flow(rq: torch.nn.Module):
    return gradient_flow(rq, Z, lambda vectors: (vectors - 1).square().mean())


VARIANTS = [{}, {"simvq": True}, {"simvq": True, "train_codebooks": False}, {"train_codebooks": False}]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("estimator", ["ste", "rotation", "gumbel"])
def test_a_sound_bottleneck_has_nothing_cut_and_no_leak(estimator, options):
    frame = flow(made(estimator=estimator, **options))
    assert gradient_warnings(frame) == []
    assert ((frame["norm"] > 0) == frame["expected"]).all()
    is_mixed, is_trained = estimator == "gumbel", options.get("train_codebooks", True)
    expected = {
        ("task", "encoder"): True,
        ("task", "codebook"): is_mixed and is_trained,
        ("codebook", "encoder"): False,
        ("codebook", "codebook"): is_trained,
        ("commitment", "encoder"): True,
        ("commitment", "codebook"): False,
    }
    if "simvq" in options:
        expected |= {("task", "projection"): is_mixed, ("codebook", "projection"): True}
        expected |= {("commitment", "projection"): False}
    found = {key: set(group) for key, group in frame.groupby(["loss", "part"])["verdict"]}
    assert found == {key: {"flows" if flows else "zero, as it should be"} for key, flows in expected.items()}


def test_moving_averages_expect_no_gradient():
    frame = flow(made(ema_decay=0.9))
    assert gradient_warnings(frame) == []
    assert set(frame.query("part == 'codebook'")["verdict"]) == {"zero, as it should be"}


@pytest.mark.parametrize("hard", [False, True])
def test_the_published_bug_is_told_in_a_sentence(hard):
    (sentence,) = gradient_warnings(flow(made(estimator="gumbel_detached", hard=hard)))
    assert sentence.startswith("no gradient reaches the encoder from the task: check for a detach")


class CutTask(RQBottleneck):
    def forward(self, z, temperature=None):
        return super().forward(z, temperature)._replace(vectors=self.decode(self.encode(z)).detach())


class LeakyTask(RQBottleneck):
    def forward(self, z, temperature=None):
        out = super().forward(z, temperature)
        return out._replace(vectors=out.vectors + (self.decode(out.codes) - self.decode(out.codes).detach()))


def with_losses(codebook, commitment) -> type:
    """A bottleneck whose losses are made of the rows left over and the entries of each level."""

    class Own(RQBottleneck):
        def forward(self, z, temperature=None):
            books = self.effective_codebooks()
            codes = greedy_codes(z.detach(), books.detach())
            picked = pick(books, codes)
            pairs = list(enumerate(residuals(z, picked)))
            by_level = [
                torch.stack([loss(*pair, at).square().sum(1).mean() for at, pair in pairs])
                for loss in (codebook, commitment)
            ]
            q = add_up(picked)
            return Quantised(z + (q - z).detach(), codes, Losses(*by_level, sum(by_level).sum()))

    return Own


def right_codebook(left, entries, _):
    return left.detach() - entries


def right_commitment(left, entries, _):
    return left - entries.detach()


BUGS = {
    "task cut": (CutTask, "no gradient reaches the encoder from the task: "),
    "task leaks": (LeakyTask, "the task reaches the codebook (levels 1, 2), which it should not"),
    "stop-gradients exchanged": (
        with_losses(right_commitment, right_commitment),
        "no gradient reaches the codebook from the codebook loss (levels 1, 2): ",
    ),
    "no stop-gradient": (
        with_losses(right_codebook, lambda left, entries, _: left - entries),
        "the commitment loss reaches the codebook (levels 1, 2), which it should not",
    ),
    "only the first level commits": (
        with_losses(right_codebook, lambda left, entries, at: (left.detach() if at else left) - entries.detach()),
        "no gradient reaches the encoder from the commitment loss (level 2): ",
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_planted_in_ones_own_class_is_found(bug):
    kind, start = BUGS[bug]
    assert any(sentence.startswith(start) for sentence in gradient_warnings(flow(made(kind))))


def test_ones_own_class_without_a_bug_is_sound():
    assert gradient_warnings(flow(made(with_losses(right_codebook, right_commitment)))) == []


def test_gradients_that_are_not_finite_are_named():
    frame = gradient_flow(made(), Z, lambda vectors: (vectors * 0).norm().sqrt() + vectors.sum() * float("inf"))
    assert any("not finite" in sentence for sentence in gradient_warnings(frame))


def test_a_level_that_misses_nothing_is_not_called_cut():
    rq = RQBottleneck(3, 60, 5)
    rq.init_codebooks(Z)
    assert gradient_warnings(gradient_flow(rq, rq.decode(rq.encode(Z)).detach(), torch.sum)) == []


@pytest.mark.parametrize("options", [{"estimator": "gumbel"}, {"ema_decay": 0.9}], ids=str)
def test_measuring_changes_nothing(options):
    rq = made(**options).eval()
    before = {name: value.clone() for name, value in rq.state_dict().items()}
    state = torch.random.get_rng_state()
    frames = [flow(rq) for _ in range(2)]
    assert frames[0].equals(frames[1])
    assert not rq.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in rq.state_dict().items())
    assert all(p.grad is None for p in rq.parameters())
    with torch.no_grad():
        assert flow(rq).equals(frames[0])


def test_the_table_has_a_row_for_each_loss_part_and_level():
    keys = list(flow(made(simvq=True))[["loss", "part", "level"]].itertuples(index=False, name=None))
    entries = list(itertools.product(("codebook", "projection"), (1, 2)))
    encoder = {"task": [0], "codebook": [0], "commitment": [1, 2]}
    expected = {loss: [("encoder", level) for level in levels] + entries for loss, levels in encoder.items()}
    assert keys == [(loss, *place) for loss, places in expected.items() for place in places]
