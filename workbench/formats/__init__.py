"""File formats, one file each: `load` recognises a file by its content, `export` writes one.

To add a format, write a file with a `Format` in it, as `glove.py` is one, and name it in `FORMATS`. The first format
there that recognises a file reads it, so loose ones stand last.
"""

import gzip
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import data as builtin
from .. import files
from ..checks import reading
from ..vectors import Vectors
from . import fasttext, finalfusion, ftz, glove, keyedvectors, matrix, spacy_vocab, static_embedding, tables, word2vec
from .base import Format, with_words
from .text import GZIP, MARK, opened

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

OWN = Format(
    name="safetensors",
    title="the workbench's .safetensors",
    looks_like=lambda path, head: matrix.is_safetensors(path, head) and not matrix.is_others(path, head),
    load=Vectors.load,
    save=Vectors.write,
    suffixes=(".safetensors",),
    keeps=frozenset({"n-grams", "counts", "codes", "recipe"}),
)
FORMATS: tuple[Format, ...] = (
    OWN,
    keyedvectors.GENSIM,
    fasttext.FASTTEXT,
    ftz.FTZ,
    finalfusion.FINALFUSION,
    word2vec.TEXT,
    word2vec.BINARY,
    glove.GLOVE,
    spacy_vocab.SPACY,
    static_embedding.STATIC,
    *matrix.FORMATS,
    *tables.FORMATS,
)
HEAD = 1 << 16  # bytes that tell the format; a first line of 4,000 numbers fits


def load(
    source: "str | Path | KeyedVectors",
    allow_pickle: bool = False,
    *,
    limit: int | None = None,
    counts: str | Path | None = None,
) -> Vectors:
    """Open an embedding model.

    Parameters
    ----------
    source : path or str, or an object of gensim's
        ``"builtin:en"``, or a file or folder in a format of `FORMATS`: its content decides, not its name, and text
        may be gzipped. gensim's arrays are shared; see `keyedvectors.from_gensim`.
    allow_pickle : bool
        Read Python pickles, which gensim saves and which can run code: only from people whom you trust.
    limit : int, optional
        Read only the first so many words, in most files the most frequent ones. Text is read no further, so a
        download that was cut short can be read as far as it goes.
    counts : path or str, optional
        A list of word counts or a text, see `compress.corpus.word_counts`, for formats without counts. Words that
        it lacks count 0.

    Returns
    -------
    Vectors
        Matrices of ``.safetensors`` and fastText files stay in the file until they are needed.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file, or a folder that is no model.
    ValueError
        If the file is empty, damaged, in an unknown format, or a pickle that was not allowed.
    """
    if keyedvectors.is_gensims(source):
        return keyedvectors.from_gensim(source)
    if not isinstance(source, str | Path):
        raise TypeError(
            f"expected a path, 'builtin:en' or gensim's vectors, got {type(source).__name__}; for vectors in memory "
            "there is Vectors.from_arrays(words, matrix, counts)"
        )
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, Integral) or limit < 1):
        raise ValueError(f"expected limit to be a whole number of at least 1, got {limit!r}")
    if counts is not None:
        from ..compress.corpus import word_counts

        listed = word_counts(counts)
    is_builtin = str(source).startswith("builtin:")
    path = builtin.model_path(str(source)) if is_builtin else Path(source).expanduser()
    v = _read(path, allow_pickle, limit)
    if is_builtin:
        v.meta["provenance"]["source"] = str(source)
    v = v if limit is None or len(v) <= limit else v.head(limit)
    if counts is not None:
        found = np.array([listed.get(word, 0) for word in v.words], np.int64)
        if not found.any():
            raise ValueError(f"none of the {len(v):,} words of {source} is in {counts}")
        v = v.with_storage(v.storage, v.vocab.with_counts(found))
    v.origin = "" if limit is not None or counts is not None else str(source)  # `load(origin)` gives this very model
    return v


def format_of(source: str | Path) -> str:
    """Return the name of the format in which `load` would read this; raise what `load` would raise."""
    if str(source).startswith("builtin:"):
        return fasttext.FASTTEXT.name
    return _recognised(Path(source).expanduser())[0].name


def readable_suffixes() -> tuple[str, ...]:
    """Return the ends of file names that `load` reads; it tries others, too."""
    endings = [ending for known in FORMATS if not known.is_folder for ending in (*known.suffixes, *known.also_opens)]
    return tuple(dict.fromkeys([*endings, *(f"{e}.gz" for k in FORMATS if k.gzips for e in k.suffixes)]))


