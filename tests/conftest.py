"""Fixtures: real data where it is at hand, small models made on the spot, and a browser."""

import fcntl
import json
import mmap
import os
import shutil
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import count
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

import browser as harness
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from safetensors import safe_open

import workbench as wb
from workbench.storage import Dense, Stacked
from workbench.subwords import FinalfusionBuckets, ListedNgrams, Subwords
from workbench.vocab import Vocab

settings.register_profile("the same everywhere", deadline=None, derandomize=True)  # however slow the machine is
settings.load_profile("the same everywhere")
PATIENCE = 120  # seconds for whatever must happen; it takes one or two where nothing else runs
OPEN = pytest.StashKey()  # the browser context of a module
LONGEST = "browser browser_core panel search project reports setting training_view bottleneck cli"


def pytest_configure() -> None:
    """Let tests interrupt themselves and others: what a shell starts in the background ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores, since many tests wait for a browser or another process."""
    return min(4, len(os.sched_getaffinity(0)) + 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long files first: at the end one core would wait for another."""
    place = {f"test_{name}": at for at, name in enumerate(LONGEST.split())}  # the longest first
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(scope="module")
def client():
    """A Dask client with two workers."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def real():
    """Path of a real file outside the project, or a skip that names it."""

    def find(path: str) -> Path:
        folder = os.environ.get("WORKBENCH_TEST_DATA")
        if not folder:
            pytest.skip(f"{path}: WORKBENCH_TEST_DATA is not set")
        found = Path(folder) / path
        if not found.exists():
            pytest.skip(f"{found} is absent")
        return found

    return find


def described(path: Path) -> dict:
    """What the header of a file of ours says."""
    with safe_open(path, "np") as file:
        return json.loads(file.metadata()["workbench"])


def is_mapped(array: np.ndarray) -> bool:
    """Whether the numbers are in a mapped file."""
    base: Any = array
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    return isinstance(base, np.memmap) or isinstance(getattr(base, "obj", None), mmap.mmap)


def made_words(n: int, seed: int = 0) -> list[str]:
    """Words of two to four syllables, so that they share n-grams as real words do."""
    rng = np.random.default_rng(seed)
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"] + ["же", "ла", "ни", "ст"]
    words: dict[str, None] = {}
    while len(words) < n:
        words["".join(rng.choice(syllables, size=rng.integers(2, 5)))] = None
    return list(words)


def made_fasttext(n_words: int = 700, n_buckets: int = 3_000, dim: int = 12, seed: int = 0) -> wb.Vectors:
    """A raw fastText-like model in memory; its vocabulary is *not* sorted by count."""
    rng = np.random.default_rng(seed)
    counts = rng.permutation(np.arange(1, n_words + 1) ** 2)
    vocab = Vocab(made_words(n_words, seed), counts=counts, subwords=Subwords(3, 5, n_buckets, raw=True))
    words, ngrams = (rng.normal(1, 3, (n, dim)).astype(np.float32) for n in (n_words, n_buckets))
    return wb.Vectors(vocab, Stacked(Dense(words), Dense(ngrams)), {"provenance": {"source": "made up"}})


def made_of_kind(kind: str) -> wb.Vectors:
    """The same word rows and n-gram rows, raw, with n-grams of another kind; explicit ones share rows."""
    v = made_fasttext()
    if kind == "finalfusion":
        subwords: Subwords = FinalfusionBuckets(3, 5, 2_048, raw=True)
    else:
        found = list(dict.fromkeys(text for word in v.words[:600] for text in v.vocab.subwords.ngrams(word)))
        subwords = ListedNgrams(3, 5, found, (7 * np.arange(len(found)) % 1_999).astype(np.int32), raw=True)
    rows = Dense(v.storage.ngrams.matrix[: subwords.n_rows])
    return v.with_storage(Stacked(v.storage.words, rows), v.vocab.with_subwords(subwords))


def made_plain(n_words: int = 700, dim: int = 12, seed: int = 0) -> wb.Vectors:
    """A model without n-grams."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n_words, dim)).astype(np.float32)
    return wb.Vectors.from_arrays(made_words(n_words, seed), matrix, rng.integers(1, 99, n_words))


def made_items(n: int = 200, n_users: int = 40, seed: int = 0, with_examples: bool = True):
    """`Items` of five kinds; a user wants one kind."""
    from workbench.semantic.examples import of_interactions
    from workbench.semantic.items import Items

    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 5, n)
    features = (np.eye(5)[kinds] @ rng.normal(size=(5, 12)) + 0.3 * rng.normal(size=(n, 12))).astype(np.float32)
    users = np.repeat(np.arange(n_users), 12)
    wanted = rng.integers(0, 5, n_users)
    rows = np.array([rng.choice(np.flatnonzero(kinds == wanted[user])) for user in users])
    examples = of_interactions(users, rows, np.arange(len(users)), features, 10) if with_examples else None
    ids = tuple(f"item{i}" for i in range(n))
    names = tuple(f"thing {i} of kind {kind}" for i, kind in enumerate(kinds))
    return Items(ids, names, None, pd.DataFrame(index=range(n)), features, examples, "made up")


def made_pieces():
    """A WordPiece tokenizer of a few letters and words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    from workbench.networks import PieceTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "cat", "dog", "##s", "and", "sleep", *"abcdefghijklmnopqrstuvwxyz"]
    fast = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    fast.normalizer, fast.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PieceTokenizer(fast.to_str())


