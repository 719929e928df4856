"""Semantic IDs: what codes mean, how they are searched, and that files give back what went in."""

import json
import subprocess
import sys

import numpy as np
import pytest

import workbench as wb
from workbench import semantic
from workbench.semantic import SemanticIDs

ODD = ["007", "NA", "nan", "1.0", " a ", 'b,"c"', "d\ne", "ж", "caf\udce9", "", "f\tg", "'h", "i\r\nj"]


def made(n: int = 200, n_levels: int = 3, size: int = 6, dim: int = 4, seed: int = 0) -> SemanticIDs:
    """Random ids, many of them equal, of items whose order is not that of their codes."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, size, (n, n_levels))
    books = rng.normal(size=(n_levels, size, dim)).astype(np.float32)
    return SemanticIDs([f"i{row}" for row in range(n)], codes, books, [f"name {row}" for row in range(n)])


@pytest.fixture(scope="module")
def ids() -> SemanticIDs:
    return made()


def test_an_item_has_its_codes_and_an_unknown_one_is_named_with_what_to_do(ids):
    assert ids["i7"] == tuple(ids.codes[7].tolist())
    assert "i7" in ids
    assert "name 7" not in ids
    assert list(ids) == list(ids.items)
    with pytest.raises(KeyError, match="no item 'x'; there are 200, such as 'i0'"):
        ids["x"]
    with pytest.raises(KeyError, match="'name 7' is the name of item 'i7', ask for that"):
        ids.decode(["i1", "name 7"])
    with pytest.raises(TypeError, match="several items, got 'i7'"):
        ids.decode("i7")


def test_codes_may_be_of_any_type_and_nobody_can_change_them():
    for dtype in (np.uint8, np.uint64, np.float32):
        codes = np.array([[0, 250], [3, 4]], dtype)
        ids = SemanticIDs(["a", "b"], codes)
        codes[:] = 0
        assert (ids["a"], ids.codebook_size, ids.dim, ids.codebooks) == ((0, 250), 251, None, None)
        with pytest.raises(ValueError, match="read-only"):
            ids.codes[0, 0] = 1


BOOKS = np.zeros((2, 4, 3), np.float32)
WRONG = [
    ({"codes": [[0, 0.5], [1, 1]]}, r"item 'a' \(row 0\) has 0.5 at level 2"),
    ({"codes": [[0, 0], [1, -1]]}, r"item 'b' \(row 1\) has -1 at level 2"),
    ({"codes": [[0, 2**40], [1, 1]]}, "at level 2"),
    ({"codes": [["0", "1"], ["1", "1"]]}, "whole numbers of shape"),
    ({"codes": [[0, 1]]}, r"shape \(2, n_levels\)"),
    ({"codebook_size": 4, "codes": [[0, 0], [4, 0]]}, r"go from 0 to 3; item 'b' \(row 1\) has 4 at level 1"),
    ({"codebooks": BOOKS, "codes": [[0, 0], [0, 4]]}, r"go from 0 to 3; item 'b' \(row 1\) has 4 at level 2"),
    ({"codebooks": BOOKS[:1]}, r"codebooks of shape \(2, codebook_size, dim\)"),
    ({"codebooks": BOOKS, "codebook_size": 5}, "codebook_size is 5, the codebooks have 4"),
    ({"codebooks": BOOKS * np.nan}, "level 1, entry 0 holds NaN"),
    ({"items": ["a", "a"]}, "'a' is there twice, in rows 0 and 1"),
    ({"items": ["a", 7]}, "item 1 is int '7'"),
    ({"items": [], "codes": np.zeros((0, 2))}, "at least one item"),
    ({"names": ["A"]}, "a name for each of 2 items, got 1"),
    ({"n_extra": 2}, "n_extra goes from 0 to 1"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[message for _, message in WRONG])
def test_invalid_ids_are_refused_and_named(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        SemanticIDs(**{"items": ["a", "b"], "codes": [[0, 1], [1, 1]], **options})


def test_a_decoded_vector_is_the_sum_of_its_entries_also_in_the_word_engine(ids):
    by_hand = np.array([sum(ids.codebooks[level, code] for level, code in enumerate(row)) for row in ids.codes])
    np.testing.assert_array_equal(ids.decode(), by_hand)
    np.testing.assert_array_equal(ids.decode(["i9", "i3", "i9"]), by_hand[[9, 3, 9]])
    assert ids.decode([]).shape == (0, 4)
    for one in (ids, ids.disambiguated(), made(size=1), made(size=256)):
        v = one.to_vectors()
        np.testing.assert_array_equal(v.matrix(), one.decode())
        assert v.words == list(one.items)
    with pytest.raises(ValueError, match="at most 256 entries a level, got 257"):
        made(size=257).to_vectors()
    with pytest.raises(ValueError, match="no codebooks"):
        SemanticIDs(["a"], [[1]]).to_vectors()


def test_more_levels_and_a_wider_beam_come_nearer_and_codes_name_the_nearest_entry(plain):
    errors = []
    for options in ({"n_levels": 1}, {"n_levels": 2}, {"n_levels": 2, "beam": 4}):
        ids = SemanticIDs.from_vectors(plain, codebook_size=16, **options)
        errors.append(np.square(ids.decode() - plain.matrix()).sum())
    assert errors[0] > 1.1 * errors[1] > 1.1 * errors[2]
    assert (list(ids.items), ids.n_levels, ids.codebook_size, ids.dim) == (plain.words, 2, 16, plain.dim)
    again = SemanticIDs.from_vectors(plain.matrix(), items=plain.words, codebook_size=16, **options)
    np.testing.assert_array_equal(again.codes, ids.codes)
    # of more than 256 entries, the nearest
    ids = SemanticIDs.from_vectors(plain, 1, 400)
    assert ids.codes.max() > 255
    first = np.square(plain.matrix()[:, None] - ids.codebooks[0]).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(ids.codes[:, 0], first)


def test_one_item_equal_items_and_fewer_items_than_codes_have_ids_too():
    rows = np.random.default_rng(0).normal(size=(5, 3))
    for some in (rows[:1], rows, np.ones((5, 3)), np.zeros((5, 3))):
        ids = SemanticIDs.from_vectors(some, 2, 8)
        np.testing.assert_allclose(ids.decode(), some, atol=1e-6)
        assert ids.n_unique == len(np.unique(some, axis=0))
        assert ids.items == tuple("01234"[: len(some)])


LARGE = np.random.default_rng(0).normal(size=(300, 8))
BAD_ROWS = [
    (np.array([[1, 1], [np.nan, 1]]), {}, r"row 1 \(item '1'\) holds NaN"),
    (np.ones((3, 2)), {"items": ["a", "b"]}, "a vector for each of 2 items, got 3"),
    (np.ones(3), {}, "expected numbers of shape"),
    (np.ones((3, 2)), {"n_levels": 0}, "at least 1, got 0 levels"),
    *((LARGE * scale, {}, "scale them first") for scale in (1e20, 1e-25)),  # float32 cannot hold their squares
    ({}, {}, r"expected Vectors or an array \(n_items, dim\), got dict"),
]


@pytest.mark.parametrize(("rows", "options", "message"), BAD_ROWS, ids=[case[2] for case in BAD_ROWS])
def test_bad_vectors_are_refused_by_row_and_item(rows, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        SemanticIDs.from_vectors(rows, **options)


def test_a_prefix_finds_the_items_that_begin_so_in_order(ids):
    for prefix in ((), (3,), (3, 0), (3, 0, 5), (99,), (-1,), (5, 2**40)):
        assert ids.with_prefix(prefix) == [item for item in ids.items if ids[item][: len(prefix)] == prefix]
    with pytest.raises(ValueError, match="there are 3 levels, got 4 codes"):
        ids.with_prefix((1, 2, 3, 4))
    for wrong in ("12", 3, (1.5,)):
        with pytest.raises(TypeError):
            ids.with_prefix(wrong)


@pytest.mark.parametrize(("level", "prefix"), [(1, ()), (3, ()), (2, (3,)), (2, (99,))])
def test_groups_hold_every_item_once_and_the_most_populous_is_first(ids, level, prefix):
    groups = ids.prefixes(level, prefix)
    assert groups.columns.tolist() == ["prefix", "count", "share", "exemplars"]
    assert groups["count"].sum() == len(ids.with_prefix(prefix))
    assert groups["share"].sum() == pytest.approx(float(len(groups) > 0))
    assert groups["count"].is_monotonic_decreasing
    for group in groups.itertuples():
        inside = ids.with_prefix(group.prefix)
        assert group.prefix[: len(prefix)] == prefix
        assert (len(group.prefix), group.count) == (level, len(inside))
        vectors = ids.decode(inside)
        far = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
        shown = [far[inside.index(f"i{name.removeprefix('name ')}")] for name in group.exemplars]
        assert shown == pytest.approx(sorted(far)[:3])


def test_exemplars_are_the_nearest_to_the_mean_or_without_codebooks_the_first(ids):
    books = np.array([[[0.0]] * 5, [[-9], [1], [0], [8], [-1]]])  # the mean is -0.2
    items, codes = list("abcde"), [[0, code] for code in range(5)]
    assert SemanticIDs(items, codes, books).prefixes(1)["exemplars"][0] == ("c", "e", "b")
    assert SemanticIDs(items, codes).prefixes(1)["exemplars"][0] == ("a", "b", "c")
    with pytest.raises(ValueError, match="level goes from 2 to 3"):
        ids.prefixes(1, (0, 1))


@pytest.mark.parametrize("by", ["prefix", "distance"])
@pytest.mark.parametrize("topn", [1, 7, 500])
def test_nearest_is_what_comparing_with_every_item_gives(ids, by, topn):
    own, vectors = ids["i4"], ids.decode()
    far = np.linalg.norm(vectors - vectors[4], axis=1)
    others = [row for row in range(len(ids)) if row != 4]
    same = np.cumprod(ids.codes == own, axis=1).sum(axis=1)
    shared = {row: same[row] for row in others}
    key = (lambda row: (-shared[row], far[row], row)) if by == "prefix" else (lambda row: (far[row], row))
    best = sorted(others, key=key)[:topn]
    found = ids.nearest("i4", topn, by)
    assert found["item"].tolist() == [ids.items[row] for row in best]
    assert found["name"].tolist() == [ids.names[row] for row in best]
    assert found["codes"].tolist() == [ids[item] for item in found["item"]]
    assert found["shared"].tolist() == [shared[row] for row in best]
    np.testing.assert_allclose(found["distance"], far[best], rtol=1e-6)


def test_codes_can_be_searched_for_and_the_beginning_of_codes(ids):
    found = ids.nearest(ids["i4"], 1)
    assert ids[found["item"][0]] == ids["i4"]
    assert (found["shared"][0], found["distance"][0]) == (3, 0)
    begun = ids.nearest((3, 2), 20)
    middle = ids.codebooks[0, 3] + ids.codebooks[1, 2]
    np.testing.assert_allclose(begun["distance"], np.linalg.norm(ids.decode(begun["item"]) - middle, axis=1), rtol=1e-5)
    n = len(ids.with_prefix((3, 2)))
    assert begun["shared"].tolist()[: n + 1] == [2] * n + [1]
    for query, options, message in [
        ((), {}, "expected an item, or at least 1 codes"),
        ((3, 2), {"by": "distance"}, "expected an item, or at least 3 codes"),
        ((9, 9, 9), {}, "codes from 0 to 5"),
        ((-1,), {}, "codes from 0 to 5"),
        ("i4", {"by": "cosine"}, "'prefix' or 'distance', got 'cosine'"),
    ]:
        with pytest.raises(ValueError, match=message):
            ids.nearest(query, **options)


def test_without_codebooks_ids_are_searched_by_prefix_alone():
    ids = SemanticIDs(list("abcd"), [[0, 1], [1, 1], [0, 2], [0, 1]])
    found = ids.nearest("a")
    assert found["item"].tolist() == ["d", "c", "b"]
    assert found["distance"].isna().all()
    with pytest.raises(ValueError, match="no codebooks"):
        ids.nearest("a", by="distance")
    assert SemanticIDs(["a"], [[0]]).nearest("a").empty


def test_collisions_are_the_items_of_one_id_and_one_more_level_tells_them_apart(ids):
    groups = ids.collisions()
    assert groups["count"].is_monotonic_decreasing
    assert groups["count"].min() >= 2
    assert len(ids) - groups["count"].sum() + len(groups) == ids.n_unique == len(np.unique(ids.codes, axis=0))
    apart = ids.disambiguated()
    assert apart.collisions().empty
    assert (apart.n_levels, apart.n_extra, apart.n_unique) == (4, 1, 200)
    np.testing.assert_array_equal(apart.codes[:, :3], ids.codes)
    for group in groups.itertuples():
        assert list(group.items) == ids.with_prefix(group.codes)
        assert [f"name {item[1:]}" for item in group.items] == list(group.names)
        assert [apart[item][3] for item in group.items] == list(range(group.count))
    np.testing.assert_array_equal(apart.decode(), ids.decode())
    assert apart.disambiguated() is apart
    # more equal ids than entries of a level
    ids = SemanticIDs([str(row) for row in range(9)], np.zeros((9, 1)), codebook_size=2).disambiguated()
    assert ids.codes[:, 1].tolist() == list(range(9))
    assert ids.codebook_size == 2
    assert ids.nearest((0, 8), 1)["item"].tolist() == ["8"]


@pytest.mark.parametrize("ending", [".csv", ".json", ".index.json", ".safetensors", ".parquet"])
def test_saved_ids_are_loaded_as_they_were(tmp_path, ending):
    rng = np.random.default_rng(1)
    items = [item for item in ODD if item.isprintable()] if ending == ".parquet" else ODD
    books = rng.normal(size=(2, 5, 3)).astype(np.float32)
    codes, names = rng.integers(0, 2, (len(items), 2)), [f"{item}!" for item in items]
    ids = SemanticIDs(items, codes, books, names, meta={"by": "hand"}).disambiguated()
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    path = ids.save(tmp_path / "new" / f"ids{ending}")
    again = SemanticIDs.load(path)
    assert again.items == ids.items
    np.testing.assert_array_equal(again.codes, ids.codes)
    if ending != ".index.json":
        assert (again.names, again.n_extra) == (ids.names, 1)
    if ending in (".json", ".safetensors"):
        assert again.codebooks.tobytes() == ids.codebooks.tobytes()
        assert (again.codebook_size, again.meta) == (5, {"by": "hand"})
    else:
        assert SemanticIDs.load(path, codebook_size=256).codebook_size == 256


def test_the_word_engine_opens_the_file_and_ids_open_the_word_engines_codes(tmp_path, ids, plain):
    v = wb.load(ids.save(tmp_path / "ids.safetensors"))
    np.testing.assert_array_equal(v["i3"], ids.decode(["i3"])[0])
    small = wb.RQ(n_levels=2, n_bits=4).fit_transform(plain)
    found = SemanticIDs.load(small.save(tmp_path / "small.safetensors"))
    np.testing.assert_array_equal(found.decode(), small.matrix())
    path = wb.PQ(n_subvectors=3, n_bits=2).fit_transform(plain).save(tmp_path / "pq.safetensors")
    for other in (path, plain.save(tmp_path / "plain.safetensors")):
        with pytest.raises(ValueError, match="holds no residual codes"):
            SemanticIDs.load(other)


@pytest.mark.parametrize(
    "about", [5, {"codebook_size": "x"}, {"codebook_size": 999}, {"extra": [[1]]}, {"names": ["a"]}]
)
def test_an_artefact_with_something_else_in_its_header_is_refused(tmp_path, ids, about):
    v = ids.to_vectors()
    path = wb.Vectors(v.vocab, v.storage, {"semantic_ids": about}).save(tmp_path / "ids.safetensors")
    with pytest.raises(ValueError, match=r"ids\.safetensors"):
        SemanticIDs.load(path)


def test_ids_published_by_others_are_read_and_written(tmp_path, real):
    path = real("data/items/amazon_office/Office_Products.index.json")
    ids = SemanticIDs.load(path)
    assert (len(ids), ids.n_levels, ids.codebook_size) == (3459, 3, 256)
    assert ids.tokens()[0] == "<a_60><b_159><c_203>"
    assert len(ids) - ids.n_unique == 15
    saved = ids.save(tmp_path / "again.index.json")
    assert json.loads(saved.read_text()) == json.loads(path.read_text())


def test_tokens_come_back_whatever_the_number_of_levels(tmp_path):
    spreadsheet = tmp_path / "ids.csv"
    spreadsheet.write_bytes("\ufeffid,tokens\r\n7,<a_1> <b_2>\r\n".encode())
    assert SemanticIDs.load(spreadsheet)["7"] == (1, 2)
    codes = np.random.default_rng(0).integers(0, 1000, (2, 53))
    ids = SemanticIDs(["x", "y"], codes)
    for level, letters in {0: "a", 25: "z", 26: "aa", 52: "ba"}.items():
        assert f"<{letters}_{codes[0, level]}>" in ids.tokens()[0]
    np.testing.assert_array_equal(SemanticIDs.from_tokens(ids.items, ids.tokens()).codes, codes)


BAD_TOKENS = [
    ("<a_1>", "has 1 levels, row 0 has 2"),
    *(
        (text, "levels in order")
        for text in ("<a_1><c_2>", "<b_1><a_2>", "<a_1><b_-2>", "<a_1><b_2>!", "", ["<a_1>", 5])
    ),
    (f"<a_1><b_{10**20}>", "expected tokens such as"),
]


@pytest.mark.parametrize(("text", "message"), BAD_TOKENS)
def test_tokens_that_do_not_parse_are_named_by_row_and_item(text, message):
    with pytest.raises(ValueError, match=rf"row 1 \(item 'y'\).*{message}"):
        SemanticIDs.from_tokens(["x", "y"], ["<a_1><b_2>", text])


DAMAGED = [
    ("ids.csv", "id,code_1\n", "no rows, only a header"),
    ("ids.csv", "item,code_1\na,1\n", "there is no column 'id' among item, code_1"),
    ("ids.csv", "id,name\na,b\n", "there is no column 'tokens'"),
    ("ids.csv", "id,code_1,code_3\na,1,2\n", "there is no column 'code_2'"),
    ("ids.csv", "id,code_1\na,1\nb,1.5\n", r"item 'b' \(row 1\) has 1.5 at level 1"),
    ("ids.csv", "id,code_1,code_2\na,1,2\nb,1\n", r"item 'b' \(row 1\) has nan at level 2"),
    ("ids.csv", "id,code_1\na,1,2\nb,1,2\n", "rows are longer than the header"),
    ("ids.csv", "id,code_1\na,1\nb,1,2\n", "Expected 2 fields in line 3, saw 3"),
    ("ids.csv", "id,tokens\na,<a_1>\nb,<a_1\n", r"row 1 \(item 'b'\): expected tokens"),
    ("ids.csv", "id,code_1,tokens\na,1,<a_1>\nb,1,<a_2>\n", r"row 1 \(item 'b'\): .* tokens '<a_2>' disagree"),
    ("ids.json", "", "Expecting value"),
    ("ids.json", '{"0": ["<a_1>"], "1": ["5"]}', r"row 1 \(item '1'\): expected tokens"),
    ("ids.json", '{"0": ["<a_1>"], "0": ["<a_2>"]}', "'0' is there 2 times; keep one of them"),
    ("ids.json", "[" * 100_000, "recursion"),
    ("ids.json", '{"form": "workbench semantic ids", "form_version": 9}', "form version 9, this workbench reads 1"),
    ("ids.json", '{"form": "workbench semantic ids", "form_version": 1}', "KeyError: 'codebook_size'"),
]


@pytest.mark.parametrize(("name", "text", "message"), DAMAGED, ids=[message for *_, message in DAMAGED])
def test_a_damaged_file_is_refused_by_name_and_row(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"{name} cannot be read as semantic IDs: .*{message}"):
        SemanticIDs.load(tmp_path / name)


def test_files_that_cannot_be_are_refused_with_what_can(tmp_path, ids):
    for task in (ids.save, SemanticIDs.load):
        with pytest.raises(ValueError, match=r"ends in one of \.csv, .*, got 'ids.pkl'"):
            task(tmp_path / "ids.pkl")
    with pytest.raises(FileNotFoundError, match=r"no file .*ids\.csv"):
        SemanticIDs.load(tmp_path / "ids.csv")
    with pytest.raises(ValueError, match="no codebooks"):
        SemanticIDs(["a"], [[1]]).save(tmp_path / "a.safetensors")


def test_a_summary_escapes_names_and_a_table_has_a_column_a_level():
    ids = SemanticIDs(["a", "b"], [[1], [1]], names=["<b>", "x"], codebook_size=4)
    assert "&lt;b&gt;" in ids._repr_html_()
    assert "<b>" not in ids._repr_html_()
    assert ids.to_frame().columns.tolist() == ["id", "name", "code_1", "tokens"]
    assert ids.disambiguated().to_frame().columns.tolist() == ["id", "name", "code_1", "extra_1", "tokens"]


def test_ids_need_no_torch_and_the_bottleneck_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None; from workbench import semantic; import numpy as np;"
        "print(semantic.SemanticIDs.from_vectors(np.eye(9), 2, 4).nearest('0').shape, semantic.load_items.__name__);"
        "semantic.RQBottleneck"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(8, 5) load_items\n"
    assert "ImportError: RQBottleneck needs torch: pip install 'embedding-workbench[semantic]'" in done.stderr
    assert all(getattr(semantic, name) is not None for name in dir(semantic))
