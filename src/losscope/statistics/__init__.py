"""Statistics over seeds: the seed is the unit of replication, and losses are compared paired by seed.

Nothing here reads files or imports torch.
"""

from losscope.statistics.correlation import FEWEST_VARIANTS, Association, association
from losscope.statistics.crossed import CrossedDifference, crossed_bootstrap, crossed_interval
from losscope.statistics.decision import ClaimVerdict, Contrast, Decision, Direction, Reason, decide
from losscope.statistics.decomposition import Decomposition, decompose
from losscope.statistics.effects import cohen_d, geometric_ratio, superiority
from losscope.statistics.equivalence import REGIONS, Region, region_of, standing
from losscope.statistics.folds import MINIMUM_SPLITS, FoldDifference, corrected_fold_difference
from losscope.statistics.intervals import Interval, mean_interval
from losscope.statistics.multiplicity import holm
from losscope.statistics.one_run import OneRunTest, one_run_test
from losscope.statistics.paired import (
    MINIMUM_SEEDS,
    PairedDifference,
    Verdict,
    paired_difference,
    sign_flip_p,
    simultaneous_interval,
    smallest_p,
    verdict,
    wilcoxon_p,
)
from losscope.statistics.planning import detectable_effect, power, seeds_needed
from losscope.statistics.sequential import anytime_interval, anytime_p, anytime_share, anytime_sign_tests, e_value

__all__ = [
    "FEWEST_VARIANTS", "MINIMUM_SEEDS", "MINIMUM_SPLITS", "REGIONS", "Association", "ClaimVerdict", "Contrast", "CrossedDifference", "Decision",
    "Decomposition", "Direction", "FoldDifference", "Interval", "OneRunTest", "PairedDifference", "Reason", "Region",
    "Verdict", "anytime_interval", "anytime_p", "anytime_share", "anytime_sign_tests", "association", "cohen_d",
    "corrected_fold_difference",
    "crossed_bootstrap", "crossed_interval", "decide", "decompose", "detectable_effect", "e_value", "geometric_ratio",
    "holm", "mean_interval", "one_run_test", "paired_difference", "power", "region_of", "seeds_needed", "sign_flip_p",
    "simultaneous_interval", "smallest_p", "standing", "superiority", "verdict", "wilcoxon_p",
]  # fmt: skip
