"""Locks on files, which the system gives back when their holder dies, however it dies.

They hold between processes of one machine, and between machines where the file system they share has locks (NFS from
version 4, Lustre mounted with them). Where there are none a warning says so.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
"""What file systems say that have none."""


@contextmanager
def locked(path: Path, waiting: Callable[[bool], None] | None = None) -> Iterator[None]:
    """Hold the lock of a file that is there. Where another holds it `waiting` is told True, and False when it is ours."""
    waited = False
    while True:
        with path.open("r+b") as file:
            if not take(file, wait=False):
                if waiting is not None and not waited:
                    waiting(True)
                waited = True
                take(file)
            if not in_place(file, path):  # replaced meanwhile: others lock the new one
                continue
            if waiting is not None and waited:
                waiting(False)
            yield
            return


def in_place(file: IO[Any], path: Path) -> bool:
    """Whether an open file is still the one at `path`: the lock of one that was removed or replaced locks nothing."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def take(file: IO[Any], *, wait: bool = True) -> bool:
    """Take the lock of an open file, which closing it gives back; False if another has it and we don't `wait`. Where
    there are no locks everybody has it, with a warning."""
    try:
        return take_surely(file, wait=wait)
    except NoLocks as error:
        if fcntl is not None:
            warnings.warn(
                f"the file system of {file.name} has no locks ({error.strerror}): see to it that only one losscope at a "
                "time works on this folder",
                stacklevel=2,
            )
        return True


class NoLocks(OSError):
    """There are no locks here."""


def take_surely(file: IO[Any], *, wait: bool = True) -> bool:
    """`take`, but it raises NoLocks where there are none, for those that remove what nobody has."""
    if fcntl is None:
        raise NoLocks(errno.ENOSYS, os.strerror(errno.ENOSYS))
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise NoLocks(error.errno, error.strerror) from error
    return True
