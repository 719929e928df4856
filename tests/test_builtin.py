"""The built-in data: the texts, the model trained from them, its cache."""

import errno
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench import data, files


def test_the_built_in_model_is_a_real_fasttext_file_and_rare_words_are_unseen(builtin):
    assert builtin.is_composed
    assert builtin.dim == 100
    assert len(builtin) > 10_000
    assert builtin.meta["provenance"]["source"] == "builtin:en"
    assert builtin.similarity("music", "musician") > builtin.similarity("music", "tuesday")
    rare = data.rare_words()
    assert len(rare) > 10_000
    assert not set(rare) & set(builtin.words)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="the only one is builtin:en"):
        wb.load("builtin:ru")


def test_training_is_deterministic_and_atomic(tmp_path, monkeypatch):
    """On a small share of the texts, for time."""
    few = data.sentences()[:300]
    monkeypatch.setattr(data, "sentences", lambda: few)
    monkeypatch.setattr(data, "TRAINING", {**data.TRAINING, "epochs": 1, "bucket": 500})
    made = []
    for name in ("a", "b"):
        monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / name))
        made.append(data.model_path("builtin:en"))
    assert made[0].read_bytes() == made[1].read_bytes()
    assert [p.name for p in made[0].parent.iterdir()] == [made[0].name]
    assert np.isfinite(wb.load(made[0]).matrix()).all()


def test_a_cache_that_cannot_be_written_is_found_out_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "sentences", lambda: pytest.fail("it trains"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "file").touch()
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(NotADirectoryError, match="is a file"):
        data.model_path("builtin:en")

    def refuse(path):
        (files.temporary_folder("models") / path.name).touch()  # as if trained before
        raise PermissionError(errno.EACCES, "as in a container")

    monkeypatch.setattr(files, "check_writable", refuse)
    assert data.model_path("builtin:en").parent == files.temporary_folder("models")


def test_the_cache_of_a_checkout_is_in_it(monkeypatch):
    monkeypatch.delenv("WORKBENCH_CACHE", raising=False)
    assert data.cache_folder() == Path(data.__file__).parents[1] / "data" / "cache"
