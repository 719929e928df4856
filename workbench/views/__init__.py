"""What people look at. Views draw tables and `Vectors`; they decide nothing."""

from importlib import import_module

from .curves import curves_figure, retained_figure
from .damage import damage_figure
from .figures import neighbours_figure, scorecard_figure
from .ids import id_map, similar_tables, tree_figure, tree_table
from .maps import OriginalMap, layout_noise, map_figure, pca_maps, umap_maps
from .plots import id_map_figure

LIVE = {  # widgets take a while to import, and the map's process needs none
    "CompressionPanel": "panel",
    "DamageView": "pair",
    "IdsView": "ids",
    "MapView": "pair",
    "NeighbourView": "pair",
    "TrainingView": "training",
}
__all__ = [
    "CompressionPanel",
    "DamageView",
    "IdsView",
    "MapView",
    "NeighbourView",
    "OriginalMap",
    "TrainingView",
    "curves_figure",
    "damage_figure",
    "id_map",
    "id_map_figure",
    "layout_noise",
    "map_figure",
    "neighbours_figure",
    "pca_maps",
    "retained_figure",
    "scorecard_figure",
    "similar_tables",
    "tree_figure",
    "tree_table",
    "umap_maps",
]


def __getattr__(name: str):
    if name in LIVE:
        return getattr(import_module(f".{LIVE[name]}" if name == "IdsView" else f".live.{LIVE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