def made_network(tokenizer, kind: str = "bert", labels=("no", "perhaps", "yes"), dim: int = 32, **shape):
    """A network with random weights."""
    from workbench.networks import Config, Network

    layers = {"n_inner": [96], "n_heads": 4} if kind == "bert" else {}
    config = Config(kind, dim, labels=labels, **{"max_tokens": 64} | layers | shape)
    rng = np.random.default_rng(0)
    weights = {
        name: Dense((0.2 * rng.normal(size=(1, *shape)[-2:]) + ("LayerNorm.weight" in name)).astype(np.float32))
        for name, shape in config.shapes(tokenizer.n_rows).items()
    }
    return Network(config, weights, tokenizer)


def made_task(n_texts: int = 240, seed: int = 0, unlabelled: int = 0):
    """A task of three labels: a few words in a text tell which, the others do not; words of `made_words`."""
    from workbench.networks import Task

    rng, words = np.random.default_rng(seed), made_words(300)

    def pair() -> tuple[str, str]:
        label = rng.integers(3)
        told = [words[10 * label + i] for i in rng.integers(10, size=2)]
        return " ".join(rng.permutation([*told, *rng.choice(words[30:], 4)])), ("no", "perhaps", "yes")[label]

    parts = {part: [pair() for _ in range(n_texts)] for part in ("train", "valid", "test")}
    return Task.of("made up", parts, [pair()[0] for _ in range(unlabelled)])


@pytest.fixture(scope="session")
def fasttext() -> wb.Vectors:
    return made_fasttext()


@pytest.fixture(scope="session")
def plain() -> wb.Vectors:
    return made_plain()


