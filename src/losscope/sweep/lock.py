"""One driver at a time for a study's folder: a second one is refused, or waits."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from losscope.errors import InvalidInput
from losscope.files.lock import in_place, take

LOCK = "driver.lock"
"""In a study's folder while somebody drives it; what a driver that died leaves of it locks nothing."""

TRIES = 100
"""Of making a folder that others remove meanwhile."""


@contextmanager
def driving(folder: Path, *, wait: bool = False, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Be the one who decides what `folder` trains. Makes the folder; one that stays empty goes again.

    With another driver there InvalidInput names it; with `wait`, `waiting` is told of it and it is waited for.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        file = _taken(folder / LOCK, wait, waiting)
    except OSError as error:
        raise InvalidInput(
            f"can't write to {folder} ({error.strerror}); choose a folder that can be written"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK).unlink()  # while we hold it: who waits for it sees that it is gone, and makes a new one
        file.close()
        for one in made:
            with suppress(OSError):
                one.rmdir()


def _taken(path: Path, wait: bool, waiting: Callable[[str], None] | None) -> TextIO:
    """The lock's file, open, ours, and still in its place."""
    while True:
        file = _opened(path)
        try:
            if not take(file, wait=False):
                file.seek(0)
                holder = file.read().strip() or "another process"
                if not wait:
                    raise InvalidInput(
                        f"{path.parent} is being worked on by {holder}, and two at a time would train the same runs; "
                        "wait for it (--wait), or interrupt it and repeat the command"
                    )
                if waiting is not None:
                    waiting(holder)
                take(file)
            if in_place(file, path):
                file.truncate(0)
                started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
                file.write(f"process {os.getpid()} on {socket.gethostname()} since {started}\n")
                file.flush()
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _opened(path: Path) -> TextIO:
    """The file, made with its folder where they are not there; another driver may be about to remove an empty folder."""
    tried = 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("a+", encoding="utf-8")
        except FileNotFoundError:
            tried += 1
            if tried == TRIES:
                raise
