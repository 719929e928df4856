"""Results of an experiment: each arm's numbers beside the lower and the upper baseline, and its ids."""

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
METRICS = {"log_loss": "log-loss", "recall": "recall@10", "ndcg": "NDCG@10"}


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of one arm with one seed."""

    name: str
    seed: int
    arm: "Arm | None"  # None for what was not trained
    test: "Scores"  # the test split is read once, with the model that validation chose
    valid: float = float("nan")  # log-loss of that model on the validation split, in nats
    step: int = 0  # of that model
    curves: Sequence[dict] = ()  # see `Trainer`
    codes: np.ndarray | None = None  # (n_items, n_levels) int
    codebooks: np.ndarray | None = None  # (n_levels, codebook_size, dim) float32
    encoded: np.ndarray | None = None  # (n_items, dim) float32, the vectors that codes stand for


class Results:
    """Outcomes of arms with several seeds, side by side."""

    def __init__(self, items: Items):
        self.items = items
        self.outcomes: list[Outcome] = []
        self.looks: dict[tuple[str, int], Sequence[dict]] = {}  # by arm and seed, while they are trained too

    def _repr_html_(self) -> str:
        return "" if not self.outcomes else self.table()._repr_html_()

    def has(self, name: str, seed: int) -> bool:
        """Return True if there is an outcome of this arm with this seed."""
        return any((outcome.name, outcome.seed) == (name, seed) for outcome in self.outcomes)

    def names(self, coded: bool = False) -> list[str]:
        """Return the names of all outcomes, or of those with codes."""
        return list(dict.fromkeys(o.name for o in self.outcomes if o.codes is not None or not coded))

    def outcome(self, name: str, seed: int | None = None) -> Outcome:
        """Return one outcome; by default that of the first seed."""
        for outcome in self.outcomes:
            if outcome.name == name and seed in (None, outcome.seed):
                return outcome
        raise KeyError(f"there is no outcome of {name!r} with seed {seed}; there are {', '.join(self.names())}")

    def ids(self, name: str, seed: int | None = None) -> SemanticIDs:
        """Return the semantic ids of an arm, or of a baseline with codes; by default those of the first seed."""
        outcome = self.outcome(name, seed)
        if outcome.codes is None or outcome.codebooks is None:
            able = ", ".join(map(repr, self.names(coded=True)))
            raise ValueError(f"{name!r} makes no codes; those that do are {able}")
        meta = {"arm": name, "seed": outcome.seed}
        return SemanticIDs(self.items.ids, outcome.codes, outcome.codebooks, names=self.items.names, meta=meta)

    def by_seed(self) -> "pd.DataFrame":
        """Return each outcome's numbers on the test split: a row for each arm, seed and metric.

        ``arm``, ``seed``, ``metric`` (log_loss in nats, recall and ndcg at 10), ``value``, ``retained`` (of the way
        from that seed's lower to its upper value), ``valid`` (log-loss), ``step``, ``n`` (test examples).
        """
        import pandas as pd

        rows = []
        for o in self.outcomes:
            lower, upper = (self.outcome(name, o.seed).test for name in (LOWER_NAME, UPPER_NAME))
            for metric in METRICS:
                value = getattr(o.test, metric)
                kept = retained(value, getattr(lower, metric), getattr(upper, metric))
                rows.append([o.name, o.seed, metric, value, kept, o.valid, o.step, o.test.n])
        return pd.DataFrame(rows, columns=["arm", "seed", "metric", "value", "retained", "valid", "step", "n"])

    def table(self) -> "pd.DataFrame":
        """Return means over seeds: a row for each arm and metric.

        ``arm``, ``metric``, ``value``, ``retained``, ``low`` and ``high`` (its 95% interval over seeds; nan with one),
        ``n_seeds``, ``valid``, ``use``: the smallest share of a level's entries that some item has.
        """
        import pandas as pd

        use: dict[str, float] = {}
        for o in self.outcomes:
            if o.codes is not None and o.codebooks is not None:
                shares = [len(np.unique(level)) / o.codebooks.shape[1] for level in o.codes.T]
                use[o.name] = min([*shares, use.get(o.name, 1.0)])
        rows = []
        for (arm, metric), group in self.by_seed().groupby(["arm", "metric"], sort=False):
            kept = group["retained"]
            low, high = seed_interval(kept.to_numpy())
            means = group["value"].mean(), kept.mean(), low, high, len(group), group["valid"].mean()
            rows.append([arm, metric, *means, use.get(arm, np.nan)])
        names = ["arm", "metric", "value", "retained", "low", "high", "n_seeds", "valid", "use"]
        return pd.DataFrame(rows, columns=names)

    def chosen(self, n_levels: int | None = None) -> str:
        """Return the arm with the smallest mean log-loss in validation; of those with so many levels, if given."""
        valid: dict[str, list[float]] = {}
        for o in self.outcomes:
            if o.arm is not None and o.arm.estimator is not None and n_levels in (None, o.arm.n_levels):
                valid.setdefault(o.name, []).append(o.valid)
        if not valid:
            raise ValueError(f"no arm with {'any' if n_levels is None else n_levels} levels has been trained")
        return min(valid, key=lambda name: np.mean(valid[name]))

    def curves(self) -> "pd.DataFrame":
        """Return all validation curves so far: ``arm``, ``seed``, and the columns of `Trainer.curves`."""
        import pandas as pd

        looks = self.looks.items()
        return pd.DataFrame([{"arm": arm, "seed": seed, **row} for (arm, seed), rows in looks for row in rows])


def retained(model: float, lower: float, upper: float) -> float:
    """Return the share of the way from the lower to the upper baseline that a model keeps; nan where they are equal."""
    return (model - lower) / (upper - lower) if upper != lower else float("nan")


def seed_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95% interval of a mean over seeds, by Student's t; nan for one seed."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return float("nan"), float("nan")
    half = t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5
    return float(values.mean() - half), float(values.mean() + half)


def kept_text(row: "pd.Series") -> str:
    """Return the share that is kept, with its interval over seeds where there is one."""
    text = "\N{EN DASH}" if np.isnan(row["retained"]) else f"{row['retained']:.1%}"
    return f"{text} ({100 * row['low']:.1f} to {100 * row['high']:.1f})" if row["low"] < row["high"] else text


def chosen_text(table: "pd.DataFrame", chosen: str) -> str:
    """Return which arm validation chose and what it keeps, with a warning where shares mean nothing."""
    rows, values = table[table["arm"] == chosen].set_index("metric"), table.pivot(columns="arm", index="metric").value
    shares = ", ".join(f"{kept_text(rows.loc[metric])} by {name}" for metric, name in METRICS.items())
    text = f"Validation chose {chosen}. On the test split it keeps, of what content adds to popularity: {shares}."
    gains = values[UPPER_NAME] - values[LOWER_NAME]
    gains["log_loss"] *= -1  # of which less is better
    if poor := " and ".join(name for metric, name in METRICS.items() if not gains[metric] > 0):
        text += f" By {poor} the model without a bottleneck is no better than popularity: such shares mean nothing."
    return text
