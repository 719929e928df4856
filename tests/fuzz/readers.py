"""Every reader of the project: valid files to begin with, how one is opened, and what a user does next."""

import gzip
import io
import json
import pickle
import random
import re
import resource
import signal
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fuzz.mutations import mutated
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
MAX_SEED = 1 << 14  # bytes: of a small file a greater part is what rules the rest
SECONDS = 3.0  # of processor time for one input, which takes a tenth here
KILL = 120  # seconds after which a process that hangs where Python's own alarm does not reach is ended
MORE = 64 << 20  # bytes that opening may take beyond twice the file
IN_USE = 1 << 30  # bytes that may be taken later: vectors are decoded block by block
FOLDERS = (FileNotFoundError, IsADirectoryError, NotADirectoryError)  # honest of a folder with files missing


class Hang(BaseException):
    """It takes too long."""


@dataclass(frozen=True)
class Reader:
    """A reader: its name, the valid inputs that `make` gives, `open` of a path, and `use` of what was opened.

    Of hostile files `open` may raise ValueError alone, `use` may raise KeyError, too. With `is_folder` the path is a
    folder with the parts in it, else the first part.
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
        for name, data in parts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder if self.is_folder else folder / next(iter(parts))

    def made(self, number: int, seed: int) -> Parts:
        """Input `number`, always the same of one seed: a valid one with a change in one of its files, or two."""
        rng = random.Random(f"{seed} {self.name} {number}")
        parts = dict(rng.choice(self.seeds))
        for _ in range(1 if len(parts) == 1 else rng.choice((1, 1, 2))):
            name = rng.choice(list(parts))
            if len(parts) > 1 and rng.random() < 0.03:
                del parts[name]
            else:
                parts[name] = mutated(parts[name], rng, [other[name] for other in self.seeds if name in other])
        return parts

    def check(self, parts: Parts, folder: Path) -> None:
        """Open an input and use what was opened: it is refused in one line that names it, or harmless."""
        path = self.write(parts, folder)
        size = sum(map(len, parts.values())) + sum(map(_unpacked, parts.values()))
        try:
            with limits(2 * size + MORE):
                opened = self.open(path)
        except FOLDERS:
            assert self.is_folder
        except ValueError as error:
            message = str(error)
            if type(error) is not ValueError or str(path) not in message or "\n" in message or len(message) > 3_000:
                raise AssertionError(f"not one line that names the file: {message[:300]!r}") from error
        else:
            with limits(IN_USE), suppress(ValueError, KeyError):
                self.use(opened)


def _unpacked(data: bytes) -> int:
    try:
        return len(zlib.decompressobj(31).decompress(data, 1 << 27))
    except zlib.error:
        return 0


@contextmanager
def limits(n_bytes: int) -> Iterator[None]:
    """Let what is inside take so much more memory (Linux counts it) and SECONDS; else MemoryError and Hang."""

    def hang(number, frame) -> None:
        raise Hang(f"more than {SECONDS} s")

    before, statm = resource.getrlimit(resource.RLIMIT_DATA), Path("/proc/self/statm")
    used = int(statm.read_bytes().split()[5]) * resource.getpagesize() if statm.exists() else 1 << 60
    old = signal.signal(signal.SIGPROF, hang)
    resource.setrlimit(resource.RLIMIT_DATA, (used + n_bytes, before[1]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(KILL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_DATA, before)
        signal.signal(signal.SIGPROF, old)


def read_parts(path: Path) -> Parts:
    """A file by its name, or all files in a folder by their path in it."""
    files = [file for file in sorted(path.rglob("*")) if file.is_file()] or [path]
    return {str(file.relative_to(path)) if path.is_dir() else path.name: file.read_bytes() for file in files}


def in_folder(save: Callable[[Path], object]) -> Parts:
    with tempfile.TemporaryDirectory() as folder:
        return read_parts(Path(str(save(Path(folder)))))


# -- models --------------------------------------------------------------------------------


def use_model(v: wb.Vectors) -> None:
    """What a user does with a model; the whole matrix is looked at where it is small."""
    assert len(v)
    assert v.dim
    repr(v), v.describe(), v._repr_html_()
    words = [*v.words[:3], v.words[-1], "unseen", "猫猫", ""]
    looks = [lambda word=word: (v.can_embed(word), v[word]) for word in words]
    looks += [lambda: list(v.blocks()), lambda: v.most_similar(v.words[0])] if len(v) * v.dim <= 1 << 20 else []
    for look in looks:
        with suppress(KeyError, ValueError):  # a word may have no vector, a row may hold NaN
            look()
    found = v.get_vectors(words, missing="zero")
    assert (found.shape, found.dtype) == ((len(words), v.dim), np.float32)


def plain(dim: int = 4) -> wb.Vectors:
    rows = np.random.default_rng(1).normal(size=(len(WORDS), dim))
    return wb.Vectors.from_arrays(WORDS, rows, np.arange(len(WORDS), 0, -1))


def with_ngrams(n_buckets: int = 30, dim: int = 4) -> wb.Vectors:
    rng = np.random.default_rng(2)
    words, ngrams = (rng.normal(size=(n, dim)).astype(np.float32) for n in (len(WORDS), n_buckets))
    vocab = Vocab(WORDS, counts=np.arange(len(WORDS), 0, -1), subwords=Subwords(2, 4, n_buckets, raw=True))
    return wb.Vectors(vocab, Stacked(Dense(words), Dense(ngrams)), {"provenance": {"source": "made up"}})


def artefacts() -> Iterator[Parts]:
    """One model at least of every kind of storage and vocabulary."""
    big, text = with_ngrams(400, 8), plain(8)
    wide = wb.Vectors.from_arrays([f"w{i}" for i in range(60)], np.random.default_rng(3).normal(size=(60, 8)))
    pruned = wb.Prune(6, 20)
    made = [plain(), with_ngrams(), wb.Prune(4, remap="nearest", threshold=0).fit_transform(text)]
    for steps in (
        [pruned, wb.SQ()],
        [pruned, wb.SQ(on="ngrams"), wb.Residual()],
        [wb.Rehash(70), wb.PQ(3, n_bits=3, norms=True)],
        [wb.Prune(6, 50, remap="nearest"), wb.SVD(4)],
    ):
        made.append(wb.Chain(steps).fit_transform(big))
    opq = wb.OPQ(2, n_bits=2, n_rotations=1)
    for step in (wb.PQ(3, n_bits=2), wb.RQ(2, n_bits=2), opq, wb.SQ("int8"), wb.SQ("kmeans", n_bits=3)):
        made.append(step.fit_transform(wide))
    made.append(wb.Chain([wb.SVD(3), wb.SQ()]).fit_transform(wide))
    for v in made:
        yield in_folder(lambda folder, v=v: v.save(folder / "model"))


def exported(known: formats.Format) -> Iterator[Parts]:
    """What its own tool made, and what this format makes of some models."""
    for path in sorted(GOLDEN.glob("*/*")):
        with suppress(ValueError, OSError):  # no model
            parts = read_parts(path)
            is_its = formats.format_of(path) == known.name or path.name.endswith(known.suffixes or ("\0",))
            if is_its and sum(map(len, parts.values())) <= MAX_SEED:
                yield parts
    for v in (plain(), with_ngrams()) if known.save is not None and not known.is_pickle else ():
        for ending in ("", ".gz")[: 1 + known.gzips]:
            yield in_folder(lambda folder, v=v, ending=ending: wb.export(v, folder / f"model{ending}", known.name))


def saved_by(save: Callable[..., None], *arrays: np.ndarray, **named: np.ndarray) -> bytes:
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)
NPY = [saved_by(np.save, rows) for rows in (ROWS, ROWS.astype(float), np.asfortranarray(ROWS).astype(np.int8))]
NPZ = {"vectors": ROWS, "words": np.array(["a", "b", "c", "два"])}
RAW = [word.encode("utf-8", "surrogateescape") for word in WORDS[:4]], np.ones((30, 3), np.float32)
SUPERVISED_TOO = ((26, {}), (0, {"model": SUPERVISED, "labels": [b"__label__a"]}))
BY_HAND: dict[str, list[Parts]] = {
    "fasttext": [  # as the official tool wrote them at one time or another
        {"model.bin": fasttext_bytes(*RAW, n_buckets, **age, **options)}
        for age in ({}, {"magic": False}, {"version": 11})
        for n_buckets, options in SUPERVISED_TOO
    ],
    "gensim": [{"model.kv": pickle.dumps({"vectors": [1.0, 2.0]}, protocol)} for protocol in range(2, 6)],
    "npy": [{"rows.npy": data, "rows.txt": b"a\nb\nc\nd\n"} for data in NPY],
    "npz": [{"rows.npz": saved_by(save, **NPZ)} for save in (np.savez, np.savez_compressed)],
    "matrix": [{"rows.safetensors": safetensors_bytes({"x": ROWS}), "ids.txt": b"a\nb\nc\nd\n"}],
    "parquet": [
        {"rows.parquet": pd.DataFrame(columns).to_parquet()}
        for columns in ({"id": ["a", "b"], "v": [[1.0, 2.0], [3.0, 4.0]]}, {"word": ["a", "b"], "x": [1, 2]})
    ],
    "table": [
        {"rows.tsv": "a\t1.5\t2\nдва\t-3e5\t4\n".encode()},
        {"rows.csv": b'word,x,y\n"a, b",1,2\nc,3,4\n'},
        {"rows.tsv": b"1\t2\t3\n4\t5\t6\n", "metadata.tsv": b"word\tcount\na\t1\nb\t2\n"},
    ],
}


# -- what else is read ---------------------------------------------------------------------


def recipes() -> Iterator[Parts]:
    steps = [wb.Prune(100, 50, choose="coverage"), wb.Refit(), wb.PQ(4), wb.SQ("int8"), wb.Residual(), wb.RQ(2)]
    for recipe in (*steps, wb.Chain(steps), wb.Chain([wb.Chain(steps[:1]), wb.SVD(2)])):
        yield {"recipe": json.dumps(recipe.to_json()).encode()}
        yield {"recipe": repr(recipe).encode()}


def use_recipe(recipe: Any) -> None:
    assert wb.from_json(recipe.to_json()).to_json() == recipe.to_json()
    repr(recipe), json.dumps(recipe.to_json())


TERMS = {"kept": {"value": 0.5, "abs": 0.01, "better": "higher"}, "size": {"value": 10, "abs": 0, "better": "equal"}}
BASELINES = [{"00.json": json.dumps(TERMS).encode()}]


def use_baseline(baseline: dict[str, Metric]) -> None:
    compare([Metric("kept", 0.5, 0.01, "higher")], baseline)


CORPORA = [
    {"text.txt": "a text of words \nand lines, два".encode()},
    {"counts.txt": b"the\t100\nof 50\n\nnaive 3\n"},
    {"counts.gz": gzip.compress(b"the\t100\nof 50\n", mtime=0)},
]


def ids_as(ending: str) -> Iterator[Parts]:
    rows = np.random.default_rng(6).normal(size=(len(WORDS), 3)).astype(np.float32)
    ids = SemanticIDs.from_vectors(rows, 2, 4, items=WORDS, names=[word * 2 for word in WORDS])
    for kind in (ids, ids.disambiguated()):
        yield in_folder(lambda folder, kind=kind: (kind.save(folder / f"ids{ending}"), folder / f"ids{ending}")[1])


def use_ids(ids: SemanticIDs) -> None:
    repr(ids), ids._repr_html_(), ids.tokens()
    for look in (lambda: ids.nearest(ids.items[0], topn=2), ids.to_frame, ids.to_vectors):
        with suppress(KeyError, ValueError):
            look()


TEXTS = ["a red bird", "a blue bird sings", "the old house", "two houses, and a bird", "nothing else"]
ITEMS = "id,title,price,text\n" + "".join(f'i{i},"{t.title()}",{i * 10},"{t}"\n' for i, t in enumerate(TEXTS))
SEEN = b"user,item,time\nu,i0,1\nu,i1,2\nv,i2,1\nv,i4,1\nv,i0,0\n"
COLLECTIONS = [
    {"items.csv": ITEMS.encode()},
    {"items.csv": ITEMS.encode(), "interactions.csv": SEEN},
    {"items.csv": ITEMS.encode(), "interactions.csv": re.sub(rb",(\d)\n", rb",2024-05-1\1\n", SEEN)},
]


def matrices() -> Iterator[Parts]:
    yield {"rows.safetensors": safetensors_bytes({"rows": ROWS, "ids": np.arange(4)})}
    yield {"rows.safetensors": in_folder(lambda folder: plain().save(folder / "own"))["own"]}
    yield from ({"rows.npy": data} for data in NPY)


def models() -> Iterator[Reader]:
    for known in formats.FORMATS:

        def seeds(known=known) -> Iterator[Parts]:
            yield from artefacts() if known is formats.OWN else exported(known)
            yield from BY_HAND.get(known.name, [])

        yield Reader(known.name, seeds, wb.load, use_model, known.is_folder)


READERS = {
    reader.name: reader
    for reader in (
        *models(),
        Reader("recipe", recipes, wb.recipe_from, use_recipe),
        Reader("baseline", lambda: iter(BASELINES), read_baseline, use_baseline),
        Reader("corpus", lambda: iter(CORPORA), word_counts),
        *(
            Reader(f"ids{end}", lambda end=end: ids_as(end), SemanticIDs.load, use_ids)
            for end in (".csv", ".json", ".index.json", ".safetensors")
        ),
        Reader("items", lambda: iter(COLLECTIONS), lambda path: load_items(path, n_features=4), is_folder=True),
        Reader("matrix", matrices, load_items),
    )
}
