"""How folders of items and interactions are laid out: our own, MovieLens's and RecBole's, as they are published.

A layout is known by its files. Each is read into two tables with our names of columns: items with ``id``, ``text``
and whatever else there is, and interactions with ``user``, ``item`` and, where it is known, ``time``.

Sources: the README files of ml-latest-small, ml-1m and ml-100k (GroupLens); RecBole's "atomic files".
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .tables import ENDINGS, naming, read_table

if TYPE_CHECKING:
    import pandas as pd

ITEM, PERSON = ("id", "text"), ("user", "item", "time")
GENRES_OF_100K = ["unknown", "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama"]
GENRES_OF_100K += ["Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War"]
GENRES_OF_100K += ["Western"]
Tables = tuple[Path, "pd.DataFrame", Path | None, "pd.DataFrame | None"]


def read_folder(folder: Path, columns: Mapping[str, str] | None = None, sep: str | None = None) -> Tables:
    """Read the items and the interactions of a folder.

    Parameters
    ----------
    folder : Path
    columns : mapping of our names of columns to the folder's, optional
        Such as ``{"user": "userId"}``; for folders with ``items`` and ``interactions``.
    sep : str, optional
        What stands between the cells of such a folder's files, instead of a comma.

    Returns
    -------
    The file of items and its table; the file of interactions and its table, or None twice.

    Raises
    ------
    FileNotFoundError, ValueError
        If no layout fits, or a column is not there.
    """
    own = _first(folder, [f"items{ending}" for ending in ENDINGS])
    if own is not None:
        return _own(folder, own, dict(columns or {}), sep)
    if columns or sep:
        raise FileNotFoundError(f"columns= and sep= are for folders with items.csv; there is none in {folder}")
    for known in (_movielens_csv, _movielens_dat, _movielens_100k, _recbole):
        found = known(folder)
        if found is not None:
            return found
    raise FileNotFoundError(
        f"there is no items.csv or items.parquet in {folder}, nor what MovieLens (movies.csv, movies.dat, u.item) or "
        "RecBole (name.item) publish"
    )


def _first(folder: Path, names: list[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _own(folder: Path, path: Path, columns: dict[str, str], sep: str | None) -> Tables:
    unknown = sorted(set(columns) - {*ITEM, *PERSON})
    if unknown:
        raise ValueError(f"columns= names {', '.join(unknown)}; expected some of {', '.join((*ITEM, *PERSON))}")
    seen = _first(folder, [f"interactions{ending}" for ending in ENDINGS])
    with naming(path):
        items = _renamed(read_table(path, sep), {k: v for k, v in columns.items() if k in ITEM})
    if seen is None:
        return path, items, None, None
    with naming(seen):
        return path, items, seen, _renamed(read_table(seen, sep), {k: v for k, v in columns.items() if k in PERSON})


def _renamed(frame: "pd.DataFrame", columns: dict[str, str]) -> "pd.DataFrame":
    missing = [name for name in columns.values() if name not in frame]
    if missing:
        there = ", ".join(map(str, frame.columns))
        raise ValueError(f"there is no column {', '.join(map(repr, missing))} among {there}; see columns=")
    ours = {theirs: ours for ours, theirs in columns.items() if theirs != ours}
    return frame.drop(columns=[name for name in ours.values() if name in frame]).rename(columns=ours)


def _movielens_csv(folder: Path) -> Tables | None:
    path, seen, tagged = (folder / name for name in ("movies.csv", "ratings.csv", "tags.csv"))
    if not path.is_file():
        return None
    with naming(path):
        items = _renamed(read_table(path), {"id": "movieId"})
        _expect(items, "title", "genres")
    about = items["title"] + " " + items["genres"].str.replace("|", " ", regex=False)
    if tagged.is_file():
        with naming(tagged):
            tags = read_table(tagged)
            _expect(tags, "movieId", "tag")
        about += " " + items["id"].map(tags.groupby("movieId")["tag"].agg(" ".join)).fillna("")
    if not seen.is_file():
        return path, items.assign(text=about.str.strip()), None, None
    with naming(seen):
        ratings = _renamed(read_table(seen), {"user": "userId", "item": "movieId", "time": "timestamp"})
    return path, items.assign(text=about.str.strip()), seen, ratings


def _movielens_dat(folder: Path) -> Tables | None:
    path, seen = folder / "movies.dat", folder / "ratings.dat"
    if not path.is_file():
        return None
    with naming(path):
        items = read_table(path, "::", ["id", "title", "genres"], encoding="latin-1")
    items["text"] = items["title"] + " " + items["genres"].str.replace("|", " ", regex=False)
    if not seen.is_file():
        return path, items, None, None
    with naming(seen):
        return path, items, seen, read_table(seen, "::", ["user", "item", "rating", "time"], encoding="latin-1")


def _movielens_100k(folder: Path) -> Tables | None:
    path, seen = folder / "u.item", folder / "u.data"
    if not path.is_file():
        return None
    names = ["id", "title", "release", "video_release", "url", *GENRES_OF_100K]
    with naming(path):
        items = read_table(path, "|", names, encoding="latin-1")
    flags = items[GENRES_OF_100K].eq("1").to_numpy()  # (n_items, 19)
    genres = [" ".join(name for name, has in zip(GENRES_OF_100K, row, strict=True) if has) for row in flags]
    items = items[["id", "title", "release"]].assign(text=(items["title"] + " " + genres).str.strip())
    if not seen.is_file():
        return path, items, None, None
    with naming(seen):
        return path, items, seen, read_table(seen, "\t", ["user", "item", "rating", "time"])


def _recbole(folder: Path) -> Tables | None:
    """Tab-separated, each column named with its type, as ``user_id:token``; tokens and their sequences are the text."""
    paths = sorted(folder.glob("*.item"))
    if not paths:
        return None
    path, seen = paths[0], paths[0].with_suffix(".inter")
    with naming(path):
        items = read_table(path, "\t")
        texts = [name for name in items if name.endswith((":token_seq", ":token")) and not name.startswith("item_id:")]
        text = items[texts].agg(" ".join, axis=1).str.strip()
        items = _renamed(_untyped(items), {"id": "item_id"}).assign(text=text)
    if not seen.is_file():
        return path, items, None, None
    with naming(seen):
        inter = _untyped(read_table(seen, "\t"))
        names = {"user": "user_id", "item": "item_id", "time": "timestamp"}
        return path, items, seen, _renamed(inter, {k: v for k, v in names.items() if k != "time" or v in inter})


def _untyped(frame: "pd.DataFrame") -> "pd.DataFrame":
    return frame.rename(columns=lambda name: str(name).rsplit(":", 1)[0])


def _expect(frame: "pd.DataFrame", *names: str) -> None:
    missing = [name for name in names if name not in frame]
    if missing:
        raise ValueError(f"expected columns {', '.join(names)}, got {', '.join(map(str, frame.columns))}")
