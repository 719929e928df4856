"""Damaged and hostile files through every reader: what fuzzing found once, and a short run of it."""

import gzip
import random
import re
import shutil
import zlib

import numpy as np
import pytest
from fuzz.mutations import mutated
from fuzz.readers import READERS, Reader, read_parts
from fuzz.run import CORPUS, MORE, limits, made, parted, tried, warm_up
from hypothesis import given, settings
from hypothesis import strategies as st

RUNS = 60  # of each reader; fuzz.run makes as many as one likes
FOUND = sorted(path for folder in CORPUS.iterdir() for path in folder.iterdir())


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A reader by its name, whose late imports are done: they count neither as time nor as memory."""
    ready = {}

    def reader(name):
        if name not in ready:
            warm_up(READERS[name], tmp_path_factory.mktemp("seeds"))
            ready[name] = READERS[name]
        return ready[name]

    return reader


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_is_refused_or_harmless(path, warm, tmp_path):
    reader = warm(path.parent.name)
    parts = read_parts(path) if path.is_dir() else {path.name: path.read_bytes()}
    outcome = tried(reader, parts, tmp_path)
    assert not outcome.finding, outcome.trace


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_a_short_run_finds_nothing(name, warm, tmp_path):
    reader = warm(name)
    for number in range(RUNS):
        outcome = tried(reader, made(reader, number, seed=0), tmp_path / str(number))
        assert not outcome.finding, outcome.trace
        shutil.rmtree(tmp_path / str(number))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300), name=st.sampled_from(sorted(READERS)))
def test_any_bytes_are_refused_or_read(data, name, warm, tmp_path_factory):
    outcome = tried(warm(name), parted(READERS[name], data), tmp_path_factory.mktemp("bytes"))
    assert not outcome.finding, outcome.trace


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
    reader.open(reader.write({"rows.txt": rows}, tmp_path))
    path = reader.write({"short.txt": rows + b"b 1\n" * 250_000}, tmp_path)  # as rows of numbers: 5 GB
    with limits(MORE), pytest.raises(ValueError, match=r"short\.txt, line 4: expected a word and 5000 numbers"):
        reader.open(path)


# -- the instrument itself -----------------------------------------------------------------


def reader_that(does):
    return Reader("made up", lambda: iter([{"a": b"abc"}]), does)


def refuses(path):
    raise ValueError(f"{path}: no")


def hangs(path):
    while True:
        pass


def loses_the_name(path):
    raise ValueError("no")


def takes_a_key(path):
    return {}["key"]


@pytest.mark.parametrize(
    ("does", "finding"),
    [
        (refuses, ""),
        (hangs, "opening: Hang"),
        (lambda path: np.empty(4 * MORE, np.uint8), "opening: .*MemoryError"),
        (lambda path: bytes(4 * MORE), "opening: MemoryError"),
        (takes_a_key, "opening: KeyError"),
        (lambda path: path.read_bytes().decode("utf-16"), "opening: UnicodeDecodeError"),
        (loses_the_name, "a message without the file: ValueError"),
    ],
)
def test_the_limits_notice_each_kind_of_failure(does, finding, tmp_path):
    found = tried(reader_that(does), {"a": b"abc"}, tmp_path).finding
    assert re.match(finding or "$", found), found


def test_a_model_that_fails_in_use_is_a_finding(tmp_path):
    def fails(opened):
        raise IndexError

    reader = Reader("made up", lambda: iter([]), lambda path: 1, fails)
    assert tried(reader, {"a": b""}, tmp_path).finding == "using: IndexError in nowhere"


def test_the_same_seed_makes_the_same_inputs_and_nearly_all_differ_from_their_seeds():
    for reader in READERS.values():
        one, again, other = ([made(reader, number, seed) for number in range(40)] for seed in (0, 0, 1))
        assert one == again
        assert one != other
        assert sum(parts in reader.seeds for parts in one) < 10


def test_what_is_packed_is_changed_inside():
    data = gzip.compress(b"3 4\na 1 2 3 4\n" * 20, mtime=0)
    unpacked = []
    for seed in range(100):
        try:
            unpacked.append(gzip.decompress(mutated(data, random.Random(seed))))
        except (OSError, EOFError, zlib.error):
            continue
    assert len(set(unpacked)) > 50
