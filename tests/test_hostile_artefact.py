"""Files of ours that are damaged or made to do harm: refused when they are opened, in one line, at next to no cost."""

import json
import struct
import zlib

import numpy as np
import pytest
from conftest import described, made_fasttext, made_plain
from safetensors.numpy import load_file, save

import workbench as wb
from workbench.storage import Cut, Sparse

PRUNED = wb.Prune(40, 60)
CODES = wb.Chain([PRUNED, wb.PQ(4, n_bits=5, n_iter=2, norms=True)]).fit_transform(made_fasttext(60, 200, 8))
TURNED = wb.OPQ(4, n_bits=3, n_iter=2, n_rotations=1).fit_transform(made_plain(40, 8))
SCALED = wb.SQ().fit_transform(made_plain(40, 8))
REMAPPED = wb.Prune(6, 20, remap="nearest", threshold=-1)
SHARING = wb.Chain([wb.Rehash(70), REMAPPED]).fit_transform(made_fasttext(20, 100, 4))  # 20 words share 6 rows
SMALL = wb.Chain([wb.Prune(6, 20), wb.SQ()]).fit_transform(made_fasttext(20, 100, 4))
DENSE = made_plain(40, 8)
KEPT = np.arange(40 * 10).reshape(40, 10) % 7 < np.arange(40)[:, None] % 8  # up to 10 numbers a row, or none
ZEROS = wb.SQ("int8").fit_transform(DENSE.with_storage(Sparse.of(made_plain(40, 10).matrix(), KEPT, 4)))
PIECES = wb.SQ("int8").fit_transform(DENSE.with_storage(Cut.of(DENSE.storage, 2)))
DAMAGED = "cannot be read as a whole .safetensors file of the workbench"


@pytest.fixture
def saved(tmp_path):
    """The arrays and the metadata of a model's file, to be changed and written again."""

    def parts(model):
        path = model.save(tmp_path / "whole")
        arrays, about = load_file(path), described(path)
        path.unlink()
        return arrays, about

    return parts


def file_of(arrays, about):
    """A whole .safetensors file, whatever it says; `about` may be JSON text already."""
    return save(arrays, {"workbench": about if isinstance(about, str) else json.dumps(about)})


def test_a_file_taken_apart_and_written_again_opens(saved, tmp_path):
    """So what is refused below is the change."""
    for model in (CODES, TURNED, SCALED, SHARING, SMALL, DENSE, ZEROS, PIECES):
        (tmp_path / "same").write_bytes(file_of(*saved(model)))
        np.testing.assert_array_equal(wb.load(tmp_path / "same").matrix(), model.matrix())


# -- damage --------------------------------------------------------------------------------


def test_a_file_cut_short_or_with_bytes_to_spare_is_refused(refusal, saved):
    data = file_of(*saved(SMALL))
    for size in range(0, len(data), 5):
        refusal(data[:size])
    assert DAMAGED in refusal(data[:-1])
    assert DAMAGED in refusal(data + b"\0")


@pytest.mark.parametrize(
    "version", [0, 5, 999, "1", None, float("nan"), "\n", "x" * 100_000], ids=lambda v: f"{v!r:.9}"
)
def test_another_version_says_so(version, saved, refusal):
    arrays, about = saved(SMALL)
    message = refusal(file_of(arrays, about | {"format_version": version}))
    assert f"has format version {version!r:.60}, this workbench reads 1 to 4" in message


def test_a_network_says_where_it_opens(saved, refusal):
    arrays, about = saved(SMALL)
    message = refusal(file_of(arrays, about | {"network": {}, "format_version": 4}))
    assert message == " holds a network; open it with workbench.networks.load(path)"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda about, _: about.pop("storage"), "storage"),
        (lambda about, _: about.pop("subwords"), "subwords"),
        (lambda about, _: about["storage"].update(kind="hologram"), "'hologram'"),
        (lambda about, _: about["subwords"].update(kind="hologram"), "'hologram'"),
        (lambda about, _: about["storage"]["words"].update(surprise=1), "surprise"),
        (lambda about, _: about.update(subwords=None), "n-gram"),
        (lambda _, arrays: arrays.update({"vocab.words": arrays.pop("vocab.text")}), "text"),
        (lambda _, arrays: arrays.update({"vocab.text": arrays["vocab.text"].astype(bool)}), "BOOL"),
        (lambda about, _: about["subwords"].update(n_buckets=10**9), "buckets need a bit each"),
        (
            lambda _, arrays: arrays.update({f"storage.{i}": np.empty(0, np.uint8) for i in range(10_000)}),
            "10,000 at most",
        ),
    ],
)
def test_a_header_that_does_not_fit_is_refused(change, said, saved, refusal):
    arrays, about = saved(SMALL)
    change(about, arrays)
    data = file_of(arrays, about)
    message = refusal(data, memory=4_000_000 + 10 * len(data))
    assert DAMAGED in message
    assert said in message


