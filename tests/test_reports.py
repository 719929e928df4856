"""Notebooks as regression tests: what is recorded, compared, shown, and when it fails."""

import asyncio
import json
import re
import time

import nbformat
import pandas as pd
import pytest
import zmq.asyncio
from conftest import PATIENCE
from jupyter_client.session import Session

import workbench as wb
from workbench.__main__ import main
from workbench.reports.kernel import Channel
from workbench.reports.metrics import MIME, Metric, compare, read_baseline, write_baseline
from workbench.reports.run import run_all

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
NO_KERNEL = "# a notebook without a kernelspec"


def notebook(path, *cells: str, markdown: str = "# A lesson"):
    """Write a notebook whose first code cell is tagged as its parameters."""
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(markdown), *map(nbformat.v4.new_code_cell, cells)],
        metadata={} if NO_KERNEL in cells else {"kernelspec": KERNEL},
    )
    book.cells[1].metadata["tags"] = ["parameters"]
    older = {MIME: {"name": "older", "value": 1.0, "abs": 0.1, "better": "higher"}}  # which no run may count
    book.cells[-1].outputs = [nbformat.v4.new_output("display_data", older)]
    nbformat.write(book, path)
    return path


RECORDS = """import workbench as wb
wb.record("quality", VALUE, abs=0.01, better="higher")"""


@pytest.fixture
def lesson(tmp_path):
    return notebook(tmp_path / "lesson.ipynb", "VALUE = 0.9", RECORDS)


OLD = Metric("m", 1.0, 0.1, "higher")


@pytest.mark.parametrize(
    ("new", "old", "status", "failed"),
    [
        (Metric("m", 0.9, 0.1, "higher"), OLD, "ok", False),  # just at the tolerance, whatever floating point says
        (Metric("m", 0.9 - 1e-6, 0.1, "higher"), OLD, "worse", True),
        (Metric("m", 1.15, 0.1, "higher"), OLD, "better", False),
        (Metric("m", 1.15, 0.1, "lower"), Metric("m", 1.0, 0.1, "lower"), "worse", True),
        (Metric("m", 0.85, 0.1, "lower"), Metric("m", 1.0, 0.1, "lower"), "better", False),
        (Metric("m", 1.15, 0.1, "equal"), Metric("m", 1.0, 0.1, "equal"), "moved", True),
        (Metric("m", 0.85, 0.1, "equal"), Metric("m", 1.0, 0.1, "equal"), "moved", True),
        (Metric("m", 1.0, 0.0, "higher"), Metric("m", 1.0, 0.0, "higher"), "ok", False),  # a limit
        (Metric("m", 0.99, 0.0, "higher"), Metric("m", 1.0, 0.0, "higher"), "worse", True),
        (Metric("m", 1.0, 0.5, "higher"), OLD, "terms changed", True),  # which could hide a loss
        (Metric("m", 1.0, 0.1, "lower"), OLD, "terms changed", True),
        (OLD, None, "no baseline", True),
        (None, OLD, "not recorded", True),
    ],
)
def test_a_metric_may_stray_by_its_tolerance_and_further_only_the_better_way(new, old, status, failed):
    [verdict] = compare([new] if new else [], {"m": old} if old else {})
    assert (verdict.name, verdict.status, verdict.failed) == ("m", status, failed)


@pytest.mark.parametrize(
    ("value", "abs", "better", "error"),
    [
        (float("nan"), 0.1, "higher", "finite"),
        ("0.5", 0.1, "higher", "finite number, got '0.5'"),
        (1.0, -1, "higher", "tolerance"),
        (1.0, float("inf"), "higher", "tolerance"),
        (1.0, 0.1, "bigger", "higher, lower, equal"),
    ],
)
def test_a_record_that_checks_nothing_is_refused(value, abs, better, error):
    with pytest.raises(ValueError, match=error):
        wb.record("m", value, abs=abs, better=better)


def test_a_scorecard_row_is_found_by_metric_and_split_and_may_be_skipped_where_it_lacks():
    card = pd.DataFrame({"metric": ["overlap@10", "overlap@10"], "split": ["all", "kept"], "value": [0.5, 0.7]})
    wb.record("overlap@10.kept", card, abs=0.1, better="higher")
    wb.record("overlap@10.gone", card, abs=0.1, better="higher", missing="skip")
    with pytest.raises(KeyError, match=r"overlap@10\.all, overlap@10\.kept"):
        wb.record("overlap@10.gone", card, abs=0.1, better="higher")


def report(tmp_path, *arguments: str) -> int:
    folders = ["--out", str(tmp_path / "out"), "--baselines", str(tmp_path / "baselines")]
    return main(["report", str(tmp_path / "lesson.ipynb"), *folders, *arguments])


def test_the_command_passes_fails_and_updates(lesson, tmp_path, capsys):
    assert report(tmp_path) == 1  # nothing to compare with yet
    assert "no baseline: quality" in capsys.readouterr().out
    assert report(tmp_path, "--update-baselines") == 0
    assert "quality: none -> 0.9 (within 0.01, higher)" in capsys.readouterr().out
    assert json.loads((tmp_path / "baselines" / "lesson.json").read_text()) == {
        "quality": {"value": 0.9, "abs": 0.01, "better": "higher"}
    }
    assert report(tmp_path, "-p", "VALUE", "0.8") == 1
    assert "worse: quality = 0.8, baseline 0.9" in capsys.readouterr().out
    index = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    for shown in ("A lesson", 'href="lesson.html"', 'href="lesson.ipynb"', "0.8", "0.9", "0.01", "higher", "worse"):
        assert shown in index
    assert report(tmp_path, "-p", "VALUE", "0.8", "--no-baselines") == 0
    assert read_baseline(tmp_path / "baselines" / "lesson.json") == {"quality": Metric("quality", 0.9, 0.01, "higher")}


