"""Statistics over seeds: the seed is the unit of replication, and losses are compared paired by seed.

Nothing here reads files or imports torch.
"""

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

__all__ = [
    "MINIMUM_SEEDS", "Interval", "PairedDifference", "Verdict",
    "holm", "mean_interval", "paired_difference", "sign_flip_p", "smallest_p", "verdict", "wilcoxon_p",
]  # fmt: skip
