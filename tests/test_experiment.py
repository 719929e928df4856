"""Two towers with a bottleneck between them: arms that can be compared, trainings that can be stopped."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from workbench import progress
from workbench.progress import Stopped
from workbench.semantic import Arm, Experiment, Items, Results, Training
from workbench.semantic.examples import TEST, TRAIN, VALID, Examples, of_interactions
from workbench.semantic.judge import Judge
from workbench.semantic.results import LOWER_NAME, UPPER_NAME, retained, seed_interval
from workbench.semantic.settings import UPPER
from workbench.semantic.towers import principal_axes
from workbench.semantic.training import Trainer

QUICK = Training(
    n_steps=40, n_warmup=20, batch_size=64, n_negatives=32, dim=8, hidden=16, eval_every=10, n_valid=200,
)  # fmt: skip
ARMS = {"STE": Arm("ste", n_levels=2, codebook_size=8), "Gumbel": Arm("gumbel", n_levels=2, codebook_size=8)}


def made_up(n_items: int = 240, n_users: int = 120, seed: int = 0) -> Items:
    """Users who each like one of a few kinds of item; kinds can be told from the features."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(12, size=n_items)
    features = rng.normal(size=(12, 16))[kinds] + 0.5 * rng.normal(size=(n_items, 16))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    users, rows = [], []
    for user in range(n_users):
        liked = np.flatnonzero(kinds == user % 12)
        users += [user] * 12
        rows += list(rng.permutation(liked)[:12]) + list(rng.permutation(n_items)[: max(0, 12 - len(liked))])
    examples = of_interactions(np.array(users), np.array(rows), np.arange(len(users)), features, 50)
    names = tuple(f"item {i}" for i in range(n_items))
    return Items(names, names, None, None, features, examples, "made up")


@pytest.fixture(scope="module")
def items() -> Items:
    return made_up()


@pytest.fixture(scope="module")
def results(items) -> Results:
    return Experiment(items, ARMS, replace(QUICK, n_steps=120, n_warmup=60), seeds=(0, 1)).run()


def trained(items: Items, arm: Arm, training: Training = QUICK, seed: int = 0) -> Trainer:
    trainer = Trainer(Judge(items), torch.from_numpy(items.features), arm, training, seed)
    trainer.run()
    return trainer


def same(a: Trainer, b: Trainer) -> bool:
    left, right = a.model.state_dict(), b.model.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


# -- what the numbers mean ----------------------------------------------------------------


def test_the_ends_are_nought_and_all_and_content_is_worth_something(results):
    table = results.table().set_index(["arm", "metric"])["retained"]
    assert table[LOWER_NAME, "log_loss"] == 0
    assert table[UPPER_NAME, "log_loss"] == 1
    values = results.table().set_index(["arm", "metric"])["value"]
    assert values[UPPER_NAME, "log_loss"] < values[LOWER_NAME, "log_loss"] - 0.3
    assert values[UPPER_NAME, "recall"] > values[LOWER_NAME, "recall"]


def test_a_bottleneck_keeps_most_and_codes_by_lot_next_to_nothing(results):
    kept = results.table().query("metric == 'log_loss'").set_index("arm")["retained"]
    assert kept["STE"] > 0.6
    assert kept["k-means, 2 x 8"] > 0.6
    assert kept["random codes, 2 x 8"] < 0.3


def test_the_lower_end_is_popularity_and_nothing_else(items):
    judge = Judge(items)
    which = np.flatnonzero(items.examples.split == TEST)
    met = items.examples.history[which].toarray() > 0
    shares = np.where(met, 0, judge.popularity)
    shares /= shares.sum(axis=1, keepdims=True)
    loss = -np.log(shares[np.arange(len(which)), items.examples.targets[which]]).mean()
    assert judge.scores(None, None, which).log_loss == pytest.approx(loss, rel=1e-5)


