"""What is shown of semantic ids is what they say: tables, figures, the blocks of the live view, and its page."""

import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from conftest import PATIENCE, until
from person import OUTSIDE

import workbench as wb
from workbench.evaluate.ids import id_card
from workbench.semantic.ids import SemanticIDs
from workbench.semantic.names import TellingWords, find_item, offered_items
from workbench.views import IdsView, id_map, id_map_figure, mapper, similar_tables, tree_figure, tree_table
from workbench.views.plots import Named

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
FRUIT = ("apple", "banana", "cherry", "damson", "elder", "fig", "grape", "hazel", "ilama", "jambul", "kiwi", "lemon")
SECTIONS = ("Numbers", "Map", "Tree of codes", "Similar items, similar ids", "Quality")


def made(n: int = 120, size: int = 12, seed: int = 0) -> SemanticIDs:
    """Ids whose small codes are frequent, with codebooks whose levels become finer."""
    rng = np.random.default_rng(seed)
    codes = np.minimum(rng.geometric(0.25, (n, 3)) - 1, size - 1)
    codebooks = rng.normal(size=(3, size, 8)) / 4.0 ** np.arange(3)[:, None, None]
    names = [f"The {FRUIT[first]} {i}" for i, first in enumerate(codes[:, 0])]
    return SemanticIDs([f"item{i}" for i in range(n)], codes, codebooks, names)


@pytest.fixture(scope="module")
def ids() -> SemanticIDs:
    return made()


@pytest.fixture(scope="module")
def vectors(ids) -> np.ndarray:
    return ids.decode() + np.random.default_rng(1).normal(0, 0.1, (len(ids), 8)).astype(np.float32)


def quick(vectors, start, n_neighbors, seed, again):
    """In place of UMAP: takes no time, and is told from principal components."""
    return 2 * start, 0.9


@pytest.fixture
def opened(ids, vectors, monkeypatch):
    """Opens live views, whose maps take no time, and ends them after the test."""
    monkeypatch.setattr(mapper.shared, "layout", quick)
    views: list[IdsView] = []

    def opened(of=ids, given=vectors, **options) -> IdsView:
        views.append(IdsView(of, given, interactive=True, **options))
        return views[-1].wait(PATIENCE)

    yield opened
    for view in views:
        view.close()


# -- the tree -----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [(), (0,), (1, 0)])
def test_branches_count_their_items_add_up_and_fill_the_height_of_their_parent(ids, prefix):
    tree = tree_table(ids, 3, prefix, most=(4, 2))
    whole, name_of = tree.iloc[0], dict(zip(ids.items, ids.names, strict=True))
    n = len(ids.with_prefix(prefix))
    assert whole[["prefix", "count", "top", "height"]].tolist() == [prefix, n, 0, 1]
    for entry in tree[tree["n_joined"] == 0].itertuples():
        is_below = [p[: entry.level] == entry.prefix for p in tree["prefix"]]
        below = tree[is_below][lambda rows, level=entry.level + 1: rows["level"] == level]
        items = ids.with_prefix(entry.prefix)
        assert (entry.count, entry.share) == (len(items), len(items) / n)
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
        ends = [entry.top, *(below["top"] + below["height"])]
        np.testing.assert_allclose(below["top"], ends[:-1])  # one begins where the one before ends
        assert ends[-1] == pytest.approx(entry.top + entry.height)
        np.testing.assert_allclose(shown["height"] / shown["count"], shown["height"].sum() / shown["count"].sum())


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
    assert (frame.attrs["sample"], frame.attrs["method"]) == ("all 120 items, by their original vectors", "UMAP")
    decoded = id_map(ids, layout=quick)
    assert decoded.attrs["sample"] == "all 120 items, by their decoded vectors"
    assert not decoded["x"].equals(frame["x"])
    plain = id_map(ids, vectors, layout=None).attrs
    assert (plain["method"], 0.5 < plain["trustworthiness"] <= 1) == ("PCA", True)


def test_a_sample_is_said_to_be_one_and_keeps_what_it_must(ids):
    kept = ids.items[70:73]
    frame, again, other = (id_map(ids, n_items=20, layout=None, random_state=i, keep=kept) for i in (0, 0, 1))
    assert frame.attrs["sample"].startswith("20 of 120 items, sampled, seed 0")
    assert set(kept) < set(frame["item"])
    assert frame["item"].is_unique
    assert frame.equals(again)
    assert not frame["item"].equals(other["item"])


