"""What came out of an experiment: each arm's numbers beside the lower and the upper baseline, and its ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .ids import SemanticIDs
from .items import Items

if TYPE_CHECKING:
    import pandas as pd

    from .judge import Scores
    from .settings import Arm

LOWER_NAME, UPPER_NAME = "lower: no content", "upper: no bottleneck"
METRICS = ("log_loss", "recall", "ndcg")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came out of one arm with one seed.

    Attributes
    ----------
    name : str
    seed : int
    arm : Arm or None
        None for what was not trained.
    test : Scores
        The test split is read once, with the model that validation chose.
    valid : float
        Log-loss of that model on the validation split, in nats; nan for what had no choice.
    step : int
        Of that model.
    curves : list of dict
        See `Trainer`.
    codes : (n_items, n_levels) int array, or None
    codebooks : (n_levels, codebook_size, dim) float32 array, or None
    encoded : (n_items, dim) float32 array, or None
        The vectors that codes stand for.
    """

    name: str
    seed: int
    arm: "Arm | None"
    test: "Scores"
    valid: float = float("nan")
    step: int = 0
    curves: Sequence[dict] = ()
    codes: np.ndarray | None = None
    codebooks: np.ndarray | None = None
    encoded: np.ndarray | None = None


class Results:
    """Outcomes of arms with several seeds, side by side.

    Parameters
    ----------
    items : Items
    """

    def __init__(self, items: Items):
        self.items = items
        self.outcomes: list[Outcome] = []

    def has(self, name: str, seed: int) -> bool:
        """Whether there is an outcome of this arm with this seed."""
        return any((outcome.name, outcome.seed) == (name, seed) for outcome in self.outcomes)

    def _repr_html_(self) -> str:
        return "" if not self.outcomes else self.table()._repr_html_()

    def ids(self, name: str, seed: int | None = None) -> SemanticIDs:
        """The semantic ids that an arm gives the items.

        Parameters
        ----------
        name : str
            Of an arm, or of a baseline with codes.
        seed : int, optional
            By default the first.
        """
        outcome = self.outcome(name, seed)
        if outcome.codes is None or outcome.codebooks is None:
            able = ", ".join(map(repr, self.names(coded=True)))
            raise ValueError(f"{name!r} makes no codes; those that do are {able}")
        meta = {"arm": name, "seed": outcome.seed}
        return SemanticIDs(self.items.ids, outcome.codes, outcome.codebooks, names=self.items.names, meta=meta)

    def outcome(self, name: str, seed: int | None = None) -> Outcome:
        """One outcome; by default of the first seed."""
        found = [o for o in self.outcomes if o.name == name and seed in (None, o.seed)]
        if not found:
            raise KeyError(f"there is no outcome of {name!r} with seed {seed}; there are {', '.join(self.names())}")
        return found[0]

    def names(self, coded: bool = False) -> list[str]:
        """Of what has outcomes; of those with codes alone, if so wished."""
        return list(dict.fromkeys(o.name for o in self.outcomes if o.codes is not None or not coded))

    def by_seed(self) -> "pd.DataFrame":
        """Each outcome's numbers on the test split, a row for each arm, seed and metric.

        Returns
        -------
        DataFrame
            ``arm``, ``seed``, ``metric`` (log_loss in nats, recall and ndcg at 10), ``value``, ``retained`` (of the
            way from that seed's lower to its upper value), ``valid`` (log-loss), ``step``, ``n`` (test examples).
        """
        import pandas as pd

        ends = {(o.name, o.seed): o.test for o in self.outcomes if o.name in (LOWER_NAME, UPPER_NAME)}
        rows = []
        for o in self.outcomes:
            lower, upper = ends[LOWER_NAME, o.seed], ends[UPPER_NAME, o.seed]
            for metric in METRICS:
                value = getattr(o.test, metric)
                kept = retained(value, getattr(lower, metric), getattr(upper, metric))
                rows.append([o.name, o.seed, metric, value, kept, o.valid, o.step, o.test.n])
        return pd.DataFrame(rows, columns=["arm", "seed", "metric", "value", "retained", "valid", "step", "n"])

    def table(self) -> "pd.DataFrame":
        """Means over seeds: a row for each arm and metric.

        Returns
        -------
        DataFrame
            ``arm``, ``metric``, ``value``, ``retained`` with its 95% interval over seeds, ``low`` and ``high``
            (Student's t; nan with one seed), ``n_seeds``, ``valid``, ``use`` (the least over the levels and seeds).
        """
        import pandas as pd

        rows = []
        for (arm, metric), group in self.by_seed().groupby(["arm", "metric"], sort=False):
            low, high = seed_interval(group["retained"].to_numpy())
            use = min((least_use(o) for o in self.outcomes if o.name == arm and o.codes is not None), default=np.nan)
            mean = group["retained"].mean()
            rows.append([arm, metric, group["value"].mean(), mean, low, high, len(group), group["valid"].mean(), use])
        names = ["arm", "metric", "value", "retained", "low", "high", "n_seeds", "valid", "use"]
        return pd.DataFrame(rows, columns=names)

    def chosen(self, n_levels: int | None = None) -> str:
        """The arm with the least log-loss on the validation split, over all seeds; of those with so many levels."""
        valid = {
            name: np.mean([o.valid for o in self.outcomes if o.name == name])
            for name, arm in {o.name: o.arm for o in self.outcomes if o.arm is not None}.items()
            if arm.estimator is not None and n_levels in (None, arm.n_levels)
        }
        if not valid:
            raise ValueError(f"no arm with {'any' if n_levels is None else n_levels} levels has been trained")
        return min(valid, key=lambda name: valid[name])

    def curves(self) -> "pd.DataFrame":
        """What each trained model's validation said: ``arm``, ``seed``, and the columns of `Trainer.curves`."""
        import pandas as pd

        return pd.DataFrame([{"arm": o.name, "seed": o.seed, **row} for o in self.outcomes for row in o.curves])


def retained(model: float, lower: float, upper: float) -> float:
    """Share of the way from the lower to the upper baseline that a model keeps; nan where they are the same."""
    return (model - lower) / (upper - lower) if upper != lower else float("nan")


def least_use(outcome: Outcome) -> float:
    """Share of a level's entries that some item has, of the level where it is least."""
    assert outcome.codes is not None
    assert outcome.codebooks is not None
    return min(len(np.unique(level)) for level in outcome.codes.T) / outcome.codebooks.shape[1]


def seed_interval(values: np.ndarray) -> tuple[float, float]:
    """95% interval of a mean over seeds, by Student's t."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return float("nan"), float("nan")
    half = t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5
    return float(values.mean() - half), float(values.mean() + half)
