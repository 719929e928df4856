"""Static figures and tables of a training: curves of all arms on one time axis, and what each arm keeps."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from ..semantic.results import LOWER_NAME, METRICS, UPPER_NAME
from .figures import BLUE, GREY, Picture, as_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"log_loss": "log-loss", "recall": "recall@10", "ndcg": "NDCG@10"}
PANELS = {  # from top to bottom, with the share of the height
    "log_loss": ("validation log-loss (nats)", 3.0),
    "use": ("codes in use (share)", 2.0),
    "tau": ("temperature \N{GREEK SMALL LETTER TAU} (no unit)", 1.3),
    "resets": ("codes reset so far", 1.3),
}
WARM = "warm-up"  # what an `Experiment` calls the steps that all arms of a seed share
LEAST_SHOWN = -20.0  # % retained; less would leave no room for what matters
NO_USE, NO_TAU = "no bottleneck is in use yet", "no arm here has a temperature"


class Line(NamedTuple):
    """How a line is drawn.

    Attributes
    ----------
    colour : str
    dashes : tuple of float
        Lengths on and off, in widths of the line; empty for a whole line.
    """

    colour: str
    dashes: tuple[float, ...] = ()

    @property
    def style(self) -> Any:
        """As matplotlib has it."""
        return (0, self.dashes) if self.dashes else "-"

    @property
    def dash(self) -> str:
        """As plotly has it, in pixels of a line two wide."""
        return ",".join(f"{2 * part:g}px" for part in self.dashes) or "solid"


DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2), (9, 2), (3, 1, 1, 1, 1, 1))
# Okabe and Ito's that can be seen on white and on black, each with dashes of its own.
LINES = tuple(map(Line, ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"), DASHES))
ENDS = {UPPER_NAME: Line("#808080"), LOWER_NAME: Line("#808080", (1, 2))}


def arm_lines(arms: Iterable[str]) -> dict[str, Line]:
    """Each arm's line; those of the two ends are grey."""
    others = [arm for arm in dict.fromkeys(arms) if arm not in ENDS]
    return {UPPER_NAME: ENDS[UPPER_NAME]} | {arm: LINES[i % len(LINES)] for i, arm in enumerate(others)}


def level_lines(n_levels: int) -> list[Line]:
    """A line for each level, dark to light; all of them can be seen on white and on black."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0.35, 0.75, n_levels))
    return [Line(to_hex(shade), DASHES[i % len(DASHES)]) for i, shade in enumerate(shades)]


# -- tables of curves ---------------------------------------------------------------------


def joined(looks: Iterable[tuple[str, int, dict]]) -> pd.DataFrame:
    """Curves as `Results.curves` has them, of looks as an `Experiment` tells of them.

    What all arms of a seed share is told once, as the warm-up; here it is the upper model's, which has
    no bottleneck either, and the last of it is where each arm begins.

    Parameters
    ----------
    looks : iterable of name, seed and row
        In any order; of two looks at the same step the last counts.
    """
    rows = {(name, seed, row["step"]): row for name, seed, row in looks}
    ends: dict[int, int] = {}
    for name, seed, step in rows:
        if name == WARM:
            ends[seed] = max(step, ends.get(seed, 0))
    whole = {(UPPER_NAME if name == WARM else name, *rest): row for (name, *rest), row in rows.items()}
    for arm, seed in {(name, seed) for name, seed, _ in rows if name != WARM}:
        if seed in ends:
            whole.setdefault((arm, seed, ends[seed]), rows[WARM, seed, ends[seed]])
    order = {name: place for place, name in enumerate(dict.fromkeys(name for name, *_ in whole))}
    keys = sorted(whole, key=lambda key: (order[key[0]], *key[1:]))
    return pd.DataFrame([{"arm": arm, "seed": seed, **whole[arm, seed, step]} for arm, seed, step in keys])


def uses(curves: pd.DataFrame) -> list[str]:
    """Columns of the levels' use, those first that come first."""
    return sorted((c for c in curves.columns if c.startswith("use_")), key=lambda c: int(c.removeprefix("use_")))


def mean_over_seeds(curves: pd.DataFrame, arm: str) -> pd.DataFrame:
    """An arm's mean over seeds, by step; of an arm with a bottleneck from the end of the warm-up on."""
    own = _squeezed(curves[curves["arm"] == arm])
    return own.drop(columns=["arm", "seed"]).groupby("step", as_index=False).mean()


def own_of(curves: pd.DataFrame, arm: str, seed: int) -> pd.DataFrame:
    """An arm's curve with one seed, as `mean_over_seeds` has it."""
    return _squeezed(curves[(curves["arm"] == arm) & (curves["seed"] == seed)])


