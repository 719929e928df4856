"""From a setting to a report: the notebook, the limits, and a run that can be stopped."""

import asyncio
import math
import re

import nbformat
import numpy as np
import pandas as pd
import psutil
import pytest
from conftest import made_words

import workbench as wb
from workbench import progress
from workbench.__main__ import main
from workbench.evaluate.scorecard import quick_card
from workbench.reports.metrics import Metric, read_baseline
from workbench.reports.setting import LIMITS, TEMPLATE, Report, run_report, suggest_limits, write_report

GOOD = wb.Chain([wb.Prune(n_words=300, n_ngrams=500), wb.SQ()])
WORSE = '[{"step": "Prune", "n_words": 300, "n_ngrams": 300}, {"step": "PQ", "n_subvectors": 2, "n_bits": 4}]'
UNSEEN = [word for word in made_words(900, seed=5) if word not in made_words(700)]


def parameters(path) -> dict:
    """What the parameters cell says."""
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    values: dict = {}
    exec(next(cell.source for cell in book.cells if "parameters" in cell.metadata.get("tags", [])), {}, values)
    return values


@pytest.fixture(scope="module")
def source(fasttext, tmp_path_factory):
    return fasttext.save(tmp_path_factory.mktemp("models") / "it's big.safetensors")


@pytest.fixture(scope="module")
def limits(fasttext):
    return suggest_limits(wb.scorecard(fasttext, GOOD.fit_transform(fasttext), unseen=UNSEEN))


@pytest.fixture(scope="module")
def path(source, limits, tmp_path_factory):
    """A report whose limits are met."""
    model = wb.load(source)
    return write_report(tmp_path_factory.mktemp("reports"), model, GOOD, limits, unseen=UNSEEN, words=model.words[:2])


@pytest.fixture(scope="module")
def met(path) -> tuple[Report, list, int]:
    """It was run in a thread while an event loop ran: the report, what was told, how often the loop went round."""
    told = []

    async def meanwhile() -> tuple[Report, int]:
        with progress.told_to(lambda doing, share: told.append((doing, share))):
            work = asyncio.create_task(asyncio.to_thread(run_report, path))
        rounds = 0
        while not work.done():
            await asyncio.sleep(0.05)
            rounds += 1
        return await work, rounds

    report, rounds = asyncio.run(meanwhile())
    return report, told, rounds


def test_limits_that_are_met_pass_and_the_page_begins_with_them(met, limits, path, fasttext):
    report, _, _ = met
    assert (report.error, report.passed) == (None, True)
    small = wb.load(report.notebook.with_name("small.safetensors"))
    assert small.words == GOOD.fit_transform(fasttext).words
    assert {v.name: v.failed for v in report.verdicts} == dict.fromkeys(limits, False)
    page = report.html.read_text(encoding="utf-8")
    assert f"Limits: all {len(limits)} met" in page
    assert page.index("fidelity.kept") < page.index(f'href="{path.stem}.html">How')
    assert report.html.with_name(f"{path.stem}.html").is_file()
    assert not re.search(r"""(src|href)=["']https?:""", page)


def test_a_report_runs_in_a_thread_and_holds_up_no_event_loop(met):
    _, told, rounds = met
    assert rounds > 20  # a loop that waits for the report goes round once
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert len(set(shares)) > 2
    assert "report: 4. What it saves, and what it costs" in [doing for doing, _ in told]


def test_a_worse_recipe_fails_exactly_the_limits_that_it_breaks(path, limits, tmp_path, capsys):
    where = ["--baselines", str(path.parent / "limits"), "--out", str(tmp_path)]
    assert main(["report", str(path), *where, "-p", "RECIPE", WORSE]) == 1
    broken = set(limits) - {"size.compressed"}
    assert set(re.findall(r"worse: (\S+)", capsys.readouterr().out)) == broken
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert f"Limits: {len(broken)} of {len(limits)} not met" in page


def test_a_run_that_is_stopped_ends_its_processes_and_leaves_the_older_report(met, path):
    folder = met[0].html.parent
    before = {file: file.read_bytes() for file in folder.iterdir()}
    begun = []
    others = psutil.Process().children(recursive=True)  # such as the one that draws maps for other tests

    def listener(doing, share):
        if "2." in doing or share > 0.1:  # the kernel works
            begun.extend(set(psutil.Process().children(recursive=True)) - set(others))
            raise progress.Stopped

    with pytest.raises(progress.Stopped), progress.told_to(listener):
        run_report(path)
    assert len(begun) >= 2
    _, alive = psutil.wait_procs(begun, timeout=10)
    assert alive == []
    assert list(folder.parent.iterdir()) == [folder]
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.slow
def test_a_model_without_ngrams_has_a_report_and_says_which_limit_it_cannot_measure(plain, tmp_path, monkeypatch):
    """Its paths are relative, and it is read in another folder; a cell that fails is in the report, too."""
    monkeypatch.chdir(tmp_path)
    plain.save("plain.safetensors")
    (tmp_path / "text.txt").write_text(" ".join(plain.words[:100]), encoding="utf-8")
    recipe = wb.Chain([wb.Prune(n_words=400, importance="./text.txt", remap="nearest"), wb.SQ()])
    path = write_report("reports", "plain.safetensors", recipe, {"fidelity.kept": 0.9, "fidelity.dropped": 0.5})
    report = run_report(path)
    assert {v.name: v.status for v in report.verdicts} == {
        "fidelity.kept": "better",
        "fidelity.dropped": "not recorded",
    }
    assert (report.error, report.passed) == (None, False)
    assert "not measured" in report.html.read_text(encoding="utf-8")
    book = nbformat.read(path, as_version=4)
    book.cells[3].source = "raise RuntimeError('out of cheese')"
    nbformat.write(book, path)
    report = run_report(path)
    assert "RuntimeError: out of cheese" in report.error
    assert "and an error" in report.html.read_text(encoding="utf-8")


