"""Counts of words in a text of the user's own."""

import gzip
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import IO

from .. import progress
from ..formats.text import MAX_WORD, opened

CHUNK = 1 << 20  # bytes read at once; a corpus may be one long line
HEAD = 1 << 16  # bytes that tell a list of counts from a text
COUNTED = re.compile(rb"(\S+)\s+(\d{1,18})\s*")
ENDS_IN_A_NUMBER = re.compile(rb".*[\s,;]\d[\d.,eE+-]*\s*")
MOSTLY = 0.9  # of the first lines: then it is meant as a list


def word_counts(path: str | Path) -> Counter[str]:
    """Count the words of a text, or read a list of counts.

    A text has words between white space, as in fastText's training (so lower case and punctuation are as the file
    has them). A list has ``word count`` a line, split by a tab or spaces; a first line without a number is taken for
    column names. A file is a list if nearly all of its first lines end in a number. Both may be gzipped. Files without
    words, lists with a line that has no count, and damaged gzip files are refused.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a text or a list of word counts")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected a text or a list of word counts")
    try:
        with opened(path) as file:
            start = file.tell()
            head = file.read(HEAD)
            file.seek(start)
            counts = _listed(file, path) if _is_list(head) else _counted(file, path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is a damaged gzip file: {error}") from error
    if not counts.total():
        raise ValueError(f"{path} holds no words")
    return Counter({word.decode("utf-8", "surrogateescape"): n for word, n in counts.items()})


def _is_list(head: bytes) -> bool:
    """Tell a list of counts by its lines: nearly all end in a number. Empty ones and one cut short do not count."""
    lines = head.splitlines()[: None if len(head) < HEAD else -1]
    ends = [ENDS_IN_A_NUMBER.fullmatch(line) is not None for line in lines if line.strip()]
    ends = ends[1:] if len(ends) > 2 and not ends[0] else ends  # names of columns
    return bool(ends) and sum(ends) >= MOSTLY * len(ends)


def _listed(file: IO[bytes], path: Path) -> Counter[bytes]:
    counts: Counter[bytes] = Counter()
    for number, line in enumerate(iter(lambda: file.readline(MAX_WORD), b""), 1):
        if found := COUNTED.fullmatch(line):
            counts[found[1]] += int(found[2])
        elif line.strip() and (number > 1 or ENDS_IN_A_NUMBER.fullmatch(line)):  # else names of columns
            raise ValueError(
                f"{path}, line {number:,}: expected a word without spaces, then a tab or spaces and its count, a whole "
                f"number, as in the other lines, got {line[:60]!r}"
            )
    return counts


def _counted(file: IO[bytes], path: Path) -> Counter[bytes]:
    counts: Counter[bytes] = Counter()
    rest = b""  # a word that goes on in the next chunk
    with progress.bar(desc=path.name, unit="B", unit_scale=True, leave=False, delay=2) as bar:
        while chunk := file.read(CHUNK):
            words = (rest + chunk).split()
            rest = b"" if chunk[-1:].isspace() else words.pop()
            if len(rest) > MAX_WORD:
                raise ValueError(f"{path} is no text: a word of it begins with {rest[:60]!r} and has no end")
            counts.update(words)
            bar.update(len(chunk))
    counts.update(rest.split())
    return counts
