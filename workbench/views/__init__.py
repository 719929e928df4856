"""What people look at. Views draw tables and `Vectors`; they decide nothing."""

from .figures import neighbours_figure, scorecard_figure
from .maps import map_figure, pca_maps, umap_maps
from .panel import CompressionPanel

__all__ = ["CompressionPanel", "map_figure", "neighbours_figure", "pca_maps", "scorecard_figure", "umap_maps"]
