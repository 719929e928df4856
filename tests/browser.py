"""A person at a browser, for tests: JupyterLab on a free port, and what one does with a notebook in it.

A test of a new view takes the fixture `browser`, opens a notebook, runs it, and looks.
"""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from workbench.cli.notebooks import lab_command
from workbench.views.widget import SCRIPTS, STATIC

PICTURES = Path(__file__).parents[1] / "reports" / "browser"  # screenshots of tests that failed
PATIENCE = 90_000  # milliseconds for a kernel to start or numbers to come
expect.set_options(timeout=PATIENCE)
VIEW = ".jp-OutputArea .wb"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str | None:
    """The Chromium of this system: named by WORKBENCH_CHROMIUM, or on the path."""
    named = os.environ.get("WORKBENCH_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


def written(cells: Sequence[str], path: Path) -> Path:
    """A notebook of these cells."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    code = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=code, metadata=kernel), path)
    return path


class Notebook:
    """A notebook that is open in JupyterLab."""

    def __init__(self, page: Page, url: str):
        self.page = page
        self.errors: list[str] = []  # of the page
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.page.set_default_timeout(PATIENCE)
        self.page.goto(url)
        self.page.wait_for_selector(".jp-Notebook-cell")
        kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
        self.page.wait_for_function(f"() => {{ try {{ return {kernel}.status == 'idle' }} catch {{ return false }} }}")

    def command(self, name: str) -> None:
        """Have a command of JupyterLab executed, without waiting for its end."""
        self.page.evaluate("name => { window.jupyterapp.commands.execute(name) }", name)

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def save(self) -> None:
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def reload(self) -> None:
        """Save, load the page anew, and wait until the notebook is there again."""
        self.save()
        self.page.reload()
        self.page.wait_for_selector(".jp-Notebook-cell")

    def shut_down(self) -> None:
        """Save, end the kernel, and load the page anew: what is there then needs none."""
        self.save()
        self.command("notebook:shutdown-kernel")
        expect(self.page.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute("data-status", "unknown")
        self.reload()

    def resize(self, width: int = 1280, height: int = 2_000, theme: str = "Light") -> None:
        """Give the window another size, and JupyterLab another theme."""
        self.page.set_viewport_size({"width": width, "height": height})
        change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
        self.page.evaluate(change, f"JupyterLab {theme}")

    def settle(self) -> None:
        """Wait until a live view stands there whose kernel has heard everything and is done, and all is painted."""
        ready = "() => document.querySelector('.jp-OutputArea .wb')?.view.isSettled"
        self.page.wait_for_function(ready, timeout=3 * PATIENCE)
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")

    def state(self, name: str) -> Any:
        """Return a trait of the view, as the page has it."""
        return self.page.locator(VIEW).first.evaluate("(el, name) => el.view.get(name)", name)

    def picture(self) -> dict[str, Any]:
        """Return what is to be seen of the view: texts, values of controls, pixels of maps."""
        return self.page.locator(VIEW).first.evaluate(
            """(view) => ({
              text: view.innerText,
              values: [...view.querySelectorAll("input, select")].map((box) => `${box.value} ${box.checked}`),
              maps: [...view.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL()),
              ink: [...view.querySelectorAll("canvas")].map((canvas) => {  // pixels that are not background
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                const pixels = new Uint32Array(data.buffer);
                return pixels.filter((pixel) => pixel !== pixels[0]).length;
              }),
            })"""
        )

    def press(self, name: str, role: str = "button") -> None:
        """Press the button with this name."""
        self.page.locator(VIEW).get_by_role(role, name=name, exact=True).click()

    def act(self, action: str, arguments: dict[str, Any]) -> None:
        """Have the page ask Python for something."""
        ask = "(el, [action, arguments]) => el.view.act(action, arguments)"
        self.page.locator(VIEW).first.evaluate(ask, [action, arguments])

    def drag(self, *places: tuple[float, float]) -> None:
        """Draw a line through places of the window with the mouse's button down."""
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=8)
        self.page.mouse.up()

    def close(self) -> None:
        """End the kernel and close the page."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:shutdown-kernel')")
        self.page.close()


def violations(page: Page, selector: str) -> list[str]:
    """What axe-core finds serious or critical in a part of the page, and what sticks out of it."""
    box = page.locator(selector).first
    if not box.evaluate("box => box.scrollWidth <= box.clientWidth + 1"):
        return [f"{selector}: something sticks out"]
    found = Axe().run(page, context=selector, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
        if node["impact"] in ("serious", "critical")
    ]


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """JupyterLab on the notebooks in `folder`, as `workbench lab` starts it; gives its address.

    Settings, workspaces and run files are in `folder` too, so that a person's own stay untouched.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command, environment = lab_command(
        folder,
        ["--no-browser", "--allow-root", "--expose-app-in-browser", "--IdentityProvider.token=", "--ip=127.0.0.1",
         f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.disable_check_xsrf=True"],
    )  # fmt: skip
    names = ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "JUPYTER_RUNTIME_DIR")
    environment |= {name: str(folder / ".lab" / name) for name in names}
    address = f"http://127.0.0.1:{port}"
    (folder / ".lab").mkdir()
    with open(folder / ".lab" / "log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(server, address, folder / ".lab" / "log")
        yield address
    finally:
        for name in (signal.SIGTERM, signal.SIGKILL):  # the kernels go with the server
            os.killpg(server.pid, name)
            try:
                server.wait(10)
                break
            except subprocess.TimeoutExpired:
                continue


def _wait_for(server: subprocess.Popen, address: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/api/status", timeout=5) as answer:
                json.load(answer)
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def started(executable: str) -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


# -- the front end without JupyterLab ---------------------------------------------------------


MODEL = """
const decoded = (x) => x?.$bytes !== undefined
  ? new DataView(Uint8Array.from(atob(x.$bytes), (c) => c.charCodeAt(0)).buffer)
  : Array.isArray(x) ? x.map(decoded)
  : x && typeof x === "object" ? Object.fromEntries(Object.entries(x).map(([k, v]) => [k, decoded(v)])) : x;
const [state, on] = [{}, {}];
const calls = (name) => (on[name] ??= []);
window.sent = [];
window.model = {
  get: (name) => state[name],
  set: (name, value) => {
    Object.assign(state, decoded(typeof name === "object" ? name : { [name]: value }));
    calls("change").forEach((call) => call());
  },
  save_changes: () => {}, send: (message) => window.sent.push(message),
  on: (name, call) => calls(name).push(call),
  off: (name, call) => { on[name] = calls(name).filter((f) => f !== call); },
};
window.front = { render, h, component, patch, DRAWINGS };
"""


def _encoded(value: Any) -> Any:
    """A part of a state as JSON, bytes as texts that `MODEL` turns back."""
    if isinstance(value, bytes | memoryview):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: _encoded(part) for key, part in value.items()}
    return [_encoded(part) for part in value] if isinstance(value, list | tuple) else value


@contextmanager
def drawn(
    browser: Browser, state: dict[str, Any], width: int = 1200, height: int = 800, dark: bool = False, before: str = ""
):
    """Draw the state of a view, such as ``view.get_state()``; gives the page, in which `model` stands for the kernel.

    `before` is JavaScript that runs before it is drawn. An error in the page is one here, in the end.
    """
    code = "\n".join((STATIC / name).read_text() for name in SCRIPTS).replace("export default { render };", MODEL)
    css = "\n".join(path.read_text() for path in sorted(STATIC.glob("*.css")))
    page = browser.new_page(viewport={"width": width, "height": height})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    theme = f"data-jp-theme-light={str(not dark).lower()}"
    page.set_content(f"<!doctype html><style>body {{margin: 0}} {css}</style><body {theme}><div id=el></div>")
    page.add_script_tag(content=code, type="module")
    page.wait_for_function("window.front")
    known = {name: value for name, value in state.items() if name != "layout" and not name.startswith("_")}
    page.evaluate(f"state => {{ model.set(state); {before}; front.render({{ model, el }}); }}", _encoded(known))
    yield page
    page.close()
    assert errors == []
