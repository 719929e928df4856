"""How long a person waits: from a slider's release to refreshed numbers, in a real browser.

    python tests/benchmark_panel.py [--model PATH] [--changes N]

Opens a model in the panel in JupyterLab and presses an arrow key on a slider, again and again,
each time as soon as the numbers are refreshed; UMAP maps that were begun meanwhile are stopped.
The clock runs in the browser, from the key press until the new table stands there.
"""

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median

import browser
import nbformat

CODE = "import workbench as wb\nwb.views.CompressionPanel({model!r}, n_words=10_000, n_ngrams=20_000, n_subvectors=50)"
CHANGE = """([slider, key]) => new Promise(done => {
    const numbers = document.querySelector('.wb-numbers'), old = numbers.innerText;
    const handle = document.querySelector(`.wb-slider-${slider} .noUi-handle`);
    const start = performance.now();
    handle.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
    const look = () => numbers.innerText != old && !numbers.classList.contains('wb-stale')
        ? done((performance.now() - start) / 1000) : requestAnimationFrame(look);
    look();
})"""


def main() -> None:
    data = os.environ.get("WORKBENCH_TEST_DATA") or ""
    parser = argparse.ArgumentParser(description="Measure how long the panel takes to show new numbers.")
    parser.add_argument("--model", type=Path, default=Path(data, "models/ru_ruslit_sg_100d.bin"))
    parser.add_argument("--changes", type=int, default=20, help="of each slider (default 20)")
    args = parser.parse_args()
    executable = browser.chromium()
    if executable is None or not args.model.is_file():
        print(f"\nThe panel is not measured: it takes Chromium ({executable}) and a model ({args.model}).")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cell = nbformat.v4.new_code_cell(CODE.format(model=str(args.model.resolve())))
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), folder / "panel.ipynb")
        with browser.jupyterlab(folder) as address, browser.started(executable) as chromium:
            notebook = browser.Notebook(chromium.new_page(), f"{address}/lab/tree/panel.ipynb?reset")
            notebook.run_all()
            notebook.find(".wb-numbers td")
            print(f"\n## The panel on {args.model.name}: from release to refreshed numbers\n")
            print("| slider | median s | least s | worst s | changes |\n|---|--:|--:|--:|--:|")
            for slider in ("subvectors", "n-grams-kept", "words-kept"):
                keys = ("ArrowLeft", "ArrowRight")  # there and back, so that every value is near the first
                times = [notebook.page.evaluate(CHANGE, [slider, keys[turn % 4 // 2]]) for turn in range(args.changes)]
                print(f"| {slider} | {median(times):.2f} | {min(times):.2f} | {max(times):.2f} | {len(times)} |")


if __name__ == "__main__":
    main()
