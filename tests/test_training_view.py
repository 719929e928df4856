"""Trainings seen: what a listener hears, what a stop and another start leave as it was, what is refused, the page."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from test_session import PATIENCE, until

from workbench.semantic.examples import of_interactions
from workbench.semantic.items import Items

torch = pytest.importorskip("torch")

from workbench.semantic.results import LOWER_NAME, UPPER_NAME  # noqa: E402
from workbench.semantic.settings import Arm, Training  # noqa: E402
from workbench.semantic.training import Trainer  # noqa: E402
from workbench.views import TrainingView, curves_figure, retained_figure  # noqa: E402
from workbench.views import training as module  # noqa: E402
from workbench.views.curves import (  # noqa: E402
    best_arm,
    chosen_words,
    end_of_warmup,
    joined,
    mean_over_seeds,
    ranked,
    retained_html,
)
from workbench.views.live.training import (  # noqa: E402
    CurvesPart,
    KeptPart,
    RunPart,
    SettingPart,
    TrainedIdsPart,
)
from workbench.views.training import Plan, TrainingSession, training_page  # noqa: E402

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
SMALL = Training(n_steps=24, n_warmup=12, batch_size=32, n_negatives=32, dim=8, hidden=16, eval_every=4)
ARMS = {
    "STE": Arm("ste", n_levels=2, codebook_size=8),
    "Gumbel": Arm("gumbel", n_levels=2, codebook_size=8, start=1.0, end=0.1),
}


def made_items(n: int = 200, n_users: int = 40, seed: int = 0, with_examples: bool = True) -> Items:
    """Items of five kinds; a user wants one kind."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 5, n)
    features = (np.eye(5)[kinds] @ rng.normal(size=(5, 12)) + 0.3 * rng.normal(size=(n, 12))).astype(np.float32)
    users = np.repeat(np.arange(n_users), 12)
    wanted = rng.integers(0, 5, n_users)
    rows = np.array([rng.choice(np.flatnonzero(kinds == wanted[user])) for user in users])
    examples = of_interactions(users, rows, np.arange(len(users)), features, 10) if with_examples else None
    ids = tuple(f"item{i}" for i in range(n))
    names = tuple(f"thing {i} of kind {kind}" for i, kind in enumerate(kinds))
    return Items(ids, names, None, pd.DataFrame(index=range(n)), features, examples, "made up")


@pytest.fixture(scope="module")
def items() -> Items:
    return made_items()


@pytest.fixture(scope="module")
def done(items):
    """A training of two seeds from beginning to end, in one go."""
    session = TrainingSession(items, ARMS, SMALL, seeds=(0, 1), background=False)
    return session.wait()


def begun(items, **options) -> tuple[TrainingSession, list]:
    """A session at work, and the states that it goes through."""
    session, states = TrainingSession(items, ARMS, SMALL, **options), []
    session.listen(lambda: states.append(session.state))
    session.train(session.offered)
    return session, states


def looks(curves: pd.DataFrame | None) -> list[tuple]:
    return (
        [] if curves is None else list(curves[["arm", "seed", "step", "log_loss"]].itertuples(index=False, name=None))
    )


# -- the work -----------------------------------------------------------------------------


def test_a_listener_sees_looks_in_order_and_none_goes_again(items, done):
    session, states = begun(items, seeds=(0, 1))
    state = session.wait(PATIENCE)
    assert state.errors == {}
    grown = [set(looks(s.curves)) for s in states]
    assert all(before <= after for before, after in pairwise(grown))
    assert len({len(seen) for seen in grown}) > 10  # one after the other, not all at the end
    steps = [s.n_steps for s in states]
    assert steps == sorted(steps)
    assert steps[-1] == session.offered.n_steps == 2 * (12 + 3 * 12)
    first = next(s for s in states if s.curves is not None and len(s.curves))
    assert set(first.curves["arm"]) == {UPPER_NAME}  # the warm-up, that all arms share
    own = mean_over_seeds(state.curves, "STE")
    assert list(own["step"]) == [12, 16, 20, 24]
    pd.testing.assert_frame_equal(state.table, done.table)
    assert state.chosen == done.chosen in ARMS
    assert state.lower == done.lower