def test_recall_and_ndcg_by_hand():
    """Three items in order of their scores; the wanted ones are first and third of them."""
    features = np.eye(3, dtype=np.float32)
    bags = csr_matrix(np.eye(3, dtype=np.float32)[[0, 0, 0, 0]])
    split = np.array([TRAIN, VALID, TEST, TEST], np.int8)
    pairs = Examples(bags, np.array([[30.0, 20, 10]] * 3, np.float32), np.array([0, 1, 0, 2], np.int32), split)
    judge = Judge(Items(("a", "b", "c"), ("a", "b", "c"), None, None, features, pairs, "by hand"))
    judge._log_popularity = torch.zeros(3)
    scores = judge.scores(torch.nn.Identity(), torch.eye(3), np.array([2, 3]))
    assert scores.recall == 1
    assert scores.ndcg == pytest.approx((1 + 1 / 2) / 2)
    assert scores.log_loss == pytest.approx((0 + 20) / 2, abs=1e-3)


def test_equal_scores_are_no_hit():
    """A model that scores all items alike must not find the wanted one by the order of rows."""
    n = 1_000
    features = np.ones((n, 2), np.float32)
    pairs = Examples(
        csr_matrix(np.ones((3, 1), np.float32)), np.ones((1, 2), np.float32), np.array([0, 0, 0], np.int32),
        np.array([TRAIN, VALID, TEST], np.int8),
    )  # fmt: skip
    judge = Judge(Items(tuple(map(str, range(n))), tuple(map(str, range(n))), None, None, features, pairs, "alike"))
    judge._log_popularity = torch.zeros(n)
    assert judge.scores(torch.nn.Identity(), torch.ones(n, 2), np.array([2])).recall == 0


def test_what_was_met_is_no_candidate_unless_things_come_again(items):
    assert Judge(items).excludes_history
    again = made_up()
    again.examples.history.indices[0] = again.examples.targets[0]
    assert not Judge(again).excludes_history


def test_popularity_is_no_worse_than_all_items_alike(items):
    judge = Judge(items)
    valid = np.flatnonzero(items.examples.split == VALID)
    chosen = judge.scores(None, None, valid).log_loss
    judge._log_popularity = torch.zeros(len(items))
    assert chosen <= judge.scores(None, None, valid).log_loss + 1e-5


def test_the_share_retained_and_its_interval():
    assert retained(8.2, 9.0, 8.0) == pytest.approx(0.8)
    assert np.isnan(retained(1, 2, 2))
    low, high = seed_interval(np.array([0.9, 1.0, 1.1]))
    assert (low, high) == pytest.approx((1 - 4.303 * 0.1 / 3**0.5, 1 + 4.303 * 0.1 / 3**0.5), abs=1e-3)
    assert np.isnan(seed_interval(np.array([0.9]))).all()


# -- what is the same between arms --------------------------------------------------------


def test_arms_are_the_same_until_the_bottleneck_is_in_use(items):
    upper, arm = (Trainer(Judge(items), torch.from_numpy(items.features), a, QUICK) for a in (UPPER, ARMS["STE"]))
    upper.run(until=QUICK.n_warmup)
    arm.run(until=QUICK.n_warmup)
    for part in ("user", "encoder", "decoder"):
        left, right = getattr(upper.model, part).state_dict(), getattr(arm.model, part).state_dict()
        assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.slow
def test_a_warm_up_that_is_shared_ends_as_one_that_is_not(items):
    """For each of those that share it: what one does must not reach the next."""
    upper = Trainer(Judge(items), torch.from_numpy(items.features), UPPER, QUICK)
    upper.run(until=QUICK.n_warmup)
    for way in (*ARMS.values(), replace(ARMS["Gumbel"], start=2.0)):
        arm = Trainer(Judge(items), torch.from_numpy(items.features), way, QUICK)
        arm.adopt(upper)
        arm.run()
        alone = trained(items, way)
        assert same(arm, alone)
        assert arm.curves == alone.curves


