"""Folders of items as others publish them, and as people have them."""

import gzip

import numpy as np
import pytest

from workbench.semantic import load_items

FILMS = {1: ("Toy Story (1995)", "Animation|Comedy"), 2: ('Café, "Noir" (1999)', "Drama"), 3: ("Heat", "Crime|Drama")}
SEEN = [(7, 1, 30), (7, 2, 10), (7, 3, 20), (8, 3, 1), (8, 1, 2)]  # user, item, time


def latest(folder):
    quoted = "".join('{},"{}",{}\n'.format(i, t.replace('"', '""'), g) for i, (t, g) in FILMS.items())
    (folder / "movies.csv").write_text("movieId,title,genres\n" + quoted, encoding="utf-8")
    rows = "".join(f"{u},{i},4.0,{t}\n" for u, i, t in SEEN)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + rows)
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n7,1,pixar,5\n8,1,fun,5\n")


def million(folder):
    (folder / "movies.dat").write_text("".join(f"{i}::{t}::{g}\n" for i, (t, g) in FILMS.items()), encoding="latin-1")
    (folder / "ratings.dat").write_text("".join(f"{u}::{i}::4::{t}\n" for u, i, t in SEEN))


def hundred_thousand(folder):
    flags = {1: "0001010000000000000", 2: "0000000010000000000", 3: "0000001010000000000"}
    rows = "".join(f"{i}|{t}|01-Jan-1995||http|{'|'.join(flags[i])}\n" for i, (t, _) in FILMS.items())
    (folder / "u.item").write_text(rows, encoding="latin-1")
    (folder / "u.data").write_text("".join(f"{u}\t{i}\t4\t{t}\n" for u, i, t in SEEN))


def recbole(folder):
    rows = "".join(f"{i}\t{t}\t{g.replace('|', ' ')}\n" for i, (t, g) in FILMS.items())
    (folder / "ml.item").write_text("item_id:token\ttitle:token_seq\tgenre:token_seq\n" + rows, encoding="utf-8")
    rows = "".join(f"{u}\t{i}\t4\t{t}\n" for u, i, t in SEEN)
    (folder / "ml.inter").write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + rows)


@pytest.mark.parametrize("write", [latest, million, hundred_thousand, recbole])
def test_published_folders_are_read_as_they_are(write, tmp_path):
    write(tmp_path)
    items = load_items(tmp_path, n_features=2)
    assert items.ids == ("1", "2", "3")
    assert items.names[1] == FILMS[2][0]
    assert "Comedy" in items.texts[0]
    assert ("pixar fun" in items.texts[0]) == (write is latest)
    assert items.examples.targets.tolist() == [2, 0, 0]  # user 7 saw 2, 3, 1; user 8 saw 3, 1


def test_columns_and_separators_may_be_those_of_the_user(tmp_path):
    (tmp_path / "items.csv.gz").write_bytes(
        gzip.compress(b"sku;about;id\nx;red bird;9\ny;blue bird;9\nz;old house;9\n")
    )
    (tmp_path / "interactions.csv").write_text("who;sku\na;x\na;z\nb;z\nb;y\n")
    names = {"id": "sku", "text": "about", "user": "who", "item": "sku"}
    with pytest.warns(UserWarning, match="order of their rows is used"):
        items = load_items(tmp_path, n_features=2, columns=names, sep=";")
    assert items.ids == ("x", "y", "z")
    assert items.examples.targets.tolist() == [2, 1]
    with pytest.raises(ValueError, match="there is no column 'whom' among who, sku"):
        load_items(tmp_path, columns=names | {"user": "whom"}, sep=";")
    with pytest.raises(ValueError, match="columns= names person"):
        load_items(tmp_path, columns={"person": "who"})


def test_dates_beyond_the_nanoseconds_of_numpy_keep_their_order(tmp_path):
    (tmp_path / "items.csv").write_text("id,text\nx,red bird\ny,blue bird\nz,old house\n")
    (tmp_path / "interactions.csv").write_text("user,item,time\na,x,2500-01-01\na,y,1500-01-01\na,z,2024-05-31\n")
    assert load_items(tmp_path, n_features=2).examples.targets.tolist() == [2, 0]


def test_real_movielens_is_the_one_that_the_benchmarks_used(real):
    items = load_items(real("data/items/movielens_small"))
    assert len(items) == 9_742
    assert np.bincount(items.examples.split).tolist() == [80_730, 9_748, 9_748]
