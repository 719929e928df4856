"""What people look at. Views draw tables and `Vectors`; they decide nothing."""

from importlib import import_module

from .damage import damage_figure
from .figures import neighbours_figure, scorecard_figure
from .maps import OriginalMap, layout_noise, map_figure, pca_maps, umap_maps

LIVE = {  # widgets take a while to import, and the map's process needs none
    "CompressionPanel": "panel",
    "DamageView": "pair",
    "MapView": "pair",
    "NeighbourView": "pair",
}
__all__ = [
    "CompressionPanel",
    "DamageView",
    "MapView",
    "NeighbourView",
    "OriginalMap",
    "damage_figure",
    "layout_noise",
    "map_figure",
    "neighbours_figure",
    "pca_maps",
    "scorecard_figure",
    "umap_maps",
]


def __getattr__(name: str):
    if name in LIVE:
        return getattr(import_module(f".live.{LIVE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
