"""Controls that ipywidgets lacks. Each does one thing and knows no model."""

import re
import threading
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from ...formats import readable_suffixes

MODEL_FILES = (".gz", *readable_suffixes())  # how names of what `load` opens end


def round_values(low: int, high: int) -> list[int]:
    """About ten round numbers to each power of ten, from `low` to `high`, both included."""
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    rounded = {round(step * 10**power) for power in range(len(str(high))) for step in steps}
    return sorted({low, high, *(value for value in rounded if low < value < high)})


class Showing(threading.local):
    """Sets what a program does to controls apart from what a person does, since both call the same callbacks.

    The program works ``with showing:``, and a callback returns at once ``if showing``. Each thread has its
    own: a person's change that comes while a session's thread shows something is a person's. Callbacks that
    are `View.guarded` need none, for they know when the view itself sets controls.
    """

    def __init__(self) -> None:
        self._depth = 0  # one thing that is shown may show others

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1

    def __bool__(self) -> bool:
        return self._depth > 0


class Dial:
    """A whole number: a labelled box for any value, and a slider over round ones.

    Parameters
    ----------
    label : str
        Names the box, also for screen readers; the slider beside it goes over the same values.
    changed : callable
        Called once after a person changed the value.
    """

    def __init__(self, label: str, changed: Callable[[], None]):
        self.changed = changed
        self.box = widgets.BoundedIntText(
            description=label, style={"description_width": "initial"}, layout={"width": f"{len(label) * 0.6 + 8}em"}
        )
        self.slider = Slider(label=f"{label}, round values", layout={"width": "13em"})
        self.slider.add_class("wb-slider-" + re.sub(r"[^\w-]+", "-", label.lower()))
        self._round: list[int] = []  # values that the slider goes over
        self.row = widgets.HBox([self.box, self.slider], layout={"flex_flow": "row wrap"})
        self._showing = Showing()
        self.box.observe(self._typed, "value")
        self.slider.observe(self._slid, "place")

    @property
    def value(self) -> int:
        return self.box.value

    def show(self, value: int, low: int, high: int) -> None:
        """Set value and range without calling `changed`."""
        with self._showing:
            self._round = round_values(low, high)
            self.slider.texts = [f"{v:,}" for v in self._round]
            self.box.min, self.box.max = min(low, self.box.max), high
            self.box.min, self.box.value = low, value
            self._point_slider()

    def _typed(self, _: object) -> None:
        if not self._showing:
            with self._showing:
                self._point_slider()
            self.changed()

    def _slid(self, change: dict) -> None:
        if not self._showing:
            self.box.value = self._round[change["new"]]

    def _point_slider(self) -> None:
        """Put the slider at the round number that is nearest."""
        distances = [abs(v - self.box.value) for v in self._round]
        self.slider.place = distances.index(min(distances))


class FilePicker:
    """A list of folders and model files on the machine where the kernel runs.

    Parameters
    ----------
    picked : callable
        Called with the path of the file that a person picked.
    folder : Path
        Where to begin.
    """

    def __init__(self, picked: Callable[[Path], None], folder: Path):
        self.picked = picked
        self.where = widgets.HTML()
        self.list = widgets.Select(description="Files", rows=8, layout={"width": "30em"})
        self.go = widgets.Button(
            description="Open selected", tooltip="Enter the selected folder, or open the selected file"
        )
        self.go.on_click(self._go)
        self.box = widgets.VBox([self.where, widgets.HBox([self.list, self.go])])
        self.show(folder)

    def show(self, folder: Path) -> None:
        """List a folder."""
        self.folder = folder.resolve()
        try:
            entries = sorted(self.folder.iterdir(), key=lambda p: (not p.is_dir(), p.name.lower()))
        except OSError as error:
            entries = []
            self.where.value = escape(str(error))
        else:
            self.where.value = f"Folder <code>{escape(str(self.folder))}</code>"
        shown = [p for p in entries if not p.name.startswith(".") and (p.is_dir() or p.name.endswith(MODEL_FILES))]
        self.list.options = [("..", self.folder.parent)] + [(p.name + "/" * p.is_dir(), p) for p in shown]

    def _go(self, _: object) -> None:
        if self.list.value.is_dir():
            self.show(self.list.value)
        else:
            self.picked(self.list.value)


class Slider(anywidget.AnyWidget):
    """A slider over a list of texts, the browser's own: ipywidgets' has a handle without a name for screen readers."""

    _esm = """
    function render({ model, el }) {
      const slider = document.createElement("input");
      slider.type = "range";
      slider.min = 0;
      const show = () => {
        slider.max = model.get("texts").length - 1;
        slider.value = model.get("place");
        slider.ariaLabel = model.get("label");
        slider.ariaValueText = model.get("texts")[model.get("place")] ?? "";
      };
      slider.addEventListener("change", () => {  // when it is let go, not on the way
        model.set("place", Number(slider.value));
        model.save_changes();
      });
      for (const name of ["texts", "place", "label"]) model.on(`change:${name}`, show);
      show();
      el.append(slider);
    }
    export default { render };
    """
    _css = ".wb-slider {align-self: center} .wb-slider input {width: 100%; accent-color: #0072B2; margin: 0}"
    texts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    place = traitlets.Int(0).tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.add_class("wb-slider")


class WidthWatch(anywidget.AnyWidget):
    """Of no height: has figures beside it drawn anew at another width, also when their page is shown again.

    Plotly listens to the window only.
    """

    _esm = """
    function render({ el }) {
      const watch = new ResizeObserver(() => window.dispatchEvent(new Event("resize")));
      watch.observe(el);
      return () => watch.disconnect();
    }
    export default { render };
    """
    _css = ".wb-width {height: 0; margin: 0}"

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.add_class("wb-width")


class OwnKeys(anywidget.AnyWidget):
    """Shows nothing: keys pressed in the view around it go to its controls, not to the notebook.

    JupyterLab would go to the cell above when a person presses an arrow key on a slider or in a list.
    Keys with Ctrl, Alt or Cmd stay JupyterLab's, which asks for this attribute.
    """

    _esm = """
    function render({ el }) {
      const keep = (event) => {
        const plain = !event.ctrlKey && !event.altKey && !event.metaKey;
        if (el.closest(".wb")?.contains(event.target)) {
          event.target.toggleAttribute("data-lm-suppress-shortcuts", plain);
        }
      };
      window.addEventListener("keydown", keep, true);  // before JupyterLab, which listens at the document
      return () => window.removeEventListener("keydown", keep, true);
    }
    export default { render };
    """
    _css = ".wb-keys {display: none}"

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.add_class("wb-keys")


class CopyButton(anywidget.AnyWidget):
    """A button that puts `text` on the clipboard, which only the browser can."""

    _esm = """
    async function copy(text) {
      if (navigator.clipboard) return navigator.clipboard.writeText(text);
      const area = document.createElement("textarea");  // pages not served safely have no clipboard
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    function render({ model, el }) {
      const button = document.createElement("button");
      button.className = "jupyter-widgets jupyter-button widget-button";
      button.textContent = model.get("description");
      button.addEventListener("click", async () => {
        await copy(model.get("text"));
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = model.get("description"); }, 1500);
      });
      el.append(button);
    }
    export default { render };
    """
    text = traitlets.Unicode().tag(sync=True)
    description = traitlets.Unicode("Copy").tag(sync=True)