def _read(path: Path, allow_pickle: bool, limit: int | None) -> Vectors:
    found, is_gzip = _recognised(path)
    if found.is_pickle and not allow_pickle:
        raise ValueError(
            f"{path} is a Python pickle, which can run code when opened, so it is not opened. If it comes from "
            "somebody whom you trust, say load(path, allow_pickle=True); better, save it in gensim with "
            "gensim.models.fasttext.save_facebook_model(model, path), which keeps n-grams, or with "
            "model.wv.save_word2vec_format(path, binary=True), and load that"
        )
    if is_gzip and not found.gzips:
        raise ValueError(f"{path} is a gzipped {found.title} file; gunzip it first")
    assert found.load is not None, "only formats that can be read are recognised"
    with reading(path, found.title), _unpacking(path):
        v = found.load(path, limit) if found.takes_limit else found.load(path)
        if found is not OWN:
            size = 0 if path.is_dir() else path.stat().st_size
            v.meta["provenance"] = {"source": path.name, "source_bytes": size} | v.meta.get("provenance", {})
        return v


@contextmanager
def _unpacking(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is a damaged gzip file: {error}") from error


def _recognised(path: Path) -> tuple[Format, bool]:
    """The format of a file or folder, and whether it is gzipped."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected a model file or 'builtin:en'")
    if not path.is_file() and not path.is_dir():
        raise ValueError(f"{path} is no ordinary file, so it cannot be read twice; save it as one first")
    head, is_gzip = b"", False
    if path.is_file():
        with open(path, "rb") as file:
            head = file.read(HEAD)
        is_gzip = head.startswith(GZIP)
        if is_gzip:
            with _unpacking(path), opened(path) as file:
                head = file.read(HEAD)
        head = head.removeprefix(MARK)
        if not head:
            raise ValueError(f"{path} is empty")
    if head.startswith(matrix.ZIP) and not matrix.is_npz(path, head):  # before what may look like text in it
        raise ValueError(f"{path} is a zip archive; unpack it and load the file in it")
    for known in FORMATS:
        if known.recognises(path, head):
            return known, is_gzip
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, and no model is known to look like that; give a file in it")
    readable = ", ".join(known.title for known in FORMATS)
    raise ValueError(f"{path} is in no format that is known ({readable}); it begins with {head[:16]!r}")


def export(v: Vectors, path: str | Path, format: str | None = None, warn: bool = True) -> Path:
    """Write `v` in a format of other tools, or in our own; return the path.

    The file (or folder) is written beside its place and moved there once it is whole, so that a failed or killed
    export leaves an older one as it was. Missing folders are made.

    Parameters
    ----------
    v : Vectors
    path : path or str
    format : str, optional
        A name in `formats.writable()`. By default the end of the file's name decides.
    warn : bool
        Warn of `losses`, what the format cannot hold.

    Raises
    ------
    ValueError
        If the format is unknown, cannot be written, or is not clear from the name.
    """
    path = Path(path)
    chosen = target(path, format)
    assert chosen.save is not None, "only formats that can be written are chosen"
    for lost in chosen.losses(v) if warn else ():
        warnings.warn(f"{chosen.title} cannot hold {lost}", stacklevel=2)
    v = v if chosen.holds_word is None else with_words(v, chosen.holds_word)
    replacing: Any = files.replacing_folder if chosen.is_folder else files.replacing
    with replacing(path) as place:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=place, mode="wb", mtime=0) as packed:
                chosen.save(v, packed)
        else:
            chosen.save(v, place)
    return path


def losses(v: Vectors, path: str | Path, format: str | None = None) -> list[str]:
    """Return what `export` with these arguments would lose of `v`, a sentence each."""
    return target(Path(path), format).losses(v)


def writable() -> dict[str, Format]:
    """Return the formats that `export` writes, by name."""
    return {known.name: known for known in FORMATS if known.save is not None}


def target(path: Path, format: str | None = None) -> Format:
    """Return the format that `export` with these arguments writes; refuse the formats and places that it refuses."""
    there = writable()
    if format is None:
        names = (path.name, path.name.removesuffix(".gz"))
        fitting = [k for k in there.values() if any(name.endswith(k.suffixes) for name in names[: 1 + k.gzips])]
        if len(fitting) != 1:
            possible = ", ".join(known.name for known in fitting) or ", ".join(there)
            raise ValueError(f"the name of {path} does not tell the format; say format=, one of {possible}")
        format = fitting[0].name
    if format not in there:
        raise ValueError(f"format {format!r} cannot be written; there are {', '.join(there)}")
    chosen = there[format]
    if path.suffix == ".gz" and not chosen.gzips:
        raise ValueError(f"{chosen.title} is not read when gzipped; leave out .gz in {path}")
    if path.exists() and path.is_dir() != chosen.is_folder:
        wanted, found = ("folder", "file") if chosen.is_folder else ("file", "folder")
        raise ValueError(f"{path} is a {found}, and {chosen.title} is a {wanted}; give another name")
    files.place(path, chosen.is_folder)
    if path.is_dir() and any(path.iterdir()) and not chosen.recognises(path, b""):
        raise ValueError(f"{path} holds other things than {chosen.title}, which would be lost; give another name")
    return chosen