def test_the_test_split_has_no_say_in_training(items):
    """With other wishes in it the same model is trained, and chosen."""
    others = made_up()
    test = others.examples.split == TEST
    others.examples.targets[test] = (others.examples.targets[test] + 7) % len(others)
    assert same(trained(items, ARMS["STE"]), trained(others, ARMS["STE"]))


def test_validation_chooses_the_step(items):
    trainer = trained(items, ARMS["STE"])
    looks = [row for row in trainer.curves if row["step"] > QUICK.n_warmup]
    assert trainer.best_step == min(looks, key=lambda row: row["log_loss"])["step"]
    assert trainer.best_loss == min(row["log_loss"] for row in looks)


def test_same_seed_same_ids_other_seed_others(items):
    first, again, other = (trained(items, ARMS["STE"], seed=seed) for seed in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)


# -- what an arm says is what happens -----------------------------------------------------


def test_every_setting_of_an_arm_reaches_its_bottleneck():
    arm = Arm("gumbel", 3, 16, simvq=True, train_codebooks=False, beta=0.5, hard=True, scale="std")
    made = arm.bottleneck(4, 0)
    assert made.codebooks.shape == (3, 16, 4)
    assert made.projections is not None
    assert not made.codebooks.requires_grad
    assert (made.estimator, made.beta, made.hard, made.scale) == ("gumbel", 0.5, True, "std")
    assert Arm("ste", 2, 8, ema_decay=0.9).bottleneck(4, 0).ema_decay == 0.9


def test_few_examples_are_trained_on_for_fewer_steps(items):
    few, many = replace(items.examples, split=np.zeros(500, np.int8)), replace(items.examples, split=np.zeros(50_000))
    assert (Training.suited(few).n_steps, Training.suited(many)) == (200, Training(dim=16))
    assert Experiment(items, ARMS).training == Training.suited(items.examples)


def test_temperature_begins_with_the_bottleneck(items):
    arm = replace(ARMS["Gumbel"], start=2.0, end=0.5)
    curves = trained(items, arm).curves
    assert [row["tau"] for row in curves][1] == 2
    assert curves[-1]["tau"] == pytest.approx(0.5)


def test_resets_are_counted_and_random_codebooks_stay_random(items):
    start = replace(ARMS["STE"], init="random", codebook_size=32)
    with_resets = trained(items, start, replace(QUICK, reset_every=4))
    assert with_resets.n_resets > 0
    without = trained(items, start)
    assert not bool(without.model.bottleneck.initialised)
    assert with_resets.curves[-1]["use_1"] > without.curves[-1]["use_1"]


def test_the_temperature_reaches_the_estimator(items):
    colder = replace(ARMS["Gumbel"], start=0.1, end=0.1)
    assert not same(trained(items, ARMS["Gumbel"]), trained(items, colder))


def test_without_their_loss_straight_through_codebooks_stay_where_they_start(items):
    """And with it they move: the task has no say in them."""
    training = replace(QUICK, reset_every=0)
    started = Trainer(Judge(items), torch.from_numpy(items.features), ARMS["STE"], training)
    started.run(until=QUICK.n_warmup)
    rows = started.model.encoder(started.features).detach()
    started.model.bottleneck.init_codebooks(rows)
    start = started.model.bottleneck.codebooks.detach()
    still = trained(items, ARMS["STE"], replace(training, loss_weight=0.0)).model.bottleneck.codebooks.detach()
    moved = trained(items, ARMS["STE"], training).model.bottleneck.codebooks.detach()
    assert torch.equal(still, start)
    assert not torch.allclose(moved, start, atol=1e-4)


