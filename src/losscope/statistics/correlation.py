"""Whether two measures go together across variants: one correlation within each seed, then an interval over seeds.

    z_s = artanh r_s,   r = tanh(mean z ± t(n - 1)·s_z/√n)

Runs of one seed share data and initial weights, so runs are not pooled: the seed is the unit. `blocks` takes out what
variants of one block have in common, such as the loss family: the partial correlation given the block.
Fisher, "On the Probable Error of a Coefficient of Correlation", 1921; Bakdash & Marusich, "Repeated Measures
Correlation", 2017, for the question.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from losscope.errors import InvalidInput
from losscope.statistics.decision import Contrast, Direction
from losscope.statistics.equivalence import REGIONS, Region
from losscope.statistics.intervals import LEVEL, Interval, mean_interval

Kind = Literal["spearman", "pearson", "slope"]

FEWEST_VARIANTS = 4
"""Variants from which a correlation over them is worth a verdict: three have six orders, one of them perfect."""

LARGEST = 0.9999
"""A correlation nearer to 1 counts as this one, so that its z is finite: no interval of correlations ends beyond it."""


@dataclass(frozen=True)
class Association:
    """Correlations (or slopes) within seeds and their mean; for correlations the mean is that of Fisher's z."""

    kind: Kind
    seeds: tuple[int, ...]
    values: tuple[float, ...]  # one for each seed
    variants: int
    interval: Interval
    blocked: bool = False  # whether blocks were taken out

    @property
    def n(self) -> int:
        """Seeds."""
        return len(self.seeds)

    def contrast(
        self, name: str, *, population: str, region: Region | None = None, direction: Direction = "larger"
    ) -> Contrast:
        """What `decide` takes: Fisher's z of each seed (or its slope) against a region about 0.

        Without a region correlations have that of all correlations. Raises InvalidInput for slopes without one.
        """
        if region is None and self.kind == "slope":
            raise InvalidInput(f"the slopes of '{name}' have no region of practical equivalence; their unit is that of the two "
                               "measures: declare one with region=Region(margin)")  # fmt: skip
        return Contrast(name, self.seeds, tuple(_scores(self)), region or REGIONS["correlation"], population, direction)


def association(
    first: Mapping[int, Sequence[float]],
    second: Mapping[int, Sequence[float]],
    *,
    kind: Kind = "spearman",
    blocks: Sequence[Hashable] | None = None,
    level: float = LEVEL,
) -> Association:
    """How `second` goes with `first` across variants, for each seed that both have.

    first, second   for each seed one value per variant, variants in the same order everywhere
    blocks          for each variant the block that it belongs to; None takes out the mean alone
    A perfect correlation has an infinite z: without blocks Spearman's counts as half a step of its scale below 1, every
    other as 0.9999. Raises InvalidInput without common seeds, for fewer than two degrees of freedom, for values that are not finite or do not vary.

    >>> found = association({0: [1, 2, 3, 4], 1: [1, 2, 3, 4]}, {0: [1, 2, 4, 3], 1: [2, 1, 3, 4]})
    >>> [round(value, 3) for value in found.values], round(found.interval.mean, 3)
    ([0.8, 0.8], 0.8)
    """
    seeds = tuple(sorted(first.keys() & second.keys()))
    if not seeds:
        raise InvalidInput(f"the seeds {sorted(first)} and {sorted(second)} share none; expected both measures of the "
                           "same runs")  # fmt: skip
    variants = len(first[seeds[0]])
    places = _places(list(blocks) if blocks is not None else [0] * variants)
    values = [_one(seed, first[seed], second[seed], places, kind) for seed in seeds]
    found = Association(kind, seeds, tuple(values), variants, Interval(len(seeds), math.nan), blocks is not None)
    of_scores = mean_interval(_scores(found), level=level)
    if kind != "slope":
        bounds = [None if bound is None else math.tanh(bound) for bound in (of_scores.low, of_scores.high)]
        of_scores = Interval(of_scores.n, math.tanh(of_scores.mean), *bounds)
    return replace(found, interval=of_scores)


def _one(seed: int, first: Sequence[float], second: Sequence[float], places: np.ndarray, kind: Kind) -> float:
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.shape != places.shape or y.shape != places.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidInput(f"seed {seed} has {len(x)} and {len(y)} values for {len(places)} variants; expected one finite "
                           "value of each measure for each variant")  # fmt: skip
    if kind == "spearman":
        x, y = mean_ranks(x), mean_ranks(y)
    inside = [_centered(side, places) for side in (x, y)]
    sizes = [float(np.linalg.norm(side)) for side in inside]
    for side, size, name in zip((x, y), sizes, ("first", "second"), strict=True):
        needed = kind != "slope" or name == "first"
        if needed and size <= 1e-12 * float(np.linalg.norm(side - side.mean()) or np.linalg.norm(side)):
            raise InvalidInput(f"the {name} measure does not vary over the variants of a block at seed {seed}; a "
                               f"{kind} {'is' if kind == 'slope' else 'correlation is'} undefined: leave out the seed "
                               "or the block")  # fmt: skip
    product = float(inside[0] @ inside[1])
    return product / sizes[0] ** 2 if kind == "slope" else max(-1.0, min(1.0, product / (sizes[0] * sizes[1])))


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties share their mean rank."""
    below, equal = values[:, None] > values, values[:, None] == values
    return np.asarray(below.sum(1) + (equal.sum(1) + 1) / 2)


def _centered(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    means = np.bincount(places, weights=values) / np.bincount(places)
    return np.asarray(values - means[places])


def _places(blocks: Sequence[Hashable]) -> np.ndarray:
    known = {block: place for place, block in enumerate(dict.fromkeys(blocks))}
    if len(blocks) - len(known) < 2:
        raise InvalidInput(f"{len(blocks)} variants in {len(known)} blocks; a correlation needs at least two variants more "
                           "than blocks")  # fmt: skip
    return np.array([known[block] for block in blocks])


def _scores(found: Association) -> list[float]:
    """Fisher's z of each seed, or its slope."""
    if found.kind == "slope":
        return list(found.values)
    whole_ranks = found.kind == "spearman" and not found.blocked  # only these have steps of a known size
    largest = 1 - 6 / (found.variants * (found.variants**2 - 1)) if whole_ranks else LARGEST
    return [math.atanh(max(-largest, min(largest, value))) for value in found.values]
