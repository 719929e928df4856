"""Foreign formats, one file each: `load` finds out which one a file is in by its content, `export` writes one.

To add a format, write a file with a `Format` in it, as `glove.py` is one, and name it in `FORMATS`.
"""

import gzip
import warnings
import zlib
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import data, files
from ..vectors import Vectors
from . import fasttext, finalfusion, glove, keyedvectors, spacy_vocab, static_embedding, tables, word2vec
from .base import Format
from .text import GZIP, MARK, opened

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

OWN = Format(
    name="safetensors",
    title="the workbench's .safetensors",
    looks_like=lambda path, head: head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size,
    load=Vectors.load,
    save=Vectors.write,
    suffixes=(".safetensors",),
    keeps=frozenset({"n-grams", "counts", "codes", "recipe"}),
)
FORMATS: tuple[Format, ...] = (
    OWN,
    keyedvectors.GENSIM,
    fasttext.FASTTEXT,
    fasttext.FTZ,
    finalfusion.FINALFUSION,
    word2vec.TEXT,
    word2vec.BINARY,
    glove.GLOVE,
    spacy_vocab.SPACY,
    static_embedding.STATIC,
    *tables.FORMATS,
)
DAMAGED_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)
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
        ``"builtin:en"``, or a file or folder: one that `Vectors.save` wrote, or one in a format
        of `FORMATS`. The content decides, not the name. Text may be gzipped. Of gensim's
        `KeyedVectors`, or a model that has some, the arrays are shared; see
        `keyedvectors.from_gensim`.
    allow_pickle : bool
        Read files that run code when they are opened (Python's pickles, which gensim saves). Say
        so only of files that come from somebody whom you trust.
    limit : int, optional
        Only the first so many words, which are the most frequent ones in the files of most tools. Text is read
        no further, so a download that was cut short can be read as far as it goes.
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
    if not isinstance(source, str | Path):
        if keyedvectors.is_gensims(source):
            return keyedvectors.from_gensim(source)
        raise TypeError(
            f"expected a path, 'builtin:en' or gensim's vectors, got {type(source).__name__}; for vectors in memory "
            "there is Vectors.from_arrays(words, matrix, counts)"
        )
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, Integral) or limit < 1):
        raise ValueError(f"expected limit to be a whole number of at least 1, got {limit!r}")
    listed = None
    if counts is not None:
        from ..compress.corpus import word_counts

        listed = word_counts(counts)
    v = _loaded(source, allow_pickle, limit)
    v = v if limit is None or len(v) <= limit else v.head(limit)
    if listed is not None:
        found = np.array([listed.get(word, 0) for word in v.words], np.int64)
        if not found.any():
            raise ValueError(f"none of the {len(v):,} words of {source} is in {counts}")
        v = v.with_storage(v.storage, v.vocab.with_counts(found))
    v.origin = "" if limit is not None or counts is not None else str(source)  # `load(origin)` gives this very model
    return v


def export(v: Vectors, path: str | Path, format: str | None = None, warn: bool = True) -> Path:
    """Write `v` in a format of other tools, or in our own; what that cannot hold is warned of first.

    The file (or folder) is written beside its place and moved there once it is whole, so that
    a failed or killed export leaves an older one as it was.

    Parameters
    ----------
    v : Vectors
    path : path or str
        Where to write; missing folders are made.
    format : str, optional
        A name in `formats.writable()`. By default the ending of the file's name decides.
    warn : bool
        False where the caller has told of `losses` already.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    ValueError
        If the format is unknown, cannot be written, or is not clear from the name.
    """
    path = Path(path)
    chosen = target(path, format)
    for lost in chosen.losses(v) if warn else ():
        warnings.warn(f"{chosen.title} cannot hold {lost}", stacklevel=2)
    assert chosen.save is not None, "only formats that can be written are chosen"
    if chosen.is_folder:
        with files.replacing_folder(path) as folder:
            chosen.save(v, folder)
        return path
    with files.replacing(path) as file:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
                chosen.save(v, packed)
        else:
            chosen.save(v, file)
    return path


def losses(v: Vectors, path: str | Path, format: str | None = None) -> list[str]:
    """What `export` with these arguments would lose of `v`, a sentence each."""
    return target(Path(path), format).losses(v)


def target(path: Path, format: str | None = None) -> Format:
    """The format that `export` with these arguments writes; refuses what that refuses."""
    chosen = _chosen(path, format)
    _check_place(path, chosen)
    return chosen


