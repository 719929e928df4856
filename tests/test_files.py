"""Files that are written: what they replace and keep, by one guard for every writer; and what is in ours."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from test_contracts import MODELS

import workbench as wb
from workbench import files, semantic
from workbench.evaluate.cost import float32_bytes
from workbench.storage import Stacked
from workbench.vocab import Vocab

V = wb.Vectors.from_arrays(["a", "b"], np.eye(2))
IDS = semantic.SemanticIDs(["a", "b"], np.array([[1, 2], [3, 4]]))


def save_raw(path: Path) -> None:
    with files.replacing(path) as file:
        file.write(b"new")


WRITERS = {
    "Vectors.save": V.save,
    "export": lambda path: wb.export(V, path, format="word2vec"),
    "SemanticIDs.save": IDS.save,
    "replacing": save_raw,
}
posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and pipes of POSIX")


@posix
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_writer_keeps_mode_and_link_and_refuses_what_is_no_file(write, tmp_path):
    umask = os.umask(0o027)
    try:
        path, link, pipe = (tmp_path / name for name in ("made/file.csv", "link.csv", "pipe.csv"))
        write(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(umask)
    whole = path.read_bytes()
    path.write_bytes(b"old")
    path.chmod(0o604)
    link.symlink_to(path)
    write(link)
    assert link.is_symlink()
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (whole, 0o604)
    path.unlink()
    write(link)  # which leads nowhere now
    assert link.is_symlink()
    assert path.read_bytes() == whole
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match=r"pipe\.csv is no ordinary file; give another name"):
        write(pipe)
    assert pipe.is_fifo()
    with pytest.raises((IsADirectoryError, ValueError), match="is a folder"):
        write(tmp_path / "made")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file.csv", "link.csv", "made", "pipe.csv"]


@posix
def test_a_folder_that_is_replaced_keeps_its_mode_and_the_link_to_it(tmp_path):
    folder, link = tmp_path / "folder", tmp_path / "link"
    wb.export(V, folder, format="spacy")
    folder.chmod(0o750)
    link.symlink_to(folder)
    wb.export(V, link, format="spacy")
    assert link.is_symlink()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert wb.load(link).words == ["a", "b"]


@pytest.mark.parametrize("path", ["file/in/it.bin", "/dev/full/x", "/proc/none/such"])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(path, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot be"):
        files.check_writable(tmp_path / path)


def test_the_temporary_folder_is_the_users_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = files.temporary_folder("kind")
    assert files.temporary_folder("kind") == made
    if os.name == "posix":
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        made.chmod(0o777)
        with pytest.raises(PermissionError, match=r"others can write to .*TMPDIR"):
            files.temporary_folder("kind")


def test_threads_that_save_to_one_path_never_publish_half_a_file(tmp_path):
    v = wb.Vectors.from_arrays([str(i) for i in range(5_000)], np.ones((5_000, 100)))
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(lambda: wb.load(v.save(tmp_path / "model"))) for _ in range(12)]
    assert all(len(future.result()) == len(v) for future in done)
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


def test_the_first_words_are_found_without_taking_the_text_apart(tmp_path):
    words = ["", "a", "aa", "caf\udce9", "дом", "b"]
    v = wb.Vectors.from_arrays(words, np.arange(12.0).reshape(6, 2))
    again = wb.load(v.save(tmp_path / "m"))
    assert len(again) == 6
    assert [again.vocab.place(word) for word in words] == list(range(6))
    assert not any(word in again for word in ("A", "a\0aa", "\0", "\ud800", "caf"))
    assert "key_to_index" not in vars(again.vocab)
    for _ in range(50):
        np.testing.assert_array_equal(again["дом"], [8, 9])
    assert "key_to_index" in vars(again.vocab)
    assert again.words == words


@pytest.mark.parametrize("name", ["plain", "pruned codes"])
def test_rows_that_no_word_has_are_not_counted_fitted_or_saved(name, tmp_path):
    """A table with a row to spare for each word: its copy was "9.8 times smaller"."""
    lean = MODELS[name]
    words, ngrams = lean.storage.words, lean.storage.ngrams
    doubled = words.take(np.repeat(np.arange(len(words)), 2))
    vocab = Vocab(lean.words, np.arange(0, 2 * len(lean), 2), lean.vocab.counts, lean.vocab.subwords)
    table = lean.with_storage(doubled if ngrams is None else Stacked(doubled, ngrams), vocab)
    path = table.save(tmp_path / "table")
    again = wb.load(path)
    np.testing.assert_array_equal(again.get_vectors(lean.words), lean.get_vectors(lean.words))
    assert len(again.storage.words) == len(lean) == len(wb.Prune().fit_transform(table).storage.words)
    assert path.stat().st_size == table.file_bytes == again.file_bytes
    assert float32_bytes(table) == float32_bytes(lean)
    if name == "plain":
        with pytest.raises(ValueError, match="centroids need as many rows at least, the words have 20"):
            wb.PQ(2, 5).fit(table.take(np.arange(20)).with_storage(doubled, table.vocab.take(np.arange(20))[0]))
