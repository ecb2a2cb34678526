"""Many comparisons at once: Holm's step-down adjustment of a family of p values."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given; comparing them with α keeps the chance of any false alarm below α.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979. No assumption on how the tests depend on
    one another.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for passed, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - passed) * p_values[index]))
        adjusted[index] = highest
    return adjusted
