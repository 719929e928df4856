"""Every reader against gensim's, and by hand where gensim departs from fastText."""

import gzip
import itertools
import random
import re
import struct

import numpy as np
import psutil
import pytest
from gensim.models import KeyedVectors, _fasttext_bin
from gensim.models.fasttext import load_facebook_vectors
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.subwords import MAX_UNCOMPILED, Subwords

SKIPGRAM, SUPERVISED = 2, 3
RNG = np.random.default_rng(7)


def fasttext_bytes(
    words,
    matrix,
    n_buckets=0,
    min_n=2,
    max_n=4,
    *,
    model=SKIPGRAM,
    labels=(),
    magic=True,
    version=12,
    counts=(),
    **claims,
):
    """A fastText file. `claims` replace what its header says: n_entries, n_rows, n_pruned, quantised."""
    says = {"n_entries": len(words) + len(labels), "n_rows": len(matrix), "n_pruned": -1, "quantised": False} | claims
    dim = matrix.shape[1]
    out = struct.pack("<2i", 793712314, version) if magic else b""
    out += struct.pack("<12id", dim, 5, 5, 5, 5, 1, 2, model, n_buckets, min_n, max_n, 100, 1e-4)
    out += struct.pack("<3iq", says["n_entries"], says["n_entries"] - len(labels), len(labels), 1000)
    out += struct.pack("<q", says["n_pruned"]) if magic else b""
    counts = list(counts) or [max(100 - i, 0) for i in range(len(words))]
    for entry, count in zip(words, counts, strict=True):
        out += entry + b"\0" + struct.pack("<qb", count, 0)
    out += b"".join(label + b"\0" + struct.pack("<qb", 0, 1) for label in labels)
    out += struct.pack("<?", says["quantised"]) if magic else b""
    return out + struct.pack("<2q", says["n_rows"], dim) + matrix.astype("<f4").tobytes()


def text_rows(words, matrix):
    return b"".join(word + b"".join(b" %.9g" % x for x in row) + b"\n" for word, row in zip(words, matrix, strict=True))


def word2vec_text(words, matrix):
    return b"%d %d\n" % matrix.shape + text_rows(words, matrix)


def word2vec_binary(words, matrix, after=b"\n"):
    rows = zip(words, matrix.astype("<f4"), strict=True)
    return b"%d %d\n" % matrix.shape + b"".join(word + b" " + row.tobytes() + after for word, row in rows)


def gzipped(make):
    return lambda words, matrix: gzip.compress(make(words, matrix), mtime=0)


FORMATS = {  # every foreign format, as a function from encoded words and a matrix to the bytes of a file
    "fastText": fasttext_bytes,
    "fastText without magic number": lambda words, matrix: fasttext_bytes(words, matrix, magic=False),
    "word2vec text": word2vec_text,
    "word2vec text, gzip": gzipped(word2vec_text),
    "word2vec binary": word2vec_binary,
    "word2vec binary, gzip": gzipped(word2vec_binary),
    "GloVe": text_rows,
    "GloVe, gzip": gzipped(text_rows),
}


@pytest.fixture(params=FORMATS)
def make(request):
    return FORMATS[request.param]


@pytest.fixture
def load(tmp_path):
    """Open bytes as a file, by default a new one each time: an older one may still be mapped."""
    fresh = itertools.count()

    def write_and_load(data, name=None):
        path = tmp_path / (name or f"model {next(fresh)}")
        path.write_bytes(data)
        return wb.load(path)

    return write_and_load


def random_matrix(n, dim=6):
    return RNG.normal(size=(n, dim)).astype(np.float32)


def encoded(words):
    return [word.encode("utf-8", "surrogateescape") for word in words]


WORDS = ["the", "кошка", "naïve", "a", "猫", "🙂smile", "e\u0301", "thenceforward"]
MATRIX = random_matrix(len(WORDS))
LETTERS = "ab-é\u0301ßωЖيहひ猫글😀\t _"  # a few scripts, a combining mark, blanks


