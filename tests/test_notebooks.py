"""The notebooks themselves: their form, that they pass, and that a worse codec does not."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest

from workbench.reports.metrics import compare, read_baseline
from workbench.reports.run import run_notebook

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_notebooks_are_stored_without_outputs_and_with_a_parameters_cell_first(path):
    book = nbformat.read(path, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert "parameters" in code[0].metadata.get("tags", [])
    assert book.metadata.kernelspec.language == "python"  # papermill fails without


def test_cells_are_short_and_prose_is_as_long_as_code(path):
    book = nbformat.read(path, as_version=4)
    code = [cell.source for cell in book.cells if cell.cell_type == "code"]
    prose = [cell.source for cell in book.cells if cell.cell_type == "markdown"]
    assert max(len(source.splitlines()) for source in code) <= (25 if path.stem == "90_benchmarks" else 15)
    assert sum(map(len, prose)) >= sum(map(len, code))


def test_every_tolerance_is_at_least_twice_what_the_processor_alone_moves(path):
    """`benchmarks/spread.py` measures that; a new metric has to be measured, too."""
    values = pd.read_csv(FOLDER.parent / "benchmarks" / "spread.csv", index_col=["notebook", "metric"])
    assert values.shape[1] >= 9
    for name, metric in read_baseline(FOLDER / "baselines" / f"{path.stem}.json").items():
        seen = values.loc[(path.stem, name)].dropna()
        assert len(seen) >= 9, f"{name} is not measured under every setting"
        assert metric.abs >= 2 * (seen.max() - seen.min()), f"{name} moves from {seen.min()} to {seen.max()}"
        assert abs(metric.value - seen.median()) <= metric.abs / 2, f"{name}: its baseline is far from {seen.median()}"


# `make report` runs them all; `make test` runs the quickstart in a browser, and has tests of its own of what they show.
@pytest.mark.slow
def test_the_notebook_meets_its_baselines_and_stays_small(path, tmp_path):
    run = run_notebook(path, tmp_path)
    assert run.error is None
    verdicts = compare(run.metrics, read_baseline(FOLDER / "baselines" / f"{path.stem}.json"))
    assert len(verdicts) >= 5
    assert [v for v in verdicts if v.failed] == []
    assert (tmp_path / path.name).stat().st_size < 3_000_000


@pytest.mark.slow
def test_a_quarter_of_the_subvectors_fails_the_quickstart(tmp_path):
    run = run_notebook(FOLDER / "00_quickstart.ipynb", tmp_path, {"N_SUBVECTORS": 12})
    verdicts = compare(run.metrics, read_baseline(FOLDER / "baselines" / "00_quickstart.json"))
    failed = {v.name for v in verdicts if v.failed}
    assert {"fidelity.kept", "fidelity.dropped", "fidelity.unseen", "overlap@10.all"} <= failed


@pytest.mark.slow
def test_a_quarter_of_the_subvectors_fails_the_lesson_on_neighbourhoods(tmp_path):
    run = run_notebook(FOLDER / "03_neighbourhoods.ipynb", tmp_path, {"N_SUBVECTORS": 12})
    verdicts = compare(run.metrics, read_baseline(FOLDER / "baselines" / "03_neighbourhoods.json"))
    failed = {v.name for v in verdicts if v.failed}
    assert {"usual.kept_among_10", "usual.nearest_kept", "map.lost_by_usual", "damage.all"} <= failed
    assert "harmless.kept_among_10" not in failed


@pytest.mark.slow
def test_an_eighth_of_the_codes_fails_the_lesson_on_semantic_ids(tmp_path):
    run = run_notebook(FOLDER / "04_semantic_ids.ipynb", tmp_path, {"CODEBOOK_SIZE": 32, "SEEDS": [0]})
    verdicts = compare(run.metrics, read_baseline(FOLDER / "baselines" / "04_semantic_ids.json"))
    failed = {v.name for v in verdicts if v.failed}
    assert {"content.overlap", "content.collisions", "retained.1", "retained.3"} <= failed
    assert "upper.log_loss" not in failed
