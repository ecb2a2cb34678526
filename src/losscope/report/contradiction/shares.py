"""How much of a measure the loss family explains, how much each setting, and which settings decide who is ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from losscope.errors import InvalidInput
from losscope.report.contradiction.outcomes import Outcome
from losscope.report.contradiction.settings import CONTRASTIVE, TRIPLET, Map
from losscope.statistics import Interval
from losscope.statistics.decomposition import INTERACTIONS, RESIDUAL, SEED, Decomposition, decompose
from losscope.summary.measures import Measure

FAMILY, SETTING = "loss family", "setting"
NOISE = (SEED, RESIDUAL)
DECOMPOSITIONS = ("families", "factors", "deciding")
"""Fields of `Shares`."""


@dataclass(frozen=True)
class Shares:
    """Decompositions of one measure on one data set (of its logarithm for variances), every setting once for each family.

    families    into loss family, setting, what a family makes of a setting (interactions), seed and residual
    factors     into loss family, each factor of the settings, their interactions, seed and residual
    deciding    of the difference contrastive - triplet, into each factor of the settings
    """

    dataset: str
    measure: Measure
    settings: int
    families: Decomposition
    factors: Decomposition
    deciding: Decomposition

    @property
    def decisive(self) -> tuple[str, ...]:
        """The factors that surely explain who is ahead, largest share first."""
        known = {name: share for name, share in self.deciding.shares.items() if name not in (*NOISE, INTERACTIONS)}
        surely = [name for name, share in known.items() if share.low is not None and share.low > 0]
        return tuple(sorted(surely, key=lambda name: -known[name].mean))


def shares(found: Map, outcomes: Sequence[Outcome]) -> Shares | None:
    """The shares of one measure on one data set, over the settings of `outcomes` and the seeds that all of them have.

    None below five such seeds, where nothing varies, and for more factors than a decomposition takes.
    """
    values: dict[str, Mapping[int, float]] = {}
    levels: dict[str, Mapping[str, str]] = {}
    by_setting: dict[str, Mapping[str, str]] = {}
    differences: dict[str, Mapping[int, float]] = {}
    for nth, outcome in enumerate(outcomes):
        setting, contrast = outcome.setting, outcome.decision.contrast
        differences[str(nth)] = dict(zip(contrast.seeds, contrast.effects, strict=True))
        for family, arm in ((CONTRASTIVE, setting.contrastive), (TRIPLET, setting.triplet)):
            estimate = arm.comparison.get(arm.subject, outcome.measure)
            of_seeds = estimate.values if estimate else {}
            log = contrast.region.scale == "log"
            values[f"{nth} {family}"] = {
                seed: math.log(of_seeds[seed]) if log else of_seeds[seed] for seed in contrast.seeds
            }
            levels[f"{nth} {family}"] = {FAMILY: family, **setting.levels}
            by_setting[f"{nth} {family}"] = {FAMILY: family, SETTING: str(nth)}
    told = {str(nth): outcome.setting.levels for nth, outcome in enumerate(outcomes)}
    try:
        parts = decompose(values, by_setting), decompose(values, levels), decompose(differences, told)
    except InvalidInput:
        return None
    return Shares(found.dataset, outcomes[0].measure, len(outcomes), *parts)


def percent(share: Interval) -> str:
    """A share with its interval in percent.

    >>> percent(Interval(13, 0.314, 0.252, 0.376)), percent(Interval(2, -0.0004))
    ('31 % [25, 38]', '0 %')
    """
    bounds = "" if share.low is None or share.high is None else f" [{_whole(share.low)}, {_whole(share.high)}]"
    return f"{_whole(share.mean)} %{bounds}"


def _whole(share: float) -> str:
    return f"{round(100 * share) + 0:d}".replace("-", "−")
