"""A session computes what is wanted last, drops what is not, and outlives whatever goes wrong."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from types import FunctionType

import numpy as np
import pandas as pd
import psutil
import pytest
from conftest import made_fasttext

import workbench as wb
from workbench import kernels, progress
from workbench.compress.builder import Builder
from workbench.evaluate.contributions import ngram_carriers
from workbench.evaluate.damage import code_damage, damage_groups, word_damage
from workbench.evaluate.scorecard import quick_card
from workbench.evaluate.similarity import similarity
from workbench.progress import Stopped
from workbench.subwords import Subwords
from workbench.views import mapper, work
from workbench.views import session as module
from workbench.views.maps import OriginalMap
from workbench.views.session import Session
from workbench.views.state import State
from workbench.vocab import Vocab

PATIENCE = 60  # seconds for whatever must happen; it takes one or two
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def until(condition: Callable[[], object]) -> None:
    """Wait for something that no event announces."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.005)


def recipe(n_subvectors: int = 6, n_words: int = 300, n_bits: int = 4) -> wb.Chain:
    return wb.Chain([wb.Prune(n_words, 300), wb.PQ(n_subvectors, n_bits=n_bits)])


IMPOSSIBLE = recipe(n_subvectors=99)  # of 12 dimensions


@pytest.fixture
def begin(fasttext):
    """Begins sessions; what they still do when the test is over is given up."""
    begun = []

    def begin(source=fasttext, **options) -> Session:
        options = {"words": fasttext.words[:2], "n_words": 200, "n_queries": 50, "n_mapped": 40} | options
        begun.append(Session(source, lambda v: recipe(), **options))
        return begun[-1]

    yield begin
    for session in begun:
        session._listeners.clear()
        session.cancel()
        if session.background:
            session.wait(PATIENCE)


@pytest.fixture(autouse=True)
def forgotten():
    """Layouts are drawn, not remembered from an earlier test."""
    mapper.shared.forget()


@pytest.fixture
def session(begin) -> Session:
    """A session that has computed everything for its first recipe."""
    session = begin()
    session.wait(PATIENCE)
    return session


def heard(session: Session) -> list[State]:
    """The states that a listener sees from now on."""
    states: list[State] = []
    session.listen(lambda: states.append(session.state))
    return states


class Gate:
    """A function that waits in its first call until it is let go."""

    def __init__(self, function: Callable):
        self.function = function
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, *arguments, **options):
        if not self.reached.is_set():
            self.reached.set()
            assert self.open.wait(PATIENCE)
        return self.function(*arguments, **options)


@pytest.fixture
def gate(monkeypatch):
    """Makes the next call of an attribute wait; all are let go when the test is over."""
    made = []

    def gate(owner: object, name: str) -> Gate:
        made.append(new := Gate(getattr(owner, name)))
        monkeypatch.setattr(owner, name, lambda *arguments, **options: new(*arguments, **options))
        return new

    yield gate
    for each in made:
        each.open.set()


class Room:
    """Counts the threads inside functions."""

    def __init__(self) -> None:
        self.inside = self.most = self.entered = 0
        self._lock = threading.Lock()

    def watch(self, function: Callable) -> Callable:
        @wraps(function)
        def call(*arguments, **options):
            with self._lock:
                self.inside += 1
                self.entered += 1
                self.most = max(self.most, self.inside)
            try:
                time.sleep(0.001)  # another thread comes in now, if it may
                return function(*arguments, **options)
            finally:
                with self._lock:
                    self.inside -= 1

        return call


def file_of(v: wb.Vectors, folder) -> bytes:
    return v.save(folder / "some.safetensors").read_bytes()


@pytest.fixture(autouse=True, scope="module")
def other_python():
    """A Python that names its process for maps once that is ready: in seconds, during which other tests run."""
    code = "from workbench.views.mapper import shared; worker = shared.warm(); worker.wait_until_ready(); "
    code += "print(worker.process.pid, flush=True); input()"
    python = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield python
    python.kill()
    python.communicate()


# -- what is computed, and when -----------------------------------------------------------


def test_numbers_come_first_then_principal_components_then_umap(session):
    states = heard(session)
    session.try_recipe(recipe(4))
    session.wait(PATIENCE)
    assert all(s.is_current for s in states if s.maps is not None or s.changes is not None)
    methods = [s.maps.attrs["method"] for s in states if s.maps is not None]
    assert list(dict.fromkeys(methods)) == ["PCA", "UMAP"]
    assert methods == sorted(methods)


def test_everything_is_there_after_waiting(session, fasttext, tmp_path):
    s = session.state
    assert file_of(s.result.small, tmp_path) == file_of(recipe().fit_transform(fasttext), tmp_path)
    expected = wb.neighbour_changes(fasttext.adjusted(), s.result.small, fasttext.words[:2])
    pd.testing.assert_frame_equal(s.changes, expected)
    assert len(s.maps) == 40
    assert (s.doing, s.drawing, s.errors, s.trail) == (None, False, {}, (s.result.trial,))
    assert not session.is_busy


def test_progress_is_heard_and_is_over_at_the_end(session):
    states = heard(session)
    session.try_recipe(recipe(4))
    state = session.wait(PATIENCE)
    doing = [s.doing for s in states if s.doing]
    assert {what for what, _ in doing} & {"Prune", "PQ"}
    assert all(0 <= share <= 1 for _, share in doing)
    assert any(s.drawing for s in states)
    assert (state.doing, state.drawing) == (None, False)


