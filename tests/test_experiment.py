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
from workbench.semantic.judge import Judge, Scores
from workbench.semantic.results import LOWER_NAME, UPPER_NAME, Outcome, retained, seed_interval
from workbench.semantic.settings import UPPER
from workbench.semantic.towers import principal_axes
from workbench.semantic.training import Trainer
from workbench.threads import one_thread

QUICK = Training(
    n_steps=40, n_warmup=20, batch_size=64, n_negatives=32, dim=8, hidden=16, eval_every=10, n_valid=200,
)  # fmt: skip
STE = Arm("ste", n_levels=2, codebook_size=8)
GUMBEL = replace(STE, estimator="gumbel")
ARMS = {"STE": STE, "Gumbel": GUMBEL}


def made_up() -> Items:
    """Users who each like one of a dozen kinds of item; kinds can be told from the features."""
    rng = np.random.default_rng(0)
    kinds = np.arange(240) % 12
    features = rng.normal(size=(12, 16))[kinds] + 0.5 * rng.normal(size=(240, 16))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    users = np.repeat(np.arange(120), 12)
    rows = np.concatenate([rng.permutation(np.flatnonzero(kinds == user % 12))[:12] for user in range(120)])
    return as_items(features, of_interactions(users, rows, np.arange(len(users)), features, 50))


def as_items(features: np.ndarray, examples: Examples) -> Items:
    names = tuple(f"item {i}" for i in range(len(features)))
    return Items(names, names, None, None, features, examples, "made up")


@pytest.fixture(scope="module", autouse=True)
def quick_torch():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def items() -> Items:
    return made_up()


@pytest.fixture(scope="module")
def results(items) -> Results:
    return Experiment(items, ARMS, replace(QUICK, n_steps=120, n_warmup=60), seeds=(0, 1)).run()


@pytest.fixture(scope="module")
def ste(items) -> Trainer:
    return trained(items, STE)


def trainer_of(items: Items, arm: Arm, training: Training = QUICK, seed: int = 0) -> Trainer:
    return Trainer(Judge(items), torch.from_numpy(items.features), arm, training, seed)


def trained(*settings, **options) -> Trainer:
    trainer = trainer_of(*settings, **options)
    trainer.run()
    return trainer


def same(a: Trainer, b: Trainer) -> bool:
    left, right = a.model.state_dict(), b.model.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


# -- what the numbers mean ----------------------------------------------------------------


def test_the_ends_are_0_and_1_a_bottleneck_keeps_most_and_random_codes_hardly_anything(results):
    table = results.table().set_index(["arm", "metric"])
    kept, values = table["retained"].xs("log_loss", level="metric"), table["value"]
    assert (kept[LOWER_NAME], kept[UPPER_NAME]) == (0, 1)
    assert values[UPPER_NAME, "log_loss"] < values[LOWER_NAME, "log_loss"] - 0.3
    assert values[UPPER_NAME, "recall"] > values[LOWER_NAME, "recall"]
    assert kept[["STE", "k-means, 2 x 8"]].min() > 0.6
    assert kept["random codes, 2 x 8"] < 0.3


def test_the_lower_end_is_popularity_and_nothing_else(items):
    judge = Judge(items)
    for part in (TEST, VALID):
        which = np.flatnonzero(items.examples.split == part)
        met = items.examples.history[which].toarray() > 0
        shares = np.where(met, 0, judge.popularity)
        shares /= shares.sum(axis=1, keepdims=True)
        loss = -np.log(shares[np.arange(len(which)), items.examples.targets[which]]).mean()
        assert judge.scores(None, None, which).log_loss == pytest.approx(loss, rel=1e-5)
    assert loss <= np.log(len(items) - met.sum(axis=1)).mean() + 1e-5  # in validation, of all items alike


def scores_by_hand(history_features: np.ndarray, targets: list[int]):
    """Scores of items, all equally popular, that are the features of the history as they are."""
    n = history_features.shape[1]
    split = np.array([TRAIN] * n + [VALID] + [TEST] * len(targets), np.int8)
    wanted = np.array([*range(n), 0, *targets], np.int32)
    history = csr_matrix(np.ones((len(split), 1), np.float32))
    examples = Examples(history, history_features, wanted, split)
    judge = Judge(as_items(np.eye(n, dtype=np.float32), examples))
    return judge.scores(torch.nn.Identity(), torch.eye(n), np.flatnonzero(split == TEST))


