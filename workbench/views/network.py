"""The panel of a network: recipes that make it smaller, and what they cost on a task."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import traitlets

from ..compress import Chain, Step
from ..compress.builder import Builder, key_of
from ..evaluate.align import in_one_space
from ..evaluate.neighbours import neighbour_changes
from ..evaluate.table import Scorecard
from ..files import check_writable
from ..formats import OWN
from ..networks import measures
from ..networks.config import WORDS
from ..networks.network import Network
from ..networks.phrases import Teacher
from ..networks.task import Labelled, Task
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


class Course(NamedTuple):
    """A training step, and its looks at the validation part so far."""

    step: Train
    rows: tuple[dict, ...]
    is_done: bool


@dataclass(frozen=True, eq=False)
class Built:
    """The result of a recipe; without a network, its trainings so far, by place of the step.

    `sizes` are bytes without the tokenizer, before the first step and after each.
    """

    recipe: Chain
    courses: dict[int, Course]
    small: Network | None = None
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Result:
    """The numbers of a recipe, of few texts until it is whole; `trial` is its row of the history."""

    recipe: Chain
    small: Network
    card: Scorecard
    trial: dict
    is_whole: bool


class Weights(NamedTuple):
    """All matrices in bytes, and one in numbers."""

    table: pd.DataFrame
    matrix: str
    histogram: pd.DataFrame


class Near(NamedTuple):
    """The nearest texts of some, before and after, the vectors of all, and what each word of those weighs."""

    changes: pd.DataFrame
    original: Vectors
    small: Vectors
    influence: dict[str, list[pd.DataFrame]]  # by text, before and after


class TrainBuilder(Builder[Network]):
    """A builder that keeps what each training says, and can end one early."""

    def __init__(self, original: Network):
        super().__init__(original, N_KEPT, keeps_results=True)
        self.courses: dict[str, Course] = {}  # by the key of the steps up to the training
        self.tell: Callable[[], None] = lambda: None  # called at each look
        self.ends_training = False

    def ready(self, step: Step, key: str) -> Step:
        fresh = super().ready(step, key)

        def look(rows: list[dict]) -> bool:
            ends, self.ends_training = self.ends_training, False
            is_done = ends or rows[-1]["step"] == fresh.n_steps  # type: ignore[attr-defined]
            self.courses[key] = Course(step, tuple(rows), is_done)  # type: ignore[arg-type]
            self.tell()
            return ends

        if isinstance(fresh, Train):
            fresh.told = look  # type: ignore[misc]
        return fresh

    def courses_of(self, recipe: Chain) -> dict[int, Course]:
        keys = [key_of(recipe.steps[: i + 1]) for i in range(len(recipe.steps))]
        return {i: self.courses[key] for i, key in enumerate(keys) if key in self.courses}


class Opened:
    """A network with its task, the test texts that numbers are of, and what was tried."""

    def __init__(self, net: Network, task: Task | Teacher, seed: int):
        self.net, self.task, self.seed = net, task, seed
        self.texts = task.test.sample(measures.N_TEXTS, seed)
        self.label_of = dict.fromkeys(self.texts.texts, "")
        if isinstance(task, Task) and isinstance(self.texts, Labelled):
            self.label_of = {text: task.labels[i] for text, i in zip(self.texts.texts, self.texts.labels, strict=True)}
        self.builder = TrainBuilder(net)
        self.recent: dict[str, Result] = {}  # by the key of the recipe, the newest last
        self.trail: tuple[dict, ...] = ()
        self.failed: tuple[Chain, int] | None = None  # the last recipe that failed, and the place of the step

    def before(self, recipe: Chain, i: int) -> Network:
        """Return what step `i` of a recipe gets; the original where that is not made yet."""
        return self.builder.kept(recipe.steps[:i]) or self.net

    def measured(self, recipe: Chain, small: Network, n_texts: int) -> Result:
        """Return the numbers of so many texts, and put them on the trail."""
        card = measures.card(self.net, small, self.task, n_texts=n_texts, latency=False, random_state=self.seed)
        splits = card[card["split"].isin(["all", "compressed"])].set_index("metric")["value"]
        trial = {"recipe": recipe, "bytes": splits["size"], **splits}
        known = next((i for i, old in enumerate(self.trail) if old["recipe"] == recipe), len(self.trail))
        self.trail = (*self.trail[:known], trial, *self.trail[known + 1 :])
        result = Result(recipe, small, card, trial, n_texts >= len(self.texts))
        if result.is_whole:
            self.recent = dict([*self.recent.items(), (key_of(recipe.steps), result)][-N_KEPT:])
        return result


@remembered
def text_vectors(net: Network, opened: Opened) -> Vectors:
    """Return the test texts with their embeddings as word vectors, which maps and neighbours take."""
    place = {text: i for i, text in enumerate(opened.texts.texts)}  # of texts that are there twice, one
    return Vectors.from_arrays(list(place), measures.outcome(net, opened.texts.texts).vectors[list(place.values())])


@remembered
def times(net: Network, opened: Opened, split: str) -> list[dict]:
    """Return the time that a network takes."""
    return measures.latency_rows(net, opened.texts, split)


class Compressing:
    """The cells of the panel.

    Inputs: `opened`, `wish` (a recipe), `matrix` (its name, or "" for the embeddings), `words` (texts that are looked
    at), `drawn` ("UMAP" or "PCA").
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

    def result(opened, built):
        """The numbers of a few texts, and then of more."""
        if found := opened.recent.get(key_of(built.recipe.steps)):
            return found
        first = opened.measured(built.recipe, built.small, N_QUICK)
        if first.is_whole:
            return first
        publish(first)
        return opened.measured(built.recipe, built.small, measures.N_TEXTS)

    def weights(opened, built, matrix):
        table = measures.weight_table(opened.net, built.small)
        names = table.set_index("matrix")["original"]
        name = matrix if matrix in names else WORDS
        return Weights(
            table, name, measures.weight_histogram(opened.net.weights[names[name]], built.small.weights[name])
        )

    def near(opened, result, words):
        """The nearest texts of those that are looked at; None where no text is."""
        pair = [text_vectors(net, opened) for net in (opened.net, result.small)]
        if not words:
            return None
        influence = {text: [measures.word_influence(net, text) for net in (opened.net, result.small)] for text in words}
        return Near(neighbour_changes(*pair, list(words)), *pair, influence)

    @cell(lane="maps")
    def maps(opened, result, drawn):
        """Principal components of the test texts first, and then UMAP."""
        before, after = (text_vectors(net, opened) for net in (opened.net, result.small))
        sample = f"{len(before):,} test texts"
        if before.dim != after.dim:
            before, after = in_one_space(before, after)
            sample += ", the compressed turned to fit the original"
        original = original_map(before, len(before), opened.seed)

        def labelled(frame):
            frame.attrs["sample"] = sample
            return frame.assign(label=[opened.label_of[text] for text in original.words])

        frame = labelled(original.pca(after))
        if drawn == "PCA" or len(frame) <= 2 * original.n_neighbors:
            return frame
        publish(frame)
        return labelled(original.umap(after, mapper.shared.layout))

    @cell(lane="layers")
    def layers(opened):
        """Contribution and cost of each layer of the original; None without layers, or a head for the task."""
        config, task = opened.net.config, opened.task
        is_headed = isinstance(task, Task) and config.n_layers and config.labels == task.labels
        return measures.layer_table(opened.net, task, random_state=opened.seed) if is_headed else None

    def latency(opened, result, layers):
        """Time, which is measured last: not beside the layers."""
        rows = [*times(result.small, opened, "compressed"), *times(opened.net, opened, "original")]
        if result.small is not opened.net:
            result.small.rest()
        return pd.DataFrame(rows)


