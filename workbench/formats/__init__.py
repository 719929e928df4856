"""Foreign formats, one file each; `load` finds out which one a file is in by its content."""

import gzip
import zlib
from pathlib import Path

from .. import artefact
from ..vectors import Vectors
from . import builtin, fasttext, glove, word2vec
from .text import GZIP, opened

READERS = (word2vec, glove)  # those that may come gzipped
KNOWN = ".safetensors of the workbench, fastText .bin, word2vec text or binary, GloVe text"
HEAD = 1 << 16  # bytes that tell the format; a first line of 4,000 numbers fits


def load(source: str | Path) -> Vectors:
    """Open an embedding model.

    Parameters
    ----------
    source : path or str
        ``"builtin:en"``, or a file: one that `Vectors.save` wrote, fastText ``.bin``, word2vec
        text or binary, GloVe text; the last three plain or gzipped. The content decides, not
        the name.

    Returns
    -------
    Vectors
        Matrices of ``.safetensors`` and fastText files stay in the file until they are needed.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If the file is empty, damaged, in an unknown format, or one that can run code when
        opened (a pickle).
    """
    if not isinstance(source, str | Path):
        raise TypeError(
            f"expected a path or 'builtin:en', got {type(source).__name__}; for vectors in memory there is "
            "Vectors.from_arrays(words, matrix, counts)"
        )
    v = _loaded(source)
    v.origin = str(source)
    return v


def _loaded(source: str | Path) -> Vectors:
    if str(source).startswith("builtin:"):
        v = fasttext.load(builtin.model_path(str(source)))
        v.meta["provenance"]["source"] = str(source)
        return v
    path = Path(source).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected a model file or 'builtin:en'")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a model file in it")
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size:
        return artefact.load(path)
    _refuse(path, head)
    if fasttext.looks_like(head):
        return fasttext.load(path)
    try:
        if head.startswith(GZIP):
            with opened(path) as file:
                head = file.read(HEAD)
            _refuse(path, head)
            if fasttext.looks_like(head):
                raise ValueError(f"{path} is a gzipped fastText model; gunzip it, for the .bin is mapped, not read")
        for reader in READERS:
            if reader.looks_like(head):
                return reader.load(path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is a damaged gzip file: {error}") from error
    raise ValueError(f"{path} is in no format that is known ({KNOWN}); it begins with {head[:16]!r}")


def _refuse(path: Path, head: bytes) -> None:
    """What cannot or must not be opened, by its first bytes, and what to do instead."""
    if not head:
        raise ValueError(f"{path} is empty")
    if head[0] == 0x80 and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise ValueError(
            f"{path} is a Python pickle, which can run code when opened, so it is not opened; in gensim, save a "
            "FastText model with gensim.models.fasttext.save_facebook_model(model, path), which keeps its n-grams, "
            "others with model.wv.save_word2vec_format(path, binary=True), and load that"
        )
    if head.startswith(b"PK\x03\x04"):
        raise ValueError(f"{path} is a zip archive; unpack it and load the file in it")
    if head.startswith(b"FiFu"):
        raise ValueError(f"{path} is a finalfusion file, which is not read yet; export it as word2vec text")
