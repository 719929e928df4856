"""What is shown of semantic ids is what they say: the map, the tree, similar items, and the view around them."""

import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from conftest import until
from person import OUTSIDE, Person

import workbench as wb
from workbench.evaluate.ids import id_card
from workbench.semantic.ids import SemanticIDs
from workbench.views import IdsView, id_map, id_map_figure, mapper, similar_tables, tree_figure, tree_table
from workbench.views.colours import LABELS
from workbench.views.ids import code_colours, find_item
from workbench.views.ids_page import CARD, card_html, similar_html

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
FRUIT = ("apple", "banana", "cherry", "damson", "elder", "fig", "grape", "hazel", "ilama", "jambul", "kiwi", "lemon")


def made(n: int = 120, n_levels: int = 3, size: int = 12, seed: int = 0) -> SemanticIDs:
    """Ids whose small codes are frequent, with codebooks whose levels become finer."""
    rng = np.random.default_rng(seed)
    codes = np.minimum(rng.geometric(0.25, (n, n_levels)) - 1, size - 1)
    codebooks = rng.normal(size=(n_levels, size, 8)) / 4.0 ** np.arange(n_levels)[:, None, None]
    names = [f"{FRUIT[first]} {i}" for i, first in enumerate(codes[:, 0])]
    return SemanticIDs([f"item{i}" for i in range(n)], codes, codebooks, names)


@pytest.fixture(scope="module")
def ids() -> SemanticIDs:
    return made()


@pytest.fixture(scope="module")
def vectors(ids) -> np.ndarray:
    return ids.decode() + np.random.default_rng(1).normal(0, 0.1, (len(ids), 8)).astype(np.float32)


@pytest.fixture(scope="module")
def frame(ids, vectors) -> pd.DataFrame:
    return id_map(ids, vectors, layout=None)


def quick(vectors, start, n_neighbors, seed, again):
    """In place of UMAP: takes no time, and is told from principal components."""
    return 2 * start, 0.9


@pytest.fixture
def without_umap(monkeypatch):
    monkeypatch.setattr(mapper.shared, "warm", lambda: None)
    monkeypatch.setattr(mapper.shared, "layout", lambda owner, *arguments: quick(*arguments))


# -- the tree -----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [(), (0,), (1, 0)])
def test_branches_count_their_items_add_up_and_show_the_most_populous(ids, prefix):
    tree = tree_table(ids, 3, prefix, most=(4, 2))
    whole, name_of = tree.iloc[0], dict(zip(ids.items, ids.names, strict=True))
    assert (whole["prefix"], whole["count"]) == (prefix, len(ids.with_prefix(prefix)))
    for entry in tree[tree["n_joined"] == 0].itertuples():
        is_below = [p[: entry.level] == entry.prefix for p in tree["prefix"]]
        below = tree[is_below][lambda rows, level=entry.level + 1: rows["level"] == level]
        items = ids.with_prefix(entry.prefix)
        assert (entry.count, entry.share) == (len(items), len(items) / whole["count"])
        assert set(entry.exemplars) <= {name_of[item] for item in items}
        if entry.level == 3:
            assert below.empty
            continue
        shown, joined = below[below["n_joined"] == 0], below[below["n_joined"] > 0]
        counts = sorted(Counter(ids[item][entry.level] for item in items).values(), reverse=True)
        n_shown = (4, 2, 2)[entry.level - len(prefix)]
        n_shown += len(counts) == n_shown + 1  # the last one alone is a branch too
        assert list(shown["count"]) == counts[:n_shown]
        assert list(joined["count"]) == [sum(counts[n_shown:])] * bool(counts[n_shown:])
        assert joined["n_joined"].sum() == len(counts[n_shown:])


def test_a_tree_that_cannot_be_says_why(ids):
    with pytest.raises(ValueError, match="no item has an id that begins with 11-11-11"):
        tree_table(ids, prefix=(11, 11, 11))
    for depth, most in ((0, (2,)), (1, ()), (1, (0,))):
        with pytest.raises(ValueError, match="at least 1"):
            tree_table(ids, depth, most=most)


# -- the map ------------------------------------------------------------------------------