def test_the_original_is_mapped_once_for_all_recipes(begin, monkeypatch):
    room = Room()
    monkeypatch.setattr(mapper._Worker, "ask", room.watch(mapper._Worker.ask))
    session = begin()
    before = session.wait(PATIENCE).maps
    session.try_recipe(recipe(4))
    after = session.wait(PATIENCE).maps
    assert room.entered == 4  # and its control, and two recipes
    columns = ["x_before", "y_before", "x_control", "y_control"]
    assert after[columns].equals(before[columns])


def test_without_a_background_errors_are_raised_and_numbers_are_the_same(begin, session, monkeypatch):
    # Drawn in the warm process, so that UMAP is not compiled in this one too.
    monkeypatch.setattr(module, "umap_layout", lambda *arguments: mapper.shared.layout(None, *arguments))
    paper = begin(background=False)
    assert paper.state.model is None  # nothing before `wait`
    state = paper.wait()
    pd.testing.assert_frame_equal(state.result.card, session.state.result.card)
    pd.testing.assert_frame_equal(state.changes, session.state.changes)
    pd.testing.assert_frame_equal(state.maps, session.state.maps)
    paper.try_recipe(IMPOSSIBLE)
    with pytest.raises(ValueError, match="99"):
        paper.wait()


def test_waiting_has_an_end(session, gate):
    build = gate(Builder, "build")
    session.try_recipe(recipe(4))
    with pytest.raises(TimeoutError, match=r"0\.1 seconds"):
        session.wait(0.1)
    build.open.set()


# -- wishes that change -------------------------------------------------------------------


def test_of_many_quick_changes_from_many_threads_the_last_is_computed_and_work_never_overlaps(
    begin, fasttext, tmp_path, monkeypatch
):
    monkeypatch.setattr(work, "QUIET", 0.0)  # so that work begins in the midst of it
    inside, builds, umaps = Room(), Room(), Room()
    for kernel in vars(kernels).values():
        if isinstance(kernel, FunctionType) and hasattr(kernel, "__wrapped__"):
            (cell,) = kernel.__closure__  # what the lock is around
            monkeypatch.setattr(cell, "cell_contents", inside.watch(cell.cell_contents))
    monkeypatch.setattr(Builder, "build", builds.watch(Builder.build))
    monkeypatch.setattr(mapper._Worker, "ask", umaps.watch(mapper._Worker.ask))
    session = begin()
    session.wait(PATIENCE)  # until the model is open
    wishes = []

    def change(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(50):
            wishes.append(session.try_recipe(recipe(rng.choice([2, 3, 4, 6]), rng.randrange(300, 600))))
            fasttext.get_vectors(rng.sample(fasttext.words, 100))  # what else a notebook may do meanwhile

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(4)))
    state = session.wait(PATIENCE)
    assert len({wish.generation for wish in wishes}) == 200
    last = max(wishes, key=lambda wish: wish.generation)
    assert state.recipe is last.recipe
    assert state.is_current
    assert state.errors == {}
    assert state.changes is not None
    assert state.maps.attrs["method"] == "UMAP"
    assert builds.entered > 2  # the first, the last, and others that were given up
    assert (inside.most, builds.most, umaps.most) == (1, 1, 1)
    assert file_of(state.result.small, tmp_path) == file_of(last.recipe.fit_transform(fasttext), tmp_path)


def test_a_row_of_quick_changes_is_built_once(session, monkeypatch):
    builds = Room()
    monkeypatch.setattr(work, "QUIET", 1.0)  # however slow this machine is
    monkeypatch.setattr(Builder, "build", builds.watch(Builder.build))
    for n_words in range(300, 320):
        session.try_recipe(recipe(n_words=n_words))
        time.sleep(0.005)  # as between key presses: a build that does not wait begins now
    assert session.wait(PATIENCE).recipe.steps[0].n_words == 319
    assert builds.entered == 1


def test_a_result_that_comes_too_late_is_dropped(session, gate):
    states = heard(session)
    finish = gate(module, "Result")
    stale = recipe(4)
    session.try_recipe(stale)
    finish.reached.wait(PATIENCE)  # everything is computed
    wanted = recipe(3)
    session.try_recipe(wanted)
    finish.open.set()
    state = session.wait(PATIENCE)
    assert state.result.recipe is wanted
    assert not any(s.result.recipe is stale for s in states)
    assert [trial["recipe"].steps[1].n_subvectors for trial in state.trail] == [6, 3]


def test_a_build_that_nobody_waits_for_stops_between_steps(session, gate, monkeypatch):
    quantised = []
    fit = wb.PQ._fit
    monkeypatch.setattr(wb.PQ, "_fit", lambda self, *args: quantised.append(self.n_subvectors) or fit(self, *args))
    step = gate(wb.Prune, "_fit")
    session.try_recipe(recipe(4, n_words=310))
    step.reached.wait(PATIENCE)
    session.try_recipe(recipe(3, n_words=320))
    step.open.set()
    session.wait(PATIENCE)
    assert quantised == [3]


def test_cancel_goes_back_to_what_was_computed_last(session, gate):
    first = session.state
    build = gate(Builder, "build")
    session.try_recipe(recipe(4))
    build.reached.wait(PATIENCE)
    assert not session.state.is_current
    session.cancel()
    assert session.state.recipe is first.recipe
    build.open.set()
    state = session.wait(PATIENCE)
    assert state.result is first.result
    assert state.is_current
    pd.testing.assert_frame_equal(state.changes, first.changes)
    pd.testing.assert_frame_equal(state.maps, first.maps)


