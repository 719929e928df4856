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
from typing import TYPE_CHECKING, Any

from .bert_score import bert_score
from .config import Config
from .matching import classify, embed_blocks, nearest_texts
from .network import Network
from .phrases import Pairs, Teacher
from .pieces import cut_tokenizer
from .sources import bag, load, transformer
from .steps import DropLayers, Each, PruneNeurons, PruneWeights
from .task import Task, load_task
from .tokens import NgramTokenizer, PieceTokenizer
from .transplant import Transplant
from .words import WordTokenizer, stemmed, token_costs

if TYPE_CHECKING:
    from .measures import card, layer_table, paired, sweep, word_influence
    from .onnx import export
    from .texts import TextVectors
    from .training import Train

_HOMES = {
    "card": "measures",
    "layer_table": "measures",
    "paired": "measures",
    "sweep": "measures",
    "word_influence": "measures",
    "export": "onnx",
    "Train": "training",
    "TextVectors": "texts",
}
__all__ = [
    "Config", "DropLayers", "Each", "Network", "NgramTokenizer", "Pairs", "PieceTokenizer", "PruneNeurons",
    "PruneWeights", "Task", "Teacher", "TextVectors", "Train", "Transplant", "WordTokenizer", "bag", "bert_score",
    "card", "classify", "cut_tokenizer", "embed_blocks", "export", "layer_table", "load", "load_task",
    "nearest_texts", "paired", "stemmed", "sweep", "token_costs", "transformer", "word_influence",
]  # fmt: skip


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