def test_the_map_has_every_item_with_its_codes_by_the_vectors_that_are_given(ids, vectors):
    frame = id_map(ids, vectors, layout=quick)
    assert list(frame["item"]) == list(ids.items)
    assert frame[["code_1", "code_2", "code_3"]].to_numpy().tolist() == ids.codes.tolist()
    assert frame.attrs["sample"] == "all 120 items, by their original vectors"
    assert frame.attrs["method"] == "UMAP"
    decoded = id_map(ids, layout=quick)
    assert decoded.attrs["sample"] == "all 120 items, by their decoded vectors"
    assert not decoded["x"].equals(frame["x"])
    preview = id_map(ids, vectors, layout=None).attrs
    assert preview["method"] == "PCA"
    assert 0.5 < preview["trustworthiness"] <= 1


def test_a_sample_is_said_to_be_one_and_keeps_what_it_must(ids):
    kept = ids.items[70:73]
    frame = id_map(ids, n_items=20, layout=None, keep=kept)
    assert frame.attrs["sample"].startswith("20 of 120 items, sampled, seed 0")
    assert set(kept) < set(frame["item"])
    assert frame["item"].is_unique
    assert frame.equals(id_map(ids, n_items=20, layout=None, keep=kept))
    assert not frame["item"].equals(id_map(ids, n_items=20, layout=None, random_state=1, keep=kept)["item"])


def test_vectors_follow_the_items_and_wrong_ones_are_refused(ids, vectors):
    backwards = wb.Vectors.from_arrays(ids.items[::-1], vectors[::-1])
    assert id_map(ids, backwards, layout=None).equals(id_map(ids, vectors, layout=None))
    bad = vectors.copy()
    bad[7, 2] = np.nan
    for of, given, kind, said in (
        (ids, vectors[:3], ValueError, "expected vectors of shape (120, dim), a row for each item, got (3, 8)"),
        (ids, bad, ValueError, "item 'item7' holds NaN"),
        (ids, wb.Vectors.from_arrays(ids.items[:-1], vectors[:-1]), KeyError, "item119"),
        (ids, vectors[:, :1], ValueError, "at least 2 dimensions"),
        (SemanticIDs(ids.items, ids.codes), None, ValueError, "give their vectors"),
    ):
        with pytest.raises(kind, match=re.escape(said)):
            id_map(of, given, layout=None)
    for given, options, said in ((vectors[:3], {}, "a row for each item"), (None, {"n_items": 0}, "n_items >= 1")):
        with pytest.raises(ValueError, match=said):
            IdsView(ids, given, interactive=True, **options)  # at once


@pytest.mark.parametrize(("level", "prefix"), [(1, ()), (2, (0,))])
def test_a_legend_counts_every_point_once_and_names_the_most_populous_codes(ids, frame, level, prefix):
    look = code_colours(frame, level, prefix)
    assert sum(int(entry.name.rsplit(": ", 1)[1].replace(",", "")) for entry in look.legend) == len(frame)
    counts = Counter(ids[item][level - 1] for item in ids.with_prefix(prefix))
    named = [entry for entry in look.legend if entry.name.startswith("code ")]
    shown = {int(code): int(n) for code, n in (e.name.removeprefix("code ").split(": ") for e in named)}
    assert shown.items() <= counts.items()
    assert sorted(shown.values()) == sorted(n for _, n in counts.most_common(len(LABELS)))
    assert len({entry.shape for entry in named}) == len({entry.colour for entry in named}) == len(named)


def test_figures_show_names_as_they_are(ids, frame, vectors):
    odd = SemanticIDs(ids.items, ids.codes, ids.codebooks, ["$x^$ \udcff <b>" + "y" * 90] * len(ids))
    marked = id_map_figure(id_map(odd, layout=None), marked=["item3"])
    for picture in (tree_figure(odd), tree_figure(odd, prefix=ids["item0"]), marked, id_map_figure(frame, 3, (0,))):
        assert picture.png().startswith(b"\x89PNG")
    html = similar_html(odd, similar_tables(odd, vectors, "item3"))
    assert "<b>y" not in html
    assert "&lt;b&gt;" in html


# -- similar items, similar ids -----------------------------------------------------------


def test_similar_tables_agree_with_a_plain_search(ids, vectors):
    similar = similar_tables(ids, vectors, "item5", topn=6)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = dict(zip(ids.items, (units @ units[5]).tolist(), strict=True))
    del cosines["item5"]
    order = sorted(cosines, key=lambda item: -cosines[item])
    shared = {item: next((i for i in range(3) if ids[item][i] != ids["item5"][i]), 3) for item in cosines}
    assert list(similar.by_vector["item"]) == order[:6]
    assert list(similar.by_id["shared"]) == [n for n in sorted(shared.values(), reverse=True)[:6] if n]
    for entry in pd.concat([similar.by_vector, similar.by_id]).itertuples():
        assert entry.cosine == pytest.approx(cosines[entry.item], abs=1e-5)
        assert entry.rank == order.index(entry.item) + 1
        assert (entry.shared, entry.codes) == (shared[entry.item], ids[entry.item])
        assert entry.name == ids.names[ids.items.index(entry.item)]