@pytest.mark.parametrize(
    ("model", "name", "n_harmless"),  # the last bits of a deflated stream may be padding
    [(SMALL, "vocab.text", 0), (SHARING, "vocab.row_of", 1), (SHARING, "vocab.scales", 1)],
    ids=["text", "row_of", "scales"],
)
def test_a_flipped_bit_in_what_is_deflated_is_noticed(model, name, n_harmless, saved, tmp_path):
    arrays, about = saved(model)
    noticed = 0
    for place in range(len(arrays[name])):
        flipped = arrays[name].copy()
        flipped[place] ^= 16
        (tmp_path / "damaged").write_bytes(file_of(arrays | {name: flipped}, about))
        try:
            np.testing.assert_array_equal(wb.load(tmp_path / "damaged").matrix(), model.matrix())
        except ValueError:
            noticed += 1
    assert noticed >= len(arrays[name]) - n_harmless


# -- numbers that lie ----------------------------------------------------------------------

NUMBERS = [None, "8", [8], True, 5.0, float("nan"), -1, 0, 10**12, 10**30, 1e308]
FOLDED = [None, "8", 5.0, [50], [2**31], [0], [100.0], ["100"], [300, 200, 400], [2**70], [*range(9_999, 70, -1)]]
FLAGS = ["false", 0, None, []]
VALUES = {
    **dict.fromkeys(["dim", "n_bits", "min_n", "max_n", "n_buckets"], NUMBERS),
    "raw": FLAGS,
    "residual": FLAGS,
    "folded": FOLDED,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in VALUES.items() for value in values],
    ids=lambda value: repr(value)[:20],
)
def test_a_parameter_that_lies_is_refused(name, value, saved, refusal):
    arrays, about = saved(SHARING if name == "folded" else CODES)
    (about["storage"]["words"]["inner"] if name in ("dim", "n_bits") else about["subwords"])[name] = value
    assert DAMAGED in refusal(file_of(arrays, about))


# -- arrays that lie -----------------------------------------------------------------------


@pytest.mark.parametrize("model", [ZEROS, PIECES], ids=["sparse", "cut"])
@pytest.mark.parametrize("dim", [*NUMBERS, 2, 7, 9, 17, 32])
def test_a_number_of_columns_that_lies_is_refused(model, dim, saved, refusal):
    arrays, about = saved(model)
    about["storage"]["dim"] = dim
    assert DAMAGED in refusal(file_of(arrays, about))
    assert DAMAGED in refusal(file_of({n: a for n, a in arrays.items() if "inner" not in n}, about))


def spans(*pairs):
    return TURNED, "storage.inner.spans", lambda _: np.array(pairs, np.int32)


