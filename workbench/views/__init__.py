"""What people look at. Views draw tables and `Vectors`; they decide nothing."""

from .figures import neighbours_figure, scorecard_figure
from .maps import map_figure, pca_maps, umap_maps

__all__ = ["CompressionPanel", "map_figure", "neighbours_figure", "pca_maps", "scorecard_figure", "umap_maps"]


def __getattr__(name: str):
    if name == "CompressionPanel":  # its widgets take a while to import, and the map's process needs none
        from .live.panel import CompressionPanel

        return CompressionPanel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
