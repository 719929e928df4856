"""Trainings seen: curves that grow, a stop and another start, what is refused, figures, the page."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from conftest import PATIENCE, made_items, until
from person import OUTSIDE

torch = pytest.importorskip("torch")

from workbench.semantic.results import LOWER_NAME, UPPER_NAME, chosen_text  # noqa: E402
from workbench.semantic.settings import Arm, Training  # noqa: E402
from workbench.semantic.training import Trainer  # noqa: E402
from workbench.views import TrainingView, curves_figure, retained_figure  # noqa: E402
from workbench.views.curves import curves_state, spread  # noqa: E402

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
SMALL = Training(n_steps=24, n_warmup=12, batch_size=32, n_negatives=32, dim=8, hidden=16, eval_every=4)
STE = Arm("ste", n_levels=2, codebook_size=8)
ARMS = {"STE": STE, "Gumbel": replace(STE, estimator="gumbel", start=1.0, end=0.1)}


@pytest.fixture(scope="module")
def items():
    return made_items()


@pytest.fixture(scope="module")
def paper(items) -> TrainingView:
    """A training from beginning to end, in one go."""
    return TrainingView(items, ARMS, SMALL, seeds=(0, 1), interactive=False).wait()


@pytest.fixture
def live(items):
    """Makes live views, and ends them after the test."""
    views: list[TrainingView] = []

    def make(of=items, **options) -> TrainingView:
        views.append(TrainingView(of, ARMS, SMALL, **{"seeds": (0, 1), "interactive": True} | options))
        return views[-1]

    yield make
    for view in views:
        view.close()
        view.flow.wait(PATIENCE)


def trained(view: TrainingView) -> TrainingView:
    view.act("train")
    assert view.status["problem"] == ""
    return view.wait(PATIENCE)


def steps(view: TrainingView) -> set[tuple[str, int]]:
    """The steps of all lines."""
    return {(line["name"], step) for line in view.curves.get("lines", ()) for step, _ in line["points"]}


# -- the work -----------------------------------------------------------------------------


def test_curves_grow_look_by_look_and_end_as_those_of_a_training_in_one_go(live, paper):
    view, seen, shares = live(), [], []
    view.observe(lambda _: seen.append(steps(view)), "curves")
    view.flow.listen(lambda: shares.extend(doing.share for doing in view.flow.doing.values()))
    trained(view)
    assert all(before <= after for before, after in pairwise(seen))
    assert len({len(points) for points in seen}) > 8  # one after the other, not all at the end
    assert (view.curves, view.kept) == (paper.curves, paper.kept)
    assert view.kept["text"].startswith(f"Validation chose {view.results.chosen()}")
    assert shares == sorted(shares)  # of the steps of all models


@pytest.mark.parametrize("is_new", [False, True], ids=["", "after the kernel has ended"])
def test_what_was_stopped_goes_on_and_ends_as_if_it_had_not_been(live, paper, tmp_path, is_new):
    view = live(folder=tmp_path)
    view.observe(lambda _: ("STE", 16) in steps(view) and view.act("stop"), "curves")
    view.act("train")
    until(lambda: ("STE", 16) in steps(view))
    view.wait(PATIENCE)
    view.unobserve_all("curves")
    assert "Gumbel" not in {name for name, _ in steps(view)}
    assert (view.setting["is_on"], view.kept["text"]) == (False, "")
    view = trained(live(folder=tmp_path) if is_new else view)
    assert (view.curves, view.kept) == (paper.curves, paper.kept)
    for name in ARMS:
        assert (view.results.ids(name).codes == paper.results.ids(name).codes).all()


def test_an_arm_that_is_added_is_trained_and_no_other_again(live, monkeypatch):
    view, estimators, step = live(), set(), Trainer._step
    view.act("set", name="on", value=["STE"])
    first = steps(trained(view))
    monkeypatch.setattr(Trainer, "_step", lambda self: step(self) or estimators.add(self.arm.estimator))
    view.act("set", name="on", value=list(ARMS))
    assert {name for name, _ in steps(trained(view)) - first} == {"Gumbel"}
    assert estimators == {"gumbel"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("codebook_size", 201, "Codes a level: expected 2 to 200, got 201"),
        ("n_warmup", 24, "Warm-up: expected 0 to 23, got 24"),
        ("seeds", "0, x", "expected such as 0, 1, 2, got '0, x'"),
        ("end", -1.0, "expected 0.001 to 100, got -1"),
        ("on", [], "choose one or more"),
    ],
)
def test_an_impossible_setting_is_refused_beside_its_control_before_any_work(live, name, value, said, monkeypatch):
    monkeypatch.setattr("workbench.semantic.experiment.Experiment.run", lambda *_: pytest.fail("work began"))
    view = live()
    view.act("set", name=name, value=value)
    assert said in view.setting["errors"][name]
    view.act("train")
    assert said in view.status["problem"]


def test_controls_say_what_is_trained(live):
    view = live()
    numbers = {"codebook_size": 4, "n_steps": 16, "reset_every": 2, "end": 0.5}
    for name, value in {**numbers, "on": ["Gumbel"], "simvq": True, "seeds": "3", "reading": "1/tau"}.items():
        view.act("set", name=name, value=value)
    (outcome,) = (outcome for outcome in trained(view).results.outcomes if outcome.name == "Gumbel")
    asked = replace(ARMS["Gumbel"], codebook_size=4, simvq=True, end=0.5, reading="1/tau")
    assert (outcome.seed, outcome.arm) == (3, asked)
    assert (outcome.curves[-1]["step"], outcome.curves[-1]["tau"]) == (16, pytest.approx(2.0))


def test_items_that_nothing_can_be_learnt_from_are_said_at_once(live):
    few = made_items(n_users=1)
    few.examples.split[:] = 0
    for items, said in ((made_items(with_examples=False), "add interactions.csv"), (few, "0 to validate on")):
        assert said in live(items).status["problem"]
        with pytest.raises(ValueError, match=re.escape(said)):
            TrainingView(items, ARMS, SMALL, interactive=False)


def test_what_goes_wrong_on_the_way_is_said_and_the_next_training_works(live, monkeypatch):
    view = live()
    with monkeypatch.context() as broken:
        broken.setattr("workbench.semantic.experiment.Experiment.run", lambda *_: {}["no space left"])
        trained(view)
    assert view.status["errors"]["seen"] == "no space left"
    assert trained(view).kept["text"]
    assert view.status["errors"] == {}


def test_ids_that_are_opened_are_there_for_the_next_cell_until_another_training_begins(live, monkeypatch):
    monkeypatch.setattr("workbench.views.mapper.shared.layout", lambda owner, vectors, start, *_: (start, 0.9))
    view = trained(live())
    view.act("open", name="STE")
    assert (view.status["problem"], bool(view.opened)) == ("", True)
    assert (view.ids.codes == view.results.ids("STE").codes).all()
    view.act("set", name="seeds", value="1")
    assert trained(view).opened == ""


# -- figures and words --------------------------------------------------------------------


@pytest.fixture(scope="module")
def better(paper) -> pd.DataFrame:
    """The curves with a lower model that is worse than all: the real one is better than so small an upper model."""
    assert not paper.curves["is_share"]
    curves = paper.results.curves()
    return curves.assign(log_loss=curves["log_loss"] + 100 * (curves["arm"] == LOWER_NAME))


def test_curves_are_shares_of_the_way_between_both_ends(better):
    lines = {line["name"]: line for line in curves_state(better)["lines"]}
    assert [share for _, share in lines[LOWER_NAME]["points"]] == [0, 0]
    for seed, points in enumerate(lines[UPPER_NAME]["seeds"]):
        assert max(share for _, share in points) == 100
        rows = better[better["seed"] == seed].groupby("arm")["log_loss"]
        lower, upper = rows.min()[[LOWER_NAME, UPPER_NAME]]
        share = 100 * (lower - rows.last()["STE"]) / (lower - upper)
        assert lines["STE"]["seeds"][seed][-1] == [24, pytest.approx(share, abs=1e-3)]
    assert [step for step, _ in lines["STE"]["points"]] == [12, 16, 20, 24]  # its own part, from the warm-up's end
    assert len(lines["STE"]["use"]) == 2


def test_every_line_of_the_figure_is_named_and_a_share_far_below_0_has_its_number(better):
    far = better.copy()
    far.loc[(far["arm"] == "STE") & (far["step"] == 16), "log_loss"] += 10_000
    main, *small = curves_figure(far, "Gumbel").axes
    texts = {text.get_text().split(" (")[0]: text for text in main.texts}
    assert {LOWER_NAME, UPPER_NAME, *ARMS} <= set(texts)
    assert texts["Gumbel"].get_color() != texts["STE"].get_color() == texts[UPPER_NAME].get_color()
    assert re.fullmatch(r"STE \(lowest -[0-9]{3,}%\)", texts["STE"].get_text())
    assert main.get_ylim()[0] > -100
    assert [axis.get_ylabel().split()[0] for axis in small] == ["codes", "codes"]
    with pytest.raises(ValueError, match="no curves yet"):
        curves_figure(far[:0])


@pytest.mark.parametrize("wanted", [[0.1, 0.5, 0.9], [0.9, 0.92, 0.95, 0.99], [0.0] * 5, [1.0] * 5])
def test_names_keep_their_order_and_a_gap(wanted):
    places = spread(wanted, 0.1)
    assert min(np.diff(places)) >= 0.1 - 1e-9
    assert max(places) <= 1 + 1e-9


def test_what_is_kept_is_drawn_best_first_and_a_sentence_warns_where_shares_mean_nothing(paper):
    table, chosen = paper.results.table(), paper.results.chosen()
    axis = retained_figure(table).axes[0]
    loss = table[table["metric"] == "log_loss"].set_index("arm")
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == loss.drop([LOWER_NAME, UPPER_NAME]).sort_values("retained", ascending=False).index.tolist()
    dots = [line.get_xydata()[0, 0] for line in axis.lines if line.get_marker() in ("o", "D")]
    assert dots == pytest.approx(list(100 * loss.loc[names, "retained"].clip(lower=-0.2)))  # others at the edge
    assert f"{loss.loc[chosen, 'retained']:.1%}" in chosen_text(table, chosen)
    assert re.search("By log-loss.*no better than popularity", chosen_text(table, chosen))
    values = loss["value"][[LOWER_NAME, UPPER_NAME]]
    swapped = table.replace({"value": dict(zip(values, values[::-1], strict=True))})
    assert "By log-loss" not in chosen_text(swapped, chosen)


def test_a_page_for_paper_has_every_part_and_needs_nothing_else(paper):
    page = paper.page()
    parts = "Setting", "Curves", "What is kept", "Arm(n_levels=2, codebook_size=8)", UPPER_NAME, "random codes, 2 x 8"
    assert [part for part in parts if part not in page] == []
    assert page.count("<img") == 2
    assert not OUTSIDE.search(page)