LIES = {
    "a matrix of one axis": (DENSE, "storage.matrix", np.ravel),
    "a matrix of no axes": (DENSE, "storage.matrix", lambda a: np.array(a[0, 0])),
    "a matrix of whole numbers": (DENSE, "storage.matrix", lambda a: a.astype(np.int8)),
    "a matrix without columns": (DENSE, "storage.matrix", lambda _: np.empty((10**15, 0), np.float32)),
    "too few rows": (DENSE, "storage.matrix", lambda a: a[:-1]),
    "an array to spare": (DENSE, "storage.bias", lambda _: np.ones(8)),
    "an array too few": (SCALED, "storage.scales", None),
    "codes of signed bytes": (TURNED, "storage.inner.packed", lambda a: a.astype(np.int8)),
    "codes too few": (TURNED, "storage.inner.packed", lambda a: a[:, :1]),
    "entries too few": (TURNED, "storage.inner.codebooks", lambda a: a[:-1]),
    "axes that do not fit": (TURNED, "storage.axes", lambda a: a[:-1]),
    "spans of floats": (TURNED, "storage.inner.spans", lambda a: a.astype(np.float32)),
    "no spans": (TURNED, "storage.inner.spans", lambda a: a[:0]),
    "spans before the row": spans((-2, 0), (2, 4), (4, 6), (6, 8)),
    "spans beyond all rows": spans((0, 2), (2, 4), (4, 6), (6, 2**31 - 1)),
    "spans backwards": spans((2, 0), (2, 4), (4, 6), (6, 8)),
    "spans without a column": spans((0, 2), (0, 2), (4, 6), (6, 8)),
    "bits of one axis": (ZEROS, "storage.bitmap", np.ravel),
    "bits for more columns": (ZEROS, "storage.bitmap", lambda a: np.pad(a, [(0, 0), (0, 1)])),
    "bits for fewer rows": (ZEROS, "storage.bitmap", lambda a: a[:-1]),
    "no bits": (ZEROS, "storage.bitmap", None),
    "bits beyond the columns": (ZEROS, "storage.bitmap", lambda a: a | np.uint8([0, 1])),
    "more bits than numbers": (ZEROS, "storage.bitmap", lambda a: a | np.uint8([255, 0])),
    "fewer bits than numbers": (ZEROS, "storage.bitmap", lambda a: a & np.uint8([0, 255])),
    "numbers too few": (ZEROS, "storage.inner.matrix", lambda a: a[:-1]),
    "numbers to spare": (ZEROS, "storage.inner.matrix", lambda a: np.pad(a, [(0, 1), (0, 0)])),
    "wider rows of numbers": (ZEROS, "storage.inner.matrix", lambda a: np.pad(a, [(0, 0), (0, 4)])),
    "pieces that make no whole row": (PIECES, "storage.inner.matrix", lambda a: a[:-1]),
    "pieces that do not divide rows": (PIECES, "storage.inner.matrix", lambda a: np.pad(a, [(0, 0), (0, 1)])),
    "lengths too few": (CODES, "storage.words.lengths.packed", lambda a: a[:-1]),
    "buckets too few": (CODES, "subwords.alive", lambda a: a[:-1]),
    "lengths of words that share no row": (SHARING, "vocab.row_of", None),
    "more alive than rows": (CODES, "subwords.alive", lambda a: a | 255),
}


@pytest.mark.parametrize(("model", "name", "change"), LIES.values(), ids=LIES)
def test_an_array_that_lies_is_refused(model, name, change, saved, refusal):
    arrays, about = saved(model)
    old = arrays.pop(name, None)
    arrays |= {} if change is None else {name: change(old)}
    assert DAMAGED in refusal(file_of(arrays, about))


@pytest.mark.parametrize("table", [[-2] * 200, [10**9] * 200, [0] * 199], ids=lambda t: f"{t[0]} {len(t)}")
def test_rows_of_buckets_that_lie_are_refused(table, saved, refusal):
    arrays, about = saved(CODES)
    del arrays["subwords.alive"]
    refusal(file_of(arrays | {"subwords.bucket_to_row": np.array(table, np.int32)}, about))


def deflated(numbers, dtype):
    return np.frombuffer(zlib.compress(np.asarray(numbers, dtype).tobytes()), np.uint8)


LONG = deflated(np.zeros(10**8), "u1")  # 100 MB, were they unpacked


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("row_of", deflated([99] * 20, "<u2"), "point at 100 rows, the matrix has 6"),
        ("row_of", deflated([-1] * 20, "<i4"), "rows must be whole numbers from 0 on"),
        ("row_of", deflated([0] * 5, "<u2"), "one a word, got 10 bytes"),
        ("row_of", deflated([0] * 20, "<u2")[:-3], "or a part of them"),
        ("row_of", LONG, "unpack to 80 at most"),
        ("row_of", np.zeros(80, np.uint8), "error: Error -3"),
        ("row_of", np.zeros(3, np.int32), "one entry a word"),
        ("scales", np.ones(20, np.float16), "error: Error -3"),
        ("scales", deflated([np.inf] * 20, "<f2"), "0 or more and finite"),
        ("scales", deflated([-1] * 20, "<f2"), "0 or more and finite"),
        ("scales", LONG, "unpack to 40 at most"),
        ("counts", deflated([-5] + [1] * 19, "<i8"), "whole numbers from 0 on"),
    ],
)
def test_numbers_of_words_that_lie_are_refused(name, array, said, saved, refusal):
    arrays, about = saved(SHARING)
    message = refusal(file_of(arrays | {f"vocab.{name}": array}, about))
    assert DAMAGED in message
    assert said in message