def test_only_a_wrong_item_that_was_not_met_counts_against_an_example(items):
    """Another's wish and a drawn negative do, unless they are the item itself, or in the history."""
    judge = Judge(items)
    which = np.flatnonzero(items.examples.split == TRAIN)[[5, 6]]
    own, others = items.examples.targets[which]
    met = items.examples.history[which[0]].indices[0]
    fresh = next(
        i for i in range(len(items)) if not items.examples.history[which][:, [i]].nnz and i not in (own, others)
    )
    left_out = judge.no_rivals(which, np.array([own, others, met, own, fresh]))
    assert left_out[0, [0, 2, 3, 4]].tolist() == [False, True, True, False]
    assert left_out[1, 1] == 0


# -- stopping -----------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Stopped, MemoryError])
def test_a_killed_training_goes_on_to_the_same_ids(items, tmp_path, end):
    """Where it was stopped, or, if it had no time to note that, where it last looked at the validation split."""
    whole = Experiment(items, ARMS, QUICK, seeds=(0,)).run()

    def kill(what: str, share: float) -> None:
        if what.startswith("Gumbel") and share > 0.85:
            raise end

    with progress.told_to(kill), pytest.raises(end):
        Experiment(items, ARMS, QUICK, seeds=(0,), folder=tmp_path).run()
    resumed = Experiment(items, ARMS, QUICK, seeds=(0,), folder=tmp_path)
    steps = []
    outcomes = resumed.run(told=lambda name, seed, row: steps.append((name, row["step"])))
    assert steps == [("Gumbel", 40)]
    for name in ARMS:
        assert np.array_equal(outcomes.ids(name).codes, whole.ids(name).codes)
        assert np.array_equal(outcomes.ids(name).codebooks, whole.ids(name).codebooks)
    assert outcomes.table().equals(whole.table())


def test_what_is_done_is_not_done_again(items, tmp_path):
    Experiment(items, ARMS, QUICK, seeds=(0,), folder=tmp_path).run()
    told = []
    Experiment(items, ARMS, QUICK, seeds=(0,), folder=tmp_path).run(told=lambda *what: told.append(what))
    assert told == []


def test_a_stopped_run_goes_on_in_the_same_experiment(items):
    experiment = Experiment(items, ARMS, QUICK, seeds=(0,))

    def stop(what: str, share: float) -> None:
        if what.startswith("Gumbel"):
            raise Stopped

    with progress.told_to(stop), pytest.raises(Stopped):
        experiment.run()
    assert experiment.results.has("STE", 0)
    assert experiment.run().has("Gumbel", 0)


def test_a_checkpoint_of_something_else_is_refused(items, tmp_path):
    path = tmp_path / "a.safetensors"
    trained(items, ARMS["STE"]).save(path)
    other = Trainer(Judge(items), torch.from_numpy(items.features), ARMS["Gumbel"], QUICK)
    with pytest.raises(ValueError, match=r"another training \(arm differ"):
        other.load(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="no whole checkpoint"):
        other.load(path)


# -- what came out ------------------------------------------------------------------------


def test_ids_are_those_of_the_chosen_model(results, items):
    name = results.chosen()
    ids = results.ids(name, seed=1)
    outcome = results.outcome(name, 1)
    assert ids.items == items.ids
    assert np.array_equal(ids.codes, outcome.codes)
    near = np.linalg.norm(ids.decode() - outcome.encoded, axis=1).mean()
    by_chance = np.linalg.norm(ids.decode() - outcome.encoded[::-1], axis=1).mean()
    assert near < 0.7 * by_chance


def test_shares_are_of_the_same_seeds_ends_and_use_is_the_least(results):
    by_seed = results.by_seed().query("metric == 'log_loss'").set_index(["arm", "seed"])
    for seed in (0, 1):
        model, lower, upper = (by_seed.loc[(arm, seed), "value"] for arm in ("STE", LOWER_NAME, UPPER_NAME))
        assert by_seed.loc[("STE", seed), "retained"] == retained(model, lower, upper)
    assert by_seed.loc[(UPPER_NAME, 0), "value"] != by_seed.loc[(UPPER_NAME, 1), "value"]
    used = [len(np.unique(level)) for seed in (0, 1) for level in results.outcome("STE", seed).codes.T]
    assert results.table().set_index(["arm", "metric"]).loc[("STE", "recall"), "use"] == min(used) / 8