def test_cancel_before_the_first_result_leaves_a_model_that_can_be_worked_on(begin, gate):
    build = gate(Builder, "build")
    session = begin()
    build.reached.wait(PATIENCE)
    session.cancel()
    build.open.set()
    state = session.wait(PATIENCE)
    assert state.model is not None
    assert (state.recipe, state.result) == (None, None)
    session.try_recipe(recipe(4))
    assert session.wait(PATIENCE).is_current


def test_cancel_when_all_is_done_changes_nothing(session):
    before = session.state
    session.cancel()
    after = session.wait(PATIENCE)
    assert after.result is before.result
    assert after.maps is before.maps
    assert after.changes is before.changes
    assert after.errors == {}


# -- models -------------------------------------------------------------------------------


def test_another_model_starts_a_new_trail_and_keeps_the_words_it_knows(session, fasttext):
    other = made_fasttext(n_words=500, seed=1)
    known = next(word for word in other.words if word in fasttext)
    session.look_at([known, fasttext.words[0]])
    session.try_recipe(recipe(4))
    assert len(session.wait(PATIENCE).trail) == 2
    plain = wb.Vectors.from_arrays(other.words, np.random.default_rng(0).normal(size=(500, 12)))
    session.suggest = lambda v: wb.Chain([wb.PQ(6, n_bits=4)])
    session.open(plain)
    state = session.wait(PATIENCE)
    assert state.model.original is plain
    assert state.trail == (state.result.trial,)
    assert state.words == tuple(word for word in (known, fasttext.words[0]) if word in other)


def test_a_path_that_cannot_be_opened_leaves_everything_as_it_was_and_says_so(session):
    before = session.state
    session.open("nowhere/at-all.bin")
    state = session.wait(PATIENCE)
    assert "at-all.bin does not exist" in state.errors["model"]
    assert state.opening is None
    assert state.model is before.model
    assert state.result is before.result
    assert state.is_current
    session.try_recipe(recipe(4))
    assert session.wait(PATIENCE).errors == {}


def test_words_chosen_while_a_model_opens_are_the_ones_compared(session, fasttext, gate):
    load = gate(module, "load")
    load.function = lambda source: fasttext
    session.open("slow.bin")
    load.reached.wait(PATIENCE)
    session.look_at(fasttext.words[9:10])
    load.open.set()
    state = session.wait(PATIENCE)
    assert state.words == tuple(fasttext.words[9:10])
    assert set(state.changes["word"]) == set(state.words)


# -- what goes wrong ----------------------------------------------------------------------


def test_an_impossible_recipe_is_an_error_in_words_and_the_next_one_is_built(session):
    before = session.state
    session.try_recipe(IMPOSSIBLE)
    state = session.wait(PATIENCE)
    assert "99" in state.errors["numbers"]
    assert state.result is before.result
    assert not state.is_current
    session.try_recipe(recipe(4))
    state = session.wait(PATIENCE)
    assert state.errors == {}
    assert state.is_current


