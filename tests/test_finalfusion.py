"""finalfusion files: what the finalfusion package wrote is read, and what is written it reads; damage is refused."""

import json
import struct
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import is_mapped, made_fasttext, made_of_kind, made_plain
from test_contracts import MODELS as CONTRACTS

import workbench as wb
from workbench import formats
from workbench.storage import Coded, Dense, Projected
from workbench.subwords import FinalfusionBuckets, ListedNgrams, Subwords
from workbench.vectors import unit

GOLDEN = Path(__file__).parent / "golden" / "finalfusion"
FIXTURES = "data/fixtures/finalfusion"
UNSEEN = ["bakelite", "ласточка", "zzzzz", "wordish", "ба", "x"]


SOME = ["plain", "raw n-grams", "finalfusion n-grams", "explicit n-grams", "plain codes", "remapped codes", "pruned"]
MODELS = {name: CONTRACTS[name] for name in [*SOME, "pruned codes", "folded", "what n-grams leave over"]} | {
    "whole words": made_fasttext().adjusted(),
    "finalfusion n-grams, pruned": wb.Prune(300, 300).fit_transform(made_of_kind("finalfusion")),
    "explicit n-grams, pruned": wb.Prune(300, 300).fit_transform(made_of_kind("explicit")),
    "codes and lengths": wb.PQ(4, n_bits=5, norms=True).fit_transform(made_plain()),
    "turned codes": wb.OPQ(4, n_bits=5).fit_transform(made_plain()),
    "ragged codes": wb.PQ(5, n_bits=5).fit_transform(made_plain()),
}
KEPT_AS_CODES = {"plain codes", "remapped codes", "codes and lengths", "turned codes"}
KEEPS_N_GRAMS = {"raw n-grams", "whole words", "finalfusion n-grams", "explicit n-grams", "explicit n-grams, pruned"}


def export(v, path):
    """Written without the warnings, which have tests of their own."""
    return wb.export(v, path, "finalfusion", warn=False)


# -- what the package wrote ---------------------------------------------------------------


def test_each_kind_of_chunk_becomes_the_storage_and_the_n_grams_that_it_is():
    v = {path.stem: wb.load(path) for path in GOLDEN.glob("*.fifu")}
    kinds = {name: type(x.vocab.subwords) for name, x in v.items()}
    assert kinds["fasttext"] is Subwords
    assert kinds["buckets"] is kinds["codes"] is FinalfusionBuckets
    assert kinds["explicit"] is kinds["shared"] is kinds["turned_codes"] is ListedNgrams
    assert v["buckets"].vocab.subwords.n_buckets == 32
    assert v["shared"].vocab.subwords.bucket_to_row.tolist() == [1, 0, 1, 2]
    assert isinstance(v["simple"].storage, Dense)
    assert isinstance(v["codes"].storage.words, Coded)
    assert isinstance(v["codes"].storage.ngrams, Coded)
    assert v["few_codes"].storage.inner.n_bits == 4
    assert isinstance(v["turned_codes"].storage.ngrams.inner, Projected)
    assert isinstance(v["turned_codes"].storage.ngrams.inner.inner, Coded)
    assert tomllib.loads(v["norms"].meta["provenance"]["metadata"]) == {"made": "for tests", "кот": 1}
    assert not any(x.is_composed for x in v.values())
    assert is_mapped(v["simple"].storage.matrix)
    assert is_mapped(v["codes"].storage.ngrams.packed)


def test_real_files_give_the_vectors_of_the_package(real):
    files = [path for package in ("python", "rust") for path in real(f"{FIXTURES}_{package}_testdata").glob("*.fifu")]
    loaded = {path: wb.load(path) for path in files}
    assert len(loaded) > 7
    oracle = pytest.importorskip("finalfusion")
    for path, v in loaded.items():
        assert_as_the_package_reads(oracle.load_finalfusion(path), v, atol=0)


# -- what the package reads ---------------------------------------------------------------


def assert_as_the_package_reads(theirs, v, atol):
    """The same words, vectors (with lengths, where there are any) and directions of unseen words."""
    assert theirs.vocab.words == v.words
    lengths = 1 if theirs.norms is None else np.asarray(theirs.norms)[:, None]
    matrix = np.array([theirs.embedding(word) for word in v.words]) * lengths
    np.testing.assert_allclose(matrix, v.matrix(), atol=atol * v.norms.max(), rtol=1e-6)
    for word in UNSEEN:
        found = theirs.embedding(word)
        assert (found is not None) == v.can_embed(word)
        if found is not None:
            np.testing.assert_allclose(found, unit(v[word]), atol=2e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_package_reads_what_is_written(name, tmp_path):
    oracle = pytest.importorskip("finalfusion")
    model, path = MODELS[name], export(MODELS[name], tmp_path / "model.fifu")
    theirs, back = oracle.load_finalfusion(path), wb.load(path)
    assert_as_the_package_reads(theirs, back, atol=1e-6)
    np.testing.assert_allclose(back.matrix(), model.matrix(), rtol=1e-5, atol=1e-6 * model.norms.max())
    directions = np.array([theirs.embedding(word) for word in theirs.vocab.words])
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-5)  # its neighbours are by cosine
    if hasattr(theirs.storage, "dot"):  # the package finds no neighbours among codes, not even its own
        best = [found.word for found in theirs.word_similarity(model.words[3], 5)]
        assert best == [word for word, _ in model.most_similar(model.words[3], topn=5)]


