"""A person at a browser, for tests: JupyterLab on a free port, and what one does with a notebook in it.

A test of a new view takes the fixture `browser`, opens a notebook, runs it, and looks.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from workbench import lab

PICTURES = Path(__file__).parents[1] / "reports" / "browser"  # screenshots of tests that failed
PATIENCE = 60_000  # milliseconds for a kernel to start or numbers to come
expect.set_options(timeout=PATIENCE)
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str | None:
    """The Chromium of this system: named by WORKBENCH_CHROMIUM, or on the path."""
    named = os.environ.get("WORKBENCH_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Notebook:
    """A notebook that is open in JupyterLab."""

    def __init__(self, page: Page, url: str):
        self.page = page
        self.page.set_default_timeout(PATIENCE)
        self.page.goto(url)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """Wait until cells are shown and the kernel can be asked to run them."""
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

    def find(self, selector: str) -> Locator:
        """The part of the page that a CSS selector names, once it is there, in view."""
        found = self.page.locator(selector).first
        found.wait_for(state="attached")
        found.scroll_into_view_if_needed()
        return found

    def fill(self, label: str, text: str) -> None:
        """Type into the box with this label, and press Enter."""
        box = self.page.get_by_label(label, exact=True)
        box.fill(text)
        box.press("Enter")


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """JupyterLab on the notebooks in `folder`, as `workbench lab` starts it; gives its address.

    Settings, workspaces and run files are in `folder` too, so that a person's own stay untouched.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command, environment = lab.command(
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
