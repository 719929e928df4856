"""The panel of a network: recipes that make it smaller, and what they cost on a task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import traitlets

from ..compress import Chain, Step
from ..compress.builder import Builder, key_of
from ..evaluate.neighbours import neighbour_changes
from ..evaluate.table import Scorecard
from ..files import check_writable
from ..formats import OWN
from ..networks.config import WORDS
from ..networks.measures import (
    N_TEXTS,
    card,
    latency_rows,
    layer_table,
    outcome,
    weight_histogram,
    weight_table,
)
from ..networks.network import Network
from ..networks.task import Task
from ..networks.training import Train
from ..vectors import Vectors, remembered
from ..vocab import printable
from . import mapper, network_recipes
from .compression import original_map
from .editor import RecipeView
from .flow import Flow, cell, publish
from .network_blocks import NetworkBlocks
from .network_paper import network_page
from .panel import MAX_WORDS, checked
from .widget import is_live, shown

N_QUICK = 150  # texts of the first numbers
N_KEPT = 12  # networks that beginnings of recipes made, and results
MAX_TRAIL = 200  # recipes in the history
MEASURES = {"accuracy": "compressed", "agreement": "all", "cosine": "all", "nearest": "all"}  # in the history: a split


@dataclass(frozen=True, eq=False)
class Course:
    """The looks of a `Train` step at the validation part, while it works and after."""

    step: Train
    rows: tuple[dict, ...]
    is_done: bool = False


@dataclass(frozen=True, eq=False)
class Built:
    """What a recipe made; without a network, its training so far. `sizes` are bytes before and after each step."""

    recipe: Chain
    courses: dict[int, Course]  # by place of the step
    small: Network | None = None
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Result:
    """The outcome of a recipe; until it is whole, its numbers are those of few texts."""

    recipe: Chain
    small: Network
    card: Scorecard
    trial: dict
    is_whole: bool = True


class Weights(NamedTuple):
    """All matrices in bytes, and one in numbers."""

    table: pd.DataFrame
    matrix: str
    histogram: pd.DataFrame


class Changes(NamedTuple):
    """The nearest texts of some, before and after, and all test texts as vectors."""

    rows: pd.DataFrame
    original: Vectors
    small: Vectors


class TrainBuilder(Builder[Network]):
    """A builder that keeps what each training said, and can end one early."""

    def __init__(self, original: Network):
        super().__init__(original, N_KEPT, keeps_results=True)
        self.courses: dict[str, Course] = {}  # by the key of the steps up to the training
        self.tell: Callable[[], None] = lambda: None  # what to call at each look
        self.ends_training = False

    def ready(self, step: Step, key: str) -> Step:
        step = super().ready(step, key)
        if isinstance(step, Train):
            step.told = partial(self._look, step, key)  # type: ignore[misc]
        return step

    def _look(self, step: Train, key: str, rows: list[dict]) -> bool:
        ends, self.ends_training = self.ends_training, False
        is_done = ends or rows[-1]["step"] == step.n_steps
        self.courses[key] = Course(unfit(step), tuple(rows), is_done)
        self.tell()
        return ends

    def courses_of(self, recipe: Chain) -> dict[int, Course]:
        """Return the trainings of a recipe so far, by place."""
        keys = {i: key_of(recipe.steps[: i + 1]) for i, step in enumerate(recipe.steps) if isinstance(step, Train)}
        return {i: self.courses[key] for i, key in keys.items() if key in self.courses}


class Opened:
    """A network with its task, and what is kept about them."""

    def __init__(self, net: Network, task: Task):
        self.net, self.task = net, task
        self.builder = TrainBuilder(net)
        self.recent: dict[str, Result] = {}  # by the key of the recipe, the newest last
        self.times: dict[str, pd.DataFrame] = {}  # rows of latency, by the same
        self.trail: tuple[dict, ...] = ()
        self.failed: tuple[Chain, int] | None = None  # the last recipe that failed, and the place of the step

    def before(self, recipe: Chain, i: int) -> Network:
        """Return what step `i` of a recipe gets; the original where that is not made yet."""
        return self.builder.kept(recipe.steps[:i]) or self.net

    def note(self, result: Result) -> Result:
        """Put a result on the trail, in the place of an earlier one of its recipe; keep it if it is whole."""
        known = next((i for i, old in enumerate(self.trail) if old["recipe"] == result.recipe), len(self.trail))
        self.trail = (*self.trail[:known], result.trial, *self.trail[known + 1 :])[-MAX_TRAIL:]
        if result.is_whole:
            self.recent = dict([*self.recent.items(), (key_of(result.recipe.steps), result)][-N_KEPT:])
        return result


class Compressing:
    """The cells of the panel.

    Inputs: `opened`, `wish` (a recipe), `matrix` (its name, or "" for the first), `words` (texts that are looked at),
    `drawn` ("UMAP" or "PCA"), `seed`.
    """

    def built(opened, wish):
        builder = opened.builder
        builder.ends_training = False
        builder.tell = lambda: publish(Built(wish, builder.courses_of(wish)))
        try:
            small = builder.build(wish)
        except (ValueError, TypeError, OSError):
            opened.failed = wish, builder.at
            raise
        made = [builder.kept(wish.steps[:n]) or small for n in range(len(wish.steps) + 1)]
        return Built(wish, builder.courses_of(wish), small, tuple(net.file_bytes - net.tokenizer_bytes for net in made))

    def result(opened, built, seed):
        """The numbers of a few texts, and then of more."""
        if found := opened.recent.get(key_of(built.recipe.steps)):
            return found
        for n_texts in (N_QUICK, N_TEXTS):
            is_whole = n_texts == N_TEXTS or len(opened.task.test) <= n_texts
            found = card(opened.net, built.small, opened.task, n_texts=n_texts, latency=False, random_state=seed)
            values = found.set_index(["metric", "split"])["value"]
            trial = {"recipe": built.recipe, "bytes": values["size", "compressed"], "ratio": values["ratio", "all"]}
            trial |= {name: values.get((name, split), float("nan")) for name, split in MEASURES.items()}
            result = opened.note(Result(built.recipe, built.small, found, trial, is_whole))
            if is_whole:
                return result
            publish(result)

    def weights(opened, built, matrix):
        table = weight_table(opened.net, built.small)
        row = table[table["matrix"] == (matrix or WORDS)].iloc[:1]
        name, original = (table.iloc[:1] if row.empty else row)[["matrix", "original"]].iloc[0]
        return Weights(table, name, weight_histogram(opened.net.weights[original], built.small.weights[name]))

    def changes(opened, result, words, seed):
        """The nearest texts of those that are looked at, before and after."""
        pair = [text_vectors(net, opened.task, seed) for net in (opened.net, result.small)]
        return Changes(neighbour_changes(*pair, list(words)), *pair) if words else None

    @cell(lane="maps")
    def maps(opened, result, drawn, seed):
        """Principal components of the test texts first, and then UMAP."""
        original, small = (text_vectors(net, opened.task, seed) for net in (opened.net, result.small))
        maps, labels = original_map(original, N_TEXTS, seed), dict(zip(*test_texts(opened.task, seed), strict=True))

        def labelled(frame):
            frame.attrs["sample"] = frame.attrs["sample"].replace("words", "test texts")
            return frame.assign(label=[labels[text] for text in maps.words])

        frame = labelled(maps.pca(small))
        if drawn == "PCA" or len(frame) <= 2 * maps.n_neighbors:
            return frame
        publish(frame)
        return labelled(maps.umap(small, mapper.shared.layout))

    @cell(lane="layers")
    def layers(opened, seed):
        """What each layer of the original contributes and costs; None without layers or a head for the task."""
        config = opened.net.config
        if not config.n_layers or config.labels != opened.task.labels:
            return None
        return layer_table(opened.net, opened.task, random_state=seed)

    def latency(opened, result, layers, seed):
        """Time, which is measured last: not beside the layers."""
        key, texts = key_of(result.recipe.steps), opened.task.test.sample(N_TEXTS, seed)
        if key not in opened.times:
            pairs = {"compressed": result.small, "original": opened.net}
            if "" in opened.times:  # the original's are measured once
                del pairs["original"]
            rows = {split: latency_rows(net, texts, split) for split, net in pairs.items()}
            opened.times.setdefault("", pd.DataFrame(rows.get("original")))
            opened.times[key] = pd.DataFrame(rows["compressed"])
            if result.small is not opened.net:
                result.small.rest()
        return pd.concat([opened.times[key], opened.times[""]], ignore_index=True)


def unfit(step: Train) -> Train:
    """Return a training's parameters without what it learned."""
    return type(step)(**step.get_params())