def test_vectors_follow_the_items_and_wrong_ones_are_refused_at_once(ids, vectors):
    backwards = wb.Vectors.from_arrays(ids.items[::-1], vectors[::-1])
    assert id_map(ids, backwards, layout=None).equals(id_map(ids, vectors, layout=None))
    bad = vectors.copy()
    bad[7, 2] = np.nan
    for of, given, kind, said in (
        (ids, vectors[:3], ValueError, "each of 120 items, got 3"),
        (ids, bad, ValueError, "item7"),
        (ids, wb.Vectors.from_arrays(ids.items[:-1], vectors[:-1]), KeyError, "item119"),
        (ids, vectors[:, :1], ValueError, "at least 2 dimensions"),
        (SemanticIDs(ids.items, ids.codes), None, ValueError, "give their vectors"),
    ):
        with pytest.raises(kind, match=said):
            id_map(of, given, layout=None)
    for given, options in ((bad, {}), (None, {"n_items": 0}), (None, {"item": "unheard of"})):
        with pytest.raises((ValueError, KeyError)):
            IdsView(ids, given, interactive=True, **options)


def test_the_most_populous_codes_come_first_each_with_a_look_of_its_own(ids, opened):
    named = Named.among(ids.codes, 2, (0,), n=9)
    counts = Counter(ids[item][1] for item in ids.with_prefix((0,)))
    assert [counts[code] for code in named.looks] == [n for _, n in counts.most_common(9)]
    looks = list(named.looks.values())
    assert len(set(looks)) == 9
    assert all(one[0] != next_[0] and one[1] != next_[1] for one, next_ in pairwise(looks))
    view = opened()
    view.prefix, view.n_coloured = (0,), 9
    legend = view.wait(PATIENCE).legend
    assert (legend["level"], legend["prefix"], legend["n_codes"]) == (2, [0], len(counts))
    rows = [(entry["code"], entry["count"], (entry["colour"], entry["shape"])) for entry in legend["codes"]]
    assert rows == [(code, counts[code], look) for code, look in named.looks.items()]


def test_figures_and_pages_show_names_as_they_are(ids, opened):
    odd = SemanticIDs(ids.items, ids.codes, ids.codebooks, ["$x^$ \udcff <b>" + "y" * 90] * len(ids))
    marked = id_map_figure(id_map(odd, layout=None), marked=["item3"])
    for picture in (tree_figure(odd), tree_figure(odd, prefix=ids["item0"]), marked):
        assert picture.png().startswith(b"\x89PNG")
    page = opened(odd, item="item3").page()
    assert "<b>y" not in page
    assert "&lt;b&gt;" in page


# -- similar items, and names ---------------------------------------------------------------


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
    assert {find_item(ids, text) for text in ("item5", ids.names[5], f"  {ids.names[5].upper()} ")} == {"item5"}
    films = SemanticIDs(["a", "b", "c"], [[0], [1], [1]], names=["Toy Story (1995)", "Heat (1995)", "toy story (1995)"])
    assert [find_item(films, name) for name in films.names] == list(films.items)
    for text, said in {"Toy Storry": "'Toy Story (1995)'", "haet": "'Heat (1995)'", "1995": "'Heat (1995)', 'Toy",
                       "zzzzzz": "none is spelled like that"}.items():  # fmt: skip
        with pytest.raises(KeyError, match=re.escape(said)):
            find_item(films, text)
    assert offered_items(films, "hea") == ["b"]
    assert offered_items(films, " ") == []


def test_telling_words_are_those_of_a_group_and_not_of_all(ids):
    words = TellingWords(ids)
    for code in (0, 1, 2):
        assert words.of(ids.codes[:, 0] == code) == FRUIT[code]  # and not "the"
    assert words.of(np.arange(len(ids)) == 3) == ""  # one item tells nothing
    assert TellingWords(SemanticIDs(ids.items, ids.codes)).of(ids.codes[:, 0] == 0) == ""


# -- the view -----------------------------------------------------------------------------


def sections(page: str) -> list[str]:
    return re.findall("<h4>(.*?)</h4>", page)


def test_principal_components_come_first_and_no_map_is_out_of_date(ids, vectors, gate, monkeypatch):
    monkeypatch.setattr(mapper.shared, "layout", quick)
    draw = gate("workbench.views.ids.mapper.shared.layout")
    item = next(item for item in ids.items if item not in set(id_map(ids, n_items=50, layout=None)["item"]))
    view = IdsView(ids, vectors, item=item, n_items=50, interactive=True)
    draw.reach()
    until(lambda: view.points.get("method") == "PCA" and "points" not in view.status["stale"])
    view.act("want", n_items=40)
    assert "points" in view.status["stale"]  # until the next one is there
    draw.open()
    assert (view.wait(PATIENCE).points["method"], view.points["n"], item in view.points["items"]) == ("UMAP", 40, True)
    view.act("cancel")
    assert view.wait(PATIENCE).points["method"] == view.drawn == "PCA"
    view.close()