def test_the_chosen_arm_has_the_least_validation_loss(results):
    valid = results.table().query("metric == 'log_loss' and arm in ['STE', 'Gumbel']").set_index("arm")["valid"]
    assert results.chosen() == valid.idxmin()
    with pytest.raises(ValueError, match="no arm with 7 levels"):
        results.chosen(n_levels=7)


def test_outcomes_that_are_not_there_are_named(results):
    with pytest.raises(KeyError, match="'nope'"):
        results.outcome("nope")
    with pytest.raises(ValueError, match="makes no codes"):
        results.ids(UPPER_NAME)


# -- bad input ----------------------------------------------------------------------------


def test_bad_settings_are_refused_before_any_work(items):
    wrong_arms = {"'nope'": Arm("nope"), "no estimator": Arm(None), "'kmeans'": Arm(init="x"), "above 0": Arm(start=0)}
    for said, arm in wrong_arms.items():
        with pytest.raises(ValueError, match=said):
            Experiment(items, {"x": arm}, QUICK)
    with pytest.raises(ValueError, match="lower: no content"):
        Experiment(items, {LOWER_NAME: Arm()}, QUICK)
    with pytest.raises(ValueError, match="a seed or more"):
        Experiment(items, ARMS, QUICK, seeds=())
    with pytest.raises(ValueError, match="dim is 17"):
        Experiment(items, ARMS, replace(QUICK, dim=17))
    for name, wrong in {"n_steps": 0, "n_warmup": -1, "batch_size": 1.5, "n_valid": 0}.items():
        with pytest.raises(ValueError, match=f"expected {name} to be a whole number"):
            replace(QUICK, **{name: wrong})
    with pytest.raises(ValueError, match="leaves none of 40"):
        replace(QUICK, n_warmup=40)


def test_items_without_interactions_are_refused(items):
    with pytest.raises(ValueError, match=r"interactions\.csv"):
        Experiment(replace(items, examples=None), ARMS, QUICK)


def test_without_validation_examples_there_is_nothing_to_choose_by(items):
    few = replace(items, examples=replace(items.examples, split=np.full(len(items.examples), TRAIN, np.int8)))
    with pytest.raises(ValueError, match="0 to validate on"):
        Experiment(few, ARMS, QUICK)


@pytest.mark.parametrize("n_entries", [8, 512])
def test_items_that_are_all_the_same_and_more_entries_than_items(n_entries):
    alike = made_up(n_items=100)
    alike.features[:] = alike.features[0]
    arms = {"STE": Arm("ste", 2, n_entries), "Gumbel": Arm("gumbel", 2, n_entries)}
    results = Experiment(alike, arms, QUICK, seeds=(0,)).run()
    assert len(np.unique(results.ids("STE").codes, axis=0)) == 1
    assert np.isfinite(results.table().query("metric == 'log_loss'")["value"]).all()


def test_of_one_item_there_is_nothing_to_retain():
    features = np.ones((1, 8), np.float32)
    examples = of_interactions(np.zeros(12, int), np.zeros(12, int), np.arange(12), features, 50)
    alone = Items(("a",), ("a",), None, None, features, examples, "one item")
    table = Experiment(alone, ARMS, QUICK, seeds=(0,)).run().table()
    assert (table.query("metric == 'log_loss'")["value"] == 0).all()
    assert table["retained"].isna().all()


def test_axes_are_the_longest_directions():
    rows = torch.randn(50, 3) * torch.tensor([1.0, 9.0, 0.1])
    axes = principal_axes(rows, 2, sharpness=4.0)
    assert axes.norm(dim=1) == pytest.approx([2.0, 2.0], rel=1e-5)
    assert axes[0].abs().argmax() == 1
