"""The rule for what a run may never reach: the sign test over seeds in place of the t test.

An epoch that is never reached is later than every epoch; a mean over such epochs would be a lie, so each seed only says
which of two losses came first. A seed in which both came at once, or neither ever came, says nothing and leaves the
test. The estimate is the share of telling seeds in which the claim's loss is larger (later), with Clopper and Pearson's
interval; the rule is that of `losscope.statistics.decide`, with one half in place of the region's edge:

    p_holds = P(X ≥ wins), p_fails = P(X ≤ wins), X binomial with one half;  p = 2·min(p_holds, p_fails), Holm, 5 %

Clopper & Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial", 1934.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from losscope.claims.types import Direction, LineVerdict, Ruling
from losscope.statistics import MINIMUM_SEEDS, Interval, holm
from losscope.statistics.paired import ALPHA

Sign = Literal[-1, 0, 1]


@dataclass(frozen=True)
class Order:
    """For each seed whether the claim's loss came later (1), earlier (-1), or neither is known to have (0)."""

    signs: tuple[Sign, ...]
    direction: Direction

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
) -> Order:
    """`second` against `first`, seed by seed; `never` are the seeds of each that did not get there.

    >>> order({0: 3.0, 1: 5.0}, {0: 7.0}, ((2,), (1, 2)), "larger").signs
    (1, 1, 0)
    """
    late = [
        {**values, **dict.fromkeys(lost, float("inf"))} for values, lost in zip((first, second), never, strict=True)
    ]
    seeds = sorted(late[0].keys() & late[1].keys())
    return Order(tuple(_sign(late[0][seed], late[1][seed]) for seed in seeds), direction)


def _sign(first: float, second: float) -> Sign:
    return 0 if first == second else 1 if second > first else -1


def decide_orders(family: Sequence[Order]) -> list[Ruling]:
    """A ruling for each order of a declared family, adjusted over all of them."""
    tested = [_tests(one) for one in family]
    adjusted = holm([min(1.0, 2 * min(both)) for both in tested])
    return [_ruling(one, both, p, len(family)) for one, both, p in zip(family, tested, adjusted, strict=True)]


def _tests(one: Order) -> tuple[float, float]:
    """P(X ≥ wins) and P(X ≤ wins); 1 without a telling seed."""
    from scipy.special import bdtr, bdtrc

    n, wins = one.telling, one.wins
    if not n:
        return 1.0, 1.0
    return (float(bdtrc(wins - 1, n, 0.5)) if wins else 1.0), float(bdtr(wins, n, 0.5))


def _ruling(one: Order, both: tuple[float, float], p_adjusted: float, family: int) -> Ruling:
    n, telling = len(one.signs), one.telling
    open_ = n < MINIMUM_SEEDS or p_adjusted >= ALPHA
    verdict: LineVerdict = "cannot tell" if open_ else "holds" if both[0] < both[1] else "does not hold"
    counted = f"{one.direction} in {one.wins} of {telling} seeds that tell ({n - telling} tie or never get there)"
    why = f"{n} paired seeds; a verdict needs {MINIMUM_SEEDS}." if n < MINIMUM_SEEDS else f"{counted}.".capitalize()
    return Ruling(
        verdict=verdict,
        why=why,
        effect=_share(one) if telling else None,
        scale="share of seeds",
        n=n,
        p=min(1.0, 2 * min(both)),
        p_adjusted=p_adjusted,
        family=family,
        region="one half of the seeds",
    )


def _share(one: Order) -> Interval:
    """Share of telling seeds in which the claim's loss is larger, with its 95 % interval."""
    from scipy.special import betaincinv

    n = one.telling
    later = one.signs.count(1)
    low = float(betaincinv(later, n - later + 1, ALPHA / 2)) if later else 0.0
    high = float(betaincinv(later + 1, n - later, 1 - ALPHA / 2)) if later < n else 1.0
    return Interval(n, later / n, low, high)
