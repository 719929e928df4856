"""What is damaged, lies, is foreign or dangerous: one clear error each, and nothing spent on it."""

import gzip
import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib

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


@pytest.fixture
def refusal(tmp_path):
    """The message with which a file is refused: one line that names it, at no cost of memory or disk."""

    def message(data_or_path, error=ValueError):
        path = data_or_path
        if isinstance(path, bytes):
            path = tmp_path / "model"
            path.write_bytes(data_or_path)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(error):
            wb.load(path)  # imports what is imported late, so that it does not count below
        tracemalloc.start()
        with pytest.raises(error) as caught:
            wb.load(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert caught.type is error
        assert peak < 4e6
        assert sorted(tmp_path.rglob("*")) == before
        text = str(caught.value)
        assert text.startswith(str(path))
        assert "\n" not in text
        return text.removeprefix(str(path))

    return message


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
    ("data", "telling"),
    [
        (b"", "is empty"),
        (zipped("glove.txt", GLOVE), "is a zip archive; unpack it"),
        (safetensors_bytes({"weight": MATRIX}), "but not one of the workbench"),
        (b"<html><body>404 Not Found</body></html>", "no format that is known .*begins with b'<html>"),
        (bytes(1000), "no format that is known"),
        (b"not a model\n", "no format that is known"),
        (b"\n", "no format that is known"),
        (gzip.compress(b"", mtime=0), "is empty|no format that is known"),
        (np.random.default_rng(0).bytes(1000), "no format that is known"),
    ],
    ids=lambda x: None if isinstance(x, bytes) else x,
)
def test_what_is_no_model_is_named_for_what_it_is(data, telling, refusal):
    assert_tells(refusal(data), telling)


def assert_tells(message, telling):
    with pytest.raises(ValueError, match=telling):
        raise ValueError(message)


@pytest.mark.parametrize(
    ("path", "telling"),
    [
        ("finalfusion_rust_testdata/quantized_storage.bin", "no format that is known"),
        ("fasttext_cooking/invalid.model.bin", "no format that is known"),
        ("googlenews_1000x300_json/wordvecs1000.js", "no format that is known"),
    ],
)
def test_real_files_of_other_kinds_are_refused(path, telling, real, refusal):
    assert telling in refusal(real(f"data/fixtures/{path}"))