# -- words ---------------------------------------------------------------------------------


def bomb(text, n):
    deflate = zlib.compressobj(9)
    return np.frombuffer(b"".join(deflate.compress(text) for _ in range(n)) + deflate.flush(), np.uint8)


def test_words_that_unpack_to_a_thousand_times_their_size_are_refused_without_unpacking_them(saved, refusal):
    arrays, about = saved(DENSE)
    for text in (bytes(1 << 20), b"ab\0" * (1 << 18)):
        data = file_of(arrays | {"vocab.text": bomb(text, 100)}, about)  # 100 kB, which unpack to 100 MB
        assert "got more, or a part of them" in refusal(data, memory=300 * len(data))
    cut = file_of(arrays | {"vocab.text": arrays["vocab.text"][:-5]}, about)
    assert "got more, or a part of them" in refusal(cut)


def test_words_that_really_deflate_that_well_are_saved_so_that_they_can_be_read(tmp_path):
    words = [f"{'a very long path/' * 500}{i}" for i in range(400)]
    path = wb.Vectors.from_arrays(words, np.ones((400, 2))).save(tmp_path / "long")
    assert path.stat().st_size > 3_000_000  # deflated they would be 30 kB
    assert wb.load(path).words == words


def test_words_that_are_there_twice_are_refused_when_they_are_looked_at(saved, tmp_path):
    """Not before: it would make opening slow. The first few lookups find the first."""
    arrays, about = saved(DENSE)
    text = b"\0".join([b"twice", b"twice", *(b"%d" % i for i in range(38))])
    (tmp_path / "twice").write_bytes(file_of(arrays | {"vocab.text": deflated(list(text), "u1")}, about))
    v = wb.load(tmp_path / "twice")
    np.testing.assert_array_equal(v["twice"], DENSE.matrix()[0])
    with pytest.raises(ValueError, match="1 words are there twice"):
        v.get_vectors(["twice"])


# -- JSON that does harm -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("not json", "[1]", "3", "null", '"x"'),
        "[" * 100_000,
        '{"format_version": 2, "meta": ' + '{"a":' * 100_000,
        '{"format_version": ' + "9" * 5_000 + "}",
    ],
    ids=lambda text: text[:30],
)
def test_metadata_that_does_harm_is_refused(text, saved, refusal):
    assert DAMAGED in refusal(file_of(saved(DENSE)[0], text))


@pytest.mark.parametrize("depth", [1, 200, 5_000])
@pytest.mark.parametrize(
    ("kind", "part"),
    [("projected", "inner"), ("cut", "inner"), ("sparse", "inner"), ("normed", "inner"), ("stacked", "words")],
)
def test_storages_within_storages_without_end_are_refused(depth, kind, part, saved, refusal):
    arrays, about = saved(DENSE)
    nested = f'{{"kind": "{kind}", "{part}": ' * depth + "1" + "}" * depth
    refusal(file_of(arrays, json.dumps(about | {"storage": 0}).replace('"storage": 0', f'"storage": {nested}')))


METAS = [[], "x", {"provenance": 3}, {"provenance": {"source": 3}}, {"recipe": "Prune"}, {"recipe": None}]
PARTS = [None, 0, "x", [1], {}, {"kind": []}, {"kind": "x" * 10_000}]


@pytest.mark.parametrize(
    ("part", "value"),
    [("meta", meta) for meta in METAS]
    + [(part, value) for part in ("storage", "subwords", "format_version") for value in PARTS],
    ids=str,
)
def test_a_part_of_the_wrong_type_is_refused(part, value, saved, refusal):
    arrays, about = saved(CODES)
    refusal(file_of(arrays, about | {part: value}))


def test_a_header_that_names_an_array_twice_reads_nothing_beyond_the_file(saved, refusal):
    data = file_of(*saved(DENSE))
    start = 8 + int.from_bytes(data[:8], "little")
    for entry in (
        '{"dtype":"F32","shape":[40,8],"data_offsets":[999999,1001279]}',
        '{"dtype":"F32","shape":[-1,8],"data_offsets":[-64,0]}',
    ):
        text = data[8:start].rstrip()[:-1] + f',"storage.matrix":{entry}}}'.encode()
        refusal(struct.pack("<Q", len(text)) + text + data[start:])
