"""Files of other tools, in tests/golden with the scripts that ran these tools: what they say is what is read."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from conftest import is_mapped

import workbench as wb
from workbench.storage import Coded, Normed
from workbench.vectors import unit

GOLDEN = Path(__file__).parent / "golden"
FTZ = GOLDEN / "ftz"
pytestmark = pytest.mark.filterwarnings("ignore")


def said(path: str):
    return json.loads((GOLDEN / path).read_text(encoding="utf-8"))


VECTORS = {  # what the tools say: the vector of each word, seen or not
    **{f"finalfusion/{name}.fifu": vectors for name, vectors in said("finalfusion/vectors.json").items()},
    **{f"static_embedding/{name}": vectors for name, vectors in said("static_embedding/expected.json").items()},
    **{f"spacy/{name}": about["vectors"] for name, about in said("spacy/expected.json").items()},
}
for name in ("cut", "lengths", "plain", "retrained", "words_only"):
    VECTORS[f"ftz/{name}.ftz"] = said(f"ftz/{name}.json")["vectors"]
for name in ("codes", "low_rank", "pruned", "rehashed"):
    about = said(f"compress_fasttext/{name}.json")
    VECTORS[f"compress_fasttext/{name}.bin"] = about["seen"] | about["unseen"]


@pytest.mark.parametrize("path", VECTORS)
def test_every_vector_is_the_one_that_the_tool_gives(path, tmp_path):
    """Of unseen words only fastText's has the same length; the others' have the same direction."""
    v, expected = wb.load(GOLDEN / path, allow_pickle=True), VECTORS[path]
    assert len(v) > 2
    assert set(v.words) <= set(expected)
    np.testing.assert_allclose(v.matrix(), [expected[word] for word in v.words], rtol=1e-6, atol=1e-6)
    unseen = [word for word in expected if word not in v]
    for word in unseen:
        if not np.any(expected[word] or 0):
            assert not v.can_embed(word) or not v[word].any()
        elif path.endswith(".ftz"):
            np.testing.assert_allclose(v[word], expected[word], atol=1e-7)
        else:
            np.testing.assert_allclose(unit(v[word]), unit(np.array(expected[word])), atol=2e-6)
    back = wb.load(v.save(tmp_path / "own.safetensors"))
    words = [*v.words, *unseen]
    found, kept = (x.get_vectors(words, missing="zero") for x in (back, v))
    np.testing.assert_allclose(found, kept, rtol=0, atol=1e-6)


@pytest.mark.parametrize("path", VECTORS)
def test_a_file_cut_short_anywhere_is_refused_or_still_gives_the_same(path, tmp_path):
    """What stands at the end of some files is not read: fastText's classifier, settings of sentence-transformers."""
    whole, copy = wb.load(GOLDEN / path, allow_pickle=True), tmp_path / Path(path).name
    if (GOLDEN / path).is_dir():
        shutil.copytree(GOLDEN / path, copy)
    else:
        shutil.copy(GOLDEN / path, copy)
    refusals = []
    for file in [copy, *copy.rglob("*")]:
        data = file.read_bytes() if file.is_file() else b""
        for size in range(0, len(data) - 1, len(data) // 40 + 1):
            file.unlink()  # which may still be mapped
            file.write_bytes(data[:size])
            try:
                back = wb.load(copy, allow_pickle=True)
            except ValueError as error:
                refusals.append(str(error))
            else:
                np.testing.assert_array_equal(back.matrix(), whole.matrix())
        if file.is_file():
            file.write_bytes(data)
    assert len(refusals) > 20
    assert all(str(copy) in message and "\n" not in message for message in refusals)


def test_a_real_quantised_model_has_the_vectors_of_the_official_tool(real):
    path = real("data/fixtures/fasttext_lid176/lid.176.ftz")
    ours = wb.load(path)
    assert ours.matrix().shape == (7_235, 16)
    theirs = pytest.importorskip("fasttext").FastText._FastText(str(path))
    words = [word for word in ours.words if word.isprintable()]
    words += [word[::-1] + word[:2] for word in words[:2_000]]
    expected = np.array([theirs.get_word_vector(word) for word in words])
    np.testing.assert_allclose(ours.get_vectors(words, missing="zero"), expected, rtol=0, atol=1e-5)


def test_codes_of_a_quantised_model_stay_codes_and_in_the_file():
    v = wb.load(FTZ / "lengths.ftz")
    for part in (v.storage.words, v.storage.ngrams):
        assert isinstance(part, Normed)
        assert isinstance(part.inner, Coded)
        assert is_mapped(part.inner.packed)


@pytest.mark.parametrize("path", sorted(FTZ.glob("*.ftz")), ids=lambda path: path.stem)
def test_a_quantised_model_becomes_a_bin(path, tmp_path):
    v = wb.load(path)
    with pytest.warns(UserWarning, match="float32"):
        back = wb.load(wb.export(v, tmp_path / "model", "fasttext"))
    np.testing.assert_allclose(back.matrix(), v.matrix(), atol=1e-6)


MODEL = (FTZ / "cut.ftz").read_bytes()  # has all there is: n-grams, pruned ones, lengths
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
def test_a_number_of_a_quantised_model_that_lies_is_found_out(place, kind, lie, telling, tmp_path):
    data = bytearray(MODEL)
    struct.pack_into(kind, data, MATRIX_AT + place, *(lie if isinstance(lie, tuple) else [lie]))
    (tmp_path / "model").write_bytes(data)
    with pytest.raises(ValueError, match=telling):
        wb.load(tmp_path / "model")