def test_parameters_keep_the_types_that_the_notebook_gives_them(tmp_path):
    notebook(
        tmp_path / "lesson.ipynb",
        "PATH = 'a.bin'\nN, SHARE = 4_000, 0.5\nWORDS = ['a']\nANY = None",
        "assert (PATH, N, SHARE, WORDS, ANY) == ('2024', 3000, 1, ['b'], 'x')\nassert type(N) is int",
    )
    given = {"PATH": "2024", "N": "3e3", "SHARE": "1", "WORDS": "['b']", "ANY": "x"}
    options = [text for name, value in given.items() for text in ("-p", name, value)]
    assert report(tmp_path, "--no-baselines", *options) == 0


@pytest.mark.parametrize(
    ("default", "name", "text"),
    [("4_000", "N", "many"), ("4_000", "N", "2.5"), ("['a']", "N", "b"), ("True", "N", "1"), ("1", "M", "1")],
)
def test_a_parameter_of_another_type_or_name_is_refused_before_any_work(default, name, text, tmp_path, capsys):
    notebook(tmp_path / "lesson.ipynb", f"N = {default}", "")
    assert report(tmp_path, "-p", name, text) == 2
    assert re.search("parameter N is of type|no parameter named M; it has N", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_a_failing_notebook_keeps_its_baseline(tmp_path, capsys):
    notebook(tmp_path / "lesson.ipynb", "VALUE = 0.9", "raise RuntimeError('out of <cheese>')")
    baseline = {"quality": Metric("quality", 0.9, 0.01, "higher")}
    write_baseline(tmp_path / "baselines" / "lesson.json", list(baseline.values()))
    assert report(tmp_path, "--update-baselines") == 1
    assert "RuntimeError: out of <cheese>" in capsys.readouterr().out
    assert "RuntimeError: out of &lt;cheese&gt;" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert read_baseline(tmp_path / "baselines" / "lesson.json") == baseline


def test_what_goes_wrong_in_one_notebook_does_not_stop_the_others(tmp_path):
    """Pages, of which one has a figure, ask the network for nothing."""
    cells = {
        "first": ["VALUE = 0.9", RECORDS],
        "twice": ["VALUE = 1", RECORDS, RECORDS],
        "dead": ["VALUE = 1", "import os; os._exit(1)"],
        "homeless": ["VALUE = 1", NO_KERNEL],
        "silent": ["VALUE = 1"],
        "last": ["VALUE = 0.9", "from matplotlib import pyplot as plt\nplt.plot([1, 2])", RECORDS],
    }
    paths = [notebook(tmp_path / f"{name}.ipynb", *code) for name, code in cells.items()]
    for name in ("first", "last"):
        write_baseline(tmp_path / "b" / f"{name}.json", [Metric("quality", 0.9, 0.01, "higher")])
    runs, index = {}, tmp_path / "out" / "index.html"
    for run in run_all(paths, tmp_path / "out", tmp_path / "b", jobs=2):
        runs[run.name], page = run, index.read_text(encoding="utf-8")
        assert len(re.findall(r"<li>A lesson</li>", page)) == len(paths) - len(runs)  # still to come
        assert ("refresh" in page) == (len(runs) < len(paths))
        assert f'href="{run.name}.html"' in page
    assert set(runs) == set(cells)
    assert {name: run.status for name, run in runs.items() if not run.error} == {"first": "passed", "last": "passed"}
    assert "records 'quality' twice" in runs["twice"].error
    assert "DeadKernelError" in runs["dead"].error
    assert runs["dead"].metrics == []
    assert "No kernel name found" in runs["homeless"].error
    assert "records no metric" in runs["silent"].error
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "out").glob("*.html")}
    assert set(pages) == {*cells, "index"}
    assert "4 of 6 failed" in pages["index"]
    assert "data:image/png;base64," in pages["last"]
    for page in pages.values():
        assert not re.search(r"""(src|href)=["']https?:""", page)
        assert not re.search(r"""(@import|import\s*\(?|from|url\()\s*["']?https?:""", page)
        assert not re.search(r"""<(script|link)[^>]+(src|href)=["']//""", page)


def test_a_reply_that_comes_while_an_output_widget_is_told_what_it_holds_ends_the_cell():
    """Else notebooks with `interact` hang now and then: https://github.com/jupyter/nbclient/issues/312"""

    async def reply() -> dict:
        with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as client, zmq.Context() as other:
            client.linger = 0
            kernel, session = other.socket(zmq.DEALER), Session(key=b"")
            client.connect(f"tcp://127.0.0.1:{kernel.bind_to_random_port('tcp://127.0.0.1')}")
            channel = Channel(client, session)
            channel.send(session.msg("execute_request"))
            kernel.recv_multipart()
            waiting = asyncio.ensure_future(channel.get_msg())
            await asyncio.sleep(0.1)
            session.send(kernel, "execute_reply")
            time.sleep(0.1)  # it is here, and the event loop had no time to look
            channel.send(session.msg("comm_msg"))
            kernel.close(0)
            return await asyncio.wait_for(waiting, PATIENCE)

    assert asyncio.run(reply())["msg_type"] == "execute_reply"
