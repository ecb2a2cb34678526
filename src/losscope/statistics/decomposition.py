"""How much of a measure each factor of a design explains: a variance decomposition over variants and seeds.

    ω²(factor) = (SS_factor - df_factor·MS_residual) / (SS_total + MS_residual)

Where factors are not balanced against each other, as in a design of one factor at a time, SS_factor depends on the order
in which factors enter: it is averaged over all orders. Every seed has every variant, so seeds are a factor of their own
that no other one is confounded with; the residual is seed × variant. What variants have beyond the sum of their factors
is named interactions. Shares sum to 1 with the residual; a share that is 0 in truth may come out just below 0.

Hays, "Statistics", 1963 (ω²); Lindeman, Merenda & Gold, "Introduction to Bivariate and Multivariate Analysis", 1980
(all orders); intervals: leave one seed out, t(n - 1), on the scale of log(1 - ω²) (Tukey 1958).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from losscope.errors import InvalidInput
from losscope.statistics.intervals import LEVEL, Interval, t_quantile

SEED, INTERACTIONS, RESIDUAL = "seed", "interactions", "residual"
MINIMUM_COMMON = 5
"""Seeds below which intervals that leave one out mean nothing."""

MOST_FACTORS = 12
"""Every subset of the factors is fitted: 4,096 fits."""


@dataclass(frozen=True)
class Decomposition:
    """Share of the variance of each named factor, then of seed, interactions and residual; the intervals over seeds."""

    shares: Mapping[str, Interval]
    seeds: tuple[int, ...]
    variants: int
    population: str = "other seeds, for these variants"


def decompose(
    values: Mapping[str, Mapping[int, float]], levels: Mapping[str, Mapping[str, Hashable]], *, level: float = LEVEL
) -> Decomposition:
    """The shares of all factors.

    values   for each variant one value per seed; seeds that some variant lacks are left out
    levels   for each variant the level of each factor, every variant with the same factors

    Raises InvalidInput for fewer than five common seeds or two variants, values that are not finite or do not vary,
    factors that differ between variants or have one of the reserved names, and more than 12 factors.
    """
    seeds = sorted(set.intersection(*(set(of) for of in values.values()))) if values else []
    if len(seeds) < MINIMUM_COMMON or len(values) < 2:
        raise InvalidInput(f"{len(values)} variants with {len(seeds)} seeds in common; expected at least two variants and "
                           f"{MINIMUM_COMMON} seeds that all of them have")  # fmt: skip
    table = np.array([[of[seed] for of in values.values()] for seed in seeds], dtype=np.float64)
    if not np.isfinite(table).all() or np.ptp(table) == 0:
        raise InvalidInput("values are not finite, or all equal: there is no variance to explain")
    projections = _projections(values, levels)
    names = [*next(iter(levels.values())), SEED, INTERACTIONS, RESIDUAL]
    whole = _unexplained(_shares(table, projections))
    left_out = [np.delete(table, at, axis=0) for at in range(len(seeds))]
    without = np.stack([_unexplained(_shares(part, projections)) for part in left_out])
    spread = np.sqrt((len(seeds) - 1) / len(seeds) * ((without - without.mean(0)) ** 2).sum(0))
    half = t_quantile(len(seeds) - 1, (1 + level) / 2) * spread
    shares = {
        name: Interval(len(seeds), *(-math.expm1(bound) for bound in (log, log + around, log - around)))
        for name, log, around in zip(names, whole, half, strict=True)
    }
    return Decomposition(shares, tuple(seeds), len(values))


def _unexplained(shares: np.ndarray) -> np.ndarray:
    """log(1 - share): its leave-one-out spread is steadier, and no interval passes 1."""
    return np.asarray(np.log(np.maximum(1 - shares, 1e-15)))


Subset = tuple[int, ...]


def _projections(
    values: Mapping[str, Mapping[int, float]], levels: Mapping[str, Mapping[str, Hashable]]
) -> dict[Subset, tuple[np.ndarray, int]]:
    """For each subset of factors the orthonormal basis (variants, rank) of what it explains, and its rank."""
    missing = sorted(values.keys() - levels.keys())
    factors = [] if missing else list(levels[next(iter(values))])
    reserved = {SEED, INTERACTIONS, RESIDUAL} & set(factors)
    if missing or reserved or any(set(levels[variant]) != set(factors) for variant in values):
        raise InvalidInput(f"levels are {dict(levels)}; expected the same factors for each of the variants {list(values)}, "
                           f"none of them named {SEED}, {INTERACTIONS} or {RESIDUAL}")  # fmt: skip
    if not 1 <= len(factors) <= MOST_FACTORS:
        raise InvalidInput(f"{len(factors)} factors; expected 1 to {MOST_FACTORS}")
    columns = [np.array([[levels[variant][factor] == known for known in dict.fromkeys(
        levels[other][factor] for other in values)] for variant in values], dtype=np.float64)
        for factor in factors]  # fmt: skip
    found = {}
    for size in range(len(factors) + 1):
        for subset in combinations(range(len(factors)), size):
            design = np.concatenate([np.ones((len(values), 1)), *(columns[at] for at in subset)], axis=1)
            design = (design - design.mean(0))[:, 1:]
            left, lengths, _ = np.linalg.svd(design, full_matrices=False)
            rank = int((lengths > 1e-9 * max(1.0, lengths.max(initial=0.0))).sum())
            found[subset] = left[:, :rank], rank
    return found


def _shares(table: np.ndarray, projections: Mapping[Subset, tuple[np.ndarray, int]]) -> np.ndarray:
    """ω² of each factor, of seed, interactions and residual; table is (seeds, variants)."""
    seeds, variants = table.shape
    centered = table - table.mean()
    by_seed, by_variant = centered.mean(1), centered.mean(0)
    total, of_seeds = (centered**2).sum(), variants * (by_seed**2).sum()
    of_variants = seeds * (by_variant**2).sum()
    error = (total - of_seeds - of_variants) / ((seeds - 1) * (variants - 1))

    def explained(subset: Subset) -> float:
        basis, rank = projections[subset]
        return float(seeds * ((by_variant @ basis) ** 2).sum() - rank * error)

    count = max(map(len, projections))
    worth = {subset: explained(subset) for subset in projections}
    shares = np.zeros(count + 3)
    for subset in projections:
        orders = math.factorial(len(subset)) * math.factorial(count - len(subset) - 1) if len(subset) < count else 0
        for factor in set(range(count)) - set(subset):
            gain = worth[tuple(sorted((*subset, factor)))] - worth[subset]
            shares[factor] += gain * orders / math.factorial(count)
    shares[count] = of_seeds - (seeds - 1) * error
    shares[count + 1] = of_variants - (variants - 1) * error - worth[tuple(range(count))]
    shares /= total + error
    shares[count + 2] = 1 - shares.sum()
    return shares