def test_recall_and_ndcg_by_hand():
    """Three items in order of their scores; the wanted ones are first and third of them."""
    scores = scores_by_hand(np.array([[30, 20, 10]], np.float32), [0, 2])
    assert scores.recall == 1
    assert scores.ndcg == pytest.approx((1 + 1 / 2) / 2)
    assert scores.log_loss == pytest.approx((0 + 20) / 2, abs=1e-3)
    # A model that scores all items alike must not find the wanted one by the order of rows.
    assert scores_by_hand(np.ones((1, 500), np.float32), [0]).recall == 0


def test_items_of_the_history_are_no_candidates_unless_training_has_repeats(items):
    assert Judge(items).excludes_history
    for part, is_excluded in ((TRAIN, False), (TEST, True)):
        again = made_up()
        examples, row = again.examples, (again.examples.split == part).argmax()
        examples.history.indices[examples.history.indptr[row]] = examples.targets[row]
        judge = Judge(again)
        assert judge.excludes_history == is_excluded
        assert np.isfinite(judge.scores(None, None, np.array([row])).log_loss)  # its own item stays


def test_only_a_wrong_item_that_was_not_met_counts_against_an_example(items):
    """Another's target and a drawn negative do, unless they are the item itself, or in the history."""
    which = np.flatnonzero(items.examples.split == TRAIN)[[5, 6]]
    own, others = items.examples.targets[which]
    histories = items.examples.history[which].toarray()
    met, fresh = histories[0].argmax(), np.setdiff1d(np.flatnonzero(~histories.any(axis=0)), [own, others])[0]
    left_out = Judge(items).no_rivals(which, np.array([own, others, met, own, fresh]))
    assert left_out[0, [0, 2, 3, 4]].tolist() == [False, True, True, False]
    assert not left_out[1, 1]


def test_the_share_retained_and_its_interval():
    assert retained(8.2, 9.0, 8.0) == pytest.approx(0.8)
    assert np.isnan(retained(1, 2, 2))
    low, high = seed_interval(np.array([0.9, 1.0, 1.1]))
    assert (low, high) == pytest.approx((1 - 4.303 * 0.1 / 3**0.5, 1 + 4.303 * 0.1 / 3**0.5), abs=1e-3)
    assert np.isnan(seed_interval(np.array([0.9]))).all()


# -- what is the same between arms --------------------------------------------------------


def test_a_shared_warm_up_ends_as_one_of_an_arms_own(items, ste):
    """For each of those that share it: what one does must not reach the next."""
    upper = trainer_of(items, UPPER)
    upper.run(until=QUICK.n_warmup)
    for alone in (ste, trained(items, GUMBEL)):
        arm = trainer_of(items, alone.arm)
        arm.adopt(upper)
        arm.run()
        assert same(arm, alone)
        assert arm.curves == alone.curves


def test_the_seed_decides_what_is_trained_and_the_test_split_has_no_say(items, ste):
    others = made_up()
    test = others.examples.split == TEST
    others.examples.targets[test] = (others.examples.targets[test] + 7) % len(others)
    assert same(trained(others, STE), ste)
    assert not same(trained(items, STE, seed=1), ste)


def test_validation_chooses_the_step(ste):
    best = min((row for row in ste.curves if row["step"] > QUICK.n_warmup), key=lambda row: row["log_loss"])
    assert (ste.best_step, ste.best_loss) == (best["step"], best["log_loss"])


def test_each_step_draws_its_own_examples(items):
    still = trainer_of(items, UPPER, replace(QUICK, learning_rate=0.0, weight_decay=0.0))
    still.run(until=5)
    assert len(set(still.losses)) == 5


# -- what an arm says is what happens -----------------------------------------------------


