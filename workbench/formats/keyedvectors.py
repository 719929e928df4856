"""gensim's own files, which are Python pickles."""

from pathlib import Path

from .base import Format


def looks_like(path: Path, head: bytes) -> bool:
    """Whether the file is a pickle, of gensim or not."""
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


GENSIM = Format(name="gensim", title="gensim's KeyedVectors", looks_like=looks_like, is_pickle=True)
