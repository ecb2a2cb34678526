"""Tasks: a plain function over arguments, here or elsewhere, and how what they work on is cut without reading it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Run = Callable[[Callable[..., Any], Iterable[tuple[Any, ...]]], Iterator[tuple[int, Any]]]
"""Runs a function on each of some arguments and yields (place, result) in any order."""


def in_turn(function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
    """Here, one after the other.

    >>> list(in_turn(max, [(1, 2), (5, 3)]))
    [(0, 2), (1, 5)]
    """
    return ((place, function(*given)) for place, given in enumerate(arguments))


def in_order(results: Iterable[tuple[int, Any]]) -> Iterator[Any]:
    """The results of a Run by place, each as soon as those before it are there: sums come out the same to the bit."""
    waiting: dict[int, Any] = {}
    wanted = 0
    for place, result in results:
        waiting[place] = result
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted += 1


def cut(rows: Any, start: int, stop: int) -> Any:
    """Rows of an array or of what is like one; unread where it has a `part`."""
    return rows.part(start, stop) if hasattr(rows, "part") else rows[start:stop]


@contextmanager
def without_script() -> Iterator[None]:
    """Hide the caller's script from a process that starts: it would run it again, and needs nothing of it."""
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)
