"""The network panel on paper: its blocks as pictures and tables."""

from html import escape
from typing import Any

import pandas as pd

from .paper import OVERVIEW, STEPS, history_html, looked_html, page_html, picture_html, table_html
from .plots import BLUE, GREY, RED, Picture, map_figure, name_looks, name_rows, new_figure

LAYERS = {"layer": "{layer}", "contribution": "{contribution:.3f}", "accuracy lost without it": "<b>{cost:+.3f}</b>",
          "95% interval": "{low:+.3f} to {high:+.3f}", "agreement without it": "{agreement:.3f}"}  # fmt: skip
NUMBERS = {"": "<b>{side}</b>", "zeros": "{zeros:.1%}", "different values": "{distinct:,}",
           "bits a number": "{bits:.2f}", "bytes": "{bytes:,}"}  # fmt: skip
MATRICES = {"matrix": "{label}", "bytes before": "{before:,}", "after": "{after:,}", "bits a number": "{bits:.2f}"}
TRAINING = {"step": "{step:,}", "training loss": "{loss:.3f}", "validation loss": "{valid_loss:.3f}",
            "score": "{score:.3f}"}  # fmt: skip


def network_page(blocks: dict[str, dict], frame: pd.DataFrame | None) -> str:
    """Return the panel as a page: its blocks, and a frame of maps of texts."""
    top, rail, export, errors = (blocks[name] for name in ("top", "rail", "export", "status"))
    overview, layers, weights, looked = (blocks[name] for name in ("overview", "layers", "weights", "looked"))
    numbers = table_html(OVERVIEW, overview["rows"]) + history_html(blocks["history"]) if overview else ""
    steps = table_html(STEPS, rail["steps"]) if rail.get("steps") else ""
    maps = ""
    if frame is not None:
        marked = [entry["word"] for entry in looked.get("words", [])]
        maps = picture_html(
            map_figure(frame, [], marked, "label" if frame["label"].any() else "damage"),
            "Maps of the test texts before and after",
        )
    sections: dict[str, Any] = {
        "Problems": "".join(f"<p class='lost'>{escape(error)}</p>" for error in errors["errors"].values()),
        "Numbers": numbers,
        "Recipe": steps + (f"<pre>{escape(export['code'])}</pre>" if export else ""),
        "Layers": layers and picture_html(layers_figure(layers["rows"]), "Contribution and cost of each layer")
        + table_html(LAYERS, layers["rows"])
        + f"<small>{escape(layers['help']['contribution'] + ' ' + layers['help']['cost'])}</small>",
        "Weights": weights and picture_html(weights_figure(weights), "Numbers of a matrix before and after")
        + table_html(NUMBERS, weights["sides"], weights["matrix"]) + table_html(MATRICES, weights["matrices"]),
        "Maps": maps,
        "Nearest texts before and after": looked
        and looked_html(looked) + "".join(map(influence_html, looked["words"])),
        "Training": "".join(map(_training, blocks["courses"].get("trainings", []))),
    }  # fmt: skip
    return page_html(f"{top.get('name', 'A network')} · {top.get('about', '')}", sections.items())


def influence_html(entry: dict[str, Any]) -> str:
    """Return a text before and after, each word the darker the more it moves the text's vector."""
    most = max([part[side] for part in entry["parts"] for side in ("before", "after")], default=0) or 1
    lines = [
        " ".join(
            f"<span style='background: rgba(37, 99, 235, {0.45 * max(part[side], 0) / most:.2f})'>"
            f"{escape(part['word'])}</span>"
            for part in entry["parts"]
        )
        for side in ("before", "after")
    ]
    return f"<p><small>Words that carry the text, before and after:</small><br>{'<br>'.join(lines)}</p>"


def layers_figure(rows: list[dict[str, Any]]) -> Picture:
    """Draw for each layer what it contributes, and beside it what leaving it out costs."""
    figure, axes = new_figure(9, 1.2 + 0.3 * len(rows), 2, sharey=True)
    table, look = pd.DataFrame(rows), {"elinewidth": 1, "ecolor": GREY, "capsize": 3}
    axes[0].barh(table.index, table["contribution"], 0.6, color=BLUE)
    sides = [table["cost"] - table["low"], table["high"] - table["cost"]]
    axes[1].barh(table.index, table["cost"], 0.6, xerr=sides, color=RED, error_kw=look)
    name_rows(axes[0], [f"layer {row['layer']}" for row in rows])
    axes[0].set_xlabel("contribution (1 - cosine of states before and after)")
    axes[1].set_xlabel("accuracy lost without it (95% interval)")
    return figure


def weights_figure(block: dict[str, Any]) -> Picture:
    """Draw how the numbers of a matrix are spread before and after."""
    figure, axes = new_figure(9, 3, 2, sharex=True)
    bins = block["bins"]
    for axis, side, colour in zip(axes, ("before", "after"), (GREY, BLUE), strict=True):
        axis.stairs(bins[side], [*bins["low"], bins["high"][-1]], fill=True, color=colour)
        most, other = sorted(bins[side], reverse=True)[:2]
        top = 1.2 * other if most > 4 * other > 0 else 1.05 * most  # a bar of zeros is cut off
        axis.set(xlabel=f"value, {side} (highest bar {most:.1%})", ylabel="share of numbers", ylim=(0, top))
    figure.suptitle(block["matrix"], fontsize=10)
    return figure


def training_figure(training: dict[str, Any]) -> Picture:
    """Draw losses and score of a training over its steps."""
    figure, axes = new_figure(9, 3, 2)
    for axis, name, label, colour, look in (
        (axes[0], "loss", "training loss", GREY, "o--"),
        (axes[0], "valid_loss", "validation loss", BLUE, "o-"),
        (axes[1], "score", f"validation, {training['score_name']}", BLUE, "s-"),
    ):
        if training[name]:
            axis.plot(*zip(*training[name], strict=True), look, color=colour, label=label)
    for axis in axes:
        axis.axvline(training["best"]["step"], color=RED, linewidth=0.8, linestyle=":", label="kept")
        axis.set_xlabel("step")
    name_looks(figure)
    return figure


def _training(training: dict) -> str:
    what, score = training["what"], training["score_name"]
    kept = (
        f"Step {training['i'] + 1} of the recipe: {what}; score: {score}; kept: step {training['best']['step']:,.0f}."
    )
    picture = picture_html(training_figure(training), "Curves of the training")
    return f"<p>{escape(kept)}</p>{picture}{table_html(TRAINING, training['rows'])}"
