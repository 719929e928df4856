"""Tasks of embedding texts, for `Train`: as a teacher does, or near to their partners."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..storage import Dense
from ..vectors import summary_html, unit
from .config import PROJECTION
from .network import Network
from .task import Part, sizes_of, tenth
from .words import listed

MAP_BATCH = 256  # texts at once, without training
PENALTIES = 10.0 ** np.arange(-3, 4)
PART_OF = {0: "valid", 1: "test"}  # of ten parts; the others are for training


@dataclass(frozen=True, eq=False)
class TaughtTexts(Part):
    """Texts and a teacher's vectors of them."""

    vectors: np.ndarray  # (n, dim) float32


@dataclass(frozen=True, eq=False)
class Teacher:
    """Texts to embed as a teacher does (sentence embeddings by distillation: Reimers and Gurevych, 2020).

    Attributes
    ----------
    name : str
    train, valid, test : TaughtTexts
        To train on, to choose by, and to be judged on.
    """

    score_name: ClassVar = "Spearman correlation"  # of the cosines between texts with the teacher's

    name: str
    train: TaughtTexts
    valid: TaughtTexts
    test: TaughtTexts

    @classmethod
    def of(
        cls, texts: Sequence[str], teacher: np.ndarray | Callable[[list[str]], np.ndarray], name: str = "a teacher"
    ) -> "Teacher":
        """Return the task of embedding texts as a teacher does.

        A tenth of the texts, by a hash of each, is to choose by, and another tenth to be judged on. A text that is
        there several times counts once.

        Parameters
        ----------
        texts : sequence of str
        teacher : array of (n, dim), or callable
            The teacher's vectors, or what gives them for a list of texts, such as `SentenceTransformer.encode`.
        name : str

        Raises
        ------
        ValueError
            If there are not as many vectors as texts, one is not finite, or a part would be empty.
        """
        found = listed(texts)
        vectors = np.asarray(teacher(found) if callable(teacher) else teacher, np.float32)
        if vectors.ndim != 2 or len(vectors) != len(found):
            raise ValueError(f"expected a vector for each of {len(found):,} texts, got an array of {vectors.shape}")
        if len(bad := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
            raise ValueError(f"the teacher's vector of text {bad[0] + 1:,} holds NaN or infinity")
        first = {text: place for place, text in reversed([*enumerate(found)])}
        return cls(name, *(TaughtTexts(tuple(of), vectors[[first[text] for text in of]]) for of in parted(first)))

    def mapped(self, net: Network) -> Network:
        """Return a network whose vectors are mapped to the teacher's by a dense layer, fitted in closed form.

        The layer is a ridge regression on the training texts, its penalty chosen among them by leaving each out once.
        Nothing else of the network changes, and a projection or head that it has goes.
        """
        from sklearn.linear_model import RidgeCV

        config = replace(net.config, n_out=None, labels=())
        bare = net.with_weights({name: net.weights[name] for name in config.shapes(1)}, config)
        vectors = bare.run(self.train.texts, MAP_BATCH).vectors  # (n, dim)
        regression = RidgeCV(alphas=PENALTIES).fit(vectors, unit(self.train.vectors))
        rows, bias = regression.coef_.astype(np.float32), regression.intercept_.astype(np.float32)[None]
        new = {f"{PROJECTION}.weight": Dense(rows), f"{PROJECTION}.bias": Dense(bias)}  # (n_out, dim), (1, n_out)
        return bare.with_weights(bare.weights | new, replace(config, n_out=len(rows)))

    def describe(self) -> list[tuple[str, str]]:
        """Return a summary: pairs of label and value."""
        return [
            ("teacher", f"{self.name}, {self.train.vectors.shape[1]} numbers a text"),
            ("texts", sizes_of(self.train, self.valid, self.test)),
        ]

    def _repr_html_(self) -> str:
        return summary_html("Teacher", self.describe())


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of texts that belong together, such as paraphrases, or title and text.

    Attributes
    ----------
    name : str
    train, valid, test : sequence of pairs of str
        To train on, to choose by, and to be judged on.
    """

    score_name: ClassVar = "share with the own partner nearest"

    name: str
    train: Sequence[tuple[str, str]]
    valid: Sequence[tuple[str, str]]
    test: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]], name: str = "pairs") -> "Pairs":
        """Return pairs in parts: by a hash of each pair's first text, a tenth to choose by, a tenth to be judged on."""
        found = [(first, second) for first, second in pairs]
        listed([text for pair in found for text in pair])
        of_first: dict[str, list[tuple[str, str]]] = {}
        for pair in found:
            of_first.setdefault(pair[0], []).append(pair)
        return cls(name, *([pair for text in of for pair in of_first[text]] for of in parted(of_first)))

    def describe(self) -> list[tuple[str, str]]:
        """Return a summary: pairs of label and value."""
        return [("source", self.name), ("texts", sizes_of(self.train, self.valid, self.test))]

    def _repr_html_(self) -> str:
        return summary_html("Pairs", self.describe())


def likeness(vectors: np.ndarray, others: np.ndarray) -> float:
    """Return Spearman's correlation between the cosines of all pairs of texts, by two sets of their vectors."""
    from scipy.stats import spearmanr

    pairs = np.triu_indices(len(vectors), 1)
    first, second = ((unit(of) @ unit(of).T)[pairs] for of in (vectors, others))
    return float(spearmanr(first, second).statistic)


def parted(texts: Collection[str]) -> tuple[list[str], list[str], list[str]]:
    """Return the texts of each part, by a hash of each; ValueError if there are too few."""
    found: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for text in texts:
        found[PART_OF.get(tenth(text), "train")].append(text)
    if missing := [part for part, of in found.items() if len(of) < 2]:
        raise ValueError(f"{len(texts):,} different texts are too few: none is left for the {missing[0]} part")
    return found["train"], found["valid"], found["test"]
