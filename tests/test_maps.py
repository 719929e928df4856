"""Maps: what is on them, what of them is chance, and the process that draws them."""

import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import numpy as np
import pandas as pd
import psutil
import pytest
from conftest import PATIENCE, text_in, until
from sklearn.manifold import trustworthiness as of_sklearn

import workbench as wb
from workbench import progress
from workbench.evaluate.layout import nearest_places, trustworthiness
from workbench.evaluate.maps import OriginalMap, noise_text, pca_maps, topics, umap_maps
from workbench.progress import Stopped
from workbench.views import mapper
from workbench.views.blocks import placed
from workbench.views.plots import map_figure


def pca_layout(vectors, start, n_neighbors, seed, again):
    """Stands in for UMAP, which takes seconds to compile: places that depend on all that is given."""
    rng = np.random.default_rng(seed)
    return (start + rng.normal(scale=0.01, size=start.shape) * (1 + again)).astype(np.float32), 0.9


STEPS = {"pruned": wb.Prune(600, 20_000), "float16": wb.SQ("float16"), "bad": wb.PQ(4)}


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


# -- UMAP itself ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(builtin):
    """Draws UMAP maps of the built-in model, whose own map is drawn once."""
    shown, v = OriginalMap(builtin, 700), builtin.adjusted()

    @cache
    def draw(name: str) -> pd.DataFrame:
        return shown.umap(STEPS[name].fit_transform(v) if name in STEPS else v)

    return draw


def test_maps_hold_every_word_the_most_frequent_first_and_can_be_believed(builtin, drawn):
    maps = drawn("pruned")
    order = builtin.vocab.by_frequency()
    assert list(maps["word"]) == [builtin.words[order[rank - 1]] for rank in maps["rank"]]
    assert np.isfinite(maps.drop(columns="word").to_numpy(float)).all()
    assert list(maps["in_vocabulary"]) == [rank <= 600 for rank in maps["rank"]]
    text = text_in(map_figure(maps))
    assert all(said in text for said in ("own row", "rebuilt from n-grams", "cosine to the original vector"))
    assert maps.attrs["trust_before"] > 0.75  # half is chance
    assert maps.attrs["trust_after"] > 0.75
    for axis in ("x", "y"):
        assert np.corrcoef(maps[f"{axis}_before"], maps[f"{axis}_after"])[0, 1] > 0.5


def test_a_model_that_did_not_change_differs_by_chance_exactly(drawn):
    same = drawn("unchanged").attrs["noise"]
    assert same["kept_compressed"] == same["kept_control"] < 1
    assert same["moved_compressed"] == same["moved_control"] > 0
    assert same["far_compressed"] == pytest.approx(0.05, abs=0.01)


@pytest.mark.slow
def test_a_harmless_codec_is_not_told_apart_from_chance_and_a_bad_one_is(drawn):
    good, bad = (drawn(name).attrs["noise"] for name in ("float16", "bad"))
    assert abs(good["kept_compressed"] - good["kept_control"]) < 0.05
    assert good["far_compressed"] < 0.15
    assert bad["kept_compressed"] < bad["kept_control"] - 0.15
    assert bad["far_compressed"] > 0.3
    assert bad["moved_compressed"] > 2 * bad["moved_control"]


def test_the_seed_decides_the_map(plain):
    maps = [umap_maps(plain, plain, n_words=100, random_state=3) for _ in range(2)]
    pd.testing.assert_frame_equal(*maps)


# -- what is chance -------------------------------------------------------------------------


def test_principal_components_are_the_same_axes_for_both_maps(fasttext):
    maps = pca_maps(fasttext, fasttext, n_words=300)
    assert np.array_equal(maps["x_before"], maps["x_after"])
    spread = maps[["x_before", "y_before"]].to_numpy() - maps[["x_before", "y_before"]].to_numpy().mean(axis=0)
    assert spread[:, 0].std() > spread[:, 1].std()
    assert abs(np.corrcoef(spread.T)[0, 1]) < 1e-3
    assert maps.attrs["noise"] is None
    assert "nothing moves by chance" in noise_text(maps)


def test_words_without_a_vector_are_on_the_first_map_alone(fasttext):
    small = wb.Prune(300, 0).fit_transform(fasttext)
    for maps in (pca_maps(fasttext, small, 400), umap_maps(fasttext, small, 400, layout=pca_layout)):
        gone = ~maps["in_vocabulary"]
        assert list(gone) == [rank > 300 for rank in maps["rank"]]
        assert maps.loc[gone, ["x_after", "y_after", "cosine"]].isna().all(axis=None)
        assert maps.loc[:, ["x_before", "y_before"]].notna().all(axis=None)
        text = text_in(map_figure(maps))
        assert "no vector" in text
        assert f"{maps.attrs['method']} 1" in text


def test_trustworthiness_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1_300, 6)).astype(np.float32)
    places = vectors[:, :2] + rng.normal(scale=0.3, size=(1_300, 2)).astype(np.float32)
    expected = of_sklearn(vectors, places, n_neighbors=15, metric="cosine")
    assert trustworthiness(vectors, places, 15) == pytest.approx(expected, abs=1e-6)
    assert trustworthiness(vectors, places, 15, n_judged=400) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("n", "k"), [(3, 2), (600, 10)])
def test_equal_places_have_as_many_neighbours_as_others(n, k):
    found = nearest_places(np.ones((n, 2), np.float32), k)
    assert found.shape == (n, k)
    assert not (found == np.arange(n)[:, None]).any()
    assert all(len(set(row)) == k for row in found.tolist())


