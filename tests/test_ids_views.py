"""What is shown of semantic ids is what they say: the map, the tree, similar items, and the view around them."""

import re

import numpy as np
import pandas as pd
import pytest
from conftest import until
from matplotlib.colors import to_rgb
from person import OUTSIDE, Person

import workbench as wb
from workbench.evaluate.ids import id_card
from workbench.semantic.ids import SemanticIDs
from workbench.views import IdsView, id_map, id_map_figure, mapper, similar_tables, tree_figure, tree_table
from workbench.views.colours import LABELS
from workbench.views.ids import Named, code_colours, find_item, headline, item_vectors, selected_prefixes
from workbench.views.ids_figures import tiles
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
@pytest.mark.parametrize("seed", range(3))
def test_a_branch_counts_the_items_with_its_prefix_and_branches_add_up(seed, prefix):
    ids = made(seed=seed)
    tree = tree_table(ids, 3, prefix, most=(4, 2))
    whole = tree.iloc[0]
    assert (whole["prefix"], whole["count"]) == (prefix, len(ids.with_prefix(prefix)))
    alone = tree[tree["n_joined"] == 0]
    for entry in alone.itertuples():
        assert entry.count == len(ids.with_prefix(entry.prefix))
        assert entry.share == entry.count / whole["count"]
        level = entry.level + 1
        below = tree[(tree["level"] == level) & tree["prefix"].map(lambda p, e=entry: p[: e.level] == e.prefix)]
        assert below.empty == (entry.level == 3)
        if len(below):
            assert below["count"].sum() == entry.count
            n_shown, most = (below["n_joined"] == 0).sum(), (4, 2, 2)[entry.level - len(prefix)]
            assert n_shown == len(below) <= most + 1 or n_shown == most
    joined = tree[tree["n_joined"] > 0]
    assert (joined["n_joined"] > 1).all()  # one alone would be a branch
    for entry in joined.itertuples():
        shown = alone[(alone["level"] == entry.level) & alone["prefix"].map(lambda p, e=entry: p[:-1] == e.prefix)]
        assert entry.n_joined + len(shown) == len({ids[i][: entry.level] for i in ids.with_prefix(entry.prefix)})


def test_the_tree_shows_the_most_populous_branches_with_items_of_theirs(ids):
    tree = tree_table(ids, 1)
    shown = tree[(tree["level"] == 1) & (tree["n_joined"] == 0)]
    counts = pd.Series(ids.codes[:, 0]).value_counts()
    assert list(shown["count"]) == sorted(counts, reverse=True)[: len(shown)]
    for entry in shown.itertuples():
        assert {name.split()[0] for name in entry.exemplars} == {FRUIT[entry.prefix[0]]}


def test_below_a_whole_id_the_tree_is_its_items(ids):
    tree = tree_table(ids, prefix=ids["item0"])
    assert len(tree) == 1
    assert ids.names[0] in tree["exemplars"][0] or tree["count"][0] > 3


def test_a_tree_that_cannot_be_says_why(ids):
    with pytest.raises(ValueError, match="no item has an id that begins with 11-11-11"):
        tree_table(ids, prefix=(11, 11, 11))
    for depth, most in ((0, (2,)), (1, ()), (1, (0,))):
        with pytest.raises(ValueError, match="at least 1"):
            tree_table(ids, depth, most=most)