# -- what is written --------------------------------------------------------------------------


def test_a_notebook_has_the_parameters_of_the_template_and_limits_have_no_tolerance(source, tmp_path):
    steps = [wb.Prune(n_words=300, n_ngrams=500), wb.Refit(), wb.Residual(), wb.SVD(8), wb.OPQ(), wb.RQ()]
    path = write_report(tmp_path, source, wb.Chain(steps), dict.fromkeys(LIMITS, 0.5), words=["it's"] * 90)
    values = parameters(path)
    assert set(parameters(TEMPLATE)) == set(values)
    assert (values["LIMITS"], values["WORDS"], values["UNSEEN"]) == (list(LIMITS), ["it's"] * 90, None)
    assert read_baseline(tmp_path / "limits" / f"{path.stem}.json") == {
        name: Metric(name, 0.5, 0, better) for name, better in LIMITS.items()
    }


def test_a_notebook_that_may_have_been_worked_on_is_never_overwritten(source, tmp_path):
    first = write_report(tmp_path, source, GOOD, {"fidelity.kept": 0.9})
    first.write_text("mine")
    second = write_report(tmp_path, source, GOOD, {"fidelity.kept": 0.8})
    assert [first.name, second.name] == ["it-s-big-setting.ipynb", "it-s-big-setting-2.ipynb"]
    assert first.read_text() == "mine"
    assert read_baseline(tmp_path / "limits" / f"{first.stem}.json")["fidelity.kept"].value == 0.9


def test_recipes_survive_and_paths_become_absolute(source, tmp_path, monkeypatch):
    monkeypatch.chdir(source.parent)
    text = source.parent / "a text,\u2028 with 'quotes' and \\.txt"
    text.write_text("слово word")
    recipe = wb.Chain([wb.Prune(n_words=300, importance=text.name), wb.Chain([wb.SQ()])])
    values = parameters(write_report(tmp_path, source.name, recipe, {"fidelity.kept": 0.9}))
    assert values["SOURCE"] == str(source)
    recipe.steps[0].set_params(importance=str(text))
    assert wb.from_json(values["RECIPE"]).to_json() == recipe.to_json()
    assert parameters(write_report(tmp_path, "builtin:en", wb.SQ(), {"fidelity.kept": 0.9}))["SOURCE"] == "builtin:en"


GONE = wb.Prune(9, importance="gone.txt")
KEPT = {"fidelity.kept": 0.9}


@pytest.mark.parametrize(
    ("model", "recipe", "limits", "error"),
    [
        (None, GOOD, {"fidelity.kep": 0.9}, r"only of size\.compressed, .*fidelity\.kept.*; got fidelity\.kep$"),
        (None, GOOD, {"fidelity.kept": math.nan}, "finite"),
        (None, GOOD, {"size.compressed": "20MB"}, "finite number, got '20MB'"),
        (None, GOOD, {}, "at least one limit"),
        (None, GONE, KEPT, "is no file; a report loads"),
        ("gone.bin", GOOD, KEPT, "is no file; a report loads"),
        ("builtin:xx", GOOD, KEPT, "is no file; a report loads"),
        (wb.Vectors.from_arrays(["a"], [[1.0]], None), GOOD, KEPT, "made in memory.*save it"),
    ],
)
def test_what_makes_no_sense_or_cannot_be_loaded_again_is_refused(model, recipe, limits, error, source, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        write_report(tmp_path / "reports", model or source, recipe, limits)
    assert not (tmp_path / "reports").exists()


def test_suggested_limits_are_met_by_what_suggested_them_or_another_sample(fasttext):
    card = quick_card(fasttext, GOOD.fit_transform(fasttext), n_words=100, n_queries=50)
    suggested = suggest_limits(card)
    assert set(suggested) == {
        "size.compressed", "fidelity.kept", "fidelity.dropped", "fidelity.unseen", "overlap@10.all",
    }  # fmt: skip
    for row in card.itertuples():
        limit = suggested.get(key := f"{row.metric}.{row.split}")
        if limit is not None:
            assert (limit > row.value) == (LIMITS[key] == "lower")
    card = pd.DataFrame({"metric": ["overlap@10"], "split": ["all"], "value": [0.65], "low": [0.62]})
    assert suggest_limits(card) == {"overlap@10.all": 0.6}
    assert suggest_limits(card.assign(value=np.nan)) == {}  # not measured yet
