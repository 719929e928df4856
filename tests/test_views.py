"""Figures carry what the tables say, and words of any script."""

import pytest
from matplotlib.text import Text

import workbench as wb


@pytest.fixture(scope="module")
def small(fasttext):
    return wb.Chain([wb.Prune(300, 300), wb.PQ(6, n_bits=6)]).fit_transform(fasttext)


def texts(figure) -> str:
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
