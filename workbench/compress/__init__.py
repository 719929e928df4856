"""Compression steps, one method a file. A new one needs no other line than its import here."""

from .base import STEPS, Step
from .base import Chain as Chain
from .opq import OPQ as OPQ
from .pq import PQ as PQ
from .prune import Prune as Prune
from .recipes import from_json, recipe_from
from .refit import Refit as Refit
from .rehash import Rehash as Rehash
from .residual import Residual as Residual
from .rq import RQ as RQ
from .sq import SQ as SQ
from .svd import SVD as SVD

__all__ = ["Step", "from_json", "recipe_from"]
__all__.extend(STEPS)
