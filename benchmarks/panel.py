"""How long a person waits: from a slider's release to refreshed numbers, in a real browser.

    python benchmarks/panel.py [--model PATH] [--changes N]

Opens a model in the panel in JupyterLab and moves a slider by one place, again and again,
each time as soon as the numbers are refreshed; UMAP maps that were begun meanwhile are stopped.
The clock runs in the browser, from the slider's release until the new table stands there. Each
value is new, so that no earlier result is shown again.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

import nbformat
from common import MODEL, run_script

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import browser

CODE = "import workbench as wb\nwb.views.CompressionPanel({model!r}, n_words=10_000, n_ngrams=20_000, n_subvectors=50)"
SLIDERS = {  # where each stands usually, and where it begins its way down
    "Subvectors": (50, 100), "N-grams kept": (20_000, 60_000), "Words kept": (10_000, 30_000),
}  # fmt: skip
CHANGE = """([slider, step]) => new Promise(done => {
    const numbers = document.querySelector('.wb-numbers'), old = numbers.innerText;
    const handle = document.querySelector(`.wb-slider-${slider} input`);
    const start = performance.now();
    handle.value = Number(handle.value) + step;
    handle.dispatchEvent(new Event('change'));
    const look = () => numbers.innerText != old && !numbers.classList.contains('wb-stale')
        ? done((performance.now() - start) / 1000) : requestAnimationFrame(look);
    look();
})"""


def settle(notebook: browser.Notebook, label: str, value: int) -> None:
    """Type a value and wait for its numbers."""
    notebook.fill(label, str(value))
    notebook.page.wait_for_timeout(500)  # by then it says that it is not up to date
    browser.expect(notebook.find(".wb-status")).to_contain_text("up to date")


def tables(model: Path | None, changes: int) -> None:
    executable = browser.chromium()
    if executable is None or model is None or not model.is_file():
        print(f"\nThe panel is not measured: it takes Chromium ({executable}) and a model ({model}).")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cell = nbformat.v4.new_code_cell(CODE.format(model=str(model.resolve())))
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), folder / "panel.ipynb")
        with browser.jupyterlab(folder) as address, browser.started(executable) as chromium:
            notebook = browser.Notebook(chromium.new_page(), f"{address}/lab/tree/panel.ipynb?reset")
            notebook.run_all()
            notebook.find(".wb-numbers td")
            print(f"\n## The panel on {model.name}: from release to refreshed numbers\n")
            print("| slider | median s | least s | worst s | changes |\n|---|--:|--:|--:|--:|")
            for label, (usual, first) in SLIDERS.items():
                settle(notebook, label, first)
                slider = label.lower().replace(" ", "-")
                places = int(notebook.find(f".wb-slider-{slider} input").input_value())
                times = [notebook.page.evaluate(CHANGE, [slider, -1]) for _ in range(min(changes, places))]
                last = notebook.page.get_by_label(label, exact=True).input_value()
                settle(notebook, label, usual)
                numbers = " | ".join(f"{time:.2f}" for time in (median(times), min(times), max(times)))
                print(f"| {label}, {first:,} to {int(last):,} | {numbers} | {len(times)} |")


if __name__ == "__main__":
    changes = {"type": int, "default": 20, "help": "of each slider (default 20)"}
    run_script(tables, options={"--model": MODEL, "--changes": changes})
