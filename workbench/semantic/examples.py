"""Examples for a two-tower model: a history, and the item that came next."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

TRAIN, VALID, TEST = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Examples:
    """Histories, and what came next."""

    history: "csr_matrix"  # (n_examples, n_seen) float32: what each example has seen before; every row sums to 1
    history_features: np.ndarray  # (n_seen, dim) float32: content features of the items, or of beginnings of texts
    targets: np.ndarray  # (n_examples,) int32: row of the item that came next
    split: np.ndarray  # (n_examples,) int8: TRAIN, VALID or TEST

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.targets)


def of_pairs(features: np.ndarray, random_state: int = 0) -> Examples:
    """Return one example for each row of features, (n, dim): its target is the item of the same row.

    A random tenth is for testing, another for validation.
    """
    from scipy.sparse import identity

    n = len(features)
    split = np.full(n, TRAIN, np.int8)
    drawn = np.random.default_rng(random_state).permutation(n)
    split[drawn[: n // 10]] = TEST
    split[drawn[n // 10 : 2 * (n // 10)]] = VALID
    return Examples(identity(n, np.float32, "csr"), features, np.arange(n, dtype=np.int32), split)


def of_interactions(
    users: np.ndarray, rows: np.ndarray, times: np.ndarray, features: np.ndarray, n_history: int
) -> Examples:
    """Return an example for each interaction of a user but the first: the items before it, and the item itself.

    Of a user's examples the last tenth is for testing, the tenth before for validation, at least one each where
    there are three and more. Histories may hold targets of earlier splits, as time has gone on.

    Parameters
    ----------
    users, rows, times : (n,) arrays
        Numbers of users, rows of items in `features`, and numbers or dates; of equal ones the order here decides.
    features : (n_items, dim) float32 array
    n_history : int
        Items in a history, at most: the last ones.
    """
    from scipy.sparse import csr_matrix

    order = np.lexsort((times, users))  # stable
    users, rows = users[order], rows[order]
    first = np.searchsorted(users, users)  # (n,), where each one's user begins
    place = np.arange(len(users)) - first  # (n,), interactions of the user before each one
    ends = np.flatnonzero(place > 0)  # (n_examples,)
    if not len(ends):
        raise ValueError(f"no user has two interactions, so nothing came next; {len(users)} interactions were read")
    lengths = np.minimum(place[ends], n_history)  # (n_examples,)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    within = np.arange(indptr[-1]) - np.repeat(indptr[:-1], lengths)  # place in the history
    seen = rows[np.repeat(ends - lengths, lengths) + within]
    weights = np.repeat(1 / lengths, lengths).astype(np.float32)
    history = csr_matrix((weights, seen.astype(np.int32), indptr), shape=(len(ends), len(features)))
    history.sum_duplicates()
    n = (np.searchsorted(users, users, side="right") - first - 1)[ends]  # (n_examples,), examples of the same user
    tenth = np.where(n >= 3, np.maximum(n // 10, 1), 0)
    left = n - place[ends] + 1  # examples of the user from this one to the last
    split = np.select([left <= tenth, left <= 2 * tenth], [TEST, VALID], TRAIN).astype(np.int8)
    return Examples(history, features, rows[ends].astype(np.int32), split)


def read_interactions(frame: "pd.DataFrame", row_of: dict[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return users, rows of items and times of a table with columns ``user``, ``item`` and perhaps ``time``."""
    import pandas as pd

    missing = [column for column in ("user", "item") if column not in frame]
    if missing:
        there = ", ".join(map(str, frame.columns))
        which = f"{', '.join(missing)} is not among {there}"
        raise ValueError(f'expected columns user, item and time; {which}; columns={{"user": ...}} renames them')
    if (frame["user"] == "").any():
        raise ValueError(f"row {(frame['user'] == '').to_numpy().argmax()} has no user")
    rows = frame["item"].map(row_of)
    unknown = frame["item"][rows.isna()]
    if len(unknown):
        few = ", ".join(map(repr, unknown.unique()[:5]))
        raise ValueError(
            f"{len(unknown):,} interactions are with {unknown.nunique():,} items that are not among the items, such as "
            f"{few} (row {unknown.index[0]}); add them there, or take their interactions out"
        )
    users, rows = pd.factorize(frame["user"])[0], rows.to_numpy(np.int64)
    if "time" not in frame:
        warnings.warn("the interactions have no column 'time': the order of their rows is used", stacklevel=2)
        return users, rows, np.arange(len(frame))
    times = pd.to_numeric(frame["time"], errors="coerce").replace([np.inf, -np.inf], np.nan)
    if times.notna().all():
        return users, rows, times.to_numpy()
    dates = pd.to_datetime(frame["time"], errors="coerce", utc=True, format="ISO8601")
    wrong = dates.isna() if dates.notna().sum() >= times.notna().sum() else times.isna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise ValueError(f"row {row}: time should be a number or a date like 2024-05-31, got {frame['time'][row]!r}")
    return users, rows, dates.to_numpy("datetime64[us]").astype(np.int64)  # nanoseconds would end in the year 2262
