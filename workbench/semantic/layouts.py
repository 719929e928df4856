"""Folders of items and interactions: our own, and MovieLens's and RecBole's as they are published.

Sources: the README files of ml-latest-small, ml-1m and ml-100k (GroupLens); RecBole's "atomic files".
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..checks import reading
from .tables import TABLES, expect_columns, read_table

ITEM, INTERACTION = ("id", "text"), ("user", "item", "time")  # our names of columns
MOVIELENS = {"id": "movieId", "user": "userId", "item": "movieId", "time": "timestamp"}
RECBOLE = {"id": "item_id", "user": "user_id:token", "item": "item_id:token", "time": "timestamp:float"}
RATINGS = ["userId", "movieId", "rating", "timestamp"]
GENRES = ["unknown", "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama"]
GENRES += ["Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"]


def _movielens(items: pd.DataFrame, folder: Path) -> pd.DataFrame:
    expect_columns(items, "movieId", "title", "genres")
    text = items["title"] + " " + items["genres"].str.replace("|", " ", regex=False)
    if (folder / "tags.csv").is_file():
        with reading(folder / "tags.csv", "a table of tags"):
            tags = read_table(folder / "tags.csv")
            expect_columns(tags, "movieId", "tag")
        text += " " + items["movieId"].map(tags.groupby("movieId")["tag"].agg(" ".join)).fillna("")
    return items.assign(text=text.str.strip())


def _movielens_100k(items: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Each genre has a column of 0 and 1."""
    flags = items[GENRES].eq("1").to_numpy()  # (n_items, 19)
    genres = [" ".join(name for name, has in zip(GENRES, row, strict=True) if has) for row in flags]
    text = (items["title"] + " " + genres).str.strip()
    return items[["movieId", "title", "release"]].assign(text=text)


def _recbole(items: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Each column is named with its type, as ``item_id:token``; tokens and their sequences are the text."""
    texts = [name for name in items if name.endswith((":token", ":token_seq")) and not name.startswith("item_id:")]
    text = items[texts].agg(" ".join, axis=1).str.strip()
    return items.rename(columns=lambda name: name.rsplit(":", 1)[0]).assign(text=text)


class Layout(NamedTuple):
    """Names of files and columns: of the items, and of the interactions."""

    items: tuple[str, ...]  # patterns, the first that fits counts
    interactions: tuple[str, ...]  # {stem}: that of the items' file
    names: Mapping[str, str]  # our names of columns to the files'
    seps: tuple[str, str]
    headers: tuple[list[str] | None, list[str] | None] = (None, None)  # for files without
    encoding: str = "utf-8-sig"
    with_text: Callable[[pd.DataFrame, Path], pd.DataFrame] = lambda items, folder: items


MOVIES_DAT = (["movieId", "title", "genres"], RATINGS)
U_ITEM = (["movieId", "title", "release", "video_release", "url", *GENRES], RATINGS)
PUBLISHED = (
    Layout(("movies.csv",), ("ratings.csv",), MOVIELENS, (",", ","), with_text=_movielens),
    Layout(("movies.dat",), ("ratings.dat",), MOVIELENS, ("::", "::"), MOVIES_DAT, "latin-1", _movielens),
    Layout(("u.item",), ("u.data",), MOVIELENS, ("|", "\t"), U_ITEM, "latin-1", _movielens_100k),
    Layout(("*.item",), ("{stem}.inter",), RECBOLE, ("\t", "\t"), with_text=_recbole),
)


def read_folder(
    folder: Path, columns: Mapping[str, str] | None = None, sep: str | None = None
) -> tuple[Path, pd.DataFrame, Path | None, pd.DataFrame | None]:
    """Read the items and the interactions of a folder, which is known by the names of its files.

    Returns the file of items and its table, and the file of interactions and its table, or None twice. Columns have
    the names of `ITEM` and `INTERACTION`; interactions may lack ``time``.
    """
    files = [tuple(f"{name}{ending}" for ending in TABLES) for name in ("items", "interactions")]
    own = Layout(files[0], files[1], columns or {}, (sep or ",", sep or ","))
    layouts = (own,) if columns or sep else (own, *PUBLISHED)
    found = ((layout, path) for layout in layouts if (path := _first(folder, layout.items)))
    layout, path = next(found, (own, None))
    if path is None:
        published = "what MovieLens (movies.csv, movies.dat, u.item) or RecBole (name.item) publish"
        nor = "; columns= and sep= need one" if columns or sep else f", nor {published}"
        raise FileNotFoundError(f"there is no items.csv or items.parquet in {folder}{nor}")
    with reading(path, "a table of items"):
        items = read_table(path, layout.seps[0], layout.headers[0], layout.encoding)
        items = _renamed(layout.with_text(items, folder), layout.names, ITEM)
    seen = _first(folder, [name.format(stem=path.stem) for name in layout.interactions])
    if seen is None:
        return path, items, None, None
    with reading(seen, "a table of interactions"):
        interactions = read_table(seen, layout.seps[1], layout.headers[1], layout.encoding)
        has_time = layout is own or layout.names["time"] in interactions
        return path, items, seen, _renamed(interactions, layout.names, INTERACTION if has_time else INTERACTION[:2])


def _first(folder: Path, patterns: Iterable[str]) -> Path | None:
    return next((path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()), None)


def _renamed(frame: pd.DataFrame, names: Mapping[str, str], ours: tuple[str, ...]) -> pd.DataFrame:
    """Give columns our names; another column that has one of them goes."""
    names = {theirs: name for name, theirs in names.items() if name in ours}
    expect_columns(frame, *names)
    taken = [name for theirs, name in names.items() if name in frame and name != theirs]
    return frame.drop(columns=taken).rename(columns=names)
