"""Every reader of the project: valid files to begin with, how one is opened, and what a user does next."""

import gzip
import importlib.util
import io
import json
import pickle
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as safetensors_bytes
from test_formats import SUPERVISED, fasttext_bytes

import workbench as wb
from workbench import formats
from workbench.compress.corpus import word_counts
from workbench.reports.metrics import Metric, compare, read_baseline
from workbench.semantic import SemanticIDs, load_items
from workbench.storage import Dense, Stacked
from workbench.subwords import Subwords
from workbench.vocab import Vocab

Parts = dict[str, bytes]  # files by name; those of a folder by their path in it
GOLDEN = Path(__file__).parents[1] / "golden"
WORDS = ["one", "два", "three", "naïve", "\udcff\udc80", "猫", "</s>", "eleven"]
LARGEST = 1 << 14  # bytes of a seed: of a small file a greater part is what rules the rest
SMALL = 1 << 20  # numbers up to which all vectors of a model are looked at


@dataclass(frozen=True)
class Reader:
    """A reader, and what is asked of it.

    Parameters
    ----------
    name : str
    make : function that gives the seeds, valid inputs
    open : function of a path
        Of hostile files it may raise ValueError alone.
    use : function of what was opened
        What a user would do next; it may raise ValueError and KeyError.
    is_folder : bool
        Whether the path is a folder with the parts in it, or the one part.
    """

    name: str
    make: Callable[[], Iterator[Parts]]
    open: Callable[[Path], Any]
    use: Callable[[Any], object] = repr
    is_folder: bool = False

    @cached_property
    def seeds(self) -> list[Parts]:
        return list(self.make())

    def write(self, parts: Parts, folder: Path) -> Path:
        """Put an input where it can be opened; gives the path to open."""
        for name, data in parts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder if self.is_folder else folder / next(iter(parts))


