"""Items: what folders, matrices and the built-in texts become, and how damaged ones are refused."""

import gzip
import sys
import warnings
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save, save_file

import workbench as wb
from workbench.semantic import load_items, texts
from workbench.semantic.examples import TEST, TRAIN, VALID, of_interactions, of_pairs

TEXTS = [
    "a robin is a small bird that sings",
    "the blackbird is a bird that sings at dawn",
    "a bird that sings at dusk is the nightingale",
    "the locomotive pulls a train of wagons",
    "a train of freight wagons on rails",
    "steel rails carry the locomotive and its wagons",
]
NUMBERS = range(len(TEXTS))


@pytest.fixture(scope="module")
def paragraphs():
    return load_items("builtin:texts")


@pytest.fixture
def folder(tmp_path):
    """Writes a folder of items and interactions, changed as asked for."""

    def write(interactions: str | None = None, **columns):
        given = {"id": [f"i{n}" for n in NUMBERS], "text": TEXTS, **columns}
        frame = pd.DataFrame({name: values for name, values in given.items() if values is not None})
        frame.to_csv(tmp_path / "items.csv", index=False)
        if interactions is not None:
            (tmp_path / "interactions.csv").write_text(interactions)
        return tmp_path

    return write


def are_unit(rows: np.ndarray) -> bool:
    return np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_the_built_in_texts_are_continuations_and_their_beginnings_ask_for_them(paragraphs):
    n, examples = len(paragraphs), paragraphs.examples
    assert n > 4_000
    assert (paragraphs.ids[0], paragraphs.ids[-1]) == ("paragraph-0001", f"paragraph-{n}")
    assert paragraphs.columns.columns.tolist() == ["article", "source", "beginning"]
    assert (paragraphs.columns["source"] == "news").sum() == 300
    assert paragraphs.features.shape == examples.history_features.shape == (n, 128)
    assert paragraphs.features.dtype == np.float32
    assert are_unit(paragraphs.features)
    np.testing.assert_array_equal(examples.targets, np.arange(n))
    np.testing.assert_array_equal(examples.history.indices, np.arange(n))
    np.testing.assert_array_equal(np.bincount(examples.split), [n - 2 * (n // 10), n // 10, n // 10])
    again, other = (of_pairs(examples.history_features, seed).split for seed in (0, 1))
    np.testing.assert_array_equal(again, examples.split)
    assert (other != examples.split).any()
    # Beginnings tell of their own continuations, but not always: else there would be nothing to learn.
    scores = examples.history_features @ paragraphs.features.T
    places = (scores > scores.diagonal()[:, None]).sum(axis=1)
    assert 0.2 < (places < 10).mean() < 0.9


def test_words_of_beginnings_alone_are_no_part_of_the_features(monkeypatch, folder):
    few = texts.pieces()[:300]
    monkeypatch.setattr(texts, "pieces", lambda: few)
    built_in = load_items("builtin:texts")
    items = load_items(folder(id=built_in.ids, text=built_in.texts))
    np.testing.assert_array_equal(items.features, built_in.features)


def test_a_paragraph_is_cut_once_and_reads_as_text(paragraphs):
    for piece in texts.pieces():
        beginning, continuation = piece.beginning.split(), piece.continuation.split()
        assert 10 <= len(beginning) <= min(40, len(continuation) + 1)
        assert "''" not in piece.continuation
        assert "  " not in piece.beginning
    assert all(0 < len(name) <= 60 for name in paragraphs.names)
    assert paragraphs.names[0].startswith("Anarchism: ")
    assert np.mean([piece.beginning[-1] in ".!?\"')" for piece in texts.pieces()]) > 0.7  # ends of sentences
    assert texts.readable("* '''Apollo''' ( ; , ''Alexikakos'') is ( ) a god .") == "Apollo (Alexikakos) is a god."


def test_a_folder_gives_ids_names_other_columns_and_features_by_what_texts_say(folder):
    path = folder(year=[2001, 2002, "", 2004, 2005, 2006], title=["Robin", *["x" * 90] * 2, *["many words " * 9] * 3])
    items = load_items(path)
    assert items.ids == ("i0", "i1", "i2", "i3", "i4", "i5")
    assert items.texts == tuple(TEXTS)
    assert (items.names[0], items.names[1], items.names[3][-12:]) == ("Robin", "x" * 59 + "…", "many words …")
    assert items.columns.columns.tolist() == ["year", "title"]
    assert items.columns["year"].sum() == 2001 + 2002 + 2004 + 2005 + 2006
    assert items.examples is None
    assert are_unit(items.features)
    near = items.features @ items.features.T
    assert min(near[:3, :3].min(), near[3:, 3:].min()) > near[:3, 3:].max()


def test_ids_are_texts_also_where_they_look_like_numbers(folder):
    ids = ("007", "7", "NA", "nan", "1.0", "None")
    items = load_items(folder(id=ids, title=["NA", "1e3", "nan", "", "5", "x"]))
    assert items.ids == ids
    assert items.names[:4] == ("NA", "1e3", "nan", "nan")  # without a title, the id


def test_fewer_features_on_request_and_never_more_than_items(folder):
    many = [f"{text} {' '.join(f'word{n}x{i}' for i in range(40))}" for n, text in enumerate(TEXTS)]
    assert load_items(folder(text=many)).features.shape == (6, 6)
    again = [load_items(folder(text=many), n_features=3, random_state=1).features for _ in range(2)]
    assert again[0].shape == (6, 3)
    np.testing.assert_array_equal(again[0], again[1])
    text = [f"bird only{n}" if n % 2 else f"train only{n}" for n in range(1_000)]  # words of one text among many
    assert load_items(folder(id=range(1_000), text=text)).features.shape == (1_000, 2)


def test_one_item_and_items_that_are_all_the_same_have_features(folder):
    with warnings.catch_warnings(action="error"):
        for some in (["a bird"], ["a bird"] * 5, [" ".join(f"word{n}" for n in range(300))] * 4):
            items = load_items(folder(id=[str(n) for n in range(len(some))], text=some))
            assert are_unit(items.features)
            assert (items.features == items.features[0]).all()


def test_parquet_is_read_as_csv_is(tmp_path):
    pytest.importorskip("pyarrow")
    items = {"id": [7, 8], "text": TEXTS[:2], "year": pd.array([2001, None], "Int64")}
    pd.DataFrame(items).to_parquet(tmp_path / "items.parquet")
    times = pd.to_datetime(["2024-01-02", "2024-01-01"])
    interactions = {"user": [1, 1], "item": [7, 8], "time": times}
    pd.DataFrame(interactions).to_parquet(tmp_path / "interactions.parquet")
    found = load_items(tmp_path)
    assert (found.ids, found.columns["year"].sum()) == (("7", "8"), 2001)
    assert found.examples.targets.tolist() == [0]


BAD_TABLES = [
    ({"text": ["a b", "", " ", "d e", "f g", ""]}, "3 of 6 items have no text, such as .*'i5'.*; write some"),
    ({"id": ["i0", "i1", "i0", "i3", "i4", "i5"]}, "item 'i0' is there twice, in rows 0 and 2"),
    ({"id": None}, "there is no column 'id' among text"),
    ({"text": None}, "there is no column 'text' among id"),
    ({"text": ["!", "?", ".", "a", "b", "c"]}, "empty vocabulary"),
    ("user,thing,when\n1,i0,1\n", "expected columns user, item and time; item is not among user, thing, when"),
    (
        "user,item,time\n1,i0,1\n1,x,2\n1,y,3\n1,x,4\n",
        r"3 interactions are with 2 items that are not among the items, such as 'x', 'y' \(row 1\)",
    ),
    ("user,item,time\n1,i0,1\n2,i1,2\n", "no user has two interactions, so nothing came next; 2 interactions"),
    ("user,item,time\n1,i0,1\n1,i1,soon\n", "row 1: time should be a number or a date like 2024-05-31, got 'soon'"),
    ("user,item,time\n1,i0,2024-01-01\n1,i1,2024-13-01\n1,i1,2024-01-01", "row 1: time should be"),
    ("user,item,time\n1,i0,1\n,i1,2\n", "row 1 has no user"),
]


@pytest.mark.parametrize(("given", "message"), BAD_TABLES, ids=[message for _, message in BAD_TABLES])
def test_a_damaged_table_is_refused_by_file_and_row(folder, given, message):
    """Of items, whose columns are given, or of interactions."""
    name, path = ("interactions", folder(given)) if isinstance(given, str) else ("items", folder(**given))
    with pytest.raises(ValueError, match=f"{name}.csv cannot be read as a table of {name}: {message}"):
        load_items(path)


def test_empty_missing_and_unknown_sources_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no items\.csv or items\.parquet in"):
        load_items(tmp_path)
    for text, message in (("", ".*No columns"), ("id,text\n", "no rows, only a header")):
        (tmp_path / "items.csv").write_text(text)
        with pytest.raises(ValueError, match=f"items.csv cannot be read as a table of items: {message}"):
            load_items(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_items(tmp_path / "nothing")
    with pytest.raises(ValueError, match="no built-in items 'builtin:en'; there are 'builtin:texts'"):
        load_items("builtin:en")
    with pytest.raises(ValueError, match="features of their beginnings too"):
        load_items("builtin:texts", features=np.ones((9, 9)))


def by_hand(users, rows, times, n_history):
    """Examples one by one: (set of what was seen, and how much of it each is), target, split."""
    found = []
    for user in dict.fromkeys(users):
        own = sorted(
            (t, place, row) for place, (u, row, t) in enumerate(zip(users, rows, times, strict=True)) if u == user
        )
        taken = [row for _, _, row in own]
        n = len(taken) - 1
        tenth = max(1, n // 10) if n >= 3 else 0
        for i in range(1, len(taken)):
            seen = taken[max(0, i - n_history) : i]
            split = TEST if i > n - tenth else VALID if i > n - 2 * tenth else TRAIN
            found.append(({row: seen.count(row) / len(seen) for row in seen}, taken[i], split))
    return found


@pytest.mark.parametrize("n_history", [1, 4, 50])
def test_an_example_is_what_a_user_saw_before_and_what_came_next(n_history):
    rng = np.random.default_rng(0)
    users = np.sort(rng.integers(0, 30, 600) * (rng.random(600) < 0.9))  # one has many
    users[-30:] = np.repeat(np.arange(50, 57), [1, 2, 3, 4, 5, 7, 8])  # and some have few
    rows, times = rng.integers(0, 40, 600), rng.integers(0, 50, 600)  # repeated items, equal times
    features = rng.normal(size=(40, 3)).astype(np.float32)
    examples = of_interactions(users, rows, times, features, n_history)
    expected = by_hand(users.tolist(), rows.tolist(), times.tolist(), n_history)
    assert len(examples) == len(expected)
    for place, (seen, target, split) in enumerate(expected):
        row = examples.history[place]
        assert dict(zip(row.indices.tolist(), row.data.tolist(), strict=True)) == pytest.approx(seen)
        assert (examples.targets[place], examples.split[place]) == (target, split)
    assert (examples.history.dtype, examples.targets.dtype, examples.split.dtype) == (np.float32, np.int32, np.int8)


def test_users_may_be_mixed_in_the_file_and_times_be_dates(folder):
    days = "u,i3,2024-05-01\nw,i5,2024-01-01\nu,i1,2023-12-31T23:59:59\nw,i4,2024-01-01\nx,i0,2020-01-01\n"
    items = load_items(folder("user,item,time\n" + days))
    assert items.examples.targets.tolist() == [3, 4]
    assert items.examples.history.indices.tolist() == [1, 5]
    assert items.examples.history_features is items.features
    later = load_items(folder("user,item,time\nu,i1,1e3\nu,i2,999.5\nu,i3,-3\n"), n_history=1)
    assert later.examples.targets.tolist() == [2, 1]
    assert later.examples.history.indices.tolist() == [3, 2]
    far = load_items(folder("user,item,time\na,i0,2500-01-01\na,i1,1500-01-01\na,i2,2024-05-31\n"))  # no nanoseconds
    assert far.examples.targets.tolist() == [2, 0]


FILMS = {1: ("Toy Story (1995)", "Animation|Comedy"), 2: ('Café, "Noir" (1999)', "Drama"), 3: ("Heat", "Crime|Drama")}
SEEN = [(7, 1, 30), (7, 2, 10), (7, 3, 20), (8, 3, 1), (8, 1, 2)]  # user, item, time


def ratings(sep: str, header: str = "") -> str:
    return header + "".join(f"{user}{sep}{item}{sep}4{sep}{time}\n" for user, item, time in SEEN)


def latest(folder):
    quoted = "".join('{},"{}",{}\n'.format(i, t.replace('"', '""'), g) for i, (t, g) in FILMS.items())
    (folder / "movies.csv").write_text("movieId,title,genres\n" + quoted, encoding="utf-8")
    (folder / "ratings.csv").write_text(ratings(",", "userId,movieId,rating,timestamp\n"))
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n7,1,pixar,5\n8,1,fun,5\n")


def million(folder):
    (folder / "movies.dat").write_text("".join(f"{i}::{t}::{g}\n" for i, (t, g) in FILMS.items()), encoding="latin-1")
    (folder / "ratings.dat").write_text(ratings("::"))


def hundred_thousand(folder):
    flags = {1: "0001010000000000000", 2: "0000000010000000000", 3: "0000001010000000000"}
    rows = "".join(f"{i}|{t}|01-Jan-1995||http|{'|'.join(flags[i])}\n" for i, (t, _) in FILMS.items())
    (folder / "u.item").write_text(rows, encoding="latin-1")
    (folder / "u.data").write_text(ratings("\t"))


def recbole(folder):
    rows = "".join(f"{i}\t{t}\t{g.replace('|', ' ')}\n" for i, (t, g) in FILMS.items())
    (folder / "ml.item").write_text("item_id:token\ttitle:token_seq\tgenre:token_seq\n" + rows, encoding="utf-8")
    (folder / "ml.inter").write_text(ratings("\t", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"))


@pytest.mark.parametrize("write", [latest, million, hundred_thousand, recbole])
def test_published_folders_are_read_as_they_are(write, tmp_path):
    write(tmp_path)
    items = load_items(tmp_path, n_features=2)
    assert items.ids == ("1", "2", "3")
    assert items.names[1] == FILMS[2][0]
    assert "Comedy" in items.texts[0]
    assert ("pixar fun" in items.texts[0]) == (write is latest)
    assert items.examples.targets.tolist() == [2, 0, 0]  # user 7 saw 2, 3, 1; user 8 saw 3, 1
    with pytest.raises(FileNotFoundError, match=r"no items\.csv .* columns= and sep= need one"):
        load_items(tmp_path, sep=";")


def test_columns_and_separators_may_be_those_of_the_user(tmp_path):
    text = b"sku;about;id\nx;red bird;9\ny;blue bird;9\nz;old house;9\n"
    (tmp_path / "items.csv.gz").write_bytes(gzip.compress(text))
    (tmp_path / "interactions.csv").write_text("who;sku\na;x\na;z\nb;z\nb;y\n")
    names = {"id": "sku", "text": "about", "user": "who", "item": "sku"}
    with pytest.warns(UserWarning, match="order of their rows is used"):
        items = load_items(tmp_path, n_features=2, columns=names, sep=";")
    assert items.ids == ("x", "y", "z")
    assert items.examples.targets.tolist() == [2, 1]
    with pytest.raises(ValueError, match=r"interactions\.csv .*there is no column 'whom' among who, sku"):
        load_items(tmp_path, columns=names | {"user": "whom"}, sep=";")


def test_real_movielens_is_the_one_that_the_benchmarks_used(real):
    items = load_items(real("data/items/movielens_small"))
    assert len(items) == 9_742
    assert np.bincount(items.examples.split).tolist() == [80_730, 9_748, 9_748]


def words(**vectors) -> wb.Vectors:
    return wb.Vectors.from_arrays(list(vectors), np.array(list(vectors.values()), np.float32))


def test_means_of_word_vectors_weigh_rare_words_more_and_know_capitals(folder):
    v = words(bird=[1, 0, 0], train=[0, 1, 0], Rome=[0, 0, 1], rome=[1, 1, 0])
    with pytest.warns(UserWarning, match=r"2 of 6 items \(such as 'i4'\) have no feature but zeros"):
        items = load_items(folder(text=["Bird", "train, bird", "Rome", "ROME", "42", "unknown"]), features=v)
    assert are_unit(items.features[:4])
    np.testing.assert_allclose(items.features[[0, 2]], [[1, 0, 0], [0, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(items.features[3], np.array([1, 1, 0]) / 2**0.5, atol=1e-6)
    assert not items.features[4:].any()
    often = load_items(folder(text=["bird train", *["bird"] * 5]), features=v).features[0]
    assert often[1] > 2 * often[0]


def test_unseen_words_are_put_together_from_their_n_grams_also_compressed_ones(fasttext, folder):
    text = [f"{a} {b}" for a, b in zip(fasttext.words[:6], fasttext.words[6:12], strict=True)]
    text[0] = "bagegizuda"
    items = load_items(folder(text=text), features=fasttext)
    one = fasttext["bagegizuda"]
    np.testing.assert_allclose(items.features[0], one / np.linalg.norm(one), rtol=1e-4)
    small = wb.SQ().fit_transform(fasttext)
    assert ((load_items(folder(text=text), features=small).features * items.features).sum(axis=1) > 0.99).all()


def test_a_ready_matrix_serves_a_folder_also_one_without_texts(folder, tmp_path):
    rows = np.arange(12, dtype=np.float64).reshape(6, 2)
    np.save(tmp_path / "rows.npy", rows)
    for given in (rows, tmp_path / "rows.npy", str(tmp_path / "rows.npy")):
        items = load_items(folder(text=None), features=given)
        np.testing.assert_array_equal(items.features, rows)
        assert (items.texts, items.names[1]) == (None, "i1")
    rows[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"row 4 \(item 'i4'\) holds NaN"):
        load_items(folder(), features=rows)


def test_a_sentence_model_is_a_folder_of_this_machine_and_never_downloaded(folder, tmp_path, monkeypatch):
    library = Mock()
    library.SentenceTransformer.return_value.encode = lambda given: np.array([[len(text), 1.0] for text in given])
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    path = folder()
    for wrong in ("bert-base", str(tmp_path / "absent"), None):
        with pytest.raises(ValueError, match="unknown features"):
            load_items(path, features=wrong)
    (tmp_path / "model").mkdir()
    assert are_unit(load_items(path, features=str(tmp_path / "model")).features)
    library.SentenceTransformer.assert_called_once_with(str(tmp_path / "model"), local_files_only=True)


def test_a_matrix_is_taken_as_it_is(tmp_path, plain):
    rows = np.random.default_rng(0).normal(3, 2, (5, 4))
    np.save(tmp_path / "a.npy", rows)
    save_file({"rows": rows.astype(np.float16), "counts": np.arange(5)}, tmp_path / "a.safetensors")
    for name in ("a.npy", "a.safetensors"):
        items = load_items(tmp_path / name)
        np.testing.assert_allclose(items.features, rows, atol=1e-2)
        assert items.features.dtype == np.float32
        assert (items.ids, items.texts, items.examples) == (("0", "1", "2", "3", "4"), None, None)
        assert items.columns.shape == (5, 0)
    for source in (plain, plain.save(tmp_path / "v.safetensors")):
        items = load_items(source)
        assert items.ids == tuple(plain.words)
        np.testing.assert_array_equal(items.features, plain.matrix())


BAD_MATRICES = [
    (np.array([{}, 1], object), "Python objects"),
    (np.ones(3), r"got float64 of shape \(3,\)"),
    (np.array([["a", "b"]]), "expected numbers of shape"),
    (np.ones((0, 3)), "at least one item"),
    (np.array([[1, 2], [3, np.nan]]), r"row 1 \(item '1'\) holds NaN or infinity"),
    (save({"a": np.ones((2, 2))})[:-1], r"a\.safetensors.*not fully"),
    (save({"a": np.ones((2, 2)), "b": np.ones((2, 2))}), r"a\.safetensors.*expected one matrix, got 2"),
]


@pytest.mark.parametrize(("rows", "message"), BAD_MATRICES, ids=[message for _, message in BAD_MATRICES])
def test_a_bad_matrix_is_refused(tmp_path, rows, message):
    path = tmp_path / ("a.safetensors" if isinstance(rows, bytes) else "a.npy")
    path.write_bytes(rows) if isinstance(rows, bytes) else np.save(path, rows, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        load_items(path)


def test_a_summary_counts_and_escapes(folder):
    items = load_items(folder("user,item,time\n" + "".join(f"1,i{n},{n}\n" for n in NUMBERS), title=["<b>"] * 6))
    assert repr(items).endswith("columns: title, examples: 3 to train, 1 to validate, 1 to test)")
    assert "&lt;b&gt;" in items._repr_html_()