def test_texts(task: Task, seed: int) -> tuple[list[str], list[str]]:
    """Return the different test texts that numbers are of, and their labels."""
    texts = task.test.sample(N_TEXTS, seed)
    labels = {text: task.labels[label] for text, label in zip(texts.texts, texts.labels, strict=True)}
    return list(labels), list(labels.values())


@remembered
def text_vectors(net: Network, task: Task, seed: int) -> Vectors:
    """Return test texts with their embeddings as word vectors, which maps and neighbours take."""
    places = {text: i for i, text in enumerate(task.test.sample(N_TEXTS, seed).texts)}
    found = outcome(net, task.test.sample(N_TEXTS, seed).texts).vectors
    texts = test_texts(task, seed)[0]
    return Vectors.from_arrays(texts, found[[places[text] for text in texts]])


class NetworkPanel(RecipeView):
    """Make a network smaller and see at once what each setting costs on a task.

    The next cell may set `recipe`, and observe it, `network` (the small one) and `card` (its numbers).

    Parameters
    ----------
    net : Network
    task : Task
        Numbers are those of its test part; a head of the network must be for its labels.
    recipe : Step, optional
        Where to begin: a `Chain` of steps for networks, or one step.
    interactive : bool, optional
        As for `CompressionPanel`.
    random_state : int
        Seed of samples and maps.
    """

    blocks = NetworkBlocks
    top, cards, timing, rail, history, overview, layers, weights, points, looked, courses, export = (
        shown() for _ in range(12)
    )
    network = traitlets.Any(read_only=True, help="the small network")
    card = traitlets.Any(read_only=True, help="the numbers of the small network, as of `networks.card`")

    def __init__(
        self,
        net: Network,
        task: Task,
        recipe: Step | None = None,
        *,
        interactive: bool | None = None,
        random_state: int = 0,
    ):
        for value, kind, made_by in ((net, Network, "networks.load(path)"), (task, Task, "networks.load_task(name)")):
            if not isinstance(value, kind):
                raise TypeError(f"expected a {kind.__name__}, as from {made_by}, got {type(value).__name__}")
        live, self._told = is_live(interactive), {}
        wish = Chain([]) if recipe is None else checked(recipe, Network)
        flow = Flow(
            Compressing, live, opened=Opened(net, task), wish=wish, seed=random_state, matrix="", words=(),
            drawn="UMAP", past=(), future=(), pinned=None, failed=None, saved=None, trail=(),
            quality="agreement" if net.config.labels else "nearest",
        )  # fmt: skip
        super().__init__(flow, kind="network", ui={"tab": "layers", "colour": "label"})
        if not live:
            self.wait()
        else:
            mapper.shared.warm()

    def page(self) -> str:
        """Return what is shown as HTML that needs no network, kernel or script."""
        names = ("status", *(block.name for block in self._blocks))
        return network_page({name: getattr(self, name) for name in names}, self.flow["maps"])

    @traitlets.validate("recipe")
    def _check(self, proposal: Any) -> Any:
        return checked(proposal["value"], Network)

    @traitlets.observe("recipe")
    def _set(self, change: Any) -> None:
        if change["new"] is not self._told.get("recipe"):
            self._problem = ""
            self._want(change["new"])

    def _follow(self) -> None:
        flow, values, opened, result = self.flow, self.flow.values, self.flow["opened"], self.flow["result"]
        if result is not None and flow.is_fresh("result") and result.is_whole:
            card = result.card
            if flow["latency"] is not None and flow.is_fresh("latency"):
                card = Scorecard(pd.concat([card, flow["latency"]], ignore_index=True))
            if self.network is not result.small or len(self.card) != len(card):
                self._tell(network=result.small, card=card)
        self._tell(recipe=flow["wish"])
        failed = (*opened.failed, flow.errors["built"]) if "built" in flow.errors and opened.failed else None
        if failed != values["failed"]:
            values["failed"] = failed
        values["trail"] = opened.trail

    # -- what a person does -----------------------------------------------------------------

    def do_preset(self, id: str) -> None:
        """Begin with a preset."""
        opened = self.flow["opened"]
        self._want(network_recipes.presets(opened.net, opened.task)[id].recipe)

    def do_set(self, i: int, name: str, value: Any) -> None:
        """Change a parameter of a step."""
        recipe, opened = self.flow["wish"], self.flow["opened"]
        self._want(network_recipes.changed(recipe, i, name, value, opened.before(recipe, i)))

    def do_add(self, kind: str, at: int | None = None) -> None:
        """Add a step."""
        self._want(network_recipes.added(self.flow["wish"], kind, at, self.flow["opened"].task))

    def do_layer(self, layer: int) -> None:
        """Leave a layer of the original out, or no more."""
        self._want(network_recipes.with_layer(self.flow["wish"], layer, self.flow["opened"].net.config.n_layers))

    def do_matrix(self, name: str) -> None:
        """Look at the numbers of a matrix."""
        self.flow.set(matrix=name)

    def do_look(self, words: Sequence[str]) -> None:
        """Look at the nearest texts of some; a part of a text is enough."""
        opened, found = self.flow["opened"], list[str]()
        texts, _ = test_texts(opened.task, self.flow["seed"])
        for wanted in words:
            match = next((t for t in texts if wanted in (t, printable(t))), None)
            match = match or next((t for t in texts if wanted.lower() in t.lower()), None)
            if match is None:
                raise KeyError(f"none of the {len(texts)} test texts holds {wanted!r}")
            found.append(match)
        self.flow.set(words=tuple(dict.fromkeys(found))[-MAX_WORDS:])

    def do_draw(self, method: str) -> None:
        """Draw the maps by UMAP or by principal components (PCA)."""
        self.flow.set(drawn=method)

    def do_end_training(self) -> None:
        """End the training at its next look, and keep the best so far."""
        self.flow["opened"].builder.ends_training = True

    def do_cancel(self) -> None:
        """Stop what is being computed, and go back to the last recipe that has numbers."""
        result, built = self.flow["result"], self.flow["built"]
        if not self.flow.is_fresh("built") or built.small is None:
            self.flow.set(wish=result.recipe if result else Chain([]))
        else:
            self.flow.set(drawn="PCA")

    def do_save(self, path: str, format: str = OWN.name) -> None:
        """Save the small network."""
        self._note(saved=None)
        result, place, source = self._fresh(), Path(path.strip()).expanduser(), self.flow["opened"].net.origin
        if not place.name.endswith(OWN.suffixes):
            raise ValueError(f"the file's name must end in {OWN.suffixes[0]}, got {path!r}")
        if source and Path(source).expanduser().resolve() == place.resolve():
            raise ValueError(f"{path} is the network itself; save under another name")
        check_writable(place)
        result.small.save(place)
        text = f"Saved {place}, {place.stat().st_size:,} bytes. Open it with networks.load({str(place)!r})."
        self._note(saved=(result, text))
