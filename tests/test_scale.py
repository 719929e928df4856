"""Models larger than memory: what is read, what is held, and that neither changes a result."""

import sys
import tempfile
import tracemalloc
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import is_mapped, made_fasttext, made_plain

import workbench as wb
from workbench import progress, spool, vocab
from workbench.compress import refit
from workbench.storage import Dense, Stacked

PRUNE = wb.Prune(n_words=200, n_ngrams=900)


class Spied(Dense):
    """Rows that remember which of them were asked for."""

    def __init__(self, matrix: np.ndarray):
        super().__init__(matrix)
        self.asked: set[int] = set()

    def rows(self, index):
        self.asked.update(np.arange(len(self))[index].tolist())
        return super().rows(index)


def saved(v: wb.Vectors, folder: Path) -> bytes:
    return v.save(folder / "v.safetensors").read_bytes()


# -- what is read -------------------------------------------------------------------------


def test_pruning_decodes_no_word_that_goes_and_copies_none_where_only_ngrams_go():
    v = made_fasttext()
    spied = Spied(v.storage.words.matrix)
    prune = wb.Prune(n_words=200, n_ngrams=900)
    prune.fit_transform(v.with_storage(Stacked(spied, v.storage.ngrams)))
    assert spied.asked == set(prune.words_.tolist())
    v = v.adjusted()
    assert wb.Prune(n_ngrams=900).fit_transform(v).storage.words is v.storage.words


@pytest.mark.parametrize("remap", [None, "nearest"])
def test_words_are_pruned_before_they_are_adjusted_and_nothing_changes(remap, tmp_path):
    v = made_fasttext()
    prune = wb.Prune(n_words=200, n_ngrams=900, remap=remap)
    assert saved(prune.fit_transform(v), tmp_path) == saved(prune.fit_transform(v.adjusted(), v), tmp_path)


def test_nan_in_a_word_that_stays_is_named_by_its_row_in_the_file():
    v = made_fasttext()
    place = int(v.vocab.most_frequent(200)[-1])
    v.storage.words.matrix[place, 3] = np.nan
    with pytest.raises(ValueError, match=rf"^row {place} \(word '{v.words[place]}'\) holds NaN"):
        PRUNE.fit_transform(v)


# -- what is held -------------------------------------------------------------------------


def test_refit_is_fitted_on_a_seeded_sample_of_no_more_words_than_it_says():
    v = made_fasttext()
    small = PRUNE.fit_transform(v)
    n_dropped = len(v) - len(small)

    def rows(n_words, seed=0):
        return wb.Refit(n_words=n_words, n_unseen=0, random_state=seed).fit(small, v).ngrams_.matrix

    np.testing.assert_array_equal(rows(100), rows(100))
    assert not np.array_equal(rows(100), rows(100, seed=1))
    np.testing.assert_array_equal(rows(n_dropped), rows(None))
    assert not np.array_equal(rows(n_dropped - 1), rows(None))
    assert "n_words" not in repr(wb.Refit())  # recipes of ordinary models do not speak of the sample
    step = wb.Refit(n_words=70)
    assert wb.compress.from_json(step.to_json()) == step != wb.Refit()


@pytest.mark.parametrize("storage", [[], [wb.SQ("float16", on="ngrams")]], ids=["dense", "scaled"])
def test_columns_solved_apart_are_the_same_to_the_bit(storage, monkeypatch):
    v = made_fasttext(dim=120)
    small = wb.Chain([PRUNE, *storage]).fit_transform(v)
    together = wb.Refit(n_iter=3).fit(small, v).ngrams_.rows(slice(None))
    monkeypatch.setattr(refit, "SOLVED", 1)
    solve = Mock(wraps=refit.conjugate_gradients)
    monkeypatch.setattr(refit, "conjugate_gradients", solve)
    apart = wb.Refit(n_iter=3).fit(small, v).ngrams_.rows(slice(None))
    assert solve.call_count == 3  # 52, 52 and 16 columns
    np.testing.assert_array_equal(apart, together)


def test_ngrams_of_very_many_words_are_found_block_by_block_with_the_same_result(monkeypatch, tmp_path):
    recipes = [
        wb.Chain([wb.Prune(200, 900, importance="counts"), wb.Refit(frequency=0.5)]),
        wb.Chain([wb.Rehash(500), wb.Refit(n_unseen=50)]),
    ]
    expected = [saved(recipe.fit_transform(made_fasttext()), tmp_path) for recipe in recipes]
    monkeypatch.setattr(vocab, "MAX_CACHED_WORDS", 100)
    monkeypatch.setattr(vocab, "HASH_BLOCK", 64)
    assert [saved(recipe.fit_transform(made_fasttext()), tmp_path) for recipe in recipes] == expected
    v = made_fasttext()
    assert len(list(v.vocab.bucket_blocks(v.vocab.subwords))) == 11


# -- rows in a file -----------------------------------------------------------------------


