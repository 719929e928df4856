"""The notebooks themselves: their form, that they pass, and that a worse codec does not."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest

from workbench.reports.metrics import compare, read_baseline
from workbench.reports.run import run_notebook
from workbench.reports.setting import TEMPLATE

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.mark.parametrize("path", [*NOTEBOOKS, TEMPLATE], ids=lambda path: path.stem)
def test_notebooks_have_no_outputs_parameters_first_short_cells_and_as_much_prose_as_code(path):
    book = nbformat.read(path, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    prose = [cell.source for cell in book.cells if cell.cell_type == "markdown"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert "parameters" in code[0].metadata.get("tags", [])
    assert book.metadata.kernelspec.language == "python"  # papermill fails without
    assert max(len(cell.source.splitlines()) for cell in code) <= (25 if path.stem == "90_benchmarks" else 15)
    assert sum(map(len, prose)) >= sum(len(cell.source) for cell in code)


@each_notebook
def test_every_tolerance_is_at_least_twice_what_the_processor_alone_moves(path):
    """`benchmarks/spread.py` measures that; a new metric has to be measured, too."""
    values = pd.read_csv(FOLDER.parent / "benchmarks" / "spread.csv", index_col=["notebook", "metric"])
    for name, metric in read_baseline(FOLDER / "baselines" / f"{path.stem}.json").items():
        seen = values.loc[(path.stem, name)].dropna()
        assert len(seen) >= 9, f"{name} is not measured under every setting"
        assert metric.abs >= 2 * (seen.max() - seen.min()), f"{name} moves from {seen.min()} to {seen.max()}"
        assert abs(metric.value - seen.median()) <= metric.abs / 2, f"{name}: its baseline is far from {seen.median()}"


# `make report` runs them all; `make test` runs the quickstart in a browser, and has tests of its own of what they show.
@pytest.mark.slow
@each_notebook
def test_the_notebook_meets_its_baselines_and_stays_small(path, tmp_path):
    run = run_notebook(path, tmp_path)
    assert run.error is None
    verdicts = compare(run.metrics, read_baseline(FOLDER / "baselines" / f"{path.stem}.json"))
    assert len(verdicts) >= 5
    assert [v for v in verdicts if v.failed] == []
    assert (tmp_path / path.name).stat().st_size < 3_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "worse", "fails", "holds"),
    [
        ("00_quickstart", {"N_SUBVECTORS": 12}, "fidelity.kept fidelity.dropped fidelity.unseen overlap@10.all", ""),
        ("03_neighbourhoods", {"N_SUBVECTORS": 12}, "usual.kept_among_10 damage.all", "harmless.kept_among_10"),
        ("04_semantic_ids", {"CODEBOOK_SIZE": 32, "SEEDS": [0]}, "content.overlap retained.3", "upper.log_loss"),
        ("07_network_on_vectors", {"N_SUBVECTORS": 5}, "text.cosine pq.agreement", "tfidf int8.agreement"),
        ("08_small_bert", {"N_SUBVECTORS": 5}, "pq_embeddings.agreement chain.agreement", "int8.agreement"),
        ("10_phrases", {"N_SUBVECTORS": 5}, "compressed.cosine compressed.found student.spearman", "tfidf.stems"),
        ("11_new_words", {"N_SUBVECTORS": 5}, "codes.cosine labels.compressed score.median", "half.cosine"),
        ("12_scale", {"CODEBOOK_SIZE": 64}, "cosine same_article", "same_bytes same_sweep redone"),
    ],
)
def test_a_worse_codec_fails_the_lesson(name, worse, fails, holds, tmp_path):
    run = run_notebook(FOLDER / f"{name}.ipynb", tmp_path, worse)
    failed = {v.name for v in compare(run.metrics, read_baseline(FOLDER / "baselines" / f"{name}.json")) if v.failed}
    assert set(fails.split()) <= failed
    assert not failed & set(holds.split())
