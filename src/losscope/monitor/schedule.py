"""Schedules: which steps are measured at all, and which in full. A schedule is a function step -> bool."""

from __future__ import annotations

from collections.abc import Callable

from losscope.errors import InvalidInput

Schedule = Callable[[int], bool]
"""Whether a step, counted from 0, is measured."""


def every(steps: int) -> Schedule:
    """Steps 0, n, 2n, ... Raises InvalidInput below 1.

    >>> [step for step in range(7) if every(3)(step)]
    [0, 3, 6]
    """
    if steps < 1:
        raise InvalidInput(f"a schedule of every {steps} steps; expected at least 1")
    return lambda step: step % steps == 0


def first_then_every(first: int, steps: int) -> Schedule:
    """The first steps, where runs go wrong, then every n-th.

    >>> [step for step in range(9) if first_then_every(3, 4)(step)]
    [0, 1, 2, 4, 8]
    """
    every(steps)  # raises
    return lambda step: step < first or step % steps == 0


def never(step: int) -> bool:
    """No step."""
    return False


ALWAYS = every(1)
OFTEN = first_then_every(64, 25)
"""The default for what is measured of a batch and its gradient: all of the first steps, where runs go wrong."""
RARELY = first_then_every(3, 250)
"""The default for what is costly."""
