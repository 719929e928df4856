"""What a panel computes follows what a person wants: the last wish counts, and whatever is in its way is stopped."""

import gc
import random
import subprocess
import sys
import threading
import weakref
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


def test_of_many_quick_changes_the_last_is_computed_and_work_never_overlaps(
    panel, fasttext, counted, monkeypatch, tmp_path
):
    monkeypatch.setattr("workbench.views.work.QUIET", 0.0)  # so that work begins in the midst of it
    builds, maps = counted(BUILD), counted(ASK)
    rng, over = random.Random(0), threading.Event()

    def look_up() -> None:  # what else a notebook may do meanwhile
        while not over.wait(0.001):
            fasttext.get_vectors(fasttext.words[:100])

    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(look_up)
        try:
            for _ in range(60):
                panel.set("Words kept", rng.randrange(300, 400))
                panel.set("Subvectors", rng.choice([2, 3, 4, 6]))
            state = panel.wait()
        finally:
            over.set()
    prune, _, quantise = state.recipe.steps
    assert (prune.n_words, quantise.n_subvectors) == (panel.get("Words kept"), panel.get("Subvectors"))
    assert (panel.alerts, panel.faded) == ([], "")
    assert is_whole(state)
    assert state.maps.attrs["method"] == "UMAP"
    assert builds.entered > 2  # the last, and others that were given up
    assert (builds.most, maps.most) == (1, 1)
    shown, expected = tmp_path / "shown.safetensors", tmp_path / "expected.safetensors"
    state.recipe.fit_transform(fasttext).save(expected)
    assert state.result.small.save(shown).read_bytes() == expected.read_bytes()


def test_a_row_of_quick_changes_is_built_once(panel, counted, monkeypatch):
    monkeypatch.setattr("workbench.views.work.QUIET", 1.0)  # however slow this machine is
    builds = counted(BUILD)
    before, wanted = tried(panel), [next(FRESH) for _ in range(20)]
    for n_words in wanted:
        panel.set("Words kept", n_words)
    assert tried(panel) == [*before, wanted[-1]]
    assert builds.entered == 1


def test_work_that_nobody_waits_for_stops_between_steps_and_its_result_is_dropped(panel, gate, counted):
    before, (a, b, c, d) = tried(panel), (next(FRESH) for _ in range(4))
    prune, quantise = gate("workbench.Prune.fit_transform"), counted("workbench.PQ.fit_transform")
    panel.set("Words kept", a)
    prune.reach()
    panel.set("Words kept", b)
    prune.open()
    assert tried(panel) == [*before, b]
    assert quantise.entered == 1
    finish = gate("workbench.views.session.Result")
    panel.set("Words kept", c)
    finish.reach()  # everything is computed
    panel.set("Words kept", d)
    finish.open()
    assert tried(panel) == [*before, b, d]


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


def test_waiting_has_an_end(panel, gate):
    build = gate(BUILD)
    panel.set("Words kept", next(FRESH))
    with pytest.raises(TimeoutError, match=r"0\.1 seconds"):
        panel.view.wait(0.1)
    build.open()


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


def test_words_chosen_while_a_model_opens_are_the_ones_compared(panel, fasttext, gate):
    load = gate("workbench.views.session.load")
    load.function = lambda source: fasttext
    panel.set("Model", "slow.bin")
    load.reach()
    panel.set("Word", fasttext.words[9])
    load.open()
    state = panel.wait()
    assert state.words == (panel.get("Word"),) == (fasttext.words[9],)
    assert set(state.changes["word"]) == set(state.words)


# -- a search within a limit ----------------------------------------------------------------


@pytest.fixture
def few_trials(monkeypatch):
    monkeypatch.setattr("workbench.views.session.N_TRIALS", 3)


@pytest.mark.parametrize("goal", ["fidelity", pytest.param("overlap@10", marks=pytest.mark.slow)])
def test_a_search_ends_with_the_best_recipe_within_the_limit_and_all_it_tried_on_the_trail(panel, few_trials, goal):
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


@pytest.mark.parametrize("size", ["lots", "20 MBit", "-3 MB", "0", "0.3 B"])
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
    panel.set("Size limit", "1 MiB")
    assert panel.alerts == []


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


@pytest.mark.parametrize(("bound", "value"), [("N_RECENT", 2), ("MOST_RECENT", 20_000)])
def test_only_some_results_are_kept(use, fasttext, monkeypatch, bound, value):
    monkeypatch.setattr(f"workbench.views.session.{bound}", value)
    panel = use(opened(fasttext))
    small = []
    for n_words in (300, 400, 410, 420):
        panel.set("Words kept", n_words)
        small.append(weakref.ref(panel.wait().result.small))
    gc.collect()
    kept = [one() is not None for one in small]
    assert kept == [False, False, True, True]
    assert tried(panel) == [300, 400, 410, 420]


# -- reports --------------------------------------------------------------------------------


@pytest.fixture
def saved(use, fasttext, tmp_path) -> Person:
    """A panel on a model that was saved, about to make a report in ``tmp_path / "report"``."""
    panel = use(opened(str(fasttext.save(tmp_path / "big.safetensors"))))
    panel.set("Show", "Save and report")
    panel.set("Folder", str(tmp_path / "report"))
    return panel