def _squeezed(own: pd.DataFrame) -> pd.DataFrame:
    """Without what an arm shares with the others, but for the last of it, where its own begins."""
    if not uses(own):
        return own
    shared = own[own[uses(own)].isna().all(axis=1)]
    if len(shared) == len(own):  # the upper model's
        return own
    return own[own["step"] >= shared["step"].max()] if len(shared) else own


def end_of_warmup(curves: pd.DataFrame) -> int | None:
    """The last step of which the curves say that no arm with a bottleneck used it."""
    shared = [_shared_end(own) for arm, own in curves.groupby("arm") if arm not in ENDS]
    return max((step for step in shared if step is not None), default=None)


def _shared_end(own: pd.DataFrame) -> int | None:
    shared = own[own[uses(own)].isna().all(axis=1)] if uses(own) else own
    return int(shared["step"].max()) if 0 < len(shared) < len(own) else None


def best_arm(curves: pd.DataFrame) -> str:
    """The arm with a bottleneck whose curve goes lowest once it is used, in the mean over seeds; empty without one."""
    if not uses(curves):
        return ""
    used = curves[curves[uses(curves)].notna().any(axis=1)]
    least = used.groupby(["arm", "seed"], sort=False)["log_loss"].min().groupby("arm", sort=False).mean()
    return str(least.idxmin()) if len(least) else ""


def with_temperature(curves: pd.DataFrame) -> list[str]:
    """Arms whose temperature changes."""
    return [str(arm) for arm, own in curves.groupby("arm", sort=False) if own["tau"].nunique() > 1]


# -- figures ------------------------------------------------------------------------------


def curves_figure(
    curves: pd.DataFrame,
    arm: str = "",
    n_warmup: int | None = None,
    lower: float | None = None,
    tempered: Collection[str] | None = None,
) -> Picture:
    """Training of all arms on one time axis: log-loss, use of codes, temperature, resets.

    Parameters
    ----------
    curves : DataFrame
        From `Results.curves`.
    arm : str
        Whose codes are shown; by default the best one's in validation.
    n_warmup : int, optional
        Where the warm-up ended; by default as far as the curves tell.
    lower : float, optional
        Validation log-loss without content, in nats.
    tempered : collection of str, optional
        Arms that have a temperature; by default those whose temperature changes.
    """
    if curves.empty:
        raise ValueError("there are no curves yet: train first")
    arm = arm or best_arm(curves)
    tempered = with_temperature(curves) if tempered is None else tempered
    n_warmup = end_of_warmup(curves) if n_warmup is None else n_warmup
    figure = Picture(figsize=(9.5, 8.2), layout="constrained")
    heights = [height for _, height in PANELS.values()]
    axes = dict(zip(PANELS, figure.subplots(len(PANELS), 1, sharex=True, height_ratios=heights), strict=True))
    lines = {name: line for name, line in arm_lines(curves["arm"]).items() if (curves["arm"] == name).any()}
    for name, line in lines.items():
        _draw_arm(axes, curves, name, line, name in tempered)
    _draw_use(axes["use"], curves, arm)
    if lower is not None:
        axes["log_loss"].axhline(lower, color=GREY, linestyle=ENDS[LOWER_NAME].style, linewidth=1.5)
        lines[LOWER_NAME] = ENDS[LOWER_NAME]
    _dress(axes, n_warmup, any(name in tempered for name in lines))
    handles = [_handle(as_text(name), line) for name, line in lines.items()]
    axes["log_loss"].legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return figure


def _handle(name: str, line: Line) -> Line2D:
    return Line2D([], [], color=line.colour, linestyle=line.style, linewidth=2, label=name)


def _draw_arm(axes: "dict[str, Axes]", curves: pd.DataFrame, arm: str, line: Line, has_tau: bool) -> None:
    """An arm's own lines: thin for each seed where there are several, bold for the mean."""
    mean = mean_over_seeds(curves, arm)
    style = {"color": line.colour, "linestyle": line.style, "linewidth": 2}
    seeds = curves.loc[curves["arm"] == arm, "seed"].unique()
    for seed in seeds if len(seeds) > 1 else ():
        own = own_of(curves, arm, seed)
        axes["log_loss"].plot(own["step"], own["log_loss"], color=line.colour, linewidth=0.7, alpha=0.55)
    axes["log_loss"].plot(mean["step"], mean["log_loss"], **style)
    if arm != UPPER_NAME:
        axes["resets"].plot(mean["step"], mean["resets"], drawstyle="steps-post", **style)
    if has_tau:
        axes["tau"].plot(mean["step"], mean["tau"], **style)


