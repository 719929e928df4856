"""Opening, looking up and searching a compressed model of 100,000 words, beside compress-fasttext and gensim.

    python benchmarks/search.py [--repeats N]

Both sides get the same model: random codes and codebooks for made-up words, which costs a lookup
or a search the same as real ones. Also here, because it needs no model: OPQ beside faiss, and the
hot loops beside the machine's matrix product. The output is Markdown.
"""

import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from common import (
    BATCH,
    MODEL_FILE,
    N_LOOKUPS,
    REPEATS,
    SIDES,
    by_side,
    compared,
    lookup_speed,
    middle,
    open_in_turns,
    pq_input,
    print_table,
    run_job,
    run_script,
    squared_error,
    take_turns,
)

N_WORDS, N_NGRAMS, N_BUCKETS, DIM, N_CODES = 100_000, 100_000, 2_000_000, 300, 100
ENTRIES = 255  # compress-fasttext's default
OPQ_ROWS, OPQ_DIM, OPQ_CODES = 65_536, 100, 50

CODE = {
    "workbench": "import workbench.formats, safetensors.numpy; from workbench import load",
    "peer": "from compress_fasttext.models import CompressedFastTextKeyedVectors as Vectors; load = Vectors.load",
}


def tables(repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = {side: str(Path(folder, MODEL_FILE[side])) for side in SIDES}
        frequent, rare = run_job("build", paths=paths)
        asked = {"a frequent word": frequent, "the last word": rare}
        opened = {name: open_in_turns(CODE, paths, word, repeats) for name, word in asked.items()}
        found = run_job("search", paths=paths, repeats=repeats)
    print_table(
        f"E. A compressed model of {N_WORDS:,} words and {N_NGRAMS:,} n-grams x {DIM}, {N_CODES} codes a row",
        ("", "workbench", "compress-fasttext", "workbench better by"),
        [
            *(
                compared(f"call of `load` to the vector of {name}, ms", by_side(runs, "first"), "{:.1f}")
                for name, runs in opened.items()
            ),
            compared("`most_similar`, top 10, ms", found["search"], "{:.1f}"),
            compared("norms of all words, once a model, ms", found["norms"], "{:.1f}"),
            *(compared(f"lookups a second, {n}", v, "{:,.0f}", "higher") for n, v in found["lookups"].items()),
        ],
        [
            f"Opening: a fresh process each time, after imports, the file in the page cache. Search finds the same "
            f"words on both sides. A batch has {BATCH} words, of {N_LOOKUPS:,}."
        ],
    )
    job = run_job("opq", repeats=3)
    print_table(
        f"F. OPQ of {OPQ_ROWS:,} x {OPQ_DIM}, {OPQ_CODES} codes, and the hot loops beside the machine",
        ("", "workbench", "faiss", "faiss / workbench"),
        [
            compared("train, s: rotation and codebooks", by_side(job["runs"], "train")),
            compared("mean squared error", by_side(job["runs"], "mse"), "{:.6f}", better=None),
        ],
        [
            f"Rows of correlated normal numbers. Share of the machine's matrix-product rate ({job['rate'] / 1e9:.0f} "
            f"thousand million multiply-adds a second, float32, 2 threads) that `kernels.encode` reaches with 3 "
            f"columns a subvector: {middle(job['encode'])}."
        ],
    )


def build(paths: dict[str, str]) -> list[str]:
    """Job: the same model for both sides; returns a frequent word and the last one."""
    import numpy as np
    from compress_fasttext.compress import make_new_fasttext_model
    from compress_fasttext.navec_like import PQ
    from compress_fasttext.prune import RowSparseMatrix

    import workbench as wb
    from workbench.storage import Coded, Stacked
    from workbench.subwords import Subwords
    from workbench.vocab import Vocab

    rng = np.random.default_rng(0)
    width = DIM // N_CODES
    spans = np.array([(start, start + width) for start in range(0, DIM, width)], np.int32)

    def coded(n: int) -> Coded:
        entries = rng.standard_normal((256, DIM), dtype=np.float32)
        return Coded.of(rng.integers(ENTRIES, size=(n, N_CODES), dtype=np.uint8), entries, spans, DIM, 8)

    def as_theirs(rows: Coded) -> Any:
        entries = rows.codebooks[:ENTRIES].reshape(ENTRIES, N_CODES, width).transpose(1, 0, 2)
        return PQ(len(rows), DIM, N_CODES, ENTRIES, rows.packed, np.ascontiguousarray(entries))

    letters = list("абвгдежзиклмнопрстуфхцчшщыьэюя")
    words: dict[str, None] = {}
    while len(words) < N_WORDS:
        words["".join(rng.choice(letters, size=rng.integers(3, 13)))] = None
    subwords = Subwords(3, 6, N_BUCKETS)
    used = np.unique(subwords.buckets(list(words)[:30_000])[1])
    kept = np.sort(rng.permutation(used)[:N_NGRAMS])
    counts = np.sort(rng.integers(5, 1_000_000, N_WORDS))[::-1].copy()
    storage = Stacked(coded(N_WORDS), coded(len(kept)))
    v = wb.Vectors(Vocab(list(words), None, counts, subwords.keep(kept)), storage)
    v.save(paths["workbench"])

    class Shape:
        vector_size, min_n, max_n = DIM, 3, 6

    ngrams = RowSparseMatrix.from_small(kept.tolist(), as_theirs(storage.ngrams), N_BUCKETS)
    places = {word: i for i, word in enumerate(words)}
    make_new_fasttext_model(Shape, as_theirs(storage.words), ngrams, places).save(paths["peer"])
    return [v.words[50], v.words[-1]]


def search(paths: dict[str, str], repeats: int) -> dict:
    """Job: norms, neighbours and lookups, in turns."""
    import numpy as np
    from compress_fasttext.models import CompressedFastTextKeyedVectors

    import workbench as wb

    ours, theirs = wb.load(paths["workbench"]), CompressedFastTextKeyedVectors.load(paths["peer"])
    np.testing.assert_allclose(theirs[ours.words[7]], ours[ours.words[7]], rtol=1e-5)
    ours.storage.words.norms()  # compiles
    calls = {"workbench": ours.storage.words.norms, "peer": partial(theirs.fill_norms, force=True)}
    norms = [take_turns(calls, turn)[0] for turn in range(3)]
    runs = []
    for turn, word in enumerate(ours.words[10 : 11 + repeats]):
        calls = {side: partial(v.most_similar, word, topn=10) for side, v in zip(SIDES, (ours, theirs), strict=True)}
        seconds, found = take_turns(calls, turn)
        if [w for w, _ in found["workbench"]] != [w for w, _ in found["peer"]]:
            raise RuntimeError(f"the two sides find different neighbours of {word}")
        runs.append(seconds)
    unseen = [word[::-1] + "а" for word in ours.words[:5_000]]
    asked = {"kept words": ours.words, "unseen words": [w for w in unseen if w not in ours and ours.can_embed(w)]}

    in_ms = {
        name: {side: [1e3 * turn[side] for turn in turns] for side in SIDES}
        for name, turns in (("norms", norms), ("search", runs[1:]))
    }
    return in_ms | {"lookups": lookup_speed(ours, theirs, asked)}


def opq(repeats: int) -> dict:
    """Job: OPQ on both sides, and the rate of encoding over that of a matrix product."""
    import faiss
    import numpy as np

    import workbench as wb
    from workbench import kernels

    faiss.omp_set_num_threads(2)
    rng = np.random.default_rng(0)
    mixed = rng.standard_normal((OPQ_DIM, OPQ_DIM)) * np.geomspace(1, 0.05, OPQ_DIM)[:, None]
    rows = (rng.standard_normal((OPQ_ROWS, OPQ_DIM)) @ mixed).astype(np.float32)
    v = wb.Vectors.from_arrays([f"w{i}" for i in range(OPQ_ROWS)], rows)
    wb.OPQ(OPQ_CODES, n_iter=1, n_rotations=1).fit_transform(v.head(3_000))  # compiles

    def of_faiss() -> tuple[Any, Any]:
        turn, pq = faiss.OPQMatrix(OPQ_DIM, OPQ_CODES), faiss.ProductQuantizer(OPQ_DIM, OPQ_CODES, 8)
        turn.train(rows)
        pq.train(turn.apply(rows))
        return turn, pq

    runs = []
    for seed in range(repeats):
        calls = {"workbench": partial(wb.OPQ(OPQ_CODES, random_state=seed).fit, v), "peer": of_faiss}
        seconds, fitted = take_turns(calls, seed)
        turn, pq = fitted["peer"]
        decoded = {
            "workbench": fitted["workbench"].transform(v).matrix(),
            "peer": turn.reverse_transform(pq.decode(pq.compute_codes(turn.apply(rows)))),
        }
        runs.append({s: {"train": seconds[s], "mse": squared_error(decoded[s], rows)} for s in SIDES})
    normal, _ = pq_input()
    codebooks, spans = (
        wb.PQ(DIM // 3, n_iter=1).fit(wb.Vectors.from_arrays(v.words[:9_000], normal[:9_000])).learned_["words"]
    )
    square = rng.standard_normal((3_000, 3_000), dtype=np.float32)
    calls = {"product": partial(np.matmul, square, square), "encode": partial(kernels.encode, normal, codebooks, spans)}
    turns = [take_turns(calls, turn)[0] for turn in range(repeats + 2)]
    work = {"product": 3_000**3, "encode": normal.size * 256}
    rates = {name: [work[name] / turn[name] for turn in turns] for name in calls}
    share = [a / b for a, b in zip(rates["encode"], rates["product"], strict=True)]
    return {"runs": runs, "rate": median(rates["product"]), "encode": share}


if __name__ == "__main__":
    run_script(tables, [build, search, opq], {"--repeats": REPEATS | {"default": 7, "help": "default 7"}})
