"""Foreign files that are damaged, lie or are dangerous: one clear error each, and nothing spent on it."""

import gzip
import io
import os
import pickle
import re
import tracemalloc
import zipfile

import numpy as np
import pytest
from conftest import made_fasttext
from safetensors.numpy import save as safetensors_bytes
from test_formats import FORMATS, fasttext_bytes, text_rows, word2vec_binary, word2vec_text

import workbench as wb

WORDS = [b"one", "два".encode(), b"three", b"four"]
MATRIX = np.random.default_rng(3).normal(size=(4, 5)).astype(np.float32)
GLOVE, TEXT, BINARY = (make(WORDS, MATRIX) for make in (text_rows, word2vec_text, word2vec_binary))
NGRAM_ROWS = np.ones((24, 5), np.float32)  # of 4 words and 20 buckets
FASTTEXT = fasttext_bytes(WORDS, NGRAM_ROWS, 20)
packed = pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])


# -- no model at all -----------------------------------------------------------------------


def test_a_folder_and_a_missing_file_are_told_apart(refusal, tmp_path):
    assert "is a folder" in refusal(tmp_path, IsADirectoryError)
    assert "does not exist" in refusal(tmp_path / "nowhere.bin", FileNotFoundError)


def zipped(name, data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (zipped("glove.txt", GLOVE), "is a zip archive; unpack it"),
        (safetensors_bytes({"weight": MATRIX, "more": MATRIX}), "but not one of the workbench"),
        (b"<html><body>404 Not Found</body></html>", "no format that is known .*begins with b'<html>"),
        (bytes(1000), "no format that is known"),
        (b"not a model\n", "no format that is known"),
        (gzip.compress(b"", mtime=0), "is empty|no format that is known"),
        (gzip.compress(FASTTEXT, mtime=0), "gunzip"),
        (gzip.compress(pickle.dumps({}), mtime=0), "pickle"),
        (np.random.default_rng(0).bytes(1000), "no format that is known"),
    ],
    ids=lambda x: None if isinstance(x, bytes) else x,
)
def test_what_is_no_model_is_named_for_what_it_is(data, said, refusal):
    assert re.search(said, refusal(data))


@pytest.mark.parametrize(
    "path",
    [
        "finalfusion_rust_testdata/quantized_storage.bin",
        "fasttext_cooking/invalid.model.bin",
        "googlenews_1000x300_json/wordvecs1000.js",
    ],
)
def test_real_files_of_other_kinds_are_refused(path, real, refusal):
    assert "no format that is known" in refusal(real(f"data/fixtures/{path}"))


