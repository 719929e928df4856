"""The network panel on paper: its blocks as pictures and tables."""

from html import escape
from typing import Any

import pandas as pd

from .paper import OVERVIEW, STEPS, history_html, looked_html, page_html, picture_html, table_html
from .plots import BLUE, GREY, RED, Picture, map_figure, name_looks, name_rows, new_figure

LAYERS = {"layer": "{layer}", "contribution": "{contribution:.3f}", "accuracy lost without it": "<b>{cost:+.3f}</b>",
          "95% interval": "{low:+.3f} to {high:+.3f}", "agreement without it": "{agreement:.3f}",
          "": "{left}"}  # fmt: skip
SIDES = {"": "<b>{side}</b>", "zeros": "{zeros:.1%}", "different values": "{distinct:,}", "bits a number": "{bits:.2f}",
         "bytes": "{bytes:,}"}  # fmt: skip
MATRICES = {"matrix": "{name}", "bytes before": "{before:,}", "after": "{after:,}", "bits a number": "{bits:.2f}"}
LOOKS = {"step": "{step:,}", "training loss": "{loss:.3f}", "validation loss": "{valid_loss:.3f}",
         "validation accuracy": "{accuracy:.3f}"}  # fmt: skip


def network_page(blocks: dict[str, dict], frame: pd.DataFrame | None) -> str:
    """Return the panel as a page: its blocks, and a frame of maps of texts."""
    top, rail, errors = blocks["top"], blocks["rail"], blocks["status"].get("errors", {}).values()
    layers, weights, looked = blocks["layers"], blocks["weights"], blocks["looked"].get("words", [])
    steps = table_html(STEPS, rail["steps"]) if rail.get("steps") else ""
    code = f"<pre>{escape(blocks['export']['code'])}</pre>" if blocks["export"] else ""
    maps = ""
    if frame is not None:
        figure = map_figure(frame, labels=[], marked=[entry["word"] for entry in looked], colour="label")
        maps = picture_html(figure, "Maps of the test texts before and after")
    history = blocks["history"]
    sections = {
        "Problems": "".join(f"<p class='lost'>{escape(error)}</p>" for error in errors),
        "Numbers": (table_html(OVERVIEW, blocks["overview"]["rows"]) if blocks["overview"] else "")
        + (history_html(history) if history else ""),
        "Recipe": steps + code,
        "Layers": _layers(layers) if layers.get("rows") else "",
        "Weights": _weights(weights) if weights else "",
        "Maps": maps,
        "Nearest texts before and after": looked_html(blocks["looked"]) if looked else "",
        "Training": "".join(map(_training, blocks["courses"].get("trainings", []))),
    }
    return page_html(f"{top.get('name', 'A network')} · {top.get('about', '')}", sections.items())


def layers_figure(rows: list[dict[str, Any]]) -> Picture:
    """Draw for each layer what it contributes, and beside it what leaving it out costs."""
    figure, axes = new_figure(9, 1.2 + 0.3 * len(rows), 2, sharey=True)
    places = range(len(rows))
    axes[0].barh(places, [row["contribution"] for row in rows], 0.6, color=BLUE)
    costs = [row["cost"] for row in rows]
    sides = [[row["cost"] - row["low"] for row in rows], [row["high"] - row["cost"] for row in rows]]
    axes[1].barh(places, costs, 0.6, xerr=sides, color=RED, error_kw={"elinewidth": 1, "ecolor": GREY, "capsize": 3})
    axes[1].axvline(0, color=GREY, linewidth=0.8)
    name_rows(axes[0], [f"layer {row['layer']}" for row in rows])
    axes[0].set_xlabel("contribution (1 - cosine of states before and after)")
    axes[1].set_xlabel("accuracy lost without it (95% interval)")
    return figure


def weights_figure(bins: dict[str, list[float]], name: str) -> Picture:
    """Draw how the numbers of a matrix are spread before and after."""
    figure, axes = new_figure(9, 3, 2, sharex=True)
    edges = [*bins["low"], bins["high"][-1]]
    for axis, (side, colour) in zip(axes, (("before", GREY), ("after", BLUE)), strict=True):
        axis.stairs(bins[side], edges, fill=True, color=colour, label=side)
        axis.set(
            xlabel=f"value, {side}", ylabel="share of numbers", yscale="symlog" if max(bins[side]) > 0.3 else "linear"
        )
    figure.suptitle(name, fontsize=10)
    return figure


def training_figure(training: dict[str, Any]) -> Picture:
    """Draw losses and accuracy of a training over its steps."""
    figure, axes = new_figure(9, 3, 2)
    for axis, lines in zip(
        axes,
        ({"training loss": "loss", "validation loss": "valid_loss"}, {"validation accuracy": "accuracy"}),
        strict=True,
    ):
        for (label, name), (colour, dash) in zip(lines.items(), ((GREY, "--"), (BLUE, "-")), strict=False):
            if training[name]:
                axis.plot(*zip(*training[name], strict=True), dash, marker="o", color=colour, label=label)
        axis.set_xlabel("step")
        axis.axvline(training["best"]["step"], color=RED, linewidth=0.8, linestyle=":", label="kept")
    axes[0].set_ylabel("loss")
    axes[1].set_ylabel("accuracy")
    name_looks(figure)
    return figure


def _layers(block: dict) -> str:
    rows = [{**row, "left": "left out" if row["dropped"] else ""} for row in block["rows"]]
    about = f"{block['help']['contribution']} {block['help']['cost']} Measured on the {block['how']}."
    picture = picture_html(layers_figure(rows), "Contribution and cost of each layer")
    return f"{picture}{table_html(LAYERS, rows)}<small>{escape(about)}</small>"


def _weights(block: dict) -> str:
    about = f"Numbers of {block['matrix']} before and after"
    sides, matrices = table_html(SIDES, block["sides"], block["matrix"]), table_html(MATRICES, block["matrices"])
    return picture_html(weights_figure(block["bins"], block["matrix"]), about) + sides + matrices


def _training(training: dict) -> str:
    names = ("loss", "valid_loss", "accuracy")
    values = {name: dict(training[name]) for name in names}
    rows = [{"step": step, **{name: values[name].get(step) for name in names}} for step in values["valid_loss"]]
    best = training["best"]
    kept = f"step {training['i'] + 1} of the recipe: {training['what']}; kept: step {best['step']:,}"
    picture = picture_html(training_figure(training), "Curves of the training")
    return f"<p>{escape(kept)}</p>{picture}{table_html(LOOKS, rows)}"