def stopped_at(items, folder, step: int):
    """A training that a person stopped once an arm had gone so far, and what was on show then."""
    session, _ = begun(items, folder=folder)

    def is_there() -> bool:
        curves = session.state.curves
        return curves is not None and ((curves["arm"] == "STE") & (curves["step"] >= step)).any()

    session.listen(lambda: session.stop() if is_there() else None)
    session.wait(PATIENCE)
    return session


@pytest.mark.parametrize("anew", [False, True])
def test_what_was_stopped_goes_on_and_ends_as_if_it_had_not_been(items, tmp_path, anew):
    session = stopped_at(items, tmp_path, 16)
    state = session.state
    assert (state.run, state.stopped, state.chosen) == (None, True, "")
    assert not (state.curves["arm"] == "Gumbel").any()
    session._listeners.clear()
    if anew:  # as after a kernel has ended
        session = TrainingSession(items, ARMS, SMALL, folder=tmp_path)
    seen: list[tuple] = []
    session.listen(lambda: seen.append(looks(session.state.curves)))
    session.train(session.offered)
    again = session.wait(PATIENCE)
    unbroken = TrainingSession(items, ARMS, SMALL, background=False).wait()
    assert again.errors == {}
    assert not again.stopped
    pd.testing.assert_frame_equal(again.table, unbroken.table)
    assert set(looks(again.curves)) >= set(looks(unbroken.curves))
    for name in ARMS:
        assert (again.results.ids(name).codes == unbroken.results.ids(name).codes).all()
    if not anew:
        assert all(set(looks(state.curves)) <= set(now) for now in seen)  # what was there stays on show


def test_a_stop_ends_it_between_two_steps_and_a_checkpoint_is_there(items, tmp_path, monkeypatch):
    steps = []
    step = Trainer._step
    monkeypatch.setattr(Trainer, "_step", lambda trainer: (steps.append(trainer.step), step(trainer)))
    session, _ = begun(items, folder=tmp_path)
    until(lambda: len(steps) > 14)
    session.stop()
    n = len(steps)
    session.wait(PATIENCE)
    assert len(steps) <= n + 1
    assert list(tmp_path.glob("*.safetensors"))


