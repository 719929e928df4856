"""The part of a panel that any recipe needs: changes that can be undone, a history, a setting to compare with."""

import threading
import time
from typing import Any

import traitlets

from ..compress import Chain
from .blocks import present
from .flow import in_words
from .widget import View

MAX_UNDONE = 100  # recipes that undo goes back over
CHUNK, PAUSE = 1 << 18, 0.3  # bytes of a download at once, and seconds between: the server drops what comes faster


class RecipeView(View):
    """A view of recipes that are tried on a model.

    Its flow has the inputs `wish` (the recipe that is wanted), `past`, `future`, `pinned`, `quality` and `trail` (all
    that was tried, as dicts with ``recipe``), and a cell `result`, whose values have a `recipe` and a `trial`. A
    subclass writes `_follow`, which takes over what was found.
    """

    recipe = traitlets.Any(help="the recipe that is wanted")
    _told: dict[str, Any]  # values of traits that nobody asks for

    def _tell(self, **traits: Any) -> None:
        self._told |= traits
        for name, value in traits.items():
            self.set_trait(name, value)

    def _note(self, **values: Any) -> None:
        """Change what is drawn and nothing is computed from."""
        self.flow.values.update(values)
        self.render()

    @property
    def _present(self) -> Any:
        """The recipe that a person sees; None before the first."""
        return present(*(self.flow[name] for name in ("wish", "recipe", "result")))

    def _want(self, wish: Any, **more: Any) -> None:
        """Build a recipe, or search for one; undo goes back to the present one."""
        now, past = self._present, self.flow["past"]
        past = past if now is None or now == wish else (*past, now)[-MAX_UNDONE:]
        self.flow.set(wish=wish, past=past, future=(), **more)

    def render(self) -> None:
        """Draw what is new, and take over what was found; called from any thread."""
        with self._drawing:
            try:
                self._follow()
            except Exception as error:  # it must not end the thread of the flow, out of sight
                self._problem = in_words(error)
            super().render()

    def _follow(self) -> None:
        raise NotImplementedError

    # -- what a person does -----------------------------------------------------------------

    def do_undo(self, source: str = "past", target: str = "future") -> None:
        """Go back to the recipe before."""
        if self.flow[source]:
            *left, wish = self.flow[source]
            self.flow.set(wish=wish, **{source: tuple(left), target: (*self.flow[target], self._present)})

    def do_redo(self) -> None:
        """Go forward to the recipe that was undone last."""
        self.do_undo("future", "past")

    def do_move(self, i: int, to: int) -> None:
        """Move a step to another place."""
        steps = list(self._present.steps)
        steps.insert(to, steps.pop(i))
        self._want(Chain(steps))

    def do_remove(self, i: int) -> None:
        """Take out a step."""
        self._want(Chain([*self._present.steps[:i], *self._present.steps[i + 1 :]]))

    def do_go_back(self, id: int) -> None:
        """Go back to a recipe of the history."""
        self._want(self.flow["trail"][id]["recipe"])

    def do_pin(self, id: int | None = None) -> None:
        """Compare with a result of the history, or the present one, from now on; pinned again, with none."""
        pinned, chosen = self.flow["pinned"], None if id is None else self.flow["trail"][id]
        is_again = pinned is not None and (chosen is None or chosen["recipe"] == pinned["recipe"])
        self._note(pinned=None if is_again else chosen or self._fresh().trial)

    def do_quality(self, id: str) -> None:
        """Choose what the history shows beside the size."""
        self._note(quality=id)

    def _fresh(self) -> Any:
        """The result of the present recipe."""
        result = self.flow["result"]
        if result is None or result.small is None or not self.flow.is_fresh("result"):
            raise ValueError("the numbers for this setting are not there yet; try again once they are")
        return result

    def _deliver(self, name: str, content: bytes) -> None:
        """Send a file to the browser, part by part."""

        def send() -> None:
            for offset in range(0, len(content), CHUNK):
                if self.comm is not None:
                    message = {"do": "download", "name": name, "offset": offset, "total": len(content)}
                    self.send(message, [content[offset : offset + CHUNK]])
                    time.sleep(PAUSE)

        threading.Thread(target=send, daemon=True).start()
