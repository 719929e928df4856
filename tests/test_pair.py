"""Views of a model beside a small one that is given: live, and as a page."""

import numpy as np
import pandas as pd
import pytest
from person import OUTSIDE, text_of

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


def test_neighbours_live(use, fasttext, small):
    person = use(NeighbourView(fasttext, small, words=fasttext.words[:1], interactive=True))
    view = person.view
    assert (view.points, view.damage, view.cards, view.rail, view.export) == ({}, {}, {}, {}, {})  # nobody looks
    dropped = next(word for word in fasttext.words if word not in small)
    person.do("look", words=f"{small.words[5]} {dropped} {UNSEEN}")
    expected = wb.neighbour_changes(fasttext.adjusted(), small, list(view.words))
    found = [(w["word"], n["word"], n["status"]) for w in view.looked["words"] for n in w["neighbours"]]
    assert found == list(expected[["word", "neighbour", "status"]].itertuples(index=False, name=None))
    assert [word["fate"] for word in view.looked["words"]] == ["kept", "dropped", "unseen"]
    ngrams = {word["word"]: word["ngrams"] for word in view.looked["words"] if word["ngrams"]}
    assert list(ngrams) == [dropped, UNSEEN]  # of the words without a row of their own
    for word, about in ngrams.items():
        table = ngram_carriers(fasttext.adjusted(), small, word)
        assert [row["ngram"] for row in about["rows"]] == list(table["ngram"])
        shares = [row["after"] for row in about["rows"] if row["after"] is not None]
        assert shares == pytest.approx(table["share_after"].dropna().tolist())
    assert person.do("look", words="").looked == {}


def test_models_whose_ngrams_cannot_be_compared_have_neighbours_all_the_same(use, fasttext):
    small = fasttext.with_storage(fasttext.storage, Vocab(fasttext.words, subwords=Subwords(2, 3, 3_000)))
    person = use(NeighbourView(fasttext, small, words=[UNSEEN, fasttext.words[0]], interactive=True))
    assert person.alerts == []
    assert [(word["word"], word["ngrams"]) for word in person.view.looked["words"]] == [
        (UNSEEN, None), (fasttext.words[0], None),
    ]  # fmt: skip


def test_damage_live_is_that_of_the_whole_vocabulary(use, fasttext, small):
    person = use(DamageView(fasttext, small, interactive=True))
    v, block = fasttext.adjusted(), person.view.damage
    words = word_damage(v, small)
    groups, codes = damage_groups(words), code_damage(v, small, words)
    assert [(g["by"], g["group"]) for g in block["groups"]] == list(groups[["by", "group"]].itertuples(False, None))
    assert [group["mean"] for group in block["groups"]] == pytest.approx(groups["mean"].tolist())
    assert [code["z"] for code in block["codes"]] == pytest.approx(codes["z"].tolist())
    listed = pd.DataFrame(block["words"]).set_index("word")
    by_word = words.set_index("word")
    for column, largest in (("loss_share", True), ("cosine", False)):  # the first of both orders are there
        first = by_word.sort_values(column, ascending=not largest).index[:15]
        assert set(first) <= set(listed.index)
    assert listed["loss_share"].tolist() == pytest.approx(by_word.loc[listed.index, "loss_share"].tolist())
    assert (person.view.words, person.view.looked) == ((), {})
    worst = block["groups"][0]["worst"][0]
    assert person.do("look", words=worst).looked["words"][0]["word"] == worst


@pytest.mark.parametrize("labels", [["a"], "animals"])
def test_labels_that_name_no_words_are_refused(fasttext, labels):
    with pytest.raises(TypeError, match="expected labels as"):
        MapView(fasttext, fasttext, labels=labels, interactive=True)


def test_maps_live_have_places_codes_and_labels_of_words_of_all_kinds(use, fasttext):
    small = wb.Chain([wb.Prune(300, 40), wb.PQ(6, n_bits=4)]).fit_transform(fasttext)
    labels = {word: word[0] for word in fasttext.words[:600]}
    series = pd.Series(labels)  # as a table of one's own gives them
    view = MapView(fasttext, small, words=fasttext.words[:1], labels=series, n_mapped=400, interactive=True)
    person = use(view)
    points, frame = view.points, view.flow["maps"]
    assert (points["n"], points["method"], points["words"]) == (400, "UMAP", list(frame["word"]))
    for side in ("before", "control", "after"):
        assert np.array_equal(person.places(side), frame[[f"x_{side}", f"y_{side}"]].to_numpy("<f4"), equal_nan=True)
    fate = np.frombuffer(points["fate"], "u1")
    assert set(fate) == {0, 1, 2}
    assert np.array_equal(fate == 0, [word in small for word in points["words"]])
    assert np.array_equal(fate == 2, np.isnan(person.places("after")[:, 0]))
    codes = [np.frombuffer(person.do("level", level=level).codes["codes"], "<i2") for level in (0, 5)]
    assert np.array_equal(codes[0] >= 0, fate == 0)
    assert not np.array_equal(*codes)
    assert (view.codes["level"], view.codes["n_levels"]) == (5, 6)
    assert sorted(np.frombuffer(view.codes["order"], "<i2")) == list(range(16))
    assert points["labels"] == [labels.get(word) for word in points["words"]]
    assert 0 < points["kept_chance"] <= 1
    assert "spread" in points["noise"]
    assert person.do("map_words", n=200).points["n"] == 200
    assert (view.looked["words"][0]["word"], view.damage) == (fasttext.words[0], {})


@pytest.mark.parametrize(("kind", "heading", "n_pictures"), [
    (NeighbourView, "neighbours kept", 0), (DamageView, "The most affected words", 1), (MapView, "spread", 1),
])  # fmt: skip
def test_a_page_for_paper_has_the_same_and_no_scripts(fasttext, small, shown, kind, heading, n_pictures):
    options = {DamageView: {}, NeighbourView: {"words": fasttext.words[:2]}, MapView: {"n_mapped": 40}}[kind]
    kind(fasttext, small, interactive=False, **options)._ipython_display_()
    assert len(shown) == 1
    assert heading in text_of(shown.page) or kind is MapView
    assert shown.page.count("src='data:image/png;base64,") == n_pictures
    assert not OUTSIDE.search(shown.page)


@pytest.mark.parametrize("kind", [NeighbourView, DamageView, MapView])
def test_a_model_that_cannot_be_opened_is_said(use, small, kind, tmp_path):
    (tmp_path / "bad.bin").write_bytes(b"0123456789")
    person = use(kind(str(tmp_path / "bad.bin"), small, interactive=True))
    assert "bad.bin is in no format that is known" in person.alerts[0]
    for live in (True, False):
        with pytest.raises(FileNotFoundError):
            kind("nowhere/at-all.bin", small, interactive=live)


def test_models_of_other_dimensions_are_said_to_be_so_and_have_neighbours(use, plain):
    other = wb.Vectors.from_arrays(plain.words, plain.matrix()[:, :5])
    person = use(DamageView(plain, other, interactive=True))
    assert "dimensions" in person.alerts[0]
    assert person.do("look", words=plain.words[0]).looked["words"][0]["cosine"] is None  # neighbours: each model's own
