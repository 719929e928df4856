"""Steps that make a network smaller: vector steps on its matrices, and fewer layers, neurons and weights."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from ..compress.base import Step, parameter
from ..storage import Cut, Dense, Sparse, Storage
from ..vectors import Vectors
from ..vocab import Vocab
from .network import MIN_NUMBERS, PARTS, Network

WIDTH = 8  # numbers in a row of what a sparse matrix keeps: so many columns, each with scales or codes of its own
ENDS = ("top", "bottom", "middle", "alternate")


class NetworkStep(Step):
    """A step that takes a `Network`; subclasses that learn nothing write `_transform` alone."""

    takes: ClassVar[type] = Network

    def _fit(self, v: Network, reference: Network | None) -> None:
        self.fitted_ = True


class Each(NetworkStep):
    """Apply a step for word vectors to matrices of a network, each by itself: a matrix is read by rows.

    Parameters
    ----------
    of : Step
        Such as ``SQ("int8")``, ``PQ(96)`` or ``SVD(64)``; one that keeps all rows.
    on : {"embeddings", "layers", "all"}
        The table of tokens, all other matrices of at least 4,096 numbers (of sparse ones, numbers that are left), or
        both; smaller ones stay as they are.
    width : int, optional
        Cut the rows into pieces of so many numbers, which share codebooks: ``Each(SQ("kmeans", n_bits=4), width=16)``
        has 16 codebooks a matrix instead of one for each column, and ``Each(PQ(n_subvectors=8), width=16)`` a code
        for two numbers, in matrices of any width. It must divide the width of each matrix.
    """

    label = "Each matrix"
    blurb = "applies a step to each matrix of the network."
    advice = "the codebooks outweigh so small matrices; cut them with width=16, or take fewer bits"

    of: Step = parameter(None, "step", "Step")
    on: str = parameter("layers", "choice", "Matrices", choices=PARTS)
    width: int | None = parameter(None, "count", "Numbers that share codebooks", 1, all_is_none=True)

    def _fit(self, v: Network, reference: Network | None) -> None:
        self.stored_: dict[str, Storage] = {}
        for name, storage in v.matrices(self.on).items():
            if isinstance(storage, Sparse) and np.prod(storage.inner.shape) < MIN_NUMBERS:
                continue  # what is left of it is as small as the matrices that stay
            try:
                if self.width is not None and not isinstance(storage, Sparse):
                    storage = Cut.of(storage, self.width)
                out = self.of.fit_transform(as_vectors(storage))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            if out.storage.shape != storage.shape or out.vocab.row_of is not None:
                raise ValueError(f"{self!r}: {type(self.of).__name__} must keep every row of {name}")
            self.stored_[name] = out.storage

    def _transform(self, v: Network) -> Network:
        return v.with_weights(self.stored_)


def as_vectors(storage: Storage) -> Vectors:
    """Return the rows of a matrix as vectors of words that are their numbers."""
    return Vectors(Vocab([str(i) for i in range(len(storage))]), storage)


class DropLayers(NetworkStep):
    """Leave out whole transformer layers (Sajjad et al., "Poor man's BERT", 2020).

    Parameters
    ----------
    n_layers : int
        Layers to leave out.
    which : str
        ``"top"``, ``"bottom"``, ``"middle"``, ``"alternate"`` (every other one, the top one first), or the numbers of
        layers from 0 on, such as ``"1, 3"``; see `networks.layer_table` for what each costs.
    """

    label = "Fewer layers"
    blurb = "leaves out whole layers."

    n_layers: int = parameter(1, "count", "Layers left out", 1, lambda v: v.config.n_layers)
    which: str = parameter("top", "text", "Which", choices=ENDS)

    def _transform(self, v: Network) -> Network:
        dropped = self.places(v.config.n_layers)
        kept = [i for i in range(v.config.n_layers) if i not in dropped]
        config = replace(v.config, n_inner=[v.config.n_inner[i] for i in kept])
        moved = {
            name.replace(f"layer.{old}.", f"layer.{new}."): storage
            for new, old in enumerate(kept)
            for name, storage in v.weights.items()
            if name.startswith(f"encoder.layer.{old}.")
        }
        return v.with_weights(moved, config)

    def places(self, n: int) -> set[int]:
        """Return the layers of `n`, from 0 on, that this leaves out."""
        if self.n_layers > n:
            raise ValueError(f"{self!r}: the network has {n} layers")
        if self.which not in ENDS:
            numbers = [int(text) if text.strip().isdecimal() else n for text in str(self.which).split(",")]
            if len(set(numbers)) != self.n_layers or max(numbers, default=n) >= n:
                raise ValueError(
                    f"{self!r}: expected which to be one of {ENDS}, or {self.n_layers} numbers of layers from 0 to "
                    f"{n - 1}, such as '0'"
                )
            return set(numbers)
        first = (n - self.n_layers) // 2
        orders = {
            "top": range(n - 1, -1, -1),
            "bottom": range(n),
            "middle": [*range(first, n), *range(first)],
            "alternate": [*range(n - 1, -1, -2), *range(n - 2, -1, -2)],
        }
        return set(orders[self.which][: self.n_layers])


class PruneNeurons(NetworkStep):
    """Leave out the inner neurons of each layer that carry least: rows of one matrix and columns of the next.

    A neuron counts by the product of the lengths of its weights in and out. What is left is a smaller dense network,
    which is also faster.

    Parameters
    ----------
    share : float
        Of the neurons of each layer to leave out.
    """

    label = "Fewer neurons"
    blurb = "leaves out inner neurons with the smallest weights."

    share: float = parameter(0.25, "number", "Share left out", 0, 1)

    def _transform(self, v: Network) -> Network:
        weights, n_inner = dict[str, Storage](), []
        for i in range(v.config.n_layers):
            first, last = f"encoder.layer.{i}.intermediate.dense", f"encoder.layer.{i}.output.dense.weight"
            into, out = v.values(f"{first}.weight"), v.values(last)  # (n_inner, dim), (dim, n_inner)
            carried = np.linalg.norm(into, axis=1) * np.linalg.norm(out, axis=0)  # (n_inner,)
            n_kept = max(1, len(carried) - round(self.share * len(carried)))
            kept = np.sort(np.argsort(-carried, kind="stable")[:n_kept])
            weights[f"{first}.weight"] = v.weights[f"{first}.weight"].take(kept)
            weights[f"{first}.bias"] = Dense(v.weights[f"{first}.bias"].rows(slice(None))[:, kept])
            if not v.weights[last].is_float32:
                raise ValueError(f"{self!r}: {last} is compressed; leave neurons out before that")
            weights[last] = Dense(np.ascontiguousarray(out[:, kept]))
            n_inner.append(n_kept)
        return v.with_weights(weights, replace(v.config, n_inner=n_inner))


class PruneWeights(NetworkStep):
    """Set the smallest weights to zero, and store the others with a bit for each place.

    One threshold serves all matrices (Han et al., "Learning both weights and connections", 2015). Zeros save bytes,
    from a twentieth of them on; dense arithmetic does not become faster by them. Steps after this one, such as
    ``Each(SQ("kmeans", n_bits=4))``, store what is left in fewer bits.

    Parameters
    ----------
    share : float
        Of all weights in these matrices to set to zero.
    on : {"embeddings", "layers", "all"}
        As for `Each`.
    by : {"magnitude", "random"}
        Which ones; random ones are for comparison.
    random_state : int
        Seed of random ones.
    """

    label = "Zeros"
    blurb = "sets the smallest weights to zero."
    advice = "so few zeros do not outweigh the bits that say where they are; take a greater share"

    share: float = parameter(0.5, "number", "Share of zeros", 0, 1)
    on: str = parameter("layers", "choice", "Matrices", choices=PARTS)
    by: str = parameter("magnitude", "choice", "Which", choices=("magnitude", "random"))
    random_state: int = parameter(0, "seed", "Seed")

    def _fit(self, v: Network, reference: Network | None) -> None:
        rng = np.random.default_rng(self.random_state)
        values, scores = {}, {}
        for name, storage in v.matrices(self.on).items():
            if not (storage.inner if isinstance(storage, Sparse) else storage).is_float32:
                raise ValueError(f"{self!r}: {name} is compressed; set weights to zero before that")
            values[name] = v.values(name)
            random = rng.random(storage.shape, np.float32) + 1
            scores[name] = np.abs(values[name]) if self.by == "magnitude" else random * (values[name] != 0)
        together = np.concatenate([of.ravel() for of in scores.values()] or [np.zeros(0, np.float32)])
        n_zeros = round(self.share * together.size)
        if n_zeros:  # exactly so many, also where numbers are alike
            together[np.argpartition(together, n_zeros - 1)[:n_zeros]] = 0
        kept = iter(np.split(together != 0, np.cumsum([of.size for of in scores.values()])))
        self.stored_ = {n: Sparse.of(of, next(kept).reshape(of.shape), WIDTH) for n, of in values.items()}

    def _transform(self, v: Network) -> Network:
        return v.with_weights(self.stored_)