@pytest.fixture
def frame(fasttext):
    """All kinds of words: with own rows, rebuilt, and without a vector."""
    small = wb.Prune(300, 40).fit_transform(fasttext)
    return OriginalMap(fasttext, 400).umap(small, pca_layout)


# -- names of regions, and what a front end gets ----------------------------------------------


def test_regions_are_named_by_words_of_their_own_that_lie_in_them(builtin):
    original = OriginalMap(builtin, 1_000)
    frame = original.pca(builtin)
    named = topics(frame, original.vectors, 8)
    assert named == topics(frame, original.vectors, 8)
    words = [word for topic in named for word in topic["text"].split(" · ")]
    assert 4 <= len(named) <= 8
    assert len(words) == len(set(words)) > len(named)
    places = frame.set_index("word")[["x_before", "y_before"]]
    spread = places.to_numpy().std()
    for topic in named:
        for word in topic["text"].split(" · "):
            assert np.linalg.norm(places.loc[word] - topic["before"]) < 2 * spread
        assert topic["after"] == topic["before"]


def test_regions_without_vectors_have_no_place_on_the_second_map(fasttext):
    original = OriginalMap(fasttext, 400)
    frame = original.pca(wb.Prune(300, 0).fit_transform(fasttext))
    frame.loc[frame["x_before"] > 0, ["x_after", "y_after"]] = np.nan
    assert None in [topic["after"] for topic in topics(frame, original.vectors)]


def test_points_are_the_frame_as_bytes(frame):
    sent = placed(frame)
    assert np.array_equal(np.frombuffer(sent["after"], "<f4").reshape(-1, 2)[:, 1], frame["y_after"].astype("f4"), True)
    assert np.array_equal(np.frombuffer(sent["rank"], "<i4"), frame["rank"])
    fate = np.frombuffer(sent["fate"], "u1")
    assert set(fate) == {0, 1, 2}
    assert np.array_equal(fate == 2, frame["cosine"].isna())
    assert np.array_equal(fate == 0, frame["in_vocabulary"])


# -- the process that draws them --------------------------------------------------------------


def cloud(n: int, seed: int = 0) -> tuple:
    """Arguments of a layout."""
    points = np.random.default_rng(seed).normal(size=(n, 12)).astype(np.float32)
    return points, points[:, :2], 15, seed


@contextmanager
def stopped_after(seconds: float):
    """Have the work inside stopped at its first tick after so many seconds."""
    end = time.monotonic() + seconds

    def hear(what: str, share: float) -> None:
        if time.monotonic() >= end:
            raise Stopped

    with progress.told_to(hear), pytest.raises(Stopped):
        yield


@pytest.fixture
def maps():
    """A process that is ready."""
    mapper.shared.layout(*cloud(100))
    return mapper.shared


def test_a_stopped_layout_leaves_its_process_ready_for_the_next(maps):
    before, pid, rng = maps.layout(*cloud(300)), maps.warm().process.pid, random.Random(0)
    for seconds in [0.0, *(rng.random() for _ in range(3))]:
        begun = time.monotonic()
        with stopped_after(seconds):
            maps.layout(*cloud(8_000))
        assert time.monotonic() - begun < seconds + 5  # the whole map takes longer
    assert maps.layout(*cloud(301))[0].shape == (301, 2)
    assert maps.layout(*cloud(300)) is before  # remembered
    assert maps.warm().process.pid == pid


def test_a_layout_that_waits_for_its_turn_is_stopped_too(maps):
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(maps.layout, *cloud(3_000, 1))
        time.sleep(0.2)
        with stopped_after(0.1):
            maps.layout(*cloud(3_000, 2))
        places, _ = first.result(PATIENCE)
    assert places.shape == (3_000, 2)


def test_a_process_that_dies_is_an_error_and_the_next_map_is_drawn(maps):
    process = maps.warm().process
    kill = progress.told_to(lambda *_: process.kill())  # as soon as the work is under way
    with kill, pytest.raises(RuntimeError, match="process that draws maps ended"):
        maps.layout(*cloud(8_000, 3))
    with stopped_after(0.2):  # while the next one warms up
        maps.layout(*cloud(302))
    assert maps.layout(*cloud(302))[0].shape == (302, 2)
    worker = maps.warm()
    worker.process.kill()
    worker.process.wait()
    worker.reader.is_alive = lambda: True  # it may hear late of the end
    assert maps.warm() is not worker
    assert maps.layout(*cloud(303))[0].shape == (303, 2)


@pytest.mark.parametrize(
    "end", [pytest.param("", marks=pytest.mark.slow), "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_the_process_ends_with_the_one_that_started_it_without_a_warning(end):
    code = "from workbench.views.mapper import shared; print(shared.warm().process.pid, flush=True); " + end
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True)
    until(lambda: not psutil.pid_exists(int(done.stdout)))
    assert "ResourceWarning" not in done.stderr


# -- what cannot be mapped -------------------------------------------------------------------


RANDOM = np.random.default_rng(0).normal(size=(40, 8))


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (RANDOM[:, :1], "there is nothing to map"),
        (np.ones((40, 8)), "there is nothing to map"),
        (RANDOM[:2], "there is nothing to map"),
        (RANDOM[:10], r"more than 30 words.* got 10"),
    ],
    ids=["one dimension", "equal", "two words", "ten words"],
)
def test_models_with_nothing_to_map_are_refused_in_a_line(matrix, said):
    v = wb.Vectors.from_arrays([f"w{i}" for i in range(len(matrix))], matrix)
    with pytest.raises(ValueError, match=said):
        umap_maps(v, v)
