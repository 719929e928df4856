"""The compression panel, and views of a model beside a small one that is given."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import traitlets

from ..compress import Chain, Step
from ..data import NAMES
from ..evaluate.similarity import Pairs
from ..files import check_writable
from ..formats import OWN, export, readable_suffixes, writable
from ..search.budget import GOALS, parse_bytes
from ..vectors import Vectors
from . import mapper, recipes
from .blocks import Blocks
from .compression import Compression, Reporting, Search
from .editor import RecipeView
from .flow import Doing, Flow
from .paper import panel_page
from .widget import View, is_live, shown

MAX_WORDS = 4  # looked at side by side


def checked(recipe: Any, takes: type = Vectors) -> Chain:
    """Return a recipe; refuse what is none, steps for other models, and values that no parameter can have."""
    recipe = Chain([recipe]) if isinstance(recipe, Step) and not isinstance(recipe, Chain) else recipe
    if not isinstance(recipe, Chain) or not all(isinstance(step, Step) for step in recipe.steps):
        raise TypeError(f"expected a recipe such as Chain([Prune(n_words=1000), PQ(50)]), got {recipe!r}")
    for step in recipe.steps:
        if step.takes is not takes:
            advice = getattr(takes, "step_advice", "")
            raise TypeError(f"{type(step).__name__} takes {step.takes.__name__}, not {takes.__name__}{advice}")
        for name, field in step.fields.items():
            field.check(f"{type(step).__name__}: {name}", getattr(step, name))
    return recipe


def openable(source: Any) -> Any:
    """Return a model or where it is; refuse what cannot be opened, as far as that is clear at once."""
    if not isinstance(source, Vectors | str | Path):
        raise TypeError(f"expected a model, its path or 'builtin:en', got {type(source).__name__}")
    if not isinstance(source, Vectors) and str(source) not in NAMES and not Path(source).expanduser().exists():
        raise FileNotFoundError(f"{source} does not exist; expected a model file or 'builtin:en'")
    return source


def some_words(text: str | Sequence[str], model: Any = None) -> tuple[str, ...]:
    """Return words to look at, of a text or a list; refuse those that the model knows nothing of."""
    if isinstance(text, str):
        whole = model is not None and text.strip() in model.original  # a few words hold commas or spaces
        text = [text.strip()] if whole else text.replace(",", " ").split()
    words = tuple(dict.fromkeys(text))[:MAX_WORDS]
    for word in words if model is not None else ():
        if not model.original.can_embed(word):
            raise KeyError(f"the model has no vector for {word!r}; try another spelling")
    return words


class ModelView(View):
    """The base of the panel and of views of two models: blocks to draw, and words to look at."""

    blocks = Blocks
    top, cards, rail, predicted, history, overview, worst, points, codes, looked, neighbours, damage, export, folder = (
        shown() for _ in range(14)
    )
    words = traitlets.Any((), help="words that are looked at, up to four")
    wanted: ClassVar[Sequence[str] | None] = None  # cells, if not all
    tabs: ClassVar[Sequence[str]] = ("overview", "map", "neighbours", "damage", "export")

    def __init__(self, source: Any, words: Sequence[str], labels: Any, interactive: bool | None, **inputs: Any) -> None:
        live, words = is_live(interactive), some_words(words)
        if labels is not None and not hasattr(labels, "keys"):
            raise TypeError(
                f"expected labels as {{word: label}}, a dict or a Series by word, got {type(labels).__name__}"
            )
        inputs["labels"] = {} if labels is None else dict(labels)
        usual = {"pairs": None, "unseen": None, "n_words": 0, "n_queries": 200, "suggest": None, "reporting": None,
                 "is_live": live}  # fmt: skip
        given = usual | inputs | {"source": openable(source), "words": words, "drawn": "UMAP", "level": 0}
        ui = {"tab": self.tabs[0], "tabs": list(self.tabs), "bare": self.wanted is not None}
        super().__init__(Flow(Compression, live, self.wanted, **given), kind="panel", ui=ui, words=words)
        if not live:
            self.wait()
        elif "maps" in self.flow.cells:
            mapper.shared.warm()  # it gets ready while numbers are computed

    def page(self) -> str:
        """Return what is shown as HTML that needs no network, kernel or script."""
        blocks = {name: getattr(self, name) for name in ("status", *(block.name for block in self._blocks))}
        return panel_page(blocks, self.flow["maps"])

    @traitlets.validate("words")
    def _check_words(self, proposal: Any) -> tuple[str, ...]:
        return some_words(proposal["value"], self.flow["model"])

    @traitlets.observe("words")
    def _look(self, change: Any) -> None:
        self.flow.set(words=change["new"])

    def do_look(self, words: str | Sequence[str]) -> None:
        """Look at the neighbours of words."""
        self.words = words

    def do_map_words(self, n: int) -> None:
        """Show so many words on the maps."""
        self.flow.set(n_mapped=int(n))

    def do_draw(self, method: str) -> None:
        """Draw the maps by UMAP or by principal components (PCA)."""
        self.flow.set(drawn=method)

    def do_level(self, level: int) -> None:
        """Show the codes of a level on the maps."""
        self.flow.values["level"] = int(level)
        self.render()


class CompressionPanel(RecipeView, ModelView):
    """Compress a model and see at once what each setting costs.

    The next cell may set `recipe`, `limit`, `words` and `source`, and observe these, `vectors` (the small model) and
    `card` (its numbers), as of any widget.

    Parameters
    ----------
    source : Vectors, path or str
        The model, or where it is; see `load`.
    recipe : Chain, optional
        Where to begin.
    n_words, n_ngrams, n_subvectors : int, optional
        In place of `recipe`, the numbers of the usual one (prune, re-fit, PQ).
    words : sequence of str
        Words whose neighbours are compared first, up to four.
    unseen, pairs : optional
        Real words that the model does not know, and word pairs that people scored; see `scorecard`.
    labels : mapping of word to str, optional
        Your own, to colour the maps by.
    n_mapped : int
        Words on the maps.
    interactive : bool, optional
        By default live where a person runs the cell, and a page of tables and pictures where a program such as
        papermill does. A live panel leaves this page in the notebook, for readers who open it when nothing runs.
    random_state : int
    """

    vectors = traitlets.Any(read_only=True, help="the small model")
    card = traitlets.Any(read_only=True, help="the numbers of the small model, as of `scorecard`")
    limit = traitlets.Any(help="bytes that the file should stay within, or a text such as '20 MB'; None for no limit")
    source = traitlets.Any(help="the model, or where it is")
    _model = _result = _uploads = None  # those that traits tell of, and a temporary folder

    def __init__(
        self,
        source: Vectors | str | Path = "builtin:en",
        *,
        recipe: Chain | None = None,
        n_words: int | None = None,
        n_ngrams: int | None = None,
        n_subvectors: int | None = None,
        words: Sequence[str] = (),
        unseen: list[str] | None = None,
        pairs: Mapping[str, Pairs | str | Path] | None = None,
        labels: Mapping[str, str] | None = None,
        n_mapped: int = 2_000,
        interactive: bool | None = None,
        random_state: int = 0,
    ):
        self._told = {"source": source}
        self._before: dict[str, Any] = {}  # what to go back to if another model cannot be opened
        numbers: Any = {"n_words": n_words, "n_ngrams": n_ngrams, "n_subvectors": n_subvectors}
        super().__init__(
            source, words, labels, interactive, wish=None if recipe is None else checked(recipe), pairs=pairs,
            suggest=partial(recipes.usual, seed=random_state, **numbers), unseen=unseen, n_words=2_000,
            n_mapped=n_mapped, seed=random_state, past=(), future=(), pinned=None, before=None, quality="known",
            goal=GOALS[0], limit=None, trail=(), failed=None, saved=None, reported=(None, None), writing=None,
        )  # fmt: skip
        self.source = source

    # -- what the next cell may set ---------------------------------------------------------

    @traitlets.validate("recipe", "limit", "source")
    def _check(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if name == "limit":
            return None if value in (None, "") else parse_bytes(value)
        return checked(value) if name == "recipe" else openable(value)

    @traitlets.observe("recipe", "limit", "source")
    def _set(self, change: Any) -> None:
        name, new = change["name"], change["new"]
        if name == "limit":
            self._note(limit=new)
        elif new is not self._told.get(name):
            self._problem = ""
            self._want(new) if name == "recipe" else self._open(new)

    def _open(self, source: Any) -> None:
        """Open another model; until it is there, and if it cannot be opened, the old one stays."""
        if not self._before and self.flow.is_fresh("model"):
            self._before = {name: self.flow[name] for name in ("wish", "suggest", "past", "future", "pinned", "before")}
            self._before |= {"source": self.flow["model"], "given": self._told["source"]}
        self._told["source"], usual = source, partial(recipes.usual, seed=self.flow["seed"])
        self.flow.set(source=source, wish=None, suggest=usual, past=(), future=(), pinned=None, before=None)

    def _go_back(self) -> None:
        """Return to the model that was open before."""
        before, self._before = self._before, {}
        self._tell(source=before.pop("given"))
        self.flow.set(**before)

    def _follow(self) -> None:
        flow, values, errors = self.flow, self.flow.values, self.flow.errors
        model, result, wish = flow["model"], flow["result"], flow["wish"]
        if "report" in errors:
            self._problem = errors["report"]
            flow.set(reporting=None)
        if self._before and "model" in errors:
            self._problem = errors["model"]
            self._go_back()
        elif isinstance(wish, Search) and ("result" in errors or (flow.is_fresh("result") and not result.search)):
            self._problem = errors.get("result", self._problem)
            flow.set(wish=result.recipe if result else Chain([]))
        elif model is not self._model:
            self._model, self._result, self._before = model, None, {}
            values["reported"] = None, None
            self.words = [word for word in self.words if model.original.can_embed(word)]
        if model is None:
            return
        is_new = result is not self._result and flow.is_fresh("result")
        if is_new and self._result is not None and self._result.recipe != result.recipe:
            values["before"] = self._result.trial
        if is_new and result.is_whole:
            if values["pinned"] and values["pinned"]["recipe"] == result.recipe:
                values["pinned"] = result.trial  # pinned before its neighbours were measured
            self._result = result
            self._tell(vectors=result.small, card=result.card)
        if self._present is not None:
            self._tell(recipe=self._present)
        failed = (*model.failed, errors["result"]) if "result" in errors and model.failed else None
        waits = not flow.is_fresh("report")
        if not waits and flow["report"] not in (None, values["reported"][1]):
            values["reported"] = flow["reporting"], flow["report"]
        values |= {
            "trail": model.trail, "failed": values["failed"] if failed == values["failed"] else failed,
            "writing": asdict(flow.doing.get("report", Doing("Starting", 0.0, None))) if waits else None,
        }  # fmt: skip

    def close(self) -> None:
        """End the view and its work; uploads go."""
        super().close()
        if self._uploads is not None:
            self._uploads.cleanup()

    # -- what a person does: models ---------------------------------------------------------

    def do_open(self, path: str) -> None:
        """Open another model."""
        self.source = str(Path(path.strip()).expanduser())

    def do_upload(self, name: str, offset: int, total: int, buffers: Sequence[Any] = ()) -> None:
        """Take a part of a file that the browser sends; open it once it is whole."""
        self._uploads = self._uploads or tempfile.TemporaryDirectory(prefix="workbench-")
        path = Path(self._uploads.name, Path(name).name)
        with open(path, "ab" if offset else "wb") as file:
            if file.tell() != offset:
                raise ValueError(f"part of {name} is missing at byte {file.tell():,}; choose the file again")
            file.writelines(buffers)
            is_whole = file.tell() >= total
        if is_whole:
            self.source = str(path)

    def do_list_folder(self, path: str = "") -> None:
        """List the folders and models of a folder on the machine where the kernel runs."""
        folder, inside, error = Path(path or ".").expanduser().resolve(), list[Path](), None
        try:
            inside = [entry for entry in folder.iterdir() if entry.name[0] != "." and entry.exists()]
        except OSError as problem:
            error = str(problem)
        found = [entry for entry in inside if entry.is_dir() or entry.name.endswith(readable_suffixes())]
        found.sort(key=lambda entry: (not entry.is_dir(), entry.name.lower()))
        above = next(parent for parent in (*folder.parents, folder) if parent.is_dir())
        entries = [
            {"name": name, "path": str(entry), "is_folder": entry.is_dir(), "bytes": entry.stat().st_size}
            for name, entry in (("..", above), *((entry.name, entry) for entry in found))
        ]
        self.folder = {"path": str(folder), "entries": entries, "error": error}

    # -- recipes ----------------------------------------------------------------------------

    def do_preset(self, id: str) -> None:
        """Begin with a preset."""
        self._want(recipes.presets(self.flow["model"].original, self.flow["seed"])[id].recipe)

    def do_set(self, i: int, name: str, value: Any) -> None:
        """Change a parameter of a step."""
        self._want(recipes.changed(self._present, i, name, value, self.flow["model"].original))

    def do_add(self, kind: str, at: int | None = None) -> None:
        """Add a step."""
        self._want(recipes.added(self._present, kind, at, self.flow["model"].original, self.flow["seed"]))

    def do_predict(self, i: int, name: str, value: Any) -> None:
        """Say how large the file would be with another value, while a slider is dragged."""
        v = self.flow["model"].original
        n_bytes = recipes.predicted_bytes(recipes.changed(self._present, i, name, value, v), v)
        self.predicted = {"bytes": n_bytes, "i": i, "name": name, "value": value}

    def do_limit(self, text: str | int) -> None:
        """Set the size that the file should stay within."""
        self.limit = text

    def do_find(self, text: str | int | None = None, goal: str = GOALS[0]) -> None:
        """Search for the best recipe within the limit."""
        if text is not None:
            self.limit = text
        if self.limit is None:
            raise ValueError("say first how large the file may be, such as 20 MB")
        self._want(Search(self.limit, goal), goal=goal)

    def do_cancel(self) -> None:
        """Stop what is being computed, and keep what was found last; of a search, the best so far."""
        flow, result = self.flow, self.flow["result"]
        if not flow.is_fresh("model"):
            self._go_back() if self._before else None
        elif isinstance(flow["wish"], Search) or not flow.is_fresh("result") or not result.is_whole:
            flow.set(wish=self._result.recipe if self._result else Chain([]))
        else:
            flow.set(drawn="PCA")

    # -- files ------------------------------------------------------------------------------

    def do_save(self, path: str, format: str = OWN.name) -> None:
        """Save the small model in a format of `export`; never over the model itself."""
        self._note(saved=None)
        result, place, source = self._fresh(), Path(path.strip()).expanduser(), self.flow["model"].source
        if format == OWN.name and not place.name.endswith(OWN.suffixes):
            raise ValueError(f"the file's name must end in {OWN.suffixes[0]}, got {path!r}")
        if source and Path(source).expanduser().resolve() == place.resolve():
            raise ValueError(f"{path} is the model itself; save under another name")
        check_writable(place, writable()[format].is_folder)
        export(result.small, place, format, warn=False)
        files = place.rglob("*") if place.is_dir() else [place]
        n_bytes = sum(file.stat().st_size for file in files if file.is_file())
        self._note(saved=(result, f"Saved {place}, {n_bytes:,} bytes. Open it with load({str(place)!r})."))

    def do_download(self, format: str = OWN.name) -> None:
        """Send the small model to the browser, part by part."""
        known = writable()[format]
        if known.is_folder:
            raise ValueError(f"{known.title} is a folder, which a browser cannot take; save it instead")
        name = f"small{known.suffixes[0]}"
        with tempfile.TemporaryDirectory() as folder:
            self._deliver(name, export(self._fresh().small, Path(folder, name), format, warn=False).read_bytes())

    def do_report(self, folder: str, limits: Mapping[str, float]) -> None:
        """Build and measure this setting again in a notebook of its own, and hold it against limits."""
        place = Path(folder.strip()).expanduser()
        check_writable(place, is_folder=True)
        self.flow.set(reporting=Reporting(place, limits, self.flow["model"], self._fresh().recipe, self.words))

    def do_stop_report(self) -> None:
        """Give up the report; the one before stays."""
        self.flow.set(reporting=None)


class PairView(ModelView):
    """A view of a model and a small one.

    Parameters
    ----------
    original : Vectors, path or str
    small : Vectors
    words : sequence of str
        To look at or point out, up to four; unseen ones are welcome.
    labels : mapping of word to str, optional
        Your own, to colour maps by.
    n_mapped : int
        Words on maps.
    interactive : bool, optional
        As for `CompressionPanel`.
    random_state : int
        Seed of samples and maps.
    """

    def __init__(
        self,
        original: Vectors | str | Path,
        small: Vectors,
        *,
        words: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        n_mapped: int = 2_000,
        interactive: bool | None = None,
        random_state: int = 0,
    ):
        super().__init__(original, words, labels, interactive, wish=small, n_mapped=n_mapped, seed=random_state)


class NeighbourView(PairView):
    """Neighbours that words keep, lose and gain, and the n-grams that contribute; parameters of `PairView`."""

    wanted, tabs = ("changes", "contributions", "sampled"), ("neighbours",)


class DamageView(PairView):
    """The most damaged words, and what they have in common; parameters of `PairView`."""

    wanted, tabs = ("damage", "changes", "contributions"), ("damage",)


class MapView(PairView):
    """Linked maps of both models, and of the original drawn again: that is chance; parameters of `PairView`."""

    wanted, tabs = ("maps", "codes", "changes", "contributions"), ("map",)
