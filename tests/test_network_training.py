"""`Train`: one loop that honours how matrices are stored, and what is kept when it ends early."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import made_plain, made_task
from scipy.special import log_softmax

import workbench as wb
from workbench import networks, progress
from workbench.networks import Each, Network, PruneWeights, Train, training
from workbench.networks.config import HEAD, WORDS
from workbench.storage import Coded, Scaled, Sparse

TASK = made_task(unlabelled=200)
VECTORS = made_plain(400, 64)
NET = networks.transformer(VECTORS, n_layers=2, n_heads=2, n_inner=64, max_tokens=16)
BEGUN = Train(TASK, 30, learning_rate=5e-4, random_state=9).fit_transform(NET)  # has a head, and something to lose
QUERY = "encoder.layer.0.attention.self.query.weight"


def same(a: Network, b: Network) -> set[str]:
    """Names of the weights that are the same bits in both."""
    return {name for name in a.weights if np.array_equal(a.values(name), b.values(name))}


def loss(net: Network, part=TASK.valid) -> float:
    return -log_softmax(net.run(part.texts).logits, axis=1)[np.arange(len(part)), part.labels].mean()


def accuracy(net: Network) -> float:
    return (net.run(TASK.test.texts).logits.argmax(1) == TASK.test.labels).mean()


def test_a_network_without_a_head_gets_one_and_learns():
    step = Train(TASK, n_steps=80, learning_rate=5e-4)
    net = step.fit_transform(NET)
    assert net.config.labels == TASK.labels
    assert accuracy(net) > 0.8
    assert [curve["step"] for curve in step.curves_] == [0, 20, 40, 60, 80]
    assert np.isnan(step.curves_[0]["loss"])
    losses = [curve["loss"] for curve in step.curves_[1:]]
    assert losses == sorted(losses, reverse=True)
    assert step.curves_[-1]["valid_loss"] == pytest.approx(loss(net), abs=1e-4)
    assert step.curves_[-1]["score"] == (net.run(TASK.valid.texts).logits.argmax(1) == TASK.valid.labels).mean()


def test_the_same_seed_gives_the_same_bits_and_others_do_not():
    import torch

    def trained(seed: int) -> Network:
        torch.rand(1)  # so that torch's own numbers are others each time
        return Train(TASK, n_steps=3, random_state=seed).fit_transform(NET)

    first, again, other = trained(1), trained(1), trained(2)
    assert same(first, again) == {*first.weights}
    assert {WORDS, QUERY, f"{HEAD}.weight"}.isdisjoint(same(first, other))
    before = torch.random.get_rng_state()
    Train(TASK, n_steps=1).fit(NET)
    assert torch.equal(before, torch.random.get_rng_state())


STORED = {
    "sparse": PruneWeights(0.7, on="all"),
    "sparse codes": wb.Chain([PruneWeights(0.3, on="all"), Each(wb.SQ("kmeans", n_bits=3), on="all")]),
    "int8": Each(wb.SQ("int8"), on="all"),
    "2 bits": Each(wb.SQ("kmeans", n_bits=2), on="all", width=16),
    "product codes": Each(wb.PQ(8, n_bits=4), on="all", width=16),
    "residual codes": Each(wb.RQ(3, n_bits=5), on="all"),
}


def kinds(storage) -> list[type]:
    inner = getattr(storage, "inner", None)
    return [type(storage)] + ([] if inner is None else kinds(inner))


@pytest.mark.parametrize("kind", STORED)
def test_matrices_are_trained_as_they_are_stored(kind, tmp_path):
    small = STORED[kind].fit_transform(BEGUN)
    step = Train(TASK, n_steps=24, learning_rate=1e-2)
    net = step.fit_transform(small)
    assert step.curves_[-1]["loss"] < step.curves_[1]["loss"]  # so gradients reach what is stored
    assert loss(net) < loss(small)
    assert not {name for name in small.weights if small.weights[name].kind != "dense"} <= same(net, small)
    for name in small.matrices():
        before, after = small.weights[name], net.weights[name]
        assert kinds(after) == kinds(before)
        assert after.nbytes == before.nbytes
        if isinstance(before, Sparse):
            np.testing.assert_array_equal(after.mask, before.mask)
            assert not after.rows(slice(None))[~before.mask].any()
        while hasattr(before, "inner"):
            before, after = before.inner, after.inner
        if isinstance(before, Coded):
            np.testing.assert_array_equal(after.codebooks, before.codebooks)
            assert len(np.unique(after.rows(slice(None))[:, 0])) <= 32**3
        if isinstance(before, Scaled):
            np.testing.assert_array_equal(after.scales, before.scales)
            assert after.matrix.dtype == np.int8
    assert net.nbytes == small.nbytes
    assert abs(net.file_bytes - small.file_bytes) < 400  # the recipe is longer by a step
    again, texts = networks.load(net.save(tmp_path / "net")), TASK.test.texts[:9]
    np.testing.assert_array_equal(again.embed(texts), net.embed(texts))


@pytest.mark.parametrize("only", ["all", "layers", "norms", "head"])
def test_only_what_is_named_is_trained(only):
    net = Train(TASK, n_steps=8, only=only).fit_transform(BEGUN)
    changed = net.weights.keys() - same(net, BEGUN)
    head, norms = ({name for name in net.weights if part in name} for part in (HEAD, "LayerNorm"))
    layers = net.weights.keys() - {WORDS}
    expected = {"head": head, "norms": head | norms, "layers": layers, "all": layers | {WORDS}}[only]
    silent = {name for name in expected if name.endswith("key.bias") or "token_type" in name}  # shifts all scores alike
    assert expected - silent <= changed <= expected
    frozen = net.weights.keys() - expected
    assert all(net.weights[name] is BEGUN.weights[name] for name in frozen)


def test_the_best_on_the_validation_part_is_kept_and_the_start_counts():
    step = Train(TASK, n_steps=40, learning_rate=10.0)  # destroys everything
    net = step.fit_transform(BEGUN)
    assert same(net, BEGUN) == {*net.weights}
    assert max(curve["score"] for curve in step.curves_[1:]) < step.curves_[0]["score"]


def test_the_most_accurate_is_kept_and_of_equals_that_of_least_loss(monkeypatch):
    def kept(*looks):
        told = iter(looks)
        monkeypatch.setattr(training._Loop, "_look", lambda loop: next(told))
        step = Train(TASK, n_steps=8)
        step.told = lambda curves: len(curves) == len(looks)
        return step.fit_transform(BEGUN)

    third = kept((1.0, 0.1), (1.0, 0.2), (1.0, 0.3))  # the last is the best
    assert same(third, kept((1.0, 0.8), (2.0, 0.9), (1.5, 0.9), (1.7, 0.9), (0.1, 0.85))) == {*BEGUN.weights}


def test_training_ends_when_told_with_the_best_so_far():
    whole, step, heard = Train(TASK, n_steps=40), Train(TASK, n_steps=40), []
    step.told = lambda curves: heard.append(len(curves)) or len(curves) == 3
    net = step.fit_transform(BEGUN)
    whole.fit(BEGUN)
    assert heard == [1, 2, 3]
    assert step.curves_[1:] == whole.curves_[1:3]
    assert loss(net) == pytest.approx(max(step.curves_, key=training.merit)["valid_loss"], abs=1e-4)
    assert net.meta["recipe"][-1] == Train(TASK, n_steps=40).to_json()


def test_an_interrupt_keeps_the_best_so_far_and_a_listener_that_stops_is_obeyed():
    step, n_heard = Train(TASK, n_steps=40), 0

    def interrupt(curves):
        if len(curves) == 3:
            raise KeyboardInterrupt

    step.told = interrupt
    net = step.fit_transform(BEGUN)
    assert len(step.curves_) == 3
    assert loss(net) == pytest.approx(max(step.curves_, key=training.merit)["valid_loss"], abs=1e-4)
    assert loss(net) < loss(BEGUN)

    def stop(what, share):
        nonlocal n_heard
        n_heard += what == "Train"
        if n_heard == 7:
            raise progress.Stopped

    with pytest.raises(progress.Stopped), progress.told_to(stop):
        Train(TASK, n_steps=40).fit_transform(BEGUN)
    assert n_heard == 7


def test_tickets_begin_from_the_start_with_the_zeros_of_the_pruned():
    """Rewinding (Frankle and Carbin, 2019): the mask of trained weights on those from before training."""
    chain = [Train(TASK, n_steps=20), PruneWeights(0.5, on="all")]
    pruned = wb.Chain(chain).fit_transform(BEGUN)
    tickets = [
        wb.Chain([*chain, Train(TASK, n_steps=1, learning_rate=1e-12, start=start, only=only)]).fit_transform(BEGUN)
        for start, only in (("input", "all"), (BEGUN, "all"), ("input", "norms"))
    ]
    for ticket in tickets:
        for name in BEGUN.weights:
            mask = pruned.weights[name].mask if isinstance(pruned.weights[name], Sparse) else True
            np.testing.assert_allclose(ticket.values(name), np.where(mask, BEGUN.values(name), 0), atol=1e-6)
    step = Train(TASK, n_steps=1, learning_rate=1e-12, start=BEGUN, only="norms")
    assert step.fit(pruned).curves_[0]["valid_loss"] == pytest.approx(loss(tickets[2]), abs=1e-4)


def test_a_student_comes_closer_to_its_teacher_than_labels_bring_it():
    """A teacher who takes each label for the next one is far from what labels say."""
    parts = {name: getattr(TASK, name) for name in ("train", "valid")}
    taught = {name: replace(part, labels=(part.labels + 1) % 3) for name, part in parts.items()}
    teacher = Train(replace(TASK, **taught), n_steps=80, learning_rate=1e-3).fit_transform(NET)
    student = networks.transformer(VECTORS, n_layers=1, n_heads=2, n_inner=32, max_tokens=16, random_state=5)
    distances = []
    for given in (teacher, None):
        net = Train(TASK, n_steps=40, learning_rate=2e-3, teacher=given).fit_transform(student)
        of = [log_softmax(one.run(TASK.test.texts).logits, axis=1) for one in (teacher, net)]
        distances.append((np.exp(of[0]) * (of[0] - of[1])).sum(1).mean())
    assert distances[0] < 0.8 * distances[1]
    by_input = wb.Chain([networks.DropLayers(1), Train(TASK, n_steps=2, teacher="input")]).fit_transform(teacher)
    by_network = Train(TASK, n_steps=2, teacher=teacher).fit_transform(networks.DropLayers(1).fit_transform(teacher))
    assert same(by_input, by_network) == {*by_input.weights}


def test_recipes_name_tasks_and_networks_by_what_loads_them(tmp_path):
    path = BEGUN.save(tmp_path / "begun")
    step = Train("builtin:articles", n_steps=5, teacher=networks.load(path), start=path)
    assert wb.recipe_from(repr(step)) == Train("builtin:articles", n_steps=5, teacher=str(path), start=str(path))
    assert Train(TASK, teacher=BEGUN).to_json()["task"] == "made up"
    step = wb.recipe_from(repr(Train("builtin:articles", teacher=BEGUN))).set_params(task=TASK)
    with pytest.raises(FileNotFoundError, match="a network in memory does not exist; expected a file of a network"):
        step.fit(BEGUN)


def test_texts_without_any_word_do_no_harm_in_training():
    pairs = [("...", "no"), *((text, "no") for text in TASK.train.texts[:40]), ("!", "yes")]
    task = networks.Task.of("with texts without words", {"train": pairs, "test": pairs})
    for net in (NET, networks.bag(VECTORS)):
        step = Train(task, n_steps=6)
        trained = step.fit_transform(net)
        assert all(np.isfinite(trained.values(name)).all() for name in trained.weights)
        assert np.isfinite([curve["loss"] for curve in step.curves_[1:]]).all()
