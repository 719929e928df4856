"""Semantic IDs: items turned into short lists of codes, that near items share.

    from workbench import semantic

    items = semantic.load_items("builtin:texts")
    ids = semantic.SemanticIDs.from_vectors(items.features, items=items.ids, names=items.names)
    ids.nearest(items.ids[0])
    ids.save("ids.csv")

Names load when they are first used. All but `RQBottleneck` work without torch, which comes with the
extra ``semantic``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bottleneck import RQBottleneck
    from .ids import SemanticIDs
    from .items import Items, load_items

_HOMES = {
    "SemanticIDs": "ids",
    "Items": "items",
    "load_items": "items",
    "RQBottleneck": "bottleneck",
}

__all__ = ["Items", "RQBottleneck", "SemanticIDs", "load_items"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(f"{name} needs torch: pip install 'embedding-workbench[semantic]'") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