@pytest.mark.slow
def test_a_report_is_of_the_setting_it_was_asked_for_whatever_is_tried_meanwhile(saved):
    asked = saved.wait().recipe
    saved.set("Limit of fidelity.kept", 1.1)
    saved.press("Make report")
    saved.set("Words kept", 400)
    until(lambda: "up to date" in saved.text)
    assert saved.can("Stop report")  # numbers did not wait
    state = saved.view.wait(2 * PATIENCE)  # it starts a kernel
    saved.wait()
    assert saved.alerts == []
    assert saved.rows["size.compressed"][2] == "met"
    assert saved.rows["fidelity.kept"][2].startswith("not met")
    small = wb.load(state.report.notebook.with_name("small.safetensors"))
    assert small.meta["recipe"] == asked.to_json()["steps"]


def test_a_report_goes_on_while_settings_are_tried_and_given_up(saved, gate, monkeypatch, tmp_path):
    reported = []

    def write(folder, source, *_, **__):
        reported.append(source)
        return folder

    monkeypatch.setattr("workbench.views.session.write_report", write)
    run = gate("workbench.views.session.run_report")
    run.function = lambda path: path
    first = saved.wait().model.original
    saved.press("Make report")
    run.reach()
    saved.set("Words kept", 400)
    saved.press("Cancel")
    saved.press("Stop report")
    saved.press("Make report")  # which begins when the one before is over
    other = made_fasttext(seed=1).save(tmp_path / "other.safetensors")
    saved.set("Model", str(other))
    until(lambda: f"{other}: " in saved.text)
    run.open()
    saved.wait()
    assert reported == [first] * 2


def test_a_model_in_memory_has_no_report(use, fasttext):
    panel = use(opened(fasttext))
    panel.set("Show", "Save and report")
    panel.finish("Make report")
    assert "made in memory" in panel.alerts[0]


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


def test_a_stopped_layout_raises_and_its_process_draws_the_next_one_as_well(asked):
    expected, trust = mapper.shared.layout(None, *cloud(300))
    mapper.shared.forget()
    pid, owner, rng = mapper.shared.warm().process.pid, object(), random.Random(0)
    with ThreadPoolExecutor(1) as pool:
        for n in range(1, 6):
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


def test_a_stop_before_a_layout_begins_or_after_its_end_leaves_the_process_alone(asked, gate):
    mapper.shared.warm()
    ready, owner = gate("workbench.views.mapper._Worker.wait_until_ready"), object()
    with ThreadPoolExecutor(1) as pool:
        layout = pool.submit(mapper.shared.layout, owner, *cloud(64))
        ready.reach()
        mapper.shared.stop(owner)
        ready.open()
        with pytest.raises(Stopped):
            layout.result(PATIENCE)
    assert asked == []
    mapper.shared.layout(owner, *cloud(64))
    mapper.shared.stop(owner)
    mapper.shared.layout(owner, *cloud(64, 1))
    assert not any(isinstance(answer, Stopped) for answer in asked)


def test_layouts_for_many_owners_are_drawn_one_at_a_time_and_each_owner_gets_its_own(counted):
    alone = [mapper.shared.layout(None, *cloud(64, seed))[0] for seed in range(4)]
    mapper.shared.forget()
    room = counted(ASK)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: mapper.shared.layout(object(), *cloud(64, seed))[0], range(4)))
    assert room.most == 1
    assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))


def test_a_layout_that_was_asked_for_before_is_remembered_for_a_while(counted, monkeypatch):
    monkeypatch.setattr("workbench.views.mapper.N_REMEMBERED", 3)
    asked = counted(ASK)
    points, start, n_neighbors, seed = cloud(64)
    a, b = (points, start, n_neighbors, seed), (points, start, n_neighbors - 1, seed)
    c, d = (points, start + 1, n_neighbors, seed), (-points, start, n_neighbors, seed)
    for number, (arguments, n_asked) in enumerate([(a, 1), (b, 2), (c, 3), (a, 3), (d, 4), (a, 4), (b, 5)]):
        copies = [np.copy(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments]
        mapper.shared.layout(number, *copies)
        assert asked.entered == n_asked


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


def test_a_change_while_a_map_is_drawn_stops_it(drawing, asked):
    pid = mapper.shared.warm().process.pid
    drawing.set("Words kept", 400)
    until(lambda: len(asked) == 4)  # the next one's
    assert isinstance(asked[2], Stopped)
    assert mapper.shared.warm().process.pid == pid
    drawing.press("Cancel")


def test_a_change_while_the_original_is_mapped_draws_no_map_of_the_setting_before(use, asked):
    panel = use(opened(made_fasttext(n_words=1_500, n_buckets=1_000), n_mapped=1_500), ready=False)
    until(lambda: asked)
    assert panel.change({"Words kept": 400}).maps.attrs["method"] == "UMAP"
    assert len(asked) == 3  # the original's, the control's, and that of the setting that is wanted


def test_cancel_while_a_map_is_drawn_leaves_principal_components_and_says_so(drawing, asked):
    state = drawing.finish("Cancel")
    assert isinstance(asked[2], Stopped)
    assert len(asked) == 3
    assert state.maps.attrs["method"] == "PCA"
    assert "stopped" in drawing.alerts[0]
    assert drawing.faded == ""
    assert not drawing.can("Cancel")


@pytest.mark.slow
def test_a_map_process_that_dies_is_a_message_and_the_next_map_is_drawn(drawing):
    mapper.shared.warm().process.kill()
    state = drawing.wait()
    assert "process that draws maps ended" in drawing.alerts[0]
    assert state.maps.attrs["method"] == "PCA"
    assert drawing.change({"Words on the maps": "1000"}).maps.attrs["method"] == "UMAP"
    assert drawing.alerts == []


def test_too_few_words_for_a_map_is_a_message(use, fasttext):
    panel = use(opened(fasttext, n_mapped=20))
    assert panel.change({"Show": "Maps"}).maps.attrs["method"] == "PCA"
    assert "more than 30 words" in panel.alerts[0]
