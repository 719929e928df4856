"""Views of a model beside a small one that is given: live, and as a page."""

import re

import pytest
from test_panel import settled, walk
from test_session import until

import workbench as wb
from workbench.evaluate.contributions import ngram_carriers
from workbench.evaluate.damage import code_damage, damage_groups, word_damage
from workbench.views import DamageView, MapView, NeighbourView
from workbench.views import page as paper
from workbench.views.carriers import carriers_html
from workbench.views.damage import damage_html
from workbench.views.live import view as view_module
from workbench.views.live.damage import DamagePart
from workbench.views.live.mapping import MapsPart
from workbench.views.live.words import WordsPart

KINDS = {"neighbours": NeighbourView, "damage": DamageView, "maps": MapView}
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(scope="module")
def small(fasttext) -> wb.Vectors:
    return wb.Chain([wb.Prune(300, 300), wb.PQ(6, n_bits=4)]).fit_transform(fasttext)


@pytest.fixture(scope="module")
def path(fasttext, tmp_path_factory) -> str:
    return str(fasttext.save(tmp_path_factory.mktemp("models") / "big.safetensors"))


def html_of(view) -> str:
    """All that a live view has in sight."""
    return "".join(getattr(w, "value", "") for w in walk(view.box) if type(w).__name__ == "HTML")


def holds(html: str, state, fasttext, small) -> dict[str, bool]:
    """Which of the parts a page or a view has, each computed anew."""
    v = fasttext.adjusted()
    words = list(state.words)
    changes = wb.neighbour_changes(v, small, words) if words else None
    carriers = [carriers_html(ngram_carriers(v, small, word)) for word in words if word not in small]
    damage = word_damage(v, small)
    return {
        "neighbours": bool(words) and all(text in html for text in (paper.neighbours_html(changes), *carriers)),
        "damage": damage_html(damage, damage_groups(damage), code_damage(v, small, damage)) in html,
        "recipe": "recipe = Chain" in html,
    }


def test_neighbours_live(path, fasttext, small):
    view = NeighbourView(path, small, words=fasttext.words[:1], interactive=True)
    state = settled(view)
    assert holds(html_of(view), state, fasttext, small) == {"neighbours": True, "damage": False, "recipe": False}
    words = view.parts[WordsPart]
    words.word.value = "нигделани"  # unseen
    state = settled(view)
    assert state.words == ("нигделани",)
    assert holds(html_of(view), state, fasttext, small)["neighbours"]
    assert words.ngrams.layout.display is None
    words.ngrams.value = False
    assert words.carriers.layout.display == "none"
    assert (state.maps, state.damage, state.agreement) == (None, None, None)


def test_neighbours_of_a_model_without_ngrams_offer_none(plain):
    view = NeighbourView(plain, wb.PQ(6, n_bits=4).fit_transform(plain), words=plain.words[:1], interactive=True)
    state = settled(view)
    words = view.parts[WordsPart]
    assert paper.neighbours_html(state.changes) == words.neighbours.value
    assert words.ngrams.layout.display == "none"
    assert words.carriers.value == ""
    words.word.value = "unheard-of"
    settled(view)
    assert "unheard-of" in words.messages["words"].value
    assert words.neighbours.value == ""


def test_damage_live_leads_to_neighbours(path, fasttext, small):
    view = DamageView(path, small, interactive=True)
    state = settled(view)
    assert holds(html_of(view), state, fasttext, small) == {"neighbours": False, "damage": True, "recipe": False}
    worst = view.parts[DamagePart].worst
    worst.value = worst.options[1][1]
    state = settled(view)
    assert state.words == (state.damage.words.nsmallest(1, "cosine")["word"].iloc[0],)
    assert holds(html_of(view), state, fasttext, small) == {"neighbours": True, "damage": True, "recipe": False}


def test_maps_live(path, fasttext, small):
    view = MapView(path, small, words=fasttext.words[:1], n_mapped=40, interactive=True)
    state = settled(view)
    assert len(state.maps) == 40
    assert view.parts[MapsPart].maps is not None
    assert holds(html_of(view), state, fasttext, small)["neighbours"]
    assert (state.damage, state.agreement) == (None, None)


@pytest.mark.parametrize("kind", ["neighbours", "damage"])
def test_a_page_for_paper_has_the_same_and_no_scripts(path, fasttext, small, shown, kind):
    words = {"words": fasttext.words[:2]} if kind == "neighbours" else {}
    view = KINDS[kind](path, small, interactive=False, **words)
    view._ipython_display_()
    (html,) = shown
    expected = {"neighbours": False, "damage": False, "recipe": False} | {kind: True}
    assert holds(html.data, view.wait(), fasttext, small) == expected
    assert not re.search("https?://|<script|<link|@import", html.data)
    assert not hasattr(view, "box")


@pytest.mark.parametrize("kind", ["neighbours", "damage"])
def test_a_live_view_leaves_its_page(path, fasttext, small, shown, kind):
    view = KINDS[kind](path, small, interactive=True)
    settled(view)
    view._ipython_display_()
    page, box = shown
    assert box is view.box
    assert holds(page.data, view.wait(), fasttext, small)[kind] == (kind == "damage")  # no word is looked at yet
    view.parts[WordsPart].word.value = fasttext.words[3]
    state = settled(view)
    until(lambda: shown[-1] is not box)
    assert holds(shown[-1].data, state, fasttext, small)["neighbours"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_model_that_cannot_be_opened_is_said_in_the_view(small, kind):
    view = KINDS[kind]("nowhere/at-all.bin", small, interactive=True)
    settled(view)
    assert "at-all.bin does not exist" in html_of(view)
    with pytest.raises(FileNotFoundError):
        KINDS[kind]("nowhere/at-all.bin", small, interactive=False)


def test_models_of_other_dimensions_are_said_to_be_so(plain):
    narrow = wb.Vectors.from_arrays(plain.words, plain.get_vectors(plain.words)[:, :5])
    view = DamageView(plain, narrow, interactive=True)
    settled(view)
    assert "dimensions" in view.parts[DamagePart].messages["damage"].value


def test_a_view_ends_when_its_cell_is_run_again_unless_it_stands_elsewhere(path, small, shown, monkeypatch):
    monkeypatch.setattr(view_module, "places", view_module.Places())

    def run(cell: str, message: str, *views) -> list[bool]:
        """Show views in a run of a cell; which of all views still live?"""
        asked = {"metadata": {"cellId": cell}, "header": {"msg_id": message}}
        monkeypatch.setattr(view_module, "asked", lambda: asked)
        for view in views:
            view._ipython_display_()
        return [view.box.comm is not None for view in (first, second, third)]

    first, second, third = (NeighbourView(path, small, interactive=True) for _ in range(3))
    assert run("a", "1", first, second) == [True, True, True]
    assert run("b", "2", second) == [True, True, True]
    assert run("a", "3", third) == [False, True, True]  # the second stands in cell b
    assert run("a", "4", third) == [False, True, True]  # the same again
    assert run("b", "5", third) == [False, False, True]
    assert first.parts[WordsPart].word.comm is None
    until(lambda: not first.session.is_busy)
