"""What a panel computes follows what a person wants: the last wish counts, and whatever is in its way is stopped."""

import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from conftest import PATIENCE, made_fasttext, until
from person import FRESH, Person, opened

import workbench as wb
from workbench.progress import Stopped
from workbench.views import mapper

BUILD = "workbench.compress.builder.Builder.build"
ASK = "workbench.views.mapper._Worker.ask"
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(autouse=True)
def forgotten():
    """Maps are drawn, not remembered from an earlier test."""
    mapper.shared.forget()


def tried(person: Person) -> list[int]:
    """The numbers of words of the settings on the trail, once everything is computed."""
    return [trial["recipe"].steps[0].n_words for trial in person.wait().trail]


def is_whole(state) -> bool:
    """Whether everything is there that a setting calls for."""
    return all(part is not None for part in (state.changes, state.agreement, state.damage, state.maps))


# -- wishes that change ---------------------------------------------------------------------


def test_of_many_quick_changes_the_last_is_computed_and_work_never_overlaps(panel, fasttext, counted, monkeypatch):
    monkeypatch.setattr("workbench.views.work.QUIET", 0.0)  # so that work begins in the midst of it
    builds, maps = counted(BUILD), counted(ASK)
    rng = random.Random(0)
    for _ in range(60):
        panel.set("Words kept", rng.randrange(300, 400))
        panel.set("Subvectors", rng.choice([2, 3, 4, 6]))
    state = panel.wait()
    prune, _, quantise = state.recipe.steps
    assert (prune.n_words, quantise.n_subvectors) == (panel.get("Words kept"), panel.get("Subvectors"))
    assert (panel.alerts, panel.faded) == ([], "")
    assert is_whole(state)
    assert state.maps.attrs["method"] == "UMAP"
    assert builds.entered > 2  # the last, and others that were given up
    assert (builds.most, maps.most) == (1, 1)
    assert np.array_equal(state.result.small.matrix(), state.recipe.fit_transform(fasttext).matrix())


def test_numbers_come_before_the_map_whose_place_principal_components_take(panel, gate, counted):
    maps = counted(ASK)
    draw = gate("workbench.views.mapper.shared.layout")
    panel.set("Words kept", next(FRESH))
    draw.reach()
    until(lambda: "up to date" in panel.text)
    panel.set("Show", "Maps")
    assert "until then the maps show principal components" in panel.text
    assert "trustworthiness" not in panel.figure("wb-maps").layout.annotations[1].text
    draw.open()
    panel.wait()
    assert "trustworthiness" in panel.figure("wb-maps").layout.annotations[1].text
    assert maps.entered == 1  # the original's own map is there from the first setting


def test_cancel_before_the_first_result_leaves_a_model_that_can_be_worked_on(use, fasttext, gate):
    build = gate(BUILD)
    panel = use(opened(fasttext), ready=False)
    build.reach()
    panel.press("Cancel")
    build.open()
    assert panel.wait().result is None
    assert "700 words" in panel.text
    panel.set("Words kept", 400)
    assert tried(panel) == [400]


# -- models ---------------------------------------------------------------------------------


def test_another_model_starts_a_new_trail_and_keeps_the_words_it_knows(panel, fasttext, tmp_path):
    other = wb.Vectors.from_arrays(fasttext.words[1:500], fasttext.get_vectors(fasttext.words[1:500]))
    panel.change({"Words kept": next(FRESH)})
    state = panel.change({"Model": str(other.save(tmp_path / "other.safetensors"))})
    assert len(state.trail) == 1
    assert panel.get("Word") == fasttext.words[1]
    assert panel.alerts == []


# -- a search within a limit ----------------------------------------------------------------


@pytest.fixture
def few_trials(monkeypatch):
    monkeypatch.setattr("workbench.views.session.N_TRIALS", 3)