def test_a_person_goes_down_the_tree_to_a_whole_id_and_back(ids, opened):
    view = opened(item="item5")
    view.act("want", prefix=[0])
    assert (view.wait(PATIENCE).level, view.prefix, view.tiles["tiles"][0]["prefix"]) == (2, (0,), [0])
    view.act("want", level=3)
    assert view.wait(PATIENCE).legend["level"] == 3
    for problem, want in (("level goes from 2 to 3, got 1", {"level": 1}), ("begins with 99", {"prefix": [99]})):
        view.act("want", **want)
        assert problem in view.status["problem"]
    view.prefix = ids["item5"]
    end = view.wait(PATIENCE).tiles["tiles"]
    assert (len(end), end[0]["prefix"], end[0]["star"], view.level) == (1, list(ids["item5"]), True, 3)
    assert [step["prefix"] for step in view.path["path"]] == [list(ids["item5"][:n]) for n in (1, 2, 3)]
    assert view.path["path"][0]["text"] == FRUIT[ids["item5"][0]]
    assert [item for item, _ in view.path["items"]] == ids.with_prefix(ids["item5"])
    view.act("want", prefix=[])
    assert len(view.wait(PATIENCE).tiles["tiles"]) > 1


def test_items_are_looked_at_searched_and_selected(ids, opened):
    view = opened()
    assert view.near == {}
    view.act("search", text="appel")
    assert "apple" in view.wait(PATIENCE).offers["items"][0][1]
    view.act("want", item=view.offers["items"][0][0])
    near = view.wait(PATIENCE).near
    assert near["item"] == view.item
    starred = {tuple(tile["prefix"]) for tile in view.tiles["tiles"] if tile["star"]}
    assert starred == {ids[view.item][:n] for n in (1, 2)} & {tuple(tile["prefix"]) for tile in view.tiles["tiles"]}
    view.act("select", points=list(range(30)))
    counts = Counter(ids[item][0] for item in ids.items[:30])
    assert view.wait(PATIENCE).selected == ids.items[:30]
    tile = next(tile for tile in view.tiles["tiles"] if tile["prefix"] == [0])
    assert tile["n_selected"] == counts[0]
    view.act("want", item="unheard of")
    assert "there is no item 'unheard of'" in view.status["problem"]


def test_the_page_of_a_live_view_and_that_on_paper_say_the_same(ids, vectors, opened, shown):
    live = opened(item="item5")
    paper = IdsView(ids, vectors, item="item5", interactive=False)
    paper._ipython_display_()
    assert len(shown) == 1
    assert sections(shown.page) == list(SECTIONS)
    assert shown.page.count("<img") == 2
    assert not OUTSIDE.search(shown.page)
    pd.testing.assert_frame_equal(paper.flow["map"], live.flow["map"])
    live._ipython_display_()
    live.prefix = (0,)
    live.wait(PATIENCE)
    assert sections(shown.page) == list(SECTIONS)
    assert "Semantic IDs of 120 items, below 0" in shown.page


@pytest.mark.parametrize("n", [1, 9, 120])
def test_few_items_are_no_trouble_and_all_numbers_of_the_card_are_shown(opened, n):
    of = made(n)
    view = opened(of, of.decode(), item="item0")
    assert (view.points["n"], view.status["errors"], view.status["problem"]) == (n, {}, "")
    texts = [text.split(" (")[0] for row in view.quality["rows"] for text in row["texts"] if text]
    values, forms = id_card(of, of.decode())["value"], (".1%", ".2%", ".4%", ".4f", ",.1f", ".3f", ",.0f")
    assert len(texts) == len(values) >= 9
    assert all(any(f"{value:{form}}" in texts for form in forms) for value in values)


def test_ids_without_codebooks_and_vectors_are_shown_without_a_map(ids, opened):
    bare = SemanticIDs(ids.items, ids.codes)
    view = opened(bare, None, item="item5")
    assert (view.points, view.near["by_vector"], view.near["by_id"][0]["cosine"]) == ({}, [], None)
    assert "no codebooks" in view.head["no_map"] in view.page()
    assert "Tree of codes" in sections(view.page())
