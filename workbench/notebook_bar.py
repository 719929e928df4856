"""tqdm's bar for notebooks, which leaves text behind: a page without its kernel shows widgets as errors."""

from typing import Any

from IPython.display import display
from tqdm.notebook import TqdmHBox, tqdm_notebook


class NotebookBar(tqdm_notebook):
    """tqdm's bar. Once it is closed its widgets are gone, and the notebook has its last words as text."""

    @staticmethod
    def status_printer(*arguments: Any, **options: Any) -> "Place":
        """Return the bar's widgets in a box that can be replaced."""
        box = tqdm_notebook.status_printer(*arguments, **options)
        place = Place(children=box.children, layout=box.layout)
        box.close()  # a page that loads anew could not make any widget if one named others that are gone
        return place

    def close(self) -> None:
        """End the bar."""
        if not self.disable:  # else it was closed before, or never shown
            super().close()
            self.container.leave(str(self) if self.leave or self.n < (self.total or 0) else "")


class Place(TqdmHBox):
    """Widgets, and later a text in the same place of the notebook."""

    _handle: Any = None

    def _ipython_display_(self) -> None:
        self._handle = display(self._repr_mimebundle_(), raw=True, display_id=True)

    def leave(self, text: str) -> None:
        """Put a text where the widgets are, and close them."""
        if self._handle is not None:
            self._handle.update({"text/plain": text}, raw=True)
        for widget in (*self.children, self):
            widget.close()