# -- what is written ----------------------------------------------------------------------


def coded(storage):
    """The codes in lengths and turned rows."""
    while not isinstance(storage, Coded):
        storage = storage.inner
    return storage


@pytest.mark.parametrize("name", MODELS)
def test_vectors_codes_and_n_grams_come_back_where_the_format_can_hold_them(name, tmp_path):
    model = MODELS[name]
    back = wb.load(export(model, tmp_path / "model.fifu"))
    lost = " | ".join(formats.losses(model, "model.fifu"))
    assert back.words == model.words
    assert formats.losses(back, "x.fifu") == []
    again = wb.load(export(back, tmp_path / "again"))
    for v in (back, again):
        np.testing.assert_allclose(v.matrix(), model.matrix(), rtol=1e-5, atol=1e-5 * model.norms.max())
    if name in KEPT_AS_CODES:
        parts = [coded(x.storage.words) for x in (model, back)]
        rows = model.vocab.rows(np.arange(len(model)))
        np.testing.assert_array_equal(parts[0].codes[rows], parts[1].codes)
        np.testing.assert_array_equal(parts[0].codebooks, parts[1].codebooks)
        assert "the compression" not in lost
    else:
        assert isinstance(back.storage.words.inner, Dense)
        assert not any("compression" in text for text in formats.losses(back, "x.vec"))  # lengths apart are none
        assert ("the compression" in lost) == ("codes" in name or "leave over" in name)
    if name in KEEPS_N_GRAMS:
        assert type(back.vocab.subwords) is type(model.vocab.subwords)
        assert "n-gram" not in lost
        want, found = (x.get_vectors(UNSEEN, missing="zero") for x in (model, back))
        np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-7)


def test_codes_over_shared_codebooks_are_kept_with_their_n_grams(tmp_path):
    v = wb.load(GOLDEN / "turned_codes.fifu")
    back = wb.load(export(v, tmp_path / "model.fifu"))
    for part in ("words", "ngrams"):
        before, after = (coded(getattr(x.storage, part)) for x in (v, back))
        np.testing.assert_array_equal(before.packed, after.packed)
    np.testing.assert_allclose(back.storage.ngrams.rows(slice(None)), v.storage.ngrams.rows(slice(None)), rtol=1e-6)


@pytest.mark.parametrize("name", ["pruned", "folded", "finalfusion n-grams, pruned", "what n-grams leave over"])
def test_missing_buckets_become_a_list_of_the_known_words_n_grams_and_the_rest_is_said(name, tmp_path):
    model = MODELS[name]
    back = wb.load(export(model, tmp_path / "model.fifu"))
    subwords, listed = model.vocab.subwords, back.vocab.subwords
    known = {text for word in model.words for text in subwords.ngrams(word)}
    rows = dict(zip(listed.numbers, back.ngrams[1].rows(listed.rows_of(np.arange(listed.n_buckets))), strict=True))
    assert rows.keys() <= known
    n_checked = 0
    for word in [*model.words[:40], *UNSEEN]:
        where = subwords.rows_of(subwords.buckets([word])[1])
        for text, row in zip(subwords.ngrams(word), where, strict=True):
            if row >= 0 and text in known:
                np.testing.assert_array_equal(rows[text], model.ngrams[1].rows(np.array([row]))[0])
                n_checked += 1
            else:
                assert text not in rows
    assert n_checked > 20
    n_lost = len(model.ngrams[1]) - len(back.ngrams[1])
    said = [lost for lost in formats.losses(model, "x.fifu") if "n-gram rows" in lost]
    assert [int(lost.split()[0]) for lost in said] == ([n_lost] if n_lost else [])


def test_the_recipe_and_the_metadata_that_came_travel_as_toml(tmp_path):
    v = wb.load(GOLDEN / "norms.fifu")
    assert wb.load(export(v, tmp_path / "a")).meta["provenance"]["metadata"] == v.meta["provenance"]["metadata"]
    small = wb.Prune(5).fit_transform(v)
    about = tomllib.loads(wb.load(export(small, tmp_path / "b")).meta["provenance"]["metadata"])["workbench"]
    assert json.loads(about["recipe"]) == small.meta["recipe"]
    assert tomllib.loads(about["metadata"]) == {"made": "for tests", "кот": 1}
    odd = wb.Vectors(small.vocab, small.storage, {"provenance": {"metadata": 'no toml \x7f \\ "😀"\n\udc80'}})
    about = tomllib.loads(wb.load(export(odd, tmp_path / "c")).meta["provenance"]["metadata"])["workbench"]
    assert about["metadata"] == 'no toml \x7f \\ "😀"\n\ufffd'


