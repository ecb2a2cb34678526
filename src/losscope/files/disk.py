"""All that reaches the disk: whole files are written beside their place, synced and moved into it; lines are added.

A file that `write_bytes` or `append` has returned from survives a crash of the machine, as far as fsync goes: its bytes
are synced before it takes its name, its folder after. (On macOS fsync leaves bytes in the drive's own cache, which a loss
of power can take; what is damaged then is named by its checksum.) The calls of the system are `create`, `write`, `sync`, `rename`, `mkdir`, `unlink` and
`cut` alone, so a test can fail each of them in turn.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}
"""What file systems say that can't sync a folder, or don't let it be opened."""


def create(path: Path, flags: int) -> int:
    """Open a file for writing, made if it is not there."""
    return os.open(path, flags | os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)


def write(descriptor: int, data: memoryview) -> int:
    """Write some bytes; returns how many."""
    return os.write(descriptor, data)


def sync(descriptor: int) -> None:
    """Return when everything written is on the disk."""
    os.fsync(descriptor)


def rename(path: Path, target: Path) -> None:
    """Move a file into its place, over what is there."""
    os.replace(path, target)


def mkdir(path: Path) -> None:
    """Make a folder, if it is not there."""
    path.mkdir(exist_ok=True)


def unlink(path: Path) -> None:
    """Remove a file."""
    path.unlink()


def cut(descriptor: int, size: int) -> None:
    """Make a file `size` bytes long."""
    os.ftruncate(descriptor, size)


def write_bytes(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file whole or not at all. An OSError names `path`, as everywhere here."""
    with _named(path):
        with _beside(path) as temporary:
            with _descriptor(temporary, os.O_TRUNC) as descriptor:
                for part in parts:
                    _write_all(descriptor, part)
                sync(descriptor)
            rename(temporary, path)
        _sync_folder(path.parent)


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file. What fails halfway is taken back, as far as the disk lets it."""
    with _named(path):
        with _descriptor(path, os.O_APPEND) as descriptor:
            size = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, data)
                sync(descriptor)
            except OSError:
                with suppress(OSError):
                    cut(descriptor, size)
                raise
        if not size:
            _sync_folder(path.parent)


def truncate(path: Path, size: int) -> None:
    """Cut a file to its first `size` bytes."""
    with _named(path), _descriptor(path, 0) as descriptor:
        cut(descriptor, size)
        sync(descriptor)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    if path.exists():
        with suppress(FileNotFoundError):
            unlink(path)


def move(path: Path, target: Path) -> None:
    """Move a file or a folder to a place that is free, in a folder that is there."""
    with _named(path):
        rename(path, target)
        _sync_folder(target.parent)
        _sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, each entered durably in the one above."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with _named(path):
        mkdir(path)
        _sync_folder(path.parent)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, to be filled by others: it takes its place when the block succeeds, and vanishes
    when it fails."""
    with _beside(path) as temporary:
        yield temporary
        with _named(path):
            with _descriptor(temporary, 0) as descriptor:
                sync(descriptor)
            rename(temporary, path)
    with _named(path):
        _sync_folder(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what writers that died left beside the files of a folder that nobody else writes to."""
    for path in folder.glob(f".*{PARTIAL}"):
        remove(path)


PARTIAL = ".partial"


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """The file's own name in errors: calls know a descriptor, or the name of the moment."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def _descriptor(path: Path, flags: int) -> Iterator[int]:
    descriptor = create(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield temporary
    except BaseException:
        with suppress(OSError):  # the first error is the one to tell
            temporary.unlink(missing_ok=True)
        raise


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[write(descriptor, left) :]


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # where folders can't be opened
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            sync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
