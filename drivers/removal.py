# ruff: noqa: PTH101, PTH104, PTH106, PTH108
# Paths are bytes here, because names of files need not be text.
"""The removal of a tree of ours, with whatever a run left in it."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_LONG = 1024


def remove_tree(path: Path, check: Callable[[], None]) -> None:
    """Remove a file, link or folder with all below it; gone already is success. Links are not followed.

    Folders that may not be written are opened up first. ``check`` is called for each folder and may raise
    to end the removal half-way; it can be called again.
    """
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
    except (FileNotFoundError, NotADirectoryError):
        return
    _empty(os.fsencode(path), check)


def open_up_tree(path: Path, check: Callable[[], None]) -> None:
    """Make a tree of ours readable for its owner: folders, and files, as deep as the system takes a path."""
    stack = [os.fsencode(path)]
    while stack:
        folder = stack.pop()
        check()
        try:
            _open_up(folder)
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
                        if not mode & 0o400:
                            os.chmod(entry.path, mode | 0o400)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise


def _empty(top: bytes, check: Callable[[], None]) -> None:
    # An explicit stack, and long paths moved up: a run may leave folders nested deeper than Python may
    # recurse, and deeper than the system takes a path.
    stack = [(top, False)]
    moved = 0
    while stack:
        folder, seen = stack.pop()
        if seen:
            os.rmdir(folder)
            continue
        check()
        _open_up(folder)
        if len(folder) > len(top) + _LONG:
            while os.path.lexists(higher := top + b"/.deep-%d" % moved):
                moved += 1
            os.rename(folder, higher)
            folder = higher
        stack.append((folder, True))
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append((entry.path, False))
                else:
                    os.unlink(entry.path)


def _open_up(folder: bytes) -> None:
    mode = stat.S_IMODE(os.lstat(folder).st_mode)
    if mode & 0o700 != 0o700:
        os.chmod(folder, mode | 0o700)


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those that it lies in, up to ``top`` without it, as far as they are empty.

    Others may remove the same ones, or make something in them, at the same time.
    """
    with suppress(OSError):  # it is not empty, or has just gone: whoever removed it goes on above it
        while folder != top:
            folder.rmdir()
            folder = folder.parent
