"""Who hears of progress, and that hearing can stop the work."""

import os
import re
from contextlib import suppress
from textwrap import dedent

import nbformat
import pytest
from nbclient import NotebookClient
from tqdm import tqdm
from tqdm.notebook import tqdm_notebook

import workbench as wb
from workbench import progress
from workbench.compress.builder import Builder


def test_a_listener_hears_every_step_in_place_of_a_bar(fasttext, capfd):
    heard = []
    with progress.told_to(lambda what, share: heard.append((what, share))):
        wb.Chain([wb.Prune(300, 300), wb.Refit(n_unseen=100), wb.PQ(6, n_bits=4)]).fit_transform(fasttext)
    assert heard[0][0] == "Prune"
    assert {"Prune", "Refit n-grams", "PQ"} <= {what for what, _ in heard}
    assert all(0 <= share <= 1 for _, share in heard)
    assert capfd.readouterr().err == ""


@pytest.fixture
def fitted(monkeypatch) -> list:
    """The steps that are fitted, in order."""
    steps, fit = [], wb.Prune.fit_transform
    monkeypatch.setattr(wb.Prune, "fit_transform", lambda self, *args: steps.append(self) or fit(self, *args))
    return steps


def test_a_builder_gives_the_bytes_of_the_chain_and_does_shared_steps_once(fasttext, tmp_path, fitted):
    builder = Builder(fasttext.adjusted())
    recipes = [wb.Chain([wb.Prune(300, 300), wb.Refit(n_unseen=100), wb.PQ(parts, n_bits=4)]) for parts in (6, 4, 6)]
    built = [builder.build(recipe) for recipe in recipes]
    assert len(fitted) == 1
    assert not hasattr(recipes[0].steps[0], "words_")
    for v, recipe in zip(built, recipes, strict=True):
        files = [w.save(tmp_path / "v.safetensors").read_bytes() for w in (v, recipe.fit_transform(fasttext))]
        assert files[0] == files[1]


def test_a_builder_forgets_what_was_not_used_for_long(fasttext, fitted):
    builder = Builder(fasttext, n_kept=2)
    for n in (300, 310, 320, 310, 300):
        builder.build(wb.Chain([wb.Prune(n, 300), wb.SQ()]))
    assert [step.n_words for step in fitted] == [300, 310, 320, 300]


def test_bars_can_be_switched_off_in_notebooks_too(monkeypatch):
    monkeypatch.setattr("tqdm.auto.tqdm", tqdm_notebook)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert progress.bar(range(3)).disable


def work(*, delay: float) -> None:
    for _ in progress.bar(range(5_000), desc="counting", delay=delay):
        pass
    with progress.bar(["first", "second"], delay=delay) as bar:
        for name in bar:
            bar.set_description(name)
            for _ in progress.bar(range(1_000), desc="a detail", leave=False):
                pass
    with suppress(KeyError), progress.bar(total=3, desc="broken", delay=delay) as bar:
        bar.update()
        raise KeyError


def test_a_log_file_gets_a_line_at_the_start_and_the_end_of_each_long_step(capsys):
    work(delay=0)
    lines = ["counting ...", "counting: 0 s (5,000 of 5,000)", "first ...", "first: 0 s (1 of 2)"]
    lines += ["second ...", "second: 0 s (2 of 2)", "broken ...", "broken: 0 s (1 of 3)"]
    assert re.sub(r"\d+ s ", "0 s ", capsys.readouterr().err).splitlines() == lines  # however slow the machine is
    work(delay=60)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_bars_and_a_program_without_standard_error_nothing(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert isinstance(progress.bar(range(3)), tqdm)
    monkeypatch.setattr("sys.stderr", None)
    work(delay=0)
    assert capsys.readouterr().out == ""


def test_a_bar_in_a_notebook_leaves_text_and_no_widget():
    code = """
        import warnings
        import ipywidgets
        from workbench import progress
        for _ in progress.bar(range(3), desc="whole"): pass
        for _ in progress.bar(range(3), desc="gone", leave=False): pass
        for _ in progress.bar(range(3), desc="never seen", delay=60): pass
        with progress.bar(total=3, desc="broken", leave=False) as bar: bar.update()
        warnings.simplefilter("ignore")  # which says that the next name will go
        widgets = ipywidgets.Widget.widgets.values()
        print("alive", [widget for widget in widgets if isinstance(widget, ipywidgets.DOMWidget)])
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(dedent(code))])
    NotebookClient(notebook).execute(env=os.environ | {"TQDM_DISABLE": "0"})
    outputs = notebook.cells[0].outputs
    shown = [output["data"] for output in outputs if output["output_type"] == "display_data"]
    assert [set(data) for data in shown] == [{"text/plain"}] * 3
    whole, gone, broken = (data["text/plain"] for data in shown)
    assert re.match(r"whole: 100%.* 3/3 ", whole)
    assert gone == ""
    assert re.match(r"broken: +33%.* 1/3 ", broken)
    assert outputs[-1]["text"] == "alive []\n"
