"""Networks: vectors inside a network, and a small BERT made smaller, by the same steps.

    import workbench as wb
    from workbench import networks

    task = networks.load_task("builtin:articles")
    big = networks.load("builtin:articles")
    recipe = wb.Chain([networks.Each(wb.PQ(50), on="embeddings"), networks.Each(wb.SQ("int8"), on="layers")])
    small = recipe.fit_transform(big)
    networks.card(big, small, task)

Running and training a network needs torch, and a BERT's tokenizer the library tokenizers; both come with the extra
``networks`` and are loaded at first use.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import Config
from .network import Network
from .steps import DropLayers, Each, PruneNeurons, PruneWeights
from .task import Task, load_task
from .tokens import NgramTokenizer, PieceTokenizer

if TYPE_CHECKING:
    from .builtin import bag, transformer
    from .card import card, layer_table
    from .export import export
    from .training import Train

_HOMES = {
    "bag": "builtin",
    "transformer": "builtin",
    "card": "card",
    "layer_table": "card",
    "export": "export",
    "Train": "training",
}
__all__ = [
    "Config", "DropLayers", "Each", "Network", "NgramTokenizer", "PieceTokenizer", "PruneNeurons", "PruneWeights",
    "Task", "Train", "bag", "card", "export", "layer_table", "load", "load_task", "transformer",
]  # fmt: skip


def load(source: str | Path) -> Network:
    """Load a network.

    Parameters
    ----------
    source : str or Path
        ``"builtin:articles"``, which is trained on first use in under a minute; a file that `Network.save` wrote; or
        a folder of a BERT with ``config.json``, ``model.safetensors`` and ``tokenizer.json``, as transformers and
        sentence-transformers write it. Texts are embedded as sentence-transformers would, by the mean where it says
        nothing; a head of `BertForSequenceClassification` is kept.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If it is another architecture, or damaged.
    """
    from .builtin import NAME, builtin_path
    from .folder import read_folder

    if str(source).startswith("builtin:") and source != NAME:
        raise ValueError(f"unknown built-in network {source!r}; the only one is {NAME}")
    path = builtin_path() if source == NAME else Path(source).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected a file of a network, a folder of a BERT, or {NAME!r}")
    net = read_folder(path) if path.is_dir() else Network.load(path)
    net.origin = str(source)
    return net


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "tokenizers"):
            raise
        raise ImportError(f"{name} needs {error.name}: pip install 'embedding-workbench[networks]'") from error


def __dir__() -> list[str]:
    return __all__