@pytest.fixture
def spills(monkeypatch, tmp_path) -> Path:
    """A limit that every model here is above, and the folder where the rows then go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(spool, "MAX_IN_MEMORY", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("name", ["v.vec", "v.bin", "v.glove", "v.vec.gz"])
def test_text_beyond_the_limit_is_mapped_and_gives_the_same_vectors(name, spills, tmp_path):
    everything = made_plain(dim=7)
    for v, is_large in ((everything, True), (everything.head(3), False)):
        wb.export(v, tmp_path / name, "word2vec-binary" if name == "v.bin" else None, warn=False)
        found = wb.load(tmp_path / name)
        assert is_mapped(found.storage.words.matrix) == is_large
        assert found.words == v.words
        np.testing.assert_array_equal(found.matrix(), v.matrix())
        assert not list(spills.iterdir())


def test_text_beyond_the_limit_is_checked_as_below_it(spills, tmp_path):
    rows = [[i, i + 0.5, -i] for i in range(400)]

    def load() -> wb.Vectors:
        path = tmp_path / "v.glove"
        path.write_text("\n".join(f"w{i % 150} {' '.join(map(str, row))}" for i, row in enumerate(rows)))
        return wb.load(path)

    with pytest.warns(UserWarning, match="250 duplicate words"):
        v = load()
    assert is_mapped(v.storage.words.matrix)
    assert v.words == [f"w{i}" for i in range(150)]
    np.testing.assert_array_equal(v.matrix(), np.float32(rows[:150]))
    rows[133][1] = "nan"
    with pytest.raises(ValueError, match=r"row 133 \(word 'w133'\) holds NaN"):
        load()


def test_adjusted_rows_and_steps_that_keep_and_move_many_map_them_with_the_same_result(monkeypatch, tmp_path):
    recipe = wb.Chain([PRUNE, wb.Refit(n_unseen=50), wb.PQ(3, 4, on="ngrams"), wb.Refit(n_unseen=50, kept_weight=1)])
    expected = saved(recipe.fit_transform(made_fasttext()), tmp_path)
    monkeypatch.setattr(spool, "MAX_IN_MEMORY", 1000)
    assert is_mapped(made_fasttext().adjusted().storage.words.matrix)
    first, *_ = recipe.steps
    assert is_mapped(first.fit_transform(made_fasttext()).storage.ngrams.matrix)
    assert saved(recipe.fit_transform(made_fasttext()), tmp_path) == expected


@pytest.mark.parametrize(
    "step",
    [
        wb.Prune(50, choose="coverage"),
        wb.Prune(50, choose="kmeans"),
        wb.Residual(),
        wb.Rehash(100),
        wb.Chain([wb.Prune(50, 200), wb.Refit(n_unseen=0)]),
    ],
    ids=repr,
)
def test_no_step_holds_a_whole_matrix(step, spills, monkeypatch):
    monkeypatch.setattr("workbench.compress.choose.N_NEIGHBOURS", 3)
    v = made_fasttext(2_000, 2_000, 200)
    expected = step.fit_transform(v).storage.rows(slice(None))  # which also compiles, for a lot of memory
    blocks = (
        "storage.BLOCK",
        "compress.choose.BLOCK",
        "nearest.CANDIDATES",
        "vocab.HASH_BLOCK",
    )
    for name in blocks:
        monkeypatch.setattr(f"workbench.{name}", 32)
    monkeypatch.setattr("workbench.compress.refit.LOOKED_UP", 32 * v.dim)
    for walk in (wb.Vectors.blocks, Dense.blocks):
        monkeypatch.setattr(walk, "__defaults__", (32, *walk.__defaults__[1:]))
    tracemalloc.start()
    found = step.fit_transform(v)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.6 * v.storage.words.nbytes
    np.testing.assert_allclose(found.storage.rows(slice(None)), expected, atol=1e-5)


# -- interrupted work ---------------------------------------------------------------------


class Stop(BaseException):
    """As Ctrl-C does."""


def interrupt(what: str, share: float) -> None:
    raise Stop


def test_interrupted_work_leaves_the_older_file_and_nothing_else(spills, tmp_path):
    (tmp_path / "v.vec").write_text("\n".join(f"w{i} 1 2 3" for i in range(400)))
    before = sorted(tmp_path.rglob("*"))
    v = made_plain()
    for work in (lambda: wb.load(tmp_path / "v.vec"), lambda: wb.export(v, tmp_path / "v.vec", warn=False)):
        with pytest.raises(Stop), progress.told_to(interrupt):
            work()
    assert sorted(tmp_path.rglob("*")) == before
    assert len(wb.load(tmp_path / "v.vec")) == 400


# -- the whole ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_tenth_of_the_public_size_stays_below_its_bound(tmp_path, monkeypatch):
    """480 MB of matrix, of which neither the words' half nor the n-grams' may be held."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import scale

    size = scale.Size(200_000, 200_000, 300)
    model = scale.make(tmp_path / "large.bin", size)
    job = scale.watched("build_workbench", model=str(model), path=str(tmp_path / "small"), **scale.recipe(size))
    assert (tmp_path / "small").exists()
    assert job.anonymous() < 600e6
