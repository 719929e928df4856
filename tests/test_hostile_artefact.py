"""Files of ours that somebody made to do harm: refused when they are opened, in one line, at next to no cost."""

import json
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from conftest import made_fasttext, made_plain

import workbench as wb

CODES = wb.Chain([wb.Prune(40, 60), wb.PQ(4, n_bits=5, n_iter=2, norms=True)]).fit_transform(made_fasttext(60, 200, 8))
TURNED = wb.OPQ(4, n_bits=3, n_iter=2, n_rotations=1).fit_transform(made_plain(40, 8))
SCALED = wb.SQ().fit_transform(made_plain(40, 8))
SHARING = wb.Prune(20, 60, remap="nearest", threshold=-1).fit_transform(made_fasttext(60, 200, 8))
DENSE = made_plain(40, 8)


@pytest.fixture
def saved(tmp_path):
    """The arrays and the metadata of a model's file, to be changed and written again."""

    def parts(model):
        data = model.save(tmp_path / "whole").read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        about = json.loads(header.pop("__metadata__")["workbench"])
        arrays = {}
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            arrays[name] = [entry["dtype"], entry["shape"], data[start + first : start + last]]
        return arrays, about

    return parts


def put(array):
    names = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "u2": "U16", "i1": "I8", "u1": "U8"}
    array = np.ascontiguousarray(array)
    return [names[array.dtype.str[1:]], list(array.shape), array.tobytes()]


def file_of(arrays, about):
    """A whole .safetensors file, whatever it says; `about` may be JSON text already."""
    header, at = {"__metadata__": {"workbench": about if isinstance(about, str) else json.dumps(about)}}, 0
    for name, (dtype, shape, data) in arrays.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in arrays.values())