def format_of(source: str | Path) -> str:
    """Name of the format that `load` would read this in.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, ValueError
        As `load` does.
    """
    if str(source).startswith("builtin:"):
        return fasttext.FASTTEXT.name
    return _seen(_existing(source))[0].name


def readable_suffixes() -> tuple[str, ...]:
    """How names of files end that `load` reads; others are tried, too."""
    endings = [ending for known in FORMATS if not known.is_folder for ending in (*known.suffixes, *known.reads)]
    return tuple(dict.fromkeys([*endings, *(f"{e}.gz" for k in FORMATS if k.gzips for e in k.suffixes)]))


def writable() -> dict[str, Format]:
    """The formats that `export` writes, by name."""
    return {known.name: known for known in FORMATS if known.save is not None}


def _loaded(source: str | Path, allow_pickle: bool, limit: int | None) -> Vectors:
    if str(source).startswith("builtin:"):
        v = fasttext.load(data.model_path(str(source)))
        v.meta["provenance"]["source"] = str(source)
        return v
    path = _existing(source)
    try:
        found, is_gzip = _seen(path)
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
        return found.load(path, limit) if found.stops else found.load(path)
    except DAMAGED_GZIP as error:
        raise ValueError(f"{path} is a damaged gzip file: {error}") from error


def _existing(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected a model file or 'builtin:en'")
    if not path.is_file() and not path.is_dir():
        raise ValueError(f"{path} is no ordinary file, so it cannot be read twice; save it as one first")
    return path


def _seen(path: Path) -> tuple[Format, bool]:
    """The format that a file or folder is in, and whether it is gzipped."""
    head = b"" if path.is_dir() else _head(path)
    is_gzip = head.startswith(GZIP)
    if is_gzip:
        try:
            with opened(path) as file:
                head = file.read(HEAD)
        except DAMAGED_GZIP as error:
            raise ValueError(f"{path} is a damaged gzip file: {error}") from error
    return _recognised(path, head), is_gzip


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(HEAD)


def _recognised(path: Path, head: bytes) -> Format:
    """The format that a file with these first bytes, or a folder, is in; gzip's bytes are unpacked already."""
    head = head.removeprefix(MARK)
    if not head and not path.is_dir():
        raise ValueError(f"{path} is empty")
    if head.startswith(tables.ZIP) and not tables.is_npz(path, head):
        raise ValueError(f"{path} is a zip archive; unpack it and load the file in it")
    for known in FORMATS:
        if known.looks_like is not None and known.looks_like(path, head):
            return known
    readable = ", ".join(known.title for known in FORMATS)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, and no model is known to look like that; give a file in it")
    raise ValueError(f"{path} is in no format that is known ({readable}); it begins with {head[:16]!r}")


def _chosen(path: Path, format: str | None) -> Format:
    """The format to write: the one named, or the only one whose files are named like this."""
    there = writable()
    if format is not None:
        if format not in there:
            raise ValueError(f"format {format!r} cannot be written; there are {', '.join(there)}")
        if path.suffix == ".gz" and not there[format].gzips:
            raise ValueError(f"{there[format].title} is not read when gzipped; leave out .gz in {path}")
        return there[format]
    fitting = [
        known
        for known in there.values()
        if path.name.endswith(known.suffixes)
        or (known.gzips and path.name.removesuffix(".gz").endswith(known.suffixes))
    ]
    if len(fitting) != 1:
        possible = ", ".join(known.name for known in fitting) or ", ".join(there)
        raise ValueError(f"the name of {path} does not tell the format; say format=, one of {possible}")
    return fitting[0]


def _check_place(path: Path, chosen: Format) -> None:
    """Refuse to put a model in the place of what is none: a folder for a file, a device, a folder of other things."""
    if not path.exists():
        return
    if path.is_dir() != chosen.is_folder:
        wanted, there = ("folder", "file") if chosen.is_folder else ("file", "folder")
        raise ValueError(f"{path} is a {there}, and {chosen.title} is a {wanted}; give another name")
    files.place(path, chosen.is_folder)
    is_known = chosen.is_folder and chosen.looks_like is not None and chosen.looks_like(path, b"")
    if chosen.is_folder and any(path.iterdir()) and not is_known:
        raise ValueError(f"{path} holds other things than {chosen.title}, which would be lost; give another name")