def read_parts(folder: Path) -> Parts:
    """All files in a folder, by their path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if not path.is_dir()}


# -- models --------------------------------------------------------------------------------


def use_model(v: wb.Vectors) -> None:
    """What a user does with a model; the whole matrix is looked at where it is small."""
    if not len(v) or v.dim < 1:
        raise AssertionError(f"a model of {len(v)} words and {v.dim} dimensions was opened")
    is_small = len(v) * v.dim <= SMALL
    repr(v), v.describe(), v._repr_html_()
    words = [*v.words[:3], v.words[-1], "unseen", "猫猫", ""]
    for word in words:
        _tolerant(lambda word=word: v[word])
        _tolerant(lambda word=word: v.can_embed(word))
    found = v.get_vectors(words, missing="zero")
    if found.shape != (len(words), v.dim) or found.dtype != np.float32:
        raise AssertionError(f"{len(words)} words of {v.dim} dimensions gave {found.dtype} of shape {found.shape}")
    if is_small:
        _tolerant(lambda: list(v.blocks()))
        _tolerant(lambda: v.most_similar(v.words[0]))


def _tolerant(look: Callable[[], object]) -> None:
    """A word may have no vector, a row may hold NaN: these errors end one look, not the others."""
    with suppress(KeyError, ValueError):
        look()


def plain(dim: int = 4) -> wb.Vectors:
    rows = np.random.default_rng(1).normal(size=(len(WORDS), dim))
    return wb.Vectors.from_arrays(WORDS, rows, np.arange(len(WORDS), 0, -1))


def with_ngrams(n_buckets: int = 30, dim: int = 4) -> wb.Vectors:
    rng = np.random.default_rng(2)
    words, ngrams = (rng.normal(size=(n, dim)).astype(np.float32) for n in (len(WORDS), n_buckets))
    vocab = Vocab(WORDS, counts=np.arange(len(WORDS), 0, -1), subwords=Subwords(2, 4, n_buckets, raw=True))
    return wb.Vectors(vocab, Stacked(Dense(words), Dense(ngrams)), {"provenance": {"source": "made up"}})


def compressed() -> Iterator[wb.Vectors]:
    """One model at least of every kind of storage and vocabulary that an artefact holds."""
    yield plain()
    yield with_ngrams()
    big, text = with_ngrams(400, 8), plain(8)
    yield wb.Chain([wb.Prune(6, 20), wb.SQ()]).fit_transform(big)
    yield wb.Chain([wb.Prune(6, 20), wb.SQ(on="ngrams"), wb.Residual()]).fit_transform(big)
    yield wb.Chain([wb.Rehash(70), wb.PQ(3, n_bits=3, norms=True)]).fit_transform(big)
    yield wb.Chain([wb.Prune(6, 50, remap="nearest"), wb.SVD(4)]).fit_transform(big)
    wide = wb.Vectors.from_arrays([f"w{i}" for i in range(60)], np.random.default_rng(3).normal(size=(60, 8)))
    for step in (wb.PQ(3, n_bits=2), wb.RQ(2, n_bits=2), wb.OPQ(2, n_bits=2, n_rotations=1), wb.SQ("int8")):
        yield step.fit_transform(wide)
    yield wb.SQ("kmeans", n_bits=3).fit_transform(wide)
    yield wb.Chain([wb.SVD(3), wb.SQ()]).fit_transform(wide)
    yield wb.Prune(4, remap="nearest", threshold=0).fit_transform(text)


def exported(known: formats.Format) -> Iterator[Parts]:
    """What this format makes of some models, and files that its own tool made."""
    yield from golden(known)
    if known.save is None or known.is_pickle:
        return
    for make in (plain, with_ngrams):
        for ending in ("", ".gz")[: 1 + known.gzips]:
            with tempfile.TemporaryDirectory() as folder:
                path = formats.export(make(), Path(folder) / f"model{ending}", known.name)
                yield read_parts(path) if known.is_folder else {path.name: path.read_bytes()}


def golden(known: formats.Format) -> Iterator[Parts]:
    """Small models of this format among those that its own tool made."""
    for path in sorted(GOLDEN.glob("*/*")):
        parts = read_parts(path) if path.is_dir() else {path.name: path.read_bytes()}
        try:
            found = formats._recognised(path)[0]
        except (ValueError, OSError):  # what is to come of a model, and no model
            continue
        is_its = found is known or (known.looks_like is None and path.name.endswith(known.suffixes))
        if is_its and sum(map(len, parts.values())) <= LARGEST:
            yield parts


def fasttexts() -> Iterator[Parts]:
    """By hand, as the official tool wrote them at one time or another."""
    words = [word.encode("utf-8", "surrogateescape") for word in WORDS[:4]]
    rows = np.random.default_rng(4).normal(size=(30, 3)).astype(np.float32)
    for options in ({}, {"magic": False}, {"version": 11}):
        yield {"model.bin": fasttext_bytes(words, rows, 26, **options)}
        yield {"model.bin": fasttext_bytes(words, rows, model=SUPERVISED, labels=[b"__label__a"], **options)}


def pickles() -> Iterator[Parts]:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield {"model.kv": pickle.dumps({"vectors": [1.0, 2.0]}, protocol)}


def npys() -> Iterator[Parts]:
    for parts in matrices():
        if "rows.npy" in parts:
            yield {"rows.npy": parts["rows.npy"], "rows.txt": b"a\nb\nc\nd\n"}


def npzs() -> Iterator[Parts]:
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, vectors=np.eye(4, dtype=np.float32), words=np.array(["a", "b", "c", "два"]))
        yield {"rows.npz": file.getvalue()}


def tables() -> Iterator[Parts]:
    yield {"rows.tsv": "a\t1.5\t2\nдва\t-3e5\t4\n".encode()}
    yield {"rows.csv": b'word,x,y\n"a, b",1,2\nc,3,4\n'}
    yield {"rows.tsv": b"1\t2\t3\n4\t5\t6\n", "metadata.tsv": b"word\tcount\na\t1\nb\t2\n"}


def artefacts() -> Iterator[Parts]:
    with tempfile.TemporaryDirectory() as folder:
        for number, v in enumerate(compressed()):
            yield {"model.safetensors": v.save(Path(folder) / str(number)).read_bytes()}


def models() -> Iterator[Reader]:
    """A reader for each foreign format, and one for our own."""
    by_hand = {"fasttext": fasttexts, "gensim": pickles, "npy": npys, "npz": npzs, "table": tables}
    for known in formats.FORMATS:
        if known.name == "parquet" and importlib.util.find_spec("pyarrow") is None:
            continue

        def seeds(known=known) -> Iterator[Parts]:
            yield from exported(known)
            yield from by_hand.get(known.name, lambda: iter(()))()

        yield Reader(known.name, seeds, wb.load, use_model, known.is_folder)
    yield Reader("safetensors", artefacts, wb.load, use_model)


# -- recipes, baselines, lists of words ----------------------------------------------------


def recipes() -> Iterator[Parts]:
    steps = [wb.Prune(100, 50, choose="coverage"), wb.Refit(), wb.PQ(4), wb.SQ("int8"), wb.Residual(), wb.RQ(2)]
    for recipe in (*steps, wb.Chain(steps), wb.Chain([wb.Chain(steps[:1]), wb.SVD(2)])):
        yield {"recipe": json.dumps(recipe.to_json()).encode()}
        yield {"recipe": repr(recipe).encode()}


def use_recipe(recipe: Any) -> None:
    if wb.from_json(recipe.to_json()).to_json() != recipe.to_json():
        raise AssertionError("a recipe is not what its JSON says")
    repr(recipe), json.dumps(recipe.to_json())


def baselines() -> Iterator[Parts]:
    terms = {"value": 0.5, "abs": 0.01, "better": "higher"}
    yield {"00.json": json.dumps({"kept": terms, "size": {"value": 10, "abs": 0, "better": "equal"}}).encode()}


def use_baseline(baseline: dict[str, Metric]) -> None:
    compare([Metric("kept", 0.5, 0.01, "higher")], baseline)


def corpora() -> Iterator[Parts]:
    yield {"text.txt": "a text of words \nand lines, два".encode()}
    yield {"counts.txt": b"the\t100\nof 50\n\nnaive 3\n"}
    yield {"counts.gz": gzip.compress(b"the\t100\nof 50\n", mtime=0)}


# -- semantic ids --------------------------------------------------------------------------


def some_ids() -> Iterator[SemanticIDs]:
    rows = np.random.default_rng(6).normal(size=(len(WORDS), 3)).astype(np.float32)
    ids = SemanticIDs.from_vectors(rows, 2, 4, items=WORDS, names=[word * 2 for word in WORDS])
    yield ids
    yield ids.disambiguated()


def ids_as(ending: str) -> Callable[[], Iterator[Parts]]:
    def seeds() -> Iterator[Parts]:
        with tempfile.TemporaryDirectory() as folder:
            for ids in some_ids():
                path = Path(folder) / f"ids{ending}"
                ids.save(path)
                yield {path.name: path.read_bytes()}

    return seeds


def use_ids(ids: SemanticIDs) -> None:
    repr(ids), ids._repr_html_(), ids.tokens()
    _tolerant(lambda: ids.nearest(ids.items[0], topn=2))
    _tolerant(lambda: ids.to_frame())
    _tolerant(lambda: ids.to_vectors())


def collections() -> Iterator[Parts]:
    texts = ["a red bird", "a blue bird sings", "the old house", "two houses, and a bird", "nothing else"]
    rows = "".join(f"i{i},{text.title()!r},{i * 10},{text!r}\n" for i, text in enumerate(texts))
    items = f"id,title,price,text\n{rows}".replace("'", '"').encode()
    seen = b"user,item,time\nu,i0,1\nu,i1,2\nv,i2,1\nv,i4,1\nv,i0,0\n"
    yield {"items.csv": items}
    yield {"items.csv": items, "interactions.csv": seen}
    yield {"items.csv": items, "interactions.csv": re.sub(rb",(\d)\n", rb",2024-05-1\1\n", seen)}


def matrices() -> Iterator[Parts]:
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    yield {"rows.safetensors": safetensors_bytes({"rows": rows, "ids": np.arange(4)})}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        for matrix in (rows, rows.astype(np.float64), np.asfortranarray(rows).astype(np.int8)):
            np.save(path, matrix)
            yield {path.name: path.read_bytes()}
        yield {"rows.safetensors": plain().save(Path(folder) / "own").read_bytes()}


READERS = {
    reader.name: reader
    for reader in (
        *models(),
        Reader("recipe", recipes, lambda path: wb.recipe_from(path), use_recipe),
        Reader("baseline", baselines, read_baseline, use_baseline),
        Reader("corpus", corpora, word_counts),
        Reader("ids.csv", ids_as(".csv"), SemanticIDs.load, use_ids),
        Reader("ids.json", ids_as(".json"), SemanticIDs.load, use_ids),
        Reader("ids.index.json", ids_as(".index.json"), SemanticIDs.load, use_ids),
        Reader("ids.safetensors", ids_as(".safetensors"), SemanticIDs.load, use_ids),
        Reader("items", collections, lambda path: load_items(path, n_features=4), is_folder=True),
        Reader("matrix", matrices, load_items),
    )
}