@pytest.fixture
def refused(tmp_path):
    """The message with which these bytes are refused; `memory` is what may be taken for it."""

    def message(data, memory=2_000_000):
        path = tmp_path / "hostile.safetensors"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"hostile\.safetensors"):
            wb.load(path)
        tracemalloc.start()
        with pytest.raises(ValueError) as caught:  # noqa: PT011, its text is looked at below
            wb.load(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        text = str(caught.value)
        assert caught.type is ValueError
        assert peak < memory + 2 * len(data)
        assert text.startswith(str(path))
        assert len(text.removeprefix(str(path))) < 600
        assert "\n" not in text
        return text

    return message


def test_a_file_taken_apart_and_written_again_opens(saved, tmp_path):
    """So what is refused below is the change."""
    for model in (CODES, TURNED, SCALED, SHARING, DENSE):
        (tmp_path / "same").write_bytes(file_of(*saved(model)))
        np.testing.assert_array_equal(wb.load(tmp_path / "same").matrix(), model.matrix())


# -- numbers that lie ----------------------------------------------------------------------

NUMBERS = [None, "8", [8], {}, True, 5.0, 8.0, float("nan"), -1, 0, 10**12, 2**63, 10**30, 1e308]


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
@pytest.mark.parametrize("name", ["dim", "n_bits"])
def test_a_number_of_a_storage_that_lies_is_refused(name, value, saved, refused):
    arrays, about = saved(CODES)
    about["storage"]["words"]["inner"][name] = value
    refused(file_of(arrays, about))


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
@pytest.mark.parametrize("name", ["min_n", "max_n", "n_buckets", "folded"])
def test_a_number_of_the_ngrams_that_lies_is_refused(name, value, saved, refused):
    arrays, about = saved(CODES)
    about["subwords"][name] = value
    harmless = {"min_n": True, "folded": {}}  # which mean 1 and none
    if name not in harmless or (value is not True and value != {}):
        refused(file_of(arrays, about))


@pytest.mark.parametrize("name", ["raw", "residual"])
@pytest.mark.parametrize("value", ["false", 0, None, []], ids=repr)
def test_a_flag_is_true_or_false(name, value, saved, refused):
    arrays, about = saved(CODES)
    about["subwords"][name] = value
    assert f"{name} of n-grams must be of type bool" in refused(file_of(arrays, about))


def test_a_hash_that_is_folded_without_end_is_refused(saved, refused):
    arrays, about = saved(CODES)
    about["subwords"]["folded"] = list(range(100_000, 200, -1))
    refused(file_of(arrays, about), memory=20_000_000)


# -- arrays that lie -----------------------------------------------------------------------


def changed(name, change):
    """Changes one array as numpy has it."""

    def apply(arrays):
        dtype, shape, data = arrays[name]
        codes = {"F32": "<f4", "F16": "<f2", "I32": "<i4", "U8": "u1"}
        arrays[name] = put(change(np.frombuffer(data, codes[dtype]).reshape(shape)))

    return apply


def spans(*pairs):
    return changed("storage.inner.spans", lambda a: np.array(pairs, np.int32))


LYING_ARRAYS = {
    "a matrix of one axis": (DENSE, changed("storage.matrix", np.ravel)),
    "a matrix of three axes": (DENSE, changed("storage.matrix", lambda a: a.reshape(40, 4, 2))),
    "a matrix of no axes": (DENSE, changed("storage.matrix", lambda a: a[0, 0].reshape(()))),
    "a matrix of whole numbers": (DENSE, changed("storage.matrix", lambda a: a.astype(np.int8))),
    "a matrix of float64": (DENSE, changed("storage.matrix", lambda a: a.astype(np.float64))),
    "a matrix without columns": (DENSE, lambda a: a.update({"storage.matrix": ["F32", [10**15, 0], b""]})),
    "too few rows": (DENSE, changed("storage.matrix", lambda a: a[:-1])),
    "an array to spare": (DENSE, lambda a: a.update({"storage.bias": put(np.ones(8))})),
    "an array too few": (SCALED, lambda a: a.pop("storage.scales")),
    "scales of float64": (SCALED, changed("storage.scales", lambda a: a.astype(np.float64))),
    "rows of three axes": (SCALED, changed("storage.matrix", lambda a: np.repeat(a[:, :, None], 8, 2))),
    "codes of signed bytes": (TURNED, changed("storage.inner.packed", lambda a: a.astype(np.int8))),
    "codes of eight bytes": (TURNED, changed("storage.inner.packed", lambda a: a.astype(np.int64))),
    "codes of three axes": (TURNED, changed("storage.inner.packed", lambda a: a[:, :, None])),
    "codes too few": (TURNED, changed("storage.inner.packed", lambda a: a[:, :1])),
    "entries too few": (TURNED, changed("storage.inner.codebooks", lambda a: a[:-1])),
    "entries of whole numbers": (TURNED, changed("storage.inner.codebooks", lambda a: a.astype(np.int8))),
    "axes that do not fit": (TURNED, changed("storage.axes", lambda a: a[:-1])),
    "axes of whole numbers": (TURNED, changed("storage.axes", lambda a: a.astype(np.int8))),
    "spans of floats": (TURNED, changed("storage.inner.spans", lambda a: a.astype(np.float32))),
    "spans in threes": (TURNED, changed("storage.inner.spans", lambda a: np.repeat(a, 2, 1)[:, :3])),
    "no spans": (TURNED, changed("storage.inner.spans", lambda a: a[:0])),
    "spans before the row": (TURNED, spans((-2, 0), (2, 4), (4, 6), (6, 8))),
    "spans beyond the row": (TURNED, spans((0, 2), (2, 4), (4, 6), (7, 9))),
    "spans beyond all rows": (TURNED, spans((0, 2), (2, 4), (4, 6), (6, 2**31 - 1))),
    "spans backwards": (TURNED, spans((2, 0), (2, 4), (4, 6), (6, 8))),
    "spans without a column": (TURNED, spans((0, 2), (0, 2), (4, 6), (6, 8))),
    "lengths too few": (CODES, changed("storage.words.lengths.packed", lambda a: a[:-1])),
    "buckets in float": (CODES, changed("subwords.alive", lambda a: a.astype(np.float32))),
    "buckets in two axes": (CODES, changed("subwords.alive", lambda a: a[:, None])),
    "buckets too few": (CODES, changed("subwords.alive", lambda a: a[:-1])),
    "more alive than rows": (CODES, changed("subwords.alive", lambda a: a | 255)),
}


@pytest.mark.parametrize("lie", LYING_ARRAYS)
def test_an_array_that_lies_is_refused(lie, saved, refused):
    model, change = LYING_ARRAYS[lie]
    arrays, about = saved(model)
    change(arrays)
    assert "cannot be read as a whole .safetensors file of the workbench" in refused(file_of(arrays, about))


@pytest.mark.parametrize("table", [[-2] * 200, [10**9] * 200, [0] * 199, [0.0] * 200], ids=lambda t: f"{t[0]} {len(t)}")
def test_rows_of_buckets_that_lie_are_refused(table, saved, refused):
    arrays, about = saved(CODES)
    del arrays["subwords.alive"]
    arrays["subwords.bucket_to_row"] = put(np.array(table, np.float32 if isinstance(table[0], float) else np.int32))
    refused(file_of(arrays, about))


@pytest.mark.parametrize("counts", [[-5] + [1] * 39, [2**62] * 40])
def test_words_are_not_seen_less_than_never(counts, saved, refused):
    arrays, about = saved(DENSE)
    differences = np.array(counts, np.int64)
    arrays["vocab.counts"] = put(np.frombuffer(zlib.compress(differences.tobytes()), np.uint8))
    assert "whole numbers from 0 on" in refused(file_of(arrays, about))


# -- bombs ---------------------------------------------------------------------------------


def bomb(text, n):
    deflate = zlib.compressobj(9)
    return np.frombuffer(b"".join(deflate.compress(text) for _ in range(n)) + deflate.flush(), np.uint8)


@pytest.mark.parametrize("text", [bytes(1 << 20), b"a" * (1 << 20), b"ab\0" * (1 << 18)], ids=["NUL", "a", "ab"])
def test_words_that_unpack_to_a_thousand_times_their_size_are_refused_without_unpacking_them(text, saved, refused):
    arrays, about = saved(DENSE)
    arrays["vocab.text"] = put(bomb(text, 100))  # 100 kB, which unpack to 100 MB
    data = file_of(arrays, about)
    assert "got more, or a part of them" in refused(data, memory=300 * len(data))


def test_words_that_really_deflate_that_well_are_saved_so_that_they_can_be_read(tmp_path):
    words = [f"{'a very long path/' * 500}{i}" for i in range(400)]
    v = wb.Vectors.from_arrays(words, np.ones((400, 2)))
    path = v.save(tmp_path / "long")
    assert path.stat().st_size > 3_000_000  # deflated they would be 30 kB
    assert wb.load(path).words == words


def test_words_cut_short_are_refused(saved, refused):
    arrays, about = saved(DENSE)
    dtype, shape, data = arrays["vocab.text"]
    arrays["vocab.text"] = [dtype, [shape[0] - 5], data[:-5]]
    assert "got more, or a part of them" in refused(file_of(arrays, about))


def test_words_that_are_there_twice_are_refused_when_they_are_looked_at(saved, tmp_path):
    """Not before: it would make opening slow. The first few lookups find the first."""
    arrays, about = saved(DENSE)
    text = b"\0".join([b"twice", b"twice", *(b"%d" % i for i in range(38))])
    arrays["vocab.text"] = put(np.frombuffer(zlib.compress(text), np.uint8))
    (tmp_path / "twice").write_bytes(file_of(arrays, about))
    v = wb.load(tmp_path / "twice")
    np.testing.assert_array_equal(v["twice"], DENSE.matrix()[0])
    with pytest.raises(ValueError, match="1 words are there twice"):
        v.get_vectors(["twice"])


# -- JSON that does harm -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"format_version": 2, "meta": ' + '{"a":' * 100_000,
        '{"format_version": ' + "9" * 5_000 + "}",
        '{"format_version": "' + "x" * 100_000 + '"}',
        '{"format_version": "\\n"}',
        '{"format_version": 1e999}',
        '{"format_version": NaN}',
        '{"format_version": [2]}',
    ],
    ids=lambda text: text[:30],
)
def test_metadata_that_does_harm_is_refused(text, saved, refused):
    refused(file_of(saved(DENSE)[0], text))