def test_an_error_of_any_kind_is_shown_with_its_kind(session, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(Builder, "build", fail)
    session.try_recipe(recipe(4))
    assert session.wait(PATIENCE).errors == {"numbers": "ZeroDivisionError: by chance"}


def test_a_word_without_a_vector_is_an_error_in_words_and_the_next_one_is_compared(begin, plain):
    session = begin(plain, words=())
    session.suggest = lambda v: wb.Chain([wb.PQ(6, n_bits=4)])
    before = session.wait(PATIENCE)
    session.look_at(["unheard-of"])
    state = session.wait(PATIENCE)
    assert "unheard-of" in state.errors["words"]
    assert state.changes is None
    assert state.result is before.result
    session.look_at(plain.words[:1])
    state = session.wait(PATIENCE)
    assert state.errors == {}
    assert set(state.changes["word"]) == set(plain.words[:1])


# -- a size limit, and a search within it ---------------------------------------------------

NO_MAPS = ("numbers", "words", "agreement", "damage")  # UMAP has nothing to do with it, and takes longest


@pytest.fixture
def unmapped(begin) -> Session:
    """A session without maps that has computed everything for its first recipe."""
    session = begin(show=NO_MAPS)
    session.wait(PATIENCE)
    return session


@pytest.fixture
def searches(monkeypatch) -> list:
    """What every search found; each is short."""
    found, fit = [], module.fit_budget

    def search(*arguments, **options):
        found.append(fit(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(module, "N_TRIALS", 3)
    monkeypatch.setattr(module, "fit_budget", search)
    return found


def is_whole(s: State) -> bool:
    """Whether everything is there that a result without maps calls for."""
    return all(part is not None for part in (s.changes, s.agreement, s.damage))


def recipes(s: State) -> list[wb.Chain]:
    return [trial["recipe"] for trial in s.trail]


@pytest.mark.parametrize("goal", ["fidelity", pytest.param("overlap", marks=pytest.mark.slow)])
def test_a_search_ends_with_the_best_recipe_within_the_limit_and_all_it_tried_on_the_trail(
    unmapped, searches, fasttext, tmp_path, goal
):
    states = heard(unmapped)
    unmapped.limit_to("40 kB")
    assert unmapped.find_recipe(goal).search == module.Search(40_000, goal)
    state = unmapped.wait(PATIENCE)
    (found,) = searches
    assert (state.search, state.errors) == (None, {})
    assert state.is_current
    assert state.recipe == found.recipe
    assert len(file_of(state.result.small, tmp_path)) == state.result.trial["bytes"] <= 40_000
    assert file_of(state.result.small, tmp_path) == file_of(found.recipe.fit_transform(fasttext), tmp_path)
    tried = list(found.frontier["recipe"])
    assert len(tried) > 2
    assert all(one in recipes(state) for one in tried)
    assert len(state.trail) == len(tried) + 1  # and the first recipe
    best = max((t for t in state.trail[1:] if t["bytes"] <= 40_000), key=lambda trial: trial["score"])
    assert best["recipe"] == state.recipe
    counts = [s.search.n_tried for s in states if s.search]
    assert counts == sorted(counts)
    assert set(counts) == set(range(len(tried) + 1))
    assert is_whole(state)
    assert state.before.recipe == recipe()


def test_cancel_during_a_search_returns_to_the_earlier_result_and_keeps_what_was_tried(unmapped, monkeypatch):
    first, fit = unmapped.state, module.fit_budget
    tried, go_on = threading.Event(), threading.Event()

    def search(*arguments, callback, **options):
        def told(trial):
            callback(trial)
            tried.set()
            assert go_on.wait(PATIENCE)

        return fit(*arguments, callback=told, **options)

    monkeypatch.setattr(module, "fit_budget", search)
    unmapped.limit_to("40 kB")
    unmapped.find_recipe()
    assert tried.wait(PATIENCE)
    assert not unmapped.state.is_current
    state = unmapped.cancel()
    assert (state.search, state.recipe) == (None, first.recipe)
    assert len(state.trail) == 2
    go_on.set()
    state = unmapped.wait(PATIENCE)
    assert state.result is first.result
    assert state.is_current
    assert is_whole(state)
    assert len(state.trail) == 2
    assert state.trail[0] is first.trail[0]


def test_a_recipe_wanted_during_a_search_takes_its_place(unmapped, gate):
    search = gate(module, "fit_budget")
    unmapped.limit_to("40 kB")
    unmapped.find_recipe()
    search.reached.wait(PATIENCE)
    wanted = recipe(4)
    unmapped.try_recipe(wanted)
    search.open.set()
    state = unmapped.wait(PATIENCE)
    assert state.result.recipe is wanted
    assert (state.search, len(state.trail)) == (None, 2)


def test_an_impossible_limit_is_an_error_in_words_and_leaves_the_earlier_result_whole(unmapped):
    first = unmapped.state
    unmapped.limit_to("10 B")
    unmapped.find_recipe()
    state = unmapped.wait(PATIENCE)
    assert list(state.errors) == ["limit"]
    assert "10 bytes are too few" in state.errors["limit"]
    assert state.result is first.result
    assert state.is_current
    assert is_whole(state)
    unmapped.try_recipe(recipe(4))
    assert unmapped.wait(PATIENCE).errors == {}


@pytest.mark.parametrize("size", ["lots", "20 MBit", "-3 MB", "0", "0.3 B"])
def test_a_limit_that_is_no_size_is_an_error_in_words_and_no_limit_is_left(unmapped, size):
    first = unmapped.state
    assert unmapped.limit_to("40 kB").limit == 40_000
    state = unmapped.limit_to(size)
    assert repr(size) in state.errors["limit"]
    assert "such as '20MB'" in state.errors["limit"]
    state = unmapped.find_recipe()  # not within a limit that is no longer in sight
    assert "how large the file may be" in state.errors["limit"]
    state = unmapped.wait(PATIENCE)
    assert (state.search, state.result) == (None, first.result)
    assert is_whole(state)
    assert unmapped.limit_to("1 MiB").limit == 2**20
    assert unmapped.state.errors == {}
    assert unmapped.limit_to(" ").limit is None


# -- the trail, and going back --------------------------------------------------------------


def test_going_back_to_a_recent_recipe_builds_nothing_and_gives_the_same(unmapped, monkeypatch):
    first = unmapped.state
    unmapped.try_recipe(recipe(4))
    second = unmapped.wait(PATIENCE)
    builds = Room()
    monkeypatch.setattr(Builder, "build", builds.watch(Builder.build))
    for wanted in (recipe(), recipe(4), recipe()):  # equal to those before, not the same
        unmapped.try_recipe(wanted)
        state = unmapped.wait(PATIENCE)
        expected = first if wanted == recipe() else second
        assert state.is_current
        assert state.result.small is expected.result.small
        assert state.result.card is expected.result.card
        pd.testing.assert_frame_equal(state.changes, expected.changes)
        pd.testing.assert_frame_equal(state.damage.words, expected.damage.words)
    assert builds.entered == 0
    assert state.before.recipe == recipe(4)
    assert recipes(state) == [recipe(), recipe(4)]


def test_only_some_results_are_kept(begin, monkeypatch):
    monkeypatch.setattr(module, "N_RECENT", 2)
    session = begin(show=("numbers",), words=())
    for n_subvectors in (6, 4, 6, 3):  # the one gone back to is the newest but one
        session.try_recipe(recipe(n_subvectors))
        session.wait(PATIENCE)
    kept = [result.recipe.steps[1].n_subvectors for result in session.state.model.recent.values()]
    assert kept == [6, 3]
    assert [one.steps[1].n_subvectors for one in recipes(session.state)] == [6, 4, 3]


def test_results_are_kept_only_while_they_are_small(begin, monkeypatch):
    session = begin(show=("numbers",), words=())
    n_bytes = session.wait(PATIENCE).result.small.storage.nbytes
    monkeypatch.setattr(module, "MOST_RECENT", 2 * n_bytes)
    for n_subvectors in (4, 3, 2):  # each smaller than the one before
        session.try_recipe(recipe(n_subvectors))
        state = session.wait(PATIENCE)
    assert 1 < len(state.model.recent) < 4
    monkeypatch.setattr(module, "MOST_RECENT", 0)
    session.try_recipe(recipe(6))
    state = session.wait(PATIENCE)
    assert list(state.model.recent.values()) == [state.result]


def test_the_trail_forgets_its_beginning_when_it_is_long(begin, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_TRAIL", 2)
    session = begin(show=("numbers",), words=())
    for n_subvectors in (6, 4, 3):
        session.try_recipe(recipe(n_subvectors))
        session.wait(PATIENCE)
    assert [one.steps[1].n_subvectors for one in recipes(session.state)] == [4, 3]


# -- what else a result calls for -----------------------------------------------------------


def test_each_word_without_a_row_of_its_own_has_the_ngrams_that_carry_it(unmapped, fasttext):
    small = unmapped.state.result.small
    kept, unseen = small.words[5], "нигделани"
    dropped = next(word for word in fasttext.words if word not in small)
    assert unseen not in fasttext
    unmapped.look_at([kept, dropped, unseen])
    state = unmapped.wait(PATIENCE)
    assert list(state.carriers) == [dropped, unseen]
    for word, carriers in state.carriers.items():
        expected = ngram_carriers(fasttext.adjusted(), state.result.small, word)
        pd.testing.assert_frame_equal(carriers, expected)
        assert carriers.attrs == expected.attrs
    unmapped.look_at([])
    state = unmapped.wait(PATIENCE)
    assert (state.changes, dict(state.carriers)) == (None, {})
    unmapped.look_at([unseen])
    unmapped.wait(PATIENCE)
    unmapped.look_at([""])  # too short for any n-gram
    state = unmapped.wait(PATIENCE)
    assert list(state.errors) == ["words"]
    assert (state.changes, dict(state.carriers)) == (None, {})


def test_words_of_a_model_without_ngrams_have_neighbours_and_no_carriers(begin, plain):
    session = begin(plain, words=plain.words[:2], show=("words",))
    session.suggest = lambda v: wb.Chain([wb.PQ(6, n_bits=4)])
    state = session.wait(PATIENCE)
    assert state.errors == {}
    assert set(state.changes["word"]) == set(plain.words[:2])
    assert dict(state.carriers) == {}


def test_models_whose_ngrams_cannot_be_compared_have_neighbours_all_the_same(begin, fasttext):
    other = Vocab(fasttext.words, subwords=Subwords(2, 3, 3_000))
    small = fasttext.with_storage(fasttext.storage, other)
    state = begin(small=small, show=("words",), words=["нигделани", fasttext.words[0]]).wait(PATIENCE)
    assert state.errors == {}
    assert set(state.changes["word"]) == set(state.words)
    assert dict(state.carriers) == {}


def test_damage_is_that_of_the_whole_vocabulary(unmapped, fasttext):
    state = unmapped.state
    v, small = fasttext.adjusted(), state.result.small
    words = word_damage(v, small)
    for found, expected in zip(state.damage, (words, damage_groups(words), code_damage(v, small, words)), strict=True):
        pd.testing.assert_frame_equal(found, expected)
    assert state.damage.words.attrs == words.attrs


def test_agreement_is_over_the_given_pairs(begin, fasttext):
    rng = np.random.default_rng(0)
    some = [(fasttext.words[a], fasttext.words[b], float(rng.random())) for a, b in rng.integers(700, size=(60, 2))]
    session = begin(show=("numbers", "agreement"), pairs={"mine": some})
    state = session.wait(PATIENCE)
    expected = similarity(fasttext.adjusted(), state.result.small, {"mine": some})
    pd.testing.assert_frame_equal(state.agreement, expected)
    assert "similarity" in set(state.agreement["metric"])


@pytest.mark.parametrize(("name", "about"), [("word_damage", "damage"), ("similarity", "agreement")])
def test_what_goes_wrong_in_one_part_is_said_there_and_the_others_come(begin, monkeypatch, name, about):
    def fail(*_, **__):
        raise ValueError("out of order")

    with monkeypatch.context() as patch:
        patch.setattr(module, name, fail)
        session = begin(show=NO_MAPS)
        state = session.wait(PATIENCE)
        assert state.errors == {about: "out of order"}
        assert getattr(state, about) is None
        assert state.is_current
        others = {"damage": state.damage, "agreement": state.agreement, "words": state.changes}
        assert all(part is not None for part_about, part in others.items() if part_about != about)
    session.try_recipe(recipe(4))
    state = session.wait(PATIENCE)
    assert state.errors == {}
    assert is_whole(state)


def test_a_missing_file_of_pairs_is_said_in_words(begin):
    state = begin(show=("numbers", "agreement"), pairs={"mine": "nowhere/pairs.tsv"}).wait(PATIENCE)
    assert list(state.errors) == ["agreement"]
    assert "pairs.tsv" in state.errors["agreement"]
    assert state.is_current


# -- a small model that is given ------------------------------------------------------------

WORKS = {
    "numbers": (module, "quick_card"),
    "maps": (OriginalMap, "pca"),
    "words": (module, "neighbour_changes"),
    "agreement": (module, "similarity"),
    "damage": (module, "word_damage"),
}


@pytest.mark.parametrize("show", [(), *((name,) for name in WORKS), ("damage", "words")], ids="-".join)
def test_of_a_given_small_model_only_what_is_shown_is_computed(begin, fasttext, monkeypatch, show):
    rooms = {about: Room() for about in WORKS}
    for about, (owner, name) in WORKS.items():
        monkeypatch.setattr(owner, name, rooms[about].watch(getattr(owner, name)))
    builds = Room()
    monkeypatch.setattr(Builder, "build", builds.watch(Builder.build))
    small = recipe().fit_transform(fasttext)
    session = begin(small=small, show=show)
    state = session.wait(PATIENCE)
    assert {about: room.entered for about, room in rooms.items()} == {about: int(about in show) for about in WORKS}
    assert (builds.entered, state.recipe, state.trail, state.errors) == (0, None, (), {})
    assert state.is_current
    assert state.result.small is small
    there = {"maps": state.maps, "words": state.changes, "agreement": state.agreement, "damage": state.damage}
    assert {about for about, part in there.items() if part is not None} == set(show) - {"numbers"}
    if "numbers" in show:
        expected = quick_card(fasttext.adjusted(), small, None, 200, 50)
        pd.testing.assert_frame_equal(state.result.card, expected)
    else:
        assert state.result.card.empty


def test_small_models_of_other_dimensions_are_said_to_be_so(begin, plain):
    other = wb.Vectors.from_arrays(plain.words, np.ones((700, 5), np.float32))
    state = begin(plain, small=other, words=plain.words[:1], show=("words", "damage")).wait(PATIENCE)
    assert list(state.errors) == ["damage"]
    assert "dimensions" in state.errors["damage"]
    assert state.changes is not None  # neighbours are each model's own


# -- reports --------------------------------------------------------------------------------

LIMITS = {"size.compressed": 1e6, "fidelity.kept": 1.1}  # the second cannot be met


@pytest.fixture
def saved(begin, fasttext, tmp_path) -> Session:
    """A session of a model that was saved, with the numbers of its first recipe."""
    session = begin(str(fasttext.save(tmp_path / "big.safetensors")), show=("numbers",))
    session.wait(PATIENCE)
    return session


@pytest.mark.slow
def test_a_report_is_of_the_recipe_it_was_asked_for_whatever_is_tried_meanwhile(saved, fasttext, tmp_path):
    states = heard(saved)
    assert saved.make_report(tmp_path / "report", LIMITS).reporting.recipe is saved.state.recipe
    until(lambda: saved.state.writing)
    saved.try_recipe(recipe(4))
    state = saved.wait(2 * PATIENCE)  # it starts a kernel
    report = state.report
    assert (state.reporting, state.writing, state.errors) == (None, None, {})
    assert state.result.recipe == recipe(4)
    assert {verdict.name: verdict.failed for verdict in report.verdicts} == {
        "size.compressed": False,
        "fidelity.kept": True,
    }
    assert not report.passed
    small = wb.load(report.notebook.with_name("small.safetensors"))
    assert small.meta["recipe"] == recipe().to_json()["steps"]
    assert any(s.is_current and s.result.recipe == recipe(4) for s in states if s.reporting)  # numbers did not wait
    shares = [s.writing[1] for s in states if s.writing]
    assert shares == sorted(shares)


@pytest.fixture
def slow_reports(monkeypatch) -> threading.Event:
    """Reports that run, and tell how far they are, until this event."""
    go_on = threading.Event()

    def run(path):
        with progress.bar(total=100, desc="report: slow") as bar:
            while not go_on.wait(0.01):
                bar.update(0)
        return path

    monkeypatch.setattr(module, "run_report", run)
    yield go_on
    go_on.set()


def test_a_report_that_is_given_up_ends_and_leaves_none(saved, slow_reports, tmp_path):
    first = saved.state
    saved.make_report(tmp_path / "report", LIMITS)
    until(lambda: saved.state.writing)
    assert saved.is_busy
    saved.cancel_report()
    state = saved.wait(PATIENCE)  # although the report would go on for ever
    assert (state.reporting, state.writing, state.report, state.errors) == (None, None, None, {})
    assert state.result is first.result


def test_a_report_goes_on_while_recipes_are_tried_and_given_up(saved, slow_reports, tmp_path):
    saved.make_report(tmp_path / "report", LIMITS)
    wish = saved.state.reporting
    until(lambda: saved.state.writing)
    saved.try_recipe(recipe(4))
    saved.cancel()
    saved.try_recipe(recipe(3))
    until(lambda: saved.state.is_current)
    assert saved.state.reporting is wish
    slow_reports.set()
    assert saved.wait(PATIENCE).report is not None


def test_a_report_is_of_the_model_it_was_asked_for_whatever_is_opened_meanwhile(saved, gate, monkeypatch, tmp_path):
    reported = []
    monkeypatch.setattr(module, "write_report", lambda folder, source, *_, **__: reported.append(source) or folder)
    monkeypatch.setattr(module, "run_report", lambda path: path)
    first, run = saved.state.model, gate(module, "run_report")
    saved.make_report(tmp_path, LIMITS)
    run.reached.wait(PATIENCE)
    saved.cancel_report()
    saved.make_report(tmp_path, LIMITS)  # which begins when the one before is over
    saved.open(made_fasttext(seed=1))
    until(lambda: saved.state.model is not first)
    run.open.set()
    saved.wait(PATIENCE)
    assert reported == [first.original] * 2


def test_a_report_waits_for_the_numbers_of_this_setting(saved, gate, tmp_path):
    build = gate(Builder, "build")
    saved.try_recipe(recipe(4))
    build.reached.wait(PATIENCE)
    state = saved.make_report(tmp_path / "report", LIMITS)
    assert "not there yet" in state.errors["report"]
    assert state.reporting is None
    build.open.set()
    assert saved.wait(PATIENCE).report is None
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("what", ["a model in memory", "no limit", "an unknown limit"])
def test_a_report_that_cannot_be_is_refused_in_words(unmapped, saved, tmp_path, what):
    session = unmapped if what == "a model in memory" else saved
    limits = {"no limit": {}, "an unknown limit": {"beauty": 1.0}}.get(what, LIMITS)
    session.make_report(tmp_path / "report", limits)
    state = session.wait(PATIENCE)
    expected = {"a model in memory": "made in memory", "no limit": "at least one limit", "an unknown limit": "beauty"}
    assert list(state.errors) == ["report"]
    assert expected[what] in state.errors["report"]
    assert (state.reporting, state.report) == (None, None)
    assert state.is_current
    assert not (tmp_path / "report").exists()


# -- saving -------------------------------------------------------------------------------


def test_the_saved_file_is_what_the_recipe_gives(session, fasttext, tmp_path):
    saved = session.save(tmp_path / "new" / "small.safetensors").saved
    assert saved.read_bytes() == file_of(recipe().fit_transform(fasttext), tmp_path)


def test_saving_waits_for_the_numbers_of_this_setting(session, gate, tmp_path):
    build = gate(Builder, "build")
    session.try_recipe(recipe(4))
    build.reached.wait(PATIENCE)
    state = session.save(tmp_path / "small.safetensors")
    assert "not there yet" in state.errors["save"]
    assert not list(tmp_path.iterdir())
    build.open.set()
    session.wait(PATIENCE)
    assert session.save(tmp_path / "small.safetensors").errors == {}


@pytest.mark.parametrize(("name", "why"), [("small.bin", "must end in .safetensors"), ("file/small.safetensors", "")])
def test_a_file_that_cannot_be_saved_is_an_error_in_words(session, tmp_path, name, why):
    (tmp_path / "file").touch()
    state = session.save(tmp_path / name)
    assert why in state.errors["save"]
    assert state.saved is None
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_model_itself_is_never_overwritten(begin, fasttext, tmp_path, monkeypatch):
    path = fasttext.save(tmp_path / "big.safetensors")
    before = path.read_bytes()
    session = begin(str(path))
    session.wait(PATIENCE)
    monkeypatch.chdir(tmp_path)
    assert "is the model itself" in session.save("big.safetensors").errors["save"]
    assert path.read_bytes() == before


def test_a_model_given_in_memory_does_not_have_its_file_overwritten(begin, fasttext, tmp_path):
    path = fasttext.save(tmp_path / "big.safetensors")
    before = path.read_bytes()
    session = begin(wb.load(path))
    session.wait(PATIENCE)
    session.save(path)
    assert path.read_bytes() == before


# -- maps in their process ----------------------------------------------------------------


def cloud(n: int, seed: int = 0) -> tuple:
    """Arguments of a layout."""
    points = np.random.default_rng(seed).normal(size=(n, 12)).astype(np.float32)
    return points, points[:, :2], 15, seed


def is_drawing_for(owner: object) -> bool:
    return any(request.owner is owner and request.worker for request in mapper.shared._requests)


@pytest.fixture
def answers(monkeypatch) -> list:
    """What the process answers."""
    given = []
    ask = mapper._Worker.ask

    def listen(worker, arguments):
        given.append(ask(worker, arguments))
        return given[-1]

    monkeypatch.setattr(mapper._Worker, "ask", listen)
    return given


@pytest.fixture(scope="module")
def large() -> wb.Vectors:
    """A model whose map takes a second."""
    return made_fasttext(n_words=1_500, n_buckets=1_000)


@pytest.fixture
def drawing(begin, large, answers) -> Session:  # `answers` listens before the map begins
    """A session in the midst of the map of its second recipe; the first one's is done."""
    session = begin(large, words=(), n_mapped=1_500)
    until(lambda: session.state.model is not None)
    rng = np.random.default_rng(0)
    original = session.state.model.map(1_500, 0)
    original.first = original.control = rng.normal(size=(1_500, 2)).astype(np.float32), 1.0  # to save its seconds
    until(lambda: is_drawing_for(session))
    return session


def test_a_stopped_layout_raises_and_its_process_draws_the_next_one(answers):
    pid = mapper.shared.warm().process.pid
    owner = object()
    with ThreadPoolExecutor(1) as pool:
        layout = pool.submit(mapper.shared.layout, owner, *cloud(4_000))
        until(lambda: is_drawing_for(owner))
        mapper.shared.stop(owner)
        with pytest.raises(Stopped):
            layout.result(PATIENCE)
    assert isinstance(answers[-1], Stopped)  # it was not drawn to its end
    places, trust = mapper.shared.layout(owner, *cloud(64))
    assert places.shape == (64, 2)
    assert 0 <= trust <= 1
    assert mapper.shared.warm().process.pid == pid


def test_a_layout_after_many_stops_is_as_good_as_before(answers):
    expected, trust = mapper.shared.layout(None, *cloud(300))
    pid = mapper.shared.warm().process.pid
    rng = random.Random(0)
    owner = object()
    with ThreadPoolExecutor(1) as pool:
        for _ in range(10):
            layout = pool.submit(mapper.shared.layout, owner, *cloud(1_000))
            until(lambda: is_drawing_for(owner))
            threading.Event().wait(rng.random() / 4)  # some other place in it
            mapper.shared.stop(owner)
            with pytest.raises(Stopped):
                layout.result(PATIENCE)
    mapper.shared.forget()
    places, same_trust = mapper.shared.layout(None, *cloud(300))
    assert np.array_equal(places, expected)
    assert same_trust == trust
    assert mapper.shared.warm().process.pid == pid


def test_a_layout_stopped_while_its_process_starts_is_never_begun(answers, gate):
    ready = gate(mapper._Worker, "wait_until_ready")
    owner = object()
    with ThreadPoolExecutor(1) as pool:
        layout = pool.submit(mapper.shared.layout, owner, *cloud(64))
        ready.reached.wait(PATIENCE)
        mapper.shared.stop(owner)
        ready.open.set()
        with pytest.raises(Stopped):
            layout.result(PATIENCE)
    assert answers == []


def test_a_stop_of_nothing_or_of_another_owner_does_nothing(answers, monkeypatch):
    signals = []
    monkeypatch.setattr(mapper._Worker, "interrupt", signals.append)
    owner = object()
    mapper.shared.stop(owner)
    with ThreadPoolExecutor(1) as pool:
        layout = pool.submit(mapper.shared.layout, owner, *cloud(1_000))
        until(lambda: is_drawing_for(owner))
        mapper.shared.stop(object())
        places, _ = layout.result(PATIENCE)
    mapper.shared.stop(owner)
    assert places.shape == (1_000, 2)
    assert signals == []


def test_layouts_for_many_owners_are_drawn_one_at_a_time_and_each_owner_gets_its_own(monkeypatch):
    alone = [mapper.shared.layout(None, *cloud(64, seed))[0] for seed in range(4)]
    mapper.shared.forget()
    room = Room()
    monkeypatch.setattr(mapper._Worker, "ask", room.watch(mapper._Worker.ask))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: mapper.shared.layout(object(), *cloud(64, seed))[0], range(4)))
    assert room.most == 1
    assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))


