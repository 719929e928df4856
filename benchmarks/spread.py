"""Measure how far each recorded metric moves when only the processor changes.

One machine can stand for several: libraries choose other loops where an environment variable says so, and these sum in
another order. The notebooks run under each setting, and each metric's values go into a column of ``spread.csv``. A
tolerance must be at least twice the distance from the lowest to the highest value (a test holds that), or a newcomer's
first report fails for no fault of theirs.

    python benchmarks/spread.py                                 # all settings, all notebooks: some 20 minutes
    python benchmarks/spread.py --notebooks notebooks/05*.ipynb --settings "torch, AVX2"
    python benchmarks/spread.py --table                         # only print what the file says

Columns of other machines stay in the file. Delete it where a notebook measures something else than before.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pandas as pd

from workbench.reports.metrics import read_baseline, recorded

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_suffix(".csv")
NUMPY = "NPY_DISABLE_CPU_FEATURES"
SETTINGS = {
    "as it is": {},
    "torch, SSE": {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "torch, AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "torch, AVX-512": {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "OpenBLAS and numpy, Haswell": {"OPENBLAS_CORETYPE": "Haswell", NUMPY: "X86_V4 AVX512_ICL AVX512_SPR"},
    "OpenBLAS, Zen": {"OPENBLAS_CORETYPE": "Zen"},
    "OpenBLAS, SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "numba, generic": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
    "one notebook at a time": {"JOBS": "1"},
}


def processor() -> str:
    """The name of this processor, as Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown processor")


def measured(notebooks: list[Path], setting: dict[str, str]) -> dict[tuple[str, str], float]:
    """Run notebooks with their own built-in model in this setting; each metric's value."""
    with tempfile.TemporaryDirectory() as folder:
        values = {"JOBS": "2", "WORKBENCH_CACHE": f"{folder}/cache", **setting}
        command = [sys.executable, "-m", "workbench", "report", *map(str, notebooks), "--no-baselines"]
        command += ["--out", folder, "--jobs", values.pop("JOBS")]
        subprocess.run(command, env={**os.environ, **values}, cwd=ROOT, check=True)
        executed = {path.stem: nbformat.read(Path(folder, path.name), as_version=4) for path in notebooks}
    return {(name, m.name): m.value for name, book in executed.items() for m in recorded(book)}


def spreads(values: pd.DataFrame) -> pd.DataFrame:
    """Each metric's lowest and highest value, their distance, the setting that is farthest off, and the tolerance."""
    table = pd.DataFrame({"lowest": values.min(axis=1), "highest": values.max(axis=1)})
    table["spread"] = table["highest"] - table["lowest"]
    farthest = values.sub(values.median(axis=1), axis=0).abs().idxmax(axis=1)
    table["farthest off"] = farthest.where(table["spread"] > 0, "")
    for notebook, name in table.index:
        baseline = read_baseline(ROOT / "notebooks" / "baselines" / f"{notebook}.json")
        if name in baseline:
            table.loc[(notebook, name), ["baseline", "tolerance"]] = baseline[name].value, baseline[name].abs
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--notebooks", nargs="*", type=Path, default=sorted((ROOT / "notebooks").glob("*.ipynb")))
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=list(SETTINGS), metavar="NAME")
    parser.add_argument("--table", action="store_true", help="run nothing")
    args = parser.parse_args()
    index = ["notebook", "metric"]
    values = pd.read_csv(FILE, index_col=index) if FILE.exists() else pd.DataFrame()
    for name in [] if args.table else args.settings:
        column = pd.Series(measured(args.notebooks, SETTINGS[name]), name=f"{processor()}: {name}").rename_axis(index)
        if len(values):
            is_gone = values.index.isin(list({n for n, _ in column.index}), level=0) & ~values.index.isin(column.index)
            values = column.to_frame().combine_first(values[~is_gone])  # without what is no longer recorded
        else:
            values = column.to_frame()
        values.to_csv(FILE, float_format="%.9g")  # after each, so that an interrupted run keeps what it has
    print(spreads(values).to_string(float_format="%.6g"))


if __name__ == "__main__":
    main()
