"""Networks as ONNX files, for programs without Python or torch."""

import copy
import logging
import shutil
import tempfile
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .. import files
from .network import Network
from .tokens import PieceTokenizer

TOLERANCE = 1e-4  # largest difference that is rounding
TEXTS = (
    "The library opens at nine, but on Sundays only its reading room is open.",
    "unforgettable",
    "How far is it?",
    "",
)


class Exported(NamedTuple):
    """An ONNX file, and how its outputs for a few texts compare with the network's."""

    path: Path
    difference: float  # largest difference of any output to the network's
    batch_difference: float  # largest difference of any output between a text alone and the same text in a batch
    is_batch_independent: bool  # that difference is no more than rounding


class Outputs(nn.Module):
    """A network's module as the exporter wants it: tensors in, a tuple of tensors out."""

    def __init__(self, net: Network):
        super().__init__()
        self.module = copy.deepcopy(net.module()).cpu()

    def forward(self, ids: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
        found = self.module(ids, weights.to(torch.float32))
        return (found.pooled,) if found.logits is None else (found.pooled, found.logits)


def export(net: Network, path: str | Path, int8: bool = False) -> Exported:
    """Write a network as an ONNX file, and return how close the file's outputs are to the network's.

    Inputs are ``input_ids`` and ``attention_mask`` (int64) where tokens are pieces of words, else ``ids`` (int64)
    and ``weights`` (float32): any number of texts and tokens. Outputs are ``sentence_embedding`` and, of a network
    with a head, ``logits``. The file holds no tokenizer, and weights as numbers, however the network stores them. It
    is for single texts, not for pairs.

    With ``int8``, onnxruntime's ``quantize_dynamic`` stores matrices as int8, with scales by channel, and multiplies
    integers: a quarter of the size, and several times as fast. Activations get one scale for a whole batch, so **the
    outputs of a text depend on the texts beside it**: run one text at a time where that matters.

    Raises
    ------
    ImportError
        Without the packages of the extra ``onnx``.
    ValueError
        If outputs of a float32 file differ from the network's by more than 1e-4; nothing is written then.
    """
    try:
        import onnxruntime
        import onnxruntime.quantization
        import onnxscript  # noqa: F401  (for torch's exporter)
    except ModuleNotFoundError as error:
        raise ImportError("export needs onnx: pip install 'embedding-workbench[networks,onnx]'") from error
    files.check_writable(path)
    is_pieces, outputs = isinstance(net.tokenizer, PieceTokenizer), Outputs(net)
    names = ("input_ids", "attention_mask") if is_pieces else ("ids", "weights")

    def inputs(*texts: str) -> tuple[Tensor, Tensor]:
        tokens = net.tokens(texts)
        weights = tokens.weights.astype(np.int64) if is_pieces else tokens.weights
        return torch.from_numpy(tokens.ids), torch.from_numpy(weights)

    batch = inputs(*TEXTS)
    sizes = dict(enumerate(map(torch.export.Dim, ("texts", "tokens", "pieces")[: batch[0].ndim])))
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        made, plain = Path(folder, "made.onnx"), Path(folder, "plain.onnx")
        with warnings.catch_warnings(), ExitStack() as after:  # both tools warn of their own parts
            warnings.simplefilter("ignore")
            after.callback(logging.disable, logging.root.manager.disable)
            logging.disable(logging.WARNING)
            torch.onnx.export(
                outputs, batch, plain if int8 else made, dynamo=True, verbose=False, external_data=False,
                input_names=names, output_names=("sentence_embedding", "logits")[: len(outputs(*batch))],
                dynamic_shapes=(sizes, sizes),
            )  # fmt: skip
            if int8:
                onnxruntime.quantization.quantize_dynamic(plain, made, per_channel=True)
        session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])

        def run(*texts: str) -> np.ndarray:  # (n_texts, dim + n_labels)
            values = (tensor.numpy() for tensor in inputs(*texts))
            return np.concatenate(session.run(None, dict(zip(names, values, strict=True))), axis=1)

        found, expected = run(*TEXTS), torch.cat(outputs(*batch), dim=1).numpy()
        alone = np.concatenate([run(text) for text in TEXTS])
        difference, of_batches = (float(np.abs(found - other).max()) for other in (expected, alone))
        if not int8 and not difference <= TOLERANCE:
            raise ValueError(f"the file's outputs differ from the network's by {difference:.2g}, so it was not written")
        with open(made, "rb") as source, files.replacing(path) as file:
            shutil.copyfileobj(source, file)
    return Exported(Path(path), difference, of_batches, of_batches <= TOLERANCE)