def test_a_stopped_owner_that_waits_for_its_turn_is_not_drawn(answers):
    first, second = object(), object()
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(mapper.shared.layout, first, *cloud(1_000))
        until(lambda: is_drawing_for(first))
        waiting = pool.submit(mapper.shared.layout, second, *cloud(64))
        until(lambda: any(request.owner is second for request in mapper.shared._requests))
        mapper.shared.stop(second)
        running.result(PATIENCE)
        with pytest.raises(Stopped):
            waiting.result(PATIENCE)
    assert len(answers) == 1


def test_a_change_while_a_map_is_drawn_stops_it(drawing, answers):
    pid = mapper.shared.warm().process.pid
    states = heard(drawing)
    wanted = recipe(4)
    drawing.try_recipe(wanted)
    until(lambda: answers)
    assert isinstance(answers[0], Stopped)
    until(lambda: is_drawing_for(drawing))  # the next one's
    assert drawing.state.result.recipe is wanted
    assert not any(s.maps is not None and s.maps.attrs["method"] == "UMAP" for s in states)
    assert mapper.shared.warm().process.pid == pid


def test_a_change_while_the_original_is_mapped_draws_no_map_of_the_recipe_before(begin, large, answers):
    session = begin(large, words=(), n_mapped=1_500)
    until(lambda: is_drawing_for(session.state.model))
    session.try_recipe(recipe(4))
    assert session.wait(PATIENCE).maps.attrs["method"] == "UMAP"
    assert len(answers) == 3  # the original's, the control's, and that of the recipe that is wanted


