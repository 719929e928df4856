"""Damaged and hostile files through every reader: what fuzzing found once, and a short run of it.

    FUZZ_RUNS=20000 FUZZ_SEED=1 pytest tests/test_fuzz.py    # a longer run

An input is a finding if opening it raises anything but a ValueError of one line that names the file, takes more than
three seconds, or allocates more than twice its own size unpacked and 64 MB; or if using what was opened raises anything
but ValueError and KeyError. What was found and mended is in tests/fuzz/corpus.
"""

import gzip
import os
import re
import shutil
from pathlib import Path

import pytest
from fuzz.readers import MORE, READERS, Hang, Reader, limits, read_parts
from hypothesis import given, settings
from hypothesis import strategies as st

RUNS, SEED = int(os.environ.get("FUZZ_RUNS", "60")), int(os.environ.get("FUZZ_SEED", "0"))  # runs of each reader
CORPUS = Path(__file__).parent / "fuzz" / "corpus"
FOUND = sorted(path for folder in CORPUS.iterdir() for path in folder.iterdir())


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A reader by its name, whose late imports are done: they count neither as time nor as memory."""
    ready = {}

    def reader(name):
        if name not in ready:
            ready[name] = READERS[name]
            for number, parts in enumerate(READERS[name].seeds):
                try:
                    ready[name].use(ready[name].open(ready[name].write(parts, tmp_path_factory.mktemp(str(number)))))
                except ValueError:  # pickles, and what is not supported
                    continue
        return ready[name]

    return reader


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_is_refused_or_harmless(path, warm, tmp_path):
    warm(path.parent.name).check(read_parts(path), tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_a_short_run_finds_nothing(name, warm, tmp_path):
    reader = warm(name)
    for number in range(RUNS):
        folder = tmp_path / str(number)  # the one of a finding is left
        reader.check(reader.made(number, SEED), folder)
        shutil.rmtree(folder)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100)
@given(data=st.binary(max_size=300), name=st.sampled_from(sorted(READERS)))
def test_any_bytes_are_refused_or_read(data, name, warm, tmp_path_factory):
    names = sorted({part for seed in READERS[name].seeds for part in seed})
    warm(name).check(dict.fromkeys(names, data), tmp_path_factory.mktemp("bytes"))


def packed(*pieces):
    """A gzip file of these pieces, each of which was packed by itself."""
    return b"".join(gzip.compress(piece, mtime=0) * n for piece, n in pieces)


MEGABYTE = b"a" * 2**20
BOMBS = {  # a few hundred kilobytes that unpack to 200 MB, in which nothing ends
    "glove": [packed((b"a 1 2\n", 1), (MEGABYTE, 200)), packed((b"a 1 2\n", 1), (b" " * 2**20, 200))],
    "word2vec": [packed((b"9 5\n", 1), (MEGABYTE, 200)), packed((b"9 5\na 1 2 3 4 5\n", 1), (MEGABYTE, 200))],
    "word2vec-binary": [packed((b"9 5\n\0", 1), (MEGABYTE, 200)), packed((b"9 90000000\na", 1), (MEGABYTE, 200))],
    "corpus": [packed((MEGABYTE, 200)), packed((b"the 1\n", 1), (MEGABYTE, 200))],
}


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, many in BOMBS.items() for data in many])
def test_a_gzip_file_that_unpacks_without_end_is_not_held(name, data, warm, tmp_path):
    reader = warm(name)
    path = reader.write({"bomb.gz": data}, tmp_path)
    with limits(MORE), pytest.raises(ValueError, match=re.escape(str(path))):
        reader.open(path)


def test_no_room_is_made_for_numbers_that_lines_are_too_short_for(warm, tmp_path):
    reader = warm("glove")
    rows = b"".join(b"w%d" % i + b" 1" * 5_000 + b"\n" for i in range(3))
    path = reader.write({"short.txt": rows + b"b 1\n" * 250_000}, tmp_path)  # as rows of numbers: 5 GB
    with limits(MORE), pytest.raises(ValueError, match=r"short\.txt, line 4: expected a word and 5000 numbers"):
        reader.open(path)


# -- the instrument itself -----------------------------------------------------------------


def refuses(message, kind=ValueError):
    def open_(path):
        raise kind(message.format(path))

    return open_


@pytest.mark.parametrize(
    ("does", "error"),
    [
        (lambda path: all(n == 0 for n in iter(int, 1)), Hang),
        (lambda path: bytes(4 * MORE), MemoryError),
        (refuses("{}", KeyError), KeyError),
        (refuses("no"), AssertionError),
        (refuses("{} is\ndamaged"), AssertionError),
    ],
)
def test_each_kind_of_failure_is_noticed(does, error, tmp_path):
    with pytest.raises(error):
        Reader("made up", lambda: iter([]), does).check({"a": b"abc"}, tmp_path)