class Trap:
    """Whoever unpickles this makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@packed
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_never_opened(protocol, pack, refusal, tmp_path):
    sprung = tmp_path / "sprung"
    data = pickle.dumps(Trap(str(sprung)), protocol)
    pickle.loads(data)
    sprung.rmdir()  # so the trap works
    message = refusal(pack(data))
    assert not sprung.exists()
    if pack is bytes and protocol >= 2:  # older ones have no mark
        assert "is a Python pickle, which can run code" in message
        assert "save_word2vec_format" in message


# -- cut short -----------------------------------------------------------------------------


@pytest.mark.parametrize("magic", [True, False])
def test_a_fasttext_model_cut_short_anywhere_is_refused(magic, refusal):
    data = fasttext_bytes(WORDS, NGRAM_ROWS, 20, magic=magic)
    for size in range(0, len(data), 3):
        refusal(data[:size])
    assert "in the middle of its header" in refusal(data[: data.index(WORDS[0]) - 10])
    assert "ends in its vocabulary, at entry 3 of 4" in refusal(data[: data.index(WORDS[3]) + 4])
    assert "matrix of 24 x 5 (480 bytes), but only 479 bytes follow" in refusal(data[:-1])


@packed
def test_word2vec_files_cut_short_are_refused(pack, refusal):
    rows = word2vec_binary(WORDS, MATRIX, after=b"")
    data = pack(rows)
    for size in range(len(data)):
        refusal(data[:size])
    assert "cut short: it ends in word 4 of 4" in refusal(pack(rows[:-1]))
    lines = TEXT.splitlines(keepends=True)
    assert "promises 4 words in its first line and holds 3" in refusal(pack(b"".join(lines[:-1])))
    assert "line 5: expected a word and 5 numbers" in refusal(pack(TEXT.rsplit(b" ", 1)[0]))


@pytest.mark.parametrize("name", [name for name in FORMATS if "gzip" in name])
def test_a_gzip_file_cut_short_or_with_a_flipped_bit_is_refused(name, refusal):
    data = FORMATS[name](WORDS, MATRIX)
    for size in range(2, len(data), 3):
        assert "damaged gzip file" in refusal(data[:size])
    flipped = bytearray(data)
    flipped[-6] ^= 1  # of the checksum
    assert "damaged gzip file" in refusal(bytes(flipped))


# -- lies ----------------------------------------------------------------------------------

BILLION = 10**9


@pytest.mark.parametrize(("entry", "kind"), [(0, 1), (2, 2), (3, 255)])
def test_a_fasttext_word_that_says_it_is_a_label_is_found_out(entry, kind, refusal):
    data = bytearray(FASTTEXT)
    data[data.index(WORDS[entry] + b"\0") + len(WORDS[entry]) + 9] = kind
    assert f"entry {entry} of its vocabulary has type {kind}, which does not fit its header" in refusal(bytes(data))


LIES = [
    ({"n_entries": BILLION}, "claims 1,000,000,000 words"),
    ({"n_entries": -4}, "claims -4 words"),
    ({"n_rows": BILLION}, "claims a matrix of 1,000,000,000 x 5"),
    ({"n_rows": 2**61}, "claims a matrix of 2,305,843,009,213,693,952 x 5"),
    ({"n_rows": 23}, "its matrix is 23 x 5, .* 4 words, 20 buckets and 5 dimensions"),
]
LIES += [(lie | {"magic": False}, said) for lie, said in LIES]
LIES += [  # only new files say it
    ({"n_pruned": BILLION}, "header"),
    ({"n_pruned": 2**62}, "pruned"),
    ({"version": 13}, "format version 13 is unknown"),
]


@pytest.mark.parametrize(("lie", "said"), LIES, ids=str)
def test_a_fasttext_header_that_lies_is_found_out(lie, said, refusal):
    assert re.search(said, refusal(fasttext_bytes(WORDS, NGRAM_ROWS, 20, **lie)))


@packed
@pytest.mark.parametrize("data", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("header", [b"1000000000 5", b"4 999999999", b"0 5", b"4 0", b"999999999999999999 999999999"])
def test_a_word2vec_header_that_lies_is_found_out(header, data, pack, refusal):
    message = refusal(pack(header + data[data.index(b"\n") :]))
    words, dim = map(int, header.split())
    assert f"claims {words:,} words of {dim:,} dimensions in its first line, which cannot be" in message


@pytest.mark.parametrize("make", [word2vec_text, word2vec_binary])
def test_a_lie_that_a_gzip_file_could_hold_costs_no_more_than_the_file(make, refusal):
    words = [b"%d" % i for i in range(4_000)]
    data = make(words, np.random.default_rng(0).normal(size=(4_000, 5)))
    assert "2,000,000" in refusal(gzip.compress(data.replace(b"4000 5\n", b"2000000 5\n", 1), 1))  # 40 MB of floats


def test_very_long_ngrams_in_a_header_take_no_memory(tmp_path):
    made_fasttext().get_vectors(["unseen"] * 100)  # compiles, which takes memory once
    (tmp_path / "model").write_bytes(fasttext_bytes(WORDS, NGRAM_ROWS, 20, 2, 2**31 - 1))
    v = wb.load(tmp_path / "model")
    tracemalloc.start()
    v.get_vectors(["unseen", ""], missing="nan")
    v.get_vectors(["unseen", ""] * 100, missing="nan")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6


# -- bad rows ------------------------------------------------------------------------------


ROWS = [b"e 1e 2 3", b"f - . +", b"g 1-2 3", b"h 1 2", b"i 1 2\t3 x", b"j 1  2 3", b"k 1 2 0x3", b"m", b"n 1 x 3"]
ROWS += [b"o 1 2 3,", b"p\t1\t2\t3", b"\x00\xff\x80"]


@packed
@pytest.mark.parametrize("has_header", [False, True], ids=["GloVe", "word2vec"])
@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_a_malformed_line_is_named_by_its_number(row, has_header, pack, tmp_path):
    for n in (2, 30_000):  # in the first megabyte, and in the second
        lines = [b"%d 3" % (n + 1)] * has_header + [b"a 1.0000000000 2.0000000000 3.0000000000"] * n + [row]
        (tmp_path / "m").write_bytes(pack(b"\n".join(lines)))
        said = f"line {len(lines):,}: expected a word and 3 numbers, got {row!r}"[:-1]
        with pytest.raises(ValueError, match=re.escape(said)):
            wb.load(tmp_path / "m")


@pytest.mark.parametrize("name", [name for name in FORMATS if "fastText" not in name])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_with_nan_or_infinity_is_refused_by_row_and_word(value, name, refusal):
    matrix = MATRIX.copy()
    matrix[1, 2] = value
    assert "row 1 (word 'два') holds NaN or infinity" in refusal(FORMATS[name](WORDS, matrix))


USES = {
    "Prune": wb.Prune(n_words=2).fit_transform,
    "PQ": wb.PQ(2, n_bits=1).fit_transform,
    "Chain": wb.Chain([wb.Prune(n_words=2), wb.SQ()]).fit_transform,
    "most_similar": lambda v: v.most_similar("one"),
    "to_gensim": lambda v: v.to_gensim(),
}
USES_OF_NGRAMS = [wb.PQ(2, n_bits=1), wb.SQ(), wb.SQ(on="ngrams"), wb.Rehash(30)]
WORD = r"^row 1 \(word 'два'\) holds NaN or infinity; [^\n]*$"


@pytest.mark.parametrize(
    ("use", "of_a_word", "said"),
    [(use, True, WORD) for use in USES.values()]
    + [(step.fit_transform, False, "holds NaN or infinity") for step in USES_OF_NGRAMS],
    ids=[*USES, *map(repr, USES_OF_NGRAMS)],
)
def test_nan_in_a_fasttext_model_is_refused_at_the_first_pass(use, of_a_word, said, tmp_path):
    """In the row of a word and in that of an n-gram that no known word uses."""
    path = tmp_path / "model"
    rows = np.ones((204, 5), np.float32)
    path.write_bytes(fasttext_bytes(WORDS, rows, 200))
    v = wb.load(path)
    unused = np.setdiff1d(np.arange(200), v.vocab.subwords.rows(v.words)[1])
    rows[1 if of_a_word else 4 + unused[-1], 2] = np.nan
    path.write_bytes(fasttext_bytes(WORDS, rows, 200))
    with pytest.raises(ValueError, match=said):
        use(wb.load(path))


# -- a corpus ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no words"),
        (b" \n\t\n", "holds no words"),
        (gzip.compress(b"", mtime=0), "holds no words"),
        (gzip.compress(b"some words", mtime=0)[:-4], "is a damaged gzip file"),
        (b"one 3\n" * 20_000 + b"two x\n", "line 20,001: expected a word without spaces, then .* got b'two x"),
    ],
    ids=["empty", "white space", "empty gzip", "cut gzip", "list"],
)
def test_a_corpus_without_words_or_damaged_is_refused(data, said, tmp_path):
    (tmp_path / "corpus").write_bytes(data)
    with pytest.raises(ValueError, match=said) as caught:
        wb.Prune(2, importance=tmp_path / "corpus").fit(made_fasttext(20, 100, 4))
    assert str(caught.value).startswith(str(tmp_path / "corpus"))


def test_a_corpus_that_is_no_file_says_what_importance_may_be(tmp_path):
    v = made_fasttext(20, 100, 4)
    with pytest.raises(IsADirectoryError, match="is a folder; expected a text or a list of word counts"):
        wb.Prune(2, importance=tmp_path).fit(v)
    with pytest.raises(FileNotFoundError, match=r"wrods does not exist.*one of words, counts, norms"):
        wb.Prune(2, importance="wrods").fit(v)
