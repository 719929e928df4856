"""Views of a model beside a small one that is given: live, and as a page."""

import numpy as np
import pandas as pd
import pytest
from person import OUTSIDE, Person, text_of

import workbench as wb
from workbench.evaluate.contributions import ngram_carriers
from workbench.evaluate.damage import code_damage, damage_groups, word_damage
from workbench.subwords import Subwords
from workbench.views import DamageView, MapView, NeighbourView
from workbench.vocab import Vocab

UNSEEN = "нигделани"
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(scope="module")
def small(fasttext) -> wb.Vectors:
    return wb.Chain([wb.Prune(300, 300), wb.PQ(6, n_bits=4)]).fit_transform(fasttext)


def parts(html: str) -> set[str]:
    """Which parts a page or a view has."""
    text = text_of(html)
    found = {
        "neighbours": "neighbours kept" in text,
        "damage": "fate" in text,
        "numbers": "Size of the file" in text,
        "recipe": "recipe = Chain" in text,
    }
    return {part for part, is_there in found.items() if is_there}


def test_neighbours_live(use, fasttext, small):
    view = use(NeighbourView(fasttext, small, words=fasttext.words[:1], interactive=True))
    state = view.wait()
    assert parts(view.html) == {"neighbours"}
    assert (state.maps, state.damage, state.agreement) == (None, None, None)  # nobody looks at them
    dropped = next(word for word in fasttext.words if word not in small)
    state = view.change({"Word": f"{small.words[5]} {dropped} {UNSEEN}"})
    expected = wb.neighbour_changes(fasttext.adjusted(), small, list(state.words))
    pd.testing.assert_frame_equal(state.changes, expected)
    assert list(state.carriers) == [dropped, UNSEEN]  # of the words without a row of their own
    for word, carriers in state.carriers.items():
        pd.testing.assert_frame_equal(carriers, ngram_carriers(fasttext.adjusted(), small, word))
        assert f"<{word[:3]}" in carriers["ngram"].tolist()
    (toggle,) = view.labels("Show the n-grams")
    assert f"<{UNSEEN[:3]}" in view.text
    view.set(toggle, False)
    assert f"<{UNSEEN[:3]}" not in view.text
    view.change({"Word": ""})
    assert parts(view.html) == set()


def test_models_whose_ngrams_cannot_be_compared_have_neighbours_all_the_same(use, fasttext):
    small = fasttext.with_storage(fasttext.storage, Vocab(fasttext.words, subwords=Subwords(2, 3, 3_000)))
    view = use(NeighbourView(fasttext, small, words=[UNSEEN, fasttext.words[0]], interactive=True))
    state = view.wait()
    assert view.alerts == []
    assert set(state.changes["word"]) == {UNSEEN, fasttext.words[0]}
    assert dict(state.carriers) == {}


def test_neighbours_of_a_model_without_ngrams_offer_none(use, plain):
    view = use(NeighbourView(plain, wb.PQ(6, n_bits=4).fit_transform(plain), words=plain.words[:1], interactive=True))
    assert parts(view.html) == {"neighbours"}
    assert view.labels("Show the n-grams") == []
    view.change({"Word": "unheard-of"})
    assert "unheard-of" in view.alerts[0]
    assert parts(view.html) == set()
    view.change({"Word": plain.words[3]})
    assert view.alerts == []
    assert f"{plain.words[3]}: " in view.text


def test_damage_live_is_that_of_the_whole_vocabulary_and_leads_to_neighbours(use, fasttext, small):
    view = use(DamageView(fasttext, small, interactive=True))
    state = view.wait()
    assert parts(view.html) == {"damage"}
    v = fasttext.adjusted()
    words = word_damage(v, small)
    for found, expected in zip(state.damage, (words, damage_groups(words), code_damage(v, small, words)), strict=True):
        pd.testing.assert_frame_equal(found, expected)
    view.set("Most damaged", view.options("Most damaged")[1])
    assert view.wait().words == (words.nsmallest(1, "cosine")["word"].iloc[0],)
    assert parts(view.html) == {"damage", "neighbours"}


@pytest.mark.parametrize(
    ("kind", "expected", "n_pictures"),
    [(NeighbourView, {"neighbours"}, 0), (DamageView, {"damage"}, 1), (MapView, set(), 1)],
)
def test_a_page_for_paper_has_the_same_and_no_scripts(fasttext, small, shown, monkeypatch, kind, expected, n_pictures):
    monkeypatch.setattr("workbench.views.session.umap_layout", lambda vectors, start, *_: (start, 0.9))
    options = {DamageView: {}, NeighbourView: {"words": fasttext.words[:2]}, MapView: {"n_mapped": 40}}[kind]
    kind(fasttext, small, interactive=False, **options)._ipython_display_()
    assert len(shown) == 1
    assert parts(shown.page) == expected
    assert shown.page.count("src='data:image/png;base64,") == n_pictures
    assert not OUTSIDE.search(shown.page)


@pytest.mark.parametrize("kind", [NeighbourView, DamageView, MapView])
def test_a_model_that_cannot_be_opened_is_said_in_the_view(use, small, kind):
    view = use(kind("nowhere/at-all.bin", small, interactive=True))
    assert "at-all.bin does not exist" in view.alerts[0]
    with pytest.raises(FileNotFoundError):
        kind("nowhere/at-all.bin", small, interactive=False)