def test_an_arm_that_is_added_is_trained_and_no_other_again(items, monkeypatch):
    session = TrainingSession(items, ARMS, SMALL)
    session.train(replace(session.offered, arms={"STE": ARMS["STE"]}))
    first = session.wait(PATIENCE)
    steps = []
    step = Trainer._step
    monkeypatch.setattr(Trainer, "_step", lambda trainer: (steps.append(trainer.arm), step(trainer)))
    states = []
    session.listen(lambda: states.append(session.state))
    session.train(session.offered)
    state = session.wait(PATIENCE)
    at_work = [s for s in states if s.run is not None and looks(s.curves)]
    assert all(set(looks(first.curves)) <= set(looks(s.curves)) for s in at_work)  # though nobody told of them again
    assert at_work
    assert set(steps) == {ARMS["Gumbel"]}
    assert len(steps) == 12
    assert set(looks(first.curves)) <= set(looks(state.curves))
    assert list(state.table["arm"].unique())[:2] == [LOWER_NAME, UPPER_NAME]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan({}), "choose an estimator"),
        (Plan({"STE": Arm(codebook_size=256)}), "256 codes to a level are more than the 200 items"),
        (Plan({"EMA": Arm(simvq=True, ema_decay=0.9, codebook_size=8)}), "leave out simvq"),
        (Plan({"g": Arm("gumbel", codebook_size=8, start=0.0)}), "above 0"),
        (Plan(ARMS, SMALL, ()), "a seed or more"),
        (Plan(ARMS, SMALL, (-1,)), "seeds of 0 and more"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_any_work(items, plan, said, monkeypatch):
    monkeypatch.setattr(module.Experiment, "run", lambda *_: pytest.fail("work began"))
    session = TrainingSession(items, ARMS, SMALL)
    with pytest.raises(ValueError, match=said):
        session.train(plan)
    assert session.wait(PATIENCE).run is None
    with pytest.raises(ValueError, match=said):
        TrainingSession(items, plan.arms, plan.training, seeds=plan.seeds, background=False)


def test_items_that_nothing_can_be_learnt_from_are_said_at_once():
    live = TrainingSession(made_items(with_examples=False), ARMS, SMALL)
    assert "add interactions.csv" in live.state.errors["setting"]
    few = made_items(n_users=1)
    few.examples.split[:] = 0
    assert "0 to validate on" in TrainingSession(few, ARMS, SMALL).state.errors["setting"]
    with pytest.raises(ValueError, match=r"interactions\.csv"):
        TrainingView(made_items(with_examples=False), ARMS, SMALL, interactive=False)


def test_what_goes_wrong_on_the_way_is_said_and_the_next_training_works(items, monkeypatch):
    session = TrainingSession(items, ARMS, SMALL)
    with monkeypatch.context() as broken:
        broken.setattr(Trainer, "_step", lambda _: (_ for _ in ()).throw(OSError("no space left")))
        session.train(session.offered)
        state = session.wait(PATIENCE)
    assert (state.errors, state.run) == ({"training": "no space left"}, None)
    session.train(session.offered)
    assert session.wait(PATIENCE).chosen


# -- curves and what is kept --------------------------------------------------------------


def test_the_warm_up_is_the_upper_models_and_each_arm_begins_at_its_end():
    heard = [("warm-up", 0, {"step": step, "log_loss": 9.0 - step}) for step in (1, 2)]
    heard += [(UPPER_NAME, 0, {"step": 3, "log_loss": 5.0}), ("STE", 0, {"step": 3, "log_loss": 6.0, "use_1": 0.5})]
    curves = joined(reversed(heard))
    assert looks(curves[curves["arm"] == UPPER_NAME]) == [(UPPER_NAME, 0, s, v) for s, v in ((1, 8), (2, 7), (3, 5))]
    assert looks(curves[curves["arm"] == "STE"]) == [("STE", 0, 2, 7.0), ("STE", 0, 3, 6.0)]
    assert end_of_warmup(curves) == 2
    assert best_arm(curves) == "STE"


def drawn(axis) -> list[np.ndarray]:
    return [np.asarray(line.get_xydata()) for line in axis.lines]


def test_curves_are_drawn_on_one_axis_with_units(done):
    figure = curves_figure(done.curves, "Gumbel", 12, done.lower, ["Gumbel"])
    loss, use, tau, resets = figure.axes
    assert all(axis.get_shared_x_axes().joined(axis, loss) for axis in figure.axes)
    assert [axis.get_ylabel().replace("\n", " ").split(" (")[-1] for axis in (loss, use, tau)] == [
        "nats)",
        "share)",
        "no unit)",
    ]
    assert "step" in resets.get_xlabel()
    mean = mean_over_seeds(done.curves, "STE")[["step", "log_loss"]].to_numpy()
    assert any(line.shape == mean.shape and np.allclose(line, mean) for line in drawn(loss))
    assert len(drawn(loss)) == 3 * (2 + 1) + 1 + 1  # seeds and mean of each model, the lower one, the warm-up's end
    level = mean_over_seeds(done.curves, "Gumbel")["use_2"].dropna()
    assert any(np.allclose(line[-len(level) :, 1], level) for line in drawn(use) if len(line) >= len(level))
    assert drawn(tau)[0][0, 1] == pytest.approx(1.0)
    assert drawn(tau)[0][-1, 1] == pytest.approx(0.1)
    assert any("end of the warm-up" in text.get_text() for text in loss.texts)
    styles = {(line.get_color(), line.get_linestyle()) for line in loss.get_legend().get_lines()}
    assert len(styles) == 4


def test_figures_need_no_more_than_curves_and_say_what_is_not_there(done):
    upper = done.curves[done.curves["arm"] == UPPER_NAME]
    assert curves_figure(done.curves).png()
    texts = [text.get_text() for axis in curves_figure(upper).axes for text in axis.texts]
    assert "no bottleneck is in use yet" in texts
    with pytest.raises(ValueError, match="no curves yet"):
        curves_figure(done.curves[:0])


def test_what_is_kept_is_drawn_best_first_with_its_intervals(done):
    figure = retained_figure(done.table)
    loss = done.table[done.table["metric"] == "log_loss"].set_index("arm")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[::-1] == ranked(done.table)
    assert list(loss.loc[names, "retained"]) == sorted(loss.loc[names, "retained"])
    dots = [line.get_xydata()[0, 0] for line in figure.axes[0].lines if line.get_marker() in ("o", "D")]
    assert dots == pytest.approx(list(100 * loss.loc[names, "retained"].clip(lower=-0.2)))  # others at the edge
    far = [f"{share:.0f}%" for share in 100 * loss.loc[names, "retained"] if share < -20]
    assert far == [text.get_text().split()[-1] for text in figure.axes[0].texts if "%" in text.get_text()]
    whiskers = [c.get_segments()[0][:, 0] for c in figure.axes[0].collections]
    np.testing.assert_allclose(whiskers, 100 * loss.loc[names, ["low", "high"]])
    assert {LOWER_NAME, UPPER_NAME}.isdisjoint(names)
    assert any("k-means" in name for name in names)


def test_the_sentence_names_the_chosen_arm_and_warns_where_shares_say_nothing(done):
    table = done.table.copy()
    lower, upper = (
        table.loc[(table["arm"] == name) & (table["metric"] == "log_loss"), "value"].item()
        for name in (LOWER_NAME, UPPER_NAME)
    )
    swapped = table.assign(value=table["value"].replace({lower: upper, upper: lower}))
    better, worse = (table, swapped) if upper < lower else (swapped, table)
    row = table[(table["arm"] == done.chosen) & (table["metric"] == "log_loss")].iloc[0]
    words = chosen_words(better, done.chosen)
    assert f"chose {done.chosen}, with a log-loss of {row['valid']:.3f} nats" in words
    assert f"{row['retained']:.1%} ({100 * row['low']:.1f} to {100 * row['high']:.1f}) by log-loss" in words
    assert "By log-loss" not in words
    assert re.search("By log-loss.*no better than popularity", chosen_words(worse, done.chosen))
    assert f"<b>{done.chosen}</b>, chosen" in retained_html(table, done.chosen)


# -- the view -----------------------------------------------------------------------------

HEADINGS = ("Setting", "Curves", "What is kept")


@pytest.fixture
def view(items):
    view = TrainingView(items, ARMS, SMALL, interactive=True)
    yield view
    view.close()
    view.session.wait(PATIENCE)


def settled(view):
    state = view.wait(PATIENCE)
    until(lambda: view._shown is state)
    with view._lock:  # `render` is over
        assert view.trouble.value == ""
        return state


def test_a_page_for_paper_has_every_part_and_no_scripts(items, done, shown, capsys):
    view = TrainingView(items, ARMS, SMALL, seeds=(0, 1), interactive=False)
    view._ipython_display_()
    (html,) = shown
    assert all(f"<h4>{heading}</h4>" in html.data for heading in HEADINGS)
    assert html.data.count("<img") == 2
    assert chosen_words(done.table, done.chosen) in html.data
    assert "Arm(n_levels=2, codebook_size=8)" in html.data.replace("&#x27;", "'")
    assert not re.search("https?://|<script|<link|@import", html.data)
    assert "STE, seed 1" in capsys.readouterr().err  # a progress bar
    assert not hasattr(view, "box")


def test_a_page_before_anything_is_trained_says_so(items):
    assert "Nothing has been trained yet" in training_page(items, TrainingSession(items, ARMS, SMALL).state)


def test_controls_say_what_is_trained(view):
    setting, run = view.parts[SettingPart], view.parts[RunPart]
    setting.arms["STE"].value = False
    setting.of_arms["codebook_size"].value = 4
    setting.of_arms["simvq"].value = True
    setting.of_training["n_steps"].value = 16
    setting.of_training["reset_every"].value = 2
    setting.of_gumbel["end"].value = 0.5
    setting.of_gumbel["reading"].value = "1/tau"
    setting.seeds.value = "3"
    run.train.click()
    plan = settled(view).plan
    gumbel = replace(ARMS["Gumbel"], codebook_size=4, simvq=True, end=0.5, reading="1/tau")
    assert plan == Plan({"Gumbel": gumbel}, replace(SMALL, n_steps=16, reset_every=2), (3,))
    assert settled(view).curves["tau"].iloc[-1] == pytest.approx(2.0)


def test_what_arms_differ_in_has_no_control(items):
    arms = {"short": Arm(n_levels=2, codebook_size=8), "long": Arm(n_levels=3, codebook_size=8)}
    view = TrainingView(items, arms, SMALL, interactive=True)
    setting = view.parts[SettingPart]
    assert set(setting.of_arms) == {"codebook_size", "simvq"}
    assert setting.of_gumbel == {}
    assert setting.plan().arms == arms
    view.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda setting: setattr(setting.of_arms["codebook_size"], "value", 201), "more than the 200 items"),
        (lambda setting: setattr(setting.of_training["n_warmup"], "value", 24), "a warm-up of 24 steps leaves none"),
        (lambda setting: setattr(setting.seeds, "value", "0, x"), "expected seeds such as 0, 1, 2, got"),
        (lambda setting: setattr(setting.of_gumbel["start"], "value", -1.0), "start and end above 0"),
        (lambda setting: [setattr(arm, "value", False) for arm in setting.arms.values()], "choose an estimator"),
    ],
)
def test_a_setting_that_cannot_be_trained_gets_a_message(view, change, said):
    setting, run = view.parts[SettingPart], view.parts[RunPart]
    change(setting)
    run.train.click()
    assert said in setting.messages["setting"].value
    assert settled(view).run is None
    assert run.stop.disabled


