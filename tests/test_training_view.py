"""Trainings seen: what a listener hears, what a stop and another start leave as it was, what is refused, the page."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from conftest import made_items, until
from person import OUTSIDE, Person, text_of

torch = pytest.importorskip("torch")

from workbench.semantic.results import LOWER_NAME, UPPER_NAME  # noqa: E402
from workbench.semantic.settings import Arm, Training  # noqa: E402
from workbench.views import TrainingView, curves_figure, retained_figure  # noqa: E402
from workbench.views.curves import chosen_words, mean_over_seeds  # noqa: E402

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
SMALL = Training(n_steps=24, n_warmup=12, batch_size=32, n_negatives=32, dim=8, hidden=16, eval_every=4)
ARMS = {
    "STE": Arm("ste", n_levels=2, codebook_size=8),
    "Gumbel": Arm("gumbel", n_levels=2, codebook_size=8, start=1.0, end=0.1),
}
HEADINGS = ("Setting", "Curves", "What is kept")


@pytest.fixture(scope="module")
def items():
    return made_items()


@pytest.fixture(scope="module")
def paper(items) -> TrainingView:
    """A training of two seeds from beginning to end, in one go."""
    return TrainingView(items, ARMS, SMALL, seeds=(0, 1), interactive=False)


@pytest.fixture(scope="module")
def done(paper):
    return paper.wait()


@pytest.fixture(scope="module")
def unbroken(items):
    """A training of one seed."""
    return TrainingView(items, ARMS, SMALL, interactive=False).wait()


def looks(curves: pd.DataFrame | None) -> set[tuple]:
    """What was measured of each arm, at each step."""
    columns = ["arm", "seed", "step", "log_loss"]
    return set() if curves is None else set(curves[columns].itertuples(index=False, name=None))


@pytest.fixture
def view(use, items) -> Person:
    return use(TrainingView(items, ARMS, SMALL, interactive=True))


# -- the work -----------------------------------------------------------------------------


def test_curves_grow_look_by_look_and_end_as_the_table_the_sentence_and_the_page(view, unbroken, shown):
    view.view._ipython_display_()
    assert "Nothing has been trained yet" in shown.page
    states: list = []
    view.view.session.listen(lambda: states.append(view.view.session.state))
    state = view.finish("Train")
    grown = [looks(s.curves) for s in states]
    assert all(before <= after for before, after in pairwise(grown))
    assert len({len(seen) for seen in grown}) > 10  # one after the other, not all at the end
    assert state.n_steps == 12 + 3 * 12  # all models share the warm-up
    pd.testing.assert_frame_equal(state.table, unbroken.table)
    assert (state.chosen, state.lower) == (unbroken.chosen, unbroken.lower)
    assert chosen_words(unbroken.table, unbroken.chosen) in view.text
    assert "Training is done." in view.text
    assert (view.alerts, view.can("Stop")) == ([], False)
    until(lambda: all(f"<h4>{heading}</h4>" in shown.page for heading in HEADINGS))
    drawn = {trace.name: trace for trace in reversed(view.figure("wb-curves").data)}  # the loss comes first
    assert list(drawn[LOWER_NAME].y) == [state.lower] * 2
    for name in reversed(ARMS):
        mean = mean_over_seeds(state.curves, name)
        np.testing.assert_allclose([drawn[name].x, drawn[name].y], mean[["step", "log_loss"]].to_numpy().T, rtol=1e-6)
        view.set("Show the use of the codes of", name)
        np.testing.assert_allclose(drawn["level 2"].y, mean["use_2"].dropna())


@pytest.mark.parametrize("anew", [False, True], ids=["", "after the kernel has ended"])
def test_what_was_stopped_goes_on_and_ends_as_if_it_had_not_been(use, items, unbroken, tmp_path, anew):
    view = use(TrainingView(items, ARMS, SMALL, folder=tmp_path, interactive=True))

    def is_there() -> bool:
        curves = view.view.session.state.curves
        return curves is not None and ((curves["arm"] == "STE") & (curves["step"] >= 16)).any()

    view.when(is_there, lambda: view.press("Stop"))
    state = view.finish("Train")
    assert "Stopped" in view.text
    assert not (state.curves["arm"] == "Gumbel").any()
    if anew:
        view = use(TrainingView(items, ARMS, SMALL, folder=tmp_path, interactive=True))
    again = view.finish("Train")
    assert view.alerts == []
    pd.testing.assert_frame_equal(again.table, unbroken.table)
    assert looks(again.curves) >= looks(unbroken.curves)
    for name in ARMS:
        assert (again.results.ids(name).codes == unbroken.results.ids(name).codes).all()


def test_an_arm_that_is_added_is_trained_and_no_other_again(view):
    view.set("Gumbel", False)
    first = looks(view.finish("Train").curves)
    heard: list[set] = []
    view.view.session.listen(lambda: heard.append(looks(view.view.session.state.curves)))
    view.set("Gumbel", True)
    state = view.finish("Train")
    assert {arm for seen in heard for arm, *_ in seen - first} == {"Gumbel"}
    assert first <= looks(state.curves)
    assert set(state.table["arm"]) >= {LOWER_NAME, UPPER_NAME, *ARMS}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Codes to a level": 201}, "more than the 200 items"),
        ({"of these, warm-up": 24}, "a warm-up of 24 steps leaves none"),
        ({"Seeds": "0, x"}, "expected seeds such as 0, 1, 2, got"),
        ({"from": -1.0}, "start and end above 0"),
        ({"STE": False, "Gumbel": False}, "choose an estimator"),
    ],
)
def test_a_setting_that_cannot_be_trained_gets_a_message_before_any_work(view, change, said, monkeypatch):
    monkeypatch.setattr("workbench.semantic.experiment.Experiment.run", lambda *_: pytest.fail("work began"))
    view.change(change)
    view.press("Train")
    assert said in view.alerts[0]
    assert view.wait().run is None
    assert not view.can("Stop")


def test_items_that_nothing_can_be_learnt_from_are_said_at_once(use):
    few = made_items(n_users=1)
    few.examples.split[:] = 0
    for items, said in ((made_items(with_examples=False), "add interactions.csv"), (few, "0 to validate on")):
        assert said in use(TrainingView(items, ARMS, SMALL, interactive=True)).alerts[0]
        with pytest.raises(ValueError, match=re.escape(said)):
            TrainingView(items, ARMS, SMALL, interactive=False)


def test_what_goes_wrong_on_the_way_is_said_and_the_next_training_works(view, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr("workbench.semantic.experiment.Experiment.run", fail)
        view.finish("Train")
    assert view.alerts == ["no space left"]
    assert view.finish("Train").chosen
    assert view.alerts == []


# -- curves and what is kept --------------------------------------------------------------


def test_curves_are_drawn_on_one_axis_with_units_and_figures_say_what_is_not_there(done):
    loss, use, tau, resets = curves_figure(done.curves, "Gumbel", 12, done.lower, ["Gumbel"]).axes
    for axis, unit in ((loss, "nats)"), (use, "share)"), (tau, "no unit)")):
        assert axis.get_ylabel().endswith(unit)
    assert "step" in resets.get_xlabel()
    assert tau.lines[0].get_ydata()[[0, -1]] == pytest.approx([1.0, 0.1])
    assert len({(line.get_color(), line.get_linestyle()) for line in loss.get_legend().get_lines()}) == 4
    upper = curves_figure(done.curves[done.curves["arm"] == UPPER_NAME])
    assert "no bottleneck is in use yet" in [text.get_text() for axis in upper.axes for text in axis.texts]
    with pytest.raises(ValueError, match="no curves yet"):
        curves_figure(done.curves[:0])


def test_what_is_kept_is_drawn_best_first_with_its_intervals(done):
    axis = retained_figure(done.table).axes[0]
    loss = done.table[done.table["metric"] == "log_loss"].set_index("arm")
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == loss.drop([LOWER_NAME, UPPER_NAME]).sort_values("retained").index.tolist()
    dots = [line.get_xydata()[0, 0] for line in axis.lines if line.get_marker() in ("o", "D")]
    assert dots == pytest.approx(list(100 * loss.loc[names, "retained"].clip(lower=-0.2)))  # others at the edge
    whiskers = [whisker.get_segments()[0][:, 0] for whisker in axis.collections]
    np.testing.assert_allclose(whiskers, 100 * loss.loc[names, ["low", "high"]])


def test_the_sentence_names_the_chosen_arm_and_warns_where_shares_say_nothing(done):
    loss = done.table[done.table["metric"] == "log_loss"].set_index("arm")
    lower, upper, row = (loss.loc[name] for name in (LOWER_NAME, UPPER_NAME, done.chosen))
    values = [lower["value"], upper["value"]]
    better, worse = (
        done.table.replace({"value": dict(zip(values, v, strict=True))})
        for v in (sorted(values, reverse=True), sorted(values))
    )
    words = chosen_words(better, done.chosen)
    assert f"chose {done.chosen}, with a log-loss of {row['valid']:.3f} nats" in words
    assert f"{row['retained']:.1%} ({100 * row['low']:.1f} to {100 * row['high']:.1f}) by log-loss" in words
    assert "By log-loss" not in words
    assert re.search("By log-loss.*no better than popularity", chosen_words(worse, done.chosen))


# -- the view -----------------------------------------------------------------------------


def test_a_page_for_paper_has_every_part_and_no_scripts(paper, done, shown):
    paper._ipython_display_()
    assert len(shown) == 1
    assert all(f"<h4>{heading}</h4>" in shown.page for heading in HEADINGS)
    assert shown.page.count("<img") == 2
    assert chosen_words(done.table, done.chosen) in shown.page
    assert "Arm(n_levels=2, codebook_size=8)" in text_of(shown.page)
    assert not OUTSIDE.search(shown.page)


def test_controls_say_what_is_trained(view):
    view.change({"STE": False, "Codes to a level": 4, "SimVQ": True, "Steps": 16, "Seeds": "3", "to": 0.5})
    view.set("Steps between resets of unused codes (0: none)", 2)
    view.set("of", view.options("of")[1])
    state = view.finish("Train")
    gumbel = replace(ARMS["Gumbel"], codebook_size=4, simvq=True, end=0.5, reading="1/tau")
    assert (state.plan.arms, state.plan.seeds) == ({"Gumbel": gumbel}, (3,))
    assert state.plan.training == replace(SMALL, n_steps=16, reset_every=2)
    assert state.curves["tau"].iloc[-1] == pytest.approx(2.0)
    assert view.unnamed() == []


def test_ids_are_shown_below_until_another_training_begins(view, monkeypatch):
    monkeypatch.setattr("workbench.views.mapper.shared.warm", lambda: None)
    monkeypatch.setattr("workbench.views.mapper.shared.layout", lambda owner, vectors, start, *_: (start, 0.9))
    state = view.finish("Train")
    assert view.get("Ids of") == state.chosen
    assert any("k-means" in name for name in view.options("Ids of"))
    view.press("Show the ids")
    assert f"Ids of {state.chosen}, seed 0" in view.text
    codes = state.results.ids(state.chosen).codes
    until(lambda: view.has("Next code") and view.options("Next code"))
    assert {int(option.split(":")[0]) for option in view.options("Next code")} == set(codes[:, 0].tolist())
    view.set("Seeds", "1")
    view.press("Train")
    view.finish("Stop")
    assert not view.has("Next code")