def test_models_of_other_dimensions_are_said_to_be_so_and_have_neighbours(use, plain):
    view = use(DamageView(plain, wb.Vectors.from_arrays(plain.words, plain.matrix()[:, :5]), interactive=True))
    assert "dimensions" in view.alerts[0]
    view.change({"Word": plain.words[0]})
    assert parts(view.html) == {"neighbours"}  # which are each model's own


def test_a_view_ends_when_its_cell_is_run_again_unless_it_stands_elsewhere(fasttext, small, shown, monkeypatch):
    views = [NeighbourView(fasttext, small, interactive=True) for _ in range(3)]
    alive = []
    for message, (cell, displayed) in enumerate([("a", [0, 1]), ("b", [1]), ("a", [2]), ("a", [2]), ("b", [2])]):
        header = {"metadata": {"cellId": cell}, "header": {"msg_id": str(message)}}
        monkeypatch.setattr("workbench.views.live.view.asked", lambda header=header: header)
        for number in displayed:
            views[number]._ipython_display_()
        alive.append([number for number, view in enumerate(views) if view.box.comm is not None])
    assert alive == [[0, 1, 2], [0, 1, 2], [1, 2], [1, 2], [2]]  # the second stands in cell b too


# -- linked maps ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mapped(fasttext):
    """A live view of maps with words of all kinds: with own rows, rebuilt, and without a vector."""
    small = wb.Chain([wb.Prune(300, 40), wb.PQ(6, n_bits=4)]).fit_transform(fasttext)
    labels = {word: word[0] for word in fasttext.words}
    view = Person(MapView(fasttext, small, words=fasttext.words[:1], labels=labels, n_mapped=400, interactive=True))
    yield view
    view.view.close()


@pytest.fixture
def maps(mapped):
    """Its figure, once UMAP is drawn and nothing is selected."""
    mapped.wait()
    figure = mapped.figure("wb-maps")
    yield figure
    mapped.press("Clear selection")
    mapped.set("Show the original drawn again", False)


def selected(figure) -> list[list[int]]:
    return [sorted({*(trace.selectedpoints if trace.selectedpoints is not None else [])}) for trace in figure.data[:2]]


def test_maps_live(mapped, maps, fasttext):
    state = mapped.wait()
    assert (len(state.maps), state.maps.attrs["method"], state.damage) == (400, "UMAP", None)
    assert parts(mapped.html) == {"neighbours"}
    for trace, side in zip(maps.data[:2], ("before", "after"), strict=True):
        assert np.allclose([trace.x, trace.y], state.maps[[f"x_{side}", f"y_{side}"]].T, equal_nan=True)
        assert [text.split("<br>")[0] for text in trace.text] == list(state.maps["word"])


@pytest.mark.parametrize("side", [0, 1])
def test_what_is_done_on_one_map_is_so_on_both(mapped, maps, side):
    words = list(mapped.wait().maps["word"])
    mapped.does("hover", maps, [9], side)
    assert f"{words[9]}: rank " in mapped.text
    rings = maps.data[4:]
    assert [ring.x[0] for ring in rings] == [trace.x[9] for trace in maps.data[:2]]
    mapped.does("unhover", maps, [9], side)
    assert [len(ring.x) for ring in rings] == [0, 0]
    mapped.does("selected", maps, [3, 9, 30], side)
    assert selected(maps) == [[3, 9, 30]] * 2
    assert f"3 selected: {words[3]}, {words[9]}" in mapped.text
    mapped.press("Clear selection")
    assert selected(maps) == [[], []]
    mapped.does("click", maps, [9], side)
    assert mapped.wait().words == (words[9],)
    assert all(f"<b>{words[9]}</b>" in trace.text for trace in maps.data[2:4])


def test_a_search_selects_all_words_that_contain_it_and_says_how_many(mapped, maps):
    words = list(mapped.wait().maps["word"])
    part = words[0][:2]
    mapped.set("Find on the map", part.upper())
    found = [i for i, word in enumerate(words) if part in word]
    assert selected(maps) == [found] * 2
    assert f"{len(found)} words on the map contain" in mapped.text
    mapped.set("Find on the map", "<b>nothing")
    assert selected(maps) == [[], []]
    assert "<b>nothing" not in mapped.html


def test_the_original_drawn_again_takes_the_right_maps_place_and_the_selection_stays(mapped, maps):
    frame = mapped.wait().maps
    mapped.does("selected", maps, [3, 9])
    for again, side in ((True, "control"), (False, "after")):
        mapped.set("Show the original drawn again", again)
        assert np.allclose(maps.data[0].x, frame["x_before"])
        assert np.allclose(maps.data[1].x, frame[f"x_{side}"], equal_nan=True)
        assert selected(maps) == [[3, 9]] * 2


def test_points_are_coloured_by_what_is_chosen_and_levels_belong_to_codes(mapped, maps):
    seen = []

    def note() -> None:
        seen.append(np.array(maps.data[0].marker.color))
        assert np.array_equal(seen[-1], maps.data[1].marker.color)

    assert not mapped.has("Level")
    for by in mapped.options("Colour by"):
        mapped.set("Colour by", by)
        note()
        if mapped.has("Level"):
            mapped.set("Level", "2")
            note()
    assert len({colours.tobytes() for colours in seen}) == 5  # damage, frequency, two levels of codes, labels
    mapped.set("Colour by", mapped.options("Colour by")[0])
