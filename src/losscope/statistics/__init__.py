"""Statistics over seeds: the seed is the unit of replication, and losses are compared paired by seed.

Nothing here reads files or imports torch.
"""

from losscope.statistics.decision import ClaimVerdict, Contrast, Decision, Direction, Reason, decide
from losscope.statistics.equivalence import REGIONS, Region, region_of, standing
from losscope.statistics.intervals import Interval, mean_interval
from losscope.statistics.multiplicity import holm
from losscope.statistics.paired import (
    MINIMUM_SEEDS,
    PairedDifference,
    Verdict,
    paired_difference,
    sign_flip_p,
    smallest_p,
    verdict,
    wilcoxon_p,
)
from losscope.statistics.planning import detectable_effect, power, seeds_needed
from losscope.statistics.sequential import anytime_interval, anytime_p, e_value

__all__ = [
    "MINIMUM_SEEDS", "REGIONS", "ClaimVerdict", "Contrast", "Decision", "Direction", "Interval", "PairedDifference",
    "Reason", "Region", "Verdict", "anytime_interval", "anytime_p", "decide", "detectable_effect", "e_value", "holm",
    "mean_interval", "paired_difference", "power", "region_of", "seeds_needed", "sign_flip_p", "smallest_p", "standing",
    "verdict", "wilcoxon_p",
]  # fmt: skip
