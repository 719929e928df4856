"""`SemanticIDs`: a short list of codes for each item, and the codebooks that give them a meaning. Needs no torch."""

from collections.abc import Iterable, Iterator, Sequence
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..storage import Coded
from ..vectors import Vectors, check_finite, check_meta, summary_html
from ..vocab import Vocab, check_words, printable
from .checks import checked_items, checked_rows
from .tokens import parsed, token_strings

N_EXEMPLARS = 3
MAX_CODE = np.iinfo(np.int32).max


class SemanticIDs:
    """Codes of items, level by level: each level codes what the levels before it left over.

    Instances are immutable; their parameters are attributes, `items` and `names` as tuples.

    Parameters
    ----------
    items : sequence of str
        Without repeats.
    codes : (n_items, n_levels) array of whole numbers
        Kept as int32.
    codebooks : (n_levels - n_extra, codebook_size, dim) array, optional
        The entries that the codes pick, kept as float32. An item's decoded vector is the sum of its entries.
    names : sequence of str, optional
        How the items are shown; by default as in `items`.
    codebook_size : int, optional
        Entries of a level; by default that of `codebooks`, or the greatest code plus one.
    n_extra : int
        Number of last levels that only tell apart items of equal codes, see `disambiguated`. They have no
        codebook, and their codes may exceed `codebook_size`.
    meta : dict, optional
        How the ids were made, as JSON values; saved in ``.json`` and ``.safetensors`` files.

    Raises
    ------
    ValueError, TypeError
        If lengths or shapes disagree, an item is repeated, or a code is not from 0 to ``codebook_size - 1``.
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
        self.names = self.items if names is None else tuple(check_words(map(str, names), "name"))
        if len(self.names) != len(self.items):
            raise ValueError(f"expected a name for each of {len(self.items)} items, got {len(self.names)}")

        codes = np.asarray(codes)
        if codes.ndim != 2 or len(codes) != len(self.items) or not codes.shape[1] or codes.dtype.kind not in "iuf":
            expected = f"whole numbers of shape ({len(self.items)}, n_levels)"
            raise ValueError(f"expected codes as {expected}, got {codes.dtype} of shape {codes.shape}")
        n_levels = codes.shape[1]
        if not 0 <= n_extra < n_levels:
            raise ValueError(f"n_extra goes from 0 to {n_levels - 1}, as one level must have a meaning; got {n_extra}")
        n_coding = n_levels - index(n_extra)

        if codebooks is not None:
            codebooks = np.array(codebooks, np.float32)
            if codebooks.ndim != 3 or len(codebooks) != n_coding or 0 in codebooks.shape:
                raise ValueError(f"expected codebooks of shape ({n_coding}, codebook_size, dim), got {codebooks.shape}")
            for level, entries in enumerate(codebooks, 1):
                check_finite(entries, (), what=f"level {level}, entry")
            if codebook_size not in (None, codebooks.shape[1]):
                raise ValueError(f"codebook_size is {codebook_size}, the codebooks have {codebooks.shape[1]} entries")
            codebook_size = codebooks.shape[1]
            codebooks.setflags(write=False)

        highest = np.full(n_levels, MAX_CODE)
        highest[:n_coding] = MAX_CODE if codebook_size is None else index(codebook_size) - 1
        with np.errstate(invalid="ignore"):
            good = (codes >= 0) & (codes <= highest) & (codes == np.floor(codes))
        if not good.all():
            row, level = np.argwhere(~good)[0]
            raise ValueError(
                f"codes are whole numbers and go from 0 to {highest[level]}; item {printable(self.items[row])!r} "
                f"(row {row}) has {codes[row, level]} at level {level + 1}"
            )

        check_meta(meta or {})
        self.codes = codes.astype(np.int32)
        self.codes.setflags(write=False)
        self.codebooks = codebooks
        self.codebook_size = int(self.codes[:, :n_coding].max()) + 1 if codebook_size is None else int(codebook_size)
        self.n_extra = index(n_extra)
        self.meta = dict(meta or {})
        self._row_of = {item: row for row, item in enumerate(self.items)}

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
        """Return ids of vectors by residual k-means (Chen, Guan and Wang, 2010).

        Parameters
        ----------
        vectors : Vectors or (n_items, dim) array
            Fewer than `codebook_size` of them, or equal ones, give codebooks with repeated entries.
        items : sequence of str, optional
            By default the words of `vectors`, or for an array "0", "1", "2"...
        beam : int
            Sums kept from level to level, see `compress.RQ`. With 1 each level takes the nearest entry.
        random_state : int
            Seed of k-means.
        """
        from ..compress.rq import beam_codes, residual_kmeans

        if min(n_levels, codebook_size, beam) < 1:
            raise ValueError(f"expected at least 1, got {n_levels} levels of {codebook_size} entries, beam {beam}")
        if items is None and isinstance(vectors, Vectors):
            items = vectors.words
        rows = vectors.matrix() if isinstance(vectors, Vectors) else np.asarray(vectors)
        if not rows.ndim:
            raise TypeError(f"expected Vectors or an array (n_items, dim), got {type(vectors).__name__}")
        items = checked_items(map(str, range(len(rows))) if items is None else items)
        rows = checked_rows(rows, items)
        codebooks = residual_kmeans(rows, n_levels, codebook_size, random_state=random_state)
        codes = beam_codes(rows, codebooks, beam)
        meta = {"method": "residual k-means", "beam": beam, "random_state": random_state}
        return cls(items, codes, codebooks, names, meta=meta)

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
        """Return ids read from tokens, such as ``"<a_12><b_7><c_201>"`` or ``["<a_12>", "<b_7>", "<c_201>"]``.

        Tokens that do not parse, or have another number of levels, are refused with their row and item. The other
        parameters are those of `SemanticIDs`.
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
            ``{"0": ["<a_60>", "<b_159>", "<c_203>"], ...}`` is recognised by its content. Damaged files raise
            ValueError.
        codebook_size : int, optional
            For a file that does not say it (all but our own ``.json`` and ``.safetensors``).
        """
        from .id_files import load

        return load(path, codebook_size)

    def save(self, path: str | Path) -> Path:
        """Write to a file and return its path; a failed save leaves an older file whole.

        ``.json`` holds everything, to the bit. So does ``.safetensors``, which `workbench.load` opens as `Vectors`
        too; it needs codebooks of at most 256 entries. ``.csv`` and ``.parquet`` hold items, names, codes and tokens;
        ``.index.json`` items and tokens, as other systems publish them.
        """
        from .id_files import save

        return save(self, path)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)

    def __iter__(self) -> Iterator[str]:
        return iter(self.items)

    def __contains__(self, item: object) -> bool:
        return item in self._row_of

    def __getitem__(self, item: str) -> tuple[int, ...]:
        """Return the id of an item: its codes, including those of extra levels; KeyError if there is none."""
        return tuple(self.codes[self._rows([item])[0]].tolist())

    @property
    def n_levels(self) -> int:
        """Codes of an item, including those of extra levels."""
        return self.codes.shape[1]

    @property
    def dim(self) -> int | None:
        """Dimensions of a decoded vector; None without codebooks."""
        return None if self.codebooks is None else self.codebooks.shape[2]

    @property
    def beam(self) -> int:
        """Sums kept from level to level while coding, as `meta` says; by default 1."""
        beam = self.meta.get("beam", 1)
        if not isinstance(beam, int) or beam < 1:
            raise ValueError(f"the beam in meta must be a whole number of at least 1, got {beam!r}")
        return beam

    @property
    def coding(self) -> np.ndarray:
        """Codes of the levels that have a meaning: (n_items, n_levels - n_extra)."""
        return self.codes[:, : self.n_levels - self.n_extra]

    def _rows(self, items: Iterable[str]) -> np.ndarray:
        """Return rows of items, (n,) int64; refuse unknown ones with what to do."""
        if isinstance(items, str):
            raise TypeError(f"expected several items, got {items!r}")
        items = list(items)
        unknown = [item for item in items if item not in self._row_of]
        if not unknown:
            return np.array([self._row_of[item] for item in items], np.int64)
        shown = ", ".join(map(repr, unknown[:5])) + f" and {len(unknown) - 5} more" * (len(unknown) > 5)
        if unknown[0] in self.names:
            item = self.items[self.names.index(unknown[0])]
            raise KeyError(f"no item {shown}; {unknown[0]!r} is the name of item {item!r}, ask for that")
        some = ", ".join(repr(printable(item)) for item in self.items[:3])
        raise KeyError(f"no item {shown}; there are {len(self):,}, such as {some}, see .items")

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """Return the codes that other vectors, (n, dim), get by these codebooks: (n, n_levels - n_extra).

        As `from_vectors` codes them, with the same beam. Raises ValueError without codebooks.
        """
        from ..compress.rq import beam_codes

        codebooks = self._known_codebooks()
        rows = np.asarray(vectors)
        if rows.ndim != 2 or rows.shape[1] != self.dim or rows.dtype.kind not in "fiu":
            raise ValueError(f"expected numbers of shape (n, {self.dim}), got {rows.dtype} of shape {rows.shape}")
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32)
        check_finite(rows, ())
        return beam_codes(rows, codebooks, self.beam)

    def decode(self, items: Iterable[str] | None = None) -> np.ndarray:
        """Return the vectors of some items, or of all in order: the sums of their entries, (n, dim) float32.

        Raises KeyError if there is no such item, and ValueError without codebooks.
        """
        return self._decoded(self.coding if items is None else self.coding[self._rows(items)])

    def _decoded(self, codes: np.ndarray) -> np.ndarray:
        """Return sums of entries of the first levels, as many as `codes`, (n, <= n_levels), has: (n, dim) float32."""
        codebooks = self._known_codebooks()
        out = np.zeros((len(codes), codebooks.shape[2]), np.float32)
        for entries, chosen in zip(codebooks, codes.T, strict=False):
            out += entries[chosen]
        return out

    def _known_codebooks(self) -> np.ndarray:
        if self.codebooks is None:
            raise ValueError(
                "these ids have no codebooks, so nothing is known of vectors and distances; files that hold them are "
                ".json and .safetensors, and SemanticIDs(..., codebooks=...) takes them"
            )
        return self.codebooks

    def to_vectors(self) -> Vectors:
        """Return the decoded vectors as the word engine has them: coded, with the items as words.

        Extra levels are not part of a vector; they and the names are in its ``meta``. Codebooks are needed, of at
        most 256 entries.
        """
        storage = Coded.of_levels(self.coding, self._known_codebooks())
        about: dict[str, Any] = {"codebook_size": self.codebook_size, "meta": self.meta}
        if self.names is not self.items:
            about["names"] = list(self.names)
        if self.n_extra:
            about["extra"] = self.codes[:, -self.n_extra :].tolist()
        return Vectors(Vocab(list(self.items)), storage, {"semantic_ids": about})

    def with_prefix(self, prefix: Iterable[int]) -> list[str]:
        """Return items whose id begins with these codes, in order of `items`; none where no id does."""
        return [self.items[row] for row in self._rows_under(self._checked_prefix(prefix))]

    def prefixes(self, level: int, prefix: Iterable[int] = ()) -> pd.DataFrame:
        """Group the items whose id begins with `prefix` by their first `level` codes.

        Returns a DataFrame, the most populous first, ties in order of the codes. Columns ``prefix`` (a tuple),
        ``count``, ``share`` (of the items under `prefix`), ``exemplars``: names of up to three items, those nearest to
        the mean of the group's decoded vectors, or without codebooks the first ones.
        """
        prefix = self._checked_prefix(prefix)
        if not max(1, len(prefix)) <= level <= self.n_levels:
            raise ValueError(f"level goes from {max(1, len(prefix))} to {self.n_levels}, got {level}")
        rows = self._rows_under(prefix)
        rows = rows[np.lexsort(self.codes[rows].T[::-1])]  # (n,), sorted by their codes
        codes = self.codes[rows, :level]
        starts = _starts(codes)  # (n_groups,)
        counts = np.diff(starts, append=len(rows))
        group = np.repeat(np.arange(len(starts)), counts)  # (n,)
        keys = [rows, group]
        if self.codebooks is not None:
            vectors = self._decoded(self.coding[rows])  # (n, dim)
            means = np.add.reduceat(vectors, starts, axis=0) / counts[:, None].astype(np.float32)
            vectors -= means[group]
            keys.insert(1, np.einsum("nd,nd->n", vectors, vectors))
        typical = rows[np.lexsort(keys)]
        spans = zip(starts, starts + np.minimum(counts, N_EXEMPLARS), strict=True)
        frame = pd.DataFrame(
            {
                "prefix": list(map(tuple, codes[starts].tolist())),
                "count": counts,
                "share": counts / len(rows),
                "exemplars": [tuple(self.names[row] for row in typical[start:stop]) for start, stop in spans],
            }
        )
        return frame.sort_values("count", ascending=False, kind="stable", ignore_index=True)

    def nearest(self, query: str | Iterable[int], topn: int = 10, by: str = "prefix") -> pd.DataFrame:
        """Return items whose ids, or whose decoded vectors, are nearest to those of an item or of codes.

        Parameters
        ----------
        query : str, or codes
            An item, which is left out of the answer; or a whole id; or, by prefix, its beginning.
        by : {"prefix", "distance"}
            ``"prefix"`` sorts by how many levels are shared from the first on, then by distance;
            ``"distance"`` by that alone. Ties in order of `items`.

        Returns
        -------
        DataFrame
            Columns ``item``, ``name``, ``codes`` (a tuple), ``shared`` (levels) and ``distance`` (Euclidean, of
            decoded vectors; NaN without codebooks. Of a beginning: from the sum of its entries).
        """
        if by not in ("prefix", "distance"):
            raise ValueError(f"by is 'prefix' or 'distance', got {by!r}")
        rows = np.arange(len(self))
        if isinstance(query, str):
            own = self._rows([query])[0]
            codes, rows = self.codes[own], np.delete(rows, own)
        else:
            codes = np.array(self._checked_prefix(query), np.int64)
            n_coding = self.coding.shape[1]
            least = 1 if by == "prefix" else n_coding
            if len(codes) < least or codes.min() < 0 or codes[:n_coding].max() >= self.codebook_size:
                expected = f"an item, or at least {least} codes from 0 to {self.codebook_size - 1}"
                raise ValueError(f"expected {expected} to search by {by}, got {query}")
        shared = (self.codes[:, : len(codes)] == codes).cumprod(axis=1).sum(axis=1)  # (n_items,)
        if topn < 1:
            raise ValueError(f"expected topn >= 1, got {topn}")
        if by == "prefix" and topn < len(rows):  # the others need no decoding
            rows = rows[shared[rows] >= -np.partition(-shared[rows], topn - 1)[topn - 1]]
        distances = np.full(len(rows), np.nan, np.float32)
        if by == "distance" or self.codebooks is not None:
            distances = np.linalg.norm(self._decoded(self.coding[rows]) - self._decoded(codes[None]), axis=1)
        best = np.lexsort([distances] if by == "distance" else [distances, -shared[rows]])[:topn]
        rows = rows[best]
        return pd.DataFrame(
            {
                "item": pd.Series([self.items[row] for row in rows], dtype=object),
                "name": pd.Series([self.names[row] for row in rows], dtype=object),
                "codes": list(map(tuple, self.codes[rows].tolist())),
                "shared": shared[rows],
                "distance": distances[best],
            }
        )

    def _rows_under(self, prefix: tuple[int, ...]) -> np.ndarray:
        return np.flatnonzero((self.codes[:, : len(prefix)] == prefix).all(axis=1))

    def _checked_prefix(self, prefix: Iterable[int]) -> tuple[int, ...]:
        codes = tuple(index(code) for code in prefix)
        if len(codes) > self.n_levels:
            raise ValueError(f"there are {self.n_levels} levels, got {len(codes)} codes: {codes}")
        return codes

    def collisions(self) -> pd.DataFrame:
        """Group items that have the same id, extra levels included.

        Returns a DataFrame, the largest group first, ties in order of the codes: ``codes`` (a tuple), ``count``,
        ``items`` and ``names`` (tuples, in order of the items). Empty where every id is unique.
        """
        rows = np.lexsort(self.codes.T[::-1])  # sorted by their codes, ties in order of the items
        groups = [group for group in np.split(rows, _starts(self.codes[rows])[1:]) if len(group) > 1]
        groups.sort(key=len, reverse=True)
        return pd.DataFrame(
            {
                "codes": [tuple(self.codes[group[0]].tolist()) for group in groups],
                "count": np.array([len(group) for group in groups], np.int64),
                "items": [tuple(self.items[row] for row in group) for group in groups],
                "names": [tuple(self.names[row] for row in group) for group in groups],
            }
        )

    @property
    def n_unique(self) -> int:
        """Number of different ids."""
        return len(pd.DataFrame(self.codes).drop_duplicates())

    def disambiguated(self) -> "SemanticIDs":
        """Return ids with one more level, which counts 0, 1, 2... among items of equal ids, in order of the items.

        As in TIGER (Rajput et al., 2023). Where every id is unique already, these ids, without the level.
        """
        if self.n_unique == len(self):
            return self
        level = pd.DataFrame(self.codes).groupby(list(range(self.n_levels))).cumcount()
        codes, names = np.column_stack([self.codes, level]), None if self.names is self.items else self.names
        return SemanticIDs(self.items, codes, self.codebooks, names, self.codebook_size, self.n_extra + 1, self.meta)

    def tokens(self) -> list[str]:
        """Return the ids as other systems write them, such as ``"<a_12><b_7><c_201>"``; extra levels too."""
        return token_strings(self.codes)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each item: ``id``, ``name``, ``code_1``, ``code_2``..., ``extra_1``..., ``tokens``."""
        labels = [f"code_{level}" for level in range(1, self.coding.shape[1] + 1)]
        labels += [f"extra_{level}" for level in range(1, self.n_extra + 1)]
        codes = dict(zip(labels, self.codes.T, strict=True))
        shown = {"id": pd.Series(self.items, dtype=object), "name": pd.Series(self.names, dtype=object)}
        return pd.DataFrame({**shown, **codes, "tokens": pd.Series(self.tokens(), dtype=object)})

    def describe(self) -> list[tuple[str, str]]:
        """Return a summary: pairs of label and value."""
        extra = f" and {self.n_extra} to tell equal ids apart" if self.n_extra else ""
        rows = [
            ("items", f"{len(self):,}"),
            ("levels", f"{self.coding.shape[1]} x {self.codebook_size}{extra}"),
            ("codebooks", "none" if self.codebooks is None else f"{self.dim} dimensions"),
            ("different ids", f"{self.n_unique:,} ({self.n_unique / len(self):.1%} of the items)"),
        ]
        return [*rows, ("made by", str(self.meta["method"]))] if "method" in self.meta else rows

    def __repr__(self) -> str:
        return f"SemanticIDs({', '.join(f'{label}: {value}' for label, value in self.describe())})"

    def _repr_html_(self) -> str:
        few = token_strings(self.codes[:3])
        rows = self.describe() + [(printable(name), id_) for name, id_ in zip(self.names, few, strict=False)]
        return summary_html("Semantic IDs", rows)


def _starts(codes: np.ndarray) -> np.ndarray:
    """Return where groups of equal rows of sorted codes, (n, n_levels), begin: (n_groups,) int64."""
    return np.flatnonzero(np.diff(codes, axis=0, prepend=-1).any(axis=1))
