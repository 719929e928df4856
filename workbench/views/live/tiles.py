"""The tree of codes as tiles that are buttons, so that keys and screen readers reach each of them.

Plotly's icicle keeps clicks on branches to itself, and no key reaches it.
"""

from collections.abc import Callable
from typing import Any

import anywidget
import pandas as pd
import traitlets

from ...vocab import printable
from ..ids import Named, Prefix, is_below, words_of
from ..ids_figures import Tile, tile_title, tiles


class TileTree(anywidget.AnyWidget):
    """Tiles in columns, one for each level; those with a prefix can be pressed.

    Parameters
    ----------
    picked : callable
        Called with the prefix of the tile that a person pressed.
    """

    _esm = """
    const LINE = 15;  // pixels
    function tile(model, at, box) {
      const { column, columns, top, height, lines, colour, ink, label, prefix } = at;
      const element = document.createElement(prefix ? "button" : "div");
      const room = Math.max(0, Math.floor((height * box.clientHeight - 2) / LINE));
      const first = 0.62, unit = 100 / (columns - 1 + first);  // the first column is narrower
      element.className = "wb-tile";
      Object.assign(element.style, {
        left: `${column ? (column - 1 + first) * unit : 0}%`, width: `${(column ? 1 : first) * unit}%`,
        top: `${100 * top}%`, height: `${100 * height}%`, background: colour, color: ink,
      });
      const shown = room > 1 ? lines.slice(0, room) : room ? [lines.slice(0, 2).join("  ")] : [];
      for (const text of shown) {
        const line = document.createElement("span");
        line.textContent = text;
        element.append(line);
      }
      element.title = label;
      if (prefix) {
        element.ariaLabel = label;
        element.addEventListener("click", () => model.send({ prefix }));
      }
      return element;
    }
    function render({ model, el }) {
      const box = document.createElement("div");
      box.className = "wb-tiles";
      box.setAttribute("role", "group");
      box.ariaLabel = "Tree of codes";
      el.append(box);
      const show = () => {
        const had = box.contains(document.activeElement);
        box.classList.toggle("wb-alone", model.get("tiles").length == 1);
        box.replaceChildren(...model.get("tiles").map((at) => tile(model, at, box)));
        if (had) box.querySelector("button")?.focus();
      };
      model.on("change:tiles", show);
      const watch = new ResizeObserver(show);
      watch.observe(box);
      show();
      return () => watch.disconnect();
    }
    export default { render };
    """
    _css = """
    .wb-tiles {position: relative; height: 540px}
    .wb-tiles.wb-alone {height: 90px}
    .wb-tile {position: absolute; box-sizing: border-box; overflow: hidden; margin: 0; padding: 0 5px;
      border: 1px solid var(--jp-layout-color0, white); border-radius: 0; font: 12px/15px system-ui, sans-serif;
      text-align: left; display: flex; flex-direction: column; justify-content: center}
    .wb-tile span {display: block; flex: none; overflow: hidden; text-overflow: ellipsis; white-space: pre}
    button.wb-tile {cursor: pointer}
    button.wb-tile:hover, button.wb-tile:focus-visible {outline: 3px solid #D55E00; outline-offset: -3px; z-index: 1}
    """
    tiles: Any = traitlets.List().tag(sync=True)

    def __init__(self, picked: Callable[[Prefix], None], **options: Any):
        super().__init__(**options)
        self.picked = picked
        self.on_msg(self._heard)

    def show(self, tree: pd.DataFrame, named: Named, item: Prefix, selected: Any) -> None:
        """Show a tree.

        Parameters
        ----------
        tree : DataFrame
            From `tree_table`.
        named : Named
        item : tuple of int
            The id of the item looked at, whose tiles have a star; empty if there is none.
        selected : (n, n_levels) array
            Codes of the selected items, which each tile counts.
        """
        placed = tiles(tree, named)
        columns = max(tile.column for tile in placed) + 1
        self.tiles = [_sent(tile, tree["prefix"][0], columns, item, selected) for tile in placed]

    def _heard(self, _widget: Any, content: dict, _buffers: Any) -> None:
        self.picked(tuple(content["prefix"]))


def _sent(tile: Tile, root: Prefix, columns: int, item: Prefix, selected: Any) -> dict[str, Any]:
    """What the page needs to know of a tile."""
    entry, prefix = tile.entry, list(tile.entry.prefix)
    count = f"{entry.count:,} item{'s' * (entry.count != 1)}"
    names = [printable(name) for name in entry.exemplars]
    title, starred = tile_title(entry, root), bool(item) and not entry.n_joined and item[: len(prefix)] == entry.prefix
    marks = " \N{BLACK STAR}" if starred and prefix else ""
    if not entry.n_joined and len(selected) and (n := int(is_below(selected, entry.prefix).sum())):
        marks += f" ({n:,} selected)"
    label = f"{title}: {count}{marks}, such as {'; '.join(names)}"
    target: list[int] | None = prefix
    if entry.n_joined or not (prefix or root):
        target = None
    elif entry.prefix == root:
        target, label = prefix[:-1], f"{label}. Go back to {words_of(root[:-1])}"
    return {
        "column": tile.column,
        "columns": columns,
        "top": tile.top,
        "height": tile.height,
        "lines": [f"{tile.mark} {title}: {entry.count:,}{marks}".strip(), *names],
        "colour": tile.colour,
        "ink": tile.ink,
        "label": label,
        "prefix": target,
    }
