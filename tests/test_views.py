"""Figures and pages carry what the tables say, in any script and without scripts, and colours are never alone."""

import re

import numpy as np
import pytest
from conftest import text_in
from matplotlib import pyplot as plt

import workbench as wb
from workbench.evaluate.damage import damage_groups
from workbench.evaluate.scorecard import HELP
from workbench.views import plots
from workbench.views.paper import Html, page_html, panel_page, table_html
from workbench.views.plots import word_groups

ODD = ["$^$", "<b>", "a$b_$", "שלום", "b\udcffd", "{word}", "\\\\foo$$"]


@pytest.fixture(scope="module")
def small(fasttext):
    return wb.Chain([wb.Prune(300, 40), wb.PQ(6, n_bits=4)]).fit_transform(fasttext)


@pytest.fixture(scope="module")
def frame(fasttext, small):
    """All kinds of words: with own rows, rebuilt, and without a vector."""
    return wb.views.pca_maps(fasttext, small, 400)


# -- figures ------------------------------------------------------------------------------


def test_the_scorecard_figure_has_units_on_every_axis_and_the_ratio(fasttext, small):
    card = wb.scorecard(fasttext, small, n_queries=50)
    figure = wb.views.scorecard_figure(card)
    assert all(axis.get_xlabel() for axis in figure.axes)
    ratio = card.loc[card["metric"] == "ratio", "value"].iloc[0]
    assert f"{ratio:.3g} times smaller" in text_in(figure)
    assert "no word-pair set" in text_in(figure)  # made-up words are in no set


def test_the_neighbours_figure_names_every_neighbour_with_its_status(fasttext, small):
    changes = wb.neighbour_changes(fasttext, small, fasttext.words[:2], topn=6)
    shown = text_in(wb.views.neighbours_figure(changes))
    for entry in changes.itertuples():
        sign = {"kept": "●", "lost": "×", "gained": "▲"}[entry.status]
        assert f"{entry.neighbour} {sign}" in shown or f"{sign} {entry.neighbour}" in shown


def test_the_damage_figure_shows_every_group_with_its_number_of_words_on_one_scale(fasttext, small):
    groups = damage_groups(wb.word_damage(fasttext, small))
    figure = wb.views.damage_figure(groups)
    assert len({axis.get_xlim() for axis in figure.axes}) == 1
    assert figure.axes[0].get_xlim()[0] <= groups["p5"].min()
    for axis, by in zip(figure.axes, ("frequency", "shape", "fate"), strict=True):
        rows = groups[groups["by"] == by]
        names = [f"{group.group}\n{group.n:,} words scored" for group in rows.itertuples()]
        assert [label.get_text() for label in axis.get_yticklabels()] == names
        means = {tuple(p) for line in axis.lines if line.get_marker() in "oD" for p in line.get_xydata().round(6)}
        assert means == {(round(mean, 6), float(at)) for at, mean in enumerate(rows["mean"])}


def test_the_history_shows_every_recipe_with_round_sizes():
    points = [
        {"bytes": size, "quality": size**0.1, "best": True, "now": size == 7e5, "pinned": size == 2e5}
        for size in (1.2e5, 2e5, 3.3e5, 7e5)
    ]
    history = {"points": points, "quality": "known", "qualities": [{"id": "known", "label": "cosine"}], "limit": 5e5}
    figure = plots.history_figure(history)
    (axis,) = figure.axes
    text = text_in(figure)
    assert {label.get_text() for label in axis.get_xticklabels()} >= {"200", "300", "500", "700"}
    assert all(name in text for name in ("quality: cosine", "this recipe", "A", "limit", "size of the file (kB"))
    drawn = {tuple(p) for line in axis.lines if line.get_marker() == "o" for p in line.get_xydata()}
    assert drawn == {(point["bytes"] / 1e3, point["quality"]) for point in points}


