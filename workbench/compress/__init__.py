"""Compression steps, one method a file."""

from .base import Chain, Step
from .opq import OPQ
from .pq import PQ
from .prune import Prune
from .recipes import from_json, recipe_from
from .refit import Refit
from .rehash import Rehash
from .residual import Residual
from .rq import RQ
from .sq import SQ
from .svd import SVD

__all__ = [
    "OPQ",
    "PQ",
    "RQ",
    "SQ",
    "SVD",
    "Chain",
    "Prune",
    "Refit",
    "Rehash",
    "Residual",
    "Step",
    "from_json",
    "recipe_from",
]