def test_an_item_is_found_by_what_a_person_may_call_it(ids):
    for text in ("item5", ids.names[5], f"  {ids.names[5].upper()} "):
        assert find_item(ids, text) == "item5"
    films = SemanticIDs(["a", "b"], [[0], [1]], names=["Toy Story (1995)", "Heat (1995)"])
    assert find_item(films, "toy story") == "a"
    meant = {"Toy Storry": "'Toy Story (1995)'", "haet": "'Heat (1995)'", "1995": "'Heat (1995)', 'Toy"}
    for text, said in {**meant, "zzzzzz": "none is spelled like that"}.items():
        with pytest.raises(KeyError, match=re.escape(said)):
            find_item(films, text)


def test_the_page_counts_items_ids_and_entries(use, ids, without_umap):
    view = use(IdsView(ids.disambiguated(), item="item5", interactive=True))
    used = len(set(ids.codes[:, 0].tolist()))
    for said in ("items: 120", "different ids: 120 (100.0% of the items)", f": {used} ({used / 12:.0%}), ",
                 "levels: 3 of 12 entries, 1 to tell equal ids apart"):  # fmt: skip
        assert said in view.text


def test_every_number_of_the_card_is_on_the_page(ids, vectors):
    card = id_card(ids, vectors)
    html = card_html(card)
    assert html.count("<b>") == len(card) >= 9
    for value in card["value"]:
        assert any(f"<b>{value:{form}}</b>" in html for form in (".1%", ".2%", ".4%", ",.1f", ".3f", ",.0f", ".4f"))


# -- the view -----------------------------------------------------------------------------

HEADINGS = ("Numbers", "Map", "Tree of codes", "Selected items", "Similar items, similar ids", CARD)


@pytest.fixture
def view(use, ids, vectors, without_umap) -> Person:
    return use(IdsView(ids, vectors, item="item5", interactive=True))


def headings(page: str) -> list[str]:
    return [heading for heading in HEADINGS if f"<h4>{heading}</h4>" in page]


def test_principal_components_come_first_and_stay_where_the_map_is_cancelled(use, ids, vectors, monkeypatch, gate):
    item = next(item for item in ids.items if item not in set(id_map(ids, n_items=50, layout=None)["item"]))
    monkeypatch.setattr(mapper.shared, "warm", lambda: None)
    draw = gate("workbench.views.mapper.shared.layout")
    draw.function = lambda owner, *arguments: quick(*arguments)
    view = use(IdsView(ids, vectors, item=item, n_items=50, interactive=True), ready=False)
    draw.reach()
    until(lambda: "principal components are shown" in view.text)
    view.press("Cancel")
    draw.open()
    assert view.wait().map.attrs["method"] == "PCA"
    assert "stopped" in view.alerts[0]
    assert view.change({"Items on the map": "120"}).map.attrs["method"] == "UMAP"
    state = view.change({"Items on the map": "50"})
    assert (state.map.attrs["method"], len(state.map), item in set(state.map["item"])) == ("UMAP", 50, True)
    assert view.alerts == []


def test_a_tile_that_is_pressed_is_looked_at_and_the_path_leads_back(view, ids):
    def n_grey() -> int:
        return int((np.asarray(view.figure("wb-id-map").data[0].marker.opacity) < 0.2).sum())

    assert n_grey() == 0
    view.press_tile((0,))
    assert view.wait().prefix == (0,)
    assert n_grey() == len(ids) - len(ids.with_prefix((0,)))
    assert f"not 0: {n_grey()}" in view.text
    view.press_tile(next(prefix for prefix in view.tiles if len(prefix) == 3))
    prefix = view.wait().prefix
    assert not view.can("Show this code")
    assert ids.names[ids.items.index(ids.with_prefix(prefix)[0])] in view.text
    assert view.finish("Show 0").prefix == (0,)
    view.press_tile(())
    assert view.wait().prefix == ()
    assert n_grey() == 0
    assert view.unnamed() == []