def test_words_with_dollar_signs_and_broken_ones_are_drawn_as_they_are(plain):
    """matplotlib takes what is between two dollar signs for a formula, and refuses most."""
    v = wb.Vectors.from_arrays([*ODD, *plain.words[len(ODD) :]], plain.matrix())
    frame = wb.views.pca_maps(v, v, n_words=100).assign(label="$^$")
    for figure in (
        wb.views.map_figure(frame, labels=ODD, marked=ODD[:3], colour="label"),
        wb.views.neighbours_figure(wb.neighbour_changes(v, v, ODD[:3], topn=20)),
    ):
        assert figure._repr_png_().startswith(b"\x89PNG")
        assert r"\$^\$" in text_in(figure)  # which matplotlib shows as $^$
    assert plt.get_fignums() == []  # without pyplot's global state


# -- colours and maps -----------------------------------------------------------------------


def test_what_became_of_words_is_told_by_shape_too(frame):
    gone = frame["cosine"].isna().to_numpy()
    shapes = {group.name: (group.shape, group.here) for group in word_groups(frame, "damage")}
    assert [shape for shape, _ in shapes.values()] == ["circle", "triangle", "cross"]
    assert (shapes["no vector"][1] == gone).all()
    assert (shapes["own row"][1] == frame["in_vocabulary"]).all()


def test_labels_beyond_the_seven_most_frequent_are_grey_and_seven_differ_by_shape_too(frame):
    labels = [f"group {min(i // 40, 8)}" if i < 360 else "rare" if i < 380 else None for i in range(400)]
    groups = word_groups(frame.assign(label=labels), "label")
    assert len({group.colour for group in groups[:7]}) == len({group.shape for group in groups[:7]}) == 7
    assert [group.name for group in groups[7:]] == ["3 other labels", "none"]
    assert (np.sum([group.here for group in groups], axis=0) == 1).all()
    assert groups[-1].here[399]


@pytest.mark.parametrize("by", ["damage", "label"])
def test_the_map_says_what_is_shown_what_is_chance_and_what_colours_mean(frame, by):
    frame = frame.assign(label=[word[0] for word in frame["word"]])
    frame.attrs["noise"] = {
        "k": 10, "kept_compressed": 0.25, "kept_control": 0.5, "moved_compressed": 0.3, "moved_control": 0.1,
        "far_compressed": 0.6,
    }  # fmt: skip
    words = list(frame["word"][frame["x_after"].notna()][:2])
    shown = text_in(wb.views.map_figure(frame, marked=words, colour=by)).replace("\n", " ")
    assert frame.attrs["sample"] in shown
    assert "25% compressed, 50% when the original is drawn again" in shown
    assert ("cosine to the original vector" in shown) == (by == "damage")
    assert all(group.name in shown for group in word_groups(frame, by))
    assert shown.count(words[0]) >= 2  # on both maps
    with pytest.raises(ValueError, match="or 'label' and a column of that name, got 'beauty'"):
        wb.views.map_figure(frame, colour="beauty")


def test_names_on_a_map_never_cover_each_other(frame):
    figure = wb.views.map_figure(frame, labels=list(frame["word"]))
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_visible()]
    assert 10 < len(boxes) < len(frame)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


# -- paper --------------------------------------------------------------------------------


