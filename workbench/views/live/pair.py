"""Views of two models side by side, for a small one that is there already."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...vectors import Vectors
from ..session import Session
from .damage import DamagePart
from .mapping import MapsPart
from .setting import ProgressPart
from .view import View, run_by_a_person
from .words import MOST_WORDS, WordsPart


class NeighbourView(View):
    """Whose neighbours stay, go and come, and which n-grams carry a word.

    Parameters
    ----------
    original : Vectors, path or str
    small : Vectors
    words : sequence of str
        To look at first; unseen ones are welcome.
    interactive : bool, optional
        As for `CompressionPanel`.
    """

    kinds = (WordsPart,)
    show = ("words",)

    def __init__(
        self,
        original: Vectors | str | Path,
        small: Vectors,
        *,
        words: Sequence[str] = (),
        interactive: bool | None = None,
    ):
        live = run_by_a_person() if interactive is None else interactive
        super().__init__(Session(original, small=small, show=self.show, words=words[:MOST_WORDS], background=live))


class DamageView(View):
    """The most damaged words, and what they have in common.

    Parameters
    ----------
    original : Vectors, path or str
    small : Vectors
    interactive : bool, optional
        As for `CompressionPanel`.
    random_state : int
        Seed of the sample, where the vocabulary is large.
    """

    kinds = (DamagePart, WordsPart)
    show = ("damage", "words")

    def __init__(
        self,
        original: Vectors | str | Path,
        small: Vectors,
        *,
        interactive: bool | None = None,
        random_state: int = 0,
    ):
        live = run_by_a_person() if interactive is None else interactive
        super().__init__(Session(original, small=small, show=self.show, background=live, random_state=random_state))


class MapView(View):
    """Linked maps of both models, and of the original drawn again, which shows what is noise.

    Parameters
    ----------
    original : Vectors, path or str
    small : Vectors
    words : sequence of str
        To point out.
    labels : mapping of word to str, optional
        Your own, to colour the maps by.
    n_mapped : int
        Words on the maps.
    interactive : bool, optional
        As for `CompressionPanel`.
    random_state : int
    """

    kinds = (ProgressPart, MapsPart, WordsPart)
    show = ("maps", "words")
    printed = ("maps",)

    def __init__(
        self,
        original: Vectors | str | Path,
        small: Vectors,
        *,
        words: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        n_mapped: int = 2_000,
        interactive: bool | None = None,
        random_state: int = 0,
    ):
        live = run_by_a_person() if interactive is None else interactive
        super().__init__(
            Session(
                original, small=small, show=self.show, words=words[:MOST_WORDS], labels=labels, background=live,
                n_mapped=n_mapped, random_state=random_state,
            )
        )  # fmt: skip
