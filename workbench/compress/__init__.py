"""Compression steps, one method a file."""

from .base import Chain, Step, from_json
from .pq import PQ
from .prune import Prune
from .refit import Refit
from .sq import SQ

__all__ = ["PQ", "SQ", "Chain", "Prune", "Refit", "Step", "from_json"]