def test_every_setting_of_an_arm_reaches_its_bottleneck():
    arm = Arm("gumbel", 3, 16, simvq=True, train_codebooks=False, beta=0.5, hard=True, scale="std")
    made = arm.bottleneck(4, 0)
    assert made.codebooks.shape == (3, 16, 4)
    assert made.projections is not None
    assert not made.codebooks.requires_grad
    assert (made.estimator, made.beta, made.hard, made.scale) == ("gumbel", 0.5, True, "std")
    assert replace(STE, ema_decay=0.9).bottleneck(4, 0).ema_decay == 0.9


def test_few_examples_are_trained_on_for_fewer_steps(items):
    few, many = replace(items.examples, split=np.zeros(500, np.int8)), replace(items.examples, split=np.zeros(50_000))
    assert (Training.suited(few).n_steps, Training.suited(many)) == (200, Training(dim=16))
    assert Experiment(items, ARMS).training == Training.suited(items.examples)


def test_the_temperature_begins_with_the_bottleneck_and_reaches_the_estimator(items):
    cooled, usual = trained(items, replace(GUMBEL, start=2.0, end=0.5)), trained(items, GUMBEL)
    assert [row["tau"] for row in cooled.curves] == pytest.approx([2, 2, 1, 0.5])
    assert not same(cooled, usual)


def test_resets_are_counted_and_random_codebooks_stay_random(items):
    start = replace(STE, init="random", codebook_size=64)
    with_resets, without = (trained(items, start, replace(QUICK, reset_every=steps)) for steps in (4, 0))
    assert with_resets.n_resets > 0
    assert not bool(without.model.bottleneck.initialised)
    assert with_resets.curves[-1]["use_1"] > without.curves[-1]["use_1"]


def test_without_their_loss_straight_through_codebooks_stay_where_they_start(items):
    """And with it they move: the task has no say in them."""
    for weight, stay in ((0.0, True), (1.0, False)):
        trainer = trainer_of(items, STE, replace(QUICK, reset_every=0, loss_weight=weight))
        trainer.run(until=QUICK.n_warmup)
        books = trainer.model.bottleneck
        books.init_codebooks(trainer.model.encoder(trainer.features).detach())
        start = books.codebooks.detach().clone()
        trainer.run()
        assert torch.equal(books.codebooks, start) == stay


# -- stopping -----------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Stopped, MemoryError])
def test_a_killed_training_goes_on_to_the_same_ids_and_is_not_repeated(items, tmp_path, end):
    """Where it was stopped, or, if it had no time to note that, where it last looked at the validation split."""
    whole = Experiment(items, ARMS, QUICK, seeds=(0,)).run()

    def kill(what: str, share: float) -> None:
        if what.startswith("Gumbel") and share > 0.85:
            raise end

    with progress.told_to(kill), pytest.raises(end):
        Experiment(items, ARMS, QUICK, seeds=(0,), folder=tmp_path).run()
    steps = []
    for _ in range(2):
        outcomes = Experiment(items, ARMS, QUICK, seeds=(0,), folder=tmp_path).run(
            told=lambda name, seed, row: steps.append((name, row["step"]))
        )
        assert steps == [("Gumbel", 40)]
        for name in ARMS:
            assert np.array_equal(outcomes.ids(name).codes, whole.ids(name).codes)
            assert np.array_equal(outcomes.ids(name).codebooks, whole.ids(name).codebooks)
        assert outcomes.table().equals(whole.table())


def test_a_training_whose_checkpoint_cannot_be_written_does_not_begin(items, tmp_path):
    (tmp_path / "file").touch()
    seen: list = []
    with pytest.raises(NotADirectoryError, match="is a file"):
        Experiment(items, ARMS, QUICK, seeds=(0,), folder=tmp_path / "file").run(told=lambda *row: seen.append(row))
    assert seen == []


def test_a_checkpoint_of_something_else_is_refused(items, tmp_path):
    path = tmp_path / "a.safetensors"
    trainer_of(items, STE).save(path)
    other = trainer_of(items, GUMBEL)
    with pytest.raises(ValueError, match=r"another training \(arm differ"):
        other.load(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="no whole checkpoint"):
        other.load(path)


# -- what came out ------------------------------------------------------------------------


