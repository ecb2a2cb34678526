"""The rule that decides claims: holds, does not hold, or cannot tell, for a whole family of claims at once.

A claim says that an effect, paired by seed, is larger (or smaller) by more than the region of practical equivalence,
whose edge is δ. With the effect's sign turned so that the claim says "larger":

    p_holds = one-sided t test of effect ≤ δ;  p_fails = one-sided t test of effect ≥ δ;  p = 2·min(p_holds, p_fails)

Holm's adjustment of p over the declared family decides at 5 %. For normal effects each wrong verdict, also at a true
effect of exactly δ, has a chance of at most 5 %, and so has any wrong verdict in the family (for directions: Shaffer, "Control of Directional
Errors with Stagewise Multiple Test Procedures", 1980). The reason of a claim that does not hold is read from an
interval at level 1 - 5 %/k of a family of k, so reasons are right together, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count as count_from
from typing import Literal

import numpy as np

from losscope.errors import InvalidInput
from losscope.statistics.equivalence import Region, standing
from losscope.statistics.intervals import Interval, mean_interval
from losscope.statistics.multiplicity import holm
from losscope.statistics.paired import ALPHA, MINIMUM_SEEDS, ROUNDING, sign_flip_p, smallest_p, wilcoxon_p
from losscope.statistics.planning import detectable_effect, seeds_needed
from losscope.statistics.sequential import anytime_interval, anytime_p

ClaimVerdict = Literal["holds", "does not hold", "cannot tell"]
Direction = Literal["larger", "smaller"]
Reason = Literal[
    "beyond the edge", "reversed", "equivalent", "too small", "too few seeds", "interval contains the edge"
]

SKEWED = 1.5
"""|skewness| of the differences above which a decision says so: t intervals of skewed differences cover less."""


@dataclass(frozen=True)
class Contrast:
    """What a claim contrasts: one effect for each seed, the region it has to leave, and for whom it speaks.

    Raises InvalidInput for effects that are not finite, seeds that are doubled or an empty population.
    """

    name: str
    seeds: tuple[int, ...]
    effects: tuple[float, ...]  # on the scale of the region: differences, or differences of logarithms
    region: Region
    population: str  # a sentence: other seeds on this split, other class splits, ...
    direction: Direction = "larger"

    def __post_init__(self) -> None:
        if not self.population.strip():
            raise InvalidInput(f"the contrast '{self.name}' names no population; say for whom its verdict speaks, such as "
                               "'other seeds on this split'")  # fmt: skip
        if self.direction not in ("larger", "smaller"):
            raise InvalidInput(f"direction is {self.direction!r}; expected 'larger' or 'smaller'")
        distinct = len(set(self.seeds)) == len(self.seeds) == len(self.effects)
        if not distinct or not all(map(math.isfinite, self.effects)):
            raise InvalidInput(f"the contrast '{self.name}' has the effects {self.effects} for the seeds {self.seeds}; "
                               "expected one finite effect for each seed")  # fmt: skip

    @classmethod
    def paired(
        cls,
        name: str,
        first: Mapping[int, float],
        second: Mapping[int, float],
        *,
        region: Region,
        population: str,
        direction: Direction = "larger",
    ) -> Contrast:
        """`second` against `first`, over the seeds that both have. Raises InvalidInput like `Region.effects`."""
        effects = region.effects(first, second)
        return cls(name, tuple(effects), tuple(effects.values()), region, population, direction)

    @property
    def turned(self) -> list[float]:
        """The effects with the sign that makes the claim say "larger"."""
        return list(self.effects) if self.direction == "larger" else [-effect for effect in self.effects]

    @property
    def constant(self) -> bool:
        """Whether two or more seeds have the same effect, up to rounding."""
        size = max(self.region.edge, *map(abs, self.effects), 0.0) if self.effects else 0.0
        return len(self.effects) > 1 and max(self.effects) - min(self.effects) <= ROUNDING * size


@dataclass(frozen=True)
class Decision:
    """What can be said of one contrast. Effects are second - first (of logarithms on the log scale), not turned."""

    contrast: Contrast
    verdict: ClaimVerdict
    reason: Reason
    effect: Interval | None  # at 95 %; None without a seed
    simultaneous: Interval | None  # at 1 - 5 %/family
    p_holds: float | None  # one-sided, that the effect is not beyond the edge; None below two seeds
    p_fails: float | None  # one-sided, that it is
    p: float | None
    p_adjusted: float | None  # by Holm over the family
    p_sign_flip: float | None  # about the edge, as is the next
    p_wilcoxon: float | None
    p_smallest: float  # what these two can reach at best
    family: int  # contrasts that were declared together
    detectable: float | None  # the smallest effect, in the claimed direction, found with a power of 80 %
    seeds_needed: int | None  # for an effect as the one seen; None where unknown or more than 10,000
    anytime: bool  # whether seeds may have been added after looking

    @property
    def n(self) -> int:
        """Paired seeds."""
        return len(self.contrast.seeds)

    @property
    def region(self) -> Region:
        """The region of practical equivalence."""
        return self.contrast.region

    @property
    def population(self) -> str:
        """For whom the verdict speaks."""
        return self.contrast.population

    @property
    def ratio(self) -> Interval | None:
        """On the log scale, the ratio of geometric means second/first with its interval."""
        found = self.effect
        if self.region.scale != "log" or found is None:
            return None
        if found.low is None or found.high is None:
            return Interval(found.n, math.exp(found.mean))
        return Interval(found.n, math.exp(found.mean), math.exp(found.low), math.exp(found.high))

    @property
    def skewness(self) -> float | None:
        """Adjusted Fisher-Pearson skewness of the effects; None below three seeds or without spread."""
        values, n = np.asarray(self.contrast.effects), self.n
        spread = float(values.std()) if n > 2 else 0.0
        if spread == 0:
            return None
        third = float(np.mean(((values - values.mean()) / spread) ** 3))
        return third * math.sqrt(n * (n - 1)) / (n - 2)

    @property
    def cautions(self) -> tuple[str, ...]:
        """What a reader should know before trusting the verdict."""
        found = []
        skewness = self.skewness
        if skewness is not None and abs(skewness) > SKEWED:
            found.append(f"the effects over seeds are skewed ({skewness:.1f}): t intervals cover less than they say")
        if self.verdict != "cannot tell" and self.p_sign_flip is not None and self.p_sign_flip >= ALPHA:
            found.append(f"the sign-flip test does not agree (p = {self.p_sign_flip:.3f})")
        if self.contrast.constant:
            found.append("the effect is the same in every seed: it may be so by construction")
        return tuple(found)

    @property
    def why(self) -> str:
        """The reason as a sentence."""
        edge = self.region.words
        side = self.contrast.direction
        if self.reason == "too few seeds":
            return f"{self.n} paired seeds; a verdict needs {MINIMUM_SEEDS}."
        if self.reason == "interval contains the edge":
            if self.anytime:
                return f"The effect may or may not be {side} by more than {edge}; seeds may be added."
            needed = "more than 10,000" if self.seeds_needed is None else f"{self.seeds_needed:,}"
            return (f"The effect may or may not be {side} by more than {edge}; an effect as the one seen needs {needed} seeds: "
                    "fix that number beforehand, or add seeds and judge with --anytime.")  # fmt: skip
        return {
            "beyond the edge": f"The effect is {side} by more than {edge}.",
            "reversed": f"The effect goes the other way by more than {edge}.",
            "equivalent": f"The effect is within {edge}: equal in practice.",
            "too small": f"The effect is not {side} by more than {edge}.",
        }[self.reason]

    def __str__(self) -> str:
        return f"{self.contrast.name}: {self.verdict}. {self.why} Population: {self.population}"


def decide(family: Sequence[Contrast], *, anytime: bool = False) -> list[Decision]:
    """A decision for each contrast of a declared family, in its order, adjusted over all of them.

    Contrasts with fewer than 13 seeds count in the family, and nothing can be told of them. With `anytime` the t test
    gives way to one that may be repeated after adding seeds (Wang & Ramdas 2023), at the price of wider intervals.

    >>> seen = {seed: 0.5 + 0.001 * (seed % 3) for seed in range(13)}
    >>> better = {seed: value + 0.03 + 0.002 * (seed % 2) for seed, value in seen.items()}
    >>> print(*decide([Contrast.paired("b over a", seen, better, region=Region(0.01), population="other seeds")]))
    b over a: holds. The effect is larger by more than ±0.01. Population: other seeds
    """
    tested = [_tests(contrast, anytime) for contrast in family]
    adjusted = holm([1.0 if both is None else two_sided(both) for both in tested])
    return [
        _decision(contrast, both, p, len(family), anytime)
        for contrast, both, p in zip(family, tested, adjusted, strict=True)
    ]


def two_sided(both: tuple[float, float]) -> float:
    """Twice the smaller of two one-sided p, at most 1."""
    return min(1.0, 2 * min(both))


def _tests(contrast: Contrast, anytime: bool) -> tuple[float, float] | None:
    """One-sided p of effect ≤ δ and of effect ≥ δ; None below two seeds.

    Where all effects are equal t has no scale: the sign test's smallest p stands in.
    """
    from scipy.special import stdtr

    if len(contrast.effects) < 2:
        return None
    values = np.asarray(contrast.turned) - contrast.region.edge
    n, mean, spread = len(values), float(values.mean()), float(values.std(ddof=1))
    if contrast.constant:
        at_edge = math.isclose(contrast.turned[0], contrast.region.edge, rel_tol=ROUNDING)
        half = 0.5 if at_edge else smallest_p(n) / 2
    elif anytime:
        half = anytime_p(values.tolist()) / 2
    else:
        half = float(stdtr(n - 1, -abs(mean) * math.sqrt(n) / spread))
    return (half, 1 - half) if mean > 0 else (1 - half, half)


def _decision(
    contrast: Contrast, both: tuple[float, float] | None, p_adjusted: float, family: int, anytime: bool
) -> Decision:
    n, region, values = len(contrast.effects), contrast.region, contrast.turned
    interval = anytime_interval if anytime else mean_interval
    effect = interval(contrast.effects) if n else None
    simultaneous = interval(contrast.effects, level=1 - ALPHA / family) if n else None
    about_edge = [value - region.edge for value in values]
    detectable = needed = None
    if both is not None and not anytime:
        spread = float(np.std(values, ddof=1))
        detectable = detectable_effect(spread, n, margin=region.edge, family=family)
        if contrast.constant and min(both) < 0.5:  # the sign test stands in, at Holm's hardest step
            needed = max(MINIMUM_SEEDS, next(count for count in count_from(1) if smallest_p(count) * family < ALPHA))
        else:
            needed = seeds_needed(float(np.mean(values)), spread, margin=region.edge, family=family)
    verdict, reason = _verdict(contrast, both, p_adjusted, simultaneous)
    return Decision(
        contrast=contrast,
        verdict=verdict,
        reason=reason,
        effect=effect,
        simultaneous=simultaneous,
        p_holds=both and both[0],
        p_fails=both and both[1],
        p=both and two_sided(both),
        p_adjusted=both and p_adjusted,
        p_sign_flip=sign_flip_p(about_edge) if n else None,
        p_wilcoxon=wilcoxon_p(about_edge) if n else None,
        p_smallest=smallest_p(n),
        family=family,
        detectable=detectable,
        seeds_needed=needed,
        anytime=anytime,
    )


def _verdict(
    contrast: Contrast, both: tuple[float, float] | None, p_adjusted: float, simultaneous: Interval | None
) -> tuple[ClaimVerdict, Reason]:
    if both is None or simultaneous is None or len(contrast.effects) < MINIMUM_SEEDS:
        return "cannot tell", "too few seeds"
    if p_adjusted >= ALPHA:
        return "cannot tell", "interval contains the edge"
    if both[0] < both[1]:
        return "holds", "beyond the edge"
    place = standing(simultaneous if contrast.direction == "larger" else simultaneous.negated, contrast.region)
    reasons: dict[str, Reason] = {"smaller": "reversed", "equivalent": "equivalent"}
    return "does not hold", reasons.get(place, "too small")