@pytest.mark.parametrize("depth", [1, 200, 5_000])
@pytest.mark.parametrize("kind", ["projected", "normed", "stacked"])
def test_storages_within_storages_without_end_are_refused(depth, kind, saved, refused):
    arrays, about = saved(DENSE)
    part = {"projected": "inner", "normed": "inner", "stacked": "words"}[kind]
    text = json.dumps(about | {"storage": 0}).replace(
        '"storage": 0', f'"storage": {(json.dumps({"kind": kind})[:-1] + f""", "{part}": """) * depth}1{"}" * depth}'
    )
    refused(file_of(arrays, text))


def test_n_grams_within_n_grams_are_refused(saved, refused):
    arrays, about = saved(CODES)
    for name in [name for name in arrays if name.startswith("storage.words.")]:
        arrays["storage.words.words." + name.removeprefix("storage.words.")] = arrays[name]
        arrays["storage.words.ngrams." + name.removeprefix("storage.words.")] = arrays.pop(name)
    words = about["storage"]["words"]
    about["storage"]["words"] = {"kind": "stacked", "words": words, "ngrams": words}
    assert "stand beside the word rows" in refused(file_of(arrays, about))


def test_very_many_arrays_are_refused(saved, refused):
    arrays, about = saved(DENSE)
    arrays |= {f"storage.{i}": ["U8", [0], b""] for i in range(2_000)}
    assert "arrays, expected 1,000 at most" in refused(file_of(arrays, about))