def test_curves_grow_and_end_as_the_table_and_the_sentence(view):
    run, curves, kept = (view.parts[kind] for kind in (RunPart, CurvesPart, KeptPart))
    assert curves.box.layout.display == kept.box.layout.display == "none"
    run.train.click()
    state = settled(view)
    traces = curves.curves.traces
    for name in ARMS:
        mean = mean_over_seeds(state.curves, name)
        np.testing.assert_allclose(traces["log_loss", name, None].y, mean["log_loss"], rtol=1e-6)
        np.testing.assert_allclose(traces["log_loss", name, None].x, mean["step"])
    assert list(traces["log_loss", LOWER_NAME, None].y) == [state.lower] * 2
    np.testing.assert_allclose(traces["use", 2, None].y, mean_over_seeds(state.curves, "Gumbel")["use_2"].dropna())
    curves.arm.value = "STE"
    np.testing.assert_allclose(traces["use", 2, None].y, mean_over_seeds(state.curves, "STE")["use_2"].dropna())
    assert "codes of STE" in curves.curves.levels.value
    assert chosen_words(state.table, state.chosen) in kept.kept.value
    assert run.status.value.count("Training is done.") == 1
    assert run.stop.disabled


def test_ids_are_shown_below_until_another_training_begins(view, monkeypatch):
    monkeypatch.setattr("workbench.views.ids_session.mapper.shared.warm", lambda: None)
    quick = lambda owner, vectors, start, *_: (start, 0.9)  # noqa: E731
    monkeypatch.setattr("workbench.views.ids_session.mapper.shared.layout", quick)
    ids, run = view.parts[TrainedIdsPart], view.parts[RunPart]
    run.train.click()
    state = settled(view)
    assert ids.name.value == state.chosen
    assert any("k-means" in name for name in ids.name.options)
    ids.open.click()
    opened = ids.shown
    assert (opened.session.ids.codes == state.results.ids(state.chosen).codes).all()
    assert opened.box in ids.place.children
    opened.wait(PATIENCE)
    view.parts[SettingPart].seeds.value = "1"
    run.train.click()
    settled(view)
    assert ids.shown is None
    assert ids.place.children == ()


def test_a_live_view_leaves_its_page_and_follows(view, shown):
    view._ipython_display_()
    page, box = shown
    assert box is view.box
    assert "Nothing has been trained yet" in page.data
    view.parts[RunPart].train.click()
    settled(view)
    until(lambda: "What is kept" in getattr(shown[-1], "data", ""))
    assert all(f"<h4>{heading}</h4>" in shown[-1].data for heading in HEADINGS)