def test_cancel_while_a_map_is_drawn_leaves_principal_components_and_says_so(drawing, answers):
    drawing.cancel()
    state = drawing.wait(PATIENCE)
    assert isinstance(answers[0], Stopped)
    assert len(answers) == 1
    assert state.maps.attrs["method"] == "PCA"
    assert "stopped" in state.errors["maps"]
    assert not state.drawing
    assert state.is_current


def test_a_cancelled_map_is_not_begun_again_however_quickly_it_stops(drawing, answers, monkeypatch):
    stop = mapper.shared.stop

    def stop_and_wait(owner):
        """Come back only when the thread that waited for the map has gone on."""
        before = list(mapper.shared._requests)
        stop(owner)
        until(lambda: "maps" not in drawing._alive or set(mapper.shared._requests) - set(before))

    monkeypatch.setattr(mapper.shared, "stop", stop_and_wait)
    drawing.cancel()
    state = drawing.wait(PATIENCE)
    assert len(answers) == 1
    assert (state.maps.attrs["method"], "maps" in state.errors) == ("PCA", True)


@pytest.mark.slow
def test_a_map_process_that_dies_is_an_error_in_words_and_the_next_map_is_drawn(drawing, fasttext):
    mapper.shared.warm().process.kill()
    state = drawing.wait(PATIENCE)
    assert "process that draws maps ended" in state.errors["maps"]
    assert state.maps.attrs["method"] == "PCA"
    assert state.is_current
    drawing.map_words(40)
    drawing.open(fasttext)
    state = drawing.wait(PATIENCE)
    assert state.errors == {}
    assert state.maps.attrs["method"] == "UMAP"


def test_too_few_words_for_a_map_is_an_error_in_words(begin):
    state = begin(n_mapped=20).wait(PATIENCE)
    assert "more than 30 words" in state.errors["maps"]
    assert state.maps.attrs["method"] == "PCA"


def test_the_process_for_maps_ends_with_the_one_that_started_it(other_python):
    process = psutil.Process(int(other_python.stdout.readline()))
    assert process.is_running()
    other_python.kill()
    other_python.wait(PATIENCE)
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
