"""Files that appear only once they are whole, and replace nothing but their own kind."""

import errno
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def place(path: str | Path, is_folder: bool = False) -> Path:
    """Return where a file (or folder) of this name is written: at the end of its symbolic links.

    Raises
    ------
    IsADirectoryError
        If a folder is there and a file is to be written.
    ValueError
        If something else is there that must not be replaced, such as a device or a pipe.
    """
    real = Path(os.path.realpath(path))
    if real.is_dir() and not is_folder:
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it")
    if real.exists() and not real.is_dir() and (is_folder or not real.is_file()):
        raise ValueError(f"{path} is no {'folder' if is_folder else 'ordinary file'}; give another name")
    return real


def check_writable(path: str | Path, is_folder: bool = False) -> None:
    """Refuse a place that cannot be written to, before the work whose result goes there.

    Raises
    ------
    OSError, ValueError
        As `place`, and if no file can be made in the nearest folder that exists.
    """
    real = place(path, is_folder)
    nearest = next(folder for folder in real.parents if folder.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"{nearest} is a file, so {path} cannot be in it")
    try:
        if nearest == real.parent:
            tempfile.TemporaryFile(dir=nearest).close()
        else:  # a pseudo file system may have files that open, and no new folders
            os.rmdir(tempfile.mkdtemp(dir=nearest))
    except OSError as error:
        raise type(error)(error.errno, f"{nearest} is a folder that cannot be written to ({error.strerror})") from error


def temporary_folder(name: str) -> Path:
    """Return this user's own folder for what can be made again, the same each time.

    Raises
    ------
    OSError
        If there is no temporary folder, or another user can write to this one.
    """
    user = os.getuid() if hasattr(os, "getuid") else None  # on Windows the temporary folder is the user's own
    path = Path(tempfile.gettempdir(), f"embedding-workbench-{name}-{user}")
    path.mkdir(mode=0o700, exist_ok=True)
    there = path.lstat()
    if user is not None and (there.st_uid != user or there.st_mode & 0o022 or not stat.S_ISDIR(there.st_mode)):
        raise PermissionError(f"others can write to {path}; remove it, or set TMPDIR to a folder of your own")
    return path


def cached(path: Path) -> Path:
    """Return where a file of the cache is or can be made: this user's temporary folder, if no other can be written."""
    try:
        if not path.exists():
            check_writable(path)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):  # as read-only containers give
            raise
        return temporary_folder("models") / path.name
    return path


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file to write that takes the place of `path` only once it is whole and on the disk.

    Missing folders are made. Permissions of a file that is replaced are kept, links are followed.
    """
    path, beside = _pair(place(path))
    try:
        with open(beside, "wb") as file:
            _keep_permissions(path, beside)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Make an empty folder to write into that takes the place of `path` only once it is whole; see `replacing`."""
    path, beside = _pair(place(path, is_folder=True))
    old = beside.with_suffix(".old")
    beside.mkdir()
    try:
        yield beside
        if path.exists():
            _keep_permissions(path, beside)
            path.rename(old)
        try:
            beside.rename(path)
        except BaseException:
            if old.exists():
                old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _pair(path: Path) -> tuple[Path, Path]:
    """Return a path, whose folder it makes, and one beside it that no other process or thread uses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path, path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")


def _keep_permissions(old: Path, new: Path) -> None:
    if old.exists():
        there = old.stat()
        with suppress(OSError, AttributeError):  # only root may change the owner; Windows has none
            os.chown(new, there.st_uid, there.st_gid)
        os.chmod(new, stat.S_IMODE(there.st_mode))
