"""Arrays and tables, the first words only, counts beside: what `load` takes besides models."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from test_formats import word2vec_binary

import workbench as wb
from workbench.formats import readable_suffixes

WORDS = ["the", "été", "new york", "nan"]  # the last is no missing value
LINES = "\n".join(WORDS) + "\n"
MATRIX = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
FRAME = pd.DataFrame(MATRIX.astype(float), columns=["x", "y", "z"])


def written(path, write):
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
    write(path)
    return path


def projector(path):
    FRAME.to_csv(path, sep="\t", index=False, header=False)
    rows = "".join(f"{word}\t{i}\n" for i, word in enumerate(WORDS))
    path.with_name("metadata.tsv").write_text("word\tcount\n" + rows, encoding="utf-8-sig")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("m.npy", lambda path: [np.save(path, MATRIX), path.with_suffix(".txt").write_text(LINES, "utf-8")]),
        ("m.npy", lambda path: [np.save(path, MATRIX), path.with_suffix(".json").write_text(json.dumps(WORDS))]),
        ("m.npz", lambda path: np.savez(path, vectors=MATRIX, vocab=np.array(WORDS))),
        ("vectors.tsv", projector),
        ("m.tsv", lambda path: FRAME.set_axis(WORDS).to_csv(path, sep="\t", header=False)),
        ("m.csv", lambda path: FRAME.assign(word=WORDS).to_csv(path, index=False, encoding="utf-8-sig")),
        ("m.parquet", lambda path: FRAME.assign(word=WORDS).to_parquet(path)),
        ("m.parquet", lambda path: pd.DataFrame({"word": WORDS, "vector": list(MATRIX)}).to_parquet(path)),
    ],
)
def test_words_and_numbers_come_from_arrays_and_tables(name, write, tmp_path):
    path = written(tmp_path / name, write)
    v = wb.load(path)
    assert v.words == WORDS
    np.testing.assert_array_equal(v.matrix(), MATRIX)
    assert path.suffix in readable_suffixes()
    assert wb.load(path, limit=2).words == WORDS[:2]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda f: [np.save(f / "m", MATRIX), (f / "m.txt").write_text("a\nb\n")], "one row for each of 2 words"),
        (lambda f: np.savez(f / "m", a=MATRIX, b=MATRIX), "one matrix of numbers and one list of words"),
        (lambda f: np.savez(f / "m", a=np.array(WORDS, object), b=MATRIX), "no archive of plain arrays"),
        (
            lambda f: (f / "m").write_text("word,a,b\nx,1,2\ny,1,z\n"),
            "column 'b' holds something else|one column of words",
        ),
        (lambda f: (f / "m").write_bytes(b"PAR1nonsense"), "Parquet"),
    ],
)
def test_what_is_no_table_of_words_is_refused(make, why, tmp_path):
    make(tmp_path)
    path = next(p for p in sorted(tmp_path.iterdir()) if p.suffix in ("", ".npy", ".npz"))
    with pytest.raises(ValueError, match=why) as error:
        wb.load(path)
    assert "\n" not in str(error.value)


ROWS = ["0", "1", "2", "3"]
LISTS = {"vector": list(MATRIX), "text": WORDS}


@pytest.mark.parametrize(
    ("name", "write", "ids"),
    [
        ("m.npy", lambda p: [np.save(p, MATRIX), p.with_name("m.ids.txt").write_text("a\nb\r\nc\nd")], list("abcd")),
        ("m.npy", lambda p: [np.save(p, MATRIX), p.with_name("m.ids.json").write_text("[7, 8, 9, 0]")], list("7890")),
        ("m.npz", lambda p: np.savez(p, vectors=MATRIX, ids=np.array([7, 8, 9, 0])), list("7890")),
        ("m.safetensors", lambda p: [save_file({"x": MATRIX}, p), p.with_name("ids.txt").write_text(LINES)], WORDS),
        ("m.parquet", lambda p: pd.DataFrame({"id": [7, 8, 9, 0], **LISTS}).to_parquet(p), list("7890")),
        ("m.parquet", lambda p: pd.DataFrame(LISTS).to_parquet(p), WORDS),
        ("m.parquet", lambda p: FRAME.assign(id=[7, 8, 9, 0]).to_parquet(p), list("7890")),
        ("m.csv", lambda p: FRAME.assign(id=[7, 8, 9, 0]).to_csv(p, index=False), list("7890")),
    ],
)
def test_documents_come_with_their_ids(name, write, ids, tmp_path):
    v = wb.load(written(tmp_path / name, write))
    assert v.words == ids
    np.testing.assert_array_equal(v.matrix(), MATRIX)
    small = wb.SQ().fit_transform(v)
    small.save(tmp_path / "small.safetensors")
    assert wb.load(tmp_path / "small.safetensors").words == ids


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("m.npy", lambda path: np.save(path, MATRIX)),
        ("m.npz", lambda path: np.savez(path, MATRIX)),
        ("m.safetensors", lambda path: save_file({"x": MATRIX, "scale": MATRIX[0]}, path)),
    ],
)
def test_rows_without_ids_go_by_their_numbers_and_a_warning_says_so(name, write, tmp_path):
    write(tmp_path / name)
    with pytest.warns(UserWarning, match=r"rows go by their numbers; put them beside it, one a line, as one of m\.ids"):
        v = wb.load(tmp_path / name)
    assert v.words == ROWS
    np.testing.assert_array_equal(v.matrix(), MATRIX)


def test_bfloat16_of_other_tools_becomes_float32(tmp_path):
    upper = (np.array([[1, -2.5]], np.float32).view("<u4") >> 16).astype("<u2")  # exact: their lower halves are zeros
    header = json.dumps({"x": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + upper.tobytes())
    path.with_name("ids.txt").write_text("a\n")
    np.testing.assert_array_equal(wb.load(path).matrix(), [[1, -2.5]])


def with_nan(row):
    broken = MATRIX.copy()
    broken[row, 1] = np.nan
    return broken


@pytest.mark.parametrize(
    ("name", "write", "why"),
    [
        ("m.npy", lambda p: [np.save(p, with_nan(2)), p.with_name("ids.txt").write_text(LINES)], "row 2 .*'new york'"),
        ("m.npz", lambda p: np.savez(p, ids=np.array(WORDS), x=with_nan(1)), "row 1 .*'été'.* holds NaN"),
        ("m.npz", lambda p: np.savez(p, x=MATRIX, y=MATRIX[0]), "one list of words or ids, got x: float32"),
        ("m.safetensors", lambda p: save_file({"a": MATRIX, "b": MATRIX}, p), r"got 2 among the arrays a \[4, 3\], b"),
        ("m.safetensors", lambda p: save_file({"a": MATRIX[0]}, p), "got 0 among"),
        (
            "m.safetensors",
            lambda p: [save_file({"a": MATRIX}, p), p.with_name("tokenizer.json").write_text("{}")],
            "part of the model in",
        ),
        (
            "m.parquet",
            lambda p: pd.DataFrame({"id": WORDS, "x": list(with_nan(2))}).to_parquet(p),
            "row 2 .*'new york'",
        ),
        (
            "m.parquet",
            lambda p: pd.DataFrame({"id": WORDS, "x": [*MATRIX[:3], MATRIX[3, :2]]}).to_parquet(p),
            "row 3 of column 'x' has 2 numbers, where others have 3",
        ),
        (
            "m.parquet",
            lambda p: pd.DataFrame({"id": WORDS, "x": [MATRIX[0], None, *MATRIX[2:]]}).to_parquet(p),
            "row 1 of column 'x' has no list",
        ),
        (
            "m.parquet",
            lambda p: pd.DataFrame({"id": ["a", None, "c", "d"], "x": list(MATRIX)}).to_parquet(p),
            "row 1 has no 'id'",
        ),
        ("m.parquet", lambda p: pd.DataFrame({"x": list(MATRIX)}).to_parquet(p), "has no words in it"),
        ("m.parquet", lambda p: pd.DataFrame({"id": WORDS}).to_parquet(p), "expected numbers beside the words"),
        (
            "m.parquet",
            lambda p: pd.DataFrame({"id": WORDS, "x": [{"a": 1}] * 4}).to_parquet(p),
            "row 0 of column 'x' has no",
        ),
        (
            "m.parquet",
            lambda p: pd.DataFrame({"id": WORDS, "x": list(MATRIX), "y": list(MATRIX)}).to_parquet(p),
            "one column of lists of numbers, got x, y",
        ),
    ],
)
def test_documents_that_lack_something_are_refused_by_row_or_column(name, write, why, tmp_path):
    path = tmp_path / name
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
    write(path)
    with pytest.raises(ValueError, match=why) as error:
        wb.load(path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


TEXT = b"4 2\nthe 1 2\nof 3 4\nand 5 6\nto 7 8\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("text", [TEXT, TEXT.split(b"\n", 1)[1]], ids=["word2vec", "glove"])
def test_a_byte_order_mark_is_no_part_of_the_first_word(text, pack, mark, tmp_path):
    (tmp_path / "m.txt").write_bytes(pack(mark + text))
    assert wb.load(tmp_path / "m.txt").words == ["the", "of", "and", "to"]


def test_a_text_that_was_cut_short_is_read_as_far_as_asked(tmp_path):
    path = tmp_path / "m.vec"
    path.write_bytes(TEXT[:-12])
    with pytest.raises(ValueError, match=r"line 4|promises"):
        wb.load(path)
    assert wb.load(path, limit=2).words == ["the", "of"]
    for limit in (0, -1, 2.5, True, "2"):
        with pytest.raises(ValueError, match="limit to be a whole number"):
            wb.load(path, limit=limit)


def test_a_limit_keeps_ngrams_and_their_unseen_words(builtin):
    few = wb.load("builtin:en", limit=100)
    assert len(few) == 100
    np.testing.assert_array_equal(few[["unseenest", "the"]], builtin[["unseenest", "the"]])


def test_counts_may_come_from_a_list_beside(tmp_path):
    (tmp_path / "m.vec").write_bytes(TEXT)
    (tmp_path / "counts.txt").write_text("word count\nof 30\nthe 20\nelse 7\n", encoding="utf-8-sig")
    v = wb.load(tmp_path / "m.vec", counts=tmp_path / "counts.txt")
    assert v.vocab.counts.tolist() == [20, 30, 0, 0]
    assert wb.Prune(n_words=1).fit_transform(v).words == ["of"]
    (tmp_path / "counts.txt").write_text("other 30\n")
    with pytest.raises(ValueError, match="none of the 4 words"):
        wb.load(tmp_path / "m.vec", counts=tmp_path / "counts.txt")


@pytest.mark.parametrize("after", [b"\n", b""])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        *((b"w%d " % i, b"new york ") for i in (0, 1, 25, 48, 49)),
        *((b"50 9\n", b"%d 9\n" % n) for n in (49, 51)),
    ],
)
def test_a_binary_file_whose_words_and_floats_are_out_of_step_is_refused(old, new, after, tmp_path):
    matrix = np.random.default_rng(1).normal(size=(50, 9))
    data = word2vec_binary([b"w%d" % i for i in range(50)], matrix, after)
    (tmp_path / "m.bin").write_bytes(data.replace(old, new, 1))
    with pytest.raises(ValueError, match=r"before word [\d,]+|after word [\d,]+|cut short"):
        wb.load(tmp_path / "m.bin")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"3 2\na 1 2 3\nb 1 2 3\nc 1 2 3\n", "its first line says 2 dimensions"),
        (b"3 3\nking 0,1 0,2 0,3\nqueen 0,4 0,5 0,6\nman 0,7 0,8 0,9\n", "line 2: expected a word and 3 numbers"),
        ("3 3\né 0,1 0,2 0,3\nqueen 0,4 0,5 0,6\nman 0,7 0,8 0,9\n".encode(), "line 2: expected a word and 3 numbers"),
    ],
)
def test_text_whose_numbers_are_not_what_the_header_says_is_refused(text, why, tmp_path):
    (tmp_path / "m.vec").write_bytes(text)
    with pytest.raises(ValueError, match=why):
        wb.load(tmp_path / "m.vec")