class Trap:
    """Whoever unpickles this makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
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
    for size in range(len(data)):
        refusal(data[:size])
    assert "in the middle of its header" in refusal(data[: data.index(WORDS[0]) - 10])
    assert "ends in its vocabulary, at entry 3 of 4" in refusal(data[: data.index(WORDS[3]) + 4])
    assert "matrix of 24 x 5 (480 bytes), but only 479 bytes follow" in refusal(data[:-1])


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_word2vec_binary_cut_short_anywhere_is_refused(pack, refusal):
    rows = word2vec_binary(WORDS, MATRIX, after=b"")
    data = pack(rows)
    for size in range(len(data)):
        refusal(data[:size])
    assert "cut short: it ends in word 4 of 4" in refusal(pack(rows[:-1]))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_word2vec_text_that_lacks_rows_or_numbers_is_refused(pack, refusal):
    lines = TEXT.splitlines(keepends=True)
    assert "promises 4 words in its first line and holds 3" in refusal(pack(b"".join(lines[:-1])))
    assert "line 5: expected a word and 5 numbers" in refusal(pack(TEXT.rsplit(b" ", 1)[0]))


@pytest.mark.parametrize("name", [name for name in FORMATS if "gzip" in name])
def test_a_gzip_file_cut_short_anywhere_is_refused(name, refusal):
    data = FORMATS[name](WORDS, MATRIX)
    for size in range(2, len(data)):
        assert "damaged gzip file" in refusal(data[:size])


def test_a_gzip_file_with_a_flipped_bit_is_refused(refusal):
    data = bytearray(gzip.compress(GLOVE))
    data[-6] ^= 1  # of the checksum
    assert "damaged gzip file" in refusal(bytes(data))


# -- lies ----------------------------------------------------------------------------------

BILLION = 10**9


@pytest.mark.parametrize(("entry", "kind"), [(0, 1), (2, 2), (3, 255)])
def test_a_fasttext_word_that_says_it_is_a_label_is_found_out(entry, kind, refusal):
    data = bytearray(fasttext_bytes(WORDS, NGRAM_ROWS, 20))
    data[data.index(WORDS[entry] + b"\0") + len(WORDS[entry]) + 9] = kind
    assert f"entry {entry} of its vocabulary has type {kind}, which does not fit its header" in refusal(bytes(data))


LIES = [
    ({"n_entries": BILLION}, "claims 1,000,000,000 words"),
    ({"n_entries": -4}, "claims -4 words"),
    ({"n_entries": 0}, "claims 0 words"),
    ({"n_rows": BILLION}, "claims a matrix of 1,000,000,000 x 5"),
    ({"n_rows": 2**61}, "claims a matrix of 2,305,843,009,213,693,952 x 5"),
    ({"n_rows": 23}, "its matrix is 23 x 5, .* 4 words, 20 buckets and 5 dimensions"),
    ({"n_rows": -1}, "its matrix is -1 x 5"),
]
LIES += [(lie | {"magic": False}, telling) for lie, telling in LIES]
LIES += [({"n_pruned": BILLION}, "header"), ({"version": 13}, "format version 13 is unknown")]  # only new files say it


@pytest.mark.parametrize(("lie", "telling"), LIES, ids=str)
def test_a_fasttext_header_that_lies_is_found_out(lie, telling, refusal):
    assert_tells(refusal(fasttext_bytes(WORDS, NGRAM_ROWS, 20, **lie)), telling)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
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


# -- bad rows ------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "line",
    [b"three 1 2 3 4", b"three 1 2 x 4 5", b"three", b"three 1 2 3 4 5,", b"\x00\xff\x80", b"three\t1\t2\t3\t4\t5"],
)
@pytest.mark.parametrize(("data", "number"), [(GLOVE, 3), (TEXT, 4)], ids=["GloVe", "word2vec"])
def test_a_malformed_line_is_named_by_its_number(data, number, line, pack, refusal):
    lines = data.splitlines()
    lines[number - 1] = line
    message = refusal(pack(b"\n".join(lines)))
    assert message.startswith(f", line {number}: expected a word and 5 numbers, got {line!r}"[:-1])


@pytest.mark.parametrize("name", [name for name in FORMATS if "fastText" not in name])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_with_nan_or_infinity_is_refused_by_row_and_word(value, name, refusal):
    matrix = MATRIX.copy()
    matrix[1, 2] = value
    assert "row 1 (word 'два') holds NaN or infinity" in refusal(FORMATS[name](WORDS, matrix))


@pytest.mark.parametrize("magic", [True, False])
@pytest.mark.parametrize(
    "use",
    [
        wb.Prune(n_words=2).fit_transform,
        wb.PQ(2, n_bits=1).fit_transform,
        wb.SQ().fit_transform,
        wb.Chain([wb.Prune(n_words=2), wb.SQ()]).fit_transform,
        lambda v: v.most_similar("one"),
        lambda v: v.to_gensim(),
    ],
    ids=["Prune", "PQ", "SQ", "Chain", "most_similar", "to_gensim"],
)
def test_nan_in_a_fasttext_model_is_refused_at_the_first_pass_by_row_and_word(use, magic, tmp_path):
    rows = NGRAM_ROWS.copy()
    rows[1, 2] = np.nan
    path = tmp_path / "model"
    path.write_bytes(fasttext_bytes(WORDS, rows, 20, magic=magic))
    with pytest.raises(ValueError, match=r"^row 1 \(word 'два'\) holds NaN or infinity; [^\n]*$"):
        use(wb.load(path))


@pytest.mark.parametrize("step", [wb.PQ(2, n_bits=1), wb.SQ(), wb.SQ(on="ngrams")], ids=repr)
def test_nan_in_an_ngram_that_no_known_word_uses_is_refused_too(step, tmp_path):
    path = tmp_path / "model"
    rows = np.ones((204, 5), np.float32)
    path.write_bytes(fasttext_bytes(WORDS, rows, 200))
    v = wb.load(path)
    unused = np.setdiff1d(np.arange(200), v.vocab.subwords.rows(v.words)[1])
    rows[4 + unused[-1], 0] = np.nan
    path.write_bytes(fasttext_bytes(WORDS, rows, 200))
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        step.fit_transform(wb.load(path))


# -- damaged artefacts ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    """The bytes of a small file of ours with words, n-grams and scales."""
    small = wb.Chain([wb.Prune(6, 20), wb.SQ()]).fit_transform(made_fasttext(20, 100, 4))
    return small.save(tmp_path_factory.mktemp("artefact") / "small").read_bytes()


def rewritten(artefact, change):
    """The file with its metadata, or its arrays' entries, changed by `change(about, header)`."""
    start = 8 + int.from_bytes(artefact[:8], "little")
    header = json.loads(artefact[8:start])
    about = json.loads(header["__metadata__"]["workbench"])
    change(about, header)
    header["__metadata__"]["workbench"] = json.dumps(about)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + artefact[start:]


def test_an_artefact_cut_short_anywhere_is_refused(artefact, refusal):
    for size in range(len(artefact)):
        refusal(artefact[:size])
    assert "cannot be read as a whole .safetensors file of the workbench" in refusal(artefact[:-1])


