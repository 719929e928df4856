"""Cells: what is computed when, what is stopped, and what is shown meanwhile."""

import random
import threading
import time
from collections import Counter

import pytest
from conftest import PATIENCE, until

from workbench import progress
from workbench.views.flow import Flow, cell, publish

calls: Counter = Counter()
gates: dict[str, threading.Event] = {}


@pytest.fixture(autouse=True)
def fresh():
    """No calls yet, and no gate is shut; flows that a test made are ended."""
    calls.clear()
    gates.clear()
    yield
    for gate in gates.values():
        gate.set()


def work(name: str) -> None:
    """Count a call, and tick while the gate of this name is shut."""
    calls[name] += 1
    gate = gates.get(name)
    end = time.monotonic() + PATIENCE
    with progress.bar(desc=name, total=100) as bar:
        bar.update(1)
        while gate is not None and not gate.wait(0.005):
            assert time.monotonic() < end
            bar.update(0)


def shut(name: str) -> threading.Event:
    gates[name] = threading.Event()
    return gates[name]


class Sums:
    """A diamond with a tail in a lane of its own."""

    def double(number):
        work("double")
        return (2 * number,)

    def checked(double, limit):
        work("checked")
        if double[0] > limit:
            raise ValueError(f"expected at most {limit}, got {double[0]}; lower the number")
        return (double, limit)

    def named(double, name):
        work("named")
        return (name, double)

    @cell(lane="slow")
    def picture(named, checked, style):
        publish(("sketch", named, checked, style))
        work("picture")
        if style == "bad":
            raise RuntimeError("no such style")
        return ("picture", named, checked, style)


class Beside:
    def first(number):
        work("double")

    @cell(lane="slow")
    def second(number):
        work("picture")


class Resting:
    @cell(rest=0.2)
    def first(number):
        return time.monotonic()

    @cell(lane="other")
    def second(first):
        return time.monotonic() - first


INPUTS = {"number": 1, "limit": 10, "name": "a", "style": "s"}
PICTURE = ("picture", ("a", (2,)), ((2,), 10), "s")


@pytest.fixture
def flow():
    flow = Flow(Sums, **INPUTS).wait(PATIENCE)
    calls.clear()
    yield flow
    flow.end()


def test_only_what_depends_on_a_change_is_computed_again(flow):
    assert flow["picture"] == PICTURE
    double = flow["double"]
    flow.set(name="b")
    assert [name for name in flow.cells if flow.is_fresh(name)] == ["double", "checked"]
    assert flow["named"] == ("a", (2,))  # until the new one is there
    assert flow.wait(PATIENCE)["picture"] == ("picture", ("b", (2,)), ((2,), 10), "s")
    assert calls == {"named": 1, "picture": 1}
    assert flow["double"] is double
    assert all(map(flow.is_fresh, [*flow.cells, "number"]))


def test_equal_inputs_change_nothing(flow):
    flow.set(number=1, name="".join(["a"]), limit=10)
    assert flow.is_fresh("picture")
    flow.wait(PATIENCE)
    assert not calls


def test_changes_in_a_row_are_one_change(flow):
    for number in range(2, 5):
        flow.set(number=number)
    assert flow.wait(PATIENCE)["double"] == (8,)
    assert calls["double"] == 1


@pytest.mark.parametrize("change", [{"style": "t"}, {"name": "b"}, {"number": 2}])  # its own input, and those above it
def test_a_running_cell_is_stopped_when_what_it_comes_from_changes(flow, change):
    shut("picture")
    flow.set(limit=9)
    until(lambda: calls["picture"] == 1)
    for name in ("double", "named"):
        shut(name)
    flow.set(**change)
    until(lambda: "slow" not in flow.doing or calls["picture"] == 2)
    for gate in gates.values():
        gate.set()
    assert flow.wait(PATIENCE)["picture"] == Flow(Sums, False, **INPUTS | {"limit": 9} | change).wait()["picture"]


def test_an_input_that_is_set_back_cancels(flow):
    shut("named")
    shut("picture")
    flow.set(name="b", style="t")
    until(lambda: calls["named"] == 1)
    flow.set(name="a")
    until(lambda: calls["picture"] == 1)
    assert flow["picture"] == ("sketch", *PICTURE[1:3], "t")
    flow.set(style="s")
    assert flow["picture"] == PICTURE
    assert flow.is_fresh("picture")
    flow.wait(PATIENCE)
    assert calls == {"named": 1, "picture": 1}


