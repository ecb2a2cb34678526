"""Locks on files, which the system gives back when their holder dies, however it dies.

They hold between processes of one machine, and between machines where the file system they share has locks (NFS from
version 4, Lustre mounted with them). Where there are none a warning says so.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterator
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
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file that is there; waits for whoever holds it."""
    with path.open("r+b") as file:
        take(file)
        yield


def take(file: IO[Any], *, wait: bool = True) -> bool:
    """Take the lock of an open file, which closing it gives back; False if another has it and we don't `wait`."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        warnings.warn(
            f"the file system of {file.name} has no locks ({error.strerror}): see to it that only one losscope at a time "
            "works on this folder",
            stacklevel=2,
        )
    return True