def arbitrary_strings(n):
    rng = random.Random(0)
    return ["".join(rng.choices(LETTERS, k=rng.randint(1, 15))) for _ in range(n)]


# -- fastText ------------------------------------------------------------------------------


def assert_equals_gensim(path, n=200):
    """Known and unseen words, up to `n` of each. `</s>` is left out: gensim gives it n-grams."""
    ours, theirs = wb.load(path), load_facebook_vectors(str(path))
    assert ours.words == theirs.index_to_key
    assert ours.vocab.counts.tolist() == [theirs.get_vecattr(word, "count") for word in ours.words]
    known = random.Random(0).sample(ours.words, min(n, len(ours)))
    words = [word for word in known + arbitrary_strings(n) if word != "</s>"]
    np.testing.assert_allclose(ours[words], np.stack([theirs[w] for w in words]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("magic", [True, False])
@pytest.mark.parametrize(("min_n", "max_n"), [(2, 4), (3, 6), (3, 3)])
def test_fasttext_words_known_and_unseen_equal_gensims(magic, min_n, max_n, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(fasttext_bytes(encoded(WORDS), random_matrix(len(WORDS) + 50), 50, min_n, max_n, magic=magic))
    assert_equals_gensim(path)


@pytest.mark.parametrize(
    "path",
    [
        *(f"fasttext_bin/{name}.bin" for name in ("lee_fasttext", "lee_fasttext_new", "non_ascii_fasttext")),
        "fasttext_bin/crime-and-punishment.bin",
        "finalfusion_rust_testdata/fasttext.bin",
    ],
)
def test_real_fasttext_words_known_and_unseen_equal_gensims(path, real):
    assert_equals_gensim(real(f"data/fixtures/{path}"), 500)


def ngrams_by_hand(word, min_n, max_n, n_buckets):
    """Buckets as the C++ code fills them, from its description rather than its loops."""
    marked = b"<" + word + b">"
    letters = re.findall(rb"[^\x80-\xbf][\x80-\xbf]*", marked)  # a byte that continues a letter never begins one
    pairs = [(i, n) for i in range(len(letters)) for n in range(min_n, max_n + 1) if i + n <= len(letters)]
    marks_alone = {(0, 1), (len(letters) - 1, 1)}
    buckets = []
    for i, n in pairs:
        hashed = 2166136261
        for byte in b"".join(letters[i : i + n]):
            hashed = (hashed ^ (byte - 256 if byte > 127 else byte) % 2**32) * 16777619 % 2**32
        if (i, n) not in marks_alone:
            buckets.append(hashed % n_buckets)
    return buckets


def assert_follows_fasttext(v, rows, min_n, max_n, n_buckets):
    """Every word is the mean of its row and its n-grams', an unseen one of its n-grams' alone."""
    for i, word in enumerate([*v.words, "unseen", "кошк\udce9"]):
        name = word.encode("utf-8", "surrogateescape")
        used = [len(v) + b for b in ngrams_by_hand(name, min_n, max_n, n_buckets)] if word != "</s>" else []
        expected = rows[[i, *used] if i < len(v) else used].mean(axis=0)
        np.testing.assert_allclose(v[word], expected, atol=1e-5, err_msg=repr(word))


@pytest.mark.parametrize("magic", [True, False])
@pytest.mark.parametrize("min_n", [1, 2])
def test_the_rules_of_fasttext_hold_where_gensim_departs_from_them(magic, min_n, load):
    """Marks alone are no n-grams, the end of sentence has none, and words need not be UTF-8."""
    words = [*encoded(WORDS), b"</s>", "který".encode("cp852"), b"\x80\xbf\xff"]
    rows = random_matrix(len(words) + 50)
    v = load(fasttext_bytes(words, rows, 50, min_n, 4, magic=magic))
    assert encoded(v.words) == words
    assert_follows_fasttext(v, rows, min_n, 4, 50)
    np.testing.assert_array_equal(v["</s>"], rows[v.key_to_index["</s>"]])


def test_real_words_that_are_not_utf8_keep_their_bytes_and_their_vectors(real):
    path = real("data/fixtures/fasttext_bin/cp852_fasttext.bin")
    v = wb.load(path)
    assert [w.decode("cp852") for w in encoded(v.words)] == load_facebook_vectors(path, "cp852").index_to_key
    with open(path, "rb") as file:
        rows = _fasttext_bin.load(file).vectors_ngrams
    assert_follows_fasttext(v, rows, 2, 4, 1000)


@pytest.mark.parametrize(("version", "has_ngrams"), [(12, True), (11, False)])
def test_a_supervised_model_gives_its_words_and_no_labels(version, has_ngrams, load):
    rows = random_matrix(len(WORDS) + 50)
    labels = [b"__label__a", b"__label__b"]
    v = load(fasttext_bytes(encoded(WORDS), rows, 50, model=SUPERVISED, labels=labels, version=version))
    assert v.words == WORDS
    assert v.can_embed("unseen") == has_ngrams  # models of version 11 say they have some, but were trained without
    if has_ngrams:
        assert_follows_fasttext(v, rows, 2, 4, 50)
    else:
        np.testing.assert_array_equal(v[WORDS], rows[: len(WORDS)])


@pytest.mark.parametrize("path", ["fasttext_bin/pang_lee_polarity_fasttext.bin", "fasttext_cooking/cooking.model.bin"])
def test_a_real_supervised_model_gives_its_words_and_no_labels(path, real):
    path = real(f"data/fixtures/{path}")
    v, data = wb.load(path), path.read_bytes()
    _, n_words, n_labels = struct.unpack_from("<3i", data, 64)
    assert len(v) == n_words
    assert not any(word.startswith("__label__") for word in v.words)
    after = 17 + 4 * n_labels * v.dim  # the classifier, which ends the file; gensim opens no such model
    rows = np.frombuffer(data[:-after][-4 * n_words * v.dim :], "<f4").reshape(n_words, v.dim)
    np.testing.assert_array_equal(v.matrix(), rows)


def test_opening_a_huge_fasttext_model_reads_no_matrix(tmp_path):
    n_buckets, dim = 10_000_000, 100
    path = tmp_path / "huge.bin"
    path.write_bytes(fasttext_bytes([b"first", b"last"], np.empty((0, dim)), n_buckets, n_rows=n_buckets + 2))
    with open(path, "r+b") as file:  # 4 GB of zeros that take no room on the disk
        file.truncate(path.stat().st_size + (n_buckets + 2) * dim * 4)
    before = psutil.Process().memory_info().rss
    v = wb.load(path)
    assert v["last"].shape == v["unseen"].shape == (dim,)
    assert psutil.Process().memory_info().rss - before < 50e6


WORD = st.binary(max_size=30).map(lambda data: data.replace(b"\0", b"\1"))


@given(st.dictionaries(WORD, st.integers(0, 2**63 - 1), min_size=1, max_size=30), st.lists(WORD, max_size=5))
def test_any_bytes_are_words_with_any_counts(tmp_path_factory, counts, labels):
    """Counts are full of the byte that ends words."""
    path = tmp_path_factory.mktemp("any") / "model"
    path.write_bytes(fasttext_bytes(list(counts), random_matrix(len(counts)), labels=labels, counts=counts.values()))
    v = wb.load(path)
    assert encoded(v.words) == list(counts)
    assert v.vocab.counts.tolist() == list(counts.values())


# -- n-grams -------------------------------------------------------------------------------

ANY_WORD = st.text(max_size=20) | st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))


@given(st.lists(ANY_WORD, min_size=1, max_size=8), st.integers(1, 4), st.integers(0, 3), st.integers(1, 10**6))
def test_ngrams_of_any_bytes_are_fasttexts_in_plain_python_and_compiled(words, min_n, more, n_buckets):
    subwords = Subwords(min_n, min_n + more, n_buckets)
    many = words + ["filler"] * MAX_UNCOMPILED  # so many that the compiled kernel runs
    for indptr, buckets in (subwords.buckets(words), subwords.buckets(many)):
        for i, word in enumerate(encoded(words)):
            expected = ngrams_by_hand(word, min_n, min_n + more, n_buckets) if word != b"</s>" else []
            assert buckets[indptr[i] : indptr[i + 1]].tolist() == expected


# -- word2vec and GloVe --------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("binary", [True, False])
def test_word2vec_files_of_gensim_come_back_exactly(binary, suffix, tmp_path):
    theirs = KeyedVectors(MATRIX.shape[1])
    theirs.add_vectors(WORDS, MATRIX)
    path = tmp_path / f"vectors{suffix}"
    theirs.save_word2vec_format(str(path), binary=binary)
    v = wb.load(path)
    assert v.words == WORDS
    np.testing.assert_array_equal(v.matrix(), MATRIX)


@pytest.mark.parametrize("after", [b"", b"\n"])
def test_binary_rows_may_end_in_a_newline_or_not_and_span_many_reads(after, load):
    words = [f"word{i}" for i in range(4_000)]
    matrix = random_matrix(4_000, 150)  # 2.4 MB; among so many floats are those that begin with a newline or a space
    v = load(word2vec_binary(encoded(words), matrix, after))
    assert v.words == words
    np.testing.assert_array_equal(v.matrix(), matrix)


BINARY, HEADERLESS = {"binary": True}, {"no_header": True}


@pytest.mark.parametrize(
    ("path", "how"),
    [
        ("emoji2vec/emoji2vec.bin", BINARY),
        ("bpemb_en_vs1000_d25/en.wiki.bpe.vs1000.d25.w2v.bin", BINARY),
        ("finalfusion_rust_testdata/analogy.bin", BINARY),
        ("finalfusion_rust_testdata/similarity.bin", BINARY),
        ("finalfusion_rust_testdata/similarity.txt", {}),
        ("finalfusion_rust_testdata/similarity.nodims", HEADERLESS),
        ("finalfusion_python_testdata/embeddings.w2v", BINARY),
        ("finalfusion_python_testdata/embeddings.dims.txt", {}),
        ("finalfusion_python_testdata/embeddings.txt", HEADERLESS),
        ("finalfusion_rust_testdata/utf8-incomplete.bin", BINARY),
        ("finalfusion_rust_testdata/utf8-incomplete.dims", {}),
        ("finalfusion_rust_testdata/utf8-incomplete.txt", HEADERLESS),
    ],
)
def test_real_word2vec_and_glove_files_equal_gensims(path, how, real):
    path = real(f"data/fixtures/{path}")
    ours, theirs = wb.load(path), KeyedVectors.load_word2vec_format(path, **how, unicode_errors="surrogateescape")
    assert ours.words == theirs.index_to_key
    np.testing.assert_array_equal(ours.matrix(), theirs.vectors)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("header", [b"", b"5 2\n"], ids=["GloVe", "word2vec"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_text_may_hold_words_with_spaces_blank_lines_and_loose_ends(header, newline, pack, load):
    lines = [b"the 1 2", b". . . 3 4", b"", b"at 10 5 6 ", b"   ", b"a\xc2\xa0b 7e-1 -8", "a\u2028b 9 0".encode()]
    v = load(pack(header + newline.join(lines)))
    assert v.words == ["the", ". . .", "at 10", "a\u00a0b", "a\u2028b"]
    np.testing.assert_array_equal(v.matrix(), np.float32([[1, 2], [3, 4], [5, 6], [0.7, -8], [9, 0]]))


def test_numbers_of_text_are_those_of_python_to_the_bit(load):
    """Whether a line is plain, and numpy reads it with many others, or unusual and read alone."""
    numbers = (RNG.normal(size=(9_000, 4)) * 10.0 ** RNG.integers(-25, 25, (9_000, 4))).astype(np.float32)
    forms = ["%.9g", "%r", "%.6f", "%.3e", "%.17g"]
    lines = [f"w{i} " + " ".join(forms[i % 5] % x for x in row) for i, row in enumerate(numbers.tolist())]
    middles = (numbers.astype(float) + np.nextafter(numbers, np.float32(np.inf)).astype(float)) / 2
    lines += [f"m{i} " + " ".join(f"{x:.17g}" for x in row) for i, row in enumerate(middles.tolist())]  # hard to round
    lines += [
        "a b 1 2 3 4",
        "  1 2 3 4",
        " 4 5 6 7",
        "x 1_0 2 3 4",
        "nan 1. .5 -0 4",
        '"q +1e5 -1E-7 1e+3 4',
        "u 123456789012345678901234567890 1e-40 0.1000000000000000055511151231257827 1e22",
        "v 00000000000000000000000001.5 1e22 1e23 -0.0",
        "w 9007199254740993 9007199254740992 9007199254740991e-22\t 4\t \r",
        "1 2 3 4 5",
        "tab\tin 1 2 3 4 ",
    ]
    v = load("\n".join(lines).encode())
    parts = [line.rstrip().rsplit(" ", 4) for line in lines]
    assert v.words == [word for word, *_ in parts]
    expected = np.float32([[float(number) for number in row] for _, *row in parts])
    np.testing.assert_array_equal(v.matrix().view(np.int32), expected.view(np.int32))


# -- every format --------------------------------------------------------------------------


def test_the_content_decides_and_not_the_name_which_is_remembered(make, load, tmp_path):
    for name in ("model.bin", "model.txt", "model.gz", "model.safetensors", "model.pkl", "model"):
        v = load(make(encoded(WORDS), MATRIX), name)
        assert v.words == WORDS
        assert v.meta["provenance"] == {"source": name, "source_bytes": (tmp_path / name).stat().st_size}
        np.testing.assert_array_equal(v.matrix(), MATRIX)
        np.testing.assert_array_equal(wb.load(v.save(tmp_path / name)).matrix(), MATRIX)


def test_broken_utf8_survives_loading_saving_and_loading(make, load, tmp_path):
    words = [b"caf\xe9", b"\xff\xfe", "ж".encode()[:1], "ж".encode(), b"\xed\xa0\x80", b"plain"]
    first = load(make(words, MATRIX[:6]))
    again = wb.load(first.save(tmp_path / "again"))
    assert encoded(again.words) == encoded(first.words) == words
    np.testing.assert_array_equal(again[first.words], first[first.words])
    first._repr_html_().encode("utf-8")


def test_of_duplicates_the_first_is_kept_and_their_count_is_told_at_the_users_line(make, load):
    with pytest.warns(UserWarning, match=r"^2 duplicate words \(such as 'a'\)") as warned:
        v = load(make([b"b", b"a", b"c", b"a", b"a"], MATRIX[:5]))
    assert warned[0].filename == __file__
    assert v.words == ["b", "a", "c"]
    np.testing.assert_array_equal(v.matrix(), MATRIX[:3])


def test_duplicates_in_a_model_with_ngrams_leave_the_ngrams_in_place(load):
    rows = random_matrix(4 + 50)
    with pytest.warns(UserWarning, match="1 duplicate word "):
        v = load(fasttext_bytes([b"the", b"the", b"cat", b"dog"], rows, 50))
    whole = load(fasttext_bytes([b"the", b"cat", b"dog"], np.delete(rows, 1, axis=0), 50))
    words = ["the", "cat", "dog", "unseen"]
    assert v.words == whole.words
    assert v.vocab.counts.tolist() == [100, 98, 97]
    np.testing.assert_array_equal(v[words], whole[words])
