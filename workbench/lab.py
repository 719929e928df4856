"""JupyterLab on the notebooks, with the settings that panels need."""

import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

FIRST = "00_quickstart.ipynb"
COPY = Path("embedding-workbench", "notebooks")  # in the working folder

# Defaults, which a person's own settings override. Messages of all widgets go through one channel, so that callbacks
# come in order; widget state stays out of notebooks, where panels leave a static page; nothing is fetched.
SETTINGS = Path(__file__).with_name("jupyter")


def notebooks() -> Path:
    """Return the folder to open: the notebooks themselves in a checkout, else a copy in the working folder.

    Files that are in the copy already are left as they are: a person may have worked on them.
    """
    checkout = Path(__file__).parents[1]
    if (checkout / "pyproject.toml").exists() and (checkout / "notebooks" / FIRST).exists():
        return checkout / "notebooks"
    installed = [Path(file.locate()) for file in metadata.files("embedding-workbench") or () if file.name == FIRST]
    if not installed:
        raise FileNotFoundError("this installation lacks the notebooks; install it again, or work in a checkout")
    copy = COPY.resolve()
    shutil.copytree(installed[0].parent, copy, dirs_exist_ok=True, copy_function=_copy_new)
    return copy


def _copy_new(source: str, target: str) -> None:
    if not os.path.exists(target):
        shutil.copyfile(source, target)


def command(folder: Path, options: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts JupyterLab on a folder, and its environment."""
    paths = [str(SETTINGS), *os.environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep)]
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(path for path in paths if path)}
    return [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}", *options], environment
