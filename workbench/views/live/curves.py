"""Curves of a training as they grow: panels on one time axis, in one figure of plotly."""

from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from ...semantic.results import LOWER_NAME, UPPER_NAME
from ..curves import ENDS, NO_USE, PANELS, Line, arm_lines, legend_html, level_lines, mean_over_seeds, own_of
from ..training import Plan
from .controls import WidthWatch

GRID = "rgba(128,128,128,.3)"


class LiveCurves:
    """A figure for one plan, to which looks are added.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    widget : VBox
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.lines = arm_lines(plan.arms)
        self.n_levels = max(arm.n_levels for arm in plan.arms.values())
        self.traces: dict[tuple, Any] = {}
        self.figure = self._figure()
        self.legend = widgets.HTML(legend_html("models", {**self.lines, LOWER_NAME: ENDS[LOWER_NAME]}))
        self.levels = widgets.HTML()
        for legend in (self.legend, self.levels):
            legend.add_class("wb-curves-legend")
        parts = [self.legend, self.levels, WidthWatch(), self.figure]
        self.widget = widgets.VBox(parts, layout={"overflow": "hidden"})  # until a figure is drawn anew in a new width

    def _figure(self) -> Any:
        from plotly.graph_objects import FigureWidget
        from plotly.subplots import make_subplots

        heights = [height for _, height in PANELS.values()]
        base = make_subplots(len(PANELS), 1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.03)
        keys = list(self._add_traces(base))
        base.update_layout(
            height=680, autosize=True, margin={"l": 75, "r": 10, "t": 22, "b": 45}, showlegend=False,
            font={"color": "#808080"}, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(128,128,128,.07)",
            dragmode=False, hovermode="closest",
        )  # fmt: skip
        base.update_xaxes(range=[0, self.plan.training.n_steps], gridcolor=GRID, zeroline=False)
        base.update_xaxes(title_text="step of the optimiser", row=len(PANELS), col=1)
        base.update_yaxes(gridcolor=GRID, zeroline=False)
        for row, (text, _) in enumerate(PANELS.values(), 1):
            base.update_yaxes(title_text=text.replace(" (", "<br>("), title_font={"size": 12}, row=row, col=1)
        base.update_yaxes(range=[0, 1.05], row=2, col=1)
        base.update_yaxes(rangemode="tozero", row=4, col=1)
        self._mark_warmup(base)
        figure = FigureWidget(base)
        figure._config = {**figure._config, "responsive": True, "displaylogo": False, "displayModeBar": False}
        figure.add_class("wb-curves")
        self.traces = dict(zip(keys, figure.data, strict=True))
        return figure

    def _add_traces(self, base: Any) -> Any:
        """All traces, still empty; yields what each is of."""
        for arm, line in self.lines.items():
            several = self.plan.seeds if len(self.plan.seeds) > 1 else ()
            for seed in several:
                base.add_trace(_trace(f"{arm}, seed {seed}", Line(line.colour), 0.8, 0.5), row=1, col=1)
                yield "log_loss", arm, seed
            mean = f"{arm}, mean of the seeds" if several else arm
            base.add_trace(_trace(mean, line), row=1, col=1)
            yield "log_loss", arm, None
            if arm in self.plan.tempered:
                base.add_trace(_trace(arm, line), row=3, col=1)
                yield "tau", arm, None
            if arm != UPPER_NAME:
                base.add_trace(_trace(arm, line, shape="hv"), row=4, col=1)
                yield "resets", arm, None
        base.add_trace(_trace(LOWER_NAME, ENDS[LOWER_NAME]), row=1, col=1)
        yield "log_loss", LOWER_NAME, None
        for level, line in enumerate(level_lines(self.n_levels), 1):
            base.add_trace(_trace(f"level {level}", line), row=2, col=1)
            yield "use", level, None

    def _mark_warmup(self, base: Any) -> None:
        n_warmup = self.plan.training.n_warmup
        if not n_warmup:
            return
        base.add_vline(n_warmup, line={"color": "#808080", "width": 1})
        base.add_annotation(
            x=n_warmup, y=1, xref="x", yref="y domain", text="end of the warm-up", showarrow=False,
            yanchor="bottom", font={"size": 11},
        )  # fmt: skip

    def show(self, curves: pd.DataFrame | None, lower: float | None, arm: str) -> None:
        """Draw the curves so far, and the use of an arm's codes."""
        with self.figure.batch_update():
            for (panel, name, seed), trace in self.traces.items():
                if panel == "use":
                    self._draw(trace, curves, arm, None, f"use_{name}")
                elif name == LOWER_NAME:
                    ends = [] if lower is None else [0, self.plan.training.n_steps]
                    trace.x, trace.y = ends, [lower] * len(ends)
                else:
                    self._draw(trace, curves, name, seed, panel)
        n_levels = self.plan.arms[arm].n_levels if arm else 0
        named = {f"level {i}": line for i, line in enumerate(level_lines(self.n_levels)[:n_levels], 1)}
        self.levels.value = legend_html(f"codes of {arm}", named) if named else f"<span class='quiet'>{NO_USE}</span>"
        # plotly sends changes to pages that are open; this is what a page reads that is loaded later.
        self.figure._repr_mimebundle_()

    def _draw(self, trace: Any, curves: pd.DataFrame | None, arm: str, seed: int | None, column: str) -> None:
        if curves is None or curves.empty or not arm or column not in curves:
            trace.x, trace.y = [], []
            return
        own = mean_over_seeds(curves, arm) if seed is None else own_of(curves, arm, seed)
        there = own[own[column].notna()] if column in own else own[:0]
        trace.x = there["step"].to_numpy(np.float32)
        trace.y = there[column].to_numpy(np.float32) if len(there) else np.zeros(0, np.float32)


def _trace(name: str, line: Line, width: float = 2, opacity: float = 1.0, shape: str = "linear") -> Any:
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[], y=[], name=name, mode="lines+markers", opacity=opacity, marker={"size": 2 + 1.5 * width},
        line={"color": line.colour, "dash": line.dash, "width": width, "shape": shape},
        hovertemplate=f"{name}<br>step %{{x}}: %{{y:.4g}}<extra></extra>",
    )  # fmt: skip
