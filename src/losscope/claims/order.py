"""The rule for what a run may never reach: the sign test over seeds in place of the t test.

An epoch that is never reached is later than every epoch; a mean over such epochs would be a lie, so each seed only says
which of two losses came first. A seed in which both came at once (within the region of practical equivalence), or neither
ever came, says nothing and leaves the test. A verdict needs 13 seeds that tell. The estimate is the share of telling seeds in which the claim's loss is larger (later), with Clopper and Pearson's
interval; the rule is that of `losscope.statistics.decide`, with one half in place of the region's edge:

    p_holds = P(X ≥ wins), p_fails = P(X ≤ wins), X binomial with one half;  p = 2·min(p_holds, p_fails), Holm, 5 %

Clopper & Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial", 1934.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from losscope.claims.types import Direction, LineVerdict, Ruling
from losscope.statistics import MINIMUM_SEEDS, Interval, Region, holm
from losscope.statistics.paired import ALPHA, ROUNDING
from losscope.statistics.sequential import anytime_share, anytime_sign_tests

Sign = Literal[-1, 0, 1]


@dataclass(frozen=True)
class Order:
    """For each seed whether the claim's loss came later (1), earlier (-1), or neither is known to have (0)."""

    signs: tuple[Sign, ...]
    direction: Direction
    region: Region  # within which two epochs are a tie

    @property
    def wins(self) -> int:
        """Seeds in which the claim's loss is as claimed."""
        return self.signs.count(1 if self.direction == "larger" else -1)

    @property
    def telling(self) -> int:
        """Seeds in which one came first."""
        return sum(sign != 0 for sign in self.signs)


def order(
    first: Mapping[int, float],
    second: Mapping[int, float],
    never: tuple[Sequence[int], Sequence[int]],
    direction: Direction,
    region: Region,
) -> Order:
    """`second` against `first`, seed by seed; `never` are the seeds of each that did not get there.

    >>> order({0: 3.0, 1: 5.0, 3: 30.0}, {0: 7.0, 3: 32.0}, ((2,), (1, 2)), "larger", Region(0.1, "log")).signs
    (1, 1, 0, 0)
    """
    late = [
        {**values, **dict.fromkeys(lost, float("inf"))} for values, lost in zip((first, second), never, strict=True)
    ]
    seeds = sorted(late[0].keys() & late[1].keys())
    return Order(tuple(_sign(late[0][seed], late[1][seed], region) for seed in seeds), direction, region)


def _sign(first: float, second: float, region: Region) -> Sign:
    """0 within the region; an epoch of 0 has no ratio, and what is never reached is beyond any."""
    if first == second or (
        min(first, second) > 0 and abs(math.log(second) - math.log(first)) <= region.edge + ROUNDING
    ):
        return 0
    return 1 if second > first else -1


def decide_orders(family: Sequence[Order], *, anytime: bool = False) -> list[Ruling]:
    """A ruling for each order of a declared family, adjusted over all of them. With `anytime` seeds may have been added
    after looking."""
    tested = [_tests(one, anytime) for one in family]
    adjusted = holm([min(1.0, 2 * min(both)) for both in tested])
    return [_ruling(one, both, p, len(family), anytime) for one, both, p in zip(family, tested, adjusted, strict=True)]


def _tests(one: Order, anytime: bool) -> tuple[float, float]:
    """P(X ≥ wins) and P(X ≤ wins), or what is valid at any time in their place; 1 without a telling seed."""
    from scipy.special import bdtr, bdtrc

    n, wins = one.telling, one.wins
    if not n:
        return 1.0, 1.0
    if anytime:
        return anytime_sign_tests(wins, n - wins)
    return (float(bdtrc(wins - 1, n, 0.5)) if wins else 1.0), float(bdtr(wins, n, 0.5))


def _ruling(one: Order, both: tuple[float, float], p_adjusted: float, family: int, anytime: bool) -> Ruling:
    n, telling = len(one.signs), one.telling
    open_ = telling < MINIMUM_SEEDS or p_adjusted >= ALPHA
    verdict: LineVerdict = "cannot tell" if open_ else "holds" if both[0] < both[1] else "does not hold"
    counted = f"{one.direction} in {one.wins} of {telling} seeds that tell ({n - telling} tie or never get there)"
    why = f"{n} paired seeds; a verdict needs {MINIMUM_SEEDS}."
    if n >= MINIMUM_SEEDS:
        few = f"; a verdict needs {MINIMUM_SEEDS} that tell" if telling < MINIMUM_SEEDS else ""
        why = f"{counted}{few}.".capitalize()
    return Ruling(
        verdict=verdict,
        why=why,
        effect=_share(one, anytime) if telling else None,
        scale="share of seeds",
        n=n,
        p=min(1.0, 2 * min(both)),
        p_adjusted=p_adjusted,
        family=family,
        region=f"one half of the seeds; {one.region.words} is a tie",
    )


def _share(one: Order, anytime: bool) -> Interval:
    """Share of telling seeds in which the claim's loss is larger, with its 95 % interval."""
    from scipy.special import betaincinv

    n = one.telling
    later = one.signs.count(1)
    if anytime:
        return anytime_share(later, n - later)
    low = float(betaincinv(later, n - later + 1, ALPHA / 2)) if later else 0.0
    high = float(betaincinv(later + 1, n - later, 1 - ALPHA / 2)) if later < n else 1.0
    return Interval(n, later / n, low, high)
