"""Curves of a training and the shares that its arms retain: as the state of a view, and drawn on paper."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from ..semantic.results import LOWER_NAME, METRICS, UPPER_NAME, kept_text
from .plots import BLUE, GREY, Axes, Picture, as_text, draw_means, name_looks, name_rows, new_figure

RETAINED, LOG_LOSS = "% of the way from lower to upper\n(validation log-loss)", "validation log-loss (nats)"
DASHES = {LOWER_NAME: ":", UPPER_NAME: "--"}
TRAINED, AFTERWARDS = ("trained with its bottleneck", "o", ""), ("codes after the fact", "D", "white")  # sign, fill
MIN_SHOWN = -20.0  # % retained; smaller values are drawn at the edge, with their number

# -- state --------------------------------------------------------------------------------


def curves_state(curves: pd.DataFrame, arm: str = "") -> dict[str, Any]:
    """Return curves of `Results` as lines to draw, lists of ``[step, value]``, and the arm to look at.

    Shares are % of the way from the lower model's validation log-loss to the best of the upper model with the same
    seed. Where an end is missing, or the upper model is no better, the log-loss itself is drawn. What an arm shares
    with all others, the warm-up, is left out but for its last step.
    """
    levels = sorted((c for c in curves if c.startswith("use_")), key=lambda c: (len(c), c))
    own = curves.reindex(columns=["arm", "seed", "step", "log_loss", "resets", *levels])
    has_codes, is_end, by_model = own[levels].notna().any(axis=1), own["arm"].isin(DASHES), ["arm", "seed"]
    last = own[~has_codes & ~is_end].groupby(by_model)["step"].transform("max").reindex(own.index)
    if len(used := own[has_codes]):
        arm = arm or used.groupby(by_model, sort=False)["log_loss"].min().groupby("arm", sort=False).mean().idxmin()
    own = own[has_codes | is_end | (own["step"] == last)]
    lower, upper = (own["seed"].map(own[own["arm"] == end].groupby("seed")["log_loss"].min()) for end in DASHES)
    shares = 100 * (lower - own["log_loss"]) / (lower - upper).where(lower > upper)
    is_share = bool(shares.notna().all())
    own = own.assign(y=shares if is_share else own["log_loss"])
    lines = []
    for name, rows in own.groupby("arm", sort=False):
        mean, is_end = rows.drop(columns=by_model).groupby("step").mean(), name in DASHES
        seeds = [pairs(one.set_index("step")["y"]) for _, one in rows.groupby("seed")]
        lines.append({
            "name": name, "is_end": is_end, "points": pairs(mean["y"]), "seeds": seeds if len(seeds) > 1 else [],
            "use": [use for level in levels if (use := pairs(mean[level]))],
            "resets": [] if is_end else pairs(mean["resets"]),
        })  # fmt: skip
    low = min((10 * (line["points"][-1][1] // 10) - 10 for line in lines if not line["is_end"]), default=0)
    edge = (low if low >= 20 else MIN_SHOWN) if is_share else None  # a little below where the arms end
    return {"lines": lines, "is_share": is_share, "edge": edge, "arm": arm}


def pairs(values: pd.Series) -> list[list[float]]:
    """Return values with their steps; steps without a value are left out."""
    return [[int(step), round(float(value), 4)] for step, value in values.dropna().items()]


def kept_state(table: pd.DataFrame, chosen: str = "") -> list[dict[str, Any]]:
    """Return what `Results.table` gave as rows, the best arm first between the two ends."""
    numbers = table.assign(text=table.apply(kept_text, axis=1)).set_index(["metric", "arm"])
    losses = numbers.loc["log_loss"].drop(list(DASHES)).sort_values("retained", ascending=False, kind="stable")
    trained = losses["valid"].dropna()
    chosen = chosen or (trained.idxmin() if len(trained) else "")
    rows = []
    for name in (UPPER_NAME, *losses.index, LOWER_NAME):
        own = numbers.xs(name, level="arm")
        about = {"name": name, "is_trained": name in trained, "is_chosen": name == chosen, "use": own["use"].iloc[0]}
        rows.append({**about, **own[["value", "retained", "low", "high", "text"]].to_dict("index")})
    return rows


# -- figures ------------------------------------------------------------------------------


def curves_figure(curves: pd.DataFrame, arm: str = "") -> Picture:
    """Training curves of all arms, each named at its end; below them the codes of one, and resets.

    Parameters
    ----------
    curves : DataFrame
        From `Results.curves`.
    arm : str
        The arm in colour; by default the best in validation.
    """
    if curves.empty:
        raise ValueError("there are no curves yet: train first")
    state = curves_state(curves, arm)
    arm, lines = state["arm"], {line["name"]: line for line in state["lines"]}
    levels = {f"level {i}, {arm}": points for i, points in enumerate(lines[arm]["use"] if arm else [], 1)}
    shades = matplotlib.colormaps["viridis"](np.linspace(0.2, 0.75, len(levels)))  # (n_levels, 4)
    resets = {name: line["resets"] for name, line in lines.items() if line["resets"]}
    small: list[tuple[str, dict, dict]] = [
        ("codes in use\n(share)", levels, dict(zip(levels, shades, strict=True))),
        ("codes reset\nso far", resets, {arm: BLUE}),
    ]
    small = [panel for panel in small if panel[1]]
    heights = [max(3.6, 0.19 * len(lines)), *(max(1.2, 0.19 * len(drawn)) for _, drawn, _ in small)]  # room for names
    figure, axes = new_figure(9.5, 0.7 + sum(heights), 1, len(heights), sharex=True, height_ratios=heights)
    _draw_main(axes[0], state)
    for axis, (label, drawn, colours) in zip(axes[1:], small, strict=True):
        axis.set_ylim(0, 1.05 * max(1, *(y for points in drawn.values() for _, y in points)))
        _draw_lines(axis, label, drawn, colours)
    if arm:
        begin = lines[arm]["points"][0][0]
        _note(axes[0], "end of the warm-up", (begin, 1), coords=("data", "axes fraction"))
        for axis in axes:
            axis.axvline(begin, color=GREY, linewidth=0.8, linestyle=":")
    axes[-1].set_xlabel("step of the optimiser")
    return figure


def _draw_main(axis: Axes, state: dict) -> None:
    """Draw the main chart; its axis is broken below what the arms reach, and names say how low a line goes."""
    arm, low = state["arm"], -np.inf if state["edge"] is None else state["edge"]
    top = max(y for line in state["lines"] for _, y in line["points"])
    band = low - 0.08 * (top - low)  # where smaller shares are drawn
    lines, names = {}, {}
    for line in state["lines"]:
        name, least = line["name"], min(y for _, y in line["points"])
        names[name] = name if least >= low else f"{name} (lowest {least:.0f}%)"
        drawn = [[[x, y if y >= low else band] for x, y in points] for points in (line["points"], *line["seeds"])]
        lines[name] = drawn[0]
        for points in drawn[1:] if name == arm else ():
            axis.plot(*zip(*points, strict=True), color=BLUE, linewidth=0.7, alpha=0.6)
    _draw_lines(axis, RETAINED if state["is_share"] else LOG_LOSS, lines, {arm: BLUE}, names)
    if axis.get_ylim()[0] < band:
        axis.set_yticks([tick for tick in axis.get_yticks() if low <= tick <= top + 1])
        at, middle = axis.get_yaxis_transform(), (low + band) / 2
        axis.text(0, middle, "\N{ALMOST EQUAL TO}", transform=at, ha="center", va="center", backgroundcolor="white")


def _draw_lines(
    axis: Axes, label: str, lines: dict[str, list], colours: dict[str, Any], names: dict[str, str] | None = None
) -> None:
    """Draw lines with names right of their ends, so that none covers another."""
    axis.set_ylabel(label)
    for name, points in lines.items():
        width, looks = 1 + (name in colours), {"color": colours.get(name, GREY), "linestyle": DASHES.get(name, "-")}
        axis.plot(*zip(*points, strict=True), linewidth=width, zorder=1 + width, **looks)
    low, high = axis.get_ylim()
    ends = sorted((points[-1][1], name) for name, points in lines.items())
    gap = 0.16 * axis.figure.dpi / axis.get_window_extent().height  # of an inch
    for (y, name), place in zip(ends, spread([(y - low) / (high - low) for y, _ in ends], gap), strict=True):
        axis.annotate(
            as_text(names[name] if names else name), (lines[name][-1][0], y), (1.05, place), fontsize=9, va="center",
            textcoords="axes fraction", color=colours.get(name, GREY),
            arrowprops={"arrowstyle": "-", "lw": 0.3, "relpos": (0, 0.5)},
        )  # fmt: skip


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return places near the wanted ones, which ascend, a gap apart; below 1 if they all fit."""
    places: list[float] = []
    for place in wanted:
        places.append(max([place, *(before + gap for before in places[-1:])]))
    return [min(place, max(1 - gap * (len(places) - 1 - i), i * gap)) for i, place in enumerate(places)]


