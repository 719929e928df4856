"""What is shown of semantic ids is what they say: the map, the tree, similar items, and the view around them."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from test_session import PATIENCE, until

import workbench as wb
from workbench.evaluate.ids import id_card
from workbench.semantic.ids import SemanticIDs
from workbench.views import IdsView, id_map, id_map_figure, similar_tables, tree_figure, tree_table
from workbench.views import ids as module
from workbench.views.colours import LABELS
from workbench.views.ids import Named, code_colours, find_item, headline, item_vectors, selected_prefixes
from workbench.views.ids_figures import tiles
from workbench.views.ids_page import CARD, card_html, ids_page, similar_html
from workbench.views.ids_session import IdsSession, mapper
from workbench.views.live.ids import IdMapPart, PrefixPart, SelectedPart, SimilarPart, TreePart

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


# -- an exploration -----------------------------------------------------------------------


@pytest.fixture
def session(ids, vectors, without_umap):
    session = IdsSession(ids, vectors, item="item5")
    session.wait(PATIENCE)
    yield session
    session.end()
    session.wait(PATIENCE)


def test_principal_components_come_first_then_umap(ids, vectors, without_umap):
    item = next(item for item in ids.items if item not in set(id_map(ids, n_items=50, layout=None)["item"]))
    session, heard = IdsSession(ids, vectors, item=item), []
    session.listen(lambda: heard.append(session.state))
    session.map_items(50)
    state = session.wait(PATIENCE)
    methods = [s.map.attrs["method"] for s in heard if s.map is not None and len(s.map) == 50]
    assert list(dict.fromkeys(methods)) == ["PCA", "UMAP"]
    assert item in set(state.map["item"])
    assert state.similar.item == item
    assert (state.errors, state.drawing, state.is_preview) == ({}, False, False)


def test_drilling_down_changes_what_is_grey_and_the_tree(session, ids):
    grey = []
    for prefix in ((), (0,), (0, 1), (0,)):
        session.look_below(prefix)
        state = session.wait(PATIENCE)
        assert state.tree["prefix"][0] == prefix
        look = code_colours(state.map, named=state.named)
        grey.append(int((look.groups == len(look.palette) - 1).sum()))
        assert grey[-1] == len(ids) - len(ids.with_prefix(prefix))
        assert state.level == len(prefix) + 1
    assert 0 == grey[0] < grey[1] < grey[2]
    assert grey[3] == grey[1]


def test_of_many_prefixes_the_last_has_the_tree(session):
    for _ in range(10):
        for prefix in ((0,), (1,), (2,), (0, 0)):
            session.look_below(prefix)
    assert session.wait(PATIENCE).tree["prefix"][0] == (0, 0)


def test_colouring_by_a_deeper_level_keeps_the_tree(session):
    before = session.state
    session.colour_by(3)
    state = session.wait(PATIENCE)
    assert (state.named.level, state.named.prefix) == (3, ())
    assert state.tree is before.tree
    assert state.map is before.map


def test_what_cannot_be_looked_at_is_said_and_leaves_the_rest(session):
    before = session.state
    session.look_below((11, 11, 11))
    session.look_at("aple 3000")
    state = session.wait(PATIENCE)
    assert "begins with 11-11-11" in state.errors["prefix"]
    assert "there is no item 'aple 3000'" in state.errors["item"]
    assert (state.prefix, state.tree, state.similar) == ((), before.tree, None)
    session.look_below((0,))
    session.look_at(" item7")
    state = session.wait(PATIENCE)
    assert state.errors == {}
    assert state.similar.item == "item7"


def test_a_map_that_is_cancelled_stays_at_principal_components(ids, vectors, monkeypatch):
    drawing = SimpleNamespace(asked=[], stopped=[])

    def layout(owner, *arguments):
        drawing.asked.append(owner)
        until(lambda: owner in drawing.stopped)
        raise wb.progress.Stopped

    monkeypatch.setattr(mapper.shared, "warm", lambda: None)
    monkeypatch.setattr(mapper.shared, "layout", layout)
    monkeypatch.setattr(mapper.shared, "stop", drawing.stopped.append)
    session = IdsSession(ids, vectors)
    until(lambda: session.state.drawing)
    session.cancel()
    state = session.wait(PATIENCE)
    assert drawing.asked == [session]
    assert state.map.attrs["method"] == "PCA"
    assert "stopped" in state.errors["map"]
    monkeypatch.setattr(mapper.shared, "layout", lambda owner, *arguments: quick(*arguments))
    session.map_items(60)
    state = session.wait(PATIENCE)
    assert (state.map.attrs["method"], state.errors) == ("UMAP", {})


def test_an_exploration_that_is_over_computes_nothing_more(session):
    session.end()
    session.look_below((0,))
    session.look_at("item3")
    state = session.wait(PATIENCE)
    assert (state.tree, state.similar) == (None, None)


def test_ids_without_codebooks_and_vectors_are_shown_without_a_map(ids):
    bare = SemanticIDs(ids.items, ids.codes)
    paper = IdsSession(bare, item="item5", background=False)
    html = ids_page(paper.wait())
    assert "no codebooks" in html
    assert "Tree of codes" in html


def test_paper_is_the_same_and_raises(ids, vectors, session, monkeypatch):
    monkeypatch.setattr("workbench.views.ids_session.umap_layout", quick)
    paper = IdsSession(ids, vectors, item="item5", background=False)
    assert paper.state.tree is None  # nothing before `wait`
    state = paper.wait()
    pd.testing.assert_frame_equal(state.tree, session.state.tree)
    pd.testing.assert_frame_equal(state.map, session.state.map)
    paper.look_at("unheard of")
    with pytest.raises(KeyError, match="unheard of"):
        paper.wait()


@pytest.mark.parametrize("n", [1, 2, 9])
def test_few_items_are_no_trouble(n, without_umap):
    session = IdsSession(made(n), item="item0")
    state = session.wait(PATIENCE)
    assert state.errors == {}
    assert len(state.map) == n
    assert ids_page(state)


# -- the view -----------------------------------------------------------------------------


def holds(html: str, state) -> dict[str, bool]:
    """Which of the parts a page has."""
    headings = ("Numbers", "Map", "Tree of codes", "Selected items", "Similar items, similar ids", CARD)
    return {heading: f"<h4>{heading}</h4>" in html for heading in headings} | {
        "pictures": html.count("<img") == 2,
        "tables": similar_html(state.ids, state.similar) in html,
    }


@pytest.fixture
def view(ids, vectors, without_umap):
    view = IdsView(ids, vectors, item="item5", interactive=True)
    settled(view)
    yield view
    view.close()
    view.session.wait(PATIENCE)


def settled(view):
    state = view.wait(PATIENCE)
    until(lambda: view._shown is state)
    with view._lock:  # `render` is over
        assert view.trouble.value == ""
        return state


def press(view, prefix: tuple[int, ...]) -> None:
    """Press a tile, as the page tells it."""
    tree = view.parts[TreePart].tree
    assert list(prefix) in [tile["prefix"] for tile in tree.tiles]
    tree._heard(tree, {"prefix": list(prefix)}, [])


def test_a_page_for_paper_has_every_part_and_no_scripts(ids, vectors, shown, monkeypatch):
    monkeypatch.setattr("workbench.views.ids_session.umap_layout", quick)
    view = IdsView(ids, vectors, item="item5", interactive=False)
    view._ipython_display_()
    (html,) = shown
    assert holds(html.data, view.wait()) == dict.fromkeys(holds("", view.wait()), True) | {"Selected items": False}
    assert not re.search("https?://|<script|<link|@import", html.data)
    assert not hasattr(view, "box")


def test_a_tile_that_is_pressed_is_looked_at_and_the_path_leads_back(view, ids):
    prefix, tree, map_ = (view.parts[kind] for kind in (PrefixPart, TreePart, IdMapPart))
    press(view, (0,))
    state = settled(view)
    assert state.prefix == (0,)
    faint = np.asarray(map_.map.points.marker.opacity) < 0.2
    assert faint.sum() == len(ids) - len(ids.with_prefix((0,)))
    assert f"not 0: {faint.sum()}" in map_.map.legend.value
    assert [crumb.description for crumb in prefix.crumbs if crumb.layout.display is None] == ["all items", "› 0"]
    assert tree.tree.tiles[0]["prefix"] == []  # leads back
    press(view, next(tuple(t["prefix"]) for t in tree.tree.tiles if len(t["prefix"] or []) == 3))
    state = settled(view)
    assert len(state.prefix) == 3
    assert prefix.go.disabled
    assert ids.names[ids.items.index(ids.with_prefix(state.prefix)[0])] in tree.items.value
    prefix.crumbs[1].click()
    assert settled(view).prefix == (0,)
    prefix.crumbs[0].click()
    assert settled(view).prefix == ()
    assert not (np.asarray(map_.map.points.marker.opacity) < 0.2).any()


def test_a_code_is_chosen_from_the_list_and_a_level_coloured_by(view, ids):
    prefix = view.parts[PrefixPart]
    assert sorted(value for _, value in prefix.code.options) == sorted({(code,) for code in ids.codes[:, 0].tolist()})
    assert prefix.code.options[0][0].startswith(f"0: {len(ids.with_prefix((0,)))}, ")
    prefix.code.value = (1,)
    assert view.session.state.prefix == ()  # not before the button is pressed
    prefix.go.click()
    assert settled(view).prefix == (1,)
    assert list(prefix.level.options) == [2, 3]
    prefix.level.value = 3
    assert settled(view).named.level == 3
    assert "Level 3 of 1" in view.parts[IdMapPart].map.legend.value


def test_a_point_that_is_clicked_is_looked_at_and_its_tiles_have_a_star(view, ids):
    map_, similar, tree = (view.parts[kind] for kind in (IdMapPart, SimilarPart, TreePart))
    map_.map.events._heard(None, {"clicked": 9}, [])
    state = settled(view)
    assert state.similar.item == "item9"
    assert similar.item.value == ids.names[9]
    assert similar.tables.value == similar_html(ids, state.similar)
    starred = [tuple(tile["prefix"]) for tile in tree.tree.tiles if "★ (" in tile["label"] or "★," in tile["label"]]
    assert starred == [p for p in (ids["item9"][:n] for n in (1, 2)) if p in set(state.tree["prefix"])]
    assert starred
    assert float(map_.map._star.x[0]) == pytest.approx(state.map["x"][9])
    similar.show_id.click()
    assert settled(view).prefix == ids["item9"][:2]


def test_points_in_a_lasso_are_counted_by_prefix_and_in_the_tiles(view, ids):
    map_, selected, tree = (view.parts[kind] for kind in (IdMapPart, SelectedPart, TreePart))
    assert selected.box.layout.display == "none"
    map_.map.events._heard(None, {"selected": list(range(30))}, [])
    state = settled(view)
    assert state.selected == ids.items[:30]
    assert selected.box.layout.display is None
    assert "30 items selected" in selected.table.value
    n = sum(ids[item][0] == 0 for item in ids.items[:30])
    assert any(f"({n} selected)" in tile["lines"][0] for tile in tree.tree.tiles if tile["prefix"] == [0])
    assert set(map_.map.points.selectedpoints) == set(range(30))
    map_.map.points.selectedpoints = []  # as a page does when the outline goes
    map_.map._emptied(None, SimpleNamespace(point_inds=[]), None)
    assert set(map_.map.points.selectedpoints) == set(range(30))
    selected.clear.click()
    assert settled(view).selected == ()
    assert map_.map.points.selectedpoints is None


def test_an_item_that_is_not_there_gets_a_message_with_some_that_are(view, ids):
    similar = view.parts[SimilarPart]
    similar.item.value = "appel"
    state = settled(view)
    assert "there is no item &#x27;appel&#x27;; spelled most like it: &#x27;apple" in similar.messages["item"].value
    assert similar.item.options[0].startswith("apple")
    assert similar.tables.value == ""
    similar.item.value = similar.item.options[0]
    state = settled(view)
    assert similar.messages["item"].value == ""
    assert state.similar is not None


def test_a_live_view_leaves_its_page_and_follows(view, shown):
    view._ipython_display_()
    page, box = shown
    assert box is view.box
    assert all(holds(page.data, view.wait()).values()) is False  # nothing is selected
    view.session.select(view.session.ids.items[:3])
    press(view, (0,))
    state = settled(view)
    until(lambda: ", below 0</h3>" in shown[-1].data)
    assert holds(shown[-1].data, state) == dict.fromkeys(holds("", state), True)


def test_vectors_that_do_not_fit_are_refused_at_once(ids):
    with pytest.raises(ValueError, match="a row for each item"):
        IdsView(ids, np.zeros((3, 2)), interactive=True)
    with pytest.raises(ValueError, match="n_items >= 1"):
        IdsView(ids, n_items=0, interactive=True)


def test_published_ids_are_shown(real):
    published = SemanticIDs.load(real("data/items/amazon_office/Office_Products.index.json"))
    state = IdsSession(published, item="5", background=False).wait()
    assert state.tree["count"][0] == len(published)
    assert "no codebooks" in ids_page(state)


def test_colours_and_tiles_have_the_same_meaning(ids):
    assert module.MOST_TILES[0] == len(LABELS)  # every tile of the first level has a colour of its own
