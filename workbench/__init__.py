"""Make an embedding model small while seeing what it costs.

    import workbench as wb

    big = wb.load("builtin:en")
    small = wb.Chain([wb.Prune(n_words=4_000, n_ngrams=8_000), wb.Refit(), wb.PQ()]).fit_transform(big)
    wb.scorecard(big, small)

Other names than those of steps load when they are first used, so that importing the package needs numpy and
safetensors alone.
"""
# ruff: noqa: F401

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .compress import *  # noqa: F403 - the steps are named there alone
from .compress import STEPS, from_json, recipe_from

if TYPE_CHECKING:  # for editors and type checkers
    from . import networks, semantic, views
    from .evaluate.align import align
    from .evaluate.contributions import ngram_carriers
    from .evaluate.damage import word_damage
    from .evaluate.neighbours import neighbour_changes
    from .evaluate.scorecard import scorecard
    from .formats import export, load
    from .networks.texts import TextVectors
    from .reports import record
    from .scale.encode import encode, sample_rows
    from .scale.encoded import EncodedItems
    from .search.budget import fit_budget
    from .search.sweep import sweep
    from .vectors import Vectors

__version__ = "0.1.0"

_HOMES = {  # of names that load when they are first used; "" for a folder
    "Vectors": "vectors",
    "load": "formats",
    "export": "formats",
    "align": "evaluate.align",
    "scorecard": "evaluate.scorecard",
    "neighbour_changes": "evaluate.neighbours",
    "ngram_carriers": "evaluate.contributions",
    "word_damage": "evaluate.damage",
    "record": "reports",
    "sweep": "search.sweep",
    "fit_budget": "search.budget",
    "TextVectors": "networks.texts",
    "encode": "scale.encode",
    "sample_rows": "scale.encode",
    "EncodedItems": "scale.encoded",
    "networks": "",
    "semantic": "",
    "views": "",
}

__all__ = ["from_json", "recipe_from"]
__all__.extend([*_HOMES, *STEPS])


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _HOMES[name]:
        return import_module(f".{name}", __name__)
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
