"""The shape of a network: what a file holds beside its weights."""

from collections.abc import Sequence
from dataclasses import dataclass

WORDS = "embeddings.word_embeddings.weight"
HEAD = "classifier"
PROJECTION = "projection"
KINDS = ("bert", "bag")
POOLINGS = ("mean", "cls", "pooler")  # of token states, the first state, the first one through a dense layer and tanh
MAX_LAYERS, MAX_SIZE = 1_000, 1 << 20


@dataclass(frozen=True)
class Config:
    """The shape of a network, and the labels that its head tells apart.

    Parameters
    ----------
    kind : {"bert", "bag"}
        A transformer of Devlin et al. (2019), or the sum of weighted rows.
    dim : int
        Numbers in the state of a token.
    n_inner : sequence of int
        Neurons between the two dense layers of each block; its length is the number of layers.
    n_heads : int
        Attention heads.
    max_tokens : int
        Positions; longer texts lose their end.
    pooling : {"mean", "cls", "pooler"}
        How states of tokens become the embedding of a text.
    eps : float
        Added to variances in layer normalisation.
    labels : sequence of str
        What the head tells apart; empty without a head.
    n_out : int, optional
        Numbers in the embedding of a text, where a last dense layer maps it into a space of another width.
    """

    kind: str
    dim: int
    n_inner: Sequence[int] = ()
    n_heads: int = 1
    max_tokens: int = 512
    pooling: str = "mean"
    eps: float = 1e-12
    labels: Sequence[str] = ()
    n_out: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_inner", tuple(self.n_inner))  # a list in JSON
        object.__setattr__(self, "labels", tuple(self.labels))
        sizes = (self.dim, self.n_heads, self.max_tokens, self.width, *self.n_inner)
        is_sized = all(type(size) is int and 0 < size <= MAX_SIZE for size in sizes)
        is_known = self.kind in KINDS and self.pooling in POOLINGS and 0 < self.eps < 1
        if not is_sized or not is_known or self.dim % self.n_heads or self.n_layers > MAX_LAYERS:
            raise ValueError(f"a network cannot have this shape: {str(self)[:300]}")
        if not all(isinstance(label, str) for label in self.labels) or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"expected labels to be different texts, got {str(self.labels)[:100]}")

    @property
    def n_layers(self) -> int:
        """Number of transformer layers."""
        return len(self.n_inner)

    @property
    def width(self) -> int:
        """Numbers in the embedding of a text."""
        return self.dim if self.n_out is None else self.n_out

    def shapes(self, n_rows: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter by its public name, where the embeddings have so many rows."""
        dim = self.dim
        shapes: dict[str, tuple[int, ...]] = {WORDS: (n_rows, dim)}

        def layer(name: str, *shape: int) -> None:
            shapes.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

        if self.kind == "bert":
            shapes["embeddings.position_embeddings.weight"] = (self.max_tokens, dim)
            shapes["embeddings.token_type_embeddings.weight"] = (2, dim)
            layer("embeddings.LayerNorm", dim)
            for i, n_inner in enumerate(self.n_inner):
                block = f"encoder.layer.{i}"
                for name in ("query", "key", "value"):
                    layer(f"{block}.attention.self.{name}", dim, dim)
                layer(f"{block}.attention.output.dense", dim, dim)
                layer(f"{block}.attention.output.LayerNorm", dim)
                layer(f"{block}.intermediate.dense", n_inner, dim)
                layer(f"{block}.output.dense", dim, n_inner)
                layer(f"{block}.output.LayerNorm", dim)
            if self.pooling == "pooler":
                layer("pooler.dense", dim, dim)
        if self.n_out is not None:
            layer(PROJECTION, self.n_out, dim)
        if self.labels:
            layer(HEAD, len(self.labels), self.width)
        return shapes
