"""Makes tests/golden/static_embedding with sentence-transformers 6.2 and model2vec 0.10, and what they say.

Run it where those are installed: ``python tests/golden/make_static_embedding.py``.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from model2vec import StaticModel
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

FOLDER = Path(__file__).parent / "static_embedding"
TOKENS = ["[UNK]", "apple", "new", "york", "##s", "żółw", "😀"]
DIM = 4


def tokenizer(model: models.Model) -> Tokenizer:
    made = Tokenizer(model)
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def wordpiece() -> Tokenizer:
    made = tokenizer(models.WordPiece({token: i for i, token in enumerate(TOKENS)}, unk_token="[UNK]"))
    made.add_tokens([AddedToken("grüße", normalized=False)])
    return made


def static(made: Tokenizer, seed: int, *more: torch.nn.Module) -> SentenceTransformer:
    matrix = np.random.default_rng(seed).normal(size=(made.get_vocab_size(), DIM)).astype(np.float32)
    return SentenceTransformer(modules=[StaticEmbedding(made, embedding_weights=matrix), *more], device="cpu")


def saved(name: str, model: SentenceTransformer) -> dict[str, list[float]]:
    """Writes the model and tells the row of each of its tokens."""
    model.save(str(FOLDER / name))
    module = model[0]
    rows = module.embedding.weight.detach().float()
    return {token: rows[number].tolist() for token, number in module.tokenizer.get_vocab().items()}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    byte_pairs = models.BPE({"a": 0, "p": 1, "ap": 2, "Ġthe": 3}, [("a", "p")])
    pieces = models.Unigram([("<unk>", 0.0), ("▁apple", -1.0), ("s", -2.0)], unk_id=0)
    brain = static(wordpiece(), 2)
    brain[0].embedding.to(torch.bfloat16)
    expected = {
        "wordpiece": saved("wordpiece", static(wordpiece(), 0)),
        "bpe": saved("bpe", static(tokenizer(byte_pairs), 1)),
        "bfloat16": saved("bfloat16", brain),
        "unigram": saved("unigram", static(tokenizer(pieces), 3, Normalize())),
    }
    rng = np.random.default_rng(4)
    n = wordpiece().get_vocab_size()
    beside = {
        "mapped": {"token_mapping": rng.integers(3, size=n)},
        "weighted": {"weights": rng.random(n)},
    }
    for name, more in beside.items():
        is_mapped = name == "mapped"
        matrix = rng.normal(size=(3 if is_mapped else n, DIM)).astype(np.float16 if is_mapped else np.float32)
        StaticModel(matrix, wordpiece(), **more).save_pretrained(FOLDER / name)
        module = SentenceTransformer(str(FOLDER / name), device="cpu")[0]  # folds what is beside into the rows
        rows = module.embedding.weight.detach().float()
        expected[name] = {token: rows[i].tolist() for token, i in module.tokenizer.get_vocab().items()}
    for file in FOLDER.rglob("README.md"):  # model cards
        file.unlink()
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
