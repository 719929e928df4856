"""Views, figures and maps. They draw tables and `Vectors`, and decide nothing; each loads when it is first used."""

from importlib import import_module
from typing import Any

_HOMES = {
    ".panel": ("CompressionPanel", "DamageView", "MapView", "NeighbourView"),
    ".ids": ("IdsView",),
    ".network": ("NetworkPanel",),
    ".training": ("TrainingView",),
    ".plots": ("damage_figure", "id_map_figure", "map_figure", "neighbours_figure", "scorecard_figure", "tree_figure"),
    ".curves": ("curves_figure", "retained_figure"),
    "..evaluate.ids": ("similar_tables",),
    "..evaluate.maps": ("OriginalMap", "id_map", "layout_noise", "pca_maps", "umap_maps"),
    "..semantic.tree": ("tree_table",),
}
__all__ = [name for names in _HOMES.values() for name in names]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home, __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