@pytest.mark.parametrize("goal", ["fidelity", pytest.param("overlap@10", marks=pytest.mark.slow)])
def test_a_search_ends_with_the_best_recipe_within_the_limit_and_all_it_tried_on_the_trail(
    use, fasttext, few_trials, goal
):
    panel = use(opened(fasttext, words=fasttext.words[:1]))
    panel.wait()
    panel.press("Find the best recipe")
    assert "how large the file may be" in panel.alerts[0]
    panel.set("Size limit", "40 kB")
    assert panel.alerts == []
    panel.set("Maximise", goal)
    n_before = len(panel.wait().trail)
    state = panel.finish("Find the best recipe")
    assert "to spare" in panel.text
    found = state.trail[n_before:]
    fitting = [trial for trial in found if trial["bytes"] <= 40_000]
    assert len(found) > 2
    assert max(fitting, key=lambda trial: trial["score"])["recipe"] == state.recipe
    assert is_whole(state)
    assert repr(state.recipe.steps[-1]) in panel.get("Copy recipe")
    assert len(panel.labels("Take out step")) == len(state.recipe.steps)


def test_progress_and_cancel_are_those_of_the_search_and_what_it_tried_stays(use, fasttext, few_trials):
    panel = use(opened(fasttext, words=fasttext.words[:1]))
    first = panel.wait()
    panel.set("Size limit", "40 kB")
    panel.when(lambda: "1 of about" in panel.text, lambda: panel.press("Cancel"))
    panel.press("Find the best recipe")
    assert "0 of about" in panel.text
    assert "Size of the file" in panel.faded
    state = panel.wait()
    assert state.result is first.result
    assert panel.get("Words kept") == 300
    assert "up to date" in panel.text
    assert len(state.trail) == len(first.trail) + 1
    assert is_whole(state)


def test_a_setting_wanted_during_a_search_takes_its_place(panel, gate):
    before, wanted = tried(panel), next(FRESH)
    search = gate("workbench.views.session.fit_budget")
    panel.set("Size limit", "40 kB")
    panel.press("Find the best recipe")
    search.reach()
    panel.set("Words kept", wanted)
    search.open()
    assert tried(panel) == [*before, wanted]


def test_an_impossible_limit_is_a_message_and_leaves_the_earlier_result_whole(panel):
    first = panel.wait()
    panel.set("Size limit", "10 B")
    state = panel.finish("Find the best recipe")
    assert "10 bytes are too few" in panel.alerts[0]
    assert state.result is first.result
    assert is_whole(state)
    panel.change({"Words kept": next(FRESH)})
    assert panel.alerts == []


@pytest.mark.parametrize("size", ["20 MBit", "-3 MB", "0"])
def test_a_limit_that_is_no_size_is_a_message_and_no_limit_is_left(panel, size):
    panel.set("Size limit", "40 kB")
    assert "of 0.04 MB" in panel.text
    panel.set("Size limit", size)
    (alert,) = panel.alerts
    assert repr(size) in alert
    assert "such as '20MB'" in alert
    assert "of 0.04 MB" not in panel.text
    panel.press("Find the best recipe")  # not within a limit that is no longer in sight
    assert "how large the file may be" in panel.alerts[0]


# -- going back -----------------------------------------------------------------------------


def test_going_back_to_a_recent_setting_builds_nothing_and_gives_the_same(panel, counted):
    other = next(FRESH)
    states = {300: panel.wait()}
    states[other] = panel.change({"Words kept": other})
    builds, before = counted(BUILD), tried(panel)
    for n_words in (300, other, 300):
        state = panel.change({"Words kept": n_words})
        assert state.result.small is states[n_words].result.small
        assert state.changes.equals(states[n_words].changes)
        assert state.damage.words.equals(states[n_words].damage.words)
    assert builds.entered == 0
    assert tried(panel) == before


# -- reports --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_report_is_of_the_setting_it_was_asked_for_whatever_is_tried_meanwhile(use, fasttext, tmp_path):
    panel = use(opened(str(fasttext.save(tmp_path / "big.safetensors"))))
    asked = panel.wait().recipe
    panel.set("Show", "Save and report")
    panel.set("Folder", str(tmp_path / "report"))
    panel.set("Limit of fidelity.kept", 1.1)
    panel.press("Make report")
    panel.set("Words kept", 400)
    until(lambda: "up to date" in panel.text)
    assert panel.can("Stop report")  # numbers did not wait
    state = panel.view.wait(2 * PATIENCE)  # it starts a kernel
    panel.wait()
    assert panel.alerts == []
    assert panel.rows["size.compressed"][2] == "met"
    assert panel.rows["fidelity.kept"][2].startswith("not met")
    small = wb.load(state.report.notebook.with_name("small.safetensors"))
    assert small.meta["recipe"] == asked.to_json()["steps"]