def test_an_interim_value_is_fresh_until_its_inputs_change(flow):
    gate = shut("picture")
    flow.set(style="t")
    until(lambda: flow["picture"][0] == "sketch")
    assert flow.is_fresh("picture")
    flow.set(style="u")
    assert not flow.is_fresh("picture")
    assert flow["picture"] == ("sketch", *PICTURE[1:3], "t")  # the newest there is, dimmed
    gate.set()
    assert flow.wait(PATIENCE)["picture"] == ("picture", *PICTURE[1:3], "u")


def test_an_error_leaves_old_values_and_what_needs_them_waits(flow):
    flow.set(number=6)
    flow.wait(PATIENCE)
    assert flow.errors == {"checked": "expected at most 10, got 12; lower the number"}
    assert flow["checked"] == ((2,), 10)
    assert [name for name in flow.cells if flow.is_fresh(name)] == ["double", "named"]
    assert calls["picture"] == 0
    flow.set(limit=12)
    assert flow.errors == {}  # it is not said of what is being computed
    assert flow.wait(PATIENCE).errors == {}
    assert flow["picture"][2] == ((12,), 12)


def test_after_an_error_what_was_published_is_fresh_and_can_be_tried_again(flow):
    flow.set(style="bad")
    flow.wait(PATIENCE)
    assert flow.errors == {"picture": "RuntimeError: no such style"}
    assert flow["picture"] == ("sketch", *PICTURE[1:3], "bad")
    assert flow.is_fresh("picture")
    flow.retry()
    flow.wait(PATIENCE)
    assert calls["picture"] == 2


def test_an_error_that_nothing_follows_from_any_more_goes(flow):
    flow.set(style="bad")
    flow.wait(PATIENCE)
    flow.set(limit=0)
    assert list(flow.wait(PATIENCE).errors) == ["checked"]


def test_lanes_work_side_by_side_and_tell_what_they_do(flow):
    shut("picture")
    shut("double")
    flow.set(style="t")
    until(lambda: "slow" in flow.doing)
    assert (flow.doing["slow"].what, flow.doing["slow"].share) == ("picture", 0.01)
    with pytest.raises(TimeoutError, match="picture"):
        flow.wait(0.01)
    other = Flow(Beside, number=1)
    until(lambda: set(other.doing) == {"main", "slow"})
    assert other.is_busy
    other.end()


def test_after_a_cell_with_a_rest_no_lane_begins_anything():
    assert Flow(Resting, number=1).wait(PATIENCE)["second"] >= 0.2


def test_without_threads_errors_are_raised_and_values_are_the_same():
    flow = Flow(Sums, False, **INPUTS)
    assert not calls
    assert flow.wait()["picture"] == PICTURE
    flow.set(number=6)
    with pytest.raises(ValueError, match="expected at most 10"):
        flow.wait()


def test_only_what_is_wanted_is_computed():
    flow = Flow(Sums, False, ["named"], **INPUTS).wait()
    assert calls == {"double": 1, "named": 1}
    assert flow["picture"] is None


def test_an_ended_flow_stops_and_tells_nobody(flow):
    shut("picture")
    flow.set(style="t")
    until(lambda: calls["picture"] == 1)
    heard = []
    flow.listen(lambda: heard.append(1))
    flow.end()
    flow.wait(PATIENCE)
    flow.set(style="u")
    assert not flow.is_busy
    assert not heard


def test_a_listener_that_fails_does_not_end_the_work(flow, caplog):
    flow.listen(lambda: 1 / 0)
    flow.set(number=2)
    assert flow.wait(PATIENCE)["double"] == (4,)
    assert "a listener failed" in caplog.text


@pytest.mark.parametrize("seed", range(5))
def test_a_storm_of_changes_ends_as_a_new_flow_does(flow, seed):
    chances = {"number": range(7), "limit": (4, 8, 12), "name": "abc", "style": ("s", "t", "bad")}

    def storm(number: int) -> None:
        rng = random.Random(f"{seed} {number}")
        for _ in range(40):
            name = rng.choice(list(chances))
            flow.set(**{name: rng.choice(chances[name])})
            if rng.random() < 0.1:
                flow.retry()
            time.sleep(rng.choice([0, 0, 0.01, 0.15]))

    threads = [threading.Thread(target=storm, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flow.wait(PATIENCE)
    new = Flow(Sums, **{name: flow[name] for name in INPUTS}).wait(PATIENCE)
    assert flow.errors == new.errors
    assert flow.doing == {}
    fresh = [name for name in flow.cells if new.is_fresh(name)]
    assert fresh == [name for name in flow.cells if flow.is_fresh(name)]
    assert [flow[name] for name in fresh] == [new[name] for name in fresh]
