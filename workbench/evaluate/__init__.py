"""The cost of a compression: fidelity, neighbours, agreement with people, bytes and time."""

from .fidelity import fidelity
from .neighbours import nearest, neighbour_changes, overlap
from .scorecard import scorecard
from .similarity import read_pairs, similarity

__all__ = ["fidelity", "nearest", "neighbour_changes", "overlap", "read_pairs", "scorecard", "similarity"]