@pytest.mark.parametrize("prefix", [(), (0,), (0, 0)])
def test_tiles_fill_their_branch_and_can_be_read(ids, prefix):
    tree = tree_table(ids, prefix=prefix)
    named = Named.among(ids.codes, len(prefix) + 1, prefix)
    placed = tiles(tree, named)
    assert len(placed) == len(tree)
    for tile in placed:
        children = [
            other for other in placed
            if other.column == tile.column + 1 and tile.top - 1e-9 <= other.top < tile.top + tile.height - 1e-9
        ]  # fmt: skip
        if children and not tile.entry.n_joined:
            assert sum(child.height for child in children) == pytest.approx(tile.height)
            assert all(child.entry.prefix[: tile.entry.level] == tile.entry.prefix for child in children)
            alone = [child.height for child in children if not child.entry.n_joined]
            joined = [child.height for child in children if child.entry.n_joined]
            assert not joined or joined[0] <= np.mean(alone) + 1e-9
        assert contrast(tile.colour, tile.ink) >= 4.5
    assert all(tile.mark for tile in placed if tile.colour in LABELS)
    assert len({tile.mark for tile in placed}) > 2


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, as WCAG has it."""
    light = []
    for colour in (one, other):
        parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in to_rgb(colour)]
        light.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


# -- the map ------------------------------------------------------------------------------


def test_the_map_has_every_item_with_its_codes(ids, frame):
    assert list(frame["item"]) == list(ids.items)
    assert frame[["code_1", "code_2", "code_3"]].to_numpy().tolist() == ids.codes.tolist()
    assert frame.attrs["sample"] == "all 120 items, by their original vectors"
    assert frame.attrs["method"] == "PCA"
    assert 0.5 < frame.attrs["trustworthiness"] <= 1


def test_the_map_is_of_the_vectors_that_are_given_else_of_the_decoded_ones(ids, vectors):
    asked = []

    def layout(*arguments):
        asked.append(arguments)
        return quick(*arguments)

    drawn = id_map(ids, vectors, random_state=3, layout=layout)
    assert np.array_equal(asked[0][0], vectors)
    assert asked[0][2:] == (15, 3, False)
    assert drawn.attrs["method"] == "UMAP"
    decoded = id_map(ids, layout=layout)
    assert np.array_equal(asked[1][0], ids.decode())
    assert decoded.attrs["sample"] == "all 120 items, by their decoded vectors"


def test_a_sample_is_said_to_be_one_and_keeps_what_it_must(ids):
    kept = ids.items[70:73]
    frame = id_map(ids, n_items=20, layout=None, keep=kept)
    assert frame.attrs["sample"].startswith("20 of 120 items, sampled, seed 0")
    assert set(kept) < set(frame["item"])
    assert frame["item"].is_unique
    assert frame.equals(id_map(ids, n_items=20, layout=None, keep=kept))
    assert not frame["item"].equals(id_map(ids, n_items=20, layout=None, random_state=1, keep=kept)["item"])


def test_few_items_or_equal_ones_have_a_map_too():
    few = made(5)
    assert id_map(few, layout=quick).attrs == {
        "method": "PCA", "trustworthiness": None, "sample": "all 5 items, by their decoded vectors"
    }  # fmt: skip
    equal = SemanticIDs([str(i) for i in range(40)], np.zeros((40, 2)), np.ones((2, 1, 4)))
    assert id_map(equal, layout=quick).attrs["method"] == "PCA"  # UMAP would divide by the spread


def test_vectors_follow_the_items_and_wrong_ones_are_refused(ids, vectors):
    shuffled = np.random.default_rng(0).permutation(len(ids))
    v = wb.Vectors.from_arrays([ids.items[i] for i in shuffled], vectors[shuffled])
    assert np.array_equal(item_vectors(ids, v), vectors)
    with pytest.raises(ValueError, match=r"expected vectors of shape \(120, dim\), a row for each item, got \(3, 8\)"):
        item_vectors(ids, vectors[:3])
    bad = vectors.copy()
    bad[7, 2] = np.nan
    with pytest.raises(ValueError, match="item 'item7' holds NaN"):
        item_vectors(ids, bad)
    with pytest.raises(KeyError, match="item119"):
        item_vectors(ids, wb.Vectors.from_arrays(ids.items[:-1], vectors[:-1]))
    bare = SemanticIDs(ids.items, ids.codes)
    assert item_vectors(bare) is None
    with pytest.raises(ValueError, match="give their vectors"):
        id_map(bare)
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        id_map(ids, vectors[:, :1])


@pytest.mark.parametrize(("level", "prefix"), [(1, ()), (2, ()), (2, (0,)), (3, (0,)), (3, (0, 1))])
def test_a_legend_counts_every_point_once_and_names_the_most_populous_codes(ids, frame, level, prefix):
    look = code_colours(frame, level, prefix)
    assert sum(int(entry.name.rsplit(": ", 1)[1].replace(",", "")) for entry in look.legend) == len(frame)
    below = frame[[ids[item][: len(prefix)] == prefix for item in frame["item"]]]
    counts = below[f"code_{level}"].value_counts()
    named = [entry for entry in look.legend if entry.name.startswith("code ")]
    assert len(named) == min(len(counts), len(LABELS))
    for entry in named:
        code, count = re.match(r"code (\d+): (\d+)", entry.name).groups()
        assert counts[int(code)] == int(count) >= counts.nlargest(len(named)).min()
    assert len({entry.shape for entry in named}) == len({entry.colour for entry in named}) == len(named)
    outside = look.groups == len(look.palette) - 1
    assert list(frame["item"][~outside]) == ids.with_prefix(prefix)


def test_colouring_above_the_prefix_is_refused(frame):
    with pytest.raises(ValueError, match="below 0-1 level goes from 3 to 3, got 2"):
        code_colours(frame, 2, (0, 1))


def test_figures_show_names_as_they_are(ids, frame, vectors):
    odd = SemanticIDs(ids.items, ids.codes, ids.codebooks, ["$x^$ \udcff <b>" + "y" * 90] * len(ids))
    for picture in (
        tree_figure(odd), tree_figure(odd, prefix=ids["item0"]),
        id_map_figure(id_map(odd, layout=None), marked=["item3"]), id_map_figure(frame, 3, (0,)),
    ):  # fmt: skip
        assert picture.png().startswith(b"\x89PNG")
    html = similar_html(odd, similar_tables(odd, vectors, "item3"))
    assert "<b>y" not in html
    assert "&lt;b&gt;" in html


# -- similar items, similar ids -----------------------------------------------------------


def test_similar_tables_agree_with_a_plain_search(ids, vectors):
    similar = similar_tables(ids, vectors, "item5", topn=6)
    cosines = {
        item: float(v @ vectors[5] / np.linalg.norm(v) / np.linalg.norm(vectors[5]))
        for item, v in zip(ids.items, vectors, strict=True) if item != "item5"
    }  # fmt: skip
    order = sorted(cosines, key=lambda item: -cosines[item])
    shared = {item: next((i for i in range(3) if ids[item][i] != ids["item5"][i]), 3) for item in cosines}
    assert list(similar.by_vector["item"]) == order[:6]
    for table in (similar.by_vector, similar.by_id):
        for entry in table.itertuples():
            assert entry.cosine == pytest.approx(cosines[entry.item], abs=1e-5)
            assert entry.rank == order.index(entry.item) + 1
            assert (entry.shared, entry.codes) == (shared[entry.item], ids[entry.item])
            assert entry.name == ids.names[ids.items.index(entry.item)]
    best = sorted(shared.values(), reverse=True)[:6]
    assert list(similar.by_id["shared"]) == [n for n in best if n]


def test_without_vectors_only_ids_are_compared(ids):
    bare = SemanticIDs(ids.items, ids.codes)
    similar = similar_tables(bare, None, "item5")
    assert similar.by_vector.empty
    assert similar.by_id["cosine"].isna().all()
    assert "no vectors are known" in similar_html(bare, similar)


def test_an_item_is_found_by_what_a_person_may_call_it(ids):
    name = ids.names[5]
    for text in ("item5", name, f"  {name.upper()} "):
        assert find_item(ids, text) == "item5"
    lone = SemanticIDs(["a", "b"], [[0], [1]], names=["Toy Story (1995)", "Heat (1995)"])
    assert find_item(lone, "toy story") == "a"
    for text, meant in (
        ("Toy Storry", "'Toy Story (1995)'"),
        ("haet", "'Heat (1995)'"),
        ("1995", "'Heat (1995)', 'Toy"),
    ):
        with pytest.raises(KeyError, match=re.escape(meant)):
            find_item(lone, text)
    with pytest.raises(KeyError, match="none is spelled like that"):
        find_item(lone, "zzzzzz")


def test_selected_items_are_counted_by_prefix(ids):
    chosen = ids.items[:40]
    frame = selected_prefixes(ids, chosen, 2)
    assert frame["selected"].sum() == 40
    assert frame["selected"].is_monotonic_decreasing
    for entry in frame.itertuples():
        below = ids.with_prefix(entry.prefix)
        assert (entry.count, entry.selected) == (len(below), len(set(below) & set(chosen)))


def test_the_headline_counts(ids):
    lines = dict(headline(ids.disambiguated()))
    assert lines["items"] == "120"
    assert lines["different ids"] == "120 (100.0% of the items)"
    assert lines["levels"] == "3 of 12 entries, 1 to tell equal ids apart"
    used = [len(set(codes)) for codes in ids.codes.T.tolist()]
    assert lines["entries in use, level by level"].split(", ")[0] == f"{used[0]} ({used[0] / 12:.0%})"


def test_every_number_of_the_card_is_on_the_page(ids, vectors):
    card = id_card(ids, vectors)
    html = card_html(card)
    assert html.count("<b>") == len(card)
    for entry in card.itertuples():
        assert any(
            f"<b>{entry.value:{form}}</b>" in html for form in (".1%", ".2%", ".4%", ",.1f", ".3f", ",.0f", ".4f")
        )
    assert card_html(id_card(ids, None)).count("<b>") == 9


# -- the view -----------------------------------------------------------------------------

HEADINGS = ("Numbers", "Map", "Tree of codes", "Selected items", "Similar items, similar ids", CARD)


@pytest.fixture
def view(use, ids, vectors, without_umap) -> Person:
    view = use(IdsView(ids, vectors, item="item5", interactive=True))
    view.wait()
    return view


def headings(page: str) -> list[str]:
    return [heading for heading in HEADINGS if f"<h4>{heading}</h4>" in page]


def test_principal_components_come_first_and_stay_where_the_map_is_cancelled(use, ids, vectors, monkeypatch, gate):
    item = next(item for item in ids.items if item not in set(id_map(ids, n_items=50, layout=None)["item"]))
    monkeypatch.setattr(mapper.shared, "warm", lambda: None)
    draw = gate("workbench.views.mapper.shared.layout")
    draw.function = lambda owner, *arguments: quick(*arguments)
    view = use(IdsView(ids, vectors, item=item, n_items=50, interactive=True))
    draw.reach()
    until(lambda: "principal components are shown" in view.text)
    view.press("Cancel")
    draw.open()
    assert view.wait().map.attrs["method"] == "PCA"
    assert "stopped" in view.alerts[0]
    view.set("Items on the map", "120")
    assert view.wait().map.attrs["method"] == "UMAP"
    view.set("Items on the map", "50")
    state = view.wait()
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
    assert view.tiles[()].startswith("0: ")  # leads back
    view.press_tile(next(prefix for prefix in view.tiles if prefix and len(prefix) == 3))
    prefix = view.wait().prefix
    assert len(prefix) == 3
    assert not view.can("Show this code")
    assert ids.names[ids.items.index(ids.with_prefix(prefix)[0])] in view.text
    view.press("Show 0")
    assert view.wait().prefix == (0,)
    view.press_tile(())
    assert view.wait().prefix == ()
    assert n_grey() == 0
    assert view.unnamed() == []


def test_a_code_is_chosen_from_the_list_and_a_level_coloured_by(view, ids):
    codes = view.options("Next code")
    assert sorted(int(code.split(":")[0]) for code in codes) == sorted(set(ids.codes[:, 0].tolist()))
    assert codes[0].startswith(f"0: {len(ids.with_prefix((0,)))}, ")
    for number in (0, 2, 0, 1):  # of many the last has the tree
        view.set("Next code", codes[number])
        assert "Level 1 of all items" in view.text  # not before the button is pressed
        view.press("Show this code")
        if number != 1:
            view.press("Show all items")
    chosen = int(codes[1].split(":")[0])
    assert view.wait().tree["prefix"][0] == (chosen,)
    assert view.options("Colour by code of level") == ["2", "3"]
    before = view.wait()
    view.set("Colour by code of level", "3")
    state = view.wait()
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
    view.press("Show its id")
    assert view.wait().prefix == ids["item9"][:2]


def test_points_in_a_lasso_are_counted_by_prefix_and_in_the_tiles(view, ids):
    assert not view.has("Clear selection")
    view.tell_map(selected=list(range(30)))
    assert view.wait().selected == ids.items[:30]
    assert "30 items selected" in view.text
    assert f"({sum(ids[item][0] == 0 for item in ids.items[:30])} selected)" in view.tiles[(0,)]
    points = view.figure("wb-id-map").data[0]
    assert set(points.selectedpoints) == set(range(30))
    view.press("Clear selection")
    assert view.wait().selected == ()
    assert points.selectedpoints is None


def test_an_item_that_is_not_there_gets_a_message_with_some_that_are(view):
    view.set("Item", "appel")
    view.wait()
    assert "there is no item 'appel'; spelled most like it: 'apple" in view.alerts[0]
    assert not view.can("Show its id")
    offered = view.options("Item")[0]
    assert offered.startswith("apple")
    view.set("Item", offered)
    assert view.wait().similar is not None
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


@pytest.mark.parametrize("n", [1, 2, 9])
def test_few_items_are_no_trouble(use, n, without_umap):
    view = use(IdsView(made(n), item="item0", interactive=True))
    assert len(view.wait().map) == n
    assert view.alerts == []


def test_ids_without_codebooks_and_vectors_are_shown_without_a_map(ids, shown):
    IdsView(SemanticIDs(ids.items, ids.codes), item="item5", interactive=False)._ipython_display_()
    assert "no codebooks" in shown.page
    assert "Tree of codes" in headings(shown.page)


def test_published_ids_are_shown(real, shown):
    published = SemanticIDs.load(real("data/items/amazon_office/Office_Products.index.json"))
    view = IdsView(published, item="5", interactive=False)
    assert view.wait().tree["count"][0] == len(published)


def test_vectors_that_do_not_fit_are_refused_at_once(ids):
    with pytest.raises(ValueError, match="a row for each item"):
        IdsView(ids, np.zeros((3, 2)), interactive=True)
    with pytest.raises(ValueError, match="n_items >= 1"):
        IdsView(ids, n_items=0, interactive=True)
