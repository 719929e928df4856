"""`Network`: a configuration, a tokenizer, and weights, each a matrix that is read by rows."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from .. import artefact, files, progress
from ..storage import Storage, nested, within
from ..threads import one_thread
from ..vectors import check_meta, remembered, summary_html
from . import tokens
from .config import WORDS, Config
from .tokens import AnyTokens, NgramTokenizer, PieceTokenizer, Tokenizer
from .words import TextsOrPairs, listed

if TYPE_CHECKING:
    from torch import nn

    from .encoder import Output

MIN_THREADED = 256  # numbers in a state, from which on several threads gain more than they wait for each other
BATCH = 32  # texts that go through a network at once
MIN_NUMBERS = 4_096  # of a matrix that counts as a layer's; smaller ones stay as they are
PARTS = ("embeddings", "layers", "all")


class Embedded(NamedTuple):
    """Texts in numbers."""

    vectors: np.ndarray  # (n, dim) float32
    logits: np.ndarray  # (n, n_labels) float32, without columns where the network has no head


class Network:
    """A network that turns texts into vectors and, with a head, into labels.

    Instances are not changed after they are made. A BERT whose tokens are pieces of words also takes pairs of texts:
    a list of tuples in place of a list of texts. Of a pair with too many tokens the longer text loses its end.

    Parameters
    ----------
    config : Config
    weights : mapping of str to Storage
        By public name; what torch has as a vector is a storage of one row.
    tokenizer : Tokenizer
    meta : dict, optional
        As that of `Vectors`: ``"provenance"`` and ``"recipe"``.

    Raises
    ------
    ValueError
        If a weight is missing, to spare or of another shape, or the tokenizer has more tokens than there are rows or
        is flat for another network than a bag.
    """

    made_by: ClassVar = "networks.load(path)"  # for an error about something else
    step_advice: ClassVar = "; for a network wrap it, as in networks.Each(PQ(n_subvectors=96), on='embeddings')"

    def __init__(
        self, config: Config, weights: Mapping[str, Storage], tokenizer: Tokenizer, meta: dict | None = None
    ):  # fmt: skip
        if WORDS not in weights:
            raise ValueError(f"expected weights with {WORDS!r}, got {', '.join(list(weights)[:3])}")
        n_rows = len(weights[WORDS])
        self.shapes = config.shapes(n_rows)  # as torch has them
        for name, shape in self.shapes.items():
            if name not in weights:
                raise ValueError(f"{name} is missing; a network of this shape has it: {config}")
            expected = shape if len(shape) == 2 else (1, *shape)
            if weights[name].shape != expected:
                raise ValueError(f"expected {name} to be of shape {expected}, got {weights[name].shape}")
        if spare := weights.keys() - self.shapes.keys():
            raise ValueError(f"a network of this shape has no {', '.join(sorted(spare)[:3])}")
        if tokenizer.n_rows > n_rows:
            raise ValueError(f"the tokenizer has {tokenizer.n_rows:,} tokens, the embeddings {n_rows:,} rows")
        is_bag = config.kind == "bag"
        if isinstance(tokenizer, NgramTokenizer) and tokenizer.flat != is_bag:
            raise ValueError(f"a network of kind {config.kind} takes a tokenizer with flat={is_bag}, got the other one")
        check_meta({} if meta is None else meta)
        self.config, self.tokenizer, self.meta = config, tokenizer, meta or {}
        self.weights = {name: weights[name] for name in self.shapes}
        self.origin = ""  # what `load` takes to give this very network; a loader says it

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled and copied: nothing that was computed on the way."""
        return {name: value for name, value in vars(self).items() if name != "_answers"}

    @property
    def name(self) -> str:
        """Return its name in recipes and panels: where it was loaded from."""
        return self.origin or "a network in memory"

    def matrices(self, on: str = "all") -> dict[str, Storage]:
        """Return the matrices of a part, by name: those that steps make smaller.

        ``"embeddings"`` is the table of tokens, ``"layers"`` all other matrices of at least 4,096 numbers.
        """
        large = {n: s for n, s in self.weights.items() if len(self.shapes[n]) == 2 and np.prod(s.shape) >= MIN_NUMBERS}
        return {n: s for n, s in large.items() if on == "all" or (on == "embeddings") == (n == WORDS)}

    # -- what steps ask for ----------------------------------------------------------------

    def lean(self) -> "Network":
        return self

    @property
    def nbytes(self) -> int:
        """Bytes of the weights, as in the file."""
        return sum(storage.nbytes for storage in self.weights.values())

    def noted(self, step: dict) -> "Network":
        """Return the same network, with a step more in its recipe."""
        meta = self.meta | {"recipe": [*self.meta.get("recipe", []), step]}
        return Network(self.config, self.weights, self.tokenizer, meta)

    def with_weights(
        self, changes: Mapping[str, Storage], config: Config | None = None, tokenizer: Tokenizer | None = None
    ) -> "Network":
        """Return this network with some weights changed; those that another configuration has no place for go."""
        config, weights = config or self.config, self.weights | dict(changes)
        kept = {name: weights[name] for name in config.shapes(1) if name in weights}
        return Network(config, kept, tokenizer or self.tokenizer, self.meta)

    # -- use -------------------------------------------------------------------------------

    def values(self, name: str) -> np.ndarray:
        """Return a weight decoded, in float32 and the shape that torch has; ValueError if it holds NaN or infinity."""
        found = np.ascontiguousarray(self.weights[name].rows(slice(None))).reshape(self.shapes[name])
        if not np.isfinite(found).all():
            raise ValueError(f"{name} holds NaN or infinity; train the network anew or mend the file")
        return found

    @remembered
    def module(self) -> "nn.Module":
        """Return a torch module with decoded weights, for evaluation: ``module(ids, weights)`` gives an `Output`.

        It is the network's own: to train it, take a `copy.deepcopy`. ValueError if a weight holds NaN or infinity.
        """
        import torch

        from .encoder import build

        module = build(self.config, len(self.weights[WORDS])).eval().requires_grad_(False)
        decoded = {name: torch.from_numpy(self.values(name)) for name in self.weights}
        module.load_state_dict(decoded, assign=True)
        return module.to("cuda" if torch.cuda.is_available() else "cpu")

    def rest(self) -> None:
        """Drop the module's float32 weights, which take memory; it is made anew when it is needed."""
        vars(self).get("_answers", {}).pop((Network.module.__wrapped__,), None)  # type: ignore[attr-defined]

    def listed(self, texts: TextsOrPairs) -> list[Any]:
        """Return texts as a list, or pairs where the first one is a tuple.

        TypeError if one is neither; ValueError for pairs if the network is no BERT of pieces of words.
        """
        if not hasattr(texts, "__len__") or not isinstance(next(iter(texts), None), tuple):
            return listed(texts)  # type: ignore[arg-type]
        for place, pair in enumerate(texts):
            if not isinstance(pair, tuple) or [isinstance(text, str) for text in pair] != [True, True]:
                raise TypeError(f"expected pairs as ('a text', 'another'), got {str(pair)[:60]!r} at place {place}")
        if self.config.kind != "bert" or not isinstance(self.tokenizer, PieceTokenizer):
            found = f"{self.config.kind} of {self.tokenizer.kind}"
            raise ValueError(f"only a BERT, as networks.load(folder) opens, takes pairs of texts; this is a {found}")
        return list(texts)

    def tokens(self, texts: TextsOrPairs) -> AnyTokens:
        """Return texts or pairs as the module takes them."""
        return self.tokenizer(self.listed(texts), self.config.max_tokens)

    def batches(self, texts: TextsOrPairs, size: int = BATCH) -> Iterator[tuple[np.ndarray, AnyTokens]]:
        """Yield places of texts, and their tokens, in batches of alike length so that little is padding."""
        lengths = [sum(map(len, text)) if isinstance(text, tuple) else len(text) for text in texts]
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), size):
            places = order[start : start + size]
            yield places, self.tokens([texts[i] for i in places])

    def outputs(self, texts: TextsOrPairs, size: int = BATCH) -> "Iterator[tuple[np.ndarray, AnyTokens, Output]]":
        """Yield places of texts, their tokens and what the module makes of them, batch by batch."""
        import torch

        module = self.module()
        device = next(module.parameters()).device
        with progress.bar(total=len(texts), desc="Texts", unit=" texts", leave=False, delay=2) as bar:
            for places, tokens in self.batches(texts, size):
                with torch.inference_mode(), one_thread() if self.config.dim < MIN_THREADED else nullcontext():
                    out = module(*(torch.from_numpy(part).to(device) for part in tokens))
                yield places, tokens, out
                bar.update(len(places))

    def run(self, texts: TextsOrPairs, size: int = BATCH) -> Embedded:
        """Return the vectors and the logits of texts or pairs, in batches of this size."""
        texts = self.listed(texts)
        vectors = np.zeros((len(texts), self.config.width), np.float32)
        logits = np.zeros((len(texts), len(self.config.labels)), np.float32)
        for places, _, out in self.outputs(texts, size):
            vectors[places] = out.pooled.cpu().numpy()
            if out.logits is not None:
                logits[places] = out.logits.cpu().numpy()
        return Embedded(vectors, logits)

    def embed(self, texts: TextsOrPairs) -> np.ndarray:
        """Return the vector of each text: (n, dim) float32. A text without tokens is a row of zeros."""
        return self.run(texts).vectors

    def predict(self, texts: TextsOrPairs) -> list[str]:
        """Return the label of each text; ValueError if the network has no head, which `Train` gives it."""
        if not self.config.labels:
            raise ValueError("this network has no head to tell labels apart; give it one with networks.Train(task)")
        return [self.config.labels[i] for i in self.run(texts).logits.argmax(axis=1)]

    # -- in files --------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write one ``.safetensors`` file and return its path, as `Vectors.save` does."""
        with files.replacing(path) as file:
            artefact.write(file, *self._parts())
        return Path(path)

    @property
    def file_bytes(self) -> int:
        """Size of the file that `save` would write."""
        return artefact.size(*self._parts())

    @property
    def tokenizer_bytes(self) -> int:
        """Bytes of that file that are the tokenizer's."""
        return sum(array.nbytes for array in self.tokenizer.arrays().values())

    def _parts(self) -> tuple[artefact.Arrays, dict[str, Any]]:
        weights = {f"weights.{name}": storage for name, storage in self.weights.items()}
        arrays = nested(tokenizer=self.tokenizer, **weights)
        about = {
            "network": {"config": asdict(self.config), "tokenizer": self.tokenizer.params()},
            "weights": {name: storage.params() for name, storage in self.weights.items()},
            "meta": self.meta,
        }
        return arrays, about

    @classmethod
    def load(cls, path: str | Path) -> "Network":
        """Open a file that `save` wrote; matrices stay in it until they are needed."""

        def build(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Network:
            if "network" not in about:
                raise ValueError(f"{path} holds word vectors, not a network; open it with workbench.load(path)")
            tokenizer = tokens.restore(within(arrays, "tokenizer"), about["network"]["tokenizer"])
            of_weights = within(arrays, "weights")
            weights = {name: Storage.restore(within(of_weights, name), of) for name, of in about["weights"].items()}
            return cls(Config(**about["network"]["config"]), weights, tokenizer, about["meta"])

        return artefact.read(path, build)

    def describe(self) -> list[tuple[str, str]]:
        """Return what a person wants to know at a glance: (label, value) pairs."""
        config, labels = self.config, self.config.labels
        return [
            ("kind", f"{config.kind}, {config.n_layers} layers of {config.dim}" if config.n_layers else config.kind),
            ("embeddings", repr(self.weights[WORDS])),
            ("head", f"{len(labels)} labels ({', '.join(labels[:3])}, ...)" if labels else "none"),
            ("as a file", f"{self.file_bytes / 1e6:.2f} MB, {self.tokenizer_bytes / 1e6:.2f} of them the tokenizer"),
        ]

    def __repr__(self) -> str:
        return f"Network({self.config.kind}, {self.config.n_layers} x {self.config.dim}, {self.nbytes / 1e6:.2f} MB)"

    def _repr_html_(self) -> str:
        return summary_html("Network", self.describe())
