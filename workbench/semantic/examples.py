"""What a two-tower model learns from: what somebody has seen, and which item came next."""

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
    """Bags of what was seen, and what came next.

    Attributes
    ----------
    bags : (n_examples, n_things) csr_matrix of float32
        What each example has seen before; every row sums to 1.
    things : (n_things, dim) float32 array
        Content features of what is in the bags.
    targets : (n_examples,) int32 array
        Row of the item that came next.
    split : (n_examples,) int8 array
        `TRAIN`, `VALID` or `TEST`.
    """

    bags: "csr_matrix"
    things: np.ndarray
    targets: np.ndarray
    split: np.ndarray

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.targets)


def of_pairs(things: np.ndarray, random_state: int = 0) -> Examples:
    """Each thing asks for the item of its own row; a tenth are for testing, a tenth for validation, by lot.

    Parameters
    ----------
    things : (n, dim) float32 array
    random_state : int
        Seed of the split.
    """
    from scipy.sparse import identity

    n = len(things)
    split = np.full(n, TRAIN, np.int8)
    drawn = np.random.default_rng(random_state).permutation(n)
    split[drawn[: n // 10]] = TEST
    split[drawn[n // 10 : 2 * (n // 10)]] = VALID
    return Examples(identity(n, np.float32, "csr"), things, np.arange(n, dtype=np.int32), split)


def of_interactions(
    users: np.ndarray, rows: np.ndarray, times: np.ndarray, features: np.ndarray, n_history: int
) -> Examples:
    """For each user, in order of time, the items seen before (the last `n_history` of them) and the next one.

    A user's first has nothing before it and is no example. Of a user's examples the last tenth is for
    testing, the tenth before for validation, at least one each where there are three and more; the
    others are for training. Bags may hold what earlier splits ask for, as time has gone on.

    Parameters
    ----------
    users : (n,) int array
        Numbers of the users.
    rows : (n,) int array
        Rows of the items in `features`.
    times : (n,) array
        Numbers or dates; of equal ones the order here decides.
    features : (n_items, dim) float32 array
    n_history : int

    Raises
    ------
    ValueError
        If no user has two interactions.
    """
    from scipy.sparse import csr_matrix

    order = np.lexsort((times, users))  # stable
    users, rows = users[order], rows[order]
    first = np.searchsorted(users, users)  # (n,), where each one's user begins
    place = np.arange(len(users)) - first  # (n,), how many a user had before
    ends = np.flatnonzero(place > 0)  # (n_examples,)
    if not len(ends):
        raise ValueError(f"no user has two interactions, so nothing came next; {len(users)} interactions were read")
    lengths = np.minimum(place[ends], n_history)  # (n_examples,)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    within = np.arange(indptr[-1]) - np.repeat(indptr[:-1], lengths)  # place in the bag
    seen = rows[np.repeat(ends - lengths, lengths) + within]
    weights = np.repeat(1 / lengths, lengths).astype(np.float32)
    bags = csr_matrix((weights, seen.astype(np.int32), indptr), shape=(len(ends), len(features)))
    bags.sum_duplicates()
    n_of_user = np.searchsorted(users, users, side="right") - first - 1  # (n,), examples of each one's user
    split = _by_time(place[ends] - 1, n_of_user[ends])
    return Examples(bags, features, rows[ends].astype(np.int32), split)


def _by_time(place: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Splits of examples by their place among the `n` of their user: (n_examples,) int8."""
    tenth = np.where(n >= 3, np.maximum(n // 10, 1), 0)
    left = n - place  # examples from this one to the last
    return np.select([left <= tenth, left <= 2 * tenth], [TEST, VALID], TRAIN).astype(np.int8)


def read_interactions(frame: "pd.DataFrame", row_of: dict[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users, rows of items and times of a table with columns ``user``, ``item`` and ``time``.

    Without a column ``time`` the order of the rows counts, with a warning.

    Raises
    ------
    ValueError
        If a column is missing, a time is neither number nor date, or an item is unknown.
    """
    import pandas as pd

    missing = [column for column in ("user", "item") if column not in frame]
    if missing:
        there = ", ".join(map(str, frame.columns))
        raise ValueError(
            f"expected columns user, item and time; {', '.join(missing)} is not among {there}; "
            'columns={"user": ...} says what they are called'
        )
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
    if "time" not in frame:
        warnings.warn("the interactions have no column 'time': the order of their rows is taken for it", stacklevel=2)
    times = _times(frame["time"]) if "time" in frame else np.arange(len(frame))
    return pd.factorize(frame["user"])[0], rows.to_numpy(np.int64), times


def _times(column: "pd.Series") -> np.ndarray:
    """As numbers, or as dates: (n,) float64 or int64."""
    import pandas as pd

    times = pd.to_numeric(column, errors="coerce").replace([np.inf, -np.inf], np.nan)
    if times.isna().any():
        dates = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
        wrong = dates.isna() if dates.notna().sum() >= times.notna().sum() else times.isna()
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise ValueError(f"row {row}: time should be a number or a date like 2024-05-31, got {column[row]!r}")
        return dates.to_numpy("datetime64[us]").astype(np.int64)  # nanoseconds would end in the year 2262
    return times.to_numpy()