def _draw_use(axis: "Axes", curves: pd.DataFrame, arm: str) -> None:
    columns = uses(curves)
    if not arm or not columns:
        axis.text(0.5, 0.5, NO_USE, ha="center", va="center", color=GREY, transform=axis.transAxes)
        return
    mean = mean_over_seeds(curves, arm)
    columns = [column for column in columns if column in mean and mean[column].notna().any()]
    for column, line in zip(columns, level_lines(len(columns)), strict=True):
        axis.plot(
            mean["step"], mean[column], color=line.colour, linestyle=line.style, linewidth=2,
            label=f"level {column.removeprefix('use_')}",
        )  # fmt: skip
    axis.legend(
        title=as_text(f"codes of {arm}"), loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9,
        ncols=2 if len(columns) > 4 else 1,
    )  # fmt: skip


def _dress(axes: "dict[str, Axes]", n_warmup: int | None, has_tau: bool) -> None:
    for name, axis in axes.items():
        axis.set_ylabel(PANELS[name][0].replace(" (", "\n("))
        axis.spines[["top", "right"]].set_visible(False)
        if n_warmup:
            axis.axvline(n_warmup, color=GREY, linewidth=1)
    axes["use"].set_ylim(0, 1.05)
    axes["resets"].set_ylim(0, max(axes["resets"].get_ylim()[1], 1))
    axes["resets"].set_xlabel("step of the optimiser")
    if n_warmup:
        axes["log_loss"].annotate(
            "end of the warm-up", (n_warmup, 1), (0, 2), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="bottom", color=GREY, fontsize=9,
        )  # fmt: skip
    if not has_tau:
        axes["tau"].text(0.5, 0.5, NO_TAU, ha="center", va="center", color=GREY, transform=axes["tau"].transAxes)
        axes["tau"].set_yticks([])


def retained_figure(table: pd.DataFrame) -> Picture:
    """What each arm keeps of the way from the lower to the upper model, by three measures.

    Parameters
    ----------
    table : DataFrame
        From `Results.table`.
    """
    names = ranked(table)[::-1]
    figure = Picture(figsize=(11, 1.6 + 0.33 * max(len(names), 2)), layout=ConstrainedLayoutEngine(w_pad=0.12))
    axes = figure.subplots(1, len(METRICS), sharey=True, squeeze=False)[0]
    for axis, metric in zip(axes, METRICS, strict=True):
        rows = table[table["metric"] == metric].set_index("arm")
        for place, name in enumerate(names):
            _draw_kept(axis, place, rows.loc[name])
        low, high = axis.get_xlim()
        axis.set_xlim(max(min(low, -3), LEAST_SHOWN - 3), max(high, 108))
        for share, text in ((0, "lower"), (100, "upper")):
            axis.axvline(share, color=GREY, linewidth=1, linestyle=":" if share == 0 else "-")
            axis.annotate(text, (share, 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
                          ha="center", va="bottom", color=GREY, fontsize=9)  # fmt: skip
        axis.set(xlabel=f"{NAMES[metric]} retained (%)", ylim=(-0.6, max(len(names), 1) - 0.4))
        axis.grid(axis="x", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(names)), [as_text(name) for name in names])
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=colour, markerfacecolor=fill, label=text)
        for marker, colour, fill, text in (
            ("o", BLUE, BLUE, "trained with its bottleneck"),
            ("D", GREY, "white", "codes after the fact"),
        )
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw_kept(axis: "Axes", place: int, row: pd.Series) -> None:
    """A dot with its interval over seeds; hollow for what was not trained. One far off is drawn at the edge."""
    trained = not np.isnan(row["valid"])
    marker, colour = ("o", BLUE) if trained else ("D", GREY)
    fill = colour if trained else "white"
    share = 100 * row["retained"]
    axis.hlines(place, 100 * row["low"], 100 * row["high"], color=colour, linewidth=1.5)
    axis.plot(max(share, LEAST_SHOWN), place, marker=marker, color=colour, markerfacecolor=fill)
    if share < LEAST_SHOWN:
        text = f"\N{LEFTWARDS ARROW} {share:.0f}%"
        axis.annotate(text, (LEAST_SHOWN, place), (7, 0), textcoords="offset points", va="center", fontsize=9)


def ranked(table: pd.DataFrame) -> list[str]:
    """What stands between the two ends, the arm that keeps most of the log-loss first."""
    rows = table[(table["metric"] == "log_loss") & ~table["arm"].isin(ENDS)]
    return list(rows.sort_values("retained", ascending=False, kind="stable")["arm"])


# -- words --------------------------------------------------------------------------------