class NetworkPanel(RecipeView):
    """Make a network smaller and see at once what each setting costs on a task.

    The next cell may set `recipe`, and observe it, `network` (the small one) and `card` (its numbers).

    Parameters
    ----------
    net : Network
    task : Task or Teacher
        Numbers are those of its test part; a head of the network must be for the labels of a `Task`.
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
        self, net: Network, task: Task | Teacher, recipe: Step | None = None, *, interactive: bool | None = None,
        random_state: int = 0,
    ):  # fmt: skip
        if not isinstance(net, Network):
            raise TypeError(f"expected a Network, as from networks.load(path), got {type(net).__name__}")
        if not isinstance(task, Task | Teacher):
            made_by = "networks.load_task(name) or networks.Teacher.of(texts, vectors)"
            raise TypeError(f"expected a Task or a Teacher, as from {made_by}, got {type(task).__name__}")
        live, self._told = is_live(interactive), {}
        quality = "spearman" if isinstance(task, Teacher) else "agreement" if net.config.labels else "nearest"
        flow = Flow(
            Compressing, live, opened=Opened(net, task, random_state), matrix="", words=(), drawn="UMAP", past=(),
            future=(), wish=Chain([]) if recipe is None else checked(recipe, Network), pinned=None, failed=None,
            saved=None, trail=(), quality=quality,
        )  # fmt: skip
        tab, colour = ("layers", "label") if isinstance(task, Task) else ("weights", "damage")
        super().__init__(flow, kind="network", ui={"tab": tab, "colour": colour})
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
            parts = [result.card, flow["latency"]] if flow.is_fresh("latency") else [result.card]
            if self.network is not result.small or len(self.card) != sum(map(len, parts)):
                self._tell(network=result.small, card=Scorecard(pd.concat(parts, ignore_index=True)))
        self._tell(recipe=flow["wish"])
        failed = (*opened.failed, flow.errors["built"]) if "built" in flow.errors and opened.failed else None
        values |= {"failed": values["failed"] if failed == values["failed"] else failed, "trail": opened.trail}

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
        opened = self.flow["opened"]
        self._want(network_recipes.added(self.flow["wish"], kind, at, opened.net, opened.task))

    def do_layer(self, layer: int) -> None:
        """Leave a layer of the original out, or no more."""
        self._want(network_recipes.with_layer(self.flow["wish"], layer, self.flow["opened"].net.config.n_layers))

    def do_matrix(self, name: str) -> None:
        """Look at the numbers of a matrix."""
        self.flow.set(matrix=name)

    def do_look(self, words: Sequence[str]) -> None:
        """Look at the nearest texts of some; a part of a text is enough."""
        texts, found = list(self.flow["opened"].label_of), list[str]()
        for part in words:
            matches = [text for text in texts if part in (text, printable(text))]
            matches += [text for text in texts if part.lower() in text.lower()]
            if not matches:
                raise KeyError(f"none of the {len(texts):,} test texts holds {part!r}")
            found.append(matches[0])
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
        """Save the small network; never over the network itself."""
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

    def do_download(self, format: str = OWN.name) -> None:
        """Send the small network to the browser, part by part."""
        name = f"small{OWN.suffixes[0]}"
        with tempfile.TemporaryDirectory() as folder:
            self._deliver(name, self._fresh().small.save(Path(folder, name)).read_bytes())
