"""Files that are written: what they may replace, and what of it they keep. One guard serves every writer."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench import files, semantic

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