def test_rows_without_a_length_and_very_long_ones_come_back(tmp_path):
    matrix = np.array([[0, 0], [3e38, 3e38], [1e-30, 2e-30], [1, 1]], np.float32)
    back = wb.load(export(wb.Vectors.from_arrays(list("abcd"), matrix), tmp_path / "x"))
    np.testing.assert_allclose(back.matrix(), matrix, rtol=1e-6)


# -- what is read that nobody should have written -----------------------------------------


def chunk(kind: int, data: bytes, length: int | None = None) -> bytes:
    return struct.pack("<IQ", kind, len(data) if length is None else length) + data


def texts(*words: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(word)) + word for word in words)


def whole(*chunks: bytes, version: int = 0) -> bytes:
    return b"FiFu" + struct.pack("<III", version, 1, 1) + b"".join(chunks)


def rows(n: int, dim: int, before: bytes, kind: int = 10, length: int | None = None) -> bytes:
    at = len(whole(before)) + 12 + 16
    pad = bytes(4 - at % 4)
    return chunk(2, struct.pack("<QII", n, dim, kind) + pad + np.ones(n * dim, "<f4").tobytes(), length)


SIMPLE = chunk(1, struct.pack("<Q", 2) + texts(b"a", b"br\xfcoken"))


def test_broken_utf_8_and_repeated_words_are_read(tmp_path):
    (tmp_path / "x").write_bytes(whole(SIMPLE, rows(2, 3, SIMPLE)))
    assert wb.load(tmp_path / "x").words == ["a", "br\udcfcoken"]
    again = chunk(1, struct.pack("<Q", 3) + texts(b"a", b"b", b"a"))
    (tmp_path / "y").write_bytes(whole(again, rows(3, 3, again)))
    with pytest.warns(UserWarning, match="1 duplicate word"):
        assert wb.load(tmp_path / "y").words == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "telling"),
    [
        (whole(SIMPLE, version=1), "its version is 1, 0 is read"),
        (whole(SIMPLE), "it has no rows"),
        (whole(rows(2, 3, b"")), "it has no words"),
        (whole(SIMPLE, SIMPLE), "it has words twice"),
        (whole(SIMPLE, rows(3, 3, SIMPLE)), "its matrix is 3 x 3, while its 2 words and their n-grams need 2 rows"),
        (whole(SIMPLE, rows(2, 0, SIMPLE)), "got float32 of shape (2, 0)"),
        (whole(SIMPLE, rows(2, 3, SIMPLE, kind=1)), "of type 1, expected 10"),
        (whole(SIMPLE, rows(2, 3, SIMPLE, length=7)), "while their chunk claims 7"),
        (whole(chunk(1, struct.pack("<Q", 1 << 62))), "claims 4,611,686,018,427,387,904 words"),
        (whole(chunk(1, struct.pack("<QI", 1, 1 << 31))), "it ends in its words"),
        (whole(chunk(9, b"")), "floret"),
        (whole(chunk(17, b"")), "a chunk of kind 17"),
        (whole(chunk(3, struct.pack("<QIII", 0, 3, 6, 1 << 31))), "it claims 2 ** 2147483648 buckets"),
        (whole(chunk(7, struct.pack("<QIII", 0, 6, 3, 9))), "min_n=6, max_n=3"),
        (whole(chunk(8, struct.pack("<QQII", 0, 1, 3, 6) + texts(b"abc") + struct.pack("<Q", 1 << 40))), "has row"),
        (whole(chunk(4, struct.pack("<5IQ2I", 0, 0, 0, 6, 256, 1, 1, 10))), "it claims 0 codes"),
        (whole(chunk(4, struct.pack("<5IQ2I", 1, 0, 1, 1 << 31, 256, 1, 1, 10) + b"1234")), "2,147,483,648 x 2,147,"),
    ],
)
def test_sizes_that_cannot_be_are_refused(data, telling, refusal):
    assert telling in refusal(data)


def test_norms_and_codes_that_do_not_fit_are_refused(refusal):
    data = (GOLDEN / "norms.fifu").read_bytes()
    at = data.rindex(struct.pack("<I", 6) + struct.pack("<Q", 12 + 4 + 48)) + 4  # of the last chunk's length
    assert "it has 11 norms for 12 words" in refusal(
        data[:at] + struct.pack("<QQ", 12 + 4 + 44, 11) + data[at + 16 : -4]
    )
    codes = bytearray((GOLDEN / "few_codes.fifu").read_bytes())
    v = wb.load(GOLDEN / "few_codes.fifu")
    at = codes.index(v.storage.inner.codes.tobytes())
    codes[at] = 11
    assert "it has a code of 11, while codebooks have 11 entries" in refusal(bytes(codes))