@pytest.fixture(scope="session")
def builtin(tmp_path_factory) -> wb.Vectors:
    """The built-in model. One process trains it where it is not there yet, and the others wait."""
    with open(tmp_path_factory.getbasetemp().parent / "builtin.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return wb.load("builtin:en")


def until(condition: Callable[[], object]) -> None:
    """Wait for something that no event announces."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.005)


def text_in(figure) -> str:
    """All visible text of a figure, once it has been drawn."""
    from matplotlib.text import Text

    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())


class Gate:
    """A function that waits in its first call until it is let go."""

    def __init__(self, function: Callable):
        self.function = function
        self._reached, self._open = threading.Event(), threading.Event()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if not self._reached.is_set():
            self._reached.set()
            assert self._open.wait(PATIENCE)
        return self.function(*arguments, **options)

    def reach(self) -> None:
        """Wait until somebody stands before the gate."""
        assert self._reached.wait(PATIENCE)

    def open(self) -> None:
        self._open.set()


class Room:
    """Counts the threads inside functions."""

    def __init__(self) -> None:
        self.inside = self.most = self.entered = 0
        self._lock = threading.Lock()

    def watch(self, function: Callable) -> Callable:
        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self.inside += 1
                self.entered += 1
                self.most = max(self.most, self.inside)
            try:
                time.sleep(0.001)  # another thread comes in now, if it may
                return function(*arguments, **options)
            finally:
                with self._lock:
                    self.inside -= 1

        return call


class Output(list):
    """What a cell displays, and what is put in its place later, in this order."""

    @property
    def page(self) -> str:
        """The page that stays in the notebook, as it is now."""
        return [thing.data for thing in self if hasattr(thing, "data")][-1]


@pytest.fixture
def refusal(tmp_path):
    """The message with which a file is refused: one line that names it, at no cost of memory or disk."""

    def message(data_or_path, error=ValueError, memory=4_000_000, load=wb.load) -> str:
        path = data_or_path
        if isinstance(path, bytes):
            path = tmp_path / "model"
            path.write_bytes(data_or_path)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(error):
            load(path)  # imports what is imported late, so that it does not count below
        tracemalloc.start()
        with pytest.raises(error) as caught:
            load(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert caught.type is error
        assert peak < memory
        assert sorted(tmp_path.rglob("*")) == before
        said = str(caught.value)
        assert said.startswith(str(path))
        assert len(said) < 800
        assert "\n" not in said
        return said.removeprefix(str(path))

    return message


@pytest.fixture
def shown(monkeypatch) -> Output:
    """What views that are displayed leave in a notebook."""
    output = Output()

    def display(thing, display_id=False, **_):
        output.append(thing)
        return SimpleNamespace(update=output.append) if display_id else None

    monkeypatch.setattr("workbench.views.widget.display", display)
    return output


@pytest.fixture
def use():
    """Gives live views to a person once they are ready, and ends them after the test."""
    from person import Person  # widgets take a while to import

    people: list[Person] = []

    def use(view, ready: bool = True) -> Person:
        people.append(Person(view))
        if ready:
            people[-1].wait()
        return people[-1]

    yield use
    for person in people:
        person.view.close()
        person.view.wait(PATIENCE)  # Python must not end in the midst of a kernel


@pytest.fixture(scope="module")
def begun(fasttext, tmp_path_factory):
    from person import Person, opened  # widgets take a while to import

    model = fasttext.save(tmp_path_factory.mktemp("models") / "big.safetensors")
    person = Person(opened(str(model), words=fasttext.words[:2]))
    yield person
    person.view.close()
    person.view.wait(PATIENCE)  # Python must not end in the midst of a kernel


@pytest.fixture
def panel(begun):
    """The panel of this module where it began; it goes back there after each test."""
    view = begun.wait()
    first = {name: getattr(view, name) for name in ("source", "recipe", "limit", "words")}
    yield begun
    for name, value in first.items():
        setattr(view, name, value)


@pytest.fixture
def gate(monkeypatch):
    """Makes the next call of a function wait; all are let go when the test is over."""
    made: list[Gate] = []

    def gate(name: str) -> Gate:
        made.append(new := Gate(resolve_name(name)))
        monkeypatch.setattr(name, lambda *arguments, **options: new(*arguments, **options))
        return new

    yield gate
    for each in made:
        each.open()


@pytest.fixture
def counted(monkeypatch):
    """Counts the calls of a function from now on."""

    def counted(name: str) -> Room:
        room = Room()
        monkeypatch.setattr(name, room.watch(resolve_name(name)))
        return room

    return counted


@pytest.fixture(scope="module")
def browser(request, tmp_path_factory):
    """Opens a copy of a notebook, or one of new cells, in JupyterLab; one server for each test module.

    When a test of the module fails, a screenshot stays in `harness.PICTURES`.
    """
    executable = harness.chromium()
    if executable is None:
        pytest.skip("no Chromium here: `apt-get install chromium`, or name one in WORKBENCH_CHROMIUM")
    folder = tmp_path_factory.mktemp("lab")
    with harness.jupyterlab(folder) as address, harness.started(executable) as chromium:
        context = chromium.new_context(viewport={"width": 1280, "height": 1000})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        numbers = count()

        def opened(notebook: Path | Sequence[str]) -> harness.Notebook:
            if isinstance(notebook, Path):
                path = Path(shutil.copy(notebook, folder))
            else:
                path = harness.written(notebook, folder / f"cells-{next(numbers)}.ipynb")
            return harness.Notebook(context.new_page(), f"{address}/lab/tree/{path.name}?reset")

        request.node.stash[OPEN] = context
        yield opened
        context.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    context = item.parent.stash.get(OPEN, None)
    if report.failed and context is not None:
        for number, page in enumerate(context.pages):
            harness.PICTURES.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=harness.PICTURES / f"{item.name}-{call.when}-{number}.png")
    return report
