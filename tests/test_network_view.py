"""The panel of a network: its numbers, recipes, training that is watched and ended, layers, weights, the page."""

import re

import numpy as np
import pandas as pd
import pytest
from conftest import PATIENCE, made_fasttext, made_network, made_pieces, made_task, until
from person import OUTSIDE

import workbench as wb

torch = pytest.importorskip("torch")

from workbench import networks  # noqa: E402
from workbench.networks import DropLayers, Each, NgramTokenizer, PruneWeights, Train, measures, training  # noqa: E402
from workbench.views import NetworkPanel, mapper, network_recipes  # noqa: E402

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
INT8, CODES = Each(wb.SQ("int8"), "all"), Each(wb.PQ(8), "embeddings")


@pytest.fixture(scope="module", autouse=True)
def quick_maps():
    """Maps that need no other process: principal components."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapper.Mapper, "layout", lambda _, vectors, start, *rest: (start, 0.9))
        patch.setattr(mapper.Mapper, "warm", lambda _: None)
        yield


@pytest.fixture(scope="module")
def net():
    return made_network(NgramTokenizer.of(made_fasttext()), n_inner=[300, 300, 300])


@pytest.fixture(scope="module")
def task():
    return made_task(40)


@pytest.fixture(scope="module")
def paper(net, task):
    recipe = wb.Chain([DropLayers(1, "0"), PruneWeights(0.5), Train(task, 8), CODES])
    return NetworkPanel(net, task, recipe, interactive=False)


@pytest.fixture
def live(net, task):
    """Makes live panels, and ends them after the test."""
    panels: list[NetworkPanel] = []

    def make(*steps, of=net) -> NetworkPanel:
        panels.append(NetworkPanel(of, task, wb.Chain(steps), interactive=True))
        return panels[-1]

    yield make
    for panel in panels:
        panel.close()
        panel.flow.wait(PATIENCE)


@pytest.fixture
def trained(monkeypatch):
    """Counts trainings."""
    run, begun = training._Loop.run, list[str]()
    monkeypatch.setattr(training._Loop, "run", lambda loop: begun.append("Train") or run(loop))
    return begun


def acted(panel, action, **arguments):
    panel.act(action, **arguments)
    assert panel.status["problem"] == ""
    return panel.wait(PATIENCE)


def field(panel, i, name):
    return next(field for field in panel.rail["steps"][i]["fields"] if field["name"] == name)


def test_numbers_are_those_of_the_card_and_sizes_those_of_files(paper, net, task, tmp_path):
    small = paper.recipe.fit_transform(net)
    expected = networks.card(net, small, task, latency=False)
    pd.testing.assert_frame_equal(paper.card.iloc[: len(expected)], expected)
    assert list(paper.card["metric"][len(expected) :]) == 4 * ["latency"]
    shown = {card["title"]: card["value"] for card in paper.cards["cards"]}
    rows = expected.set_index(["metric", "split"])["value"]
    assert shown == {"Accuracy": rows["accuracy", "compressed"], "Agreement": rows["agreement", "all"]}
    sent = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paper, "_deliver", lambda name, content: sent.append(content))
        acted(paper, "download")
    acted(paper, "save", path=str(tmp_path / "small.safetensors"))
    assert paper.top["save_bytes"] == (tmp_path / "small.safetensors").stat().st_size == paper.network.file_bytes
    assert sent == [(tmp_path / "small.safetensors").read_bytes()]
    assert networks.load(tmp_path / "small.safetensors").predict(task.test.texts) == small.predict(task.test.texts)
    code = paper.export["code"]
    assert wb.recipe_from(code[code.index("wb.Chain(") : code.index("\nsmall =")]).to_json() == paper.recipe.to_json()


def test_first_numbers_are_of_few_texts_and_say_so(live, monkeypatch):
    monkeypatch.setattr("workbench.views.network.N_QUICK", 10)
    panel, seen = live(INT8), list[str]()
    panel.observe(lambda change: seen.extend(card["how"] for card in change["new"]["cards"][:1]), "cards")
    panel.wait(PATIENCE)
    assert seen[-1] == "exact, 40 texts"
    assert acted(panel, "preset", id="codes").cards["cards"][0]["how"] == "exact, 40 texts"
    assert "sampled, seed 0, 10 texts" in seen


def test_a_training_is_not_begun_anew_for_steps_after_it_and_going_back_trains_and_measures_nothing(
    live, task, trained, monkeypatch
):
    panel = live(PruneWeights(0.5), Train(task, 8)).wait(PATIENCE)
    before = panel.cards
    acted(acted(panel, "add", kind="Each"), "set", i=2, name="of.dtype", value="float16")
    assert trained == ["Train"]
    assert len(panel.history["points"]) == 3
    monkeypatch.setattr(measures, "card", None)
    acted(panel, "go_back", id=0)
    assert panel.cards == before
    assert panel.courses["trainings"][0]["is_done"]
    assert trained == ["Train"]


def test_training_is_seen_while_it_runs_and_ends_early_with_the_best_so_far(live, task, monkeypatch):
    monkeypatch.setattr(training, "N_LOOKS", 10_001)
    panel = live(Train(task, 10_000, learning_rate=1e-5))
    until(lambda: panel.courses.get("trainings"))
    assert panel.courses["is_running"]
    panel.act("end_training")
    panel.wait(PATIENCE)
    (course,) = panel.courses["trainings"]
    assert course["is_done"]
    assert course["rows"][-1]["step"] < 10_000
    assert not panel.courses["is_running"]
    assert panel.cards["cards"][0]["title"] == "Accuracy"


def test_a_changed_step_ends_a_training_that_nobody_waits_for(live, task, trained):
    panel = live(Train(task, 1_000_000))
    until(lambda: trained)
    acted(panel, "remove", i=0)
    assert panel.history["points"][0]["brief"] == "the original"


def test_controls_of_a_step_inside_another_have_its_bounds(live):
    panel = live(Each(wb.SQ("int8"), "layers")).wait(PATIENCE)
    assert field(panel, 0, "of")["value"] == "SQ"
    acted(panel, "set", i=0, name="of", value="PQ")
    subvectors = field(panel, 0, "of.n_subvectors")
    assert subvectors["high"] <= 32
    acted(panel, "set", i=0, name="of.n_subvectors", value=subvectors["high"] + 100)
    assert panel.recipe.steps[0].of.n_subvectors == subvectors["high"]
    assert dict(field(panel, 0, "width")["choices"]).keys() >= {None, 4}
    acted(panel, "set", i=0, name="width", value=4)
    assert panel.recipe.steps[0].width == 4
    assert panel.status["errors"] == {}


def test_an_error_stands_at_its_step_in_one_line_and_the_last_numbers_stay(live):
    panel = live(INT8).wait(PATIENCE)
    before = panel.cards
    acted(panel, "add", kind="PruneWeights")
    errors = [step["error"] for step in panel.rail["steps"]]
    assert errors[0] is None
    assert re.fullmatch(r".*is compressed; set weights to zero before that", errors[1])
    assert panel.cards == before
    acted(panel, "move", i=1, to=0)
    assert [step["error"] for step in panel.rail["steps"]] == [None, None]


def test_layers_are_left_out_one_by_one_and_put_back_by_their_numbers_in_the_original(live, net, task):
    panel = live(INT8).wait(PATIENCE)
    table = networks.layer_table(net, task)
    assert [row["cost"] for row in panel.layers["rows"]] == pytest.approx(list(table["cost"]))
    acted(acted(panel, "layer", layer=0), "layer", layer=2)
    assert panel.recipe.steps[0] == DropLayers(2, "0,2")
    assert [row["dropped"] for row in panel.layers["rows"]] == [True, False, True]
    name = "encoder.layer.0.output.dense.weight"
    acted(panel, "matrix", name=name)
    assert panel.weights["original"] == "encoder.layer.1.output.dense.weight"
    acted(acted(panel, "layer", layer=0), "layer", layer=2)
    assert panel.recipe == wb.Chain([INT8])


def test_weights_say_how_many_zeros_and_values_there_are(paper, net):
    acted(paper, "matrix", name="encoder.layer.0.output.dense.weight")
    block, storage = paper.weights, paper.network.weights["encoder.layer.0.output.dense.weight"]
    values = storage.rows(slice(None))
    before, after = block["sides"]
    assert after["zeros"] == np.mean(values == 0) > 0.3 > before["zeros"]
    assert after["distinct"] == len(np.unique(values))
    assert after["bytes"] == storage.nbytes == after["bits"] * values.size / 8
    assert [sum(block["bins"][side]) for side in ("before", "after")] == pytest.approx([1, 1])
    stored = sum(of.nbytes for of in paper.network.weights.values() if len(of) > 1)
    assert sum(row["after"] for row in block["matrices"]) == stored


def test_texts_are_on_maps_with_labels_and_neighbours(paper, task):
    texts = list(dict.fromkeys(task.test.texts))
    assert paper.points["words"] == texts
    assert set(paper.points["labels"]) == set(task.labels)
    acted(paper, "look", words=[texts[3][2:]])
    (looked,) = paper.looked["words"]
    assert looked["word"] == texts[3]
    assert [part["word"] for part in looked["parts"]] == texts[3].split()
    influence = networks.word_influence(paper.network, texts[3])["influence"]
    np.testing.assert_allclose([part["after"] for part in looked["parts"]], influence, atol=1e-6)
    most = max((part[side], part["word"]) for part in looked["parts"] for side in ("before", "after"))
    assert re.findall(r"rgba\(37, 99, 235, 0.45\)'>(\w+)<", paper.page()) == [most[1]]  # the darkest word
    vectors = paper.network.embed(texts)
    cosines = vectors @ vectors[3] / np.linalg.norm(vectors, axis=1)
    first = next(row for row in looked["neighbours"] if row["rank_after"] == 1)
    assert first["word"] == texts[np.argsort(-cosines)[1]]


def test_the_page_has_every_part_and_needs_nothing_else(paper):
    page = paper.page()
    for heading in ("Numbers", "Recipe", "Layers", "Weights", "Maps", "Training"):
        assert f"<h4>{heading}</h4>" in page
    assert "networks.Each(wb.PQ(n_subvectors=8), on=" in page.replace("&#x27;", "'")
    assert not re.search(OUTSIDE, page)


def test_a_network_without_head_or_layers_is_measured_by_its_vectors(task):
    bag = networks.bag(made_fasttext())
    panel = NetworkPanel(bag, task, Each(wb.SQ("int8"), "embeddings"), interactive=False)
    assert [card["title"] for card in panel.cards["cards"]] == ["Cosine", "Nearest text kept"]
    assert panel.layers == {}
    assert {step["kind"] for step in panel.rail["addable"]} == {"Each", "PruneWeights", "Train"}
    assert acted(panel, "add", kind="Train").cards["cards"][0]["title"] == "Accuracy"


def test_a_network_is_measured_by_how_a_teacher_embeds_texts(task):
    bag, texts = networks.bag(made_fasttext()), [*task.train.texts, *task.valid.texts, *task.test.texts]
    longer = np.random.default_rng(0).standard_normal((bag.config.dim, 20))
    taught = networks.Teacher.of(texts, bag.embed(texts) @ longer, "a large one")
    recipe = wb.Chain([Train(taught, 8), Each(wb.SQ("int8"), "embeddings")])
    panel = NetworkPanel(bag, taught, recipe, interactive=False)
    rows = panel.card.set_index(["metric", "split"])["value"]
    shown = {card["title"]: card["value"] for card in panel.cards["cards"]}
    expected = {"Spearman": rows["spearman", "compressed"], "Overlap@10": rows["overlap@10", "compressed"]}
    assert shown == expected
    assert panel.top["expected"] == [*expected]
    assert panel.history["quality"] == "spearman"
    (training,) = panel.courses["trainings"]
    assert training["score_name"] in panel.page()
    assert training["best"]["score"] == max(score for _, score in training["score"]) > 0.8
    assert panel.points["labels"] is None
    assert "the compressed turned to fit the original" in panel.points["sample"]  # 20 numbers beside 12
    assert "networks.Train(task=task, n_steps=8)" in panel.export["code"]
    assert "task = ...  # the texts and vectors that you gave" in panel.export["code"]


def test_a_bert_of_pieces_can_have_fewer_tokens():
    pieces, rng = made_pieces(), np.random.default_rng(0)
    texts = [" ".join(rng.choice([*pieces.vocab], 6)) for _ in range(60)]
    pairs = [(text, ("no", "yes")[i % 2]) for i, text in enumerate(texts)]
    task = networks.Task.of("made up", dict.fromkeys(("train", "test"), pairs))
    net = made_network(pieces, labels=task.labels)
    step = network_recipes.added(wb.Chain([]), "Transplant", None, net, task).steps[0]
    assert step.vocabulary == pieces.n_rows // 2
    step.set_params(vocabulary=pieces.n_rows - 2)
    panel = NetworkPanel(net, task, step, interactive=False)
    assert "Transplant" in {of["kind"] for of in panel.rail["addable"]}
    assert field(panel, 0, "vocabulary")["high"] == pieces.n_rows
    assert panel.network.tokenizer.n_rows == pieces.n_rows - 2
    assert panel.weights["sides"][1]["bytes"] == 128 * (pieces.n_rows - 2)  # of the embeddings
    assert "networks.Transplant(vocabulary=33, texts='made up')" in panel.export["code"]


def test_what_is_no_network_task_or_recipe_of_networks_is_refused(net, task):
    with pytest.raises(TypeError, match=r"expected a Network, as from networks.load\(path\), got FastText|Vectors"):
        NetworkPanel(made_fasttext(), task)
    with pytest.raises(TypeError, match=r"expected a Task or a Teacher, as from networks.load_task\(name\)"):
        NetworkPanel(net, "builtin:articles")
    with pytest.raises(TypeError, match="PQ takes Vectors, not Network; for a network wrap it"):
        NetworkPanel(net, task, wb.PQ(8))
