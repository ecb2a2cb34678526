"""Regions of practical equivalence: how far apart two losses may be and still count as equal in practice.

A region is declared before the data are seen. It is symmetric about no effect: ±margin in the measure's own unit, or on
the log scale from 1/(1 + margin) to 1 + margin times as large, for measures whose unit means nothing by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from losscope.errors import InvalidInput, UnknownName
from losscope.statistics.intervals import Interval

Scale = Literal["absolute", "log"]
Standing = Literal["larger", "smaller", "equivalent", "cannot tell"]


@dataclass(frozen=True)
class Region:
    """Effects within ±margin are equal in practice. `source` says who declared it and why.

    Raises InvalidInput for a margin that is negative or not finite.
    """

    margin: float  # in the measure's unit, or as a share: 0.1 on the log scale is ±10 %
    scale: Scale = "absolute"
    source: str = "declared by the caller"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and self.margin >= 0) or self.scale not in ("absolute", "log"):
            raise InvalidInput(f"a region of ±{self.margin} on the scale {self.scale!r}; expected a margin of at least 0 "
                               "and one of the scales 'absolute' and 'log'")  # fmt: skip

    @property
    def edge(self) -> float:
        """δ, the largest effect inside, on the scale of the effects: the margin, or log(1 + margin).

        >>> Region(0.01).edge, round(Region(0.1, "log").edge, 4)
        (0.01, 0.0953)
        """
        return self.margin if self.scale == "absolute" else math.log1p(self.margin)

    @property
    def words(self) -> str:
        """The region as a person writes it: ±0.01, ±10 %."""
        return f"±{self.margin:g}" if self.scale == "absolute" else f"±{100 * self.margin:g} %"

    def effects(self, first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
        """`second - first` for each seed that both have; `log second - log first` on the log scale.

        Raises InvalidInput for values that are not finite, and on the log scale for values that are not positive.
        """
        seeds = sorted(first.keys() & second.keys())
        lowest = 0.0 if self.scale == "log" else -math.inf
        for seed in seeds:
            if not all(math.isfinite(side[seed]) and side[seed] > lowest for side in (first, second)):
                kind = "positive" if self.scale == "log" else "finite"
                raise InvalidInput(f"seed {seed} has the values {first[seed]} and {second[seed]}; a region of "
                                   f"{self.words} on the {self.scale} scale compares {kind} numbers")  # fmt: skip
        if self.scale == "log":
            return {seed: math.log(second[seed]) - math.log(first[seed]) for seed in seeds}
        return {seed: second[seed] - first[seed] for seed in seeds}


def standing(interval: Interval, region: Region) -> Standing:
    """Three-way verdict: where an interval of an effect lies with respect to the region.

    An interval at level 1 - α wholly inside the region is the two one-sided tests of equivalence at α/2 each
    (Schuirmann, "A Comparison of the Two One-Sided Tests Procedure and the Power Approach", 1987). An interval that
    reaches across an edge can't tell.

    >>> standing(Interval(13, 0.03, 0.02, 0.04), Region(0.01)), standing(Interval(13, 0.0, -0.005, 0.005), Region(0.01))
    ('larger', 'equivalent')
    """
    if interval.low is None or interval.high is None:
        return "cannot tell"
    if interval.low > region.edge:
        return "larger"
    if interval.high < -region.edge:
        return "smaller"
    inside = -region.edge < interval.low and interval.high < region.edge
    exact = interval.low == interval.high == 0  # equal in every seed: the same in practice, however small the region
    return "equivalent" if inside or exact else "cannot tell"


_SHARES = "shares of samples, terms or mass: 2 in 100, below what moves a curve visibly"
_LOG = "measures of size, whose unit depends on the loss: 10 % on the log scale"

_DECLARED: tuple[tuple[float, Scale, str, tuple[str, ...]], ...] = (
    (0.01, "absolute", "one query in 100 has another nearest neighbor",
     ("recall_at_k", "r_precision", "knn_accuracy", "linear_probe_accuracy", "fine_recall_at_k",
      "fine_recall_at_k_within_coarse")),
    (0.005, "absolute", "half of Recall@1's: average precision moves less than hits do", ("map_at_r", "fine_map_at_r")),
    (0.02, "absolute", _SHARES,
     ("active_ratio", "active_ratio_positive", "active_ratio_negative", "relative_activity", "residual_mass",
      "gradient_share_90", "gradient_share_curve", "gradient_participation",
      "gradient_effective_share", "gradient_signal_fraction", "active_rows", "gradient_pull", "gradient_push",
      "gradient_by_hardness", "gradient_by_class", "greedy_fraction", "satisfied_share", "mean_resultant_squared",
      "pair_weight_positive", "fine_explained_share", "fine_explained_share_corrected")),
    (0.02, "absolute", "cosines: 0.02 of their range from -1 to 1 on either side",
     ("centroid_cosine_mean", "centroid_cosine_max")),
    (0.1, "absolute", "correlations, as Fisher's z: below Cohen's small effect of 0.1", ("correlation",)),
    (0.1, "log", _LOG,
     ("intra_class_variance", "intra_class_variance_mean", "intra_class_variance_unbiased_mean",
      "intra_class_variance_over_classes", "intra_class_variance_cv", "inter_class_distance_mean",
      "inter_class_distance_mean_corrected", "inter_class_distance_variance", "inter_class_distance_cv",
      "inter_class_distance_min", "inter_class_distance_q05", "inter_class_squared_distance_mean",
      "intra_inter_ratio", "within_variance", "within_coarse_variance", "between_variance", "fisher_ratio",
      "effective_rank", "within_class_effective_rank", "gradient_norm", "gradient_norm_tensor_mean", "gradient_norm_embedding",
      "gradient_norm_embedding_tangential", "proxy_gradient_norm", "update_norm", "update_ratio", "greedy_ratio",
      "pair_weight", "pair_weight_mean")),
    (0.1, "log", "times: 10 % of the epochs",
     ("loss_decay_epoch", "loss_decay_epoch_excess", "compaction_epoch", "compaction_area")),
)  # fmt: skip

REGIONS: Mapping[str, Region] = {
    name: Region(margin, scale, source) for margin, scale, source, names in _DECLARED for name in names
}
"""The declared region of each diagnostic, and of correlations between two."""

_OF_BATCHES = "it describes what the sampler drew, which is the same for every loss of a seed"
UNDECLARED: Mapping[str, str] = {
    "loss": "values of different losses have no common unit",
    "loss_floor": "values of different losses have no common unit",
    **dict.fromkeys(("batch_size", "batch_classes", "batch_positive_share", "batch_negative_share"), _OF_BATCHES),
}
"""Diagnostics that have no region, and why not."""


def region_of(diagnostic: str) -> Region:
    """The declared region of a diagnostic. Raises UnknownName where none is declared, with the reason for those in
    `UNDECLARED`.

    >>> region_of("recall_at_k").words, region_of("gradient_norm").words
    ('±0.01', '±10 %')
    """
    if diagnostic in UNDECLARED:
        raise UnknownName(f"no region of practical equivalence for '{diagnostic}': {UNDECLARED[diagnostic]}; declare one with "
                          "Region(margin, scale) if your comparison has a unit")  # fmt: skip
    if diagnostic not in REGIONS:
        raise UnknownName.of("region of practical equivalence of the diagnostic", diagnostic, REGIONS)
    return REGIONS[diagnostic]
