"""The table of gradients: right for each bottleneck of ours, and alarmed by each known bug."""

import pytest
import torch

from workbench.semantic.bottleneck import RQBottleneck
from workbench.semantic.gradients import gradient_flow, gradient_warnings

Z = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))


def made(kind: type = RQBottleneck, **options) -> RQBottleneck:
    rq = kind(2, 8, 5, **options)
    rq.init_codebooks(torch.randn(100, 5, generator=torch.Generator().manual_seed(1)))
    return rq


def flow(rq: torch.nn.Module):
    return gradient_flow(rq, Z, lambda vectors: (vectors - 1).square().mean())


VARIANTS = [{}, {"simvq": True}, {"simvq": True, "train_codebooks": False}, {"train_codebooks": False}]
SOUND = [{"estimator": name} | options for name in ("ste", "rotation", "gumbel") for options in VARIANTS]


@pytest.mark.parametrize("options", [*SOUND, {"ema_decay": 0.9}], ids=str)
def test_each_loss_of_a_sound_bottleneck_reaches_what_it_should_and_nothing_else(options):
    frame = flow(made(**options))
    assert gradient_warnings(frame) == []
    assert ((frame["norm"] > 0) == frame["expected"]).all()
    is_mixed = options.get("estimator") == "gumbel"
    is_trained = options.get("train_codebooks", "ema_decay" not in options)
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
    rows = {
        (loss, part, level): "flows" if flows else "zero, as it should be"
        for (loss, part), flows in expected.items()
        for level in ([0] if part == "encoder" and loss != "commitment" else [1, 2])
    }
    assert frame.set_index(["loss", "part", "level"])["verdict"].to_dict() == rows


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
            out, left, losses = super().forward(z, temperature), z, []
            for level, codes in enumerate(out.codes.T):
                entries = self.codebooks[level][codes]
                losses.append([loss(left, entries, level).square().sum() for loss in (codebook, commitment)])
                left = left - entries.detach()
            of_entries, of_rows = map(torch.stack, zip(*losses, strict=True))
            return out._replace(losses=out.losses._replace(codebook=of_entries, commitment=of_rows))

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


def test_the_published_bug_is_told_in_one_sentence_and_a_class_without_a_bug_is_sound():
    (sentence,) = gradient_warnings(flow(made(estimator="gumbel_detached")))
    assert sentence.startswith("no gradient reaches the encoder from the task: check for a detach")
    assert gradient_warnings(flow(made(with_losses(right_codebook, right_commitment)))) == []


def test_gradients_that_are_not_finite_are_named():
    frame = gradient_flow(made(), Z, lambda vectors: vectors.sum() * float("inf"))
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
    frame = flow(rq)
    with torch.no_grad():
        assert flow(rq).equals(frame)
    assert not rq.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in rq.state_dict().items())
    assert all(p.grad is None for p in rq.parameters())
