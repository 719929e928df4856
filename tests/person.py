"""A person at a live view of models, without a browser: acts as the front end does, and reads what it would draw."""

import re
from html import unescape
from itertools import count
from typing import Any

import numpy as np
from conftest import PATIENCE

from workbench.views import CompressionPanel

FRESH = count(401)  # numbers of words that no test of the same panel tried before, whose results are remembered
OUTSIDE = re.compile("https?://|<script|<link|@import|onclick")  # what a page must not need


def text_of(html: str) -> str:
    """The text that a page shows; each cell and each paragraph ends its line."""
    return unescape(re.sub("<[^>]*>", "", re.sub("</(?:t[dh]|tr|div|p|li|h[1-6])>", "\n", html)))


def opened(source: Any, **options: Any) -> CompressionPanel:
    """A live panel on a small model, about to compute its first setting."""
    options = {"n_words": 300, "n_ngrams": 300, "n_subvectors": 6, "n_mapped": 40, "interactive": True} | options
    return CompressionPanel(source, **options)


class Person:
    """Somebody who uses a live view.

    Parameters
    ----------
    view : CompressionPanel, or any other live view
    """

    def __init__(self, view: Any):
        self.view = view

    def wait(self) -> Any:
        """Return the view once everything is computed and drawn."""
        return self.view.wait(PATIENCE)

    def begin(self, action: str, **arguments: Any) -> None:
        """Do something and look at once."""
        self.view.act(action, **arguments)

    def do(self, action: str, **arguments: Any) -> Any:
        """Do something, and wait until everything is computed for it."""
        self.begin(action, **arguments)
        return self.wait()

    def turn(self, name: str, value: Any) -> None:
        """Change the first parameter of this name."""
        i = next(step["i"] for step in self.steps if any(field["name"] == name for field in step["fields"]))
        self.begin("set", i=i, name=name, value=value)

    def change(self, name: str, value: Any) -> Any:
        """The same, and wait until everything is computed for it."""
        self.turn(name, value)
        return self.wait()

    def get(self, name: str) -> Any:
        """The value of the first parameter of this name."""
        return next(field["value"] for step in self.steps for field in step["fields"] if field["name"] == name)

    @property
    def steps(self) -> list[dict]:
        return self.view.rail["steps"]

    @property
    def kinds(self) -> list[str]:
        """The names of the steps, in order."""
        return [step["kind"] for step in self.steps]

    @property
    def alerts(self) -> list[str]:
        """What went wrong, as far as it is said."""
        status = self.view.status
        return [text for text in (status["problem"], *status["errors"].values()) if text]

    @property
    def stale(self) -> set[str]:
        """The blocks that belong to an earlier wish."""
        return set(self.view.status["stale"])

    @property
    def cards(self) -> dict[str, dict]:
        return {card["id"]: card for card in self.view.cards["cards"]}

    def places(self, side: str) -> np.ndarray:
        """The points of a map: (n, 2)."""
        return np.frombuffer(self.view.points[side], "<f4").reshape(-1, 2)