def test_an_artefact_with_bytes_to_spare_is_refused(artefact, refusal):
    assert "cannot be read as a whole .safetensors file of the workbench" in refusal(artefact + b"\0")


@pytest.mark.parametrize("version", [0, 4, 999, "1", None])
def test_an_artefact_of_another_version_says_so(version, artefact, refusal):
    message = refusal(rewritten(artefact, lambda about, _: about.update(format_version=version)))
    assert f"has format version {version}, this workbench reads 1 to 3" in message


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        (lambda about, _: about.pop("storage"), "storage"),
        (lambda about, _: about.pop("subwords"), "subwords"),
        (lambda about, _: about["storage"].update(kind="hologram"), "'hologram'"),
        (lambda about, _: about["subwords"].update(min_n=9), "min_n=9"),
        (lambda about, _: about["subwords"].update(surprise=1), "surprise"),
        (lambda about, _: about.update(subwords=None), "n-gram"),
        (lambda _, header: header.update({"vocab.words": header.pop("vocab.text")}), "text"),
        (lambda _, header: header["vocab.text"].update(dtype="BOOL"), "BOOL"),
        (lambda _, header: header["storage.words.matrix"].update(shape=[4, 6]), "6 rows|4 rows|scale"),
    ],
)
def test_an_artefact_whose_header_does_not_fit_is_refused(change, telling, artefact, refusal):
    message = refusal(rewritten(artefact, change))
    assert "cannot be read as a whole .safetensors file of the workbench" in message
    assert_tells(message, telling)


def test_a_flipped_bit_among_the_words_is_noticed(artefact, refusal):
    start = 8 + int.from_bytes(artefact[:8], "little")
    first, last = json.loads(artefact[8:start])["vocab.text"]["data_offsets"]
    for place in range(start + first, start + last):
        damaged = bytearray(artefact)
        damaged[place] ^= 16
        assert "cannot be read as a whole .safetensors file of the workbench" in refusal(bytes(damaged))


def test_a_rewritten_artefact_without_changes_opens(artefact, tmp_path):
    """So what the tests above see is the change and not the rewriting."""
    (tmp_path / "same").write_bytes(rewritten(artefact, lambda about, header: None))
    assert len(wb.load(tmp_path / "same")) == 6


@pytest.mark.parametrize("metadata", ["not json", "[1]", "3", "null", '"x"'])
def test_metadata_that_is_no_json_object_is_damage(metadata, artefact, refusal):
    start = 8 + int.from_bytes(artefact[:8], "little")
    header = json.loads(artefact[8:start]) | {"__metadata__": {"workbench": metadata}}
    text = json.dumps(header).encode()
    assert "cannot be read as a whole .safetensors file of the workbench" in refusal(
        struct.pack("<Q", len(text)) + text + artefact[start:]
    )


def test_a_number_of_buckets_that_the_file_does_not_hold_is_found_out(artefact, refusal):
    assert "cannot be read as a whole .safetensors file of the workbench" in refusal(
        rewritten(artefact, lambda about, _: about["subwords"].update(n_buckets=10**9))
    )


# -- shared rows and folded buckets that lie --------------------------------------------------


@pytest.fixture(scope="module")
def sharing():
    """A model of 20 words that share 6 rows, with 100 buckets folded into 70."""
    chain = wb.Chain([wb.Rehash(70), wb.Prune(6, 20, remap="nearest", threshold=-1)])
    return chain.fit_transform(made_fasttext(20, 100, 4))


def deflated(numbers, dtype):
    return np.frombuffer(zlib.compress(np.asarray(numbers, dtype).tobytes()), np.uint8)


LONG = deflated(np.zeros(10**8), "u1")  # 100 MB, were they unpacked


@pytest.mark.parametrize(
    ("name", "array", "telling"),
    [
        ("row_of", deflated([99] * 20, "<u2"), "point at 100 rows, the matrix has 6"),
        ("row_of", deflated([-1] * 20, "<i4"), "rows must be whole numbers from 0 on"),
        ("row_of", deflated([0] * 5, "<u2"), "one a word, got 10 bytes"),
        ("row_of", deflated([0] * 20, "<u2")[:-3], "or a part of them"),
        ("row_of", LONG, "unpack to 80 at most"),
        ("row_of", np.zeros(80, np.uint8), "error: Error -3"),
        ("row_of", np.zeros(3, np.int32), "one entry a word"),
        ("row_of", np.zeros(20, np.float32), "error: Error -3"),
        ("scales", np.ones(20, np.float16), "error: Error -3"),
        ("scales", deflated([np.inf] * 20, "<f2"), "0 or more and finite"),
        ("scales", deflated([-1] * 20, "<f2"), "0 or more and finite"),
        ("scales", deflated([1] * 3, "<f2"), "one a word, got 6 bytes"),
        ("scales", LONG, "unpack to 40 at most"),
    ],
)
def test_borrowed_rows_that_lie_are_found_out(name, array, telling, sharing, refusal, monkeypatch, tmp_path):
    arrays = sharing.vocab.arrays() | {name: array}
    with monkeypatch.context() as patch:
        patch.setattr(sharing.vocab, "arrays", lambda: arrays)
        message = refusal(sharing.save(tmp_path / "lies"))
    assert "cannot be read as a whole .safetensors file of the workbench" in message
    assert_tells(message, telling)