def test_a_code_is_chosen_from_the_list_and_a_level_coloured_by(view, ids):
    codes = view.options("Next code")
    assert sorted(int(code.split(":")[0]) for code in codes) == sorted(set(ids.codes[:, 0].tolist()))
    assert codes[0].startswith(f"0: {len(ids.with_prefix((0,)))}, ")
    view.set("Next code", codes[1])
    assert "Level 1 of all items" in view.text  # not before the button is pressed
    view.press("Show this code")
    chosen = int(codes[1].split(":")[0])
    before = view.wait()
    assert before.tree["prefix"][0] == (chosen,)
    assert view.options("Colour by code of level") == ["2", "3"]
    state = view.change({"Colour by code of level": "3"})
    assert f"Level 3 of {chosen}" in view.text
    assert state.tree is before.tree
    assert state.map is before.map


def test_a_point_that_is_clicked_is_looked_at_and_its_tiles_have_a_star(view, ids):
    view.tell_map(clicked=9)
    state = view.wait()
    assert state.similar.item == "item9"
    assert view.get("Item") == ids.names[9]
    assert similar_html(ids, state.similar) in view.html
    starred = {prefix for prefix, label in view.tiles.items() if "★" in label}
    assert starred == {ids["item9"][:n] for n in (1, 2)} & set(state.tree["prefix"]) != set()
    *_, star = view.figure("wb-id-map").data
    assert float(star.x[0]) == pytest.approx(state.map["x"][9])
    assert view.finish("Show its id").prefix == ids["item9"][:2]


def test_points_in_a_lasso_are_counted_by_prefix_and_in_the_tiles(view, ids):
    assert not view.has("Clear selection")
    view.tell_map(selected=list(range(30)))
    assert view.wait().selected == ids.items[:30]
    assert "30 items selected" in view.text
    assert f"({sum(ids[item][0] == 0 for item in ids.items[:30])} selected)" in view.tiles[(0,)]
    points = view.figure("wb-id-map").data[0]
    assert set(points.selectedpoints) == set(range(30))
    assert view.finish("Clear selection").selected == ()
    assert points.selectedpoints is None


def test_an_item_that_is_not_there_gets_a_message_with_some_that_are(view):
    view.change({"Item": "appel"})
    assert "there is no item 'appel'; spelled most like it: 'apple" in view.alerts[0]
    assert not view.can("Show its id")
    offered = view.options("Item")[0]
    assert offered.startswith("apple")
    assert view.change({"Item": offered}).similar is not None
    assert view.alerts == []


def test_a_live_view_leaves_its_page_and_follows(view, shown):
    view.view._ipython_display_()
    assert headings(shown.page) == [heading for heading in HEADINGS if heading != "Selected items"]
    view.tell_map(selected=[0, 1, 2])
    view.press_tile((0,))
    state = view.wait()
    until(lambda: ", below 0</h3>" in shown.page)
    assert headings(shown.page) == list(HEADINGS)
    assert similar_html(state.ids, state.similar) in shown.page


def test_a_page_for_paper_has_the_same_and_raises(ids, vectors, view, shown, monkeypatch):
    monkeypatch.setattr("workbench.views.ids_session.umap_layout", quick)
    paper = IdsView(ids, vectors, item="item5", interactive=False)
    paper._ipython_display_()
    assert len(shown) == 1
    assert headings(shown.page) == [heading for heading in HEADINGS if heading != "Selected items"]
    assert shown.page.count("<img") == 2
    assert not OUTSIDE.search(shown.page)
    pd.testing.assert_frame_equal(paper.wait().tree, view.wait().tree)
    pd.testing.assert_frame_equal(paper.wait().map, view.wait().map)
    with pytest.raises(KeyError, match="unheard of"):
        IdsView(ids, vectors, item="unheard of", interactive=False)


@pytest.mark.parametrize("n", [1, 9])
def test_few_items_are_no_trouble(use, n, without_umap):
    view = use(IdsView(made(n), item="item0", interactive=True))
    assert len(view.wait().map) == n
    assert view.alerts == []


def test_ids_without_codebooks_and_vectors_are_shown_without_a_map(ids, shown):
    bare = SemanticIDs(ids.items, ids.codes)
    similar = similar_tables(bare, None, "item5")
    assert similar.by_vector.empty
    assert similar.by_id["cosine"].isna().all()
    IdsView(bare, item="item5", interactive=False)._ipython_display_()
    assert "no vectors are known" in shown.page
    assert "no codebooks" in shown.page
    assert "Tree of codes" in headings(shown.page)


def test_published_ids_are_shown(real, shown):
    published = SemanticIDs.load(real("data/items/amazon_office/Office_Products.index.json"))
    view = IdsView(published, item="5", interactive=False)
    assert view.wait().tree["count"][0] == len(published)
