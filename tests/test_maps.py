"""Maps: what is on them, what of them is chance, what colours mean, and the live ones without a browser."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.manifold import trustworthiness as of_sklearn

import workbench as wb
from workbench.storage import Coded
from workbench.views.colours import code_order, colours
from workbench.views.layout import nearest_places, trustworthiness
from workbench.views.live.maps import LiveMaps
from workbench.views.mapper import N_REMEMBERED, Mapper
from workbench.views.maps import OriginalMap, layout_noise, map_figure, noise_text, pca_maps, umap_maps


def pca_layout(vectors, start, n_neighbors, seed, again):
    """Stands in for UMAP, which takes seconds to compile: places that depend on all that is given."""
    rng = np.random.default_rng(seed)
    return (start + rng.normal(scale=0.01, size=start.shape) * (1 + again)).astype(np.float32), 0.9


# -- which words --------------------------------------------------------------------------


def test_half_of_a_large_vocabulary_is_frequent_and_half_a_sample_of_the_others(fasttext):
    shown = OriginalMap(fasttext, 101, random_state=4)
    order = [fasttext.words[i] for i in fasttext.vocab.by_frequency()]
    assert shown.words[:51] == order[:51]
    assert [order[r - 1] for r in shown.rank] == shown.words
    assert np.all(np.diff(shown.rank) > 0)
    assert shown.rank[51:].max() > 350  # rare ones too
    assert shown.sample == "51 most frequent of 700 words, and 50 of the others, sampled, seed 4"
    assert OriginalMap(fasttext, 101, random_state=5).words != shown.words
    assert OriginalMap(fasttext, 700).sample == "all 700 words"


def test_the_original_is_drawn_twice_once_a_model_and_the_compressed_map_once_a_recipe(fasttext):
    asked = []

    def layout(*arguments):
        asked.append(arguments)
        return pca_layout(*arguments)

    shown = OriginalMap(fasttext, 200)
    small = wb.Chain([wb.Prune(300, 300), wb.PQ(6, n_bits=6)]).fit_transform(fasttext)
    frame = shown.umap(small, layout)
    first, control, compressed = asked
    assert np.array_equal(control[0], first[0])
    assert np.array_equal(control[1], frame[["x_before", "y_before"]])
    assert not np.array_equal(compressed[0], first[0])
    for a, b in zip(control[1:], compressed[1:], strict=True):  # start, neighbours, seed, again
        assert np.array_equal(a, b)
    assert control[3] != first[3]
    shown.umap(fasttext, layout)
    assert len(asked) == 4


# -- what is chance -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def noises(builtin):
    """Noise of three compressions of the built-in model, by name; UMAP itself."""
    shown, v = OriginalMap(builtin, 700), builtin.adjusted()
    steps = {"none": None, "float16": wb.SQ("float16"), "bad": wb.PQ(4)}
    return {name: shown.umap(step.fit_transform(v) if step else v).attrs["noise"] for name, step in steps.items()}


@pytest.mark.slow
def test_a_harmless_codec_is_not_told_apart_from_chance_and_a_bad_one_is(noises):
    good, bad = noises["float16"], noises["bad"]
    assert abs(good["kept_compressed"] - good["kept_control"]) < 0.05
    assert good["far_compressed"] < 0.15
    assert bad["kept_compressed"] < bad["kept_control"] - 0.15
    assert bad["far_compressed"] > 0.3
    assert bad["moved_compressed"] > 2 * bad["moved_control"]


def test_a_model_that_did_not_change_differs_by_chance_exactly(noises):
    same = noises["none"]
    assert same["kept_compressed"] == same["kept_control"] < 1
    assert same["moved_compressed"] == same["moved_control"] > 0
    assert same["far_compressed"] == pytest.approx(0.05, abs=0.01)


def test_noise_counts_words_that_both_models_have(fasttext):
    frame = pca_maps(fasttext, fasttext, 200)
    frame.attrs["method"] = "UMAP"
    frame["x_control"] += np.linspace(0, 1, 200)
    frame.loc[150:, ["x_after", "y_after"]] = np.nan
    noise = layout_noise(frame)
    assert noise["n"] == 150
    assert noise["kept_compressed"] == 1
    assert noise["moved_compressed"] == noise["far_compressed"] == 0
    assert noise["kept_control"] < 1


def test_principal_components_know_no_chance(fasttext):
    frame = pca_maps(fasttext, fasttext, 200)
    assert np.array_equal(frame[["x_control", "y_control"]], frame[["x_before", "y_before"]])
    assert frame.attrs["noise"] is layout_noise(frame) is None
    assert "nothing moves by chance" in noise_text(frame)


def test_trustworthiness_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1_300, 6)).astype(np.float32)
    places = vectors[:, :2] + rng.normal(scale=0.3, size=(1_300, 2)).astype(np.float32)
    expected = of_sklearn(vectors, places, n_neighbors=15, metric="cosine")
    assert trustworthiness(vectors, places, 15) == pytest.approx(expected, abs=1e-6)
    assert trustworthiness(vectors, places, 15, n_judged=400) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("n", [3, 20, 600])
def test_equal_places_have_as_many_neighbours_as_others(n):
    k = min(n - 1, 10)
    found = nearest_places(np.ones((n, 2), np.float32), k)
    assert found.shape == (n, k)
    assert not (found == np.arange(n)[:, None]).any()
    assert all(len(set(row)) == k for row in found.tolist())


# -- colours ------------------------------------------------------------------------------


@pytest.fixture
def frame(fasttext):
    """All kinds of words: with own rows, rebuilt, and without a vector."""
    small = wb.Prune(300, 40).fit_transform(fasttext)
    frame = OriginalMap(fasttext, 400).umap(small, pca_layout)
    assert colours(frame).legend
    return frame


def test_colours_by_frequency_are_bands_of_rank_in_order(frame):
    look = colours(frame, "frequency")
    assert [entry.name for entry in look.legend[:2]] == ["1 to 100", "101 to 1,000"]
    assert np.array_equal(look.groups, (frame["rank"] > 100).astype(int))


def test_labels_beyond_the_seven_most_frequent_are_grey_and_seven_differ_by_shape_too(frame):
    frame["label"] = [f"group {min(i // 40, 8)}" if i < 380 else None for i in range(400)]
    frame.loc[360:379, "label"] = ["rare"] * 20
    look = colours(frame, "label")
    named = look.legend[:7]
    assert len({e.colour for e in named}) == len({e.shape for e in named}) == 7
    assert "rare" not in [e.name for e in look.legend]
    assert look.legend[-1].name == "none"
    assert look.shapes[0] == named[0].shape
    assert look.palette[look.groups[0]] == named[0].colour
    assert look.shapes[399] == "circle"


def test_near_codebook_entries_have_near_colours_and_words_without_codes_none(frame):
    book = np.array([[3.0, 0], [1, 0.1], [2, 0], [0, 0.1]])
    assert code_order(book).tolist() in ([3, 1, 2, 0], [0, 2, 1, 3])
    frame["code"] = np.resize([0, 1, 2, 3, -1], 400)
    look = colours(frame, "code", "level 1", book)
    by_entry = look.values[:4]
    assert np.all(np.diff(by_entry[[3, 1, 2, 0]]) == np.diff(by_entry[[3, 1, 2, 0]])[0])
    assert np.isnan(look.values[4])
    assert "no codes of its own" in [e.name for e in look.legend]


def test_colours_that_a_frame_has_no_column_for_are_refused(frame):
    with pytest.raises(ValueError, match="needs a column 'label'"):
        colours(frame, "label")
    with pytest.raises(ValueError, match="expected one of damage"):
        colours(frame, "size")


@pytest.mark.parametrize("by", ["damage", "frequency", "label"])
def test_the_figure_says_what_is_shown_what_is_chance_and_what_colours_mean(frame, by):
    from matplotlib.text import Text

    frame["label"] = [word[0] for word in frame["word"]]
    figure = map_figure(frame, colour=by)
    figure.canvas.draw()
    shown = " ".join(t.get_text() for t in figure.findobj(Text)).replace("\n", " ")
    assert frame.attrs["sample"] in shown
    assert noise_text(frame) in shown
    assert colours(frame, by).title in shown


# -- layouts in another process -----------------------------------------------------------


@pytest.fixture
def mapper(monkeypatch):
    """One whose process is made up; `mapper.drawn` holds what it was asked."""
    mapper = Mapper()
    mapper.drawn = []

    def answer(request, arguments):
        mapper.drawn.append(arguments)
        return np.zeros((2, 2), np.float32), float(len(mapper.drawn))

    monkeypatch.setattr(mapper, "_answer", answer)
    return mapper


def test_the_same_question_is_answered_once_and_any_other_anew(mapper):
    vectors, start = np.eye(3, dtype=np.float32), np.zeros((3, 2), np.float32)
    first = mapper.layout(1, vectors, start, 15, 0, True)
    assert mapper.layout(2, vectors.copy(), start.copy(), 15, 0, True) == first
    others = [(-vectors, start, 15, 0, True), (vectors, start + 1, 15, 0, True), (vectors, start, 14, 0, True),
              (vectors, start, 15, 1, True), (vectors, start, 15, 0, False),
              (vectors.reshape(1, 9), start, 15, 0, True)]  # fmt: skip
    assert [mapper.layout(1, *other)[1] for other in others] == [2, 3, 4, 5, 6, 7]


def test_the_longest_unused_answers_are_forgotten(mapper):
    for seed in range(N_REMEMBERED):
        mapper.layout(1, np.eye(2), seed)
    mapper.layout(1, np.eye(2), 0)  # used again
    mapper.layout(1, np.eye(2), N_REMEMBERED)
    assert len(mapper._remembered) == N_REMEMBERED
    n = len(mapper.drawn)
    mapper.layout(1, np.eye(2), 0)
    assert len(mapper.drawn) == n
    mapper.layout(1, np.eye(2), 1)
    assert len(mapper.drawn) == n + 1


# -- live ---------------------------------------------------------------------------------


@pytest.fixture
def live(frame):
    """Live maps of the frame, with what they reported in `live.told`."""
    told = []
    live = LiveMaps(lambda word: told.append(word), lambda words: told.append(words))
    live.told = told
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (400, 2))
    coded = Coded.of(codes.astype(np.uint8), rng.normal(size=(4, 5)), np.array([[0, 2], [2, 5]], np.int32), 5, 2)
    codes[7] = -1
    live.show(frame, (frame["word"][0],), None, (codes, coded))
    return live


def tell(live, event, side, index):
    """What plotly does when a person clicks, hovers or selects: it tells every trace."""
    for i, trace in enumerate(live.figure.data):
        points = SimpleNamespace(point_inds=list(index) if i == side else [], trace_index=i)
        getattr(trace, f"_dispatch_on_{event}")(points, None)


def selected(live) -> list:
    return [None if t.selectedpoints is None else sorted({*t.selectedpoints}) for t in live.twins.points]


@pytest.mark.parametrize("side", [0, 1])
def test_a_click_on_either_map_picks_the_word(live, side):
    tell(live, "click", side, [9])
    assert live.told == [live.words[9]]


@pytest.mark.parametrize("side", [0, 1])
def test_the_pointer_on_a_word_rings_it_on_both_maps(live, frame, side):
    tell(live, "hover", side, [9])
    rings = live.figure.data[4:]
    assert [ring.x[0] for ring in rings] == [np.float32(frame[c][9]) for c in ("x_before", "x_after")]
    assert live.words[9] in live.hovered.value
    tell(live, "unhover", side, [9])
    assert [len(ring.x) for ring in rings] == [0, 0]


@pytest.mark.parametrize("side", [0, 1])
def test_a_lasso_on_either_map_selects_on_both(live, side):
    tell(live, "selection", side, [3, 9, 30])
    assert selected(live) == [[3, 9, 30]] * 2
    assert live.told == [[live.words[i] for i in (3, 9, 30)]]
    assert f"3 selected: {live.words[3]}, {live.words[9]}" in live.text.value
    live.clear.click()
    assert selected(live) == [None, None]
    assert live.told[-1] == []


def test_a_selection_stays_with_other_maps_of_the_same_words_and_goes_with_other_words(live, frame):
    tell(live, "selection", 0, [3])
    live.again.value = True
    assert selected(live) == [[3], [3]]
    live.show(frame, (), None)
    assert selected(live) == [[3], [3]]
    other = frame[:300].copy()
    other.attrs = frame.attrs
    live.show(other, (), None)
    assert selected(live) == [None, None]


def test_a_search_selects_all_words_that_contain_it_and_says_how_many(live):
    live.find.value = live.words[0][:2].upper()
    found = [i for i, word in enumerate(live.words) if live.words[0][:2] in word]
    assert selected(live) == [found] * 2
    assert f"{len(found)} words on the map contain" in live.text.value
    live.find.value = "<b>nothing"
    assert selected(live) == [[], []]
    assert "<b>" not in live.text.value


def test_the_control_takes_the_place_of_the_compressed_map_and_leaves_it(live, frame):
    for shown, side in ((True, "control"), (False, "after")):
        live.again.value = shown
        assert np.allclose(live.figure.data[1].x, frame[f"x_{side}"], equal_nan=True)
        assert np.allclose(live.figure.data[0].x, frame["x_before"])


def test_points_are_coloured_by_what_is_chosen_and_levels_belong_to_codes(live):
    assert live.level.layout.display == "none"
    seen = []
    for by in ("damage", "frequency", "code"):
        live.by.value = by
        seen.append(np.array(live.figure.data[0].marker.color))
        assert np.array_equal(seen[-1], live.figure.data[1].marker.color)
    assert live.level.layout.display is None
    live.level.value = 1
    seen.append(np.array(live.figure.data[0].marker.color))
    assert len({array.tobytes() for array in seen}) == 4
    assert seen[-1][7] < live.figure.layout.coloraxis.colorscale[1][0] + seen[-1].min()  # without codes: below all


def test_arrays_travel_as_numbers_of_four_bytes_and_names_once(live, frame):
    for trace in live.twins.points:
        assert {trace.x.dtype, trace.y.dtype, trace.marker.color.dtype} <= {np.dtype("f4"), np.dtype("i4")}
    sent = []
    live.figure._send_update_msg = lambda restyle_data, *rest, **more: sent.append(restyle_data)
    moved = frame.assign(x_after=frame["x_after"] + 1)
    moved.attrs = frame.attrs
    live.show(moved, (), None)
    assert any("x" in traces for traces in sent)
    names = [names for traces in sent for names in traces.get("text", [])]
    assert not any(live.words[1] in text for texts in names if isinstance(texts, list | tuple) for text in texts)


def test_every_callback_goes_through_the_guard_and_the_programs_own_changes_do_not(frame):
    calls = []

    def guard(callback):
        def call(*arguments):
            calls.append(callback.__name__)
            callback(*arguments)

        return call

    live = LiveMaps(lambda word: None, guard=guard)
    live.show(frame, (), None)
    assert calls == []
    live.find.value = "a"
    live.again.value = True
    live.by.value = "frequency"
    live.clear.click()
    tell(live, "click", 0, [1])
    assert {"_sought", "_swapped", "_recoloured", "_cleared", "_clicked"} == {*calls}


def test_every_control_has_a_name(live):
    assert all(control.description for control in (live.find, live.clear, live.by, live.level, live.again))


def test_many_points_are_drawn_by_webgl_unless_that_is_declined(frame):
    big = pd.concat([frame] * 13, ignore_index=True)
    big.attrs = frame.attrs
    live = LiveMaps(lambda word: None)
    live.show(big, (), None)
    assert [trace.type for trace in live.figure.data[:2]] == ["scattergl"] * 2
    live.no_webgl.value = True
    assert [trace.type for trace in live.figure.data[:2]] == ["scatter"] * 2
    assert len(live.figure.data[0].x) == len(big)
    live.show(frame, (), None)
    assert live.no_webgl.layout.display == "none"


def test_umap_maps_take_the_layout_they_are_given(fasttext):
    frame = umap_maps(fasttext, fasttext, 100, layout=pca_layout)
    assert np.array_equal(frame["x_after"], frame["x_control"])


@pytest.mark.parametrize(
    "matrix",
    [np.random.default_rng(0).normal(size=(40, 1)), np.ones((40, 8)), np.zeros((40, 8)), np.eye(8)[np.zeros(40, int)]
     * np.array([1, -1] * 20)[:, None], np.eye(8)[:2]],
    ids=["one dimension", "equal", "zeros", "opposite", "two words"],
)  # fmt: skip
def test_models_with_nothing_to_map_are_refused_in_a_line(matrix):
    v = wb.Vectors.from_arrays([f"w{i}" for i in range(len(matrix))], matrix)
    with pytest.raises(ValueError, match="there is nothing to map"):
        OriginalMap(v)
