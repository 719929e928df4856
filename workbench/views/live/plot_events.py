"""Clicks and selections on a figure, each told for sure.

Plotly's live figure tells clicks, selections and hovering by one value that is sent when the kernel has time;
a selection that is followed at once by the end of hovering is overwritten, and nobody hears of it.
"""

from collections.abc import Callable
from typing import Any

import anywidget
import numpy as np


class PlotEvents(anywidget.AnyWidget):
    """Of no height, beside a figure of plotly in the same box: tells what a person does with its first trace.

    Parameters
    ----------
    clicked : callable
        Called with the number of the point that was clicked.
    selected : callable
        Called with the numbers of the points that were selected, (n,) int array; empty where the selection was
        taken away. A selection of nothing is not told: a page makes one whenever an outline goes.
    """

    _esm = """
    function render({ model, el }) {
      let heard = null;
      const points = (event) => (event?.points ?? []).filter((at) => at.curveNumber === 0).map((at) => at.pointNumber);
      const listen = () => {
        const figure = el.parentElement?.querySelector(".js-plotly-plot");
        if (!figure?.on || figure === heard) return;
        heard = figure;
        figure.on("plotly_click", (event) => {
          if (points(event).length) model.send({ clicked: points(event)[0] });
        });
        figure.on("plotly_selected", (event) => {
          if (points(event).length) model.send({ selected: points(event) });
        });
        figure.on("plotly_deselect", () => model.send({ selected: [] }));
      };
      const timer = setInterval(listen, 200);  // plotly draws when it likes, and says so to nobody
      return () => clearInterval(timer);
    }
    export default { render };
    """
    _css = ".wb-plot-events {height: 0; margin: 0}"

    def __init__(self, clicked: Callable[[int], None], selected: Callable[[np.ndarray], None], **options: Any):
        super().__init__(**options)
        self.clicked, self.selected = clicked, selected
        self.add_class("wb-plot-events")
        self.on_msg(self._heard)

    def _heard(self, _widget: Any, content: dict, _buffers: Any) -> None:
        if "clicked" in content:
            self.clicked(content["clicked"])
        else:
            self.selected(np.unique(np.array(content["selected"], np.int64)))
