"""The built-in model: its texts, its training, its cache."""

import errno

import numpy as np
import pytest

import workbench as wb
from workbench.formats import builtin as recipe


def test_the_built_in_model_is_a_real_fasttext_file(builtin):
    assert builtin.is_composed
    assert len(builtin) > 10_000
    assert builtin.dim == 100
    assert builtin.meta["provenance"]["source"] == "builtin:en"
    assert builtin.similarity("music", "musician") > builtin.similarity("music", "tuesday")


def test_rare_words_are_real_and_unseen(builtin):
    rare = recipe.rare_words()
    assert len(rare) > 10_000
    assert not set(rare) & set(builtin.words)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="there is builtin:en"):
        wb.load("builtin:ru")


def test_training_is_deterministic_and_atomic(tmp_path, monkeypatch):
    """On a small share of the texts, for time."""
    few = recipe.sentences()[:300]
    monkeypatch.setattr(recipe, "sentences", lambda: few)
    monkeypatch.setattr(recipe, "TRAINING", {**recipe.TRAINING, "epochs": 1, "bucket": 500})
    files = []
    for name in ("a", "b"):
        monkeypatch.setattr(recipe, "cache_folder", lambda name=name: tmp_path / name)
        files.append(recipe.model_path("builtin:en"))
    assert files[0].read_bytes() == files[1].read_bytes()
    assert [p.name for p in files[0].parent.iterdir()] == [files[0].name]
    assert np.isfinite(wb.load(files[0]).matrix()).all()


def test_a_cache_that_cannot_be_written_is_found_out_before_training(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(recipe, "_train", trained.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(recipe, "cache_folder", lambda: tmp_path / "file" / "cache")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file"):
        recipe.model_path("builtin:en")
    assert trained == []

    def refuse(path):
        raise PermissionError(errno.EACCES, "as in a container")

    monkeypatch.setattr(recipe.files, "check_writable", refuse)
    found = recipe.model_path("builtin:en")
    assert found.parent == recipe.files.temporary_folder("models")
    assert trained == [found]


def test_the_cache_is_in_the_checkout():
    assert recipe.cache_folder().parts[-2:] == ("data", "cache")
