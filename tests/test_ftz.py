"""Quantised fastText models: the official tool's vectors, known and unseen; nothing decoded; no damage believed.

The models in ``golden/ftz`` are the official tool's own, as are the vectors beside; see ``golden/make_ftz.py``.
"""

import json
import mmap
import struct
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench import formats
from workbench.storage import Coded, Normed

GOLDEN = Path(__file__).parent / "golden" / "ftz"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.ftz"))
MODEL = (GOLDEN / "cut.ftz").read_bytes()  # has all there is: n-grams, pruned ones, lengths


@pytest.mark.parametrize("name", NAMES)
def test_every_vector_is_the_official_one(name):
    """With and without n-grams, pruned and whole, with lengths apart, the last code narrower than the others."""
    v = wb.load(GOLDEN / f"{name}.ftz")
    expected = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert v.words == expected["seen"]
    for word, vector in expected["vectors"].items():
        found = v.get_vectors([word], missing="zero")[0]
        np.testing.assert_allclose(found, vector, rtol=0, atol=1e-7, err_msg=word)
        assert v.can_embed(word) or not any(vector), word


def test_a_real_model_has_the_official_vectors(real):
    official = pytest.importorskip("fasttext")
    path = real("data/fixtures/fasttext_lid176/lid.176.ftz")
    ours, theirs = wb.load(path), official.FastText._FastText(str(path))
    readable = [word for word in ours.words if word.isprintable()]
    strings = [word[::-1] + word[:2] for word in readable[:2_000]]
    expected = np.array([theirs.get_word_vector(word) for word in readable + strings])
    found = ours.get_vectors(readable + strings, missing="zero")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_real_model_opens(real):
    v = wb.load(real("data/fixtures/fasttext_lid176/lid.176.ftz"))
    assert (len(v), v.dim) == (7_235, 16)
    assert np.isfinite(v[["und", "unseenword"]]).all()


def is_mapped(array):
    """Whether the numbers are in a mapped file."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array.obj, mmap.mmap)


def test_codes_stay_codes(tmp_path):
    v = wb.load(GOLDEN / "lengths.ftz")
    for part in (v.storage.words, v.storage.ngrams):
        assert isinstance(part, Normed)
        assert isinstance(part.inner, Coded)
        assert is_mapped(part.inner.packed)
    again = wb.load(v.save(tmp_path / "again"))
    assert np.array_equal(again.matrix(), v.matrix())
    assert np.array_equal(again["unseen"], v["unseen"])
    assert "compression" in " ".join(formats.losses(v, "model", "fasttext"))


@pytest.mark.filterwarnings("ignore:fastText .bin cannot hold the pruning")
@pytest.mark.parametrize("name", NAMES)
def test_a_quantised_model_becomes_a_bin(name, tmp_path):
    v = wb.load(GOLDEN / f"{name}.ftz")
    with pytest.warns(UserWarning, match="float32"):
        back = wb.load(wb.export(v, tmp_path / "model", "fasttext"))
    np.testing.assert_allclose(back.matrix(), v.matrix(), atol=1e-6)


# -- damage --------------------------------------------------------------------------------


@pytest.fixture
def load(tmp_path):
    def write_and_load(data):
        (tmp_path / "model").write_bytes(data)
        return wb.load(tmp_path / "model")

    return write_and_load


def matrix_at(data: bytes) -> int:
    """Where the matrix begins: behind the buckets that are left and the mark of quantising."""
    _, n_labels, _, n_pruned = struct.unpack_from("<2i2q", data, 68)
    labels = [data.index(label) for label in (b"__label__a\0", b"__label__b\0")]
    assert len(labels) == n_labels
    return max(labels) + 20 + 8 * max(n_pruned, 0) + 1


def end_of_matrix(data: bytes) -> int:
    at = matrix_at(data)
    has_lengths, n_rows, dim, n_codes = struct.unpack_from("<?2qi", data, at)
    return at + 21 + n_codes + 16 + 1024 * dim + has_lengths * (n_rows + 16 + 1024)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_cut_short_anywhere_is_refused(name, load):
    data = (GOLDEN / f"{name}.ftz").read_bytes()
    end = end_of_matrix(data)
    for size in [*range(0, end, 41), *range(end - 20, end)]:
        with pytest.raises(ValueError, match=r"model "):
            load(data[:size])
    load(data[:end])  # the classifier may be missing


BILLION, MOST = 10**9, 2**31 - 1
LIES = [  # where from the matrix's beginning, as what, what, and what the message says
    (1, "<q", BILLION, "do not fit its quantiser|claims"),
    (1, "<q", 2**62, "do not fit its quantiser|claims"),
    (1, "<q", 100, "its matrix is 100 x 4, while its header speaks of 54 words, 226 buckets and 4 dimensions"),
    (9, "<q", BILLION, "its matrix is 280 x 1,000,000,000"),
    (17, "<i", MOST, "claims 2,147,483,647 bytes of codes"),
    (17, "<i", -1, "claims -1 bytes of codes"),
    (17, "<i", 10, "do not fit its quantiser"),
    (21 + 560, "<i", MOST, "of 2147483647 numbers each|speaks of .* of 2147483647"),
    (21 + 560 + 4, "<i", MOST, "speaks of 2147483647 codes"),
    (21 + 560 + 8, "<i", 0, "for 0 of 4 numbers each"),
    (21 + 560 + 8, "<i", -2, "for -2 of 4 numbers each"),
    (21 + 560 + 12, "<i", 7, "and 7 in the last"),
]


@pytest.mark.parametrize(("place", "kind", "lie", "telling"), LIES)
def test_a_matrix_that_lies_is_found_out(place, kind, lie, telling, load):
    data = bytearray(MODEL)
    struct.pack_into(kind, data, matrix_at(MODEL) + place, lie)
    with pytest.raises(ValueError, match=telling):
        load(bytes(data))


@pytest.mark.parametrize(("bucket", "row"), [(400, 0), (-1, 0), (0, -1), (0, 227), (0, MOST)])
def test_buckets_and_rows_that_are_not_there_are_refused(bucket, row, load):
    data = bytearray(MODEL)
    struct.pack_into("<2i", data, matrix_at(MODEL) - 1 - 8, bucket, row)
    with pytest.raises(ValueError, match=r"cannot be read as fastText .bin: .* buckets"):
        load(bytes(data))


def test_billions_of_buckets_are_not_made_room_for(load):
    data = bytearray(MODEL)
    struct.pack_into("<i", data, 8 + 32, MOST)
    with pytest.raises(ValueError, match="claims 2,147,483,647 buckets, of which 226 are left"):
        load(bytes(data))
