"""Views, figures and maps. They draw tables and `Vectors`, and decide nothing; each loads when it is first used."""

from importlib import import_module
from typing import Any

_HOMES = {
    "CompressionPanel": "panel",
    "DamageView": "panel",
    "IdsView": "ids",
    "MapView": "panel",
    "NeighbourView": "panel",
    "OriginalMap": "maps",
    "TrainingView": "training",
    "curves_figure": "curves",
    "damage_figure": "plots",
    "id_map": "ids",
    "id_map_figure": "plots",
    "layout_noise": "maps",
    "map_figure": "plots",
    "neighbours_figure": "plots",
    "pca_maps": "maps",
    "retained_figure": "curves",
    "scorecard_figure": "plots",
    "similar_tables": "ids",
    "tree_figure": "ids",
    "tree_table": "ids",
    "umap_maps": "maps",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