def blocks_of(words: list[str]) -> dict[str, dict]:
    """Blocks of a panel, small but whole, that name these words."""
    neighbour = {"word": words[0], "status": "kept", "rank_before": 2, "rank_after": 1}
    lost = {"word": words[1], "status": "lost", "rank_before": 1, "rank_after": None}
    ngram = {"ngram": "<<b", "before": -0.2, "after": None, "cosine": None, "status": "pruned"}
    ngrams = {"before": "n-grams", "after": "n-grams", "left": "1 of 2", "cosine": 0.5, "rows": [ngram]}
    looked = [
        {"word": word, "fate": "dropped", "rank": 3, "cosine": None, "n_kept": 1, "n_before": 2,
         "neighbours": [neighbour, lost], "ngrams": ngrams} for word in words
    ]  # fmt: skip
    group = {"by": "shape", "meaning": "", "n": 1_234, "share": 0.5, "low": None, "high": None, "p5": 0.4,
             "no_vector": 0.0, "loss_share": 0.25, "worst": words}  # fmt: skip
    word = {"rank": 1_000, "count": None, "shape": "plain", "fate": "kept"}
    metric = {"what": "Cosine", "help": HELP["kept"], "value": "0.98", "share": 0.98, "spread": "", "how": "exact"}
    step = {"label": "Prune", "effect": "22.6 → 2.9 MB", "error": "expected <at most> 3"}
    return {
        "top": {"name": words[0], "about": "2 words"},
        "status": {"errors": {"maps": "too few words"}},
        "cards": {"size": {"bytes": 420_000, "limit": 400_000}},
        "overview": {"rows": [metric | {"before": None}]},
        "rail": {"steps": [step]},
        "export": {"code": "big = load('<b>')", "formats": [{"title": "text", "losses": ["n-grams", "codes"]}]},
        "looked": {"words": looked},
        "neighbours": {"how": "sampled, seed 0", "rows": [
            {"word": word, "rank": 9, "kept": i, "k": 10, "cosine": None, "lost": words, "gained": []}
            for i, word in enumerate(words)]},
        "damage": {
            "summary": "The most affected words", "how": ["exact"],
            "groups": [group | {"group": name, "mean": mean} for name, mean in (("long", 0.7), ("plain", 0.9))],
            "words": [word | {"word": w, "cosine": None, "loss_share": 0.1} for w in words],
            "codes": [{"code": "level 2, code 3", "n": 20, "mean": 0.3, "z": -7.0, "chance": False, "worst": words}],
        },
    }  # fmt: skip


def test_the_page_shows_every_part_without_scripts_links_or_markup_from_words(frame):
    words = [word.encode("utf-8", "replace").decode() for word in ODD]
    html = re.sub("base64,[^']*", "", panel_page(blocks_of(words), frame))  # letters of pictures may spell anything
    assert not any(tag in html.lower() for tag in ("<script", "<a ", "href", "http", "<b>f", "onload"))
    assert html.count("<bdi>&lt;b&gt;</bdi>") > 5
    assert html.count("<bdi>{word}</bdi>") > 5
    for text in ("Problems", "Numbers", "Recipe", "Neighbours before and after", "Maps", "Damage", "Formats"):
        assert f"<h4>{text}</h4>" in html
    for text in (
        "too few words", "0.42 MB</b> × over the limit of 0.40 MB", HELP["kept"],
        "22.6 → 2.9 MB", "expected &lt;at most&gt; 3", "load(&#x27;&lt;b&gt;&#x27;)", "1 of 2 neighbours kept",
        "<span class='lost'>×</span>", "-0.200", "pruned</bdi>", "1,234", "0.700", "25.0%", "more than chance",
        "n-grams<br>codes",
    ):  # fmt: skip
        assert text in html, text
    assert html.count("<img alt=") == 2  # the maps, and groups of words


def test_parts_without_content_are_left_out_and_an_empty_page_says_so():
    html = panel_page({"top": {}, "cards": {}, "looked": {"words": []}})
    assert "Nothing has been computed yet" in html
    assert "<h4>" not in html
    assert "<h4>b</h4>" in page_html("t", [("a", ""), ("b", "<p>c</p>")])


def test_a_table_escapes_text_aligns_numbers_and_leaves_out_columns_that_are_missing_everywhere():
    columns = {"word": "<b>{word}</b>", "n": "{n:,}", "low": "{low:.2f} to {high:.2f}", "note": "{note}"}
    rows = [{"word": "<i>", "n": 1_000, "low": None, "high": 1.0, "note": Html("<u>x</u>")},
            {"word": "b", "n": None, "low": None, "high": None, "note": ["y", "<z>"]}]  # fmt: skip
    html = table_html(columns, rows)
    assert "<b><bdi>&lt;i&gt;</bdi></b>" in html
    assert "<td align='right'>1,000</td>" in html
    assert "<td align='right'>–</td>" in html
    assert "low" not in html
    assert "<td><u>x</u></td>" in html
    assert "<bdi>y</bdi>, <bdi>&lt;z&gt;</bdi>" in html
    assert html.count("<tr>") == 3