# -- maps in their process ------------------------------------------------------------------


def cloud(n: int, seed: int = 0) -> tuple:
    """Arguments of a layout."""
    points = np.random.default_rng(seed).normal(size=(n, 12)).astype(np.float32)
    return points, points[:, :2], 15, seed


@pytest.fixture
def asked(monkeypatch) -> list:
    """What the process for maps was asked, and what it answered; None until it does."""
    log: list = []
    ask = mapper._Worker.ask

    def listen(worker, arguments):
        log.append(None)
        at = len(log) - 1
        log[at] = ask(worker, arguments)
        return log[at]

    monkeypatch.setattr(ASK, listen)
    return log


def test_a_stopped_layout_raises_and_its_process_draws_the_next_one_as_well(begun, asked):
    begun.wait()  # the panel of the tests before has drawn its last map
    asked.clear()
    expected, trust = mapper.shared.layout(None, *cloud(300))
    mapper.shared.forget()
    pid, owner, rng = mapper.shared.warm().process.pid, object(), random.Random(0)
    with ThreadPoolExecutor(1) as pool:
        for n in range(1, 4):
            layout = pool.submit(mapper.shared.layout, owner, *cloud(4_000))
            until(lambda n=n: len(asked) > n)
            threading.Event().wait(rng.random() / 4)  # some place in the midst of it
            mapper.shared.stop(object())  # which is nobody's
            mapper.shared.stop(owner)
            with pytest.raises(Stopped):
                layout.result(PATIENCE)
            assert isinstance(asked[n], Stopped)  # it was not drawn to its end
    places, same_trust = mapper.shared.layout(owner, *cloud(300))
    assert np.array_equal(places, expected)
    assert same_trust == trust
    assert mapper.shared.warm().process.pid == pid


@pytest.fixture(autouse=True, scope="module")
def other_python():
    """A Python that names its process for maps once that is ready: in seconds, during which other tests run."""
    code = "from workbench.views.mapper import shared; worker = shared.warm(); worker.wait_until_ready(); "
    code += "print(worker.process.pid, flush=True); input()"
    python = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield python
    python.kill()
    python.communicate()


def test_the_process_for_maps_ends_with_the_one_that_started_it(other_python):
    process = psutil.Process(int(other_python.stdout.readline()))
    assert process.is_running()
    other_python.kill()
    other_python.wait(PATIENCE)
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


@pytest.fixture
def drawing(use, asked) -> Person:
    """A panel in the midst of the map of its first setting, which takes a second."""
    panel = use(opened(made_fasttext(n_words=1_500, n_buckets=1_000), n_mapped=1_500), ready=False)
    until(lambda: len(asked) == 3)  # the original, the original again, and the setting
    panel.set("Show", "Maps")
    return panel


def test_a_change_while_a_map_is_drawn_stops_it_and_cancel_leaves_principal_components(drawing, asked):
    pid = mapper.shared.warm().process.pid
    drawing.set("Words kept", 400)
    until(lambda: len(asked) == 4)  # the next one's
    assert isinstance(asked[2], Stopped)
    state = drawing.finish("Cancel")
    assert isinstance(asked[3], Stopped)
    assert mapper.shared.warm().process.pid == pid
    assert state.maps.attrs["method"] == "PCA"
    assert "stopped" in drawing.alerts[0]
    assert (drawing.get("Words kept"), drawing.faded, drawing.can("Cancel")) == (400, "", False)


@pytest.mark.slow
def test_a_map_process_that_dies_is_a_message_and_the_next_map_is_drawn(drawing):
    mapper.shared.warm().process.kill()
    state = drawing.wait()
    assert "process that draws maps ended" in drawing.alerts[0]
    assert state.maps.attrs["method"] == "PCA"
    assert drawing.change({"Words on the maps": "1000"}).maps.attrs["method"] == "UMAP"
    assert drawing.alerts == []
