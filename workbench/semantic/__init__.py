"""Semantic IDs: items turned into short lists of codes, that near items share.

    from workbench import semantic

    items = semantic.load_items("builtin:texts")
    ids = semantic.SemanticIDs.from_vectors(items.features, items=items.ids, names=items.names)
    ids.nearest(items.ids[0])
    ids.save("ids.csv")

Training (`RQBottleneck`, `Experiment`) needs torch, which comes with the extra ``semantic`` and is loaded at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .ids import SemanticIDs
from .items import Items, load_items

if TYPE_CHECKING:
    from .bottleneck import RQBottleneck
    from .experiment import Experiment
    from .results import Results
    from .settings import Arm, Training

__all__ = ["Arm", "Experiment", "Items", "RQBottleneck", "Results", "SemanticIDs", "Training", "load_items"]

_TRAINING = {
    "RQBottleneck": "bottleneck",
    "Arm": "settings",
    "Training": "settings",
    "Experiment": "experiment",
    "Results": "results",
}


def __getattr__(name: str) -> Any:
    if name not in _TRAINING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_TRAINING[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(f"{name} needs torch: pip install 'embedding-workbench[semantic]'") from error


def __dir__() -> list[str]:
    return __all__
