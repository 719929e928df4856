"""How long a person waits: from a slider's release to refreshed numbers, in a real browser.

    python benchmarks/panel.py [--model PATH] [--changes N]

Opens a model in the panel in JupyterLab and moves a slider, again and again, each time as soon as the numbers are
fresh; UMAP maps that were begun meanwhile are stopped. The clock runs in the browser, from the slider's release
until the new cards stand there. Each value is new, so that no earlier result is shown again.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from common import MODEL, run_script

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import browser

SETUP = (
    "import workbench as wb\nwb.views.CompressionPanel('builtin:en', interactive=True).wait().close()\nprint('warm')"
)
BUILTIN = "wb.views.CompressionPanel('builtin:en')"
CODE = "import workbench as wb\nwb.views.CompressionPanel({model!r}, n_words=10_000, n_ngrams=20_000, n_subvectors=50)"
SLIDERS = {  # where each begins its way down
    "Subvectors": 100, "N-grams kept": 60_000, "Words kept": 30_000, "Bits a code": 8,
}  # fmt: skip
FRESH = "() => document.querySelector('.wb .cards .tile') && !document.querySelector('.wb .cards.stale')"
# Released at the next place; the clock stops when fresh numbers are drawn.
CHANGE = """([label, share]) => new Promise(done => {
    const slider = document.querySelector(`.wb input[type=range][aria-label="${label}"]`);
    const start = performance.now();
    let seen = false;
    const here = Number(slider.value);
    slider.value = Math.max(slider.min, Math.min(here - 1, Math.round(here - share * slider.max)));
    for (const name of ['input', 'change']) slider.dispatchEvent(new Event(name, { bubbles: true }));
    const look = () => {
        const fresh = !document.querySelector('.wb .cards.stale');
        seen ||= !fresh;
        if (seen && fresh) return done((performance.now() - start) / 1000);
        if (!seen && performance.now() - start > 5000) return done(null);  // it stood at its end
        requestAnimationFrame(look);
    };
    look();
})"""


def first_sight(address: str, page: browser.Page) -> None:
    """From running the cell to cards with numbers, in a warm kernel, and the bytes that the browser got by then."""
    received = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    notebook = browser.Notebook(page, f"{address}/lab/tree/builtin.ipynb?reset")
    notebook.command("notebook:run-cell-and-select-next")
    page.wait_for_function("() => document.querySelector('.jp-OutputArea-output')?.innerText.includes('warm')")
    received.clear()
    start = perf_counter()
    notebook.command("notebook:run-cell")
    page.wait_for_function(FRESH)
    print(f"\nBuilt-in model, warm kernel: cards with numbers after {perf_counter() - start:.2f} s, ", end="")
    page.wait_for_timeout(15_000)
    print(f"{sum(received) / 1e6:.2f} MB received with the maps")


def tables(model: Path | None, changes: int) -> None:
    executable = browser.chromium()
    if executable is None or model is None or not model.is_file():
        print(f"\nThe panel is not measured: it takes Chromium ({executable}) and a model ({model}).")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        browser.written([SETUP, BUILTIN], folder / "builtin.ipynb")
        browser.written([CODE.format(model=str(model.resolve()))], folder / "panel.ipynb")
        with browser.jupyterlab(folder) as address, browser.started(executable) as chromium:
            first_sight(address, chromium.new_page())
            page = chromium.new_page(viewport={"width": 1600, "height": 1000})
            notebook = browser.Notebook(page, f"{address}/lab/tree/panel.ipynb?reset")
            notebook.command("application:toggle-left-area")  # in a narrow view the recipe is in a drawer
            notebook.run_all()
            page.wait_for_function(FRESH)
            print(f"\n## The panel on {model.name}: from release to fresh numbers\n")
            print("| slider | median s | least s | worst s | changes |\n|---|--:|--:|--:|--:|")
            for label, first in SLIDERS.items():
                box = page.get_by_label(f"{label}, typed", exact=True)
                box.fill(str(first))
                box.press("Enter")
                page.wait_for_timeout(2_000)
                page.wait_for_function(FRESH)
                times = list(filter(None, [page.evaluate(CHANGE, [label, 0.6 / changes]) for _ in range(changes)]))
                numbers = " | ".join(f"{time:.2f}" for time in (median(times), min(times), max(times)))
                print(f"| {label}, from {first:,} | {numbers} | {len(times)} |")


if __name__ == "__main__":
    changes = {"type": int, "default": 20, "help": "of each slider (default 20)"}
    run_script(tables, options={"--model": MODEL, "--changes": changes})