def test_ids_are_those_of_the_chosen_model(results, items):
    name = results.chosen()
    valid = results.table().query("metric == 'log_loss' and arm in ['STE', 'Gumbel']").set_index("arm")["valid"]
    assert name == valid.idxmin()
    ids, outcome = results.ids(name, seed=1), results.outcome(name, 1)
    assert ids.items == items.ids
    assert np.array_equal(ids.codes, outcome.codes)
    near, by_chance = (np.abs(ids.decode() - outcome.encoded[::order]).mean() for order in (1, -1))
    assert near < 0.7 * by_chance
    with pytest.raises(KeyError, match="'nope'"):
        results.outcome("nope")
    with pytest.raises(ValueError, match="makes no codes"):
        results.ids(UPPER_NAME)
    with pytest.raises(ValueError, match="no arm with 7 levels"):
        results.chosen(n_levels=7)


def test_use_is_that_of_the_level_and_seed_with_the_least(items):
    results, books = Results(items), np.zeros((2, 4, 3))
    for seed, codes in enumerate([[[0, 0], [1, 0], [2, 1]], [[0, 3], [1, 2], [2, 1]]]):
        for name in (LOWER_NAME, UPPER_NAME, "arm"):
            coded = {"codes": np.array(codes), "codebooks": books} if name == "arm" else {}
            results.outcomes.append(Outcome(name, seed, None, Scores(1.0, 0.5, 0.5, 9), **coded))
    assert results.table()["use"].dropna().tolist() == [2 / 4] * 3


# -- bad input ----------------------------------------------------------------------------


def test_bad_settings_are_refused_before_any_work(items):
    no_examples = replace(items, examples=None)
    no_validation = replace(items, examples=replace(items.examples, split=np.full(len(items.examples), TRAIN, np.int8)))
    for said, settings in [
        ("'nope'", (items, {"x": Arm("nope")}, QUICK)),
        ("no estimator", (items, {"x": Arm(None)}, QUICK)),
        ("'kmeans'", (items, {"x": Arm(init="x")}, QUICK)),
        ("above 0", (items, {"x": Arm(start=0)}, QUICK)),
        ("lower: no content", (items, {LOWER_NAME: Arm()}, QUICK)),
        ("a seed or more", (items, ARMS, QUICK, ())),
        ("dim is 17", (items, ARMS, replace(QUICK, dim=17))),
        (r"interactions\.csv", (no_examples, ARMS, QUICK)),
        ("0 to validate on", (no_validation, ARMS, QUICK)),
    ]:
        with pytest.raises(ValueError, match=said):
            Experiment(*settings)
    for name, wrong in {"n_steps": 0, "n_warmup": -1, "batch_size": 1.5, "n_valid": 0}.items():
        with pytest.raises(ValueError, match=f"expected {name} to be a whole number"):
            replace(QUICK, **{name: wrong})
    with pytest.raises(ValueError, match="leaves none of 40"):
        replace(QUICK, n_warmup=40)


def test_items_that_are_all_the_same_or_fewer_than_the_entries_and_one_that_leaves_nothing_to_retain():
    alike = made_up()
    alike.features[:] = alike.features[0]
    arms = {name: replace(arm, codebook_size=512) for name, arm in ARMS.items()}
    results = Experiment(alike, arms, QUICK, seeds=(0,)).run()
    assert len(np.unique(results.ids("STE").codes, axis=0)) == 1
    assert np.isfinite(results.table().query("metric == 'log_loss'")["value"]).all()
    features = np.ones((1, 8), np.float32)
    examples = of_interactions(np.zeros(12, int), np.zeros(12, int), np.arange(12), features, 50)
    table = Experiment(as_items(features, examples), ARMS, QUICK, seeds=(0,)).run().table()
    assert (table.query("metric == 'log_loss'")["value"] == 0).all()
    assert table["retained"].isna().all()


def test_axes_are_the_longest_directions():
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 3)) * [1.0, 9.0, 0.1])
    axes = principal_axes(rows, 2, sharpness=4.0)
    assert axes.norm(dim=1) == pytest.approx([2.0, 2.0], rel=1e-5)
    assert axes[0].abs().argmax() == 1
