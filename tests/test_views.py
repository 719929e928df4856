"""Figures carry what the tables say, and words of any script."""

import numpy as np
import pandas as pd
import pytest

import workbench as wb


@pytest.fixture(scope="module")
def small(fasttext):
    return wb.Chain([wb.Prune(300, 300), wb.PQ(6, n_bits=6)]).fit_transform(fasttext)


def texts(figure) -> str:
    from matplotlib.text import Text

    return "\n".join(t.get_text() for t in figure.findobj(Text))


def test_the_scorecard_figure_has_units_on_every_axis_and_the_ratio(fasttext, small):
    card = wb.scorecard(fasttext, small, n_queries=50)
    figure = wb.views.scorecard_figure(card)
    assert all(axis.get_ylabel() for axis in figure.axes)
    ratio = card.loc[card["metric"] == "ratio", "value"].iloc[0]
    assert f"{ratio:.3g} times smaller" in texts(figure)
    assert "no word-pair set" in texts(figure)  # made-up words are in no set
    figure.canvas.draw()


def test_the_neighbours_figure_names_every_neighbour_with_its_status(fasttext, small):
    changes = wb.neighbour_changes(fasttext, small, fasttext.words[:2], topn=6)
    shown = texts(wb.views.neighbours_figure(changes))
    for entry in changes.itertuples():
        mark = {"kept": "●", "lost": "×", "gained": "▲"}[entry.status]
        assert f"{entry.neighbour} {mark}" in shown or f"{mark} {entry.neighbour}" in shown


@pytest.fixture(scope="module")
def maps(builtin):
    small = wb.Chain([wb.Prune(600, 20_000), wb.PQ(25)]).fit_transform(builtin)
    return wb.views.umap_maps(builtin, small, n_words=700)


def test_maps_hold_places_and_closeness_of_every_word_the_most_frequent_first(builtin, maps):
    order = np.argsort(-builtin.vocab.counts, kind="stable")
    assert list(maps["word"]) == [builtin.words[order[rank - 1]] for rank in maps["rank"]]
    assert np.isfinite(maps.drop(columns="word").to_numpy(float)).all()
    assert list(maps["in_vocabulary"]) == [rank <= 600 for rank in maps["rank"]]


def test_maps_can_be_believed_and_compared(maps):
    assert maps.attrs["trust_before"] > 0.75  # half is chance
    assert maps.attrs["trust_after"] > 0.75
    for axis in ("x", "y"):
        assert np.corrcoef(maps[f"{axis}_before"], maps[f"{axis}_after"])[0, 1] > 0.5


def test_the_seed_decides_the_map(fasttext, small):
    maps = [wb.views.umap_maps(fasttext, small, n_words=200, random_state=3) for _ in range(2)]
    pd.testing.assert_frame_equal(*maps)


def test_the_map_figure_tells_own_rows_from_rebuilt_ones_by_shape(maps):
    figure = wb.views.map_figure(maps)
    shown = texts(figure)
    assert "own row" in shown
    assert "rebuilt from n-grams" in shown
    assert "cosine to the original vector" in shown
    figure.canvas.draw()


def test_too_few_words_make_no_map(fasttext, small):
    with pytest.raises(ValueError, match=r"more than 30 words.* got 10"):
        wb.views.umap_maps(fasttext, small, n_words=10)


def test_words_without_a_vector_are_on_the_first_map_alone(builtin):
    small = wb.Prune(600, 0).fit_transform(builtin)
    for maps in (wb.views.pca_maps(builtin, small, n_words=700), wb.views.umap_maps(builtin, small, n_words=700)):
        gone = ~maps["in_vocabulary"]
        assert list(gone) == [rank > 600 for rank in maps["rank"]]
        assert maps.loc[gone, ["x_after", "y_after", "cosine"]].isna().all(axis=None)
        assert maps.loc[:, ["x_before", "y_before"]].notna().all(axis=None)
        figure = wb.views.map_figure(maps)
        assert "no vector left" in texts(figure)
        assert f"{maps.attrs['method']} 1" in texts(figure)


def test_principal_components_are_the_same_axes_for_both_maps(builtin):
    maps = wb.views.pca_maps(builtin, builtin, n_words=300)
    assert np.array_equal(maps["x_before"], maps["x_after"])
    spread = maps[["x_before", "y_before"]].to_numpy() - maps[["x_before", "y_before"]].to_numpy().mean(axis=0)
    assert spread[:, 0].std() > spread[:, 1].std()
    assert abs(np.corrcoef(spread.T)[0, 1]) < 1e-3


def test_figures_show_themselves_without_the_global_state_of_pyplot(fasttext, small):
    from matplotlib import pyplot as plt

    figure = wb.views.neighbours_figure(wb.neighbour_changes(fasttext, small, fasttext.words[:1]))
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert plt.get_fignums() == []


def test_words_with_dollar_signs_are_drawn_as_they_are(plain):
    """matplotlib takes what is between two of them for a formula, and refuses most."""
    odd = ["$$", "$_$", "a$b_$", "US$", "\\\\foo$$"]
    v = wb.Vectors.from_arrays([*odd, *plain.words[5:]], plain.matrix())
    frame = wb.views.pca_maps(v, v, n_words=100).assign(label="$^$")
    for figure in (
        wb.views.map_figure(frame, labels=odd, marked=odd, colour="label"),
        wb.views.neighbours_figure(wb.neighbour_changes(v, v, odd[:3], topn=20)),
    ):
        assert figure.png().startswith(b"\x89PNG")
    assert r"US\$" in texts(wb.views.map_figure(frame, labels=odd))  # which matplotlib shows as US$
