"""Notebooks as regression tests: run by papermill, judged by what they record."""

from .metrics import compare, record, recorded
from .run import run_all, run_notebook

__all__ = ["compare", "record", "recorded", "run_all", "run_notebook"]