def retained_html(table: pd.DataFrame, chosen: str = "") -> str:
    """What each arm keeps, as a table for reading; the one that validation chose is bold."""
    rows = [_retained_row(table, name, name == chosen) for name in (UPPER_NAME, *ranked(table), LOWER_NAME)]
    measures = "".join(
        f"<th>{NAMES[metric]}{' (nats)' * (metric == 'log_loss')}</th><th>kept</th>" for metric in METRICS
    )
    head = f"<tr><th>model</th>{measures}<th>least use of a level</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _retained_row(table: pd.DataFrame, name: str, is_chosen: bool) -> str:
    rows = table[table["arm"] == name].set_index("metric")
    cells = ""
    for metric in METRICS:
        row = rows.loc[metric]
        share, _, interval = kept_words(row).partition(" ")
        below = f"<br><span class='quiet'>{interval}</span>" if interval else ""
        cells += f"<td class='number'>{row['value']:.4f}</td><td class='number'>{share}{below}</td>"
    first = rows.iloc[0]
    use = "" if np.isnan(first["use"]) else f"{first['use']:.0%}"
    text = f"<b>{escape(name)}</b>, chosen" if is_chosen else escape(name)
    return f"<tr><th>{text}</th>{cells}<td class='number'>{use}</td></tr>"


def kept_words(row: pd.Series) -> str:
    """A share that is kept, with its interval over seeds where there is one."""
    if np.isnan(row["retained"]):
        return "\N{EN DASH}"
    interval = "" if np.isnan(row["low"]) else f" ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
    return f"{row['retained']:.1%}{interval}"


def chosen_words(table: pd.DataFrame, chosen: str) -> str:
    """Which arm validation chose, and what it keeps, in a sentence or two.

    Parameters
    ----------
    table : DataFrame
        From `Results.table`.
    chosen : str
        From `Results.chosen`.
    """
    rows = table[table["arm"] == chosen].set_index("metric")
    shares = ", ".join(f"{kept_words(rows.loc[metric])} by {NAMES[metric]}" for metric in METRICS)
    n = int(rows["n_seeds"].iloc[0])
    over = f"means over {n} seeds, with 95% intervals" if n > 1 else "one seed, so without an interval"
    text = (
        f"Validation chose {chosen}, with a log-loss of {rows['valid'].iloc[0]:.3f} nats there. On the test split it "
        f"keeps, of what content adds to popularity: {shares} ({over})."
    )
    poor = [NAMES[metric] for metric in METRICS if not is_worth(table, metric)]
    if poor:
        text += (
            f" By {' and '.join(poor)} the model without a bottleneck is no better than popularity alone, "
            "so shares of that say nothing: change the number of steps, or give more examples."
        )
    return text


def is_worth(table: pd.DataFrame, metric: str) -> bool:
    """Whether by this measure the upper model is better than the lower one, so that there is something to keep."""
    values = table[table["metric"] == metric].set_index("arm")["value"]
    gain = values[UPPER_NAME] - values[LOWER_NAME]
    return bool(-gain > 0 if metric == "log_loss" else gain > 0)


def legend_html(title: str, lines: Mapping[str, Line]) -> str:
    """Names of lines beside pieces of them."""
    entries = "".join(
        "<span style='margin-right: 1em; display: inline-block'>"
        "<svg width='34' height='8' aria-hidden='true' style='vertical-align: middle'>"
        f"<line x1='0' x2='34' y1='4' y2='4' stroke='{line.colour}' stroke-width='2' "
        f"stroke-dasharray='{' '.join(f'{2 * part:g}' for part in line.dashes)}'/></svg> {escape(name)}</span>"
        for name, line in lines.items()
    )
    return f"<div style='line-height: 1.5; white-space: normal'><b>{escape(title)}</b>: {entries}</div>"


def latest_html(curves: pd.DataFrame) -> str:
    """The last look at each model in training, as a table."""
    rows = []
    for arm, seed in curves[["arm", "seed"]].drop_duplicates().itertuples(index=False):
        own = curves[(curves["arm"] == arm) & (curves["seed"] == seed)]
        last = own.loc[own["step"].idxmax()]
        share = last[uses(own)].min() if uses(own) else np.nan
        use = "" if np.isnan(share) else f"{share:.0%}"
        cells = (f"{seed}", f"{last['step']:,}", f"{last['log_loss']:.4f}", use, f"{int(last['resets']):,}")
        rows.append(f"<tr><th>{escape(arm)}</th>{''.join(f'<td class=number>{cell}</td>' for cell in cells)}</tr>")
    heads: Sequence[str] = ("model", "seed", "step", "log-loss (nats)", "least use of a level", "codes reset")
    head = "".join(f"<th>{text}</th>" for text in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
