"""Numbers as a reader sees them: as many digits as their interval supports."""

from __future__ import annotations

import math
from collections.abc import Collection

from losscope.statistics import Interval
from losscope.summary.types import Estimate

ABSENT = "–"


def interval_text(interval: Interval, *, signed: bool = False) -> str:
    """Mean and bounds, with two significant digits of the half width (at most four decimals unless all is tiny).

    >>> interval_text(Interval(5, 0.81585, 0.76768, 0.86402)), interval_text(Interval(1, 0.98771))
    ('0.816 [0.768, 0.864]', '0.9877')
    >>> interval_text(Interval(5, 3.759e-4, 4.46e-5, 7.07e-4))
    '3.8e-4 [0.4e-4, 7.1e-4]'
    """
    if interval.low is None or interval.high is None:
        return number(interval.mean, signed=signed)
    half = (interval.high - interval.low) / 2
    parts = (interval.mean, interval.low, interval.high)
    largest = max(abs(part) for part in parts)
    if 0 < largest < 1e-3:
        exponent = math.floor(math.log10(abs(interval.mean) or largest))
        mean, low, high = (f"{_sign(part / 10.0**exponent, 1, signed)}e{exponent}" for part in parts)
    else:
        decimals = _decimals(half)
        mean, low, high = (_sign(part, decimals, signed) for part in parts)
    return f"{mean} [{low}, {high}]"


def half_text(interval: Interval) -> str:
    """Mean ± half the width, for narrow places: at most three decimals.

    >>> half_text(Interval(5, 0.81585, 0.76768, 0.86402)), half_text(Interval(1, 0.98771))
    ('0.816 ± 0.048', '0.9877')
    """
    if interval.low is None or interval.high is None:
        return number(interval.mean)
    half = (interval.high - interval.low) / 2
    decimals = min(3, _decimals(half))
    return f"{_sign(interval.mean, decimals, False)} ± {half:.{decimals}f}"


def _decimals(half: float) -> int:
    """Decimals that show two significant digits of a half width, at most four."""
    return 3 if half <= 0 else min(4, max(0, 1 - math.floor(math.log10(half))))


def number(value: float, *, signed: bool = False) -> str:
    """One number to four significant digits.

    >>> number(0.98771), number(1234.5), number(0.0000639), number(50)
    ('0.9877', '1234', '6.39e-5', '50')
    >>> number(0.01997), number(-0.5, signed=True)
    ('0.01997', '−0.5000')
    """
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        exponent = math.floor(math.log10(abs(value)))
        return f"{_sign(value / 10.0**exponent, 2, signed)}e{exponent}"
    if float(value).is_integer():
        return _sign(value, 0, signed)
    return _sign(value, max(0, 3 - math.floor(math.log10(abs(value)))), signed)


def p_text(p: float) -> str:
    """A p value.

    >>> p_text(0.0625), p_text(3.2e-7), p_text(1.0)
    ('0.0625', '< 0.0001', '1.00')
    """
    if p < 1e-4:
        return "< 0.0001"
    return f"{p:.2f}" if p >= 0.1 else f"{p:.3g}"


def _sign(value: float, decimals: int, signed: bool) -> str:
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.replace("-", "−")


def estimate_text(estimate: Estimate | None, epochs: int) -> str:
    """An estimate for a cell; a censored one by its median and how many seeds never got there."""
    if estimate is None:
        return ABSENT
    if estimate.interval:
        return interval_text(estimate.interval)
    ordered = sorted(estimate.values.values())
    never = f"never in {len(estimate.never)} of {estimate.n}"
    middle = (estimate.n - 1) // 2  # the lower median: counts a censored seed as later than all others
    return f"median {number(ordered[middle])}; {never}" if middle < len(ordered) else f"> {epochs}; {never}"


def span(counts: Collection[int]) -> str:
    """One count, or the smallest and the largest.

    >>> span({5}), span({4, 5}), span([])
    ('5', '4–5', '–')
    """
    if not counts:
        return ABSENT
    return "–".join(f"{count:,}" for count in sorted({min(counts), max(counts)}))