@pytest.mark.parametrize(
    "meta", [[], "x", {"provenance": 3}, {"provenance": {"source": 3}}, {"recipe": "Prune"}, {"recipe": None}], ids=str
)
def test_notes_of_another_type_are_refused(meta, saved, refused):
    arrays, about = saved(DENSE)
    refused(file_of(arrays, about | {"meta": meta}))


@pytest.mark.parametrize("part", ["storage", "subwords", "meta", "format_version"])
@pytest.mark.parametrize(
    "value", [None, 0, "x", [], [1], {}, {"kind": []}, {"kind": {}}, {"kind": "x" * 10_000}], ids=str
)
def test_a_part_of_the_wrong_type_is_refused(part, value, saved, refused):
    arrays, about = saved(CODES)
    if (part, value) != ("meta", {}) and not (part == "meta" and isinstance(value, dict)):
        refused(file_of(arrays, about | {part: value}))


def test_a_header_that_names_an_array_twice_reads_nothing_beyond_the_file(saved, tmp_path):
    arrays, about = saved(DENSE)
    data = file_of(arrays, about)
    start = 8 + int.from_bytes(data[:8], "little")
    for entry in (
        '{"dtype":"F32","shape":[40,8],"data_offsets":[999999,1001279]}',
        '{"dtype":"F32","shape":[-1,8],"data_offsets":[-64,0]}',
    ):
        text = data[8 : start - 1] + f',"storage.matrix":{entry}}}'.encode()
        (tmp_path / "doubled").write_bytes(struct.pack("<Q", len(text)) + text + data[start:])
        with pytest.raises(ValueError, match="doubled"):
            wb.load(tmp_path / "doubled").matrix()
