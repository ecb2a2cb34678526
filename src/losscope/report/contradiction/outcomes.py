"""Who is ahead under which setting: contrastive minus triplet, paired by seed, one family of tests for each measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from losscope.report.contradiction.settings import Map, Setting
from losscope.statistics import MINIMUM_SEEDS, Contrast, Decision, Interval, decide, region_of, standing
from losscope.summary.measures import INTRA, RATIO, RECALL_1, Measure
from losscope.summary.pairing import Side, on_equal_data

MEASURES = (RECALL_1, INTRA, RATIO)
"""What the map is drawn of: retrieval, variance within classes, and that variance relative to separation."""

CONTRASTIVE_AHEAD, TRIPLET_AHEAD, EQUAL, UNKNOWN = "contrastive", "triplet", "equal in practice", "cannot tell"


@dataclass(frozen=True)
class Outcome:
    """One measure under one setting. The effect is contrastive minus triplet (of logarithms for variances)."""

    dataset: str
    setting: Setting
    measure: Measure
    decision: Decision

    @property
    def larger(self) -> str:
        """Whose value is larger by more than the region of practical equivalence, over the whole family of tests."""
        interval = self.decision.simultaneous
        if interval is None or self.decision.n < MINIMUM_SEEDS:
            return UNKNOWN
        place = standing(interval, self.decision.region)
        return {"larger": CONTRASTIVE_AHEAD, "smaller": TRIPLET_AHEAD, "equivalent": EQUAL}.get(place, UNKNOWN)

    @property
    def shown(self) -> Interval | None:
        """The difference, or the ratio contrastive / triplet, with its 95 % interval."""
        return self.decision.effect if self.decision.region.scale == "absolute" else self.decision.ratio


def outcomes(found: Sequence[Map], measure: Measure) -> tuple[Outcome, ...]:
    """The outcomes of all maps, tested together. A setting that lacks the measure, or on the log scale a positive value of
    it, is left out."""
    region = region_of(measure.diagnostic)
    declared = list(_contrasts(found, measure))
    family = [
        Contrast.paired(
            f"{measure.label}, {dataset}, {setting.title}: contrastive against triplet",
            triplet,
            contrastive,
            region=region,
            population=_population(setting),
        )
        for dataset, setting, contrastive, triplet in declared
    ]
    return tuple(
        Outcome(dataset, setting, measure, decision)
        for (dataset, setting, _, _), decision in zip(declared, decide(family), strict=True)
    )


def _contrasts(
    found: Sequence[Map], measure: Measure
) -> Iterator[tuple[str, Setting, dict[int, float], dict[int, float]]]:
    """Data set, setting, and the values of both families over the seeds at which both ran on the same data."""
    positive = region_of(measure.diagnostic).scale == "log"
    for one in found:
        for setting in one.settings:
            one_arm, other = (Side(arm.comparison, arm.subject) for arm in (setting.contrastive, setting.triplet))
            both = on_equal_data(one_arm, other, measure)
            if both and not (positive and min(*both[0].values(), *both[1].values()) <= 0):
                yield one.dataset, setting, *both


def _population(setting: Setting) -> str:
    drawn = setting.triplet.comparison.drawn_per_seed
    data = "other draws of the data" if drawn else "this split of the data"
    return f"other seeds (weights, batches and tuples) on {data}, under this setting"
