"""Quantised fastText models: codes stay codes, and no damage is believed; `test_golden` has the official vectors."""

import struct
from pathlib import Path

import numpy as np
import pytest
from conftest import is_mapped

import workbench as wb
from workbench.storage import Coded, Normed

GOLDEN = Path(__file__).parent / "golden" / "ftz"
MODEL = (GOLDEN / "cut.ftz").read_bytes()  # has all there is: n-grams, pruned ones, lengths


def test_codes_stay_codes_and_in_the_file():
    v = wb.load(GOLDEN / "lengths.ftz")
    for part in (v.storage.words, v.storage.ngrams):
        assert isinstance(part, Normed)
        assert isinstance(part.inner, Coded)
        assert is_mapped(part.inner.packed)


@pytest.mark.filterwarnings("ignore:fastText .bin cannot hold the pruning")
@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.ftz")), ids=lambda path: path.stem)
def test_a_quantised_model_becomes_a_bin(path, tmp_path):
    v = wb.load(path)
    with pytest.warns(UserWarning, match="float32"):
        back = wb.load(wb.export(v, tmp_path / "model", "fasttext"))
    np.testing.assert_allclose(back.matrix(), v.matrix(), atol=1e-6)


# The matrix begins behind the last label, the buckets that are left and the mark of quantising.
N_LEFT = struct.unpack_from("<q", MODEL, 84)[0]
MATRIX_AT = max(MODEL.index(label) for label in (b"__label__a\0", b"__label__b\0")) + 20 + 8 * N_LEFT + 1
CODES, MOST = 560, 2**31 - 1  # bytes of codes, the largest number


@pytest.mark.parametrize(
    ("place", "kind", "lie", "telling"),
    [  # where from the matrix's beginning, as what, what, and what the message says
        (1, "<q", 2**62, "do not fit its quantiser|claims"),
        (1, "<q", 100, "its matrix is 100 x 4, while its header speaks of 54 words, 226 buckets and 4 dimensions"),
        (9, "<q", 10**9, "its matrix is 280 x 1,000,000,000"),
        (17, "<i", MOST, "claims 2,147,483,647 bytes of codes"),
        (17, "<i", -1, "claims -1 bytes of codes"),
        (17, "<i", 10, "do not fit its quantiser"),
        (21 + CODES, "<i", MOST, "of 2147483647 numbers each|speaks of .* of 2147483647"),
        (21 + CODES + 4, "<i", MOST, "speaks of 2147483647 codes"),
        (21 + CODES + 8, "<i", 0, "for 0 of 4 numbers each"),
        (21 + CODES + 12, "<i", 7, "and 7 in the last"),
        (-9, "<2i", (400, 0), "cannot be read as fastText .bin: .* buckets"),  # the last bucket and its row
        (-9, "<2i", (-1, 0), "cannot be read as fastText .bin: .* buckets"),
        (-9, "<2i", (0, -1), "cannot be read as fastText .bin: .* buckets"),
        (-9, "<2i", (0, 227), "cannot be read as fastText .bin: .* buckets"),
        (40 - MATRIX_AT, "<i", MOST, "claims 2,147,483,647 buckets, of which 226 are left"),
    ],
)
def test_a_number_that_lies_is_found_out(place, kind, lie, telling, tmp_path):
    data = bytearray(MODEL)
    struct.pack_into(kind, data, MATRIX_AT + place, *(lie if isinstance(lie, tuple) else [lie]))
    (tmp_path / "model").write_bytes(data)
    with pytest.raises(ValueError, match=telling):
        wb.load(tmp_path / "model")