@pytest.mark.parametrize("folded", [[50], [2**31], [0], [100.0], ["100"], 100, [300, 200, 400], [2**70]], ids=str)
def test_folded_buckets_that_lie_are_found_out(folded, sharing, refusal, tmp_path):
    data = sharing.save(tmp_path / "lies").read_bytes()
    (tmp_path / "lies").unlink()
    assert "cannot be read as a whole .safetensors file of the workbench" in refusal(
        rewritten(data, lambda about, _: about["subwords"].update(folded=folded))
    )


@pytest.mark.parametrize("name", ["row_of", "scales"])
def test_a_flipped_bit_among_borrowed_rows_is_noticed_or_changes_nothing(name, sharing, tmp_path):
    """The last bits of a deflated stream may be padding."""
    data = sharing.save(tmp_path / "whole").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    first, last = json.loads(data[8:start])[f"vocab.{name}"]["data_offsets"]
    noticed = 0
    for place in range(start + first, start + last):
        damaged = bytearray(data)
        damaged[place] ^= 16
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            np.testing.assert_array_equal(wb.load(tmp_path / "damaged").matrix(), sharing.matrix())
        except ValueError:
            noticed += 1
    assert noticed >= last - first - 1


@pytest.mark.parametrize(
    ("data", "telling"),
    [
        (b"", "holds no words"),
        (b" \n\t\n", "holds no words"),
        (b"one 0\ntwo 0\n", "holds no words"),
        (gzip.compress(b""), "holds no words"),
        (gzip.compress(b"some words")[:-4], "is a damaged gzip file"),
        (b"one 3\n" * 20_000 + b"two x\n", "line 20,001: expected a word without spaces, then .* got b'two x"),
    ],
    ids=["empty", "white space", "counts of 0", "empty gzip", "cut gzip", "list"],
)
def test_a_corpus_without_words_or_damaged_is_refused(data, telling, tmp_path):
    (tmp_path / "corpus").write_bytes(data)
    with pytest.raises(ValueError, match=telling) as caught:
        wb.Prune(2, importance=tmp_path / "corpus").fit(made_fasttext(20, 100, 4))
    assert str(caught.value).startswith(str(tmp_path / "corpus"))


def test_a_corpus_that_is_no_file_says_what_importance_may_be(tmp_path):
    v = made_fasttext(20, 100, 4)
    with pytest.raises(IsADirectoryError, match="is a folder; expected a text or a list of word counts"):
        wb.Prune(2, importance=tmp_path).fit(v)
    with pytest.raises(FileNotFoundError, match=r"wrods does not exist.*one of words, counts, norms"):
        wb.Prune(2, importance="wrods").fit(v)


# -- found by breaking the readers -----------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "line", [b"one 1.1 x.3 3.1 4.1 5.1", b"one\t1.1\t2.3\t3.1\t4.1\t5.1", b"one 1.1 2.1", b""], ids=repr
)
def test_a_word2vec_text_whose_first_row_is_bad_is_not_taken_for_binary(line, pack, refusal):
    lines = TEXT.splitlines()
    lines[1] = line
    assert refusal(pack(b"\n".join(lines))).startswith(", line 2: expected a word and 5 numbers")


def test_a_number_of_pruned_ngrams_that_the_file_cannot_hold_is_found_out(refusal):
    assert "pruned" in refusal(fasttext_bytes(WORDS, NGRAM_ROWS, 20, n_pruned=2**62))


@pytest.mark.parametrize("n_words", [1, 100])
def test_very_long_ngrams_in_a_header_take_no_memory(n_words, tmp_path):
    made_fasttext().get_vectors(["unseen"] * n_words)  # compiles, which takes memory once
    (tmp_path / "model").write_bytes(fasttext_bytes(WORDS, NGRAM_ROWS, 20, 2, 2**31 - 1))
    v = wb.load(tmp_path / "model")
    tracemalloc.start()
    v.get_vectors(["unseen", ""] * n_words, missing="nan")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6


def test_what_a_gzip_file_holds_is_named(refusal):
    assert "gunzip" in refusal(gzip.compress(fasttext_bytes(WORDS, NGRAM_ROWS, 20)))
    assert "is empty" in refusal(gzip.compress(b""))
    assert "pickle" in refusal(gzip.compress(pickle.dumps({})))