def _note(axis: Axes, text: str, place: tuple, colour: str = GREY, coords: Any = "data", **where: Any) -> None:
    where = {"xytext": (0, 3), "ha": "center"} | where
    axis.annotate(text, place, xycoords=coords, textcoords="offset points", color=colour, fontsize=9, **where)


def retained_figure(table: pd.DataFrame, chosen: str = "") -> Picture:
    """Shares of the way from the lower to the upper model that each arm keeps, by three measures.

    Parameters
    ----------
    table : DataFrame
        From `Results.table`.
    chosen : str
        The arm in colour; by default the best in validation.
    """
    rows = kept_state(table, chosen)[1:-1]  # without the two ends
    figure, axes = new_figure(11, 1.6 + 0.3 * max(len(rows), 2), len(METRICS), sharey=True)
    name_rows(axes[0], [as_text(row["name"]) for row in rows])
    for axis, (metric, name) in zip(axes, METRICS.items(), strict=True):
        shares = 100 * pd.DataFrame([row[metric] for row in rows], columns=["retained", "low", "high"])
        means = shares.clip(lower=[MIN_SHOWN, 2 * MIN_SHOWN, MIN_SHOWN], axis=1).rename(columns={"retained": "value"})
        for place, row in enumerate(rows):
            colour, share = BLUE if row["is_chosen"] else GREY, shares["retained"][place]
            label, marker, fill = TRAINED if row["is_trained"] else AFTERWARDS
            draw_means(axis, means.loc[[place]], label, colour, marker, ecolor=colour, markerfacecolor=fill or colour)
            if share < MIN_SHOWN:
                share_text, at = f"\N{LEFTWARDS ARROW} {share:.0f}%", (MIN_SHOWN, place)
                _note(axis, share_text, at, colour, xytext=(7, 0), ha="left", va="center")
        low, high = axis.get_xlim()
        axis.set_xlim(max(min(low, -3), MIN_SHOWN - 3), max(high, 108))
        for share, end in ((0, "lower"), (100, "upper")):
            axis.axvline(share, color=GREY, linewidth=1, linestyle="--" if share else ":")
            _note(axis, end, (share, 1), coords=("data", "axes fraction"))
        axis.set_xlabel(f"{name} retained (%)")
        axis.grid(axis="x", alpha=0.3)
    for text, row in zip(axes[0].get_yticklabels(), rows, strict=True):
        text.set(color=BLUE if row["is_chosen"] else "black", fontweight="bold" if row["is_chosen"] else "normal")
    name_looks(figure)
    return figure
