"""The two kinds of networks in torch: a BERT with the public parameter names, and a bag of rows.

Both take ids and weights of the same shape. With (n, tokens) a token is one row, and its weight is 1, or 0 for
padding. With (n, tokens, pieces) a token is the weighted sum of several rows, such as those of its n-grams. A BERT
also takes pairs of texts, as one text of tokens of two types.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import Config
from .tokens import token_places

DROPOUT = 0.1  # in training, as BERT's


class Output(NamedTuple):
    """The embeddings, logits and states of a batch of texts."""

    pooled: Tensor  # (n, dim) embeddings
    logits: Tensor | None  # (n, n_labels), of a network with a head
    states: list[Tensor]  # (n, tokens, dim) each: the embedded tokens, then those after each layer


class Layer(nn.Module):
    """Self-attention, then two dense layers, each added to what it got and normalised (Vaswani et al., 2017)."""

    def __init__(self, config: Config, n_inner: int):
        super().__init__()
        dim, self.n_heads = config.dim, config.n_heads
        self.attention: Any = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(dim, dim) for name in ("query", "key", "value")}),
                "output": nn.ModuleDict({"dense": nn.Linear(dim, dim), "LayerNorm": nn.LayerNorm(dim, config.eps)}),
            }
        )
        self.intermediate: Any = nn.ModuleDict({"dense": nn.Linear(dim, n_inner)})
        self.output: Any = nn.ModuleDict({"dense": nn.Linear(n_inner, dim), "LayerNorm": nn.LayerNorm(dim, config.eps)})

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (
            project(states).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (n, heads, tokens, dim / heads)
            for project in self.attention["self"].values()
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, mask).transpose(1, 2).flatten(2)
        states = added(self.attention["output"], states, mixed, self.training)
        inner = functional.gelu(self.intermediate["dense"](states))  # (n, tokens, n_inner)
        return added(self.output, states, inner, self.training)


def added(block: Any, states: Tensor, inner: Tensor, training: bool) -> Tensor:
    """Return states plus what a block's dense layer makes of `inner`, normalised."""
    return block["LayerNorm"](states + functional.dropout(block["dense"](inner), DROPOUT, training))


class Texts(nn.Module):
    """The last layers of both kinds: a projection of embeddings and a head, each where the configuration has it."""

    def __init__(self, config: Config):
        super().__init__()
        self.projection = nn.Linear(config.dim, config.n_out) if config.n_out is not None else None
        self.classifier = nn.Linear(config.width, len(config.labels)) if config.labels else None

    def output(self, pooled: Tensor, states: list[Tensor]) -> Output:
        if self.projection is not None:
            pooled = self.projection(pooled)  # (n, n_out)
        return Output(pooled, None if self.classifier is None else self.classifier(pooled), states)


class Encoder(Texts):
    """A BERT, checked against transformers' own; parameters have the names of its files without ``bert.``."""

    def __init__(self, config: Config, n_rows: int):
        super().__init__(config)
        dim, self.pooling = config.dim, config.pooling
        self.embeddings: Any = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(n_rows, dim),
                "position_embeddings": nn.Embedding(config.max_tokens, dim),
                "token_type_embeddings": nn.Embedding(2, dim),
                "LayerNorm": nn.LayerNorm(dim, config.eps),
            }
        )
        self.encoder: Any = nn.ModuleDict({"layer": nn.ModuleList(Layer(config, n) for n in config.n_inner)})
        if config.pooling == "pooler":
            self.pooler: Any = nn.ModuleDict({"dense": nn.Linear(dim, dim)})

    def forward(self, ids: Tensor, weights: Tensor, types: Tensor | None = None) -> Output:
        is_token = token_places(weights)
        tables = self.embeddings
        states = weighted_rows(tables["word_embeddings"].weight, ids, weights)  # (n, tokens, dim)
        of_types = tables["token_type_embeddings"].weight[0 if types is None else types]  # (dim,) or (n, tokens, dim)
        states = states + tables["position_embeddings"].weight[: ids.shape[1]] + of_types
        states = functional.dropout(tables["LayerNorm"](states), DROPOUT, self.training)
        first = torch.arange(ids.shape[1], device=ids.device) == 0  # so that a text without tokens attends to something
        mask = (is_token | first)[:, None, None, :]  # (n, 1, 1, tokens)
        found = [states]
        for layer in self.encoder["layer"]:
            found.append(layer(found[-1], mask))
        return self.output(self.pooled(found[-1], is_token), found)

    def pooled(self, states: Tensor, is_token: Tensor) -> Tensor:
        """Return the embeddings of texts, (n, dim), from states of their tokens."""
        if self.pooling == "mean":
            share = is_token / is_token.sum(1, keepdim=True).clamp(min=1)
            return (states * share[..., None]).sum(1)
        first = states[:, 0]
        return torch.tanh(self.pooler["dense"](first)) if self.pooling == "pooler" else first


class Bag(Texts):
    """Texts as weighted sums of rows (Joulin et al., "Bag of tricks for efficient text classification", 2017).

    Ids and weights are (n, pieces), so that `DataParallel` and `DistributedDataParallel` cut them by text; flat ids
    with offsets cannot be cut so.
    """

    def __init__(self, config: Config, n_rows: int):
        super().__init__(config)
        self.embeddings: Any = nn.ModuleDict({"word_embeddings": nn.EmbeddingBag(n_rows, config.dim, mode="sum")})

    def forward(self, ids: Tensor, weights: Tensor) -> Output:
        rows = self.embeddings["word_embeddings"]
        if torch.compiler.is_exporting():
            return self.output(plain_sum(rows.weight, ids, weights), [])
        return self.output(rows(ids, per_sample_weights=weights), [])


def weighted_rows(table: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    """Return a row for each token, (n, tokens, dim): its own, or the weighted sum over its pieces."""
    if ids.ndim == 2:
        return functional.embedding(ids, table)
    if torch.compiler.is_exporting():
        return plain_sum(table, ids, weights)
    is_piece = weights != 0  # padding is most of it
    counts = is_piece.sum(-1).flatten()  # (n * tokens,)
    starts = counts.cumsum(0) - counts
    rows = functional.embedding_bag(ids[is_piece], table, starts, mode="sum", per_sample_weights=weights[is_piece])
    return rows.unflatten(0, ids.shape[:2])


def plain_sum(table: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    """Return weighted sums of rows, (..., dim), by operations that every program for ONNX files knows."""
    return (functional.embedding(ids, table) * weights[..., None]).sum(-2)


def build(config: Config, n_rows: int) -> nn.Module:
    """Return a module without weights yet."""
    with torch.device("meta"):
        return (Encoder if config.kind == "bert" else Bag)(config, n_rows)
