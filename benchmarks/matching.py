"""How far compression moves BERTScore: F1 of pairs of texts by a network, before and after.

    python benchmarks/matching.py NETWORK TEXTS

NETWORK is a folder of a BERT, TEXTS a text a line. Pairs are drawn by a seed: 300 of different texts, and 300 of a text
and some of its own words in another order. Correlations are Spearman's.
"""

import sys
from pathlib import Path
from typing import Any

from common import print_table, print_versions, run_job, run_script

N_PAIRS = 300
KINDS = ("different texts", "words of one text")


def tables(network: str | None, texts: str | None) -> None:
    if network is None or texts is None:
        print("\nLeft out: give a folder of a BERT and a file of texts.")
        return
    print_versions("torch", "numpy")
    header = ("", "MB", *(f"{what}, {kind}" for kind in KINDS for what in ("correlation", "F1 moves by")))
    print_table("B. BERTScore", header, run_job("matched", 1, network=network, texts=texts), [f"{N_PAIRS} pairs each."])


def matched(network: str, texts: str) -> list[list[str]]:
    """Job: a row for each recipe."""
    import numpy as np

    import workbench as wb
    from workbench import networks
    from workbench.evaluate.similarity import spearman

    rng = np.random.default_rng(0)
    listed = sorted({line.strip() for line in Path(texts).read_text(encoding="utf-8").splitlines() if line.strip()})
    first, second = (list(part) for part in np.split(rng.permutation(listed)[: 2 * N_PAIRS], 2))
    shares = rng.uniform(0.2, 1, N_PAIRS)
    parts = []
    for text, share in zip(second, shares, strict=True):
        words = rng.permutation(text.split())
        parts.append(" ".join(words[: max(1, int(share * len(words)))]))

    def f1(net: Any) -> list[Any]:
        return [networks.bert_score(net, of, second)["f1"].to_numpy() for of in (first, parts)]

    big = networks.load(network)
    before, rows = f1(big), []
    embeddings = networks.Each(wb.PQ(96), on="embeddings")
    layers = {"int8": networks.Each(wb.SQ("int8"), on="layers")}
    for n in (4, 3, 2):
        layers[f"{n} bits"] = networks.Each(wb.SQ("kmeans", n_bits=n), on="layers", width=16)
    for name, step in layers.items():
        small = wb.Chain([embeddings, step]).fit_transform(big)
        row = [f"PQ of the embeddings in 96 codes, layers in {name}"]
        row.append(f"{(small.file_bytes - small.tokenizer_bytes) / 1e6:.2f}")
        for a, b in zip(before, f1(small), strict=True):
            row += [f"{spearman(a[None], b[None])[0]:.3f}", f"{np.abs(a - b).mean():.3f}"]
        rows.append(row)
        print(row, file=sys.stderr)
    return rows


if __name__ == "__main__":
    run_script(tables, [matched], {"network": {"nargs": "?"}, "texts": {"nargs": "?"}})
