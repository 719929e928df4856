"""`SemanticIDs`: a short list of codes for each item, and what the codes stand for. Works without torch."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from operator import index as whole
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..storage import BLOCK, Coded, pack_codes
from ..vectors import Vectors, check_meta
from ..vocab import Vocab, printable
from .checks import check_text, checked_codebooks, checked_codes, checked_items, checked_rows
from .tables import as_objects, summary_html
from .tokens import parsed, token_strings

if TYPE_CHECKING:
    import pandas as pd

N_EXEMPLARS = 3
MOST_ENTRIES = 256  # of a level, in a `Coded` storage


class SemanticIDs:
    """Codes of items, level by level: what a level leaves over of an item, the next one codes.

    Instances are not changed after they are made.

    Parameters
    ----------
    items : sequence of str
        What the ids are of; without repeats.
    codes : (n_items, n_levels) array of whole numbers
    codebooks : (n_levels - n_extra, codebook_size, dim) array, optional
        The entries that the codes name. An item's decoded vector is the sum of its entries.
    names : sequence of str, optional
        How the items are called where they are shown; without it, as in `items`.
    codebook_size : int, optional
        Entries of a level; without it as many as `codebooks` has, or one more than the greatest code.
    n_extra : int
        The last levels that only tell apart items of equal codes, see `disambiguated`. They have no
        codebook, and any code from 0 may stand in them.
    meta : dict, optional
        What is known of their making, as JSON values; travels in ``.json`` and ``.safetensors`` files.

    Raises
    ------
    ValueError, TypeError
        If lengths or shapes disagree, an item is repeated, or a code is no whole number from 0 to
        ``codebook_size - 1`` (the item is named).

    Attributes
    ----------
    items, names : tuple of str
    codes : (n_items, n_levels) int32 array, read-only
    codebooks : (n_levels - n_extra, codebook_size, dim) float32 array, read-only, or None
    codebook_size, n_extra : int
    meta : dict
    """

    def __init__(
        self,
        items: Sequence[str],
        codes: np.ndarray,
        codebooks: np.ndarray | None = None,
        names: Sequence[str] | None = None,
        codebook_size: int | None = None,
        n_extra: int = 0,
        meta: dict | None = None,
    ):
        self.items = checked_items(items)
        self.names = self.items if names is None else tuple(str(name) for name in names)
        if len(self.names) != len(self.items):
            raise ValueError(f"expected a name for each of {len(self.items)} items, got {len(self.names)}")
        for row, name in enumerate(self.names):
            check_text(name, row)
        self.codes = checked_codes(codes, self.items)
        if not 0 <= n_extra < self.n_levels:
            raise ValueError(
                f"n_extra goes from 0 to {self.n_levels - 1}, as one level must have a meaning; got {n_extra}"
            )
        self.n_extra = whole(n_extra)
        self.codebooks = None if codebooks is None else checked_codebooks(codebooks, self.n_levels - n_extra)
        if codebook_size is None:
            codebook_size = int(self._coding.max()) + 1 if self.codebooks is None else self.codebooks.shape[1]
        if self.codebooks is not None and self.codebooks.shape[1] != codebook_size:
            raise ValueError(f"codebook_size is {codebook_size}, the codebooks have {self.codebooks.shape[1]} entries")
        self.codebook_size = int(codebook_size)
        self._check_range()
        check_meta(meta or {})
        self.meta = dict(meta or {})

    @classmethod
    def from_vectors(
        cls,
        vectors: Vectors | np.ndarray,
        n_levels: int = 3,
        codebook_size: int = 256,
        *,
        items: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        beam: int = 1,
        random_state: int = 0,
    ) -> "SemanticIDs":
        """Ids of vectors by residual k-means (Chen, Guan and Wang, 2010).

        Parameters
        ----------
        vectors : Vectors or (n_items, dim) array
            Fewer than `codebook_size` of them, or equal ones, give codebooks with repeated entries.
        n_levels, codebook_size : int
        items : sequence of str, optional
            Without it, the words of `vectors`, or of an array "0", "1", "2"...
        names : sequence of str, optional
        beam : int
            Sums kept from level to level, see `compress.RQ`. With 1 each level takes the nearest entry.
        random_state : int
            Seed of k-means.
        """
        from ..compress.rq import beam_codes, residual_kmeans

        if min(n_levels, codebook_size, beam) < 1:
            raise ValueError(f"expected at least 1, got {n_levels} levels of {codebook_size} entries, beam {beam}")
        rows = vectors.matrix() if isinstance(vectors, Vectors) else np.asarray(vectors)
        if not rows.ndim:
            raise TypeError(f"expected Vectors or an array (n_items, dim), got {type(vectors).__name__}")
        if items is None:
            items = vectors.words if isinstance(vectors, Vectors) else [str(row) for row in range(len(rows))]
        rows = checked_rows(rows, checked_items(items))
        codebooks = residual_kmeans(rows, n_levels, codebook_size, random_state=random_state)
        codes = beam_codes(rows, codebooks, beam)
        made = {"method": "residual k-means", "beam": beam, "random_state": random_state}
        return cls(items, codes, codebooks, names, meta=made)

    @classmethod
    def from_tokens(
        cls,
        items: Sequence[str],
        tokens: Sequence[str | Sequence[str]],
        *,
        names: Sequence[str] | None = None,
        codebook_size: int | None = None,
        n_extra: int = 0,
    ) -> "SemanticIDs":
        """Ids from token strings.

        Parameters
        ----------
        items : sequence of str
        tokens : sequence of str, or of lists of str
            Such as ``"<a_12><b_7><c_201>"`` or ``["<a_12>", "<b_7>", "<c_201>"]``.
        names, codebook_size, n_extra
            See `SemanticIDs`.

        Raises
        ------
        ValueError
            At the first that does not parse, or has another number of levels; its row and item are named.
        """
        items = checked_items(items)
        return cls(items, parsed(items, tokens), None, names, codebook_size, n_extra)

    @classmethod
    def load(cls, path: str | Path, codebook_size: int | None = None) -> "SemanticIDs":
        """Read a file that `save` wrote, or another system's ``*.index.json``.

        Parameters
        ----------
        path : path
            By its ending: ``.csv`` or ``.parquet`` (columns ``id`` and ``code_1``, ``code_2``... or
            ``tokens``, and perhaps ``name``), ``.json``, ``.safetensors``. The published JSON form
            ``{"0": ["<a_60>", "<b_159>", "<c_203>"], ...}`` is known by its content.
        codebook_size : int, optional
            Of a file that does not say it (all but our own ``.json`` and ``.safetensors``).

        Raises
        ------
        ValueError
            If the file is damaged, or something in it is no id; its row is named.
        """
        from .id_files import load

        return load(path, codebook_size)

    def save(self, path: str | Path) -> Path:
        """Write to a file; one that is there stays whole until the new one is.

        Parameters
        ----------
        path : path
            ``.json`` holds everything, to the bit. So does ``.safetensors``, which `workbench.load` opens as
            `Vectors` too; it needs codebooks of at most 256 entries. ``.csv`` and ``.parquet`` hold items,
            names, codes and tokens; ``.index.json`` items and tokens, as other systems publish them.

        Returns
        -------
        Path
            Where the file is.
        """
        from .id_files import save

        return save(self, path)

    # -- what it is -----------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and copied: nothing that was computed on the way."""
        return {key: x for key, x in vars(self).items() if not isinstance(getattr(type(self), key, 0), cached_property)}

    def __len__(self) -> int:
        """Number of items."""
        return len(self.items)

    def __iter__(self) -> Iterator[str]:
        """The items, in order."""
        return iter(self.items)

    def __contains__(self, item: object) -> bool:
        """Whether there is an id of this item."""
        return item in self._row_of

    def __getitem__(self, item: str) -> tuple[int, ...]:
        """The id of an item: its codes, those of extra levels too.

        Raises
        ------
        KeyError
            If there is no such item.
        """
        return tuple(self.codes[self._rows([item])[0]].tolist())

    @property
    def n_levels(self) -> int:
        """Codes an item, those of extra levels too."""
        return self.codes.shape[1]

    @property
    def dim(self) -> int | None:
        """Dimensions of a decoded vector; None without codebooks."""
        return None if self.codebooks is None else self.codebooks.shape[2]

    @property
    def _coding(self) -> np.ndarray:
        """Codes of the levels that have a meaning: (n_items, n_levels - n_extra)."""
        return self.codes[:, : self.n_levels - self.n_extra]

    def _check_range(self) -> None:
        row, level = np.unravel_index(self._coding.argmax(), self._coding.shape)
        if self._coding[row, level] >= self.codebook_size:
            raise ValueError(
                f"codes of {self.codebook_size} entries go from 0 to {self.codebook_size - 1}; "
                f"item {printable(self.items[row])!r} (row {row}) has {self._coding[row, level]} at level {level + 1}"
            )

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {item: row for row, item in enumerate(self.items)}

    def _rows(self, items: Iterable[str]) -> np.ndarray:
        """Rows of items: (n,) int64."""
        if isinstance(items, str) or not isinstance(items, Iterable):
            raise TypeError(f"expected several items, got {items!r}")
        items = list(items)
        unknown = [item for item in items if item not in self._row_of]
        if unknown:
            raise KeyError(self._no_such(unknown))
        return np.array([self._row_of[item] for item in items], np.int64)

    def _no_such(self, unknown: list[str]) -> str:
        """What to say of items that are not here, and what to do."""
        shown = ", ".join(repr(item) for item in unknown[:5]) + (f" and {len(unknown) - 5} more" * (len(unknown) > 5))
        if unknown[0] in self.names:
            item = self.items[self.names.index(unknown[0])]
            return f"no item {shown}; {unknown[0]!r} is the name of item {item!r}, ask for that"
        some = ", ".join(repr(printable(item)) for item in self.items[:3])
        return f"no item {shown}; there are {len(self):,}, such as {some}, see .items"

    # -- vectors --------------------------------------------------------------------------

    def decode(self, items: Iterable[str] | None = None) -> np.ndarray:
        """Sums of the entries that the codes name: (n, dim) float32.

        Parameters
        ----------
        items : iterable of str, optional
            Without it, all in order.

        Raises
        ------
        KeyError
            If there is no such item.
        ValueError
            If there are no codebooks.
        """
        return self._decoded(self._coding if items is None else self._coding[self._rows(items)])

    def _decoded(self, codes: np.ndarray) -> np.ndarray:
        """Sums of entries of the first levels, as many as there are codes: (n, dim) float32."""
        if self.codebooks is None:
            raise ValueError(
                "these ids have no codebooks, so nothing is known of distances; files that hold them are "
                ".json and .safetensors, and SemanticIDs(..., codebooks=...) takes them"
            )
        out = np.zeros((len(codes), self.codebooks.shape[2]), np.float32)
        for start in range(0, len(codes), BLOCK):
            part = slice(start, start + BLOCK)
            for entries, chosen in zip(self.codebooks, codes[part].T, strict=False):
                out[part] += entries[chosen]
        return out

    def to_vectors(self) -> Vectors:
        """The decoded vectors as the word engine has them, with the items for words; coded as here.

        Extra levels are not part of a vector; they and the names are in its ``meta``.

        Raises
        ------
        ValueError
            If there are no codebooks, or with more than 256 entries a level.
        """
        if self.codebooks is None:
            raise ValueError("these ids have no codebooks; vectors need them")
        about: dict[str, Any] = {"codebook_size": self.codebook_size, "meta": self.meta}
        if self.names is not self.items:
            about["names"] = list(self.names)
        if self.n_extra:
            about["extra"] = self.codes[:, -self.n_extra :].tolist()
        return Vectors(Vocab(list(self.items)), coded(self._coding, self.codebooks), {"semantic_ids": about})

    # -- search ---------------------------------------------------------------------------

    @cached_property
    def _order(self) -> np.ndarray:
        """Rows sorted by their codes, ties in order of the items: (n_items,) int64."""
        return np.lexsort(self.codes.T[::-1])

    @cached_property
    def _sorted(self) -> np.ndarray:
        """Codes level by level, in `_order`: (n_levels, n_items) int32."""
        return np.ascontiguousarray(self.codes[self._order].T)

    def _span(self, prefix: Iterable[int]) -> tuple[int, int]:
        """Where items with this prefix begin and end in `_order`."""
        first, last = 0, len(self)
        for codes, code in zip(self._sorted, self._checked_prefix(prefix), strict=False):
            inside = codes[first:last]
            first, last = (first + int(np.searchsorted(inside, code, side)) for side in ("left", "right"))
        return first, last

    def _checked_prefix(self, prefix: Iterable[int]) -> tuple[int, ...]:
        if isinstance(prefix, str) or not isinstance(prefix, Iterable):
            raise TypeError(f"expected codes such as (12, 7), got {prefix!r}")
        codes = tuple(whole(code) for code in prefix)
        if len(codes) > self.n_levels:
            raise ValueError(f"there are {self.n_levels} levels, got {len(codes)} codes: {codes}")
        return codes

    def with_prefix(self, prefix: Iterable[int]) -> list[str]:
        """Items whose id begins with these codes, in order of `items`; none where no id does."""
        first, last = self._span(prefix)
        return [self.items[row] for row in np.sort(self._order[first:last])]

    def prefixes(self, level: int, prefix: Iterable[int] = ()) -> "pd.DataFrame":
        """Groups of the items whose id begins with `prefix`, by their first `level` codes.

        Parameters
        ----------
        level : int
            How many codes a group shares; from 1, and at least as many as are in `prefix`.
        prefix : codes, optional

        Returns
        -------
        DataFrame
            The most populous first, ties in order of the codes. Columns ``prefix`` (a tuple), ``count``,
            ``share`` (of the items under `prefix`), ``exemplars``: names of up to three items, those nearest to
            the mean of the group's decoded vectors, or without codebooks the first ones.
        """
        import pandas as pd

        prefix = self._checked_prefix(prefix)
        if not max(1, len(prefix)) <= level <= self.n_levels:
            raise ValueError(f"level goes from {max(1, len(prefix))} to {self.n_levels}, got {level}")
        first, last = self._span(prefix)
        rows, codes = self._order[first:last], self._sorted[:level, first:last]  # (n,), (level, n)
        if not len(rows):
            return pd.DataFrame({"prefix": [], "count": [], "share": [], "exemplars": []})
        starts = _starts(codes)
        counts = np.diff(starts, append=len(rows))
        best = self._exemplars(rows, starts, counts)
        frame = pd.DataFrame(
            {
                "prefix": list(map(tuple, codes[:, starts].T.tolist())),
                "count": counts,
                "share": counts / len(rows),
                "exemplars": best,
            }
        )
        return frame.sort_values("count", ascending=False, kind="stable", ignore_index=True)

    def _exemplars(self, rows: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> list[tuple[str, ...]]:
        """Names of a few items of each group of rows, which lie one behind the other."""
        group = np.repeat(np.arange(len(starts)), counts)  # (n,)
        keys = [rows, group]
        if self.codebooks is not None:
            vectors = self._decoded(self._coding[rows])  # (n, dim)
            means = np.add.reduceat(vectors, starts, axis=0) / counts[:, None].astype(np.float32)
            vectors -= means[group]
            keys.insert(1, np.einsum("nd,nd->n", vectors, vectors))
        rows = rows[np.lexsort(keys)]
        return [
            tuple(self.names[row] for row in rows[start : start + min(count, N_EXEMPLARS)])
            for start, count in zip(starts, counts, strict=True)
        ]

    def nearest(self, query: str | Iterable[int], topn: int = 10, by: str = "prefix") -> "pd.DataFrame":
        """Items whose ids, or whose decoded vectors, are nearest to those of an item or of codes.

        Parameters
        ----------
        query : str, or codes
            An item, which is not in the answer; or a whole id; or, by prefix, its beginning.
        topn : int
        by : {"prefix", "distance"}
            ``"prefix"`` sorts by how many levels are shared from the first on, then by distance;
            ``"distance"`` by that alone. Ties in order of `items`.

        Returns
        -------
        DataFrame
            Columns ``item``, ``name``, ``codes`` (a tuple), ``shared`` (levels) and ``distance`` (Euclidean, of
            decoded vectors; NaN without codebooks. Of a beginning: from the sum of its entries).
        """
        import pandas as pd

        if by not in ("prefix", "distance"):
            raise ValueError(f"by is 'prefix' or 'distance', got {by!r}")
        if topn < 1:
            raise ValueError(f"expected topn >= 1, got {topn}")
        codes, own = self._query(query, by)
        shared = (self.codes[:, : len(codes)] == codes).cumprod(axis=1).sum(axis=1)  # (n_items,)
        rows = np.delete(np.arange(len(self)), own)
        if by == "prefix" and topn < len(rows):  # others cannot be among the best
            least = np.partition(shared[rows], len(rows) - topn)[len(rows) - topn]
            rows = rows[shared[rows] >= least]
        distances = np.full(len(rows), np.nan, np.float32)
        if by == "distance" or self.codebooks is not None:
            distances = np.linalg.norm(self._decoded(self._coding[rows]) - self._decoded(codes[None]), axis=1)
        keys = (distances,) if by == "distance" else (distances, -shared[rows])
        best = np.lexsort(keys)[:topn]
        rows = rows[best]
        return pd.DataFrame(
            {
                "item": as_objects([self.items[row] for row in rows]),
                "name": as_objects([self.names[row] for row in rows]),
                "codes": list(map(tuple, self.codes[rows].tolist())),
                "shared": shared[rows],
                "distance": distances[best],
            }
        )

    def _query(self, query: str | Iterable[int], by: str) -> tuple[np.ndarray, list[int]]:
        """Codes to search for, (n,), and the row of the item they are of, if they are one's."""
        if isinstance(query, str):
            row = int(self._rows([query])[0])
            return self.codes[row], [row]
        codes = self._checked_prefix(query)
        least = 1 if by == "prefix" else self.n_levels - self.n_extra
        if len(codes) < least:
            raise ValueError(f"expected an item or at least {least} codes to search by {by}, got {codes}")
        meant = codes[: self.n_levels - self.n_extra]
        if min(codes) < 0 or max(meant) >= self.codebook_size:
            raise ValueError(f"codes go from 0 to {self.codebook_size - 1}, got {codes}")
        return np.array(codes, np.int64), []

    # -- equal ids ------------------------------------------------------------------------

    def collisions(self) -> "pd.DataFrame":
        """Groups of items that have one id in common, all levels counted.

        Returns
        -------
        DataFrame
            The largest group first, ties in order of the codes: ``codes`` (a tuple), ``count``, ``items`` and
            ``names`` (tuples, in order of the items). Empty where every id is unique.
        """
        import pandas as pd

        starts = _starts(self._sorted)
        counts = np.diff(starts, append=len(self))
        several = np.flatnonzero(counts > 1)
        several = several[np.argsort(-counts[several], kind="stable")]
        groups = [self._order[starts[group] : starts[group] + counts[group]] for group in several]
        return pd.DataFrame(
            {
                "codes": list(map(tuple, self._sorted[:, starts[several]].T.tolist())),
                "count": counts[several],
                "items": [tuple(self.items[row] for row in rows) for rows in groups],
                "names": [tuple(self.names[row] for row in rows) for rows in groups],
            }
        )

    @cached_property
    def n_unique(self) -> int:
        """How many different ids there are."""
        return len(_starts(self._sorted))

    def disambiguated(self) -> "SemanticIDs":
        """Ids with one more level, which counts 0, 1, 2... among items of equal ids, in order of the items.

        As in TIGER (Rajput et al., 2023). Where every id is unique already, these ids, without the level.
        """
        if self.n_unique == len(self):
            return self
        starts = _starts(self._sorted)
        places = np.arange(len(self)) - np.repeat(starts, np.diff(starts, append=len(self)))
        level = np.empty((len(self), 1), np.int32)
        level[self._order, 0] = places
        codes, names = np.hstack([self.codes, level]), None if self.names is self.items else self.names
        return SemanticIDs(self.items, codes, self.codebooks, names, self.codebook_size, self.n_extra + 1, self.meta)

    # -- as text and tables ---------------------------------------------------------------

    def tokens(self) -> list[str]:
        """The ids as other systems write them, such as ``"<a_12><b_7><c_201>"``; extra levels too."""
        return token_strings(self.codes)

    def to_frame(self) -> "pd.DataFrame":
        """One row for each item: ``id``, ``name``, ``code_1``, ``code_2``..., ``extra_1``..., ``tokens``."""
        import pandas as pd

        n_coding = self.n_levels - self.n_extra
        labels = [f"code_{i + 1}" for i in range(n_coding)] + [f"extra_{i + 1}" for i in range(self.n_extra)]
        codes = dict(zip(labels, self.codes.T, strict=True))
        shown = {"id": as_objects(self.items), "name": as_objects(self.names)}
        return pd.DataFrame({**shown, **codes, "tokens": as_objects(self.tokens())})

    def describe(self) -> list[tuple[str, str]]:
        """What there is to know at a glance: pairs of label and value."""
        levels = f"{self.n_levels - self.n_extra} x {self.codebook_size}"
        rows = [
            ("items", f"{len(self):,}"),
            ("levels", levels + (f" and {self.n_extra} to tell equal ids apart" if self.n_extra else "")),
            ("codebooks", "none" if self.codebooks is None else f"{self.dim} dimensions"),
            ("different ids", f"{self.n_unique:,} ({self.n_unique / len(self):.1%} of the items)"),
        ]
        if "method" in self.meta:
            rows.append(("made by", str(self.meta["method"])))
        return rows

    def __repr__(self) -> str:
        return f"SemanticIDs({', '.join(f'{label}: {value}' for label, value in self.describe())})"

    def _repr_html_(self) -> str:
        few = token_strings(self.codes[:3])
        rows = self.describe() + [(printable(name), id_) for name, id_ in zip(self.names, few, strict=False)]
        return summary_html("Semantic IDs", rows)


def coded(codes: np.ndarray, codebooks: np.ndarray) -> Coded:
    """Residual codes as a storage of the word engine: a row is the sum of its entries.

    Parameters
    ----------
    codes : (n, n_levels) array of ints
    codebooks : (n_levels, n_entries, dim) float32 array

    Raises
    ------
    ValueError
        With more than 256 entries a level.
    """
    n_levels, n_entries, dim = codebooks.shape
    if n_entries > MOST_ENTRIES:
        raise ValueError(
            f"a Coded storage has at most {MOST_ENTRIES} entries a level, got {n_entries}: use more levels instead"
        )
    n_bits = max(1, (n_entries - 1).bit_length())
    side_by_side = np.zeros((2**n_bits, n_levels * dim), np.float32)
    side_by_side[:n_entries] = codebooks.transpose(1, 0, 2).reshape(n_entries, -1)
    spans = np.tile(np.array([[0, dim]], np.int32), (n_levels, 1))
    return Coded(pack_codes(codes.astype(np.uint8), n_bits), side_by_side, spans, dim, n_bits)


def _starts(codes: np.ndarray) -> np.ndarray:
    """Where groups of equal columns of sorted codes, (n_levels, n), begin: (n_groups,) int64."""
    changed = (codes[:, 1:] != codes[:, :-1]).any(axis=0)
    return np.concatenate([[0], np.flatnonzero(changed) + 1])
