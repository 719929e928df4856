"""The engine of explorations, with the smallest one that can be: `Session` and `IdsSession` test the rest."""

import threading
from dataclasses import dataclass
from types import MappingProxyType

import pytest
from test_session import PATIENCE

from workbench import progress
from workbench.views.work import BaseState, Task, Work


@dataclass(frozen=True)
class Sum(BaseState):
    """A number that is wanted squared, and one that is wanted negated."""

    number: int = 0
    square: int | None = None
    negative: int | None = None
    trouble: bool = False


class Sums(Work[Sum]):
    lanes = MappingProxyType({"squares": {"doing": None}, "negatives": {}})

    def __init__(self, background: bool = True):
        super().__init__(Sum(), background)
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()

    def want(self, number: int) -> Sum:
        return self._want(["square"], number=number, square=None, negative=None, trouble=False)

    def due(self, lane: str) -> Task | None:
        s = self.state
        if lane == "negatives":
            return Task("negative", lambda: {"negative": -s.number}) if s.negative is None else None
        is_due = s.square is None and "square" not in s.errors
        return Task("square", lambda: self._square(s.number), given_up={"trouble": True}) if is_due else None

    def _square(self, number: int) -> dict:
        if number < 0:
            raise ValueError(f"{number} is too small")
        for _ in progress.bar(range(2), desc="Squaring"):
            self.begun.set()
            assert self.go.wait(PATIENCE)
        return {"square": number**2}


def test_all_lanes_work_and_the_last_wish_counts():
    work, heard = Sums(), []
    work.listen(lambda: heard.append(work.state))
    for number in range(5):
        work.want(number)
    state = work.wait(PATIENCE)
    assert (state.square, state.negative, state.generation) == (16, -4, 5)
    assert heard[-1].doing is None
    assert {s.square for s in heard} == {None, 16}
    assert not work.is_busy


def test_work_that_nobody_waits_for_is_given_up_and_what_is_late_is_dropped():
    work, heard = Sums(), []
    work.listen(lambda: heard.append(work.state))
    work.go.clear()
    work.want(3)
    assert work.begun.wait(PATIENCE)
    with pytest.raises(TimeoutError, match="Squaring"):
        work.wait(0.05)
    work.want(4)
    work.go.set()
    assert work.wait(PATIENCE).square == 16
    assert 9 not in {s.square for s in heard}


def test_what_fails_is_an_error_in_words_until_the_next_wish():
    work = Sums()
    work.want(-2)
    state = work.wait(PATIENCE)
    assert state.errors == {"square": "-2 is too small"}
    assert state.trouble
    assert state.negative == 2  # the other lane went on
    work.want(2)
    assert work.wait(PATIENCE).errors == {}


def test_without_a_background_nothing_happens_before_waiting_and_errors_are_raised():
    work = Sums(background=False)
    assert work.want(3).square is None
    assert work.wait().square == 9
    work.want(-1)
    with pytest.raises(ValueError, match="too small"):
        work.wait()
